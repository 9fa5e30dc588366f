//! Rows that come to a shard to be stored while the layout changes: their place may be elsewhere by now, or they may be
//! repeats of rows that were moved.
//!
//! They are judged under the shard's row of state, so that no row leaves meanwhile. What goes elsewhere is in the other shard's
//! queue before this shard's transaction commits: a marker that has come through this one is behind it in the other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use anyhow::Context as _;
use coupon_core::{CouponResult, Placement, ResultId, RouteError, ShardId, VersionNumber, Versioned};
use coupon_store::PlacedResult;
use coupon_store::failpoints::{self, Mechanism};
use coupon_store::moving::{Arriving, same_grab};
use tokio::time::timeout;

use super::background::Background;
use super::store::{Arrived, LostData};
use crate::broker::Message;
use crate::layouts::versioned;
use crate::seam::{DatabaseError, Publish as _, PublishError, Route, ShardMoves};

/// The most results that one message passes on.
const MESSAGE: usize = 1_000;

/// The reason why it cannot be said for now what becomes of rows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LateError {
    #[error("the versions of the layout cannot be read: {0:#}")]
    Versions(anyhow::Error),
    #[error(
        "its rows have begun to move to where version {0} of the layout says, which main does not know: main was put back to an \
         earlier time"
    )]
    Forgotten(VersionNumber),
    #[error("rows that may have moved cannot be looked for: {0}")]
    Looking(#[from] DatabaseError),
    #[error("rows that may have moved cannot be looked for at shard {0}: {1}")]
    LostData(ShardId, LostData),
    #[error(
        "rows may have moved to shard {0}, which this process has not opened: start it again with more `shards_prepared`"
    )]
    NotOpened(ShardId),
    #[error("rows whose place is on shard {0} cannot be passed on: {1}")]
    Passing(ShardId, PublishError),
}

/// The longest that main may take to say which versions there are: steps of the shard's results wait meanwhile.
const MAIN: Duration = Duration::from_secs(2);

/// The fates of a transaction's rows.
#[derive(Debug, Default)]
pub(super) struct Sorted<'a> {
    /// Those that are stored here.
    pub(super) here: Vec<&'a Arrived>,
    /// The number of those that may have come behind a mover.
    pub(super) late: u64,
    /// Repeats of rows that are stored elsewhere by now, whose stock was given back since.
    pub(super) gone: HashSet<ResultId>,
    /// Those that contradict what is stored elsewhere, or have no place.
    pub(super) contradicting: Vec<(&'a Arrived, String)>,
    /// Those that were passed on to another shard.
    pub(super) passed: HashSet<ResultId>,
}

type Judged<'a> = Vec<(&'a Arrived, Result<Arriving, RouteError>)>;

fn judge<'a>(versions: &Versioned, moves: ShardMoves, results: &'a [Arrived]) -> Judged<'a> {
    let judge = |arrived: &'a Arrived| {
        let PlacedResult { placement, result } = &arrived.row;
        (arrived, Arriving::of(versions, *placement, &result.key(), moves))
    };
    results.iter().map(judge).collect()
}

/// True if rows leave for a version that this list does not know to receive any.
fn is_behind(versions: &Versioned, moves: ShardMoves) -> bool {
    let receives = versions.versions().iter().rfind(|version| version.receives);
    moves.moving_from > 0 && receives.is_none_or(|version| version.number <= moves.moving_from)
}

/// True of what is stored nowhere but elsewhere.
fn goes(judged: &Result<Arriving, RouteError>) -> bool {
    matches!(judged, Err(_) | Ok(Arriving::Pass(_) | Arriving::LookThenPass(_)))
}

