//! The table of published tasks, those of entities, SQuAD, and tasks of a user's own files. A new published task is an entry of a table.

use crate::error::{DataError, PublishedError};
use crate::published_task::PublishedTask;
use crate::task_spec::TaskSpec;

pub mod classification;
pub mod custom;
pub mod emotions;
pub mod entities;
pub mod glue;
pub mod helpdesk;
mod hold_out;
pub mod notes;
pub mod squad;

/// Every published task of the table.
pub fn all() -> impl Iterator<Item = &'static TaskSpec> {
    std::iter::once(&helpdesk::HELPDESK)
        .chain(glue::GLUE.iter())
        .chain(classification::CLASSIFICATION.iter())
        .chain([&emotions::GO_EMOTIONS])
}

/// Every published task but SQuAD: those of the table, and those of entities.
pub fn published() -> impl Iterator<Item = &'static dyn PublishedTask> {
    let of_table = all().map(|task| task as &dyn PublishedTask);
    of_table.chain(entities::all().map(|task| task as &dyn PublishedTask))
}

/// The published task with a name, of the table or of entities.
///
/// # Errors
/// As [`lookup`].
pub fn find(name: &str) -> Result<&'static dyn PublishedTask, DataError> {
    published().find(|task| task.name() == name).ok_or_else(|| unknown(name))
}

/// The published task of the table with a name.
///
/// # Errors
/// If there is no such task; the error lists all names, those of other tables too, and suggests the nearest.
pub fn lookup(name: &str) -> Result<&'static TaskSpec, DataError> {
    all().find(|spec| spec.name == name).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> DataError {
    let known: Vec<_> = published().map(PublishedTask::name).chain([squad::NAME]).collect();
    let normalized = |name: &str| name.replace(['-', '_'], "").to_lowercase();
    let distance = |known: &str| strsim::osa_distance(&normalized(known), &normalized(name));
    // Two letters of three are another name, and not a slip.
    let is_near = |known: &str| 3 * distance(known) <= known.len();
    let near = known.iter().filter(|known| is_near(known)).min_by_key(|known| distance(known));
    DataError::from(PublishedError::UnknownTask {
        name: name.to_owned(),
        known: known.join(", "),
        hint: near.map_or(String::new(), |near| format!("; did you mean `{near}`?")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_an_error_with_all_names() {
        let error = lookup("nosuch").unwrap_err().to_string();
        assert!(
            error.starts_with("there is no task `nosuch`; the tasks are helpdesk, cola"),
            "{error}"
        );
        let error = lookup("SST-2").unwrap_err().to_string();
        assert!(error.ends_with("did you mean `sst2`?"), "{error}");
        let error = lookup("colla").unwrap_err().to_string();
        assert!(error.ends_with(", squad; did you mean `cola`?"), "{error}");
        let error = lookup("SMS_spam").unwrap_err().to_string();
        assert!(error.ends_with("did you mean `sms-spam`?"), "{error}");
    }

    #[test]
    fn the_table_names_columns_that_exist() {
        for spec in all() {
            for part in spec.parts {
                for column in [Some(part.text), part.text2, part.label].into_iter().flatten() {
                    assert!(
                        part.columns.contains(&column),
                        "{} {}: {column}",
                        spec.name,
                        part.file
                    );
                }
            }
        }
    }
}
