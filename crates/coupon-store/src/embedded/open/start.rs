//! The threads of a folder that is open.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use anyhow::Context as _;
use coupon_core::ShardId;

use super::Options;
use super::contents::Contents;
use crate::Layouts;
use crate::clock::Clock;
use crate::embedded::applier::{Applier, ToMain};
use crate::embedded::archive::Archiver;
use crate::embedded::folder::Folder;
use crate::embedded::hand_over::{WriterHandle, Writers};
use crate::embedded::live::Live;
use crate::embedded::loading::{Around, LoadedShard};
use crate::embedded::mover::{HolderLock, MoverThread};
use crate::embedded::reader::Readers;
use crate::embedded::rooms::{Carrier, FolderRooms, Source};
use crate::embedded::state::SharedShard;
use crate::embedded::work::WriterRequest;
use crate::embedded::writer::EXPIRE_PACE;
use crate::pace::Spacing;
use crate::room_index::{RoomIndex, RoomPlaces};

/// The threads at work, each by what the others reach it through.
pub(super) struct Threads {
    pub(super) writers: Arc<Writers>,
    pub(super) handles: Arc<[WriterHandle]>,
    pub(super) readers: Arc<[(Readers, Arc<SharedShard>)]>,
    pub(super) to_main: ToMain,
    pub(super) room_index: Option<Box<dyn RoomIndex>>,
    pub(super) mover: Arc<MoverThread>,
    pub(super) archiver: Arc<Archiver>,
    /// Held while all files are read, and while a batch is between two of them.
    pub(super) turns: HolderLock,
}

/// Starts them: main's, each shard's, and the one of the room index.
pub(super) fn threads(
    folder: &Folder,
    contents: Contents,
    layouts: &Arc<Layouts>,
    options: &Options,
    clock: &Clock,
) -> anyhow::Result<Threads> {
    let turns = HolderLock::default();
    let (handles, inboxes) = handles(folder, &contents.parts);
    let (mover, archiver) = (Arc::new(MoverThread::default()), Arc::new(Archiver::default()));
    let live = Live {
        current: Arc::clone(&contents.current),
        gate: Arc::clone(&contents.gate),
        shards: (0..folder.shards().get()).map(|number| folder.shard_path(ShardId::new(number))).collect(),
        layouts: Arc::clone(layouts),
        turns: Arc::clone(&turns),
        stock: contents.keeps_stock.then(|| Arc::clone(&handles)),
    };
    let states = contents.parts.iter().map(|part| Arc::clone(&part.state)).collect();
    let set_aside = contents.set_aside.clone();
    let (to_main, applier) = Applier::start(folder.connect_main()?, states, clock.clone(), set_aside, live)?;
    // From here on, whatever fails, the threads are ended and waited for before the folder is let go of.
    let writers = Arc::new(Writers::new(
        Arc::clone(&handles),
        to_main.clone(),
        options.shard_backlog,
        Arc::clone(&mover),
        Arc::clone(&archiver),
        applier,
    ));
    let carrier = match folder.room_index() {
        Some(places) => Some((places, carrier(folder, places, &contents.parts, &handles, clock)?)),
        None => None,
    };
    let around = Around {
        gate: contents.gate,
        clock,
        to_main: &to_main,
        layouts,
        writers: &handles,
        expiry_pace: &Arc::new(Spacing::new(EXPIRE_PACE)),
        stock: contents.keeps_stock.then_some(&*contents.terms),
    };
    let mut readers = Vec::new();
    for (part, inbox) in contents.parts.into_iter().zip(inboxes) {
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
    Ok(Threads { writers, handles, readers, to_main, room_index, mover, archiver, turns })
}

/// The writers as others see them, and what they are sent.
fn handles(folder: &Folder, parts: &[LoadedShard]) -> (Arc<[WriterHandle]>, Vec<Receiver<WriterRequest>>) {
    let handle = |part: &LoadedShard| {
        let (messages, inbox) = channel();
        let path = folder.shard_path(part.shard);
        (WriterHandle { messages, state: Arc::clone(&part.state), path }, inbox)
    };
    let (handles, inboxes): (Vec<_>, _) = parts.iter().map(handle).unzip();
    (handles.into(), inboxes)
}

/// The carrier of the shards' entries to the room index.
fn carrier(
    folder: &Folder,
    places: RoomPlaces,
    parts: &[LoadedShard],
    writers: &Arc<[WriterHandle]>,
    clock: &Clock,
) -> anyhow::Result<Carrier> {
    let source = |part: &LoadedShard| {
        let Some(index) = &part.index else { return Ok(None) };
        let (db, told) = (folder.connect_shard_reader(part.shard)?, Arc::clone(&index.told));
        anyhow::Ok(Some(Source { shard: part.shard, db, told, state: Arc::clone(&part.state) }))
    };
    let sources = parts.iter().map(source).filter_map(Result::transpose).collect::<anyhow::Result<_>>()?;
    let connect = |shard| folder.connect_shard_reader(shard);
    Carrier::new(places, sources, connect, Arc::clone(writers), clock.clone())
        .with_context(|| format!("cannot use {}", folder.dir().display()))
}
