//! Every example runs, every command can be read, and every fault says what to do.

use super::COMMANDS;
use crate::eval::{self, Cell, Nothing, World};
use crate::testing::check;
use crate::{parse, sample};
use pugmark_event::time;

fn answer(query: &str) -> Result<Vec<String>, String> {
    let plan = parse(query).map_err(|faults| format!("{faults:?}"))?;
    let bound = |text| query.contains("| compare").then(|| time::parse_rfc3339(text)).flatten();
    let batches = [sample::batch()];
    let world = World {
        batches: &batches,
        tables: &sample::Tables,
        from: bound(sample::RANGE.0),
        to: bound(sample::RANGE.1),
        now: time::parse_rfc3339("2026-11-23T12:00:00Z").unwrap(),
    };
    let table = eval::run(&plan, &world, None)?;
    assert!(table.rows.iter().all(|row| row.len() == table.columns.len()), "{query}");
    for row in &table.rows {
        for (cell, column) in row.iter().zip(&table.columns) {
            assert_eq!(column.shape.fit(cell.clone()), *cell, "{query}: {column:?}");
        }
    }
    let text = |cells: &[Cell]| cells.iter().map(Cell::text).collect::<Vec<_>>().join(" · ");
    let shown = |row: &Vec<Cell>| text(if plan.scope().events { &row[..1] } else { row });
    Ok(table.rows.iter().map(shown).collect())
}

