//! The first start: a one-time link makes the admin.

use std::net::IpAddr;

use axum::http::{HeaderValue, StatusCode};
use pugmark_engine::Engine;
use pugmark_store::StoreError;

use super::{passwords, secrets, sessions};
use crate::App;
use crate::error::ApiError;

/// Longest name of a user in bytes.
pub(super) const USER_BYTES_MAX: usize = 64;
/// Where the hash of the set-up token is kept.
const SETTING: &str = "setup_token_hash";

/// A new one-time set-up token, or `None` once there is a user. Each start makes a new one and
/// the older ones stop working.
///
/// # Errors
/// When the store refuses.
pub async fn setup_token(engine: &Engine) -> Result<Option<String>, StoreError> {
    let accounts = engine.store().accounts();
    if accounts.user_count().await? > 0 {
        return Ok(None);
    }
    let token = secrets::generate();
    accounts.set_setting(SETTING, &secrets::hash(&token)).await?;
    Ok(Some(token))
}

/// Makes the first user and signs them in. Returns the cookie to set.
pub(crate) async fn finish_setup(
    app: &App,
    from: IpAddr,
    token: &str,
    user: &str,
    password: &str,
) -> Result<HeaderValue, ApiError> {
    app.admit(&app.throttle, from)?;
    // One at a time: two requests with the right token must not make two admins.
    let _turn = app.setup_turn.lock().await;
    let accounts = app.engine.store().accounts();
    if accounts.user_count().await? > 0 {
        let message = "Pugmark is set up already";
        return Err(
            ApiError::new(StatusCode::CONFLICT, "set_up_already", message).hint("sign in instead")
        );
    }
    let known = accounts.setting(SETTING).await?.unwrap_or_default();
    if !secrets::same(&secrets::hash(token), &known) {
        return Err(ApiError::forbidden("this set-up link is not valid, or no longer")
            .hint("use the newest link that the server printed when it started"));
    }
    check_user(user).and_then(|()| passwords::check(password)).map_err(ApiError::bad_request)?;
    let password = password.to_string();
    let hash = app.slowly(move || passwords::hash(&password)).await?.map_err(ApiError::internal)?;
    accounts.create_user(user, &hash).await?;
    accounts.set_setting(SETTING, "").await?;
    app.throttle.forgive(from);
    sessions::open_session(app, user).await
}

fn check_user(user: &str) -> Result<(), String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'@');
    if (1..=USER_BYTES_MAX).contains(&user.len()) && user.bytes().all(plain) {
        return Ok(());
    }
    Err(format!("a user name has 1 to {USER_BYTES_MAX} letters, digits, dots, dashes, _ or @"))
}
