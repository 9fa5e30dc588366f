//! The coupons that users hold.

use actix_web::{HttpRequest, HttpResponse, web};
use coupon_core::{ResultQuery, Timestamp, UserId};
use coupon_store::PageRequest;

use super::cursor::{Cursor, List};
use super::identity::Asker;
use super::lists;
use super::params::{Query, path_id};
use super::problem::Problem;
use super::responses::{ReadProblems, Unanswered, Unknown, UserProblems};
use super::routes::Routes;
use crate::api::ResultPage;
use crate::state::Service;

pub(super) fn configure(routes: &mut Routes<'_>) {
    routes.get("/api/user/{user_id}/coupons", coupons);
}

/// The results of a user, latest first
///
/// In whatever state they are, also those that were used or gave their stock back; `state` asks for those in one of them.
#[utoipa::path(
    get,
    path = "/api/user/{user_id}/coupons",
    operation_id = "listUserCoupons",
    tag = "results",
    security((), ("user" = [])),
    params(
        ("user_id" = u64, Path, description = "The user."),
        ("limit" = Option<u64>, Query, description = "At most so many; 100 if not given.", minimum = 1, maximum = 1000),
        ("state" = Option<String>, Query, description = "Only results in this state; with a cursor, if given, the same as for the page before."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page.", body = ResultPage), ReadProblems, UserProblems, Unknown, Unanswered)
)]
pub(super) async fn coupons(req: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let asker = Asker::of(&req, &service)?;
    let user = path_id(&req, "user_id", UserId::new)?;
    asker.must_be(user)?;
    let query = Query::of(&req, &["limit", "state", "cursor"])?;
    let (limit, state) = (query.limit()?, query.state()?);
    let list = List::UserCoupons;
    let cursor = Cursor::of(&query, list, Some(user.get()), state)?;
    let before = cursor.map(Cursor::result).transpose()?;
    if !service.backend.catalogue.known().knows_user(user) {
        return Err(Problem::unknown_user(user));
    }
    let state = cursor.map_or(state, |cursor| cursor.state);
    let next = Cursor { list, key: user.get(), state, position: 0, start: Timestamp::default() };
    let query = ResultQuery { state, ..ResultQuery::of_user(user) };
    lists::page(&service, query, PageRequest { before, limit }, next).await
}
