//! The naive evaluator: says which events match, and in tests what every answer must be.
//!
//! Live tail filters with [`matches`]. [`run`] holds everything in memory and looks at every
//! event, so it is the oracle that the search engine is compared with, not an engine itself.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, BooleanArray};
use pugmark_event::conflict::Conflicts;
use pugmark_event::fields::{EVENT_TIME, Kind, ORIGINAL, RECEIVED_TIME};
use pugmark_event::time::{self, Micros};
use pugmark_event::{Batch, FieldId};

use crate::check::{Check, Number, TextCheck};
use crate::plan::{
    Aggregate, FieldRef, Filter, Function, Pipe, Plan, SortKey, Target, Test, span_for,
};

/// Which events of `batch` pass `filter`. Part of a filter that cannot be compiled, which
/// [`crate::parse`] never makes, passes nothing.
pub fn matches(filter: &Filter, batch: &Batch) -> BooleanArray {
    Matcher::new(filter).matches(batch)
}

/// A filter made ready for many batches.
#[derive(Debug)]
pub struct Matcher(Node);

#[derive(Debug)]
enum Node {
    All,
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Leaf(Leaf),
}

#[derive(Debug)]
struct Leaf {
    field: FieldRef,
    check: Check,
    /// For values that did not fit the field's column.
    conflicts: Option<TextCheck>,
}

impl Leaf {
    fn new(field: &FieldRef, check: Check) -> Self {
        Self { field: field.clone(), check, conflicts: None }
    }

    fn of_events(field: &FieldRef, test: &Test) -> Self {
        let check = Check::new(&field.target, test).unwrap_or(Check::Nothing);
        Self { conflicts: TextCheck::of_conflicts(&field.target, test), ..Self::new(field, check) }
    }

    fn passes(&self, batch: &Batch, row: usize) -> bool {
        passes(&self.check, &cell(batch, row, &self.field.target))
            || match (&self.conflicts, &self.field.target) {
                (Some(check), Target::Column(id)) => {
                    Conflicts::of(batch.columns(), *id).row(row).any(|text| check.matches(text))
                }
                _ => false,
            }
    }
}

impl Matcher {
    /// Compiles `filter`.
    pub fn new(filter: &Filter) -> Self {
        Self(node(filter, &Leaf::of_events))
    }

    /// Which events of `batch` pass.
    pub fn matches(&self, batch: &Batch) -> BooleanArray {
        (0..batch.rows()).map(|row| Some(self.0.passes(&|leaf| leaf.passes(batch, row)))).collect()
    }
}

fn node(filter: &Filter, leaf: &dyn Fn(&FieldRef, &Test) -> Leaf) -> Node {
    let all = |parts: &[Filter]| parts.iter().map(|part| node(part, leaf)).collect();
    match filter {
        Filter::All => Node::All,
        Filter::And(parts) => Node::And(all(parts)),
        Filter::Or(parts) => Node::Or(all(parts)),
        Filter::Not(part) => Node::Not(Box::new(node(part, leaf))),
        Filter::Words(pattern) => Node::Leaf(Leaf::new(
            &FieldRef::new(ORIGINAL.name()),
            TextCheck::anywhere(pattern).map_or(Check::Nothing, Check::Text),
        )),
        Filter::Field(field, test) => Node::Leaf(leaf(field, test)),
    }
}

impl Node {
    fn passes(&self, passes: &dyn Fn(&Leaf) -> bool) -> bool {
        match self {
            Node::All => true,
            Node::And(parts) => parts.iter().all(|part| part.passes(passes)),
            Node::Or(parts) => parts.iter().any(|part| part.passes(passes)),
            Node::Not(part) => !part.passes(passes),
            Node::Leaf(leaf) => passes(leaf),
        }
    }
}

fn passes(check: &Check, cell: &Cell) -> bool {
    match (check, cell) {
        (Check::Nothing, _) | (_, Cell::Null) => false,
        (Check::Exists, _) => true,
        (Check::Range(low, high), Cell::Long(value) | Cell::Time(value)) => {
            (low..=high).contains(&value)
        }
        (Check::Range(..), _) => false,
        (Check::Text(text), cell) => text.matches(&cell.text()),
    }
}

