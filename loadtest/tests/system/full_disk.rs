//! A shard that takes no more: its grabs are refused, nothing acknowledged is lost, and reads go on.

use std::time::Duration;

use coupon_loadgen::http::get_json;
use coupon_service::api::{GlobalStatistics, ShardsStatus};

use crate::system::common::SeededFolder;

#[test]
fn grabs_of_a_full_shard_are_refused_and_none_acknowledged_is_lost() {
    let mut folder = SeededFolder::of("range-room").with("embedded.max_file_mb=1");
    let (service, target) = folder.start();
    // Load until the shard says that it takes no more; a slow machine takes longer to get there.
    let (mut granted, mut unknown, mut down) = (0, 0, false);
    for seed in 0..60 {
        let outcome = folder.load(&target, Duration::from_secs(1), seed);
        (granted, unknown) = (granted + outcome.counts.granted, unknown + outcome.counts.unknown);
        let status: ShardsStatus = get_json(&target, "/admin/shards/status").unwrap();
        down = status.shards.iter().any(|shard| !shard.up);
        if down {
            break;
        }
    }
    assert!(down, "the file never filled");
    // It may have filled with the last grab of all.
    unknown += folder.load(&target, Duration::from_secs(1), 60).counts.unknown;
    assert!(granted > 0, "nothing fitted at all");
    assert!(unknown > 0, "a full shard went on acknowledging");
    let totals: GlobalStatistics = get_json(&target, "/api/statistics/global").unwrap();
    assert!(totals.results > 0, "reads do not go on");
    service.stop().unwrap();

    // With room again, the same folder is whole.
    let folder = folder.with("embedded.max_file_mb=0");
    let (_service, target) = folder.start();
    let report = folder.audited(&target);
    assert_eq!(report.violations(), 0, "{:#?}", report.findings);
}
