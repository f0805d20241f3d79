//! The web app, built into the binary: `web/dist` and its `.br` and `.gz` siblings.
//!
//! Every path that is no file is the app's own (`/alerts/7`), so it gets `index.html`, with a
//! nonce made for this one answer: the page may run no script that the server did not write.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use crate::auth;
use crate::error::ApiError;
use crate::guard::API;

/// What the build of the web app writes wherever a nonce belongs.
const NONCE: &str = "__NONCE__";
/// The page when there is no web app.
const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>Pugmark</title>\
<h1>The web app was not built</h1>\
<p>This binary was built without <code>web/dist</code>. Run <code>cargo xtask web</code> and build \
again. The API, <code>pugmark search</code> and everything else work without it.</p>";

// Another clone has other files.
const _: Option<&str> = option_env!("WORKSPACE_ROOT");

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../../web/dist"]
#[allow_missing = true]
struct Dist;

/// One built file.
struct Asset {
    bytes: Cow<'static, [u8]>,
    hash: [u8; 32],
}

fn embedded(path: &str) -> Option<Asset> {
    let file = Dist::get(path)?;
    Some(Asset { bytes: file.data, hash: file.metadata.sha256_hash() })
}

/// Answers every path that is no route.
pub(crate) async fn serve(request: Request) -> Response {
    answer(embedded, request.method(), request.uri().path(), request.headers())
}

fn answer(
    read: impl Fn(&str) -> Option<Asset>,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Response {
    if path.starts_with(API) || path == "/api" {
        return ApiError::not_found("such path in this API")
            .hint("GET /api/v1/openapi.json lists the paths")
            .into_response();
    }
    if !method.is_safe() {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let name = path.trim_start_matches('/');
    // A sibling is an encoding of a file and no file of its own.
    let is_file = !name.is_empty() && name != "index.html";
    if is_file && let Some(asset) = read(name) {
        return file(&read, name, asset, headers);
    }
    if name.starts_with("assets/") {
        // A page of an older version asks for its files: `index.html` would not be a script.
        return (StatusCode::NOT_FOUND, "no such file").into_response();
    }
    match read("index.html") {
        Some(index) => page(&String::from_utf8_lossy(&index.bytes), StatusCode::OK),
        None => page(NOT_BUILT, StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// The page with a fresh nonce. Never kept: a nonce is used once.
fn page(html: &str, status: StatusCode) -> Response {
    let nonce = auth::random_id();
    let policy = format!(
        "default-src 'self'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; \
         img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    );
    let mut response = (status, html.replace(NONCE, &nonce)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn file(
    read: impl Fn(&str) -> Option<Asset>,
    name: &str,
    plain: Asset,
    headers: &HeaderMap,
) -> Response {
    let (asset, encoding) = packed(&read, name, headers).unwrap_or((plain, ""));
    let tag = format!("\"{}{encoding}\"", hex(&asset.hash[..16]));
    let mut response = match was_seen(headers, &tag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Body::from(asset.bytes).into_response(),
    };
    let out = response.headers_mut();
    let kept = match name.starts_with("assets/") {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    // A worker script has a policy of its own: it may load from here and ask this server.
    let policy = "default-src 'self'; object-src 'none'; frame-ancestors 'none'";
    out.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        out.insert(header::ETAG, tag);
    }
    if !encoding.is_empty() {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

/// The smallest sibling that the client takes.
fn packed(
    read: impl Fn(&str) -> Option<Asset>,
    name: &str,
    headers: &HeaderMap,
) -> Option<(Asset, &'static str)> {
    let accepted = headers.get(header::ACCEPT_ENCODING)?.to_str().ok()?;
    [("br", ".br"), ("gzip", ".gz")]
        .into_iter()
        .filter(|(encoding, _)| accepts(accepted, encoding))
        .find_map(|(encoding, suffix)| Some((read(&format!("{name}{suffix}"))?, encoding)))
}

fn accepts(accepted: &str, encoding: &str) -> bool {
    accepted.split(',').any(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        let refused = parts.any(|p| {
            p.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()).is_some_and(|q| q <= 0.0)
        });
        named && !refused
    })
}

fn was_seen(headers: &HeaderMap, tag: &str) -> bool {
    let seen = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    seen.is_some_and(|seen| {
        seen.split(',').any(|s| s.trim().trim_start_matches("W/") == tag || s.trim() == "*")
    })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" | "webmanifest" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(path: &str) -> Option<Asset> {
        let text: &str = match path {
            "index.html" => "<script nonce=\"__NONCE__\" src=/assets/app-1.js></script>",
            "assets/app-1.js" => "plain",
            "assets/app-1.js.br" => "brotli",
            "assets/app-1.js.gz" => "gzip",
            "favicon.svg" => "<svg/>",
            _ => return None,
        };
        Some(Asset { bytes: text.as_bytes().into(), hash: [text.len() as u8; 32] })
    }

    fn get(path: &str, headers: &[(&str, &str)]) -> Response {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(axum::http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        answer(built, &Method::GET, path, &map)
    }

    fn head<'a>(response: &'a Response, name: &str) -> &'a str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    async fn text(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn paths_of_the_app_get_the_page_with_a_fresh_nonce() {
        let mut seen = Vec::new();
        for path in ["/", "/alerts/7", "/index.html"] {
            let response = get(path, &[]);
            assert_eq!(response.status(), 200);
            assert_eq!(head(&response, "cache-control"), "no-store");
            let policy = head(&response, "content-security-policy").to_string();
            let page = text(response).await;
            let nonce = page.split('"').nth(1).unwrap().to_string();
            assert!(policy.contains(&format!("script-src 'self' 'nonce-{nonce}'")), "{policy}");
            assert!(!policy.contains("unsafe"));
            assert!(!seen.contains(&nonce) && !page.contains(NONCE));
            seen.push(nonce);
        }
    }

    #[tokio::test]
    async fn files_are_packed_kept_and_not_sent_twice() {
        for (accepted, encoding, body) in [
            ("gzip, deflate, br", "br", "brotli"),
            ("gzip, br;q=0", "gzip", "gzip"),
            ("", "", "plain"),
        ] {
            let response = get("/assets/app-1.js", &[("accept-encoding", accepted)]);
            assert_eq!(head(&response, "content-encoding"), encoding);
            assert!(head(&response, "cache-control").ends_with("immutable"));
            assert_eq!(head(&response, "vary"), "accept-encoding");
            let tag = head(&response, "etag").to_string();
            assert_eq!(text(response).await, body);
            let headers = [("accept-encoding", accepted), ("if-none-match", tag.as_str())];
            let again = get("/assets/app-1.js", &headers);
            assert_eq!(
                (again.status(), text(again).await.as_str()),
                (StatusCode::NOT_MODIFIED, "")
            );
        }
        assert_eq!(head(&get("/favicon.svg", &[]), "cache-control"), "no-cache");
    }

    #[tokio::test]
    async fn what_is_missing_is_said_to_be_missing() {
        assert_eq!(get("/assets/app-0.js", &[]).status(), 404);
        assert_eq!(get("/api/v1/nothing", &[]).status(), 404);
        let none = answer(|_| None, &Method::GET, "/", &HeaderMap::new());
        assert_eq!(none.status(), 503);
        assert!(text(none).await.contains("The web app was not built"));
        assert_eq!(answer(built, &Method::POST, "/", &HeaderMap::new()).status(), 405);
    }
}
