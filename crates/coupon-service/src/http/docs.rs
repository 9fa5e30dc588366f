//! The API, described: OpenAPI 3.1 at `/openapi.json`, and a page to try it at `/docs`.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use coupon_core::{MAX_ID, ResultState};
use coupon_store::settings::Settings;
use utoipa::openapi::RefOr;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::{Modify, Number, OpenApi};

use super::problem::{Kind, Problem};
use super::routes::Routes;
use crate::api::ProblemDetails;
use crate::state::Service;

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
        super::after_grab::confirm,
        super::after_grab::release,
        super::after_grab::spend,
        super::after_grab::give_back,
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
        super::operator::lists::offers,
        super::operator::lists::changes,
        super::operator::archive::archive,
        super::operator::archive::archive_start,
        super::operator::layout::layout,
        super::operator::layout::layout_change,
        super::operator::layout::rebalance,
        super::operator::layout::rebalance_start,
        super::operator::layout::rebalance_stop,
        super::operator::make::room,
        super::operator::make::room_end,
        super::operator::make::coupon,
        super::operator::make::coupon_change,
        super::operator::make::coupon_end,
        super::operator::make::coupon_withdraw,
        super::operator::make::users,
        super::health::alive,
        super::health::ready,
        super::metrics::metrics,
        super::grab::echo,
    ),
    components(schemas(ProblemDetails)),
    modifiers(&Tokens, &Names, &Bounds),
    tags(
        (name = "grab", description = "The flash sale itself."),
        (name = "results", description = "What was grabbed."),
        (name = "catalogue", description = "Coupons, rooms and stock."),
        (name = "statistics", description = "Sums and counts."),
        (name = "operators", description = "Changes of the catalogue and of the layout, and archives, while services run, for operators; admitted as in `admin`."),
        (name = "admin", description = "For operators: with the token or, when none is set, from the same machine."),
        (name = "operation", description = "For probes, monitoring and benchmarks."),
    )
)]
pub(super) struct Api;

/// Adds the bounds of fields, by their names; and objects have no other fields than those that are described.
struct Bounds;

impl Bounds {
    /// The digits of an id that is within 63 bits, but for the last thousandth of them.
    const RESULT_ID: &str = "^(0|[1-9][0-9]{0,17}|[1-8][0-9]{18}|9[01][0-9]{17}|92[01][0-9]{16})$";
    /// The form of a cursor; not every text of this form is one.
    const CURSOR: &str = "^[A-Za-z0-9_-]{44}$";

    fn set(name: &str, schema: &mut RefOr<Schema>) {
        let RefOr::T(Schema::Object(field)) = schema else { return };
        match name {
            "user_id" | "coupon_id" | "room_id" => {
                field.minimum = Some(Number::UInt(1));
                field.maximum = usize::try_from(MAX_ID).ok().map(Number::UInt);
            }
            "result_id" => field.pattern = Some(Self::RESULT_ID.to_owned()),
            "state" => {
                let words = ResultState::ALL.map(|state| serde_json::Value::from(state.as_str()));
                let nullable =
                    matches!(&field.schema_type, SchemaType::Array(kinds) if kinds.contains(&Type::Null));
                field.enum_values =
                    Some(words.into_iter().chain(nullable.then_some(serde_json::Value::Null)).collect());
            }
            "cursor" | "next_cursor" => field.pattern = Some(Self::CURSOR.to_owned()),
            _ => {}
        }
    }
}

impl Modify for Bounds {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let parameters = operations(api).filter_map(|operation| operation.parameters.as_mut()).flatten();
        for parameter in parameters {
            if let RefOr::T(Parameter { name, schema: Some(schema), .. }) = parameter {
                Self::set(name, schema);
            }
        }
        let schemas = api.components.iter_mut().flat_map(|components| components.schemas.values_mut());
        for schema in schemas {
            let RefOr::T(Schema::Object(object)) = schema else { continue };
            if !object.properties.is_empty() {
                object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
            for (name, field) in &mut object.properties {
                Self::set(name, field);
            }
        }
    }
}

/// Adds to each change of the catalogue the header that names who makes it.
struct Names;

impl Modify for Names {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let text =
            ObjectBuilder::new().schema_type(Type::String).max_length(Some(64)).pattern(Some("^[ -~]*$"));
        let name = ParameterBuilder::new()
            .name("X-Operator")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "The name that the change is recorded by: printable, 64 characters at most, in UTF-8 where it is not ASCII; \
                 `operator` if not given.",
            ))
            .schema(Some(text))
            .build();
        for path in api.paths.paths.values_mut() {
            for change in [&mut path.post, &mut path.patch].into_iter().flatten() {
                if change.tags.iter().flatten().any(|tag| tag == "operators") {
                    change.parameters.get_or_insert_default().push(RefOr::T(name.clone()));
                }
            }
        }
    }
}

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

/// OpenAPI 3.1, of any service: a token that depends on a setting may be there or not.
pub(super) fn json() -> &'static str {
    static JSON: LazyLock<String> = LazyLock::new(|| Api::openapi().to_json().unwrap_or_default());
    &JSON
}

