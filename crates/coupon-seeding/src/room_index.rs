//! The room index of a data set that is there already: made of its rows, or taken away.

use std::path::Path;

use anyhow::Result;
use coupon_store::embedded::folder::Folder;
use coupon_store::embedded::rooms;

use crate::{Progress, Site, servers};

/// The name of the work in a display of progress.
const STAGE: &str = "room index";

/// Makes the room index of a data set that no service is using, over all its shards. One that is there is made anew; one that was
/// cut short is none, and the next run goes on with it, unless rows may have changed in between. The databases are those of
/// `servers.namespace` or, without it, of the strategy's name.
///
/// # Errors
/// When a service is using the data set, or a file or a database cannot be read or written.
pub fn build_room_index(site: &Site, strategy: Option<&str>, progress: &mut dyn Progress) -> Result<()> {
    match site {
        Site::Folder(dir) => in_folder(dir, progress),
        Site::Servers(settings) => on_stage(progress, |told| servers::build(settings, strategy, told)),
    }
}

/// Takes the room index of a data set away that no service is using, if there is one.
///
/// # Errors
/// As for [`build_room_index`].
pub fn drop_room_index(site: &Site, strategy: Option<&str>) -> Result<()> {
    match site {
        Site::Folder(dir) => rooms::drop_index(Folder::open_any(dir)?).map(drop),
        Site::Servers(settings) => servers::drop_index(settings, strategy),
    }
}

/// Makes the room index of a folder.
pub(crate) fn in_folder(dir: &Path, progress: &mut dyn Progress) -> Result<()> {
    on_stage(progress, |told| rooms::build(Folder::open_any(dir)?, told).map(drop))
}

/// Shows as a stage the progress of a build, which is given a function to call with how many rows of how many the index has.
pub(crate) fn on_stage<T>(
    progress: &mut dyn Progress,
    build: impl FnOnce(&mut dyn FnMut(u64, u64)) -> Result<T>,
) -> Result<T> {
    let mut begun = false;
    let built = build(&mut |rows, all| {
        if !begun {
            progress.stage(STAGE, all);
            begun = true;
        }
        progress.reached(rows);
    })?;
    if begun {
        progress.done();
    }
    Ok(built)
}
