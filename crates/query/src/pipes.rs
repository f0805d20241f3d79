//! Reads the pipes after the filter. One reader per command, one line each in [`COMMANDS`].

use pugmark_event::time::{Micros, parse_span};

use crate::cursor::Word;
use crate::diagnostic::Diagnostic;
use crate::parse::Parser;
use crate::plan::{Aggregate, FieldRef, Function, HEAD_ROWS, Pipe, SortKey};

/// Pipes in one question.
const PIPES_MAX: usize = 50;
/// Names in one list.
const LIST_MAX: usize = 100;
/// Rows that `head` and `top` may keep.
const ROWS_MAX: usize = 10_000_000;

type Read = fn(&mut Parser<'_>) -> Result<Pipe, Diagnostic>;

/// A command after a pipe.
pub(crate) struct Command {
    /// What is typed.
    pub(crate) name: &'static str,
    /// How it is used.
    pub(crate) usage: &'static str,
    read: Read,
}

/// All commands.
pub(crate) const COMMANDS: &[Command] = &[
    Command { name: "stats", usage: "stats count(), sum(x) as total by a, b", read: stats },
    Command { name: "timechart", usage: "timechart span=5m count() by x", read: timechart },
    Command { name: "top", usage: "top 10 x", read: top },
    Command { name: "rare", usage: "rare 10 x", read: rare },
    Command { name: "sort", usage: "sort -count, x", read: sort },
    Command { name: "head", usage: "head 10", read: head },
    Command { name: "fields", usage: "fields a, b", read: fields },
    Command { name: "where", usage: "where count:>5", read: filter },
];

/// What other languages call a command.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("limit", "head"),
    ("take", "head"),
    ("table", "fields"),
    ("project", "fields"),
    ("select", "fields"),
    ("keep", "fields"),
    ("order", "sort"),
    ("search", "where"),
    ("filter", "where"),
    ("summarize", "stats"),
    ("count", "stats count()"),
];

/// Characters that end a name.
const NAME_ENDS: &str = "(),|=";

/// Reads all pipes up to the end.
///
/// # Errors
/// With one fault for each pipe that is wrong.
pub(crate) fn read(parser: &mut Parser<'_>) -> Result<Vec<Pipe>, Vec<Diagnostic>> {
    let mut pipes = Vec::new();
    let mut faults = Vec::new();
    while parser.cursor.eat('|') {
        if pipes.len() + faults.len() >= PIPES_MAX {
            let message = format!("a query has at most {PIPES_MAX} pipes");
            faults.push(parser.cursor.fault(parser.cursor.at, message));
            break;
        }
        match read_one(parser) {
            Ok(pipe) => {
                parser.table = pipe.columns(parser.table.take());
                pipes.push(pipe);
            }
            Err(fault) => {
                faults.push(fault);
                let rest = parser.cursor.rest();
                parser.cursor.at += rest.find('|').unwrap_or(rest.len());
            }
        }
    }
    if faults.is_empty() { Ok(pipes) } else { Err(faults) }
}

fn read_one(parser: &mut Parser<'_>) -> Result<Pipe, Diagnostic> {
    parser.cursor.blanks();
    let from = parser.cursor.at;
    let names: Vec<&str> = COMMANDS.iter().map(|c| c.name).collect();
    let Some(word) = parser.cursor.word(NAME_ENDS)? else {
        return Err(parser
            .cursor
            .fault(from, "a command is missing after the pipe")
            .nearest("", &names));
    };
    let Some(command) = COMMANDS.iter().find(|c| word.is(c.name)) else {
        let fault =
            Diagnostic::new(word.from, word.to, format!("there is no command `{}`", word.raw));
        let other = OTHER_NAMES.iter().find(|(name, _)| word.is(name));
        return Err(match other {
            Some((_, name)) => fault.hint(format!("did you mean `{name}`?")),
            None => fault.nearest(word.raw, &names),
        });
    };
    let pipe = (command.read)(parser).map_err(|fault| match &fault.hint {
        Some(_) => fault,
        None => fault.hint(format!("use it as `{}`", command.usage)),
    })?;
    if pipe.makes_table() && parser.table.is_some() && !matches!(pipe, Pipe::Fields(_)) {
        let message =
            format!("`{}` works on events, and the pipes before it made a table", command.name);
        return Err(Diagnostic::new(word.from, word.to, message));
    }
    unique(parser, &pipe, word.from)?;
    parser.cursor.blanks();
    match parser.cursor.peek() {
        None | Some('|') => Ok(pipe),
        Some(_) => {
            let at = parser.cursor.at;
            let _ = parser.cursor.word("|");
            Err(parser
                .cursor
                .fault(at, format!("`{}` cannot take this", command.name))
                .hint(format!("use it as `{}`", command.usage)))
        }
    }
}

