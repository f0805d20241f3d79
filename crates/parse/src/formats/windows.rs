//! Windows events as JSON, in all the shapes in which they travel: nested
//! `{"Event":{"System":..,"EventData":..}}` of EVTX tools, Winlogbeat's `winlog.*`, and the flat
//! objects of NXLog and of published data sets.
//!
//! Whatever the shape, the same native names come out, as Sigma rules use them: `EventID`,
//! `Channel`, `Provider_Name`, `Computer`, and the names of the event data without blanks.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use pugmark_event::{FieldId, Severity, fields};

use super::json::{self, severity_field};
use super::{Context, Format};
use crate::found::{Found, Pair, Val};
use crate::time::Stamp;

pub(crate) const FORMAT: Format = Format { name: "windows", looks, read };

/// Elements of one array of event data that get names of their own.
const ELEMENTS_MAX: usize = 512;

/// Where tools that turn XML into JSON put the name of an element of event data, and its text.
const NAMES: &[&str] = &["#attributes.Name", "@Name", "Name"];
const TEXTS: &[&str] = &["#text", "text", "Value"];

/// Names that hold the event's time, best first.
const TIMES: &[&str] = &["TimeCreated", "SystemTime", "@timestamp"];
/// The time that Sysmon writes into its event data; it names no zone and is UTC.
const UTC_TIME: &str = "UtcTime";
/// The others.
const LOCAL_TIMES: &[&str] = &["EventTime", "timestamp"];

/// The header of an event under the names that the nested shapes have for it.
const HEADER: &[(&str, &str)] = &[
    ("Provider.#attributes.Name", "Provider_Name"),
    ("Provider.Name", "Provider_Name"),
    ("Provider_attributes.Name", "Provider_Name"),
    ("Provider.@Name", "Provider_Name"),
    ("Provider.#attributes.Guid", "Provider_Guid"),
    ("Provider.#attributes.EventSourceName", "Provider_EventSourceName"),
    ("EventID.#text", "EventID"),
    ("EventID.#attributes.Qualifiers", "Qualifiers"),
    ("TimeCreated.#attributes.SystemTime", "TimeCreated"),
    ("TimeCreated.SystemTime", "TimeCreated"),
    ("TimeCreated.@SystemTime", "TimeCreated"),
    ("TimeCreated_attributes.SystemTime", "TimeCreated"),
    ("Execution.#attributes.ProcessID", "Execution_ProcessID"),
    ("Execution.#attributes.ThreadID", "Execution_ThreadID"),
    ("Correlation.#attributes.ActivityID", "Correlation_ActivityID"),
    ("Correlation.#attributes.RelatedActivityID", "Correlation_RelatedActivityID"),
    ("Security.#attributes.UserID", "Security_UserID"),
];

/// Winlogbeat's names for the same.
const WINLOGBEAT: &[(&str, &str)] = &[
    ("winlog.event_id", "EventID"),
    ("winlog.channel", "Channel"),
    ("winlog.provider_name", "Provider_Name"),
    ("winlog.provider_guid", "Provider_Guid"),
    ("winlog.computer_name", "Computer"),
    ("winlog.record_id", "EventRecordID"),
    ("winlog.task", "Task"),
    ("winlog.opcode", "Opcode"),
    ("winlog.keywords", "Keywords"),
    ("winlog.version", "Version"),
    ("winlog.activity_id", "Correlation_ActivityID"),
    ("winlog.process.pid", "Execution_ProcessID"),
    ("winlog.process.thread.id", "Execution_ThreadID"),
    ("message", "Message"),
];

/// The same in Winlogbeat before version 7, which had no prefix.
const WINLOGBEAT_6: &[(&str, &str)] = &[
    ("event_id", "EventID"),
    ("log_name", "Channel"),
    ("source_name", "Provider_Name"),
    ("provider_guid", "Provider_Guid"),
    ("computer_name", "Computer"),
    ("record_number", "EventRecordID"),
    ("task", "Task"),
    ("opcode", "Opcode"),
    ("keywords", "Keywords"),
    ("version", "Version"),
    ("activity_id", "Correlation_ActivityID"),
    ("process_id", "Execution_ProcessID"),
    ("thread_id", "Execution_ThreadID"),
    ("message", "Message"),
];

/// The same in what Wazuh's agent sends.
const WAZUH: &[(&str, &str)] = &[
    ("providerName", "Provider_Name"),
    ("providerGuid", "Provider_Guid"),
    ("systemTime", "TimeCreated"),
    ("processID", "Execution_ProcessID"),
    ("threadID", "Execution_ThreadID"),
];

