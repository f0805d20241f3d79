//! The rules of a node: those in the binary, those in folders, and those that people wrote in the
//! product, compiled together.
//!
//! A rule that a person wrote stands in for one with the same id from elsewhere. A rule that cannot
//! be used is set aside with its reason, and the others run.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pugmark_detect::{Loaded, Problem, Rule, RuleInfo, RuleSet, RuleSource, select};
use pugmark_event::time::Micros;
use pugmark_store::KeptRule;

use crate::rules;

/// What the path of a rule begins with that was written in the product.
pub const PRODUCT: &str = "product/";

/// Where rules come from, beside those written in the product.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Whether the rules in the binary are among them.
    pub builtin: bool,
    /// Folders.
    pub dirs: Vec<PathBuf>,
}

/// A folder with rules cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read rules from {}: {error}", dir.display())]
pub struct OriginError {
    /// The folder.
    pub dir: PathBuf,
    /// What the system says.
    pub error: std::io::Error,
}

/// Rule files as found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Their texts.
    pub sources: Vec<RuleSource>,
    /// Files that cannot be read.
    pub problems: Vec<Problem>,
}

/// Rules that run, and those that do not.
#[derive(Debug)]
pub struct RuleBook {
    /// The rules that run.
    pub rules: Arc<RuleSet>,
    /// The same before they were compiled.
    pub loaded: Vec<Rule>,
    /// Rules that were set aside, and why.
    pub problems: Vec<Problem>,
    /// Rules that a person switched off.
    pub off: Vec<Off>,
}

/// A rule that a person switched off.
#[derive(Debug, Clone, PartialEq)]
pub struct Off {
    /// The rule.
    pub rule: RuleInfo,
    /// Who did it, when and why.
    pub switch: KeptRule,
}

impl Origin {
    /// Reads all of it.
    ///
    /// # Errors
    /// When a folder cannot be read; a file in it that cannot is a problem in the answer.
    pub fn read(&self) -> Result<Found, OriginError> {
        let sources = if self.builtin { rules::builtin() } else { Vec::new() };
        let mut found = Found { sources, problems: Vec::new() };
        for dir in &self.dirs {
            let (sources, problems) =
                rules::read_folder(dir).map_err(|error| OriginError { dir: dir.clone(), error })?;
            found.sources.extend(sources);
            found.problems.extend(problems);
        }
        Ok(found)
    }

    /// A number that is another one when a file has changed, come or gone.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = std::hash::DefaultHasher::new();
        for dir in &self.dirs {
            let files = rules::files(dir).unwrap_or_default();
            files.iter().for_each(|file| stamp(file, &mut hash));
        }
        hash.finish()
    }
}

/// A number that is another one when one of these files has changed, or when they are others.
pub(crate) fn fingerprint(files: &[PathBuf]) -> u64 {
    let mut hash = std::hash::DefaultHasher::new();
    files.iter().for_each(|file| stamp(file, &mut hash));
    hash.finish()
}

fn stamp(file: &Path, hash: &mut impl Hasher) {
    file.hash(hash);
    if let Ok(metadata) = std::fs::metadata(file) {
        (metadata.len(), metadata.modified().ok()).hash(hash);
    }
}

impl RuleBook {
    /// Compiles what was found and what was written in the product. Exceptions that have expired
    /// at `now` are left out.
    pub fn compile(found: Found, kept: &[KeptRule], now: Micros) -> Self {
        let written = kept.iter().filter_map(|rule| {
            let text = rule.text.clone()?;
            Some(RuleSource { path: format!("{PRODUCT}{}.yaml", rule.id), text })
        });
        let mut own = pugmark_detect::load(&written.collect::<Vec<_>>());
        let mut loaded = pugmark_detect::load(&found.sources);
        let expired = [own.expire(now), loaded.expire(now)].concat();
        let ids: HashSet<String> = own.rules.iter().map(|rule| rule.info.id.clone()).collect();
        let Loaded { rules, problems, .. } = loaded;
        let stays = |rule: &Rule| !ids.contains(&rule.info.id);
        let mut rules: Vec<Rule> = rules.into_iter().filter(stays).chain(own.rules).collect();
        let off = switch_off(&mut rules, kept);
        let (compiled, more) = RuleSet::compile(rules.clone());
        let problems = [found.problems, problems, own.problems, expired, more].concat();
        Self { rules: Arc::new(compiled), loaded: rules, problems, off }
    }

