//! Whatever is written into a segment comes back from it, byte for byte.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use proptest::prelude::*;
use pugmark_event::batch::Batch;
use pugmark_event::fields::{ATTRIBUTE_KINDS, ATTRIBUTES, FIELDS, ORIGINAL};
use pugmark_event::time::Micros;
use pugmark_event::{Records, json};
use pugmark_parse::{Input, Parser, frame};

use super::counts::counts;
use super::merge::merge;
use super::read::SegmentScan;
use super::write::SegmentWriter;
use super::{Segment, Tails};
use crate::codec::stored::push_text;
use crate::disk::{Disk, RealDisk};
use crate::manifest::SegmentInfo;
use crate::retention::OneClass;
use crate::scan::{Scan, Snapshot};

const RECEIVED: Micros = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z

fn events(parser: &Parser, source: &str, records: &Records) -> Batch {
    let input = Input { source, records, first_id: 1, received: RECEIVED, format: None };
    parser.parse(&input)
}

/// A folder with one writer.
struct Folder {
    dir: tempfile::TempDir,
    writer: SegmentWriter,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let tails = Tails::new(1 << 30);
        let writer = SegmentWriter::new(disk, dir.path(), Arc::new(OneClass), tails, 0);
        Self { dir, writer }
    }

    /// Writes the events and reads what the scan asks for.
    fn through(&self, batch: &Batch, scan: &Scan) -> Vec<RecordBatch> {
        let mut found = Vec::new();
        for segment in self.writer.write(std::slice::from_ref(batch)).unwrap() {
            assert!(segment.path.starts_with(self.dir.path()));
            found.extend(read(&segment, scan));
            segment.doom();
        }
        found
    }
}

fn read(segment: &Arc<Segment>, scan: &Scan) -> Vec<RecordBatch> {
    let file = segment.open().unwrap();
    let tail = segment.tail(&file).unwrap();
    let groups = (0..tail.footer.metadata().num_row_groups()).collect();
    let (scan, segment) = (Arc::new(scan.clone()), segment.clone());
    let read = SegmentScan { scan, segment, file, tail, groups, all: true, meter: None };
    read.read().unwrap().map(Result::unwrap).collect()
}

/// How often each value comes, absent ones as "-".
fn tally<'a>(values: impl Iterator<Item = (&'a ArrayRef, usize, u64)>) -> Tallied {
    let mut found = Tallied::new();
    for (column, row, rows) in values.filter(|(.., rows)| *rows > 0) {
        let mut text = String::new();
        let value = push_text(column, row, &mut text);
        *found.entry(if value.is_some() { text } else { "-".into() }).or_default() += rows;
    }
    found
}

type Tallied = BTreeMap<String, u64>;

