//! What rules cost: the time that each takes, measured on some batches.
//!
//! A rule is charged for the conditions that are evaluated for it, for what it counts over time,
//! for saying why it fired, and for its share of looking for the texts of a field: that is done
//! once for all rules which test the field.

use std::time::{Duration, Instant};

use crate::ruleset::RuleSet;

/// The time that each rule of a set took.
#[derive(Debug, Default)]
pub struct Costs {
    /// By the index of the rule; empty where nothing is measured.
    of_rule: Vec<Duration>,
}

impl Costs {
    /// Measures nothing, and costs nothing.
    pub fn off() -> Self {
        Self::default()
    }

    /// Nothing yet, for the rules of a set.
    pub fn of(rules: &RuleSet) -> Self {
        Self { of_rule: vec![Duration::ZERO; rules.rules().len()] }
    }

    /// The time that each rule took, by its index in [`RuleSet::rules`].
    pub fn by_rule(&self) -> impl Iterator<Item = (u32, Duration)> + '_ {
        (0u32..).zip(self.of_rule.iter().copied())
    }

    /// A moment to [charge](Costs::charge) from.
    pub(crate) fn begin(&self) -> Option<Instant> {
        (!self.of_rule.is_empty()).then(Instant::now)
    }

    /// Charges the time since a moment to rules, in equal parts.
    pub(crate) fn charge(&mut self, rules: &[u32], begun: Option<Instant>) {
        let Some(begun) = begun else { return };
        let part = begun.elapsed() / rules.len().max(1) as u32;
        for &rule in rules {
            if let Some(cost) = self.of_rule.get_mut(rule as usize) {
                *cost += part;
            }
        }
    }
}
