// SPDX-License-Identifier: Apache-2.0
//! Files that were damaged behind the store's back: noticed always, never taken for something else.

use super::subject::{Bench, Check, close, ensure, same};
use super::surviving::{everything, furnish};
use super::{Contract, Needs::Survival, contract};
use crate::disk::Dice;
use std::fs;
use std::path::Path;

pub(super) const CONTRACTS: &[Contract] = &[
    contract(
        "store.damage.flipped",
        Survival,
        "A flipped bit is an error when opening or reading, or touches nothing.",
        flipped,
    ),
    contract(
        "store.damage.missing",
        Survival,
        "A missing file is an error when opening or reading, or touches nothing.",
        missing,
    ),
    contract(
        "store.damage.cut",
        Survival,
        "A file that was cut is an error when opening or reading, or touches nothing.",
        cut,
    ),
];

/// Bits that are flipped, one at a time, in each file.
const FLIPS: usize = 24;

fn io<T>(result: std::io::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("damaging a file: {error}"))
}

// Damages every file in several ways, each in a fresh copy. Whatever then opens and reads without an error must be
// what was there.
fn look(bench: &Bench<'_>, ways: usize, damage: impl Fn(&Path, usize, &mut Dice) -> Check) -> Check {
    let store = bench.open()?;
    furnish(&store)?;
    let before = everything(&store)?;
    close(store)?;
    let mut dice = Dice::new(77);
    let count = bench.copy("copy")?.len();
    let mut noticed = 0;
    for (file, way) in (0..count).flat_map(|file| (0..ways).map(move |way| (file, way))) {
        let files = bench.copy("copy")?;
        let Some(path) = files.get(file) else { continue };
        damage(path, way, &mut dice)?;
        let Ok(copy) = bench.try_open("copy") else {
            noticed += 1;
            continue;
        };
        match everything(&copy) {
            Err(_) => noticed += 1,
            Ok(after) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                same(&format!("summaries, {name} damaged"), &after.0, &before.0)?;
                ensure!(
                    after == before,
                    "{name} was damaged, and other entries or keys came back without an error"
                );
            }
        }
    }
    ensure!(noticed > 0, "no damage at all was noticed");
    Ok(())
}

fn flipped(bench: &Bench<'_>) -> Check {
    look(bench, FLIPS, |path, way, dice| {
        let mut bytes = io(fs::read(path))?;
        // Where files are made ahead most of them is unused: half of the flips go where something is.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let end = if way % 2 == 0 { used } else { bytes.len() };
        let at = dice.below(end as u64) as usize;
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << dice.below(8);
        }
        io(fs::write(path, bytes))
    })
}

fn missing(bench: &Bench<'_>) -> Check {
    look(bench, 1, |path, _, _| io(fs::remove_file(path)))
}

fn cut(bench: &Bench<'_>) -> Check {
    look(bench, 8, |path, way, dice| {
        let bytes = io(fs::read(path))?;
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let len = match way {
            0 => 0,
            1 => used.saturating_sub(1),
            _ => dice.below(used as u64) as usize,
        };
        io(fs::write(path, bytes.get(..len).unwrap_or_default()))
    })
}
