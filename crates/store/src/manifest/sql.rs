//! One way to speak to SQLite and to PostgreSQL.
//!
//! A statement is written once, with `$1`, `$2` and so on: both understand that. Numbers are 64
//! bits and signed in both. What differs (how a transaction begins, text that holds a zero byte)
//! is decided here and nowhere else.

use std::borrow::Cow;
use std::sync::Arc;

use sqlx::postgres::{PgPool, PgRow};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{
    AssertSqlSafe, Decode, Postgres, Row as _, SqlSafeStr, SqlStr, Sqlite, Transaction, Type,
};
use tokio::sync::OwnedMutexGuard;

use crate::error::StoreError;

/// Rows in one statement of [`Tx::insert`]. Few sizes, so that each statement is prepared once.
const ROWS_PER_STATEMENT: [usize; 5] = [256, 64, 16, 4, 1];
/// PostgreSQL holds no zero byte in text; the picture of one stands for it.
const ZERO_PICTURE: &str = "\u{2400}";

/// A value that a statement is given.
#[derive(Debug, Clone)]
pub(crate) enum Arg<'a> {
    Long(i64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// A text that is not there.
    NoText,
}

impl From<i64> for Arg<'_> {
    fn from(value: i64) -> Self {
        Arg::Long(value)
    }
}

/// A count or a size; nothing that is counted comes near the top half.
impl From<u64> for Arg<'_> {
    fn from(value: u64) -> Self {
        Arg::Long(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Arg<'_> {
    fn from(value: u32) -> Self {
        Arg::Long(value.into())
    }
}

impl From<usize> for Arg<'_> {
    fn from(value: usize) -> Self {
        Arg::Long(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl<'a> From<&'a str> for Arg<'a> {
    fn from(value: &'a str) -> Self {
        Arg::Text(value.into())
    }
}

impl<'a> From<&'a String> for Arg<'a> {
    fn from(value: &'a String) -> Self {
        Arg::Text(value.into())
    }
}

impl From<String> for Arg<'_> {
    fn from(value: String) -> Self {
        Arg::Text(value.into())
    }
}

impl<'a> From<&'a [u8]> for Arg<'a> {
    fn from(value: &'a [u8]) -> Self {
        Arg::Bytes(value.into())
    }
}

impl From<Vec<u8>> for Arg<'_> {
    fn from(value: Vec<u8>) -> Self {
        Arg::Bytes(value.into())
    }
}

impl<'a> From<Option<&'a str>> for Arg<'a> {
    fn from(value: Option<&'a str>) -> Self {
        value.map_or(Arg::NoText, Arg::from)
    }
}

/// `args![a, b]`: values for `$1` and `$2`.
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::manifest::Arg::from($value)),*] };
}
pub(crate) use args;

/// A row of an answer.
#[derive(Debug)]
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What a column of either database can be read as.
pub(crate) trait Column:
    for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>
{
}

impl<T> Column for T where
    T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>
{
}

impl Row {
    /// The value of a column.
    ///
    /// # Errors
    /// When the column is not there or of another type.
    pub(crate) fn get<T: Column>(&self, column: usize) -> Result<T, sqlx::Error> {
        match self {
            Row::Sqlite(row) => row.try_get(column),
            Row::Postgres(row) => row.try_get(column),
        }
    }

    /// A count, which databases hold signed.
    ///
    /// # Errors
    /// When the column is not there or no number.
    pub(crate) fn count(&self, column: usize) -> Result<u64, sqlx::Error> {
        Ok(self.get::<i64>(column)?.max(0) as u64)
    }
}

/// Connections to one database. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A transaction; dropped without [`Tx::commit`], it changes nothing.
#[derive(Debug)]
pub(crate) struct Tx {
    kind: Kind,
    /// The writer's turn, and the number of the change; see [`super::Manifest::begin`].
    pub(super) turn: Option<(OwnedMutexGuard<()>, i64)>,
}

#[derive(Debug)]
enum Kind {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// A query with its values bound.
macro_rules! bound {
    ($sql:expr, $args:expr, $text:expr) => {{
        let mut query = sqlx::query($sql);
        for arg in $args {
            query = match arg {
                Arg::Long(value) => query.bind(*value),
                Arg::Text(value) => query.bind($text(value)),
                Arg::Bytes(value) => query.bind(&**value),
                Arg::NoText => query.bind(None::<String>),
            };
        }
        query
    }};
}

/// Text as SQLite takes it: as it is.
fn as_it_is(text: &str) -> &str {
    text
}

/// Text as PostgreSQL takes it.
fn without_zero(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', ZERO_PICTURE).into() } else { text.into() }
}

impl Pool {
    /// A view of everything at one moment, for reading.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn snapshot(&self) -> Result<Tx, StoreError> {
        const POSTGRES: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let kind = match self {
            Pool::Sqlite(pool) => Kind::Sqlite(pool.begin().await?),
            Pool::Postgres(pool) => Kind::Postgres(pool.begin_with(POSTGRES).await?),
        };
        Ok(Tx { kind, turn: None })
    }

