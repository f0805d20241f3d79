//! A filter made ready for the store: what to skip by, and which rows to keep.
//!
//! The same checks as the evaluator's, over whole columns. A test is only made for rows that the
//! tests before it left open, and for a dictionary once per distinct value.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use pugmark_event::conflict::CONFLICTS_PREFIX;
use pugmark_event::fields::ORIGINAL;
use pugmark_event::time;
use pugmark_query::check::{Check, TextCheck};
use pugmark_query::scope::Place;
use pugmark_query::words::{is_word, words};
use pugmark_query::{FieldRef, Filter, Pattern, Target, Test};
use pugmark_store::{AnyOf, Keep, Phrase, Prune, PruneOp, PruneValue, RecordTest, Scan};

use crate::cells::Cells;
use crate::columns;
use crate::formula::Formula;
use crate::names::Names;
use crate::prune::Conditions;
use crate::values::Values;

/// A filter in two parts that both hold.
#[derive(Debug, Default)]
pub(crate) struct Predicate {
    keep: Option<Arc<Node>>,
    records: Vec<Arc<Words>>,
    conditions: Conditions,
}

impl Predicate {
    /// Makes `filter` ready.
    ///
    /// # Errors
    /// With a sentence when it holds what the parser would have refused.
    pub(crate) fn new(filter: &Filter) -> Result<Self, String> {
        let mut predicate = Self { conditions: conditions(filter)?, ..Self::default() };
        let mut nodes = Vec::new();
        for part in conjunction(filter) {
            match part {
                Filter::Words(pattern) => predicate.records.push(Arc::new(Words::new(pattern)?)),
                part => nodes.push(Node::new(part, &Names::events())?),
            }
        }
        predicate.keep = (!nodes.is_empty()).then(|| Arc::new(Node::all(nodes)));
        Ok(predicate)
    }

    /// Has `scan` return only what passes.
    pub(crate) fn apply(&self, scan: &mut Scan) {
        scan.filters.extend(self.conditions.filters.iter().cloned());
        scan.any_of.extend(self.conditions.any_of.iter().cloned());
        scan.words.extend(self.conditions.words.iter().cloned());
        scan.keep = self.keep.clone().map(|keep| keep as Arc<dyn Keep>);
        scan.records = self.records.iter().map(|r| r.clone() as Arc<dyn RecordTest>).collect();
    }

    /// The column, when whether an event passes is told by one alone, and by what did not fit it.
    pub(crate) fn column(&self) -> Option<String> {
        let mut columns = self.keep.as_ref().filter(|_| self.records.is_empty())?.columns();
        columns.retain(|column| !column.starts_with(CONFLICTS_PREFIX));
        columns.pop().filter(|_| columns.is_empty())
    }
}

/// The parts that all must hold.
fn conjunction(filter: &Filter) -> Vec<&Filter> {
    match filter {
        Filter::All => Vec::new(),
        Filter::And(parts) => parts.iter().flat_map(conjunction).collect(),
        other => vec![other],
    }
}

/// A word or phrase that the record must have.
#[derive(Debug)]
struct Words {
    check: TextCheck,
    /// Set when nothing but these words is asked for.
    words: Option<Vec<String>>,
}

impl Words {
    fn new(pattern: &Pattern) -> Result<Self, String> {
        let single = pattern.literal().is_some_and(|text| text.chars().all(is_word));
        Ok(Self { check: TextCheck::anywhere(pattern)?, words: single.then(|| words(pattern)) })
    }
}

impl RecordTest for Words {
    fn matches(&self, record: &str) -> bool {
        self.check.matches(record)
    }

    fn words(&self) -> Option<&[String]> {
        self.words.as_deref()
    }

    fn phrase(&self) -> Option<Phrase<'_>> {
        self.check.phrase().map(|(text, closed)| Phrase { text, closed })
    }
}

/// A filter of rows of which names stand for columns.
#[derive(Debug)]
pub(crate) enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Leaf(Leaf),
    /// An expression that is true.
    Holds(Formula),
}

