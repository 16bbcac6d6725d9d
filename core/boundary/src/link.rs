// SPDX-License-Identifier: Apache-2.0
//! Calling a link or a listener that lives on the other side of the boundary.
//!
//! The host calls those of plugins; a plugin that wraps calls those that it was given. Whatever the other side
//! answers is checked before it is believed.

use crate::error::{self, Error, ErrorCode, Result};
use crate::kinds::{ChunkInfo, Framing};
use crate::slices::{self, Attributes};
use crate::waker;
use sabir_abi::*;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::task::{Context, Poll};

/// What a poll function of the other side answered.
fn outcome(status: i64, detail: sabir_error) -> Poll<Result<usize>> {
    match status {
        SABIR_PENDING => Poll::Pending,
        0.. => Poll::Ready(Ok(usize::try_from(status).unwrap_or(usize::MAX))),
        // SAFETY: the struct was zeroed by this side, handed to the callee, and is read here only.
        _ => Poll::Ready(Err(unsafe { Error::read(status, detail) })),
    }
}

fn broken(what: &str) -> Error {
    Error::new(ErrorCode::Invalid, format!("the plugin broke the contract: {what}"))
}

fn bounded(outcome: Poll<Result<usize>>, offered: usize) -> Poll<Result<usize>> {
    match outcome {
        Poll::Ready(Ok(count)) if count > offered => {
            Poll::Ready(Err(broken("more bytes moved than were offered")))
        }
        other => other,
    }
}

/// A link of the other side, owned.
#[derive(Debug)]
pub struct Link {
    raw: sabir_link,
    framing: Framing,
}

// SAFETY: the contract lets any thread call a link, as long as calls do not overlap.
unsafe impl Send for Link {}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(drop) = self.table().drop {
            // SAFETY: the link is ours, and this is the last call.
            unsafe { drop(self.raw.object) }
        }
    }
}

impl Link {
    /// Takes a link over.
    ///
    /// # Safety
    /// The pair follows the contract of `sabir_link`, and is ours.
    pub unsafe fn from_abi(raw: sabir_link) -> Result<Self> {
        if raw.vtable.is_null() {
            return Err(broken("a link without functions"));
        }
        // SAFETY: not NULL; the size comes first and is read before anything else.
        let table = unsafe {
            if ((*raw.vtable).struct_size as usize) < size_of::<sabir_link_vtable>() {
                return Err(broken("a link whose table of functions is too short"));
            }
            &*raw.vtable
        };
        if table.poll_read.is_none() || table.poll_write.is_none() || table.drop.is_none() {
            return Err(broken("a link without poll_read, poll_write or drop"));
        }
        let Some(framing) = Framing::from_number(table.framing) else {
            if let Some(drop) = table.drop {
                // SAFETY: the link is ours, and this is the last call.
                unsafe { drop(raw.object) }
            }
            return Err(broken(&format!("a link with the unknown framing {}", table.framing)));
        };
        Ok(Link { raw, framing })
    }

    /// Gives the link away.
    pub fn into_abi(self) -> sabir_link {
        std::mem::ManuallyDrop::new(self).raw
    }

