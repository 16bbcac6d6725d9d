// SPDX-License-Identifier: Apache-2.0
//! What is told of a journal that was looked after. Its form, as JSON, is the contract's: see `docs/plugin-abi.md`.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Bytes of a record's front that are told: enough for the head of most messages.
pub const FRONT_BYTES: u64 = 1024;

/// Most damages that are told one by one.
pub const TOLD: usize = 10_000;

/// Something that is damaged, or lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Item {
    /// What it is.
    pub what: String,
    /// Where it is: file and byte.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What that costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub costs: Option<String>,
    /// The log of an entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<u64>,
    /// Its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The first bytes of its record, in hexadecimal digits; they may be damaged, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub front: Option<String>,
}

impl Item {
    /// An entry whose record is damaged.
    pub fn entry(log: u64, seq: u64, what: &str, front: Option<&[u8]>) -> Self {
        let front = front.map(|bytes| {
            bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
                // Writing to a text cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
        });
        Item {
            what: what.to_owned(),
            costs: Some("that entry alone".to_owned()),
            log: Some(log),
            seq: Some(seq),
            front,
            ..Item::default()
        }
    }
}

/// A file that has another name now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// What it was called.
    pub from: String,
    /// What it is called.
    pub to: String,
}

/// What was found, and done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing is wrong, or nothing any more.
    pub good: bool,
    /// Whether something was changed.
    pub done: bool,
    /// What is unusual and costs nothing.
    pub notes: Vec<String>,
    /// What is damaged.
    pub damaged: Vec<Item>,
    /// What is lost, or would be.
    pub lost: Vec<Item>,
    /// Files that were put aside.
    pub moved: Vec<Moved>,
    /// Figures.
    pub figures: BTreeMap<&'static str, u64>,
}
