//! The names of a comparison's contestants.

use anyhow::{Result, bail};

/// Refuses a list in which a name comes twice: reports tell contestants apart by it.
///
/// # Errors
/// Naming the one that comes twice.
pub fn all_different<'a>(names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    match names.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some(*a),
        _ => None,
    }) {
        Some(name) => bail!("{name:?} takes part twice"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_twice_is_refused() {
        assert!(all_different(["a", "b", "a"].into_iter()).is_err());
        assert!(all_different(["a", "b"].into_iter()).is_ok());
    }
}
