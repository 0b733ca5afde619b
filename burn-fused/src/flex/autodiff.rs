//! The operations as nodes of Burn's autodiff graph: the state of each, and its gradients.
//!
//! Gradients are computed only for tracked tensors, so that frozen weights cost nothing.

use std::fmt::Debug;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex, TensorMetadata};
use burn::tensor::Shape;
use burn_flex::FlexTensor;

use super::attention::{Heads, Operands};
use super::dropout::Mask;
use super::rotary::Turn;
use super::{FusedOps, activation, attention, dropout, linear, norm, rotary};
use crate::rotary::Rotary;
use crate::types::Activation;

#[derive(Debug)]
struct LinearBackward;

#[derive(Debug, Clone)]
struct LinearState {
    x_shape: Shape,
    /// Stored if the weight is trainable.
    x: Option<FlexTensor>,
    weight: FlexTensor,
}

impl Backward<Flex, 3> for LinearBackward {
    type State = LinearState;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        let [x, weight, bias] = ops.parents;
        if let (Some(node), Some(x)) = (weight, &ops.state.x) {
            gradients.register::<Flex>(node.id, linear::backward_weight(x, &gradient));
        }
        if let Some(node) = bias {
            gradients.register::<Flex>(node.id, linear::backward_bias(&gradient));
        }
        if let Some(node) = x {
            let gradient = linear::backward_x(&gradient, &ops.state.weight, ops.state.x_shape);
            gradients.register::<Flex>(node.id, gradient);
        }
    }
}

/// The backward pass of an operation on one tensor: from the gradient of its output and its state, that of its input.
#[derive(Debug)]
struct UnaryBackward<S>(fn(FlexTensor, S) -> FlexTensor);

impl<S: Clone + Send + Debug + 'static> Backward<Flex, 1> for UnaryBackward<S> {
    type State = S;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        let [x] = ops.parents;
        if let Some(node) = x {
            gradients.register::<Flex>(node.id, (self.0)(gradient, ops.state));
        }
    }
}

/// The output of an operation on one tensor as a node of the graph.
fn unary<C: CheckpointStrategy, S: Clone + Send + Debug + 'static>(
    input: NodeGuard,
    output: FlexTensor,
    state: S,
    backward: fn(FlexTensor, S) -> FlexTensor,
) -> FloatTensor<Autodiff<Flex, C>> {
    match UnaryBackward(backward).prepare::<C>([input]).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(state, output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    }
}

#[derive(Debug)]
struct LayerNormBackward;

impl Backward<Flex, 5> for LayerNormBackward {
    type State = (norm::LayerNormState, FlexTensor);

    fn backward(
        self,
        ops: Ops<Self::State, 5>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        let [first, second, third, gamma, beta] = ops.parents;
        let (saved, gamma_value) = ops.state;
        if gamma.is_some() || beta.is_some() {
            let parameters = norm::backward_parameters(&gradient, &saved);
            for (node, gradient) in [gamma, beta].into_iter().zip(parameters) {
                if let Some(node) = node {
                    gradients.register::<Flex>(node.id, gradient);
                }
            }
        }
        let mut inputs = [first, second, third].into_iter().flatten().peekable();
        if inputs.peek().is_some() {
            let gradient = norm::backward(&gradient, &saved, &gamma_value);
            for node in inputs {
                gradients.register::<Flex>(node.id, gradient.clone());
            }
        }
    }
}

#[derive(Debug)]
struct AttentionBackward;

#[derive(Debug, Clone)]
struct AttentionState {
    operands: Operands,
    normaliser: FlexTensor,
    heads: Heads,
}

impl Backward<Flex, 6> for AttentionBackward {
    type State = AttentionState;

    fn backward(
        self,
        ops: Ops<Self::State, 6>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        let AttentionState { operands, normaliser, heads } = ops.state;
        let wants = [3, 4, 5].map(|parent| ops.parents[parent].is_some());
        let found = attention::backward(&gradient, &operands, &normaliser, &heads, wants);
        let of_texts = [found.query, found.key, found.value].map(Some);
        let found = of_texts.into_iter().chain(found.shared);
        for (node, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                gradients.register::<Flex>(node.id, gradient);
            }
        }
    }
}

impl<C: CheckpointStrategy> FusedOps for Autodiff<Flex, C> {
    fn fused_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let weight_trains = weight.is_tracked();
        let (x, x_node) = x.into_parts();
        let (weight, weight_node) = weight.into_parts();
        let (bias, bias_node) = bias.into_parts();
        let output = linear::forward(&x, &weight, &bias);
        let nodes = [x_node, weight_node, bias_node];
        match LinearBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let x_shape = x.shape();
                let state = LinearState { x_shape, x: weight_trains.then_some(x), weight };
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn fused_activation(x: FloatTensor<Self>, kind: Activation) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        let output = activation::forward(&x, kind);
        unary::<C, _>(node, output, (x, kind), |gradient, (x, kind)| {
            activation::backward(gradient, &x, kind)
        })
    }

    fn fused_gated_activation(x: FloatTensor<Self>, kind: Activation) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        let output = activation::gated_forward(&x, kind);
        unary::<C, _>(node, output, (x, kind), |gradient, (x, kind)| {
            activation::gated_backward(&gradient, &x, kind)
        })
    }

    fn fused_rotary(x: FloatTensor<Self>, rotary: Rotary) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        let output = rotary::rotate(x, &rotary, Turn::Forward);
        unary::<C, _>(node, output, rotary, |gradient, rotary| {
            rotary::rotate(gradient, &rotary, Turn::Back)
        })
    }

    fn fused_dropout(x: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        unary::<C, _>(node, dropout::apply(x, mask), mask, dropout::apply)
    }

    fn fused_layer_norm(
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        third: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let (first, first_node) = first.into_parts();
        let (second, second_node) = second.into_parts();
        let (third, third_node) = third.into_parts();
        let (gamma, gamma_node) = gamma.into_parts();
        let (beta, beta_node) = beta.into_parts();

        let output = norm::forward([&first, &second, &third], &gamma, &beta, epsilon);
        let nodes = [first_node, second_node, third_node, gamma_node, beta_node];
        match LayerNormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((output.state, gamma), output.normed),
            OpsKind::UnTracked(prep) => prep.finish(output.normed),
        }
    }

    fn fused_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        relative_key: FloatTensor<Self>,
        relative_query: FloatTensor<Self>,
        heads: Heads,
    ) -> FloatTensor<Self> {
        let (query, query_node) = query.into_parts();
        let (key, key_node) = key.into_parts();
        let (value, value_node) = value.into_parts();
        let (bias, bias_node) = bias.into_parts();
        let (relative_key, relative_key_node) = relative_key.into_parts();
        let (relative_query, relative_query_node) = relative_query.into_parts();
        let operands = Operands { query, key, value, bias, relative_key, relative_query };
        let output = attention::forward(&operands, &heads);
        let nodes =
            [query_node, key_node, value_node, bias_node, relative_key_node, relative_query_node];
        match AttentionBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let normaliser = output.normaliser;
                let state = AttentionState { operands, normaliser, heads };
                prep.finish(state, output.context)
            }
            OpsKind::UnTracked(prep) => prep.finish(output.context),
        }
    }
}
