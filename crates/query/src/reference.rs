//! The language as people read about it, in Markdown: all commands, figures and functions, with
//! their examples. `pugmark docs pql` and `pugmark help pql` print it.

use std::fmt::Write;

use crate::figures::FIGURES;
use crate::functions::{FAMILIES, Function};
use crate::pipes::{COMMANDS, Command};
use crate::sample;

/// The whole reference.
pub fn page() -> String {
    let mut page = String::from(
        "# Query language: commands and functions\n\n\
         A query is a filter, then commands behind pipes. What a filter is says \
         [asking questions](../guide/query-language.md). This page is generated, and every example \
         on it runs in a test.\n",
    );
    page.push_str("\n## Commands\n\n");
    for command in COMMANDS {
        let _ = writeln!(page, "- [`{}`](#{}): {}", command.name, command.name, command.about);
    }
    for command in COMMANDS {
        page.push('\n');
        page.push_str(&of_command(command));
    }
    page.push_str("\n## Figures\n\nOf `stats`, `timechart` and `transaction`.\n\n");
    page.push_str("| figure | what it is |\n|---|---|\n");
    for figure in FIGURES {
        let _ = writeln!(page, "| `{}` | {} |", figure.usage, figure.about);
    }
    page.push_str(
        "\n## Functions\n\nOf `eval` and `where`. Of an absent value a function makes \
        an absent one, unless it says otherwise.\n",
    );
    for family in FAMILIES {
        let _ = writeln!(page, "\n### {}\n", family.title);
        page.push_str("| function | what it does | for example |\n|---|---|---|\n");
        family.functions.iter().for_each(|function| row(&mut page, function));
    }
    page.push_str("\n## The events of the examples\n\n```text\n");
    for (event, id) in sample::EVENTS.iter().zip(1..) {
        let _ = writeln!(page, "{id}  {}  {}", event.time, event.record);
    }
    page.push_str("```\n\nFields, where the record does not show them:\n\n");
    for (event, id) in sample::EVENTS.iter().zip(1..) {
        let fields = event.fields.iter().filter(|(name, _)| *name != "message");
        let fields: Vec<String> = fields.map(|(name, value)| format!("`{name}` {value}")).collect();
        let _ = writeln!(page, "{id}. {}", fields.join(", "));
    }
    page
}

/// What there is to say about one command, or one function, of this name; `None` if there is none.
pub fn about(name: &str) -> Option<String> {
    if let Some(command) = COMMANDS.iter().find(|c| c.name.eq_ignore_ascii_case(name)) {
        return Some(of_command(command));
    }
    let mut found = String::new();
    if let Some(figure) = FIGURES.iter().find(|f| f.name.eq_ignore_ascii_case(name)) {
        let _ = writeln!(found, "`{}`\n\n{}", figure.usage, figure.about);
    }
    let function = crate::functions::all().find(|f| f.name.eq_ignore_ascii_case(name));
    if let Some(function) = function {
        let _ = writeln!(found, "`{}`\n\n{}\n", function.usage, function.about);
        for (example, gives) in function.examples {
            let _ = writeln!(found, "    {example}  gives  {}", shown(gives));
        }
    }
    (!found.is_empty()).then_some(found)
}

fn of_command(command: &Command) -> String {
    let mut text = format!("### {}\n\n    {}\n\n{}", command.name, command.usage, command.about);
    if !command.doc.is_empty() {
        let _ = write!(text, " {}", command.doc);
    }
    text.push('\n');
    for example in command.examples {
        let _ = write!(text, "\n```query\n{}\n```\n\n```text\n", example.query);
        for line in example.rows {
            let _ = writeln!(text, "{}", line.trim_end());
        }
        if example.rows.is_empty() {
            text.push_str("(no rows)\n");
        }
        text.push_str("```\n");
    }
    text
}

fn row(page: &mut String, function: &Function) {
    let escaped = |text: &str| text.replace('|', "\\|");
    let examples: Vec<String> = function
        .examples
        .iter()
        .take(2)
        .map(|(example, gives)| format!("`{}` → {}", escaped(example), escaped(&shown(gives))))
        .collect();
    let _ = writeln!(
        page,
        "| `{}` | {} | {} |",
        function.usage,
        escaped(function.about),
        examples.join("<br>")
    );
}

fn shown(value: &str) -> String {
    if value.is_empty() { "(absent)".to_string() } else { format!("`{value}`") }
}
