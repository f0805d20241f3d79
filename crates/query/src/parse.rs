//! Text to plan: a recursive descent over the filter; `pipes` reads what follows it.

use pugmark_event::fields::Kind;

use crate::check::{Check, TextCheck};
use crate::cursor::{Cursor, JOINERS, Word};
use crate::diagnostic::Diagnostic;
use crate::pipes;
use crate::plan::{Bound, FieldRef, Filter, Piece, Plan, Target, Test};

/// Longest text of a question.
pub const TEXT_BYTES_MAX: usize = 64 << 10;
/// Brackets and negations inside each other.
pub const DEPTH_MAX: usize = 128;
/// Words and tests in one question.
pub const TESTS_MAX: usize = 1000;

/// Reads a question. An empty text asks for everything.
///
/// # Errors
/// With what is wrong, where, and what to write instead. One fault is reported for the filter and
/// one for each pipe.
pub fn parse(text: &str) -> Result<Plan, Vec<Diagnostic>> {
    if text.len() > TEXT_BYTES_MAX {
        let message =
            format!("a query has at most {TEXT_BYTES_MAX} bytes; this has {}", text.len());
        return Err(vec![Diagnostic::new(0, text.len(), message)]);
    }
    let mut parser =
        Parser { cursor: Cursor::new(text), depth: 0, tests: 0, regexes: 0, table: None };
    let filter = match parser.whole_filter() {
        Ok(filter) => filter,
        Err(fault) => return Err(vec![fault]),
    };
    let pipes = pipes::read(&mut parser)?;
    Ok(Plan { filter, pipes })
}

/// Regular expressions in one question: each may take memory far beyond its text.
const REGEXES_MAX: usize = 32;

/// Where the reading stands.
pub(crate) struct Parser<'a> {
    pub(crate) cursor: Cursor<'a>,
    depth: usize,
    tests: usize,
    regexes: usize,
    /// Columns of the table that the pipes so far make; `None` while the rows are events.
    pub(crate) table: Option<Vec<String>>,
}

/// Characters that end a word of a filter.
const WORD_ENDS: &str = "()|";

impl<'a> Parser<'a> {
    /// A filter up to a pipe or the end; nothing at all is everything.
    pub(crate) fn whole_filter(&mut self) -> Result<Filter, Diagnostic> {
        self.cursor.blanks();
        if matches!(self.cursor.peek(), None | Some('|')) {
            return Ok(Filter::All);
        }
        let filter = self.any()?;
        self.cursor.blanks();
        let from = self.cursor.at;
        match self.cursor.peek() {
            None | Some('|') => Ok(filter),
            Some(_) => Err(self
                .cursor
                .fault(from, "this closing bracket was never opened")
                .hint("remove it, or put the text in quotes")),
        }
    }

    /// Alternatives joined by `or`.
    fn any(&mut self) -> Result<Filter, Diagnostic> {
        let mut parts = vec![self.all()?];
        while self.keyword("or") {
            parts.push(self.all()?);
        }
        Ok(flat(parts, Filter::Or))
    }

    /// Conditions joined by `and` or by nothing.
    fn all(&mut self) -> Result<Filter, Diagnostic> {
        let mut parts = vec![self.one()?];
        loop {
            self.cursor.blanks();
            if matches!(self.cursor.peek(), None | Some(')' | '|')) || self.sees("or") {
                return Ok(flat(parts, Filter::And));
            }
            self.keyword("and");
            parts.push(self.one()?);
        }
    }

    /// One condition, perhaps negated or in brackets.
    fn one(&mut self) -> Result<Filter, Diagnostic> {
        self.cursor.blanks();
        let from = self.cursor.at;
        self.enter(from)?;
        let minus = self.cursor.rest().strip_prefix('-').is_some_and(|rest| {
            rest.starts_with(|c: char| !c.is_whitespace() && !")|".contains(c))
        });
        let filter = if minus {
            self.cursor.eat('-');
            Filter::Not(Box::new(self.one()?))
        } else if self.keyword("not") {
            Filter::Not(Box::new(self.one()?))
        } else if self.cursor.eat('(') {
            let inner = self.any()?;
            self.close(from)?;
            inner
        } else {
            self.leaf()?
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn enter(&mut self, from: usize) -> Result<(), Diagnostic> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let message = format!("brackets and negations go at most {DEPTH_MAX} deep");
            return Err(self.cursor.fault(from, message));
        }
        Ok(())
    }

