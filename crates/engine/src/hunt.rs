//! The offline hunt: rules over files, without a server. The same parser and the same detector as
//! on the stream.
//!
//! Memory holds one block of one file and the [`Summary`], both bounded: findings are handed out as
//! they come.

use std::io::Read;
use std::sync::Arc;

use pugmark_detect::{Detection, Detector, RuleSet};
use pugmark_event::json::RowWriter;
use pugmark_event::time::Micros;
use pugmark_event::{Batch, FieldId, Records, Severity};
use pugmark_parse::frame::{FrameError, Frames};
use pugmark_parse::{Headers, Input, Parser, frame};

use crate::status::not_understood;

mod bounded;
mod logons;
mod summary;

pub use bounded::Bounded;
pub use logons::{Logon, LogonCounts};
pub use summary::{FileSeen, RuleSeen, Span, Summary};

/// Decompressed bytes of one file at most: a bomb ends there, with an error that says so.
pub const FILE_BYTES_MAX: u64 = 64 << 30;

/// One detection, with the event that completed it.
#[derive(Debug)]
pub struct Finding<'a> {
    /// What fired and why.
    pub detection: &'a Detection,
    batch: &'a Batch,
    /// `None` where the event came in an earlier block: a rule over time whose window closed.
    row: Option<usize>,
}

impl Finding<'_> {
    /// The event as a JSON object, or `null` where it is not at hand any more.
    pub fn event(&self) -> Vec<u8> {
        let mut event = Vec::new();
        match self.row {
            Some(row) => RowWriter::new(self.batch.columns()).write(row, &mut event),
            None => event.extend_from_slice(b"null"),
        }
        event
    }

    /// A field of the event, if it is there and text.
    pub fn text(&self, field: FieldId) -> Option<&str> {
        summary::text(self.batch.text(field)?, self.row?)
    }
}

/// Runs rules over files. Cheap to clone; one file at a time per clone.
#[derive(Clone)]
pub struct Hunt {
    parser: Arc<Parser>,
    rules: Arc<RuleSet>,
    received: Micros,
    level: Severity,
    carve: bool,
}

impl Hunt {
    /// A hunt at the time `received`, from which years are guessed where records have none.
    pub fn new(parser: Arc<Parser>, rules: Arc<RuleSet>, received: Micros) -> Self {
        Self { parser, rules, received, level: Severity::Informational, carve: false }
    }

    /// Leaves out findings below this level.
    pub fn with_level(self, level: Severity) -> Self {
        Self { level, ..self }
    }

    /// Looks for EVTX chunks at any place in files instead of reading them as what they are.
    pub fn with_carving(self, carve: bool) -> Self {
        Self { carve, ..self }
    }

    /// Reads one file to its end, adds what it held to `summary`, and gives every finding to
    /// `found`, in the file's order. Rules over time see one file at a time.
    pub fn file(
        &self,
        name: &str,
        reader: impl Read + Send,
        summary: &mut Summary,
        mut found: impl FnMut(&Finding<'_>),
    ) {
        let mut seen = FileSeen::default();
        let mut detector = Detector::new(self.rules.clone());
        let blocks = match self.open(reader) {
            Ok(blocks) => blocks,
            Err(error) => {
                summary.problem(format!("{name}: {error}"));
                return summary.file(name, seen);
            }
        };
        let mut headers = Headers::default();
        for block in blocks {
            match block {
                Ok(records) => {
                    let header = headers.next(&records);
                    let batch = self.parse(&records, header.as_deref(), &mut seen);
                    summary.batch(&batch);
                    let detections = detector.process(&batch);
                    self.findings(&batch, &detections, summary, &mut found);
                }
                Err(error) => {
                    seen.problems += 1;
                    summary.problem(format!("{name}: {error}"));
                }
            }
        }
        for (rule, groups) in detector.evictions() {
            seen.problems += 1;
            summary.problem(format!(
                "{name}: the rule {:?} forgot {groups} of its groups, there were too many at once",
                rule.title
            ));
        }
        summary.file(name, seen);
    }

    fn open<'a>(&self, reader: impl Read + Send + 'a) -> Result<Frames<'a>, FrameError> {
        match self.carve {
            true => frame::carve(reader, FILE_BYTES_MAX),
            false => frame::open(reader, FILE_BYTES_MAX),
        }
    }

    fn parse(&self, records: &Records, format: Option<&str>, seen: &mut FileSeen) -> Batch {
        let batch = self.parser.parse(&Input {
            source: "hunt",
            records,
            first_id: seen.records as i64 + 1,
            received: self.received,
            format,
        });
        seen.records += records.len() as u64;
        seen.bytes += records.byte_len() as u64;
        seen.not_understood += not_understood(&batch);
        batch
    }

    fn findings(
        &self,
        batch: &Batch,
        detections: &[Detection],
        summary: &mut Summary,
        found: &mut impl FnMut(&Finding<'_>),
    ) {
        let Some(&first) = batch.ids().first() else { return };
        for detection in detections.iter().filter(|d| d.rule.level >= self.level) {
            let row = usize::try_from(detection.event_id - first).ok();
            summary.detection(detection);
            found(&Finding { detection, batch, row: row.filter(|row| *row < batch.rows()) });
        }
    }
}
