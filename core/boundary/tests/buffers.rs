// SPDX-License-Identifier: Apache-2.0
//! What a session puts into its buffers is what the broker takes out, and nothing wrong gets through.

use bytes::Bytes;
use sabir_abi::*;
use sabir_boundary::buffers::{RUN_BYTES, SMALL_BODY_BYTES, SegmentBytes};
use sabir_boundary::out::{Out, Piece, VerbMeta};
use sabir_boundary::{BodyAssembler, Capacities, DeliveryArray, ErrorCode, OutBuffers, VerbError};
use sabir_model::delivery::DeliveryKind;
use sabir_model::message::{Apart, BodyKind, Field, Fixed, FormatError, HeadBuffer, HeadWriter};
use sabir_model::verb::{
    Attach, Bind, Connect, Declare, Delete, ExchangeKind, Outcome, Query, Request, Settle, SettleRange,
    Subscribe, Transact, Verb,
};
use sabir_model::{Delivery, Destination, Message};

fn head_bytes() -> Vec<u8> {
    let mut head = Vec::new();
    write_head(&mut head);
    head
}

fn write_head<B: HeadBuffer>(buffer: &mut B) {
    let mut writer = HeadWriter::new(buffer, &Fixed { body_kind: BodyKind::Bytes, ..Fixed::default() });
    assert!(writer.field(Field::Destination, b"queue://Q"));
    writer.finish();
}

fn publish(out: &mut Out<'_>, token: u64, body: Piece, more: bool) {
    let from = out.position();
    write_head(out);
    let head = out.arena_piece(from);
    out.publish(VerbMeta { token, confirm: true, id: 3, transaction: 9 }, head, body, more);
}

fn drain(buffers: &mut OutBuffers, input: &[u8]) -> Result<Vec<Request>, VerbError> {
    let mut requests = Vec::new();
    buffers.drain_requests(input, &mut BodyAssembler::new(1 << 20), &mut requests)?;
    Ok(requests)
}

fn message_of(request: &Request) -> &Message {
    match &request.verb {
        Verb::Publish(message) => message,
        other => panic!("{other:?} is no publish"),
    }
}

