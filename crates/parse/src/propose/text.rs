//! Messages that are text: their templates as patterns, and what the words around a variable part
//! say of it.

use std::collections::{BTreeMap, BTreeSet};

use pugmark_event::time::Micros;
use pugmark_event::{FieldId, fields};

use super::names::{self, Shape, endpoint};
use super::{Field, yaml};
use crate::pack::is_usable;
use crate::templates::{Limits, Miner, Slot, SlotKind, TemplateId};

/// Templates that become patterns, the commonest first.
const FORMS_MAX: usize = 100;
/// Messages of a template whose values are looked at.
const SAMPLES_MAX: usize = 32;
/// Longest pattern, in bytes; a longer one nobody reads.
const PATTERN_BYTES_MAX: usize = 2048;
/// Named groups of a pattern.
const GROUPS_MAX: usize = 24;
/// Templates that are kept while messages are read.
const TEMPLATES_MAX: usize = 5000;
/// Letters that a pattern holds itself; one with fewer would take what others wrote.
const LETTERS_MIN: usize = 8;
/// The same where the program is known.
const LETTERS_OF_PROGRAM_MIN: usize = 3;
/// Words that a deed is named after.
const ACTION_WORDS: usize = 4;
/// Words after which those of the deed are over.
const PREPOSITIONS: &[&str] =
    &["for", "from", "to", "by", "with", "on", "at", "in", "via", "of", "after", "because"];

/// A message to look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    /// The record that it stands in.
    pub(super) record: usize,
    pub(super) text: &'a str,
    /// A program is known for it.
    pub(super) has_program: bool,
    /// Its format found no time.
    pub(super) needs_time: bool,
}

/// A form of messages, as a pattern of a pack.
#[derive(Debug)]
pub(super) struct Form<'a> {
    pub(super) pattern: String,
    pub(super) values: BTreeMap<&'static str, String>,
    pub(super) fields: Vec<Field>,
    pub(super) example: &'a str,
    /// Bytes that the pattern holds itself; more are surer.
    pub(super) literal: usize,
    count: usize,
}

/// The forms of messages, the surest pattern first.
pub(super) fn forms<'a>(messages: &[Message<'a>], prefix: &str, received: Micros) -> Vec<Form<'a>> {
    let mut groups: Vec<_> = grouped(messages).into_values().collect();
    groups.sort_by_key(|group| (std::cmp::Reverse(group.len()), group[0].record));
    let mut forms: Vec<Form<'a>> = Vec::new();
    let mut seen = BTreeSet::new();
    for group in groups {
        let form = Writer::new(prefix, received).form(&group);
        let is_new = |form: &Form<'_>| {
            form.pattern.len() <= PATTERN_BYTES_MAX
                && is_usable(&form.pattern)
                && seen.insert(form.pattern.clone())
        };
        forms.extend(form.filter(is_new));
        if forms.len() == FORMS_MAX {
            break;
        }
    }
    forms.sort_by_key(|form| std::cmp::Reverse((form.literal, form.count)));
    forms
}

/// The variable parts of one message.
struct Sample<'a> {
    record: usize,
    message: Message<'a>,
    slots: Vec<Slot>,
}

/// Messages by their template, as all of them together have taught it.
fn grouped<'a>(messages: &[Message<'a>]) -> BTreeMap<TemplateId, Vec<Sample<'a>>> {
    let limits = Limits { templates_max: TEMPLATES_MAX, ..Limits::default() };
    let mut miner = Miner::new(limits);
    let mut slots = Vec::new();
    for message in messages {
        miner.learn(message.text, &mut slots);
    }
    let mut groups: BTreeMap<TemplateId, Vec<Sample<'a>>> = BTreeMap::new();
    for message in messages {
        if let Some(id) = miner.find(message.text, &mut slots) {
            let sample = Sample { record: message.record, message: *message, slots: slots.clone() };
            groups.entry(miner.resolve(id)).or_default().push(sample);
        }
    }
    groups
}

