//! Ids of any kind: what a service takes stays as it is, everything else gets an id of its own.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use coupon_core::MAX_ID;
use xxhash_rust::xxh3::xxh3_64;

/// The one spelling of an id: a whole number without a plus, leading zeros or a fraction of zeros; any other text is
/// its own.
pub(super) fn canonical(text: &str) -> Cow<'_, str> {
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or_default()),
        Some(b'+') => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    };
    let (whole, fraction) = unsigned.split_once('.').map_or((unsigned, "0"), |(whole, part)| (whole, part));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || fraction.is_empty() || fraction.bytes().any(|byte| byte != b'0') {
        return Cow::Borrowed(text);
    }
    let number = whole.trim_start_matches('0');
    match (negative, number) {
        (_, "") => Cow::Borrowed("0"),
        (false, number) => Cow::Borrowed(number),
        (true, number) if number.len() + 1 == text.len() => Cow::Borrowed(text),
        (true, number) => Cow::Owned(format!("-{number}")),
    }
}

/// The number that a service takes for an id, if it is one.
pub(super) fn own_id(canonical: &str) -> Option<u64> {
    canonical.parse().ok().filter(|id| (1..=MAX_ID).contains(id))
}

/// True for a number as a spreadsheet shows it when it is too long: `4.79386E+17`. Others became the same.
pub(super) fn is_rounded(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return false };
    let number =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    number(mantissa) && exponent.strip_prefix('+').is_some_and(number)
}

/// The id of a user: its own number, or a fixed hash of its text, which is the same in every file.
pub(super) fn user_id(canonical: &str) -> u64 {
    own_id(canonical).unwrap_or_else(|| (xxh3_64(canonical.as_bytes()) >> 11).max(1))
}

/// The order of ids: numbers by their values, whatever their size, then text by its bytes.
fn in_order(a: &str, b: &str) -> Ordering {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => match (a.negative, b.negative) {
            (false, false) => a.cmp_size(&b),
            (true, true) => b.cmp_size(&a),
            (negative, _) => {
                if negative {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
        },
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

struct Whole<'t> {
    negative: bool,
    digits: &'t str,
}

impl Whole<'_> {
    fn cmp_size(&self, other: &Self) -> Ordering {
        self.digits.len().cmp(&other.digits.len()).then_with(|| self.digits.cmp(other.digits))
    }
}

/// A canonical text, as the whole number that it is.
fn whole(canonical: &str) -> Option<Whole<'_>> {
    let digits = canonical.strip_prefix('-');
    let (negative, digits) = (digits.is_some(), digits.unwrap_or(canonical));
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(Whole { negative, digits })
}

/// The rooms seen so far, each with a number in the order of its first appearance, from 0.
#[derive(Debug, Default)]
pub(super) struct RoomNumbers {
    numbers: HashMap<Box<str>, u32>,
    /// The bytes of their names.
    bytes: usize,
    /// True once rooms without a row that is kept are forgotten.
    are_some: bool,
}

impl RoomNumbers {
    /// The most rooms that are kept whether or not they have a row that is, and the most bytes of their names.
    const MOST: (usize, usize) = (1_000_000, 32 << 20);

    /// Notes a room that may have no row that is kept. False if there are too many of these: they are to be forgotten, and no
    /// others are noted.
    pub(super) fn note(&mut self, canonical: &str) -> bool {
        if self.are_some {
            return true;
        }
        self.number(canonical);
        self.are_some = self.numbers.len() > Self::MOST.0 || self.bytes > Self::MOST.1;
        !self.are_some
    }

    /// True as long as no room was forgotten.
    pub(super) const fn are_all(&self) -> bool {
        !self.are_some
    }

