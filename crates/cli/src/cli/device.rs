//! Where tensors live and are computed.

use anyhow::{Result, ensure};
use tch::{Cuda, Device};

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum DeviceChoice {
    #[default]
    Auto,
    Cpu,
    Cuda(usize),
}

impl DeviceChoice {
    pub fn device(self) -> Result<Device> {
        match self {
            Self::Auto => Ok(Device::cuda_if_available()),
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(index) => {
                ensure!(
                    Cuda::is_available(),
                    "CUDA is not usable here; `scripts/with-libtorch cargo run --release --example doctor` says why"
                );
                let count = Cuda::device_count();
                ensure!((index as i64) < count, "there is no cuda:{index}: the CUDA devices are 0 to {}", count - 1);
                Ok(Device::Cuda(index))
            }
        }
    }
}

pub fn parse_device(text: &str) -> Result<DeviceChoice, &'static str> {
    match text {
        "auto" => Ok(DeviceChoice::Auto),
        "cpu" => Ok(DeviceChoice::Cpu),
        "cuda" => Ok(DeviceChoice::Cuda(0)),
        _ => text
            .strip_prefix("cuda:")
            .and_then(|index| index.parse().ok())
            .map(DeviceChoice::Cuda)
            .ok_or("expected auto, cpu or cuda:0"),
    }
}
