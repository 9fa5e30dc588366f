//! Links: each leads to a file that is there, and to a heading in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::blocks::lines;
use crate::{Document, all, root};

/// The targets of a document's links, with their lines. Code is not looked into.
fn links(document: &Document) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line, mark) in lines(&document.text) {
        if mark.is_some() {
            continue;
        }
        // Every second part is between backquotes.
        let prose: String = line.split('`').step_by(2).collect();
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        found.extend(targets.map(|target| (number, target.to_owned())));
    }
    found
}

/// The names of the headings in links, as GitHub has them.
fn anchors(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let headings = lines(text).filter(|(_, line, mark)| mark.is_none() && line.starts_with('#'));
    let names = headings.map(|(_, line, _)| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
    });
    names
        .map(|name| {
            let count = seen.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 { name } else { format!("{name}-{}", *count - 1) }
        })
        .collect()
}

/// The fault of a link, if it has one.
fn broken(document: &Document, target: &str) -> Option<String> {
    if target.starts_with("https://") || target.starts_with("http://") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let here = document.path.parent().unwrap_or(Path::new(""));
    let path = root().join(if file.is_empty() { document.path.clone() } else { here.join(file) });
    if !path.exists() {
        return Some("leads nowhere".to_owned());
    }
    if anchor.is_empty() {
        return None;
    }
    let text =
        if file.is_empty() { document.text.clone() } else { fs::read_to_string(&path).unwrap_or_default() };
    let there = anchors(&text).iter().any(|name| name == anchor);
    (!there).then(|| format!("the heading #{anchor} is missing"))
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let mut wrong = Vec::new();
    for document in all() {
        for (line, target) in links(&document) {
            let why = broken(&document, &target);
            wrong.extend(why.map(|why| format!("{}:{line}: {target}: {why}", document.path.display())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let text = "# A `b`, c\n\n[x](#a-b-c) [y](#a) [z](none.md) `[code](none)` [web](https://example.org)\n";
    let document = Document { path: "README.md".into(), text: text.to_owned() };
    let wrong: Vec<String> = links(&document)
        .into_iter()
        .filter(|(_, target)| broken(&document, target).is_some())
        .map(|(_, target)| target)
        .collect();
    assert_eq!(wrong, ["#a", "none.md"]);
}
