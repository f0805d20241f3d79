//! The offline hunt: rules over files, without a server. The same parser and the same detector as
//! on the stream.

use std::io::Read;
use std::sync::Arc;

use pugmark_detect::{Detection, Detector, RuleSet};
use pugmark_event::Batch;
use pugmark_event::json::RowWriter;
use pugmark_event::time::Micros;
use pugmark_parse::{Input, Parser, frame};

use crate::status::not_understood;

/// Decompressed bytes of one file at most: a bomb ends there, with an error that says so.
pub const FILE_BYTES_MAX: u64 = 64 << 30;

/// One detection, with the event that completed it.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What fired and why.
    pub detection: Detection,
    /// The event, as a JSON object.
    pub event: Vec<u8>,
}

/// What a file held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileReport {
    /// Records read.
    pub records: u64,
    /// Bytes of those records.
    pub bytes: u64,
    /// Records that no format understood.
    pub not_understood: u64,
    /// What could not be read. Everything before and around it was.
    pub problems: Vec<String>,
}

/// Runs rules over files. Cheap to clone; one file at a time per clone.
#[derive(Clone)]
pub struct Hunt {
    parser: Arc<Parser>,
    rules: Arc<RuleSet>,
    received: Micros,
}

impl Hunt {
    /// A hunt at the time `received`, from which years are guessed where records have none.
    pub fn new(parser: Arc<Parser>, rules: Arc<RuleSet>, received: Micros) -> Self {
        Self { parser, rules, received }
    }

    /// Reads one file to its end and gives every finding to `found`, in the file's order. Rules
    /// over time see one file at a time.
    pub fn file(
        &self,
        name: &str,
        reader: impl Read + Send,
        mut found: impl FnMut(Finding),
    ) -> FileReport {
        let mut report = FileReport::default();
        let mut detector = Detector::new(self.rules.clone());
        let blocks = match frame::open(reader, FILE_BYTES_MAX) {
            Ok(blocks) => blocks,
            Err(error) => {
                report.problems.push(format!("{name}: {error}"));
                return report;
            }
        };
        for block in blocks {
            let records = match block {
                Ok(records) => records,
                Err(error) => {
                    report.problems.push(format!("{name}: {error}"));
                    continue;
                }
            };
            let input = Input {
                source: "hunt",
                records: &records,
                first_id: report.records as i64 + 1,
                received: self.received,
                format: None,
            };
            let batch = self.parser.parse(&input);
            report.records += records.len() as u64;
            report.bytes += records.byte_len() as u64;
            report.not_understood += not_understood(&batch);
            findings(&batch, detector.process(&batch), &mut found);
        }
        report
    }
}

fn findings(batch: &Batch, detections: Vec<Detection>, found: &mut impl FnMut(Finding)) {
    let Some(&first) = batch.ids().first() else { return };
    let writer = RowWriter::new(batch.columns());
    for detection in detections {
        let mut event = Vec::new();
        let row = usize::try_from(detection.event_id - first).unwrap_or(usize::MAX);
        // A rule over time may fire on an event of an earlier block when its window closes.
        if row < batch.rows() {
            writer.write(row, &mut event);
        } else {
            event.extend_from_slice(b"null");
        }
        found(Finding { detection, event });
    }
}
