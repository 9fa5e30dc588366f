//! The gain from two decisions of a scatter, by plain statements over bare connections: that every shard is given the
//! number of rows wanted and the row before them, and that all shards are asked at once.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use coupon_core::schema::Dialect;
use coupon_loadgen::workload::CatalogueSpec;
use coupon_measure::Turns;
use coupon_measure::random::Random;
use coupon_measure::stats::estimate;
use coupon_store::statements;
use mysql_async::Row as Answer;

use super::super::context::{Context, SHARDS, Store};
use super::super::model::{Bound, Claim, Findings, Measurement, NamedFigure};
use super::super::section::Section;
use super::raw::{Question, Raw};

pub(super) const SECTION: Section = Section {
    name: "gains",
    family: "gains",
    what: "pages of all shards with and without a limit, at once and one shard after the other",
    servers: true,
    claims,
    run,
};

/// Rows of a page.
const PAGE: usize = 20;
/// Rows before it: a page that a person scrolls to.
const BEFORE: usize = 10 * PAGE;
/// The stream of random numbers that rooms are drawn from.
const STREAM: u64 = 0x9a1f;

fn claims() -> Vec<Claim> {
    vec![
        Claim::ratio(
            "limit-gain",
            "p50 of a room's eleventh page of 20, every row of the room fetched from each shard ÷ 20 after a cursor",
            "LIMIT and a keyset cursor pushed down to each shard",
            Bound::AtLeast(1.0),
        ),
        Claim::ratio(
            "parallel-gain",
            "p50 of that page with limit and cursor, one shard after the other ÷ all at once",
            "all shards at once",
            Bound::AtLeast(1.0),
        ),
    ]
}

/// The ways to get a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Each shard is given the limit and the last row of the page before; all at once.
    Pushed,
    /// The same, one shard after the other.
    InTurn,
    /// Each shard gives all pages up to this one.
    Offset,
    /// Each shard gives all rows of the room.
    Everything,
}

const WAYS: [Way; 4] = [Way::Pushed, Way::InTurn, Way::Offset, Way::Everything];

/// The position of a row in the order of a page.
type Position = (i64, i64);

fn run(context: &mut Context) -> Result<Findings> {
    let (rounds, seed, pages) = (context.rounds(), context.seed, if context.quick { 10 } else { 30 });
    let mut raw = Raw::to_shards(context.history("hash", Store::Servers)?)?;
    let (mut random, mut turns) = (Random::new(seed, STREAM), Turns::new(seed));
    let mut medians = WAYS.map(|_| Vec::new());
    for round in 1..=rounds {
        context.progress(format!("round {round}"));
        let mut times = WAYS.map(|_| Vec::new());
        for _ in 0..pages {
            let room = i64::try_from(random.below(CatalogueSpec::default().rooms))? + 1;
            one_page(&mut raw, room, &mut turns, &mut times)?;
        }
        for (medians, times) in medians.iter_mut().zip(&times) {
            medians.push(estimate(times).context("pages were asked for")?.median);
        }
    }
    Ok(measured(&medians).into())
}

fn measured([pushed, in_turn, offset, everything]: &[Vec<f64>; 4]) -> Vec<Measurement> {
    let over = |above: &[f64]| -> Vec<f64> { above.iter().zip(pushed).map(|(a, b)| a / b).collect() };
    let figure = |what: &'static str, values: &[f64]| NamedFigure::of(what, "ms", values);
    let with_limit = figure("limit and cursor, all shards at once", pushed);
    let limit = vec![
        with_limit.clone(),
        figure("limit alone, all pages up to this one", offset),
        figure("every row of the room", everything),
    ];
    let parallel = vec![with_limit, figure("limit and cursor, one shard after the other", in_turn)];
    vec![
        Measurement::new("limit-gain", over(everything)).figures(limit),
        Measurement::new("parallel-gain", over(in_turn)).figures(parallel),
    ]
}

