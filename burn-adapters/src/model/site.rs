//! One site of a layer: its bottleneck, the task's own norm, and how the two combine with BERT's residual sum.

use burn::module::Module;
use burn::tensor::Tensor;
use burn_bert::ResidualNorm;
use burn_fused::LayerNorm;

use crate::methods::{
    Bottleneck, BottleneckConfig, Combine, FinalNorm, OuterNorm, Placement, ResidualSource,
};

/// What a task has at one site.
#[derive(Module, Debug)]
pub struct SiteAdapter {
    /// The adapter, if there is one.
    pub bottleneck: Option<Bottleneck>,
    /// The task's own norm, used instead of the base's.
    pub norm: Option<LayerNorm>,
    #[module(skip)]
    placement: Placement,
    #[module(skip)]
    combine: Combine,
    #[module(skip)]
    skip: ResidualSource,
    #[module(skip)]
    outer_norm: OuterNorm,
    #[module(skip)]
    final_norm: FinalNorm,
}

impl SiteAdapter {
    /// A site with a bottleneck that was built from `config`, or without one.
    pub(crate) fn new(
        config: Option<&BottleneckConfig>,
        bottleneck: Option<Bottleneck>,
        norm: Option<LayerNorm>,
    ) -> Self {
        Self {
            bottleneck,
            norm,
            placement: config.map_or(Placement::Serial, |config| config.placement),
            combine: config.map_or(Combine::Add, |config| config.combine),
            skip: config.map_or(ResidualSource::SublayerOutput, |config| config.skip),
            outer_norm: config.map_or(OuterNorm::None, |config| config.outer_norm),
            final_norm: config.map_or(FinalNorm::Applied, |config| config.final_norm),
        }
    }

    /// The bottleneck's input; `norm` is the site's final norm.
    ///
    /// # Shapes
    /// - residual, output, result: `[batch, sequence, d_model]`
    pub(crate) fn input(
        &self,
        residual: &Tensor<3>,
        output: &Tensor<3>,
        norm: ResidualNorm<'_>,
    ) -> Tensor<3> {
        match self.placement {
            Placement::Serial => output.clone(),
            Placement::AfterNorm => norm.forward([output.clone(), residual.clone()]),
            Placement::Parallel { .. } => residual.clone(),
        }
    }

    fn output(&self, bottleneck: &Bottleneck, input: Tensor<3>) -> Tensor<3> {
        let output = bottleneck.forward(input);
        match self.placement {
            Placement::Serial | Placement::AfterNorm => output,
            Placement::Parallel { scaling } => output * scaling,
        }
    }

    /// What the site adds to the sub-layer's output, if it has a bottleneck.
    ///
    /// If the bottleneck's output is added to something other than the sub-layer's output, the difference is included.
    /// The final norm is left to the caller.
    ///
    /// # Shapes
    /// - residual, output, result: `[batch, sequence, d_model]`
    pub(crate) fn delta(
        &self,
        residual: &Tensor<3>,
        output: &Tensor<3>,
        norm: ResidualNorm<'_>,
    ) -> Option<Tensor<3>> {
        let bottleneck = self.bottleneck.as_ref()?;
        let input = self.input(residual, output, norm);
        let adapted = self.output(bottleneck, input.clone());
        // The difference between the skip connection and the sub-layer's output.
        let extra = match self.skip {
            ResidualSource::SublayerOutput => None,
            ResidualSource::Sum => Some(residual.clone()),
            ResidualSource::BottleneckInput => Some(input - output.clone()),
        };
        let skip = extra.iter().fold(output.clone(), |skip, extra| skip + extra.clone());
        let delta = match self.combine {
            Combine::Add => adapted,
            Combine::Multiply => adapted * skip.clone(),
        };
        let delta = match (self.outer_norm, &bottleneck.outer_norm) {
            (OuterNorm::Sum, Some(outer)) => outer.forward([delta, skip.clone()]) - skip,
            (_, Some(outer)) => outer.forward(delta),
            (_, None) => delta,
        };
        Some(extra.into_iter().fold(delta, |delta, extra| delta + extra))
    }

    /// The site's result from a sub-layer's output to which all deltas were added; `base_norm` is used if the task has
    /// no norm of its own.
    ///
    /// # Shapes
    /// - residual, output, result: `[batch, sequence, d_model]`
    pub(crate) fn norm_after_delta(
        &self,
        residual: Tensor<3>,
        output: Tensor<3>,
        base_norm: ResidualNorm<'_>,
    ) -> Tensor<3> {
        match self.final_norm {
            FinalNorm::Applied => {
                base_norm.with_own(self.norm.as_ref()).forward([output, residual])
            }
            FinalNorm::Omitted => output,
        }
    }

    /// The site's result; `base_norm` is used if the task has no norm of its own.
    ///
    /// # Shapes
    /// - residual, output, result: `[batch, sequence, d_model]`
    pub(crate) fn forward(
        &self,
        residual: Tensor<3>,
        output: Tensor<3>,
        base_norm: ResidualNorm<'_>,
    ) -> Tensor<3> {
        let norm = base_norm.with_own(self.norm.as_ref());
        let Some(bottleneck) = &self.bottleneck else {
            return norm.forward([output, residual]);
        };
        let input = self.input(&residual, &output, norm);
        let adapted = self.output(bottleneck, input.clone());
        let skip = match self.skip {
            ResidualSource::SublayerOutput => output,
            ResidualSource::Sum => output + residual.clone(),
            ResidualSource::BottleneckInput => input,
        };
        // `s · (1 + a)` is `s + s · a`, which the norm can add to the residual in one pass.
        let delta = match self.combine {
            Combine::Add => adapted,
            Combine::Multiply => adapted * skip.clone(),
        };
        let outer_norm = bottleneck.outer_norm.as_ref();
        match (self.outer_norm, outer_norm, self.final_norm) {
            (OuterNorm::Sum, Some(outer), FinalNorm::Applied) => {
                norm.forward([outer.forward([delta, skip]), residual])
            }
            (OuterNorm::Sum, Some(outer), FinalNorm::Omitted) => outer.forward([delta, skip]),
            (_, Some(outer), FinalNorm::Applied) => {
                norm.forward([outer.forward(delta), skip, residual])
            }
            (_, Some(outer), FinalNorm::Omitted) => outer.forward(delta) + skip,
            (_, None, FinalNorm::Applied) => norm.forward([delta, skip, residual]),
            (_, None, FinalNorm::Omitted) => delta + skip,
        }
    }
}
