//! Any text where a time is expected, received at any time: in front of a line, in a head of
//! syslog, as a value, and in a question.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pugmark_event::{Records, time};
use pugmark_fuzz::RECEIVED;
use pugmark_parse::{Input, Parser};

static PARSER: LazyLock<Parser> = LazyLock::new(|| Parser::new(&[]).expect("no pack is broken"));

/// Now, the epoch, ten seconds into 2027, the leap day of 2028, the end of 9999, the ends of time.
const CLOCKS: [time::Micros; 7] = [
    RECEIVED,
    0,
    1_798_761_610_000_000,
    1_835_395_200_000_000,
    253_402_300_799_999_999,
    i64::MIN,
    i64::MAX,
];

fuzz_target!(|text: &str| {
    let quoted = text.replace(['"', '\\'], "");
    let lines = [
        format!("{text} h app: text"),
        format!("<13>{text} h app: text"),
        format!("time=\"{quoted}\" level=info"),
        format!("{{\"time\":{text}}}"),
        format!("{{\"time\":\"{quoted}\"}}"),
    ];
    let records: Records = lines.iter().map(String::as_bytes).collect();
    // One for each input: all of them for each would be seven times as slow.
    let received = CLOCKS[text.len() % CLOCKS.len()];
    let (source, first_id) = ("fuzz", 1);
    let input = Input { source, records: &records, first_id, received, format: None };
    pugmark_fuzz::parse(&PARSER, &input);
    if let Some(bound) = time::parse_bound(text, received) {
        time::format(bound);
    }
});
