//! Users, sessions and tokens. Only hashes come here: hashing is the server's work.

use pugmark_event::time::Micros;

use crate::error::StoreError;
use crate::manifest::{Manifest, Row, args};

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

/// Every method fails when the database refuses, and those that write also when the store was
/// opened for reading.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
impl Accounts {
    pub(crate) fn new(manifest: Manifest) -> Self {
        Self { manifest }
    }

    /// Number of users.
    pub async fn user_count(&self) -> Result<u64, StoreError> {
        let row = self.manifest.row("SELECT count(*) FROM users", args![]).await?;
        Ok(row.map(|row| row.count(0)).transpose()?.unwrap_or(0))
    }

    /// Makes a user, or gives an existing one a new password; that ends their sessions.
    pub async fn create_user(&self, name: &str, password_hash: &str) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO users (name, password_hash, created) VALUES ($1, $2, $3) \
            ON CONFLICT (name) DO UPDATE SET password_hash = excluded.password_hash";
        let mut tx = self.manifest.begin().await?;
        tx.run(SQL, args![name, password_hash, crate::now()]).await?;
        tx.run("DELETE FROM sessions WHERE \"user\" = $1", args![name]).await?;
        self.manifest.finish(tx).await
    }

    /// The hash of a user's password.
    pub async fn password_hash(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.text("SELECT password_hash FROM users WHERE name = $1", name).await
    }

    /// Keeps a session of an existing user until `expires`.
    pub async fn create_session(
        &self,
        id_hash: &str,
        user: &str,
        expires: Micros,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO sessions (id_hash, \"user\", expires) VALUES ($1, $2, $3)";
        let mut tx = self.manifest.begin().await?;
        tx.run("DELETE FROM sessions WHERE expires <= $1", args![crate::now()]).await?;
        tx.run(SQL, args![id_hash, user, expires]).await?;
        self.manifest.finish(tx).await
    }

    /// Whose session it is, if it has not expired at `now`.
    pub async fn session(&self, id_hash: &str, now: Micros) -> Result<Option<String>, StoreError> {
        const SQL: &str = "SELECT \"user\" FROM sessions WHERE id_hash = $1 AND expires > $2";
        let row = self.manifest.row(SQL, args![id_hash, now]).await?;
        Ok(row.map(|row| row.get(0)).transpose()?)
    }

    /// Ends a session.
    pub async fn delete_session(&self, id_hash: &str) -> Result<(), StoreError> {
        self.manifest.run("DELETE FROM sessions WHERE id_hash = $1", args![id_hash]).await?;
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
        const SQL: &str = "INSERT INTO tokens (id, name, purpose, token_hash, created) \
            VALUES ($1, $2, $3, $4, $5)";
        self.manifest.run(SQL, args![id, name, purpose, token_hash, created]).await?;
        Ok(())
    }

    /// The token with this hash.
    pub async fn token(&self, token_hash: &str) -> Result<Option<TokenRow>, StoreError> {
        const SQL: &str =
            "SELECT id, name, purpose, created, last_used FROM tokens WHERE token_hash = $1";
        self.manifest.row(SQL, args![token_hash]).await?.as_ref().map(token).transpose()
    }

    /// All tokens, oldest first.
    pub async fn list_tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        const SQL: &str =
            "SELECT id, name, purpose, created, last_used FROM tokens ORDER BY created, id";
        self.manifest.rows(SQL, args![]).await?.iter().map(token).collect()
    }

    /// Removes a token. False when there is none of that id.
    pub async fn delete_token(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.manifest.run("DELETE FROM tokens WHERE id = $1", args![id]).await? > 0)
    }

    /// Notes that a token was used at `now`.
    pub async fn touch_token(&self, id: &str, now: Micros) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE tokens SET last_used = $1 WHERE id = $2";
        self.manifest.run(SQL, args![now, id]).await?;
        Ok(())
    }

    /// A setting that the server keeps, such as the hash of the set-up token.
    pub async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.text("SELECT value FROM settings WHERE name = $1", name).await
    }

    /// Keeps a setting.
    pub async fn set_setting(&self, name: &str, value: &str) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO settings (name, value) VALUES ($1, $2) \
            ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        self.manifest.run(SQL, args![name, value]).await?;
        Ok(())
    }

    /// The text that `sql` finds for `key`.
    async fn text(&self, sql: &'static str, key: &str) -> Result<Option<String>, StoreError> {
        let row = self.manifest.row(sql, args![key]).await?;
        Ok(row.map(|row| row.get(0)).transpose()?)
    }
}

fn token(row: &Row) -> Result<TokenRow, StoreError> {
    Ok(TokenRow {
        id: row.get(0)?,
        name: row.get(1)?,
        purpose: row.get(2)?,
        created: row.get(3)?,
        last_used: row.get(4)?,
    })
}
