//! The modules of a BERT that the names in `PEFT`'s settings match.
//!
//! `check_target_module_exists` in
//! <https://github.com/huggingface/peft/blob/v0.18.1/src/peft/tuners/tuners_utils.py>.

use std::collections::BTreeSet;

use burn_bert::{Bert, Encoder, Projection};

use crate::interchange::base_names::BaseNames;
use crate::methods::layers::Layers;

/// Modules with weights that a plan cannot adapt, in any family.
const NOT_ADAPTED: [&str; 9] = [
    "embeddings.word_embeddings",
    "embeddings.position_embeddings",
    "embeddings.token_type_embeddings",
    "embeddings.tok_embeddings",
    "embeddings.embed_proj",
    "embeddings_project",
    "encoder.rel_embeddings",
    "encoder.relative_attention_bias",
    "encoder.conv.conv",
];

/// The modules that are matched.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// Projections of each layer.
    pub(super) layers: Vec<BTreeSet<Projection>>,
    /// Whether the pooler's projection is matched.
    pub(super) pooler: bool,
    /// Whether a module is matched that no plan adapts, such as an embedding table.
    pub(super) others: bool,
    /// The number of norms.
    norms: usize,
    /// The number of norms of the base.
    all_norms: usize,
}

impl Targets {
    /// The modules whose full names satisfy `matches`.
    pub(super) fn find(matches: impl Fn(&str) -> bool, bert: &Bert) -> Self {
        let base = BaseNames::new(bert);
        let (prefix, paths) = (base.prefix, base.paths);
        let matches = |module: &str| matches(&format!("{prefix}{module}"));
        let of_layer = |layer: usize| -> BTreeSet<Projection> {
            let all = Projection::ALL.into_iter();
            all.filter(|projection| matches(&paths.projection(layer, *projection))).collect()
        };
        let sites = bert.norm_sites();
        Self {
            layers: (0..bert.n_layers()).map(of_layer).collect(),
            // Classes whose classifier has a hidden layer of its own have no pooler.
            pooler: base.classifier.hidden.is_none() && matches(&paths.pooler_dense()),
            others: NOT_ADAPTED.iter().any(|name| matches(name)),
            norms: sites.iter().filter(|site| matches(&paths.norm(**site))).count(),
            all_norms: sites.len(),
        }
    }

    /// Whether exactly the norms are matched.
    pub(super) fn are_all_norms(&self) -> bool {
        let projections = self.layers.iter().any(|projections| !projections.is_empty());
        self.norms == self.all_norms && !(projections || self.pooler || self.others)
    }

    /// Keeps only the listed layers; an empty list keeps all. Modules outside of the layers are in no list.
    pub(super) fn only_in(mut self, only: &[usize]) -> Self {
        if !only.is_empty() {
            for (index, layer) in self.layers.iter_mut().enumerate() {
                if !only.contains(&index) {
                    layer.clear();
                }
            }
            (self.pooler, self.others) = (false, false);
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
