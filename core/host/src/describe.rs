// SPDX-License-Identifier: Apache-2.0
//! What a plugin says of itself, for people and programs: `sabir plugin list` and `sabir plugin inspect`.

use sabir_abi::*;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// Where a plugin came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It is linked into this program.
    Linked,
    /// It was loaded from this file.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Linked => f.write_str("linked into this program"),
            Origin::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Kinds of component that this host knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Listeners and links.
    Transport,
    /// Sessions.
    Protocol,
    /// Formats of stream batches.
    Codec,
    /// Logs, batches, keys.
    Store,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [Kind::Transport, Kind::Protocol, Kind::Codec, Kind::Store];

    /// `SABIR_KIND_*`.
    pub fn number(self) -> u32 {
        match self {
            Kind::Transport => SABIR_KIND_TRANSPORT,
            Kind::Protocol => SABIR_KIND_PROTOCOL,
            Kind::Codec => SABIR_KIND_CODEC,
            Kind::Store => SABIR_KIND_STORE,
        }
    }

    /// The kind with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        Kind::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Its capabilities by bit, as the contract names them.
    fn capability_names(self) -> &'static [(u64, &'static str)] {
        match self {
            Kind::Transport => &[
                (SABIR_CAP_TRANSPORT_LISTEN, "listen"),
                (SABIR_CAP_TRANSPORT_CONNECT, "connect"),
                (SABIR_CAP_TRANSPORT_WRAP_LISTENER, "wrap_listener"),
                (SABIR_CAP_TRANSPORT_WRAP_LINK, "wrap_link"),
                (SABIR_CAP_TRANSPORT_HALF_CLOSE, "half_close"),
                (SABIR_CAP_TRANSPORT_SEND_FILE, "send_file"),
                (SABIR_CAP_TRANSPORT_LOCAL_ONLY, "local_only"),
            ],
            Kind::Protocol => &[
                (SABIR_CAP_PROTOCOL_STREAM, "stream"),
                (SABIR_CAP_PROTOCOL_MESSAGE, "message"),
                (SABIR_CAP_PROTOCOL_EXCHANGE, "exchange"),
                (SABIR_CAP_PROTOCOL_DETECT, "detect"),
            ],
            Kind::Codec => &[],
            Kind::Store => &[
                (SABIR_CAP_STORE_PERSISTENT, "persistent"),
                (SABIR_CAP_STORE_REPLACE, "replace"),
                (SABIR_CAP_STORE_REGION, "region"),
                (SABIR_CAP_STORE_BACKUP, "backup"),
                (SABIR_CAP_STORE_LOCK, "lock"),
                (SABIR_CAP_STORE_MAINTAIN, "maintain"),
            ],
        }
    }

    /// The names of these capabilities; bits that this host does not know are given by number.
    pub fn name_capabilities(self, bits: u64) -> Vec<String> {
        name_bits(self.capability_names(), bits)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Transport => "transport",
            Kind::Protocol => "protocol",
            Kind::Codec => "codec",
            Kind::Store => "store",
        })
    }
}

/// What a host can offer, by bit.
const HOST_CAPABILITIES: &[(u64, &str)] = &[
    (SABIR_CAP_HOST_REACTOR, "reactor"),
    (SABIR_CAP_HOST_TIMERS, "timers"),
    (SABIR_CAP_HOST_TASKS, "tasks"),
    (SABIR_CAP_HOST_BLOCKING, "blocking"),
    (SABIR_CAP_HOST_METRICS, "metrics"),
];

/// The names of these capabilities of a host; bits that this host does not know are given by number.
pub fn name_host_capabilities(bits: u64) -> Vec<String> {
    name_bits(HOST_CAPABILITIES, bits)
}

fn name_bits(names: &[(u64, &str)], bits: u64) -> Vec<String> {
    let one = |bit: u32| {
        let known = names.iter().find(|(known, _)| *known == 1 << bit);
        known.map_or_else(|| format!("bit {bit}"), |(_, name)| (*name).to_owned())
    };
    (0..u64::BITS).filter(|bit| bits & (1 << bit) != 0).map(one).collect()
}

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// SPDX licence expression.
    pub license: String,
    /// Who made it.
    pub vendor: String,
    /// One sentence.
    pub description: String,
    /// The ABI it was built for: major version.
    pub abi_major: u32,
    /// The ABI it was built for: minor version.
    pub abi_minor: u32,
    /// Where it came from.
    pub origin: Origin,
    /// What it can do.
    pub components: Vec<ComponentDescription>,
    /// Components that this host skipped, and why.
    pub skipped: Vec<Skipped>,
}

/// What a plugin says of one of its components.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentDescription {
    /// Its kind.
    pub kind: Kind,
    /// Its name: a transport's URI scheme, others' name in the configuration.
    pub name: String,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// What it cannot do without.
    pub required_host_capabilities: Vec<String>,
    /// JSON Schema of its configuration; empty: it has none.
    pub config_schema: String,
}

/// A component of a kind that this host does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The kind's number.
    pub kind: u32,
    /// The component's name.
    pub name: String,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is of kind {}, which this host does not know", self.name, self.kind)
    }
}
