//! Just enough Rust to tell code from comments, strings and tests.

/// The text with every comment turned into spaces and every string or character literal into
/// NULs; lines and columns stay where they were.
pub(crate) fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let (end, fill) = match token_at(&chars, at) {
            Token::Code => (at + 1, None),
            Token::Comment(end) => (end, Some(' ')),
            Token::Literal(end) => (end, Some('\0')),
        };
        for c in &chars[at..end] {
            out.push(if *c == '\n' { '\n' } else { fill.unwrap_or(*c) });
        }
        at = end;
    }
    out
}

/// What starts at a character, and where it ends.
enum Token {
    Code,
    Comment(usize),
    Literal(usize),
}

fn token_at(chars: &[char], at: usize) -> Token {
    match &chars[at..] {
        ['/', '/', ..] => Token::Comment(find(chars, at, |rest| rest[0] == '\n')),
        ['/', '*', ..] => Token::Comment(block_end(chars, at)),
        ['"', ..] => Token::Literal(quoted_end(chars, at + 1, '"')),
        ['\'', '\\', ..] => Token::Literal(quoted_end(chars, at + 1, '\'')),
        // Without the second quote it is a lifetime.
        ['\'', _, '\'', ..] => Token::Literal(at + 3),
        ['r', '"' | '#', ..] if !after_word(chars, at) => raw_end(chars, at),
        _ => Token::Code,
    }
}

/// Whether the character belongs to a word that began earlier; `b` and `c` may precede a raw `r`.
fn after_word(chars: &[char], at: usize) -> bool {
    let word = |c: &char| c.is_alphanumeric() || *c == '_';
    match at.checked_sub(1).map(|before| chars[before]) {
        Some('b' | 'c') => at >= 2 && word(&chars[at - 2]),
        Some(c) => word(&c),
        None => false,
    }
}

fn raw_end(chars: &[char], at: usize) -> Token {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return Token::Code; // r#name
    }
    let closes = |rest: &[char]| {
        rest[0] == '"' && rest.len() > hashes && rest[1..=hashes].iter().all(|c| *c == '#')
    };
    let quote = find(chars, at + 2 + hashes, closes);
    Token::Literal((quote + 1 + hashes).min(chars.len()))
}

fn quoted_end(chars: &[char], mut at: usize, quote: char) -> usize {
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

fn block_end(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match &chars[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn find(chars: &[char], from: usize, is_it: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|at| is_it(&chars[*at..])).unwrap_or(chars.len())
}

/// For each line of [`code_only`]'s output, whether it is only compiled into tests.
pub(crate) fn test_lines(path: &str, code: &str) -> Vec<bool> {
    let in_tests =
        path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "benches" | "examples"));
    let whole = in_tests || code.contains("#![cfg(test)]");
    let mut lines = vec![whole; code.lines().count()];
    for attribute in ["#[cfg(test)]", "#[cfg(any(test"] {
        for (start, _) in code.match_indices(attribute) {
            let end = item_end(code, start);
            let first = line_of(code, start);
            for line in &mut lines[first - 1..line_of(code, end)] {
                *line = true;
            }
        }
    }
    lines
}

/// A function: its name, its first line (from 1) and how many lines it has.
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// The functions with a body in [`code_only`]'s output.
pub(crate) fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("fn ") {
        let starts_word = code[..start].chars().next_back().is_none_or(|c| !c.is_alphanumeric());
        let rest = &code[start + 3..];
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !starts_word || name.is_empty() {
            continue;
        }
        let (line, last) = (line_of(code, start), line_of(code, item_end(code, start)));
        found.push(Function { name, line, lines: last - line + 1 });
    }
    found
}

/// The position of the `}` or `;` that ends the item starting here.
fn item_end(code: &str, start: usize) -> usize {
    let (mut braces, mut others) = (0i32, 0i32);
    for (at, c) in code[start..].char_indices() {
        match c {
            '(' | '[' => others += 1,
            ')' | ']' => others -= 1,
            '{' => braces += 1,
            '}' => braces -= 1,
            _ => {}
        }
        let ends = (c == '}' && braces <= 0) || (c == ';' && braces == 0);
        if ends && others == 0 {
            return start + at;
        }
    }
    code.len()
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(code_only(text).replace('\0', "~"), expected);
    }

    #[test]
    fn comments_are_blank_and_strings_are_marked() {
        check("a // b\nc", "a     \nc");
        check("a /* b /* c */ d */ e", "a                   e");
        check(r#"f("x\"//y") + 1"#, "f(~~~~~~~~) + 1");
        check(r##"r#"a"b"# + br"\" + r#type"##, "~~~~~~~~ + b~~~~ + r#type");
        check(r"('\'', '/', 'a: &'a str)", "(~~~~, ~~~, 'a: &'a str)");
        check("cut \"off", "cut ~~~~");
    }

    #[test]
    fn test_items_are_known() {
        let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}\n";
        assert_eq!(test_lines("src/x.rs", code), [false, true, true, true, true, false]);
        assert_eq!(test_lines("tests/x.rs", "fn a() {}"), [true]);
    }

    #[test]
    fn functions_have_lengths() {
        let code = "fn a(x: [u8; 2]) {\n  if x { y }\n}\ntrait T { fn b(); }\nlet often = 1;\n";
        let found: Vec<_> =
            functions(code).into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(found, [("a".to_string(), 1, 3), ("b".to_string(), 4, 1)]);
    }
}
