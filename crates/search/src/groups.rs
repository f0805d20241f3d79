//! Figures for groups without DataFusion: counts, sums, extremes and distinct values by few keys.
//!
//! Each thread has groups of its own, and they are merged at the end. Every value is turned into a
//! number once; a group is then a number too, and a count is one addition.

use std::cmp::Ordering;
use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use pugmark_event::fields::{EVENT_TIME, Kind};
use pugmark_event::time::Micros;
use pugmark_query::check::Number;
use pugmark_query::eval::{Cell, order};
use pugmark_query::functions::{UTC, start_of};
use pugmark_query::pipes::Stats;
use pugmark_query::scope::Scope;
use pugmark_query::{Aggregate, Expr, Filter, Function, Named, Pipe, Target, Test};
use pugmark_store::Counts;

use crate::columns;
use crate::intern::{Interner, NULL, Of};
use crate::plan::span_of;
use crate::values::Values;

/// The most frequent groups are merged by themselves when they are at most one in so many.
const CANDIDATES_SHARE: usize = 4;

/// What is grouped and computed.
#[derive(Debug, Clone)]
pub(crate) struct Grouping {
    keys: Vec<Key>,
    figures: Vec<Figure>,
    /// How many of the most frequent groups are wanted, or of the rarest, where that is all.
    top: Option<Top>,
}

#[derive(Debug, Clone, Copy)]
struct Top {
    rows: usize,
    rare: bool,
    /// Whether groups without a key are left out.
    present: bool,
}

impl Top {
    /// What the pipes after the groups leave of them.
    fn of(stats: &Stats, after: &[Pipe]) -> Option<Self> {
        let (present, after) = match after {
            [Pipe::Where(filter), after @ ..] => (Top::is_present(stats, filter)?, after),
            after => (false, after),
        };
        let [Pipe::Sort(keys), Pipe::Head(rows), ..] = after else { return None };
        let [key] = keys.as_slice() else { return None };
        let counts = |figure: &Aggregate| {
            figure.function == Function::Count
                && figure.of.is_none()
                && figure.name() == key.field.typed
        };
        let counted = stats.figures.iter().any(counts);
        counted.then_some(Top { rows: *rows, rare: !key.descending, present })
    }

    /// True when a filter asks for the keys and nothing else.
    fn is_present(stats: &Stats, filter: &Filter) -> Option<bool> {
        let parts = match filter {
            Filter::And(parts) => parts.as_slice(),
            one => std::slice::from_ref(one),
        };
        let asks = |key: &Named| {
            parts.iter().any(|part| {
                matches!(part, Filter::Field(field, Test::Exists) if field.typed == key.name)
            })
        };
        (parts.len() == stats.by.len() && stats.by.iter().all(asks)).then_some(true)
    }
}

#[derive(Debug, Clone)]
enum Key {
    Column(String, Of),
    Bucket(Micros),
}

#[derive(Debug, Clone)]
enum Figure {
    Rows,
    Present(String),
    Sum {
        column: String,
        mean: bool,
    },
    /// Least or greatest number.
    Number {
        column: String,
        greatest: bool,
    },
    /// Least or greatest value of a column.
    Value {
        column: String,
        of: Of,
        greatest: bool,
    },
    Distinct {
        column: String,
        of: Of,
    },
}

impl Grouping {
    /// That of a pipe over events, if it is one that can be done here; `after` are the pipes
    /// behind it.
    pub(crate) fn new(stats: &Stats, after: &[Pipe]) -> Option<Self> {
        Some(Self {
            keys: stats.by.iter().map(|key| Key::of(&key.value)).collect::<Option<_>>()?,
            figures: stats.figures.iter().map(Figure::of).collect::<Option<_>>()?,
            top: Top::of(stats, after),
        })
    }

