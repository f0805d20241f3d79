//! Percentiles, estimated as DataFusion does.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::functions_aggregate::approx_percentile_cont::ApproxPercentileAccumulator;
use datafusion::logical_expr::Accumulator;
use datafusion::scalar::ScalarValue;

/// Numbers that are taken in at once: they are sorted for that.
const FRESH_MAX: usize = 8192;
/// Memory of a digest, about.
const DIGEST_BYTES: usize = 4096;

/// What is known of numbers, to estimate below which of them so many percent lie.
#[derive(Debug)]
pub(crate) struct Estimate {
    percent: u8,
    /// Numbers that the digest has not taken in yet.
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
            // Its numbers are floats: nothing can fail.
            let _ = self.digested();
        }
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
        if other.digest.is_none() {
            other.fresh.into_iter().for_each(|number| self.add(number));
            return Ok(());
        }
        let state = other.digested()?.state()?;
        let state: Result<Vec<ArrayRef>> = state.iter().map(|part| part.to_array()).collect();
        self.digested()?.merge_batch(&state?)
    }

    /// The number, where there is one.
    pub(crate) fn value(&mut self) -> Option<f64> {
        match self.digested().and_then(Accumulator::evaluate) {
            Ok(ScalarValue::Float64(value)) => value,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_to_what_the_whole_does() {
        let mut estimates: Vec<Estimate> = (0..3).map(|_| Estimate::new(95)).collect();
        for number in 0..60_000u32 {
            let place = if number % 100 == 0 { 2 } else { number as usize % 2 };
            estimates[place].add(f64::from(number * 7919 % 60_000));
        }
        let mut all = Estimate::new(95);
        assert_eq!(all.value(), None);
        estimates.into_iter().for_each(|estimate| all.merge(estimate).unwrap());
        let value = all.value().unwrap();
        assert!((value - 57_000.0).abs() < 300.0, "{value}");
        assert!(all.bytes() > 0);
    }
}
