//! Changes of the catalogue.

use std::time::Instant;

use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, HttpResponse, web};
use coupon_core::catalogue_change::{CatalogueChange, CouponPatch, Operator, Refused, Thing};
use coupon_core::{CouponId, RoomId};
use coupon_store::ChangeError;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::admin::admit;
use super::super::body::{BODY_MAX, Received};
use super::super::params::{Query, path_id};
use super::super::problem::{Kind, Problem};
use super::super::responses::{AdminProblems, Unanswered, Unmade, Unread};
use super::super::routes::Routes;
use super::super::view;
use super::lists::phase;
use super::request;
use crate::api::{CatalogueChanged, CouponChangeRequest, NewCouponRequest, NewRoomRequest, NewUsersRequest};
use crate::state::Service;

/// The largest body with users in it: ten thousand of them, with all that can be said of each.
const USERS_BODY_MAX: usize = 2 * 1_024 * 1_024;
/// The header that names who makes a change.
const OPERATOR: &str = "x-operator";
/// The name of an operator who does not say one.
const NAMELESS: &str = "operator";

pub(super) fn configure(routes: &mut Routes<'_>) {
    routes.post("/admin/rooms", room);
    routes.post("/admin/rooms/{room_id}/end", room_end);
    routes.get_and_post("/admin/coupons", super::lists::offers, coupon);
    routes.patch("/admin/coupons/{coupon_id}", coupon_change);
    routes.post("/admin/coupons/{coupon_id}/end", coupon_end);
    routes.post("/admin/coupons/{coupon_id}/withdraw", coupon_withdraw);
    routes.post("/admin/users", users);
}

/// The body of a change.
pub(super) async fn received<B: DeserializeOwned>(
    most: usize,
    req: &HttpRequest,
    payload: web::Payload,
    service: &Service,
) -> Result<B, Problem> {
    body(most, req, payload, service).await?.json(req)
}

/// Refuses a body with anything in it, where none is read: a client that sends one means another change.
async fn nothing(req: &HttpRequest, payload: web::Payload, service: &Service) -> Result<(), Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}

    let body = body(BODY_MAX, req, payload, service).await?;
    if body.is_empty() {
        return Ok(());
    }
    let Nothing {} = body.json(req)?;
    Ok(())
}

/// The body of an operator's request. A stranger's is read no further than that of any other request.
async fn body(
    most: usize,
    req: &HttpRequest,
    payload: web::Payload,
    service: &Service,
) -> Result<Received, Problem> {
    let admitted = admit(req, &service.settings.admin.token);
    let most = if admitted.is_ok() { most } else { BODY_MAX };
    let body = Received::up_to(most, req, payload, service.settings.limits.body()).await?;
    admitted?;
    Query::none(req)?;
    Ok(body)
}

/// The name that a change is recorded by.
pub(super) fn operator(req: &HttpRequest) -> Result<Operator, Problem> {
    let malformed = |detail: &str| Problem::new(Kind::Malformed, detail).field("operator");
    let mut given = req.headers().get_all(OPERATOR).map(HeaderValue::as_bytes);
    let name = given.next().unwrap_or_default().trim_ascii();
    if given.next().is_some() {
        return Err(malformed("the header X-Operator is given twice"));
    }
    let name = std::str::from_utf8(name).map_err(|_| malformed("the header X-Operator must be UTF-8"))?;
    Operator::new(if name.is_empty() { NAMELESS } else { name }).map_err(|why| refused(&why))
}

/// Makes a change, and answers once it is in force.
async fn make(
    req: &HttpRequest,
    service: &Service,
    change: CatalogueChange,
) -> Result<HttpResponse, Problem> {
    let (operator, coupon, asked) = (operator(req)?, change.coupon(), Instant::now());
    let applied = service.backend.catalogue.change(change, operator).await.map_err(unmade)?;
    let phase = match coupon {
        Some(coupon) => phase(service, coupon).await,
        None => None,
    };
    view::ok(&CatalogueChanged {
        version: applied.version,
        changed: applied.changed,
        added: applied.added,
        gate: applied.gate,
        unconfirmed: applied.unconfirmed,
        phase,
        waited_ms: u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// The answer about what was not made, or may not have been.
pub(super) fn unmade(error: ChangeError) -> Problem {
    match error {
        ChangeError::Refused(why) => refused(&why),
        ChangeError::Unavailable(error) => Problem::unavailable(&error),
    }
}

fn refused(why: &Refused) -> Problem {
    let detail = why.to_string();
    match why {
        Refused::Unknown(Thing::Room(room)) => Problem::unknown_room(*room),
        Refused::Unknown(Thing::Coupon(coupon)) => Problem::unknown_coupon(*coupon),
        Refused::Conflict(_) => Problem::new(Kind::Conflict, detail),
        Refused::Invalid { field, .. } => Problem::new(Kind::OutOfRange, detail).field(place(field)),
    }
}

/// The place of a field in a body.
fn place(field: &str) -> String {
    match field {
        "description" | "usage_rules" | "product_range" => format!("details.{field}"),
        _ => field.to_owned(),
    }
}

/// Make a room
///
/// Asked for again with the same body, the answer is the same.
#[utoipa::path(
    post,
    path = "/admin/rooms",
    operation_id = "createRoom",
    tag = "operators",
    security((), ("token" = [])),
    request_body = NewRoomRequest,
    responses((status = 200, description = "It is there.", body = CatalogueChanged), AdminProblems, Unread, Unmade, Unanswered)
)]
pub(in crate::http) async fn room(
    req: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let room: request::Room = received(BODY_MAX, &req, payload, &service).await?;
    make(&req, &service, CatalogueChange::CreateRoom(room.read()?)).await
}

/// End a room
///
/// Its coupons go on until they end.
#[utoipa::path(
    post,
    path = "/admin/rooms/{room_id}/end",
    operation_id = "endRoom",
    tag = "operators",
    security((), ("token" = [])),
    params(("room_id" = u64, Path, description = "The room.")),
    responses((status = 200, description = "It has ended.", body = CatalogueChanged), AdminProblems, Unread, Unmade, Unanswered)
)]
pub(in crate::http) async fn room_end(
    req: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    nothing(&req, payload, &service).await?;
    let room = path_id(&req, "room_id", RoomId::new)?;
    make(&req, &service, CatalogueChange::EndRoom(room)).await
}