    /// The columns that must be read.
    pub(crate) fn columns(&self) -> Vec<String> {
        let keys = self.keys.iter().map(|key| match key {
            Key::Column(column, _) => column.clone(),
            Key::Bucket(_) => EVENT_TIME.column().to_string(),
        });
        let figures = self.figures.iter().filter_map(|figure| figure.column().cloned());
        let mut names: Vec<String> = keys.chain(figures).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// True when nothing but the number of rows is asked for.
    pub(crate) fn is_count(&self) -> bool {
        self.keys.is_empty() && self.figures.iter().all(|f| matches!(f, Figure::Rows))
    }

    /// The column of which nothing but the rows of each value is asked for.
    pub(crate) fn counted(&self) -> Option<&str> {
        let only_rows = self.figures.iter().all(|figure| matches!(figure, Figure::Rows));
        match self.keys.as_slice() {
            [Key::Column(column, Of::Text | Of::Long)] if only_rows => Some(column),
            _ => None,
        }
    }
}

/// What the cells of a field are; bytes are left to the general path.
fn of_target(target: &Target) -> Option<Of> {
    match target {
        Target::Attribute(_) => Some(Of::Text),
        Target::Column(id) => match id.field().kind {
            Kind::Text | Kind::Ip => Some(Of::Text),
            Kind::Long => Some(Of::Long),
            Kind::Time => Some(Of::Time),
            Kind::Bytes => None,
        },
    }
}

impl Key {
    fn of(value: &Expr) -> Option<Self> {
        if let Some((field, span)) = span_of(value, &Scope::events()) {
            let is_time = field.target == Target::Column(EVENT_TIME);
            return is_time.then_some(Key::Bucket(span));
        }
        let field = value.field()?;
        Some(Key::Column(columns::name(&field.target), of_target(&field.target)?))
    }
}

impl Figure {
    fn of(figure: &Aggregate) -> Option<Self> {
        let Some(of) = &figure.of else {
            return (figure.function == Function::Count).then_some(Figure::Rows);
        };
        let field = of.field()?;
        let (column, of) = (columns::name(&field.target), of_target(&field.target)?);
        let number = matches!(field.target, Target::Attribute(_));
        let greatest = figure.function == Function::Max;
        Some(match figure.function {
            Function::Count => Figure::Present(column),
            Function::Sum => Figure::Sum { column, mean: false },
            Function::Avg => Figure::Sum { column, mean: true },
            Function::Min | Function::Max if number => Figure::Number { column, greatest },
            Function::Min | Function::Max => Figure::Value { column, of, greatest },
            Function::Distinct => Figure::Distinct { column, of },
            // Exact percentiles and lists hold all values; the general path estimates, or may use
            // temporary files. Order by time is kept there too.
            Function::Percentile(_)
            | Function::First
            | Function::Last
            | Function::Stdev
            | Function::Values
            | Function::Rate(_) => return None,
        })
    }

    fn column(&self) -> Option<&String> {
        match self {
            Figure::Rows => None,
            Figure::Present(column)
            | Figure::Sum { column, .. }
            | Figure::Number { column, .. }
            | Figure::Value { column, .. }
            | Figure::Distinct { column, .. } => Some(column),
        }
    }
}

/// Groups so far.
pub(crate) struct Groups {
    keys: Vec<Interner>,
    /// With two keys or more: the number of a pair of numbers, for each key after the first.
    pairs: Vec<Pairs>,
    /// Rows of each group.
    rows: Vec<u64>,
    states: Vec<State>,
    scratch: [Vec<u32>; 2],
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

enum State {
    Rows,
    Present(Vec<u64>),
    Sum(Vec<(f64, u64)>),
    Number(Vec<Option<f64>>),
    /// Least or greatest so far as a number of the interner.
    Value(Interner, Vec<u32>),
    Distinct(Interner, HashSet<(u32, u32), RandomState>),
}

impl State {
    fn new(figure: &Figure) -> Self {
        match figure {
            Figure::Rows => State::Rows,
            Figure::Present(_) => State::Present(Vec::new()),
            Figure::Sum { .. } => State::Sum(Vec::new()),
            Figure::Number { .. } => State::Number(Vec::new()),
            Figure::Value { of, .. } => State::Value(Interner::new(*of), Vec::new()),
            Figure::Distinct { of, .. } => State::Distinct(Interner::new(*of), HashSet::default()),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            State::Rows => 0,
            State::Present(list) => list.len() * 8,
            State::Sum(list) => list.len() * 16,
            State::Number(list) => list.len() * 16,
            State::Value(interner, list) => interner.bytes() + list.len() * 4,
            State::Distinct(interner, set) => interner.bytes() + set.len() * 16,
        }
    }
}

impl Groups {
    pub(crate) fn new(grouping: &Grouping) -> Self {
        let of = |key: &Key| match key {
            Key::Column(_, of) => *of,
            Key::Bucket(_) => Of::Time,
        };
        let pairs = grouping.keys.len().saturating_sub(1);
        Self {
            keys: grouping.keys.iter().map(|key| Interner::new(of(key))).collect(),
            pairs: (0..pairs).map(|_| Pairs::default()).collect(),
            rows: Vec::new(),
            states: grouping.figures.iter().map(State::new).collect(),
            scratch: Default::default(),
        }
    }

