//! The targets and losses of the heads.

use burn::nn::loss::{CrossEntropyLossConfig, MseLoss, Reduction};
use burn::tensor::activation::{log_sigmoid, log_softmax};
use burn::tensor::{Bool, Device, Int, Tensor, assert_shape};

/// The logit of a padding position: far below any other, and finite.
const MASKED_LOGIT: f32 = -1e9;

/// The targets of a batch, for the loss of a head.
#[derive(Debug, Clone)]
pub enum Targets {
    /// `[batch]`, the index of each text's class.
    Classes(Tensor<1, Int>),
    /// `[batch, labels]`, 1 for a label that the text has, otherwise 0.
    Sets(Tensor<2>),
    /// `[batch]`
    Scores(Tensor<1>),
    /// `[batch, 2]`, the first and the last token of each answer.
    Spans(Tensor<2, Int>),
    /// `[batch, sequence]`, the index of each token's tag, or [`IGNORED`](Self::IGNORED).
    Tags(Tensor<2, Int>),
}

/// How the loss weights classes and labels; by default all alike, without smoothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LossConfig {
    /// The weight of each class: the loss of a classification is the weighted mean over the texts.
    pub class_weights: Option<Vec<f32>>,
    /// The share of the target that all classes of a classification have alike, at least 0 and below 1.
    pub label_smoothing: f64,
    /// The weight of each label of a multi-label task for the texts that have it.
    pub positive_weights: Option<Vec<f32>>,
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
    /// The tag of a token without a label, which has no loss: `ignore_index` of `PyTorch`.
    pub const IGNORED: i64 = -100;

    /// The targets on a device without autodiff.
    #[must_use]
    pub fn without_autodiff(self) -> Self {
        match self {
            Self::Classes(classes) => Self::Classes(classes.without_autodiff()),
            Self::Sets(sets) => Self::Sets(sets.without_autodiff()),
            Self::Scores(scores) => Self::Scores(scores.without_autodiff()),
            Self::Spans(spans) => Self::Spans(spans.without_autodiff()),
            Self::Tags(tags) => Self::Tags(tags.without_autodiff()),
        }
    }

    /// The loss of a head that reads one vector per text.
    ///
    /// # Shapes
    /// - logits: `[batch, outputs]`
    /// - result: `[1]`
    ///
    /// # Panics
    /// If the targets are of tokens.
    pub(crate) fn text_loss(&self, logits: Tensor<2>, config: &LossConfig) -> Tensor<1> {
        match self {
            Self::Classes(classes) => config.classification(logits, classes.clone()),
            Self::Sets(sets) => config.multi_label(logits, sets.clone()),
            Self::Scores(scores) => regression_loss(logits, scores.clone()),
            Self::Spans(_) | Self::Tags(_) => {
                panic!("the targets are of tokens, and the head reads one vector per text")
            }
        }
    }

    /// The loss of a head that reads every token.
    ///
    /// # Shapes
    /// - logits: `[batch, sequence, outputs]`
    /// - result: `[1]`
    ///
    /// # Panics
    /// If the targets are of texts.
    pub(crate) fn token_loss(&self, logits: Tensor<3>) -> Tensor<1> {
        match self {
            Self::Spans(spans) => span_loss(logits, spans.clone()),
            Self::Tags(tags) => token_classification_loss(logits, tags.clone()),
            Self::Classes(_) | Self::Sets(_) | Self::Scores(_) => {
                panic!("the targets are of texts, and the head reads every token")
            }
        }
    }
}

/// Masks the logits of padding.
///
/// Padding has no answer and no tag, and its hidden states depend on how they were computed: cached ones are zeros. The
/// reference code counts padding up to its fixed length as further wrong positions of a span.
///
/// # Shapes
/// - logits, result: `[batch, sequence, outputs]`
/// - attention_mask: `[batch, sequence]`, true for a token
pub(crate) fn mask_padding(logits: Tensor<3>, attention_mask: &Tensor<2, Bool>) -> Tensor<3> {
    let shape = logits.dims();
    let padding = attention_mask.clone().bool_not().unsqueeze_dim::<3>(2);
    logits.mask_fill(padding.expand(shape), MASKED_LOGIT)
}

/// The logits of tokens as a row for each text, output by output.
///
/// # Shapes
/// - logits: `[batch, sequence, outputs]`
/// - result: `[batch, outputs * sequence]`
pub(crate) fn by_output(logits: Tensor<3>) -> Tensor<2> {
    let [batch, sequence, outputs] = logits.dims();
    logits.swap_dims(1, 2).reshape([batch, outputs * sequence])
}

impl LossConfig {
    fn classification(&self, logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        if self.class_weights.is_none() && self.label_smoothing == 0.0 {
            return classification_loss(logits, labels);
        }
        let weights = tensor(self.class_weights.as_deref(), &logits.device());
        weighted_classification_loss(logits, labels, weights, self.label_smoothing)
    }

    fn multi_label(&self, logits: Tensor<2>, sets: Tensor<2>) -> Tensor<1> {
        let weights = tensor(self.positive_weights.as_deref(), &logits.device());
        multi_label_loss(logits, sets, weights)
    }
}

fn tensor(weights: Option<&[f32]>, device: &Device) -> Option<Tensor<1>> {
    weights.map(|weights| Tensor::from_data(weights, device))
}

