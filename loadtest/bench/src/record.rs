//! `bench.json`: everything that a run found, and what it takes to run it again.

use std::collections::BTreeMap;

use coupon_report::model::Machine;
use serde::{Deserialize, Serialize};

use super::model::{Curve, Row, Standing};
use super::run::Done;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bench {
    /// Raised when a field changes its meaning.
    pub format: u32,
    /// The time at which it ended, RFC 3339.
    pub date: String,
    /// The command that was run.
    pub command: String,
    /// The machine that it ran on.
    pub machine: Machine,
    /// The versions of servers, libraries and the compiler, by name.
    pub versions: BTreeMap<String, String>,
    /// True when it was to take minutes only: fewer and shorter rounds, less data.
    pub quick: bool,
    /// The seed of all random choices.
    pub seed: u64,
    /// The sections, in the order in which they ran.
    pub sections: Vec<SectionRecord>,
}

/// The findings of a section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SectionRecord {
    /// Its name.
    pub name: String,
    /// Its subject.
    pub what: String,
    /// Its duration, with everything that it set up.
    pub seconds: f64,
    /// Its rows.
    pub rows: Vec<Row>,
    /// Its curves.
    pub curves: Vec<Curve>,
    /// The reason why it gave no results, if it failed.
    pub failed: Option<String>,
}

/// The format that this program writes.
const FORMAT: u32 = 2;

impl Bench {
    pub(super) fn new(quick: bool, seed: u64, stores: Vec<(&'static str, String)>, done: Vec<Done>) -> Self {
        let own = [
            ("loadtest", env!("CARGO_PKG_VERSION").to_owned()),
            ("sqlite", rusqlite::version().to_owned()),
            ("rustc", env!("BENCH_RUSTC_VERSION").to_owned()),
        ];
        let versions = stores.into_iter().chain(own);
        Self {
            format: FORMAT,
            date: coupon_lab::conditions::now(),
            command: coupon_lab::conditions::command(std::env::args()),
            machine: Machine::this(),
            versions: versions.map(|(name, version)| (name.to_owned(), version)).collect(),
            quick,
            seed,
            sections: done.into_iter().map(part).collect(),
        }
    }

    /// True when this program can read its fields.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.format == FORMAT
    }

    /// Every row, in order.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.sections.iter().flat_map(|part| &part.rows)
    }

    /// Every curve, in order.
    pub fn curves(&self) -> impl Iterator<Item = &Curve> {
        self.sections.iter().flat_map(|part| &part.curves)
    }

    /// The figures that are not valid, with the reasons: one line each.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let failed = self
            .sections
            .iter()
            .filter_map(|part| Some(format!("section {}: {}", part.name, part.failed.as_ref()?)));
        let rows = self.sections.iter().filter(|part| part.failed.is_none()).flat_map(|part| &part.rows);
        let rows = rows.filter(|row| row.standing == Standing::NotValid);
        let rows = rows.map(|row| format!("{}: {}", row.claim.id, row.problems.join("; ")));
        let curves = self.curves().filter(|curve| !curve.problems.is_empty());
        let curves = curves.map(|curve| format!("{}: {}", curve.id, curve.problems.join("; ")));
        failed.chain(rows).chain(curves).collect()
    }
}

fn part(done: Done) -> SectionRecord {
    let Done { section, seconds, rows, curves, failed } = done;
    let (name, what) = (section.name.to_owned(), section.what.to_owned());
    SectionRecord { name, what, seconds, rows, curves, failed }
}
