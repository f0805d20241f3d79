//! JSON objects, one a record (RFC 8259), flattened to dotted names in one pass.
//!
//! The walk keeps its own stack, so nesting costs no call stack; what is nested deeper than
//! [`DEPTH_MAX`] stays text under its name. Numbers keep the text they were written as, and
//! arrays stay JSON text. Strings are borrowed unless they hold escapes.

use std::borrow::Cow;
use std::ops::Range;

use pugmark_event::{FieldId, Severity, fields};

use super::{Context, Format};
use crate::found::{Found, Pair, Val};
use crate::time::{self, Stamp};

mod gaps;
mod shape;
mod shipped;
mod strings;

pub(crate) use shape::{Fit, Place, Row, Shapes};
use shipped::Marks;
use strings::quote_or_escape;

/// Levels of objects that are flattened.
const DEPTH_MAX: usize = 64;
/// Something nested deeper than [`DEPTH_MAX`] was kept as JSON text.
const DEPTH_CUT: &str = "depth_cut";
/// More pairs than this are not even listed: an event keeps 512 attributes.
const PAIRS_MAX: usize = 4096;
/// Room for pairs that is made at once.
const PAIRS_GUESS: usize = 16;
/// Where a hit of Elasticsearch holds its document.
const DOCUMENT: &str = "_source.";
/// Longest dotted name that the walk builds, in bytes.
const NAME_BYTES_MAX: usize = 1024;

/// Names that hold the event's time, best first.
const TIMES: &[&str] = &[
    "@timestamp",
    "timestamp",
    "time",
    "ts",
    "eventTime",
    "event_time",
    "datetime",
    "date_time",
    "__REALTIME_TIMESTAMP",
    "time_iso8601",
    "time_local",
    "msec",
];
const LEVELS: &[&str] = &["level", "severity", "log.level", "lvl", "loglevel"];
const MESSAGES: &[&str] = &["message", "msg", "MESSAGE", "log", "short_message"];
/// Names that only a shipper writes, so that the message is a record of somebody else.
const SHIPPERS: &[&str] = &[
    "stream",
    "log.offset",
    "log.file.path",
    "container_name",
    "container_id",
    "kubernetes.pod_name",
    "kubernetes.pod.name",
    "logGroup",
    "logStream",
    "fluentd_tag",
    "logEvents",
    "log.source.address",
];
const HOSTS: &[&str] = &["host", "hostname", "host.name", "_HOSTNAME"];

/// Names of the systemd journal whose fields yield to what the entry says itself.
const JOURNAL: &[(&str, FieldId)] = &[
    ("_PID", fields::PROCESS_PID),
    ("_EXE", fields::PROCESS_EXECUTABLE),
    ("_CMDLINE", fields::PROCESS_COMMAND_LINE),
    ("_UID", fields::USER_ID),
    ("_SYSTEMD_UNIT", fields::SERVICE_NAME),
];

pub(crate) const FORMAT: Format = Format { name: "json", looks, read };

fn looks(record: &[u8]) -> bool {
    record.first() == Some(&b'{')
}

fn read<'a>(record: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    let mut found = Found::new("json");
    flatten(record, &mut found)?;
    let mut marks = Marks::of(found.pairs.iter().map(|pair| &*pair.name));
    if shipped::strip(marks, &mut found) {
        marks = Marks::of(found.pairs.iter().map(|pair| &*pair.name));
    }
    if let Some(event) = shipped::windows_event(marks, &mut found, context) {
        return Some(event);
    }
    Some(interpreted(found, marks, context))
}

/// Gives names their meaning, and opens the record if it is around another.
fn interpreted<'a>(mut found: Found<'a>, marks: Marks, context: &Context<'_>) -> Found<'a> {
    interpret(&mut found, context);
    if let Some(opened) = shipped::open(marks, &mut found, context) {
        return opened;
    }
    // The journal keeps records of the audit daemon without their heads.
    if found.program.as_deref() == Some("audit") {
        return shipped::opened(found, context);
    }
    open_wrap(found, context)
}

