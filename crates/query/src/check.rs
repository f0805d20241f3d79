//! Tests made ready to run: what a [`Test`] means for the values of one field.
//!
//! Both the evaluator and the search engine run these, so a value means the same to both.
//! Case: an ASCII letter equals its other case and nothing else; other letters fold as Unicode
//! does for single characters.

use std::net::IpAddr;

use ipnet::IpNet;
use pugmark_event::fields::{Kind, SEVERITY};
use pugmark_event::time::{self, DAY, Micros};
use pugmark_event::{FieldId, Severity, conflict};
use regex::{Regex, RegexBuilder};

use crate::finder::Finder;
use crate::plan::{Bound, Pattern, Piece, Target, Test};
use crate::required;
use crate::words::is_word;

/// Memory that one compiled pattern may take.
const REGEX_BYTES_MAX: usize = 2 << 20;
/// Brackets inside brackets in a regular expression.
const REGEX_DEPTH_MAX: u32 = 64;

/// A test of one field. A field without a value never passes.
#[derive(Debug, Clone)]
pub enum Check {
    /// No value passes.
    Nothing,
    /// Every value passes.
    Exists,
    /// For integer and time columns: from the first to the second, both in the range.
    Range(i64, i64),
    /// For text, also for the text of a number.
    Text(TextCheck),
}

/// A test of text.
#[derive(Debug, Clone)]
pub struct TextCheck(Kinds);

#[derive(Debug, Clone)]
enum Kinds {
    Nothing,
    Equals { value: String, folded: Option<Regex> },
    Regex(Regex),
    Found(Finder),
    Network { network: Network, text: Option<String> },
    Range { low: Option<(Operand, bool)>, high: Option<(Operand, bool)> },
    Any,
}

/// A network, and what the text of each of its addresses begins with.
#[derive(Debug, Clone)]
struct Network {
    network: IpNet,
    /// The bytes of an IPv4 address that all have: there is one way to write each.
    start: String,
}

impl Network {
    fn new(text: &str) -> Option<Self> {
        let network: IpNet = text.parse().ok()?;
        let start = match network {
            IpNet::V4(network) => {
                let same = usize::from(network.prefix_len() / 8).min(3);
                network.network().octets()[..same].iter().map(|byte| format!("{byte}.")).collect()
            }
            IpNet::V6(_) => String::new(),
        };
        Some(Self { network, start })
    }

    fn contains(&self, text: &str) -> bool {
        text.starts_with(&self.start) && address(text).is_some_and(|a| self.network.contains(&a))
    }
}

#[derive(Debug, Clone)]
enum Operand {
    Number(Number),
    Address(IpAddr),
    Text(String),
}

/// A number as text may hold one.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    /// An integer.
    Long(i64),
    /// Any other finite number.
    Float(f64),
}

impl Number {
    /// Reads a finite number; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 64 || !text.ends_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None;
        }
        // Most other text, such as an address, is told from a number by its letters.
        let of_number =
            |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E');
        let dots = text.bytes().filter(|byte| *byte == b'.').count();
        if dots > 1 || !text.bytes().all(of_number) {
            return None;
        }
        if let Ok(long) = text.parse() {
            return Some(Number::Long(long));
        }
        text.parse().ok().filter(|f: &f64| f.is_finite()).map(Number::Float)
    }

    /// The nearest floating point number.
    pub fn float(self) -> f64 {
        match self {
            Number::Long(long) => long as f64,
            Number::Float(float) => float,
        }
    }

    pub(crate) fn order(self, other: Self) -> std::cmp::Ordering {
        match (self, other) {
            (Number::Long(a), Number::Long(b)) => a.cmp(&b),
            (a, b) => a.float().total_cmp(&b.float()),
        }
    }
}

impl Check {
    /// Prepares `test` for the values of `target`.
    ///
    /// # Errors
    /// With a sentence when the field can never hold such a value, or a pattern is broken.
    pub fn new(target: &Target, test: &Test) -> Result<Self, String> {
        if *test == Test::Exists {
            return Ok(Check::Exists);
        }
        let Target::Column(id) = target else {
            return Ok(Check::Text(TextCheck::new(test)?));
        };
        match id.field().kind {
            Kind::Text => Ok(Check::Text(TextCheck::new(test)?)),
            Kind::Ip => Ok(Check::Text(address_check(*id, test)?)),
            Kind::Long => whole_check(*id, test),
            Kind::Time => time_check(*id, test),
            Kind::Bytes => Err(format!("{} holds bytes; only `:*` can test it", id.name())),
        }
    }
}

