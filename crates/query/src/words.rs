//! Words of text: what a free word of a question means, and what an index can know of it.
//!
//! A word is a longest run of ASCII letters, digits and underscores. Every other character stands
//! between words, also a letter that is not ASCII: an index of words then reads bytes alone.

use crate::plan::{Filter, Pattern, Piece};

/// Whether a character can be in a word.
pub fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The words, ASCII letters in lower case, that each record in which `pattern` is found has for
/// certain.
pub fn words(pattern: &Pattern) -> Vec<String> {
    let mut found = Vec::new();
    for (i, piece) in pattern.0.iter().enumerate() {
        let Piece::Text(text) = piece else { continue };
        // Beside a wildcard the word of the record may go on; at the pattern's own end it ends.
        let open_before = i > 0;
        let open_after = i + 1 < pattern.0.len();
        let runs: Vec<&str> = text.split(|c| !is_word(c)).collect();
        let last = runs.len() - 1;
        for (place, run) in runs.into_iter().enumerate() {
            let cut = open_before && place == 0 || open_after && place == last;
            if !run.is_empty() && !cut {
                found.push(run.to_ascii_lowercase());
            }
        }
    }
    found
}

/// The words that every event has for certain that passes `filter`.
pub fn required(filter: &Filter) -> Vec<String> {
    match filter {
        Filter::Words(pattern) => words(pattern),
        Filter::And(parts) => parts.iter().flat_map(required).collect(),
        Filter::All | Filter::Or(_) | Filter::Not(_) | Filter::Field(..) | Filter::Holds(_) => {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::TextCheck;
    use proptest::prelude::*;

    #[track_caller]
    fn check(query: &str, expected: &str) {
        let plan = crate::parse(query).unwrap_or_else(|e| panic!("{query}: {e:?}"));
        assert_eq!(required(&plan.filter).join(" "), expected, "{query}");
    }

    #[test]
    fn words_that_must_be_there() {
        check("Failed", "failed");
        check("\"failed password\" for root", "failed password for root");
        check("fail* *ed a*b", "");
        check("\"a b*c d\"", "a b c d");
        check("a\\ b*", "a");
        check("/var/log/auth.log", "var log auth log");
        check("\"x y\"* *\"p q\"", "x q");
        check("r?t", "");
        check("müller_1", "m ller_1");
        check("a or b", "");
        check("not a", "");
        check("user.name:root a", "a");
    }

    #[track_caller]
    fn matches(query: &str, text: &str, expected: bool) {
        let plan = crate::parse(query).unwrap_or_else(|e| panic!("{query}: {e:?}"));
        let Filter::Words(pattern) = &plan.filter else { panic!("{query} is no word") };
        let check = TextCheck::anywhere(pattern).unwrap();
        assert_eq!(check.matches(text), expected, "{query} in {text:?}");
    }

    #[test]
    fn a_word_is_found_where_it_stands_alone() {
        matches("fail", "it did FAIL.", true);
        matches("fail", "it failed", false);
        matches("fail*", "it failed", true);
        matches("*led", "it failed", true);
        matches("*ile*", "it failed", true);
        matches("ai", "it failed", false);
        matches("10.0.0.1", "from 10.0.0.1:22", true);
        matches("10.0.0.1", "from 10.0.0.12", false);
        matches("10.0.0.*", "from 10.0.0.12", true);
        matches("user_1", "user_12", false);
        matches("user", "user_1", false);
        matches("user", "über-user=1", true);
        matches("ller", "Müller", true);
        matches("müller", "MÜLLER2", false);
        matches("müll", "müller", false);
        matches("ü", "müller", true);
        matches("\"=\"", "a=b", true);
        matches("f?il", "FAIL", true);
        matches("fai?", "failed", true);
        matches("a*d", "a b c d", true);
        matches("a*d", "a b c dx", false);
    }

    fn text() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            "[abAB_1]{1,3}",
            "[ .=/-]",
            "[üÜéſ\u{212a}kKsS日]",
            "\\PC{0,2}",
            Just("\n".to_string()),
        ];
        prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
    }

    fn pattern() -> impl Strategy<Value = Pattern> {
        let piece = prop_oneof![
            3 => text().prop_map(|t| (Some(t), Piece::Any)),
            1 => Just((None, Piece::Any)),
            1 => Just((None, Piece::One)),
        ];
        prop::collection::vec(piece, 1..5).prop_map(|pieces| {
            let mut pattern = Pattern::default();
            for piece in pieces {
                match piece {
                    (Some(text), _) => pattern.push_text(&text),
                    (None, wildcard) => pattern.push_wildcard(wildcard),
                }
            }
            pattern
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn what_matches_has_the_words(
            pattern in pattern(),
            (before, inside, after) in (text(), text(), text()),
            upper in any::<bool>(),
        ) {
            // A text that often matches: the pattern itself with something for its wildcards.
            let middle: String = pattern.0.iter().map(|piece| match piece {
                Piece::Text(text) if upper => text.to_uppercase(),
                Piece::Text(text) => text.clone(),
                Piece::Any => inside.clone(),
                Piece::One => inside.chars().next().unwrap_or('x').to_string(),
            }).collect();
            let text = format!("{before}{middle}{after}");
            let check = TextCheck::anywhere(&pattern).unwrap();
            if check.matches(&text) {
                let lower = text.to_ascii_lowercase();
                let tokens: Vec<&str> = lower.split(|c| !is_word(c)).collect();
                for word in words(&pattern) {
                    prop_assert!(tokens.contains(&word.as_str()), "{word} of {pattern:?} in {text:?}");
                }
            }
        }
    }
}
