//! `trainer sweep --dry-run`: the remaining cells and their estimated time.

use anyhow::Result;

use super::cells::Sweep;
use crate::run::resource_cache::ResourceCache;
use crate::sweep::entries::Entries;
use crate::sweep::estimate;

impl Sweep<'_> {
    pub(super) fn print_plan(&self, entries: &Entries, shared: &mut ResourceCache) -> Result<()> {
        let speed = estimate::flops_per_second(shared.device());
        let mut total = 0.0;
        let mut open = 0;
        for cell in self.open_cells(entries) {
            let seconds = match estimate::seconds_seen(entries, cell) {
                Some(seconds) => seconds,
                None => estimate::flops(cell, shared)? / speed,
            };
            total += seconds;
            open += 1;
            outln!("{}  {:>8}  {}", cell.id, duration(seconds), cell.describe());
        }
        outln!(
            "\n{open} of {} cells to run, about {} on this machine",
            self.cells.len(),
            duration(total)
        );
        Ok(())
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 90.0 => format!("{seconds:.0} s"),
        seconds if seconds < 5400.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}
