//! The API described by itself: routes and document come from the same list, so that neither can
//! lack what the other has.

use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::api::{
    alerts, audit, auth, clock, events, explore, export, fields, ingest, ledger, lookups, parsers,
    quarantine, query, reparse, retention, rules, search, searches, sources, sql, status, stream,
    tokens, transforms,
};
use crate::auth::{REQUEST_HEADER, SESSION_COOKIE};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Pugmark",
        description = "Logs in, questions and alerts out. Times are RFC 3339 in UTC. Every error \
                       is `{\"error\":{\"code\",\"message\",\"hint\"}}`; in an NDJSON answer an \
                       error after the first row is the last line, of the same shape."
    ),
    modifiers(&Credentials)
)]
struct Document;

/// The two ways to say who asks.
struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let cookie = ApiKeyValue::with_description(
            SESSION_COOKIE,
            &format!("A signed-in person. Unsafe methods need the header {REQUEST_HEADER}: 1."),
        );
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token for ingest, read or admin; admin may do everything."))
            .build();
        components.add_security_scheme("token", SecurityScheme::Http(token));
    }
}

/// Every route of the API with its part of the document.
pub(crate) fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(auth::state))
        .routes(routes!(auth::setup))
        .routes(routes!(auth::login))
        .routes(routes!(auth::logout))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::delete))
        .routes(routes!(ingest::ingest))
        .routes(routes!(search::search))
        .routes(routes!(sql::sql))
        .routes(routes!(export::export))
        .routes(routes!(searches::list, searches::add))
        .routes(routes!(searches::get, searches::put, searches::delete))
        .routes(routes!(explore::histogram))
        .routes(routes!(explore::facets))
        .routes(routes!(query::parse))
        .routes(routes!(query::propose))
        .routes(routes!(query::explain))
        .routes(routes!(fields::fields))
        .routes(routes!(events::event))
        .routes(routes!(events::rules))
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::get))
        .routes(routes!(alerts::verdict))
        .routes(routes!(rules::list))
        .routes(routes!(rules::get, rules::edit::put, rules::edit::delete))
        .routes(routes!(rules::edit::check))
        .routes(routes!(rules::edit::switch))
        .routes(routes!(rules::backtest::backtest))
        .routes(routes!(parsers::list))
        .routes(routes!(parsers::propose))
        .routes(routes!(parsers::test))
        .routes(routes!(parsers::put, parsers::delete))
        .routes(routes!(lookups::list))
        .routes(routes!(lookups::put, lookups::delete))
        .routes(routes!(transforms::list))
        .routes(routes!(transforms::test))
        .routes(routes!(transforms::put, transforms::delete))
        .routes(routes!(status::status))
        .routes(routes!(sources::sources))
        .routes(routes!(sources::health))
        .routes(routes!(clock::put, clock::delete))
        .routes(routes!(ledger::ledger))
        .routes(routes!(retention::show))
        .routes(routes!(retention::preview))
        .routes(routes!(retention::hold))
        .routes(routes!(retention::release))
        .routes(routes!(quarantine::list))
        .routes(routes!(quarantine::record))
        .routes(routes!(quarantine::replay))
        .routes(routes!(reparse::state, reparse::start))
        .routes(routes!(audit::audit))
        .routes(routes!(stream::stream))
        .routes(routes!(status::document))
        .routes(routes!(status::metrics))
}

/// The OpenAPI document as JSON.
pub fn openapi_json() -> String {
    api().to_openapi().to_pretty_json().expect("the document is made of plain values")
}
