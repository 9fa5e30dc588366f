//! Questions about rows that are moved from one shard to another while they are asked.

mod two_shards;

use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Mutex;

use coupon_core::after_grab::{Action, Actor};
use coupon_core::{
    LayoutVersion, Plan, RESULT_ID_EPOCH, ResultState, RouteError, RowKey, ShardingStrategy, Versioned, Whole,
};
use coupon_store::clock::Clock;
use coupon_store::embedded::{self, Options};
use coupon_store::settings::UnknownUsers;
use coupon_store::{Change, Layouts, PageRequest, RoomIndex};

use self::two_shards::{Event, Index, Two, moved, two};

use super::*;

/// Everything on one shard.
#[derive(Debug)]
pub(crate) struct On(pub(crate) u16);

impl ShardingStrategy for On {
    fn name(&self) -> &str {
        "on"
    }
    fn shard_count(&self) -> NonZeroU16 {
        NonZeroU16::MIN.saturating_add(self.0)
    }
    fn place(&self, _row: &RowKey) -> Result<Placement, RouteError> {
        Ok(Placement::single(ShardId::new(self.0)))
    }
    fn plan(&self, _query: &ResultQuery) -> Plan {
        Plan::One(Placement::single(ShardId::new(self.0)))
    }
}

/// Users by their parity, in two lanes of an engine.
#[derive(Debug)]
struct InLanes;

impl ShardingStrategy for InLanes {
    fn name(&self) -> &str {
        "in lanes"
    }
    fn shard_count(&self) -> NonZeroU16 {
        NonZeroU16::new(2).unwrap()
    }
    fn whole(&self) -> Whole {
        Whole::Planned(self.shard_count())
    }
    fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
        Ok(Placement::single(ShardId::new((row.user.get() % 2) as u16)))
    }
    fn plan(&self, query: &ResultQuery) -> Plan {
        let lane = |user: UserId| Placement::single(ShardId::new((user.get() % 2) as u16));
        query.user.map_or(Plan::All, |user| Plan::One(lane(user)))
    }
}

/// Rows of before are moved from shard 0 to shard 1, or are not.
fn two_versions(receives: bool) -> Versioned {
    let version = |number, from, receives, shard| LayoutVersion {
        number,
        from,
        receives,
        strategy: Arc::new(On(shard)),
    };
    let second = version(2, now(), receives, 1);
    Versioned::new(vec![version(1, RESULT_ID_EPOCH, false, 0), second]).unwrap()
}

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// The time after all rows have been stored.
fn later() -> Timestamp {
    now().plus_millis(60_000)
}

fn row(number: u16) -> CouponResult {
    let (worker, sequence) = (1 + number / ResultId::SEQUENCES, number % ResultId::SEQUENCES);
    let id = ResultId::from_parts(now().plus_millis(-3_600_000), worker, sequence).unwrap();
    let (user, coupon) = (UserId::new(1).unwrap(), CouponId::new(1).unwrap());
    CouponResult::granted(id, user, coupon, RoomId::new(1).unwrap())
}

/// Asks something of these shards, whose layout has these versions.
fn ask<T>(versions: Versioned, two: Two, ask: impl AsyncFnOnce(Queries) -> T) -> T {
    ask_by(Layouts::new(versions, NonZeroU16::new(2).unwrap()), two, ask)
}

fn ask_by<T>(layouts: Layouts, two: Two, ask: impl AsyncFnOnce(Queries) -> T) -> T {
    ask_with(layouts, two, None, ask)
}

fn ask_with<T>(
    layouts: Layouts,
    two: Two,
    room_index: Option<Box<dyn RoomIndex>>,
    ask: impl AsyncFnOnce(Queries) -> T,
) -> T {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        data: dir.path().to_owned(),
        readers: NonZeroUsize::MIN,
        max_file_mb: 0,
        shard_backlog: 100,
        shards_prepared: NonZeroU16::MIN,
        room_index: false,
        unknown_users: UnknownUsers::Refuse,
    };
    // But for its shards it is a backend like any other.
    let mut backend = embedded::open(&options, Arc::new(On(0)), &Clock::starting_at(later())).unwrap();
    backend.layouts = Arc::new(layouts);
    backend.shards = Box::new(two);
    backend.room_index = room_index;
    let queries = Queries::new(Arc::new(backend), Duration::from_secs(5));
    actix_web::rt::System::new().block_on(ask(queries))
}

