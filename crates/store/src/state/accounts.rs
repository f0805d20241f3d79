//! Users, sessions and tokens. Only hashes come here: hashing is the server's work.

use pugmark_event::time::Micros;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::error::StoreError;
use crate::manifest::{Manifest, count};

/// The accounts in a data folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Accounts {
    manifest: Manifest,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Id.
    pub id: String,
    /// What a person called it.
    pub name: String,
    /// What it may do: `ingest`, `read` or `admin`.
    pub purpose: String,
    /// When it was made.
    pub created: Micros,
    /// When it was last used.
    pub last_used: Option<Micros>,
}

/// Every method fails when SQLite refuses, and those that write also when the store was opened for
/// reading.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
impl Accounts {
    pub(crate) fn new(manifest: Manifest) -> Self {
        Self { manifest }
    }

    /// Number of users.
    pub async fn user_count(&self) -> Result<u64, StoreError> {
        let query = sqlx::query("SELECT count(*) FROM users");
        Ok(count(&query.fetch_one(self.manifest.reader()).await?, 0)?)
    }

    /// Makes a user, or gives an existing one a new password; that ends their sessions.
    pub async fn create_user(&self, name: &str, password_hash: &str) -> Result<(), StoreError> {
        let mut tx = self.manifest.writer()?.begin().await?;
        sqlx::query(
            "INSERT INTO users VALUES (?, ?, ?) \
             ON CONFLICT (name) DO UPDATE SET password_hash = excluded.password_hash",
        )
        .bind(name)
        .bind(password_hash)
        .bind(crate::now())
        .execute(&mut *tx)
        .await?;
        sqlx::query("DELETE FROM sessions WHERE user = ?").bind(name).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    /// The hash of a user's password.
    pub async fn password_hash(&self, name: &str) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT password_hash FROM users WHERE name = ?")
            .bind(name)
            .fetch_optional(self.manifest.reader())
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Keeps a session of an existing user until `expires`.
    pub async fn create_session(
        &self,
        id_hash: &str,
        user: &str,
        expires: Micros,
    ) -> Result<(), StoreError> {
        let mut tx = self.manifest.writer()?.begin().await?;
        sqlx::query("DELETE FROM sessions WHERE expires <= ?")
            .bind(crate::now())
            .execute(&mut *tx)
            .await?;
        sqlx::query("INSERT INTO sessions VALUES (?, ?, ?)")
            .bind(id_hash)
            .bind(user)
            .bind(expires)
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    /// Whose session it is, if it has not expired at `now`.
    pub async fn session(&self, id_hash: &str, now: Micros) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT user FROM sessions WHERE id_hash = ? AND expires > ?")
            .bind(id_hash)
            .bind(now)
            .fetch_optional(self.manifest.reader())
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Ends a session.
    pub async fn delete_session(&self, id_hash: &str) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM sessions WHERE id_hash = ?").bind(id_hash);
        query.execute(self.manifest.writer()?).await?;
        Ok(())
    }

    /// Keeps a token.
    pub async fn create_token(
        &self,
        id: &str,
        name: &str,
        purpose: &str,
        token_hash: &str,
        created: Micros,
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, NULL)")
            .bind(id)
            .bind(name)
            .bind(purpose)
            .bind(token_hash)
            .bind(created)
            .execute(self.manifest.writer()?)
            .await?;
        Ok(())
    }

    /// The token with this hash.
    pub async fn token(&self, token_hash: &str) -> Result<Option<TokenRow>, StoreError> {
        let row = sqlx::query(
            "SELECT id, name, purpose, created, last_used FROM tokens WHERE token_hash = ?",
        )
        .bind(token_hash)
        .fetch_optional(self.manifest.reader())
        .await?;
        row.as_ref().map(token).transpose()
    }

    /// All tokens, oldest first.
    pub async fn list_tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        sqlx::query("SELECT id, name, purpose, created, last_used FROM tokens ORDER BY created, id")
            .fetch_all(self.manifest.reader())
            .await?
            .iter()
            .map(token)
            .collect()
    }

    /// Removes a token. False when there is none of that id.
    pub async fn delete_token(&self, id: &str) -> Result<bool, StoreError> {
        let query = sqlx::query("DELETE FROM tokens WHERE id = ?").bind(id);
        Ok(query.execute(self.manifest.writer()?).await?.rows_affected() > 0)
    }

    /// Notes that a token was used at `now`.
    pub async fn touch_token(&self, id: &str, now: Micros) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE tokens SET last_used = ? WHERE id = ?").bind(now).bind(id);
        query.execute(self.manifest.writer()?).await?;
        Ok(())
    }

    /// A setting that the server keeps, such as the hash of the set-up token.
    pub async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT value FROM settings WHERE name = ?")
            .bind(name)
            .fetch_optional(self.manifest.reader())
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Keeps a setting.
    pub async fn set_setting(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let query = sqlx::query("INSERT OR REPLACE INTO settings VALUES (?, ?)");
        query.bind(name).bind(value).execute(self.manifest.writer()?).await?;
        Ok(())
    }
}

fn token(row: &SqliteRow) -> Result<TokenRow, StoreError> {
    Ok(TokenRow {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        purpose: row.try_get(2)?,
        created: row.try_get(3)?,
        last_used: row.try_get(4)?,
    })
}
