//! All rules of one log source at once.
//!
//! Each field has one automaton over the literals of all rules (and a second where case counts).
//! It runs once per distinct value and gives the tests that hold. A rule is looked at only in rows
//! where one of its witnesses held: a small set of tests of which at least one must hold if the
//! rule does. What automata cannot answer (expressions, networks, numbers) is asked only then, once
//! per distinct value, and not where the value lacks a text that it must have.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, AhoCorasickKind, packed};
use hashbrown::HashMap;

use crate::cost::Costs;
use crate::pattern::fold_in;
use crate::required::required;
use crate::rule::{EventRule, Node, Place, Pred, Test};
use crate::view::{Column, EventFields, FieldPlan, NONE, Value, View};

/// The rules of one log source, compiled.
#[derive(Debug)]
pub(crate) struct Partition {
    /// Names of all fields that the rules read.
    pub(crate) fields: Vec<String>,
    matchers: Vec<FieldMatcher>,
    tests: Vec<PartTest>,
    rules: Vec<PartRule>,
    /// Per field, the rules that test it, as indices in the rule set.
    readers: Vec<Vec<u32>>,
    /// Per test, the rules of which it is a witness.
    witness_of: Vec<Vec<u32>>,
    /// Rules that may fire where nothing is there.
    always: Vec<u32>,
}

#[derive(Debug)]
struct PartTest {
    field: u32,
    /// What automata do not answer.
    rest: Vec<Lazy>,
    negate: bool,
}

/// A predicate that is asked value by value.
#[derive(Debug)]
struct Lazy {
    pred: Pred,
    /// The test "the value has a text that this requires".
    gate: Option<u32>,
}

#[derive(Debug)]
struct PartRule {
    /// Index in the rule set.
    rule: u32,
    /// Condition and selections with the tests of the partition.
    body: EventRule,
}

/// Literals of one field.
#[derive(Debug, Default)]
struct FieldMatcher {
    folded: Literals,
    cased: Literals,
    /// The test that stands for "there is a value", if a rule needs it as a witness.
    present: Option<u32>,
}

#[derive(Debug, Default)]
struct Literals {
    whole: HashMap<Box<str>, Vec<u32>>,
    /// Lengths that whole values have, of 64: most values need not be hashed.
    whole_lengths: u64,
    automaton: Option<AhoCorasick>,
    /// Where there are few: says much faster that a value has none of them.
    any: Option<packed::Searcher>,
    /// Per pattern of the automaton, which tests want it where.
    wanted: Vec<Vec<(Place, u32)>>,
}

/// Bytes of literals up to which an automaton has a row of steps for each state: twice as fast, and
/// about 256 bytes for each of these.
const DFA_BYTES_MAX: usize = 16 << 10;

impl Partition {
    /// Compiles `rules`; the number is the index in the rule set.
    ///
    /// # Errors
    /// When the literals are too many for an automaton.
    pub(crate) fn new(rules: &[(u32, &EventRule)]) -> Result<Self, aho_corasick::BuildError> {
        Builder::default().build(rules)
    }

    /// Calls `hit(row of the batch, rule)` for each match. `fields` says which column of the view
    /// each of [`Partition::fields`] is.
    pub(crate) fn run(
        &self,
        view: &View<'_>,
        fields: &[u32],
        costs: &mut Costs,
        hit: &mut dyn FnMut(u32, u32),
    ) {
        let columns: Vec<&Column<'_>> = fields.iter().map(|&i| &view.columns[i as usize]).collect();
        let found = self.matchers.iter().zip(&self.readers).zip(&columns);
        let hits: Vec<Hits> = found
            .map(|((matcher, readers), column)| {
                let begun = costs.begin();
                let hits = matcher.run(column);
                costs.charge(readers, begun);
                hits
            })
            .collect();
        let live: Vec<usize> = (0..hits.len()).filter(|&i| !hits[i].tests.is_empty()).collect();
        let mut run = Run {
            partition: self,
            columns,
            row: 0,
            held: vec![false; self.tests.len()],
            memo: HashMap::new(),
        };
        let mut held: Vec<u32> = Vec::new();
        let mut last_row = vec![u32::MAX; self.rules.len()];
        for row in 0..view.rows.len() {
            run.row = row;
            for test in held.drain(..) {
                run.held[test as usize] = false;
            }
            for &field in &live {
                held.extend_from_slice(hits[field].of(run.columns[field].ids[row]));
            }
            for &test in &held {
                run.held[test as usize] = true;
            }
            let candidates = held.iter().flat_map(|&test| &self.witness_of[test as usize]);
            for &rule in candidates.chain(&self.always) {
                if last_row[rule as usize] == row as u32 {
                    continue;
                }
                last_row[rule as usize] = row as u32;
                let rule = &self.rules[rule as usize];
                let begun = costs.begin();
                let matched = run.node(&rule.body, &rule.body.condition);
                costs.charge(&[rule.rule], begun);
                if matched {
                    hit(view.rows[row], rule.rule);
                }
            }
        }
    }
}

