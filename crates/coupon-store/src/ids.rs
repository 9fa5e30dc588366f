//! Result ids: each worker makes its own, in order, without asking anyone. Names of data sets, leases and markers.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use coupon_core::{ResultId, Timestamp};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::timekeeping::ClockOffset;
use crate::unavailable::Unavailable;

/// A clock that fell further behind the last id than this is not waited for: grabs get 503 until it has caught up.
pub const PATIENCE_MS: i64 = 10_000;

/// A worker number that this process may use for ids of a time, and of no other. Processes that share shards lease
/// theirs from the main database; leases of one number never overlap, so ids made within them never collide.
#[derive(Debug)]
pub struct Lease {
    /// The worker number.
    pub worker: u16,
    /// No id is of this time or a later one; it moves on while the lease is renewed.
    end_ms: AtomicI64,
    /// The last id's time and its number within that millisecond, as one: making the next id moves both at once, so
    /// that even two who share a lease make no id twice.
    last: AtomicI64,
}

impl Lease {
    /// A lease of that number, for that time.
    #[must_use]
    pub const fn new(worker: u16, start: Timestamp, end: Timestamp) -> Self {
        // As if all ids of the first millisecond were taken.
        let last = pack(start.millis(), ResultId::SEQUENCES - 1);
        Self { worker, end_ms: AtomicI64::new(end.millis()), last: AtomicI64::new(last) }
    }

    /// A number that no other process uses, for ids later than this.
    fn own(worker: u16, after: Option<ResultId>) -> Self {
        let start = after.map_or(coupon_core::RESULT_ID_EPOCH, |id| id.time().plus_millis(1));
        Self::new(worker, start, Timestamp::MAX)
    }

    /// Moves its end.
    pub fn extend(&self, end: Timestamp) {
        self.end_ms.fetch_max(end.millis(), Ordering::AcqRel);
    }

    /// Makes no more ids.
    pub fn close(&self) {
        self.end_ms.store(0, Ordering::Release);
    }

    /// The latest time of any id made so far.
    #[must_use]
    pub fn used(&self) -> Timestamp {
        Timestamp::from_millis(unpack(self.last.load(Ordering::Acquire)).0)
    }

    /// The time and the number within it of the id that comes after the last one.
    fn next(&self, last: i64, now: Timestamp) -> Result<(i64, u16), NoId> {
        let (time, sequence) = unpack(last);
        let (time, sequence) = if now.millis() > time {
            (now.millis(), 0)
        } else if time - now.millis() > PATIENCE_MS {
            return Err(NoId::ClockBehind);
        } else if sequence + 1 < ResultId::SEQUENCES {
            (time, sequence + 1)
        } else {
            (time + 1, 0)
        };
        if time >= self.end_ms.load(Ordering::Acquire) { Err(NoId::Ended) } else { Ok((time, sequence)) }
    }

    fn ready(&self, now: Timestamp) -> Result<(), NoId> {
        self.next(self.last.load(Ordering::Acquire), now).map(drop)
    }

    fn make(&self, now: Timestamp) -> Result<ResultId, NoId> {
        let mut last = self.last.load(Ordering::Acquire);
        loop {
            let (time, sequence) = self.next(last, now)?;
            let next = pack(time, sequence);
            match self.last.compare_exchange_weak(last, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    return ResultId::from_parts(Timestamp::from_millis(time), self.worker, sequence)
                        .map_err(|error| NoId::OutOfRange(error.to_string()));
                }
                Err(other) => last = other,
            }
        }
    }
}

/// The reason that there is no id for now.
#[derive(Debug, Clone, PartialEq, Eq)]
enum NoId {
    ClockBehind,
    Ended,
    OutOfRange(String),
}

impl From<NoId> for Unavailable {
    fn from(reason: NoId) -> Self {
        match reason {
            NoId::ClockBehind => Self::new("the clock", "it shows a time well before the latest result's"),
            NoId::Ended => Self::new(
                "the ids",
                "this process's lease of a worker number has ended, and it asks for another",
            ),
            NoId::OutOfRange(error) => Self::new("the clock", error),
        }
    }
}

/// The worker numbers that a process has leased, one a place. The task that keeps them up puts another into the place
/// of one that is lost, and is woken when a lease is found to have ended.
#[derive(Debug)]
pub struct Leased {
    places: Vec<RwLock<Arc<Lease>>>,
    ended: Notify,
    /// The difference between this process's clock and that of the leases. While it is wrong, there are no ids.
    pub(crate) clock_offset: Arc<ClockOffset>,
}

impl Leased {
    /// These numbers, by a clock that is held against main's.
    #[must_use]
    pub fn new(leases: Vec<Lease>, clock_offset: Arc<ClockOffset>) -> Self {
        let places = leases.into_iter().map(|lease| RwLock::new(Arc::new(lease))).collect();
        Self { places, ended: Notify::new(), clock_offset }
    }

    /// The number in each place.
    pub fn all(&self) -> Vec<Arc<Lease>> {
        (0..self.places.len()).filter_map(|place| self.at(place)).collect()
    }

