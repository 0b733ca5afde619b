//! The bases and rows on which the cells of a ledger were trained.

use std::collections::{BTreeMap, BTreeSet};

use crate::run::RunResult;
use crate::run_config::RunConfig;

/// A cell that has a score or collapsed.
pub(super) struct FinishedCell<'a> {
    pub(super) config: &'a RunConfig,
    pub(super) result: Option<&'a RunResult>,
    pub(super) is_collapsed: bool,
}

/// The known fingerprints of each name.
type Fingerprints = BTreeMap<String, BTreeSet<String>>;

/// The fingerprints of the bases and rows on which the cells of a ledger were trained.
///
/// A result of version 0.1.0 has none; it is assigned to the base of its name and the rows of its task if there is only
/// one.
pub(super) struct Origins {
    bases: Fingerprints,
    rows: Fingerprints,
}

impl Origins {
    /// The fingerprints of some cells.
    pub(super) fn of(cells: &[FinishedCell]) -> Self {
        let (mut bases, mut rows) = (BTreeMap::new(), BTreeMap::new());
        let add = |known: &mut Fingerprints, name: &str, found: Option<&String>| {
            known.entry(name.to_owned()).or_default().extend(found.cloned());
        };
        for FinishedCell { config, result, .. } in cells {
            add(&mut bases, &config.model.base, result.and_then(|r| r.base_fingerprint.as_ref()));
            add(&mut rows, &config.task.name, result.and_then(|r| r.rows_fingerprint.as_ref()));
        }
        Self { bases, rows }
    }

    /// The fingerprints of a cell's base and rows, if known.
    pub(super) fn of_cell<'a>(
        &'a self,
        cell: &FinishedCell<'a>,
    ) -> (Option<&'a str>, Option<&'a str>) {
        let only = |known: &'a Fingerprints, name: &str| {
            let known = known.get(name)?;
            if known.len() == 1 { known.first().map(String::as_str) } else { None }
        };
        let own =
            |of: fn(&RunResult) -> Option<&String>| cell.result.and_then(of).map(String::as_str);
        (
            own(|result| result.base_fingerprint.as_ref())
                .or_else(|| only(&self.bases, &cell.config.model.base)),
            own(|result| result.rows_fingerprint.as_ref())
                .or_else(|| only(&self.rows, &cell.config.task.name)),
        )
    }

    /// The name of a cell's task, with the beginning of its rows' fingerprint if the name is ambiguous.
    pub(super) fn task(&self, cell: &FinishedCell) -> String {
        let name = &cell.config.task.name;
        named(name, &self.rows, self.of_cell(cell).1)
    }

    /// The same for its base, with its precision if that is not f32.
    pub(super) fn base(&self, cell: &FinishedCell) -> String {
        let model = &cell.config.model;
        let (base, _) = self.of_cell(cell);
        // If a base has several names, the first.
        let has = |known: &BTreeSet<String>| base.is_some_and(|base| known.contains(base));
        let name = self.bases.iter().find(|(_, known)| has(known)).map(|(name, _)| name);
        let name = named(name.unwrap_or(&model.base), &self.bases, base);
        match model.precision {
            burn_bert::Precision::F32 => name,
            precision => format!("{name} {precision}"),
        }
    }
}

/// A name, with the beginning of a fingerprint if the name is ambiguous.
fn named(name: &str, known: &Fingerprints, fingerprint: Option<&str>) -> String {
    match fingerprint {
        _ if known.get(name).is_none_or(|known| known.len() < 2) => name.to_owned(),
        Some(fingerprint) => format!("{name} [{}]", fingerprint.get(..8).unwrap_or(fingerprint)),
        None => format!("{name} [unknown]"),
    }
}
