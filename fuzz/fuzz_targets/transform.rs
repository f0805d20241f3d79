//! Any text as a program, run on events: no panic, no overflow of the stack, and every record is
//! still there with its exact bytes.

#![no_main]

use std::cell::Cell;
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use pugmark_event::{Batch, Records};
use pugmark_parse::{Input, Parser};
use pugmark_transform::{TransformSource, Transforms};

static BATCH: LazyLock<Batch> = LazyLock::new(|| {
    let parser = Parser::new(&[]).expect("no pack is broken");
    let records: Records = [
        br#"{"a":{"b":[1,{"c":null}]},"user":{"name":"ines"},"n":007,"t":"2026-11-23T10:00:00Z"}"#,
        b"Nov 23 10:00:01 web1 sshd[8]: Failed password for root from 203.0.113.7".as_slice(),
        b"\xff\xfe no text",
    ]
    .into_iter()
    .collect();
    let received = 1_795_428_000_000_000;
    parser.parse(&Input { source: "fuzz", records: &records, first_id: 1, received, format: None })
});

fuzz_target!(|program: &str| {
    let lines: String = program.lines().map(|line| format!("  {line}\n")).collect();
    let text = format!("sources: ['*']\nprogram: |2\n{lines}");
    let (transforms, _) = Transforms::compile(&[TransformSource { name: "fuzz".into(), text }]);
    // A clock that goes on, so that a program that grows without bound ends.
    let looks = Cell::new(0);
    let elapsed = || {
        looks.set(looks.get() + 1);
        Duration::from_millis(looks.get())
    };
    let (after, _) = transforms.apply("fuzz", BATCH.clone(), &elapsed);
    assert_eq!(after.ids(), BATCH.ids());
    for row in 0..after.rows() {
        assert_eq!(after.original(row), BATCH.original(row));
    }
});
