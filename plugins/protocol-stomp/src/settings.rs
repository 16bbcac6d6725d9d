// SPDX-License-Identifier: Apache-2.0
//! The protocol's settings: every bound that a client can reach has a name here.

use crate::codec::Limits;
use sabir_sdk::Result;
use sabir_sdk::settings::{Kind, Setting, Settings as Values};

const fn count(name: &'static str, min: u64, max: u64, default: &'static str, doc: &'static str) -> Setting {
    Setting { name, kind: Kind::Count { min, max }, default, doc }
}

/// All settings, with their defaults.
pub static SETTINGS: &[Setting] = &[
    count("max_frame_head_bytes", 256, 1 << 20, "65536", "longest head of a frame: command and headers"),
    count("max_headers", 8, 4096, "256", "most headers of a frame"),
    count("max_header_bytes", 64, 65_000, "16384", "longest header line"),
    count(
        "stream_threshold_bytes",
        1024,
        1 << 24,
        "65536",
        "longest frame that is waited for before it is handed on",
    ),
    count("max_subscriptions", 1, 1_000_000, "1024", "most subscriptions of a connection"),
    count("max_transactions", 1, 100_000, "256", "most open transactions of a connection"),
    count(
        "max_producers",
        1,
        4096,
        "64",
        "most destinations kept attached for sending; the least recently used goes",
    ),
    count("max_temporaries", 1, 100_000, "256", "most temporary destinations of a connection"),
    count("max_composite", 1, 1024, "32", "most destinations in one composite destination"),
    count(
        "max_pending_receipts",
        1,
        10_000_000,
        "65536",
        "most receipts that a connection may be waiting for",
    ),
    count("default_prefetch", 1, 1_000_000, "1000", "messages in flight when SUBSCRIBE does not say"),
    count("max_prefetch", 1, 1_000_000, "65535", "most messages in flight that SUBSCRIBE may ask for"),
    count(
        "max_inflated_bytes",
        1024,
        1 << 40,
        "104857600",
        "longest body of a compressed message once it is inflated; never more than the largest message",
    ),
    count("connect_timeout_ms", 100, 600_000, "2000", "how long a client may take to send CONNECT"),
    count("frame_timeout_ms", 100, 3_600_000, "30000", "how long nothing may come of a frame that was begun"),
    count("heartbeat_min_ms", 10, 3_600_000, "1000", "shortest interval of heart-beats, both ways"),
    count("heartbeat_max_ms", 1000, 86_400_000, "86400000", "longest interval that a client may ask for"),
    count(
        "heartbeat_tolerance_percent",
        100,
        1000,
        "200",
        "silence after which a client is gone, of its interval",
    ),
    count("login_head_bytes", 256, 65_536, "8192", "longest head of a frame before log-in"),
    count("login_headers", 8, 1024, "64", "most headers of a frame before log-in"),
    count(
        "login_pipeline_bytes",
        0,
        1 << 20,
        "262144",
        "bytes that a client may send behind CONNECT before it is answered",
    ),
    Setting {
        name: "persistent_by_default",
        kind: Kind::Flag,
        default: "false",
        doc: "whether SEND without the header persistent sends a persistent message",
    },
    Setting {
        name: "host_header",
        kind: Kind::Choice(&["ignore", "virtual-host"]),
        default: "ignore",
        doc: "whether the header host of CONNECT chooses the virtual host",
    },
];

/// The same as JSON Schema.
pub const SCHEMA: &str = include_str!("config.schema.json");