/// Opens a record that is around another: what a shipper adds to a line, or JSON in JSON.
fn open_wrap<'a>(mut found: Found<'a>, context: &Context<'_>) -> Found<'a> {
    let is_shipped = || SHIPPERS.iter().any(|name| found.pair(name).is_some());
    let is_wrap = |text: &str| is_record(text) || (!text.is_empty() && is_shipped());
    if !found.message.as_deref().is_some_and(is_wrap) {
        return found;
    }
    match found.message.take() {
        Some(Cow::Borrowed(text)) => super::unwrapped(found, text, context),
        Some(Cow::Owned(text)) => super::unwrapped_owned(found, text, context),
        None => found,
    }
}

/// Gives the names that most programs use their meaning: time, level, message, host, and the
/// fields of the systemd journal.
pub(crate) fn interpret(found: &mut Found<'_>, context: &Context<'_>) {
    found.stamp = take_time(found, TIMES, context);
    if let Some(level) = take_first(found, LEVELS, |v| matches!(v, Val::Text(_) | Val::Number(_))) {
        take_level(found, level);
    }
    for name in HOSTS {
        if found.pair(name).is_some_and(is_text)
            && let Some(host) = found.take(name)
        {
            found.envelope.push((fields::HOST_NAME, name, host));
        }
    }
    if let Some(program) = take_first(found, &["SYSLOG_IDENTIFIER"], is_text) {
        found.program = Some(Cow::Owned(program.text().to_string()));
        found.envelope.push((fields::PROCESS_NAME, "SYSLOG_IDENTIFIER", program));
    }
    if found.pair("_BOOT_ID").is_some() || found.pair("_PID").is_some() {
        journal(found);
    }
    if let Some(message) = take_first(found, MESSAGES, is_text) {
        found.message = Some(into_text(message));
    }
}

/// What the systemd journal knows of who wrote an entry (systemd.journal-fields).
fn journal(found: &mut Found<'_>) {
    for (name, id) in JOURNAL {
        if let Some(value) = found.take(name) {
            found.envelope.push((*id, name, value));
        }
    }
    let priority = found.pair("PRIORITY").and_then(|value| value.text().parse::<u8>().ok());
    if let Some(priority) = priority.filter(|priority| *priority < 8) {
        found.fields.push(severity_field(Severity::from_syslog(priority)));
    }
}

/// True for a text that is surely a record of its own.
fn is_record(text: &str) -> bool {
    match text.as_bytes().first() {
        Some(b'{') => text.trim_end().ends_with('}'),
        Some(b'C' | b'L') => text.starts_with("CEF:") || text.starts_with("LEEF:"),
        _ => false,
    }
}

fn is_text(value: &Val<'_>) -> bool {
    matches!(value, Val::Text(text) if !text.is_empty())
}

fn into_text(value: Val<'_>) -> Cow<'_, str> {
    match value {
        Val::Text(text) => text,
        other => Cow::Owned(other.text().to_string()),
    }
}

/// Takes the first of `names` that holds a readable time; the others stay as they are.
pub(crate) fn take_time(
    found: &mut Found<'_>,
    names: &[impl AsRef<str>],
    context: &Context<'_>,
) -> Option<Stamp> {
    for name in names {
        let Some(at) = found.position(name.as_ref()) else { continue };
        if let Some(stamp) = written_time(&found.pairs[at].value, context) {
            found.pairs.remove(at);
            return Some(stamp);
        }
    }
    None
}

/// The time that a value is.
pub(super) fn written_time(value: &Val<'_>, context: &Context<'_>) -> Option<Stamp> {
    let (Val::Text(text) | Val::Number(text)) = value else { return None };
    time::value(text, context.received)
}

fn take_first<'a>(
    found: &mut Found<'a>,
    names: &[&str],
    fits: impl Fn(&Val<'a>) -> bool,
) -> Option<Val<'a>> {
    let at = names
        .iter()
        .find_map(|name| found.pairs.iter().position(|p| p.is(name) && fits(&p.value)))?;
    Some(found.pairs.remove(at).value)
}

/// The level as written, and its severity where the word is known.
fn take_level<'a>(found: &mut Found<'a>, level: Val<'a>) {
    if let Some(severity) = Severity::from_log_level(level.text()) {
        found.fields.push(severity_field(severity));
    }
    found.fields.push((fields::LOG_LEVEL, Val::Text(into_text(level))));
}

/// A severity as the column wants it.
pub(crate) fn severity_field<'a>(severity: Severity) -> (FieldId, Val<'a>) {
    let digit = match severity as u8 {
        1 => "1",
        2 => "2",
        3 => "3",
        4 => "4",
        5 => "5",
        _ => "6",
    };
    (fields::SEVERITY, Val::Number(Cow::Borrowed(digit)))
}

