//! Shapes: how the records of one program look alike.
//!
//! A program writes the same names in the same order, again and again; only the values differ. A
//! shape is such an order, learnt from one record that was read the long way: the text between the
//! values, byte for byte ([`Gaps`]), and what becomes of each value ([`Reading`]). A record that
//! fits it needs no look at its names: where no pack has anything to say of them, values go
//! straight to their places; else a pack gets the names as the long way would have found them.
//! Whatever does not fit in every respect is read the long way: shapes change the time that reading
//! takes, and nothing else.

use pugmark_event::time::Micros;
use pugmark_event::{FieldId, fields};

use super::super::windows::{self, Natives};
use super::gaps::Gaps;
use super::shipped::Marks;
use super::{
    Context, DEPTH_MAX, DOCUMENT, HOSTS, LEVELS, MESSAGES, SHIPPERS, TIMES, Walk, interpreted,
    is_record, is_text,
};
use crate::found::{Found, Pair, Val};
use crate::time::{self, Stamp};

/// Shapes kept of one block; a source with more is read the long way, as without any.
const SHAPES_MAX: usize = 64;
/// Values of a record that has a shape.
const SLOTS_MAX: usize = 128;
/// Longest record that a shape is learnt from, in bytes, and the most that its dotted names may
/// have together: most of a record is values, but a hostile one would be all names.
const LEARNT_BYTES_MAX: usize = 16 << 10;
/// A block with fewer records is read before anything learnt would pay.
const RECORDS_MIN: usize = 8;
/// After so many records that had no shape and taught none, and not as many that had one, no more
/// is tried.
const MISSES_MAX: usize = 64;
/// Arrays nested deeper than this, or in deeper objects, are left to the long way.
const LEVEL_MAX: usize = DEPTH_MAX / 2;

/// The shapes of one block of records.
#[derive(Debug, Default)]
pub(crate) struct Shapes<'a> {
    gaps: Gaps,
    /// What becomes of the values of each shape.
    readings: Vec<Reading>,
    /// Values of the record at hand, in the order of the slots.
    values: Vec<Val<'a>>,
    /// No known shape has the texts of the record at hand.
    is_new: bool,
    hits: usize,
    misses: usize,
    closed: bool,
    /// The door says that records are JSON, so that none is looked at as an event of Windows.
    is_json: bool,
}

/// What becomes of the values of a shape.
#[derive(Debug)]
enum Reading {
    /// They go to their places.
    Places(Places),
    /// They get these names.
    Json(Vec<String>),
    /// They are those of an event of Windows.
    Windows(Natives),
}

/// Where the values of a record go.
#[derive(Debug, Default)]
struct Places {
    time: Option<usize>,
    level: Option<usize>,
    message: Option<usize>,
    /// Slots that name the host, as the record calls it.
    hosts: Vec<(usize, &'static str)>,
    /// All others, in the order of the record.
    places: Vec<(usize, Place)>,
}

/// Where a value goes that has a name of the record's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Into a column, if it fits.
    Field(FieldId),
    /// Into the tail, under this name.
    Attribute(String),
}

impl Place {
    fn of(name: &str) -> Self {
        match fields::by_ecs_name(name) {
            Some(id) if !fields::SYSTEM.contains(&id) => Place::Field(id),
            Some(_) => Place::Attribute(format!("original.{name}")),
            None => Place::Attribute(name.to_string()),
        }
    }
}

/// A record that fits a shape.
pub(crate) enum Fit<'s, 'a> {
    /// No pack has anything to say of it.
    Row(Row<'s, 'a>),
    /// What the long way would have found.
    Found(Found<'s>),
}

/// Values whose places are known.
pub(crate) struct Row<'s, 'a> {
    row: &'s Places,
    values: &'s [Val<'a>],
    /// When it happened.
    pub(crate) stamp: Option<Stamp>,
}

impl<'s, 'a> Row<'s, 'a> {
    /// The level as written.
    pub(crate) fn level(&self) -> Option<&'s str> {
        self.row.level.map(|slot| self.values[slot].text())
    }

    /// The text of the record.
    pub(crate) fn message(&self) -> Option<&'s str> {
        self.row.message.map(|slot| self.values[slot].text())
    }

    /// Names of the host and what the record calls them.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = (&'static str, &'s Val<'a>)> {
        self.row.hosts.iter().map(|(slot, name)| (*name, &self.values[*slot]))
    }

    /// All other values.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&'s Place, &'s Val<'a>)> {
        self.row.places.iter().map(|(slot, place)| (place, &self.values[*slot]))
    }
}

