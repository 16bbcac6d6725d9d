// SPDX-License-Identifier: Apache-2.0
//! OpenWire as a protocol of the broker: recognises it, and opens sessions.

use crate::codec::BrokerId;
use crate::session::OpenWireSession;
use crate::settings::Settings;
use sabir_sdk::abi::{SABIR_CAP_PROTOCOL_DETECT, SABIR_CAP_PROTOCOL_STREAM};
use sabir_sdk::protocol::{Attributes, Match, Now, Out, Protocol, SessionParams};
use sabir_sdk::{Host, Result};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// OpenWire, versions 1 to 12.
pub struct OpenWire {
    shared: Arc<Shared>,
}

/// What all sessions of an instance share.
pub(crate) struct Shared {
    pub settings: Settings,
    pub host: Host,
    /// Unlike any other broker's, and the same as long as this one runs.
    pub broker_id: Box<str>,
    /// Ids of messages are compared by their hashes, which nobody outside can foresee.
    pub hasher: RandomState,
    /// The connections that are duplex bridges, by the broker's names of them, and the brokers at their other ends.
    bridges: Mutex<HashMap<Box<str>, Arc<BrokerId>>>,
}

impl Shared {
    /// The connections that are duplex bridges, and where they lead to.
    pub fn bridges(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<BrokerId>>> {
        // Nothing is left half done in it.
        self.bridges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a first frame begins: a length of less than 64 KiB, the type, the magic.
const FIRST_BYTES: [Option<u8>; 13] = [
    Some(0),
    Some(0),
    None,
    None,
    Some(1),
    Some(b'A'),
    Some(b'c'),
    Some(b't'),
    Some(b'i'),
    Some(b'v'),
    Some(b'e'),
    Some(b'M'),
    Some(b'Q'),
];

impl Protocol for OpenWire {
    const NAME: &'static str = "openwire";
    const CAPABILITIES: u64 = SABIR_CAP_PROTOCOL_STREAM | SABIR_CAP_PROTOCOL_DETECT;
    const CONFIG_SCHEMA: &'static str = crate::settings::SCHEMA;
    type Session = OpenWireSession;

    fn open(host: Host, config: &str) -> Result<Self> {
        let hasher = RandomState::new();
        let broker_id = format!("ID:sabir-{:016x}", hasher.hash_one("broker")).into();
        let bridges = Mutex::default();
        let shared = Shared { settings: Settings::read(config)?, host, broker_id, hasher, bridges };
        Ok(OpenWire { shared: Arc::new(shared) })
    }

    fn matches(&self, prefix: &[u8], _attributes: Attributes<'_>) -> Match {
        let fits = prefix
            .iter()
            .zip(FIRST_BYTES)
            .all(|(byte, expected)| expected.is_none_or(|expected| expected == *byte));
        match fits {
            false => Match::No,
            true if prefix.len() < FIRST_BYTES.len() => Match::NeedMore,
            true => Match::Yes,
        }
    }

    fn session(&self, params: &SessionParams<'_>, now: Now, out: &mut Out<'_>) -> Result<OpenWireSession> {
        let mut session = OpenWireSession::new(Arc::clone(&self.shared), params, now);
        session.opened(now, out);
        Ok(session)
    }
}
