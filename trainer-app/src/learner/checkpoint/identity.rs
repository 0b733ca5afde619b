//! The identity of a run: rows, labels, base and settings. A checkpoint is resumed only with the same identity.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use burn_adapters::HeadKind;
use glue_data::{Label, TokenizedDataset};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::run_config::RunConfig;
use crate::system::digest::hexadecimal;
use crate::task_data::evaluator::Evaluator;
use crate::toml_file;

/// Settings that are locations: a run may be resumed with others.
///
/// The files are compared by their content.
const LOCATIONS: [&str; 12] = [
    "version",
    "directory",
    "device",
    "task.data",
    "task.custom.train",
    "task.custom.validation",
    "task.custom.test",
    "task.tagged.train",
    "task.tagged.validation",
    "task.tagged.test",
    "model.base",
    "model.fuse",
];

/// Everything that determines what a run computes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The tokenized training rows.
    pub training_rows: RowsIdentity,
    /// The tokenized validation rows.
    pub validation_rows: RowsIdentity,
    /// The kind of the head, with its labels.
    pub head: HeadKind,
    /// Fingerprint of the base's weights.
    pub base: String,
    /// The base's configuration, as JSON.
    pub base_config: String,
    /// Fingerprint of the tokenizer.
    pub tokenizer: String,
    /// The settings, as a `config.toml`.
    pub config: String,
}

/// The identity of rows with their labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsIdentity {
    /// The number of rows.
    pub count: usize,
    /// SHA-256 of tokens and labels, and of the evaluator's reference texts.
    pub sha256: String,
}

impl RowsIdentity {
    /// The identity of rows. The scores of validation rows may depend on texts of the evaluator.
    pub fn of(rows: &TokenizedDataset, evaluator: Option<&dyn Evaluator>) -> Self {
        let mut hash = Sha256::new();
        let number = |hash: &mut Sha256, number: usize| hash.update((number as u64).to_le_bytes());
        for row in rows.rows() {
            number(&mut hash, row.ids.len());
            for token in row.ids.iter().chain(&row.type_ids) {
                hash.update(token.to_le_bytes());
            }
            hash.update(Label::bytes(row.label.as_ref()));
        }
        for text in evaluator.map(Evaluator::reference_texts).unwrap_or_default() {
            number(&mut hash, text.len());
            hash.update(text);
        }
        Self { count: rows.rows().len(), sha256: hexadecimal(&hash.finalize()) }
    }
}

impl Identity {
    /// The differences between a run at its checkpoint and now.
    ///
    /// # Errors
    /// If the settings cannot be read.
    pub fn differences(&self, now: &Self) -> Result<Vec<String>> {
        let mut differences = Vec::new();
        for (what, then, now) in [
            ("training", &self.training_rows, &now.training_rows),
            ("validation", &self.validation_rows, &now.validation_rows),
        ] {
            if then != now {
                let (before, after) = (then.count, now.count);
                differences.push(if before == after {
                    format!("the {what} rows changed (as many as before: {after})")
                } else {
                    format!("the {what} rows changed ({before} before, {after} now)")
                });
            }
        }
        if self.head != now.head {
            let (then, now) = (describe(&self.head), describe(&now.head));
            differences.push(format!("the labels changed ({then} before, {now} now)"));
        }
        if self.base != now.base {
            differences.push("the weights of the base changed".to_owned());
        }
        if self.tokenizer != now.tokenizer {
            differences.push("the tokenizer of the base changed".to_owned());
        }
        let base_config = |text: &str| -> Result<Value> {
            serde_json::from_str(text).context("reading the base's configuration")
        };
        let (then, now_config) = (base_config(&self.base_config)?, base_config(&now.base_config)?);
        differences.extend(changed("the base's ", &then, &now_config, &[]));
        let settings = |text: &str| -> Result<Value> {
            let config: RunConfig = toml_file::parse(text).context("reading the settings")?;
            Ok(serde_json::to_value(config)?)
        };
        let (then, now) = (settings(&self.config)?, settings(&now.config)?);
        differences.extend(changed("", &then, &now, &LOCATIONS));
        Ok(differences)
    }
}

