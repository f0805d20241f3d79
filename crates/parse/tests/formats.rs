//! Records of every format, and hostile ones, as the events that come out.

use std::sync::LazyLock;

use proptest::prelude::*;
use pugmark_event::json::RowWriter;
use pugmark_event::{Batch, Records, time};
use pugmark_parse::{Headers, Input, PackSource, Parser, formats};
use serde_json::{Map, Value};

static PARSER: LazyLock<Parser> = LazyLock::new(|| Parser::builtin().unwrap());

fn batch(parser: &Parser, records: &Records, format: Option<&str>) -> Batch {
    let received = time::parse_rfc3339("2026-11-23T10:00:00Z").unwrap();
    parser.parse(&Input { source: "test", records, first_id: 7, received, format })
}

/// The event of one record without the columns that every event has, the time without its day.
fn event(record: &[u8]) -> Map<String, Value> {
    let batch = batch(&PARSER, &[record].into_iter().collect(), None);
    let mut json = Vec::new();
    RowWriter::new(batch.columns()).write(0, &mut json);
    let mut event: Map<String, Value> = serde_json::from_slice(&json).unwrap();
    for always in ["event.ingested", "event.id", "event.source", "event.original"] {
        event.shift_remove(always);
    }
    event
}

#[track_caller]
fn check(record: &str, expected: Value) {
    let event = event(record.as_bytes());
    let expected = expected.as_object().unwrap();
    let shown = serde_json::to_string_pretty(&event).unwrap();
    for (name, value) in expected {
        let got = event.get(name).unwrap_or(&Value::Null);
        assert_eq!(got, value, "{name} of {record}\n{shown}");
    }
}

macro_rules! expect {
    ($record:expr, $expected:tt) => {
        check($record, serde_json::json!($expected))
    };
}

#[test]
fn json() {
    expect!(r#"{"time":"2026-11-23T09:00:00Z","level":"warn","msg":"m","host":"h","user":{"name":"anna"},"a":{"b":[1,2]},"n":1.50}"#, {
        "@timestamp": "2026-11-23T09:00:00Z", "event.severity": 3, "log.level": "warn",
        "message": "m", "host.name": "h", "user.name": "anna", "a.b": [1, 2], "n": 1.5,
        "event.issues": null,
    });
    expect!(r#"{"ts":1795424400.25,"message":{"deep":1},"event":{"id":9}}"#, {
        "@timestamp": "2026-11-23T09:00:00.250Z", "message.deep": 1, "original.event.id": 9,
    });
    expect!(r#"{"__REALTIME_TIMESTAMP":"1795424400000000","MESSAGE":"Invalid user x from 192.0.2.1 port 9","SYSLOG_IDENTIFIER":"sshd","_HOSTNAME":"h"}"#, {
        "@timestamp": "2026-11-23T09:00:00Z", "logsource.service": "sshd", "source.ip": "192.0.2.1",
        "host.name": "h", "event.action": "ssh_invalid_user",
    });
    expect!(r#"{"source":{"ip":"not an address","port":"007"}}"#, {
        "source.ip": "not an address", "source.port": "007",
        "event.issues": "type:source.ip,type:source.port,time_missing",
    });
    expect!(r#"{"broken": "#, {
        "message": "{\"broken\": ", "event.issues": "not_understood,time_missing",
    });
}

#[test]
fn syslog() {
    expect!("<34>1 2026-11-23T09:00:00.003Z host app 12 ID47 [a@1 k=\"v \\\"q\\] \\\\\"][b] \u{feff}text", {
        "@timestamp": "2026-11-23T09:00:00.003Z", "host.name": "host", "process.name": "app",
        "process.pid": 12, "syslog.msgid": "ID47", "syslog.sd.a@1.k": "v \"q] \\",
        "message": "text", "syslog.facility": "auth", "syslog.priority": 34, "event.severity": 5,
    });
    expect!("<13>Nov 23 09:00:00 host app: text", {
        "host.name": "host", "process.name": "app", "message": "text", "event.severity": 2,
        "event.issues": "year_guessed",
    });
    expect!("<13>1 - - - - - -", {
        "message": null, "host.name": null, "event.issues": "time_missing",
    });
    expect!("Nov 23 09:00:00 [sshd] text", { "process.name": "sshd", "message": "text" });
    expect!("Nov 23 09:00:00 [error] text", { "process.name": null, "log.level": "error" });
    expect!("srv sshd[12]: text", { "host.name": "srv", "process.name": "sshd", "process.pid": 12 });
    expect!("2026-11-23 09:00:00 srv sshd[12]: text", { "host.name": "srv", "process.pid": 12 });
    expect!("2026-11-23 09:00:00 worker started: ok", { "host.name": null });
    expect!("<13>just text", { "message": "just text", "syslog.priority": 13 });
    expect!("Nov 23 09:00:00 sshd[7]: text", { "host.name": null, "process.name": "sshd" });
    expect!("2026-11-23T09:00:00+01:00 web1 app[a-7]: k=v and more", {
        "@timestamp": "2026-11-23T08:00:00Z", "host.name": "web1", "process.name": "app",
        "syslog.procid": "a-7", "message": "k=v and more",
    });
    expect!("<13>1 2026-11-23T09:00:00Z h shop 1 - - {\"level\":\"error\",\"user.name\":\"anna\"}", {
        "event.severity": 4, "user.name": "anna", "host.name": "h", "process.name": "shop",
    });
    expect!("<999>1 2026-11-23T09:00:00Z h a - - - x", { "event.issues": "not_understood,time_missing" });
    expect!("<13>1 2026-11-23T09:00:00Z h a - - [open x=\"", { "message": "[open x=\"" });
}

