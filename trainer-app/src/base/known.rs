//! Bases with a short name.

/// A base with a short name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownBase {
    /// The name for `--base`.
    pub name: &'static str,
    /// Its repository on the Hugging Face hub.
    pub repository: &'static str,
    /// What it is, in a few words.
    pub description: &'static str,
}

/// The model behind the name `minilm`: all-MiniLM-L6-v2, Apache-2.0.
pub(super) const MINILM_REPOSITORY: &str = "sentence-transformers/all-MiniLM-L6-v2";

const fn known(
    name: &'static str,
    repository: &'static str,
    description: &'static str,
) -> KnownBase {
    KnownBase { name, repository, description }
}

/// The bases with a short name, from small to large within a family. Every other repository of a supported family can be
/// named too.
pub const KNOWN: [KnownBase; 16] = [
    known("minilm", MINILM_REPOSITORY, "BERT, 6 layers, 384 wide, for sentences"),
    known("bert-base-uncased", "google-bert/bert-base-uncased", "BERT, 12 layers, 768 wide"),
    known("bert-base-cased", "google-bert/bert-base-cased", "BERT, 12 layers, 768 wide"),
    known("bert-large-uncased", "google-bert/bert-large-uncased", "BERT, 24 layers, 1024 wide"),
    known(
        "bert-base-multilingual-cased",
        "google-bert/bert-base-multilingual-cased",
        "BERT, 12 layers, 768 wide, 104 languages",
    ),
    known(
        "distilbert-base-uncased",
        "distilbert/distilbert-base-uncased",
        "DistilBERT, 6 layers, 768 wide",
    ),
    known("roberta-base", "FacebookAI/roberta-base", "RoBERTa, 12 layers, 768 wide"),
    known("roberta-large", "FacebookAI/roberta-large", "RoBERTa, 24 layers, 1024 wide"),
    known("distilroberta-base", "distilbert/distilroberta-base", "RoBERTa, 6 layers, 768 wide"),
    known(
        "xlm-roberta-base",
        "FacebookAI/xlm-roberta-base",
        "XLM-RoBERTa, 12 layers, 768 wide, 100 languages",
    ),
    known("camembert-base", "almanach/camembert-base", "CamemBERT, 12 layers, 768 wide, French"),
    known("electra-small", "google/electra-small-discriminator", "ELECTRA, 12 layers, 256 wide"),
    known("electra-base", "google/electra-base-discriminator", "ELECTRA, 12 layers, 768 wide"),
    known("mpnet-base", "microsoft/mpnet-base", "MPNet, 12 layers, 768 wide"),
    known("deberta-v3-base", "microsoft/deberta-v3-base", "DeBERTa-v3, 12 layers, 768 wide"),
    known("modernbert-base", "answerdotai/ModernBERT-base", "ModernBERT, 22 layers, 768 wide"),
];

/// The repository of a base.
pub(super) fn repository(name: &str) -> &str {
    KNOWN.iter().find(|base| base.name == name).map_or(name, |base| base.repository)
}
