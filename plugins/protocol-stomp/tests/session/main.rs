// SPDX-License-Identifier: Apache-2.0
//! The session, driven without a broker: bytes in, verbs and frames out.

mod bad_input;
mod connect;
mod deliver;
mod destinations;
mod foreign;
mod peer;
mod receipts;
mod room;
mod send;
mod subscribe;
mod timers;
mod transactions;