/// Two columns of one name could not be told apart.
fn unique(parser: &Parser<'_>, pipe: &Pipe, from: usize) -> Result<(), Diagnostic> {
    let Some(mut columns) = pipe.columns(None) else { return Ok(()) };
    columns.sort();
    match columns.windows(2).find(|w| w[0] == w[1]) {
        None => Ok(()),
        Some(w) => Err(parser
            .cursor
            .fault(from, format!("two columns would be called `{}`", w[0]))
            .hint("name one of them with `as`, or leave one out")),
    }
}

fn stats(parser: &mut Parser<'_>) -> Result<Pipe, Diagnostic> {
    let aggregates = aggregates(parser)?;
    let by = if keyword(parser, "by") { field_list(parser)? } else { Vec::new() };
    Ok(Pipe::Stats { aggregates, by })
}

fn timechart(parser: &mut Parser<'_>) -> Result<Pipe, Diagnostic> {
    let span = span(parser)?;
    let aggregates = aggregates(parser)?;
    let by = if keyword(parser, "by") { Some(field(parser)?) } else { None };
    Ok(Pipe::Timechart { span, aggregates, by })
}

fn span(parser: &mut Parser<'_>) -> Result<Option<Micros>, Diagnostic> {
    parser.cursor.blanks();
    let from = parser.cursor.at;
    let start = parser.cursor.clone();
    let is_span = parser.cursor.word(NAME_ENDS)?.is_some_and(|w| w.is("span"));
    parser.cursor.blanks();
    if !is_span || !parser.cursor.eat('=') {
        parser.cursor = start;
        return Ok(None);
    }
    parser.cursor.blanks();
    let text = parser.cursor.word(NAME_ENDS)?.map(|w| w.text()).unwrap_or_default();
    match parse_span(&text).filter(|span| *span > 0) {
        Some(span) => Ok(Some(span)),
        None => Err(parser
            .cursor
            .fault(from, "a span is a number and a unit")
            .hint("write span=30s, span=5m, span=1h or span=1d")),
    }
}

/// Figures separated by commas or blanks; without any, a count.
fn aggregates(parser: &mut Parser<'_>) -> Result<Vec<Aggregate>, Diagnostic> {
    let mut found = Vec::new();
    loop {
        parser.cursor.blanks();
        if matches!(parser.cursor.peek(), None | Some('|')) || parser.sees("by") {
            break;
        }
        found.push(aggregate(parser)?);
        bound(parser, found.len())?;
        parser.cursor.blanks();
        parser.cursor.eat(',');
    }
    if found.is_empty() {
        found.push(Aggregate { function: Function::Count, field: None, alias: None });
    }
    Ok(found)
}

