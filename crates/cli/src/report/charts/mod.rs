//! The charts of a run, as SVG.

pub mod calibration;
pub mod chart;
pub mod curves;
pub mod observed;
pub mod scale;
pub mod scores;
mod text;
