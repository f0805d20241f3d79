//! Numbers for values: equal values have equal numbers, and 0 is no value at all.

use std::hash::BuildHasher;

use arrow::array::{Array, ArrayRef, StringArray};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use pugmark_query::eval::Cell;

use crate::values::Values;

/// The number of an absent value.
pub(crate) const NULL: u32 = 0;

/// Values of a dictionary from which on [`Interner::expect`] makes room, and the most room.
const EXPECTED_MIN: usize = 1024;
const EXPECTED_MAX: usize = 1 << 16;

/// What kind of cell a number stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Text,
    Long,
    Time,
}

/// All values of one column so far.
pub(crate) struct Interner {
    of: Of,
    table: HashTable<u32>,
    /// Numbers of short texts, each beside its text: looking further costs more than comparing.
    shorts: HashTable<(u128, u32)>,
    hasher: RandomState,
    /// All texts one after another, and where each ends; of number 0 the end is 0.
    texts: String,
    ends: Vec<usize>,
    longs: Vec<i64>,
    /// The dictionary of the last batch, and the numbers of its texts as far as they were asked
    /// for: batches of one file often share it.
    dictionary: Option<(StringArray, Vec<u32>)>,
}

/// A text of less than 16 bytes as a number: its bytes, and its length in the last one.
fn short(text: &[u8]) -> Option<u128> {
    let len = text.len();
    let bytes = match len {
        0..4 => text.iter().rev().fold(0, |all, byte| all << 8 | u128::from(*byte)),
        4..8 => {
            let first = u32::from_le_bytes(*text.first_chunk()?);
            let last = u64::from(u32::from_le_bytes(*text.last_chunk()?));
            u128::from(first) | u128::from(last >> (8 * (8 - len))) << 32
        }
        8..16 => {
            let first = u64::from_le_bytes(*text.first_chunk()?);
            let last = u128::from(u64::from_le_bytes(*text.last_chunk()?));
            u128::from(first) | last >> (8 * (16 - len)) << 64
        }
        _ => return None,
    };
    Some(bytes | (len as u128) << 120)
}

/// Whether two arrays are one in memory.
fn is_same(a: &StringArray, b: &StringArray) -> bool {
    a.len() == b.len()
        && std::ptr::eq(a.value_offsets(), b.value_offsets())
        && std::ptr::eq(a.value_data(), b.value_data())
}

impl Interner {
    pub(crate) fn new(of: Of) -> Self {
        Self {
            of,
            table: HashTable::new(),
            shorts: HashTable::new(),
            hasher: RandomState::default(),
            texts: String::new(),
            ends: vec![0],
            longs: vec![0],
            dictionary: None,
        }
    }

    /// Makes room for a dictionary of so many values and some others like it, once: a table that
    /// grows step by step is made anew as often.
    pub(crate) fn expect(&mut self, values: usize) {
        if values >= EXPECTED_MIN && self.shorts.is_empty() && self.table.is_empty() {
            let room = (4 * values).min(EXPECTED_MAX);
            let hasher = &self.hasher;
            match self.of {
                Of::Text => self.shorts.reserve(room, |(known, _)| hasher.hash_one(known)),
                // Empty, so nothing is hashed.
                Of::Long | Of::Time => self.table.reserve(room, |_| 0),
            }
        }
    }

    /// What its values are.
    pub(crate) fn of(&self) -> Of {
        self.of
    }

    /// How many numbers there are, that of nothing included.
    pub(crate) fn len(&self) -> usize {
        self.ends.len().max(self.longs.len())
    }

    /// Memory in use, about.
    pub(crate) fn bytes(&self) -> usize {
        self.texts.len() + self.len() * 24 + self.shorts.len() * 32
    }

    /// The text of a number.
    pub(crate) fn text(&self, number: u32) -> &str {
        let place = number as usize;
        &self.texts[self.ends[place.saturating_sub(1)]..self.ends[place]]
    }

    /// The value of a number.
    pub(crate) fn cell(&self, number: u32) -> Cell {
        match self.of {
            _ if number == NULL => Cell::Null,
            Of::Text => Cell::Text(self.text(number).to_string()),
            Of::Long => Cell::Long(self.longs[number as usize]),
            Of::Time => Cell::Time(self.longs[number as usize]),
        }
    }

