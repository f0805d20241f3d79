//! What may stand next in a question. Values of fields come from whoever has the data.

use pugmark_event::fields::FIELDS;
use serde::Serialize;

use crate::cursor::is_name_char;
use crate::pipes::COMMANDS;
use crate::plan::Function;

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

/// Proposes what may stand at byte `pos` of `text`.
pub fn complete(text: &str, pos: usize) -> Completion {
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
    let (stage, command) = stage(&before[..start]);
    if let (true, Some((field, value))) = (stage == Stage::Filter, word.split_once(':')) {
        let from = pos - value.len();
        let to = text[pos..].find(|c: char| c.is_whitespace() || "()|".contains(c));
        let to = to.map_or(text.len(), |i| pos + i);
        return Completion { from, to, items: Vec::new(), value_of: Some(field.to_string()) };
    }
    let items = match stage {
        Stage::Command => commands(),
        Stage::Filter => [fields(":"), keywords(&["and", "or", "not"])].concat(),
        Stage::Aggregates => [functions(), keywords(&["by", "as"])].concat(),
        Stage::Names => match command {
            "sort" => fields(""),
            _ => [fields(""), keywords(&["by"])].concat(),
        },
    };
    Completion { from: start, to: end, items: best(items, word), value_of: None }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Filter,
    Command,
    Aggregates,
    Names,
}

/// What the text so far leads to, and the command it is in.
fn stage(before: &str) -> (Stage, &str) {
    let mut quoted = false;
    let mut pipe = None;
    let mut chars = before.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '"' => quoted = !quoted,
            '|' if !quoted => pipe = Some(i + 1),
            _ => {}
        }
    }
    let Some(pipe) = pipe else { return (Stage::Filter, "") };
    let rest = before[pipe..].trim_start();
    let command = rest.split(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    let after = &rest[command.len()..];
    let stage = match command {
        "" => Stage::Command,
        "where" => Stage::Filter,
        "stats" | "timechart" => {
            let by = after.split_whitespace().any(|w| w.eq_ignore_ascii_case("by"));
            let inside = after.rfind('(') > after.rfind(')');
            if by || inside { Stage::Names } else { Stage::Aggregates }
        }
        _ => Stage::Names,
    };
    (stage, command)
}

fn item(label: impl Into<String>, kind: ItemKind, detail: impl Into<String>) -> Item {
    Item { label: label.into(), kind, detail: detail.into() }
}

fn fields(end: &str) -> Vec<Item> {
    let detail = |f: &pugmark_event::Field| format!("{}: {}", f.kind.name(), f.doc);
    FIELDS.iter().map(|f| item(format!("{}{end}", f.name), ItemKind::Field, detail(f))).collect()
}

fn commands() -> Vec<Item> {
    COMMANDS.iter().map(|c| item(c.name, ItemKind::Command, c.usage)).collect()
}

fn functions() -> Vec<Item> {
    let detail = |name: &str| match name {
        "count" => "rows, or rows that have the field",
        "dc" => "number of distinct values",
        "first" | "last" => "value of the oldest or newest event",
        p if p.starts_with('p') => "value below which so many percent lie",
        _ => "of the numbers",
    };
    Function::NAMES
        .iter()
        .map(|name| item(format!("{name}("), ItemKind::Function, detail(name)))
        .collect()
}

fn keywords(words: &[&str]) -> Vec<Item> {
    words.iter().map(|word| item(*word, ItemKind::Keyword, "")).collect()
}

/// Those that start with the word, then those that hold it.
fn best(items: Vec<Item>, word: &str) -> Vec<Item> {
    let word = word.to_lowercase();
    let (first, rest): (Vec<Item>, Vec<Item>) =
        items.into_iter().partition(|i| i.label.to_lowercase().starts_with(&word));
    let holds = rest.into_iter().filter(|i| i.label.to_lowercase().contains(&word));
    first.into_iter().chain(holds).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bar stands where the cursor is; `expected` is the replaced text and the first labels.
    #[track_caller]
    fn check(marked: &str, expected: &str) {
        let pos = marked.find('¦').unwrap();
        let text = marked.replace('¦', "");
        let found = complete(&text, pos);
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
        check("x | st¦", "[st] stats");
        check("x | stats c¦", "[c] count( dc(");
        check("x | stats sum(source.b¦", "[source.b] source.bytes");
        check("x | stats count() by user.n¦", "[user.n] user.name");
        check("x | sort -source.p¦", "[source.p] source.port logsource.product");
        check("x | where event.sev¦", "[event.sev] event.severity:");
        check("\"a | b\" source.b¦", "[source.b] source.bytes:");
    }

    #[test]
    fn odd_places_never_panic() {
        for text in ["é:é|é", "\"", "|||", "\\"] {
            for pos in 0..10 {
                complete(text, pos);
            }
        }
    }
}
