/* SPDX-License-Identifier: Apache-2.0 */
/* Generated from core/abi by `cargo xtask headers`: do not edit. */

/**
 * @file
 * The contract between the broker and its plugins, version 1, in C types.
 *
 * This crate is the source of `c-include/sabir_plugin.h`. It holds `repr(C)` types and constants only: no
 * dependency, no code. Rust authors use `sabir-sdk`, which makes these types safe; C authors use the header.
 * The rules in prose, and how the contract may grow, are in `docs/plugin-abi.md`.
 *
 * **Words used on every item.** *Borrowed*: valid until the call returns (or as long as the text says); the
 * receiver must not keep it. *Owned*: passes to the receiver, who releases it. *Since*: the first minor version
 * of the ABI that has the item. *Reactor thread*: a thread of the host that must never block.
 *
 * **Append-only.** Within a major version, structs grow at their end only, and constants are only added. A
 * reader checks `struct_size` (for arrays: the stride) before it touches a field, and a function pointer for
 * NULL before it calls it.
 *
 *   types      slices, owned bytes, wakers, status, errors, attributes
 *   plugin     the descriptor, its components, the entry point
 *   host       the table of functions that the host gives to a plugin
 *   transport  listeners and links
 *   protocol   sessions: bytes in, verbs out, deliveries in, bytes out
 *   codec      formats of stream batches
 *   store      logs, sequence numbers, batches, keys
 */

#ifndef SABIR_PLUGIN_H
#define SABIR_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/**
 * Log level: a failure that somebody must look at. Since 1.0.
 */
#define SABIR_LOG_ERROR UINT32_C(1)

/**
 * Log level: something unexpected that was dealt with. Since 1.0.
 */
#define SABIR_LOG_WARN UINT32_C(2)

/**
 * Log level: what an operator wants to read in normal running. Since 1.0.
 */
#define SABIR_LOG_INFO UINT32_C(3)

/**
 * Log level: for the plugin's developer. Since 1.0.
 */
#define SABIR_LOG_DEBUG UINT32_C(4)

/**
 * Log level: everything. Since 1.0.
 */
#define SABIR_LOG_TRACE UINT32_C(5)

/**
 * Metric kind: a value that only grows. Since 1.0.
 */
#define SABIR_METRIC_COUNTER UINT32_C(1)

/**
 * Metric kind: a value that is set. Since 1.0.
 */
#define SABIR_METRIC_GAUGE UINT32_C(2)

/**
 * Metric kind: a distribution of observed values, in base units (seconds, bytes). Since 1.0.
 */
#define SABIR_METRIC_HISTOGRAM UINT32_C(3)

/**
 * Interest: the descriptor can be read, or its peer has closed. Since 1.0.
 */
#define SABIR_INTEREST_READ UINT32_C(1)

/**
 * Interest: the descriptor can be written. Since 1.0.
 */
#define SABIR_INTEREST_WRITE UINT32_C(2)

/**
 * Host capability: the `io_*` functions work. Since 1.0.
 */
#define SABIR_CAP_HOST_REACTOR (UINT64_C(1) << 0)

/**
 * Host capability: the `timer_*` functions work. Since 1.0.
 */
#define SABIR_CAP_HOST_TIMERS (UINT64_C(1) << 1)

/**
 * Host capability: `spawn` works. Since 1.0.
 */
#define SABIR_CAP_HOST_TASKS (UINT64_C(1) << 2)

/**
 * Host capability: `run_blocking` works. Since 1.0.
 */
#define SABIR_CAP_HOST_BLOCKING (UINT64_C(1) << 3)

/**
 * Host capability: the `metric_*` functions work. Since 1.0.
 */
#define SABIR_CAP_HOST_METRICS (UINT64_C(1) << 4)

/**
 * First word of every descriptor: the bytes `SABR` on a little-endian machine. Since 1.0.
 */
#define SABIR_PLUGIN_MAGIC UINT32_C(1380073811)

/**
 * Component kind: a transport; its vtable is `sabir_transport_vtable`. Since 1.0.
 */
#define SABIR_KIND_TRANSPORT UINT32_C(1)

/**
 * Component kind: a protocol; its vtable is `sabir_protocol_vtable`. Since 1.0.
 */
#define SABIR_KIND_PROTOCOL UINT32_C(2)

/**
 * Component kind: a format codec; its vtable is `sabir_codec_vtable`. Since 1.0.
 */
#define SABIR_KIND_CODEC UINT32_C(3)

/**
 * Component kind: a store; its vtable is `sabir_store_vtable`. Since 1.0.
 */
#define SABIR_KIND_STORE UINT32_C(4)

/**
 * Transport capability: `listen` is there. Since 1.0.
 */
#define SABIR_CAP_TRANSPORT_LISTEN (UINT64_C(1) << 0)

/**
 * Transport capability: `connect` is there. Since 1.0.
 */
#define SABIR_CAP_TRANSPORT_CONNECT (UINT64_C(1) << 1)

/**
 * Transport capability: `wrap_listener` is there. Since 1.0.
 */
#define SABIR_CAP_TRANSPORT_WRAP_LISTENER (UINT64_C(1) << 2)

/**
 * Transport capability: `wrap_link` is there. Since 1.0.
 */
#define SABIR_CAP_TRANSPORT_WRAP_LINK (UINT64_C(1) << 3)

/**
 * Transport capability: one half of a link can be shut while the other goes on. Since 1.0.
 */
#define SABIR_CAP_TRANSPORT_HALF_CLOSE (UINT64_C(1) << 4)

/**
 * Transport capability: links may offer `poll_send_file`. Since 1.0.
 */
#define SABIR_CAP_TRANSPORT_SEND_FILE (UINT64_C(1) << 5)

/**
 * Transport capability: the transport is reachable from this machine or process only, so that the rule «no
 * listener beyond loopback without authentication» does not concern it. Since 1.0.
 */
#define SABIR_CAP_TRANSPORT_LOCAL_ONLY (UINT64_C(1) << 6)

/**
 * Protocol capability: sessions work on links with `SABIR_FRAMING_STREAM`. Since 1.0.
 */
#define SABIR_CAP_PROTOCOL_STREAM (UINT64_C(1) << 0)

/**
 * Protocol capability: sessions work on links with `SABIR_FRAMING_MESSAGE`. Since 1.0.
 */
#define SABIR_CAP_PROTOCOL_MESSAGE (UINT64_C(1) << 1)

/**
 * Protocol capability: sessions work on links with `SABIR_FRAMING_EXCHANGE`. Since 1.0.
 */
#define SABIR_CAP_PROTOCOL_EXCHANGE (UINT64_C(1) << 2)

/**
 * Protocol capability: the first bytes tell this protocol from others (`matches` can say yes). Since 1.0.
 */
#define SABIR_CAP_PROTOCOL_DETECT (UINT64_C(1) << 3)

/**
 * Store capability: what was synced survives the end of the process. Since 1.0.
 */
#define SABIR_CAP_STORE_PERSISTENT (UINT64_C(1) << 0)

/**
 * Store capability: `replace` operations. Since 1.0.
 */
#define SABIR_CAP_STORE_REPLACE (UINT64_C(1) << 1)

/**
 * Store capability: `region` is there. Since 1.0.
 */
#define SABIR_CAP_STORE_REGION (UINT64_C(1) << 2)

/**
 * Store capability: `backup` is there. Since 1.0.
 */
#define SABIR_CAP_STORE_BACKUP (UINT64_C(1) << 3)

/**
 * Store capability: `lock_acquire` and `lock_keep` are there. Since 1.0.
 */
#define SABIR_CAP_STORE_LOCK (UINT64_C(1) << 4)

/**
 * Store capability: `maintain` works. Since 1.2.
 */
#define SABIR_CAP_STORE_MAINTAIN (UINT64_C(1) << 5)

/**
 * `matches`: these bytes are not this protocol. Since 1.0.
 */
#define SABIR_MATCH_NO INT64_C(0)

/**
 * `matches`: these bytes are this protocol. Since 1.0.
 */
#define SABIR_MATCH_YES INT64_C(1)

/**
 * `matches`: more bytes are needed to tell. Since 1.0.
 */
#define SABIR_MATCH_NEED_MORE INT64_C(2)

/**
 * Verb: log in. Must be the session's first. Rare. Since 1.0.
 */
#define SABIR_VERB_CONNECT UINT32_C(1)

/**
 * Verb: orderly end of the session; what was not settled is released. Rare. Since 1.0.
 */
#define SABIR_VERB_DISCONNECT UINT32_C(2)

/**
 * Verb: make the producer `id` for a destination. Rare. Since 1.0.
 */
#define SABIR_VERB_ATTACH UINT32_C(3)

/**
 * Verb: end the producer `id`. Rare. Since 1.0.
 */
#define SABIR_VERB_DETACH UINT32_C(4)

/**
 * Verb: make a destination or exchange. Rare. Since 1.0.
 */
#define SABIR_VERB_DECLARE UINT32_C(5)

/**
 * Verb: remove a destination, exchange or durable subscription. Rare. Since 1.0.
 */
#define SABIR_VERB_DELETE UINT32_C(6)

/**
 * Verb: tie an exchange to a target. Rare. Since 1.0.
 */
#define SABIR_VERB_BIND UINT32_C(7)

/**
 * Verb: untie it. Rare. Since 1.0.
 */
#define SABIR_VERB_UNBIND UINT32_C(8)

/**
 * Verb: make the subscription `id`. Rare. Since 1.0.
 */
#define SABIR_VERB_SUBSCRIBE UINT32_C(9)

/**
 * Verb: end the subscription `id`. Rare. Since 1.0.
 */
#define SABIR_VERB_UNSUBSCRIBE UINT32_C(10)

/**
 * Verb: ask something. Rare. Since 1.0.
 */
#define SABIR_VERB_QUERY UINT32_C(11)

/**
 * Verb: begin, commit or roll back the transaction `transaction`. Since 1.0.
 */
#define SABIR_VERB_TRANSACT UINT32_C(12)

/**
 * Verb: send a message through the producer `id`. Since 1.0.
 */
#define SABIR_VERB_PUBLISH UINT32_C(13)

/**
 * Verb: more of the body of the last `PUBLISH`, which had `SABIR_PUBLISH_MORE`. Since 1.0.
 */
#define SABIR_VERB_BODY UINT32_C(14)

/**
 * Verb: settle deliveries of the subscription `id`. Since 1.0.
 */
#define SABIR_VERB_SETTLE UINT32_C(15)

/**
 * Verb: allow the subscription `id` more deliveries. Since 1.0.
 */
#define SABIR_VERB_CREDIT UINT32_C(16)

/**
 * Verb: a step of a branch of a distributed transaction: `SABIR_FIELD_BRANCH` and `SABIR_FIELD_BRANCH_ACT`. Rare. Since
 * 1.2.
 */
#define SABIR_VERB_BRANCH UINT32_C(17)

/**
 * Verb flag: a reply is wanted. Without it only a refusal is replied. With `PUBLISH` the reply is the
 * confirmation, which a persistent message gets when it is durable. Since 1.0.
 */
#define SABIR_VERB_CONFIRM (UINT32_C(1) << 0)

/**
 * `PUBLISH` and `BODY` flag: the body goes on in the next verb, a `BODY`. Since 1.0.
 */
#define SABIR_PUBLISH_MORE (UINT32_C(1) << 1)

/**
 * `BODY` flag, with `SABIR_PUBLISH_MORE`: the first piece of a body whose message is not known yet. More `BODY` verbs with
 * `SABIR_PUBLISH_MORE` follow; other verbs may come between. `PUBLISH` flag, without `SABIR_PUBLISH_MORE`: these were its
 * body, and its own is the last piece. Any other `PUBLISH`, or another first piece, gives such a body up. Since 1.2.
 */
#define SABIR_BODY_FIRST (UINT32_C(1) << 2)

/**
 * `SETTLE` flag: every unsettled delivery of the subscription up to `last`, whatever `first` says. Since 1.0.
 */
#define SABIR_SETTLE_CUMULATIVE (UINT32_C(1) << 1)

/**
 * `SETTLE` flag: of every subscription of the session, not only of `id`. Since 1.0.
 */
#define SABIR_SETTLE_SESSION (UINT32_C(1) << 2)

/**
 * `CREDIT` flag: `amount` replaces the credit instead of adding to it. Since 1.0.
 */
#define SABIR_CREDIT_SET (UINT32_C(1) << 1)

/**
 * `CREDIT` flag: what can be delivered within the credit is delivered at once, then what is left of the credit is
 * dropped, and only then the verb is replied to, behind those deliveries. What has to be read from the store first is
 * waited for; messages that come later are not. Since 1.1.
 */
#define SABIR_CREDIT_DRAIN (UINT32_C(1) << 2)

/**
 * Outcome: done with it. Since 1.0.
 */
#define SABIR_OUTCOME_ACCEPT UINT32_C(1)

/**
 * Outcome: it cannot be processed: to the dead letters, by policy. Since 1.0.
 */
#define SABIR_OUTCOME_REJECT UINT32_C(2)

/**
 * Outcome: deliver it again, counted as a delivery attempt. Since 1.0.
 */
#define SABIR_OUTCOME_RELEASE UINT32_C(3)

/**
 * Outcome: it was never looked at: deliver it again, not counted. Since 1.0.
 */
#define SABIR_OUTCOME_RETURN UINT32_C(4)

/**
 * `TRANSACT` action: begin. Since 1.0.
 */
#define SABIR_TRANSACT_BEGIN UINT32_C(1)

/**
 * `TRANSACT` action: commit. Since 1.0.
 */
#define SABIR_TRANSACT_COMMIT UINT32_C(2)

/**
 * `TRANSACT` action: roll back. Since 1.0.
 */
#define SABIR_TRANSACT_ROLLBACK UINT32_C(3)

/**
 * Piece source: the bytes lie in the input that `on_bytes` was given. Since 1.0.
 */
