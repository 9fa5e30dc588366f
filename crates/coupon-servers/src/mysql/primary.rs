//! The servers that an address names, and the one of them that is used: the only one that takes writes.
//!
//! An address names one server, or one and its replica. Of several each is asked every second whether it takes writes. While more
//! than one does, none is used: each would store what the other has not.

use std::fmt;
use std::mem::{self, Discriminant};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, OptsBuilder};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

/// The time between two looks at several servers.
const EVERY: Duration = Duration::from_secs(1);
/// The longest that one of them may take to say whether it takes writes.
const PATIENCE: Duration = Duration::from_secs(2);
/// The least time between two renewals. A server that stays read-only costs a connection a second, and not one a query.
const PAUSE: Duration = Duration::from_secs(1);

/// 1 when the server takes no writes. Some servers say `ON` for 1.
pub(super) const TAKES_NO_WRITES: &str = "SELECT CAST(@@GLOBAL.read_only AS CHAR) NOT IN ('0', 'OFF') \
     OR CAST(@@GLOBAL.innodb_read_only AS CHAR) NOT IN ('0', 'OFF')";

/// A database's servers, as all connections of a process to it share them.
pub(super) struct Primary {
    /// The database, as its errors name it.
    of: String,
    servers: Vec<Server>,
    /// The number of times that all connections were given up.
    generation: watch::Sender<u64>,
    known: Mutex<Known>,
}

/// One server of an address.
pub(super) struct Server {
    /// Its host and port.
    pub(super) host: String,
    pub(super) opts: Opts,
}

/// What is known of several servers.
#[derive(Debug, Default)]
struct Known {
    /// The moment of the last renewal.
    renewed: Option<Instant>,
    /// The beginning of the last look, and of the last one that came to its end.
    looks: (Option<Instant>, Option<Instant>),
    /// The server that is used, or was last.
    used: Option<usize>,
    /// The reason why none is used.
    unusable: Option<Unusable>,
    /// What is wrong with the others, or with all of them, for errors to say.
    trouble: Option<String>,
}

impl Known {
    /// What connections depend on: the server that is used, and the kind of reason why none is.
    fn kind(&self) -> (Option<usize>, Option<Discriminant<Unusable>>) {
        (self.used, self.unusable.as_ref().map(mem::discriminant))
    }
}

/// The server that is used.
pub(super) struct Used {
    pub(super) opts: Opts,
    /// The generation of the connections to it.
    pub(super) generation: u64,
}

/// None of several servers can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    /// No server takes writes, and none has since this process was started.
    #[error("none of its servers takes writes: {0}")]
    Nowhere(String),
    /// Servers that do not know of each other's writes.
    #[error(
        "more than one of its servers takes writes, and none is used until all but one are read-only: {0}"
    )]
    Several(String),
    /// None was asked yet.
    #[error("its servers have not been asked whether they take writes")]
    Unasked,
    /// The connection led to a server that is not used any more.
    #[error("another server may have taken the place of this one")]
    GivenUp,
}

impl From<Unusable> for mysql_async::Error {
    fn from(unusable: Unusable) -> Self {
        Self::Other(Box::new(unusable))
    }
}

/// The answer of a server that is asked whether it takes writes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    TakesWrites,
    ReadOnly,
    None(String),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TakesWrites => f.write_str("takes writes"),
            Self::ReadOnly => f.write_str("is read-only"),
            Self::None(why) => write!(f, "does not answer ({why})"),
        }
    }
}

impl Server {
    async fn ask(&self) -> Answer {
        match timeout(PATIENCE, self.takes_writes()).await {
            Ok(Ok(true)) => Answer::TakesWrites,
            Ok(Ok(false)) => Answer::ReadOnly,
            Ok(Err(error)) => Answer::None(error.to_string()),
            Err(_) => Answer::None(format!("not within {} s", PATIENCE.as_secs())),
        }
    }

    async fn takes_writes(&self) -> mysql_async::Result<bool> {
        // A replica may not have the database yet.
        let opts = OptsBuilder::from_opts(self.opts.clone()).db_name(None::<String>);
        let mut conn = Conn::new(opts).await?;
        let takes_none: Option<bool> = conn.query_first(TAKES_NO_WRITES).await?;
        conn.disconnect().await?;
        Ok(takes_none == Some(false))
    }
}

