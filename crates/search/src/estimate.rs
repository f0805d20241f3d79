//! Percentiles: of not too many numbers exactly, as the evaluator has them; of more estimated as
//! DataFusion does.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::functions_aggregate::approx_percentile_cont::ApproxPercentileAccumulator;
use datafusion::logical_expr::Accumulator;
use datafusion::scalar::ScalarValue;

/// Numbers that are kept as they are; of more there is a digest.
const EXACT_MAX: usize = 1 << 20;
/// Numbers that a digest takes in at once: they are sorted for that.
const FRESH_MAX: usize = 8192;
/// Memory of a digest, about.
const DIGEST_BYTES: usize = 4096;

/// What is known of numbers, to tell below which of them so many percent lie.
#[derive(Debug)]
pub(crate) struct Estimate {
    percent: u8,
    /// Numbers that the digest has not taken in; all, while there is none.
    fresh: Vec<f64>,
    digest: Option<ApproxPercentileAccumulator>,
}

impl Estimate {
    /// Of no numbers yet.
    pub(crate) fn new(percent: u8) -> Self {
        Self { percent, fresh: Vec::new(), digest: None }
    }

    /// Memory in use, about.
    pub(crate) fn bytes(&self) -> usize {
        8 * self.fresh.capacity() + self.digest.as_ref().map_or(0, |_| DIGEST_BYTES)
    }

    pub(crate) fn add(&mut self, number: f64) {
        self.fresh.push(number);
        if self.fresh.len() >= FRESH_MAX {
            self.hold();
        }
    }

    /// Has the digest take in what there is no room for.
    fn hold(&mut self) {
        if self.digest.is_some() || self.fresh.len() > EXACT_MAX {
            self.shrink();
        }
    }

    /// Makes do with a digest, to take less memory.
    pub(crate) fn shrink(&mut self) {
        // Its numbers are floats: nothing can fail.
        let _ = self.digested();
    }

    /// The digest of all numbers.
    fn digested(&mut self) -> Result<&mut ApproxPercentileAccumulator> {
        let part = f64::from(self.percent) / 100.0;
        let new = || ApproxPercentileAccumulator::new(part, DataType::Float64);
        let digest = self.digest.get_or_insert_with(new);
        if !self.fresh.is_empty() {
            let fresh = Float64Array::from(std::mem::take(&mut self.fresh));
            digest.update_batch(&[Arc::new(fresh) as ArrayRef])?;
        }
        Ok(digest)
    }

    /// Takes in the numbers of another.
    pub(crate) fn merge(&mut self, mut other: Estimate) -> Result<()> {
        if other.digest.is_some() {
            let state = other.digested()?.state()?;
            let state: Result<Vec<ArrayRef>> = state.iter().map(|part| part.to_array()).collect();
            self.digested()?.merge_batch(&state?)?;
        } else if self.fresh.is_empty() {
            self.fresh = other.fresh;
        } else {
            self.fresh.append(&mut other.fresh);
        }
        self.hold();
        Ok(())
    }

    /// The number, where there is one.
    pub(crate) fn value(&mut self) -> Option<f64> {
        if self.digest.is_none() {
            return exact(&mut self.fresh, self.percent);
        }
        match self.digested().and_then(Accumulator::evaluate) {
            Ok(ScalarValue::Float64(value)) => value,
            _ => None,
        }
    }
}

/// The number below which so many percent of all lie, between neighbours in proportion.
fn exact(numbers: &mut [f64], percent: u8) -> Option<f64> {
    let place = f64::from(percent) / 100.0 * numbers.len().checked_sub(1)? as f64;
    let (_, low, above) = numbers.select_nth_unstable_by(place.floor() as usize, f64::total_cmp);
    let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(*low);
    Some(*low + (high - *low) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(shrink: bool) -> Estimate {
        let mut estimates: Vec<Estimate> = (0..3).map(|_| Estimate::new(95)).collect();
        for number in 0..60_000u32 {
            let place = if number % 100 == 0 { 2 } else { number as usize % 2 };
            estimates[place].add(f64::from(number * 7919 % 60_000));
        }
        if shrink {
            estimates[1].shrink();
        }
        let mut all = Estimate::new(95);
        assert_eq!(all.value(), None);
        estimates.into_iter().for_each(|estimate| all.merge(estimate).unwrap());
        all
    }

    #[test]
    fn parts_come_to_what_the_whole_does() {
        let exact = parts(false).value().unwrap();
        assert!((exact - 0.95 * 59_999.0).abs() < 1e-6, "{exact}");
        let mut digested = parts(true);
        let value = digested.value().unwrap();
        assert!((value - 57_000.0).abs() < 300.0, "{value}");
        assert!(digested.bytes() < parts(false).bytes() / 4);
    }

    #[test]
    fn few_numbers_are_exact() {
        let check = |numbers: &[f64], percent, expected| {
            let mut estimate = Estimate::new(percent);
            numbers.iter().for_each(|number| estimate.add(*number));
            assert_eq!(estimate.value(), expected, "{numbers:?} {percent}");
        };
        check(&[], 50, None);
        check(&[7.0], 99, Some(7.0));
        check(&[3.0, 1.0, 2.0], 50, Some(2.0));
        check(&[4.0, 1.0], 25, Some(1.75));
        check(&[1.0; 9], 95, Some(1.0));
    }

    #[test]
    fn many_numbers_take_bounded_memory() {
        let mut estimate = Estimate::new(50);
        (0..=EXACT_MAX as u32 + FRESH_MAX as u32).for_each(|n| estimate.add(f64::from(n)));
        assert!(estimate.bytes() < 8 * EXACT_MAX);
        let middle = (EXACT_MAX + FRESH_MAX) as f64 / 2.0;
        assert!((estimate.value().unwrap() - middle).abs() < middle / 50.0);
    }
}
