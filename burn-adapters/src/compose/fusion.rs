//! Adapters of several tasks under one attention, which learns for each token whose answer counts.
//! The adapters do not train; the attention and the head do.
//!
//! Pfeiffer et al. 2021, section 3.2, with the details of `AdapterHub`'s `BertFusion`:
//! <https://github.com/adapter-hub/adapters/blob/v1.3.0/src/adapters/methods/modeling.py>.
//! Its penalty that draws the value matrix towards the identity is not here; weight decay, which would draw it towards
//! 0, leaves it alone.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Initializer, Linear};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use burn_bert::{Encoder, Site};
use burn_fused::{LayerNorm, linear};

use crate::bottleneck_plan::{BottleneckPlan, Closing, OuterNorm, Placement, ResidualSource};
use crate::error::AdapterError;
use crate::init::NamedRng;
use crate::inner_norm::InnerNorm;
use crate::plan::{Plan, TrainableBase};
use crate::task_adapter::{LayerAdapter, TaskAdapter, TaskAdapterConfig, site_of};

/// Deviation of query and key at the start: `AdapterHub`'s `init_bert_weights`.
const INIT_STD: f64 = 0.02;
/// What stands beside the diagonal of a value matrix at the start; on it stands 1 (`value_initialized`).
const OFF_DIAGONAL_VALUE: f32 = 1e-6;

/// Trained adapters and the attention over them.
#[derive(Module, Debug)]
pub struct Fusion {
    /// The adapters in their order, without norms and heads of their own; they do not train.
    pub adapters: Vec<FusedAdapter>,
    /// One for each layer of the base.
    pub layers: Vec<LayerFusion>,
}

/// What was trained for one task.
#[derive(Module, Debug)]
pub struct FusedAdapter {
    /// One for each layer of the base.
    pub layers: Vec<LayerAdapter>,
}

/// The two sites of a layer.
#[derive(Module, Debug)]
pub struct LayerFusion {
    /// After the attention output projection.
    pub attention: Option<SiteFusion>,
    /// After the second feed-forward projection.
    pub feed_forward: Option<SiteFusion>,
}

/// Attention over what adapters answer: `Σ softmax(Q r · K aᵢ) V aᵢ`, where `r` is what the last adapter reads and `aᵢ`
/// are the answers. There is one head, and no division by the root of the width.
#[derive(Module, Debug)]
pub struct SiteFusion {
    /// `[d_model, d_model]`
    pub query: Linear,
    /// `[d_model, d_model]`
    pub key: Linear,
    /// `[d_model, d_model]`, without a bias; starts as the identity, so that fusion starts as a mean of the answers.
    pub value: Linear,
    /// On the products of query and key, before the softmax.
    pub dropout: Dropout,
}

