// SPDX-License-Identifier: Apache-2.0
//! `sabir store stats`: how much is in a store, and in which queues and subscriptions.

use super::subject::Subject;
use super::{Failure, StoreArguments};
use crate::archive;
use crate::broker::Clock;
use crate::cli::{Exit, out};
use sabir_engine::Engine;
use sabir_host::{Stats, Store};
use sabir_model::store::LogSummary;
use serde_json::{Value, json};

/// Runs the command.
pub fn run(arguments: &StoreArguments, destinations: usize) -> Result<Exit, Failure> {
    let subject = arguments.subject()?;
    let store = subject.open()?;
    let told = tell(&subject, &store, destinations).map_err(|error| subject.failure(&error));
    let closed = store.close().map_err(|error| subject.failure(&error));
    let told = told?;
    closed?;
    out::text(&if arguments.json { format!("{told}\n") } else { human(&told) });
    Ok(Exit::Success)
}

fn tell(subject: &Subject, store: &Store, destinations: usize) -> sabir_host::Result<Value> {
    let logs = store.recover()?;
    let stats = store.stats()?;
    let mut keys = 0_u64;
    archive::each_key(store, &mut |_, _| {
        keys += 1;
        Ok::<(), sabir_host::Error>(())
    })?;
    let unfinished = archive::is_unfinished(store)?;
    let entries: u64 = logs.iter().flat_map(|log| &log.ranges).map(|range| range.count).sum();
    let count = logs.len();
    let broker = match unfinished {
        true => Err("an import into it has not finished".to_owned()),
        false => understood(subject, store, logs, destinations),
    };
    let Stats { live_bytes, used_bytes, free_bytes, index_bytes, .. } = stats;
    let mut told = json!({
        "store": subject.component.name(),
        "path": subject.path().map(|path| path.display().to_string()),
        "logs": count,
        "entries": entries,
        "keys": keys,
        "record_bytes": live_bytes,
        "used_bytes": used_bytes,
        "free_bytes": (free_bytes != u64::MAX).then_some(free_bytes),
        "index_memory_bytes": index_bytes,
    });
    match broker {
        Ok(broker) => told["broker"] = broker,
        Err(problem) => told["broker_error"] = problem.into(),
    }
    Ok(told)
}

/// What a broker would make of the store.
fn understood(
    subject: &Subject,
    store: &Store,
    logs: Vec<LogSummary>,
    destinations: usize,
) -> Result<Value, String> {
    let mut keys = Vec::new();
    for (from, to) in Engine::key_ranges() {
        keys.extend(store.scan(&from, &to, 0).map_err(|error| error.to_string())?);
    }
    let config = subject.config.engine.clone();
    let engine =
        Engine::recover(config, Clock::start().now(), logs, keys).map_err(|error| error.to_string())?;
    let stats = engine.stats();
    let listed: Vec<Value> = engine
        .largest_queues(destinations)
        .into_iter()
        .map(|queue| {
            json!({
                "virtual_host": queue.virtual_host,
                "destination": queue.destination.to_string(),
                "subscription": queue.subscription,
                "messages": queue.messages,
                "bytes": queue.bytes,
            })
        })
        .collect();
    Ok(json!({
        "queues": stats.queues,
        "messages": stats.messages,
        "bytes": stats.bytes,
        "delayed": stats.delayed,
        "destinations": listed,
    }))
}

/// As people read it.
fn human(told: &Value) -> String {
    let number = |value: &Value, name: &str| value[name].as_u64().unwrap_or(0);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    let mut row = |name: &str, value: String| lines.push(format!("{name:<16} {value}"));
    row("store", text(&told["store"]));
    if told["path"].is_string() {
        row("path", text(&told["path"]));
    }
    for name in ["logs", "entries", "keys"] {
        row(name, number(told, name).to_string());
    }
    row("records", size(number(told, "record_bytes")));
    row("on disk", size(number(told, "used_bytes")));
    if told["free_bytes"].is_u64() {
        row("free", size(number(told, "free_bytes")));
    }
    row("index memory", size(number(told, "index_memory_bytes")));
    if let Some(problem) = told["broker_error"].as_str() {
        row("a broker", format!("would not start on it: {problem}"));
    }
    let broker = &told["broker"];
    if broker.is_object() {
        row("queues", number(broker, "queues").to_string());
        row("messages", number(broker, "messages").to_string());
        row("delayed", number(broker, "delayed").to_string());
    }
    for one in broker["destinations"].as_array().into_iter().flatten() {
        let mut name = text(&one["destination"]);
        if let Some(subscription) = one["subscription"].as_str() {
            name = format!("{name} for {subscription}");
        }
        lines.push(format!(
            "{:>12} {:>10}  {name} ({})",
            number(one, "messages"),
            size(number(one, "bytes")),
            text(&one["virtual_host"])
        ));
    }
    lines.join("\n") + "\n"
}

/// A size as people read it.
pub fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
