// SPDX-License-Identifier: Apache-2.0
//! `sabir user`: the users' file.

use super::{Exit, SourceArguments, config, out};
use clap::Subcommand;
use sabir_stack::policy::{Users, hash_password, remove_user, set_user};
use std::io::{IsTerminal, Read};
use std::path::Path;

/// Longest password, in bytes.
const MAX_PASSWORD_BYTES: u64 = 1024;

/// What to do with the users.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user, or give one another password
    Add {
        /// Name of the user
        name: String,
        /// Groups that the user is in; without this option a user keeps theirs
        #[arg(long, value_delimiter = ',', value_name = "GROUP")]
        groups: Option<Vec<String>>,
        /// Read the password from standard input, up to the end of the first line
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        source: SourceArguments,
    },
    /// Remove a user
    Remove {
        /// Name of the user
        name: String,
        #[command(flatten)]
        source: SourceArguments,
    },
    /// List the users and their groups
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        source: SourceArguments,
    },
}

/// Runs the command.
pub fn run(command: &UserCommand) -> Exit {
    let (UserCommand::Add { source, .. }
    | UserCommand::Remove { source, .. }
    | UserCommand::List { source, .. }) = command;
    let file = match source.sources().load() {
        Ok(settings) => settings.security.users_file,
        Err(errors) => return config::refuse(&errors),
    };
    let done = match command {
        UserCommand::Add { name, groups, password_stdin, .. } => {
            add(&file, name, groups.as_deref(), *password_stdin)
        }
        UserCommand::Remove { name, .. } => remove_user(&file, name)
            .map(|()| format!("user {name} removed from {}", file.display()))
            .map_err(|error| error.to_string()),
        UserCommand::List { json, .. } => list(&file, *json),
    };
    match done {
        Ok(text) => {
            out::line(&text);
            Exit::Success
        }
        Err(problem) => {
            eprintln!("error: {problem}");
            Exit::Failure
        }
    }
}

fn add(file: &Path, name: &str, groups: Option<&[String]>, from_stdin: bool) -> Result<String, String> {
    let password = if from_stdin { read_stdin()? } else { ask(name)? };
    let hash = hash_password(password.as_bytes()).map_err(|error| error.to_string())?;
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    let is_new = set_user(file, name, &hash, groups).map_err(|error| error.to_string())?;
    let what = if is_new { "added to" } else { "changed in" };
    Ok(format!("user {name} {what} {}; a running broker reads it at SIGHUP", file.display()))
}

/// The first line, or all of it if there is none.
fn read_stdin() -> Result<String, String> {
    let mut text = String::new();
    let mut input = std::io::stdin().lock().take(MAX_PASSWORD_BYTES + 2);
    input.read_to_string(&mut text).map_err(|error| format!("reading the password: {error}"))?;
    let password = text.lines().next().unwrap_or_default().to_owned();
    if password.len() as u64 > MAX_PASSWORD_BYTES {
        return Err(format!("the password is longer than {MAX_PASSWORD_BYTES} bytes"));
    }
    Ok(password)
}

fn ask(name: &str) -> Result<String, String> {
    if !std::io::stdin().is_terminal() {
        return Err("there is no terminal to ask for the password; use --password-stdin".to_owned());
    }
    let failed = |error: std::io::Error| format!("reading the password: {error}");
    let first = rpassword::prompt_password(format!("Password for {name}: ")).map_err(failed)?;
    let second = rpassword::prompt_password("Once more: ").map_err(failed)?;
    if first == second { Ok(first) } else { Err("the passwords differ".to_owned()) }
}

fn list(file: &Path, json: bool) -> Result<String, String> {
    let users = Users::load(file).map_err(|error| error.to_string())?;
    let entries = users.names().filter_map(|name| Some((name, users.get(name)?)));
    if json {
        let entries: Vec<_> =
            entries.map(|(name, user)| serde_json::json!({ "name": name, "groups": user.groups })).collect();
        return Ok(serde_json::Value::from(entries).to_string());
    }
    let lines: Vec<String> = entries
        .map(|(name, user)| format!("{name} {}", user.groups.join(",")).trim_end().to_owned())
        .collect();
    Ok(lines.join("\n"))
}