/// The same of one service: its tokens are needed, or there are none.
fn json_of(settings: &Settings) -> &'static str {
    static EACH: LazyLock<[String; 4]> = LazyLock::new(|| {
        [[false, false], [false, true], [true, false], [true, true]].map(|[admin, user]| {
            let mut api = Api::openapi();
            settle(&mut api, &[("token", admin), ("user", user)]);
            api.to_json().unwrap_or_default()
        })
    });
    let (admin, user) = (!settings.admin.token.is_empty(), !settings.users.token_secret.is_empty());
    EACH.get(usize::from(admin) * 2 + usize::from(user)).map_or("", String::as_str)
}

/// Leaves of the ways to ask for something those that are right where these tokens are needed, or are not. The first token
/// that an operation names is the one without which it can, or cannot, be asked for.
fn settle(api: &mut utoipa::openapi::OpenApi, tokens: &[(&str, bool)]) {
    let token = |name: &str| SecurityRequirement::new::<_, _, String>(name, []);
    let needed = |way: &SecurityRequirement| {
        tokens.iter().find(|(name, _)| token(name) == *way).map(|(_, needed)| *needed)
    };
    for operation in operations(api) {
        let ways = operation.security.take().unwrap_or_default();
        let without = ways.iter().find_map(needed) != Some(true);
        let kept: Vec<_> = ways.into_iter().filter(|way| needed(way).unwrap_or(without)).collect();
        operation.security = kept.iter().any(|way| needed(way).is_some()).then_some(kept);
    }
}

fn operations(api: &mut utoipa::openapi::OpenApi) -> impl Iterator<Item = &mut Operation> {
    api.paths
        .paths
        .values_mut()
        .flat_map(|path| [&mut path.get, &mut path.post, &mut path.patch].into_iter().flatten())
}

async fn openapi(service: web::Data<Service>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(json_of(&service.settings))
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
        assert_eq!(api["paths"].as_object().unwrap().len(), 33);
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
        assert_eq!(api["paths"]["/admin/stats"]["get"]["security"].to_string(), r#"[{},{"token":[]}]"#);
    }

    #[test]
    fn every_change_of_the_catalogue_may_name_who_makes_it_and_nothing_else_does() {
        let api: serde_json::Value = serde_json::from_str(&Api::openapi().to_json().unwrap()).unwrap();
        for (path, methods) in api["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let changes = operation["tags"][0] == "operators" && method != "get";
                let mut parameters = operation["parameters"].as_array().into_iter().flatten();
                let named = parameters.any(|parameter| parameter["name"] == "X-Operator");
                assert_eq!(named, changes, "{method} {path}");
            }
        }
    }

    #[test]
    fn of_one_service_a_token_is_needed_or_there_is_none() {
        for (admin, user) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut api = Api::openapi();
            settle(&mut api, &[("token", admin), ("user", user)]);
            let api: serde_json::Value = serde_json::from_str(&api.to_json().unwrap()).unwrap();
            let ways = |path: &str, method: &str| api["paths"][path][method]["security"].to_string();
            let said =
                |needed, name: &str| if needed { format!(r#"[{{"{name}":[]}}]"#) } else { "null".to_owned() };
            assert_eq!(ways("/admin/stats", "get"), said(admin, "token"));
            assert_eq!(ways("/admin/drain", "post"), said(admin, "token"));
            assert_eq!(ways("/api/coupon/grab", "post"), said(user, "user"));
            let either = match (admin, user) {
                (false, _) => said(user, "user"),
                (true, false) => r#"[{},{"token":[]}]"#.to_owned(),
                (true, true) => r#"[{"user":[]},{"token":[]}]"#.to_owned(),
            };
            assert_eq!(ways("/api/coupon/confirm", "post"), either);
            assert_eq!(ways("/healthz", "get"), "null");
        }
    }

    #[test]
    fn every_id_has_its_bounds_and_every_object_no_more_than_its_fields() {
        let api: serde_json::Value = serde_json::from_str(&Api::openapi().to_json().unwrap()).unwrap();
        let bounded = |name: &str, schema: &serde_json::Value| match name {
            "user_id" | "coupon_id" | "room_id" => {
                assert_eq!((&schema["minimum"], &schema["maximum"]), (&1.into(), &MAX_ID.into()), "{name}");
            }
            "result_id" | "cursor" | "next_cursor" => assert!(schema["pattern"].is_string(), "{name}"),
            _ => {}
        };
        for (name, schema) in api["components"]["schemas"].as_object().unwrap() {
            assert_eq!(schema["additionalProperties"], false, "{name}");
            schema["properties"].as_object().unwrap().iter().for_each(|(name, field)| bounded(name, field));
        }
        for path in api["paths"].as_object().unwrap().values() {
            for operation in path.as_object().unwrap().values() {
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    bounded(parameter["name"].as_str().unwrap(), &parameter["schema"]);
                }
            }
        }
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
