// SPDX-License-Identifier: Apache-2.0
//! The whole broker in one process: linked plugins, real sockets on loopback, raw STOMP frames.

mod archive;
mod doubles;
mod letters;
mod logins;
mod metrics;
mod panics;
mod reactors;
mod reads;

use sabir_host::Registry;
use sabir_model::verb::{Reason, Refusal};
use sabir_model::{Reply, Verb};
use sabir_server::config::Config;
use sabir_server::{RunningBroker, ServeError, serve, serve_with};
use sabir_stack::{Admission, Admissions, Batch, Extension, Outbound, Outgoing, Stack};
use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Longer than anything here takes, on any machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn registry() -> Registry {
    let mut registry = Registry::new();
    for plugin in sabir_bundle::plugins() {
        registry.add(plugin).unwrap();
    }
    registry.add(&doubles::PLUGIN).unwrap();
    registry
}

fn config(more: &str) -> Config {
    let base = "listeners = [{ uri = \"tcp://127.0.0.1:0\" }]\nstore.kind = \"memory\"\n";
    Config::from_toml(&format!("{base}{more}")).unwrap()
}

fn start(more: &str) -> RunningBroker {
    serve(config(more), registry()).unwrap_or_else(|error| panic!("{error}"))
}

/// A client that writes frames as they are and reads them one by one.
struct Client {
    stream: TcpStream,
    read: Vec<u8>,
    /// So much of it has no NUL.
    searched: usize,
}

impl Client {
    fn connect(broker: &RunningBroker) -> Client {
        Client::connect_to(broker, 0)
    }

