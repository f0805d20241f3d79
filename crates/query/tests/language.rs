//! The language as a whole: nothing panics, plans come back from their text, the guide is true.

use proptest::prelude::*;
use pugmark_query::{complete, parse};

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,4}",
        Just("and".to_string()),
        r#""[a-z \\"(|:]{0,3}\\?""#,
        "[a-z*?\\\\]{1,5}",
        "-?[0-9]{1,3}(\\.\\.)?[0-9]{0,2}",
        "/[a-z.*()|]{1,4}/",
        "\\PC{1,3}",
    ]
}

fn leaf() -> impl Strategy<Value = String> {
    let field = prop_oneof![
        "[a-z]{1,3}",
        Just("user.name".to_string()),
        Just("source.port".to_string()),
        Just("\"a b\"".to_string())
    ];
    let sign = prop_oneof![Just(""), Just(">"), Just("<="), Just("="), Just("(")];
    prop_oneof![
        word(),
        (field.clone(), sign, word())
            .prop_map(|(f, s, w)| { format!("{f}:{s}{w}{}", if s == "(" { ")" } else { "" }) }),
        (field, "[0-9]{1,2}|\\*", "[0-9a-z]{1,2}|\\*")
            .prop_map(|(f, a, b)| format!("{f}:[{a} TO {b}}}")),
    ]
}

fn query() -> impl Strategy<Value = String> {
    let filter = leaf().prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} or {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} {b}")),
            inner.clone().prop_map(|a| format!("not {a}")),
            inner.prop_map(|a| format!("({a})")),
        ]
    });
    let pipes = prop_oneof![
        Just(String::new()),
        word().prop_map(|w| format!("| stats count() as {w}, p95(x) by user, {w}")),
        word().prop_map(|w| format!("| timechart span=90s sum({w})| head 3 | fields @timestamp")),
        word().prop_map(|w| format!("| sort -{w}, b asc | where {w}")),
        word().prop_map(|w| format!("| top {w} | sort count")),
        expr().prop_map(|e| format!("| eval x = {e} | where {e} or x:1 | sort x")),
        expr().prop_map(|e| format!("| where {e} | stats sum({e}), count() by lower(x)")),
        (expr(), word()).prop_map(|(e, w)| format!("| where {e} and not ({e} or {w})")),
        (word(), word()).prop_map(|(v, w)| format!("| rename {v} as {w} | dedup {w} | expand {w}")),
        (leaf(), word()).prop_map(|(l, w)| format!(
            "| join left {w} [ {l} | stats count() as \"n 1\" by {w} ] | tail 3"
        )),
        (leaf(), expr()).prop_map(|(l, e)| format!(
            "| sequence by user within=5m [ {l} ] [ where {e} ] | transaction by user pause=90s"
        )),
        word().prop_map(|w| format!("| parse \"{w} * x\" as y from {w} | extract kv {w}")),
        word().prop_map(|w| format!(
            "| timechart span=1h avg({w}) as a | baseline a | outlier a | compare 7d"
        )),
    ];
    (filter, pipes).prop_map(|(f, p)| format!("{f} {p}"))
}

fn expr() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        "-?[0-9]{1,4}(\\.[0-9])?",
        "[0-9]{1,2}[smhd]",
        "[a-z]{1,3}",
        Just("user.name".to_string()),
        Just("'a-b c'".to_string()),
        Just("\"a\\\"b \\\\\"".to_string()),
        Just("null".to_string()),
        Just("now()".to_string()),
    ];
    value.prop_recursive(4, 16, 3, |inner| {
        let sign = prop_oneof![
            Just("+"),
            Just("-"),
            Just("*"),
            Just("/"),
            Just("%"),
            Just("="),
            Just("=="),
            Just("!="),
            Just("<"),
            Just(">="),
            Just("and"),
            Just("or"),
        ];
        prop_oneof![
            (inner.clone(), sign, inner.clone()).prop_map(|(a, s, b)| format!("{a} {s} {b}")),
            inner.clone().prop_map(|a| format!("({a})")),
            inner.clone().prop_map(|a| format!("-{a}")),
            inner.clone().prop_map(|a| format!("not {a}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("if({a}, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} in ({b}, 5)")),
            inner.clone().prop_map(|a| format!("{a} like \"x*\"")),
            inner.prop_map(|a| format!("matches({a}, /x\\/y|z/)")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}", pos in 0usize..80) {
        come_back(&text)?;
        complete::complete(&text, pos, None);
    }

    #[test]
    fn plans_come_back_from_their_text(text in query()) {
        come_back(&text)?;
    }
}

fn come_back(text: &str) -> Result<(), TestCaseError> {
    match parse(text) {
        Ok(plan) => {
            let written = plan.to_string();
            let again = parse(&written);
            prop_assert_eq!(again.as_ref(), Ok(&plan), "{:?} was written as {:?}", text, written);
        }
        Err(faults) => {
            prop_assert!(!faults.is_empty());
            for fault in faults {
                prop_assert!(fault.from <= fault.to && fault.to <= text.len(), "{:?}", fault);
                prop_assert!(text.is_char_boundary(fault.from) && text.is_char_boundary(fault.to));
            }
        }
    }
    Ok(())
}

/// Every example in the guide is a question that is understood.
#[test]
fn the_guide_is_true() {
    let path = concat!(env!("WORKSPACE_ROOT"), "docs/guide/query-language.md");
    let guide = std::fs::read_to_string(path).expect("the guide is in the repository");
    let mut examples = 0;
    let mut inside = false;
    for line in guide.lines() {
        match line {
            "```query" => inside = true,
            "```" => inside = false,
            example if inside && !example.is_empty() => {
                examples += 1;
                assert!(parse(example).is_ok(), "{example}: {:?}", parse(example));
            }
            _ => {}
        }
    }
    assert!(examples >= 20, "the guide has {examples} examples");
}
