//! The right to have batches of rows under way: main's lock of every gate, by which several go at once.
//!
//! A process with a batch under way has that lock: no process fills the gate, or adds coupons to it, while a row is between two
//! shards. Batches of different shards share it for a while, one round. Then no other begins, and once the last of them is done
//! the lock is let go of, so that a process that waits for it has it next.
//!
//! The lock may be lost, as by a process that was frozen, or where main has failed over. So it is asked for once more in each
//! transaction, after that has the shard's row of state; and a process that fills the gate, or adds to it, takes each shard's row
//! of state once after it has the lock: what had that row before is done, and what has it later changes nothing. A batch whose
//! transaction finds the lock lost goes on in a later round: as after a kill, the process that had the lock in between has
//! brought it to where it goes, or left it as it was.

use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use coupon_store::Unavailable;
use coupon_store::moving::MoveError;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, sleep, timeout};

use crate::seam::{BatchLock, DatabaseError, MainServer};

/// The time for which batches may begin by one lock of main's. A process that waits for it waits for this and the last batch,
/// which is less than it has patience for.
const ROUND: Duration = Duration::from_secs(1);
/// The longest that main may take to say whether a lock is still had.
const STILL: Duration = Duration::from_secs(2);
/// The wait before the lock of the gate is asked for again that another process has.
const BUSY: Duration = Duration::from_millis(20);
/// The same while the gate is shut: the process that fills it goes first.
const SHUT: Duration = Duration::from_millis(500);

/// Batches that go by one lock of main's.
pub(super) struct Round {
    began: Instant,
    /// None once it is not known whether it is still had. Its connection goes with it, and the lock with that.
    lock: Mutex<Option<Box<dyn BatchLock>>>,
    /// The next round begins after this one.
    _one: OwnedMutexGuard<()>,
}

impl Round {
    /// Makes sure that its lock is had still.
    async fn check(&self) -> anyhow::Result<()> {
        let mut lock = self.lock.lock().await;
        // A question that is given up half-way would be answered to the next that asks.
        let mut had = lock.take().context("it was not heard of when another batch asked")?;
        timeout(STILL, had.are_open()).await.context("main does not answer")??;
        *lock = Some(had);
        Ok(())
    }

    /// True if its lock is known to be lost. While main is asked that is not known.
    fn is_lost(&self) -> bool {
        self.lock.try_lock().is_ok_and(|lock| lock.is_none())
    }
}

/// The right to have a batch under way.
pub(super) enum Turn {
    /// That of a caller that has main's lock of the gate anyhow.
    OfTheGatekeeper,
    /// That of a batch, by its round; none while it waits for another.
    In(Mutex<Option<Arc<Round>>>),
}

impl Turn {
    /// Makes sure that it is had still.
    pub(super) async fn check(&self) -> anyhow::Result<()> {
        let Self::In(round) = self else { return Ok(()) };
        let round = round.lock().await.clone();
        round.context("its round is over")?.check().await
    }
}

/// Main, as far as it has the lock of the gate.
#[async_trait]
pub(super) trait HasGateLock: Send + Sync {
    /// Takes the lock, unless another process has it.
    async fn lock(&self) -> Result<Option<Box<dyn BatchLock>>, DatabaseError>;
}

#[async_trait]
impl HasGateLock for &dyn MainServer {
    async fn lock(&self) -> Result<Option<Box<dyn BatchLock>>, DatabaseError> {
        self.lock_gates_for_a_batch().await
    }
}

/// Gives out turns.
pub(super) struct Turns<M> {
    main: M,
    current: Mutex<Weak<Round>>,
    one: Arc<Mutex<()>>,
}

impl<M: HasGateLock> Turns<M> {
    pub(super) fn new(main: M) -> Self {
        Self { main, current: Mutex::default(), one: Arc::default() }
    }

    /// Waits for a turn.
    pub(super) async fn next(&self) -> Result<Turn, MoveError> {
        Ok(Turn::In(Mutex::new(Some(self.round().await?))))
    }

    /// Waits for another round for a turn that was lost.
    pub(super) async fn renew(&self, turn: &Turn) -> Result<(), MoveError> {
        let Turn::In(round) = turn else { return Ok(()) };
        let mut round = round.lock().await;
        // Another step of the same batch may have done it.
        if round.as_ref().is_none_or(|round| round.is_lost()) {
            // The next round begins only once no batch is in this one.
            *round = None;
            *round = Some(self.round().await?);
        }
        Ok(())
    }

