//! The memory that the fused backend keeps for gradients.

use masked_loss::{Backend, Labels, Loss, Reduction, SquaredError, release_buffers};
use tch::{Kind, Tensor};

use crate::common::{here, numbers, on_the_cpu, run_again};

/// Set in a process in which no other test allocates.
const ALONE: &str = "MASKED_LOSS_TEST_ALONE";
const MIB: i64 = 1 << 20;

/// A gradient of 128 MiB.
fn gradient() -> Tensor {
    let size = [32 * MIB];
    let labels = Labels::complete(&Tensor::zeros(size, here(Kind::Int8))).unwrap();
    let logits = Tensor::ones(size, here(Kind::Float)).set_requires_grad(true);
    let loss = SquaredError.forward_on(Backend::Fused, &logits, &labels, Reduction::Sum).unwrap();
    Tensor::run_backward(&[loss], &[&logits], false, false).swap_remove(0)
}

/// The memory of this process in MiB.
fn resident() -> i64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<i64>().unwrap() * 4096 / MIB
}

#[test]
fn buffers_are_kept_until_they_are_released() {
    if !on_the_cpu("buffers of the fused backend") {
        return;
    }
    if std::env::var_os(ALONE).is_none() {
        run_again(&["buffers::buffers_are_kept_until_they_are_released", "--exact", "--nocapture"], ALONE, "1");
        return;
    }
    // A buffer in use is neither given to another gradient nor freed.
    let [first, second] = [(); 2].map(|()| gradient());
    assert_ne!(first.data_ptr(), second.data_ptr());
    release_buffers();
    assert_eq!(numbers(&first.slice(0, 0, 3, 1)), [2.0; 3]);
    drop((first, second));

    let before = resident();
    drop(gradient());
    let kept = resident() - before;
    assert!((100..160).contains(&kept), "{kept} MiB");
    // Another one takes the same memory.
    drop(gradient());
    let kept = resident() - before;
    assert!((100..160).contains(&kept), "{kept} MiB");
    release_buffers();
    let kept = resident() - before;
    assert!(kept < 30, "{kept} MiB");
}