impl<'a> Shapes<'a> {
    /// Shapes for a block of `records`, whose door names the format `hint`.
    pub(crate) fn new(records: usize, hint: Option<&str>) -> Self {
        let is_json = hint == Some(super::FORMAT.name);
        let is_open = is_json || hint.is_none_or(|name| name == windows::FORMAT.name);
        Self { closed: records < RECORDS_MIN || !is_open, is_json, ..Self::default() }
    }

    /// Reads a record by the shape that it fits.
    pub(crate) fn fit<'s>(&'s mut self, record: &'a str, received: Micros) -> Option<Fit<'s, 'a>> {
        if self.closed {
            return None;
        }
        self.values.clear();
        let shape = self.gaps.shape(record, &mut self.values);
        self.is_new = shape.is_none();
        let fitting = shape.and_then(|shape| {
            let stamp = self.readings[shape].takes(&self.values, received)?;
            Some((&self.readings[shape], stamp))
        });
        let Some((reading, stamp)) = fitting else {
            self.misses += 1;
            self.closed = self.misses >= MISSES_MAX && self.misses > self.hits;
            return None;
        };
        self.hits += 1;
        Some(match reading {
            Reading::Places(row) => Fit::Row(Row { row, values: &self.values, stamp }),
            Reading::Json(names) => {
                let named = names.iter().zip(self.values.drain(..));
                let pairs = named.map(|(name, value)| Pair { name: name.into(), value }).collect();
                let found = Found { pairs, ..Found::new(super::FORMAT.name) };
                Fit::Found(interpreted(found, Marks::default(), &Context::at(received)))
            }
            Reading::Windows(natives) => {
                Fit::Found(natives.event(&mut self.values, &Context::at(received)))
            }
        })
    }

    /// Takes the shape of a record that fitted none and was read the long way. `is_of_pack` says
    /// whether a pack may have something to say about a record with these names: then its meaning
    /// may hang on its values.
    pub(crate) fn learn(
        &mut self,
        record: &str,
        received: Micros,
        is_of_pack: impl Fn(&[&str]) -> bool,
    ) {
        if !self.closed
            && self.is_new
            && self.readings.len() < SHAPES_MAX
            && let Some((texts, reading)) = learnt(record, received, self.is_json, is_of_pack)
            && self.gaps.add(&texts, self.readings.len())
        {
            self.readings.push(reading);
            self.misses -= 1;
        }
    }
}

/// The texts around the values of a record, and what becomes of these; `None` where others that
/// look like it may be read in another way.
fn learnt(
    record: &str,
    received: Micros,
    is_json: bool,
    is_of_pack: impl Fn(&[&str]) -> bool,
) -> Option<(Vec<&str>, Reading)> {
    if record.len() > LEARNT_BYTES_MAX {
        return None;
    }
    let mut found = Found::new(super::FORMAT.name);
    let mut walk = Walk::new(record);
    walk.spans = Some(Vec::new());
    walk.object(&mut found)?;
    let spans = walk.spans.take()?;
    let pairs = &found.pairs;
    let name_bytes: usize = pairs.iter().map(|pair| pair.name.len()).sum();
    if !found.issues.is_empty()
        || pairs.is_empty()
        || pairs.len() > SLOTS_MAX
        || name_bytes > LEARNT_BYTES_MAX
    {
        return None;
    }
    let mut texts = Vec::with_capacity(spans.len() + 1);
    let mut end = 0;
    for (span, level) in spans {
        // An empty object, which the next record may fill.
        if record.as_bytes()[span.start] == b'{' || level > LEVEL_MAX {
            return None;
        }
        texts.push(&record[end..span.start]);
        end = span.end;
    }
    texts.push(&record[end..]);
    if texts.iter().any(|text| text.contains('\\')) {
        return None;
    }
    let reading = Reading::of(&texts.concat(), pairs, received, is_json, is_of_pack)?;
    Some((texts, reading))
}

