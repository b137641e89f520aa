//! Memory that passes read and write.

mod buffer;
mod disjoint;
mod half;
mod prefetch;
mod rows;
mod stored;

pub(crate) use self::buffer::Buffer;
pub(crate) use self::disjoint::Disjoint;
pub use self::half::{Bf16, F16};
pub(crate) use self::prefetch::{Lines, Prefetch, Prefetcher, fence};
pub(crate) use self::rows::{Rows, segments};
pub use self::stored::Stored;
pub(crate) use self::stored::read;
