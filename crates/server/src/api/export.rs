//! Answers as files: CSV, NDJSON or Parquet, streamed, of any size up to a cap.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use pugmark_event::csv;
use pugmark_event::fields::by_ecs_name;
use pugmark_event::json::{self, RowWriter};
use pugmark_event::time::{self, Micros};
use pugmark_query::plan::Named;
use pugmark_query::{FieldRef, Kind, Pipe, Request};
use pugmark_store::{AuditEntry, ParquetExport};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::App;
use crate::auth::{Caller, Reader};
use crate::body::Json;
use crate::error::ApiError;
use crate::questions::{Asked, Range, Rows, shown};
use crate::turns::Class;
use crate::wire::{ErrorBody, Moment};

/// Up to so many rows, events come the newest first; for more, sorting would need them all at once.
const SORTED_ROWS_MAX: usize = 10_000;
/// Rows that are written at once: a client that goes away stops the work between two of these.
const STEP_ROWS: usize = 4096;
/// Longest query in the audit trail, in bytes: it keeps what it gets.
const AUDIT_QUERY_BYTES_MAX: usize = 8 << 10;
/// The header that says how many rows an export may have.
const CAP: &str = "x-pugmark-cap";
/// The trailer that says how many rows there are.
const ROWS: &str = "x-pugmark-rows";
/// The trailer that says whether there would have been more.
const CUT: &str = "x-pugmark-cut";

/// What to export.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportRequest {
    /// A question in the query language; or `sql`.
    query: Option<String>,
    /// A statement in SQL, which says its own range of time.
    sql: Option<String>,
    /// Earliest event time. Absent: no bound.
    from: Option<Moment>,
    /// Event time before which events count. Absent: no bound.
    to: Option<Moment>,
    format: ExportFormat,
    /// Most rows; the server has a cap of its own.
    rows_max: Option<usize>,
}

/// What the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExportFormat {
    /// A header and a line for each row. Events have some of their fields; a query with `| fields`
    /// chooses others.
    Csv,
    /// A JSON object a line.
    Ndjson,
    /// Events have all their columns, under the names that SQL knows.
    Parquet,
}

