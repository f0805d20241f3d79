//! Tokens: `pgm_<letter>_<43 characters>`, shown once, kept as a hash. The letter tells the
//! purpose, so that people and secret scanners see what they found.

use pugmark_engine::Engine;
use pugmark_event::time::{MINUTE, Micros};
use pugmark_store::{Accounts, StoreError, TokenRow};

use super::{Purpose, secrets};

/// Longest name of a token in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 128;

/// A token that was just made. Its text is not kept anywhere.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Id, to delete it by.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub purpose: Purpose,
    /// The token itself.
    pub token: String,
}

/// Makes a token.
///
/// # Errors
/// When the store refuses.
pub async fn create_token(
    engine: &Engine,
    name: &str,
    purpose: Purpose,
) -> Result<NewToken, StoreError> {
    let letter = &purpose.name()[..1];
    let token = format!("pgm_{letter}_{}", secrets::generate());
    let id = secrets::id();
    let (hash, now) = (secrets::hash(&token), engine.now());
    engine.store().accounts().create_token(&id, name, purpose.name(), &hash, now).await?;
    Ok(NewToken { id, name: name.to_string(), purpose, token })
}

/// All tokens, without their text.
pub(crate) async fn list_tokens(engine: &Engine) -> Result<Vec<TokenRow>, StoreError> {
    engine.store().accounts().list_tokens().await
}

/// Deletes a token; false when there is none of that id.
pub(crate) async fn delete_token(engine: &Engine, id: &str) -> Result<bool, StoreError> {
    engine.store().accounts().delete_token(id).await
}

/// What the token with this hash is for, if it exists. Notes that it was used, at most once a
/// minute.
pub(super) async fn purpose_of(
    accounts: &Accounts,
    hash: &str,
    now: Micros,
) -> Result<Option<Purpose>, StoreError> {
    let Some(row) = accounts.token(hash).await? else { return Ok(None) };
    if row.last_used.is_none_or(|last| now - last > MINUTE) {
        accounts.touch_token(&row.id, now).await?;
    }
    Ok(Purpose::from_name(&row.purpose))
}
