// SPDX-License-Identifier: Apache-2.0
//! Transports: listeners that yield links, and links that move bytes.
//!
//! A transport knows no protocol. It keeps the boundaries that its medium has and says who is at the other end.
//! Listeners and links are pairs of an object and a vtable, so a transport can take another's (`wrap_*`): `wss` is
//! tcp, then tls, then ws.

use crate::{sabir_attributes, sabir_error, sabir_host, sabir_iovec, sabir_slice, sabir_waker};
use core::ffi::c_void;

/// Framing: a stream of bytes without boundaries. Since 1.0.
pub const SABIR_FRAMING_STREAM: u32 = 1;
/// Framing: messages with boundaries, each perhaps with its own peer (UDP, WebSocket). Since 1.0.
pub const SABIR_FRAMING_MESSAGE: u32 = 2;
/// Framing: exchanges (HTTP): requests, each with an id, whose answers may be deferred, several, or none. Since 1.0.
pub const SABIR_FRAMING_EXCHANGE: u32 = 3;

/// Chunk flag: the first bytes of a message or exchange. Since 1.0.
pub const SABIR_CHUNK_BEGIN: u32 = 1;
/// Chunk flag: the last bytes of a message or exchange. Since 1.0.
pub const SABIR_CHUNK_END: u32 = 2;

/// What is known of a chunk of bytes beside the bytes. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_chunk_info {
    /// Size of this struct in bytes, set by the caller.
    pub struct_size: u32,
    /// `SABIR_CHUNK_*`. Always 0 on links with `SABIR_FRAMING_STREAM`.
    pub flags: u32,
    /// With framing `exchange`: the exchange, chosen by the transport, never 0, never used twice on one link.
    /// Otherwise 0.
    pub exchange_id: u64,
    /// With framing `message` over datagrams: whom it came from or goes to, chosen by the transport. Otherwise 0.
    pub peer_id: u64,
}

