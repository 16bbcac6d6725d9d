// SPDX-License-Identifier: Apache-2.0
//! Reads typed values out of a table, and knows afterwards which keys nobody asked for.
//!
//! A key exists because somebody asks for it: that is the one list of keys, from which the refusal of unknown ones
//! and its suggestion of the nearest known one follow.

use super::error::ConfigError;
use super::tree::{self, Node, Origin, Source, Table, Value};
use std::cell::RefCell;
use std::ops::RangeInclusive;

/// Everything found wrong so far.
pub type Errors = RefCell<Vec<ConfigError>>;

/// A table being read.
#[derive(Debug)]
pub struct Reader<'t> {
    table: &'t Table,
    origin: Origin,
    path: String,
    asked: RefCell<Vec<&'static str>>,
    errors: &'t Errors,
}

impl<'t> Reader<'t> {
    /// Reads `table`, which stands at `path`.
    pub fn new(table: &'t Table, origin: Origin, path: String, errors: &'t Errors) -> Self {
        Reader { table, origin, path, asked: RefCell::default(), errors }
    }

    /// The path of a key of this table.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Where a key was written; the table itself when the key is absent.
    pub fn origin_of(&self, key: &str) -> Origin {
        self.table.get(key).map_or_else(|| self.origin.clone(), |node| node.origin.clone())
    }

    /// Notes that the value of a key is wrong.
    pub fn wrong(&self, key: &str, problem: impl Into<String>) {
        self.errors.borrow_mut().push(ConfigError::new(self.origin_of(key), self.path_of(key), problem));
    }

    /// Notes an error that was worded elsewhere.
    pub fn report(&self, error: ConfigError) {
        self.errors.borrow_mut().push(error);
    }

    /// The node of a key, if it is there.
    pub fn node(&self, key: &'static str) -> Option<&'t Node> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    fn required<T>(&self, key: &'static str, value: Option<T>, fallback: T) -> T {
        value.unwrap_or_else(|| {
            if !self.table.contains_key(key) {
                self.errors.borrow_mut().push(ConfigError::new(
                    self.origin.clone(),
                    self.path_of(key),
                    "is missing",
                ));
            }
            fallback
        })
    }

    fn mismatch(&self, key: &str, wanted: &str, node: &Node) {
        let found = match &node.value {
            Value::Untyped(text) => format!("{text:?}"),
            other => other.kind().to_owned(),
        };
        self.wrong(key, format!("must be {wanted}, not {found}"));
    }

    /// Text, if it is there.
    pub fn text_if(&self, key: &'static str) -> Option<String> {
        let node = self.node(key)?;
        match &node.value {
            Value::Text(text) | Value::Untyped(text) => Some(text.clone()),
            _ => {
                self.mismatch(key, "text", node);
                None
            }
        }
    }

    /// Text.
    pub fn text(&self, key: &'static str) -> String {
        let value = self.text_if(key);
        self.required(key, value, String::new())
    }

    /// One of some words, if it is there.
    pub fn word_if<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text_if(key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            self.wrong(key, format!("must be one of {}, not {text:?}", known.join(", ")));
        }
        found
    }

