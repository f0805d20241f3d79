//! Where a value stands in a record: under which name, and whether JSON wants quotes around it.
//!
//! One walk over the record, without parsing it: a name is what stands before `=`, and the string
//! before a colon. A value without quotes after `=` ends at a blank or a separator; the name of a
//! JSON value holds until the next one.

use std::ops::Range;

/// Longest name before `=`, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Walks over a record; positions are asked for in order.
pub(super) struct Places<'a> {
    text: &'a [u8],
    at: usize,
    /// Where the string begins that the walk is in.
    string: Option<usize>,
    /// The string is the value of `name=`.
    is_pair: bool,
    json: Range<usize>,
    /// A string before a colon has been seen.
    is_json: bool,
    pair: Option<Range<usize>>,
}

impl<'a> Places<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, string: None, is_pair: false, json: 0..0, is_json: false, pair: None }
    }

    /// The innermost name before the value at `position`; empty if there is none.
    pub(super) fn name(&mut self, position: usize) -> &'a [u8] {
        self.walk(position);
        &self.text[self.pair.clone().unwrap_or(self.json.clone())]
    }

    /// The quotes that a text needs in place of what stands there: those of JSON for a number.
    pub(super) fn quote(&mut self, value: &Range<usize>) -> &'static [u8] {
        self.walk(value.start);
        match self.text[..value.start].trim_ascii_end() {
            [name @ .., b':'] => match name.trim_ascii_end() {
                [.., b'\\', b'"'] => br#"\""#,
                [.., b'"'] if self.string.is_none() => b"\"",
                _ => b"",
            },
            [.., b'[' | b','] if self.string.is_none() && self.is_json => b"\"",
            _ => b"",
        }
    }

    fn walk(&mut self, position: usize) {
        while self.at < position {
            self.step();
        }
    }

    fn step(&mut self) {
        let at = self.at;
        self.at += 1;
        match self.text[at] {
            b'\\' if self.string.is_some() => {
                if self.text[at..].starts_with(br#"\":"#) {
                    (self.json, self.pair) = (self.word(at), None);
                }
                self.at += 1;
            }
            b'"' => match self.string.take() {
                None => {
                    self.string = Some(at + 1);
                    self.is_pair = self.text[..at].ends_with(b"=");
                }
                Some(start) => {
                    if self.text[at + 1..].trim_ascii_start().starts_with(b":") {
                        (self.json, self.is_json) = (start..at, true);
                    }
                    (self.pair, self.is_pair) = (None, false);
                }
            },
            b'=' if !self.is_pair => self.pair = Some(self.word(at)),
            b' ' | b'\t' | b'\n' | b'&' | b',' | b';' if !self.is_pair => self.pair = None,
            _ => {}
        }
    }

    /// The word that ends before `end`.
    fn word(&self, end: usize) -> Range<usize> {
        let fits =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.') || b >= 0x80;
        let word = self.text[..end].iter().rev().take(NAME_BYTES_MAX).take_while(|b| fits(**b));
        end - word.count()..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name and the quotes of the value `V`.
    #[track_caller]
    fn check(text: &str, name: &str, quote: &str) {
        let at = text.find('V').expect("a value");
        let mut places = Places::new(text.as_bytes());
        let found = std::str::from_utf8(places.name(at)).expect("text").to_owned();
        let quotes = std::str::from_utf8(places.quote(&(at..at + 1))).expect("text");
        assert_eq!((found.as_str(), quotes), (name, quote), "{text}");
    }

    #[test]
    fn values_stand_under_names() {
        check("V", "", "");
        check("from=V to=b", "from", "");
        check("from=<V> to=b", "from", "");
        check("a=1 then V", "", "");
        check(r#"a="1 V 2" b=c"#, "a", "");
        check(r#"a="1" V"#, "", "");
        check("/x?a=1&b=V&c", "b", "");
        check(r#"{"a":"b","c" : "V"}"#, "c", "");
        check(r#"{"a":{"b":V}}"#, "b", "\"");
        check(r#"{"a":[1, V]}"#, "a", "\"");
        check(r#"{"a":"1, V"}"#, "a", "");
        check(r#"{"a":"b=V"}"#, "b", "");
        check(r#"{"a":"b=1 V"}"#, "a", "");
        check(r#"{"a":"{\"b\":V}"}"#, "b", r#"\""#);
        check(r#"{"a":"x \"y\" V"}"#, "a", "");
        check("1,V,2", "", "");
    }
}
