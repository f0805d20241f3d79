//! What shippers and daemons make of a line of syslog: its program, process id, host and text under
//! names of their own; and texts that are a record in the wrap of a cloud.
//!
//! A name such as `program` may be anybody's, so it is believed only beside a text and beside
//! another name of the same shipper. Sources: rsyslog's and syslog-ng's JSON templates, the syslog
//! inputs of Fluentd, Fluent Bit, Logstash and Vector, Elastic Common Schema, GELF's specification,
//! Microsoft's table `Syslog`.

use std::borrow::Cow;

use pugmark_event::{FieldId, Severity, fields};

use super::super::syslog::{body, set_priority};
use super::super::{Context, NOT_UNDERSTOOD, merge, read, windows};
use super::{elements, flatten, is_text, severity_field, take_first, take_time};
use crate::found::{Found, Pair, Val};

/// The names that one shipper has.
struct Names {
    program: &'static str,
    /// Of these one stands beside it; none are named where the program's name is sure enough.
    beside: &'static [&'static str],
    /// Of these none does.
    without: &'static [&'static str],
    pid: &'static str,
    host: &'static str,
    /// Names of the text, beside those that all programs have.
    texts: &'static [&'static str],
}

const NONE: Names = Names { program: "", beside: &[], without: &[], pid: "", host: "", texts: &[] };

const SHIPPERS: [Names; 10] = [
    Names { program: "ident", pid: "pid", ..NONE },
    Names {
        program: "appname",
        beside: &["procid", "hostname", "facility"],
        pid: "procid",
        host: "hostname",
        ..NONE
    },
    Names { program: "program", beside: &["logsource"], pid: "pid", host: "logsource", ..NONE },
    Names {
        program: "programname",
        beside: &["procid", "syslogtag", "hostname", "host", "fromhost"],
        pid: "procid",
        host: "fromhost",
        ..NONE
    },
    // Who watches processes has more to say of them than syslog has.
    Names {
        program: "process.name",
        beside: &["host.hostname", "host.name"],
        without: &[
            "process.executable",
            "process.entity_id",
            "process.args",
            "process.command_line",
        ],
        host: "host.hostname",
        ..NONE
    },
    Names {
        program: "_application_name",
        beside: &["short_message", "full_message"],
        pid: "_process_id",
        texts: &["full_message"],
        ..NONE
    },
    Names { program: "syslog_identifier", pid: "_pid", host: "_hostname", ..NONE },
    Names {
        program: "syslog_program",
        pid: "syslog_pid",
        host: "syslog_hostname",
        texts: &["syslog_message"],
        ..NONE
    },
    Names {
        program: "ProcessName",
        beside: &["SyslogMessage"],
        pid: "ProcessID",
        host: "HostName",
        texts: &["SyslogMessage"],
        ..NONE
    },
    Names {
        program: "PROGRAM",
        beside: &["HOST", "PID", "FACILITY"],
        pid: "PID",
        host: "HOST",
        ..NONE
    },
];

/// What one look at the names says.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    /// The place in [`SHIPPERS`].
    shipper: Option<usize>,
    /// A text that may be a record.
    text: Option<&'static str>,
    /// Records in a list.
    events: bool,
    /// A Windows event.
    windows: bool,
    /// Splunk's collector puts what it collects into `event`.
    splunk: bool,
    /// Wazuh's modules put what they collect under the name of the module.
    integration: bool,
}

impl Marks {
    pub(super) fn of<'n>(names: impl Iterator<Item = &'n str> + Clone) -> Self {
        let mut marks = Self::default();
        let mut event = false;
        for name in names.clone() {
            match name {
                "ident" => marks.shipper = Some(0),
                "appname" => marks.shipper = Some(1),
                "program" => marks.shipper = Some(2),
                "programname" => marks.shipper = Some(3),
                "process.name" => marks.shipper = marks.shipper.or(Some(4)),
                "_application_name" => marks.shipper = Some(5),
                "syslog_identifier" => marks.shipper = Some(6),
                "syslog_program" => marks.shipper = Some(7),
                "ProcessName" => marks.shipper = Some(8),
                "PROGRAM" => marks.shipper = Some(9),
                "event.original" => marks.text = Some("event.original"),
                "textPayload" => marks.text = Some("textPayload"),
                "jsonPayload.message" => marks.text = Some("jsonPayload.message"),
                "logEvents" => marks.events = true,
                "AuditData" => marks.text = Some("AuditData"),
                "event" => event = true,
                "win.system.eventID" | "data.win.system.eventID" => marks.windows = true,
                "sourcetype" => marks.splunk = true,
                "integration" => marks.integration = true,
                _ => {}
            }
        }
        if marks.splunk && event {
            marks.text = Some("event");
        }
        let has = |wanted: &&str| names.clone().any(|name| name == *wanted);
        marks.shipper = marks.shipper.filter(|at| {
            let Names { beside, without, .. } = &SHIPPERS[*at];
            (beside.is_empty() || beside.iter().any(has)) && !without.iter().any(has)
        });
        marks
    }

    /// True when the names mean nothing here.
    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// Takes off the name that all names of a wrapped object begin with; true if it did.
