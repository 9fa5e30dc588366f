//! The command that copies a data set into another one.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use coupon_cli::numbers::nonzero;
use coupon_core::ShardingStrategy;
use coupon_seeding::{CopyOptions, Site, copy, on_stderr};
use coupon_store::settings::{BackendKind, Sources, StorageSettings, shown};

use crate::say;
use crate::storage::Storage;

#[derive(Debug, Args)]
pub(super) struct Copying {
    /// A TOML file of settings: the one that the service of the data set to copy has.
    #[arg(long, value_name = "FILE")]
    from: Vec<PathBuf>,
    /// A setting over those of --from, for example embedded.data=data/hash or servers.namespace=shop.
    #[arg(long = "from-set", value_name = "KEY=VALUE")]
    from_sets: Vec<String>,
    /// A TOML file of settings: the one that the service of the copy will have.
    #[arg(long, value_name = "FILE")]
    to: Vec<PathBuf>,
    /// A setting over those of --to, for example shards=6, embedded.data=data/six or range.spread=2.
    #[arg(long = "to-set", value_name = "KEY=VALUE")]
    to_sets: Vec<String>,
    /// Rows to store in a second, at most [default: as many as can be]
    #[arg(long, value_name = "ROWS", value_parser = nonzero::<NonZeroU64>)]
    rate: Option<NonZeroU64>,
    /// Throw away what another copy, or this one of another state of the data set, has left there half-made.
    #[arg(long)]
    anew: bool,
}

impl Copying {
    /// `strategy` makes the copy's strategy. `named` is the source's, where it says whose databases are meant.
    pub(super) fn run<S>(&self, named: Option<&str>, strategy: S) -> Result<()>
    where
        S: FnOnce(Sources, &StorageSettings) -> Result<std::sync::Arc<dyn ShardingStrategy>>,
    {
        let from = self.source(named)?;
        let (settings, sources) = side("--to", &self.to, &self.to_sets)?;
        // Here a setting of the strategy is given with the side's own flag.
        let strategy = strategy(Sources { called: "--to-set", ..sources }, &settings).context("--to")?;
        let room_index = settings.room_index;
        let to = match settings.backend {
            BackendKind::Embedded => {
                Site::Folder(folder(&settings).unwrap_or_else(|| of_strategy(strategy.name())))
            }
            BackendKind::Servers => Site::Servers(Box::new(settings.servers)),
        };
        let options = CopyOptions { rate: self.rate, anew: self.anew, room_index };
        say(&copy(&from, named, &to, &*strategy, options, &mut *on_stderr())?)
    }

    fn source(&self, named: Option<&str>) -> Result<Site> {
        let (settings, sources) = side("--from", &self.from, &self.from_sets)?;
        if let Some(set) = sources.flags.first() {
            bail!(
                "--from-set {} says nothing of where a data set is: its layout is its own to tell",
                shown(set)
            );
        }
        Ok(match settings.backend {
            BackendKind::Embedded => {
                let dir = folder(&settings).or_else(|| named.map(of_strategy));
                Site::Folder(dir.context("--from: setting `embedded.data` is missing: which folder is it?")?)
            }
            BackendKind::Servers => {
                ensure!(
                    named.is_some() || !settings.servers.namespace.is_empty(),
                    "--from-strategy is missing: it says whose databases are meant; or give --from-set servers.namespace=NAME"
                );
                Site::Servers(Box::new(settings.servers))
            }
        })
    }
}

/// The settings of one side. The environment has no part in them: it could mean either.
fn side(flag: &str, files: &[PathBuf], sets: &[String]) -> Result<(StorageSettings, Sources)> {
    let file = match files {
        [] => None,
        [file] => Some(file.clone()),
        [first, second, ..] => bail!(
            "{flag} is given twice, with {} and {}: one data set is meant, with one file of settings; what differs goes over it \
             with {flag}-set",
            first.display(),
            second.display()
        ),
    };
    ensure!(file.is_some() || !sets.is_empty(), "{flag} is missing: give a file of settings, or {flag}-set");
    if let Some(folder) = file.as_ref().filter(|file| file.is_dir()) {
        let folder = folder.display();
        bail!(
            "{flag} {folder} is a folder, and a file of settings is wanted: give {flag}-set embedded.data={folder}"
        );
    }
    Storage::of(file, sets.to_vec()).read_without_environment().with_context(|| flag.to_owned())
}

fn folder(settings: &StorageSettings) -> Option<PathBuf> {
    let set = &settings.embedded.data;
    (!set.as_os_str().is_empty()).then(|| set.clone())
}

/// The folder in which services and seeder look where none is set.
fn of_strategy(name: &str) -> PathBuf {
    Path::new("data").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_the_side_that_it_is_of() {
        for flag in ["--from", "--to"] {
            let said = |sets: &[&str]| {
                let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
                format!("{:#}", side(flag, &[], &sets).unwrap_err())
            };
            assert!(said(&[]).starts_with(&format!("{flag} is missing")), "{}", said(&[]));
            for (set, named) in
                [("shards=0", "`shards`"), ("servers.main=mysql://u:s3cret@h", "`servers.main`")]
            {
                let said = said(&[set]);
                assert!(said.starts_with(flag) && said.contains(named) && !said.contains("s3cret"), "{said}");
            }
        }
    }

    #[test]
    fn whose_databases_are_copied_is_asked_for_by_the_flag_that_says_it() {
        let copying = |set: &str| Copying {
            from: Vec::new(),
            from_sets: vec!["backend=servers".to_owned(), set.to_owned()],
            to: Vec::new(),
            to_sets: Vec::new(),
            rate: None,
            anew: false,
        };
        let error = copying("shards=4").source(None).unwrap_err().to_string();
        assert!(error.starts_with("--from-strategy is missing"), "{error}");
        assert!(copying("shards=4").source(Some("hash")).is_ok());
        assert!(copying("servers.namespace=shop").source(None).is_ok());
    }

    #[test]
    fn a_setting_that_the_copys_strategy_lacks_is_told_with_its_flag() {
        let (settings, sources) = side("--to", &[], &["shard=3".to_owned()]).unwrap();
        let family = coupon_strategies::REGISTER.family("hash").unwrap();
        let sources = Sources { called: "--to-set", ..sources };
        let error = format!("{:#}", family.configured(settings.shards, sources).unwrap_err());
        assert!(error.contains("--to-set shard=3: this strategy has no such setting"), "{error}");
    }

    #[test]
    fn a_side_that_is_not_one_file_of_settings_is_refused_with_the_way_out() {
        let error = |files: &[&str], sets: &[&str]| {
            let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
            let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
            side("--from", &files, &sets).unwrap_err().to_string()
        };
        let twice = error(&["hash.toml", "six.toml"], &[]);
        assert!(twice.contains("hash.toml and six.toml") && twice.contains("--from-set"), "{twice}");
        let folder = error(&[env!("CARGO_MANIFEST_DIR")], &["shards=4"]);
        assert!(folder.contains("is a folder") && folder.contains("--from-set embedded.data="), "{folder}");
        assert!(error(&[], &[]).contains("--from is missing"));
    }
}
