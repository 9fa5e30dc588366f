//! Opens a data folder as a backend: checks it, rebuilds the gate from it, starts its threads.

use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, ensure};
use coupon_core::schema::{self, Dialect};
use coupon_core::{ResultId, ShardId, ShardingStrategy, Timestamp, Versioned};
use rusqlite::Connection;

use super::applier::Applier;
use super::archive::{Archiver, FileArchiving};
use super::catalogue::{EmbeddedCatalogue, all_terms, note_unknown_users, read_current};
use super::folder::{Folder, FolderError};
use super::gate::MemoryGate;
use super::growth::{FileGrowth, Shared};
use super::hand_over::{WriterHandle, Writers};
use super::live::Live;
use super::loading::{Around, Part, connections, load_shards};
use super::mover::{MoverThread, Turns};
use super::reader::Readers;
use super::rooms::{Carrier, FolderRooms, Source};
use super::shards::EmbeddedShards;
use super::state::ShardState;
use super::stock::StockGate;
use super::work::Message;
use super::writer::{EXPIRE_PACE, table_window};
use super::{layouts, moves, rooms, settle};
use crate::clock::Clock;
use crate::hand_over::Stored;
use crate::ids::{IdSource, PATIENCE_MS};
use crate::pace::Pace;
use crate::room_index::{RoomIndex, RoomPlaces, agreed};
use crate::set_aside::{Place, SetAside};
use crate::settings::{DecidedBy, UnknownUsers};
use crate::stock::{KEPT, SHARD, ensure_one_table};
use crate::terms::{AllTerms, Terms};
use crate::timekeeping::seconds;
use crate::{Backend, Data, Gate, HandOver, Layouts, Totals, VersionRecord, layout_records};

