//! Any bytes through cleaning and masking: no panic, spans in order inside the record, masking
//! comes to an end, and no control characters in what is shown.

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
    // A text may look like an address only once what stood before it is masked, so there may be
    // more to mask; but not for ever.
    let mut masked = bytes.to_vec();
    let rounds = (0..).take_while(|_| match MASKER.mask(&masked, &mut Counts::new()) {
        Some(again) => {
            masked = again;
            true
        }
        None => false,
    });
    assert!(rounds.take(bytes.len() + 2).count() <= bytes.len() + 1);
    let (text, _) = clean::decode(bytes);
    let shown = clean::plain(&text);
    assert!(!shown.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')));
});