    /// Memory in use, about.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.iter().map(Interner::bytes).sum::<usize>()
            + self.pairs.iter().map(|p| p.list.len() * 24).sum::<usize>()
            + self.rows.len() * 8
            + self.states.iter().map(State::bytes).sum::<usize>()
    }

    /// Counts rows of which nothing else is asked.
    pub(crate) fn add_rows(&mut self, rows: u64) {
        self.grow(1);
        self.rows[0] += rows;
    }

    /// Takes in rows counted by the value of the only key, of which nothing else is asked.
    pub(crate) fn add_counts(&mut self, counts: &Counts) {
        let [mut numbers, other] = std::mem::take(&mut self.scratch);
        numbers.clear();
        let Some(interner) = self.keys.first_mut() else { return };
        interner.expect(counts.values.len());
        interner.rows(&counts.values, &mut numbers);
        let groups = interner.len();
        self.grow(groups);
        for (number, rows) in numbers.iter().zip(&counts.rows) {
            self.rows[*number as usize] += u64::from(*rows);
        }
        self.rows[NULL as usize] += counts.nulls;
        self.scratch = [numbers, other];
    }

    fn grow(&mut self, groups: usize) {
        if self.rows.len() < groups {
            self.rows.resize(groups, 0);
        }
    }

    /// Takes in a batch that has the grouping's columns.
    pub(crate) fn add(&mut self, grouping: &Grouping, batch: &RecordBatch) {
        let [mut groups, mut numbers] = std::mem::take(&mut self.scratch);
        groups.clear();
        if grouping.keys.is_empty() {
            groups.resize(batch.num_rows(), 0);
            self.grow(1);
        }
        for (place, key) in grouping.keys.iter().enumerate() {
            let target = if place == 0 { &mut groups } else { &mut numbers };
            target.clear();
            number_rows(key, &mut self.keys[place], batch, target);
            if place > 0 {
                let pairs = &mut self.pairs[place - 1];
                let mut last = None;
                for (group, number) in groups.iter_mut().zip(&numbers) {
                    let pair = (*group, *number);
                    *group = match last {
                        Some((seen, known)) if seen == pair => known,
                        _ => pairs.number(pair),
                    };
                    last = Some((pair, *group));
                }
            }
        }
        let count = match (self.pairs.last(), self.keys.first()) {
            (Some(pairs), _) => pairs.list.len(),
            (None, Some(interner)) => interner.len(),
            (None, None) => 1,
        };
        self.grow(count);
        for group in &groups {
            self.rows[*group as usize] += 1;
        }
        for (figure, state) in grouping.figures.iter().zip(&mut self.states) {
            let column = figure.column().and_then(|name| batch.column_by_name(name));
            if let Some(column) = column {
                state.add(figure, column, &groups, count);
            }
        }
        self.scratch = [groups, numbers];
    }

    /// The numbers of the keys of a group.
    fn parts(&self, group: u32) -> Vec<u32> {
        let mut parts = Vec::with_capacity(self.keys.len());
        let mut left = group;
        for pairs in self.pairs.iter().rev() {
            let (rest, last) = pairs.list[left as usize];
            parts.push(last);
            left = rest;
        }
        if !self.keys.is_empty() {
            parts.push(left);
        }
        parts.reverse();
        parts
    }

    /// True when the group has no value in one of its keys.
    fn lacks_key(&self, group: u32) -> bool {
        let mut left = group;
        for pairs in self.pairs.iter().rev() {
            let (rest, last) = pairs.list[left as usize];
            if last == NULL {
                return true;
            }
            left = rest;
        }
        left == NULL
    }

