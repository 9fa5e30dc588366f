//! The laws of a layout that has changed while rows were stored: wherever a row may be by now, a reader comes by.

use std::num::NonZeroU16;
use std::sync::Arc;

use super::{BrokenLaw, HOUR, RandomRows, broken, queries_for};
use crate::random::SplitMix64;
use crate::{
    LayoutChange, LayoutVersion, Placement, Plan, RESULT_ID_EPOCH, ResultQuery, RoomId, RouteError, RowKey,
    ShardingStrategy, TimeRange, Timestamp, Versioned, VisitRound,
};

const ROWS: usize = 60;
/// The beginning of the two years whose rows are tried.
const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const TWO_YEARS_MS: u64 = 2 * 365 * 24 * HOUR as u64;

/// The questions that a list of versions answers, so that tests can have one that answers wrongly.
trait Answers: ShardingStrategy {
    fn versions(&self) -> &[LayoutVersion];
    fn places(&self, row: &RowKey) -> Result<Vec<Placement>, RouteError>;
    fn home(&self, row: &RowKey) -> Result<Placement, RouteError>;
    fn plans(&self, query: &ResultQuery) -> Vec<Plan>;
    fn rounds(&self, query: &ResultQuery) -> Vec<VisitRound>;
}

impl Answers for Versioned {
    fn versions(&self) -> &[LayoutVersion] {
        self.versions()
    }

    fn places(&self, row: &RowKey) -> Result<Vec<Placement>, RouteError> {
        self.places(row)
    }

    fn home(&self, row: &RowKey) -> Result<Placement, RouteError> {
        self.home(row)
    }

    fn plans(&self, query: &ResultQuery) -> Vec<Plan> {
        self.plans(query)
    }

    fn rounds(&self, query: &ResultQuery) -> Vec<VisitRound> {
        self.rounds(query)
    }
}

/// Tests every law of a list of versions over random rows; the same `seed` tests the same rows.
///
/// # Errors
/// The first [`BrokenLaw`] found.
pub fn check_versions(versions: &Versioned, seed: u64) -> Result<(), BrokenLaw> {
    check(versions, seed)
}

/// A list of versions that a layout may have come to have: changed a few times, at random, some of them with rows moved. The
/// same `seed` makes the same list.
///
/// # Panics
/// Never: numbers and times ascend.
#[must_use]
#[expect(clippy::expect_used, reason = "numbers and times ascend by construction")]
pub fn random_versions(first: Arc<dyn ShardingStrategy>, seed: u64) -> Versioned {
    let mut random = RandomRows(SplitMix64::new(seed));
    let mut versions = Vec::new();
    let (mut number, mut from, mut strategy) = (1 + random.below(3) as u32, RESULT_ID_EPOCH, first);
    for _ in 0..=random.below(10) {
        let receives = !versions.is_empty() && random.below(2) == 0;
        versions.push(LayoutVersion { number, from, receives, strategy: Arc::clone(&strategy) });
        number += 1 + random.below(2) as u32;
        from = from.max(START).plus_millis(1 + random.below(TWO_YEARS_MS / 10) as i64);
        // A change that changes nothing here is one more version all the same.
        strategy = random.change().of(&*strategy).unwrap_or(strategy);
    }
    Versioned::new(versions).expect("numbers and times ascend")
}

impl RandomRows {
    fn change(&mut self) -> LayoutChange {
        let count = NonZeroU16::MIN.saturating_add(self.below(9) as u16);
        match self.below(3) {
            0 => LayoutChange::Shards(count),
            1 => LayoutChange::Spread(count),
            _ => LayoutChange::Split(
                (0..count.get()).filter_map(|_| RoomId::new(1 + self.below(100)).ok()).collect(),
            ),
        }
    }
}

