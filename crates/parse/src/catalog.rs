//! What the packs can say, without any record: which log sources events may get, and which names.

use std::collections::BTreeSet;

use crate::pack::{Alsos, Group, Pack, Packs, Target, Values};

/// Formats in which a record brings names that no pack lists.
const OPEN_FORMATS: [&str; 4] = ["json", "windows", "keyvalue", "audit"];
/// Combinations of category and service of one pack that are followed.
const STATES_MAX: usize = 4096;

/// What events of one pack may be and have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Produced {
    /// Product, category and service that events may get, each once; empty where there is none.
    pub sources: BTreeSet<[String; 3]>,
    /// Names of the fields and attributes that the pack speaks of.
    pub names: BTreeSet<String>,
    /// True when records bring names of their own, as JSON does: then `names` is not all.
    pub open: bool,
}

impl Packs {
    /// What each pack can say.
    pub(crate) fn catalog(&self) -> Vec<Produced> {
        self.packs.iter().map(produced).collect()
    }
}

fn produced(pack: &Pack) -> Produced {
    let mut names = BTreeSet::new();
    add_values(&pack.values, &mut names);
    add_fields(&pack.fields, &mut names);
    for pattern in pack.patterns() {
        names.extend(pattern.groups().filter_map(group));
        add_values(&pattern.values, &mut names);
    }
    names.extend(pack.columns.iter().flat_map(|columns| columns.names().cloned()));
    for table in &pack.tables {
        names.extend(table.keys.iter().filter(|key| *key != "service").cloned());
        #[allow(clippy::iter_over_hash_type)] // a sorted set is filled
        for action in table.rows.values() {
            add_values(&action.values, &mut names);
            add_fields(&action.fields, &mut names);
        }
    }
    for applies in &pack.applies {
        names.extend(applies.has.iter().cloned());
        names.extend(applies.is.keys().cloned());
    }
    let open = pack.pairs_from.is_some()
        || pack.applies.iter().any(|applies| match &applies.format {
            Some(format) => OPEN_FORMATS.contains(&format.as_str()),
            None => false,
        });
    Produced { sources: sources(pack), names, open }
}

/// The pack's own log source and what its tables make of it, one after the other.
fn sources(pack: &Pack) -> BTreeSet<[String; 3]> {
    let own = [&pack.product, &pack.category, &pack.service].map(Clone::clone);
    let mut states = BTreeSet::from([own]);
    for table in &pack.tables {
        let decided = table.keys.iter().position(|key| key == "service");
        let mut more = BTreeSet::new();
        #[allow(clippy::iter_over_hash_type)] // a sorted set is filled
        for (key, action) in &table.rows {
            let of_service = decided.and_then(|at| key.split('/').nth(at));
            let fits = |service: &str| of_service.is_none_or(|s| s.eq_ignore_ascii_case(service));
            let over = |own: &String, before: &String| match own.is_empty() {
                true => before.clone(),
                false => own.clone(),
            };
            for [product, category, service] in states.iter().filter(|state| fits(&state[2])) {
                more.insert([
                    over(&action.product, product),
                    over(&action.category, category),
                    over(&action.service, service),
                ]);
            }
        }
        states.extend(more.into_iter().take(STATES_MAX));
    }
    states
}

fn group(group: &Group) -> Option<String> {
    match group {
        Group::Time => None,
        Group::Target(target) => Some(name(target)),
        Group::Native(name) => Some(name.clone()),
    }
}

fn name(target: &Target) -> String {
    match target {
        Target::Field(id) => id.name().to_string(),
        Target::Attribute(name) => name.clone(),
    }
}

fn add_values(values: &Values, names: &mut BTreeSet<String>) {
    names.extend(values.iter().map(|(target, _)| name(target)));
}

fn add_fields(fields: &Alsos, names: &mut BTreeSet<String>) {
    #[allow(clippy::iter_over_hash_type)] // a sorted set is filled
    for (native, also) in fields {
        names.insert(native.clone());
        names.extend(also.targets.iter().map(name));
    }
}

#[cfg(test)]
mod tests {
    use crate::{PackSource, Parser};

    #[test]
    fn a_pack_says_what_its_events_may_be() {
        let text = "product: p\nservice: s\napplies: [{program: [x]}]\n\
            values: {event.category: web}\nfields: {Native: user.name}\ntables:\n  \
            - keys: [Channel]\n    rows: {Other: {service: o}}\n  \
            - keys: [service, Id]\n    rows: {o/1: {category: c}, t/1: {category: never}}\n\
            patterns: [{pattern: 'a (?<own.name>b)'}]\n";
        let pack = PackSource { path: "p".into(), text: text.into() };
        let catalog = Parser::new(&[pack]).unwrap().catalog();
        let sources: Vec<_> = catalog[0].sources.iter().map(|s| s.join("/")).collect();
        assert_eq!(sources, ["p//o", "p//s", "p/c/o"]);
        let names: Vec<_> = catalog[0].names.iter().map(String::as_str).collect();
        assert_eq!(names, ["Channel", "Id", "Native", "event.category", "own.name", "user.name"]);
        assert!(!catalog[0].open);
    }

    #[test]
    fn json_is_open() {
        let pack = "product: p\napplies: [{format: json, has: [a]}]\n";
        let pack = PackSource { path: "p".into(), text: pack.into() };
        let catalog = Parser::new(&[pack]).unwrap().catalog();
        assert!(catalog[0].open && catalog[0].names.contains("a"));
    }
}