/// A fresh task that fuses the adapters of trained ones.
///
/// Where one of them has norms of its own, the new task has too, and they start as the mean of theirs.
/// `config` says what else the new task is; its plan inserts nothing.
///
/// # Errors
/// If there is nothing to fuse, a plan cannot be fused or is placed otherwise than the others, or the task cannot be
/// built on this base.
pub fn fuse(
    config: &TaskAdapterConfig,
    adapters: Vec<TaskAdapter>,
    bert: &dyn Encoder,
) -> Result<TaskAdapter, AdapterError> {
    if adapters.is_empty() {
        return Err(AdapterError::NothingToFuse);
    }
    let plans = || adapters.iter().map(|adapter| &adapter.config().plan);
    if let Some(plan) = plans()
        .find(|plan| !matches!(plan.tuned, TrainableBase::Nothing | TrainableBase::LayerNorms))
    {
        return Err(AdapterError::Unfusable { found: format!("tuned: {:?}", plan.tuned) });
    }
    check_alike(plans().filter_map(|plan| plan.bottleneck.as_ref()))?;
    let has_norms = plans().any(|plan| plan.tuned == TrainableBase::LayerNorms);
    let tuned = if has_norms { TrainableBase::LayerNorms } else { config.plan.tuned };
    let config = TaskAdapterConfig {
        plan: Plan { tuned, ..config.plan.clone() },
        fused: plans().map(|plan| Plan { tuned: TrainableBase::Nothing, ..plan.clone() }).collect(),
        ..config.clone()
    };
    let mut task = config.init(bert)?;

    let mean = |site: Site, norm: Option<&mut LayerNorm>| {
        let Some(norm) = norm else { return };
        let base = bert.norm(site);
        let of = |parameter: fn(&LayerNorm) -> &Param<Tensor<1>>| {
            let norms = adapters.iter().map(|adapter| adapter.own_norm(site).unwrap_or(base));
            let values = norms.map(|norm| parameter(norm).val()).collect();
            let mean = Tensor::<1>::stack::<2>(values, 0).mean_dim(0).squeeze_dim(0);
            Param::from_tensor(mean.detach())
        };
        (norm.gamma, norm.beta) = (of(|norm| &norm.gamma), of(|norm| &norm.beta));
    };
    mean(Site::Embeddings, task.embeddings_norm.as_mut());
    for (index, layer) in task.layers.iter_mut().enumerate() {
        mean(Site::Attention(index), layer.attention.norm.as_mut());
        mean(Site::FeedForward(index), layer.feed_forward.norm.as_mut());
    }
    if let Some(fusion) = &mut task.fusion {
        fusion.adapters = adapters.into_iter().map(FusedAdapter::of).collect();
    }
    Ok(task)
}

impl FusedAdapter {
    fn of(task: TaskAdapter) -> Self {
        let mut layers = task.layers;
        for layer in &mut layers {
            (layer.attention.norm, layer.feed_forward.norm) = (None, None);
        }
        Self { layers }
    }
}

impl Fusion {
    /// A fresh fusion of fresh adapters, for the plans in `config.fused`.
    pub(crate) fn init(
        config: &TaskAdapterConfig,
        bert: &dyn Encoder,
        stream: &NamedRng,
    ) -> Result<Self, AdapterError> {
        if config.plan.inserts() {
            let found = "it stands beside adapters of the task's own".to_owned();
            return Err(AdapterError::Unfusable { found });
        }
        let adapters = config.fused.iter().map(|plan| {
            check(plan)?;
            let config =
                TaskAdapterConfig { plan: plan.clone(), fused: Vec::new(), ..config.clone() };
            config.init(bert).map(FusedAdapter::of)
        });
        let adapters = adapters.collect::<Result<Vec<_>, AdapterError>>()?;
        let device = bert.device();
        let site = |site: Site, stream: &NamedRng| {
            let stands = adapters.iter().any(|adapter| {
                site_of(&adapter.layers, site).is_some_and(|own| own.bottleneck.is_some())
            });
            stands.then(|| {
                SiteFusion::init(bert.d_model(), bert.attention_dropout(), stream, &device)
            })
        };
        let layers = (0..bert.n_layers()).map(|layer| {
            let stream = stream.child("layers").child(layer);
            LayerFusion {
                attention: site(Site::Attention(layer), &stream.child("attention")),
                feed_forward: site(Site::FeedForward(layer), &stream.child("feed_forward")),
            }
        });
        let layers = layers.collect();
        Ok(Self { adapters, layers })
    }

    /// What the adapters add together to what a sub-layer made, if any stands there; `norm` is the one that closes the
    /// site.
    ///
    /// # Shapes
    /// - residual, output, result: `[batch, sequence, d_model]`
    pub(crate) fn delta(
        &self,
        site: Site,
        residual: &Tensor<3>,
        output: &Tensor<3>,
        norm: &LayerNorm,
    ) -> Option<Tensor<3>> {
        let fusion = match site {
            Site::Embeddings => None,
            Site::Attention(layer) => self.layers[layer].attention.as_ref(),
            Site::FeedForward(layer) => self.layers[layer].feed_forward.as_ref(),
        }?;
        let sites = self.adapters.iter().filter_map(|adapter| site_of(&adapter.layers, site));
        let sites: Vec<_> = sites.filter(|site| site.bottleneck.is_some()).collect();
        let read = sites.last()?.input(residual, output, norm);
        let answers = sites.iter().filter_map(|site| site.delta(residual, output, norm)).collect();
        Some(fusion.forward(read, answers))
    }
}

