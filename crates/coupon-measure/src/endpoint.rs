//! The register of the endpoints that figures are kept apart by: a row each, and nothing else lists them.

use serde::{Deserialize, Serialize};

/// The part that a strategy has in an endpoint's cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sharding {
    /// It writes results: the strategy decides where.
    Writes,
    /// It reads results: the strategy decides from how many places, and the answers carry the `plan`.
    Reads,
    /// It changes a result: the strategy decides in how many places that is looked for, and the answers carry the
    /// `plan`.
    Updates,
    /// It does none of these.
    Apart,
}

/// The columns of the register.
struct Row {
    key: &'static str,
    path: &'static str,
    name: &'static str,
    need: &'static str,
    sharding: Sharding,
}

macro_rules! register {
    ($($endpoint:ident: $key:literal, $path:literal, $name:literal, $need:literal, $sharding:ident;)+) => {
        /// The endpoint that a request targets.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Endpoint {
            $(#[doc = concat!("`", $path, "`")] #[serde(rename = $key)] $endpoint,)+
        }

        impl Endpoint {
            /// All of them, in the order that reports show them.
            pub const ALL: [Self; [$($key),+].len()] = [$(Self::$endpoint),+];

            const fn row(self) -> Row {
                match self {
                    $(Self::$endpoint => Row {
                        key: $key,
                        path: $path,
                        name: $name,
                        need: $need,
                        sharding: Sharding::$sharding,
                    },)+
                }
            }
        }
    };
}

register! {
    Grab: "grab", "POST /api/coupon/grab", "grab", "Grabbing coupons", Writes;
    Confirm: "confirm", "POST /api/coupon/confirm", "confirm", "Confirming what is held", Updates;
    Release: "release", "POST /api/coupon/release", "release", "Giving up what is held", Updates;
    Use: "use", "POST /api/coupon/use", "use", "Spending a coupon", Updates;
    Return: "return", "POST /api/coupon/return", "return", "Handing a coupon back", Updates;
    UserCoupons: "user_coupons", "GET /api/user/{id}/coupons", "my coupons", "One user's coupons", Reads;
    RoomOrders: "room_orders", "GET /api/room/{id}/orders", "room orders", "One room's orders", Reads;
    RoomStats: "room_stats", "GET /api/room/{id}/stats", "room stats", "One room's statistics", Reads;
    Recent: "recent", "GET /api/orders/recent", "recent orders", "The last hours' orders", Reads;
    Global: "global", "GET /api/statistics/global", "global stats", "Statistics over everything", Reads;
    Stock: "stock", "GET /api/coupon/{id}/stock", "stock", "A coupon's stock", Apart;
    Coupon: "coupon", "GET /api/coupon/{id}", "coupon", "A coupon", Apart;
    CouponDetails: "coupon_details", "GET /api/coupon/{id}?details=true", "coupon + details",
        "A coupon with its details", Apart;
    RoomCoupons: "room_coupons", "GET /api/room/{id}/coupons", "room coupons", "A room's coupons", Apart;
    RoomCouponsDetails: "room_coupons_details", "GET /api/room/{id}/coupons?details=true",
        "room coupons + details", "A room's coupons with details", Apart;
    AdminStats: "admin_stats", "GET /admin/stats", "admin stats", "The operator's figures", Apart;
    ShardsStatus: "shards_status", "GET /admin/shards/status", "shard status", "The shards' status", Apart;
    Echo: "echo", "POST /bench/echo", "echo", "The ceiling: no work at all", Apart;
}

impl Endpoint {
    /// The endpoint of that key.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.key() == key)
    }

    /// Its key in workload files, limits and JSON: `room_orders`.
    #[must_use]
    pub const fn key(self) -> &'static str {
        self.row().key
    }

    /// Its method and path, as the API's documentation spells it.
    #[must_use]
    pub const fn path(self) -> &'static str {
        self.row().path
    }

    /// A short name for people: `room orders`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The need that it serves, for headings: `One room's orders`.
    #[must_use]
    pub const fn need(self) -> &'static str {
        self.row().need
    }

    /// True when it looks results up, to show or to change them: the strategy decides its cost, and its answers carry a
    /// `plan`.
    #[must_use]
    pub const fn has_plan(self) -> bool {
        matches!(self.row().sharding, Sharding::Reads | Sharding::Updates)
    }

    /// True when it changes a result that was grabbed before: it follows a grab, and cannot come first.
    #[must_use]
    pub const fn is_step(self) -> bool {
        matches!(self.row().sharding, Sharding::Updates)
    }

    /// True when it writes, reads or changes results, so that strategies differ in it.
    #[must_use]
    pub const fn is_sharded(self) -> bool {
        !matches!(self.row().sharding, Sharding::Apart)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_files_hold_and_leads_back_to_its_endpoint() {
        for endpoint in Endpoint::ALL {
            assert_eq!(Endpoint::of_key(endpoint.key()), Some(endpoint));
            assert_eq!(serde_json::to_value(endpoint).unwrap(), endpoint.key());
        }
        assert_eq!(Endpoint::of_key("grap"), None);
    }

    #[test]
    fn the_order_of_the_register_is_the_order_of_maps() {
        assert!(Endpoint::ALL.is_sorted());
    }
}
