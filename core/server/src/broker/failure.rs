// SPDX-License-Identifier: Apache-2.0
//! The one failure after which the broker cannot go on, and how everybody learns of it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
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
