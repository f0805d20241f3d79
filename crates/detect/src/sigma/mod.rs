//! Sigma documents to our own form of rules. `rsigma-parser` reads the language; nothing of it
//! leaves this module but conditions over names.

mod modifier;
mod shape;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use pugmark_event::Severity;
use pugmark_event::time::SECOND;
use rsigma_parser::{
    ConditionExpr, ConditionOperator, CorrelationCondition, CorrelationType, Detection,
    DetectionItem, FilterRuleTarget, Level, LogSource, Modifier, Quantifier, SigmaCollection,
    SigmaString, SigmaValue,
};

use self::modifier::Modifiers;
use crate::correlation::Aggregate;
use crate::detection::{RuleInfo, stable_id, version};
use crate::exception::{Exception, checked_day};
use crate::placeholders::Placeholders;
use crate::rule::{
    Body, Comparison, CorrelationKind, CorrelationRule, EventRule, KEYWORD_FIELD, Node, Pred, Rule,
    Test,
};

/// Most predicates of one rule, after encodings have multiplied them.
const PREDS_MAX: usize = 50_000;
/// Most regular expressions of one rule.
const REGEXES_MAX: usize = 200;
/// Most times that a condition denies in a row: the parser and what it makes are as deep as that.
const NOTS_MAX: usize = 50;
/// Longest time span of a correlation: 31 days.
const SPAN_SECONDS_MAX: u64 = 31 * 86_400;
/// Highest count that a correlation may ask for; it bounds what is kept per key.
const COUNT_MAX: u64 = 100_000;

