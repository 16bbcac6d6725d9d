// SPDX-License-Identifier: Apache-2.0
//! The table of functions that the host hands to a plugin. A plugin resolves no symbols of the host.

use crate::{sabir_attributes, sabir_error, sabir_now, sabir_slice, sabir_waker};
use core::ffi::c_void;

/// Log level: a failure that somebody must look at. Since 1.0.
pub const SABIR_LOG_ERROR: u32 = 1;
/// Log level: something unexpected that was dealt with. Since 1.0.
pub const SABIR_LOG_WARN: u32 = 2;
/// Log level: what an operator wants to read in normal running. Since 1.0.
pub const SABIR_LOG_INFO: u32 = 3;
/// Log level: for the plugin's developer. Since 1.0.
pub const SABIR_LOG_DEBUG: u32 = 4;
/// Log level: everything. Since 1.0.
pub const SABIR_LOG_TRACE: u32 = 5;

/// Metric kind: a value that only grows. Since 1.0.
pub const SABIR_METRIC_COUNTER: u32 = 1;
/// Metric kind: a value that is set. Since 1.0.
pub const SABIR_METRIC_GAUGE: u32 = 2;
/// Metric kind: a distribution of observed values, in base units (seconds, bytes). Since 1.0.
pub const SABIR_METRIC_HISTOGRAM: u32 = 3;

/// Interest: the descriptor can be read, or its peer has closed. Since 1.0.
pub const SABIR_INTEREST_READ: u32 = 1;
/// Interest: the descriptor can be written. Since 1.0.
pub const SABIR_INTEREST_WRITE: u32 = 2;

/// Host capability: the `io_*` functions work. Since 1.0.
pub const SABIR_CAP_HOST_REACTOR: u64 = 1 << 0;
/// Host capability: the `timer_*` functions work. Since 1.0.
pub const SABIR_CAP_HOST_TIMERS: u64 = 1 << 1;
/// Host capability: `spawn` works. Since 1.0.
pub const SABIR_CAP_HOST_TASKS: u64 = 1 << 2;
/// Host capability: `run_blocking` works. Since 1.0.
pub const SABIR_CAP_HOST_BLOCKING: u64 = 1 << 3;
/// Host capability: the `metric_*` functions work. Since 1.0.
pub const SABIR_CAP_HOST_METRICS: u64 = 1 << 4;

/// A file descriptor registered with the host's reactor. Opaque. Since 1.0.
#[derive(Debug)]
pub struct sabir_io {
    _private: [u8; 0],
}

/// A timer of the host. Opaque. Since 1.0.
#[derive(Debug)]
pub struct sabir_timer {
    _private: [u8; 0],
}

/// A metric of the host. Opaque; valid for ever. Since 1.0.
#[derive(Debug)]
pub struct sabir_metric {
    _private: [u8; 0],
}

/// One buffer of a vectored write, laid out as POSIX `struct iovec`. *Borrowed*. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_iovec {
    /// First byte.
    pub base: *mut c_void,
    /// Number of bytes.
    pub len: usize,
}

/// A non-blocking operation that `io_poll_op` tries: answers a count of bytes or objects (0 or more),
/// `SABIR_PENDING` when the system call said EAGAIN, or a negative status. It must make at most a few system
/// calls and never block. Since 1.0.
pub type sabir_io_op = unsafe extern "C" fn(arg: *mut c_void) -> i64;

/// A task for `spawn`: polled until it answers anything but `SABIR_PENDING`, then dropped. Since 1.0.
#[repr(C)]
#[derive(Debug)]
pub struct sabir_task {
    /// Handed to the functions. *Owned* by the host until `drop`.
    pub data: *mut c_void,
    /// Polls the task. Calls never overlap; the thread is a reactor thread and may differ from call to call.
    pub poll: Option<unsafe extern "C" fn(data: *mut c_void, waker: *const sabir_waker) -> i64>,
    /// Frees `data`. Called exactly once.
    pub drop: Option<unsafe extern "C" fn(data: *mut c_void)>,
}

/// What the host offers. *Borrowed* for ever: valid until the process ends. Every function may be called from any
/// thread unless its text says otherwise; none blocks. `ctx` is always this struct's `ctx`. Since 1.0.
#[repr(C)]
#[derive(Debug)]
pub struct sabir_host {
    /// Size of this struct in bytes, as the host knew it.
    pub struct_size: u32,
    /// `SABIR_ABI_MAJOR` of the host.
    pub abi_major: u32,
    /// `SABIR_ABI_MINOR` of the host.
    pub abi_minor: u32,
    /// Zero.
    pub reserved: u32,
    /// What this host can do: `SABIR_CAP_HOST_*`.
    pub capabilities: u64,
    /// Name and version of the host, as `sabir/0.1.0`.
    pub name: sabir_slice,
    /// The first argument of every function below.
    pub ctx: *mut c_void,

