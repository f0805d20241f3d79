//! Templates of one shape that differ in several places at once, so that no two of them differ in
//! one place alone: `unit A moved from B to C`, with new names each time.
//!
//! The set of templates is split by the place with the fewest different words, and again, until all
//! places that are left to differ do so in nearly every template. Such a set is one template when
//! it is big enough and shares as many words as it has such places.

use super::store::Places;

/// Sets smaller than this say nothing.
const ROWS_MIN: usize = 8;

/// A template as a row of hashes, one for each place.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The caller's name for it.
    pub(super) index: u32,
    /// Hash of the word or slot at each place.
    pub(super) hashes: Vec<u64>,
}

/// A set of rows that are one template, with the places in which they differ. `fixed` places must
/// not differ; `words` are the places that count as shared when they do not.
pub(super) fn one_template(
    rows: Vec<Row>,
    fixed: Places,
    words: Places,
) -> Option<(Vec<u32>, Places)> {
    let mut open = vec![rows];
    while let Some(rows) = open.pop() {
        if rows.len() < ROWS_MIN {
            continue;
        }
        let (mut differs, mut fewest): (Places, Option<(usize, usize)>) = (0, None);
        for place in 0..rows[0].hashes.len() {
            let count = distinct(&rows, place);
            if count < 2 {
                continue;
            }
            differs |= 1 << place;
            // A place that must not differ is split first.
            let rank = if fixed >> place & 1 == 1 { 0 } else { count };
            if fewest.is_none_or(|(least, _)| rank < least) {
                fewest = Some((rank, place));
            }
        }
        let Some((rank, place)) = fewest else { continue };
        // Seven in ten: some names come twice.
        if rank * 10 >= rows.len() * 7 {
            if is_one(rows.len(), differs, words) {
                return Some((rows.iter().map(|row| row.index).collect(), differs));
            }
        } else {
            open.extend(split(rows, place));
        }
    }
    None
}

fn is_one(rows: usize, differs: Places, words: Places) -> bool {
    let shared = (words & !differs).count_ones();
    let enough = match shared {
        0 => return false,
        1 => 32,
        2 => 20,
        3 => 12,
        _ => ROWS_MIN,
    };
    rows >= enough && differs.count_ones() <= shared
}

fn distinct(rows: &[Row], place: usize) -> usize {
    let mut hashes: Vec<u64> = rows.iter().map(|row| row.hashes[place]).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes.len()
}

/// The rows by what they have at `place`.
fn split(mut rows: Vec<Row>, place: usize) -> Vec<Vec<Row>> {
    rows.sort_by_key(|row| row.hashes[place]);
    rows.chunk_by(|a, b| a.hashes[place] == b.hashes[place]).map(<[Row]>::to_vec).collect()
}
