//! Numbers for rows: rows with the same values in some columns have the same number.

use std::cmp::Ordering;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use pugmark_event::time::Micros;
use pugmark_query::check::Number;
use pugmark_query::eval::{Cell, order};
use pugmark_query::functions::{UTC, start_of};

use crate::intern::{Interner, NULL, Of};

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
        interner.longs(starts, (0, NULL), numbers);
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
    numbers: HashMap<(u32, u32), u32, RandomState>,
    list: Vec<(u32, u32)>,
}

impl Pairs {
    fn number(&mut self, pair: (u32, u32)) -> u32 {
        let next = self.list.len() as u32;
        let number = *self.numbers.entry(pair).or_insert(next);
        if number == next {
            self.list.push(pair);
        }
        number
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
            + self.pairs.iter().map(|p| p.list.len() * 24).sum::<usize>()
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
            let pairs = &mut self.pairs[place];
            let mut last = None;
            for (number, next) in numbers.iter_mut().zip(&self.scratch) {
                let pair = (*number, *next);
                *number = match last {
                    Some((seen, known)) if seen == pair => known,
                    _ => pairs.number(pair),
                };
                last = Some((pair, *number));
            }
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

    /// The number that what `other` has under a number has here.
    pub(crate) fn adopt(&mut self, other: &Keys, number: u32) -> u32 {
        if let ([key], [others]) = (self.interners.as_mut_slice(), other.interners.as_slice()) {
            return key.adopt(others, number);
        }
        let mut place = 0;
        for (key, number) in other.parts(number).into_iter().enumerate() {
            let number = self.interners[key].adopt(&other.interners[key], number);
            place = match key {
                0 => number,
                _ => self.pairs[key - 1].number((place, number)),
            };
        }
        place
    }

    /// These numbers in the order of the values that they stand for.
    pub(crate) fn sorted(&self, numbers: Vec<u32>) -> Vec<u32> {
        let ranks: Vec<Ranks<'_>> =
            self.interners.iter().map(|key| Ranks::new(key, numbers.len())).collect();
        if let [ranks] = ranks.as_slice() {
            let mut numbers = numbers;
            numbers.sort_unstable_by(|a, b| ranks.order(*a, *b));
            return numbers;
        }
        let with_parts = numbers.into_iter().map(|number| (self.parts(number), number));
        let mut with_parts: Vec<(Vec<u32>, u32)> = with_parts.collect();
        with_parts.sort_unstable_by(|(a, _), (b, _)| {
            let each = ranks.iter().zip(a.iter().zip(b)).map(|(rank, (a, b))| rank.order(*a, *b));
            each.fold(Ordering::Equal, Ordering::then)
        });
        with_parts.into_iter().map(|(_, number)| number).collect()
    }
}

/// The order of values by their numbers.
struct Ranks<'a> {
    interner: &'a Interner,
    /// The number that each text reads as, where that many are compared.
    floats: Vec<Option<f64>>,
}

impl<'a> Ranks<'a> {
    /// For as many comparisons.
    fn new(interner: &'a Interner, compared: usize) -> Self {
        let floats = match interner.of() {
            Of::Text if compared >= interner.len() / 16 => (0..interner.len() as u32)
                .map(|n| Number::parse(interner.text(n)).map(Number::float))
                .collect(),
            Of::Text | Of::Long | Of::Time => Vec::new(),
        };
        Self { interner, floats }
    }

    /// As [`order`] says of the cells, ascending.
    fn order(&self, a: u32, b: u32) -> Ordering {
        if self.floats.is_empty() || a == NULL || b == NULL {
            return order(&self.interner.cell(a), &self.interner.cell(b), false);
        }
        let texts = || self.interner.text(a).cmp(self.interner.text(b));
        match (self.floats[a as usize], self.floats[b as usize]) {
            (Some(x), Some(y)) => x.total_cmp(&y).then_with(texts),
            (None, None) => texts(),
            (x, y) => y.is_some().cmp(&x.is_some()),
        }
    }
}
