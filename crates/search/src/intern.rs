//! Numbers for values: equal values have equal numbers, and 0 is no value at all.

use std::hash::BuildHasher;

use arrow::array::{Array, ArrayRef, StringArray};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use pugmark_query::eval::Cell;

use crate::numbers::Numbers;
use crate::values::Values;

/// The number of an absent value.
pub(crate) const NULL: u32 = 0;

/// Values of a dictionary from which on [`Interner::expect`] makes room, and the most room.
const EXPECTED_MIN: usize = 1024;
const EXPECTED_MAX: usize = 1 << 16;
/// The number of a value that is looked for still.
const WANTED: u32 = u32::MAX;
/// Short texts that are looked for together; more would not stay near the processor.
const SHORTS_AT_ONCE: usize = 1024;

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
    /// Numbers of integers and of short texts, by their bytes.
    numbers: Numbers,
    /// Numbers of other texts.
    table: HashTable<u32>,
    hasher: RandomState,
    /// All texts one after another, and where each ends; of number 0 the end is 0.
    texts: String,
    ends: Vec<usize>,
    longs: Vec<i64>,
    /// The dictionary of the last batch, and the numbers of its texts as far as they were asked
    /// for: batches of one file often share it.
    dictionary: Option<(StringArray, Vec<u32>)>,
}

/// A text of less than 16 bytes as a number that is not 0: its bytes, and in the last one its
/// length and one more.
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
    Some(bytes | (len as u128 + 1) << 120)
}

/// An integer as a number that is not 0.
fn of_long(long: i64) -> u128 {
    1 << 64 | u128::from(long as u64)
}

