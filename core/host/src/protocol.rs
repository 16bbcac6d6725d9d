// SPDX-License-Identifier: Apache-2.0
//! Protocols of plugins, and their sessions.

use crate::transport::{checked, open_instance};
use sabir_abi::*;
use sabir_boundary::slices::{self, AttributeArray};
use sabir_boundary::{
    ChunkInfo, DeliveryArray, Error, ErrorCode, Flow, Framing, Match, OutBuffers, ReplyArray, Result, error,
};
use sabir_model::verb::Reply;
use sabir_model::{Delivery, Now};
use std::ffi::c_void;
use std::fmt;
use std::ptr;
use std::sync::Arc;

/// An instance of a protocol. Cheap to clone; closed when the last clone and the last session are gone.
#[derive(Clone, Debug)]
pub struct Protocol(Arc<Instance>);

#[derive(Debug)]
struct Instance {
    table: &'static sabir_protocol_vtable,
    object: *mut c_void,
    name: String,
    capabilities: u64,
}

// SAFETY: the contract lets any thread call a protocol.
unsafe impl Send for Instance {}
// SAFETY: as above, at any time.
unsafe impl Sync for Instance {}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(close) = self.table.close {
            // SAFETY: the object is ours, its sessions are gone (they hold this), and this is the last call.
            unsafe { close(self.object) }
        }
    }
}

/// What a session is told when it is opened.
#[derive(Clone, Copy, Debug)]
pub struct SessionParams<'a> {
    /// Unique while the broker runs.
    pub session_id: u64,
    /// A text that no other connection to any broker has had or will have: at most 64 bytes of `[A-Za-z0-9-]`.
    pub connection_id: &'a str,
    /// Name and version of the broker, as `sabir/0.1.0`.
    pub broker: &'a str,
    /// Framing of the link.
    pub framing: Framing,
    /// What is known of the link.
    pub attributes: &'a [(String, String)],
    /// The longest frame head or command, in bytes, that the session may demand whole.
    pub max_head_bytes: u64,
    /// The largest message, in bytes, that will be taken.
    pub max_message_bytes: u64,
}

/// One connection as its protocol sees it.
///
/// Every call fills [`OutBuffers`], which the caller empties before the next. After an error the session is
/// unusable, and is only to be dropped.
pub struct Session {
    protocol: Protocol,
    object: *mut c_void,
    deadline_ms: Option<u64>,
    failed: bool,
    // Empty between calls; kept for their memory.
    replies: ReplyArray<'static>,
    deliveries: DeliveryArray<'static>,
}

// SAFETY: the contract lets any thread call a session, as long as calls do not overlap.
unsafe impl Send for Session {}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("protocol", &self.protocol.name()).finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(session_drop) = self.protocol.0.table.session_drop {
            // SAFETY: the session is ours, and this is the last call.
            unsafe { session_drop(self.object) }
        }
    }
}

fn raw_now(now: Now) -> sabir_now {
    sabir_now { monotonic_ms: now.monotonic_ms, unix_ms: now.unix_ms }
}

