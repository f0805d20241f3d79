//! What happens to every request before a handler sees it, and to every answer after.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;

use crate::error::ApiError;
use crate::{App, ServerOptions, auth};

/// Longest time until an answer begins. Streams may go on for longer.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// The same for ingest, whose bodies are large and whose senders are slow.
const INGEST_TIME: Duration = Duration::from_secs(300);
/// Where the API lives.
pub(crate) const API: &str = "/api/";
/// Routes that anybody may ask. All others need a session or a token.
const OPEN: &[&str] = &["/api/v1/auth/state", "/api/v1/auth/login", "/api/v1/auth/setup"];

/// The route that answered, for the counters.
#[derive(Debug, Clone)]
struct Route(String);

/// The outermost layer.
pub(crate) async fn outermost(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = auth::random_id();
    let started = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_string();
    let is_api = path.starts_with(API) || path == "/api" || path == "/metrics";
    let limit = match path.starts_with("/api/v1/ingest/") {
        true => INGEST_TIME,
        false => ANSWER_TIME,
    };
    let response = match check_host(&app.options, request.uri(), request.headers()) {
        Err(error) => error.into_response(),
        Ok(()) => match tokio::time::timeout(limit, next.run(request)).await {
            Ok(response) => response,
            Err(_) => timed_out(limit).into_response(),
        },
    };
    let mut response = match is_api && response.status().as_u16() >= 400 {
        true => shape_error(response, &id).await,
        false => response,
    };
    let status = response.status();
    let route = response.extensions().get::<Route>().map_or(
        if is_api || status == StatusCode::MISDIRECTED_REQUEST { "none" } else { "web" },
        |route| route.0.as_str(),
    );
    app.requests.count(method.as_str(), route, status.as_u16());
    tracing::debug!(%id, %method, path, status = status.as_u16(), elapsed = ?started.elapsed());
    secure(&mut response, &id, is_api);
    response
}

/// The layer around the routes of the API: who asks, and may the request be what it seems to be.
pub(crate) async fn gate(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>();
    let path = matched.map_or_else(String::new, |path| path.as_str().to_string());
    let mut response = match admit(&app, &path, &mut request).await {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    response.extensions_mut().insert(Route(path));
    response
}

async fn admit(app: &App, path: &str, request: &mut Request) -> Result<(), ApiError> {
    let caller = auth::identify(app, request.headers()).await?;
    if caller.is_none() && !OPEN.contains(&path) {
        return Err(ApiError::unauthorized());
    }
    auth::check_forgery(caller.as_ref(), request.method(), request.headers())?;
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    Ok(())
}

/// A page of another site can have its own name point to 127.0.0.1 and so read what a server on
/// loopback answers (DNS rebinding). The `Host` header still has that name.
fn check_host(
    options: &ServerOptions,
    uri: &Uri,
    headers: &axum::http::HeaderMap,
) -> Result<(), ApiError> {
    if !options.listen.ip().is_loopback() {
        return Ok(());
    }
    let host = uri
        .authority()
        .map(|authority| authority.as_str())
        .or_else(|| headers.get(header::HOST)?.to_str().ok())
        .unwrap_or_default();
    if is_own_name(options, host) {
        return Ok(());
    }
    let message = "this server is not called by the name that the request names";
    Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", message)
        .hint("use http://localhost, or list the name under server.public_hosts in pugmark.toml"))
}

fn is_own_name(options: &ServerOptions, host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let own = match bare.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || address == options.listen.ip(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    };
    own || options
        .public_hosts
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name) || known.eq_ignore_ascii_case(host))
}

/// The address that a request comes from.
pub(crate) fn peer(parts: &Parts) -> IpAddr {
    let info = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    info.map_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), |info| info.0.ip())
}

fn timed_out(limit: Duration) -> ApiError {
    let message = format!("this took longer than {} s", limit.as_secs());
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", message)
        .hint("ask for a shorter time range")
}

/// Gives every error of the API the one shape, with the id of the request.
async fn shape_error(response: Response, id: &str) -> Response {
    let (mut parts, body) = response.into_parts();
    let error = match parts.extensions.remove::<ApiError>() {
        Some(error) => error,
        None => {
            // An answer that the router or an extractor wrote: short text, or nothing.
            let text = http_body_util::Limited::new(body, 4096).collect().await;
            let bytes = text.map(|text| text.to_bytes()).unwrap_or_default();
            ApiError::of_status(parts.status, String::from_utf8_lossy(&bytes).trim())
        }
    };
    let mut shaped = error.response(Some(id));
    // `Allow` of a 405 stays.
    if let Some(allow) = parts.headers.remove(header::ALLOW) {
        shaped.headers_mut().insert(header::ALLOW, allow);
    }
    if let Some(route) = parts.extensions.remove::<Route>() {
        shaped.extensions_mut().insert(route);
    }
    shaped
}

fn secure(response: &mut Response, id: &str, is_api: bool) {
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set("x-content-type-options", "nosniff");
    set("x-frame-options", "DENY");
    set("referrer-policy", "no-referrer");
    set("cross-origin-opener-policy", "same-origin");
    set("cross-origin-resource-policy", "same-origin");
    set("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()");
    set("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
    if is_api {
        set("cache-control", "no-store");
    }
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert("x-request-id", value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_are_own() {
        let options =
            ServerOptions { public_hosts: vec!["logs.example".into()], ..ServerOptions::default() };
        for (host, expected) in [
            ("localhost:7700", true),
            ("LOCALHOST", true),
            ("127.0.0.1", true),
            ("127.0.0.1:7700", true),
            ("[::1]:7700", true),
            ("logs.example:443", true),
            ("evil.example:7700", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example:7700", false),
            ("192.0.2.7:7700", false),
            ("", false),
        ] {
            assert_eq!(is_own_name(&options, host), expected, "{host:?}");
        }
    }
}
