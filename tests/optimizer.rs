//! The training program's optimizers, whose own tests hold them against libtorch's.

#[allow(dead_code)]
#[path = "../examples/train/optimizer.rs"]
mod optimizer;