impl Protocol {
    pub(crate) fn open(
        table: &'static sabir_protocol_vtable,
        name: &str,
        capabilities: u64,
        config: &str,
    ) -> Result<Self> {
        // SAFETY: the table was checked when the plugin was loaded.
        let object = unsafe { open_instance(table.open, config) }?;
        Ok(Protocol(Arc::new(Instance { table, object, name: name.to_owned(), capabilities })))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// `SABIR_CAP_PROTOCOL_*`.
    pub fn capabilities(&self) -> u64 {
        self.0.capabilities
    }

    /// Whether its sessions work on links with this framing.
    pub fn works_on(&self, framing: Framing) -> bool {
        let capability = match framing {
            Framing::Stream => SABIR_CAP_PROTOCOL_STREAM,
            Framing::Message => SABIR_CAP_PROTOCOL_MESSAGE,
            Framing::Exchange => SABIR_CAP_PROTOCOL_EXCHANGE,
        };
        self.0.capabilities & capability != 0
    }

    /// Whether a link speaks this protocol, from its first bytes. A protocol that cannot tell says no.
    pub fn matches(&self, prefix: &[u8], attributes: &[(String, String)]) -> Match {
        let Some(matches) = self.0.table.matches else { return Match::No };
        let mut array = AttributeArray::default();
        let attributes = array.fill(pairs(attributes)).to_abi();
        // SAFETY: the instance is ours; the arguments are valid during the call.
        Match::from_number(unsafe { matches(self.0.object, slices::slice(prefix), attributes) })
    }

    /// Opens a session. What it puts out at once (a greeting) is in `out`.
    pub fn session(&self, params: &SessionParams<'_>, now: Now, out: &mut OutBuffers) -> Result<Session> {
        let session_open =
            self.0.table.session_open.ok_or_else(|| Error::unsupported("opening a session"))?;
        let mut array = AttributeArray::default();
        let raw = sabir_session_params {
            struct_size: size_of::<sabir_session_params>() as u32,
            framing: params.framing.number(),
            session_id: params.session_id,
            connection_id: slices::text(params.connection_id),
            broker: slices::text(params.broker),
            attributes: array.fill(pairs(params.attributes)).to_abi(),
            max_head_bytes: params.max_head_bytes,
            max_message_bytes: params.max_message_bytes,
        };
        let mut object = ptr::null_mut();
        let mut detail = error::empty();
        out.begin(None);
        // SAFETY: the instance is ours; the arguments are valid during the call.
        let status =
            unsafe { session_open(self.0.object, &raw, raw_now(now), out.lend(), &mut object, &mut detail) };
        // SAFETY: zeroed by us, filled by the callee, read once.
        unsafe { checked(status, detail)? };
        let mut session = Session {
            protocol: self.clone(),
            object,
            deadline_ms: None,
            failed: false,
            replies: ReplyArray::default(),
            deliveries: DeliveryArray::default(),
        };
        session.settle("session_open", status, 0, out)?;
        Ok(session)
    }
}

fn pairs(attributes: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

impl Session {
    /// When the session wants its timer called, by the monotonic clock.
    pub fn deadline(&self) -> Option<u64> {
        self.deadline_ms
    }

    /// The protocol that it belongs to.
    pub fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    fn begin(&self, out: &mut OutBuffers) -> Result<&'static sabir_protocol_vtable> {
        if self.failed {
            let text = "the session is unusable since a call of it has failed";
            return Err(Error::new(ErrorCode::Closed, text));
        }
        out.begin(self.deadline_ms);
        Ok(self.protocol.0.table)
    }

    /// Takes in what a call answered and filled.
    fn settle(&mut self, what: &str, status: i64, input_len: usize, out: &mut OutBuffers) -> Result<usize> {
        let result = match status {
            0.. => out.check(input_len).map(|()| usize::try_from(status).unwrap_or(usize::MAX)),
            _ => {
                let code = ErrorCode::from_status(status);
                let text =
                    format!("the protocol {:?} failed in {what}: {}", self.protocol.name(), code.describe());
                Err(Error::new(code, text))
            }
        };
        self.deadline_ms = out.deadline();
        if result.is_err() {
            self.failed = true;
            out.reset();
        }
        result
    }

    /// Bytes have arrived: those that were not consumed before, and new ones behind them.
    pub fn on_bytes(&mut self, now: Now, bytes: &[u8], info: ChunkInfo, out: &mut OutBuffers) -> Result<()> {
        let table = self.begin(out)?;
        let on_bytes = table.on_bytes.ok_or_else(|| Error::unsupported("on_bytes"))?;
        let raw_info = info.to_abi();
        // SAFETY: the session is ours and calls do not overlap (`&mut`); the arguments are valid during the call.
        let status =
            unsafe { on_bytes(self.object, raw_now(now), slices::slice(bytes), &raw_info, out.lend()) };
        self.settle("on_bytes", status, bytes.len(), out).map(|_| ())
    }

    /// Verbs were answered. Answers how many of the replies were taken; offer the rest again.
    pub fn on_replies(&mut self, now: Now, replies: &[Reply], out: &mut OutBuffers) -> Result<usize> {
        let table = self.begin(out)?;
        let on_replies = table.on_replies.ok_or_else(|| Error::unsupported("on_replies"))?;
        let array = std::mem::take(&mut self.replies).refill(replies);
        let (first, count, stride) = array.raw();
        // SAFETY: as in `on_bytes`.
        let status = unsafe { on_replies(self.object, raw_now(now), first, count, stride, out.lend()) };
        self.replies = array.refill(&[]);
        self.taken("on_replies", status, count, out)
    }

    /// Messages for the session's subscriptions. Answers how many were taken; offer the rest again.
    pub fn on_deliveries(
        &mut self,
        now: Now,
        deliveries: &[Delivery],
        out: &mut OutBuffers,
    ) -> Result<usize> {
        let table = self.begin(out)?;
        let on_deliveries = table.on_deliveries.ok_or_else(|| Error::unsupported("on_deliveries"))?;
        let array = std::mem::take(&mut self.deliveries).refill(deliveries);
        let (first, count, stride) = array.raw();
        // SAFETY: as in `on_bytes`.
        let status = unsafe { on_deliveries(self.object, raw_now(now), first, count, stride, out.lend()) };
        self.deliveries = array.refill(&[]);
        self.taken("on_deliveries", status, count, out)
    }

    fn taken(&mut self, what: &str, status: i64, offered: usize, out: &mut OutBuffers) -> Result<usize> {
        let taken = self.settle(what, status, 0, out)?;
        if taken > offered {
            self.failed = true;
            out.reset();
            let text =
                format!("the protocol {:?} took more than it was offered in {what}", self.protocol.name());
            return Err(Error::new(ErrorCode::Invalid, text));
        }
        Ok(taken)
    }

    /// The flow has changed. `reason` is for people.
    pub fn on_flow(&mut self, now: Now, flow: Flow, reason: &str, out: &mut OutBuffers) -> Result<()> {
        let table = self.begin(out)?;
        let Some(on_flow) = table.on_flow else { return Ok(()) };
        // SAFETY: as in `on_bytes`.
        let status =
            unsafe { on_flow(self.object, raw_now(now), flow.flags(), slices::text(reason), out.lend()) };
        self.settle("on_flow", status, 0, out).map(|_| ())
    }

    /// The session's deadline has passed.
    pub fn on_timer(&mut self, now: Now, out: &mut OutBuffers) -> Result<()> {
        let table = self.begin(out)?;
        let Some(on_timer) = table.on_timer else {
            // A deadline without a function would be due for ever.
            self.deadline_ms = None;
            return Ok(());
        };
        // SAFETY: as in `on_bytes`.
        let status = unsafe { on_timer(self.object, raw_now(now), out.lend()) };
        self.settle("on_timer", status, 0, out).map(|_| ())
    }

    /// The broker ends the session and lets it say so to its peer. Drop it afterwards.
    pub fn on_close(&mut self, now: Now, reason: &str, out: &mut OutBuffers) -> Result<()> {
        let table = self.begin(out)?;
        let Some(on_close) = table.on_close else { return Ok(()) };
        // SAFETY: as in `on_bytes`.
        let status = unsafe { on_close(self.object, raw_now(now), slices::text(reason), out.lend()) };
        self.settle("on_close", status, 0, out).map(|_| ())
    }
}
