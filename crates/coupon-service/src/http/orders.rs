//! Recent grabs, of all users and rooms.

use actix_web::{HttpRequest, HttpResponse, web};
use coupon_core::{ResultQuery, TimeRange, Timestamp};
use coupon_store::PageRequest;

use super::cursor::{Cursor, List};
use super::lists;
use super::params::Query;
use super::problem::{Kind, Problem};
use super::responses::{ReadProblems, Unanswered};
use super::routes::Routes;
use crate::api::ResultPage;
use crate::state::Service;

/// A year: no window needs to be longer.
const HOURS_MAX: u64 = 8_760;
const MILLIS_PER_HOUR: i64 = 3_600_000;
/// The time for which a first page's window may be paged through, in hours.
const PAGING_HOURS: i64 = 24;

pub(super) fn configure(routes: &mut Routes<'_>) {
    routes.get("/api/orders/recent", recent);
}

/// True if this window could have been asked for within the last day. A cursor says where its window begins, and any
/// client can make a cursor.
fn is_window(hours: u64, start: Timestamp, now: Timestamp) -> bool {
    let hours = i64::try_from(hours).ok().filter(|_| (1..=HOURS_MAX).contains(&hours));
    let age = now.millis().saturating_sub(start.millis());
    hours.is_some_and(|hours| (0..=(hours + PAGING_HOURS) * MILLIS_PER_HOUR).contains(&age))
}

/// Grabs of the last hours, latest first
///
/// The window is that of the first page: later pages neither lose its end nor gain what came since.
#[utoipa::path(
    get,
    path = "/api/orders/recent",
    operation_id = "listRecentOrders",
    tag = "results",
    params(
        ("hours" = Option<u64>, Query, description = "How far back; 1 if not given.", minimum = 1, maximum = 8760),
        ("limit" = Option<u64>, Query, description = "At most so many; 100 if not given.", minimum = 1, maximum = 1000),
        ("state" = Option<String>, Query, description = "Only results in this state. A request looks at 5,000 results at most: a page may hold fewer than `limit`, or none, and `next_cursor` goes on from there."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before; `hours` and `state`, if given with it, must be the same."),
    ),
    responses((status = 200, description = "A page.", body = ResultPage), ReadProblems, Unanswered)
)]
pub(super) async fn recent(req: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let query = Query::of(&req, &["hours", "limit", "state", "cursor"])?;
    let (limit, state) = (query.limit()?, query.state()?);
    let hours = query.whole("hours", &(1..=HOURS_MAX))?;
    let list = List::Recent;
    let cursor = Cursor::of(&query, list, hours, state)?;
    let before = cursor.map(Cursor::result).transpose()?;
    if cursor.is_some_and(|cursor| !is_window(cursor.key, cursor.start, service.clock.now())) {
        let detail = "the cursor is too old to go on from: start again without it";
        return Err(Problem::new(Kind::Malformed, detail).field("cursor"));
    }
    let next = cursor.unwrap_or_else(|| {
        let key = hours.unwrap_or(1);
        let back = i64::try_from(key).unwrap_or(i64::MAX).saturating_mul(MILLIS_PER_HOUR);
        Cursor { list, key, state, position: 0, start: service.clock.now().plus_millis(-back) }
    });
    // A later page ends where the one before it did, so it need not look at any table after that.
    let end = before.map_or_else(|| service.clock.now(), coupon_core::ResultId::time).plus_millis(1);
    let within = ResultQuery::within(TimeRange::new(next.start, end));
    let query = ResultQuery { state: next.state, ..within };
    lists::page(&service, query, PageRequest { before, limit }, next).await
}
