//! Messages of CloudWatch, which pass on events of one log stream together (Amazon CloudWatch Logs
//! User Guide, "Real-time processing of log data with subscriptions"):
//! `{"messageType":"DATA_MESSAGE", ..., "logGroup":"g","logStream":"s","logEvents":[{...},{...}]}`.
//!
//! Each event becomes a record: the message as it was, with this event alone in its list. So every
//! record says where it is from, and reads like a message of one event.

use memchr::memmem;

use super::json::Objects;

/// The list begins within this many bytes.
const HEAD_BYTES_MAX: usize = 2048;
/// What is around the list stands in every record; a message whose records would be this many
/// times as long together is none of CloudWatch and stays whole.
const GROWTH_MAX: usize = 8;

/// True for a text that begins with a message.
pub(super) fn begins(text: &[u8]) -> bool {
    list_at(text).is_some()
}

/// Gives out a record for each event of a message; false when this is none.
pub(super) fn give_out(message: &[u8], emit: &mut dyn FnMut(&[u8])) -> bool {
    let Some(Message { head, events, tail }) = Message::of(message) else { return false };
    let around = head.len() + tail.len();
    if events.len() * around > message.len() * GROWTH_MAX {
        return false;
    }
    for event in &events {
        emit(&[head, event, tail].concat());
    }
    true
}

/// A message, taken apart.
struct Message<'m> {
    /// Up to the list, with its bracket.
    head: &'m [u8],
    events: Vec<&'m [u8]>,
    /// From the bracket that ends it.
    tail: &'m [u8],
}

impl<'m> Message<'m> {
    /// `None` unless there is a list with an end and something in it.
    fn of(text: &'m [u8]) -> Option<Self> {
        let list = list_at(text)?;
        let mut elements = Objects::of_list();
        let (mut events, mut start) = (Vec::new(), list);
        for (at, byte) in text.iter().enumerate().skip(list) {
            if !elements.step(*byte) {
                continue;
            }
            let end = if elements.in_list() { at + 1 } else { at };
            let event = text[start..end].trim_ascii();
            let event = event.strip_suffix(b",").unwrap_or(event).trim_ascii_end();
            events.extend((!event.is_empty()).then_some(event));
            start = at + 1;
            if !elements.in_list() {
                let is_full = !events.is_empty();
                return is_full.then_some(Self { head: &text[..list], events, tail: &text[at..] });
            }
        }
        None
    }
}

/// Where the first event stands, behind the bracket of the list.
fn list_at(text: &[u8]) -> Option<usize> {
    let head = &text[..text.len().min(HEAD_BYTES_MAX)];
    let inner = head.strip_prefix(b"{")?;
    let name = memmem::find(inner, b"\"logEvents\"")?;
    let (before, rest) = inner.split_at(name);
    let rest = rest[b"\"logEvents\"".len()..].trim_ascii_start().strip_prefix(b":")?;
    let list = rest.trim_ascii_start().strip_prefix(b"[")?;
    // A list further inside is another one.
    let is_message = memmem::find(before, b"\"messageType\"").is_some() && !before.contains(&b'{');
    is_message.then(|| head.len() - list.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records of a message; none where it stays whole.
    #[track_caller]
    fn check(message: &str, expected: &[&str]) {
        let mut records = Vec::new();
        let spread = give_out(message.as_bytes(), &mut |record| {
            records.push(String::from_utf8_lossy(record).into_owned());
        });
        assert_eq!(records, expected);
        assert_eq!(spread, !expected.is_empty());
    }

    #[test]
    fn each_event_is_a_record() {
        check(
            r#"{"messageType":"DATA_MESSAGE","logGroup":"g","logEvents":[{"id":"1","message":"]}, \""}, {"id":"2"},5 ],"x":[1]}"#,
            &[
                r#"{"messageType":"DATA_MESSAGE","logGroup":"g","logEvents":[{"id":"1","message":"]}, \""}],"x":[1]}"#,
                r#"{"messageType":"DATA_MESSAGE","logGroup":"g","logEvents":[{"id":"2"}],"x":[1]}"#,
                r#"{"messageType":"DATA_MESSAGE","logGroup":"g","logEvents":[5],"x":[1]}"#,
            ],
        );
        check(
            "{ \"messageType\" : \"DATA_MESSAGE\",\n\"logEvents\" : [\n{\"id\":\"1\"}\n]\n}",
            &["{ \"messageType\" : \"DATA_MESSAGE\",\n\"logEvents\" : [{\"id\":\"1\"}]\n}"],
        );
    }

    #[test]
    fn what_is_no_message_stays_whole() {
        for text in [
            r#"{"messageType":"DATA_MESSAGE","logEvents":[]}"#,
            r#"{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1"}"#,
            r#"{"messageType":"DATA_MESSAGE","logEvents":"[]"}"#,
            r#"{"a":{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1"}]}}"#,
            r#"{"logEvents":[{"id":"1"}]}"#,
            r#"[{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1"}]}]"#,
            "",
        ] {
            check(text, &[]);
        }
        // Records that would be many times as long as the message.
        let bomb = format!(r#"{{"messageType":"x","logEvents":[{}5]}}"#, "5,".repeat(1000));
        check(&bomb, &[]);
    }
}