/// One value of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Absent.
    Null,
    /// Text; also raw bytes as far as they are UTF-8.
    Text(String),
    /// An integer.
    Long(i64),
    /// Any other number.
    Float(f64),
    /// Microseconds since the epoch.
    Time(Micros),
}

impl Cell {
    /// As text; an absent value is empty.
    pub fn text(&self) -> String {
        match self {
            Cell::Null => String::new(),
            Cell::Text(text) => text.clone(),
            Cell::Long(long) => long.to_string(),
            Cell::Float(float) => float.to_string(),
            Cell::Time(micros) => time::format(*micros),
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Cell::Text(text) => Number::parse(text).map(Number::float),
            Cell::Long(long) => Some(*long as f64),
            Cell::Float(float) => Some(*float),
            Cell::Null | Cell::Time(_) => None,
        }
    }
}

/// The order of [`Pipe::Sort`]: absent last, then text that is a number, then other text.
pub fn order(a: &Cell, b: &Cell, descending: bool) -> Ordering {
    let turned = |o: Ordering| if descending { o.reverse() } else { o };
    let some_first = |a: bool, b: bool| b.cmp(&a);
    match (a, b) {
        (Cell::Null, _) | (_, Cell::Null) => some_first(*a != Cell::Null, *b != Cell::Null),
        (Cell::Long(a), Cell::Long(b)) | (Cell::Time(a), Cell::Time(b)) => turned(a.cmp(b)),
        (Cell::Float(a), Cell::Float(b)) => turned(a.total_cmp(b)),
        _ => match (a.number(), b.number()) {
            (Some(x), Some(y)) => turned(x.total_cmp(&y).then_with(|| a.text().cmp(&b.text()))),
            (None, None) => turned(a.text().cmp(&b.text())),
            (x, y) => some_first(x.is_some(), y.is_some()),
        },
    }
}

/// An answer held in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Names of the columns. An answer of events has the one column `event.id`.
    pub columns: Vec<String>,
    /// The rows in order.
    pub rows: Vec<Vec<Cell>>,
}

/// Answers `plan` over `batches` the slow and plain way.
pub fn run(plan: &Plan, batches: &[Batch], limit: Option<usize>) -> Table {
    let matcher = Matcher::new(&plan.filter);
    let mut events = Vec::new();
    for batch in batches {
        let keep = matcher.matches(batch);
        events.extend((0..batch.rows()).filter(|row| keep.value(*row)).map(|row| (batch, row)));
    }
    events.sort_by_key(|(batch, row)| {
        std::cmp::Reverse((batch.event_times()[*row], batch.ids()[*row]))
    });
    let mut state = State::Events(events);
    for pipe in &plan.pipes {
        state = match state {
            State::Events(events) => on_events(pipe, events, range_of(batches)),
            State::Table(table) => State::Table(on_table(pipe, table)),
        };
    }
    let mut table = match state {
        State::Table(table) => table,
        State::Events(events) => Table {
            columns: vec!["event.id".into()],
            rows: events.iter().map(|(b, row)| vec![Cell::Long(b.ids()[*row])]).collect(),
        },
    };
    table.rows.truncate(limit.unwrap_or(usize::MAX));
    table
}

type Events<'a> = Vec<(&'a Batch, usize)>;

enum State<'a> {
    Events(Events<'a>),
    Table(Table),
}

/// First and last event time of everything.
fn range_of(batches: &[Batch]) -> (Micros, Micros) {
    let times = || batches.iter().flat_map(|b| b.event_times().iter().copied());
    (times().min().unwrap_or(0), times().max().unwrap_or(0))
}

