//! One forward pass for rows of different tasks, and of none.
//!
//! The weights of a [`StackedTasks`] are stacked once, padded with zeros to the widest; a batch gathers those of its rows
//! and runs them as batched matrix products, without a loop over tasks. Differences without weights (activations,
//! placements, poolings) are computed once for each variant in a batch, and each row selects its own.
//!
//! Output factors, inner batch norms, and γ and β of inner LayerNorms are folded into the adjacent matrices. Prefixes,
//! gates and others, which [`check_mixable`] rejects, are not supported; such tasks run in batches of their own.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use burn_bert::{BertInput, Encoder, EncoderPart, Insertions, Projection, ResidualNorm, Site};
use burn_fused::LayerNorm;

use super::stacked_weights::{Matrices, Norms, Vectors};
use crate::error::{AdapterError, ComposeError};
use crate::methods::kind::{KindConfig, Weights};
use crate::methods::lora::{Lora, Rescaling};
use crate::methods::{
    Activation, Bottleneck, BottleneckConfig, Combine, InnerNorm, Placement, Scaling,
};
use crate::model::layer::site_of;
use crate::model::losses::mask_padding;
use crate::model::{Head, Pooling, TaskAdapter, TaskAdapterConfig, first_token, mean_of_tokens};

/// Tasks of one base, ready to share batches.
#[derive(Debug)]
pub struct StackedTasks {
    layers: Vec<LayerSet>,
    embeddings_norm: Option<Norms>,
    final_norm: Option<Norms>,
    pooler: Option<LoraSet>,
    /// The hidden layers of heads, if any task has one.
    head_hidden: Option<Matrices>,
    head: Option<Matrices>,
    /// One for each task.
    heads: Vec<HeadLayout>,
}

/// The properties of a head that are not weights.
#[derive(Debug)]
struct HeadLayout {
    input: HeadInput,
    /// Activation of its hidden layer.
    hidden: Option<Activation>,
    /// ε of the LayerNorm before the last layer.
    norm_epsilon: Option<f64>,
    outputs: usize,
}

/// What a head reads.
#[derive(Debug, Clone, Copy, PartialEq)]
enum HeadInput {
    /// One vector per text.
    Text(Pooling),
    /// Every token.
    Tokens,
}

/// The stacked modules of a layer.
#[derive(Debug)]
struct LayerSet {
    attention: SiteSet,
    feed_forward: SiteSet,
    lora: BTreeMap<Projection, LoraSet>,
    scale_output: BTreeMap<Projection, Vectors>,
    scale_input: BTreeMap<Projection, Vectors>,
}

/// A down- and an up-projection.
#[derive(Debug)]
struct MatrixPair {
    down: Matrices,
    up: Matrices,
}

/// The stacked LoRAs of a projection.
#[derive(Debug)]
struct LoraSet {
    /// Scaling factors and DoRA's factors and shifts are folded in.
    update: MatrixPair,
    /// DoRA's factors of the base's output, if any task has one.
    factors: Option<Vectors>,
}

/// The stacked modules of a site.
#[derive(Debug)]
struct SiteSet {
    norms: Option<Norms>,
    bottlenecks: Option<MatrixPair>,
    /// One for each task.
    kinds: Vec<Option<LayerKind>>,
}

/// The properties of a bottleneck that are not weights.
#[derive(Debug, Clone, Copy)]
struct LayerKind {
    input: InputSource,
    /// ε of a LayerNorm on the input.
    norm_epsilon: Option<f64>,
    activation: Activation,
    combine: Combine,
}

/// A bottleneck's input.
#[derive(Debug, Clone, Copy, PartialEq)]
enum InputSource {
    Output,
    NormedSum,
    Residual,
}

/// Checks that a task can share a batch with others.
///
/// # Errors
/// If it cannot; the error names the obstacle.
pub fn check_mixable(config: &TaskAdapterConfig) -> Result<(), AdapterError> {
    let obstacle = if config.plan.trains_base() {
        Some("layers of the base that are tuned")
    } else if !config.fused.is_empty() {
        Some("a fusion")
    } else {
        config.plan.kinds().find_map(KindConfig::mixing_obstacle)
    };
    match obstacle {
        Some(found) => Err(ComposeError::CannotMix { found }.into()),
        None => Ok(()),
    }
}

