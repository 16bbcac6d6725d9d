// SPDX-License-Identifier: Apache-2.0
//! Bounds on what a peer can make us take: memory, depth, the cache, the frame itself.

use crate::counting::count;
use crate::frames::encode;
use sabir_protocol_openwire::codec::{
    BrokerId, BrokerInfo, Command, ConnectionInfo, DataArrayResponse, DataResponse, DataStructure, Decoder,
    Destination, DestinationKind, Encoder, Error, ExceptionResponse, Framed, Message, MessageKind, ObjectId,
    Options, ProducerAck, Response, StackFrame, Throwable,
};
use std::sync::Arc;

fn options(tight: bool) -> Options {
    Options { tight, cache: 1024, stack_trace: true, max_frame: 1 << 24, ..Options::initial() }
}

fn frame(command: impl Into<Command>, options: Options) -> Vec<u8> {
    encode(&mut Encoder::new(options), &command.into()).split_off(4)
}

/// Each has its own size, so that the error can tell which.
fn nested(depth: usize) -> DataResponse {
    let mut response = DataResponse::default();
    for _ in 0..depth {
        response = DataResponse { data: Some(Command::from(response).into()), ..DataResponse::default() };
    }
    response
}

#[test]
fn structures_within_structures_go_down_to_the_limit_and_no_further() {
    for tight in [false, true] {
        let options = Options { depth: 5, ..options(tight) };
        let decode = |depth| Decoder::new(options).decode(&frame(nested(depth), options));
        assert!(decode(5).is_ok());
        assert!(matches!(decode(6), Err(Error::TooDeep { limit: 5, .. })));
        // The stack of a thread is enough for the limit that holds unless another is set.
        let read = Decoder::new(self::options(tight)).decode(&frame(nested(40), options));
        assert!(matches!(read, Err(Error::TooDeep { limit: 32, .. })), "{read:?}");
    }
}

#[test]
fn brokers_within_brokers_and_causes_of_causes_do_not_exhaust_the_stack() {
    let mut broker = BrokerInfo::default();
    let mut throwable = Throwable::new("a.B", "c");
    for _ in 0..300 {
        broker = BrokerInfo { peer_broker_infos: Some(vec![broker]), ..BrokerInfo::default() };
        throwable = Throwable { cause: Some(Box::new(throwable)), ..Throwable::new("a.B", "c") };
    }
    let exception =
        ExceptionResponse { exception: Some(Box::new(throwable)), ..ExceptionResponse::default() };
    for tight in [false, true] {
        for command in [Command::from(broker.clone()), exception.clone().into()] {
            let read = Decoder::new(options(tight)).decode(&frame(command, options(tight)));
            assert!(matches!(read, Err(Error::TooDeep { limit: 32, .. })), "{read:?}");
        }
    }
}

#[test]
fn many_small_things_are_refused_before_they_are_taken() {
    let many = |len| {
        let id = DataStructure::Id(ObjectId::Broker(Arc::new(BrokerId { value: "".into() })));
        DataArrayResponse { data: Some(vec![id; len]), ..DataArrayResponse::default() }
    };
    let small = Options { budget_bytes: 200_000, ..options(true) };
    for options in [small, Options { tight: false, ..small }] {
        Decoder::new(options).decode(&frame(many(1000), options)).unwrap();
        let frame = frame(many(20_000), options);
        let mut decoder = Decoder::new(options);
        let (read, taken) = count(|| decoder.decode(&frame));
        assert!(matches!(read, Err(Error::TooLarge { limit: 100_000.., .. })), "{read:?}");
        assert!(taken.bytes <= 200_000, "{taken:?}");
    }
}

