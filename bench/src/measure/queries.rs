//! Twenty questions of those who look for something, beside both peers: how many of them we answer
//! before the better peer does, and how far behind we are at worst.
//!
//! Each is asked in the words that fit its engine best: the peers have typed columns, an index of
//! words (ClickHouse), zone maps, and SQL as their manuals advise it.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::question::{self, Question};
use super::{Measure, ingest};
use crate::corpus::NEEDLE_COPIES;
use crate::harness::Bench;
use crate::server;

pub(crate) const MEASURE: Measure =
    Measure { name: "queries", about: "20 questions beside the peers", run };

/// Ids that are asked for in turns.
const IDS: usize = 5;
/// Teams that the users of the corpus belong to.
const TEAMS: usize = 8;

/// What the questions need to know of the corpus.
struct Known {
    needles: Vec<String>,
    /// Somebody who came by a few times.
    address: String,
    /// Of single records.
    ids: Vec<String>,
}

fn run(bench: &mut Bench) -> Result<()> {
    let needles = bench.corpus.needles.clone();
    let Some(address) = bench.corpus.rare_address.clone().filter(|_| !needles.is_empty()) else {
        bench.report.note("queries skipped: they are about the fields of seeded corpora".into());
        return Ok(());
    };
    let ids = ids(bench)?;
    if ids.is_empty() {
        bench.report.note("queries skipped: these logs have no trace.id".into());
        return Ok(());
    }
    teams(bench)?;
    let questions = questions(&Known { needles, address, ids })?;
    for question in &questions {
        if let Err(error) = question::ask(bench, question) {
            bench.report.note(format!("{}: {error:#}", question.name));
        }
    }
    summarize(bench, &questions);
    Ok(())
}

/// How we stand over all of them. A question without an answer counts as lost.
fn summarize(bench: &mut Bench, questions: &[Question]) {
    let ratio = |question: &Question| {
        bench.report.median(&format!("{}, of the better peer", question.name))
    };
    let ratios: Vec<Option<f64>> = questions.iter().map(ratio).collect();
    if ratios.iter().all(Option::is_none) {
        return;
    }
    let ratios = ratios.into_iter().map(|ratio| ratio.unwrap_or(f64::INFINITY));
    let worst = ratios.clone().fold(0.0, f64::max);
    let ahead = ratios.filter(|ratio| *ratio < 1.0).count();
    bench.report.add("queries: before the better peer", "of 20", ahead as f64);
    bench.report.add("queries: worst, of the better peer", "ratio", worst);
}

/// Ids of a few records from all over the corpus.
fn ids(bench: &mut Bench) -> Result<Vec<String>> {
    let mut reader = bench.loaded()?.client("read")?;
    let query = "trace.id:* | sort @timestamp | head 2000 | fields trace.id";
    let rows = reader.lines("/api/v1/search", &json!({"query": query}))?;
    let ids = rows.iter().filter_map(|row| row["trace.id"].as_str().map(str::to_string));
    Ok(ids.step_by(2000 / IDS).take(IDS).collect())
}

/// Gives every user a team, in a table of ours and in one of each peer's.
fn teams(bench: &mut Bench) -> Result<()> {
    let mut reader = bench.loaded()?.client("read")?;
    let query = json!({"query": "user.name:* | stats count() by user.name", "limit": 100_000});
    let rows = reader.lines("/api/v1/search", &query)?;
    let users: BTreeSet<&str> = rows.iter().filter_map(|row| row["user.name"].as_str()).collect();
    let rows: Vec<(&str, String)> =
        users.iter().enumerate().map(|(n, user)| (*user, format!("team{}", n % TEAMS))).collect();
    let csv: String = rows.iter().map(|(user, team)| format!("{user},{team}\n")).collect();
    let values: Vec<String> =
        rows.iter().map(|(user, team)| format!("('{user}', '{team}')")).collect();
    for peer in bench.peers() {
        let engine = if peer.name == "ClickHouse" { "ENGINE = MergeTree ORDER BY who" } else { "" };
        peer.run("DROP TABLE IF EXISTS teams")?;
        peer.run(&format!("CREATE TABLE teams (who VARCHAR, team VARCHAR) {engine}"))?;
        peer.run(&format!("INSERT INTO teams VALUES {}", values.join(", ")))?;
    }
    bench.unload()?;
    let folder = server::data(&bench.place(ingest::LOADED)).join("enrich").join("lookups");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("teams.csv"), format!("user.name,team\n{csv}"))
        .with_context(|| format!("cannot write into {}", folder.display()))
}

/// One question: our words, ClickHouse's, DuckDB's.
fn each(name: &'static str, ours: &str, clickhouse: &str, duck: &str) -> Question {
    Question {
        sql: vec![("ClickHouse", vec![clickhouse.into()]), ("DuckDB", vec![duck.into()])],
        ..Question::same(name, ours, "")
    }
}