/// Softmax cross-entropy with a weight for each class, and with smoothed targets: each has `1 - smoothing` of the target
/// and shares the rest among all classes. The mean over the batch is weighted by the weight of each text's class.
///
/// `torch.nn.CrossEntropyLoss(weight, label_smoothing=smoothing)`, smoothing and weights together as well.
///
/// # Shapes
/// - logits: `[batch, outputs]`
/// - labels: `[batch]`, each in `0..outputs`
/// - weights: `[outputs]`
/// - result: `[1]`
pub fn weighted_classification_loss(
    logits: Tensor<2>,
    labels: Tensor<1, Int>,
    weights: Option<Tensor<1>>,
    smoothing: f64,
) -> Tensor<1> {
    let [batch, outputs] = logits.dims();
    let weights = weights.unwrap_or_else(|| Tensor::ones([outputs], &logits.device()));
    let of_label = weights.clone().select(0, labels.clone()); // [batch]
    let losses = -log_softmax(logits, 1); // [batch, outputs]
    let index = labels.reshape([batch, 1]);
    let of_target = losses.clone().gather(1, index).squeeze_dim::<1>(1) * of_label.clone();
    let target = of_target.sum() / of_label.clone().sum();
    if smoothing == 0.0 {
        return target;
    }
    let uniform = (losses * weights.unsqueeze_dim(0)).sum() / of_label.sum();
    target * (1.0 - smoothing) + uniform * (smoothing / outputs as f64)
}

/// Binary cross-entropy of each label, the mean over the batch and the labels. The loss of a text that has a label counts
/// as often as the label's weight.
///
/// `torch.nn.BCEWithLogitsLoss(pos_weight=positive_weights)`.
///
/// # Shapes
/// - logits, sets: `[batch, labels]`; sets are 1 for a label that the text has, otherwise 0
/// - positive_weights: `[labels]`
/// - result: `[1]`
///
/// # Panics
/// If the shapes do not match.
pub fn multi_label_loss(
    logits: Tensor<2>,
    sets: Tensor<2>,
    positive_weights: Option<Tensor<1>>,
) -> Tensor<1> {
    let [batch, labels] = logits.dims();
    assert_shape!(sets, [batch, labels]);
    let has = log_sigmoid(logits.clone()) * sets.clone();
    let has = match positive_weights {
        Some(weights) => has * weights.unsqueeze_dim(0),
        None => has,
    };
    let has_not = log_sigmoid(-logits) * (-sets + 1.0);
    -(has + has_not).mean()
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
/// batch. Padding is included, as in the reference code; a model soon learns that it is no answer.
///
/// # Shapes
/// - logits: `[batch, sequence, 2]`
/// - spans: `[batch, 2]`, first and last token, each in `0..sequence`
/// - result: `[1]`
///
/// # Panics
/// If the shapes do not match.
pub fn span_loss(logits: Tensor<3>, spans: Tensor<2, Int>) -> Tensor<1> {
    let [batch, sequence, _] = logits.dims();
    assert_shape!(logits, [batch, sequence, 2]);
    assert_shape!(spans, [batch, 2]);
    // One row for the starts and one for the ends.
    let logits = logits.swap_dims(1, 2).reshape([2 * batch, sequence]);
    classification_loss(logits, spans.reshape([2 * batch]))
}

/// Softmax cross-entropy of each token, the mean over the tokens with a label: `CrossEntropyLoss(ignore_index=-100)` of
/// `PyTorch`, which `BertForTokenClassification` uses. It is 0 if no token has a label, where `PyTorch` gives NaN.
///
/// # Shapes
/// - logits: `[batch, sequence, outputs]`
/// - tags: `[batch, sequence]`, each in `0..outputs`, or [`Targets::IGNORED`]
/// - result: `[1]`
///
/// # Panics
/// If the shapes do not match.
pub fn token_classification_loss(logits: Tensor<3>, tags: Tensor<2, Int>) -> Tensor<1> {
    let [batch, sequence, _] = logits.dims();
    assert_shape!(tags, [batch, sequence]);
    let is_ignored = tags.clone().lower_elem(0);
    let index = tags.mask_fill(is_ignored.clone(), 0).unsqueeze_dim::<3>(2);
    let likelihood = log_softmax(logits, 2).gather(2, index).squeeze_dim::<2>(2); // [batch, sequence]
    let labeled = is_ignored.clone().bool_not().float().cast(likelihood.dtype()).sum();
    likelihood.mask_fill(is_ignored, 0.0).sum().neg() / labeled.clamp_min(1.0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

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
    fn tokens_without_a_tag_have_no_loss_and_no_gradient() {
        let device = Device::flex().autodiff();
        // The padding of the second text is masked.
        let log3 = 3.0_f32.ln();
        let masked = MASKED_LOGIT;
        let logits = Tensor::<3>::from_data(
            [[[0.0, 0.0], [7.0, -7.0]], [[log3, 0.0], [masked, masked]]],
            &device,
        )
        .require_grad();
        let ignored = Targets::IGNORED;
        let tags = Tensor::<2, Int>::from_data([[1, ignored], [0, ignored]], &device);
        let loss = token_classification_loss(logits.clone(), tags);
        let value: f32 = loss.clone().into_scalar();
        let (even, likely) = (2.0_f32.ln(), (4.0_f32 / 3.0).ln());
        assert!((value - f32::midpoint(even, likely)).abs() < 1e-6, "{value}");
        let gradient = logits.grad(&loss.backward()).unwrap().into_data();
        let gradient: Vec<f32> = gradient.iter().collect();
        let expected = [0.25, -0.25, 0.0, 0.0, -0.125, 0.125, 0.0, 0.0];
        let apart = gradient.iter().zip(expected).map(|(found, expected)| (found - expected).abs());
        assert!(apart.fold(0.0, f32::max) < 1e-6, "{gradient:?}");

        let none = Tensor::<2, Int>::full([2, 2], ignored, &device);
        let loss: f32 = token_classification_loss(logits, none).into_scalar();
        assert!(loss.abs() < f32::EPSILON, "{loss}");
    }
}
