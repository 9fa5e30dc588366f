//! The versions of the layout as main has them, and the strategy that they make.

use std::sync::Arc;

use anyhow::Context as _;
use coupon_core::{LayoutVersion, RESULT_ID_EPOCH, ShardingStrategy, Timestamp, VersionNumber, Versioned};

use super::VersionRecord;
use super::moving::ShardMoves;

/// The first version of a layout, which has every row from before the second.
pub fn first(layout: &str, now: Timestamp) -> VersionRecord {
    VersionRecord {
        number: 1,
        from: RESULT_ID_EPOCH,
        layout: layout.to_owned(),
        receives: false,
        closed: false,
        announced: now,
        operator: String::new(),
        what: "the layout at first".to_owned(),
    }
}

/// The strategy of the versions that may still have rows.
///
/// # Errors
/// When the versions that are known already cannot say what a later one is.
pub fn versioned(known: &Versioned, records: &[VersionRecord]) -> anyhow::Result<Versioned> {
    let version = |record: &VersionRecord| {
        let VersionRecord { number, from, layout, receives, .. } = record;
        let strategy = of_layout(known, layout).with_context(|| {
            let name = known.name();
            format!("version {number} of the layout is \"{layout}\", which is none that {name} knows")
        })?;
        Ok(LayoutVersion { number: *number, from: *from, receives: *receives, strategy })
    };
    let open = records.iter().filter(|record| !record.closed);
    Ok(Versioned::new(open.map(version).collect::<anyhow::Result<_>>()?)?)
}

/// Refuses a list of versions without the one that rows of a shard have begun to move to: they would be looked for where they
/// are not.
///
/// # Errors
/// When it is not there, or does not receive rows.
pub fn ensure_known(moves: ShardMoves, records: &[VersionRecord]) -> anyhow::Result<()> {
    let from = moves.moving_from;
    let known = records.iter().any(|version| version.number == from + 1 && version.receives);
    anyhow::ensure!(
        from == 0 || known,
        "its rows have begun to move to where version {} of the layout says, and main knows of no such version that receives \
         rows: main is of an earlier time than the shards",
        from + 1
    );
    Ok(())
}

/// Refuses a list of versions that ends before the latest which was announced to a shard.
///
/// # Errors
/// When it does.
pub fn ensure_told(told: VersionNumber, records: &[VersionRecord]) -> anyhow::Result<()> {
    let latest = records.last().map_or(0, |version| version.number);
    anyhow::ensure!(
        told <= latest,
        "it was told of version {told} of the layout, and the latest that main knows is {latest}: main is of an earlier time than \
         the shards"
    );
    Ok(())
}

/// The strategy that a layout line names, if one of the versions is it, or the latest can say what it is.
pub fn of_layout(known: &Versioned, line: &str) -> Option<Arc<dyn ShardingStrategy>> {
    let same = known.versions().iter().find(|version| version.strategy.layout() == line);
    let same = same.map(|version| Arc::clone(&version.strategy));
    same.or_else(|| known.of_layout(line)).filter(|strategy| strategy.layout() == line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u32, receives: bool) -> VersionRecord {
        VersionRecord { number, receives, ..first("of 4 shards", Timestamp::from_millis(0)) }
    }

    #[test]
    fn a_list_that_ends_before_what_a_shard_was_told_of_is_refused() {
        let all = [record(1, false), record(2, false)];
        assert!(ensure_told(0, &all).is_ok() && ensure_told(2, &all).is_ok());
        assert!(ensure_told(3, &all).is_err() && ensure_told(2, &all[..1]).is_err());
    }

    #[test]
    fn rows_that_have_begun_to_move_are_moved_to_a_version_that_main_knows() {
        let moves = |moving_from| ShardMoves { moving_from, ..ShardMoves::default() };
        let all = [record(1, false), record(2, true), record(3, false)];
        assert!(ensure_known(moves(0), &all[..1]).is_ok());
        assert!(ensure_known(moves(1), &all).is_ok());
        assert!(ensure_known(moves(1), &all[..1]).is_err());
        let refused = ensure_known(moves(2), &all).unwrap_err().to_string();
        assert!(refused.contains("version 3"), "{refused}");
    }
}
