//! What may stand next in a question. Which fields there are and their values come from whoever has
//! the data.

use std::collections::HashSet;

use pugmark_event::fields::FIELDS;
use serde::Serialize;

use crate::cursor::is_name_char;
use crate::display::{Key, Name};
use crate::expr::Expr;
use crate::figures::FIGURES;
use crate::functions;
use crate::pipes::{COMMANDS, Command, Takes};
use crate::plan::FieldRef;
use crate::presence::{FieldPresence, Presence};

/// Proposals at most.
const ITEMS_MAX: usize = 100;

/// Proposals for a place in the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Completion {
    /// First byte that a proposal replaces.
    pub from: usize,
    /// First byte after.
    pub to: usize,
    /// What may stand there, best first.
    pub items: Vec<Item>,
    /// The field whose value is being typed, if one is; its values may stand there.
    pub value_of: Option<String>,
}

/// One proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// The text to put in.
    pub label: String,
    /// What it is.
    pub kind: ItemKind,
    /// One line about it.
    pub detail: String,
    /// True for a field that no event has.
    pub absent: bool,
}

/// What a proposal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemKind {
    /// A field.
    Field,
    /// A value of a field.
    Value,
    /// A command after a pipe.
    Command,
    /// A function of a command.
    Function,
    /// A word of the language.
    Keyword,
}

/// Proposes what may stand at byte `pos` of `text`. Where it is known what events have, fields that
/// most have come first, and those that none has come last.
pub fn complete(text: &str, pos: usize, known: Option<&Presence>) -> Completion {
    let pos = (0..=pos.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    let before = &text[..pos];
    let is_part = |c: char| is_name_char(c) && c != '-' || "-:*".contains(c);
    let start = before
        .rfind(|c| !is_part(c))
        .map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8));
    // A leading minus negates or reverses; it is no part of the name.
    let start = start + usize::from(before[start..].starts_with('-'));
    let word = &before[start..];
    let end = text[pos..].find(|c| !is_name_char(c)).map_or(text.len(), |i| pos + i);
    let stage = stage(&before[..start]);
    let is_test = matches!(stage, Stage::Filter | Stage::Condition);
    if let (true, Some((field, value))) = (is_test, word.split_once(':')) {
        let from = pos - value.len();
        let to = text[pos..].find(|c: char| c.is_whitespace() || "()|".contains(c));
        let to = to.map_or(text.len(), |i| pos + i);
        return Completion { from, to, items: Vec::new(), value_of: Some(field.to_string()) };
    }
    Completion { from: start, to: end, items: best(stage.items(known), word), value_of: None }
}

/// What may stand next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Words and tests.
    Filter,
    /// The name of a command.
    Command,
    /// Tests and comparisons.
    Condition,
    /// Values to compute with, and words.
    Expressions(&'static [&'static str]),
    /// Figures, and words.
    Figures(&'static [&'static str]),
    /// Fields, and words.
    Fields(&'static [&'static str]),
    /// Words alone.
    Words(&'static [&'static str]),
}

impl Stage {
    fn items(self, known: Option<&Presence>) -> Vec<Item> {
        // As each place takes a name: with quotes where it needs them.
        let before_colon = |field: &FieldRef| format!("{}:", Key(field));
        let in_expression = |field: &FieldRef| Expr::Field(field.clone()).to_string();
        let in_list = |field: &FieldRef| Name(&field.typed).to_string();
        match self {
            Stage::Filter => {
                [fields(known, before_colon), keywords(&["and", "or", "not"])].concat()
            }
            Stage::Command => commands(),
            Stage::Condition => {
                let words = keywords(&["and", "or", "not", "in", "like", "matches"]);
                [fields(known, before_colon), functions(), words].concat()
            }
            Stage::Expressions(words) => {
                [fields(known, in_expression), functions(), keywords(words)].concat()
            }
            Stage::Figures(words) => [figures(), keywords(words)].concat(),
            Stage::Fields(words) => [fields(known, in_list), keywords(words)].concat(),
            Stage::Words(words) => keywords(words),
        }
    }
}

