//! Correlations: their references resolved, in an order in which each comes after what it refers
//! to.

mod figure;
pub(crate) mod state;
pub(crate) mod window;

use hashbrown::{HashMap, HashSet};
use pugmark_event::time::{MINUTE, Micros};
use rsigma_parser::{ConditionExpr, Quantifier};

pub(crate) use self::figure::{Aggregate, bits};
use crate::detection::version;
use crate::load::{Problem, find};
use crate::rule::{Body, Comparison, CorrelationKind, CorrelationRule, Node, Rule};

/// How late an event may come behind later events of its source and still be counted exactly.
pub const LATENESS: Micros = 5 * MINUTE;

/// A correlation whose references are indices into the rule set.
#[derive(Debug)]
pub(crate) struct Correlation {
    /// Its own index.
    pub(crate) rule: u32,
    /// The rules it refers to, in their order.
    pub(crate) refs: Vec<u32>,
    pub(crate) kind: Kind,
    /// Names of the fields it groups by, as the rule says them.
    pub(crate) group_by: Vec<String>,
    /// Per reference, the fields that stand for `group_by` in its events.
    pub(crate) group_fields: Vec<Vec<String>>,
    /// Per reference, the fields whose values are counted.
    pub(crate) value_fields: Vec<Vec<String>>,
    pub(crate) span: Micros,
    /// True when another correlation refers to this one.
    pub(crate) has_parents: bool,
}

/// What a correlation looks for in a window.
#[derive(Debug)]
pub(crate) enum Kind {
    EventCount(Vec<(Comparison, u64)>),
    ValueCount(Vec<(Comparison, u64)>),
    /// An aggregate of numbers.
    Aggregate(Aggregate, Vec<(Comparison, u64)>),
    /// A condition over references: [`Node::Test`] is true where one was seen.
    Temporal(Node),
    TemporalOrdered,
}

impl Kind {
    /// Counts only new firings of correlations below, not each event that keeps them true.
    pub(crate) fn counts(&self) -> bool {
        matches!(self, Kind::EventCount(_) | Kind::ValueCount(_) | Kind::Aggregate(..))
    }
}

/// Resolves all correlations. What cannot be resolved is removed from `rules` with its reason;
/// rules that only feed correlations become silent.
pub(crate) fn compile(rules: &mut Vec<Rule>, problems: &mut Vec<Problem>) -> Vec<Correlation> {
    while let Some((index, message, hint)) = first_broken(rules) {
        let rule = rules.remove(index);
        problems.push(Problem {
            path: rule.info.path,
            line: Some(rule.line),
            rule: Some(rule.info.id),
            message,
            hint: hint.into(),
        });
    }
    let mut correlations: Vec<Correlation> = order(rules)
        .into_iter()
        .filter_map(|index| match &rules[index].body {
            Body::Correlation(rule) => Some(resolve(index, rule, rules)),
            _ => None,
        })
        .collect();
    for correlation in &correlations {
        // In this order, what is below has its version already.
        let below: Vec<String> = correlation
            .refs
            .iter()
            .map(|&rule| rules[rule as usize].info.version.clone())
            .collect();
        let info = &mut rules[correlation.rule as usize].info;
        let parts: Vec<&str> = std::iter::once(info.version.as_str())
            .chain(below.iter().map(String::as_str))
            .collect();
        info.version = version(&parts);
    }
    let referred: HashSet<u32> = correlations.iter().flat_map(|c| c.refs.clone()).collect();
    let loud: HashSet<u32> = correlations
        .iter()
        .filter(|c| matches!(&rules[c.rule as usize].body, Body::Correlation(r) if r.generate))
        .flat_map(|c| c.refs.clone())
        .collect();
    for (index, rule) in (0u32..).zip(rules.iter_mut()) {
        rule.info.silent = rule.off || referred.contains(&index) && !loud.contains(&index);
    }
    for correlation in &mut correlations {
        correlation.has_parents = referred.contains(&correlation.rule);
    }
    correlations
}

fn first_broken(rules: &[Rule]) -> Option<(usize, String, &'static str)> {
    for (index, rule) in rules.iter().enumerate() {
        let Body::Correlation(correlation) = &rule.body else { continue };
        for reference in &correlation.rules {
            if find(rules, reference).is_none() {
                let message =
                    format!("the correlation refers to `{reference}`, which is not there");
                return Some((index, message, "name a loaded rule by its id or name"));
            }
        }
        if reaches(rules, index) {
            let message = "the correlation refers to itself in a circle".to_string();
            return Some((index, message, "break the circle"));
        }
        if let CorrelationKind::Temporal(Some(condition)) = &correlation.kind
            && let Err(name) = temporal(condition, correlation, rules)
        {
            let message = format!("its condition names `{name}`, which is not among its rules");
            return Some((index, message, "list that rule under `rules`"));
        }
    }
    None
}

