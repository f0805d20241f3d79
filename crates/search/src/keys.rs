//! Numbers for rows: rows with the same values in some columns have the same number.

use std::cmp::Ordering;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use pugmark_event::time::Micros;
use pugmark_query::check::Number;
use pugmark_query::eval::Cell;
use pugmark_query::functions::{UTC, start_of};

use crate::intern::{Interner, NULL, Of};
use crate::numbers::Numbers;

/// One of the values that rows are told apart by, and the column that it is in.
#[derive(Debug, Clone)]
pub(crate) enum Key {
    Column(String, Of),
    /// The start of the stretch of so many microseconds in which a time lies.
    Bucket(String, Micros),
}

impl Key {
    /// The column that must be read.
    pub(crate) fn column(&self) -> &String {
        match self {
            Key::Column(column, _) | Key::Bucket(column, _) => column,
        }
    }

    /// What its values are.
    fn of(&self) -> Of {
        match self {
            Key::Column(_, of) => *of,
            Key::Bucket(..) => Of::Time,
        }
    }

    /// The numbers of its values in all rows of a batch.
    fn rows(&self, interner: &mut Interner, batch: &RecordBatch, numbers: &mut Vec<u32>) {
        let Some(column) = batch.column_by_name(self.column()) else {
            return numbers.resize(batch.num_rows(), NULL);
        };
        let Key::Bucket(_, span) = self else { return interner.rows(column, numbers) };
        let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() else {
            return numbers.resize(batch.num_rows(), NULL);
        };
        // Neighbours are often in one bucket; dividing is the dear part.
        let mut bucket = None;
        let starts = times.iter().map(|time| {
            let time = time?;
            let start = match bucket {
                Some(start) if time >= start && time.saturating_sub(start) < *span => start,
                _ => start_of(time, *span, UTC),
            };
            bucket = Some(start);
            Some(start)
        });
        interner.longs(starts, numbers);
    }
}

/// The values of all keys so far.
pub(crate) struct Keys {
    interners: Vec<Interner>,
    /// With two keys or more: the number of a pair of numbers, for each key after the first.
    pairs: Vec<Pairs>,
    scratch: Vec<u32>,
}

/// Numbers for pairs of numbers.
#[derive(Default)]
struct Pairs {
    numbers: Numbers,
    list: Vec<(u32, u32)>,
}

impl Pairs {
    fn bytes(&self) -> usize {
        self.numbers.bytes() + self.list.len() * size_of::<(u32, u32)>()
    }

    /// Makes numbers of pairs of the first numbers.
    fn join(&mut self, firsts: &mut [u32], seconds: &[u32]) {
        // Of neighbours, which are often equal, the first is looked for. Until it is found, each
        // pair has its place among these.
        let (mut wanted, mut keys) = (Vec::new(), Vec::new());
        for (first, second) in firsts.iter_mut().zip(seconds) {
            let pair = (*first, *second);
            if wanted.last() != Some(&pair) {
                wanted.push(pair);
                keys.push(1 << 64 | u128::from(pair.0) << 32 | u128::from(pair.1));
            }
            *first = wanted.len() as u32 - 1;
        }
        let mut found = vec![0; wanted.len()];
        let list = &mut self.list;
        let new = |place: usize| {
            list.push(wanted[place]);
            list.len() as u32 - 1
        };
        self.numbers.each(&keys, new, |place, number| found[place] = number);
        firsts.iter_mut().for_each(|number| *number = found[*number as usize]);
    }
}

impl Keys {
    pub(crate) fn new(keys: &[Key]) -> Self {
        Self {
            interners: keys.iter().map(|key| Interner::new(key.of())).collect(),
            pairs: (1..keys.len()).map(|_| Pairs::default()).collect(),
            scratch: Vec::new(),
        }
    }

    /// Memory in use, about.
    pub(crate) fn bytes(&self) -> usize {
        self.interners.iter().map(Interner::bytes).sum::<usize>()
            + self.pairs.iter().map(Pairs::bytes).sum::<usize>()
    }

    /// How many numbers there are; without keys the only one is 0.
    pub(crate) fn len(&self) -> usize {
        match (self.pairs.last(), self.interners.first()) {
            (Some(pairs), _) => pairs.list.len(),
            (None, Some(interner)) => interner.len(),
            (None, None) => 1,
        }
    }

    /// Makes room for so many values of the only key.
    pub(crate) fn expect(&mut self, values: usize) {
        if let [interner] = self.interners.as_mut_slice() {
            interner.expect(values);
        }
    }

