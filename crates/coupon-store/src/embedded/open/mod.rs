//! Opens a data folder as a backend: checks it, rebuilds the gate from it, starts its threads.

mod contents;
mod start;
mod usable;

use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use coupon_core::{ShardId, ShardingStrategy};

use self::contents::Contents;
use self::start::Threads;
pub use self::usable::decided_by_of;
use super::archive::FileArchiving;
use super::catalogue::EmbeddedCatalogue;
use super::folder::Folder;
use super::growth::{FileGrowth, Shared};
use super::loading::connections;
use super::options::Options;
use super::reader::Readers;
use super::shards::EmbeddedShards;
use super::state::SharedShard;
use super::stock::StockGate;
use super::{layouts as layout_file, settle};
use crate::clock::Clock;
use crate::hand_over::StoredAtGrant;
use crate::ids::IdSource;
use crate::settings::DecidedBy;
use crate::{Backend, Data, Gate, HandOver, Totals};

/// Opens a data folder for a strategy. A folder that holds nothing gets the sample catalogue.
///
/// # Errors
/// When the folder cannot be used; the message says why, and names it.
pub fn open(
    options: &Options,
    strategy: Arc<dyn ShardingStrategy>,
    clock: &Clock,
) -> anyhow::Result<Backend> {
    open_decided_by(DecidedBy::Gate, options, strategy, clock)
}

/// The same, with grabs decided by the gate or by the database.
///
/// # Errors
/// As for [`open`], and when the database is to decide and the results are not all in one table.
pub fn open_decided_by(
    decided_by: DecidedBy,
    options: &Options,
    strategy: Arc<dyn ShardingStrategy>,
    clock: &Clock,
) -> anyhow::Result<Backend> {
    let folder = usable::folder(decided_by, options, &*strategy)?;
    // Rows change from now on.
    folder.note_making(None)?;
    let main = folder.connect_main()?;
    let layouts = Arc::new(usable::read_layouts(&folder, &main, strategy)?);
    settle::everything(&folder, clock.now())?;
    let contents = Contents::read(decided_by, &folder, &main, &layouts, options, clock)?;
    let latest = contents.latest();
    usable::not_ahead(latest, clock.now())
        .with_context(|| format!("cannot use {}", folder.dir().display()))?;

    let (current, set_aside) = (Arc::clone(&contents.current), contents.set_aside.clone());
    let memory = Arc::clone(&contents.gate);
    let threads = start::threads(&folder, contents, &layouts, options, clock)?;
    let Threads { writers, handles, readers, to_main, room_index, mover, archiver, turns } = threads;
    let (gate, hand_over): (Box<dyn Gate>, Box<dyn HandOver>) = match decided_by {
        DecidedBy::Gate => (Box::new(memory), Box::new(Arc::clone(&writers))),
        DecidedBy::Database => {
            let gate = StockGate { writers: Arc::clone(&handles), current: Arc::clone(&current) };
            (Box::new(gate), Box::new(StoredAtGrant(Box::new(Arc::clone(&writers)))))
        }
    };
    let main_readers = Arc::new(main_readers(&folder, options, clock)?);
    let shared = Arc::new(Shared {
        writers: handles,
        to_main: to_main.clone(),
        main: Arc::clone(&main_readers),
        layouts: Arc::clone(&layouts),
        clock: clock.clone(),
        mover,
        turns,
        archiver,
        changing: Mutex::default(),
    });
    let archiving =
        FileArchiving::new(Arc::clone(&shared), folder.room_index(), Arc::clone(&writers.carriers));
    let growth = FileGrowth(shared);
    growth.resume(layout_file::moving(&main)?)?;
    Ok(Backend {
        dataset: folder.dataset().to_owned(),
        layouts,
        growth: Box::new(growth),
        archiving: Some(Box::new(archiving)),
        ids: IdSource::Own { after: latest },
        gate,
        lifecycle: Box::new(Arc::clone(&writers)),
        hand_over,
        own_metrics: Box::new(Arc::clone(&writers)),
        shards: Box::new(EmbeddedShards { readers, writers }),
        room_index,
        catalogue: Box::new(EmbeddedCatalogue { current, main: main_readers, to_main, set_aside }),
        data: Data::Folder(folder),
    })
}

/// Threads that read main's file.
fn main_readers(folder: &Folder, options: &Options, clock: &Clock) -> anyhow::Result<Readers> {
    let state = Arc::new(SharedShard::new(Vec::new(), Totals::default(), 0, 2));
    let connections = connections(options.readers.get(), || folder.connect_main_reader())?;
    Ok(Readers::start(ShardId::new(0), connections, state, clock.clone())?)
}
