//! Totals that an operator changes.

use super::{Nonsense, Stock};
use crate::StockOperation;

/// The line of a coupon's stock log about its total: by an operator, and of no shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are columns of `stock_logs`, described in schema/")]
pub struct TotalLine {
    pub operation: StockOperation,
    pub before: i64,
    pub after: i64,
}

impl TotalLine {
    /// The line with which a coupon begins.
    #[must_use]
    pub const fn of_new(total: i64) -> Self {
        Self { operation: StockOperation::Initialise, before: 0, after: total }
    }
}

/// A coupon's stock with another total, and the line of its log: stock is added (1), or taken back (3).
///
/// # Errors
/// [`Nonsense`] when the row makes no sense with or without it.
pub fn retotal(before: Stock, total: i64) -> Result<(Stock, TotalLine), Nonsense> {
    if let Some(nonsense) = before.nonsense() {
        return Err(nonsense);
    }
    let more = total - before.total;
    let remaining = before.remaining + more;
    let after = Stock { total, remaining, taken_back: (before.taken_back - more).max(0) };
    let operation = if more > 0 { StockOperation::Initialise } else { StockOperation::RollBack };
    let line = TotalLine { operation, before: before.remaining, after: remaining };
    match after.nonsense() {
        Some(nonsense) => Err(nonsense),
        None => Ok((after, line)),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::ShardId;
    use crate::books::{Delta, Movement, Word, post};

    /// A case of `golden/totals.json`. A stock is its total, what is left, and what was taken back.
    #[derive(Deserialize)]
    struct Case {
        name: String,
        before: [i64; 3],
        total: i64,
        after: Option<[i64; 3]>,
        /// Operation, before and after.
        line: Option<(i64, i64, i64)>,
    }

    fn stock([total, remaining, taken_back]: [i64; 3]) -> Stock {
        Stock { total, remaining, taken_back }
    }

    #[test]
    fn the_law_of_totals_is_what_its_golden_cases_say() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../../golden/totals.json")).unwrap();
        assert!(cases.len() >= 7);
        for case in cases {
            let changed = retotal(stock(case.before), case.total).ok();
            let after = changed.map(|(after, _)| after);
            assert_eq!(after, case.after.map(stock), "{}", case.name);
            let line = changed.map(|(_, line)| (line.operation.code(), line.before, line.after));
            assert_eq!(line, case.line, "{}", case.name);
        }
    }

    fn moved(movement: Movement, rows: i64) -> Delta {
        Delta { shard: ShardId::new(0), entry: 1, movement, rows }
    }

    /// A hundred of which eighty are sold, after an operator made fifty of them.
    fn lowered() -> Stock {
        retotal(Stock::of(100, 20), 50).unwrap().0
    }

    #[test]
    fn grabs_that_were_on_their_way_when_a_total_was_lowered_have_room() {
        let posting = post(Word::Outbox, Some(lowered()), &[moved(Movement::Stored, 20)]);
        assert_eq!((posting.after.remaining, posting.why), (-50, None), "a hundred were on offer");
        let more = post(Word::Outbox, Some(posting.after), &[moved(Movement::Stored, 1)]);
        assert_eq!(more.parked.len(), 1, "and no more than a hundred");
    }

    #[test]
    fn more_rows_than_a_lowered_total_can_be_retired() {
        let posting = post(Word::Outbox, Some(lowered()), &[moved(Movement::Retired, 70)]);
        assert_eq!(posting.why, None);
        assert_eq!(posting.after, Stock { total: 0, remaining: -10, taken_back: 30 }, "ten are live still");
        let ends: Vec<(i64, i64)> = posting.lines.iter().map(|line| (line.before, line.after)).collect();
        assert_eq!(ends, [(-30, 40), (40, -10)]);
        let rest = post(Word::Outbox, Some(posting.after), &[moved(Movement::Retired, 10)]);
        assert_eq!((rest.after.total, rest.after.remaining, rest.why), (0, 0, None));
        assert_eq!(post(Word::Outbox, Some(lowered()), &[moved(Movement::Retired, 81)]).parked.len(), 1);
    }

    #[test]
    fn what_comes_back_of_a_lowered_total_is_not_for_sale_until_less_is_sold_than_there_are() {
        let posting = post(Word::Outbox, Some(lowered()), &[moved(Movement::Expired, 31)]);
        assert_eq!(posting.after.remaining, 1);
    }
}
