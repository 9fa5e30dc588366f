//! The law of the books, as the auditor has it: what the stock log of a coupon must look like.
//!
//! It is written down here a second time on purpose: the services have their own, and a mistake in theirs must not be
//! repeated here.
//!
//! - A coupon begins with a line of operation 1 from nothing. Lines of operation 1 add up to its total, with those by which
//!   an operator takes stock back.
//! - An operator adds stock (1), or takes some back (3, the one kind of roll-back after which less is left, perhaps less than
//!   nothing). Such a line names no shard, and its operator is none of the words below.
//! - Results stored take stock (2, by `grab`). Results retired give it back (3, by `archive`), and the total falls by
//!   as much (1, by `archive`). Results that were released, returned or not confirmed in time give it back as well (3, by
//!   `release`, `return` or `expire`), and the total stands. Each such line names its shard, and the last entry of its
//!   outbox that it covers.
//! - What main had forgotten of any, and got back from the rows, stands in lines of the same kinds by `rebuild`:
//!   up to the last entry that there was, whatever was between.
//! - What was sold before there was an outbox stands in one line of operation 2 without a shard (by `seeder`).
//! - Lines that came with a copy of another data set are lines of any of these kinds, and name no shard: their shards
//!   were that data set's. The label says up to which number they go.
//! - The lines are a chain from nothing to what remains.

use std::collections::{BTreeMap, BTreeSet};

use super::start::digest_of;

const INITIALISE: i64 = 1;
const DEDUCT: i64 = 2;
const ROLL_BACK: i64 = 3;
/// The operator of lines for what came of an outbox, and for what was there before any.
const GRAB: &str = "grab";
const ARCHIVE: &str = "archive";
/// The operators of lines for stock that came back.
pub(super) const GIVEN_BACK: [&str; 3] = ["release", "return", "expire"];
/// The operator of lines for what main had forgotten of any.
const REBUILD: &str = "rebuild";
const SEEDER: &str = "seeder";
/// The words that are no operator's name.
const WORDS: [&str; 4] = [GRAB, ARCHIVE, REBUILD, SEEDER];

/// A line of the stock log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) id: i64,
    pub(super) coupon: i64,
    pub(super) operation: i64,
    pub(super) before: i64,
    pub(super) after: i64,
    pub(super) operator: String,
    pub(super) shard: Option<i64>,
    pub(super) entry: Option<i64>,
}

impl Line {
    /// The columns to select for it, on any kind of database.
    pub(super) const COLUMNS: &str =
        "log_id, coupon_id, operation_type, stock_before, stock_after, operator, shard, outbox_id";

    /// A hash of its columns, by which an audit knows the line again, as long as it is unchanged.
    pub(super) fn digest(&self) -> u64 {
        let Self { id, coupon, operation, before, after, operator, shard, entry } = self;
        let numbers = [id, coupon, operation, before, after].map(|number| Some(*number));
        digest_of(&[&numbers[..], &[*shard, *entry]].concat(), operator)
    }

    /// It says what main had forgotten.
    pub(super) fn is_rebuilt(&self) -> bool {
        self.operator == REBUILD
    }

    /// It says that an operator took stock back.
    fn takes_back(&self) -> bool {
        let operator = &*self.operator;
        let named = !WORDS.contains(&operator) && !GIVEN_BACK.contains(&operator);
        self.operation == ROLL_BACK && self.shard.is_none() && named
    }

    /// It lowers the total by results that were archived.
    pub(super) fn archives(&self) -> bool {
        self.operation == INITIALISE && self.operator == ARCHIVE
    }

    /// Results that it says were retired.
    pub(super) fn retired(&self) -> i64 {
        let archived = self.operation == ROLL_BACK && [ARCHIVE, REBUILD].contains(&&*self.operator);
        if archived { self.after - self.before } else { 0 }
    }

    /// Results that it says gave their stock back.
    pub(super) fn given_back(&self) -> i64 {
        let back = self.operation == ROLL_BACK && GIVEN_BACK.contains(&&*self.operator);
        if back { self.after - self.before } else { 0 }
    }

