//! The command that retires old results.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use coupon_core::Day;
use coupon_core::catalogue_change::Operator;
use coupon_loadgen::http::{Target, get_json, post_json};
use coupon_seeding::{ArchiveReport, archive, archive_servers, now, on_stderr};
use coupon_service::api::{ArchiveRequest, ArchiveView, LastArchive};
use coupon_store::Retired;
use coupon_store::clock::Clock;
use coupon_store::settings::BackendKind;

use crate::layout::{At, OfLayout, operator, unlocked};
use crate::say;

/// The interval between two questions to a service for how far it is.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct Retirement {
    /// The first day (UTC) to keep.
    #[arg(long, value_name = "DAY", value_parser = day)]
    before: Day,
    /// The name that it is recorded by [default: operator]
    #[arg(long, value_name = "NAME", value_parser = operator)]
    operator: Option<Operator>,
    #[command(flatten)]
    at: At,
}

impl Retirement {
    /// `of_layout` makes the strategy of a folder's layout line; `strategy` is the one whose databases are meant, if it is known.
    pub(super) fn run(&self, of_layout: &OfLayout<'_>, strategy: Option<&str>) -> Result<()> {
        if let Some(target) = self.at.service(self.operator.as_ref())? {
            return say(&at_service(&target, self.before)?);
        }
        self.at.storage.refuse_strategy("the data set says how it is laid out")?;
        let (settings, _) = self.at.storage.read()?;
        let (before, progress) = (self.before, &mut *on_stderr());
        let operator = self.operator.clone().map_or_else(|| Operator::new("operator"), Ok)?;
        say(&match settings.backend {
            BackendKind::Embedded => {
                let dir = &settings.embedded.data;
                ensure!(
                    !dir.as_os_str().is_empty(),
                    "--data is missing: give the folder, whatever its strategy, or name the service that has it with --target"
                );
                unlocked(archive(dir, of_layout, before, operator, &Clock::system(), progress))?
            }
            BackendKind::Servers => {
                archive_servers(&settings.servers, strategy, before, &operator, now(), progress)?
            }
        })
    }
}

/// Has a service archive what it has, and waits for the end; it goes on when this command is ended.
fn at_service(target: &Target, before: Day) -> Result<ArchiveReport> {
    let progress = &mut *on_stderr();
    let asked = ArchiveRequest { before: before.to_string() };
    let mut archive: ArchiveView = post_json(target, "/admin/archive", &asked)?;
    progress.stage("retired", archive.rows);
    while archive.runs {
        sleep(LOOK);
        let last: LastArchive = get_json(target, "/admin/archive")?;
        archive = last
            .archive
            .context("the service knows of no archive: it was started anew meanwhile; archive again")?;
        progress.reached(archive.rows_dropped + archive.rows_deleted);
    }
    progress.done();
    match archive.trouble {
        Some(why) => bail!("results are not archived any more: {why}"),
        None => Ok(report(&archive)),
    }
}

fn report(archive: &ArchiveView) -> ArchiveReport {
    ArchiveReport(Retired {
        tables_dropped: archive.tables_dropped,
        rows_dropped: archive.rows_dropped,
        drop_took: Duration::from_millis(archive.drop_ms),
        rows_deleted: archive.rows_deleted,
        delete_took: Duration::from_millis(archive.delete_ms),
        count_took: Duration::from_millis(archive.count_ms),
        coupons: archive.coupons,
        held: archive.held,
    })
}

fn day(text: &str) -> Result<Day, String> {
    text.parse().map_err(|_| "give a day, for example 2026-11-22".to_owned())
}