/// Who wrote the record rather than whom it is about: these yield to the event data.
const ENVELOPE: &[(&str, FieldId)] = &[
    ("AccountName", fields::USER_NAME),
    ("UserID", fields::USER_ID),
    ("Hostname", fields::HOST_NAME),
    ("host.name", fields::HOST_NAME),
];

/// A record without one of these is no Windows event.
static MARKS: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| ["\"EventID\"", "\"event_id\"", "\"winlog.event_id\""].map(Finder::new));

fn looks(record: &[u8]) -> bool {
    record.first() == Some(&b'{') && MARKS.iter().any(|mark| mark.find(record).is_some())
}

fn read<'a>(record: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    let mut flat = Found::new("windows");
    json::flatten(record, &mut flat)?;
    of_beat(&mut flat.pairs);
    let mut found = of_pairs(flat.pairs, context)?;
    found.issues.extend(flat.issues);
    Some(found)
}

/// Gives names of Winlogbeat 6 those of its successors, if they are its names.
fn of_beat(pairs: &mut [Pair<'_>]) {
    let has = |name: &str| pairs.iter().any(|pair| pair.name == name);
    if has("event_id") && has("log_name") && has("computer_name") {
        pairs.iter_mut().for_each(of_winlogbeat_6);
    }
}

/// An event of its flattened names; `None` when it is none of Windows.
pub(super) fn of_pairs<'a>(pairs: Vec<Pair<'a>>, context: &Context<'_>) -> Option<Found<'a>> {
    let mut found = Found::new("windows");
    found.pairs.reserve(pairs.len());
    for pair in pairs {
        native(pair, &mut found);
    }
    is_event(&found).then(|| of_natives(found.pairs, context))
}

/// True for the names of an event.
fn is_event(found: &Found<'_>) -> bool {
    let wheres = ["Channel", "Provider_Name", "SourceName", "Computer"];
    found.pair("EventID").is_some() && wheres.iter().any(|name| found.pair(name).is_some())
}

/// What becomes of the values of flattened records that have the same names, as [`of_pairs`] and
/// [`of_natives`] would have it. A slot is the place of a value in the record.
#[derive(Debug, Default)]
pub(super) struct Natives {
    /// Slots that may hold the time, best first, and whether it is UTC.
    times: Vec<(usize, bool)>,
    level: Option<usize>,
    message: Option<usize>,
    envelope: Vec<(usize, &'static str, FieldId)>,
    /// All others that say something, and those of `times`, with their native names.
    pairs: Vec<(usize, String)>,
    /// Slots whose value is taken apart if it is an array.
    arrays: Vec<usize>,
}

impl Natives {
    /// Of a record that `looks` like an event of Windows, or does not; `None` when it is none.
    ///
    /// # Errors
    /// When it hangs on the values whether it is an event.
    pub(super) fn of(looks: bool, pairs: &[Pair<'_>]) -> Result<Option<Self>, ValuesDecide> {
        let mut flat = pairs.to_vec();
        of_beat(&mut flat);
        let mut found = Found::new("windows");
        let mut natives = Self::default();
        for (slot, Pair { name, .. }) in flat.into_iter().enumerate() {
            let mut probe = Found::new("windows");
            native(Pair { name: name.clone(), value: Val::Json("[]".into()) }, &mut probe);
            if probe.pairs.is_empty() {
                natives.arrays.push(slot);
            }
            native(Pair { name, value: Val::Null }, &mut found);
            if let Some(pair) = found.pairs.get(natives.pairs.len()) {
                natives.pairs.push((slot, pair.name.to_string()));
            }
        }
        match (is_event(&found), looks) {
            (false, _) => return Ok(None),
            (true, false) => return Err(ValuesDecide),
            (true, true) => {}
        }
        let slot =
            |name: &str| natives.pairs.iter().find(|(_, own)| own == name).map(|(at, _)| *at);
        let times = TIMES.iter().chain([&UTC_TIME]).chain(LOCAL_TIMES);
        natives.times = times.filter_map(|name| Some((slot(name)?, *name == UTC_TIME))).collect();
        (natives.level, natives.message) = (slot("Level"), slot("Message"));
        natives.envelope =
            ENVELOPE.iter().filter_map(|(name, id)| Some((slot(name)?, *name, *id))).collect();
        let apart: Vec<usize> =
            natives.envelope.iter().map(|(slot, ..)| *slot).chain(natives.message).collect();
        natives.pairs.retain(|(slot, _)| !apart.contains(slot));
        Ok(Some(natives))
    }

    /// False when one of the values is an array that is taken apart.
    pub(super) fn takes(&self, values: &[Val<'_>]) -> bool {
        !self.arrays.iter().any(|slot| matches!(values[*slot], Val::Json(_)))
    }

    /// The event of these values, which are taken.
    pub(super) fn event<'s, 'a: 's>(
        &'s self,
        values: &mut [Val<'a>],
        context: &Context<'_>,
    ) -> Found<'s> {
        let mut found = Found { product: "windows", ..Found::new("windows") };
        let time = self.times.iter().find_map(|(slot, is_utc)| {
            let stamp = json::written_time(&values[*slot], context)?;
            Some((*slot, if *is_utc { stamp.in_utc() } else { stamp }))
        });
        found.stamp = time.map(|(_, stamp)| stamp);
        if let Some(severity) = self.level.and_then(|slot| severity(values[slot].text())) {
            found.fields.push(severity_field(severity));
        }
        let mut take = |slot: usize| std::mem::replace(&mut values[slot], Val::Null);
        if let Some(Val::Text(message)) = self.message.map(&mut take) {
            found.message = Some(message);
        }
        found
            .envelope
            .extend(self.envelope.iter().map(|(slot, name, id)| (*id, *name, take(*slot))));
        let taken = time.map(|(slot, _)| slot);
        found.pairs.reserve(self.pairs.len());
        for (slot, name) in self.pairs.iter().filter(|(slot, _)| Some(*slot) != taken) {
            found.pairs.push(Pair { name: Cow::Borrowed(name), value: take(*slot) });
        }
        found
    }
}

/// A value that is a name decides what a record is.
#[derive(Debug)]
pub(super) struct ValuesDecide;

/// An event of its native names.
fn of_natives<'a>(pairs: Vec<Pair<'a>>, context: &Context<'_>) -> Found<'a> {
    let mut found = Found { product: "windows", pairs, ..Found::new("windows") };
    found.stamp = json::take_time(&mut found, TIMES, context)
        .or_else(|| json::take_time(&mut found, &[UTC_TIME], context).map(Stamp::in_utc))
        .or_else(|| json::take_time(&mut found, LOCAL_TIMES, context));
    if let Some(severity) = found.pair("Level").and_then(|level| severity(level.text())) {
        found.fields.push(severity_field(severity));
    }
    if let Some(Val::Text(message)) = found.take("Message") {
        found.message = Some(message);
    }
    for (name, id) in ENVELOPE {
        if let Some(value) = found.take(name) {
            found.envelope.push((*id, name, value));
        }
    }
    found
}

/// An event as Wazuh's agent has it: `win.system.eventID`, `win.eventdata.targetUserName`.
pub(super) fn of_wazuh<'a>(mut pairs: Vec<Pair<'a>>, context: &Context<'_>) -> Option<Found<'a>> {
    for pair in &mut pairs {
        let name = pair.name.strip_prefix("data.").unwrap_or(&pair.name);
        let inner = name.strip_prefix("win.").and_then(|name| {
            name.strip_prefix("system.").or_else(|| name.strip_prefix("eventdata."))
        });
        let Some(inner) = inner else { continue };
        let named = WAZUH.iter().find(|(theirs, _)| *theirs == inner);
        pair.name = match named {
            Some((_, native)) => Cow::Borrowed(native),
            None => Cow::Owned(capitalized(inner)),
        };
    }
    of_pairs(pairs, context)
}

fn capitalized(name: &str) -> String {
    let mut name = name.to_string();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    name
}

fn of_winlogbeat_6(pair: &mut Pair<'_>) {
    if let Some(name) = pair.name.strip_prefix("event_data.") {
        pair.name = Cow::Owned(name.to_string());
    } else if let Some((_, native)) = WINLOGBEAT_6.iter().find(|(theirs, _)| *theirs == pair.name) {
        pair.name = Cow::Borrowed(native);
    }
}

/// Gives a flattened pair its native name.
fn native<'a>(pair: Pair<'a>, found: &mut Found<'a>) {
    let Pair { name, value } = pair;
    // Most names are flat, and their first letter says so.
    if !matches!(name.as_bytes().first(), Some(b'E' | b'U' | b'e' | b'w' | b'm')) {
        return push(without_blanks(name), value, found);
    }
    if let Some(at) = section(&name, "EventData.").or_else(|| section(&name, "UserData.")) {
        return data(&name[at..], value, found);
    }
    if name == "event.action" {
        // Winlogbeat's name of the task; the pack knows what was done.
        return push(Cow::Borrowed("winlog.task_name"), value, found);
    }
    let is_flat = !name.starts_with("Event.") && !name.starts_with("winlog.") && name != "message";
    if is_flat {
        return push(without_blanks(name), value, found);
    }
    if let Some(at) = section(&name, "Event.System.") {
        let short = &name[at..];
        let named = HEADER.iter().find(|(long, _)| *long == short).map(|(_, native)| *native);
        return match named {
            Some(native) => push(Cow::Borrowed(native), value, found),
            None => push(Cow::Owned(short.replace(".#attributes.", "_")), value, found),
        };
    }
    if let Some(at) = section(&name, "Event.EventData.") {
        return data(&name[at..], value, found);
    }
    if let Some(at) = section(&name, "Event.UserData.") {
        // One wrapper element, whose name varies, stands around the data.
        let inner = &name[at..];
        return match inner.split_once('.') {
            Some((_, inner)) => data(inner, value, found),
            None => data(inner, value, found),
        };
    }
    let beat = section(&name, "winlog.event_data.");
    if let Some(at) = beat.or_else(|| section(&name, "winlog.user_data.")) {
        return data(&name[at..], value, found);
    }
    if let Some((_, native)) = WINLOGBEAT.iter().find(|(long, _)| *long == name) {
        return push(Cow::Borrowed(native), value, found);
    }
    match section(&name, "Event.RenderingInfo.") {
        Some(at) if &name[at..] == "Message" => push(Cow::Borrowed("Message"), value, found),
        // The XML namespace says nothing.
        _ if name == "Event.#attributes.xmlns" => {}
        _ => push(without_blanks(name), value, found),
    }
}

fn section(name: &str, prefix: &str) -> Option<usize> {
    name.starts_with(prefix).then_some(prefix.len())
}

/// One element of the event data. Unnamed elements come as `Data`, several of them as an array.
fn data<'a>(name: &str, value: Val<'a>, found: &mut Found<'a>) {
    let name = name.strip_suffix(".#text").unwrap_or(name);
    if name.ends_with("#attributes.xmlns") || name.contains("#attributes.xmlns:") {
        return;
    }
    // Names that are elements of `Data` in the JSON of some tools.
    let name = name
        .strip_prefix("Data.")
        .filter(|inner| !inner.starts_with('#') && !is_of_element(inner))
        .unwrap_or(name);
    let name = name.replace("#attributes.", "");
    match value {
        Val::Json(Cow::Borrowed(json)) if json.starts_with('[') => array(&name, json, found),
        value => push(without_blanks(Cow::Owned(name)), value, found),
    }
}

/// An array: elements with names of their own go by them; unnamed ones stay one array under one
/// name, since a rule about `Data` means any of them.
fn array<'a>(name: &str, json: &'a str, found: &mut Found<'a>) {
    let mut unnamed = false;
    for element in json::elements(json).into_iter().take(ELEMENTS_MAX) {
        let mut inner = Found::new("");
        let is_object = match &element {
            Val::Json(Cow::Borrowed(text)) => json::flatten(text, &mut inner).is_some(),
            _ => false,
        };
        let own = NAMES.iter().find_map(|n| inner.take(n)).filter(|_| is_object);
        let text = TEXTS.iter().find_map(|n| inner.take(n));
        match own {
            Some(own) => {
                let own = Cow::Owned(own.text().to_string());
                push(without_blanks(own), text.unwrap_or(Val::Null), found);
            }
            None => unnamed = true,
        }
    }
    if unnamed {
        push(Cow::Owned(name.to_string()), Val::Json(Cow::Borrowed(json)), found);
    }
}

/// True for what an element of event data has itself, as [`NAMES`] and [`TEXTS`] list it.
fn is_of_element(name: &str) -> bool {
    NAMES.contains(&name) || TEXTS.contains(&name)
}

/// Defender writes `Threat Name`; rules ask for `ThreatName`.
fn without_blanks(name: Cow<'_, str>) -> Cow<'_, str> {
    match memchr::memchr(b' ', name.as_bytes()) {
        Some(_) => Cow::Owned(name.replace(' ', "")),
        None => name,
    }
}

fn push<'a>(name: Cow<'a, str>, value: Val<'a>, found: &mut Found<'a>) {
    found.pairs.push(Pair { name, value });
}

/// Windows levels: 1 critical to 5 verbose, 0 for audit events.
fn severity(level: &str) -> Option<Severity> {
    Some(match level {
        "0" | "4" | "5" => Severity::Informational,
        "1" => Severity::Critical,
        "2" => Severity::High,
        "3" => Severity::Medium,
        _ => return Severity::from_log_level(level),
    })
}
