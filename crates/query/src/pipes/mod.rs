//! The commands after a pipe: one file each, one line each in [`COMMANDS`].
//!
//! A file says how its command is read, what it is called in the reference, and what it does to
//! rows. Some commands are a short way to write others, and are read as those.

mod baseline;
mod cast;
mod compare;
mod dedup;
mod eval;
mod expand;
mod extract;
mod fields;
mod head;
mod join;
mod lookup;
mod outlier;
mod parse;
mod patterns;
mod rare;
mod rename;
mod sample;
mod sequence;
mod sort;
mod stats;
mod tail;
mod timechart;
mod top;
mod transaction;
mod union;
mod r#where;

use std::fmt::{Display, Formatter};

use pugmark_event::time::{Micros, parse_span};

use crate::diagnostic::Diagnostic;
use crate::display::List;
use crate::eval::{Before, Rows};
use crate::expr::Expr;
use crate::parse::Parser;
use crate::plan::{Aggregate, FieldRef, Filter, Function, Named, Pipe, Plan, TIMECHART_COLUMN};
use crate::scope::{Place, Scope};

pub use baseline::Baseline;
pub use compare::Compare;
pub use join::{JOIN_ROWS_MAX, Join, Matches};
pub use lookup::Lookup;
pub use outlier::Outlier;
pub use patterns::Patterns;
pub use sample::is_chosen;
pub use sequence::Sequence;
pub use stats::Stats;
pub use transaction::Transaction;
pub use union::UNION_ROWS_MAX;

/// Steps of one question, as typed.
const PIPES_MAX: usize = 50;
/// Names in one list.
const LIST_MAX: usize = 100;
/// Rows that `head` and `top` may keep.
const ROWS_MAX: usize = 10_000_000;

/// Reads what follows the name of a command, up to the end of the step.
type Read = fn(&mut Parser<'_>) -> Result<Vec<Pipe>, Faults>;

/// What is wrong with a step.
pub(crate) struct Faults(Vec<Diagnostic>);

impl From<Diagnostic> for Faults {
    fn from(fault: Diagnostic) -> Self {
        Self(vec![fault])
    }
}

impl From<Vec<Diagnostic>> for Faults {
    fn from(faults: Vec<Diagnostic>) -> Self {
        Self(faults)
    }
}

/// A command after a pipe.
#[derive(Debug)]
pub struct Command {
    /// What is typed.
    pub name: &'static str,
    /// What other languages call it.
    pub other_names: &'static [&'static str],
    /// How it is used.
    pub usage: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// The rest of what there is to say, in Markdown.
    pub doc: &'static str,
    /// Questions about the events of [`crate::sample`], which are tests too.
    pub examples: &'static [Example],
    /// What may stand behind its name.
    pub(crate) takes: Takes,
    pub(crate) read: Read,
}

/// A question and its answer.
#[derive(Debug)]
pub struct Example {
    /// The question.
    pub query: &'static str,
    /// The rows of the answer, their values joined by ` · `; of events the ids.
    pub rows: &'static [&'static str],
}

/// What may stand behind the name of a command, for completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// A number, or nothing.
    Number,
    /// Fields, and these words.
    Fields(&'static [&'static str]),
    /// Figures, and these words; after `by` fields.
    Figures(&'static [&'static str]),
    /// Conditions.
    Condition,
    /// Names and expressions, and these words.
    Expressions(&'static [&'static str]),
    /// A lookup table, then fields.
    Table(&'static [&'static str]),
    /// These words alone.
    Words(&'static [&'static str]),
}

/// All commands, in the order of the reference.
pub const COMMANDS: &[Command] = &[
    r#where::COMMAND,
    eval::COMMAND,
    fields::COMMAND,
    rename::COMMAND,
    cast::COMMAND,
    stats::COMMAND,
    timechart::COMMAND,
    top::COMMAND,
    rare::COMMAND,
    sort::COMMAND,
    head::COMMAND,
    head::LIMIT,
    tail::COMMAND,
    dedup::COMMAND,
    sample::COMMAND,
    parse::COMMAND,
    extract::COMMAND,
    expand::COMMAND,
    lookup::COMMAND,
    join::COMMAND,
    union::COMMAND,
    transaction::COMMAND,
    sequence::COMMAND,
    patterns::COMMAND,
    compare::COMMAND,
    baseline::COMMAND,
    outlier::COMMAND,
];

