//! The memory of one question: a part of what all questions share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};

/// As much of the shared memory as one question may have. What is refused here makes the work go
/// on in temporary files, where it can.
#[derive(Debug)]
pub(crate) struct Portion {
    shared: Arc<dyn MemoryPool>,
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl Portion {
    /// At most `bytes_max` of `shared`.
    pub(crate) fn new(shared: Arc<dyn MemoryPool>, bytes_max: usize) -> Self {
        Self { shared, bytes: AtomicUsize::new(0), bytes_max }
    }
}

impl fmt::Display for Portion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of {}", self.bytes_max, self.shared)
    }
}

impl MemoryPool for Portion {
    fn name(&self) -> &str {
        "question"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.shared.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.shared.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.bytes.fetch_add(additional, Ordering::Relaxed);
        self.shared.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.bytes.fetch_sub(shrink, Ordering::Relaxed);
        self.shared.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let fits = |bytes: usize| bytes.checked_add(additional).filter(|n| *n <= self.bytes_max);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        if self.bytes.fetch_update(set, fetch, fits).is_err() {
            return Err(DataFusionError::ResourcesExhausted(format!(
                "one question may have {} bytes (setting search.query_memory_bytes_max)",
                self.bytes_max
            )));
        }
        let grown = self.shared.try_grow(reservation, additional);
        if grown.is_err() {
            self.bytes.fetch_sub(additional, Ordering::Relaxed);
        }
        grown
    }

    fn reserved(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::GreedyMemoryPool;

    use super::*;

    #[test]
    fn a_question_has_its_part_and_no_more() {
        let shared: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100));
        let portion = || -> Arc<dyn MemoryPool> { Arc::new(Portion::new(shared.clone(), 60)) };
        let (one, other) = (portion(), portion());
        let first = MemoryConsumer::new("first").register(&one);
        let second = MemoryConsumer::new("second").register(&other);
        for (reservation, bytes, fits) in
            [(&first, 60, true), (&first, 1, false), (&second, 40, true), (&second, 1, false)]
        {
            assert_eq!(reservation.try_grow(bytes).is_ok(), fits, "{bytes}");
        }
        assert_eq!((one.reserved(), other.reserved(), shared.reserved()), (60, 40, 100));
        first.free();
        second.try_grow(20).unwrap();
        assert_eq!((one.reserved(), other.reserved(), shared.reserved()), (0, 60, 60));
    }
}
