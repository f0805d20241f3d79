//! The allocator, and when it gives memory back.

use libmimalloc_sys::{mi_option_set, mi_option_t};
use mimalloc::MiMalloc;

/// Batches are made on one thread and freed on another, in sizes that differ each time: the
/// system's allocator keeps three times the memory that is in use.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_purge_delay` of `mimalloc.h`; the bindings have no name for it.
const PURGE_DELAY: mi_option_t = 15;
/// How long freed memory is kept. The allocator's own second is a flush and a merge long: the
/// memory of both would be held at once.
const PURGE_DELAY_MS: std::ffi::c_long = 10;

/// Has freed memory given back soon. To be called before there are other threads.
pub(crate) fn give_back_soon() {
    // SAFETY: stores a number in a table of the allocator; no other thread reads it yet.
    #[allow(unsafe_code, reason = "the bindings have no safe way to set an option")]
    unsafe {
        mi_option_set(PURGE_DELAY, PURGE_DELAY_MS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        #[allow(unsafe_code, reason = "the bindings have no safe way to read an option")]
        let delay = |option| unsafe { libmimalloc_sys::mi_option_get(option) };
        // The environment may say another than the default.
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
            assert_eq!(delay(PURGE_DELAY), 1000);
        }
        give_back_soon();
        assert_eq!(delay(PURGE_DELAY), PURGE_DELAY_MS);
    }
}
