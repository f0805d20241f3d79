//! Text to plan: a recursive descent over the filter; `pipes` reads what follows it.

use pugmark_event::fields::Kind;

use crate::cell::Cell;
use crate::check::{Check, TextCheck};
use crate::condition;
use crate::cursor::{Cursor, JOINERS, Word};
use crate::diagnostic::Diagnostic;
use crate::expr::{COMPARISONS, Compared, Expr};
use crate::pipes;
use crate::plan::{Bound, FieldRef, Filter, Piece, Plan, Target, Test};
use crate::scope::{Place, Scope};

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
        return Err(vec![Diagnostic::new(0, text.len(), message).hint(LONG_HINT)]);
    }
    let mut parser = Parser::new(text);
    let plan = parser.plan()?;
    parser.cursor.blanks();
    match parser.cursor.peek() {
        None => Ok(plan),
        Some(_) => Err(vec![parser.unexpected()]),
    }
}

/// Reads an expression of fields of events, as `eval` and `where` take them.
///
/// # Errors
/// With what is wrong, where, and what to write instead.
pub fn parse_expr(text: &str) -> Result<Expr, Diagnostic> {
    let mut parser = Parser::new(text);
    let expr = parser.expr()?;
    parser.cursor.blanks();
    match parser.cursor.peek() {
        None => Ok(expr),
        Some(_) => Err(parser.unexpected()),
    }
}

/// Regular expressions in one question: each may take memory far beyond its text.
const REGEXES_MAX: usize = 32;
/// What to do about a query that is too long.
const LONG_HINT: &str = "shorten it, or keep its values in a lookup table";
/// Questions inside of questions.
const NESTED_MAX: usize = 3;

