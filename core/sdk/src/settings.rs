// SPDX-License-Identifier: Apache-2.0
//! Settings of a component, defined by one table: parser, checks and documentation come from it.
//!
//! A component lists its settings as [`Setting`]s. The same names are taken from the JSON object that `open` gets
//! (values for every address) and from the query of an address (values for that one), the latter winning. Unknown
//! names are refused with the nearest known one, because a setting that is silently ignored is worse than none.

use crate::uri::percent_decode;
use crate::{Error, ErrorCode, Result};

/// What a setting may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number within bounds, both included.
    Count {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// A setting: one row of a component's table.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name, units last: `keepalive_s`.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Its value when nobody sets it, in the same spelling as in an address.
    pub default: &'static str,
    /// What it does, for people.
    pub doc: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Flag(bool),
    Count(u64),
    Choice(&'static str),
}

/// The values of a component's settings. Starts with the defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    table: &'static [Setting],
    // One per row: the value, and whether somebody has set it.
    values: Vec<(Value, bool)>,
}

impl Settings {
    /// The defaults of `table`.
    ///
    /// # Panics
    /// When a default in the table does not fit its own kind: a mistake of the component's author.
    pub fn new(table: &'static [Setting]) -> Self {
        let values = table
            .iter()
            .map(|row| match parse(row, row.default) {
                Ok(value) => (value, false),
                Err(error) => panic!("the default of a setting does not fit it: {}", error.message),
            })
            .collect();
        Self { table, values }
    }

    /// Takes over what a JSON object sets. Empty text sets nothing.
    ///
    /// # Errors
    /// [`ErrorCode::Config`], naming the key, for text that is no object, unknown names and values that do not fit.
    pub fn apply_json(&mut self, config: &str) -> Result<()> {
        if config.trim().is_empty() {
            return Ok(());
        }
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(config).map_err(|error| {
                Error::new(ErrorCode::Config, format!("the configuration is no JSON object: {error}"))
            })?;
        for (name, value) in &object {
            let text = match value {
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            self.set(name, &text)?;
        }
        Ok(())
    }

    /// Takes over what the query of an address sets: `name=value&name=value`.
    ///
    /// # Errors
    /// [`ErrorCode::Config`], naming the key, for unknown names, names given twice, and values that do not fit.
    pub fn apply_query(&mut self, query: &str) -> Result<()> {
        let mut seen: Vec<&str> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(Error::new(
                    ErrorCode::Config,
                    format!("option {pair:?} has no value: write {pair}=..."),
                ));
            };
            if seen.contains(&name) {
                return Err(Error::new(ErrorCode::Config, format!("option {name:?} is given twice")));
            }
            seen.push(name);
            self.set(name, &percent_decode(value)?)?;
        }
        Ok(())
    }

    fn set(&mut self, name: &str, text: &str) -> Result<()> {
        let at = self
            .table
            .iter()
            .position(|row| row.name == name)
            .ok_or_else(|| Error::new(ErrorCode::Config, unknown(name, self.table)))?;
        if let (Some(row), Some(slot)) = (self.table.get(at), self.values.get_mut(at)) {
            *slot = (parse(row, text)?, true);
        }
        Ok(())
    }

    fn value(&self, name: &str) -> (Value, bool) {
        match self.table.iter().position(|row| row.name == name).and_then(|at| self.values.get(at)) {
            Some(value) => *value,
            None => panic!("no setting is called {name:?}"),
        }
    }

    /// Whether somebody has set `name`, or its default stands.
    ///
    /// # Panics
    /// When the table has no such row (as the functions below do): a mistake of the component's author.
    pub fn is_set(&self, name: &str) -> bool {
        self.value(name).1
    }

    /// The value of a [`Kind::Flag`].
    pub fn flag(&self, name: &str) -> bool {
        match self.value(name).0 {
            Value::Flag(value) => value,
            other => panic!("setting {name:?} is no flag: {other:?}"),
        }
    }

    /// The value of a [`Kind::Count`].
    pub fn count(&self, name: &str) -> u64 {
        match self.value(name).0 {
            Value::Count(value) => value,
            other => panic!("setting {name:?} is no count: {other:?}"),
        }
    }

    /// The value of a [`Kind::Choice`].
    pub fn choice(&self, name: &str) -> &'static str {
        match self.value(name).0 {
            Value::Choice(value) => value,
            other => panic!("setting {name:?} is no choice: {other:?}"),
        }
    }
}

fn parse(row: &Setting, text: &str) -> Result<Value> {
    let (value, expected) = match row.kind {
        Kind::Flag => (text.parse().ok().map(Value::Flag), "true or false".to_owned()),
        Kind::Count { min, max } => {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let number = text.parse::<u64>().ok().filter(|n| digits && (min..=max).contains(n));
            (number.map(Value::Count), format!("a whole number from {min} to {max}"))
        }
        Kind::Choice(words) => {
            (words.iter().find(|word| **word == text).map(|word| Value::Choice(word)), words.join(" or "))
        }
    };
    value.ok_or_else(|| {
        Error::new(
            ErrorCode::Config,
            format!("option {:?}: {text:?} was given, {expected} is expected", row.name),
        )
    })
}