/// The tests that hold for each distinct value of a column.
struct Hits {
    tests: Vec<u32>,
    ends: Vec<u32>,
}

impl Hits {
    fn of(&self, value: u32) -> &[u32] {
        if value == NONE {
            return &[];
        }
        let value = value as usize;
        let start = if value == 0 { 0 } else { self.ends[value - 1] };
        &self.tests[start as usize..self.ends[value] as usize]
    }
}

impl FieldMatcher {
    fn run(&self, column: &Column<'_>) -> Hits {
        let mut hits = Hits { tests: Vec::new(), ends: Vec::with_capacity(column.values.len()) };
        let mut room = String::new();
        for value in &column.values {
            let start = hits.tests.len();
            if !value.null {
                self.value(value, &mut room, &mut hits.tests);
            }
            hits.tests[start..].sort_unstable();
            let mut kept = start;
            for i in start..hits.tests.len() {
                if i == start || hits.tests[i] != hits.tests[i - 1] {
                    hits.tests.swap(kept, i);
                    kept += 1;
                }
            }
            hits.tests.truncate(kept);
            hits.ends.push(hits.tests.len() as u32);
        }
        hits
    }

    /// `room` is for texts whose letters are folded.
    fn value(&self, value: &Value<'_>, room: &mut String, tests: &mut Vec<u32>) {
        tests.extend(self.present);
        if !self.folded.is_empty() {
            for text in value.texts() {
                self.folded.find(fold_in(room, text), tests);
            }
        }
        if !self.cased.is_empty() {
            for text in value.texts() {
                self.cased.find(text, tests);
            }
        }
    }
}

impl Literals {
    fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.automaton.is_none()
    }

    fn find(&self, text: &str, tests: &mut Vec<u32>) {
        if self.whole_lengths >> (text.len() % 64) & 1 == 1
            && let Some(found) = self.whole.get(text)
        {
            tests.extend_from_slice(found);
        }
        let Some(automaton) = &self.automaton else { return };
        if self.any.as_ref().is_some_and(|any| any.find(text).is_none()) {
            return;
        }
        for found in automaton.find_overlapping_iter(text) {
            for &(place, test) in &self.wanted[found.pattern().as_usize()] {
                let fits = match place {
                    Place::Start => found.start() == 0,
                    Place::End => found.end() == text.len(),
                    Place::Anywhere | Place::Whole => true,
                };
                if fits {
                    tests.push(test);
                }
            }
        }
    }
}

/// One pass over a view.
struct Run<'r, 'v> {
    partition: &'r Partition,
    columns: Vec<&'r Column<'v>>,
    row: usize,
    held: Vec<bool>,
    /// Answers of tests that read one value only.
    memo: HashMap<(u32, u32), bool>,
}

impl Run<'_, '_> {
    fn node(&mut self, rule: &EventRule, node: &Node) -> bool {
        match node {
            Node::All(nodes) => nodes.iter().all(|n| self.node(rule, n)),
            Node::Any(nodes) => nodes.iter().any(|n| self.node(rule, n)),
            Node::AtLeast(count, nodes) => {
                nodes.iter().filter(|n| self.node(rule, n)).take(*count).count() >= *count
            }
            Node::Not(node) => !self.node(rule, node),
            Node::Selection(index) => self.node(rule, &rule.selections[*index as usize].1),
            Node::Test(test) => self.test(*test),
        }
    }

