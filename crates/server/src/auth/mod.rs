//! Who asks, and what they may do.
//!
//! A caller is a person with a session cookie or a program with a bearer token. A handler says in
//! its signature what it needs: [`Reader`], [`Ingester`], [`Admin`] or any [`Caller`].

mod askers;
mod passwords;
mod secrets;
mod sessions;
mod setup;
mod throttle;
mod tokens;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use pugmark_store::Accounts;
use serde::{Deserialize, Serialize};

use crate::App;
use crate::error::ApiError;

pub use askers::{AskRefusal, Asker};
pub(crate) use secrets::id as random_id;
#[cfg(test)]
pub(crate) use sessions::open_session;
pub(crate) use sessions::{SESSION_COOKIE, cleared_cookie, end_session, sign_in};
pub(crate) use setup::finish_setup;
pub use setup::setup_token;
pub(crate) use throttle::Throttle;
pub(crate) use tokens::NAME_BYTES_MAX as TOKEN_NAME_BYTES_MAX;
pub use tokens::{NewToken, create_token};
pub(crate) use tokens::{delete_token, list_tokens};

/// Header that a page must send with every unsafe request. Another site's page cannot: a header
/// of one's own needs a preflight, and none is ever answered.
pub(crate) const REQUEST_HEADER: &str = "x-pugmark-request";

/// What a token is for. A session is for everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Sending records, nothing else.
    Ingest,
    /// Asking questions, nothing else.
    Read,
    /// Everything.
    Admin,
}

impl Purpose {
    /// The lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Purpose::Ingest => "ingest",
            Purpose::Read => "read",
            Purpose::Admin => "admin",
        }
    }

    /// Reads that word.
    pub fn from_name(name: &str) -> Option<Self> {
        [Purpose::Ingest, Purpose::Read, Purpose::Admin].into_iter().find(|p| p.name() == name)
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    purpose: Purpose,
    credential: Credential,
}

/// How the caller showed who they are.
#[derive(Debug, Clone)]
enum Credential {
    Session { hash: String, user: String },
    Token { hash: String },
    Password { user: String, hash: String },
}

impl Caller {
    /// The signed-in user, if it is a person.
    pub(crate) fn user(&self) -> Option<&str> {
        match &self.credential {
            Credential::Session { user, .. } | Credential::Password { user, .. } => Some(user),
            Credential::Token { .. } => None,
        }
    }

    /// Whose questions are counted together: those of the signed-in user, or of the token.
    pub(crate) fn account(&self) -> &str {
        match &self.credential {
            Credential::Session { user, .. } | Credential::Password { user, .. } => user,
            Credential::Token { hash } => hash,
        }
    }

    /// How the audit trail names the caller.
    pub(crate) fn name(&self) -> &str {
        self.user().unwrap_or("a program with a token")
    }

    /// The hash of the session, if it is one.
    pub(crate) fn session_hash(&self) -> Option<&str> {
        match &self.credential {
            Credential::Session { hash, .. } => Some(hash),
            Credential::Token { .. } | Credential::Password { .. } => None,
        }
    }

    /// False once the session has ended, the token was deleted or the password changed: long
    /// answers ask again.
    pub(crate) async fn is_still_valid(&self, app: &App) -> bool {
        let accounts = app.engine.store().accounts();
        match &self.credential {
            Credential::Session { hash, .. } => {
                matches!(sessions::user_of(&accounts, hash, app.engine.now()).await, Ok(Some(_)))
            }
            Credential::Token { hash } => {
                matches!(tokens::purpose_of(&accounts, hash, app.engine.now()).await, Ok(Some(_)))
            }
            Credential::Password { user, hash } => {
                matches!(accounts.password_hash(user).await, Ok(Some(known)) if known == *hash)
            }
        }
    }

    fn require(&self, allowed: &[Purpose]) -> Result<(), ApiError> {
        if allowed.contains(&self.purpose) {
            return Ok(());
        }
        let needed = allowed.iter().map(|p| p.name()).collect::<Vec<_>>().join(" or ");
        Err(ApiError::forbidden(format!("a token for {} may not do this", self.purpose.name()))
            .hint(format!("use a token for {needed}, or sign in")))
    }
}

/// Finds out who asks. A bearer token counts before a cookie.
pub(crate) async fn identify(app: &App, headers: &HeaderMap) -> Result<Option<Caller>, ApiError> {
    let accounts = app.engine.store().accounts();
    let now = app.engine.now();
    if let Some(given) = headers.get(AUTHORIZATION) {
        let Some(token) = given.to_str().ok().and_then(bearer) else { return Ok(None) };
        let hash = secrets::hash(token);
        let purpose = tokens::purpose_of(&accounts, &hash, now).await?;
        return Ok(purpose.map(|p| Caller { purpose: p, credential: Credential::Token { hash } }));
    }
    from_cookie(&accounts, headers, now).await
}

