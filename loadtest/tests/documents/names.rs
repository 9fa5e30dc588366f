//! Names in the documents' code: files of the repository, targets of the Makefile, flags of our programs.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::blocks::{Cost, lines};
use crate::session::programs;
use crate::{Document, all, ours, root};

/// The text between backquotes in a document's prose, and the lines of its commands.
fn code(document: &Document) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line, mark) in lines(&document.text) {
        match mark {
            Some(mark) if mark.starts_with("sh") => found.push((number, line.to_owned())),
            Some(_) => {}
            // What a generated document says is missing may be.
            None if line.contains("is missing") => {}
            None => {
                let spans = line.split('`').skip(1).step_by(2);
                found.extend(spans.map(|span| (number, span.to_owned())));
            }
        }
    }
    found
}

/// True for a path into a folder of the repository that is missing there.
fn missing(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    let Some((top, rest)) = word.split_once('/') else { return false };
    let ours = !top.is_empty() && !matches!(top, "target" | "data" | "reports") && root().join(top).is_dir();
    ours && !rest.is_empty() && word.chars().all(plain) && !root().join(word).exists()
}

/// The words after `make` at the beginning of a command.
fn targets(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("make ").or_else(|| line.split(" make ").nth(1))?;
    let target = rest.split([' ', '`', ';', '#']).find(|word| !word.is_empty() && !word.contains('='))?;
    target.chars().all(|c| c.is_ascii_lowercase() || c == '-').then_some(target)
}

fn wrong(check: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for document in all() {
        for (line, code) in code(&document) {
            wrong.extend(check(&code).map(|why| format!("{}:{line}: {why}", document.path.display())));
        }
    }
    wrong
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let wrong = wrong(|code| code.split_ascii_whitespace().find(|word| missing(word)).map(str::to_owned));
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(missing("docs/NONE.md") && !missing("docs/SECURITY.md") && !missing("application/json"));
}

#[test]
fn every_target_of_make_that_a_document_names_is_there() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let there: BTreeSet<&str> = makefile
        .lines()
        .filter(|line| !line.starts_with(['\t', ' ', '#', '.']))
        .filter_map(|line| line.split_once(':').map(|(name, _)| name))
        .collect();
    let wrong = wrong(|code| targets(code).filter(|target| !there.contains(target)).map(str::to_owned));
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(
        (targets("QUICK=1 make bench"), targets("make up-local # x")),
        (Some("bench"), Some("up-local"))
    );
}

/// A program that is asked for help refuses an unknown flag or subcommand before it gives any.
#[test]
fn every_command_of_ours_that_a_document_mentions_has_these_flags() {
    let programs = programs(Cost::Quick);
    let wrong = wrong(|code| {
        let command = code.strip_prefix("cargo run --release -p ").or_else(|| code.strip_prefix("cargo "));
        let command = command.or_else(|| code.strip_prefix("target/release/"));
        let command = command.unwrap_or(code).replacen(" -- ", " ", 1);
        let words = words(&command)?;
        let (program, arguments) = words.split_first()?;
        if !ours().any(|name| name == program) || arguments.is_empty() {
            return None;
        }
        let output = Command::new(programs.join(program)).args(arguments).arg("--help").output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        (!output.status.success() && !of_a_placeholder(&error)).then(|| format!("{code}: {error}"))
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// True when only a value is wrong that stands for one: `--without MECHANISM`.
fn of_a_placeholder(error: &str) -> bool {
    let value = error.split_once("invalid value '").and_then(|(_, rest)| rest.split('\'').next());
    value.is_some_and(|value| value.chars().all(|c| c.is_ascii_uppercase()))
}

/// A command's words, where it is whole and a shell would do no more with it than to part them.
fn words(command: &str) -> Option<Vec<String>> {
    let command = command.split(" #").next().unwrap_or_default();
    let plain = !command.contains(['|', '>', '<', ';', '$', '&', '*', '{', '…', '\\', '(']);
    plain.then(|| command.split_ascii_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect())
}
