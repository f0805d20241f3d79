//! `pugmark sql`: asks in SQL.

use pugmark_query::Search;
use serde_json::json;

use super::Where;
use super::ask::Rows;
use crate::error::{CliError, Exit};
use crate::settings::Settings;

/// Ask in SQL; only reading is possible
///
/// Examples:
///   pugmark sql 'SELECT source_ip, count(*) FROM events GROUP BY 1 ORDER BY 2 DESC LIMIT 10'
///   pugmark sql 'SELECT * FROM alerts' --server http://127.0.0.1:7700 --token-file token
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The statement; see the SQL guide for the tables
    sql: String,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    rows: Rows,
}

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    let Args { sql, place, rows } = args;
    if let Some(client) = place.client()? {
        let body = json!({"sql": sql, "limit": rows.limit});
        return rows.ask(&client, "/api/v1/sql", &body).await;
    }
    let (_store, search) = crate::node::open_read_only(&place.dir(&settings), &settings).await?;
    let answer = search.sql(&sql, Some(rows.limit)).await;
    rows.print(answer, &sql).await
}
