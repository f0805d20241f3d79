//! Figures for groups without DataFusion: counts, sums, extremes and distinct values by few keys.
//!
//! Each thread has groups of its own, and they are merged at the end. Every value is turned into a
//! number once; a group is then a number too, and a count is one addition.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use foldhash::fast::RandomState;
use pugmark_event::fields::Kind;
use pugmark_query::check::Number;
use pugmark_query::eval::{Cell, Shape, order};
use pugmark_query::pipes::Stats;
use pugmark_query::plan::is_attribute;
use pugmark_query::scope::Place;
use pugmark_query::{Aggregate, Expr, Filter, Function, Named, Pipe, Target, Test};
use pugmark_store::Counts;

use crate::estimate::Estimate;
use crate::intern::{Interner, NULL, Of};
use crate::keys::{Key, Keys};
use crate::plan::span_of;
use crate::steps::Steps;
use crate::values::Values;

/// The column that says for how many rows each row of a batch stands; one where there is none.
const WEIGHT: &str = "weight";
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
    /// The number below which so many percent lie, estimated.
    Percentile {
        column: String,
        percent: u8,
    },
}

impl Grouping {
    /// That of a pipe over the rows behind `steps`, if it is one that can be done here; what it
    /// computes of each row becomes a step. `after` are the pipes behind it.
    pub(crate) fn new(stats: &Stats, after: &[Pipe], steps: &mut Steps) -> Option<Self> {
        let keys = stats.by.iter().map(|key| key_of(&key.value, steps));
        let keys = keys.collect::<Option<_>>()?;
        let figures = stats.figures.iter().map(|figure| Figure::of(figure, steps));
        Some(Self { keys, figures: figures.collect::<Option<_>>()?, top: Top::of(stats, after) })
    }

    /// The columns that it looks at.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &String> {
        self.keys.iter().map(Key::column).chain(self.figures.iter().filter_map(Figure::column))
    }

    /// True when rows with the same values may be given once, with their number.
    pub(crate) fn takes_weights(&self) -> bool {
        // Sums of fractions depend on how they are added up.
        !self.figures.iter().any(|f| matches!(f, Figure::Sum { .. } | Figure::Percentile { .. }))
    }

    /// True when nothing but the number of rows is asked for.
    pub(crate) fn is_count(&self) -> bool {
        self.keys.is_empty() && self.figures.iter().all(|f| matches!(f, Figure::Rows))
    }

    /// True when nothing but the rows of each value of a column is asked for.
    fn is_count_of_values(&self) -> bool {
        let only_rows = self.figures.iter().all(|figure| matches!(figure, Figure::Rows));
        only_rows && matches!(self.keys.as_slice(), [Key::Column(_, Of::Text | Of::Long)])
    }
}

/// What the cells of a value are; what cannot be told apart by numbers is left to the general path.
fn of_value(value: &Expr, steps: &Steps) -> Option<Of> {
    let scope = steps.names().scope();
    if let Some(Place::Event(Target::Column(id))) = value.field().map(|field| scope.find(field))
        && id.field().kind == Kind::Bytes
    {
        return None;
    }
    match value.shape(scope) {
        Shape::Text => Some(Of::Text),
        Shape::Long => Some(Of::Long),
        Shape::Time => Some(Of::Time),
        Shape::Float | Shape::Bool => None,
    }
}

pub(crate) fn key_of(value: &Expr, steps: &mut Steps) -> Option<Key> {
    if let Some((field, span)) = span_of(value, steps.names().scope()) {
        let field = Expr::Field(field.clone());
        return Some(Key::Bucket(steps.column(&field)?, span));
    }
    let of = of_value(value, steps)?;
    Some(Key::Column(steps.column(value)?, of))
}

