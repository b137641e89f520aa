//! Formulas, number types and kernels; no libtorch.
