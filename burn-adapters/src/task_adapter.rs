//! A task as a module: what it puts into a BERT, and its head.
//! BERT itself is not in here; the two meet in [`AdaptedBert`](crate::AdaptedBert).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn_bert::{Encoder, EncoderPart, Insertions, Prefix, Projection, Site};
use burn_fused::LayerNorm;
use serde::{Deserialize, Serialize};

use crate::bottleneck::{Activation, BottleneckConfig};
use crate::bottleneck_plan::BottleneckPlan;
use crate::compose::fusion::Fusion;
use crate::error::AdapterError;
use crate::head::{Head, HeadConfig, Pooling};
use crate::ia3::Ia3;
use crate::init::NamedRng;
use crate::lora::Lora;
use crate::norm::task_norm;
use crate::plan::{Plan, TrainableBase};
use crate::prefix::{LayerPrefix, PrefixSource};
use crate::projections::Projections;
use crate::site_adapter::SiteAdapter;

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
    /// Rate of the dropout before the head's linear layers, at least 0 and below 1; the paper has 0.1.
    pub head_dropout: f64,
    /// Activation of a hidden layer of the head. The paper's head has none; `AdapterHub`'s has one, with tanh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_hidden: Option<Activation>,
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
/// `layers.3.low_rank.query.a`, `layers.3.scale_output.key.factors`, `layers.3.prefix.up.weight`,
/// `prefix.down.weight`, `embeddings_norm.beta`, `head.linear.weight` and so on.
#[derive(Module, Debug)]
pub struct TaskAdapter {
    /// One for each layer of the base, empty where nothing stands.
    pub layers: Vec<LayerAdapter>,
    /// The task's own norm of the embeddings.
    pub embeddings_norm: Option<LayerNorm>,
    /// What the prefixes of all layers are made from, where a network makes them.
    pub prefix: Option<PrefixSource>,
    /// The correction of the pooler.
    pub pooler: Option<Lora>,
    /// Trained adapters of others, and the attention over them.
    pub fusion: Option<Fusion>,
    /// What reads the pooled text.
    pub head: Head,
    #[module(skip)]
    config: TaskAdapterConfig,
}

/// What stands in a layer.
#[derive(Module, Debug)]
pub struct LayerAdapter {
    /// After the attention output projection.
    pub attention: SiteAdapter,
    /// After the second feed-forward projection.
    pub feed_forward: SiteAdapter,
    /// Corrections of what projections make.
    pub low_rank: Projections<Lora>,
    /// Scales of what projections make, their corrections included.
    pub scale_output: Projections<Ia3>,
    /// Scales of what projections read.
    pub scale_input: Projections<Ia3>,
    /// Keys and values before the layer's own.
    pub prefix: Option<LayerPrefix>,
}

impl TaskAdapterConfig {
    /// A fresh task for a base: bottlenecks and head drawn from the seed, norms copied from the base.
    ///
    /// # Errors
    /// If the plan cannot be carried out on this base, the head has no outputs or an impossible dropout, or the base
    /// has no pooler to pool with.
    pub fn init(&self, bert: &dyn Encoder) -> Result<TaskAdapter, AdapterError> {
        self.plan.check(bert.n_layers())?;
        if self.outputs == 0 {
            return Err(AdapterError::NoOutputs);
        }
        if !(0.0..1.0).contains(&self.head_dropout) {
            return Err(AdapterError::HeadDropout { found: self.head_dropout });
        }
        if self.pooling == Pooling::Pooler && bert.pooler().is_none() {
            return Err(AdapterError::NoPooler);
        }

        let device = bert.device();
        let stream = NamedRng::new(self.seed);
        let layers = (0..bert.n_layers()).map(|layer| {
            let stream = stream.child("layers").child(layer);
            self.init_layer(layer, bert, &stream, &device)
        });
        let prefix = self.plan.prefix.as_ref().and_then(|plan| {
            plan.config(bert.d_model()).init_source(&stream.child("prefix"), &device)
        });
        let pooler = self.plan.low_rank.as_ref().filter(|plan| plan.pooler);
        let pooler = pooler.zip(bert.pooler().filter(|_| self.pooling == Pooling::Pooler));
        Ok(TaskAdapter {
            layers: layers.collect(),
            embeddings_norm: (self.plan.tuned == TrainableBase::LayerNorms)
                .then(|| task_norm(bert.norm(Site::Embeddings))),
            prefix,
            pooler: pooler.map(|(plan, pooler)| {
                let shape = pooler.weight.lazy_shape().dims();
                plan.config(shape).init(&stream.child("pooler"), &device)
            }),
            fusion: (!self.fused.is_empty())
                .then(|| Fusion::init(self, bert, &stream.child("fusion")))
                .transpose()?,
            head: HeadConfig::new(bert.d_model(), self.outputs)
                .with_dropout(self.head_dropout)
                .with_hidden(self.head_hidden)
                .init(&stream.child("head"), &device),
            config: self.clone(),
        })
    }