/// The server to use, by what each has answered and which one was used before.
fn decide(before: Option<usize>, hosts: &[&str], answers: &[Answer]) -> Result<usize, Unusable> {
    let mut takers = (0..).zip(answers).filter(|(_, answer)| **answer == Answer::TakesWrites);
    match (takers.next(), takers.next()) {
        (Some((only, _)), None) => Ok(only),
        (Some(_), Some(_)) => Err(Unusable::Several(told(hosts, answers))),
        // What it has can be read, if it answers.
        (None, _) => before.ok_or_else(|| Unusable::Nowhere(told(hosts, answers))),
    }
}

fn told(hosts: &[&str], answers: &[Answer]) -> String {
    let each = hosts.iter().zip(answers).map(|(host, answer)| format!("{host} {answer}"));
    each.collect::<Vec<_>>().join(", ")
}

impl Primary {
    pub(super) fn new(of: String, servers: Vec<Server>) -> Arc<Self> {
        Arc::new(Self { of, servers, generation: watch::Sender::new(0), known: Mutex::default() })
    }

    /// The server to connect to. Of several it is known since the last look, unless there was none yet.
    pub(super) async fn used(self: &Arc<Self>) -> Result<Used, Unusable> {
        if let [only] = &*self.servers {
            return Ok(Used { opts: only.opts.clone(), generation: self.generation() });
        }
        if self.known().looks.1.is_none() {
            self.look().await;
        }
        self.keep_looking();
        let known = self.known();
        if let Some(unusable) = &known.unusable {
            return Err(unusable.clone());
        }
        let server = known.used.and_then(|used| self.servers.get(used));
        let opts = server.ok_or(Unusable::Unasked)?.opts.clone();
        // Under the lock under which both change.
        Ok(Used { opts, generation: self.generation() })
    }

    /// The number of times that all connections were given up.
    pub(super) fn generation(&self) -> u64 {
        *self.generation.borrow()
    }

    /// Waits until the connections of a generation are given up.
    pub(super) async fn given_up(&self, generation: u64) {
        // The sender is there for as long as this is.
        let _ = self.generation.subscribe().wait_for(|now| *now != generation).await;
    }

    /// Gives up all connections, on every thread, unless that was done just now.
    pub(super) fn renew(&self) {
        self.renew_at(Instant::now());
    }

    fn renew_at(&self, now: Instant) {
        let mut known = self.known();
        if known.renewed.is_none_or(|last| now.saturating_duration_since(last) >= PAUSE) {
            self.give_up(&mut known, now);
        }
    }

