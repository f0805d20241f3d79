//! Messages that are lists of values by place, such as those of Palo Alto's and pf's firewalls.

use crate::found::{Found, Pair, Val};
use crate::header::split;

use super::text::{ColumnsText, OneOrMore};

/// Names for the values of a list, and when they hold.
#[derive(Debug)]
pub(crate) struct Columns {
    when: Vec<(usize, OneOrMore)>,
    separator: char,
    names: Vec<String>,
}

impl Columns {
    pub(super) fn new(text: ColumnsText) -> Self {
        Self { when: text.when.into_iter().collect(), separator: text.separator, names: text.names }
    }

    /// The native names that it gives.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.names.iter().filter(|name| !name.is_empty())
    }

    /// Names the values of the message, if it is such a list. Empty values say nothing.
    pub(super) fn read<'r>(&'r self, message: &'r str, found: &mut Found<'r>) -> bool {
        if !self.holds(message) {
            return false;
        }
        let values = split(message, self.separator);
        for (name, value) in self.names.iter().zip(values) {
            if !name.is_empty() && !value.is_empty() {
                found.pairs.push(Pair { name: name.into(), value: Val::Text(value) });
            }
        }
        true
    }

    fn holds(&self, message: &str) -> bool {
        self.when.iter().all(|(place, wanted)| {
            split(message, self.separator)
                .nth(*place)
                .is_some_and(|value| wanted.0.iter().any(|w| w.eq_ignore_ascii_case(&value)))
        })
    }
}