    fn close(&mut self, from: usize) -> Result<(), Diagnostic> {
        self.cursor.blanks();
        if self.cursor.eat(')') {
            return Ok(());
        }
        Err(Diagnostic::new(from, from + 1, "this bracket is never closed").hint("add a )"))
    }

    /// A word, or a field and its test.
    fn leaf(&mut self) -> Result<Filter, Diagnostic> {
        let from = self.cursor.at;
        self.tests += 1;
        if self.tests > TESTS_MAX {
            let message = format!("a query has at most {TESTS_MAX} words and tests");
            return Err(self.cursor.fault(from, message));
        }
        if let Some(name) = self.cursor.key()? {
            let field = self.field(&name, from)?;
            return self.value(&field, from);
        }
        let Some(word) = self.cursor.word(WORD_ENDS)? else {
            return Err(self.cursor.fault(from, "a word or a test is missing here"));
        };
        if !word.quoted && JOINERS.iter().any(|k| word.is(k)) {
            return Err(Diagnostic::new(
                word.from,
                word.to,
                format!("`{}` joins two conditions", word.raw),
            )
            .hint(format!("to look for the word itself write \"{}\"", word.raw)));
        }
        if self.table.is_some() && word.pattern.0 != [Piece::Any] {
            return Err(Diagnostic::new(word.from, word.to, "a table has no text to look in")
                .hint("name a column, as in count:>5"));
        }
        Ok(match word.pattern.0.as_slice() {
            [] | [Piece::Any] => Filter::All,
            _ => {
                TextCheck::anywhere(&word.pattern)
                    .map_err(|message| Diagnostic::new(word.from, word.to, message))?;
                Filter::Words(word.pattern)
            }
        })
    }

    /// What a name stands for here: a field of events, or a column of the table.
    pub(crate) fn field(&self, name: &str, from: usize) -> Result<FieldRef, Diagnostic> {
        let field = FieldRef::new(name);
        let Some(columns) = &self.table else { return Ok(field) };
        if field.find(columns).is_some() {
            return Ok(field);
        }
        let known: Vec<&str> = columns.iter().map(String::as_str).collect();
        Err(Diagnostic::new(from, from + name.len(), format!("the table has no column `{name}`"))
            .nearest(name, &known))
    }

    /// What follows `field:`.
    fn value(&mut self, field: &FieldRef, from: usize) -> Result<Filter, Diagnostic> {
        let at = self.cursor.at;
        if self.cursor.eat('(') {
            self.enter(at)?;
            let group = self.group_any(field, at)?;
            self.close(at)?;
            self.depth -= 1;
            return Ok(group);
        }
        let test = self.test(field)?;
        self.checked(field, test, from)
    }

    /// The filter, once it is known that the field can hold such a value.
    fn checked(&self, field: &FieldRef, test: Test, from: usize) -> Result<Filter, Diagnostic> {
        let made = match &self.table {
            Some(_) => TextCheck::new(&test).map(drop),
            None => Check::new(&field.target, &test).map(drop),
        };
        match made {
            Ok(()) => Ok(Filter::Field(field.clone(), test)),
            Err(message) => Err(self.cursor.fault(from, message)),
        }
    }

    /// `a or b` inside `field:(...)`.
    fn group_any(&mut self, field: &FieldRef, open: usize) -> Result<Filter, Diagnostic> {
        let mut parts = vec![self.group_all(field, open)?];
        while self.keyword("or") {
            parts.push(self.group_all(field, open)?);
        }
        Ok(flat(parts, Filter::Or))
    }

