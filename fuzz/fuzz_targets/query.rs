//! The query language: any text parses or is refused, and what parses prints as the same plan.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(plan) = pugmark_query::parse(text) {
        let printed = plan.to_string();
        let again = pugmark_query::parse(&printed).expect("a printed plan parses");
        assert_eq!(again.to_string(), printed);
    }
    let _ = pugmark_query::complete::complete(text, text.len() / 2, None);
});
