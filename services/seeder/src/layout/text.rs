//! Answers about layouts as text.

use std::fmt;

use coupon_cli::screen::prose;

use coupon_service::api::{LayoutChanged, LayoutForecast, LayoutVersionView, LayoutView, RebalanceView};

/// The width of what is printed, in a file or a pipe too: the line of a layout may be long.
const COLUMNS: usize = 80;

/// The versions of a layout.
pub(super) struct VersionsText(pub(super) LayoutView);

impl fmt::Display for VersionsText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(LayoutView { shards, shards_prepared, unused, versions, rebalance }) = self;
        for version in versions {
            writeln!(f, "{}", prose(&Line(version).to_string(), COLUMNS))?;
        }
        write!(f, "{shards} shards are used, {shards_prepared} are prepared")?;
        if !unused.is_empty() {
            let names: Vec<String> = unused.iter().map(ToString::to_string).collect();
            let told = format!("unused, since no version has rows there any more: {}", names.join(", "));
            write!(f, "\n{}", prose(&told, COLUMNS))?;
        }
        if let Some(moving) = rebalance {
            write!(f, "\n{}", Moved(moving, None))?;
        }
        Ok(())
    }
}

/// A version in a line.
struct Line<'a>(&'a LayoutVersionView);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.0;
        let state = match (version.closed, version.in_force, version.receives) {
            (true, ..) => ", closed",
            (false, false, _) => ", not in force yet",
            (false, true, true) => ", receives rows",
            (false, true, false) => "",
        };
        let by = match &*version.operator {
            // No operator made the first one.
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
pub(super) struct ChangeText(pub(super) LayoutChanged);

impl fmt::Display for ChangeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LayoutChanged { layout, what, version, gate, unconfirmed, refused, forecast, .. } = &self.0;
        match version {
            Some(version) => {
                write!(f, "{}", prose(&Line(version).to_string(), COLUMNS))?;
                if !gate {
                    write!(f, "\nthe gate is shut, and opens with it")?;
                }
                if !unconfirmed.is_empty() {
                    write!(f, "\nnot confirmed yet by {}", unconfirmed.join(", "))?;
                }
            }
            None => {
                let looked_at = format!("not done, only looked at: {what}\nlayout: {layout}");
                write!(f, "{}", prose(&looked_at, COLUMNS))?;
            }
        }
        if let Some(why) = refused {
            write!(f, "\n{}", prose(&format!("it would be refused now: {why}"), COLUMNS))?;
        }
        match forecast {
            Some(forecast) => write!(f, "\n{}", prose(&Worth(forecast).to_string(), COLUMNS)),
            None => Ok(()),
        }
    }
}

/// The worth of a change.
struct Worth<'a>(&'a LayoutForecast);

impl fmt::Display for Worth<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let worth = self.0;
        let effective =
            |shards: Option<f64>| shards.map_or_else(|| "n/a".to_owned(), |shards| format!("{shards:.2}"));
        let shares = |shares: &[f64]| {
            shares.iter().map(|share| format!("{:.0}%", share * 100.0)).collect::<Vec<_>>().join(" ")
        };
        if worth.rows_counted < worth.rows_needed {
            writeln!(
                f,
                "effective shards: not known, by {} {} (it takes {}, a hundred for each shard)",
                worth.rows_counted, worth.counted, worth.rows_needed
            )?;
        } else {
            writeln!(
                f,
                "effective shards, by {} {}: {} now ({}), {} then ({})",
                worth.rows_counted,
                worth.counted,
                effective(worth.effective_shards_before),
                shares(&worth.shares_before),
                effective(worth.effective_shards_after),
                shares(&worth.shares_after)
            )?;
        }
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

/// The progress of a movement of rows, if there ever was one, and how many rows a second have arrived since that was last
/// printed.
pub(super) struct ProgressText {
    pub(super) moving: Option<RebalanceView>,
    pub(super) arrived_per_s: Option<f64>,
}

impl ProgressText {
    /// The progress now, which is printed once.
    pub(super) const fn once(moving: Option<RebalanceView>) -> Self {
        Self { moving, arrived_per_s: None }
    }
}

impl fmt::Display for ProgressText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.moving {
            Some(moving) => write!(f, "{}", Moved(moving, self.arrived_per_s)),
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

/// The progress of a movement of rows.
struct Moved<'a>(&'a RebalanceView, Option<f64>);