/// A part of a message.
enum Token<'a> {
    /// Blanks and punctuation between words.
    Glue(&'a str),
    Word(&'a str),
    /// A variable part: its kind and what stood there.
    Slot(SlotKind, Vec<&'a str>),
}

/// The parts of the first message; words that a name announces are variable, too.
fn tokens<'a>(group: &[Sample<'a>]) -> Vec<Token<'a>> {
    let first = &group[0];
    let text = first.message.text;
    let same = |sample: &&Sample<'a>| sample.slots.len() == first.slots.len();
    let samples: Vec<&Sample<'a>> = group.iter().filter(same).take(SAMPLES_MAX).collect();
    let value = |sample: &Sample<'a>, place: usize| {
        let slot = sample.slots[place];
        sample.message.text.get(slot.start as usize..slot.end as usize).unwrap_or_default()
    };
    let (mut tokens, mut done) = (Vec::new(), 0);
    for (place, slot) in first.slots.iter().enumerate() {
        split(text.get(done..slot.start as usize).unwrap_or_default(), &mut tokens);
        let values = samples.iter().map(|sample| value(sample, place)).collect();
        tokens.push(Token::Slot(slot.kind, values));
        done = slot.end as usize;
    }
    split(text.get(done..).unwrap_or_default(), &mut tokens);
    for at in 0..tokens.len() {
        // A name before `=` is none.
        let is_key = matches!(tokens.get(at + 1), Some(Token::Glue(glue)) if glue.starts_with('='));
        if let Token::Word(word) = tokens[at]
            && !is_key
            && is_announced(&tokens[..at], word)
        {
            tokens[at] = Token::Slot(SlotKind::Text, vec![word]);
        }
    }
    tokens
}

fn is_glue(c: char) -> bool {
    c.is_whitespace() || "=:,;()[]{}<>\"'|`".contains(c)
}

fn split<'a>(mut text: &'a str, tokens: &mut Vec<Token<'a>>) {
    while let Some(first) = text.chars().next() {
        let glue = is_glue(first);
        let end = text.find(|c| is_glue(c) != glue).unwrap_or(text.len());
        let (part, rest) = text.split_at(end);
        tokens.push(if glue { Token::Glue(part) } else { Token::Word(part) });
        text = rest;
    }
}

/// Words after which a user is named.
const USER_WORDS: &[&str] = &["user", "username", "login", "account", "principal"];
/// Words after such a word that are no user.
#[rustfmt::skip]
const NO_USERS: &[&str] = &[
    "is",
    "was",
    "has",
    "had",
    "not",
    "logged",
    "login",
    "logout",
    "name",
    "id",
    "agent",
    "from",
    "to",
    "in",
    "on",
    "for",
    "and",
    "or",
    "by",
    "with",
    "does",
    "could",
    "account",
    "session",
    "authentication",
    "failed",
    "failure",
    "succeeded",
    "successful",
    "success",
    "unknown",
    "attempt",
    "attempts",
    "denied",
    "disconnected",
    "connected",
    "created",
    "deleted",
    "removed",
    "added",
    "request",
    "requested",
    "via",
    "at",
    "of",
    "did",
    "error",
    "password",
    "service",
    "list",
    "info",
    "data",
    "can",
    "cannot",
    "the",
    "a",
    "may",
    "exceeded",
    "locked",
    "enabled",
    "disabled",
    "changed",
    "without",
    "already",
    "unlocked",
    "rejected", "accepted", "existing", "mode", "domain", "information", "removal", "terminated",
    "closed", "opened",
];

/// True for a word that what stands before it makes a value: `rhost=gate`, `user anna`.
fn is_announced(before: &[Token<'_>], word: &str) -> bool {
    let [.., Token::Word(name), Token::Glue(glue)] = before else { return false };
    let lower = word.to_lowercase();
    let is_user = USER_WORDS.contains(&name.to_lowercase().as_str())
        && matches!(glue.trim(), "" | "'" | "\"" | "[" | "<" | "`" | ":" | ": '" | ": \"")
        && !NO_USERS.contains(&lower.trim_end_matches(['.', '!']));
    matches!(*glue, "=" | "=\"" | "='" | "=<") || is_user
}

/// Which side of a connection was spoken of last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
}

impl Side {
    fn ip(self) -> FieldId {
        if self == Side::Source { fields::SOURCE_IP } else { fields::DESTINATION_IP }
    }

    fn port(self) -> FieldId {
        if self == Side::Source { fields::SOURCE_PORT } else { fields::DESTINATION_PORT }
    }

    fn host(self) -> FieldId {
        if self == Side::Source { fields::SOURCE_HOST } else { fields::DESTINATION_HOST }
    }
}

