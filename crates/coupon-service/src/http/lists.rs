//! Pages of results.

use actix_web::HttpResponse;
use coupon_core::ResultQuery;
use coupon_store::PageRequest;

use super::cursor::Cursor;
use super::problem::Problem;
use super::view;
use crate::api::ResultPage;
use crate::state::Service;

/// A page of what the query covers. `next` is the cursor of the page after, but for its position.
pub(super) async fn page(
    service: &Service,
    query: ResultQuery,
    page: PageRequest,
    next: Cursor,
) -> Result<HttpResponse, Problem> {
    let found = service
        .queries
        .page(query, page, service.clock.now())
        .await
        .map_err(|error| Problem::unanswered(&error))?;
    let position = found.next.map(|last| last.number().unsigned_abs());
    let body = ResultPage {
        items: found.items.iter().map(view::result).collect(),
        next_cursor: position.map(|position| Cursor { position, ..next }.encode()),
        partial: found.answered.is_partial(),
        missing_shards: view::numbers(&found.answered.missing),
        as_of: found.answered.as_of.to_string(),
        plan: view::plan(&found.answered),
    };
    view::timed(&body, &found.answered)
}
