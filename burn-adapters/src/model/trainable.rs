//! The trainable parameters by name, and a table of their counts.

use std::collections::HashSet;
use std::fmt;

use burn::module::{Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::tensor::Tensor;
use burn_bert::{Bert, Encoder, EncoderPart, ModulePaths};

use crate::methods::kind::decays;
use crate::model::adapted::AdaptedBert;
use crate::model::fusion::Fusion;
use crate::model::trained_paths::{last_segment, part_of_base};

/// A trainable parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainableParameter {
    /// Its path in an [`AdaptedBert`], such as `task.layers.3.attention.bottleneck.down.weight`.
    pub path: String,
    /// The id that optimizers use.
    pub id: ParamId,
    /// Its shape, in Burn's order: a linear layer's weight is `[d_input, d_output]`.
    pub shape: Vec<usize>,
    /// Its row in the table.
    pub group: Group,
    /// Whether weight decay applies.
    pub decays: bool,
}

/// A row of the table of trainable parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Inserted modules, such as bottlenecks with their norms, low-rank updates, factors and prefixes.
    Adapters,
    /// The attention over fused adapters.
    Fusion,
    /// Norms: the task's own, or the base's where the base trains.
    LayerNorms,
    /// The task's head.
    Head,
    /// The base's embeddings, norm apart.
    Embeddings,
    /// The base's layers, norms apart.
    Layers,
    /// The base's pooler.
    Pooler,
}

impl Group {
    /// The name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adapters => "adapters",
            Self::Fusion => "fusion",
            Self::LayerNorms => "LayerNorms",
            Self::Head => "head",
            Self::Embeddings => "base: embeddings",
            Self::Layers => "base: layers",
            Self::Pooler => "base: pooler",
        }
    }

    fn new(path: &str, part: Option<EncoderPart>) -> Self {
        if path.contains(".bottleneck.") {
            Self::Adapters
        } else if matches!(last_segment(path), "gamma" | "beta") {
            Self::LayerNorms
        } else if path.starts_with("task.fusion.") {
            Self::Fusion
        } else if path.starts_with("task.head.") {
            Self::Head
        } else {
            match part {
                None => Self::Adapters,
                Some(EncoderPart::Embeddings) => Self::Embeddings,
                Some(EncoderPart::Layer(_) | EncoderPart::Final) => Self::Layers,
                Some(EncoderPart::Pooler) => Self::Pooler,
            }
        }
    }
}

/// The trainable parameters of each group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainableTable {
    /// The groups with trainable parameters, in the order of [`Group`].
    pub rows: Vec<TrainableRow>,
    /// Parameters of the base, trainable or not.
    pub base_parameters: usize,
}

/// One group of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainableRow {
    /// The group.
    pub group: Group,
    /// Number of tensors.
    pub tensors: usize,
    /// Number of parameters.
    pub parameters: usize,
}

impl TrainableTable {
    /// Sums up trainable parameters.
    pub fn new(parameters: &[TrainableParameter], base_parameters: usize) -> Self {
        let mut rows: Vec<TrainableRow> = Vec::new();
        for parameter in parameters {
            let count = parameter.shape.iter().product::<usize>();
            if let Some(row) = rows.iter_mut().find(|row| row.group == parameter.group) {
                row.tensors += 1;
                row.parameters += count;
            } else {
                rows.push(TrainableRow { group: parameter.group, tensors: 1, parameters: count });
            }
        }
        rows.sort_by_key(|row| row.group);
        Self { rows, base_parameters }
    }

    /// Number of trainable tensors.
    pub fn tensors(&self) -> usize {
        self.rows.iter().map(|row| row.tensors).sum()
    }

    /// Number of trainable parameters.
    pub fn parameters(&self) -> usize {
        self.rows.iter().map(|row| row.parameters).sum()
    }

    /// A count as a fraction of the base's parameters (slightly above 1 if the whole base trains).
    pub fn share(&self, parameters: usize) -> f64 {
        parameters as f64 / self.base_parameters as f64
    }
}

