//! `docs/BENCHMARKS.md`: what `bench.json` says, with what people wrote about it.

mod curves;
mod notes;
mod rows;

use std::fmt::{self, Write};

use super::record::Bench;
use crate::report::model::Reading;
pub use notes::Notes;

const HEAD: &str = "\
# Benchmarks

Written by `make bench` from `bench.json`: do not edit. What is said about a row or a curve is in
`docs/benchmarks/<id>.md`; `loadtest bench --from bench.json` takes it in again without measuring.

How to read it:

- Absolute rates say more about the machine than about the code. So nearly every figure is a ratio to a ceiling that was
  measured in the same run: the two take turns, in an order drawn anew for each round, and the ratio is of rounds.
- A figure is the median over the rounds, with the lowest and the highest in brackets and the number of rounds.
- **reached** and **missed** compare the median with the target. **not valid**: something else was measured than should
  have been (coupons sold out, requests failed, the audit found a violation). **not run** says why.
- Only grabs with `grab_status` 1 count, and after its rounds every service is drained and audited against what it had
  answered. Generator, services and servers share the machine.
";

/// The whole text.
#[must_use]
pub fn text(bench: &Bench, notes: &Notes) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_all(&mut text, bench, notes);
    text
}

fn write_all(text: &mut String, bench: &Bench, notes: &Notes) -> fmt::Result {
    text.push_str(HEAD);
    write_run(text, bench)?;
    rows::write_table(text, bench)?;
    rows::write_details(text, bench, notes)?;
    curves::write(text, bench, notes)?;
    write_sections(text, bench)
}

fn write_run(text: &mut String, bench: &Bench) -> fmt::Result {
    let Bench { date, command, machine, versions, quick, seed, .. } = bench;
    let cores = machine.cores.show(ToString::to_string);
    let (cpu, kernel) = (machine.cpu.show(Clone::clone), machine.kernel.show(Clone::clone));
    let versions: Vec<String> = versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    writeln!(text, "\n## This run\n\n| | |\n|---|---|")?;
    writeln!(text, "| when | {date} |\n| command | `{command}` (seed {seed}) |")?;
    writeln!(text, "| machine | {cores} cores, {cpu}, {kernel} |\n| versions | {} |", versions.join(", "))?;
    if *quick {
        writeln!(text, "| rounds | **quick**: fewer and shorter ones than `make bench` has |")?;
    }
    Ok(())
}

fn write_sections(text: &mut String, bench: &Bench) -> fmt::Result {
    writeln!(text, "\n## What took how long\n\n| section | | seconds |\n|---|---|---|")?;
    for part in &bench.sections {
        let failed =
            part.failed.as_ref().map_or(String::new(), |why| format!(" — **failed**: {}", cell(why)));
        writeln!(text, "| `{}` | {}{failed} | {:.0} |", part.name, part.what, part.seconds)?;
    }
    let all: f64 = bench.sections.iter().map(|part| part.seconds).sum();
    writeln!(text, "| | all | {all:.0} |")
}

/// Text that a cell of a table can hold.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// A figure with its spread, or why there is none.
fn figure(spread: &Reading<super::model::Spread>, unit: &str) -> String {
    match spread {
        Reading::Known(spread) => super::shown::spread(spread, unit),
        Reading::Unknown(why) => format!("n/a: {}", cell(why)),
    }
}

#[cfg(test)]
mod tests;