#[test]
fn text_in_utf16_is_read_whatever_stands_beside_it() {
    let text = "Nov 20 12:14:14 web1 sshd[42]: Invalid user admin from 192.0.2.5 port 4242";
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for beside in [&b"plain ASCII"[..], b"\xff\xfe\xfd"] {
        let batch = batch(&PARSER, &[&wide[..], beside].into_iter().collect(), None);
        let mut json = Vec::new();
        RowWriter::new(batch.columns()).write(0, &mut json);
        let event: Map<String, Value> = serde_json::from_slice(&json).unwrap();
        assert_eq!(event["event.encoding"], "utf-16le", "{event:?}");
        assert_eq!(event["user.name"], "admin", "{event:?}");
    }
}

#[test]
fn each_format_has_a_name_of_its_own() {
    let names: Vec<&str> = formats().collect();
    for (at, name) in names.iter().enumerate() {
        assert!(!name.is_empty() && !names[..at].contains(name), "{name} in {names:?}");
    }
    assert!(["json", "plain", "w3c", "zeek", "table"].iter().all(|name| names.contains(name)));
}

/// What an sshd of the host `web1` writes, in all the ways in which it may arrive.
#[track_caller]
fn check_sshd(record: &str, more: Value) {
    let sshd = serde_json::json!({
        "event.action": "ssh_invalid_user", "source.ip": "192.0.2.5", "user.name": "admin",
        "process.name": "sshd", "process.pid": 42,
    });
    check(record, sshd);
    check(record, more);
}

macro_rules! sshd {
    ($head:expr, $expected:tt) => {
        check_sshd(
            &[$head, "Invalid user admin from 192.0.2.5 port 4242"].concat(),
            serde_json::json!($expected),
        )
    };
}

#[test]
fn heads_of_syslog_as_daemons_and_relays_write_them() {
    sshd!("Nov 20 12:14:14 web1 sshd[42]: ", { "host.name": "web1", "event.repeated": null });
    sshd!("<38>1 2026-11-20T12:14:14Z web1 sshd[42] - - - ", { "host.name": "web1" });
    sshd!("<38>1 2026-11-20 12:14:14.5+01:00 web1 sshd 42 - - ", {
        "host.name": "web1", "@timestamp": "2026-11-20T11:14:14.500Z",
    });
    sshd!("107 <38>1 2026-11-20T12:14:14Z web1 sshd 42 - - ", {
        "host.name": "web1", "syslog.facility": "auth",
    });
    sshd!("74 Nov 20 12:14:14 web1 sshd[42]: ", { "host.name": "web1" });
    sshd!("Nov 20 12:14:14 web1 auth.err sshd[42]: ", {
        "host.name": "web1", "syslog.facility": "auth", "event.severity": 4,
    });
    sshd!("Nov 20 12:14:14 web1 auth|security:info sshd[42]: ", {
        "host.name": "web1", "syslog.facility": "auth", "event.severity": 1,
    });
    sshd!("Nov 20 12:14:14 <auth.info> web1 sshd[42]: ", {
        "host.name": "web1", "syslog.facility": "auth",
    });
    sshd!("Nov 20 12:14:14 <4.6> web1 sshd[42]: ", { "syslog.facility": "auth" });
    sshd!("Nov 20 12:14:14 web1 <auth.info> sshd[42]: ", {
        "host.name": "web1", "syslog.facility": "auth",
    });
    sshd!("Fri Nov 20 12:14:14 2026 authpriv.info sshd[42]: ", {
        "host.name": null, "syslog.facility": "authpriv", "@timestamp": "2026-11-20T12:14:14Z",
    });
    sshd!("Nov 20 12:14:14 Message forwarded from web1: sshd[42]: ", { "host.name": "web1" });
    sshd!("Nov 20 12:14:14 relay Message forwarded from web1: auth|security:info sshd[42]: ", {
        "host.name": "web1", "syslog.relay": "relay", "syslog.facility": "auth",
    });
    sshd!("Nov 20 12:14:14 192.0.2.99 Nov 20 12:14:13 web1 sshd[42]: ", {
        "host.name": "web1", "syslog.relay": "192.0.2.99", "@timestamp": "2026-11-20T12:14:13Z",
    });
    sshd!("2026-11-20T12:14:14Z 192.0.2.99 <38>Nov 20 13:14:13 web1 sshd[42]: ", {
        "host.name": "web1", "syslog.relay": "192.0.2.99", "@timestamp": "2026-11-20T12:14:14Z",
    });
    sshd!("Nov 20 12:14:14 relay/192.0.2.99 web1 sshd[42]: ", {
        "host.name": "web1", "syslog.relay": "relay/192.0.2.99",
    });
    sshd!("<38>Nov 20 12:14:14 192.0.2.99:514 sshd[42]: ", { "host.name": "192.0.2.99" });
    sshd!("Nov 20 12:14:14 web1 sshd[42]: message repeated 2 times: [ ", {
        "event.repeated": 2, "message": "Invalid user admin from 192.0.2.5 port 4242",
    });
    // Each head alone may be hostile.
    let many = "- Nov 20 12:14:14 ".repeat(20_000) + "web1 sshd[42]: text";
    assert_eq!(event(format!("<13>Nov 20 12:14:14 {many}").as_bytes())["syslog.relay"], "-");
}

