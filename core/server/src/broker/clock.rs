// SPDX-License-Identifier: Apache-2.0
//! The one place where the broker reads clocks. Everything below is handed the time.

use sabir_model::Now;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Both clocks, from one origin.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Clock { origin: Instant::now() }
    }

    /// The time.
    pub fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            monotonic_ms: u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX),
            unix_ms: i64::try_from(unix.as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// The instant of a `monotonic_ms`. One millisecond later than its beginning, so that whoever waits for it finds
    /// the clock there.
    pub fn instant(&self, monotonic_ms: u64) -> Instant {
        // A deadline beyond a century is none.
        let ms = monotonic_ms.min(100 * 365 * 24 * 3600 * 1000);
        self.origin + Duration::from_millis(ms.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_for_a_deadline_finds_the_clock_there() {
        let clock = Clock { origin: Instant::now() - Duration::from_millis(500) };
        let deadline = clock.now().monotonic_ms + 20;
        assert!(clock.instant(deadline) >= clock.origin + Duration::from_millis(deadline));
        assert!(clock.instant(u64::MAX) > Instant::now());
    }
}
