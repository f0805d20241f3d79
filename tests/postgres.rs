//! SQL over the PostgreSQL protocol, asked by psql and psycopg as people install them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{PATIENCE, Server, failure, text};

/// A server with its door for SQL open.
struct World {
    server: Server,
    port: String,
    _dir: tempfile::TempDir,
}

/// A day of sshd, a metric and a span.
const SSHD: &str = "\
Nov 23 10:00:01 web1 sshd[812]: Failed password for root from 203.0.113.7 port 4022 ssh2
Nov 23 10:00:02 web1 sshd[812]: Failed password for bob from 203.0.113.8 port 4022 ssh2
Nov 23 10:01:00 web1 sshd[812]: Accepted password for root from 203.0.113.7 port 4022 ssh2
";
const MEASURED: &str = r#"{"metric":{"name":"cpu","value":0.5,"unit":"%"},"host":{"name":"web1"}}
{"metric":{"name":"cpu","value":"much"}}
{"trace":{"id":"t1"},"span":{"id":"s1","name":"GET /","duration":{"us":1500}},"parent":{"id":"p"}}
{"trace":{"id":"t1"},"span":{"id":"s1"},"message":"a log line of a span is no span"}
"#;

impl World {
    #[track_caller]
    fn start() -> World {
        World::start_with(&[])
    }

    #[track_caller]
    fn start_with(more: &[(&str, &str)]) -> World {
        let dir = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = free.local_addr().unwrap().to_string();
        drop(free);
        let mut settings = vec![
            ("PUGMARK_POSTGRES_LISTEN", listen.as_str()),
            ("PUGMARK_POSTGRES_ROWS_MAX", "5000"),
            ("PUGMARK_POSTGRES_CONNECTIONS_MAX", "24"),
        ];
        settings.extend(more);
        let server = Server::start_with(&dir.path().join("data"), &[], &settings);
        let (_, port) = listen.rsplit_once(':').unwrap();
        World { server, port: port.to_string(), _dir: dir }
    }

    fn filled() -> World {
        let world = World::start();
        world.server.ingest("web1", SSHD);
        world.server.ingest("app", MEASURED);
        world.server.wait_until("the alert", |s| {
            let alerts = s.json("/api/v1/alerts");
            alerts["alerts"].as_array().is_some_and(|alerts| !alerts.is_empty())
        });
        world
    }

    fn psql(&self, user: &str, password: &str, commands: &[&str]) -> Command {
        let mut psql = Command::new("psql");
        let place = ["-h", "127.0.0.1", "-p", &self.port, "-U", user, "-d", "pugmark"];
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]).args(place);
        psql.args(commands.iter().flat_map(|command| ["-c", command]));
        psql.env("PGPASSWORD", password).env("LC_ALL", "C.UTF-8");
        psql.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        psql
    }

    /// What psql prints, or says on stderr.
    fn ask(&self, commands: &[&str]) -> Result<String, String> {
        let output = self.psql("admin", &self.server.token, commands).output().unwrap();
        match output.status.success() {
            true => Ok(text(&output.stdout).trim().to_string()),
            false => Err(text(&output.stderr).trim().to_string()),
        }
    }

    /// Rows with commas, lines with blanks.
    #[track_caller]
    fn check(&self, sql: &str, expected: &str) {
        let found = self.ask(&[sql]).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(found.replace('\n', " "), expected, "{sql}");
    }

    #[track_caller]
    fn check_refused(&self, commands: &[&str], expected: &str) {
        let found = self.ask(commands).expect_err("this must be refused");
        assert!(found.contains(expected), "{expected:?} is not in {found}");
    }

    fn token(&self, purpose: &str) -> String {
        let body = format!("{{\"name\":\"t\",\"purpose\":\"{purpose}\"}}");
        let (status, answer) = self.server.request_json("/api/v1/tokens", &body);
        assert!((200..300).contains(&status), "{answer}");
        let made: serde_json::Value = serde_json::from_str(&answer).unwrap();
        made["token"].as_str().unwrap().to_string()
    }
}

/// False, said visibly, without psql.
fn has_psql() -> bool {
    let found = Command::new("psql").arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: there is no psql; Debian's postgresql-client has it");
    }
    found
}

/// A statement that takes minutes.
const LONG: &str =
    "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 9999) b";

/// A client that says what no good one does.
struct Raw(TcpStream);

