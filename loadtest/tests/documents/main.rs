//! The documents, held against the project: commands run, links lead somewhere, files and targets are there, copies
//! are those of their source, and each program describes its own command line.
//!
//! A block that begins with one of these is run, from the top of a document to its end, in one folder:
//!
//! | fence | is |
//! |---|---|
//! | `sh` | quick: run by every `cargo test` |
//! | `sh service` | quick, and goes on until the document ends: the blocks that follow talk to it |
//! | `sh slow`, `sh slow service` | compiles, seeds millions, compares: run by `make test-docs`, the quick ones around it too |
//! | `sh docker` | wants Docker: run by `make test-docs-docker` |
//!
//! Blocks of any other language are no commands, and an indented block may not be one. A `text` block below the mark in
//! `outputs.rs` is held against what the command before it says.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod blocks;
mod copies;
mod links;
mod names;
mod outputs;
mod programs;
mod running;
mod session;

use std::fs;
use std::path::{Path, PathBuf};

use coupon_strategies::REGISTER;

/// A document of this project.
struct Document {
    /// From the root of the repository.
    path: PathBuf,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The names of this project's programs.
fn ours() -> impl Iterator<Item = &'static str> {
    let others = ["seeder", "loadtest", "loadtest-bench", "loadtest-faults", "coupon-stack"];
    REGISTER.programs().chain(others)
}

/// Documents whose commands are run.
fn guides() -> Vec<Document> {
    read(&[("", "README.md"), ("deploy", "README.md"), ("docs", "")])
}

/// The guides and the documents beside them, whose links and names are held to be right.
fn all() -> Vec<Document> {
    let more = read(&[("schema", "README.md"), ("docs/benchmarks", "")]);
    guides().into_iter().chain(more).collect()
}

/// The documents of folders: the one with that name, or every one.
fn read(folders: &[(&str, &str)]) -> Vec<Document> {
    let mut found = Vec::new();
    for (folder, name) in folders {
        let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().file_name());
        let names = entries.map(|entry| entry.into_string().unwrap());
        let mut names: Vec<String> = names
            .filter(|entry| if name.is_empty() { entry.ends_with(".md") } else { entry == name })
            .collect();
        names.sort();
        found.extend(names.iter().map(|name| {
            let path = Path::new(folder).join(name);
            Document { text: fs::read_to_string(root().join(&path)).unwrap(), path }
        }));
    }
    found
}
