// SPDX-License-Identifier: Apache-2.0
//! What an operator can set: policies per destination, and limits.
//!
//! Knows nothing of files: the server fills these in.

use crate::virtual_topics::VirtualTopic;
use sabir_model::DestinationKind;
use sabir_model::pattern::{Pattern, PatternError};

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// The virtual host of sessions that name none. Default `default`.
    pub default_virtual_host: String,
    /// The virtual hosts that exist besides the default one. Default: none.
    pub virtual_hosts: Vec<String>,
    /// Policies for some destinations; the first that fits counts.
    pub policies: Vec<PolicyRule>,
    /// The policy of all other destinations.
    pub default_policy: Policy,
    /// Which queues are views of which topics. Default: none.
    pub virtual_topics: Vec<VirtualTopic>,
    /// Bounds.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            default_virtual_host: "default".to_owned(),
            virtual_hosts: Vec::new(),
            policies: Vec::new(),
            default_policy: Policy::default(),
            virtual_topics: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// A policy and the destinations that have it.
#[derive(Clone, Debug)]
pub struct PolicyRule {
    /// Only destinations of this kind; `None`: of all kinds. A subscription to a topic has kind `Topic`.
    pub kind: Option<DestinationKind>,
    /// Only in this virtual host; `None`: in all.
    pub virtual_host: Option<String>,
    /// The names that it is for.
    pub pattern: Pattern,
    /// The policy.
    pub policy: Policy,
}

impl PolicyRule {
    /// A rule for the names that match `pattern`, of all kinds, in all virtual hosts.
    pub fn new(pattern: &str, policy: Policy) -> Result<Self, PatternError> {
        Ok(PolicyRule { kind: None, virtual_host: None, pattern: Pattern::parse(pattern)?, policy })
    }
}

/// What becomes of messages that cannot be processed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadLetter {
    /// They are removed.
    Discard,
    /// They go to this queue.
    Shared(String),
    /// They go to a queue of their own: this prefix and the name of the queue that they were in.
    Individual(String),
}

impl DeadLetter {
    /// The queue to which what cannot be processed of the destination `name` goes, if to any.
    pub(crate) fn queue_of(&self, name: &str) -> Option<String> {
        match self {
            DeadLetter::Discard => None,
            DeadLetter::Shared(shared) => Some(shared.clone()),
            DeadLetter::Individual(prefix) => Some(format!("{prefix}{name}")),
        }
    }
}

/// What happens to a publish when its destination is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits until there is room; its session is told.
    Park,
    /// It is refused.
    Refuse,
    /// The oldest waiting messages make room for it, and are removed.
    DropOldest,
}

