//! Chooses the back-end to build: the requested one, or that of this machine.

use std::path::Path;
use std::process::{Command, Stdio};

/// A back-end, as a feature of trainer-app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Cpu,
    Wgpu,
    Cuda,
}

impl Backend {
    pub(crate) fn feature(self) -> Option<&'static str> {
        match self {
            Self::Cpu => None,
            Self::Wgpu => Some("wgpu"),
            Self::Cuda => Some("cuda"),
        }
    }
}

/// The back-end for the `--device` or `--devices` among some arguments, and why.
/// An unknown device is left to the trainer, which has the error message.
pub(crate) fn choose(arguments: &[String]) -> (Backend, String) {
    let Some((flag, devices)) = device_flag(arguments) else { return detect() };
    let requested = |backend| (backend, format!("{flag} {devices}"));
    let kinds: Vec<&str> = devices
        .split(',')
        .map(|device| device.trim().split(':').next().unwrap_or_default())
        .collect();
    if kinds.contains(&"cuda") {
        requested(Backend::Cuda)
    } else if kinds.contains(&"wgpu") {
        requested(Backend::Wgpu)
    } else if kinds.contains(&"auto") {
        detect()
    } else {
        requested(Backend::Cpu)
    }
}

/// The device flag among the arguments, and its value.
fn device_flag(arguments: &[String]) -> Option<(&str, &str)> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        for flag in ["--device", "--devices"] {
            if argument == flag {
                return arguments.next().map(|devices| (flag, devices.as_str()));
            }
            let value = argument.strip_prefix(flag).and_then(|rest| rest.strip_prefix('='));
            if let Some(devices) = value {
                return Some((flag, devices));
            }
        }
    }
    None
}

/// Detects a GPU without any GPU library.
fn detect() -> (Backend, String) {
    let succeeds = |program: &str, argument: &str| {
        let run = Command::new(program)
            .arg(argument)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        run.is_ok_and(|status| status.success())
    };
    if succeeds("nvidia-smi", "-L") {
        return (Backend::Cuda, "nvidia-smi lists a GPU".to_owned());
    }
    if cfg!(target_os = "macos") {
        return (Backend::Wgpu, "every Mac has Metal".to_owned());
    }
    let has_entries = |directory: &str, prefix: &str| {
        let entries = Path::new(directory).read_dir();
        entries.is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        })
    };
    let has_driver = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"]
        .iter()
        .any(|directory| has_entries(directory, ""));
    if has_entries("/dev/dri", "renderD") && has_driver {
        return (Backend::Wgpu, "there is a graphics card with a Vulkan driver".to_owned());
    }
    (Backend::Cpu, "no GPU found".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(arguments: &[&str]) -> Backend {
        choose(&arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>()).0
    }

    #[test]
    fn the_device_flag_chooses_the_build() {
        assert_eq!(chosen(&["train", "--device", "cuda:1"]), Backend::Cuda);
        assert_eq!(chosen(&["train", "--device=wgpu", "--seed", "1"]), Backend::Wgpu);
        assert_eq!(chosen(&["train", "--device", "cpu"]), Backend::Cpu);
        assert_eq!(chosen(&["train", "--device", "nonsense"]), Backend::Cpu);
        assert_eq!(chosen(&["train", "--devices", "cuda:0,cuda:1"]), Backend::Cuda);
        assert_eq!(chosen(&["train", "--devices=cpu,wgpu:0"]), Backend::Wgpu);
        assert_eq!(chosen(&["train", "--devices", "cpu,cpu"]), Backend::Cpu);
    }
}
