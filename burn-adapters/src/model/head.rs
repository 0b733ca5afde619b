//! The head: pooling, dropout, and one linear layer or two.
//! For spans the same layers read every token instead of a pooled vector. The pooler itself belongs to the base.
//!
//! `create_model` in the reference code,
//! <https://github.com/google-research/adapter-bert/blob/0b9fc4e7ac01bd28dafde8933755cebea5777caf/run_classifier.py>,
//! and for spans
//! <https://github.com/google-research/bert/blob/1cd50d7aa7d26638e05eb5b8a282b30cc92c6eb6/run_squad.py>.

use std::collections::BTreeSet;
use std::fmt;

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Initializer, Linear};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData, assert_shape};
use burn_bert::PretrainedHead;
use burn_fused::LayerNorm;
use serde::{Deserialize, Serialize};

use crate::error::HeadError;
use crate::methods::Activation;
use crate::named_rng::NamedRng;

/// Initial standard deviation of the head's weights (`create_model` in the reference code).
const INIT_STD: f64 = 0.02;

/// How a text's hidden states become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The base's pooler, `tanh(W h + b)` of the first token: the paper's choice.
    Pooler,
    /// The hidden state of the first token, `[CLS]`.
    FirstToken,
    /// The mean over the text's tokens, without padding: how sentence encoders such as `MiniLM` were trained.
    Mean,
}

impl Pooling {
    /// Every pooling.
    pub const ALL: [Self; 3] = [Self::Pooler, Self::FirstToken, Self::Mean];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pooler => "pooler",
            Self::FirstToken => "first-token",
            Self::Mean => "mean",
        }
    }
}

/// The hidden state of the first token of each text.
///
/// # Shapes
/// - hidden: `[batch, sequence, d_model]`
/// - result: `[batch, d_model]`
pub fn first_token(hidden: Tensor<3>) -> Tensor<2> {
    hidden.narrow(1, 0, 1).squeeze_dim(1)
}

/// The mean over each text's tokens; `mask` is true for tokens and false for padding.
/// A row without tokens gives zeros.
///
/// # Shapes
/// - hidden: `[batch, sequence, d_model]`
/// - mask: `[batch, sequence]`
/// - result: `[batch, d_model]`
///
/// # Panics
/// If the shapes do not match.
pub fn mean_of_tokens(hidden: Tensor<3>, mask: Tensor<2, Bool>) -> Tensor<2> {
    let [batch, sequence, _] = hidden.dims();
    assert_shape!(mask, [batch, sequence]);
    // In the dtype of the hidden states, which may be half precision.
    let weight = mask.float().cast(hidden.dtype()).unsqueeze_dim::<3>(2); // [batch, sequence, 1]
    let count = weight.clone().sum_dim(1).clamp_min(1.0); // [batch, 1, 1]
    ((hidden * weight).sum_dim(1) / count).squeeze_dim(1)
}

/// The LayerNorm of a head.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadNorm {
    /// ε, added to the variance.
    pub epsilon: f64,
    /// Whether it has a shift.
    pub bias: bool,
}

/// Configuration of a [`Head`].
#[derive(Config, Debug)]
pub struct HeadConfig {
    /// Width of the hidden states.
    pub d_model: usize,
    /// One per class, label or tag, 1 for a regression, or 2 for a span.
    pub outputs: usize,
    /// Rate of the dropout before each linear layer, at least 0 and below 1.
    #[config(default = 0.1)]
    pub dropout: f64,
    /// Activation of a hidden layer, if there is one.
    pub hidden: Option<Activation>,
    /// Whether the hidden layer has a bias.
    #[config(default = true)]
    pub hidden_bias: bool,
    /// A LayerNorm before the last layer, if there is one.
    pub norm: Option<HeadNorm>,
}

/// Dropout and a linear layer: logits for a classification, the number itself for a regression.
///
/// `AdapterHub`'s head has a hidden layer in front: dropout, linear, tanh, dropout, linear. That of `ModernBERT` has a
/// LayerNorm after it.
#[derive(Module, Debug)]
pub struct Head {
    /// Before each linear layer, in training only.
    pub dropout: Dropout,
    /// `[d_model, d_model]`, if there is a hidden layer.
    pub hidden: Option<Linear>,
    /// `[d_model]`, before the last layer, if there is one.
    pub norm: Option<LayerNorm>,
    /// `[d_model, outputs]`
    pub linear: Linear,
    /// Activation after the hidden layer.
    #[module(skip)]
    pub activation: Option<Activation>,
}

