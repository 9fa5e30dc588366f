//! The sources of settings, and the naming of a wrong one.

use std::fs;
use std::path::{Path, PathBuf};

use config::builder::DefaultState;
use config::{
    Config, ConfigBuilder, Environment, File, FileFormat, FileSourceString, Map, Source as _, Value,
    ValueKind,
};
use serde::de::DeserializeOwned;

use super::files::read_secrets;
use super::shown::{shown, without_source};
use super::{BackendKind, Settings, StorageSettings};

const DEFAULTS: &str = include_str!("defaults.toml");
/// The standard variable for the collector's address.
const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// A text of settings in TOML.
type TomlText = File<FileSourceString, FileFormat>;

/// Settings that cannot be used. The message names the setting.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file or a flag that could not be read at all.
    #[error("{from}: {error}")]
    Source {
        /// The file or flag.
        from: String,
        /// The reader's words.
        error: String,
    },
    /// A setting that is unknown, of the wrong type, or out of range.
    #[error("setting `{setting}`: {error}")]
    Setting {
        /// The setting, by its full name.
        setting: String,
        /// The fault.
        error: String,
    },
}

/// The sources of settings; later ones win.
#[derive(Debug, Default)]
pub struct Sources {
    /// Defaults of this service, over those that all services share: `key = value` in TOML.
    pub service_defaults: String,
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// True if the environment's `COUPON__…` counts.
    pub environment: bool,
    /// Flags, as `key=value`: a list or quoted text as TOML writes them, or else the text as it is.
    pub flags: Vec<String>,
    /// The name of such a flag, where it is not `--set`.
    pub called: &'static str,
}

impl Sources {
    /// The name of a flag.
    #[must_use]
    pub const fn flag(&self) -> &'static str {
        if self.called.is_empty() { "--set" } else { self.called }
    }
}

impl Sources {
    /// Reads all of them: the settings, and the strategy's own section.
    ///
    /// # Errors
    /// [`SettingsError`], naming what is wrong.
    pub fn read<S: DeserializeOwned + Default>(&self, section: &str) -> Result<(Settings, S), SettingsError> {
        let (settings, own) = self.read_beside(section)?;
        Ok((settings, deserialize(section, own)?))
    }

    /// Reads all but the strategy's own section, which is handed on as it is. Apart, so that the settings' reader is
    /// not compiled again for every strategy.
    fn read_beside(&self, section: &str) -> Result<(Settings, Value), SettingsError> {
        let mut table = self.table()?;
        let own = table.remove(section).unwrap_or_else(empty);
        read_secrets(&mut table)?;
        let mut settings: Settings = deserialize("", table_value(table))?;
        settings.servers.hand_out_ca();
        if self.environment && settings.telemetry.otlp_endpoint.is_empty() {
            settings.telemetry.otlp_endpoint = std::env::var(OTLP_ENDPOINT).unwrap_or_default();
        }
        Ok((settings, own))
    }

    /// Reads only where data lives, whatever else is set: for tools that write the data of a service without serving
    /// it, and share its file and environment.
    ///
    /// # Errors
    /// [`SettingsError`], naming what is wrong.
    pub fn read_storage(&self) -> Result<StorageSettings, SettingsError> {
        let mut table = self.table()?;
        table.retain(|key, _| StorageSettings::KEYS.contains(&key.as_str()));
        // Other programs' secrets may be in files that the user of this tool cannot read.
        read_secrets(&mut table)?;
        let mut settings: StorageSettings = deserialize("", table_value(table))?;
        settings.servers.hand_out_ca();
        Ok(settings)
    }

    /// Refuses a flag of the section that only the other backend reads. A file and the environment may be shared by programs on
    /// either; a flag is given to this program alone.
    ///
    /// # Errors
    /// [`SettingsError`], naming the setting.
    pub fn refuse_of_other_backend(&self, backend: BackendKind) -> Result<(), SettingsError> {
        let (is, other) = match backend {
            BackendKind::Embedded => ("embedded", "servers"),
            BackendKind::Servers => ("servers", "embedded"),
        };
        match self.keys().find(|key| key.split('.').next() == Some(other)) {
            None => Ok(()),
            Some(key) => {
                let error = format!(
                    "it has no effect, since the backend is {is}: leave it out, or choose the other one with backend={other}"
                );
                Err(SettingsError::Setting { setting: key.to_owned(), error })
            }
        }
    }

