// SPDX-License-Identifier: Apache-2.0
//! How many links there may be: in all, and from one address.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Counts links.
#[derive(Debug, Default)]
pub struct Connections {
    counts: Mutex<Counts>,
    gone: Condvar,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_address: HashMap<Box<str>, usize>,
}

/// Why a link was turned away. The text names the setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TurnedAway {
    /// Too many links.
    #[error("there are {0} links already (limits.max_connections)")]
    Total(usize),
    /// Too many links from the address.
    #[error("there are {0} links from this address already (limits.max_connections_per_address)")]
    Address(usize),
}

/// A link's place; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    connections: Arc<Connections>,
    address: Box<str>,
}

impl Connections {
    /// Takes a place for a link from `peer`, which may carry a port.
    pub fn admit(
        self: &Arc<Self>,
        peer: &str,
        max_total: usize,
        max_per_address: usize,
    ) -> Result<Place, TurnedAway> {
        let address = address_of(peer);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= max_total {
            return Err(TurnedAway::Total(counts.total));
        }
        let of_address = counts.by_address.get(address).copied().unwrap_or(0);
        if of_address >= max_per_address {
            return Err(TurnedAway::Address(of_address));
        }
        counts.total += 1;
        counts.by_address.insert(address.into(), of_address + 1);
        Ok(Place { connections: self.clone(), address: address.into() })
    }

    /// Waits until a link has gone, or the time is over.
    pub fn wait_for_change(&self, timeout: Duration) {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total > 0 {
            let _ = self.gone.wait_timeout(counts, timeout);
        }
    }

    /// Links that there are.
    pub fn total(&self) -> usize {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.connections.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total = counts.total.saturating_sub(1);
        if let Some(count) = counts.by_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.by_address.remove(&self.address);
            }
        }
        drop(counts);
        self.connections.gone.notify_all();
    }
}

/// The address without its port.
fn address_of(peer: &str) -> &str {
    match peer.rsplit_once(':') {
        Some((address, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            address
        }
        _ => peer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_too_many_is_turned_away_until_another_has_gone() {
        let connections = Arc::new(Connections::default());
        let first = connections.admit("10.0.0.1:1", 2, 1).unwrap();
        assert_eq!(connections.admit("10.0.0.1:2", 2, 1).unwrap_err(), TurnedAway::Address(1));
        let _second = connections.admit("[::1]:3", 2, 1).unwrap();
        assert_eq!(connections.admit("10.0.0.3:4", 2, 1).unwrap_err(), TurnedAway::Total(2));
        drop(first);
        assert!(connections.admit("10.0.0.1:5", 2, 1).is_ok());
    }

    #[test]
    fn addresses_are_told_from_their_ports() {
        for (peer, address) in
            [("1.2.3.4:5", "1.2.3.4"), ("[::1]:9", "[::1]"), ("mem", "mem"), ("a:b", "a:b")]
        {
            assert_eq!(address_of(peer), address);
        }
    }
}
