//! The cost of `loadtest advise` for large sources: the time, and the most memory at any moment.

use std::io::{self, Write};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use coupon_lab::program;
use coupon_measure::format::count;

use super::child::{self, Ended};
use super::sources;
use super::table::Orders;
use crate::context::Context;
use crate::disk;
use crate::model::{Bound, Claim, Findings, Measurement, NamedFigure};
use crate::section::Section;

pub(super) const SECTION: Section = Section {
    name: "advise",
    family: "instrument",
    what: "advice on a table and a trace of 10 M rows (not in a quick run), and on a log of 1 M statements",
    servers: true,
    claims,
    run,
};

const ROWS: u64 = 10_000_000;
const STATEMENTS: u64 = 1_000_000;
/// The bytes that a row takes in the table, and in the temporary one from which it is copied.
const BYTES_A_ROW: u64 = 120;
const SECONDS: Bound = Bound::AtMost(120.0);
const MEGABYTES: Bound = Bound::AtMost(300.0);

/// A source that is advised on.
struct Source {
    name: &'static str,
    what: &'static str,
}

const TABLE: Source = Source { name: "table", what: "a sample of a table of 10,000,000 rows, by four keys" };
const TRACE: Source =
    Source { name: "trace", what: "a trace of 10,000,000 rows from a pipe, by two keys and every strategy" };
const LOG: Source = Source { name: "log", what: "a general log of 1,000,000 statements, by three keys" };

impl Source {
    fn ids(&self) -> [String; 2] {
        ["seconds", "memory"].map(|figure| format!("advise-{}-{figure}", self.name))
    }

    fn claims(&self) -> [Claim; 2] {
        let [seconds, memory] = self.ids();
        let what = self.what;
        [
            Claim::new(seconds, format!("`loadtest advise` on {what}: time"), SECONDS, "s"),
            Claim::new(memory, format!("… on {what}: the most memory at any moment"), MEGABYTES, "MB"),
        ]
    }

    /// Both figures of a run, which is to have said this.
    fn found(&self, ended: Result<Ended>, said: &str) -> Vec<Measurement> {
        let [seconds, memory] = self.ids();
        let ended = ended.and_then(Ended::successful).and_then(|ended| {
            ensure!(ended.stdout.contains(said), "it did not say {said:?}");
            Ok(ended)
        });
        match ended {
            Ok(ended) => {
                let peak = ended.peak_bytes.map(|bytes| bytes as f64 / 1e6);
                let lines = NamedFigure::of("lines of advice", "", &[ended.stdout.lines().count() as f64]);
                vec![
                    Measurement::new(seconds, vec![ended.seconds]).figures(vec![lines]),
                    Measurement::new(memory, peak.into_iter().collect()),
                ]
            }
            Err(error) => [seconds, memory].map(|id| Measurement::failed(id, format!("{error:#}"))).into(),
        }
    }

    fn not_run(&self, why: &str) -> Vec<Measurement> {
        self.ids().map(|id| Measurement::not_run(id, why)).into()
    }
}

fn claims() -> Vec<Claim> {
    [TABLE, TRACE, LOG].iter().flat_map(Source::claims).collect()
}

fn run(context: &mut Context) -> Result<Findings> {
    let context = &*context;
    let mut found = of_log(context)?;
    if context.quick {
        let why = "so many rows take minutes: not in a quick run";
        found.extend([TABLE, TRACE].iter().flat_map(|source| source.not_run(why)));
    } else {
        found.extend(of_trace(context)?);
        found.extend(of_table(context)?);
    }
    Ok(found.into())
}

/// `loadtest advise`, for these keys.
fn advise(arguments: &[&str], keys: &[&str]) -> Result<Command> {
    let mut command = Command::new(program("loadtest")?);
    command.arg("advise").args(arguments).args(keys.iter().flat_map(|key| ["--key", key]));
    Ok(command)
}

fn of_log(context: &Context) -> Result<Vec<Measurement>> {
    context.progress(format!("a log of {} statements", count(STATEMENTS)));
    let mut advise = advise(&["--queries", "-"], &["user_id", "room_id", "room_id,user_id"])?;
    let input = |out: &mut dyn Write| sources::general_log(out, STATEMENTS, context.seed);
    Ok(LOG.found(child::run(&mut advise, input), "a general log, "))
}

fn of_trace(context: &Context) -> Result<Vec<Measurement>> {
    context.progress(format!("a trace of {} rows", count(ROWS)));
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut advise = advise(&["-", "--no-proof"], &["user", "room,user"])?;
    let input = |out: &mut dyn Write| sources::trace(out, ROWS, context.seed);
    Ok(TRACE.found(child::run(advise.current_dir(&folder), input), "Best: "))
}

fn of_table(context: &Context) -> Result<Vec<Measurement>> {
    if let Err(why) = disk::room_for(ROWS * BYTES_A_ROW)? {
        return Ok(TABLE.not_run(&why));
    }
    let progress = |rows| context.progress(format!("a table: {} of {} rows", count(rows), count(ROWS)));
    let site = context.site()?;
    let orders = Orders::fill(&site, ROWS, progress)?;
    context.progress(format!("a table of {} rows", count(ROWS)));
    let found = advise(
        &["--from", &orders.address, "--time-column", "created_at", "--yes"],
        &["user_id", "shop_id", "shop_id,user_id", "name"],
    )
    .and_then(|mut advise| child::run(advise.env("MYSQL_PWD", &orders.password), |_| io::Result::Ok(())));
    orders.drop_all()?;
    Ok(TABLE.found(found, "shop_id: 7 has "))
}