#[test]
fn rows_that_are_moved_between_two_visits_are_found_and_listed_once() {
    for visit in 0..=2 {
        let shards = || two([vec![row(1), row(2)], vec![row(3)]], vec![(visit, Box::new(moved))]);
        let found = ask(two_versions(true), shards(), async |queries| {
            queries.find(row(1).result_id, None, later()).await.unwrap().0
        });
        assert_eq!(found.unwrap().1, row(1), "moved before visit {visit}");
        let page = ask(two_versions(true), shards(), async |queries| {
            let page = PageRequest { before: None, limit: 10 };
            queries.page(ResultQuery::everything(), page, later()).await.unwrap()
        });
        assert_eq!(page.items, [row(3), row(2), row(1)], "moved before visit {visit}");
        assert!(page.answered.moving && page.answered.missing.is_empty());
        assert_eq!(page.answered.shards, [ShardId::new(0), ShardId::new(1)]);
    }
}

#[test]
fn a_full_page_of_rows_found_twice_is_followed_by_more() {
    let rows = || vec![row(1), row(2), row(3)];
    let page = ask(two_versions(true), two([rows(), rows()], Vec::new()), async |queries| {
        let page = PageRequest { before: None, limit: 2 };
        queries.page(ResultQuery::everything(), page, later()).await.unwrap()
    });
    assert_eq!((page.items, page.next), (vec![row(3), row(2)], Some(row(2).result_id)));
}

/// The pages of results in a state, of a list of so many that alternate between two shards.
fn pages_in(state: ResultState, rows: &[CouponResult], limit: usize) -> Vec<Vec<CouponResult>> {
    let of_shard = |shard| rows.iter().skip(shard).step_by(2).copied().collect();
    ask(two_versions(true), two([of_shard(0), of_shard(1)], Vec::new()), async |queries| {
        let query = ResultQuery { state: Some(state), ..ResultQuery::everything() };
        let (mut pages, mut before) = (Vec::new(), None);
        loop {
            let page = queries.page(query, PageRequest { before, limit }, later()).await.unwrap();
            pages.push(page.items);
            before = page.next;
            if before.is_none() {
                return pages;
            }
        }
    })
}

#[test]
fn a_page_in_a_state_looks_at_so_many_results_and_the_next_goes_on_there() {
    let held = |number| CouponResult { state: ResultState::Held, ..row(number) };
    let rows: Vec<CouponResult> = (1..=12_000).map(row).collect();
    assert_eq!(pages_in(ResultState::Held, &rows, 10), vec![Vec::new(); 3], "there is none");
    // The very first, and one at which the first page stops looking.
    let mut rows = rows;
    for number in [1, 12_001 - page::LOOKED_AT as u16] {
        rows[usize::from(number) - 1] = held(number);
    }
    let pages = pages_in(ResultState::Held, &rows, 10);
    assert_eq!(pages, [vec![held(7_001)], vec![], vec![held(1)]]);
}

#[test]
fn the_pages_in_a_state_are_together_what_is_in_it() {
    let state = |number: u16| if number.is_multiple_of(3) { ResultState::Used } else { ResultState::Owned };
    let rows: Vec<CouponResult> =
        (1..=600).map(|number| CouponResult { state: state(number), ..row(number) }).collect();
    for (wanted, limit) in [(ResultState::Used, 7), (ResultState::Used, 200), (ResultState::Owned, 399)] {
        let pages = pages_in(wanted, &rows, limit);
        let all: Vec<CouponResult> = rows.iter().rev().filter(|row| row.state == wanted).copied().collect();
        assert_eq!(pages.concat(), all, "{limit}");
        assert!(pages.iter().all(|page| page.len() <= limit));
    }
}

