//! Every level of SIMD instructions that this machine has.

use std::process::Command;

use masked_loss_core::losses::BceWithLogits;
use masked_loss_core::{Cells, Entries, Pass, Serial, Simd, Table, Weights};

/// This program once more for each lower level, by the environment variable that chooses it.
#[test]
#[cfg_attr(miri, ignore = "starts processes")]
fn the_promises_hold_at_every_simd_level() {
    let chosen = Simd::chosen().unwrap();
    for level in Simd::available().filter(|&level| level != chosen) {
        let done = Command::new(std::env::current_exe().unwrap())
            .args(["--skip", "the_promises_hold_at_every_simd_level"])
            .env(Simd::VARIABLE, level.key())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && !said.contains(" 0 passed"), "{level:?}: {said}");
    }
}

#[test]
fn the_variable_chooses_a_level_or_is_refused() {
    match std::env::var(Simd::VARIABLE).as_deref() {
        Ok("sse9") => {
            let (loss, input, cells) = (BceWithLogits::default(), [0.0f32], Cells::Bytes(&[1]));
            let table = Table { cells, rows: 1, width: 1, index: None };
            let pass = Pass {
                entries: Entries::observed(&loss),
                input: &input[..],
                gradient: None,
                values: None,
                divisor: 1.0,
            };
            assert_eq!(pass.labels(&Serial, &table, &Weights::default()), Err(Simd::chosen().unwrap_err()));
        }
        Ok(wanted) => assert_eq!(Simd::chosen().unwrap().key(), wanted),
        Err(_) if cfg!(miri) => {}
        Err(_) => {
            let done = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "levels::the_variable_chooses_a_level_or_is_refused"])
                .env(Simd::VARIABLE, "sse9")
                .status()
                .unwrap();
            assert!(done.success());
        }
    }
}
