// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask bench --client java`: the stock ActiveMQ client as the load, over OpenWire, on Sabir and on the real
//! ActiveMQ. The programs are the Maven module `tests/java/bench`.
//!
//! ```text
//!   load      the client's virtual machine, one for all brokers, and what it tells
//!   rows      what is measured with it, and what Sabir promises
//!   activemq  the peer, as Maven Central has it
//! ```

mod activemq;
mod load;
mod rows;

pub use load::JavaLoad;
pub use rows::{JmsRow, PROMISES, backlog, measure, rows, warm_up};

use super::broker::{Broker, Launched};
use crate::workspace::{root, succeed};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

const PROJECT: &str = "tests/java";
const MODULE: &str = "bench";

/// What Maven built.
pub struct JavaPrograms {
    classpath: String,
}

impl JavaPrograms {
    /// Compiles the module, with what it needs from Maven Central; or takes what was compiled before.
    pub fn build(again: bool) -> Result<JavaPrograms> {
        if again {
            let mut maven = Command::new("mvn");
            maven.current_dir(root().join(PROJECT)).args(["-q", "-B", "-ntp", "-pl", MODULE, "compile"]);
            succeed(&mut maven).context("the Java load takes a JDK (17 or newer) and Maven")?;
        }
        let target = root().join(PROJECT).join(MODULE).join("target");
        let path = target.join("bench.classpath");
        let libraries = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}, which Maven makes", path.display()))?;
        Ok(JavaPrograms { classpath: format!("{}:{}", target.join("classes").display(), libraries.trim()) })
    }

    /// The load, which serves all brokers in turn.
    pub fn start_load(&self) -> Result<JavaLoad> {
        JavaLoad::start(self.java("sabir.bench.Load"))
    }

    /// The real ActiveMQ under the folder `under`.
    pub fn start_activemq(&self, under: &Path) -> Result<Broker> {
        activemq::start(self, under)
    }

    /// The same on the data in a folder.
    pub fn launch_activemq(&self, folder: &Path) -> Result<Launched> {
        activemq::launch(self, folder)
    }

    /// A virtual machine of a size that never changes. Which collector it takes is its own choice.
    fn java(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        command.args(["-Xms1g", "-Xmx1g", "-Djava.awt.headless=true"]);
        // fdatasync instead of fsync, as Sabir does; only the broker looks at it.
        command.arg("-Dorg.apache.activemq.kahaDB.files.skipMetadataUpdate=true");
        command.args(["-cp", &self.classpath, class]);
        command
    }
}
