//! The report of a comparison: its model, its summary on a terminal, its page.
//!
//! A [`Report`] is made of [`model::Meta`] and contestants with rounds, concluded with [`summarise`], and shown with
//! [`terminal::print`] and [`write_all`]. Conclusions are made of the report's own figures and nothing else: no strategy is
//! known by name.

mod by_shard;
pub mod diff;
pub mod endpoints;
mod growth;
pub mod history;
pub mod html;
pub mod markdown;
pub mod model;
pub mod require;
pub mod schema;
mod summarise;
pub mod terminal;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use coupon_cli::files;
use coupon_cli::plain;
pub use model::Report;
use serde_json::Value;
pub use summarise::summarise;

/// The files of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The report for programs.
    pub json: PathBuf,
    /// The report for people: one page that needs nothing else.
    pub html: PathBuf,
    /// The file that now holds the figures of an earlier report, if there was one.
    pub earlier: Option<PathBuf>,
}

/// Writes `report.json` and `report.html` into a folder, which is made if need be. Those of the run before are then called
/// `report.previous.…`.
///
/// # Errors
/// When the folder or a file cannot be written.
pub fn write_all(report: &Report, dir: &Path) -> anyhow::Result<Paths> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    let json = serde_json::to_string_pretty(report).context("the report cannot be put as JSON")? + "\n";
    let [(json, earlier), (html, _)] =
        [write(dir, "json", &json)?, write(dir, "html", &html::render(report))?];
    Ok(Paths { json, html, earlier })
}

/// Writes one of the two; says where it is, and where the one is that was there before.
fn write(dir: &Path, kind: &str, text: &str) -> anyhow::Result<(PathBuf, Option<PathBuf>)> {
    let path = dir.join(format!("report.{kind}"));
    let written = || {
        let earlier = dir.join(format!("report.previous.{kind}"));
        let draft = dir.join(format!("report.new.{kind}"));
        // The new one first: it may not fit, and then the old one stays.
        files::write_private(&draft, text)?;
        let earlier = path.exists().then(|| fs::rename(&path, &earlier).map(|()| earlier)).transpose()?;
        fs::rename(&draft, &path).map(|()| earlier)
    };
    let earlier = written().with_context(|| format!("cannot write {}", path.display()))?;
    Ok((path, earlier))
}

/// The same report, whose names and notes command no terminal: those of services, workloads and traces are of others.
pub(crate) fn plain(report: &Report) -> Report {
    let plain = serde_json::to_value(report).and_then(|mut value| {
        plain_value(&mut value);
        serde_json::from_value(value)
    });
    // What could be written as JSON can be read from it.
    plain.unwrap_or_else(|_| report.clone())
}

fn plain_value(value: &mut Value) {
    match value {
        Value::String(text) => *text = plain::line(text).into_owned(),
        Value::Array(values) => values.iter_mut().for_each(plain_value),
        Value::Object(fields) => {
            let plain = std::mem::take(fields).into_iter().map(|(name, mut value)| {
                plain_value(&mut value);
                (plain::line(&name).into_owned(), value)
            });
            *fields = plain.collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The part of a report that is the same in every version.
#[derive(serde::Deserialize)]
struct Version {
    schema: u32,
}

/// Reads a `report.json` of this version.
///
/// # Errors
/// When the file cannot be read, is no report, or is of a version that this program does not know.
pub fn read(path: &Path) -> anyhow::Result<Report> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let no_report = || format!("{} is no report", path.display());
    // First, since a report of another version may have other fields.
    let Version { schema } = serde_json::from_str(&text).with_context(no_report)?;
    anyhow::ensure!(
        schema == model::SCHEMA,
        "{} has schema {schema}; this program reads {} alone: measure again, or read it with the version that wrote it",
        path.display(),
        model::SCHEMA
    );
    let report = serde_json::from_str(&text).with_context(no_report)?;
    Ok(plain(&report))
}
