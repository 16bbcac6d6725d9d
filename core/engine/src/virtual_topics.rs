// SPDX-License-Identifier: Apache-2.0
//! Virtual topics: what is published to a topic also reaches each queue whose name says that it is a consumer's view
//! of that topic, as `Consumer.A.VirtualTopic.ORDERS` says of `VirtualTopic.ORDERS`.
//!
//! Which names say so is a matter of rules, which an operator sets. Such a queue is bound to its topic when it is made,
//! whoever makes it, and again by recovery: the binding follows from the name, so it is not kept. A consumer with
//! wildcards in the topic's part of the name has its queues made for the topics in use, and for others when something
//! is published to them.

use crate::engine::Engine;
use crate::events::is_reserved;
use crate::publish::check_literal;
use crate::queue::Queue;
use crate::queue::view::PLAIN;
use crate::routing::{BindTarget, Binding, VirtualHost};
use crate::session::Session;
use crate::slab::Key;
use sabir_model::DestinationKind;
use sabir_model::pattern::{Pattern, PatternError};
use sabir_model::selector::Selector;
use sabir_model::verb::Refusal;
use std::sync::Arc;

/// What stands for the topic's name in the name of a rule's queues.
const TOPIC: &str = "{topic}";

/// Which queues belong to which topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualTopic {
    topic: Pattern,
    /// Words before and behind the topic's name; `*`: any word.
    before: Vec<Box<str>>,
    behind: Vec<Box<str>>,
    /// A queue gets only what the selector of one of its consumers wants; while it has none, nothing.
    pub selector_aware: bool,
}

/// Why there is no such rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VirtualTopicError {
    /// The topic is no pattern.
    #[error("the topic: {0}")]
    Topic(#[from] PatternError),
    /// The queue's form cannot be one.
    #[error(
        "the queue must be words with dots between them, one of which is {TOPIC}; * stands for any one word"
    )]
    Queue,
}

impl VirtualTopic {
    /// Topics that match `topic` have the queues of this form: words, one of them `{topic}`, as `Consumer.*.{topic}`.
    pub fn new(topic: &str, queue: &str, selector_aware: bool) -> Result<Self, VirtualTopicError> {
        let topic = Pattern::parse(topic)?;
        let words: Vec<&str> = queue.split('.').collect();
        let mut parts = words.split(|word| *word == TOPIC);
        let (Some(before), Some(behind), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VirtualTopicError::Queue);
        };
        let bad = |word: &&str| word.is_empty() || *word == "#" || word.contains(['{', '}']);
        if before.is_empty() && behind.is_empty() || words.iter().any(|word| *word != TOPIC && bad(word)) {
            return Err(VirtualTopicError::Queue);
        }
        let boxed = |words: &[&str]| words.iter().map(|word| Box::from(*word)).collect();
        Ok(VirtualTopic { topic, before: boxed(before), behind: boxed(behind), selector_aware })
    }

    /// The topic of which a queue with this name is a view.
    fn topic_of<'n>(&self, queue: &'n str) -> Option<&'n str> {
        let mut rest = queue;
        for wanted in &self.before {
            let (word, behind) = rest.split_once('.')?;
            rest = fits(wanted, word).then_some(behind)?;
        }
        for wanted in self.behind.iter().rev() {
            let (before, word) = rest.rsplit_once('.')?;
            rest = fits(wanted, word).then_some(before)?;
        }
        (!rest.is_empty() && !is_reserved(rest) && self.topic.matches(rest)).then_some(rest)
    }

    /// The queue through which a consumer of this pattern of queues would see a topic.
    fn queue_of(&self, topic: &str, pattern: &Pattern) -> Option<String> {
        if !self.topic.matches(topic) {
            return None;
        }
        let text = pattern.to_string();
        let words: Vec<&str> = text.split('.').collect();
        let named = |wanted: &[Box<str>], words: &[&str]| -> Option<Vec<String>> {
            let each = wanted.iter().zip(words);
            each.map(|(wanted, word)| {
                (fits(wanted, word) && *word != "*" && *word != "#").then(|| (*word).to_owned())
            })
            .collect()
        };
        let behind_at = words.len().checked_sub(self.behind.len())?;
        let mut name = named(&self.before, words.get(..self.before.len())?)?;
        name.push(topic.to_owned());
        name.extend(named(&self.behind, words.get(behind_at..)?)?);
        let name = name.join(".");
        pattern.matches(&name).then_some(name)
    }
}

