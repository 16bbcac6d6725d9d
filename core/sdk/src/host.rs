// SPDX-License-Identifier: Apache-2.0
//! What the broker offers a plugin: log, time, metrics, timers, tasks, and its reactor.

use crate::guard;
use crate::{Error, ErrorCode, Result};
use sabir_abi::*;
use sabir_boundary::slices::{self, AttributeArray};
use sabir_boundary::{error, waker};
use sabir_model::Now;
use std::ffi::c_void;
use std::future::Future;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::ptr;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// How important a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum LogLevel {
    /// A failure that somebody must look at.
    Error = SABIR_LOG_ERROR,
    /// Something unexpected that was dealt with.
    Warn = SABIR_LOG_WARN,
    /// What an operator wants to read in normal running.
    Info = SABIR_LOG_INFO,
    /// For the plugin's developer.
    Debug = SABIR_LOG_DEBUG,
    /// Everything.
    Trace = SABIR_LOG_TRACE,
}

/// Kinds of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum MetricKind {
    /// A value that only grows.
    Counter = SABIR_METRIC_COUNTER,
    /// A value that is set.
    Gauge = SABIR_METRIC_GAUGE,
    /// A distribution of observed values, in base units (seconds, bytes).
    Histogram = SABIR_METRIC_HISTOGRAM,
}

/// What a descriptor is to be ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Interest {
    /// It can be read, or its peer has closed.
    Read = SABIR_INTEREST_READ,
    /// It can be written.
    Write = SABIR_INTEREST_WRITE,
}

/// The host's table of functions. Cheap to copy; valid for ever.
#[derive(Clone, Copy)]
pub struct Host(Option<&'static sabir_host>);

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Host").field(&self.name()).finish()
    }
}

impl Host {
    /// No host: for a plugin's own unit tests. It logs nowhere, its clock is the system's, and its tasks, timers and
    /// reactor are not there.
    pub fn none() -> Self {
        Host(None)
    }

    /// Over the contract's table.
    ///
    /// # Safety
    /// `table` is NULL, or points at a table that is valid for ever and at least as long as it says.
    pub unsafe fn from_abi(table: *const sabir_host) -> Result<Self> {
        // SAFETY: the caller promises it; the size comes first and is read before anything else.
        let table = unsafe {
            if table.is_null() || ((*table).struct_size as usize) < size_of::<sabir_host>() {
                return Err(Error::new(ErrorCode::Invalid, "the host's table is missing or too short"));
            }
            &*table
        };
        if table.abi_major != SABIR_ABI_MAJOR {
            return Err(Error::new(ErrorCode::Invalid, "the host has another major version of the ABI"));
        }
        Ok(Host(Some(table)))
    }