impl Raw {
    /// Says who it is, and reads up to the first ReadyForQuery or the end.
    fn connect(world: &World, settings: &str) -> (Raw, String) {
        let stream = TcpStream::connect(format!("127.0.0.1:{}", world.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut raw = Raw(stream);
        let body = [b"\0\x03\0\0user\0raw\0", settings.as_bytes(), b"\0"].concat();
        raw.0.write_all(&framed(&body)).unwrap();
        raw.send(b'p', format!("{}\0", world.server.token).as_bytes());
        let said = raw.answer();
        (raw, said)
    }

    fn send(&mut self, letter: u8, body: &[u8]) {
        // Who was refused may find the connection closed.
        let _ = self.0.write_all(&[&[letter][..], &framed(body)].concat());
    }

    /// The letters of an answer, behind those of errors and warnings their codes.
    fn answer(&mut self) -> String {
        let mut said = String::new();
        loop {
            let mut head = [0; 5];
            if self.0.read_exact(&mut head).is_err() {
                return said + "end";
            }
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4;
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).unwrap();
            let letter = char::from(head[0]);
            match letter {
                'R' | 'S' | 'K' => {}
                'E' | 'N' => {
                    let body = text(&body);
                    let field = |start: char| {
                        body.split('\0').find_map(|field| field.strip_prefix(start)).unwrap_or("")
                    };
                    said += &format!("{}:{} ", field('S'), field('C'));
                }
                'Z' => return said + "Z",
                letter => said += &format!("{letter} "),
            }
        }
    }

    #[track_caller]
    fn check(&mut self, messages: &[(u8, &[u8])], expected: &str) {
        for (letter, body) in messages {
            self.send(*letter, body);
        }
        assert_eq!(self.answer(), expected, "{}", text(messages[0].1));
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], body].concat()
}

#[test]
fn postgres_bounds_what_a_connection_says() {
    let world = World::start();
    let (mut raw, said) = Raw::connect(&world, "DateStyle\0German\0");
    assert_eq!(said, "WARNING:01000 Z");
    let sync: (u8, &[u8]) = (b'S', b"");
    let query = |sql: String| sql + "\0";
    for (link, fits) in [("+1", 190), ("::int", 95), (" UNION SELECT 1", 38)] {
        for (count, expected) in [(fits, "T D C Z"), (60_000 / link.len(), "ERROR:54000 Z")] {
            let sql = query(format!("SELECT 1{}", link.repeat(count)));
            raw.check(&[(b'Q', sql.as_bytes())], expected);
        }
    }
    // Whatever it means, the server is still there.
    let arrows = format!("SELECT attributes{} FROM events\0", "->>'x'".repeat(45));
    raw.send(b'Q', arrows.as_bytes());
    assert!(raw.answer().ends_with('Z'));
    // Text that is none, and a query before the Sync that an error waits for.
    raw.check(&[(b'Q', b"SELECT '\xff'\0")], "ERROR:22021 Z");
    raw.check(&[(b'P', b"\0SELEC\0\0\0"), (b'Q', b"SELECT 1\0"), sync], "ERROR:42601 Z");
    raw.check(&[(b'Q', b"ROLLBACK TO a\0")], "ERROR:25P01 Z");
    raw.check(&[(b'Q', b"SET client_encoding = latin1\0")], "ERROR:22023 Z");
    let large = "SELECT arrow_cast('18446744073709551615', 'UInt64')\0";
    raw.check(&[(b'Q', large.as_bytes())], "T ERROR:22003 Z");
    let named = format!("{}\0SELECT 1\0\0\0", "n".repeat(300));
    raw.check(&[(b'P', named.as_bytes()), sync], "ERROR:54000 Z");
    // A value of half a megabyte, sixty times.
    let sql = format!("\0SELECT {}\0\0\0", vec!["length($1)"; 60].join(", "));
    let mut bind = b"\0\0\0\0\0\x01".to_vec();
    bind.extend(framed(&vec![b'x'; 500_000]));
    let length = bind.len() - 500_000 - 4;
    bind[length..length + 4].copy_from_slice(&500_000u32.to_be_bytes());
    bind.extend(b"\0\0");
    raw.check(&[(b'P', sql.as_bytes()), (b'B', &bind), sync], "1 ERROR:54000 Z");
    let long = format!("SELECT '{}'\0", "x".repeat(60_000));
    let answers: Vec<String> = (0..20)
        .map(|n| {
            let parse = format!("s{n}\0{long}\0\0");
            raw.send(b'P', parse.as_bytes());
            raw.send(b'S', b"");
            raw.answer()
        })
        .collect();
    assert_eq!((answers[0].as_str(), answers[19].as_str()), ("1 Z", "ERROR:54000 Z"));
    raw.check(&[(b'Q', b"DEALLOCATE ALL\0")], "C Z");
}