    /// One of some words; the first one stands in after an error.
    pub fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)], fallback: T) -> T {
        let value = self.word_if(key, words);
        self.required(key, value, fallback)
    }

    /// True or false, if it is there.
    pub fn boolean_if(&self, key: &'static str) -> Option<bool> {
        let node = self.node(key)?;
        match &node.value {
            Value::Boolean(value) => Some(*value),
            Value::Untyped(text) if text == "true" => Some(true),
            Value::Untyped(text) if text == "false" => Some(false),
            _ => {
                self.mismatch(key, "true or false", node);
                None
            }
        }
    }

    /// True or false.
    pub fn boolean(&self, key: &'static str) -> bool {
        let value = self.boolean_if(key);
        self.required(key, value, false)
    }

    /// A whole number within bounds, if it is there.
    pub fn integer_if(&self, key: &'static str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let node = self.node(key)?;
        let value = match &node.value {
            Value::Integer(value) => Some(i128::from(*value)),
            Value::Untyped(text) => text.trim().replace('_', "").parse::<i128>().ok(),
            _ => None,
        };
        let Some(value) = value else {
            self.mismatch(key, "a whole number", node);
            return None;
        };
        self.bounded(key, value, bounds)
    }

    /// A whole number within bounds.
    pub fn integer(&self, key: &'static str, bounds: RangeInclusive<u64>) -> u64 {
        let fallback = *bounds.start();
        let value = self.integer_if(key, bounds);
        self.required(key, value, fallback)
    }

    /// A number of bytes within bounds, if it is there: `1048576`, or text with a unit, `"1 MiB"`.
    pub fn bytes_if(&self, key: &'static str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let node = self.node(key)?;
        let value = match &node.value {
            Value::Integer(value) => Some(i128::from(*value)),
            Value::Text(text) | Value::Untyped(text) => parse_bytes(text),
            _ => None,
        };
        let Some(value) = value else {
            self.mismatch(key, "a number of bytes, as 1048576 or \"1 MiB\"", node);
            return None;
        };
        self.bounded(key, value, bounds)
    }

    /// A number of bytes within bounds.
    pub fn bytes(&self, key: &'static str, bounds: RangeInclusive<u64>) -> u64 {
        let fallback = *bounds.start();
        let value = self.bytes_if(key, bounds);
        self.required(key, value, fallback)
    }

    fn bounded(&self, key: &str, value: i128, bounds: RangeInclusive<u64>) -> Option<u64> {
        match u64::try_from(value).ok().filter(|value| bounds.contains(value)) {
            Some(value) => Some(value),
            None => {
                let (low, high) = (bounds.start(), bounds.end());
                self.wrong(key, format!("must lie between {low} and {high}, not be {value}"));
                None
            }
        }
    }

    /// Texts in order; one text stands for itself alone. `None` when the key is absent.
    pub fn texts_if(&self, key: &'static str) -> Option<Vec<String>> {
        let node = self.node(key)?;
        match &node.value {
            Value::Text(text) => Some(vec![text.clone()]),
            Value::Untyped(text) if !text.trim_start().starts_with('[') => {
                Some(text.split(',').map(|part| part.trim().to_owned()).filter(|p| !p.is_empty()).collect())
            }
            _ => {
                let nodes = self.array(key)?;
                let mut texts = Vec::with_capacity(nodes.len());
                for node in &nodes {
                    match &node.value {
                        Value::Text(text) | Value::Untyped(text) => texts.push(text.clone()),
                        _ => self.mismatch(key, "an array of texts", node),
                    }
                }
                Some(texts)
            }
        }
    }

    /// Texts in order.
    pub fn texts(&self, key: &'static str) -> Vec<String> {
        let value = self.texts_if(key);
        self.required(key, value, Vec::new())
    }

    fn array(&self, key: &'static str) -> Option<Vec<Node>> {
        let node = self.table.get(key)?;
        let parsed = self.typed(key, node)?;
        match parsed.value {
            Value::Array(nodes) => Some(nodes),
            _ => {
                self.mismatch(key, "an array", node);
                None
            }
        }
    }

    /// Reads the text of an environment variable as TOML where its place asks for a table or an array.
    fn typed(&self, key: &'static str, node: &Node) -> Option<Node> {
        let Value::Untyped(text) = &node.value else { return Some(node.clone()) };
        let source = Source::Inline(node.origin.clone());
        match tree::parse(&format!("value = {text}"), &source) {
            Ok(Node { value: Value::Table(mut table), .. }) => table.remove("value"),
            Ok(_) => None,
            Err(error) => {
                self.wrong(key, format!("is no TOML value: {}", error.problem));
                None
            }
        }
    }

    /// The tables of an array, each with its path; empty when the key is absent.
    pub fn tables(&self, key: &'static str) -> Vec<(Table, Origin, String)> {
        if self.node(key).is_none() {
            return Vec::new();
        }
        let mut tables = Vec::new();
        for (index, node) in self.array(key).unwrap_or_default().into_iter().enumerate() {
            let path = format!("{}[{index}]", self.path_of(key));
            match node.value {
                Value::Table(table) => tables.push((table, node.origin, path)),
                other => self.errors.borrow_mut().push(ConfigError::new(
                    node.origin,
                    path,
                    format!("must be a table, not {}", other.kind()),
                )),
            }
        }
        tables
    }

    /// A table below this one, an empty one when the key is absent; `None` after an error.
    pub fn table(&self, key: &'static str) -> Option<Table> {
        let Some(node) = self.node(key) else { return Some(Table::new()) };
        match self.typed(key, node)?.value {
            Value::Table(table) => Some(table),
            _ => {
                self.mismatch(key, "a table", node);
                None
            }
        }
    }

    /// Refuses the keys that nobody has asked for, each with the nearest one that exists.
    pub fn finish(self) {
        let asked = self.asked.borrow();
        for (key, node) in self.table.iter().filter(|(key, _)| !asked.contains(&key.as_str())) {
            let problem = match nearest(key, asked.iter().copied()) {
                Some(known) => format!("unknown key; did you mean {known}?"),
                None => "unknown key".to_owned(),
            };
            let error = ConfigError::new(node.origin.clone(), self.path_of(key), problem);
            self.errors.borrow_mut().push(error);
        }
    }
}

/// The known word that is most like `word`, if one is like it at all.
pub fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

fn parse_bytes(text: &str) -> Option<i128> {
    let text = text.trim();
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let factor: i128 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    digits.replace('_', "").parse::<i128>().ok()?.checked_mul(factor)
}