/// The options for opening a data folder.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder.
    pub data: PathBuf,
    /// Reading threads a shard.
    pub readers: NonZeroUsize,
    /// The largest a shard's file may grow, in MiB; 0 sets no limit.
    pub max_file_mb: u32,
    /// The most results that wait for one shard's tables.
    pub shard_backlog: usize,
    /// The number of shards that have a file, at least, whether or not the layout uses them yet.
    pub shards_prepared: NonZeroU16,
    /// What becomes of users whom main does not know.
    pub unknown_users: UnknownUsers,
    /// True if the data set is to have a room index.
    pub room_index: bool,
}

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
    let keeps_stock = decided_by == DecidedBy::Database;
    if keeps_stock {
        ensure_one_table(&*strategy, options.shards_prepared.get())?;
    }
    let folder = open_folder(options, &*strategy)?;
    if keeps_stock {
        ensure_one_table(&*strategy, folder.shards().get())?;
    } else {
        let kept = folder.connect_shard_reader(SHARD)?.table_exists(None, "stock")?;
        ensure!(!kept, "cannot use {}: {KEPT}", folder.dir().display());
    }
    agreed(options.room_index, folder.room_index())
        .with_context(|| format!("cannot use {}", folder.dir().display()))?;
    // Rows change from now on.
    folder.note_making(None)?;
    let main = folder.connect_main()?;
    let layouts = Arc::new(read_layouts(&folder, &main, strategy)?);
    settle::everything(&folder, clock.now())?;
    let AllTerms { terms, found } =
        all_terms(&main).with_context(|| format!("cannot read {}", folder.main_path().display()))?;
    let set_aside = SetAside::default();
    set_aside.tell(Place::Catalogue, found);
    if options.unknown_users == UnknownUsers::Accept {
        note_unknown_users(&main)?;
    }
    // In the place of the database's stock it has nothing to remember.
    let remembered: &[Terms] = if keeps_stock { &[] } else { &terms };
    let gate = Arc::new(MemoryGate::new(remembered, clock.now()));

    let wanted = layouts.now().tables(table_window(clock));
    let parts = load_shards(&folder, &wanted, &gate, options, clock.now())?;
    for coupon in gate.oversold() {
        tracing::error!(%coupon, "more results of this coupon are stored than there ever were");
    }
    let latest_id = parts.iter().filter_map(|part| part.latest).max();
    not_ahead(latest_id, clock.now()).with_context(|| format!("cannot use {}", folder.dir().display()))?;
    let states: Vec<Arc<ShardState>> = parts.iter().map(|part| Arc::clone(&part.state)).collect();

    let current = Arc::new(read_current(&main, &terms, options.unknown_users)?);
    let shards = (0..folder.shards().get()).map(|number| folder.shard_path(ShardId::new(number)));
    let turns = Turns::default();
    let (handles, inboxes) = handles(&folder, &parts);
    let live = Live {
        current: Arc::clone(&current),
        gate: Arc::clone(&gate),
        shards: shards.collect(),
        layouts: Arc::clone(&layouts),
        turns: Arc::clone(&turns),
        stock: keeps_stock.then(|| Arc::clone(&handles)),
    };
    let (to_main, applier) =
        Applier::start(folder.connect_main()?, states, clock.clone(), set_aside.clone(), live)?;
    let (mover, archiver) = (Arc::new(MoverThread::default()), Arc::new(Archiver::default()));
    // From here on, whatever fails, the threads are ended and waited for before the folder is let go of.
    let writers = Arc::new(Writers::new(
        Arc::clone(&handles),
        to_main.clone(),
        options.shard_backlog,
        Arc::clone(&mover),
        Arc::clone(&archiver),
        applier,
    ));
    let expiry_pace = Arc::new(Pace::new(EXPIRE_PACE));
    let stock = keeps_stock.then_some(&*terms);
    let around = Around {
        gate,
        clock,
        to_main: &to_main,
        layouts: &layouts,
        writers: &handles,
        expiry_pace: &expiry_pace,
        stock,
    };
    let carrier = match folder.room_index() {
        Some(places) => Some((places, carrier(&folder, places, &parts, &handles, clock)?)),
        None => None,
    };
    let mut readers = Vec::new();
    for (part, inbox) in parts.into_iter().zip(inboxes) {
        let started = part.start(&around, options.shard_backlog, inbox)?;
        writers.take_in(started.thread);
        readers.push(started.readers);
    }
    let readers: Arc<[_]> = readers.into();
    let room_index = carrier.map(|(places, carrier)| {
        let as_of = carrier.as_of();
        carrier.start(&writers.carriers)?;
        let rooms = FolderRooms { places, readers: Arc::clone(&readers), as_of };
        anyhow::Ok(Box::new(rooms) as Box<dyn RoomIndex>)
    });
    let room_index = room_index.transpose()?;
    let (gate, hand_over): (Box<dyn Gate>, Box<dyn HandOver>) = if keeps_stock {
        let gate = StockGate { writers: Arc::clone(&handles), current: Arc::clone(&current) };
        (Box::new(gate), Box::new(Stored(Box::new(Arc::clone(&writers)))))
    } else {
        (Box::new(around.gate), Box::new(Arc::clone(&writers)))
    };
    let main_state = Arc::new(ShardState::new(Vec::new(), Totals::default(), 0, 2));
    let main_readers = connections(options.readers.get(), || folder.connect_main_reader())?;
    let main_readers = Readers::start(ShardId::new(0), main_readers, main_state, clock.clone())?;
    let main_readers = Arc::new(main_readers);
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
    growth.resume(layouts::moving(&main)?)?;
    let catalogue = EmbeddedCatalogue { current, main: main_readers, to_main, set_aside };
    Ok(Backend {
        dataset: folder.dataset().to_owned(),
        layouts,
        growth: Box::new(growth),
        archiving: Some(Box::new(archiving)),
        ids: IdSource::Own { after: latest_id },
        gate,
        lifecycle: Box::new(Arc::clone(&writers)),
        hand_over,
        own_metrics: Box::new(Arc::clone(&writers)),
        shards: Box::new(EmbeddedShards { readers, writers }),
        room_index,
        catalogue: Box::new(catalogue),
        data: Data::Folder(folder),
    })
}

