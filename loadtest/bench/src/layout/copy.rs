//! The rate at which a data set is copied into another strategy, read back and held against its source.

use anyhow::{Context as _, Result};
use coupon_seeding::{CopyOptions, SeedOptions, Silent, Site, copy, seed};
use coupon_strategies::strategy;

use crate::context::{Context, SHARDS};
use crate::model::{Bound, Claim, Measurement, NamedFigure};

const ID: &str = "growth-copy";
const ROWS: u64 = 400_000;
const QUICK: u64 = 100_000;
const SIX: std::num::NonZeroU16 = std::num::NonZeroU16::new(6).unwrap();

pub(super) fn claim() -> Claim {
    Claim::new(
        ID,
        "rows a second that `seeder copy` brings from hash over four files to ranges of rooms over six, read back and verified",
        Bound::AtLeast(20_000.0),
        "/s",
    )
}

pub(super) fn measure(context: &Context) -> Result<Vec<Measurement>> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let from = folder.path().join("hash");
    let history = if context.quick { QUICK } else { ROWS };
    let options = SeedOptions { history, seed: context.seed, ..SeedOptions::default() };
    seed(&from, &*strategy("hash", SHARDS, &[])?, &options, false, &mut Silent)?;
    let rooms = strategy("range-room", SIX, &[])?;
    let (mut rates, mut seconds) = (Vec::new(), Vec::new());
    for round in 0..if context.quick { 1 } else { 3 } {
        context.progress(format!("copying, round {}", round + 1));
        let to = folder.path().join(format!("rooms-{round}"));
        let copied = copy(
            &Site::Folder(from.clone()),
            None,
            &Site::Folder(to.clone()),
            &*rooms,
            CopyOptions::default(),
            &mut Silent,
        )?;
        let took = copied.took.as_secs_f64();
        rates.push(copied.all() as f64 / took);
        seconds.push(took);
        std::fs::remove_dir_all(&to)?;
    }
    let figures =
        vec![NamedFigure::of(format!("all of {history} results and their catalogue"), "s", &seconds)];
    Ok(vec![Measurement::new(ID, rates).figures(figures)])
}