/// A test of one column.
#[derive(Debug)]
pub(crate) struct Leaf {
    column: String,
    check: Check,
    conflicts: Option<(String, TextCheck)>,
}

impl Leaf {
    fn new(field: &FieldRef, test: &Test, names: &Names) -> Result<Self, String> {
        let (check, conflicts) = match names.scope().find(field) {
            Place::Event(target) => (Check::new(target, test)?, conflicts(target, test)),
            // What a column that was computed holds is tested as text, whatever it is.
            _ if *test == Test::Exists => (Check::Exists, None),
            _ => (Check::Text(TextCheck::new(test)?), None),
        };
        let column = names.column(field).ok_or_else(|| format!("no column `{field}`"))?;
        Ok(Self { column, check, conflicts })
    }

    /// The record has the pattern somewhere.
    fn words(pattern: &Pattern, names: &Names) -> Result<Self, String> {
        let record = names.column(&FieldRef::new(ORIGINAL.name()));
        let column = record.ok_or("the rows have no record")?;
        let check = Check::Text(TextCheck::anywhere(pattern)?);
        Ok(Self { column, check, conflicts: None })
    }

    /// Less for what is tested faster.
    fn cost(&self) -> u8 {
        match &self.check {
            Check::Nothing | Check::Exists | Check::Range(..) => 0,
            Check::Text(check) if check.value().is_some() => 1,
            Check::Text(_) => 2,
        }
    }
}

/// The column of the values of a field that did not fit, and what they must pass.
fn conflicts(target: &Target, test: &Test) -> Option<(String, TextCheck)> {
    match target {
        Target::Column(id) => columns::conflicts(*id, target, test),
        Target::Attribute(_) => None,
    }
}

impl Node {
    /// Makes `filter` ready for rows with these names.
    ///
    /// # Errors
    /// With a sentence when it holds what the parser would have refused.
    pub(crate) fn new(filter: &Filter, names: &Names) -> Result<Self, String> {
        let each = |parts: &[Filter]| {
            parts.iter().map(|part| Node::new(part, names)).collect::<Result<Vec<_>, _>>()
        };
        Ok(match filter {
            Filter::All => Node::And(Vec::new()),
            Filter::And(parts) => Node::all(each(parts)?),
            Filter::Or(parts) => Node::Or(each(parts)?),
            Filter::Not(part) => Node::Not(Box::new(Node::new(part, names)?)),
            Filter::Words(pattern) => Node::Leaf(Leaf::words(pattern, names)?),
            Filter::Field(field, test) => Node::Leaf(Leaf::new(field, test, names)?),
            Filter::Holds(expr) => Node::Holds(Formula::new(expr, names)?),
        })
    }

    /// All of these, the fastest first.
    fn all(mut nodes: Vec<Node>) -> Self {
        nodes.sort_by_key(Node::cost);
        Node::And(nodes)
    }

    fn cost(&self) -> u8 {
        match self {
            Node::And(parts) | Node::Or(parts) => {
                parts.iter().map(Node::cost).max().unwrap_or_default()
            }
            Node::Not(part) => part.cost(),
            Node::Leaf(leaf) => leaf.cost(),
            Node::Holds(_) => 3,
        }
    }

    fn names(&self, found: &mut Vec<String>) {
        match self {
            Node::And(parts) | Node::Or(parts) => parts.iter().for_each(|p| p.names(found)),
            Node::Not(part) => part.names(found),
            Node::Leaf(leaf) => {
                found.push(leaf.column.clone());
                found.extend(leaf.conflicts.iter().map(|(column, _)| column.clone()));
            }
            Node::Holds(formula) => found.extend(formula.columns().cloned()),
        }
    }