    /// Name and version of the host, as `sabir/0.1.0`; empty without a host.
    pub fn name(&self) -> &'static str {
        // SAFETY: the table, and what it points at, is valid for ever.
        self.0.and_then(|table| unsafe { slices::str(table.name) }).unwrap_or("")
    }

    /// Minor version of the ABI that the host knows: what is newer must not be sent to it.
    pub fn abi_minor(&self) -> u32 {
        self.0.map_or(SABIR_ABI_MINOR, |table| table.abi_minor)
    }

    /// `SABIR_CAP_HOST_*`.
    pub fn capabilities(&self) -> u64 {
        self.0.map_or(0, |table| table.capabilities)
    }

    /// Whether a line of this level and target would be written: ask before you format a text.
    pub fn enabled(&self, level: LogLevel, target: &str) -> bool {
        let Some(table) = self.0 else { return false };
        // SAFETY: the arguments are valid during the call.
        table
            .log_level
            .is_some_and(|log_level| level as u32 <= unsafe { log_level(table.ctx, slices::text(target)) })
    }

    /// Writes one line with fields. Never log message bodies.
    pub fn log(&self, level: LogLevel, target: &str, text: &str, fields: &[(&str, &str)]) {
        let Some(table) = self.0 else { return };
        if let Some(log) = table.log.filter(|_| self.enabled(level, target)) {
            let mut array = AttributeArray::default();
            let fields = array.fill(fields.iter().copied()).to_abi();
            // SAFETY: the arguments are valid during the call.
            unsafe { log(table.ctx, level as u32, slices::text(target), slices::text(text), fields) }
        }
    }

    /// The time. State machines take it as an argument instead.
    pub fn now(&self) -> Now {
        if let Some(table) = self.0
            && let Some(now) = table.now
        {
            // SAFETY: no argument but the table's own.
            let sabir_now { monotonic_ms, unix_ms } = unsafe { now(table.ctx) };
            return Now { monotonic_ms, unix_ms };
        }
        static START: OnceLock<Instant> = OnceLock::new();
        let monotonic = START.get_or_init(Instant::now).elapsed();
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Now { monotonic_ms: millis(monotonic), unix_ms: i64::try_from(millis(unix)).unwrap_or(i64::MAX) }
    }

    /// The metric of this name (`[a-z][a-z0-9_]*`; the host puts its prefix in front) and these labels.
    pub fn metric(&self, kind: MetricKind, name: &str, help: &str, labels: &[(&str, &str)]) -> Metric {
        let mut raw = ptr::null_mut();
        if let Some(table) = self.0
            && let Some(metric) = table.metric
        {
            let mut array = AttributeArray::default();
            let labels = array.fill(labels.iter().copied()).to_abi();
            // SAFETY: the arguments are valid during the call.
            raw = unsafe { metric(table.ctx, kind as u32, slices::text(name), slices::text(help), labels) };
        }
        Metric { host: *self, raw }
    }

    /// A timer, not armed.
    pub fn timer(&self) -> Result<Timer> {
        let table = self.table("timers")?;
        let timer_new = table.timer_new.ok_or_else(|| Error::unsupported("the host's timers"))?;
        // SAFETY: no argument but the table's own.
        let raw = unsafe { timer_new(table.ctx) };
        if raw.is_null() {
            return Err(Error::new(ErrorCode::Limit, "the host gave no timer"));
        }
        Ok(Timer { table, raw })
    }

    /// Runs a task on a reactor thread. A panic ends the task and is logged.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let table = self.table("tasks")?;
        let spawn = table.spawn.ok_or_else(|| Error::unsupported("the host's tasks"))?;
        let task = Box::new(Task { host: *self, future: Some(Box::pin(task)) });
        let raw =
            sabir_task { data: Box::into_raw(task).cast(), poll: Some(Task::poll), drop: Some(Task::drop) };
        // SAFETY: the task is handed over, whatever the host answers.
        match unsafe { spawn(table.ctx, raw) } {
            0.. => Ok(()),
            status => Err(Error::new(ErrorCode::from_status(status), "the host refused the task")),
        }
    }

    /// Runs `work` once on a thread that may block. A panic is logged.
    pub fn run_blocking(&self, work: impl FnOnce() + Send + 'static) -> Result<()> {
        let table = self.table("blocking work")?;
        let run_blocking =
            table.run_blocking.ok_or_else(|| Error::unsupported("the host's blocking work"))?;
        let arg = Box::into_raw(Box::new(Work { host: *self, work: Box::new(work) }));
        // SAFETY: `Work::run` takes the box, exactly once, and only if the host does not refuse.
        match unsafe { run_blocking(table.ctx, Work::run, arg.cast()) } {
            0.. => Ok(()),
            status => {
                // SAFETY: after a refusal the work is not called, so the box is ours again.
                drop(unsafe { Box::from_raw(arg) });
                Err(Error::new(ErrorCode::from_status(status), "the host refused the work"))
            }
        }
    }

    /// Registers a non-blocking descriptor with the host's reactor. It is closed when the [`HostIo`] is dropped.
    pub fn register(&self, fd: impl Into<OwnedFd>) -> Result<HostIo> {
        let fd = fd.into();
        let table = self.table("a reactor")?;
        let io_register = table.io_register.ok_or_else(|| Error::unsupported("the host's reactor"))?;
        let mut raw = ptr::null_mut();
        let mut detail = error::empty();
        // SAFETY: the descriptor is open and stays so until after `io_deregister`.
        let status = unsafe { io_register(table.ctx, fd.as_raw_fd(), &mut raw, &mut detail) };
        if status < 0 {
            // SAFETY: zeroed by us, filled by the callee, read once.
            return Err(unsafe { Error::read(status, detail) });
        }
        Ok(HostIo { table, raw, fd })
    }

    fn table(&self, what: &str) -> Result<&'static sabir_host> {
        self.0.ok_or_else(|| Error::unsupported(&format!("{what} without a host")))
    }
}

/// A metric of the host.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    host: Host,
    raw: *mut sabir_metric,
}

// SAFETY: metrics are valid for ever, and any thread may record them.
unsafe impl Send for Metric {}
// SAFETY: as above.
unsafe impl Sync for Metric {}

