//! The programs' help about their own command lines.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::blocks::Cost;
use crate::ours;
use crate::session::programs;

/// The columns of the narrowest terminal that people have.
const COLUMNS: usize = 80;

fn said(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(programs(Cost::Quick).join(program));
    let output = command.args(arguments).env("COLUMNS", COLUMNS.to_string()).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The subcommands that a program's help lists.
fn subcommands(program: &str) -> Vec<String> {
    listed(&said(program, &["--help"]))
}

/// The subcommands that a help lists.
fn listed(help: &str) -> Vec<String> {
    let list = help.split("Commands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap_or_default();
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_ascii_whitespace().next()).map(ToOwned::to_owned);
    names.filter(|name| name != "help").collect()
}

fn checked_by_bash(script: &str) -> Output {
    let mut bash =
        Command::new("bash").arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    bash.wait_with_output().unwrap()
}

#[test]
fn every_program_completes_its_subcommands_in_every_shell() {
    for program in ours() {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let script = said(program, &["completions", shell]);
            for name in subcommands(program) {
                assert!(script.contains(&name), "{program}, {shell}: {name}");
            }
        }
        let checked = checked_by_bash(&said(program, &["completions", "bash"]));
        assert!(checked.status.success(), "{program}: {}", String::from_utf8_lossy(&checked.stderr));
    }
    assert!(!checked_by_bash("if").status.success());
}

#[test]
fn every_program_has_a_manual_page_and_one_for_each_subcommand() {
    for program in ours() {
        let page = said(program, &["man"]);
        let folder = tempfile::tempdir().unwrap();
        said(program, &["man", "--dir", folder.path().to_str().unwrap()]);
        assert!(folder.path().join(format!("{program}.1")).is_file());
        for name in subcommands(program) {
            let escaped = name.replace('-', "\\-");
            assert!(page.contains(&escaped), "{program}: {name}");
            let own = std::fs::read_to_string(folder.path().join(format!("{program}-{name}.1"))).unwrap();
            assert!(own.contains(".SH SYNOPSIS"), "{program} {name}");
        }
    }
}

/// A program that is asked for help refuses an unknown flag before it gives any.
fn examples_have_known_flags(help: &str) -> usize {
    let mut tried = 0;
    let whole = help.replace(" \\\n", " ");
    for line in whole.split("Examples:\n").nth(1).unwrap_or_default().lines() {
        let words: Vec<&str> = line.strip_prefix("  ").unwrap_or_default().split_ascii_whitespace().collect();
        if let Some((program, arguments)) =
            words.split_first().filter(|(word, _)| ours().any(|name| name == **word))
        {
            // What follows -- is another program's.
            let own = arguments.split(|word| *word == "--").next().unwrap_or_default();
            said(program, &[own, &["--help"]].concat());
            tried += 1;
        }
    }
    tried
}

#[test]
fn every_subcommand_has_a_help_and_the_examples_have_flags_that_are_there() {
    for program in ours() {
        assert!(examples_have_known_flags(&said(program, &["--help"])) > 2, "{program}");
        for name in subcommands(program) {
            let help = said(program, &[&name, "--help"]);
            assert!(help.contains("Usage:"), "{program} {name}");
            examples_have_known_flags(&help);
        }
    }
}

/// The helps of a command and of all its subcommands.
fn helps(program: &str, command: &mut Vec<String>, found: &mut Vec<String>) {
    let arguments = |flag| command.iter().map(String::as_str).chain([flag]).collect::<Vec<_>>();
    let help = said(program, &arguments("--help"));
    found.extend([said(program, &arguments("-h")), help.clone()]);
    for name in listed(&help) {
        command.push(name);
        helps(program, command, found);
        command.pop();
    }
}

#[test]
fn every_help_fits_into_a_narrow_terminal() {
    for program in ours() {
        let mut found = Vec::new();
        helps(program, &mut Vec::new(), &mut found);
        assert!(found.len() > 4, "{program}");
        for line in found.iter().flat_map(|help| help.lines()) {
            assert!(line.chars().count() <= COLUMNS, "{program}: {line}");
        }
    }
}

#[test]
fn a_subcommand_that_is_a_program_of_its_own_becomes_it() {
    for (name, program) in [("bench", "loadtest-bench"), ("faults", "loadtest-faults")] {
        assert_eq!(said("loadtest", &[name, "--help"]), said(program, &["--help"]));
    }
}
