//! Reports in the order of their times, parted into those that can be compared.

use anyhow::Context as _;
use coupon_core::Timestamp;
use coupon_measure::format::{self, count, number};

use super::{Given, Run};
use crate::diff::other_series;
use crate::model::{Meta, Report};

/// The reports from the first to the last, and remarks on those that were given twice.
pub(super) fn in_order(given: Vec<Given>) -> anyhow::Result<(Vec<Given>, Vec<String>)> {
    let timed = |one: Given| -> anyhow::Result<(Timestamp, Given)> {
        let date = &one.report.meta.date;
        let time = date.parse().with_context(|| format!("{}: meta.date", one.name))?;
        Ok((time, one))
    };
    let mut given = given.into_iter().map(timed).collect::<anyhow::Result<Vec<_>>>()?;
    given.sort_by_key(|(time, _)| *time);
    let (mut kept, mut notes): (Vec<Given>, Vec<String>) = (Vec::new(), Vec::new());
    for (_, one) in given {
        // The same run twice would look like two that agree.
        match kept.iter().rev().find(|other| other.report == one.report) {
            Some(other) => {
                notes.push(format!("{} is the same run as {}, and counts once.", one.name, other.name));
            }
            None => kept.push(one),
        }
    }
    Ok((kept, notes))
}

/// Series of reports of which each can be compared with every other.
pub(super) fn parted(given: Vec<Given>) -> Vec<Vec<Given>> {
    let mut parted: Vec<Vec<Given>> = Vec::new();
    for one in given {
        let fits = |runs: &&mut Vec<Given>| {
            runs.iter().all(|other| other_series(&other.report, &one.report).is_empty())
        };
        match parted.iter_mut().find(fits) {
            Some(runs) => runs.push(one),
            None => parted.push(vec![one]),
        }
    }
    parted
}

/// The differences between two reports that make them of two series.
pub(super) fn apart(before: &Given, after: &Given) -> Vec<String> {
    other_series(&before.report, &after.report)
}

/// The conditions that the runs of a series have in common.
pub(super) fn conditions(meta: &Meta) -> String {
    let rate = meta
        .rate
        .map_or_else(|| "as fast as answers come".to_owned(), |rate| format!("{} requests/s", number(rate)));
    let backend = if meta.backend.is_empty() {
        String::new()
    } else {
        format!("{} backend{}, ", meta.backend, format::quota(meta.shard_cpu))
    };
    format!(
        "workload {}, {backend}{rate}, {} rows of history{}",
        meta.workload,
        count(meta.history_rows),
        meta.machine
            .cores
            .known()
            .map_or_else(String::new, |cores| { format!(", {}", format::counted((*cores).into(), "core")) }),
    )
}

/// The runs as a history shows them.
pub(super) fn runs(given: &[Given]) -> Vec<Run> {
    let before = std::iter::once(None).chain(given.iter().map(Some));
    let run = |(before, one): (Option<&Given>, &Given)| Run {
        name: one.name.clone(),
        date: one.report.meta.date.clone(),
        audit_passed: one.report.audit.sums.passed(),
        differs: before.map(|before| differs(&before.report.meta, &one.report.meta)).unwrap_or_default(),
        left_out: left_out(&one.report),
    };
    before.zip(given).map(run).collect()
}

/// The versions, and the kernel, that are not those of the run before.
fn differs(before: &Meta, after: &Meta) -> Vec<String> {
    let versions = after.versions.iter().filter_map(|(name, version)| {
        let earlier = before.versions.get(name)?;
        (earlier != version).then(|| format!("{name} {earlier} → {version}"))
    });
    let [earlier, kernel] = [before, after].map(|meta| meta.machine.kernel.show(String::clone));
    let kernel = (earlier != kernel).then(|| format!("{earlier} → {kernel}"));
    versions.chain(kernel).collect()
}

/// The reason for which a report's rates and times are those of the load, if they are.
fn left_out(report: &Report) -> Option<String> {
    Some(report.doubt_of_load()?.text.clone())
}