    /// The most detailed `SABIR_LOG_*` level that would be written for `target` now. Cheap: ask it before you
    /// format a text.
    pub log_level: Option<unsafe extern "C" fn(ctx: *mut c_void, target: sabir_slice) -> u32>,
    /// Writes one line with fields. Control characters are escaped by the host. Never log message bodies.
    pub log: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            level: u32,
            target: sabir_slice,
            text: sabir_slice,
            fields: sabir_attributes,
        ),
    >,

    /// The time.
    pub now: Option<unsafe extern "C" fn(ctx: *mut c_void) -> sabir_now>,

    /// Gives the metric of this name and these labels, made on first use; NULL when the host refuses the name,
    /// which must be `[a-z][a-z0-9_]*`. The host puts its own prefix in front.
    pub metric: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            kind: u32,
            name: sabir_slice,
            help: sabir_slice,
            labels: sabir_attributes,
        ) -> *mut sabir_metric,
    >,
    /// Adds to a counter, sets a gauge, or observes a value of a histogram. `metric` may be NULL: nothing happens.
    pub metric_record: Option<unsafe extern "C" fn(ctx: *mut c_void, metric: *mut sabir_metric, value: f64)>,

    /// Makes a timer, not armed. *Owned* by the caller, freed by `timer_free`.
    pub timer_new: Option<unsafe extern "C" fn(ctx: *mut c_void) -> *mut sabir_timer>,
    /// Answers `SABIR_OK` once `sabir_now.monotonic_ms >= deadline_ms`; before that keeps the waker and answers
    /// `SABIR_PENDING`. Another deadline re-arms the timer. Calls on one timer must not overlap. Reactor thread.
    pub timer_poll: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            timer: *mut sabir_timer,
            deadline_ms: u64,
            waker: *const sabir_waker,
        ) -> i64,
    >,
    /// Frees a timer; its waker is not called afterwards. NULL is allowed.
    pub timer_free: Option<unsafe extern "C" fn(ctx: *mut c_void, timer: *mut sabir_timer)>,

    /// Runs a task on a reactor thread. Takes `task` in every case; after a refusal it has been dropped.
    pub spawn: Option<unsafe extern "C" fn(ctx: *mut c_void, task: sabir_task) -> i64>,
    /// Runs `work(arg)` once on a thread that may block. After a refusal `work` is not called.
    pub run_blocking: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            work: unsafe extern "C" fn(*mut c_void),
            arg: *mut c_void,
        ) -> i64,
    >,

    /// Registers a non-blocking file descriptor, which stays the plugin's: the host never closes it. `out`
    /// receives the handle, *owned* by the caller until `io_deregister`. The descriptor joins the reactor of the
    /// thread that first polls it.
    pub io_register: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            fd: i32,
            out: *mut *mut sabir_io,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Runs `op(arg)` when the descriptor is ready for `interest`, within the reactor's readiness guard: when the
    /// operation answers `SABIR_PENDING`, readiness is cleared without losing a wake-up that came meanwhile, the
    /// waker is kept, and this answers `SABIR_PENDING`. Other answers are passed on. Calls with the same interest
    /// on one handle must not overlap; the last waker of each interest is the one that is woken. Reactor thread.
    pub io_poll_op: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            io: *mut sabir_io,
            interest: u32,
            waker: *const sabir_waker,
            op: sabir_io_op,
            arg: *mut c_void,
        ) -> i64,
    >,
    /// Receives into `buf`: answers the count of bytes, 0 at the end of the stream. Otherwise as `io_poll_op`.
    pub io_poll_recv: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            io: *mut sabir_io,
            waker: *const sabir_waker,
            buf: *mut u8,
            len: usize,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Sends from `iov`: answers the count of bytes taken. A vanished peer is an error, never a signal. Otherwise
    /// as `io_poll_op`.
    pub io_poll_sendv: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            io: *mut sabir_io,
            waker: *const sabir_waker,
            iov: *const sabir_iovec,
            count: usize,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Removes the descriptor from the reactor and frees the handle; its wakers are not called afterwards. Call it
    /// before you close the descriptor. NULL is allowed.
    pub io_deregister: Option<unsafe extern "C" fn(ctx: *mut c_void, io: *mut sabir_io)>,
}

// SAFETY: the host promises that every function may be called from any thread, and the table never changes.
unsafe impl Sync for sabir_host {}
// SAFETY: as above.
unsafe impl Send for sabir_host {}
