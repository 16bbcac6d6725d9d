// SPDX-License-Identifier: Apache-2.0
//! What is written is read back, in every version and encoding, with any size of the cache.

use crate::frames::{captures, detach};
use bytes::Bytes;
use proptest::prelude::*;
use sabir_protocol_openwire::codec::{
    BrokerId, Command, ConnectionId, ConsumerId, DataStructure, Decoder, Destination, DestinationKind,
    Encoder, ExceptionResponse, LocalTransactionId, Message, MessageAck, MessageDispatch, MessageId,
    MessageKind, ObjectId, Options, ProducerId, RemoveInfo, StackFrame, Throwable, TransactionId,
    XaTransactionId,
};
use std::sync::{Arc, LazyLock};

/// All commands of the newest version, as the real client wrote them.
static COMMANDS: LazyLock<Vec<Command>> = LazyLock::new(|| {
    let captures = captures();
    let capture = captures.iter().find(|capture| capture.name.ends_with("-v12.frames")).unwrap();
    let connection = &capture.connections[0];
    let mut decoder = Decoder::new(connection.options);
    let read = connection.frames.iter().map(|golden| {
        let frame = golden.frame.slice(4..);
        let mut command = decoder.decode(&frame).unwrap();
        detach(&mut command, &frame);
        command
    });
    read.collect()
});

fn options(newest: bool) -> BoxedStrategy<Options> {
    let versions = if newest { 10..=12u8 } else { 1..=12 };
    let caches = prop::sample::select(vec![0, 1, 15, 16, 17, 40, 1024, 32_767]);
    (versions, any::<bool>(), caches, any::<bool>())
        .prop_map(|(version, tight, cache, stack_trace)| Options {
            version,
            tight,
            cache,
            stack_trace,
            max_frame: 1 << 20,
            ..Options::initial()
        })
        .boxed()
}

fn texts() -> BoxedStrategy<Option<Box<str>>> {
    prop::option::of(prop_oneof!["[ -~]{0,40}", any::<String>()].prop_map(Into::into)).boxed()
}

fn connections() -> BoxedStrategy<Box<str>> {
    prop::sample::select(vec!["ID:a-1", "ID:b-2", "gr\u{fc}n", ""]).prop_map(Into::into).boxed()
}

fn longs() -> BoxedStrategy<i64> {
    prop_oneof![any::<i64>(), -1..3i64, 0xfffe..0x10002i64, 0xffff_fffe..0x1_0000_0002i64].boxed()
}

fn producers() -> BoxedStrategy<Option<Arc<ProducerId>>> {
    let id = (connections(), longs(), -1..3i64);
    prop::option::of(id.prop_map(|(connection_id, value, session_id)| {
        Arc::new(ProducerId { connection_id, value, session_id })
    }))
    .boxed()
}

fn consumers() -> BoxedStrategy<Option<Arc<ConsumerId>>> {
    let id = (connections(), 0..3i64, 0..9i64);
    prop::option::of(id.prop_map(|(connection_id, session_id, value)| {
        Arc::new(ConsumerId { connection_id, session_id, value })
    }))
    .boxed()
}

fn destinations() -> BoxedStrategy<Option<Arc<Destination>>> {
    use DestinationKind::{Queue, TempQueue, TempTopic, Topic};
    let kinds = prop::sample::select(vec![Queue, Topic, TempQueue, TempTopic]);
    prop::option::of(
        (kinds, "[A-Za-z.>*,\u{e9}]{0,20}").prop_map(|(kind, name)| Arc::new(Destination::new(kind, &name))),
    )
    .boxed()
}

