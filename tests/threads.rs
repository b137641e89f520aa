//! A program of its own: the number of threads belongs to the whole process.

mod common;

use common::{Case, losses, rng, value_and_gradient};
use masked_loss::{Path, Reduction};

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let mut rng = rng(5);
    for named in losses(1000) {
        let case = Case::draw(&mut rng, &named, &[200, 1000], 0.5, false);
        for kind in common::KINDS {
            let run = |threads| {
                tch::set_num_threads(threads);
                value_and_gradient(&named, Path::Fused, &case.input(kind), &case.labels(), Reduction::Mean, 1.0)
            };
            let one = run(1);
            for threads in [2, 3, 7] {
                assert!(run(threads) == one, "{}, {kind:?}, {threads} threads", named.name);
            }
        }
    }
}