#define SABIR_PIECE_INPUT UINT32_C(1)

/**
 * Piece source: the bytes lie in `sabir_out.arena`. Since 1.0.
 */
#define SABIR_PIECE_ARENA UINT32_C(2)

/**
 * Piece source: the bytes are the element `offset` of `sabir_out.owned`, all of it. Since 1.0.
 */
#define SABIR_PIECE_OWNED UINT32_C(3)

/**
 * Field, text: user name. `CONNECT`. Since 1.0.
 */
#define SABIR_FIELD_USER UINT16_C(1)

/**
 * Field, bytes: password. `CONNECT`. Since 1.0.
 */
#define SABIR_FIELD_PASSWORD UINT16_C(2)

/**
 * Field, text: client id, for durable subscriptions. `CONNECT`. Since 1.0.
 */
#define SABIR_FIELD_CLIENT_ID UINT16_C(3)

/**
 * Field, text: virtual host; absent: the default one. `CONNECT`. Since 1.0.
 */
#define SABIR_FIELD_VIRTUAL_HOST UINT16_C(4)

/**
 * Field, text: protocol and version, as `stomp/1.2`. `CONNECT`. Since 1.0.
 */
#define SABIR_FIELD_PROTOCOL UINT16_C(5)

/**
 * Field, text: a destination, as `queue://NAME`, `topic://NAME`, `temp-queue://NAME`, `temp-topic://NAME` or
 * `exchange://NAME`; repeated: all of them. `ATTACH`, `DECLARE`, `DELETE`, `SUBSCRIBE`, `QUERY`. Since 1.0.
 */
#define SABIR_FIELD_DESTINATION UINT16_C(6)

/**
 * Field, text: a selector in the JMS grammar. `SUBSCRIBE`, `BIND`. Since 1.0.
 */
#define SABIR_FIELD_SELECTOR UINT16_C(7)

/**
 * Field, text: name of a durable subscription. `SUBSCRIBE`, `DELETE`. Since 1.0.
 */
#define SABIR_FIELD_SUBSCRIPTION_NAME UINT16_C(8)

/**
 * Field, u64: `SABIR_SUBSCRIBE_*`, `SABIR_DECLARE_*`, `SABIR_DELETE_*` or, since 1.1, `SABIR_CONNECT_*`. Since 1.0.
 */
#define SABIR_FIELD_FLAGS UINT16_C(9)

/**
 * Field, u64: deliveries allowed from the start. `SUBSCRIBE`. Since 1.0.
 */
#define SABIR_FIELD_CREDIT UINT16_C(10)

/**
 * Field, i64: consumer priority, -128 to 127. `SUBSCRIBE`. Since 1.0.
 */
#define SABIR_FIELD_PRIORITY UINT16_C(11)

/**
 * Field, text: producer name for duplicate detection. `ATTACH`. Since 1.0.
 */
#define SABIR_FIELD_PRODUCER_NAME UINT16_C(12)

/**
 * Field, text: the exchange. `BIND`, `UNBIND`. Since 1.0.
 */
#define SABIR_FIELD_SOURCE UINT16_C(13)

/**
 * Field, text: the target, a destination. `BIND`, `UNBIND`. Since 1.0.
 */
#define SABIR_FIELD_TARGET UINT16_C(14)

/**
 * Field, text: routing key or pattern. `BIND`, `UNBIND`. Since 1.0.
 */
#define SABIR_FIELD_KEY UINT16_C(15)

/**
 * Field, u64: what to ask: `SABIR_QUERY_*`. Since 1.0.
 */
#define SABIR_FIELD_QUERY UINT16_C(16)

/**
 * Field, text: `direct`, `fanout`, `topic` or `headers`. `DECLARE` of an exchange. Since 1.0.
 */
#define SABIR_FIELD_EXCHANGE_KIND UINT16_C(17)

/**
 * Field, u64: a count, in replies. Since 1.0.
 */
#define SABIR_FIELD_COUNT UINT16_C(18)

/**
 * Field, text: an argument `name=value` of the protocol's own, repeated. `DECLARE`. Since 1.0.
 */
#define SABIR_FIELD_ARGUMENT UINT16_C(19)

/**
 * Field, bytes: the name of a branch of a distributed transaction: i32 format id, u8 length of the global transaction id,
 * that id (at most 64 bytes), the branch qualifier (at most 64 bytes). `BRANCH`; repeated in the reply to
 * `SABIR_QUERY_PREPARED`. Since 1.2.
 */
#define SABIR_FIELD_BRANCH UINT16_C(20)

/**
 * Field, u64: `SABIR_BRANCH_*`. `BRANCH`. Since 1.2.
 */
#define SABIR_FIELD_BRANCH_ACT UINT16_C(21)

/**
 * Field, bytes: the canonical head of a message, repeated. In answers to `SABIR_QUERY_LIST` of a topic of the broker's
 * events: the events that would tell what there is. Since 1.2.
 */
#define SABIR_FIELD_MESSAGE UINT16_C(22)

/**
 * Flag of `CONNECT`: no other session of the virtual host may have this client id; while one has, the log-in is refused
 * with `SABIR_REASON_CONFLICT`. Since 1.1.
 */
#define SABIR_CONNECT_EXCLUSIVE_CLIENT_ID (UINT64_C(1) << 0)

/**
 * Flag of `CONNECT`, with `SABIR_CONNECT_EXCLUSIVE_CLIENT_ID`: a session of the same user that has the client id is ended,
 * and this one takes its place: a client that has lost its connection comes back. Since 1.1.
 */
#define SABIR_CONNECT_TAKE_OVER (UINT64_C(1) << 1)

/**
 * Flag of `SUBSCRIBE`: a delivery counts as accepted once its bytes were handed to the link. Since 1.0.
 */
#define SABIR_SUBSCRIBE_AUTO_ACCEPT (UINT64_C(1) << 0)

/**
 * Flag of `SUBSCRIBE`: not the messages that this connection (for durable ones: this client id) sent. Since 1.0.
 */
#define SABIR_SUBSCRIBE_NO_LOCAL (UINT64_C(1) << 1)

/**
 * Flag of `SUBSCRIBE`: only one subscription of the queue is served at a time. Since 1.0.
 */
#define SABIR_SUBSCRIBE_EXCLUSIVE (UINT64_C(1) << 2)

/**
 * Flag of `SUBSCRIBE`: look without consuming; ends with `SABIR_DELIVERY_END_OF_BROWSE`. Since 1.0.
 */
#define SABIR_SUBSCRIBE_BROWSE (UINT64_C(1) << 3)

/**
 * Flag of `SUBSCRIBE`: a topic subscription that keeps collecting while its consumer is away; needs a name. Since 1.0.
 */
#define SABIR_SUBSCRIBE_DURABLE (UINT64_C(1) << 4)

/**
 * Flag of `SUBSCRIBE`: several consumers may share this durable subscription. Since 1.0.
 */
#define SABIR_SUBSCRIBE_SHARED (UINT64_C(1) << 5)

/**
 * Flag of `SUBSCRIBE`: a durable subscription or queue goes when its last consumer goes. Since 1.0.
 */
#define SABIR_SUBSCRIBE_AUTO_DELETE (UINT64_C(1) << 6)

/**
 * Flag of `SUBSCRIBE`: credit is used up by deliveries and only `CREDIT` gives more. Without it credit is a window
 * (prefetch): settling a delivery gives its credit back. Since 1.0.
 */
#define SABIR_SUBSCRIBE_LINK_CREDIT (UINT64_C(1) << 7)

/**
 * Flag of `UNSUBSCRIBE` and `DELETE`: the durable subscription goes too, with what it has collected. Since 1.0.
 */
#define SABIR_DELETE_DURABLE (UINT64_C(1) << 0)

/**
 * Flag of `DELETE`: only if it holds no message. Since 1.0.
 */
#define SABIR_DELETE_IF_EMPTY (UINT64_C(1) << 1)

/**
 * Flag of `DELETE`: only if it has no consumer. Since 1.0.
 */
#define SABIR_DELETE_IF_UNUSED (UINT64_C(1) << 2)

/**
 * Flag of `DECLARE`: survives a restart. Since 1.0.
 */
#define SABIR_DECLARE_DURABLE (UINT64_C(1) << 0)

/**
 * Flag of `DECLARE`: goes when its last consumer goes. Since 1.0.
 */
#define SABIR_DECLARE_AUTO_DELETE (UINT64_C(1) << 1)

/**
 * Flag of `DECLARE`: only this connection may use it; it goes with the connection. Since 1.0.
 */
#define SABIR_DECLARE_EXCLUSIVE (UINT64_C(1) << 2)

/**
 * Flag of `DECLARE`: make nothing; refuse if it does not exist. Since 1.0.
 */
#define SABIR_DECLARE_PASSIVE (UINT64_C(1) << 3)

/**
 * Query: destinations that match a pattern, with their counts. Since 1.0.
 */
#define SABIR_QUERY_LIST UINT64_C(1)

/**
 * Query: why the first waiting message of a queue is not delivered. Since 1.0.
 */
#define SABIR_QUERY_EXPLAIN UINT64_C(2)

/**
 * Query: the branches that are prepared. For each one the reply has `SABIR_FIELD_BRANCH`, `SABIR_FIELD_USER` if it has one,
 * and four `SABIR_FIELD_COUNT`: messages sent, deliveries settled, bytes sent, and when it was prepared, in milliseconds
 * since 1970. Needs no destination. Since 1.2.
 */
#define SABIR_QUERY_PREPARED UINT64_C(3)

/**
 * Step of a branch: begin the transaction `transaction` as a part of it. Sessions of one user may each have a part. What
 * is sent and settled in the transaction goes by its number. Since 1.2.
 */
#define SABIR_BRANCH_BEGIN UINT64_C(1)

/**
 * Step of a branch: keep it, durably, without making it count: it waits for `SABIR_BRANCH_COMMIT` or
 * `SABIR_BRANCH_ROLLBACK` from any session of its user, whatever happens to its own sessions and to the broker. The reply
 * may have `SABIR_FIELD_FLAGS`. Refused with `SABIR_REASON_ROLLED_BACK` it was rolled back. Since 1.2.
 */
#define SABIR_BRANCH_PREPARE UINT64_C(2)

/**
 * Step of a branch: commit a prepared one. Since 1.2.
 */
#define SABIR_BRANCH_COMMIT UINT64_C(3)

/**
 * Step of a branch: commit it, prepared or not. Since 1.2.
 */
#define SABIR_BRANCH_COMMIT_ONE_PHASE UINT64_C(4)

/**
 * Step of a branch: roll it back, prepared or not. What was settled in it, and by a consumer that is still there, is
 * unsettled again if a session asks for this that has taken part; else it returns to its queue. Since 1.2.
 */
#define SABIR_BRANCH_ROLLBACK UINT64_C(5)

/**
 * Step of a branch: replied to, out of turn, once the branch has ended of which the open transaction `transaction` is a
 * part. The reply has `SABIR_FIELD_FLAGS`. Since 1.2.
 */
#define SABIR_BRANCH_AWAIT UINT64_C(6)

/**
 * Flag in the reply to `SABIR_BRANCH_PREPARE`: there was nothing to keep; the branch is gone. Since 1.2.
 */
#define SABIR_BRANCH_READ_ONLY (UINT64_C(1) << 0)

/**
 * Flag in the reply to `SABIR_BRANCH_AWAIT`: it was committed. Since 1.2.
 */
#define SABIR_BRANCH_COMMITTED (UINT64_C(1) << 1)

/**
 * Flag in the reply to `SABIR_BRANCH_AWAIT`: it was rolled back, and what was settled in it is unsettled again. Since 1.2.
 */
#define SABIR_BRANCH_RESTORED (UINT64_C(1) << 2)

/**
 * Reply flag: the session must be ended: log-in refused, or an error after which nothing can go on. Since 1.0.
 */
#define SABIR_REPLY_FATAL (UINT32_C(1) << 0)

/**
 * Reason: the verb does not fit the session's state, or its fields contradict each other. Since 1.0.
 */
#define SABIR_REASON_INVALID UINT32_C(1)

/**
 * Reason: wrong user name or password. Since 1.0.
 */
#define SABIR_REASON_UNAUTHENTICATED UINT32_C(2)

/**
 * Reason: the user may not do that. Since 1.0.
 */
#define SABIR_REASON_FORBIDDEN UINT32_C(3)

/**
 * Reason: no such destination, producer, subscription, delivery or transaction. Since 1.0.
 */
#define SABIR_REASON_NOT_FOUND UINT32_C(4)

/**
 * Reason: it exists already, differently. Since 1.0.
 */
#define SABIR_REASON_CONFLICT UINT32_C(5)

/**
 * Reason: a limit was reached; the text names it and its setting. Since 1.0.
 */
#define SABIR_REASON_LIMIT UINT32_C(6)

/**
 * Reason: the message is damaged or too large. Since 1.0.
 */
#define SABIR_REASON_BAD_MESSAGE UINT32_C(7)

/**
 * Reason: the selector cannot be parsed; the text says where. Since 1.0.
 */
#define SABIR_REASON_BAD_SELECTOR UINT32_C(8)

/**
 * Reason: the store has failed; nothing more is confirmed until the broker has restarted. Since 1.0.
 */
#define SABIR_REASON_STORE UINT32_C(9)

/**
 * Reason: the transaction was rolled back. Since 1.0.
 */
#define SABIR_REASON_ROLLED_BACK UINT32_C(10)

/**
 * Reason: the broker is stopping. Since 1.0.
 */
#define SABIR_REASON_STOPPING UINT32_C(11)

/**
 * Reason: this broker cannot do that. Since 1.0.
 */
#define SABIR_REASON_UNSUPPORTED UINT32_C(12)

/**
 * Reason: the queue is full and its policy refuses instead of waiting. Since 1.0.
 */
#define SABIR_REASON_FULL UINT32_C(13)

/**
 * Delivery flag: it may have been delivered before. Since 1.0.
 */