fn aggregate(parser: &mut Parser<'_>) -> Result<Aggregate, Diagnostic> {
    let from = parser.cursor.at;
    let Some(word) = parser.cursor.word(NAME_ENDS)? else {
        return Err(parser.cursor.fault(from, "a function such as count() is missing here"));
    };
    let Some(function) = Function::from_name(word.raw) else {
        let message = format!("there is no function `{}`", word.raw);
        return Err(Diagnostic::new(word.from, word.to, message).nearest(word.raw, Function::NAMES));
    };
    let mut of = None;
    parser.cursor.blanks();
    if parser.cursor.eat('(') {
        parser.cursor.blanks();
        if parser.cursor.peek() != Some(')') {
            of = Some(field(parser)?);
            parser.cursor.blanks();
        }
        if !parser.cursor.eat(')') {
            return Err(parser.cursor.fault(from, "this bracket is never closed").hint("add a )"));
        }
    }
    if of.is_none() && function != Function::Count {
        let name = function.name();
        return Err(parser
            .cursor
            .fault(from, format!("`{name}` needs a field"))
            .hint(format!("write {name}(source.bytes)")));
    }
    let alias = if keyword(parser, "as") { Some(name(parser)?.1) } else { None };
    Ok(Aggregate { function, field: of, alias })
}

fn top(parser: &mut Parser<'_>) -> Result<Pipe, Diagnostic> {
    let rows = number(parser)?.unwrap_or(HEAD_ROWS);
    Ok(Pipe::Top { rows, fields: field_list(parser)?, rare: false })
}

fn rare(parser: &mut Parser<'_>) -> Result<Pipe, Diagnostic> {
    let rows = number(parser)?.unwrap_or(HEAD_ROWS);
    Ok(Pipe::Top { rows, fields: field_list(parser)?, rare: true })
}

fn sort(parser: &mut Parser<'_>) -> Result<Pipe, Diagnostic> {
    let mut keys = Vec::new();
    loop {
        parser.cursor.blanks();
        let mut descending = parser.cursor.eat('-');
        if !descending {
            parser.cursor.eat('+');
        }
        let field = field(parser)?;
        if keyword(parser, "desc") {
            descending = true;
        } else if keyword(parser, "asc") {
            descending = false;
        }
        keys.push(SortKey { field, descending });
        bound(parser, keys.len())?;
        parser.cursor.blanks();
        if !parser.cursor.eat(',') {
            return Ok(Pipe::Sort(keys));
        }
    }
}

fn head(parser: &mut Parser<'_>) -> Result<Pipe, Diagnostic> {
    Ok(Pipe::Head(number(parser)?.unwrap_or(HEAD_ROWS)))
}

fn fields(parser: &mut Parser<'_>) -> Result<Pipe, Diagnostic> {
    Ok(Pipe::Fields(field_list(parser)?))
}

fn filter(parser: &mut Parser<'_>) -> Result<Pipe, Diagnostic> {
    parser.cursor.blanks();
    let from = parser.cursor.at;
    if matches!(parser.cursor.peek(), None | Some('|')) {
        return Err(parser.cursor.fault(from, "a condition is missing here"));
    }
    Ok(Pipe::Where(parser.whole_filter()?))
}

fn field_list(parser: &mut Parser<'_>) -> Result<Vec<FieldRef>, Diagnostic> {
    let mut list = Vec::new();
    loop {
        list.push(field(parser)?);
        bound(parser, list.len())?;
        parser.cursor.blanks();
        if !parser.cursor.eat(',') {
            return Ok(list);
        }
    }
}

fn bound(parser: &Parser<'_>, length: usize) -> Result<(), Diagnostic> {
    if length <= LIST_MAX {
        return Ok(());
    }
    let at = parser.cursor.at;
    Err(parser.cursor.fault(at, format!("a list has at most {LIST_MAX} names")))
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
    let rest = parser.cursor.rest();
    let column = parser
        .table
        .iter()
        .flatten()
        .filter(|c| c.contains('(') && rest.starts_with(c.as_str()))
        .max_by_key(|c| c.len());
    if let Some(column) = column {
        let column = column.clone();
        parser.cursor.at += column.len();
        return Ok((from, column));
    }
    match parser.cursor.word(NAME_ENDS)? {
        Some(word) if !word.text().is_empty() => Ok((from, word.text())),
        _ => Err(parser.cursor.fault(from, "the name of a field is missing here")),
    }
}

