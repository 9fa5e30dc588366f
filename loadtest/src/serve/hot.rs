//! What is hot, as the page shows it.

use coupon_measure::format;
use coupon_service::api::{HotKeys, HotResults};

/// So many rooms, coupons and users are named.
const NAMED: usize = 4;

/// What is hot, by name; nothing before there was any result.
pub(super) fn told(hot: &HotResults) -> Vec<String> {
    if hot.results == 0 {
        return Vec::new();
    }
    let line = |name: &str, keys: &HotKeys| {
        let named =
            keys.top.iter().take(NAMED).map(|key| format!("{} ({})", key.id, format::percent(key.share)));
        let named = named.collect::<Vec<_>>().join(", ");
        if named.is_empty() { format!("{name}: none stands out") } else { format!("{name}: {named}") }
    };
    vec![line("rooms", &hot.rooms), line("coupons", &hot.coupons), line("users", &hot.users)]
}

#[cfg(test)]
mod tests {
    use coupon_service::api::HotKey;

    use super::*;

    #[test]
    fn what_is_hot_is_told_by_name_and_a_kind_of_which_none_is_says_so() {
        let key = |id, results: u64| HotKey { id, results, share: results as f64 / 200.0 };
        let rooms = HotKeys { error: 0, top: (1..=9).map(|room| key(room, 100 / room)).collect() };
        let hot = HotResults { results: 200, rooms, ..HotResults::default() };
        let lines = told(&hot);
        assert_eq!(lines[0], "rooms: 1 (50 %), 2 (25 %), 3 (16.5 %), 4 (12.5 %)");
        assert_eq!(lines[1..], ["coupons: none stands out", "users: none stands out"]);
        assert!(told(&HotResults::default()).is_empty());
    }
}
