//! The two ends of a copy: what it reads, and what it writes. Both kinds of data have both.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use coupon_core::{CouponResult, Placement, ShardingStrategy, Timestamp};
use coupon_store::Totals;
use coupon_store::carried::{COPYING, CarriedRow, CarriedTable, Waits};
use coupon_store::embedded::bulk::Bulk;
use coupon_store::embedded::copied::Reader;
use coupon_store::embedded::folder::Folder;
use coupon_store::embedded::rooms;

use crate::seed::ensure_in_files;

/// A data set that is read, in the order of keys.
pub(crate) trait Source {
    fn place(&self) -> String;
    /// Keeps others away from it, where a lock must not be silent for long.
    fn keep(&mut self) -> Result<()> {
        Ok(())
    }
    /// Refuses one that was changed since it was found at rest. A folder is locked meanwhile.
    fn ensure_unchanged(&mut self) -> Result<()> {
        Ok(())
    }
    fn was_put_back(&mut self) -> Result<bool>;
    fn count_carried(&mut self, table: &CarriedTable) -> Result<u64>;
    fn carried(&mut self, table: &CarriedTable, after: i64, most: usize) -> Result<Vec<CarriedRow>>;
    fn places(&mut self) -> Result<Vec<Placement>>;
    fn count(&mut self, at: Placement) -> Result<u64>;
    fn first(&mut self, at: Placement) -> Result<Option<i64>>;
    fn results(&mut self, at: Placement, after: i64, most: usize) -> Result<Vec<CouponResult>>;
}

/// Both readers have these methods already.
macro_rules! source {
    ($reader:ty { $($more:tt)* }) => {
        impl $crate::copy::ends::Source for $reader {
            fn place(&self) -> String {
                <$reader>::place(self)
            }

            $($more)*

            fn was_put_back(&mut self) -> Result<bool> {
                <$reader>::was_put_back(self)
            }

            fn count_carried(&mut self, table: &CarriedTable) -> Result<u64> {
                <$reader>::count_carried(self, table)
            }

            fn carried(&mut self, table: &CarriedTable, after: i64, most: usize) -> Result<Vec<CarriedRow>> {
                <$reader>::carried(self, table, after, most)
            }

            fn places(&mut self) -> Result<Vec<Placement>> {
                <$reader>::places(self)
            }

            fn count(&mut self, at: Placement) -> Result<u64> {
                <$reader>::count(self, at)
            }

            fn first(&mut self, at: Placement) -> Result<Option<i64>> {
                <$reader>::first(self, at)
            }

            fn results(&mut self, at: Placement, after: i64, most: usize) -> Result<Vec<CouponResult>> {
                <$reader>::results(self, at, after, most)
            }
        }
    };
}

#[cfg(feature = "servers")]
pub(crate) use source;

source!(Reader {});

/// A source at rest, and its account of itself.
pub(crate) struct Origin {
    pub(crate) source: Box<dyn Source>,
    pub(crate) dataset: String,
    pub(crate) layout: String,
    /// The work that still waits, where it is not at rest.
    pub(crate) waits: Vec<Waits>,
}

/// A data set that is being made.
pub(crate) trait Target {
    type Indexed: Indexed;

    fn place(&self) -> String;
    /// The notes on the copy, by their names.
    fn notes(&mut self) -> Result<BTreeMap<String, String>>;
    fn carried(&mut self, table: &CarriedTable, rows: &[CarriedRow]) -> Result<()>;
    fn results(&mut self, rows: Vec<(Placement, CouponResult)>) -> Result<()>;
    /// Makes durable whatever was handed over, then notes something.
    fn settle(&mut self, name: &str, reached: &str) -> Result<()>;
    /// Makes the indexes. It stays incomplete.
    fn index(self, progress: &mut dyn FnMut(u64, u64)) -> Result<Self::Indexed>;
}

/// A data set whose rows and indexes are there, and which no service opens yet.
pub(crate) trait Indexed: Sized {
    fn reader(&self) -> Result<Box<dyn Source>>;
    /// Makes its room index, once no reader of it is left. What an earlier run has made of one goes on.
    fn room_index(self, told: &mut dyn FnMut(u64, u64)) -> Result<Self>;
    /// Opens it for services.
    fn open(self, opening: &Opening) -> Result<()>;
}

/// The last writes of a copy, which open it for services.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    /// The sums over the results of each shard, in order.
    pub(crate) sums: Vec<Totals>,
    /// The worker numbers in the ids of results, each with the time of its last.
    pub(crate) workers: BTreeMap<u16, Timestamp>,
    /// The rest of its label.
    pub(crate) notes: Vec<(&'static str, String)>,
}

/// The data set in a folder, as it is.
pub(crate) fn of_folder(dir: &Path) -> Result<Origin> {
    let reader = Reader::new(Arc::new(Folder::open_as_it_is(dir)?))?;
    let folder = reader.folder();
    let (dataset, layout, waits) = (folder.dataset().to_owned(), folder.layout().to_owned(), reader.waits()?);
    Ok(Origin { source: Box::new(reader), dataset, layout, waits })
}

/// A folder that becomes a copy of the data set with that id.
pub(crate) fn into_folder(
    dir: &Path,
    strategy: &dyn ShardingStrategy,
    origin: &Origin,
    anew: bool,
) -> Result<impl Target + use<>> {
    ensure_in_files(strategy)?;
    if anew && dir.exists() {
        Folder::remove_copy(dir)?;
    }
    let folder = Folder::begin_copy(dir, &strategy.layout(), strategy.shard_count(), &origin.dataset)?;
    let (place, notes) = (dir.display().to_string(), folder.notes(COPYING)?);
    Ok(Files { bulk: Bulk::resumable(folder)?, place, notes })
}

struct Files {
    bulk: Bulk,
    place: String,
    notes: BTreeMap<String, String>,
}

impl Target for Files {
    type Indexed = Arc<Folder>;

    fn place(&self) -> String {
        self.place.clone()
    }

    fn notes(&mut self) -> Result<BTreeMap<String, String>> {
        Ok(std::mem::take(&mut self.notes))
    }

    fn carried(&mut self, table: &CarriedTable, rows: &[CarriedRow]) -> Result<()> {
        Ok(self.bulk.carried(table, rows)?)
    }

    fn results(&mut self, rows: Vec<(Placement, CouponResult)>) -> Result<()> {
        Ok(self.bulk.results(rows)?)
    }

    fn settle(&mut self, name: &str, reached: &str) -> Result<()> {
        Ok(self.bulk.settle(name, reached)?)
    }

    fn index(self, progress: &mut dyn FnMut(u64, u64)) -> Result<Arc<Folder>> {
        Ok(self.bulk.index(progress)?.0)
    }
}

impl Indexed for Arc<Folder> {
    fn reader(&self) -> Result<Box<dyn Source>> {
        Ok(Box::new(Reader::new(Self::clone(self))?))
    }

    fn room_index(self, told: &mut dyn FnMut(u64, u64)) -> Result<Self> {
        let folder = Self::into_inner(self).context("the folder is still being read")?;
        Ok(Self::new(rooms::build(folder, told)?))
    }

    /// Files keep no sums, and their ids follow the last one that is stored.
    fn open(self, opening: &Opening) -> Result<()> {
        Ok(self.complete_copy(&opening.notes)?)
    }
}