    fn find_short(&self, hash: u64, short: u128) -> Option<u32> {
        self.shorts.find(hash, |(known, _)| *known == short).map(|(_, number)| *number)
    }

    fn find_text(&self, hash: u64, text: &str) -> Option<u32> {
        let same = |number: &u32| self.text(*number) == text;
        self.table.find(hash, same).copied()
    }

    fn find_long(&self, hash: u64, long: i64) -> Option<u32> {
        self.table.find(hash, |number| self.longs[*number as usize] == long).copied()
    }

    /// The number that a value of `other` has here, if it has one.
    pub(crate) fn find(&self, other: &Interner, number: u32) -> Option<u32> {
        let hasher = &self.hasher;
        match self.of {
            _ if number == NULL => Some(NULL),
            Of::Text => {
                let text = other.text(number);
                match short(text.as_bytes()) {
                    Some(short) => self.find_short(hasher.hash_one(short), short),
                    None => self.find_text(hasher.hash_one(text), text),
                }
            }
            Of::Long | Of::Time => {
                let long = other.longs[number as usize];
                self.find_long(hasher.hash_one(long), long)
            }
        }
    }

    fn number_of_short(&mut self, short: u128, text: &str) -> u32 {
        let hash = self.hasher.hash_one(short);
        if let Some(number) = self.find_short(hash, short) {
            return number;
        }
        let number = self.push(text);
        let hasher = &self.hasher;
        self.shorts.insert_unique(hash, (short, number), |(known, _)| hasher.hash_one(known));
        number
    }

    /// Gives the text a number.
    fn push(&mut self, text: &str) -> u32 {
        let number = self.ends.len() as u32;
        self.texts.push_str(text);
        self.ends.push(self.texts.len());
        number
    }

    pub(crate) fn number_of_text(&mut self, text: &str) -> u32 {
        if let Some(short) = short(text.as_bytes()) {
            return self.number_of_short(short, text);
        }
        let hash = self.hasher.hash_one(text);
        if let Some(number) = self.find_text(hash, text) {
            return number;
        }
        let number = self.push(text);
        let (texts, ends, hasher) = (&self.texts, &self.ends, &self.hasher);
        self.table.insert_unique(hash, number, |n| {
            hasher.hash_one(&texts[ends[*n as usize - 1]..ends[*n as usize]])
        });
        number
    }

    pub(crate) fn number_of_long(&mut self, long: i64) -> u32 {
        let hash = self.hasher.hash_one(long);
        if let Some(number) = self.find_long(hash, long) {
            return number;
        }
        let number = self.longs.len() as u32;
        self.longs.push(long);
        let (longs, hasher) = (&self.longs, &self.hasher);
        self.table.insert_unique(hash, number, |n| hasher.hash_one(longs[*n as usize]));
        number
    }

    /// The number that a value of `other` has here.
    pub(crate) fn adopt(&mut self, other: &Interner, number: u32) -> u32 {
        match self.of {
            _ if number == NULL => NULL,
            Of::Text => self.number_of_text(other.text(number)),
            Of::Long | Of::Time => self.number_of_long(other.longs[number as usize]),
        }
    }

    /// Appends the number of each row's value.
    pub(crate) fn rows(&mut self, column: &ArrayRef, numbers: &mut Vec<u32>) {
        let nulls = column.logical_nulls();
        let valid = |row: usize| nulls.as_ref().is_none_or(|n| n.is_valid(row));
        let rows = 0..column.len();
        if column.null_count() == column.len() {
            numbers.resize(numbers.len() + column.len(), NULL);
            return;
        }
        match Values::of(column) {
            Values::Text(texts) => {
                // Neighbours are often equal: events are sorted by source.
                let mut last = ("", NULL);
                numbers.extend(rows.map(|row| {
                    if !valid(row) {
                        return NULL;
                    }
                    let text = texts.value(row);
                    if last.1 == NULL || last.0 != text {
                        last = (text, self.number_of_text(text));
                    }
                    last.1
                }));
            }
            Values::Dictionary(keys, texts) => {
                let mut known = match self.dictionary.take() {
                    Some((last, known)) if is_same(&last, texts) => known,
                    _ => vec![NULL; texts.len()],
                };
                numbers.extend(rows.map(|row| {
                    if !valid(row) {
                        return NULL;
                    }
                    let key = keys.value(row) as usize;
                    if known[key] == NULL {
                        known[key] = self.number_of_text(texts.value(key));
                    }
                    known[key]
                }));
                self.dictionary = Some((texts.clone(), known));
            }
            Values::Long(values) if self.of == Of::Text => {
                // Whole numbers as people write them: their text comes back exactly.
                let mut last = (0, NULL);
                numbers.extend(rows.map(|row| {
                    if !valid(row) {
                        return NULL;
                    }
                    if last.1 == NULL || last.0 != values[row] {
                        last = (values[row], self.number_of_text(&values[row].to_string()));
                    }
                    last.1
                }));
            }
            Values::Long(values) | Values::Time(values) => {
                let last = (0, NULL);
                self.longs(rows.map(|row| valid(row).then_some(values[row])), last, numbers);
            }
            Values::Float(_) | Values::Other => numbers.resize(numbers.len() + column.len(), NULL),
        }
    }