#[test]
fn small_messages_come_out_as_slices_of_one_run_and_large_bodies_alone() {
    let input: Vec<u8> = (0..20_000u32).map(|n| n as u8).collect();
    let mut buffers = OutBuffers::default();
    let mut out = buffers.out();
    publish(&mut out, 1, Piece::input(0..100), false);
    publish(&mut out, 2, Piece::input(100..100 + SMALL_BODY_BYTES), false);
    publish(&mut out, 3, Piece::input(0..50), false);
    let owned = Bytes::from(vec![9u8; 6000]);
    let address = owned.as_ptr();
    let piece = out.own(owned);
    publish(&mut out, 4, piece, false);
    let requests = drain(&mut buffers, &input).unwrap();
    assert_eq!(requests.iter().map(|request| request.token).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(requests.iter().all(|request| request.confirm && request.id == 3 && request.transaction == 9));
    let bodies: Vec<_> = requests.iter().map(|request| message_of(request).body()).collect();
    assert_eq!(bodies[0], &input[..100]);
    assert_eq!(bodies[1], &input[100..100 + SMALL_BODY_BYTES]);
    assert_eq!(bodies[2], &input[..50]);
    // Owned bodies are not copied; small messages lie behind each other in one allocation.
    assert_eq!(bodies[3].as_ptr(), address);
    let head_len = head_bytes().len();
    assert_eq!(bodies[2].as_ptr() as usize - bodies[0].as_ptr() as usize, 100 + head_len + head_len);
    buffers.reset();
    assert_eq!(message_of(&requests[3]).body(), &[9u8; 6000][..]);
}

#[test]
fn runs_of_small_messages_are_bounded_so_that_one_message_pins_little() {
    let input = vec![1u8; 4000];
    let mut buffers = OutBuffers::default();
    let mut out = buffers.out();
    for token in 0..40 {
        publish(&mut out, token, Piece::input(0..4000), false);
    }
    let requests = drain(&mut buffers, &input).unwrap();
    let addresses: Vec<_> =
        requests.iter().map(|request| message_of(request).body().as_ptr() as usize).collect();
    let size = head_bytes().len() + 4000;
    let jumps = addresses.windows(2).filter(|pair| pair[1].wrapping_sub(pair[0]) != size).count();
    assert!(jumps >= 40 * size / RUN_BYTES - 1, "{jumps} runs for {} bytes", 40 * size);
}

#[test]
fn every_verb_comes_out_as_it_was_put_in() {
    let queue = Destination::queue("Q").unwrap();
    let topic = Destination::topic("T").unwrap();
    let meta = VerbMeta { token: 5, confirm: false, id: 6, transaction: 0 };
    let mut buffers = OutBuffers::default();
    let mut out = buffers.out();
    let connect = Connect {
        user: Some("u".into()),
        password: Some(vec![0, 255]),
        client_id: Some("c".into()),
        virtual_host: None,
        protocol: "stomp/1.2".into(),
        exclusive_client_id: true,
        take_over: false,
    };
    out.connect(meta, &connect);
    let attach = Attach { destinations: vec![queue.clone(), topic.clone()], producer_name: Some("p".into()) };
    out.attach(meta, &attach);
    out.detach(meta);
    let declare = Declare {
        destination: queue.clone(),
        exchange_kind: Some(ExchangeKind::Headers),
        durable: true,
        auto_delete: false,
        exclusive: true,
        passive: false,
    };
    out.declare(meta, &declare);
    let delete =
        Delete { destination: None, subscription_name: Some("s".into()), if_empty: true, if_unused: false };
    out.delete(meta, &delete);
    let bind = Bind {
        source: topic.clone(),
        target: queue.clone(),
        key: "a.*".into(),
        selector: Some("x > 1".into()),
    };
    out.bind(meta, &bind);
    out.unbind(meta, &bind);
    let subscribe = Subscribe {
        destinations: vec![topic],
        selector: Some("y = 'z'".into()),
        name: Some("n".into()),
        credit: 100,
        priority: -7,
        auto_accept: true,
        no_local: false,
        exclusive: true,
        browse: false,
        durable: true,
        shared: false,
        auto_delete: true,
        link_credit: false,
    };
    out.subscribe(meta, &subscribe);
    out.unsubscribe(meta, true);
    out.query(meta, &Query::Explain(queue));
    out.transact(meta, Transact::Rollback);
    out.credit(meta, 77, true);
    out.drain(meta, 3);
    let settles = [
        Settle { range: SettleRange::Tags { first: 1, last: 4 }, outcome: Outcome::Accept },
        Settle { range: SettleRange::UpTo(9), outcome: Outcome::Reject { reason: "bad".into() } },
        Settle { range: SettleRange::SessionUpTo(8), outcome: Outcome::Release { delay_ms: Some(5) } },
        Settle { range: SettleRange::UpTo(2), outcome: Outcome::Release { delay_ms: None } },
        Settle { range: SettleRange::UpTo(1), outcome: Outcome::Return },
    ];
    settles.iter().for_each(|settle| out.settle(meta, settle));
    out.disconnect(meta);
    assert!(!out.overflowed());
    let requests = drain(&mut buffers, &[]).unwrap();
    assert!(requests.iter().all(|request| request.token == 5 && request.id == 6 && !request.confirm));
    let verbs: Vec<_> = requests.into_iter().map(|request| request.verb).collect();
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, rest @ ..] = &verbs[..] else { panic!("{verbs:?}") };
    assert!(matches!(a, Verb::Connect(found) if **found == connect));
    assert!(matches!(b, Verb::Attach(found) if **found == attach));
    assert!(matches!(c, Verb::Detach));
    assert!(matches!(d, Verb::Declare(found) if **found == declare));
    assert!(matches!(e, Verb::Delete(found) if **found == delete));
    assert!(matches!(f, Verb::Bind(found) if **found == bind));
    assert!(matches!(g, Verb::Unbind(found) if **found == bind));
    assert!(matches!(h, Verb::Subscribe(found) if **found == subscribe));
    assert!(matches!(i, Verb::Unsubscribe { forget: true }));
    assert!(matches!(j, Verb::Query(found) if matches!(**found, Query::Explain(_))));
    assert!(matches!(k, Verb::Transact(Transact::Rollback)));
    assert!(matches!(l, Verb::Credit { amount: 77, set: true, drain: false }));
    assert!(matches!(m, Verb::Credit { amount: 3, set: false, drain: true }));
    for (found, settle) in rest.iter().zip(&settles) {
        assert!(matches!(found, Verb::Settle(found) if found == settle), "{found:?} is not {settle:?}");
    }
    assert!(matches!(rest, [.., Verb::Disconnect]) && rest.len() == settles.len() + 1);
}

