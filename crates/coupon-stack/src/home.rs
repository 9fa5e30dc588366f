//! A stack's folder.

use std::fs::{File, TryLockError};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use coupon_core::KeyRange;
use tempfile::TempDir;

use crate::engine::Tablets;
use crate::files::make_dir;
use crate::guardian::Guardian;
use crate::process::POLL;
use crate::programs::MySql;
use crate::record::Record;
use crate::{StackOptions, Topology};

/// A folder that this process has in hand.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) dir: PathBuf,
    pub(crate) temporary: Option<TempDir>,
    pub(crate) lock: File,
}

impl Home {
    /// Takes the given folder, or makes a temporary one where the database server can reach it.
    pub(crate) fn open(dir: Option<&Path>, mysql: &MySql, guardian: &Guardian) -> Result<Self> {
        let temporary = match dir {
            Some(_) => None,
            None => Some(temporary(&mysql.temporary(), guardian)?),
        };
        let dir = temporary.as_ref().map(TempDir::path).or(dir).context("no folder")?;
        make_dir(dir)?;
        let dir = dir.canonicalize().with_context(|| format!("cannot find {}", dir.display()))?;
        // Fails where it is out of reach.
        mysql.inside(&dir)?;
        Ok(Self { lock: lock(&dir, Duration::ZERO)?, dir, temporary })
    }
}

/// Makes a temporary folder and registers it with the guardian before it is there: its name is unique, rather than
/// found free.
fn temporary(parent: &Path, guardian: &Guardian) -> Result<TempDir> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    // Short, since paths of sockets are.
    let moment = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros() & 0xffff_ffff;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("coupon-stack-{}-{number}-{moment:x}", std::process::id());
    guardian.remove_at_the_end(&parent.join(&name))?;
    let dir = tempfile::Builder::new().prefix(&name).rand_bytes(0).tempdir_in(parent);
    dir.with_context(|| format!("cannot make a temporary folder in {}", parent.display()))
}

/// One process at a time has a stack in hand; another waits so long for it.
pub(crate) fn lock(dir: &Path, patience: Duration) -> Result<File> {
    let path = dir.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let end = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < end => std::thread::sleep(POLL),
            Err(TryLockError::WouldBlock) => {
                bail!("another process has the stack in {} in hand", dir.display())
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
}

/// Checks that a stack can be started again in the folder of an earlier one.
pub(crate) fn check(record: &Record, dir: &Path, options: &StackOptions, mysql: &MySql) -> Result<()> {
    let dir = dir.display();
    ensure!(!record.is_up(), "a stack is up in {dir} already");
    // Of an engine the tablets are compared.
    let (held, wanted) = (record.topology, Topology { engine: None, ..options.topology });
    // Sentinels may come to a Redis that is there, and so may more of them: a gate is filled from what the databases have.
    let redis_sentinel = held.redis_sentinel || wanted.redis_sentinel;
    let grown = Topology { redis: wanted.redis, redis_sentinel, ..held };
    ensure!(
        grown == wanted,
        "{dir} holds a stack of {held}, not of {wanted}: take another folder, or remove it"
    );
    let (made, found) = (record.programs.mysql.flavour(), mysql.flavour());
    ensure!(
        made == found,
        "{dir} was made by {made}, which {found} cannot read: take another folder, or remove it"
    );
    Ok(())
}

/// The tablets of a folder's engine, or of one that is wanted there now, if either is.
pub(crate) fn tablets(
    record: Option<&Record>,
    dir: &Path,
    wanted: Option<NonZeroU16>,
) -> Result<Option<Tablets>> {
    let made = record.and_then(|record| record.tablets.clone());
    let Some(wanted) = wanted else { return Ok(made) };
    let new = Tablets::of(&KeyRange::equal(wanted)?);
    let Some(made) = made else { return Ok(Some(new)) };
    ensure!(
        made.ranges() == new.ranges(),
        "{} holds an engine of the shards {}, not of {wanted}: `coupon-stack engine reshard` changes that",
        dir.display(),
        made.ranges().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    );
    Ok(Some(made))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::programs::Programs;

    #[test]
    fn a_folder_keeps_the_engine_that_it_was_made_with() {
        let made = |shards| Tablets::of(&KeyRange::equal(NonZeroU16::new(shards).unwrap()).unwrap());
        let (redis, rabbitmq, epmd) = ("redis".into(), "rabbitmq".into(), "epmd".into());
        let mysql = MySql { server: "mysqld".into(), root: None, install: None };
        let programs = Programs { mysql, redis, rabbitmq, epmd, engine: None };
        let record = Record::new(programs, Topology::default(), Some(made(2)), BTreeMap::new());
        let tablets = |record, wanted| tablets(record, Path::new("/stack"), NonZeroU16::new(wanted));
        assert!(tablets(None, 0).unwrap().is_none());
        assert_eq!(tablets(None, 4).unwrap().unwrap().all(), made(4).all());
        assert_eq!(tablets(Some(&record), 0).unwrap().unwrap().all(), made(2).all());
        assert_eq!(tablets(Some(&record), 2).unwrap().unwrap().all(), made(2).all());
        let error = tablets(Some(&record), 4).unwrap_err().to_string();
        assert!(error.contains("-80, 80-") && error.contains("reshard"), "{error}");
        assert!(tablets(None, 3).is_err());
    }

    #[test]
    fn one_has_a_folder_in_hand_and_another_waits_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path(), Duration::ZERO).unwrap();
        assert!(lock(dir.path(), Duration::ZERO).unwrap_err().to_string().contains("another process"));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock(dir.path(), Duration::from_secs(60)));
            drop(held);
            waiting.join().unwrap().unwrap();
        });
    }
}
