// SPDX-License-Identifier: Apache-2.0
//! A plugin with one component of each kind, which panics where it is told to. For tests.
#![allow(dead_code)]

use ::sabir_host::{OutBuffers, Session};
use sabir_sdk::codec::{Codec, Item, Summary};
use sabir_sdk::protocol::{
    Attributes, Deliveries, Flow, Input, Match, Now, Out, Protocol, Replies, SessionParams,
};
use sabir_sdk::store::{Level, LogSummary, Maintenance, Ops, Read, Record, Region, Stats, Store};
use sabir_sdk::transport::{ChunkInfo, Framing, Link, Listener, Transport};
use sabir_sdk::{Error, ErrorCode, Host, Result, abi};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

sabir_sdk::plugin! {
    /// One component of each kind.
    pub static PLUGIN: name = "sample", description = "one component of each kind",
    transports = [Wire], protocols = [Echo], stores = [Shelf], codecs = [Lines]
}

/// Panics when `text` says so: the word `panic` and the name of the function.
fn trip(text: &str, place: &str) {
    assert!(!text.contains(&format!("panic-{place}")), "told to panic in {place}");
}

/// A transport whose links give back what is written to them.
pub struct Wire {
    config: String,
}

pub struct WireListener {
    uri: String,
}

pub struct WireLink {
    uri: String,
    held: Vec<u8>,
    inner: Option<Box<dyn Link>>,
    attributes: Vec<(String, String)>,
}

impl WireLink {
    fn new(uri: &str, inner: Option<Box<dyn Link>>) -> Self {
        let mut attributes = inner.as_ref().map(|inner| inner.attributes().to_vec()).unwrap_or_default();
        attributes.push(("scheme".into(), uri.to_owned()));
        WireLink { uri: uri.to_owned(), held: Vec::new(), inner, attributes }
    }
}

impl Transport for Wire {
    const NAME: &'static str = "sample";
    const CAPABILITIES: u64 = abi::SABIR_CAP_TRANSPORT_LISTEN
        | abi::SABIR_CAP_TRANSPORT_CONNECT
        | abi::SABIR_CAP_TRANSPORT_WRAP_LISTENER
        | abi::SABIR_CAP_TRANSPORT_WRAP_LINK
        | abi::SABIR_CAP_TRANSPORT_SEND_FILE;
    const REQUIRED_HOST_CAPABILITIES: u64 = abi::SABIR_CAP_HOST_REACTOR;

    fn open(_: Host, config: &str) -> Result<Self> {
        trip(config, "open");
        if config.contains("refuse") {
            return Err(Error::new(ErrorCode::Config, "refused, as told").retryable());
        }
        Ok(Wire { config: config.to_owned() })
    }

    fn listen(&self, uri: &str) -> Result<Box<dyn Listener>> {
        trip(uri, "listen");
        Ok(Box::new(WireListener { uri: uri.to_owned() }))
    }

    fn connect(&self, uri: &str) -> Result<Box<dyn Link>> {
        trip(uri, "connect");
        Ok(Box::new(WireLink::new(uri, None)))
    }

    fn wrap_listener(&self, inner: Box<dyn Listener>, uri: &str) -> Result<Box<dyn Listener>> {
        trip(uri, "wrap");
        assert!(!inner.local_address().is_empty());
        Ok(Box::new(WireListener { uri: format!("{uri}+{}", inner.local_address()) }))
    }

    fn wrap_link(&self, inner: Box<dyn Link>, uri: &str) -> Result<Box<dyn Link>> {
        trip(uri, "wrap");
        Ok(Box::new(WireLink::new(uri, Some(inner))))
    }
}

impl Listener for WireListener {
    fn local_address(&self) -> &str {
        &self.uri
    }

    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<Result<Box<dyn Link>>> {
        trip(&self.uri, "accept");
        Poll::Ready(Ok(Box::new(WireLink::new(&self.uri, None))))
    }
}

impl Link for WireLink {
    fn framing(&self) -> Framing {
        if self.uri.contains("message") { Framing::Message } else { Framing::Stream }
    }

    fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        info: &mut ChunkInfo,
    ) -> Poll<Result<usize>> {
        trip(&self.uri, "read");
        if let Some(inner) = &mut self.inner {
            return inner.poll_read(cx, buf, info);
        }
        if self.uri.contains("fail-read") {
            return Poll::Ready(Err(Error::new(ErrorCode::Timeout, "too late").retryable()));
        }
        if self.held.is_empty() {
            return Poll::Pending;
        }
        let count = buf.len().min(self.held.len());
        buf[..count].copy_from_slice(&self.held[..count]);
        self.held.drain(..count);
        *info = ChunkInfo { begin: true, end: self.held.is_empty(), exchange_id: 0, peer_id: 5 };
        Poll::Ready(Ok(count))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        info: ChunkInfo,
    ) -> Poll<Result<usize>> {
        trip(&self.uri, "write");
        if let Some(inner) = &mut self.inner {
            return inner.poll_write(cx, bufs, info);
        }
        let before = self.held.len();
        bufs.iter().for_each(|buf| self.held.extend_from_slice(buf));
        Poll::Ready(Ok(self.held.len() - before))
    }

    fn sends_files(&self) -> bool {
        self.uri.contains("files")
    }

    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        len: usize,
    ) -> Poll<Result<usize>> {
        trip(&self.uri, "send_file");
        if let Some(inner) = &mut self.inner {
            return inner.poll_send_file(cx, file, offset, len);
        }
        let mut bytes = vec![0; len];
        let count = File::from(file.try_clone_to_owned()?).read_at(&mut bytes, offset)?;
        self.held.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A protocol that writes back what it reads, and obeys a few words.
pub struct Echo;

pub struct EchoSession {
    greeted: bool,
}

impl EchoSession {
    /// Does what the text says, if it says anything.
    fn obey(out: &mut Out<'_>, text: &str) {
        trip(text, "on_bytes");
        if text.contains("overflow") {
            loop {
                out.write(&[b'x'; 1024]);
                if out.overflowed() {
                    return;
                }
            }
        }
        if text.contains("deadline") {
            out.set_deadline(Some(1234));
        }
    }
}

impl Protocol for Echo {
    const NAME: &'static str = "sample";
    const CAPABILITIES: u64 = abi::SABIR_CAP_PROTOCOL_STREAM | abi::SABIR_CAP_PROTOCOL_DETECT;
    type Session = EchoSession;

    fn open(_: Host, config: &str) -> Result<Self> {
        trip(config, "open");
        Ok(Echo)
    }

    fn matches(&self, prefix: &[u8], attributes: Attributes<'_>) -> Match {
        trip(&String::from_utf8_lossy(prefix), "matches");
        match prefix {
            [] => Match::NeedMore,
            [b'e', ..] if attributes.get("path") == Some("/echo") => Match::Yes,
            _ => Match::No,
        }
    }

    fn session(&self, params: &SessionParams<'_>, _: Now, out: &mut Out<'_>) -> Result<EchoSession> {
        trip(params.connection_id, "session");
        out.write(b"hello ");
        out.write(params.connection_id.as_bytes());
        Ok(EchoSession { greeted: true })
    }
}

impl sabir_sdk::protocol::Session for EchoSession {
    fn on_bytes(&mut self, _: Now, input: Input<'_>, out: &mut Out<'_>) {
        EchoSession::obey(out, &String::from_utf8_lossy(input.bytes));
        out.write(input.bytes);
        out.consume(input.bytes.len());
    }

    fn on_replies(&mut self, _: Now, replies: Replies<'_>, out: &mut Out<'_>) -> usize {
        for reply in replies.iter() {
            trip(reply.text, "on_replies");
            out.write(format!("{}:{:?}:{} ", reply.token, reply.status, reply.text).as_bytes());
        }
        replies.len()
    }

    fn on_deliveries(&mut self, _: Now, deliveries: Deliveries<'_>, out: &mut Out<'_>) -> usize {
        for (index, delivery) in deliveries.iter().enumerate() {
            trip(&String::from_utf8_lossy(delivery.body), "on_deliveries");
            out.write_body(index, 0, delivery.body.len());
        }
        deliveries.len().min(2)
    }

    fn on_flow(&mut self, _: Now, flow: Flow, reason: &str, out: &mut Out<'_>) {
        trip(reason, "on_flow");
        out.write(format!("{flow:?}").as_bytes());
    }

    fn on_timer(&mut self, now: Now, out: &mut Out<'_>) {
        assert_ne!(now.monotonic_ms, 666, "told to panic in on_timer");
        out.set_deadline(None);
    }

    fn on_close(&mut self, _: Now, reason: &str, out: &mut Out<'_>) {
        trip(reason, "on_close");
        out.write(reason.as_bytes());
        out.close_link();
    }
}

impl Drop for EchoSession {
    fn drop(&mut self) {
        assert!(self.greeted, "told to panic in drop");
    }
}

/// A store of keys alone, which holds what it was told to.
pub struct Shelf {
    state: Mutex<(u64, Keys)>,
    asked: AtomicU64,
}

/// Regions of a [`Shelf`] that were not given back.
pub static PINNED: AtomicU64 = AtomicU64::new(0);

/// The file of a region, which counts itself.
struct Pinned(File);

impl AsFd for Pinned {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        PINNED.fetch_sub(1, Ordering::SeqCst);
    }
}

