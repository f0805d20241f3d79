//! Windows events as XML: what `wevtutil`, Windows Event Collector, NXLog and Sysmon for Linux
//! write.
//!
//! Source: Microsoft's event schema (`http://schemas.microsoft.com/win/2004/08/events/event`). The
//! elements become the names that the same event has as JSON, so that one pack reads both.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::escape::{resolve_predefined_entity, unescape};
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::{Context, Format, windows};
use crate::found::{Found, Pair, Val};

/// Elements inside of each other.
const DEPTH_MAX: usize = 16;
/// Pairs listed per record; an event keeps 512 attributes.
const PAIRS_MAX: usize = 4096;
/// Where elements of event data get their names from an attribute.
const DATA: &str = "Event.EventData.";

pub(crate) const FORMAT: Format = Format { name: "windows_xml", looks, read };

fn looks(record: &[u8]) -> bool {
    let record = record.trim_ascii_start();
    record.starts_with(b"<Event ") || record.starts_with(b"<Event>") || record.starts_with(b"<?xml")
}

fn read<'a>(record: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    let mut walk = Walk::default();
    let mut reader = Reader::from_str(record);
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) => walk.open(&element)?,
            Event::Empty(element) => {
                walk.open(&element)?;
                walk.close();
            }
            Event::End(_) => walk.close(),
            Event::Text(text) => walk.text.push_str(&text.decode().ok()?),
            Event::CData(text) => walk.text.push_str(&text.decode().ok()?),
            Event::GeneralRef(reference) => walk.text.push_str(&resolved(&reference)?),
            Event::Eof => break,
            _ => {}
        }
    }
    if !walk.path.is_empty() {
        return None;
    }
    windows::of_pairs(walk.finish(), context)
}

/// `&amp;` and `&#38;`; an entity that a document declares itself stays as it is written.
fn resolved(reference: &BytesRef<'_>) -> Option<String> {
    if let Some(character) = reference.resolve_char_ref().ok()? {
        return Some(character.to_string());
    }
    let name = reference.decode().ok()?;
    Some(match resolve_predefined_entity(&name) {
        Some(text) => text.to_string(),
        None => format!("&{name};"),
    })
}

/// The way through the elements, and what was found on it.
#[derive(Default)]
struct Walk<'a> {
    /// The open elements, joined with dots, and how long each made it.
    path: String,
    lengths: Vec<usize>,
    /// The `Name` of the open element of event data.
    name: Option<String>,
    /// Text of the open element so far.
    text: String,
    pairs: Vec<Pair<'a>>,
    /// Elements of event data without a name.
    unnamed: Vec<String>,
}

impl Walk<'_> {
    fn open(&mut self, element: &BytesStart<'_>) -> Option<()> {
        let local = element.local_name();
        let local = std::str::from_utf8(local.as_ref()).ok()?;
        if self.lengths.len() >= DEPTH_MAX || (self.lengths.is_empty() && local != "Event") {
            return None;
        }
        self.lengths.push(self.path.len());
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(local);
        self.text.clear();
        self.name = None;
        for attribute in element.attributes() {
            let attribute = attribute.ok()?;
            let key = std::str::from_utf8(attribute.key.as_ref()).ok()?;
            let value = unescape(std::str::from_utf8(&attribute.value).ok()?).ok()?;
            match key {
                "Name" if self.path.starts_with(DATA) => self.name = Some(value.into_owned()),
                _ => self.push(format!("{}.#attributes.{key}", self.path), value.into_owned()),
            }
        }
        Some(())
    }

    fn close(&mut self) {
        let text = std::mem::take(&mut self.text);
        match self.name.take() {
            Some(name) => self.push(format!("{DATA}{name}"), text.trim().to_string()),
            None if self.path == "Event.EventData.Data" => self.unnamed.push(text),
            None if text.trim().is_empty() => {}
            None => self.push(self.path.clone(), text.trim().to_string()),
        }
        self.path.truncate(self.lengths.pop().unwrap_or(0));
    }

    fn push(&mut self, name: String, value: String) {
        if self.pairs.len() < PAIRS_MAX {
            self.pairs.push(Pair { name: Cow::Owned(name), value: Val::Text(Cow::Owned(value)) });
        }
    }
}

impl<'a> Walk<'a> {
    /// One unnamed value stands by itself, several as an array, as in the JSON of the same event.
    fn finish(mut self) -> Vec<Pair<'a>> {
        let name = format!("{DATA}Data");
        match self.unnamed.len() {
            0 => {}
            1 => {
                let only = self.unnamed.remove(0);
                self.push(name, only);
            }
            _ => {
                let mut json = String::from("[");
                for (i, text) in self.unnamed.iter().enumerate() {
                    json.push_str(if i > 0 { "," } else { "" });
                    let mut quoted = Vec::new();
                    pugmark_event::json::write_text(text, &mut quoted);
                    json.push_str(&String::from_utf8_lossy(&quoted));
                }
                json.push(']');
                self.pairs.push(Pair { name: name.into(), value: Val::Json(json.into()) });
            }
        }
        self.pairs
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVENT: &str = r#"<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System><Provider Name="Microsoft-Windows-Security-Auditing" Guid="{54849625-5478-4994-a5ba-3e3b0328c30d}"/><EventID>4625</EventID><Level>0</Level><TimeCreated SystemTime="2026-11-23T09:00:00.123456700Z"/><Channel>Security</Channel><Computer>pc1.example</Computer><Security/></System><EventData><Data Name="TargetUserName">an &amp; na</Data><Data Name="IpAddress">192.0.2.1</Data></EventData></Event>"#;

    fn pairs(record: &str) -> Vec<(String, String)> {
        let found = read(record, &Context::at(0));
        let pairs = found.map(|found| found.pairs).unwrap_or_default();
        pairs.iter().map(|p| (p.name.to_string(), p.value.text().to_string())).collect()
    }

    #[test]
    fn elements_get_the_names_that_json_gives_them() {
        let found = pairs(EVENT);
        for (name, value) in [
            ("Provider_Name", "Microsoft-Windows-Security-Auditing"),
            ("EventID", "4625"),
            ("Channel", "Security"),
            ("Computer", "pc1.example"),
            ("TargetUserName", "an & na"),
            ("IpAddress", "192.0.2.1"),
        ] {
            assert!(found.contains(&(name.into(), value.into())), "{name} in {found:?}");
        }
    }

    #[test]
    fn unnamed_data_stays_together() {
        let of = |data: &str| {
            let data = format!("<EventData>{data}</EventData></Event>");
            let start = EVENT.split("<EventData>").next().unwrap();
            let found = pairs(&format!("{start}{data}"));
            found.into_iter().find(|(name, _)| name == "Data").map(|(_, value)| value)
        };
        assert_eq!(of("<Data>a</Data>").as_deref(), Some("a"));
        assert_eq!(of("<Data>a</Data><Data>b\"</Data>").as_deref(), Some("[\"a\",\"b\\\"\"]"));
    }

    #[test]
    fn what_is_no_event_is_refused() {
        let deep = format!("<Event>{}", "<a>".repeat(10_000));
        for record in
            ["<Event", "<Event>", "<Event></Event>", "<other/>", "<Event><a></b></Event>", &deep]
        {
            assert_eq!(pairs(record), [], "{record:.40}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(<Event>)?[<>/&;#a\"= !\\[\\]x1]{0,40}") {
            let _ = read(&text, &Context::at(0));
        }
    }
}
