//! The pipeline over an embedded backend of each test's own.

use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicUsize, Ordering};

use coupon_core::catalogue_change::{CatalogueChange, CouponPatch, Operator};
use coupon_core::{
    CouponId, GrabTerms, LayoutVersion, Placement, Plan, RequestKey, ResultId, ResultQuery, ResultState,
    RoomId, UserId, VersionNumber, Versioned,
};
use coupon_store::clock::Clock;
use coupon_store::embedded::{self, Options};
use coupon_store::settings::UnknownUsers;
use coupon_store::{
    Announced, Gate, GateStock, Growing, GrowthError, Layouts, LocalFuture, Moving, NextLayout, VersionRecord,
};

use super::*;

/// The user for whom [`Picky`] has no place, and the one whom it cannot bear.
const HOMELESS: u64 = 2;
const CURSED: u64 = 3;
/// Longer than any test takes.
const MEMORY: Duration = Duration::from_secs(3_600);

/// Has no place for one user, cannot bear another, and counts how often it is asked.
#[derive(Debug, Default)]
struct Picky {
    asked: AtomicUsize,
}

impl ShardingStrategy for Picky {
    fn name(&self) -> &str {
        "picky"
    }
    fn shard_count(&self) -> NonZeroU16 {
        NonZeroU16::MIN
    }
    fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        assert_ne!(row.user.get(), CURSED);
        let place = Placement::single(ShardId::new(0));
        if row.user.get() == HOMELESS { Err(RouteError::RoomOutOfRange(row.room)) } else { Ok(place) }
    }
    fn plan(&self, _query: &ResultQuery) -> Plan {
        Plan::All
    }
}

/// A worker's pipeline over the sample catalogue, whose coupon 1 is on offer.
fn pipeline(data: &std::path::Path, strategy: Arc<Picky>) -> Rc<Batcher> {
    pipeline_with(data, strategy, |backend| backend)
}

/// The same, over a backend that is not quite the embedded one.
fn pipeline_with(
    data: &std::path::Path,
    strategy: Arc<Picky>,
    change: impl FnOnce(Backend) -> Backend,
) -> Rc<Batcher> {
    let clock = Clock::starting_at("2026-11-22T12:00:00Z".parse().unwrap());
    let options = Options {
        data: data.to_owned(),
        readers: NonZeroUsize::MIN,
        max_file_mb: 0,
        shard_backlog: 100,
        shards_prepared: NonZeroU16::MIN,
        room_index: false,
        unknown_users: UnknownUsers::Refuse,
    };
    let backend = Arc::new(change(embedded::open(&options, strategy, &clock).unwrap()));
    let counters = GrabCounters::new(1);
    let limits = BatchLimits { batch_max: 8, in_flight: 1, waiting_max: 8, memory: MEMORY };
    Batcher::new(backend, Arc::new(counters), limits, IdGenerator::new(clock, 0, None))
}

fn by(user: u64) -> Grab {
    let (user, coupon) = (UserId::new(user).unwrap(), CouponId::new(1).unwrap());
    Grab { user, coupon, room: RoomId::new(1).unwrap(), terms: GrabTerms::default(), request: None }
}

/// Runs a test's grabs as a worker does.
fn run<F: Future>(test: impl FnOnce(Rc<Batcher>) -> F) {
    run_with(Arc::default(), test);
}

fn run_with<F: Future>(strategy: Arc<Picky>, test: impl FnOnce(Rc<Batcher>) -> F) {
    let dir = tempfile::tempdir().unwrap();
    actix_web::rt::System::new().block_on(test(pipeline(dir.path(), strategy)));
}

#[test]
fn a_grab_whose_client_hung_up_is_counted_as_it_was_decided() {
    run(async |pipeline: Rc<Batcher>| {
        let mut hung_up = Box::pin(pipeline.grab(by(1)));
        assert!(futures_util::poll!(&mut hung_up).is_pending());
        drop(hung_up);
        assert!(matches!(pipeline.grab(by(4)).await, Ok(GrabDecision::Granted(_))));
        assert!(matches!(pipeline.grab(by(1)).await, Ok(GrabDecision::Duplicate(_))));
        assert_eq!(pipeline.counters.outcome(GrabEnd::Granted), 2);
        assert_eq!(pipeline.counters.outcome(GrabEnd::Duplicate), 1);
    });
}

#[test]
fn what_the_gate_refused_is_forgotten_once_an_operator_changes_the_coupon() {
    run(async |pipeline: Rc<Batcher>| {
        let changed = async |patch| {
            let change = CatalogueChange::ChangeCoupon(CouponId::new(1).unwrap(), patch);
            let ann = Operator::new("ann").unwrap();
            assert!(pipeline.backend.catalogue.change(change, ann).await.unwrap().changed);
        };
        let total = |total| CouponPatch { total_stock: Some(total), ..CouponPatch::default() };
        changed(total(1)).await;
        assert!(matches!(pipeline.grab(by(1)).await, Ok(GrabDecision::Granted(_))));
        for _ in 0..3 {
            assert_eq!(pipeline.grab(by(4)).await, Ok(GrabDecision::OutOfStock));
        }
        changed(total(2)).await;
        assert!(matches!(pipeline.grab(by(4)).await, Ok(GrabDecision::Granted(_))), "there is one more");
        changed(CouponPatch::withdrawal()).await;
        assert_eq!(pipeline.grab(by(5)).await, Ok(GrabDecision::InvalidTime));
    });
}