#define SABIR_DELIVERY_REDELIVERED (UINT32_C(1) << 0)

/**
 * Delivery flag: no message: the browse is at its end. Since 1.0.
 */
#define SABIR_DELIVERY_END_OF_BROWSE (UINT32_C(1) << 1)

/**
 * Delivery flag: no message: the broker has ended the subscription; `label` says why. Since 1.0.
 */
#define SABIR_DELIVERY_CANCELLED (UINT32_C(1) << 2)

/**
 * Delivery flag: the body goes on in the session's next delivery, which has `SABIR_DELIVERY_CONTINUED`. Since 1.0.
 */
#define SABIR_DELIVERY_MORE (UINT32_C(1) << 3)

/**
 * Delivery flag: only `body` counts: the next piece of the delivery before. Since 1.0.
 */
#define SABIR_DELIVERY_CONTINUED (UINT32_C(1) << 4)

/**
 * Delivery flag: the first message of its group (`JMSXGroupID`) for this consumer. Since 1.1.
 */
#define SABIR_DELIVERY_GROUP_FIRST (UINT32_C(1) << 5)

/**
 * Flow flag: publishes of this session are parked: a destination or the store is full. Since 1.0.
 */
#define SABIR_FLOW_PUBLISH_PARKED (UINT32_C(1) << 0)

/**
 * Flow flag: the host reads nothing from this link for now; do not hold the peer's silence against it. Since 1.0.
 */
#define SABIR_FLOW_READ_PAUSED (UINT32_C(1) << 1)

/**
 * Segment kind: bytes of `sabir_out.arena`. Since 1.0.
 */
#define SABIR_SEGMENT_ARENA UINT32_C(1)

/**
 * Segment kind: bytes of the body of the delivery `index` of this call. Since 1.0.
 */
#define SABIR_SEGMENT_BODY UINT32_C(2)

/**
 * Segment kind: bytes of the element `index` of `sabir_out.owned`. Since 1.0.
 */
#define SABIR_SEGMENT_OWNED UINT32_C(3)

/**
 * Out flag: close the link once everything was written. Since 1.0.
 */
#define SABIR_OUT_CLOSE (UINT32_C(1) << 0)

/**
 * Out flag: `on_bytes` stopped because this struct was full, and wants to be called again with the same bytes.
 * Since 1.0.
 */
#define SABIR_OUT_FULL (UINT32_C(1) << 1)

/**
 * Bit of a log's number: the log is forgotten when the store is opened. Since 1.0.
 */
#define SABIR_LOG_TEMPORARY (UINT64_C(1) << 63)

/**
 * Operation: make a record and its entry `(log, seq)`. Fields: log, seq, span, format, label, pieces. Since 1.0.
 */
#define SABIR_STORE_APPEND UINT32_C(1)

/**
 * Operation: make the entry `(log, seq)` for the record of the entry `(from_log, from_seq)`, which exists or is
 * made earlier in the same batch. Fields: log, seq, from_log, from_seq, label. Since 1.0.
 */
#define SABIR_STORE_LINK UINT32_C(2)

/**
 * Operation: remove the entries `seq` to `last` of `log`, those that exist. Since 1.0.
 */
#define SABIR_STORE_REMOVE UINT32_C(3)

/**
 * Operation: remove the entries of `log` below `seq`. With `seq` `UINT64_MAX` the log is forgotten altogether: its
 * numbers begin anew, and it has no summary any more. Since 1.0.
 */
#define SABIR_STORE_TRIM UINT32_C(4)

/**
 * Operation: replace the entries `seq` to `last` of `log` by one record at `seq` with `span`; no pieces: by nothing.
 * Only stores with `SABIR_CAP_STORE_REPLACE`. Since 1.0.
 */
#define SABIR_STORE_REPLACE UINT32_C(5)

/**
 * Operation: set the key `label` to the value `pieces`. Since 1.0.
 */
#define SABIR_STORE_PUT UINT32_C(6)

/**
 * Operation: remove the key `label`, if it exists. Since 1.0.
 */
#define SABIR_STORE_DELETE UINT32_C(7)

/**
 * Level: the batch is visible to `read` and `scan` when `submit` returns; it reaches the medium with some later
 * sync, or never. Since 1.0.
 */
#define SABIR_LEVEL_WRITTEN UINT32_C(0)

/**
 * Level: somebody will `sync` this batch's ticket. Since 1.0.
 */
#define SABIR_LEVEL_DURABLE UINT32_C(1)

/**
 * What `read` gives of each record: everything. Since 1.0.
 */
#define SABIR_READ_ALL UINT32_C(0)

/**
 * What `read` gives of each record: at least its first `piece_len` bytes (`sabir_read.piece_len`). Since 1.0.
 */
#define SABIR_READ_HEAD UINT32_C(1)

/**
 * What `read` gives: the bytes `piece_offset` and following, at most `piece_len`, of the first record. Since 1.0.
 */
#define SABIR_READ_RANGE UINT32_C(2)

/**
 * What `read` gives of each record: no byte of it, but some that are the same for all entries of one record and differ
 * between records, as long as the store is open and nothing is submitted. Stores that cannot tell answer
 * `SABIR_ERR_UNSUPPORTED`. Since 1.2.
 */
#define SABIR_READ_IDENTITY UINT32_C(3)

/**
 * Verb of `maintain`: look at everything that is stored, and change nothing. Since 1.2.
 */
#define SABIR_MAINTAIN_CHECK UINT32_C(1)

/**
 * Verb of `maintain`: make a store that cannot be opened, or that has damaged records, whole again without what is
 * lost. Changes nothing unless the options say `"accept_loss": true`. Since 1.2.
 */
#define SABIR_MAINTAIN_REPAIR UINT32_C(2)

/**
 * Verb of `maintain`: give back the room that nothing living needs. Since 1.2.
 */
#define SABIR_MAINTAIN_COMPACT UINT32_C(3)

/**
 * Framing: a stream of bytes without boundaries. Since 1.0.
 */
#define SABIR_FRAMING_STREAM UINT32_C(1)

/**
 * Framing: messages with boundaries, each perhaps with its own peer (UDP, WebSocket). Since 1.0.
 */
#define SABIR_FRAMING_MESSAGE UINT32_C(2)

/**
 * Framing: exchanges (HTTP): requests, each with an id, whose answers may be deferred, several, or none. Since 1.0.
 */
#define SABIR_FRAMING_EXCHANGE UINT32_C(3)

/**
 * Chunk flag: the first bytes of a message or exchange. Since 1.0.
 */
#define SABIR_CHUNK_BEGIN UINT32_C(1)

/**
 * Chunk flag: the last bytes of a message or exchange. Since 1.0.
 */
#define SABIR_CHUNK_END UINT32_C(2)

/**
 * Major version of the ABI. Plugins of another major version are refused. Since 1.0.
 */
#define SABIR_ABI_MAJOR UINT32_C(1)

/**
 * Minor version of the ABI: grows whenever something is appended. Since 1.0.
 */
#define SABIR_ABI_MINOR UINT32_C(2)

/**
 * Success. Since 1.0.
 */
#define SABIR_OK INT64_C(0)

/**
 * A poll function has nothing yet; it kept a clone of the waker and will wake it. Since 1.0.
 */
#define SABIR_PENDING INT64_C(-1)

/**
 * The caller passed something that the contract forbids. Since 1.0.
 */
#define SABIR_ERR_INVALID INT64_C(-2)

/**
 * The component does not have this function or option. Since 1.0.
 */
#define SABIR_ERR_UNSUPPORTED INT64_C(-3)

/**
 * An input or output operation failed; the object is unusable afterwards unless the text says otherwise. Since 1.0.
 */
#define SABIR_ERR_IO INT64_C(-4)

/**
 * The peer, or this side, has closed the object. Since 1.0.
 */
#define SABIR_ERR_CLOSED INT64_C(-5)

/**
 * A named limit was reached. Since 1.0.
 */
#define SABIR_ERR_LIMIT INT64_C(-6)

/**
 * Stored or received data is damaged. Since 1.0.
 */
#define SABIR_ERR_CORRUPT INT64_C(-7)

/**
 * The resource is locked by another process. Since 1.0.
 */
#define SABIR_ERR_LOCKED INT64_C(-8)

/**
 * No room: disk or quota. The operation had no effect and may be tried again. Since 1.0.
 */
#define SABIR_ERR_FULL INT64_C(-9)

/**
 * The configuration was refused; the message names the key. Since 1.0.
 */
#define SABIR_ERR_CONFIG INT64_C(-10)

/**
 * What was asked for does not exist. Since 1.0.
 */
#define SABIR_ERR_NOT_FOUND INT64_C(-11)

/**
 * Credentials or permissions were refused. Since 1.0.
 */
#define SABIR_ERR_DENIED INT64_C(-12)

/**
 * The plugin panicked; the object is poisoned and every later call answers this. Since 1.0.
 */
#define SABIR_ERR_PANIC INT64_C(-13)

/**
 * The address is in use or cannot be bound. Since 1.0.
 */
#define SABIR_ERR_ADDRESS INT64_C(-14)

/**
 * The time allowed has passed. Since 1.0.
 */
#define SABIR_ERR_TIMEOUT INT64_C(-15)

/**
 * Any other failure. Since 1.0.
 */
#define SABIR_ERR_OTHER INT64_C(-16)

typedef struct Option_sabir_store_progress Option_sabir_store_progress;

/**
 * A file descriptor registered with the host's reactor. Opaque. Since 1.0.
 */
typedef struct sabir_io sabir_io;

/**
 * A metric of the host. Opaque; valid for ever. Since 1.0.
 */
typedef struct sabir_metric sabir_metric;

/**
 * A timer of the host. Opaque. Since 1.0.
 */
typedef struct sabir_timer sabir_timer;

/**
 * Bytes that somebody else owns. *Borrowed* wherever it stands. `ptr` may be NULL only if `len` is 0. Text is
 * UTF-8 without a terminating NUL. Since 1.0.
 */
typedef struct sabir_slice {
    /**
     * First byte.
     */
    const uint8_t *ptr;
    /**
     * Number of bytes.
     */
    size_t len;
} sabir_slice;

/**
 * One message of a batch. *Borrowed* by the visitor during its call. Since 1.0.
 */
typedef struct sabir_codec_item {
    /**
     * Size of this struct in bytes, set by the codec.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t flags;
    /**
     * Position in the batch, from 0. With gaps after compaction.
     */
    uint64_t index;
    /**
     * Milliseconds since 1970.
     */
    int64_t timestamp_ms;
    /**
     * The key that partitions and compaction go by; empty and NULL: it has none.
     */
    struct sabir_slice key;
    /**
     * Head of the message in the canonical form (`docs/message-format.md`).
     */
    struct sabir_slice head;
    /**
     * Body of the message; NULL: a tombstone.
     */
    struct sabir_slice body;
} sabir_codec_item;

/**
 * Receives items; answers `SABIR_OK` to go on, or a negative status that the codec passes on. Since 1.0.
 */
typedef int64_t (*sabir_codec_visit)(void *arg, const struct sabir_codec_item *item);

/**
 * Decides whether an item stays: 1 keeps it, 0 removes it, negative stops. Since 1.0.
 */
typedef int64_t (*sabir_codec_keep)(void *arg, const struct sabir_codec_item *item);

/**
 * What is known of a batch without expanding it. Since 1.0.
 */
typedef struct sabir_codec_summary {
    /**
     * Size of this struct in bytes, set by the caller.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t flags;
    /**
     * Offsets that the batch spans: last minus first, plus 1.
     */
    uint64_t span;
    /**
     * Messages that it holds; at most `span`.
     */
    uint64_t count;
    /**
     * Largest timestamp in it, in milliseconds since 1970.
     */
    int64_t max_timestamp_ms;
} sabir_codec_summary;

/**
 * Bytes with a reference count, freed by their maker. A value of this type owns one reference. Any thread may
 * call `retain` and `release`. Since 1.0.
 */
typedef struct sabir_bytes {
    /**
     * First byte; valid while a reference is held. May be NULL only if `len` is 0.
     */
    const uint8_t *ptr;
    /**
     * Number of bytes.
     */
    size_t len;
    /**
     * What `retain` and `release` take. Opaque.
     */
    void *owner;
    /**
     * Adds a reference. NULL: the bytes are static and need none.
     */
    void (*retain)(void *owner);
    /**
     * Gives a reference back. NULL: the bytes are static and need none.
     */
    void (*release)(void *owner);
} sabir_bytes;

/**
 * Detail of a failure. The caller passes a pointer to a zeroed struct, or NULL when it does not care; the callee
 * fills it only when it answers a negative status other than `SABIR_PENDING`. Since 1.0.
 */
typedef struct sabir_error {
    /**
     * Size of this struct in bytes, set by the caller.
     */
    uint32_t struct_size;
    /**
     * 1 when trying the same again may succeed.
     */
    uint32_t retryable;
    /**
     * The status that was answered: one of `SABIR_ERR_*`.
     */
    int64_t code;
    /**
     * What went wrong, for people. *Owned* by the caller of the function that failed.
     */
    struct sabir_bytes message;
} sabir_error;

/**
 * Functions of a format codec. Every input is untrusted: lengths are checked before they are believed, and a
 * damaged batch is `SABIR_ERR_CORRUPT`. Since 1.0.
 */
