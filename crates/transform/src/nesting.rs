//! How deep a program may nest: VRL reads and runs it by recursion, and a stack has an end.
//!
//! Every level of nesting takes a token at least, so that the tokens of a statement and of those
//! around it are a bound that needs no parser.

/// Tokens along a path from the outermost statement to the innermost.
pub(crate) const TOKENS_MAX: usize = 250;
/// Largest index in an array; a larger one would fill what is below it.
const INDEX_MAX: usize = 1000;

/// Where a program nests too deep, as a byte in it, and what is wrong.
pub(crate) fn check(program: &str) -> Result<(), (usize, String)> {
    let bytes = program.as_bytes();
    // Tokens of each open statement, the outermost first.
    let mut open: Vec<usize> = vec![0];
    let (mut at, mut last, mut lines) = (0, Token::Stop, false);
    while at < bytes.len() {
        let start = at;
        let (end, token) = next(bytes, at);
        at = end;
        if matches!(token, Token::Blank | Token::Line) {
            lines |= token == Token::Line;
            continue;
        }
        let level = open.last_mut().expect("the outermost statement is never closed");
        // A statement goes on where a line ends or begins with an operator.
        let goes_on = [last, token].contains(&Token::Operator) || &bytes[start..end] == b"else";
        if std::mem::take(&mut lines) && !goes_on {
            *level = 0;
        }
        match token {
            Token::Blank | Token::Line => {}
            Token::Stop => *level = 0,
            Token::Open => {
                *level += 1;
                check_index(program, start)?;
                open.push(0);
            }
            Token::Close => {
                if open.len() > 1 {
                    open.pop();
                }
                *open.last_mut().expect("one is left") += 1;
            }
            Token::Word | Token::Operator => *level += 1,
        }
        last = token;
        if open.iter().sum::<usize>() > TOKENS_MAX {
            let message = format!(
                "a statement with those around it has more than {TOKENS_MAX} words and signs"
            );
            return Err((start, message));
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Blank,
    Line,
    /// `,` or `;`
    Stop,
    Open,
    Close,
    Word,
    Operator,
}

/// The token that begins at `at`, and where it ends.
fn next(bytes: &[u8], at: usize) -> (usize, Token) {
    match bytes[at] {
        b'\n' => (at + 1, Token::Line),
        b' ' | b'\t' | b'\r' => (at + 1, Token::Blank),
        b'#' => {
            let line = bytes[at..].iter().position(|b| *b == b'\n');
            (line.map_or(bytes.len(), |length| at + length), Token::Blank)
        }
        b',' | b';' => (at + 1, Token::Stop),
        b'(' | b'[' | b'{' => (at + 1, Token::Open),
        b')' | b']' | b'}' => (at + 1, Token::Close),
        quote @ (b'"' | b'\'') => (string_end(bytes, at + 1, quote), Token::Word),
        byte if is_word(byte) => {
            let word = bytes[at..].iter().position(|b| !is_word(*b));
            (word.map_or(bytes.len(), |length| at + length), Token::Word)
        }
        _ => (at + 1, Token::Operator),
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@' | b'.' | 0x80..)
}

fn string_end(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// An index right after a path, such as `.a[7]`.
fn check_index(program: &str, bracket: usize) -> Result<(), (usize, String)> {
    let bytes = program.as_bytes();
    let before = bracket.checked_sub(1).map(|before| bytes[before]);
    let follows = before.is_some_and(|b| is_word(b) || matches!(b, b')' | b']' | b'"'));
    if bytes[bracket] != b'[' || !follows {
        return Ok(());
    }
    let digits: String = program[bracket + 1..]
        .trim_start()
        .trim_start_matches('-')
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '_')
        .filter(|c| *c != '_')
        .collect();
    match digits.parse::<usize>() {
        Ok(index) if index <= INDEX_MAX => Ok(()),
        _ if digits.is_empty() => Ok(()),
        _ => Err((bracket, format!("an index is at most {INDEX_MAX}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_at(program: &str, wrong_at: Option<usize>) {
        let shown = program.get(..60).unwrap_or(program);
        assert_eq!(check(program).err().map(|(at, _)| at), wrong_at, "{shown}");
    }

    #[test]
    fn nesting_has_an_end_and_length_has_none() {
        let max = TOKENS_MAX;
        check_at(".a = 1\n.b = 2", None);
        check_at(&".a = 1\n".repeat(2000), None);
        check_at(&format!("x = [{}]", "1, ".repeat(2000)), None);
        check_at(&format!("# {}\nx = 1", "! ".repeat(2000)), None);
        check_at(&format!("x = s'{}'", "[".repeat(2000)), None);
        check_at(&format!("x = \"\\\"{}\"", "[".repeat(2000)), None);
        check_at(&"[".repeat(max + 1), Some(max));
        check_at(&"!".repeat(max + 1), Some(max));
        check_at(&"1 + ".repeat(max), Some(max / 2 * 4));
        check_at(&"1 +\n".repeat(max), Some(max / 2 * 4));
        check_at(&"1\n+ ".repeat(max), Some(max / 2 * 4));
        check_at(&"{ a\n".repeat(max), Some(max * 4 - 2));
        check_at(".a[1000] = 1\n.b = [1001, 2]", None);
        check_at(".a[1001] = 1", Some(2));
        check_at("x[1_001] = 1", Some(1));
        check_at(".a[-99999999999999999999] = 1", Some(2));
    }
}
