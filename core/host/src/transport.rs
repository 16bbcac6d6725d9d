// SPDX-License-Identifier: Apache-2.0
//! Transports of plugins: listeners and links.

use crate::runtime;
use sabir_abi::*;
use sabir_boundary::{Error, ErrorCode, Result, error, link, slices};
use std::ffi::c_void;
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What every slot that makes an instance looks like.
pub(crate) type OpenSlot =
    unsafe extern "C" fn(*const sabir_host, sabir_slice, *mut *mut c_void, *mut sabir_error) -> i64;

/// Calls `open` of a component.
///
/// # Safety
/// `open` is that slot of a checked table.
pub(crate) unsafe fn open_instance(open: Option<OpenSlot>, config: &str) -> Result<*mut c_void> {
    let open = open.ok_or_else(|| Error::unsupported("open"))?;
    let mut object = ptr::null_mut();
    let mut detail = error::empty();
    // SAFETY: the caller promises the slot; the arguments are valid during the call.
    let status = unsafe { open(runtime::table(), slices::text(config), &mut object, &mut detail) };
    // SAFETY: zeroed by us, filled by the callee, read once.
    unsafe { checked(status, detail) }?;
    Ok(object)
}

/// What a slot answered that is no poll function.
///
/// # Safety
/// `detail` was zeroed by this side, handed to the callee, and is read here only.
pub(crate) unsafe fn checked(status: i64, detail: sabir_error) -> Result<i64> {
    match status {
        0.. => Ok(status),
        // SAFETY: the caller promises it.
        _ => Err(unsafe { Error::read(status, detail) }),
    }
}

/// An instance of a transport. Cheap to clone; closed when the last clone and everything made by it are gone.
#[derive(Clone, Debug)]
pub struct Transport(Arc<Instance>);

#[derive(Debug)]
struct Instance {
    table: &'static sabir_transport_vtable,
    object: *mut c_void,
    name: String,
    capabilities: u64,
}

// SAFETY: the contract lets any thread call a transport.
unsafe impl Send for Instance {}
// SAFETY: as above, at any time.
unsafe impl Sync for Instance {}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(close) = self.table.close {
            // SAFETY: the object is ours, and this is the last call.
            unsafe { close(self.object) }
        }
    }
}

/// What must outlive a listener or link: the transport that made it, and those that it stands on.
#[derive(Clone, Debug)]
struct Keep {
    _transports: Arc<(Transport, Option<Keep>)>,
}

/// A listener of a transport; its calls are those of [`link::Listener`].
#[derive(Debug)]
pub struct Listener {
    // Dropped before what it needs.
    inner: link::Listener,
    keep: Keep,
}

/// A link of a transport; its calls are those of [`link::Link`].
#[derive(Debug)]
pub struct Link {
    // Dropped before what it needs.
    inner: link::Link,
    keep: Keep,
}

impl Deref for Link {
    type Target = link::Link;

    fn deref(&self) -> &link::Link {
        &self.inner
    }
}

impl DerefMut for Link {
    fn deref_mut(&mut self) -> &mut link::Link {
        &mut self.inner
    }
}

impl Listener {
    /// The address that others connect to, with the port that the system chose where 0 was asked for.
    pub fn local_address(&self) -> &str {
        self.inner.local_address()
    }

    /// The next link. An error with [`ErrorCode::Limit`] leaves the listener usable; after any other it is only to be
    /// dropped.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Link>> {
        self.inner.poll_accept(cx).map_ok(|inner| Link { inner, keep: self.keep.clone() })
    }
}

impl Transport {
    pub(crate) fn open(
        table: &'static sabir_transport_vtable,
        name: &str,
        capabilities: u64,
        config: &str,
    ) -> Result<Self> {
        // SAFETY: the table was checked when the plugin was loaded.
        let object = unsafe { open_instance(table.open, config) }?;
        Ok(Transport(Arc::new(Instance { table, object, name: name.to_owned(), capabilities })))
    }

    /// The URI scheme.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// `SABIR_CAP_TRANSPORT_*`.
    pub fn capabilities(&self) -> u64 {
        self.0.capabilities
    }

