//! Faults of the other engine (0.23). Each has a minimal example that shows it; rules are written
//! for that engine in such a way that the fault does not matter, so that nothing need be left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsigma_eval::Engine;
use rsigma_eval::event::JsonEvent;
use rsigma_parser::value::{SpecialChar, StringPart};
use rsigma_parser::{
    Detection, DetectionItem, FieldSpec, Modifier, SigmaRule, SigmaString, SigmaValue,
};
use serde_json::{Map, Value as Json, json};

/// The rule in words that the other engine reads rightly.
pub(crate) fn mended(rule: &SigmaRule) -> SigmaRule {
    let mut rule = rule.clone();
    for detection in rule.detection.named.values_mut() {
        mend(detection);
    }
    rule
}

fn mend(detection: &mut Detection) {
    match detection {
        Detection::AllOf(items) => items.iter_mut().for_each(mend_item),
        Detection::AnyOf(parts) | Detection::And(parts) => parts.iter_mut().for_each(mend),
        Detection::Keywords(values) if !values.iter().all(is_plain) => {
            let values = std::mem::take(values);
            let mut item = DetectionItem { field: FieldSpec::new(None, Vec::new()), values };
            mend_item(&mut item);
            *detection = Detection::AllOf(vec![item]);
        }
        _ => {}
    }
}

fn mend_item(item: &mut DetectionItem) {
    use Modifier::{All, Base64Offset, Cased, Contains, EndsWith, StartsWith, Wide, WindAsh};
    let modifiers = &mut item.field.modifiers;
    let has = |modifier| modifiers.contains(&modifier);
    let keyword = item.field.name.is_none();
    let number_as_word = keyword && item.values.iter().any(|value| !is_text(value));
    let only = |allowed: &[Modifier]| modifiers.iter().all(|modifier| allowed.contains(modifier));
    if has(Base64Offset) {
        let wide = has(Wide);
        let hidden = |value: &SigmaValue| match value {
            SigmaValue::String(text) => hidden(&text.as_plain().unwrap(), wide),
            other => hidden(&other.to_string(), wide),
        };
        item.values = item.values.iter().flat_map(hidden).collect();
        *modifiers = vec![Contains];
    } else if only(&[All, Cased, Contains, EndsWith, StartsWith, WindAsh])
        && (has(WindAsh) || item.values.iter().any(has_wildcard) || number_as_word)
    {
        let open = |place| has(place) || has(Contains) || keyword;
        let (start, end, dashes) = (open(EndsWith), open(StartsWith), has(WindAsh));
        let write = |value: &mut SigmaValue| *value = expression(value, start, end, dashes);
        item.values.iter_mut().for_each(write);
        let mut written = vec![Modifier::Re, Modifier::DotAll];
        written.extend((!has(Cased)).then_some(Modifier::IgnoreCase));
        written.extend(has(All).then_some(All));
        *modifiers = written;
    } else if keyword && only(&[All]) {
        modifiers.push(Contains);
    }
}

fn is_text(value: &SigmaValue) -> bool {
    matches!(value, SigmaValue::String(_))
}

fn is_plain(value: &SigmaValue) -> bool {
    matches!(value, SigmaValue::String(text) if text.is_plain())
}

fn has_wildcard(value: &SigmaValue) -> bool {
    matches!(value, SigmaValue::String(text) if text.contains_wildcards())
}

/// Text with wildcards, and dashes that may have another form, as a regular expression.
fn expression(value: &SigmaValue, open_start: bool, open_end: bool, dashes: bool) -> SigmaValue {
    let text = match value {
        SigmaValue::String(text) => text.clone(),
        other => SigmaString::from_raw(&other.to_string()),
    };
    let dash = regex::Regex::new(r"\B[-/]\b").unwrap();
    let mut pattern = String::from(if open_start { "" } else { "^" });
    for part in &text.parts {
        match part {
            StringPart::Plain(text) if dashes => {
                let text = regex::escape(&dash.replace_all(text, "\u{1}"));
                pattern.push_str(&text.replace('\u{1}', "[-/–—―]"));
            }
            StringPart::Plain(text) => pattern.push_str(&regex::escape(text)),
            StringPart::Special(SpecialChar::WildcardMulti) => pattern.push_str(".*"),
            StringPart::Special(SpecialChar::WildcardSingle) => pattern.push('.'),
        }
    }
    pattern.push_str(if open_end { "" } else { "$" });
    SigmaValue::String(SigmaString::from_raw(&pattern))
}