#[test]
fn postgres_answers_that_wait_for_their_client_hold_up_nobody() {
    let world = World::start();
    let (mut raw, _) = Raw::connect(&world, "");
    raw.check(&[(b'Q', b"BEGIN\0")], "C Z");
    raw.check(&[(b'P', b"\0SELECT * FROM generate_series(1, 3)\0\0\0"), (b'S', b"")], "1 Z");
    // More than are answered at once, each with a row sent and two to come.
    for n in 0..20 {
        let (bind, execute) = (format!("p{n}\0\0\0\0\0\0\0\0"), format!("p{n}\0\0\0\0\x01"));
        raw.check(&[(b'B', bind.as_bytes()), (b'E', execute.as_bytes()), (b'S', b"")], "2 D s Z");
    }
    raw.check(&[(b'E', b"p0\0\0\0\0\0"), (b'S', b"")], "D D C Z");
}

/// Of three rows one is sent.
const HALF: [(u8, &[u8]); 3] = [(b'B', b"\0\0\0\0\0\0\0\0"), (b'E', b"\0\0\0\0\x01"), (b'S', b"")];

#[test]
fn postgres_answers_that_are_half_sent_keep_their_places() {
    let world = World::start();
    let half_sent = || {
        let (mut raw, _) = Raw::connect(&world, "");
        raw.check(&[(b'Q', b"BEGIN\0")], "C Z");
        raw.check(&[(b'P', b"\0SELECT * FROM generate_series(1, 3)\0\0\0"), (b'S', b"")], "1 Z");
        raw.check(&HALF, "2 D s Z");
        raw
    };
    // As many connections as one user may ask in at once.
    let mut open: Vec<Raw> = (0..8).map(|_| half_sent()).collect();
    let (mut other, _) = Raw::connect(&world, "");
    other.send(b'Q', b"SELECT 1\0");
    other.0.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    assert!(other.0.read(&mut [0]).is_err(), "it waits for a place");
    other.0.set_read_timeout(Some(PATIENCE)).unwrap();
    drop(open.pop());
    assert_eq!(other.answer(), "T D C Z");
}

#[test]
fn postgres_counts_the_time_of_an_answer_from_its_execution() {
    let world = World::start_with(&[("PUGMARK_SEARCH_TIME_SECONDS_MAX", "1")]);
    let (mut raw, _) = Raw::connect(&world, "");
    raw.check(&[(b'Q', b"BEGIN\0")], "C Z");
    raw.check(&[(b'P', b"\0SELECT * FROM generate_series(1, 3)\0\0\0"), (b'S', b"")], "1 Z");
    raw.check(&[(b'B', b"\0\0\0\0\0\0\0\0"), (b'S', b"")], "2 Z");
    std::thread::sleep(Duration::from_millis(1500));
    raw.check(&[(b'E', b"\0\0\0\0\0"), (b'S', b"")], "D D D C Z");
}