#[test]
fn an_item_that_overflows_is_taken_back_whole_and_its_owned_bytes_are_freed() {
    let mut buffers = OutBuffers::new(Capacities { verbs: 4, arena_bytes: 64, segments: 4, owned: 4 });
    let shared = Bytes::from(vec![1u8; 10]);
    let mut out = buffers.out();
    out.write(b"first");
    out.consume(3);
    let mark = out.mark();
    out.write(b" second");
    out.write_owned(shared.clone());
    out.consume(4);
    assert!(!shared.is_unique());
    out.write(&[0; 64]);
    assert!(out.overflowed());
    // Nothing is taken any more until the item is taken back: no half items.
    out.write(b"x");
    out.rollback(mark);
    assert!(!out.overflowed() && shared.is_unique());
    out.set_full();
    assert!(buffers.full());
    assert_eq!((buffers.consumed(), buffers.output(&[])), (3, b"first".to_vec()));
}

#[test]
fn every_kind_of_room_can_overflow() {
    let small = Capacities { verbs: 1, arena_bytes: 8, segments: 1, owned: 1 };
    let overflow = |fill: &dyn Fn(&mut Out<'_>)| {
        let mut buffers = OutBuffers::new(small);
        let mut out = buffers.out();
        fill(&mut out);
        assert!(!out.overflowed());
        fill(&mut out);
        out.overflowed()
    };
    assert!(overflow(&|out| out.credit(VerbMeta::default(), 1, false)));
    assert!(overflow(&|out| out.write(b"12345")));
    assert!(overflow(&|out| out.write_body(0, 0, 1)));
    assert!(overflow(&|out| {
        out.own(Bytes::from_static(b"x"));
    }));
}

#[test]
fn adjacent_writes_are_one_segment_but_never_across_heads_or_messages() {
    let mut buffers = OutBuffers::default();
    let mut out = buffers.out();
    out.write(b"ab");
    out.write(b"cd");
    out.put(b"head");
    out.write(b"ef");
    out.begin_chunk(7, 0);
    out.write(b"gh");
    out.write(b"ij");
    out.end_chunk();
    out.begin_chunk(8, 0);
    out.end_chunk();
    let segments: Vec<_> = buffers.segments().map(|segment| segment.unwrap()).collect();
    let bytes: Vec<_> = segments.iter().map(|segment| segment.bytes).collect();
    assert_eq!(
        bytes,
        [
            SegmentBytes::Here(b"abcd"),
            SegmentBytes::Here(b"ef"),
            SegmentBytes::Here(b"ghij"),
            SegmentBytes::Here(b"")
        ]
    );
    let infos: Vec<_> = segments
        .iter()
        .map(|segment| (segment.info.begin, segment.info.end, segment.info.exchange_id))
        .collect();
    assert_eq!(infos, [(false, false, 0), (false, false, 0), (true, true, 7), (true, true, 8)]);
}

