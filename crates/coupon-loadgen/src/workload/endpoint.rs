//! The endpoints that requests target.

use serde::{Deserialize, Serialize};

/// The endpoint a request targets; figures are kept apart by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "`Endpoint::path` says what each of them is")]
pub enum Endpoint {
    Grab,
    UserCoupons,
    Stock,
    RoomOrders,
    RoomStats,
    Recent,
    Global,
    AdminStats,
    ShardsStatus,
    Coupon,
    CouponDetails,
    RoomCoupons,
    RoomCouponsDetails,
    Echo,
}

impl Endpoint {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 14] = [
        Self::Grab,
        Self::UserCoupons,
        Self::Stock,
        Self::RoomOrders,
        Self::RoomStats,
        Self::Recent,
        Self::Global,
        Self::AdminStats,
        Self::ShardsStatus,
        Self::Coupon,
        Self::CouponDetails,
        Self::RoomCoupons,
        Self::RoomCouponsDetails,
        Self::Echo,
    ];

    /// Its name in workload files, reports and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grab => "grab",
            Self::UserCoupons => "user_coupons",
            Self::Stock => "stock",
            Self::RoomOrders => "room_orders",
            Self::RoomStats => "room_stats",
            Self::Recent => "recent",
            Self::Global => "global",
            Self::AdminStats => "admin_stats",
            Self::ShardsStatus => "shards_status",
            Self::Coupon => "coupon",
            Self::CouponDetails => "coupon_details",
            Self::RoomCoupons => "room_coupons",
            Self::RoomCouponsDetails => "room_coupons_details",
            Self::Echo => "echo",
        }
    }

    /// Its method and path, as the API's documentation spells it.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Grab => "POST /api/coupon/grab",
            Self::UserCoupons => "GET /api/user/{id}/coupons",
            Self::Stock => "GET /api/coupon/{id}/stock",
            Self::RoomOrders => "GET /api/room/{id}/orders",
            Self::RoomStats => "GET /api/room/{id}/stats",
            Self::Recent => "GET /api/orders/recent",
            Self::Global => "GET /api/statistics/global",
            Self::AdminStats => "GET /admin/stats",
            Self::ShardsStatus => "GET /admin/shards/status",
            Self::Coupon => "GET /api/coupon/{id}",
            Self::CouponDetails => "GET /api/coupon/{id}?details=true",
            Self::RoomCoupons => "GET /api/room/{id}/coupons",
            Self::RoomCouponsDetails => "GET /api/room/{id}/coupons?details=true",
            Self::Echo => "POST /bench/echo",
        }
    }

    /// True when its answers carry a `plan`.
    #[must_use]
    pub const fn is_planned(self) -> bool {
        matches!(self, Self::UserCoupons | Self::RoomOrders | Self::RoomStats | Self::Recent | Self::Global)
    }
}
