//! The commands, run.

use std::io::{self, Write as _};

use crate::blocks::{Block, Cost, blocks};
use crate::session::Session;
use crate::{Document, guides};

/// Runs each document's blocks that cost no more, and says which were left out.
fn run(cost: Cost, wanted: impl Fn(&[Block]) -> bool) {
    let mut failed = Vec::new();
    for document in guides() {
        let blocks = blocks(&document).unwrap();
        if wanted(&blocks) {
            failed.extend(run_one(&document, &blocks, cost).err());
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn run_one(document: &Document, blocks: &[Block], cost: Cost) -> Result<(), String> {
    let mut session = Session::new(cost);
    for block in blocks {
        let place = format!("{}:{}", document.path.display(), block.line);
        let first = block.commands.lines().next().unwrap_or_default();
        let runs = if cost == Cost::Docker { block.cost == Cost::Docker } else { block.cost <= cost };
        if !runs {
            say(&format!("left out, {:?}: {place}: {first}", block.cost));
            continue;
        }
        say(&format!("run: {place}: {first}"));
        session.run(block).map_err(|why| format!("{place}: {why}\n{}", block.commands))?;
    }
    Ok(())
}

/// Past the capture of the test runner: what was not run must not be a secret.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[test]
fn the_quick_commands_of_the_documents_work() {
    run(Cost::Quick, |blocks| !blocks.is_empty());
}

#[test]
#[ignore = "compiles, seeds and compares for minutes: make test-docs"]
fn the_slow_commands_of_the_documents_work() {
    run(Cost::Slow, |blocks| blocks.iter().any(|block| block.cost == Cost::Slow));
}

#[test]
#[ignore = "wants Docker: make test-docs-docker"]
fn the_commands_for_docker_work() {
    run(Cost::Docker, |blocks| blocks.iter().any(|block| block.cost == Cost::Docker));
}

#[test]
fn a_command_that_fails_fails_its_document_and_says_where() {
    let text = "```sh\nexport WORD=hello\n```\n\n```sh\necho \"$WORD\" | grep -q hello\nfalse\ntrue\n```\n";
    let document = Document { path: "x.md".into(), text: text.to_owned() };
    let error = run_one(&document, &blocks(&document).unwrap(), Cost::Quick).unwrap_err();
    assert!(error.starts_with("x.md:6: failed"), "{error}");
}

#[test]
fn a_block_that_would_compile_is_not_quick() {
    let document = Document { path: "x.md".into(), text: "```sh\ncargo build\n```\n".to_owned() };
    let error = run_one(&document, &blocks(&document).unwrap(), Cost::Quick).unwrap_err();
    assert!(error.contains("mark the block slow"), "{error}");
}