/// What the text so far leads to.
fn stage(before: &str) -> Stage {
    let Some((nested, step)) = last_step(before) else { return Stage::Filter };
    if nested {
        return Stage::Filter;
    }
    let rest = step.trim_start();
    let name = rest.split(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    if name.is_empty() {
        return Stage::Command;
    }
    let after = &rest[name.len()..];
    let command = COMMANDS.iter().find(|command| command.name.eq_ignore_ascii_case(name));
    command.map_or(Stage::Fields(&[]), |command| inside(command, after))
}

/// What may stand next inside of a command.
fn inside(command: &Command, after: &str) -> Stage {
    let open = after.matches('(').count() > after.matches(')').count();
    let by = after.split_whitespace().any(|word| word.eq_ignore_ascii_case("by"));
    match command.takes {
        Takes::Number => Stage::Words(&[]),
        Takes::Fields(words) => Stage::Fields(words),
        Takes::Figures(words) if by => Stage::Expressions(words),
        Takes::Figures(_) if open => Stage::Expressions(&[]),
        Takes::Figures(words) => Stage::Figures(words),
        Takes::Condition => Stage::Condition,
        Takes::Expressions(words) => Stage::Expressions(words),
        Takes::Table(_) if after.split_whitespace().count() == 0 => Stage::Words(&[]),
        Takes::Table(words) => Stage::Fields(words),
        Takes::Words(words) => Stage::Words(words),
    }
}

/// The text behind the last pipe, if there is one; and whether it is the start of a question in
/// square brackets, which no pipe has ended yet.
fn last_step(before: &str) -> Option<(bool, &str)> {
    let mut quoted = false;
    let mut last = None;
    let mut chars = before.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '"' => quoted = !quoted,
            '|' if !quoted => last = Some((false, i + 1)),
            // A bracket behind a blank begins another question; one behind a colon is a range.
            '[' if !quoted && last.is_some() && before[..i].ends_with(char::is_whitespace) => {
                last = Some((true, i + 1));
            }
            _ => {}
        }
    }
    last.map(|(nested, at)| (nested, &before[at..]))
}

fn item(label: impl Into<String>, kind: ItemKind, detail: impl Into<String>) -> Item {
    Item { label: label.into(), kind, detail: detail.into(), absent: false }
}

/// Fields as `written` writes them: those that events have, most of them first, and then the others
/// of the registry.
fn fields(known: Option<&Presence>, written: impl Fn(&FieldRef) -> String) -> Vec<Item> {
    let field = |name: &str, detail| item(written(&FieldRef::new(name)), ItemKind::Field, detail);
    let Some(known) = known else {
        let detail = |f: &pugmark_event::Field| format!("{}: {}", f.kind.name(), f.doc);
        return FIELDS.iter().map(|f| field(f.name, detail(f))).collect();
    };
    let present: HashSet<&str> = known.fields.iter().map(|f| f.name.as_str()).collect();
    let absent = FIELDS.iter().filter(|f| !present.contains(f.name)).map(|f| {
        let detail = format!("{}, in no event of the time range", f.kind.name());
        Item { absent: true, ..field(f.name, detail) }
    });
    let present = known.fields.iter().map(|f| field(&f.name, share(known, f)));
    present.chain(absent).collect()
}

/// How many events have a field, in words.
fn share(known: &Presence, field: &FieldPresence) -> String {
    let about = if known.exact && field.exact { "" } else { "about " };
    let share = match (100.0 * known.coverage(field)).floor() as u64 {
        0 => "under 1".to_string(),
        percent => format!("{about}{percent}"),
    };
    format!("{}, {share} % of events", field.kind.name())
}

fn commands() -> Vec<Item> {
    let of = |c: &Command| {
        item(c.name, ItemKind::Command, format!("{} For example: {}", c.about, c.usage))
    };
    COMMANDS.iter().map(of).collect()
}

fn figures() -> Vec<Item> {
    let of = |f: &crate::figures::Figure| {
        item(format!("{}(", f.name), ItemKind::Function, format!("{}: {}", f.usage, f.about))
    };
    FIGURES.iter().map(of).collect()
}

