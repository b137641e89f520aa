//! The number types that formulas are evaluated with.

mod dual;
mod real;

pub use self::dual::Dual;
pub use self::real::Real;