fn on_events<'a>(pipe: &Pipe, mut events: Events<'a>, range: (Micros, Micros)) -> State<'a> {
    match pipe {
        Pipe::Where(filter) => {
            let matcher = Matcher::new(filter);
            events.retain(|(b, row)| matcher.matches(&b.slice(*row, 1)).value(0));
            State::Events(events)
        }
        Pipe::Head(rows) => {
            events.truncate(*rows);
            State::Events(events)
        }
        Pipe::Sort(keys) => {
            // The sort is stable, so equal events stay newest first.
            events.sort_by(|a, b| {
                by_keys(keys, |key| {
                    (cell(a.0, a.1, &key.field.target), cell(b.0, b.1, &key.field.target))
                })
            });
            State::Events(events)
        }
        Pipe::Fields(fields) => State::Table(Table {
            columns: pipe.columns(None).unwrap_or_default(),
            rows: events
                .iter()
                .map(|(b, row)| fields.iter().map(|f| cell(b, *row, &f.target)).collect())
                .collect(),
        }),
        Pipe::Stats { aggregates, by } => {
            let key = |b: &Batch, row: usize| {
                Some(by.iter().map(|f| cell(b, row, &f.target)).collect::<Vec<_>>())
            };
            State::Table(group(pipe, &events, by.len(), aggregates, &key))
        }
        Pipe::Timechart { span, aggregates, by } => {
            let span = span.unwrap_or_else(|| span_for(range.0, range.1.saturating_add(1))).max(1);
            let key = |b: &Batch, row: usize| {
                let bucket = b.event_times()[row].div_euclid(span).saturating_mul(span);
                let split = by.iter().map(|f| cell(b, row, &f.target));
                Some(std::iter::once(Cell::Time(bucket)).chain(split).collect())
            };
            let keys = 1 + usize::from(by.is_some());
            State::Table(group(pipe, &events, keys, aggregates, &key))
        }
        Pipe::Top { rows, fields, rare } => State::Table(top(pipe, &events, *rows, fields, *rare)),
    }
}

fn top(pipe: &Pipe, events: &Events<'_>, rows: usize, fields: &[FieldRef], rare: bool) -> Table {
    let count = Aggregate { function: Function::Count, field: None, alias: None };
    let key = |b: &Batch, row: usize| {
        let cells: Vec<Cell> = fields.iter().map(|f| cell(b, row, &f.target)).collect();
        (!cells.contains(&Cell::Null)).then_some(cells)
    };
    let mut table = group(pipe, events, fields.len(), &[count], &key);
    let last = fields.len();
    // Groups are in the order of their keys already.
    table.rows.sort_by(|a, b| order(&a[last], &b[last], !rare));
    table.rows.truncate(rows);
    table
}