impl Background {
    /// Sorts the rows of a transaction that has the shard's row of state, and passes on those that go elsewhere.
    pub(super) async fn sort_late<'a>(
        &self,
        shard: ShardId,
        moves: ShardMoves,
        results: &'a [Arrived],
    ) -> Result<Sorted<'a>, LateError> {
        let versions = self.layouts.now();
        // Of a layout that has never changed, as far as this process knows, nothing has left: what others placed by a later
        // version is where they said.
        let unjudged = results.is_empty() || failpoints::is_off(Mechanism::LateRows);
        if unjudged || (versions.latest().number == 1 && moves.moving_from == 0) {
            return Ok(Sorted { here: results.iter().collect(), ..Sorted::default() });
        }
        let mut judged = judge(&versions, moves, results);
        if is_behind(&versions, moves) || judged.iter().any(|(_, judged)| goes(judged)) {
            let mains = self.mains_versions(&versions).await?;
            if is_behind(&mains, moves) {
                return Err(LateError::Forgotten(moves.moving_from + 1));
            }
            judged = judge(&mains, moves, results);
        }
        self.sort(shard, judged).await
    }

    /// The versions as main has them now: this process may not have followed it for long.
    async fn mains_versions(&self, known: &Versioned) -> Result<Versioned, LateError> {
        let records = timeout(MAIN, self.main.layouts()).await.context("main does not answer");
        let records = records.and_then(|records| Ok(records?)).map_err(LateError::Versions)?;
        versioned(known, &records).map_err(LateError::Versions)
    }

    async fn sort<'a>(&self, shard: ShardId, judged: Judged<'a>) -> Result<Sorted<'a>, LateError> {
        let mut sorted = Sorted::default();
        let mut passed = Vec::new();
        let known = self.known_elsewhere(&judged).await?;
        for (arrived, fate) in judged {
            let result = &arrived.row.result;
            let fate = match fate {
                Ok(fate) => fate,
                Err(error) => {
                    sorted.contradicting.push((arrived, error.to_string()));
                    continue;
                }
            };
            match (known.get(&result.result_id), fate) {
                (Some(found), _) if same_grab(found, result) => {
                    if found.slot.is_none() {
                        sorted.gone.insert(result.result_id);
                    }
                }
                (Some(_), _) => {
                    let why = "another result is stored under this id".to_owned();
                    sorted.contradicting.push((arrived, why));
                }
                (None, Arriving::Here) => sorted.here.push(arrived),
                (None, Arriving::LookFirst(_)) => {
                    sorted.late += 1;
                    sorted.here.push(arrived);
                }
                (None, Arriving::Pass(to)) => passed.push(elsewhere(arrived, to)),
                (None, Arriving::LookThenPass(places)) => {
                    passed.extend(places.last().map(|home| elsewhere(arrived, *home)));
                }
            }
        }
        self.pass_on(shard, &passed).await?;
        sorted.passed = passed.iter().map(|arrived| arrived.row.result.result_id).collect();
        Ok(sorted)
    }

    /// The rows that may have moved and are stored already, here or at a later place. Of one that moves there may be
    /// two copies, and what either of them says it gave back is given back: steps are taken of the later one alone.
    async fn known_elsewhere(
        &self,
        judged: &Judged<'_>,
    ) -> Result<HashMap<ResultId, CouponResult>, LateError> {
        let places = |fate: &Result<Arriving, RouteError>| match fate {
            Ok(Arriving::LookFirst(places) | Arriving::LookThenPass(places)) => Some(places.clone()),
            _ => None,
        };
        let with_here = |(arrived, fate): &(&Arrived, _)| {
            let mut all = vec![arrived.row.placement];
            all.append(&mut places(fate)?);
            Some((arrived.row.result.result_id, all))
        };
        let wanted: Vec<(ResultId, Vec<Placement>)> = judged.iter().filter_map(with_here).collect();
        let mut known: HashMap<ResultId, CouponResult> = HashMap::new();
        // In the order in which a row comes to its places: it is at the next before it is gone from the one before.
        for nth in 0..wanted.iter().map(|(_, places)| places.len()).max().unwrap_or(0) {
            let mut by_place: BTreeMap<Placement, Vec<ResultId>> = BTreeMap::new();
            for (id, places) in &wanted {
                if let Some(place) = places.get(nth) {
                    by_place.entry(*place).or_default().push(*id);
                }
            }
            for (Placement { shard, table }, ids) in by_place {
                let server = self.shard(shard).map_err(|_| LateError::NotOpened(shard))?;
                let floor = self.floors.of(shard);
                let (reached, found) = server.look_for(table, &ids).await?;
                // What it lacks must not be called absent.
                floor
                    .check(reached.outbox_id, reached.commits)
                    .map_err(|lost| LateError::LostData(shard, lost))?;
                for copy in found {
                    let known = known.entry(copy.result_id).or_insert(copy);
                    if copy.slot.is_none() {
                        *known = copy;
                    }
                }
            }
        }
        Ok(known)
    }

    /// Hands rows over to the shards where they belong, each as it came.
    async fn pass_on(&self, from: ShardId, passed: &[Arrived]) -> Result<(), LateError> {
        let mut by_queue: BTreeMap<(ShardId, u64), Vec<PlacedResult>> = BTreeMap::new();
        for Arrived { row, epoch } in passed {
            by_queue.entry((row.placement.shard, *epoch)).or_default().push(*row);
        }
        for ((shard, epoch), rows) in by_queue {
            for some in rows.chunks(MESSAGE) {
                let message = Message::results(&self.dataset, epoch, self.time.mains(), some);
                // Straight into the queue: the way of an epoch that is over leads nowhere, and a row of it is to be parked there.
                let sent = self.queues.publisher.publish(Route::Queue(shard), message.encode()).await;
                sent.map_err(|error| LateError::Passing(shard, error))?;
            }
            tracing::info!(%from, to = %shard, results = rows.len(), "results that came late are passed on");
        }
        Ok(())
    }
}

fn elsewhere(arrived: &Arrived, placement: Placement) -> Arrived {
    Arrived { row: PlacedResult { placement, ..arrived.row }, ..*arrived }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use coupon_core::{LayoutVersion, Timestamp};

    use super::*;
    use crate::first_shard::FirstOf;

    fn list(receives: [bool; 2]) -> Versioned {
        let version = |(number, receives): (u32, bool)| LayoutVersion {
            number,
            from: Timestamp::from_millis(1_795_000_000_000 + i64::from(number)),
            receives,
            strategy: Arc::new(FirstOf(2)),
        };
        Versioned::new((1..).zip(receives).map(version).collect()).unwrap()
    }

    #[test]
    fn a_list_is_behind_where_rows_leave_for_a_version_that_it_does_not_know_to_receive() {
        let moves = |moving_from| ShardMoves { moving_from, ..ShardMoves::default() };
        assert!(!is_behind(&list([false, false]), moves(0)));
        assert!(is_behind(&list([false, false]), moves(1)));
        assert!(!is_behind(&list([false, true]), moves(1)));
        assert!(is_behind(&list([false, true]), moves(2)));
        assert!(is_behind(&Versioned::first(Arc::new(FirstOf(2))), moves(1)));
    }
}
