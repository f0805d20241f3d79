//! Sessions: a random secret in a cookie, its hash in the store.

use std::net::IpAddr;

use axum::http::HeaderValue;
use pugmark_event::time::{DAY, Micros, SECOND};
use pugmark_store::{Accounts, StoreError};

use super::{Throttle, passwords, secrets};
use crate::App;
use crate::error::ApiError;

/// Name of the cookie.
pub(crate) const SESSION_COOKIE: &str = "pugmark_session";
/// How long a session lasts.
const SESSION_SPAN: Micros = 7 * DAY;

/// Checks name and password and opens a session. Returns the cookie to set.
pub(crate) async fn sign_in(
    app: &App,
    from: IpAddr,
    user: &str,
    password: &str,
) -> Result<HeaderValue, ApiError> {
    check_password(app, &app.throttle, from, user, password).await?;
    open_session(app, user).await
}

/// Checks name and password, within the tries that an address has. Returns the hash that was kept.
pub(super) async fn check_password(
    app: &App,
    throttle: &Throttle,
    from: IpAddr,
    user: &str,
    password: &str,
) -> Result<String, ApiError> {
    app.admit(throttle, from)?;
    let accounts = app.engine.store().accounts();
    let fits = user.len() <= super::setup::USER_BYTES_MAX && password.len() <= passwords::BYTES_MAX;
    let known = if fits { accounts.password_hash(user).await? } else { None };
    let password = if fits { password.to_string() } else { String::new() };
    let kept = known.clone().unwrap_or_default();
    let right = app.slowly(move || passwords::verify(&password, known.as_deref())).await?;
    if !right {
        let error = ApiError::unauthorized_because("the name or the password is wrong");
        return Err(error);
    }
    throttle.forgive(from);
    Ok(kept)
}

/// Opens a session of `user`. Returns the cookie to set.
pub(crate) async fn open_session(app: &App, user: &str) -> Result<HeaderValue, ApiError> {
    let secret = secrets::generate();
    let expires = app.engine.now() + SESSION_SPAN;
    let accounts = app.engine.store().accounts();
    accounts.create_session(&secrets::hash(&secret), user, expires).await?;
    set_cookie(&secret, SESSION_SPAN / SECOND, app.options.secure_cookies)
}

/// Ends the session with this hash.
pub(crate) async fn end_session(app: &App, hash: &str) -> Result<(), ApiError> {
    Ok(app.engine.store().accounts().delete_session(hash).await?)
}

/// The user of a session that has not ended.
pub(super) async fn user_of(
    accounts: &Accounts,
    hash: &str,
    now: Micros,
) -> Result<Option<String>, StoreError> {
    accounts.session(hash, now).await
}

/// The cookie that removes the session from the browser.
pub(crate) fn cleared_cookie(secure: bool) -> Result<HeaderValue, ApiError> {
    set_cookie("", 0, secure)
}

fn set_cookie(secret: &str, seconds: i64, secure: bool) -> Result<HeaderValue, ApiError> {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!(
        "{SESSION_COOKIE}={secret}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}"
    );
    HeaderValue::from_str(&text).map_err(ApiError::internal)
}
