//! Operators' work while a sale goes on: changes of the catalogue and of the layout, archives of old results, the lists that they
//! look at, and a page for most of it.

pub(super) mod archive;
pub(super) mod layout;
pub(super) mod lists;
pub(super) mod make;
mod request;

use actix_web::HttpResponse;

use super::routes::Routes;
use crate::web_page::{self, Asset};

const PAGE: Asset = Asset::html(include_str!("page.html"));
const STYLE: Asset = Asset::css(include_str!("page.css"));
const SCRIPT: Asset = Asset::script(include_str!("page.js"));

pub(super) fn configure(routes: &mut Routes<'_>) {
    // The page holds no data, and so needs no token: it asks for one.
    routes.get("/admin", async || part(PAGE));
    routes.get("/admin/look.css", async || part(Asset::css(web_page::LOOK)));
    routes.get("/admin/page.css", async || part(STYLE));
    routes.get("/admin/parts.js", async || part(Asset::script(web_page::PARTS)));
    routes.get("/admin/page.js", async || part(SCRIPT));
    archive::configure(routes);
    layout::configure(routes);
    lists::configure(routes);
    make::configure(routes);
}

fn part(asset: Asset) -> HttpResponse {
    let mut answer = asset.answer();
    web_page::protect(answer.headers_mut(), web_page::POLICY);
    answer
}