    /// The fault that it has by itself, given what main has applied and what a copy brought.
    fn wrong(&self, sources: LogSources<'_>) -> Option<String> {
        let LogSources { positions, copied } = sources;
        let Self { operation, before, after, operator, .. } = self;
        let by = || format!("operation {operation} by {operator:?}");
        let direction = match *operation {
            INITIALISE => true,
            DEDUCT => after < before,
            ROLL_BACK if self.takes_back() => after < before,
            ROLL_BACK => after > before,
            _ => return Some(format!("there is no operation {operation}")),
        };
        if !direction {
            return Some(format!("operation {operation} from {before} to {after}"));
        }
        match (self.shard, self.entry) {
            (None, None) => {
                let lawful = self.id <= copied
                    || *operation == INITIALISE
                    || (*operation == DEDUCT && operator == SEEDER)
                    || self.takes_back();
                (!lawful).then(|| format!("{} names no shard", by()))
            }
            (Some(shard), Some(entry)) => {
                let applied = usize::try_from(shard).ok().and_then(|shard| positions.get(shard));
                let lawful = match *operation {
                    DEDUCT => [GRAB, REBUILD].contains(&operator.as_str()),
                    ROLL_BACK if GIVEN_BACK.contains(&operator.as_str()) => true,
                    _ => [ARCHIVE, REBUILD].contains(&operator.as_str()),
                };
                match applied {
                    None => Some(format!("it names shard {shard}, of {}", positions.len())),
                    Some(applied) if !(1..=*applied).contains(&entry) => Some(format!(
                        "it names entry {entry} of shard {shard}, of which {applied} are applied"
                    )),
                    Some(_) => (!lawful).then(|| format!("{} came of no outbox", by())),
                }
            }
            _ => Some("it names a shard without an entry, or an entry without a shard".to_owned()),
        }
    }
}

/// The sources of main's log: how far main has applied the outboxes, and which lines came with a copy.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogSources<'a> {
    /// The position to which main has applied each shard's outbox.
    pub(super) positions: &'a [i64],
    /// The number of the last line that came with a copy of another data set; 0 where none did.
    pub(super) copied: i64,
}

/// The sums over a coupon's lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Results stored less results that were retired or gave their stock back, by shard.
    pub(super) by_shard: BTreeMap<u16, i64>,
    /// Results sold before there was an outbox.
    pub(super) sold_before: i64,
    /// The faults found in them.
    pub(super) wrong: Vec<String>,
}

/// Holds a coupon's lines against the law.
pub(super) fn account(lines: &[Line], total: i64, remaining: i64, sources: LogSources<'_>) -> Account {
    let mut account = Account::default();
    let (mut set, mut deducted) = (0, 0);
    for line in lines {
        if let Some(wrong) = line.wrong(sources) {
            account.wrong.push(format!("line {}: {wrong}", line.id));
        }
        let taken = line.before - line.after;
        match line.operation {
            INITIALISE => set -= taken,
            _ if line.takes_back() => set -= taken,
            _ => {
                deducted += taken;
                match line.shard.and_then(|shard| u16::try_from(shard).ok()) {
                    Some(shard) => *account.by_shard.entry(shard).or_default() += taken,
                    None => account.sold_before += taken,
                }
            }
        }
    }
    if (total, remaining) != (0, 0)
        && !lines.iter().any(|line| (line.operation, line.before) == (INITIALISE, 0))
    {
        account.wrong.push("the line with which it begins is missing".to_owned());
    }
    if set != total {
        account.wrong.push(format!("the stock log comes to a total of {set}, but total is {total}"));
    }
    if deducted != total - remaining {
        let sold = total - remaining;
        account.wrong.push(format!(
            "the stock log deducts {deducted}, but total {total} − remaining {remaining} = {sold}"
        ));
    }
    if !is_chain(lines, remaining) {
        account.wrong.push(format!("the stock log is no chain from 0 to {remaining}"));
    }
    account
}

/// True if the lines lead from 0 to an end, each beginning where another ends.
///
/// Their numbers are made by several processes whose clocks differ a little: so they may have to be put in another
/// order.
fn is_chain(lines: &[Line], end: i64) -> bool {
    let in_order = lines.iter().try_fold(0, |at, line| (line.before == at).then_some(line.after));
    in_order == Some(end) || is_path(lines, end)
}