/// How a destination behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Queues are made when they are first used. Default true.
    pub auto_create: bool,
    /// Queues made by use go when they are empty and nobody consumes from them. Default false.
    pub auto_delete: bool,
    /// Messages of higher priority go first. Default true.
    pub prioritized: bool,
    /// The queue is full with so many messages, those in flight included. 0: no bound. Default 0.
    pub max_messages: u64,
    /// The queue is full with so many bytes, those in flight included. 0: no bound. Default 0.
    pub max_bytes: u64,
    /// What happens to a publish when the queue is full. Default `Park`.
    pub when_full: WhenFull,
    /// Bytes of waiting messages that are kept in memory; the others wait in the store. Default 4 MiB.
    pub resident_bytes: usize,
    /// How often a message is delivered again before it becomes a dead letter; `u32::MAX`: for ever. Default 6.
    pub max_redeliveries: u32,
    /// How long a released message waits before it is delivered again. Default 0.
    pub redelivery_delay_ms: u64,
    /// Each further delay is so many hundredths of the one before. Default 100.
    pub redelivery_backoff_percent: u32,
    /// No delay becomes longer than this. Default 60,000.
    pub redelivery_delay_max_ms: u64,
    /// What becomes of messages that cannot be processed. Default: the queue `ActiveMQ.DLQ`.
    pub dead_letter: DeadLetter,
    /// Expired messages become dead letters instead of being removed. Default true.
    pub dead_letter_expired: bool,
    /// Messages that are not persistent become dead letters too. Default false.
    pub dead_letter_non_persistent: bool,
    /// Message groups of one queue that have a consumer each; of more, several have one together. Default 4,096.
    pub max_groups: usize,
    /// Message groups are spread anew when a consumer comes, each once nothing of it is in flight. Default false: they
    /// stay where they are.
    pub group_rebalance: bool,
    /// Accepting a message does not remove it: every consumer sees all messages. Default false.
    pub non_destructive: bool,
    /// Messages that a producer sends again are known by its name and their sequence, and not taken again. Holds for
    /// producers that begin from then on. Default true.
    pub detect_duplicates: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            auto_create: true,
            auto_delete: false,
            prioritized: true,
            max_messages: 0,
            max_bytes: 0,
            when_full: WhenFull::Park,
            resident_bytes: 4 << 20,
            max_redeliveries: 6,
            redelivery_delay_ms: 0,
            redelivery_backoff_percent: 100,
            redelivery_delay_max_ms: 60_000,
            dead_letter: DeadLetter::Shared("ActiveMQ.DLQ".to_owned()),
            dead_letter_expired: true,
            dead_letter_non_persistent: false,
            max_groups: 4_096,
            group_rebalance: false,
            non_destructive: false,
            detect_duplicates: true,
        }
    }
}

impl Policy {
    /// How long the delivery with this number (1: the first repetition) is put off.
    pub(crate) fn redelivery_delay(&self, attempt: u32) -> u64 {
        let mut delay = self.redelivery_delay_ms;
        for _ in 1..attempt {
            if delay >= self.redelivery_delay_max_ms || delay == 0 || self.redelivery_backoff_percent == 100 {
                break;
            }
            delay = delay.saturating_mul(u64::from(self.redelivery_backoff_percent)) / 100;
        }
        delay.min(self.redelivery_delay_max_ms)
    }
}

