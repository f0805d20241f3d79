//! Headers: lines that name the columns of the lines below them, as IIS, Zeek and CSV files have.
//!
//! A header has a form in text, `w3c date time c-ip` or `zeek conn<tab>ts<tab>uid`, so that a block
//! of records can carry the one that was in force before it: parsing a block then needs nothing but
//! the block.

use std::borrow::Cow;

use pugmark_event::Records;

/// Longest header that is kept, in bytes.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// A CSV header names at least this many columns; fewer may be a sentence.
const COLUMNS_MIN: usize = 3;
/// And at most so many.
pub(crate) const COLUMNS_MAX: usize = 1024;

/// The formats whose records need a header.
/// The attribute of a row that holds the header above it, so that the row can be read by itself
/// when it is parsed again. Longer headers than so many bytes are not kept with each row.
pub const HEADER: &str = "event.header";
pub(crate) const ROW_HEADER_BYTES_MAX: usize = 4 << 10;

pub(crate) const W3C: &str = "w3c";
pub(crate) const ZEEK: &str = "zeek";
pub(crate) const TABLE: &str = "table";

/// The headers of an input, followed from block to block.
///
/// Whoever takes records in asks [`Headers::next`] for each block and hands the answer on as its
/// format; a block that comes alone then still has its header.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    current: Option<String>,
    /// The first record of an input may be the header of a table.
    begun: bool,
}

impl Headers {
    /// Goes on from a header that [`Headers::current`] gave earlier.
    pub fn from(current: Option<String>) -> Self {
        Self { current, begun: false }
    }

    /// The header in force now, as text.
    pub fn current(&self) -> Option<&str> {
        self.current.as_deref()
    }

    /// The header in force before the first of these records; follows the headers among them.
    pub fn next(&mut self, records: &Records) -> Option<String> {
        if !self.begun {
            self.begun = true;
            let mut first = records.iter().map(String::from_utf8_lossy);
            if let (Some(first), Some(second)) = (first.next(), first.next())
                && let Some(header) = of_table(&first, &second)
            {
                self.current = Some(header);
            }
        }
        let before = self.current.clone();
        for record in records.iter().filter(|record| record.starts_with(b"#")) {
            if let Some(header) = after(self.current.as_deref(), &String::from_utf8_lossy(record)) {
                self.current = Some(header);
            }
        }
        before
    }
}

/// The header in force after `record`, if the record changes it. `before` is the one that was.
pub(crate) fn after(before: Option<&str>, record: &str) -> Option<String> {
    let line = record.strip_prefix('#')?;
    if line.len() > HEADER_BYTES_MAX {
        return None;
    }
    if let Some(columns) = line.strip_prefix("Fields:") {
        return Some(format!("{W3C} {}", columns.trim()));
    }
    if let Some(path) = line.strip_prefix("path\t") {
        return Some(format!("{ZEEK} {}", path.trim()));
    }
    let columns = line.strip_prefix("fields\t")?;
    let path = before
        .and_then(|before| before.strip_prefix(ZEEK))
        .and_then(|rest| rest.trim_start().split('\t').next())
        .unwrap_or("");
    Some(format!("{ZEEK} {path}\t{}", columns.trim_end()))
}

/// True for the other lines that stand with a header: W3C's directives (extended log file format)
/// and Zeek's.
pub(crate) fn is_directive(record: &str) -> bool {
    const DIRECTIVES: [&str; 17] = [
        "Software:",
        "Version:",
        "Date:",
        "Fields:",
        "Remark:",
        "Start-Date:",
        "End-Date:",
        "separator ",
        "set_separator\t",
        "empty_field\t",
        "unset_field\t",
        "path\t",
        "open\t",
        "close\t",
        "fields\t",
        "types\t",
        "types ",
    ];
    let line = record.strip_prefix('#');
    line.is_some_and(|line| DIRECTIVES.iter().any(|name| line.starts_with(name)))
}

/// The header that the first record of an input is, if it is one and the second is a row of it.
fn of_table(first: &str, second: &str) -> Option<String> {
    let separators = [',', '\t', ';', '|', ' '];
    let separator = separators.into_iter().max_by_key(|c| first.matches(*c).count())?;
    let columns: Vec<Cow<'_, str>> = split(first, separator).collect();
    let named = |name: &Cow<'_, str>| {
        let name = name.trim();
        !name.is_empty()
            && name.len() <= 64
            && name.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '@')
            && name.chars().all(|c| c.is_alphanumeric() || "_-.@ ()/#%:".contains(c))
    };
    let distinct = columns.iter().enumerate().all(|(i, name)| !columns[..i].contains(name));
    // Words between blanks are a sentence, unless they are names such as `interface-id`.
    let compound = |name: &&Cow<'_, str>| name.contains(['-', '_']);
    let is_sentence = separator == ' ' && columns.iter().filter(compound).count() < 2;
    let is_header = !is_sentence
        && (COLUMNS_MIN..=COLUMNS_MAX).contains(&columns.len())
        && first.len() <= HEADER_BYTES_MAX
        && columns.iter().all(named)
        && distinct;
    // A row that could be a header as well makes neither of them one.
    let row: Vec<Cow<'_, str>> = split(second, separator).collect();
    let is_row = row.len() == columns.len() && !row.iter().all(named);
    (is_header && is_row).then(|| format!("{TABLE} {separator}{first}"))
}

