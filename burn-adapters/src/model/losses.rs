//! The targets and losses of the heads.

use burn::nn::loss::{CrossEntropyLossConfig, MseLoss, Reduction};
use burn::tensor::{Bool, Int, Tensor, assert_shape};

/// The logit of a padding position as the start or end of a span: far below any other, and finite.
const MASKED_LOGIT: f32 = -1e9;

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

    /// The targets on a device without autodiff.
    #[must_use]
    pub fn without_autodiff(self) -> Self {
        match self {
            Self::Classes(classes) => Self::Classes(classes.without_autodiff()),
            Self::Scores(scores) => Self::Scores(scores.without_autodiff()),
            Self::Spans(spans) => Self::Spans(spans.without_autodiff()),
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
}
