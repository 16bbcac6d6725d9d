// SPDX-License-Identifier: Apache-2.0
//! The commands of frames, those of clients and those of servers.

/// The first line of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Client: log in. `STOMP` says the same from version 1.1 on.
    Connect,
    /// Client: log in, spelled so that it cannot be taken for HTTP's `CONNECT`.
    Stomp,
    /// Client: a message for a destination.
    Send,
    /// Client: begin to receive.
    Subscribe,
    /// Client: stop receiving.
    Unsubscribe,
    /// Client: a message was processed.
    Ack,
    /// Client: a message was not processed.
    Nack,
    /// Client: begin a transaction.
    Begin,
    /// Client: make it count.
    Commit,
    /// Client: undo it.
    Abort,
    /// Client: orderly end.
    Disconnect,
    /// Server: the log-in was accepted.
    Connected,
    /// Server: a message of a subscription.
    Message,
    /// Server: a frame was processed.
    Receipt,
    /// Server: something was wrong; the connection closes.
    Error,
}

impl Command {
    /// All of them.
    pub const ALL: [Command; 15] = [
        Command::Connect,
        Command::Stomp,
        Command::Send,
        Command::Subscribe,
        Command::Unsubscribe,
        Command::Ack,
        Command::Nack,
        Command::Begin,
        Command::Commit,
        Command::Abort,
        Command::Disconnect,
        Command::Connected,
        Command::Message,
        Command::Receipt,
        Command::Error,
    ];

    /// Length of the longest, in bytes.
    pub const LONGEST_BYTES: usize = 11;

    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Command::Connect => "CONNECT",
            Command::Stomp => "STOMP",
            Command::Send => "SEND",
            Command::Subscribe => "SUBSCRIBE",
            Command::Unsubscribe => "UNSUBSCRIBE",
            Command::Ack => "ACK",
            Command::Nack => "NACK",
            Command::Begin => "BEGIN",
            Command::Commit => "COMMIT",
            Command::Abort => "ABORT",
            Command::Disconnect => "DISCONNECT",
            Command::Connected => "CONNECTED",
            Command::Message => "MESSAGE",
            Command::Receipt => "RECEIPT",
            Command::Error => "ERROR",
        }
    }

    /// The command with this spelling.
    pub fn from_bytes(bytes: &[u8]) -> Option<Command> {
        // The frequent ones first.
        match bytes {
            b"SEND" => Some(Command::Send),
            b"ACK" => Some(Command::Ack),
            b"MESSAGE" => Some(Command::Message),
            _ => Command::ALL.into_iter().find(|command| command.as_str().as_bytes() == bytes),
        }
    }

    /// Whether a command can begin with these bytes, so that garbage is known from its first bytes.
    pub fn may_begin_with(bytes: &[u8]) -> bool {
        // A carriage return may already have been read of the line's end.
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        Command::ALL.into_iter().any(|command| command.as_str().as_bytes().starts_with(bytes))
    }

    /// Whether it comes from clients.
    pub fn is_clients(self) -> bool {
        !matches!(self, Command::Connected | Command::Message | Command::Receipt | Command::Error)
    }

    /// Whether its headers are never escaped, whatever the version (STOMP 1.2, "Value Encoding").
    pub fn is_unescaped(self) -> bool {
        matches!(self, Command::Connect | Command::Stomp | Command::Connected)
    }

    /// Whether its frame may have a body (STOMP 1.2, "Body").
    pub fn has_body(self) -> bool {
        matches!(self, Command::Send | Command::Message | Command::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_read_back_as_it_is_spelled() {
        for command in Command::ALL {
            assert_eq!(Command::from_bytes(command.as_str().as_bytes()), Some(command));
            assert!(command.as_str().len() <= Command::LONGEST_BYTES);
        }
        assert_eq!(Command::from_bytes(b"send"), None);
        assert_eq!(Command::from_bytes(b""), None);
    }

    #[test]
    fn garbage_is_known_from_its_first_bytes() {
        assert!(Command::may_begin_with(b"SUB"));
        assert!(Command::may_begin_with(b"SEND\r"));
        assert!(!Command::may_begin_with(b"GET / HTTP/1.1"));
        assert!(!Command::may_begin_with(b"\x16\x03\x01"));
    }
}
