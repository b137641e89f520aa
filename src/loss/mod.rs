//! Losses: what they accept, how they are reduced, and which path computes them.

mod accept;
mod call;
mod catalogue;
mod head;
mod missing;
mod path;
mod traits;

pub use self::catalogue::{Named, catalogue};
pub use self::head::{Head, Linear};
pub use self::missing::{Missing, WithMissing};
pub use self::path::Path;
pub use self::traits::Loss;