/// The values of a row. A value in double quotes may hold the separator, and `""` in it is one
/// quote (RFC 4180).
pub(crate) fn split(row: &str, separator: char) -> impl Iterator<Item = Cow<'_, str>> {
    let mut rest = Some(row);
    std::iter::from_fn(move || {
        let text = rest?;
        if let Some((value, after)) = quoted(text, separator) {
            rest = after;
            return Some(value);
        }
        let (value, after) = match text.split_once(separator) {
            Some((value, after)) => (value, Some(after)),
            None => (text, None),
        };
        rest = after;
        Some(Cow::Borrowed(value))
    })
    .take(COLUMNS_MAX)
}

/// A quoted value at the start, and what follows its separator.
fn quoted(text: &str, separator: char) -> Option<(Cow<'_, str>, Option<&str>)> {
    let inner = text.strip_prefix('"')?;
    let end = closing_quote(inner)?;
    let after = &inner[end + 1..];
    let after = match after.strip_prefix(separator) {
        Some(after) => Some(after),
        None if after.is_empty() => None,
        None => return None,
    };
    let value = &inner[..end];
    let value = match value.contains('"') {
        true => Cow::Owned(value.replace("\"\"", "\"")),
        false => Cow::Borrowed(value),
    };
    Some((value, after))
}

/// Where the quote stands that is not doubled.
fn closing_quote(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr(b'"', bytes.get(at..)?)?;
        if bytes.get(at + 1) != Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_are_followed() {
        for (before, record, expected) in [
            (None, "#Fields: date time c-ip", Some("w3c date time c-ip")),
            (None, "#Software: Microsoft Internet Information Services 10.0", None),
            (None, "#path\tconn", Some("zeek conn")),
            (Some("zeek conn"), "#fields\tts\tuid", Some("zeek conn\tts\tuid")),
            (Some("zeek conn\tx"), "#fields\tts\tuid", Some("zeek conn\tts\tuid")),
            (Some("w3c date"), "#fields\tts", Some("zeek \tts")),
            (None, "a line", None),
        ] {
            assert_eq!(after(before, record).as_deref(), expected, "{before:?} {record}");
        }
    }

    #[test]
    fn directives_are_told_from_comments() {
        for (record, expected) in [
            ("#Software: Microsoft Internet Information Services 10.0", true),
            ("#Fields: date time", true),
            ("#close\t2026-11-23-10-00-00", true),
            ("# a comment", false),
            ("Version: 1.0", false),
        ] {
            assert_eq!(is_directive(record), expected, "{record}");
        }
    }

    #[test]
    fn a_table_names_its_columns_in_its_first_line() {
        for (first, second, expected) in [
            ("time,user,action", "2026-11-23,ann,login", Some("table ,time,user,action")),
            ("a;b;c", "1;2;3", Some("table ;a;b;c")),
            (
                "version account-id interface-id action",
                "2 123456789010 eni-1 ACCEPT",
                Some("table  version account-id interface-id action"),
            ),
            ("the quick brown fox", "and 3 lazy dogs", None),
            ("a,b", "1,2", None),
            ("a,b,c", "x,y,z", None),
            ("a,b,c", "1,2", None),
            ("a,a,c", "1,2,3", None),
            ("1,2,3", "4,5,6", None),
            ("User ID,Event Time,\"Client, IP\"", "7,8,9", None),
        ] {
            assert_eq!(of_table(first, second).as_deref(), expected, "{first}");
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(split(text, ',').collect::<Vec<_>>(), expected, "{text:?}");
    }

    #[test]
    fn values_stand_between_separators_and_in_quotes() {
        check("", &[""]);
        check("a,b", &["a", "b"]);
        check(",a,,", &["", "a", "", ""]);
        check("\"a,b\",c", &["a,b", "c"]);
        check("\"a\"\"b\",c", &["a\"b", "c"]);
        check("\"a\"b,c", &["\"a\"b", "c"]);
        check("\"open,c", &["\"open", "c"]);
        check("\"\"", &[""]);
    }

    proptest! {
        #[test]
        fn any_text_is_split(text in "[a,\"é]{0,12}") {
            let values: Vec<_> = split(&text, ',').collect();
            prop_assert!(!values.is_empty());
            if !text.contains('"') {
                prop_assert_eq!(values.join(","), text);
            }
        }
    }
}
