// SPDX-License-Identifier: Apache-2.0
//! Branches of distributed transactions: the names that transaction managers give them, and the steps that they take.
//!
//! The name is that of X/Open XA; for the broker it is nothing but bytes.

use crate::fields::{self, DecodeError, number};
use crate::message::HeadBuffer;
use std::fmt;

/// Most bytes of a global transaction id, and of a branch qualifier.
pub const MAX_BRANCH_PART_BYTES: usize = 64;

/// The name of a branch.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Branch {
    /// How the rest is made, for transaction managers.
    pub format: i32,
    /// Global transaction id: 0 to 64 bytes.
    pub global: Box<[u8]>,
    /// Branch qualifier: 0 to 64 bytes.
    pub qualifier: Box<[u8]>,
}

impl Branch {
    /// A branch with this name; `None`: a part of it is too long.
    pub fn new(format: i32, global: &[u8], qualifier: &[u8]) -> Option<Self> {
        let fits = global.len() <= MAX_BRANCH_PART_BYTES && qualifier.len() <= MAX_BRANCH_PART_BYTES;
        fits.then(|| Branch { format, global: global.into(), qualifier: qualifier.into() })
    }

    /// As the value of a field: format, length of the global id, that id, the qualifier.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(5 + self.global.len() + self.qualifier.len());
        out.extend_from_slice(&self.format.to_le_bytes());
        out.push(self.global.len() as u8);
        out.extend_from_slice(&self.global);
        out.extend_from_slice(&self.qualifier);
        out
    }

    /// From the value of a field.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (format, rest) = bytes.split_first_chunk::<4>()?;
        let (len, rest) = rest.split_first()?;
        let (global, qualifier) = rest.split_at_checked(usize::from(*len))?;
        Branch::new(i32::from_le_bytes(*format), global, qualifier)
    }
}

impl fmt::Display for Branch {
    /// As `FORMAT:GLOBAL:QUALIFIER`, the parts in hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.format)?;
        self.global.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(":")?;
        self.qualifier.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What to do with a branch. The numbers are those of `SABIR_BRANCH_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum BranchAct {
    /// Begin `Request::transaction` as a part of it. Other sessions of the user may add parts of their own.
    Begin = 1,
    /// Make it durable without making it count, whatever happens to its sessions and to the broker. What was told of
    /// `BRANCH_READ_ONLY` had nothing to keep, and is gone.
    Prepare = 2,
    /// Make a prepared one count.
    Commit = 3,
    /// Make one count that was not prepared, or was.
    CommitOnePhase = 4,
    /// Make none of it count.
    Rollback = 5,
    /// Answer once the branch has ended of which `Request::transaction` is a part: by whom and how so ever.
    Await = 6,
}

impl BranchAct {
    /// All of them, in the order of their numbers.
    pub const ALL: [BranchAct; 6] = [
        BranchAct::Begin,
        BranchAct::Prepare,
        BranchAct::Commit,
        BranchAct::CommitOnePhase,
        BranchAct::Rollback,
        BranchAct::Await,
    ];
}

/// One step of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchStep {
    /// Which branch.
    pub branch: Branch,
    /// Which step.
    pub act: BranchAct,
    /// The user may see and end what others have prepared. Nothing that comes from a plugin says so: it is the broker's
    /// own layers that do.
    pub operator: bool,
}

impl BranchStep {
    /// A step of a session's own.
    pub fn new(act: BranchAct, branch: Branch) -> Self {
        BranchStep { branch, act, operator: false }
    }

    /// Writes the fields of the verb.
    pub fn encode<B: HeadBuffer>(&self, buffer: &mut B) {
        fields::put(buffer, number::BRANCH, &self.branch.to_bytes());
        fields::put(buffer, number::BRANCH_ACT, &(self.act as u64).to_le_bytes());
    }

    /// Reads the fields of the verb.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (mut branch, mut act) = (None, None);
        for field in fields::iter(bytes) {
            let (field, value) = field?;
            match field {
                number::BRANCH => {
                    branch = Some(Branch::from_bytes(value).ok_or(DecodeError::Number(field))?);
                }
                number::BRANCH_ACT => {
                    let number = value.try_into().map(u64::from_le_bytes);
                    let number = number.map_err(|_| DecodeError::Number(field))?;
                    let known = BranchAct::ALL.into_iter().find(|act| *act as u64 == number);
                    act = Some(known.ok_or(DecodeError::Number(field))?);
                }
                _ => {}
            }
        }
        let branch = branch.ok_or(DecodeError::Missing("branch"))?;
        Ok(BranchStep::new(act.ok_or(DecodeError::Missing("branch act"))?, branch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_read_back_as_it_was_written() {
        for act in BranchAct::ALL {
            for (global, qualifier) in [(&[][..], &[][..]), (&[1, 2][..], &[0; 64][..]), (&[255; 64], &[7])] {
                let step = BranchStep::new(act, Branch::new(-9, global, qualifier).unwrap());
                let mut bytes = Vec::new();
                step.encode(&mut bytes);
                assert_eq!(BranchStep::decode(&bytes), Ok(step));
            }
        }
        assert_eq!(BranchAct::ALL.map(|act| act as u64), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_name_that_is_too_long_or_cut_is_none() {
        assert_eq!(Branch::new(1, &[0; 65], &[]), None);
        assert_eq!(Branch::new(1, &[], &[0; 65]), None);
        for bytes in [&[][..], &[1, 0, 0, 0], &[1, 0, 0, 0, 2, 9], &[0; 70]] {
            assert_eq!(Branch::from_bytes(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_name_is_shown_in_digits() {
        assert_eq!(Branch::new(131_077, &[0, 171], &[16]).unwrap().to_string(), "131077:00ab:10");
    }

    #[test]
    fn nobody_becomes_an_operator_by_saying_so() {
        let mut step = BranchStep::new(BranchAct::Commit, Branch::new(1, &[2], &[3]).unwrap());
        step.operator = true;
        let mut bytes = Vec::new();
        step.encode(&mut bytes);
        assert!(!BranchStep::decode(&bytes).unwrap().operator);
    }
}
