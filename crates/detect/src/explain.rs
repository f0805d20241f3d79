//! Why a rule fired on an event, and why it did not: what held, and what is lacking.

use pugmark_event::Batch;
use serde::Serialize;

use crate::detection::{Reason, cut};
use crate::logsource::{LogSource, groups};
use crate::rule::{EventRule, KEYWORD_FIELD, Node, Pred, Test};
use crate::ruleset::RuleSet;
use crate::view::{EventFields, FieldPlan, View};

/// Most reasons that one explanation gives.
const REASONS_MAX: usize = 32;
/// Alternatives of one test that are shown.
const ALTERNATIVES_MAX: usize = 4;

/// What an event rule says of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// True when it fires.
    pub fires: bool,
    /// Product, category and service of the event; empty where it has none.
    pub event_source: [String; 3],
    /// False when the rule is for another log source: then it does not look at the event.
    pub reads: bool,
    /// The fewest tests that would have to come out otherwise for the condition to hold, each with
    /// the value that the event has. Empty when the condition holds.
    pub lacks: Vec<Reason>,
    /// How many tests of the rule hold that ask for something to be there.
    pub held: usize,
}

/// What a rule says of an event that it fires on, or nearly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Near {
    /// Index into [`RuleSet::rules`].
    pub rule: u32,
    /// What it says.
    pub verdict: Verdict,
}

impl Verdict {
    /// How far the event is from making the rule fire: first those that it reads, then by the
    /// number of tests. 0 when it fires.
    pub fn distance(&self) -> (bool, usize) {
        (!self.reads, self.lacks.len())
    }
}

impl RuleSet {
    /// The tests of an event rule that held for one row: selection, field, test and value.
    pub fn explain(&self, rule: u32, batch: &Batch, row: usize) -> Vec<Reason> {
        let Some(Some(body)) = self.events.get(rule as usize) else { return Vec::new() };
        if row >= batch.rows() {
            return Vec::new();
        }
        let one = batch.slice(row, 1);
        let mut reasons = Vec::new();
        with_event(&one, body, |event| {
            let mut explain = Explain { body, event, reasons: &mut reasons, selection: "" };
            if body.node(&body.condition, event) {
                explain.node(&body.condition);
            }
        });
        reasons.truncate(REASONS_MAX);
        reasons
    }

    /// What an event rule says of one row; `None` for a correlation or where there is no such rule
    /// or row.
    pub fn verdict(&self, rule: u32, batch: &Batch, row: usize) -> Option<Verdict> {
        let (info, body) = (self.infos.get(rule as usize)?, self.events.get(rule as usize)?);
        let body = body.as_ref()?;
        (row < batch.rows()).then_some(())?;
        let one = batch.slice(row, 1);
        let source = groups(&one).first().map(|(source, _)| *source)?;
        let reads = LogSource::of(info).reads(&source);
        let (lacks, held): (Vec<Reason>, usize) = with_event(&one, body, |event| {
            let lacking = Lacking { body, event };
            let changes = lacking.changes(&body.condition, true, "");
            let lacks = changes.into_iter().take(REASONS_MAX).map(|change| lacking.reason(change));
            let asks = |test: &&Test| !test.negate && !test.any.contains(&Pred::Absent);
            let held = body.tests.iter().filter(asks).filter(|test| test.holds(event)).count();
            (lacks.collect(), held)
        });
        let event_source = [source.product, source.category, source.service].map(String::from);
        Some(Verdict { fires: reads && lacks.is_empty(), event_source, reads, lacks, held })
    }

    /// The rules that fire on one row, and then those that nearly do, the nearest first: they read
    /// its log source, something that they ask for is there, and at most `lacks_max` tests would
    /// have to come out otherwise. At most `count` in all.
    pub fn near(&self, batch: &Batch, row: usize, lacks_max: usize, count: usize) -> Vec<Near> {
        let verdict = |rule| Some(Near { rule, verdict: self.verdict(rule, batch, row)? });
        let nearly = |near: &Near| {
            let verdict = &near.verdict;
            let lacks = verdict.lacks.len();
            verdict.reads && (verdict.fires || verdict.held > 0 && lacks <= lacks_max)
        };
        let mut near: Vec<Near> =
            (0..self.infos.len() as u32).filter_map(verdict).filter(nearly).collect();
        near.sort_by_key(|near| (near.verdict.lacks.len(), std::cmp::Reverse(near.verdict.held)));
        near.truncate(count);
        near
    }
}

/// A test that would have to come out as wanted, and the selection that it is in.
#[derive(Debug, Clone, Copy)]
struct Change<'e> {
    selection: &'e str,
    test: u32,
    wanted: bool,
}

/// Finds the fewest changes that make a condition come out as wanted.
struct Lacking<'e, 'l, 'v> {
    body: &'e EventRule,
    event: EventFields<'l, 'v>,
}

