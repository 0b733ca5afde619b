//! The data of a run: read, described, tokenized and scored.

pub mod data_set;
pub mod evaluator;
mod fingerprint;
pub mod kind;
pub mod rows;
pub mod score_details;
mod squad_data;
pub mod tagged_data;
pub mod tags;
mod text_data;
pub mod tuning;

use anyhow::Result;

use self::data_set::TaskData;
use crate::run_config::RunConfig;

/// Reads the data of a run.
///
/// # Errors
/// If the task is unknown, or a file is missing or malformed.
pub fn read(config: &RunConfig) -> Result<Box<dyn TaskData>> {
    if config.task.is_question_answering() {
        Ok(Box::new(squad_data::SquadData::read(config)?))
    } else if config.task.labels_words() {
        Ok(Box::new(tagged_data::TaggedData::read(config)?))
    } else {
        Ok(Box::new(text_data::TextData::read(config)?))
    }
}
