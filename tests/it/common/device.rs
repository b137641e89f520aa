//! Where the tests run.

use std::sync::OnceLock;

use masked_loss::Backend;
use tch::kind::Element;
use tch::{Device, Kind, Tensor};

/// `cpu`, the default, or `cuda`.
const VARIABLE: &str = "MASKED_LOSS_TEST_DEVICE";

/// Where the tests make their tensors.
pub fn device() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    *DEVICE.get_or_init(|| match std::env::var(VARIABLE).as_deref() {
        Err(std::env::VarError::NotPresent) | Ok("cpu") => Device::Cpu,
        Ok("cuda") if tch::Cuda::is_available() => Device::Cuda(0),
        Ok("cuda") => panic!("{VARIABLE}: expected a device that libtorch finds, found cuda"),
        found => panic!("{VARIABLE}: expected cpu or cuda, found {found:?}"),
    })
}

/// Whether the tests run on the CPU, for features that only the CPU has. Elsewhere this prints what is left out.
pub fn on_the_cpu(what: &str) -> bool {
    let here = device() == Device::Cpu;
    if !here {
        println!("left out on {:?}: {what}", device());
    }
    here
}

/// The backends that support the device.
pub fn backends() -> impl Iterator<Item = Backend> {
    [Backend::Composed, Backend::Fused]
        .into_iter()
        .filter(|&backend| backend == Backend::Composed || device() == Device::Cpu)
}

/// The results of the composed backend on the device, and of the fused backend on the CPU.
pub fn on_both_backends<T>(run: impl Fn(Backend, Device) -> T) -> [T; 2] {
    [run(Backend::Composed, device()), run(Backend::Fused, Device::Cpu)]
}

/// The arguments of libtorch's functions that make a tensor.
pub fn here(kind: Kind) -> (Kind, Device) {
    (kind, device())
}

pub fn tensor<T: Element>(values: &[T], size: &[i64]) -> Tensor {
    vector(values).view(size)
}

pub fn vector<T: Element>(values: &[T]) -> Tensor {
    Tensor::from_slice(values).to_device(device())
}
