//! Losses: what they accept, how they are reduced, and which path computes them.

mod accept;
mod call;
mod catalogue;
mod missing;
mod path;
mod traits;

pub use self::catalogue::{Named, catalogue};
pub use self::missing::{Missing, WithMissing};
pub use self::path::Path;
pub use self::traits::Loss;