    fn require(&self, capability: u64, what: &str) -> Result<()> {
        if self.0.capabilities & capability != 0 {
            return Ok(());
        }
        Err(Error::unsupported(&format!("{what} with the transport {:?}", self.0.name)))
    }

    fn keep(&self, below: Option<Keep>) -> Keep {
        Keep { _transports: Arc::new((self.clone(), below)) }
    }

    /// Opens a listener on `uri`.
    pub fn listen(&self, uri: &str) -> Result<Listener> {
        self.require(SABIR_CAP_TRANSPORT_LISTEN, "listening")?;
        let listen = self.0.table.listen.ok_or_else(|| Error::unsupported("listen"))?;
        let object = self.0.object;
        // SAFETY: the instance is ours; the arguments are valid during the call.
        let inner = unsafe { made_listener(|out, detail| listen(object, slices::text(uri), out, detail))? };
        Ok(Listener { inner, keep: self.keep(None) })
    }

    /// Opens a link to `uri`. It is connected once its `poll_ready` says so.
    pub fn connect(&self, uri: &str) -> Result<Link> {
        self.require(SABIR_CAP_TRANSPORT_CONNECT, "connecting")?;
        let connect = self.0.table.connect.ok_or_else(|| Error::unsupported("connect"))?;
        let object = self.0.object;
        // SAFETY: the instance is ours; the arguments are valid during the call.
        let inner = unsafe { made_link(|out, detail| connect(object, slices::text(uri), out, detail))? };
        Ok(Link { inner, keep: self.keep(None) })
    }

    /// Gives a listener whose links stand on those of `inner`.
    pub fn wrap_listener(&self, inner: Listener, uri: &str) -> Result<Listener> {
        self.require(SABIR_CAP_TRANSPORT_WRAP_LISTENER, "wrapping a listener")?;
        let wrap = self.0.table.wrap_listener.ok_or_else(|| Error::unsupported("wrap_listener"))?;
        let Listener { inner, keep } = inner;
        let object = self.0.object;
        let raw = inner.into_abi();
        // SAFETY: the instance is ours; the inner listener is handed over, whatever is answered.
        let inner =
            unsafe { made_listener(|out, detail| wrap(object, raw, slices::text(uri), out, detail))? };
        Ok(Listener { inner, keep: self.keep(Some(keep)) })
    }

    /// Gives a link that stands on `inner`, a link to a server.
    pub fn wrap_link(&self, inner: Link, uri: &str) -> Result<Link> {
        self.require(SABIR_CAP_TRANSPORT_WRAP_LINK, "wrapping a link")?;
        let wrap = self.0.table.wrap_link.ok_or_else(|| Error::unsupported("wrap_link"))?;
        let Link { inner, keep } = inner;
        let object = self.0.object;
        let raw = inner.into_abi();
        // SAFETY: the instance is ours; the inner link is handed over, whatever is answered.
        let inner = unsafe { made_link(|out, detail| wrap(object, raw, slices::text(uri), out, detail))? };
        Ok(Link { inner, keep: self.keep(Some(keep)) })
    }
}

/// # Safety
/// `make` calls a slot of the contract that fills in a listener.
unsafe fn made_listener(
    make: impl FnOnce(*mut sabir_listener, *mut sabir_error) -> i64,
) -> Result<link::Listener> {
    let mut raw = sabir_listener { object: ptr::null_mut(), vtable: ptr::null() };
    let mut detail = error::empty();
    let status = make(&mut raw, &mut detail);
    // SAFETY: the caller promises it; after a success the listener is ours.
    unsafe {
        checked(status, detail)?;
        link::Listener::from_abi(raw)
    }
}

/// # Safety
/// `make` calls a slot of the contract that fills in a link.
unsafe fn made_link(make: impl FnOnce(*mut sabir_link, *mut sabir_error) -> i64) -> Result<link::Link> {
    let mut raw = sabir_link { object: ptr::null_mut(), vtable: ptr::null() };
    let mut detail = error::empty();
    let status = make(&mut raw, &mut detail);
    // SAFETY: the caller promises it; after a success the link is ours.
    unsafe {
        checked(status, detail)?;
        link::Link::from_abi(raw)
    }
}

/// Whether an error of `poll_accept` leaves the listener usable.
pub fn accepts_again(error: &Error) -> bool {
    error.code == ErrorCode::Limit
}