#[test]
fn every_example_gives_what_it_says() {
    let mut wrong = Vec::new();
    for command in COMMANDS {
        assert!(!command.examples.is_empty(), "{} has no example", command.name);
        for example in command.examples {
            match answer(example.query) {
                Ok(rows) if rows == example.rows => {}
                other => wrong.push(format!("{}\n  gives {other:#?}", example.query)),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_example_comes_back_from_its_text() {
    for example in COMMANDS.iter().flat_map(|command| command.examples) {
        let plan = parse(example.query).unwrap();
        let written = plan.to_string();
        assert_eq!(parse(&written).as_ref(), Ok(&plan), "{} as {written}", example.query);
    }
}

#[test]
fn every_usage_is_understood() {
    for command in COMMANDS {
        let table = if matches!(command.name, "compare" | "baseline" | "outlier" | "union") {
            "* | timechart count(), sum(bytes) as bytes by user.name | eval host.name = 1 | "
        } else {
            "* | eval tries = 1, count = 2 | "
        };
        let query = format!("{table}{}", command.usage);
        assert!(parse(&query).is_ok(), "{query}: {:?}", parse(&query));
    }
}

#[track_caller]
fn fault(text: &str, place: &str, expected: &str) {
    let faults = parse(text).expect_err(text);
    let fault = &faults[0];
    assert_eq!(
        (&text[fault.from..fault.to], fault.to_string().as_str()),
        (place, expected),
        "{text}"
    );
}

#[test]
fn pipes() {
    check(
        "* | stats count(), sum(x) as total by source.ip, \"a b\"",
        "* | stats count(), sum(x) as total by source.ip, \"a b\"",
    );
    check("* | stats", "* | stats count()");
    check("* | stats count", "* | stats count()");
    check("* | stats p95(x) median(y)", "* | stats p95(x), p50(y)");
    check("* | stats percentile(x, 95)", "* | stats p95(x)");
    check(
        "* | stats sum(a / b) as r by lower(user)",
        "* | stats sum(a / b) as r by lower(user) as \"lower(user)\"",
    );
    check(
        "* | stats count() by span(@timestamp, 1h)",
        "* | stats count() by span(@timestamp, 3600) as @timestamp",
    );
    check(
        "* | timechart span=90s count() by x",
        "* | stats count() by span(@timestamp, 90) as @timestamp, x",
    );
    check("* | timechart", "* | stats count() by span(@timestamp) as @timestamp");
    check("* | top x", "* | stats count() by x | where x:* | sort -count | head 10");
    check("* | rare 3 x, y", "* | stats count() by x, y | where x:* y:* | sort count | head 3");
    check("* | sort -a, +b, c desc", "* | sort -a, b, -c");
    check("* | head | head 3", "* | head 10 | head 3");
    check("* | fields a, user.name", "* | fields a, user.name");
    check("* | where a:b or c", "* | where a:b or c");
    check("* | STATS count() BY x", "* | stats count() by x");
    check(
        "* | stats sum(x) by y | sort -sum(x) | where sum(x):>5",
        "* | stats sum(x) by y | sort -\"sum(x)\" | where \"sum(x)\":>5",
    );
    check(
        "* | stats count() by source_ip | sort source.ip",
        "* | stats count() by source_ip | sort source.ip",
    );
    check(
        "* | top user | stats count()",
        "* | stats count() by user | where user:* | sort -count | head 10 | stats count()",
    );
}

#[test]
fn conditions() {
    check("* | where bytes > 1000", "* | where bytes:>1000");
    check("* | where 1000 < bytes", "* | where 1000 < bytes");
    check(
        "* | where user.name = \"root\" and source.port != 22",
        "* | where user.name:root (source.port != 22)",
    );
    check("* | where a + 1 > b or c:d", "* | where (a + 1 > b) or c:d");
    check("* | where (a > 5 or b > 6) and not failed", "* | where (a:>5 or b:>6) not failed");
    check("* | where port in (22, \"x\")", "* | where port in (22, \"x\")");
    check("* | where port not in (22)", "* | where not (port in (22))");
    check("* | where x like \"*.exe\"", "* | where like(x, \"*.exe\")");
    check("* | where x matches /^a|b/", "* | where matches(x, /^a|b/)");
    check("* | where cidr(source.ip, \"10.0.0.0/8\")", "* | where cidr(source.ip, \"10.0.0.0/8\")");
    check("* | where a-b", "* | where a-b");
    check("* | where a - b > 2", "* | where a - b > 2");
    check("* | where 'k x' > 5", "* | where \"k x\":>5");
    check("* | where failed password", "* | where failed password");
    check("* | where -5 < x", "* | where -5 < x");
    check(
        "* | stats count() | where count > 5 and count < 9",
        "* | stats count() | where (count > 5) (count < 9)",
    );
}

#[test]
fn faults() {
    fault("* | stat count()", "stat", "there is no command `stat`; did you mean `stats`?");
    fault("* | take 5", "take", "there is no command `take`; did you mean `head`?");
    fault("* | rex x", "rex", "there is no command `rex`; did you mean `extract`?");
    fault("* | stats cuont()", "cuont", "there is no function `cuont`; did you mean `count`?");
    fault("* | stats sum()", "sum()", "`sum` needs a field; write sum(source.bytes)");
    fault("* | head 0", "0", "this is a number from 1 to 10000000; use it as `head 10`");
    fault("* | head 5 x", "x", "`head` cannot take this; use it as `head 10`");
    fault(
        "* | stats count() by user | sort usr",
        "usr",
        "the table has no column `usr`; did you mean `user`?",
    );
    fault(
        "* | stats count(), count()",
        "stats count(), count()",
        "two columns would be called `count`; name one of them with `as`, or leave one out",
    );
    fault(
        "* | timechart span=x count()",
        "x",
        "a span is a number and a unit; write 30s, 5m, 1h, 1d or 1w",
    );
    fault(
        "* | top user | where root",
        "root",
        "a table has no text to look in; name a column, as in count > 5 or user.name:root",
    );
    fault(
        "* | eval x",
        "x",
        "`=` and a value are missing after the name; write eval kb = source.bytes / 1024",
    );
    fault("* | eval x = lowr(y)", "lowr", "there is no function `lowr`; did you mean `lower`?");
    fault(
        "* | eval x = 5 5",
        "5",
        "`eval` cannot take this; use it as `eval kb = source.bytes / 1024, night = \
        hour(@timestamp) < 6`",
    );
    fault("* | where lowr(y) = 5", "lowr", "there is no function `lowr`; did you mean `lower`?");
    fault(
        "* | compare 1d",
        "compare",
        "`compare` works on a table, and the rows here are events; make a table first, as with \
        `timechart span=1h count()`",
    );
    fault(
        "* | join x [ y ]",
        "[ y ]",
        "the rows of the other query are events; end it with `stats` or `fields`, so that it \
        makes a table",
    );
    fault(
        "* | join user [ y | fields zone ]",
        "user",
        "the other query has no column `user`; known are zone",
    );
    fault(
        "* | sequence within=5m [ a ]",
        "[ a ]",
        "a sequence has 2 to 10 steps in square brackets; use it as `sequence by source.ip \
        within=10m [ event.outcome:failure ] [ event.outcome:success ]`",
    );
}

#[test]
fn every_wrong_pipe_is_reported() {
    assert_eq!(parse("* | foo | head 0 | bar").unwrap_err().len(), 3);
}

#[test]
fn a_table_that_is_not_there() {
    let plan = parse("* | lookup hosts host.name output owner").unwrap();
    let batches = [sample::batch()];
    let world = World { batches: &batches, tables: &Nothing, from: None, to: None, now: 0 };
    let message = eval::run(&plan, &world, None).unwrap_err();
    assert_eq!(message, "there is no lookup table `hosts`");
}