#[test]
fn what_only_looks_like_a_head_is_none() {
    expect!("Nov 20 12:14:14 web1 sshd[42]: message repeated 2 times: [ Connection closed]", {
        "message": "Connection closed", "event.repeated": 2,
    });
    expect!("Nov 20 12:14:14 web1 app: message repeated often: [ text]", {
        "message": "message repeated often: [ text]", "event.repeated": null,
    });
    expect!("Nov 20 12:14:14 web1 last message repeated 3 times", {
        "host.name": "web1", "message": "last message repeated 3 times",
    });
    expect!("Fri Nov 20 12:14:14 2026 192.0.2.7:51515 TLS Error: TLS handshake failed", {
        "host.name": null, "message": "192.0.2.7:51515 TLS Error: TLS handshake failed",
    });
    expect!("2026-11-20T12:14:14.123456789+01:00 container exec_create: /bin/sh -c ls 0a1b (image=web, name=web-1)", {
        "host.name": null, "process.name": null,
    });
    expect!("Nov 20 12:14:14 web1 app.info something is wrong: no", {
        "host.name": "web1", "message": "app.info something is wrong: no",
    });
    expect!("Nov 20 12:14:14 web1 2026-11-20 12:14:14 worker started: ok", {
        "host.name": "web1", "message": "2026-11-20 12:14:14 worker started: ok",
    });
    expect!("7 monkeys", { "message": "7 monkeys" });
    expect!("30 things that are not counted", { "message": "30 things that are not counted" });
}

#[test]
fn keyvalue_and_plain() {
    expect!(r#"ts=2026-11-23T09:00:00Z level=info msg="a \"b\"" path="C:\new" n=5 user.name=anna"#, {
        "@timestamp": "2026-11-23T09:00:00Z", "message": "a \"b\"", "path": "C:\\new", "n": "5",
        "user.name": "anna", "event.severity": 1,
    });
    expect!("2026-11-23 09:00:00,123 ERROR main: boom", {
        "@timestamp": "2026-11-23T09:00:00.123Z", "log.level": "ERROR", "event.severity": 4,
        "message": "main: boom", "event.issues": "zone_guessed",
    });
    expect!("2026-11-23T09:00:00Z INFO main: started", {
        "log.level": "INFO", "host.name": null, "event.issues": null,
    });
    expect!("x = 5, said the fox", { "event.issues": "not_understood,time_missing" });
    expect!("\u{1b}[31mred\u{1b}[0m <script>alert(1)</script>", {
        "message": "red <script>alert(1)</script>",
    });
    expect!("", { "event.issues": "not_understood,time_missing", "message": null });
}

#[test]
fn cef_and_leef() {
    expect!("CEF:0|V|P|1|100|A port scan|7|src=192.0.2.1 spt=4711 msg=One word more rt=1795424400000", {
        "@timestamp": "2026-11-23T09:00:00Z", "message": "One word more", "event.severity": 4,
        "src": "192.0.2.1", "cef.name": "A port scan", "event.issues": null,
    });
    expect!("<13>Nov 23 09:00:00 fw1 CEF:0|V|P|1|100|A port scan|7|act=blocked", {
        "host.name": "fw1", "act": "blocked", "message": "A port scan",
    });
    expect!("LEEF:1.0|V|P|1|100|src=192.0.2.1\tusrName=anna\tsev=9", {
        "src": "192.0.2.1", "usrName": "anna", "event.severity": 5,
    });
}

#[test]
fn entries_of_the_journal() {
    expect!("__CURSOR=a\n__REALTIME_TIMESTAMP=1795424400000000\nMESSAGE\n\u{5}\0\0\0\0\0\0\0x\ny=z\nPRIORITY=6\nSYSLOG_IDENTIFIER=app\n_HOSTNAME=h", {
        "@timestamp": "2026-11-23T09:00:00Z", "message": "x\ny=z", "process.name": "app",
        "host.name": "h", "PRIORITY": "6",
    });
}

#[test]
fn audit_records_of_one_serial_number_know_their_process() {
    let events = events_of(&[&[
        "type=SYSCALL msg=audit(1795424400.1:7): arch=c000003e exe=\"/bin/cat\" comm=\"cat\" pid=12 ppid=11 auid=1000 ses=3",
        "type=SYSCALL msg=audit(1795424400.1:8): arch=c000003e exe=\"/bin/ls\" pid=13 auid=4294967295",
        "type=EXECVE msg=audit(1795424400.1:7): argc=2 a0=\"cat\" a1=\"/etc/shadow\"",
        "type=PATH msg=audit(1795424400.1:8): item=0 name=\"/tmp\"",
        "type=PATH msg=audit(1795424400.1:9): item=0 name=\"/tmp\"",
    ]]);
    let text = |event: usize, name: &str| {
        events[event]
            .get(name)
            .map_or_else(String::new, |v| v.as_str().map_or(v.to_string(), str::to_string))
    };
    for (event, exe, pid, user) in
        [(2, "/bin/cat", "12", "1000"), (3, "/bin/ls", "13", ""), (4, "", "", "")]
    {
        let got = ["process.executable", "process.pid", "user.id"].map(|name| text(event, name));
        assert_eq!(got, [exe, pid, user], "{event}");
    }
    assert_eq!(text(2, "process.command_line"), "cat /etc/shadow");
}

