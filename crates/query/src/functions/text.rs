//! Functions of text. Places are counted in characters, from 1.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;

use super::{
    ARGS_MAX, Call, Family, Function, TEXT_BYTES_MAX, bool_of, float_of, long_of, of_text, place,
    text, text_of,
};
use crate::cell::{Cell, same_text};

pub(super) const FAMILY: Family = Family {
    title: "Text",
    functions: &[
        Function {
            name: "lower",
            usage: "lower(text)",
            about: "All letters small.",
            examples: &[("lower(\"ROOT\")", "root")],
            args: 1..=1,
            shape: text_of,
            call: Call::Plain(|args| of_text(args, str::to_lowercase)),
        },
        Function {
            name: "upper",
            usage: "upper(text)",
            about: "All letters capital.",
            examples: &[("upper(\"root\")", "ROOT")],
            args: 1..=1,
            shape: text_of,
            call: Call::Plain(|args| of_text(args, str::to_uppercase)),
        },
        Function {
            name: "len",
            usage: "len(text)",
            about: "Number of characters.",
            examples: &[("len(\"müller\")", "6")],
            args: 1..=1,
            shape: long_of,
            call: Call::Plain(|args| {
                text(&args[0]).map_or(Cell::Null, |t| Cell::Long(t.chars().count() as i64))
            }),
        },
        Function {
            name: "trim",
            usage: "trim(text, characters)",
            about: "Without blanks, or without these characters, at both ends.",
            examples: &[("trim(\"  a b \")", "a b"), ("trim(\"[x]\", \"[]\")", "x")],
            args: 1..=2,
            shape: text_of,
            call: Call::Plain(|args| match args.get(1).and_then(text) {
                Some(set) => of_text(args, |t| t.trim_matches(|c| set.contains(c)).to_string()),
                None => of_text(args, |t| t.trim().to_string()),
            }),
        },
        Function {
            name: "substr",
            usage: "substr(text, from, length)",
            about: "A part of the text. A negative place counts from the end.",
            examples: &[
                ("substr(\"abcdef\", 2, 3)", "bcd"),
                ("substr(\"abcdef\", -2)", "ef"),
                ("substr(\"abc\", 9)", ""),
            ],
            args: 2..=3,
            shape: text_of,
            call: Call::Plain(substr),
        },
        Function {
            name: "replace",
            usage: "replace(text, old, new)",
            about: "Every `old` replaced by `new`. With a regular expression see `regex_replace`.",
            examples: &[("replace(\"a.b.c\", \".\", \"-\")", "a-b-c")],
            args: 3..=3,
            shape: text_of,
            call: Call::Plain(replace),
        },
        Function {
            name: "concat",
            usage: "concat(a, b, ...)",
            about: "The texts of all values one after the other; absent ones are empty.",
            examples: &[("concat(\"a\", 5, null, \"c\")", "a5c")],
            args: 1..=ARGS_MAX,
            shape: text_of,
            call: Call::Plain(|args| {
                let text: String = args.iter().map(Cell::text).collect();
                if text.len() > TEXT_BYTES_MAX { Cell::Null } else { Cell::Text(text) }
            }),
        },
        Function {
            name: "part",
            usage: "part(text, separator, place)",
            about: "A part between separators. A negative place counts from the end.",
            examples: &[
                ("part(\"/var/log/auth.log\", \"/\", -1)", "auth.log"),
                ("part(\"a,b\", \",\", 1)", "a"),
                ("part(\"a,b\", \",\", 3)", ""),
            ],
            args: 3..=3,
            shape: text_of,
            call: Call::Plain(part),
        },
        Function {
            name: "contains",
            usage: "contains(text, part)",
            about: "Whether the part is in the text, in either case of its letters.",
            examples: &[("contains(\"PowerShell -Enc\", \"-enc\")", "true")],
            args: 2..=2,
            shape: bool_of,
            call: Call::Plain(|args| {
                both(args, |text, part| text.to_lowercase().contains(&part.to_lowercase()))
            }),
        },
        Function {
            name: "startswith",
            usage: "startswith(text, part)",
            about: "Whether the text begins with the part, in either case of its letters.",
            examples: &[("startswith(\"Administrator\", \"admin\")", "true")],
            args: 2..=2,
            shape: bool_of,
            call: Call::Plain(|args| {
                both(args, |text, part| {
                    text.get(..part.len()).is_some_and(|start| same_text(start, part))
                })
            }),
        },
        Function {
            name: "endswith",
            usage: "endswith(text, part)",
            about: "Whether the text ends with the part, in either case of its letters.",
            examples: &[("endswith(\"invoice.PDF.exe\", \".EXE\")", "true")],
            args: 2..=2,
            shape: bool_of,
            call: Call::Plain(|args| {
                both(args, |text, part| {
                    let from = text.len().checked_sub(part.len());
                    from.and_then(|f| text.get(f..)).is_some_and(|end| same_text(end, part))
                })
            }),
        },
        Function {
            name: "urldecode",
            usage: "urldecode(text)",
            about: "With `%2e` and its like replaced by what they stand for.",
            examples: &[("urldecode(\"..%2fetc%2Fpasswd\")", "../etc/passwd")],
            args: 1..=1,
            shape: text_of,
            call: Call::Plain(|args| {
                of_text(args, |t| percent_decode_str(t).decode_utf8_lossy().into_owned())
            }),
        },
        Function {
            name: "base64decode",
            usage: "base64decode(text)",
            about: "What the Base64 stands for (RFC 4648), also without padding and for URLs; \
                UTF-16 as PowerShell writes it becomes text. Absent when it is none.",
            examples: &[
                ("base64decode(\"cm9vdA==\")", "root"),
                ("base64decode(\"ZABpAHIA\")", "dir"),
                ("base64decode(\"?\")", ""),
            ],
            args: 1..=1,
            shape: text_of,
            call: Call::Plain(|args| {
                args.first().and_then(text).and_then(|t| decode(&t)).map_or(Cell::Null, Cell::Text)
            }),
        },
        Function {
            name: "entropy",
            usage: "entropy(text)",
            about: "Bits per character (Shannon): names that a program made up have many.",
            examples: &[("entropy(\"aabb\")", "1"), ("round(entropy(\"x9k2qzt7\"), 1)", "3")],
            args: 1..=1,
            shape: float_of,
            call: Call::Plain(|args| {
                text(&args[0]).map_or(Cell::Null, |t| Cell::float(entropy(&t)))
            }),
        },
    ],
};

