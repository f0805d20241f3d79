//! Reads the text of a question word by word. The text is never split up front, since what a
//! character means depends on where it stands.

use crate::diagnostic::Diagnostic;
use crate::plan::{Pattern, Piece};

/// A place in the text.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    /// Byte offset.
    pub(crate) at: usize,
}

/// A run of characters up to a delimiter, with quotes and escapes resolved.
#[derive(Debug, Clone)]
pub(crate) struct Word<'a> {
    /// As typed.
    pub(crate) raw: &'a str,
    /// What it means.
    pub(crate) pattern: Pattern,
    /// True when some of it was in quotes.
    pub(crate) quoted: bool,
    /// Where it starts.
    pub(crate) from: usize,
    /// Where it ends.
    pub(crate) to: usize,
}

impl Word<'_> {
    /// Text without wildcards: a wildcard stands for itself.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for piece in &self.pattern.0 {
            match piece {
                Piece::Text(t) => text.push_str(t),
                Piece::Any => text.push('*'),
                Piece::One => text.push('?'),
            }
        }
        text
    }

    /// True for this bare word in upper or lower case.
    pub(crate) fn is(&self, keyword: &str) -> bool {
        !self.quoted && self.raw.eq_ignore_ascii_case(keyword)
    }
}

/// Words that join filters; in quotes they are text.
pub(crate) const JOINERS: [&str; 3] = ["and", "or", "not"];

impl<'a> Cursor<'a> {
    /// The start of `text`.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The next character.
    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Steps over `c` if it is next.
    pub(crate) fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    /// Steps over `text` if it is next.
    pub(crate) fn eat_str(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// The end of the text.
    pub(crate) fn end(&self) -> usize {
        self.text.len()
    }

    /// The text from `from` to here.
    pub(crate) fn since(&self, from: usize) -> &'a str {
        &self.text[from..self.at]
    }

    /// Whether a name and its opening bracket are next.
    pub(crate) fn is_call(&self) -> bool {
        let rest = self.rest();
        let end = rest.find(|c| !is_expr_name_char(c)).unwrap_or(rest.len());
        let is_name = is_expr_name(&rest[..end]) || crate::functions::is_named(&rest[..end]);
        is_name && rest[end..].starts_with('(')
    }

    /// Steps over blanks.
    pub(crate) fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// A fault from `from` to here.
    pub(crate) fn fault(&self, from: usize, message: impl Into<String>) -> Diagnostic {
        // An empty range is widened to one character so that it can be underlined.
        let next = self.peek().map_or(0, char::len_utf8);
        let to = if self.at > from { self.at } else { from + next };
        Diagnostic::new(from, to, message)
    }

    /// A word up to a blank or one of `ends`; `None` when there is none here. Quotes may start
    /// and end inside a word: `C:\"Program Files"*`.
    pub(crate) fn word(&mut self, ends: &str) -> Result<Option<Word<'a>>, Diagnostic> {
        let from = self.at;
        let mut pattern = Pattern::default();
        let mut quoted = false;
        while let Some(c) = self.peek() {
            match c {
                '"' => {
                    quoted = true;
                    pattern.push_text(&self.quoted('"')?);
                }
                _ if c.is_whitespace() || ends.contains(c) => break,
                '*' | '?' => {
                    self.at += 1;
                    pattern.push_wildcard(if c == '*' { Piece::Any } else { Piece::One });
                }
                '\\' => {
                    self.at += 1;
                    pattern.push_text(&self.escaped("*?\\").to_string());
                }
                _ => {
                    self.at += c.len_utf8();
                    pattern.push_text(c.encode_utf8(&mut [0; 4]));
                }
            }
        }
        let raw = &self.text[from..self.at];
        Ok((!raw.is_empty()).then_some(Word { raw, pattern, quoted, from, to: self.at }))
    }

    /// Text in quotes; the quote is next.
    pub(crate) fn quoted(&mut self, quote: char) -> Result<String, Diagnostic> {
        let from = self.at;
        self.eat(quote);
        let mut text = String::new();
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            match c {
                _ if c == quote => return Ok(text),
                '\\' => text.push(self.escaped(if quote == '"' { "\\\"" } else { "\\'" })),
                _ => text.push(c),
            }
        }
        Err(self
            .fault(from, "this quote is never closed")
            .hint(format!("write a closing {quote}, and \\\\ for a backslash before it")))
    }

    /// The character after a backslash if it is one of `special`; else the backslash stands for
    /// itself, so that Windows paths need no doubling.
    fn escaped(&mut self, special: &str) -> char {
        match self.peek() {
            Some(c) if special.contains(c) => {
                self.at += c.len_utf8();
                c
            }
            _ => '\\',
        }
    }

    /// The name of a field if one and a colon are next; steps over both.
    pub(crate) fn key(&mut self) -> Result<Option<String>, Diagnostic> {
        let start = self.at;
        let name = if self.peek() == Some('"') {
            self.quoted('"')?
        } else {
            let end = self.rest().find(|c| !is_name_char(c)).unwrap_or(self.rest().len());
            self.at += end;
            self.text[start..self.at].to_string()
        };
        let bare = !self.text[start..].starts_with('"');
        let starts_well =
            !bare || name.starts_with(|c: char| c.is_alphabetic() || "_@".contains(c));
        // `http://x`, `fe80::1` and `C:\Temp` are words, not fields.
        let after = self.rest();
        let drive = bare && name.len() == 1 && after.starts_with(":\\");
        let is_key = after.starts_with(':')
            && starts_well
            && !name.is_empty()
            && !(bare && (after.starts_with("://") || after.starts_with("::") || drive));
        if !is_key {
            self.at = start;
            return Ok(None);
        }
        self.at += 1;
        Ok(Some(name))
    }

    /// A regular expression between slashes, if one is next: the closing slash is followed by a
    /// blank, one of `ends` or the end, so `/etc/passwd` is text.
    pub(crate) fn regex(&mut self, ends: &str) -> Option<String> {
        let body = self.rest().strip_prefix('/')?;
        let mut pattern = String::new();
        let mut chars = body.char_indices().peekable();
        while let Some((i, c)) = chars.next() {
            match c {
                '\\' if chars.peek().is_some_and(|(_, next)| *next == '/') => {
                    chars.next();
                    pattern.push('/');
                }
                '\\' => {
                    pattern.push('\\');
                    pattern.extend(chars.next().map(|(_, next)| next));
                }
                '/' => {
                    let after = body[i + 1..].chars().next();
                    if pattern.is_empty()
                        || !after.is_none_or(|c| c.is_whitespace() || ends.contains(c))
                    {
                        return None;
                    }
                    self.at += i + 2;
                    return Some(pattern);
                }
                _ => pattern.push(c),
            }
        }
        None
    }
}

/// Characters of a field's name that need no quotes.
pub(crate) fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || "_.@-#$".contains(c)
}

/// Characters of a field's name that need no quotes in an expression, where a dash is a minus.
pub(crate) fn is_expr_name_char(c: char) -> bool {
    is_name_char(c) && c != '-'
}

/// Whether a name needs no quotes in an expression.
pub(crate) fn is_expr_name(name: &str) -> bool {
    let starts_well = name.starts_with(|c: char| c.is_alphabetic() || "_@".contains(c));
    let word = ["and", "or", "not", "in", "like", "matches", "null", "true", "false", "by", "as"];
    let is_word = word.iter().any(|word| word.eq_ignore_ascii_case(name));
    starts_well && !is_word && name.chars().all(is_expr_name_char)
}
