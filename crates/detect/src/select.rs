//! Parts of a list of rules that can run by themselves.

use crate::load::find;
use crate::rule::{Body, Rule};

/// The rules with these ids, those that they refer to, and the filters that narrow any of them.
pub fn select(rules: Vec<Rule>, ids: &[String]) -> Vec<Rule> {
    let mut wanted = vec![false; rules.len()];
    let mut open: Vec<usize> =
        (0..rules.len()).filter(|&at| ids.contains(&rules[at].info.id)).collect();
    while let Some(at) = open.pop() {
        if !std::mem::replace(&mut wanted[at], true) {
            open.extend(references(&rules, at));
        }
    }
    let narrows = |rule: &Rule| match &rule.body {
        Body::Filter { targets: None, .. } => true,
        Body::Filter { targets: Some(targets), .. } => {
            targets.iter().any(|name| find(&rules, name).is_some_and(|at| wanted[at]))
        }
        _ => false,
    };
    let kept: Vec<bool> =
        rules.iter().zip(&wanted).map(|(rule, wanted)| *wanted || narrows(rule)).collect();
    rules.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(rule, _)| rule).collect()
}

/// The ids of the rules that cannot run among the others when those with these ids do not: they
/// themselves, what correlates them, and what is there only for such a correlation.
pub fn bound(rules: &[Rule], ids: &[String]) -> Vec<String> {
    let below: Vec<Vec<usize>> = (0..rules.len()).map(|at| references(rules, at)).collect();
    let mut above = vec![Vec::new(); rules.len()];
    for (at, below) in below.iter().enumerate() {
        below.iter().for_each(|&one| above[one].push(at));
    }
    let mut gone: Vec<bool> = rules.iter().map(|rule| ids.contains(&rule.info.id)).collect();
    loop {
        let goes = |at: usize| {
            let serves = &above[at];
            below[at].iter().any(|&one| gone[one])
                || !serves.is_empty() && serves.iter().all(|&one| gone[one])
        };
        let Some(next) = (0..rules.len()).find(|&at| !gone[at] && goes(at)) else { break };
        gone[next] = true;
    }
    let gone = rules.iter().zip(gone).filter(|(_, gone)| *gone);
    gone.map(|(rule, _)| rule.info.id.clone()).collect()
}

/// Indices of the rules that a correlation refers to.
fn references(rules: &[Rule], at: usize) -> Vec<usize> {
    match &rules[at].body {
        Body::Correlation(correlation) => {
            correlation.rules.iter().filter_map(|name| find(rules, name)).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{RuleSource, load};

    /// Events `a`, `b`, `c`; `ab` correlates `a` and `b`, `top` correlates `ab` and `c`.
    fn rules() -> Vec<Rule> {
        let event = |id: &str| {
            format!(
                "title: {id}\nid: {id}\nlogsource: {{product: linux}}\ndetection:\n  \
                 sel: {{user.name: {id}}}\n  condition: sel\n"
            )
        };
        let over = |id: &str, of: &str| {
            format!(
                "title: {id}\nid: {id}\ncorrelation:\n  type: temporal\n  rules: [{of}]\n  \
                 group-by: [user.name]\n  timespan: 1m\n"
            )
        };
        let filter = "title: f\nid: f\nlogsource: {product: linux}\nfilter:\n  rules: [c]\n  sel: \
                      {user.name: x}\n  condition: not sel\n";
        let all = [event("a"), event("b"), event("c"), over("ab", "a, b"), over("top", "ab, c")];
        let text = [&all[..], &[filter.to_string()]].concat().join("---\n");
        let loaded = load(&[RuleSource { path: "r.yaml".into(), text }]);
        assert_eq!(loaded.problems, []);
        loaded.rules
    }

    #[track_caller]
    fn check(ids: &[&str], selected: &[&str], gone: &[&str]) {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let found: Vec<String> =
            select(rules(), &ids).into_iter().map(|rule| rule.info.id).collect();
        assert_eq!(found, selected);
        assert_eq!(bound(&rules(), &ids), gone);
    }

    #[test]
    fn rules_come_and_go_with_what_they_need() {
        check(&["a"], &["a"], &["a", "b", "c", "ab", "top"]);
        check(&["c"], &["c", "f"], &["a", "b", "c", "ab", "top"]);
        check(&["ab"], &["a", "b", "ab"], &["a", "b", "c", "ab", "top"]);
        check(&["top"], &["a", "b", "c", "ab", "top", "f"], &["a", "b", "c", "ab", "top"]);
        check(&[], &[], &[]);
    }

    #[test]
    fn what_others_use_stays() {
        let mut rules = rules();
        let text = "title: twice\nid: twice\ncorrelation:\n  type: event_count\n  rules: [c]\n  \
                    group-by: [user.name]\n  timespan: 1m\n  condition: {gte: 2}\n";
        rules.extend(load(&[RuleSource { path: "t.yaml".into(), text: text.into() }]).rules);
        assert_eq!(bound(&rules, &["twice".into()]), ["twice"]);
        assert_eq!(bound(&rules, &["top".into()]), ["a", "b", "ab", "top"]);
    }
}