/// The same about several things in turns.
fn turns(
    name: &'static str,
    things: &[String],
    rows: usize,
    ask: [fn(&str) -> String; 3],
) -> Question {
    let [ours, clickhouse, duck] = ask.map(|ask| things.iter().map(|thing| ask(thing)).collect());
    let sql = vec![("ClickHouse", clickhouse), ("DuckDB", duck)];
    Question { name, queries: ours, sql, rows: Some(rows) }
}

fn questions(known: &Known) -> Result<Vec<Question>> {
    let address = &known.address;
    let number = u32::from(address.parse::<std::net::Ipv4Addr>()?);
    let mut all = vec![
        turns(
            "query: needle",
            &known.needles,
            NEEDLE_COPIES,
            [
                str::to_string,
                |word| format!("SELECT * FROM events WHERE hasToken(message, '{word}')"),
                |word| format!("SELECT * FROM events WHERE contains(message, '{word}')"),
            ],
        ),
        turns(
            "query: one id",
            &known.ids,
            1,
            [
                |id| format!("trace.id:{id}"),
                |id| format!("SELECT * FROM events WHERE trace_id = unhex('{id}')"),
                |id| format!("SELECT * FROM events WHERE trace_id = unhex('{id}')"),
            ],
        ),
        each(
            "query: all of an address",
            &format!("source.ip:{address}"),
            &format!("SELECT * FROM events WHERE source_ip = toIPv4('{address}')"),
            &format!("SELECT * FROM events WHERE source_ip = {number}"),
        ),
    ];
    all.extend(found());
    all.extend(counted());
    all.extend(related());
    Ok(all)
}

/// Of text, networks and the newest.
fn found() -> [Question; 5] {
    let newest =
        "SELECT * FROM events WHERE level = 'error' ORDER BY ts DESC LIMIT 100".to_string();
    [
        each(
            "query: phrase",
            "\"call to upstream failed\" | stats count()",
            "SELECT count() FROM events WHERE hasAllTokens(message, \
             ['call', 'to', 'upstream', 'failed']) AND message LIKE '%call to upstream failed%'",
            "SELECT count(*) FROM events WHERE contains(message, 'call to upstream failed')",
        ),
        each(
            "query: regex",
            "message:/valid for [0-9]{4} s/ | stats count()",
            "SELECT count() FROM events WHERE match(message, 'valid for [0-9]{4} s')",
            "SELECT count(*) FROM events WHERE regexp_matches(message, 'valid for [0-9]{4} s')",
        ),
        each(
            "query: word of a program, by host",
            "failed process.name:sshd | stats count() by host.name",
            "SELECT host, count() FROM events WHERE process = 'sshd' \
             AND hasToken(message, 'Failed') GROUP BY host",
            "SELECT host, count(*) FROM events WHERE process = 'sshd' \
             AND contains(message, 'Failed') GROUP BY host",
        ),
        each(
            "query: network",
            "source.ip:198.18.0.0/20 | stats count()",
            "SELECT count() FROM events WHERE source_ip \
             BETWEEN toIPv4('198.18.0.0') AND toIPv4('198.18.15.255')",
            "SELECT count(*) FROM events WHERE source_ip BETWEEN 3323068416 AND 3323072511",
        ),
        each("query: last 100 errors", "log.level:error | head 100", &newest, &newest),
    ]
}