    /// Keeps the groups that may be among the first `rows` by their counts alone: those that have
    /// as many as the last of these.
    fn cut(&self, groups: &mut Vec<u32>, rows: usize, rare: bool) {
        if rows == 0 || rows >= groups.len() {
            return;
        }
        let turned = |count: u64| if rare { count } else { u64::MAX - count };
        let mut counts: Vec<u64> =
            groups.iter().map(|group| turned(self.rows[*group as usize])).collect();
        let last = *counts.select_nth_unstable(rows - 1).1;
        groups.retain(|group| turned(self.rows[*group as usize]) <= last);
    }

    /// The number that a group of another thread has here.
    fn adopt(&mut self, other: &Groups, group: u32) -> u32 {
        if let ([key], [others]) = (self.keys.as_mut_slice(), other.keys.as_slice()) {
            return key.adopt(others, group);
        }
        let mut place = 0;
        for (key, number) in other.parts(group).into_iter().enumerate() {
            let number = self.keys[key].adopt(&other.keys[key], number);
            place = match key {
                0 => number,
                _ => self.pairs[key - 1].number((place, number)),
            };
        }
        place
    }

    /// Takes in the groups of another thread.
    pub(crate) fn merge(&mut self, grouping: &Grouping, other: &Groups) {
        let mut places = vec![u32::MAX; other.rows.len()];
        for (group, rows) in other.rows.iter().enumerate().filter(|(_, rows)| **rows > 0) {
            let place = self.adopt(other, group as u32);
            self.grow(place as usize + 1);
            self.rows[place as usize] += rows;
            places[group] = place;
        }
        let count = self.rows.len();
        for ((figure, state), other) in
            grouping.figures.iter().zip(&mut self.states).zip(&other.states)
        {
            state.merge(figure, other, &places, count);
        }
    }

    /// The groups of all threads that may be among the most frequent, with their rows over all.
    /// `None` for any other question, or when too few groups can be left out.
    ///
    /// A group has in one of `n` shares at least an n-th of its rows. What has less than that of
    /// the last of the first groups of any share is therefore none of the first over all, and most
    /// groups need not be looked up in other shares (Cao and Wang, Efficient top-K query
    /// calculation in distributed networks, PODC 2004).
    pub(crate) fn most_frequent(grouping: &Grouping, shares: &[&Groups]) -> Option<Groups> {
        // Which groups are among the first is known of those with a key alone.
        let (Some(Top { rows: first, rare: false, present: true }), Some(_)) =
            (grouping.top, grouping.counted())
        else {
            return None;
        };
        let last = shares.iter().map(|share| share.last_of_first(first)).max()?;
        let rows_min = last.div_ceil(shares.len() as u64);
        let candidates = |share: &&Groups| share.with_key(rows_min).count();
        let all: usize = shares.iter().map(|share| share.rows.len()).sum();
        if rows_min == 0 || CANDIDATES_SHARE * shares.iter().map(candidates).sum::<usize>() > all {
            return None;
        }
        let mut merged = Groups::new(grouping);
        let [key] = merged.keys.as_mut_slice() else { return None };
        for share in shares {
            for group in share.with_key(rows_min) {
                key.adopt(&share.keys[0], group);
            }
        }
        // A thread that had nothing to do has not even the group without a value.
        let rows_in = |share: &Groups, group| {
            let there = share.keys[0].find(key, group)?;
            share.rows.get(there as usize).copied()
        };
        merged.rows = (0..key.len() as u32)
            .map(|group| shares.iter().filter_map(|share| rows_in(share, group)).sum())
            .collect();
        Some(merged)
    }

    /// Groups of a single key that have a value, and so many rows.
    fn with_key(&self, rows_min: u64) -> impl Iterator<Item = u32> {
        let groups = self.rows.iter().enumerate().skip(NULL as usize + 1);
        groups.filter(move |(_, rows)| **rows >= rows_min).map(|(group, _)| group as u32)
    }

    /// Rows of the last of the most frequent groups of a single key; 0 if there are fewer.
    fn last_of_first(&self, first: usize) -> u64 {
        let mut rows: Vec<u64> = self.rows.iter().skip(NULL as usize + 1).copied().collect();
        match first.checked_sub(1).filter(|place| *place < rows.len()) {
            Some(place) => *rows.select_nth_unstable_by(place, |a, b| b.cmp(a)).1,
            None => 0,
        }
    }

