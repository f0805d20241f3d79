//! Events built of the rules' own values, so that they hit or just miss.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pugmark_event::{BatchBuilder, Value};
use regex_syntax::hir::{Class, Hir, HirKind};
use rsigma_parser::value::{SpecialChar, StringPart};
use rsigma_parser::{Detection, DetectionItem, Modifier, SigmaRule, SigmaValue};
use serde_json::{Map, Value as Json};

use crate::engines::{Engines, source_of};
use crate::{everything, files};

const NOW: i64 = 1_795_428_000_000_000;
/// Events made of each rule.
const ROUNDS: usize = 6;
/// Events of one batch.
const BATCH_EVENTS: usize = 512;
const FILLERS: [&str; 8] = ["x", " ", "C:\\Users\\Public\\", ".exe", "a-b /c", "ÄÖ", "\n", "\""];

/// The same numbers in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn filler(&mut self) -> String {
        (0..self.below(3)).map(|_| *self.pick(&FILLERS)).collect()
    }
}

/// An event that is being built.
#[derive(Default)]
struct Draft {
    fields: Map<String, Json>,
    words: Vec<String>,
}

impl Draft {
    fn rule(&mut self, rule: &SigmaRule, dice: &mut Dice) {
        let mut named: Vec<_> = rule.detection.named.iter().collect();
        named.sort_by_key(|(name, _)| *name);
        for (name, detection) in named {
            let chance = if name.starts_with("filter") { 15 } else { 90 };
            if dice.percent(chance) {
                self.detection(detection, dice);
            }
        }
    }

    fn detection(&mut self, detection: &Detection, dice: &mut Dice) {
        match detection {
            Detection::AllOf(items) => {
                for item in items {
                    if dice.percent(97) {
                        self.item(item, dice);
                    }
                }
            }
            Detection::AnyOf(parts) => self.detection(dice.pick(parts), dice),
            Detection::And(parts) => parts.iter().for_each(|part| self.detection(part, dice)),
            Detection::Keywords(values) => {
                let text = text(dice.pick(values), dice);
                self.words.push(text);
            }
            _ => {}
        }
    }

    fn item(&mut self, item: &DetectionItem, dice: &mut Dice) {
        let has = |modifier| item.field.modifiers.contains(&modifier);
        let values: Vec<&SigmaValue> = match has(Modifier::All) {
            true => item.values.iter().collect(),
            false => vec![dice.pick(&item.values)],
        };
        let Some(field) = &item.field.name else {
            let words: Vec<String> = values.iter().map(|value| text(value, dice)).collect();
            return self.words.extend(words);
        };
        if has(Modifier::FieldRef) {
            let same = dice.filler();
            self.put(&text(values[0], dice), same.clone().into(), dice);
            return self.put(field, same.into(), dice);
        }
        for value in values {
            if let Some(value) = self::value(value, item, dice) {
                let value = changed(value, dice);
                self.put(field, value, dice);
            }
        }
    }

    /// A second value of a field joins the first, or both become an array.
    fn put(&mut self, field: &str, value: Json, dice: &mut Dice) {
        let value = match (self.fields.remove(field), value) {
            (None, value) => value,
            (Some(Json::String(old)), Json::String(new)) if dice.percent(80) => {
                format!("{old} {new}").into()
            }
            (Some(Json::Array(mut all)), new) => {
                all.push(new);
                all.into()
            }
            (Some(old), new) => vec![old, new].into(),
        };
        self.fields.insert(field.to_string(), value);
    }
}

/// A value that the item accepts, mostly.
fn value(value: &SigmaValue, item: &DetectionItem, dice: &mut Dice) -> Option<Json> {
    let has = |modifier| item.field.modifiers.contains(&modifier);
    let near = |number: i64, dice: &mut Dice| number - 1 + dice.below(3) as i64;
    if has(Modifier::Exists) {
        let wanted = matches!(value, SigmaValue::Bool(true));
        return wanted.then(|| dice.filler().into());
    }
    if has(Modifier::Re) {
        let SigmaValue::String(pattern) = value else { return None };
        let hir = regex_syntax::Parser::new().parse(&pattern.original).ok()?;
        let mut text = String::new();
        spell(&hir, &mut text, dice);
        return Some(format!("{}{text}{}", dice.filler(), dice.filler()).into());
    }
    match value {
        SigmaValue::Null => dice.percent(50).then_some(Json::Null),
        SigmaValue::Bool(bool) if dice.percent(60) => Some((*bool).into()),
        SigmaValue::Integer(number) if item.field.modifiers.is_empty() && dice.percent(60) => {
            Some((*number).into())
        }
        SigmaValue::Integer(number) if !item.field.modifiers.is_empty() && dice.percent(70) => {
            let number = near(*number, dice);
            Some(if dice.percent(50) { number.into() } else { number.to_string().into() })
        }
        _ if has(Modifier::Cidr) => Some(address(&text(value, dice), dice)?.into()),
        _ => {
            let mut text = text(value, dice);
            if has(Modifier::WindAsh) {
                text = dashes(&text, dice);
            }
            if has(Modifier::Base64) || has(Modifier::Base64Offset) {
                text = hidden(&text, has(Modifier::Wide), has(Modifier::Base64Offset), dice);
            }
            if has(Modifier::Contains) || has(Modifier::EndsWith) || dice.percent(4) {
                text.insert_str(0, &dice.filler());
            }
            if has(Modifier::Contains) || has(Modifier::StartsWith) || dice.percent(4) {
                text.push_str(&dice.filler());
            }
            Some(text.into())
        }
    }
}

