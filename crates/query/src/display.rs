//! A plan back as text, which parses to the same plan.

use std::fmt::{Display, Formatter, Result, Write};

use pugmark_event::time::format_span;

use crate::cell::Cell;
use crate::cursor::{JOINERS, is_name_char};
use crate::expr::Expr;
use crate::plan::{
    Aggregate, Bound, FieldRef, Filter, Named, Pattern, Piece, Pipe, Plan, SortKey, Test,
};

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.filter.fmt(f)?;
        for pipe in &self.pipes {
            write!(f, " | {pipe}")?;
        }
        Ok(())
    }
}

impl Display for Filter {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Filter::All => f.write_char('*'),
            Filter::And(parts) => join(f, parts, " ", nested),
            Filter::Or(parts) => join(f, parts, " or ", nested),
            Filter::Not(part) => {
                f.write_str("not ")?;
                nested(f, part)
            }
            Filter::Words(pattern) => write!(f, "{pattern}"),
            Filter::Field(field, test) => write!(f, "{}:{test}", Key(field)),
            Filter::Holds(expr) => write!(f, "{expr}"),
        }
    }
}

fn nested(f: &mut Formatter<'_>, part: &Filter) -> Result {
    match part {
        Filter::And(_) | Filter::Or(_) | Filter::Holds(_) => write!(f, "({part})"),
        _ => write!(f, "{part}"),
    }
}

impl Display for Pattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.0.is_empty() {
            return f.write_str("\"\"");
        }
        for piece in &self.0 {
            match piece {
                Piece::Text(text) if self.0.len() == 1 => Value(text).fmt(f)?,
                Piece::Text(text) => quote(f, text)?,
                Piece::Any => f.write_char('*')?,
                Piece::One => f.write_char('?')?,
            }
        }
        Ok(())
    }
}

impl Display for Test {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Test::Exists => f.write_char('*'),
            Test::Equals(value) => Value(value).fmt(f),
            Test::Like(pattern) => pattern.fmt(f),
            Test::Regex(regex) => write_regex(f, regex),
            Test::Network(network) => f.write_str(network),
            Test::Range { low: Some(low), high: Some(high) } => write!(
                f,
                "{}{} TO {}{}",
                if low.inclusive { '[' } else { '{' },
                Value(&low.value),
                Value(&high.value),
                if high.inclusive { ']' } else { '}' },
            ),
            Test::Range { low, high } => {
                one_sided(f, '>', low.as_ref())?;
                one_sided(f, '<', high.as_ref())
            }
        }
    }
}

fn one_sided(f: &mut Formatter<'_>, sign: char, bound: Option<&Bound>) -> Result {
    let Some(bound) = bound else { return Ok(()) };
    write!(f, "{sign}{}{}", if bound.inclusive { "=" } else { "" }, Value(&bound.value))
}

pub(crate) fn write_regex(f: &mut Formatter<'_>, regex: &str) -> Result {
    f.write_char('/')?;
    let mut chars = regex.chars();
    while let Some(c) = chars.next() {
        match c {
            '/' => f.write_str("\\/")?,
            '\\' => {
                f.write_char('\\')?;
                if let Some(next) = chars.next() {
                    f.write_char(next)?;
                }
            }
            _ => f.write_char(c)?,
        }
    }
    f.write_char('/')
}

