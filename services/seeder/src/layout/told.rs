//! Answers about layouts as text.

use std::fmt;

use coupon_service::api::{LayoutChanged, LayoutForecast, LayoutVersionView, LayoutView, RebalanceView};

/// The versions of a layout.
pub(super) struct Versions(pub(super) LayoutView);

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(LayoutView { shards, shards_prepared, versions, rebalance }) = self;
        for version in versions {
            writeln!(f, "{}", Line(version))?;
        }
        write!(f, "{shards} shards are used, {shards_prepared} are prepared")?;
        if let Some(moving) = rebalance {
            write!(f, "\n{}", Moved(moving))?;
        }
        Ok(())
    }
}

/// A version in a line.
struct Line<'a>(&'a LayoutVersionView);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.0;
        let state = match (version.closed, version.receives) {
            (true, _) => ", closed",
            (false, true) => ", receives rows",
            (false, false) => "",
        };
        let by = match &*version.operator {
            // Nobody made the first one.
            "" => String::new(),
            operator => format!(", by {operator}"),
        };
        write!(
            f,
            "version {} from {}{state}: {} ({}{by})",
            version.version, version.valid_from, version.layout, version.what
        )
    }
}

/// A change of a layout, made or not.
pub(super) struct Change(pub(super) LayoutChanged);

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LayoutChanged { layout, what, version, gate, unconfirmed, forecast, .. } = &self.0;
        match version {
            Some(version) => {
                write!(f, "{}", Line(version))?;
                if !gate {
                    write!(f, "\nthe gate is shut, and opens with it")?;
                }
                if !unconfirmed.is_empty() {
                    write!(f, "\nnot confirmed yet by {}", unconfirmed.join(", "))?;
                }
            }
            None => write!(f, "not done, only looked at: {what}\nlayout: {layout}")?,
        }
        match forecast {
            Some(forecast) => write!(f, "\n{}", Worth(forecast)),
            None => Ok(()),
        }
    }
}

/// What a change is worth.
struct Worth<'a>(&'a LayoutForecast);

impl fmt::Display for Worth<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let worth = self.0;
        let effective =
            |shards: Option<f64>| shards.map_or_else(|| "n/a".to_owned(), |shards| format!("{shards:.2}"));
        let shares = |shares: &[f64]| {
            shares.iter().map(|share| format!("{:.0}%", share * 100.0)).collect::<Vec<_>>().join(" ")
        };
        writeln!(
            f,
            "effective shards, by {}: {} now ({}), {} then ({})",
            worth.counted,
            effective(worth.effective_shards_before),
            shares(&worth.shares_before),
            effective(worth.effective_shards_after),
            shares(&worth.shares_after)
        )?;
        write!(
            f,
            "a rebalance would move about {} of {} rows, {} of them to another shard: {:.1} MB, {:.0} s at {} rows a second",
            worth.rows_to_move,
            worth.rows,
            worth.rows_to_other_shards,
            megabytes(worth.bytes_to_move),
            worth.seconds,
            worth.rows_per_s
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "rounded for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// How far a movement of rows is, if there ever was one.
pub(super) struct Progress(pub(super) Option<RebalanceView>);

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(moving) => write!(f, "{}", Moved(moving)),
            None => f.write_str("no rows were ever moved"),
        }
    }
}

/// The layout's latest version, where every row is where that says.
pub(super) struct AllInPlace(pub(super) u32);

impl fmt::Display for AllInPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is nothing to move: every row is where version {} of the layout says", self.0)
    }
}

/// How far a movement of rows is.
struct Moved<'a>(&'a RebalanceView);

impl fmt::Display for Moved<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moving = self.0;
        write!(
            f,
            "rows to version {}: {} moved, {} of {} looked at",
            moving.to_version, moving.moved, moving.looked_at, moving.rows
        )?;
        match (moving.runs, moving.seconds_left) {
            (true, Some(left)) => write!(f, ", {:.0} a second, {left:.0} s left", moving.rows_per_s)?,
            (true, None) => write!(f, ", waiting")?,
            (false, _) => write!(f, ", ended")?,
        }
        match &moving.trouble {
            Some(why) => write!(f, ": {why}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_says_what_it_is_worth_and_that_nothing_was_done() {
        let forecast = LayoutForecast {
            counted: "rows of the last 10 minutes".to_owned(),
            shares_before: vec![1.0, 0.0],
            shares_after: vec![0.5, 0.5],
            effective_shards_before: Some(1.0),
            effective_shards_after: Some(2.0),
            rows: 1_000,
            rows_to_move: 500,
            rows_to_other_shards: 400,
            bytes_to_move: 75_000,
            rows_per_s: 100,
            seconds: 5.0,
        };
        let changed = LayoutChanged {
            layout: "a layout".to_owned(),
            what: "spread each range over 2 shards".to_owned(),
            version: None,
            gate: false,
            unconfirmed: Vec::new(),
            forecast: Some(forecast),
            waited_ms: 1,
        };
        assert_eq!(
            Change(changed).to_string(),
            "not done, only looked at: spread each range over 2 shards\nlayout: a layout\n\
             effective shards, by rows of the last 10 minutes: 1.00 now (100% 0%), 2.00 then (50% 50%)\n\
             a rebalance would move about 500 of 1000 rows, 400 of them to another shard: 0.1 MB, 5 s at 100 rows a second"
        );
    }

    #[test]
    fn a_movement_says_how_far_it_is() {
        let moving = RebalanceView {
            to_version: 2,
            began_at: "2026-11-22T12:00:00.000Z".to_owned(),
            operator: "Ann".to_owned(),
            runs: true,
            moved: 10,
            rows: 100,
            looked_at: 20,
            rows_per_s_most: 5_000,
            rows_per_s: 8.0,
            seconds_left: Some(10.0),
            trouble: None,
        };
        let told = |moving: &RebalanceView| Progress(Some(moving.clone())).to_string();
        assert_eq!(told(&moving), "rows to version 2: 10 moved, 20 of 100 looked at, 8 a second, 10 s left");
        let parked = RebalanceView { runs: false, trouble: Some("a shard is down".to_owned()), ..moving };
        assert_eq!(told(&parked), "rows to version 2: 10 moved, 20 of 100 looked at, ended: a shard is down");
    }
}
