//! SentencePiece models, and the Unigram or BPE tokenizer that `convert_slow_tokenizer.py` of transformers makes of them.
//!
//! The messages are those of
//! <https://github.com/google/sentencepiece/blob/v0.2.0/src/sentencepiece_model.proto>.

use std::cmp::Ordering;
use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde_json::{Map, Value, json};

use super::charsmap;
use super::class::Fairseq;
use super::error::TokenizerError;
use super::settings::Settings;

/// The largest model that is read: that of a quarter of a million pieces has 5 MB.
pub(super) const LARGEST: usize = 16 << 20;

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<Piece>,
    #[prost(message, optional, tag = "2")]
    trainer_spec: Option<TrainerSpec>,
    #[prost(message, optional, tag = "3")]
    normalizer_spec: Option<NormalizerSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct Piece {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(int32, optional, tag = "3", default = "1")]
    kind: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct TrainerSpec {
    #[prost(int32, optional, tag = "3", default = "1")]
    model_type: Option<i32>,
    #[prost(int32, optional, tag = "40", default = "0")]
    unk_id: Option<i32>,
    #[prost(string, optional, tag = "45", default = "<unk>")]
    unk_piece: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct NormalizerSpec {
    #[prost(bytes = "vec", optional, tag = "2")]
    precompiled_charsmap: Option<Vec<u8>>,
}

/// `SentencePiece.Type`.
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
/// `TrainerSpec.ModelType`.
const UNIGRAM: i32 = 1;
const BPE: i32 = 2;

/// The `tokenizer.json` that transformers would save for a model, without the tokens that the configuration files add.
pub(super) fn tokenizer_json(
    file: &'static str,
    bytes: &[u8],
    fairseq: Fairseq,
    settings: &Settings,
) -> Result<Map<String, Value>, TokenizerError> {
    let refused = |reason: &str| TokenizerError::Refused { file, reason: reason.to_owned() };
    let limit = LARGEST as u64;
    if bytes.len() > LARGEST {
        return Err(TokenizerError::TooLarge { file, bytes: bytes.len() as u64, limit });
    }
    let model = ModelProto::decode(bytes)
        .map_err(|error| refused(&format!("this is not a SentencePiece model ({error})")))?;
    if model.pieces.iter().any(|piece| !piece.score().is_finite()) {
        return Err(refused("a score is not finite"));
    }
    let trainer = model.trainer_spec.clone().unwrap_or_default();
    let pieces = vocabulary(&model, fairseq)
        .ok_or_else(|| refused("there are too few pieces, expected <unk>, <s> and </s> first"))?;
    let unk_id = match fairseq {
        Fairseq::None => usize::try_from(trainer.unk_id()).unwrap_or(usize::MAX),
        // The place of <unk> in the tokens of fairseq.
        Fairseq::XlmRoberta | Fairseq::Camembert => 3,
    };
    if unk_id >= pieces.len() {
        return Err(refused("unk_id is not the id of a piece"));
    }
    let mut ids = HashMap::with_capacity(pieces.len());
    for (id, (piece, _)) in pieces.iter().enumerate() {
        if let Some(first) = ids.insert(*piece, id) {
            return Err(refused(&format!("`{piece}` has two ids, {first} and {id}")));
        }
    }
    let model_json = match trainer.model_type() {
        UNIGRAM => json!({
            "type": "Unigram", "unk_id": unk_id, "vocab": pieces, "byte_fallback": false,
        }),
        BPE => json!({
            "type": "BPE",
            "unk_token": trainer.unk_piece(),
            "fuse_unk": true,
            "vocab": ids,
            "merges": merges(&model, &pieces),
        }),
        other => {
            let reason = format!("model_type is {other}, expected 1 (Unigram) or 2 (BPE)");
            return Err(refused(&reason));
        }
    };
    // Control pieces and the user's own are not split; all have ids, but the first three may be replaced.
    let mut next_id = pieces.len();
    let added = model.pieces.iter().filter(|piece| matches!(piece.kind(), CONTROL | USER_DEFINED));
    let added = added.map(|piece| {
        let id = ids.get(piece.text()).copied().unwrap_or_else(|| {
            next_id += 1;
            next_id - 1
        });
        json!({
            "id": id,
            "content": piece.text(),
            "single_word": false,
            "lstrip": false,
            "rstrip": false,
            "normalized": false,
            "special": piece.kind() == CONTROL,
        })
    });
    let mut added: Vec<Value> = added.collect();
    added.sort_by_key(|token| token["id"].as_u64());

    let charsmap = model.normalizer_spec.as_ref().map(NormalizerSpec::precompiled_charsmap);
    let charsmap = charsmap.unwrap_or_default();
    if !charsmap.is_empty() {
        charsmap::check(charsmap)
            .map_err(|reason| refused(&format!("precompiled_charsmap: {reason}")))?;
    }
    let id_of = |token: &'static str, role| {
        let id = ids.get(token).copied();
        id.ok_or_else(|| TokenizerError::NoSpecialToken { token: token.to_owned(), role })
    };
    // The converters of transformers have these texts, whatever the configuration names them.
    let (cls, sep) = match fairseq {
        Fairseq::None => ("[CLS]", "[SEP]"),
        Fairseq::XlmRoberta | Fairseq::Camembert => ("<s>", "</s>"),
    };
    let metaspace = json!({
        "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true,
    });
    let punctuation = json!({ "type": "Punctuation", "behavior": "Isolated" });
    let frame = super::template(
        (cls, id_of(cls, "cls_token")?),
        (sep, id_of(sep, "sep_token")?),
        settings.class.doubles_separator,
        usize::from(fairseq == Fairseq::None),
    );
    let pre_tokenizer = match fairseq {
        Fairseq::None => {
            let steps = if settings.split_by_punct {
                vec![punctuation, metaspace]
            } else {
                vec![metaspace]
            };
            json!({ "type": "Sequence", "pretokenizers": steps })
        }
        Fairseq::XlmRoberta | Fairseq::Camembert => metaspace,
    };
    let parts = json!({
        "added_tokens": added,
        "normalizer": normalizer(charsmap, fairseq, settings),
        "pre_tokenizer": pre_tokenizer,
        "post_processor": frame,
        "model": model_json,
    });
    match parts {
        Value::Object(parts) => Ok(parts),
        _ => Ok(Map::new()),
    }
}

