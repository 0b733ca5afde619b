//! The memory of this process.

use std::sync::Mutex;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Resident memory of this process in bytes; `None` if the system does not report it.
pub fn resident_bytes() -> Option<u64> {
    static SYSTEM: Mutex<Option<System>> = Mutex::new(None);
    let mut system = SYSTEM.lock().ok()?;
    let system = system.get_or_insert_with(System::new);
    let this = Pid::from_u32(std::process::id());
    system.refresh_processes_specifics(
        ProcessesToUpdate::Some(&[this]),
        false,
        ProcessRefreshKind::nothing().with_memory(),
    );
    system.process(this).map(sysinfo::Process::memory)
}

/// Peak resident memory of this process in bytes; `None` if the system does not report it (Linux does).
pub fn peak_bytes() -> Option<u64> {
    // `VmHWM:     1234 kB`
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn resident_memory_is_reported() {
        assert!(super::resident_bytes().is_some_and(|bytes| bytes > 1_000_000));
    }
}