fn functions() -> Vec<Item> {
    let of = |f: &functions::Function| {
        item(format!("{}(", f.name), ItemKind::Function, format!("{}: {}", f.usage, f.about))
    };
    functions::named().map(of).collect()
}

fn keywords(words: &[&str]) -> Vec<Item> {
    words.iter().map(|word| item(*word, ItemKind::Keyword, "")).collect()
}

/// Those that start with the word, then those that hold it; fields that no event has stand behind
/// all others.
fn best(mut items: Vec<Item>, word: &str) -> Vec<Item> {
    let word = word.to_lowercase();
    items.retain(|i| i.label.to_lowercase().contains(&word));
    items.sort_by_cached_key(|i| (i.absent, !i.label.to_lowercase().starts_with(&word)));
    items.truncate(ITEMS_MAX);
    items
}

#[cfg(test)]
mod tests {
    use pugmark_event::Kind;

    use super::*;

    /// The bar stands where the cursor is; `expected` is the replaced text and the first labels.
    #[track_caller]
    fn check(marked: &str, expected: &str) {
        let pos = marked.find('¦').unwrap();
        let text = marked.replace('¦', "");
        let found = complete(&text, pos, None);
        let labels: Vec<&str> = found.items.iter().take(2).map(|i| i.label.as_str()).collect();
        let value = found.value_of.map(|f| format!(" values of {f}")).unwrap_or_default();
        let shown = format!("[{}] {}{value}", &text[found.from..found.to], labels.join(" "));
        assert_eq!(shown, expected, "{marked}");
    }

    #[test]
    fn places() {
        check("sour¦", "[sour] source.ip: source.port:");
        check("a -user.n¦ b", "[user.n] user.name:");
        check("user.name:ro¦ot x", "[root]  values of user.name");
        check("x | st¦", "[st] stats cast");
        check("x | stats c¦", "[c] count( dc(");
        check("x | eval y = low¦", "[low] lower(");
        check("x | eval y = lower(user.n¦", "[user.n] user.name");
        check("x | join source.ip [ user.na¦", "[user.na] user.name:");
        check("x | join source.ip [ a | stat¦", "[stat] stats");
        check("x | transaction by user.na¦", "[user.na] user.name");
        check("x | stats sum(source.b¦", "[source.b] source.bytes");
        check("x | stats count() by user.n¦", "[user.n] user.name");
        check("x | sort -source.p¦", "[source.p] source.port logsource.product");
        check("x | where event.sev¦", "[event.sev] event.severity:");
        check("\"a | b\" source.b¦", "[source.b] source.bytes:");
    }

    #[test]
    fn fields_that_events_have_come_first() {
        let field = |name: &str, kind, events, exact| FieldPresence {
            name: name.to_string(),
            kind,
            events,
            exact,
        };
        let fields = vec![
            field("user.name", Kind::Text, 200, true),
            field("user count", Kind::Text, 75, false),
            field("attributes.user", Kind::Text, 1, true),
        ];
        let known = Presence { events: 200, exact: true, fields };
        let check = |text: &str, expected: [&str; 4]| {
            let found = complete(text, text.len(), Some(&known)).items;
            let shown = found.iter().map(|i| format!("{} ({})", i.label, i.detail));
            assert_eq!(shown.take(4).collect::<Vec<_>>(), expected, "{text}");
        };
        check(
            "use",
            [
                "user.name: (text, 100 % of events)",
                "\"user count\": (text, about 37 % of events)",
                "attributes.user: (text, under 1 % of events)",
                "user.domain: (text, in no event of the time range)",
            ],
        );
        check(
            "x | eval y = lower(use",
            [
                "user.name (text, 100 % of events)",
                "'user count' (text, about 37 % of events)",
                "attributes.user (text, under 1 % of events)",
                "user.domain (text, in no event of the time range)",
            ],
        );
    }

    #[test]
    fn odd_places_never_panic() {
        for text in ["é:é|é", "\"", "|||", "\\"] {
            for pos in 0..10 {
                complete(text, pos, None);
            }
        }
    }
}