    /// Refuses a flag that says where the shards are which another strategy has: those of an engine are its own, and others are
    /// run by hand. A file and the environment may be shared here, too.
    ///
    /// # Errors
    /// [`SettingsError`], naming the setting.
    pub fn refuse_of_other_shards(&self, of_engine: bool) -> Result<(), SettingsError> {
        let (other, why) = match of_engine {
            true => ("servers.shards", "an engine has the shards of this strategy"),
            false => ("servers.engine", "the shards of this strategy are those of servers.shards"),
        };
        match self.keys().find(|key| key.strip_suffix("_file").unwrap_or(key) == other) {
            None => Ok(()),
            Some(key) => {
                let error = format!("it has no effect, since {why}: leave it out");
                Err(SettingsError::Setting { setting: key.to_owned(), error })
            }
        }
    }

    /// The flags' settings, without their values, which may hold a password.
    fn keys(&self) -> impl Iterator<Item = &str> {
        self.flags.iter().filter_map(|flag| Some(flag.split_once('=')?.0.trim()))
    }

    /// Reads only the strategy's own section, whatever else is set.
    ///
    /// # Errors
    /// [`SettingsError`], naming what is wrong.
    pub fn read_section<S: DeserializeOwned>(&self, section: &str) -> Result<S, SettingsError> {
        deserialize(section, self.table()?.remove(section).unwrap_or_else(empty))
    }

    fn table(&self) -> Result<Map<String, Value>, SettingsError> {
        let mut builder = Config::builder()
            .add_source(File::from_str(DEFAULTS, FileFormat::Toml))
            .add_source(File::from_str(&self.service_defaults, FileFormat::Toml));
        if let Some(file) = &self.file {
            builder = builder.add_source(text_of(file)?);
        }
        if self.environment {
            builder =
                builder.add_source(Environment::with_prefix("COUPON").prefix_separator("__").separator("__"));
        }
        merged(builder, &self.flags)
    }
}

/// The text of a settings file. It is read as TOML here already: later the source of a fault would not be known.
fn text_of(file: &Path) -> Result<TomlText, SettingsError> {
    let wrong = |error: String| SettingsError::Source { from: file.display().to_string(), error };
    let text = fs::read_to_string(file)
        .map_err(|error| wrong(format!("cannot read this file of settings: {error}")))?;
    let source = File::from_str(&text, FileFormat::Toml);
    source.collect().map_err(|error| wrong(without_source(&error.to_string())))?;
    Ok(source)
}

/// All of the sources, with flags over them.
fn merged(
    mut builder: ConfigBuilder<DefaultState>,
    flags: &[String],
) -> Result<Map<String, Value>, SettingsError> {
    for flag in flags {
        builder = builder.add_source(flag_as_toml(flag)?);
    }
    builder.build().and_then(|config| config.cache.into_table()).map_err(|error| whole(&error))
}

fn empty() -> Value {
    table_value(Map::new())
}

/// Reads one strategy's section from flags alone, as tools do that place rows without starting a service.
///
/// # Errors
/// [`SettingsError`], naming what is wrong; a setting of any other section is.
pub fn section<S: DeserializeOwned>(section: &str, flags: &[String]) -> Result<S, SettingsError> {
    let mut table = merged(Config::builder(), flags)?;
    let own = table.remove(section).unwrap_or_else(empty);
    match table.into_keys().next() {
        Some(other) => {
            let error = format!("only settings of [{section}] decide where rows live");
            Err(SettingsError::Setting { setting: other, error })
        }
        None => deserialize(section, own),
    }
}

fn table_value(table: Map<String, Value>) -> Value {
    Value::new(None, ValueKind::Table(table))
}

fn whole(error: &config::ConfigError) -> SettingsError {
    SettingsError::Source { from: "settings".to_owned(), error: without_source(&error.to_string()) }
}

/// `range.by=room` as TOML. A list or a quoted text is written as TOML has them, a lone word as it is: its setting says
/// whether it is a number, so that a token may look like one.
fn flag_as_toml(flag: &str) -> Result<TomlText, SettingsError> {
    let bad = |error: &str| SettingsError::Source {
        from: format!("--set {}", shown(flag)),
        error: error.to_owned(),
    };
    let (key, value) =
        flag.split_once('=').ok_or_else(|| bad("give key=value, for example range.by=room"))?;
    let (key, value) = (key.trim(), value.trim());
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
    if key.is_empty() || !key.chars().all(plain) || key.split('.').any(str::is_empty) {
        return Err(bad("the key must be letters, digits and dots"));
    }
    let is_toml = value.starts_with(['[', '"', '\'']);
    let toml = if is_toml { value.to_owned() } else { ValueKind::String(value.to_owned()).quoted() };
    let source = File::from_str(&format!("{key} = {toml}"), FileFormat::Toml);
    source.collect().map_err(|error| {
        let error = error.to_string();
        let why = error.trim_end().lines().next_back().unwrap_or_default();
        let error = format!("a list or a quoted text as TOML writes them is needed: {why}");
        SettingsError::Setting { setting: key.to_owned(), error }
    })?;
    Ok(source)
}

