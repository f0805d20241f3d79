//! Searches that people saved, and how far those with a schedule have come.

use pugmark_event::Severity;
use pugmark_event::time::Micros;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::StoreError;
use crate::manifest::{AuditEntry, Manifest, Row, add_audit, args};

/// Searches that are kept at most.
pub const SEARCHES_MAX: u64 = 1000;

/// The saved searches in a data folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KeptSearches {
    manifest: Manifest,
}

/// A search that somebody saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSearch {
    /// Its name.
    pub name: String,
    /// What it asks, in the query language.
    pub query: String,
    /// Start of the range that it is about, as people write it; empty for no start.
    pub from: String,
    /// End of that range; empty for no end.
    pub to: String,
    /// What it is good for, in a person's words.
    pub description: String,
    /// How it is asked again and again; `None` when only people ask it.
    pub schedule: Option<KeptSchedule>,
    /// Who saved it first.
    pub owner: String,
    /// When.
    pub created: Micros,
    /// When it was changed last.
    pub changed: Micros,
    /// How its schedule does. It is not written with the search: see [`KeptSearches::note_run`].
    pub run: Option<SearchRun>,
}

/// How often a search is asked, and what its rows become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSchedule {
    /// Time between two runs, in microseconds.
    pub every: Micros,
    /// How bad a row of the answer is.
    pub level: Severity,
    /// Title of the alerts; empty for the name of the search.
    pub title: String,
    /// The column that says who or what a row is about; `None` for the first that names one.
    pub entity: Option<String>,
}

/// How far a schedule has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchRun {
    /// Event times before this were asked about.
    pub done: Micros,
    /// Event times before this are being asked about; the same as `done` between two runs.
    pub until: Micros,
    /// When the last run ended; `None` before the first.
    pub ran: Option<Micros>,
    /// How long it took, in microseconds.
    pub took: Micros,
    /// Detections that it made.
    pub rows: u64,
    /// Why it failed.
    pub error: Option<String>,
    /// Most event time to ask about at once; 0 for as much as there may be.
    pub span: Micros,
}

impl SearchRun {
    /// A schedule that begins with events of this time.
    pub fn since(start: Micros) -> Self {
        Self { done: start, until: start, ..Self::default() }
    }
}

/// Whether a search was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It was.
    Yes,
    /// There is another of its name.
    NameTaken,
    /// There are [`SEARCHES_MAX`].
    Full,
}

/// What [`kept`] reads.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT s.name, s.query, s.range_from, s.range_to, s.description, s.schedule, \
             s.owner, s.created, s.changed, r.done, r.until, r.ran, r.took, r.found, r.error, \
             r.span FROM searches s LEFT JOIN search_runs r ON r.name = s.name ",
            $rest
        )
    };
}

/// Every method fails when the database refuses, and those that write also when the store was
/// opened for reading.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
impl KeptSearches {
    pub(crate) fn new(manifest: Manifest) -> Self {
        Self { manifest }
    }

    /// All of them, by name. One that cannot be read is left out, and the log says so.
    pub async fn list(&self) -> Result<Vec<KeptSearch>, StoreError> {
        let rows = self.manifest.rows(select!("ORDER BY s.name"), args![]).await?;
        Ok(readable(&rows))
    }

    /// Those with a schedule, by name, as in [`KeptSearches::list`].
    pub async fn scheduled(&self) -> Result<Vec<KeptSearch>, StoreError> {
        let sql = select!("WHERE s.schedule IS NOT NULL ORDER BY s.name");
        let rows = self.manifest.rows(sql, args![]).await?;
        Ok(readable(&rows))
    }

    /// The one of this name.
    pub async fn get(&self, name: &str) -> Result<Option<KeptSearch>, StoreError> {
        let row = self.manifest.row(select!("WHERE s.name = $1"), args![name]).await?;
        row.as_ref().map(kept).transpose()
    }

    /// Keeps a search under a name that is free, with an entry in the audit trail. A schedule
    /// begins with events of the time `since`.
    pub async fn add(&self, search: &KeptSearch, since: Micros) -> Result<Kept, StoreError> {
        self.keep(search, since, &search.owner, false).await
    }

    /// Keeps a search in place of the one of the same name, with an entry in the audit trail that
    /// names `actor`. Its owner stays, and so does what its schedule did, if it had one; when it
    /// asks something else from now on, what was being asked is not asked any further.
    pub async fn put(
        &self,
        search: &KeptSearch,
        since: Micros,
        actor: &str,
    ) -> Result<Kept, StoreError> {
        self.keep(search, since, actor, true).await
    }

