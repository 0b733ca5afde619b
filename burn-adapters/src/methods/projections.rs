//! Modules at the six linear projections of a layer.

use burn::module::{Module, ModuleDisplay};
use burn_bert::Projection;

use super::kind::KindConfig;

/// The modules of one kind at a layer's projections.
#[derive(Module, Debug)]
pub struct Projections<M: Module + ModuleDisplay> {
    /// At [`Projection::Query`].
    pub query: Option<M>,
    /// At [`Projection::Key`].
    pub key: Option<M>,
    /// At [`Projection::Value`].
    pub value: Option<M>,
    /// At [`Projection::AttentionOutput`].
    pub attention_output: Option<M>,
    /// At [`Projection::FeedForwardIn`].
    pub feed_forward_in: Option<M>,
    /// At [`Projection::FeedForwardOut`].
    pub feed_forward_out: Option<M>,
}

impl<M: Module + ModuleDisplay> Projections<M> {
    /// The modules that `at` returns for each projection.
    pub fn from_fn(at: impl Fn(Projection) -> Option<M>) -> Self {
        Self {
            query: at(Projection::Query),
            key: at(Projection::Key),
            value: at(Projection::Value),
            attention_output: at(Projection::AttentionOutput),
            feed_forward_in: at(Projection::FeedForwardIn),
            feed_forward_out: at(Projection::FeedForwardOut),
        }
    }

    /// No modules.
    pub(crate) fn none() -> Self {
        Self::from_fn(|_| None)
    }

    /// The modules of a configuration in a layer; none if the configuration leaves the layer out.
    pub(crate) fn init<C: KindConfig>(
        config: Option<&C>,
        layer: usize,
        at: impl Fn(&C, Projection) -> Option<M>,
    ) -> Self {
        match config.filter(|config| config.layers().contains(layer)) {
            Some(config) => Self::from_fn(|projection| at(config, projection)),
            None => Self::none(),
        }
    }

    /// The modules with their projections, to change them.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Projection, &mut M)> {
        let modules = [
            (Projection::Query, &mut self.query),
            (Projection::Key, &mut self.key),
            (Projection::Value, &mut self.value),
            (Projection::AttentionOutput, &mut self.attention_output),
            (Projection::FeedForwardIn, &mut self.feed_forward_in),
            (Projection::FeedForwardOut, &mut self.feed_forward_out),
        ];
        modules.into_iter().filter_map(|(projection, module)| Some((projection, module.as_mut()?)))
    }

    /// The module at a projection.
    pub fn get(&self, projection: Projection) -> Option<&M> {
        match projection {
            Projection::Query => self.query.as_ref(),
            Projection::Key => self.key.as_ref(),
            Projection::Value => self.value.as_ref(),
            Projection::AttentionOutput => self.attention_output.as_ref(),
            Projection::FeedForwardIn => self.feed_forward_in.as_ref(),
            Projection::FeedForwardOut => self.feed_forward_out.as_ref(),
        }
    }
}
