//! The rule as we evaluate it: our own form, whatever language it was written in.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ipnet::IpNet;
use pugmark_event::time::Micros;
use regex::Regex;

use crate::correlation::Aggregate;
use crate::detection::RuleInfo;
use crate::exception::Exception;
use crate::pattern::{Glob, Text};

/// The field that keyword searches read.
pub(crate) const KEYWORD_FIELD: &str = "event.original";

/// One rule, ready to be compiled into a set. Made by [`crate::load()`].
#[derive(Debug, Clone)]
pub struct Rule {
    /// What it says about itself.
    pub info: RuleInfo,
    /// Where its document starts, counted from 1.
    pub line: usize,
    /// A short name that correlations may use instead of the id.
    pub(crate) name: Option<String>,
    /// It makes no detections, as somebody decided; correlations may still need it.
    pub(crate) off: bool,
    pub(crate) body: Body,
}

impl Rule {
    /// Switches it off: it makes no detections, and is not even looked at unless a correlation
    /// needs it.
    pub fn switch_off(&mut self) {
        self.off = true;
    }
}

/// What a rule does.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// Tests one event.
    Event(Arc<EventRule>),
    /// Correlates detections of other rules.
    Correlation(CorrelationRule),
    /// Narrows other rules; `None` targets every rule of its log source.
    Filter { targets: Option<Vec<String>>, body: Arc<EventRule>, exception: Exception },
}

/// Tests over the fields of one event, joined by a condition over named selections.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventRule {
    pub(crate) tests: Vec<Test>,
    pub(crate) selections: Vec<(String, Node)>,
    pub(crate) condition: Node,
}

/// A condition.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    AtLeast(usize, Vec<Node>),
    Not(Box<Node>),
    /// Index into the tests.
    Test(u32),
    /// Index into the selections, which only refer to tests.
    Selection(u32),
}

impl Default for Node {
    /// Nothing: no event fulfils it.
    fn default() -> Self {
        Node::Any(Vec::new())
    }
}

/// A field must pass one of several predicates (or, negated, be there and pass none).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Test {
    pub(crate) field: String,
    pub(crate) any: Vec<Pred>,
    pub(crate) negate: bool,
}

/// One predicate on one value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Pred {
    /// Literal text at a place in the value.
    Text { place: Place, text: Text },
    /// Text with wildcards in the middle.
    Glob(Glob),
    /// A regular expression.
    Regex(Pattern),
    /// An address in a network.
    Cidr(IpNet),
    /// A number on one side of another.
    Compare(Comparison, Number),
    /// Any value but null.
    Present,
    /// No value, or null.
    Absent,
    /// The value of another field of the event, at a place in this one.
    FieldRef { place: Place, field: String, cased: bool },
    /// A part of a time.
    TimePart(TimePart, i64),
}

/// Where in the value a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Whole,
    Anywhere,
    Start,
    End,
}

/// How numbers compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

impl Comparison {
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
            Comparison::Equal => "=",
            Comparison::NotEqual => "!=",
        }
    }

    pub(crate) fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Comparison::Less => left < right,
            Comparison::LessOrEqual => left <= right,
            Comparison::Greater => left > right,
            Comparison::GreaterOrEqual => left >= right,
            Comparison::Equal => left == right,
            Comparison::NotEqual => left != right,
        }
    }
}

/// A number of a rule; integers stay exact.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Integer(i64),
    Float(f64),
}

impl Number {
    pub(crate) fn read(text: &str) -> Option<Number> {
        let text = text.trim();
        match text.parse() {
            Ok(integer) => Some(Number::Integer(integer)),
            Err(_) => text.parse().ok().filter(|f: &f64| f.is_finite()).map(Number::Float),
        }
    }

    /// `value` compared with this number; never true for text that is no number.
    pub(crate) fn compare(self, comparison: Comparison, value: &str) -> bool {
        match (Number::read(value), self) {
            (Some(Number::Integer(left)), Number::Integer(right)) => comparison.holds(left, right),
            (Some(left), right) => comparison.holds(left.float(), right.float()),
            (None, _) => false,
        }
    }

    pub(crate) fn float(self) -> f64 {
        match self {
            Number::Integer(integer) => integer as f64,
            Number::Float(float) => float,
        }
    }

    fn bits(self) -> (bool, u64) {
        match self {
            Number::Integer(integer) => (true, integer as u64),
            Number::Float(float) => (false, float.to_bits()),
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}
impl Eq for Number {}
impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bits().hash(state);
    }
}
impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Number::Integer(integer) => integer.fmt(f),
            Number::Float(float) => float.fmt(f),
        }
    }
}

/// A compiled regular expression, equal to another when both were written alike.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(pub(crate) Arc<Regex>);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}
impl Eq for Pattern {}
impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_str().hash(state);
    }
}

/// Which part of a time a rule tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TimePart {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// Correlation of other rules' detections.
#[derive(Debug, Clone)]
pub(crate) struct CorrelationRule {
    pub(crate) kind: CorrelationKind,
    /// Ids or names.
    pub(crate) rules: Vec<String>,
    pub(crate) group_by: Vec<String>,
    pub(crate) span: Micros,
    /// `(alias, [(rule, field)])`, sorted.
    pub(crate) aliases: Vec<(String, Vec<(String, String)>)>,
    /// The rules it refers to make detections of their own too.
    pub(crate) generate: bool,
}

/// What a correlation looks for.
#[derive(Debug, Clone)]
pub(crate) enum CorrelationKind {
    /// So many events.
    EventCount(Vec<(Comparison, u64)>),
    /// So many different values of these fields.
    ValueCount(Vec<(Comparison, u64)>, Vec<String>),
    /// An aggregate of the numbers in a field.
    Aggregate(Aggregate, Vec<(Comparison, u64)>, String),
    /// Detections of all rules, in any order; or of rules that fulfil a condition over names.
    Temporal(Option<rsigma_parser::ConditionExpr>),
    /// Detections of all rules in the order in which they are listed.
    TemporalOrdered,
}
