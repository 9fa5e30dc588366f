//! Settings that take one of a few words.

use serde::de::IntoDeserializer;
use serde::{Deserialize, Deserializer};

/// For a field that is one of an enum's plain variants: a word that is none of them is refused with those that are.
/// The library that gathers the settings would not name them.
///
/// # Errors
/// When it is no text, or no variant's name.
pub fn choice<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let word = String::deserialize(deserializer)?.to_lowercase();
    T::deserialize(word.into_deserializer())
}
