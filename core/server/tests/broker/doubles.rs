// SPDX-License-Identifier: Apache-2.0
//! Plugins that do what no good one does, or what no good one can be made to do on demand.

use sabir_model::verb::{Connect, Subscribe};
use sabir_sdk::protocol::{Attributes, Deliveries, Input, Match, Now, Out, Protocol, Replies, Session};
use sabir_sdk::protocol::{SessionParams, VerbMeta};
use sabir_sdk::store::{Level, LogSummary, OpRef, Ops, Read, Record, Stats, Store};
use sabir_sdk::transport::{ChunkInfo, Link, Listener, Transport};
use sabir_sdk::{Error, ErrorCode, Host, Result, abi};
use std::io::IoSlice;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::task::{Context, Poll};

sabir_sdk::plugin! {
    pub static PLUGIN: name = "doubles", description = "for tests",
    transports = [Corked], protocols = [Letters], stores = [Brittle, Cramped], codecs = []
}

/// What a store does that gives nothing back.
macro_rules! holds_nothing {
    () => {
        fn recover(&self, _: &mut dyn FnMut(&LogSummary) -> Result<()>) -> Result<()> {
            Ok(())
        }

        fn read(&self, _: &Read, _: &mut dyn FnMut(Record) -> bool) -> Result<()> {
            Ok(())
        }

        fn scan(&self, _: &[u8], _: &[u8], _: u64, _: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<()> {
            Ok(())
        }

        fn stats(&self) -> Stats {
            Stats::default()
        }

        fn close(self) -> Result<()> {
            Ok(())
        }
    };
}

/// A store whose syncs fail from the first message on.
pub struct Brittle {
    ticket: AtomicU64,
    broken: AtomicBool,
}

impl Store for Brittle {
    const NAME: &'static str = "brittle";
    const CAPABILITIES: u64 = 0;

    fn open(_: Host, _: &str) -> Result<Self> {
        Ok(Brittle { ticket: AtomicU64::new(0), broken: AtomicBool::new(false) })
    }

    holds_nothing!();

    fn submit(&self, ops: Ops<'_>, _: Level) -> Result<u64> {
        if ops.iter().any(|op| matches!(op, OpRef::Append { .. })) {
            self.broken.store(true, Ordering::SeqCst);
        }
        Ok(self.ticket.fetch_add(1, Ordering::SeqCst) + 1)
    }

    fn sync(&self, _: u64) -> Result<u64> {
        match self.broken.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorCode::Io, "the medium is gone")),
            false => Ok(self.ticket.load(Ordering::SeqCst)),
        }
    }
}

/// A store that has no room for its fifteenth message when it is first offered, nor the two times after that.
pub struct Cramped {
    ticket: AtomicU64,
    offered: AtomicU64,
}

impl Store for Cramped {
    const NAME: &'static str = "cramped";
    const CAPABILITIES: u64 = 0;

    fn open(_: Host, _: &str) -> Result<Self> {
        Ok(Cramped { ticket: AtomicU64::new(0), offered: AtomicU64::new(0) })
    }

    holds_nothing!();

    fn submit(&self, ops: Ops<'_>, _: Level) -> Result<u64> {
        if ops.iter().any(|op| matches!(op, OpRef::Append { .. })) {
            let offered = self.offered.fetch_add(1, Ordering::SeqCst) + 1;
            if (15..18).contains(&offered) {
                return Err(Error::new(ErrorCode::Full, "no room for now"));
            }
        }
        Ok(self.ticket.fetch_add(1, Ordering::SeqCst) + 1)
    }

    fn sync(&self, _: u64) -> Result<u64> {
        Ok(self.ticket.load(Ordering::SeqCst))
    }
}

/// A protocol of single letters: `x` is repeated and ends the link, `c` logs in, `e` likewise with a client id of its own,
/// and `t` takes that over; `s` subscribes to a queue, `l` likewise but takes only what `d` asks for: two messages at
/// most, of those that are there; and `u` unsubscribes, but only once a message was delivered: before that, `u` is
/// held. Answers and messages are letters too; behind `!` stands why something was refused, behind `#` why the session
/// ends.
pub struct Letters;

#[derive(Default)]
pub struct Spelling {
    delivered: bool,
    held: bool,
}

impl Protocol for Letters {
    const NAME: &'static str = "letters";
    const CAPABILITIES: u64 = abi::SABIR_CAP_PROTOCOL_STREAM;
    type Session = Spelling;

    fn open(_: Host, _: &str) -> Result<Self> {
        Ok(Letters)
    }

    fn matches(&self, _: &[u8], _: Attributes<'_>) -> Match {
        Match::Yes
    }