impl TextCheck {
    /// Prepares a test of free text, as attributes are.
    ///
    /// # Errors
    /// With a sentence when a pattern is broken or too large.
    pub fn new(test: &Test) -> Result<Self, String> {
        Ok(Self(match test {
            Test::Exists => Kinds::Any,
            Test::Equals(value) => Kinds::Equals {
                folded: (!value.is_ascii())
                    .then(|| compile(&format!("^{}$", fold(value))))
                    .transpose()?,
                value: value.clone(),
            },
            Test::Like(pattern) => like(pattern)?,
            Test::Regex(regex) => Kinds::Regex(build(regex)?),
            Test::Network(text) => Kinds::Network {
                network: Network::new(text).ok_or_else(|| format!("{text} is no network"))?,
                text: Some(text.clone()),
            },
            Test::Range { low, high } => range(low.as_ref(), high.as_ref()),
        }))
    }

    /// Prepares a search for `pattern` anywhere in a text, where it stands as whole words: a word
    /// is a run of ASCII letters, digits and underscores, and a wildcard at an end of the pattern
    /// opens that end.
    ///
    /// # Errors
    /// With a sentence when the pattern is too large.
    pub fn anywhere(pattern: &Pattern) -> Result<Self, String> {
        // What any text may stand before need not be looked at.
        let open = |piece: &&Piece| **piece == Piece::Any;
        let pieces = pattern.0.iter().skip_while(open);
        let mut pieces: Vec<Piece> = pieces.cloned().collect();
        while pieces.last().as_ref().is_some_and(open) {
            pieces.pop();
        }
        let edge = |closed: bool| if closed { r"(?-u:\b)" } else { "" };
        let starts = matches!(pattern.0.first(), Some(Piece::Text(t)) if t.starts_with(is_word));
        let ends = matches!(pattern.0.last(), Some(Piece::Text(t)) if t.ends_with(is_word));
        if let [Piece::Text(text)] = pieces.as_slice()
            && let Some(finder) = Finder::new(text, (starts, ends))
        {
            return Ok(Self(Kinds::Found(finder)));
        }
        let regex = format!("{}{}{}", edge(starts), glob(&Pattern(pieces)), edge(ends));
        Ok(Self(Kinds::Regex(compile(&regex)?)))
    }

    /// Prepares `test` for the values of `target` that did not fit their column; `None` when there
    /// are no such values, or none can pass.
    pub fn of_conflicts(target: &Target, test: &Test) -> Option<Self> {
        let Target::Column(id) = target else { return None };
        if !conflict::possible(*id) {
            return None;
        }
        // Text beside a column of numbers has no place in their order.
        let fits = |value: &str| match id.field().kind {
            Kind::Long => Number::parse(value).is_some(),
            Kind::Ip => address(value).is_some(),
            Kind::Text | Kind::Time | Kind::Bytes => true,
        };
        match test {
            Test::Range { low, high } if !low.iter().chain(high).all(|b| fits(&b.value)) => None,
            test => Self::new(test).ok(),
        }
    }

    /// Whether the text passes.
    pub fn matches(&self, text: &str) -> bool {
        match &self.0 {
            Kinds::Nothing => false,
            Kinds::Any => true,
            Kinds::Equals { value, folded: None } => value.eq_ignore_ascii_case(text),
            Kinds::Equals { folded: Some(regex), .. } | Kinds::Regex(regex) => regex.is_match(text),
            Kinds::Found(finder) => finder.finds(text),
            Kinds::Network { network, text: also } => {
                network.contains(text)
                    || also.as_ref().is_some_and(|t| t.eq_ignore_ascii_case(text))
            }
            Kinds::Range { low, high } => in_range(text, low.as_ref(), high.as_ref()),
        }
    }