#[test]
fn what_may_lie_where_nobody_looked_is_not_called_absent() {
    let layouts = || Layouts::new(two_versions(false), NonZeroU16::new(2).unwrap()).good_for(Duration::ZERO);
    let rows = || two([vec![row(1)], Vec::new()], Vec::new());
    let absent =
        ask_by(layouts(), rows(), async |queries| queries.find(row(2).result_id, None, later()).await);
    assert!(absent.unwrap_err().to_string().contains("layout"));
    let found =
        ask_by(layouts(), rows(), async |queries| queries.find(row(1).result_id, None, later()).await);
    assert_eq!(found.unwrap().0.unwrap().1, row(1));
    let page = ask_by(layouts(), rows(), async |queries| {
        let page = PageRequest { before: None, limit: 10 };
        queries.page(ResultQuery::everything(), page, later()).await.unwrap()
    });
    assert!(page.answered.is_partial() && page.answered.missing.is_empty());
}

#[test]
fn of_two_copies_the_one_counts_that_is_found_later() {
    let used = CouponResult { state: ResultState::Used, ..row(1) };
    let copies = || two([vec![row(1)], vec![used]], Vec::new());
    let found = ask(two_versions(true), copies(), async |queries| {
        queries.find(row(1).result_id, None, later()).await.unwrap().0.unwrap()
    });
    assert_eq!(found, (Placement::single(ShardId::new(1)), used));
    let page = ask(two_versions(true), copies(), async |queries| {
        let page = PageRequest { before: None, limit: 10 };
        queries.page(ResultQuery::everything(), page, later()).await.unwrap()
    });
    assert_eq!(page.items, [used]);
}

#[test]
fn a_copy_does_not_count_while_a_later_one_may_be_on_a_shard_that_is_missing() {
    for (receives, down, found) in [(true, 1, false), (true, 0, true), (false, 1, true)] {
        let down = Some(ShardId::new(down));
        let copies = Two { down, ..two([vec![row(1)], vec![row(1)]], Vec::new()) };
        let looked = ask(two_versions(receives), copies, async |queries| {
            queries.find(row(1).result_id, None, later()).await
        });
        assert_eq!(
            looked.is_ok_and(|(found, _)| found.is_some()),
            found,
            "{down:?} is down, moving: {receives}"
        );
    }
}

#[test]
fn a_step_follows_its_row_to_where_it_was_moved() {
    let change = || {
        let (user, id) = (row(1).user_id, row(1).result_id);
        Change { user, id, action: Action::Return, time: later() }
    };
    // The row is looked for at both shards, and moved before it is changed.
    let moving = two([vec![row(1)], Vec::new()], vec![(2, Box::new(moved))]);
    let outcome = ask(two_versions(true), moving, async |queries| {
        queries.change(Actor::Operator, change(), |_| Ok(())).await
    });
    assert!(matches!(outcome, Ok(StepResult::Done(result, _)) if result.state == ResultState::Returned));
    let away: Event = Box::new(|rows| rows[1].clear());
    let back: fn() -> Event = || Box::new(|rows| rows[1] = vec![row(1)]);
    let never_there =
        two([Vec::new(), vec![row(1)]], vec![(2, away), (3, back()), (5, Box::new(|rows| rows[1].clear()))]);
    let outcome = ask(two_versions(true), never_there, async |queries| {
        queries.change(Actor::Operator, change(), |_| Ok(())).await
    });
    assert!(outcome.is_err(), "it is somewhere, and nobody may say that it is not: {outcome:?}");
    let gone = two([vec![row(1)], Vec::new()], vec![(2, Box::new(|rows| rows[0].clear()))]);
    let outcome = ask(two_versions(true), gone, async |queries| {
        queries.change(Actor::Operator, change(), |_| Ok(())).await
    });
    assert!(matches!(outcome, Ok(StepResult::NotFound)), "{outcome:?}");
}

#[test]
fn sums_ask_each_shard_once_and_say_that_rows_are_moving() {
    for receives in [false, true] {
        let shards = two([vec![row(1), row(2)], vec![row(3)]], Vec::new());
        let (sum, answered) = ask(two_versions(receives), shards, async |queries| {
            queries.summary(ResultQuery::everything(), later()).await.unwrap()
        });
        assert_eq!((sum.results, answered.tables, answered.moving), (3, 2, receives));
    }
}

