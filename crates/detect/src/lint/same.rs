//! Rules that say what another says.

use std::collections::{HashMap, HashSet};

use pugmark_event::fields;

use super::{Lint, LintLevel, about};
use crate::detection::stable_id;
use crate::load::find;
use crate::logsource::LogSource;
use crate::rule::{Body, EventRule, Node, Pred, Rule, Test};

/// Finds rules of the same logic, and of the same title, as one before them. Rules that only feed
/// correlations are left out: a file brings its own, so that it works alone.
pub(super) fn duplicates(rules: &[Rule], feeding: &HashSet<String>, lints: &mut Vec<Lint>) {
    let mut logics: HashMap<String, &Rule> = HashMap::new();
    let mut titles: HashMap<(String, LogSource<'_>), &Rule> = HashMap::new();
    for rule in rules.iter().filter(|rule| !feeding.contains(&rule.info.id)) {
        let Some(logic) = logic(rules, rule) else { continue };
        let place = (None, None);
        if let Some(first) = logics.get(&logic) {
            let message = format!("the rule says the same as {}", called(first));
            let lint = about(rule, "duplicate", LintLevel::Warning, place, message);
            lints.push(lint.hint("keep one of them"));
            continue;
        }
        logics.insert(logic, rule);
        let title = (rule.info.title.trim().to_lowercase(), LogSource::of(&rule.info));
        if let Some(first) = titles.get(&title) {
            let message = format!("the rule has the title of {}", called(first));
            let lint = about(rule, "same-title", LintLevel::Note, place, message);
            lints.push(lint.hint("say in the title what tells them apart"));
            continue;
        }
        titles.insert(title, rule);
    }
}

fn called(rule: &Rule) -> String {
    format!("`{}` in {}", rule.info.title, rule.info.path)
}

/// A text that is the same for rules that find the same in the same log source.
fn logic(rules: &[Rule], rule: &Rule) -> Option<String> {
    let source = LogSource::of(&rule.info);
    let text = match &rule.body {
        Body::Event(body) => normal(body, source.product, &body.condition),
        Body::Correlation(body) => {
            let mut ids: Vec<&str> = body
                .rules
                .iter()
                .map(|reference| match find(rules, reference) {
                    Some(index) => rules[index].info.id.as_str(),
                    None => reference,
                })
                .collect();
            if !matches!(body.kind, crate::rule::CorrelationKind::TemporalOrdered) {
                ids.sort_unstable();
            }
            let (groups, span) = (&body.group_by, body.span);
            format!("{:?} {ids:?} {groups:?} {span} {:?}", body.kind, body.aliases)
        }
        Body::Filter { .. } => return None,
    };
    Some(stable_id(&[source.product, source.category, source.service, &text]))
}

fn normal(body: &EventRule, product: &str, node: &Node) -> String {
    let all = |nodes: &[Node]| {
        let mut parts: Vec<String> = nodes.iter().map(|n| normal(body, product, n)).collect();
        parts.sort();
        parts.dedup();
        parts
    };
    let joined = |word: &str, parts: Vec<String>| match parts.len() {
        1 => parts.concat(),
        _ => format!("{word}({})", parts.join(",")),
    };
    match node {
        Node::All(nodes) => joined("all", all(nodes)),
        Node::Any(nodes) => joined("any", all(nodes)),
        Node::AtLeast(count, nodes) => {
            let mut parts: Vec<String> = nodes.iter().map(|n| normal(body, product, n)).collect();
            parts.sort();
            format!("{count} of({})", parts.join(","))
        }
        Node::Not(node) => format!("not({})", normal(body, product, node)),
        Node::Selection(index) => normal(body, product, &body.selections[*index as usize].1),
        Node::Test(index) => test(&body.tests[*index as usize], product),
    }
}

/// A test as text. Names that stand for one field of the product stay apart: an event may have
/// several of them.
fn test(test: &Test, product: &str) -> String {
    let ecs = fields::by_ecs_name(&test.field).is_some();
    let field = match ecs {
        true => test.field.clone(),
        false => format!("{product}:{}", test.field),
    };
    let mut preds: Vec<String> = test.any.iter().map(pred).collect();
    preds.sort();
    preds.dedup();
    let sign = if test.negate { "!" } else { "" };
    stable_id(&[sign, &field, &preds.join("\u{0}")])
}

fn pred(pred: &Pred) -> String {
    match pred {
        Pred::Text { place, text } => format!("{place} {} {}", text.cased, text.needle()),
        Pred::Glob(glob) => format!("like {} {}", glob.cased, glob.folded()),
        other => format!("{other:?}"),
    }
}