#[test]
fn lines_of_syslog_as_shippers_write_them() {
    let text = "Invalid user admin from 192.0.2.5 port 4242";
    for shipped in [
        serde_json::json!({"pri": "38", "host": "web1", "ident": "sshd", "pid": "42", "message": text}),
        serde_json::json!({"appname": "sshd", "procid": 42, "hostname": "web1", "severity": "info",
            "timestamp": "2026-11-23T09:00:00Z", "message": text}),
        serde_json::json!({"program": "sshd", "pid": "42", "logsource": "web1", "message": text}),
        serde_json::json!({"programname": "sshd", "procid": "42", "host": "web1", "message": text}),
        serde_json::json!({"programname": "sshd", "syslogtag": "sshd[42]:", "host": "web1",
            "message": format!(" {text}")}),
        serde_json::json!({"PROGRAM": "sshd", "PID": "42", "HOST": "web1", "PRIORITY": "info",
            "DATE": "Nov 23 09:00:00", "MESSAGE": text}),
        serde_json::json!({"process": {"name": "sshd", "pid": 42}, "host": {"hostname": "web1"},
            "message": text}),
        serde_json::json!({"process": {"name": "sshd", "pid": 42}, "host": {"name": "web1"},
            "log": {"file": {"path": "/var/log/auth.log"}}, "message": text}),
        serde_json::json!({"version": "1.1", "host": "web1", "short_message": text, "level": 6,
            "_application_name": "sshd", "_process_id": 42}),
        serde_json::json!({"syslog_identifier": "sshd", "_pid": "42", "_hostname": "web1",
            "priority": "6", "message": text}),
        serde_json::json!({"syslog_program": "sshd", "syslog_pid": "42", "syslog_hostname": "web1",
            "syslog_message": text}),
        serde_json::json!({"TimeGenerated": "2026-11-23T09:00:00Z", "ProcessName": "sshd",
            "ProcessID": 42, "HostName": "web1", "Facility": "auth", "SeverityLevel": "info",
            "SyslogMessage": text}),
        serde_json::json!({"program": "sshd", "pid": "42", "logsource": "web1",
            "message": format!("message repeated 2 times: [ {text}]")}),
        serde_json::json!({"event": {"original": format!("Nov 20 12:14:14 web1 sshd[42]: {text}")}}),
        serde_json::json!({"_index": "logs", "_id": "1", "_source": {
            "program": "sshd", "pid": "42", "logsource": "web1", "message": text}}),
        serde_json::json!({"textPayload": format!("Nov 20 12:14:14 web1 sshd[42]: {text}")}),
        serde_json::json!({"jsonPayload": {
            "message": format!("Nov 20 12:14:14 web1 sshd[42]: {text}")}}),
        serde_json::json!({"messageType": "DATA_MESSAGE", "logGroup": "g", "logStream": "s",
            "logEvents": [{"id": "1", "timestamp": 1_795_424_400_000_i64,
                "message": format!("Nov 20 12:14:14 web1 sshd[42]: {text}")}, {"id": "2"}]}),
    ] {
        check_sshd(
            &shipped.to_string(),
            serde_json::json!({
                "host.name": "web1", "message": text, "logsource.service": "sshd",
            }),
        );
    }
}

#[test]
fn names_of_shippers_alone_say_nothing() {
    expect!(r#"{"program":"sshd","message":"x"}"#, { "program": "sshd", "logsource.service": null });
    expect!(r#"{"program":"sshd","logsource":"web1"}"#, { "program": "sshd", "logsource": "web1" });
    expect!(r#"{"process":{"name":"sshd","executable":"/usr/sbin/sshd"},"host":{"name":"h"},"message":"x"}"#, {
        "process.name": "sshd", "logsource.service": null,
    });
    expect!(r#"{"ident":5,"message":"x"}"#, { "ident": 5, "message": "x" });
    expect!(r#"{"textPayload":"some text","severity":"ERROR"}"#, {
        "message": "some text", "log.level": "ERROR", "event.issues": "time_missing",
    });
    expect!(r#"{"event":{"original":"some text"}}"#, { "original.event.original": "some text" });
    expect!(r#"{"logEvents":[5],"a":"b"}"#, { "a": "b", "logEvents": [5] });
    expect!(r#"{"short_message":"x","_application_name":"app","level":3,"host":"h"}"#, {
        "event.severity": 4, "process.name": "app", "host.name": "h",
    });
}

#[test]
fn the_file_that_a_shipper_read_counts_like_a_source() {
    let line = "192.0.2.7 - - [23/Nov/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 5";
    for (shipped, expected) in [
        (serde_json::json!({"log": {"file": {"path": "/var/log/nginx/access.log"}}}), "nginx"),
        (serde_json::json!({"stream": "stdout", "event": {"module": "nginx"}}), "nginx"),
        (serde_json::json!({"stream": "stdout", "fileset": {"module": "apache"}}), "apache"),
    ] {
        let mut shipped = shipped;
        shipped["message"] = line.into();
        check(&shipped.to_string(), serde_json::json!({ "logsource.service": expected }));
    }
}

#[test]
fn windows_events_as_shippers_write_them() {
    for shipped in [
        serde_json::json!({"@timestamp": "2026-11-23T09:00:00Z", "event_id": 4625,
            "log_name": "Security", "source_name": "Microsoft-Windows-Security-Auditing",
            "computer_name": "pc1", "record_number": "7", "level": "Information",
            "event_data": {"TargetUserName": "bob", "IpAddress": "192.0.2.5"}}),
        serde_json::json!({"win": {
            "system": {"eventID": "4625", "channel": "Security", "computer": "pc1",
                "providerName": "Microsoft-Windows-Security-Auditing", "eventRecordID": "7",
                "systemTime": "2026-11-23T09:00:00Z"},
            "eventdata": {"targetUserName": "bob", "ipAddress": "192.0.2.5"}}}),
        serde_json::json!({"data": {"win": {
            "system": {"eventID": "4625", "channel": "Security", "computer": "pc1",
                "providerName": "Microsoft-Windows-Security-Auditing", "eventRecordID": "7",
                "systemTime": "2026-11-23T09:00:00Z"},
            "eventdata": {"targetUserName": "bob", "ipAddress": "192.0.2.5"}}}}),
        serde_json::json!({"Event": {
            "System": {"EventID": 4625, "Channel": "Security", "Computer": "pc1",
                "EventRecordID": 7, "TimeCreated": {"SystemTime": "2026-11-23T09:00:00Z"}},
            "EventData": {"Data": {"TargetUserName": "bob", "IpAddress": "192.0.2.5"}}}}),
        serde_json::json!({"sourcetype": "XmlWinEventLog", "time": 1_795_424_400, "event": {
            "EventID": 4625, "Channel": "Security", "Computer": "pc1", "EventRecordID": 7,
            "TimeCreated": "2026-11-23T09:00:00Z",
            "TargetUserName": "bob", "IpAddress": "192.0.2.5"}}),
    ] {
        check(
            &shipped.to_string(),
            serde_json::json!({
                "@timestamp": "2026-11-23T09:00:00Z", "event.code": "4625", "user.name": "bob",
                "source.ip": "192.0.2.5", "host.name": "pc1", "logsource.service": "security",
            }),
        );
    }
    expect!(r#"{"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","UtcTime":"2026-11-23 09:00:00.123"}"#, {
        "@timestamp": "2026-11-23T09:00:00.123Z", "event.issues": null,
    });
    expect!(r#"{"eventID":"4625","rule":{"id":"1"},"data":{"win":{"system":{"eventID":"1","channel":"x"}}}}"#, {
        "eventID": "4625", "data.win.system.eventID": "1",
    });
}