/// Functions of a link. The host calls those of one link one at a time, mostly from one reactor thread; none may
/// block. A link that answered an error other than `SABIR_PENDING` is only dropped. Since 1.0.
#[repr(C)]
#[derive(Debug)]
pub struct sabir_link_vtable {
    /// Size of this struct in bytes, as the plugin knew it.
    pub struct_size: u32,
    /// `SABIR_FRAMING_*`.
    pub framing: u32,
    /// What is known of the link. *Borrowed*: valid until the next call with the same link. It may grow once
    /// `poll_ready` has answered.
    pub attributes: Option<unsafe extern "C" fn(link: *mut c_void) -> sabir_attributes>,
    /// Answers `SABIR_OK` when the link can carry bytes: connected, and with its handshakes done. The host calls it
    /// until then, before anything else. NULL: ready from the start.
    pub poll_ready: Option<
        unsafe extern "C" fn(link: *mut c_void, waker: *const sabir_waker, error: *mut sabir_error) -> i64,
    >,
    /// Reads into `buf`, at most `len` (at least 1) bytes. Answers the count; 0 is the end of the stream, or with
    /// `SABIR_CHUNK_END` an empty message. A message longer than `len` comes in pieces, the last with
    /// `SABIR_CHUNK_END`.
    pub poll_read: Option<
        unsafe extern "C" fn(
            link: *mut c_void,
            waker: *const sabir_waker,
            buf: *mut u8,
            len: usize,
            info: *mut sabir_chunk_info,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Writes from `iov`, as much as goes now; answers the count of bytes taken, at least 1 when there were any.
    /// With framing `message` and `exchange` the flags of `info` describe the bytes offered, and a message is ended
    /// by the call that takes its last byte.
    pub poll_write: Option<
        unsafe extern "C" fn(
            link: *mut c_void,
            waker: *const sabir_waker,
            iov: *const sabir_iovec,
            count: usize,
            info: *const sabir_chunk_info,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Hands what the link has buffered to its medium. NULL: it buffers nothing.
    pub poll_flush: Option<
        unsafe extern "C" fn(link: *mut c_void, waker: *const sabir_waker, error: *mut sabir_error) -> i64,
    >,
    /// Ends the writing half after what was written; reading goes on where the medium can.
    pub poll_shutdown: Option<
        unsafe extern "C" fn(link: *mut c_void, waker: *const sabir_waker, error: *mut sabir_error) -> i64,
    >,
    /// Sends `len` bytes of the file `fd` from `offset`; answers the count taken. NULL: the host reads and writes.
    pub poll_send_file: Option<
        unsafe extern "C" fn(
            link: *mut c_void,
            waker: *const sabir_waker,
            fd: i32,
            offset: u64,
            len: usize,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Frees the link; the medium is closed at once. Called exactly once, and last. Never NULL.
    pub drop: Option<unsafe extern "C" fn(link: *mut c_void)>,
}

/// A link. *Owned* by whoever holds the pair. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_link {
    /// Handed to the functions.
    pub object: *mut c_void,
    /// Never NULL; valid for ever.
    pub vtable: *const sabir_link_vtable,
}

/// Functions of a listener. Calls on one listener never overlap; none may block. Since 1.0.
#[repr(C)]
#[derive(Debug)]
pub struct sabir_listener_vtable {
    /// Size of this struct in bytes, as the plugin knew it.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// The address that others connect to, with the port that the system chose where 0 was asked for, as
    /// `127.0.0.1:61613`. *Borrowed*: valid until the listener is dropped.
    pub local_address: Option<unsafe extern "C" fn(listener: *mut c_void) -> sabir_slice>,
    /// Answers `SABIR_OK` and fills `out` with a link, *owned* by the caller. `SABIR_ERR_LIMIT` (no file
    /// descriptors, say) leaves the listener usable: the host waits and tries again. After another error the host
    /// drops the listener.
    pub poll_accept: Option<
        unsafe extern "C" fn(
            listener: *mut c_void,
            waker: *const sabir_waker,
            out: *mut sabir_link,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Frees the listener; accepted links live on. Called exactly once, and last. Never NULL.
    pub drop: Option<unsafe extern "C" fn(listener: *mut c_void)>,
}

/// A listener. *Owned* by whoever holds the pair. Since 1.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sabir_listener {
    /// Handed to the functions.
    pub object: *mut c_void,
    /// Never NULL; valid for ever.
    pub vtable: *const sabir_listener_vtable,
}

/// Functions of a transport. Any thread may call them; `listen` and `connect` must not block (name look-up goes
/// through `run_blocking`, and `poll_ready` waits for it). Since 1.0.
#[repr(C)]
#[derive(Debug)]
pub struct sabir_transport_vtable {
    /// Size of this struct in bytes, as the plugin knew it.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Makes an instance. `config` is a JSON object, *borrowed*. `out` is *owned* by the caller until `close`.
    pub open: Option<
        unsafe extern "C" fn(
            host: *const sabir_host,
            config: sabir_slice,
            out: *mut *mut c_void,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Opens a listener on `uri` (as `tcp://127.0.0.1:61613?backlog=1024`).
    pub listen: Option<
        unsafe extern "C" fn(
            transport: *mut c_void,
            uri: sabir_slice,
            out: *mut sabir_listener,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Opens a link to `uri`.
    pub connect: Option<
        unsafe extern "C" fn(
            transport: *mut c_void,
            uri: sabir_slice,
            out: *mut sabir_link,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Takes a listener, *owned* in every case, and gives one that yields links standing on its links, N to M.
    pub wrap_listener: Option<
        unsafe extern "C" fn(
            transport: *mut c_void,
            inner: sabir_listener,
            uri: sabir_slice,
            out: *mut sabir_listener,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Takes a link to a server, *owned* in every case, and gives one that stands on it.
    pub wrap_link: Option<
        unsafe extern "C" fn(
            transport: *mut c_void,
            inner: sabir_link,
            uri: sabir_slice,
            out: *mut sabir_link,
            error: *mut sabir_error,
        ) -> i64,
    >,
    /// Frees the instance; its listeners and links are gone by then. Called exactly once.
    pub close: Option<unsafe extern "C" fn(transport: *mut c_void)>,
}
