// SPDX-License-Identifier: Apache-2.0
//! What the fuzz target of sessions has found worth keeping is fed to them again.

use crate::drive;
use std::path::Path;

#[test]
fn what_fuzzing_has_found_does_no_harm() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/openwire/corpus-session");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        drive::session(&std::fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 50, "{files} files");
}
