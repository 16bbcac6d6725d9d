// SPDX-License-Identifier: Apache-2.0
//! The layout of every struct of the contract stays as it was: sizes and offsets are compared with a golden file, which
//! may only grow. The same numbers stand in the C header as static assertions.
//!
//! After appending to a struct: `SABIR_BLESS=1 cargo test -p sabir-abi`, and look at the difference: a line that changed
//! or went, other than the size of a struct that grew, breaks plugins.

use sabir_abi::*;
use std::fmt::Write;
use std::mem::offset_of;

macro_rules! layouts {
    ($($name:ident { $($field:ident),* $(,)? })*) => {
        fn layouts() -> String {
            let mut text = String::new();
            $(
                writeln!(text, "{} size {} align {}", stringify!($name), size_of::<$name>(), align_of::<$name>())
                    .unwrap();
                $(
                    writeln!(text, "{}.{} {}", stringify!($name), stringify!($field), offset_of!($name, $field))
                        .unwrap();
                )*
                // Does not compile when a field is missing above.
                let _complete = |value: $name| { let $name { $($field: _),* } = value; };
            )*
            text
        }
    };
}

layouts! {
    sabir_slice { ptr, len }
    sabir_bytes { ptr, len, owner, retain, release }
    sabir_waker_vtable { struct_size, reserved, clone, wake, wake_by_ref, drop }
    sabir_waker { data, vtable }
    sabir_error { struct_size, retryable, code, message }
    sabir_attribute { name, value }
    sabir_attributes { ptr, count, stride }
    sabir_now { monotonic_ms, unix_ms }
    sabir_component {
        kind, reserved, name, capabilities, required_host_capabilities, config_schema, vtable,
    }
    sabir_plugin {
        magic, struct_size, abi_major, abi_minor, name, version, license, vendor, description, components,
        component_count, component_stride, init, shutdown,
    }
    sabir_iovec { base, len }
    sabir_task { data, poll, drop }
    sabir_host {
        struct_size, abi_major, abi_minor, reserved, capabilities, name, ctx, log_level, log, now, metric,
        metric_record, timer_new, timer_poll, timer_free, spawn, run_blocking, io_register, io_poll_op, io_poll_recv,
        io_poll_sendv, io_deregister,
    }
    sabir_chunk_info { struct_size, flags, exchange_id, peer_id }
    sabir_link_vtable {
        struct_size, framing, attributes, poll_ready, poll_read, poll_write, poll_flush, poll_shutdown, poll_send_file,
        drop,
    }
    sabir_link { object, vtable }
    sabir_listener_vtable { struct_size, reserved, local_address, poll_accept, drop }
    sabir_listener { object, vtable }
    sabir_transport_vtable {
        struct_size, reserved, open, listen, connect, wrap_listener, wrap_link, close,
    }
    sabir_piece { source, reserved, offset, len }
    sabir_publish { head, body }
    sabir_settle { first, last, outcome, delay_ms, reason }
    sabir_credit { amount, reserved }
    sabir_transact { action, reserved }
    sabir_rare { fields, reserved }
    sabir_verb { kind, flags, token, id, transaction, detail }
    sabir_reply { token, status, reason, flags, text, fields }
    sabir_delivery {
        subscription, tag, flags, redelivery_count, head, label, body, body_total,
    }
    sabir_segment { kind, chunk_flags, index, offset, len, exchange_id, peer_id }
    sabir_out {
        struct_size, flags, verbs, verb_capacity, verb_count, arena, arena_capacity, arena_len, segments,
        segment_capacity, segment_count, owned, owned_capacity, owned_count, consumed, needed, deadline_ms,
    }
    sabir_session_params {
        struct_size, framing, session_id, connection_id, broker, attributes, max_head_bytes, max_message_bytes,
    }
    sabir_protocol_vtable {
        struct_size, reserved, open, matches, session_open, on_bytes, on_replies, on_deliveries, on_flow, on_timer,
        on_close, session_drop, close,
    }
    sabir_codec_item { struct_size, flags, index, timestamp_ms, key, head, body }
    sabir_codec_summary { struct_size, flags, span, count, max_timestamp_ms }
    sabir_codec_vtable {
        struct_size, format, inspect, expand, assemble, assign_offsets, keys, filter,
    }
    sabir_store_op {
        kind, format, log, seq, last, span, from_log, from_seq, label, pieces, piece_count,
    }
    sabir_read {
        struct_size, want, log, from_seq, last_seq, max_records, max_bytes, piece_offset, piece_len,
    }
    sabir_store_record { struct_size, format, seq, span, total_len, label, data }
    sabir_log_range { first, last, count, bytes }
    sabir_log_summary { struct_size, flags, log, next_seq, ranges, range_count, range_stride }
    sabir_store_stats {
        struct_size, flags, live_records, live_bytes, used_bytes, free_bytes, syncs, written_bytes, index_bytes,
    }
    sabir_store_vtable {
        struct_size, reserved, open, recover, submit, sync, read, scan, stats, close, lock_acquire, lock_keep, region,
        unpin, backup, maintain,
    }
}

fn path(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The structs that the sources define.
fn defined() -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path("src")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let found = text.lines().filter_map(|line| line.strip_prefix("pub struct "));
        names.extend(found.map(|rest| rest.split([' ', '{']).next().unwrap().to_owned()));
    }
    names
}

#[test]
#[cfg(target_pointer_width = "64")]
fn the_layout_of_every_struct_is_the_golden_one() {
    let mut layouts = layouts();
    let detail = (size_of::<sabir_verb_detail>(), align_of::<sabir_verb_detail>());
    writeln!(layouts, "sabir_verb_detail size {} align {}", detail.0, detail.1).unwrap();
    let golden = path("abi-v1.golden.txt");
    if std::env::var_os("SABIR_BLESS").is_some() {
        std::fs::write(&golden, &layouts).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).expect("the golden file is part of the repository");
    for (line, (found, expected)) in layouts.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {} of {}", line + 1, golden.display());
    }
    assert_eq!(layouts.lines().count(), expected.lines().count(), "the layouts and {}", golden.display());
}

#[test]
fn every_struct_is_in_the_golden_file() {
    let layouts = layouts();
    // Opaque handles have no layout that anybody may know.
    let opaque = ["sabir_io", "sabir_timer", "sabir_metric"];
    for name in defined().iter().filter(|name| !opaque.contains(&name.as_str())) {
        assert!(layouts.contains(&format!("{name} size ")), "{name} is missing in the list of this test");
    }
}
