//! The tokenizer classes of transformers: one row each.
//!
//! <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models>, `*/tokenization_*.py`

use serde_json::{Map, Value};

use super::error::TokenizerError;
use super::files::Files;
use super::keys::shown;
use super::settings::{CONFIG, wrong};

/// The files of a tokenizer without `tokenizer.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// `vocab.txt`: the tokens of WordPiece.
    WordPiece,
    /// `vocab.json` and `merges.txt`: byte-level BPE.
    BytePairs,
    /// A SentencePiece model of this name.
    SentencePiece(&'static str, Fairseq),
    /// There are none.
    Json,
}

/// How the ids of a SentencePiece model become token ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fairseq {
    /// They are the token ids.
    None,
    /// `XLMRobertaConverter`: four tokens of fairseq replace the first three, and `<mask>` is the last.
    XlmRoberta,
    /// `CamembertConverter`: five tokens of fairseq replace the first, and `<mask>` is the last.
    Camembert,
}

/// How a class declares a special token that its configuration gives as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As text: the flags of a known token are kept.
    Text,
    /// As a token with flags, which replace those of a known token.
    Token {
        /// It takes the spaces before it.
        lstrip: bool,
        /// It is matched in the normalized text.
        normalized: bool,
    },
}

/// A special token of a class.
#[derive(Debug)]
pub(super) struct SpecialToken {
    /// Its key in `tokenizer_config.json`.
    pub(super) key: &'static str,
    /// Its text, if the configuration does not have the key.
    pub(super) text: &'static str,
    /// With a `tokenizer.json`: the form of the fast class.
    with_json: Form,
    /// With the older files: the form of the slow class, which the fast one takes over.
    without_json: Form,
}

impl SpecialToken {
    pub(super) fn form(&self, has_json: bool) -> Form {
        if has_json { self.with_json } else { self.without_json }
    }
}

/// A tokenizer class.
#[derive(Debug)]
pub(super) struct Class {
    /// Its name without `Fast`.
    pub(super) name: &'static str,
    /// The `model_type` of `config.json` for which it is the default.
    model_type: &'static str,
    pub(super) source: Source,
    pub(super) special: &'static [SpecialToken],
    /// The default of `additional_special_tokens`.
    pub(super) additional: &'static [&'static str],
    /// Whether token types are inputs of its models.
    pub(super) has_token_types: bool,
    /// The settings that override a `BertNormalizer` of `tokenizer.json`.
    pub(super) overriding: &'static [&'static str],
    /// Whether the separator stands twice between the texts of a pair.
    pub(super) doubles_separator: bool,
    /// Keys of `tokenizer_config.json` that this class uses and others ignore.
    pub(super) own_keys: &'static [&'static str],
}

const fn text(key: &'static str, text: &'static str) -> SpecialToken {
    SpecialToken { key, text, with_json: Form::Text, without_json: Form::Text }
}

const fn token(key: &'static str, text: &'static str, lstrip: bool) -> SpecialToken {
    let form = Form::Token { lstrip, normalized: false };
    SpecialToken { key, text, with_json: form, without_json: form }
}

/// A token that only the slow class declares with flags, in the normalized text.
const fn slow(key: &'static str, text: &'static str) -> SpecialToken {
    let without_json = Form::Token { lstrip: false, normalized: true };
    SpecialToken { key, text, with_json: Form::Text, without_json }
}

const BERT: Class = Class {
    name: "BertTokenizer",
    model_type: "bert",
    source: Source::WordPiece,
    special: &[
        text("unk_token", "[UNK]"),
        text("sep_token", "[SEP]"),
        text("pad_token", "[PAD]"),
        text("cls_token", "[CLS]"),
        text("mask_token", "[MASK]"),
    ],
    additional: &[],
    has_token_types: true,
    overriding: WORD_PIECE_KEYS,
    doubles_separator: false,
    own_keys: WORD_PIECE_KEYS,
};

const WORD_PIECE_KEYS: &[&str] = &["do_lower_case", "strip_accents", "tokenize_chinese_chars"];

const ROBERTA: Class = Class {
    name: "RobertaTokenizer",
    model_type: "roberta",
    source: Source::BytePairs,
    special: &[
        slow("bos_token", "<s>"),
        slow("eos_token", "</s>"),
        slow("unk_token", "<unk>"),
        slow("sep_token", "</s>"),
        slow("pad_token", "<pad>"),
        slow("cls_token", "<s>"),
        token("mask_token", "<mask>", true),
    ],
    additional: &[],
    has_token_types: false,
    overriding: &[],
    doubles_separator: true,
    own_keys: &["trim_offsets"],
};