    /// A transaction that writes.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        let kind = match self {
            // At once, so that no statement finds the file taken half-way.
            Pool::Sqlite(pool) => Kind::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Pool::Postgres(pool) => Kind::Postgres(pool.begin().await?),
        };
        Ok(Tx { kind, turn: None })
    }

    /// The rows that a single statement answers.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn rows(
        &self,
        sql: impl SqlSafeStr,
        args: &[Arg<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let sql = sql.into_sql_str();
        Ok(match self {
            Pool::Sqlite(pool) => {
                let rows = bound!(sql, args, as_it_is).fetch_all(pool).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Pool::Postgres(pool) => {
                let rows = bound!(sql, args, without_zero).fetch_all(pool).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// The first row that a single statement answers.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn row(
        &self,
        sql: impl SqlSafeStr,
        args: &[Arg<'_>],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// Closes all connections.
    pub(crate) async fn close(&self) {
        match self {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::Postgres(pool) => pool.close().await,
        }
    }
}

impl Tx {
    /// The rows that a statement answers.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn rows(
        &mut self,
        sql: impl SqlSafeStr,
        args: &[Arg<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let sql = sql.into_sql_str();
        Ok(match &mut self.kind {
            Kind::Sqlite(tx) => {
                let rows = bound!(sql, args, as_it_is).fetch_all(&mut **tx).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Kind::Postgres(tx) => {
                let rows = bound!(sql, args, without_zero).fetch_all(&mut **tx).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// The first row that a statement answers.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn row(
        &mut self,
        sql: impl SqlSafeStr,
        args: &[Arg<'_>],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// Runs a statement; returns how many rows it changed.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn run(
        &mut self,
        sql: impl SqlSafeStr,
        args: &[Arg<'_>],
    ) -> Result<u64, StoreError> {
        let sql = sql.into_sql_str();
        Ok(match &mut self.kind {
            Kind::Sqlite(tx) => {
                bound!(sql, args, as_it_is).execute(&mut **tx).await?.rows_affected()
            }
            Kind::Postgres(tx) => {
                bound!(sql, args, without_zero).execute(&mut **tx).await?.rows_affected()
            }
        })
    }

    /// Inserts many rows: `head` VALUES (...), (...) `tail`. `args` holds `width` values for each.
    /// With a `tail` that settles conflicts, no key may come twice.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn insert(
        &mut self,
        head: &str,
        width: usize,
        tail: &str,
        args: &[Arg<'_>],
    ) -> Result<(), StoreError> {
        // SQLite looks for the name of a value in all names: thousands of them take their time.
        let numbered = matches!(self.kind, Kind::Postgres(_));
        let mut rest = args;
        for rows in ROWS_PER_STATEMENT {
            if rest.len() < rows * width {
                continue;
            }
            let sql = insert_sql(head, width, rows, tail, numbered);
            while rest.len() >= rows * width {
                let (now, later) = rest.split_at(rows * width);
                self.run(sql.clone(), now).await?;
                rest = later;
            }
        }
        Ok(())
    }

    /// Runs a script: statements without values, one after the other.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn script(&mut self, sql: String) -> Result<(), StoreError> {
        let sql = AssertSqlSafe(sql);
        match &mut self.kind {
            Kind::Sqlite(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(|_| ())?,
            Kind::Postgres(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(|_| ())?,
        }
        Ok(())
    }

    /// Makes the changes count.
    ///
    /// # Errors
    /// When the database refuses; whether the changes count is not known then.
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        match self.kind {
            Kind::Sqlite(tx) => tx.commit().await,
            Kind::Postgres(tx) => tx.commit().await,
        }
    }
}

/// Our own texts and numbers alone: nothing that came from outside is in it.
fn insert_sql(head: &str, width: usize, rows: usize, tail: &str, numbered: bool) -> SqlStr {
    let value = |i: usize| if numbered { format!("${}", i + 1) } else { "?".to_string() };
    let row = |row: usize| {
        let values: Vec<_> = (row * width..(row + 1) * width).map(value).collect();
        format!("({})", values.join(", "))
    };
    let rows: Vec<_> = (0..rows).map(row).collect();
    let sql: Arc<str> = format!("{head} VALUES {} {tail}", rows.join(", ")).into();
    AssertSqlSafe(sql).into_sql_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_through_all_rows() {
        let sql = |numbered| insert_sql("INSERT INTO t", 2, 2, "RETURNING id", numbered);
        let postgres = "INSERT INTO t VALUES ($1, $2), ($3, $4) RETURNING id";
        assert_eq!(sql(true).as_str(), postgres);
        assert_eq!(sql(false).as_str(), "INSERT INTO t VALUES (?, ?), (?, ?) RETURNING id");
    }

    #[test]
    fn a_zero_byte_becomes_its_picture() {
        assert_eq!(without_zero("a\0b"), "a\u{2400}b");
        assert_eq!(without_zero("ab"), "ab");
    }
}
