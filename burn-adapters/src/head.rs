//! The head: one vector per text, dropout, one linear layer or two; and the losses that train it.
//! For answers inside a text the same layer reads every token instead. The pooler itself belongs to the base.
//!
//! `create_model` in the reference code,
//! <https://github.com/google-research/adapter-bert/blob/0b9fc4e7ac01bd28dafde8933755cebea5777caf/run_classifier.py>,
//! and for spans
//! <https://github.com/google-research/bert/blob/1cd50d7aa7d26638e05eb5b8a282b30cc92c6eb6/run_squad.py>.

use std::collections::BTreeSet;
use std::fmt;

use burn::config::Config;
use burn::module::Module;
use burn::nn::loss::{CrossEntropyLossConfig, MseLoss, Reduction};
use burn::nn::{Dropout, DropoutConfig, Initializer, Linear};
use burn::tensor::{Bool, Device, Int, Tensor, assert_shape};
use serde::{Deserialize, Serialize};

use crate::bottleneck::Activation;
use crate::error::AdapterError;
use crate::init::NamedRng;

/// Standard deviation of the head's weights at the start (`create_model` in the reference code).
const INIT_STD: f64 = 0.02;
/// The logit of a padding position as the start or end of a span: far below any other, and finite.
const MASKED_LOGIT: f32 = -1e9;

/// How a text's hidden states become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The base's pooler, `tanh(W h + b)` of the first token: the paper's choice.
    Pooler,
    /// The first token (`[CLS]`) as it is.
    FirstToken,
    /// The mean over the text's tokens, padding left out: how sentence encoders such as `MiniLM` were trained.
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

/// The first token of each text.
///
/// # Shapes
/// - hidden: `[batch, sequence, d_model]`
/// - result: `[batch, d_model]`
pub fn first_token(hidden: Tensor<3>) -> Tensor<2> {
    hidden.narrow(1, 0, 1).squeeze_dim(1)
}

/// The mean over each text's tokens; `mask` is true where there is a token and false on padding.
/// A row without any token gives zeros.
///
/// # Shapes
/// - hidden: `[batch, sequence, d_model]`
/// - mask: `[batch, sequence]`
/// - result: `[batch, d_model]`
///
/// # Panics
/// If the two shapes do not belong together.
pub fn mean_of_tokens(hidden: Tensor<3>, mask: Tensor<2, Bool>) -> Tensor<2> {
    let [batch, sequence, _] = hidden.dims();
    assert_shape!(mask, [batch, sequence]);
    // In the dtype of the hidden states, which may be half precision.
    let weight = mask.float().cast(hidden.dtype()).unsqueeze_dim::<3>(2); // [batch, sequence, 1]
    let count = weight.clone().sum_dim(1).clamp_min(1.0); // [batch, 1, 1]
    ((hidden * weight).sum_dim(1) / count).squeeze_dim(1)
}

/// Configuration of a [`Head`].
#[derive(Config, Debug)]
pub struct HeadConfig {
    /// Width of the hidden states.
    pub d_model: usize,
    /// One per class, 1 for a regression, or 2 for a span.
    pub outputs: usize,
    /// Rate of the dropout before each linear layer, at least 0 and below 1.
    #[config(default = 0.1)]
    pub dropout: f64,
    /// Activation of a hidden layer, if there is one.
    pub hidden: Option<Activation>,
}

/// Dropout and a linear layer: logits for a classification, the number itself for a regression.
///
/// `AdapterHub`'s head has a hidden layer in front: dropout, linear, tanh, dropout, linear.
#[derive(Module, Debug)]
pub struct Head {
    /// Before each linear layer that reads pooled texts, in training only.
    pub dropout: Dropout,
    /// `[d_model, d_model]`, if there is a hidden layer.
    pub hidden: Option<Linear>,
    /// `[d_model, outputs]`
    pub linear: Linear,
    /// What follows the hidden layer.
    #[module(skip)]
    pub activation: Option<Activation>,
}

