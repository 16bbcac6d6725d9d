// SPDX-License-Identifier: Apache-2.0
//! The table that plugins are handed: log, time, metrics, timers, tasks, reactor, on tokio.
//!
//! Plugins resolve no symbols of this program; this table is all that they see of it. No slot lets a panic out, and
//! none believes what it is given beyond what it must.

mod io;
mod log;
mod task;
mod timer;

pub use task::install;

use crate::metrics;
use sabir_abi::*;
use sabir_boundary::slices;
use sabir_boundary::slices::Attributes;
use sabir_model::Now;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Name and version of this host.
pub const NAME: &str = concat!("sabir/", env!("CARGO_PKG_VERSION"));

static TABLE: sabir_host = sabir_host {
    struct_size: size_of::<sabir_host>() as u32,
    abi_major: SABIR_ABI_MAJOR,
    abi_minor: SABIR_ABI_MINOR,
    reserved: 0,
    capabilities: SABIR_CAP_HOST_REACTOR
        | SABIR_CAP_HOST_TIMERS
        | SABIR_CAP_HOST_TASKS
        | SABIR_CAP_HOST_BLOCKING
        | SABIR_CAP_HOST_METRICS,
    name: slices::text(NAME),
    ctx: ptr::null_mut(),
    log_level: Some(log::log_level),
    log: Some(log::log),
    now: Some(now_slot),
    metric: Some(metric),
    metric_record: Some(metric_record),
    timer_new: Some(timer::timer_new),
    timer_poll: Some(timer::timer_poll),
    timer_free: Some(timer::timer_free),
    spawn: Some(task::spawn),
    run_blocking: Some(task::run_blocking),
    io_register: Some(io::io_register),
    io_poll_op: Some(io::io_poll_op),
    io_poll_recv: Some(io::io_poll_recv),
    io_poll_sendv: Some(io::io_poll_sendv),
    io_deregister: Some(io::io_deregister),
};

/// The table.
pub fn table() -> &'static sabir_host {
    &TABLE
}

/// When the monotonic clock began.
fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

/// The time, as plugins see it.
pub fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { monotonic_ms: millis(origin().elapsed()), unix_ms: millis(unix).try_into().unwrap_or(i64::MAX) }
}

/// The instant at which [`now`] reaches this `monotonic_ms`; `None`: never, in practice.
pub fn instant_of(monotonic_ms: u64) -> Option<Instant> {
    origin().checked_add(Duration::from_millis(monotonic_ms))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

unsafe extern "C" fn now_slot(_: *mut c_void) -> sabir_now {
    let Now { monotonic_ms, unix_ms } = now();
    sabir_now { monotonic_ms, unix_ms }
}

/// Runs a slot whose panic, a mistake of this host, must not reach the plugin's frames.
fn contained<R>(what: &str, fallback: R, slot: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(slot)).unwrap_or_else(|panic| {
        // A payload can panic when it is dropped.
        std::mem::forget(panic);
        tracing::error!("the host panicked in {what}");
        fallback
    })
}

unsafe extern "C" fn metric(
    _: *mut c_void,
    kind: u32,
    name: sabir_slice,
    help: sabir_slice,
    labels: sabir_attributes,
) -> *mut sabir_metric {
    contained("metric", ptr::null_mut(), || {
        // SAFETY: the caller's texts are valid during the call.
        let (name, help, labels) =
            unsafe { (slices::str(name), slices::str(help), Attributes::from_abi(labels)) };
        let (Some(kind), Some(name), Some(help)) = (metrics::Kind::from_number(kind), name, help) else {
            return ptr::null_mut();
        };
        let labels: Vec<(&str, &str)> = labels.iter().collect();
        match metrics::find_or_make(kind, name, help, &labels) {
            Some(series) => ptr::from_ref(series).cast_mut().cast(),
            None => ptr::null_mut(),
        }
    })
}

unsafe extern "C" fn metric_record(_: *mut c_void, metric: *mut sabir_metric, value: f64) {
    // SAFETY: a pointer that is not NULL came from `metric`, and series live for ever.
    if let Some(series) = unsafe { metric.cast::<metrics::Series>().as_ref() } {
        series.record(value);
    }
}