impl Display for Pipe {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Pipe::Where(filter) => write!(f, "where {filter}"),
            Pipe::Extend(list) => {
                f.write_str("eval ")?;
                join(f, list, ", ", |f, named| write!(f, "{} = {}", Name(&named.name), named.value))
            }
            Pipe::Select(list) => write!(f, "fields {}", List(list)),
            Pipe::Stats(stats) => stats.fmt(f),
            Pipe::Sort(keys) => write!(f, "sort {}", List(keys)),
            Pipe::Head(rows) => write!(f, "head {rows}"),
            Pipe::Tail(rows) => write!(f, "tail {rows}"),
            Pipe::Dedup { by, rows } => write!(f, "dedup {rows} {}", List(by)),
            Pipe::Expand(field) => write!(f, "expand {field}"),
            Pipe::Sample { share } => write!(f, "sample {share}"),
            Pipe::Lookup(lookup) => lookup.fmt(f),
            Pipe::Join(join) => join.fmt(f),
            Pipe::Union(plan) => write!(f, "union [ {plan} ]"),
            Pipe::Transaction(transaction) => transaction.fmt(f),
            Pipe::Sequence(sequence) => sequence.fmt(f),
            Pipe::Patterns(patterns) => patterns.fmt(f),
            Pipe::Compare(compare) => write!(f, "compare {}", format_span(compare.shift)),
            Pipe::Baseline(baseline) => baseline.fmt(f),
            Pipe::Outlier(outlier) => outlier.fmt(f),
        }
    }
}

/// Writes each item, and something between any two.
pub(crate) fn join<T>(
    f: &mut Formatter<'_>,
    list: &[T],
    between: &str,
    write: impl Fn(&mut Formatter<'_>, &T) -> Result,
) -> Result {
    for (place, item) in list.iter().enumerate() {
        if place > 0 {
            f.write_str(between)?;
        }
        write(f, item)?;
    }
    Ok(())
}

/// `a, b, c`
pub(crate) struct List<'a, T>(pub(crate) &'a [T]);

impl<T: Display> Display for List<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        join(f, self.0, ", ", |f, item| item.fmt(f))
    }
}

impl Display for Named {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.value {
            Expr::Field(field) if field.typed == self.name => field.fmt(f),
            Expr::Field(field) => write!(f, "{field} as {}", Name(&self.name)),
            value => write!(f, "{value} as {}", Name(&self.name)),
        }
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}(", self.function.name())?;
        match &self.of {
            // Alone it would be a field.
            Some(of @ Expr::Literal(Cell::Text(_) | Cell::Null | Cell::Bool(_))) => {
                write!(f, "({of})")?;
            }
            Some(of) => write!(f, "{of}")?,
            None => {}
        }
        f.write_char(')')?;
        self.alias.as_ref().map_or(Ok(()), |alias| write!(f, " as {}", Name(alias)))
    }
}

impl Display for SortKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}{}", if self.descending { "-" } else { "" }, self.field)
    }
}

impl Display for FieldRef {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        Name(&self.typed).fmt(f)
    }
}

/// A name in a pipe.
pub(crate) struct Name<'a>(pub(crate) &'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let starts_well = self.0.starts_with(|c: char| c.is_alphabetic() || "_@".contains(c));
        let keyword = ["by", "as", "asc", "desc", "from", "output", "left", "inner", "json", "kv"]
            .iter()
            .any(|k| k.eq_ignore_ascii_case(self.0));
        if starts_well && !keyword && self.0.chars().all(is_name_char) {
            f.write_str(self.0)
        } else {
            quote(f, self.0)
        }
    }
}

/// The name of a field before its colon.
pub(crate) struct Key<'a>(pub(crate) &'a FieldRef);

impl Display for Key<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let typed = &self.0.typed;
        let starts_well = typed.starts_with(|c: char| c.is_alphabetic() || "_@".contains(c));
        if starts_well && typed.chars().all(is_name_char) {
            f.write_str(typed)
        } else {
            quote(f, typed)
        }
    }
}

/// Words that compare in an expression.
const COMPARERS: [&str; 3] = ["in", "like", "matches"];

/// A value or free word.
struct Value<'a>(&'a str);

impl Display for Value<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let text = self.0;
        let plain = |c: char| c.is_alphanumeric() || "_-.@%+,".contains(c);
        let keyword = JOINERS.iter().chain(&COMPARERS).any(|k| k.eq_ignore_ascii_case(text));
        // A sign at the start could join what stands before it.
        let starts_well = text.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let safe = text.chars().all(plain) && starts_well && !text.contains("..");
        if safe && !text.is_empty() && !keyword { f.write_str(text) } else { quote(f, text) }
    }
}

pub(crate) fn quote(f: &mut Formatter<'_>, text: &str) -> Result {
    f.write_char('"')?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}
