// SPDX-License-Identifier: Apache-2.0
//! What can be set on a tcp address: one table, from which parser, checks, schema and README follow.

use sabir_sdk::settings::{Kind, Setting, Settings};
use std::time::Duration;

/// Largest number that the system calls for buffers and backlog take.
const MAX_INT: u64 = i32::MAX as u64;

/// The options of `tcp://host:port?name=value`, and the keys of the component's configuration.
pub const TABLE: &[Setting] = &[
    Setting {
        name: "backlog",
        kind: Kind::Count { min: 1, max: 65535 },
        default: "1024",
        doc: "Listening: connections that the system keeps until they are accepted. The system may have a lower bound of its own (net.core.somaxconn).",
    },
    Setting {
        name: "nodelay",
        kind: Kind::Flag,
        default: "true",
        doc: "Send small packets at once (TCP_NODELAY). Messages are written in one piece, so waiting for more only adds latency.",
    },
    Setting {
        name: "keepalive_s",
        kind: Kind::Count { min: 0, max: 32767 },
        default: "60",
        doc: "Seconds of silence after which the system asks whether the peer is still there; four unanswered questions, a quarter of this time apart, end the link. 0: never ask.",
    },
    Setting {
        name: "reuse_port",
        kind: Kind::Flag,
        default: "false",
        doc: "Listening: allow several listeners on one address (SO_REUSEPORT), between which the system spreads the connections.",
    },
    Setting {
        name: "recv_buffer_bytes",
        kind: Kind::Count { min: 0, max: MAX_INT },
        default: "0",
        doc: "Size of the system's receive buffer (SO_RCVBUF). 0: the system chooses, and grows it with the link's speed.",
    },
    Setting {
        name: "send_buffer_bytes",
        kind: Kind::Count { min: 0, max: MAX_INT },
        default: "0",
        doc: "Size of the system's send buffer (SO_SNDBUF). 0: the system chooses, and grows it with the link's speed.",
    },
    Setting {
        name: "ipv6_only",
        kind: Kind::Flag,
        default: "false",
        doc: "Listening on [::]: take IPv6 connections only, not IPv4 ones as well.",
    },
    Setting {
        name: "connect_timeout_ms",
        kind: Kind::Count { min: 1, max: 3_600_000 },
        default: "10000",
        doc: "Connecting: milliseconds after which an address that does not answer is given up, and the next address of the name is tried.",
    },
];

/// JSON Schema of the component's configuration. A test compares it with [`TABLE`].
pub const CONFIG_SCHEMA: &str = include_str!("config.schema.json");

/// The values for one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) backlog: i32,
    pub(crate) nodelay: bool,
    pub(crate) keepalive: Option<Duration>,
    pub(crate) reuse_port: bool,
    pub(crate) recv_buffer_bytes: Option<usize>,
    pub(crate) send_buffer_bytes: Option<usize>,
    pub(crate) ipv6_only: bool,
    pub(crate) connect_timeout_ms: u64,
}

impl Options {
    pub(crate) fn read(settings: &Settings) -> Self {
        let size = |name| Some(settings.count(name)).filter(|n| *n > 0).and_then(|n| usize::try_from(n).ok());
        let keepalive_s = settings.count("keepalive_s");
        Self {
            backlog: i32::try_from(settings.count("backlog")).unwrap_or(i32::MAX),
            nodelay: settings.flag("nodelay"),
            keepalive: (keepalive_s > 0).then(|| Duration::from_secs(keepalive_s)),
            reuse_port: settings.flag("reuse_port"),
            recv_buffer_bytes: size("recv_buffer_bytes"),
            send_buffer_bytes: size("send_buffer_bytes"),
            ipv6_only: settings.flag("ipv6_only"),
            connect_timeout_ms: settings.count("connect_timeout_ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_says_the_same_as_the_table() {
        assert_eq!(sabir_sdk::settings::differences(CONFIG_SCHEMA, TABLE), Vec::<String>::new());
    }

    #[test]
    fn the_readme_tells_every_option_with_its_default() {
        let readme = include_str!("../README.md");
        for row in TABLE {
            let line = format!("| `{}` | `{}` | {} |", row.name, row.default, row.doc);
            assert!(readme.contains(&line), "the README lacks this line:\n{line}");
        }
    }

    #[test]
    fn zero_leaves_buffers_and_keepalive_to_the_system() {
        let mut settings = Settings::new(TABLE);
        let defaults = Options::read(&settings);
        assert_eq!((defaults.recv_buffer_bytes, defaults.keepalive), (None, Some(Duration::from_secs(60))));
        settings.apply_query("keepalive_s=0&recv_buffer_bytes=4096").unwrap();
        let set = Options::read(&settings);
        assert_eq!((set.recv_buffer_bytes, set.keepalive), (Some(4096), None));
    }
}
