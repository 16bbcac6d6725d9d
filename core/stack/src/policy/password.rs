// SPDX-License-Identifier: Apache-2.0
//! Hashing passwords and checking them, with argon2id. Both take tens of milliseconds and 19 MiB on purpose.

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use std::sync::{Mutex, PoisonError};

/// Most memory that a hash from a file may ask for, in KiB.
const MAX_MEMORY_KIB: u32 = 1 << 20;
/// Most passes that a hash from a file may ask for.
const MAX_PASSES: u32 = 64;

/// Memory of checks that have ended, for the next ones, so that there is as much as was needed at the same time. Given
/// back to the allocator it would stay with the thread that checked, each time a little elsewhere: forty wrong passwords
/// left 340 MiB behind.
static MEMORY: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());
/// Memory of larger checks is given back, in KiB.
const KEPT_KIB: u32 = 64 * 1024;
/// Most pieces of it that are kept.
const KEPT_PIECES: usize = 8;

/// What the password of a user who does not exist is checked against, so that it takes as long as any other. Its output
/// is arbitrary: nobody knows a password for it, and the answer is no in any case.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2FiaXItbm9ib2R5LWhlcmU$3q2+796tvu/erb7v3q2+796tvu/erb7v3q2+796tvu8";

/// Why a password cannot be hashed, or a hash cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// There is none.
    #[error("the password is empty")]
    Empty,
    /// Not in the form of argon2id hashes.
    #[error("the password's hash is not of the form $argon2id$v=19$m=...,t=...,p=...$SALT$HASH")]
    Form,
    /// It would take more than the broker gives.
    #[error("the password's hash asks for more than {MAX_MEMORY_KIB} KiB or {MAX_PASSES} passes")]
    Cost,
    /// There was no randomness, or no memory.
    #[error("the password cannot be hashed: {0}")]
    Failed(String),
}

/// Hashes a password with a new salt.
pub fn hash_password(password: &[u8]) -> Result<String, PasswordError> {
    if password.is_empty() {
        return Err(PasswordError::Empty);
    }
    let hash = Argon2::default().hash_password(password);
    hash.map(|hash| hash.to_string()).map_err(|error| PasswordError::Failed(error.to_string()))
}

/// Whether a hash can be checked against: argon2id, complete, and not of unbounded cost.
pub(super) fn check_hash(hash: &str) -> Result<(), PasswordError> {
    let parsed = PasswordHash::new(hash).map_err(|_| PasswordError::Form)?;
    if parsed.algorithm.as_str() != "argon2id" || parsed.salt.is_none() || parsed.hash.is_none() {
        return Err(PasswordError::Form);
    }
    let params = Params::try_from(&parsed).map_err(|_| PasswordError::Form)?;
    if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_PASSES {
        return Err(PasswordError::Cost);
    }
    Ok(())
}

/// Whether the password belongs to the hash; without a hash it takes as long and the answer is no.
pub(crate) fn verify(password: &[u8], hash: Option<&str>) -> bool {
    let known = hash.is_some();
    let Ok(parsed) = PasswordHash::new(hash.unwrap_or(NOBODY)) else { return false };
    fits(password, &parsed).unwrap_or(false) && known
}

/// Whether the password belongs to the hash; `None`: the hash cannot be checked against.
fn fits(password: &[u8], parsed: &PasswordHash) -> Option<bool> {
    let (salt, wanted) = (parsed.salt.as_ref()?, parsed.hash.as_ref()?);
    let version = parsed.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
    let params = Params::try_from(parsed).ok()?;
    let kept = params.m_cost() <= KEPT_KIB;
    let pieces = || MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let mut memory = pieces().pop().unwrap_or_default();
    memory.resize(params.block_count(), Block::default());
    let mut found = vec![0; wanted.len()];
    let argon = Argon2::new(Algorithm::Argon2id, version, params);
    let result = argon.hash_password_into_with_memory(password, salt.as_ref(), &mut found, &mut memory);
    // The next check begins with zeros, as the first did.
    memory.clear();
    if kept {
        let mut pieces = pieces();
        if pieces.len() < KEPT_PIECES {
            pieces.push(memory);
        }
    }
    result.ok()?;
    // Comparing outputs takes the same time wherever they differ.
    Some(Output::new(&found).ok()? == *wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_belongs_to_its_hash_only() {
        let hash = hash_password(b"secret").unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert_eq!(check_hash(&hash), Ok(()));
        assert!(verify(b"secret", Some(&hash)));
        assert!(!verify(b"Secret", Some(&hash)));
        assert!(!verify(b"", Some(&hash)));
        assert_ne!(hash, hash_password(b"secret").unwrap());
        assert_eq!(hash_password(b""), Err(PasswordError::Empty));
    }

    #[test]
    fn the_hash_of_nobody_is_one_that_is_really_computed() {
        assert_eq!(check_hash(NOBODY), Ok(()));
        let real = PasswordHash::new(NOBODY).unwrap();
        let ours = hash_password(b"x").unwrap();
        let ours = PasswordHash::new(&ours).unwrap();
        assert_eq!(Params::try_from(&real), Params::try_from(&ours));
        assert_eq!(real.hash.map(|hash| hash.len()), ours.hash.map(|hash| hash.len()));
        assert!(!verify(b"x", None));
    }

    #[test]
    fn hashes_of_other_kinds_and_of_boundless_cost_are_refused() {
        let hash = hash_password(b"secret").unwrap();
        assert_eq!(check_hash(&hash.replace("argon2id", "argon2i")), Err(PasswordError::Form));
        assert_eq!(check_hash("secret"), Err(PasswordError::Form));
        assert_eq!(check_hash("$argon2id$v=19$m=19456,t=2,p=1"), Err(PasswordError::Form));
        assert_eq!(check_hash(&hash.replace("m=19456", "m=4000000")), Err(PasswordError::Cost));
        assert_eq!(check_hash(&hash.replace("t=2", "t=1000")), Err(PasswordError::Cost));
    }
}
