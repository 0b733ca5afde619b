//! A BERT with a task: one module to train, evaluate and save.
//! [`TaskAdapter`] is what the task inserts; [`file`](crate::file) describes saved files.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Bool, Tensor};
use burn_bert::{Bert, BertInput, Encoder, Insertions, ModulePaths};

use crate::error::AdapterError;
use crate::methods::TrainableBase;
use crate::model::head::{Pooling, first_token, mean_of_tokens};
use crate::model::losses::{HeadOutput, LossConfig, Targets, by_output, mask_padding};
use crate::model::task_adapter::TaskAdapter;
use crate::model::trained_paths::{is_fused, is_running_statistic, trains};

/// A base with a task.
///
/// Parameters that the task's plan does not train have no gradient. In training, dropout is active everywhere, also in
/// the frozen base, as in the paper's setup.
#[derive(Module, Debug)]
pub struct AdaptedBert {
    /// The base.
    pub bert: Bert,
    /// The modules inserted into it, and the head.
    pub task: TaskAdapter,
    /// How the loss weights classes and labels; adapter files do not have it.
    #[module(skip)]
    pub loss: LossConfig,
}

impl AdaptedBert {
    /// Joins a base and a task, and marks the parameters that train.
    ///
    /// # Errors
    /// If the task was built for a base of another shape, or pools with a pooler this base does not have.
    pub fn new(bert: Bert, task: TaskAdapter) -> Result<Self, AdapterError> {
        task.check_base(&bert)?;
        Ok(Self { bert, task, loss: LossConfig::default() }.set_requires_grad())
    }

    /// Sets how the loss weights classes and labels.
    #[must_use]
    pub fn with_loss(self, loss: LossConfig) -> Self {
        Self { loss, ..self }
    }

    /// Logits of a batch of texts; for a regression, the predicted number.
    ///
    /// # Shapes
    /// - input: `[batch, sequence]` each
    /// - result: `[batch, outputs]`
    pub fn forward(&self, input: &BertInput) -> Tensor<2> {
        self.forward_with(input, &self.task)
    }

    /// The same with other insertions than the task's own, such as [`Stack`](crate::Stack), and the task's head.
    ///
    /// # Shapes
    /// - input: `[batch, sequence]` each
    /// - result: `[batch, outputs]`
    pub fn forward_with(&self, input: &BertInput, insertions: &dyn Insertions) -> Tensor<2> {
        let hidden = self.bert.forward_with(input, insertions); // [batch, sequence, d_model]
        self.classify_hidden(hidden, &input.attention_mask)
    }

    /// Hidden states of the whole encoder, from those before a layer below which the task has nothing
    /// ([`AdapterPlan::lowest_layer`](crate::AdapterPlan::lowest_layer)).
    ///
    /// # Shapes
    /// - hidden, result: `[batch, sequence, d_model]`
    /// - attention_mask: `[batch, sequence]`
    pub fn forward_from_layer(
        &self,
        layer: usize,
        hidden: Tensor<3>,
        attention_mask: &Tensor<2, Bool>,
    ) -> Tensor<3> {
        let layers = layer..self.bert.n_layers();
        let hidden = self.bert.run_layers(layers, hidden, attention_mask, &self.task);
        self.bert.norm_final(hidden, &self.task)
    }

    /// Logits of hidden states of the whole encoder.
    ///
    /// # Shapes
    /// - hidden: `[batch, sequence, d_model]`
    /// - attention_mask: `[batch, sequence]`
    /// - result: `[batch, outputs]`
    pub fn classify_hidden(
        &self,
        hidden: Tensor<3>,
        attention_mask: &Tensor<2, Bool>,
    ) -> Tensor<2> {
        let pooled = match self.task.config().pooling {
            Pooling::Pooler => self.bert.pool_with(hidden, &self.task),
            Pooling::FirstToken => first_token(hidden),
            Pooling::Mean => mean_of_tokens(hidden, attention_mask.clone()),
        }; // [batch, d_model]
        self.task.head.forward(pooled)
    }

    /// Logits of every token, for heads that [read tokens](crate::HeadKind::reads_tokens).
    ///
    /// # Shapes
    /// - input: `[batch, sequence]` each
    /// - result: `[batch, sequence, outputs]`
    pub fn forward_tokens(&self, input: &BertInput) -> Tensor<3> {
        self.token_logits(self.bert.forward_with(input, &self.task))
    }

