// SPDX-License-Identifier: Apache-2.0
//! Plugins that panic, in a broker that serves others: they lose what it happened in, and nobody else notices.

use crate::{Client, PATIENCE, body, config, registry};
use sabir_sdk::protocol::{Attributes, VerbMeta};
use sabir_sdk::protocol::{Deliveries, Input, Match, Now, Out, Protocol, Replies, Session, SessionParams};
use sabir_sdk::store::{Level, LogSummary, Ops, Read as ReadRecords, Record, Stats, Store};
use sabir_sdk::transport::{ChunkInfo, HostSocket, Link, Listener, Transport};
use sabir_sdk::{Error, Host, Interest, Result, abi};
use sabir_server::config::Config;
use sabir_server::{RunningBroker, serve};
use std::io::IoSlice;
use std::net::{Shutdown, TcpListener};
use std::task::{Context, Poll, ready};

sabir_sdk::plugin! {
    static PLUGIN: name = "shaky", description = "panics where it is told to",
    transports = [Shaky], protocols = [Shaky], stores = [Shaky]
}

/// One name for a transport, a protocol and a store.
struct Shaky {
    host: Host,
}

/// What a peer sends to make a function panic.
fn trip(bytes: &[u8], letter: u8) {
    assert!(!bytes.contains(&letter), "told to");
}

impl Transport for Shaky {
    const NAME: &'static str = "shaky";
    const CAPABILITIES: u64 = abi::SABIR_CAP_TRANSPORT_LISTEN | abi::SABIR_CAP_TRANSPORT_LOCAL_ONLY;

    fn open(host: Host, _: &str) -> Result<Self> {
        Ok(Shaky { host })
    }

    fn listen(&self, _: &str) -> Result<Box<dyn Listener>> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?.to_string();
        let socket = HostSocket::new(self.host, listener.try_clone()?)?;
        Ok(Box::new(ShakyListener { host: self.host, address, listener, socket }))
    }
}

struct ShakyListener {
    host: Host,
    address: String,
    listener: TcpListener,
    socket: HostSocket,
}

impl Listener for ShakyListener {
    fn local_address(&self) -> &str {
        &self.address
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Link>>> {
        let (stream, _) = ready!(self.socket.poll_op(cx, Interest::Read, |_| self.listener.accept()))?;
        stream.set_nonblocking(true)?;
        Poll::Ready(Ok(Box::new(ShakyLink(HostSocket::new(self.host, stream)?))))
    }
}

struct ShakyLink(HostSocket);

impl Link for ShakyLink {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8], _: &mut ChunkInfo) -> Poll<Result<usize>> {
        let count = ready!(self.0.poll_recv(cx, buf))?;
        trip(&buf[..count], b'!');
        Poll::Ready(Ok(count))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        _: ChunkInfo,
    ) -> Poll<Result<usize>> {
        bufs.iter().for_each(|buf| trip(buf, b'?'));
        self.0.poll_sendv(cx, bufs).map_err(Error::from)
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(self.0.shutdown(Shutdown::Write).map_err(Error::from))
    }
}

impl Protocol for Shaky {
    const NAME: &'static str = "shaky";
    const CAPABILITIES: u64 = abi::SABIR_CAP_PROTOCOL_STREAM;
    type Session = ShakySession;

    fn open(host: Host, _: &str) -> Result<Self> {
        Ok(Shaky { host })
    }

    fn matches(&self, _: &[u8], _: Attributes<'_>) -> Match {
        Match::Yes
    }

    fn session(&self, _: &SessionParams<'_>, _: Now, _: &mut Out<'_>) -> Result<ShakySession> {
        Ok(ShakySession)
    }
}

/// Gives back what comes; `b` panics at once, `r` when the answer comes that it asks for.
struct ShakySession;

impl Session for ShakySession {
    fn on_bytes(&mut self, _: Now, input: Input<'_>, out: &mut Out<'_>) {
        trip(input.bytes, b'b');
        if input.bytes.contains(&b'r') {
            let meta = VerbMeta { token: 1, confirm: true, id: 1, transaction: 0 };
            out.connect(meta, &sabir_model::verb::Connect::default());
        }
        out.write(input.bytes);
        out.consume(input.bytes.len());
    }

    fn on_replies(&mut self, _: Now, _: Replies<'_>, _: &mut Out<'_>) -> usize {
        panic!("told to");
    }

    fn on_deliveries(&mut self, _: Now, deliveries: Deliveries<'_>, _: &mut Out<'_>) -> usize {
        deliveries.len()
    }
}

impl Store for Shaky {
    const NAME: &'static str = "shaky";
    const CAPABILITIES: u64 = 0;

    fn open(host: Host, _: &str) -> Result<Self> {
        Ok(Shaky { host })
    }

    fn recover(&self, _: &mut dyn FnMut(&LogSummary) -> Result<()>) -> Result<()> {
        Ok(())
    }

    fn submit(&self, _: Ops<'_>, _: Level) -> Result<u64> {
        panic!("told to");
    }

    fn sync(&self, ticket: u64) -> Result<u64> {
        Ok(ticket)
    }

    fn read(&self, _: &ReadRecords, _: &mut dyn FnMut(Record) -> bool) -> Result<()> {
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
}

fn start(config: Config) -> RunningBroker {
    let mut registry = registry();
    registry.add(&PLUGIN).unwrap();
    serve(config, registry).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_protocol_or_transport_that_panics_loses_its_link_and_everybody_else_is_served_on() {
    let broker = start(
        Config::from_toml(
            "listeners = [{ uri = \"tcp://127.0.0.1:0\", protocols = [\"stomp\"] },\n\
             { uri = \"shaky://x\", protocols = [\"shaky\"] }]\n\
             store.kind = \"memory\"\n[protocols.shaky]\n",
        )
        .unwrap(),
    );
    let mut witness = Client::logged_in(&broker);
    witness.send("SUBSCRIBE\nid:1\ndestination:/queue/w\nreceipt:s\n\n\0");
    witness.receipt("s");
    // Panics while reading, while writing, in on_bytes, and in on_replies.
    for (round, word) in ["!", "?", "b", "r"].into_iter().cycle().take(20).enumerate() {
        let mut shaky = Client::connect_to(&broker, 1);
        shaky.send(word);
        assert_eq!(shaky.frame(), "", "the link of {word:?} ends");
        witness.send(&format!("SEND\ndestination:/queue/w\npersistent:true\n\n{round}\0"));
        assert_eq!(body(&witness.frame()), round.to_string());
    }
    // Neither the transport nor the protocol has suffered: the panics poisoned links and sessions.
    let mut steady = Client::connect_to(&broker, 1);
    steady.send("ok\0");
    assert_eq!(steady.frame(), "ok");
    assert_eq!(broker.shutdown(PATIENCE), None);
}

#[test]
fn a_store_that_panics_has_failed_and_the_broker_confirms_nothing_and_says_why_it_ends() {
    let mut config = config("");
    config.store.kind = "shaky".to_owned();
    let broker = start(config);
    let mut client = Client::logged_in(&broker);
    client.send("SEND\ndestination:/queue/q\npersistent:true\nreceipt:never\n\none\0");
    assert!(!client.frame().starts_with("RECEIPT"), "confirmed by a store that has panicked");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let why = runtime.block_on(async { tokio::time::timeout(PATIENCE, broker.failed()).await.unwrap() });
    assert!(why.contains("the store has failed: submit panicked: told to"), "{why}");
    // What it then says is that a store whose state nobody knows cannot be closed in order.
    assert!(broker.shutdown(PATIENCE).is_some_and(|why| why.contains("the store is poisoned")));
}
