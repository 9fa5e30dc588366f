//! The answers, while the rows that they speak of go by.

use std::collections::HashMap;

use coupon_core::Timestamp;

use super::{AnsweredQuestion, Contents, LIMIT, MOVING, ReadQuestion};
use crate::history::Movement;
use crate::life::Life;
use crate::source::{Grab, Spent, Stored, Sums, UNTOLD};
use crate::{AuditReport, Kind};

/// The most by which a service's clock may be from ours: rows so near to a window's beginning may be in a list, or
/// not.
const SLACK_MS: i64 = 30_000;
const HOUR_MS: i64 = 3_600_000;

/// Every answer, and what is stored of what it speaks of.
pub(crate) struct Lists<'a> {
    answers: Vec<Answered<'a>>,
    /// The answers about a user, about a room, and about everything.
    users: HashMap<i64, Vec<usize>>,
    rooms: HashMap<i64, Vec<usize>>,
    others: Vec<usize>,
}

struct Answered<'a> {
    read: &'a AnsweredQuestion,
    /// The rows in answers, by their ids, and for each whether it is stored.
    rows: HashMap<i64, (&'a Stored, bool)>,
    /// The id below which rows may be missing: a later page has them.
    lowest: i64,
    /// The number of rows it lacks, and the first of them.
    missing: Option<(u64, Grab)>,
    sums: Sums,
    shards: HashMap<u16, Sums>,
    /// Rows that have expired since it was asked for, or about then: in all, and by shard.
    expired: (i64, HashMap<u16, i64>),
    last: Option<i64>,
    /// True if rows have been moved between shards since the answer was given.
    moved: bool,
    /// The other faults found in it.
    wrong: Vec<String>,
}

impl<'a> Lists<'a> {
    pub(crate) fn of(reads: &'a [AnsweredQuestion]) -> Self {
        let mut lists =
            Self { answers: Vec::new(), users: HashMap::new(), rooms: HashMap::new(), others: Vec::new() };
        for (at, read) in reads.iter().enumerate() {
            match read.asked {
                ReadQuestion::User(user) => {
                    lists.users.entry(i64::try_from(user).unwrap_or(-1)).or_default().push(at);
                }
                ReadQuestion::Room(room) | ReadQuestion::RoomStats(room) => {
                    lists.rooms.entry(room).or_default().push(at);
                }
                ReadQuestion::Result(_) | ReadQuestion::Recent(_) | ReadQuestion::Global => {
                    lists.others.push(at);
                }
            }
            lists.answers.push(Answered::of(read));
        }
        lists
    }

    /// Takes note of a row that is stored.
    pub(crate) fn see(&mut self, row: &Stored, shard: u16) {
        let Self { answers, users, rooms, others } = self;
        let theirs = [users.get(&row.grab.user), rooms.get(&row.room), Some(&*others)];
        for at in theirs.into_iter().flatten().flatten() {
            if let Some(answer) = answers.get_mut(*at) {
                answer.see(row, shard);
            }
        }
    }

    /// Adds to the report the answers that differ from what is stored; rows have moved so far.
    pub(crate) fn check(self, movement: Option<&Movement>, report: &mut AuditReport) {
        for mut answer in self.answers {
            if movement != answer.read.movement.as_ref() {
                answer.forgets_shards(report);
            }
            let path = answer.read.asked.path();
            let path = path.strip_suffix(&format!("limit={LIMIT}")).unwrap_or(&path);
            if let Contents::Nothing(why) = &answer.read.contents {
                report.not_checked.insert(Kind::Misread, why.clone());
            }
            for (count, text) in answer.all_wrong() {
                report.add(Kind::Misread, count, || {
                    format!("GET {}: {text}", path.trim_end_matches(['?', '&']))
                });
            }
        }
    }
}

impl<'a> Answered<'a> {
    fn of(read: &'a AnsweredQuestion) -> Self {
        let mut wrong = Vec::new();
        let (mut rows, mut lowest) = (HashMap::new(), i64::MAX);
        match &read.contents {
            Contents::Rows { rows: told, whole } => {
                lowest = if *whole { i64::MIN } else { told.last().map_or(i64::MAX, |row| row.grab.id) };
                if !told.is_sorted_by(|one, next| one.grab.id > next.grab.id) {
                    wrong.push("its rows are not in order, the latest first, each once".to_owned());
                }
                for row in told {
                    if !fits(read, row, -SLACK_MS) {
                        wrong.push(format!("{} was not asked for", row.grab));
                    }
                    rows.insert(row.grab.id, (row, false));
                }
            }
            Contents::Wrong(why) => wrong.push(why.clone()),
            Contents::Count { .. } | Contents::Sums { .. } | Contents::Kept | Contents::Nothing(_) => {}
        }
        let (sums, shards, expired) = (Sums::default(), HashMap::new(), (0, HashMap::new()));
        Self { read, rows, lowest, missing: None, sums, shards, expired, last: None, moved: false, wrong }
    }

    fn see(&mut self, row: &Stored, shard: u16) {
        match &self.read.contents {
            Contents::Rows { .. } => self.listed(row),
            Contents::Count { .. } | Contents::Sums { .. } => {
                self.sums.add(row);
                self.shards.entry(shard).or_default().add(row);
                if row.life.expired_since(since(self.read)) {
                    self.expired.0 += 1;
                    *self.expired.1.entry(shard).or_default() += 1;
                }
                self.last = self.last.max(Some(row.time));
            }
            Contents::Wrong(_) | Contents::Kept | Contents::Nothing(_) => {}
        }
    }