#[test]
fn records_in_wraps_of_collectors() {
    let line = "Nov 23 09:00:00 web1 sshd[42]: Invalid user admin from 192.0.2.5 port 4242";
    check_sshd(
        &serde_json::json!({"time": 1_795_424_400, "sourcetype": "linux", "event": line})
            .to_string(),
        serde_json::json!({ "host.name": "web1", "sourcetype": "linux" }),
    );
    check_sshd(
        &serde_json::json!({"messageType": "DATA_MESSAGE", "logEvents": [{"message": line}]})
            .to_string(),
        serde_json::json!({ "host.name": "web1" }),
    );
    expect!(r#"{"message":"%ASA-3-313001: Denied ICMP type=8, code=0 from 192.0.2.1 on interface outside","log":{"source":{"address":"192.0.2.9:514"}},"input":{"type":"udp"}}"#, {
        "logsource.service": "asa", "event.code": "ASA-3-313001", "source.ip": "192.0.2.1",
    });
    expect!(r#"{"sourcetype":"app","event":{"message":"it failed","level":"error"}}"#, {
        "message": "it failed", "log.level": "error",
    });
    expect!(r#"{"sourcetype":"app","event":"some text"}"#, { "message": "some text" });
    expect!(r#"{"integration":"aws","aws":{"eventName":"ConsoleLogin","eventSource":"signin.amazonaws.com","eventTime":"2026-11-23T09:00:00Z","sourceIPAddress":"192.0.2.5","awsRegion":"eu-west-1","eventVersion":"1.08","eventID":"a","userIdentity":{"type":"Root"}}}"#, {
        "event.module": "amazon/cloudtrail", "source.ip": "192.0.2.5",
    });
    expect!(r#"{"RecordType":"x","AuditData":"{\"CreationTime\":\"2026-11-23T09:00:00\",\"Operation\":\"UserLoggedIn\",\"Workload\":\"AzureActiveDirectory\",\"OrganizationId\":\"o\",\"RecordType\":15,\"UserId\":\"a@example.com\",\"Id\":\"1\",\"ClientIP\":\"192.0.2.5\"}"}"#, {
        "event.module": "microsoft/m365", "source.ip": "192.0.2.5",
    });
    expect!(r#"{"AuditData":"none","a":1}"#, { "AuditData": "none" });
    expect!(r#"{"rule":{"id":"1","description":"d"},"agent":{"id":"2"},"full_log":"x","message":"y"}"#, {
        "message": "x", "original.message": "y", "event.issues": "time_missing",
    });
}

#[test]
fn cef_and_others_in_syslog_without_a_priority() {
    for head in
        ["Nov 23 09:00:00 h1 CEF:", "<134>Nov 23 09:00:00 h1 CEF: ", "Nov 23 09:00:00 h1 CEF: "]
    {
        check(
            &[head, "0|V|P|1|100|A port scan|7|act=blocked"].concat(),
            serde_json::json!({
                "host.name": "h1", "act": "blocked", "message": "A port scan", "process.name": null,
            }),
        );
    }
    expect!("Nov 23 09:00:00 h1 LEEF:1.0|V|P|1|100|src=192.0.2.1", {
        "host.name": "h1", "src": "192.0.2.1",
    });
    expect!("Jan  1 10:00:00 10.1.1.1 %ASA-session-5-106100: access-list a permitted tcp inside/192.0.2.1(1) -> outside/192.0.2.2(443) hit-cnt 1 first hit [0x1, 0x2]", {
        "host.name": "10.1.1.1", "event.code": "ASA-5-106100", "cisco.class": "session",
    });
    expect!("Nov 23 09:00:00 fw1 1,2026/11/23 09:00:00,0011,TRAFFIC,end,1,2026/11/23 09:00:00,192.0.2.1,192.0.2.2", {
        "host.name": "fw1",
    });
}