type Keys = BTreeMap<Vec<u8>, Vec<u8>>;

impl Store for Shelf {
    const NAME: &'static str = "sample";
    const CAPABILITIES: u64 = abi::SABIR_CAP_STORE_LOCK
        | abi::SABIR_CAP_STORE_REGION
        | abi::SABIR_CAP_STORE_BACKUP
        | abi::SABIR_CAP_STORE_MAINTAIN;

    fn open(_: Host, config: &str) -> Result<Self> {
        trip(config, "open");
        Ok(Shelf { state: Mutex::default(), asked: AtomicU64::new(0) })
    }

    fn recover(&self, visit: &mut dyn FnMut(&LogSummary) -> Result<()>) -> Result<()> {
        visit(&LogSummary { log: 3, next_seq: 9, ranges: Vec::new() })
    }

    fn submit(&self, ops: Ops<'_>, _: Level) -> Result<u64> {
        let mut state = self.state.lock().unwrap();
        for op in ops.iter() {
            match op {
                sabir_sdk::store::OpRef::Put { key, value } => {
                    trip(&String::from_utf8_lossy(key), "submit");
                    if key == b"full" {
                        return Err(Error::new(ErrorCode::Full, "no room").retryable());
                    }
                    state.1.insert(key.to_vec(), value.to_vec());
                }
                other => return Err(Error::unsupported(&format!("{other:?}"))),
            }
        }
        state.0 += 1;
        Ok(state.0)
    }

    fn sync(&self, ticket: u64) -> Result<u64> {
        Ok(ticket)
    }

