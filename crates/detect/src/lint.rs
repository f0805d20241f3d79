//! What is wrong with rules that load: names that no event has, conditions that nothing fulfils or
//! everything does, rules that say the same.
//!
//! Pure, like the rest of this crate. What events may have is an argument ([`Known`]), made by the
//! caller from the parser packs and, if there is one, the store. A lint that cannot be sure is
//! silent or a note: people stop reading a list of guesses.

mod broad;
mod fields;
mod place;
mod same;
mod unfulfilled;

use std::collections::{BTreeSet, HashSet};

use serde::Serialize;

use self::fields::Fields;
use self::unfulfilled::Unfulfilled;
use crate::load::{Loaded, RuleTest, find};
use crate::logsource::LogSource;
use crate::required::required;
use crate::rule::{
    Body, Comparison, CorrelationKind, CorrelationRule, EventRule, Node, Place, Pred, Rule,
};

/// What events there may be.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// What parser packs make of records.
    pub sources: Vec<KnownSource>,
    /// Product, category and service of events that were seen; `None` where nobody looked.
    pub seen: Option<Vec<[String; 3]>>,
}

/// Events that one parser pack makes.
#[derive(Debug, Clone, Default)]
pub struct KnownSource {
    /// Product, category and service; empty where events have none.
    pub sources: Vec<[String; 3]>,
    /// Names that the pack speaks of.
    pub names: BTreeSet<String>,
    /// True when records bring names of their own.
    pub open: bool,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LintLevel {
    /// Good to know.
    Note,
    /// Most likely not what was meant.
    Warning,
    /// The rule cannot work.
    Error,
}

impl LintLevel {
    /// The lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            LintLevel::Note => "note",
            LintLevel::Warning => "warning",
            LintLevel::Error => "error",
        }
    }
}

/// One thing that is odd about a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// The sort of it, a stable word: `unknown-field`.
    pub code: &'static str,
    /// How bad it is.
    pub level: LintLevel,
    /// The file.
    pub path: String,
    /// Line of the field or the selection, else of the document; from 1.
    pub line: usize,
    /// Id of the rule.
    pub rule: String,
    /// What is odd.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

/// Looks at every rule, in order of the files.
pub fn lint(loaded: &Loaded, known: &Known) -> Vec<Lint> {
    let rules = &loaded.rules;
    let fields = Fields::new(rules, known);
    let tested: HashSet<&str> =
        loaded.tests.iter().map(|t: &RuleTest| t.rule_id.as_str()).collect();
    let mut linter = Linter { lints: Vec::new(), known, feeding: feeding(rules) };
    for rule in rules {
        linter.rule(rule, &fields, tested.contains(rule.info.id.as_str()));
    }
    linter.unfulfilled_correlations(rules);
    same::duplicates(rules, &linter.feeding, &mut linter.lints);
    let at = |lint: &Lint| (lint.path.clone(), lint.line, lint.code);
    linter.lints.sort_by_cached_key(at);
    linter.lints
}

/// Ids of rules that correlations refer to: being broad is their trade.
fn feeding(rules: &[Rule]) -> HashSet<String> {
    let correlations = rules.iter().filter_map(|rule| match &rule.body {
        Body::Correlation(correlation) => Some(&correlation.rules),
        _ => None,
    });
    let found = correlations.flatten().filter_map(|reference| find(rules, reference));
    found.map(|index| rules[index].info.id.clone()).collect()
}

/// A lint about a rule, at the place of a selection or a field of it.
fn about(
    rule: &Rule,
    code: &'static str,
    level: LintLevel,
    place: (Option<&str>, Option<&str>),
    message: String,
) -> Lint {
    Lint {
        code,
        level,
        path: rule.info.path.clone(),
        line: rule.line + place::offset(&rule.info.text, place.0, place.1),
        rule: rule.info.id.clone(),
        message,
        hint: String::new(),
    }
}

impl Lint {
    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

struct Linter<'k> {
    lints: Vec<Lint>,
    known: &'k Known,
    feeding: HashSet<String>,
}