    /// `a and b` inside `field:(...)`.
    fn group_all(&mut self, field: &FieldRef, open: usize) -> Result<Filter, Diagnostic> {
        let mut parts = vec![self.group_one(field)?];
        while self.keyword("and") {
            parts.push(self.group_one(field)?);
        }
        self.cursor.blanks();
        match self.cursor.peek() {
            Some(')') => {}
            None | Some('|') => self.close(open)?,
            Some(_) if self.sees("or") => {}
            Some(_) => {
                let from = self.cursor.at;
                return Err(self
                    .cursor
                    .fault(from, "values in brackets need a word between them")
                    .hint(format!("write {}:(a or b)", field.typed)));
            }
        }
        Ok(flat(parts, Filter::And))
    }

    fn group_one(&mut self, field: &FieldRef) -> Result<Filter, Diagnostic> {
        self.cursor.blanks();
        let from = self.cursor.at;
        self.enter(from)?;
        let filter = if self.keyword("not") {
            Filter::Not(Box::new(self.group_one(field)?))
        } else if self.cursor.eat('(') {
            let inner = self.group_any(field, from)?;
            self.close(from)?;
            inner
        } else {
            self.tests += 1;
            if self.tests > TESTS_MAX {
                let message = format!("a query has at most {TESTS_MAX} words and tests");
                return Err(self.cursor.fault(from, message));
            }
            let test = self.test(field)?;
            self.checked(field, test, from)?
        };
        self.depth -= 1;
        Ok(filter)
    }

    /// One value with its operator.
    fn test(&mut self, field: &FieldRef) -> Result<Test, Diagnostic> {
        let from = self.cursor.at;
        if let Some(regex) = self.cursor.regex() {
            self.regexes += 1;
            if self.regexes > REGEXES_MAX {
                let message = format!("a query has at most {REGEXES_MAX} regular expressions");
                return Err(self.cursor.fault(from, message).hint("join some with |"));
            }
            return Ok(Test::Regex(regex));
        }
        if matches!(self.cursor.peek(), Some('[' | '{')) {
            return self.bracket_range();
        }
        for (sign, low, inclusive) in
            [(">=", true, true), ("<=", false, true), (">", true, false), ("<", false, false)]
        {
            if self.cursor.eat_str(sign) {
                let value = self.bound_word(WORD_ENDS)?.text();
                let bound = Some(Bound { value, inclusive });
                return Ok(match low {
                    true => Test::Range { low: bound, high: None },
                    false => Test::Range { low: None, high: bound },
                });
            }
        }
        self.cursor.eat('=');
        let word = self.bound_word(WORD_ENDS)?;
        Ok(plain(field, word))
    }

    /// `[1 TO 5]`; a curly bracket leaves the bound itself out, a star leaves it open.
    fn bracket_range(&mut self) -> Result<Test, Diagnostic> {
        let from = self.cursor.at;
        let low_inclusive = self.cursor.eat('[') || !self.cursor.eat('{');
        let low = self.range_end(low_inclusive)?;
        self.cursor.blanks();
        let joiner = self.cursor.word("]}()|")?;
        if !joiner.is_some_and(|w| w.is("to")) {
            return Err(self
                .cursor
                .fault(from, "a range needs TO between its ends")
                .hint("write [1 TO 5]"));
        }
        let mut high = self.range_end(true)?;
        self.cursor.blanks();
        let high_inclusive = self.cursor.eat(']');
        if !high_inclusive && !self.cursor.eat('}') {
            return Err(self
                .cursor
                .fault(from, "this range is never closed")
                .hint("write [1 TO 5]"));
        }
        if let Some(bound) = &mut high {
            bound.inclusive = high_inclusive;
        }
        match (low, high) {
            (None, None) => Ok(Test::Exists),
            (low, high) => Ok(Test::Range { low, high }),
        }
    }

    fn range_end(&mut self, inclusive: bool) -> Result<Option<Bound>, Diagnostic> {
        self.cursor.blanks();
        let word = self.bound_word("]}()|")?;
        Ok((word.raw != "*").then(|| Bound { value: word.text(), inclusive }))
    }

