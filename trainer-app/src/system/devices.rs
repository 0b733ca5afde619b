//! Devices by their name on the command line.

use anyhow::{Result, bail, ensure};
use burn::tensor::Device;
use burn_bert::Precision;
use serde::Serialize;

use crate::exit::UsageError;

/// A device as `trainer devices` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceEntry {
    /// What `--device` takes.
    pub name: String,
    /// Its description.
    pub description: String,
}

/// The device of a name: `auto`, `cpu`, `wgpu`, `cuda`, the last two with an index as in `cuda:1`.
///
/// # Errors
/// An unknown name, a back-end that is not built in, or a GPU that does not exist.
pub fn resolve(name: &str) -> Result<Device> {
    let (kind, index) = match name.split_once(':') {
        Some((kind, index)) => match index.parse() {
            Ok(index) => (kind, index),
            Err(_) => {
                return Err(UsageError::new(format!(
                    "the device `{name}` has the index `{index}`, expected a number as in cuda:0"
                )));
            }
        },
        None => (name, 0),
    };
    if index != 0 && matches!(kind, "auto" | "cpu") {
        return Err(UsageError::new(format!(
            "the device `{name}` has an index, expected one only with wgpu and cuda; use {kind}"
        )));
    }
    match kind {
        "auto" => Ok(gpu::find("cuda").or_else(|| gpu::find("wgpu")).unwrap_or_else(Device::flex)),
        "cpu" => Ok(Device::flex()),
        "cuda" | "wgpu" if !gpu::is_built_in(kind) => bail!(
            "this build does not support {kind}; build with the feature `{kind}` (`cargo xtask train --device {kind}` \
             does), or use --device cpu"
        ),
        "cuda" | "wgpu" => match gpu::list(kind).into_iter().nth(index) {
            Some(device) => Ok(device),
            None => bail!(
                "no {kind} device {index} was found (there are {}); see `trainer devices`, or use --device cpu",
                gpu::list(kind).len()
            ),
        },
        _ => Err(UsageError::new(format!(
            "there is no device `{name}`; choose auto, cpu, wgpu or cuda (an index may follow: cuda:1)"
        ))),
    }
}

/// The devices of names separated by commas, such as `cuda:0,cuda:1`: the first and the others.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_all(names: &str) -> Result<(Device, Vec<Device>)> {
    let mut names = names.split(',').map(str::trim);
    let first = resolve(names.next().unwrap_or_default())?;
    Ok((first, names.map(resolve).collect::<Result<_>>()?))
}

/// Checks that a device supports a precision.
///
/// # Errors
/// If it does not.
pub fn check_precision(device: &Device, precision: Precision) -> Result<()> {
    ensure!(
        device.supports_dtype(precision.dtype()),
        "{} does not support {precision}; choose another --precision, or leave it out for f32",
        describe(device)
    );
    Ok(())
}

/// The multiple to which the length of batches is rounded up on a device: a GPU compiles and tunes kernels per length.
pub fn length_step(device: &Device) -> usize {
    if is_cpu(device) { 1 } else { 32 }
}

/// Every device that this build can train on.
pub fn list() -> Vec<DeviceEntry> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut entries = vec![DeviceEntry {
        name: "cpu".to_owned(),
        description: format!("{threads} threads (Burn's flex)"),
    }];
    for kind in ["cuda", "wgpu"] {
        if !gpu::is_built_in(kind) {
            let description =
                format!("not in this build; `cargo xtask train --device {kind}` builds with it");
            entries.push(DeviceEntry { name: kind.to_owned(), description });
            continue;
        }
        let devices = gpu::list(kind);
        if devices.is_empty() {
            entries.push(DeviceEntry {
                name: kind.to_owned(),
                description: "no device found".to_owned(),
            });
        }
        for (index, device) in devices.iter().enumerate() {
            entries.push(DeviceEntry {
                name: format!("{kind}:{index}"),
                description: if gpu::is_software(device) {
                    format!(
                        "{}: a software driver on the CPU; --device cpu is faster",
                        describe(device)
                    )
                } else {
                    describe(device)
                },
            });
        }
    }
    entries
}

/// The description of a device.
pub fn describe(device: &Device) -> String {
    if is_cpu(device) { "cpu".to_owned() } else { format!("{:?}", device.clone().inner()) }
}

/// Whether a device is the CPU.
pub fn is_cpu(device: &Device) -> bool {
    // Devices are compared by hardware, whether or not they record gradients.
    *device == Device::flex()
}

mod gpu {
    use burn::tensor::Device;
    #[cfg(any(feature = "cuda", feature = "wgpu"))]
    use burn::tensor::DeviceType;

    pub(super) fn is_built_in(kind: &str) -> bool {
        (kind == "cuda" && cfg!(feature = "cuda")) || (kind == "wgpu" && cfg!(feature = "wgpu"))
    }

    /// The first that is not a software driver, which is slower than the CPU.
    pub(super) fn find(kind: &str) -> Option<Device> {
        list(kind).into_iter().find(|device| !is_software(device))
    }

    /// Whether a graphics device is a software driver on the CPU, such as Mesa's llvmpipe.
    #[cfg(feature = "wgpu")]
    pub(super) fn is_software(device: &Device) -> bool {
        *device == Device::wgpu(burn::tensor::DeviceKind::Cpu)
    }

    #[cfg(not(feature = "wgpu"))]
    pub(super) fn is_software(_device: &Device) -> bool {
        false
    }

    #[cfg(not(any(feature = "cuda", feature = "wgpu")))]
    pub(super) fn list(_kind: &str) -> Vec<Device> {
        Vec::new()
    }

    /// The back-ends panic if a driver is missing, which is caught here.
    #[cfg(any(feature = "cuda", feature = "wgpu"))]
    pub(super) fn list(kind: &str) -> Vec<Device> {
        let device_type = match kind {
            #[cfg(feature = "cuda")]
            "cuda" => DeviceType::Cuda,
            #[cfg(feature = "wgpu")]
            "wgpu" => DeviceType::Wgpu,
            _ => return Vec::new(),
        };
        let quiet = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let found = std::panic::catch_unwind(|| Device::enumerate(device_type).into_vec());
        std::panic::set_hook(quiet);
        found.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there() {
        resolve("cpu").unwrap();
        resolve("auto").unwrap();
        assert_eq!(list()[0].name, "cpu");
    }

    #[test]
    fn a_device_that_cannot_be_is_a_sentence() {
        let sentence = |name| resolve(name).unwrap_err().to_string();
        assert!(
            sentence("tpu").starts_with("there is no device `tpu`; choose auto, cpu, wgpu or cuda")
        );
        assert!(sentence("cuda:x").contains("the index `x`"));
        let several = resolve_all("cpu,tpu").unwrap_err().to_string();
        assert!(several.starts_with("there is no device `tpu`"), "{several}");
        if !gpu::is_built_in("cuda") {
            assert!(
                sentence("cuda")
                    .starts_with("this build does not support cuda; build with the feature")
            );
        }
    }
}