#[test]
fn an_engines_whole_is_one_visit_and_its_rows_are_in_their_lanes() {
    let lanes = || two([vec![row(1)], vec![row(2)]], Vec::new());
    let versions = || Versioned::first(Arc::new(InLanes));
    let both = [0, 1].map(ShardId::new);
    ask(versions(), lanes(), async |queries| {
        let (found, answered) = queries.find(row(1).result_id, None, later()).await.unwrap();
        // Whatever it was found with, it is changed in its user's lane.
        assert_eq!(found, Some((Placement::single(ShardId::new(1)), row(1))));
        assert_eq!((&*answered.shards, answered.timings.len()), (&both[..], 1));
        let page = PageRequest { before: None, limit: 10 };
        let page = queries.page(ResultQuery::everything(), page, later()).await.unwrap();
        assert_eq!((page.items, page.answered.tables), (vec![row(2), row(1)], 1));
        let (sums, _) = queries.totals(true, later()).await.unwrap();
        assert_eq!(
            sums.iter().map(|(place, sum)| (*place, sum.results)).collect::<Vec<_>>(),
            [(Place::Whole, 2)]
        );
        let (kept, answered) = queries.totals(false, later()).await.unwrap();
        assert_eq!(kept.iter().map(|(place, _)| *place).collect::<Vec<_>>(), both.map(Place::Lane));
        assert_eq!(answered.timings.len(), 2);
        let (_, answered) = queries.held(later()).await.unwrap();
        assert_eq!(answered.timings.len(), 2);
    });
    let down = Two { down: Some(both[0]), ..lanes() };
    ask(versions(), down, async |queries| {
        let page = PageRequest { before: None, limit: 10 };
        assert!(queries.page(ResultQuery::everything(), page, later()).await.is_err());
        let user = ResultQuery::of_user(row(1).user_id);
        assert_eq!(queries.page(user, page, later()).await.unwrap().answered.shards, [both[1]]);
        let (kept, answered) = queries.totals(false, later()).await.unwrap();
        assert_eq!((kept.len(), &*answered.missing), (1, &both[..1]));
    });
    let lacks = Two { lacks: vec![both[0]], ..lanes() };
    ask(versions(), lacks, async |queries| {
        let page = PageRequest { before: None, limit: 10 };
        let answered = queries.page(ResultQuery::everything(), page, later()).await.unwrap().answered;
        assert_eq!((answered.is_partial(), &*answered.missing), (true, &both[..1]));
        assert!(queries.find(row(1).result_id, None, later()).await.unwrap().0.is_some());
        assert!(queries.find(row(9).result_id, None, later()).await.is_err(), "it may be what is missing");
    });
}

#[test]
fn an_index_that_does_not_answer_is_done_without_and_one_that_does_says_how_old_it_is() {
    let rows = || two([vec![row(1)], vec![row(2)]], Vec::new());
    for index in [None, Some(row(3))] {
        let layouts = Layouts::new(two_versions(true), NonZeroU16::new(2).unwrap());
        let (page, summary) = ask_with(layouts, rows(), Some(Box::new(Index(index))), async |queries| {
            let (query, page) =
                (ResultQuery::of_room(row(1).room_id), PageRequest { before: None, limit: 9 });
            let page = queries.page(query, page, later()).await.unwrap();
            (page, queries.summary(query, later()).await.unwrap().0)
        });
        let (expected, shards, as_of) = match index {
            Some(row) => (vec![row], 1, now()),
            None => (vec![row(2), row(1)], 2, later()),
        };
        assert_eq!(summary.results, expected.len() as u64);
        assert_eq!((page.items, page.answered.shards.len(), page.answered.as_of), (expected, shards, as_of));
    }
}

#[test]
fn a_question_during_which_the_layout_changes_is_asked_again() {
    let layouts: Arc<Mutex<Option<Arc<Layouts>>>> = Arc::default();
    let theirs = Arc::clone(&layouts);
    // By the list of before only shard 0 is asked for what was grabbed an hour ago.
    let change: Event = Box::new(move |rows| {
        moved(rows);
        theirs.lock().unwrap().as_ref().unwrap().swap(two_versions(true));
    });
    let shards = two([vec![row(1)], Vec::new()], vec![(0, change)]);
    let found = ask(two_versions(false), shards, async |queries| {
        *layouts.lock().unwrap() = Some(Arc::clone(&queries.backend.layouts));
        queries.find(row(1).result_id, None, later()).await.unwrap().0
    });
    assert_eq!(found.unwrap().0, Placement::single(ShardId::new(1)));
}
