// SPDX-License-Identifier: Apache-2.0
//! The configuration that results, as TOML, each value with where it was written.

use super::tree::{Node, Table, Value};
use std::fmt::Write;

/// Keys whose values are not shown.
const SECRETS: [&str; 3] = ["password", "password_hash", "secret"];

/// Renders the tree. Read again, the text gives the same configuration (save for secrets).
pub fn render(root: &Node) -> String {
    let mut text = String::new();
    if let Value::Table(table) = &root.value {
        section(&mut text, "", table);
    }
    text
}

fn is_array_of_tables(node: &Node) -> bool {
    matches!(&node.value, Value::Array(nodes)
        if !nodes.is_empty() && nodes.iter().all(|node| matches!(node.value, Value::Table(_))))
}

fn section(text: &mut String, path: &str, table: &Table) {
    let is_own = |node: &Node| !matches!(node.value, Value::Table(_)) && !is_array_of_tables(node);
    for (key, node) in table.iter().filter(|(_, node)| is_own(node)) {
        let value = if SECRETS.contains(&key.as_str()) { "\"***\"".to_owned() } else { inline(&node.value) };
        let _ = writeln!(text, "{} = {value}  # {}", quoted_key(key), node.origin);
    }
    for (key, node) in table.iter().filter(|(_, node)| !is_own(node)) {
        let key = quoted_key(key);
        let path = if path.is_empty() { key } else { format!("{path}.{key}") };
        match &node.value {
            Value::Table(table) => {
                let _ = writeln!(text, "\n[{path}]");
                section(text, &path, table);
            }
            Value::Array(nodes) => {
                for node in nodes {
                    let _ = writeln!(text, "\n[[{path}]]");
                    if let Value::Table(table) = &node.value {
                        section(text, &path, table);
                    }
                }
            }
            _ => {}
        }
    }
}

fn quoted_key(key: &str) -> String {
    let is_bare = !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_bare { key.to_owned() } else { quoted(key) }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn inline(value: &Value) -> String {
    match value {
        Value::Text(text) => quoted(text),
        // As the reader takes it: a number or a word of TOML stands for itself, everything else is text.
        Value::Untyped(text) => {
            let is_toml = toml::from_str::<toml::Table>(&format!("value = {text}")).is_ok();
            if is_toml && !text.contains('#') { text.clone() } else { quoted(text) }
        }
        Value::Integer(value) => value.to_string(),
        Value::Float(value) => toml::Value::Float(*value).to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Array(nodes) => {
            let values: Vec<String> = nodes.iter().map(|node| inline(&node.value)).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Table(table) => {
            let entries: Vec<String> = table
                .iter()
                .map(|(k, node)| format!("{} = {}", quoted_key(k), inline(&node.value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}