impl HeadConfig {
    /// A head whose weights are drawn from `rng`; biases start at 0.
    ///
    /// # Panics
    /// If `dropout` is not a rate: at least 0 and below 1.
    pub fn init(&self, rng: &NamedRng, device: &Device) -> Head {
        let linear = |rng: &NamedRng, d_output, has_bias: bool| Linear {
            weight: rng.truncated_normal([self.d_model, d_output], INIT_STD, device),
            bias: has_bias.then(|| Initializer::Zeros.init([d_output], device)),
        };
        let norm = |config: HeadNorm| {
            let norm = LayerNorm::new(self.d_model, config.epsilon, device);
            if config.bias { norm } else { norm.without_beta() }
        };
        Head {
            dropout: DropoutConfig::new(self.dropout).init(),
            hidden: self
                .hidden
                .map(|_| linear(&rng.child("hidden"), self.d_model, self.hidden_bias)),
            norm: self.norm.map(norm),
            linear: linear(rng, self.outputs, true),
            activation: self.hidden,
        }
    }
}

impl Head {
    /// Logits of pooled texts.
    ///
    /// # Shapes
    /// - pooled: `[batch, d_model]`
    /// - result: `[batch, outputs]`
    pub fn forward(&self, pooled: Tensor<2>) -> Tensor<2> {
        self.forward_layers(pooled)
    }

    /// Logits of every token; for spans, that the answer starts there and that it ends there.
    ///
    /// # Shapes
    /// - hidden: `[batch, sequence, d_model]`
    /// - result: `[batch, sequence, outputs]`
    pub fn forward_tokens(&self, hidden: Tensor<3>) -> Tensor<3> {
        self.forward_layers(hidden)
    }

    /// The head whose output `i` is the output `order[i]` of this one.
    ///
    /// # Panics
    /// If there is no such output.
    #[must_use]
    pub fn with_outputs(mut self, order: &[usize]) -> Self {
        let order: Vec<i64> = order.iter().map(|output| *output as i64).collect();
        let device = self.linear.weight.lazy_device();
        let order = Tensor::<1, Int>::from_data(order.as_slice(), &device);
        self.linear.weight = self.linear.weight.map(|weight| weight.select(1, order.clone()));
        self.linear.bias =
            self.linear.bias.map(|bias| bias.map(|bias| bias.select(0, order.clone())));
        self
    }

    fn forward_layers<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let dense = |layer: &Linear, x| layer.forward(self.dropout.forward(x));
        let hidden = self.hidden.iter().zip(self.activation);
        let x = hidden.fold(x, |x, (layer, activation)| activation.forward(dense(layer, x)));
        let x = self.norm.iter().fold(x, |x, norm| {
            let shape = x.dims();
            let d_model = shape[D - 1];
            let rows = shape.iter().product::<usize>() / d_model.max(1);
            norm.forward(x.reshape([rows, 1, d_model])).reshape(shape)
        });
        dense(&self.linear, x)
    }

    /// The head whose layers before the last have the values of a checkpoint.
    ///
    /// # Panics
    /// If their shapes differ from those of this head.
    #[must_use]
    pub(crate) fn with_pretrained(mut self, pretrained: &PretrainedHead) -> Self {
        let PretrainedHead { weight, bias, gamma, beta } = pretrained;
        self.hidden = self.hidden.map(|hidden| Linear {
            weight: with_values(hidden.weight, weight),
            bias: hidden.bias.zip(bias.as_ref()).map(|(param, data)| with_values(param, data)),
        });
        self.norm = self.norm.map(|norm| LayerNorm {
            gamma: with_values(norm.gamma, gamma),
            beta: norm.beta.zip(beta.as_ref()).map(|(param, data)| with_values(param, data)),
            ..norm
        });
        self
    }
}

/// A parameter with other values.
fn with_values<const D: usize>(param: Param<Tensor<D>>, data: &TensorData) -> Param<Tensor<D>> {
    assert_eq!(param.lazy_shape().to_vec(), data.shape().to_vec(), "the shapes are equal");
    let (id, tensor) = (param.id, Tensor::from_data(data.clone(), &param.lazy_device()));
    param.transform_for_load(tensor, id)
}

/// What a head predicts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadKind {
    /// One logit per label.
    Classification {
        /// Names of the classes, in the order of the logits.
        labels: Vec<String>,
    },
    /// One logit per label; a text has each of the labels or not, whatever the others.
    MultiLabel {
        /// Names of the labels, in the order of the logits.
        labels: Vec<String>,
    },
    /// One number.
    Regression,
    /// Two logits of each token: that the answer starts there, and that it ends there. Such a task pools with
    /// [`Pooling::FirstToken`], so that no unused pooler trains.
    Span,
    /// One logit of each token per label, such as `B-product` of named entities. Such a task pools as a span's does.
    TokenClassification {
        /// Names of the tags, in the order of the logits.
        labels: Vec<String>,
    },
}