/// Names of whole commands in other languages.
const OTHER_COMMANDS: &[(&str, &str)] = &[
    ("count", "stats count()"),
    ("search", "where"),
    ("fillnull", "eval x = coalesce(x, 0)"),
    ("logreduce", "patterns"),
    ("logcompare", "patterns | compare 1d"),
    ("mvexpand", "expand"),
    ("eventstats", "join"),
];

/// Characters that end a name.
const NAME_ENDS: &str = "(),|=[]";

impl Pipe {
    /// What names stand for after it.
    pub fn scope(&self, before: Scope) -> Scope {
        match self {
            Pipe::Where(_)
            | Pipe::Sort(_)
            | Pipe::Head(_)
            | Pipe::Tail(_)
            | Pipe::Dedup { .. }
            | Pipe::Sample { .. }
            | Pipe::Union(_) => before,
            Pipe::Extend(list) => eval::scope(list, before),
            Pipe::Select(list) => fields::scope(list, &before),
            Pipe::Stats(stats) => stats.scope(&before),
            Pipe::Expand(field) => expand::scope(field, before),
            Pipe::Lookup(lookup) => lookup.scope(before),
            Pipe::Join(join) => join.scope(before),
            Pipe::Transaction(transaction) => transaction.scope(&before),
            Pipe::Sequence(sequence) => sequence.scope(&before),
            Pipe::Patterns(_) => patterns::scope(),
            Pipe::Compare(_) => compare::scope(&before),
            Pipe::Baseline(_) => baseline::scope(before),
            Pipe::Outlier(_) => outlier::scope(before),
        }
    }

    /// Whether it needs all rows at once, or more than the rows before it: what an engine leaves
    /// to [`crate::eval::after`].
    pub fn is_whole(&self) -> bool {
        matches!(
            self,
            Pipe::Union(_)
                | Pipe::Transaction(_)
                | Pipe::Sequence(_)
                | Pipe::Patterns(_)
                | Pipe::Compare(_)
                | Pipe::Baseline(_)
                | Pipe::Outlier(_)
        )
    }

    /// Whether it takes each row by itself, so that it can be done to events as they arrive.
    pub fn is_by_row(&self) -> bool {
        matches!(
            self,
            Pipe::Where(_)
                | Pipe::Extend(_)
                | Pipe::Select(_)
                | Pipe::Expand(_)
                | Pipe::Sample { .. }
                | Pipe::Lookup(_)
        )
    }

    /// Does it to rows.
    ///
    /// # Errors
    /// With a sentence when a table is not there or a limit is reached.
    pub(crate) fn run<'a>(&self, rows: Rows<'a>, before: &Before<'_>) -> Result<Rows<'a>, String> {
        Ok(match self {
            Pipe::Where(filter) => r#where::run(filter, rows),
            Pipe::Extend(list) => eval::run(list, rows),
            Pipe::Select(list) => fields::run(list, rows),
            Pipe::Stats(stats) => stats.run(rows),
            Pipe::Sort(keys) => sort::run(keys, rows),
            Pipe::Head(count) => head::run(*count, rows),
            Pipe::Tail(count) => tail::run(*count, rows),
            Pipe::Dedup { by, rows: count } => dedup::run(by, *count, rows),
            Pipe::Expand(field) => expand::run(field, rows),
            Pipe::Sample { share } => sample::run(*share, rows),
            Pipe::Lookup(lookup) => lookup.run(rows, before.known)?,
            Pipe::Join(join) => join.run(rows, before.known)?,
            Pipe::Union(plan) => union::run(plan, rows, before.known)?,
            Pipe::Transaction(transaction) => transaction.run(rows),
            Pipe::Sequence(sequence) => sequence.run(rows),
            Pipe::Patterns(patterns) => patterns.run(rows),
            Pipe::Compare(compare) => compare.run(rows, before)?,
            Pipe::Baseline(baseline) => baseline.run(rows),
            Pipe::Outlier(outlier) => outlier.run(rows),
        })
    }

