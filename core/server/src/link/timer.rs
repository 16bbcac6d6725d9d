// SPDX-License-Identifier: Apache-2.0
//! One timer for all of a link's deadlines. Deadlines that move away cost nothing: the timer fires at the old one,
//! finds that it is too early, and is set again.

use crate::broker::Clock;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep};

/// A timer; takes no memory until it is first set.
#[derive(Debug, Default)]
pub struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    armed_ms: Option<u64>,
}

impl Timer {
    /// Sees to it that the task is woken at the latest at `deadline_ms`. Called on every poll, behind everything
    /// that may move the deadline.
    pub fn set(&mut self, clock: Clock, deadline_ms: Option<u64>, cx: &mut Context<'_>) {
        let Some(deadline_ms) = deadline_ms else { return };
        if self.armed_ms.is_some_and(|armed_ms| armed_ms <= deadline_ms) {
            return;
        }
        let at = Instant::from_std(clock.instant(deadline_ms));
        let sleep = match &mut self.sleep {
            Some(sleep) => {
                sleep.as_mut().reset(at);
                sleep
            }
            none => none.insert(Box::pin(tokio::time::sleep_until(at))),
        };
        self.armed_ms = Some(deadline_ms);
        if sleep.as_mut().poll(cx).is_ready() {
            // It stays set: the next poll finds that it has fired.
            cx.waker().wake_by_ref();
        }
    }

    /// Whether it has fired since it was set; registers the task otherwise. Cheap while nothing is set.
    pub fn poll_fired(&mut self, cx: &mut Context<'_>) -> bool {
        if self.armed_ms.is_none() {
            return false;
        }
        match self.sleep.as_mut().map(|sleep| sleep.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => {
                self.armed_ms = None;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_has_passed_already_fires_at_the_next_poll() {
        let (clock, mut timer) = (Clock::start(), Timer::default());
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            if timer.poll_fired(cx) {
                return Poll::Ready(());
            }
            timer.set(clock, Some(1), cx);
            Poll::Pending
        })
        .await;
        assert_eq!(polls, 2);
        assert!(!poll_fn(|cx| Poll::Ready(timer.poll_fired(cx))).await);
    }
}