    /// A client at one of several listeners.
    fn connect_to(broker: &RunningBroker, listener: usize) -> Client {
        let stream = TcpStream::connect(&broker.local_addresses()[listener].address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { stream, read: Vec::new(), searched: 0 }
    }

    /// A client that has logged in.
    fn logged_in(broker: &RunningBroker) -> Client {
        let mut client = Client::connect(broker);
        client.send("CONNECT\naccept-version:1.2\nhost:default\n\n\0");
        let answer = client.frame();
        assert!(answer.starts_with("CONNECTED\n"), "{answer}");
        client
    }

    fn send(&mut self, frames: &str) {
        self.stream.write_all(frames.as_bytes()).unwrap();
    }

    /// The next frame without its NUL, or an empty text at the end of the link.
    fn frame(&mut self) -> String {
        loop {
            if let Some(end) = self.read[self.searched..].iter().position(|byte| *byte == 0) {
                let frame: Vec<u8> = self.read.drain(..=self.searched + end).collect();
                self.searched = 0;
                let text = String::from_utf8_lossy(&frame[..frame.len() - 1]).into_owned();
                return text.trim_start_matches('\n').to_owned();
            }
            self.searched = self.read.len();
            let mut bytes = [0; 65536];
            match self.stream.read(&mut bytes) {
                Ok(0) => return String::new(),
                Ok(count) => self.read.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return String::new(),
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    fn receipt(&mut self, id: &str) {
        let frame = self.frame();
        assert!(frame.starts_with("RECEIPT\n") && frame.contains(&format!("receipt-id:{id}")), "{frame}");
    }
}

fn body(frame: &str) -> &str {
    frame.split_once("\n\n").map_or("", |(_, body)| body)
}

#[test]
fn a_persistent_message_is_confirmed_and_delivered() {
    let broker = start("");
    let mut consumer = Client::logged_in(&broker);
    consumer.send("SUBSCRIBE\nid:1\ndestination:/queue/orders\nack:client-individual\nreceipt:s\n\n\0");
    consumer.receipt("s");
    let mut producer = Client::logged_in(&broker);
    producer.send("SEND\ndestination:/queue/orders\npersistent:true\nreceipt:p\n\nhello\0");
    producer.receipt("p");
    let message = consumer.frame();
    assert!(message.starts_with("MESSAGE\n"), "{message}");
    assert_eq!(body(&message), "hello");
    assert_eq!(broker.shutdown(PATIENCE), None);
}

#[test]
fn what_was_delivered_with_automatic_acknowledgement_does_not_come_again() {
    let broker = start("");
    let mut client = Client::logged_in(&broker);
    client.send("SUBSCRIBE\nid:1\ndestination:/queue/a\n\n\0SEND\ndestination:/queue/a\n\none\0");
    assert_eq!(body(&client.frame()), "one");
    client.send("DISCONNECT\nreceipt:d\n\n\0");
    client.receipt("d");
    let mut other = Client::logged_in(&broker);
    other.send("SEND\ndestination:/queue/a\n\ntwo\0SUBSCRIBE\nid:1\ndestination:/queue/a\n\n\0");
    assert_eq!(body(&other.frame()), "two");
}

#[test]
fn a_thousand_pipelined_messages_are_confirmed_and_delivered_in_order() {
    let broker = start("");
    let mut consumer = Client::logged_in(&broker);
    consumer.send("SUBSCRIBE\nid:1\ndestination:/queue/many\nack:auto\nreceipt:s\n\n\0");
    consumer.receipt("s");
    let mut producer = Client::logged_in(&broker);
    let frames: String = (0..1000)
        .map(|n| format!("SEND\ndestination:/queue/many\npersistent:true\nreceipt:{n}\n\nmessage {n}\0"))
        .collect();
    producer.send(&frames);
    (0..1000).for_each(|n| producer.receipt(&n.to_string()));
    (0..1000).for_each(|n| assert_eq!(body(&consumer.frame()), format!("message {n}")));
}

#[test]
fn what_is_sent_in_one_breath_with_the_log_in_is_answered_without_another_byte() {
    let broker = start("");
    let mut client = Client::connect(&broker);
    client.send(
        "CONNECT\naccept-version:1.2\nhost:default\n\n\0\
         SEND\ndestination:/queue/q\npersistent:true\nreceipt:1\n\none\0",
    );
    let answer = client.frame();
    assert!(answer.starts_with("CONNECTED\n"), "{answer}");
    client.receipt("1");
}

#[test]
fn a_large_body_passes_whole_though_the_consumer_reads_slowly() {
    let broker = start("");
    let mut client = Client::logged_in(&broker);
    let large = "x".repeat(5 << 20);
    client.send("SUBSCRIBE\nid:1\ndestination:/queue/large\n\n\0");
    client.send(&format!("SEND\ndestination:/queue/large\ncontent-length:{}\n\n{large}\0", large.len()));
    let message = client.frame();
    assert_eq!(body(&message).len(), large.len());
}

#[test]
fn a_broker_that_stops_answers_what_was_asked_and_tells_its_sessions() {
    let broker = start("");
    let mut client = Client::logged_in(&broker);
    client.send("SEND\ndestination:/queue/last\npersistent:true\nreceipt:r\n\nlast words\0");
    client.receipt("r");
    assert_eq!(broker.shutdown(PATIENCE), None);
    let farewell = client.frame();
    assert!(farewell.contains("the broker is stopping"), "{farewell}");
    assert_eq!(client.frame(), "");
}

#[test]
fn a_peer_that_does_not_log_in_is_told_so_and_left() {
    let broker = start("limits.handshake_timeout_ms = 50\n");
    let mut client = Client::connect(&broker);
    client.send("CONNECT\naccept-ver");
    let farewell = client.frame();
    assert!(farewell.contains("limits.handshake_timeout_ms"), "{farewell}");
    assert_eq!(client.frame(), "");
}

#[test]
fn a_head_without_end_is_cut_off_at_the_limit_before_the_log_in() {
    let broker = start("limits.max_unauthenticated = 4096\n");
    let mut client = Client::connect(&broker);
    client.send("CONNECT\n");
    // The broker leaves in the middle of this.
    let _ = client.stream.write_all("a".repeat(1 << 20).as_bytes());
    let mut bytes = Vec::new();
    let _ = client.stream.read_to_end(&mut bytes);
    drop(client);
    let mut other = Client::logged_in(&broker);
    other.send("SEND\ndestination:/queue/q\nreceipt:1\n\nstill here\0");
    other.receipt("1");
}

#[test]
fn a_link_too_many_is_closed_and_its_place_is_free_once_another_has_gone() {
    let broker = start("limits.max_connections = 1\n");
    let mut first = Client::logged_in(&broker);
    assert_eq!(Client::connect(&broker).frame(), "");
    first.send("DISCONNECT\nreceipt:1\n\n\0");
    first.receipt("1");
    assert_eq!(first.frame(), "");
    drop(first);
    let until = std::time::Instant::now() + PATIENCE;
    while broker.connections() > 0 {
        assert!(std::time::Instant::now() < until, "the place was not given back");
        std::thread::yield_now();
    }
    Client::logged_in(&broker);
}

#[test]
fn listening_beyond_this_machine_without_users_is_refused_unless_asked_for_in_words() {
    let open = "listeners = [{ uri = \"tcp://0.0.0.0:0\" }]\nstore.kind = \"memory\"\n";
    let refused = serve(Config::from_toml(open).unwrap(), registry()).err().expect("refused");
    assert!(matches!(refused, ServeError::Listen { .. }));
    assert!(refused.to_string().contains("security.allow_unauthenticated_remote"), "{refused}");
    let words = "[security]\nallow_unauthenticated_remote = \"yes, anybody may connect\"\n";
    let allowed = serve(Config::from_toml(&format!("{open}{words}")).unwrap(), registry());
    assert!(allowed.is_ok());
}

#[test]
fn a_layer_of_the_embedding_program_sees_and_refuses_what_it_wants() {
    let extension: Extension = Arc::new(|inner| Box::new(NoSecrets { inner }));
    let broker =
        serve_with(config(""), registry(), vec![extension]).unwrap_or_else(|error| panic!("{error}"));
    let mut client = Client::logged_in(&broker);
    client.send("SEND\ndestination:/queue/q\nreceipt:1\n\nharmless\0");
    client.receipt("1");
    client.send("SEND\ndestination:/queue/q\nreceipt:2\n\nsecret\0");
    let refused = client.frame();
    assert!(refused.starts_with("ERROR\n") && refused.contains("no secrets here"), "{refused}");
}

#[test]
fn a_refusal_does_not_overtake_the_answers_to_what_was_sent_before() {
    let extension: Extension = Arc::new(|inner| Box::new(NoSecrets { inner }));
    let broker =
        serve_with(config(""), registry(), vec![extension]).unwrap_or_else(|error| panic!("{error}"));
    let mut client = Client::logged_in(&broker);
    let send = |headers: &str, body: &str| format!("SEND\ndestination:/queue/q\n{headers}\n{body}\0");
    let frames = [
        send("persistent:true\n", "nobody waits"),
        send("persistent:true\nreceipt:1\n", "one"),
        send("persistent:true\nreceipt:2\n", "two"),
        send("", "secret"),
    ];
    client.send(&frames.concat());
    client.receipt("1");
    client.receipt("2");
    let refused = client.frame();
    assert!(refused.starts_with("ERROR\n") && refused.contains("no secrets here"), "{refused}");
    assert_eq!(client.frame(), "");
}

/// Refuses messages whose body is `secret`.
struct NoSecrets {
    inner: Box<dyn Stack>,
}

impl tower::Service<Batch> for NoSecrets {
    type Response = Admissions;
    type Error = Infallible;
    type Future = Admission;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut batch: Batch) -> Admission {
        batch.check(|_, request| match &request.verb {
            Verb::Publish(message) if message.body() == b"secret" => {
                Err(Refusal::new(Reason::Forbidden, "no secrets here"))
            }
            _ => Ok(()),
        });
        self.inner.call(batch)
    }
}

impl Outbound for NoSecrets {
    fn outbound(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Refusal> {
        let _: &[Reply] = outgoing.replies;
        self.inner.outbound(outgoing)
    }
}

#[test]
fn what_was_confirmed_is_there_after_a_restart() {
    let directory = std::env::temp_dir().join(format!("sabir-restart-{}", std::process::id()));
    let path = directory.join("journal");
    let text = format!(
        "listeners = [{{ uri = \"tcp://127.0.0.1:0\" }}]\nstore.kind = \"journal\"\nstores.journal.path = {:?}\n",
        path.display().to_string()
    );
    std::fs::create_dir_all(&directory).unwrap();
    let run =
        || serve(Config::from_toml(&text).unwrap(), registry()).unwrap_or_else(|error| panic!("{error}"));
    let broker = run();
    let mut client = Client::logged_in(&broker);
    client.send("SEND\ndestination:/queue/keep\npersistent:true\nreceipt:1\n\nkept\0");
    client.receipt("1");
    let second = serve(Config::from_toml(&text).unwrap(), registry()).err().expect("one opener at a time");
    assert!(matches!(second, ServeError::Open { kind: "store", .. }), "{second}");
    assert_eq!(broker.shutdown(PATIENCE), None);
    let broker = run();
    let mut client = Client::logged_in(&broker);
    client.send("SUBSCRIBE\nid:1\ndestination:/queue/keep\nack:auto\n\n\0");
    assert_eq!(body(&client.frame()), "kept");
    assert_eq!(broker.shutdown(PATIENCE), None);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn what_was_delivered_counts_before_what_the_peer_asks_next() {
    let listeners = "listeners = [{ uri = \"tcp://127.0.0.1:0\", protocols = [\"stomp\"] }, \
                     { uri = \"tcp://127.0.0.1:0\", protocols = [\"letters\"] }]\n\
                     store.kind = \"memory\"\n[protocols.letters]\n";
    let broker = serve(Config::from_toml(listeners).unwrap(), registry()).unwrap_or_else(|e| panic!("{e}"));
    let mut letters = Client::connect_to(&broker, 1);
    // The session holds back the last letter until a message comes, and then asks for it again.
    letters.send("csu");
    let mut stomp = Client::logged_in(&broker);
    stomp.send("SEND\ndestination:/queue/letters\nreceipt:1\n\none\0");
    stomp.receipt("1");
    let mut answers = [0; 4];
    letters.stream.read_exact(&mut answers).unwrap();
    // The message need not wait for the answer to the subscribing.
    assert_eq!(answers[3], b'u');
    answers.sort();
    assert_eq!(&answers, b"cmsu");
    stomp.send("SEND\ndestination:/queue/letters\nreceipt:2\n\ntwo\0");
    stomp.receipt("2");
    stomp.send("SUBSCRIBE\nid:1\ndestination:/queue/letters\n\n\0");
    assert_eq!(body(&stomp.frame()), "two");
}

#[test]
fn a_store_that_fails_ends_all_sessions_and_nothing_more_is_confirmed() {
    let config =
        "listeners = [{ uri = \"tcp://127.0.0.1:0\" }]\nstore.kind = \"brittle\"\n[stores.brittle]\n";
    let broker = serve(Config::from_toml(config).unwrap(), registry()).unwrap_or_else(|e| panic!("{e}"));
    let mut idle = Client::logged_in(&broker);
    let mut producer = Client::logged_in(&broker);
    assert_eq!(broker.failure(), None);
    producer.send("SEND\ndestination:/queue/q\npersistent:true\nreceipt:1\n\nlost?\0");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let reason = runtime.block_on(async { tokio::time::timeout(PATIENCE, broker.failed()).await.unwrap() });
    assert!(reason.contains("the medium is gone"), "{reason}");
    for client in [&mut producer, &mut idle] {
        let farewell = client.frame();
        assert!(farewell.starts_with("ERROR\n") && farewell.contains("the medium is gone"), "{farewell}");
        assert_eq!(client.frame(), "");
    }
    broker.shutdown(PATIENCE);
}

#[test]
fn while_the_store_is_full_consumers_go_on_and_producers_wait_until_there_is_room() {
    let broker = start("[stores.memory]\nmax_bytes = 20000\n");
    let mut producer = Client::logged_in(&broker);
    let filler = "x".repeat(1000);
    let frame =
        |n: usize| format!("SEND\ndestination:/queue/full\npersistent:true\nreceipt:{n}\n\n{n} {filler}\0");
    const FITTING: usize = 15;
    for n in 0..FITTING {
        producer.send(&frame(n));
        producer.receipt(&n.to_string());
    }
    // The store has no room for these together, and what comes behind them waits in the engine.
    let mut count = FITTING + 8;
    producer.send(&(FITTING..count).map(frame).collect::<String>());
    while broker.render_metrics().lines().all(|line| !is_positive(line, "sabir_messages_parked")) {
        producer.send(&frame(count));
        count += 1;
        // Gives the broker the time of a log-in.
        Client::logged_in(&broker);
    }
    let mut confirmed = FITTING;
    let mut consumer = Client::logged_in(&broker);
    consumer.send("SUBSCRIBE\nid:1\ndestination:/queue/full\nack:client-individual\n\n\0");
    for n in 0..count {
        let message = consumer.frame();
        assert!(body(&message).starts_with(&format!("{n} ")), "{n}: {message}");
        let ack = message.lines().find_map(|line| line.strip_prefix("ack:")).unwrap();
        consumer.send(&format!("ACK\nid:{ack}\n\n\0"));
        while confirmed <= n {
            producer.receipt(&confirmed.to_string());
            confirmed += 1;
        }
    }
    producer.send(&frame(count));
    producer.receipt(&count.to_string());
    assert_eq!(broker.shutdown(PATIENCE), None);
}

/// Whether the line gives this figure, and more than 0 of it.
fn is_positive(line: &str, name: &str) -> bool {
    line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ') && rest.trim() != "0")
}

#[test]
fn what_a_link_buffers_has_gone_out_before_the_link_is_ended() {
    let config = "listeners = [{ uri = \"corked://one\", protocols = [\"letters\"] }]\nstore.kind = \"memory\"\n\
                  [protocols.letters]\n[transports.corked]\n";
    let broker = serve(Config::from_toml(config).unwrap(), registry()).unwrap_or_else(|e| panic!("{e}"));
    let out = doubles::OUT.lock().unwrap();
    let (out, waited) = doubles::WENT_OUT.wait_timeout_while(out, PATIENCE, |out| out.is_empty()).unwrap();
    assert!(!waited.timed_out(), "nothing was flushed");
    assert_eq!(out.as_slice(), b"x");
    drop(out);
    assert_eq!(broker.shutdown(PATIENCE), None);
}

#[test]
fn metrics_tell_what_is_in_the_engine_and_in_the_store() {
    let broker = start("");
    let mut client = Client::logged_in(&broker);
    client.send("SEND\ndestination:/queue/q\npersistent:true\nreceipt:1\n\none\0");
    client.receipt("1");
    client.send("SUBSCRIBE\nid:1\ndestination:/queue/q\nack:client\nreceipt:2\n\n\0");
    let frames = [client.frame(), client.frame()];
    assert!(frames.iter().any(|frame| frame.starts_with("MESSAGE\n")), "{frames:?}");
    let text = broker.render_metrics();
    for line in [
        "sabir_connections 1",
        "sabir_sessions 1",
        "sabir_consumers 1",
        "sabir_queue_depth 1",
        "sabir_queue_unacked 1",
        "sabir_messages_received_total 1",
        "sabir_messages_delivered_total 1",
        "sabir_messages_acknowledged_total 0",
        "sabir_store_records 1",
        "# TYPE sabir_store_used_bytes gauge",
        "# TYPE sabir_storage_syncs_total counter",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
    let mut families: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let count = families.len();
    families.sort_unstable();
    families.dedup();
    assert_eq!(families.len(), count, "a family is told twice: {text}");
}

#[test]
fn a_producer_alone_goes_on_when_a_full_store_has_room_again_though_nobody_else_does_anything() {
    let config =
        "listeners = [{ uri = \"tcp://127.0.0.1:0\" }]\nstore.kind = \"cramped\"\n[stores.cramped]\n";
    let broker = serve(Config::from_toml(config).unwrap(), registry()).unwrap_or_else(|e| panic!("{e}"));
    let mut producer = Client::logged_in(&broker);
    // One by one, so that the session soon commits on its own thread, where the store refuses.
    for n in 0..20 {
        producer.send(&format!("SEND\ndestination:/queue/q\npersistent:true\nreceipt:{n}\n\n{n}\0"));
        producer.receipt(&n.to_string());
    }
    assert_eq!(broker.shutdown(PATIENCE), None);
}
