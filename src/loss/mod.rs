//! Losses: what they accept, how they are reduced, and which backend computes them.

mod accept;
mod backend;
mod call;
mod catalogue;
mod head;
mod missing;
mod traits;

pub use self::backend::Backend;
pub use self::catalogue::{Named, catalogue};
pub use self::head::{Head, Linear};
pub use self::missing::{Missing, WithMissing};
pub use self::traits::Loss;
