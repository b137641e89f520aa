//! Compiles `src/native/autograd.cpp` against the libtorch that torch-sys found, and lets this package's own programs find it again.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/native/autograd.cpp");
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    // torch-sys tells where its libtorch is; under its feature `doc-only` it has none.
    let Some(lib) = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else {
        return;
    };
    compile(&lib);
    link(&lib);
}

fn compile(lib: &Path) {
    let root = env::var_os("LIBTORCH_INCLUDE").map_or_else(|| lib.join(".."), PathBuf::from);
    let include = root.join("include");
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++20")
        .include(include.join("torch/csrc/api/include"))
        .include(&include)
        // It follows cargo's profile otherwise, and takes twice as long.
        .debug(false)
        // libtorch's headers warn; what is ours is checked with warnings on in review.
        .warnings(false)
        .file("src/native/autograd.cpp");
    if target_is("linux") {
        // Without it at::parallel_for is a plain loop. torch-sys links the runtime.
        build.flag("-fopenmp");
    }
    build.compile("masked_loss_native");
}

/// Link arguments reach this package's tests, examples and benches, not the programs of those who depend on it:
/// `docs/linking.md` shows the build.rs for them.
fn link(lib: &Path) {
    // These are arguments of the linkers of Linux and macOS.
    if target_is("windows") {
        return;
    }
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    if lib.join("libtorch_cuda.so").exists() {
        // No symbol of it is named, so the linker would drop it, and with it the GPU.
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed,-ltorch_cuda,--as-needed");
    }
}

fn target_is(os: &str) -> bool {
    env::var("CARGO_CFG_TARGET_OS").is_ok_and(|target| target == os)
}
