// SPDX-License-Identifier: Apache-2.0
//! The child's half of `sabir plugin verify`: every component of a library against the suite of its kind.

use super::{Exit, out};
use sabir_host::describe::Kind;
use sabir_host::{Component, Registry};
use sabir_testkit::protocol::Script;
use sabir_testkit::report::{Outcome, Report};
use sabir_testkit::{protocol, store, transport};
use std::path::Path;

/// Loads the library and prints what the suites found.
pub fn here(file: &Path, json: bool, scripts: Option<&Path>, listen: Option<&str>) -> Exit {
    let mut registry = Registry::new();
    if let Err(error) = registry.load(file) {
        eprintln!("error: {error}");
        return Exit::Plugin;
    }
    let mut reports = Vec::new();
    for component in registry.components() {
        let found = match component.kind() {
            Kind::Transport => {
                let (component, listen) = (component.clone(), listen.map(str::to_owned));
                Ok(transport::run(move || transport::Subject::discover(&component, listen.as_deref())))
            }
            Kind::Protocol => verify_protocol(component, scripts),
            Kind::Store => verify_store(component),
            Kind::Codec => Ok(no_suite()),
        };
        match found {
            Ok(report) => reports.push((format!("{} {}", component.kind(), component.name()), report)),
            Err(problem) => {
                eprintln!("error: {problem}");
                return Exit::Failure;
            }
        }
    }
    print(&reports, json);
    let broken = reports.iter().any(|(_, report)| report.failures().next().is_some());
    if broken { Exit::Failure } else { Exit::Success }
}

fn verify_protocol(component: &Component, directory: Option<&Path>) -> Result<Report, String> {
    let Some(directory) = directory else {
        let mut report = Report::new();
        let why = "what its peers say is not known: name a directory with --scripts";
        report.skip("protocol.scripts", "The protocol holds to its contracts.", why);
        return Ok(report);
    };
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    let mut paths = std::fs::read_dir(directory)
        .and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()
        })
        .map_err(failed)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "script"));
    paths.sort();
    let mut scripts = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        scripts.push(Script::parse(&name, &text).map_err(|error| error.to_string())?);
    }
    if scripts.is_empty() {
        return Err(format!("{} has no *.script", directory.display()));
    }
    Ok(protocol::run(&protocol::Subject::new(component.clone(), scripts)))
}

fn verify_store(component: &Component) -> Result<Report, String> {
    let scratch = std::env::temp_dir().join(format!("sabir-verify-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
    let report = store::run(&store::Subject::of(component.clone(), &scratch));
    // What cannot be removed lies where temporary files lie.
    let _ = std::fs::remove_dir_all(&scratch);
    Ok(report)
}

fn no_suite() -> Report {
    let mut report = Report::new();
    report.skip("codec", "The codec holds to its contracts.", "there is no suite for codecs yet");
    report
}

fn print(reports: &[(String, Report)], json: bool) {
    if !json {
        for (name, report) in reports {
            out::line(&format!("{name}\n{report}"));
        }
        return;
    }
    let cases: Vec<serde_json::Value> = reports
        .iter()
        .flat_map(|(name, report)| report.cases.iter().map(move |case| (name, case)))
        .map(|(name, case)| {
            let detail = match &case.outcome {
                Outcome::Passed => "",
                Outcome::Failed(text) | Outcome::Skipped(text) => text,
            };
            serde_json::json!({
                "component": name,
                "id": case.id,
                "description": case.description,
                "outcome": case.outcome.word().to_lowercase(),
                "detail": detail,
            })
        })
        .collect();
    out::line(&serde_json::Value::from(cases).to_string());
}
