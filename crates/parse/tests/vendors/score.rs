//! Counts of what is right, per product and part, and the table that shows them.

use std::collections::BTreeMap;
use std::fmt::Write;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) right: usize,
    pub(crate) asserted: usize,
}

impl Tally {
    pub(crate) fn percent(self) -> usize {
        self.right * 100 / self.asserted.max(1)
    }

    fn note(&mut self, right: bool) {
        self.asserted += 1;
        self.right += usize::from(right);
    }

    fn add(&mut self, other: Tally) {
        self.right += other.right;
        self.asserted += other.asserted;
    }
}

/// What one row of the table stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    /// False for a product that counts, so that those come first.
    pub(crate) apart: bool,
    pub(crate) name: String,
}

/// One set's score. `N` parts are counted side by side.
pub(crate) struct Score<const N: usize> {
    title: &'static str,
    parts: [&'static str; N],
    rows: BTreeMap<Row, [Tally; N]>,
    show: Option<String>,
    misses: String,
}

impl<const N: usize> Score<N> {
    pub(crate) fn new(title: &'static str, parts: [&'static str; N]) -> Self {
        let show = std::env::var("VENDORS_SHOW").ok().map(|text| text.to_lowercase());
        Self { title, parts, rows: BTreeMap::new(), show, misses: String::new() }
    }

    /// Counts one part of a case; `miss` says what is wrong, for people who ask to see it, or
    /// nothing if another part's does.
    pub(crate) fn note(
        &mut self,
        row: &Row,
        part: usize,
        right: bool,
        file: &str,
        miss: impl Fn() -> String,
    ) {
        self.rows.entry(row.clone()).or_insert([Tally::default(); N])[part].note(right);
        let asked = |show: &String| {
            row.name.to_lowercase().contains(show) || file.to_lowercase().contains(show)
        };
        if right || !self.show.as_ref().is_some_and(asked) {
            return;
        }
        let miss = miss();
        if !miss.is_empty() {
            let (name, part) = (&row.name, self.parts[part]);
            writeln!(self.misses, "miss {name} [{file}] {part}: {miss}").unwrap();
        }
    }

    /// The sum over the rows that count, or over those apart.
    pub(crate) fn total(&self, apart: bool) -> [Tally; N] {
        let mut total = [Tally::default(); N];
        for (_, tallies) in self.rows.iter().filter(|(row, _)| row.apart == apart) {
            for (sum, tally) in total.iter_mut().zip(tallies) {
                sum.add(*tally);
            }
        }
        total
    }

    /// Prints the misses that were asked for and the table: it is the purpose of these tests.
    #[allow(clippy::print_stderr)]
    pub(crate) fn print(&self) {
        eprintln!("{}{}", self.misses, self.table());
    }

    fn table(&self) -> String {
        let mut out = format!("\n== {}\n{:<44}", self.title, "product");
        for part in self.parts {
            write!(out, "{part:>22}").unwrap();
        }
        for apart in [false, true] {
            out.push('\n');
            for (row, tallies) in self.rows.iter().filter(|(row, _)| row.apart == apart) {
                line(&mut out, &row.name, tallies);
            }
            line(&mut out, if apart { "TOTAL APART" } else { "TOTAL LISTED" }, &self.total(apart));
        }
        out
    }
}

fn line(out: &mut String, name: &str, tallies: &[Tally]) {
    write!(out, "{name:<44}").unwrap();
    for tally in tallies {
        let cell = match tally.asserted {
            0 => "-".to_string(),
            _ => format!("{}/{} {:>3} %", tally.right, tally.asserted, tally.percent()),
        };
        write!(out, "{cell:>22}").unwrap();
    }
    out.push('\n');
}

#[test]
fn rows_apart_are_summed_apart() {
    let mut score = Score::new("test", ["part"]);
    let row = |apart| Row { apart, name: "name".into() };
    for (apart, right) in [(false, true), (false, false), (true, true)] {
        score.note(&row(apart), 0, right, "", String::new);
    }
    assert_eq!(score.total(false), [Tally { right: 1, asserted: 2 }]);
    assert_eq!(score.total(true), [Tally { right: 1, asserted: 1 }]);
    assert_eq!(score.total(false)[0].percent(), 50);
}
