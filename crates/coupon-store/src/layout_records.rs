//! The versions of the layout as main has them, and the strategy that they make.

use std::sync::Arc;

use anyhow::Context as _;
use coupon_core::{LayoutVersion, RESULT_ID_EPOCH, ShardingStrategy, Timestamp, Versioned};

use super::VersionRecord;

/// The first version of a layout, which has every row from before the second.
pub(crate) fn first(layout: &str, now: Timestamp) -> VersionRecord {
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
pub(crate) fn versioned(known: &Versioned, records: &[VersionRecord]) -> anyhow::Result<Versioned> {
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

/// The strategy that a layout line names, if one of the versions is it, or the latest can say what it is.
pub(crate) fn of_layout(known: &Versioned, line: &str) -> Option<Arc<dyn ShardingStrategy>> {
    let same = known.versions().iter().find(|version| version.strategy.layout() == line);
    let same = same.map(|version| Arc::clone(&version.strategy));
    same.or_else(|| known.of_layout(line)).filter(|strategy| strategy.layout() == line)
}