/// Flattens one JSON object into pairs; `None` when `text` is no JSON object.
pub(crate) fn flatten<'a>(text: &'a str, found: &mut Found<'a>) -> Option<()> {
    found.pairs.reserve(PAIRS_GUESS);
    Walk::new(text).object(found)?;
    // A hit of Elasticsearch is about its document.
    if found.pairs.first().is_some_and(|pair| pair.name.starts_with('_')) {
        for pair in &mut found.pairs {
            if let Some(name) = pair.name.strip_prefix(DOCUMENT) {
                pair.name = Cow::Owned(name.to_string());
            }
        }
    }
    Some(())
}

/// The elements of a JSON array of scalars, in order; objects and arrays in it stay JSON text.
pub(crate) fn elements(text: &str) -> Vec<Val<'_>> {
    let mut walk = Walk::new(text);
    let mut values = Vec::new();
    if walk.expect(b'[').is_none() {
        return values;
    }
    loop {
        walk.blank();
        match walk.peek() {
            Some(b'{' | b'[') => match walk.skip() {
                Some(json) => values.push(Val::Json(Cow::Borrowed(json))),
                None => return values,
            },
            Some(b',') => walk.at += 1,
            Some(b']') | None => return values,
            Some(_) => match walk.scalar() {
                Some(value) => values.push(value),
                None => return values,
            },
        }
    }
}

struct Walk<'a> {
    text: &'a str,
    at: usize,
    /// The dotted name of the open object, with its last dot.
    prefix: String,
    /// For each open object, how long the prefix was before it.
    frames: Vec<usize>,
    /// Where the value at hand starts.
    value_at: usize,
    /// Where each value stands and how deep, if somebody wants to know.
    spans: Option<Vec<(Range<usize>, usize)>>,
}

