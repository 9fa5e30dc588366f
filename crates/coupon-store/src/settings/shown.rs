//! Settings as they may be shown: in an error, a report, a log.

/// The text that stands for a secret.
const HIDDEN: &str = "(hidden)";
/// Words in the names of settings and flags that are secrets.
const SECRET: [&str; 3] = ["token", "secret", "password"];
/// The settings that hold addresses, with user and password.
const ADDRESSES: [&str; 5] =
    ["servers.main", "servers.shards", "servers.redis", "servers.rabbitmq", "servers.engine"];

/// A `key=value`, as it may be shown: a secret without its value, an address without user and password. Other text
/// is shown as it is, but for addresses.
#[must_use]
pub fn shown(setting: &str) -> String {
    let Some((key, value)) = setting.split_once('=') else { return without_logins(setting) };
    let name = key.trim();
    if is_secret(name) {
        return format!("{key}={HIDDEN}");
    }
    // What is no address yet, for want of its scheme, may have its password all the same.
    if ADDRESSES.contains(&name) && !value.contains("://") && value.contains('@') {
        return format!("{key}={HIDDEN}");
    }
    format!("{key}={}", without_logins(value))
}

/// A command line, as it may be shown: each argument as [`shown`] has it, and no value of a flag for a secret.
pub fn shown_arguments(arguments: impl IntoIterator<Item = String>) -> impl Iterator<Item = String> {
    let mut is_value_of_secret = false;
    arguments.into_iter().map(move |argument| {
        if std::mem::take(&mut is_value_of_secret) {
            return HIDDEN.to_owned();
        }
        match argument.strip_prefix("--").map(|flag| flag.split_once('=')) {
            Some(None) => {
                is_value_of_secret = is_secret(&argument);
                argument
            }
            Some(Some(("set", setting))) => format!("--set={}", shown(setting)),
            Some(Some(_)) | None => shown(&argument),
        }
    })
}

/// An error about text in TOML, in one line and without that text: any part of it may be a secret.
pub(super) fn without_source(error: &str) -> String {
    let is_source =
        |line: &&str| line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit()).starts_with('|');
    error.lines().filter(|line| !is_source(line)).collect::<Vec<_>>().join(": ")
}

/// Named as a secret, and not as a file that holds one.
fn is_secret(name: &str) -> bool {
    !name.ends_with("_file") && SECRET.iter().any(|word| name.to_ascii_lowercase().contains(word))
}

/// Text whose addresses show neither user nor password. A password may hold anything that ends an address, so that what is hidden
/// goes on to the last sign that can end it.
fn without_logins(text: &str) -> String {
    const SCHEME: &str = "://";
    let mut parts = text.split(SCHEME);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown.push_str(SCHEME);
        match part.rsplit_once('@') {
            Some((_, host)) => shown.extend([HIDDEN, "@", host]),
            None => shown.push_str(part),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Sources;

    #[test]
    fn secrets_and_logins_are_hidden_and_all_else_is_shown() {
        for (setting, wanted) in [
            ("admin.token=abc", "admin.token=(hidden)"),
            ("users.token_secret = a=b", "users.token_secret =(hidden)"),
            ("admin.token_file=/run/token", "admin.token_file=/run/token"),
            ("servers.main=mysql://u:p@ss/w?@db:3306/x", "servers.main=mysql://(hidden)@db:3306/x"),
            (
                "servers.shards=[\"mysql://u:p@h:1\", \"mysql://u:q@h:2\"]",
                "servers.shards=[\"mysql://(hidden)@h:1\", \"mysql://(hidden)@h:2\"]",
            ),
            ("servers.redis=:pass@h", "servers.redis=(hidden)"),
            ("servers.redis=redis://h:1", "servers.redis=redis://h:1"),
            (
                "servers.redis=redis+sentinel://:p@h:1,i:1/m",
                "servers.redis=redis+sentinel://(hidden)@h:1,i:1/m",
            ),
            ("servers.engine=mysql://u:p@h:1/results", "servers.engine=mysql://(hidden)@h:1/results"),
            ("servers.engine=u:p@h:1/results", "servers.engine=(hidden)"),
            ("range.by=room", "range.by=room"),
            ("mysql://u:p@h", "mysql://(hidden)@h"),
        ] {
            assert_eq!(shown(setting), wanted);
        }
    }

    #[test]
    fn a_command_line_tells_no_secret_however_it_was_given() {
        let given = [
            "loadtest",
            "--admin-token",
            "s3cret",
            "--admin-token=s3cret",
            "--set",
            "admin.token=s3cret",
            "--set=users.token_secret=s3cret",
            "--set=servers.main=mysql://u:s3cret@h:1",
            "--token",
            "--s3cret",
            "--out",
            "there",
        ];
        let told: Vec<String> = shown_arguments(given.map(str::to_owned)).collect();
        assert!(!told.concat().contains("s3cret"), "{told:?}");
        assert_eq!((told.len(), told[7].as_str()), (given.len(), "--set=servers.main=mysql://(hidden)@h:1"));
        assert_eq!(told[10..], ["--out", "there"]);
    }

    #[test]
    fn a_setting_that_cannot_be_read_is_refused_without_its_secret() {
        for flag in [
            "servers.main=\"mysql://u:s3cret@h:1",
            "servers.shards=[\"mysql://u:s3cret@h:1\"",
            "admin.token=[\"s3cret\"]",
            "admin.token='s3cret",
            "servers.main mysql://u:s3cret@h:1",
            "servers main=mysql://u:s3cret@h:1",
        ] {
            let sources = Sources { flags: vec![flag.to_owned()], ..Sources::default() };
            let service_defaults = "listen = \"127.0.0.1:8001\"".to_owned();
            let error = Sources { service_defaults, ..sources }
                .read::<crate::settings::NoSettings>("own")
                .unwrap_err();
            let error = error.to_string();
            assert!(!error.contains("s3cret") && !error.contains('\n'), "{flag}: {error}");
        }
    }

    #[test]
    fn a_settings_file_that_cannot_be_read_is_refused_without_its_secrets() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[servers]\nmain = \"mysql://u:s3cret@h:1\n").unwrap();
        let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
        let error = sources.read_storage().unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("s3cret") && !error.contains('\n'), "{error}");
    }
}