#[test]
fn counts_are_those_of_the_rows() {
    let parser = Parser::builtin().unwrap();
    let folder = Folder::new();
    let line = |i: usize| {
        let port = if i.is_multiple_of(3) {
            format!(r#","source.port":{}"#, i % 7)
        } else {
            String::new()
        };
        format!(
            r#"{{"@timestamp":"2026-11-23T08:00:00Z","host.name":"h{}","user.name":"u{}","session.id":"{i}"{port}}}"#,
            i % 200,
            i % 2
        )
    };
    let lines: Vec<String> = (0..20_000).map(line).collect();
    let records: Records = lines.iter().map(String::as_bytes).collect();
    let batches = ["web", "db"].map(|source| events(&parser, source, &records));
    let mut answered = Vec::new();
    for segment in folder.writer.write(&batches).unwrap() {
        let file = segment.open().unwrap();
        let tail = segment.tail(&file).unwrap();
        for field in FIELDS {
            let of_column = || counts(&segment, &file, &tail, 0, field.column).unwrap();
            let Some(counts) = of_column() else { continue };
            // Whoever asks goes by the type that the field has.
            assert_eq!(*counts.values.data_type(), field.kind.data_type());
            assert_eq!(of_column().unwrap().rows, counts.rows, "kept");
            let scan = Scan { columns: Some(vec![field.column.into()]), ..Scan::default() };
            let batches = read(&segment, &scan);
            let rows = batches.iter().flat_map(|b| (0..b.num_rows()).map(|r| (b.column(0), r)));
            let expected = tally(rows.map(|(column, row)| (column, row, 1)));
            let counted = counts.rows.iter().enumerate();
            let counted = counted.map(|(at, rows)| (&counts.values, at, u64::from(*rows)));
            let found = tally(counted);
            assert_eq!(found, expected, "{}", field.column);
            answered.push((field.column, found.len()));
        }
    }
    for expected in [("event_source", 2), ("host_name", 200), ("user_name", 2), ("source_port", 8)]
    {
        assert!(answered.contains(&expected), "{expected:?} in {answered:?}");
    }
}

#[test]
fn merged_segments_hold_what_went_in() {
    let parser = Parser::builtin().unwrap();
    let folder = Folder::new();
    let mut segments = Vec::new();
    let mut expected = Vec::new();
    for part in 0..5i64 {
        let line = |i: i64| match (part + i) % 4 {
            0 => format!(
                "<86>1 2026-11-23T09:00:{:02}Z srv{} sshd {i} - - Failed password for u{} from 192.0.2.{} port {i} ssh2",
                i % 60,
                i % 7,
                i % 11,
                i % 250
            ),
            1 => format!(
                r#"{{"@timestamp":"2026-11-23T08:{:02}:00Z","message":"took {i} ms","only{part}":"x{i}","n":{i},"url":{{"original":"/a?b={i}"}}}}"#,
                i % 60
            ),
            2 => format!("{i} café {}", "x".repeat((i % 9) as usize)),
            _ => format!(
                "192.0.2.7 - - [23/Nov/2026:09:00:00 +0100] \"GET /a/{i}?c={i} HTTP/1.1\" 200 {i} \"-\" \"curl\""
            ),
        };
        let lines: Vec<String> = (0..300).map(line).collect();
        let mut records: Records = lines.iter().map(String::as_bytes).collect();
        records.push(b"odd \xff bytes");
        let source = ["web", "db"][(part % 2) as usize];
        let first_id = 1 + 1000 * part;
        let input = Input { source, records: &records, first_id, received: RECEIVED, format: None };
        let batch = parser.parse(&input);
        expected.extend(rows(&batch));
        segments.extend(folder.writer.write(&[batch]).unwrap());
    }
    let info = merge(&folder.writer, &segments, &mut || true).unwrap().unwrap();
    assert_eq!((info.rows, info.sources["web"]), (1505, 903));
    let merged = folder.writer.handle(info);
    for word in [None, Some("failed"), Some("only3"), Some("x77"), Some("odd"), Some("took")] {
        let words: Vec<String> = word.iter().map(ToString::to_string).collect();
        let scan = Scan { words, ..Scan::default() };
        let mut found: Vec<_> = read(&merged, &scan)
            .into_iter()
            .flat_map(|batch| rows(&Batch::new(batch).unwrap()))
            .collect();
        found.sort();
        let has = |row: &&(i64, Vec<u8>, String)| {
            word.is_none_or(|word| crate::codec::words::has_word(&row.1, word.as_bytes()))
        };
        let expected: Vec<_> = expected.iter().filter(has).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{word:?}");
    }
    // Half-way is nowhere.
    assert!(merge(&folder.writer, &segments, &mut || false).unwrap().is_none());
    let left = std::fs::read_dir(merged.path.parent().unwrap()).unwrap().count();
    assert_eq!(left, segments.len() + 1);
}

/// A file with these lines of JSON for each of the parts, and all of them merged: every record and
/// every field comes back, and columns of the merged file have these types.
#[track_caller]
fn check_forms(parts: &[&dyn Fn(u32) -> String], types: &[(&str, DataType)]) {
    let parser = Parser::builtin().unwrap();
    let folder = Folder::new();
    let (mut segments, mut expected) = (Vec::new(), Vec::new());
    for (part, line) in parts.iter().enumerate() {
        let lines: Vec<String> = (0..600).map(line).collect();
        let records: Records = lines.iter().map(String::as_bytes).collect();
        let first_id = 1 + 1000 * part as i64;
        let (source, received) = ("web", RECEIVED);
        let input = Input { source, records: &records, first_id, received, format: None };
        let batch = parser.parse(&input);
        let written = folder.writer.write(std::slice::from_ref(&batch)).unwrap();
        assert_eq!(written.iter().flat_map(all_rows).collect::<Vec<_>>(), rows(&batch));
        expected.extend(rows(&batch));
        segments.extend(written);
    }
    let info = merge(&folder.writer, &segments, &mut || true).unwrap().unwrap();
    let merged = folder.writer.handle(info);
    assert_eq!(all_rows(&merged), expected);
    let tail = merged.tail(&merged.open().unwrap()).unwrap();
    for (name, expected) in types {
        let field = tail.footer.schema().field_with_name(name).unwrap();
        assert_eq!(field.data_type(), expected, "{name}");
    }
}

fn all_rows(segment: &Arc<Segment>) -> Vec<(i64, Vec<u8>, String)> {
    let batches = read(segment, &Scan::default()).into_iter();
    let mut all: Vec<_> = batches.flat_map(|batch| rows(&Batch::new(batch).unwrap())).collect();
    all.sort();
    all
}

#[test]
fn a_column_is_stored_as_narrow_as_its_values_allow() {
    let address = |i: u32| std::net::Ipv4Addr::from(0x0a00_0000 + i * 7919);
    let numbers = |i: u32| {
        format!(
            r#"{{"source.ip":"{}","session.id":"{}","destination.ip":"192.0.2.{}","LogonId":"{:#x}"}}"#,
            address(i),
            i * 65_537,
            i % 5,
            u64::from(i) << 30,
        )
    };
    let guid = |i: u32| format!("{{{i:08X}-0000-4000-8000-{:012X}}}", u64::from(i) * 977);
    let guids = |i: u32| format!(r#"{{"process.entity_id":"{}","Parent":"{0}"}}"#, guid(i));
    let odd = |i: u32| {
        format!(r#"{{"source.ip":"2001:db8::{i:x}","session.id":"s{i}","LogonId":"{i:#X}"}}"#)
    };
    let same = |i: u32| format!(r#"{{"source.ip":"192.0.2.{}","session.id":"7"}}"#, i % 3);
    let guid_type = DataType::FixedSizeBinary(17);
    check_forms(
        &[&numbers, &numbers],
        &[
            ("source_ip", DataType::Utf8),
            ("session_id", DataType::Int64),
            ("destination_ip", DataType::Utf8),
            ("attributes_LogonId", DataType::UInt64),
        ],
    );
    check_forms(&[&guids, &guids], &[("process_entity_id", guid_type)]);
    let text = ("session_id", DataType::Utf8);
    check_forms(&[&numbers, &odd], std::slice::from_ref(&text));
    check_forms(&[&numbers, &same, &guids], &[text]);
}

#[test]
fn segments_of_format_2_are_merged() {
    let folder = Folder::new();
    let fixture = Path::new(env!("WORKSPACE_ROOT")).join("crates/store/tests/formats/v2");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let segment = |(path, rows): (&str, u64)| {
        let info = SegmentInfo {
            path: format!("segments/default/{path}"),
            rows,
            ..SegmentInfo::default()
        };
        Arc::new(Segment::new(&disk, &fixture, info, &Tails::new(1 << 20)))
    };
    let inputs = [
        ("2026-11-22/0000000000000002-0000000000000011-00000003.parquet", 3),
        ("2026-11-23/0000000000000001-0000000000000013-00000004.parquet", 6),
    ];
    let inputs = inputs.map(segment);
    let events = |segment: &Arc<Segment>| -> Vec<_> {
        let batches = read(segment, &Scan::default()).into_iter();
        batches.flat_map(|batch| rows(&Batch::new(batch).unwrap())).collect()
    };
    let mut expected: Vec<_> = inputs.iter().flat_map(events).collect();
    let merged = merge(&folder.writer, &inputs, &mut || true).unwrap().unwrap();
    let mut found = events(&folder.writer.handle(merged));
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

/// A file that format 4 wrote, with a column in each of its forms: it says what it said then. It is
/// never written again; `PUGMARK_FIXTURE=v4-forms` made it.
#[test]
fn forms_of_format_4_are_read() {
    let line = |i: u32| {
        format!(
            r#"{{"@timestamp":"2026-11-23T08:00:00Z","source.ip":"192.0.2.{}","session.id":"{}","LogonId":"{:#x}","trace.id":"{:032x}","process.entity_id":"{{{i:08x}-0000-4000-8000-00000000000a}}","Parent":"{i:08X}-0000-4000-8000-00000000000A","message":"logon {:#x} took {i} ms"}}"#,
            i % 9,
            i * 65_537,
            u64::from(i) << 30,
            u128::from(i) << 77,
            i % 5,
        )
    };
    let lines: Vec<String> = (0..300).map(line).collect();
    let records: Records = lines.iter().map(String::as_bytes).collect();
    let batch = events(&Parser::builtin().unwrap(), "web", &records);
    let fixture = Path::new(env!("WORKSPACE_ROOT")).join("crates/store/tests/formats/v4-forms");
    if std::env::var_os("PUGMARK_FIXTURE").is_some_and(|name| name == "v4-forms") {
        let folder = Folder::new();
        let written = folder.writer.write(std::slice::from_ref(&batch)).unwrap();
        std::fs::create_dir_all(&fixture).unwrap();
        std::fs::copy(&written[0].path, fixture.join("forms.parquet")).unwrap();
    }
    let path = "forms.parquet".to_string();
    let info = SegmentInfo { path, rows: 300, format: 4, ..SegmentInfo::default() };
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let segment = Arc::new(Segment::new(&disk, &fixture, info, &Tails::new(1 << 20)));
    assert_eq!(all_rows(&segment), rows(&batch));
    let tail = segment.tail(&segment.open().unwrap()).unwrap();
    let held = |name: &str| tail.footer.schema().field_with_name(name).unwrap().data_type().clone();
    for (name, expected) in [
        ("session_id", DataType::Int64),
        ("trace_id", DataType::Binary),
        ("process_entity_id", DataType::FixedSizeBinary(17)),
        ("attributes_Parent", DataType::FixedSizeBinary(17)),
        ("attributes_LogonId", DataType::UInt64),
        ("variable_x0", DataType::UInt64),
    ] {
        assert_eq!(held(name), expected, "{name}");
    }
}

/// Every event as text: its id, its exact record, and its row as JSON with sorted keys.
fn rows(batch: &Batch) -> Vec<(i64, Vec<u8>, String)> {
    let writer = json::RowWriter::new(batch.columns());
    (0..batch.rows())
        .map(|row| {
            let mut text = Vec::new();
            writer.write(row, &mut text);
            let row_json: std::collections::BTreeMap<String, serde_json::Value> =
                serde_json::from_slice(&text).unwrap();
            let text = serde_json::to_string(&row_json).unwrap();
            (batch.ids()[row], batch.original(row).to_vec(), text)
        })
        .collect()
}

#[track_caller]
fn check(folder: &Folder, batch: &Batch) {
    let mut found: Vec<_> = folder
        .through(batch, &Scan::default())
        .into_iter()
        .flat_map(|batch| rows(&Batch::new(batch).unwrap()))
        .collect();
    found.sort();
    let expected = rows(batch);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(String::from_utf8_lossy(&found.1), String::from_utf8_lossy(&expected.1));
        assert_eq!(found, expected);
    }
}

#[track_caller]
fn check_records(records: &[&str]) {
    let records: Records = records.iter().map(|r| r.as_bytes()).collect();
    check(&Folder::new(), &events(&Parser::builtin().unwrap(), "test", &records));
}

#[test]
fn records_of_every_kind_come_back() {
    check_records(&[
        "",
        " ",
        "<86>1 2026-11-23T09:59:59.123Z srv1 sshd 42 - - Failed password for root from 192.0.2.1 port 22 ssh2",
        "<86>1 2026-11-23T09:59:59.124Z srv2 sshd 43 - - Failed password for root from 192.0.2.2 port 23 ssh2",
        "<86>1 2026-11-23T09:59:58.999+02:00 srv2 sshd 0043 - - Failed password for  from  port 23 ssh2",
        r#"{"@timestamp":"2026-11-23T09:00:00Z","message":"a \"b\" \\ c","user.name":"x","n":1.50,"z":null,"a":[1,{"b":2}]}"#,
        r#"{"@timestamp":"2026-11-23T09:00:00.5Z","message":"tab\there é","user.name":"x","n":-0,"deep":{"a":{"b":true}}}"#,
        r#"192.0.2.7 - - [23/Nov/2026:09:00:00 +0100] "GET /a/b?c=1&d=443 HTTP/1.1" 200 443 "-" "curl/8.1""#,
        "date=2026-11-23 time=09:00:01 srcip=192.0.2.1 srcport=443 dstip=192.0.2.1 dstport=443 msg=\"x\"",
        "{source.ip} {#i0} \\{ | } literal braces",
        "01234567-89ab-cdef-0123-456789abcdef 0123456789abcdef 192.0.2.1 007 7",
        "01234567-89ab-cdef-0123-456789abcde0 0123456789abcde0 192.0.2.9 008 8",
    ]);
}

#[test]
fn exact_bytes_come_back() {
    let records: Records =
        [&b"\xff\xfe"[..], b"user=\xff ok=1", b"\x00", b"plain"].into_iter().collect();
    check(&Folder::new(), &events(&Parser::builtin().unwrap(), "test", &records));
}

#[test]
fn templates_hold_what_records_share() {
    let line = |i: u32| {
        format!(
            "<86>1 2026-11-23T09:{:02}:{:02}Z srv{} sshd {} - - Failed password for user{} from \
             192.0.2.{} port {} ssh2",
            i / 60 % 60,
            i % 60,
            i % 7,
            400 + i,
            i % 11,
            i % 250,
            1024 + i
        )
    };
    let lines: Vec<String> = (0..2000).map(line).collect();
    let records: Records = lines.iter().map(String::as_bytes).collect();
    let batch = events(&Parser::builtin().unwrap(), "sshd", &records);
    let folder = Folder::new();
    check(&folder, &batch);
    let segment = folder.writer.write(&[batch]).unwrap().remove(0);
    let file = segment.open().unwrap();
    let tail = segment.tail(&file).unwrap();
    let templates = &tail.index.as_ref().unwrap().templates;
    let texts: Vec<&str> = templates.iter().map(|t| &*t.text).collect();
    assert!(texts.len() <= 6, "{texts:#?}");
    // Neither the message nor the record has a column of its own.
    let columns = tail.footer.schema();
    assert!(columns.index_of("message").is_err() && columns.index_of(ORIGINAL.column()).is_err());
}

#[test]
fn any_column_can_be_asked_for_alone() {
    let records: Records = [
        &br#"{"message":"hello world","user.name":"root","http":{"id":"x","n":5}}"#[..],
        br#"{"message":"bye 7","user.name":"eve","http":{"id":"y"}}"#,
    ]
    .into_iter()
    .cycle()
    .take(64)
    .collect();
    let batch = events(&Parser::builtin().unwrap(), "test", &records);
    let folder = Folder::new();
    let whole = folder.through(&batch, &Scan::default());
    let names = FIELDS.iter().map(|f| f.column).chain([ATTRIBUTES]);
    for name in names {
        let scan = Scan { columns: Some(vec![name.to_string()]), ..Scan::default() };
        let alone = folder.through(&batch, &scan);
        assert_eq!(alone[0].column(0), whole[0].column_by_name(name).unwrap(), "{name}");
    }
}

/// Records with these words, as the scan finds them and as they are.
#[track_caller]
fn check_words(folder: &Folder, batch: &Batch, words: &[&str]) {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    let scan = Scan { words: words.clone(), ..Scan::default() };
    check_found(folder, batch, scan, |text| crate::codec::words::has_words(text, &words));
}

/// The same for records with one of these parts.
#[track_caller]
fn check_parts(folder: &Folder, batch: &Batch, parts: &[&str]) {
    let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
    let scan = Scan { parts: parts.clone(), ..Scan::default() };
    let has = |text: &[u8], part: &str| {
        text.windows(part.len()).any(|at| at.eq_ignore_ascii_case(part.as_bytes()))
    };
    check_found(folder, batch, scan, |text| parts.iter().any(|part| has(text, part)));
}

#[track_caller]
fn check_found(folder: &Folder, batch: &Batch, scan: Scan, has: impl Fn(&[u8]) -> bool) {
    let asked = format!("{:?} {:?}", scan.words, scan.parts);
    let scan = Scan { columns: Some(vec!["event_id".to_string()]), ..scan };
    let mut found: Vec<i64> = Vec::new();
    for part in folder.through(batch, &scan) {
        found.extend(
            arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(part.column(0))
                .values(),
        );
    }
    found.sort_unstable();
    let texts = batch.text(ORIGINAL).unwrap();
    let has = |row: &usize| has(texts.value(*row).as_bytes());
    let expected: Vec<i64> = (0..batch.rows()).filter(has).map(|row| batch.ids()[row]).collect();
    assert_eq!(found, expected, "{asked}");
}

#[test]
fn words_are_found_wherever_they_lie() {
    let line = |i: u32| match i % 3 {
        0 => format!(
            "<86>1 2026-11-23T09:00:00Z srv{} sshd {i} - - Failed password for user{} from 192.0.2.{} port {i} ssh2",
            i % 7,
            i % 11,
            i % 250
        ),
        1 => format!(
            r#"{{"message":"request finished","user.name":"user{}","trace.id":"{i:032x}","path":"C:\\dir\\file{}","tab":"a\tb"}}"#,
            i % 700,
            i % 5
        ),
        2 if i.is_multiple_of(2) => {
            format!("<13>Nov 23 09:00:{:02} host{} app: said {i}", i % 60, i % 3)
        }
        _ => format!("free text {} with needle{i} and ünïcode", i % 13),
    };
    let lines: Vec<String> = (0..6000).map(line).collect();
    let records: Records = lines.iter().map(String::as_bytes).collect();
    let batch = events(&Parser::builtin().unwrap(), "mixed", &records);
    let folder = Folder::new();
    for words in [
        &["failed"][..],
        &["password", "user3"],
        &["srv3"],
        &["srv"],
        &["needle17"],
        &["request"],
        &["user650"],
        &["file3"],
        &["dir"],
        &["tb"],
        &["b"],
        &["192"],
        &["249"],
        &["09"],
        &["free", "12"],
        &["absent"],
        &["00000000000000000000000000000001"],
        &["n"],
        &["ssh2"],
        &["4711"],
        &["23t09"],
    ] {
        check_words(&folder, &batch, words);
    }
    for parts in [
        &["ailed pass"][..],
        &["rv3 sshd 3"],
        &["word for user3 from 192.0"],
        &["user"],
        &["ser65"],
        &["from 192.0.2.7"],
        &["ent", "absent"],
        &["absent"],
        &["000001"],
        &["with needle1"],
        &["3t09"],
        &["z srv"],
        &["ov 23"],
        &["v 23 09:00:00 h"],
        &["eedle17 an", "file3", "est fin"],
        &[", "],
        &["\u{1f}"],
    ] {
        check_parts(&folder, &batch, parts);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_records_come_back_and_their_words_are_found(
        lines in prop::collection::vec(
            r#"[a-c]{0,3}=[0-9]{0,3}|\{"a":"[a"\\b]{0,4}","b":[0-9]{1,3}\}|[ -~]{0,40}|(?s:.{0,20})"#,
            1..60
        ),
    ) {
        let records: Records = lines.iter().map(String::as_bytes).collect();
        let batch = events(&Parser::builtin().unwrap(), "any", &records);
        let folder = Folder::new();
        check(&folder, &batch);
        for word in crate::codec::words::words(lines[0].as_bytes()).take(2) {
            let word = String::from_utf8_lossy(word).to_ascii_lowercase();
            check_words(&folder, &batch, &[&word]);
        }
        let plain = |c: char| c.is_ascii() && c != '"' && c != '\\';
        let ends = lines.iter().flat_map(|line| line.split(|c| !plain(c)));
        for text in ends.filter(|text| text.len() >= 2).take(3) {
            let part = text[text.len() / 3..].to_ascii_lowercase();
            check_parts(&folder, &batch, &[&part]);
            check_parts(&folder, &batch, &[&part[..part.len().div_ceil(2)], "zz"]);
        }
    }
}

/// Bytes of each file that are read; all of it when `PUGMARK_WHOLE_FILES` is set, which takes a
/// release build and some minutes.
const FILE_BYTES_MAX: usize = 4 << 10;
/// Records of several files are written together: a file system's sync is not what is tested.
const TOGETHER_BYTES_MIN: usize = 4 << 20;

#[test]
fn every_file_of_the_shared_data_comes_back() {
    let root = Path::new(concat!(env!("WORKSPACE_ROOT"), "../shared/data"));
    let mut files = Vec::new();
    walk(root, &mut files);
    #[allow(clippy::print_stderr)] // the only way a test can say what it did
    {
        eprintln!("{} files of ../shared/data (0 means skipped: it is absent)", files.len());
    }
    let parser = Parser::builtin().unwrap();
    let folder = Folder::new();
    let whole = std::env::var_os("PUGMARK_WHOLE_FILES").is_some();
    let bytes_max = if whole { usize::MAX } else { FILE_BYTES_MAX };
    let mut together = Records::new();
    for path in &files {
        let mut bytes = std::fs::read(path).unwrap();
        bytes.truncate(bytes_max);
        frame::body(bytes).iter().for_each(|record| together.push(record));
        if together.byte_len() >= TOGETHER_BYTES_MIN || Some(path) == files.last() {
            check(&folder, &events(&parser, "shared", &together));
            together = Records::new();
        }
    }
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// Keeps events whose id divides so.
#[derive(Debug)]
struct Every(i64);

impl crate::keep::Keep for Every {
    fn columns(&self) -> Vec<String> {
        vec!["event_id".into(), "user_name".into()]
    }

    fn keep(&self, batch: &RecordBatch) -> arrow::array::BooleanArray {
        let ids = batch.column(0).as_primitive::<arrow::datatypes::Int64Type>();
        ids.values().iter().map(|id| Some(id % self.0 == 0)).collect()
    }
}

/// The names of users and hosts, row by row.
fn names(batches: &[RecordBatch]) -> Vec<String> {
    let mut names = Vec::new();
    for batch in batches {
        let text = |at: usize| arrow::compute::cast(batch.column(at), &DataType::Utf8).unwrap();
        let (users, hosts) = (text(0), text(1));
        for row in 0..batch.num_rows() {
            let cell = |c: &dyn Array| {
                c.is_valid(row).then(|| c.as_string::<i32>().value(row).to_string())
            };
            names.push(format!("{:?} {:?}", cell(&users), cell(&hosts)));
        }
    }
    names
}

#[test]
fn dictionaries_say_the_same() {
    let parser = Parser::builtin().unwrap();
    let folder = Folder::new();
    let lines: Vec<String> = (0..20_000u32)
        .map(|i| match i % 5 {
            0 => format!(r#"{{"host.name":"h{}","n":{i}}}"#, i / 999),
            1 => format!(r#"{{"user.name":"u{}","n":{i}}}"#, i % 7),
            _ => format!(r#"{{"user.name":"u{}","host.name":"h{}"}}"#, i % 13, i / 777),
        })
        .collect();
    let batch = events(&parser, "app", &lines.iter().map(String::as_bytes).collect());
    for every in [1, 2, 3, 40, 5000, 9000] {
        let scan = |dictionaries| Scan {
            columns: Some(vec!["user_name".into(), "host_name".into()]),
            keep: Some(Arc::new(Every(every))),
            dictionaries,
            ..Scan::default()
        };
        let (with, without) = (scan(true), scan(false));
        let with = folder.through(&batch, &with);
        assert!(matches!(with[0].column(0).data_type(), DataType::Dictionary(..)));
        assert_eq!(names(&with), names(&folder.through(&batch, &without)), "{every}");
    }
}

/// How many events have each column, as the rows say.
fn rows_with_value(batches: &[Batch]) -> BTreeMap<String, u64> {
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for batch in batches {
        for field in FIELDS.iter().filter(|field| field.column != ATTRIBUTE_KINDS.column()) {
            let column = batch.columns().column_by_name(field.column);
            let with = column.map_or(0, |column| column.len() - column.null_count());
            *found.entry(field.column.to_string()).or_default() += with as u64;
        }
        for row in 0..batch.rows() {
            for (name, _) in batch.attributes().row(row) {
                *found.entry(format!("attributes.{name}")).or_default() += 1;
            }
        }
    }
    found.retain(|_, events| *events > 0);
    found
}

#[track_caller]
fn check_present(segments: Vec<Arc<Segment>>, expected: &BTreeMap<String, u64>) {
    let present = Snapshot::new(Vec::new(), Arc::new(segments)).present(None, None).unwrap();
    assert!(present.columns.values().all(|present| present.exact), "{present:?}");
    let found: BTreeMap<String, u64> =
        present.columns.into_iter().map(|(column, present)| (column, present.events)).collect();
    assert_eq!(found, *expected);
}

#[test]
fn columns_are_counted_as_their_rows_say() {
    let parser = Parser::builtin().unwrap();
    let folder = Folder::new();
    let (mut batches, mut segments) = (Vec::new(), Vec::new());
    for part in 0..3 {
        let line = |i: usize| match i % 3 {
            0 => format!(
                "<86>1 2026-11-23T09:00:00Z srv sshd {i} - - Failed password for u{i} from 192.0.2.1 port {i} ssh2"
            ),
            1 => format!(
                r#"{{"message":"took {i} ms","only{part}":"x","source":{{"port":"x{i}"}},"n":{i},"z":null}}"#
            ),
            _ => format!("{i} words alone"),
        };
        let lines: Vec<String> = (0..200 + 100 * part).map(line).collect();
        let mut records: Records = lines.iter().map(String::as_bytes).collect();
        records.push(b"odd \xff bytes");
        let input = Input {
            source: "web",
            records: &records,
            first_id: 1 + 1000 * part as i64,
            received: RECEIVED,
            format: None,
        };
        let batch = parser.parse(&input);
        segments.extend(folder.writer.write(std::slice::from_ref(&batch)).unwrap());
        batches.push(batch);
    }
    let expected = rows_with_value(&batches);
    assert!(expected["message"] > 0 && expected["attributes.source.port"] > 0, "{expected:?}");
    check_present(segments.clone(), &expected);
    let info = merge(&folder.writer, &segments, &mut || true).unwrap().unwrap();
    check_present(vec![folder.writer.handle(info)], &expected);
}
