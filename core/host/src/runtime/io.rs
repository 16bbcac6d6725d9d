// SPDX-License-Identifier: Apache-2.0
//! The reactor for plugins' descriptors.
//!
//! The trap that this avoids: «poll ready, then clear» as two calls loses a wake-up that comes between them. Here the
//! operation always runs inside the readiness guard, which knows whether something came meanwhile.

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketType, sockopt};
use sabir_abi::*;
use sabir_boundary::{Error, ErrorCode, waker};
use std::ffi::c_void;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;
use std::sync::{Mutex, OnceLock};
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// A descriptor that stays the plugin's; it is only watched.
#[derive(Clone, Copy)]
struct Watched(RawFd);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl Watched {
    fn borrow(&self) -> BorrowedFd<'_> {
        // SAFETY: the plugin keeps the descriptor open until it has called `io_deregister`.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

/// What is behind `sabir_io`. It joins the reactor of the thread that first polls it.
struct Io {
    fd: Watched,
    /// Bytes without boundaries: a short read or write means that there is no more for now.
    stream: bool,
    joined: OnceLock<AsyncFd<Watched>>,
    joining: Mutex<()>,
}

impl Io {
    fn reactor(&self) -> io::Result<&AsyncFd<Watched>> {
        if let Some(joined) = self.joined.get() {
            return Ok(joined);
        }
        // Reading and writing may begin on two threads at once.
        let _one = self.joining.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(joined) = self.joined.get() {
            return Ok(joined);
        }
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(io::Error::other("polled on a thread that is no reactor thread"));
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        // SAFETY: the plugin keeps the descriptor open until it has called `io_deregister`, which drops this.
        let joined = unsafe { AsyncFd::register_with_interest(self.fd, interest) }?;
        Ok(self.joined.get_or_init(|| joined))
    }

    /// Runs `op` inside the readiness guard until it is done or would block.
    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        write: bool,
        mut op: impl FnMut(&Watched) -> io::Result<(T, bool)>,
    ) -> Poll<io::Result<T>> {
        let reactor = match self.reactor() {
            Ok(reactor) => reactor,
            Err(error) => return Poll::Ready(Err(error)),
        };
        loop {
            let ready = if write { reactor.poll_write_ready(cx) } else { reactor.poll_read_ready(cx) };
            let mut guard: AsyncFdReadyGuard<'_, Watched> = match ready {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(guard)) => guard,
            };
            match guard.try_io(|fd| op(fd.get_ref())) {
                Ok(Ok((result, drained))) => {
                    if drained {
                        // The next call would only be told EAGAIN. Edge-triggered: what comes after this
                        // guard's tick sets readiness again, and a closed peer is not cleared at all.
                        guard.clear_ready();
                    }
                    return Poll::Ready(Ok(result));
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                // Readiness is cleared unless something came meanwhile: wait, or try again.
                Err(_would_block) => {}
            }
        }
    }
}

pub(super) unsafe extern "C" fn io_register(
    _: *mut c_void,
    fd: i32,
    out: *mut *mut sabir_io,
    error: *mut sabir_error,
) -> i64 {
    super::contained("io_register", SABIR_ERR_OTHER, || {
        let made = register(fd);
        // SAFETY: the caller's pointers are NULL or may be written.
        unsafe {
            match made {
                Ok(_) if out.is_null() => {
                    Error::new(ErrorCode::Invalid, "nowhere to put the handle").write(error)
                }
                Ok(io) => {
                    out.write(Box::into_raw(Box::new(io)).cast());
                    SABIR_OK
                }
                Err(failure) => failure.write(error),
            }
        }
    })
}

fn register(fd: RawFd) -> Result<Io, Error> {
    if fd < 0 {
        return Err(Error::new(ErrorCode::Invalid, format!("{fd} is no descriptor")));
    }
    let watched = Watched(fd);
    let flags = rustix::fs::fcntl_getfl(watched.borrow()).map_err(io::Error::from)?;
    if !flags.contains(rustix::fs::OFlags::NONBLOCK) {
        let text = "the descriptor is not non-blocking: it would stop a reactor thread";
        return Err(Error::new(ErrorCode::Invalid, text));
    }
    let stream = sockopt::socket_type(watched.borrow()).is_ok_and(|kind| kind == SocketType::STREAM);
    Ok(Io { fd: watched, stream, joined: OnceLock::new(), joining: Mutex::new(()) })
}