impl<'a> Walk<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, prefix: String::new(), frames: Vec::new(), value_at: 0, spans: None }
    }

    /// The whole text as one object.
    fn object(&mut self, found: &mut Found<'a>) -> Option<()> {
        self.blank();
        self.expect(b'{')?;
        self.frames.push(0);
        while !self.frames.is_empty() {
            self.entry(found)?;
        }
        self.blank();
        self.is_at_end().then_some(())
    }

    fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// Passes over exactly this text, which stands between values or at the end. Where an object or
    /// blanks go on, a longer one stands, which may begin with it.
    #[inline]
    fn gap(&mut self, expected: &[u8]) -> Option<()> {
        let rest = self.text.as_bytes().get(self.at..)?.strip_prefix(expected)?;
        if matches!(rest.first(), Some(b'{' | b' ' | b'\t' | b'\n' | b'\r')) {
            return None;
        }
        self.at += expected.len();
        Some(())
    }

    /// A scalar, or an array that is not deep. Most are strings.
    #[inline]
    fn plain_value(&mut self) -> Option<Val<'a>> {
        match self.peek()? {
            b'"' => Some(Val::Text(self.string()?)),
            b'[' => self.array(),
            _ => self.scalar(),
        }
    }

    fn array(&mut self) -> Option<Val<'a>> {
        let (json, depth) = self.skip_measured()?;
        (depth < DEPTH_MAX / 2).then_some(Val::Json(Cow::Borrowed(json)))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Reads one `"name": value` of the open object, or its end.
    fn entry(&mut self, found: &mut Found<'a>) -> Option<()> {
        self.blank();
        if self.peek()? == b'}' {
            self.at += 1;
            return self.close();
        }
        let name = self.string()?;
        self.blank();
        self.expect(b':')?;
        self.blank();
        self.value_at = self.at;
        match self.peek()? {
            b'{' => return self.inner(&name, found),
            b'[' => {
                let (json, depth) = self.skip_measured()?;
                let value = if depth > DEPTH_MAX {
                    note(found, DEPTH_CUT);
                    json.into()
                } else {
                    Val::Json(Cow::Borrowed(json))
                };
                self.push(name, value, found);
            }
            _ => {
                let value = self.scalar()?;
                self.push(name, value, found);
            }
        }
        self.after_value()
    }

    /// An object as a value.
    fn inner(&mut self, name: &str, found: &mut Found<'a>) -> Option<()> {
        let deep = self.frames.len() >= DEPTH_MAX;
        if deep || self.prefix.len() + name.len() >= NAME_BYTES_MAX {
            note(found, DEPTH_CUT);
            let json = self.skip()?;
            // Text, not JSON: whoever reads the event must not have to follow it either.
            self.push(Cow::Owned(name.to_string()), json.into(), found);
            return self.after_value();
        }
        self.at += 1;
        self.blank();
        if self.peek()? == b'}' {
            self.at += 1;
            self.push(Cow::Owned(name.to_string()), Val::Json(Cow::Borrowed("{}")), found);
            return self.after_value();
        }
        self.frames.push(self.prefix.len());
        self.prefix.push_str(name);
        self.prefix.push('.');
        Some(())
    }

    /// After a value: a comma and another name, or the end of the object, which stays to be read.
    fn after_value(&mut self) -> Option<()> {
        self.blank();
        match self.peek()? {
            b',' => {
                self.at += 1;
                self.blank();
                (self.peek()? == b'"').then_some(())
            }
            b'}' => Some(()),
            _ => None,
        }
    }

    fn close(&mut self) -> Option<()> {
        self.prefix.truncate(self.frames.pop()?);
        if self.frames.is_empty() { Some(()) } else { self.after_value() }
    }

    fn push(&mut self, name: Cow<'a, str>, value: Val<'a>, found: &mut Found<'a>) {
        if let Some(spans) = &mut self.spans {
            spans.push((self.value_at..self.at, self.frames.len()));
        }
        if found.pairs.len() >= PAIRS_MAX {
            return note(found, "attributes_cut");
        }
        let name = match self.prefix.is_empty() {
            true => name,
            false => Cow::Owned([&self.prefix, &*name].concat()),
        };
        found.pairs.push(Pair { name, value });
    }

    #[inline]
    fn scalar(&mut self) -> Option<Val<'a>> {
        match self.peek()? {
            b'"' => Some(Val::Text(self.string()?)),
            b't' => self.word("true", Val::Bool(true)),
            b'f' => self.word("false", Val::Bool(false)),
            b'n' => self.word("null", Val::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ => None,
        }
    }

    fn word(&mut self, word: &str, value: Val<'a>) -> Option<Val<'a>> {
        self.text.as_bytes()[self.at..].starts_with(word.as_bytes()).then(|| {
            self.at += word.len();
            value
        })
    }

    fn number(&mut self) -> Option<Val<'a>> {
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest
            .iter()
            .take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .count();
        let number = &self.text[self.at..self.at + length];
        self.at += length;
        is_number(number.as_bytes()).then_some(Val::Number(Cow::Borrowed(number)))
    }

    #[inline]
    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.expect(b'"')?;
        let start = self.at;
        self.at = quote_or_escape(self.text.as_bytes(), start)?;
        if self.text.as_bytes()[self.at] == b'\\' {
            return self.escaped(start).map(Cow::Owned);
        }
        self.at += 1;
        self.text.get(start..self.at - 1).map(Cow::Borrowed)
    }

    /// The string that begins at `start`, of which all is read up to its first escape.
    #[inline(never)]
    fn escaped(&mut self, start: usize) -> Option<String> {
        let end = strings::end(self.text.as_bytes(), self.at)?;
        let text = strings::unescaped(self.text.get(start..end)?, self.at - start)?;
        self.at = end + 1;
        Some(text)
    }

    /// Skips one object or array, however deep, and returns its text.
    fn skip(&mut self) -> Option<&'a str> {
        self.skip_measured().map(|(json, _)| json)
    }

    fn skip_measured(&mut self) -> Option<(&'a str, usize)> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let (mut depth, mut deepest) = (0usize, self.frames.len());
        loop {
            match *bytes.get(self.at)? {
                b'"' => {
                    self.skip_string()?;
                    continue;
                }
                b'{' | b'[' => {
                    depth += 1;
                    deepest = deepest.max(self.frames.len() + depth);
                }
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some((&self.text[start..self.at], deepest));
            }
        }
    }

    fn skip_string(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        loop {
            self.at = quote_or_escape(bytes, self.at)?;
            if bytes[self.at] == b'"' {
                self.at += 1;
                return Some(());
            }
            self.at += 2;
        }
    }
}

fn note(found: &mut Found<'_>, issue: &'static str) {
    if !found.issues.contains(&issue) {
        found.issues.push(issue);
    }
}