impl HeadKind {
    /// The most outputs of a head without names, so that a damaged file cannot ask for more names than fit into memory.
    pub(crate) const MAX_UNNAMED: usize = 1 << 20;

    /// A classification with classes of these names, for a head with this many outputs.
    ///
    /// # Errors
    /// If the head has one output, which is a score; if the numbers of labels and outputs differ; or if a label is empty
    /// or a duplicate.
    pub fn with_labels(labels: Vec<String>, outputs: usize) -> Result<Self, HeadError> {
        if outputs == 1 {
            return Err(HeadError::LabelsOfScore { labels });
        }
        if labels.len() != outputs {
            return Err(HeadError::LabelCount { labels, outputs });
        }
        let kind = Self::Classification { labels };
        kind.check()?;
        Ok(kind)
    }

    /// The same outputs, each of which is a label that a text has or not.
    ///
    /// A head with one output has no name for it; its label is `LABEL_0`, as in `transformers`.
    #[must_use]
    pub fn into_multi_label(self) -> Self {
        match self {
            Self::Classification { labels } | Self::MultiLabel { labels } => {
                Self::MultiLabel { labels }
            }
            Self::Regression => Self::MultiLabel { labels: vec![numbered_label(0)] },
            other @ (Self::Span | Self::TokenClassification { .. }) => other,
        }
    }

    /// The head of a file that gives only the number of outputs: a regression for one, and otherwise a classification
    /// whose labels are numbered as in `transformers`: `LABEL_0`, `LABEL_1` and so on.
    pub fn unnamed(outputs: usize) -> Self {
        match outputs {
            1 => Self::Regression,
            _ => Self::Classification { labels: (0..outputs).map(numbered_label).collect() },
        }
    }

    /// The same head with other names of its classes, one for each output in their order.
    ///
    /// # Errors
    /// If the head has no classes; if the numbers of labels and outputs differ; or if a label is empty or a duplicate.
    pub fn relabeled(self, labels: Vec<String>) -> Result<Self, HeadError> {
        let outputs = self.outputs();
        let kind = match self {
            Self::Classification { .. } => return Self::with_labels(labels, outputs),
            Self::MultiLabel { .. } | Self::TokenClassification { .. }
                if labels.len() != outputs =>
            {
                return Err(HeadError::LabelCount { labels, outputs });
            }
            Self::MultiLabel { .. } => Self::MultiLabel { labels },
            Self::TokenClassification { .. } => Self::TokenClassification { labels },
            Self::Regression => return Err(HeadError::LabelsOfScore { labels }),
            Self::Span => return Err(HeadError::LabelsOfSpan { labels }),
        };
        kind.check()?;
        Ok(kind)
    }

    /// The same labels for each word instead of each text; a score becomes one label.
    #[must_use]
    pub fn into_words(self) -> Self {
        match self {
            Self::Classification { labels } => Self::TokenClassification { labels },
            Self::Regression => Self::TokenClassification { labels: vec![numbered_label(0)] },
            other => other,
        }
    }

    /// Whether its classes have only numbers, as in [`unnamed`](Self::unnamed).
    pub fn is_unnamed(&self) -> bool {
        let Some(labels) = self.labels() else { return false };
        labels.iter().enumerate().all(|(id, label)| *label == numbered_label(id))
    }

    /// Whether the head reads every token, and not one vector per text.
    pub fn reads_tokens(&self) -> bool {
        match self {
            Self::Classification { .. } | Self::MultiLabel { .. } | Self::Regression => false,
            Self::Span | Self::TokenClassification { .. } => true,
        }
    }

    /// Checks that labels identify the classes.
    ///
    /// # Errors
    /// If a label is empty or a duplicate.
    pub fn check(&self) -> Result<(), HeadError> {
        let Some(labels) = self.labels() else { return Ok(()) };
        let mut seen = BTreeSet::new();
        match labels.iter().find(|label| label.is_empty() || !seen.insert(*label)) {
            None => Ok(()),
            Some(label) if label.is_empty() => Err(HeadError::EmptyLabel),
            Some(label) => Err(HeadError::DuplicateLabel { label: label.clone() }),
        }
    }

    /// The names of the classes or labels, if the outputs have names.
    pub fn labels(&self) -> Option<&[String]> {
        match self {
            Self::Classification { labels }
            | Self::MultiLabel { labels }
            | Self::TokenClassification { labels } => Some(labels),
            Self::Regression | Self::Span => None,
        }
    }

