//! Which back-end to build: what was asked for, or what this machine has.

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

/// The back-end for the `--device` among some arguments, and why.
/// A device nobody knows is left to the trainer, which says so.
pub(crate) fn choose(arguments: &[String]) -> (Backend, String) {
    let asked = asked_device(arguments).unwrap_or("auto");
    let asked_for = |backend| (backend, format!("--device {asked} was asked for"));
    match asked.split(':').next().unwrap_or(asked) {
        "wgpu" => asked_for(Backend::Wgpu),
        "cuda" => asked_for(Backend::Cuda),
        "auto" => look(),
        _ => asked_for(Backend::Cpu),
    }
}

fn asked_device(arguments: &[String]) -> Option<&str> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--device" {
            return arguments.next().map(String::as_str);
        }
        if let Some(device) = argument.strip_prefix("--device=") {
            return Some(device);
        }
    }
    None
}

/// Looks for a GPU without any GPU library.
fn look() -> (Backend, String) {
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
    (Backend::Cpu, "no GPU was found".to_owned())
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
    }
}