    fn bound_word(&mut self, ends: &str) -> Result<Word<'a>, Diagnostic> {
        let from = self.cursor.at;
        match self.cursor.word(ends)? {
            Some(word) => Ok(word),
            None => Err(self
                .cursor
                .fault(from, "a value is missing after the colon")
                .hint("write field:value without a blank, or quote the text to look for it")),
        }
    }

    /// Steps over the bare word `keyword` if it is next.
    fn keyword(&mut self, keyword: &str) -> bool {
        self.cursor.blanks();
        let sees = self.sees(keyword);
        if sees {
            self.cursor.at += keyword.len();
        }
        sees
    }

    /// True when the bare word `keyword` is next.
    pub(crate) fn sees(&self, keyword: &str) -> bool {
        let rest = self.cursor.rest();
        rest.get(..keyword.len()).is_some_and(|w| w.eq_ignore_ascii_case(keyword))
            && rest[keyword.len()..]
                .chars()
                .next()
                .is_none_or(|c| c.is_whitespace() || "()|".contains(c))
    }
}

fn flat(mut parts: Vec<Filter>, join: fn(Vec<Filter>) -> Filter) -> Filter {
    match parts.len() {
        1 => parts.remove(0),
        _ => join(parts),
    }
}

/// What a value without an operator means.
fn plain(field: &FieldRef, word: Word<'_>) -> Test {
    if word.pattern.0 == [Piece::Any] {
        return Test::Exists;
    }
    let Some(text) = word.pattern.literal() else { return Test::Like(word.pattern) };
    let kind = match field.target {
        Target::Column(id) => Some(id.field().kind),
        Target::Attribute(_) => None,
    };
    let network = text.contains('/') && text.parse::<ipnet::IpNet>().is_ok();
    match kind {
        // An address column holds no slash, so even a quoted or broken network means a network.
        Some(Kind::Ip) if text.contains('/') => return Test::Network(text.to_string()),
        None if network && !word.quoted => return Test::Network(text.to_string()),
        _ => {}
    }
    if !word.quoted
        && let Some((low, high)) = text.split_once("..")
    {
        let fits = |end: &str| {
            end.is_empty()
                || crate::check::Number::parse(end).is_some()
                || kind == Some(Kind::Time) && !end.contains("..")
        };
        if fits(low) && fits(high) && !(low.is_empty() && high.is_empty()) {
            let bound = |value: &str| {
                (!value.is_empty()).then(|| Bound { value: value.to_string(), inclusive: true })
            };
            return Test::Range { low: bound(low), high: bound(high) };
        }
    }
    Test::Equals(text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `text` means `expected`, which is how the plan is written back.
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let plan = parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
        assert_eq!(plan.to_string(), expected, "{text}");
        assert_eq!(parse(expected).as_ref(), Ok(&plan), "{expected}");
    }

    /// `text` has a fault at `^` marks, and the message and hint read so.
    #[track_caller]
    fn fault(text: &str, mark: &str, expected: &str) {
        let faults = parse(text).expect_err(text);
        let shown =
            format!("{}{}", " ".repeat(faults[0].from), "^".repeat(faults[0].to - faults[0].from));
        assert_eq!((shown.as_str(), faults[0].to_string().as_str()), (mark, expected), "{text}");
    }

    #[test]
    fn filters() {
        check("", "*");
        check("*", "*");
        check("failed password", "failed password");
        check("\"failed password\"", "\"failed password\"");
        check("a b or c and not d", "(a b) or (c not d)");
        check("a and (b or -c)", "a (b or not c)");
        check("((a))", "a");
        check("not not a", "not not a");
        check("\"and\" foo-bar - x", "\"and\" foo-bar \"-\" x");
        check(
            "http://x fe80::1 10:00:00 C:\\Temp",
            "\"http://x\" \"fe80::1\" \"10:00:00\" \"C:\\\\Temp\"",
        );
        check("fail*word", "\"fail\"*\"word\"");
        check("user.name:root", "user.name:root");
        check("user:(root or admin)", "user:root or user:admin");
        check("user:(a* and not (b or c))", "user:\"a\"* not (user:b or user:c)");
        check("\"my key\":x", "\"my key\":x");
        check("foo:\"a \\\"b\\\" \\\\ c\"", "foo:\"a \\\"b\\\" \\\\ c\"");
        check("user.name:CORP\\bob", "user.name:\"CORP\\\\bob\"");
        check(r#"file.path:C:\"Program Files"*"#, r#"file.path:"C:\\Program Files"*"#);
    }

    #[test]
    fn tests_of_fields() {
        check("p:>=5 p:<5 p:=5", "p:>=5 p:<5 p:5");
        check("p:[1 TO 5] p:{1 to 5} p:[* TO 5}", "p:[1 TO 5] p:{1 TO 5} p:<5");
        check(
            "p:1..5 p:..5 p:1.. p:a..b p:-5..-1",
            "p:[1 TO 5] p:<=5 p:>=1 p:\"a..b\" p:[\"-5\" TO \"-1\"]",
        );
        check("p:* p:\"*\" p:** p:[* TO *]", "p:* p:\"*\" p:* p:*");
        check("source.ip:10.0.0.0/8 x:10.0.0.0/8", "source.ip:10.0.0.0/8 x:10.0.0.0/8");
        check("x:\"10.0.0.0/8\"", "x:\"10.0.0.0/8\"");
        check("p:/a\\/(b|c) d/ x", "p:/a\\/(b|c) d/ x");
        check("file.path:/etc/passwd", "file.path:\"/etc/passwd\"");
        check("(url.path:/a/)", "url.path:/a/");
        check("@timestamp:>=2026-11-23T10:00:00Z", "@timestamp:>=\"2026-11-23T10:00:00Z\"");
        check("source.ip:2001:db8::1", "source.ip:\"2001:db8::1\"");
        check("source.port:abc source.ip:unknown", "source.port:abc source.ip:unknown");
    }

    #[test]
    fn faults_of_filters() {
        fault("a (b or c", "  ^", "this bracket is never closed; add a )");
        fault(
            "a) b",
            " ^",
            "this closing bracket was never opened; remove it, or put the text in quotes",
        );
        fault(
            "say \"a",
            "    ^^",
            "this quote is never closed; write a closing \", and \\\\ for a backslash before it",
        );
        fault("a or", "    ", "a word or a test is missing here");
        fault("or a", "^^", "`or` joins two conditions; to look for the word itself write \"or\"");
        fault(
            "user: root",
            "     ^",
            "a value is missing after the colon; write field:value without a blank, or quote the text to look for it",
        );
        fault(
            "source.port:>abc",
            "^^^^^^^^^^^^^^^^",
            "source.port is a number, but \"abc\" is not",
        );
        fault(
            "source.ip:10.0.0.0/99",
            "^^^^^^^^^^^^^^^^^^^^^",
            "10.0.0.0/99 is no network such as 10.0.0.0/8",
        );
        fault("a:/(/", "^^^^^", "this regular expression is broken: unclosed group");
        fault(
            "user:(a b)",
            "        ^",
            "values in brackets need a word between them; write user:(a or b)",
        );
        fault("p:[1 5]", "  ^^^^", "a range needs TO between its ends; write [1 TO 5]");
    }

    #[test]
    fn hostile_text_is_refused_quickly() {
        for text in [
            "(".repeat(60_000),
            "-".repeat(60_000) + "a",
            "not ".repeat(10_000),
            "a:(".repeat(20_000),
            "\"".repeat(65_535),
            "a ".repeat(30_000),
            "x".repeat(65_537),
            "a:/\\pL{50}/ ".repeat(1000),
        ] {
            assert!(parse(&text).is_err(), "{}", &text[..10]);
        }
        let deep = format!("{}a{}", "(".repeat(120), ")".repeat(120));
        assert!(parse(&deep).is_ok());
    }
}