    /// The number of outputs.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Classification { labels }
            | Self::MultiLabel { labels }
            | Self::TokenClassification { labels } => labels.len(),
            Self::Regression => 1,
            Self::Span => 2,
        }
    }
}

impl fmt::Display for HeadKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classification { labels } => write!(formatter, "{} labels", labels.len()),
            Self::MultiLabel { labels } => {
                write!(formatter, "any of {} labels", labels.len())
            }
            Self::Regression => formatter.write_str("a score"),
            Self::Span => formatter.write_str("answer spans"),
            Self::TokenClassification { labels } => {
                write!(formatter, "{} labels of words", labels.len())
            }
        }
    }
}

fn numbered_label(id: usize) -> String {
    format!("LABEL_{id}")
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tolerance;

    use super::*;

    #[test]
    fn the_mean_leaves_padding_out() {
        let device = Device::flex();
        let hidden = Tensor::<3>::from_data(
            [[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]], [[5.0, 7.0], [9.0, 9.0], [9.0, 9.0]]],
            &device,
        );
        let mask =
            Tensor::<2, Bool>::from_data([[true, true, false], [true, false, false]], &device);
        let mean = mean_of_tokens(hidden.clone(), mask).into_data();
        mean.assert_approx_eq::<f32>(
            &TensorData::from([[2.0, 4.0], [5.0, 7.0]]),
            Tolerance::absolute(1e-6),
        );
        let first = first_token(hidden).into_data();
        first.assert_approx_eq::<f32>(
            &TensorData::from([[1.0, 2.0], [5.0, 7.0]]),
            Tolerance::absolute(0.0),
        );
    }

    #[test]
    fn a_row_of_padding_gives_zeros() {
        let device = Device::flex();
        let mask = Tensor::<2, Bool>::from_data([[false, false]], &device);
        let mean = mean_of_tokens(Tensor::ones([1, 2, 3], &device), mask).into_data();
        assert_eq!(mean.try_to_vec::<f32>().unwrap(), [0.0; 3]);
    }

    #[test]
    fn a_head_reads_each_token_as_it_reads_a_pooled_text() {
        let device = Device::flex();
        let head = HeadConfig::new(8, 2).init(&NamedRng::new(3), &device);
        let hidden = Tensor::<1, Int>::arange(0..48, &device).float().sin().reshape([2, 3, 8]);
        let logits = head.forward_tokens(hidden.clone());
        assert_eq!(logits.dims(), [2, 3, 2]);
        let first = head.forward(first_token(hidden)).into_data();
        first_token(logits).into_data().assert_approx_eq::<f32>(&first, Tolerance::absolute(1e-6));
    }

    #[test]
    fn a_hidden_layer_does_not_change_how_the_last_one_starts() {
        let (device, rng) = (Device::flex(), NamedRng::new(3));
        let config = HeadConfig::new(8, 2);
        let without = config.init(&rng, &device);
        let with = config.with_hidden(Some(Activation::Tanh)).init(&rng, &device);
        assert_eq!(with.num_params(), without.num_params() + 8 * 8 + 8);
        let pooled = Tensor::<1, Int>::arange(0..24, &device).float().sin().reshape([3, 8]);
        let hidden = with.hidden.as_ref().unwrap().forward(pooled.clone()).tanh();
        let expected = without.forward(hidden).into_data();
        with.forward(pooled)
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::absolute(0.0));
    }

    #[test]
    fn outputs_change_places() {
        let device = Device::flex();
        let head = HeadConfig::new(8, 3).init(&NamedRng::new(3), &device);
        let pooled = Tensor::<1, Int>::arange(0..16, &device).float().sin().reshape([2, 8]);
        let before = head.forward(pooled.clone());
        let after = head.with_outputs(&[2, 0, 1]).forward(pooled);
        let expected =
            Tensor::cat([2, 0, 1].map(|output| before.clone().narrow(1, output, 1)).to_vec(), 1);
        after.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(0.0));
    }

    #[test]
    fn a_head_starts_small_and_without_bias() {
        let head = HeadConfig::new(32, 3).init(&NamedRng::new(0), &Device::flex());
        let weights = head.linear.weight.val().into_data().try_to_vec::<f32>().unwrap();
        assert!(weights.iter().all(|weight| weight.abs() <= 0.04));
        assert_eq!(
            head.linear.bias.unwrap().val().into_data().try_to_vec::<f32>().unwrap(),
            [0.0; 3]
        );
    }
}
