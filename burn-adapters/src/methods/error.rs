//! Errors of plans.

/// A plan cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A bottleneck of width 0.
    #[error("the adapter size is 0, expected the width of the bottleneck: 1 or more")]
    EmptyBottleneck,

    /// A standard deviation that is not finite and positive.
    #[error(
        "the adapters' init_std is {found}, expected a finite number above 0 (the paper has 0.01)"
    )]
    InitStd {
        /// The value in the plan.
        found: f64,
    },

    /// An ε that is not finite and positive.
    #[error("the ε of the adapters' inner norm is {found}, expected a finite number above 0")]
    Epsilon {
        /// The value in the plan.
        found: f64,
    },

    /// A factor that is not finite.
    #[error("{what} is {found}, expected a finite number")]
    Factor {
        /// Which factor.
        what: &'static str,
        /// The value in the plan.
        found: f64,
    },

    /// A size of 0.
    #[error("{what} is 0, expected 1 or more")]
    Zero {
        /// Which size.
        what: &'static str,
    },

    /// Modules at projections, without projections.
    #[error("the adapter settings have {what} but name no projection for it")]
    NoProjections {
        /// The modules.
        what: &'static str,
    },

    /// Parallel adapters that are not added to the sub-layer's output.
    #[error(
        "the adapters in parallel have a `skip`, but they are added to what the sub-layer made (`made`)"
    )]
    SkipInParallel,

    /// Both a gate and PEFT's formula of DoRA.
    #[error(
        "the adapter settings combine DoRA by PEFT's formula with gates, which only AdapterHub's formula supports"
    )]
    GatedDora,

    /// A depth outside the range.
    #[error("the adapters' depth is {found}, expected 1 (the paper's) to {highest} layers")]
    Depth {
        /// The depth in the plan.
        found: usize,
        /// The highest depth.
        highest: usize,
    },

    /// A text that names no layers.
    #[error(
        "`{found}` names no layers; expected `all`, a range such as `3..` or `0..4` (without layer 4), or a list such as `0,2,5`"
    )]
    UnknownLayers {
        /// The text.
        found: String,
    },

    /// An empty list of layers.
    #[error("the list of layers with adapters is empty; name layers, or `all`")]
    NoLayers,

    /// A layer that the base does not have.
    #[error("the adapter settings put an adapter into layer {layer}, but the base has {n_layers} layers (0 to {})", n_layers.saturating_sub(1))]
    LayerOutOfRange {
        /// The highest layer of the plan, from 0.
        layer: usize,
        /// Layers of the base.
        n_layers: usize,
    },

    /// A number of trained layers outside the range.
    #[error("the method trains the top {layers} layers, expected 1 to {n_layers}")]
    TopLayers {
        /// The value in the plan.
        layers: usize,
        /// Layers of the base.
        n_layers: usize,
    },

    /// An unknown method.
    #[error("there is no method `{found}`; the methods are {}", known.join(", "))]
    UnknownMethod {
        /// The name.
        found: String,
        /// The names of all methods.
        known: &'static [&'static str],
    },
}