#[test]
fn a_head_of_samba_and_the_text_below_it() {
    expect!("[2026/11/23 09:00:00.123456,  2] ../../source3/auth/auth.c:334(auth_check)\n  check_ntlm_password:  Authentication for user [bob] -> [bob] FAILED with error NT_STATUS_WRONG_PASSWORD", {
        "@timestamp": "2026-11-23T09:00:00.123456Z", "samba.level": "2", "user.name": "bob",
        "log.origin.file.name": "../../source3/auth/auth.c", "event.outcome": "failure",
    });
    expect!("[2026/11/23 09:00:00, 0] a.c:1(f)", { "message": "a.c:1(f)", "samba.level": "0" });
    expect!("[2026/11/23 09:00:00] [error] text", { "samba.level": null, "log.level": "error" });
}

#[test]
fn audit_records_as_they_are_passed_on() {
    let login = "USER_AUTH pid=22 uid=0 auid=4294967295 msg='op=PAM:authentication acct=\"bob\" exe=\"/usr/sbin/sshd\" addr=192.0.2.5 res=failed'";
    for head in
        ["Nov 20 12:14:14 web1 audit[22]: ", "<85>1 2026-11-20T12:14:14Z web1 audit 22 - - "]
    {
        check(
            &[head, login].concat(),
            serde_json::json!({
                "@timestamp": "2026-11-20T12:14:14Z", "type": "USER_AUTH", "user.name": "bob",
                "source.ip": "192.0.2.5", "event.outcome": "failure", "host.name": "web1",
            }),
        );
    }
    check(
        &serde_json::json!({
            "__REALTIME_TIMESTAMP": "1795424400000000", "_TRANSPORT": "audit",
            "SYSLOG_IDENTIFIER": "audit", "_HOSTNAME": "web1", "_AUDIT_ID": "7", "MESSAGE": login,
        })
        .to_string(),
        serde_json::json!({
            "@timestamp": "2026-11-23T09:00:00Z", "type": "USER_AUTH", "user.name": "bob",
            "source.ip": "192.0.2.5", "event.outcome": "failure", "host.name": "web1",
        }),
    );
    expect!("Nov 20 12:14:14 web1 audit[22]: text without pairs", {
        "message": "text without pairs", "type": null,
    });
    expect!("type=USER_AUTH msg=audit(11/20/2026 18:00:01.123:22) : pid=22 uid=root acct=bob", {
        "@timestamp": "2026-11-20T18:00:01.123Z", "audit.serial": "22", "user.name": "bob",
    });
    expect!("type=SYSCALL msg=audit(1795424400.1:7): pid=12 ses=3 key=(null)ARCH=x86_64 SYSCALL=openat AUID=\"bob\"", {
        "key": null, "ARCH": "x86_64", "SYSCALL": "openat", "AUID": "bob",
    });
    expect!("type=PATH msg=audit(1795424400.1:7): name=\"/x\" cap_frootid=0OUID=\"root\" OGID=\"root\"", {
        "cap_frootid": "0", "OUID": "root", "OGID": "root",
    });
    for (saddr, expected) in [
        (
            "02000016C0000205",
            serde_json::json!({
                "audit.saddr.family": "inet", "audit.saddr.ip": "192.0.2.5", "audit.saddr.port": 22,
            }),
        ),
        (
            "02000016C0000205SADDR={ saddr_fam=inet laddr=192.0.2.5 lport=22 }",
            serde_json::json!({
                "audit.saddr.ip": "192.0.2.5", "saddr_fam": "inet",
            }),
        ),
        (
            "0A0001BB0000000020010DB8000000000000000000000001",
            serde_json::json!({
                "audit.saddr.family": "inet6", "audit.saddr.ip": "2001:db8::1", "audit.saddr.port": 443,
            }),
        ),
        (
            "01002F72756E2F6100",
            serde_json::json!({
                "audit.saddr.family": "unix", "audit.saddr.path": "/run/a", "audit.saddr.ip": null,
            }),
        ),
        ("01000061", serde_json::json!({ "audit.saddr.path": "@a" })),
        ("0200", serde_json::json!({ "audit.saddr.family": null, "saddr": "0200" })),
        ("zz", serde_json::json!({ "audit.saddr.family": null, "saddr": "zz" })),
    ] {
        check(&format!("type=SOCKADDR msg=audit(1795424400.1:7): saddr={saddr}"), expected);
    }
}

#[test]
fn access_logs() {
    expect!("192.0.2.7 - - [1/Apr/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 5", {
        "@timestamp": "2026-04-01T09:00:00Z", "source.ip": "192.0.2.7", "http.forwarded_for": null,
    });
    expect!("192.0.2.7, 198.51.100.9 - anna b [23/Nov/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 5", {
        "source.ip": "192.0.2.7", "user.name": "anna b",
        "http.forwarded_for": "192.0.2.7, 198.51.100.9", "destination.domain": null,
    });
    expect!("shop.example:443 unknown,192.0.2.7 - - [23/Nov/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 5", {
        "source.ip": "192.0.2.7", "destination.domain": "shop.example",
    });
    expect!(", - - [23/Nov/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 5", { "source.ip": null });
}

#[test]
fn lines_of_compose() {
    expect!("web-1  | 192.0.2.7 - - [23/Nov/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 5", {
        "source.ip": "192.0.2.7", "container.name": "web-1", "event.issues": null,
    });
    expect!("db | {\"level\":\"error\",\"msg\":\"no\"}", {
        "message": "no", "log.level": "error", "container.name": "db",
    });
    expect!("web-1  | Hello", { "message": "Hello", "container.name": "web-1" });
    expect!("left | right", { "message": "left | right", "container.name": null });
    expect!("INFO | 2026-11-23 09:00:00 it started", { "container.name": null });
}