typedef struct sabir_codec_vtable {
    /**
     * Size of this struct in bytes, as the plugin knew it.
     */
    uint32_t struct_size;
    /**
     * Number of the format, stored with every batch: 1 to 255 are Sabir's own, others are registered in
     * `docs/plugin-abi.md`.
     */
    uint32_t format;
    /**
     * Checks a batch as a client sent it, and tells what is in it.
     */
    int64_t (*inspect)(struct sabir_slice batch, struct sabir_codec_summary *out, struct sabir_error *error);
    /**
     * Shows every message of a batch in order. `max_bytes` bounds what decompression may make of it
     * (`SABIR_ERR_LIMIT` beyond).
     */
    int64_t (*expand)(struct sabir_slice batch,
                      uint64_t max_bytes,
                      sabir_codec_visit visit,
                      void *arg,
                      struct sabir_error *error);
    /**
     * Makes a batch of `count` items, which lie `stride` bytes apart. `out` is *owned* by the caller.
     */
    int64_t (*assemble)(const struct sabir_codec_item *items,
                        size_t count,
                        size_t stride,
                        struct sabir_bytes *out,
                        struct sabir_error *error);
    /**
     * Writes the batch's first offset and the leader's epoch into its fixed fields, in place.
     */
    int64_t (*assign_offsets)(uint8_t *batch,
                              size_t len,
                              uint64_t first_offset,
                              uint32_t leader_epoch,
                              struct sabir_error *error);
    /**
     * Shows the items with only their keys and timestamps filled in: what compaction needs.
     */
    int64_t (*keys)(struct sabir_slice batch,
                    uint64_t max_bytes,
                    sabir_codec_visit visit,
                    void *arg,
                    struct sabir_error *error);
    /**
     * Makes a batch of the items that `keep` keeps, at their old offsets. `out` is *owned* by the caller; empty
     * when nothing stayed.
     */
    int64_t (*filter)(struct sabir_slice batch,
                      uint64_t max_bytes,
                      sabir_codec_keep keep,
                      void *arg,
                      struct sabir_bytes *out,
                      struct sabir_error *error);
} sabir_codec_vtable;

/**
 * One buffer of a vectored write, laid out as POSIX `struct iovec`. *Borrowed*. Since 1.0.
 */
typedef struct sabir_iovec {
    /**
     * First byte.
     */
    void *base;
    /**
     * Number of bytes.
     */
    size_t len;
} sabir_iovec;

/**
 * A non-blocking operation that `io_poll_op` tries: answers a count of bytes or objects (0 or more),
 * `SABIR_PENDING` when the system call said EAGAIN, or a negative status. It must make at most a few system
 * calls and never block. Since 1.0.
 */
typedef int64_t (*sabir_io_op)(void *arg);

/**
 * Functions of a `sabir_waker`; the C mirror of Rust's `RawWakerVTable`. All may be called from any thread.
 * Since 1.0.
 */
typedef struct sabir_waker_vtable {
    /**
     * Size of this struct in bytes, as its maker knew it.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Makes an owned waker for the same task.
     */
    struct sabir_waker (*clone)(const void *data);
    /**
     * Wakes the task and consumes the waker.
     */
    void (*wake)(const void *data);
    /**
     * Wakes the task; the waker stays valid.
     */
    void (*wake_by_ref)(const void *data);
    /**
     * Gives the waker back without waking.
     */
    void (*drop)(const void *data);
} sabir_waker_vtable;

/**
 * Tells a task that a poll function which answered `SABIR_PENDING` is worth calling again. As the argument of a
 * poll function it is *borrowed*: valid during the call; `clone` gives an owned one. Since 1.0.
 */
typedef struct sabir_waker {
    /**
     * Opaque; handed to the functions.
     */
    const void *data;
    /**
     * Never NULL. Valid for ever.
     */
    const struct sabir_waker_vtable *vtable;
} sabir_waker;

/**
 * A task for `spawn`: polled until it answers anything but `SABIR_PENDING`, then dropped. Since 1.0.
 */
typedef struct sabir_task {
    /**
     * Handed to the functions. *Owned* by the host until `drop`.
     */
    void *data;
    /**
     * Polls the task. Calls never overlap; the thread is a reactor thread and may differ from call to call.
     */
    int64_t (*poll)(void *data, const struct sabir_waker *waker);
    /**
     * Frees `data`. Called exactly once.
     */
    void (*drop)(void *data);
} sabir_task;

/**
 * A name and a value, both UTF-8. Since 1.0.
 */
typedef struct sabir_attribute {
    /**
     * One of the documented names: `scheme`, `local`, `peer`, `path`, `alpn`, `subprotocol`, `content_type`,
     * `tls_subject`, `peer_uid`, `peer_pid`; others are passed on unread.
     */
    struct sabir_slice name;
    /**
     * Its value.
     */
    struct sabir_slice value;
} sabir_attribute;

/**
 * An array of attributes. Elements may grow: step by `stride`. Since 1.0.
 */
typedef struct sabir_attributes {
    /**
     * First element; NULL only if `count` is 0.
     */
    const struct sabir_attribute *ptr;
    /**
     * Number of elements.
     */
    uint32_t count;
    /**
     * Bytes from one element to the next.
     */
    uint32_t stride;
} sabir_attributes;

/**
 * The time, as the host sees it. Plugins that are state machines read no clock. Since 1.0.
 */
typedef struct sabir_now {
    /**
     * Milliseconds of a clock that never goes back; its origin has no meaning.
     */
    uint64_t monotonic_ms;
    /**
     * Milliseconds since 1970-01-01T00:00:00Z. May jump.
     */
    int64_t unix_ms;
} sabir_now;

/**
 * What the host offers. *Borrowed* for ever: valid until the process ends. Every function may be called from any
 * thread unless its text says otherwise; none blocks. `ctx` is always this struct's `ctx`. Since 1.0.
 */
typedef struct sabir_host {
    /**
     * Size of this struct in bytes, as the host knew it.
     */
    uint32_t struct_size;
    /**
     * `SABIR_ABI_MAJOR` of the host.
     */
    uint32_t abi_major;
    /**
     * `SABIR_ABI_MINOR` of the host.
     */
    uint32_t abi_minor;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * What this host can do: `SABIR_CAP_HOST_*`.
     */
    uint64_t capabilities;
    /**
     * Name and version of the host, as `sabir/0.1.0`.
     */
    struct sabir_slice name;
    /**
     * The first argument of every function below.
     */
    void *ctx;
    /**
     * The most detailed `SABIR_LOG_*` level that would be written for `target` now. Cheap: ask it before you
     * format a text.
     */
    uint32_t (*log_level)(void *ctx, struct sabir_slice target);
    /**
     * Writes one line with fields. Control characters are escaped by the host. Never log message bodies.
     */
    void (*log)(void *ctx,
                uint32_t level,
                struct sabir_slice target,
                struct sabir_slice text,
                struct sabir_attributes fields);
    /**
     * The time.
     */
    struct sabir_now (*now)(void *ctx);
    /**
     * Gives the metric of this name and these labels, made on first use; NULL when the host refuses the name,
     * which must be `[a-z][a-z0-9_]*`. The host puts its own prefix in front.
     */
    struct sabir_metric *(*metric)(void *ctx,
                                   uint32_t kind,
                                   struct sabir_slice name,
                                   struct sabir_slice help,
                                   struct sabir_attributes labels);
    /**
     * Adds to a counter, sets a gauge, or observes a value of a histogram. `metric` may be NULL: nothing happens.
     */
    void (*metric_record)(void *ctx, struct sabir_metric *metric, double value);
    /**
     * Makes a timer, not armed. *Owned* by the caller, freed by `timer_free`.
     */
    struct sabir_timer *(*timer_new)(void *ctx);
    /**
     * Answers `SABIR_OK` once `sabir_now.monotonic_ms >= deadline_ms`; before that keeps the waker and answers
     * `SABIR_PENDING`. Another deadline re-arms the timer. Calls on one timer must not overlap. Reactor thread.
     */
    int64_t (*timer_poll)(void *ctx,
                          struct sabir_timer *timer,
                          uint64_t deadline_ms,
                          const struct sabir_waker *waker);
    /**
     * Frees a timer; its waker is not called afterwards. NULL is allowed.
     */
    void (*timer_free)(void *ctx, struct sabir_timer *timer);
    /**
     * Runs a task on a reactor thread. Takes `task` in every case; after a refusal it has been dropped.
     */
    int64_t (*spawn)(void *ctx, struct sabir_task task);
    /**
     * Runs `work(arg)` once on a thread that may block. After a refusal `work` is not called.
     */
    int64_t (*run_blocking)(void *ctx, void (*work)(void*), void *arg);
    /**
     * Registers a non-blocking file descriptor, which stays the plugin's: the host never closes it. `out`
     * receives the handle, *owned* by the caller until `io_deregister`. The descriptor joins the reactor of the
     * thread that first polls it.
     */
    int64_t (*io_register)(void *ctx, int32_t fd, struct sabir_io **out, struct sabir_error *error);
    /**
     * Runs `op(arg)` when the descriptor is ready for `interest`, within the reactor's readiness guard: when the
     * operation answers `SABIR_PENDING`, readiness is cleared without losing a wake-up that came meanwhile, the
     * waker is kept, and this answers `SABIR_PENDING`. Other answers are passed on. Calls with the same interest
     * on one handle must not overlap; the last waker of each interest is the one that is woken. Reactor thread.
     */
    int64_t (*io_poll_op)(void *ctx,
                          struct sabir_io *io,
                          uint32_t interest,
                          const struct sabir_waker *waker,
                          sabir_io_op op,
                          void *arg);
    /**
     * Receives into `buf`: answers the count of bytes, 0 at the end of the stream. Otherwise as `io_poll_op`.
     */
    int64_t (*io_poll_recv)(void *ctx,
                            struct sabir_io *io,
                            const struct sabir_waker *waker,
                            uint8_t *buf,
                            size_t len,
                            struct sabir_error *error);
    /**
     * Sends from `iov`: answers the count of bytes taken. A vanished peer is an error, never a signal. Otherwise
     * as `io_poll_op`.
     */
    int64_t (*io_poll_sendv)(void *ctx,
                             struct sabir_io *io,
                             const struct sabir_waker *waker,
                             const struct sabir_iovec *iov,
                             size_t count,
                             struct sabir_error *error);
    /**
     * Removes the descriptor from the reactor and frees the handle; its wakers are not called afterwards. Call it
     * before you close the descriptor. NULL is allowed.
     */
    void (*io_deregister)(void *ctx, struct sabir_io *io);
} sabir_host;

/**
 * One thing that a plugin can do. *Static*: lives as long as the library. Since 1.0.
 */
typedef struct sabir_component {
    /**
     * One of `SABIR_KIND_*`. A host skips kinds that it does not know, and says so.
     */
    uint32_t kind;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * `[a-z][a-z0-9-]*`, at most 32 bytes. For a transport: the URI scheme. For a protocol, store or codec: the
     * name in the configuration.
     */
    struct sabir_slice name;
    /**
     * What this component can do: `SABIR_CAP_<KIND>_*`.
     */
    uint64_t capabilities;
    /**
     * What this component needs from its host: bits of `sabir_host.capabilities`. A host that lacks one refuses
     * the component and names the bit.
     */
    uint64_t required_host_capabilities;
    /**
     * JSON Schema (2020-12) of the component's configuration; empty: it has none.
     */
    struct sabir_slice config_schema;
    /**
     * The vtable of the kind. Its first field is its `struct_size`.
     */
    const void *vtable;
} sabir_component;

/**
 * What a shared library answers with. *Static*: lives as long as the library, which is never unloaded. Since 1.0.
 */
typedef struct sabir_plugin {
    /**
     * `SABIR_PLUGIN_MAGIC`.
     */
    uint32_t magic;
    /**
     * Size of this struct in bytes, as the plugin knew it.
     */
    uint32_t struct_size;
    /**
     * `SABIR_ABI_MAJOR` that the plugin was built for.
     */
    uint32_t abi_major;
    /**
     * `SABIR_ABI_MINOR` that the plugin was built for.
     */
    uint32_t abi_minor;
    /**
     * Name of the plugin: `[a-z][a-z0-9-]*`, at most 64 bytes.
     */
    struct sabir_slice name;
    /**
     * Its own version, as in Semantic Versioning.
     */
    struct sabir_slice version;
    /**
     * SPDX licence expression.
     */
    struct sabir_slice license;
    /**
     * Who made it.
     */
    struct sabir_slice vendor;
    /**
     * One sentence for people.
     */
    struct sabir_slice description;
    /**
     * First component.
     */
    const struct sabir_component *components;
    /**
     * Number of components; at least 1.
     */
    uint32_t component_count;
    /**
     * Bytes from one component to the next.
     */
    uint32_t component_stride;
    /**
     * Called once, before anything else of the plugin, on any thread; may block briefly. `host` is valid for
     * ever. NULL: nothing to do. Answers `SABIR_OK` or an error.
     */
    int64_t (*init)(const struct sabir_host *host, struct sabir_error *error);
    /**
     * Called once, after every instance of every component is gone. Joins the plugin's threads; may block. The
     * library stays mapped. NULL: nothing to do.
     */
    void (*shutdown)(void);
} sabir_plugin;

/**
 * The one symbol that a plugin exports, under the name `sabir_plugin_entry_v1`. `host_abi_major` is the host's
 * `SABIR_ABI_MAJOR`. Answers a descriptor, or NULL when the plugin cannot serve that major version. Any thread;
 * must not block, and must not call anything else. Since 1.0.
 */
typedef const struct sabir_plugin *(*sabir_plugin_entry_v1_fn)(uint32_t host_abi_major);

/**
 * A run of bytes, named by where it lies. Since 1.0.
 */
typedef struct sabir_piece {
    /**
     * `SABIR_PIECE_*`; 0: no bytes.
     */
    uint32_t source;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * First byte in the source, or index in `owned`.
     */
    uint64_t offset;
    /**
     * Number of bytes.
     */
    uint64_t len;
} sabir_piece;

/**
 * What `PUBLISH` carries. Since 1.0.
 */
typedef struct sabir_publish {
    /**
     * The message's head in the canonical form (`docs/message-format.md`).
     */
    struct sabir_piece head;
    /**
     * The message's body, or the first piece of it.
     */
    struct sabir_piece body;
} sabir_publish;

/**
 * What `SETTLE` carries. Since 1.0.
 */
