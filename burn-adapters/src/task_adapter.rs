//! A task as a module: what it puts into a BERT, and its head.
//! BERT itself is not in here; the two meet in [`AdaptedBert`](crate::AdaptedBert).

use burn::module::Module;
use burn::tensor::Tensor;
use burn_bert::Bert;
use burn_bert::insertion::{Insertions, Site};
use burn_fused::LayerNorm;
use serde::{Deserialize, Serialize};

use crate::bottleneck::{Bottleneck, BottleneckConfig};
use crate::error::AdapterError;
use crate::head::{Head, HeadConfig, Pooling};
use crate::init::InitStream;
use crate::norm::task_norm;
use crate::plan::{BottleneckPlan, Combine, Placement, Plan, Tuned};

/// Configuration of a [`TaskAdapter`]: enough, with the base, to build it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskAdapterConfig {
    /// What stands where, and what trains.
    pub plan: Plan,
    /// Outputs of the head: one per class, or 1 for a regression.
    pub outputs: usize,
    /// How a text's hidden states become one vector.
    pub pooling: Pooling,
    /// Rate of the dropout before the head's linear layer, at least 0 and below 1; the paper has 0.1.
    pub head_dropout: f64,
    /// Seed of every weight that starts at random.
    pub seed: u64,
}

/// What a task puts into a BERT, and the head that reads the result.
///
/// Parameter paths are `layers.3.attention.bottleneck.down.weight`, `layers.3.feed_forward.norm.gamma`,
/// `embeddings_norm.beta`, `head.linear.weight` and so on.
#[derive(Module, Debug)]
pub struct TaskAdapter {
    /// One for each layer of the base, empty where nothing stands.
    pub layers: Vec<LayerAdapter>,
    /// The task's own norm of the embeddings.
    pub embeddings_norm: Option<LayerNorm>,
    /// What reads the pooled text.
    pub head: Head,
    #[module(skip)]
    config: TaskAdapterConfig,
}

/// The two sites of a layer.
#[derive(Module, Debug)]
pub struct LayerAdapter {
    /// After the attention output projection.
    pub attention: SiteAdapter,
    /// After the second feed-forward projection.
    pub feed_forward: SiteAdapter,
}

/// What stands at one site.
#[derive(Module, Debug)]
pub struct SiteAdapter {
    /// The adapter, if there is one.
    pub bottleneck: Option<Bottleneck>,
    /// The task's own norm, in the place of the base's.
    pub norm: Option<LayerNorm>,
    #[module(skip)]
    placement: Placement,
    #[module(skip)]
    combine: Combine,
}

