//! Values of a Sigma detection item, through its modifiers, to predicates.
//!
//! Source: Sigma specification 2.1.0, appendix "Modifiers".

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use regex::RegexBuilder;
use rsigma_parser::{Modifier, SigmaString, SigmaValue, SpecialChar, StringPart};

use super::Fault;
use crate::pattern::{Glob, Text, Token};
use crate::rule::{Comparison, Number, Pattern, Place, Pred, TimePart};

/// Longest regular expression of a rule, in bytes.
const REGEX_BYTES_MAX: usize = 64 * 1024;
/// Largest compiled regular expression, in bytes.
const REGEX_COMPILED_BYTES_MAX: usize = 4 << 20;
/// Most dashes of one value that `windash` varies: each multiplies the forms by five.
const WINDASHES_MAX: usize = 4;
/// Dash, slash, en dash, em dash, horizontal bar.
const DASHES: [char; 5] = ['-', '/', '–', '—', '―'];

/// The modifiers of one item, read once.
#[derive(Debug)]
pub(crate) struct Modifiers<'a> {
    list: &'a [Modifier],
    place: Place,
    operator: Operator,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operator {
    Text,
    Regex,
    Cidr,
    Compare(Comparison),
    Exists,
    FieldRef,
    TimePart(TimePart),
}

impl<'a> Modifiers<'a> {
    /// Reads a list of modifiers; contradictions are refused.
    pub(crate) fn read(list: &'a [Modifier]) -> Result<Self, Fault> {
        let mut read = Self { list, place: Place::Whole, operator: Operator::Text };
        for modifier in list {
            match modifier {
                Modifier::Contains => read.set_place(Place::Anywhere)?,
                Modifier::StartsWith => read.set_place(Place::Start)?,
                Modifier::EndsWith => read.set_place(Place::End)?,
                Modifier::Re => read.set_operator(Operator::Regex)?,
                Modifier::Cidr => read.set_operator(Operator::Cidr)?,
                Modifier::Exists => read.set_operator(Operator::Exists)?,
                Modifier::FieldRef => read.set_operator(Operator::FieldRef)?,
                Modifier::Lt => read.set_operator(Operator::Compare(Comparison::Less))?,
                Modifier::Lte => read.set_operator(Operator::Compare(Comparison::LessOrEqual))?,
                Modifier::Gt => read.set_operator(Operator::Compare(Comparison::Greater))?,
                Modifier::Gte => {
                    read.set_operator(Operator::Compare(Comparison::GreaterOrEqual))?;
                }
                Modifier::Minute => read.set_operator(Operator::TimePart(TimePart::Minute))?,
                Modifier::Hour => read.set_operator(Operator::TimePart(TimePart::Hour))?,
                Modifier::Day => read.set_operator(Operator::TimePart(TimePart::Day))?,
                Modifier::Week => read.set_operator(Operator::TimePart(TimePart::Week))?,
                Modifier::Month => read.set_operator(Operator::TimePart(TimePart::Month))?,
                Modifier::Year => read.set_operator(Operator::TimePart(TimePart::Year))?,
                _ => {}
            }
        }
        read.check()?;
        Ok(read)
    }

    /// True when the item has this modifier.
    pub(crate) fn has(&self, modifier: Modifier) -> bool {
        self.list.contains(&modifier)
    }

    /// The predicates that one value stands for; any of them is enough.
    pub(crate) fn preds(&self, value: &SigmaValue, keyword: bool) -> Result<Vec<Pred>, Fault> {
        Ok(match self.operator {
            Operator::Regex => vec![self.regex(&plain(value)?)?],
            Operator::Cidr => vec![cidr(&plain(value)?)?],
            Operator::Compare(comparison) => vec![Pred::Compare(comparison, number(value)?)],
            Operator::TimePart(part) => match number(value)? {
                Number::Integer(integer) => vec![Pred::TimePart(part, integer)],
                Number::Float(_) => {
                    return Err(
                        Fault::new("a part of a time is a whole number").hint("write `|hour: 14`")
                    );
                }
            },
            Operator::Exists => match plain(value)?.as_str() {
                "true" => vec![Pred::Present],
                "false" => vec![Pred::Absent],
                other => {
                    return Err(Fault::new(format!("`exists: {other}` is neither true nor false"))
                        .hint("write `|exists: true`"));
                }
            },
            Operator::FieldRef => vec![Pred::FieldRef {
                place: self.place,
                field: plain(value)?,
                cased: self.has(Modifier::Cased),
            }],
            Operator::Text => self.text(value, keyword)?,
        })
    }

