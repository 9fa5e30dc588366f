//! The program itself, as people and containers call it.

use std::process::{Command, Output};

use crate::servers::common::{Place, stack};

pub(crate) fn seeder(arguments: &[&str], environment: &[(&'static str, String)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seeder"));
    command.args(arguments).envs(environment.iter().map(|(key, value)| (key, value)));
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn flags_name_the_servers() {
    let mut arguments = vec!["--strategy", "range-room", "--users", "100", "--history", "300"];
    let settings = stack().addresses().settings();
    settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
    arguments.extend(["--set", "servers.namespace=by_flags", "--set", "range.spread=2"]);
    let output = seeder(&arguments, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.starts_with("by_flags on 127.0.0.1:") && said.contains("spread 2"), "{said}");
    Place::new("by_flags").assert_books_balance();
}

#[test]
fn the_environment_alone_selects_the_servers_and_the_strategy_names_the_databases() {
    let environment = stack().addresses().environment();
    let output = seeder(&["--strategy", "range-time", "--users", "100", "--history", "300"], &environment);
    assert!(output.status.success(), "{}", stderr(&output));
    let place = Place::new("coupon_range_time");
    assert_eq!(place.rows(), 300);
    let archived = ["archive", "--strategy", "range-time", "--before", "2026-01-01"];
    let output = seeder(&archived, &environment);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("nothing to retire"), "{said}");
    place.assert_books_balance();
}

#[test]
fn a_wrong_password_names_its_setting_and_is_not_printed() {
    let mut environment = stack().addresses().environment();
    for (key, value) in &mut environment {
        if *key == "COUPON__SERVERS__MAIN" {
            let at = value.split_once('@').unwrap().1.to_owned();
            *value = format!("mysql://coupon:not-the-word@{at}");
        }
    }
    let output = seeder(&["--strategy", "hash", "--users", "100"], &environment);
    let error = stderr(&output);
    assert!(!output.status.success());
    assert!(error.contains("servers.main") && error.contains("password is wrong"), "{error}");
    assert!(!error.contains("not-the-word"), "{error}");
}

#[test]
fn archiving_on_servers_must_know_whose_databases_are_meant() {
    let environment = stack().addresses().environment();
    let output = seeder(&["archive", "--before", "2026-11-22"], &environment);
    assert!(!output.status.success() && stderr(&output).contains("--strategy"), "{}", stderr(&output));
}

#[test]
fn what_contradicts_itself_is_refused() {
    for (arguments, named) in [
        (&["--strategy", "hash", "--backend", "servers", "--data", "d"][..], "--data"),
        (&["--strategy", "hash", "--set", "servers.main=mysql://h"], "servers.main"),
        (&["--strategy", "hash", "--backend", "servers"], "servers.main"),
        (&["--strategy", "engine"], "backend = \"servers\""),
        (&["--strategy", "engine", "--backend", "servers"], "servers.engine"),
        (&["archive", "--before", "2026-11-22"], "--data"),
        (
            &["verify", "--strategy", "hash", "--backend", "servers", "--shards", "8"],
            "--shards has no effect",
        ),
        (&["books", "--strategy", "hash", "--set", "range.spread=2"], "--set range.spread has no effect"),
    ] {
        let output = seeder(arguments, &[]);
        assert!(!output.status.success() && stderr(&output).contains(named), "{named}: {}", stderr(&output));
    }
}

#[test]
fn verifying_needs_servers_whose_gate_is_open() {
    let output = seeder(&["verify"], &[]);
    assert!(stderr(&output).contains("--backend servers"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(2));
    let mut environment = stack().addresses().environment();
    let output = seeder(&["verify"], &environment);
    assert!(!output.status.success() && stderr(&output).contains("--strategy"), "{}", stderr(&output));
    environment.push(("COUPON__SERVERS__NAMESPACE", "verified".to_owned()));
    let output = seeder(&["verify"], &environment);
    assert!(stderr(&output).contains("there is no such database"), "{}", stderr(&output));
    assert!(seeder(&["--strategy", "hash", "--users", "100"], &environment).status.success());
    let output = seeder(&["verify"], &environment);
    assert!(stderr(&output).contains("the gate is shut"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(2), "1 is kept for a difference");
}

#[test]
fn books_that_main_has_forgotten_end_otherwise_than_books_that_could_not_be_asked_for() {
    let output = seeder(&["books"], &[]);
    assert!(stderr(&output).contains("--backend servers"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(2));
    let mut environment = stack().addresses().environment();
    let output = seeder(&["books", "--rebuild"], &environment);
    assert!(stderr(&output).contains("--strategy"), "{}", stderr(&output));
    environment.push(("COUPON__SERVERS__NAMESPACE", "books_of".to_owned()));
    assert!(seeder(&["--strategy", "hash", "--users", "100"], &environment).status.success());
    assert_eq!(seeder(&["books"], &environment).status.code(), Some(0));
    Place::new("books_of").run(Some(0), "UPDATE shard_state SET outbox_id = 3");
    assert_eq!(seeder(&["books"], &environment).status.code(), Some(1));
    let output = seeder(&["books", "--rebuild"], &environment);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(seeder(&["books"], &environment).status.code(), Some(0));
}
