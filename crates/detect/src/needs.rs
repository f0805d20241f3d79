//! What of stored events a rule set looks at, so that nothing else need be read.

use std::collections::BTreeSet;

use pugmark_event::fields::{self, FieldId};

use crate::entity;
use crate::logsource::events_of;
use crate::ruleset::RuleSet;

/// What rules look at in an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Fields that decide which rules match.
    pub matching: Vec<FieldId>,
    /// Fields that a [`Hit`](crate::Hit) needs beyond those.
    pub hits: Vec<FieldId>,
    /// Names of attributes, in ASCII lower case; `None` where it may be any.
    pub attributes: Option<BTreeSet<String>>,
    /// Products, categories and services: an event that has none of a list matches no rule. `None`
    /// where some rule reads events of any.
    pub sources: [Option<BTreeSet<String>>; 3],
}

impl RuleSet {
    /// What all rules of the set together look at.
    pub fn needs(&self) -> Needs {
        let names: BTreeSet<&str> = self.field_names().collect();
        let mut matching =
            BTreeSet::from([fields::EVENT_ID, fields::EVENT_TIME, fields::RECEIVED_TIME]);
        matching.extend([fields::PRODUCT, fields::CATEGORY, fields::SERVICE]);
        matching.extend(names.iter().flat_map(|name| fields::meanings(name)));
        let mut hits = BTreeSet::from([fields::EVENT_SOURCE, fields::EVENT_CATEGORY]);
        hits.extend(entity::fields());
        let read = self.feeds().names().iter();
        hits.extend(read.flat_map(|name| fields::meanings(name)));
        let all = names.iter().copied().chain(self.feeds().names().iter().map(String::as_str));
        // Names are compared with the letters of all languages folded, columns with ASCII's.
        let lower = |name: &str| name.is_ascii().then(|| name.to_ascii_lowercase());
        Needs {
            hits: hits.difference(&matching).copied().collect(),
            matching: matching.into_iter().collect(),
            attributes: all.map(lower).collect(),
            sources: self.sources_read(),
        }
    }

    fn sources_read(&self) -> [Option<BTreeSet<String>>; 3] {
        let mut read = [(); 3].map(|()| Some(BTreeSet::new()));
        for source in self.sources() {
            for (at, (part, all)) in source.iter().zip(&mut read).enumerate() {
                match part.as_str() {
                    "" => *all = None,
                    part if at == 1 => {
                        let events = events_of(part).map(str::to_string);
                        all.iter_mut().for_each(|all| all.extend(events.clone()));
                    }
                    part => all.iter_mut().for_each(|all| all.extend([part.to_string()])),
                }
            }
        }
        read
    }
}
