//! Rooms: what they offer, what was grabbed there, and how much.

use actix_web::{HttpRequest, HttpResponse, web};
use coupon_core::{ResultQuery, RoomId, Timestamp};
use coupon_store::PageRequest;

use super::cursor::{Cursor, List};
use super::params::{Query, path_id};
use super::problem::Problem;
use super::responses::{ReadProblems, Unanswered, Unknown};
use super::routes::Routes;
use super::{lists, view};
use crate::api::{ResultPage, RoomCoupons, RoomStats};
use crate::state::Service;

pub(super) fn configure(routes: &mut Routes<'_>) {
    routes.get("/api/room/{room_id}/coupons", coupons);
    routes.get("/api/room/{room_id}/orders", orders);
    routes.get("/api/room/{room_id}/stats", stats);
}

fn room_of(req: &HttpRequest) -> Result<RoomId, Problem> {
    path_id(req, "room_id", RoomId::new)
}

pub(super) fn must_exist(service: &Service, room: RoomId) -> Result<(), Problem> {
    if service.backend.catalogue.known().knows_room(room) {
        return Ok(());
    }
    Err(Problem::unknown_room(room))
}

/// A room's coupons, by id
#[utoipa::path(
    get,
    path = "/api/room/{room_id}/coupons",
    operation_id = "listRoomCoupons",
    tag = "catalogue",
    params(
        ("room_id" = u64, Path, description = "The room."),
        ("details" = Option<bool>, Query, description = "Whether to join the wide half; false if not given."),
        ("limit" = Option<u64>, Query, description = "At most so many; 100 if not given.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page.", body = RoomCoupons), ReadProblems, Unknown, Unanswered)
)]
pub(super) async fn coupons(req: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let room = room_of(&req)?;
    let query = Query::of(&req, &["details", "limit", "cursor"])?;
    let (limit, details) = (query.limit()?, query.flag("details", false)?);
    let list = List::RoomCoupons;
    let after = Cursor::of(&query, list, Some(room.get()), None)?.map(Cursor::coupon).transpose()?;
    must_exist(&service, room)?;
    // One more than asked for, to see if there is more.
    let found = service.backend.catalogue.coupons(Some(room), after, limit + 1, details).await;
    let mut found = found.map_err(|error| Problem::unavailable(&error))?;
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| more).map(|(coupon, _)| coupon.coupon_id.get());
    let next =
        |position| Cursor { list, key: room.get(), state: None, position, start: Timestamp::default() };
    view::ok(&RoomCoupons {
        room_id: room.get(),
        next_cursor: last.map(|position| next(position).encode()),
        items: found.into_iter().map(view::coupon).collect(),
    })
}

/// The grabs in a room, latest first
#[utoipa::path(
    get,
    path = "/api/room/{room_id}/orders",
    operation_id = "listRoomOrders",
    tag = "results",
    params(
        ("room_id" = u64, Path, description = "The room."),
        ("limit" = Option<u64>, Query, description = "At most so many; 100 if not given.", minimum = 1, maximum = 1000),
        ("state" = Option<String>, Query, description = "Only results in this state; with a cursor, if given, the same as for the page before. A request looks at 5,000 results at most: a page may hold fewer than `limit`, or none, and `next_cursor` goes on from there."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page.", body = ResultPage), ReadProblems, Unknown, Unanswered)
)]
pub(super) async fn orders(req: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let room = room_of(&req)?;
    let query = Query::of(&req, &["limit", "state", "cursor"])?;
    let (limit, state) = (query.limit()?, query.state()?);
    let list = List::RoomOrders;
    let cursor = Cursor::of(&query, list, Some(room.get()), state)?;
    let before = cursor.map(Cursor::result).transpose()?;
    must_exist(&service, room)?;
    let state = cursor.map_or(state, |cursor| cursor.state);
    let next = Cursor { list, key: room.get(), state, position: 0, start: Timestamp::default() };
    let query = ResultQuery { state, ..ResultQuery::of_room(room) };
    lists::page(&service, query, PageRequest { before, limit }, next).await
}

/// The sales of a room
///
/// With `cache.room_stats_ms` set, the answer may be that old; `age_ms` says how old it is.
#[utoipa::path(
    get,
    path = "/api/room/{room_id}/stats",
    operation_id = "getRoomStats",
    tag = "statistics",
    params(("room_id" = u64, Path, description = "The room.")),
    responses((status = 200, description = "The figures.", body = RoomStats), ReadProblems, Unknown, Unanswered)
)]
pub(super) async fn stats(req: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let room = room_of(&req)?;
    Query::none(&req)?;
    must_exist(&service, room)?;
    if let Some(kept) = service.room_stats.get(room) {
        return view::ok(&kept);
    }
    let (summary, answered) = service
        .queries
        .room_summary(room, service.clock.now())
        .await
        .map_err(|error| Problem::unanswered(&error))?;
    let stats = RoomStats {
        room_id: room.get(),
        results: summary.results,
        last_grab_time: summary.last_grab.map(|time| time.to_string()),
        partial: answered.is_partial(),
        missing_shards: view::numbers(&answered.missing),
        as_of: answered.as_of.to_string(),
        age_ms: 0,
        plan: view::plan(&answered),
    };
    service.room_stats.put(room, &stats);
    view::timed(&stats, &answered)
}
