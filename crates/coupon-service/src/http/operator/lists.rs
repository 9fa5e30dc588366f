//! The lists that operators look at: the coupons as they sell, and the changes that were made.

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse, web};
use coupon_core::catalogue_change::ChangeRecord;
use coupon_core::{Coupon, CouponId, CouponStatus, MAX_ID, RoomId, ShardId, Timestamp};
use coupon_store::GateStock;
use futures_util::future::join_all;

use super::super::admin::admit;
use super::super::cursor::{Cursor, List};
use super::super::params::Query;
use super::super::problem::Problem;
use super::super::responses::{AdminProblems, ReadProblems, Unanswered, Unknown};
use super::super::rooms::must_exist;
use super::super::routes::Routes;
use super::super::view;
use crate::api::{ChangeList, ChangeView, OfferPage, OfferView};
use crate::state::Service;

pub(super) fn configure(routes: &mut Routes<'_>) {
    routes.get("/admin/changes", changes);
}

/// The coupons as they sell, by id
///
/// What is sold and left is the gate's count, and from a day after its end on the main database's. What is held is counted where results live.
#[utoipa::path(
    get,
    path = "/admin/coupons",
    operation_id = "listOffers",
    tag = "operators",
    security((), ("token" = [])),
    params(
        ("room_id" = Option<u64>, Query, description = "Only coupons of this room."),
        ("limit" = Option<u64>, Query, description = "At most so many; 100 if not given.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page.", body = OfferPage), AdminProblems, ReadProblems, Unknown, Unanswered)
)]
pub(in crate::http) async fn offers(
    req: HttpRequest,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    admit(&req, &service.settings.admin.token)?;
    let query = Query::of(&req, &["room_id", "limit", "cursor"])?;
    let room = query.whole("room_id", &(1..=MAX_ID))?.and_then(|id| RoomId::new(id).ok());
    let (limit, list, key) = (query.limit()?, List::Offers, room.map_or(0, RoomId::get));
    let after = Cursor::of(&query, list, Some(key), None)?.map(Cursor::coupon).transpose()?;
    room.map_or(Ok(()), |room| must_exist(&service, room))?;
    // One more than asked for, to see if there is more.
    let found = service.backend.catalogue.coupons(room, after, limit + 1, false).await;
    let mut found = found.map_err(|error| Problem::unavailable(&error))?;
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| more).map(|(coupon, _)| coupon.coupon_id.get());
    let next = |position| Cursor { list, key, state: None, position, start: Timestamp::default() };
    let (held, missing) = held(&service).await;
    let (backend, clock) = (&service.backend, service.clock.now());
    let now = backend.ids.mains_time(clock);
    let stocks = join_all(found.iter().map(|(coupon, _)| backend.stock(coupon.coupon_id, clock))).await;
    let offer = |((coupon, _), stock): ((Coupon, _), Result<Option<GateStock>, _>)| {
        let held = held.get(&coupon.coupon_id).copied().unwrap_or(0);
        offer(coupon, stock.ok().flatten(), held, now)
    };
    view::ok(&OfferPage {
        items: found.into_iter().zip(stocks).map(offer).collect(),
        next_cursor: last.map(|position| next(position).encode()),
        partial: !missing.is_empty(),
        missing_shards: view::numbers(&missing),
    })
}

/// The number of results held of each coupon, and the shards that did not say.
async fn held(service: &Service) -> (HashMap<CouponId, u64>, Vec<ShardId>) {
    match service.queries.held(service.clock.now()).await {
        Ok((held, answered)) => (held, answered.missing),
        Err(_) => (HashMap::new(), service.backend.layouts.shards().collect()),
    }
}

/// A coupon with the gate's count of it, or main's where there is none.
fn offer(coupon: Coupon, counted: Option<GateStock>, held: u64, now: Timestamp) -> OfferView {
    let phase = Phase::of(&coupon, now);
    let GateStock { total, sold } =
        counted.unwrap_or(GateStock { total: coupon.total_stock, sold: coupon.sold });
    OfferView {
        coupon_id: coupon.coupon_id.get(),
        coupon_name: coupon.coupon_name,
        room_id: coupon.room_id.get(),
        phase: phase.word().to_owned(),
        status: u8::from(coupon.status == CouponStatus::Active),
        start_time: coupon.start_time.to_string(),
        end_time: coupon.end_time.to_string(),
        total_stock: total,
        sold,
        held,
        left: total.saturating_sub(sold),
        // The gate need not hold what cannot be grabbed any more.
        trailing: counted.is_none() && matches!(phase, Phase::Early | Phase::Open),
    }
}

/// The part of its life that a coupon is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Early,
    Open,
    Over,
    Withdrawn,
}

impl Phase {
    fn of(coupon: &Coupon, now: Timestamp) -> Self {
        match () {
            () if coupon.status == CouponStatus::Inactive => Self::Withdrawn,
            () if coupon.end_time <= now => Self::Over,
            () if now < coupon.start_time => Self::Early,
            () => Self::Open,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Early => "early",
            Self::Open => "open",
            Self::Over => "over",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// The word for the part of its life that a coupon is in; none where main does not answer.
pub(super) async fn phase(service: &Service, coupon: CouponId) -> Option<String> {
    let (coupon, _) = service.backend.catalogue.coupon(coupon, false).await.ok()??;
    let now = service.backend.ids.mains_time(service.clock.now());
    Some(Phase::of(&coupon, now).word().to_owned())
}

/// The latest changes of the catalogue, the last first
#[utoipa::path(
    get,
    path = "/admin/changes",
    operation_id = "listChanges",
    tag = "operators",
    security((), ("token" = [])),
    params(("limit" = Option<u64>, Query, description = "At most so many; 100 if not given.", minimum = 1, maximum = 1000)),
    responses((status = 200, description = "The changes.", body = ChangeList), AdminProblems, ReadProblems, Unanswered)
)]
pub(in crate::http) async fn changes(
    req: HttpRequest,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    admit(&req, &service.settings.admin.token)?;
    let limit = Query::of(&req, &["limit"])?.limit()?;
    let changes = service.backend.catalogue.changes(limit).await;
    let changes = changes.map_err(|error| Problem::unavailable(&error))?;
    view::ok(&ChangeList { items: changes.into_iter().map(change).collect() })
}

fn change(record: ChangeRecord) -> ChangeView {
    ChangeView {
        version: record.version,
        time: record.time.to_string(),
        operator: record.operator,
        what: record.what,
        coupon_id: record.coupon.map(CouponId::get),
        room_id: record.room.map(RoomId::get),
    }
}