impl<'e> Lacking<'e, '_, '_> {
    fn changes(&self, node: &'e Node, wanted: bool, selection: &'e str) -> Vec<Change<'e>> {
        let each = |nodes: &'e [Node]| -> Vec<Vec<Change<'e>>> {
            nodes.iter().map(|node| self.changes(node, wanted, selection)).collect()
        };
        match node {
            Node::Not(node) => self.changes(node, !wanted, selection),
            Node::Selection(index) => {
                let (name, node) = &self.body.selections[*index as usize];
                self.changes(node, wanted, name)
            }
            Node::Test(test) => {
                let holds = self.body.tests[*test as usize].holds(self.event);
                if holds == wanted {
                    vec![]
                } else {
                    vec![Change { selection, test: *test, wanted }]
                }
            }
            Node::All(nodes) if wanted => each(nodes).concat(),
            Node::Any(nodes) if !wanted => each(nodes).concat(),
            Node::All(nodes) | Node::Any(nodes) => fewest(each(nodes), 1),
            Node::AtLeast(count, nodes) if wanted => fewest(each(nodes), *count),
            // One less than the count may hold.
            Node::AtLeast(count, nodes) => {
                fewest(each(nodes), (nodes.len() + 1).saturating_sub(*count))
            }
        }
    }

    fn reason(&self, change: Change<'e>) -> Reason {
        let test = &self.body.tests[change.test as usize];
        let shown = alternatives(test);
        let value = self.event.get(&test.field).filter(|value| !value.null);
        Reason {
            selection: change.selection.to_string(),
            field: test.field.clone(),
            test: if change.wanted == test.negate { format!("not ({shown})") } else { shown },
            value: value.map_or_else(String::new, |value| cut(&value.text)),
        }
    }
}

/// The cheapest `count` of these together.
fn fewest<'e>(mut each: Vec<Vec<Change<'e>>>, count: usize) -> Vec<Change<'e>> {
    each.sort_by_key(Vec::len);
    each.truncate(count);
    each.concat()
}

/// What a test asks, not all of it where it has many values.
fn alternatives(test: &Test) -> String {
    let mut shown: Vec<String> =
        test.any.iter().take(ALTERNATIVES_MAX).map(|pred| cut(&pred.to_string())).collect();
    match test.any.len().saturating_sub(ALTERNATIVES_MAX) {
        0 => {}
        more => shown.push(format!("{more} more")),
    }
    shown.join(" or ")
}

/// Runs `with` with the fields of `body` in the only row of `one`.
pub(crate) fn with_event<T>(
    one: &Batch,
    body: &EventRule,
    with: impl FnOnce(EventFields<'_, '_>) -> T,
) -> T {
    let mut names: Vec<String> = Vec::new();
    for test in &body.tests {
        let others = test.any.iter().filter_map(|pred| match pred {
            Pred::FieldRef { field, .. } => Some(field),
            _ => None,
        });
        for name in others.chain([&test.field]) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    let product = groups(one).first().map_or("", |(source, _)| source.product);
    let plan = FieldPlan::new(product, names.clone());
    let view = View::new(one, vec![0], &plan);
    let columns: Vec<_> = view.columns.iter().collect();
    with(EventFields { names: &names, columns: &columns, row: 0 })
}

/// Collects what held where the condition asked for it.
struct Explain<'e, 'l, 'v> {
    body: &'e EventRule,
    event: EventFields<'l, 'v>,
    reasons: &'e mut Vec<Reason>,
    selection: &'e str,
}

impl Explain<'_, '_, '_> {
    /// Only parts that hold are followed, and nothing under a negation.
    fn node(&mut self, node: &Node) {
        match node {
            Node::All(nodes) | Node::Any(nodes) | Node::AtLeast(_, nodes) => {
                for node in nodes {
                    if self.body.node(node, self.event) {
                        self.node(node);
                    }
                }
            }
            Node::Not(_) => {}
            Node::Selection(index) => {
                let (name, node) = &self.body.selections[*index as usize];
                let outer = std::mem::replace(&mut self.selection, name);
                self.node(node);
                self.selection = outer;
            }
            Node::Test(index) => self.test(*index),
        }
    }

    fn test(&mut self, index: u32) {
        let test = &self.body.tests[index as usize];
        let Some(pred) = test.held(self.event) else { return };
        let shown = match test.negate {
            true => format!("not {pred}"),
            false => pred.to_string(),
        };
        let value = self.event.get(&test.field).map_or("", |value| value.text.as_ref());
        let value = match (test.field.as_str(), pred) {
            // The part of a long record that says why, not its first bytes.
            (KEYWORD_FIELD, Pred::Text { text, .. }) => around(value, &text.text),
            _ => value,
        };
        let reason = Reason {
            selection: self.selection.to_string(),
            field: test.field.clone(),
            test: cut(&shown),
            value: cut(value),
        };
        if self.reasons.len() < REASONS_MAX && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }
}

/// A piece of `text` that starts a little before `part`.
fn around<'t>(text: &'t str, part: &str) -> &'t str {
    let Some(at) = text.to_ascii_lowercase().find(&part.to_ascii_lowercase()) else { return text };
    let start = at.saturating_sub(120);
    let start = (start..=at).find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    &text[start..]
}