#[test]
fn a_result_without_a_place_is_refused_for_good_and_takes_no_stock() {
    run(async |pipeline: Rc<Batcher>| {
        let refused = pipeline.grab(by(HOMELESS)).await.unwrap_err();
        assert_eq!(refused, NotDecided::NoPlace(RouteError::RoomOutOfRange(RoomId::new(1).unwrap())));
        let stock = pipeline.backend.gate.stock(CouponId::new(1).unwrap()).await.unwrap().unwrap();
        assert_eq!(stock.sold, 0);
        assert_eq!(pipeline.counters.outcome(GrabEnd::Unavailable), 0);
    });
}

#[test]
fn a_strategy_is_asked_once_a_grab_for_the_place_of_its_result() {
    let strategy = Arc::new(Picky::default());
    run_with(Arc::clone(&strategy), async |pipeline: Rc<Batcher>| {
        for user in [10, 11, 12] {
            assert!(matches!(pipeline.grab(by(user)).await, Ok(GrabDecision::Granted(_))));
        }
        assert_eq!(strategy.asked.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn a_strategy_that_panics_costs_its_batch_and_no_more() {
    run(async |pipeline: Rc<Batcher>| {
        assert!(matches!(pipeline.grab(by(CURSED)).await, Err(NotDecided::Unavailable(_))));
        assert!(matches!(pipeline.grab(by(1)).await, Ok(GrabDecision::Granted(_))));
    });
}

#[test]
fn a_worker_repeats_what_the_gate_refused_and_holders_are_told_what_they_hold() {
    run(async |pipeline: Rc<Batcher>| {
        let stock = pipeline.backend.gate.stock(CouponId::new(1).unwrap()).await.unwrap().unwrap();
        let last = 10 + u64::from(stock.total);
        for user in 10..last {
            assert!(matches!(pipeline.grab(by(user)).await, Ok(GrabDecision::Granted(_))));
        }
        assert_eq!(pipeline.grab(by(last)).await, Ok(GrabDecision::OutOfStock));
        // The holders are read by a separate task.
        tokio::task::yield_now().await;
        let (asked, _) = pipeline.counters.batches();
        assert_eq!(pipeline.grab(by(last + 1)).await, Ok(GrabDecision::OutOfStock));
        assert_eq!(pipeline.counters.batches().0, asked, "the gate was asked again");
        let held = pipeline.grab(by(10)).await.unwrap();
        assert!(matches!(held, GrabDecision::Duplicate(_)), "a holder was told {held:?}");
        assert_eq!(pipeline.counters.batches().0, asked + 1);
        assert_eq!(pipeline.grab(by(10)).await, Ok(held));
        assert_eq!(pipeline.counters.batches().0, asked + 1, "the gate was asked again");
        assert_eq!(pipeline.counters.outcome(GrabEnd::OutOfStock), 2);
        assert_eq!(pipeline.counters.outcome(GrabEnd::Duplicate), 2);
    });
}

/// A grab on terms of its own, by a request that is named.
fn asking(user: u64, user_limit: u8, hold_s: u32, request: &str) -> Grab {
    let terms = GrabTerms { hold_s, user_limit, returnable: false };
    Grab { terms, request: Some(RequestKey::of(request)), ..by(user) }
}

#[test]
fn a_request_asked_for_again_is_told_what_it_was_told_first_and_another_is_another_grab() {
    run(async |pipeline: Rc<Batcher>| {
        let Ok(GrabDecision::Granted(first)) = pipeline.grab(asking(1, 2, 60, "a")).await else { panic!() };
        assert_eq!((first.slot, first.state()), (0, ResultState::Held));
        assert_eq!(first.hold_until, Some(first.id.time().plus_millis(60_000)));
        assert_eq!(pipeline.grab(asking(1, 2, 60, "a")).await, Ok(GrabDecision::Repeated(first.grant())));
        let Ok(GrabDecision::Granted(second)) = pipeline.grab(asking(1, 2, 60, "b")).await else { panic!() };
        assert_eq!((second.slot, second.id > first.id), (1, true));
        assert_eq!(pipeline.grab(asking(1, 2, 60, "c")).await, Ok(GrabDecision::Duplicate(first.id)));
        let counted = |outcome| pipeline.counters.outcome(outcome);
        assert_eq!((counted(GrabEnd::Granted), counted(GrabEnd::Repeated)), (2, 1));
    });
}

#[test]
fn what_is_pending_answers_its_own_request_and_is_a_duplicate_for_any_other() {
    let user = UserId::new(1).unwrap();
    let id = ResultId::from_parts("2026-11-22T12:00:00Z".parse().unwrap(), 1, 2).unwrap();
    let attempt = |name: Option<&str>| Attempt {
        request: name.map(RequestKey::of),
        ..Attempt::plain(user, CouponId::new(1).unwrap(), id)
    };
    for (mine, theirs, granted) in [
        (Some("a"), Some("a"), true),
        (Some("a"), Some("b"), false),
        (Some("a"), None, false),
        (None, Some("a"), false),
        (None, None, true),
    ] {
        let reserved = attempt(theirs).reservation(0);
        let answer = if granted { GrabDecision::Granted(reserved) } else { GrabDecision::Duplicate(id) };
        let next = Next::of(&attempt(mine), Decision::Pending(reserved));
        assert_eq!(next, Next::HandOver(reserved, answer), "{mine:?} {theirs:?}");
    }
}

/// A gate that knows of a version of the layout after the one that it is asked by, as often as it is to.
struct Fenced {
    gate: Box<dyn Gate>,
    version: u32,
}

impl Gate for Fenced {
    fn reserve<'a>(
        &'a self,
        knows: VersionNumber,
        attempts: &'a [Attempt],
    ) -> LocalFuture<'a, Result<Decided, Unavailable>> {
        if knows >= self.version {
            return self.gate.reserve(knows, attempts);
        }
        let decisions = vec![Decision::OtherLayout; attempts.len()];
        Box::pin(std::future::ready(Ok(Decided { decisions, epoch: 1 })))
    }
    fn ready(&self) -> Result<(), Unavailable> {
        self.gate.ready()
    }
    fn epoch(&self, coupon: CouponId) -> Option<u64> {
        self.gate.epoch(coupon)
    }
    fn holders(&self, coupon: CouponId) -> LocalFuture<'_, Option<(u64, Vec<UserId>)>> {
        self.gate.holders(coupon)
    }
    fn stock(&self, coupon: CouponId) -> LocalFuture<'_, Result<Option<GateStock>, Unavailable>> {
        self.gate.stock(coupon)
    }
}