fn describe(head: &HeadKind) -> String {
    head.labels().map_or_else(|| head.to_string(), |labels| labels.join(", "))
}

/// The values that differ.
pub(crate) fn changed(whose: &str, then: &Value, now: &Value, except: &[&str]) -> Vec<String> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    flatten("", then, &mut before);
    flatten("", now, &mut after);
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    let shown = |value: Option<&String>| value.map_or("not set", String::as_str).to_owned();
    keys.into_iter()
        .filter(|key| {
            !except.iter().any(|path| key == path || key.starts_with(&format!("{path}.")))
        })
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| {
            let name = key.rsplit_once('.').map_or(key.as_str(), |(_, name)| name);
            format!("{whose}{name} was {}, is {}", shown(before.get(key)), shown(after.get(key)))
        })
        .collect()
}

/// The leaves of a value by their path, without `null`.
fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let below =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(entries) => {
            entries.iter().for_each(|(name, value)| flatten(&below(name), value, into));
        }
        Value::Null => {}
        Value::String(text) => {
            into.insert(path.to_owned(), text.clone());
        }
        leaf => {
            into.insert(path.to_owned(), leaf.to_string());
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use burn_adapters::Method;
    use glue_data::Encoded;

    use super::*;

    pub(crate) fn identity(config: &RunConfig, rows: usize) -> Identity {
        let row = |row: usize| Encoded {
            ids: vec![2, u32::try_from(row).unwrap(), 3],
            type_ids: vec![0; 3],
            label: Some(Label::Class(row % 2)),
        };
        let rows = TokenizedDataset::from((0..rows).map(row).collect::<Vec<_>>());
        Identity {
            training_rows: RowsIdentity::of(&rows, None),
            validation_rows: RowsIdentity::of(&rows, None),
            head: HeadKind::Classification { labels: vec!["x".to_owned(), "y".to_owned()] },
            base: "0123".to_owned(),
            base_config: r#"{"hidden_act":"gelu","layer_norm_eps":1e-12}"#.to_owned(),
            tokenizer: "4567".to_owned(),
            config: toml::to_string(config).unwrap(),
        }
    }

    #[test]
    fn differences_are_listed() {
        let config = RunConfig::defaults(Method::Houlsby);
        let then = identity(&config, 4);
        assert_eq!(then.differences(&then).unwrap(), Vec::<String>::new());

        let mut other = config.clone();
        other.training.batch_size = 4;
        other.model.dropout = Some(0.0);
        other.seed = 7;
        // Locations do not matter.
        other.device = "cuda:1".to_owned();
        other.task.data = Some("elsewhere".into());
        other.model.base = "../base".to_owned();
        let mut now = identity(&other, 5);
        now.validation_rows = then.validation_rows.clone();
        now.base_config = now.base_config.replace("gelu", "relu");
        now.head = HeadKind::Classification { labels: vec!["y".to_owned(), "x".to_owned()] };
        assert_eq!(
            then.differences(&now).unwrap(),
            [
                "the training rows changed (4 before, 5 now)",
                "the labels changed (x, y before, y, x now)",
                "the base's hidden_act was gelu, is relu",
                "dropout was not set, is 0.0",
                "seed was 42, is 7",
                "batch_size was 32, is 4",
            ]
        );
    }

    #[test]
    fn tokens_and_labels_change_the_identity() {
        let rows = |ids: Vec<u32>, label| {
            let row = Encoded { type_ids: vec![0; ids.len()], ids, label };
            RowsIdentity::of(&TokenizedDataset::from(vec![row]), None).sha256
        };
        let one = rows(vec![1, 2], Some(Label::Class(0)));
        assert_eq!(rows(vec![1, 2], Some(Label::Class(0))), one);
        assert_ne!(rows(vec![1, 2], Some(Label::Class(1))), one);
        assert_ne!(rows(vec![1, 2], Some(Label::Score(0.0))), one);
        assert_ne!(rows(vec![1, 2], None), one);
        assert_ne!(rows(vec![2, 1], Some(Label::Class(0))), one);
    }
}