/// What all Base64 texts with `text` in them have in common, for each of the three ways in which it
/// may lie in the groups of three bytes.
fn hidden(text: &str, wide: bool) -> Vec<SigmaValue> {
    let bytes: Vec<u8> = match wide {
        true => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        false => text.as_bytes().to_vec(),
    };
    let common = |before: usize| {
        let around = |byte: u8| {
            let whole = [&vec![byte; before][..], &bytes, &[byte; 3]].concat();
            STANDARD.encode(whole)
        };
        let (low, high) = (around(0), around(0xff));
        let same: String = low
            .chars()
            .zip(high.chars())
            .skip_while(|(a, b)| a != b)
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a)
            .collect();
        SigmaValue::String(SigmaString::from_raw(&same))
    };
    (0..3).map(common).collect()
}

/// True where a field refers to another and one of them is an array: the other engine then compares
/// them whole, and no other words for the rule help.
pub(crate) fn refers_to_array(rule: &SigmaRule, event: &Map<String, Json>) -> bool {
    fn refers(detection: &Detection) -> bool {
        match detection {
            Detection::AllOf(items) => {
                items.iter().any(|item| item.field.modifiers.contains(&Modifier::FieldRef))
            }
            Detection::AnyOf(parts) | Detection::And(parts) => parts.iter().any(refers),
            _ => false,
        }
    }
    rule.detection.named.values().any(refers) && event.values().any(Json::is_array)
}

/// What the other engine says about an event, the rule as it is written.
fn matches(detection: &str, event: Json) -> bool {
    let text = format!(
        "title: Fault\nid: fault\nlogsource: {{product: any}}\ndetection:\n  sel: {detection}\n  \
         condition: sel\n"
    );
    let mut engine = Engine::new();
    let collection = rsigma_parser::parse_sigma_yaml(&text).unwrap();
    engine.add_collection(&collection).unwrap();
    !engine.evaluate(&JsonEvent::borrow(&event)).is_empty()
}

/// A fault is one that this engine says the opposite of what is right.
#[track_caller]
fn check(detection: &str, event: Json, right: bool) {
    assert_eq!(matches(detection, event.clone()), !right, "no fault any more: {detection} {event}");
}

#[test]
fn its_faults_are_still_there() {
    // The anchors of a wildcard are swapped between startswith and endswith.
    check("{a|endswith: '1?'}", json!({"a": "0x10"}), true);
    check("{a|startswith: '?x'}", json!({"a": "0x10"}), true);
    check("{a|startswith: '?x'}", json!({"a": "a0x"}), false);
    // A wildcard stops at the end of a line.
    check("{a: 'x*y'}", json!({"a": "x\ny"}), true);
    // Words of which all must be found are compared with whole values.
    check("{'|all': [dd, 'if=']}", json!({"a": "dd if=/dev/zero"}), true);
    // A number is not found as a word.
    check("[7]", json!({"a": "init 7"}), true);
    // The last character of a Base64 text depends on what follows, and is not cut off.
    check("{a|base64offset|contains: 'ab'}", json!({"a": "YWJj"}), true);
    // A slash is not varied, but dashes within words are.
    check("{a|windash|contains: ' /b'}", json!({"a": "start -b"}), true);
    check("{a|windash|contains: 'no-verify'}", json!({"a": "no/verify"}), false);
    // A reference to another field does not look into arrays.
    check("{a|fieldref: b}", json!({"a": "x", "b": ["x", "y"]}), true);
    // Null in a list is not found where the field is absent.
    check("{a: [null, x]}", json!({"b": "y"}), true);
}
