//! The texts between the values of records, as a tree: records of many shapes that begin alike
//! are told apart where they begin to differ, and no value is read twice.

use super::Walk;
use crate::found::Val;

/// Bytes of text that a tree keeps; records that would need more are not learnt. A record is
/// compared with so many at most.
const TEXT_BYTES_MAX: usize = 128 << 10;
/// The node before the first text.
const ROOT: usize = 0;

/// The tree. A path from its root to a leaf is one shape: a text, a value, a text, to the end.
#[derive(Debug)]
pub(super) struct Gaps {
    /// The texts of all nodes, one after the other.
    text: String,
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// Where its text stands.
    start: usize,
    end: usize,
    /// The child that was added or taken last.
    first: Option<usize>,
    /// The next child of the same parent.
    next: Option<usize>,
    /// The shape that ends here.
    shape: Option<usize>,
}

impl Default for Gaps {
    fn default() -> Self {
        Self { text: String::new(), nodes: vec![Node::default()] }
    }
}

impl Gaps {
    /// Takes the values out of a record and says which shape it has, if one of these.
    pub(super) fn shape<'a>(
        &mut self,
        record: &'a str,
        values: &mut Vec<Val<'a>>,
    ) -> Option<usize> {
        let mut walk = Walk::new(record);
        let mut node = ROOT;
        loop {
            node = self.child(node, |text| walk.gap(text).is_some())?;
            if self.nodes[node].shape.is_some() {
                return self.nodes[node].shape.filter(|_| walk.is_at_end());
            }
            values.push(walk.plain_value()?);
        }
    }

    /// Adds the shape with these texts, of which the last one ends it; false when it is there
    /// already or there is no more room.
    pub(super) fn add(&mut self, texts: &[&str], shape: usize) -> bool {
        let mut node = ROOT;
        for text in texts {
            let known = self.child(node, |own| own == text.as_bytes());
            let Some(child) = known.or_else(|| self.push(node, text)) else { return false };
            node = child;
        }
        let is_new = self.nodes[node].shape.is_none();
        self.nodes[node].shape.get_or_insert(shape);
        is_new
    }

    /// The child whose text is the right one. It is asked first the next time.
    #[inline]
    fn child(&mut self, parent: usize, mut is_it: impl FnMut(&[u8]) -> bool) -> Option<usize> {
        let first = self.nodes[parent].first?;
        let (mut before, mut at) = (None, first);
        while !is_it(self.text_of(at)) {
            before = Some(at);
            at = self.nodes[at].next?;
        }
        if let Some(before) = before {
            self.nodes[before].next = self.nodes[at].next;
            self.nodes[at].next = Some(first);
            self.nodes[parent].first = Some(at);
        }
        Some(at)
    }

    fn text_of(&self, node: usize) -> &[u8] {
        &self.text.as_bytes()[self.nodes[node].start..self.nodes[node].end]
    }

    fn push(&mut self, parent: usize, text: &str) -> Option<usize> {
        let (start, node) = (self.text.len(), self.nodes.len());
        let end = start + text.len();
        if end > TEXT_BYTES_MAX {
            return None;
        }
        self.text.push_str(text);
        let next = self.nodes[parent].first.replace(node);
        self.nodes.push(Node { start, end, next, ..Node::default() });
        Some(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the shapes each record has.
    #[track_caller]
    fn check(shapes: &[&[&str]], records: &[(&str, Option<usize>)]) {
        let mut gaps = Gaps::default();
        for (i, texts) in shapes.iter().enumerate() {
            assert!(gaps.add(texts, i), "{texts:?}");
            assert!(!gaps.add(texts, usize::MAX), "{texts:?} twice");
        }
        // Twice, since the first time changes what is asked first.
        for (record, expected) in records.iter().chain(records) {
            let mut values = Vec::new();
            let shape = gaps.shape(record, &mut values);
            assert_eq!(shape, *expected, "{record}");
            if let Some(shape) = shape {
                assert_eq!(values.len(), shapes[shape].len() - 1, "{record}");
            }
        }
    }

    #[test]
    fn shapes_part_where_their_texts_do() {
        check(
            &[
                &["{\"a\":", ",\"b\":", "}"],
                &["{\"a\":", ",\"c\":", "}"],
                &["{\"a\":", "}"],
                &["{\"a\":", ",\"b\":", ",\"c\":", "}"],
                &["{\"b\":", "}\n"],
            ],
            &[
                (r#"{"a":1,"b":2}"#, Some(0)),
                (r#"{"a":"x","c":[]}"#, Some(1)),
                (r#"{"a":null}"#, Some(2)),
                (r#"{"a":1,"b":2,"c":3}"#, Some(3)),
                ("{\"b\":1}\n", Some(4)),
                (r#"{"b":1}"#, None),
                (r#"{"a":1,"b":2}}"#, None),
                (r#"{"a":1,"d":2}"#, None),
                (r#"{"a":,"b":2}"#, None),
                (r#"{"a":1"#, None),
                ("", None),
            ],
        );
    }

    #[test]
    fn a_text_that_a_longer_one_begins_with_does_not_hide_it() {
        check(
            &[
                &["{\"a\":", ",\"e\":", "}"],
                &["{\"a\":", ",\"e\":{\"c\":", "}}"],
                &["{\"a\":", ",\"e\": ", "}"],
                &["{\"a\":", ",\"e\":", "}\n"],
                &["{\"a\":", "}"],
            ],
            &[
                (r#"{"a":1,"e":null}"#, Some(0)),
                (r#"{"a":1,"e":{"c":5}}"#, Some(1)),
                (r#"{"a":1,"e": 5}"#, Some(2)),
                ("{\"a\":1,\"e\":5}\n", Some(3)),
                (r#"{"a":1}"#, Some(4)),
                (r#"{"a":1,"e":{}}"#, None),
            ],
        );
    }

    #[test]
    fn room_is_bounded() {
        let mut gaps = Gaps::default();
        let long = "x".repeat(TEXT_BYTES_MAX - 10);
        assert!(gaps.add(&[&long, "}"], 0));
        // What is there already needs no room.
        assert!(gaps.add(&[&long, "}}"], 1));
        assert!(!gaps.add(&["{\"long\":", "}"], 2));
        let record = format!("{long}1}}}}");
        assert_eq!(gaps.shape(&record, &mut Vec::new()), Some(1));
    }
}