fn fits(wanted: &str, word: &str) -> bool {
    wanted == "*" || wanted == word
}

impl Engine {
    /// Binds a queue to the topics of which it is a view.
    pub(crate) fn bind_virtual(&mut self, key: Key<Queue>) {
        let Some(queue) = self.queues.get_mut(key).filter(|queue| queue.kind == DestinationKind::Queue)
        else {
            return;
        };
        let Some(topics) = self.routing.hosts.get(queue.host).map(|host| host.topics) else { return };
        let mut bound: Vec<(Box<str>, bool)> = Vec::new();
        for rule in &self.config.virtual_topics {
            if let Some(topic) = rule.topic_of(&queue.name)
                && !bound.iter().any(|(other, _)| **other == *topic)
            {
                bound.push((topic.into(), rule.selector_aware));
            }
        }
        queue.selector_aware = bound.iter().any(|(_, aware)| *aware);
        for (topic, selector_aware) in bound {
            queue.bound.push((topics, topic.clone()));
            let binding = Binding {
                implied: true,
                wanted: selector_aware.then(|| Arc::from([])),
                ..Binding::new(topic, BindTarget::Queue(key))
            };
            self.routing.bind(topics, binding);
        }
        self.consumers_changed(key);
    }

    /// The rules have changed: every queue is bound anew.
    pub(crate) fn rebind_virtual(&mut self) {
        for key in self.queues.keys() {
            let Some(queue) = self.queues.get_mut(key) else { continue };
            let before = std::mem::take(&mut queue.bound);
            for (exchange, name) in before {
                let implied = |one: &Binding| one.target == BindTarget::Queue(key) && one.implied;
                let gone = self.routing.unbind(exchange, &name, implied);
                if gone.is_empty() {
                    queue.bound.push((exchange, name));
                }
            }
            self.bind_virtual(key);
        }
    }

    /// Consumers of a queue have come or gone, whose selectors may decide what it gets.
    pub(crate) fn consumers_changed(&mut self, key: Key<Queue>) {
        let Some(queue) = self.queues.get(key).filter(|queue| queue.selector_aware) else { return };
        let wants_all = queue.views[PLAIN].members > 0;
        let selectors: Arc<[Arc<Selector>]> = queue
            .views
            .iter()
            .filter(|view| view.members > 0)
            .filter_map(|view| view.selector.clone())
            .collect();
        for (exchange, name) in &queue.bound {
            let Some(exchange) = self.routing.exchanges.get_mut(*exchange) else { continue };
            for binding in exchange.of_key_mut(name) {
                if binding.target == BindTarget::Queue(key) && binding.implied && binding.wanted.is_some() {
                    binding.wanted = Some(selectors.clone());
                    binding.wanted_by_all = wants_all;
                }
            }
        }
        self.routing.generation += 1;
    }

    /// Something goes to a topic: consumers with wildcards get the queues through which they see it.
    pub(crate) fn see_topic(&mut self, host: Key<VirtualHost>, topic: &str) -> Result<(), Refusal> {
        let Some(found) = self.routing.hosts.get(host) else { return Ok(()) };
        if found.queue_patterns.is_empty() || self.config.virtual_topics.is_empty() {
            return Ok(());
        }
        let patterns = found.queue_patterns.iter().map(|(pattern, _)| pattern);
        let names = self.views_of(patterns, topic);
        self.make_views(host, names)
    }