#[test]
fn an_array_may_not_announce_more_elements_than_there_are_bytes() {
    let options = options(true);
    let mut bytes =
        frame(ConnectionInfo { broker_path: Some(Vec::new()), ..ConnectionInfo::default() }, options);
    let at = bytes.len() - 2;
    assert_eq!(bytes[at..], [0, 0]);
    bytes[at..].copy_from_slice(&[0x7f, 0xff]);
    let read = Decoder::new(options).decode(&bytes);
    assert!(matches!(read, Err(Error::Truncated { what, .. }) if what.field == "broker_path"), "{read:?}");
    bytes[at..].copy_from_slice(&[0xff, 0xff]);
    let read = Decoder::new(options).decode(&bytes);
    assert!(matches!(read, Err(Error::BadLength { length: -1, .. })), "{read:?}");
}

#[test]
fn the_cache_has_no_place_beyond_what_was_agreed() {
    let options = Options { cache: 20, ..options(false) };
    let message = |index: i16, new: bool| {
        let mut bytes = vec![23, 0, 0, 0, 0, 0, u8::from(new)];
        bytes.extend_from_slice(&index.to_be_bytes());
        bytes
    };
    for (index, new) in
        [(20, true), (i16::MAX, true), (-2, true), (i16::MIN, true), (0, false), (-1, false), (20, false)]
    {
        let mut bytes = message(index, new);
        bytes.push(0);
        let read = Decoder::new(options).decode(&bytes);
        assert!(matches!(read, Err(Error::Cache { index: found, .. }) if found == index), "{index} {read:?}");
    }
    // -1 is for «do not keep it», and so is legal where something new comes.
    let mut bytes = message(-1, true);
    bytes.push(0);
    let read = Decoder::new(options).decode(&bytes);
    assert!(matches!(read, Err(Error::Truncated { what, .. }) if what.field == "destination"), "{read:?}");
}

#[test]
fn a_value_of_another_type_is_not_taken_from_the_cache() {
    let options = options(false);
    let mut decoder = Decoder::new(options);
    let destination = Some(Arc::new(Destination::new(DestinationKind::Queue, "Q")));
    let message = Message { destination, ..Message::default() };
    decoder.decode(&frame(Command::Message(Box::new(message)), options)).unwrap();
    // In the frame above the null producer went to 0, and the queue to 1.
    let bytes = [23, 0, 0, 0, 0, 0, /* producer: */ 0, 0, 1];
    let read = decoder.decode(&bytes);
    assert!(matches!(read, Err(Error::Cache { index: 1, what }) if what.field == "producer_id"), "{read:?}");
}

#[test]
fn values_in_the_cache_are_bounded_together_and_what_is_overwritten_counts_no_more() {
    let tell = |cache: u16, names: usize| {
        let options = Options { cache, cache_bytes: 100_000, ..options(true) };
        let (mut encoder, mut decoder) = (Encoder::new(options), Decoder::new(options));
        (0..names).try_for_each(|name| {
            let name = format!("{name:01000}");
            let destination = Some(Arc::new(Destination::new(DestinationKind::Topic, &name)));
            let command = Command::Message(Box::new(Message { destination, ..Message::default() }));
            decoder.decode(&encode(&mut encoder, &command)[4..]).map(drop)
        })
    };
    tell(64, 2000).unwrap();
    assert!(matches!(tell(1024, 200), Err(Error::TooLarge { limit: 100_000, .. })));
}

#[test]
fn a_frame_beyond_the_limit_is_refused_by_its_length_alone() {
    let decoder = Decoder::new(Options { max_frame: 1000, ..Options::initial() });
    assert_eq!(decoder.frame(&[0, 0, 3, 0xe8]), Ok(Framed::Need(1004)));
    for (size, expected) in [([0, 0, 3, 0xe9], 1001), ([0x7f, 0xff, 0xff, 0xff], i32::MAX as u64)] {
        let read = decoder.frame(&size);
        assert!(
            matches!(read, Err(Error::TooLarge { size, limit: 1000, .. }) if size == expected),
            "{read:?}"
        );
    }
    for size in [[0xff, 0xff, 0xff, 0xff], [0; 4], [0x80, 0, 0, 0]] {
        assert!(matches!(decoder.frame(&size), Err(Error::BadLength { .. })));
    }
}

