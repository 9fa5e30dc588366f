//! Operators' questions about the layout: how it is, what a change would be worth, the change, and the movement of rows.
//! Endpoints and the seeder answer by the same functions.

mod forecast;

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Instant;

use coupon_core::catalogue_change::Operator;
use coupon_core::{LayoutChange, LayoutChangeError, Timestamp, shards_in};
use coupon_store::{Backend, GrowthError, Moving, NextLayout, Unavailable, VersionRecord};

use crate::api::{
    LayoutChangeRequest, LayoutChanged, LayoutForecast, LayoutVersionView, LayoutView, RebalanceView,
};
use crate::queries::Queries;
use forecast::Stratum;

/// The rows that are moved in a second, at most, where nothing else is asked for. On files grabs and reads are as quick
/// beside it as without, on servers that share two cores they are not; docs/GROWING.md has the figures. A million takes
/// a quarter of an hour.
pub const ROWS_PER_S: NonZeroU32 = NonZeroU32::new(1_000).unwrap();

/// A change of the layout that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedChange {
    /// This change of the latest version.
    Change(LayoutChange),
    /// The layout before the latest one.
    Undo,
}

impl RequestedChange {
    /// The same as a request for `POST /admin/layout`.
    #[must_use]
    pub fn request(&self) -> LayoutChangeRequest {
        let none = LayoutChangeRequest::default();
        match self {
            Self::Undo => LayoutChangeRequest { undo: Some(true), ..none },
            Self::Change(LayoutChange::Shards(count)) => {
                LayoutChangeRequest { shards: Some(count.get()), ..none }
            }
            Self::Change(LayoutChange::Spread(width)) => {
                LayoutChangeRequest { spread: Some(width.get()), ..none }
            }
            Self::Change(LayoutChange::Split(rooms)) => {
                let rooms = rooms.iter().map(|room| room.get()).collect();
                LayoutChangeRequest { split: Some(rooms), ..none }
            }
        }
    }
}

/// The layout, with all versions that it ever had, at this time of main's.
///
/// # Errors
/// [`GrowthError`] when main does not answer.
pub async fn show(backend: &Backend, now: Timestamp) -> Result<LayoutView, GrowthError> {
    let versions = backend.growth.versions().await?;
    let moving = backend.growth.moving().await?;
    let shards = backend.layouts.now().latest().strategy.shard_count();
    Ok(view(versions, moving.as_ref(), shards, backend.layouts.prepared(), now))
}

/// The layout that these are the versions of, the latest of which uses so many shards of those that there are.
#[must_use]
pub fn view(
    versions: Vec<VersionRecord>,
    moving: Option<&Moving>,
    shards: NonZeroU16,
    prepared: NonZeroU16,
    now: Timestamp,
) -> LayoutView {
    let rebalance = moving.map(|moving| rebalance_view(moving, &versions));
    LayoutView {
        shards: shards.get(),
        shards_prepared: prepared.get(),
        unused: unused(&versions, prepared).collect(),
        versions: versions.into_iter().map(|record| version(record, now)).collect(),
        rebalance,
    }
}

/// The shards, of those that there are, that closed versions have used, and no other does. None where a line does not
/// say how many shards it is of.
fn unused(versions: &[VersionRecord], prepared: NonZeroU16) -> impl Iterator<Item = u16> + use<> {
    let most = |closed: bool| {
        let some = versions.iter().filter(|version| version.closed == closed);
        let shards: Option<Vec<NonZeroU16>> = some.map(|version| shards_in(&version.layout)).collect();
        shards?.into_iter().map(NonZeroU16::get).max()
    };
    let gone = most(false).zip(most(true)).map(|(open, closed)| open..closed.min(prepared.get()));
    gone.into_iter().flatten()
}

/// The layout after a change.
///
/// # Errors
/// [`GrowthError`] when the latest layout cannot change so, or there is none before it.
pub async fn next(backend: &Backend, wanted: &RequestedChange) -> Result<NextLayout, GrowthError> {
    let versions = backend.layouts.now();
    let latest = versions.latest();
    let after = latest.number;
    match wanted {
        RequestedChange::Change(change) => {
            let unlike = |error: LayoutChangeError| GrowthError::Refused(error.to_string());
            let strategy = change.of(&*latest.strategy).map_err(unlike)?;
            if let LayoutChange::Split(rooms) = change {
                let known = backend.catalogue.known();
                if let Some(room) = rooms.iter().find(|room| !known.knows_room(**room)) {
                    return Err(refused(&format!("there is no room {room} to set apart")));
                }
            }
            Ok(NextLayout { after, strategy, what: change.to_string() })
        }
        RequestedChange::Undo => {
            let records = backend.growth.versions().await?;
            let before = records.iter().rev().find(|record| record.number < after);
            let before = before.ok_or_else(|| refused("the layout has never changed"))?;
            let strategy = latest.strategy.of_layout(&before.layout);
            let strategy =
                strategy.ok_or_else(|| refused("the layout before is not one of this strategy's"))?;
            let what = format!("go back from version {after} to the layout of version {}", before.number);
            Ok(NextLayout { after, strategy, what })
        }
    }
}