/// The text of a value, with something in the place of wildcards.
fn text(value: &SigmaValue, dice: &mut Dice) -> String {
    let SigmaValue::String(string) = value else { return value.to_string() };
    let part = |part: &StringPart| match part {
        StringPart::Plain(text) => text.clone(),
        StringPart::Special(SpecialChar::WildcardMulti) => dice.filler(),
        StringPart::Special(SpecialChar::WildcardSingle) => dice.pick(&["a", "7", "é"]).to_string(),
    };
    string.parts.iter().map(part).collect()
}

/// Some text that an expression matches.
fn spell(hir: &Hir, text: &mut String, dice: &mut Dice) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = class.ranges();
            if !ranges.is_empty() {
                let range = dice.pick(ranges);
                let span = (range.end() as u32 - range.start() as u32).min(60) as usize;
                let letter = range.start() as u32 + dice.below(span + 1) as u32;
                text.push(char::from_u32(letter).unwrap_or(range.start()));
            }
        }
        HirKind::Class(Class::Bytes(_)) => {}
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(repetition.min + 2).min(repetition.min + 2);
            for _ in 0..repetition.min + dice.below((most - repetition.min) as usize + 1) as u32 {
                spell(&repetition.sub, text, dice);
            }
        }
        HirKind::Capture(capture) => spell(&capture.sub, text, dice),
        HirKind::Concat(parts) => parts.iter().for_each(|part| spell(part, text, dice)),
        HirKind::Alternation(parts) => spell(dice.pick(parts), text, dice),
    }
}

/// An address in a network, or just outside.
fn address(network: &str, dice: &mut Dice) -> Option<String> {
    let network: ipnet::IpNet = network.parse().ok()?;
    let address = if dice.percent(70) { network.addr() } else { network.broadcast() };
    Some(match (address, dice.below(3)) {
        (std::net::IpAddr::V4(v4), 0) => {
            std::net::Ipv4Addr::from(u32::from(v4).wrapping_add(1)).to_string()
        }
        (address, _) => address.to_string(),
    })
}

/// Dashes before options in another form.
fn dashes(text: &str, dice: &mut Dice) -> String {
    let form = *dice.pick(&['-', '/', '–', '—', '―']);
    let mut before = ' ';
    let letter = |c: char| {
        let first = matches!(c, '-' | '/') && !before.is_alphanumeric();
        before = c;
        if first { form } else { c }
    };
    text.chars().map(letter).collect()
}

/// Base64 of the text, with something around it where any offset will do.
fn hidden(text: &str, wide: bool, any_offset: bool, dice: &mut Dice) -> String {
    let mut bytes = if any_offset { vec![b'x'; dice.below(4)] } else { Vec::new() };
    match wide {
        true => bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
        false => bytes.extend(text.as_bytes()),
    }
    if any_offset {
        bytes.extend(vec![b'z'; dice.below(4)]);
    }
    STANDARD.encode(bytes)
}

/// The value in another case, cut, as one of several, or gone.
fn changed(value: Json, dice: &mut Dice) -> Json {
    let Json::String(mut text) = value else { return value };
    if dice.percent(25) {
        let swap = |c: char| match dice.percent(50) {
            true if c.is_ascii_lowercase() => c.to_ascii_uppercase(),
            true => c.to_ascii_lowercase(),
            false => c,
        };
        text = text.chars().map(swap).collect();
    }
    if dice.percent(4) && !text.is_empty() {
        let gone = dice.below(text.chars().count());
        text = text.chars().enumerate().filter(|(at, _)| *at != gone).map(|(_, c)| c).collect();
    }
    match dice.below(100) {
        0..4 => vec![Json::from(dice.filler()), text.into()].into(),
        4..6 => vec![Json::from(text), Json::Null, 7.into()].into(),
        6..7 => Json::Null,
        7..8 => Json::Array(Vec::new()),
        _ => text.into(),
    }
}

fn write(product: &str, name: &str, value: &Json, builder: &mut BatchBuilder) {
    let text = value.to_string();
    builder.native(
        product,
        name,
        match value {
            Json::Null => Value::Null,
            Json::Bool(bool) => Value::Bool(*bool),
            Json::Number(_) => Value::Number(&text),
            Json::String(text) => Value::Text(text),
            Json::Array(_) | Json::Object(_) => Value::Json(&text),
        },
    );
}

#[test]
fn events_of_the_rules_own_values() {
    let Some(shared) = files::shared() else { return };
    let mut engines = Engines::new(&shared);
    let mut rules = engines.rules.clone();
    rules.sort_by_key(source_of);
    let rounds = if everything() { 10 * ROUNDS } else { ROUNDS };
    let mut dice = Dice(42);
    let mut drafts = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        for _ in 0..rounds {
            let mut draft = Draft::default();
            draft.rule(rule, &mut dice);
            // A neighbour, which is mostly of the same log source, shares the event.
            if dice.percent(25) {
                let near = index.saturating_sub(20)..(index + 20).min(rules.len());
                draft.rule(dice.pick(&rules[near]), &mut dice);
            }
            drafts.push((source_of(rule), draft));
        }
    }
    for (number, drafts) in drafts.chunks(BATCH_EVENTS).enumerate() {
        let mut builder = BatchBuilder::new("test", NOW);
        for (id, ([product, category, service], draft)) in (1..).zip(drafts) {
            let mut raw = draft.fields.clone();
            raw.insert("words".into(), draft.words.join(" ").into());
            builder.begin(id, Json::Object(raw).to_string().as_bytes());
            builder.log_source(product, category, service);
            for (name, value) in &draft.fields {
                write(product, &name.replace("\\[", "[").replace("\\]", "]"), value, &mut builder);
            }
            builder.end(None);
        }
        engines.compare(&format!("batch {number}"), &builder.finish().unwrap());
    }
    assert!(engines.tally.events >= 20_000);
    engines.finish(10_000);
}