#[test]
fn what_cannot_be_written_leaves_nothing_behind_and_the_next_frame_is_right() {
    let options = Options { max_frame: 40_000, ..options(true) };
    let (mut encoder, mut decoder) = (Encoder::new(options), Decoder::new(options));
    let message = |name: &str, content: usize, text: usize| {
        let destination = Some(Arc::new(Destination::new(DestinationKind::Queue, name)));
        let (content, user_id) = (Some(vec![0; content].into()), Some("x".repeat(text).into()));
        Command::Message(Box::new(Message { destination, content, user_id, ..Message::default() }))
    };
    for (round, (content, text)) in [(50_000, 0), (0, 32_767), (20_000, 20_000)].into_iter().enumerate() {
        let name = format!("queue-{round}");
        let mut out = vec![1];
        encoder.encode(&message(&name, content, text), &mut out).unwrap_err();
        assert_eq!(out, [1]);
        // The peer has never seen the name, so it must not come from the cache now.
        let command = message(&name, 10, 10);
        let frame = encode(&mut encoder, &command);
        let read = decoder.decode(&frame[4..]).unwrap();
        let destination = read.message().unwrap().destination.as_ref().unwrap();
        assert_eq!(*destination.physical_name, *name);
    }
}

#[test]
fn types_come_with_their_version_and_stand_where_they_may() {
    let decode =
        |version, bytes: &[u8]| Decoder::new(Options { version, ..Options::initial() }).decode(bytes);
    for code in [0, 13, 35, 40, 50, 55, 91, 93, 100, 110, 123, 0x7e, 0xff] {
        let read = decode(12, &[code, 0, 0, 0, 0, 0]);
        assert!(
            matches!(read, Err(Error::UnknownType { code: found, version: 12, .. }) if found == code),
            "{code}"
        );
    }
    for (code, since) in [(19, 3), (20, 2), (29, 3), (92, 12)] {
        let before = decode(since - 1, &[code, 0, 0, 0, 0, 0]);
        assert!(matches!(before, Err(Error::UnknownType { .. })), "{code} {before:?}");
        assert!(matches!(decode(since, &[code, 0, 0, 0, 0, 0]), Err(Error::Truncated { .. })), "{code}");
    }
    let mut encoder = Encoder::new(Options { version: 2, ..Options::initial() });
    let blob = Command::Message(Box::new(Message { kind: MessageKind::Blob, ..Message::default() }));
    for command in [blob, ProducerAck::default().into()] {
        let written = encoder.encode(&command, &mut Vec::new());
        assert!(matches!(written, Err(Error::NotInVersion { version: 2, .. })), "{written:?}");
    }
    assert!(encoder.encode(&Response::default().into(), &mut Vec::new()).is_ok());
}

#[test]
fn booleans_that_announce_more_than_the_frame_are_refused() {
    for bytes in
        [&[10, 63][..], &[10, 0xc0, 255], &[10, 0x80, 0xff, 0xff], &[10, 0x80, 0x7f], &[10, 0xc0], &[10]]
    {
        let read = Decoder::new(options(true)).decode(bytes);
        assert!(matches!(read, Err(Error::Truncated { .. })), "{bytes:?} {read:?}");
    }
    // A stream that is too short for the fields, in a frame that is long enough.
    let read = Decoder::new(options(true)).decode(&[10, 0, 0, 0, 0, 1]);
    assert!(
        matches!(read, Err(Error::Truncated { what, .. }) if what.field == "response_required"),
        "{read:?}"
    );
}