/// Gets one page in every way, in an order drawn anew. All must give the same rows.
fn one_page(raw: &mut Raw, room: i64, turns: &mut Turns, times: &mut [Vec<f64>; 4]) -> Result<()> {
    // The first to ask would find less in the servers' memory than the others.
    let (_, all) = page(raw, Way::Everything, room, None)?;
    let after = *all.get(BEFORE - 1).with_context(|| format!("room {room} has too few rows"))?;
    let wanted: Vec<Position> = all.iter().skip(BEFORE).take(PAGE).copied().collect();
    for at in turns.next_order(WAYS.len()) {
        let (Some(way), Some(times)) = (WAYS.get(at), times.get_mut(at)) else { continue };
        let (took, found) = page(raw, *way, room, Some(after))?;
        let skip = if matches!(way, Way::Pushed | Way::InTurn) { 0 } else { BEFORE };
        let found: Vec<Position> = found.into_iter().skip(skip).take(PAGE).collect();
        ensure!(found == wanted, "{way:?} gives other rows of room {room}");
        times.push(took.as_secs_f64() * 1e3);
    }
    Ok(())
}

/// Reads a page: the shards' rows, merged, latest first, and the time that took.
fn page(raw: &mut Raw, way: Way, room: i64, after: Option<Position>) -> Result<(Duration, Vec<Position>)> {
    let began = Instant::now();
    let questions: Vec<_> = (0..SHARDS.get()).map(|_| Some(question(way, room, after))).collect();
    let answers = if way == Way::InTurn { raw.in_turn(&questions)? } else { raw.at_once(&questions)? };
    let mut rows = answers.iter().flatten().map(position).collect::<Result<Vec<_>>>()?;
    rows.sort_unstable_by(|a, b| b.cmp(a));
    Ok((began.elapsed(), rows))
}

/// Of a row of the service's columns: when, and which.
fn position(row: &Answer) -> Result<Position> {
    let number = |at| row.get_opt::<i64, _>(at).and_then(Result::ok);
    number(5).zip(number(0)).context("a row without a time")
}

fn question(way: Way, room: i64, after: Option<Position>) -> Question {
    let mut numbers = vec![room];
    let (condition, limit) = match (way, after) {
        (Way::Pushed | Way::InTurn, Some((time, id))) => {
            numbers.extend([time, id]);
            (" AND grab_time <= ? AND result_id < ?", Some(PAGE))
        }
        (Way::Pushed | Way::InTurn, None) => ("", Some(PAGE)),
        (Way::Offset, _) => ("", Some(BEFORE + PAGE)),
        (Way::Everything, _) => ("", None),
    };
    let limit = limit.map_or_else(String::new, |limit| format!(" LIMIT {limit}"));
    let columns = statements::columns(Dialect::MySql);
    let sql = format!(
        "SELECT {columns} FROM coupon_results WHERE room_id = ?{condition} \
         ORDER BY grab_time DESC, result_id DESC{limit}"
    );
    Question { sql, numbers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Row, Standing};

    #[test]
    fn only_what_is_pushed_down_has_a_limit_of_a_page_and_a_cursor() {
        let pushed = question(Way::Pushed, 7, Some((5, 9)));
        assert!(pushed.sql.ends_with("result_id < ? ORDER BY grab_time DESC, result_id DESC LIMIT 20"));
        assert_eq!(pushed.numbers, [7, 5, 9]);
        let everything = question(Way::Everything, 7, Some((5, 9)));
        assert!(!everything.sql.contains("LIMIT") && everything.numbers == [7]);
        assert!(question(Way::Offset, 7, Some((5, 9))).sql.ends_with("LIMIT 220"));
    }

    #[test]
    fn a_gain_is_of_the_same_round_and_one_that_is_none_misses() {
        let medians = [vec![1.0, 2.0], vec![0.5, 1.0], vec![3.0, 3.0], vec![30.0, 40.0]];
        let rows = claims().into_iter().zip(measured(&medians)).map(|(claim, measured)| {
            assert_eq!(claim.id, measured.id);
            Row::new(claim, measured)
        });
        let [limit, parallel] = &rows.collect::<Vec<_>>()[..] else { panic!("two rows") };
        assert_eq!((&limit.samples[..], &limit.standing), (&[30.0, 20.0][..], &Standing::Reached));
        assert_eq!((&parallel.samples[..], &parallel.standing), (&[0.5, 0.5][..], &Standing::Missed));
    }
}
