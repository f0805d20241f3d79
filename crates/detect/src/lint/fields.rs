//! Fields that no event of a log source has.

use std::collections::{BTreeSet, HashMap, HashSet};

use pugmark_event::fields;

use super::{Known, KnownSource, Lint, LintLevel, about};
use crate::logsource::LogSource;
use crate::pattern::fold;
use crate::rule::{Body, EventRule, KEYWORD_FIELD, Node, Pred, Rule};

/// A name that so many rules of a log source use is no slip.
const RULES_MIN: usize = 3;
/// Shorter names are all alike.
const SUGGESTED_CHARS_MIN: usize = 5;
/// In names this long two letters may be wrong, in shorter ones one.
const TWO_SLIPS_CHARS_MIN: usize = 12;

/// What is known of the names of fields.
pub(super) struct Fields<'k> {
    known: &'k Known,
    /// By log source of rules, how many use a name.
    used: HashMap<[String; 3], HashMap<String, usize>>,
    /// The same by product.
    used_by_product: HashMap<String, HashMap<String, usize>>,
}

/// The names that events of one log source have.
struct Names<'k> {
    products: BTreeSet<&'k str>,
    packs: Vec<&'k KnownSource>,
    used: Option<&'k HashMap<String, usize>>,
    used_by_product: Option<&'k HashMap<String, usize>>,
}

impl<'k> Fields<'k> {
    pub(super) fn new(rules: &[Rule], known: &'k Known) -> Self {
        let mut fields = Self { known, used: HashMap::new(), used_by_product: HashMap::new() };
        for rule in rules {
            let Body::Event(body) = &rule.body else { continue };
            let LogSource { product, category, service } = LogSource::of(&rule.info);
            let used =
                fields.used.entry([product, category, service].map(String::from)).or_default();
            let by_product = fields.used_by_product.entry(product.into()).or_default();
            let names: HashSet<&str> = body.tests.iter().map(|test| test.field.as_str()).collect();
            #[allow(clippy::iter_over_hash_type)] // counts do not hang on the order
            for name in names {
                *used.entry(name.into()).or_default() += 1;
                *by_product.entry(name.into()).or_default() += 1;
            }
        }
        fields
    }

    /// Names of the rule that its events do not have, each once.
    pub(super) fn lint(&self, rule: &Rule, body: &EventRule, lints: &mut Vec<Lint>) {
        let names = self.names(rule);
        let mut seen = HashSet::new();
        for (selection, index) in tests(body) {
            let test = &body.tests[index as usize];
            let others = test.any.iter().filter_map(|pred| match pred {
                Pred::FieldRef { field, .. } => Some(field.as_str()),
                _ => None,
            });
            for field in others.chain([test.field.as_str()]) {
                if !seen.insert(field.to_string()) || names.has(field) {
                    continue;
                }
                let place = (Some(selection), Some(test.field.as_str()));
                lints.extend(names.unknown(rule, field, place));
            }
        }
    }

    fn names(&self, rule: &Rule) -> Names<'_> {
        let source = LogSource::of(&rule.info);
        let reads = |[product, category, service]: &[String; 3]| {
            source.reads(&LogSource { product, category, service })
        };
        let packs: Vec<&KnownSource> =
            self.known.sources.iter().filter(|pack| pack.sources.iter().any(reads)).collect();
        let mut products: BTreeSet<&str> = packs
            .iter()
            .flat_map(|pack| pack.sources.iter().filter(|s| reads(s)).map(|s| s[0].as_str()))
            .collect();
        if let Some(product) = self.used_by_product.get_key_value(source.product) {
            products.insert(product.0);
        }
        let key = [source.product, source.category, source.service].map(String::from);
        Names {
            products,
            packs,
            used: self.used.get(&key),
            used_by_product: self.used_by_product.get(source.product),
        }
    }
}

