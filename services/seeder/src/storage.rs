//! The place of data, from the command line and the sources of the services' settings.

use std::num::NonZeroU16;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use coupon_cli::numbers::nonzero;
use coupon_store::settings::{BackendKind, Sources, StorageSettings};

/// The settings that decide where data lives: any other setting is the strategy's.
const STORAGE: [&str; 5] = ["backend", "shards", "room_index", "embedded", "servers"];

/// The reason why flags of a layout do nothing for a data set that there is.
pub(super) const OWN_LAYOUT: &str = "the data set says how it is laid out";

#[derive(Debug, Args)]
pub(super) struct Storage {
    /// A folder of SQLite files, or MySQL servers [default: embedded]
    #[arg(long, value_name = "BACKEND", value_parser = ["embedded", "servers"])]
    backend: Option<String>,
    /// A TOML file of settings: the one that the service has.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of the embedded backend [default for seeding: data/STRATEGY]; no service may be using it.
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Over how many shards results are spread [default: 4]
    #[arg(long, value_name = "N", value_parser = nonzero::<NonZeroU16>)]
    pub(super) shards: Option<NonZeroU16>,
    /// A setting of the strategy or of the servers, for example range.spread=2 or servers.namespace=shop.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

impl Storage {
    /// Reads the place of data, and the sources of the strategy's own settings.
    pub(super) fn read(&self) -> Result<(StorageSettings, Sources)> {
        self.read_from(true)
    }

    /// Refuses all flags of the place of data, which would do nothing.
    pub(super) fn refuse_any(&self, why: &str) -> Result<()> {
        let given = [
            ("--backend", self.backend.is_some()),
            ("--config", self.config.is_some()),
            ("--data", self.data.is_some()),
            ("--shards", self.shards.is_some()),
            ("--set", !self.sets.is_empty()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) => bail!("{flag} has no effect, since {why}: leave one of them out"),
            None => Ok(()),
        }
    }

    /// Refuses flags that say how data is laid out, which would do nothing.
    pub(super) fn refuse_strategy(&self, why: &str) -> Result<()> {
        let lays_out = |set: &&String| section(set) == "shards" || !STORAGE.contains(&section(set));
        let set = self
            .sets
            .iter()
            .find(lays_out)
            .map(|set| format!("--set {}", set.split('=').next().unwrap_or(set)));
        match self.shards.map(|_| "--shards".to_owned()).or(set) {
            Some(flag) => bail!("{flag} has no effect, since {why}: leave it out"),
            None => Ok(()),
        }
    }

    /// The place that a file and settings over it name.
    pub(super) const fn of(config: Option<PathBuf>, sets: Vec<String>) -> Self {
        Self { backend: None, config, data: None, shards: None, sets }
    }

    /// Reads it where the environment could be another data set's.
    pub(super) fn read_without_environment(&self) -> Result<(StorageSettings, Sources)> {
        self.read_from(false)
    }

    fn read_from(&self, environment: bool) -> Result<(StorageSettings, Sources)> {
        let (mut flags, own): (Vec<_>, Vec<_>) =
            self.sets.iter().cloned().partition(|set| STORAGE.contains(&section(set)));
        flags.extend(self.data.as_ref().map(|data| format!("embedded.data={}", serde_json::json!(data))));
        flags.extend(self.shards.map(|shards| format!("shards={shards}")));
        flags.extend(self.backend.as_ref().map(|backend| format!("backend={backend}")));
        let sources = |flags| Sources { file: self.config.clone(), environment, flags, ..Sources::default() };
        let all = sources(flags);
        let settings = all.read_storage()?;
        if settings.backend == BackendKind::Servers && self.data.is_some() {
            bail!("--data is for the embedded backend, and the backend is servers: leave one of them out");
        }
        all.refuse_of_other_backend(settings.backend)?;
        Ok((settings, sources(own)))
    }
}

/// The part of a setting's name before its first dot.
fn section(set: &str) -> &str {
    set.split(['=', '.']).next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        storage: Storage,
    }

    fn read(flags: &[&str]) -> Result<(StorageSettings, Sources)> {
        let flags = std::iter::once(&"seeder").chain(flags);
        Alone::try_parse_from(flags).unwrap().storage.read_from(false)
    }

    fn error(flags: &[&str]) -> String {
        format!("{:#}", read(flags).unwrap_err())
    }

    #[test]
    fn without_flags_it_is_a_folder_with_four_shards() {
        let (settings, sources) = read(&[]).unwrap();
        assert_eq!((settings.backend, settings.shards.get()), (BackendKind::Embedded, 4));
        assert!(sources.flags.is_empty());
    }

    #[test]
    fn settings_go_to_the_servers_or_to_the_strategy() {
        let flags = ["--backend", "servers", "--set", "servers.namespace=shop", "--set", "range.spread=2"];
        let (settings, sources) = read(&flags).unwrap();
        assert_eq!((settings.backend, &*settings.servers.namespace), (BackendKind::Servers, "shop"));
        assert_eq!(sources.flags, ["range.spread=2"]);
    }

    #[test]
    fn a_file_says_all_of_it_and_flags_win() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("service.toml");
        let text = "listen = \"127.0.0.1:1\"\nbackend = \"servers\"\nshards = 8\n[servers]\nmain = \"mysql://h\"\n\
                    [range]\nspread = 3\n";
        std::fs::write(&file, text).unwrap();
        let (settings, sources) = read(&["--config", file.to_str().unwrap(), "--shards", "2"]).unwrap();
        assert_eq!((settings.backend, settings.shards.get()), (BackendKind::Servers, 2));
        assert_eq!(settings.servers.main.host(), "h");
        let family = coupon_strategies::REGISTER.family("range-time").unwrap();
        let error = family.configured(settings.shards, sources).unwrap_err();
        assert!(format!("{error:#}").contains("spread"), "the file's section counts: {error:#}");
    }

    #[test]
    fn what_has_no_effect_is_refused() {
        assert!(error(&["--backend", "servers", "--data", "d"]).contains("--data"));
        let error_of = error(&["--set", "servers.main=mysql://user:secret@h"]);
        assert!(error_of.contains("servers.main") && !error_of.contains("secret"), "{error_of}");
        assert!(error(&["--set", "backend=servers", "--set", "embedded.data=d"]).contains("embedded.data"));
        assert!(error(&["--set", "servers.colour=red"]).contains("colour"));
    }
}
