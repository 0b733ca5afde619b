//! A task as a module: what it inserts into a BERT, and its head.
//! BERT itself is not part of it; [`AdaptedBert`](crate::AdaptedBert) joins the two.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn_bert::{Encoder, EncoderPart, Insertions, Prefix, Projection, ResidualNorm, Site};
use burn_fused::LayerNorm;

use super::classifier::ClassifierHead;
use super::config::TaskAdapterConfig;
use super::fusion::Fusion;
use super::head::{Head, HeadConfig, HeadKind, Pooling};
use super::layer::{LayerAdapter, site_of};
use super::norm::task_norm;
use crate::error::{AdapterError, BaseShape, ComposeError, HeadError};
use crate::methods::kind::ProjectionModule;
use crate::methods::{Lora, PrefixSource, TrainableBase};
use crate::named_rng::NamedRng;

/// What a task inserts into a BERT, and the head that reads the result.
///
/// Parameter paths are `layers.3.attention.bottleneck.down.weight`, `layers.3.feed_forward.norm.gamma`,
/// `layers.3.low_rank.query.a`, `layers.3.scale_output.key.factors`, `layers.3.prefix.up.weight`,
/// `prefix.down.weight`, `embeddings_norm.beta`, `head.linear.weight` and so on.
#[derive(Module, Debug)]
pub struct TaskAdapter {
    /// One for each layer of the base.
    pub layers: Vec<LayerAdapter>,
    /// The task's own norm of the embeddings.
    pub embeddings_norm: Option<LayerNorm>,
    /// The norm above the last layer of a pre-norm encoder, if norms train.
    pub final_norm: Option<LayerNorm>,
    /// The part of the network that generates prefixes which all layers share.
    pub prefix: Option<PrefixSource>,
    /// The low-rank update of the pooler.
    pub pooler: Option<Lora>,
    /// Trained adapters of other tasks, and the attention over them.
    pub fusion: Option<Fusion>,
    /// The head.
    pub head: Head,
    #[module(skip)]
    pub(super) config: TaskAdapterConfig,
}

impl TaskAdapterConfig {
    /// A fresh task for a base: modules and head drawn from the seed, norms copied from the base.
    ///
    /// # Errors
    /// If the plan does not fit this base, the head has no outputs or an impossible dropout, or the base lacks the
    /// pooler that the task pools with.
    pub fn init(&self, bert: &dyn Encoder) -> Result<TaskAdapter, AdapterError> {
        self.plan.check(bert.n_layers())?;
        if self.head.outputs() == 0 {
            return Err(HeadError::NoOutputs.into());
        }
        if !(0.0..1.0).contains(&self.head_dropout) {
            return Err(HeadError::Dropout { found: self.head_dropout }.into());
        }
        if self.pooling == Pooling::Pooler && bert.pooler().is_none() {
            return Err(HeadError::NoPooler.into());
        }

        let device = bert.device();
        let rng = NamedRng::new(self.seed);
        let d_model = bert.d_model();
        let pooler = bert.pooler().filter(|_| self.pooling == Pooling::Pooler);
        let pooler = self.plan.lora.as_ref().filter(|config| config.pooler).zip(pooler);
        let own_norm = |site, is_above_layers| {
            let trains = match self.plan.trainable_base {
                TrainableBase::LayerNorms => true,
                TrainableBase::LayerNormsFrom(_) => is_above_layers,
                _ => false,
            };
            bert.norm(site).filter(|_| trains).map(task_norm)
        };
        Ok(TaskAdapter {
            layers: LayerAdapter::init_all(&self.plan, bert, &rng),
            embeddings_norm: own_norm(Site::Embeddings, false),
            final_norm: own_norm(Site::Final, true),
            prefix: self
                .plan
                .prefix
                .as_ref()
                .and_then(|config| config.init_source(d_model, &rng.child("prefix"), &device)),
            pooler: pooler
                .map(|(config, pooler)| config.init(pooler, &rng.child("pooler"), &device)),
            fusion: self.init_fusion(bert, &rng)?,
            head: self.init_head(bert, &rng),
            config: self.clone(),
        })
    }

    /// The rate of the dropout in the head: `create_model` for spans in the reference code, and `BertForQuestionAnswering`,
    /// read the encoder's states as they are; `BertForTokenClassification` has dropout.
    fn head_rate(&self) -> f64 {
        if self.head == HeadKind::Span { 0.0 } else { self.head_dropout }
    }

    /// The head. If its layers are those of the family's classifier and the checkpoint has them, they start with its
    /// values, as in transformers.
    fn init_head(&self, bert: &dyn Encoder, rng: &NamedRng) -> Head {
        let head = HeadConfig::new(bert.d_model(), self.head.outputs())
            .with_dropout(self.head_rate())
            .with_hidden(self.head_hidden)
            .with_hidden_bias(self.head_hidden_bias)
            .with_norm(self.head_norm)
            .init(&rng.child("head"), &bert.device());
        let of_base = ClassifierHead::from(bert.sequence_classifier());
        match bert.pretrained_head().filter(|_| self.classifier().has_layers_of(&of_base)) {
            Some(pretrained) => head.with_pretrained(pretrained),
            None => head,
        }
    }