    /// A text of ASCII characters, its letters in lower case, that every text has which passes;
    /// there they may be in either case.
    pub fn part(&self) -> Option<String> {
        match &self.0 {
            Kinds::Found(finder) => Some(finder.text().0.to_string()),
            Kinds::Regex(regex) => required::part(regex.as_str()),
            _ => None,
        }
    }

    /// The ASCII text in lower case that stands, in either case of its letters, somewhere in all
    /// that passes and in nothing else; and whether no word may go on before it, and after it.
    pub fn phrase(&self) -> Option<(&str, (bool, bool))> {
        match &self.0 {
            Kinds::Found(finder) => Some(finder.text()),
            _ => None,
        }
    }

    /// The one text that passes, in upper or lower case of its ASCII letters, where that is all
    /// that passes: for skipping by statistics.
    pub fn value(&self) -> Option<&str> {
        match &self.0 {
            Kinds::Equals { value, folded: None } => Some(value),
            _ => None,
        }
    }
}

fn like(pattern: &Pattern) -> Result<Kinds, String> {
    if let [Piece::Any, Piece::Text(text), Piece::Any] = pattern.0.as_slice()
        && let Some(finder) = Finder::new(text, (false, false))
    {
        return Ok(Kinds::Found(finder));
    }
    Ok(Kinds::Regex(compile(&format!("^{}$", glob(pattern)))?))
}

fn whole_check(id: FieldId, test: &Test) -> Result<Check, String> {
    let end = |value: &str| -> Result<(i64, i64), String> {
        if let (true, Some(severity)) = (id == SEVERITY, Severity::from_name(value)) {
            return Ok((severity as i64, severity as i64));
        }
        match Number::parse(value) {
            Some(Number::Long(long)) => Ok((long, long)),
            // The cast saturates, as is right for a bound.
            Some(Number::Float(float)) => Ok((float.ceil() as i64, float.floor() as i64)),
            None => Err(format!("{} is a number, but {value:?} is not", id.name())),
        }
    };
    match test {
        // Only a value that did not fit the column is no number.
        Test::Equals(value) => match end(value) {
            Ok((low, high)) => Ok(span(Some(low), Some(high))),
            Err(_) if conflict::possible(id) => Ok(Check::Nothing),
            Err(message) => Err(message),
        },
        Test::Range { low, high } => {
            // 4.5 lies between the whole numbers 5 (its ceiling) and 4 (its floor).
            let low = low.as_ref().map(|b| Ok::<_, String>((end(&b.value)?, b.inclusive)));
            let high = high.as_ref().map(|b| Ok::<_, String>((end(&b.value)?, b.inclusive)));
            Ok(span(
                low.transpose()?.map(
                    |((ceil, floor), inclusive)| {
                        if inclusive { ceil } else { floor.saturating_add(1) }
                    },
                ),
                high.transpose()?.map(
                    |((ceil, floor), inclusive)| {
                        if inclusive { floor } else { ceil.saturating_sub(1) }
                    },
                ),
            ))
        }
        Test::Network(text) => Err(format!("{} is a number, but {text} is not", id.name())),
        other => Ok(Check::Text(TextCheck::new(other)?)),
    }
}

fn time_check(id: FieldId, test: &Test) -> Result<Check, String> {
    let end = |value: &str| -> Result<(Micros, Micros), String> {
        let start = (!value.trim_start().starts_with("now"))
            .then(|| time::parse_bound(value, 0))
            .flatten()
            .ok_or_else(|| {
                format!("{} is a time such as 2026-11-23T10:00:00Z, not {value:?}", id.name())
            })?;
        // A date without a clock is the whole day.
        let is_date = value.len() == 10 && value.as_bytes()[4] == b'-';
        Ok((start, if is_date { start.saturating_add(DAY - 1) } else { start }))
    };
    match test {
        Test::Equals(value) => {
            let (first, last) = end(value)?;
            Ok(span(Some(first), Some(last)))
        }
        Test::Range { low, high } => {
            let low = low.as_ref().map(|b| Ok::<_, String>((end(&b.value)?, b.inclusive)));
            let high = high.as_ref().map(|b| Ok::<_, String>((end(&b.value)?, b.inclusive)));
            Ok(span(
                low.transpose()?.map(
                    |((first, last), inclusive)| {
                        if inclusive { first } else { last.saturating_add(1) }
                    },
                ),
                high.transpose()?.map(
                    |((first, last), inclusive)| {
                        if inclusive { last } else { first.saturating_sub(1) }
                    },
                ),
            ))
        }
        _ => Err(format!("{} is a time: test it with a date or a range", id.name())),
    }
}

