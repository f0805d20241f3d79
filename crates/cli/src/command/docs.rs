//! `pugmark docs`: prints the reference pages; `cargo xtask codegen` writes them to docs/reference.

use clap::{CommandFactory, ValueEnum};
use pugmark_event::fields::FIELDS;

use crate::cli::Cli;
use crate::error::{CliError, Exit};
use crate::output::say;
use crate::settings::DEFAULTS;

/// Print a reference page
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The page
    page: Page,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Page {
    /// Every field of an event.
    Fields,
    /// Every command and flag.
    Cli,
    /// Every setting.
    Settings,
    /// The HTTP API.
    Openapi,
    /// The rules in the binary.
    Rules,
    /// The commands and functions of the query language.
    Pql,
}

pub(crate) fn run(args: Args) -> Result<Exit, CliError> {
    let page = match args.page {
        Page::Fields => fields(),
        Page::Cli => commands(),
        Page::Settings => format!("# Settings\n\n```toml\n{}\n```", DEFAULTS.trim_end()),
        Page::Openapi => pugmark_server::openapi_json(),
        Page::Rules => rules(),
        Page::Pql => pugmark_query::reference::page(),
    };
    say(page.trim_end())?;
    Ok(Exit::Done)
}

fn fields() -> String {
    let mut page = String::from(
        "# Fields\n\nEvery field with a column. Other keys of a record are kept as attributes \
         under their own names.\n\n| field | column | kind | entity | OCSF | meaning |\n\
         |---|---|---|---|---|---|\n",
    );
    for field in FIELDS {
        page += &format!(
            "| `{}` | `{}` | {} | {} | {} | {} |\n",
            field.name,
            field.column,
            field.kind.name(),
            field.role.map_or("", |r| r.name()),
            field.ocsf,
            field.doc
        );
    }
    page
}

fn commands() -> String {
    let mut page = String::from("# Commands\n");
    let mut root = Cli::command().term_width(100);
    root.build();
    let mut stack: Vec<clap::Command> = vec![root];
    while let Some(mut command) = stack.pop() {
        let name = command.get_bin_name().unwrap_or("pugmark").to_string();
        page += &format!("\n## {name}\n\n```text\n{}\n```\n", command.render_long_help());
        let mut below: Vec<_> =
            command.get_subcommands().filter(|c| !c.is_hide_set()).cloned().collect();
        below.reverse();
        stack.extend(below);
    }
    // Help pads its lines; Markdown reads trailing blanks as line breaks.
    page.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn rules() -> String {
    let (set, _) = pugmark_engine::rules::compile(&pugmark_engine::rules::builtin());
    let mut page = String::from(
        "# Rules\n\nThe rules in the binary.\n\n| rule | level | log source | tags |\n\
         |---|---|---|---|\n",
    );
    for rule in set.rules().iter().filter(|rule| !rule.silent) {
        let log_source: Vec<_> =
            [&rule.product, &rule.category, &rule.service].into_iter().flatten().cloned().collect();
        page += &format!(
            "| {} | {} | {} | {} |\n",
            rule.title,
            rule.level.name(),
            log_source.join(" / "),
            rule.tags.join(", ")
        );
    }
    page
}
