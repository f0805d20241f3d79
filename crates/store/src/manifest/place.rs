//! Where the manifest is: a file in the data folder, or a PostgreSQL database.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Row as _};

use super::sql::Pool;
use crate::error::StoreError;

/// Name of the file in the data folder.
const FILE: &str = "pugmark.db";
/// Connections for reading.
const READERS_MAX: u32 = 4;
/// How long a statement waits for another process, or for a connection.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// A writer that was killed a moment ago may still seem to be there: PostgreSQL has to notice.
const TAKE_TRIES_MAX: u32 = 20;
const TAKE_WAIT: Duration = Duration::from_millis(100);
/// Whatever the database's own settings are: a commit is on its disk when it is answered, and a
/// writer whose machine is gone lets go of the lock after half a minute, not after two hours.
const WRITER_OPTIONS: [(&str, &str); 4] = [
    ("synchronous_commit", "on"),
    ("tcp_keepalives_idle", "15"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
];
/// The lock that a writer holds in PostgreSQL while it is connected: "pugm", and the schema.
const TAKE: &str = "SELECT pg_try_advisory_lock(1886742381, hashtext(current_schema()))";
/// Who holds it.
const HOLDER: &str = "SELECT format('process %s of PostgreSQL (%s, from %s, since %s)', a.pid, \
    coalesce(nullif(a.application_name, ''), 'no name'), \
    coalesce(host(a.client_addr), 'this machine'), to_char(a.backend_start, 'YYYY-MM-DD HH24:MI')) \
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
    WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 1886742381 AND l.objsubid = 2 \
    AND l.objid = (hashtext(current_schema())::BIGINT & 4294967295)::OID \
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// Where the manifest and the state beside it (alerts, users, tokens) are kept.
#[derive(Clone, Default)]
pub enum ManifestAt {
    /// A SQLite file in the data folder.
    #[default]
    Folder,
    /// A PostgreSQL database, or a schema of one. It belongs to one data folder.
    Postgres(Box<PostgresAt>),
}

/// A PostgreSQL database.
#[derive(Clone)]
pub struct PostgresAt {
    options: PgConnectOptions,
}

impl FromStr for ManifestAt {
    type Err = StoreError;

    /// Reads the setting: nothing for the file in the data folder, else a `postgres://` URL.
    fn from_str(text: &str) -> Result<Self, StoreError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(ManifestAt::Folder);
        }
        let wrong = |message: String| StoreError::ManifestPlace { message };
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(wrong("it does not begin with postgres://".into()));
        }
        let options = PgConnectOptions::from_str(text).map_err(|e| wrong(e.to_string()))?;
        let options = options.application_name("pugmark").disable_statement_logging();
        Ok(ManifestAt::Postgres(Box::new(PostgresAt { options })))
    }
}

impl fmt::Display for ManifestAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ManifestAt::Folder => f.write_str("the data folder"),
            ManifestAt::Postgres(at) => {
                let socket = at.options.get_socket().map(|path| path.display().to_string());
                let host = socket.unwrap_or_else(|| at.options.get_host().to_string());
                let database = at.options.get_database().unwrap_or("(the user's)");
                write!(f, "the PostgreSQL database {database} at {host}")
            }
        }
    }
}

/// Never shows the password.
impl fmt::Debug for ManifestAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ManifestAt({self})")
    }
}

impl fmt::Debug for PostgresAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresAt(..)")
    }
}

impl ManifestAt {
    /// The connection that writes; there is one in the world.
    ///
    /// # Errors
    /// When the database refuses, or another process has this connection.
    pub(super) async fn writer(&self, dir: &Path) -> Result<Pool, StoreError> {
        match self {
            ManifestAt::Folder => {
                let options = sqlite(dir)
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
                    .foreign_keys(true);
                let pool = SqlitePoolOptions::new()
                    .max_connections(1)
                    .idle_timeout(None)
                    .max_lifetime(None);
                Ok(Pool::Sqlite(pool.connect_with(options).await?))
            }
            ManifestAt::Postgres(at) => {
                at.wait_until_free(self).await?;
                let pool = PgPoolOptions::new()
                    .max_connections(1)
                    .acquire_timeout(BUSY_TIMEOUT)
                    .idle_timeout(None)
                    .max_lifetime(None)
                    // A connection that was lost and made again must hold the lock again.
                    .after_connect(|connection, _| {
                        Box::pin(async move {
                            match take(connection).await? {
                                true => Ok(()),
                                false => Err(sqlx::Error::Protocol(
                                    "another process writes to this manifest".into(),
                                )),
                            }
                        })
                    });
                let options = at.options.clone().options(WRITER_OPTIONS);
                Ok(Pool::Postgres(pool.connect_with(options).await?))
            }
        }
    }

    /// Connections that read.
    ///
    /// # Errors
    /// When the database refuses.
    pub(super) async fn readers(&self, dir: &Path) -> Result<Pool, StoreError> {
        match self {
            ManifestAt::Folder => {
                if !path(dir).is_file() {
                    return Err(StoreError::NoData(dir.to_path_buf()));
                }
                let pool = SqlitePoolOptions::new().max_connections(READERS_MAX);
                Ok(Pool::Sqlite(pool.connect_with(sqlite(dir).read_only(true)).await?))
            }
            ManifestAt::Postgres(at) => {
                let pool =
                    PgPoolOptions::new().max_connections(READERS_MAX).acquire_timeout(BUSY_TIMEOUT);
                let options = at.options.clone().options([("default_transaction_read_only", "on")]);
                Ok(Pool::Postgres(pool.connect_with(options).await?))
            }
        }
    }
}

impl PostgresAt {
    /// Waits a moment for a writer that is going away, and says who it is when it stays.
    async fn wait_until_free(&self, at: &ManifestAt) -> Result<(), StoreError> {
        let mut connection = self.options.connect().await?;
        for _ in 0..TAKE_TRIES_MAX {
            if take(&mut connection).await? {
                return Ok(connection.close().await?);
            }
            tokio::time::sleep(TAKE_WAIT).await;
        }
        let holder = sqlx::query(HOLDER).fetch_optional(&mut connection).await?;
        let holder = holder.and_then(|row| row.try_get::<String, _>(0).ok());
        let holder = holder.unwrap_or_else(|| "another process".into());
        Err(StoreError::ManifestTaken { place: at.to_string(), holder })
    }
}

async fn take(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query(TAKE).fetch_one(connection).await?.try_get(0)
}

pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

fn sqlite(dir: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path(dir)).busy_timeout(BUSY_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let place = match text.parse::<ManifestAt>() {
            Ok(place) => format!("{place:?}"),
            Err(error) => error.to_string(),
        };
        assert!(place.contains(expected), "{text}: {place}");
        assert!(!place.contains("secret"), "{text}: {place}");
    }

    #[test]
    fn a_place_is_the_folder_or_a_database_and_keeps_its_password() {
        check("", "the data folder");
        check("postgres://me:secret@db.example:5432/logs", "database logs at db.example");
        check("postgresql:///logs?host=/run/postgresql", "database logs at /run/postgresql");
        check("mysql://me:secret@db/logs", "write postgres://");
        check("postgres://me:secret@db:port/logs", "write postgres://");
    }
}
