// SPDX-License-Identifier: Apache-2.0
//! The small words of the contract as Rust enums: framings, chunks, flows, matches, maintenance.

use sabir_abi::*;

/// What is to be done with a store that is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Maintenance {
    /// Look at everything, and change nothing.
    Check,
    /// Make it whole again, without what is lost.
    Repair,
    /// Give back the room that nothing living needs.
    Compact,
}

impl Maintenance {
    /// Its number in the contract.
    pub fn number(self) -> u32 {
        match self {
            Maintenance::Check => SABIR_MAINTAIN_CHECK,
            Maintenance::Repair => SABIR_MAINTAIN_REPAIR,
            Maintenance::Compact => SABIR_MAINTAIN_COMPACT,
        }
    }

    /// What a number of the contract means; `None`: a later version's.
    pub fn from_number(number: u32) -> Option<Self> {
        [Maintenance::Check, Maintenance::Repair, Maintenance::Compact]
            .into_iter()
            .find(|verb| verb.number() == number)
    }
}

/// What boundaries a link has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Framing {
    /// A stream of bytes without boundaries.
    #[default]
    Stream,
    /// Messages with boundaries, each perhaps with its own peer (UDP, WebSocket).
    Message,
    /// Exchanges (HTTP): requests with ids, whose answers may be deferred, several, or none.
    Exchange,
}

impl Framing {
    /// All of them.
    pub const ALL: [Framing; 3] = [Framing::Stream, Framing::Message, Framing::Exchange];

    /// The number in the contract.
    pub fn number(self) -> u32 {
        match self {
            Framing::Stream => SABIR_FRAMING_STREAM,
            Framing::Message => SABIR_FRAMING_MESSAGE,
            Framing::Exchange => SABIR_FRAMING_EXCHANGE,
        }
    }

    /// The framing with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        Framing::ALL.into_iter().find(|framing| framing.number() == number)
    }
}

/// What is known of a chunk of bytes beside the bytes. On stream links it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkInfo {
    /// The first bytes of a message or exchange.
    pub begin: bool,
    /// The last bytes of a message or exchange.
    pub end: bool,
    /// With framing `Exchange`: the exchange, never 0.
    pub exchange_id: u64,
    /// With framing `Message` over datagrams: whom it came from or goes to.
    pub peer_id: u64,
}

impl ChunkInfo {
    /// The C form.
    pub fn to_abi(self) -> sabir_chunk_info {
        sabir_chunk_info {
            struct_size: size_of::<sabir_chunk_info>() as u32,
            flags: self.flags(),
            exchange_id: self.exchange_id,
            peer_id: self.peer_id,
        }
    }

    /// From the C form.
    pub fn from_abi(info: &sabir_chunk_info) -> Self {
        ChunkInfo::from_flags(info.flags, info.exchange_id, info.peer_id)
    }

    /// `SABIR_CHUNK_*`.
    pub fn flags(self) -> u32 {
        (if self.begin { SABIR_CHUNK_BEGIN } else { 0 }) | (if self.end { SABIR_CHUNK_END } else { 0 })
    }

    /// From `SABIR_CHUNK_*`; unknown flags are skipped.
    pub fn from_flags(flags: u32, exchange_id: u64, peer_id: u64) -> Self {
        ChunkInfo {
            begin: flags & SABIR_CHUNK_BEGIN != 0,
            end: flags & SABIR_CHUNK_END != 0,
            exchange_id,
            peer_id,
        }
    }
}

/// Whether a link speaks a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// More bytes are needed to tell.
    NeedMore,
}

impl Match {
    /// `SABIR_MATCH_*`.
    pub fn number(self) -> i64 {
        match self {
            Match::Yes => SABIR_MATCH_YES,
            Match::No => SABIR_MATCH_NO,
            Match::NeedMore => SABIR_MATCH_NEED_MORE,
        }
    }

    /// From `SABIR_MATCH_*`; anything else does not match.
    pub fn from_number(number: i64) -> Self {
        match number {
            SABIR_MATCH_YES => Match::Yes,
            SABIR_MATCH_NEED_MORE => Match::NeedMore,
            _ => Match::No,
        }
    }
}

/// The state of the flow, as a session is told of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Publishes of this session are parked: a destination or the store is full.
    pub parked: bool,
    /// The host reads nothing from this link for now; the peer's silence means nothing.
    pub read_paused: bool,
}

impl Flow {
    /// `SABIR_FLOW_*`.
    pub fn flags(self) -> u32 {
        (if self.parked { SABIR_FLOW_PUBLISH_PARKED } else { 0 })
            | (if self.read_paused { SABIR_FLOW_READ_PAUSED } else { 0 })
    }

    /// From `SABIR_FLOW_*`; unknown flags are skipped.
    pub fn from_flags(flags: u32) -> Self {
        Flow {
            parked: flags & SABIR_FLOW_PUBLISH_PARKED != 0,
            read_paused: flags & SABIR_FLOW_READ_PAUSED != 0,
        }
    }
}