/// What is wrong with a document.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: String::new() }
    }

    pub(crate) fn hint(mut self, hint: &str) -> Self {
        self.hint = hint.to_string();
        self
    }

    fn within(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

/// Reads one YAML document. The second part lists what is odd about a rule that still works.
pub(crate) fn read(
    path: &str,
    line: usize,
    text: &str,
    placeholders: &Placeholders,
) -> Result<(Rule, Vec<Fault>), Fault> {
    if nots(text) > NOTS_MAX {
        return Err(Fault::new(format!("over {NOTS_MAX} times `not` in a row"))
            .hint("two of them are none"));
    }
    let SigmaCollection { rules, correlations, filters, errors, .. } =
        rsigma_parser::parse_sigma_yaml(text).map_err(|e| fault(&e.to_string()))?;
    if !(rules.is_empty() && correlations.is_empty() && filters.is_empty()) {
        shape::check(text)?;
    }
    let (info, name, body) = if let Some(rule) = rules.into_iter().next() {
        let body = Body::Event(Arc::new(event_rule(&rule.detection, placeholders)?));
        let mut info = info(rule.title, rule.id, path, text);
        info.level = level(rule.level);
        info.description = rule.description.unwrap_or_default();
        info.author = rule.author.unwrap_or_default();
        info.license = rule.license.unwrap_or_default();
        info.references = rule.references;
        info.falsepositives = rule.falsepositives;
        info.next_steps = own_text(&rule.custom_attributes, "next_steps");
        info.noise_budget = noise_budget(&rule.custom_attributes)?;
        info.tags = rule.tags;
        log_source(&mut info, rule.logsource);
        (info, rule.name, body)
    } else if let Some(rule) = correlations.into_iter().next() {
        let body = Body::Correlation(correlation(&rule)?);
        let mut info = info(rule.title, rule.id, path, text);
        info.level = level(rule.level);
        info.description = rule.description.unwrap_or_default();
        info.author = rule.author.unwrap_or_default();
        info.license = rule.license.unwrap_or_default();
        info.references = rule.references;
        info.falsepositives = rule.falsepositives;
        info.next_steps = own_text(&rule.custom_attributes, "next_steps");
        info.noise_budget = noise_budget(&rule.custom_attributes)?;
        info.tags = rule.tags;
        info.correlation = true;
        (info, rule.name, body)
    } else if let Some(filter) = filters.into_iter().next() {
        let targets = match filter.rules {
            FilterRuleTarget::Any => None,
            FilterRuleTarget::Specific(rules) => Some(rules),
        };
        let mut info = info(filter.title, filter.id, path, text);
        info.description = filter.description.unwrap_or_default();
        log_source(&mut info, filter.logsource.unwrap_or_default());
        let exception = exception(&info, &filter.custom_attributes)?;
        let body = Arc::new(event_rule(&filter.detection, placeholders)?);
        let body = Body::Filter { targets, body, exception };
        (info, filter.name, body)
    } else {
        let message = errors.first().map_or("not a Sigma rule", String::as_str);
        return Err(fault(message));
    };
    let odd = errors.iter().map(|error| fault(error)).collect();
    Ok((Rule { info, line, name, off: false, body }, odd))
}

/// The longest row of `not`, parentheses or none between them.
fn nots(text: &str) -> usize {
    let words = text.split(|c: char| c.is_whitespace() || c == '(').filter(|word| !word.is_empty());
    let (mut longest, mut row) = (0, 0);
    for word in words {
        row = if word == "not" { row + 1 } else { 0 };
        longest = longest.max(row);
    }
    longest
}

fn fault(message: &str) -> Fault {
    let hint = match message {
        m if m.contains("Missing required field") => "see the Sigma specification, section Rules",
        m if m.contains("Condition parse") => "conditions are made of selections, and, or, not, of",
        m if m.contains("YAML") => "check indentation and quotes",
        m if m.contains("Unknown modifier") => "see the list of modifiers of Sigma 2.1",
        m if m.contains("logsource") => "write `logsource: {product: linux}`",
        m if m.contains("timespan") || m.contains("timeframe") => "write `timespan: 5m`",
        m if m.contains("correlation") => "see the Sigma specification, section Correlations",
        m if m.contains("invalid level") => "one of informational, low, medium, high, critical",
        m if m.contains("invalid status") => {
            "one of stable, test, experimental, deprecated, unsupported"
        }
        m if m.contains("condition must be") => "write `condition: selection and not filter`",
        _ => "see the Sigma specification",
    };
    // Messages of the grammar are drawings over several lines.
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = (0..=message.len().min(400)).rev().find(|&i| message.is_char_boundary(i));
    Fault::new(&message[..end.unwrap_or(0)]).hint(hint)
}

fn info(title: String, id: Option<String>, path: &str, text: &str) -> RuleInfo {
    RuleInfo {
        id: id.unwrap_or_else(|| stable_id(&["rule", path, &title])),
        version: version(&[text]),
        title,
        level: Severity::Medium,
        description: String::new(),
        author: String::new(),
        license: String::new(),
        references: Vec::new(),
        falsepositives: Vec::new(),
        next_steps: String::new(),
        noise_budget: None,
        tags: Vec::new(),
        product: None,
        category: None,
        service: None,
        correlation: false,
        path: path.to_string(),
        text: text.to_string(),
        silent: false,
        exceptions: Vec::new(),
    }
}

/// The text of a key that Sigma does not know.
fn own_text(attributes: &HashMap<String, yaml_serde::Value>, key: &str) -> String {
    attributes.get(key).and_then(|text| text.as_str()).unwrap_or_default().trim().into()
}

/// What a filter says of itself with keys of ours.
fn exception(
    info: &RuleInfo,
    attributes: &HashMap<String, yaml_serde::Value>,
) -> Result<Exception, Fault> {
    let expires = match attributes.get("expires") {
        None => None,
        // A number or a list is no day either, and must not count as "for ever".
        Some(day) => Some(checked_day(day.as_str().unwrap_or_default())?),
    };
    Ok(Exception {
        id: info.id.clone(),
        title: info.title.clone(),
        reason: own_text(attributes, "reason"),
        owner: own_text(attributes, "owner"),
        expires,
        path: info.path.clone(),
    })
}

/// A number, from a key that Sigma does not know.
fn noise_budget(attributes: &HashMap<String, yaml_serde::Value>) -> Result<Option<u64>, Fault> {
    let Some(value) = attributes.get("noise_budget") else { return Ok(None) };
    let odd = || {
        Fault::new("noise_budget is no whole number of alerts a day")
            .hint("such as noise_budget: 20")
    };
    value.as_u64().map(Some).ok_or_else(odd)
}

fn level(level: Option<Level>) -> Severity {
    match level {
        Some(Level::Informational) => Severity::Informational,
        Some(Level::Low) => Severity::Low,
        Some(Level::Medium) | None => Severity::Medium,
        Some(Level::High) => Severity::High,
        Some(Level::Critical) => Severity::Critical,
    }
}

fn log_source(info: &mut RuleInfo, source: LogSource) {
    info.product = source.product;
    info.category = source.category;
    info.service = source.service;
}

/// Collects the tests of one rule.
struct Builder<'p> {
    placeholders: &'p Placeholders,
    rule: EventRule,
    preds: usize,
    regexes: usize,
}

