//! The work of each shard between two looks at it.

use coupon_report::model::{Figure, ShardRound};
use coupon_service::api::{ShardStatus, ShardsStatus};

/// Each shard's work in between; a figure that a service cannot read stays unknown, with the service's reason.
pub(super) fn between(before: &ShardsStatus, after: &ShardsStatus) -> Vec<ShardRound> {
    let find = |shard: u16| before.shards.iter().find(|earlier| earlier.shard == shard);
    after.shards.iter().map(|later| shard(find(later.shard), later)).collect()
}

fn shard(before: Option<&ShardStatus>, after: &ShardStatus) -> ShardRound {
    let Some(before) = before else {
        let unknown = || Figure::unknown("the shard was not there at the start of the round");
        return ShardRound {
            shard: after.shard,
            rows_written: unknown(),
            cpu_seconds: unknown(),
            bytes_written: unknown(),
            ..ShardRound::default()
        };
    };
    let cpu = before.cpu_seconds.zip(after.cpu_seconds);
    let bytes = before.bytes_written.zip(after.bytes_written);
    ShardRound {
        shard: after.shard,
        rows_written: counted(before.rows_written, after.rows_written),
        cpu_seconds: cpu.map_or_else(|| why(after, "cpu"), |(before, after)| grown(before, after)),
        bytes_written: bytes.map_or_else(|| why(after, "bytes"), |(before, after)| counted(before, after)),
        ..ShardRound::default()
    }
}

fn counted(before: u64, after: u64) -> Figure {
    grown(before as f64, after as f64)
}

fn grown(before: f64, after: f64) -> Figure {
    if after < before {
        return Figure::unknown("the service started again during the round");
    }
    Figure::of(after - before)
}

/// The reason why a service cannot read a figure: the one that names it, or all of them.
fn why(status: &ShardStatus, about: &str) -> Figure {
    let reasons = &status.unavailable;
    let named = reasons.iter().find(|reason| reason.to_lowercase().contains(about));
    Figure::unknown(match named {
        Some(reason) => reason.clone(),
        None if reasons.is_empty() => "the service does not say why".to_owned(),
        None => reasons.join("; "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(rows_written: u64, cpu_seconds: Option<f64>, bytes_written: Option<u64>) -> ShardsStatus {
        let shard = serde_json::json!({
            "shard": 0, "up": true, "rows": 1, "share": null, "rows_written": rows_written, "commits": 1,
            "writes_per_s": null, "queue_depth": 0, "write_ms": null, "read_ms": null, "connections": 1,
            "cpu_seconds": cpu_seconds, "bytes_written": bytes_written,
            "unavailable": ["bytes_written: no /proc here"],
        });
        serde_json::from_value(serde_json::json!({"shards": [shard], "effective_shards": null, "skew": null,
            "hot": coupon_service::api::HotResults::default()}))
        .unwrap()
    }

    #[test]
    fn work_is_what_came_in_between() {
        let work = between(&status(10, Some(1.0), Some(4_096)), &status(25, Some(1.5), Some(8_192)));
        let [shard] = work.as_slice() else { panic!("{work:?}") };
        assert_eq!(shard.rows_written, Figure::of(15.0));
        assert_eq!(shard.cpu_seconds, Figure::of(0.5));
        assert_eq!(shard.bytes_written, Figure::of(4_096.0));
    }

    #[test]
    fn a_figure_that_cannot_be_read_keeps_its_reason_and_is_no_zero() {
        let work = between(&status(10, Some(1.0), None), &status(10, Some(1.0), None));
        assert_eq!(work[0].bytes_written.reason(), Some("bytes_written: no /proc here"));
        assert_eq!(work[0].rows_written, Figure::of(0.0));
    }

    #[test]
    fn a_service_that_started_again_has_no_figures() {
        let work = between(&status(10, Some(1.0), None), &status(2, Some(0.1), None));
        assert_eq!((work[0].rows_written.value(), work[0].cpu_seconds.value()), (None, None));
    }
}
