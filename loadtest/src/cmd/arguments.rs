//! Checks that several subcommands make of their arguments. Each error names the flag.

use std::fs::{File, TryLockError};
use std::io::{BufWriter, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use coupon_cli::files;
use coupon_loadgen::http::Target;
use coupon_loadgen::load::{Arrivals, LoadSpec};
use coupon_loadgen::workload::{Shape, Workload};
use coupon_report::require::{Limit, Scope};
use serde::Serialize;

/// What a run exits with whose figures are not what was required of them, or worse than they were.
pub(super) const BEYOND_LIMIT: u8 = 3;

/// What figures are required to be, by `--require`.
pub(super) fn limits(require: &[String], scope: &Scope<'_>) -> Result<Vec<Limit>> {
    require.iter().map(|text| Limit::parse(text, scope).context("--require")).collect()
}

/// Where contestants store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Backend {
    /// In files of their own.
    Embedded,
    /// On MySQL, Redis and RabbitMQ.
    Servers,
}

/// Open arrivals at that rate.
pub(super) fn rate(rate: f64) -> Result<Arrivals> {
    ensure!(
        LoadSpec::RATES.contains(&rate),
        "--rate must be {} to {} requests a second, not {rate}",
        LoadSpec::RATES.start(),
        LoadSpec::RATES.end()
    );
    Ok(Arrivals::Open { rate })
}

/// How many requests arrive for how long: by `--rate` and `given`, or by the workload's own shape.
pub(super) fn open_load(
    workload: &Workload,
    given_rate: Option<f64>,
    given: Option<Duration>,
    otherwise: Duration,
) -> Result<(Arrivals, Duration)> {
    let shape = workload.arrivals.as_ref();
    ensure!(
        shape.is_none() || given_rate.is_none(),
        "--rate: the workload's [arrivals] say how many requests arrive; leave out one of the two"
    );
    let duration = given.or(shape.and_then(Shape::length)).unwrap_or(otherwise);
    let arrivals = match workload.mean_rate(duration.max(Duration::from_millis(1))) {
        // Reports read it; when requests are due is the shape's to say.
        Some(mean) => Arrivals::Open { rate: mean.clamp(*LoadSpec::RATES.start(), *LoadSpec::RATES.end()) },
        None => rate(given_rate.unwrap_or(1_000.0))?,
    };
    Ok((arrivals, duration))
}

/// A number of connections that one address can have.
pub(super) fn connections(flag: &str, number: usize) -> Result<usize> {
    let most = LoadSpec::MOST_CONNECTIONS;
    ensure!((1..=most).contains(&number), "{flag} must be 1 to {most}, not {number}");
    Ok(number)
}

/// How long something takes, from `--seconds`.
pub(super) fn seconds(seconds: f64, allowed: &RangeInclusive<f64>) -> Result<Duration> {
    ensure!(
        allowed.contains(&seconds),
        "--seconds must be {} to {}, not {seconds}",
        allowed.start(),
        allowed.end()
    );
    Ok(Duration::from_secs_f64(seconds))
}

/// The service at `--target`.
pub(super) fn target(url: &str) -> Result<Target> {
    Target::from_url("--target", url).context("--target")
}

/// The workload of `--workload`; the built-in one without.
pub(super) fn workload(file: Option<&Path>) -> Result<Workload> {
    file.map_or_else(|| Ok(Workload::default()), |file| Workload::load(file).context("--workload"))
}

/// A file to be written, opened before the measurement: that its figures cannot be kept is nothing to learn afterwards.
#[derive(Debug)]
pub(super) struct Output {
    refusal: String,
    file: BufWriter<File>,
}

impl Output {
    pub(super) fn create(flag: &str, path: &Path) -> Result<Self> {
        let refusal = format!("{flag}: cannot write {}", path.display());
        let file = files::private(path).with_context(|| refusal.clone())?;
        Ok(Self { refusal, file: BufWriter::new(file) })
    }

    /// Writes everything, to the last byte; where that fails, to a temporary file, which the error names: what was measured
    /// is not to be had again.
    pub(super) fn write(self, write: impl Fn(&mut BufWriter<File>) -> std::io::Result<()>) -> Result<()> {
        let Self { refusal, mut file } = self;
        let Err(error) = write(&mut file).and_then(|()| file.flush()) else { return Ok(()) };
        Err(error).context(match temporary(write) {
            Ok(copy) => format!("{refusal} (a copy is in {})", copy.display()),
            Err(_) => refusal,
        })
    }

    /// Writes something as JSON that people can read as well.
    pub(super) fn write_json(self, value: &impl Serialize) -> Result<()> {
        self.write(|file| {
            serde_json::to_writer_pretty(&mut *file, value)?;
            writeln!(file)
        })
    }
}

fn temporary(write: impl Fn(&mut BufWriter<File>) -> std::io::Result<()>) -> Result<PathBuf> {
    let (file, path) = tempfile::Builder::new().prefix("loadtest-").tempfile()?.keep()?;
    let mut file = BufWriter::new(file);
    write(&mut file).and_then(|()| file.flush())?;
    Ok(path)
}

/// A folder that no other run writes to until this is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    _locked: File,
}

/// What a report may need. A full disk takes an empty file all the same.
const REPORT_BYTES: usize = 1 << 20;

/// Makes a folder and sees that a report can be written there, before the measurement as well.
pub(super) fn folder(flag: &str, path: &Path) -> Result<Folder> {
    let open = || {
        std::fs::create_dir_all(path)?;
        tempfile::tempfile_in(path)?.write_all(&vec![0; REPORT_BYTES])?;
        File::open(path)
    };
    let folder = open().with_context(|| format!("{flag}: cannot write to the folder {}", path.display()))?;
    // Where there are no locks, there is nothing to say against it.
    if let Err(TryLockError::WouldBlock) = folder.try_lock() {
        bail!(
            "{flag}: another run is about to write to {}: give this one a folder of its own",
            path.display()
        );
    }
    Ok(Folder { _locked: folder })
}