    fn session(&self, _: &SessionParams<'_>, _: Now, _: &mut Out<'_>) -> Result<Spelling> {
        Ok(Spelling::default())
    }
}

impl Session for Spelling {
    fn on_bytes(&mut self, _: Now, input: Input<'_>, out: &mut Out<'_>) {
        for letter in input.bytes {
            let meta = VerbMeta { token: u64::from(*letter), confirm: true, id: 1, transaction: 0 };
            match letter {
                b'x' => {
                    out.write(b"x");
                    out.close_link();
                }
                b'c' => out.connect(meta, &Connect { protocol: "letters".to_owned(), ..Connect::default() }),
                b'e' => out.connect(meta, &alone(false)),
                b't' => out.connect(meta, &alone(true)),
                b's' => out.subscribe(meta, &subscribe()),
                b'l' => out.subscribe(meta, &Subscribe { credit: 0, link_credit: true, ..subscribe() }),
                b'd' => out.drain(meta, 2),
                b'u' if self.delivered => out.unsubscribe(meta, false),
                _ => {
                    self.held = true;
                    return;
                }
            }
            out.consume(1);
        }
    }

    fn on_replies(&mut self, _: Now, replies: Replies<'_>, out: &mut Out<'_>) -> usize {
        for reply in replies.iter() {
            out.write(&[reply.token as u8]);
            if reply.status.is_err() {
                out.write(format!("!{}", reply.text).as_bytes());
            }
        }
        replies.len()
    }

    fn on_deliveries(&mut self, _: Now, deliveries: Deliveries<'_>, out: &mut Out<'_>) -> usize {
        deliveries.iter().for_each(|_| out.write(b"m"));
        self.delivered = true;
        if std::mem::take(&mut self.held) {
            out.set_full();
        }
        deliveries.len()
    }

    fn on_close(&mut self, _: Now, reason: &str, out: &mut Out<'_>) {
        out.write(format!("#{reason}").as_bytes());
    }
}

/// A log-in with a client id that nobody else may have.
fn alone(take_over: bool) -> Connect {
    Connect {
        protocol: "letters".to_owned(),
        client_id: Some("only".to_owned()),
        exclusive_client_id: true,
        take_over,
        ..Connect::default()
    }
}

fn subscribe() -> Subscribe {
    Subscribe {
        destinations: vec![sabir_model::Destination::parse("queue://letters").unwrap()],
        selector: None,
        name: None,
        credit: 1,
        priority: 0,
        auto_accept: true,
        no_local: false,
        exclusive: false,
        browse: false,
        durable: false,
        shared: false,
        auto_delete: false,
        link_credit: false,
    }
}

/// A transport with one link, whose peer says `x`. What is written to it goes out when it is flushed, and only by the
/// third flush.
pub struct Corked;

/// What has gone out.
pub static OUT: Mutex<Vec<u8>> = Mutex::new(Vec::new());
pub static WENT_OUT: Condvar = Condvar::new();

struct OneLink(bool);

#[derive(Default)]
struct CorkedLink {
    was_read: bool,
    flushes: u32,
    buffer: Vec<u8>,
}

impl Transport for Corked {
    const NAME: &'static str = "corked";
    const CAPABILITIES: u64 = abi::SABIR_CAP_TRANSPORT_LISTEN | abi::SABIR_CAP_TRANSPORT_LOCAL_ONLY;

    fn open(_: Host, _: &str) -> Result<Self> {
        Ok(Corked)
    }

    fn listen(&self, _: &str) -> Result<Box<dyn Listener>> {
        Ok(Box::new(OneLink(true)))
    }
}

impl Listener for OneLink {
    fn local_address(&self) -> &str {
        "corked"
    }

    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<Result<Box<dyn Link>>> {
        match std::mem::take(&mut self.0) {
            true => Poll::Ready(Ok(Box::new(CorkedLink::default()))),
            false => Poll::Pending,
        }
    }
}

impl Link for CorkedLink {
    fn attributes(&self) -> &[(String, String)] {
        &[]
    }

    fn poll_read(&mut self, _: &mut Context<'_>, buf: &mut [u8], _: &mut ChunkInfo) -> Poll<Result<usize>> {
        if std::mem::replace(&mut self.was_read, true) {
            return Poll::Pending;
        }
        buf[0] = b'x';
        Poll::Ready(Ok(1))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, bufs: &[IoSlice<'_>], _: ChunkInfo) -> Poll<Result<usize>> {
        bufs.iter().for_each(|bytes| self.buffer.extend_from_slice(bytes));
        Poll::Ready(Ok(bufs.iter().map(|bytes| bytes.len()).sum()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.flushes += 1;
        if self.flushes < 3 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        OUT.lock().unwrap().append(&mut self.buffer);
        WENT_OUT.notify_all();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}
