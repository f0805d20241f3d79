//! Any bytes through cleaning and masking: no panic, spans in order inside the record, nothing left
//! to mask in what was masked, and no control characters in what is shown.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pugmark_parse::clean;
use pugmark_parse::mask::{Counts, MaskConfig, Masker, Policy, Treatment};

static MASKER: LazyLock<Masker> = LazyLock::new(|| {
    let policy = || Policy { treatment: Treatment::Mask, ..Policy::default() };
    let (card, key, token, secret, email) = (policy(), policy(), policy(), policy(), policy());
    let config = MaskConfig { card, key, token, secret, email, rules: Vec::new() };
    Masker::new(&config, b"").expect("nothing is hashed")
});

fuzz_target!(|bytes: &[u8]| {
    let spans = MASKER.find(bytes);
    assert!(spans.is_sorted_by(|a, b| a.range.end <= b.range.start));
    assert!(spans.iter().all(|span| bytes.get(span.range.clone()).is_some()));
    if let Some(masked) = MASKER.mask(bytes, &mut Counts::new()) {
        assert_eq!(MASKER.mask(&masked, &mut Counts::new()), None);
    }
    let (text, _) = clean::decode(bytes);
    let shown = clean::plain(&text);
    assert!(!shown.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')));
});