/// Refuses what `AdapterHub` fuses to other numbers: it places all adapters as the last one, weighs what comes out of
/// their way up without gate and outer norm, and adds what a sub-layer read twice to parallel ones.
///
/// Files hold fusions of such adapters from before they were refused; those compute what they always did.
fn check_alike<'a>(
    mut plans: impl Iterator<Item = &'a BottleneckPlan>,
) -> Result<(), AdapterError> {
    let unfusable = |found: &str| Err(AdapterError::Unfusable { found: found.to_owned() });
    let mut first = None;
    plans.try_for_each(|plan| {
        let placement = *first.get_or_insert(plan.placement);
        if matches!(plan.placement, Placement::Parallel { .. }) {
            return unfusable("it stands in parallel to the sub-layer");
        }
        if plan.placement != placement {
            return unfusable("its placement is not that of the first");
        }
        if plan.gate {
            return unfusable("it has a gate");
        }
        if plan.outer_norm != OuterNorm::None {
            return unfusable("it has an outer norm");
        }
        if plan.skip != ResidualSource::SublayerOutput {
            return unfusable("its answer is added to something else than what the sub-layer made");
        }
        Ok(())
    })
}

/// Refuses what would not stay as it was trained.
fn check(plan: &Plan) -> Result<(), AdapterError> {
    let unfusable = |found: &str| Err(AdapterError::Unfusable { found: found.to_owned() });
    if plan.low_rank.is_some() || plan.scale.is_some() || plan.prefix.is_some() {
        return unfusable("it corrects projections or has prefixes");
    }
    match &plan.bottleneck {
        None => unfusable("it has no bottlenecks"),
        // Its running statistics would move.
        Some(bottleneck) if bottleneck.inner_norm == InnerNorm::Batch => {
            unfusable("it has a batch norm inside")
        }
        Some(bottleneck) if bottleneck.closing != Closing::Norm => {
            unfusable("no norm closes its sites")
        }
        Some(_) if plan.tuned != TrainableBase::Nothing => unfusable("its base was tuned too"),
        Some(_) => Ok(()),
    }
}

impl SiteFusion {
    fn init(d_model: usize, dropout: f64, stream: &NamedRng, device: &Device) -> Self {
        let shape = [d_model, d_model];
        let linear = |name: &str| Linear {
            weight: stream.child(name).truncated_normal(shape, INIT_STD, device),
            bias: Some(Initializer::Zeros.init([d_model], device)),
        };
        let diagonal = Tensor::<2>::eye(d_model, device);
        let value = diagonal.clone() + (1.0 - diagonal) * OFF_DIAGONAL_VALUE;
        Self {
            query: linear("query"),
            key: linear("key"),
            value: Linear { weight: Param::from_tensor(value), bias: None },
            dropout: DropoutConfig::new(dropout).init(),
        }
    }

    /// # Shapes
    /// - read, result, each of the answers: `[batch, sequence, d_model]`
    ///
    /// # Panics
    /// If there is no answer.
    fn forward(&self, read: Tensor<3>, answers: Vec<Tensor<3>>) -> Tensor<3> {
        let query = linear(read, &self.query);
        let products = answers.iter().map(|answer| {
            (query.clone() * linear(answer.clone(), &self.key)).sum_dim(2) // [batch, sequence, 1]
        });
        let products = Tensor::cat(products.collect(), 2); // [batch, sequence, adapters]
        let weights = softmax(self.dropout.forward(products), 2);
        let weighted = answers.into_iter().enumerate().map(|(index, answer)| {
            linear(answer, &self.value) * weights.clone().narrow(2, index, 1)
        });
        weighted.reduce(|sum, next| sum + next).expect("a fusion has one adapter or more")
    }
}