    fn init_layer(
        &self,
        index: usize,
        bert: &dyn Encoder,
        stream: &NamedRng,
        device: &Device,
    ) -> LayerAdapter {
        let plan = &self.plan;
        let tunes_norms = match plan.tuned {
            TrainableBase::LayerNorms => true,
            TrainableBase::LayerNormsFrom(first) => index >= first,
            TrainableBase::Nothing | TrainableBase::TopLayers(_) | TrainableBase::Everything => {
                false
            }
        };
        let d_model = bert.d_model();
        let shape = |projection| bert.projection(index, projection).weight.lazy_shape().dims::<2>();

        let bottleneck = plan.bottleneck.as_ref().filter(|plan| plan.layers.contains(index));
        let site = |plan: Option<&BottleneckPlan>, site, stream: &NamedRng| {
            let bottleneck = plan.map(|plan| {
                BottleneckConfig::new(d_model, plan.size_in(index))
                    .with_activation(plan.activation)
                    .with_init_std(plan.init_std)
                    .with_inner_norm(plan.inner_norm)
                    .with_inner_norm_epsilon(plan.inner_norm_epsilon)
                    .with_depth(plan.depth)
                    .with_scaling(plan.scaling)
                    .with_gate(plan.gate)
                    .with_outer_norm(plan.outer_norm)
                    .init(&stream.child("bottleneck"), device)
            });
            SiteAdapter::new(plan, bottleneck, tunes_norms.then(|| task_norm(bert.norm(site))))
        };

        let low_rank = plan.low_rank.as_ref().filter(|plan| plan.layers.contains(index));
        let correction = |projection: Projection| {
            let plan = low_rank.filter(|plan| plan.projections.contains(&projection))?;
            let stream = stream.child("low_rank").child(projection.name());
            Some(plan.config(shape(projection)).init(&stream, device))
        };
        let scale = plan.scale.as_ref().filter(|plan| plan.layers.contains(index));
        let scale_output = |projection| {
            scale.filter(|plan| plan.outputs.contains(&projection))?;
            Some(Ia3::new(shape(projection)[1], device))
        };
        let scale_input = |projection| {
            scale.filter(|plan| plan.inputs.contains(&projection))?;
            Some(Ia3::new(shape(projection)[0], device))
        };
        let prefix = plan.prefix.as_ref().filter(|plan| plan.layers.contains(index));
        LayerAdapter {
            attention: site(
                bottleneck.filter(|plan| plan.sites.attention()),
                Site::Attention(index),
                &stream.child("attention"),
            ),
            feed_forward: site(
                bottleneck.filter(|plan| plan.sites.feed_forward()),
                Site::FeedForward(index),
                &stream.child("feed_forward"),
            ),
            low_rank: Projections::from_fn(correction),
            scale_output: Projections::from_fn(scale_output),
            scale_input: Projections::from_fn(scale_input),
            prefix: prefix.map(|plan| plan.config(d_model).init(&stream.child("prefix"), device)),
        }
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
    pub fn delta(
        &self,
        site: Site,
        residual: &Tensor<3>,
        output: &Tensor<3>,
        base_norm: &LayerNorm,
    ) -> Option<Tensor<3>> {
        let norm = self.own_norm(site).unwrap_or(base_norm);
        site_of(&self.layers, site)
            .and_then(|own| own.delta(residual, output, norm))
            .or_else(|| self.fusion.as_ref()?.delta(site, residual, output, norm))
    }

    /// Closes a site as the task does, over what a sub-layer made, with all changes in it.
    ///
    /// # Shapes
    /// - residual, output, result: `[batch, sequence, d_model]`
    pub(crate) fn norm_after_delta(
        &self,
        site: Site,
        residual: Tensor<3>,
        output: Tensor<3>,
        base_norm: &LayerNorm,
    ) -> Tensor<3> {
        match site_of(&self.layers, site) {
            Some(own) => own.norm_after_delta(residual, output, base_norm),
            None => self.norm(site, output + residual, base_norm),
        }
    }

    /// The task without its low-rank corrections, scales and norms.
    pub(crate) fn without_what_merges(&self) -> Self {
        let mut task = self.clone();
        task.embeddings_norm = None;
        for layer in &mut task.layers {
            (layer.attention.norm, layer.feed_forward.norm) = (None, None);
            layer.low_rank = Projections::from_fn(|_| None);
            layer.scale_output = Projections::from_fn(|_| None);
            layer.scale_input = Projections::from_fn(|_| None);
        }
        task.pooler = None;
        let plan = &mut task.config.plan;
        (plan.low_rank, plan.scale) = (None, None);
        if matches!(plan.tuned, TrainableBase::LayerNorms | TrainableBase::LayerNormsFrom(_)) {
            plan.tuned = TrainableBase::Nothing;
        }
        task
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

impl Insertions for TaskAdapter {
    fn inner(&self, _part: EncoderPart) -> &dyn Insertions {
        &()
    }

    fn add_and_norm(
        &self,
        site: Site,
        residual: Tensor<3>,
        output: Tensor<3>,
        norm: &LayerNorm,
    ) -> Tensor<3> {
        if let Some(fusion) = &self.fusion {
            let norm = self.own_norm(site).unwrap_or(norm);
            return match fusion.delta(site, &residual, &output, norm) {
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

    fn project_input(&self, layer: usize, projection: Projection, input: Tensor<3>) -> Tensor<3> {
        let scale = self.layers[layer].scale_input.get(projection);
        scale.into_iter().fold(input, |input, scale| scale.forward(input))
    }

    fn project(
        &self,
        layer: usize,
        projection: Projection,
        input: &Tensor<3>,
        output: Tensor<3>,
    ) -> Tensor<3> {
        let layer = &self.layers[layer];
        let (low_rank, scale) =
            (layer.low_rank.get(projection), layer.scale_output.get(projection));
        let output = low_rank
            .into_iter()
            .fold(output, |output, low_rank| output + low_rank.forward(input.clone()));
        scale.into_iter().fold(output, |output, scale| scale.forward(output))
    }

    fn project_pooler(&self, input: &Tensor<2>, output: Tensor<2>) -> Tensor<2> {
        self.pooler.iter().fold(output, |output, low_rank| {
            let change = low_rank.forward(input.clone().unsqueeze_dim(1)); // [batch, 1, d_model]
            output + change.squeeze_dim(1)
        })
    }

    fn prefix(&self, layer: usize, hidden: &Tensor<3>) -> Option<Prefix> {
        let prefix = self.layers[layer].prefix.as_ref()?;
        Some(prefix.forward(hidden, self.prefix.as_ref()))
    }
}