    /// The rows of the table: in the order of the keys, or the most frequent first.
    pub(crate) fn finish(mut self, grouping: &Grouping) -> Vec<Vec<Cell>> {
        if grouping.keys.is_empty() {
            self.grow(1);
        }
        let mut found: Vec<u32> = (0..self.rows.len() as u32)
            .filter(|g| self.rows[*g as usize] > 0 || grouping.keys.is_empty())
            .collect();
        if let Some(Top { rows, rare, present }) = grouping.top {
            found.retain(|group| !present || !self.lacks_key(*group));
            self.cut(&mut found, rows, rare);
        }
        let ranks: Vec<Ranks<'_>> =
            self.keys.iter().map(|key| Ranks::new(key, found.len())).collect();
        let mut groups: Vec<(u32, Vec<u32>)> =
            found.into_iter().map(|group| (group, self.parts(group))).collect();
        let by_keys = |a: &[u32], b: &[u32]| {
            let each = ranks.iter().zip(a.iter().zip(b)).map(|(rank, (a, b))| rank.order(*a, *b));
            each.fold(Ordering::Equal, Ordering::then)
        };
        groups.sort_unstable_by(|a, b| by_keys(&a.1, &b.1));
        let mut distinct: Vec<Option<Vec<i64>>> = Vec::new();
        for state in &self.states {
            distinct.push(state.distinct(self.rows.len()));
        }
        let row = |(group, parts): (u32, Vec<u32>)| {
            let keys = self.keys.iter().zip(parts).map(|(key, number)| key.cell(number));
            let states = self.states.iter().zip(&grouping.figures).zip(&distinct);
            let figures = states.map(|((state, figure), distinct)| match distinct {
                Some(counts) => Cell::Long(counts[group as usize]),
                None => state.cell(figure, group as usize, self.rows[group as usize]),
            });
            keys.chain(figures).collect()
        };
        groups.into_iter().map(row).collect()
    }
}

/// The numbers of one key for all rows of a batch.
fn number_rows(key: &Key, interner: &mut Interner, batch: &RecordBatch, numbers: &mut Vec<u32>) {
    match key {
        Key::Column(name, _) => match batch.column_by_name(name) {
            Some(column) => interner.rows(column, numbers),
            None => numbers.resize(batch.num_rows(), NULL),
        },
        Key::Bucket(span) => {
            let times = batch.column_by_name(EVENT_TIME.column());
            let times = times.and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
            let Some(times) = times else { return numbers.resize(batch.num_rows(), NULL) };
            // Neighbours are often in one bucket; dividing is the dear part.
            let mut bucket = None;
            let starts = times.values().iter().map(|time| {
                let start = match bucket {
                    Some(start) if *time >= start && time.saturating_sub(start) < *span => start,
                    _ => start_of(*time, *span, UTC),
                };
                bucket = Some(start);
                Some(start)
            });
            interner.longs(starts, (0, NULL), numbers);
        }
    }
}

/// The order of values by their numbers.
struct Ranks<'a> {
    interner: &'a Interner,
    /// The number that each text reads as, where that many are compared.
    floats: Vec<Option<f64>>,
}

