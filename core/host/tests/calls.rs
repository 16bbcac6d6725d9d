// SPDX-License-Identifier: Apache-2.0
//! Calls through the tables of a plugin, of every kind: what goes in comes out, and a panic in any function ends the
//! object that it happened in, with a clear error, and nothing else.

mod sample;

use ::sabir_host::{
    ChunkInfo, ErrorCode, Flow, Framing, Link, Maintenance, Match, OutBuffers, Protocol, Registry, Store,
    Transport,
};
use sabir_model::delivery::DeliveryKind;
use sabir_model::message::{Fixed, HeadWriter};
use sabir_model::store::{Batch, Level, Op, Read, Want};
use sabir_model::verb::{Answer, Reason, Refusal, Reply, Told};
use sabir_model::{Delivery, Message, Now};
use std::io::IoSlice;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.add(&sample::PLUGIN).unwrap();
    registry
}

fn transport() -> Transport {
    registry().transport("sample").unwrap().open_transport("{}").unwrap()
}

fn protocol() -> Protocol {
    registry().protocol("sample").unwrap().open_protocol("{}").unwrap()
}

fn store() -> Store {
    registry().store("sample").unwrap().open_store("{}").unwrap()
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

const NOW: Now = Now { monotonic_ms: 5, unix_ms: 6 };

fn read(link: &mut Link, buf: &mut [u8]) -> (Poll<::sabir_host::Result<usize>>, ChunkInfo) {
    let mut info = ChunkInfo::default();
    (link.poll_read(&mut cx(), buf, &mut info), info)
}

#[test]
fn a_link_carries_bytes_boundaries_and_attributes() {
    let mut listener = transport().listen("message://x").unwrap();
    assert_eq!(listener.local_address(), "message://x");
    let Poll::Ready(Ok(mut link)) = listener.poll_accept(&mut cx()) else { panic!("no link") };
    assert_eq!(link.framing(), Framing::Message);
    assert_eq!(link.attributes(), [("scheme".to_owned(), "message://x".to_owned())]);
    assert!(matches!(link.poll_ready(&mut cx()), Poll::Ready(Ok(()))));
    let mut buf = [0; 4];
    assert!(matches!(read(&mut link, &mut buf), (Poll::Pending, _)));
    let slices = [IoSlice::new(b"ab"), IoSlice::new(b"cdef")];
    assert_eq!(link.poll_write(&mut cx(), &slices, ChunkInfo::default()), Poll::Ready(Ok(6)));
    let (count, info) = read(&mut link, &mut buf);
    assert_eq!(
        (count, &buf, info.begin, info.end, info.peer_id),
        (Poll::Ready(Ok(4)), b"abcd", true, false, 5)
    );
    let (count, info) = read(&mut link, &mut buf);
    assert_eq!((count, info.end), (Poll::Ready(Ok(2)), true));
    assert_eq!(link.poll_flush(&mut cx()), Poll::Ready(Ok(())));
    assert_eq!(link.poll_shutdown(&mut cx()), Poll::Ready(Ok(())));
}

#[test]
fn a_wrapped_link_stands_on_the_inner_one_and_keeps_its_transport_alive() {
    let inner = transport().connect("inner://x").unwrap();
    let mut link = transport().wrap_link(inner, "outer://x").unwrap();
    let schemes: Vec<_> = link.attributes().into_iter().map(|(_, value)| value).collect();
    assert_eq!(schemes, ["inner://x", "outer://x"]);
    let written = link.poll_write(&mut cx(), &[IoSlice::new(b"through")], ChunkInfo::default());
    assert_eq!(written, Poll::Ready(Ok(7)));
    let mut buf = [0; 10];
    assert_eq!(read(&mut link, &mut buf).0, Poll::Ready(Ok(7)));
    let listener = transport().listen("inner://y").unwrap();
    let listener = transport().wrap_listener(listener, "outer://y").unwrap();
    assert_eq!(listener.local_address(), "outer://y+inner://y");
}

#[test]
fn a_link_that_sends_files_is_told_from_one_that_does_not_and_sends_their_bytes() {
    let path = std::env::temp_dir().join(format!("sabir-host-{}-file", std::process::id()));
    std::fs::write(&path, "0123456789").unwrap();
    let file = std::fs::File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let plain = transport().connect("sample://plain").unwrap();
    // Boundaries have no place in the call, so such links have no such function, whatever their author says.
    let message = transport().connect("sample://message-files").unwrap();
    for mut link in [plain, message] {
        assert!(!link.sends_files());
        let refused = link.poll_send_file(&mut cx(), file.as_fd(), 0, 1);
        assert!(matches!(refused, Poll::Ready(Err(error)) if error.code == ErrorCode::Unsupported));
    }
    let direct = transport().connect("sample://files").unwrap();
    let through = transport().wrap_link(transport().connect("sample://files").unwrap(), "sample://files");
    for mut link in [direct, through.unwrap()] {
        assert!(link.sends_files());
        assert_eq!(link.poll_send_file(&mut cx(), file.as_fd(), 2, 5), Poll::Ready(Ok(5)));
        let (mut buf, mut info) = ([0; 8], ChunkInfo::default());
        assert_eq!(link.poll_read(&mut cx(), &mut buf, &mut info), Poll::Ready(Ok(5)));
        assert_eq!(&buf[..5], b"23456");
        assert_eq!(link.poll_send_file(&mut cx(), file.as_fd(), 10, 5), Poll::Ready(Ok(0)));
    }
    let mut broken = transport().connect("sample://files-panic-send_file").unwrap();
    let ended = broken.poll_send_file(&mut cx(), file.as_fd(), 0, 1);
    assert!(matches!(ended, Poll::Ready(Err(error)) if error.code == ErrorCode::Panic));
}

#[test]
fn a_store_is_locked_lends_regions_until_they_are_given_back_and_copies_itself() {
    let store = Arc::new(store());
    assert_eq!(store.lock_keep().unwrap_err().code, ErrorCode::Locked);
    assert_eq!((store.lock_acquire(), store.lock_acquire()), (Ok(None), Ok(Some(42))));
    assert_eq!(store.lock_keep(), Ok(()));
    assert_eq!(store.region(3, 0).unwrap_err().code, ErrorCode::NotFound);
    let regions = [store.region(3, 1).unwrap(), store.region(4, 2).unwrap()];
    assert_eq!((regions[1].offset(), regions[1].len_bytes()), (2, 4));
    let mut bytes = [0; 3];
    let file = std::fs::File::from(regions[0].as_fd().try_clone_to_owned().unwrap());
    file.read_exact_at(&mut bytes, regions[0].offset()).unwrap();
    assert_eq!(&bytes, b"ELF");
    assert_eq!(sample::PINNED.load(Ordering::SeqCst), 2);
    drop(regions);
    assert_eq!(sample::PINNED.load(Ordering::SeqCst), 0);
    let refused = store.backup("/some/where").unwrap_err();
    assert_eq!((refused.code, refused.message.as_str()), (ErrorCode::Full, "no room at /some/where"));
    // A panic in any of them poisons the store, as everywhere.
    assert_eq!(store.lock_acquire().unwrap_err().code, ErrorCode::Panic);
    assert_eq!(store.region(3, 1).unwrap_err().code, ErrorCode::Panic);
    assert_eq!(store.backup("x").unwrap_err().code, ErrorCode::Panic);
}

#[test]
fn errors_cross_with_code_text_and_whether_to_try_again() {
    let error = registry().transport("sample").unwrap().open_transport("refuse").unwrap_err();
    assert_eq!(
        (error.code, error.retryable, error.message.as_str()),
        (ErrorCode::Config, true, "refused, as told")
    );
    let mut link = transport().connect("fail-read").unwrap();
    let (Poll::Ready(Err(error)), _) = read(&mut link, &mut [0; 4]) else { panic!("no error") };
    assert_eq!((error.code, error.retryable, error.message.as_str()), (ErrorCode::Timeout, true, "too late"));
    let error = registry().transport("sample").unwrap().open_store("{}").unwrap_err();
    assert_eq!(error.message, "opening the transport \"sample\" as a store is not supported");
}

#[test]
fn a_panic_in_a_transport_ends_what_it_happened_in_and_nothing_else() {
    let error = registry().transport("sample").unwrap().open_transport("panic-open").unwrap_err();
    assert_eq!(error.code, ErrorCode::Panic);
    assert!(error.message.contains("told to panic in open"), "{error}");

    let mut link = transport().connect("panic-read").unwrap();
    for _ in 0..2 {
        let (Poll::Ready(Err(error)), _) = read(&mut link, &mut [0; 4]) else { panic!("no error") };
        assert_eq!(error.code, ErrorCode::Panic);
    }
    // The link is poisoned as a whole, and dropping it is harmless.
    let write = link.poll_write(&mut cx(), &[IoSlice::new(b"x")], ChunkInfo::default());
    assert!(matches!(write, Poll::Ready(Err(error)) if error.code == ErrorCode::Panic));
    drop(link);

    let mut listener = transport().listen("panic-accept").unwrap();
    assert!(
        matches!(listener.poll_accept(&mut cx()), Poll::Ready(Err(error)) if error.code == ErrorCode::Panic)
    );
    let broken = transport();
    assert_eq!(broken.listen("panic-listen").unwrap_err().code, ErrorCode::Panic);
    assert_eq!(broken.listen("x://fine").unwrap_err().code, ErrorCode::Panic);
    let whole = transport();
    let inner = whole.connect("x://inner").unwrap();
    assert_eq!(whole.wrap_link(inner, "panic-wrap").unwrap_err().code, ErrorCode::Panic);
}

#[test]
fn a_protocol_tells_its_links_from_others() {
    let protocol = protocol();
    let echo = [("path".to_owned(), "/echo".to_owned())];
    assert_eq!(protocol.matches(b"", &echo), Match::NeedMore);
    assert_eq!(protocol.matches(b"ex", &echo), Match::Yes);
    assert_eq!(protocol.matches(b"ex", &[]), Match::No);
    assert_eq!(protocol.matches(b"panic-matches", &echo), Match::No);
    assert!(protocol.works_on(Framing::Stream) && !protocol.works_on(Framing::Exchange));
}

#[test]
fn a_session_turns_bytes_replies_and_deliveries_into_output() {
    let mut out = OutBuffers::default();
    let mut session = sample::session(&protocol(), &mut out).unwrap();
    assert_eq!(out.output(&[]), b"hello c-1");
    out.reset();
    session.on_bytes(NOW, b"bytes deadline", ChunkInfo::default(), &mut out).unwrap();
    assert_eq!(
        (out.output(&[]), out.consumed(), session.deadline()),
        (b"bytes deadline".to_vec(), 14, Some(1234))
    );
    out.reset();
    let replies = [
        Reply { token: 1, answer: Answer::Done },
        Reply { token: 2, answer: Answer::Told(Box::new(Told { text: "name".into(), fields: vec![] })) },
        Reply {
            token: 3,
            answer: Answer::Refused(Box::new(Refusal {
                reason: Reason::Full,
                text: "why".into(),
                fatal: true,
            })),
        },
    ];
    assert_eq!(session.on_replies(NOW, &replies, &mut out), Ok(3));
    assert_eq!(out.output(&[]), b"1:Ok(()): 2:Ok(()):name 3:Err((Full, true)):why ");
    out.reset();
    let deliveries = [delivery("one "), delivery("two"), delivery("not taken")];
    assert_eq!(session.on_deliveries(NOW, &deliveries, &mut out), Ok(2));
    assert_eq!(session.deadline(), Some(1234));
    out.reset();
    session.on_timer(NOW, &mut out).unwrap();
    assert_eq!(session.deadline(), None);
    session.on_flow(NOW, Flow { parked: true, read_paused: false }, "", &mut out).unwrap();
    assert_eq!(out.output(&[]), b"Flow { parked: true, read_paused: false }");
    out.reset();
    session.on_close(NOW, "bye", &mut out).unwrap();
    assert!(out.close() && out.output(&[]) == b"bye");
}

fn delivery(body: &str) -> Delivery {
    let mut record = Vec::new();
    HeadWriter::new(&mut record, &Fixed::default()).finish();
    record.extend_from_slice(body.as_bytes());
    let kind = DeliveryKind::Message {
        message: Message::joined(record.into()).unwrap(),
        label: Default::default(),
        redelivery_count: 0,
        redelivered: false,
        group_first: false,
        auto_accept: true,
    };
    Delivery { subscription: 1, tag: 1, kind }
}

#[test]
fn a_panic_or_an_overflow_in_a_session_ends_that_session_alone() {
    let protocol = protocol();
    let mut out = OutBuffers::default();
    type Call = fn(&mut ::sabir_host::Session, &mut OutBuffers) -> ::sabir_host::Result<()>;
    let calls: [(Call, ErrorCode); 7] = [
        (|s, out| s.on_bytes(NOW, b"panic-on_bytes", ChunkInfo::default(), out), ErrorCode::Panic),
        (|s, out| s.on_bytes(NOW, b"overflow", ChunkInfo::default(), out), ErrorCode::Limit),
        (
            |s, out| {
                let told = Told { text: "panic-on_replies".into(), fields: vec![] };
                s.on_replies(NOW, &[Reply { token: 1, answer: Answer::Told(Box::new(told)) }], out)
                    .map(|_| ())
            },
            ErrorCode::Panic,
        ),
        (
            |s, out| s.on_deliveries(NOW, &[delivery("panic-on_deliveries")], out).map(|_| ()),
            ErrorCode::Panic,
        ),
        (|s, out| s.on_flow(NOW, Flow::default(), "panic-on_flow", out), ErrorCode::Panic),
        (|s, out| s.on_timer(Now { monotonic_ms: 666, unix_ms: 0 }, out), ErrorCode::Panic),
        (|s, out| s.on_close(NOW, "panic-on_close", out), ErrorCode::Panic),
    ];
    let mut bystander = sample::session(&protocol, &mut out).unwrap();
    for (index, (call, code)) in calls.into_iter().enumerate() {
        let mut session = sample::session(&protocol, &mut out).unwrap();
        out.reset();
        let error = call(&mut session, &mut out).unwrap_err();
        assert_eq!(error.code, code, "call {index}: {error}");
        assert_eq!(out.output(&[]), b"", "half an item of call {index}");
        let again = session.on_bytes(NOW, b"x", ChunkInfo::default(), &mut out).unwrap_err();
        assert_eq!(again.code, ErrorCode::Closed, "call {index}");
        drop(session);
        bystander.on_bytes(NOW, b"fine", ChunkInfo::default(), &mut out).unwrap();
        out.reset();
    }
    assert_eq!(
        sample::session_named(&protocol, "panic-session", &mut out).unwrap_err().code,
        ErrorCode::Panic
    );
}

fn put(key: &str) -> Batch {
    let op = Op::Put { key: key.to_owned().into(), value: "value".into() };
    Batch { ops: vec![op], level: Level::Durable }
}

fn read_of(log: u64, from: u64, last: u64, max_records: u64) -> Read {
    Read { log, from, last, max_records, max_bytes: 0, want: Want::All }
}

#[test]
fn a_store_that_is_not_open_is_looked_after_and_tells_how_far_it_has_come() {
    let registry = registry();
    let component = registry.store("sample").unwrap();
    let mut told = Vec::new();
    let report =
        component.maintain_store("{}", Maintenance::Repair, "{\"x\":1}", &mut |phase, done, total| {
            told.push((phase.to_owned(), done, total));
            true
        });
    assert_eq!(report, Ok("Repair {\"x\":1}".to_owned()));
    assert_eq!(told, [("looking".to_owned(), 1, 2)]);
    let stopped = component.maintain_store("{}", Maintenance::Check, "", &mut |_, _, _| false);
    assert_eq!(stopped.unwrap_err().code, ErrorCode::Closed);
    let panics = component.maintain_store("panic-maintain", Maintenance::Compact, "", &mut |_, _, _| true);
    assert_eq!(panics.unwrap_err().code, ErrorCode::Panic);
    let unwinds = component.maintain_store("{}", Maintenance::Check, "", &mut |_, _, _| panic!("here"));
    assert_eq!(
        unwinds.unwrap_err().code,
        ErrorCode::Closed,
        "a panic of the host's does not reach the plugin"
    );
}

#[test]
fn a_store_takes_batches_and_gives_back_records_keys_and_figures() {
    let store = store();
    assert_eq!(store.recover().unwrap()[0].next_seq, 9);
    assert_eq!((store.submit(&put("a")), store.submit(&put("b")), store.sync(2)), (Ok(1), Ok(2), Ok(2)));
    let full = store.submit(&put("full")).unwrap_err();
    assert_eq!((full.code, full.retryable), (ErrorCode::Full, true));
    let trim = Batch { ops: vec![Op::Trim { log: 1, before: 2 }], level: Level::Written };
    assert_eq!(store.submit(&trim).unwrap_err().code, ErrorCode::Unsupported);
    let keys: Vec<_> = store.scan(b"", b"", 0).unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["a", "b"]);
    assert_eq!(store.scan(b"b", b"", 1).unwrap()[0].1, "value");
    let records = store.read(&read_of(1, 1, 6, 0)).unwrap();
    assert_eq!(records.iter().map(|record| record.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    for record in &records {
        let len = if record.seq % 2 == 0 { 10 } else { 9000 };
        assert_eq!((record.data.to_vec(), &record.label[..]), (vec![record.seq as u8; len], &[1u8, 2][..]));
    }
    let mut before = Vec::new();
    let error = store.read_into(&read_of(1, 1, 2, 666), &mut before).unwrap_err();
    assert_eq!((error.code, before.len()), (ErrorCode::Corrupt, 2));
    assert_eq!(store.stats().unwrap().live_records, 7);
    store.close().unwrap();
}

#[test]
fn a_panic_in_a_store_poisons_it_and_closing_it_says_so() {
    let broken = store();
    assert_eq!(broken.submit(&put("panic-submit")).unwrap_err().code, ErrorCode::Panic);
    assert_eq!(broken.sync(1).unwrap_err().code, ErrorCode::Panic);
    assert_eq!(broken.close().unwrap_err().code, ErrorCode::Panic);
    let broken = store();
    assert_eq!(broken.read(&read_of(666, 1, 2, 0)).unwrap_err().code, ErrorCode::Panic);
    drop(broken);
    let broken = store();
    broken.submit(&put("panic-close")).unwrap();
    assert_eq!(broken.close().unwrap_err().code, ErrorCode::Panic);
}

#[test]
fn a_codec_shows_assembles_and_filters_and_a_visitor_may_stop_it() {
    let codec = registry().codec("sample").unwrap().open_codec().unwrap();
    assert_eq!((codec.format(), codec.inspect(b"a\nb\n").unwrap().count), (200, 3));
    let mut seen = Vec::new();
    codec
        .expand(b"a\nb\n", 100, &mut |item| {
            seen.push((item.index, item.body.map(<[u8]>::to_vec)));
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, [(0, Some(b"a".to_vec())), (1, Some(b"b".to_vec())), (2, None)]);
    let stop = ::sabir_host::Error::new(ErrorCode::Limit, "enough");
    assert_eq!(codec.keys(b"a\nb", 100, &mut |_| Err(stop.clone())), Err(stop.clone()));
    let kept = codec.filter(b"a\nb\nc", 100, &mut |item| Ok(item.index != 1)).unwrap();
    assert_eq!(kept, "a\nc");
    let item =
        ::sabir_host::codec::Item { index: 0, timestamp_ms: 1, key: None, head: b"h", body: Some(b"x") };
    assert_eq!(codec.assemble(&[item, item]).unwrap(), "x\nx");
    let mut batch = b"abc".to_vec();
    codec.assign_offsets(&mut batch, 7, 1).unwrap();
    assert_eq!(batch, b"\x07bc");
    assert_eq!(codec.inspect(b"panic-inspect").unwrap_err().code, ErrorCode::Panic);
    assert!(codec.inspect(b"fine").is_ok());
}
