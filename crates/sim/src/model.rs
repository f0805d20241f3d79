//! What must be in the store: the plainest account there is.

use std::collections::{BTreeMap, BTreeSet};

/// Source under which the store counts records of broken pieces of the WAL.
const DAMAGED_SOURCE: &str = "pugmark.wal.damaged";

/// A record that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) source: String,
    pub(crate) record: Vec<u8>,
}

/// Records that a block consists of.
pub(crate) type Block = Vec<Kept>;

/// Acknowledged records by id, and those of which nobody can know.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// Acknowledged: must be there, once, to the byte.
    pub(crate) kept: BTreeMap<i64, Kept>,
    /// Of these it may be that they are old enough to be deleted, or in the way on a full disk.
    pub(crate) may_go: BTreeSet<i64>,
    /// Deleted, by source.
    pub(crate) gone: BTreeMap<String, u64>,
    /// The last id that was acknowledged.
    pub(crate) last: i64,
    /// Refused or not answered. After a crash a block of these is there whole or not at all.
    pub(crate) unknown: Vec<Block>,
}

impl Model {
    /// Notes records that were acknowledged.
    pub(crate) fn acknowledge(&mut self, first_id: i64, block: Block) -> Result<(), String> {
        let last = self.last;
        if first_id != last + 1 {
            return Err(format!("id {first_id} was given after id {last}: ids have no gaps"));
        }
        self.last += block.len() as i64;
        self.kept.extend((first_id..).zip(block));
        // What was refused before is cut from the disk, or nothing could have been added.
        self.unknown.clear();
        Ok(())
    }

    /// A durable block that comes out is what was acknowledged.
    pub(crate) fn expect(&self, block: &pugmark_store::Block) -> Result<(), String> {
        for (id, record) in (block.first_id..).zip(block.records.iter()) {
            let same = self
                .kept
                .get(&id)
                .is_some_and(|kept| kept.source == *block.source && kept.record == record);
            if !same {
                return Err(format!("id {id} comes out of the WAL as it was not acknowledged"));
            }
        }
        Ok(())
    }

    /// Compares with what was found after a crash, and takes over blocks that were not acknowledged
    /// and are there.
    pub(crate) fn settle(&mut self, found: &BTreeMap<i64, Kept>) -> Result<(), String> {
        self.compare(found, i64::MAX, true)?;
        let last = self.last;
        let more: Vec<Kept> = found.range(last + 1..).map(|(_, kept)| kept.clone()).collect();
        if !explained(&more, &self.unknown) {
            let (id, first) = (last + 1, short(&more[0]));
            return Err(format!(
                "from id {id} on ({} records, first {first}): never sent so, or not a whole block",
                more.len()
            ));
        }
        self.last += more.len() as i64;
        self.kept.extend((last + 1..).zip(more));
        // What is not there now will not come back.
        self.unknown.clear();
        Ok(())
    }

    /// Notes what was deleted, by rights: it must not come back.
    pub(crate) fn note_gone(&mut self, found: &BTreeMap<i64, Kept>, end: i64) {
        let is_gone = |id: &i64| *id < end && !found.contains_key(id);
        let gone: Vec<i64> = self.may_go.iter().copied().filter(is_gone).collect();
        for id in gone {
            if let Some(kept) = self.kept.remove(&id) {
                *self.gone.entry(kept.source).or_default() += 1;
            }
        }
    }

    /// Everything acknowledged with an id below `end` is there, and nothing else is, but for what
    /// comes `after` the last id that was acknowledged.
    pub(crate) fn compare(
        &self,
        found: &BTreeMap<i64, Kept>,
        end: i64,
        after: bool,
    ) -> Result<(), String> {
        for (id, kept) in self.kept.range(..end) {
            match found.get(id) {
                Some(read) if read == kept => {}
                None if self.may_go.contains(id) => {}
                None => return Err(format!("id {id} was acknowledged and is lost")),
                Some(read) => {
                    let (was, is) = (short(kept), short(read));
                    return Err(format!("id {id} was {was} and is {is}"));
                }
            }
        }
        let known = if after { self.last } else { i64::MAX };
        let stray = |id: &&i64| **id <= known && !(**id < end && self.kept.contains_key(id));
        match found.keys().find(stray) {
            Some(id) => Err(format!("id {id} is found and was not acknowledged")),
            None => Ok(()),
        }
    }
}

/// True when these are whole blocks out of `unknown`, in their order, and pieces of the WAL that
/// were never acknowledged and came out broken.
fn explained(found: &[Kept], unknown: &[Block]) -> bool {
    let Some(first) = found.first() else { return true };
    if first.source == DAMAGED_SOURCE {
        return explained(&found[1..], unknown);
    }
    unknown.iter().enumerate().any(|(i, block)| {
        found.starts_with(block) && explained(&found[block.len()..], &unknown[i + 1..])
    })
}

fn short(kept: &Kept) -> String {
    let text = String::from_utf8_lossy(&kept.record);
    let start: String = text.chars().take(60).collect();
    format!("{} bytes of {:?} ({start:?})", kept.record.len(), kept.source)
}
