//! A plan back as text, which parses to the same plan.

use std::fmt::{Display, Formatter, Result, Write};

use crate::cursor::{JOINERS, is_name_char};
use crate::plan::{Aggregate, Bound, FieldRef, Filter, Pattern, Piece, Pipe, Plan, SortKey, Test};

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
            Filter::And(parts) => join(f, parts, " "),
            Filter::Or(parts) => join(f, parts, " or "),
            Filter::Not(part) => {
                f.write_str("not ")?;
                nested(f, part)
            }
            Filter::Words(pattern) => write!(f, "{pattern}"),
            Filter::Field(field, test) => write!(f, "{}:{test}", Key(field)),
        }
    }
}

fn join(f: &mut Formatter<'_>, parts: &[Filter], between: &str) -> Result {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            f.write_str(between)?;
        }
        nested(f, part)?;
    }
    Ok(())
}

fn nested(f: &mut Formatter<'_>, part: &Filter) -> Result {
    match part {
        Filter::And(_) | Filter::Or(_) => write!(f, "({part})"),
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

fn write_regex(f: &mut Formatter<'_>, regex: &str) -> Result {
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
            Pipe::Stats { aggregates, by } => {
                write!(f, "stats {}", List(aggregates))?;
                if by.is_empty() { Ok(()) } else { write!(f, " by {}", List(by)) }
            }
            Pipe::Timechart { span, aggregates, by } => {
                f.write_str("timechart ")?;
                if let Some(span) = span {
                    write!(f, "span={} ", span_text(*span))?;
                }
                write!(f, "{}", List(aggregates))?;
                by.as_ref().map_or(Ok(()), |field| write!(f, " by {field}"))
            }
            Pipe::Top { rows, fields, rare } => {
                write!(f, "{} {rows} {}", if *rare { "rare" } else { "top" }, List(fields))
            }
            Pipe::Sort(keys) => write!(f, "sort {}", List(keys)),
            Pipe::Head(rows) => write!(f, "head {rows}"),
            Pipe::Fields(fields) => write!(f, "fields {}", List(fields)),
            Pipe::Where(filter) => write!(f, "where {filter}"),
        }
    }
}

/// A width of time in the largest unit that divides it.
pub(crate) fn span_text(span: i64) -> String {
    use pugmark_event::time::{DAY, HOUR, MINUTE, SECOND};
    let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s"), (1000, "ms"), (1, "us")];
    let (unit, name) = units.into_iter().find(|(unit, _)| span % unit == 0).unwrap_or((1, "us"));
    format!("{}{name}", span / unit)
}

struct List<'a, T>(&'a [T]);

impl<T: Display> Display for List<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (i, item) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            item.fmt(f)?;
        }
        Ok(())
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}(", self.function.name())?;
        if let Some(field) = &self.field {
            write!(f, "{field}")?;
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
struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let starts_well = self.0.starts_with(|c: char| c.is_alphabetic() || "_@".contains(c));
        let keyword = ["by", "as", "asc", "desc"].iter().any(|k| k.eq_ignore_ascii_case(self.0));
        if starts_well && !keyword && self.0.chars().all(is_name_char) {
            f.write_str(self.0)
        } else {
            quote(f, self.0)
        }
    }
}

/// The name of a field before its colon.
struct Key<'a>(&'a FieldRef);

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

/// A value or free word.
struct Value<'a>(&'a str);

impl Display for Value<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let text = self.0;
        let plain = |c: char| c.is_alphanumeric() || "_-.@%+,".contains(c);
        let keyword = JOINERS.iter().any(|k| k.eq_ignore_ascii_case(text));
        let safe = text.chars().all(plain) && !text.starts_with('-') && !text.contains("..");
        if safe && !text.is_empty() && !keyword { f.write_str(text) } else { quote(f, text) }
    }
}

fn quote(f: &mut Formatter<'_>, text: &str) -> Result {
    f.write_char('"')?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}
