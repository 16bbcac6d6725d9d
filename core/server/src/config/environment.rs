// SPDX-License-Identifier: Apache-2.0
//! Environment variables as a layer of the configuration: `SABIR_SECTION__KEY`.

use super::tree::Origin;

/// How every variable begins.
pub const PREFIX: &str = "SABIR_";
/// The variable that names the file.
pub const FILE: &str = "SABIR_CONFIG";
/// Keys at the top that are no sections: only these need no double underscore.
const TOP_LEVEL_ARRAYS: [&str; 3] = ["listeners", "destinations", "authorization"];

/// The values that variables set: where from, the key's path, the text.
///
/// Variables without a double underscore belong to others (`SABIR_CONFIG` to the command line), save those of
/// whole arrays, as `SABIR_LISTENERS='[{ uri = "tcp://127.0.0.1:0" }]'`.
pub fn values(variables: &[(String, String)]) -> Vec<(Origin, Vec<String>, String)> {
    let mut found: Vec<_> = variables
        .iter()
        .filter_map(|(name, value)| {
            let path: Vec<String> =
                name.strip_prefix(PREFIX)?.split("__").map(str::to_ascii_lowercase).collect();
            let is_key = match path.as_slice() {
                [only] => TOP_LEVEL_ARRAYS.contains(&only.as_str()),
                several => several.iter().all(|part| !part.is_empty()),
            };
            is_key.then(|| (Origin::Environment(name.clone()), path, value.clone()))
        })
        .collect();
    // The environment has no order of its own: shorter paths first, so that a key lies over its section.
    found.sort_by(|a, b| (a.1.len(), &a.1).cmp(&(b.1.len(), &b.1)));
    found
}

/// Variables that begin like a section and have no double underscore, so that nobody looks at them; each with the one
/// that was probably meant.
pub fn doubtful<'s>(
    variables: &[(String, String)],
    sections: impl Iterator<Item = &'s str> + Clone,
) -> Vec<(String, String)> {
    let meant = |name: &str| {
        let rest = name.strip_prefix(PREFIX).filter(|rest| !rest.contains("__"))?;
        sections.clone().find_map(|section| {
            let (start, key) = rest.split_at_checked(section.len())?;
            let key = key.strip_prefix('_').filter(|key| !key.is_empty())?;
            start.eq_ignore_ascii_case(section).then(|| format!("{PREFIX}{start}__{key}"))
        })
    };
    variables.iter().filter_map(|(name, _)| Some((name.clone(), meant(name)?))).collect()
}