impl HeadConfig {
    /// A head whose weights are drawn from `stream`; the bias starts at 0.
    ///
    /// # Panics
    /// If `dropout` is not a rate: at least 0 and below 1.
    pub fn init(&self, stream: &NamedRng, device: &Device) -> Head {
        let linear = |stream: &NamedRng, d_output| Linear {
            weight: stream.truncated_normal([self.d_model, d_output], INIT_STD, device),
            bias: Some(Initializer::Zeros.init([d_output], device)),
        };
        Head {
            dropout: DropoutConfig::new(self.dropout).init(),
            hidden: self.hidden.map(|_| linear(&stream.child("hidden"), self.d_model)),
            linear: linear(stream, self.outputs),
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
        self.read(pooled, |x| self.dropout.forward(x))
    }

    /// Logits of every token; those of a span say that it starts there and that it ends there.
    ///
    /// Nothing is dropped out in front: the reference's `create_model` and `BertForQuestionAnswering` read the encoder's
    /// states as they are.
    ///
    /// # Shapes
    /// - hidden: `[batch, sequence, d_model]`
    /// - result: `[batch, sequence, outputs]`
    pub fn forward_tokens(&self, hidden: Tensor<3>) -> Tensor<3> {
        self.read(hidden, |x| x)
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

    fn read<const D: usize>(
        &self,
        x: Tensor<D>,
        before: impl Fn(Tensor<D>) -> Tensor<D>,
    ) -> Tensor<D> {
        let hidden = self.hidden.iter().zip(self.activation);
        let x =
            hidden.fold(x, |x, (layer, activation)| activation.forward(layer.forward(before(x))));
        self.linear.forward(before(x))
    }
}

/// What a head's outputs mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadKind {
    /// One logit per label.
    Classification {
        /// Names of the classes, in the order of the logits.
        labels: Vec<String>,
    },
    /// One number.
    Regression,
    /// Two logits of each token: an answer starts there, and an answer ends there. Such a task pools with
    /// [`Pooling::FirstToken`], so that no pooler trains that nobody reads.
    Span,
}

impl HeadKind {
    /// A classification with classes of these names, for a head with so many outputs.
    ///
    /// # Errors
    /// If the head has one output, which is a score; if there are more or fewer labels than outputs; or if a label is
    /// empty or there twice.
    pub fn with_labels(labels: Vec<String>, outputs: usize) -> Result<Self, AdapterError> {
        if outputs == 1 {
            return Err(AdapterError::LabelsOfScore { labels });
        }
        if labels.len() != outputs {
            return Err(AdapterError::LabelCount { labels, outputs });
        }
        let kind = Self::Classification { labels };
        kind.check()?;
        Ok(kind)
    }

    /// Whether its classes have numbers and no names, as `transformers` numbers them: `LABEL_0`, `LABEL_1` and so on.
    pub fn is_unnamed(&self) -> bool {
        let Self::Classification { labels } = self else { return false };
        labels.iter().enumerate().all(|(id, label)| *label == format!("LABEL_{id}"))
    }

    /// Checks that every class can be known by its name.
    ///
    /// # Errors
    /// If a label is empty or there twice.
    pub fn check(&self) -> Result<(), AdapterError> {
        let Self::Classification { labels } = self else { return Ok(()) };
        let mut seen = BTreeSet::new();
        match labels.iter().find(|label| label.is_empty() || !seen.insert(*label)) {
            None => Ok(()),
            Some(label) if label.is_empty() => Err(AdapterError::EmptyLabel),
            Some(label) => Err(AdapterError::DuplicateLabel { label: label.clone() }),
        }
    }

    /// The names of the classes, if the outputs are classes.
    pub fn labels(&self) -> Option<&[String]> {
        match self {
            Self::Classification { labels } => Some(labels),
            Self::Regression | Self::Span => None,
        }
    }

    /// How many outputs the head has.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Classification { labels } => labels.len(),
            Self::Regression => 1,
            Self::Span => 2,
        }
    }
}

impl fmt::Display for HeadKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classification { labels } => write!(formatter, "{} labels", labels.len()),
            Self::Regression => formatter.write_str("a score"),
            Self::Span => formatter.write_str("answer spans"),
        }
    }
}

/// The targets of a batch, for the loss of a head.
#[derive(Debug, Clone)]
pub enum Targets {
    /// `[batch]`, the index of each text's class.
    Classes(Tensor<1, Int>),
    /// `[batch]`
    Scores(Tensor<1>),
    /// `[batch, 2]`, the first and the last token of each answer.
    Spans(Tensor<2, Int>),
}

/// The loss of a batch, and its logits.
#[derive(Debug)]
pub struct HeadOutput {
    /// The mean loss, `[1]`; 0 without targets.
    pub loss: Tensor<1>,
    /// `[batch, outputs]`; of tokens `[batch, outputs * sequence]`, output by output.
    pub logits: Tensor<2>,
}

impl Targets {
    /// Whether the head reads every token, and not one vector per text.
    pub fn are_of_tokens(&self) -> bool {
        match self {
            Self::Classes(_) | Self::Scores(_) => false,
            Self::Spans(_) => true,
        }
    }

    /// The loss of a head that reads one vector per text.
    ///
    /// # Shapes
    /// - logits: `[batch, outputs]`
    ///
    /// # Panics
    /// If the targets [are of tokens](Self::are_of_tokens).
    pub(crate) fn text_output(&self, logits: Tensor<2>) -> HeadOutput {
        let loss = match self {
            Self::Classes(classes) => classification_loss(logits.clone(), classes.clone()),
            Self::Scores(scores) => regression_loss(logits.clone(), scores.clone()),
            Self::Spans(_) => panic!("the targets of spans are of tokens"),
        };
        HeadOutput { loss, logits }
    }