/// Short texts as numbers, and each with a place of its own.
#[derive(Default)]
struct Shorts<'a> {
    keys: Vec<u128>,
    texts: Vec<(usize, &'a str)>,
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
            numbers: Numbers::default(),
            table: HashTable::new(),
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
        if values >= EXPECTED_MIN && self.len() == 1 {
            self.numbers.reserve((4 * values).min(EXPECTED_MAX));
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
        self.texts.len() + self.len() * 16 + self.table.len() * 8 + self.numbers.bytes()
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

    fn find_text(&self, hash: u64, text: &str) -> Option<u32> {
        let same = |number: &u32| self.text(*number) == text;
        self.table.find(hash, same).copied()
    }

    /// The number that a value of `other` has here, if it has one.
    pub(crate) fn find(&self, other: &Interner, number: u32) -> Option<u32> {
        match self.of {
            _ if number == NULL => Some(NULL),
            Of::Text => {
                let text = other.text(number);
                match short(text.as_bytes()) {
                    Some(short) => self.numbers.get(short),
                    None => self.find_text(self.hasher.hash_one(text), text),
                }
            }
            Of::Long | Of::Time => self.numbers.get(of_long(other.longs[number as usize])),
        }
    }

    pub(crate) fn number_of_text(&mut self, text: &str) -> u32 {
        match short(text.as_bytes()) {
            Some(short) => {
                self.numbers.number(short, || push(&mut self.texts, &mut self.ends, text))
            }
            None => self.number_of_long_text(text),
        }
    }

    fn number_of_long_text(&mut self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text);
        if let Some(number) = self.find_text(hash, text) {
            return number;
        }
        let number = push(&mut self.texts, &mut self.ends, text);
        let (texts, ends, hasher) = (&self.texts, &self.ends, &self.hasher);
        self.table.insert_unique(hash, number, |n| {
            hasher.hash_one(&texts[ends[*n as usize - 1]..ends[*n as usize]])
        });
        number
    }

    /// The numbers that values of `other` have here.
    pub(crate) fn adopt(&mut self, other: &Interner, numbers: &[u32]) -> Vec<u32> {
        let mut found = vec![NULL; numbers.len()];
        let wanted = numbers.iter().enumerate().filter(|(_, number)| **number != NULL);
        match self.of {
            Of::Text => self
                .texts(wanted.map(|(at, number)| (at, other.text(*number))), |at, number| {
                    found[at] = number
                }),
            Of::Long | Of::Time => {
                let value = |number: &u32| other.longs[*number as usize];
                let values = numbers.iter().map(|n| (*n != NULL).then(|| value(n)));
                found.clear();
                self.longs(values, &mut found);
            }
        }
        found
    }

    /// Calls `each` with the place of each text and its number.
    fn texts<'a>(
        &mut self,
        texts: impl Iterator<Item = (usize, &'a str)>,
        mut each: impl FnMut(usize, u32),
    ) {
        let mut shorts = Shorts::default();
        // Neighbours are often equal: events are sorted by source.
        let mut last = ("", NULL);
        for (at, text) in texts {
            if let Some(short) = short(text.as_bytes()) {
                shorts.keys.push(short);
                shorts.texts.push((at, text));
                if shorts.keys.len() == SHORTS_AT_ONCE {
                    self.shorts(&mut shorts, &mut each);
                }
                continue;
            }
            if last.1 == NULL || last.0 != text {
                last = (text, self.number_of_long_text(text));
            }
            each(at, last.1);
        }
        self.shorts(&mut shorts, &mut each);
    }

    /// The same for short texts that wait for it.
    fn shorts(&mut self, shorts: &mut Shorts<'_>, each: &mut impl FnMut(usize, u32)) {
        let Shorts { keys, texts: waiting } = shorts;
        let (texts, ends) = (&mut self.texts, &mut self.ends);
        let new = |place: usize| push(texts, ends, waiting[place].1);
        self.numbers.each(keys, new, |place, number| each(waiting[place].0, number));
        keys.clear();
        waiting.clear();
    }

    /// Appends the number of each row's value.
    pub(crate) fn rows(&mut self, column: &ArrayRef, numbers: &mut Vec<u32>) {
        let start = numbers.len();
        if column.null_count() == column.len() {
            return numbers.resize(start + column.len(), NULL);
        }
        let nulls = column.logical_nulls();
        let valid = |row: usize| nulls.as_ref().is_none_or(|n| n.is_valid(row));
        let rows = 0..column.len();
        match Values::of(column) {
            Values::Text(texts) => {
                numbers.resize(start + column.len(), NULL);
                let found = &mut numbers[start..];
                let all = rows.filter(|row| valid(*row)).map(|row| (row, texts.value(row)));
                self.texts(all, |row, number| found[row] = number);
            }
            Values::Dictionary(keys, texts) => {
                let key = |row: usize| valid(row).then(|| keys.value(row) as usize);
                let known = self.of_dictionary(texts, rows.clone().filter_map(key));
                numbers.extend(rows.map(|row| key(row).map_or(NULL, |key| known[key])));
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
                self.longs(rows.map(|row| valid(row).then(|| values[row])), numbers);
            }
            Values::Float(_) | Values::Other => numbers.resize(start + column.len(), NULL),
        }
    }

    /// The numbers of a dictionary's texts, of those that some row has at least.
    fn of_dictionary(
        &mut self,
        texts: &StringArray,
        keys: impl Iterator<Item = usize>,
    ) -> Vec<u32> {
        let mut known = match self.dictionary.take() {
            Some((last, known)) if is_same(&last, texts) => known,
            _ => vec![NULL; texts.len()],
        };
        let mut wanted = Vec::new();
        for key in keys {
            if known[key] == NULL {
                known[key] = WANTED;
                wanted.push(key);
            }
        }
        let wanted = wanted.into_iter().map(|key| (key, texts.value(key)));
        self.texts(wanted, |key, number| known[key] = number);
        known
    }

    /// Appends the number of each integer.
    pub(crate) fn longs(
        &mut self,
        values: impl Iterator<Item = Option<i64>>,
        numbers: &mut Vec<u32>,
    ) {
        // Of neighbours, which are often equal, the first is looked for. Until it is found, each
        // row has its place among these, from 1 on.
        let (mut wanted, mut keys) = (Vec::new(), Vec::new());
        let start = numbers.len();
        for value in values {
            let Some(value) = value else {
                numbers.push(NULL);
                continue;
            };
            if wanted.last() != Some(&value) {
                wanted.push(value);
                keys.push(of_long(value));
            }
            numbers.push(wanted.len() as u32);
        }
        let mut found = vec![NULL; wanted.len() + 1];
        let longs = &mut self.longs;
        let new = |place: usize| {
            longs.push(wanted[place]);
            longs.len() as u32 - 1
        };
        self.numbers.each(&keys, new, |place, number| found[place + 1] = number);
        numbers[start..].iter_mut().for_each(|number| *number = found[*number as usize]);
    }
}

/// Puts a text behind the others, and says its number.
fn push(texts: &mut String, ends: &mut Vec<usize>, text: &str) -> u32 {
    texts.push_str(text);
    ends.push(texts.len());
    ends.len() as u32 - 1
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
        assert_eq!(other.adopt(&interner, &[3, 0, 1, 3]), [1, 0, 2, 1]);
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
        assert_eq!(other.adopt(&longs, &[2, 0]), [1, 0]);
        assert_eq!([0, 1, 2].map(|n| other.find(&longs, n)), [Some(0), None, Some(1)]);
    }

    #[test]
    fn short_texts_are_their_bytes_and_length() {
        let all = "0123456789abcdefgh".as_bytes();
        for len in 0..all.len() {
            let mut bytes = [0; 16];
            let expected = (len < 16).then(|| {
                bytes[..len].copy_from_slice(&all[..len]);
                bytes[15] = len as u8 + 1;
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
