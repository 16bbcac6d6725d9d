// SPDX-License-Identifier: Apache-2.0
//! What can be set on a mem address: one table, from which parser, checks, schema and README follow.

use sabir_sdk::settings::{Kind, Setting, Settings};
use sabir_sdk::transport::Framing;

/// The options of `mem://name?name=value`, and the keys of the component's configuration.
pub const TABLE: &[Setting] = &[
    Setting {
        name: "framing",
        kind: Kind::Choice(&["stream", "message"]),
        default: "stream",
        doc: "Listening: whether links carry a stream of bytes or keep the boundaries of messages. Connecting: refuse a listener that does otherwise.",
    },
    Setting {
        name: "buffer_bytes",
        kind: Kind::Count { min: 1, max: 1073741824 },
        default: "65536",
        doc: "Listening: bytes that wait in each direction of a link before its writer has to.",
    },
    Setting {
        name: "buffer_messages",
        kind: Kind::Count { min: 1, max: 1048576 },
        default: "1024",
        doc: "Listening, with framing=message: messages that wait in each direction of a link before its writer has to. Empty ones take no bytes, so they need a bound of their own.",
    },
    Setting {
        name: "backlog",
        kind: Kind::Count { min: 1, max: 65535 },
        default: "1024",
        doc: "Listening: links that wait to be accepted before further ones are refused.",
    },
];

/// JSON Schema of the component's configuration. A test compares it with [`TABLE`].
pub const CONFIG_SCHEMA: &str = include_str!("config.schema.json");

/// The values for one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) framing: Framing,
    pub(crate) limits: Limits,
    pub(crate) backlog: usize,
}

/// What one direction of a link holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) bytes: usize,
    pub(crate) messages: usize,
}

impl Options {
    pub(crate) fn read(settings: &Settings) -> Self {
        let size = |name| usize::try_from(settings.count(name)).unwrap_or(usize::MAX);
        Self {
            framing: framing(settings),
            limits: Limits { bytes: size("buffer_bytes"), messages: size("buffer_messages") },
            backlog: size("backlog"),
        }
    }
}

/// The framing that the settings ask for.
pub(crate) fn framing(settings: &Settings) -> Framing {
    match settings.choice("framing") {
        "message" => Framing::Message,
        _ => Framing::Stream,
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
}