    /// Puts the number of each row of a batch into `numbers`.
    pub(crate) fn rows(&mut self, keys: &[Key], batch: &RecordBatch, numbers: &mut Vec<u32>) {
        numbers.clear();
        let Some((first, others)) = keys.split_first() else {
            return numbers.resize(batch.num_rows(), 0);
        };
        first.rows(&mut self.interners[0], batch, numbers);
        for (place, key) in others.iter().enumerate() {
            self.scratch.clear();
            key.rows(&mut self.interners[place + 1], batch, &mut self.scratch);
            self.pairs[place].join(numbers, &self.scratch);
        }
    }

    /// The numbers of the values that a number stands for, one of each key.
    pub(crate) fn parts(&self, number: u32) -> Vec<u32> {
        let mut parts = Vec::with_capacity(self.interners.len());
        let mut left = number;
        for pairs in self.pairs.iter().rev() {
            let (rest, last) = pairs.list[left as usize];
            parts.push(last);
            left = rest;
        }
        if !self.interners.is_empty() {
            parts.push(left);
        }
        parts.reverse();
        parts
    }

    /// The values that a number stands for.
    pub(crate) fn cells(&self, number: u32) -> impl Iterator<Item = Cell> {
        let parts = self.interners.iter().zip(self.parts(number));
        parts.map(|(interner, number)| interner.cell(number))
    }

    /// True when one of these values is absent.
    pub(crate) fn lacks_one(&self, number: u32) -> bool {
        let mut left = number;
        for pairs in self.pairs.iter().rev() {
            let (rest, last) = pairs.list[left as usize];
            if last == NULL {
                return true;
            }
            left = rest;
        }
        left == NULL && !self.interners.is_empty()
    }

    /// The values of the key at a place, by their numbers.
    pub(crate) fn values(&self, place: usize) -> &Interner {
        &self.interners[place]
    }

    /// The values of the only key.
    pub(crate) fn single(&self) -> Option<&Interner> {
        match self.interners.as_slice() {
            [interner] => Some(interner),
            _ => None,
        }
    }

    /// The numbers that what `other` has under its numbers has here.
    pub(crate) fn adopt(&mut self, other: &Keys, numbers: &[u32]) -> Vec<u32> {
        let mut firsts = numbers.to_vec();
        // Those of each key after the first, from the last on.
        let mut parts = Vec::with_capacity(self.pairs.len());
        for pairs in other.pairs.iter().rev() {
            let pair = |number: &mut u32| {
                let (first, second) = pairs.list[*number as usize];
                *number = first;
                second
            };
            parts.push(firsts.iter_mut().map(pair).collect::<Vec<u32>>());
        }
        let mut keys = self.interners.iter_mut().zip(&other.interners);
        let Some((first, others)) = keys.next() else { return firsts };
        let mut firsts = first.adopt(others, &firsts);
        for (((key, others), pairs), part) in keys.zip(&mut self.pairs).zip(parts.iter().rev()) {
            pairs.join(&mut firsts, &key.adopt(others, part));
        }
        firsts
    }

    /// These numbers in the order of the values that they stand for.
    pub(crate) fn sorted(&self, numbers: Vec<u32>) -> Vec<u32> {
        if let [interner] = self.interners.as_slice() {
            let with_rank = |number| (rank(interner, number), number);
            let mut ranked: Vec<(u128, u32)> = numbers.into_iter().map(with_rank).collect();
            ranked.sort_unstable_by(|(a, of_a), (b, of_b)| {
                a.cmp(b).then_with(|| same_rank(interner, *of_a, *of_b))
            });
            return ranked.into_iter().map(|(_, number)| number).collect();
        }
        let with_parts = numbers.into_iter().map(|number| (self.parts(number), number));
        let mut with_parts: Vec<(Vec<u32>, u32)> = with_parts.collect();
        let ranks: Vec<Vec<u128>> = (0..self.interners.len())
            .map(|key| {
                let interner = &self.interners[key];
                let mut ranks = vec![0; interner.len()];
                for (parts, _) in &with_parts {
                    let number = parts[key];
                    if ranks[number as usize] == 0 {
                        ranks[number as usize] = rank(interner, number);
                    }
                }
                ranks
            })
            .collect();
        let order = |key: usize, a: u32, b: u32| {
            let ranks = &ranks[key];
            let ranked = ranks[a as usize].cmp(&ranks[b as usize]);
            ranked.then_with(|| same_rank(&self.interners[key], a, b))
        };
        with_parts.sort_unstable_by(|(a, _), (b, _)| {
            let each = a.iter().zip(b).enumerate().map(|(key, (a, b))| order(key, *a, *b));
            each.fold(Ordering::Equal, Ordering::then)
        });
        with_parts.into_iter().map(|(_, number)| number).collect()
    }
}

