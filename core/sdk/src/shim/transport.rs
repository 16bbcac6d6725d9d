// SPDX-License-Identifier: Apache-2.0
//! The tables of transports, listeners and links.

use super::{count, invalid, open};
use crate::guard::Guarded;
use crate::transport::{ChunkInfo, Framing, Link, Listener, Transport};
use crate::{Host, Result};
use sabir_abi::*;
use sabir_boundary::slices::{self, AttributeArray, Attributes};
use sabir_boundary::{link, waker};
use std::ffi::c_void;
use std::io::IoSlice;
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::ptr;
use std::task::{Context, Poll};

/// The table of the transport `T`.
#[derive(Debug)]
pub struct TransportShim<T>(PhantomData<T>);

type Instance<T> = Guarded<T>;
type ListenerObject = Guarded<Box<dyn Listener>>;
type LinkObject = Guarded<LinkState>;

struct LinkState {
    link: Box<dyn Link>,
    attributes: AttributeArray,
}

impl<T: Transport> TransportShim<T> {
    /// The table.
    pub const VTABLE: sabir_transport_vtable = sabir_transport_vtable {
        struct_size: size_of::<sabir_transport_vtable>() as u32,
        reserved: 0,
        open: Some(Self::open),
        listen: Some(Self::listen),
        connect: Some(Self::connect),
        wrap_listener: Some(Self::wrap_listener),
        wrap_link: Some(Self::wrap_link),
        close: Some(Self::close),
    };

    unsafe extern "C" fn open(
        host: *const sabir_host,
        config: sabir_slice,
        out: *mut *mut c_void,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `open`.
        unsafe { open("open", host, config, out, error, T::open) }
    }

    unsafe extern "C" fn listen(
        transport: *mut c_void,
        uri: sabir_slice,
        out: *mut sabir_listener,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `listen`.
        unsafe {
            let host = host_of::<T>(transport);
            Instance::<T>::shared(transport, "listen", error, |transport| {
                give_listener(host, out, transport.listen(text(uri)?)?)
            })
        }
    }

    unsafe extern "C" fn connect(
        transport: *mut c_void,
        uri: sabir_slice,
        out: *mut sabir_link,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `connect`.
        unsafe {
            let host = host_of::<T>(transport);
            Instance::<T>::shared(transport, "connect", error, |transport| {
                give_link(host, out, transport.connect(text(uri)?)?)
            })
        }
    }

    unsafe extern "C" fn wrap_listener(
        transport: *mut c_void,
        inner: sabir_listener,
        uri: sabir_slice,
        out: *mut sabir_listener,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: the contract of `wrap_listener`; the inner listener is ours in every case, so it is taken over
        // before anything can fail.
        unsafe {
            let inner = link::Listener::from_abi(inner);
            let host = host_of::<T>(transport);
            Instance::<T>::shared(transport, "wrap_listener", error, |transport| {
                let inner = Box::new(InnerListener(inner?));
                give_listener(host, out, transport.wrap_listener(inner, text(uri)?)?)
            })
        }
    }

    unsafe extern "C" fn wrap_link(
        transport: *mut c_void,
        inner: sabir_link,
        uri: sabir_slice,
        out: *mut sabir_link,
        error: *mut sabir_error,
    ) -> i64 {
        // SAFETY: as in `wrap_listener`.
        unsafe {
            let inner = link::Link::from_abi(inner);
            let host = host_of::<T>(transport);
            Instance::<T>::shared(transport, "wrap_link", error, |transport| {
                let inner = Box::new(InnerLink::new(inner?));
                give_link(host, out, transport.wrap_link(inner, text(uri)?)?)
            })
        }
    }

    unsafe extern "C" fn close(transport: *mut c_void) {
        // SAFETY: the contract of `close`.
        unsafe { Instance::<T>::free(transport, "close") }
    }
}

/// # Safety
/// `transport` is an instance of `T`.
unsafe fn host_of<T>(transport: *mut c_void) -> Host {
    // SAFETY: the caller promises it.
    unsafe { (*transport.cast::<Instance<T>>()).host }
}

/// # Safety
/// As of `slices::raw`.
unsafe fn text<'a>(uri: sabir_slice) -> Result<&'a str> {
    // SAFETY: the caller promises it.
    unsafe { slices::str(uri) }.ok_or_else(|| invalid("an address that is no UTF-8"))
}

/// # Safety
/// `out` is NULL or may be written.
unsafe fn give_listener(host: Host, out: *mut sabir_listener, listener: Box<dyn Listener>) -> Result<i64> {
    if out.is_null() {
        return Err(invalid("nowhere to put the listener"));
    }
    // SAFETY: the caller promises it.
    unsafe { out.write(sabir_listener { object: Guarded::into_raw(listener, host), vtable: &LISTENER }) };
    Ok(SABIR_OK)
}

