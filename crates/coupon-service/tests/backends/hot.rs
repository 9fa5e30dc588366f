//! Hot keys, by name.

use coupon_service::api::{HotKeys, HotResults, ShardsStatus};

use crate::bench::{Bench, PLENTY, SCARCE};
use crate::served::Served;

fn pairs(keys: &HotKeys) -> Vec<(u64, u64)> {
    keys.top.iter().map(|key| (key.id, key.results)).collect()
}

fn hot(service: &Served) -> HotResults {
    service.get("/admin/shards/status").json::<ShardsStatus>().hot
}

pub(crate) async fn what_is_hot_is_told_by_name_and_a_grab_counts_once(bench: &Bench) {
    let service = Served::start(bench, &[]);
    service.becomes(200);
    assert!(hot(&service).rooms.top.is_empty());
    for (user, coupon) in [(1, PLENTY), (2, PLENTY), (3, PLENTY), (1, SCARCE)] {
        assert_eq!(service.grab(user, coupon).status, 200);
    }
    // Stored or on its way, it is the same result.
    service.grab(2, PLENTY);
    service.drain();
    service.grab(2, PLENTY);
    let hot = hot(&service);
    assert_eq!((hot.results, hot.rooms.error, pairs(&hot.rooms)), (4, 0, vec![(1, 4)]));
    assert_eq!(pairs(&hot.coupons), [(PLENTY, 3), (SCARCE, 1)]);
    assert_eq!(pairs(&hot.users), [(1, 2), (2, 1), (3, 1)]);
}
