//! The commands that change a layout, and move rows to where it says.

mod place;
mod text;

use std::num::{NonZeroU16, NonZeroU32};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use coupon_cli::numbers::nonzero;
use coupon_core::catalogue_change::Operator;
use coupon_core::{LayoutChange, RoomId};
use coupon_loadgen::http::Target;
use coupon_service::api::LayoutView;
use coupon_service::growth::{ROWS_PER_S, RequestedChange};

use self::place::Place;
use self::text::{AllInPlace, ChangeText, ProgressText, VersionsText};
use crate::say;
use crate::storage::Storage;

/// The way to make a strategy of the layout line of a folder.
pub(super) use self::place::{OfLayout, unlocked};

/// The interval between two lines of progress.
const TOLD_EACH: Duration = Duration::from_secs(1);
/// The longest wait for a version that was announced to be in force: on servers that takes ten seconds.
const BEGINS: Duration = Duration::from_secs(60);

#[derive(Debug, Subcommand)]
pub(super) enum LayoutCommand {
    /// Print the versions of the layout.
    Show(At),
    /// Go on over another number of shards.
    Shards {
        /// The number of shards.
        #[arg(value_parser = nonzero::<NonZeroU16>)]
        count: NonZeroU16,
        #[command(flatten)]
        change: Changing,
    },
    /// Give hot rooms ranges of their own, away from where they are.
    Split {
        /// The rooms, the hottest first, with commas between them or one with each --room. A service's process names as
        /// hot what it has seen itself.
        #[arg(long = "room", value_name = "ID", required = true, value_delimiter = ',', value_parser = room)]
        rooms: Vec<RoomId>,
        #[command(flatten)]
        change: Changing,
    },
    /// Spread each range over several shards, by user.
    Spread {
        /// The ranges; a layout spreads all or none.
        #[arg(long, value_name = "WHICH", default_value = "all", value_parser = ["all"])]
        ranges: String,
        /// The number of shards that a range is spread over.
        #[arg(long, value_name = "K", value_parser = nonzero::<NonZeroU16>)]
        k: NonZeroU16,
        #[command(flatten)]
        change: Changing,
    },
    /// Go back to the layout before the latest one, as one more version.
    Undo(Changing),
}

