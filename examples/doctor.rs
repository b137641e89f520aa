//! Reports what a program with masked-loss uses on this machine: which libtorch, whether CUDA is usable and if not why,
//! the number of threads, and the SIMD level.
//!
//! `scripts/with-libtorch cargo run --release --example doctor`

use std::env;
use std::fs;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tch::{Cuda, Device, Kind, Tensor};

const UNKNOWN: &str = "unknown";

fn main() -> ExitCode {
    let cpu = loaded_from("torch_cpu");
    let folder = cpu.as_deref().and_then(Path::parent);
    let rows = [
        ("masked-loss", masked_loss::VERSION.to_string()),
        ("libtorch", folder.and_then(version).unwrap_or(UNKNOWN.into())),
        ("  loaded from", cpu.as_deref().map_or(UNKNOWN.into(), |path| path.display().to_string())),
        ("CUDA", cuda(folder)),
        ("Metal", yes_or_no(tch::utils::has_mps())),
        (
            "threads",
            format!("{} within an operation, {} between", tch::get_num_threads(), tch::get_num_interop_threads()),
        ),
        ("  cores", std::thread::available_parallelism().map_or(UNKNOWN.into(), |cores| cores.to_string())),
        ("SIMD", masked_loss::simd_level().map_or_else(|error| error.to_string(), str::to_owned)),
    ];
    match rows.iter().try_for_each(|(name, found)| writeln!(stdout(), "{name:<15} {found}")) {
        // A reader may stop reading, as `head` does. That standard error is closed or full is no fault.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let _ = writeln!(stderr(), "error: cannot write to standard output: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn yes_or_no(answer: bool) -> String {
    if answer { "yes" } else { "no" }.to_string()
}

fn file_name(library: &str) -> String {
    format!("{}{library}{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX)
}

/// The file that a shared library was loaded from on Linux; elsewhere, the first such file on the search path.
fn loaded_from(library: &str) -> Option<PathBuf> {
    let file = file_name(library);
    if let Ok(maps) = fs::read_to_string("/proc/self/maps") {
        return first_mapped(&maps, &file);
    }
    let folders = env::var_os(if cfg!(windows) { "PATH" } else { "DYLD_LIBRARY_PATH" })?;
    env::split_paths(&folders).map(|folder| folder.join(&file)).find(|path| path.exists())
}

/// A line is `address permissions offset device inode path`; only the path has slashes.
fn first_mapped(maps: &str, file: &str) -> Option<PathBuf> {
    let mut paths = maps.lines().filter_map(|line| line.find('/').map(|start| Path::new(&line[start..])));
    let named = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(file));
    paths.find(|path| named(path)).map(Path::to_path_buf)
}

/// Above its `lib`, PyTorch's Python package has a version.py, and the C++ distribution a build-version.
fn version(folder: &Path) -> Option<String> {
    let root = folder.parent()?;
    if let Ok(number) = fs::read_to_string(root.join("build-version")) {
        return Some(number.trim().to_string());
    }
    let package = fs::read_to_string(root.join("version.py")).ok()?;
    let line = package.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(line.trim_matches(['\'', '"']).to_string())
}

fn cuda(folder: Option<&Path>) -> String {
    // The test is to use the device: one that is listed may still fail.
    match Tensor::f_ones([1], (Kind::Float, Device::Cuda(0))) {
        Ok(_) => format!("usable, {} device(s)", Cuda::device_count()),
        Err(error) => format!("not usable: {}", why_not(folder, &error.to_string())),
    }
}

fn why_not(folder: Option<&Path>, error: &str) -> String {
    let has_cuda = folder.is_some_and(|folder| folder.join(file_name("torch_cuda")).exists());
    if !has_cuda {
        return "this libtorch was built without CUDA".into();
    }
    if loaded_from("torch_cuda").is_none() {
        return "this libtorch has CUDA, but the program does not link libtorch_cuda; its build.rs must keep it".into();
    }
    if cfg!(target_os = "linux") && !has_driver() {
        return "no NVIDIA driver on this machine".into();
    }
    match env::var("CUDA_VISIBLE_DEVICES") {
        Ok(visible) => format!("no device works with CUDA_VISIBLE_DEVICES={visible:?} ({})", first_line(error)),
        Err(_) => format!("there is a driver, but no device works ({})", first_line(error)),
    }
}

/// Whether the kernel's part of the driver is loaded, or under WSL that of the host.
fn has_driver() -> bool {
    ["/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg"].iter().any(|file| Path::new(file).exists())
}

/// libtorch appends a stack trace to its messages.
fn first_line(error: &str) -> &str {
    error.lines().next().unwrap_or_default()
}
