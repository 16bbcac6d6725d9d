// SPDX-License-Identifier: Apache-2.0
//! Bodies that JMS brokers send, in the form that everybody understands.

mod generated;
mod java;
mod limits;