impl Figure {
    fn of(figure: &Aggregate, steps: &mut Steps) -> Option<Self> {
        let Some(value) = &figure.of else {
            return (figure.function == Function::Count).then_some(Figure::Rows);
        };
        let scope = steps.names().scope();
        let float = value.shape(scope) == Shape::Float;
        let number = is_attribute(value, scope) || float;
        let of = of_value(value, steps);
        if of.is_none() && !float {
            return None;
        }
        let greatest = figure.function == Function::Max;
        let column = |steps: &mut Steps| steps.column(value);
        Some(match figure.function {
            Function::Count => Figure::Present(column(steps)?),
            Function::Sum => Figure::Sum { column: column(steps)?, mean: false },
            Function::Avg => Figure::Sum { column: column(steps)?, mean: true },
            Function::Min | Function::Max if number => {
                Figure::Number { column: column(steps)?, greatest }
            }
            Function::Min | Function::Max => {
                Figure::Value { of: of?, column: column(steps)?, greatest }
            }
            Function::Distinct => Figure::Distinct { of: of?, column: column(steps)? },
            Function::Percentile(percent) => Figure::Percentile { column: column(steps)?, percent },
            // Lists hold all values; the general path may use temporary files. Order by time is
            // kept there too.
            Function::First
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
            | Figure::Distinct { column, .. }
            | Figure::Percentile { column, .. } => Some(column),
        }
    }
}

/// Groups so far.
pub(crate) struct Groups {
    keys: Keys,
    /// Rows of each group.
    rows: Vec<u64>,
    states: Vec<State>,
    scratch: Vec<u32>,
}

/// Values of one column, each once, as rows that stand for as many as have them.
///
/// # Errors
/// When Arrow cannot build the columns.
pub(crate) fn weighted(column: &str, counts: &Counts) -> Result<RecordBatch, ArrowError> {
    // No row may be without a value; then null is no value of these.
    let len = counts.rows.len() - usize::from(counts.rows.last() == Some(&0));
    let weights = counts.rows[..len].iter().map(|rows| i64::from(*rows));
    let weights: ArrayRef = Arc::new(Int64Array::from_iter_values(weights));
    let values = counts.values.slice(0, len);
    RecordBatch::try_from_iter_with_nullable([(column, values, true), (WEIGHT, weights, false)])
}

/// Distinct pairs of a group and the number of a value.
#[derive(Default)]
struct Seen {
    /// Those of the first group, which is the only one where there are no keys: whether the value
    /// of each number is there.
    first: Vec<bool>,
    others: HashSet<(u32, u32), RandomState>,
}

impl Seen {
    fn insert(&mut self, group: u32, number: u32) {
        if group > 0 {
            self.others.insert((group, number));
            return;
        }
        let number = number as usize;
        if number >= self.first.len() {
            self.first.resize((number + 1).next_power_of_two(), false);
        }
        self.first[number] = true;
    }

    fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        let first = self.first.iter().enumerate().filter(|(_, seen)| **seen);
        first.map(|(number, _)| (0, number as u32)).chain(self.others.iter().copied())
    }

    fn bytes(&self) -> usize {
        self.first.len() + self.others.len() * 16
    }
}

enum State {
    Rows,
    Present(Vec<u64>),
    Sum(Vec<(f64, u64)>),
    Number(Vec<Option<f64>>),
    /// Least or greatest so far as a number of the interner.
    Value(Interner, Vec<u32>),
    Distinct(Interner, Seen),
    /// With the memory of all.
    Percentile(Vec<Estimate>, usize),
}

impl State {
    fn new(figure: &Figure) -> Self {
        match figure {
            Figure::Rows => State::Rows,
            Figure::Present(_) => State::Present(Vec::new()),
            Figure::Sum { .. } => State::Sum(Vec::new()),
            Figure::Number { .. } => State::Number(Vec::new()),
            Figure::Value { of, .. } => State::Value(Interner::new(*of), Vec::new()),
            Figure::Distinct { of, .. } => State::Distinct(Interner::new(*of), Seen::default()),
            Figure::Percentile { .. } => State::Percentile(Vec::new(), 0),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            State::Rows => 0,
            State::Present(list) => list.len() * 8,
            State::Sum(list) => list.len() * 16,
            State::Number(list) => list.len() * 16,
            State::Value(interner, list) => interner.bytes() + list.len() * 4,
            State::Distinct(interner, seen) => interner.bytes() + seen.bytes(),
            State::Percentile(list, bytes) => size_of_val(&**list) + bytes,
        }
    }
}

impl Groups {
    pub(crate) fn new(grouping: &Grouping) -> Self {
        Self {
            keys: Keys::new(&grouping.keys),
            rows: Vec::new(),
            states: grouping.figures.iter().map(State::new).collect(),
            scratch: Vec::new(),
        }
    }