/// What carries the shards' entries to the room index.
fn carrier(
    folder: &Folder,
    places: RoomPlaces,
    parts: &[Part],
    writers: &Arc<[WriterHandle]>,
    clock: &Clock,
) -> anyhow::Result<Carrier> {
    let source = |part: &Part| {
        let Some(index) = &part.index else { return Ok(None) };
        let (db, told) = (folder.connect_shard_reader(part.shard)?, Arc::clone(&index.told));
        anyhow::Ok(Some(Source { shard: part.shard, db, told, state: Arc::clone(&part.state) }))
    };
    let sources = parts.iter().map(source).filter_map(Result::transpose).collect::<anyhow::Result<_>>()?;
    let connect = |shard| folder.connect_shard_reader(shard);
    Carrier::new(places, sources, connect, Arc::clone(writers), clock.clone())
        .with_context(|| format!("cannot use {}", folder.dir().display()))
}

/// The versions of the layout that may still have rows.
fn read_layouts(
    folder: &Folder,
    main: &Connection,
    strategy: Arc<dyn ShardingStrategy>,
) -> anyhow::Result<Layouts> {
    let read = || {
        let records = layouts::read(main)?;
        let versions = layout_records::versioned(&Versioned::first(strategy), &records)?;
        anyhow::Ok((records, versions))
    };
    let (records, versions) =
        read().with_context(|| format!("cannot read {}", folder.main_path().display()))?;
    for shard in (0..folder.shards().get()).map(ShardId::new) {
        known_to_move(folder, shard, &records)
            .with_context(|| format!("cannot use {}", folder.shard_path(shard).display()))?;
    }
    Ok(Layouts::new(versions, folder.shards()))
}

/// Refuses a main that has forgotten a version which a shard was told of, or its rows have begun to move to.
fn known_to_move(folder: &Folder, shard: ShardId, records: &[VersionRecord]) -> anyhow::Result<()> {
    let db = folder.connect_shard_reader(shard)?;
    let (moves, told) = (moves::state(&db)?, moves::told_layout(&db)?);
    let known = layout_records::ensure_known(moves, records)
        .and_then(|()| layout_records::ensure_told(told, records));
    known.map_err(|why| anyhow::anyhow!("{why}. Put back the whole folder"))
}

/// The writers as others see them, and what they are sent.
fn handles(folder: &Folder, parts: &[Part]) -> (Arc<[WriterHandle]>, Vec<Receiver<Message>>) {
    let handle = |part: &Part| {
        let (messages, inbox) = channel();
        let path = folder.shard_path(part.shard);
        (WriterHandle { messages, state: Arc::clone(&part.state), path }, inbox)
    };
    let (handles, inboxes): (Vec<_>, _) = parts.iter().map(handle).unzip();
    (handles.into(), inboxes)
}

/// Refuses results from a time that has not come: until then there would be no ids for any grab.
fn not_ahead(latest: Option<ResultId>, now: Timestamp) -> anyhow::Result<()> {
    let Some(latest) = latest.map(ResultId::time) else { return Ok(()) };
    let ahead = latest.millis() - now.millis();
    anyhow::ensure!(
        ahead <= PATIENCE_MS,
        "its latest result is of {latest}, which is {} ahead of this machine's clock ({now}), so that no grab could be \
         given an id before then. If this clock is wrong now, set it right. If it was wrong when that result was made, \
         start again after that time, or take the copy of the folder from before",
        seconds(ahead)
    );
    Ok(())
}

/// The folder, with the sample catalogue if there was nothing in it.
fn open_folder(options: &Options, strategy: &dyn ShardingStrategy) -> anyhow::Result<Folder> {
    let (layout, shards) = (strategy.layout(), strategy.shard_count().max(options.shards_prepared));
    match Folder::open(&options.data, &layout, shards) {
        Err(FolderError::NoData { .. }) => {}
        opened => return Ok(opened?),
    }
    let folder = Folder::create(&options.data, &layout, shards)?;
    folder.mark_incomplete()?;
    let main = folder.connect_main()?;
    main.execute_batch("BEGIN")?;
    for statement in schema::sample(Dialect::Sqlite) {
        main.execute_batch(&statement).context("cannot load the sample catalogue")?;
    }
    main.execute_batch("COMMIT")?;
    let folder = if options.room_index { rooms::build(folder, &mut |_, _| ())? } else { folder };
    folder.mark_complete()?;
    tracing::info!(
        data = %options.data.display(),
        "the data folder was empty: it now holds a small sample catalogue; the seeder makes a large one"
    );
    Ok(folder)
}
