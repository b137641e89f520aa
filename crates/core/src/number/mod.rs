//! The numbers that formulas are read with.

mod dual;
mod real;

pub use self::dual::Dual;
pub use self::real::Real;
