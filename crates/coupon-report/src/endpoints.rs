//! The endpoints as reports know them: their keys, names and order.

/// An endpoint's key in JSON, its name, and the need that a user of it has.
pub struct EndpointInfo {
    /// The key in `report.json`.
    pub key: &'static str,
    /// A short name, for tables.
    pub name: &'static str,
    /// The need that it serves, for headings.
    pub need: &'static str,
    /// True when it reads results, so that the strategy decides its cost.
    pub sharded_read: bool,
}

const fn info(key: &'static str, name: &'static str, need: &'static str, sharded_read: bool) -> EndpointInfo {
    EndpointInfo { key, name, need, sharded_read }
}

/// In the order that reports show them.
pub const ENDPOINTS: [EndpointInfo; 14] = [
    info("grab", "grab", "Grabbing coupons", false),
    info("user_coupons", "my coupons", "One user's coupons", true),
    info("room_orders", "room orders", "One room's orders", true),
    info("room_stats", "room stats", "One room's statistics", true),
    info("recent", "recent orders", "The last hours' orders", true),
    info("global", "global stats", "Statistics over everything", true),
    info("stock", "stock", "A coupon's stock", false),
    info("coupon", "coupon", "A coupon", false),
    info("coupon_details", "coupon + details", "A coupon with its details", false),
    info("room_coupons", "room coupons", "A room's coupons", false),
    info("room_coupons_details", "room coupons + details", "A room's coupons with details", false),
    info("admin_stats", "admin stats", "The operator's figures", false),
    info("shards_status", "shard status", "The shards' status", false),
    info("echo", "echo", "The ceiling: no work at all", false),
];

/// Looks up an endpoint by its key.
#[must_use]
pub fn find(key: &str) -> Option<&'static EndpointInfo> {
    ENDPOINTS.iter().find(|endpoint| endpoint.key == key)
}

/// An endpoint's short name; its key when it is not known.
#[must_use]
pub fn name(key: &str) -> &str {
    find(key).map_or(key, |endpoint| endpoint.name)
}

/// Puts keys in the order that reports show them; keys that are not known come last, by name.
pub fn sort(keys: &mut [String]) {
    keys.sort_by_key(|key| {
        let known = ENDPOINTS.iter().position(|endpoint| endpoint.key == *key);
        (known.unwrap_or(ENDPOINTS.len()), key.clone())
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
