//! Secrets that are read from files, as container platforms and service managers hand them over.

use std::fs;

use config::{Map, Value, ValueKind};

use super::SettingsError;

/// The settings that may be read from a file: `admin.token_file` names the file with `admin.token`.
const SECRETS: [(&str, &str); 7] = [
    ("admin", "token"),
    ("users", "token_secret"),
    ("servers", "main"),
    ("servers", "shards"),
    ("servers", "redis"),
    ("servers", "rabbitmq"),
    ("servers", "engine"),
];

/// Puts what the files hold, but for the end of the last line, in the place of their names.
pub(super) fn read_secrets(settings: &mut Map<String, Value>) -> Result<(), SettingsError> {
    for (section, name) in SECRETS {
        let Some(ValueKind::Table(section_table)) = settings.get_mut(section).map(|value| &mut value.kind)
        else {
            continue;
        };
        let Some(file) = section_table.remove(&format!("{name}_file")) else { continue };
        let setting = format!("{section}.{name}_file");
        let wrong = |error: String| SettingsError::Setting { setting: setting.clone(), error };
        let file = file.into_string().map_err(|_| wrong("give the name of a file".to_owned()))?;
        if file.is_empty() {
            continue;
        }
        if section_table.get(name).is_some_and(|value| !is_empty(value)) {
            return Err(wrong(format!("`{section}.{name}` is set as well: leave one of them out")));
        }
        let text =
            fs::read_to_string(&file).map_err(|error| wrong(format!("cannot read {file}: {error}")))?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(wrong(format!("{file} is empty")));
        }
        section_table.insert(name.to_owned(), Value::new(None, ValueKind::String(text.to_owned())));
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    match &value.kind {
        ValueKind::Nil => true,
        ValueKind::String(text) => text.is_empty(),
        ValueKind::Array(list) => list.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::settings::{NoSettings, Settings, SettingsError, Sources};

    fn read(flags: &[String]) -> Result<Settings, SettingsError> {
        let service_defaults = "listen = \"127.0.0.1:8001\"".to_owned();
        let sources = Sources { flags: flags.to_vec(), service_defaults, ..Sources::default() };
        sources.read::<NoSettings>("own").map(|(settings, _)| settings)
    }

    fn file(dir: &Path, name: &str, text: &str) -> String {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    #[test]
    fn every_secret_may_come_from_a_file_and_none_is_printed() {
        let dir = tempfile::tempdir().unwrap();
        let secret = |name: &str, text: &str| format!("{name}_file={}", file(dir.path(), name, text));
        let settings = read(&[
            secret("admin.token", "s3cret-a\n"),
            secret("users.token_secret", "s3cret-b, with two spaces  "),
            secret("servers.main", "mysql://u:s3cret-c@main:1\r\n"),
            secret("servers.shards", "mysql://u:s3cret-d@one:1\nmysql://u:s3cret-e@two:2\n"),
            secret("servers.redis", "redis://:s3cret-f@redis:3\n"),
            secret("servers.rabbitmq", "amqp://u:s3cret-g@rabbit:4/%2f,amqp://u:s3cret-g@rabbit:5/%2f\n"),
            secret("servers.engine", "mysql://u:s3cret-h@engine:5/results\n"),
        ])
        .unwrap();
        assert_eq!(settings.admin.token.expose(), "s3cret-a");
        assert_eq!(settings.users.token_secret.expose(), "s3cret-b, with two spaces  ");
        assert_eq!(settings.servers.main.expose(), "mysql://u:s3cret-c@main:1");
        let shards: Vec<&str> = settings.servers.shards.iter().map(|shard| shard.host()).collect();
        assert_eq!(shards, ["one:1", "two:2"]);
        assert_eq!(settings.servers.redis[0].host(), "redis:3");
        let nodes: Vec<&str> = settings.servers.rabbitmq.iter().map(|node| node.host()).collect();
        assert_eq!(nodes, ["rabbit:4", "rabbit:5"]);
        assert_eq!((settings.servers.engine.host(), settings.servers.engine.name()), ("engine:5", "results"));
        let printed = format!("{settings:?} {settings:#?}");
        assert!(!printed.contains("s3cret") && printed.contains("(hidden)"), "{printed}");
    }

    #[test]
    fn a_secret_file_that_cannot_be_used_is_named_and_not_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let (good, empty) = (file(dir.path(), "good", "s3cret"), file(dir.path(), "empty", "\n"));
        for (flags, says) in [
            (vec![format!("admin.token_file={}/none", dir.path().display())], "cannot read"),
            (vec![format!("admin.token_file={empty}")], "is empty"),
            (
                vec![format!("admin.token_file={good}"), "admin.token=s3cret".to_owned()],
                "leave one of them out",
            ),
            (vec!["admin.token_file=[1]".to_owned()], "name of a file"),
        ] {
            let error = read(&flags).unwrap_err().to_string();
            assert!(error.contains("admin.token_file") && error.contains(says), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        assert!(read(&["admin.token_file=".to_owned()]).unwrap().admin.token.is_empty());
        // Only secrets have files.
        assert!(read(&["log.level_file=x".to_owned()]).unwrap_err().to_string().contains("level_file"));
    }
}