fn by_keys<'k>(keys: &'k [SortKey], cells: impl Fn(&'k SortKey) -> (Cell, Cell)) -> Ordering {
    keys.iter()
        .map(|key| {
            let (a, b) = cells(key);
            order(&a, &b, key.descending)
        })
        .find(|o| o.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// One row per key, in the order of the keys; a key of `None` is left out. With no key columns
/// there is one row, even of nothing.
fn group(
    pipe: &Pipe,
    events: &Events<'_>,
    keys: usize,
    aggregates: &[Aggregate],
    key: &dyn Fn(&Batch, usize) -> Option<Vec<Cell>>,
) -> Table {
    // The debug text of cells tells any two of them apart.
    let mut groups: BTreeMap<String, (Vec<Cell>, Events<'_>)> = BTreeMap::new();
    if keys == 0 {
        groups.insert("[]".into(), (Vec::new(), Vec::new()));
    }
    for (batch, row) in events {
        let Some(cells) = key(batch, *row) else { continue };
        let group = groups.entry(format!("{cells:?}")).or_insert_with(|| (cells, Vec::new()));
        group.1.push((batch, *row));
    }
    let mut rows: Vec<Vec<Cell>> = groups
        .into_values()
        .map(|(mut cells, members)| {
            cells.extend(aggregates.iter().map(|a| aggregate(a, &members)));
            cells
        })
        .collect();
    rows.sort_by(|a, b| compare_rows(&a[..keys], &b[..keys]));
    Table { columns: pipe.columns(None).unwrap_or_default(), rows }
}

fn compare_rows(a: &[Cell], b: &[Cell]) -> Ordering {
    a.iter().zip(b).map(|(a, b)| order(a, b, false)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
}

fn aggregate(aggregate: &Aggregate, events: &Events<'_>) -> Cell {
    let Some(field) = &aggregate.field else { return Cell::Long(events.len() as i64) };
    // Events come newest first.
    let cells: Vec<Cell> = events
        .iter()
        .map(|(b, row)| cell(b, *row, &field.target))
        .filter(|c| *c != Cell::Null)
        .collect();
    let numbers = || cells.iter().filter_map(Cell::number);
    let float = |value: Option<f64>| value.map_or(Cell::Null, Cell::Float);
    let count = numbers().count();
    match aggregate.function {
        Function::Count => Cell::Long(cells.len() as i64),
        Function::Distinct => {
            let distinct: BTreeSet<String> = cells.iter().map(Cell::text).collect();
            Cell::Long(distinct.len() as i64)
        }
        Function::Sum => float((count > 0).then(|| numbers().sum())),
        Function::Avg => float((count > 0).then(|| numbers().sum::<f64>() / count as f64)),
        Function::Min => extreme(&field.target, cells, false),
        Function::Max => extreme(&field.target, cells, true),
        Function::Percentile(percent) => float(percentile(numbers().collect(), percent)),
        Function::First => cells.last().cloned().unwrap_or(Cell::Null),
        Function::Last => cells.first().cloned().unwrap_or(Cell::Null),
    }
}

/// Least or greatest: of the numbers among attributes, of the values of a column.
fn extreme(target: &Target, cells: Vec<Cell>, greatest: bool) -> Cell {
    let least_first = |a: &Cell, b: &Cell| match (a, b) {
        (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
        (a, b) => order(a, b, false),
    };
    let cells: Vec<Cell> = match target {
        Target::Column(_) => cells,
        Target::Attribute(_) => cells.iter().filter_map(Cell::number).map(Cell::Float).collect(),
    };
    let found = match greatest {
        true => cells.into_iter().max_by(least_first),
        false => cells.into_iter().min_by(least_first),
    };
    found.unwrap_or(Cell::Null)
}

fn percentile(mut numbers: Vec<f64>, percent: u8) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let place = f64::from(percent) / 100.0 * numbers.len().saturating_sub(1) as f64;
    let (low, high) = (numbers.get(place.floor() as usize)?, numbers.get(place.ceil() as usize)?);
    Some(low + (high - low) * place.fract())
}

/// A pipe over rows that a pipe made: one of those that may follow such a pipe.
pub fn on_table(pipe: &Pipe, mut table: Table) -> Table {
    let at = |field: &FieldRef, columns: &[String]| field.find(columns).unwrap_or(usize::MAX);
    match pipe {
        Pipe::Where(filter) => {
            let node = node(filter, &|field, test| {
                Leaf::new(field, TextCheck::new(test).map_or(Check::Nothing, Check::Text))
            });
            let columns = table.columns.clone();
            table.rows.retain(|row| {
                node.passes(&|leaf| {
                    row.get(at(&leaf.field, &columns)).is_some_and(|c| passes(&leaf.check, c))
                })
            });
        }
        Pipe::Head(rows) => table.rows.truncate(*rows),
        Pipe::Sort(keys) => {
            let columns = &table.columns;
            let get = |row: &[Cell], key: &SortKey| {
                row.get(at(&key.field, columns)).cloned().unwrap_or(Cell::Null)
            };
            table.rows.sort_by(|a, b| {
                by_keys(keys, |key| (get(a, key), get(b, key))).then_with(|| compare_rows(a, b))
            });
        }
        Pipe::Fields(fields) => {
            let places: Vec<usize> = fields.iter().map(|f| at(f, &table.columns)).collect();
            let pick = |row: Vec<Cell>| {
                places.iter().map(|i| row.get(*i).cloned().unwrap_or(Cell::Null)).collect()
            };
            table.rows = table.rows.into_iter().map(pick).collect();
            table.columns = pipe.columns(None).unwrap_or_default();
        }
        // The parser lets no other pipe follow a table.
        Pipe::Stats { .. } | Pipe::Timechart { .. } | Pipe::Top { .. } => {}
    }
    table
}

/// The value of a field in one event.
pub fn cell(batch: &Batch, row: usize, target: &Target) -> Cell {
    match target {
        Target::Attribute(name) => match batch.attributes().get(row, name) {
            Some(value) => Cell::Text(value.text().to_string()),
            None => Cell::Null,
        },
        Target::Column(id) => column_cell(batch, row, *id),
    }
}

fn column_cell(batch: &Batch, row: usize, id: FieldId) -> Cell {
    match id.field().kind {
        Kind::Text | Kind::Ip => batch
            .text(id)
            .filter(|c| c.is_valid(row))
            .map_or(Cell::Null, |c| Cell::Text(c.value(row).to_string())),
        Kind::Long => batch
            .long(id)
            .filter(|c| c.is_valid(row))
            .map_or(Cell::Null, |c| Cell::Long(c.value(row))),
        Kind::Time if id == EVENT_TIME => Cell::Time(batch.event_times()[row]),
        Kind::Time if id == RECEIVED_TIME => Cell::Time(batch.received_times()[row]),
        Kind::Time => Cell::Null,
        Kind::Bytes => {
            let column = batch.columns().column_by_name(id.column());
            match column.filter(|c| c.is_valid(row)) {
                Some(_) => Cell::Text(String::from_utf8_lossy(batch.original(row)).into_owned()),
                None => Cell::Null,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pugmark_event::{BatchBuilder, Value};

    const NOW: Micros = 1_795_428_000_000_000;

    fn batch() -> Batch {
        let mut b = BatchBuilder::new("web", NOW);
        for (id, user, port, size) in [
            (1, "root", "22", "10"),
            (2, "Bob", "443", "9"),
            (3, "", "x", "big"),
            (4, "bob", "22", "1.5"),
        ] {
            b.begin(id, format!("Event {id} by {user}").as_bytes());
            if !user.is_empty() {
                b.named("user.name", Value::Text(user));
            }
            b.named("source.port", Value::Text(port));
            b.attribute("size", Value::Text(size));
            b.end(Some(NOW + id * 1_000_000));
        }
        b.finish().unwrap()
    }

    #[track_caller]
    fn check(query: &str, expected: &str) {
        let plan = crate::parse(query).unwrap_or_else(|e| panic!("{query}: {e:?}"));
        let table = run(&plan, &[batch()], None);
        let rows: Vec<String> = table
            .rows
            .iter()
            .map(|row| row.iter().map(Cell::text).collect::<Vec<_>>().join(","))
            .collect();
        assert_eq!(rows.join(" "), expected, "{query}");
    }

    #[test]
    fn filters() {
        check("*", "4 3 2 1");
        check("event by BOB", "4 2");
        check("even", "");
        check("even*", "4 3 2 1");
        check("vent", "");
        check("*vent", "4 3 2 1");
        check("\"by root\"", "1");
        check("\"by roo\"", "");
        check("user:bob", "4 2");
        check("not user:bob", "3 1");
        check("user:*", "4 2 1");
        check("source.port:22 or size:9", "4 2 1");
        check("size:<9.5", "4 2");
        check("source.port:9*", "");
        check("source.port:x", "3");
        check("source.port:*", "4 3 2 1");
        check("source.port:>=22", "4 2 1");
        check("attributes.source.port:x", "3");
    }

    #[test]
    fn pipes() {
        check(
            "* | stats count(), sum(size), min(user), max(size) by source.port",
            "22,2,11.5,bob,10 443,1,9,Bob,9 ,1,,,",
        );
        check("x0 | stats count(), avg(size)", "0,");
        check("x0 | stats count() by user", "");
        check("* | sort size | fields size", "1.5 9 10 big");
        check("* | sort -size | head 2 | fields size", "10 9");
        check("* | top 1 source.port", "22,2");
        check("* | rare source.port", "443,1 22,2");
        check("* | stats first(user), last(user), dc(user), p50(size)", "root,bob,3,9");
        check(
            "* | timechart span=2s count()",
            "2026-11-23T10:00:00Z,1 2026-11-23T10:00:02Z,2 2026-11-23T10:00:04Z,1",
        );
        check(
            "* | stats count() by user | where count:1 and not user:root | sort -user",
            "bob,1 Bob,1 ,1",
        );
    }
}