trait Quoted {
    fn quoted(&self) -> String;
}

impl Quoted for ValueKind {
    /// JSON's way to quote a string is one of TOML's.
    fn quoted(&self) -> String {
        serde_json::Value::String(self.to_string()).to_string()
    }
}

fn deserialize<T: DeserializeOwned>(section: &str, value: Value) -> Result<T, SettingsError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let named = match (section, path.as_str()) {
            ("", path) => path.to_owned(),
            (section, ".") => section.to_owned(),
            (section, path) => format!("{section}.{path}"),
        };
        SettingsError::Setting { setting: named, error: plain_words(&error.inner().to_string()) }
    })
}

/// The library's words for settings that are whole numbers, and which ones those are.
const WHOLE: [(&str, &str); 6] = [
    ("an integer", "of 0 or more"),
    ("an unsigned 64 bit or less integer", "of 0 or more"),
    ("an unsigned 64 bit integer", "of 0 or more"),
    ("an unsigned 32 bit integer", "from 0 to 4294967295"),
    ("an unsigned 16 bit integer", "from 0 to 65535"),
    ("an unsigned 8 bit integer", "from 0 to 255"),
];

/// The words of a library about a value, without those that only its types explain.
fn plain_words(error: &str) -> String {
    if let Some((found, _)) = error.split_once(", expected a nonzero ") {
        return format!("{found}, expected 1 or more");
    }
    if let Some((found, kind)) = error.split_once(", expected ") {
        let kind = kind.split(" for key ").next().unwrap_or_default();
        if let Some((_, numbers)) = WHOLE.iter().find(|(whole, _)| *whole == kind) {
            return format!("{found}, expected a whole number {numbers}");
        }
    }
    error.replacen("unknown variant", "unknown value", 1).replacen(
        "invalid socket address syntax",
        "give an address and a port, as 127.0.0.1:8001",
        1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::NoSettings;

    fn read(flags: &[&str]) -> Result<Settings, SettingsError> {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let service_defaults = "listen = \"127.0.0.1:8001\"".to_owned();
        Sources { flags, service_defaults, ..Sources::default() }
            .read::<NoSettings>("own")
            .map(|(settings, _)| settings)
    }

    #[test]
    fn without_any_source_the_defaults_hold() {
        let settings = read(&[]).unwrap();
        assert_eq!((settings.backend, settings.shards.get()), (BackendKind::Embedded, 4));
        assert_eq!(settings.cache.room_stats_ms, 0);
    }

    #[test]
    fn a_flag_of_the_other_backend_is_refused_without_its_value() {
        let refused = |backend, flag: &str| {
            let sources = Sources { flags: vec![flag.to_owned()], ..Sources::default() };
            sources.refuse_of_other_backend(backend).map_err(|error| error.to_string())
        };
        let of_servers = refused(BackendKind::Embedded, "servers.main=mysql://u:s3cret@h").unwrap_err();
        assert!(of_servers.contains("`servers.main`") && !of_servers.contains("s3cret"), "{of_servers}");
        assert!(refused(BackendKind::Servers, "embedded.data=d").unwrap_err().contains("`embedded.data`"));
        for (backend, flag) in [
            (BackendKind::Servers, "servers.namespace=shop"),
            (BackendKind::Embedded, "embedded.data=d"),
            (BackendKind::Embedded, "range.by=servers.main"),
        ] {
            assert_eq!(refused(backend, flag), Ok(()), "{flag}");
        }
    }

    #[test]
    fn a_flag_of_the_other_shards_is_refused_without_its_value() {
        let refused = |of_engine, flag: &str| {
            let sources = Sources { flags: vec![flag.to_owned()], ..Sources::default() };
            sources.refuse_of_other_shards(of_engine).map_err(|error| error.to_string())
        };
        for (of_engine, flag) in [
            (false, "servers.engine=mysql://u:s3cret@h/k"),
            (true, "servers.shards=mysql://u:s3cret@h"),
            (true, "servers.shards_file=s3cret"),
        ] {
            let error = refused(of_engine, flag).unwrap_err();
            assert!(error.contains(flag.split('=').next().unwrap()) && !error.contains("s3cret"), "{error}");
            assert_eq!(refused(!of_engine, flag), Ok(()), "{flag}");
        }
        assert_eq!(refused(true, "servers.main=mysql://u:s3cret@h"), Ok(()));
    }

    #[test]
    fn a_flag_wins_and_strings_need_no_quotes() {
        let settings =
            read(&["shards=8", "embedded.data=/tmp/some where", "admin.token=12345", "log.level=debug"])
                .unwrap();
        assert_eq!(settings.shards.get(), 8);
        assert_eq!(settings.embedded.data, PathBuf::from("/tmp/some where"));
        assert_eq!(settings.admin.token.expose(), "12345");
    }

    #[test]
    fn a_text_that_looks_like_a_number_stays_as_it_is() {
        for text in ["1e5", "1.50", "+5", "007", "00112233445566778899001122334455", "true", "NaN", "-0"] {
            let settings = read(&[&format!("admin.token={text}")]).unwrap();
            assert_eq!(settings.admin.token.expose(), text);
        }
        assert_eq!(read(&["servers.namespace=007"]).unwrap().servers.namespace, "007");
    }

    #[test]
    fn numbers_and_switches_are_read_of_plain_text() {
        let settings = read(&["shards=+5", "bench.echo=true", "simulate.shard_rtt_ms=1.50"]).unwrap();
        assert_eq!((settings.shards.get(), settings.bench.echo), (5, true));
        assert!((settings.simulate.shard_rtt_ms - 1.5).abs() < f64::EPSILON);
    }

    #[test]
    fn what_a_setting_must_be_is_told_in_plain_words() {
        for (flag, words) in [
            ("shards=0", "expected 1 or more"),
            ("grab.shard_backlog=-1", "expected a whole number of 0 or more"),
            ("limits.user_grabs_per_s=5000000000", "expected a whole number from 0 to 4294967295"),
            ("listen=nowhere", "give an address and a port"),
            ("servers.shards=[\"a\"", "setting `servers.shards`: a list or a quoted text"),
            ("admin.token='a", "setting `admin.token`: a list or a quoted text"),
        ] {
            let error = read(&[flag]).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains("nonzero"), "{flag}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named_once() {
        let sources = Sources { file: Some("no/file.toml".into()), ..Sources::default() };
        let error = sources.read_storage().unwrap_err().to_string();
        assert!(
            error.starts_with("no/file.toml: cannot read this file of settings: No such file"),
            "{error}"
        );
        assert_eq!(error.matches("no/file.toml").count(), 1, "{error}");
    }

    #[test]
    fn a_wrong_setting_is_named() {
        for (flag, named) in [
            ("shards=0", "shards"),
            ("shards=many", "shards"),
            ("shards=1.5", "shards"),
            ("shards=1e1", "shards"),
            ("limits.user_grabs_per_s=NaN", "limits.user_grabs_per_s"),
            ("grab.batch_max=-1", "grab.batch_max"),
            ("grab.colour=red", "colour"),
            ("colour=red", "colour"),
            ("backend=oracle", "backend"),
            ("listen=nowhere", "listen"),
            ("own.thing=1", "thing"),
        ] {
            let error = read(&[flag]).unwrap_err().to_string();
            assert!(error.contains(named), "{flag}: {error}");
        }
    }

    #[test]
    fn a_word_that_is_no_choice_is_answered_with_the_choices() {
        for (flag, choices) in [
            ("backend=oracle", ["`embedded`", "`servers`"]),
            ("servers.role=apy", ["`api`", "`consumer`"]),
            ("log.format=yaml", ["`text`", "`json`"]),
        ] {
            let error = read(&[flag]).unwrap_err().to_string();
            let (setting, given) = flag.split_once('=').unwrap();
            assert!(error.contains(&format!("setting `{setting}`: unknown value `{given}`")), "{error}");
            assert!(choices.iter().all(|choice| error.contains(choice)), "{flag}: {error}");
        }
        assert_eq!(read(&["backend=Servers"]).unwrap().backend, BackendKind::Servers);
    }

    #[test]
    fn where_data_lives_can_be_read_beside_any_other_section() {
        let flags = [
            "backend=servers",
            "shards=8",
            "servers.namespace=shop",
            "range.spread=2",
            "admin.token_file=/none",
        ];
        let sources = Sources { flags: flags.map(str::to_owned).to_vec(), ..Sources::default() };
        let storage = sources.read_storage().unwrap();
        assert_eq!((storage.backend, storage.shards.get()), (BackendKind::Servers, 8));
        assert_eq!(storage.servers.namespace, "shop");
        let error = sources.read_section::<NoSettings>("range").unwrap_err().to_string();
        assert!(error.contains("range.spread"), "{error}");
        assert!(sources.read_section::<NoSettings>("hash").is_ok());
        let wrong = Sources { flags: vec!["servers.colour=red".to_owned()], ..Sources::default() };
        assert!(wrong.read_storage().unwrap_err().to_string().contains("colour"));
    }

    #[test]
    fn a_flag_that_is_no_setting_is_refused() {
        assert!(read(&["shards"]).is_err());
        assert!(read(&["=4"]).is_err());
        assert!(read(&["a b=4"]).is_err());
    }

    #[test]
    fn a_token_is_never_printed() {
        let settings = read(&["admin.token=secret-word"]).unwrap();
        assert!(!format!("{settings:?}").contains("secret-word"));
    }
}
