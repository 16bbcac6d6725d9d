// SPDX-License-Identifier: Apache-2.0
//! The configuration as a tree of values, each of which knows where it came from.
//!
//! Four layers lie over each other: the embedded defaults, a file, environment variables, the command line. Tables
//! are merged key by key; everything else replaces what lies below. Nothing here knows which keys exist.

use super::error::ConfigError;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// Deepest nesting of tables and arrays that is read.
const MAX_DEPTH: usize = 16;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the defaults that the program carries.
    Default {
        /// Line, from 1.
        line: usize,
    },
    /// In a file.
    File {
        /// As it was named.
        path: Arc<str>,
        /// Line, from 1.
        line: usize,
    },
    /// In an environment variable.
    Environment(String),
    /// After an option of the command line, or set by an embedding program.
    Argument(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default { line } => write!(f, "<defaults>:{line}"),
            Origin::File { path, line } => write!(f, "{path}:{line}"),
            Origin::Environment(name) => write!(f, "${name}"),
            Origin::Argument(name) => f.write_str(name),
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it was written.
    pub origin: Origin,
}

/// A table: names and what they stand for.
pub type Table = BTreeMap<String, Node>;

/// The kinds of value.
#[derive(Clone, Debug)]
pub enum Value {
    /// Names and values.
    Table(Table),
    /// Values in order.
    Array(Vec<Node>),
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// Yes or no.
    Boolean(bool),
    /// What an environment variable or an option said: whoever reads it decides what kind it has.
    Untyped(String),
}

impl Value {
    /// The name of the kind, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Table(_) => "a table",
            Value::Array(_) => "an array",
            Value::Text(_) | Value::Untyped(_) => "text",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Boolean(_) => "true or false",
        }
    }
}

/// Which layer a text is, for the origins of its values.
#[derive(Clone, Debug)]
pub enum Source {
    /// The embedded defaults.
    Defaults,
    /// A file with this name.
    File(Arc<str>),
    /// An environment variable or an option whose text was read as TOML.
    Inline(Origin),
}

impl Source {
    fn at(&self, text: &str, offset: usize) -> Origin {
        let line = || 1 + text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count();
        match self {
            Source::Defaults => Origin::Default { line: line() },
            Source::File(path) => Origin::File { path: path.clone(), line: line() },
            Source::Inline(origin) => origin.clone(),
        }
    }
}

/// Reads a TOML document.
pub fn parse(text: &str, source: &Source) -> Result<Node, ConfigError> {
    let document = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        ConfigError::new(source.at(text, offset), "", error.message().trim_end().to_owned())
    })?;
    let origin = source.at(text, 0);
    let value = Value::Table(table(document.get_ref(), text, source, 0)?);
    Ok(Node { value, origin })
}

fn table(from: &DeTable<'_>, text: &str, source: &Source, depth: usize) -> Result<Table, ConfigError> {
    let mut table = Table::new();
    for (key, value) in from {
        let origin = source.at(text, key.span().start);
        let name = key.get_ref().to_string();
        let node = node(value.get_ref(), origin, text, source, depth + 1)?;
        table.insert(name, node);
    }
    Ok(table)
}

fn node(
    from: &DeValue<'_>,
    origin: Origin,
    text: &str,
    source: &Source,
    depth: usize,
) -> Result<Node, ConfigError> {
    if depth > MAX_DEPTH {
        return Err(ConfigError::new(origin, "", format!("nested deeper than {MAX_DEPTH}")));
    }
    let value = match from {
        DeValue::String(value) => Value::Text(value.to_string()),
        DeValue::Integer(value) => match i64::from_str_radix(value.as_str(), value.radix()) {
            Ok(value) => Value::Integer(value),
            Err(_) => {
                let problem = format!("{} does not fit into 64 bits", value.as_str());
                return Err(ConfigError::new(origin, "", problem));
            }
        },
        DeValue::Float(value) => match value.as_str().parse() {
            Ok(value) => Value::Float(value),
            Err(_) => {
                return Err(ConfigError::new(origin, "", format!("{} is no number", value.as_str())));
            }
        },
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(value) => Value::Text(value.to_string()),
        DeValue::Array(values) => {
            let mut nodes = Vec::new();
            for value in values.iter() {
                let origin = source.at(text, value.span().start);
                nodes.push(node(value.get_ref(), origin, text, source, depth + 1)?);
            }
            Value::Array(nodes)
        }
        DeValue::Table(value) => Value::Table(table(value, text, source, depth)?),
    };
    Ok(Node { value, origin })
}

/// Lays `over` on `under`.
pub fn merge(under: &mut Node, over: Node) {
    match (&mut under.value, over.value) {
        (Value::Table(under_table), Value::Table(over_table)) => {
            for (name, node) in over_table {
                match under_table.get_mut(&name) {
                    Some(under_node) => merge(under_node, node),
                    None => {
                        under_table.insert(name, node);
                    }
                }
            }
            // A section that a file repeats is the file's, so that what is said about it names the file.
            under.origin = over.origin;
        }
        (_, value) => *under = Node { value, origin: over.origin },
    }
}

/// Sets one value, making the tables on the way.
pub fn set(root: &mut Node, path: &[&str], value: Node) {
    let Some((first, rest)) = path.split_first() else {
        merge(root, value);
        return;
    };
    if !matches!(root.value, Value::Table(_)) {
        *root = Node { value: Value::Table(Table::new()), origin: value.origin.clone() };
    }
    if let Value::Table(table) = &mut root.value {
        let empty = || Node { value: Value::Table(Table::new()), origin: value.origin.clone() };
        let child = table.entry((*first).to_owned()).or_insert_with(empty);
        set(child, rest, value);
    }
}