    /// Memory in use, about.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.bytes()
            + self.rows.len() * 8
            + self.states.iter().map(State::bytes).sum::<usize>()
    }

    /// Makes do with less memory, if figures can be estimated: false when nothing could be done.
    pub(crate) fn shrink(&mut self) -> bool {
        let before = self.bytes();
        for state in &mut self.states {
            if let State::Percentile(list, bytes) = state {
                list.iter_mut().for_each(Estimate::shrink);
                *bytes = list.iter().map(Estimate::bytes).sum();
            }
        }
        self.bytes() < before
    }

    /// Counts rows of which nothing else is asked.
    pub(crate) fn add_rows(&mut self, rows: u64) {
        self.grow(1);
        self.rows[0] += rows;
    }

    fn grow(&mut self, groups: usize) {
        if self.rows.len() < groups {
            self.rows.resize(groups, 0);
        }
    }

    /// Takes in a batch that has the grouping's columns.
    pub(crate) fn add(&mut self, grouping: &Grouping, batch: &RecordBatch) {
        let weights = batch.column_by_name(WEIGHT).and_then(|c| c.as_primitive_opt::<Int64Type>());
        let weights = weights.map(|weights| &**weights.values());
        if weights.is_some() {
            self.keys.expect(batch.num_rows());
        }
        let mut groups = std::mem::take(&mut self.scratch);
        self.keys.rows(&grouping.keys, batch, &mut groups);
        let count = self.keys.len();
        self.grow(count);
        match weights {
            Some(weights) => groups.iter().zip(weights).for_each(|(group, weight)| {
                self.rows[*group as usize] += *weight as u64;
            }),
            None => groups.iter().for_each(|group| self.rows[*group as usize] += 1),
        }
        for (figure, state) in grouping.figures.iter().zip(&mut self.states) {
            let column = figure.column().and_then(|name| batch.column_by_name(name));
            if let Some(column) = column {
                state.add(figure, column, (&groups, weights), count);
            }
        }
        self.scratch = groups;
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

    /// Takes in the groups of another thread.
    pub(crate) fn merge(&mut self, grouping: &Grouping, other: Groups) {
        let mut places = vec![u32::MAX; other.rows.len()];
        let there = (0..other.rows.len() as u32).filter(|group| other.rows[*group as usize] > 0);
        let there: Vec<u32> = there.collect();
        let here = self.keys.adopt(&other.keys, &there);
        self.grow(self.keys.len());
        for (group, place) in there.into_iter().zip(here) {
            self.rows[place as usize] += other.rows[group as usize];
            places[group as usize] = place;
        }
        let count = self.rows.len();
        for ((figure, state), other) in
            grouping.figures.iter().zip(&mut self.states).zip(other.states)
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
        let (Some(Top { rows: first, rare: false, present: true }), true) =
            (grouping.top, grouping.is_count_of_values())
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
        for share in shares {
            merged.keys.adopt(&share.keys, &share.with_key(rows_min).collect::<Vec<u32>>());
        }
        let key = merged.keys.single()?;
        // A thread that had nothing to do has not even the group without a value.
        let rows_in = |share: &Groups, group| {
            let there = share.keys.single()?.find(key, group)?;
            share.rows.get(there as usize).copied()
        };
        let rows = (0..key.len() as u32)
            .map(|group| shares.iter().filter_map(|share| rows_in(share, group)).sum())
            .collect();
        merged.rows = rows;
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
            found.retain(|group| !present || !self.keys.lacks_one(*group));
            self.cut(&mut found, rows, rare);
        }
        let groups = self.keys.sorted(found);
        let mut distinct: Vec<Option<Vec<i64>>> = Vec::new();
        for state in &self.states {
            distinct.push(state.distinct(self.rows.len()));
        }
        let row = |group: u32| {
            let states = self.states.iter_mut().zip(&grouping.figures).zip(&distinct);
            let figures = states.map(|((state, figure), distinct)| match distinct {
                Some(counts) => Cell::Long(counts[group as usize]),
                None => state.cell(figure, group as usize, self.rows[group as usize]),
            });
            self.keys.cells(group).chain(figures).collect()
        };
        groups.into_iter().map(row).collect()
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
        Values::Float(values) => rows.map(|r| Some(r).filter(valid).map(|r| values[r])).collect(),
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
    /// Takes in a column of rows, of which the groups are given, and for how many each stands.
    fn add(
        &mut self,
        figure: &Figure,
        column: &ArrayRef,
        (groups, weights): (&[u32], Option<&[i64]>),
        count: usize,
    ) {
        match (self, figure) {
            (State::Present(counts), _) => {
                counts.resize(count, 0);
                let nulls = column.logical_nulls();
                let weight = |row: usize| weights.map_or(1, |weights| weights[row] as u64);
                for (row, group) in groups.iter().enumerate() {
                    if nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
                        counts[*group as usize] += weight(row);
                    }
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
                if weights.is_some() {
                    interner.expect(column.len());
                }
                interner.rows(column, &mut numbers);
                let mut last = (u32::MAX, NULL);
                for (number, group) in numbers.into_iter().zip(groups) {
                    if number != NULL && last != (*group, number) {
                        last = (*group, number);
                        seen.insert(*group, number);
                    }
                }
            }
            (State::Percentile(estimates, bytes), Figure::Percentile { percent, .. }) => {
                estimates.resize_with(count, || Estimate::new(*percent));
                for (number, group) in numbers(column).into_iter().zip(groups) {
                    let Some(number) = number else { continue };
                    let estimate = &mut estimates[*group as usize];
                    let before = estimate.bytes();
                    estimate.add(number);
                    *bytes = (*bytes + estimate.bytes()).saturating_sub(before);
                }
            }
            (State::Rows | State::Number(_) | State::Value(..) | State::Percentile(..), _) => {}
        }
    }

    fn merge(&mut self, figure: &Figure, other: State, places: &[u32], count: usize) {
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
                    let (Some(p), Some(number)) = (place(group), *number) else { continue };
                    ours[p] = better_number(ours[p], number, *greatest);
                }
            }
            (
                State::Value(interner, ours),
                State::Value(from, theirs),
                Figure::Value { greatest, .. },
            ) => {
                ours.resize(count, NULL);
                let theirs = interner.adopt(&from, &theirs);
                for (group, number) in theirs.into_iter().enumerate() {
                    let Some(p) = place(group) else { continue };
                    ours[p] = better(interner, ours[p], number, *greatest);
                }
            }
            (State::Distinct(interner, ours), State::Distinct(from, theirs), _) => {
                // In any order: a set comes of it.
                let numbers: Vec<u32> = (0..from.len() as u32).collect();
                let numbers = interner.adopt(&from, &numbers);
                for (group, number) in theirs.iter() {
                    let Some(p) = place(group as usize) else { continue };
                    ours.insert(p as u32, numbers[number as usize]);
                }
            }
            (
                State::Percentile(ours, bytes),
                State::Percentile(theirs, _),
                Figure::Percentile { percent, .. },
            ) => {
                ours.resize_with(count, || Estimate::new(*percent));
                for (group, more) in theirs.into_iter().enumerate() {
                    let Some(p) = place(group) else { continue };
                    // Digests of floats always fit together.
                    let _ = ours[p].merge(more);
                }
                *bytes = ours.iter().map(Estimate::bytes).sum();
            }
            _ => {}
        }
    }

    /// The number of distinct values of each group, if that is what this counts.
    fn distinct(&self, groups: usize) -> Option<Vec<i64>> {
        let State::Distinct(_, seen) = self else { return None };
        let mut counts = vec![0; groups];
        seen.iter().for_each(|(group, _)| counts[group as usize] += 1);
        Some(counts)
    }

    fn cell(&mut self, figure: &Figure, group: usize, rows: u64) -> Cell {
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
            State::Percentile(estimates, _) => {
                let value = estimates.get_mut(group).and_then(Estimate::value);
                value.map_or(Cell::Null, Cell::float)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Names;
    use arrow::array::StringArray;
    use arrow::compute::cast;
    use arrow::datatypes::{DataType, Field, Schema};
    use pugmark_event::time::Micros;
    use pugmark_event::{Batch, BatchBuilder, Value};
    use pugmark_query::Plan;
    use pugmark_query::eval::{self, Nothing, Rows, World};
    use pugmark_query::scope::Scope;

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
            [Pipe::Stats(stats), after @ ..] => {
                Grouping::new(stats, after, &mut Steps::new(Names::events()))
            }
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
        one.merge(&grouping, two);
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
        let counts = weighted("user_name", &Counts { values, rows });
        groups.add(grouping, &counts.unwrap());
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
            shares().for_each(|share| all.merge(&grouping, share));
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
        for query in ["* | stats values(x)", "* | stats first(x)", "* | head 3", "* | fields x"] {
            let plan = pugmark_query::parse(query).unwrap();
            assert!(grouping(&plan).is_none(), "{query}");
        }
    }
}
