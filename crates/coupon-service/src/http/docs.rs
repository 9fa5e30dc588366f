//! The API, described: OpenAPI 3.1 at `/openapi.json`, and a page to try it at `/docs`.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::problem::{Kind, Problem};
use super::routes::Routes;
use crate::api::ProblemDetails;

pub(super) fn configure(routes: &mut Routes<'_>) {
    routes.get("/openapi.json", openapi);
    routes.get("/docs", to_docs);
    routes.get("/docs/{file:.*}", page);
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Flash-sale coupons",
        description = "Grab limited coupons; ask for results, stock and statistics. Services with different sharding \
                       strategies offer this same API; `plan` and `Server-Timing` show how each answers."
    ),
    paths(
        super::grab::grab,
        super::results::spend,
        super::users::coupons,
        super::rooms::orders,
        super::orders::recent,
        super::results::result,
        super::coupons::stock,
        super::coupons::coupon,
        super::rooms::coupons,
        super::rooms::stats,
        super::statistics::global,
        super::admin::stats,
        super::admin::shards,
        super::admin::drain,
        super::health::alive,
        super::health::ready,
        super::metrics::metrics,
        super::grab::echo,
    ),
    components(schemas(ProblemDetails)),
    modifiers(&Tokens),
    tags(
        (name = "grab", description = "The flash sale itself."),
        (name = "results", description = "What was grabbed."),
        (name = "catalogue", description = "Coupons, rooms and stock."),
        (name = "statistics", description = "Sums and counts."),
        (name = "admin", description = "For operators: with the token or, when none is set, from the same machine."),
        (name = "operation", description = "For probes, monitoring and benchmarks."),
    )
)]
pub(super) struct Api;

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The setting `admin.token`. Without one, only loopback is let through."))
            .build();
        let user = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("<user_id>.<expiry in seconds since 1970>.<base64url of HMAC-SHA256>")
            .description(Some(
                "Asked for only with the setting `users.token_secret`; the subcommand `token` makes one.",
            ))
            .build();
        if let Some(components) = api.components.as_mut() {
            components.add_security_scheme("token", SecurityScheme::Http(bearer));
            components.add_security_scheme("user", SecurityScheme::Http(user));
        }
    }
}

/// OpenAPI 3.1.
pub(super) fn json() -> &'static str {
    static JSON: LazyLock<String> = LazyLock::new(|| Api::openapi().to_json().unwrap_or_default());
    &JSON
}

async fn openapi() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(json())
}

async fn to_docs() -> HttpResponse {
    HttpResponse::TemporaryRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

async fn page(req: HttpRequest) -> Result<HttpResponse, Problem> {
    static CONFIG: LazyLock<Arc<utoipa_swagger_ui::Config<'static>>> =
        LazyLock::new(|| Arc::new(utoipa_swagger_ui::Config::from("/openapi.json")));
    let file = req.match_info().get("file").unwrap_or_default();
    let found = utoipa_swagger_ui::serve(file, Arc::clone(&CONFIG)).map_err(Problem::internal)?;
    let found = found.ok_or_else(|| Problem::new(Kind::NotFound, "there is no such page"))?;
    let bytes = match found.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    Ok(HttpResponse::Ok().content_type(found.content_type).body(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_described_with_its_errors() {
        let api: serde_json::Value = serde_json::from_str(&Api::openapi().to_json().unwrap()).unwrap();
        assert!(api["openapi"].as_str().unwrap().starts_with("3.1"));
        assert_eq!(api["paths"].as_object().unwrap().len(), 18);
        let grab = &api["paths"]["/api/coupon/grab"]["post"]["responses"];
        for status in ["200", "400", "401", "403", "404", "408", "413", "415", "422", "429", "503"] {
            assert!(grab[status].is_object(), "{status}");
        }
        assert_eq!(
            grab["422"]["content"]["application/problem+json"]["schema"]["$ref"],
            "#/components/schemas/ProblemDetails"
        );
        assert_eq!(api["components"]["securitySchemes"]["token"]["scheme"], "bearer");
        // Either none or a user's token: it depends on a setting.
        assert_eq!(api["paths"]["/api/coupon/grab"]["post"]["security"].to_string(), r#"[{},{"user":[]}]"#);
        assert!(api["paths"]["/admin/stats"]["get"]["security"][0]["token"].is_array());
    }

    #[test]
    fn no_two_operations_share_a_name() {
        let api: serde_json::Value = serde_json::from_str(&Api::openapi().to_json().unwrap()).unwrap();
        let paths = api["paths"].as_object().unwrap().values();
        let mut names: Vec<&str> = paths
            .flat_map(|path| path.as_object().unwrap().values())
            .map(|operation| operation["operationId"].as_str().unwrap())
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn every_schema_referred_to_is_there() {
        let json = Api::openapi().to_json().unwrap();
        let api: serde_json::Value = serde_json::from_str(&json).unwrap();
        for reference in json.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(api["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}