    fn set_place(&mut self, place: Place) -> Result<(), Fault> {
        if self.place != Place::Whole {
            return Err(Fault::new("contains, startswith and endswith exclude each other")
                .hint("keep one, or write `*` into the value"));
        }
        self.place = place;
        Ok(())
    }

    fn set_operator(&mut self, operator: Operator) -> Result<(), Fault> {
        if self.operator != Operator::Text {
            return Err(Fault::new("an item has two operators, such as `re` and `cidr`")
                .hint("write two items"));
        }
        self.operator = operator;
        Ok(())
    }

    fn check(&self) -> Result<(), Fault> {
        let placed = self.place != Place::Whole;
        if placed && !matches!(self.operator, Operator::Text | Operator::FieldRef) {
            return Err(Fault::new(
                "contains, startswith and endswith do not go with re, cidr, exists or numbers",
            )
            .hint("leave them out"));
        }
        let encodings = [
            Modifier::Base64,
            Modifier::Base64Offset,
            Modifier::Wide,
            Modifier::Utf16,
            Modifier::Utf16be,
            Modifier::WindAsh,
        ];
        if self.operator != Operator::Text && encodings.iter().any(|m| self.has(*m)) {
            return Err(Fault::new("encodings only go with text, not with re, cidr or numbers")
                .hint("write an item of its own"));
        }
        let flags = [Modifier::IgnoreCase, Modifier::Multiline, Modifier::DotAll];
        if self.operator != Operator::Regex && flags.iter().any(|m| self.has(*m)) {
            return Err(Fault::new("the flags i, m and s only go with re").hint("add `|re` first"));
        }
        if self.has(Modifier::Base64) && self.has(Modifier::Base64Offset) {
            return Err(Fault::new("base64 and base64offset exclude each other")
                .hint("base64offset finds a part of encoded text, base64 the whole"));
        }
        Ok(())
    }

    fn regex(&self, pattern: &str) -> Result<Pred, Fault> {
        if pattern.len() > REGEX_BYTES_MAX {
            return Err(Fault::new(format!(
                "a regular expression of {} bytes; at most {REGEX_BYTES_MAX} are allowed",
                pattern.len()
            ))
            .hint("split it into several values"));
        }
        let mut flags = String::new();
        for (modifier, flag) in
            [(Modifier::IgnoreCase, 'i'), (Modifier::Multiline, 'm'), (Modifier::DotAll, 's')]
        {
            if self.has(modifier) {
                flags.push(flag);
            }
        }
        // Flags inside the pattern, so that patterns which differ by flag are not taken as equal.
        let pattern =
            if flags.is_empty() { pattern.to_string() } else { format!("(?{flags}){pattern}") };
        let regex = RegexBuilder::new(&pattern)
            .size_limit(REGEX_COMPILED_BYTES_MAX)
            .dfa_size_limit(REGEX_COMPILED_BYTES_MAX)
            .nest_limit(100)
            .build()
            .map_err(|e| {
                Fault::new(format!("broken regular expression: {}", one_line(&e.to_string())))
                    .hint("look-around and back-references do not exist here; simplify it")
            })?;
        Ok(Pred::Regex(Pattern(regex.into())))
    }

    fn text(&self, value: &SigmaValue, keyword: bool) -> Result<Vec<Pred>, Fault> {
        let place = if keyword { Place::Anywhere } else { self.place };
        let cased = self.has(Modifier::Cased);
        let string = match value {
            SigmaValue::Null if place == Place::Whole => return Ok(vec![Pred::Absent]),
            SigmaValue::String(string) => string.clone(),
            other => SigmaString::from_raw(&plain(other)?),
        };
        let forms = self.encode(string)?;
        let mut preds = Vec::with_capacity(forms.len());
        for form in &forms {
            preds.push(pred(&form.parts, form.place.unwrap_or(place), cased));
        }
        if keyword {
            escaped_forms(&mut preds);
        }
        Ok(preds)
    }

    /// Applies windash, UTF-16 and Base64, in this order.
    fn encode(&self, string: SigmaString) -> Result<Vec<Form>, Fault> {
        let mut forms = vec![Form { parts: string.parts, place: None }];
        if self.has(Modifier::WindAsh) {
            forms = windash(&forms[0].parts)?;
        }
        let wide =
            [Modifier::Wide, Modifier::Utf16, Modifier::Utf16be].into_iter().find(|m| self.has(*m));
        let base64 = self.has(Modifier::Base64) || self.has(Modifier::Base64Offset);
        if wide.is_none() && !base64 {
            return Ok(forms);
        }
        let mut encoded = Vec::new();
        for form in forms {
            let text = SigmaValue::String(SigmaString { parts: form.parts, original: "".into() });
            let SigmaValue::String(string) = &text else { continue };
            let text = string.as_plain().ok_or_else(|| {
                Fault::new("an encoded value has wildcards").hint("escape them with a backslash")
            })?;
            let bytes = match wide {
                Some(encoding) => utf16(&text, encoding),
                None => text.into_bytes(),
            };
            if self.has(Modifier::Base64Offset) {
                encoded.extend(base64_offsets(&bytes).into_iter().map(|t| Form::anywhere(&t)));
            } else if base64 {
                encoded
                    .push(Form::literal(&base64::engine::general_purpose::STANDARD.encode(&bytes)));
            } else {
                encoded.push(Form::literal(&String::from_utf8_lossy(&bytes)));
            }
        }
        if encoded.is_empty() {
            return Err(Fault::new("a value is too short for base64offset")
                .hint("a value needs at least one character"));
        }
        Ok(encoded)
    }
}