/// A number that goes up with the order of values, as [`pugmark_query::eval::order`] says of their
/// cells: numbers, other texts, no value, in the top bits; then the number itself, or as much of a
/// text as there is room for.
fn rank(interner: &Interner, number: u32) -> u128 {
    const KIND_BITS: u32 = 126;
    let (kind, value) = match interner.cell(number) {
        Cell::Long(long) | Cell::Time(long) => (1, u128::from(long as u64 ^ 1 << 63)),
        Cell::Text(text) => match Number::parse(&text) {
            Some(parsed) => (1, u128::from(ascending(parsed.float()))),
            None => {
                let mut start = [0; 16];
                let len = text.len().min(15);
                start[1..=len].copy_from_slice(&text.as_bytes()[..len]);
                (2, u128::from_be_bytes(start))
            }
        },
        _ => (3, 0),
    };
    kind << KIND_BITS | value
}

/// Bits that go up as `total_cmp` does.
fn ascending(float: f64) -> u64 {
    let bits = float.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// The order of values with one rank.
fn same_rank(interner: &Interner, a: u32, b: u32) -> Ordering {
    match interner.of() {
        Of::Text => interner.text(a).cmp(interner.text(b)),
        Of::Long | Of::Time => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use pugmark_query::eval::order;
    use std::sync::Arc;

    fn keys() -> (Vec<Key>, RecordBatch) {
        let texts = [
            Some("b"),
            None,
            Some("10"),
            Some("9"),
            Some("-3.5"),
            Some(""),
            Some("010"),
            Some("1e1"),
            Some("https://example.com/a"),
            Some("https://example.com/"),
            Some("10.0.0.10"),
            Some("10.0.0.9"),
            Some("0"),
            Some("-0"),
            Some("b\0"),
        ];
        let longs = (0..texts.len() as i64).map(|n| (n % 4 > 0).then(|| (n % 3 - 1) << (n * 4)));
        let columns = [
            ("text", Arc::new(StringArray::from(texts.to_vec())) as ArrayRef, true),
            ("long", Arc::new(longs.collect::<Int64Array>()) as ArrayRef, true),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let key = |name: &str, of| Key::Column(name.to_string(), of);
        (vec![key("text", Of::Text), key("long", Of::Long)], batch)
    }

    #[test]
    fn numbers_are_sorted_as_cells_are_and_adopted_with_them() {
        let (both, batch) = keys();
        for by in [&both[..1], &both[1..], &both[..]] {
            let mut keys = Keys::new(by);
            let mut numbers = Vec::new();
            keys.rows(by, &batch, &mut numbers);
            let cells = |keys: &Keys, number| keys.cells(number).collect::<Vec<Cell>>();
            let mut expected: Vec<Vec<Cell>> = numbers.iter().map(|n| cells(&keys, *n)).collect();
            expected.sort_by(|a, b| {
                let each = a.iter().zip(b).map(|(a, b)| order(a, b, false));
                each.fold(Ordering::Equal, Ordering::then)
            });
            let found = keys.sorted(numbers.clone());
            let found: Vec<Vec<Cell>> = found.into_iter().map(|n| cells(&keys, n)).collect();
            assert_eq!(found, expected);
            let mut other = Keys::new(by);
            let mut some = Vec::new();
            other.rows(by, &batch.slice(3, 5), &mut some);
            let adopted = other.adopt(&keys, &numbers);
            for (there, here) in numbers.iter().zip(&adopted) {
                assert_eq!(cells(&other, *here), cells(&keys, *there));
                assert_eq!(other.lacks_one(*here), keys.lacks_one(*there));
            }
        }
        let (mut none, mut numbers) = (Keys::new(&[]), Vec::new());
        none.rows(&[], &batch, &mut numbers);
        assert_eq!(none.adopt(&Keys::new(&[]), &[0]), [0]);
        assert_eq!((numbers.len(), none.sorted(vec![0])), (batch.num_rows(), vec![0]));
    }
}
