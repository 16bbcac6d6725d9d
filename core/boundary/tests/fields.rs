// SPDX-License-Identifier: Apache-2.0
//! Rare verbs and store operations survive the boundary whatever is in them; bytes that are no fields are refused.

use bytes::Bytes;
use proptest::prelude::*;
use sabir_boundary::batch::{OpRef, Ops};
use sabir_model::fields;
use sabir_model::store::{Batch, Level, Op};
use sabir_model::verb::{Attach, Bind, Connect, Declare, Delete, ExchangeKind, Query, Subscribe};
use sabir_model::{BranchStep, Destination, DestinationKind};

fn destination() -> impl Strategy<Value = Destination> {
    let kind = prop::sample::select(DestinationKind::ALL.to_vec());
    (kind, "[^\\p{Cc}]{1,40}").prop_map(|(kind, name)| Destination::new(kind, &name).unwrap())
}

fn text() -> impl Strategy<Value = Option<String>> {
    prop::option::of(".{0,40}")
}

prop_compose! {
    fn connect()(
        user in text(),
        password in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
        client_id in text(),
        virtual_host in text(),
        protocol in ".{0,20}",
        [exclusive_client_id, take_over] in any::<[bool; 2]>(),
    ) -> Connect {
        Connect { user, password, client_id, virtual_host, protocol, exclusive_client_id, take_over }
    }
}

prop_compose! {
    fn subscribe()(
        destinations in prop::collection::vec(destination(), 1..5),
        (selector, name) in (text(), text()),
        (credit, priority) in any::<(u64, i8)>(),
        flags in any::<[bool; 8]>(),
    ) -> Subscribe {
        let [auto_accept, no_local, exclusive, browse, durable, shared, auto_delete, link_credit] = flags;
        Subscribe {
            destinations, selector, name, credit, priority, auto_accept, no_local, exclusive, browse, durable, shared,
            auto_delete, link_credit,
        }
    }
}

fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes);
    // What a newer side adds is skipped.
    fields::put(&mut bytes, 60_000, b"from the future");
    bytes
}

proptest! {
    #[test]
    fn connect_is_read_back_as_it_was_written(connect in connect()) {
        prop_assert_eq!(Connect::decode(&encoded(|bytes| connect.encode(bytes))).unwrap(), connect);
    }

    #[test]
    fn subscribe_is_read_back_as_it_was_written(subscribe in subscribe()) {
        prop_assert_eq!(Subscribe::decode(&encoded(|bytes| subscribe.encode(bytes))).unwrap(), subscribe);
    }

    #[test]
    fn attach_is_read_back_as_it_was_written(
        destinations in prop::collection::vec(destination(), 0..5),
        producer_name in text(),
    ) {
        let attach = Attach { destinations, producer_name };
        prop_assert_eq!(Attach::decode(&encoded(|bytes| attach.encode(bytes))).unwrap(), attach);
    }

    #[test]
    fn declare_and_delete_are_read_back_as_they_were_written(
        destination in destination(),
        kind in prop::option::of(prop::sample::select(ExchangeKind::ALL.to_vec())),
        [durable, auto_delete, exclusive, passive] in any::<[bool; 4]>(),
        subscription_name in text(),
    ) {
        let declare = Declare {
            destination: destination.clone(), exchange_kind: kind, durable, auto_delete, exclusive, passive,
        };
        prop_assert_eq!(Declare::decode(&encoded(|bytes| declare.encode(bytes))).unwrap(), declare);
        let delete = Delete {
            destination: Some(destination), subscription_name, if_empty: durable, if_unused: passive,
        };
        prop_assert_eq!(Delete::decode(&encoded(|bytes| delete.encode(bytes))).unwrap(), delete);
    }

    #[test]
    fn bind_and_query_are_read_back_as_they_were_written(
        source in destination(), target in destination(), key in ".{0,40}", selector in text(), forget: bool,
    ) {
        let bind = Bind { source: source.clone(), target: target.clone(), key, selector };
        prop_assert_eq!(Bind::decode(&encoded(|bytes| bind.encode(bytes))).unwrap(), bind);
        for query in [Query::List(source), Query::Explain(target), Query::Prepared { all: false }] {
            prop_assert_eq!(Query::decode(&encoded(|bytes| query.encode(bytes))).unwrap(), query);
        }
        let bytes = encoded(|bytes| fields::encode_unsubscribe(bytes, forget));
        prop_assert_eq!(fields::decode_unsubscribe(&bytes), Ok(forget));
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Connect::decode(&bytes);
        let _ = Attach::decode(&bytes);
        let _ = Declare::decode(&bytes);
        let _ = Delete::decode(&bytes);
        let _ = Bind::decode(&bytes);
        let _ = Subscribe::decode(&bytes);
        let _ = Query::decode(&bytes);
        let _ = BranchStep::decode(&bytes);
        let _ = fields::decode_unsubscribe(&bytes);
    }

    #[test]
    fn a_batch_is_read_back_as_it_was_written(ops in prop::collection::vec(op(), 0..20)) {
        let batch = Batch { ops, level: Level::Durable };
        let back = Ops::with_batch(&batch, |ops| ops.iter().map(owned).collect::<Vec<_>>());
        let expected: Vec<Op> = batch.ops.iter().map(joined).collect();
        prop_assert_eq!(back, expected);
    }
}

fn bytes(most: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..most).prop_map(Bytes::from)
}

fn op() -> impl Strategy<Value = Op> {
    let numbers = any::<[u64; 4]>();
    (0..7u8, numbers, any::<u32>(), bytes(30), bytes(30), bytes(30)).prop_map(
        |(kind, [a, b, c, d], format, x, y, z)| match kind {
            0 => Op::Append { log: a, seq: b, span: c, format, label: x, record: [y, z] },
            1 => Op::Link { log: a, seq: b, from_log: c, from_seq: d, label: x },
            2 => Op::Remove { log: a, first: b, last: c },
            3 => Op::Trim { log: a, before: b },
            4 => {
                let record = (!y.is_empty()).then_some(y);
                Op::Replace { log: a, first: b, last: c, span: d, format, record }
            }
            5 => Op::Put { key: x, value: y },
            _ => Op::Delete { key: x },
        },
    )
}

/// With the record in one piece: where it is cut has no meaning.
fn joined(op: &Op) -> Op {
    match op.clone() {
        Op::Append { log, seq, span, format, label, record } => {
            Op::Append { log, seq, span, format, label, record: [record.concat().into(), Bytes::new()] }
        }
        other => other,
    }
}

fn owned(op: OpRef<'_>) -> Op {
    let copy = Bytes::copy_from_slice;
    match op {
        OpRef::Append { log, seq, span, format, label, record } => {
            assert_eq!(record.len_bytes(), record.to_vec().len());
            let record = [record.to_vec().into(), Bytes::new()];
            Op::Append { log, seq, span, format, label: copy(label), record }
        }
        OpRef::Link { log, seq, from_log, from_seq, label } => {
            Op::Link { log, seq, from_log, from_seq, label: copy(label) }
        }
        OpRef::Remove { log, first, last } => Op::Remove { log, first, last },
        OpRef::Trim { log, before } => Op::Trim { log, before },
        OpRef::Replace { log, first, last, span, format, record } => Op::Replace {
            log,
            first,
            last,
            span,
            format,
            record: record.map(|pieces| pieces.to_vec().into()),
        },
        OpRef::Put { key, value } => Op::Put { key: copy(key), value: value.to_vec().into() },
        OpRef::Delete { key } => Op::Delete { key: copy(key) },
        OpRef::Invalid(kind) => panic!("the kind {kind} was never written"),
    }
}
