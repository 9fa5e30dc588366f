//! Notes that people wrote about rows and curves: one file, a heading for each cause.
//!
//! ```text
//! ## Grabs on files
//!
//! Of `grab-embedded-*`.
//!
//! Both cores are busy, so that is the ratio.
//! ```

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};

/// The notes of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes(Vec<Note>);

/// One heading of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Note {
    /// The heading as links name it.
    anchor: String,
    /// Ids of rows and curves; one `*` in an id stands for any text.
    ids: Vec<String>,
}

impl Notes {
    /// Reads a file of notes; one that is not there has none.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            text => {
                text.map(|text| Self::of(&text)).with_context(|| format!("cannot read {}", path.display()))
            }
        }
    }

    /// The notes that a text holds.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut sections = text.split("\n## ");
        sections.next();
        Self(sections.filter_map(note).collect())
    }

    /// The heading that is about a row or curve, as links name it.
    #[must_use]
    pub fn anchor(&self, id: &str) -> Option<&str> {
        let about = |note: &&Note| note.ids.iter().any(|pattern| matches(pattern, id));
        self.0.iter().find(about).map(|note| note.anchor.as_str())
    }
}

#[cfg(test)]
impl Notes {
    /// The patterns that none of these ids matches.
    pub(super) fn about_none_of(&self, ids: &[String]) -> Vec<&str> {
        let patterns = self.0.iter().flat_map(|note| &note.ids).map(String::as_str);
        patterns.filter(|pattern| !ids.iter().any(|id| matches(pattern, id))).collect()
    }
}

/// A section with its heading, if it says what it is about.
fn note(section: &str) -> Option<Note> {
    let (heading, body) = section.split_once('\n')?;
    let about = body.trim_start().strip_prefix("Of ")?.split("\n\n").next()?;
    let ids = about.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    Some(Note { anchor: anchor(heading), ids })
}

fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase()
}

fn matches(pattern: &str, id: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == id,
        Some((before, after)) => id.strip_prefix(before).is_some_and(|rest| rest.ends_with(after)),
    }
}
