//! Where in the YAML of a rule something stands. The parser keeps no positions, so lines are found
//! by their keys: good enough to jump to, and never further off than the document.

/// Lines from the start of the document to a field of a selection, else to the selection, else 0.
pub(super) fn offset(text: &str, selection: Option<&str>, field: Option<&str>) -> usize {
    let Some(selection) = selection else { return 0 };
    let lines: Vec<&str> = text.lines().collect();
    // A log source may have a selection's name, but not after the word `detection`.
    let body = lines.iter().position(|l| l.starts_with("detection") || l.starts_with("filter:"));
    let from = match selection {
        "logsource" | "correlation" => 0,
        _ => body.unwrap_or(0),
    };
    let Some(start) = (from..lines.len()).find(|&at| key(lines[at]) == Some(selection)) else {
        return 0;
    };
    let Some(field) = field else { return start };
    let depth = indent(lines[start]);
    let inside =
        |line: &str| line.trim().is_empty() || indent(line) > depth || is_item(line, depth);
    let end = (start + 1..lines.len()).find(|&at| !inside(lines[at])).unwrap_or(lines.len());
    (start + 1..end).find(|&at| key(lines[at]) == Some(field)).unwrap_or(start)
}

/// True when the document has this key at its left edge.
pub(super) fn has_key(text: &str, wanted: &str) -> bool {
    text.lines().any(|line| indent(line) == 0 && key(line) == Some(wanted))
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// A list may stand as far left as the key that it belongs to.
fn is_item(line: &str, depth: usize) -> bool {
    indent(line) == depth && line.trim_start().starts_with("- ")
}

/// The key of a line, without modifiers, quotes and list signs.
fn key(line: &str) -> Option<&str> {
    let mut line = line.trim_start();
    while let Some(rest) = line.strip_prefix("- ") {
        line = rest.trim_start();
    }
    let line = line.trim_start_matches(['"', '\'', '{']);
    let end = line.find([':', '|'])?;
    Some(line[..end].trim_end().trim_end_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "title: T\nlogsource:\n    product: x\ndetection:\n    sel:\n        \
        - A|contains: b\n          'B': c\n    other: {C: d}\n    third:\n    - D: e\n    \
        condition: sel\n";

    #[test]
    fn keys_are_found_where_they_stand() {
        for (selection, field, expected) in [
            (None, None, 0),
            (Some("sel"), None, 4),
            (Some("sel"), Some("A"), 5),
            (Some("sel"), Some("B"), 6),
            (Some("sel"), Some("C"), 4),
            (Some("other"), Some("C"), 7),
            (Some("third"), Some("D"), 9),
            (Some("condition"), None, 10),
            (Some("logsource"), None, 1),
            (Some("none"), None, 0),
        ] {
            assert_eq!(offset(RULE, selection, field), expected, "{selection:?} {field:?}");
        }
        assert!(has_key(RULE, "title") && !has_key(RULE, "product"));
    }
}
