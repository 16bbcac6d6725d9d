// SPDX-License-Identifier: Apache-2.0
//! STOMP as a protocol of the broker: recognises it, and opens sessions.

use crate::codec::Command;
use crate::session::StompSession;
use crate::settings::Settings;
use sabir_sdk::abi::{SABIR_CAP_PROTOCOL_DETECT, SABIR_CAP_PROTOCOL_STREAM};
use sabir_sdk::protocol::{Attributes, Match, Now, Out, Protocol, SessionParams};
use sabir_sdk::{Host, Result};
use std::sync::Arc;

/// STOMP 1.0, 1.1 and 1.2.
pub struct Stomp {
    settings: Arc<Settings>,
    host: Host,
}

/// Line ends that may stand before the first frame.
const LEADING_LINE_ENDS: usize = 16;

impl Protocol for Stomp {
    const NAME: &'static str = "stomp";
    const CAPABILITIES: u64 = SABIR_CAP_PROTOCOL_STREAM | SABIR_CAP_PROTOCOL_DETECT;
    const CONFIG_SCHEMA: &'static str = crate::settings::SCHEMA;
    type Session = StompSession;

    fn open(host: Host, config: &str) -> Result<Self> {
        Ok(Stomp { settings: Arc::new(Settings::read(config)?), host })
    }

    /// Any command of a client followed by a line end is STOMP: also one that must not come first, so that it is
    /// answered with an `ERROR` frame.
    fn matches(&self, prefix: &[u8], _attributes: Attributes<'_>) -> Match {
        let start = prefix.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        if start > LEADING_LINE_ENDS {
            return Match::No;
        }
        let rest = prefix.get(start..).unwrap_or_default();
        let line_end = rest.iter().take(Command::LONGEST_BYTES + 2).position(|byte| *byte == b'\n');
        let known = |line: &[u8]| Command::from_bytes(line.strip_suffix(b"\r").unwrap_or(line));
        match line_end.and_then(|end| rest.get(..end)) {
            Some(line) => match known(line) {
                Some(command) if command.is_clients() => Match::Yes,
                _ => Match::No,
            },
            None if rest.len() <= Command::LONGEST_BYTES + 1 && Command::may_begin_with(rest) => {
                Match::NeedMore
            }
            None => Match::No,
        }
    }

    fn session(&self, params: &SessionParams<'_>, now: Now, out: &mut Out<'_>) -> Result<StompSession> {
        let mut session = StompSession::new(Arc::clone(&self.settings), self.host, params, now);
        session.opened(out);
        Ok(session)
    }
}
