//! Functions that find and take parts of text by a pattern.

use std::sync::Arc;

use super::{Call, Family, Function, TEXT_BYTES_MAX, bool_of, literal, regex, text, text_of};
use crate::cell::Cell;
use crate::check::TextCheck;
use crate::expr::Expr;
use crate::plan::Test;
use crate::wildcard::{self, Captures};

pub(super) const FAMILY: Family = Family {
    title: "Patterns",
    functions: &[
        Function {
            name: "like",
            usage: "like(text, \"pattern\")",
            about: "Whether the whole text is like the pattern: `*` is any text, `?` one \
                character; either case.",
            examples: &[
                ("like(\"cmd.EXE\", \"*.exe\")", "true"),
                ("like(\"cmd.exe\", \"cmd\")", "false"),
            ],
            args: 2..=2,
            shape: bool_of,
            call: Call::Made(|args| {
                let pattern = wildcard::pattern(&literal(args, 1, "a pattern")?);
                tested(TextCheck::new(&Test::Like(pattern))?)
            }),
        },
        Function {
            name: "matches",
            usage: "matches(text, /regex/)",
            about: "Whether the regular expression finds something; `(?i)` at its start ignores \
                case.",
            examples: &[("matches(\"id=42\", /id=\\d+/)", "true")],
            args: 2..=2,
            shape: bool_of,
            call: Call::Made(|args| {
                let regex = regex(args, 1)?;
                Ok(Arc::new(move |args| {
                    Cell::Bool(text(&args[0]).is_some_and(|text| regex.is_match(&text)))
                }))
            }),
        },
        Function {
            name: "regex_extract",
            usage: "regex_extract(text, /regex/, group)",
            about: "What the first match has in a group: its number or its name; without one the \
                first group, or all of the match.",
            examples: &[
                ("regex_extract(\"id=42\", /id=(\\d+)/)", "42"),
                ("regex_extract(\"a=1 b=2\", /b=(?<n>\\d)/, \"n\")", "2"),
                ("regex_extract(\"x\", /y/)", ""),
            ],
            args: 2..=3,
            shape: text_of,
            call: Call::Made(extract),
        },
        Function {
            name: "regex_replace",
            usage: "regex_replace(text, /regex/, \"new\")",
            about: "Every match replaced; `$1` and `${name}` are groups.",
            examples: &[("regex_replace(\"u1 u22\", /u(\\d+)/, \"user-$1\")", "user-1 user-22")],
            args: 3..=3,
            shape: text_of,
            call: Call::Made(|args| {
                let regex = regex(args, 1)?;
                let new = literal(args, 2, "the new text")?;
                Ok(Arc::new(move |args| {
                    let replaced = text(&args[0]).map(|t| regex.replace_all(&t, &new).into_owned());
                    replaced.filter(|t| t.len() <= TEXT_BYTES_MAX).map_or(Cell::Null, Cell::Text)
                }))
            }),
        },
        Function {
            name: "capture",
            usage: "capture(text, \"user * from *\", place)",
            about: "What stands for a star of a pattern that is found in the text; `parse` uses \
                it. A star takes as little as it can; at the end of the pattern it goes to the \
                next blank, and two stars take all that is left.",
            examples: &[
                ("capture(\"login of root from 10.0.0.1 ok\", \"of * from *\", 1)", "root"),
                ("capture(\"login of root from 10.0.0.1 ok\", \"of * from *\", 2)", "10.0.0.1"),
                ("capture(\"error: disk is full\", \"error: **\", 1)", "disk is full"),
                ("capture(\"x\", \"of *\", 1)", ""),
            ],
            args: 3..=3,
            shape: text_of,
            call: Call::Made(|args| {
                let captures = Captures::new(&literal(args, 1, "a pattern")?)?;
                let place = match args.get(2) {
                    Some(Expr::Literal(Cell::Long(place))) => usize::try_from(*place).ok(),
                    _ => None,
                };
                let stars = captures.len();
                let place = place
                    .filter(|place| (1..=stars).contains(place))
                    .ok_or_else(|| format!("argument 3 is the number of a star: 1 to {stars}"))?;
                Ok(Arc::new(move |args| {
                    let found = text(&args[0])
                        .and_then(|t| Some(captures.find(&t)?[place - 1].to_string()));
                    found.map_or(Cell::Null, Cell::Text)
                }))
            }),
        },
    ],
};

fn tested(check: TextCheck) -> Result<super::Made, String> {
    Ok(Arc::new(move |args| Cell::Bool(text(&args[0]).is_some_and(|text| check.matches(&text)))))
}

fn extract(args: &[Expr]) -> Result<super::Made, String> {
    let regex = regex(args, 1)?;
    let group = match args.get(2) {
        None => Some(usize::from(regex.captures_len() > 1)),
        Some(Expr::Literal(Cell::Long(group))) => {
            usize::try_from(*group).ok().filter(|group| *group < regex.captures_len())
        }
        Some(Expr::Literal(Cell::Text(name))) => {
            regex.capture_names().position(|known| known == Some(name.as_str()))
        }
        Some(_) => None,
    };
    let group = group.ok_or("argument 3 is a group that the regular expression has")?;
    Ok(Arc::new(move |args| {
        let found = text(&args[0])
            .and_then(|text| Some(regex.captures(&text)?.get(group)?.as_str().to_string()));
        found.map_or(Cell::Null, Cell::Text)
    }))
}
