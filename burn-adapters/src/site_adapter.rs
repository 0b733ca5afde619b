//! What stands at one site of a layer: a bottleneck, the task's own norm, and how the two meet BERT's sum.

use burn::module::Module;
use burn::tensor::Tensor;
use burn_fused::LayerNorm;

use crate::bottleneck::Bottleneck;
use crate::bottleneck_plan::{
    BottleneckPlan, Closing, Combine, OuterNorm, Placement, ResidualSource,
};

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
    #[module(skip)]
    skip: ResidualSource,
    #[module(skip)]
    outer_norm: OuterNorm,
    #[module(skip)]
    closing: Closing,
}

impl SiteAdapter {
    /// A site with a bottleneck as a plan has it, or without.
    pub(crate) fn new(
        plan: Option<&BottleneckPlan>,
        bottleneck: Option<Bottleneck>,
        norm: Option<LayerNorm>,
    ) -> Self {
        Self {
            bottleneck,
            norm,
            placement: plan.map_or(Placement::Serial, |plan| plan.placement),
            combine: plan.map_or(Combine::Add, |plan| plan.combine),
            skip: plan.map_or(ResidualSource::SublayerOutput, |plan| plan.skip),
            outer_norm: plan.map_or(OuterNorm::None, |plan| plan.outer_norm),
            closing: plan.map_or(Closing::Norm, |plan| plan.closing),
        }
    }

    /// What the bottleneck reads; `norm` is the one that closes the site.
    ///
    /// # Shapes
    /// - residual, output, result: `[batch, sequence, d_model]`
    pub(crate) fn input(
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

    fn output(&self, bottleneck: &Bottleneck, read: Tensor<3>) -> Tensor<3> {
        let answer = bottleneck.forward(read);
        match self.placement {
            Placement::Serial | Placement::AfterNorm => answer,
            Placement::Parallel { scaling } => answer * scaling,
        }
    }

    /// What the bottleneck adds to what the sub-layer made, if there is a bottleneck.
    ///
    /// Where its answer is added to something else, the difference is part of the change; where the site closes with
    /// nothing, whoever asks closes it with a norm all the same.
    ///
    /// # Shapes
    /// - residual, output, result: `[batch, sequence, d_model]`
    pub(crate) fn delta(
        &self,
        residual: &Tensor<3>,
        output: &Tensor<3>,
        norm: &LayerNorm,
    ) -> Option<Tensor<3>> {
        let bottleneck = self.bottleneck.as_ref()?;
        let read = self.input(residual, output, norm);
        let answer = self.output(bottleneck, read.clone());
        // What is added to, beyond what the sub-layer made.
        let beyond = match self.skip {
            ResidualSource::SublayerOutput => None,
            ResidualSource::Sum => Some(residual.clone()),
            ResidualSource::BottleneckInput => Some(read - output.clone()),
        };
        let skip = beyond.iter().fold(output.clone(), |skip, beyond| skip + beyond.clone());
        let change = match self.combine {
            Combine::Add => answer,
            Combine::Multiply => answer * skip.clone(),
        };
        let change = match (self.outer_norm, &bottleneck.outer_norm) {
            (OuterNorm::Sum, Some(outer)) => outer.forward([change, skip.clone()]) - skip,
            (_, Some(outer)) => outer.forward(change),
            (_, None) => change,
        };
        Some(beyond.into_iter().fold(change, |change, beyond| change + beyond))
    }

    /// Closes the site over what a sub-layer made, with all changes in it; `base_norm` is used where the task has no norm
    /// of its own.
    ///
    /// # Shapes
    /// - residual, output, result: `[batch, sequence, d_model]`
    pub(crate) fn norm_after_delta(
        &self,
        residual: Tensor<3>,
        output: Tensor<3>,
        base_norm: &LayerNorm,
    ) -> Tensor<3> {
        match self.closing {
            Closing::Norm => self.norm.as_ref().unwrap_or(base_norm).forward([output, residual]),
            Closing::None => output,
        }
    }

    /// The site's result; `base_norm` closes it where the task has no norm of its own.
    ///
    /// # Shapes
    /// - residual, output, result: `[batch, sequence, d_model]`
    pub(crate) fn forward(
        &self,
        residual: Tensor<3>,
        output: Tensor<3>,
        base_norm: &LayerNorm,
    ) -> Tensor<3> {
        let norm = self.norm.as_ref().unwrap_or(base_norm);
        let Some(bottleneck) = &self.bottleneck else {
            return norm.forward([output, residual]);
        };
        let read = self.input(&residual, &output, norm);
        let answer = self.output(bottleneck, read.clone());
        let skip = match self.skip {
            ResidualSource::SublayerOutput => output,
            ResidualSource::Sum => output + residual.clone(),
            ResidualSource::BottleneckInput => read,
        };
        // `s · (1 + a)` is `s + s · a`, which the norm can sum with the residual.
        let change = match self.combine {
            Combine::Add => answer,
            Combine::Multiply => answer * skip.clone(),
        };
        let outer_norm = bottleneck.outer_norm.as_ref();
        match (self.outer_norm, outer_norm, self.closing) {
            (OuterNorm::Sum, Some(outer), Closing::Norm) => {
                norm.forward([outer.forward([change, skip]), residual])
            }
            (OuterNorm::Sum, Some(outer), Closing::None) => outer.forward([change, skip]),
            (_, Some(outer), Closing::Norm) => {
                norm.forward([outer.forward(change), skip, residual])
            }
            (_, Some(outer), Closing::None) => outer.forward(change) + skip,
            (_, None, Closing::Norm) => norm.forward([change, skip, residual]),
            (_, None, Closing::None) => change + skip,
        }
    }
}
