//! A text that stands in all that a regular expression matches: what does not have it need not be
//! looked at any further.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Shorter texts are nearly everywhere.
const BYTES_MIN: usize = 3;

/// The longest such text of ASCII characters, its letters in lower case; in a match they may be in
/// either.
pub(crate) fn part(regex: &str) -> Option<String> {
    let hir = regex_syntax::Parser::new().parse(regex).ok()?;
    let text = of(&hir);
    (text.len() >= BYTES_MIN).then_some(text)
}

/// Empty where there is none.
fn of(hir: &Hir) -> String {
    match hir.kind() {
        HirKind::Concat(parts) => of_concat(parts),
        HirKind::Repetition(repetition) if repetition.min > 0 => of(&repetition.sub),
        HirKind::Capture(capture) => of(&capture.sub),
        _ => letters(hir).unwrap_or_default(),
    }
}

/// The longest run of letters of its parts, or what one of them has within.
fn of_concat(parts: &[Hir]) -> String {
    let (mut best, mut run) = (String::new(), String::new());
    let mut longer = |text: &str| {
        if text.len() > best.len() {
            best = text.to_string();
        }
    };
    for part in parts {
        match letters(part) {
            Some(text) => run.push_str(&text),
            None => {
                longer(&run);
                run.clear();
                longer(&of(part));
            }
        }
    }
    longer(&run);
    best
}

/// What a part stands for, if that is the same for all that it matches, but for the case of ASCII
/// letters.
fn letters(part: &Hir) -> Option<String> {
    match part.kind() {
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok().filter(|text| text.is_ascii())?;
            Some(text.to_ascii_lowercase())
        }
        // `[aA]` is how a letter without case is written.
        HirKind::Class(Class::Unicode(class)) => match class.ranges() {
            [upper, lower]
                if upper.len() == 1
                    && lower.len() == 1
                    && upper.start().is_ascii_uppercase()
                    && upper.start().to_ascii_lowercase() == lower.start() =>
            {
                Some(lower.start().to_string())
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex::Regex;

    #[track_caller]
    fn check(regex: &str, expected: &str) {
        assert_eq!(part(regex).unwrap_or_default(), expected, "{regex}");
    }

    #[test]
    fn the_longest_letters_are_required() {
        check("valid for [0-9]{4} s", "valid for ");
        check("[Ff][Aa][Ii]led (?:for|to) x", "failed ");
        check("(abc)+def", "abc");
        check("(?i)cmd.exe", "cmd");
        // The long s counts as one where case does not.
        check("(?i)powershell", "power");
        check("abc|abd", "");
        check("(abcd)?", "");
        check("müller", "");
        check("^ab$", "");
        check("(broken", "");
    }

    proptest! {
        #[test]
        fn what_matches_has_the_text(
            regex in r"(\(\?i\))?([abSk]{1,3}|\[aA\]|\(abc\|Sk\)|\(abb\)[?+]|\.|b\{2\}|K\*){1,6}",
            text in "[abAsSkKſ\u{212A} ]{0,12}",
        ) {
            let found = Regex::new(&regex).unwrap().is_match(&text);
            if let Some(part) = part(&regex).filter(|_| found) {
                prop_assert!(text.to_ascii_lowercase().contains(&part), "{part}");
            }
        }
    }
}