#[test]
fn postgres_is_full_and_statements_can_be_canceled() {
    if !has_psql() {
        return;
    }
    let world = World::start();
    let busy = world.psql("admin", &world.server.token, &[LONG]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let _others: Vec<Raw> = (0..23).map(|_| Raw::connect(&world, "").0).collect();
    let (_, said) = Raw::connect(&world, "");
    assert_eq!(said, "FATAL:53300 end");
    let signal = Command::new("kill").args(["-INT", &busy.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let begun = Instant::now();
    let said = text(&busy.wait_with_output().unwrap().stderr);
    assert!(said.contains("canceled the statement"), "{said}");
    assert!(begun.elapsed() < PATIENCE / 4, "{:?}", begun.elapsed());
}

#[test]
fn psql_asks_every_view() {
    if !has_psql() {
        return;
    }
    let world = World::filled();
    for (sql, expected) in [
        ("SELECT count(*) FROM events WHERE event_source = 'web1'", "3"),
        (
            "SELECT source_ip, count(*) n FROM events WHERE source_ip IS NOT NULL \
             GROUP BY 1 ORDER BY n DESC",
            "203.0.113.7|2 203.0.113.8|1",
        ),
        (
            "SELECT DISTINCT attributes['ssh.method'], attributes->>'ssh.method' FROM events \
          WHERE cidr_match(source_ip, '203.0.113.0/24')",
            "password|password",
        ),
        ("SELECT event_id, * FROM events LIMIT 0", ""),
        (
            "SELECT date_trunc('minute', event_time)::text LIKE '%10:01:00%', count(*) \
             FROM events WHERE event_outcome = 'success' GROUP BY 1",
            "t|1",
        ),
        ("SELECT to_timestamp(0), '2026-01-01'::date", "1970-01-01 00:00:00+00|2026-01-01"),
        (
            "SELECT rule_title, entity, status, techniques FROM alerts",
            "SSH login as root|203.0.113.7|open|{T1078.003,T1021.004}",
        ),
        (
            "SELECT d.event_count, e.user_name FROM detections d JOIN events e USING (event_id)",
            "1|root",
        ),
        (
            "SELECT source, received, stored, balanced FROM ledger ORDER BY 1",
            "app|4|4|t web1|3|3|t",
        ),
        ("SELECT sum(received) FROM ledger_minutes WHERE minute > now() - interval '1 hour'", "7"),
        ("SELECT sum(received) FROM ledger_minutes WHERE minute > now() + interval '1 hour'", ""),
        (
            "SELECT name, value, unit, host_name FROM metrics ORDER BY event_id",
            "cpu|0.5|%|web1 cpu|||",
        ),
        (
            "SELECT trace_id, span_id, parent_span_id, name, duration_us FROM spans",
            "t1|s1|p|GET /|1500",
        ),
        ("SHOW timezone", "UTC"),
        ("WITH views AS (SELECT 5 AS n) SELECT n FROM views", "5"),
        (
            "SELECT to_local_time('2026-11-23T10:00:00Z'::timestamptz \
             AT TIME ZONE 'Europe/Berlin')",
            "2026-11-23 11:00:00",
        ),
        ("SELECT current_database(), current_schema(), current_user", "pugmark|public|admin"),
    ] {
        world.check(sql, expected);
    }
}

#[test]
fn psql_finds_its_way() {
    if !has_psql() {
        return;
    }
    let world = World::start();
    for (command, expected) in [
        ("\\dt", "public|alerts|table|pugmark"),
        ("\\d events", "source_ip|text|||"),
        ("\\d events", "event_time|timestamp with time zone|||"),
        ("\\d+ alerts", "event_ids|bigint[]|||"),
        ("\\l", "pugmark|pugmark|UTF8"),
        ("\\dn", "public|pugmark"),
        ("\\du", "admin|"),
        ("EXPLAIN SELECT 1", "logical_plan|Projection: Int64(1)"),
        (
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
            "ledger_minutes",
        ),
        (
            "SELECT data_type FROM information_schema.columns WHERE table_name = 'spans' \
             AND column_name = 'duration_us'",
            "bigint",
        ),
        ("SELECT 'events'::regclass::oid = c.oid FROM pg_class c WHERE relname = 'events'", "t"),
        (
            "SELECT a.attname, format_type(a.atttypid, a.atttypmod), d.description \
             FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
             LEFT JOIN pg_description d ON d.objoid = c.oid AND d.objsubid = a.attnum \
             WHERE c.relname = 'events' AND a.attname = 'event_id'",
            "event_id|bigint|Number of the event, unique and never reused.",
        ),
    ] {
        let found = world.ask(&[command]).unwrap_or_else(|error| panic!("{command}: {error}"));
        assert!(found.contains(expected), "{command}: {expected:?} is not in {found}");
    }
}

#[test]
fn tokens_and_users_count_as_over_http() {
    if !has_psql() {
        return;
    }
    let world = World::start();
    let ask = |user: &str, password: &str| {
        let output = world.psql(user, password, &["SELECT 1"]).output().unwrap();
        text(if output.status.success() { &output.stdout } else { &output.stderr })
    };
    for (purpose, expected) in [("read", "1"), ("ingest", "a token for ingest may not do this")] {
        let found = ask("anybody", &world.token(purpose));
        assert!(found.contains(expected), "{purpose}: {found}");
    }
    let wrong = ask("admin", "wrong password");
    assert!(wrong.contains("the name or the password is wrong"), "{wrong}");
    let tries: Vec<String> = (0..9).map(|_| ask("admin", "wrong password")).collect();
    let last = tries.last().unwrap();
    assert!(last.contains("too many tries to sign in"), "{last}");
    // The owner still gets into the web app from the same address.
    let (status, said) = world
        .server
        .request_json("/api/v1/auth/login", r#"{"user":"admin","password":"wrong password"}"#);
    assert_eq!(status, 401, "{said}");
    // Tokens are no guesses.
    assert!(ask("anybody", &world.server.token).contains('1'));
}

#[test]
fn what_writes_or_is_too_much_is_refused() {
    if !has_psql() {
        return;
    }
    let world = World::filled();
    for sql in [
        "INSERT INTO events VALUES (1)",
        "DELETE FROM alerts",
        "DROP TABLE events",
        "CREATE TABLE t AS SELECT 1",
        "SELECT 1 INTO t",
        "COPY events TO STDOUT",
        "SET ROLE postgres",
    ] {
        world.check_refused(&[sql], "only reading is allowed");
    }
    let long = format!("SELECT '{}'", "x".repeat(70_000));
    world.check_refused(&[&long], "a statement has at most 65536 bytes");
    world.check_refused(&["SET statement_timeout = 200", LONG], "statement_timeout");
    let many = "SELECT * FROM generate_series(1, 5001)";
    world.check_refused(&[many], "the answer has more than 5000 rows");
    world.check_refused(&["SELECT 1/0"], "Divide by zero");
    world.check_refused(&["SELECT nothing FROM events"], "No field named nothing");
    world.check_refused(&["SET shared_buffers = 1"], "there is no setting");
    // A message beyond all bounds is read past, and the connection lives on.
    let script = format!("SELECT '{}';\n\\set ON_ERROR_STOP 0\nSELECT 42;\n", "x".repeat(2 << 20));
    let mut psql = world.psql("admin", &world.server.token, &[]);
    let mut child = psql.args(["-v", "ON_ERROR_STOP=0"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(text(&output.stderr).contains("a message has at most"), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).trim(), "42");
}

#[test]
fn who_goes_away_or_changes_their_mind_stops_the_work() {
    if !has_psql() {
        return;
    }
    let world = World::start();
    let start = || world.psql("admin", &world.server.token, &[LONG]).spawn().unwrap();
    let busy = start();
    std::thread::sleep(Duration::from_millis(700));
    let signal = Command::new("kill").args(["-INT", &busy.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let output = busy.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert!(said.contains("canceled the statement") || output.stdout.is_empty(), "{said}");
    // More than are answered at once: their places are free when they are gone.
    let mut gone: Vec<_> = (0..18).map(|_| start()).collect();
    std::thread::sleep(Duration::from_secs(1));
    for child in &mut gone {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let begun = Instant::now();
    world.check("SELECT 1", "1");
    assert!(begun.elapsed() < PATIENCE / 4, "{:?}", begun.elapsed());
}

#[test]
fn without_tls_only_loopback_is_possible() {
    let dir = tempfile::tempdir().unwrap();
    let (file, data) = (dir.path().join("pugmark.toml"), dir.path().join("data"));
    let (file_name, data) = (file.display().to_string(), data.display().to_string());
    let args = ["serve", "--config", &file_name, "--data", &data, "--listen", "127.0.0.1:0"];
    for (listen, expected) in [
        ("0.0.0.0:5433", "this door has no TLS"),
        ("[::]:5433", "hint: listen on 127.0.0.1:5433"),
        ("5433", "which is no address"),
    ] {
        std::fs::write(&file, format!("[postgres]\nlisten = \"{listen}\"\n")).unwrap();
        let (code, said) = failure(&args);
        assert!(code == 2 && said.contains(expected), "{listen}: {code} {said}");
    }
}

#[test]
fn psycopg_reads_typed_values() {
    let Ok(python) = std::env::var("PUGMARK_TEST_PSYCOPG") else {
        eprintln!("skipped: `cargo xtask test --only clients` installs psycopg");
        return;
    };
    let world = World::filled();
    let script = concat!(env!("WORKSPACE_ROOT"), "/tests/postgres.py");
    let output = Command::new(python)
        .args([script, &world.port])
        .env("PGPASSWORD", &world.server.token)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}