fn check<V: Answers>(versions: &V, seed: u64) -> Result<(), BrokenLaw> {
    let mut random = RandomRows(SplitMix64::new(seed));
    for _ in 0..ROWS {
        let row = random.row_near(versions.versions());
        let places = places(versions, &row)?;
        written_by_the_version_in_force(versions, &row, &places)?;
        places_are_those_that_it_may_be_moved_to(versions, &row, &places)?;
        tables_are_made_ahead(versions, &row, &places)?;
        for query in queries_for(&row, &mut random) {
            let (whole, rounds) = (versions.whole(), versions.rounds(&query));
            let plans: Vec<VisitRound> =
                versions.plans(&query).into_iter().map(|plan| VisitRound { plan, whole }).collect();
            passed_by_a_reader(versions, &row, &places, &query, &plans)?;
            passed_by_a_reader(versions, &row, &places, &query, &rounds)?;
            plans_are_made_in_as_few_rounds_as_may_be(versions, &query, &rounds)?;
        }
    }
    Ok(())
}

impl RandomRows {
    /// A row of any time, or of about the time when a version came into force.
    fn row_near(&mut self, versions: &[LayoutVersion]) -> RowKey {
        let row = self.row();
        let at = self.below(2 * versions.len() as u64) as usize;
        let near = versions.get(at).map(|version| version.from.plus_millis(self.below(3) as i64 - 1));
        RowKey { time: near.unwrap_or(row.time).max(RESULT_ID_EPOCH), ..row }
    }
}

fn places<V: Answers>(versions: &V, row: &RowKey) -> Result<Vec<Placement>, BrokenLaw> {
    let none = |error: RouteError| broken(versions, "every row has a place", format!("{row:?}: {error}"));
    versions.places(row).map_err(none)
}

/// The version by which a row of that time is written, by the plainest of searches.
fn in_force(versions: &[LayoutVersion], time: Timestamp) -> Option<&LayoutVersion> {
    let mut in_force = versions.first()?;
    for version in versions {
        if version.from <= time {
            in_force = version;
        }
    }
    Some(in_force)
}

fn written_by_the_version_in_force<V: Answers>(
    versions: &V,
    row: &RowKey,
    places: &[Placement],
) -> Result<(), BrokenLaw> {
    const LAW: &str = "a row is written where the version in force at its time says";
    let wanted = in_force(versions.versions(), row.time).map(|version| version.strategy.place(row));
    let written = versions.place(row);
    if wanted.as_ref() == Some(&written) && (places.len() > 1 || written.as_ref().ok() == places.first()) {
        return Ok(());
    }
    Err(broken(versions, LAW, format!("{row:?}: {written:?}, and not {wanted:?}")))
}

/// From where it is written to its home, in the order of the versions that receive rows. A place that a later move leads back to
/// counts as the later one.
fn places_are_those_that_it_may_be_moved_to<V: Answers>(
    versions: &V,
    row: &RowKey,
    places: &[Placement],
) -> Result<(), BrokenLaw> {
    const LAW: &str = "a row's places are where it is written and wherever it may have been moved";
    let Some(written) = in_force(versions.versions(), row.time) else { return Ok(()) };
    let on_its_way = |version: &&LayoutVersion| {
        version.number == written.number || version.receives && version.number > written.number
    };
    let all: Vec<Placement> = versions
        .versions()
        .iter()
        .filter(on_its_way)
        .filter_map(|version| version.strategy.place(row).ok())
        .collect();
    let last_of = |(at, place): (usize, &Placement)| {
        let again = all.iter().skip(at + 1).any(|later| later == place);
        (!again).then_some(*place)
    };
    let wanted: Vec<Placement> = all.iter().enumerate().filter_map(last_of).collect();
    if wanted == places && versions.home(row).ok() == wanted.last().copied() {
        return Ok(());
    }
    let home = versions.home(row);
    Err(broken(versions, LAW, format!("{row:?}: {places:?}, at home {home:?}, and not {wanted:?}")))
}

/// Only for the rooms a catalogue would have: a strategy cannot name tables for every room there could be.
fn tables_are_made_ahead<V: Answers>(
    versions: &V,
    row: &RowKey,
    places: &[Placement],
) -> Result<(), BrokenLaw> {
    const LAW: &str = "the tables of a row's places are made ahead, on shards below the count";
    let (count, tables) = (versions.shard_count().get(), versions.tables(TimeRange::at(row.time)));
    let made = |place: &&Placement| row.room.get() > 100 || tables.contains(place);
    match places.iter().find(|place| place.shard.number() >= count || !made(place)) {
        None => Ok(()),
        Some(place) => Err(broken(versions, LAW, format!("{row:?}: {place}"))),
    }
}