impl Metric {
    /// Adds to a counter, sets a gauge, or observes a value of a histogram.
    pub fn record(&self, value: f64) {
        if let Some(table) = self.host.0
            && let Some(record) = table.metric_record
        {
            // SAFETY: the host gave the metric, or it is NULL, which is allowed.
            unsafe { record(table.ctx, self.raw, value) }
        }
    }
}

/// A timer of the host.
#[derive(Debug)]
pub struct Timer {
    table: &'static sabir_host,
    raw: *mut sabir_timer,
}

// SAFETY: any thread may use a timer, as long as calls do not overlap.
unsafe impl Send for Timer {}

impl Timer {
    /// Ready once the monotonic clock of [`Host::now`] has reached `deadline_ms`. Another deadline arms it again.
    pub fn poll(&mut self, cx: &mut Context<'_>, deadline_ms: u64) -> Poll<()> {
        let Some(timer_poll) = self.table.timer_poll else { return Poll::Ready(()) };
        let waker = waker::lend(cx.waker());
        // SAFETY: the timer is ours, and calls do not overlap (`&mut`).
        match unsafe { timer_poll(self.table.ctx, self.raw, deadline_ms, &waker) } {
            SABIR_PENDING => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(timer_free) = self.table.timer_free {
            // SAFETY: the timer is ours, and this is the last call.
            unsafe { timer_free(self.table.ctx, self.raw) }
        }
    }
}

struct Task {
    host: Host,
    future: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Task {
    unsafe extern "C" fn poll(data: *mut c_void, waker: *const sabir_waker) -> i64 {
        // SAFETY: `data` is of the box that `spawn` made; calls do not overlap.
        let task = unsafe { &mut *data.cast::<Task>() };
        let host = task.host;
        guard::status(host, "a task", || {
            let Some(future) = task.future.as_mut() else { return SABIR_OK };
            // SAFETY: the host lends a waker during the call.
            let polled = unsafe { waker::with_context(waker, |cx| future.as_mut().poll(cx)) };
            match polled {
                Some(Poll::Pending) => SABIR_PENDING,
                Some(Poll::Ready(())) => {
                    task.future = None;
                    SABIR_OK
                }
                None => SABIR_ERR_INVALID,
            }
        })
    }

    unsafe extern "C" fn drop(data: *mut c_void) {
        // SAFETY: `data` is of the box that `spawn` made; this is the last call.
        let task = unsafe { Box::from_raw(data.cast::<Task>()) };
        guard::quietly(task.host, "a task", move || drop(task));
    }
}

struct Work {
    host: Host,
    work: Box<dyn FnOnce() + Send>,
}

impl Work {
    unsafe extern "C" fn run(arg: *mut c_void) {
        // SAFETY: `arg` is of the box that `run_blocking` made; this is the only call.
        let Work { host, work } = *unsafe { Box::from_raw(arg.cast::<Work>()) };
        guard::quietly(host, "blocking work", work);
    }
}

/// A descriptor on the host's reactor, and the descriptor itself.
#[derive(Debug)]
pub struct HostIo {
    table: &'static sabir_host,
    raw: *mut sabir_io,
    fd: OwnedFd,
}

// SAFETY: any thread may use a handle, as long as calls with the same interest do not overlap; `&mut` sees to that.
unsafe impl Send for HostIo {}
// SAFETY: nothing of the handle is used through a shared reference.
unsafe impl Sync for HostIo {}

impl AsFd for HostIo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for HostIo {
    fn drop(&mut self) {
        // Before the descriptor is closed, which happens when the fields are dropped.
        if let Some(io_deregister) = self.table.io_deregister {
            // SAFETY: the handle is ours, and this is the last call.
            unsafe { io_deregister(self.table.ctx, self.raw) }
        }
    }
}

impl HostIo {
    /// Receives into `buf`; 0 is the end of the stream.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        // SAFETY: initialised bytes are bytes that may be written; the host writes nothing but bytes.
        self.poll_recv_uninit(cx, unsafe { &mut *(ptr::from_mut(buf) as *mut [MaybeUninit<u8>]) })
    }

    /// Receives into memory that need not be initialised; its first `n` bytes are after `Ready(Ok(n))`.
    pub fn poll_recv_uninit(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [MaybeUninit<u8>],
    ) -> Poll<io::Result<usize>> {
        let Some(recv) = self.table.io_poll_recv else { return unsupported("io_poll_recv") };
        let waker = waker::lend(cx.waker());
        let mut detail = error::empty();
        // SAFETY: the handle is ours; everything pointed at is valid during the call.
        let status = unsafe {
            recv(self.table.ctx, self.raw, &waker, buf.as_mut_ptr().cast(), buf.len(), &mut detail)
        };
        outcome(status, detail, buf.len())
    }