fn references(rules: &[Rule], index: usize) -> Vec<usize> {
    match &rules[index].body {
        Body::Correlation(c) => c.rules.iter().filter_map(|r| find(rules, r)).collect(),
        _ => Vec::new(),
    }
}

/// True when following references from `from` comes back to it.
fn reaches(rules: &[Rule], from: usize) -> bool {
    let mut seen = HashSet::new();
    let mut open = references(rules, from);
    while let Some(index) = open.pop() {
        if index == from {
            return true;
        }
        if seen.insert(index) {
            open.extend(references(rules, index));
        }
    }
    false
}

/// Correlations so that each comes after those it refers to. There are no circles left.
fn order(rules: &[Rule]) -> Vec<usize> {
    let mut depth: HashMap<usize, usize> = HashMap::new();
    fn depth_of(rules: &[Rule], index: usize, known: &mut HashMap<usize, usize>) -> usize {
        if let Some(&depth) = known.get(&index) {
            return depth;
        }
        let below = references(rules, index);
        let depth = below.iter().map(|&r| depth_of(rules, r, known) + 1).max().unwrap_or(0);
        known.insert(index, depth);
        depth
    }
    let mut order: Vec<usize> = (0..rules.len()).collect();
    order.sort_by_key(|&index| (depth_of(rules, index, &mut depth), index));
    order
}

fn resolve(index: usize, rule: &CorrelationRule, rules: &[Rule]) -> Correlation {
    let refs: Vec<usize> = rule.rules.iter().filter_map(|r| find(rules, r)).collect();
    let per_ref = |names: &[String]| -> Vec<Vec<String>> {
        refs.iter()
            .map(|&r| names.iter().map(|name| aliased(rule, name, r, rules)).collect())
            .collect()
    };
    let (kind, value_fields) = match &rule.kind {
        CorrelationKind::EventCount(list) => (Kind::EventCount(list.clone()), per_ref(&[])),
        CorrelationKind::ValueCount(list, fields) => {
            (Kind::ValueCount(list.clone()), per_ref(fields))
        }
        CorrelationKind::Aggregate(aggregate, list, field) => {
            let fields = per_ref(std::slice::from_ref(field));
            (Kind::Aggregate(*aggregate, list.clone()), fields)
        }
        CorrelationKind::TemporalOrdered => (Kind::TemporalOrdered, per_ref(&[])),
        CorrelationKind::Temporal(condition) => {
            let all = || Node::All((0..refs.len() as u32).map(Node::Test).collect());
            let node = condition.as_ref().and_then(|c| temporal(c, rule, rules).ok());
            (Kind::Temporal(node.unwrap_or_else(all)), per_ref(&[]))
        }
    };
    Correlation {
        rule: index as u32,
        kind,
        group_by: rule.group_by.clone(),
        group_fields: per_ref(&rule.group_by),
        value_fields,
        refs: refs.into_iter().map(|r| r as u32).collect(),
        span: rule.span,
        has_parents: false,
    }
}

/// What `name` is called in events of rule `reference`.
fn aliased(rule: &CorrelationRule, name: &str, reference: usize, rules: &[Rule]) -> String {
    rule.aliases
        .iter()
        .filter(|(alias, _)| alias == name)
        .flat_map(|(_, fields)| fields)
        .find(|(of, _)| find(rules, of) == Some(reference))
        .map_or_else(|| name.to_string(), |(_, field)| field.clone())
}

fn temporal(
    condition: &ConditionExpr,
    rule: &CorrelationRule,
    rules: &[Rule],
) -> Result<Node, String> {
    let all = |parts: &[ConditionExpr]| {
        parts.iter().map(|part| temporal(part, rule, rules)).collect::<Result<Vec<_>, _>>()
    };
    Ok(match condition {
        ConditionExpr::And(parts) => Node::All(all(parts)?),
        ConditionExpr::Or(parts) => Node::Any(all(parts)?),
        ConditionExpr::Not(part) => Node::Not(Box::new(temporal(part, rule, rules)?)),
        ConditionExpr::Identifier(name) => {
            let wanted = find(rules, name);
            let at = rule.rules.iter().position(|r| r == name || find(rules, r) == wanted);
            Node::Test(at.filter(|_| wanted.is_some()).ok_or_else(|| name.clone())? as u32)
        }
        ConditionExpr::Selector { quantifier, pattern } => {
            let named: Vec<Node> = (0u32..)
                .zip(&rule.rules)
                .filter(|(_, name)| pattern.matches_detection_name(name))
                .map(|(at, _)| Node::Test(at))
                .collect();
            match quantifier {
                _ if named.is_empty() => return Err(pattern.to_string()),
                Quantifier::Any => Node::Any(named),
                Quantifier::All => Node::All(named),
                Quantifier::Count(n) => {
                    Node::AtLeast(usize::try_from(*n).unwrap_or(usize::MAX), named)
                }
            }
        }
    })
}