    /// Which rows of `open` pass.
    fn passes(&self, batch: &RecordBatch, open: &BooleanBuffer) -> BooleanBuffer {
        match self {
            Node::And(parts) => {
                let mut left = open.clone();
                for part in parts {
                    if left.count_set_bits() == 0 {
                        break;
                    }
                    left = part.passes(batch, &left);
                }
                left
            }
            Node::Or(parts) => {
                let mut found = BooleanBuffer::new_unset(open.len());
                for part in parts {
                    let left = open & &!&found;
                    if left.count_set_bits() == 0 {
                        break;
                    }
                    found = &found | &part.passes(batch, &left);
                }
                found
            }
            Node::Not(part) => open & &!&part.passes(batch, open),
            Node::Leaf(leaf) => leaf.passes(batch, open),
            Node::Holds(formula) => formula.holds(batch, open),
        }
    }
}

impl Keep for Node {
    fn columns(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.names(&mut names);
        names.sort_unstable();
        names.dedup();
        names
    }

    fn keep(&self, batch: &RecordBatch) -> BooleanArray {
        let all = BooleanBuffer::new_set(batch.num_rows());
        BooleanArray::new(self.passes(batch, &all), None)
    }

    fn is_sure(&self, full: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Node::And(parts) => parts.iter().all(|part| part.is_sure(full)),
            Node::Or(parts) => parts.iter().any(|part| part.is_sure(full)),
            Node::Leaf(Leaf { column, check: Check::Exists, .. }) => full(column),
            Node::Leaf(_) | Node::Not(_) | Node::Holds(_) => false,
        }
    }

    fn parts(&self) -> Vec<(String, String)> {
        match self {
            Node::And(parts) => parts.iter().flat_map(Keep::parts).collect(),
            Node::Leaf(Leaf { column, check: Check::Text(check), .. }) => {
                check.part().map(|part| (column.clone(), part)).into_iter().collect()
            }
            Node::Leaf(_) | Node::Or(_) | Node::Not(_) | Node::Holds(_) => Vec::new(),
        }
    }
}

impl Leaf {
    fn passes(&self, batch: &RecordBatch, open: &BooleanBuffer) -> BooleanBuffer {
        let here = match batch.column_by_name(&self.column) {
            Some(column) if column.null_count() < column.len() => tested(&self.check, column, open),
            _ => BooleanBuffer::new_unset(open.len()),
        };
        let Some((name, check)) = &self.conflicts else { return here };
        let Some(lists) = batch.column_by_name(name).and_then(|c| c.as_list_opt::<i32>()) else {
            return here;
        };
        if lists.null_count() == lists.len() {
            return here;
        }
        let Some(texts) = lists.values().as_string_opt::<i32>() else { return here };
        let ends = lists.value_offsets();
        let odd = rows_of(&(open & &!&here), |row| {
            let mut list = ends[row] as usize..ends[row + 1] as usize;
            lists.is_valid(row) && list.any(|i| check.matches(texts.value(i)))
        });
        &here | &odd
    }
}

/// Those rows of `open` that pass `test`.
pub(crate) fn rows_of(open: &BooleanBuffer, mut test: impl FnMut(usize) -> bool) -> BooleanBuffer {
    if open.count_set_bits() == open.len() {
        return BooleanBuffer::collect_bool(open.len(), test);
    }
    let mut found = arrow::array::BooleanBufferBuilder::new(open.len());
    found.append_n(open.len(), false);
    for row in open.set_indices() {
        if test(row) {
            found.set_bit(row, true);
        }
    }
    found.finish()
}

fn tested(check: &Check, column: &ArrayRef, open: &BooleanBuffer) -> BooleanBuffer {
    let valid = match column.logical_nulls() {
        Some(nulls) => open & nulls.inner(),
        None => open.clone(),
    };
    match (check, Values::of(column)) {
        (Check::Nothing, _) => BooleanBuffer::new_unset(open.len()),
        (Check::Exists, _) => valid,
        (Check::Range(low, high), Values::Long(values) | Values::Time(values)) => {
            rows_of(&valid, |row| *low <= values[row] && values[row] <= *high)
        }
        (Check::Text(check), Values::Text(texts)) => {
            rows_of(&valid, |row| check.matches(texts.value(row)))
        }
        (Check::Text(check), Values::Dictionary(keys, texts)) => {
            // Each distinct text at most once.
            let mut known: Vec<Option<bool>> = vec![None; texts.len()];
            rows_of(&valid, |row| {
                let key = keys.value(row) as usize;
                *known[key].get_or_insert_with(|| check.matches(texts.value(key)))
            })
        }
        (Check::Text(check), Values::Long(values)) => {
            rows_of(&valid, |row| check.matches(&values[row].to_string()))
        }
        (Check::Text(check), Values::Time(values)) => {
            rows_of(&valid, |row| check.matches(&time::format(values[row])))
        }
        (Check::Text(check), Values::Float(_) | Values::Other) => {
            let cells = Cells::of(column);
            rows_of(&valid, |row| check.matches(&cells.cell(row).text()))
        }
        (Check::Range(..), _) => BooleanBuffer::new_unset(open.len()),
    }
}