    async fn keep(
        &self,
        search: &KeptSearch,
        since: Micros,
        actor: &str,
        replace: bool,
    ) -> Result<Kept, StoreError> {
        const SQL: &str = "INSERT INTO searches (name, query, range_from, range_to, description, \
            schedule, owner, created, changed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
            ON CONFLICT (name) DO UPDATE SET query = excluded.query, \
            range_from = excluded.range_from, range_to = excluded.range_to, \
            description = excluded.description, schedule = excluded.schedule, \
            changed = excluded.changed";
        let mut tx = self.manifest.begin().await?;
        let count = tx.row("SELECT count(*) FROM searches", args![]).await?;
        let count = count.map(|row| row.count(0)).transpose()?.unwrap_or(0);
        let known = "SELECT query FROM searches WHERE name = $1";
        let known = tx.row(known, args![&search.name]).await?;
        let known: Option<String> = known.map(|row| row.get(0)).transpose()?;
        match &known {
            Some(_) if !replace => return Ok(Kept::NameTaken),
            None if count >= SEARCHES_MAX => return Ok(Kept::Full),
            _ => {}
        }
        let schedule = search.schedule.as_ref().map(serde_json::to_string).transpose();
        let schedule = schedule.map_err(unreadable)?;
        let args = args![
            &search.name,
            &search.query,
            &search.from,
            &search.to,
            &search.description,
            schedule.as_deref(),
            &search.owner,
            search.created,
            search.changed,
        ];
        tx.run(SQL, args).await?;
        match search.schedule {
            None => tx.run("DELETE FROM search_runs WHERE name = $1", args![&search.name]).await?,
            Some(_) => {
                // What failed may be right now: it is tried at once.
                let sql = "INSERT INTO search_runs (name, done, until, ran, took, found) \
                    VALUES ($1, $2, $2, 0, 0, 0) ON CONFLICT (name) DO UPDATE SET error = NULL";
                tx.run(sql, args![&search.name, since]).await?
            }
        };
        if known.is_some_and(|query| query != search.query) {
            // Of the window that was being asked about, nothing says what the new query finds.
            let sql = "UPDATE search_runs SET until = done, span = 0 WHERE name = $1";
            tx.run(sql, args![&search.name]).await?;
        }
        let entry = entry(search, actor, search.changed, "search saved");
        add_audit(&mut tx, Some(&entry)).await?;
        self.manifest.finish(tx).await.map(|()| Kept::Yes)
    }

    /// Forgets the search of this name and how far its schedule has come, with an entry in the
    /// audit trail that says what it was; false when there is none.
    pub async fn remove(&self, name: &str, actor: &str, now: Micros) -> Result<bool, StoreError> {
        let mut tx = self.manifest.begin().await?;
        let Some(row) = tx.row(select!("WHERE s.name = $1"), args![name]).await? else {
            return Ok(false);
        };
        // What cannot be read can be removed all the same.
        let entry = match kept(&row) {
            Ok(search) => entry(&search, actor, now, "search removed"),
            Err(error) => AuditEntry {
                id: 0,
                time: now,
                actor: actor.to_string(),
                action: "search removed".to_string(),
                subject: name.to_string(),
                detail: json!({ "error": error.to_string() }),
            },
        };
        tx.run("DELETE FROM searches WHERE name = $1", args![name]).await?;
        tx.run("DELETE FROM search_runs WHERE name = $1", args![name]).await?;
        add_audit(&mut tx, Some(&entry)).await?;
        self.manifest.finish(tx).await.map(|()| true)
    }

    /// Writes down how far the schedule of a search has come, if it has come as far as `until`
    /// says: false when somebody took the schedule away meanwhile, which changes nothing.
    pub async fn note_run(
        &self,
        name: &str,
        until: Micros,
        run: &SearchRun,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE search_runs SET done = $1, until = $2, ran = $3, took = $4, \
            found = $5, error = $6, span = $7 WHERE name = $8 AND until = $9";
        let ran = run.ran.unwrap_or(0);
        let error = run.error.as_deref();
        let args =
            args![run.done, run.until, ran, run.took, run.rows, error, run.span, name, until];
        Ok(self.manifest.run(SQL, args).await? > 0)
    }
}

fn entry(search: &KeptSearch, actor: &str, time: Micros, action: &str) -> AuditEntry {
    AuditEntry {
        id: 0,
        time,
        actor: actor.to_string(),
        action: action.to_string(),
        subject: search.name.clone(),
        detail: json!({
            "query": search.query,
            "from": search.from,
            "to": search.to,
            "description": search.description,
            "schedule": search.schedule,
        }),
    }
}

/// The searches that can be read: one that cannot does not stop the others.
fn readable(rows: &[Row]) -> Vec<KeptSearch> {
    let search = |row: &Row| {
        let read = kept(row).inspect_err(|error| {
            let name = row.get::<String>(0).unwrap_or_default();
            tracing::error!(%error, name, "a saved search cannot be read");
        });
        read.ok()
    };
    rows.iter().filter_map(search).collect()
}

fn kept(row: &Row) -> Result<KeptSearch, StoreError> {
    let schedule: Option<String> = row.get(5)?;
    let schedule = schedule.map(|text| serde_json::from_str(&text)).transpose();
    Ok(KeptSearch {
        name: row.get(0)?,
        query: row.get(1)?,
        from: row.get(2)?,
        to: row.get(3)?,
        description: row.get(4)?,
        schedule: schedule.map_err(unreadable)?,
        owner: row.get(6)?,
        created: row.get(7)?,
        changed: row.get(8)?,
        run: run(row)?,
    })
}

fn run(row: &Row) -> Result<Option<SearchRun>, StoreError> {
    let Some(done) = row.get::<Option<Micros>>(9)? else { return Ok(None) };
    Ok(Some(SearchRun {
        done,
        until: row.get(10)?,
        ran: Some(row.get(11)?).filter(|ran| *ran != 0),
        took: row.get(12)?,
        rows: row.count(13)?,
        error: row.get(14)?,
        span: row.get(15)?,
    }))
}

fn unreadable(error: serde_json::Error) -> StoreError {
    StoreError::State { what: "saved search", message: error.to_string() }
}
