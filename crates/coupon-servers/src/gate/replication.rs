//! A Redis's place in replication: it tells the one that was filled from one that took over another's memory since.
//!
//! Scripts are not replicated, so that a replica which is promoted has none, and is filled anew. A Redis that became a replica
//! and was promoted again has its scripts still, and may have lost what it had decided: its replication id is another.

use deadpool_redis::redis::Pipeline;

use super::Epoch;
use crate::names::Names;

/// The field, beside the versions of an epoch, with the replication id of the Redis that was filled.
const FIELD: &str = "replication";

/// The place in replication that a Redis tells of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Replication {
    is_replica: bool,
    /// Its replication id; none where it does not tell.
    id: Option<String>,
    /// The id of the one from which it took over what it has, if it did.
    before: Option<String>,
}

impl Replication {
    pub(super) fn read(info: &str) -> Self {
        let told = |name| told(info, name).map(str::to_owned);
        Self {
            // Its own word for a replica.
            is_replica: told("role").as_deref() == Some("slave"),
            id: told("master_replid"),
            before: told("master_replid2").filter(|id| id.bytes().any(|byte| byte != b'0')),
        }
    }

    /// Says whether it is the one that had this id, and has been no replica since.
    pub(super) fn goes_on_from(&self, id: Option<&str>) -> bool {
        // A primary takes another id, and none before it, when its first replica comes, or an hour after the last has gone.
        !self.is_replica && (id.is_none() || self.id.as_deref() == id || self.before.is_none())
    }
}

/// Asks for the id of the Redis that was filled for an epoch, and for the place of this one.
pub(super) fn ask(pipeline: &mut Pipeline, names: &Names, epoch: &Epoch) {
    pipeline.cmd("HGET").arg(names.versions(epoch.number)).arg(FIELD);
    ask_here(pipeline);
}

/// Asks for the place of this Redis alone.
pub(super) fn ask_here(pipeline: &mut Pipeline) {
    pipeline.cmd("INFO").arg("replication");
}

/// Writes down that this Redis is filled for an epoch.
pub(super) fn record(pipeline: &mut Pipeline, names: &Names, epoch: &Epoch, here: Replication) {
    if let Some(id) = here.id {
        pipeline.cmd("HSET").arg(names.versions(epoch.number)).arg(FIELD).arg(id).ignore();
    }
}

/// A line of what Redis tells of itself.
pub(super) fn told<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &str = "0000000000000000000000000000000000000000";

    fn place(role: &str, id: &str, before: &str) -> Replication {
        Replication::read(&format!("role:{role}\r\nmaster_replid:{id}\r\nmaster_replid2:{before}\r\n"))
    }

    #[test]
    fn only_one_that_was_no_replica_since_goes_on() {
        let filled = Some("a1");
        assert!(place("master", "a1", NONE).goes_on_from(filled));
        assert!(place("master", "a2", NONE).goes_on_from(filled), "its first replica has come");
        assert!(place("master", "a1", "99").goes_on_from(filled), "it was filled after it was promoted");
        assert!(!place("master", "b2", "b1").goes_on_from(filled), "it was promoted since");
        assert!(!place("slave", "a1", NONE).goes_on_from(filled));
    }

    #[test]
    fn what_is_not_told_is_not_held_against_it() {
        assert!(Replication::read("").goes_on_from(Some("a1")));
        assert!(
            place("master", "b2", "b1").goes_on_from(None),
            "an earlier version of this program filled it"
        );
    }
}