fn event_rule(
    detections: &rsigma_parser::Detections,
    placeholders: &Placeholders,
) -> Result<EventRule, Fault> {
    if detections.timeframe.is_some() {
        return Err(Fault::new("`timeframe` in a detection is obsolete")
            .hint("write a correlation document with `timespan`"));
    }
    let mut builder = Builder { placeholders, rule: EventRule::default(), preds: 0, regexes: 0 };
    let named: BTreeMap<_, _> = detections.named.iter().collect();
    for (name, detection) in named {
        let node = builder
            .detection(detection)
            .map_err(|fault| fault.within(&format!("selection `{name}`")))?;
        builder.rule.selections.push((name.clone(), node));
    }
    if detections.conditions.is_empty() {
        return Err(Fault::new("an empty condition").hint("write `condition: selection`"));
    }
    let mut conditions = Vec::new();
    for condition in &detections.conditions {
        conditions.push(builder.condition(condition)?);
    }
    builder.rule.condition = one_or(conditions, Node::Any);
    Ok(builder.rule)
}

fn empty_selection() -> Fault {
    Fault::new("an empty selection").hint("give it fields with values, or remove it")
}

fn one_or(mut nodes: Vec<Node>, join: fn(Vec<Node>) -> Node) -> Node {
    match nodes.len() {
        1 => nodes.remove(0),
        _ => join(nodes),
    }
}