    fn read(&self, what: &Read, visit: &mut dyn FnMut(Record) -> bool) -> Result<()> {
        assert_ne!(what.log, 666, "told to panic in read");
        for seq in what.from..=what.last {
            let data = vec![seq as u8; if seq % 2 == 0 { 10 } else { 9000 }].into();
            let record = Record { seq, span: 1, format: 0, total_len: 9000, label: vec![1, 2].into(), data };
            if !visit(record) {
                break;
            }
        }
        if what.max_records == 666 {
            return Err(Error::new(ErrorCode::Corrupt, "the next record is damaged"));
        }
        Ok(())
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        limit: u64,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        let limit = if limit == 0 { usize::MAX } else { limit as usize };
        let state = self.state.lock().unwrap();
        let range = state.1.iter().filter(|(key, _)| &key[..] >= from && (to.is_empty() || &key[..] < to));
        for (key, value) in range.take(limit) {
            if !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn stats(&self) -> Stats {
        Stats { live_records: 7, free_bytes: u64::MAX, ..Stats::default() }
    }

    /// At the second time.
    fn lock_acquire(&self) -> Result<Option<u64>> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        assert!(asked < 2, "told to panic in lock_acquire");
        Ok((asked == 1).then_some(42))
    }

    fn lock_keep(&self) -> Result<()> {
        match self.asked.load(Ordering::SeqCst) {
            0 => Err(Error::new(ErrorCode::Locked, "another is the writer")),
            _ => Ok(()),
        }
    }

    fn region(&self, log: u64, seq: u64) -> Result<Region> {
        assert_ne!(log, 666, "told to panic in region");
        if seq == 0 {
            return Err(Error::new(ErrorCode::NotFound, "no such entry"));
        }
        let file = File::open(std::env::current_exe()?)?;
        PINNED.fetch_add(1, Ordering::SeqCst);
        Ok(Region { file: Box::new(Pinned(file)), offset: seq, len_bytes: log })
    }

    fn backup(&self, path: &Path) -> Result<()> {
        Err(Error::new(ErrorCode::Full, format!("no room at {}", path.display())))
    }

    fn maintain(
        _: Host,
        config: &str,
        verb: Maintenance,
        options: &str,
        progress: &mut dyn FnMut(&str, u64, u64) -> bool,
    ) -> Result<String> {
        trip(config, "maintain");
        if !progress("looking", 1, 2) {
            return Err(Error::new(ErrorCode::Closed, "told to stop"));
        }
        Ok(format!("{verb:?} {options}"))
    }

    fn close(self) -> Result<()> {
        let state = self.state.into_inner().unwrap();
        assert!(!state.1.contains_key(&b"panic-close"[..]), "told to panic in close");
        Ok(())
    }
}

/// A format whose batches are lines of text, one message each.
pub struct Lines;

impl Codec for Lines {
    const NAME: &'static str = "sample";
    const FORMAT: u32 = 200;

    fn inspect(batch: &[u8]) -> Result<Summary> {
        trip(&String::from_utf8_lossy(batch), "inspect");
        let count = batch.split(|byte| *byte == b'\n').count() as u64;
        Ok(Summary { span: count, count, max_timestamp_ms: 5 })
    }

    fn expand(batch: &[u8], _: u64, visit: &mut dyn FnMut(&Item<'_>) -> Result<()>) -> Result<()> {
        for (index, line) in batch.split(|byte| *byte == b'\n').enumerate() {
            let body = (!line.is_empty()).then_some(line);
            visit(&Item { index: index as u64, timestamp_ms: 5, key: None, head: b"h", body })?;
        }
        Ok(())
    }

    fn assemble(items: &[Item<'_>]) -> Result<Vec<u8>> {
        Ok(items.iter().map(|item| item.body.unwrap_or_default()).collect::<Vec<_>>().join(&b'\n'))
    }

    fn assign_offsets(batch: &mut [u8], first_offset: u64, _: u32) -> Result<()> {
        batch[0] = first_offset as u8;
        Ok(())
    }

    fn keys(batch: &[u8], max: u64, visit: &mut dyn FnMut(&Item<'_>) -> Result<()>) -> Result<()> {
        Lines::expand(batch, max, visit)
    }

    fn filter(batch: &[u8], max: u64, keep: &mut dyn FnMut(&Item<'_>) -> Result<bool>) -> Result<Vec<u8>> {
        let mut kept: Vec<Vec<u8>> = Vec::new();
        Lines::expand(batch, max, &mut |item| {
            if keep(item)? {
                kept.push(item.body.unwrap_or_default().to_vec());
            }
            Ok(())
        })?;
        Ok(kept.join(&b'\n'))
    }
}

/// Opens a session of a protocol.
pub fn session(protocol: &sabir_host::Protocol, out: &mut OutBuffers) -> Result<Session> {
    session_named(protocol, "c-1", out)
}

/// Opens a session with this connection id.
pub fn session_named(
    protocol: &sabir_host::Protocol,
    connection_id: &str,
    out: &mut OutBuffers,
) -> Result<Session> {
    let params = sabir_host::SessionParams {
        session_id: 1,
        connection_id,
        broker: "sabir/0",
        framing: Framing::Stream,
        attributes: &[],
        max_head_bytes: 1 << 16,
        max_message_bytes: 1 << 20,
    };
    protocol.session(&params, sabir_host::runtime::now(), out)
}