/// One form of a value after encodings.
struct Form {
    parts: Vec<StringPart>,
    /// Overrides the place of the modifiers.
    place: Option<Place>,
}

impl Form {
    fn literal(text: &str) -> Self {
        Self { parts: vec![StringPart::Plain(text.to_string())], place: None }
    }

    fn anywhere(text: &str) -> Self {
        Self { place: Some(Place::Anywhere), ..Self::literal(text) }
    }
}

fn plain(value: &SigmaValue) -> Result<String, Fault> {
    match value {
        SigmaValue::String(string) => {
            Ok(string.as_plain().unwrap_or_else(|| string.original.clone()))
        }
        SigmaValue::Null => Err(Fault::new("null where a value is needed")
            .hint("write null only where a field is compared without modifiers")),
        other => Ok(other.to_string()),
    }
}

fn number(value: &SigmaValue) -> Result<Number, Fault> {
    let text = plain(value)?;
    Number::read(&text).ok_or_else(|| {
        Fault::new(format!("`{text}` is not a number")).hint("compare with a number, such as 100")
    })
}

fn cidr(text: &str) -> Result<Pred, Fault> {
    let net = text
        .parse()
        .or_else(|e| text.parse().map(|ip: std::net::IpAddr| ipnet::IpNet::from(ip)).map_err(|_| e))
        .map_err(|e| {
            Fault::new(format!("`{text}` is not a network: {e}")).hint("write 192.0.2.0/24")
        })?;
    Ok(Pred::Cidr(net))
}

/// The predicate that wildcards at the ends and the place make of a pattern.
fn pred(parts: &[StringPart], place: Place, cased: bool) -> Pred {
    let many = |part: Option<&StringPart>| {
        matches!(part, Some(StringPart::Special(SpecialChar::WildcardMulti)))
    };
    let mut inner = parts;
    let mut open_start = matches!(place, Place::Anywhere | Place::End);
    let mut open_end = matches!(place, Place::Anywhere | Place::Start);
    while many(inner.first()) {
        inner = &inner[1..];
        open_start = true;
    }
    while many(inner.last()) {
        inner = &inner[..inner.len() - 1];
        open_end = true;
    }
    let place = match (open_start, open_end) {
        (true, true) => Place::Anywhere,
        (true, false) => Place::End,
        (false, true) => Place::Start,
        (false, false) => Place::Whole,
    };
    match inner {
        [] => Pred::Text { place, text: Text { text: String::new(), cased } },
        _ if inner.iter().all(|p| matches!(p, StringPart::Plain(_))) => {
            let text = inner.iter().map(|p| match p {
                StringPart::Plain(text) => text.as_str(),
                StringPart::Special(_) => "",
            });
            Pred::Text { place, text: Text { text: text.collect(), cased } }
        }
        _ => Pred::Glob(glob(inner, open_start, open_end, cased)),
    }
}

fn glob(parts: &[StringPart], open_start: bool, open_end: bool, cased: bool) -> Glob {
    let mut tokens = Vec::new();
    if open_start {
        tokens.push(Token::Many);
    }
    for part in parts {
        match part {
            StringPart::Plain(text) => tokens.extend(text.chars().map(Token::Char)),
            StringPart::Special(SpecialChar::WildcardMulti) => tokens.push(Token::Many),
            StringPart::Special(SpecialChar::WildcardSingle) => tokens.push(Token::One),
        }
    }
    if open_end {
        tokens.push(Token::Many);
    }
    Glob { tokens, cased }
}

