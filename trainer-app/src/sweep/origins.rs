//! Which bases and rows the cells of a ledger were trained on.

use std::collections::{BTreeMap, BTreeSet};

use crate::run::RunResult;
use crate::run_config::RunConfig;

/// A cell that ended with a score or collapsed.
pub(super) struct Ended<'a> {
    pub(super) config: &'a RunConfig,
    pub(super) result: Option<&'a RunResult>,
    pub(super) is_collapsed: bool,
}

/// The fingerprints known for each name.
type Known = BTreeMap<String, BTreeSet<String>>;

/// Which bases and rows the cells of a ledger were trained on: the fingerprints that their results have.
///
/// A result of version 0.1.0 has none; it belongs to the only base of its name and the only rows of its task, where
/// there is only one.
pub(super) struct Origins {
    bases: Known,
    rows: Known,
}

impl Origins {
    /// Those of some cells.
    pub(super) fn of(cells: &[Ended]) -> Self {
        let (mut bases, mut rows) = (BTreeMap::new(), BTreeMap::new());
        let add = |known: &mut Known, name: &str, found: Option<&String>| {
            known.entry(name.to_owned()).or_default().extend(found.cloned());
        };
        for Ended { config, result, .. } in cells {
            add(&mut bases, &config.model.base, result.and_then(|r| r.base_fingerprint.as_ref()));
            add(&mut rows, &config.task.name, result.and_then(|r| r.rows_fingerprint.as_ref()));
        }
        Self { bases, rows }
    }

    /// The fingerprints of a cell's base and rows, where they are known.
    pub(super) fn of_cell<'a>(&'a self, cell: &Ended<'a>) -> (Option<&'a str>, Option<&'a str>) {
        let only = |known: &'a Known, name: &str| {
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

    /// The name of a cell's task, with the beginning of its rows' fingerprint where the name alone is not enough.
    pub(super) fn task(&self, cell: &Ended) -> String {
        let name = &cell.config.task.name;
        named(name, &self.rows, self.of_cell(cell).1)
    }

    /// The same of its base, with its precision where that is not single.
    pub(super) fn base(&self, cell: &Ended) -> String {
        let model = &cell.config.model;
        let (base, _) = self.of_cell(cell);
        // Of several names of one base the first.
        let has = |known: &BTreeSet<String>| base.is_some_and(|base| known.contains(base));
        let name = self.bases.iter().find(|(_, known)| has(known)).map(|(name, _)| name);
        let name = named(name.unwrap_or(&model.base), &self.bases, base);
        match model.precision {
            burn_bert::Precision::F32 => name,
            precision => format!("{name} {precision}"),
        }
    }
}

/// A name, with the beginning of a fingerprint where the name alone is not enough.
fn named(name: &str, known: &Known, fingerprint: Option<&str>) -> String {
    match fingerprint {
        _ if known.get(name).is_none_or(|known| known.len() < 2) => name.to_owned(),
        Some(fingerprint) => format!("{name} [{}]", fingerprint.get(..8).unwrap_or(fingerprint)),
        None => format!("{name} [unknown]"),
    }
}
