//! The conditions of a run: its time and its command line.

use coupon_cli::plain;
use coupon_store::settings::shown_arguments;

/// Now, for people and programs.
#[must_use]
pub fn now() -> String {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Second).unwrap_or(now).to_string()
}

/// The command line, without the folder that the program happens to be in, and without secrets.
pub fn command(mut arguments: impl Iterator<Item = String>) -> String {
    let own = arguments.next().unwrap_or_default();
    let own = own.rsplit('/').next().unwrap_or_default().to_owned();
    let quoted =
        shown_arguments(arguments).map(|argument| plain::line(&argument).into_owned()).map(|argument| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+,./:@".contains(c);
            if !argument.is_empty() && argument.chars().all(plain) {
                argument
            } else {
                format!("'{}'", argument.replace('\'', r"'\''"))
            }
        });
    std::iter::once(own).chain(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted_into_a_shell() {
        let arguments = ["/opt/bin/loadtest", "compare", "--shard-rtt", "1ms", "--out", "my report"];
        let command = command(arguments.iter().map(|&argument| argument.to_owned()));
        assert_eq!(command, "loadtest compare --shard-rtt 1ms --out 'my report'");
    }

    #[test]
    fn a_command_tells_no_secret_and_commands_no_terminal() {
        let main = "servers.main=mysql://u:s3cret@h:1";
        let arguments =
            ["loadtest", "compare", "--admin-token", "s3cret", "--set", main, "--out", "\u{1b}[2K"];
        let command = command(arguments.iter().map(|&argument| argument.to_owned()));
        assert!(command.contains("servers.main=mysql://(hidden)@h:1"), "{command}");
        assert!(!command.contains("s3cret") && !command.contains(char::is_control), "{command}");
    }
}