pub(super) fn strip(marks: Marks, found: &mut Found<'_>) -> bool {
    if !marks.splunk && !marks.integration {
        return false;
    }
    // Zscaler's own feeds have the same form; its names are known with what they stand in.
    let is_zscaler = |value: &Val<'_>| value.text().starts_with("zscaler");
    if found.pair("sourcetype").is_some_and(is_zscaler) {
        return false;
    }
    let integration = || found.pair("integration").map_or("", Val::text);
    let prefix = if marks.splunk { "event" } else { integration() };
    let prefix = [prefix, "."].concat();
    if prefix == "." {
        return false;
    }
    let mut any = false;
    for pair in &mut found.pairs {
        if let Some(name) = pair.name.strip_prefix(&prefix) {
            pair.name = Cow::Owned(name.to_string());
            any = true;
        }
    }
    any
}

/// A Windows event as Wazuh's agent reads it, or as Splunk's collector passes it on. What Wazuh's
/// rules say of one is an alert.
pub(super) fn windows_event<'a>(
    marks: Marks,
    found: &mut Found<'a>,
    context: &Context<'_>,
) -> Option<Found<'a>> {
    if marks.splunk && found.pair("EventID").is_some() {
        return windows::of_pairs(found.pairs.clone(), context);
    }
    if !marks.windows || found.pair("rule.id").is_some() {
        return None;
    }
    windows::of_wazuh(found.pairs.clone(), context)
}

/// Gives the names of a shipper their meaning, and reads the text in turn; `None` when there is no
/// text that could be somebody's.
pub(super) fn open<'a>(
    marks: Marks,
    found: &mut Found<'a>,
    context: &Context<'_>,
) -> Option<Found<'a>> {
    if marks.events {
        first_event(found, context);
    }
    if let Some(names) = marks.shipper.map(|at| &SHIPPERS[at])
        && interpret(names, found, context)
    {
        return Some(opened(std::mem::take(found), context));
    }
    let name = marks.text.filter(|_| found.message.is_none())?;
    wrapped(name, found, context)
}

/// A record in a text of a cloud or of a shipper that keeps what it read.
fn wrapped<'a>(
    name: &'static str,
    found: &mut Found<'a>,
    context: &Context<'_>,
) -> Option<Found<'a>> {
    let text = found.pair(name).filter(|value| is_text(value))?.text();
    let deeper = super::super::deeper(context)?;
    let mut inner = read(text, None, &deeper).into_owned();
    let is_known = !inner.issues.contains(&NOT_UNDERSTOOD);
    if matches!(name, "event.original" | "AuditData") && !is_known {
        return None;
    }
    let text = take_first(found, &[name], is_text)?.text().to_string();
    if !is_known {
        found.message = Some(Cow::Owned(text));
        return None;
    }
    inner.message = inner.message.or(Some(Cow::Owned(text)));
    Some(merge(std::mem::take(found), inner, ""))
}

/// The first of the events that CloudWatch passes on together; the list keeps them all.
fn first_event(found: &mut Found<'_>, context: &Context<'_>) {
    let Some(Val::Json(list)) = found.pair("logEvents") else { return };
    let mut event = Found::new("");
    let Some(Val::Json(first)) = elements(list).into_iter().next() else { return };
    if flatten(&first, &mut event).is_none() {
        return;
    }
    let mut event = event.into_owned();
    let stamp = take_time(&mut event, &["timestamp"], context);
    if let Some(message) = take_first(&mut event, &["message"], is_text) {
        found.stamp = stamp.or(found.stamp);
        found.message = Some(Cow::Owned(message.text().to_string()));
    }
}