    /// Puts a lease in the place of one that ends.
    pub fn replace(&self, place: usize, lease: Lease) {
        if let Some(place) = self.places.get(place) {
            *place.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(lease);
        }
    }

    /// Has the leases renewed at once.
    pub fn look_again(&self) {
        self.ended.notify_one();
    }

    /// Waits until an id could not be given because a lease has ended.
    pub async fn ended(&self) {
        self.ended.notified().await;
    }

    fn at(&self, place: usize) -> Option<Arc<Lease>> {
        let place = self.places.get(place)?;
        Some(Arc::clone(&place.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Room for a sequence below a time: milliseconds leave as much.
const SEQUENCE_BITS: u32 = ResultId::SEQUENCES.trailing_zeros();

const fn pack(millis: i64, sequence: u16) -> i64 {
    (millis << SEQUENCE_BITS) | sequence as i64
}

const fn unpack(packed: i64) -> (i64, u16) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the mask leaves twelve bits"
    )]
    let sequence = (packed & (ResultId::SEQUENCES as i64 - 1)) as u16;
    (packed >> SEQUENCE_BITS, sequence)
}

/// The source of the ids of a process's workers.
#[derive(Debug, Clone)]
pub enum IdSource {
    /// This process is the only one: its workers are numbered as they come, and make ids later than this.
    Own {
        /// The latest id that is stored.
        after: Option<ResultId>,
    },
    /// Other processes make ids too: each worker uses the lease in its place.
    Leased(Arc<Leased>),
}

impl IdSource {
    /// The ids of a worker of this process, counted from 0. Without a lease it makes none.
    #[must_use]
    pub fn generator(&self, clock: &Clock, worker: u16) -> IdGenerator {
        match self {
            Self::Own { after } => IdGenerator::new(clock.clone(), worker % ResultId::WORKERS, *after),
            Self::Leased(leased) => {
                // A worker that died is replaced by one with a later number, which shares the lease of one that lives.
                let place = usize::from(worker).checked_rem(leased.places.len()).unwrap_or_default();
                leased.generator(clock, place)
            }
        }
    }

    /// The time that all processes go by when this process's clock shows `now`: main's, as far as it is known.
    #[must_use]
    pub fn mains_time(&self, now: Timestamp) -> Timestamp {
        match self {
            Self::Own { .. } => now,
            Self::Leased(leased) => leased.clock_offset.mains(now),
        }
    }
}

impl Leased {
    /// The ids of a place.
    fn generator(self: &Arc<Self>, clock: &Clock, place: usize) -> IdGenerator {
        let ended = || Arc::new(Lease::new(0, coupon_core::RESULT_ID_EPOCH, coupon_core::RESULT_ID_EPOCH));
        let lease = self.at(place).unwrap_or_else(ended);
        IdGenerator { clock: clock.clone(), lease, place: Some((Arc::clone(self), place)) }
    }
}

/// Makes the ids of one worker.
#[derive(Debug)]
pub struct IdGenerator {
    clock: Clock,
    lease: Arc<Lease>,
    /// The place of the next lease once this one has ended.
    place: Option<(Arc<Leased>, usize)>,
}

impl IdGenerator {
    /// Ids of that worker, every one later than `after`.
    #[must_use]
    pub fn new(clock: Clock, worker: u16, after: Option<ResultId>) -> Self {
        Self { clock, lease: Arc::new(Lease::own(worker, after)), place: None }
    }

    /// The next id. When the clock has stepped back a little, ids go on from the last one's time.
    ///
    /// # Errors
    /// [`Unavailable`] when the clock shows a time far before the last id or far from main's, or outside what ids can
    /// hold, and when the lease of the worker number has ended.
    pub fn make(&mut self) -> Result<ResultId, Unavailable> {
        self.try_with(Lease::make)
    }

    /// Says whether it would make an id now, and makes none.
    ///
    /// # Errors
    /// As for [`Self::make`].
    pub fn ready(&mut self) -> Result<(), Unavailable> {
        self.try_with(Lease::ready)
    }

