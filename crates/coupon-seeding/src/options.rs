//! The amount and kind of data to generate.

use std::ops::RangeInclusive;
use std::sync::Arc;

use coupon_core::{GrabTerms, MAX_ID, RESULT_ID_EPOCH, Timestamp};

/// Stock of a hot room's coupon.
pub(crate) const HOT_STOCK: RangeInclusive<u64> = 5_000..=20_000;
/// Stock of any other room's coupon.
pub(crate) const STOCK: RangeInclusive<u64> = 500..=5_000;

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// The ids of a given catalogue, whose rooms have different numbers of coupons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenIds {
    /// The users, ascending.
    pub users: Arc<[u64]>,
    /// The rooms, ascending.
    pub rooms: Arc<[u64]>,
    /// The room of each coupon on offer, coupon 1 first.
    pub coupon_rooms: Arc<[u64]>,
}

/// The data to generate. The same options give the same rows, whatever the strategy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedOptions {
    /// The number of users; their ids count from 1, unless they are given.
    pub users: u64,
    /// The number of rooms; likewise.
    pub rooms: u64,
    /// Number of hot rooms, the first ones: more stock, and most of the grabs.
    pub hot_rooms: u64,
    /// Coupons on offer in each room: coupon c belongs to room (c − 1) / this + 1, unless the next field says where.
    pub coupons_per_room: u64,
    /// The ids of a catalogue that is not numbered from 1.
    pub given: Option<GivenIds>,
    /// Stock of each coupon on offer; without it as much as a room's heat suggests, drawn at random.
    pub stock: Option<u32>,
    /// The terms of a grab of the coupons on offer.
    pub terms: GrabTerms,
    /// Past results.
    pub history: u64,
    /// The whole UTC days, the last ones before [`SeedOptions::as_of`], over which they spread.
    pub days: u64,
    /// The seed of every random choice.
    pub seed: u64,
    /// The moment that the data is made for: coupons are on offer from the start of its day.
    pub as_of: Timestamp,
    /// True if the data set is to have a room index.
    pub room_index: bool,
}

impl Default for SeedOptions {
    /// 100,000 users, 100 rooms of which 5 are hot, 500 coupons, no history, for now.
    fn default() -> Self {
        Self {
            users: 100_000,
            rooms: 100,
            hot_rooms: 5,
            coupons_per_room: 5,
            given: None,
            stock: None,
            terms: GrabTerms::default(),
            history: 0,
            days: 30,
            seed: 1,
            as_of: now(),
            room_index: false,
        }
    }
}

/// A size that makes no data. The message names the flag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{flag} {given}: {why}")]
pub struct OptionError {
    /// The flag, as the command line spells it.
    pub flag: &'static str,
    given: String,
    why: String,
}

/// A tenth of mankind; it also keeps a mistyped figure from filling the disk.
const MOST_USERS: u64 = 1_000_000_000;
/// The most rooms times coupons: each has a few KB of details, and a service reads them all when it starts.
const MOST_COUPONS: u64 = 10_000_000;
/// One a millisecond: far above any real day, and far below what result ids can tell apart.
const MOST_ROWS_A_DAY: u64 = 86_400_000;
/// Each has a few KB of details.
const MOST_PAST_COUPONS: u64 = 1_000_000;

impl SeedOptions {
    /// Refuses sizes that make no data.
    ///
    /// # Errors
    /// [`OptionError`], which names the first offender.
    pub fn check(&self) -> Result<(), OptionError> {
        self.check_catalogue()?;
        if self.history > 0 { self.check_history() } else { Ok(()) }
    }

    /// A catalogue of these ids.
    #[must_use]
    pub fn of(given: GivenIds) -> Self {
        let (users, rooms) = (given.users.len() as u64, given.rooms.len() as u64);
        Self { users, rooms, hot_rooms: 0, given: Some(given), ..Self::default() }
    }