    /// The same with every expression, filter and question in it changed.
    pub(crate) fn replaced(&self, change: &Change<'_>) -> Pipe {
        let figures = |list: &[Aggregate]| list.iter().map(|f| change.figure(f)).collect();
        let named = |list: &[Named]| {
            let one = |named: &Named| Named {
                name: named.name.clone(),
                value: change.expr(&named.value),
            };
            list.iter().map(one).collect()
        };
        match self {
            Pipe::Where(filter) => Pipe::Where(change.filter(filter)),
            Pipe::Extend(list) => Pipe::Extend(named(list)),
            Pipe::Select(list) => Pipe::Select(named(list)),
            Pipe::Stats(stats) => {
                let by: Vec<Named> = named(&stats.by);
                let seconds = by.iter().find_map(|key| width(&key.value));
                let change = Change { seconds: seconds.unwrap_or(change.seconds), ..*change };
                let figures = stats.figures.iter().map(|figure| change.figure(figure)).collect();
                Pipe::Stats(Stats { figures, by })
            }
            Pipe::Join(join) => {
                Pipe::Join(Join { plan: Box::new(change.plan(&join.plan)), ..join.clone() })
            }
            Pipe::Union(plan) => Pipe::Union(Box::new(change.plan(plan))),
            Pipe::Transaction(transaction) => Pipe::Transaction(Transaction {
                figures: figures(&transaction.figures),
                ..transaction.clone()
            }),
            Pipe::Sequence(sequence) => Pipe::Sequence(Sequence {
                steps: sequence.steps.iter().map(|step| change.filter(step)).collect(),
                ..sequence.clone()
            }),
            other => other.clone(),
        }
    }
}

/// The seconds of a stretch of time that rows are grouped by.
fn width(key: &Expr) -> Option<f64> {
    match key.args_of(crate::functions::SPAN)? {
        [_, Expr::Literal(width), ..] => width.number(),
        _ => None,
    }
}

/// What becomes of the parts of a plan.
pub(crate) struct Change<'c> {
    /// What an expression becomes, if it changes.
    pub(crate) expr: &'c dyn Fn(&Expr) -> Option<Expr>,
    /// Seconds of a rate that has none.
    pub(crate) seconds: f64,
}

impl Change<'_> {
    pub(crate) fn plan(&self, plan: &Plan) -> Plan {
        Plan {
            filter: self.filter(&plan.filter),
            pipes: plan.pipes.iter().map(|pipe| pipe.replaced(self)).collect(),
        }
    }

    fn expr(&self, expr: &Expr) -> Expr {
        expr.replaced(self.expr)
    }

    fn filter(&self, filter: &Filter) -> Filter {
        let all = |parts: &[Filter]| parts.iter().map(|part| self.filter(part)).collect();
        match filter {
            Filter::And(parts) => Filter::And(all(parts)),
            Filter::Or(parts) => Filter::Or(all(parts)),
            Filter::Not(part) => Filter::Not(Box::new(self.filter(part))),
            Filter::Holds(expr) => Filter::Holds(self.expr(expr)),
            other => other.clone(),
        }
    }

    fn figure(&self, figure: &Aggregate) -> Aggregate {
        let function = match figure.function {
            Function::Rate(None) => Function::Rate(Some(self.seconds)),
            other => other,
        };
        let of = figure.of.as_ref().map(|of| self.expr(of));
        // The name stays as it was typed.
        let alias = figure.alias.clone().or_else(|| (of != figure.of).then(|| figure.name()));
        Aggregate { function, of, alias }
    }
}