typedef struct sabir_settle {
    /**
     * First delivery tag.
     */
    uint64_t first;
    /**
     * Last delivery tag, inclusive.
     */
    uint64_t last;
    /**
     * `SABIR_OUTCOME_*`.
     */
    uint32_t outcome;
    /**
     * With `RELEASE`: not before so many milliseconds from now; 0: the destination's policy decides.
     */
    uint32_t delay_ms;
    /**
     * With `REJECT`: why, as text; kept with the dead letter.
     */
    struct sabir_piece reason;
} sabir_settle;

/**
 * What `CREDIT` carries. Since 1.0.
 */
typedef struct sabir_credit {
    /**
     * Deliveries to allow.
     */
    uint64_t amount;
    /**
     * Zero.
     */
    uint64_t reserved[5];
} sabir_credit;

/**
 * What `TRANSACT` carries. Since 1.0.
 */
typedef struct sabir_transact {
    /**
     * `SABIR_TRANSACT_*`.
     */
    uint32_t action;
    /**
     * Zero.
     */
    uint32_t reserved[11];
} sabir_transact;

/**
 * What a rare verb carries. Since 1.0.
 */
typedef struct sabir_rare {
    /**
     * Fields, each `{u16 field, u16 zero, u32 length, bytes}`, little-endian, `SABIR_FIELD_*`. Unknown fields are
     * skipped.
     */
    struct sabir_piece fields;
    /**
     * Zero.
     */
    uint64_t reserved[3];
} sabir_rare;

/**
 * The part of a verb that depends on its kind. Since 1.0.
 */
typedef union sabir_verb_detail {
    /**
     * With `PUBLISH`; with `BODY` only `body`.
     */
    struct sabir_publish publish;
    /**
     * With `SETTLE`.
     */
    struct sabir_settle settle;
    /**
     * With `CREDIT`.
     */
    struct sabir_credit credit;
    /**
     * With `TRANSACT`.
     */
    struct sabir_transact transact;
    /**
     * With every rare verb.
     */
    struct sabir_rare rare;
} sabir_verb_detail;

/**
 * One verb. The order of verbs is the order in which they take effect. Since 1.0.
 */
typedef struct sabir_verb {
    /**
     * `SABIR_VERB_*`.
     */
    uint32_t kind;
    /**
     * `SABIR_VERB_CONFIRM` and the flags of the kind.
     */
    uint32_t flags;
    /**
     * Chosen by the session, echoed in the reply.
     */
    uint64_t token;
    /**
     * Producer or subscription, chosen by the session; unique among its producers or subscriptions.
     */
    uint64_t id;
    /**
     * Transaction, chosen by the session; 0: none.
     */
    uint64_t transaction;
    /**
     * The rest.
     */
    union sabir_verb_detail detail;
} sabir_verb;

/**
 * Answer to a verb. *Borrowed* during `on_replies`. Since 1.0.
 */
typedef struct sabir_reply {
    /**
     * Of the verb.
     */
    uint64_t token;
    /**
     * `SABIR_OK`, or `SABIR_ERR_*`: refused, without effect.
     */
    int64_t status;
    /**
     * `SABIR_REASON_*`; 0 with `SABIR_OK`.
     */
    uint32_t reason;
    /**
     * `SABIR_REPLY_*`.
     */
    uint32_t flags;
    /**
     * With a refusal: why, for people. Otherwise what the verb asks for, as the name of a temporary destination.
     */
    struct sabir_slice text;
    /**
     * Fields as in `sabir_rare`, by verb.
     */
    struct sabir_slice fields;
} sabir_reply;

/**
 * A message on its way to a consumer. *Borrowed* during `on_deliveries`. Since 1.0.
 */
typedef struct sabir_delivery {
    /**
     * The session's subscription.
     */
    uint64_t subscription;
    /**
     * To settle it with; grows within the session, never 0.
     */
    uint64_t tag;
    /**
     * `SABIR_DELIVERY_*`.
     */
    uint32_t flags;
    /**
     * How often it was delivered before and not accepted.
     */
    uint32_t redelivery_count;
    /**
     * Head in the canonical form.
     */
    struct sabir_slice head;
    /**
     * What belongs to this entry alone: fields as in `sabir_rare` (origin and cause of a dead letter).
     */
    struct sabir_slice label;
    /**
     * Body, or a piece of it.
     */
    struct sabir_slice body;
    /**
     * Length of the whole body in bytes.
     */
    uint64_t body_total;
} sabir_delivery;

/**
 * A run of bytes to write to the link. Segments are written in order. Since 1.0.
 */
typedef struct sabir_segment {
    /**
     * `SABIR_SEGMENT_*`.
     */
    uint32_t kind;
    /**
     * `SABIR_CHUNK_*` on links that have boundaries.
     */
    uint32_t chunk_flags;
    /**
     * See `kind`.
     */
    uint64_t index;
    /**
     * First byte.
     */
    uint64_t offset;
    /**
     * Number of bytes.
     */
    uint64_t len;
    /**
     * On links with framing `exchange`: the exchange that is answered.
     */
    uint64_t exchange_id;
    /**
     * On links with framing `message` over datagrams: the peer.
     */
    uint64_t peer_id;
} sabir_segment;

/**
 * What a session fills during a call. All arrays are the host's, *borrowed* during the call: the session appends
 * below the capacities and raises the lengths. A session that finds no room for its next step stops, and sets
 * `SABIR_OUT_FULL`; with empty arrays there is room for any one step within the limits of
 * `sabir_session_params`. Since 1.0.
 */
typedef struct sabir_out {
    /**
     * Size of this struct in bytes, set by the host.
     */
    uint32_t struct_size;
    /**
     * `SABIR_OUT_*`, set by the session.
     */
    uint32_t flags;
    /**
     * Verbs, in order.
     */
    struct sabir_verb *verbs;
    /**
     * Room for so many verbs.
     */
    size_t verb_capacity;
    /**
     * Verbs filled.
     */
    size_t verb_count;
    /**
     * Bytes for heads, fields and output.
     */
    uint8_t *arena;
    /**
     * Room for so many bytes.
     */
    size_t arena_capacity;
    /**
     * Bytes filled.
     */
    size_t arena_len;
    /**
     * Output, in order.
     */
    struct sabir_segment *segments;
    /**
     * Room for so many segments.
     */
    size_t segment_capacity;
    /**
     * Segments filled.
     */
    size_t segment_count;
    /**
     * Bytes whose ownership passes to the host.
     */
    struct sabir_bytes *owned;
    /**
     * Room for so many.
     */
    size_t owned_capacity;
    /**
     * Elements filled.
     */
    size_t owned_count;
    /**
     * `on_bytes`: bytes of the input that are done with.
     */
    size_t consumed;
    /**
     * `on_bytes`: bytes needed in all, counted from the first one not consumed, before another call can get
     * further; 0: any. A hint for buffers, never believed beyond the limits.
     */
    size_t needed;
    /**
     * Call `on_timer` at this `sabir_now.monotonic_ms`; `UINT64_MAX`: never. Keeps its value between calls.
     */
    uint64_t deadline_ms;
} sabir_out;

/**
 * What a session is told when it is opened. *Borrowed* during the call. Since 1.0.
 */
typedef struct sabir_session_params {
    /**
     * Size of this struct in bytes, set by the host.
     */
    uint32_t struct_size;
    /**
     * `SABIR_FRAMING_*` of the link.
     */
    uint32_t framing;
    /**
     * Number of the session, unique while the broker runs.
     */
    uint64_t session_id;
    /**
     * A text that no other connection to any broker has had or will have: for message ids. At most 64 bytes of
     * `[A-Za-z0-9-]`.
     */
    struct sabir_slice connection_id;
    /**
     * Name and version of the broker, as `sabir/0.1.0`.
     */
    struct sabir_slice broker;
    /**
     * Attributes of the link.
     */
    struct sabir_attributes attributes;
    /**
     * The longest frame head or command, in bytes, that the session may demand whole.
     */
    uint64_t max_head_bytes;
    /**
     * The largest message, in bytes, that will be taken.
     */
    uint64_t max_message_bytes;
} sabir_session_params;

/**
 * What is known of a chunk of bytes beside the bytes. Since 1.0.
 */
typedef struct sabir_chunk_info {
    /**
     * Size of this struct in bytes, set by the caller.
     */
    uint32_t struct_size;
    /**
     * `SABIR_CHUNK_*`. Always 0 on links with `SABIR_FRAMING_STREAM`.
     */
    uint32_t flags;
    /**
     * With framing `exchange`: the exchange, chosen by the transport, never 0, never used twice on one link.
     * Otherwise 0.
     */
    uint64_t exchange_id;
    /**
     * With framing `message` over datagrams: whom it came from or goes to, chosen by the transport. Otherwise 0.
     */
    uint64_t peer_id;
} sabir_chunk_info;

/**
 * Functions of a protocol and its sessions. Those of the protocol may be called from any thread; those of one
 * session never overlap. None may block. Everything that comes from the link is untrusted. Since 1.0.
 */
typedef struct sabir_protocol_vtable {
    /**
     * Size of this struct in bytes, as the plugin knew it.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Makes an instance. `config` is a JSON object, *borrowed*. `out` is *owned* by the caller until `close`.
     */
    int64_t (*open)(const struct sabir_host *host,
                    struct sabir_slice config,
                    void **out,
                    struct sabir_error *error);
    /**
     * Tells whether a link speaks this protocol, from its first bytes: `SABIR_MATCH_*`.
     */
    int64_t (*matches)(void *protocol, struct sabir_slice prefix, struct sabir_attributes attributes);
    /**
     * Opens a session. `session` is *owned* by the caller until `session_drop`.
     */
    int64_t (*session_open)(void *protocol,
                            const struct sabir_session_params *params,
                            struct sabir_now now,
                            struct sabir_out *out,
                            void **session,
                            struct sabir_error *error);
    /**
     * Bytes have arrived: those that were not consumed before, and new ones behind them. `len` may be 0 when the
     * session had set `SABIR_OUT_FULL`.
     */
    int64_t (*on_bytes)(void *session,
                        struct sabir_now now,
                        struct sabir_slice bytes,
                        const struct sabir_chunk_info *info,
                        struct sabir_out *out);
    /**
     * Verbs were answered, in the order of the array; `stride` bytes lie between elements. Answers how many were
     * taken; the host offers the rest again.
     */
    int64_t (*on_replies)(void *session,
                          struct sabir_now now,
                          const struct sabir_reply *replies,
                          size_t count,
                          size_t stride,
                          struct sabir_out *out);
    /**
     * Messages for the session's subscriptions. Answers how many were taken; the host offers the rest again.
     */
    int64_t (*on_deliveries)(void *session,
                             struct sabir_now now,
                             const struct sabir_delivery *deliveries,
                             size_t count,
                             size_t stride,
                             struct sabir_out *out);
    /**
     * The flow has changed: `SABIR_FLOW_*`. `reason` is for people, *borrowed*. NULL: nothing to do.
     */
    int64_t (*on_flow)(void *session,
                       struct sabir_now now,
                       uint32_t flow,
                       struct sabir_slice reason,
                       struct sabir_out *out);
    /**
     * The session's deadline has passed. NULL: it sets none.
     */
    int64_t (*on_timer)(void *session, struct sabir_now now, struct sabir_out *out);
    /**
     * The broker ends the session (`reason`, for people, *borrowed*) and lets it say so to its peer. Not called
     * when the link is gone.
     */
    int64_t (*on_close)(void *session, struct sabir_now now, struct sabir_slice reason, struct sabir_out *out);
    /**
     * Frees a session. Nothing is called any more afterwards.
     */
    void (*session_drop)(void *session);
    /**
     * Frees the instance; its sessions are gone by then. Called exactly once.
     */
    void (*close)(void *protocol);
} sabir_protocol_vtable;

/**
 * One operation of a batch. *Borrowed* during `submit`. Fields that an operation does not use are zero. Since 1.0.
 */
typedef struct sabir_store_op {
    /**
     * `SABIR_STORE_*`.
     */
    uint32_t kind;
    /**
     * Number of the record's format: 0 is a canonical message, 1 the head of one whose body lies elsewhere, 2 a piece of such
     * a body, others are codecs'. Kept with the record.
     */
    uint32_t format;
    /**
     * The log.
     */
    uint64_t log;
    /**
     * The entry, or the first of a range.
     */
    uint64_t seq;
    /**
     * The last entry of a range, inclusive.
     */
    uint64_t last;
    /**
     * Sequence numbers that the record covers, at least 1; 1 for messages, more for batches of a stream.
     */
    uint64_t span;
    /**
     * With `LINK`: the log of the entry that has the record.
     */
    uint64_t from_log;
    /**
     * With `LINK`: the number of the entry that has the record.
     */
    uint64_t from_seq;
    /**
     * The entry's label (at most 65,535 bytes), or the key (1 to 1,024 bytes).
     */
    struct sabir_slice label;
    /**
     * The record's or value's bytes, to be joined: first piece.
     */
    const struct sabir_slice *pieces;
    /**
     * Number of pieces.
     */
    uint64_t piece_count;
} sabir_store_op;

/**
 * What to read. Since 1.0.
 */
typedef struct sabir_read {
    /**
     * Size of this struct in bytes, set by the caller.
     */
    uint32_t struct_size;
    /**
     * `SABIR_READ_*`.
     */
    uint32_t want;
    /**
     * The log.
     */
    uint64_t log;
    /**
     * The first entry wanted, or the next one that exists.
     */
    uint64_t from_seq;
    /**
     * Entries beyond this number are not given.
     */
    uint64_t last_seq;
    /**
     * At most so many entries; 0: no bound.
     */
    uint64_t max_records;
    /**
     * Stop before the entry with which the bytes given would exceed this, but give at least one. 0: no bound.
     */
    uint64_t max_bytes;
    /**
     * See `SABIR_READ_RANGE`.
     */
    uint64_t piece_offset;
    /**
     * See `SABIR_READ_HEAD`, `SABIR_READ_RANGE`.
     */
    uint64_t piece_len;
} sabir_read;

