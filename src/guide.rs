//! The guides: which loss, which denominator, how to move from PyTorch, how to link, how it works.

#![allow(clippy::needless_doctest_main)] // a build.rs is shown whole

/// A page of `docs`. There, links between the pages lead to files; the definitions here come first and lead to modules.
macro_rules! guides {
    ($($name:ident: $file:literal),*) => {$(
        #[doc = "[losses]: crate::guide::losses"]
        #[doc = "[denominators]: crate::guide::denominators"]
        #[doc = "[missing]: crate::guide::missing"]
        #[doc = "[head]: crate::guide::head"]
        #[doc = "[size]: crate::guide::size"]
        #[doc = "[pytorch]: crate::guide::pytorch"]
        #[doc = "[numerics]: crate::guide::numerics"]
        #[doc = "[linking]: crate::guide::linking"]
        #[doc = "[verification]: crate::guide::verification"]
        #[doc = "[performance]: crate::guide::performance"]
        #[doc = "[architecture]: crate::guide::architecture"]
        #[doc = ""]
        #[doc = include_str!(concat!("../docs/", $file))]
        pub mod $name {}
    )*};
}

guides!(
    losses: "losses.md",
    denominators: "denominators.md",
    missing: "missing.md",
    size: "size.md",
    head: "head.md",
    pytorch: "pytorch.md",
    numerics: "numerics.md",
    linking: "linking.md",
    verification: "verification.md",
    performance: "performance.md",
    architecture: "architecture.md"
);