    fn listed(&mut self, row: &Stored) {
        if let Some((told, found)) = self.rows.get_mut(&row.grab.id) {
            *found = true;
            if !is_told(told, row, since(self.read)) {
                self.wrong.push(format!("{}; stored is {}", shown(told), shown(row)));
            }
        } else if row.grab.id > self.lowest && fits(self.read, row, SLACK_MS) {
            self.missing.get_or_insert((0, row.grab)).0 += 1;
        }
    }

    /// Judges no sum of a shard: rows have moved to others since the answer was given.
    fn forgets_shards(&mut self, report: &mut AuditReport) {
        if matches!(self.read.contents, Contents::Sums { .. }) {
            report.not_checked.insert(Kind::Misread, MOVING.to_owned());
            self.moved = true;
        }
    }

    /// All that is wrong with it: how much, and a description.
    fn all_wrong(mut self) -> Vec<(u64, String)> {
        let unstored = self.rows.values().filter(|(_, found)| !found).map(|(row, _)| row.grab);
        self.wrong.extend(unstored.map(|grab| format!("{grab} is in it, and not stored")));
        match &self.read.contents {
            Contents::Count { results, last } if (*results, *last) != (self.sums.results, self.last) => {
                let shown = |results: i64, last: Option<i64>| {
                    let last =
                        last.map_or_else(|| "none".to_owned(), |at| Timestamp::from_millis(at).to_string());
                    format!("{results} results, the last at {last}")
                };
                let (told, stored) = (shown(*results, *last), shown(self.sums.results, self.last));
                self.wrong.push(format!("{told}; stored are {stored}"));
            }
            Contents::Sums { all, shards } => {
                let of_shard = |shard: &u16| {
                    let expired = self.expired.1.get(shard).copied().unwrap_or_default();
                    (self.shards.get(shard).copied().unwrap_or_default(), expired)
                };
                let shards = shards.iter().filter(|_| !self.moved);
                let shards = shards.map(|(shard, told)| (format!("shard {shard}"), *told, of_shard(shard)));
                let differing: Vec<String> = [("all".to_owned(), *all, (self.sums, self.expired.0))]
                    .into_iter()
                    .chain(shards)
                    .filter(|(_, told, (stored, expired))| !told.agree_with(*stored, *expired))
                    .map(|(of, told, (stored, _))| format!("{of}: {told}; stored are {stored}"))
                    .collect();
                self.wrong.extend(differing);
            }
            _ => {}
        }
        self.wrong.sort_unstable();
        let missing = self.missing.map(|(count, grab)| {
            let of = if count > 1 { format!(", one of {count}") } else { String::new() };
            (count, format!("{grab} is stored, and not in it{of}"))
        });
        missing.into_iter().chain(self.wrong.into_iter().map(|text| (1, text))).collect()
    }
}

/// The time from which on a row may have expired that a read had before it.
fn since(read: &AnsweredQuestion) -> i64 {
    read.at.millis() - SLACK_MS
}

/// True if an answer shows a row as it is stored: of its life after the grab, the state and the hold, if at all. A result
/// that was held when it was asked for may have expired since.
fn is_told(told: &Stored, stored: &Stored, since: i64) -> bool {
    let same_state = told.life.state == stored.life.state
        || (told.life.state == Life::HELD && stored.life.expired_since(since));
    let same_life = same_state && told.life.hold_until == stored.life.hold_until;
    Stored { life: stored.life, request: stored.request, ..*told } == *stored
        && (told.life.state == UNTOLD || same_life)
}

/// True if a row is among those asked for; a window begins that much later.
fn fits(read: &AnsweredQuestion, row: &Stored, later_ms: i64) -> bool {
    match read.asked {
        ReadQuestion::Result(id) => row.grab.id == id,
        ReadQuestion::User(user) => u64::try_from(row.grab.user) == Ok(user),
        ReadQuestion::Room(room) | ReadQuestion::RoomStats(room) => row.room == room,
        ReadQuestion::Recent(hours) => row.time >= read.at.millis() - i64::from(hours) * HOUR_MS + later_ms,
        ReadQuestion::Global => true,
    }
}

fn shown(row: &Stored) -> String {
    let Stored { grab, room, spent, life, .. } = row;
    let used = if *spent == Spent::default() { String::new() } else { format!(", {spent}") };
    let state = if life.is_plain() { String::new() } else { format!(", {life}") };
    format!("{grab}, room {room}, at {}{used}{state}", Timestamp::from_millis(row.time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: &str, state_time: Option<i64>) -> Stored {
        let state = crate::life::state(state).unwrap();
        let life = Life { state, hold_until: Some(100), state_time, ..Life::OWNED };
        let grab = Grab { id: 1, user: 2, coupon: 3 };
        Stored { grab, room: 1, time: 40, granted: true, spent: Spent::default(), life, request: None }
    }

    #[test]
    fn what_was_held_may_have_expired_since_it_was_asked_for_and_nothing_else_may_have_changed() {
        let held = row("held", None);
        for (told, stored, same) in [
            (held, held, true),
            (held, row("expired", Some(100)), true),
            (held, row("expired", Some(99)), false),
            (held, row("released", Some(100)), false),
            (row("expired", None), held, false),
            (row("owned", None), row("expired", Some(100)), false),
        ] {
            assert_eq!(is_told(&told, &stored, 100), same, "{} as {}", shown(&stored), shown(&told));
        }
    }

    #[test]
    fn sums_may_lack_what_has_expired_since() {
        let stored = Sums { results: 9, used: 2, cents: 5, given_back: 4 };
        let told = |given_back| Sums { given_back, ..stored };
        for (given_back, same) in [(1, false), (2, true), (4, true), (5, false), (UNTOLD, true)] {
            assert_eq!(told(given_back).agree_with(stored, 2), same, "{given_back}");
        }
        assert!(!Sums { used: 3, ..told(4) }.agree_with(stored, 2));
    }
}