/// A row may be moved between two visits. So the visits must come to its places in the order in which it does, each with a
/// plan of its own: it cannot slip past them. Each plan must also be made of enough shards, of which "all" may be visited.
fn passed_by_a_reader<V: Answers>(
    versions: &V,
    row: &RowKey,
    places: &[Placement],
    query: &ResultQuery,
    plans: &[VisitRound],
) -> Result<(), BrokenLaw> {
    const LAW: &str = "every plan that covers a row visits its places in the order in which it comes to them";
    let mut rest = plans.iter();
    let visits = |round: &VisitRound, place: Placement| {
        place.shard.number() < round.whole.lanes().get() && round.plan.visits(place)
    };
    if places.iter().all(|place| rest.any(|round| visits(round, *place))) {
        return Ok(());
    }
    let example = format!("{row:?} comes to {places:?}, but {query:?} visits {plans:?}");
    Err(broken(versions, LAW, example))
}

fn plans_are_made_in_as_few_rounds_as_may_be<V: Answers>(
    versions: &V,
    query: &ResultQuery,
    rounds: &[VisitRound],
) -> Result<(), BrokenLaw> {
    const LAW: &str = "plans are made in as many rounds as versions receive rows, and one";
    let receive = versions.versions().iter().filter(|version| version.receives).count();
    if rounds.len() <= receive + 1 {
        return Ok(());
    }
    Err(broken(versions, LAW, format!("{query:?}: {rounds:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ResultQuery, ShardId, Whole};

    /// One shard for all, which changes its number with each version.
    #[derive(Debug)]
    struct Alone(u16);

    impl ShardingStrategy for Alone {
        fn name(&self) -> &str {
            "alone"
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
        fn tables(&self, _window: TimeRange) -> Vec<Placement> {
            vec![Placement::single(ShardId::new(self.0))]
        }
    }

    fn version(number: u32, hour: i64, receives: bool, shard: u16) -> LayoutVersion {
        let from = if number == 1 { RESULT_ID_EPOCH } else { START.plus_millis(hour * HOUR) };
        LayoutVersion { number, from, receives, strategy: Arc::new(Alone(shard)) }
    }

    /// Rows of the first version are moved to the third, by way of the second; those of the last stay.
    fn four() -> Versioned {
        let versions = vec![
            version(1, 0, false, 0),
            version(2, 1_000, true, 1),
            version(3, 2_000, true, 2),
            version(4, 3_000, false, 3),
        ];
        Versioned::new(versions).unwrap()
    }

    /// A list of versions that answers one question wrongly.
    #[derive(Debug)]
    struct Mutant(Versioned, Fault);

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Fault {
        None,
        LatestFirst,
        ForgetsTheFirstPlan,
        ClipsWhatReceives,
        OnePlanForAll,
        OneRoundForAll,
        ARoundForEach,
        ForgetsAShard,
        WritesByTheLatest,
        WritesByTheFirst,
        SkipsOnTheWay,
        HomeIsTheLatest,
        MakesTheLatestTables,
    }

    impl ShardingStrategy for Mutant {
        fn name(&self) -> &str {
            "mutant"
        }
        fn shard_count(&self) -> NonZeroU16 {
            self.0.shard_count()
        }
        fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
            match self.1 {
                Fault::WritesByTheLatest => self.0.latest().strategy.place(row),
                Fault::WritesByTheFirst => self.0.versions()[0].strategy.place(row),
                _ => self.0.place(row),
            }
        }
        fn plan(&self, query: &ResultQuery) -> Plan {
            self.0.plan(query)
        }
        fn tables(&self, window: TimeRange) -> Vec<Placement> {
            match self.1 {
                Fault::MakesTheLatestTables => self.0.latest().strategy.tables(window),
                _ => self.0.tables(window),
            }
        }
    }

    impl Answers for Mutant {
        fn versions(&self) -> &[LayoutVersion] {
            self.0.versions()
        }
        fn places(&self, row: &RowKey) -> Result<Vec<Placement>, RouteError> {
            let mut places = self.0.places(row)?;
            if self.1 == Fault::SkipsOnTheWay && places.len() > 2 {
                places.remove(1);
            }
            Ok(places)
        }
        fn home(&self, row: &RowKey) -> Result<Placement, RouteError> {
            match self.1 {
                Fault::HomeIsTheLatest => self.0.latest().strategy.place(row),
                _ => self.0.home(row),
            }
        }
        fn plans(&self, query: &ResultQuery) -> Vec<Plan> {
            let mut plans = self.0.plans(query);
            match self.1 {
                Fault::LatestFirst => plans.reverse(),
                Fault::ForgetsTheFirstPlan if plans.len() > 1 => drop(plans.remove(0)),
                Fault::OnePlanForAll => plans = vec![Plan::union(plans)],
                Fault::ClipsWhatReceives => {
                    let mut versions = self.0.versions().to_vec();
                    versions.iter_mut().for_each(|version| version.receives = false);
                    plans = Versioned::new(versions).unwrap().plans(query);
                }
                _ => {}
            }
            plans
        }
        fn rounds(&self, query: &ResultQuery) -> Vec<VisitRound> {
            let whole = self.0.whole();
            match self.1 {
                Fault::OneRoundForAll => self.0.at_once(query).into_iter().collect(),
                Fault::ARoundForEach => {
                    self.0.plans(query).into_iter().map(|plan| VisitRound { plan, whole }).collect()
                }
                Fault::ForgetsAShard => {
                    let fewer = |round: VisitRound| {
                        let shards =
                            NonZeroU16::new(round.whole.lanes().get() - 1).unwrap_or(NonZeroU16::MIN);
                        VisitRound { whole: Whole::Shards(shards), ..round }
                    };
                    self.0.rounds(query).into_iter().map(fewer).collect()
                }
                _ => Answers::rounds(&self.0, query),
            }
        }
    }

    #[test]
    fn a_list_that_keeps_the_laws_passes() {
        check_versions(&four(), 1).unwrap();
        check(&Mutant(four(), Fault::None), 1).unwrap();
    }

    #[test]
    fn each_broken_law_is_found() {
        let visits = "every plan that covers a row visits its places in the order in which it comes to them";
        let written = "a row is written where the version in force at its time says";
        let places = "a row's places are where it is written and wherever it may have been moved";
        for (fault, law) in [
            (Fault::LatestFirst, visits),
            (Fault::ForgetsTheFirstPlan, visits),
            (Fault::ClipsWhatReceives, visits),
            (Fault::OnePlanForAll, visits),
            (Fault::OneRoundForAll, visits),
            (Fault::ForgetsAShard, visits),
            (Fault::ARoundForEach, "plans are made in as many rounds as versions receive rows, and one"),
            (Fault::WritesByTheLatest, written),
            (Fault::WritesByTheFirst, written),
            (Fault::SkipsOnTheWay, places),
            (Fault::HomeIsTheLatest, places),
            (
                Fault::MakesTheLatestTables,
                "the tables of a row's places are made ahead, on shards below the count",
            ),
        ] {
            let found = check(&Mutant(four(), fault), 1).err().map(|broken| broken.law);
            assert_eq!(found, Some(law), "{fault:?}");
        }
    }

    #[test]
    fn a_list_whose_first_versions_were_closed_keeps_the_laws() {
        let rest = four().versions()[1..].to_vec();
        check_versions(&Versioned::new(rest).unwrap(), 2).unwrap();
    }

    #[test]
    fn lists_at_random_are_long_and_short_and_some_receive_rows() {
        let lists: Vec<Versioned> = (0..40).map(|seed| random_versions(Arc::new(Alone(0)), seed)).collect();
        assert!(lists.iter().any(|list| list.versions().len() == 1));
        assert!(lists.iter().any(|list| list.versions().len() == 10));
        assert!(lists.iter().any(|list| list.latest().receives));
    }
}
