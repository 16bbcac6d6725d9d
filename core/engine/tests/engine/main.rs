// SPDX-License-Identifier: Apache-2.0
//! The engine as its server sees it: verbs and commits in; answers, deliveries and batches out.

mod bodies;
mod branches;
mod broker;
mod client_ids;
mod drain;
mod duplicates;
mod events;
mod exclusive;
mod figures;
mod flow;
mod groups;
mod model;
mod paging;
mod queues;
mod random_groups;
mod redelivery;
mod selecting_late;
mod store;
mod topics;
mod transactions;
mod virtual_topics;
