//! Conditions that no event can fulfil.
//!
//! What must hold is collected, and two things that exclude each other are looked for. Of
//! alternatives each is tried alone against what must hold. That finds what people get wrong, takes
//! time in the size of the rule, and never blames a condition that can hold.

use std::cell::Cell;

use pugmark_event::fields;

use crate::pattern::fold;
use crate::rule::{EventRule, Node, Place, Pred, Rule, Test};

/// Comparisons of two predicates for one question; past that the answer is "cannot say".
const STEPS_MAX: u32 = 200_000;

pub(super) struct Unfulfilled<'r> {
    body: &'r EventRule,
    product: &'r str,
    steps: Cell<u32>,
}

/// A test that must come out so.
type Literal<'r> = (&'r Test, bool);

/// What a condition asks for.
#[derive(Default)]
struct Needs<'r> {
    literals: Vec<Literal<'r>>,
    /// One of each must hold (or, with `false`, not hold).
    choices: Vec<Vec<(&'r Node, bool)>>,
    /// More is asked than there are.
    impossible: bool,
}

impl<'r> Unfulfilled<'r> {
    pub(super) fn new(rule: &'r Rule, body: &'r EventRule) -> Self {
        let product = rule.info.product.as_deref().unwrap_or_default();
        Self { body, product, steps: Cell::new(STEPS_MAX) }
    }

    /// Why nothing fulfils `node`; `None` where something may.
    pub(super) fn why(&self, node: &'r Node) -> Option<String> {
        self.why_not(&[], node, true)
    }