#[test]
fn bodies_in_pieces_are_joined_across_calls_up_to_the_limit() {
    let mut assembler = BodyAssembler::new(10_000);
    let mut requests = Vec::new();
    let mut buffers = OutBuffers::default();
    publish(&mut buffers.out(), 1, Piece::input(0..3), true);
    buffers.drain_requests(b"abc", &mut assembler, &mut requests).unwrap();
    assert!(requests.is_empty() && assembler.is_pending());
    buffers.reset();
    buffers.out().body(Piece::input(0..2), true);
    buffers.out().body(Piece::input(2..4), false);
    buffers.drain_requests(b"defg", &mut assembler, &mut requests).unwrap();
    assert_eq!(message_of(&requests[0]).body(), b"abcdefg");
    assert_eq!((requests[0].token, assembler.pending_bytes()), (1, 0));

    buffers.reset();
    publish(&mut buffers.out(), 2, Piece::input(0..9000), true);
    buffers.out().body(Piece::input(0..2000), false);
    let error = buffers.drain_requests(&[0; 9000], &mut assembler, &mut requests);
    assert_eq!(error, Err(VerbError::TooLarge { at: 1, max: 10_000 }));
    assert_eq!(assembler.pending_bytes(), 0);
}

#[test]
fn a_long_body_is_handed_on_in_pieces_of_a_quarter_of_what_is_held_and_a_short_one_whole() {
    let mut assembler = BodyAssembler::new(10_000).in_pieces(1000);
    let mut buffers = OutBuffers::default();
    let mut requests = Vec::new();
    publish(&mut buffers.out(), 1, Piece::input(0..600), true);
    buffers.out().body(Piece::input(0..400), false);
    buffers.drain_requests(&[1; 600], &mut assembler, &mut requests).unwrap();
    assert_eq!((requests.len(), message_of(&requests[0]).body().len()), (1, 1000));
    assert_eq!(assembler.take_handed_on(), 0);

    requests.clear();
    buffers.reset();
    publish(&mut buffers.out(), 2, Piece::input(0..600), true);
    for more in [true, true, false] {
        buffers.out().body(Piece::input(0..401), more);
    }
    buffers.drain_requests(&[2; 600], &mut assembler, &mut requests).unwrap();
    let pieces: Vec<(usize, bool)> = requests.iter().filter_map(piece_of).collect();
    let (first, others) = pieces.split_first().unwrap();
    assert_eq!((*first, others.len(), others[6]), ((250, true), 7, (53, false)));
    assert!(others[..6].iter().all(|piece| *piece == (250, false)), "{others:?}");
    assert_eq!((assembler.take_handed_on(), assembler.take_handed_on()), (1803, 0));
    let last = requests.last().unwrap();
    assert_eq!((last.token, message_of(last).body_apart()), (2, Some(&Apart::Arrived(1803))));
    assert_eq!((assembler.is_pending(), assembler.pending_bytes()), (false, 0));
}

fn piece_of(request: &Request) -> Option<(usize, bool)> {
    match &request.verb {
        Verb::Piece { bytes, first } => Some((bytes.len(), *first)),
        _ => None,
    }
}

#[test]
fn a_body_may_come_before_its_message_and_is_given_up_when_another_comes() {
    let mut assembler = BodyAssembler::new(10_000).in_pieces(1000);
    let mut buffers = OutBuffers::default();
    let mut requests = Vec::new();
    let mut out = buffers.out();
    out.body_first(Piece::input(0..900));
    out.credit(VerbMeta::default(), 1, false);
    out.body(Piece::input(0..300), true);
    let from = out.position();
    out.put(&head_bytes());
    let head = out.arena_piece(from);
    out.publish_behind(VerbMeta { token: 5, ..VerbMeta::default() }, head, Piece::input(0..1));
    out.body_first(Piece::input(0..10));
    publish(&mut out, 6, Piece::input(0..2), false);
    buffers.drain_requests(&[3; 900], &mut assembler, &mut requests).unwrap();
    let pieces: Vec<(usize, bool)> = requests.iter().filter_map(piece_of).collect();
    assert_eq!(pieces, [(250, true), (250, false), (250, false), (250, false), (201, false)]);
    let published: Vec<&Request> =
        requests.iter().filter(|request| matches!(request.verb, Verb::Publish(_))).collect();
    assert_eq!(message_of(published[0]).body_apart(), Some(&Apart::Arrived(1201)));
    assert_eq!((published[1].token, message_of(published[1]).body().len()), (6, 2));
    assert!(!assembler.is_pending());

    buffers.reset();
    let mut out = buffers.out();
    out.publish_behind(VerbMeta::default(), Piece::NONE, Piece::input(0..1));
    let error = buffers.drain_requests(b"x", &mut assembler, &mut requests);
    assert_eq!(error, Err(VerbError::BodyUnexpected { at: 0 }));
}

