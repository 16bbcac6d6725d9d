// SPDX-License-Identifier: Apache-2.0
//! How destinations behave: `[policy]` for all, `[[destinations]]` for some; and the engine's bounds.

use super::reader::{Errors, Reader};
use sabir_engine::{DeadLetter, Limits, Policy, PolicyRule, WhenFull};
use sabir_model::DestinationKind;
use sabir_model::pattern::Pattern;

/// Counts that a setting may name.
const COUNT: std::ops::RangeInclusive<u64> = 1..=4_294_967_295;
/// Counts of which 0 means that there is no bound.
const COUNT_OR_NONE: std::ops::RangeInclusive<u64> = 0..=i64::MAX as u64;
/// Counts of which 0 means none at all.
const COUNT_OR_ZERO: std::ops::RangeInclusive<u64> = 0..=4_294_967_295;
/// Sizes that a setting may name, in bytes.
const SIZE: std::ops::RangeInclusive<u64> = 1024..=(1 << 46);

/// The default policy, and the rules for some destinations.
pub fn read(top: &Reader<'_>, errors: &Errors) -> (Policy, Vec<PolicyRule>) {
    let table = top.table("policy").unwrap_or_default();
    let reader = Reader::new(&table, top.origin_of("policy"), top.path_of("policy"), errors);
    let default_policy = policy(&reader, Policy::default());
    reader.finish();
    let rules = rules(top, &default_policy, errors);
    (default_policy, rules)
}

fn rules(top: &Reader<'_>, default_policy: &Policy, errors: &Errors) -> Vec<PolicyRule> {
    let mut rules = Vec::new();
    for (table, origin, path) in top.tables("destinations") {
        let reader = Reader::new(&table, origin, path, errors);
        let text = reader.text("match");
        let virtual_host = reader.text_if("virtual_host");
        let policy = policy(&reader, default_policy.clone());
        match matcher(&text) {
            Ok((kind, pattern)) => rules.push(PolicyRule { kind, virtual_host, pattern, policy }),
            Err(problem) if !text.is_empty() => reader.wrong("match", problem),
            Err(_) => {}
        }
        reader.finish();
    }
    rules
}

/// `queue://orders.#`, `topic://…`, or a pattern alone for all kinds.
fn matcher(text: &str) -> Result<(Option<DestinationKind>, Pattern), String> {
    let (kind, pattern) = match text.split_once("://") {
        None => (None, text),
        Some((scheme, pattern)) => {
            let kind = DestinationKind::ALL.into_iter().find(|kind| kind.scheme() == scheme);
            let known = DestinationKind::ALL.map(|kind| format!("{}://", kind.scheme())).join(", ");
            (Some(kind.ok_or_else(|| format!("{scheme}:// is none of {known}"))?), pattern)
        }
    };
    Ok((kind, Pattern::parse(pattern).map_err(|error| error.to_string())?))
}