impl Builder<'_> {
    fn detection(&mut self, detection: &Detection) -> Result<Node, Fault> {
        let nodes = |this: &mut Self, parts: &[Detection]| {
            parts.iter().map(|part| this.detection(part)).collect::<Result<Vec<_>, _>>()
        };
        match detection {
            Detection::AllOf(items) if items.is_empty() => Err(empty_selection()),
            Detection::AnyOf(parts) if parts.is_empty() => Err(empty_selection()),
            Detection::Keywords(values) if values.is_empty() => Err(Fault::new("an empty list")
                .hint("a selection is fields with values, or a list of words")),
            Detection::Keywords(values) if values.contains(&SigmaValue::Null) => {
                Err(empty_selection())
            }
            Detection::AllOf(items) => {
                let nodes: Vec<_> =
                    items.iter().map(|item| self.item(item)).collect::<Result<_, _>>()?;
                Ok(one_or(nodes, Node::All))
            }
            Detection::AnyOf(parts) => Ok(one_or(nodes(self, parts)?, Node::Any)),
            Detection::And(parts) => Ok(one_or(nodes(self, parts)?, Node::All)),
            Detection::Keywords(values) => {
                let modifiers = Modifiers::read(&[])?;
                let mut any = Vec::new();
                for value in values {
                    any.extend(modifiers.preds(value, true)?);
                }
                self.test(KEYWORD_FIELD, any, false)
            }
            Detection::ArrayMatch { .. } | Detection::Conditional { .. } => {
                Err(Fault::new("array blocks (`field[any]:`) are not part of Sigma 2.1")
                    .hint("name the field alone: any element of an array may match"))
            }
        }
    }

    /// The values of an item, its placeholders filled in.
    fn values<'i>(
        &self,
        item: &'i DetectionItem,
        modifiers: &Modifiers<'_>,
    ) -> Result<Cow<'i, [SigmaValue]>, Fault> {
        if !modifiers.has(Modifier::Expand) {
            return Ok(Cow::Borrowed(&item.values));
        }
        let mut values = Vec::new();
        for value in &item.values {
            let SigmaValue::String(string) = value else {
                values.push(value.clone());
                continue;
            };
            let texts = self.placeholders.fill(&string.original)?;
            values.extend(texts.iter().map(|text| SigmaValue::String(SigmaString::new(text))));
        }
        Ok(Cow::Owned(values))
    }

    fn item(&mut self, item: &DetectionItem) -> Result<Node, Fault> {
        // The parser escapes brackets, which in Sigma 2.1 are letters like any other.
        let name = item.field.name.as_ref().map(|n| n.replace("\\[", "[").replace("\\]", "]"));
        let place = name.clone().unwrap_or_else(|| "keywords".into());
        let within = |fault: Fault| fault.within(&format!("field `{place}`"));
        let modifiers = Modifiers::read(&item.field.modifiers).map_err(within)?;
        let keyword = name.is_none();
        let field = name.as_deref().unwrap_or(KEYWORD_FIELD);
        let negate = modifiers.has(Modifier::Neq);
        if item.values.is_empty() {
            return Err(within(
                Fault::new("an empty list of values").hint("give at least one value, or null"),
            ));
        }
        let values = self.values(item, &modifiers).map_err(within)?;
        let mut alternatives = Vec::with_capacity(values.len());
        for value in values.iter() {
            alternatives.push(modifiers.preds(value, keyword).map_err(within)?);
        }
        if !modifiers.has(Modifier::All) {
            return self.test(field, alternatives.concat(), negate);
        }
        let tests: Vec<_> = alternatives
            .into_iter()
            .map(|any| self.test(field, any, false))
            .collect::<Result<_, _>>()?;
        let all = one_or(tests, Node::All);
        if !negate {
            return Ok(all);
        }
        let present = self.test(field, vec![Pred::Present], false)?;
        Ok(Node::All(vec![present, Node::Not(Box::new(all))]))
    }

    fn test(&mut self, field: &str, any: Vec<Pred>, negate: bool) -> Result<Node, Fault> {
        self.preds += any.len();
        self.regexes += any.iter().filter(|p| matches!(p, Pred::Regex(_))).count();
        if self.preds > PREDS_MAX || self.regexes > REGEXES_MAX {
            return Err(Fault::new(format!(
                "too many values: at most {PREDS_MAX}, {REGEXES_MAX} of them expressions"
            ))
            .hint("a list of indicators is no rule; split it"));
        }
        let index = self.rule.tests.len() as u32;
        self.rule.tests.push(Test { field: field.to_string(), any, negate });
        Ok(Node::Test(index))
    }

    fn condition(&self, condition: &ConditionExpr) -> Result<Node, Fault> {
        let all = |parts: &[ConditionExpr]| {
            parts.iter().map(|part| self.condition(part)).collect::<Result<Vec<_>, _>>()
        };
        Ok(match condition {
            ConditionExpr::And(parts) => Node::All(all(parts)?),
            ConditionExpr::Or(parts) => Node::Any(all(parts)?),
            ConditionExpr::Not(part) => Node::Not(Box::new(self.condition(part)?)),
            ConditionExpr::Identifier(name) => self.selection(name)?,
            ConditionExpr::Selector { quantifier, pattern } => {
                let named: Vec<Node> = (0u32..)
                    .zip(&self.rule.selections)
                    .filter(|(_, (name, _))| pattern.matches_detection_name(name))
                    .map(|(index, _)| Node::Selection(index))
                    .collect();
                if named.is_empty() {
                    return Err(Fault::new(format!("no selection is called `{pattern}`"))
                        .hint(&self.names()));
                }
                match quantifier {
                    Quantifier::Any => Node::Any(named),
                    Quantifier::All => Node::All(named),
                    Quantifier::Count(count) => {
                        Node::AtLeast(usize::try_from(*count).unwrap_or(usize::MAX), named)
                    }
                }
            }
        })
    }

    fn selection(&self, name: &str) -> Result<Node, Fault> {
        let found = (0u32..).zip(&self.rule.selections).find(|(_, (known, _))| known == name);
        match found {
            Some((index, _)) => Ok(Node::Selection(index)),
            None => Err(Fault::new(format!("the condition names `{name}`, which does not exist"))
                .hint(&self.names())),
        }
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.rule.selections.iter().map(|(name, _)| name.as_str()).collect();
        format!("the selections are {}", names.join(", "))
    }
}

fn correlation(rule: &rsigma_parser::CorrelationRule) -> Result<CorrelationRule, Fault> {
    if rule.rules.is_empty() {
        return Err(Fault::new("a correlation without `rules`").hint("list ids or names of rules"));
    }
    if rule.timespan.seconds == 0 || rule.timespan.seconds > SPAN_SECONDS_MAX {
        return Err(Fault::new(format!("timespan {} is not within 1s and 31d", rule.timespan))
            .hint("write `timespan: 5m`"));
    }
    if rule.window != rsigma_parser::WindowMode::Sliding {
        return Err(Fault::new("only sliding windows exist").hint("leave `window` out"));
    }
    let mut aliases: Vec<(String, Vec<(String, String)>)> = rule
        .aliases
        .iter()
        .map(|alias| {
            let fields: BTreeMap<_, _> = alias.mapping.clone().into_iter().collect();
            (alias.alias.clone(), fields.into_iter().collect())
        })
        .collect();
    aliases.sort();
    Ok(CorrelationRule {
        kind: correlation_kind(rule)?,
        rules: rule.rules.clone(),
        group_by: rule.group_by.clone(),
        span: rule.timespan.seconds as i64 * SECOND,
        aliases,
        generate: rule.generate,
    })
}

