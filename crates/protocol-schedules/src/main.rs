//! `protocol-schedules`: plays seeds, and shows the history of one that breaks a promise.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use coupon_core::GateCount;
use protocol_schedules::{SearchedSeeds, SeededSchedule, play, search, shrink};

/// Plays schedules of the services' own code over servers in memory, each drawn from a seed.
///
/// Exits with 0 when every promise held, and with 1 when one is broken; with --without the other way round.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The number of seeds
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// The number of gates among which coupons are divided
    #[arg(long, default_value = "1", value_parser = gates)]
    gates: GateCount,
    /// Plays this seed alone, and prints its history
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
    /// Leaves the history of a seed as long as it is
    #[arg(long)]
    whole: bool,
    /// Leaves a mechanism out, and shows a short history that breaks a promise then; `all` does so for each in turn
    #[cfg(feature = "failpoints")]
    #[arg(long, value_name = "MECHANISM")]
    without: Option<String>,
}

fn gates(text: &str) -> anyhow::Result<GateCount> {
    Ok(GateCount::new(text.parse()?)?)
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let mut out = io::stdout().lock();
    #[cfg(feature = "failpoints")]
    if let Some(without) = &args.without {
        return mutants::search_without(without, &args, &mut out);
    }
    if let Some(seed) = args.seed {
        return Ok(exit(!show(&mut out, args.gates, seed, !args.whole)?));
    }
    let searched = search(args.gates, args.first, args.seeds, 10, || {});
    figures(&mut out, &searched)?;
    for found in &searched.found {
        writeln!(out, "seed {}: {}", found.seed, found.broken.join("; "))?;
    }
    if let Some(found) = searched.found.first() {
        show(&mut out, args.gates, found.seed, !args.whole)?;
    }
    Ok(exit(searched.found.is_empty()))
}

fn exit(fine: bool) -> ExitCode {
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn figures(out: &mut impl Write, searched: &SearchedSeeds) -> io::Result<()> {
    let SearchedSeeds { seeds, events, answered, found, took } = searched;
    let seconds = took.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
    let a_minute = *seeds as f64 / seconds * 60.0;
    writeln!(
        out,
        "{seeds} seeds in {seconds:.1} s ({a_minute:.0} a minute): {events} events, {answered} clear answers, {} that break a promise",
        found.len()
    )
}

/// Prints a seed's history, made as short as it goes. Says whether it breaks a promise.
fn show(out: &mut impl Write, gates: GateCount, seed: u64, short: bool) -> io::Result<bool> {
    let plan = SeededSchedule::with_gates(seed, gates);
    let broken = !play(&plan, false).broken.is_empty();
    let plan = if broken && short { shrink(&plan) } else { plan };
    writeln!(out, "\nseed {seed}, {} wishes and {} faults:", plan.wishes.len(), plan.faults.len())?;
    for fault in &plan.faults {
        writeln!(out, "  {fault}")?;
    }
    let outcome = play(&plan, true);
    for line in &outcome.history {
        writeln!(out, "{line}")?;
    }
    for promise in &outcome.broken {
        writeln!(out, "BROKEN: {promise}")?;
    }
    writeln!(out, "digest {:016x}", outcome.digest)?;
    Ok(broken)
}

#[cfg(feature = "failpoints")]
mod mutants {
    use std::io::Write;
    use std::process::ExitCode;

    use anyhow::Context as _;
    use coupon_store::failpoints::{Mechanism, leave_out};
    use protocol_schedules::search;

    use super::{Args, exit, figures, show};

    /// Searches without a mechanism, or without each in turn, until a promise is broken.
    pub(super) fn search_without(
        without: &str,
        args: &Args,
        out: &mut impl Write,
    ) -> anyhow::Result<ExitCode> {
        let all: Vec<Mechanism> = if without == "all" {
            protocol_schedules::FOUND.to_vec()
        } else {
            let known = protocol_schedules::FOUND.iter().find(|mechanism| mechanism.name() == without);
            vec![*known.with_context(|| format!("{without:?} is no mechanism that schedules find"))?]
        };
        let mut every = true;
        for mechanism in all {
            writeln!(out, "\nwithout {}", mechanism.name())?;
            let searched = search(args.gates, args.first, args.seeds, 1, || leave_out(Some(mechanism)));
            figures(out, &searched)?;
            let Some(found) = searched.found.first() else {
                every = false;
                continue;
            };
            writeln!(out, "seed {}: {}", found.seed, found.broken.join("; "))?;
            if without != "all" {
                leave_out(Some(mechanism));
                show(out, args.gates, found.seed, !args.whole)?;
            }
        }
        Ok(exit(every))
    }
}
