//! The files of a base's directory.

use std::path::Path;

/// File names of the weights.
pub(super) const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
/// The files that name the shards of each.
pub(super) const WEIGHTS_INDEX: [&str; 2] =
    ["model.safetensors.index.json", "pytorch_model.bin.index.json"];
/// A whole tokenizer.
pub(super) const WHOLE_TOKENIZER: &str = "tokenizer.json";
/// The older files of a tokenizer, which are read where there is no `tokenizer.json`.
pub(super) const OLDER_TOKENIZER: [&str; 5] =
    ["vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "spm.model"];
/// The settings of a tokenizer.
pub(super) const TOKENIZER_SETTINGS: [&str; 3] =
    ["tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"];
/// Prefix of the files of Google's checkpoints.
const GOOGLE: &str = "bert_model.ckpt.";

/// Whether a directory has all files of a base.
pub(super) fn is_base(directory: &Path) -> bool {
    let has = |file: &str| directory.join(file).is_file();
    let has_weights = WEIGHTS.iter().chain(&WEIGHTS_INDEX).any(|file| has(file));
    let hugging_face = has("config.json") && has_weights;
    let google = (has("config.json") || has("bert_config.json")) && has(&format!("{GOOGLE}index"));
    (hugging_face || google) && has_tokenizer(directory)
}

/// Whether a directory has the files of a tokenizer of some class.
pub(super) fn has_tokenizer(directory: &Path) -> bool {
    let has = |file: &str| directory.join(file).is_file();
    let one = [WHOLE_TOKENIZER, "vocab.txt", "sentencepiece.bpe.model", "spm.model"];
    one.iter().any(|file| has(file)) || has("vocab.json") && has("merges.txt")
}

/// Every file that a tokenizer may have.
pub(crate) fn tokenizer_files() -> impl Iterator<Item = &'static str> {
    [WHOLE_TOKENIZER].into_iter().chain(OLDER_TOKENIZER).chain(TOKENIZER_SETTINGS)
}

/// The files of a base, for error messages.
pub(crate) fn needed() -> &'static str {
    "config.json, model.safetensors (or pytorch_model.bin), whole or in shards, and tokenizer.json (or vocab.txt, vocab.json with merges.txt, \
     sentencepiece.bpe.model or spm.model); or Google's bert_config.json, bert_model.ckpt.* and vocab.txt"
}