impl StackedTasks {
    /// Stacks the weights of any number of tasks on one base.
    ///
    /// The weights are copied to the base's device.
    ///
    /// # Errors
    /// If a task was made for another base, or is rejected by [`check_mixable`].
    pub fn new(bert: &dyn Encoder, tasks: &[&TaskAdapter]) -> Result<Self, AdapterError> {
        for task in tasks {
            task.check_base(bert)?;
            check_mixable(task.config())?;
        }
        let tasks: Vec<TaskAdapter> = tasks.iter().map(|task| task.valid()).collect();
        let site = |site| SiteSet::new(&tasks, site, bert.norm(site));
        let layers = (0..bert.n_layers()).map(|index| LayerSet {
            attention: site(Site::Attention(index)),
            feed_forward: site(Site::FeedForward(index)),
            lora: at_projections(|projection| {
                let loras = tasks.iter().map(|task| task.layers[index].low_rank.get(projection));
                LoraSet::new(loras, bert.projection(index, projection))
            }),
            scale_output: at_projections(|projection| {
                Vectors::new(tasks.iter().map(|task| {
                    Some(task.layers[index].scale_output.get(projection)?.factors.val())
                }))
            }),
            scale_input: at_projections(|projection| {
                Vectors::new(tasks.iter().map(|task| {
                    Some(task.layers[index].scale_input.get(projection)?.factors.val())
                }))
            }),
        });
        let layers = layers.collect();
        let norms =
            |site| Norms::new(tasks.iter().map(|task| task.own_norm(site)), bert.norm(site));
        let poolers = tasks.iter().map(|task| task.pooler.as_ref());
        let pooler = bert.pooler().and_then(|dense| LoraSet::new(poolers, dense));
        Ok(Self {
            layers,
            embeddings_norm: norms(Site::Embeddings),
            final_norm: norms(Site::Final),
            pooler,
            head_hidden: Matrices::new(
                tasks.iter().map(|task| task.head.hidden.as_ref().map(values)),
            ),
            head: Matrices::new(tasks.iter().map(|task| Some(last_layer(&task.head)))),
            heads: tasks
                .iter()
                .map(|task| HeadLayout {
                    input: match task.config() {
                        config if config.head.reads_tokens() => HeadInput::Tokens,
                        config => HeadInput::Text(config.pooling),
                    },
                    hidden: task.config().head_hidden,
                    norm_epsilon: task.head.norm.as_ref().map(|norm| norm.epsilon),
                    outputs: task.config().head.outputs(),
                })
                .collect(),
        })
    }

    /// The number of tasks.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether there are no tasks.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    fn site(&self, site: Site) -> Option<&SiteSet> {
        match site {
            Site::Embeddings | Site::Final => None,
            Site::Attention(layer) => Some(&self.layers[layer].attention),
            Site::FeedForward(layer) => Some(&self.layers[layer].feed_forward),
        }
    }
}

fn at_projections<T>(of: impl Fn(Projection) -> Option<T>) -> BTreeMap<Projection, T> {
    Projection::ALL.into_iter().filter_map(|at| Some((at, of(at)?))).collect()
}

/// The weight and the bias of a linear layer.
fn values(linear: &Linear) -> (Tensor<2>, Option<Tensor<1>>) {
    (linear.weight.val(), linear.bias.as_ref().map(Param::val))
}

