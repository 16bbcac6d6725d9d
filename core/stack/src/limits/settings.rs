// SPDX-License-Identifier: Apache-2.0
//! The bounds, and what they are called in refusals: as in the section `[limits]` of the broker's configuration.

use serde::Deserialize;

/// The bounds of one session. A key that is not one of these is an error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Subscriptions at the same time: `max_subscriptions_per_session`. Default 10,000.
    pub max_subscriptions: u32,
    /// Producers at the same time: `max_producers_per_session`. Default 10,000.
    pub max_producers: u32,
    /// Open transactions at the same time: `max_transactions_per_session`. Default 1,000.
    pub max_transactions: u32,
    /// Temporary destinations at the same time: `max_temporary_per_session`. Default 10,000.
    pub max_temporary_destinations: u32,
    /// Destinations of one composite: `max_composite`. Default 64.
    pub max_composite_destinations: u32,
    /// Length of a destination's name, in bytes; never more than 1,024. Default 1,024.
    pub max_destination_name_bytes: u32,
    /// Length of a client id or of a subscription's or producer's name, in bytes. Default 1,024.
    pub max_name_bytes: u32,
    /// Length of a selector, in bytes; never more than 65,536. Default 32,768.
    pub max_selector_bytes: u32,
    /// Head and body of a message, in bytes: `max_message`. Default 100 MiB.
    pub max_message_bytes: u64,
    /// Unsettled deliveries that one subscription may ask for. Default 1,000,000.
    pub max_credit: u64,
    /// Verbs that are on their way to an answer; beyond, the session is not read. Default 10,000.
    pub max_in_flight_items: u64,
    /// Bytes of messages that are on their way to an answer; beyond, the session is not read. Default 8 MiB.
    pub max_in_flight_bytes: u64,
    /// Wrong passwords in a session before it is ended. Default 3.
    pub max_login_attempts: u32,
    /// Sessions that one user may have at the same time. Default 4,294,967,295: no bound.
    pub max_sessions_per_user: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_subscriptions: 10_000,
            max_producers: 10_000,
            max_transactions: 1_000,
            max_temporary_destinations: 10_000,
            max_composite_destinations: 64,
            max_destination_name_bytes: 1_024,
            max_name_bytes: 1_024,
            max_selector_bytes: 32_768,
            max_message_bytes: 100 << 20,
            max_credit: 1_000_000,
            max_in_flight_items: 10_000,
            max_in_flight_bytes: 8 << 20,
            max_login_attempts: 3,
            max_sessions_per_user: u32::MAX,
        }
    }
}
