//! How much memory this process holds.

use std::sync::Mutex;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Resident memory of this process in bytes; `None` where the system does not tell.
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

/// The most memory that this process ever had resident, in bytes; `None` where the system does not tell (it does on
/// Linux).
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
    fn this_process_holds_some_memory() {
        assert!(super::resident_bytes().is_some_and(|bytes| bytes > 1_000_000));
    }
}