    fn why_not(&self, given: &[Literal<'r>], node: &'r Node, wanted: bool) -> Option<String> {
        let mut needs = Needs::default();
        self.collect(node, wanted, &mut needs);
        if needs.impossible {
            return Some("it asks for more selections than there are".into());
        }
        let mut all = given.to_vec();
        for literal in needs.literals {
            if let Some(why) = all.iter().find_map(|other| self.clash(*other, literal)) {
                return Some(why);
            }
            all.push(literal);
        }
        needs.choices.iter().find_map(|choice| {
            let mut first = None;
            for (node, wanted) in choice {
                let why = self.why_not(&all, node, *wanted)?;
                first.get_or_insert(why);
            }
            first.or_else(|| Some("it chooses among no selections".into()))
        })
    }

    fn collect(&self, node: &'r Node, wanted: bool, needs: &mut Needs<'r>) {
        match node {
            Node::Not(node) => self.collect(node, !wanted, needs),
            Node::Selection(index) => {
                self.collect(&self.body.selections[*index as usize].1, wanted, needs);
            }
            Node::Test(index) => needs.literals.push((&self.body.tests[*index as usize], wanted)),
            Node::All(nodes) => self.collect_part(nodes, nodes.len(), wanted, needs),
            Node::Any(nodes) => self.collect_part(nodes, 1, wanted, needs),
            Node::AtLeast(count, nodes) => self.collect_part(nodes, *count, wanted, needs),
        }
    }

    /// `count` of `nodes` hold, or fewer do.
    fn collect_part(&self, nodes: &'r [Node], count: usize, wanted: bool, needs: &mut Needs<'r>) {
        // Of those that must hold, or must not.
        let least = if wanted { count } else { (nodes.len() + 1).saturating_sub(count) };
        match least {
            0 => {}
            _ if least > nodes.len() && least > 1 => needs.impossible = true,
            _ if least == nodes.len() => {
                nodes.iter().for_each(|node| self.collect(node, wanted, needs));
            }
            1 => needs.choices.push(nodes.iter().map(|node| (node, wanted)).collect()),
            // Some of several: each of them may be among those that do not count.
            _ => {}
        }
    }

    /// Why two tests of one field cannot both come out as wanted.
    fn clash(&self, one: Literal<'r>, other: Literal<'r>) -> Option<String> {
        if one.0.field != other.0.field {
            return None;
        }
        let field = &one.0.field;
        if (needs_value(one) && forbids_value(other)) || (forbids_value(one) && needs_value(other))
        {
            return Some(format!("`{field}` would have to be there and not be there"));
        }
        let (one, other) = (plain(one)?, plain(other)?);
        match (one.1, other.1) {
            (true, false) if self.implies_all(one.0, other.0) => Some(excluded(one.0)),
            (false, true) if self.implies_all(other.0, one.0) => Some(excluded(other.0)),
            (true, true) if self.is_single(field) => {
                let apart = self.whole_apart(one.0, other.0) || self.whole_apart(other.0, one.0);
                apart.then(|| {
                    format!(
                        "`{field}` would have to be two values at once: {} and {}",
                        shown(one.0),
                        shown(other.0)
                    )
                })
            }
            _ => None,
        }
    }

    /// Arrays have several values, and any of them may pass a test. Columns have one.
    fn is_single(&self, field: &str) -> bool {
        fields::resolve(self.product, field).is_some() && !self.product.is_empty()
    }

    /// True when whatever passes `one` passes `other`.
    fn implies_all(&self, one: &Test, other: &Test) -> bool {
        self.spend(one, other)
            && one.any.iter().all(|pred| other.any.iter().any(|of| implies(pred, of)))
    }

    /// True when `one` lists whole values and none of them passes `other`.
    fn whole_apart(&self, one: &Test, other: &Test) -> bool {
        self.spend(one, other)
            && one.any.iter().all(|pred| match pred {
                Pred::Text { place: Place::Whole, text } => {
                    !other.any.iter().any(|of| may_pass(&text.text, of))
                }
                _ => false,
            })
    }

    fn spend(&self, one: &Test, other: &Test) -> bool {
        let cost = u32::try_from(one.any.len() * other.any.len()).unwrap_or(u32::MAX).max(1);
        let left = self.steps.get().checked_sub(cost);
        self.steps.set(left.unwrap_or(0));
        left.is_some()
    }
}

/// A negated test that must hold is a test that must not, of a value that is there.
fn plain((test, wanted): Literal<'_>) -> Option<Literal<'_>> {
    match (test.negate, wanted) {
        (false, wanted) => Some((test, wanted)),
        (true, true) => Some((test, false)),
        (true, false) => None,
    }
}

fn needs_value((test, wanted): Literal<'_>) -> bool {
    wanted && (test.negate || !test.any.contains(&Pred::Absent))
}

fn forbids_value((test, wanted): Literal<'_>) -> bool {
    let only = |pred: Pred| test.any.iter().all(|p| *p == pred);
    !test.negate && if wanted { only(Pred::Absent) } else { test.any.contains(&Pred::Present) }
}

fn excluded(test: &Test) -> String {
    format!("`{}` {} is asked for and excluded", test.field, shown(test))
}

fn shown(test: &Test) -> String {
    let first = test.any.first().map(|pred| crate::detection::cut(&pred.to_string()));
    match test.any.len() {
        0 | 1 => first.unwrap_or_default(),
        more => format!("{} or {} more", first.unwrap_or_default(), more - 1),
    }
}

/// True when every value that passes `one` passes `other`; false also where that is not known.
fn implies(one: &Pred, other: &Pred) -> bool {
    if one == other {
        return true;
    }
    match (one, other) {
        (Pred::Absent, _) => false,
        (_, Pred::Present) => true,
        (Pred::Text { place, text }, Pred::Text { place: of_place, text: of }) => {
            if of.cased && !text.cased {
                return false;
            }
            let (text, of) = match of.cased {
                true => (text.text.as_str().into(), of.text.as_str().into()),
                false => (fold(&text.text), fold(&of.text)),
            };
            match (place, of_place) {
                (_, Place::Anywhere) => text.contains(of.as_ref()),
                (Place::Whole, Place::Whole) => text == of,
                (Place::Whole | Place::Start, Place::Start) => text.starts_with(of.as_ref()),
                (Place::Whole | Place::End, Place::End) => text.ends_with(of.as_ref()),
                _ => false,
            }
        }
        (Pred::Text { place: Place::Whole, text }, Pred::Cidr(_) | Pred::Compare(..)) => {
            other.holds_text(&text.text)
        }
        (Pred::Cidr(one), Pred::Cidr(other)) => other.contains(one),
        _ => false,
    }
}

/// False when a value that is `text`, in whatever case, cannot pass.
fn may_pass(text: &str, pred: &Pred) -> bool {
    match pred {
        Pred::Text { place, text: part } => place.fits(text, &part.text, false),
        Pred::Glob(glob) => {
            let glob = crate::pattern::Glob { cased: false, ..glob.clone() };
            glob.folded().matches(&fold(text))
        }
        Pred::Cidr(_) | Pred::Compare(..) => pred.holds_text(text),
        Pred::Absent => false,
        Pred::Regex(_) | Pred::Present | Pred::FieldRef { .. } | Pred::TimePart(..) => true,
    }
}
