//! A cure for hot rooms' statistics: answers that are a little old, and say so.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use coupon_core::RoomId;

use crate::api::RoomStats;

/// The most rooms that are kept; beyond that one is taken up when another's answer is too old. The cache is for the few that are
/// hot.
const ROOMS: usize = 1_024;

/// The latest statistics of each room, for as long as the setting allows.
#[derive(Debug)]
pub struct RoomStatsCache {
    keep: Duration,
    rooms: Mutex<HashMap<RoomId, (Instant, RoomStats)>>,
}

impl RoomStatsCache {
    /// Keeps answers for that long; zero keeps none.
    #[must_use]
    pub fn new(keep: Duration) -> Self {
        Self { keep, rooms: Mutex::default() }
    }

    /// The room's statistics if they are young enough, with their age, and no shard visited.
    #[must_use]
    pub fn get(&self, room: RoomId) -> Option<RoomStats> {
        if self.keep.is_zero() {
            return None;
        }
        let rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let (made, stats) = rooms.get(&room)?;
        let age = made.elapsed();
        if age > self.keep {
            return None;
        }
        let mut stats = stats.clone();
        stats.age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        stats.plan.shards.clear();
        stats.plan.tables = 0;
        Some(stats)
    }

    /// Keeps an answer, unless it is short of a shard.
    pub fn put(&self, room: RoomId, stats: &RoomStats) {
        if self.keep.is_zero() || stats.partial {
            return;
        }
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if rooms.len() >= ROOMS {
            rooms.retain(|_, (made, _)| made.elapsed() <= self.keep);
        }
        if rooms.len() < ROOMS {
            rooms.insert(room, (Instant::now(), stats.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::PlanView;

    fn stats(partial: bool) -> RoomStats {
        RoomStats {
            room_id: 1,
            results: 7,
            last_grab_time: None,
            partial,
            missing_shards: Vec::new(),
            as_of: String::new(),
            age_ms: 0,
            plan: PlanView { shards: vec![0, 1], tables: 2, moving: false },
        }
    }

    #[test]
    fn a_kept_answer_visits_no_shard() {
        let (cache, room) = (RoomStatsCache::new(Duration::from_secs(3_600)), RoomId::new(1).unwrap());
        cache.put(room, &stats(false));
        let kept = cache.get(room).unwrap();
        assert_eq!((kept.results, kept.plan.shards.len(), kept.plan.tables), (7, 0, 0));
    }

    #[test]
    fn nothing_is_kept_when_off_or_when_short_of_a_shard() {
        let room = RoomId::new(1).unwrap();
        let off = RoomStatsCache::new(Duration::ZERO);
        off.put(room, &stats(false));
        assert!(off.get(room).is_none());
        let on = RoomStatsCache::new(Duration::from_secs(3_600));
        on.put(room, &stats(true));
        assert!(on.get(room).is_none());
    }
}
