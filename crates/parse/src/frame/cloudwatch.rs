//! Messages of CloudWatch, which pass on events of one log stream together (Amazon CloudWatch Logs
//! User Guide, "Real-time processing of log data with subscriptions"):
//! `{"messageType":"DATA_MESSAGE", ..., "logGroup":"g","logStream":"s","logEvents":[{...},{...}]}`.
//!
//! Each event becomes a record: the message as it was, with this event alone in its list. So every
//! record says where it is from, and reads like a message of one event. Messages stand one a line,
//! or one behind the other as Firehose puts them into a file; what is none of them is a line.

use super::PIECE_BYTES_MAX;
use super::json::{Objects, string};
use super::lines::Lines;

/// A list begins within this many bytes.
const HEAD_BYTES_MAX: usize = 2048;
/// More blanks at the start of a line are a line.
const BLANKS_BYTES_MAX: usize = 64 << 10;
/// A longer message stays whole; services pass on 1 MiB at most.
const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// What is around the list stands in every record. A message whose records would be more than this
/// many times as long together stays whole; what CloudWatch writes doubles.
pub(super) const GROWTH_MAX: usize = 4;

/// True for a text that begins with a message.
pub(super) fn begins(text: &[u8]) -> bool {
    list_at(text.trim_ascii_start()).is_some()
}

/// Cuts bytes into the events of messages, and lines.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// All that is no object.
    lines: Lines,
    /// The object that has no end yet, and how its end is found.
    object: Vec<u8>,
    walk: Objects,
    /// What the line at hand begins with, if that is nothing else by now.
    blanks: Vec<u8>,
    /// Inside of a line that is no object.
    in_line: bool,
}

impl Messages {
    pub(super) fn feed(&mut self, mut bytes: &[u8], emit: &mut dyn FnMut(&[u8])) {
        while !bytes.is_empty() {
            let used = match self.object.is_empty() && !self.opens(bytes[0]) {
                true => self.feed_line(bytes, emit),
                false => self.feed_object(bytes, emit),
            };
            bytes = &bytes[used..];
        }
    }

    /// True when an object begins with this byte.
    fn opens(&self, byte: u8) -> bool {
        !self.in_line && byte == b'{'
    }

    /// Takes the blanks that a line begins with, or the rest of it.
    fn feed_line(&mut self, bytes: &[u8], emit: &mut dyn FnMut(&[u8])) -> usize {
        if self.in_line {
            let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
            self.in_line = !bytes[..end].ends_with(b"\n");
            self.lines.feed(&bytes[..end], emit);
            return end;
        }
        let count = bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        match bytes.get(count) {
            Some(b'\n') => {
                self.blanks.clear();
                return count + 1;
            }
            Some(b'{') => {}
            next => {
                self.blanks.extend_from_slice(&bytes[..count]);
                if next.is_some() || self.blanks.len() > BLANKS_BYTES_MAX {
                    self.lines.feed(&std::mem::take(&mut self.blanks), emit);
                    self.in_line = true;
                }
            }
        }
        count
    }

    /// Takes an object up to its end. A line that ends before is no message, whatever it begins
    /// with: the lines behind it must not become part of it.
    fn feed_object(&mut self, bytes: &[u8], emit: &mut dyn FnMut(&[u8])) -> usize {
        for (at, byte) in bytes.iter().enumerate() {
            let ended = self.walk.step(*byte);
            if !ended && *byte != b'\n' && self.object.len() + at < PIECE_BYTES_MAX {
                continue;
            }
            self.object.extend_from_slice(&bytes[..=at]);
            self.end_object(ended, emit);
            return at + 1;
        }
        self.object.extend_from_slice(bytes);
        bytes.len()
    }

    fn end_object(&mut self, whole: bool, emit: &mut dyn FnMut(&[u8])) {
        let object = std::mem::take(&mut self.object);
        self.walk = Objects::default();
        self.blanks.clear();
        if whole {
            self.lines.finish(emit);
            if !give_out(&object, emit) {
                emit(&object);
            }
        } else {
            self.in_line = !object.ends_with(b"\n");
            self.lines.feed(&object, emit);
        }
    }

    pub(super) fn finish(&mut self, emit: &mut dyn FnMut(&[u8])) {
        let object = std::mem::take(&mut self.object);
        self.lines.feed(&object, emit);
        self.lines.finish(emit);
        *self = Self::default();
    }
}

/// Gives out a record for each event of a message; false when this is none.
fn give_out(message: &[u8], emit: &mut dyn FnMut(&[u8])) -> bool {
    let Some(list) = list_at(message).filter(|_| message.len() <= MESSAGE_BYTES_MAX) else {
        return false;
    };
    let mut count = 0;
    let end = elements(message, list, |_| {
        count += 1;
        count * list <= message.len() * GROWTH_MAX
    });
    let Some(end) = end else { return false };
    let (head, tail) = (&message[..list], &message[end..]);
    if count == 0 || count * (head.len() + tail.len()) > message.len() * (GROWTH_MAX - 1) {
        return false;
    }
    let mut record = head.to_vec();
    elements(message, list, |event| {
        record.truncate(head.len());
        record.extend_from_slice(event);
        record.extend_from_slice(tail);
        emit(&record);
        true
    });
    true
}

