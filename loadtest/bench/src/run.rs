//! Runs sections, one after the other, and times them.

use std::collections::HashMap;
use std::time::Instant;

use coupon_cli::terminal;
use coupon_lab::wait_if_interrupted;

use super::context::Context;
use super::model::{Claim, Curve, Findings, Measurement, Row, Text};
use super::section::Section;

/// A section's results.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) section: Section,
    pub(super) seconds: f64,
    pub(super) rows: Vec<Row>,
    pub(super) curves: Vec<Curve>,
    /// The reason why it gave no results, if it failed.
    pub(super) failed: Option<String>,
}

/// Runs the sections. One that fails leaves rows that say so, and the others are run all the same.
pub(super) fn all(sections: &[Section], context: &mut Context) -> Vec<Done> {
    sections.iter().map(|section| one(*section, context)).collect()
}

fn one(section: Section, context: &mut Context) -> Done {
    context.enter(section.name);
    context.progress(section.what);
    let began = Instant::now();
    let found = (section.run)(context);
    let seconds = began.elapsed().as_secs_f64();
    wait_if_interrupted();
    terminal::clear_progress();
    terminal::note(format!("{}: {} in {seconds:.0} s", section.name, section.what));
    let (found, failed) = match found {
        Ok(found) => (found, None),
        Err(error) => (Findings::default(), Some(format!("{error:#}"))),
    };
    let rows = complete(&section, found.measured, failed.as_deref());
    Done { section, seconds, rows, curves: found.curves, failed }
}

/// A row for each claim, by the claim's name. One that was not measured says why.
fn complete(section: &Section, measured: Vec<Measurement>, failed: Option<&str>) -> Vec<Row> {
    let mut measured: HashMap<Text, Measurement> =
        measured.into_iter().map(|measured| (measured.id.clone(), measured)).collect();
    let why = failed.unwrap_or("the section gave no such row");
    let row = |claim: Claim| {
        let measured = measured.remove(&claim.id);
        let measured = measured.unwrap_or_else(|| Measurement::failed(claim.id.clone(), why));
        Row::new(claim, measured)
    };
    let rows = (section.claims)().into_iter().map(row).collect();
    debug_assert!(measured.is_empty(), "no claim of {} has these names: {:?}", section.name, measured.keys());
    rows
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::super::model::{Bound, Standing};
    use super::*;

    fn claims() -> Vec<Claim> {
        ["one", "two"].map(|id| Claim::new(id, id, Bound::AtMost(1.0), "s")).into()
    }

    fn ran(run: fn(&mut Context) -> anyhow::Result<Findings>) -> Done {
        let section = Section { name: "s", family: "s", what: "a section", servers: false, claims, run };
        let mut done = all(&[section], &mut Context::new(true, 1, None));
        done.pop().unwrap()
    }

    #[test]
    fn a_section_that_fails_leaves_rows_that_say_why() {
        let done = ran(|_| bail!("no disk"));
        assert_eq!(done.failed.as_deref(), Some("no disk"));
        assert_eq!(done.rows.len(), 2);
        assert!(
            done.rows.iter().all(|row| row.standing == Standing::NotValid && row.problems == ["no disk"])
        );
    }

    #[test]
    fn rows_come_in_the_order_of_claims_and_none_is_missing() {
        let done = ran(|_| Ok(vec![Measurement::new("two", vec![0.5])].into()));
        let standings: Vec<_> = done.rows.iter().map(|row| (&*row.claim.id, row.standing.clone())).collect();
        assert_eq!(standings, [("one", Standing::NotValid), ("two", Standing::Reached)]);
    }
}