/// Goes by a second version of the layout once it is asked for the latest.
struct Second(Arc<Layouts>, Arc<Picky>);

impl Growing for Second {
    fn catch_up(&self) -> LocalFuture<'_, Result<(), Unavailable>> {
        let first = self.0.now().latest().clone();
        let from = first.from.plus_millis(1);
        let second = LayoutVersion { number: 2, from, strategy: Arc::clone(&self.1) as _, ..first };
        self.0.swap(Versioned::new(vec![first, second]).unwrap());
        Box::pin(std::future::ready(Ok(())))
    }
    fn versions(&self) -> LocalFuture<'_, Result<Vec<VersionRecord>, GrowthError>> {
        unreachable!("no version is asked for")
    }
    fn announce(&self, _: NextLayout, _: Operator) -> LocalFuture<'_, Result<Announced, GrowthError>> {
        unreachable!("nothing is announced")
    }
    fn refuses(&self, _: NextLayout) -> LocalFuture<'_, Result<Option<String>, GrowthError>> {
        unreachable!("nothing is announced")
    }
    fn start_moving(&self, _: NonZeroU32, _: Operator) -> LocalFuture<'_, Result<Moving, GrowthError>> {
        unreachable!("nothing moves")
    }
    fn stop_moving(&self) -> LocalFuture<'_, Result<Option<Moving>, GrowthError>> {
        unreachable!("nothing moves")
    }
    fn moving(&self) -> LocalFuture<'_, Result<Option<Moving>, GrowthError>> {
        unreachable!("nothing moves")
    }
}

#[test]
fn a_grab_that_a_later_version_of_the_layout_places_is_placed_by_it_or_refused_for_now() {
    let dir = tempfile::tempdir().unwrap();
    actix_web::rt::System::new().block_on(async {
        for (version, granted) in [(2, true), (3, false)] {
            let second = Arc::new(Picky::default());
            let dir = dir.path().join(version.to_string());
            let pipeline = pipeline_with(&dir, Arc::default(), |backend| {
                let growth = Second(Arc::clone(&backend.layouts), Arc::clone(&second));
                let gate = Fenced { gate: backend.gate, version };
                Backend { gate: Box::new(gate), growth: Box::new(growth), ..backend }
            });
            let answer = pipeline.grab(by(1)).await;
            assert_eq!(matches!(answer, Ok(GrabDecision::Granted(_))), granted, "{answer:?}");
            // The writer that stores the result looks for its place as well.
            let asked = second.asked.load(Ordering::Relaxed);
            assert!(if granted { asked >= 1 } else { asked == 1 }, "{asked}");
            if !granted {
                assert!(answer.unwrap_err().to_string().contains("the layout"));
            }
        }
    });
}
