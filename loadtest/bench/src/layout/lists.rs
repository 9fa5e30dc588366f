//! Lists of users' results that are asked for again and again while rows move: nothing may be missing from them, nor come twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use coupon_loadgen::http::Target;
use coupon_measure::random::Random;
use coupon_service::api::ResultPage;
use coupon_stack::joined;

use crate::client::Client;

/// The number of users that are drawn.
const USERS: usize = 64;
/// The stream of random numbers that they are drawn from.
const STREAM: u64 = 0x7115;
/// Results a page: most lists have several.
const LIMIT: usize = 4;
/// The time between two lists: they are to find what is short, and no load beside the other one.
const PAUSE: Duration = Duration::from_millis(50);

impl Looked {
    /// The number of lists that were answered between two moments.
    pub(super) fn between(&self, from: Instant, until: Instant) -> usize {
        self.answered.iter().filter(|at| (from..=until).contains(*at)).count()
    }

    /// The reason why they do not show that nothing was missed while rows moved, if there is one.
    pub(super) fn problem(&self, moving: usize) -> Option<String> {
        let faults =
            self.first.as_ref().map(|first| format!("{} faults in lists, such as: {first}", self.faults));
        let failed = (self.failed > 0).then(|| format!("{} lists were not answered", self.failed));
        let few = (moving < USERS)
            .then(|| format!("{moving} lists alone were answered while rows moved, of {USERS} users"));
        let all: Vec<String> = [faults, failed, few].into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// Users, and the results that each of them is known to have.
pub(super) struct Lists {
    target: Target,
    known: BTreeMap<u64, BTreeSet<String>>,
}

/// The findings in lists.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// The moments at which lists were answered.
    pub(super) answered: Vec<Instant>,
    /// The number of those that were not.
    pub(super) failed: u64,
    /// Results that were missing from one or came twice, and lists that said themselves that they are short.
    pub(super) faults: u64,
    /// The first of them.
    pub(super) first: Option<String>,
}

impl Lists {
    /// Remembers all results of some of so many users.
    pub(super) fn remember(target: &Target, seed: u64, users: u64) -> Result<Self> {
        let (mut client, mut random) = (Client::connect(target)?, Random::new(seed, STREAM));
        let mut known = BTreeMap::new();
        for _ in 0..USERS {
            let user = random.below(users) + 1;
            let Listed { ids, short } = list(&mut client, user)?;
            ensure!(!short, "the list of user {user} is short before anything is changed");
            known.insert(user, ids.into_iter().collect::<BTreeSet<String>>());
        }
        ensure!(known.values().any(|ids| !ids.is_empty()), "no user has a result that could be missed");
        Ok(Self { target: target.clone(), known })
    }

    /// Asks for one list after the other while something goes on, and for each of them once more after it.
    pub(super) fn watch_while<T>(mut self, goes_on: impl FnOnce() -> T) -> (T, Result<Looked>) {
        std::thread::scope(|scope| {
            let (over, ended) = mpsc::channel();
            let looking = scope.spawn(move || self.look(&ended));
            let done = goes_on();
            drop(over);
            (done, joined(looking))
        })
    }

    fn look(&mut self, ended: &Receiver<()>) -> Result<Looked> {
        let mut looked = Looked::default();
        let mut client = Client::connect(&self.target)?;
        let users: Vec<u64> = self.known.keys().copied().collect();
        for user in users.iter().cycle() {
            if ended.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout) {
                break;
            }
            match list(&mut client, *user) {
                Ok(listed) => self.judge(*user, listed, &mut looked),
                Err(_) => {
                    looked.failed += 1;
                    client = Client::connect(&self.target)?;
                }
            }
        }
        for user in users {
            let listed = list(&mut client, user)?;
            self.judge(user, listed, &mut looked);
        }
        Ok(looked)
    }

    fn judge(&mut self, user: u64, Listed { ids, short }: Listed, looked: &mut Looked) {
        looked.answered.push(Instant::now());
        let known = self.known.entry(user).or_default();
        let faults = if short { 1 } else { faults(known, &ids) };
        if faults > 0 {
            looked.faults += faults;
            let told = || format!("user {user} has {}, and was told {}", known.len(), ids.join(", "));
            looked.first.get_or_insert_with(told);
        }
        // What was listed once is there ever after.
        known.extend(ids);
    }
}

/// The results that are known and missing, and those that come again.
fn faults(known: &BTreeSet<String>, told: &[String]) -> u64 {
    let once: BTreeSet<&String> = told.iter().collect();
    let missing = known.iter().filter(|id| !once.contains(id)).count();
    (missing + told.len() - once.len()) as u64
}

/// All pages of a list.
struct Listed {
    ids: Vec<String>,
    /// True if one of them says that it may be short.
    short: bool,
}

fn list(client: &mut Client, user: u64) -> Result<Listed> {
    let first = format!("/api/user/{user}/coupons?limit={LIMIT}");
    let (mut ids, mut short, mut cursor) = (Vec::new(), false, None::<String>);
    loop {
        let path = cursor.map_or_else(|| first.clone(), |cursor| format!("{first}&cursor={cursor}"));
        let page: ResultPage = serde_json::from_slice(client.get(&path)?.1)?;
        ids.extend(page.items.into_iter().map(|result| result.result_id));
        short |= page.partial;
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(Listed { ids, short });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_what_comes_twice_are_faults_and_what_is_new_is_none() {
        let known = BTreeSet::from(["1", "2"].map(str::to_owned));
        let found = |told: &[&str]| faults(&known, &told.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(found(&["3", "2", "1"]), 0);
        assert_eq!(found(&["2"]), 1);
        assert_eq!(found(&["2", "2", "1"]), 1);
        assert_eq!(found(&["3", "3"]), 3);
    }
}