#[derive(Debug, Args)]
pub(super) struct Changing {
    /// Change nothing, and say what it would be worth.
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: the rate that rows would be moved at.
    #[arg(long, value_name = "ROWS", default_value_t = ROWS_PER_S, value_parser = nonzero::<NonZeroU32>, requires = "dry_run")]
    rate: NonZeroU32,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(super) struct By {
    /// The name that the change is recorded by.
    #[arg(long, value_name = "NAME", default_value = "operator", value_parser = operator)]
    operator: Operator,
}

/// The place that a command is about: a running service, or a folder that no service has.
#[derive(Debug, Args)]
pub(super) struct At {
    /// A running service, for example http://127.0.0.1:8001. Without it a folder is meant that no service is using.
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// The service's admin token, when it asks for one.
    #[arg(long, value_name = "TOKEN", env = "COUPON__ADMIN__TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    #[command(flatten)]
    pub(super) storage: Storage,
}

#[derive(Debug, Args)]
pub(super) struct RebalanceArgs {
    /// The most rows to move in a second.
    #[arg(long, value_name = "ROWS", default_value_t = ROWS_PER_S, value_parser = nonzero::<NonZeroU32>)]
    rate: NonZeroU32,
    /// Move no more rows for now: what has left its shard arrives, and a later rebalance goes on.
    #[arg(long, conflicts_with_all = ["rate", "show"])]
    stop: bool,
    /// Only say how far it is.
    #[arg(long, conflicts_with = "rate")]
    show: bool,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    at: At,
}

fn room(text: &str) -> Result<RoomId, String> {
    text.parse().map_err(|error: coupon_core::IdError| error.to_string())
}

pub(super) fn operator(text: &str) -> Result<Operator, String> {
    Operator::new(text).map_err(|why| why.to_string())
}

impl LayoutCommand {
    pub(super) fn run(self, of_layout: &OfLayout<'_>) -> Result<()> {
        let (wanted, change) = match self {
            Self::Show(at) => return say(&VersionsText(at.look(of_layout)?)),
            Self::Shards { count, change } => (RequestedChange::Change(LayoutChange::Shards(count)), change),
            Self::Split { rooms, change } => (RequestedChange::Change(LayoutChange::Split(rooms)), change),
            Self::Spread { k, change, ranges: _ } => {
                (RequestedChange::Change(LayoutChange::Spread(k)), change)
            }
            Self::Undo(change) => (RequestedChange::Undo, change),
        };
        let Changing { dry_run, rate, by, at } = change;
        // A folder is made ready for them first; to look, nothing is made.
        let shards = match &wanted {
            RequestedChange::Change(LayoutChange::Shards(count)) if !dry_run => count.get(),
            _ => 0,
        };
        let place = at.place(Some(&by.operator), of_layout, shards)?;
        let changed = if dry_run { place.dry_run(&wanted, rate) } else { place.change(&wanted, by.operator) };
        say(&ChangeText(changed?))
    }
}

impl RebalanceArgs {
    /// Begins, and prints how far it is until it ends. At a service it goes on when this command is ended.
    pub(super) fn run(self, of_layout: &OfLayout<'_>) -> Result<()> {
        if self.show {
            return say(&ProgressText::once(self.at.look(of_layout)?.rebalance));
        }
        let place = self.at.place(Some(&self.by.operator), of_layout, 0)?;
        if self.stop {
            place.stop_moving()?;
            return say(&ProgressText::once(place.moving()?));
        }
        let layout = in_force(&place)?;
        if open_before_latest(&layout).is_empty() {
            return say(&AllInPlace(latest(&layout)));
        }
        place.start_moving(self.rate, self.by.operator)?;
        let mut before: Option<(Instant, u64)> = None;
        loop {
            let moving = place.moving()?.context("nobody knows of the movement of rows that was begun")?;
            let (runs, trouble) = (moving.runs, moving.trouble.clone());
            let now = (Instant::now(), moving.moved);
            let arrived_per_s = before.map(|(at, moved)| {
                f64::from(u32::try_from(now.1.saturating_sub(moved)).unwrap_or(u32::MAX))
                    / (now.0 - at).as_secs_f64()
            });
            before = Some(now);
            say(&ProgressText { moving: Some(moving), arrived_per_s })?;
            match trouble {
                Some(why) if !runs => bail!("rows are not moved any more: {why}"),
                _ if !runs => return all_is_where_it_is_to_be(&place.show()?),
                _ => sleep(TOLD_EACH),
            }
        }
    }
}

/// The layout, once its latest version is in force: rows move from then on, and it is waited for.
fn in_force(place: &Place) -> Result<LayoutView> {
    let deadline = Instant::now() + BEGINS;
    let mut told = false;
    loop {
        let layout = place.show()?;
        let Some(latest) = layout.versions.last().filter(|latest| !latest.in_force) else {
            return Ok(layout);
        };
        let (version, from) = (latest.version, &latest.valid_from);
        ensure!(
            Instant::now() < deadline,
            "version {version} of the layout is in force from {from} on, and was waited for {} s: run `seeder rebalance` again then",
            BEGINS.as_secs()
        );
        if !told {
            say(&format!("version {version} of the layout is in force from {from} on: waiting until then"))?;
            told = true;
        }
        sleep(TOLD_EACH / 4);
    }
}

/// Refuses a layout of which a version before the latest may still have rows: the movement was stopped, or was to a version
/// before the latest.
fn all_is_where_it_is_to_be(layout: &LayoutView) -> Result<()> {
    let open: Vec<String> = open_before_latest(layout).iter().map(u32::to_string).collect();
    ensure!(
        open.is_empty(),
        "not every row is where version {} of the layout says, since the movement was stopped, or was to a version before it \
         (versions that are not closed: {}): run `seeder rebalance` again",
        latest(layout),
        open.join(", ")
    );
    Ok(())
}

/// The versions before the latest that may still have rows.
fn open_before_latest(layout: &LayoutView) -> Vec<u32> {
    let Some((_, before)) = layout.versions.split_last() else { return Vec::new() };
    before.iter().filter(|version| !version.closed).map(|version| version.version).collect()
}

fn latest(layout: &LayoutView) -> u32 {
    layout.versions.last().map_or(0, |version| version.version)
}

impl At {
    /// The layout as it is. A folder is not opened as a service would, which would go on with whatever was cut short.
    fn look(&self, of_layout: &OfLayout<'_>) -> Result<LayoutView> {
        match &self.target {
            Some(_) => self.place(None, of_layout, 0)?.show(),
            None => Place::look(&self.storage, of_layout),
        }
    }

    fn place(&self, operator: Option<&Operator>, of_layout: &OfLayout<'_>, shards: u16) -> Result<Place> {
        match self.service(operator)? {
            Some(target) => Ok(Place::Service(target)),
            None => Place::folder(&self.storage, of_layout, shards),
        }
    }

    /// The service that is meant, if one is.
    pub(super) fn service(&self, operator: Option<&Operator>) -> Result<Option<Target>> {
        let Some(url) = &self.target else { return Ok(None) };
        self.storage.refuse_any("--target says which service is meant")?;
        let target = Target::from_url("service", url).context("--target")?;
        let operator = operator.map(|operator| operator.as_str().to_owned());
        Ok(Some(Target { admin_token: self.admin_token.clone(), operator, ..target }))
    }
}

#[cfg(test)]
mod tests {
    use coupon_service::api::LayoutVersionView;

    use super::*;

    fn of(closed: &[bool]) -> LayoutView {
        let version = |(version, closed): (u32, &bool)| LayoutVersionView {
            version,
            valid_from: String::new(),
            layout: String::new(),
            in_force: true,
            receives: true,
            closed: *closed,
            announced_at: String::new(),
            operator: String::new(),
            what: String::new(),
        };
        let versions = (1..).zip(closed).map(version).collect();
        LayoutView { shards: 1, shards_prepared: 1, unused: Vec::new(), versions, rebalance: None }
    }

    #[test]
    fn rows_are_all_moved_once_every_version_before_the_latest_is_closed() {
        assert!(all_is_where_it_is_to_be(&of(&[true, true, false])).is_ok());
        assert!(all_is_where_it_is_to_be(&of(&[false])).is_ok());
        let error = all_is_where_it_is_to_be(&of(&[true, false, false])).unwrap_err().to_string();
        assert!(error.contains("version 3") && error.contains("not closed: 2)"), "{error}");
    }
}
