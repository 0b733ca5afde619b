//! AdapterFusion: attention over the outputs of trained adapters.
//! The adapters do not train; the attention and the head do.
//!
//! Pfeiffer et al. 2021, section 3.2, with the details of `AdapterHub`'s `BertFusion`:
//! <https://github.com/adapter-hub/adapters/blob/v1.3.0/src/adapters/methods/modeling.py>.
//! Its penalty that draws the value matrix towards the identity is not implemented; weight decay, which would draw it
//! towards 0, is not applied to it.

use burn::module::{Module, Param, ParamId};
use burn::nn::{Dropout, DropoutConfig, Initializer, Linear};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use burn_bert::{Encoder, ResidualNorm, Site};
use burn_fused::linear;

use super::layer::{LayerAdapter, site_of};
use crate::error::{AdapterError, ComposeError};
use crate::methods::{AdapterPlan, FinalNorm, InnerNorm, TrainableBase};
use crate::named_rng::NamedRng;

/// Initial deviation of query and key: `AdapterHub`'s `init_bert_weights`.
const INIT_STD: f64 = 0.02;
/// Initial value off the diagonal of a value matrix, whose diagonal is 1 (`value_initialized`).
const OFF_DIAGONAL_VALUE: f32 = 1e-6;

/// Trained adapters and the attention over them.
#[derive(Module, Debug)]
pub struct Fusion {
    /// The adapters in their order, without norms and heads of their own; they do not train.
    pub adapters: Vec<FusedAdapter>,
    /// One for each layer of the base.
    pub layers: Vec<LayerFusion>,
}

/// The adapter of one of the fused tasks.
#[derive(Module, Debug)]
pub struct FusedAdapter {
    /// One for each layer of the base.
    pub layers: Vec<LayerAdapter>,
}

/// The fusion at the two sites of a layer.
#[derive(Module, Debug)]
pub struct LayerFusion {
    /// After the attention output projection.
    pub attention: Option<SiteFusion>,
    /// After the second feed-forward projection.
    pub feed_forward: Option<SiteFusion>,
}

/// Attention over the adapters' outputs: `Σ softmax(Q r · K aᵢ) V aᵢ`, where `r` is the last adapter's input and `aᵢ`
/// are the outputs. There is one head, and no division by the root of the width.
#[derive(Module, Debug)]
pub struct SiteFusion {
    /// `[d_model, d_model]`
    pub query: Linear,
    /// `[d_model, d_model]`
    pub key: Linear,
    /// `[d_model, d_model]`, without a bias; initially the identity, so that fusion starts as a mean of the outputs.
    pub value: Linear,
    /// On the products of query and key, before the softmax.
    pub dropout: Dropout,
}

impl FusedAdapter {
    pub(crate) fn new(layers: Vec<LayerAdapter>) -> Self {
        Self { layers: layers.into_iter().map(LayerAdapter::without_norms).collect() }
    }
}

impl Fusion {
    /// A fresh fusion of fresh adapters with these plans.
    pub(crate) fn init(
        plans: &[AdapterPlan],
        bert: &dyn Encoder,
        rng: &NamedRng,
    ) -> Result<Self, AdapterError> {
        let adapters = plans.iter().map(|plan| {
            check(plan)?;
            plan.check(bert.n_layers())?;
            Ok(FusedAdapter::new(LayerAdapter::init_all(plan, bert, rng)))
        });
        let adapters = adapters.collect::<Result<Vec<_>, AdapterError>>()?;
        let device = bert.device();
        let site = |site: Site, rng: &NamedRng| {
            let has_adapter = adapters.iter().any(|adapter| {
                site_of(&adapter.layers, site).is_some_and(|own| own.bottleneck.is_some())
            });
            let dropout = bert.attention_dropout();
            has_adapter.then(|| SiteFusion::init(bert.d_model(), dropout, rng, &device))
        };
        let layers = (0..bert.n_layers()).map(|layer| {
            let rng = rng.child("fusion").child("layers").child(layer);
            LayerFusion {
                attention: site(Site::Attention(layer), &rng.child("attention")),
                feed_forward: site(Site::FeedForward(layer), &rng.child("feed_forward")),
            }
        });
        let layers = layers.collect();
        Ok(Self { adapters, layers })
    }