/// # Safety
/// `io` is NULL or came from `io_register` and was not deregistered; the waker is valid during the call.
unsafe fn polled(
    what: &str,
    io: *mut sabir_io,
    waker: *const sabir_waker,
    error: *mut sabir_error,
    poll: impl FnOnce(&Io, &mut Context<'_>) -> Poll<io::Result<i64>>,
) -> i64 {
    super::contained(what, SABIR_ERR_OTHER, || {
        // SAFETY: the caller promises it.
        unsafe {
            let Some(io) = io.cast::<Io>().as_ref() else {
                return Error::new(ErrorCode::Invalid, "no handle").write(error);
            };
            match waker::with_context(waker, |cx| poll(io, cx)) {
                Some(Poll::Pending) => SABIR_PENDING,
                Some(Poll::Ready(Ok(status))) => status,
                Some(Poll::Ready(Err(failure))) => Error::from(failure).write(error),
                None => Error::new(ErrorCode::Invalid, "a waker without functions").write(error),
            }
        }
    })
}

pub(super) unsafe extern "C" fn io_poll_op(
    _: *mut c_void,
    io: *mut sabir_io,
    interest: u32,
    waker: *const sabir_waker,
    op: sabir_io_op,
    arg: *mut c_void,
) -> i64 {
    let write = match interest {
        SABIR_INTEREST_READ => false,
        SABIR_INTEREST_WRITE => true,
        _ => return SABIR_ERR_INVALID,
    };
    // SAFETY: the contract of `io_poll_op`.
    unsafe {
        polled("io_poll_op", io, waker, ptr::null_mut(), |io, cx| {
            io.poll(cx, write, |_| match op(arg) {
                SABIR_PENDING => Err(io::ErrorKind::WouldBlock.into()),
                // A failure is the plugin's own affair: its status is passed on.
                status => Ok((status, false)),
            })
        })
    }
}

pub(super) unsafe extern "C" fn io_poll_recv(
    _: *mut c_void,
    io: *mut sabir_io,
    waker: *const sabir_waker,
    buf: *mut u8,
    len: usize,
    error: *mut sabir_error,
) -> i64 {
    // SAFETY: the contract of `io_poll_recv`: `len` bytes at `buf` may be written.
    unsafe {
        polled("io_poll_recv", io, waker, error, |io, cx| {
            if buf.is_null() || len == 0 || isize::try_from(len).is_err() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidInput, "no buffer")));
            }
            let buf = std::slice::from_raw_parts_mut(buf.cast::<MaybeUninit<u8>>(), len);
            io.poll(cx, false, |fd| {
                let ((received, _), _) = rustix::net::recv(fd.borrow(), &mut *buf, RecvFlags::empty())?;
                let count = received.len();
                Ok((count as i64, io.stream && count != 0 && count < len))
            })
        })
    }
}

/// Most slices that one system call takes.
const MAX_SLICES: usize = 1024;

pub(super) unsafe extern "C" fn io_poll_sendv(
    _: *mut c_void,
    io: *mut sabir_io,
    waker: *const sabir_waker,
    iov: *const sabir_iovec,
    count: usize,
    error: *mut sabir_error,
) -> i64 {
    // SAFETY: the contract of `io_poll_sendv`: `count` slices lie at `iov`, laid out as `IoSlice` is on Unix.
    unsafe {
        polled("io_poll_sendv", io, waker, error, |io, cx| {
            let slices = match iov.is_null() {
                true => &[][..],
                false => std::slice::from_raw_parts(iov.cast::<IoSlice<'_>>(), count),
            };
            // Past the empty ones in front, lest they fill the system call and it seems to take nothing.
            let first = slices.iter().position(|slice| !slice.is_empty()).unwrap_or(slices.len());
            let slices = &slices[first..];
            let slices = &slices[..slices.len().min(MAX_SLICES)];
            let offered: usize = slices.iter().map(|slice| slice.len()).sum();
            if offered == 0 && io.stream {
                return Poll::Ready(Ok(0));
            }
            io.poll(cx, true, |fd| {
                let sent = send(fd.borrow(), slices)?;
                Ok((sent as i64, io.stream && sent != 0 && sent < offered))
            })
        })
    }
}

/// One system call; a vanished peer is an error, never a signal.
fn send(fd: BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
    match slices {
        [one] => rustix::net::send(fd, one, SendFlags::NOSIGNAL),
        many => {
            let mut control = rustix::net::SendAncillaryBuffer::default();
            rustix::net::sendmsg(fd, many, &mut control, SendFlags::NOSIGNAL)
        }
    }
}

pub(super) unsafe extern "C" fn io_deregister(_: *mut c_void, io: *mut sabir_io) {
    if !io.is_null() {
        super::contained("io_deregister", (), || {
            // SAFETY: the pointer came from `io_register`, and this is the last call.
            drop(unsafe { Box::from_raw(io.cast::<Io>()) });
        });
    }
}