/// Shows the elements of the list that begins at `list`, behind its bracket, as long as `show`
/// wants them, and says where the bracket stands that ends it. `None` without that, or where a list
/// stands in the list: CloudWatch has objects there.
fn elements(text: &[u8], list: usize, mut show: impl FnMut(&[u8]) -> bool) -> Option<usize> {
    let mut walk = Objects::of_list();
    let mut start = list;
    for (at, byte) in text.iter().enumerate().skip(list) {
        if !walk.step(*byte) {
            continue;
        }
        let end = if walk.in_list() { at + 1 } else { at };
        let element = text[start..end].trim_ascii();
        let element = element.strip_suffix(b",").unwrap_or(element).trim_ascii_end();
        if element.starts_with(b"[") || !element.is_empty() && !show(element) {
            return None;
        }
        if !walk.in_list() {
            return Some(at);
        }
        start = at + 1;
    }
    None
}

/// Where the first event stands, behind the bracket of the list. Before it are names whose values
/// are neither objects nor hold any, and one of them is the type of the message.
fn list_at(text: &[u8]) -> Option<usize> {
    let head = &text[..text.len().min(HEAD_BYTES_MAX)];
    let mut rest = head.strip_prefix(b"{")?;
    let mut has_type = false;
    loop {
        let (name, after) = string(rest.trim_ascii_start())?;
        rest = after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        if name == b"logEvents" {
            let list = rest.strip_prefix(b"[").filter(|_| has_type)?;
            return Some(head.len() - list.len());
        }
        has_type |= name == b"messageType";
        rest = after_value(rest)?.trim_ascii_start().strip_prefix(b",")?;
    }
}

/// What follows a value; `None` for an object or an array that holds more than scalars.
fn after_value(text: &[u8]) -> Option<&[u8]> {
    let (mut rest, mut in_array) = (text, false);
    loop {
        rest = rest.trim_ascii_start();
        match rest.first()? {
            b'"' => rest = string(rest)?.1,
            b'[' if !in_array => (rest, in_array) = (&rest[1..], true),
            b',' if in_array => rest = &rest[1..],
            b']' if in_array => return Some(&rest[1..]),
            b'{' | b'[' | b'}' | b']' | b',' | b':' => return None,
            _ => {
                let ends =
                    |byte: &u8| matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace();
                rest = &rest[rest.iter().position(ends)?..];
            }
        }
        if !in_array {
            return Some(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records of a text, whole and byte by byte.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        for step in [text.len().max(1), 1] {
            let (mut messages, mut records) = (Messages::default(), Vec::new());
            let mut emit = |record: &[u8]| {
                records.push(String::from_utf8_lossy(record).into_owned());
            };
            text.as_bytes().chunks(step).for_each(|part| messages.feed(part, &mut emit));
            messages.finish(&mut emit);
            assert_eq!(records, expected, "{text}");
        }
    }

    const ONE: &str = r#"{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1","message":"x"}]}"#;
    const TWO: &str = r#"{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1","message":"x"},{"id":"2","message":"y"}]}"#;
    const SECOND: &str = r#"{"messageType":"DATA_MESSAGE","logEvents":[{"id":"2","message":"y"}]}"#;

    #[test]
    fn each_event_is_a_record() {
        check(
            r#"{"messageType":"DATA_MESSAGE","logStream":"{a}\"logEvents","subscriptionFilters":["]{"],"n":5,"logEvents":[{"id":"1","message":"]}, \""}, {"id":"2","message":"a long one"},5 ],"x":[1]}"#,
            &[
                r#"{"messageType":"DATA_MESSAGE","logStream":"{a}\"logEvents","subscriptionFilters":["]{"],"n":5,"logEvents":[{"id":"1","message":"]}, \""}],"x":[1]}"#,
                r#"{"messageType":"DATA_MESSAGE","logStream":"{a}\"logEvents","subscriptionFilters":["]{"],"n":5,"logEvents":[{"id":"2","message":"a long one"}],"x":[1]}"#,
                r#"{"messageType":"DATA_MESSAGE","logStream":"{a}\"logEvents","subscriptionFilters":["]{"],"n":5,"logEvents":[5],"x":[1]}"#,
            ],
        );
        check(&format!("{TWO}{TWO}\n{TWO}"), &[ONE, SECOND, ONE, SECOND, ONE, SECOND]);
        check(&format!(" \r\n {TWO} \n\n {ONE}"), &[ONE, SECOND, ONE]);
    }

    #[test]
    fn what_is_no_message_stays_whole() {
        for text in [
            r#"{"messageType":"DATA_MESSAGE","logEvents":[]}"#,
            r#"{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1"}"#,
            r#"{"messageType":"DATA_MESSAGE","logEvents":"[]"}"#,
            r#"{"messageType":"DATA_MESSAGE","logEvents":[[1,2],[3]]}"#,
            r#"{"messageType":"DATA_MESSAGE","a":{"logEvents":[{"id":"1"},{"id":"2"}]}}"#,
            r#"{"messageType":"DATA_MESSAGE","a":[[1]],"logEvents":[{"id":"1"},{"id":"2"}]}"#,
            r#"{"logEvents":[{"id":"1"},{"id":"2"}]}"#,
            r#"[{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1"},{"id":"2"}]}]"#,
            r#"{"messageType":"DATA_MESSAGE","logEvents":[5,5,5,5,5,5,5,5,5,5,5]}"#,
        ] {
            check(text, &[text]);
        }
        check("", &[]);
    }

    #[test]
    fn what_is_no_object_is_a_line() {
        check(&format!("{TWO}\na, b [c] {{\n{ONE}\n"), &[ONE, SECOND, "a, b [c] {", ONE]);
        check(&format!("{TWO} and more\n\tb\n\n"), &[ONE, SECOND, " and more\n\tb"]);
        // A message that was cut off takes no other with it.
        let cut = &TWO[..TWO.len() - 9];
        check(&format!("{cut}\n{TWO}\n{cut}"), &[cut, ONE, SECOND, cut]);
    }
}