/// Make a coupon
///
/// It can be grabbed once this is answered, within its window. Asked for again with the same body, the answer is the same.
#[utoipa::path(
    post,
    path = "/admin/coupons",
    operation_id = "createCoupon",
    tag = "operators",
    security((), ("token" = [])),
    request_body = NewCouponRequest,
    responses((status = 200, description = "It is there.", body = CatalogueChanged), AdminProblems, Unread, Unmade, Unanswered)
)]
pub(in crate::http) async fn coupon(
    req: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let coupon: request::Coupon = received(BODY_MAX, &req, payload, &service).await?;
    make(&req, &service, CatalogueChange::CreateCoupon(coupon.read()?)).await
}

/// Change a coupon
///
/// In force once it is answered: no grab is decided by what was before. Asked for again, the answer says `changed: false`.
#[utoipa::path(
    patch,
    path = "/admin/coupons/{coupon_id}",
    operation_id = "changeCoupon",
    tag = "operators",
    security((), ("token" = [])),
    params(("coupon_id" = u64, Path, description = "The coupon.")),
    request_body = CouponChangeRequest,
    responses((status = 200, description = "It is so.", body = CatalogueChanged), AdminProblems, Unread, Unmade, Unanswered)
)]
pub(in crate::http) async fn coupon_change(
    req: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let patch: request::Patch = received(BODY_MAX, &req, payload, &service).await?;
    let coupon = path_id(&req, "coupon_id", CouponId::new)?;
    make(&req, &service, CatalogueChange::ChangeCoupon(coupon, patch.read()?)).await
}

/// End a coupon early
///
/// Its window closes now; users who have one keep it. One that is over already stays as it is. One that has not begun can only be
/// withdrawn.
#[utoipa::path(
    post,
    path = "/admin/coupons/{coupon_id}/end",
    operation_id = "endCoupon",
    tag = "operators",
    security((), ("token" = [])),
    params(("coupon_id" = u64, Path, description = "The coupon.")),
    responses((status = 200, description = "It is over.", body = CatalogueChanged), AdminProblems, Unread, Unmade, Unanswered)
)]
pub(in crate::http) async fn coupon_end(
    req: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    nothing(&req, payload, &service).await?;
    let coupon = path_id(&req, "coupon_id", CouponId::new)?;
    let known = service.backend.catalogue.coupon(coupon, false).await;
    let known = known.map_err(|error| Problem::unavailable(&error))?;
    let (known, _) = known.ok_or_else(|| Problem::unknown_coupon(coupon))?;
    let now = service.backend.ids.mains_time(service.clock.now());
    if now <= known.start_time {
        let detail = format!("coupon {coupon} begins at {} only: withdraw it", known.start_time);
        return Err(Problem::new(Kind::Conflict, detail).field("coupon_id"));
    }
    // What is over is not to be prolonged.
    let end_time = (now < known.end_time).then_some(now);
    let patch = CouponPatch { end_time, ..CouponPatch::default() };
    make(&req, &service, CatalogueChange::ChangeCoupon(coupon, patch)).await
}

/// Withdraw a coupon
///
/// It cannot be grabbed until its `status` is 1 again; users who have one keep it.
#[utoipa::path(
    post,
    path = "/admin/coupons/{coupon_id}/withdraw",
    operation_id = "withdrawCoupon",
    tag = "operators",
    security((), ("token" = [])),
    params(("coupon_id" = u64, Path, description = "The coupon.")),
    responses((status = 200, description = "It is withdrawn.", body = CatalogueChanged), AdminProblems, Unread, Unmade, Unanswered)
)]
pub(in crate::http) async fn coupon_withdraw(
    req: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    nothing(&req, payload, &service).await?;
    let coupon = path_id(&req, "coupon_id", CouponId::new)?;
    make(&req, &service, CatalogueChange::ChangeCoupon(coupon, CouponPatch::withdrawal())).await
}

/// Add users
///
/// Those that exist already stay as they are; `added` counts the others.
#[utoipa::path(
    post,
    path = "/admin/users",
    operation_id = "addUsers",
    tag = "operators",
    security((), ("token" = [])),
    request_body = NewUsersRequest,
    responses((status = 200, description = "They are there.", body = CatalogueChanged), AdminProblems, Unread, Unmade, Unanswered)
)]
pub(in crate::http) async fn users(
    req: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let users: request::Users = received(USERS_BODY_MAX, &req, payload, &service).await?;
    make(&req, &service, CatalogueChange::AddUsers(users.read()?)).await
}