/// What every event has that passes.
fn conditions(filter: &Filter) -> Result<Conditions, String> {
    Ok(match filter {
        Filter::All | Filter::Not(_) | Filter::Holds(_) => Conditions::default(),
        Filter::And(parts) => {
            let mut all = Conditions::default();
            for part in parts {
                all.add(conditions(part)?);
            }
            all
        }
        Filter::Or(parts) => {
            let each = parts.iter().map(conditions).collect::<Result<Vec<_>, _>>()?;
            each.into_iter().reduce(Conditions::or).unwrap_or_default()
        }
        Filter::Words(pattern) => Conditions { words: words(pattern), ..Conditions::default() },
        Filter::Field(field, test) => {
            of_test(columns::name(&field.target), &Check::new(&field.target, test)?)
        }
    })
}

/// What a column holds where `check` passes, or else a value that did not fit does.
fn of_test(column: String, check: &Check) -> Conditions {
    let one = |value| vec![AnyOf { column: column.clone(), values: vec![value] }];
    let bound = |op, value| Prune { column: column.clone(), op, value: PruneValue::Long(value) };
    match check {
        Check::Nothing | Check::Exists => Conditions::default(),
        Check::Range(low, high) if low == high => {
            Conditions { any_of: one(PruneValue::Long(*low)), ..Conditions::default() }
        }
        Check::Range(low, high) => Conditions {
            filters: vec![bound(PruneOp::GtEq, *low), bound(PruneOp::LtEq, *high)],
            ..Conditions::default()
        },
        Check::Text(check) => {
            let value = check.value().map(|text| PruneValue::Text(text.to_ascii_lowercase()));
            Conditions { any_of: value.map(one).unwrap_or_default(), ..Conditions::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: &str) {
        let plan = pugmark_query::parse(query).unwrap_or_else(|e| panic!("{query}: {e:?}"));
        let mut scan = Scan::default();
        Predicate::new(&plan.filter).unwrap().apply(&mut scan);
        let ranges = scan.filters.iter().map(|p| format!("{} {:?} {:?}", p.column, p.op, p.value));
        let lists = scan.any_of.iter().map(|a| format!("{} in {:?}", a.column, a.values));
        let keep = scan.keep.iter().map(|keep| format!("keep by {}", keep.columns().join(" ")));
        let records = scan.records.iter().map(|r| format!("record {:?}", r.words()));
        let words = scan.words.iter().map(|w| format!("has {w}"));
        let all: Vec<String> =
            ranges.chain(lists).chain(words).chain(keep).chain(records).collect();
        assert_eq!(all.join(", "), expected, "{query}");
    }

    #[test]
    fn what_the_store_is_told() {
        check("*", "");
        check("Fail", "has fail, record Some([\"fail\"])");
        check("\"a b\"", "has a, has b, record None");
        check("fail*", "record None");
        check("a or b", "keep by event_original");
        check(
            "user:Root source.port:>22",
            "source_port GtEq Long(23), source_port LtEq Long(9223372036854775807), \
             user_name in [Text(\"root\")], \
             keep by conflicts.source_port conflicts.user_name source_port user_name",
        );
        check("x:(a or B)", "attributes.x in [Text(\"a\"), Text(\"b\")], keep by attributes.x");
        check("x:a or y:b", "keep by attributes.x attributes.y");
        check("not x:a", "keep by attributes.x");
    }
}
