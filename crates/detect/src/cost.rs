//! What rules cost: the time that each takes, measured on some batches.
//!
//! A rule is charged for the conditions that are evaluated for it, for what it counts over time,
//! for saying why it fired, and for its share of looking for the texts of a field: that is done
//! once for all rules which test the field.

use std::time::Duration;

use crate::ruleset::RuleSet;

/// Tells how much time has passed since some moment.
pub type Stopwatch = Box<dyn Fn() -> Duration>;

/// The time that each rule of a set took.
#[derive(Default)]
pub struct Costs {
    /// `None` where nothing is measured.
    stopwatch: Option<Stopwatch>,
    /// By the index of the rule.
    of_rule: Vec<Duration>,
}

impl Costs {
    /// Measures nothing, and costs nothing.
    pub fn off() -> Self {
        Self::default()
    }

    /// Nothing yet, for the rules of a set.
    pub fn of(rules: &RuleSet, stopwatch: Stopwatch) -> Self {
        let of_rule = vec![Duration::ZERO; rules.rules().len()];
        Self { stopwatch: Some(stopwatch), of_rule }
    }

    /// The time that each rule took, by its index in [`RuleSet::rules`].
    pub fn by_rule(&self) -> impl Iterator<Item = (u32, Duration)> + '_ {
        (0u32..).zip(self.of_rule.iter().copied())
    }

    /// A moment to [charge](Costs::charge) from.
    pub(crate) fn begin(&self) -> Option<Duration> {
        self.stopwatch.as_ref().map(|now| now())
    }

    /// Charges the time since a moment to rules, in equal parts.
    pub(crate) fn charge(&mut self, rules: &[u32], begun: Option<Duration>) {
        let (Some(begun), Some(now)) = (begun, self.begin()) else { return };
        let part = now.saturating_sub(begun) / rules.len().max(1) as u32;
        for &rule in rules {
            if let Some(cost) = self.of_rule.get_mut(rule as usize) {
                *cost += part;
            }
        }
    }
}

impl std::fmt::Debug for Costs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Costs").field("of_rule", &self.of_rule).finish_non_exhaustive()
    }
}
