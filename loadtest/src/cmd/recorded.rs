//! Flags of the subcommands that take a recorded trace.

use std::num::{NonZeroU16, NonZeroU64};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use coupon_cli::numbers;
use coupon_cli::output::{self, Output};
use coupon_lab::all_different;
use coupon_loadgen::load::{Arrivals, LoadSpec};
use coupon_loadgen::workload::{CatalogueSpec, Requests, Trace, Workload};
use coupon_measure::format::count;
use coupon_seeding::SeedOptions;
use coupon_strategies::{Fit, RoomRanges, Spec};

use super::arguments;
use super::servers::BackendArgs;
use crate::compare::CompareOptions;
use crate::replay::{QueryMix, Recording, write_rooms};

/// The name of the built-in workload in `--mix`.
pub(super) const BUILT_IN: &str = "flash-sale";
/// The name there for no queries at all.
pub(super) const NONE: &str = "grabs";
/// The width of ranges of rooms where no other is given.
pub(super) const ROOM_WIDTH: NonZeroU64 = NonZeroU64::new(25).unwrap();

/// The way a trace is sent, and its targets.
#[derive(Debug, clap::Args)]
pub(super) struct SendArgs {
    /// So many recorded seconds pass in one; 1 is real time
    #[arg(long, value_name = "TIMES", conflicts_with = "seconds", allow_negative_numbers = true)]
    speed: Option<f64>,
    /// Length of the whole replay, in seconds [default: 60]
    #[arg(long, allow_negative_numbers = true)]
    seconds: Option<f64>,
    /// Consecutive parts, after each of which the others have their turn; five are the least that allow verdicts
    #[arg(long, default_value_t = 5, value_parser = |text: &str| numbers::within::<u32>(text, &(1..=1_000)))]
    rounds: u32,
    /// Stock of each coupon; enough for every grab without it
    #[arg(long, value_name = "N", value_parser = numbers::some::<u32>)]
    stock: Option<u32>,
    /// The most connections open at a time
    #[arg(long, default_value_t = LoadSpec::CONNECTIONS, value_parser = numbers::count::<usize>)]
    connections: usize,
    /// The folder for report.json and report.html
    #[arg(long, value_name = "DIR", default_value = "reports/latest")]
    out: PathBuf,
    #[command(flatten)]
    backend: BackendArgs,
}

impl SendArgs {
    /// Writes the ids that rooms have for the services, beside the report.
    pub(super) fn write_rooms(&self, recording: &Recording) -> Result<PathBuf> {
        let path = self.out.join("rooms.csv");
        let file = Output::create("--out", &path)?;
        file.write(|file| write_rooms(recording, file))?;
        Ok(path)
    }

    /// Refuses what cannot be, before anything long is done; until what it returns is dropped, the folder is this
    /// run's alone.
    pub(super) fn check(&self) -> Result<output::LockedFolder> {
        for (flag, given) in [("--speed", self.speed), ("--seconds", self.seconds)] {
            let fine = given.is_none_or(|given| given.is_finite() && given > 0.0);
            ensure!(fine, "{flag} must be above 0, not {}", given.unwrap_or_default());
        }
        arguments::connections("--connections", self.connections)?;
        self.backend.wanted(false)?;
        output::folder("--out", &self.out)
    }

    /// Recorded seconds that pass in a second, and how long that takes: no time at all, at any speed, where all grabs
    /// are of one moment.
    pub(super) fn pace(&self, recording: &Recording) -> Result<(f64, Duration)> {
        if recording.moment().is_some() {
            return Ok((1.0, Duration::from_millis(1)));
        }
        let window = recording.window();
        let recorded = (window.end.millis() - window.start.millis()) as f64 / 1e3;
        let speed = self.speed.unwrap_or_else(|| recorded / self.seconds.unwrap_or(60.0));
        let seconds = recorded / speed;
        let flag = if self.speed.is_some() { "--speed" } else { "--seconds" };
        ensure!(
            seconds <= LoadSpec::LONGEST.as_secs_f64(),
            "{flag}: {recorded:.0} recorded seconds at {speed} times their speed take {seconds:.0} s, and a week is the most"
        );
        Ok((speed, Duration::from_secs_f64(seconds)))
    }

    /// Everything that a comparison wants.
    pub(super) fn options(
        &self,
        recording: &Recording,
        mix: &QueryMix,
        contestants: Vec<Spec>,
        seed: u64,
    ) -> Result<CompareOptions> {
        all_different(contestants.iter().map(|spec| spec.name.as_str()))?;
        let (speed, length) = self.pace(recording)?;
        let trace = mix.trace(recording, speed, seed);
        // Every round needs a grab.
        let grabs = u32::try_from(recording.rows().len()).unwrap_or(u32::MAX);
        let rounds = self.rounds.min(grabs);
        let options = SeedOptions { terms: mix.terms(), ..recording.catalogue(self.stock, seed) };
        options.check()?;
        let load = self.load(trace, &options, length, seed);
        Ok(CompareOptions {
            contestants,
            targets: Vec::new(),
            setup: self.backend.setup(options),
            servers: self.backend.wanted(false)?,
            shard_cpu: self.backend.shard_cpu,
            rounds,
            workload: recording.file.clone(),
            load: LoadSpec { duration: (length / rounds).max(Duration::from_millis(1)), ..load },
            notes: notes(recording, &paced(recording, speed, length), rounds),
            growth: None,
            limits: Vec::new(),
            out: self.out.clone(),
        })
    }
}

