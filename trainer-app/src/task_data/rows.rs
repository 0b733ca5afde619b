//! Rows: sampled, tokenized for a base, and made into batches.

use anyhow::{Context, Result};
use burn::data::dataloader::batcher::Batcher;
use burn::tensor::Device;
use burn_bert::{BertConfig, BertInput};
use glue_data::batching::training_batches;
use glue_data::{
    Batch, Example, PadToLongest, TextEncoder, TokenizedDataset, counted, derive_seed,
};

use crate::system::devices;

/// The indices of `limit` rows of `rows`, sampled by the seed, in their order.
pub fn sample(rows: usize, limit: usize, seed: u64) -> Vec<usize> {
    let seed = derive_seed(seed, "limit");
    let order = training_batches(&vec![0; rows], 1, seed, 0);
    let mut kept: Vec<usize> = order.into_iter().flatten().take(limit).collect();
    kept.sort_unstable();
    kept
}

/// Tokenizes rows and checks that the base has an embedding for every token.
///
/// # Errors
/// If a text cannot be tokenized, or the tokenizer is not that of the base.
pub fn encode(
    encoder: &TextEncoder,
    bert: &BertConfig,
    examples: &[Example],
) -> Result<TokenizedDataset> {
    let rows = encoder.encode(examples)?;
    check(bert, &rows)?;
    Ok(rows)
}

/// Checks that a base has an embedding for every token.
///
/// # Errors
/// If the base does not have an embedding for a token, a position or a token type.
pub fn check(bert: &BertConfig, rows: &TokenizedDataset) -> Result<()> {
    for row in rows.rows() {
        bert.check_text(&row.ids, &row.type_ids).context("the tokenizer does not fit the base")?;
    }
    Ok(())
}

/// Prints how many texts are truncated to the longest length of an adapter, if any.
pub fn report_truncation(cut: usize, texts: usize, max_length: usize) {
    if cut > 0 {
        noteln!(
            "note: {cut} of {texts} texts are longer than the adapter's {max_length} tokens and are cut"
        );
    }
}

/// A note on texts that are read in windows; none if all fit.
pub fn window_note(cut: usize, max_length: usize) -> Option<String> {
    (cut > 0).then(|| {
        format!(
            "note: {} longer than {max_length} tokens and read in windows that overlap",
            counted(cut, "text is", "texts are")
        )
    })
}

/// A note on truncated training texts; none if all fit.
pub fn truncation_note(
    rows: [&TokenizedDataset; 2],
    max_length: usize,
    bert: &BertConfig,
) -> Option<String> {
    let cut: usize = rows.iter().map(|rows| rows.cut()).sum();
    let texts: usize = rows.iter().map(|rows| rows.rows().len()).sum();
    let longest = bert.longest_text();
    let remedy = if max_length < longest {
        format!("--max-length takes {longest} at most")
    } else {
        "the base reads no more".to_owned()
    };
    (cut > 0).then(|| {
        format!(
            "note: {cut} of {texts} texts are longer than {max_length} tokens and are cut; {remedy}"
        )
    })
}

/// A batch of rows on a device.
pub fn batch(rows: &TokenizedDataset, indices: &[usize], device: &Device) -> Batch {
    let items = indices.iter().map(|index| rows.rows()[*index].clone()).collect();
    let padding = PadToLongest {
        length_step: devices::length_step(device),
        at_most: rows.longest(),
        pad_id: rows.pad_id(),
    };
    padding.batch(items, device)
}

/// The input of an encoder for a batch.
pub fn bert_input(batch: &Batch) -> BertInput {
    BertInput {
        input_ids: batch.input_ids.clone(),
        token_type_ids: batch.token_type_ids.clone(),
        attention_mask: batch.attention_mask.clone(),
    }
}