/// The settings, read.
#[derive(Debug)]
pub struct Settings {
    /// Limits of frames once logged in; the message's size comes with the session.
    pub frames: Limits,
    /// Limits of frames before.
    pub login: Limits,
    /// See `login_pipeline_bytes`.
    pub login_pipeline_bytes: usize,
    /// See `max_subscriptions`.
    pub max_subscriptions: usize,
    /// See `max_transactions`.
    pub max_transactions: usize,
    /// See `max_producers`.
    pub max_producers: usize,
    /// See `max_temporaries`.
    pub max_temporaries: usize,
    /// See `max_composite`.
    pub max_composite: usize,
    /// See `max_pending_receipts`.
    pub max_pending_receipts: usize,
    /// See `default_prefetch`.
    pub default_prefetch: u64,
    /// See `max_prefetch`.
    pub max_prefetch: u64,
    /// See `max_inflated_bytes`.
    pub max_inflated_bytes: usize,
    /// See `connect_timeout_ms`.
    pub connect_timeout_ms: u64,
    /// See `frame_timeout_ms`.
    pub frame_timeout_ms: u64,
    /// See `heartbeat_min_ms`.
    pub heartbeat_min_ms: u64,
    /// See `heartbeat_max_ms`.
    pub heartbeat_max_ms: u64,
    /// See `heartbeat_tolerance_percent`.
    pub heartbeat_tolerance_percent: u64,
    /// See `persistent_by_default`.
    pub persistent_by_default: bool,
    /// See `host_header`.
    pub host_is_virtual_host: bool,
}

impl Settings {
    /// Reads a JSON object; what it does not set has its default.
    pub fn read(config: &str) -> Result<Settings> {
        let mut values = Values::new(SETTINGS);
        values.apply_json(config)?;
        let size = |name| usize::try_from(values.count(name)).unwrap_or(usize::MAX);
        let head_bytes = size("max_frame_head_bytes");
        let header_bytes = size("max_header_bytes");
        let login_head_bytes = size("login_head_bytes");
        Ok(Settings {
            frames: Limits {
                head_bytes,
                headers: size("max_headers"),
                header_bytes,
                whole_bytes: size("stream_threshold_bytes").max(head_bytes),
                body_bytes: u64::MAX,
            },
            login: Limits {
                head_bytes: login_head_bytes,
                headers: size("login_headers"),
                header_bytes: header_bytes.min(login_head_bytes),
                whole_bytes: login_head_bytes,
                body_bytes: login_head_bytes as u64,
            },
            login_pipeline_bytes: size("login_pipeline_bytes"),
            max_subscriptions: size("max_subscriptions"),
            max_transactions: size("max_transactions"),
            max_producers: size("max_producers"),
            max_temporaries: size("max_temporaries"),
            max_composite: size("max_composite"),
            max_pending_receipts: size("max_pending_receipts"),
            default_prefetch: values.count("default_prefetch").min(values.count("max_prefetch")),
            max_prefetch: values.count("max_prefetch"),
            max_inflated_bytes: size("max_inflated_bytes"),
            connect_timeout_ms: values.count("connect_timeout_ms"),
            frame_timeout_ms: values.count("frame_timeout_ms"),
            heartbeat_min_ms: values.count("heartbeat_min_ms"),
            heartbeat_max_ms: values.count("heartbeat_max_ms"),
            heartbeat_tolerance_percent: values.count("heartbeat_tolerance_percent"),
            persistent_by_default: values.flag("persistent_by_default"),
            host_is_virtual_host: values.choice("host_header") == "virtual-host",
        })
    }

    /// The limits of frames, within what the host can hold for this session.
    pub fn within(limits: Limits, max_head_bytes: u64, max_message_bytes: u64) -> Limits {
        let most = usize::try_from(max_head_bytes).unwrap_or(usize::MAX);
        let head_bytes = limits.head_bytes.min(most);
        Limits {
            head_bytes,
            headers: limits.headers,
            header_bytes: limits.header_bytes.min(head_bytes),
            whole_bytes: limits.whole_bytes.min(most),
            body_bytes: limits.body_bytes.min(max_message_bytes),
        }
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
        assert_eq!(settings.frames.head_bytes, 65_536);
        assert_eq!(settings.connect_timeout_ms, 2000);
        let settings = Settings::read(r#"{"max_subscriptions": 7, "persistent_by_default": true}"#).unwrap();
        assert_eq!((settings.max_subscriptions, settings.persistent_by_default), (7, true));
        assert!(Settings::read(r#"{"max_subscription": 7}"#).is_err());
    }

    #[test]
    fn frames_stay_within_what_the_host_can_hold() {
        let limits = Settings::within(Settings::read("{}").unwrap().frames, 1000, 5000);
        assert_eq!((limits.head_bytes, limits.whole_bytes, limits.body_bytes), (1000, 1000, 5000));
    }
}