    fn table(&self) -> &'static sabir_link_vtable {
        // SAFETY: checked when the link was taken over; tables are valid for ever.
        unsafe { &*self.raw.vtable }
    }

    /// What boundaries it has.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// What is known of it now; more may be known once `poll_ready` has answered.
    pub fn attributes(&self) -> Vec<(String, String)> {
        let Some(attributes) = self.table().attributes else { return Vec::new() };
        // SAFETY: the link is ours; what it answers is valid until the next call, and copied before.
        unsafe { Attributes::from_abi(attributes(self.raw.object)) }.to_vec()
    }

    /// Whether `poll_send_file` is there.
    pub fn sends_files(&self) -> bool {
        self.table().poll_send_file.is_some()
    }

    /// Ready when the link can carry bytes. Called until then, before anything else.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_plain(self.table().poll_ready, cx)
    }

    /// Reads into `buf`, which is not empty.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        info: &mut ChunkInfo,
    ) -> Poll<Result<usize>> {
        // SAFETY: a slice of bytes is one of bytes that may be written.
        unsafe { self.poll_read_raw(cx, buf.as_mut_ptr(), buf.len(), info) }
    }

    /// Reads into memory that need not be initialised: after `Ready(Ok(n))` its first `n` bytes are.
    ///
    /// # Safety
    /// `len` bytes at `buf` may be written during the call.
    pub unsafe fn poll_read_raw(
        &mut self,
        cx: &mut Context<'_>,
        buf: *mut u8,
        len: usize,
        info: &mut ChunkInfo,
    ) -> Poll<Result<usize>> {
        let Some(poll_read) = self.table().poll_read else {
            return Poll::Ready(Err(Error::unsupported("poll_read")));
        };
        let waker = waker::lend(cx.waker());
        let mut raw_info = ChunkInfo::default().to_abi();
        let mut detail = error::empty();
        // SAFETY: the link is ours and calls do not overlap (`&mut`); all pointers are valid during the call.
        let status = unsafe { poll_read(self.raw.object, &waker, buf, len, &mut raw_info, &mut detail) };
        *info = ChunkInfo::from_abi(&raw_info);
        bounded(outcome(status, detail), len)
    }

    /// Writes as much as goes now.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        info: ChunkInfo,
    ) -> Poll<Result<usize>> {
        let Some(poll_write) = self.table().poll_write else {
            return Poll::Ready(Err(Error::unsupported("poll_write")));
        };
        let waker = waker::lend(cx.waker());
        let raw_info = info.to_abi();
        let mut detail = error::empty();
        // `IoSlice` is laid out as `struct iovec`, on which `sabir_iovec` is modelled.
        let iov = bufs.as_ptr().cast::<sabir_iovec>();
        // SAFETY: as in `poll_read_raw`; the callee only reads what the slices point at.
        let status = unsafe { poll_write(self.raw.object, &waker, iov, bufs.len(), &raw_info, &mut detail) };
        bounded(outcome(status, detail), bufs.iter().map(|buf| buf.len()).sum())
    }

    /// Hands what the link has buffered to its medium.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_plain(self.table().poll_flush, cx)
    }

    /// Ends the writing half after what was written.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_plain(self.table().poll_shutdown, cx)
    }

    /// Sends `len` bytes of a file from `offset`, as much as goes now; 0: the file has nothing there. Only if
    /// [`Link::sends_files`].
    pub fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        len: usize,
    ) -> Poll<Result<usize>> {
        let Some(poll_send_file) = self.table().poll_send_file else {
            return Poll::Ready(Err(Error::unsupported("poll_send_file")));
        };
        let waker = waker::lend(cx.waker());
        let mut detail = error::empty();
        // SAFETY: as in `poll_read_raw`.
        let status =
            unsafe { poll_send_file(self.raw.object, &waker, file.as_raw_fd(), offset, len, &mut detail) };
        bounded(outcome(status, detail), len)
    }

    /// A slot without arguments of its own; NULL: there is nothing to do.
    fn poll_plain(
        &mut self,
        slot: Option<
            unsafe extern "C" fn(*mut std::ffi::c_void, *const sabir_waker, *mut sabir_error) -> i64,
        >,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        let Some(slot) = slot else { return Poll::Ready(Ok(())) };
        let waker = waker::lend(cx.waker());
        let mut detail = error::empty();
        // SAFETY: as in `poll_read_raw`.
        let status = unsafe { slot(self.raw.object, &waker, &mut detail) };
        outcome(status, detail).map_ok(|_| ())
    }
}

/// A listener of the other side, owned.
#[derive(Debug)]
pub struct Listener {
    raw: sabir_listener,
}

// SAFETY: the contract lets any thread call a listener, as long as calls do not overlap.
unsafe impl Send for Listener {}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(drop) = self.table().drop {
            // SAFETY: the listener is ours, and this is the last call.
            unsafe { drop(self.raw.object) }
        }
    }
}

impl Listener {
    /// Takes a listener over.
    ///
    /// # Safety
    /// The pair follows the contract of `sabir_listener`, and is ours.
    pub unsafe fn from_abi(raw: sabir_listener) -> Result<Self> {
        if raw.vtable.is_null() {
            return Err(broken("a listener without functions"));
        }
        // SAFETY: not NULL; the size comes first and is read before anything else.
        let table = unsafe {
            if ((*raw.vtable).struct_size as usize) < size_of::<sabir_listener_vtable>() {
                return Err(broken("a listener whose table of functions is too short"));
            }
            &*raw.vtable
        };
        if table.poll_accept.is_none() || table.drop.is_none() {
            return Err(broken("a listener without poll_accept or drop"));
        }
        Ok(Listener { raw })
    }

    /// Gives the listener away.
    pub fn into_abi(self) -> sabir_listener {
        std::mem::ManuallyDrop::new(self).raw
    }

    fn table(&self) -> &'static sabir_listener_vtable {
        // SAFETY: checked when the listener was taken over; tables are valid for ever.
        unsafe { &*self.raw.vtable }
    }

    /// The address that others connect to.
    pub fn local_address(&self) -> &str {
        let Some(local_address) = self.table().local_address else { return "" };
        // SAFETY: the listener is ours; the text is valid until the listener is dropped.
        unsafe { slices::str(local_address(self.raw.object)) }.unwrap_or("")
    }

    /// The next link. After an error other than [`ErrorCode::Limit`] the listener is only to be dropped.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Link>> {
        let Some(poll_accept) = self.table().poll_accept else {
            return Poll::Ready(Err(Error::unsupported("poll_accept")));
        };
        let waker = waker::lend(cx.waker());
        let mut detail = error::empty();
        let mut link = sabir_link { object: std::ptr::null_mut(), vtable: std::ptr::null() };
        // SAFETY: the listener is ours and calls do not overlap (`&mut`); all pointers are valid during the call.
        let status = unsafe { poll_accept(self.raw.object, &waker, &mut link, &mut detail) };
        match outcome(status, detail) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // SAFETY: the callee answered that it filled in a link, which is ours now.
            Poll::Ready(Ok(_)) => Poll::Ready(unsafe { Link::from_abi(link) }),
        }
    }
}