impl Linter<'_> {
    fn rule(&mut self, rule: &Rule, fields: &Fields<'_>, tested: bool) {
        let whole = (None, None);
        let filter = matches!(rule.body, Body::Filter { .. });
        if !tested && !filter {
            let message = "the rule has no tests".to_string();
            let lint = about(rule, "no-tests", LintLevel::Note, whole, message);
            self.lints.push(lint.hint("add `tests` with records that fire and near misses"));
        }
        if !place::has_key(&rule.info.text, "id") {
            let message =
                "the rule has no id: its alerts open anew when its file moves".to_string();
            let lint = about(rule, "no-id", LintLevel::Note, whole, message);
            self.lints.push(lint.hint("add `id` with a new UUID"));
        }
        let (Body::Event(body) | Body::Filter { body, .. }) = &rule.body else { return };
        match &rule.body {
            Body::Filter { exception, .. } if exception.reason.is_empty() => {
                let message = "the exception has no reason".to_string();
                let lint = about(rule, "no-reason", LintLevel::Note, whole, message);
                self.lints.push(lint.hint("add `reason`, `owner` and `expires`"));
            }
            Body::Filter { .. } => {}
            _ => self.source(rule),
        }
        fields.lint(rule, body, &mut self.lints);
        self.selections(rule, body);
        self.condition(rule, body, filter);
        self.values(rule, body);
    }

    /// Whether events of its log source can come.
    fn source(&mut self, rule: &Rule) {
        let source = LogSource::of(&rule.info);
        let reads = |[product, category, service]: &[String; 3]| {
            source.reads(&LogSource { product, category, service })
        };
        let whole = (Some("logsource"), None);
        if !self.known.sources.iter().flat_map(|pack| &pack.sources).any(reads) {
            let message = format!("no parser makes events of {}", named(&source));
            let lint = about(rule, "no-parser", LintLevel::Warning, whole, message);
            return self.lints.push(lint.hint("check the spelling, or add a parser pack"));
        }
        if self.known.seen.as_ref().is_some_and(|seen| !seen.iter().any(reads)) {
            let message = format!("no event of {} was ever stored here", named(&source));
            let lint = about(rule, "no-events", LintLevel::Warning, whole, message);
            self.lints.push(lint.hint("connect such a source, or leave the rule out"));
        }
    }

    fn selections(&mut self, rule: &Rule, body: &EventRule) {
        let mut used = HashSet::new();
        mark_used(&body.condition, &mut used);
        for (index, (name, node)) in (0u32..).zip(&body.selections) {
            let place = (Some(name.as_str()), None);
            if !used.contains(&index) {
                let message = format!("the condition does not use the selection `{name}`");
                let lint = about(rule, "unused-selection", LintLevel::Warning, place, message);
                self.lints.push(lint.hint("use it in the condition or take it out"));
            } else if let Some(why) = Unfulfilled::new(rule, body).why(node) {
                let message = format!("no event fulfils the selection `{name}`: {why}");
                let lint = about(rule, "dead-selection", LintLevel::Warning, place, message);
                self.lints.push(lint.hint("items of one selection must all hold"));
            }
        }
    }

    fn condition(&mut self, rule: &Rule, body: &EventRule, filter: bool) {
        if let Some(why) = Unfulfilled::new(rule, body).why(&body.condition) {
            let message = match filter {
                false => format!("the rule never fires: {why}"),
                true => format!("the filter hides every event: {why}"),
            };
            let place = (Some("condition"), None);
            self.lints.push(about(rule, "never-fires", LintLevel::Error, place, message));
        } else if !filter
            && !self.feeding.contains(&rule.info.id)
            && let Some((why, hint)) = broad::why(body)
        {
            let place = (Some("condition"), None);
            let lint = about(rule, "too-broad", LintLevel::Warning, place, why.to_string());
            self.lints.push(lint.hint(hint));
        }
    }

    fn values(&mut self, rule: &Rule, body: &EventRule) {
        for (selection, index) in fields::tests(body) {
            let test = &body.tests[index as usize];
            let place = (Some(selection), Some(test.field.as_str()));
            for pred in &test.any {
                let Pred::Regex(pattern) = pred else { continue };
                if required(pred).is_none() && !is_anchored(pattern.0.as_str()) {
                    let shown: String = pattern.0.as_str().chars().take(60).collect();
                    let message = format!("/{shown}/ has no text that must occur");
                    let lint = about(rule, "slow-regex", LintLevel::Note, place, message);
                    let hint = "it runs on every value: add a `contains` of what it looks for";
                    self.lints.push(lint.hint(hint));
                }
            }
            if let Some(value) = bare_program(rule, test) {
                let message =
                    format!("`{}` holds a whole path, which is never just `{value}`", test.field);
                let lint = about(rule, "no-path", LintLevel::Warning, place, message);
                let hint = format!("write `{}|endswith: '\\{value}'`", test.field);
                self.lints.push(lint.hint(hint));
            }
        }
    }

    /// Correlations over rules that never fire, again until nothing is new.
    fn unfulfilled_correlations(&mut self, rules: &[Rule]) {
        let mut dead: HashSet<String> =
            self.lints.iter().filter(|l| l.code == "never-fires").map(|l| l.rule.clone()).collect();
        loop {
            let before = dead.len();
            for rule in rules {
                let Body::Correlation(body) = &rule.body else { continue };
                if dead.contains(&rule.info.id) {
                    continue;
                }
                let Some(why) = unfulfilled_correlation(rules, body, &dead) else { continue };
                dead.insert(rule.info.id.clone());
                let place = (Some("correlation"), None);
                let message = format!("the rule never fires: {why}");
                self.lints.push(about(rule, "never-fires", LintLevel::Error, place, message));
            }
            if dead.len() == before {
                return;
            }
        }
    }
}