    /// The value matrices: they start as the identity, and weight decay would draw them to 0.
    pub(crate) fn undecayed_parameters(&self) -> impl Iterator<Item = ParamId> {
        let sites = self.layers.iter().flat_map(|layer| [&layer.attention, &layer.feed_forward]);
        sites.flatten().map(|site| site.value.weight.id)
    }

    /// What the adapters together add to a sub-layer's output, if any is at this site; `norm` is the site's final norm.
    ///
    /// # Shapes
    /// - residual, output, result: `[batch, sequence, d_model]`
    pub(crate) fn delta(
        &self,
        site: Site,
        residual: &Tensor<3>,
        output: &Tensor<3>,
        norm: ResidualNorm<'_>,
    ) -> Option<Tensor<3>> {
        let fusion = match site {
            Site::Embeddings | Site::Final => None,
            Site::Attention(layer) => self.layers[layer].attention.as_ref(),
            Site::FeedForward(layer) => self.layers[layer].feed_forward.as_ref(),
        }?;
        let sites = self.adapters.iter().filter_map(|adapter| site_of(&adapter.layers, site));
        let sites: Vec<_> = sites.filter(|site| site.bottleneck.is_some()).collect();
        let input = sites.last()?.input(residual, output, norm);
        let deltas = sites.iter().filter_map(|site| site.delta(residual, output, norm)).collect();
        Some(fusion.forward(input, deltas))
    }
}

/// Rejects adapters that would change while the fusion trains, or that a fusion cannot represent.
fn check(plan: &AdapterPlan) -> Result<(), ComposeError> {
    let unfusable = |found: &str| Err(ComposeError::Unfusable { found: found.to_owned() });
    if plan.kinds().count() > usize::from(plan.bottleneck.is_some()) {
        return unfusable("it has modules other than bottlenecks");
    }
    match &plan.bottleneck {
        None => unfusable("it has no bottlenecks"),
        // Its running statistics would change.
        Some(bottleneck) if bottleneck.inner_norm == InnerNorm::Batch => {
            unfusable("it has an inner batch norm")
        }
        Some(bottleneck) if bottleneck.final_norm != FinalNorm::Applied => {
            unfusable("its sites have no final norm")
        }
        Some(_) if plan.trainable_base != TrainableBase::Nothing => {
            unfusable("its base was trained")
        }
        Some(_) => Ok(()),
    }
}

impl SiteFusion {
    fn init(d_model: usize, dropout: f64, rng: &NamedRng, device: &Device) -> Self {
        let shape = [d_model, d_model];
        let linear = |name: &str| Linear {
            weight: rng.child(name).truncated_normal(shape, INIT_STD, device),
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
    /// - input, result, each of the outputs: `[batch, sequence, d_model]`
    ///
    /// # Panics
    /// If there is no output.
    fn forward(&self, input: Tensor<3>, outputs: Vec<Tensor<3>>) -> Tensor<3> {
        let query = linear(input, &self.query);
        let products = outputs.iter().map(|output| {
            (query.clone() * linear(output.clone(), &self.key)).sum_dim(2) // [batch, sequence, 1]
        });
        let products = Tensor::cat(products.collect(), 2); // [batch, sequence, adapters]
        let weights = softmax(self.dropout.forward(products), 2);
        let weighted = outputs.into_iter().enumerate().map(|(index, output)| {
            linear(output, &self.value) * weights.clone().narrow(2, index, 1)
        });
        weighted.reduce(|sum, next| sum + next).expect("a fusion has one adapter or more")
    }
}
