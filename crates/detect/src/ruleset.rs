//! A compiled set of rules: which match which rows, and why.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;
use pugmark_event::Batch;

use crate::correlation::{self, Correlation};
use crate::cost::Costs;
use crate::detection::RuleInfo;
use crate::exception::narrowed;
use crate::hit::Feeds;
use crate::load::Problem;
use crate::logsource::{LogSource, groups};
use crate::matcher::{Partition, Route};
use crate::rule::{Body, EventRule, Node, Rule};
use crate::view::View;

/// Log sources whose routes are kept; past that they are worked out again each time.
const ROUTES_MAX: usize = 1024;

/// A rule matched a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Match {
    /// Row of the batch.
    pub row: u32,
    /// Index into [`RuleSet::rules`].
    pub rule: u32,
}

/// Rules compiled together. Matching depends on nothing but the batch and the set.
#[derive(Debug)]
pub struct RuleSet {
    pub(crate) infos: Vec<Arc<RuleInfo>>,
    /// `None` for correlations.
    pub(crate) events: Vec<Option<Arc<EventRule>>>,
    partitions: Vec<Partition>,
    /// Product, category and service of each partition.
    sources: Vec<[String; 3]>,
    correlations: Vec<Correlation>,
    feeds: Feeds,
    routes: RwLock<HashMap<[String; 3], Arc<Route>>>,
}

impl RuleSet {
    /// Compiles rules. What cannot be compiled is listed and left out.
    pub fn compile(rules: Vec<Rule>) -> (RuleSet, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut rules = apply_filters(rules, &mut problems);
        let correlations = correlation::compile(&mut rules, &mut problems);
        let mut events = Vec::with_capacity(rules.len());
        let mut infos = Vec::with_capacity(rules.len());
        for rule in rules {
            infos.push(Arc::new(rule.info));
            events.push(match rule.body {
                Body::Event(body) => Some(body),
                Body::Correlation(_) | Body::Filter { .. } => None,
            });
        }
        let mut set = RuleSet {
            infos,
            events,
            partitions: Vec::new(),
            sources: Vec::new(),
            feeds: Feeds::new(&correlations),
            correlations,
            routes: RwLock::default(),
        };
        set.partition(&mut problems);
        (set, problems)
    }

    /// What the rules say about themselves; [`Match::rule`] counts in this order.
    pub fn rules(&self) -> &[Arc<RuleInfo>] {
        &self.infos
    }

    /// All event rules that match, by row, then by rule.
    pub fn matches(&self, batch: &Batch) -> Vec<Match> {
        self.matches_measured(batch, &mut Costs::off())
    }

    pub(crate) fn matches_measured(&self, batch: &Batch, costs: &mut Costs) -> Vec<Match> {
        let mut matches = Vec::new();
        for (source, rows) in groups(batch) {
            let route = self.route(&source);
            if route.partitions.is_empty() {
                continue;
            }
            let view = View::new(batch, rows, &route.plan);
            for (partition, fields) in &route.partitions {
                let hit = &mut |row, rule| matches.push(Match { row, rule });
                self.partitions[*partition].run(&view, fields, costs, hit);
            }
        }
        matches.sort_unstable();
        matches
    }

    pub(crate) fn correlations(&self) -> &[Correlation] {
        &self.correlations
    }

    /// Product, category and service that rules read, empty where a rule names none.
    pub(crate) fn sources(&self) -> &[[String; 3]] {
        &self.sources
    }

    /// Names of the fields that rules test.
    pub(crate) fn field_names(&self) -> impl Iterator<Item = &str> {
        self.partitions.iter().flat_map(|partition| partition.fields.iter().map(String::as_str))
    }

    /// The rules over events that are looked at, with their indices.
    pub(crate) fn matched_rules(&self) -> impl Iterator<Item = (u32, &EventRule)> {
        let all = (0u32..).zip(self.infos.iter().zip(&self.events));
        all.filter(|(index, (info, _))| !info.silent || !self.feeds.of(*index).is_empty())
            .filter_map(|(index, (_, body))| Some((index, body.as_deref()?)))
    }

    pub(crate) fn feeds(&self) -> &Feeds {
        &self.feeds
    }

    /// Makes detections of a rule that only feeds a correlation, as if nothing referred to it.
    pub fn unsilence(&mut self, rule: u32) {
        if let Some(info) = self.infos.get_mut(rule as usize) {
            Arc::make_mut(info).silent = false;
        }
    }

    /// Index of a rule by its id.
    pub fn index_of(&self, id: &str) -> Option<u32> {
        self.infos.iter().position(|info| info.id == id).map(|index| index as u32)
    }

    /// True when the rule reads events of this product, category and service (empty where an event
    /// has none); a correlation, when one of its rules does.
    pub fn reads(&self, rule: u32, [product, category, service]: &[String; 3]) -> bool {
        let mut open = vec![rule];
        let source = LogSource { product, category, service };
        while let Some(rule) = open.pop() {
            match self.correlations.iter().find(|correlation| correlation.rule == rule) {
                Some(correlation) => open.extend(&correlation.refs),
                None => {
                    let info = self.infos.get(rule as usize);
                    if info.is_some_and(|info| LogSource::of(info).reads(&source)) {
                        return true;
                    }
                }
            }
        }
        false
    }