impl Names<'_> {
    /// True for a name that events of the log source may well have.
    fn has(&self, name: &str) -> bool {
        let count = |used: Option<&HashMap<String, usize>>| {
            used.and_then(|used| used.get(name)).copied().unwrap_or(0)
        };
        name == KEYWORD_FIELD
            || fields::by_ecs_name(name).is_some()
            || self.is_column(name)
            // Case does not count in names of attributes.
            || self.attributes().any(|known| fold(known) == fold(name))
            || count(self.used) >= RULES_MIN
            || count(self.used_by_product) >= 2 * RULES_MIN
    }

    fn is_column(&self, name: &str) -> bool {
        self.products.iter().any(|product| fields::resolve(product, name).is_some())
    }

    /// Names that packs or several rules have and that are no columns.
    fn attributes(&self) -> impl Iterator<Item = &str> {
        let packs = self.packs.iter().flat_map(|pack| pack.names.iter().map(String::as_str));
        let used = self.used.into_iter().flatten().filter(|(_, count)| **count >= RULES_MIN);
        packs.chain(used.map(|(name, _)| name.as_str())).filter(|name| !self.is_column(name))
    }

    /// What to say of a name that is not known.
    fn unknown(
        &self,
        rule: &Rule,
        name: &str,
        place: (Option<&str>, Option<&str>),
    ) -> Option<Lint> {
        let nearest = self.nearest(name);
        let closed = !self.packs.is_empty() && self.packs.iter().all(|pack| !pack.open);
        let level = match (&nearest, closed) {
            (Some(_), _) | (_, true) => LintLevel::Warning,
            // Records of an open format bring what they like.
            (None, false) => LintLevel::Note,
        };
        let message = match closed {
            true => format!("no event of this log source has the field `{name}`"),
            false => format!("no parser and few rules of this log source know the field `{name}`"),
        };
        let lint = about(rule, "unknown-field", level, place, message);
        Some(match nearest {
            Some(nearest) => lint.hint(format!("did you mean `{nearest}`?")),
            None => lint,
        })
    }

    /// A known name that this one is a slip of.
    fn nearest(&self, name: &str) -> Option<String> {
        let mut best: Option<(usize, &str)> = None;
        let candidates = self.candidates();
        if let Some(same) = candidates.iter().find(|known| fold(known) == fold(name)) {
            return Some(same.to_string());
        }
        let length = name.chars().count();
        if length < SUGGESTED_CHARS_MIN {
            return None;
        }
        let slips_max = if length < TWO_SLIPS_CHARS_MIN { 1 } else { 2 };
        for known in candidates {
            if known.len().abs_diff(name.len()) > slips_max || differ_in_digits(known, name) {
                continue;
            }
            let slips = strsim::damerau_levenshtein(known, name);
            if slips <= slips_max && best.is_none_or(|(least, _)| slips < least) {
                best = Some((slips, known));
            }
        }
        best.map(|(_, known)| known.to_string())
    }

    /// Known names that are worth suggesting, in order. Native names of any product are not: a
    /// product has its own.
    fn candidates(&self) -> Vec<&str> {
        let registered = fields::FIELDS.iter().flat_map(|field| {
            let natives = field.aliases.iter().filter_map(|alias| alias.split_once(':'));
            let natives = natives.filter(|(product, _)| self.products.contains(product));
            natives.map(|(_, native)| native).chain([field.name])
        });
        let all: BTreeSet<&str> = registered.chain(self.attributes()).collect();
        all.into_iter().collect()
    }
}

/// True when two names are the same but for their digits: `param1`, `param2`.
fn differ_in_digits(one: &str, other: &str) -> bool {
    let letters = |text: &str| -> String { text.chars().filter(|c| !c.is_ascii_digit()).collect() };
    one != other && letters(one) == letters(other)
}

/// Every test of every selection, with the selection's name.
pub(super) fn tests(body: &EventRule) -> Vec<(&str, u32)> {
    fn walk(node: &Node, found: &mut Vec<u32>) {
        match node {
            Node::All(nodes) | Node::Any(nodes) | Node::AtLeast(_, nodes) => {
                nodes.iter().for_each(|node| walk(node, found));
            }
            Node::Not(node) => walk(node, found),
            Node::Test(index) => found.push(*index),
            Node::Selection(_) => {}
        }
    }
    let mut all = Vec::new();
    for (name, node) in &body.selections {
        let mut found = Vec::new();
        walk(node, &mut found);
        all.extend(found.into_iter().map(|index| (name.as_str(), index)));
    }
    all
}
