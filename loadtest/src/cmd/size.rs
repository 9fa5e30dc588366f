//! `loadtest size`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use coupon_cli::numbers::count;
use coupon_cli::output::Output;
use coupon_cli::terminal;

use crate::size::{Costs, Sale, size, text};

/// Its command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Grabs a second; several numbers are set side by side, and the last is told in full.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1M", value_parser = count::<u64>)]
    grabs: Vec<u64>,
    /// What each part costs: the bench.json of `loadtest bench` on a machine of your own [default: that of a recorded run,
    /// which is told]
    #[arg(long, value_name = "FILE")]
    costs: Option<PathBuf>,
    #[command(flatten)]
    sale: Sale,
    /// Also write everything found to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// When a cost is missing, or the file cannot be written.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let costs = args.costs.map_or_else(Costs::recorded, |path| Costs::read(&path).context("--costs"))?;
    let json = args.json.map(|path| Output::create("--json", &path)).transpose()?;
    let sizes = size(&args.grabs, args.sale, &costs);
    terminal::tell(text(&sizes).trim_end());
    json.map_or(Ok(()), |file| file.write_json(&sizes))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn a_bad_value_is_refused_by_the_name_of_its_flag() {
        for (flag, value, allowed) in [
            ("--grabs", "many", "a whole number"),
            ("--granted", "1.1", "from 0 to 1"),
            ("--load", "0", "from 0.01 to 1"),
            ("--skew", "0.9", "from 1 to 100"),
            ("--batch", "1025", "from 1 to 1024"),
            ("--batch-time", "5", "with its unit"),
            ("--cores", "0", "from 1 to 1024"),
            ("--copies", "0", "from 1 to 9"),
            ("--gbit", "0", "from 0.001 to 10000"),
            ("--core-hour", "cheap", "from 0 to 1000"),
        ] {
            let error =
                Command::try_parse_from(["size", &format!("{flag}={value}")]).unwrap_err().to_string();
            assert!(error.contains(flag) && error.contains(allowed), "{error}");
        }
    }

    #[test]
    fn costs_that_cannot_be_read_are_named_with_their_flag() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench.json");
        std::fs::write(&path, "{}").unwrap();
        let error = run(Command::parse_from(["size", "--costs", path.to_str().unwrap()]).args).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.starts_with("--costs: ") && error.contains("no figures of loadtest bench"), "{error}");
    }
}
