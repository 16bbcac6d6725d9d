// SPDX-License-Identifier: Apache-2.0
//! Holds the settings of a plugin against the JSON Schema that the plugin carries, before it is opened, so that what is
//! wrong can be told with file, line and key as for the broker's own settings.
//!
//! It knows the keywords that settings need: type, enum, const, properties, required, additionalProperties, items,
//! minimum, maximum, minLength, maxLength, minItems, maxItems. Others ask for nothing here: the plugin, which is handed the
//! same text, has the last word.

use super::reader::nearest;
use serde_json::Value;

/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 32;

/// What is wrong, each with the path of the key below `path`.
pub fn check(schema: &Value, value: &Value, path: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk(schema, value, path, MAX_DEPTH, &mut found);
    found
}

fn walk(schema: &Value, value: &Value, path: &str, depth: usize, found: &mut Vec<(String, String)>) {
    if depth == 0 {
        return;
    }
    if let Some(problem) = itself(schema, value) {
        found.push((path.to_owned(), problem));
        return;
    }
    let none = serde_json::Map::new();
    if let Value::Object(members) = value {
        let known = schema["properties"].as_object().unwrap_or(&none);
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for name in required.filter(|name| !members.contains_key(*name)) {
            found.push((format!("{path}.{name}"), "is missing".to_owned()));
        }
        for (name, member) in members {
            let path = format!("{path}.{name}");
            match (known.get(name), &schema["additionalProperties"]) {
                (Some(schema), _) => walk(schema, member, &path, depth - 1, found),
                (None, Value::Bool(false)) => found.push((path, unknown(name, known))),
                (None, other) => walk(other, member, &path, depth - 1, found),
            }
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        walk(&schema["items"], item, &format!("{path}[{index}]"), depth - 1, found);
    }
}

fn unknown(name: &str, known: &serde_json::Map<String, Value>) -> String {
    match nearest(name, known.keys().map(String::as_str)) {
        Some(near) => format!("unknown key; did you mean {near}?"),
        None => "unknown key".to_owned(),
    }
}

/// What is wrong with the value itself, whatever lies in it.
fn itself(schema: &Value, value: &Value) -> Option<String> {
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|kind| is_of(value, kind)) {
        let wanted: Vec<&str> = types.iter().map(|kind| in_words(kind)).collect();
        return Some(format!("must be {}, not {value}", wanted.join(" or ")));
    }
    let words = schema["enum"].as_array().cloned().or_else(|| Some(vec![schema.get("const")?.clone()]));
    if let Some(words) = words.filter(|words| !words.contains(value)) {
        let words: Vec<String> = words.iter().map(Value::to_string).collect();
        return Some(format!("must be one of {}, not {value}", words.join(", ")));
    }
    let (size, of, least, most) = match value {
        Value::Number(_) => (value.as_f64()?, "", "minimum", "maximum"),
        Value::String(text) => (text.chars().count() as f64, " characters", "minLength", "maxLength"),
        Value::Array(items) => (items.len() as f64, " items", "minItems", "maxItems"),
        _ => return None,
    };
    let bound = |key: &str| schema[key].as_f64();
    let (too_small, too_large) =
        (bound(least).is_some_and(|least| size < least), bound(most).is_some_and(|most| size > most));
    if !too_small && !too_large {
        return None;
    }
    let allowed = match (bound(least), bound(most)) {
        (Some(least), Some(most)) => format!("between {least} and {most}"),
        (Some(least), None) => format!("at least {least}"),
        (None, most) => format!("at most {}", most.unwrap_or_default()),
    };
    let verb = if value.is_number() { "be" } else { "have" };
    Some(format!("must {verb} {allowed}{of}, not {size}"))
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|v| v.fract() == 0.0),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => true,
    }
}

fn in_words(kind: &str) -> &str {
    match kind {
        "object" => "a table",
        "array" => "an array",
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(value: &Value) -> Vec<String> {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["path"],
            "properties": {
                "path": { "type": "string", "minLength": 1 },
                "sync": { "enum": ["always", "never"] },
                "bytes": { "type": "integer", "minimum": 10, "maximum": 20 },
                "hosts": { "type": "array", "items": { "type": "string" }, "maxItems": 2 },
                "share": { "type": "number", "minimum": 0 },
                "tls": { "type": "object", "additionalProperties": { "type": "boolean" } },
            },
        });
        check(&schema, value, "stores.x").into_iter().map(|(path, text)| format!("{path}: {text}")).collect()
    }

    #[test]
    fn settings_that_fit_are_good() {
        let good = json!({ "path": "p", "sync": "never", "bytes": 20, "hosts": ["a"], "share": 0.5, "tls": { "a": true } });
        assert_eq!(told(&good), Vec::<String>::new());
    }

    #[test]
    fn every_setting_that_does_not_fit_is_told_with_its_key() {
        for (bad, expected) in [
            (json!({}), "stores.x.path: is missing"),
            (json!({ "path": "" }), "stores.x.path: must have at least 1 characters, not 0"),
            (json!({ "path": 5 }), "stores.x.path: must be text, not 5"),
            (json!({ "path": "p", "synk": "never" }), "stores.x.synk: unknown key; did you mean sync?"),
            (json!({ "path": "p", "zzz": 1 }), "stores.x.zzz: unknown key"),
            (
                json!({ "path": "p", "sync": "no" }),
                "stores.x.sync: must be one of \"always\", \"never\", not \"no\"",
            ),
            (json!({ "path": "p", "bytes": 21 }), "stores.x.bytes: must be between 10 and 20, not 21"),
            (json!({ "path": "p", "bytes": 10.5 }), "stores.x.bytes: must be a whole number, not 10.5"),
            (json!({ "path": "p", "hosts": [1] }), "stores.x.hosts[0]: must be text, not 1"),
            (json!({ "path": "p", "share": -1 }), "stores.x.share: must be at least 0, not -1"),
            (json!({ "path": "p", "tls": { "a": 1 } }), "stores.x.tls.a: must be true or false, not 1"),
            (json!([]), "stores.x: must be a table, not []"),
        ] {
            assert_eq!(told(&bad), [expected], "{bad}");
        }
    }

    #[test]
    fn a_schema_that_says_nothing_asks_for_nothing() {
        assert_eq!(check(&Value::Null, &json!({ "a": [1] }), "x"), []);
        assert_eq!(check(&json!({ "type": 5, "properties": 7 }), &json!({ "a": [1] }), "x"), []);
    }
}
