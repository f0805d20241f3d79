//! Rule files to rules. One broken rule never stops the others.

use std::collections::HashMap;

use pugmark_event::time::Micros;
use serde::{Deserialize, Serialize};

use crate::origins::Origins;
use crate::placeholders::Placeholders;
use crate::rule::{Body, Rule};
use crate::sigma;

/// Largest rule file, in bytes.
pub const RULE_FILE_BYTES_MAX: usize = 1 << 20;

/// A rule file. Reading it is the caller's business.
#[derive(Debug, Clone)]
pub struct RuleSource {
    /// Where it lies, for messages.
    pub path: String,
    /// Its text: one or several YAML documents.
    pub text: String,
}

/// What rule files hold.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Rules in the order of the files.
    pub rules: Vec<Rule>,
    /// What was set aside, or is odd.
    pub problems: Vec<Problem>,
    /// Tests written beside the rules.
    pub tests: Vec<RuleTest>,
}

/// Something wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file.
    pub path: String,
    /// Line where the document starts, from 1.
    pub line: Option<usize>,
    /// Id of the rule, if it got so far.
    pub rule: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.path)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)?;
        match self.hint.as_str() {
            "" => Ok(()),
            hint => write!(f, " ({hint})"),
        }
    }
}

/// A test of a rule: records and how many detections they must give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleTest {
    /// The file.
    pub path: String,
    /// Id of the rule it tests.
    pub rule_id: String,
    /// What it shows.
    pub name: String,
    /// Raw records, one a line, as the product writes them.
    pub records: String,
    /// Detections of that rule.
    pub detections: usize,
}

/// Reads all documents of all files.
pub fn load(sources: &[RuleSource]) -> Loaded {
    let mut loaded = Loaded::default();
    let beside = Beside::read(sources, &mut loaded.problems);
    for source in sources.iter().filter(|source| !Beside::is_file(&source.path)) {
        if source.text.len() > RULE_FILE_BYTES_MAX {
            loaded.problems.push(Problem {
                path: source.path.clone(),
                line: None,
                rule: None,
                message: format!("a file of {} bytes", source.text.len()),
                hint: format!("at most {RULE_FILE_BYTES_MAX} bytes; split it"),
            });
            continue;
        }
        for (line, text) in documents(&source.text) {
            document(&source.path, line, text, &beside, &mut loaded);
        }
    }
    set_aside_doubles(&mut loaded);
    name_tested_rules(&mut loaded);
    loaded
}

impl Loaded {
    /// Takes out exceptions whose last day is over, and says so.
    pub fn expire(&mut self, now: Micros) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.rules.retain(|rule| {
            let Body::Filter { exception, .. } = &rule.body else { return true };
            if !exception.has_expired(now) {
                return true;
            }
            let day = exception.expires.as_deref().unwrap_or_default();
            let owner = match exception.owner.as_str() {
                "" => String::new(),
                owner => format!(" of {owner}"),
            };
            problems.push(Problem {
                path: rule.info.path.clone(),
                line: Some(rule.line),
                rule: Some(rule.info.id.clone()),
                message: format!("the exception `{}`{owner} expired on {day}", exception.title),
                hint: "give it a later day if its reason still holds, or delete it".into(),
            });
            false
        });
        problems
    }
}

/// What files beside the rules say for all of them.
#[derive(Debug, Default)]
struct Beside {
    placeholders: Placeholders,
    origins: Origins,
}

impl Beside {
    /// True for a file that holds no rules.
    fn is_file(path: &str) -> bool {
        Placeholders::is_file(path) || Origins::is_file(path)
    }

    fn read(sources: &[RuleSource], problems: &mut Vec<Problem>) -> Self {
        let mut beside = Self::default();
        for RuleSource { path, text } in sources {
            let added = match path.as_str() {
                path if Placeholders::is_file(path) => beside.placeholders.add(text),
                path if Origins::is_file(path) => beside.origins.add(path, text),
                _ => continue,
            };
            if let Err(fault) = added {
                let (message, hint) = (fault.message, fault.hint);
                problems.push(Problem {
                    path: path.clone(),
                    line: None,
                    rule: None,
                    message,
                    hint,
                });
            }
        }
        beside
    }
}

fn document(path: &str, line: usize, text: &str, beside: &Beside, loaded: &mut Loaded) {
    let problem = |rule: Option<&str>, fault: sigma::Fault| Problem {
        path: path.to_string(),
        line: Some(line),
        rule: rule.map(str::to_string),
        message: fault.message,
        hint: fault.hint,
    };
    if top_level(text, "action") {
        let fault = sigma::Fault::new("collections with `action` are obsolete")
            .hint("write each document in full");
        return loaded.problems.push(problem(None, fault));
    }
    let (mut rule, odd) = match sigma::read(path, line, text, &beside.placeholders) {
        Ok(read) => read,
        Err(fault) => return loaded.problems.push(problem(None, fault)),
    };
    if rule.info.license.is_empty() {
        rule.info.license = beside.origins.license(path).to_string();
    }
    let id = rule.info.id.clone();
    loaded.problems.extend(odd.into_iter().map(|fault| problem(Some(&id), fault)));
    if top_level(text, "tests") {
        match yaml_serde::from_str::<Tests>(text) {
            Ok(read) => loaded.tests.extend(read.tests.into_iter().map(|test| RuleTest {
                path: path.to_string(),
                rule_id: test.rule.unwrap_or_else(|| id.clone()),
                name: test.name,
                records: test.records,
                detections: test.detections,
            })),
            Err(e) => {
                let fault = sigma::Fault::new(format!("tests cannot be read: {e}"))
                    .hint("each test has name, records (text) and detections (a number)");
                loaded.problems.push(problem(Some(&id), fault));
            }
        }
    }
    loaded.rules.push(rule);
}