    /// A consumer with wildcards comes: the queues through which it sees the topics in use are made.
    pub(crate) fn see_topics(&mut self, key: Key<Session>, pattern: &Pattern) -> Result<(), Refusal> {
        let Some(host) = self.sessions.get(key).map(|session| session.virtual_host) else { return Ok(()) };
        let Some(found) = self.routing.hosts.get(host) else { return Ok(()) };
        if self.config.virtual_topics.is_empty() {
            return Ok(());
        }
        let topics = found.users.keys().filter(|one| one.kind == DestinationKind::Topic);
        let names: Vec<String> = topics
            .filter(|topic| check_literal(topic).is_ok())
            .flat_map(|topic| self.views_of(std::iter::once(pattern), &topic.name))
            .collect();
        self.make_views(host, names)
    }

    fn views_of<'p>(&self, patterns: impl Iterator<Item = &'p Pattern>, topic: &str) -> Vec<String> {
        let rules = &self.config.virtual_topics;
        patterns.flat_map(|pattern| rules.iter().filter_map(|rule| rule.queue_of(topic, pattern))).collect()
    }

    fn make_views(&mut self, host: Key<VirtualHost>, names: Vec<String>) -> Result<(), Refusal> {
        for name in names {
            let Some(found) = self.routing.hosts.get(host) else { return Ok(()) };
            if self.config.policy(&found.name, DestinationKind::Queue, &name).auto_create {
                self.queue_in_use(host, &name)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_finds_the_topic_in_the_name_of_a_queue() {
        let rule = VirtualTopic::new("VirtualTopic.#", "Consumer.*.{topic}", false).unwrap();
        let cases = [
            ("Consumer.A.VirtualTopic.ORDERS", Some("VirtualTopic.ORDERS")),
            ("Consumer.A.VirtualTopic.ORDERS.EU", Some("VirtualTopic.ORDERS.EU")),
            ("Consumer.A.VirtualTopic", Some("VirtualTopic")),
            ("Consumer.A.B.VirtualTopic.ORDERS", None),
            ("Consumer.VirtualTopic.ORDERS", None),
            ("Consumer.A.Other", None),
            ("Consumer.A", None),
            ("VirtualTopic.ORDERS", None),
        ];
        for (queue, topic) in cases {
            assert_eq!(rule.topic_of(queue), topic, "{queue}");
        }
        let behind = VirtualTopic::new("#", "{topic}.mirror.*", false).unwrap();
        assert_eq!(behind.topic_of("a.b.mirror.1"), Some("a.b"));
        assert_eq!(behind.topic_of("mirror.1"), None);
        assert_eq!(behind.topic_of("$sabir.event.queue.mirror.1"), None);
    }

    #[test]
    fn a_rule_names_the_queue_through_which_wildcards_see_a_topic() {
        let rule = VirtualTopic::new("VirtualTopic.#", "Consumer.*.{topic}", false).unwrap();
        let name = |pattern: &str| rule.queue_of("VirtualTopic.A.B", &Pattern::parse(pattern).unwrap());
        let expected = Some("Consumer.X.VirtualTopic.A.B".to_owned());
        for pattern in ["Consumer.X.VirtualTopic.#", "Consumer.X.#", "Consumer.X.VirtualTopic.*.B"] {
            assert_eq!(name(pattern), expected, "{pattern}");
        }
        for pattern in
            ["Consumer.*.VirtualTopic.#", "Consumer.X.VirtualTopic.*", "#", "Other.X.#", "Consumer"]
        {
            assert_eq!(name(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn forms_that_name_no_queue_are_refused() {
        for bad in ["Consumer.*", "{topic}", "a.{topic}.b.{topic}", "#.{topic}", "a..{topic}", "a{topic}", ""]
        {
            assert_eq!(VirtualTopic::new("#", bad, false), Err(VirtualTopicError::Queue), "{bad:?}");
        }
        assert!(matches!(VirtualTopic::new("", "a.{topic}", false), Err(VirtualTopicError::Topic(_))));
    }
}