/**
 * An entry as `read` gives it. *Borrowed* by the visitor during its call. Since 1.0.
 */
typedef struct sabir_store_record {
    /**
     * Size of this struct in bytes, set by the store.
     */
    uint32_t struct_size;
    /**
     * As it was appended.
     */
    uint32_t format;
    /**
     * The entry's number.
     */
    uint64_t seq;
    /**
     * As it was appended.
     */
    uint64_t span;
    /**
     * Length of the whole record in bytes, however much of it is given.
     */
    uint64_t total_len;
    /**
     * The entry's label.
     */
    struct sabir_slice label;
    /**
     * The record, or the part that was wanted. The visitor may `retain` it and so keep it without a copy.
     */
    struct sabir_bytes data;
} sabir_store_record;

/**
 * Receives records in order; answers `SABIR_OK` to go on, anything else to stop. Since 1.0.
 */
typedef int64_t (*sabir_store_visit)(void *arg, const struct sabir_store_record *record);

/**
 * Receives keys in order; answers `SABIR_OK` to go on, anything else to stop. Since 1.0.
 */
typedef int64_t (*sabir_store_visit_key)(void *arg, struct sabir_slice key, struct sabir_slice value);

/**
 * A run of entries that exist, without a gap other than spans. Since 1.0.
 */
typedef struct sabir_log_range {
    /**
     * First entry.
     */
    uint64_t first;
    /**
     * Last sequence number covered, inclusive.
     */
    uint64_t last;
    /**
     * Entries in the run.
     */
    uint64_t count;
    /**
     * Bytes of their records.
     */
    uint64_t bytes;
} sabir_log_range;

/**
 * What recovery tells of one log. *Borrowed* by the visitor during its call. Since 1.0.
 */
typedef struct sabir_log_summary {
    /**
     * Size of this struct in bytes, set by the store.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t flags;
    /**
     * The log.
     */
    uint64_t log;
    /**
     * One more than the highest sequence number that the log ever had, removed entries included.
     */
    uint64_t next_seq;
    /**
     * First of the runs, in order.
     */
    const struct sabir_log_range *ranges;
    /**
     * Number of runs.
     */
    uint64_t range_count;
    /**
     * Bytes from one run to the next.
     */
    uint64_t range_stride;
} sabir_log_summary;

/**
 * Receives the summaries of all logs; answers `SABIR_OK` to go on, anything else to stop. Since 1.0.
 */
typedef int64_t (*sabir_store_visit_log)(void *arg, const struct sabir_log_summary *log);

/**
 * Told how far `maintain` has come: what it is doing, in a word or two, and how much of it is done, in bytes or entries;
 * `total` 0: unknown. Answers `SABIR_OK` to go on, anything else to stop as soon as that leaves nothing half done.
 * Since 1.2.
 */
typedef int64_t (*sabir_store_progress)(void *arg, struct sabir_slice phase, uint64_t done, uint64_t total);

/**
 * Figures of a store. Since 1.0.
 */
typedef struct sabir_store_stats {
    /**
     * Size of this struct in bytes, set by the caller.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t flags;
    /**
     * Entries that exist.
     */
    uint64_t live_records;
    /**
     * Bytes of the records that exist, each once.
     */
    uint64_t live_bytes;
    /**
     * Bytes that the store occupies on its medium.
     */
    uint64_t used_bytes;
    /**
     * Bytes that it may still occupy; `u64::MAX`: unknown.
     */
    uint64_t free_bytes;
    /**
     * Syncs since `open`.
     */
    uint64_t syncs;
    /**
     * Bytes written since `open`.
     */
    uint64_t written_bytes;
    /**
     * Memory that the store's index takes, in bytes.
     */
    uint64_t index_bytes;
} sabir_store_stats;

/**
 * Functions of a store.
 *
 * The host calls `submit` and `sync` from one thread at a time, and the others from any thread at any time. All of
 * them may block: the host never calls them on a reactor thread, save for `submit` and `sync` where it has
 * decided to pay for it.
 *
 * **Atomic**: after a crash a batch is there whole or not at all. **Ordered**: batches take effect in the order
 * of their tickets; when a batch survived, all before it did. **Durable**: what `sync` reported stays.
 *
 * **A failed write or sync is final.** The store never tries it again (after a failed fsync the page cache lies);
 * it answers `SABIR_ERR_IO` to every later `submit` and `sync`. Running out of space while reserving it is not a
 * failure: `submit` answers `SABIR_ERR_FULL`, had no effect, and may be tried again; batches that only remove are
 * never refused so. Since 1.0.
 */
typedef struct sabir_store_vtable {
    /**
     * Size of this struct in bytes, as the plugin knew it.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Opens the store, recovering from an unclean end. `config` is a JSON object, *borrowed*. `SABIR_ERR_LOCKED`
     * when another process has it. `out` is *owned* by the caller until `close`.
     */
    int64_t (*open)(const struct sabir_host *host,
                    struct sabir_slice config,
                    void **out,
                    struct sabir_error *error);
    /**
     * Shows the summary of every log. Called before the first `submit`.
     */
    int64_t (*recover)(void *store, sabir_store_visit_log visit, void *arg, struct sabir_error *error);
    /**
     * Takes a batch of `count` operations, `stride` bytes apart. `ticket` receives its number: 1 for the first
     * batch after `open`, growing. The batch is visible to `read` and `scan` when this returns.
     */
    int64_t (*submit)(void *store,
                      const struct sabir_store_op *ops,
                      size_t count,
                      size_t stride,
                      uint32_t level,
                      uint64_t *ticket,
                      struct sabir_error *error);
    /**
     * Returns when all batches up to `ticket` are durable by the store's configured meaning; `durable` receives
     * the highest ticket that is.
     */
    int64_t (*sync)(void *store, uint64_t ticket, uint64_t *durable, struct sabir_error *error);
    /**
     * Shows entries in order. An entry whose record is damaged is reported as `SABIR_ERR_CORRUPT` after those
     * before it were shown; the message says which.
     */
    int64_t (*read)(void *store,
                    const struct sabir_read *what,
                    sabir_store_visit visit,
                    void *arg,
                    struct sabir_error *error);
    /**
     * Shows the keys from `from` (inclusive) to `to` (exclusive; empty: no end) in byte order, at most `limit`
     * (0: no bound). The visitor must not call the store.
     */
    int64_t (*scan)(void *store,
                    struct sabir_slice from,
                    struct sabir_slice to,
                    uint64_t limit,
                    sabir_store_visit_key visit,
                    void *arg,
                    struct sabir_error *error);
    /**
     * Fills in figures.
     */
    int64_t (*stats)(void *store, struct sabir_store_stats *out, struct sabir_error *error);
    /**
     * Makes everything submitted durable, ends the store's threads and frees it, whatever it answers. Called
     * exactly once, and last.
     */
    int64_t (*close)(void *store, struct sabir_error *error);
    /**
     * Becomes the store's only writer: answers `SABIR_OK` with the new epoch, or `SABIR_PENDING` while another
     * is (the host asks again). Only with `SABIR_CAP_STORE_LOCK`.
     */
    int64_t (*lock_acquire)(void *store, uint64_t *epoch, struct sabir_error *error);
    /**
     * Shows that this process is still alive; `SABIR_ERR_LOCKED`: it has lost the store and must stop at once.
     */
    int64_t (*lock_keep)(void *store, struct sabir_error *error);
    /**
     * Finds the file that holds the record of an entry: descriptor, offset, length. The file stays until `unpin`.
     * Only with `SABIR_CAP_STORE_REGION`.
     */
    int64_t (*region)(void *store,
                      uint64_t log,
                      uint64_t seq,
                      int32_t *fd,
                      uint64_t *offset,
                      uint64_t *len,
                      uint64_t *pin,
                      struct sabir_error *error);
    /**
     * Gives back what `region` pinned.
     */
    void (*unpin)(void *store, uint64_t pin);
    /**
     * Writes a consistent copy into the directory `path`, while the store goes on. Only with
     * `SABIR_CAP_STORE_BACKUP`.
     */
    int64_t (*backup)(void *store, struct sabir_slice path, struct sabir_error *error);
    /**
     * Looks after a store that is *not* open: `config` is what `open` takes, and `SABIR_ERR_LOCKED` the answer while
     * anybody has the store. `verb` is one of `SABIR_MAINTAIN_*`, `SABIR_ERR_UNSUPPORTED` the answer to those that the
     * store does not have. `options` is a JSON object, or empty. `report` receives a JSON object, *owned* by the caller;
     * `docs/plugin-abi.md` says what is in it. That something is damaged is no failure of this call but stands in the
     * report. Called on a thread that may block, for as long as it takes. Only with `SABIR_CAP_STORE_MAINTAIN`.
     * Since 1.2.
     */
    int64_t (*maintain)(const struct sabir_host *host,
                        struct sabir_slice config,
                        uint32_t verb,
                        struct sabir_slice options,
                        struct Option_sabir_store_progress progress,
                        void *arg,
                        struct sabir_bytes *report,
                        struct sabir_error *error);
} sabir_store_vtable;

/**
 * Functions of a link. The host calls those of one link one at a time, mostly from one reactor thread; none may
 * block. A link that answered an error other than `SABIR_PENDING` is only dropped. Since 1.0.
 */
typedef struct sabir_link_vtable {
    /**
     * Size of this struct in bytes, as the plugin knew it.
     */
    uint32_t struct_size;
    /**
     * `SABIR_FRAMING_*`.
     */
    uint32_t framing;
    /**
     * What is known of the link. *Borrowed*: valid until the next call with the same link. It may grow once
     * `poll_ready` has answered.
     */
    struct sabir_attributes (*attributes)(void *link);
    /**
     * Answers `SABIR_OK` when the link can carry bytes: connected, and with its handshakes done. The host calls it
     * until then, before anything else. NULL: ready from the start.
     */
    int64_t (*poll_ready)(void *link, const struct sabir_waker *waker, struct sabir_error *error);
    /**
     * Reads into `buf`, at most `len` (at least 1) bytes. Answers the count; 0 is the end of the stream, or with
     * `SABIR_CHUNK_END` an empty message. A message longer than `len` comes in pieces, the last with
     * `SABIR_CHUNK_END`.
     */
    int64_t (*poll_read)(void *link,
                         const struct sabir_waker *waker,
                         uint8_t *buf,
                         size_t len,
                         struct sabir_chunk_info *info,
                         struct sabir_error *error);
    /**
     * Writes from `iov`, as much as goes now; answers the count of bytes taken, at least 1 when there were any.
     * With framing `message` and `exchange` the flags of `info` describe the bytes offered, and a message is ended
     * by the call that takes its last byte.
     */
    int64_t (*poll_write)(void *link,
                          const struct sabir_waker *waker,
                          const struct sabir_iovec *iov,
                          size_t count,
                          const struct sabir_chunk_info *info,
                          struct sabir_error *error);
    /**
     * Hands what the link has buffered to its medium. NULL: it buffers nothing.
     */
    int64_t (*poll_flush)(void *link, const struct sabir_waker *waker, struct sabir_error *error);
    /**
     * Ends the writing half after what was written; reading goes on where the medium can.
     */
    int64_t (*poll_shutdown)(void *link, const struct sabir_waker *waker, struct sabir_error *error);
    /**
     * Sends `len` bytes of the file `fd` from `offset`; answers the count taken. NULL: the host reads and writes.
     */
    int64_t (*poll_send_file)(void *link,
                              const struct sabir_waker *waker,
                              int32_t fd,
                              uint64_t offset,
                              size_t len,
                              struct sabir_error *error);
    /**
     * Frees the link; the medium is closed at once. Called exactly once, and last. Never NULL.
     */
    void (*drop)(void *link);
} sabir_link_vtable;

/**
 * A link. *Owned* by whoever holds the pair. Since 1.0.
 */
typedef struct sabir_link {
    /**
     * Handed to the functions.
     */
    void *object;
    /**
     * Never NULL; valid for ever.
     */
    const struct sabir_link_vtable *vtable;
} sabir_link;

/**
 * Functions of a listener. Calls on one listener never overlap; none may block. Since 1.0.
 */
typedef struct sabir_listener_vtable {
    /**
     * Size of this struct in bytes, as the plugin knew it.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * The address that others connect to, with the port that the system chose where 0 was asked for, as
     * `127.0.0.1:61613`. *Borrowed*: valid until the listener is dropped.
     */
    struct sabir_slice (*local_address)(void *listener);
    /**
     * Answers `SABIR_OK` and fills `out` with a link, *owned* by the caller. `SABIR_ERR_LIMIT` (no file
     * descriptors, say) leaves the listener usable: the host waits and tries again. After another error the host
     * drops the listener.
     */
    int64_t (*poll_accept)(void *listener,
                           const struct sabir_waker *waker,
                           struct sabir_link *out,
                           struct sabir_error *error);
    /**
     * Frees the listener; accepted links live on. Called exactly once, and last. Never NULL.
     */
    void (*drop)(void *listener);
} sabir_listener_vtable;

/**
 * A listener. *Owned* by whoever holds the pair. Since 1.0.
 */
typedef struct sabir_listener {
    /**
     * Handed to the functions.
     */
    void *object;
    /**
     * Never NULL; valid for ever.
     */
    const struct sabir_listener_vtable *vtable;
} sabir_listener;

/**
 * Functions of a transport. Any thread may call them; `listen` and `connect` must not block (name look-up goes
 * through `run_blocking`, and `poll_ready` waits for it). Since 1.0.
 */
