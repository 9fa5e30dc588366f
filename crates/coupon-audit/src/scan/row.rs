//! The checks of one row: against itself, its place, the catalogue, and the answers about it.

use coupon_core::{Placement, ResultId, RoomId, TableId, Timestamp, UserId};

use super::{Holding, Seen};
use crate::history::History;
use crate::ids::Ids;
use crate::ledger::Ledger;
use crate::requests::Asked;
use crate::source::{Catalogue, Coupon, Earlier, Stored};
use crate::start::{self, Before};
use crate::{AuditReport, Kind, Scope, life, spent, steps};

/// The surroundings of each row, as the pass needs them.
pub(super) struct Pass<'a> {
    pub(super) scope: &'a Scope<'a>,
    /// The law of where rows belong. Without it, only what a table's own name promises is checked.
    pub(super) history: Option<&'a History>,
    pub(super) catalogue: &'a Catalogue,
    pub(super) earlier: &'a Earlier,
    pub(super) users: &'a Ids,
    pub(super) accepts_unknown_users: bool,
    pub(super) ledger: Option<&'a Ledger>,
    /// Without a start, the run's own rows are those with a larger id.
    pub(super) since: Option<i64>,
}

/// A row, and what was there before.
#[derive(Clone, Copy)]
struct Read {
    row: Stored,
    place: Placement,
    before: Before,
}

