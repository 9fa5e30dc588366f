//! Figures of the demo that several documents show: `docs/DEMO.md` has them, every other document a copy.

use crate::{Document, all};

const SOURCE: &str = "docs/DEMO.md";
const BEGIN: &str = "<!-- demo: begin -->";
const END: &str = "<!-- demo: end -->";

/// The text of each pair of marks, with the line of the first one.
///
/// # Errors
/// Says where a mark has no end.
fn marked(document: &Document) -> Result<Vec<(usize, String)>, String> {
    let (mut found, mut open) = (Vec::new(), None::<(usize, String)>);
    for (number, line) in document.text.lines().enumerate() {
        match (line, &mut open) {
            (BEGIN, None) => open = Some((number + 1, String::new())),
            (END, Some(_)) => found.extend(open.take()),
            (BEGIN | END, _) => {
                return Err(format!("{}:{}: {line} is out of place", document.path.display(), number + 1));
            }
            (_, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (_, None) => {}
        }
    }
    match open {
        Some((line, _)) => Err(format!("{}:{line}: no {END} follows", document.path.display())),
        None => Ok(found),
    }
}

/// The places whose text differs from the source's.
fn stale(documents: &[Document]) -> Result<Vec<String>, String> {
    let is_source = |document: &&Document| document.path.to_str() == Some(SOURCE);
    let source = documents.iter().find(is_source).ok_or("the source is missing")?;
    let source = marked(source)?.pop().ok_or("the source has no figures")?.1;
    let mut stale = Vec::new();
    for document in documents {
        let differ = marked(document)?.into_iter().filter(|(_, text)| *text != source);
        stale.extend(differ.map(|(line, _)| format!("{}:{line}", document.path.display())));
    }
    Ok(stale)
}

#[test]
fn every_copy_of_the_demos_figures_is_that_of_its_source() {
    let documents = all();
    let copies = documents.iter().filter(|document| !marked(document).unwrap().is_empty());
    let copies: Vec<_> = copies.map(|document| document.path.display().to_string()).collect();
    for copy in ["README.md", SOURCE, "docs/CHOOSING.md", "docs/HOTSPOTS.md"] {
        assert!(copies.iter().any(|path| path == copy), "{copy} has lost its copy: {copies:?}");
    }
    let stale = stale(&documents).unwrap();
    assert!(stale.is_empty(), "replace these by the table of {SOURCE}: {stale:#?}");
}

#[test]
fn a_copy_that_differs_and_a_mark_without_an_end_are_found() {
    let document = |path: &str, text: &str| Document { path: path.into(), text: text.to_owned() };
    let source = document(SOURCE, &format!("{BEGIN}\n| 1 |\n{END}\n"));
    let other = document("x.md", &format!("words\n{BEGIN}\n| 2 |\n{END}\n"));
    assert_eq!(stale(&[source, other]).unwrap(), ["x.md:2"]);
    for (text, line) in
        [(format!("{BEGIN}\n| 1 |\n"), 1), (format!("{END}\n"), 1), (format!("{BEGIN}\n{BEGIN}\n"), 2)]
    {
        let error = marked(&document("x.md", &text)).unwrap_err();
        assert!(error.starts_with(&format!("x.md:{line}: ")), "{error}");
    }
}