impl fmt::Display for Moved<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moving = self.0;
        write!(f, "rows to version {}: {} moved", moving.to_version, moving.moved)?;
        if let Some(arrived) = self.1.filter(|_| moving.runs) {
            write!(f, " ({arrived:.0} a second)")?;
        }
        if moving.done {
            return write!(f, ", done: every row is where that says");
        }
        write!(f, ", {} of {} looked at", moving.looked_at, moving.rows)?;
        match (moving.runs, moving.seconds_left) {
            (true, Some(left)) => write!(f, " ({:.0} a second), {left:.0} s left", moving.rows_per_s)?,
            (true, None) => write!(f, ", waiting")?,
            (false, _) => write!(f, ", stopped")?,
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
            rows_counted: 900,
            rows_needed: 200,
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
        let changed = |refused: Option<&str>, forecast: &LayoutForecast| LayoutChanged {
            layout: "a layout".to_owned(),
            what: "spread each range over 2 shards".to_owned(),
            version: None,
            gate: false,
            unconfirmed: Vec::new(),
            refused: refused.map(str::to_owned),
            forecast: Some(forecast.clone()),
            waited_ms: 1,
        };
        let few = ChangeText(changed(
            Some("8 are needed"),
            &LayoutForecast { rows_counted: 5, ..forecast.clone() },
        ));
        let told = few.to_string();
        assert!(told.contains("\nit would be refused now: 8 are needed\n"), "{told}");
        assert!(told.contains("not known, by 5 rows of the last 10 minutes (it takes 200"), "{told}");
        assert_eq!(
            ChangeText(changed(None, &forecast)).to_string(),
            "not done, only looked at: spread each range over 2 shards\nlayout: a layout\n\
             effective shards, by 900 rows of the last 10 minutes: 1.00 now (100% 0%), 2.00\n  then (50% 50%)\n\
             a rebalance would move about 500 of 1000 rows, 400 of them to another shard: 0.1\n  MB, 5 s at 100 rows a second"
        );
    }

    #[test]
    fn a_long_layout_is_told_in_lines_that_fit() {
        let ranges: Vec<String> = (1..200).map(|room| format!("{room}@0")).collect();
        let version = LayoutVersionView {
            version: 1,
            valid_from: "2026-11-22T12:00:00.000Z".to_owned(),
            layout: format!("range of room_id, starting at rooms {}", ranges.join(", ")),
            in_force: false,
            receives: false,
            closed: false,
            announced_at: String::new(),
            operator: "Ann".to_owned(),
            what: "more".to_owned(),
        };
        let layout = LayoutView {
            shards: 1,
            shards_prepared: 3,
            unused: vec![1, 2],
            versions: vec![version],
            rebalance: None,
        };
        let told = VersionsText(layout).to_string();
        assert!(
            told.starts_with("version 1 from 2026-11-22T12:00:00.000Z, not in force yet: range"),
            "{told}"
        );
        assert!(told.lines().all(|line| line.chars().count() <= COLUMNS), "{told}");
        assert!(told.ends_with("unused, since no version has rows there any more: 1, 2"), "{told}");
    }

    #[test]
    fn a_movement_says_how_far_it_is() {
        let moving = RebalanceView {
            to_version: 2,
            began_at: "2026-11-22T12:00:00.000Z".to_owned(),
            operator: "Ann".to_owned(),
            runs: true,
            done: false,
            moved: 10,
            rows: 100,
            looked_at: 20,
            rows_per_s_most: 5_000,
            rows_per_s: 8.0,
            seconds_left: Some(10.0),
            trouble: None,
        };
        let told = |moving: &RebalanceView| {
            ProgressText { moving: Some(moving.clone()), arrived_per_s: Some(3.0) }.to_string()
        };
        assert_eq!(
            told(&moving),
            "rows to version 2: 10 moved (3 a second), 20 of 100 looked at (8 a second), 10 s left"
        );
        let parked = RebalanceView { runs: false, trouble: Some("a shard is down".to_owned()), ..moving };
        assert_eq!(
            told(&parked),
            "rows to version 2: 10 moved, 20 of 100 looked at, stopped: a shard is down"
        );
        let done = RebalanceView { done: true, trouble: None, ..parked };
        assert_eq!(told(&done), "rows to version 2: 10 moved, done: every row is where that says");
    }
}
