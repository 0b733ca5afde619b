//! The modules of a BERT that the names in `PEFT`'s settings match.
//!
//! `check_target_module_exists` in
//! <https://github.com/huggingface/peft/blob/v0.18.1/src/peft/tuners/tuners_utils.py>.

use std::collections::BTreeSet;

use burn_bert::{Bert, Projection, Site};

use crate::interchange::hf_names::LINEAR_LAYERS;
use crate::methods::layers::Layers;

/// Before the number of a layer.
pub(super) const ENCODER: &str = "bert.encoder.layer.";
pub(super) const POOLER: &str = "bert.pooler.dense";
/// Modules with weights that a plan cannot adapt.
const EMBEDDINGS: [&str; 3] = [
    "bert.embeddings.word_embeddings",
    "bert.embeddings.position_embeddings",
    "bert.embeddings.token_type_embeddings",
];

/// The modules that are matched.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// Projections of each layer.
    pub(super) layers: Vec<BTreeSet<Projection>>,
    /// Whether the pooler's projection is matched.
    pub(super) pooler: bool,
    /// Whether an embedding table is matched.
    pub(super) embeddings: bool,
    /// The number of norms; `2 · layers + 1` is all.
    pub(super) norms: usize,
}

impl Targets {
    /// The modules whose full names satisfy `matches`.
    pub(super) fn find(matches: impl Fn(&str) -> bool, n_layers: usize) -> Self {
        let of_layer = |layer: usize| -> BTreeSet<Projection> {
            let named = Projection::ALL.into_iter().zip(LINEAR_LAYERS);
            let matched = named.filter(|(_, dense)| matches(&format!("{ENCODER}{layer}.{dense}")));
            matched.map(|(projection, _)| projection).collect()
        };
        let is_matched =
            |site: &Site| matches(&format!("bert.{}", Bert::CHECKPOINT_PATHS.norm(*site)));
        Self {
            layers: (0..n_layers).map(of_layer).collect(),
            pooler: matches(POOLER),
            embeddings: EMBEDDINGS.iter().any(|name| matches(name)),
            norms: Site::all(n_layers).filter(is_matched).count(),
        }
    }

    /// Whether exactly the norms are matched.
    pub(super) fn are_all_norms(&self) -> bool {
        let projections = self.layers.iter().any(|projections| !projections.is_empty());
        self.norms == 2 * self.layers.len() + 1 && !(projections || self.pooler || self.embeddings)
    }

    /// Keeps only the listed layers; an empty list keeps all. Modules outside of the layers are in no list.
    pub(super) fn only_in(mut self, only: &[usize]) -> Self {
        if !only.is_empty() {
            for (index, layer) in self.layers.iter_mut().enumerate() {
                if !only.contains(&index) {
                    layer.clear();
                }
            }
            (self.pooler, self.embeddings) = (false, false);
        }
        self
    }
}

/// Whether a module is named: by its full name, or by an ending of it after a dot.
pub(super) fn names(module: &str, names: &[String]) -> bool {
    names.iter().any(|name| {
        module
            .strip_suffix(name.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// The layers that are not empty, and their common value; `None` if they differ.
pub(super) fn alike<T: Clone + PartialEq>(
    layers: impl IntoIterator<Item = T>,
    is_empty: impl Fn(&T) -> bool,
) -> Option<(Layers, T)> {
    let layers: Vec<_> = layers.into_iter().enumerate().collect();
    let filled: Vec<_> = layers.iter().filter(|(_, layer)| !is_empty(layer)).collect();
    let Some((_, first)) = filled.first() else {
        return layers.first().map(|(_, layer)| (Layers::All, layer.clone()));
    };
    let alike = filled.iter().all(|(_, layer)| layer == first);
    alike.then(|| {
        let all = filled.len() == layers.len();
        let only = || filled.iter().map(|(index, _)| *index).collect();
        (if all { Layers::All } else { Layers::Only(only()) }, first.clone())
    })
}
