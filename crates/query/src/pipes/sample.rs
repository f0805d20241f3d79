//! `sample`: some of the rows.

use super::{Command, Example, Takes};
use crate::cell::Cell;
use crate::eval::{Row, Rows};
use crate::plan::Pipe;

pub(super) const COMMAND: Command = Command {
    name: "sample",
    other_names: &[],
    usage: "sample 1%",
    about: "Keeps some of the rows by chance, always the same.",
    doc: "A share such as `1%` or `0.01`, or `1 in 100` written as `100`. An event is chosen by \
          its id, so the same question gives the same rows, and the same events are chosen in \
          every question with the same share.",
    examples: &[Example { query: "* | sample 50%", rows: &["6", "4", "2", "1"] }],
    takes: Takes::Number,
    read: |parser| {
        parser.cursor.blanks();
        let from = parser.cursor.at;
        let word = parser.cursor.word(super::NAME_ENDS)?;
        let typed = word.as_ref().map_or("", |word| word.raw);
        let number = |text: &str| text.parse::<f64>().ok().filter(|n| *n > 0.0 && n.is_finite());
        let share = match typed.strip_suffix('%') {
            Some(percent) => number(percent).map(|percent| percent / 100.0),
            None => number(typed).map(|n| if n > 1.0 { 1.0 / n } else { n }),
        };
        match share.filter(|share| *share <= 1.0) {
            Some(share) => Ok(vec![Pipe::Sample { share }]),
            None => {
                let fault = parser.cursor.fault(from, "this is a share above 0 and up to 100%");
                Err(fault
                    .hint("write sample 1%, sample 0.01 or sample 100 for one in a hundred")
                    .into())
            }
        }
    },
};

pub(super) fn run<'a>(share: f64, mut rows: Rows<'a>) -> Rows<'a> {
    rows.rows.retain(|row| is_chosen(&identity(row), share));
    rows
}

fn identity(row: &Row<'_>) -> Vec<Cell> {
    match row.event {
        Some((batch, at)) => vec![Cell::Long(batch.ids()[at])],
        None => row.cells.clone(),
    }
}

/// Whether a row is among the share: an event by its id, a row of a table by its values.
pub fn is_chosen(identity: &[Cell], share: f64) -> bool {
    // FNV-1a, then mixed, since neighbouring ids must not go together.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for cell in identity {
        for byte in cell.text().bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    (hash as f64) < share * u64::MAX as f64
}