fn span(low: Option<i64>, high: Option<i64>) -> Check {
    let (low, high) = (low.unwrap_or(i64::MIN), high.unwrap_or(i64::MAX));
    if low > high { Check::Nothing } else { Check::Range(low, high) }
}

fn address_check(id: FieldId, test: &Test) -> Result<TextCheck, String> {
    let parse = |value: &str| {
        address(value).ok_or_else(|| format!("{} is an address, but {value:?} is not", id.name()))
    };
    Ok(TextCheck(match test {
        // The column holds the canonical text, whatever way the question writes the address. Only
        // a value that did not fit the column is no address.
        Test::Equals(value) => match address(value) {
            Some(address) => Kinds::Equals { value: address.to_string(), folded: None },
            None => Kinds::Nothing,
        },
        Test::Network(text) => Kinds::Network {
            network: Network::new(text)
                .ok_or_else(|| format!("{text} is no network such as 10.0.0.0/8"))?,
            text: None,
        },
        Test::Range { low, high } => {
            for bound in low.iter().chain(high) {
                parse(&bound.value)?;
            }
            range(low.as_ref(), high.as_ref())
        }
        other => return TextCheck::new(other),
    }))
}

/// The address that a text is.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    (2..=45).contains(&text.len()).then(|| text.parse().ok()).flatten()
}

/// Bounds compare as numbers if all are numbers, as addresses if all are, else as text.
fn range(low: Option<&Bound>, high: Option<&Bound>) -> Kinds {
    let all = |is: &dyn Fn(&str) -> bool| low.iter().chain(&high).all(|b| is(&b.value));
    let operand: &dyn Fn(&str) -> Option<Operand> = if all(&|v| Number::parse(v).is_some()) {
        &|v| Number::parse(v).map(Operand::Number)
    } else if all(&|v| address(v).is_some()) {
        &|v| address(v).map(Operand::Address)
    } else {
        &|v| Some(Operand::Text(v.to_string()))
    };
    let end = |bound: Option<&Bound>| bound.and_then(|b| Some((operand(&b.value)?, b.inclusive)));
    match (end(low), end(high)) {
        (None, None) => Kinds::Nothing,
        (low, high) => Kinds::Range { low, high },
    }
}

fn in_range(text: &str, low: Option<&(Operand, bool)>, high: Option<&(Operand, bool)>) -> bool {
    let order = |operand: &Operand| match operand {
        Operand::Number(number) => Number::parse(text).map(|n| n.order(*number)),
        Operand::Address(a) => address(text).map(|value| value.cmp(a)),
        Operand::Text(t) => Some(text.as_bytes().cmp(t.as_bytes())),
    };
    low.is_none_or(|(bound, inclusive)| {
        order(bound).is_some_and(|o| o.is_gt() || (*inclusive && o.is_eq()))
    }) && high.is_none_or(|(bound, inclusive)| {
        order(bound).is_some_and(|o| o.is_lt() || (*inclusive && o.is_eq()))
    })
}

/// Letters that Unicode calls another case of an ASCII letter: the long s and the Kelvin sign.
const FOLD_TO_ASCII: [char; 2] = ['\u{17f}', '\u{212a}'];

/// The text as a regular expression that takes either case.
fn fold(text: &str) -> String {
    let mut regex = String::with_capacity(text.len() * 4);
    for c in text.chars() {
        if c.is_ascii_alphabetic() {
            regex.extend(['[', c.to_ascii_lowercase(), c.to_ascii_uppercase(), ']']);
        } else if c.is_ascii() {
            regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
        } else if FOLD_TO_ASCII.contains(&c) {
            regex.push(c);
        } else {
            regex.push_str("(?i:");
            regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
            regex.push(')');
        }
    }
    regex
}