fn unknown(name: &str, table: &[Setting]) -> String {
    // Below this similarity a proposal confuses more than it helps.
    const SIMILAR: f64 = 0.5;
    let near = table
        .iter()
        .map(|row| (strsim::normalized_damerau_levenshtein(name, row.name), row.name))
        .filter(|(similarity, _)| *similarity > SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match near {
        Some((_, near)) => format!("unknown option {name:?}: did you mean {near:?}?"),
        None if table.is_empty() => format!("unknown option {name:?}: there are none"),
        None => {
            let names: Vec<&str> = table.iter().map(|row| row.name).collect();
            format!("unknown option {name:?}: known are {}", names.join(", "))
        }
    }
}

/// Compares a JSON Schema with a table: what differs, one line each; empty when they say the same. For the tests
/// of components, whose schema is a constant text.
///
/// Compared are the names, the types, the bounds, the words and the defaults, and that other names are refused.
pub fn differences(schema: &str, table: &[Setting]) -> Vec<String> {
    let mut found = Vec::new();
    let schema: serde_json::Value = match serde_json::from_str(schema) {
        Ok(schema) => schema,
        Err(error) => return vec![format!("the schema is not JSON: {error}")],
    };
    if schema["additionalProperties"] != serde_json::Value::Bool(false) {
        found.push("additionalProperties is not false".to_owned());
    }
    for row in table {
        let have = &schema["properties"][row.name];
        let mut want = match row.kind {
            Kind::Flag => serde_json::json!({ "type": "boolean", "default": row.default == "true" }),
            Kind::Count { min, max } => serde_json::json!({
                "type": "integer", "minimum": min, "maximum": max, "default": row.default.parse::<u64>().ok(),
            }),
            Kind::Choice(words) => serde_json::json!({ "enum": words, "default": row.default }),
        };
        want["description"] = row.doc.into();
        if *have != want {
            found.push(format!("{}: the schema says {have}, the table {want}", row.name));
        }
    }
    let names = schema["properties"].as_object().into_iter().flat_map(|all| all.keys());
    found.extend(
        names
            .filter(|name| !table.iter().any(|row| row.name == name.as_str()))
            .map(|name| format!("{name}: in the schema only")),
    );
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Setting] = &[
        Setting {
            name: "backlog",
            kind: Kind::Count { min: 1, max: 100 },
            default: "10",
            doc: "Waiting links.",
        },
        Setting { name: "nodelay", kind: Kind::Flag, default: "true", doc: "No delay." },
        Setting {
            name: "framing",
            kind: Kind::Choice(&["stream", "message"]),
            default: "stream",
            doc: "Framing.",
        },
    ];

    #[test]
    fn the_address_wins_over_the_configuration_and_that_over_the_default() {
        let mut settings = Settings::new(TABLE);
        assert_eq!((settings.count("backlog"), settings.is_set("backlog")), (10, false));
        settings.apply_json(r#"{"backlog": 20, "framing": "message", "nodelay": false}"#).unwrap();
        settings.apply_query("backlog=30").unwrap();
        assert_eq!((settings.count("backlog"), settings.is_set("backlog")), (30, true));
        assert_eq!((settings.choice("framing"), settings.flag("nodelay")), ("message", false));
    }

    #[test]
    fn empty_configuration_and_empty_query_change_nothing() {
        let mut settings = Settings::new(TABLE);
        settings.apply_json(" ").unwrap();
        settings.apply_json("{}").unwrap();
        settings.apply_query("").unwrap();
        assert!(TABLE.iter().all(|row| !settings.is_set(row.name)));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        for (query, part) in [
            ("backlo=5", "did you mean \"backlog\"?"),
            ("colour=red", "known are backlog, nodelay, framing"),
            ("backlog=0", "from 1 to 100"),
            ("backlog=101", "from 1 to 100"),
            ("backlog=+5", "from 1 to 100"),
            ("backlog=", "from 1 to 100"),
            ("backlog", "has no value"),
            ("backlog=1&backlog=2", "given twice"),
            ("nodelay=yes", "true or false"),
            ("framing=%6dessages", "stream or message"),
            ("framing=%6", "hexadecimal"),
        ] {
            let error = Settings::new(TABLE).apply_query(query).unwrap_err();
            assert_eq!(error.code, ErrorCode::Config);
            assert!(error.message.contains(part), "{query}: {}", error.message);
        }
        for config in ["[]", "{", r#"{"backlog": -1}"#, r#"{"backlog": 1.5}"#, r#"{"nodelay": null}"#] {
            assert_eq!(
                Settings::new(TABLE).apply_json(config).unwrap_err().code,
                ErrorCode::Config,
                "{config}"
            );
        }
    }

    #[test]
    fn a_schema_that_says_something_else_than_the_table_is_noticed() {
        let good = r#"{"additionalProperties": false, "properties": {
            "backlog": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10, "description": "Waiting links."},
            "nodelay": {"type": "boolean", "default": true, "description": "No delay."},
            "framing": {"enum": ["stream", "message"], "default": "stream", "description": "Framing."}}}"#;
        assert_eq!(differences(good, TABLE), Vec::<String>::new());
        assert_eq!(differences(&good.replace("100", "99"), TABLE).len(), 1);
        assert_eq!(differences(&good.replace("\"nodelay\"", "\"delay\""), TABLE).len(), 2);
        assert_eq!(differences(&good.replace("false", "true"), TABLE).len(), 1);
        assert_eq!(differences("{", TABLE).len(), 1);
    }
}