#[derive(Deserialize)]
struct Tests {
    tests: Vec<TestText>,
}

#[derive(Deserialize)]
struct TestText {
    name: String,
    records: String,
    detections: usize,
    rule: Option<String>,
}

/// True when a document has this key at its left edge.
fn top_level(text: &str, key: &str) -> bool {
    text.lines().any(|l| l.strip_prefix(key).is_some_and(|l| l.trim_start().starts_with(':')))
}

/// The documents of a YAML file with the line on which each starts. A document marker stands at
/// the left edge, where the text of a block scalar cannot.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let bare = line.trim_end();
        if bare == "---" || bare == "..." || bare.starts_with("--- ") {
            documents.push((start_line, &text[start..at]));
            // What follows a marker on its line belongs to the document.
            start = at + 3;
            start_line = index + 1 + usize::from(bare.len() == 3);
        }
        at += line.len();
    }
    documents.push((start_line, &text[start..]));
    let blank = |text: &str| {
        text.lines().all(|l| matches!(l.trim_start().bytes().next(), None | Some(b'#' | b'%')))
    };
    documents.retain(|(_, text)| !blank(text));
    documents
}

fn set_aside_doubles(loaded: &mut Loaded) {
    let mut seen: HashMap<String, String> = HashMap::new();
    let problems = &mut loaded.problems;
    loaded.rules.retain(|rule| {
        let info = &rule.info;
        let Some(first) = seen.insert(info.id.clone(), info.path.clone()) else { return true };
        problems.push(Problem {
            path: info.path.clone(),
            line: Some(rule.line),
            rule: Some(info.id.clone()),
            message: format!("the id {} is taken by a rule in {first}", info.id),
            hint: "give it an id of its own".into(),
        });
        seen.insert(info.id.clone(), first);
        false
    });
}

/// A test may name its rule by name or title.
fn name_tested_rules(loaded: &mut Loaded) {
    for test in &mut loaded.tests {
        let found = find(&loaded.rules, &test.rule_id);
        match found {
            Some(index) => test.rule_id = loaded.rules[index].info.id.clone(),
            None => loaded.problems.push(Problem {
                path: test.path.clone(),
                line: None,
                rule: Some(test.rule_id.clone()),
                message: format!("test `{}` is for a rule that does not exist", test.name),
                hint: "name it by id, name or title".into(),
            }),
        }
    }
}