/// Bounds on what outsiders can make grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of messages that all queues together keep in memory. Default 256 MiB.
    pub memory_bytes: usize,
    /// Producers of whom is remembered what they have sent, to know what they send again; the least recently used are
    /// forgotten. 0: none is remembered. Default 10,000.
    pub max_remembered_producers: usize,
    /// Destinations that one answer to a question names. Default 10,000.
    pub max_listed: usize,
    /// Publishes wait while so many bytes are on their way to the store. Default 16 MiB.
    pub uncommitted_bytes: usize,
    /// Queues and subscriptions. Default 100,000.
    pub max_queues: usize,
    /// Exchanges. Default 10,000.
    pub max_exchanges: usize,
    /// Bindings. Default 200,000.
    pub max_bindings: usize,
    /// Producers of one session. Default 10,000.
    pub max_producers_per_session: usize,
    /// Subscriptions of one session. Default 10,000.
    pub max_subscriptions_per_session: usize,
    /// Temporary destinations of one session. Default 10,000.
    pub max_temporary_per_session: usize,
    /// Events that wait for one subscriber; of more the oldest are dropped. Default 4,096.
    pub max_waiting_events: u64,
    /// Deliveries that one session may leave unsettled; no more are made until it settles some. Default 65,536.
    pub max_unsettled_per_session: usize,
    /// Destinations of one composite. Default 100.
    pub max_composite: usize,
    /// Open transactions of one session. Default 1,000.
    pub max_transactions_per_session: usize,
    /// Open transactions. Default 50,000.
    pub max_transactions: usize,
    /// Publishes and settles of one transaction. Default 1,000,000.
    pub max_transaction_items: usize,
    /// Bytes published in one transaction. Default 1 GiB.
    pub max_transaction_bytes: usize,
    /// A transaction beyond so many bytes continues in the store. Default 1 MiB.
    pub transaction_spill_bytes: usize,
    /// Branches of distributed transactions that are prepared at the same time. Default 10,000.
    pub max_prepared: usize,
    /// Publishes and settles of all prepared branches together. Default 1,000,000.
    pub max_prepared_items: usize,
    /// The server is asked not to read from a session with so many parked publishes. Default 1,024.
    pub max_parked_per_session: usize,
    /// The server is asked not to read from a session with so many bytes parked. Default 1 MiB.
    pub max_parked_bytes_per_session: usize,
    /// Producers of messages that are not persistent are held so long, in milliseconds, when a queue's memory is used up,
    /// to see whether its consumers make room; if they do not, the messages wait in the store. 0: they are never
    /// held. Default 50.
    pub hold_ms: u64,
    /// The longest delay of a delivery. Default 366 days.
    pub max_delay_ms: u64,
    /// Delayed messages, those whose redelivery is put off included. Default 10,000,000.
    pub max_delayed: u64,
    /// Messages that are fetched from the store at once. Default 2,048.
    pub page_records: u64,
    /// Bytes that are fetched from the store at once. Default 512 KiB.
    pub page_bytes: u64,
    /// How often expired messages are looked for. Default 30,000.
    pub sweep_interval_ms: u64,
    /// Messages of one queue that are looked at each time. Default 10,000.
    pub sweep_records: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory_bytes: 256 << 20,
            max_remembered_producers: 10_000,
            max_listed: 10_000,
            uncommitted_bytes: 16 << 20,
            max_queues: 100_000,
            max_exchanges: 10_000,
            max_bindings: 200_000,
            max_producers_per_session: 10_000,
            max_subscriptions_per_session: 10_000,
            max_temporary_per_session: 10_000,
            max_waiting_events: 4_096,
            max_unsettled_per_session: 65_536,
            max_composite: 100,
            max_transactions_per_session: 1_000,
            max_transactions: 50_000,
            max_transaction_items: 1_000_000,
            max_transaction_bytes: 1 << 30,
            transaction_spill_bytes: 1 << 20,
            max_prepared: 10_000,
            max_prepared_items: 1_000_000,
            max_parked_per_session: 1_024,
            max_parked_bytes_per_session: 1 << 20,
            hold_ms: 50,
            max_delay_ms: 366 * 24 * 3_600_000,
            max_delayed: 10_000_000,
            page_records: 2_048,
            page_bytes: 512 << 10,
            sweep_interval_ms: 30_000,
            sweep_records: 10_000,
        }
    }
}

impl Config {
    /// The policy of a destination.
    pub(crate) fn policy(&self, virtual_host: &str, kind: DestinationKind, name: &str) -> &Policy {
        self.policies
            .iter()
            .find(|rule| {
                rule.kind.is_none_or(|wanted| wanted == kind)
                    && rule.virtual_host.as_deref().is_none_or(|wanted| wanted == virtual_host)
                    && rule.pattern.matches(name)
            })
            .map_or(&self.default_policy, |rule| &rule.policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_by_the_factor_up_to_the_maximum() {
        let policy = Policy {
            redelivery_delay_ms: 100,
            redelivery_backoff_percent: 200,
            redelivery_delay_max_ms: 500,
            ..Policy::default()
        };
        let delays: Vec<u64> = (1..=5).map(|attempt| policy.redelivery_delay(attempt)).collect();
        assert_eq!(delays, [100, 200, 400, 500, 500]);
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let few = Policy { max_messages: 1, ..Policy::default() };
        let more = Policy { max_messages: 2, ..Policy::default() };
        let config = Config {
            policies: vec![
                PolicyRule::new("orders.eu.#", few).unwrap(),
                PolicyRule::new("orders.#", more).unwrap(),
            ],
            ..Config::default()
        };
        let limit = |name| config.policy("default", DestinationKind::Queue, name).max_messages;
        assert_eq!((limit("orders.eu.fr"), limit("orders.us"), limit("other")), (1, 2, 0));
    }
}
