// SPDX-License-Identifier: Apache-2.0
//! Passwords that were right a short while ago, so that a thousand clients that come back at once need not wait for a
//! thousand expensive checks.
//!
//! No password is kept: what is kept is a MAC of it under a key that is random for each start and never leaves the
//! process. The MAC covers the user's name, the hash that the password was checked against, and the number of the
//! policy in force, so that whoever changes a password or reloads the policy makes everything before worthless. Only what
//! was found right is remembered; what is wrong is checked in full each time, as if there were no memory.

use blake2::Blake2bMac;
use blake2::digest::consts::U32;
use blake2::digest::{CtOutput, KeyInit, Mac};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How long right passwords are remembered, and of how many users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remember {
    /// Milliseconds; 0: not at all.
    pub lifetime_ms: u64,
    /// Users.
    pub max_users: usize,
}

impl Default for Remember {
    fn default() -> Self {
        Remember { lifetime_ms: 300_000, max_users: 10_000 }
    }
}

type Keyed = Blake2bMac<U32>;

/// A user's password at one time, unrecognisable. Comparing two takes the same time wherever they differ.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint(CtOutput<Keyed>);

/// What was found right.
pub(super) struct Remembered {
    /// `None` where there is no randomness: then nothing is remembered.
    keyed: Option<Keyed>,
    users: Mutex<HashMap<String, Entry>>,
}

/// One for each user: somebody who has two passwords has just changed it.
struct Entry {
    fingerprint: Fingerprint,
    until_ms: u64,
}

impl std::fmt::Debug for Remembered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remembered").finish_non_exhaustive()
    }
}

impl Remembered {
    /// Nothing yet, under a new key.
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        let keyed = getrandom::fill(&mut key).ok().and_then(|()| Keyed::new_from_slice(&key).ok());
        Remembered { keyed, users: Mutex::default() }
    }

    /// What is remembered if this password is right. Costs as much for users who do not exist.
    pub(super) fn fingerprint(
        &self,
        generation: u64,
        name: &str,
        hash: Option<&str>,
        password: &[u8],
    ) -> Option<Fingerprint> {
        let mut keyed = self.keyed.clone()?;
        keyed.update(&generation.to_le_bytes());
        for part in [name.as_bytes(), hash.unwrap_or_default().as_bytes(), password] {
            // Each with its length, so that no two different threes read the same.
            keyed.update(&(part.len() as u64).to_le_bytes());
            keyed.update(part);
        }
        Some(Fingerprint(keyed.finalize()))
    }

    /// Whether this was found right, and not too long ago.
    pub(super) fn knows(&self, name: &str, fingerprint: &Fingerprint, now_ms: u64) -> bool {
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.get(name).is_some_and(|entry| now_ms < entry.until_ms && entry.fingerprint == *fingerprint)
    }

    /// This was found right now.
    pub(super) fn remember(&self, name: &str, fingerprint: Fingerprint, now_ms: u64, remember: Remember) {
        if remember.lifetime_ms == 0 || remember.max_users == 0 {
            return;
        }
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if !users.contains_key(name) && users.len() >= remember.max_users {
            users.retain(|_, entry| now_ms < entry.until_ms);
        }
        while !users.contains_key(name) && users.len() >= remember.max_users {
            // The one that would be forgotten first. This is rare, and cheap beside the check that came before it.
            let oldest = users.iter().min_by_key(|(_, entry)| entry.until_ms).map(|(name, _)| name.clone());
            let Some(oldest) = oldest else { break };
            users.remove(&oldest);
        }
        let until_ms = now_ms.saturating_add(remember.lifetime_ms);
        users.insert(name.to_owned(), Entry { fingerprint, until_ms });
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        *users = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Remember = Remember { lifetime_ms: 10, max_users: 2 };

    fn print(remembered: &Remembered, password: &str) -> Fingerprint {
        remembered.fingerprint(1, "ann", Some("hash"), password.as_bytes()).unwrap()
    }

    #[test]
    fn only_what_was_found_right_is_known_and_only_for_its_time() {
        let remembered = Remembered::new();
        let right = print(&remembered, "secret");
        assert!(!remembered.knows("ann", &right, 0));
        remembered.remember("ann", right.clone(), 5, TEN);
        assert!(remembered.knows("ann", &right, 14));
        assert!(!remembered.knows("ann", &right, 15));
        assert!(!remembered.knows("ann", &print(&remembered, "Secret"), 6));
        assert!(!remembered.knows("bob", &right, 6));
        remembered.clear();
        assert!(!remembered.knows("ann", &right, 6));
    }

    #[test]
    fn another_policy_hash_name_or_key_makes_another_fingerprint() {
        let remembered = Remembered::new();
        let of = |generation, name, hash, password: &str| {
            remembered.fingerprint(generation, name, hash, password.as_bytes()).unwrap()
        };
        let first = of(1, "ann", Some("hash"), "secret");
        assert!(first == of(1, "ann", Some("hash"), "secret"));
        for other in [
            of(2, "ann", Some("hash"), "secret"),
            of(1, "an", Some("nhash"), "secret"),
            of(1, "ann", Some("hashs"), "ecret"),
            of(1, "ann", None, "secret"),
            print(&Remembered::new(), "secret"),
        ] {
            assert!(first != other);
        }
    }

    #[test]
    fn no_more_users_are_remembered_than_allowed_and_the_oldest_goes_first() {
        let remembered = Remembered::new();
        let right = print(&remembered, "secret");
        for (name, now_ms) in [("a", 1), ("b", 2), ("c", 3)] {
            remembered.remember(name, right.clone(), now_ms, TEN);
        }
        assert!(!remembered.knows("a", &right, 4));
        assert!(remembered.knows("b", &right, 4) && remembered.knows("c", &right, 4));
        remembered.remember("d", right.clone(), 4, Remember { max_users: 0, ..TEN });
        remembered.remember("d", right.clone(), 4, Remember { lifetime_ms: 0, ..TEN });
        assert!(!remembered.knows("d", &right, 4));
    }
}
