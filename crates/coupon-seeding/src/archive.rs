//! Retires old results, by the backend's own archive ([`coupon_store::Archiving`]) where data is in files.

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use coupon_core::catalogue_change::Operator;
use coupon_core::{Day, ShardingStrategy};
use coupon_store::clock::Clock;
use coupon_store::embedded::folder::Folder;
use coupon_store::embedded::{self, Options};
use coupon_store::settings::UnknownUsers;
use coupon_store::{Retired, archive_alone};
use indicatif::HumanCount;

use crate::Progress;

/// The results that an archive retired, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveReport(pub Retired);

impl Deref for ArchiveReport {
    type Target = Retired;

    fn deref(&self) -> &Retired {
        &self.0
    }
}

/// Retires the results of all days before `before` from a folder that no service has. `of_layout` makes the strategy of
/// its layout line: the folder is opened as a service would open it, which goes on with what was cut short.
///
/// `clock` decides which coupons are over for a day: until then a user who asks again is answered by their results, which are not
/// to be retired.
///
/// # Errors
/// When the folder cannot be opened, rows of it are being moved, the days are not over, a shard has parked results, or a result to be
/// retired is of a coupon that is not over for a day; then nothing is retired.
pub fn archive(
    dir: &Path,
    of_layout: impl FnOnce(&str) -> Result<Arc<dyn ShardingStrategy>>,
    before: Day,
    operator: Operator,
    clock: &Clock,
    progress: &mut dyn Progress,
) -> Result<ArchiveReport> {
    let folder = Folder::open_any(dir)?;
    let (_, moving) = folder.recorded_layouts()?;
    ensure!(
        moving.is_none_or(|moving| !moving.runs),
        "rows of {} are being moved, which was cut short: let `seeder rebalance` come to its end, or stop it, first",
        dir.display()
    );
    let options = Options {
        data: dir.to_owned(),
        readers: NonZeroUsize::MIN,
        max_file_mb: 0,
        shard_backlog: 0,
        shards_prepared: folder.shards(),
        unknown_users: UnknownUsers::Refuse,
        room_index: folder.room_index().is_some(),
    };
    let (strategy, decided_by) = (of_layout(folder.layout())?, embedded::decided_by_of(&folder)?);
    drop(folder);
    let backend = embedded::open_decided_by(decided_by, &options, strategy, clock)?;
    let mut begun = false;
    let archived = archive_alone(&backend, before, operator, &mut |archive| {
        if !std::mem::replace(&mut begun, true) {
            progress.stage("retired", archive.rows);
        }
        progress.reached(archive.retired.rows_dropped + archive.retired.rows_deleted);
    });
    backend.lifecycle.close();
    let archived = archived?;
    progress.done();
    Ok(ArchiveReport(archived.retired))
}

impl fmt::Display for ArchiveReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |number: u64| HumanCount(number).to_string();
        let secs = Duration::as_secs_f64;
        if self.held > 0 {
            let held = count(self.held);
            writeln!(
                f,
                "{held} results stay: they are held, until they are confirmed, released or expired, or they answer their request \
                 still, for an hour after their stock was given back, or they have changed meanwhile, and go next time"
            )?;
        }
        if self.rows_dropped + self.rows_deleted + self.tables_dropped == 0 {
            return f.write_str("nothing to retire");
        }
        let (tables, dropped) = (count(self.tables_dropped), count(self.rows_dropped));
        writeln!(f, "dropped {tables} tables with {dropped} results in {:.2} s", secs(&self.drop_took))?;
        let deleted = count(self.rows_deleted);
        writeln!(f, "deleted {deleted} results one by one in {:.2} s", secs(&self.delete_took))?;
        let coupons = count(self.coupons);
        write!(
            f,
            "counted them in {:.2} s, and took them off {coupons} coupons' stock",
            secs(&self.count_took)
        )
    }
}