/// # Safety
/// `out` is NULL or may be written.
unsafe fn give_link(host: Host, out: *mut sabir_link, link: Box<dyn Link>) -> Result<i64> {
    if out.is_null() {
        return Err(invalid("nowhere to put the link"));
    }
    let vtable = match (link.framing(), link.sends_files()) {
        (Framing::Stream, false) => &STREAM_LINK,
        (Framing::Stream, true) => &FILE_LINK,
        (Framing::Message, _) => &MESSAGE_LINK,
        (Framing::Exchange, _) => &EXCHANGE_LINK,
    };
    let state = LinkState { link, attributes: AttributeArray::default() };
    // SAFETY: the caller promises it.
    unsafe { out.write(sabir_link { object: Guarded::into_raw(state, host), vtable }) };
    Ok(SABIR_OK)
}

static LISTENER: sabir_listener_vtable = sabir_listener_vtable {
    struct_size: size_of::<sabir_listener_vtable>() as u32,
    reserved: 0,
    local_address: Some(listener_local_address),
    poll_accept: Some(listener_poll_accept),
    drop: Some(listener_drop),
};

unsafe extern "C" fn listener_local_address(listener: *mut c_void) -> sabir_slice {
    let mut address = slices::EMPTY;
    // SAFETY: the contract of `local_address`: a call on a listener that is ours; the text lives as long as it.
    unsafe {
        ListenerObject::shared(listener, "local_address", ptr::null_mut(), |listener| {
            address = slices::text(listener.local_address());
            Ok(SABIR_OK)
        });
    }
    address
}

unsafe extern "C" fn listener_poll_accept(
    listener: *mut c_void,
    waker: *const sabir_waker,
    out: *mut sabir_link,
    error: *mut sabir_error,
) -> i64 {
    // SAFETY: the contract of `poll_accept`.
    unsafe {
        let host = (*listener.cast::<ListenerObject>()).host;
        ListenerObject::exclusive(listener, "poll_accept", error, |listener| {
            match polled(waker, |cx| listener.poll_accept(cx))? {
                Poll::Ready(link) => give_link(host, out, link),
                Poll::Pending => Ok(SABIR_PENDING),
            }
        })
    }
}

unsafe extern "C" fn listener_drop(listener: *mut c_void) {
    // SAFETY: the contract of `drop`.
    unsafe { ListenerObject::free(listener, "dropping a listener") }
}

const fn link_table(framing: u32, sends_files: bool) -> sabir_link_vtable {
    sabir_link_vtable {
        struct_size: size_of::<sabir_link_vtable>() as u32,
        framing,
        attributes: Some(link_attributes),
        poll_ready: Some(link_poll_ready),
        poll_read: Some(link_poll_read),
        poll_write: Some(link_poll_write),
        poll_flush: Some(link_poll_flush),
        poll_shutdown: Some(link_poll_shutdown),
        poll_send_file: if sends_files { Some(link_poll_send_file) } else { None },
        drop: Some(link_drop),
    }
}

static STREAM_LINK: sabir_link_vtable = link_table(SABIR_FRAMING_STREAM, false);
static FILE_LINK: sabir_link_vtable = link_table(SABIR_FRAMING_STREAM, true);
static MESSAGE_LINK: sabir_link_vtable = link_table(SABIR_FRAMING_MESSAGE, false);
static EXCHANGE_LINK: sabir_link_vtable = link_table(SABIR_FRAMING_EXCHANGE, false);

/// Calls `poll` with the caller's waker.
///
/// # Safety
/// `waker` is NULL or a waker of the contract.
unsafe fn polled<R>(
    waker: *const sabir_waker,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<Result<R>>,
) -> Result<Poll<R>> {
    // SAFETY: the caller promises it.
    match unsafe { waker::with_context(waker, poll) } {
        Some(Poll::Ready(Ok(result))) => Ok(Poll::Ready(result)),
        Some(Poll::Ready(Err(failure))) => Err(failure),
        Some(Poll::Pending) => Ok(Poll::Pending),
        None => Err(invalid("a waker without functions")),
    }
}

fn status(polled: Poll<i64>) -> Result<i64> {
    match polled {
        Poll::Ready(status) => Ok(status),
        Poll::Pending => Ok(SABIR_PENDING),
    }
}

unsafe extern "C" fn link_attributes(link: *mut c_void) -> sabir_attributes {
    let mut attributes = Attributes::none().to_abi();
    // SAFETY: the contract of `attributes`; the array lives in the link, until the next call.
    unsafe {
        LinkObject::exclusive(link, "attributes", ptr::null_mut(), |state| {
            let pairs = state.link.attributes().iter().map(|(name, value)| (name.as_str(), value.as_str()));
            attributes = state.attributes.fill(pairs).to_abi();
            Ok(SABIR_OK)
        });
    }
    attributes
}

unsafe extern "C" fn link_poll_ready(
    link: *mut c_void,
    waker: *const sabir_waker,
    error: *mut sabir_error,
) -> i64 {
    // SAFETY: the contract of `poll_ready`.
    unsafe {
        LinkObject::exclusive(link, "poll_ready", error, |state| {
            status(polled(waker, |cx| state.link.poll_ready(cx))?.map(|()| SABIR_OK))
        })
    }
}