impl LoraSet {
    /// The LoRAs of tasks; `None` if no task has one.
    fn new<'a>(loras: impl Iterator<Item = Option<&'a Lora>>, dense: &Linear) -> Option<Self> {
        let loras: Vec<_> = loras.collect();
        let down = Matrices::new(loras.iter().map(|lora| Some(((*lora)?.a.val(), None))))?;
        let weights = Weights::of(dense);
        let rescalings: Vec<_> = loras.iter().map(|lora| (*lora)?.rescaling(&weights)).collect();
        let up = loras.iter().zip(&rescalings).map(|(lora, rescaling)| {
            let weight = (*lora)?.b.val() * (*lora)?.factor;
            Some(match rescaling {
                Some(Rescaling { factor, shift }) => {
                    (weight * factor.clone().unsqueeze(), shift.clone())
                }
                None => (weight, None),
            })
        });
        let up = Matrices::new(up)?;
        let factors = rescalings.iter().map(|rescaling| Some(rescaling.as_ref()?.factor.clone()));
        Some(Self { update: MatrixPair { down, up }, factors: Vectors::new(factors) })
    }

    /// # Shapes
    /// - input: `[batch, sequence, d_input]`
    /// - output, result: `[batch, sequence, d_output]`
    /// - index: `[batch]`
    fn forward(&self, input: Tensor<3>, output: Tensor<3>, index: &Tensor<1, Int>) -> Tensor<3> {
        let update = self.update.up.forward(self.update.down.forward(input, index), index);
        match &self.factors {
            Some(factors) => output * factors.rows(index) + update,
            None => output + update,
        }
    }
}

impl SiteSet {
    fn new(tasks: &[TaskAdapter], site: Site, base_norm: Option<&LayerNorm>) -> Self {
        let of = |task: &TaskAdapter| {
            let plan = task.config().plan.bottleneck.clone()?;
            let own = site_of(&task.layers, site)?;
            Some((plan, own.bottleneck.clone()?))
        };
        let found: Vec<_> = tasks.iter().map(of).collect();
        let down = Matrices::new(found.iter().map(|found| Some(down(&found.as_ref()?.1))));
        let up = Matrices::new(found.iter().map(|found| {
            let (plan, bottleneck) = found.as_ref()?;
            Some(up(plan, bottleneck))
        }));
        Self {
            norms: Norms::new(tasks.iter().map(|task| task.own_norm(site)), base_norm),
            bottlenecks: down.zip(up).map(|(down, up)| MatrixPair { down, up }),
            kinds: found
                .iter()
                .map(|found| found.as_ref().map(|found| LayerKind::new(&found.0, &found.1)))
                .collect(),
        }
    }
}

impl LayerKind {
    fn new(plan: &BottleneckConfig, bottleneck: &Bottleneck) -> Self {
        Self {
            input: match plan.placement {
                Placement::Serial => InputSource::Output,
                Placement::AfterNorm => InputSource::NormedSum,
                Placement::Parallel { .. } => InputSource::Residual,
            },
            norm_epsilon: match plan.inner_norm {
                InnerNorm::Layer => bottleneck.layer_norm.as_ref().map(|norm| norm.epsilon),
                InnerNorm::None | InnerNorm::Batch => None,
            },
            activation: plan.activation,
            combine: plan.combine,
        }
    }
}

/// The down-projection with the inner norm's scale and shift folded in: `(x ⊙ s + t) W + b` is `x (s ⊙ W) + (t W + b)`.
fn down(bottleneck: &Bottleneck) -> (Tensor<2>, Option<Tensor<1>>) {
    let (weight, bias) = values(&bottleneck.down);
    let layer = bottleneck.layer_norm.as_ref().map(|norm| (norm.gamma.val(), norm.beta_or_zeros()));
    let batch = bottleneck.batch_norm.as_ref().map(|norm| {
        let deviation = (norm.running_var.value() + norm.epsilon).sqrt();
        let scale = norm.gamma.val() / deviation;
        let shift = norm.beta.val() - norm.running_mean.value() * scale.clone();
        (scale, shift)
    });
    layer.into_iter().chain(batch).fold((weight, bias), fold_norm)
}

/// The last layer of a head with the norm's scale and shift folded in.
fn last_layer(head: &Head) -> (Tensor<2>, Option<Tensor<1>>) {
    let norm = head.norm.as_ref().map(|norm| (norm.gamma.val(), norm.beta_or_zeros()));
    norm.into_iter().fold(values(&head.linear), fold_norm)
}

