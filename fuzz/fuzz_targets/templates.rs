//! Any text through the miner of templates: no panic, slots inside the message and in order, the
//! same id for the same line, and never more templates than allowed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pugmark_parse::templates::{Limits, Miner};

/// Few, so that the fuzzer gets to the limit.
const TEMPLATES_MAX: usize = 32;

fuzz_target!(|text: &str| {
    let mut miner = Miner::new(Limits { templates_max: TEMPLATES_MAX, ..Limits::default() });
    let (mut slots, mut again) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let id = miner.learn(line, &mut slots);
        assert_eq!(miner.learn(line, &mut again), id);
        assert_eq!(slots, again);
        assert!(slots.is_sorted_by(|a, b| a.end <= b.start));
        assert!(slots.iter().all(|s| line.get(s.start as usize..s.end as usize).is_some()));
        assert!(miner.template(id).is_some());
        assert!(miner.counts().templates <= TEMPLATES_MAX);
    }
});
