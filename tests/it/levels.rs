//! Every level of SIMD instructions that this machine has.

use masked_loss::masked_loss_core::Simd;

use crate::common::{on_the_cpu, run_again};

#[test]
fn the_promises_hold_at_every_simd_level() {
    if !on_the_cpu("SIMD") {
        return;
    }
    let chosen = Simd::chosen().unwrap();
    assert_eq!(masked_loss::simd_level().unwrap(), chosen.name());
    for level in Simd::available().filter(|&level| level != chosen) {
        run_again(
            &[
                "contract::",
                "infinite::",
                "compaction::",
                "oracle::",
                "raw::",
                "patterns::",
                "reductions::",
                "accumulator::",
                "threads::",
            ],
            Simd::VARIABLE,
            level.key(),
        );
    }
}
