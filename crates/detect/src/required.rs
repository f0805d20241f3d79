//! Texts of which one must stand in every value that a predicate matches.
//!
//! Wildcards and regular expressions are dear, and most values have nothing of what they look for.
//! The automaton of the field finds the parts that cannot be missing; only then they are asked.

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::pattern::{Glob, Token, fold};
use crate::rule::Pred;

/// Shorter texts are nearly everywhere.
const CHARS_MIN: usize = 2;
/// Alternatives of one predicate at most.
const TEXTS_MAX: usize = 64;

/// The texts, their letters folded; `None` where the predicate says nothing of the kind.
pub(crate) fn required(pred: &Pred) -> Option<Vec<String>> {
    let texts = match pred {
        Pred::Glob(glob) => vec![of_glob(glob)?],
        Pred::Regex(pattern) => {
            let hir = regex_syntax::Parser::new().parse(pattern.0.as_str()).ok()?;
            of_hir(&hir)?
        }
        _ => return None,
    };
    (worth(&texts) >= CHARS_MIN).then_some(texts)
}

/// The longest run of letters.
fn of_glob(glob: &Glob) -> Option<String> {
    let runs = glob.tokens.split(|token| !matches!(token, Token::Char(_)));
    let text = |run: &[Token]| -> String {
        let letters = run.iter().filter_map(|token| match token {
            Token::Char(letter) => Some(*letter),
            _ => None,
        });
        letters.collect()
    };
    runs.map(|run| fold(&text(run)).into_owned()).max_by_key(|text| text.chars().count())
}

fn of_hir(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Concat(parts) => of_concat(parts),
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(of_hir(part)?);
                if all.len() > TEXTS_MAX {
                    return None;
                }
            }
            Some(all)
        }
        HirKind::Repetition(repetition) if repetition.min > 0 => of_hir(&repetition.sub),
        HirKind::Capture(capture) => of_hir(&capture.sub),
        HirKind::Literal(_) | HirKind::Class(_) => of_concat(std::slice::from_ref(hir)),
        HirKind::Repetition(_) | HirKind::Look(_) | HirKind::Empty => None,
    }
}

/// The best of its parts: runs of letters, and what single parts require.
fn of_concat(parts: &[Hir]) -> Option<Vec<String>> {
    let (mut best, mut run) = (Vec::new(), String::new());
    let better = |best: &mut Vec<String>, texts: Vec<String>| {
        if worth(&texts) > worth(best) {
            *best = texts;
        }
    };
    for part in parts {
        match letters(part) {
            Some(text) => run.push_str(&text),
            None => {
                better(&mut best, vec![std::mem::take(&mut run)]);
                if !matches!(part.kind(), HirKind::Class(_)) {
                    better(&mut best, of_hir(part).unwrap_or_default());
                }
            }
        }
    }
    better(&mut best, vec![run]);
    (worth(&best) > 0).then_some(best)
}

/// The folded letters that a part stands for, if they are the same for all that it matches.
fn letters(part: &Hir) -> Option<String> {
    match part.kind() {
        HirKind::Literal(literal) => Some(fold(std::str::from_utf8(&literal.0).ok()?).into_owned()),
        // `[aA]` is how a letter without case is written.
        HirKind::Class(Class::Unicode(class)) => {
            let count: usize = class.iter().map(|range| range.len()).sum();
            let mut all = class.iter().filter(|_| count <= 4).flat_map(|r| r.start()..=r.end());
            let first = fold(&all.next()?.to_string()).into_owned();
            all.all(|letter| fold(&letter.to_string()) == first).then_some(first)
        }
        _ => None,
    }
}

/// Characters of the shortest: what the rarest match is found by.
fn worth(texts: &[String]) -> usize {
    texts.iter().map(|text| text.chars().count()).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;
    use crate::rule::Pattern;

    fn of(pattern: &str) -> Option<Vec<String>> {
        required(&Pred::Regex(Pattern(Regex::new(pattern).unwrap().into())))
    }

    #[track_caller]
    fn check(pattern: &str, expected: Option<&[&str]>) {
        let expected = expected.map(|texts| texts.iter().map(ToString::to_string).collect());
        assert_eq!(of(pattern), expected, "{pattern}");
    }

    #[test]
    fn regular_expressions_require_their_longest_letters() {
        check("Invoke-Web", Some(&["invoke-web"]));
        check(r".*\d{3}Ünder.*x", Some(&["ünder"]));
        check("(?i)cmd.exe", Some(&["cmd"]));
        // The long s counts as one where case does not.
        check("(?i)powershell", Some(&["power"]));
        check("(abc|de)+f", Some(&["abc", "de"]));
        check("(?:wget|curl) http", Some(&[" http"]));
        check("(x{2,}|yy)?", None);
        check("a|bc", None);
        check(".*", None);
        check("^$", None);
    }

    #[test]
    fn globs_require_their_longest_letters() {
        let glob = |text: &str| {
            let token = |letter| match letter {
                '*' => Token::Many,
                '?' => Token::One,
                letter => Token::Char(letter),
            };
            let tokens = text.chars().map(token).collect();
            required(&Pred::Glob(Glob { tokens, cased: false }))
        };
        assert_eq!(glob("*\\Temp\\?*.EXE"), Some(vec!["\\temp\\".to_string()]));
        assert_eq!(glob("a*b?c"), None);
        assert_eq!(glob("**"), None);
    }

    proptest! {
        #[test]
        fn what_matches_has_one_of_the_texts(
            pattern in r"(\(\?i\))?([abSk]|\[abA\]|\(ab\|Sk\)|\(a\|bb\)[?+]|\.|b\{2\}|K\*){1,6}",
            text in "[abAsSkKſ\u{212A} ]{0,12}",
        ) {
            let regex = Regex::new(&pattern).unwrap();
            if let Some(texts) = of(&pattern).filter(|_| regex.is_match(&text)) {
                let folded = fold(&text);
                prop_assert!(texts.iter().any(|part| folded.contains(part)), "{texts:?}");
            }
        }
    }
}
