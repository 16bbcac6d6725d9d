// SPDX-License-Identifier: Apache-2.0
//! The protocol's settings: every bound that a client can reach has a name here.

use sabir_sdk::Result;
use sabir_sdk::settings::{Kind, Setting, Settings as Values};

const fn count(name: &'static str, min: u64, max: u64, default: &'static str, doc: &'static str) -> Setting {
    Setting { name, kind: Kind::Count { min, max }, default, doc }
}

/// All settings, with their defaults.
pub static SETTINGS: &[Setting] = &[
    count(
        "max_frame_bytes",
        65_536,
        2_147_483_647,
        "2147483647",
        "longest frame; never more than the largest message (limits.max_message) and its head take",
    ),
    count("login_frame_bytes", 1024, 65_536, "65536", "longest frame before log-in"),
    count(
        "max_login_commands",
        1,
        1_000_000,
        "256",
        "most commands that a client may send before it logs in",
    ),
    count(
        "login_pipeline_bytes",
        0,
        1 << 24,
        "262144",
        "bytes that a client may send behind ConnectionInfo before it is answered",
    ),
    count(
        "gather_threshold_bytes",
        4096,
        1 << 20,
        "65536",
        "longest frame that is waited for where it was read; longer ones are gathered in memory of their own",
    ),
    count("connect_timeout_ms", 100, 600_000, "15000", "how long a client may take to log in"),
    count("frame_timeout_ms", 100, 3_600_000, "30000", "how long nothing may come of a frame that was begun"),
    count(
        "max_inactivity_ms",
        0,
        86_400_000,
        "30000",
        "silence after which a peer is gone, unless it asks for less; 0: it is never",
    ),
    count(
        "min_inactivity_ms",
        1,
        60_000,
        "300",
        "shortest silence that a peer may ask for: how often it can make us send signs of life",
    ),
    count("cache_entries", 0, 32_767, "1024", "entries of the cache of ids and destinations; 0: no cache"),
    count("max_sessions", 1, 1_000_000, "4096", "most JMS sessions of a connection"),
    count("max_consumers", 1, 1_000_000, "10000", "most consumers of a connection"),
    count("max_producers", 1, 1_000_000, "8192", "most producers of a connection"),
    count(
        "max_anonymous_destinations",
        1,
        4096,
        "256",
        "destinations kept attached for producers without one; the least recently used goes",
    ),
    count("max_transactions", 1, 100_000, "1000", "most open transactions of a connection"),
    count(
        "max_transaction_acks",
        1,
        10_000_000,
        "100000",
        "most runs of acknowledgements that a transaction keeps until it is committed",
    ),
    count(
        "max_destination_bytes",
        1024,
        65_535,
        "8192",
        "longest destination of a consumer or producer as it is written, composites and options included",
    ),
    count("max_composite", 1, 256, "100", "most destinations in one composite destination"),
    count(
        "max_told_destinations",
        1,
        10_000_000,
        "65536",
        "destinations that the listeners of a connection are told of when they begin and have not acknowledged; the \
         rest is left out",
    ),
    count("max_prefetch", 1, 1_000_000, "65535", "most messages in flight that a consumer may ask for"),
    count(
        "max_broker_infos",
        1,
        1_000_000,
        "16",
        "most introductions as a broker that a connection may send",
    ),
    Setting {
        name: "tight_encoding",
        kind: Kind::Flag,
        default: "true",
        doc: "whether the tight encoding is offered, which is what clients prefer",
    },
    Setting {
        name: "populate_user_id",
        kind: Kind::Flag,
        default: "true",
        doc: "whether messages bear the name with which their sender has logged in, as JMSXUserID",
    },
    Setting {
        name: "update_cluster_clients",
        kind: Kind::Flag,
        default: "false",
        doc: "whether clients that follow several brokers are told this one's address, as they have reached it",
    },
    Setting {
        name: "advisories",
        kind: Kind::Flag,
        default: "true",
        doc: "whether topics named ActiveMQ.Advisory tell of connections, consumers and destinations",
    },
];

/// The same as JSON Schema.
pub const SCHEMA: &str = include_str!("config.schema.json");

/// The settings, read. The fields are those of [`SETTINGS`].
#[derive(Debug)]
#[allow(missing_docs, reason = "the table says what each is")]
pub struct Settings {
    pub max_frame_bytes: u64,
    pub login_frame_bytes: usize,
    pub max_login_commands: u64,
    pub login_pipeline_bytes: usize,
    pub gather_threshold_bytes: usize,
    pub connect_timeout_ms: u64,
    pub frame_timeout_ms: u64,
    pub max_inactivity_ms: u64,
    pub min_inactivity_ms: u64,
    pub cache_entries: u64,
    pub max_sessions: usize,
    pub max_consumers: usize,
    pub max_producers: usize,
    pub max_anonymous_destinations: usize,
    pub max_transactions: usize,
    pub max_transaction_acks: usize,
    pub max_destination_bytes: usize,
    pub max_composite: usize,
    pub max_told_destinations: usize,
    pub max_prefetch: u64,
    pub max_broker_infos: u64,
    pub tight_encoding: bool,
    pub populate_user_id: bool,
    pub update_cluster_clients: bool,
    pub advisories: bool,
}

impl Settings {
    /// Reads a JSON object; what it does not set has its default.
    pub fn read(config: &str) -> Result<Settings> {
        let mut values = Values::new(SETTINGS);
        values.apply_json(config)?;
        let size = |name| usize::try_from(values.count(name)).unwrap_or(usize::MAX);
        Ok(Settings {
            max_frame_bytes: values.count("max_frame_bytes"),
            login_frame_bytes: size("login_frame_bytes"),
            max_login_commands: values.count("max_login_commands"),
            login_pipeline_bytes: size("login_pipeline_bytes"),
            gather_threshold_bytes: size("gather_threshold_bytes"),
            connect_timeout_ms: values.count("connect_timeout_ms"),
            frame_timeout_ms: values.count("frame_timeout_ms"),
            max_inactivity_ms: values.count("max_inactivity_ms"),
            min_inactivity_ms: values.count("min_inactivity_ms"),
            cache_entries: values.count("cache_entries"),
            max_sessions: size("max_sessions"),
            max_consumers: size("max_consumers"),
            max_producers: size("max_producers"),
            max_anonymous_destinations: size("max_anonymous_destinations"),
            max_transactions: size("max_transactions"),
            max_transaction_acks: size("max_transaction_acks"),
            max_destination_bytes: size("max_destination_bytes"),
            max_composite: size("max_composite"),
            max_told_destinations: size("max_told_destinations"),
            max_prefetch: values.count("max_prefetch"),
            max_broker_infos: values.count("max_broker_infos"),
            tight_encoding: values.flag("tight_encoding"),
            populate_user_id: values.flag("populate_user_id"),
            update_cluster_clients: values.flag("update_cluster_clients"),
            advisories: values.flag("advisories"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_and_table_say_the_same() {
        assert_eq!(sabir_sdk::settings::differences(SCHEMA, SETTINGS), Vec::<String>::new());
    }

    #[test]
    fn defaults_and_settings_are_read() {
        let settings = Settings::read("{}").unwrap();
        assert_eq!((settings.max_prefetch, settings.login_frame_bytes), (65_535, 65_536));
        let settings = Settings::read(r#"{"max_consumers": 7, "advisories": false}"#).unwrap();
        assert_eq!((settings.max_consumers, settings.advisories), (7, false));
        assert!(Settings::read(r#"{"max_consumer": 7}"#).is_err());
    }
}
