//! Made-up rows: who grabs, in which room, when.

use coupon_core::{IdError, RoomId, RowKey, TimeRange, Timestamp, UserId};
use coupon_measure::random::Random;
use coupon_measure::zipf::Zipf;

/// The distribution of grabs over users and rooms.
#[derive(Debug, Clone)]
pub(super) struct KeyDistribution {
    users: Users,
    rooms: u64,
    hot_rooms: u64,
    hot_share: f64,
}

impl KeyDistribution {
    /// `hot_share` of the grabs fall evenly on rooms 1 to `hot_rooms`, the rest evenly on rooms 1 to `rooms`.
    ///
    /// Users are 1 to `users`, all alike, or the lower the busier: user k grabs as often as k^-`zipf`.
    #[must_use]
    pub(super) fn new(users: u64, zipf: Option<f64>, rooms: u64, hot_rooms: u64, hot_share: f64) -> Self {
        let users = match zipf {
            Some(exponent) => Users::Zipf(Zipf::new(users, exponent)),
            None => Users::Uniform(users),
        };
        Self { users, rooms, hot_rooms, hot_share }
    }

    /// The next row; its time lies within `window`.
    ///
    /// # Errors
    /// [`IdError`] when more users or rooms were asked for than there are ids.
    pub(super) fn row(&self, random: &mut Random, window: TimeRange) -> Result<RowKey, IdError> {
        let user = match &self.users {
            Users::Uniform(count) => 1 + random.below(*count),
            Users::Zipf(zipf) => zipf.sample(random),
        };
        let hot = random.unit() < self.hot_share;
        let room = 1 + random.below(if hot { self.hot_rooms } else { self.rooms });
        Ok(RowKey { user: UserId::new(user)?, room: RoomId::new(room)?, time: moment(random, window) })
    }
}

#[derive(Debug, Clone)]
enum Users {
    Uniform(u64),
    Zipf(Zipf),
}

/// A moment within the window.
pub(super) fn moment(random: &mut Random, window: TimeRange) -> Timestamp {
    let length = window.end.millis().saturating_sub(window.start.millis());
    let offset = random.below(length.unsigned_abs());
    window.start.plus_millis(i64::try_from(offset).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: usize = 200_000;

    fn window() -> TimeRange {
        TimeRange::new("2026-11-22T20:00:00Z".parse().unwrap(), "2026-11-22T21:00:00Z".parse().unwrap())
    }

    fn rows(keys: &KeyDistribution) -> Vec<RowKey> {
        let mut random = Random::new(1, 0);
        (0..DRAWS).map(|_| keys.row(&mut random, window()).unwrap()).collect()
    }

    fn share(rows: &[RowKey], wanted: impl Fn(&RowKey) -> bool) -> f64 {
        rows.iter().filter(|row| wanted(row)).count() as f64 / rows.len() as f64
    }

    #[test]
    fn the_live_skew_puts_72_percent_of_grabs_on_rooms_1_to_25() {
        let rows = rows(&KeyDistribution::new(1_000, None, 100, 5, 20.0 / 31.9));
        let first_25 = share(&rows, |row| row.room.get() <= 25);
        assert!((first_25 - 0.72).abs() < 0.01, "{first_25}");
        assert!(rows.iter().all(|row| row.room.get() <= 100 && window().contains(row.time)));
    }

    #[test]
    fn uniform_users_reach_both_ends() {
        let rows = rows(&KeyDistribution::new(10, None, 100, 5, 0.5));
        for user in 1..=10 {
            let share = share(&rows, |row| row.user.get() == user);
            assert!((share - 0.1).abs() < 0.01, "user {user}: {share}");
        }
    }

    #[test]
    fn zipf_ranks_come_as_often_as_their_weights() {
        for exponent in [0.5, 1.0, 1.5] {
            let rows = rows(&KeyDistribution::new(50, Some(exponent), 100, 5, 0.5));
            let total: f64 = (1..=50).map(|rank| f64::from(rank).powf(-exponent)).sum();
            for rank in [1_u32, 2, 3, 10, 50] {
                let expected = f64::from(rank).powf(-exponent) / total;
                let share = share(&rows, |row| row.user.get() == u64::from(rank));
                assert!(
                    (share - expected).abs() < 0.005,
                    "s {exponent}, rank {rank}: {share} not {expected}"
                );
            }
            assert!(rows.iter().all(|row| (1..=50).contains(&row.user.get())));
        }
    }

    #[test]
    fn a_block_draws_the_same_rows_every_time_and_no_others_do() {
        let keys = KeyDistribution::new(1_000_000_000, None, 100, 5, 0.5);
        let first = |block| keys.row(&mut Random::new(7, block), window()).unwrap();
        assert_eq!(first(3), first(3));
        assert_ne!(first(3), first(4));
    }
}