typedef struct sabir_transport_vtable {
    /**
     * Size of this struct in bytes, as the plugin knew it.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Makes an instance. `config` is a JSON object, *borrowed*. `out` is *owned* by the caller until `close`.
     */
    int64_t (*open)(const struct sabir_host *host,
                    struct sabir_slice config,
                    void **out,
                    struct sabir_error *error);
    /**
     * Opens a listener on `uri` (as `tcp://127.0.0.1:61613?backlog=1024`).
     */
    int64_t (*listen)(void *transport,
                      struct sabir_slice uri,
                      struct sabir_listener *out,
                      struct sabir_error *error);
    /**
     * Opens a link to `uri`.
     */
    int64_t (*connect)(void *transport,
                       struct sabir_slice uri,
                       struct sabir_link *out,
                       struct sabir_error *error);
    /**
     * Takes a listener, *owned* in every case, and gives one that yields links standing on its links, N to M.
     */
    int64_t (*wrap_listener)(void *transport,
                             struct sabir_listener inner,
                             struct sabir_slice uri,
                             struct sabir_listener *out,
                             struct sabir_error *error);
    /**
     * Takes a link to a server, *owned* in every case, and gives one that stands on it.
     */
    int64_t (*wrap_link)(void *transport,
                         struct sabir_link inner,
                         struct sabir_slice uri,
                         struct sabir_link *out,
                         struct sabir_error *error);
    /**
     * Frees the instance; its listeners and links are gone by then. Called exactly once.
     */
    void (*close)(void *transport);
} sabir_transport_vtable;

#if defined(_WIN32)
#define SABIR_PLUGIN_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define SABIR_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define SABIR_PLUGIN_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The one symbol that a plugin exports: see `sabir_plugin_entry_v1_fn`. Since 1.0.
 */
SABIR_PLUGIN_EXPORT const sabir_plugin *sabir_plugin_entry_v1(uint32_t host_abi_major);

#ifdef __cplusplus
}
#endif