    /// The bytes of their names.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of a room; a new one if it is new.
    pub(super) fn number(&mut self, canonical: &str) -> u32 {
        if let Some(number) = self.numbers.get(canonical) {
            return *number;
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(canonical.into(), number);
        self.bytes += canonical.len();
        number
    }

    /// The number of rooms seen.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Gives each that has one its new number, and forgets the others.
    pub(super) fn renumber(&mut self, new: impl Fn(u32) -> Option<u32>) {
        let numbers = std::mem::take(&mut self.numbers).into_iter();
        self.numbers = numbers.filter_map(|(room, number)| Some((room, new(number)?))).collect();
        self.bytes = self.numbers.keys().map(|room| room.len()).sum();
    }

    /// Puts them in order, those that have a row that is kept and the others, so that ids are the same whichever rows are kept.
    /// All of them keep their own ids if a service takes them all; otherwise they are numbered from 1, so that neighbours stay
    /// neighbours.
    pub(super) fn sorted(self, is_there: impl Fn(u32) -> bool) -> SortedRooms {
        let seen = self.numbers.len();
        let mut rooms: Vec<(Box<str>, u32)> = self.numbers.into_iter().collect();
        rooms.sort_unstable_by(|(a, _), (b, _)| in_order(a, b));
        let are_numbered = rooms.iter().any(|(room, _)| own_id(room).is_none());
        let mut sorted = SortedRooms { are_numbered, ranks: vec![None; seen], ..SortedRooms::default() };
        for (number_in_order, (room, number)) in (1..).zip(rooms) {
            let id = own_id(&room).filter(|_| !are_numbered).unwrap_or(number_in_order);
            if !is_there(number) {
                sorted.others.push((id, room.into()));
                continue;
            }
            if let Some(place) = usize::try_from(number).ok().and_then(|number| sorted.ranks.get_mut(number))
            {
                *place = Some(sorted.ids.len());
            }
            sorted.ids.push(id);
            sorted.labels.push(room.into());
        }
        sorted
    }
}

/// Rooms in order.
#[derive(Debug, Default)]
pub(super) struct SortedRooms {
    /// The id that each has for a service.
    pub(super) ids: Vec<u64>,
    /// The name that each has in the file.
    pub(super) labels: Vec<String>,
    /// True if the ids are numbers from 1, and not the rooms' own.
    pub(super) are_numbered: bool,
    /// The ids and names of the others.
    pub(super) others: Vec<(u64, String)>,
    ranks: Vec<Option<usize>>,
}

impl SortedRooms {
    /// The place among all, from 0, of the room that had this number when it was seen.
    pub(super) fn rank(&self, number: u32) -> Option<usize> {
        usize::try_from(number).ok().and_then(|number| self.ranks.get(number).copied().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(ids: &[&str]) -> (Vec<String>, Vec<u64>) {
        let mut seen = RoomNumbers::default();
        for id in ids {
            seen.number(&canonical(id));
        }
        let sorted = seen.sorted(|_| true);
        (sorted.labels, sorted.ids)
    }

    #[test]
    fn one_id_has_one_spelling() {
        for (text, one) in [
            ("300001.0", "300001"),
            ("007", "7"),
            ("+7", "7"),
            ("-0", "0"),
            ("-07", "-7"),
            ("-7", "-7"),
            ("0.00", "0"),
            ("7.5", "7.5"),
            ("7.", "7."),
            ("x07", "x07"),
            ("", ""),
            ("+", "+"),
            ("99999999999999999999.0", "99999999999999999999"),
        ] {
            assert_eq!(canonical(text), one, "{text:?}");
        }
    }

    #[test]
    fn a_number_that_a_spreadsheet_rounded_is_known() {
        assert!(is_rounded("4.79386E+17") && is_rounded("5e+10"));
        assert!(!["479386", "1E5", "e+1", "abcE+12", "E+", "1E+x"].into_iter().any(is_rounded));
    }

    #[test]
    fn ids_that_a_service_takes_stay_and_others_are_numbered_in_order() {
        let names = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            order(&["7399999", "12", "900", "12"]),
            (names(&["12", "900", "7399999"]), vec![12, 900, 7_399_999])
        );
        let huge = ["18446744073709551615", "2053013563651392361", "3"];
        assert_eq!(
            order(&huge),
            (names(&["3", "2053013563651392361", "18446744073709551615"]), vec![1, 2, 3])
        );
        let negative = ["-9007199254740992", "-9007199254740993", "0"];
        assert_eq!(order(&negative).0, names(&["-9007199254740993", "-9007199254740992", "0"]));
        assert_eq!(order(&["b-2", "a", "10", "9"]), (names(&["9", "10", "a", "b-2"]), vec![1, 2, 3, 4]));
        assert_eq!(order(&["9007199254740991"]).1, [MAX_ID]);
        assert_eq!(order(&["9007199254740992"]).1, [1]);
    }

    #[test]
    fn users_have_their_own_id_or_the_hash_of_their_name() {
        assert_eq!((user_id("300001"), user_id("9007199254740991")), (300_001, MAX_ID));
        let hashed = [user_id("anna"), user_id("0"), user_id("9007199254740992"), user_id("-5")];
        assert!(hashed.iter().all(|id| (1_000..=MAX_ID).contains(id)), "{hashed:?}");
        // The same in every file, for good.
        assert_eq!(user_id("anna"), xxh3_64(b"anna") >> 11);
    }
}
