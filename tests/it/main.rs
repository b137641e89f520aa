//! The library's promises, in one test program.

mod accumulator;
#[cfg(target_os = "linux")]
mod buffers;
mod censored;
mod common;
mod compaction;
mod contract;
mod counted;
mod device;
mod edges;
mod expected_positives;
mod formulas;
mod hard_cases;
mod head;
mod head_gradients;
mod head_promises;
mod identities;
mod infinite;
mod interface;
mod levels;
mod metrics;
mod missing;
mod nnpu;
mod optimizer;
mod optimizer_state;
mod oracle;
mod patterns;
mod raw;
mod reductions;
mod softmax;
mod sparse;
mod threads;
mod weighting;
mod weights;