/// Words before the one that it came from, and before the one that it went to.
const FROM: &[&str] = &["from", "by", "client", "peer", "remote", "rhost", "source", "src", "ip"];
const TO: &[&str] = &["to", "on", "at", "server", "destination", "dst", "listening", "towards"];
/// Words that make a path a program.
const PROGRAM: &[&str] = &["command", "exec", "executed", "executable", "program", "binary", "cmd"];
/// Words after a number that name it.
const UNITS: &[&str] = &[
    "bytes",
    "packets",
    "seconds",
    "ms",
    "msec",
    "attempts",
    "times",
    "connections",
    "messages",
    "records",
    "files",
    "errors",
    "rows",
];

/// How sure a meaning is: said by a word, told by the look alone, only named.
const SAID: f64 = 0.85;
const LOOKED: f64 = 0.55;
const NAMED: f64 = 0.6;

/// Writes the pattern of one form.
struct Writer<'p> {
    prefix: &'p str,
    received: Micros,
    needs_time: bool,
    pattern: String,
    fields: Vec<Field>,
    side: Option<Side>,
    /// The words before, in lower case, and what stands since the last of them.
    before: Vec<String>,
    glue: String,
    words: Vec<String>,
    literal: usize,
}

impl<'p> Writer<'p> {
    fn new(prefix: &'p str, received: Micros) -> Self {
        Self {
            prefix,
            received,
            needs_time: false,
            pattern: String::new(),
            fields: Vec::new(),
            side: None,
            before: Vec::new(),
            glue: String::new(),
            words: Vec::new(),
            literal: 0,
        }
    }