fn glob(pattern: &Pattern) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => fold(text),
        Piece::Any => ".*".to_string(),
        Piece::One => ".".to_string(),
    };
    pattern.0.iter().map(piece).collect()
}

/// Compiles what this file wrote: a dot takes line ends too.
fn compile(regex: &str) -> Result<Regex, String> {
    RegexBuilder::new(regex)
        .size_limit(REGEX_BYTES_MAX)
        .dot_matches_new_line(true)
        .build()
        .map_err(|_| "this text is too long to search for".to_string())
}

/// Compiles what a person wrote.
pub(crate) fn build(regex: &str) -> Result<Regex, String> {
    RegexBuilder::new(regex)
        .size_limit(REGEX_BYTES_MAX)
        .nest_limit(REGEX_DEPTH_MAX)
        .build()
        .map_err(|error| match error {
            regex::Error::Syntax(text) => {
                let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                format!("this regular expression is broken: {last}")
            }
            _ => "this regular expression is too large".to_string(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::FieldRef;

    /// `value` is tested as the field would hold it.
    #[track_caller]
    fn check(query: &str, value: &str, expected: bool) {
        let plan = crate::parse(query).unwrap_or_else(|e| panic!("{query}: {e:?}"));
        let crate::Filter::Field(FieldRef { target, .. }, test) = &plan.filter else {
            panic!("{query} is no test")
        };
        let found = match Check::new(target, test).unwrap() {
            Check::Nothing => false,
            Check::Exists => true,
            Check::Range(low, high) => (low..=high).contains(&value.parse::<i64>().unwrap()),
            Check::Text(text) => text.matches(value),
        };
        assert_eq!(found, expected, "{query} on {value:?}");
    }

    #[test]
    fn text() {
        check("user:root", "ROOT", true);
        check("user:root", "roots", false);
        check("user:müller", "MÜLLER", true);
        check("user:k", "\u{212a}", false);
        check("user:\u{212a}", "k", false);
        check("user:\u{212a}", "\u{212a}", true);
        check("user:ro*t", "ro\nOT", true);
        check("user:*OO*", "a\nroot", true);
        check("user:*oo*", "rot", false);
        check("user:*oo*", "oo", true);
        check("user:r??t", "rööt", true);
        check("user:r?t", "root", false);
        check(r"file.path:C:\Temp\x*", r"c:\temp\xyz", true);
        check(r"a:a\*b", "a*B", true);
        check(r"a:a\*b", "axb", false);
        check("a:/o{2}/", "root", true);
        check("a:/O{2}/", "root", false);
        check("a:\"*\"", "*", true);
        check("a:\"*\"", "x", false);
    }

    #[test]
    fn numbers() {
        check("source.port:22", "22", true);
        check("source.port:>4.5", "5", true);
        check("source.port:>4.5", "4", false);
        check("source.port:<=4.5", "4", true);
        check("source.port:[1 TO 5}", "5", false);
        check("source.port:1..5", "5", true);
        check("source.port:4*", "443", true);
        check("event.severity:>=high", "3", false);
        check("x:>=10", "9", false);
        check("x:>=10", "1e2", true);
        check("x:>=10", "abc", false);
        check("x:>9223372036854775806", "9223372036854775807", true);
        check("event.code:>=4624", "5000", true);
    }

    #[test]
    fn addresses_and_times() {
        check("source.ip:10.0.0.0/8", "10.255.0.1", true);
        check("source.ip:10.0.0.0/8", "11.0.0.1", false);
        check("source.ip:2001:DB8:0::1", "2001:db8::1", true);
        check("source.ip:2001:db8::/32", "2001:db8::1", true);
        check("source.ip:>=10.0.0.9", "10.0.0.10", true);
        check("net:10.0.0.0/8", "10.0.0.0/8", true);
        check("net:10.0.0.0/8", "10.1.1.1", true);
        check("@timestamp:2026-11-23", "1795478399999999", true);
        check("@timestamp:<=2026-11-22", "1795391999999999", true);
        check("@timestamp:<=2026-11-22", "1795392000000000", false);
    }
}
