//! The destination of generated rows: every backend takes the same rows in the same order.

use anyhow::Result;
use coupon_core::{Coupon, CouponDetails, CouponResult, LiveRoom, Placement, StockLog, User};
use coupon_store::embedded;

/// Takes rows in, and makes them a data set at the end.
pub(crate) trait Sink {
    fn users(&mut self, users: &[User]) -> Result<()>;
    fn rooms(&mut self, rooms: &[LiveRoom]) -> Result<()>;
    fn coupons(&mut self, coupons: &[Coupon]) -> Result<()>;
    fn details(&mut self, details: &[CouponDetails]) -> Result<()>;
    fn stock_logs(&mut self, logs: &[StockLog]) -> Result<()>;
    fn results(&mut self, rows: Vec<(Placement, CouponResult)>) -> Result<()>;
    /// Makes the indexes, then marks the data set complete; returns the rows of each shard.
    fn finish(self, progress: &mut dyn FnMut(u64, u64)) -> Result<Vec<u64>>;
}

/// Both bulk loaders have these methods already, each with its own kind of error.
macro_rules! sink {
    ($bulk:ty) => {
        #[allow(clippy::needless_question_mark, reason = "one of the two errors is another type")]
        impl Sink for $bulk {
            fn users(&mut self, users: &[User]) -> Result<()> {
                Ok(<$bulk>::users(self, users)?)
            }

            fn rooms(&mut self, rooms: &[LiveRoom]) -> Result<()> {
                Ok(<$bulk>::rooms(self, rooms)?)
            }

            fn coupons(&mut self, coupons: &[Coupon]) -> Result<()> {
                Ok(<$bulk>::coupons(self, coupons)?)
            }

            fn details(&mut self, details: &[CouponDetails]) -> Result<()> {
                Ok(<$bulk>::details(self, details)?)
            }

            fn stock_logs(&mut self, logs: &[StockLog]) -> Result<()> {
                Ok(<$bulk>::stock_logs(self, logs)?)
            }

            fn results(&mut self, rows: Vec<(Placement, CouponResult)>) -> Result<()> {
                Ok(<$bulk>::results(self, rows)?)
            }

            fn finish(self, progress: &mut dyn FnMut(u64, u64)) -> Result<Vec<u64>> {
                Ok(<$bulk>::finish(self, progress)?)
            }
        }
    };
}

sink!(embedded::bulk::Bulk);
#[cfg(feature = "servers")]
sink!(coupon_servers::bulk::Bulk);