impl<'a> Ranks<'a> {
    /// For as many groups.
    fn new(interner: &'a Interner, groups: usize) -> Self {
        let floats = match interner.of() {
            Of::Text if groups >= interner.len() / 16 => (0..interner.len() as u32)
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

/// The number in each row, where there is one.
fn numbers(column: &ArrayRef) -> Vec<Option<f64>> {
    let nulls = column.logical_nulls();
    let valid = |row: &usize| nulls.as_ref().is_none_or(|n| n.is_valid(*row));
    let read = |text: &str| Number::parse(text).map(Number::float);
    let rows = 0..column.len();
    match Values::of(column) {
        Values::Text(texts) => {
            rows.map(|r| Some(r).filter(valid).and_then(|r| read(texts.value(r)))).collect()
        }
        Values::Dictionary(keys, texts) => {
            let each: Vec<Option<f64>> = (0..texts.len())
                .map(|i| texts.is_valid(i).then(|| read(texts.value(i)))?)
                .collect();
            rows.map(|r| Some(r).filter(valid).and_then(|r| each[keys.value(r) as usize])).collect()
        }
        Values::Long(values) => {
            rows.map(|r| Some(r).filter(valid).map(|r| values[r] as f64)).collect()
        }
        Values::Time(_) | Values::Other => vec![None; column.len()],
    }
}

fn better_number(old: Option<f64>, new: f64, greatest: bool) -> Option<f64> {
    let turned = |o: Ordering| if greatest { o.reverse() } else { o };
    Some(old.filter(|old| turned(old.total_cmp(&new)).is_le()).unwrap_or(new))
}

fn better(interner: &Interner, old: u32, new: u32, greatest: bool) -> u32 {
    if old == NULL || new == NULL || old == new {
        return old.max(new);
    }
    // Texts by their bytes, whatever numbers they may be.
    let ascending = match (interner.cell(old), interner.cell(new)) {
        (Cell::Text(old), Cell::Text(new)) => old.cmp(&new),
        (old, new) => order(&old, &new, false),
    };
    let keep = if greatest { ascending.is_ge() } else { ascending.is_le() };
    if keep { old } else { new }
}

impl State {
    fn add(&mut self, figure: &Figure, column: &ArrayRef, groups: &[u32], count: usize) {
        match (self, figure) {
            (State::Present(counts), _) => {
                counts.resize(count, 0);
                let nulls = column.logical_nulls();
                for (row, group) in groups.iter().enumerate() {
                    counts[*group as usize] +=
                        u64::from(nulls.as_ref().is_none_or(|n| n.is_valid(row)));
                }
            }
            (State::Sum(sums), _) => {
                sums.resize(count, (0.0, 0));
                for (number, group) in numbers(column).into_iter().zip(groups) {
                    let Some(number) = number else { continue };
                    let sum = &mut sums[*group as usize];
                    *sum = (sum.0 + number, sum.1 + 1);
                }
            }
            (State::Number(best), Figure::Number { greatest, .. }) => {
                best.resize(count, None);
                for (number, group) in numbers(column).into_iter().zip(groups) {
                    let Some(number) = number else { continue };
                    let best = &mut best[*group as usize];
                    *best = better_number(*best, number, *greatest);
                }
            }
            (State::Value(interner, best), Figure::Value { greatest, .. }) => {
                best.resize(count, NULL);
                let mut numbers = Vec::with_capacity(groups.len());
                interner.rows(column, &mut numbers);
                for (number, group) in numbers.into_iter().zip(groups) {
                    let best = &mut best[*group as usize];
                    *best = better(interner, *best, number, *greatest);
                }
            }
            (State::Distinct(interner, seen), _) => {
                let mut numbers = Vec::with_capacity(groups.len());
                interner.rows(column, &mut numbers);
                let mut last = (u32::MAX, NULL);
                for (number, group) in numbers.into_iter().zip(groups) {
                    if number != NULL && last != (*group, number) {
                        last = (*group, number);
                        seen.insert(last);
                    }
                }
            }
            (State::Rows | State::Number(_) | State::Value(..), _) => {}
        }
    }

    fn merge(&mut self, figure: &Figure, other: &State, places: &[u32], count: usize) {
        let place =
            |group: usize| places.get(group).filter(|p| **p != u32::MAX).map(|p| *p as usize);
        match (self, other, figure) {
            (State::Present(ours), State::Present(theirs), _) => {
                ours.resize(count, 0);
                for (group, more) in theirs.iter().enumerate() {
                    place(group).into_iter().for_each(|p| ours[p] += more);
                }
            }
            (State::Sum(ours), State::Sum(theirs), _) => {
                ours.resize(count, (0.0, 0));
                for (group, more) in theirs.iter().enumerate() {
                    let Some(p) = place(group) else { continue };
                    ours[p] = (ours[p].0 + more.0, ours[p].1 + more.1);
                }
            }
            (State::Number(ours), State::Number(theirs), Figure::Number { greatest, .. }) => {
                ours.resize(count, None);
                for (group, number) in theirs.iter().enumerate() {
                    let (Some(p), Some(number)) = (place(group), number) else { continue };
                    ours[p] = better_number(ours[p], *number, *greatest);
                }
            }
            (
                State::Value(interner, ours),
                State::Value(from, theirs),
                Figure::Value { greatest, .. },
            ) => {
                ours.resize(count, NULL);
                for (group, number) in theirs.iter().enumerate() {
                    let Some(p) = place(group) else { continue };
                    let number = interner.adopt(from, *number);
                    ours[p] = better(interner, ours[p], number, *greatest);
                }
            }
            (State::Distinct(interner, ours), State::Distinct(from, theirs), _) => {
                // In any order: a set comes of it.
                let moved = theirs.iter().filter_map(|(group, number)| {
                    Some((place(*group as usize)? as u32, interner.adopt(from, *number)))
                });
                ours.extend(moved);
            }
            _ => {}
        }
    }

    /// The number of distinct values of each group, if that is what this counts.
    fn distinct(&self, groups: usize) -> Option<Vec<i64>> {
        let State::Distinct(_, seen) = self else { return None };
        let mut counts = vec![0; groups];
        seen.iter().for_each(|(group, _)| counts[*group as usize] += 1);
        Some(counts)
    }

    fn cell(&self, figure: &Figure, group: usize, rows: u64) -> Cell {
        match self {
            State::Rows => Cell::Long(rows as i64),
            State::Present(counts) => Cell::Long(counts.get(group).map_or(0, |n| *n as i64)),
            State::Sum(sums) => match (sums.get(group), figure) {
                (None | Some((_, 0)), _) => Cell::Null,
                (Some((sum, count)), Figure::Sum { mean: true, .. }) => {
                    Cell::Float(sum / *count as f64)
                }
                (Some((sum, _)), _) => Cell::Float(*sum),
            },
            State::Number(best) => {
                best.get(group).copied().flatten().map_or(Cell::Null, Cell::Float)
            }
            State::Value(interner, best) => {
                best.get(group).map_or(Cell::Null, |number| interner.cell(*number))
            }
            State::Distinct(..) => Cell::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;
    use arrow::compute::cast;
    use arrow::datatypes::{DataType, Field, Schema};
    use pugmark_event::{Batch, BatchBuilder, Value};
    use pugmark_query::Plan;
    use pugmark_query::eval::{self, Nothing, Rows, World};
    use std::sync::Arc;

    const NOW: Micros = 1_795_428_000_000_000;

    fn events(seed: i64) -> Batch {
        let mut b = BatchBuilder::new("s", NOW + 1_000_000_000);
        for id in 0..200i64 {
            let mixed = (id * 7919 + seed * 104_729) % 1009;
            b.begin(seed * 1000 + id, b"raw");
            if mixed % 5 > 0 {
                b.named("user.name", Value::Text(["root", "Bob", "9", "10"][mixed as usize % 4]));
            }
            if mixed % 3 > 0 {
                b.named("source.port", Value::Text(&(mixed % 6 * 100).to_string()));
            }
            b.named("log.level", Value::Text(if mixed % 2 == 0 { "info" } else { "warn" }));
            b.end(Some(NOW + mixed * 1_000_000));
        }
        b.finish().unwrap()
    }

    /// The batch with its text columns as dictionaries.
    fn dictionaries(batch: &RecordBatch) -> RecordBatch {
        let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let columns: Vec<ArrayRef> = batch
            .columns()
            .iter()
            .map(|c| match c.data_type() {
                DataType::Utf8 => cast(c, &kind).unwrap(),
                _ => c.clone(),
            })
            .collect();
        let fields: Vec<Field> = batch
            .schema()
            .fields()
            .iter()
            .zip(&columns)
            .map(|(f, c)| Field::new(f.name(), c.data_type().clone(), true))
            .collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    fn grouping(plan: &Plan) -> Option<Grouping> {
        match plan.pipes.as_slice() {
            [Pipe::Stats(stats), after @ ..] => Grouping::new(stats, after),
            _ => None,
        }
    }

    /// Plain text, dictionaries, one thread and two all answer as the evaluator does.
    #[track_caller]
    fn check(query: &str) {
        let plan = pugmark_query::parse(query).unwrap_or_else(|e| panic!("{query}: {e:?}"));
        let batches: Vec<Batch> = (0..4).map(events).collect();
        let world = World { batches: &batches, tables: &Nothing, from: None, to: None, now: 0 };
        let expected = eval::run(&plan, &world, None).unwrap().rows;
        let grouping = grouping(&plan).unwrap();
        let (mut one, mut two) = (Groups::new(&grouping), Groups::new(&grouping));
        for (i, batch) in batches.iter().enumerate() {
            let columns = batch.columns();
            let columns = if i % 2 == 0 { columns.clone() } else { dictionaries(columns) };
            if i < 2 { &mut one } else { &mut two }.add(&grouping, &columns);
        }
        one.merge(&grouping, &two);
        assert!(one.bytes() > 0);
        let rows =
            Rows::of_table(plan.pipes[0].scope(Scope::events()).columns, one.finish(&grouping));
        let found = eval::after(&plan, 1, rows, &Nothing).unwrap();
        assert_eq!(found.rows, expected, "{query}");
    }

    #[test]
    fn figures_are_those_of_the_evaluator() {
        check("* | stats count()");
        check("* | stats count() by user.name");
        check("* | stats count(), count(user), dc(user), min(user), max(user) by source.port");
        check("* | stats sum(source.port), avg(source.port), min(source.port), dc(source.port)");
        check("* | stats count() by user.name, source.port, log.level");
        check(
            "* | stats min(@timestamp), max(absent), sum(absent), dc(absent) by log.level, absent",
        );
        check("* | timechart span=1m count(), max(source.port) by user.name");
        check("* | timechart span=7s count()");
        check("* | top 2 user.name");
        check("* | top 50 user.name, source.port");
        check("* | rare 3 source.port");
    }

    /// The groups of a share in which value `v` of `values` comes about `rows / v` times.
    fn share(grouping: &Grouping, values: u64, rows: u64, seed: u64) -> Groups {
        let rows_of = |v: u64| ((rows + v.wrapping_mul(seed) % 7) / (1 + (v ^ (seed % 3)))) as u32;
        let texts = (0..values).map(|v| Some(v.to_string())).collect::<StringArray>();
        let (values, rows) = (Arc::new(texts), (0..values).map(rows_of).collect());
        let mut groups = Groups::new(grouping);
        groups.add_counts(&Counts { values, rows, nulls: 9999 });
        groups
    }

    #[test]
    fn the_most_frequent_are_found_without_the_others() {
        // Three threads, and one that had nothing to do.
        let check = |query: &str, values: u64, rows: u64, few: bool| {
            let plan = pugmark_query::parse(query).unwrap();
            let grouping = grouping(&plan).unwrap();
            let shares = || (0..3).map(|i| share(&grouping, values + i, rows, 7919 * i + 1));
            let mut all = Groups::new(&grouping);
            shares().for_each(|share| all.merge(&grouping, &share));
            let idle = Groups::new(&grouping);
            let shares: Vec<Groups> = shares().chain([idle]).collect();
            let first = Groups::most_frequent(&grouping, &shares.iter().collect::<Vec<_>>());
            assert_eq!(first.is_some(), few, "{query} of {values}");
            if let Some(first) = first {
                assert!(first.rows.len() < all.rows.len() / 2);
                assert_eq!(first.finish(&grouping), all.finish(&grouping), "{query} of {values}");
            }
        };
        for rows in [100, 1000, 10_000] {
            check("* | top 10 user.name", 500, rows, true);
            check("* | top 1 user.name", 500, rows, true);
        }
        check("* | top 10 user.name", 500, 1, false);
        check("* | top 400 user.name", 500, 1000, false);
        check("* | top 10 user.name", 9, 1000, false);
        check("* | rare 10 user.name", 500, 1000, false);
        check("* | stats count() by user.name", 500, 1000, false);
    }

    #[test]
    fn nothing_is_one_row_only_without_keys() {
        for (query, rows) in [("* | stats count(), max(x)", 1), ("* | stats count() by x", 0)] {
            let plan = pugmark_query::parse(query).unwrap();
            let grouping = grouping(&plan).unwrap();
            assert_eq!(Groups::new(&grouping).finish(&grouping).len(), rows, "{query}");
        }
    }

    #[test]
    fn what_is_left_to_the_general_way() {
        for query in ["* | stats p95(x)", "* | stats first(x)", "* | head 3", "* | fields x"] {
            let plan = pugmark_query::parse(query).unwrap();
            assert!(grouping(&plan).is_none(), "{query}");
        }
    }
}
