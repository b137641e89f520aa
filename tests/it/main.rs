//! What the library promises, in one program.

mod accumulator;
mod censored;
mod common;
mod compaction;
mod contract;
mod device;
mod expected_positives;
mod formulas;
mod hard_cases;
mod head;
mod identities;
mod infinite;
mod levels;
mod metrics;
mod missing;
mod nnpu;
mod optimizer;
mod oracle;
mod patterns;
mod raw;
mod reductions;
mod softmax;
mod sparse;
mod threads;
mod weighting;
mod weights;
