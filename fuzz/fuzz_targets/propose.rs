//! Any bytes as records for which a pack is proposed: the pack loads, whatever the records say, and
//! its figures are of these records.

#![no_main]

use arrow::array::Array as _;
use libfuzzer_sys::fuzz_target;
use pugmark_event::fields;
use pugmark_fuzz::RECEIVED;
use pugmark_parse::propose::propose;
use pugmark_parse::{Headers, Input, PackSource, Parser, frame};

fuzz_target!(|bytes: &[u8]| {
    let records = frame::body(bytes.to_vec());
    let format = Headers::default().next(&records);
    let input = Input {
        source: "till",
        records: &records,
        first_id: 1,
        received: RECEIVED,
        format: format.as_deref(),
    };
    let proposal = propose(&input, "shop/till");
    assert_eq!(proposal.records, records.len());
    assert!((0.0..=1.0).contains(&proposal.covered) && (0.0..=1.0).contains(&proposal.confidence));
    let pack = PackSource { path: "shop/till".into(), text: proposal.text };
    let parser = Parser::new(&[pack]).expect("a proposed pack loads");
    let batch = pugmark_fuzz::parse(&parser, &input);
    let module = batch.text(fields::EVENT_MODULE);
    let is_left = |row: &usize| module.is_none_or(|module| module.is_null(*row));
    let left: Vec<usize> = (0..batch.rows()).filter(is_left).collect();
    assert_eq!(proposal.remaining, left, "what is shown as left is what the pack leaves");
});