    fn form<'a>(mut self, group: &[Sample<'a>]) -> Option<Form<'a>> {
        let first = group.first()?;
        self.needs_time = first.message.needs_time;
        let loose = group.iter().any(|sample| sample.message.text.contains("  "));
        let tokens = tokens(group);
        for (at, token) in tokens.iter().enumerate() {
            match token {
                Token::Glue(text) => self.glue(text, loose),
                Token::Word(text) => self.word(text),
                Token::Slot(kind, values) => self.slot(*kind, values, &tokens[at + 1..]),
            }
        }
        let letters = if first.message.has_program { LETTERS_OF_PROGRAM_MIN } else { LETTERS_MIN };
        let own: usize =
            self.words.iter().map(|w| w.chars().filter(|c| c.is_alphabetic()).count()).sum();
        if own < letters {
            return None;
        }
        self.pattern.push_str(r"\s*$");
        let values = self.values();
        Some(Form {
            pattern: self.pattern,
            values,
            fields: self.fields,
            example: first.message.text,
            literal: self.literal,
            count: group.len(),
        })
    }

    fn glue(&mut self, text: &str, loose: bool) {
        self.glue.push_str(text);
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let blank = first.is_whitespace();
            let end = rest.find(|c: char| c.is_whitespace() != blank).unwrap_or(rest.len());
            let (part, after) = rest.split_at(end);
            match part {
                " " if !loose => self.pattern.push(' '),
                _ if blank => self.pattern.push_str(r"\s+"),
                part => yaml::literal(part, &mut self.pattern),
            }
            rest = after;
        }
    }

    fn word(&mut self, text: &str) {
        yaml::literal(text, &mut self.pattern);
        self.literal += text.len();
        self.before.push(text.to_lowercase());
        self.glue.clear();
        self.words.extend(names::words(text));
    }

    fn slot(&mut self, kind: SlotKind, values: &[&str], after: &[Token<'_>]) {
        // `192.0.2.7` and `/4711`, where the scan parts them.
        let tail: Option<Vec<&str>> = values.iter().map(|value| value.strip_prefix('/')).collect();
        let is_port = |text: &&str| text.parse::<u16>().is_ok();
        let follows = self.glue.is_empty() && self.before.last().is_some_and(String::is_empty);
        if let Some(tail) = tail.filter(|tail| follows && tail.iter().all(is_port)) {
            self.glue("/", false);
            return self.slot(SlotKind::Number, &tail, after);
        }
        // Nine digits may be a time, but few numbers in a sentence are.
        let digits = |value: &&str| value.bytes().all(|b| b.is_ascii_digit());
        let shape = match shape(values, self.received) {
            Shape::Time if values.iter().all(digits) => Shape::Number,
            shape => shape,
        };
        let named = if self.fields.len() < GROUPS_MAX {
            self.name(kind, shape, values, after)
        } else {
            None
        };
        let example = values.first().copied().unwrap_or_default();
        let mut group = None;
        if let Some((name, confidence)) = named {
            group = Some(name.clone());
            let example = if shape == Shape::Endpoint {
                endpoint(example).map_or(example, |e| e.0)
            } else {
                example
            };
            self.found(
                name,
                if shape == Shape::Endpoint { Shape::Ip } else { shape },
                confidence,
                example,
            );
        }
        match (group.as_deref(), shape) {
            (Some(name), Shape::Endpoint) => {
                let side = if name == Side::Destination.ip().name() {
                    Side::Destination
                } else {
                    Side::Source
                };
                self.pattern.push_str(&format!(r"\[?(?<{name}>[0-9A-Fa-f.:]+?)\]?[:/]"));
                let port = side.port().name();
                match self.has(port) {
                    true => self.pattern.push_str(r"\d+"),
                    false => {
                        self.pattern.push_str(&format!(r"(?<{port}>\d+)"));
                        let example = endpoint(example).map_or("", |e| e.1);
                        self.found(port.to_string(), Shape::Number, SAID, example);
                    }
                }
            }
            (Some(name), _) => {
                let body = body(shape, values, after.is_empty());
                self.pattern.push_str(&format!("(?<{name}>{body})"));
            }
            (None, _) => self.pattern.push_str(body(shape, values, after.is_empty())),
        }
        self.before.push(String::new());
        self.glue.clear();
    }

    fn found(&mut self, field: String, shape: Shape, confidence: f64, example: &str) {
        let example = yaml::shown(example);
        self.fields.push(Field { native: String::new(), field, shape, confidence, example });
    }

    fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.field == name)
    }

    /// The name of the group for a variable part, and how sure it is.
    fn name(
        &mut self,
        kind: SlotKind,
        shape: Shape,
        values: &[&str],
        after: &[Token<'_>],
    ) -> Option<(String, f64)> {
        let last = self.before.last().cloned().unwrap_or_default();
        let glue = self.glue.trim_end_matches(['"', '\'', ' ', '[', '(', '<']).to_string();
        let is_key = glue.ends_with('=') && !last.is_empty();
        // Where some are addresses, the others are names of machines: the parser tells them apart.
        let some_ip = values.iter().any(|value| Shape::of(value, self.received) == Shape::Ip);
        let looks = if shape == Shape::Text && some_ip { Shape::Ip } else { shape };
        let field = self.field(kind, looks, &last, is_key).filter(|(id, _)| !self.has(id.name()));
        if let Some((id, sure)) = field {
            return Some((id.name().to_string(), sure));
        }
        if shape == Shape::Time || kind == SlotKind::Time {
            let is_whole = self.needs_time
                && !self.has("timestamp")
                && values.iter().all(|value| Shape::of(value, self.received) == Shape::Time);
            return is_whole.then(|| ("timestamp".to_string(), SAID));
        }
        let unit = after.iter().find_map(|token| match token {
            Token::Word(word) => Some(word.to_lowercase()),
            Token::Glue(glue) if glue.trim().is_empty() => None,
            _ => Some(String::new()),
        });
        let is_number = shape == Shape::Number || kind == SlotKind::Number;
        let name = match unit.filter(|unit| UNITS.contains(&unit.as_str())) {
            _ if is_key || (glue == ":" && !last.is_empty()) => last,
            Some(unit) if is_number => unit,
            _ if is_number && names::is_content(&last) => last,
            _ => return None,
        };
        Some((self.attribute(&name)?, NAMED))
    }

    /// The field that a variable part is.
    fn field(
        &mut self,
        kind: SlotKind,
        shape: Shape,
        last: &str,
        is_key: bool,
    ) -> Option<(FieldId, f64)> {
        let is = |list: &[&str]| list.contains(&last);
        let key = match (is_key, self.glue.trim_end()) {
            (true, _) => Some(names::field_of(last, shape)?),
            (false, ":") => {
                let second = self.before.len().checked_sub(2).map_or("", |at| &self.before[at]);
                let whole = [second, last].concat();
                names::field_of(&whole, shape).or_else(|| names::field_of(last, shape))
            }
            _ => None,
        };
        if let Some(field) = key {
            self.side = match field.0 {
                fields::SOURCE_IP => Some(Side::Source),
                fields::DESTINATION_IP => Some(Side::Destination),
                _ => self.side,
            };
            return Some(field);
        }
        match (shape, kind) {
            (Shape::Ip | Shape::Endpoint, _) => {
                let (mut side, mut sure) =
                    self.side_of(last).map_or((Side::Source, LOOKED), |s| (s, SAID));
                if self.has(side.ip().name()) {
                    side = if side == Side::Source { Side::Destination } else { Side::Source };
                    sure = LOOKED;
                }
                self.side = Some(side);
                Some((side.ip(), sure))
            }
            // `192.0.2.7(4711)`
            (Shape::Number, _)
                if last.is_empty() && matches!(&*self.glue, "(" | "#" | ":" | "/") =>
            {
                Some((self.side?.port(), LOOKED))
            }
            (Shape::Number, _) if last == "port" => {
                let listens = self.before.iter().any(|word| word == "listening");
                let other = if listens { Side::Destination } else { Side::Source };
                Some((self.side.unwrap_or(other).port(), SAID))
            }
            (Shape::Number, _) if is(&["pid", "process"]) => Some((fields::PROCESS_PID, SAID)),
            (Shape::Number | Shape::Text, _) if is(&["session"]) => {
                Some((fields::SESSION_ID, LOOKED))
            }
            (Shape::Url, _) => Some((fields::URL_ORIGINAL, SAID)),
            (Shape::Path, _) if is(PROGRAM) => Some((fields::PROCESS_EXECUTABLE, SAID)),
            (Shape::Path, _) => {
                Some((fields::FILE_PATH, if is(&["file", "path", "open"]) { SAID } else { LOOKED }))
            }
            (Shape::Text | Shape::Number, SlotKind::User) => Some((fields::USER_NAME, SAID)),
            (Shape::Text, _) if is(USER_WORDS) => Some((fields::USER_NAME, SAID)),
            (Shape::Text, SlotKind::Host) => match self.side_of(last) {
                Some(side) => Some((side.host(), SAID)),
                None if is(&["host", "machine", "node", "computer"]) => {
                    Some((fields::HOST_NAME, SAID))
                }
                None => None,
            },
            _ => None,
        }
    }

    /// The side that the word before speaks of, or the one before an empty `address`.
    fn side_of(&self, last: &str) -> Option<Side> {
        let nouns = ["address", "addr", "ip", "host"];
        let word = match self.before.len().checked_sub(2).map(|at| self.before[at].as_str()) {
            Some(second) if nouns.contains(&last) && TO.contains(&second) => second,
            _ => last,
        };
        match word {
            word if FROM.contains(&word) => Some(Side::Source),
            word if TO.contains(&word) => Some(Side::Destination),
            _ => None,
        }
    }

    /// The name of an attribute of the product that is called after a word and not yet there.
    fn attribute(&self, word: &str) -> Option<String> {
        let word = identifier(word);
        let name = format!("{}.{word}", self.prefix);
        let is_free = !self.has(&name) && fields::by_ecs_name(&name).is_none();
        (!word.is_empty() && is_free).then_some(name)
    }

    /// What the words of the form say.
    fn values(&self) -> BTreeMap<&'static str, String> {
        let words = || self.words.iter().map(String::as_str);
        let mut deed: Vec<&str> = Vec::new();
        for word in words() {
            match names::is_content(word) {
                true if deed.len() < ACTION_WORDS => deed.push(word),
                // What was done stands before whom it was done for.
                false if !deed.is_empty() && PREPOSITIONS.contains(&word) => break,
                _ => {}
            }
        }
        let mut values = BTreeMap::new();
        if !deed.is_empty() {
            values.insert("event.action", identifier(&deed.join("_")));
        }
        if let Some(outcome) = names::outcome(words()) {
            values.insert("event.outcome", outcome.to_string());
        }
        if let Some(category) = names::category(words()) {
            values.insert("event.category", category.to_string());
        }
        values
    }
}

/// A word as a part of a name: letters, digits and `_`, at most 64 of them.
pub(super) fn identifier(word: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let text: String = word.chars().map(fit).take(64).collect();
    text.trim_matches('_').to_string()
}

/// The shape that all values have.
fn shape(values: &[&str], received: Micros) -> Shape {
    let mut shapes = values.iter().map(|value| Shape::of(value, received));
    let first = shapes.next().unwrap_or(Shape::Text);
    if shapes.all(|shape| shape == first) { first } else { Shape::Text }
}

/// A regular expression for the values.
fn body(shape: Shape, values: &[&str], is_last: bool) -> &'static str {
    let may_be_empty = values.iter().any(|value| value.is_empty());
    let has_blank = values.iter().any(|value| value.contains(char::is_whitespace));
    match shape {
        Shape::Number => r"\d+",
        Shape::Ip => "[0-9A-Fa-f.:]+",
        _ if has_blank && is_last => ".*",
        _ if has_blank && may_be_empty => ".*?",
        _ if has_blank => ".+?",
        _ if may_be_empty => r"\S*",
        _ => r"\S+",
    }
}