#[test]
fn directives_of_headers_are_understood() {
    for line in ["#Software: Microsoft Internet Information Services 10.0", "#Version: 1.0"] {
        check(line, serde_json::json!({ "message": line, "event.issues": "time_missing" }));
    }
    expect!("# text", { "event.issues": "not_understood,time_missing" });
}

#[test]
fn marks_of_cisco_may_name_a_class() {
    expect!("<166>Nov 23 2026 09:00:00 fw1 : %ASA-session-6-302013: Built inbound TCP connection 1 for outside:192.0.2.1/1 (192.0.2.1/1) to inside:192.0.2.2/443 (192.0.2.2/443)", {
        "event.code": "ASA-6-302013", "cisco.facility": "ASA", "cisco.class": "session",
        "source.ip": "192.0.2.1", "logsource.service": "asa",
    });
}

#[test]
fn netfilter_leaves_the_packet_that_an_error_quotes() {
    expect!("Nov 23 09:00:00 web1 kernel: IN=eth0 OUT= SRC=192.0.2.1 DST=192.0.2.2 PROTO=ICMP TYPE=3 CODE=3 [SRC=10.0.0.1 DST=10.0.0.2 PROTO=UDP SPT=5 DPT=6 ]", {
        "source.ip": "192.0.2.1", "destination.ip": "192.0.2.2", "source.port": null, "SPT": null,
        "PROTO": "ICMP",
    });
}

#[test]
fn klog_lines() {
    expect!("E1123 09:00:00.123456    4711 server.go:12] it failed", {
        "@timestamp": "2026-11-23T09:00:00.123456Z", "log.level": "error", "message": "it failed",
        "process.thread.id": 4711, "log.origin.file.name": "server.go",
    });
}

#[test]
fn wraps_are_opened() {
    expect!("2026-11-23T09:00:00.5Z stdout F {\"level\":\"warn\",\"msg\":\"m\",\"n\":1}", {
        "@timestamp": "2026-11-23T09:00:00.500Z", "log.level": "warn", "message": "m", "n": 1,
        "stream": "stdout",
    });
    expect!(r#"{"log":"192.0.2.1 - - [23/Nov/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 5\n","stream":"stdout","time":"2026-11-23T09:00:01Z"}"#, {
        "@timestamp": "2026-11-23T09:00:01Z", "source.ip": "192.0.2.1", "url.path": "/",
        "stream": "stdout", "event.issues": null,
    });
    // JSON in syslog in JSON.
    expect!(r#"{"stream":"stderr","log":"<13>1 2026-11-23T09:00:00Z h app 7 - - {\"user.name\":\"anna\"}"}"#, {
        "user.name": "anna", "host.name": "h", "process.name": "app", "stream": "stderr",
    });
    expect!(r#"{"version":"1.1","host":"h","short_message":"it failed","timestamp":1795424400.25,"_user":"anna"}"#, {
        "@timestamp": "2026-11-23T09:00:00.250Z", "host.name": "h", "message": "it failed",
        "_user": "anna",
    });
    let mut record = "text".to_string();
    for _ in 0..8 {
        record = serde_json::json!({"stream": "stdout", "log": record}).to_string();
    }
    assert_eq!(event(record.as_bytes())["event.issues"], "wraps_cut,time_missing");
}

/// The events of an input that comes in blocks, with the header that each block is told.
fn events_of(blocks: &[&[&str]]) -> Vec<Map<String, Value>> {
    let mut headers = Headers::default();
    let mut events = Vec::new();
    for block in blocks {
        let records: Records = block.iter().map(|record| record.as_bytes()).collect();
        let header = headers.next(&records);
        let batch = batch(&PARSER, &records, header.as_deref());
        let rows = RowWriter::new(batch.columns());
        for row in 0..batch.rows() {
            let mut json = Vec::new();
            rows.write(row, &mut json);
            events.push(serde_json::from_slice(&json).unwrap());
        }
    }
    events
}

#[test]
fn a_header_holds_for_the_blocks_below_it() {
    let blocks: [&[&str]; 3] = [
        &["#Fields: date time c-ip sc-status", "2026-11-23 09:00:00 192.0.2.1 200"],
        &["2026-11-23 09:00:01 192.0.2.2 404"],
        &["#Fields: date time sc-status c-ip", "2026-11-23 09:00:02 500 192.0.2.3"],
    ];
    let status = |event: &Map<String, Value>| event.get("http.response.status_code").cloned();
    let statuses: Vec<Value> = events_of(&blocks).iter().filter_map(status).collect();
    assert_eq!(statuses, [200, 404, 500]);
    let table: [&[&str]; 2] = [
        &["time,user.name,note", "2026-11-23 09:00:00,anna,\"a, b\""],
        &["2026-11-23 09:00:01,ben,c"],
    ];
    let users: Vec<Value> =
        events_of(&table).iter().filter_map(|e| e.get("user.name").cloned()).collect();
    assert_eq!(users, ["anna", "ben"]);
}

#[test]
fn clocks_that_cannot_be_are_not_believed() {
    expect!(r#"{"time":"1970-01-01T00:00:00Z"}"#, {
        "@timestamp": "2026-11-23T10:00:00Z", "event.issues": "clock_unset",
        "event.stated_time": "1970-01-01T00:00:00Z",
    });
    expect!(r#"{"time":"2099-01-01T00:00:00Z"}"#, {
        "@timestamp": "2026-11-23T10:00:00Z", "event.issues": "clock_ahead",
    });
    expect!("Dec 31 23:59:59 h a: b", { "@timestamp": "2025-12-31T23:59:59Z" });
}

