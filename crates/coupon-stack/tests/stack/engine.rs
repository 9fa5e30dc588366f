//! An engine, where its programs and a MySQL server are there.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::clients::parts;

const PROGRAM: &str = env!("CARGO_BIN_EXE_coupon-stack");

/// A stack of two shards and an engine, which ends with the test.
struct Engine {
    dir: PathBuf,
    _folder: tempfile::TempDir,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.run(&["down"]);
    }
}

impl Engine {
    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(PROGRAM).args(arguments).arg("--dir").arg(&self.dir).output().unwrap()
    }

    fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the engine answers, by Debian's client, which knows how vtgate asks for a password.
    fn sql(&self, statement: &str) -> Result<String, String> {
        let settings = std::fs::read_to_string(self.dir.join("servers.toml")).unwrap();
        let settings: toml::Table = settings.parse().unwrap();
        let (user, password, port) = parts(settings["servers"]["engine"].as_str().unwrap());
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--host=127.0.0.1", "--batch", "--skip-column-names"]);
        command.arg(format!("--port={port}")).arg(format!("--user={user}")).env("MYSQL_PWD", password);
        let output = command.arg(format!("--execute={statement}")).arg("results").output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// vtgate takes a moment to see what has changed.
    fn answers_soon(&self, statement: &str, answer: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let told = self.sql(statement);
            if told.as_deref() == Ok(answer) {
                return;
            }
            assert!(Instant::now() < end, "{statement}: {told:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The engine's tablets that run, by name.
    fn tablets(&self) -> Vec<String> {
        let status = self.said(&["status"]);
        let lines = status.lines().filter(|line| line.starts_with("tablet-"));
        lines.map(|line| line.split_ascii_whitespace().next().unwrap().to_owned()).collect()
    }
}

#[test]
#[ignore = "takes a MySQL server, and Vitess as `make engine` builds it"]
fn an_engine_keeps_every_row_while_its_shards_change() {
    let root = std::env::var_os("COUPON_STACK_MYSQL_ROOT");
    let parent = root.map_or_else(std::env::temp_dir, |root| Path::new(&root).join("tmp"));
    let folder = tempfile::tempdir_in(parent).unwrap();
    let engine = Engine { dir: folder.path().join("stack"), _folder: folder };
    // Others pass through the folder above the stack's: its servers do not run as root.
    std::fs::set_permissions(engine.dir.parent().unwrap(), Permissions::from_mode(0o711)).unwrap();
    engine.said(&["up", "--shards", "2", "--engine", "vitess", "--engine-shards", "2"]);
    assert_eq!(engine.tablets(), ["tablet-0", "tablet-1"]);

    engine.sql("CREATE TABLE kept (id BIGINT NOT NULL PRIMARY KEY, n INT NOT NULL)").unwrap();
    engine.sql("ALTER VSCHEMA ON kept ADD VINDEX xxhash(id) USING xxhash").unwrap();
    let rows: Vec<String> = (1..=1_000).map(|id| format!("({id}, 1)")).collect();
    engine.answers_soon("SELECT COUNT(*) FROM kept", "0");
    engine.sql(&format!("INSERT INTO kept VALUES {}", rows.join(","))).unwrap();
    let all = || engine.answers_soon("SELECT COUNT(*), SUM(n), MAX(id) FROM kept", "1000\t1000\t1000");
    all();

    let plan = engine.said(&["engine", "reshard", "--shards", "4", "--dry-run"]);
    assert!(plan.contains("-80 become -40, 40-80"), "{plan}");
    engine.said(&["engine", "reshard", "--shards", "4", "--keep-way-back"]);
    all();
    let back = engine.said(&["engine", "reshard", "--back"]);
    assert!(back.ends_with("the shards are -80, 80-\n"), "{back}");
    all();
    assert_eq!(engine.tablets(), ["tablet-0", "tablet-1"]);
    let grown = engine.said(&["engine", "reshard", "--shards", "4"]);
    assert!(grown.ends_with("the shards are -40, 40-80, 80-c0, c0-\n"), "{grown}");
    all();
    assert_eq!(engine.tablets().len(), 4);

    engine.said(&["kill", "vtgate"]);
    engine.said(&["restart", "vtgate"]);
    all();
    engine.said(&["down"]);
    engine.said(&["up"]);
    all();
}