/// RFC 8259 section 6.
fn is_number(text: &[u8]) -> bool {
    let mut rest = text.strip_prefix(b"-").unwrap_or(text);
    let digits = |rest: &[u8]| rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'+' | b'-', digits @ ..] => digits,
            all => all,
        };
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let mut found = Found::new("json");
        let shown: Vec<(String, String)> = match flatten(text, &mut found) {
            Some(()) => found
                .pairs
                .iter()
                .map(|p| {
                    let value = p.value.value();
                    (p.name.to_string(), format!("{}:{}", value.kind(), value.text()))
                })
                .collect(),
            None => vec![("refused".into(), String::new())],
        };
        let expected: Vec<(String, String)> =
            expected.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn objects_become_dotted_names() {
        check("{}", &[]);
        check(
            r#" {"a":{"b":{"c":1}},"d":[1,{"e":2}]} "#,
            &[("a.b.c", "n:1"), ("d", r#"j:[1,{"e":2}]"#)],
        );
        check(
            r#"{"a":{},"b":null,"c":true,"d":-1.50e3}"#,
            &[("a", "j:{}"), ("b", "z:"), ("c", "b:true"), ("d", "n:-1.50e3")],
        );
        check(r#"{"a":{"x":1},"a":2}"#, &[("a.x", "n:1"), ("a", "n:2")]);
        check(r#"{"k\u0041\n":"\ud83d\ude00\ud83d\"\\"}"#, &[("kA\n", "s:😀\u{fffd}\"\\")]);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in [
            "",
            "{",
            "{]",
            "[1]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1}x",
            "{\"a\":01}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":\"\\x\"}",
            "{\"a\":{\"b\":1},}",
            "{\"a\":{\"b\":1}\"c\":1}",
            "{\"a\":\"\\",
            "{\"a\":tru}",
            "{\"a\":-}",
            "{\"a\":{}}}",
            "{\"a\":\"\\u12\"}",
        ] {
            check(text, &[("refused", "")]);
        }
    }

    #[test]
    fn depth_is_cut_and_not_followed() {
        let deep = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
        let mut found = Found::new("json");
        assert!(flatten(&deep, &mut found).is_some());
        assert_eq!(found.issues, [DEPTH_CUT]);
        assert_eq!(found.pairs.len(), 1);
        assert!(found.pairs[0].name.starts_with("a.a.a."));
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        let mut found = Found::new("json");
        assert!(flatten(&deep, &mut found).is_some());
        assert_eq!(found.issues, [DEPTH_CUT]);
    }

    /// Serde's view of the same object, flattened the slow way.
    fn oracle(prefix: &str, value: &serde_json::Value, out: &mut Vec<(String, String)>) {
        let name = |key: &str| [prefix, key].concat();
        for (key, value) in value.as_object().unwrap() {
            match value {
                serde_json::Value::Object(map) if !map.is_empty() => {
                    oracle(&format!("{}.", name(key)), value, out);
                }
                serde_json::Value::String(text) => out.push((name(key), text.clone())),
                serde_json::Value::Null => out.push((name(key), String::new())),
                other => out.push((name(key), other.to_string())),
            }
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "\\PC{0,12}|[\\\\\"\u{0}-\u{1f}]{0,4}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::hash_map("[a-z\\\\\"é]{1,4}", inner, 0..5)
                    .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_serde(value in json(), pretty in any::<bool>()) {
            prop_assume!(value.is_object());
            let text = if pretty {
                serde_json::to_string_pretty(&value).unwrap()
            } else {
                value.to_string()
            };
            let mut found = Found::new("json");
            prop_assert!(flatten(&text, &mut found).is_some());
            let mut expected = Vec::new();
            oracle("", &value, &mut expected);
            for (pair, (name, text)) in found.pairs.iter().zip(&expected) {
                prop_assert_eq!(&pair.name, name);
                if !matches!(pair.value, Val::Json(_)) {
                    prop_assert_eq!(pair.value.text(), text);
                }
            }
            prop_assert_eq!(found.pairs.len(), expected.len());
        }

        #[test]
        fn takes_nothing_that_serde_refuses(text in r#"\{["a{}\[\],:0-9\\ u-]{0,24}\}"#) {
            let mut found = Found::new("json");
            if flatten(&text, &mut found).is_some() && !text.contains('[') {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
            }
        }
    }
}