    /// Reads a text as if it were kept beside the other rules: the ids of its rules, and what is
    /// wrong with them.
    pub fn check(&self, source: RuleSource) -> (Vec<String>, Vec<Problem>) {
        let path = source.path.clone();
        let tried = pugmark_detect::load(&[source]);
        let ids: Vec<String> = tried.rules.iter().map(|rule| rule.info.id.clone()).collect();
        let others = self.loaded.iter().filter(|rule| !ids.contains(&rule.info.id)).cloned();
        let all: Vec<Rule> = others.chain(tried.rules).collect();
        let (_, more) = RuleSet::compile(select(all, &ids));
        let own = more.into_iter().filter(|problem| problem.path == path);
        (ids, tried.problems.into_iter().chain(own).collect())
    }

    /// Says what was set aside.
    pub fn report(&self) {
        for problem in &self.problems {
            tracing::warn!(path = problem.path, "rule left out: {}", problem.message);
        }
    }
}

fn switch_off(rules: &mut [Rule], kept: &[KeptRule]) -> Vec<Off> {
    let mut off = Vec::new();
    for switch in kept.iter().filter(|kept| kept.off) {
        for rule in rules.iter_mut().filter(|rule| rule.info.id == switch.id) {
            rule.switch_off();
            off.push(Off { rule: rule.info.clone(), switch: switch.clone() });
        }
    }
    off
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: &str, title: &str) -> String {
        format!(
            "title: {title}\nid: {id}\nlogsource: {{product: linux}}\ndetection:\n  \
             sel: {{user.name: root}}\n  condition: sel\n"
        )
    }

    fn kept(id: &str, text: Option<String>, off: bool) -> KeptRule {
        let (reason, actor) = ("noise".into(), "ines".into());
        KeptRule { id: id.into(), text, off, reason, actor, changed: 7 }
    }

    #[track_caller]
    fn check(kept: &[KeptRule], loud: &[&str], off: &[&str], problems: usize) {
        let source = |id: &str| RuleSource { path: format!("{id}.yaml"), text: rule(id, id) };
        let found = Found { sources: vec![source("a"), source("b")], problems: vec![] };
        let book = RuleBook::compile(found, kept, 0);
        let titles: Vec<&str> = book
            .rules
            .rules()
            .iter()
            .filter(|info| !info.silent)
            .map(|info| info.title.as_str())
            .collect();
        let switched: Vec<&str> = book.off.iter().map(|off| off.rule.title.as_str()).collect();
        assert_eq!((titles, switched), (loud.to_vec(), off.to_vec()));
        assert_eq!(book.problems.len(), problems, "{:?}", book.problems);
    }

    #[test]
    fn what_a_person_wrote_stands_in_for_the_rest() {
        check(&[], &["a", "b"], &[], 0);
        check(&[kept("b", Some(rule("b", "ours")), false)], &["a", "ours"], &[], 0);
        check(&[kept("c", Some(rule("c", "new")), false)], &["a", "b", "new"], &[], 0);
        check(&[kept("a", None, true)], &["b"], &["a"], 0);
        check(&[kept("a", Some(rule("a", "ours")), true)], &["b"], &["ours"], 0);
        check(&[kept("c", Some("title: [".into()), false)], &["a", "b"], &[], 1);
        check(&[kept("gone", None, true)], &["a", "b"], &[], 0);
    }

    #[test]
    fn a_changed_file_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let origin = Origin { builtin: false, dirs: vec![dir.path().to_path_buf()] };
        let mut seen = HashSet::from([origin.fingerprint()]);
        let file = dir.path().join("a.yaml");
        std::fs::write(&file, rule("a", "A")).unwrap();
        assert!(seen.insert(origin.fingerprint()));
        assert!(!seen.insert(origin.fingerprint()));
        std::fs::write(&file, rule("a", "longer")).unwrap();
        assert!(seen.insert(origin.fingerprint()));
        std::fs::remove_file(&file).unwrap();
        assert!(!seen.insert(origin.fingerprint()), "as it was in the beginning");
    }
}
