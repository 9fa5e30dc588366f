//! A service that cannot start ends with one line that names what is wrong.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use coupon_lab::built;

use crate::system::common::SeededFolder;

/// Runs a service that cannot start, and returns what it said about it.
fn refused(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = Command::new(built(name).unwrap())
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "it claimed to listen: {output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    // The last line is the reason; lines before it are the log's.
    said.lines().last().unwrap().to_owned()
}

fn with_data<'a>(data: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    arguments.extend(more);
    arguments
}

#[test]
fn a_wrong_setting_names_itself_wherever_it_comes_from() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("settings.toml");
    std::fs::write(&file, "[grab]\nbatch_max = \"lots\"\n").unwrap();
    let missing = dir.path().join("missing.toml");
    let data = dir.path().join("data");
    for (arguments, environment, named) in [
        (vec!["--set", "grab.colour=red"], vec![], "colour"),
        (vec!["--set", "range.spread=9"], vec![], "range.spread"),
        (vec!["--set", "range.by=room", "--set", "range.boundaries=[1,9,4]"], vec![], "range.boundaries"),
        (vec!["--set", "range.by=room", "--set", "range.boundaries=[2]"], vec![], "range.boundaries"),
        (vec!["--set", "range.by=colour"], vec![], "range.by"),
        (vec!["--shards", "0"], vec![], "shards"),
        (vec!["--config", file.to_str().unwrap()], vec![], "grab.batch_max"),
        (vec!["--config", missing.to_str().unwrap()], vec![], "missing.toml"),
        (vec![], vec![("COUPON__WORKERS", "none")], "workers"),
        (vec![], vec![("COUPON__GRAB__COLOUR", "red")], "colour"),
        (vec!["--set", "log.level=a=b=c"], vec![], "log.level"),
        (vec!["--set", "workers=100000"], vec![], "workers"),
        (vec!["--set", "simulate.shard_rtt_ms=-1"], vec![], "simulate.shard_rtt_ms"),
        (vec!["--role", "api"], vec![], "servers.role"),
        (vec!["--set", "servers.main=mysql://h"], vec![], "servers.main"),
    ] {
        let said = refused("range-svc", &with_data(&data, &arguments), &environment);
        assert!(said.contains(named), "{arguments:?} {environment:?} said: {said}");
    }
    let said = refused("range-svc", &["--listen", "nowhere"], &[]);
    assert!(said.contains("listen"), "{said}");
}

#[test]
fn flags_win_over_the_environment_and_the_environment_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (file, data) = (dir.path().join("settings.toml"), dir.path().join("data"));
    std::fs::write(&file, "shards = 0\n").unwrap();
    let config = ["--config", file.to_str().unwrap()];
    // Each source is wrong in its own way, so the complaint shows which of them was read last.
    let said = refused("hash-svc", &with_data(&data, &config), &[("COUPON__SHARDS", "many")]);
    assert!(said.contains("many"), "{said}");
    let flags = [config[0], config[1], "--set", "shards=-7"];
    let said = refused("hash-svc", &with_data(&data, &flags), &[("COUPON__SHARDS", "many")]);
    assert!(said.contains("-7"), "{said}");
}

#[test]
fn a_busy_port_is_named() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let said = refused("hash-svc", &["--listen", &address, "--data", dir.path().to_str().unwrap()], &[]);
    assert!(said.contains(&address) && said.contains("listen"), "{said}");
}

#[test]
fn a_folder_that_another_process_serves_is_refused_and_left_alone() {
    let folder = SeededFolder::of("hash");
    let (service, _) = folder.start();
    let data = folder.data();
    let said = refused("hash-svc", &with_data(&data, &[]), &[]);
    assert!(said.contains(data.to_str().unwrap()) && said.contains("process"), "{said}");
    assert!(service.is_running());
}

#[test]
fn a_folder_of_another_layout_is_refused() {
    let folder = SeededFolder::of("hash");
    let data = folder.data();
    let said = refused("range-svc", &with_data(&data, &[]), &[]);
    assert!(said.contains("hash of user_id") && said.contains("range of time"), "{said}");
    let said = refused("hash-svc", &with_data(&data, &["--set", "hash.mix=modulo"]), &[]);
    assert!(said.contains("xxh3") && said.contains("modulo"), "{said}");
}

#[test]
fn a_folder_of_other_things_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let thesis = dir.path().join("thesis.tex");
    std::fs::write(&thesis, "ten years of work").unwrap();
    let said = refused("hash-svc", &with_data(dir.path(), &[]), &[]);
    assert!(said.contains("thesis.tex"), "{said}");
    assert_eq!(std::fs::read_to_string(&thesis).unwrap(), "ten years of work");
}

#[test]
fn a_file_in_place_of_the_folder_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let said = refused("hash-svc", &with_data(file.path(), &[]), &[]);
    assert!(said.contains(file.path().to_str().unwrap()), "{said}");
}

#[test]
fn a_damaged_shard_is_named() {
    let folder = SeededFolder::of("hash");
    let shard = folder.data().join("shard-2.sqlite");
    std::fs::write(&shard, "this is no database".repeat(1_000)).unwrap();
    let said = refused("hash-svc", &with_data(&folder.data(), &[]), &[]);
    assert!(said.contains("shard-2.sqlite"), "{said}");
}