/// A rule by id, else by name, else by title.
pub(crate) fn find(rules: &[Rule], reference: &str) -> Option<usize> {
    let by = |same: &dyn Fn(&Rule) -> bool| rules.iter().position(same);
    by(&|rule| rule.info.id == reference)
        .or_else(|| by(&|rule| rule.name.as_deref() == Some(reference)))
        .or_else(|| by(&|rule| rule.info.title == reference))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "title: Good\nid: g\nlogsource: {product: linux}\ndetection:\n  \
                        sel: {user.name: root}\n  condition: sel\n";

    fn one(text: &str) -> Loaded {
        load(&[RuleSource { path: "r.yaml".into(), text: text.into() }])
    }

    /// Loads a rule whose detection is `detection`, and expects a problem that says `expected`.
    #[track_caller]
    fn refused(detection: &str, expected: &str) {
        let text = format!(
            "title: Bad\nid: b\nlogsource: {{product: linux}}\ndetection:\n{detection}\n---\n{GOOD}"
        );
        let loaded = one(&text);
        assert_eq!(loaded.rules.len(), 1, "the good rule stays: {:?}", loaded.problems);
        let shown: Vec<String> = loaded.problems.iter().map(Problem::to_string).collect();
        assert!(shown.iter().any(|p| p.contains(expected)), "{expected:?} not in {shown:?}");
    }

    #[test]
    fn a_broken_rule_is_set_aside_with_its_reason() {
        refused("  sel: {a: b}\n  condition: other", "names `other`");
        refused("  sel: {a: b}\n  condition: 1 of x*", "no selection is called `x*`");
        refused("  sel: {a: b}\n  condition: sel and", "Condition parse error");
        refused("  sel: {a: b}\n  condition: sel | count() > 5", "Condition parse error");
        refused("  sel: {a|re: '('}\n  condition: sel", "broken regular expression");
        refused("  sel: {a|re: '(?=x)'}\n  condition: sel", "look-around");
        refused("  sel: {a|re|contains: 'x'}\n  condition: sel", "do not go with re");
        refused("  sel: {a|cidr: '10.0.0.0/99'}\n  condition: sel", "not a network");
        refused("  sel: {a|gt: many}\n  condition: sel", "not a number");
        refused("  sel: {a|frob: x}\n  condition: sel", "Unknown modifier 'frob'");
        refused("  sel: {a|expand: '%admins%'}\n  condition: sel", "has no values");
        refused("  sel: {a: []}\n  condition: sel", "empty list");
        refused("  sel: {}\n  condition: sel", "empty selection");
        refused("  sel: {a: b}\n", "Missing required field 'condition'");
        refused("  sel: [\n  condition: sel", "YAML");
        refused("  sel: {a: b}\n  timeframe: 5m\n  condition: sel", "obsolete");
        let deep =
            format!("  sel: {{a: b}}\n  condition: {}sel{}", "(".repeat(9000), ")".repeat(9000));
        refused(&deep, "");
        let long = format!("  sel: {{a|re: '{}'}}\n  condition: sel", "a".repeat(100_000));
        refused(&long, "at most 65536");
        let huge = "  sel: {a|re: '((a{1000}){1000}){1000}'}\n  condition: sel";
        refused(huge, "broken regular expression");
        let many = format!("  sel:\n    a: [{}]\n  condition: sel", "x,".repeat(100_000));
        refused(&many, "too many values");
    }

    #[test]
    fn placeholders_are_filled_from_a_file_beside_the_rules() {
        let rule = "title: P\nid: p\nlogsource: {product: linux}\ndetection:\n  \
                    sel: {user.name|expand: '%admins%'}\n  condition: sel\n";
        let source = |path: &str, text: &str| RuleSource { path: path.into(), text: text.into() };
        let values = source("r/placeholders.yaml", "admins: [root, ines]");
        let loaded = load(&[source("r/p.yaml", rule), values]);
        assert_eq!((loaded.rules.len(), loaded.problems), (1, vec![]));
        let loaded = load(&[source("r/p.yaml", rule), source("placeholders.yml", "admins: {}")]);
        let messages: Vec<_> = loaded.problems.iter().map(|p| p.message.as_str()).collect();
        assert!(messages[0].contains("are no texts or numbers"), "{messages:?}");
        assert!(messages[1].contains("`%admins%` has no values"), "{messages:?}");
    }

    #[test]
    fn a_licence_comes_from_the_rule_or_from_its_import() {
        let source = |path: &str, text: &str| RuleSource { path: path.into(), text: text.into() };
        let own = GOOD.replace("id: g", "id: h\nlicense: MIT");
        let loaded = load(&[
            source("r/imported/x/a.yml", GOOD),
            source("r/imported/x/b.yml", &own),
            source("r/imported/x/import.yaml", "source: x.zip\nlicense: DRL 1.1\n"),
            source("r/c.yml", &GOOD.replace("id: g", "id: i")),
        ]);
        assert_eq!(loaded.problems, []);
        let licenses: Vec<_> = loaded.rules.iter().map(|r| r.info.license.as_str()).collect();
        assert_eq!(licenses, ["DRL 1.1", "MIT", ""]);
        let loaded = load(&[source("r/import.yaml", GOOD)]);
        assert!(loaded.problems[0].message.contains("no record of an import"));
    }

    #[test]
    fn documents_keep_their_lines() {
        let text = format!("# head\n---\n{GOOD}---\ntitle: x\n");
        let found: Vec<_> = documents(&text).into_iter().map(|(line, _)| line).collect();
        assert_eq!(found, [3, 10]);
        let loaded = one(&text);
        assert_eq!(loaded.rules[0].line, 3);
        assert_eq!(loaded.problems[0].line, Some(10));
    }

    #[test]
    fn tests_are_read_beside_their_rule() {
        let text = format!(
            "{GOOD}tests:\n  - name: t\n    records: |\n      ---\n      two\n    detections: 1\n  \
             - {{name: u, records: x, detections: 0, rule: Good}}\n"
        );
        let loaded = one(&text);
        assert_eq!(loaded.problems, []);
        assert_eq!(loaded.tests.len(), 2);
        assert_eq!(loaded.tests[0].records, "---\ntwo\n");
        assert_eq!(loaded.tests[1].rule_id, "g");
        assert_eq!(one(&format!("{GOOD}tests: 5\n")).problems.len(), 1);
    }

    #[test]
    fn doubles_and_giants_are_refused() {
        let loaded = one(&format!("{GOOD}---\n{GOOD}"));
        assert_eq!((loaded.rules.len(), loaded.problems.len()), (1, 1));
        assert_eq!(one(&"#".repeat(RULE_FILE_BYTES_MAX + 1)).problems.len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn odd_text_never_panics(text in "(---\n|title: |detection:|  |[a-z]{1,5}|: |\n|- |[{}&*|'\"]){0,40}") {
            one(&text);
        }
    }
}
