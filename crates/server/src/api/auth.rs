//! Signing in and out, and the first user.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::App;
use crate::auth::{self, Caller};
use crate::body::Json;
use crate::error::ApiError;
use crate::guard::peer;
use crate::wire::{AuthState, ErrorBody, LoginRequest, SetupRequest};

/// Who is signed in, and is there anybody at all.
#[utoipa::path(
    get, path = "/api/v1/auth/state", tag = "sign in", operation_id = "auth_state",
    responses((status = 200, body = AuthState)), security(())
)]
pub(crate) async fn state(
    State(app): State<App>,
    parts: Parts,
) -> Result<Answer<AuthState>, ApiError> {
    let users = app.engine.store().accounts().user_count().await?;
    let user = parts.extensions.get::<Caller>().and_then(|c| c.user()).map(str::to_string);
    Ok(Answer(AuthState { setup_needed: users == 0, user }))
}

/// Make the first user with the one-time link, and sign in.
#[utoipa::path(
    post, path = "/api/v1/auth/setup", tag = "sign in", operation_id = "auth_setup",
    request_body = SetupRequest,
    responses((status = 204), (status = "4XX", body = ErrorBody)), security(())
)]
pub(crate) async fn setup(
    State(app): State<App>,
    parts: Parts,
    Json(request): Json<SetupRequest>,
) -> Result<Response, ApiError> {
    let SetupRequest { token, user, password } = request;
    Ok(with_cookie(auth::finish_setup(&app, peer(&parts), &token, &user, &password).await?))
}

/// Sign in with name and password.
#[utoipa::path(
    post, path = "/api/v1/auth/login", tag = "sign in", operation_id = "auth_login",
    request_body = LoginRequest,
    responses((status = 204), (status = "4XX", body = ErrorBody)), security(())
)]
pub(crate) async fn login(
    State(app): State<App>,
    parts: Parts,
    Json(request): Json<LoginRequest>,
) -> Result<Response, ApiError> {
    let LoginRequest { user, password } = request;
    Ok(with_cookie(auth::sign_in(&app, peer(&parts), &user, &password).await?))
}

/// End the session.
#[utoipa::path(
    post, path = "/api/v1/auth/logout", tag = "sign in", operation_id = "auth_logout",
    responses((status = 204), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["any"]))
)]
pub(crate) async fn logout(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    if let Some(hash) = caller.session_hash() {
        auth::end_session(&app, hash).await?;
    }
    Ok(with_cookie(auth::cleared_cookie(app.options.secure_cookies)?))
}

fn with_cookie(cookie: HeaderValue) -> Response {
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}