impl ExportFormat {
    /// The word for it, which is the ending of the file too.
    fn name(self) -> &'static str {
        match self {
            ExportFormat::Csv => "csv",
            ExportFormat::Ndjson => "ndjson",
            ExportFormat::Parquet => "parquet",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            ExportFormat::Csv => "text/csv; charset=utf-8",
            ExportFormat::Ndjson => "application/x-ndjson",
            ExportFormat::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// Export an answer as a file.
///
/// It has at most as many rows as the header `x-pugmark-cap` says. The trailer `x-pugmark-rows`
/// says how many it has, and `x-pugmark-cut` is `true` when there would have been more; both are
/// in the audit trail too, which names every export before its first byte leaves, and again at its
/// end. A file that breaks off is not complete.
#[utoipa::path(
    post, path = "/api/v1/export", tag = "questions", operation_id = "export",
    request_body = ExportRequest,
    responses(
        (status = 200, body = String, content_type = "application/octet-stream"),
        (status = "4XX", body = ErrorBody)
    ),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn export(
    _: Reader,
    caller: Caller,
    State(app): State<App>,
    Json(request): Json<ExportRequest>,
) -> Result<Response, ApiError> {
    let (now, format) = (app.engine.now(), request.format);
    let cap = app.options.export_rows_max.min(request.rows_max.unwrap_or(usize::MAX));
    let entry = request.entry(&caller);
    let Rows { kind, columns, batches } =
        request.ask(&app, &caller, cap, now).await?.rows().await?;
    // Nothing leaves that is not written down.
    app.engine.store().audit(&entry).await?;
    let export = Export {
        batches,
        rest: None,
        cap,
        cut: false,
        writer: Some(Writer::new(format, kind, columns)),
        ended: false,
        note: Note { app, begun: Some(entry), rows: 0 },
    };
    let mut response = Response::new(Body::new(StreamBody::new(export.frames())));
    *response.headers_mut() = head(format, cap, now)?;
    Ok(response)
}

impl ExportRequest {
    /// Asks for one row more than there may be, or for all of them.
    async fn ask(
        self,
        app: &App,
        who: &Caller,
        cap: usize,
        now: Micros,
    ) -> Result<Asked, ApiError> {
        let limit = (cap < SORTED_ROWS_MAX).then(|| cap + 1);
        let query = match (self.query, self.sql) {
            (Some(query), None) => query,
            (None, Some(sql)) => {
                let limit = Some(cap.saturating_add(1));
                return app.ask_sql(who, Class::Background, &sql, limit).await;
            }
            _ => return Err(ApiError::bad_request("give either a query or a statement in SQL")),
        };
        let Range { from, to } = Range::read(self.from.as_ref(), self.to.as_ref(), now)?;
        let mut plan = pugmark_query::parse(&query)?;
        if self.format == ExportFormat::Csv && plan.kind() == Kind::Events {
            let field = |name: &&str| Named::field(FieldRef::new(name));
            plan.pipes.push(Pipe::Select(csv::EVENT_FIELDS.iter().map(field).collect()));
        }
        let turn = app.turn(who, Class::Background).await?;
        app.ask_in(turn, Request { plan, from, to, limit, now }).await
    }

    /// What the audit trail says of it when it begins.
    fn entry(&self, caller: &Caller) -> AuditEntry {
        let moment = |moment: &Option<Moment>| match moment {
            None => String::new(),
            Some(Moment::Text(text)) => text.chars().take(64).collect(),
            Some(Moment::Millis(millis)) => millis.to_string(),
        };
        let asked = self.query.as_ref().or(self.sql.as_ref());
        let detail = json!({
            "query": asked.map(|text| shortened(text)),
            "from": moment(&self.from),
            "to": moment(&self.to),
        });
        AuditEntry::now(caller.name(), "export", self.format.name(), detail)
    }
}

/// A query as the audit trail has it.
fn shortened(query: &str) -> String {
    if query.len() <= AUDIT_QUERY_BYTES_MAX {
        return query.to_string();
    }
    format!("{}…", &query[..query.floor_char_boundary(AUDIT_QUERY_BYTES_MAX)])
}

fn head(format: ExportFormat, cap: usize, now: Micros) -> Result<HeaderMap, ApiError> {
    // The name is of the time alone: nothing that somebody typed is in it.
    let moment: String =
        time::format(now).chars().take(19).filter(|c| c.is_ascii_alphanumeric()).collect();
    let name = format!("attachment; filename=\"pugmark-{moment}Z.{}\"", format.name());
    let texts = [
        (header::CONTENT_TYPE, format.content_type().to_string()),
        (header::CONTENT_DISPOSITION, name),
        (header::TRAILER, format!("{ROWS}, {CUT}")),
        (HeaderName::from_static(CAP), cap.to_string()),
    ];
    let texts = texts.into_iter().map(|(name, text)| {
        HeaderValue::from_str(&text).map(|text| (name, text)).map_err(ApiError::internal)
    });
    texts.collect()
}

/// An export that is under way.
struct Export {
    batches: BoxStream<'static, Result<RecordBatch, ApiError>>,
    /// Rows that were found and are to be written yet.
    rest: Option<RecordBatch>,
    cap: usize,
    /// True when there would have been more rows.
    cut: bool,
    /// `None` while it works, and for ever after it panicked.
    writer: Option<Writer>,
    /// True when the end of the file is written.
    ended: bool,
    note: Note,
}

impl Export {
    /// The bytes of the file, then the trailers. It ends with an error when the answer does: a
    /// connection that breaks off is the one sign that no reader of a file overlooks.
    fn frames(mut self) -> impl Stream<Item = Result<Frame<Bytes>, io::Error>> + Send + 'static {
        async_stream::stream! {
            loop {
                match self.bytes().await {
                    Ok(Some(bytes)) => yield Ok(Frame::data(Bytes::from(bytes))),
                    Ok(None) => {
                        self.note.close(self.cut, None).await;
                        yield Ok(Frame::trailers(self.trailers()));
                        break;
                    }
                    Err(error) => {
                        self.note.close(self.cut, Some(&error)).await;
                        yield Err(io::Error::other(error.spoken().1));
                        break;
                    }
                }
            }
        }
    }

    /// The next bytes of the file, never none at all; `None` after the last.
    async fn bytes(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        while let Some(rows) = self.rows().await? {
            let bytes = self.work(move |writer| writer.write(&rows)).await?;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
        if std::mem::replace(&mut self.ended, true) {
            return Ok(None);
        }
        let bytes = self.work(Writer::finish).await?;
        Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    /// The next rows, not too many at once; `None` after the last.
    async fn rows(&mut self) -> Result<Option<RecordBatch>, ApiError> {
        if self.cut {
            return Ok(None);
        }
        let next = match self.rest.take() {
            Some(rest) => Some(rest),
            None => self.batches.next().await.transpose()?.map(named_apart).transpose()?,
        };
        let Some(batch) = next else { return Ok(None) };
        let (found, room) = (batch.num_rows(), self.cap - self.note.rows);
        self.cut = room == 0 && found > 0;
        if self.cut {
            // The question is over, and its place is free, however long the rest takes to send.
            self.batches = stream::empty().boxed();
        }
        let count = found.min(room).min(STEP_ROWS);
        self.rest = (count < found).then(|| batch.slice(count, found - count));
        self.note.rows += count;
        Ok(Some(batch.slice(0, count)))
    }

    /// Writes on a thread that may take its time.
    async fn work(
        &mut self,
        write: impl FnOnce(&mut Writer) -> Result<Vec<u8>, ApiError> + Send + 'static,
    ) -> Result<Vec<u8>, ApiError> {
        let Some(mut writer) = self.writer.take() else {
            return Err(ApiError::internal("BUG: an export has no writer"));
        };
        let work = tokio::task::spawn_blocking(move || {
            let written = write(&mut writer);
            (writer, written)
        });
        let (writer, written) = work.await.map_err(ApiError::internal)?;
        self.writer = Some(writer);
        written
    }

    fn trailers(&self) -> HeaderMap {
        let cut = HeaderValue::from_static(if self.cut { "true" } else { "false" });
        let rows = HeaderValue::from(self.note.rows);
        let trailers = [(ROWS, rows), (CUT, cut)];
        trailers.map(|(name, value)| (HeaderName::from_static(name), value)).into_iter().collect()
    }
}

/// Writes rows in one of the formats.
enum Writer {
    Ndjson(Kind),
    Csv {
        kind: Kind,
        columns: Vec<String>,
        begun: bool,
    },
    Parquet {
        columns: Vec<String>,
        /// Made of the first rows, which say what the columns are.
        file: Option<Box<ParquetExport>>,
    },
}

impl Writer {
    fn new(format: ExportFormat, kind: Kind, columns: Vec<String>) -> Self {
        match format {
            ExportFormat::Ndjson => Writer::Ndjson(kind),
            ExportFormat::Csv => {
                let columns: Vec<&str> = columns.iter().map(|column| shown(column)).collect();
                Writer::Csv { kind, columns: distinct(&columns), begun: false }
            }
            ExportFormat::Parquet => {
                let column = |name: &String| match (kind, by_ecs_name(name)) {
                    (Kind::Events, Some(id)) => id.column().to_string(),
                    _ => name.clone(),
                };
                let columns: Vec<String> = columns.iter().map(column).collect();
                let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
                Writer::Parquet { columns: distinct(&columns), file: None }
            }
        }
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ApiError> {
        match self {
            Writer::Ndjson(kind) => Ok(ndjson(batch, *kind)),
            Writer::Csv { kind, columns, begun } => {
                let mut out = Vec::new();
                if !std::mem::replace(begun, true) {
                    csv::write_header(columns, &mut out);
                }
                for line in ndjson(batch, *kind).split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
                    let row = serde_json::from_slice(line).map_err(ApiError::internal)?;
                    csv::write_row(columns, &row, &mut out);
                }
                Ok(out)
            }
            Writer::Parquet { file, .. } => {
                let file = match file {
                    Some(file) => file,
                    None => file.insert(Box::new(ParquetExport::new(batch.schema_ref())?)),
                };
                Ok(file.write(batch)?)
            }
        }
    }

    /// What follows the last row.
    fn finish(&mut self) -> Result<Vec<u8>, ApiError> {
        match self {
            Writer::Csv { columns, begun: false, .. } => {
                let mut out = Vec::new();
                csv::write_header(columns, &mut out);
                Ok(out)
            }
            Writer::Ndjson(_) | Writer::Csv { .. } => Ok(Vec::new()),
            Writer::Parquet { columns, file } => Ok(match file.take() {
                Some(file) => file.finish()?,
                None => ParquetExport::empty(columns)?,
            }),
        }
    }
}

/// Names that differ: what has the name of one before it gets a number.
fn distinct(names: &[&str]) -> Vec<String> {
    let mut taken: HashSet<String> = HashSet::new();
    let mut apart = Vec::with_capacity(names.len());
    for name in names {
        let mut free = name.to_string();
        let mut number = 2;
        while !taken.insert(free.clone()) {
            free = format!("{name}_{number}");
            number += 1;
        }
        apart.push(free);
    }
    apart
}

/// The rows under names that differ: a file has nothing else to tell its columns apart.
fn named_apart(batch: RecordBatch) -> Result<RecordBatch, ApiError> {
    let names = json::names(&batch);
    let apart = distinct(&names);
    if apart == names {
        return Ok(batch);
    }
    let mut fields = Vec::with_capacity(names.len());
    for ((field, name), apart) in batch.schema_ref().fields().iter().zip(&names).zip(&apart) {
        let field = field.as_ref().clone();
        fields.push(if apart == name { field } else { field.with_name(apart) });
    }
    let columns = batch.columns().to_vec();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(ApiError::internal)
}

/// Rows as lines of JSON.
fn ndjson(batch: &RecordBatch, kind: Kind) -> Vec<u8> {
    let writer = match kind {
        Kind::Events => RowWriter::new(batch),
        Kind::Table => RowWriter::new(batch).with_nulls(),
    };
    let mut out = Vec::new();
    for row in 0..batch.num_rows() {
        writer.write(row, &mut out);
        out.push(b'\n');
    }
    out
}

/// The end of an export in the audit trail. It is written also when the client goes away half-way.
struct Note {
    app: App,
    /// What the trail has of its begin; `None` once the end is written.
    begun: Option<AuditEntry>,
    /// Rows that were sent.
    rows: usize,
}

impl Note {
    async fn close(&mut self, cut: bool, failed: Option<&ApiError>) {
        let error = failed.map(|error| error.spoken().1);
        if let Some(entry) = self.ended(json!(cut), json!(error)) {
            write(&self.app, entry).await;
        }
    }

    /// The entry that says how it ended; `None` when it was written before.
    fn ended(&mut self, cut: Value, error: Value) -> Option<AuditEntry> {
        let begun = self.begun.take()?;
        let detail = json!({
            "began": time::format(begun.time),
            "query": begun.detail["query"],
            "rows": self.rows,
            "cut": cut,
            "error": error,
        });
        Some(AuditEntry::now(&begun.actor, "export ended", &begun.subject, detail))
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if let Some(entry) = self.ended(Value::Null, json!("the client went away"))
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let app = self.app.clone();
            runtime.spawn(async move { write(&app, entry).await });
        }
    }
}

async fn write(app: &App, entry: AuditEntry) {
    if let Err(error) = app.engine.store().audit(&entry).await {
        tracing::error!(%error, actor = entry.actor, "the audit trail lacks the end of an export");
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};
    use arrow::datatypes::{DataType, Field};

    use super::*;

    #[test]
    fn columns_of_one_name_are_told_apart() {
        for (names, expected) in [
            (&["a", "b"][..], "a b"),
            (&["a", "a", "a"], "a a_2 a_3"),
            (&["a", "a", "a_2"], "a a_2 a_2_2"),
            // Both are shown as the field.
            (&["source_ip", "source.ip"], "source.ip source.ip_2"),
        ] {
            let field = |name: &&str| Field::new(*name, DataType::Int64, false);
            let schema = Schema::new(names.iter().map(field).collect::<Vec<_>>());
            let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
            let columns = vec![column; names.len()];
            let batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
            let found = named_apart(batch).unwrap();
            assert_eq!(json::names(&found).join(" "), expected);
            let row: Value = serde_json::from_slice(&ndjson(&found, Kind::Table)).unwrap();
            assert_eq!(row.as_object().map(|row| row.len()), Some(names.len()), "{row}");
            let names = names.iter().map(ToString::to_string).collect();
            let mut csv = Writer::new(ExportFormat::Csv, Kind::Table, names);
            let text = String::from_utf8(csv.write(&found).unwrap()).unwrap();
            assert!(text.starts_with(&expected.replace(' ', ",")), "{text}");
        }
    }

    #[test]
    fn the_audit_trail_does_not_keep_any_length() {
        assert_eq!(shortened("*"), "*");
        let long = shortened(&"é".repeat(AUDIT_QUERY_BYTES_MAX));
        assert!(long.ends_with("é…") && long.len() <= AUDIT_QUERY_BYTES_MAX + '…'.len_utf8());
    }
}
