//! Where rules come from: the ones in the binary and folders of the user's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pugmark_detect::{Detector, Known, KnownSource, Problem, Rule, RuleSet, RuleSource, RuleTest};
use pugmark_event::Records;
use pugmark_event::time::Micros;
use pugmark_parse::{Input, Parser};
use rust_embed::RustEmbed;

use crate::clock::{Clock, SystemClock};

/// Rule files larger than this are refused: the largest public rule has 60 kB.
pub const RULE_FILE_BYTES_MAX: u64 = 1 << 20;

// Another clone has other files.
const _: Option<&str> = option_env!("WORKSPACE_ROOT");

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../../content/rules"]
struct Builtin;

/// The rules that ship in the binary.
pub fn builtin() -> Vec<RuleSource> {
    let mut sources: Vec<RuleSource> = Builtin::iter()
        .filter(|path| path.ends_with(".yaml"))
        .filter_map(|path| {
            let file = Builtin::get(&path)?;
            let text = String::from_utf8_lossy(&file.data).into_owned();
            Some(RuleSource { path: format!("builtin/{path}"), text })
        })
        .collect();
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// Reads every `.yml` and `.yaml` file under `path`, in order of their names.
///
/// # Errors
/// When `path` itself cannot be read; a file inside that cannot is a problem in the list.
pub fn read_folder(path: &Path) -> std::io::Result<(Vec<RuleSource>, Vec<Problem>)> {
    let files = files(path)?;
    let (mut sources, mut problems) = (Vec::new(), Vec::new());
    for file in files {
        match read_file(&file) {
            Ok(source) => sources.push(source),
            Err(message) => problems.push(Problem {
                path: file.display().to_string(),
                line: None,
                rule: None,
                message,
                hint: "check the file and who may read it".into(),
            }),
        }
    }
    Ok((sources, problems))
}

/// The YAML files under `path`, by their names.
pub(crate) fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    collect(path, &mut files, 0)?;
    files.sort();
    Ok(files)
}

fn read_file(path: &Path) -> Result<RuleSource, String> {
    Ok(RuleSource { path: path.display().to_string(), text: read_text(path)? })
}

/// The text of a file that is not too large.
pub(crate) fn read_text(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    if size > RULE_FILE_BYTES_MAX {
        return Err(format!("the file has {size} bytes; a rule file has at most 1 MiB"));
    }
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    String::from_utf8(bytes).map_err(|e| format!("not UTF-8: {e}"))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>, depth: usize) -> std::io::Result<()> {
    if path.is_file() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    // A loop of links must end.
    if depth > 32 {
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        let entry = entry?.path();
        if entry.is_dir() {
            collect(&entry, files, depth + 1)?;
        } else if entry.extension().is_some_and(|e| e == "yml" || e == "yaml") {
            files.push(entry);
        }
    }
    Ok(())
}

/// Loads and compiles for now: what cannot be used is in the list of problems, as are exceptions
/// that have expired; the rest works.
pub fn compile(sources: &[RuleSource]) -> (RuleSet, Vec<Problem>) {
    compile_at(sources, SystemClock.now())
}

/// The same for another time, which decides which exceptions have expired.
pub fn compile_at(sources: &[RuleSource], now: Micros) -> (RuleSet, Vec<Problem>) {
    let mut loaded = pugmark_detect::load(sources);
    let mut problems = loaded.expire(now);
    problems.extend(loaded.problems);
    let (rules, more) = RuleSet::compile(loaded.rules);
    problems.extend(more);
    (rules, problems)
}

/// What events the packs of `parser` can make, for [`pugmark_detect::lint()`]. `seen` are product,
/// category and service of stored events, where there is a store.
pub fn known(parser: &Parser, seen: Option<Vec<[String; 3]>>) -> Known {
    let sources = parser.catalog().into_iter().map(|pack| KnownSource {
        sources: pack.sources.into_iter().collect(),
        names: pack.names,
        open: pack.open,
    });
    Known { sources: sources.collect(), seen }
}

/// How one test of a rule went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// File of the rule.
    pub path: String,
    /// Id of the rule.
    pub rule_id: String,
    /// Name of the test.
    pub name: String,
    /// Detections that the test expects.
    pub expected: usize,
    /// Detections that there were.
    pub found: usize,
}

impl TestResult {
    /// True when the rule did what its test says.
    pub fn passed(&self) -> bool {
        self.expected == self.found
    }
}

/// When test records count as received: years are guessed from it where a record has none.
const TEST_RECEIVED: i64 = 1_795_478_400_000_000; // 2026-11-24T00:00:00Z

/// Runs the tests that stand in rule files. The rules of one file see each other, as a
/// correlation needs, and nothing else.
pub fn run_tests(sources: &[RuleSource], parser: &Parser) -> (Vec<TestResult>, Vec<Problem>) {
    let (mut results, mut problems) = (Vec::new(), Vec::new());
    for source in sources {
        let loaded = pugmark_detect::load(std::slice::from_ref(source));
        problems.extend(RuleSet::compile(loaded.rules.clone()).1);
        problems.extend(loaded.problems);
        for tests in loaded.tests.chunk_by(|a, b| a.rule_id == b.rule_id) {
            let set = Arc::new(speaking(loaded.rules.clone(), &tests[0].rule_id));
            results.extend(tests.iter().map(|test| TestResult {
                path: test.path.clone(),
                rule_id: test.rule_id.clone(),
                name: test.name.clone(),
                expected: test.detections,
                found: count_detections(&set, parser, test),
            }));
        }
    }
    (results, problems)
}

/// The rules, of which one makes detections even if it only feeds a correlation.
fn speaking(rules: Vec<Rule>, rule_id: &str) -> RuleSet {
    let (mut set, _) = RuleSet::compile(rules);
    if let Some(rule) = set.index_of(rule_id) {
        set.unsilence(rule);
    }
    set
}

fn count_detections(set: &Arc<RuleSet>, parser: &Parser, test: &RuleTest) -> usize {
    let records: Records =
        test.records.lines().filter(|l| !l.trim().is_empty()).map(str::as_bytes).collect();
    let input = Input {
        source: "test",
        records: &records,
        first_id: 1,
        received: TEST_RECEIVED,
        format: None,
    };
    let detections = Detector::new(set.clone()).process(&parser.parse(&input));
    detections.iter().filter(|d| d.rule.id == test.rule_id).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_in_the_binary_pass_their_own_tests() {
        let sources = builtin();
        assert!(sources.len() >= 25, "{} rule files", sources.len());
        let (results, problems) = run_tests(&sources, &Parser::builtin().unwrap());
        let failed: Vec<_> = results.iter().filter(|result| !result.passed()).collect();
        assert!(problems.is_empty(), "{problems:#?}");
        assert!(failed.is_empty(), "{} of {} failed: {failed:#?}", failed.len(), results.len());
    }
}