impl TaskAdapterConfig {
    /// A fresh task for a base: bottlenecks and head drawn from the seed, norms copied from the base.
    ///
    /// # Errors
    /// If the plan cannot be carried out on this base, the head has no outputs or an impossible dropout, or the base
    /// has no pooler to pool with.
    pub fn init(&self, bert: &Bert) -> Result<TaskAdapter, AdapterError> {
        self.plan.check(bert.n_layers())?;
        if self.outputs == 0 {
            return Err(AdapterError::NoOutputs);
        }
        if !(0.0..1.0).contains(&self.head_dropout) {
            return Err(AdapterError::HeadDropout { found: self.head_dropout });
        }
        if self.pooling == Pooling::Pooler && bert.pooler.is_none() {
            return Err(AdapterError::NoPooler);
        }

        let embeddings_norm = &bert.embeddings.layer_norm;
        let device = embeddings_norm.gamma.lazy_device();
        let stream = InitStream::new(self.seed);

        let tunes_norms_of = |layer: usize| match self.plan.tuned {
            Tuned::LayerNorms => true,
            Tuned::LayerNormsFrom(first) => layer >= first,
            Tuned::Nothing | Tuned::TopLayers(_) | Tuned::Everything => false,
        };
        let site = |plan: Option<&BottleneckPlan>,
                    base_norm: &LayerNorm,
                    layer: usize,
                    stream: &InitStream| {
            SiteAdapter {
                bottleneck: plan.map(|plan| {
                    BottleneckConfig::new(bert.d_model(), plan.size)
                        .with_activation(plan.activation)
                        .with_init_std(plan.init_std)
                        .with_inner_norm(plan.inner_norm)
                        .with_depth(plan.depth)
                        .init(&stream.child("bottleneck"), &device)
                }),
                norm: tunes_norms_of(layer).then(|| task_norm(base_norm)),
                placement: plan.map_or(Placement::Serial, |plan| plan.placement),
                combine: plan.map_or(Combine::Add, |plan| plan.combine),
            }
        };
        let layers = bert.encoder.layer.iter().enumerate().map(|(index, layer)| {
            let here = self.plan.bottleneck.as_ref().filter(|plan| plan.layers.contains(index));
            let stream = stream.child("layers").child(index);
            LayerAdapter {
                attention: site(
                    here.filter(|plan| plan.sites.attention()),
                    &layer.attention.output.layer_norm,
                    index,
                    &stream.child("attention"),
                ),
                feed_forward: site(
                    here.filter(|plan| plan.sites.feed_forward()),
                    &layer.output.layer_norm,
                    index,
                    &stream.child("feed_forward"),
                ),
            }
        });
        Ok(TaskAdapter {
            layers: layers.collect(),
            embeddings_norm: (self.plan.tuned == Tuned::LayerNorms)
                .then(|| task_norm(embeddings_norm)),
            head: HeadConfig::new(bert.d_model(), self.outputs)
                .with_dropout(self.head_dropout)
                .init(&stream.child("head"), &device),
            config: self.clone(),
        })
    }
}

impl TaskAdapter {
    /// What the task was built from.
    pub fn config(&self) -> &TaskAdapterConfig {
        &self.config
    }
}

impl SiteAdapter {
    /// The site's result; `base_norm` closes it where the task has no norm of its own.
    ///
    /// # Shapes
    /// - residual, output, result: `[batch, sequence, d_model]`
    fn forward(&self, residual: Tensor<3>, output: Tensor<3>, base_norm: &LayerNorm) -> Tensor<3> {
        let norm = self.norm.as_ref().unwrap_or(base_norm);
        let Some(bottleneck) = &self.bottleneck else {
            return norm.forward([output, residual]);
        };
        // `h · (1 + a)` is `h + h · a`, which the norm can sum with the residual.
        let change = |answer: Tensor<3>| match self.combine {
            Combine::Add => answer,
            Combine::Multiply => answer * output.clone(),
        };
        match self.placement {
            Placement::Serial => {
                let change = change(bottleneck.forward(output.clone()));
                norm.forward([change, output, residual])
            }
            Placement::AfterNorm => {
                let sum = output.clone() + residual;
                let change = change(bottleneck.forward(norm.forward(sum.clone())));
                norm.forward([change, sum])
            }
            Placement::Parallel { scaling } => {
                let change = change(bottleneck.forward(residual.clone()) * scaling);
                norm.forward([change, output, residual])
            }
        }
    }
}

impl Insertions for TaskAdapter {
    fn add_and_norm(
        &self,
        site: Site,
        residual: Tensor<3>,
        output: Tensor<3>,
        norm: &LayerNorm,
    ) -> Tensor<3> {
        match site {
            Site::Attention(layer) => self.layers[layer].attention.forward(residual, output, norm),
            Site::FeedForward(layer) => {
                self.layers[layer].feed_forward.forward(residual, output, norm)
            }
            Site::Embeddings => self.norm(site, output + residual, norm),
        }
    }

    fn norm(&self, site: Site, hidden: Tensor<3>, norm: &LayerNorm) -> Tensor<3> {
        let own = match site {
            Site::Embeddings => self.embeddings_norm.as_ref(),
            Site::Attention(layer) => self.layers[layer].attention.norm.as_ref(),
            Site::FeedForward(layer) => self.layers[layer].feed_forward.norm.as_ref(),
        };
        own.unwrap_or(norm).forward(hidden)
    }
}
