// SPDX-License-Identifier: Apache-2.0
//! The one failure after which the broker cannot go on, and how everybody learns of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// Set once, by whoever notices first.
#[derive(Debug, Default)]
pub struct Failure {
    text: OnceLock<String>,
    is_set: AtomicBool,
    changed: Notify,
}

impl Failure {
    /// The broker cannot go on, for this reason. Later calls change nothing.
    pub fn set(&self, text: String) {
        let _ = self.text.set(text);
        self.is_set.store(true, Ordering::Release);
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    /// Whether the broker cannot go on.
    pub fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    /// The reason.
    pub fn text(&self) -> Option<&str> {
        self.text.get().map(String::as_str)
    }

    /// Completes when the broker cannot go on.
    pub async fn wait(&self) -> &str {
        loop {
            let changed = self.changed.notified();
            if let Some(text) = self.text() {
                return text;
            }
            changed.await;
        }
    }
}

/// Held by a part without which the broker would only look alive: if it panics, the broker ends, loudly.
#[derive(Debug)]
pub struct Vital {
    failure: Arc<Failure>,
    part: &'static str,
}

impl Vital {
    /// `part`, for people.
    pub fn new(failure: &Arc<Failure>, part: &'static str) -> Self {
        Vital { failure: failure.clone(), part }
    }
}

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = format!("{} has panicked", self.part);
            tracing::error!("{text}; the broker stops");
            self.failure.set(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_panics_ends_the_broker_and_one_that_ends_does_not() {
        let failure = Arc::new(Failure::default());
        drop(Vital::new(&failure, "the reader"));
        assert_eq!(failure.text(), None);
        let vital = Vital::new(&failure, "the committer");
        let thread = std::thread::spawn(move || {
            let _vital = vital;
            panic!("as it should in this test");
        });
        assert!(thread.join().is_err());
        assert_eq!(failure.text(), Some("the committer has panicked"));
    }
}
