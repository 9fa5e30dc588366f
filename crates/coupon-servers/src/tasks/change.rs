//! A step of a result that a caller asked for: the row first, then the gate, and main after both.

use std::time::Duration;

use coupon_core::Placement;
use coupon_store::failpoints::{self, Mechanism, Point};
use coupon_store::{Change, Changed, Unavailable};
use tokio::time::timeout;

use super::background::Background;
use super::handles::GateLines;
use super::steps::{At, change};
use crate::mysql::PATIENCE;
use crate::seam::{Release, ShardServer, StoringError};

/// The time between gate and row where stock comes back in the wrong order: other users take the stock meanwhile.
const BETWEEN: Duration = Duration::from_millis(200);

impl Background {
    /// Takes a step of a result that lives there, if its row allows it, and has the gate let go of what gave its stock
    /// back, over a thread's own connections to the gates if it has any.
    pub(crate) async fn change(
        &self,
        lines: Option<&GateLines>,
        server: &dyn ShardServer,
        placement: Placement,
        wanted: &Change,
    ) -> Result<Changed, Unavailable> {
        let Placement { shard, table } = placement;
        let down = |why: &dyn std::fmt::Display| Unavailable::new(format!("shard {shard}"), why);
        // What it lacks must not be called absent.
        if self.status.get(shard.index()).is_some_and(|status| status.has_lost_data()) {
            return Err(down(&"it has lost data"));
        }
        if failpoints::is_off(Mechanism::RowFirst) {
            self.let_go_first(lines, server, placement, wanted).await.map_err(|error| down(&error))?;
        }
        let at = At { server, of: self.at(shard) };
        let changed = match timeout(PATIENCE, change(at, table, wanted)).await {
            Ok(changed) => changed.map_err(|error| down(&error)),
            Err(_) => Err(down(&"it did not answer in time")),
        };
        let (changed, releases) = changed?;
        if !releases.is_empty() {
            failpoints::hit(Point::GaveBack);
        }
        self.let_go_now(lines, shard, &releases).await;
        Ok(changed)
    }

    /// The wrong order, to show that it is noticed: stock comes back at the gate before the row gives it up.
    async fn let_go_first(
        &self,
        lines: Option<&GateLines>,
        server: &dyn ShardServer,
        Placement { shard, table }: Placement,
        wanted: &Change,
    ) -> Result<(), StoringError> {
        if wanted.action.transition().gives_back.is_none() {
            return Ok(());
        }
        // A transaction that is not committed has only looked.
        let found = server.stepping().await?.change(table, wanted).await?;
        let found = found.filter(|found| found.after.is_some());
        let releases: Vec<Release> = found.iter().map(|found| Release::of(&found.before)).collect();
        self.let_go_now(lines, shard, &releases).await;
        tokio::time::sleep(BETWEEN).await;
        if !releases.is_empty() {
            failpoints::hit(Point::GaveBack);
        }
        Ok(())
    }
}
