//! What people wrote about rows and curves.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};

/// The notes of a folder, by the id of a row or curve.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes(BTreeMap<String, String>);

impl Notes {
    /// Reads every `<id>.md` of a folder; a folder that is not there has none.
    ///
    /// # Errors
    /// When a file is there and cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let cannot = || format!("cannot read the notes in {}", folder.display());
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            entries => entries.with_context(cannot)?,
        };
        let mut notes = BTreeMap::new();
        for entry in entries {
            let path = entry.with_context(cannot)?.path();
            let Some(id) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = std::fs::read_to_string(&path);
                let text = text.with_context(|| format!("cannot read {}", path.display()))?;
                notes.insert(id.to_owned(), text.trim().to_owned());
            }
        }
        Ok(Self(notes))
    }

    /// What is said of a row or curve.
    #[must_use]
    pub fn of(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str).filter(|text| !text.is_empty())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Notes {
    fn from(notes: [(&str, &str); N]) -> Self {
        Self(notes.map(|(id, text)| (id.to_owned(), text.to_owned())).into())
    }
}