fn refused(why: &str) -> GrowthError {
    GrowthError::Refused(why.to_owned())
}

/// The worth of a change, found out by counting rows, and by looking at some of them.
///
/// # Errors
/// [`Unavailable`] when a shard does not answer: a forecast by some of the rows would be of no use.
pub async fn forecast(
    backend: &Backend,
    queries: &Queries,
    next: &NextLayout,
    rows_per_s: NonZeroU32,
    now: Timestamp,
) -> Result<LayoutForecast, Unavailable> {
    let mut strata = Vec::new();
    for span in forecast::spans(now) {
        strata.push(Stratum::of(span, queries, now).await?);
    }
    let versions = backend.layouts.now();
    Ok(forecast::of(&strata, &versions, &*next.strategy, rows_per_s))
}

/// Says what a change would be, without making it.
///
/// # Errors
/// As [`next`] and [`forecast`].
pub async fn dry_run(
    backend: &Backend,
    queries: &Queries,
    wanted: &RequestedChange,
    rows_per_s: NonZeroU32,
    now: Timestamp,
) -> Result<LayoutChanged, GrowthError> {
    let asked = Instant::now();
    let next = next(backend, wanted).await?;
    let refused = backend.growth.refuses(next.clone()).await?;
    let forecast = forecast(backend, queries, &next, rows_per_s, now).await?;
    Ok(LayoutChanged {
        layout: next.strategy.layout(),
        what: next.what,
        version: None,
        gate: false,
        unconfirmed: Vec::new(),
        refused,
        forecast: Some(forecast),
        waited_ms: millis_since(asked),
    })
}

/// Announces a change.
///
/// # Errors
/// [`GrowthError`] when it cannot be made, and when main does not answer; asking again is safe.
pub async fn announce(
    backend: &Backend,
    wanted: &RequestedChange,
    operator: Operator,
) -> Result<LayoutChanged, GrowthError> {
    let asked = Instant::now();
    let next = next(backend, wanted).await?;
    let what = next.what.clone();
    let announced = backend.growth.announce(next, operator).await?;
    Ok(LayoutChanged {
        layout: announced.version.layout.clone(),
        what,
        version: Some(at_its_announcement(announced.version)),
        gate: announced.gate,
        unconfirmed: announced.unconfirmed,
        refused: None,
        forecast: None,
        waited_ms: millis_since(asked),
    })
}

fn at_its_announcement(record: VersionRecord) -> LayoutVersionView {
    let announced = record.announced;
    version(record, announced)
}

fn version(record: VersionRecord, now: Timestamp) -> LayoutVersionView {
    LayoutVersionView {
        in_force: record.from <= now,
        version: record.number,
        valid_from: record.from.to_string(),
        layout: record.layout,
        receives: record.receives,
        closed: record.closed,
        announced_at: record.announced.to_string(),
        operator: record.operator,
        what: record.what,
    }
}

/// The last movement of rows, as operators see it; none before the first.
///
/// # Errors
/// [`GrowthError`] when main does not answer.
pub async fn rebalance(backend: &Backend) -> Result<Option<RebalanceView>, GrowthError> {
    let Some(moving) = backend.growth.moving().await? else { return Ok(None) };
    let versions = backend.growth.versions().await?;
    Ok(Some(rebalance_view(&moving, &versions)))
}

/// A movement of rows, as operators see it, of a layout with these versions.
#[must_use]
pub fn rebalance_view(moving: &Moving, versions: &[VersionRecord]) -> RebalanceView {
    let mut before = versions.iter().filter(|version| version.number < moving.to);
    RebalanceView {
        done: !moving.runs && !versions.is_empty() && before.all(|version| version.closed),
        to_version: moving.to,
        began_at: moving.began.to_string(),
        operator: moving.operator.clone(),
        runs: moving.runs,
        moved: moving.moved,
        rows: moving.rows,
        looked_at: moving.looked_at,
        rows_per_s_most: moving.rate.get(),
        rows_per_s: moving.rows_per_s,
        seconds_left: moving.seconds_left(),
        trouble: moving.trouble.clone(),
    }
}

fn millis_since(asked: Instant) -> u64 {
    u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_can_be_removed_once_every_version_that_used_it_is_closed() {
        let version = |number, shards: u16, closed| VersionRecord {
            number,
            from: Timestamp::from_millis(i64::from(number)),
            layout: format!("hash of user_id, mix xxh3, {shards} shards"),
            receives: number > 1,
            closed,
            announced: Timestamp::default(),
            operator: String::new(),
            what: String::new(),
        };
        let of = |versions: &[VersionRecord], prepared: u16| {
            unused(versions, NonZeroU16::new(prepared).unwrap()).collect::<Vec<_>>()
        };
        assert!(of(&[version(1, 4, false)], 8).is_empty(), "those that were prepared were never used");
        assert!(of(&[version(1, 6, false), version(2, 4, false)], 6).is_empty(), "rows may be there");
        assert_eq!(of(&[version(1, 6, true), version(2, 4, false)], 6), [4, 5]);
        assert_eq!(of(&[version(1, 6, true), version(2, 4, false)], 5), [4]);
        assert!(of(&[version(1, 4, true), version(2, 8, false)], 8).is_empty());
    }
}