/// A linear layer after a norm, with its scale and shift folded in.
fn fold_norm(
    (weight, bias): (Tensor<2>, Option<Tensor<1>>),
    (scale, shift): (Tensor<1>, Tensor<1>),
) -> (Tensor<2>, Option<Tensor<1>>) {
    let shift = shift.unsqueeze_dim::<2>(0).matmul(weight.clone()).squeeze_dim::<1>(0);
    let bias = match bias {
        Some(bias) => bias + shift,
        None => shift,
    };
    (weight * scale.unsqueeze_dim(1), Some(bias))
}

/// A LayerNorm with this ε, whose scale and shift are folded into the next layer; unchanged without one.
fn standardize(input: &Tensor<3>, epsilon: Option<f64>) -> Tensor<3> {
    match epsilon {
        Some(epsilon) => {
            LayerNorm::new(input.dims()[2], epsilon, &input.device()).forward(input.clone())
        }
        None => input.clone(),
    }
}

/// The up-projection with every factor folded in.
fn up(plan: &BottleneckConfig, bottleneck: &Bottleneck) -> (Tensor<2>, Option<Tensor<1>>) {
    let (weight, bias) = values(&bottleneck.up);
    let fixed = match plan.scaling {
        Scaling::Fixed(factor) => factor,
        Scaling::None | Scaling::Learned | Scaling::PerChannel => 1.0,
    };
    let factor = match plan.placement {
        Placement::Parallel { scaling } => fixed * scaling,
        Placement::Serial | Placement::AfterNorm => fixed,
    };
    let (weight, bias) = (weight * factor, bias.map(|bias| bias * factor));
    match &bottleneck.scaling {
        Some(learned) => {
            let learned = learned.val();
            (weight * learned.clone().unsqueeze(), bias.map(|bias| bias * learned))
        }
        None => (weight, bias),
    }
}

/// The tasks of a batch's rows: each row gets its own task's modules.
#[derive(Debug)]
pub struct MixedBatch<'a> {
    set: &'a StackedTasks,
    /// The task of each row; rows without one have the index after the last.
    slots: Vec<usize>,
    /// The same as a tensor, `[batch]`.
    index: Tensor<1, Int>,
}

impl<'a> MixedBatch<'a> {
    /// Rows with the tasks of these indices in the set; `None` is plain BERT.
    ///
    /// # Panics
    /// If an index is not in the set.
    pub fn new(set: &'a StackedTasks, rows: &[Option<usize>], device: &Device) -> Self {
        let slots: Vec<usize> = rows.iter().map(|row| row.unwrap_or(set.len())).collect();
        assert!(slots.iter().all(|slot| *slot <= set.len()), "every row's task is in the set");
        let index: Vec<i64> = slots.iter().map(|slot| *slot as i64).collect();
        let index = Tensor::from_data(TensorData::new(index, [rows.len()]), device);
        Self { set, slots, index }
    }

    /// The logits of each row, one for each output of its task; none for a row without a task. A head that reads every
    /// token has one for each output and token, output by output; those of padding are masked.
    ///
    /// # Shapes
    /// - input: `[batch, sequence]` each
    ///
    /// # Panics
    /// If the input has another number of rows.
    pub fn forward(&self, bert: &dyn Encoder, input: &BertInput) -> Vec<Vec<f32>> {
        let hidden = bert.forward_with(input, self); // [batch, sequence, d_model]
        let mask = &input.attention_mask;
        let reads_tokens = |slot: usize| {
            self.set.heads.get(slot).is_some_and(|head| head.input == HeadInput::Tokens)
        };
        let (tokens, texts): (Vec<usize>, Vec<usize>) =
            (0..self.slots.len()).partition(|row| reads_tokens(self.slots[*row]));
        if tokens.is_empty() {
            return self.text_logits(bert, hidden, mask);
        }
        let mut logits = vec![Vec::new(); self.slots.len()];
        let mut place = |rows: &[usize], found: Vec<Vec<f32>>| {
            for (row, found) in rows.iter().zip(found) {
                logits[*row] = found;
            }
        };
        let (part, index) = self.part(&tokens);
        let (states, own) =
            (hidden.clone().select(0, index.clone()), mask.clone().select(0, index));
        place(&tokens, part.rows(mask_padding(part.logits(states), &own)));
        if !texts.is_empty() {
            let (part, index) = self.part(&texts);
            let hidden = hidden.select(0, index.clone());
            place(&texts, part.text_logits(bert, hidden, &mask.clone().select(0, index)));
        }
        logits
    }