/// Where the reading stands.
pub(crate) struct Parser<'a> {
    pub(crate) cursor: Cursor<'a>,
    depth: usize,
    tests: usize,
    regexes: usize,
    /// Questions inside of questions, in square brackets.
    nested: usize,
    /// Whether expressions may stand among the conditions: only behind a pipe, since words of a
    /// record may look like one.
    conditions: bool,
    /// What names stand for here.
    pub(crate) scope: Scope,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            cursor: Cursor::new(text),
            depth: 0,
            tests: 0,
            regexes: 0,
            nested: 0,
            conditions: false,
            scope: Scope::events(),
        }
    }

    /// A filter and its pipes.
    fn plan(&mut self) -> Result<Plan, Vec<Diagnostic>> {
        let filter = self.whole_filter().map_err(|fault| vec![fault])?;
        let pipes = pipes::read(self)?;
        Ok(Plan { filter, pipes })
    }

    /// Another question in square brackets, about events again.
    pub(crate) fn sub_plan(&mut self) -> Result<Plan, Vec<Diagnostic>> {
        self.cursor.blanks();
        let from = self.cursor.at;
        if !self.cursor.eat('[') {
            let fault = self.cursor.fault(from, "another query in square brackets is missing here");
            return Err(vec![
                fault.hint("write [ event.outcome:failure | stats count() by user.name ]"),
            ]);
        }
        if self.nested == NESTED_MAX {
            let message = format!("queries in brackets go at most {NESTED_MAX} deep");
            let hint = "ask one of them by itself";
            return Err(vec![self.cursor.fault(from, message).hint(hint)]);
        }
        self.nested += 1;
        let outer = std::mem::replace(&mut self.scope, Scope::events());
        let conditions = std::mem::take(&mut self.conditions);
        let plan = self.plan()?;
        self.conditions = conditions;
        self.scope = outer;
        self.nested -= 1;
        self.cursor.blanks();
        if !self.cursor.eat(']') {
            let fault = Diagnostic::new(from, from + 1, "this bracket is never closed");
            return Err(vec![fault.hint("add a ]")]);
        }
        Ok(plan)
    }

    /// A condition in square brackets, with or without `where` before it.
    pub(crate) fn step(&mut self) -> Result<Filter, Diagnostic> {
        let from = self.cursor.at;
        self.cursor.eat('[');
        self.nested += 1;
        self.keyword("where");
        let filter = self.condition();
        self.nested -= 1;
        let filter = filter?;
        self.cursor.blanks();
        if !self.cursor.eat(']') {
            return Err(
                Diagnostic::new(from, from + 1, "this bracket is never closed").hint("add a ]")
            );
        }
        Ok(filter)
    }

    /// Steps over `name=` if it is next.
    pub(crate) fn option(&mut self, name: &str) -> bool {
        self.cursor.blanks();
        if !self.sees_option(name) {
            return false;
        }
        self.cursor.at += name.len();
        self.cursor.blanks();
        self.cursor.eat('=')
    }

    /// True when `name=` is next.
    pub(crate) fn sees_option(&self, name: &str) -> bool {
        let rest = self.cursor.rest();
        rest.get(..name.len()).is_some_and(|word| word.eq_ignore_ascii_case(name))
            && rest[name.len()..].trim_start().starts_with('=')
    }

    /// How deep the reading is.
    pub(crate) fn marks(&self) -> (usize, usize) {
        (self.depth, self.nested)
    }

    /// Goes on after a fault, as deep as it was before.
    pub(crate) fn reset(&mut self, (depth, nested): (usize, usize)) {
        (self.depth, self.nested, self.conditions) = (depth, nested, false);
    }

    /// Goes to the next step.
    pub(crate) fn skip_step(&mut self) {
        let rest = self.cursor.rest();
        self.cursor.at += rest.find('|').unwrap_or(rest.len());
    }

    /// Characters that end a word of a filter.
    fn word_ends(&self) -> &'static str {
        if self.nested > 0 { "()|]" } else { "()|" }
    }

    /// Whether a step ends here.
    pub(crate) fn at_end(&self) -> bool {
        match self.cursor.peek() {
            None | Some('|') => true,
            Some(']') => self.nested > 0,
            Some(_) => false,
        }
    }

    /// A fault about what stands here and cannot.
    fn unexpected(&mut self) -> Diagnostic {
        let from = self.cursor.at;
        let bracket = matches!(self.cursor.peek(), Some(')' | ']'));
        if bracket {
            let fault = self.cursor.fault(from, "this closing bracket was never opened");
            return fault.hint("remove it, or put the text in quotes");
        }
        let _ = self.cursor.word("|");
        self.cursor
            .fault(from, "this cannot stand here")
            .hint("join values with + - * / or a comparison, and steps with |")
    }

    /// A filter up to a pipe or the end; nothing at all is everything.
    pub(crate) fn whole_filter(&mut self) -> Result<Filter, Diagnostic> {
        self.cursor.blanks();
        if self.at_end() {
            return Ok(Filter::All);
        }
        let filter = self.any()?;
        self.cursor.blanks();
        if self.at_end() { Ok(filter) } else { Err(self.unexpected()) }
    }

    /// A filter in which expressions may stand: what `where` takes.
    pub(crate) fn condition(&mut self) -> Result<Filter, Diagnostic> {
        self.conditions = true;
        let filter = self.whole_filter();
        self.conditions = false;
        filter
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
            if self.at_end() || self.cursor.peek() == Some(')') || self.sees("or") {
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
        if self.conditions
            && let Some(filter) = self.holds()?
        {
            self.leave();
            return Ok(filter);
        }
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
        self.leave();
        Ok(filter)
    }

    /// A comparison or a function that says yes or no, if one is next.
    fn holds(&mut self) -> Result<Option<Filter>, Diagnostic> {
        let start = self.cursor.clone();
        let counts = (self.depth, self.tests, self.regexes);
        let found = match self.sum() {
            Ok(left) => self.compared(left)?,
            Err(fault) if start.is_call() || start.peek() == Some('\'') => return Err(fault),
            Err(_) => Compared::No(Expr::Literal(Cell::Null)),
        };
        match found {
            Compared::Yes(expr) => Ok(Some(condition::filter(expr, &self.scope))),
            Compared::No(expr) if condition::is_one(&expr, &self.scope) => {
                Ok(Some(condition::filter(expr, &self.scope)))
            }
            Compared::No(_) => {
                self.cursor = start;
                (self.depth, self.tests, self.regexes) = counts;
                Ok(None)
            }
        }
    }

    /// Goes down one bracket or negation.
    pub(crate) fn enter(&mut self, from: usize) -> Result<(), Diagnostic> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let message = format!("brackets and negations go at most {DEPTH_MAX} deep");
            return Err(self.cursor.fault(from, message).hint("leave brackets out"));
        }
        Ok(())
    }

    /// Comes back up.
    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Counts a word or a test.
    pub(crate) fn count_test(&mut self, from: usize) -> Result<(), Diagnostic> {
        self.tests += 1;
        if self.tests <= TESTS_MAX {
            return Ok(());
        }
        let message = format!("a query has at most {TESTS_MAX} words and tests");
        Err(self.cursor.fault(from, message).hint(LONG_HINT))
    }

    /// Counts a regular expression.
    pub(crate) fn count_regex(&mut self, from: usize) -> Result<(), Diagnostic> {
        self.regexes += 1;
        if self.regexes <= REGEXES_MAX {
            return Ok(());
        }
        let message = format!("a query has at most {REGEXES_MAX} regular expressions");
        Err(self.cursor.fault(from, message).hint("join some with |"))
    }

    /// Steps over the bracket that closes the one at `from`.
    pub(crate) fn close(&mut self, from: usize) -> Result<(), Diagnostic> {
        self.cursor.blanks();
        if self.cursor.eat(')') {
            return Ok(());
        }
        Err(Diagnostic::new(from, from + 1, "this bracket is never closed").hint("add a )"))
    }

    /// A word, or a field and its test.
    fn leaf(&mut self) -> Result<Filter, Diagnostic> {
        let from = self.cursor.at;
        self.count_test(from)?;
        let column = self.column_with_brackets();
        if let Some(length) = column.filter(|at| self.cursor.rest()[*at..].starts_with(':')) {
            let name = self.cursor.rest()[..length].to_string();
            self.cursor.at += length + 1;
            let field = self.field(&name, from)?;
            return self.value(&field, from);
        }
        if let Some(name) = self.cursor.key()? {
            let field = self.field(&name, from)?;
            return self.value(&field, from);
        }
        let Some(word) = self.cursor.word(self.word_ends())? else {
            return Err(self
                .cursor
                .fault(from, "a word or a test is missing here")
                .hint("write a word, a \"phrase\" or field:value"));
        };
        if self.conditions && !word.quoted && COMPARISONS.contains(&word.raw) {
            let message = format!("a value is missing before `{}`", word.raw);
            return Err(Diagnostic::new(word.from, word.to, message)
                .hint("write a comparison such as tries > 20"));
        }
        if !word.quoted && JOINERS.iter().any(|k| word.is(k)) {
            return Err(Diagnostic::new(
                word.from,
                word.to,
                format!("`{}` joins two conditions", word.raw),
            )
            .hint(format!("to look for the word itself write \"{}\"", word.raw)));
        }
        if !self.scope.events && word.pattern.0 != [Piece::Any] {
            return Err(Diagnostic::new(word.from, word.to, "a table has no text to look in")
                .hint("name a column, as in count > 5 or user.name:root"));
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
        if self.scope.find(&field) != Place::Nowhere {
            return Ok(field);
        }
        let known: Vec<&str> = self.scope.columns.iter().map(|c| c.name.as_str()).collect();
        let to = if self.cursor.at > from { self.cursor.at } else { from + name.len() };
        let to = to.min(self.cursor.end());
        Err(Diagnostic::new(from, to, format!("the table has no column `{name}`"))
            .nearest(name, &known))
    }

    /// The length of a column's name that has brackets, such as `sum(x)`, if it is next.
    pub(crate) fn column_with_brackets(&self) -> Option<usize> {
        let rest = self.cursor.rest();
        let columns = self.scope.columns.iter().map(|column| column.name.as_str());
        columns.filter(|c| c.contains('(') && rest.starts_with(c)).map(str::len).max()
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
        let made = match self.scope.find(field) {
            Place::Event(target) => Check::new(target, &test).map(drop),
            Place::Column(_) | Place::Nowhere => TextCheck::new(&test).map(drop),
        };
        match made {
            Ok(()) => Ok(Filter::Field(field.clone(), test)),
            Err(message) => Err(self.cursor.fault(from, message).hint(hint_for(field, &test))),
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
            _ if self.at_end() => self.close(open)?,
            None => {}
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
            self.count_test(from)?;
            let test = self.test(field)?;
            self.checked(field, test, from)?
        };
        self.depth -= 1;
        Ok(filter)
    }

    /// One value with its operator.
    fn test(&mut self, field: &FieldRef) -> Result<Test, Diagnostic> {
        let from = self.cursor.at;
        if let Some(regex) = self.cursor.regex(if self.nested > 0 { ")|]" } else { ")|" }) {
            self.count_regex(from)?;
            return Ok(Test::Regex(regex));
        }
        if matches!(self.cursor.peek(), Some('[' | '{')) {
            return self.bracket_range();
        }
        for (sign, low, inclusive) in
            [(">=", true, true), ("<=", false, true), (">", true, false), ("<", false, false)]
        {
            if self.cursor.eat_str(sign) {
                let value = self.bound_word(self.word_ends())?.text();
                let bound = Some(Bound { value, inclusive });
                return Ok(match low {
                    true => Test::Range { low: bound, high: None },
                    false => Test::Range { low: None, high: bound },
                });
            }
        }
        self.cursor.eat('=');
        let word = self.bound_word(self.word_ends())?;
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
    pub(crate) fn keyword(&mut self, keyword: &str) -> bool {
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
                .is_none_or(|c| c.is_whitespace() || "()|[]".contains(c))
    }
}

/// What can be asked of a field, where a test cannot.
fn hint_for(field: &FieldRef, test: &Test) -> String {
    let name = &field.typed;
    let kind = match &field.target {
        Target::Column(id) => Some(id.field().kind),
        Target::Attribute(_) => None,
    };
    match (test, kind) {
        (Test::Regex(_), Some(Kind::Text | Kind::Ip | Kind::Long) | None) => {
            "check its brackets; a backslash makes a sign the sign itself, as in /\\(x\\)/".into()
        }
        (_, Some(Kind::Ip)) => format!("write {name}:10.0.0.1, {name}:10.0.0.0/8 or {name}:*"),
        (_, Some(Kind::Long)) => format!("write {name}:22, {name}:>=22 or {name}:[1 TO 5]"),
        (_, Some(Kind::Time)) => {
            format!("write {name}:2026-11-23 or {name}:>=2026-11-23T10:00:00Z")
        }
        (_, Some(Kind::Bytes)) => format!("write {name}:*, or look for words without a field"),
        (_, Some(Kind::Text) | None) => format!("write {name}:value, {name}:val* or {name}:*"),
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
    use crate::testing::check;

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
        fault(
            "a or",
            "    ",
            "a word or a test is missing here; write a word, a \"phrase\" or field:value",
        );
        fault("or a", "^^", "`or` joins two conditions; to look for the word itself write \"or\"");
        fault(
            "user: root",
            "     ^",
            "a value is missing after the colon; write field:value without a blank, or quote the \
            text to look for it",
        );
        fault(
            "source.port:>abc",
            "^^^^^^^^^^^^^^^^",
            "source.port is a number, but \"abc\" is not; write source.port:22, source.port:>=22 or \
             source.port:[1 TO 5]",
        );
        fault(
            "source.ip:10.0.0.0/99",
            "^^^^^^^^^^^^^^^^^^^^^",
            "10.0.0.0/99 is no network such as 10.0.0.0/8; write source.ip:10.0.0.1, \
             source.ip:10.0.0.0/8 or source.ip:*",
        );
        fault(
            "a:/(/",
            "^^^^^",
            "this regular expression is broken: unclosed group; check its brackets; a backslash \
             makes a sign the sign itself, as in /\\(x\\)/",
        );
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