/// A raw record is often JSON, where a quote or backslash of the keyword is escaped: both forms
/// are searched.
fn escaped_forms(preds: &mut Vec<Pred>) {
    let mut more = Vec::new();
    for pred in preds.iter() {
        let form = match pred {
            Pred::Text { place, text } => {
                let text = Text { text: escaped(&text.text), cased: text.cased };
                Pred::Text { place: *place, text }
            }
            Pred::Glob(glob) => {
                let mut tokens = Vec::with_capacity(glob.tokens.len());
                for &token in &glob.tokens {
                    match token {
                        Token::Char(c) => {
                            tokens.extend(
                                escaped(c.encode_utf8(&mut [0; 4])).chars().map(Token::Char),
                            );
                        }
                        wildcard => tokens.push(wildcard),
                    }
                }
                Pred::Glob(Glob { tokens, cased: glob.cased })
            }
            _ => continue,
        };
        if form != *pred {
            more.push(form);
        }
    }
    preds.extend(more);
}

/// The text as it stands in JSON.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_string()
}

/// Every form that a dash or slash before an option may take. Only a dash that starts a word
/// counts (pySigma's `\B[-/]\b`), so that `no-verify` stays as it is.
fn windash(parts: &[StringPart]) -> Result<Vec<Form>, Fault> {
    let mut forms: Vec<Vec<StringPart>> = vec![Vec::new()];
    let mut dashes = 0;
    let mut before = ' ';
    for part in parts {
        let StringPart::Plain(text) = part else {
            forms.iter_mut().for_each(|form| form.push(part.clone()));
            before = ' ';
            continue;
        };
        forms.iter_mut().for_each(|form| form.push(StringPart::Plain(String::new())));
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let starts_word = matches!(c, '-' | '/')
                && !is_word(before)
                && chars.peek().is_some_and(|&next| is_word(next));
            before = c;
            if !starts_word {
                forms.iter_mut().for_each(|form| append(form, c));
                continue;
            }
            dashes += 1;
            if dashes > WINDASHES_MAX {
                return Err(Fault::new(format!(
                    "a windash value has more than {WINDASHES_MAX} dashes"
                ))
                .hint("split the value into several with contains|all"));
            }
            forms = forms
                .iter()
                .flat_map(|form| {
                    DASHES.map(|dash| {
                        let mut form = form.clone();
                        append(&mut form, dash);
                        form
                    })
                })
                .collect();
        }
    }
    Ok(forms.into_iter().map(|parts| Form { parts, place: None }).collect())
}

fn append(form: &mut [StringPart], c: char) {
    if let Some(StringPart::Plain(text)) = form.last_mut() {
        text.push(c);
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn utf16(text: &str, encoding: Modifier) -> Vec<u8> {
    let units = text.encode_utf16();
    match encoding {
        Modifier::Utf16be => units.flat_map(u16::to_be_bytes).collect(),
        // UTF-16 without a word on byte order starts with a mark, little endian as Windows has it.
        Modifier::Utf16 => {
            [0xff, 0xfe].into_iter().chain(units.flat_map(u16::to_le_bytes)).collect()
        }
        _ => units.flat_map(u16::to_le_bytes).collect(),
    }
}

/// The Base64 texts that contain `bytes` at each of the three offsets within a group of three,
/// without the characters that depend on what stands before or after.
fn base64_offsets(bytes: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    for offset in 0..3usize {
        let mut padded = vec![0u8; offset];
        padded.extend_from_slice(bytes);
        let text = STANDARD_NO_PAD.encode(&padded);
        let start = (offset * 8).div_ceil(6);
        let end = padded.len() * 8 / 6;
        if start < end {
            texts.push(text[start..end].to_string());
        }
    }
    texts
}

fn one_line(text: &str) -> String {
    let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    line.trim().trim_start_matches("error: ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_found_at_every_offset() {
        for secret in ["http", "powershell", "IEX(", "ab", "abc"] {
            let texts = base64_offsets(secret.as_bytes());
            assert_eq!(texts.len(), 3);
            for prefix in ["", "x", "xy", "xyz", "éa"] {
                for suffix in ["", "1", "12", "ÿÿÿ"] {
                    let hidden = base64::engine::general_purpose::STANDARD
                        .encode(format!("{prefix}{secret}{suffix}"));
                    assert!(
                        texts.iter().any(|t| hidden.contains(t)),
                        "{secret} in {prefix}..{suffix}"
                    );
                }
            }
        }
    }

    #[test]
    fn windash_varies_only_dashes_that_start_a_word() {
        let forms = |text: &str| {
            windash(&SigmaString::new(text).parts).map(|forms| {
                forms.iter().map(|f| pred(&f.parts, Place::Anywhere, false)).collect::<Vec<_>>()
            })
        };
        assert_eq!(forms(" -enc ").unwrap().len(), 5);
        assert_eq!(forms("no-verify").unwrap().len(), 1);
        assert_eq!(forms("-a /b").unwrap().len(), 25);
        assert!(forms("-a -b -c -d -e").is_err());
    }
}
