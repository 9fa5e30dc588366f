//! Changes of a layout while a deployment is under load: asked for at the service's endpoints, as an operator would.

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use coupon_core::Timestamp;
use coupon_loadgen::http::{Target, get_json, post_json};
use coupon_service::api::{
    HotKeys, LayoutChangeRequest, LayoutChanged, LayoutView, Rebalance, RebalanceRequest, RebalanceView,
    ShardsStatus,
};

use super::wait::until_every;

/// The least share of a hot key: among many that are alike some come first by chance.
pub const HOT: f64 = 0.01;

/// The interval at which it is asked how far rows have been moved.
const LOOK: Duration = Duration::from_millis(100);
/// The longest wait, from the moment at which a layout is in force, for a service that lets rows be moved to it.
const IN_FORCE: Duration = Duration::from_secs(30);
/// A movement that has made no progress for so long does not end.
const STALLED: Duration = Duration::from_secs(60);
/// A hot room has so many times its fair share of the results.
const TIMES: f64 = 2.0;
/// The operator that the services' records name.
const OPERATOR: &str = "loadtest";

/// The kinds of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayoutStep {
    /// Go on over so many shards.
    Shards(NonZeroU16),
    /// Give a range of its own to each room that the service names as hot.
    SplitHot {
        /// The number of rooms that there are.
        rooms: u64,
    },
}

/// A version of the layout that was announced.
#[derive(Debug, Clone)]
pub struct AnnouncedChange {
    /// The change, in words.
    pub what: String,
    /// The layout after it.
    pub layout: String,
    /// The time of the first row that is written where it says.
    pub from: Timestamp,
    /// The moment at which it was asked for.
    pub asked: Instant,
    /// The moment of `from`, by this machine's clock.
    pub in_force: Instant,
}

/// A layout that was changed, and whose earlier rows have all been moved to where it says.
#[derive(Debug, Clone)]
pub struct CompletedChange {
    /// The version.
    pub version: AnnouncedChange,
    /// The moment at which rows began to be moved.
    pub moving: Instant,
    /// The moment at which all had been moved.
    pub even: Instant,
    /// The rate that they were to be moved at, at first.
    pub rate: NonZeroU32,
    /// Their number.
    pub moved: u64,
}

/// A step of a change, for an observer.
#[derive(Debug, Clone, Copy)]
pub enum ChangeEvent<'a> {
    /// The version was announced.
    Announced(&'a AnnouncedChange),
    /// Rows are being moved to where it says: so far, so fast.
    Moving(&'a RebalanceView),
    /// All rows have been moved.
    Even(&'a CompletedChange),
}

/// Announces a change.
///
/// # Errors
/// When the service refuses it or does not answer, or no room is hot.
pub fn announce(target: &Target, step: LayoutStep) -> Result<AnnouncedChange> {
    let target = &as_operator(target);
    let request = match step {
        LayoutStep::Shards(shards) => {
            LayoutChangeRequest { shards: Some(shards.get()), ..LayoutChangeRequest::default() }
        }
        LayoutStep::SplitHot { rooms } => {
            let status: ShardsStatus = get_json(target, "/admin/shards/status")?;
            let hot = hot_rooms(&status.hot.rooms, rooms);
            ensure!(!hot.is_empty(), "the service names no room as hot: there is nothing to split");
            LayoutChangeRequest { split: Some(hot), ..LayoutChangeRequest::default() }
        }
    };
    let asked = Instant::now();
    let changed: LayoutChanged = post_json(target, "/admin/layout", &request)?;
    let version = changed.version.as_ref().context("the service announced no version of the layout")?;
    let from: Timestamp =
        version.valid_from.parse().map_err(|_| anyhow!("{:?} is no time", version.valid_from))?;
    let left = from.millis() - jiff::Timestamp::now().as_millisecond();
    let in_force = Instant::now() + Duration::from_millis(u64::try_from(left).unwrap_or(0));
    Ok(AnnouncedChange { from, asked, in_force, what: changed.what, layout: changed.layout })
}

/// The rooms with twice their fair share of the results, and a hundredth of them at least; the hottest first.
fn hot_rooms(named: &HotKeys, rooms: u64) -> Vec<u64> {
    let least = (TIMES / rooms.max(1) as f64).max(HOT);
    named.top.iter().filter(|room| room.share >= least).map(|room| room.id).collect()
}

fn as_operator(target: &Target) -> Target {
    Target { operator: Some(OPERATOR.to_owned()), ..target.clone() }
}

/// Has earlier rows moved to where the latest version says, so many a second at most. Where that goes on already, it
/// goes on at this rate.
///
/// # Errors
/// When the service refuses it or does not answer.
pub fn rebalance(target: &Target, rate: NonZeroU32) -> Result<RebalanceView> {
    post_json(&as_operator(target), "/admin/rebalance", &RebalanceRequest { rows_per_s: Some(rate.get()) })
}

/// Has all earlier rows moved to where the latest version says, so many a second at most, and waits for the end.
/// Returns their number.
///
/// # Errors
/// As [`rebalance`], and when rows do not move.
pub fn move_all(target: &Target, rate: NonZeroU32) -> Result<u64> {
    rebalance(target, rate)?;
    until_moved(target, &|_| {})
}

/// A thread that changes a layout when its time comes, and waits until all rows have been moved.
#[derive(Debug)]
pub struct Changer {
    stop: Sender<()>,
    thread: JoinHandle<Result<CompletedChange>>,
}

impl Changer {
    /// Makes the change at that moment, and has rows moved so many a second at most; `observe` is called at each step.
    #[must_use]
    pub fn start(
        target: &Target,
        step: LayoutStep,
        at: Instant,
        rate: NonZeroU32,
        observe: impl Fn(ChangeEvent<'_>) + Send + 'static,
    ) -> Self {
        let target = target.clone();
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let wait = at.saturating_duration_since(Instant::now());
            ensure!(
                stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout),
                "the load ended before the layout was to be changed"
            );
            let version = announce(&target, step)?;
            observe(ChangeEvent::Announced(&version));
            let changed = move_rows(&target, rate, version, &observe)?;
            observe(ChangeEvent::Even(&changed));
            Ok(changed)
        });
        Self { stop, thread }
    }

    /// Waits until all rows have been moved. One that is dropped instead, before its time has come, changes nothing.
    ///
    /// # Errors
    /// When the layout could not be changed, or rows do not move.
    pub fn finish(self) -> Result<CompletedChange> {
        let Self { stop, thread } = self;
        let done = thread.join();
        drop(stop);
        done.unwrap_or_else(|_| Err(anyhow!("the thread that changes the layout panicked")))
    }
}

