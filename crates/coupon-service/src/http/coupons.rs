//! Coupons and their stock.

use actix_web::{HttpRequest, HttpResponse, web};
use coupon_core::{Coupon, CouponId, CouponStatus, Timestamp};
use coupon_store::{GateStock, Unavailable};

use super::params::{Query, path_id};
use super::problem::Problem;
use super::responses::{ReadProblems, Unanswered, Unknown};
use super::routes::Routes;
use super::view;
use crate::api::{CouponView, StockView};
use crate::state::Service;

pub(super) fn configure(routes: &mut Routes<'_>) {
    routes.get("/api/coupon/{coupon_id}/stock", stock);
    routes.get("/api/coupon/{coupon_id}", coupon);
}

/// The remaining stock of a coupon
///
/// Asks the gate, which decides grabs: exact, not trailing. A coupon that is over need not be in the gate: then, and from a day after
/// its end on, it is the main database's count, which trails what comes back and takes archives into account.
#[utoipa::path(
    get,
    path = "/api/coupon/{coupon_id}/stock",
    operation_id = "getCouponStock",
    tag = "catalogue",
    params(("coupon_id" = u64, Path, description = "The coupon.")),
    responses((status = 200, description = "The stock.", body = StockView), ReadProblems, Unknown, Unanswered)
)]
pub(super) async fn stock(req: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let coupon = path_id(&req, "coupon_id", CouponId::new)?;
    Query::none(&req)?;
    let backend = &service.backend;
    let as_of = service.clock.now();
    let stock = match backend.stock(coupon, as_of).await.map_err(|error| Problem::unavailable(&error))? {
        Some(stock) => stock,
        None => {
            let known = backend.catalogue.coupon(coupon, false).await;
            let known = known.map_err(|error| Problem::unavailable(&error))?;
            let (known, _) = known.ok_or_else(|| Problem::unknown_coupon(coupon))?;
            over(&known, as_of).ok_or_else(|| {
                Problem::unavailable(&Unavailable::new("the gate", "it does not hold this coupon yet"))
            })?
        }
    };
    view::ok(&StockView {
        coupon_id: coupon.get(),
        total_stock: stock.total,
        remaining_stock: stock.total.saturating_sub(stock.sold),
        sold: stock.sold,
        as_of: as_of.to_string(),
    })
}

/// The stock of a coupon that cannot be grabbed any more; `None` for one that can.
fn over(coupon: &Coupon, now: Timestamp) -> Option<GateStock> {
    let over = coupon.status == CouponStatus::Inactive || coupon.end_time <= now;
    over.then_some(GateStock { total: coupon.total_stock, sold: coupon.sold })
}

/// A coupon
#[utoipa::path(
    get,
    path = "/api/coupon/{coupon_id}",
    operation_id = "getCoupon",
    tag = "catalogue",
    params(
        ("coupon_id" = u64, Path, description = "The coupon."),
        ("details" = Option<bool>, Query, description = "Whether to join the wide half; false if not given."),
    ),
    responses((status = 200, description = "The coupon.", body = CouponView), ReadProblems, Unknown, Unanswered)
)]
pub(super) async fn coupon(req: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let coupon = path_id(&req, "coupon_id", CouponId::new)?;
    let details = Query::of(&req, &["details"])?.flag("details", false)?;
    let found = service.backend.catalogue.coupon(coupon, details).await;
    let found = found.map_err(|error| Problem::unavailable(&error))?;
    view::ok(&view::coupon(found.ok_or_else(|| Problem::unknown_coupon(coupon))?))
}
