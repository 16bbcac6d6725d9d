// SPDX-License-Identifier: Apache-2.0
//! `sabir store check`, `repair` and `compact`: the store does it, and its report is told.

use super::progress::Bar;
use super::stats::size;
use super::subject::Subject;
use super::{Failure, StoreArguments};
use crate::cli::{Exit, out};
use sabir_host::{ErrorCode, Maintenance};
use sabir_model::message::{Field, Head};
use serde_json::{Value, json};

/// Runs the command.
pub fn run(arguments: &StoreArguments, verb: Maintenance, accept_loss: bool) -> Result<Exit, Failure> {
    let subject = arguments.subject()?;
    subject.must_exist()?;
    let options = json!({ "accept_loss": accept_loss }).to_string();
    let mut bar = Bar::of_bytes();
    let done =
        subject.component.maintain_store(&subject.settings, verb, &options, &mut |phase, done, total| {
            bar.show(phase, done, total);
            true
        });
    bar.end();
    let report = done.map_err(|error| match error.code {
        ErrorCode::Unsupported => {
            let what = format!("the store {:?} cannot do this: it has no files", subject.component.name());
            (what, Exit::Failure)
        }
        _ => subject.failure(&error),
    })?;
    let wrong = |_| (format!("the store's report is no JSON: {report}"), Exit::Failure);
    let mut report: Value = serde_json::from_str(&report).map_err(wrong)?;
    for list in ["damaged", "lost"] {
        report[list].as_array_mut().into_iter().flatten().for_each(add_message);
    }
    let good = report["good"].as_bool().unwrap_or(false);
    if arguments.json {
        out::line(&report.to_string());
    } else {
        out::text(&human(&subject, verb, accept_loss, &report));
    }
    Ok(if good { Exit::Success } else { Exit::Failure })
}

/// What of an entry's record could be read, as the message that it is the front of.
fn add_message(entry: &mut Value) {
    let Some(front) = entry["front"].as_str().and_then(unhex) else { return };
    // Damaged bytes may still begin with a head that says which message they were.
    let Ok(head) = Head::parse(&front) else { return };
    let text = |field| head.text(field).map(str::to_owned);
    entry["message"] = json!({
        "id": text(Field::Id),
        "destination": text(Field::Destination),
        "timestamp_ms": head.timestamp_ms(),
        "priority": head.priority(),
    });
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | *digit as u8)).collect())
}

/// One thing that is damaged or lost, in a line.
fn line(entry: &Value) -> String {
    let text = |name: &str| entry[name].as_str().unwrap_or_default();
    let mut line = text("what").to_owned();
    if let Some(place) = entry["where"].as_str() {
        line += &format!(", in {place}");
    }
    if let Some(costs) = entry["costs"].as_str() {
        line += &format!(": {costs}");
    }
    let message = &entry["message"];
    if message.is_object() {
        let known = |name: &str| message[name].as_str().unwrap_or("(unreadable)").to_owned();
        line += &format!(" (message {} to {})", known("id"), known("destination"));
    }
    line
}

/// The report, as people read it.
fn human(subject: &Subject, verb: Maintenance, accept_loss: bool, report: &Value) -> String {
    let mut lines = Vec::new();
    let list = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    lines.extend(list("notes").iter().filter_map(Value::as_str).map(|note| format!("note: {note}")));
    lines.extend(list("damaged").iter().map(|entry| format!("damaged: {}", line(entry))));
    let lost = if report["done"].as_bool() == Some(true) { "lost" } else { "would be lost" };
    lines.extend(list("lost").iter().map(|entry| format!("{lost}: {}", line(entry))));
    for moved in list("moved") {
        let name = |end: &str| moved[end].as_str().unwrap_or_default().to_owned();
        lines.push(format!("kept aside: {} is now {}", name("from"), name("to")));
    }
    for (name, value) in report["figures"].as_object().into_iter().flatten() {
        let shown = match value.as_u64() {
            Some(bytes) if name.ends_with("_bytes") => size(bytes),
            _ => value.to_string(),
        };
        lines.push(format!("{}: {shown}", name.trim_end_matches("_bytes").replace('_', " ")));
    }
    let good = report["good"].as_bool().unwrap_or(false);
    let done = report["done"].as_bool().unwrap_or(false);
    let name = subject.name();
    lines.push(match (verb, good, done) {
        (Maintenance::Check, true, _) => format!("{name} is good"),
        (Maintenance::Check, false, _) => {
            format!("{name} is damaged: sabir store repair says what it would cost to go on")
        }
        (Maintenance::Repair, true, false) => format!("{name} is good: there is nothing to repair"),
        (Maintenance::Repair, _, true) => format!("{name} was repaired"),
        (Maintenance::Repair, false, false) if accept_loss => format!("{name} could not be repaired"),
        (Maintenance::Repair, false, false) => {
            format!("{name} was not changed: --accept-loss repairs it at this cost")
        }
        (Maintenance::Compact, ..) => format!("{name} was compacted"),
    });
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use sabir_model::message::{Fixed, HeadWriter};
    use std::fmt::Write as _;

    #[test]
    fn a_lost_message_is_named_by_what_of_its_head_can_be_read() {
        let mut head = Vec::new();
        let mut writer = HeadWriter::new(&mut head, &Fixed::default());
        assert!(writer.field(Field::Id, b"ID:7") && writer.field(Field::Destination, b"queue://orders"));
        writer.finish();
        let hex = head.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        let mut entry = json!({ "what": "entry 3 of log 64", "where": "a.sjl", "costs": "it", "front": hex });
        add_message(&mut entry);
        assert_eq!(line(&entry), "entry 3 of log 64, in a.sjl: it (message ID:7 to queue://orders)");
        for front in ["", "0", "zz", "00ff"] {
            let mut entry = json!({ "what": "x", "front": front });
            add_message(&mut entry);
            assert!(entry["message"].is_null(), "{front}");
        }
    }
}