#[test]
fn a_body_out_of_place_is_refused() {
    let mut buffers = OutBuffers::default();
    buffers.out().body(Piece::input(0..1), false);
    assert_eq!(drain(&mut buffers, b"x").unwrap_err(), VerbError::BodyUnexpected { at: 0 });
    buffers.reset();
    publish(&mut buffers.out(), 1, Piece::input(0..1), true);
    buffers.out().credit(VerbMeta::default(), 1, false);
    assert_eq!(drain(&mut buffers, b"x").unwrap_err(), VerbError::BodyExpected { at: 1 });
}

#[test]
fn pieces_outside_of_their_source_are_refused() {
    for piece in [Piece::input(0..11), Piece::input(10..12), Piece::input(usize::MAX - 1..usize::MAX)] {
        let mut buffers = OutBuffers::default();
        publish(&mut buffers.out(), 1, piece, false);
        assert_eq!(drain(&mut buffers, &[0; 10]).unwrap_err(), VerbError::Piece { at: 0 });
    }
}

/// Puts a verb in as a careless plugin would, past the safe face.
fn raw_verb(buffers: &mut OutBuffers, kind: u32, flags: u32, detail: sabir_verb_detail) {
    let out = buffers.lend();
    let verb = sabir_verb { kind, flags, token: 0, id: 0, transaction: 0, detail };
    // SAFETY: the buffers have room.
    unsafe { out.verbs.add(out.verb_count).write(verb) };
    out.verb_count += 1;
}

#[test]
fn what_this_host_does_not_know_is_refused_by_name() {
    let settle = |outcome| sabir_verb_detail {
        settle: sabir_settle {
            first: 1,
            last: 1,
            outcome,
            delay_ms: 0,
            reason: sabir_piece { source: 0, reserved: 0, offset: 0, len: 0 },
        },
    };
    let cases = [
        (99, 0, settle(1), VerbError::Kind { at: 0, kind: 99 }),
        (0, 0, settle(1), VerbError::Kind { at: 0, kind: 0 }),
        (SABIR_VERB_SETTLE, 0, settle(9), VerbError::Value { at: 0, what: "outcome", value: 9 }),
        (
            SABIR_VERB_SETTLE,
            SABIR_SETTLE_SESSION,
            settle(1),
            VerbError::Value { at: 0, what: "settle flags", value: SABIR_SETTLE_SESSION },
        ),
    ];
    for (kind, flags, detail, expected) in cases {
        let mut buffers = OutBuffers::default();
        raw_verb(&mut buffers, kind, flags, detail);
        assert_eq!(drain(&mut buffers, &[]).unwrap_err(), expected);
    }
}

#[test]
fn heads_that_are_none_are_refused() {
    let mut buffers = OutBuffers::default();
    let mut out = buffers.out();
    out.publish(VerbMeta::default(), Piece::input(0..3), Piece::NONE, false);
    let error = drain(&mut buffers, b"abc").unwrap_err();
    assert_eq!(error, VerbError::Head { at: 0, source: FormatError::Truncated });
    // A head that claims a part of the body for itself.
    let mut head = head_bytes();
    let longer = (head.len() as u32 + 2).to_le_bytes();
    head[4..8].copy_from_slice(&longer);
    let len = head.len();
    head.extend_from_slice(b"body");
    buffers.reset();
    buffers.out().publish(VerbMeta::default(), Piece::input(0..len), Piece::input(len..len + 4), false);
    assert!(matches!(drain(&mut buffers, &head), Err(VerbError::Head { at: 0, .. })));
}