/// The same for who gives a name and a password, as other protocols want it: a token is a
/// password too, whatever the name.
async fn identify_by_password(
    app: &App,
    from: std::net::IpAddr,
    user: &str,
    password: &str,
) -> Result<Caller, ApiError> {
    let accounts = app.engine.store().accounts();
    let hash = secrets::hash(password);
    if let Some(purpose) = tokens::purpose_of(&accounts, &hash, app.engine.now()).await? {
        return Ok(Caller { purpose, credential: Credential::Token { hash } });
    }
    let hash = sessions::check_password(app, &app.asker_throttle, from, user, password).await?;
    let credential = Credential::Password { user: user.to_string(), hash };
    Ok(Caller { purpose: Purpose::Admin, credential })
}

async fn from_cookie(
    accounts: &Accounts,
    headers: &HeaderMap,
    now: i64,
) -> Result<Option<Caller>, ApiError> {
    let Some(secret) = cookie(headers, SESSION_COOKIE) else { return Ok(None) };
    let hash = secrets::hash(secret);
    let user = sessions::user_of(accounts, &hash, now).await?;
    Ok(user.map(|user| Caller {
        purpose: Purpose::Admin,
        credential: Credential::Session { hash, user },
    }))
}

/// Refuses what a page of another site could make a browser send.
pub(crate) fn check_forgery(
    caller: Option<&Caller>,
    method: &Method,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    if method.is_safe() {
        return Ok(());
    }
    // Fetch metadata is sent by every current browser and by no program.
    let site = headers.get("sec-fetch-site").map(|value| value.as_bytes());
    if matches!(site, Some(b"cross-site" | b"same-site")) {
        return Err(ApiError::forbidden("this request comes from a page of another site"));
    }
    let by_cookie = caller.is_some_and(|c| c.session_hash().is_some());
    if by_cookie && headers.get(REQUEST_HEADER).is_none_or(|value| value != "1") {
        return Err(ApiError::forbidden(format!(
            "a request with a session cookie needs the header {REQUEST_HEADER}: 1"
        ))
        .hint("it shows that the page is Pugmark's own; programs use a bearer token instead"));
    }
    Ok(())
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The value of a cookie.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Caller>().cloned().ok_or_else(ApiError::unauthorized)
    }
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident $allowed:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl<S: Send + Sync> FromRequestParts<S> for $name {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
                Caller::from_request_parts(parts, state).await?.require(&$allowed)?;
                Ok($name)
            }
        }
    )*};
}

needs! {
    /// The handler answers those who may ask questions.
    Reader [Purpose::Read, Purpose::Admin];
    /// The handler answers those who may send records.
    Ingester [Purpose::Ingest, Purpose::Admin];
    /// The handler answers those who may do everything.
    Admin [Purpose::Admin];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_and_bearers_are_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=1; pugmark_session=secret; b=2".parse().unwrap());
        assert_eq!(cookie(&headers, SESSION_COOKIE), Some("secret"));
        assert_eq!(cookie(&headers, "session"), None);
        assert_eq!(bearer("Bearer pgm_r_x"), Some("pgm_r_x"));
        assert_eq!(bearer("bearer  x"), Some("x"));
        assert_eq!(bearer("Basic x"), None);
    }

    #[test]
    fn another_site_cannot_forge_a_request() {
        let credential = Credential::Session { hash: "h".into(), user: "admin".into() };
        let person = Caller { purpose: Purpose::Admin, credential };
        let credential = Credential::Token { hash: "h".into() };
        let program = Caller { purpose: Purpose::Read, credential };
        for (caller, method, header, ok) in [
            (Some(&person), Method::GET, None, true),
            (Some(&person), Method::POST, None, false),
            (Some(&person), Method::POST, Some((REQUEST_HEADER, "1")), true),
            (Some(&person), Method::POST, Some((REQUEST_HEADER, "0")), false),
            (Some(&program), Method::POST, None, true),
            (Some(&program), Method::POST, Some(("sec-fetch-site", "cross-site")), false),
            (None, Method::POST, Some(("sec-fetch-site", "cross-site")), false),
            (None, Method::POST, Some(("sec-fetch-site", "same-origin")), true),
        ] {
            let mut headers = HeaderMap::new();
            if let Some((name, value)) = header {
                headers.insert(name, value.parse().unwrap());
            }
            let got = check_forgery(caller, &method, &headers).is_ok();
            assert_eq!(got, ok, "{caller:?} {method} {header:?}");
        }
    }
}