    /// The round in which batches begin: the next, where that is over.
    async fn round(&self) -> Result<Arc<Round>, MoveError> {
        let mut current = self.current.lock().await;
        let under_way = current.upgrade().filter(|round| round.began.elapsed() < ROUND && !round.is_lost());
        if let Some(round) = under_way {
            return Ok(round);
        }
        let round = Arc::new(self.begin().await?);
        *current = Arc::downgrade(&round);
        Ok(round)
    }

    /// Waits until the round before is over, and begins another.
    async fn begin(&self) -> Result<Round, MoveError> {
        let one = Arc::clone(&self.one).lock_owned().await;
        let main = |error: &dyn std::fmt::Display| Unavailable::new("the main database", error);
        loop {
            let lock = self.main.lock().await;
            let Some(mut lock) = lock.map_err(|error| main(&error))? else {
                sleep(BUSY).await;
                continue;
            };
            if lock.are_open().await.map_err(|error| main(&error))? {
                return Ok(Round { began: Instant::now(), lock: Mutex::new(Some(lock)), _one: one });
            }
            lock.end().await;
            sleep(SHUT).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::*;
    use crate::seam;

    /// One lock, of a gate that is open.
    #[derive(Default)]
    struct Main {
        lock: Arc<Mutex<()>>,
        /// The times that it was given.
        given: AtomicU32,
        /// True while the process that has it gets no answer.
        silent: Arc<AtomicBool>,
    }

    struct Had {
        _lock: OwnedMutexGuard<()>,
        silent: Arc<AtomicBool>,
    }

    #[async_trait]
    impl HasGateLock for &Main {
        async fn lock(&self) -> Result<Option<Box<dyn BatchLock>>, DatabaseError> {
            let Ok(lock) = Arc::clone(&self.lock).try_lock_owned() else { return Ok(None) };
            self.given.fetch_add(1, Ordering::Relaxed);
            Ok(Some(Box::new(Had { _lock: lock, silent: Arc::clone(&self.silent) })))
        }
    }

    #[async_trait]
    impl seam::MainLock for Had {
        async fn end(self: Box<Self>) {}
    }

    #[async_trait]
    impl BatchLock for Had {
        async fn are_open(&mut self) -> anyhow::Result<bool> {
            if self.silent.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            Ok(true)
        }
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn batches_share_a_lock_and_a_process_that_waits_has_it_between_two_rounds() {
        const LASTS: Duration = Duration::from_secs(20);
        let main = Main::default();
        let turns = Turns::new(&main);
        let began = Instant::now();
        // Four shards have one batch after the other; it is never so that none is under way.
        let shard = async |number: u64| {
            sleep(Duration::from_millis(number * 30)).await;
            while began.elapsed() < LASTS {
                let turn = turns.next().await.unwrap();
                sleep(Duration::from_millis(120)).await;
                turn.check().await.unwrap();
            }
        };
        let waits = async {
            let mut had = 0;
            while began.elapsed() < LASTS {
                let lock = Arc::clone(&main.lock).lock_owned().await;
                had += 1;
                sleep(Duration::from_millis(10)).await;
                drop(lock);
                sleep(Duration::from_millis(100)).await;
            }
            had
        };
        let (had, ..) = tokio::join!(waits, shard(0), shard(1), shard(2), shard(3));
        let rounds = main.given.load(Ordering::Relaxed);
        assert!(had >= 10 && rounds <= had + 2, "{had} times in {rounds} rounds");
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn a_lock_that_main_does_not_answer_for_is_had_by_nobody() {
        let main = Main::default();
        let turns = Turns::new(&main);
        let (one, other) = (turns.next().await.unwrap(), turns.next().await.unwrap());
        main.silent.store(true, Ordering::Relaxed);
        assert!(one.check().await.unwrap_err().to_string().contains("does not answer"));
        main.silent.store(false, Ordering::Relaxed);
        other.check().await.unwrap_err();
        // Neither waits for the other's end, and both go on in one round; so does a step of the same batch that asked meanwhile.
        let (renewed, again, others) =
            tokio::join!(turns.renew(&one), turns.renew(&one), turns.renew(&other));
        renewed.and(again).and(others).unwrap();
        one.check().await.unwrap();
        other.check().await.unwrap();
        turns.next().await.unwrap().check().await.unwrap();
        assert_eq!(main.given.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn a_round_whose_lock_was_lost_takes_no_more_batches() {
        let main = Main::default();
        let turns = Turns::new(&main);
        let lost = turns.next().await.unwrap();
        main.silent.store(true, Ordering::Relaxed);
        lost.check().await.unwrap_err();
        main.silent.store(false, Ordering::Relaxed);
        let (next, ()) = tokio::join!(turns.next(), async { drop(lost) });
        next.unwrap().check().await.unwrap();
    }
}
