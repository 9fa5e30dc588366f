//! Outputs that documents show whole: each is what its command says today. Most outputs in documents are a part, or of a day;
//! those below this mark are the same wherever and whenever the command before them is run.

use std::process::Command;

use crate::blocks::{Cost, lines};
use crate::session::programs;
use crate::{Document, all};

const MARK: &str = "<!-- all that it says: -->";

/// An output, and the command that it is of.
#[derive(Debug, Default, PartialEq, Eq)]
struct Output {
    /// The line of the mark.
    line: usize,
    command: String,
    text: String,
}

fn outputs(document: &Document) -> Vec<Output> {
    let (mut found, mut command, mut open) = (Vec::new(), String::new(), None::<Output>);
    for (number, line, mark) in lines(&document.text) {
        match (mark.as_deref(), &mut open) {
            (Some("sh"), _) => command = line.to_owned(),
            (None, None) if line == MARK => {
                open = Some(Output { line: number, command: command.clone(), ..Output::default() });
            }
            (Some("text"), Some(output)) => {
                output.text.push_str(line);
                output.text.push('\n');
            }
            (None, Some(output)) if !output.text.is_empty() => found.extend(open.take()),
            _ => {}
        }
    }
    found.extend(open);
    found
}

/// The output of a command as a document has it, or why there is none.
fn said(command: &str) -> Result<String, String> {
    let words: Vec<&str> =
        command.strip_prefix("cargo ").unwrap_or(command).split_ascii_whitespace().collect();
    let (program, arguments) = words.split_first().ok_or("no command comes before it")?;
    let mut run = Command::new(programs(Cost::Quick).join(program));
    let output = run.args(arguments).env_remove("COLUMNS").output().map_err(|error| error.to_string())?;
    let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(text.into_owned()) } else { Err(error.into_owned()) }
}

fn stale(document: &Document) -> Vec<String> {
    let place = |output: &Output| format!("{}:{}", document.path.display(), output.line);
    let differs = |output: Output| match said(&output.command) {
        Ok(text) if text == output.text => None,
        Ok(text) => Some(format!("{}: {} says now:\n{text}", place(&output), output.command)),
        Err(why) => Some(format!("{}: {}: {why}", place(&output), output.command)),
    };
    outputs(document).into_iter().filter_map(differs).collect()
}

#[test]
fn every_output_that_is_shown_whole_is_what_its_command_says() {
    let documents = all();
    assert!(documents.iter().any(|document| !outputs(document).is_empty()));
    let stale: Vec<String> = documents.iter().flat_map(stale).collect();
    assert!(stale.is_empty(), "{}", stale.join("\n"));
}

#[test]
fn an_output_that_differs_and_a_command_that_fails_are_found() {
    let document = |command: &str| Document {
        path: "x.md".into(),
        text: format!("```sh\n{command}\n```\n\n{MARK}\n```text\nan answer\n```\n\n```text\nmore\n```\n"),
    };
    let differs = document("cargo loadtest --version");
    assert_eq!(outputs(&differs)[0].text, "an answer\n");
    assert!(stale(&differs)[0].starts_with("x.md:5: cargo loadtest --version says now:\nloadtest "));
    assert!(stale(&document("cargo loadtest no-such"))[0].contains("no-such"));
}
