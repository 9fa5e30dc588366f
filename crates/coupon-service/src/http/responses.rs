//! The errors of the API's paths, as its description lists them.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

/// Errors that several paths share, so that each is described once.
macro_rules! problems {
    ($($name:ident { $($status:literal => $text:literal),+ $(,)? })+) => {
        $(
            pub(super) enum $name {}

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    BTreeMap::from([$(($status.to_owned(), problem($text))),+])
                }
            }
        )+
    };
}

problems! {
    ReadProblems {
        "400" => "A parameter that is malformed, unknown or given twice, or a cursor of another list.",
        "422" => "A number out of range.",
    }
    Unknown {
        "404" => "No such user, room, coupon or result.",
    }
    BodyProblems {
        "400" => "A body that is missing, no JSON object, or has a field of the wrong type, unknown or given twice.",
        "404" => "No such user, coupon or result.",
        "408" => "The body took too long to arrive.",
        "413" => "The body is above 16 KiB.",
        "415" => "The content type is not JSON.",
        "422" => "A number out of range, a room that is not the coupon's or that the strategy has no place for, a grab that must name its request and does not, or an order below the coupon's `min_purchase`.",
    }
    UserProblems {
        "401" => "With `users.token_secret` set: the user's token is missing, wrong or expired.",
        "403" => "The token is another user's.",
    }
    GrabProblems {
        "401" => "With `users.token_secret` set: the user's token is missing, wrong or expired.",
        "403" => "The token is another user's, or the user is not active.",
    }
    Limited {
        "429" => "The user grabs more often than `limits.user_grabs_per_s`; ask again after `Retry-After`.",
    }
    TooOften {
        "429" => "The user gives back more than `limits.user_returns_per_h`; ask again after `Retry-After`.",
    }
    ReturnProblems {
        "401" => "With `users.token_secret` set: the token is missing, wrong or expired.",
        "403" => "The token is another user's, or the coupon is not `returnable` and the asker no operator.",
    }
    Stands {
        "409" => "The result is in a state from which this step does not lead, its hold is over, or it was spent on an order of another amount: `type` and `detail` say what stands.",
    }
    Unmade {
        "400" => "A parameter, a header or a body that cannot be read; of a body: one that is missing, no JSON object, or has a field of the wrong type, unknown or given twice.",
        "404" => "No such room or coupon.",
        "409" => "What is there stands in the way: another room or coupon of that id, or a row that makes no sense. `detail` says what.",
        "422" => "A value that cannot be so: `field` names it.",
    }
    Unread {
        "408" => "The body took too long to arrive.",
        "413" => "The body is above 16 KiB, or 2 MiB where it holds users.",
        "415" => "The content type is not JSON.",
    }
    AdminProblems {
        "400" => "An unknown parameter.",
        "401" => "The token is missing or wrong.",
        "403" => "No token is set, and the request comes from another machine, through a proxy or from another host's page.",
    }
    Unanswered {
        "503" => "Something needed does not answer; asking again, after `Retry-After`, is safe.",
    }
}

fn problem(text: &str) -> RefOr<Response> {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemDetails"))).build();
    ResponseBuilder::new().description(text).content("application/problem+json", content).build().into()
}