/// Reads all pipes up to the end.
///
/// # Errors
/// With one fault for each pipe that is wrong.
pub(crate) fn read(parser: &mut Parser<'_>) -> Result<Vec<Pipe>, Vec<Diagnostic>> {
    let mut pipes = Vec::new();
    let mut faults = Vec::new();
    let mut steps = 0;
    while parser.cursor.eat('|') {
        steps += 1;
        if steps > PIPES_MAX {
            let message = format!("a query has at most {PIPES_MAX} pipes");
            let fault = parser.cursor.fault(parser.cursor.at, message);
            faults.push(fault.hint("leave steps out, or ask in two queries"));
            break;
        }
        let before = (parser.scope.clone(), parser.marks());
        match read_one(parser) {
            Ok(read) => pipes.extend(read),
            Err(Faults(found)) => {
                faults.extend(found);
                parser.scope = before.0;
                parser.reset(before.1);
                parser.skip_step();
            }
        }
    }
    if faults.is_empty() { Ok(pipes) } else { Err(faults) }
}

fn read_one(parser: &mut Parser<'_>) -> Result<Vec<Pipe>, Faults> {
    parser.cursor.blanks();
    let from = parser.cursor.at;
    let command = command(parser)?;
    let to = parser.cursor.at;
    let usage = |fault: Diagnostic| match &fault.hint {
        Some(_) => fault,
        None => fault.hint(format!("use it as `{}`", command.usage)),
    };
    let pipes = (command.read)(parser)
        .map_err(|Faults(faults)| Faults(faults.into_iter().map(usage).collect()))?;
    for pipe in &pipes {
        fits(parser, pipe, command, (from, to))?;
        parser.scope = pipe.scope(parser.scope.clone());
        unique(&parser.scope, (from, parser.cursor.at))?;
    }
    parser.cursor.blanks();
    if parser.at_end() {
        return Ok(pipes);
    }
    let at = parser.cursor.at;
    let _ = parser.cursor.word("|");
    let message = format!("`{}` cannot take this", command.name);
    Err(usage(parser.cursor.fault(at, message)).into())
}

