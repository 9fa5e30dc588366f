//! What every program tells of its own command line.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::blocks::Cost;
use crate::session::programs;

const PROGRAMS: [&str; 5] = ["hash-svc", "range-svc", "seeder", "loadtest", "coupon-stack"];

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(programs(Cost::Quick).join(program)).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The subcommands that a program's help lists.
fn subcommands(program: &str) -> Vec<String> {
    let help = said(program, &["--help"]);
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
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
    for program in PROGRAMS {
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
    for program in PROGRAMS {
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

#[test]
fn every_help_explains_every_subcommand_and_the_main_ones_have_examples() {
    for program in PROGRAMS {
        let help = said(program, &["--help"]);
        assert!(help.contains("Examples:"), "{program}");
        for name in subcommands(program) {
            assert!(said(program, &[&name, "--help"]).contains("Usage:"), "{program} {name}");
        }
    }
}