    /// Logits of every token from hidden states after the last layer.
    ///
    /// # Shapes
    /// - hidden: `[batch, sequence, d_model]`
    /// - result: `[batch, sequence, outputs]`
    pub fn token_logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        self.task.head.forward_tokens(hidden)
    }

    /// Logits of hidden states above the last layer, of texts or of tokens as the head reads them; those of padding are
    /// masked.
    ///
    /// # Shapes
    /// - hidden: `[batch, sequence, d_model]`
    /// - attention_mask: `[batch, sequence]`
    /// - result: `[batch, outputs]`; of tokens `[batch, outputs * sequence]`, output by output
    pub fn head_logits(&self, hidden: Tensor<3>, attention_mask: &Tensor<2, Bool>) -> Tensor<2> {
        self.head_output(hidden, attention_mask, None).logits
    }

    /// Logits of hidden states above the last layer, and their loss.
    ///
    /// # Shapes
    /// - hidden: `[batch, sequence, d_model]`
    /// - attention_mask: `[batch, sequence]`
    ///
    /// # Panics
    /// If the head reads tokens and the targets are of texts, or the other way round.
    pub fn head_output(
        &self,
        hidden: Tensor<3>,
        attention_mask: &Tensor<2, Bool>,
        targets: Option<&Targets>,
    ) -> HeadOutput {
        let no_loss = Tensor::zeros([1], &hidden.device());
        if self.task.config().head.reads_tokens() {
            let logits = mask_padding(self.token_logits(hidden), attention_mask);
            let loss = targets.map_or(no_loss, |targets| targets.token_loss(logits.clone()));
            HeadOutput { loss, logits: by_output(logits) }
        } else {
            let logits = self.classify_hidden(hidden, attention_mask);
            let loss =
                targets.map_or(no_loss, |targets| targets.text_loss(logits.clone(), &self.loss));
            HeadOutput { loss, logits }
        }
    }

    /// The same model whose output `i` is the output `order[i]` of this one.
    ///
    /// # Panics
    /// If there is no such output.
    #[must_use]
    pub fn with_outputs(mut self, order: &[usize]) -> Self {
        self.task.head = self.task.head.with_outputs(order);
        self
    }

    /// The same model without gradients: dropout stays active, and the forward pass keeps nothing for a backward pass.
    ///
    /// `no_grad` on a clone would also remove the gradients of the original's parameters that were never read.
    #[must_use]
    pub fn untracked(&self) -> Self {
        struct NoGradMapper;

        impl ModuleMapper for NoGradMapper {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                // `detach` would keep it a parameter with a gradient.
                param.map(|tensor| tensor.set_require_grad(false))
            }
        }

        self.clone().map(&mut NoGradMapper)
    }

    /// The same model for forward passes without training: what depends on the weights alone, the norms of DoRA's
    /// weights, is computed once.
    ///
    /// Its logits are the same bit for bit. Training, loading weights or moving it to another device removes what was
    /// computed.
    #[must_use]
    pub fn for_inference(&self) -> Self {
        let mut model = self.valid();
        for (index, layer) in model.task.layers.iter_mut().enumerate() {
            for (projection, lora) in layer.low_rank.iter_mut() {
                lora.fix_rescaling(model.bert.projection(index, projection));
            }
        }
        if let (Some(lora), Some(dense)) = (&mut model.task.pooler, model.bert.pooler()) {
            lora.fix_rescaling(dense);
        }
        model
    }

    /// The lowest layer with anything of the task; no gradient is needed below it unless the
    /// [embeddings](Self::trains_embeddings) train.
    pub fn lowest_layer(&self) -> usize {
        let config = self.task.config();
        // Fused adapters are not in the plan.
        if config.fused.is_empty() { config.plan.lowest_layer(self.bert.n_layers()) } else { 0 }
    }

    /// Whether parameters of the embeddings train.
    pub fn trains_embeddings(&self) -> bool {
        matches!(
            self.task.config().plan.trainable_base,
            TrainableBase::LayerNorms | TrainableBase::Everything
        )
    }

    /// Whether the parameter at a path of this module trains.
    pub fn trains(&self, path: &str) -> bool {
        let config = self.task.config();
        trains(
            path,
            self.bert.parameter_paths(),
            config.plan.trainable_base,
            config.pooling,
            self.task.layers.len(),
        )
    }

    /// Whether adapter files and checkpoints hold the tensor at a path of this module: it trains, is a running statistic
    /// of a batch norm, or belongs to a fused adapter.
    pub fn is_saved(&self, path: &str) -> bool {
        self.trains(path) || is_running_statistic(path) || is_fused(path)
    }

    fn set_requires_grad(self) -> Self {
        struct RequiresGradMapper {
            paths: &'static ModulePaths,
            trainable_base: TrainableBase,
            pooling: Pooling,
            n_layers: usize,
            path: Vec<String>,
        }

        impl ModuleMapper for RequiresGradMapper {
            fn enter_module(&mut self, name: &str, _container_type: &str) {
                self.path.push(name.to_owned());
            }

            fn exit_module(&mut self, _name: &str, _container_type: &str) {
                self.path.pop();
            }

            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                param.set_require_grad(trains(
                    &self.path.join("."),
                    self.paths,
                    self.trainable_base,
                    self.pooling,
                    self.n_layers,
                ))
            }
        }

        let config = self.task.config();
        let (trainable_base, pooling) = (config.plan.trainable_base, config.pooling);
        let (paths, n_layers) = (self.bert.parameter_paths(), self.task.layers.len());
        let path = Vec::new();
        self.map(&mut RequiresGradMapper { paths, trainable_base, pooling, n_layers, path })
    }
}