impl SendArgs {
    /// All of a trace, in that time.
    fn load(&self, trace: Trace, options: &SeedOptions, length: Duration, seed: u64) -> LoadSpec {
        let mean = trace.len() as f64 / length.as_secs_f64().max(1e-3);
        let rate = mean.clamp(*LoadSpec::RATES.start(), *LoadSpec::RATES.end());
        // What a trace asks about it brings along; nothing is drawn from this catalogue.
        let catalogue =
            CatalogueSpec { users: options.users, rooms: options.rooms, hot_rooms: 0, coupons_per_room: 1 };
        LoadSpec {
            workload: Workload::of(trace.file.clone(), catalogue, Requests::Trace(trace)),
            connections: self.connections,
            duration: length,
            seed,
            ..LoadSpec::new(Arrivals::Open { rate })
        }
    }
}

/// The pace of a trace, in words.
pub(super) fn paced(recording: &Recording, speed: f64, length: Duration) -> String {
    if recording.moment().is_some() {
        return "sent at once, part by part: all grabs are of one moment, which no --speed or --seconds stretches".to_owned();
    }
    // As a fraction where it is slowed down a lot.
    let speed = if speed < 0.1 {
        format!("1/{}", count((1.0 / speed).round() as u64))
    } else {
        format!("{speed:.1}")
    };
    format!("sent at {speed} times its speed, in {:.1} s", length.as_secs_f64())
}

/// Notes that a reader of the report needs, with nothing that the command line does not say.
fn notes(recording: &Recording, paced: &str, rounds: u32) -> Vec<String> {
    let mut notes = vec![format!(
        "Grabs are stamped by the services' own clocks, so all of this trace falls on the day of the replay: a strategy by \
         time keeps it in that day's table. What it does with the recorded days, loadtest advise says. The trace was \
         {paced}."
    )];
    if rounds > 1 {
        notes.push(format!(
            "The {rounds} rounds are consecutive parts of the trace, not repetitions: they differ as the trace does."
        ));
    }
    notes.extend(recording.described().into_iter().skip(1).map(|line| format!("Of the trace: {line}.")));
    notes
}

/// The queries that come with grabs: those of a workload file, of the built-in workload, or none.
pub(super) fn mix(name: &str) -> Result<QueryMix> {
    if name == NONE {
        return Ok(QueryMix::none());
    }
    let workload = if name == BUILT_IN {
        Workload::default()
    } else {
        Workload::load(Path::new(name)).context("--mix")?
    };
    if workload.trace().is_some() {
        bail!("--mix: {name} is a trace itself; give a workload of scenarios, or {BUILT_IN}");
    }
    QueryMix::of(&workload).context("--mix")
}

/// A contestant, with tables made ahead for the rooms of the recording.
pub(super) fn spec(
    name: &str,
    shards: NonZeroU16,
    recording: &Recording,
    split: &RoomRanges,
) -> Result<Spec> {
    let rooms = recording.rooms_ahead(ROOM_WIDTH.get());
    let fit = Fit { shards, spread: shards, split: split.clone(), rooms: Some(rooms) };
    Spec::fitted(name, &fit).context("--contestants")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::replay::{ReadOptions, read};

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        send: SendArgs,
    }

    fn pace_of(times: &[u64], flags: &[&str]) -> (String, Duration) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines: String = times.iter().map(|time| format!("{time},1,1,{time}\n")).collect();
        std::fs::write(file.path(), format!("user_id,room_id,coupon_id,grab_time\n{lines}")).unwrap();
        let recording = read(file.path(), &ReadOptions::default()).unwrap();
        let line = Line::try_parse_from(["x"].iter().chain(flags)).unwrap();
        let (speed, length) = line.send.pace(&recording).unwrap();
        (paced(&recording, speed, length), length)
    }

    #[test]
    fn a_trace_of_one_moment_is_sent_at_once_at_any_pace() {
        for flags in [&[][..], &["--seconds", "600"], &["--speed", "0.000001"]] {
            let (told, length) = pace_of(&[1_456_665_255, 1_456_665_255], flags);
            assert!(told.contains("at once") && !told.contains("times its speed"), "{told}");
            assert!(length < Duration::from_secs(1), "{length:?}");
        }
    }

    #[test]
    fn a_pace_is_told_as_times_or_as_a_part_of_the_recorded_one() {
        let pace = |flags: &[&str]| pace_of(&[1_456_665_255, 1_456_665_375], flags).0;
        assert_eq!(pace(&[]), "sent at 2.0 times its speed, in 60.0 s");
        assert_eq!(pace(&["--speed", "0.01"]), "sent at 1/100 times its speed, in 12000.1 s");
    }
}