impl Reading {
    /// `None` where more than the names decides how a record is read.
    fn of(
        gaps: &str,
        pairs: &[Pair<'_>],
        received: Micros,
        is_json: bool,
        is_of_pack: impl Fn(&[&str]) -> bool,
    ) -> Option<Self> {
        let looks = (windows::FORMAT.looks)(gaps.as_bytes());
        if !is_json && let Some(natives) = Natives::of(looks, pairs).ok()? {
            return Some(Reading::Windows(natives));
        }
        let names: Vec<&str> = pairs.iter().map(|pair| &*pair.name).collect();
        let is_document = names.iter().any(|name| name.starts_with(DOCUMENT));
        if is_document || !Marks::of(names.iter().copied()).is_empty() {
            return None;
        }
        let is_shipped = names.iter().any(|name| SHIPPERS.contains(name));
        if !is_shipped && !(0..names.len()).any(|i| is_odd(&names, i)) {
            let places = Places::of(&names);
            let values: Vec<Val<'_>> = pairs.iter().map(|pair| pair.value.clone()).collect();
            let named: Vec<&str> = places.places.iter().map(|(slot, _)| names[*slot]).collect();
            if !is_of_pack(&named) {
                return places.stamp(&values, received).map(|_| Reading::Places(places));
            }
        }
        Some(Reading::Json(names.iter().map(ToString::to_string).collect()))
    }

    /// The time of a record with these values if it has its place; `None` when it is not read as
    /// the one was that the shape is of.
    fn takes(&self, values: &[Val<'_>], received: Micros) -> Option<Option<Stamp>> {
        match self {
            Reading::Places(places) => places.stamp(values, received),
            Reading::Json(_) => Some(None),
            Reading::Windows(natives) => natives.takes(values).then_some(None),
        }
    }
}

impl Places {
    /// Gives each slot its meaning, as [`super::interpret`] does.
    fn of(names: &[&str]) -> Self {
        let first = |of: &[&str]| of.iter().find_map(|name| names.iter().position(|n| n == name));
        let mut places = Self {
            time: first(TIMES),
            level: first(LEVELS),
            message: first(MESSAGES),
            ..Self::default()
        };
        for host in HOSTS {
            places.hosts.extend(names.iter().position(|n| n == host).map(|slot| (slot, *host)));
        }
        for (slot, name) in names.iter().enumerate() {
            let taken = [places.time, places.level, places.message].contains(&Some(slot))
                || places.hosts.iter().any(|(host, _)| *host == slot);
            if !taken {
                places.places.push((slot, Place::of(name)));
            }
        }
        places
    }

    /// The time of a record with these values; `None` if one of them is not what its name wants.
    fn stamp(&self, values: &[Val<'_>], received: Micros) -> Option<Option<Stamp>> {
        let written = |value: &Val<'_>| matches!(value, Val::Text(_) | Val::Number(_));
        let fits = self.level.is_none_or(|slot| written(&values[slot]))
            && self
                .message
                .is_none_or(|slot| is_text(&values[slot]) && !is_record(values[slot].text()))
            && self.hosts.iter().all(|(slot, _)| is_text(&values[*slot]));
        if !fits {
            return None;
        }
        let Some(slot) = self.time else { return Some(None) };
        let value = Some(&values[slot]).filter(|value| written(value))?;
        time::value(value.text(), received).map(Some)
    }
}

/// Names that stand twice, name the program (which decides the pack), or might be read as those of
/// a Windows event.
fn is_odd(names: &[&str], at: usize) -> bool {
    let name = names[at];
    names[..at].contains(&name)
        || matches!(name, "SYSLOG_IDENTIFIER" | "_PID" | "_BOOT_ID")
        || name.contains(' ')
        || name.starts_with("Event.")
        || name.starts_with("winlog.")
        || name.starts_with(DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use proptest::sample::{Index, select};
    use pugmark_event::Records;

    use super::*;
    use crate::{Input, Parser};

    const NOW: Micros = 1_795_428_000_000_000;

    /// Reads records with shapes and without, and returns how many were read by a shape.
    fn compare(records: &[String], source: &str, format: Option<&str>) -> usize {
        static PARSER: LazyLock<Parser> = LazyLock::new(|| Parser::builtin().unwrap());
        let parser = &*PARSER;
        let records: Records = records.iter().map(|r| r.as_bytes()).collect();
        let input = Input { source, records: &records, first_id: 1, received: NOW, format };
        let mut shapes = Shapes::new(records.len(), format);
        let (with, _) = parser.read(&input, &mut shapes);
        let (without, _) = parser.read(&input, &mut Shapes::new(0, format));
        assert_eq!(with.columns(), without.columns());
        shapes.hits
    }

    #[track_caller]
    fn check(record: &str, others: &[&str], expected_hits: usize) {
        let mut records = vec![record.to_string(); RECORDS_MIN];
        records.extend(others.iter().map(ToString::to_string));
        assert_eq!(compare(&records, "test", None), expected_hits);
    }

    #[test]
    fn records_that_differ_in_values_alone_fit() {
        check(
            r#"{"time":"2026-11-23T09:00:00Z","level":"info","msg":"a","n":{"b":1}, "t":[]}"#,
            &[
                r#"{"time":"2026-11-23T09:00:01Z","level":"odd","msg":"\u0041\"","n":{"b":null}, "t":[[1]]}"#,
                r#"{"time":1795428000,"level":3,"msg":"-","n":{"b":"x"}, "t":7}"#,
            ],
            RECORDS_MIN + 1,
        );
    }

    #[test]
    fn what_does_not_fit_in_every_respect_is_read_the_long_way() {
        let record = r#"{"time":"2026-11-23T09:00:00Z","level":"info","msg":"a","host":"h","n":1}"#;
        let others = [
            r#"{"time":"soon","level":"info","msg":"a","host":"h","n":1}"#,
            r#"{"time":null,"level":"info","msg":"a","host":"h","n":1}"#,
            r#"{"time":"2026-11-23T09:00:00Z","level":null,"msg":"a","host":"h","n":1}"#,
            r#"{"time":"2026-11-23T09:00:00Z","level":"info","msg":"","host":"h","n":1}"#,
            r#"{"time":"2026-11-23T09:00:00Z","level":"info","msg":"a","host":5,"n":1}"#,
            r#"{"time":"2026-11-23T09:00:00Z","level":"info","msg":"a","host":"h","n":01}"#,
            r#"{"time":"2026-11-23T09:00:00Z","level":"info","msg":"a","host":"h","n":{}}"#,
            r#"{"time":"2026-11-23T09:00:00Z","level":"info","msg":"a\x","host":"h","n":1}"#,
            r#"{"time":"2026-11-23T09:00:00Z","level":"info","msg":"a","host":"h","n":1}}"#,
            r#"{"time":"2026-11-23T09:00:00Z","level":"info","msg":"a","host":"h","n":1"#,
            r#" {"time":"2026-11-23T09:00:00Z","level":"info","msg":"a","host":"h","n":1}"#,
        ];
        check(record, &others, RECORDS_MIN - 1);
        let deep = format!("{{\"n\":{}{}}}", "[".repeat(40), "]".repeat(40));
        check(r#"{"n":[]}"#, &[&deep], RECORDS_MIN - 1);
    }

    #[test]
    fn packs_get_names_and_values_by_the_shape() {
        let others = |record: &str, others: &[&str]| check(record, others, RECORDS_MIN - 1);
        let event = r#"{"EventID":1,"Channel":"Security","Threat Name":"x","tags":["a"]}"#;
        others(event, &[]);
        check(event, &[r#"{"EventID":2,"Channel":null,"Threat Name":7,"tags":[]}"#], RECORDS_MIN);
        let nested = r##"{"Event":{"#attributes":{"xmlns":"x"},"System":{"EventID":1,"Computer":"a"},"EventData":{"Data":"x"}}}"##;
        // An array of event data is taken apart.
        let array = nested.replace("\"Data\":\"x\"", "\"Data\":[\"x\"]");
        others(nested, &[&array]);
        others(r#"{"event_id":1,"log_name":"a","computer_name":"b"}"#, &[]);
        others(r#"{"winlog":{"event_id":1,"channel":"Security","event_data":{"a":1}}}"#, &[]);
        others(r#"{"remote_addr":"192.0.2.1","request_uri":"/"}"#, &[]);
        others(r#"{"SYSLOG_IDENTIFIER":"sshd","MESSAGE":"x"}"#, &[]);
        others(r#"{"log":"{\"a\":1}","stream":"stdout"}"#, &[]);
        others(r#"{"a":1,"a":2}"#, &[]);
    }

    #[test]
    fn records_whose_meaning_hangs_on_more_have_no_shape() {
        check(r#"{"Event ID":1,"Channel":"x"}"#, &[r#"{"Event ID":1,"Channel":"EventID"}"#], 0);
        check(r#"{"\u0061":1}"#, &[], 0);
        check(r#"{"program":"sshd","logsource":"web1","message":"x"}"#, &[], 0);
        check(r#"{"_id":"1","_source":{"message":"x"}}"#, &[], 0);
        let records = vec!["{\"a\":1}".to_string(); 20];
        assert_eq!(compare(&records, "test", Some("windows")), 19);
        assert_eq!(compare(&records, "test", Some("syslog")), 0);
    }

    #[test]
    fn a_door_for_json_has_no_windows_events() {
        let records = vec![r#"{"EventID":1,"Channel":"Security"}"#.to_string(); 20];
        assert_eq!(compare(&records, "test", Some("json")), 19);
    }

    #[test]
    fn records_of_many_kinds_fit_in_any_order() {
        let kinds: Vec<String> = (0..SHAPES_MAX)
            .map(|i| {
                format!(
                    "{{\"time\":\"2026-11-23T09:00:00Z\",\"a\":\"x\",\"k{}\":1,\"j{i}\":2}}",
                    i % 7
                )
            })
            .collect();
        let records: Vec<String> = kinds.iter().cycle().take(kinds.len() * 5).cloned().collect();
        assert_eq!(compare(&records, "test", None), records.len() - kinds.len());
    }

    #[test]
    fn a_value_that_is_now_null_and_now_an_object_parts_two_shapes() {
        let nothing = r#"{"time":"2026-11-23T09:00:00Z","error":null,"a":1}"#;
        let error = r#"{"time":"2026-11-23T09:00:00Z","error":{"code":5},"a":1}"#;
        let records: Vec<String> =
            [nothing, error].repeat(100).into_iter().map(String::from).collect();
        assert_eq!(compare(&records, "test", None), records.len() - 2);
    }

    #[test]
    fn a_block_of_strangers_is_given_up() {
        let records: Vec<String> = (0..500).map(|i| format!("{{\"k{i}\":1,\"v\":{i}}}")).collect();
        assert_eq!(compare(&records, "test", None), 0);
    }

    const NAMES: &[&str] = &[
        "time",
        "@timestamp",
        "ts",
        "level",
        "severity",
        "log.level",
        "message",
        "msg",
        "log",
        "host",
        "hostname",
        "host.name",
        "SYSLOG_IDENTIFIER",
        "program",
        "logsource",
        "process.name",
        "textPayload",
        "_source",
        "EventID",
        "Computer",
        "Event ID",
        "event_id",
        "Channel",
        "Event.System.EventID",
        "Message",
        "Level",
        "Hostname",
        "AccountName",
        "TimeCreated",
        "UtcTime",
        "EventTime",
        "event.id",
        "event.source",
        "source.ip",
        "source.port",
        "user.name",
        "remote_addr",
        "request_uri",
        "a",
        "b",
        "n#2",
        "",
        "é",
        "\\u0061",
    ];
    const VALUES: &[&str] = &[
        "1",
        "-1.5e3",
        "01",
        "1795428000",
        "\"2026-11-23T09:00:00Z\"",
        "\"2026-11-23 09:00:00\"",
        "\"1999-01-01T00:00:00Z\"",
        "\"\"",
        "\"-\"",
        "\"info\"",
        "\"EventID\"",
        "\"a\\n\\\"b\"",
        "\"\\x\"",
        "\"é\"",
        "\"192.0.2.1\"",
        "\"2001:DB8::1\"",
        "\"0x1f\"",
        "true",
        "null",
        "[]",
        "[1,{\"a\":\"]\"}]",
        "{}",
        "{\"a\":1}",
        "\"a long text that is longer than four words of it\"",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn shapes_change_nothing(
            shapes in prop::collection::vec(
                prop::collection::vec(
                    (select(NAMES), prop::option::weighted(0.2, select(NAMES))), 1..7,
                ),
                1..4,
            ),
            records in prop::collection::vec(
                (
                    any::<Index>(),
                    prop::collection::vec(any::<Index>(), 7),
                    select(&["", "\n", " "][..]),
                ),
                8..60,
            ),
        ) {
            let records: Vec<String> = records
                .iter()
                .map(|(shape, values, blank)| {
                    let entries: Vec<String> = shape
                        .get(&shapes)
                        .iter()
                        .zip(values)
                        .map(|((name, inner), value)| match (inner, value.get(VALUES)) {
                            (Some(inner), value) => format!("\"{name}\":{{\"{inner}\":{value}}}"),
                            (None, value) => format!("\"{name}\":{blank}{value}"),
                        })
                        .collect();
                    format!("{{{}}}", entries.join(","))
                })
                .collect();
            compare(&records, "test", None);
        }
    }
}