fn unfulfilled_correlation(
    rules: &[Rule],
    body: &CorrelationRule,
    dead: &HashSet<String>,
) -> Option<String> {
    let is_dead = |reference: &&String| {
        find(rules, reference).is_some_and(|index| dead.contains(&rules[index].info.id))
    };
    let mut found = body.rules.iter().filter(is_dead);
    match &body.kind {
        CorrelationKind::Temporal(None) | CorrelationKind::TemporalOrdered => {
            found.next().map(|reference| format!("it needs `{reference}`, which never fires"))
        }
        CorrelationKind::EventCount(counts) | CorrelationKind::ValueCount(counts, _)
            if !can_hold(counts) =>
        {
            Some("no count is within its condition".to_string())
        }
        _ => (found.count() == body.rules.len())
            .then(|| "none of the rules that it refers to ever fires".to_string()),
    }
}

/// True for a pattern that only matches at the start: most values are dismissed by a letter.
fn is_anchored(pattern: &str) -> bool {
    regex_syntax::parse(pattern).is_ok_and(|hir| {
        hir.properties().look_set_prefix().contains(regex_syntax::hir::Look::Start)
    })
}

/// True when some count from 1 on is within all limits: where one is, there is one beside a limit.
fn can_hold(limits: &[(Comparison, u64)]) -> bool {
    let beside = |&(_, limit): &(Comparison, u64)| [limit.saturating_sub(1), limit, limit + 1];
    let mut counts = limits.iter().flat_map(beside).chain([1]).filter(|count| *count > 0);
    counts.any(|count| limits.iter().all(|&(comparison, limit)| comparison.holds(count, limit)))
}

fn mark_used(node: &Node, used: &mut HashSet<u32>) {
    match node {
        Node::All(nodes) | Node::Any(nodes) | Node::AtLeast(_, nodes) => {
            nodes.iter().for_each(|node| mark_used(node, used));
        }
        Node::Not(node) => mark_used(node, used),
        Node::Selection(index) => {
            used.insert(*index);
        }
        Node::Test(_) => {}
    }
}

fn named(source: &LogSource<'_>) -> String {
    let parts =
        [("product", source.product), ("category", source.category), ("service", source.service)];
    let said = parts.iter().filter(|(_, value)| !value.is_empty());
    let said: Vec<String> = said.map(|(part, value)| format!("{part} {value}")).collect();
    said.join(", ")
}

/// The name of a Windows program where a whole path is needed: `cmd.exe`.
fn bare_program<'t>(rule: &Rule, test: &'t crate::rule::Test) -> Option<&'t str> {
    use pugmark_event::fields;
    let paths = [fields::PROCESS_EXECUTABLE, fields::PROCESS_PARENT_EXECUTABLE];
    let product = rule.info.product.as_deref().unwrap_or_default();
    let path = fields::resolve(product, &test.field).is_some_and(|id| paths.contains(&id));
    if product != "windows" || !path || test.negate {
        return None;
    }
    test.any.iter().find_map(|pred| match pred {
        Pred::Text { place: Place::Whole, text } => {
            let text = text.text.as_str();
            (text.to_ascii_lowercase().ends_with(".exe") && !text.contains(['\\', '/']))
                .then_some(text)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests;