    fn check_catalogue(&self) -> Result<(), OptionError> {
        let counted = [
            ("users", self.users, MOST_USERS),
            ("rooms", self.rooms, MOST_COUPONS),
            ("coupons-per-room", self.coupons_per_room, MOST_COUPONS),
        ];
        for (flag, given, most) in counted {
            if given == 0 || given > most {
                return refuse(flag, given, format!("must be from 1 to {most}"));
            }
        }
        if self.hot_rooms > self.rooms {
            let why = format!("there are only {} rooms; lower it, or raise --rooms", self.rooms);
            return refuse("hot-rooms", self.hot_rooms, why);
        }
        let (limit, most) = (self.terms.user_limit, GrabTerms::USER_LIMIT_MAX);
        if limit == 0 || limit > most {
            return refuse("user-limit", u64::from(limit), format!("must be from 1 to {most}"));
        }
        let (hold, longest) = (self.terms.hold_s, GrabTerms::HOLD_S_MAX);
        if hold > longest {
            return refuse("hold-s", u64::from(hold), format!("must be from 0 to {longest}, thirty days"));
        }
        if let Some(given) = &self.given {
            return self.check_given(given);
        }
        if self.rooms * self.coupons_per_room > MOST_COUPONS {
            let why =
                format!("makes {} coupons; at most {MOST_COUPONS} fit", self.rooms * self.coupons_per_room);
            return refuse("coupons-per-room", self.coupons_per_room, why);
        }
        Ok(())
    }

    fn check_given(&self, given: &GivenIds) -> Result<(), OptionError> {
        for (flag, wanted, ids) in [("users", self.users, &given.users), ("rooms", self.rooms, &given.rooms)]
        {
            let valid = ids.iter().all(|id| (1..=MAX_ID).contains(id)) && ids.is_sorted_by(|a, b| a < b);
            if !valid || ids.len() as u64 != wanted {
                let why = format!("the ids given must be as many, ascending, from 1 to {MAX_ID}");
                return refuse(flag, wanted, why);
            }
        }
        let coupons = given.coupon_rooms.len() as u64;
        if coupons == 0 || coupons > MOST_COUPONS {
            return refuse("coupons", coupons, format!("must be from 1 to {MOST_COUPONS}"));
        }
        if let Some(room) = given.coupon_rooms.iter().find(|room| given.rooms.binary_search(room).is_err()) {
            return refuse("rooms", self.rooms, format!("a coupon belongs to room {room}"));
        }
        // Hot rooms and past results are made for rooms and users that are numbered from 1.
        for (flag, wanted) in [("hot-rooms", self.hot_rooms), ("history", self.history)] {
            if wanted > 0 {
                return refuse(flag, wanted, "a catalogue whose ids are given has none".to_owned());
            }
        }
        Ok(())
    }

    fn check_history(&self) -> Result<(), OptionError> {
        let since_2020 = (self.as_of.day().number() - RESULT_ID_EPOCH.day().number()).try_into().unwrap_or(0);
        if self.days == 0 || self.days > since_2020 {
            let why = format!("history needs from 1 to {since_2020} days before {}", self.as_of.day());
            return refuse("days", self.days, format!("{why}: result ids begin with 2020"));
        }
        let most = self.days.saturating_mul(MOST_ROWS_A_DAY);
        if self.history > most {
            let why = format!("{} days hold at most {most} rows; raise --days", self.days);
            return refuse("history", self.history, why);
        }
        // No user gets a coupon twice, so few users need many coupons.
        let coupons = self.history / self.users.min(*STOCK.end());
        if coupons > MOST_PAST_COUPONS {
            let why = format!("sells {coupons} coupons to {} users; raise --users", self.users);
            return refuse("history", self.history, why);
        }
        Ok(())
    }

    /// Coupons on offer.
    pub(crate) fn live_coupons(&self) -> u64 {
        self.given
            .as_ref()
            .map_or(self.rooms * self.coupons_per_room, |given| given.coupon_rooms.len() as u64)
    }

    /// The id of a user, of which this is the number from 1.
    pub(crate) fn user_id(&self, number: u64) -> u64 {
        listed(self.given.as_ref().map(|given| &given.users), number).unwrap_or(number)
    }

    /// The id of a room, of which this is the number from 1.
    pub(crate) fn room_id(&self, number: u64) -> u64 {
        listed(self.given.as_ref().map(|given| &given.rooms), number).unwrap_or(number)
    }

