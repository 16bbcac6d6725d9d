// SPDX-License-Identifier: Apache-2.0
//! KahaDB, as it lies in its directory. Read only, and by the log alone: whatever became of the index.
//!
//! ```text
//!   files    db-N.log: batches of records, and where they are damaged
//!   entry    what a record says (journal-data.proto of ActiveMQ)      proto   numbers and bytes of protocol buffers
//!   replay   all records in order: which messages and subscriptions there are, and what of it is in doubt
//! ```

pub mod entry;
pub mod files;
mod proto;
pub mod replay;