unsafe extern "C" fn link_poll_read(
    link: *mut c_void,
    waker: *const sabir_waker,
    buf: *mut u8,
    len: usize,
    info: *mut sabir_chunk_info,
    error: *mut sabir_error,
) -> i64 {
    // SAFETY: the contract of `poll_read`: `len` bytes at `buf` may be written.
    unsafe {
        LinkObject::exclusive(link, "poll_read", error, |state| {
            if buf.is_null() || len == 0 || isize::try_from(len).is_err() {
                return Err(invalid("no buffer to read into"));
            }
            let buf = std::slice::from_raw_parts_mut(buf, len);
            let mut chunk = ChunkInfo::default();
            let read = polled(waker, |cx| state.link.poll_read(cx, buf, &mut chunk))?;
            if let Some(info) = info.as_mut().filter(|info| info.struct_size as usize >= size_of_val(*info)) {
                info.flags = chunk.flags();
                info.exchange_id = chunk.exchange_id;
                info.peer_id = chunk.peer_id;
            }
            status(read.map(count))
        })
    }
}

unsafe extern "C" fn link_poll_write(
    link: *mut c_void,
    waker: *const sabir_waker,
    iov: *const sabir_iovec,
    len: usize,
    info: *const sabir_chunk_info,
    error: *mut sabir_error,
) -> i64 {
    // SAFETY: the contract of `poll_write`: `len` slices lie at `iov`, laid out as `IoSlice` is on Unix.
    unsafe {
        LinkObject::exclusive(link, "poll_write", error, |state| {
            let bufs = match iov.is_null() {
                true => &[][..],
                false => std::slice::from_raw_parts(iov.cast::<IoSlice<'_>>(), len),
            };
            let chunk = match info.as_ref() {
                Some(info) if info.struct_size as usize >= size_of_val(info) => ChunkInfo::from_abi(info),
                _ => ChunkInfo::default(),
            };
            status(polled(waker, |cx| state.link.poll_write(cx, bufs, chunk))?.map(count))
        })
    }
}

unsafe extern "C" fn link_poll_flush(
    link: *mut c_void,
    waker: *const sabir_waker,
    error: *mut sabir_error,
) -> i64 {
    // SAFETY: the contract of `poll_flush`.
    unsafe {
        LinkObject::exclusive(link, "poll_flush", error, |state| {
            status(polled(waker, |cx| state.link.poll_flush(cx))?.map(|()| SABIR_OK))
        })
    }
}

unsafe extern "C" fn link_poll_shutdown(
    link: *mut c_void,
    waker: *const sabir_waker,
    error: *mut sabir_error,
) -> i64 {
    // SAFETY: the contract of `poll_shutdown`.
    unsafe {
        LinkObject::exclusive(link, "poll_shutdown", error, |state| {
            status(polled(waker, |cx| state.link.poll_shutdown(cx))?.map(|()| SABIR_OK))
        })
    }
}

unsafe extern "C" fn link_poll_send_file(
    link: *mut c_void,
    waker: *const sabir_waker,
    fd: i32,
    offset: u64,
    len: usize,
    error: *mut sabir_error,
) -> i64 {
    // SAFETY: the contract of `poll_send_file`: the descriptor is open during the call.
    unsafe {
        LinkObject::exclusive(link, "poll_send_file", error, |state| {
            if fd < 0 || len == 0 {
                return Err(invalid("no file to send, or nothing of it"));
            }
            let file = BorrowedFd::borrow_raw(fd);
            status(polled(waker, |cx| state.link.poll_send_file(cx, file, offset, len))?.map(count))
        })
    }
}

unsafe extern "C" fn link_drop(link: *mut c_void) {
    // SAFETY: the contract of `drop`.
    unsafe { LinkObject::free(link, "dropping a link") }
}

/// A listener that was given to be wrapped.
struct InnerListener(link::Listener);

impl Listener for InnerListener {
    fn local_address(&self) -> &str {
        self.0.local_address()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Link>>> {
        self.0.poll_accept(cx).map_ok(|link| Box::new(InnerLink::new(link)) as Box<dyn Link>)
    }
}

/// A link that was given to be wrapped, and what is known of it.
struct InnerLink {
    link: link::Link,
    attributes: Vec<(String, String)>,
}

impl InnerLink {
    fn new(link: link::Link) -> Self {
        let attributes = link.attributes();
        InnerLink { link, attributes }
    }
}

impl Link for InnerLink {
    fn framing(&self) -> Framing {
        self.link.framing()
    }

    fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let ready = self.link.poll_ready(cx);
        if matches!(ready, Poll::Ready(Ok(()))) {
            self.attributes = self.link.attributes();
        }
        ready
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        info: &mut ChunkInfo,
    ) -> Poll<Result<usize>> {
        self.link.poll_read(cx, buf, info)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        info: ChunkInfo,
    ) -> Poll<Result<usize>> {
        self.link.poll_write(cx, bufs, info)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.link.poll_flush(cx)
    }

    fn sends_files(&self) -> bool {
        self.link.sends_files()
    }

    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        len: usize,
    ) -> Poll<Result<usize>> {
        self.link.poll_send_file(cx, file, offset, len)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.link.poll_shutdown(cx)
    }
}
