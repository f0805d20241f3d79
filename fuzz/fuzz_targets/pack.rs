//! Any text as a pack of a user's own, then records by that pack: it is refused, or it reads them
//! and loses nothing. Behind a line `---` stand the records.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pugmark_fuzz::RECEIVED;
use pugmark_parse::{Input, PackSource, Parser, frame};

const NAME: &str = "own/pack";

fuzz_target!(|text: &str| {
    let (pack, lines) = text.split_once("\n---\n").unwrap_or((text, "Nov 23 10:00:01 h app: text"));
    let source = PackSource { path: NAME.into(), text: pack.into() };
    let Ok(mut parser) = Parser::new(&[source]) else { return };
    assert_eq!(parser.catalog().len(), 1);
    let records = frame::body(lines.into());
    let (source, first_id, received) = ("fuzz", 1, RECEIVED);
    let input = Input { source, records: &records, first_id, received, format: None };
    pugmark_fuzz::parse(&parser, &input);
    parser.force(NAME).expect("it is the only pack");
    pugmark_fuzz::parse(&parser, &input);
});