    fn test(&mut self, index: u32) -> bool {
        let test = &self.partition.tests[index as usize];
        let held = self.held[index as usize] || self.rest(index, test);
        match test.negate {
            false => held,
            true => {
                !held && self.columns[test.field as usize].at(self.row).is_some_and(|v| !v.null)
            }
        }
    }

    fn rest(&mut self, index: u32, test: &PartTest) -> bool {
        let open = |lazy: &Lazy| lazy.gate.is_none_or(|gate| self.held[gate as usize]);
        if !test.rest.iter().any(open) {
            return false;
        }
        let column = self.columns[test.field as usize];
        let key = (index, column.ids[self.row]);
        // A value alone does not say what another field of the row holds.
        let of_row = test.rest.iter().any(|lazy| matches!(lazy.pred, Pred::FieldRef { .. }));
        if !of_row && let Some(&known) = self.memo.get(&key) {
            return known;
        }
        let event =
            EventFields { names: &self.partition.fields, columns: &self.columns, row: self.row };
        let value = column.at(self.row);
        let open = |lazy: &Lazy| lazy.gate.is_none_or(|gate| self.held[gate as usize]);
        let held = test.rest.iter().any(|lazy| open(lazy) && lazy.pred.holds(value, event));
        if !of_row {
            self.memo.insert(key, held);
        }
        held
    }
}

#[derive(Default)]
struct Builder<'t> {
    fields: Vec<String>,
    field_index: HashMap<String, u32>,
    /// The tests as written; none for those that only stand for a value.
    sources: Vec<Option<&'t Test>>,
    test_index: HashMap<&'t Test, u32>,
    tests: Vec<PartTest>,
    present: HashMap<u32, u32>,
    /// Texts that predicates require, and the tests that stand for them.
    gates: Vec<(Vec<String>, u32)>,
    gate_costs: HashMap<u32, f64>,
}