impl Pass<'_> {
    /// Adds a row to what was seen, and what is wrong with it to the report.
    pub(super) fn row(&self, row: Stored, place: Placement, seen: &mut Seen, report: &mut AuditReport) {
        let grab = row.grab;
        seen.ids.push(grab.id);
        seen.asked.extend(Asked::of(&row));
        seen.holders.entry(grab.coupon).or_default().push(Holding::of(&row));
        if row.life.is_live() {
            *seen.sold.entry((place.shard.number(), grab.coupon)).or_default() += 1;
        }
        if let Some(wrong) = life::wrong(row.life, row.time, row.spent) {
            report.add(Kind::Spent, 1, || format!("{}: {wrong}", grab.at(place)));
        }
        let read = Read { row, place, before: self.before(&row, seen) };
        if let Some(wrong) = self.misplaced(&read) {
            report.add(Kind::Misplaced, 1, || format!("{}: {wrong}", grab.at(place)));
        }
        if let Some(wrong) = self.misjudged(&read) {
            report.add(Kind::Misjudged, 1, || format!("{}: {wrong}", grab.at(place)));
        }
        self.used(&read, seen, report);
        self.claimed(&read, seen, report);
    }

    fn before(&self, row: &Stored, seen: &mut Seen) -> Before {
        let Some(start) = self.scope.start else {
            let own = self.since.is_some_and(|since| row.grab.id > since);
            // Beside other clients nothing is known to be the run's own.
            return if own && self.scope.beside.is_none() { Before::Absent } else { Before::Unknown };
        };
        let at = start.position(row.grab.id);
        if let Some(found) = at.and_then(|at| seen.old.get_mut(at)) {
            *found = true;
        }
        if self.scope.beside.is_some() { Before::Unknown } else { start.before(at, row) }
    }

    /// The catalogue's entries for a coupon: now, at the start, and before each change by an operator.
    fn coupons(&self, id: i64) -> impl Iterator<Item = &Coupon> {
        let start = self.scope.start.and_then(|start| start.coupon(id));
        let changed = self.earlier.get(&id).into_iter().flatten();
        self.catalogue.get(&id).into_iter().chain(start).chain(changed)
    }

    /// Holds a row against the rules by which grabs are decided.
    ///
    /// A window may have been moved, and a coupon withdrawn, after it was grabbed. Where the start is known, rows of
    /// before are not judged, and a row of the run must be wrong by all that it may have been judged by; where it is
    /// not, the window must be as it was.
    fn misjudged(&self, read: &Read) -> Option<String> {
        let row = &read.row;
        if !self.accepts_unknown_users && !self.users.contains(row.grab.user) {
            return Some("there is no such user".to_owned());
        }
        let known = self.scope.start.is_some();
        if known && read.before != Before::Absent {
            return None;
        }
        let terms = || start::terms(self.catalogue, self.earlier, self.scope.start, row.grab.coupon);
        let (start, end) = (terms().map(|terms| terms.start).min()?, terms().map(|terms| terms.end).max()?);
        let shown = |time| Timestamp::from_millis(time);
        if row.time < start {
            return Some(format!(
                "it was grabbed before its coupon's window, which begins at {}",
                shown(start)
            ));
        }
        if row.time >= end {
            return Some(format!("it was grabbed after its coupon's window, which ends at {}", shown(end)));
        }
        let limit = self.coupons(row.grab.coupon).map(|coupon| coupon.user_limit).max().unwrap_or(1);
        if let Some(slot) = row.life.slot.filter(|slot| known && *slot >= limit) {
            return Some(format!("it is in slot {slot}, and a user may have {limit} of its coupon"));
        }
        let withdrawn = known && self.coupons(row.grab.coupon).all(|coupon| !coupon.active);
        let gate = self.scope.start.and_then(|start| start.gate.get(&row.grab.coupon));
        (withdrawn && gate.is_none_or(|gate| gate.end <= row.time))
            .then(|| "its coupon was withdrawn before".to_owned())
    }

    /// Holds a row's use, and the steps before it, against the answers about them.
    fn used(&self, read: &Read, seen: &mut Seen, report: &mut AuditReport) {
        let Read { row, place, before } = *read;
        let (id, user) = (row.grab.id, row.grab.user);
        let told = self.ledger.map(|ledger| ledger.uses.answers_about(id, user, &mut seen.uses));
        let steps = self.ledger.map(|ledger| ledger.steps.answers_about(id, user, &mut seen.steps));
        let wrong = spent::wrong(row.spent, row.time, told, before);
        for wrong in wrong.into_iter().chain(steps::wrong(row.life, steps, before)) {
            report.add(Kind::Spent, 1, || format!("{}: {wrong}", row.grab.at(place)));
        }
    }

    fn misplaced(&self, read: &Read) -> Option<String> {
        let Read { row, place, .. } = *read;
        let (Ok(id), Ok(user), Ok(room)) =
            (ResultId::from_number(row.grab.id), id::<UserId>(row.grab.user), id::<RoomId>(row.room))
        else {
            return Some(format!("an id is out of range (room {})", row.room));
        };
        let time = Timestamp::from_millis(row.time);
        if id.time() != time {
            return Some(format!("grab_time is {time}, but the id was made at {}", id.time()));
        }
        if !row.granted {
            return Some("it is stored although it was not granted".to_owned());
        }
        match self.catalogue.get(&row.grab.coupon) {
            None => return Some("the catalogue has no such coupon".to_owned()),
            Some(coupon) => {
                // What was stored before its coupon was moved names the room that it was in.
                let moved = self.scope.start.is_some() && read.before != Before::Absent;
                let rooms = || self.coupons(row.grab.coupon).map(|coupon| coupon.room);
                if !moved && rooms().all(|room| room != row.room) {
                    return Some(format!("it names room {}, the coupon's is {}", row.room, coupon.room));
                }
            }
        }
        if !belongs(place.table, time, room) {
            return Some(format!("its time {time} and room {room} belong in another table"));
        }
        let right = self.history?.places(user, room, time);
        if right.contains(&place) {
            return None;
        }
        let right: Vec<String> = right.iter().map(ToString::to_string).collect();
        Some(match right.as_slice() {
            [] => "its layout has no place for it".to_owned(),
            right => format!("it belongs on {}", right.join(", or on ")),
        })
    }

    /// Holds a row against what was answered.
    fn claimed(&self, read: &Read, seen: &mut Seen, report: &mut AuditReport) {
        let Read { row, place, before } = *read;
        let Some(ledger) = self.ledger else { return };
        let (Ok(user), Ok(coupon)) = (u64::try_from(row.grab.user), u64::try_from(row.grab.coupon)) else {
            return;
        };
        for index in ledger.acknowledged(row.grab.id) {
            let same = ledger.granted.get(index).is_some_and(|&(_, u, c)| (u, c) == (user, coupon));
            if let Some(found) = seen.found.get_mut(index) {
                *found |= same;
            }
        }
        if before != Before::Absent || ledger.was_granted(user, coupon) {
            return;
        }
        if ledger.is_unknown(user, coupon) {
            report.unknown_stored += 1;
        } else {
            report.add(Kind::Invented, 1, || format!("{}: nobody asked for it", row.grab.at(place)));
        }
    }
}

/// True if a table's own name allows the row.
fn belongs(table: TableId, time: Timestamp, room: RoomId) -> bool {
    match table {
        TableId::Single | TableId::Part(_) => true,
        TableId::Day(day) => time.day() == day,
        TableId::Hour(hour) => time.hour() == hour,
        TableId::Rooms { first, last } => first <= room && last.is_none_or(|last| room <= last),
    }
}

fn id<T: TryFrom<u64>>(number: i64) -> Result<T, ()> {
    u64::try_from(number).map_err(drop).and_then(|number| T::try_from(number).map_err(drop))
}