#[test]
fn a_session_that_counts_wrong_is_caught_and_leaves_empty_buffers() {
    let lies: [fn(&mut sabir_out); 5] = [
        |out| out.verb_count = out.verb_capacity + 1,
        |out| out.arena_len = out.arena_capacity + 1,
        |out| out.segment_count = usize::MAX,
        |out| out.owned_count = out.owned_capacity + 1,
        |out| out.consumed = 11,
    ];
    for lie in lies {
        let mut buffers = OutBuffers::default();
        lie(buffers.lend());
        assert_eq!(buffers.check(10).unwrap_err().code, ErrorCode::Invalid);
        assert_eq!((buffers.verb_count(), buffers.consumed(), buffers.segments().count()), (0, 0, 0));
        buffers.out().write(b"ok");
        buffers.check(10).unwrap();
        assert_eq!(buffers.output(&[]), b"ok");
    }
}

fn delivery(body: &'static [u8]) -> Delivery {
    let message = Message::split(head_bytes().into(), Bytes::from_static(body)).unwrap();
    let kind = DeliveryKind::Message {
        message,
        label: Bytes::from_static(b"label"),
        redelivery_count: 2,
        redelivered: true,
        group_first: true,
        auto_accept: false,
    };
    Delivery { subscription: 4, tag: 11, kind }
}

#[test]
fn deliveries_are_read_back_with_everything_that_belongs_to_them() {
    let deliveries = [
        delivery(b"body"),
        Delivery { subscription: 5, tag: 0, kind: DeliveryKind::EndOfBrowse },
        Delivery { subscription: 6, tag: 0, kind: DeliveryKind::Cancelled { reason: "gone".into() } },
    ];
    let array = DeliveryArray::of(&deliveries);
    let lent = array.lend();
    assert_eq!(lent.len(), 3);
    let first = lent.get(0).unwrap();
    assert_eq!((first.subscription, first.tag, first.redelivery_count), (4, 11, 2));
    assert!(
        first.redelivered
            && first.group_first
            && !first.end_of_browse
            && !first.cancelled
            && !first.more
            && !first.continued
    );
    assert_eq!((first.body, first.label, first.body_total), (&b"body"[..], &b"label"[..], 4));
    assert_eq!(first.head.text(Field::Destination), Some("queue://Q"));
    let second = lent.get(1).unwrap();
    assert!(second.end_of_browse && second.head.fields().count() == 0);
    let third = lent.get(2).unwrap();
    assert!(third.cancelled && third.label == b"gone");
    assert!(lent.get(3).is_none());
}

#[test]
fn output_goes_out_in_order_whether_copied_owned_or_of_a_body() {
    let deliveries = [delivery(b"0123456789")];
    let mut buffers = OutBuffers::default();
    let mut out = buffers.out();
    out.write(b"<");
    out.write_body(0, 2, 5);
    out.write(b"|");
    out.write_owned(Bytes::from_static(b"owned"));
    out.write(b">");
    assert_eq!(buffers.output(&deliveries), b"<23456|owned>");
    for skip in 0..=13 {
        let rest = buffers.detach(&deliveries, skip).unwrap().concat();
        assert_eq!(rest, b"<23456|owned>"[skip..], "after {skip}");
    }
    let mut out = buffers.out();
    out.write_body(0, 8, 5);
    let mut slices = Vec::new();
    assert_eq!(buffers.io_slices(&deliveries, &mut slices), Err(VerbError::Segment { at: 5 }));
    assert_eq!(buffers.detach(&deliveries, 0), Err(VerbError::Segment { at: 5 }));
}