/// True if the lines can be walked through, each once: with a way back from the end to 0, as many must leave each
/// number as come to it, and all must hang together.
fn is_path(lines: &[Line], end: i64) -> bool {
    let ways = || lines.iter().map(|line| (line.before, line.after)).chain([(end, 0)]);
    let mut balance: BTreeMap<i64, i64> = BTreeMap::new();
    let mut neighbours: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for (from, to) in ways() {
        *balance.entry(from).or_default() += 1;
        *balance.entry(to).or_default() -= 1;
        neighbours.entry(from).or_default().push(to);
    }
    let (mut reached, mut next) = (BTreeSet::from([0]), vec![0]);
    while let Some(at) = next.pop() {
        for &to in neighbours.get(&at).into_iter().flatten() {
            if reached.insert(to) {
                next.push(to);
            }
        }
    }
    balance.values().all(|balance| *balance == 0) && balance.keys().all(|number| reached.contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn outboxes(positions: &[i64]) -> LogSources<'_> {
        LogSources { positions, copied: 0 }
    }

    fn line(operation: i64, before: i64, after: i64, operator: &str, from: Option<(i64, i64)>) -> Line {
        let (shard, entry) = from.unzip();
        Line { id: 0, coupon: 1, operation, before, after, operator: operator.to_owned(), shard, entry }
    }

    fn numbered(lines: impl IntoIterator<Item = Line>) -> Vec<Line> {
        lines.into_iter().zip(1..).map(|(line, id)| Line { id, ..line }).collect()
    }

    /// Ten came, two were sold before, three and one by shards, and one of the first two was retired.
    fn sound() -> Vec<Line> {
        numbered([
            line(INITIALISE, 0, 10, "seeder", None),
            line(DEDUCT, 10, 8, "seeder", None),
            line(DEDUCT, 8, 5, "grab", Some((0, 4))),
            line(DEDUCT, 5, 4, "grab", Some((1, 2))),
            line(ROLL_BACK, 4, 5, "archive", Some((1, 3))),
            line(INITIALISE, 5, 4, "archive", Some((1, 3))),
        ])
    }

    fn wrong(lines: &[Line]) -> String {
        account(lines, 9, 4, outboxes(&[4, 3])).wrong.join("; ")
    }

    #[test]
    fn lawful_lines_are_added_up_by_shard() {
        let account = account(&sound(), 9, 4, outboxes(&[4, 3]));
        let by_shard = BTreeMap::from([(0, 3), (1, 0)]);
        assert_eq!(account, Account { by_shard, sold_before: 2, wrong: Vec::new() });
    }

    /// A case of the services' law: total and remaining before and after, and the lines that the shards' entries lead to.
    #[derive(serde::Deserialize)]
    struct Case {
        name: String,
        before: Option<(i64, i64)>,
        after: Option<(i64, i64)>,
        lines: Vec<(i64, String, i64, i64, i64, i64)>,
    }

    #[test]
    fn what_the_services_write_by_their_law_is_lawful_here() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../coupon-core/golden/books.json")).unwrap();
        let (mut judged, positions) = (0, [9; 4]);
        for case in cases {
            let (Some((total, remaining)), Some(after)) = (case.before, case.after) else {
                assert!(case.lines.is_empty(), "{}", case.name);
                continue;
            };
            // A row that makes no sense gets no line, and has no lawful past.
            if !(0..=total).contains(&remaining) {
                assert!(case.lines.is_empty() && case.before == case.after, "{}", case.name);
                continue;
            }
            let sold = (remaining < total).then(|| line(DEDUCT, total, remaining, SEEDER, None));
            let past = [line(INITIALISE, 0, total, SEEDER, None)].into_iter().chain(sold);
            let told = case.lines.iter().map(|(operation, operator, shard, entry, before, after)| {
                line(*operation, *before, *after, operator, Some((*shard, *entry)))
            });
            let account = account(&numbered(past.chain(told)), after.0, after.1, outboxes(&positions));
            assert_eq!(account.wrong, Vec::<String>::new(), "{}", case.name);
            judged += 1;
        }
        assert!(judged >= 7, "{judged}");
    }

    /// A case of the services' law of totals: a stock is its total, what is left, and what was taken back.
    #[derive(serde::Deserialize)]
    struct Retotalled {
        name: String,
        before: [i64; 3],
        after: Option<[i64; 3]>,
        line: Option<(i64, i64, i64)>,
    }

    #[test]
    fn what_operators_make_of_totals_is_lawful_here() {
        let cases: Vec<Retotalled> =
            serde_json::from_str(include_str!("../../coupon-core/golden/totals.json")).unwrap();
        let mut judged = 0;
        for Retotalled { name, before: [total, remaining, taken_back], after, line: told } in cases {
            let (Some([now, left, _]), Some((operation, before, after))) = (after, told) else { continue };
            let most = total + taken_back;
            let past = [
                line(INITIALISE, 0, most, SEEDER, None),
                line(DEDUCT, most, remaining + taken_back, SEEDER, None),
                line(ROLL_BACK, remaining + taken_back, remaining, "ann", None),
            ];
            let past = past.into_iter().filter(|line| line.before != line.after);
            let lines = numbered(past.chain([line(operation, before, after, "ann", None)]));
            assert_eq!(account(&lines, now, left, outboxes(&[])).wrong, Vec::<String>::new(), "{name}");
            judged += 1;
        }
        assert!(judged >= 7, "{judged}");
    }

    #[test]
    fn stock_that_is_taken_back_by_no_operator_is_a_breach() {
        for operator in ["grab", "archive", "rebuild", "seeder", "expire"] {
            let mut lines = sound();
            lines.push(line(ROLL_BACK, 4, 2, operator, None));
            let wrong = account(&lines, 7, 2, outboxes(&[4, 3])).wrong.join("; ");
            assert!(wrong.contains("operation 3 from 4 to 2"), "{operator}: {wrong}");
            lines[6].operator = "ann".to_owned();
            assert_eq!(account(&lines, 7, 2, outboxes(&[4, 3])).wrong.join("; "), "");
        }
    }

    #[test]
    fn what_main_had_forgotten_is_lawful_when_it_names_shard_and_entry() {
        let mut lines = sound();
        lines[3].operator = "rebuild".to_owned();
        lines[4].operator = "rebuild".to_owned();
        lines[5].operator = "rebuild".to_owned();
        assert_eq!(wrong(&lines), "");
        assert_eq!(lines.iter().map(Line::retired).sum::<i64>(), 1);
        lines[3].shard = None;
        lines[3].entry = None;
        assert!(wrong(&lines).contains("by \"rebuild\" names no shard"), "{}", wrong(&lines));
    }

    #[test]
    fn lines_that_came_with_a_copy_name_no_shard() {
        let mut lines = sound();
        for line in &mut lines {
            (line.shard, line.entry) = (None, None);
        }
        let judged = |copied| account(&lines, 9, 4, LogSources { positions: &[0, 0], copied });
        assert_eq!(judged(6), Account { sold_before: 5, ..Account::default() });
        let wrong = judged(2).wrong.join("; ");
        assert!(wrong.contains("line 3: operation 2 by \"grab\" names no shard"), "{wrong}");
        assert!(wrong.contains("line 5: operation 3 by \"archive\" names no shard"), "{wrong}");
    }

    #[test]
    fn numbers_out_of_order_are_no_fault() {
        let mut lines = sound();
        lines.swap(2, 3);
        lines.swap(0, 5);
        assert_eq!(wrong(&lines), "");
    }

    #[test]
    fn each_breach_of_the_law_is_found() {
        let broken = |at: usize, change: &dyn Fn(&mut Line)| {
            let mut lines = sound();
            change(&mut lines[at]);
            wrong(&lines)
        };
        for (at, change, found) in [
            (0, &(|line: &mut Line| line.operation = 4) as &dyn Fn(&mut Line), "no operation 4"),
            (1, &|line| line.operator = "grab".to_owned(), "names no shard"),
            (2, &|line| line.after = 6, "no chain"),
            (2, &|line| line.operator = "archive".to_owned(), "by \"archive\" came of no outbox"),
            (2, &|line| line.shard = Some(2), "it names shard 2, of 2"),
            (2, &|line| line.entry = Some(5), "entry 5 of shard 0, of which 4 are applied"),
            (3, &|line| line.entry = None, "without an entry"),
            (3, &|line| line.operation = ROLL_BACK, "operation 3 from 5 to 4"),
            (4, &|line| line.operation = DEDUCT, "operation 2 from 4 to 5"),
        ] {
            let wrong = broken(at, change);
            assert!(wrong.contains(found), "line {at}: {wrong:?} does not say {found:?}");
        }
        let mut lines = sound();
        lines.remove(0);
        assert!(wrong(&lines).contains("begins is missing"), "{}", wrong(&lines));
        let raised = account(&sound(), 19, 14, outboxes(&[4, 3])).wrong.join("; ");
        assert!(raised.contains("a total of 9, but total is 19"), "{raised}");
    }

    #[test]
    fn lines_that_do_not_hang_together_are_no_chain() {
        let circle = numbered([
            line(INITIALISE, 0, 10, "seeder", None),
            line(DEDUCT, 8, 5, "grab", Some((0, 1))),
            line(INITIALISE, 5, 8, "seeder", None),
        ]);
        assert!(!is_path(&circle, 10));
        assert!(is_path(&circle[..1], 10));
    }
}