    fn give_up(&self, known: &mut Known, now: Instant) {
        known.renewed = Some(now);
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// What keeps another server from taking the place of the one that is used, for an error of that one.
    pub(super) fn trouble(&self) -> Option<String> {
        let known = self.known();
        known.trouble.clone().filter(|_| known.unusable.is_none())
    }

    /// Begins another look if it is time for one. No caller waits for it, since a server that is away takes as long as it may.
    fn keep_looking(self: &Arc<Self>) {
        let due = self.known().looks.0.is_none_or(|last| last.elapsed() >= EVERY);
        if due && let Ok(runtime) = Handle::try_current() {
            self.known().looks.0 = Some(Instant::now());
            let primary = Arc::clone(self);
            runtime.spawn(async move { primary.look().await });
        }
    }

    async fn look(&self) {
        let began = Instant::now();
        self.known().looks.0 = Some(began);
        let answers = join_all(self.servers.iter().map(Server::ask)).await;
        self.heard(began, &answers);
    }

    fn heard(&self, began: Instant, answers: &[Answer]) {
        let hosts: Vec<&str> = self.servers.iter().map(|server| &*server.host).collect();
        let mut known = self.known();
        // Two looks may be under way, and the one that began later come to its end first.
        if known.looks.1.is_some_and(|last| last > began) {
            return;
        }
        let is_first = known.looks.1.replace(began).is_none();
        let decided = decide(known.used, &hosts, answers);
        let sound = answers.iter().filter(|answer| **answer == Answer::TakesWrites).count() == 1;
        known.trouble = (!sound).then(|| told(&hosts, answers));
        let before = known.kind();
        known.unusable = None;
        match decided {
            Ok(used) => known.used = Some(used),
            Err(unusable) => known.unusable = Some(unusable),
        }
        if is_first || known.kind() == before {
            return;
        }
        self.give_up(&mut known, Instant::now());
        match (&known.unusable, known.used.and_then(|used| hosts.get(used))) {
            (Some(unusable), _) => tracing::error!(database = self.of, "{unusable}"),
            (None, Some(host)) => {
                tracing::warn!(
                    database = self.of,
                    "{host} takes the writes: connections go there from now on"
                );
            }
            (None, None) => {}
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: [&str; 2] = ["a:1", "b:2"];

    fn primary() -> Arc<Primary> {
        let server = |host: &str| Server { host: host.to_owned(), opts: Opts::default() };
        Primary::new("a database".to_owned(), HOSTS.map(server).into())
    }

    fn none() -> Answer {
        Answer::None("refused".to_owned())
    }

    #[test]
    fn the_only_one_that_takes_writes_is_used() {
        use Answer::{ReadOnly, TakesWrites};
        for (answers, before, used) in [
            ([TakesWrites, ReadOnly], None, 0),
            ([TakesWrites, ReadOnly], Some(1), 0),
            ([none(), TakesWrites], Some(0), 1),
            ([ReadOnly, TakesWrites], Some(0), 1),
            ([TakesWrites, none()], Some(0), 0),
        ] {
            assert_eq!(decide(before, &HOSTS, &answers), Ok(used), "{answers:?}");
        }
    }

    #[test]
    fn where_none_takes_writes_the_last_one_that_did_stays_and_none_is_begun_with() {
        for answers in [[none(), Answer::ReadOnly], [Answer::ReadOnly, Answer::ReadOnly], [none(), none()]] {
            assert_eq!(decide(Some(0), &HOSTS, &answers), Ok(0), "{answers:?}");
            let why = decide(None, &HOSTS, &answers).unwrap_err().to_string();
            assert!(why.contains("none of its servers takes writes: a:1 "), "{why}");
        }
    }

    #[test]
    fn where_both_take_writes_neither_is_used_until_one_is_read_only() {
        let primary = primary();
        let heard = |answers: [Answer; 2]| {
            primary.heard(Instant::now(), &answers);
            let known = primary.known();
            (known.used, known.unusable.clone(), primary.generation())
        };
        assert_eq!(heard([Answer::TakesWrites, Answer::ReadOnly]), (Some(0), None, 0));
        let both = Unusable::Several("a:1 takes writes, b:2 takes writes".to_owned());
        let refused = (Some(0), Some(both), 1);
        assert_eq!(heard([Answer::TakesWrites, Answer::TakesWrites]), refused);
        assert_eq!(heard([Answer::TakesWrites, Answer::TakesWrites]), refused, "which is known by now");
        assert_eq!(heard([Answer::ReadOnly, Answer::TakesWrites]), (Some(1), None, 2));
        assert_eq!(heard([Answer::ReadOnly, none()]), (Some(1), None, 2), "it may come back");
        assert_eq!(primary.trouble().as_deref(), Some("a:1 is read-only, b:2 does not answer (refused)"));
    }

    #[test]
    fn an_answer_that_comes_late_changes_nothing() {
        let (primary, now) = (primary(), Instant::now());
        primary.heard(now + EVERY, &[none(), Answer::TakesWrites]);
        primary.heard(now, &[Answer::TakesWrites, Answer::ReadOnly]);
        assert_eq!(primary.known().used, Some(1));
    }

    #[test]
    fn renewals_that_follow_each_other_at_once_are_one() {
        let (primary, now) = (primary(), Instant::now());
        primary.renew_at(now);
        primary.renew_at(now + PAUSE / 2);
        assert_eq!(primary.generation(), 1);
        primary.renew_at(now + PAUSE);
        assert_eq!(primary.generation(), 2);
    }
}