fn correlation_kind(rule: &rsigma_parser::CorrelationRule) -> Result<CorrelationKind, Fault> {
    let threshold = || match &rule.condition {
        CorrelationCondition::Threshold { predicates, field, .. } => {
            let mut list = Vec::new();
            for &(operator, count) in predicates {
                if count > COUNT_MAX {
                    // The parser reads a negative number as a huge one.
                    let message = match i64::try_from(count) {
                        Ok(count) => format!("the count {count} is above {COUNT_MAX}"),
                        Err(_) => format!("the count {} is below 0", count as i64),
                    };
                    return Err(Fault::new(message).hint("write `condition: {gte: 10}`"));
                }
                list.push((comparison(operator), count));
            }
            Ok((list, field.clone()))
        }
        CorrelationCondition::Extended(_) => {
            Err(Fault::new("a count needs a number").hint("write `condition: {gte: 10}`"))
        }
    };
    match rule.correlation_type {
        CorrelationType::EventCount => Ok(CorrelationKind::EventCount(threshold()?.0)),
        CorrelationType::ValueCount => match threshold()? {
            (list, Some(fields)) => Ok(CorrelationKind::ValueCount(list, fields)),
            (_, None) => Err(Fault::new("value_count does not say which field it counts")
                .hint("add `field:` to the condition")),
        },
        CorrelationType::Temporal => Ok(CorrelationKind::Temporal(match &rule.condition {
            CorrelationCondition::Extended(condition) => Some(condition.clone()),
            CorrelationCondition::Threshold { .. } => None,
        })),
        CorrelationType::TemporalOrdered => Ok(CorrelationKind::TemporalOrdered),
        CorrelationType::ValueSum => aggregate(rule, Aggregate::Sum),
        CorrelationType::ValueAvg => aggregate(rule, Aggregate::Average),
        CorrelationType::ValueMedian => aggregate(rule, Aggregate::Percentile(50)),
        CorrelationType::ValuePercentile => aggregate(rule, Aggregate::Percentile(rank(rule)?)),
    }
}

/// A correlation over the numbers in a field.
fn aggregate(
    rule: &rsigma_parser::CorrelationRule,
    aggregate: Aggregate,
) -> Result<CorrelationKind, Fault> {
    let kind = rule.correlation_type.as_str();
    let CorrelationCondition::Threshold { predicates, field, .. } = &rule.condition else {
        return Err(Fault::new(format!("{kind} needs a number to compare with"))
            .hint("write `condition: {field: bytes, gte: 1000000}`"));
    };
    let Some([field]) = field.as_deref() else {
        return Err(Fault::new(format!(
            "{kind} reads one field, and its condition names none or several"
        ))
        .hint("add `field:` with one name to the condition"));
    };
    let list = predicates.iter().map(|(operator, number)| (comparison(*operator), *number));
    Ok(CorrelationKind::Aggregate(aggregate, list.collect(), field.clone()))
}

/// The percentile that the condition names; the middle if it names none.
fn rank(rule: &rsigma_parser::CorrelationRule) -> Result<u8, Fault> {
    let CorrelationCondition::Threshold { percentile, .. } = &rule.condition else { return Ok(50) };
    match percentile.unwrap_or(50) {
        rank @ 0..=100 => Ok(rank as u8),
        rank => Err(Fault::new(format!("a percentile of {rank} is not within 0 and 100"))
            .hint("write `percentile: 95`")),
    }
}

fn comparison(operator: ConditionOperator) -> Comparison {
    match operator {
        ConditionOperator::Lt => Comparison::Less,
        ConditionOperator::Lte => Comparison::LessOrEqual,
        ConditionOperator::Gt => Comparison::Greater,
        ConditionOperator::Gte => Comparison::GreaterOrEqual,
        ConditionOperator::Eq => Comparison::Equal,
        ConditionOperator::Neq => Comparison::NotEqual,
    }
}
