//! The programs of this project: found where they were built, and built for tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use coupon_strategies::REGISTER;

/// The folder that holds the workspace's manifest.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Finds a program beside this one, as `cargo build` and the release archives leave them.
///
/// # Errors
/// When there is none; the error says how to make it.
pub fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    // Tests run one folder below.
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join(&file)).find(|path| path.is_file());
    found.with_context(|| {
        format!("{file} is not beside {}: build it with cargo build --release", own.display())
    })
}

/// Finds a program for a test. `cargo test` of one package builds the programs of that one alone, so the services are
/// built before the first of them is looked for, in the profile of the test.
///
/// # Errors
/// When the services do not build, or there is no such program.
pub fn built(name: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build_services().map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)?;
    program(name)
}

fn build_services() -> Result<()> {
    // Set for tests by the cargo that runs them.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--bins"]).current_dir(Path::new(WORKSPACE));
    command.args(REGISTER.programs().flat_map(|name| ["--package", name]));
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    // What cargo says of the package under test would have build scripts that look at it (ring's does) run again, and all
    // that depends on them built anew, here and in the next build.
    let of_package =
        |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_", "OUT_DIR"].iter().any(|own| name.starts_with(own));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_package)) {
        command.env_remove(name);
    }
    let status = command.status().context("cannot run cargo")?;
    ensure!(status.success(), "the services do not build");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named() {
        assert!(program("no-such-svc").unwrap_err().to_string().contains("no-such-svc"));
    }
}