/// Names the program and what is known of it; false when there is no text beside it.
fn interpret(names: &Names, found: &mut Found<'_>, context: &Context<'_>) -> bool {
    if !found.pair(names.program).is_some_and(is_text) {
        return false;
    }
    if let Some(text) = take_first(found, names.texts, is_text) {
        let text = Cow::Owned(text.text().to_string());
        if found.message.is_none() || names.program == "ProcessName" {
            found.message = Some(text);
        } else {
            found.pairs.push(Pair { name: names.texts[0].into(), value: Val::Text(text) });
        }
    }
    if found.message.is_none() {
        return false;
    }
    let program = found.pair(names.program).map_or("", Val::text).to_string();
    found.program = Some(Cow::Owned(program));
    into_envelope(fields::PROCESS_NAME, names.program, found);
    into_envelope(fields::PROCESS_PID, names.pid, found);
    into_envelope(fields::HOST_NAME, names.host, found);
    // rsyslog's templates name the process id in the tag alone.
    let tag = found.pair("syslogtag").map(Val::text);
    let pid = tag.and_then(|tag| tag.split_once('[')?.1.split(']').next());
    if let Some(pid) = pid.filter(|pid| is_number(pid)).map(str::to_string) {
        found.envelope.push((fields::PROCESS_PID, "", Val::Number(Cow::Owned(pid))));
    }
    if found.stamp.is_none() {
        found.stamp = take_time(found, &["TimeGenerated", "EventTime", "DATE", "ISODATE"], context);
    }
    level(found);
    true
}

/// Moves a value to where it yields to what the text says itself.
fn into_envelope(id: FieldId, name: &'static str, found: &mut Found<'_>) {
    // A name of ECS has its column already.
    if fields::by_ecs_name(name).is_some() || name.is_empty() {
        return;
    }
    let fits = |value: &Val<'_>| match id {
        fields::PROCESS_PID => is_number(value.text()),
        _ => is_text(value),
    };
    if !found.pair(name).is_some_and(fits) {
        return;
    }
    let value = match found.take(name) {
        Some(Val::Text(text)) if id == fields::PROCESS_PID => Val::Number(text),
        Some(value) => value,
        None => return,
    };
    found.envelope.push((id, name, value));
}

fn is_number(text: &str) -> bool {
    pugmark_event::value::exact_integer(text).is_some()
}

/// The levels and priorities of syslog, as numbers or as Microsoft's words.
fn level(found: &mut Found<'_>) {
    let digit = |text: &str| text.parse::<u8>().ok().filter(|number| *number < 8);
    let known = found.fields.iter().find(|(id, _)| *id == fields::LOG_LEVEL);
    let known = known.map(|(_, level)| level.text());
    let named = ["priority", "PRIORITY", "SeverityLevel"];
    let named = named.into_iter().find_map(|name| found.pair(name)).map(Val::text);
    let severity = known.or(named).and_then(|text| match digit(text) {
        Some(number) => Some(Severity::from_syslog(number)),
        None => Severity::from_log_level(text),
    });
    if let Some(severity) = severity
        && !found.fields.iter().any(|(id, _)| *id == fields::SEVERITY)
    {
        found.fields.push(severity_field(severity));
    }
    let Some(Val::Text(Cow::Borrowed(text)) | Val::Number(Cow::Borrowed(text))) =
        found.pair("pri").cloned()
    else {
        return;
    };
    if let Some(number) = text.parse().ok().filter(|number| *number < 192) {
        found.take("pri");
        set_priority(number, text, found);
    }
}

/// What the text of a program means.
pub(super) fn opened<'a>(mut found: Found<'a>, context: &Context<'_>) -> Found<'a> {
    match found.message.take() {
        // The text of rsyslog begins with the blank behind the tag.
        Some(Cow::Borrowed(text)) => body(found, text.trim_start(), context),
        Some(Cow::Owned(text)) => {
            let mut head = Found::new(found.format);
            head.program.clone_from(&found.program);
            let inner = body(head, text.trim_start(), context).into_owned();
            merge(found, inner, "")
        }
        None => found,
    }
}