/// Counts and other figures over everything.
fn counted() -> [Question; 8] {
    let by_port = "SELECT source_ip, destination_port, sum(source_bytes), count(*) AS n \
                   FROM events WHERE action = 'accept' \
                   GROUP BY source_ip, destination_port ORDER BY n DESC LIMIT 20";
    let by_status = "SELECT status, count(*) FROM events WHERE status != 0 GROUP BY status";
    let kib = "SELECT transport, count(*) FROM events WHERE transport != '' \
               AND source_bytes / 1024 > 4 GROUP BY transport";
    [
        each(
            "query: count by status",
            "http.response.status_code:* | stats count() by http.response.status_code",
            by_status,
            by_status,
        ),
        each(
            "query: top 10 addresses",
            "* | top 10 source.ip",
            "SELECT source_ip, count() AS n FROM events WHERE source_ip != toIPv4('0.0.0.0') \
             GROUP BY source_ip ORDER BY n DESC LIMIT 10",
            "SELECT source_ip, count(*) AS n FROM events WHERE source_ip != 0 \
             GROUP BY source_ip ORDER BY n DESC LIMIT 10",
        ),
        each(
            "query: distinct addresses",
            "* | stats dc(source.ip) as count",
            "SELECT uniqExact(source_ip) FROM events WHERE source_ip != toIPv4('0.0.0.0')",
            "SELECT count(DISTINCT source_ip) FROM events WHERE source_ip != 0",
        ),
        each(
            "query: hourly histogram",
            "* | timechart span=1h count()",
            "SELECT toStartOfHour(ts) AS hour, count() FROM events GROUP BY hour",
            "SELECT date_trunc('hour', ts) AS hour, count(*) FROM events GROUP BY hour",
        ),
        each(
            "query: hourly, by level",
            "log.level:* | stats count() by span(@timestamp, 1h), log.level",
            "SELECT toStartOfHour(ts) AS hour, level, count() FROM events WHERE level != '' \
             GROUP BY hour, level",
            "SELECT date_trunc('hour', ts) AS hour, level, count(*) FROM events \
             WHERE level != '' GROUP BY hour, level",
        ),
        each(
            "query: many groups",
            "event.action:accept | stats count() as count, sum(source.bytes) as bytes \
             by source.ip, destination.port | sort -count | head 20",
            by_port,
            by_port,
        ),
        each(
            "query: mean and percentile",
            "service.name:* | stats count() as count, avg(duration_us), p95(duration_us) \
             by service.name",
            "SELECT service, avg(duration_us), quantile(0.95)(duration_us), count() \
             FROM events WHERE service != '' GROUP BY service",
            "SELECT service, avg(duration_us), approx_quantile(duration_us, 0.95), count(*) \
             FROM events WHERE service != '' GROUP BY service",
        ),
        each(
            "query: arithmetic",
            "network.transport:* | eval kib = source.bytes / 1024 | where kib > 4 \
             | stats count() by network.transport",
            kib,
            kib,
        ),
    ]
}

/// What brings rows together: tables, other questions, time.
fn related() -> [Question; 4] {
    let teams = "SELECT team, count(*) FROM events JOIN teams ON user_name = who GROUP BY team";
    let both = |has_failed: &str| {
        format!(
            "SELECT a.source_ip, tries, n FROM (SELECT source_ip, count(*) AS tries FROM events \
             WHERE process = 'sshd' AND {has_failed} GROUP BY source_ip) AS a \
             JOIN (SELECT source_ip, count(*) AS n FROM events WHERE status != 0 \
             GROUP BY source_ip) AS b ON a.source_ip = b.source_ip ORDER BY tries DESC LIMIT 20"
        )
    };
    let sessions = "SELECT count(*) FROM (SELECT ts - lag(ts) OVER \
                    (PARTITION BY source_ip ORDER BY ts) AS pause FROM events \
                    WHERE process = 'sshd') WHERE pause IS NULL OR pause > INTERVAL 2 MINUTE";
    let clickhouse_sessions = "SELECT sum(n) FROM (SELECT length(arraySplit(pause -> pause > 120000000, \
         arrayDifference(arraySort(groupArray(toUnixTimestamp64Micro(ts)))))) AS n \
         FROM events WHERE process = 'sshd' GROUP BY source_ip)";
    let followed = "SELECT count(*) FROM (SELECT ok, lag(ok) OVER w AS before, \
                    ts - lag(ts) OVER w AS pause FROM (SELECT source_ip, ts, \
                    contains(message, 'Accepted') AS ok FROM events WHERE process = 'sshd' \
                    AND (contains(message, 'Failed') OR contains(message, 'Accepted'))) \
                    WINDOW w AS (PARTITION BY source_ip ORDER BY ts)) \
                    WHERE ok AND NOT before AND pause <= INTERVAL 10 MINUTE";
    [
        each(
            "query: join with a table",
            "user.name:* | lookup teams user.name output team | stats count() by team",
            teams,
            teams,
        ),
        each(
            "query: join of two questions",
            "failed process.name:sshd | stats count() as tries by source.ip \
             | join source.ip [ http.response.status_code:* | stats count() as count by source.ip ] \
             | sort -tries | head 20",
            &both("hasToken(message, 'Failed')"),
            &both("contains(message, 'Failed')"),
        ),
        each(
            "query: transaction",
            "process.name:sshd | transaction by source.ip pause=2m | stats count()",
            clickhouse_sessions,
            sessions,
        ),
        each(
            "query: sequence",
            "process.name:sshd | sequence by source.ip within=10m [ failed ] [ accepted ] \
             | stats count()",
            "SELECT sum(n) FROM (SELECT sequenceCount('(?1)(?t<=600000000)(?2)')( \
             toUInt64(toUnixTimestamp64Micro(ts)), \
             hasToken(message, 'Failed'), hasToken(message, 'Accepted')) AS n \
             FROM events WHERE process = 'sshd' GROUP BY source_ip)",
            followed,
        ),
    ]
}
