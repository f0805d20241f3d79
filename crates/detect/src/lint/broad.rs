//! Rules that hold for nearly everything.

use crate::pattern::Token;
use crate::required::required;
use crate::rule::{EventRule, Node, Place, Pred, Test};

/// Shorter texts stand in nearly every value.
const CHARS_MIN: usize = 3;

/// Why a condition holds for too much, and what to do.
pub(super) fn why(body: &EventRule) -> Option<(&'static str, &'static str)> {
    if holds_bare(body, &body.condition) {
        return Some((
            "the condition holds for events that have none of its fields",
            "say what the event has, not only what it has not",
        ));
    }
    if !is_specific(body, &body.condition) {
        return Some((
            "the condition can hold without any text of three letters or more",
            "test for a whole value or a longer text",
        ));
    }
    None
}

/// True when an event without any field fulfils the condition.
fn holds_bare(body: &EventRule, node: &Node) -> bool {
    match node {
        Node::All(nodes) => nodes.iter().all(|node| holds_bare(body, node)),
        Node::Any(nodes) => nodes.iter().any(|node| holds_bare(body, node)),
        Node::AtLeast(count, nodes) => {
            nodes.iter().filter(|node| holds_bare(body, node)).count() >= *count
        }
        Node::Not(node) => !holds_bare(body, node),
        Node::Selection(index) => holds_bare(body, &body.selections[*index as usize].1),
        Node::Test(index) => {
            let test = &body.tests[*index as usize];
            !test.negate && test.any.contains(&Pred::Absent)
        }
    }
}

/// True when whatever fulfils the condition has a value that few have.
fn is_specific(body: &EventRule, node: &Node) -> bool {
    match node {
        Node::All(nodes) => nodes.iter().any(|node| is_specific(body, node)),
        Node::Any(nodes) => nodes.iter().all(|node| is_specific(body, node)),
        Node::AtLeast(count, nodes) => {
            // Enough are specific that some must be among those that hold.
            nodes.iter().filter(|node| !is_specific(body, node)).count() < *count
        }
        Node::Not(_) => false,
        Node::Selection(index) => is_specific(body, &body.selections[*index as usize].1),
        Node::Test(index) => is_specific_test(&body.tests[*index as usize]),
    }
}

fn is_specific_test(test: &Test) -> bool {
    !test.negate && test.any.iter().all(is_specific_pred)
}

/// Long enough, or of signs that few values have: `^^`, a letter outside of ASCII.
fn is_rare(text: &str) -> bool {
    let signs = || text.len() == 2 && text.chars().any(|c| c.is_ascii_punctuation());
    !text.is_ascii() || text.chars().count() >= CHARS_MIN || signs()
}

fn is_specific_pred(pred: &Pred) -> bool {
    match pred {
        Pred::Text { place: Place::Whole, .. } => true,
        Pred::Text { text, .. } => is_rare(&text.text),
        Pred::Glob(glob) => {
            glob.tokens.iter().filter(|token| matches!(token, Token::Char(_))).count() >= CHARS_MIN
        }
        // A pattern of classes says much, though no text: take its author's word.
        Pred::Regex(pattern) => required(pred).is_some() || pattern.0.as_str().len() > 8,
        Pred::Cidr(_) | Pred::Compare(..) | Pred::FieldRef { .. } | Pred::TimePart(..) => true,
        Pred::Present | Pred::Absent => false,
    }
}