/// The pieces with their scores in the order of the token ids; `None` if there are too few.
fn vocabulary(model: &ModelProto, fairseq: Fairseq) -> Option<Vec<(&str, f32)>> {
    let (first, skipped): (&[(&str, f32)], usize) = match fairseq {
        Fairseq::None => (&[], 0),
        Fairseq::XlmRoberta => (&[("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)], 3),
        Fairseq::Camembert => (
            &[
                ("<s>NOTUSED", 0.0),
                ("<pad>", 0.0),
                ("</s>NOTUSED", 0.0),
                ("<unk>", 0.0),
                ("<unk>NOTUSED", -100.0),
            ],
            1,
        ),
    };
    let rest = model.pieces.get(skipped..)?;
    let rest = rest.iter().map(|piece| (piece.text(), piece.score()));
    let last = (!first.is_empty()).then_some(("<mask>", 0.0));
    Some(first.iter().copied().chain(rest).chain(last).collect())
}

/// The merges of a BPE model: every split of a piece into two, those of a high score first (`generate_merges`).
fn merges<'a>(model: &ModelProto, pieces: &[(&'a str, f32)]) -> Vec<(&'a str, &'a str)> {
    let ids: HashMap<&str, usize> =
        model.pieces.iter().enumerate().map(|(id, piece)| (piece.text(), id)).collect();
    let mut merges = Vec::new();
    for (piece, score) in pieces {
        let splits = piece.char_indices().skip(1).map(|(at, _)| piece.split_at(at));
        let known = splits
            .filter_map(|(left, right)| Some(((ids.get(left)?, ids.get(right)?), left, right)));
        let mut known: Vec<_> = known.collect();
        known.sort_by_key(|(ids, ..)| *ids);
        merges.extend(known.into_iter().map(|(_, left, right)| (*score, left, right)));
    }
    // Stable, and the longest parts first among equal scores.
    let length = |text: &str| text.chars().count();
    merges.sort_by(|(score, left, right), (other, other_left, other_right)| {
        let lengths = (length(left), length(right));
        let scores = other.partial_cmp(score).unwrap_or(Ordering::Equal);
        scores.then((length(other_left), length(other_right)).cmp(&lengths))
    });
    merges.into_iter().map(|(_, left, right)| (left, right)).collect()
}

fn normalizer(charsmap: &[u8], fairseq: Fairseq, settings: &Settings) -> Value {
    let strip = |left| json!({ "type": "Strip", "strip_left": left, "strip_right": true });
    let spaces =
        |content| json!({ "type": "Replace", "pattern": { "Regex": " {2,}" }, "content": content });
    let precompiled =
        || json!({ "type": "Precompiled", "precompiled_charsmap": STANDARD.encode(charsmap) });
    let precompiled = (!charsmap.is_empty()).then(precompiled);
    let steps: Vec<Value> = match fairseq {
        Fairseq::None => {
            let lowercase = settings.do_lower_case == Some(true);
            let lowercase = lowercase.then(|| json!({ "type": "Lowercase" }));
            lowercase
                .into_iter()
                .chain([strip(true)])
                .chain(precompiled)
                .chain([spaces(" ")])
                .collect()
        }
        Fairseq::XlmRoberta | Fairseq::Camembert => {
            precompiled.into_iter().chain([strip(false), spaces("▁")]).collect()
        }
    };
    json!({ "type": "Sequence", "normalizers": steps })
}