fn transactions() -> BoxedStrategy<Option<Arc<TransactionId>>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..64).prop_map(Box::<[u8]>::from);
    let local = (longs(), prop::option::of(connections())).prop_map(|(value, connection)| {
        let connection_id = connection.map(|value| Arc::new(ConnectionId { value }));
        TransactionId::Local(LocalTransactionId { value, connection_id })
    });
    let xa =
        (any::<i32>(), bytes(), bytes()).prop_map(|(format_id, global_transaction_id, branch_qualifier)| {
            TransactionId::Xa(XaTransactionId { format_id, global_transaction_id, branch_qualifier })
        });
    prop::option::of(prop_oneof![local, xa].prop_map(Arc::new)).boxed()
}

fn message_ids() -> BoxedStrategy<Option<MessageId>> {
    let id = (texts(), producers(), longs(), longs());
    prop::option::of(id.prop_map(|(text_view, producer_id, producer_sequence_id, broker_sequence_id)| {
        MessageId { text_view, producer_id, producer_sequence_id, broker_sequence_id }
    }))
    .boxed()
}

fn throwables() -> BoxedStrategy<Option<Box<Throwable>>> {
    let frame = (texts(), texts(), texts(), any::<i32>())
        .prop_map(|(class, method, file, line)| StackFrame { class, method, file, line });
    let one = (texts(), texts(), prop::collection::vec(frame, 0..4)).prop_map(|(class, message, stack)| {
        Throwable { class: class.unwrap_or_default(), message, stack, cause: None }
    });
    prop::collection::vec(one, 0..5)
        .prop_map(|chain| {
            chain.into_iter().fold(None, |cause, throwable| Some(Box::new(Throwable { cause, ..throwable })))
        })
        .boxed()
}

fn messages() -> BoxedStrategy<Message> {
    use MessageKind::{Bytes as Binary, Map, Object, Plain, Stream, Text};
    let blob = || prop::option::of(prop::collection::vec(any::<u8>(), 0..3000).prop_map(Into::into));
    let brokers = || {
        prop::option::of(prop::collection::vec(
            connections().prop_map(|value| Arc::new(BrokerId { value })),
            0..4,
        ))
    };
    let kinds = prop::sample::select(vec![Plain, Binary, Map, Object, Stream, Text]);
    let what = (kinds, blob(), blob(), any::<bool>(), texts(), texts(), texts(), texts());
    let ids = (
        producers(),
        destinations(),
        transactions(),
        destinations(),
        message_ids(),
        transactions(),
        consumers(),
    );
    let rest = (destinations(), brokers(), brokers(), any::<[bool; 5]>(), any::<[i32; 4]>(), any::<i8>());
    let times = (longs(), longs(), longs(), longs(), longs());
    (what, ids, rest, times)
        .prop_map(|(what, ids, rest, times)| Message {
            kind: what.0,
            content: what.1,
            marshalled_properties: what.2,
            compressed: what.3,
            group_id: what.4,
            correlation_id: what.5,
            message_type: what.6,
            user_id: what.7,
            producer_id: ids.0,
            destination: ids.1,
            transaction_id: ids.2,
            original_destination: ids.3,
            message_id: ids.4,
            original_transaction_id: ids.5,
            target_consumer_id: ids.6,
            reply_to: rest.0,
            broker_path: rest.1,
            cluster: rest.2,
            response_required: rest.3[0],
            persistent: rest.3[1],
            received_by_df_bridge: rest.3[2],
            droppable: rest.3[3],
            jmsx_group_first_for_consumer: rest.3[4],
            command_id: rest.4[0],
            group_sequence: rest.4[1],
            redelivery_counter: rest.4[2],
            priority: rest.5,
            expiration: times.0,
            timestamp: times.1,
            arrival: times.2,
            broker_in_time: times.3,
            broker_out_time: times.4,
            ..Message::default()
        })
        .boxed()
}

fn acks() -> BoxedStrategy<MessageAck> {
    let ids = (destinations(), transactions(), consumers(), message_ids(), message_ids());
    (ids, any::<u8>(), any::<i32>(), throwables())
        .prop_map(|(ids, ack_type, message_count, poison_cause)| MessageAck {
            destination: ids.0,
            transaction_id: ids.1,
            consumer_id: ids.2,
            first_message_id: ids.3,
            last_message_id: ids.4,
            ack_type,
            message_count,
            poison_cause,
            ..MessageAck::default()
        })
        .boxed()
}

