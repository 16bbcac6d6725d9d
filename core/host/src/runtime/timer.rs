// SPDX-License-Identifier: Apache-2.0
//! Timers for plugins.

use sabir_abi::*;
use sabir_boundary::waker;
use std::ffi::c_void;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use tokio::time::{Instant, Sleep};

/// A timer. Its sleep is made by the thread that first waits, and belongs to that thread's runtime.
#[derive(Default)]
struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    deadline_ms: u64,
}

pub(super) unsafe extern "C" fn timer_new(_: *mut c_void) -> *mut sabir_timer {
    Box::into_raw(Box::new(Timer::default())).cast()
}

pub(super) unsafe extern "C" fn timer_poll(
    _: *mut c_void,
    timer: *mut sabir_timer,
    deadline_ms: u64,
    waker: *const sabir_waker,
) -> i64 {
    // SAFETY: a pointer that is not NULL came from `timer_new`, and calls on one timer do not overlap.
    let Some(timer) = (unsafe { timer.cast::<Timer>().as_mut() }) else { return SABIR_ERR_INVALID };
    super::contained("timer_poll", SABIR_ERR_OTHER, || {
        loop {
            if super::now().monotonic_ms >= deadline_ms {
                timer.sleep = None;
                return SABIR_OK;
            }
            // A deadline beyond the clock's end is never reached: nobody needs waking.
            let Some(instant) = super::instant_of(deadline_ms) else { return SABIR_PENDING };
            if tokio::runtime::Handle::try_current().is_err() {
                return SABIR_ERR_INVALID;
            }
            let rearm = timer.deadline_ms != deadline_ms;
            let sleep = match &mut timer.sleep {
                Some(sleep) => {
                    if rearm {
                        sleep.as_mut().reset(Instant::from_std(instant));
                    }
                    sleep
                }
                none => none.insert(Box::pin(tokio::time::sleep_until(Instant::from_std(instant)))),
            };
            timer.deadline_ms = deadline_ms;
            // SAFETY: the caller's waker is valid during the call.
            match unsafe { waker::with_context(waker, |cx| sleep.as_mut().poll(cx)) } {
                Some(Poll::Pending) => return SABIR_PENDING,
                // It can end a moment before our clock's millisecond: look again.
                Some(Poll::Ready(())) => timer.sleep = None,
                None => return SABIR_ERR_INVALID,
            }
        }
    })
}

pub(super) unsafe extern "C" fn timer_free(_: *mut c_void, timer: *mut sabir_timer) {
    if !timer.is_null() {
        super::contained("timer_free", (), || {
            // SAFETY: the pointer came from `timer_new`, and this is the last call.
            drop(unsafe { Box::from_raw(timer.cast::<Timer>()) });
        });
    }
}