    fn partition(&mut self, problems: &mut Vec<Problem>) {
        let mut by_source: BTreeMap<LogSource<'_>, Vec<(u32, &EventRule)>> = BTreeMap::new();
        for (index, body) in self.matched_rules() {
            let source = LogSource::of(&self.infos[index as usize]);
            by_source.entry(source).or_default().push((index, body));
        }
        let mut partitions = Vec::new();
        for (source, rules) in by_source {
            let compiled = Partition::new(&rules).map(|partition| vec![partition]);
            // One rule with too much text must not take the others of its log source down.
            let compiled = compiled.unwrap_or_else(|_| alone(&rules, &self.infos, problems));
            let source = [source.product, source.category, source.service].map(String::from);
            partitions.extend(compiled.into_iter().map(|partition| (partition, source.clone())));
        }
        (self.partitions, self.sources) = partitions.into_iter().unzip();
    }

    /// Which partitions read this log source, and where its fields lie.
    fn route(&self, source: &LogSource<'_>) -> Arc<Route> {
        let key = [source.product, source.category, source.service].map(String::from);
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = routes.get(&key) {
            return route.clone();
        }
        drop(routes);
        let applying: Vec<usize> = (0..self.partitions.len())
            .filter(|&i| {
                let [product, category, service] = &self.sources[i];
                LogSource { product, category, service }.reads(source)
            })
            .collect();
        let route = Arc::new(Route::new(source.product, &self.partitions, &applying));
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        if routes.len() < ROUTES_MAX {
            routes.insert(key, route.clone());
        }
        route
    }

    /// The plain reading of a rule, to check the matcher against.
    #[cfg(test)]
    pub(crate) fn matches_plainly(&self, batch: &Batch) -> Vec<Match> {
        let mut matches = Vec::new();
        for row in 0..batch.rows() {
            let one = batch.slice(row, 1);
            let (source, _) = groups(&one).remove(0);
            for (rule, (info, body)) in (0u32..).zip(self.infos.iter().zip(&self.events)) {
                let Some(body) = body else { continue };
                if LogSource::of(info).reads(&source)
                    && crate::explain::with_event(&one, body, |event| body.holds(event))
                {
                    matches.push(Match { row: row as u32, rule });
                }
            }
        }
        matches
    }
}

fn alone(
    rules: &[(u32, &EventRule)],
    infos: &[Arc<RuleInfo>],
    problems: &mut Vec<Problem>,
) -> Vec<Partition> {
    let mut partitions = Vec::new();
    for rule in rules {
        let info = &infos[rule.0 as usize];
        match Partition::new(&[*rule]) {
            Ok(partition) => partitions.push(partition),
            Err(e) => problems.push(Problem {
                path: info.path.clone(),
                line: None,
                rule: Some(info.id.clone()),
                message: format!("its values do not fit an automaton: {e}"),
                hint: "shorten the lists".into(),
            }),
        }
    }
    partitions
}

/// Filters are folded into the rules that they narrow.
fn apply_filters(rules: Vec<Rule>, problems: &mut Vec<Problem>) -> Vec<Rule> {
    let (filters, mut rules): (Vec<Rule>, Vec<Rule>) =
        rules.into_iter().partition(|rule| matches!(rule.body, Body::Filter { .. }));
    for filter in filters {
        let Body::Filter { body, exception, .. } = &filter.body else { continue };
        let (narrowed, wrong) = narrowed(&rules, &filter);
        problems.extend(wrong.into_iter().map(|(target, why)| Problem {
            path: filter.info.path.clone(),
            line: Some(filter.line),
            rule: Some(filter.info.id.clone()),
            message: format!("the filter is for `{target}`, which is {why}"),
            hint: "name rules over events by id".into(),
        }));
        for index in narrowed {
            if let Body::Event(rule) = &mut rules[index].body {
                *rule = Arc::new(narrow(rule, body, &filter.info.title));
                rules[index].info.exceptions.push(exception.clone());
            }
        }
    }
    rules
}

/// `rule` and `filter` together.
fn narrow(rule: &EventRule, filter: &EventRule, title: &str) -> EventRule {
    let (tests, selections) = (rule.tests.len() as u32, rule.selections.len() as u32);
    fn shift(node: &Node, tests: u32, selections: u32) -> Node {
        let all = |nodes: &[Node]| nodes.iter().map(|n| shift(n, tests, selections)).collect();
        match node {
            Node::All(nodes) => Node::All(all(nodes)),
            Node::Any(nodes) => Node::Any(all(nodes)),
            Node::AtLeast(count, nodes) => Node::AtLeast(*count, all(nodes)),
            Node::Not(node) => Node::Not(Box::new(shift(node, tests, selections))),
            Node::Test(test) => Node::Test(test + tests),
            Node::Selection(index) => Node::Selection(index + selections),
        }
    }
    let mut both = rule.clone();
    both.tests.extend(filter.tests.iter().cloned());
    both.selections.extend(
        filter
            .selections
            .iter()
            .map(|(name, node)| (format!("{title}: {name}"), shift(node, tests, selections))),
    );
    both.condition =
        Node::All(vec![rule.condition.clone(), shift(&filter.condition, tests, selections)]);
    both
}
