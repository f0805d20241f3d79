//! Any text as a rule file, then the rules that come out of it over one event.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pugmark_detect::{Detector, RuleSet, RuleSource, load};
use pugmark_event::{BatchBuilder, Value};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // The first line is the event's text, the rest is the rule file.
    let (event, rule) = text.split_once('\n').unwrap_or(("", text));
    let loaded = load(&[RuleSource { path: "fuzz.yaml".into(), text: rule.into() }]);
    let (rules, _) = RuleSet::compile(loaded.rules);
    let mut builder = BatchBuilder::new("fuzz", 1_795_428_000_000_000);
    builder.begin(1, event.as_bytes());
    builder.log_source("windows", "process_creation", "sysmon");
    builder.native("windows", "CommandLine", Value::Text(event));
    builder.attribute("Odd", Value::Json(event));
    builder.end(None);
    let Ok(batch) = builder.finish() else { return };
    for detection in Detector::new(rules.into()).process(&batch) {
        assert!(!detection.rule.silent);
    }
});
