// SPDX-License-Identifier: Apache-2.0
//! Keeps what outsiders can provoke at will from flooding the log.

use std::sync::atomic::{AtomicU64, Ordering};

/// Lets one line pass per interval, and counts the others.
#[derive(Debug)]
pub struct Quiet {
    interval_ms: u64,
    next_ms: AtomicU64,
    suppressed: AtomicU64,
}

impl Quiet {
    /// One line every `interval_ms`.
    pub const fn every(interval_ms: u64) -> Self {
        Quiet { interval_ms, next_ms: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }

    /// Whether a line may pass now; if so, how many did not since the last one.
    pub fn pass(&self, now_ms: u64) -> Option<u64> {
        let next = self.next_ms.load(Ordering::Relaxed);
        let claim = || {
            let after = now_ms + self.interval_ms;
            self.next_ms.compare_exchange(next, after, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        if now_ms >= next && claim() {
            return Some(self.suppressed.swap(0, Ordering::Relaxed));
        }
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_becomes_one_line_with_a_count() {
        let quiet = Quiet::every(1000);
        assert_eq!(quiet.pass(5), Some(0));
        assert_eq!((quiet.pass(6), quiet.pass(1004)), (None, None));
        assert_eq!(quiet.pass(1005), Some(2));
    }
}
