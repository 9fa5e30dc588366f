//! `coupon-stack engine`.

use std::num::NonZeroU16;

use anyhow::Result;
use clap::{Args, Subcommand};
use coupon_cli::numbers::nonzero;
use coupon_cli::terminal::{outcome, say};
use coupon_core::KeyRange;

use super::Folder;
use crate::engine::{Goal, dry_run, reshard};

const EXAMPLES: &str = "\
Examples:
  coupon-stack engine reshard --shards 8 --dry-run
      what would be done
  coupon-stack engine reshard --shards 8
      while the engine serves; once it was cut short it goes on from there
  coupon-stack engine reshard --shards 8 --keep-way-back
      the old shards stay and follow; end it without the flag, or with --back";

/// What operators do to an engine.
#[derive(Debug, Subcommand)]
pub(super) enum EngineCommand {
    /// Change the number of its shards while it serves.
    #[command(after_help = EXAMPLES)]
    Reshard {
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        change: ReshardArgs,
    },
}

#[derive(Debug, Args)]
pub(super) struct ReshardArgs {
    /// Number of shards that there are to be: 1, 2, 4, 8 or so on
    #[arg(long, value_name = "N", required_unless_present = "back", value_parser = nonzero::<NonZeroU16>)]
    shards: Option<NonZeroU16>,
    /// Say what would be done
    #[arg(long, conflicts_with_all = ["back", "keep_way_back"])]
    dry_run: bool,
    /// Leave the old shards, which follow the new ones, until this is run again without the flag, or with --back
    #[arg(long, conflicts_with = "back")]
    keep_way_back: bool,
    /// Go back to the shards that there were before a change that is not completed
    #[arg(long)]
    back: bool,
}

impl EngineCommand {
    pub(super) fn run(self) -> Result<()> {
        let Self::Reshard { folder: Folder { dir }, change } = self;
        match change.shards {
            Some(shards) if !change.back => {
                let shards = KeyRange::equal(shards)?;
                if change.dry_run {
                    for line in dry_run(&dir, &shards)? {
                        say(line);
                    }
                } else {
                    reshard(&dir, Goal::To { shards, complete: !change.keep_way_back })?;
                }
            }
            _ => reshard(&dir, Goal::Back)?,
        }
        outcome()
    }
}
