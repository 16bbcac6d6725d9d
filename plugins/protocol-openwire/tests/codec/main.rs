// SPDX-License-Identifier: Apache-2.0
//! The codec alone: it reads and writes what the real Java client does, and nothing that is read can do harm.

mod corpus;
mod counting;
mod damage;
mod dialogue;
mod frames;
mod framing;
mod golden;
mod hot;
mod limits;
mod maps;
mod negotiation;
mod text;
mod written;