    /// The loss of a head that reads every token. The logits of padding are masked.
    ///
    /// Padding is never an answer, and its hidden states depend on how they were computed: cached ones are zeros. The
    /// reference code counts padding up to its fixed length as further wrong positions.
    ///
    /// # Shapes
    /// - logits: `[batch, sequence, outputs]`
    /// - attention_mask: `[batch, sequence]`, true for a token
    ///
    /// # Panics
    /// If the targets are not [of tokens](Self::are_of_tokens).
    pub(crate) fn token_output(
        &self,
        logits: Tensor<3>,
        attention_mask: &Tensor<2, Bool>,
    ) -> HeadOutput {
        let [batch, sequence, outputs] = logits.dims();
        let padding = attention_mask.clone().bool_not().unsqueeze_dim::<3>(2);
        let logits = logits.mask_fill(padding.expand([batch, sequence, outputs]), MASKED_LOGIT);
        let loss = match self {
            Self::Spans(spans) => span_loss(logits.clone(), spans.clone()),
            Self::Classes(_) | Self::Scores(_) => panic!("the targets of texts are not of tokens"),
        };
        HeadOutput { loss, logits: logits.swap_dims(1, 2).reshape([batch, outputs * sequence]) }
    }
}

/// Softmax cross-entropy, the mean over the batch.
///
/// # Shapes
/// - logits: `[batch, outputs]`
/// - labels: `[batch]`, each in `0..outputs`
/// - result: `[1]`
pub fn classification_loss(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    CrossEntropyLossConfig::new().init(&logits.device()).forward(logits, labels)
}

/// Mean squared error over the batch.
///
/// # Shapes
/// - outputs: `[batch, 1]`
/// - targets: `[batch]`
/// - result: `[1]`
///
/// # Panics
/// If there is not exactly one output per target.
pub fn regression_loss(outputs: Tensor<2>, targets: Tensor<1>) -> Tensor<1> {
    let [batch] = targets.dims();
    assert_shape!(outputs, [batch, 1]);
    MseLoss::new().forward(outputs.squeeze_dim::<1>(1), targets, Reduction::Mean)
}

/// Softmax cross-entropy over the positions of each text: the mean of that of the starts and that of the ends, over the
/// batch. Padding takes part, as in the reference code, and is soon known to be no answer.
///
/// # Shapes
/// - logits: `[batch, sequence, 2]`
/// - spans: `[batch, 2]`, first and last token, each in `0..sequence`
/// - result: `[1]`
///
/// # Panics
/// If the shapes do not belong together.
pub fn span_loss(logits: Tensor<3>, spans: Tensor<2, Int>) -> Tensor<1> {
    let [batch, sequence, _] = logits.dims();
    assert_shape!(logits, [batch, sequence, 2]);
    assert_shape!(spans, [batch, 2]);
    // One text for the starts and one for the ends.
    let logits = logits.swap_dims(1, 2).reshape([2 * batch, sequence]);
    classification_loss(logits, spans.reshape([2 * batch]))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{TensorData, Tolerance};

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
    fn losses_have_their_textbook_values() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_data([[0.0, 0.0], [3.0_f32.ln(), 0.0]], &device);
        let labels = Tensor::<1, Int>::from_data([1, 0], &device);
        let loss: f32 = classification_loss(logits, labels).into_scalar();
        assert!((loss - f32::midpoint(2.0_f32.ln(), (4.0_f32 / 3.0).ln())).abs() < 1e-6);

        let outputs = Tensor::<2>::from_data([[1.0], [2.0]], &device);
        let loss: f32 =
            regression_loss(outputs, Tensor::from_data([3.0, 1.0], &device)).into_scalar();
        assert!((loss - 2.5).abs() < 1e-6);
    }

    #[test]
    fn the_loss_of_a_span_is_the_mean_of_its_ends() {
        let device = Device::flex();
        // Starts: even odds of 2 tokens, and 3 : 1 for the first; ends: 1 : 3, and even.
        let log3 = 3.0_f32.ln();
        let logits =
            Tensor::<3>::from_data([[[0.0, 0.0], [0.0, log3]], [[log3, 1.0], [0.0, 1.0]]], &device);
        let spans = Tensor::<2, Int>::from_data([[1, 1], [0, 0]], &device);
        let loss: f32 = span_loss(logits, spans).into_scalar();
        let (even, likely) = (2.0_f32.ln(), (4.0_f32 / 3.0).ln());
        assert!((loss - f32::midpoint(even, likely)).abs() < 1e-6, "{loss}");
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
    fn a_head_of_tokens_drops_nothing_out() {
        let device = Device::flex().autodiff();
        let head = HeadConfig::new(8, 2).with_dropout(0.9).init(&NamedRng::new(3), &device);
        let hidden = Tensor::<1, Int>::arange(0..48, &device).float().sin().reshape([2, 3, 8]);
        let logits = head.forward_tokens(hidden.clone()).into_data();
        assert_eq!(logits, head.linear.forward(hidden.clone()).into_data());
        assert_ne!(
            head.forward(first_token(hidden.clone())).into_data(),
            head.linear.forward(first_token(hidden)).into_data()
        );
    }

    #[test]
    fn a_hidden_layer_stands_in_front_and_leaves_the_last_as_it_starts() {
        let (device, stream) = (Device::flex(), NamedRng::new(3));
        let config = HeadConfig::new(8, 2);
        let without = config.init(&stream, &device);
        let with = config.with_hidden(Some(Activation::Tanh)).init(&stream, &device);
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
