// SPDX-License-Identifier: Apache-2.0
//! A waker that counts, so that a case can tell who was woken and how often.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use tokio::sync::Notify;

/// Counts how often it was woken.
#[derive(Default)]
pub(super) struct Bell {
    rings: AtomicUsize,
    notify: Notify,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rings.fetch_add(1, Ordering::SeqCst);
        self.notify.notify_one();
    }
}

impl Bell {
    pub(super) fn new() -> (Arc<Bell>, Waker) {
        let bell = Arc::new(Bell::default());
        (Arc::clone(&bell), Waker::from(bell))
    }

    pub(super) fn rings(&self) -> usize {
        self.rings.load(Ordering::SeqCst)
    }

    /// Waits until it was woken at least once more than `seen`. A bell that never rings runs into the case's time.
    pub(super) async fn rung_since(&self, seen: usize) {
        while self.rings() <= seen {
            self.notify.notified().await;
        }
    }
}

/// Lets everything run that can: every turn of the loop polls the reactor.
pub(super) async fn turn_reactor() {
    // More than tokio lets pass between two looks at the reactor.
    const TURNS: usize = 256;
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}
