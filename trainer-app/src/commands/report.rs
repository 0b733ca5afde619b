//! `trainer report`: a sweep as one HTML page.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::cli::ReportArgs;
use crate::report::ablation::Ablation;
use crate::report::page;
use crate::sweep::{entries, summary};
use crate::system::files::{check_new, write_atomically};

/// Runs `trainer report`.
///
/// # Errors
/// A directory without a ledger, a ledger without a score, or a page that cannot be written.
pub fn run(args: &ReportArgs) -> Result<()> {
    let out = args.out.clone().unwrap_or_else(|| args.sweep.join("report.html"));
    // An earlier report is replaced, another file is not.
    if args.out.is_some() && !is_report(&out) {
        check_new(&out)?;
    }
    let entries = entries::read(&args.sweep)?;
    entries.notes.iter().for_each(|note| noteln!("note: {note}"));
    let settings = summary::settings(entries.iter());
    ensure!(!settings.is_empty(), "no run in {} has finished with a score", args.sweep.display());
    let name =
        args.sweep.file_name().map_or_else(|| "sweep".to_owned(), |n| n.to_string_lossy().into());
    let ablations = ablations(&args.sweep)?;
    let page = page::html(&name, &settings, &ablations)?;
    write_atomically(&out, page.as_bytes())?;
    outln!("{}", out.display());
    noteln!("open the report in a browser");
    Ok(())
}

/// Whether a file is a report of this program.
fn is_report(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.contains(page::STYLE))
}

/// The ablations of the sweep's runs.
fn ablations(sweep: &Path) -> Result<Vec<Ablation>> {
    let inside = |directory: &Path| -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        paths
    };
    inside(&sweep.join("runs"))
        .iter()
        .flat_map(|task| inside(task))
        .map(|run| run.join("ablation.json"))
        .filter(|path| path.is_file())
        .map(|path| {
            let bytes =
                std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            serde_json::from_slice(&bytes).with_context(|| format!("reading {}", path.display()))
        })
        .collect()
}