fn both(args: &[Cell], test: impl FnOnce(&str, &str) -> bool) -> Cell {
    match (text(&args[0]), text(&args[1])) {
        (Some(text), Some(part)) => Cell::Bool(test(&text, &part)),
        _ => Cell::Bool(false),
    }
}

fn substr(args: &[Cell]) -> Cell {
    let (Some(text), Some(from)) = (text(&args[0]), args[1].long()) else { return Cell::Null };
    let length = match args.get(2) {
        Some(length) => match length.long() {
            Some(length) => usize::try_from(length).unwrap_or(0),
            None => return Cell::Null,
        },
        None => usize::MAX,
    };
    let count = if from < 0 { text.chars().count() } else { 0 };
    let from = if from < 0 { place(from, count).unwrap_or(0) } else { place(from, 0).unwrap_or(0) };
    Cell::Text(text.chars().skip(from).take(length).collect())
}

fn part(args: &[Cell]) -> Cell {
    let (Some(text), Some(separator), Some(at)) = (text(&args[0]), text(&args[1]), args[2].long())
    else {
        return Cell::Null;
    };
    if separator.is_empty() {
        return Cell::Null;
    }
    let count = if at < 0 { text.split(&*separator).count() } else { 0 };
    let found = place(at, count).and_then(|at| text.split(&*separator).nth(at));
    found.map_or(Cell::Null, |part| Cell::Text(part.to_string()))
}

fn replace(args: &[Cell]) -> Cell {
    let (Some(from), Some(old), Some(new)) = (text(&args[0]), text(&args[1]), text(&args[2]))
    else {
        return Cell::Null;
    };
    if old.is_empty() {
        return Cell::Text(from.into_owned());
    }
    let found = from.matches(&*old).count();
    if from.len() + found.saturating_mul(new.len()) > TEXT_BYTES_MAX {
        return Cell::Null;
    }
    Cell::Text(from.replace(&*old, &new))
}

fn decode(text: &str) -> Option<String> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let alphabet = match text.contains(['-', '_']) {
        true => &alphabet::URL_SAFE,
        false => &alphabet::STANDARD,
    };
    let bytes = GeneralPurpose::new(alphabet, config).decode(text.trim()).ok()?;
    // Text of PowerShell has a zero behind every letter.
    let pairs = bytes.chunks_exact(2);
    let zeros = pairs.clone().filter(|pair| pair[1] == 0).count();
    if pairs.remainder().is_empty() && zeros > 0 && zeros * 2 >= pairs.len() {
        let units: Vec<u16> = pairs.map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        return Some(String::from_utf16_lossy(&units));
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn entropy(text: &str) -> f64 {
    let mut counts = std::collections::BTreeMap::<char, f64>::new();
    text.chars().for_each(|c| *counts.entry(c).or_default() += 1.0);
    let all: f64 = counts.values().sum();
    // Zero added: the sum of nothing is minus zero otherwise.
    counts.values().map(|n| -(n / all) * (n / all).log2()).sum::<f64>() + 0.0
}