    fn try_with<T>(&mut self, ask: fn(&Lease, Timestamp) -> Result<T, NoId>) -> Result<T, Unavailable> {
        let now = self.clock.now();
        let Some((leased, place)) = &self.place else { return Ok(ask(&self.lease, now)?) };
        leased.clock_offset.check()?;
        // An id's time decides how long a result is held, whichever process made it: it is main's.
        let now = leased.clock_offset.mains(now);
        let refused = match ask(&self.lease, now) {
            Ok(answer) => return Ok(answer),
            Err(refused) => refused,
        };
        // Another number may have come into this place since.
        if let Some(lease) = leased.at(*place).filter(|lease| !Arc::ptr_eq(lease, &self.lease)) {
            self.lease = lease;
            return self.try_with(ask);
        }
        leased.look_again();
        Err(refused.into())
    }
}

/// A name that is unique among those made at the same time: of a data set, a lease or a marker.
pub fn random_name() -> String {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_on_ascending_when_the_clock_steps_back() {
        let clock = Clock::starting_at("2026-11-22T12:00:10Z".parse().unwrap());
        let mut ids = IdGenerator::new(clock.clone(), 3, None);
        let before = ids.make().unwrap();
        clock.set("2026-11-22T12:00:05Z".parse().unwrap());
        let after = ids.make().unwrap();
        assert!(after > before && after.worker() == 3);
    }

    #[test]
    fn a_clock_that_is_far_behind_makes_no_ids() {
        let clock = Clock::starting_at("2026-11-22T12:00:00Z".parse().unwrap());
        let stored = ResultId::from_parts("2026-11-22T13:00:00Z".parse().unwrap(), 0, 0).unwrap();
        assert!(IdGenerator::new(clock, 0, Some(stored)).make().is_err());
    }

    #[test]
    fn a_leased_number_makes_no_id_outside_of_its_lease() {
        let clock = Clock::starting_at("2026-11-22T12:00:05Z".parse().unwrap());
        let (start, end) = ("2026-11-22T12:00:06Z".parse().unwrap(), "2026-11-22T12:00:10Z".parse().unwrap());
        let leased = Arc::new(Leased::new(vec![Lease::new(7, start, end)], Arc::default()));
        let lease = leased.at(0).unwrap();
        let mut ids = IdSource::Leased(Arc::clone(&leased)).generator(&clock, 3);
        let first = ids.make().unwrap();
        assert!(first.time() > start && first.worker() == 7);
        clock.set(end);
        assert!(ids.make().is_err());
        lease.extend(end.plus_millis(1_000));
        assert!(ids.make().unwrap() > first && lease.used() >= end);
        lease.close();
        assert!(ids.ready().is_err() && ids.make().is_err());
        leased.replace(0, Lease::new(8, end, end.plus_millis(1_000)));
        assert_eq!(ids.make().unwrap().worker(), 8, "another number in its place is taken at once");
    }

    #[test]
    fn a_clock_that_is_known_to_be_wrong_makes_no_ids_until_it_agrees_again() {
        let clock = Clock::starting_at("2026-11-22T12:00:05Z".parse().unwrap());
        let (start, end) = (clock.now(), clock.now().plus_millis(600_000));
        let clock_offset = Arc::new(ClockOffset::default());
        let leased = Leased::new(vec![Lease::new(7, start, end)], Arc::clone(&clock_offset));
        let source = IdSource::Leased(Arc::new(leased));
        let mut ids = source.generator(&clock, 0);
        clock_offset.found(3_600_000);
        assert_eq!(
            source.mains_time(start.plus_millis(3_600_000)),
            start,
            "what is marked meanwhile has main's time"
        );
        let refused = ids.make().unwrap_err();
        assert!(refused.what.contains("3600.0 s ahead of the main database's"), "{refused}");
        clock_offset.found(-9_000);
        assert!(ids.make().is_ok());
    }

    #[test]
    fn ids_of_processes_whose_clocks_differ_are_of_main_s_time() {
        let main = "2026-11-22T12:00:05Z".parse().unwrap();
        for ahead_ms in [-9_000, 0, 9_000] {
            let clock_offset = Arc::new(ClockOffset::default());
            clock_offset.found(ahead_ms);
            let lease = Lease::new(7, main, main.plus_millis(600_000));
            let source = IdSource::Leased(Arc::new(Leased::new(vec![lease], clock_offset)));
            let clock = Clock::starting_at(main.plus_millis(1_000 + ahead_ms));
            let id = source.generator(&clock, 0).make().unwrap();
            let late = id.time().millis() - main.plus_millis(1_000).millis();
            assert!((0..5_000).contains(&late), "{ahead_ms} ms ahead: {late} ms late");
        }
    }

    #[test]
    fn two_workers_that_share_a_lease_make_no_id_twice() {
        let clock = Clock::starting_at("2026-11-22T12:00:05Z".parse().unwrap());
        let (start, end) = ("2026-11-22T12:00:00Z".parse().unwrap(), "2026-11-22T12:10:00Z".parse().unwrap());
        let leased = Leased::new(vec![Lease::new(3, start, end)], Arc::default());
        let source = IdSource::Leased(Arc::new(leased));
        let making = [0, 1].map(|worker| {
            let mut ids = source.generator(&clock, worker);
            std::thread::spawn(move || (0..10_000).map(|_| ids.make().unwrap()).collect::<Vec<_>>())
        });
        let made: Vec<ResultId> = making.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let different: std::collections::HashSet<&ResultId> = made.iter().collect();
        assert_eq!(different.len(), 20_000);
    }

    #[test]
    fn ids_are_unique_beyond_what_a_millisecond_holds() {
        let clock = Clock::starting_at("2026-11-22T12:00:00Z".parse().unwrap());
        let mut ids = IdGenerator::new(clock, 0, None);
        let made: Vec<ResultId> = (0..20_000).map(|_| ids.make().unwrap()).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
    }
}
