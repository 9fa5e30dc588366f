//! The law of the books against its golden cases.

use serde::Deserialize;

use super::*;

/// A case of `golden/books.json`: numbers only, so that another implementation of the law can read it too.
#[derive(Deserialize)]
struct Case {
    name: String,
    /// Total and remaining.
    before: Option<(i64, i64)>,
    /// Shard, entry and rows, as an outbox has them.
    deltas: Vec<Told>,
    after: Option<(i64, i64)>,
    /// Operation, operator, shard, entry, before and after.
    lines: Vec<(i64, String, u16, i64, i64, i64)>,
    parked: Vec<Told>,
}

/// A delta as a golden case has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Told {
    Plain(u16, i64, i64),
    GivenBack(u16, i64, i64, String),
}

impl From<Told> for Delta {
    fn from(told: Told) -> Self {
        let (shard, entry, moved) = match told {
            Told::Plain(shard, entry, rows) => (shard, entry, serde_json::json!([1, rows])),
            Told::GivenBack(shard, entry, rows, word) => (shard, entry, serde_json::json!([1, rows, word])),
        };
        let Moved { movement, rows, .. } = serde_json::from_value(moved).unwrap();
        Self { shard: ShardId::new(shard), entry, movement, rows }
    }
}

fn coupon(number: u64) -> CouponId {
    CouponId::new(number).unwrap()
}

fn delta((shard, entry, rows): (u16, i64, i64)) -> Delta {
    Told::Plain(shard, entry, rows).into()
}

fn given_back(shard: u16, entry: i64, rows: i64, word: &str) -> Delta {
    Told::GivenBack(shard, entry, rows, word.to_owned()).into()
}

#[test]
fn the_law_is_what_its_golden_cases_say() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../golden/books.json")).unwrap();
    assert!(cases.len() >= 10);
    for case in cases {
        let before = case.before.map(|(total, remaining)| Stock::of(total, remaining));
        let deltas: Vec<Delta> = case.deltas.into_iter().map(Delta::from).collect();
        let posting = post(Word::Outbox, before, &deltas);
        let after = before.map(|_| (posting.after.total, posting.after.remaining));
        assert_eq!(after, case.after, "{}", case.name);
        let lines = posting.lines.iter().map(|line| {
            let StockLogLine { operation, operator, shard, entry, before, after } = *line;
            (operation.code(), operator.to_owned(), shard.number(), entry, before, after)
        });
        let lines: Vec<_> = lines.collect();
        assert_eq!(lines, case.lines, "{}", case.name);
        let parked: Vec<Delta> = case.parked.into_iter().map(Delta::from).collect();
        assert_eq!(posting.parked, parked, "{}", case.name);
        assert_eq!(posting.why.is_some(), !parked.is_empty(), "{}", case.name);
    }
}

#[test]
fn lines_written_on_the_word_of_rows_say_so() {
    let before = Some(Stock::of(10, 8));
    let deltas = [delta((0, 7, 3)), delta((1, 4, -2)), given_back(1, 4, 1, "expire")];
    let posting = post(Word::Rows, before, &deltas);
    assert_eq!(posting.after, Stock::of(8, 6));
    assert_eq!(posting.lines.len(), 4);
    assert!(posting.lines.iter().all(|line| line.operator == REBUILD));
}

#[test]
fn entries_are_summed_by_coupon_and_movement_and_no_movement_cancels_out_another() {
    let mut changes = Changes::default();
    let expired = Moved { movement: Movement::Expired, ..Moved::stored(coupon(1), 2) };
    let entries: [Entry<'_>; 4] = [
        (4, &[Moved::stored(coupon(1), 9)]),
        (5, &[Moved::stored(coupon(1), 2), Moved::stored(coupon(2), 1)]),
        (6, &[Moved::retired(coupon(1), 3), expired]),
        (7, &[Moved::stored(coupon(1), 1), expired]),
    ];
    changes.take(ShardId::new(3), 4, entries).unwrap();
    assert_eq!(
        changes.coupons[&coupon(1)],
        [delta((3, 7, 3)), delta((3, 6, -3)), given_back(3, 7, 4, "expire")]
    );
    assert_eq!(changes.coupons[&coupon(2)], [delta((3, 5, 1))]);
    assert_eq!(changes.positions[&ShardId::new(3)], 7);
}

#[test]
fn a_gap_is_named_and_what_was_applied_before_is_not_one() {
    let mut changes = Changes::default();
    let entries: [Entry<'_>; 2] = [(7, &[Moved::stored(coupon(1), 1)]), (8, &[Moved::stored(coupon(1), 1)])];
    let gap = changes.take(ShardId::new(1), 5, entries).unwrap_err();
    assert!(gap.to_string().starts_with("main has lost data"), "{gap}");
    assert!(changes.take(ShardId::new(1), 8, entries).is_ok() && changes.positions.is_empty());
}

#[test]
fn what_was_parked_comes_before_what_has_come_since() {
    let mut changes = Changes::default();
    changes.take(ShardId::new(0), 0, [(1, &[Moved::retired(coupon(1), 2)][..])]).unwrap();
    changes.put_before(coupon(1), [delta((1, 4, 5)), delta((0, 9, -1))]);
    assert_eq!(changes.coupons[&coupon(1)], [delta((1, 4, 5)), delta((0, 9, -3))]);
}

#[test]
fn every_way_to_give_stock_back_has_a_word_that_is_no_operators_name() {
    let words = Movement::GIVEN_BACK.into_iter().filter_map(Movement::word);
    assert_eq!(words.collect::<Vec<_>>(), WORDS[4..]);
}