/// Has the rows moved, and waits for the end.
fn move_rows(
    target: &Target,
    rate: NonZeroU32,
    version: AnnouncedChange,
    observe: &impl Fn(ChangeEvent<'_>),
) -> Result<CompletedChange> {
    std::thread::sleep(version.in_force.saturating_duration_since(Instant::now()));
    let mut refusal = None;
    // Its clock may be a little behind this machine's, and a layout that is not in force yet receives no rows.
    let begun = until_every(LOOK, "rows begin to be moved", IN_FORCE, || {
        refusal = rebalance(target, rate).err();
        Ok(refusal.is_none())
    });
    begun.map_err(|waited| match refusal {
        Some(why) => why.context(waited),
        None => waited,
    })?;
    let moving = Instant::now();
    let moved = until_moved(target, observe)?;
    Ok(CompletedChange { version, moving, even: Instant::now(), rate, moved })
}

/// Waits until no row is left where an earlier version of the layout put it; returns the number of rows that were moved.
fn until_moved(target: &Target, observe: &impl Fn(ChangeEvent<'_>)) -> Result<u64> {
    let (mut seen, mut progress) = (None, Instant::now());
    loop {
        // An answer that does not come is a gap: the next one says more.
        if let Ok(Rebalance { rebalance: Some(now) }) = get_json(target, "/admin/rebalance") {
            observe(ChangeEvent::Moving(&now));
            if !now.runs {
                return ended(&get_json(target, "/admin/layout")?, &now);
            }
            let reached = Some((now.moved, now.looked_at));
            if reached != seen {
                (seen, progress) = (reached, Instant::now());
            } else if progress.elapsed() > STALLED {
                bail!(
                    "rows do not move: {}",
                    now.trouble.as_deref().unwrap_or("the service does not say why")
                );
            }
        }
        ensure!(progress.elapsed() < 2 * STALLED, "the service does not say how far rows have been moved");
        std::thread::sleep(LOOK);
    }
}

/// The number of rows that were moved, if all were.
fn ended(layout: &LayoutView, moved: &RebalanceView) -> Result<u64> {
    let earlier = layout.versions.iter().rev().skip(1);
    let open: Vec<String> =
        earlier.filter(|version| !version.closed).map(|version| version.version.to_string()).collect();
    ensure!(
        open.is_empty(),
        "the movement of rows ended before all had been moved (versions not closed: {}): {}",
        open.join(", "),
        moved.trouble.as_deref().unwrap_or("somebody stopped it")
    );
    Ok(moved.moved)
}

#[cfg(test)]
mod tests {
    use coupon_service::api::HotKey;

    use super::*;

    #[test]
    fn a_hot_room_has_twice_its_fair_share_and_no_less_than_a_hundredth() {
        let room = |id, share| HotKey { id, results: 1, share };
        let named =
            HotKeys { error: 0, top: vec![room(3, 0.4), room(1, 0.2), room(2, 0.019), room(9, 0.009)] };
        let ids = |rooms| hot_rooms(&named, rooms);
        assert_eq!((ids(10), ids(100), ids(100_000)), (vec![3, 1], vec![3, 1], vec![3, 1, 2]));
    }

    #[test]
    fn a_movement_that_was_stopped_is_no_end() {
        let view = RebalanceView {
            to_version: 2,
            began_at: String::new(),
            operator: String::new(),
            runs: false,
            done: false,
            moved: 7,
            rows: 10,
            looked_at: 9,
            rows_per_s_most: 5_000,
            rows_per_s: 0.0,
            seconds_left: None,
            trouble: None,
        };
        let version = |version, closed| coupon_service::api::LayoutVersionView {
            version,
            valid_from: String::new(),
            layout: String::new(),
            in_force: true,
            receives: true,
            closed,
            announced_at: String::new(),
            operator: String::new(),
            what: String::new(),
        };
        let layout = |closed| LayoutView {
            shards: 8,
            shards_prepared: 8,
            unused: Vec::new(),
            versions: vec![version(1, closed), version(2, false)],
            rebalance: None,
        };
        assert_eq!(ended(&layout(true), &view).unwrap(), 7);
        assert!(
            ended(&layout(false), &view)
                .unwrap_err()
                .to_string()
                .contains("not closed: 1): somebody stopped it")
        );
    }
}