    fn init_fusion(
        &self,
        bert: &dyn Encoder,
        rng: &NamedRng,
    ) -> Result<Option<Fusion>, AdapterError> {
        if self.fused.is_empty() {
            return Ok(None);
        }
        if self.plan.inserts() {
            let found = "the task has adapters of its own".to_owned();
            return Err(ComposeError::Unfusable { found }.into());
        }
        Fusion::init(&self.fused, bert, rng).map(Some)
    }
}

impl TaskAdapter {
    /// What the task was built from.
    pub fn config(&self) -> &TaskAdapterConfig {
        &self.config
    }

    /// Checks that the task was made for a base of this shape, which has the pooler that the task pools with.
    pub(crate) fn check_base(&self, bert: &dyn Encoder) -> Result<(), AdapterError> {
        let base = BaseShape { n_layers: bert.n_layers(), d_model: bert.d_model() };
        // A hidden layer of the head keeps the width.
        let d_model = self.head.linear.weight.lazy_shape()[0];
        let task = BaseShape { n_layers: self.layers.len(), d_model };
        if task != base {
            return Err(AdapterError::OtherShape { task, base });
        }
        if self.config.pooling == Pooling::Pooler && bert.pooler().is_none() {
            return Err(HeadError::NoPooler.into());
        }
        Ok(())
    }

    /// The task's own norm at a site, used instead of the base's.
    pub fn own_norm(&self, site: Site) -> Option<&LayerNorm> {
        match site {
            Site::Embeddings => self.embeddings_norm.as_ref(),
            Site::Final => self.final_norm.as_ref(),
            _ => site_of(&self.layers, site)?.norm.as_ref(),
        }
    }

    /// What the task adds to a sub-layer's output, if it has an adapter at the site; `base_norm` is the base's.
    ///
    /// # Shapes
    /// - residual, output, result: `[batch, sequence, d_model]`
    pub fn delta(
        &self,
        site: Site,
        residual: &Tensor<3>,
        output: &Tensor<3>,
        base_norm: ResidualNorm<'_>,
    ) -> Option<Tensor<3>> {
        let norm = base_norm.with_own(self.own_norm(site));
        site_of(&self.layers, site)
            .and_then(|own| own.delta(residual, output, norm))
            .or_else(|| self.fusion.as_ref()?.delta(site, residual, output, norm))
    }

    /// The site's result from a sub-layer's output to which all deltas were added.
    ///
    /// # Shapes
    /// - residual, output, result: `[batch, sequence, d_model]`
    pub(crate) fn norm_after_delta(
        &self,
        site: Site,
        residual: Tensor<3>,
        output: Tensor<3>,
        base_norm: ResidualNorm<'_>,
    ) -> Tensor<3> {
        match site_of(&self.layers, site) {
            Some(own) => own.norm_after_delta(residual, output, base_norm),
            None => base_norm.with_own(self.own_norm(site)).forward(output + residual),
        }
    }

    /// The task without its norms and the modules that the base's weights can hold.
    pub(crate) fn without_mergeable(self) -> Self {
        let plan = self.config.plan.without_mergeable();
        Self {
            layers: self.layers.into_iter().map(LayerAdapter::without_mergeable).collect(),
            embeddings_norm: None,
            final_norm: None,
            pooler: None,
            config: TaskAdapterConfig { plan, ..self.config },
            ..self
        }
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
        norm: ResidualNorm<'_>,
    ) -> Tensor<3> {
        if let Some(fusion) = &self.fusion {
            let norm = norm.with_own(self.own_norm(site));
            return match fusion.delta(site, &residual, &output, norm) {
                Some(delta) => norm.forward([delta, output, residual]),
                None => norm.forward([output, residual]),
            };
        }
        match site_of(&self.layers, site) {
            Some(own) => own.forward(residual, output, norm),
            None => norm.with_own(self.own_norm(site)).forward(output + residual),
        }
    }

    fn norm(&self, site: Site, hidden: Tensor<3>, norm: &LayerNorm) -> Tensor<3> {
        self.own_norm(site).unwrap_or(norm).forward(hidden)
    }

    fn project_input(&self, layer: usize, projection: Projection, input: Tensor<3>) -> Tensor<3> {
        let modules = self.layers[layer].at_projection(projection);
        modules.fold(input, |input, module| module.transform_input(input))
    }

    fn project(
        &self,
        layer: usize,
        projection: Projection,
        input: &Tensor<3>,
        output: Tensor<3>,
        dense: &Linear,
    ) -> Tensor<3> {
        let modules = self.layers[layer].at_projection(projection);
        modules.fold(output, |output, module| module.transform_output(input, output, dense))
    }

    fn project_pooler(&self, input: &Tensor<2>, output: Tensor<2>, dense: &Linear) -> Tensor<2> {
        let Some(lora) = &self.pooler else { return output };
        let input = input.clone().unsqueeze_dim(1); // [batch, 1, d_model]
        lora.transform_output(&input, output.unsqueeze_dim(1), dense).squeeze_dim(1)
    }

    fn prefix(&self, layer: usize, hidden: &Tensor<3>) -> Option<Prefix> {
        let prefix = self.layers[layer].prefix.as_ref()?;
        Some(prefix.forward(hidden, self.prefix.as_ref()))
    }
}