fn command(parser: &mut Parser<'_>) -> Result<&'static Command, Diagnostic> {
    let from = parser.cursor.at;
    let names: Vec<&str> = COMMANDS.iter().map(|c| c.name).collect();
    let Some(word) = parser.cursor.word(NAME_ENDS)? else {
        let fault = parser.cursor.fault(from, "a command is missing after the pipe");
        return Err(fault.nearest("", &names));
    };
    if let Some(command) = COMMANDS.iter().find(|c| word.is(c.name)) {
        return Ok(command);
    }
    let fault = Diagnostic::new(word.from, word.to, format!("there is no command `{}`", word.raw));
    let other = OTHER_COMMANDS.iter().find(|(name, _)| word.is(name)).map(|(_, name)| *name);
    let also = |c: &&Command| c.other_names.iter().any(|name| word.is(name));
    Err(match other.or_else(|| COMMANDS.iter().find(also).map(|c| c.name)) {
        Some(name) => fault.hint(format!("did you mean `{name}`?")),
        None => fault.nearest(word.raw, &names),
    })
}

/// Whether a pipe can follow what is there.
fn fits(
    parser: &Parser<'_>,
    pipe: &Pipe,
    command: &Command,
    (from, to): (usize, usize),
) -> Result<(), Diagnostic> {
    let scope = &parser.scope;
    let (message, hint) = match pipe {
        Pipe::Compare(_) | Pipe::Baseline(_) | Pipe::Outlier(_) | Pipe::Union(_)
            if scope.events =>
        {
            let message =
                format!("`{}` works on a table, and the rows here are events", command.name);
            (message, "make a table first, as with `timechart span=1h count()`")
        }
        Pipe::Union(plan) if plan.scope().events => {
            let message = "the rows of the other query are events".to_string();
            (message, "end it with `stats` or `fields`, so that it makes a table")
        }
        Pipe::Transaction(_) | Pipe::Sequence(_)
            if scope.find(&FieldRef::new(TIMECHART_COLUMN)) == Place::Nowhere =>
        {
            let message =
                format!("`{}` goes by time, and the table has no @timestamp", command.name);
            (message, "put it before the table, or keep @timestamp in the table")
        }
        _ => return Ok(()),
    };
    Err(Diagnostic::new(from, to, message).hint(hint))
}

/// Two columns of one name could not be told apart.
fn unique(scope: &Scope, (from, to): (usize, usize)) -> Result<(), Diagnostic> {
    let mut names = scope.names();
    names.sort();
    match names.windows(2).find(|w| w[0] == w[1]) {
        None => Ok(()),
        Some(w) => {
            Err(Diagnostic::new(from, to, format!("two columns would be called `{}`", w[0]))
                .hint("name one of them with `as`, or leave one out"))
        }
    }
}

/// Figures separated by commas or blanks, up to one of `ends`; without any, a count.
fn figures(parser: &mut Parser<'_>, ends: &[&str]) -> Result<Vec<Aggregate>, Diagnostic> {
    let mut found = Vec::new();
    loop {
        parser.cursor.blanks();
        let ends = ends.iter().any(|end| parser.sees(end) || parser.sees_option(end));
        if parser.at_end() || ends {
            break;
        }
        found.push(figure(parser)?);
        bound(parser, found.len())?;
        parser.cursor.blanks();
        parser.cursor.eat(',');
    }
    Ok(found)
}

fn figure(parser: &mut Parser<'_>) -> Result<Aggregate, Diagnostic> {
    let from = parser.cursor.at;
    let Some(word) = parser.cursor.word(NAME_ENDS)? else {
        return Err(parser.cursor.fault(from, "a function such as count() is missing here"));
    };
    let Some(mut function) = Function::from_name(word.raw) else {
        let known: Vec<&str> = crate::figures::FIGURES.iter().map(|f| f.name).collect();
        let message = format!("there is no function `{}`", word.raw);
        return Err(Diagnostic::new(word.from, word.to, message).nearest(word.raw, &known));
    };
    let mut of = None;
    parser.cursor.blanks();
    let open = parser.cursor.at;
    if parser.cursor.eat('(') {
        parser.cursor.blanks();
        if parser.cursor.peek() != Some(')') {
            of = Some(argument(parser)?);
            parser.cursor.blanks();
            if word.is("percentile") && parser.cursor.eat(',') {
                let percent = whole(parser, "a percent", 1..=99)?;
                function = Function::Percentile(percent as u8);
                parser.cursor.blanks();
            }
        }
        parser.close(open)?;
    }
    if of.is_none() && !function.is_alone() {
        let name = word.raw.to_ascii_lowercase();
        let fault = parser.cursor.fault(from, format!("`{name}` needs a field"));
        return Err(fault.hint(format!("write {name}(source.bytes)")));
    }
    // `count(*)` is what others write.
    let alias = if parser.keyword("as") { Some(name(parser)?.1) } else { None };
    Ok(Aggregate { function, of, alias })
}

/// What a figure is of: a name, which may be in quotes, or an expression.
fn argument(parser: &mut Parser<'_>) -> Result<Expr, Diagnostic> {
    parser.cursor.blanks();
    let start = parser.cursor.clone();
    let is_name = |c: char| c.is_alphabetic() || "_@\"'".contains(c);
    if parser.cursor.peek().is_some_and(is_name)
        && let Ok((from, name)) = name(parser)
    {
        parser.cursor.blanks();
        if matches!(parser.cursor.peek(), Some(')' | ',')) {
            return Ok(Expr::Field(parser.field(&name, from)?));
        }
    }
    parser.cursor = start;
    parser.expr()
}

/// What `one` reads, as often as a comma follows it.
fn list<T>(
    parser: &mut Parser<'_>,
    mut one: impl FnMut(&mut Parser<'_>) -> Result<T, Diagnostic>,
) -> Result<Vec<T>, Diagnostic> {
    let mut list = Vec::new();
    loop {
        list.push(one(parser)?);
        bound(parser, list.len())?;
        parser.cursor.blanks();
        if !parser.cursor.eat(',') {
            return Ok(list);
        }
    }
}

/// Fields separated by commas.
fn field_list(parser: &mut Parser<'_>) -> Result<Vec<FieldRef>, Diagnostic> {
    list(parser, field)
}

/// Fields after the word `by`, if it is next.
fn by(parser: &mut Parser<'_>) -> Result<Vec<FieldRef>, Diagnostic> {
    if parser.keyword("by") { field_list(parser) } else { Ok(Vec::new()) }
}

fn bound(parser: &Parser<'_>, length: usize) -> Result<(), Diagnostic> {
    if length <= LIST_MAX {
        return Ok(());
    }
    let at = parser.cursor.at;
    Err(parser.cursor.fault(at, format!("a list has at most {LIST_MAX} entries")))
}

fn field(parser: &mut Parser<'_>) -> Result<FieldRef, Diagnostic> {
    let (from, name) = name(parser)?;
    parser.field(&name, from)
}

/// A name, bare or in quotes, and where it starts. A table may have columns such as `sum(x)`,
/// which can be named so too.
fn name(parser: &mut Parser<'_>) -> Result<(usize, String), Diagnostic> {
    parser.cursor.blanks();
    let from = parser.cursor.at;
    if let Some(length) = parser.column_with_brackets() {
        parser.cursor.at += length;
        return Ok((from, parser.cursor.since(from).to_string()));
    }
    if parser.cursor.peek() == Some('\'') {
        let name = parser.cursor.quoted('\'')?;
        return match name.is_empty() {
            true => Err(parser.cursor.fault(from, "the name of a field is missing here")),
            false => Ok((from, name)),
        };
    }
    match parser.cursor.word(NAME_ENDS)? {
        Some(word) if !word.text().is_empty() => Ok((from, word.text())),
        _ => Err(parser.cursor.fault(from, "the name of a field is missing here")),
    }
}

/// Steps over a word that must be next; `what` stands behind it.
fn must(parser: &mut Parser<'_>, word: &str, what: &str) -> Result<(), Diagnostic> {
    let at = parser.cursor.at;
    if parser.keyword(word) {
        return Ok(());
    }
    Err(parser.cursor.fault(at, format!("`{word}` and {what} are missing here")))
}

/// A name and what it is called from here on: the same, if `as` does not follow.
fn name_as(parser: &mut Parser<'_>) -> Result<(String, String), Diagnostic> {
    let there = name(parser)?.1;
    let here = if parser.keyword("as") { name(parser)?.1 } else { there.clone() };
    Ok((there, here))
}

/// A number of rows, if one is next.
fn rows(parser: &mut Parser<'_>) -> Result<Option<usize>, Diagnostic> {
    parser.cursor.blanks();
    if !parser.cursor.peek().is_some_and(|c| c.is_ascii_digit()) {
        return Ok(None);
    }
    whole(parser, "a number", 1..=ROWS_MAX).map(Some)
}

/// A whole number of a range; `what` is what it is.
fn whole(
    parser: &mut Parser<'_>,
    what: &str,
    range: std::ops::RangeInclusive<usize>,
) -> Result<usize, Diagnostic> {
    parser.cursor.blanks();
    let from = parser.cursor.at;
    let word = parser.cursor.word(NAME_ENDS)?;
    let number = word.and_then(|w| w.raw.parse().ok()).filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let message = format!("this is {what} from {} to {}", range.start(), range.end());
        parser.cursor.fault(from, message)
    })
}

/// A span of time such as `5m`.
fn span(parser: &mut Parser<'_>) -> Result<Micros, Diagnostic> {
    parser.cursor.blanks();
    let from = parser.cursor.at;
    let text = parser.cursor.word(NAME_ENDS)?.map(|w| w.text()).unwrap_or_default();
    parse_span(&text).filter(|span| *span > 0).ok_or_else(|| {
        let fault = parser.cursor.fault(from, "a span is a number and a unit");
        fault.hint("write 30s, 5m, 1h, 1d or 1w")
    })
}

/// ` by a, b`, or nothing.
struct By<'a, T>(&'a [T]);

impl<T: Display> Display for By<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " by {}", List(self.0)) }
    }
}

#[cfg(test)]
pub(crate) mod tests;
