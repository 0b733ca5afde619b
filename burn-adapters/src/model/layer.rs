//! What a task inserts into one layer.

use burn::module::Module;
use burn::tensor::Device;
use burn_bert::{Encoder, Projection, Site};

use super::norm::task_norm;
use super::site::SiteAdapter;
use crate::methods::kind::{KindConfig, ProjectionModule};
use crate::methods::{
    AdapterPlan, BottleneckConfig, Ia3, Ia3Target, LayerPrefix, Lora, Projections, TrainableBase,
};
use crate::named_rng::NamedRng;

/// What a task inserts into one layer.
#[derive(Module, Debug)]
pub struct LayerAdapter {
    /// After the attention output projection.
    pub attention: SiteAdapter,
    /// After the second feed-forward projection.
    pub feed_forward: SiteAdapter,
    /// Low-rank updates of projections.
    pub low_rank: Projections<Lora>,
    /// Factors of the outputs of projections, their low-rank updates included.
    pub scale_output: Projections<Ia3>,
    /// Factors of the inputs of projections.
    pub scale_input: Projections<Ia3>,
    /// Keys and values before the layer's own.
    pub prefix: Option<LayerPrefix>,
}

impl LayerAdapter {
    /// The fresh modules of a plan for every layer of a base, drawn from the children of `rng`.
    pub(crate) fn init_all(plan: &AdapterPlan, bert: &dyn Encoder, rng: &NamedRng) -> Vec<Self> {
        let rng = rng.child("layers");
        let device = bert.device();
        let layers = 0..bert.n_layers();
        layers.map(|layer| Self::init(plan, layer, bert, &rng.child(layer), &device)).collect()
    }

    fn init(
        plan: &AdapterPlan,
        index: usize,
        bert: &dyn Encoder,
        rng: &NamedRng,
        device: &Device,
    ) -> Self {
        let d_model = bert.d_model();
        let shape = |projection| bert.projection(index, projection).weight.lazy_shape().dims::<2>();
        let own_norms = match plan.trainable_base {
            TrainableBase::LayerNorms => true,
            TrainableBase::LayerNormsFrom(first) => index >= first,
            TrainableBase::Nothing | TrainableBase::TopLayers(_) | TrainableBase::Everything => {
                false
            }
        };
        let site = |config: Option<&BottleneckConfig>, site, rng: &NamedRng| {
            let bottleneck =
                config.map(|config| config.init(index, d_model, &rng.child("bottleneck"), device));
            let norm = bert.norm(site).filter(|_| own_norms).map(task_norm);
            SiteAdapter::new(config, bottleneck, norm)
        };
        let bottleneck = in_layer(plan.bottleneck.as_ref(), index);
        let low_rank = rng.child("low_rank");
        Self {
            attention: site(
                bottleneck.filter(|config| config.sites.attention()),
                Site::Attention(index),
                &rng.child("attention"),
            ),
            feed_forward: site(
                bottleneck.filter(|config| config.sites.feed_forward()),
                Site::FeedForward(index),
                &rng.child("feed_forward"),
            ),
            low_rank: Projections::init(plan.lora.as_ref(), index, |config, projection| {
                let rng = low_rank.child(projection.name());
                let init = || config.init(bert.projection(index, projection), &rng, device);
                config.projections.contains(&projection).then(init)
            }),
            scale_output: Projections::init(plan.ia3.as_ref(), index, |config, projection| {
                let init = || Ia3::new(Ia3Target::Output, shape(projection)[1], device);
                config.outputs.contains(&projection).then(init)
            }),
            scale_input: Projections::init(plan.ia3.as_ref(), index, |config, projection| {
                let init = || Ia3::new(Ia3Target::Input, shape(projection)[0], device);
                config.inputs.contains(&projection).then(init)
            }),
            prefix: in_layer(plan.prefix.as_ref(), index)
                .map(|config| config.init(d_model, &rng.child("prefix"), device)),
        }
    }

    /// The modules at a projection, in the order in which they apply.
    pub(crate) fn at_projection(
        &self,
        projection: Projection,
    ) -> impl Iterator<Item = &dyn ProjectionModule> {
        fn erase<M: ProjectionModule>(module: &M) -> &dyn ProjectionModule {
            module
        }
        let modules = [
            self.low_rank.get(projection).map(erase),
            self.scale_input.get(projection).map(erase),
            self.scale_output.get(projection).map(erase),
        ];
        modules.into_iter().flatten()
    }

    /// The layer without norms of its own and without modules at projections.
    pub(crate) fn without_mergeable(self) -> Self {
        Self {
            low_rank: Projections::none(),
            scale_output: Projections::none(),
            scale_input: Projections::none(),
            ..self.without_norms()
        }
    }

    /// The layer without norms of its own.
    pub(crate) fn without_norms(mut self) -> Self {
        (self.attention.norm, self.feed_forward.norm) = (None, None);
        self
    }
}

fn in_layer<C: KindConfig>(config: Option<&C>, layer: usize) -> Option<&C> {
    config.filter(|config| config.layers().contains(layer))
}

/// The adapter at a site; those outside of the layers have only a norm.
pub(crate) fn site_of(layers: &[LayerAdapter], site: Site) -> Option<&SiteAdapter> {
    match site {
        Site::Embeddings | Site::Final => None,
        Site::Attention(layer) => Some(&layers[layer].attention),
        Site::FeedForward(layer) => Some(&layers[layer].feed_forward),
    }
}
