//! A task as a module: what it puts into a BERT, and its head.
//! BERT itself is not in here; the two meet in [`AdaptedBert`](crate::AdaptedBert).

use burn::module::Module;
use burn::tensor::Tensor;
use burn_bert::Bert;
use burn_bert::insertion::{Insertions, Site};
use burn_fused::LayerNorm;
use serde::{Deserialize, Serialize};

use crate::bottleneck::{Bottleneck, BottleneckConfig};
use crate::compose::fusion::Fusion;
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
    /// Plans of the trained adapters that are fused, in their order; empty for a task with adapters of its own.
    ///
    /// A file leaves it out where it is empty, so that files from before it existed and files that do without are the
    /// same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fused: Vec<Plan>,
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
    /// Trained adapters of others, and the attention over them.
    pub fusion: Option<Fusion>,
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

        let own_norm =
            |base: &LayerNorm| (self.plan.tuned == Tuned::LayerNorms).then(|| task_norm(base));
        let site = |plan: Option<&BottleneckPlan>, base_norm: &LayerNorm, stream: &InitStream| {
            SiteAdapter {
                bottleneck: plan.map(|plan| {
                    BottleneckConfig::new(bert.d_model(), plan.size)
                        .with_activation(plan.activation)
                        .with_init_std(plan.init_std)
                        .with_inner_norm(plan.inner_norm)
                        .with_depth(plan.depth)
                        .init(&stream.child("bottleneck"), &device)
                }),
                norm: own_norm(base_norm),
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
                    &stream.child("attention"),
                ),
                feed_forward: site(
                    here.filter(|plan| plan.sites.feed_forward()),
                    &layer.output.layer_norm,
                    &stream.child("feed_forward"),
                ),
            }
        });
        Ok(TaskAdapter {
            layers: layers.collect(),
            embeddings_norm: own_norm(embeddings_norm),
            fusion: (!self.fused.is_empty())
                .then(|| Fusion::init(self, bert, &stream.child("fusion")))
                .transpose()?,
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

    /// The task's own norm at a site, in the place of the base's.
    pub fn own_norm(&self, site: Site) -> Option<&LayerNorm> {
        match site {
            Site::Embeddings => self.embeddings_norm.as_ref(),
            _ => site_of(&self.layers, site)?.norm.as_ref(),
        }
    }

    /// What the task adds to what a sub-layer made, if anything stands there; `base_norm` is BERT's own at the site.
    ///
    /// # Shapes
    /// - residual, output, result: `[batch, sequence, d_model]`
    pub fn change(
        &self,
        site: Site,
        residual: &Tensor<3>,
        output: &Tensor<3>,
        base_norm: &LayerNorm,
    ) -> Option<Tensor<3>> {
        let norm = self.own_norm(site).unwrap_or(base_norm);
        site_of(&self.layers, site)
            .and_then(|own| own.change(residual, output, norm))
            .or_else(|| self.fusion.as_ref()?.change(site, residual, output, norm))
    }
}

/// What stands at a site; the embeddings have nothing but a norm.
pub(crate) fn site_of(layers: &[LayerAdapter], site: Site) -> Option<&SiteAdapter> {
    match site {
        Site::Embeddings => None,
        Site::Attention(layer) => Some(&layers[layer].attention),
        Site::FeedForward(layer) => Some(&layers[layer].feed_forward),
    }
}

impl SiteAdapter {
    /// What the bottleneck reads; `norm` is the one that closes the site.
    ///
    /// # Shapes
    /// - residual, output, result: `[batch, sequence, d_model]`
    pub(crate) fn read(
        &self,
        residual: &Tensor<3>,
        output: &Tensor<3>,
        norm: &LayerNorm,
    ) -> Tensor<3> {
        match self.placement {
            Placement::Serial => output.clone(),
            Placement::AfterNorm => norm.forward([output.clone(), residual.clone()]),
            Placement::Parallel { .. } => residual.clone(),
        }
    }

    /// What the bottleneck adds to what the sub-layer made, if there is a bottleneck.
    ///
    /// # Shapes
    /// - residual, output, result: `[batch, sequence, d_model]`
    pub(crate) fn change(
        &self,
        residual: &Tensor<3>,
        output: &Tensor<3>,
        norm: &LayerNorm,
    ) -> Option<Tensor<3>> {
        let answer = self.bottleneck.as_ref()?.forward(self.read(residual, output, norm));
        let answer = match self.placement {
            Placement::Parallel { scaling } => answer * scaling,
            Placement::Serial | Placement::AfterNorm => answer,
        };
        Some(match self.combine {
            Combine::Add => answer,
            // `h · (1 + a)` is `h + h · a`.
            Combine::Multiply => answer * output.clone(),
        })
    }

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
        if let Some(fusion) = &self.fusion {
            let norm = self.own_norm(site).unwrap_or(norm);
            return match fusion.change(site, &residual, &output, norm) {
                Some(change) => norm.forward([change, output, residual]),
                None => norm.forward([output, residual]),
            };
        }
        match site_of(&self.layers, site) {
            Some(own) => own.forward(residual, output, norm),
            None => self.norm(site, output + residual, norm),
        }
    }

    fn norm(&self, site: Site, hidden: Tensor<3>, norm: &LayerNorm) -> Tensor<3> {
        self.own_norm(site).unwrap_or(norm).forward(hidden)
    }
}
