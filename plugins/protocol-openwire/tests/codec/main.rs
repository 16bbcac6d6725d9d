// SPDX-License-Identifier: Apache-2.0
//! The codec alone: it reads and writes what the real Java client does, and nothing that is read can do harm.

mod damage;
mod frames;
mod golden;
