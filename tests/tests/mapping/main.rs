// SPDX-License-Identifier: Apache-2.0
//! Messages between protocols, row by row as `docs/mapping.md` says: one protocol's own code makes the message, the other's
//! makes of it what its client reads. No broker stands between; `broker` and `tests/java` have one.

mod openwire;
mod stomp;

mod openwire_to_stomp;
mod stomp_to_openwire;