fn commands() -> BoxedStrategy<Command> {
    let message = messages().prop_map(|message| Command::Message(Box::new(message)));
    let dispatch =
        (messages(), consumers(), destinations()).prop_map(|(message, consumer_id, destination)| {
            let message = Some(Box::new(message));
            MessageDispatch { message, consumer_id, destination, ..MessageDispatch::default() }.into()
        });
    let advisory = (messages(), acks()).prop_map(|(message, ack)| {
        let data_structure = Some(DataStructure::from(Command::from(ack)));
        Command::Message(Box::new(Message { data_structure, ..message }))
    });
    let exception = throwables()
        .prop_map(|exception| ExceptionResponse { exception, ..ExceptionResponse::default() }.into());
    let removal = (consumers(), longs()).prop_map(|(consumer, last_delivered_sequence_id)| {
        let object_id = consumer.map(ObjectId::Consumer);
        RemoveInfo { object_id, last_delivered_sequence_id, ..RemoveInfo::default() }.into()
    });
    prop_oneof![message, dispatch, advisory, acks().prop_map(Command::from), exception, removal].boxed()
}

/// A stack is not told to peers that do not want it.
fn without_stacks(command: &Command) -> Command {
    let strip = |throwable: &mut Option<Box<Throwable>>| {
        if let Some(throwable) = throwable {
            (throwable.stack, throwable.cause) = (Vec::new(), None);
        }
    };
    let mut command = command.clone();
    match &mut command {
        Command::ExceptionResponse(response) => strip(&mut response.exception),
        Command::MessageAck(ack) => strip(&mut ack.poison_cause),
        Command::Message(message) => {
            if let Some(DataStructure::Command(inner)) = &mut message.data_structure {
                **inner = without_stacks(inner);
            }
        }
        _ => {}
    }
    command
}

/// One side's encoder and the other's decoder.
struct Pair {
    encoder: Encoder,
    decoder: Decoder,
}

impl Pair {
    fn new(options: Options) -> Pair {
        Pair { encoder: Encoder::new(options), decoder: Decoder::new(options) }
    }

    fn pass(&mut self, command: &Command) -> Result<(Command, Bytes), sabir_protocol_openwire::codec::Error> {
        let mut out = Vec::new();
        self.encoder.encode(command, &mut out)?;
        let frame = Bytes::from(out);
        let frame = frame.slice(4..);
        let mut read = self.decoder.decode(&frame)?;
        detach(&mut read, &frame);
        Ok((read, frame))
    }
}

proptest! {
    #[test]
    fn commands_are_read_as_they_were_written(
        options in options(true),
        commands in prop::collection::vec(commands(), 1..12),
    ) {
        let mut pair = Pair::new(options);
        for command in &commands {
            let expected = if options.stack_trace { command.clone() } else { without_stacks(command) };
            prop_assert_eq!(pair.pass(command).unwrap().0, expected);
        }
    }

    /// An older version drops what it does not have; what is left stays, and the frames are the same again.
    #[test]
    fn every_version_keeps_what_it_has(
        options in options(false),
        chosen in prop::collection::vec(any::<prop::sample::Index>(), 1..30),
    ) {
        let (mut first, mut second) = (Pair::new(options), Pair::new(options));
        for index in chosen {
            let command = index.get(&COMMANDS);
            let Ok((once, frame)) = first.pass(command) else {
                // This version does not have the command. The cache of the other side is then written anew as well.
                (first, second) = (Pair::new(options), Pair::new(options));
                continue;
            };
            let (twice, again) = second.pass(&once).unwrap();
            prop_assert_eq!(&twice, &once);
            prop_assert_eq!(again, frame);
        }
    }
}