    /// Some of the rows, and their indices as a tensor.
    fn part(&self, rows: &[usize]) -> (Self, Tensor<1, Int>) {
        let indices: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
        let device = self.index.device();
        let indices = Tensor::from_data(TensorData::new(indices, [rows.len()]), &device);
        let slots = rows.iter().map(|row| self.slots[*row]).collect();
        let index = self.index.clone().select(0, indices.clone());
        (Self { set: self.set, slots, index }, indices)
    }

    /// The logits of heads that read one vector per text.
    ///
    /// # Shapes
    /// - hidden: `[batch, sequence, d_model]`
    /// - attention_mask: `[batch, sequence]`
    fn text_logits(
        &self,
        bert: &dyn Encoder,
        hidden: Tensor<3>,
        attention_mask: &Tensor<2, Bool>,
    ) -> Vec<Vec<f32>> {
        let pooled = self.select(
            |slot| match self.set.heads.get(slot)?.input {
                HeadInput::Text(pooling) => Some(pooling),
                HeadInput::Tokens => None,
            },
            |pooling| {
                let pooled = match pooling {
                    Pooling::Pooler => bert.pool_with(hidden.clone(), self),
                    Pooling::FirstToken => first_token(hidden.clone()),
                    Pooling::Mean => mean_of_tokens(hidden.clone(), attention_mask.clone()),
                };
                pooled.unsqueeze_dim(1) // [batch, 1, d_model]
            },
        );
        match pooled {
            Some(pooled) => self.rows(self.logits(pooled)),
            None => vec![Vec::new(); self.slots.len()],
        }
    }

    /// The logits of what the heads read, padded to the largest number of outputs.
    ///
    /// # Shapes
    /// - x: `[batch, sequence, d_model]`
    /// - result: `[batch, sequence, outputs]`
    fn logits(&self, x: Tensor<3>) -> Tensor<3> {
        let head = self.set.head.as_ref().expect("a batch with a head has a set with heads");
        let layer = self.set.head_hidden.as_ref();
        let input = layer.map(|layer| layer.forward(x.clone(), &self.index)).and_then(|layer| {
            self.select(
                |slot| Some(self.set.heads.get(slot)?.hidden),
                |activation| match activation {
                    Some(activation) => activation.forward(layer.clone()),
                    None => x.clone(),
                },
            )
        });
        let input = input.unwrap_or(x);
        let normed = self.select(
            |slot| Some(self.set.heads.get(slot)?.norm_epsilon),
            |epsilon| standardize(&input, epsilon),
        );
        head.forward(normed.unwrap_or(input), &self.index)
    }

    /// The logits of each row, output by output; none for a row without a task.
    ///
    /// # Shapes
    /// - logits: `[batch, sequence, outputs]`
    fn rows(&self, logits: Tensor<3>) -> Vec<Vec<f32>> {
        let logits = logits.swap_dims(1, 2);
        let [_, outputs, sequence] = logits.dims();
        let values: Vec<f32> = logits.into_data().iter::<f32>().collect();
        let rows = values.chunks(outputs * sequence).zip(&self.slots);
        rows.map(|(row, slot)| match self.set.heads.get(*slot) {
            Some(head) => row[..head.outputs * sequence].to_vec(),
            None => Vec::new(),
        })
        .collect()
    }

    /// For each row, what `make` returns for its kind; rows without a kind get that of another row. `None` if no row has
    /// a kind.
    ///
    /// # Shapes
    /// - result: that of `make`, `[batch, …, …]`
    fn select<K: PartialEq + Copy>(
        &self,
        kind: impl Fn(usize) -> Option<K>,
        make: impl Fn(K) -> Tensor<3>,
    ) -> Option<Tensor<3>> {
        let kinds: Vec<Option<K>> = self.slots.iter().map(|slot| kind(*slot)).collect();
        let mut distinct: Vec<K> = Vec::new();
        for kind in kinds.iter().flatten() {
            if !distinct.contains(kind) {
                distinct.push(*kind);
            }
        }
        let (first, others) = distinct.split_first()?;
        Some(others.iter().fold(make(*first), |made, other| {
            let is = kinds.iter().map(|kind| *kind == Some(*other)).collect::<Vec<_>>();
            let mask = TensorData::new(is, [kinds.len(), 1, 1]);
            let mask = Tensor::<3, Bool>::from_data(mask, &made.device()).expand(made.dims());
            made.mask_where(mask, make(*other))
        }))
    }