impl<'t> Builder<'t> {
    fn build(
        mut self,
        rules: &[(u32, &'t EventRule)],
    ) -> Result<Partition, aho_corasick::BuildError> {
        let mut compiled = Vec::with_capacity(rules.len());
        let mut witnesses: Vec<Option<Vec<u32>>> = Vec::with_capacity(rules.len());
        for &(rule, body) in rules {
            let ids: Vec<u32> = body.tests.iter().map(|test| self.test(test)).collect();
            let body = EventRule {
                tests: Vec::new(),
                selections: body
                    .selections
                    .iter()
                    .map(|(_, node)| (String::new(), renumber(node, &ids)))
                    .collect(),
                condition: renumber(&body.condition, &ids),
            };
            witnesses.push(self.witness(&body, &body.condition).map(|w| w.tests));
            compiled.push(PartRule { rule, body });
        }
        let mut witness_of = vec![Vec::new(); self.tests.len()];
        let mut always = Vec::new();
        for (rule, witness) in (0u32..).zip(witnesses) {
            match witness {
                Some(tests) => tests.iter().for_each(|&t| witness_of[t as usize].push(rule)),
                None => always.push(rule),
            }
        }
        let matchers = self.matchers()?;
        let mut readers = vec![Vec::new(); self.fields.len()];
        for &(rule, body) in rules {
            let read: BTreeSet<u32> =
                body.tests.iter().map(|test| self.field_index[&test.field]).collect();
            read.into_iter().for_each(|field| readers[field as usize].push(rule));
        }
        let (fields, tests) = (self.fields, self.tests);
        Ok(Partition { fields, matchers, tests, rules: compiled, readers, witness_of, always })
    }

    fn field(&mut self, name: &str) -> u32 {
        if let Some(&known) = self.field_index.get(name) {
            return known;
        }
        let index = self.fields.len() as u32;
        self.fields.push(name.to_string());
        self.field_index.insert(name.to_string(), index);
        index
    }

    /// The number of a test; equal tests of different rules share one.
    fn test(&mut self, test: &'t Test) -> u32 {
        if let Some(&known) = self.test_index.get(test) {
            return known;
        }
        let field = self.field(&test.field);
        for pred in &test.any {
            if let Pred::FieldRef { field, .. } = pred {
                self.field(field);
            }
        }
        let lazy = test.any.iter().filter(|pred| literal(pred).is_none());
        let rest = lazy.map(|pred| Lazy { pred: pred.clone(), gate: self.gate(field, pred) });
        let rest = rest.collect();
        let index = self.tests.len() as u32;
        self.tests.push(PartTest { field, rest, negate: test.negate });
        self.sources.push(Some(test));
        self.test_index.insert(test, index);
        index
    }

    /// The test "the field has a text that this requires", if it requires one.
    fn gate(&mut self, field: u32, pred: &Pred) -> Option<u32> {
        let texts = required(pred)?;
        self.sources.push(None);
        self.tests.push(PartTest { field, rest: Vec::new(), negate: false });
        let index = self.tests.len() as u32 - 1;
        self.gate_costs.insert(index, texts.iter().map(|text| cost(text)).sum());
        self.gates.push((texts, index));
        Some(index)
    }

    /// The cheapest set of tests of which one must hold where the node does. `None` when the node
    /// can hold where nothing is there.
    fn witness(&mut self, rule: &EventRule, node: &Node) -> Option<Witness> {
        match node {
            Node::Not(_) => None,
            Node::Selection(index) => self.witness(rule, &rule.selections[*index as usize].1),
            Node::Test(test) => self.test_witness(*test),
            Node::All(nodes) => nodes
                .iter()
                .filter_map(|node| self.witness(rule, node))
                .min_by(|a, b| a.cost.total_cmp(&b.cost)),
            Node::AtLeast(0, _) => None,
            Node::Any(nodes) | Node::AtLeast(_, nodes) => {
                let mut union = Witness { cost: 0.0, tests: Vec::new() };
                for node in nodes {
                    let witness = self.witness(rule, node)?;
                    union.cost += witness.cost;
                    union.tests.extend(witness.tests);
                }
                union.tests.sort_unstable();
                union.tests.dedup();
                Some(union)
            }
        }
    }

    fn test_witness(&mut self, index: u32) -> Option<Witness> {
        let test = &self.tests[index as usize];
        let source = self.sources[index as usize]?;
        let gates: Option<Vec<u32>> = test.rest.iter().map(|lazy| lazy.gate).collect();
        if let Some(gates) = gates.filter(|_| !test.negate) {
            let literals = source.any.iter().filter_map(literal);
            let mut sum: f64 = literals.map(|(_, text)| cost(&text.text)).sum();
            sum += gates.iter().map(|gate| self.gate_costs[gate]).sum::<f64>();
            let tests = gates.into_iter().chain([index]).collect();
            return Some(Witness { cost: sum, tests });
        }
        if !test.negate && test.rest.iter().any(|lazy| lazy.pred == Pred::Absent) {
            return None;
        }
        let field = test.field;
        Some(Witness { cost: 1.0, tests: vec![self.present(field)] })
    }

    /// The test "the field has a value", which costs nothing to answer.
    fn present(&mut self, field: u32) -> u32 {
        let (tests, sources) = (&mut self.tests, &mut self.sources);
        *self.present.entry(field).or_insert_with(|| {
            sources.push(None);
            tests.push(PartTest { field, rest: Vec::new(), negate: false });
            tests.len() as u32 - 1
        })
    }

    fn matchers(&self) -> Result<Vec<FieldMatcher>, aho_corasick::BuildError> {
        type Places<'t> = HashMap<String, Vec<(Place, u32)>>;
        let mut literals: Vec<[Places<'_>; 2]> = Vec::new();
        literals.resize_with(self.fields.len(), Default::default);
        for (index, source) in (0u32..).zip(&self.sources) {
            let Some(source) = source else { continue };
            let field = self.tests[index as usize].field as usize;
            for (place, text) in source.any.iter().filter_map(literal) {
                literals[field][usize::from(text.cased)]
                    .entry(text.needle().into_owned())
                    .or_default()
                    .push((place, index));
            }
        }
        for (texts, index) in &self.gates {
            let field = self.tests[*index as usize].field as usize;
            for text in texts {
                let places = literals[field][0].entry(text.clone()).or_default();
                places.push((Place::Anywhere, *index));
            }
        }
        let mut matchers = Vec::with_capacity(literals.len());
        for (field, [folded, cased]) in (0u32..).zip(literals) {
            matchers.push(FieldMatcher {
                folded: Literals::new(folded)?,
                cased: Literals::new(cased)?,
                present: self.present.get(&field).copied(),
            });
        }
        Ok(matchers)
    }
}

impl Literals {
    fn new(places: HashMap<String, Vec<(Place, u32)>>) -> Result<Self, aho_corasick::BuildError> {
        let mut places: Vec<_> = places.into_iter().collect();
        places.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut literals = Self::default();
        let mut patterns = Vec::new();
        for (text, wanted) in places {
            let (whole, parts): (Vec<_>, Vec<_>) =
                wanted.into_iter().partition(|(place, _)| *place == Place::Whole);
            if !parts.is_empty() {
                literals.wanted.push(parts);
                patterns.push(text.clone());
            }
            if !whole.is_empty() {
                let tests = whole.into_iter().map(|(_, test)| test).collect();
                literals.whole_lengths |= 1 << (text.len() % 64);
                literals.whole.insert(text.into_boxed_str(), tests);
            }
        }
        if !patterns.is_empty() {
            let bytes: usize = patterns.iter().map(String::len).sum();
            let kind = (bytes <= DFA_BYTES_MAX).then_some(AhoCorasickKind::DFA);
            literals.any = packed::Searcher::new(&patterns);
            literals.automaton = Some(AhoCorasick::builder().kind(kind).build(&patterns)?);
        }
        Ok(literals)
    }
}

struct Witness {
    /// Guess at how often it holds, of 1.
    cost: f64,
    tests: Vec<u32>,
}

/// Longer texts are rarer; very short ones are everywhere.
fn cost(text: &str) -> f64 {
    0.7f64.powi(text.len().min(40) as i32)
}

/// The literal of a predicate that an automaton can answer.
fn literal(pred: &Pred) -> Option<(Place, &crate::pattern::Text)> {
    match pred {
        // An empty text is in every value; only "is empty" is a question.
        Pred::Text { place, text } if *place == Place::Whole || !text.text.is_empty() => {
            Some((*place, text))
        }
        _ => None,
    }
}

fn renumber(node: &Node, ids: &[u32]) -> Node {
    let all = |nodes: &[Node]| nodes.iter().map(|n| renumber(n, ids)).collect();
    match node {
        Node::All(nodes) => Node::All(all(nodes)),
        Node::Any(nodes) => Node::Any(all(nodes)),
        Node::AtLeast(count, nodes) => Node::AtLeast(*count, all(nodes)),
        Node::Not(node) => Node::Not(Box::new(renumber(node, ids))),
        Node::Test(test) => Node::Test(ids[*test as usize]),
        Node::Selection(index) => Node::Selection(*index),
    }
}

/// What the partitions that apply to one log source need, resolved for its product.
#[derive(Debug)]
pub(crate) struct Route {
    /// Partition and, for each of its fields, the field of the plan.
    pub(crate) partitions: Vec<(usize, Vec<u32>)>,
    pub(crate) plan: FieldPlan,
}

impl Route {
    pub(crate) fn new(product: &str, partitions: &[Partition], applying: &[usize]) -> Self {
        let mut names: Vec<String> = Vec::new();
        let mut index: HashMap<&str, u32> = HashMap::new();
        let mut routed = Vec::new();
        for &partition in applying {
            let mut fields = Vec::new();
            for name in &partitions[partition].fields {
                fields.push(*index.entry(name).or_insert_with(|| {
                    names.push(name.clone());
                    names.len() as u32 - 1
                }));
            }
            routed.push((partition, fields));
        }
        Self { partitions: routed, plan: FieldPlan::new(product, names) }
    }
}
