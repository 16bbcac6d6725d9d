// SPDX-License-Identifier: Apache-2.0
//! Which queues are views of which topics: `[[virtual_topics]]`.

use super::reader::{Errors, Reader};
use sabir_engine::{VirtualTopic, VirtualTopicError};

/// The rules, in order.
pub fn read(top: &Reader<'_>, errors: &Errors) -> Vec<VirtualTopic> {
    let mut rules = Vec::new();
    for (table, origin, path) in top.tables("virtual_topics") {
        let reader = Reader::new(&table, origin, path, errors);
        let (topic, queue) = (reader.text("topic"), reader.text("queue"));
        let selector_aware = reader.boolean_if("selector_aware").unwrap_or(false);
        let both = reader.node("topic").is_some() && reader.node("queue").is_some();
        match VirtualTopic::new(&topic, &queue, selector_aware) {
            Ok(rule) => rules.push(rule),
            Err(problem @ VirtualTopicError::Topic(_)) if both => reader.wrong("topic", problem.to_string()),
            Err(problem) if both => reader.wrong("queue", problem.to_string()),
            Err(_) => {}
        }
        reader.finish();
    }
    rules
}