fn number(parser: &mut Parser<'_>) -> Result<Option<usize>, Diagnostic> {
    parser.cursor.blanks();
    let from = parser.cursor.at;
    if !parser.cursor.peek().is_some_and(|c| c.is_ascii_digit()) {
        return Ok(None);
    }
    let word: Option<Word<'_>> = parser.cursor.word(NAME_ENDS)?;
    let rows = word.and_then(|w| w.raw.parse().ok()).filter(|rows| (1..=ROWS_MAX).contains(rows));
    match rows {
        Some(rows) => Ok(Some(rows)),
        None => Err(parser.cursor.fault(from, format!("this is a number from 1 to {ROWS_MAX}"))),
    }
}

fn keyword(parser: &mut Parser<'_>, keyword: &str) -> bool {
    parser.cursor.blanks();
    let sees = parser.sees(keyword);
    if sees {
        parser.cursor.at += keyword.len();
    }
    sees
}

#[cfg(test)]
mod tests {
    use crate::parse;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let plan = parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
        assert_eq!(plan.to_string(), expected, "{text}");
        assert_eq!(parse(expected).as_ref(), Ok(&plan), "{expected}");
    }

    #[track_caller]
    fn fault(text: &str, place: &str, expected: &str) {
        let faults = parse(text).expect_err(text);
        let found = (&text[faults[0].from..faults[0].to], faults[0].to_string());
        assert_eq!((found.0, found.1.as_str()), (place, expected), "{text}");
    }

    #[test]
    fn commands() {
        check("|stats count by user", "* | stats count() by user");
        check(
            "a | stats count(), sum(x) as total p95(y) BY a-b, \"c d\"",
            "a | stats count(), sum(x) as total, p95(y) by a-b, \"c d\"",
        );
        check(
            "* | stats count() by user | sort -count, user",
            "* | stats count() by user | sort -count, user",
        );
        check("* | stats avg(x) | sort avg(x) desc", "* | stats avg(x) | sort -\"avg(x)\"");
        check("* | timechart span=300s count() by x", "* | timechart span=5m count() by x");
        check("* | timechart", "* | timechart count()");
        check("* | head 5 | fields a, @timestamp", "* | head 5 | fields a, @timestamp");
        check("* | top user | where count:>=2", "* | top 10 user | where count:>=2");
        check("* | rare 3 user, host", "* | rare 3 user, host");
        check("x | where user:root | head", "x | where user:root | head 10");
        check(
            "* | stats count() by source_ip | sort source.ip",
            "* | stats count() by source_ip | sort source.ip",
        );
    }

    #[test]
    fn faults() {
        fault("* | stat count()", "stat", "there is no command `stat`; did you mean `stats`?");
        fault("* | limit 5", "limit", "there is no command `limit`; did you mean `head`?");
        fault(
            "* |",
            "",
            "a command is missing after the pipe; known are stats, timechart, top, rare, sort, head, fields, where",
        );
        fault("* | stats cuont()", "cuont", "there is no function `cuont`; did you mean `count`?");
        fault("* | stats sum()", "sum()", "`sum` needs a field; write sum(source.bytes)");
        fault("* | head 0", "0", "this is a number from 1 to 10000000; use it as `head 10`");
        fault("* | head 5 x", "x", "`head` cannot take this; use it as `head 10`");
        fault(
            "* | stats count() by user | sort usr",
            "usr",
            "the table has no column `usr`; did you mean `user`?",
        );
        fault(
            "* | top user | stats count()",
            "stats",
            "`stats` works on events, and the pipes before it made a table",
        );
        fault(
            "* | stats count(), count()",
            "stats count(), count()",
            "two columns would be called `count`; name one of them with `as`, or leave one out",
        );
        fault(
            "* | timechart span=x count()",
            "span=x",
            "a span is a number and a unit; write span=30s, span=5m, span=1h or span=1d",
        );
        fault(
            "* | top user | where root",
            "root",
            "a table has no text to look in; name a column, as in count:>5",
        );
    }

    #[test]
    fn every_wrong_pipe_is_reported() {
        assert_eq!(parse("* | foo | head 0 | bar").unwrap_err().len(), 3);
    }
}
