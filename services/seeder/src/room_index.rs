//! The commands that make a data set's room index, and take it away.

use anyhow::{Result, ensure};
use clap::Subcommand;
use coupon_seeding::{Site, build_room_index, drop_room_index, on_stderr};
use coupon_store::settings::BackendKind;

use crate::say;
use crate::storage::{OWN_LAYOUT, Storage};

#[derive(Debug, Subcommand)]
pub(super) enum RoomIndexCommand {
    /// Make the index of the rows that there are, over all shards that there are; one that is there is made anew.
    Build(Storage),
    /// Take the index away.
    Drop(Storage),
}

impl RoomIndexCommand {
    pub(super) fn run(&self, strategy: Option<&str>) -> Result<()> {
        match self {
            Self::Build(storage) => {
                build_room_index(&site(storage)?, strategy, &mut *on_stderr())?;
                say(&"the room index is made: services on this data set need room_index = true from now on")
            }
            Self::Drop(storage) => {
                drop_room_index(&site(storage)?, strategy)?;
                say(
                    &"the room index is taken away: services on this data set need room_index = false, the default",
                )
            }
        }
    }
}

fn site(storage: &Storage) -> Result<Site> {
    storage.refuse_strategy(OWN_LAYOUT)?;
    let (settings, _) = storage.read()?;
    Ok(match settings.backend {
        BackendKind::Embedded => {
            let dir = settings.embedded.data;
            ensure!(!dir.as_os_str().is_empty(), "name the folder with --data, or servers with --config");
            Site::Folder(dir)
        }
        BackendKind::Servers => Site::Servers(Box::new(settings.servers)),
    })
}
