//! The place where a list goes on: opaque text that fits one list only.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coupon_core::{CouponId, ResultId, ResultState, Timestamp};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::params::Query;
use super::problem::{Kind, Problem};

/// The lists there are, by the number that cursors carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    UserCoupons = 1,
    RoomOrders = 2,
    Recent = 3,
    RoomCoupons = 4,
    Offers = 5,
}

/// The place after the last item of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The list.
    pub(super) list: List,
    /// The key of the list: the user, the room (none is 0), or the hours of the window.
    pub(super) key: u64,
    /// The only state of the results on it, if they are of one.
    pub(super) state: Option<ResultState>,
    /// The id of the last item.
    pub(super) position: u64,
    /// The start of the first page's window, if the list has one: all pages show the same.
    pub(super) start: Timestamp,
}

const FIELDS: usize = 25;
const LENGTH: usize = FIELDS + size_of::<u64>();

/// The seed of the hash that separates a slip from a cursor. Not a secret: a client that forges a cursor may only
/// read what it may read anyway.
const SEED: u64 = 0x636f_7570_6f6e_7331;

impl Cursor {
    /// As text for the client.
    pub(super) fn encode(self) -> String {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(self.list as u8 | state_bits(self.state));
        bytes.extend_from_slice(&self.key.to_le_bytes());
        bytes.extend_from_slice(&self.position.to_le_bytes());
        bytes.extend_from_slice(&self.start.millis().to_le_bytes());
        bytes.extend_from_slice(&xxh3_64_with_seed(&bytes, SEED).to_le_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The cursor that a query names, if it names one: as for [`Self::decode`].
    pub(super) fn of(
        query: &Query,
        list: List,
        key: Option<u64>,
        state: Option<ResultState>,
    ) -> Result<Option<Self>, Problem> {
        query.text("cursor").map(|text| Self::decode(text, list, key, state)).transpose()
    }

    /// The result that it stands after.
    pub(super) fn result(self) -> Result<ResultId, Problem> {
        i64::try_from(self.position)
            .ok()
            .and_then(|number| ResultId::from_number(number).ok())
            .ok_or_else(|| malformed("the cursor names no result"))
    }

    /// The coupon that it stands after.
    pub(super) fn coupon(self) -> Result<CouponId, Problem> {
        CouponId::new(self.position).map_err(|_| malformed("the cursor names no coupon"))
    }

    /// Reads one back; it must belong to that list and, if one is given, to that key and that state.
    pub(super) fn decode(
        text: &str,
        list: List,
        key: Option<u64>,
        state: Option<ResultState>,
    ) -> Result<Self, Problem> {
        let cursor = Self::read(text, list).ok_or_else(|| {
            malformed("the cursor is not one that this list gave: use next_cursor as it is")
        })?;
        if key.is_some_and(|key| key != cursor.key) || state.is_some_and(|_| state != cursor.state) {
            return Err(malformed("the cursor belongs to another list: start again without it"));
        }
        Ok(cursor)
    }

    fn read(text: &str, list: List) -> Option<Self> {
        // Checked before decoding, so that a long forgery costs nothing.
        if text.len() != LENGTH.div_ceil(3) * 4 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (fields, check) = bytes.split_at_checked(FIELDS)?;
        if xxh3_64_with_seed(fields, SEED) != u64::from_le_bytes(check.try_into().ok()?) {
            return None;
        }
        let (kind, numbers) = fields.split_first()?;
        let number = |at: usize| Some(u64::from_le_bytes(numbers.get(at * 8..at * 8 + 8)?.try_into().ok()?));
        let millis = i64::try_from(number(2)?).ok()?;
        let start = Some(Timestamp::from_millis(millis)).filter(|start| start.millis() == millis)?;
        let mut states = [None].into_iter().chain(ResultState::ALL.map(Some));
        let state = states.find(|state| *kind == list as u8 | state_bits(*state))?;
        Some(Self { list, key: number(0)?, state, position: number(1)?, start })
    }
}

fn malformed(detail: &str) -> Problem {
    Problem::new(Kind::Malformed, detail).field("cursor")
}

/// The upper half of the byte whose lower half says which list it is: none for results in any state.
const fn state_bits(state: Option<ResultState>) -> u8 {
    match state {
        None => 0,
        Some(ResultState::Held) => 0x10,
        Some(ResultState::Owned) => 0x20,
        Some(ResultState::Used) => 0x30,
        Some(ResultState::Returned) => 0x40,
        Some(ResultState::Released) => 0x50,
        Some(ResultState::Expired) => 0x60,
    }
}

/// Checks what must hold of any text that is given for a cursor: it is refused, or the only spelling of the place
/// that it names, on the only list that it fits.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn check(text: &str) {
    let lists = [List::UserCoupons, List::RoomOrders, List::Recent, List::RoomCoupons, List::Offers];
    let read: Vec<Cursor> =
        lists.iter().filter_map(|list| Cursor::decode(text, *list, None, None).ok()).collect();
    assert!(read.len() <= 1, "it fits several lists");
    for cursor in read {
        assert_eq!(cursor.encode(), text, "it has two spellings");
        let decode = |key, state| Cursor::decode(text, cursor.list, Some(key), state);
        assert!(decode(cursor.key, cursor.state).is_ok());
        assert!(decode(cursor.key.wrapping_add(1), cursor.state).is_err());
        let other = ResultState::ALL.into_iter().find(|state| Some(*state) != cursor.state);
        assert!(decode(cursor.key, other).is_err());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_refused_or_the_only_spelling_of_a_place(text in "\\PC*", like in "[A-Za-z0-9_=-]{43,45}") {
            check(&text);
            check(&like);
        }

        #[test]
        fn any_fields_make_a_cursor_for_one_list(
            kind: u8,
            key: u64,
            position: u64,
            start in prop_oneof![any::<u64>(), 0_u64..1 << 43],
        ) {
            let mut bytes = vec![kind];
            bytes.extend([key, position, start].iter().flat_map(|number| number.to_le_bytes()));
            bytes.extend(xxh3_64_with_seed(&bytes, SEED).to_le_bytes());
            let text = URL_SAFE_NO_PAD.encode(bytes);
            check(&text);
            let is_time = i64::try_from(start).is_ok_and(|start| Timestamp::from_millis(start).millis() == start);
            let read = Cursor::decode(&text, List::Recent, None, None);
            let is_kind = kind & 0xf == List::Recent as u8 && kind >> 4 <= 6;
            assert_eq!(read.is_ok(), is_kind && is_time);
        }
    }

    fn cursor() -> Cursor {
        let start = "2026-11-22T12:00:00Z".parse().unwrap();
        Cursor { list: List::Recent, key: 24, state: None, position: u64::MAX, start }
    }

    #[test]
    fn a_cursor_survives_its_journey() {
        for state in [None].into_iter().chain(ResultState::ALL.map(Some)) {
            let cursor = Cursor { state, ..cursor() };
            let text = cursor.encode();
            assert_eq!(Cursor::decode(&text, List::Recent, Some(24), state).unwrap(), cursor);
            assert_eq!(Cursor::decode(&text, List::Recent, None, None).unwrap(), cursor);
        }
    }

    #[test]
    fn a_cursor_of_before_lists_had_states_fits_the_list_in_any_state() {
        let text = "AxgAAAAAAAAA";
        assert!(cursor().encode().starts_with(text), "{}", cursor().encode());
    }

    #[test]
    fn the_cursor_of_another_list_is_refused() {
        let text = cursor().encode();
        assert!(Cursor::decode(&text, List::UserCoupons, Some(24), None).is_err());
        assert!(Cursor::decode(&text, List::Recent, Some(1), None).is_err());
        assert!(Cursor::decode(&text, List::Recent, Some(24), Some(ResultState::Held)).is_err());
    }

    #[test]
    fn a_cursor_changed_anywhere_or_cut_is_refused() {
        let text = cursor().encode();
        for at in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert!(Cursor::decode(&forged, List::Recent, None, None).is_err(), "{at}");
            assert!(Cursor::decode(&text[..at], List::Recent, None, None).is_err(), "{at}");
        }
        for text in ["", "x", "🦀", &"A".repeat(44), &"A".repeat(10_000)] {
            assert!(Cursor::decode(text, List::Recent, None, None).is_err());
        }
    }
}
