//! What the machine provides: devices, processes, files and their locks, signals.

pub mod devices;
pub mod digest;
pub mod files;
pub mod lock;
pub mod process;
pub mod stop;