    /// The site's final norm, with each row's own γ and β.
    fn norm_after_delta(
        &self,
        norms: Option<&Norms>,
        inputs: impl Into<burn_fused::ResidualInputs>,
        base: ResidualNorm<'_>,
    ) -> Tensor<3> {
        match (norms, base) {
            (Some(norms), ResidualNorm::Post(_)) => norms.forward(inputs, &self.index),
            _ => base.forward(inputs),
        }
    }
}

impl Insertions for MixedBatch<'_> {
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
        let Some(own) = self.set.site(site) else { return norm.forward([output, residual]) };
        let norms = own.norms.as_ref();
        let kind = |slot: usize| own.kinds.get(slot).copied().flatten();
        let input = self.select(
            |slot| Some(kind(slot)?.input),
            |input| match input {
                InputSource::Output => output.clone(),
                InputSource::NormedSum => {
                    self.norm_after_delta(norms, [output.clone(), residual.clone()], norm)
                }
                InputSource::Residual => residual.clone(),
            },
        );
        let Some((input, weights)) = input.zip(own.bottlenecks.as_ref()) else {
            return self.norm_after_delta(norms, [output, residual], norm);
        };
        let normed = self
            .select(|slot| Some(kind(slot)?.norm_epsilon), |epsilon| standardize(&input, epsilon));
        let low = weights.down.forward(normed.unwrap_or(input), &self.index); // [batch, sequence, bottleneck]
        let active = self.select(
            |slot| Some(kind(slot)?.activation),
            |activation| activation.forward(low.clone()),
        );
        let adapted = weights.up.forward(active.unwrap_or(low), &self.index); // [batch, sequence, d_model]
        let delta = self.select(
            |slot| Some(kind(slot)?.combine),
            |combine| match combine {
                Combine::Add => adapted.clone(),
                Combine::Multiply => adapted.clone() * output.clone(),
            },
        );
        self.norm_after_delta(norms, [delta.unwrap_or(adapted), output, residual], norm)
    }

    fn norm(&self, site: Site, hidden: Tensor<3>, norm: &LayerNorm) -> Tensor<3> {
        let norms = match site {
            Site::Embeddings => self.set.embeddings_norm.as_ref(),
            Site::Final => self.set.final_norm.as_ref(),
            _ => self.set.site(site).and_then(|own| own.norms.as_ref()),
        };
        self.norm_after_delta(norms, hidden, ResidualNorm::Post(norm))
    }

    fn project_input(&self, layer: usize, projection: Projection, input: Tensor<3>) -> Tensor<3> {
        let scale = self.set.layers[layer].scale_input.get(&projection);
        scale.into_iter().fold(input, |input, scale| input * scale.rows(&self.index))
    }

    fn project(
        &self,
        layer: usize,
        projection: Projection,
        input: &Tensor<3>,
        output: Tensor<3>,
        _dense: &Linear,
    ) -> Tensor<3> {
        let layer = &self.set.layers[layer];
        let lora = layer.lora.get(&projection);
        let output = lora
            .into_iter()
            .fold(output, |output, lora| lora.forward(input.clone(), output, &self.index));
        let scale = layer.scale_output.get(&projection);
        scale.into_iter().fold(output, |output, scale| output * scale.rows(&self.index))
    }

    fn project_pooler(&self, input: &Tensor<2>, output: Tensor<2>, _dense: &Linear) -> Tensor<2> {
        let Some(lora) = &self.set.pooler else { return output };
        let (input, output) = (input.clone().unsqueeze_dim(1), output.unsqueeze_dim(1)); // [batch, 1, d_model]
        lora.forward(input, output, &self.index).squeeze_dim(1)
    }
}
