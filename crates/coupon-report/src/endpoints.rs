//! Endpoints by the keys that reports hold. A report may hold keys that this program does not know.

use coupon_measure::Endpoint;

/// An endpoint's short name; its key when it is not known.
#[must_use]
pub fn name(key: &str) -> &str {
    match Endpoint::of_key(key) {
        Some(endpoint) => endpoint.name(),
        None => key,
    }
}

/// True for an endpoint that reads results.
pub(crate) fn has_plan(key: &str) -> bool {
    Endpoint::of_key(key).is_some_and(Endpoint::has_plan)
}

/// True for an endpoint that writes or reads results.
pub(crate) fn is_sharded(key: &str) -> bool {
    Endpoint::of_key(key).is_some_and(Endpoint::is_sharded)
}

/// Puts keys in the order that reports show them; keys that are not known come last, by name.
pub(crate) fn sort(keys: &mut [String]) {
    keys.sort_by_key(|key| {
        let endpoint = Endpoint::of_key(key);
        (endpoint.is_none(), endpoint, key.clone())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_endpoints_come_last_and_keep_their_key() {
        let mut keys: Vec<String> = ["zeta", "global", "grab", "alpha"].map(String::from).into();
        sort(&mut keys);
        assert_eq!(keys, ["grab", "global", "alpha", "zeta"]);
        assert_eq!((name("alpha"), name("recent")), ("alpha", "recent orders"));
    }
}
