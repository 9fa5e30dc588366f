//! A shard that takes no more: its grabs are refused, nothing acknowledged is lost, and reads go on.

use std::time::Duration;

use coupon_loadgen::http::get_json;
use coupon_service::api::{GlobalStatistics, ShardsStatus};

use crate::common::Site;

#[test]
fn grabs_of_a_full_shard_are_refused_and_none_acknowledged_is_lost() {
    let mut site = Site::seeded("range-room").with("embedded.max_file_mb=1");
    let (service, target) = site.start();
    // Load until the shard says that it takes no more; a slow machine takes longer to get there.
    let (mut granted, mut unknown, mut down) = (0, 0, false);
    for seed in 0..60 {
        let outcome = site.load(&target, Duration::from_secs(1), seed);
        (granted, unknown) = (granted + outcome.counts.granted, unknown + outcome.counts.unknown);
        let status: ShardsStatus = get_json(&target, "/admin/shards/status").unwrap();
        down = status.shards.iter().any(|shard| !shard.up);
        if down {
            break;
        }
    }
    assert!(down, "the file never filled");
    // It may have filled with the last grab of all.
    unknown += site.load(&target, Duration::from_secs(1), 60).counts.unknown;
    assert!(granted > 0, "nothing fitted at all");
    assert!(unknown > 0, "a full shard went on acknowledging");
    let totals: GlobalStatistics = get_json(&target, "/api/statistics/global").unwrap();
    assert!(totals.results > 0, "reads do not go on");
    service.stop().unwrap();

    // With room again, the same folder is whole.
    let mut site = site.with("embedded.max_file_mb=0");
    let (_service, target) = site.start();
    let report = site.audited(&target);
    assert_eq!(report.violations(), 0, "{:#?}", report.findings);
}