impl fmt::Display for TrainableTable {
    /// ```text
    /// trainable        tensors   parameters    % of base
    /// adapters              96    2,379,264         2.17
    /// LayerNorms            50       38,400         0.04
    /// head                   2        1,538         0.00
    /// total                148    2,419,202         2.21
    /// ```
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tensors, parameters, share) = ("tensors", "parameters", "% of base");
        write!(f, "{:<16} {tensors:>7} {parameters:>12} {share:>12}", "trainable")?;
        let rows = self.rows.iter().map(|row| (row.group.name(), row.tensors, row.parameters));
        for (name, tensors, parameters) in
            rows.chain([("total", self.tensors(), self.parameters())])
        {
            let (count, share) = (with_commas(parameters), 100.0 * self.share(parameters));
            write!(f, "\n{name:<16} {tensors:>7} {count:>12} {share:>12.2}")?;
        }
        Ok(())
    }
}

fn with_commas(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Whether a table is one of biases of the attention, such as `MPNet`'s. Weight decay leaves biases out, whatever their
/// rank, as the Trainer of transformers does: `get_decay_parameter_names` excludes every name with `bias` in it.
///
/// <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/trainer.py>
fn is_bias_of_attention(path: &str) -> bool {
    path.strip_prefix("bert.")
        .is_some_and(|path| path.starts_with(Bert::PARAMETER_PATHS.relative_bias))
}

impl AdaptedBert {
    /// Every trainable parameter, in the order of the modules.
    pub fn trainable_parameters(&self) -> Vec<TrainableParameter> {
        self.parameters(|path| self.trains(path))
    }

    /// Every parameter that an adapter file holds.
    pub(crate) fn saved_parameters(&self) -> Vec<TrainableParameter> {
        self.parameters(|path| self.is_saved(path))
    }

    fn parameters(&self, chosen: impl Fn(&str) -> bool) -> Vec<TrainableParameter> {
        struct Collector<F> {
            paths: &'static ModulePaths,
            chosen: F,
            undecayed: HashSet<ParamId>,
            path: Vec<String>,
            parameters: Vec<TrainableParameter>,
        }

        impl<F: Fn(&str) -> bool> ModuleVisitor for Collector<F> {
            fn enter_module(&mut self, name: &str, _container_type: &str) {
                self.path.push(name.to_owned());
            }

            fn exit_module(&mut self, _name: &str, _container_type: &str) {
                self.path.pop();
            }

            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let path = self.path.join(".");
                if (self.chosen)(&path) {
                    let group = Group::new(&path, part_of_base(&path, self.paths));
                    let shape = param.lazy_shape().to_vec();
                    let decays = decays(&shape)
                        && !self.undecayed.contains(&param.id)
                        && !is_bias_of_attention(&path);
                    let id = param.id;
                    self.parameters.push(TrainableParameter { path, id, shape, group, decays });
                }
            }
        }

        let paths = self.bert.parameter_paths();
        let undecayed = self.task.fusion.iter().flat_map(Fusion::undecayed_parameters).collect();
        let (path, parameters) = (Vec::new(), Vec::new());
        let mut collector = Collector { paths, chosen, undecayed, path, parameters };
        self.visit(&mut collector);
        collector.parameters
    }

    /// The trained parameters to which weight decay applies, for
    /// [`ModuleOptimizer::with_group`](burn::optim::ModuleOptimizer::with_group).
    pub fn weight_decay_group(&self) -> ParamGroup {
        let decaying = self.trainable_parameters().into_iter().filter(|parameter| parameter.decays);
        ParamGroup::from_ids(decaying.map(|parameter| parameter.id).collect())
    }

    /// All saved parameters, for records that omit the rest.
    ///
    /// Running statistics are one step behind until [`valid`](Module::valid) is called.
    pub fn saved_group(&self) -> ParamGroup {
        ParamGroup::from_ids(
            self.saved_parameters().into_iter().map(|parameter| parameter.id).collect(),
        )
    }

    /// The table of trainable parameters.
    pub fn trainable_table(&self) -> TrainableTable {
        TrainableTable::new(&self.trainable_parameters(), self.bert.num_params())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        for (count, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (2_379_264, "2,379,264")] {
            assert_eq!(with_commas(count), text);
        }
    }
}
