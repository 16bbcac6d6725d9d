// SPDX-License-Identifier: Apache-2.0
//! The header `heart-beat`: what one end promises and what it wishes.

/// What the sender of a `heart-beat` header promises and wishes (STOMP 1.2, "Heart-beating").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct HeartBeat {
    /// It can send something at least so often, in milliseconds; 0: it cannot promise.
    pub send_ms: u64,
    /// It wants to receive something at least so often, in milliseconds; 0: it does not care.
    pub receive_ms: u64,
}

/// A header `heart-beat` that is not two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two numbers of milliseconds, as 10000,10000")]
pub struct HeartBeatError;

impl HeartBeat {
    /// Reads the header's value.
    pub fn parse(value: &str) -> Result<HeartBeat, HeartBeatError> {
        let (send, receive) = value.split_once(',').ok_or(HeartBeatError)?;
        Ok(HeartBeat { send_ms: number(send)?, receive_ms: number(receive)? })
    }

    /// How often this end must send, when `peer` is what the other end has said; `None`: it need not.
    pub fn send_interval_ms(self, peer: HeartBeat) -> Option<u64> {
        (self.send_ms != 0 && peer.receive_ms != 0).then(|| self.send_ms.max(peer.receive_ms))
    }

    /// How often this end may expect something, when `peer` is what the other end has said; `None`: never.
    pub fn receive_interval_ms(self, peer: HeartBeat) -> Option<u64> {
        peer.send_interval_ms(self)
    }
}

fn number(text: &str) -> Result<u64, HeartBeatError> {
    let text = text.trim_matches([' ', '\t']);
    // `parse` alone would take a sign.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HeartBeatError);
    }
    text.parse().map_err(|_| HeartBeatError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_numbers_are_read_and_nothing_else() {
        assert_eq!(HeartBeat::parse("10000,500"), Ok(HeartBeat { send_ms: 10_000, receive_ms: 500 }));
        assert_eq!(HeartBeat::parse("0, 0"), Ok(HeartBeat::default()));
        for bad in ["", "1", "1,", ",1", "-1,1", "+1,1", "1,1,1", "a,b", "99999999999999999999,0"] {
            assert_eq!(HeartBeat::parse(bad), Err(HeartBeatError), "{bad:?}");
        }
    }

    #[test]
    fn the_slower_of_promise_and_wish_counts_and_zero_means_none() {
        let server = HeartBeat { send_ms: 1000, receive_ms: 2000 };
        let client = HeartBeat { send_ms: 500, receive_ms: 3000 };
        assert_eq!(server.send_interval_ms(client), Some(3000));
        assert_eq!(server.receive_interval_ms(client), Some(2000));
        assert_eq!(server.send_interval_ms(HeartBeat::default()), None);
        assert_eq!(HeartBeat::default().receive_interval_ms(client), None);
    }
}