const XLM_ROBERTA: Class = Class {
    name: "XLMRobertaTokenizer",
    model_type: "xlm-roberta",
    source: Source::SentencePiece("sentencepiece.bpe.model", Fairseq::XlmRoberta),
    special: &[
        text("bos_token", "<s>"),
        text("eos_token", "</s>"),
        text("unk_token", "<unk>"),
        text("sep_token", "</s>"),
        text("pad_token", "<pad>"),
        text("cls_token", "<s>"),
        token("mask_token", "<mask>", true),
    ],
    own_keys: &[],
    ..ROBERTA
};

/// The classes; the first is that of a directory that does not name one.
pub(super) static CLASSES: [Class; 9] = [
    BERT,
    Class { name: "DistilBertTokenizer", model_type: "distilbert", has_token_types: false, ..BERT },
    Class { name: "ElectraTokenizer", model_type: "electra", ..BERT },
    Class {
        name: "MPNetTokenizer",
        model_type: "mpnet",
        special: &[
            token("bos_token", "<s>", false),
            token("eos_token", "</s>", false),
            token("unk_token", "[UNK]", false),
            token("sep_token", "</s>", false),
            token("pad_token", "<pad>", false),
            token("cls_token", "<s>", false),
            token("mask_token", "<mask>", true),
        ],
        has_token_types: false,
        overriding: &["do_lower_case", "strip_accents"],
        doubles_separator: true,
        ..BERT
    },
    ROBERTA,
    XLM_ROBERTA,
    Class {
        name: "CamembertTokenizer",
        model_type: "camembert",
        source: Source::SentencePiece("sentencepiece.bpe.model", Fairseq::Camembert),
        additional: &["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"],
        ..XLM_ROBERTA
    },
    Class {
        name: "DebertaV2Tokenizer",
        model_type: "deberta-v2",
        source: Source::SentencePiece("spm.model", Fairseq::None),
        special: &[
            text("bos_token", "[CLS]"),
            text("eos_token", "[SEP]"),
            slow("unk_token", "[UNK]"),
            text("sep_token", "[SEP]"),
            text("pad_token", "[PAD]"),
            text("cls_token", "[CLS]"),
            text("mask_token", "[MASK]"),
        ],
        additional: &[],
        has_token_types: true,
        overriding: &[],
        doubles_separator: false,
        own_keys: &["do_lower_case", "split_by_punct"],
    },
    Class {
        name: "PreTrainedTokenizer",
        model_type: "modernbert",
        source: Source::Json,
        special: &[],
        own_keys: &[],
        overriding: &[],
        ..BERT
    },
];

impl Class {
    /// The class in `tokenizer_config.json`, in `config.json`, or that of its `model_type`.
    pub(super) fn of(
        files: &Files,
        config: &Map<String, Value>,
    ) -> Result<&'static Self, TokenizerError> {
        const KEY: &str = "tokenizer_class";
        const MODEL: &str = "config.json";
        let stated = config.get(KEY).filter(|value| !value.is_null());
        let (file, key, value) = if let Some(value) = stated {
            (CONFIG, KEY, value.clone())
        } else {
            let mut model = files.object(MODEL)?.unwrap_or_default();
            let mut stated = |key| model.remove(key).filter(|value| !value.is_null());
            match (stated(KEY), stated("model_type")) {
                (Some(value), _) => (MODEL, KEY, value),
                (None, Some(value)) => (MODEL, "model_type", value),
                (None, None) => return Ok(&CLASSES[0]),
            }
        };
        let name = value.as_str().ok_or_else(|| wrong(file, key, &value, "a name"))?;
        let has_name = |class: &&Self| match key {
            // The fast class is used, whichever is named; the plain one exists only as that.
            KEY if class.source == Source::Json => name == class.full_name(),
            KEY => name.strip_suffix("Fast").unwrap_or(name) == class.name,
            _ => name == class.model_type,
        };
        CLASSES.iter().find(has_name).ok_or_else(|| TokenizerError::Class {
            file,
            key,
            found: shown(&value),
            expected: Self::names(key == KEY),
        })
    }

    /// The name of the class that transformers uses.
    pub(super) fn full_name(&self) -> String {
        format!("{}Fast", self.name)
    }

    /// Whether the class uses a setting of `tokenizer_config.json`.
    pub(super) fn uses(&self, key: &str) -> bool {
        self.own_keys.contains(&key)
    }

    /// The files that are read where there is no `tokenizer.json`, for a message.
    pub(super) fn files(&self) -> &'static str {
        match self.source {
            Source::WordPiece => " or vocab.txt",
            Source::BytePairs => " or vocab.json and merges.txt",
            Source::SentencePiece(_, Fairseq::None) => " or spm.model",
            Source::SentencePiece(..) => " or sentencepiece.bpe.model",
            Source::Json => "",
        }
    }

    fn names(is_class: bool) -> String {
        let names = CLASSES.iter().map(|class| match (is_class, class.source) {
            (false, _) => class.model_type.to_owned(),
            (true, Source::Json) => class.full_name(),
            (true, _) => class.name.to_owned(),
        });
        names.collect::<Vec<_>>().join(", ")
    }
}