    /// Appends the number of each integer.
    pub(crate) fn longs(
        &mut self,
        values: impl Iterator<Item = Option<i64>>,
        mut last: (i64, u32),
        numbers: &mut Vec<u32>,
    ) {
        numbers.extend(values.map(|value| {
            let Some(value) = value else { return NULL };
            if last.1 == NULL || last.0 != value {
                last = (value, self.number_of_long(value));
            }
            last.1
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{DictionaryArray, Int64Array, StringArray};
    use arrow::datatypes::Int32Type;
    use std::sync::Arc;

    #[test]
    fn equal_values_have_equal_numbers_in_every_form() {
        let plain = StringArray::from(vec![Some("b"), None, Some(""), Some("b"), Some("a")]);
        let dictionary: DictionaryArray<Int32Type> = plain.iter().collect();
        let mut interner = Interner::new(Of::Text);
        let mut numbers = Vec::new();
        interner.rows(&(Arc::new(plain) as ArrayRef), &mut numbers);
        let dictionary = Arc::new(dictionary) as ArrayRef;
        interner.rows(&dictionary, &mut numbers);
        interner.rows(&dictionary.slice(3, 2), &mut numbers);
        assert_eq!(numbers, [1, 0, 2, 1, 3, 1, 0, 2, 1, 3, 1, 3]);
        assert_eq!((interner.text(1), interner.text(2), interner.text(3)), ("b", "", "a"));
        let mut other = Interner::new(Of::Text);
        assert_eq!([3, 0, 1].map(|n| other.adopt(&interner, n)), [1, 0, 2]);
        assert_eq!(other.cell(2), Cell::Text("b".into()));
        assert_eq!(
            [0, 1, 2, 3].map(|n| other.find(&interner, n)),
            [Some(0), Some(2), None, Some(1)]
        );
        let mut longs = Interner::new(Of::Long);
        let mut numbers = Vec::new();
        let column = Int64Array::from(vec![Some(7), Some(7), None, Some(-1), Some(7)]);
        longs.rows(&(Arc::new(column) as ArrayRef), &mut numbers);
        assert_eq!(numbers, [1, 1, 0, 2, 1]);
        assert_eq!((longs.cell(2), longs.cell(0), longs.len()), (Cell::Long(-1), Cell::Null, 3));
        let mut other = Interner::new(Of::Long);
        other.number_of_long(-1);
        assert_eq!([0, 1, 2].map(|n| other.find(&longs, n)), [Some(0), None, Some(1)]);
    }

    #[test]
    fn short_texts_are_their_bytes_and_length() {
        let all = "0123456789abcdefgh".as_bytes();
        for len in 0..all.len() {
            let mut bytes = [0; 16];
            let expected = (len < 16).then(|| {
                bytes[..len].copy_from_slice(&all[..len]);
                bytes[15] = len as u8;
                u128::from_le_bytes(bytes)
            });
            assert_eq!(short(&all[..len]), expected, "{len}");
        }
    }

    #[test]
    fn many_values_stay_apart() {
        let mut interner = Interner::new(Of::Text);
        for i in 0..10_000u32 {
            assert_eq!(interner.number_of_text(&i.to_string()), i + 1);
        }
        assert_eq!((interner.number_of_text("77"), interner.text(10_000)), (78, "9999"));
        let long = interner.number_of_text(&"x".repeat(99));
        assert_eq!(interner.find(&interner, long), Some(long));
    }
}
