//! The files of a base's directory.

use std::path::Path;

/// File names of the weights.
pub(super) const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
/// Prefix of the files of Google's checkpoints.
const GOOGLE: &str = "bert_model.ckpt.";

/// Whether a directory has all files of a base.
pub(super) fn is_base(directory: &Path) -> bool {
    let has = |file: &str| directory.join(file).is_file();
    let hugging_face = has("config.json")
        && (WEIGHTS.iter().any(|file| has(file)) || has("model.safetensors.index.json"));
    let google = (has("config.json") || has("bert_config.json")) && has(&format!("{GOOGLE}index"));
    (hugging_face || google) && (has("tokenizer.json") || has("vocab.txt"))
}

/// The files of a base, for error messages.
pub(crate) fn needed() -> &'static str {
    "config.json, model.safetensors (or pytorch_model.bin), and tokenizer.json (or vocab.txt); or Google's \
     bert_config.json, bert_model.ckpt.* and vocab.txt"
}