    /// Sends from `bufs`; answers the count of bytes taken. A vanished peer is an error, never a signal.
    pub fn poll_sendv(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let Some(sendv) = self.table.io_poll_sendv else { return unsupported("io_poll_sendv") };
        let waker = waker::lend(cx.waker());
        let mut detail = error::empty();
        // `IoSlice` is laid out as `struct iovec`, on which `sabir_iovec` is modelled.
        let iov = bufs.as_ptr().cast::<sabir_iovec>();
        // SAFETY: the handle is ours; everything pointed at is valid during the call.
        let status = unsafe { sendv(self.table.ctx, self.raw, &waker, iov, bufs.len(), &mut detail) };
        outcome(status, detail, bufs.iter().map(|buf| buf.len()).sum())
    }

    /// Runs `op` when the descriptor is ready, within the reactor's readiness guard. When `op` fails with
    /// [`io::ErrorKind::WouldBlock`], no wake-up is lost that came meanwhile, and `op` runs again later. It makes at
    /// most a few system calls and never blocks.
    pub fn poll_op<T>(
        &mut self,
        cx: &mut Context<'_>,
        interest: Interest,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let Some(poll_op) = self.table.io_poll_op else { return unsupported("io_poll_op") };
        let fd = self.fd.as_fd();
        let mut state = OpState { run: || op(fd), result: None };
        let (call, arg) = op_call(&mut state);
        let waker = waker::lend(cx.waker());
        // SAFETY: the handle is ours; `arg` points at `state`, which lives during the call.
        let status = unsafe { poll_op(self.table.ctx, self.raw, interest as u32, &waker, call, arg) };
        match (status, state.result) {
            (_, Some(Ok(result))) => Poll::Ready(result),
            (_, Some(Err(panic))) => resume_unwind(panic),
            (SABIR_PENDING, None) => Poll::Pending,
            (status, None) => {
                // The reactor failed before the operation was tried.
                let error = Error::new(ErrorCode::from_status(status), "the host's reactor failed");
                Poll::Ready(Err(error.into()))
            }
        }
    }
}

fn unsupported<T>(what: &str) -> Poll<io::Result<T>> {
    Poll::Ready(Err(Error::unsupported(&format!("the host's {what}")).into()))
}

fn outcome(status: i64, detail: sabir_error, offered: usize) -> Poll<io::Result<usize>> {
    match status {
        SABIR_PENDING => Poll::Pending,
        // A count beyond what was offered would make uninitialised memory look read.
        0.. => Poll::Ready(Ok(usize::try_from(status).unwrap_or(usize::MAX).min(offered))),
        // SAFETY: zeroed by us, filled by the callee, read once.
        _ => Poll::Ready(Err(unsafe { Error::read(status, detail) }.into())),
    }
}

/// An operation under way, and what came of it; `Err` is a panic, which must not cross the host's frames.
struct OpState<F, T> {
    run: F,
    result: Option<std::thread::Result<io::Result<T>>>,
}

fn op_call<F: FnMut() -> io::Result<T>, T>(state: &mut OpState<F, T>) -> (sabir_io_op, *mut c_void) {
    unsafe extern "C" fn call<F: FnMut() -> io::Result<T>, T>(arg: *mut c_void) -> i64 {
        // SAFETY: `arg` is of the state that `poll_op` lends during its call.
        let state = unsafe { &mut *arg.cast::<OpState<F, T>>() };
        state.result = None;
        match catch_unwind(AssertUnwindSafe(&mut state.run)) {
            Ok(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => SABIR_PENDING,
            other => {
                state.result = Some(other);
                SABIR_OK
            }
        }
    }
    (call::<F, T>, ptr::from_mut(state).cast())
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let deadline_ms = self.deadline_ms;
        ready!(self.timer.poll(cx, deadline_ms));
        Poll::Ready(())
    }
}

/// Waits until a deadline: a [`Timer`] as a future.
#[derive(Debug)]
pub struct Sleep {
    timer: Timer,
    deadline_ms: u64,
}

impl Timer {
    /// A future that is ready once the monotonic clock has reached `deadline_ms`.
    pub fn until(self, deadline_ms: u64) -> Sleep {
        Sleep { timer: self, deadline_ms }
    }
}
