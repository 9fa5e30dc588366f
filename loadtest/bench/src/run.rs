//! Runs sections, one after the other, and times them.

use std::time::Instant;

use coupon_cli::terminal;
use coupon_lab::wait_if_interrupted;

use super::context::Context;
use super::model::{Curve, Findings, Row};
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
    let rows = complete(&section, found.rows, failed.as_deref());
    Done { section, seconds, rows, curves: found.curves, failed }
}

/// The rows in the order of the claims. A claim without one has it say why.
fn complete(section: &Section, rows: Vec<Row>, failed: Option<&str>) -> Vec<Row> {
    let mut rows: Vec<Option<Row>> = rows.into_iter().map(Some).collect();
    let mut complete: Vec<Row> = Vec::new();
    for claim in (section.claims)() {
        let mut found =
            rows.iter_mut().filter(|row| row.as_ref().is_some_and(|row| row.claim.id == claim.id));
        complete.push(match (found.next().and_then(Option::take), failed) {
            (Some(row), _) => row,
            (None, why) => Row::failed(claim, why.unwrap_or("the section gave no such row")),
        });
    }
    complete.extend(rows.into_iter().flatten());
    complete
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::super::model::{Claim, Standing, Target};
    use super::*;

    fn claims() -> Vec<Claim> {
        ["one", "two"]
            .map(|id| Claim {
                id: id.into(),
                what: id.into(),
                against: "".into(),
                target: Target::AtMost(1.0),
                unit: "s".into(),
            })
            .into()
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
        let done = ran(|_| {
            let rows = claims()
                .into_iter()
                .rev()
                .take(1)
                .map(|claim| Row::measured(claim, vec![0.5], Vec::new(), Vec::new()));
            Ok(Findings { rows: rows.collect(), curves: Vec::new() })
        });
        let standings: Vec<_> = done.rows.iter().map(|row| (&*row.claim.id, row.standing.clone())).collect();
        assert_eq!(standings, [("one", Standing::NotValid), ("two", Standing::Reached)]);
    }
}