/// The keys that are there, over a policy.
fn policy(reader: &Reader<'_>, over: Policy) -> Policy {
    let percent = 1..=100_000;
    let ms = 0..=super::sections::MAX_MS;
    let when_full =
        [("wait", WhenFull::Park), ("refuse", WhenFull::Refuse), ("drop-oldest", WhenFull::DropOldest)];
    let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    Policy {
        auto_create: reader.boolean_if("auto_create").unwrap_or(over.auto_create),
        auto_delete: reader.boolean_if("auto_delete").unwrap_or(over.auto_delete),
        prioritized: reader.boolean_if("prioritized").unwrap_or(over.prioritized),
        max_messages: reader.integer_if("max_messages", COUNT_OR_NONE).unwrap_or(over.max_messages),
        max_bytes: reader.bytes_if("max_bytes", COUNT_OR_NONE).unwrap_or(over.max_bytes),
        when_full: reader.word_if("when_full", &when_full).unwrap_or(over.when_full),
        resident_bytes: reader
            .bytes_if("resident_bytes", SIZE)
            .map_or(over.resident_bytes, |bytes| bytes as usize),
        max_redeliveries: reader
            .integer_if("max_redeliveries", 0..=u64::from(u32::MAX))
            .map_or(over.max_redeliveries, small),
        redelivery_delay_ms: reader
            .integer_if("redelivery_delay_ms", ms.clone())
            .unwrap_or(over.redelivery_delay_ms),
        redelivery_backoff_percent: reader
            .integer_if("redelivery_backoff_percent", percent)
            .map_or(over.redelivery_backoff_percent, small),
        redelivery_delay_max_ms: reader
            .integer_if("redelivery_delay_max_ms", ms)
            .unwrap_or(over.redelivery_delay_max_ms),
        dead_letter: dead_letter(reader).unwrap_or(over.dead_letter),
        dead_letter_expired: reader.boolean_if("dead_letter_expired").unwrap_or(over.dead_letter_expired),
        dead_letter_non_persistent: reader
            .boolean_if("dead_letter_non_persistent")
            .unwrap_or(over.dead_letter_non_persistent),
        non_destructive: reader.boolean_if("non_destructive").unwrap_or(over.non_destructive),
        max_groups: reader
            .integer_if("max_groups", 1..=1_000_000)
            .map_or(over.max_groups, |max| max as usize),
        group_rebalance: reader.boolean_if("group_rebalance").unwrap_or(over.group_rebalance),
        detect_duplicates: reader.boolean_if("detect_duplicates").unwrap_or(over.detect_duplicates),
    }
}

/// `"discard"`, `"NAME"`, or `"PREFIX*"`: for each queue one of its own.
fn dead_letter(reader: &Reader<'_>) -> Option<DeadLetter> {
    let text = reader.text_if("dead_letter")?;
    let name = text.strip_suffix('*').unwrap_or(&text);
    if name.is_empty() || name.contains('*') || name.chars().any(char::is_control) {
        reader.wrong("dead_letter", "must be a queue's name, a prefix and *, or \"discard\"");
        return None;
    }
    Some(match text.as_str() {
        "discard" => DeadLetter::Discard,
        text if text.ends_with('*') => DeadLetter::Individual(name.to_owned()),
        text => DeadLetter::Shared(text.to_owned()),
    })
}

/// The engine's bounds, out of the section `limits`.
pub fn limits(reader: &Reader<'_>) -> Limits {
    let size = |key| reader.bytes(key, SIZE) as usize;
    let count = |key| reader.integer(key, COUNT) as usize;
    let long_count = |key| reader.integer(key, COUNT);
    Limits {
        memory_bytes: size("memory"),
        max_remembered_producers: reader.integer("max_remembered_producers", COUNT_OR_ZERO) as usize,
        max_listed: count("max_listed"),
        uncommitted_bytes: size("uncommitted"),
        max_queues: count("max_queues"),
        max_exchanges: count("max_exchanges"),
        max_bindings: count("max_bindings"),
        max_producers_per_session: count("max_producers_per_session"),
        max_subscriptions_per_session: count("max_subscriptions_per_session"),
        max_temporary_per_session: count("max_temporary_per_session"),
        max_waiting_events: long_count("max_waiting_events"),
        max_unsettled_per_session: count("max_unsettled_per_session"),
        max_composite: count("max_composite"),
        max_transactions_per_session: count("max_transactions_per_session"),
        max_transactions: count("max_transactions"),
        max_transaction_items: count("max_transaction_items"),
        max_transaction_bytes: size("max_transaction"),
        transaction_spill_bytes: size("transaction_spill"),
        max_prepared: count("max_prepared"),
        max_prepared_items: count("max_prepared_items"),
        max_parked_per_session: count("max_parked_per_session"),
        max_parked_bytes_per_session: size("max_parked_bytes_per_session"),
        hold_ms: reader.integer("hold_ms", 0..=60_000),
        max_delay_ms: reader.integer("max_delay_ms", 1..=100 * super::sections::MAX_MS),
        max_delayed: long_count("max_delayed"),
        page_records: long_count("page_records"),
        page_bytes: reader.bytes("page_bytes", SIZE),
        sweep_interval_ms: reader.integer("sweep_interval_ms", 1..=super::sections::MAX_MS),
        sweep_records: long_count("sweep_records"),
    }
}