    /// The room of a coupon on offer.
    pub(crate) fn room_of(&self, coupon: u64) -> u64 {
        listed(self.given.as_ref().map(|given| &given.coupon_rooms), coupon)
            .unwrap_or((coupon - 1) / self.coupons_per_room + 1)
    }
}

fn listed(ids: Option<&Arc<[u64]>>, number: u64) -> Option<u64> {
    ids?.get(usize::try_from(number.checked_sub(1)?).ok()?).copied()
}

fn refuse(flag: &'static str, given: u64, why: String) -> Result<(), OptionError> {
    Err(OptionError { flag, given: given.to_string(), why })
}

/// The time now, by this machine's clock.
#[must_use]
pub fn now() -> Timestamp {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl Fn(&mut SeedOptions)) -> Result<(), OptionError> {
        let mut options = SeedOptions::default();
        change(&mut options);
        options.check()
    }

    #[test]
    fn the_default_is_possible() {
        assert_eq!(SeedOptions::default().check(), Ok(()));
        assert_eq!(SeedOptions::default().live_coupons(), 500);
    }

    #[test]
    fn an_impossible_size_names_its_flag() {
        let flag = |result: Result<(), OptionError>| result.unwrap_err().flag;
        assert_eq!(flag(with(|o| o.users = 0)), "users");
        assert_eq!(flag(with(|o| o.rooms = 0)), "rooms");
        assert_eq!(flag(with(|o| o.hot_rooms = 101)), "hot-rooms");
        assert_eq!(flag(with(|o| o.coupons_per_room = 0)), "coupons-per-room");
        assert_eq!(flag(with(|o| o.coupons_per_room = 9_999_999)), "coupons-per-room");
        assert_eq!(flag(with(|o| (o.history, o.days) = (1, 0))), "days");
        assert_eq!(flag(with(|o| (o.history, o.days) = (1, 100_000))), "days");
        assert_eq!(flag(with(|o| (o.history, o.days) = (86_400_001, 1))), "history");
        assert_eq!(flag(with(|o| (o.history, o.users) = (1_000_001, 1))), "history");
        let given = |users: &[u64], rooms: &[u64], coupon_rooms: &[u64]| {
            let [users, rooms, coupon_rooms] = [users, rooms, coupon_rooms].map(Arc::from);
            SeedOptions::of(GivenIds { users, rooms, coupon_rooms })
        };
        let refused = |options: SeedOptions| options.check().unwrap_err().flag;
        assert_eq!(refused(given(&[1], &[1, 2], &[1, 3])), "rooms");
        assert_eq!(refused(given(&[1], &[1], &[])), "coupons");
        for users in [&[0][..], &[MAX_ID + 1], &[2, 2], &[3, 1]] {
            assert_eq!(refused(given(users, &[1], &[1])), "users", "{users:?}");
        }
        assert_eq!(refused(SeedOptions { users: 2, ..given(&[1], &[1], &[1]) }), "users");
        assert_eq!(refused(SeedOptions { history: 1, ..given(&[1], &[1], &[1]) }), "history");
        let error = with(|o| o.hot_rooms = 101).unwrap_err().to_string();
        assert!(error.contains("--hot-rooms 101") && error.contains("100 rooms"), "{error}");
    }

    #[test]
    fn ids_may_have_gaps_and_coupons_belong_to_any_room() {
        let [users, rooms, coupon_rooms] = [&[7, MAX_ID][..], &[3, 900], &[900, 3, 900]].map(Arc::from);
        let options = SeedOptions::of(GivenIds { users, rooms, coupon_rooms });
        assert_eq!((options.check(), options.live_coupons()), (Ok(()), 3));
        assert_eq!([1, 2].map(|number| options.user_id(number)), [7, MAX_ID]);
        assert_eq!([1, 2].map(|number| options.room_id(number)), [3, 900]);
        assert_eq!([1, 2, 3].map(|coupon| options.room_of(coupon)), [900, 3, 900]);
        assert_eq!([1, 5, 6, 500].map(|coupon| SeedOptions::default().room_of(coupon)), [1, 1, 2, 100]);
    }

    #[test]
    fn days_do_not_matter_without_history() {
        assert_eq!(with(|o| o.days = 0), Ok(()));
    }
}
