// SPDX-License-Identifier: Apache-2.0
//! `sabir plugin`: what is loaded, and what a file is. Files are looked at in a child process of the same program, so
//! that one which crashes takes nothing else with it.

use super::{Exit, SourceArguments, config, inspect, out, verify};
use crate::config::Config;
use crate::plugins;
use clap::Subcommand;
use sabir_host::{Description, Registry};
use std::path::{Path, PathBuf};

/// What to do with plugins.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// List the plugins that the configuration loads, and where they came from
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        source: SourceArguments,
    },
    /// Tell what a shared library says of itself, in a child process
    Inspect {
        /// The library
        file: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Load it in this very process
        #[arg(long, hide = true)]
        here: bool,
    },
    /// Hold a shared library against the contracts of its kinds, in a child process
    Verify {
        /// The library
        file: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// For protocols: directory with what peers say, *.script
        #[arg(long, value_name = "DIR")]
        scripts: Option<PathBuf>,
        /// For transports: an address to listen on, where the usual forms are not the transport's
        #[arg(long, value_name = "URI")]
        listen: Option<String>,
        /// Load it in this very process
        #[arg(long, hide = true)]
        here: bool,
    },
}

/// Runs the command.
pub fn run(command: &PluginCommand) -> Exit {
    match command {
        PluginCommand::List { json, source } => match source.sources().load() {
            Ok(settings) => list(&settings, *json),
            Err(errors) => config::refuse(&errors),
        },
        PluginCommand::Inspect { file, here: true, .. } => inspect::here(file),
        PluginCommand::Inspect { file, json, .. } => inspect(file, *json),
        PluginCommand::Verify { file, json, scripts, listen, here: true } => {
            verify::here(file, *json, scripts.as_deref(), listen.as_deref())
        }
        PluginCommand::Verify { file, json, scripts, listen, .. } => {
            verify(file, *json, scripts.as_deref(), listen.as_deref())
        }
    }
}

fn list(settings: &Config, json: bool) -> Exit {
    let mut registry = Registry::new();
    let loaded = plugins::load(settings, &mut registry);
    let descriptions = registry.plugins();
    if json {
        out::line(&serde_json::json!(descriptions).to_string());
    } else {
        descriptions.iter().for_each(|description| out::text(&human(description)));
    }
    match loaded {
        Ok(()) => Exit::Success,
        Err(error) => {
            eprintln!("error: {error}");
            Exit::Plugin
        }
    }
}

fn inspect(file: &Path, json: bool) -> Exit {
    match inspect::describe(file) {
        Ok(description) if json => out::line(&serde_json::json!(description).to_string()),
        Ok(description) => out::text(&human(&description)),
        Err(problem) => {
            eprintln!("error: {problem}");
            return Exit::Plugin;
        }
    }
    Exit::Success
}

/// Runs the suites in a child, whose report is passed on.
fn verify(file: &Path, json: bool, scripts: Option<&Path>, listen: Option<&str>) -> Exit {
    let scripts = scripts.map(|directory| directory.display().to_string());
    let mut arguments = vec!["plugin", "verify", "--here"];
    arguments.extend(json.then_some("--json"));
    arguments.extend(scripts.iter().flat_map(|directory| ["--scripts", directory.as_str()]));
    arguments.extend(listen.iter().flat_map(|uri| ["--listen", uri]));
    let output = match inspect::child(&arguments, file) {
        Ok(output) => output,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Failure;
        }
    };
    out::text(&String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => Exit::Success,
        Some(code) if code == Exit::Plugin as i32 => Exit::Plugin,
        Some(_) => Exit::Failure,
        None => {
            eprintln!("error: {} crashes the process that uses it ({})", file.display(), output.status);
            Exit::Failure
        }
    }
}

/// A plugin, for people.
fn human(plugin: &Description) -> String {
    let Description { name, version, license, vendor, .. } = plugin;
    let mut text = format!(
        "{name} {version}  ABI {}.{}  {license}  {vendor}\n  {}\n  from {}\n",
        plugin.abi_major, plugin.abi_minor, plugin.description, plugin.origin
    );
    for component in &plugin.components {
        let can = component.capabilities.join(", ");
        text += &format!("  {} {:<12} {can}\n", component.kind, component.name);
        if !component.required_host_capabilities.is_empty() {
            text += &format!("    needs of its host: {}\n", component.required_host_capabilities.join(", "));
        }
    }
    for skipped in &plugin.skipped {
        text += &format!("  skipped: {skipped}\n");
    }
    text
}