#[test]
fn hostile_sizes_are_bounded() {
    let deep = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let event_deep = event(deep.as_bytes());
    assert_eq!(event_deep["event.issues"], "depth_cut,time_missing");
    let wide =
        format!("{{{}\"z\":1}}", (0..100_000).map(|i| format!("\"k{i}\":1,")).collect::<String>());
    assert_eq!(event(wide.as_bytes())["event.issues"], "attributes_cut,time_missing");
    let wide = "k=v ".repeat(100_000);
    assert!(event(wide.as_bytes()).len() < 600);
    let invalid = event(b"<13>Nov 23 09:00:00 h app: \xff\xfe");
    assert_eq!(invalid["message"], "\u{fffd}\u{fffd}");
    assert_eq!(invalid["event.issues"], "not_utf8,year_guessed");
}

#[test]
fn a_door_may_name_the_format() {
    let parser = Parser::builtin().unwrap();
    let records: Records = [&b"a=1 b=2"[..]].into_iter().collect();
    for format in [Some("keyvalue"), Some("no such format"), None] {
        let batch = batch(&parser, &records, format);
        assert_eq!(batch.attributes().get(0, "b").unwrap().text(), "2", "{format:?}");
    }
    assert_eq!(batch(&parser, &records, Some("plain")).attributes().row(0).count(), 0);
    assert_eq!(batch(&parser, &records, None).ids(), [7]);
}

#[test]
fn a_broken_pack_says_what_is_wrong() {
    for (text, expected) in [
        ("product: x", "missing field `applies`"),
        ("applies: [{format: plain}]\nsevice: y", "unknown field `sevice`"),
        ("applies: [{has: [a]}]", "names a `format` or a `program`"),
        ("applies: [{format: json}]", "also needs `has`, `is` or `program`"),
        ("applies: [{format: plain}]\npatterns: [{pattern: '('}]", "is no usable regex"),
        (
            "applies: [{format: plain}]\npatterns: [{pattern: '\\w{5000}{50}'}]",
            "is no usable regex",
        ),
    ] {
        let pack = PackSource { path: "a/b/parser.yaml".into(), text: text.into() };
        let error = Parser::new(&[pack]).unwrap_err().to_string();
        assert!(error.starts_with("a/b/parser.yaml: ") && error.contains(expected), "{error}");
    }
}

/// Text that looks like something and then is not.
fn nearly() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("<34>"),
        Just("1 "),
        Just("2026-11-23T09:00:00Z "),
        Just("Nov 23 09:00:00 "),
        Just("- "),
        Just("host "),
        Just("sshd[1]: "),
        Just("Failed password for "),
        Just("from "),
        Just("{"),
        Just("\"EventID\":"),
        Just("\"a\":"),
        Just("}"),
        Just("["),
        Just("]"),
        Just("="),
        Just("k="),
        Just("\""),
        Just("\\"),
        Just(" [23/Nov/2026:09:00:00 +0000] "),
        Just("type=EXECVE "),
        Just("msg=audit(1795424400.1:2): "),
        Just("a0="),
        Just("é"),
        Just("\u{feff}"),
        Just("%"),
        Just("kernel: IN= OUT= SRC="),
        Just("192.0.2.1"),
        Just("\u{0}"),
        Just(","),
        Just(": "),
        Just("0x"),
        Just("msg='"),
        Just("CEF:0|"),
        Just("LEEF:2.0|"),
        Just("|"),
        Just("stdout F "),
        Just("{\"stream\":1,\"log\":\""),
        Just("I1123 10:00:00.1 1 a.go:1] "),
        Just("#Fields: a b\n"),
        Just("\t"),
        Just("@cee:"),
        Just("[a@1 b=\""),
        Just("%SYS-5-CONFIG_I: "),
        Just("*Nov 23 10:00:00 UTC: "),
        Just("Message forwarded from "),
        Just("auth|security:info "),
        Just("<auth.info> "),
        Just("192.0.2.1:514 "),
        Just("relay/192.0.2.1 "),
        Just("message repeated 2 times: [ "),
        Just("web-1  | "),
        Just("107 "),
        Just("192.0.2.1, "),
        Just("[2026/11/23 09:00:00, 0] a.c:1(f)\n"),
        Just("audit[1]: USER_AUTH a=b "),
        Just("type=SOCKADDR saddr=0A00"),
        Just("\"_source\":{"),
        Just("\"program\":\"a\",\"logsource\":\"b\",\"message\":\""),
        Just("\"sourcetype\":1,\"event\":{"),
        Just("\"integration\":\"a\","),
        Just("\"logEvents\":[{"),
        Just("\"event\":{\"original\":\""),
        Just("\"win\":{\"system\":{\"eventID\":"),
    ];
    prop::collection::vec(part, 0..16).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn every_record_becomes_one_event(
        texts in prop::collection::vec(nearly(), 0..20),
        bytes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..10),
        format in prop::option::of(prop::sample::select(vec![
            "json", "windows", "audit", "syslog", "cisco", "access", "keyvalue", "plain", "cef",
            "leef", "cri", "klog", "w3c a b", "zeek p\ta\tb", "table ,a,b",
        ])),
    ) {
        let records: Records =
            texts.iter().map(String::as_bytes).chain(bytes.iter().map(Vec::as_slice)).collect();
        let batch = batch(&PARSER, &records, format);
        prop_assert_eq!(batch.rows(), records.len());
        for (row, record) in records.iter().enumerate() {
            prop_assert_eq!(batch.original(row), record);
        }
    }
}