/* The layout, as the host sees it: a compiler that lays structs out otherwise stops here. */
#if UINTPTR_MAX == UINT64_MAX
#ifdef __cplusplus
#define SABIR_ASSERT_(condition) static_assert(condition, #condition)
#else
#define SABIR_ASSERT_(condition) _Static_assert(condition, #condition)
#endif
SABIR_ASSERT_(sizeof(sabir_slice) == 16);
SABIR_ASSERT_(offsetof(sabir_slice, ptr) == 0);
SABIR_ASSERT_(offsetof(sabir_slice, len) == 8);
SABIR_ASSERT_(sizeof(sabir_bytes) == 40);
SABIR_ASSERT_(offsetof(sabir_bytes, ptr) == 0);
SABIR_ASSERT_(offsetof(sabir_bytes, len) == 8);
SABIR_ASSERT_(offsetof(sabir_bytes, owner) == 16);
SABIR_ASSERT_(offsetof(sabir_bytes, retain) == 24);
SABIR_ASSERT_(offsetof(sabir_bytes, release) == 32);
SABIR_ASSERT_(sizeof(sabir_waker_vtable) == 40);
SABIR_ASSERT_(offsetof(sabir_waker_vtable, struct_size) == 0);
SABIR_ASSERT_(offsetof(sabir_waker_vtable, reserved) == 4);
SABIR_ASSERT_(offsetof(sabir_waker_vtable, clone) == 8);
SABIR_ASSERT_(offsetof(sabir_waker_vtable, wake) == 16);
SABIR_ASSERT_(offsetof(sabir_waker_vtable, wake_by_ref) == 24);
SABIR_ASSERT_(offsetof(sabir_waker_vtable, drop) == 32);
SABIR_ASSERT_(sizeof(sabir_waker) == 16);
SABIR_ASSERT_(offsetof(sabir_waker, data) == 0);
SABIR_ASSERT_(offsetof(sabir_waker, vtable) == 8);
SABIR_ASSERT_(sizeof(sabir_error) == 56);
SABIR_ASSERT_(offsetof(sabir_error, struct_size) == 0);
SABIR_ASSERT_(offsetof(sabir_error, retryable) == 4);
SABIR_ASSERT_(offsetof(sabir_error, code) == 8);
SABIR_ASSERT_(offsetof(sabir_error, message) == 16);
SABIR_ASSERT_(sizeof(sabir_attribute) == 32);
SABIR_ASSERT_(offsetof(sabir_attribute, name) == 0);
SABIR_ASSERT_(offsetof(sabir_attribute, value) == 16);
SABIR_ASSERT_(sizeof(sabir_attributes) == 16);
SABIR_ASSERT_(offsetof(sabir_attributes, ptr) == 0);
SABIR_ASSERT_(offsetof(sabir_attributes, count) == 8);
SABIR_ASSERT_(offsetof(sabir_attributes, stride) == 12);
SABIR_ASSERT_(sizeof(sabir_now) == 16);
SABIR_ASSERT_(offsetof(sabir_now, monotonic_ms) == 0);
SABIR_ASSERT_(offsetof(sabir_now, unix_ms) == 8);
SABIR_ASSERT_(sizeof(sabir_component) == 64);
SABIR_ASSERT_(offsetof(sabir_component, kind) == 0);
SABIR_ASSERT_(offsetof(sabir_component, reserved) == 4);
SABIR_ASSERT_(offsetof(sabir_component, name) == 8);
SABIR_ASSERT_(offsetof(sabir_component, capabilities) == 24);
SABIR_ASSERT_(offsetof(sabir_component, required_host_capabilities) == 32);
SABIR_ASSERT_(offsetof(sabir_component, config_schema) == 40);
SABIR_ASSERT_(offsetof(sabir_component, vtable) == 56);
SABIR_ASSERT_(sizeof(sabir_plugin) == 128);
SABIR_ASSERT_(offsetof(sabir_plugin, magic) == 0);
SABIR_ASSERT_(offsetof(sabir_plugin, struct_size) == 4);
SABIR_ASSERT_(offsetof(sabir_plugin, abi_major) == 8);
SABIR_ASSERT_(offsetof(sabir_plugin, abi_minor) == 12);
SABIR_ASSERT_(offsetof(sabir_plugin, name) == 16);
SABIR_ASSERT_(offsetof(sabir_plugin, version) == 32);
SABIR_ASSERT_(offsetof(sabir_plugin, license) == 48);
SABIR_ASSERT_(offsetof(sabir_plugin, vendor) == 64);
SABIR_ASSERT_(offsetof(sabir_plugin, description) == 80);
SABIR_ASSERT_(offsetof(sabir_plugin, components) == 96);
SABIR_ASSERT_(offsetof(sabir_plugin, component_count) == 104);
SABIR_ASSERT_(offsetof(sabir_plugin, component_stride) == 108);
SABIR_ASSERT_(offsetof(sabir_plugin, init) == 112);
SABIR_ASSERT_(offsetof(sabir_plugin, shutdown) == 120);
SABIR_ASSERT_(sizeof(sabir_iovec) == 16);
SABIR_ASSERT_(offsetof(sabir_iovec, base) == 0);
SABIR_ASSERT_(offsetof(sabir_iovec, len) == 8);
SABIR_ASSERT_(sizeof(sabir_task) == 24);
SABIR_ASSERT_(offsetof(sabir_task, data) == 0);
SABIR_ASSERT_(offsetof(sabir_task, poll) == 8);
SABIR_ASSERT_(offsetof(sabir_task, drop) == 16);
SABIR_ASSERT_(sizeof(sabir_host) == 168);
SABIR_ASSERT_(offsetof(sabir_host, struct_size) == 0);
SABIR_ASSERT_(offsetof(sabir_host, abi_major) == 4);
SABIR_ASSERT_(offsetof(sabir_host, abi_minor) == 8);
SABIR_ASSERT_(offsetof(sabir_host, reserved) == 12);
SABIR_ASSERT_(offsetof(sabir_host, capabilities) == 16);
SABIR_ASSERT_(offsetof(sabir_host, name) == 24);
SABIR_ASSERT_(offsetof(sabir_host, ctx) == 40);
SABIR_ASSERT_(offsetof(sabir_host, log_level) == 48);
SABIR_ASSERT_(offsetof(sabir_host, log) == 56);
SABIR_ASSERT_(offsetof(sabir_host, now) == 64);
SABIR_ASSERT_(offsetof(sabir_host, metric) == 72);
SABIR_ASSERT_(offsetof(sabir_host, metric_record) == 80);
SABIR_ASSERT_(offsetof(sabir_host, timer_new) == 88);
SABIR_ASSERT_(offsetof(sabir_host, timer_poll) == 96);
SABIR_ASSERT_(offsetof(sabir_host, timer_free) == 104);
SABIR_ASSERT_(offsetof(sabir_host, spawn) == 112);
SABIR_ASSERT_(offsetof(sabir_host, run_blocking) == 120);
SABIR_ASSERT_(offsetof(sabir_host, io_register) == 128);
SABIR_ASSERT_(offsetof(sabir_host, io_poll_op) == 136);
SABIR_ASSERT_(offsetof(sabir_host, io_poll_recv) == 144);
SABIR_ASSERT_(offsetof(sabir_host, io_poll_sendv) == 152);
SABIR_ASSERT_(offsetof(sabir_host, io_deregister) == 160);
SABIR_ASSERT_(sizeof(sabir_chunk_info) == 24);
SABIR_ASSERT_(offsetof(sabir_chunk_info, struct_size) == 0);
SABIR_ASSERT_(offsetof(sabir_chunk_info, flags) == 4);
SABIR_ASSERT_(offsetof(sabir_chunk_info, exchange_id) == 8);
SABIR_ASSERT_(offsetof(sabir_chunk_info, peer_id) == 16);
SABIR_ASSERT_(sizeof(sabir_link_vtable) == 72);
SABIR_ASSERT_(offsetof(sabir_link_vtable, struct_size) == 0);
SABIR_ASSERT_(offsetof(sabir_link_vtable, framing) == 4);
SABIR_ASSERT_(offsetof(sabir_link_vtable, attributes) == 8);
SABIR_ASSERT_(offsetof(sabir_link_vtable, poll_ready) == 16);
SABIR_ASSERT_(offsetof(sabir_link_vtable, poll_read) == 24);
SABIR_ASSERT_(offsetof(sabir_link_vtable, poll_write) == 32);
SABIR_ASSERT_(offsetof(sabir_link_vtable, poll_flush) == 40);
SABIR_ASSERT_(offsetof(sabir_link_vtable, poll_shutdown) == 48);
SABIR_ASSERT_(offsetof(sabir_link_vtable, poll_send_file) == 56);
SABIR_ASSERT_(offsetof(sabir_link_vtable, drop) == 64);
SABIR_ASSERT_(sizeof(sabir_link) == 16);
SABIR_ASSERT_(offsetof(sabir_link, object) == 0);
SABIR_ASSERT_(offsetof(sabir_link, vtable) == 8);
SABIR_ASSERT_(sizeof(sabir_listener_vtable) == 32);
SABIR_ASSERT_(offsetof(sabir_listener_vtable, struct_size) == 0);
SABIR_ASSERT_(offsetof(sabir_listener_vtable, reserved) == 4);
SABIR_ASSERT_(offsetof(sabir_listener_vtable, local_address) == 8);
SABIR_ASSERT_(offsetof(sabir_listener_vtable, poll_accept) == 16);
SABIR_ASSERT_(offsetof(sabir_listener_vtable, drop) == 24);
SABIR_ASSERT_(sizeof(sabir_listener) == 16);
SABIR_ASSERT_(offsetof(sabir_listener, object) == 0);
SABIR_ASSERT_(offsetof(sabir_listener, vtable) == 8);
SABIR_ASSERT_(sizeof(sabir_transport_vtable) == 56);
SABIR_ASSERT_(offsetof(sabir_transport_vtable, struct_size) == 0);
SABIR_ASSERT_(offsetof(sabir_transport_vtable, reserved) == 4);
SABIR_ASSERT_(offsetof(sabir_transport_vtable, open) == 8);
SABIR_ASSERT_(offsetof(sabir_transport_vtable, listen) == 16);
SABIR_ASSERT_(offsetof(sabir_transport_vtable, connect) == 24);
SABIR_ASSERT_(offsetof(sabir_transport_vtable, wrap_listener) == 32);
SABIR_ASSERT_(offsetof(sabir_transport_vtable, wrap_link) == 40);
SABIR_ASSERT_(offsetof(sabir_transport_vtable, close) == 48);
SABIR_ASSERT_(sizeof(sabir_piece) == 24);
SABIR_ASSERT_(offsetof(sabir_piece, source) == 0);
SABIR_ASSERT_(offsetof(sabir_piece, reserved) == 4);
SABIR_ASSERT_(offsetof(sabir_piece, offset) == 8);
SABIR_ASSERT_(offsetof(sabir_piece, len) == 16);
SABIR_ASSERT_(sizeof(sabir_publish) == 48);
SABIR_ASSERT_(offsetof(sabir_publish, head) == 0);
SABIR_ASSERT_(offsetof(sabir_publish, body) == 24);
SABIR_ASSERT_(sizeof(sabir_settle) == 48);
SABIR_ASSERT_(offsetof(sabir_settle, first) == 0);
SABIR_ASSERT_(offsetof(sabir_settle, last) == 8);
SABIR_ASSERT_(offsetof(sabir_settle, outcome) == 16);
SABIR_ASSERT_(offsetof(sabir_settle, delay_ms) == 20);
SABIR_ASSERT_(offsetof(sabir_settle, reason) == 24);
SABIR_ASSERT_(sizeof(sabir_credit) == 48);
SABIR_ASSERT_(offsetof(sabir_credit, amount) == 0);
SABIR_ASSERT_(offsetof(sabir_credit, reserved) == 8);
SABIR_ASSERT_(sizeof(sabir_transact) == 48);
SABIR_ASSERT_(offsetof(sabir_transact, action) == 0);
SABIR_ASSERT_(offsetof(sabir_transact, reserved) == 4);
SABIR_ASSERT_(sizeof(sabir_rare) == 48);
SABIR_ASSERT_(offsetof(sabir_rare, fields) == 0);
SABIR_ASSERT_(offsetof(sabir_rare, reserved) == 24);
SABIR_ASSERT_(sizeof(sabir_verb) == 80);
SABIR_ASSERT_(offsetof(sabir_verb, kind) == 0);
SABIR_ASSERT_(offsetof(sabir_verb, flags) == 4);
SABIR_ASSERT_(offsetof(sabir_verb, token) == 8);
SABIR_ASSERT_(offsetof(sabir_verb, id) == 16);
SABIR_ASSERT_(offsetof(sabir_verb, transaction) == 24);
SABIR_ASSERT_(offsetof(sabir_verb, detail) == 32);
SABIR_ASSERT_(sizeof(sabir_reply) == 56);
SABIR_ASSERT_(offsetof(sabir_reply, token) == 0);
SABIR_ASSERT_(offsetof(sabir_reply, status) == 8);
SABIR_ASSERT_(offsetof(sabir_reply, reason) == 16);
SABIR_ASSERT_(offsetof(sabir_reply, flags) == 20);
SABIR_ASSERT_(offsetof(sabir_reply, text) == 24);
SABIR_ASSERT_(offsetof(sabir_reply, fields) == 40);
SABIR_ASSERT_(sizeof(sabir_delivery) == 80);
SABIR_ASSERT_(offsetof(sabir_delivery, subscription) == 0);
SABIR_ASSERT_(offsetof(sabir_delivery, tag) == 8);
SABIR_ASSERT_(offsetof(sabir_delivery, flags) == 16);
SABIR_ASSERT_(offsetof(sabir_delivery, redelivery_count) == 20);
SABIR_ASSERT_(offsetof(sabir_delivery, head) == 24);
SABIR_ASSERT_(offsetof(sabir_delivery, label) == 40);
SABIR_ASSERT_(offsetof(sabir_delivery, body) == 56);
SABIR_ASSERT_(offsetof(sabir_delivery, body_total) == 72);
SABIR_ASSERT_(sizeof(sabir_segment) == 48);
SABIR_ASSERT_(offsetof(sabir_segment, kind) == 0);
SABIR_ASSERT_(offsetof(sabir_segment, chunk_flags) == 4);
SABIR_ASSERT_(offsetof(sabir_segment, index) == 8);
SABIR_ASSERT_(offsetof(sabir_segment, offset) == 16);
SABIR_ASSERT_(offsetof(sabir_segment, len) == 24);
SABIR_ASSERT_(offsetof(sabir_segment, exchange_id) == 32);
SABIR_ASSERT_(offsetof(sabir_segment, peer_id) == 40);
SABIR_ASSERT_(sizeof(sabir_out) == 128);
SABIR_ASSERT_(offsetof(sabir_out, struct_size) == 0);
SABIR_ASSERT_(offsetof(sabir_out, flags) == 4);
SABIR_ASSERT_(offsetof(sabir_out, verbs) == 8);
SABIR_ASSERT_(offsetof(sabir_out, verb_capacity) == 16);
SABIR_ASSERT_(offsetof(sabir_out, verb_count) == 24);
SABIR_ASSERT_(offsetof(sabir_out, arena) == 32);
SABIR_ASSERT_(offsetof(sabir_out, arena_capacity) == 40);
SABIR_ASSERT_(offsetof(sabir_out, arena_len) == 48);
SABIR_ASSERT_(offsetof(sabir_out, segments) == 56);
SABIR_ASSERT_(offsetof(sabir_out, segment_capacity) == 64);
SABIR_ASSERT_(offsetof(sabir_out, segment_count) == 72);
SABIR_ASSERT_(offsetof(sabir_out, owned) == 80);
SABIR_ASSERT_(offsetof(sabir_out, owned_capacity) == 88);
SABIR_ASSERT_(offsetof(sabir_out, owned_count) == 96);
SABIR_ASSERT_(offsetof(sabir_out, consumed) == 104);
SABIR_ASSERT_(offsetof(sabir_out, needed) == 112);
SABIR_ASSERT_(offsetof(sabir_out, deadline_ms) == 120);
SABIR_ASSERT_(sizeof(sabir_session_params) == 80);
SABIR_ASSERT_(offsetof(sabir_session_params, struct_size) == 0);
SABIR_ASSERT_(offsetof(sabir_session_params, framing) == 4);
SABIR_ASSERT_(offsetof(sabir_session_params, session_id) == 8);
SABIR_ASSERT_(offsetof(sabir_session_params, connection_id) == 16);
SABIR_ASSERT_(offsetof(sabir_session_params, broker) == 32);
SABIR_ASSERT_(offsetof(sabir_session_params, attributes) == 48);
SABIR_ASSERT_(offsetof(sabir_session_params, max_head_bytes) == 64);
SABIR_ASSERT_(offsetof(sabir_session_params, max_message_bytes) == 72);
SABIR_ASSERT_(sizeof(sabir_protocol_vtable) == 96);
SABIR_ASSERT_(offsetof(sabir_protocol_vtable, struct_size) == 0);
SABIR_ASSERT_(offsetof(sabir_protocol_vtable, reserved) == 4);
SABIR_ASSERT_(offsetof(sabir_protocol_vtable, open) == 8);
SABIR_ASSERT_(offsetof(sabir_protocol_vtable, matches) == 16);
SABIR_ASSERT_(offsetof(sabir_protocol_vtable, session_open) == 24);
SABIR_ASSERT_(offsetof(sabir_protocol_vtable, on_bytes) == 32);
SABIR_ASSERT_(offsetof(sabir_protocol_vtable, on_replies) == 40);
SABIR_ASSERT_(offsetof(sabir_protocol_vtable, on_deliveries) == 48);
SABIR_ASSERT_(offsetof(sabir_protocol_vtable, on_flow) == 56);
SABIR_ASSERT_(offsetof(sabir_protocol_vtable, on_timer) == 64);
SABIR_ASSERT_(offsetof(sabir_protocol_vtable, on_close) == 72);
SABIR_ASSERT_(offsetof(sabir_protocol_vtable, session_drop) == 80);
SABIR_ASSERT_(offsetof(sabir_protocol_vtable, close) == 88);
SABIR_ASSERT_(sizeof(sabir_codec_item) == 72);
SABIR_ASSERT_(offsetof(sabir_codec_item, struct_size) == 0);
SABIR_ASSERT_(offsetof(sabir_codec_item, flags) == 4);
SABIR_ASSERT_(offsetof(sabir_codec_item, index) == 8);
SABIR_ASSERT_(offsetof(sabir_codec_item, timestamp_ms) == 16);
SABIR_ASSERT_(offsetof(sabir_codec_item, key) == 24);
SABIR_ASSERT_(offsetof(sabir_codec_item, head) == 40);
SABIR_ASSERT_(offsetof(sabir_codec_item, body) == 56);
SABIR_ASSERT_(sizeof(sabir_codec_summary) == 32);
SABIR_ASSERT_(offsetof(sabir_codec_summary, struct_size) == 0);
SABIR_ASSERT_(offsetof(sabir_codec_summary, flags) == 4);
SABIR_ASSERT_(offsetof(sabir_codec_summary, span) == 8);
SABIR_ASSERT_(offsetof(sabir_codec_summary, count) == 16);
SABIR_ASSERT_(offsetof(sabir_codec_summary, max_timestamp_ms) == 24);
SABIR_ASSERT_(sizeof(sabir_codec_vtable) == 56);
SABIR_ASSERT_(offsetof(sabir_codec_vtable, struct_size) == 0);
SABIR_ASSERT_(offsetof(sabir_codec_vtable, format) == 4);
SABIR_ASSERT_(offsetof(sabir_codec_vtable, inspect) == 8);
SABIR_ASSERT_(offsetof(sabir_codec_vtable, expand) == 16);
SABIR_ASSERT_(offsetof(sabir_codec_vtable, assemble) == 24);
SABIR_ASSERT_(offsetof(sabir_codec_vtable, assign_offsets) == 32);
SABIR_ASSERT_(offsetof(sabir_codec_vtable, keys) == 40);
SABIR_ASSERT_(offsetof(sabir_codec_vtable, filter) == 48);
SABIR_ASSERT_(sizeof(sabir_store_op) == 88);
SABIR_ASSERT_(offsetof(sabir_store_op, kind) == 0);
SABIR_ASSERT_(offsetof(sabir_store_op, format) == 4);
SABIR_ASSERT_(offsetof(sabir_store_op, log) == 8);
SABIR_ASSERT_(offsetof(sabir_store_op, seq) == 16);
SABIR_ASSERT_(offsetof(sabir_store_op, last) == 24);
SABIR_ASSERT_(offsetof(sabir_store_op, span) == 32);
SABIR_ASSERT_(offsetof(sabir_store_op, from_log) == 40);
SABIR_ASSERT_(offsetof(sabir_store_op, from_seq) == 48);
SABIR_ASSERT_(offsetof(sabir_store_op, label) == 56);
SABIR_ASSERT_(offsetof(sabir_store_op, pieces) == 72);
SABIR_ASSERT_(offsetof(sabir_store_op, piece_count) == 80);
SABIR_ASSERT_(sizeof(sabir_read) == 64);
SABIR_ASSERT_(offsetof(sabir_read, struct_size) == 0);
SABIR_ASSERT_(offsetof(sabir_read, want) == 4);
SABIR_ASSERT_(offsetof(sabir_read, log) == 8);
SABIR_ASSERT_(offsetof(sabir_read, from_seq) == 16);
SABIR_ASSERT_(offsetof(sabir_read, last_seq) == 24);
SABIR_ASSERT_(offsetof(sabir_read, max_records) == 32);
SABIR_ASSERT_(offsetof(sabir_read, max_bytes) == 40);
SABIR_ASSERT_(offsetof(sabir_read, piece_offset) == 48);
SABIR_ASSERT_(offsetof(sabir_read, piece_len) == 56);
SABIR_ASSERT_(sizeof(sabir_store_record) == 88);
SABIR_ASSERT_(offsetof(sabir_store_record, struct_size) == 0);
SABIR_ASSERT_(offsetof(sabir_store_record, format) == 4);
SABIR_ASSERT_(offsetof(sabir_store_record, seq) == 8);
SABIR_ASSERT_(offsetof(sabir_store_record, span) == 16);
SABIR_ASSERT_(offsetof(sabir_store_record, total_len) == 24);
SABIR_ASSERT_(offsetof(sabir_store_record, label) == 32);
SABIR_ASSERT_(offsetof(sabir_store_record, data) == 48);
SABIR_ASSERT_(sizeof(sabir_log_range) == 32);
SABIR_ASSERT_(offsetof(sabir_log_range, first) == 0);
SABIR_ASSERT_(offsetof(sabir_log_range, last) == 8);
SABIR_ASSERT_(offsetof(sabir_log_range, count) == 16);
SABIR_ASSERT_(offsetof(sabir_log_range, bytes) == 24);
SABIR_ASSERT_(sizeof(sabir_log_summary) == 48);
SABIR_ASSERT_(offsetof(sabir_log_summary, struct_size) == 0);
SABIR_ASSERT_(offsetof(sabir_log_summary, flags) == 4);
SABIR_ASSERT_(offsetof(sabir_log_summary, log) == 8);
SABIR_ASSERT_(offsetof(sabir_log_summary, next_seq) == 16);
SABIR_ASSERT_(offsetof(sabir_log_summary, ranges) == 24);
SABIR_ASSERT_(offsetof(sabir_log_summary, range_count) == 32);
SABIR_ASSERT_(offsetof(sabir_log_summary, range_stride) == 40);
SABIR_ASSERT_(sizeof(sabir_store_stats) == 64);
SABIR_ASSERT_(offsetof(sabir_store_stats, struct_size) == 0);
SABIR_ASSERT_(offsetof(sabir_store_stats, flags) == 4);
SABIR_ASSERT_(offsetof(sabir_store_stats, live_records) == 8);
SABIR_ASSERT_(offsetof(sabir_store_stats, live_bytes) == 16);
SABIR_ASSERT_(offsetof(sabir_store_stats, used_bytes) == 24);
SABIR_ASSERT_(offsetof(sabir_store_stats, free_bytes) == 32);
SABIR_ASSERT_(offsetof(sabir_store_stats, syncs) == 40);
SABIR_ASSERT_(offsetof(sabir_store_stats, written_bytes) == 48);
SABIR_ASSERT_(offsetof(sabir_store_stats, index_bytes) == 56);
SABIR_ASSERT_(sizeof(sabir_store_vtable) == 120);
SABIR_ASSERT_(offsetof(sabir_store_vtable, struct_size) == 0);
SABIR_ASSERT_(offsetof(sabir_store_vtable, reserved) == 4);
SABIR_ASSERT_(offsetof(sabir_store_vtable, open) == 8);
SABIR_ASSERT_(offsetof(sabir_store_vtable, recover) == 16);
SABIR_ASSERT_(offsetof(sabir_store_vtable, submit) == 24);
SABIR_ASSERT_(offsetof(sabir_store_vtable, sync) == 32);
SABIR_ASSERT_(offsetof(sabir_store_vtable, read) == 40);
SABIR_ASSERT_(offsetof(sabir_store_vtable, scan) == 48);
SABIR_ASSERT_(offsetof(sabir_store_vtable, stats) == 56);
SABIR_ASSERT_(offsetof(sabir_store_vtable, close) == 64);
SABIR_ASSERT_(offsetof(sabir_store_vtable, lock_acquire) == 72);
SABIR_ASSERT_(offsetof(sabir_store_vtable, lock_keep) == 80);
SABIR_ASSERT_(offsetof(sabir_store_vtable, region) == 88);
SABIR_ASSERT_(offsetof(sabir_store_vtable, unpin) == 96);
SABIR_ASSERT_(offsetof(sabir_store_vtable, backup) == 104);
SABIR_ASSERT_(offsetof(sabir_store_vtable, maintain) == 112);
SABIR_ASSERT_(sizeof(sabir_verb_detail) == 48);
#undef SABIR_ASSERT_
#endif

#endif  /* SABIR_PLUGIN_H */
