//! Fenced blocks, and what their marks mean.

use crate::{Document, all, guides, ours};

/// Languages that are no commands.
const OTHER: [&str; 7] = ["csv", "http", "json", "rust", "sql", "text", "toml"];
/// Other people's programs that an indented block could name as commands, as it could ours, unseen by the tests.
const OTHERS: [&str; 4] = ["cargo", "make", "curl", "docker"];

/// The cost of running a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(crate) enum Cost {
    Quick,
    Slow,
    Docker,
}

/// Commands.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) line: usize,
    pub(crate) cost: Cost,
    pub(crate) service: bool,
    pub(crate) commands: String,
}

/// A line, with its number, and the mark of the block that it is in.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str, Option<String>)> {
    let mut inside: Option<String> = None;
    text.lines().enumerate().map(move |(number, line)| {
        if let Some(mark) = line.trim_start().strip_prefix("```") {
            let within = inside.take();
            if within.is_none() {
                inside = Some(mark.trim().to_owned());
            }
            // A fence is part of no block.
            return (number + 1, "", Some("fence".to_owned()).filter(|_| within.is_none()));
        }
        (number + 1, line, inside.clone())
    })
}

/// The commands of a document.
///
/// # Errors
/// Says where a mark is unknown.
pub(crate) fn blocks(document: &Document) -> Result<Vec<Block>, String> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (number, line, mark) in lines(&document.text) {
        let Some(mark) = mark.filter(|mark| mark != "fence") else {
            open = false;
            continue;
        };
        let Some((cost, service)) =
            meaning(&mark).map_err(|why| format!("{}:{}: {why}", document.path.display(), number - 1))?
        else {
            continue;
        };
        if !open {
            blocks.push(Block { line: number, cost, service, commands: String::new() });
            open = true;
        }
        let block = blocks.last_mut().ok_or("no block")?;
        block.commands.push_str(line);
        block.commands.push('\n');
    }
    Ok(blocks)
}

/// None for a language that is no command.
fn meaning(mark: &str) -> Result<Option<(Cost, bool)>, String> {
    match mark {
        "sh" => Ok(Some((Cost::Quick, false))),
        "sh service" => Ok(Some((Cost::Quick, true))),
        "sh slow" => Ok(Some((Cost::Slow, false))),
        "sh slow service" => Ok(Some((Cost::Slow, true))),
        "sh docker" => Ok(Some((Cost::Docker, false))),
        other if OTHER.contains(&other) => Ok(None),
        "" => Err("a fence without a language: say sh, or text".to_owned()),
        other => Err(format!("the mark {other:?} is unknown: see loadtest/tests/documents/main.rs")),
    }
}

#[test]
fn every_fence_has_a_mark_that_is_known() {
    let unknown: Vec<String> = guides().iter().filter_map(|document| blocks(document).err()).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn no_command_hides_in_an_indented_block() {
    for document in all() {
        for (number, line, mark) in lines(&document.text) {
            // A name with spaces after it begins a row of a map.
            let command = line.strip_prefix("    ").filter(|line| !line.contains("  ")).unwrap_or_default();
            let first = command.split(' ').next().unwrap_or_default();
            let hidden = mark.is_none() && (OTHERS.contains(&first) || ours().any(|name| name == first));
            assert!(!hidden, "{}:{number}: put it into a fence: {line}", document.path.display());
        }
    }
}

#[test]
fn a_mark_that_nobody_knows_is_an_error_that_names_its_line() {
    let document =
        |mark: &str| Document { path: "x.md".into(), text: format!("words\n```{mark}\ntrue\n```\n") };
    assert_eq!(blocks(&document("sh slow")).unwrap()[0].cost, Cost::Slow);
    assert!(blocks(&document("toml")).unwrap().is_empty());
    for mark in ["sh later", "bash", ""] {
        assert!(blocks(&document(mark)).unwrap_err().starts_with("x.md:2: "), "{mark}");
    }
}
