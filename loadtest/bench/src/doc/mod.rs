//! `docs/BENCHMARKS.md`: the figures of `bench.json`, a table a family, with links to the notes on them.

mod curves;
mod figures;
mod notes;
mod rows;

use std::fmt::{self, Write};

use coupon_measure::Table;
use coupon_report::model::Reading;

use super::model::{Bound, RoundSpread, Standing};
use super::record::{Bench, SectionRecord};
pub use notes::Notes;

const HEAD: &str = "\
# Benchmarks

Written by `make bench` from `bench.json`: do not edit. [benchmarks/README.md](benchmarks/README.md) says how it is made.
[benchmarks/NOTES.md](benchmarks/NOTES.md) names causes; `loadtest bench --from bench.json` takes them in without measuring.

- Absolute rates say more about the machine than about the code. So nearly every figure is a ratio to a ceiling that was
  measured in the same run: the two take turns, in an order drawn anew for each round, and the ratio is of rounds. A figure is
  the median over the rounds, with the lowest and the highest in brackets and the number of rounds. Generator, services and
  servers share the machine.
- **reached** and **missed** compare the median with the target, and lead to the cause where one is known. **no target**: a
  price, for its reader to weigh. **not valid**: something else was measured than should have been. Only grabs with
  `grab_status` 1 count, and after its rounds every service is drained and audited against what it had answered.
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
    for (name, parts) in families(bench) {
        writeln!(text, "\n## {name}\n")?;
        let rows: Vec<_> = parts.iter().flat_map(|part| &part.rows).collect();
        let against = rows::against(&rows).filter(|against| !against.is_empty());
        let held = against.map(|against| format!("Held against: {against}."));
        writeln!(text, "{}", subjects(&parts).chain(held).collect::<Vec<_>>().join(" "))?;
        rows::write(text, &rows, notes)?;
        for curve in parts.iter().flat_map(|part| &part.curves) {
            curves::write(text, curve, notes)?;
        }
    }
    Ok(())
}

/// Sections by family, each family where its first section ran. A section that there is no more is a family of its own.
fn families(bench: &Bench) -> Vec<(&str, Vec<&SectionRecord>)> {
    let sections = crate::sections();
    let mut families: Vec<(&str, Vec<&SectionRecord>)> = Vec::new();
    for part in &bench.sections {
        let section = sections.iter().find(|section| section.name == part.name);
        let family = section.map_or(&*part.name, |section| section.family);
        match families.iter_mut().find(|(name, _)| *name == family) {
            Some((_, parts)) => parts.push(part),
            None => families.push((family, vec![part])),
        }
    }
    families
}

fn write_run(text: &mut String, bench: &Bench) -> fmt::Result {
    let Bench { date, command, machine, versions, quick, seed, sections, .. } = bench;
    let cores = machine.cores.show(ToString::to_string);
    let (cpu, kernel) = (machine.cpu.show(Clone::clone), machine.kernel.show(Clone::clone));
    let versions: Vec<String> = versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let seconds: f64 = sections.iter().map(|part| part.seconds).sum();
    let mut table = Table::new(["this run", ""]);
    table.row(["when", date]);
    table.row(["command", &format!("`{command}` (seed {seed}), {seconds:.0} s")]);
    table.row(["machine", &format!("{cores} cores, {cpu}, {kernel}")]);
    table.row(["versions", &versions.join(", ")]);
    if *quick {
        table.row(["rounds", "**quick**: fewer and shorter ones than `make bench` has"]);
    }
    let of = |standing: fn(&Standing) -> bool| bench.rows().filter(|row| standing(&row.standing)).count();
    let reached = of(|standing| *standing == Standing::Reached);
    let missed = of(|standing| *standing == Standing::Missed);
    let all = bench.rows().filter(|row| row.claim.target != Bound::Free).count();
    let none = all - reached - missed;
    table.row(["targets", &format!("{reached} of {all} reached, {missed} missed, {none} without a figure")]);
    write!(text, "\n{}", table.markdown())
}

/// The measured subjects of a family, and the time that each took.
fn subjects(parts: &[&SectionRecord]) -> impl Iterator<Item = String> {
    parts.iter().map(|part| {
        let failed =
            part.failed.as_ref().map_or(String::new(), |why| format!(", **failed**: {}", one_line(why)));
        format!("`{}`: {} ({:.0} s){failed}.", part.name, part.what, part.seconds)
    })
}

/// Text that a line of prose can hold.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A figure with its spread, or the reason for none.
fn figure(spread: &Reading<RoundSpread>, unit: &str) -> String {
    match spread {
        Reading::Known(spread) => super::text::spread(spread, unit),
        Reading::Unknown(why) => format!("n/a: {why}"),
    }
}

/// The note on a row or curve, as a link with this text; the text alone without one.
fn link(notes: &Notes, id: &str, text: &str) -> String {
    notes.anchor(id).map_or(text.to_owned(), |anchor| format!("[{text}](benchmarks/NOTES.md#{anchor})"))
}

#[cfg(test)]
mod tests;
