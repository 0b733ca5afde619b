//! The bases and rows on which the cells of a ledger were trained.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::run::RunResult;
use crate::run_config::RunConfig;
use crate::system::digest::hexadecimal;

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
    /// The configurations and tokenizers of the bases with the same weights, by the fingerprint of the weights.
    variants: Fingerprints,
}

impl Origins {
    /// The fingerprints of some cells.
    pub(super) fn of(cells: &[FinishedCell]) -> Self {
        let (mut bases, mut rows) = (Fingerprints::new(), Fingerprints::new());
        let mut variants = Fingerprints::new();
        for result in cells.iter().filter_map(|cell| cell.result) {
            if let Some(weights) = &result.base_fingerprint {
                variants.entry(weights.clone()).or_default().extend(variant(result));
            }
        }
        for FinishedCell { config, result, .. } in cells {
            let base = result.and_then(|result| base_fingerprint(result, &variants));
            bases.entry(config.model.base.clone()).or_default().extend(base);
            let found = result.and_then(|result| result.rows_fingerprint.clone());
            rows.entry(config.task.name.clone()).or_default().extend(found);
        }
        Self { bases, rows, variants }
    }

    /// The fingerprints of a cell's base and rows, if known.
    pub(super) fn of_cell(&self, cell: &FinishedCell) -> (Option<String>, Option<String>) {
        let only = |known: &Fingerprints, name: &str| {
            let known = known.get(name)?;
            if known.len() == 1 { known.first().cloned() } else { None }
        };
        (
            cell.result
                .and_then(|result| base_fingerprint(result, &self.variants))
                .or_else(|| only(&self.bases, &cell.config.model.base)),
            cell.result
                .and_then(|result| result.rows_fingerprint.clone())
                .or_else(|| only(&self.rows, &cell.config.task.name)),
        )
    }

    /// The name of a cell's task, with the beginning of its rows' fingerprint if the name is ambiguous.
    pub(super) fn task(&self, cell: &FinishedCell) -> String {
        let name = &cell.config.task.name;
        named(name, &self.rows, self.of_cell(cell).1.as_deref())
    }

    /// The same for its base, with its precision if that is not f32.
    pub(super) fn base(&self, cell: &FinishedCell) -> String {
        let model = &cell.config.model;
        let (base, _) = self.of_cell(cell);
        // If a base has several names, the first.
        let has = |known: &BTreeSet<String>| base.as_ref().is_some_and(|base| known.contains(base));
        let name = self.bases.iter().find(|(_, known)| has(known)).map(|(name, _)| name);
        let name = named(name.unwrap_or(&model.base), &self.bases, base.as_deref());
        match model.precision {
            burn_bert::Precision::F32 => name,
            precision => format!("{name} {precision}"),
        }
    }
}

/// The configuration and the tokenizer of a result's base, if it has them.
fn variant(result: &RunResult) -> Option<String> {
    Some(format!("{} {}", result.base_config.as_ref()?, result.tokenizer_fingerprint.as_ref()?))
}

/// The fingerprint of the weights; with several configurations or tokenizers of the same weights, that of all three.
fn base_fingerprint(result: &RunResult, variants: &Fingerprints) -> Option<String> {
    let weights = result.base_fingerprint.clone()?;
    if variants.get(&weights).is_none_or(|variants| variants.len() < 2) {
        return Some(weights);
    }
    let variant = variant(result).unwrap_or_default();
    Some(hexadecimal(&Sha256::digest(format!("{weights} {variant}"))))
}

/// A name, with the beginning of a fingerprint if the name is ambiguous.
fn named(name: &str, known: &Fingerprints, fingerprint: Option<&str>) -> String {
    match fingerprint {
        _ if known.get(name).is_none_or(|known| known.len() < 2) => name.to_owned(),
        Some(fingerprint) => format!("{name} [{}]", fingerprint.get(..8).unwrap_or(fingerprint)),
        None => format!("{name} [unknown]"),
    }
}