#[test]
fn the_class_of_an_exception_is_a_text_and_comes_back_as_it_was() {
    let exception =
        Throwable::new("org.springframework.context.support.ClassPathXmlApplicationContext", "http://x/");
    let response = ExceptionResponse { exception: Some(Box::new(exception.clone())), ..Default::default() };
    for tight in [false, true] {
        let options = Options { stack_trace: false, ..options(tight) };
        let read = Decoder::new(options).decode(&frame(response.clone(), options)).unwrap();
        assert_eq!(read, response.clone().into());
    }
}

/// A tight message as it stands in a field when it comes in its cached form: a type, a length and a type to skip, then
/// booleans of its own.
fn alone(priority: i8) -> Vec<u8> {
    let options = Options { tight: true, ..Options::initial() };
    let message = Message { priority, persistent: true, ..Message::default() };
    let bytes = frame(Command::Message(Box::new(message)), options);
    [&[23, 0, 0, 0, 99][..], &bytes].concat()
}

#[test]
fn what_java_could_write_as_a_structure_of_its_own_is_read() {
    let mut decoder = Decoder::new(Options { tight: true, ..Options::initial() });
    // Not required, no consumer, no destination, a message, in its cached form.
    let dispatch = [&[21, 1, 0b1_1000, 0, 0, 0, 1][..], &alone(4), &[0, 0, 0, 2]].concat();
    let Command::MessageDispatch(read) = decoder.decode(&dispatch).unwrap() else { panic!("a dispatch") };
    assert_eq!((read.command_id, read.redelivery_counter), (1, 2));
    assert_eq!(read.message.unwrap().priority, 4);
    // Required, an array, and two messages in it: after each, the booleans of the frame go on.
    let array = [&[33, 1, 0b11_1111, 0, 0, 0, 1, 0, 0, 0, 2, 0, 2][..], &alone(4), &alone(5)].concat();
    let Command::DataArrayResponse(read) = decoder.decode(&array).unwrap() else { panic!("an array") };
    let priorities = read.data.iter().flatten().map(|data| match data {
        DataStructure::Command(command) => command.message().unwrap().priority,
        other => panic!("{other:?}"),
    });
    assert_eq!(priorities.collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn texts_and_stacks_count_against_the_budget_before_they_are_taken() {
    let small = Options { budget_bytes: 100_000, ..options(true) };
    for options in [small, Options { tight: false, ..small }] {
        let decode = |lines: usize, text: usize| {
            let line = StackFrame { class: Some("x".repeat(text).into()), ..StackFrame::default() };
            let throwable = Throwable { stack: vec![line; lines], ..Throwable::new("a.B", "c") };
            let response = ExceptionResponse { exception: Some(Box::new(throwable)), ..Default::default() };
            let frame = frame(response, options);
            let mut decoder = Decoder::new(options);
            let (read, taken) = count(|| decoder.decode(&frame));
            assert!(taken.bytes <= 110_000, "{taken:?}");
            read
        };
        decode(8, 10_000).unwrap();
        decode(1000, 0).unwrap();
        for (lines, text) in [(11, 10_000), (30_000, 0)] {
            let read = decode(lines, text);
            assert!(matches!(read, Err(Error::TooLarge { limit: 100_000, .. })), "{read:?}");
        }
    }
}

#[test]
fn a_frame_beyond_the_limit_is_refused_by_whoever_hands_it_in() {
    let bytes = frame(Command::Message(Box::default()), Options::initial());
    let limit = bytes.len() as u64 - 1;
    let mut decoder = Decoder::new(Options { max_frame: limit, ..Options::initial() });
    let read = decoder.decode(&bytes);
    assert!(matches!(read, Err(Error::TooLarge { size, .. }) if size == limit + 1), "{read:?}");
    let read = decoder.decode_around(&bytes[..10], bytes.len() - 10);
    assert!(matches!(read, Err(Error::TooLarge { size, .. }) if size == limit + 1), "{read:?}");
    let mut decoder = Decoder::new(Options { max_frame: limit + 1, ..Options::initial() });
    decoder.decode(&bytes).unwrap();
}
