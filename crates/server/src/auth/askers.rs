//! Those who ask over another protocol than HTTP: the same tokens, users, tries and turns.

use std::net::IpAddr;

use axum::http::StatusCode;

use super::{Caller, Purpose, identify_by_password};
use crate::App;
use crate::error::ApiError;
use crate::turns::{Class, Turn};

/// Somebody who may ask questions.
#[derive(Clone)]
pub struct Asker {
    app: App,
    caller: Caller,
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asker").field("caller", &self.caller.name()).finish_non_exhaustive()
    }
}

/// Why somebody may not ask, in words for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskRefusal {
    /// Nobody has this name and password.
    BadPassword(String),
    /// They may do other things only.
    NotAllowed(String),
    /// Too much at once, or too many tries.
    Busy(String),
}

impl From<ApiError> for AskRefusal {
    fn from(error: ApiError) -> Self {
        let (status, words) = error.spoken();
        match status {
            StatusCode::UNAUTHORIZED => Self::BadPassword(words),
            StatusCode::FORBIDDEN => Self::NotAllowed(words),
            _ => Self::Busy(words),
        }
    }
}

impl App {
    /// Lets somebody in who may ask questions: a token as the password, or a user's own.
    ///
    /// # Errors
    /// When neither is right, or the token is for something else.
    pub async fn let_in(
        &self,
        from: IpAddr,
        user: &str,
        password: &str,
    ) -> Result<Asker, AskRefusal> {
        let found = identify_by_password(self, from, user, password).await;
        let allowed = found.and_then(|caller| {
            caller.require(&[Purpose::Read, Purpose::Admin])?;
            Ok(caller)
        });
        match allowed {
            Ok(caller) => {
                tracing::info!(%from, who = caller.name(), "somebody came in to ask");
                Ok(Asker { app: self.clone(), caller })
            }
            Err(error) => {
                tracing::warn!(%from, ?user, why = error.spoken().1, "somebody was not let in");
                Err(error.into())
            }
        }
    }
}

impl Asker {
    /// Waits for a place among the questions that run: those of the same user in the web app are
    /// counted with it.
    ///
    /// # Errors
    /// When there is none for a long time, too many wait already, or the token or the password no
    /// longer counts.
    pub async fn turn(&self) -> Result<Turn, AskRefusal> {
        if !self.caller.is_still_valid(&self.app).await {
            let words = "the token was deleted or the password changed: connect again";
            return Err(AskRefusal::NotAllowed(words.to_string()));
        }
        Ok(self.app.turn(&self.caller, Class::Question).await?)
    }
}
