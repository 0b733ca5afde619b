//! Corpora that their publisher did not split: reading them, and drawing the splits.
//!
//! The sizes of the splits are those of Houlsby et al. 2019, Table 3. Which row is in which split was not published;
//! here it follows from a fixed seed that is independent of the seed of a run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::delimited::Delimited;
use crate::encoding::refuse_wide;
use crate::error::{DataError, LabelError, PublishedError};
use crate::published::tsv;
use crate::rows::{Example, Row, Split};
use crate::seed::derive_seed;
use crate::tabular;
use crate::task_kind::{Label, TaskKind};
use crate::task_spec::{Layout, Part, UnsplitCorpus};

/// Reads every row in the order of the file, and the task's kind with its classes in the order of the logits.
///
/// # Errors
/// If a file cannot be read or is malformed, a column is missing, a label is unknown, there are no rows, or all rows
/// have the same class.
pub(crate) fn read(
    corpus: &UnsplitCorpus,
    part: &Part,
    classes: &[&str],
    path: &Path,
) -> Result<(TaskKind, Vec<Example>), DataError> {
    let rows = match corpus.layout {
        Layout::Csv => {
            let text = decoded(path)?;
            let columns: Vec<&str> = [part.text].into_iter().chain(part.label).collect();
            tabular::read_delimited(path, &text, &columns, Delimited::Csv)?
        }
        Layout::Tabs => tsv::read_labeled(part, decoded(path)?.as_bytes(), path)?,
        Layout::Folders { beside } => {
            let mut rows = read_folders(path, classes)?;
            rows.extend(read_folders(&path.with_file_name(beside), classes)?);
            rows
        }
    };

    let labels = if classes.is_empty() {
        labels_of_file(corpus, &rows)
    } else {
        classes.iter().map(|class| (*class).to_owned()).collect()
    };
    let mut examples = Vec::with_capacity(rows.len());
    let mut seen = BTreeSet::new();
    for row in rows {
        let mut fields = row.fields.into_iter();
        let (text, label) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        if corpus.left_out.contains(&label.as_str()) {
            continue;
        }
        let class = class_of(corpus, &labels, &label).ok_or_else(|| {
            DataError::from(LabelError::Unknown {
                path: path.to_owned(),
                line: row.line,
                found: label.clone(),
                expected: known_labels(corpus, &labels),
                hint: String::new(),
            })
        })?;
        seen.insert(class);
        examples.push(Example { text, text2: None, label: Some(Label::Class(class)) });
    }

    let mut seen = seen.into_iter();
    match (seen.next(), seen.next()) {
        (None, _) => Err(DataError::Empty { path: path.to_owned() }),
        (Some(only), None) => Err(PublishedError::OneClass {
            path: path.to_owned(),
            label: labels[only].clone(),
            expected: labels.len().max(corpus.open_classes),
        }
        .into()),
        _ => Ok((TaskKind::Classification { labels }, examples)),
    }
}

fn labels_of_file(corpus: &UnsplitCorpus, rows: &[Row]) -> Vec<String> {
    let labels = rows.iter().filter_map(|row| row.fields.get(1));
    let kept = labels.filter(|label| !corpus.left_out.contains(&label.as_str()));
    let mut labels: Vec<String> = kept.cloned().collect();
    labels.sort();
    labels.dedup();
    labels
}

fn class_of(corpus: &UnsplitCorpus, labels: &[String], label: &str) -> Option<usize> {
    let renamed = corpus.renamed.iter().find(|(from, _)| *from == label);
    let name = renamed.map_or(label, |(_, class)| class);
    labels.iter().position(|known| known == name)
}

/// Every label that the file may contain, for the error about an unknown one.
fn known_labels(corpus: &UnsplitCorpus, labels: &[String]) -> String {
    let renamed = corpus.renamed.iter().map(|(label, _)| *label);
    let own = labels.iter().map(String::as_str);
    let own = own.filter(|name| corpus.renamed.iter().all(|(_, class)| class != name));
    let left_out = corpus.left_out.iter().copied().filter(|label| !label.is_empty());
    renamed.chain(own).chain(left_out).collect::<Vec<_>>().join(", ")
}

/// How many of `rows` rows are in a split: four fifths are training rows, and the rest is halved, as in Houlsby et al.
/// 2019, Table 3.
pub(crate) const fn share(rows: usize, split: Split) -> usize {
    let train = rows * 4 / 5;
    let validation = (rows - train) / 2;
    match split {
        Split::Train => train,
        Split::Validation => validation,
        Split::Test => rows - train - validation,
        Split::ValidationMismatched | Split::TestMismatched => 0,
    }
}

/// The rows of a split, in the order of the file.
///
/// The seed is fixed: every split has the same rows whatever the seed of a run is, and the tasks of one file are split
/// alike.
pub(crate) fn draw(examples: Vec<Example>, split: Split) -> Vec<Example> {
    let mut split_of = vec![Split::Train; examples.len()];
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(derive_seed(0, "split")));
    let (train, validation) =
        (share(examples.len(), Split::Train), share(examples.len(), Split::Validation));
    let (validation, test) = order[train..].split_at(validation);
    for index in validation {
        split_of[*index] = Split::Validation;
    }
    for index in test {
        split_of[*index] = Split::Test;
    }
    let drawn = examples.into_iter().zip(split_of).filter(|(_, of)| *of == split);
    drawn.map(|(example, _)| example).collect()
}

/// The text of a file in UTF-8, or else in Latin-1: copies of Crowdflower's files exist in both encodings.
fn decoded(path: &Path) -> Result<String, DataError> {
    let bytes =
        std::fs::read(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    refuse_wide(path, &bytes)?;
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| error.as_bytes().iter().map(|byte| char::from(*byte)).collect());
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Reads a folder of folders as rows of text and label, sorted by name so that the order does not depend on the machine.
fn read_folders(path: &Path, classes: &[&str]) -> Result<Vec<Row>, DataError> {
    let mut rows = Vec::new();
    for folder in entries(path)? {
        let label = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !classes.contains(&label.as_str()) {
            return Err(PublishedError::UnknownFolder {
                path: folder,
                expected: classes.join(", "),
            }
            .into());
        }
        for file in entries(&folder)? {
            rows.push(Row { fields: vec![decoded(&file)?, label.clone()], line: 1 });
        }
    }
    Ok(rows)
}

/// The entries of a folder, sorted, without hidden files such as `.DS_Store`.
fn entries(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let read = |source| DataError::Read { path: path.to_owned(), source };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(read)? {
        let entry = entry.map_err(read)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            entries.push(entry.path());
        }
    }
    entries.sort();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

    fn drawn(rows: usize, split: Split) -> Vec<String> {
        let example = |row: usize| Example {
            text: row.to_string(),
            text2: None,
            label: Some(Label::Class(0)),
        };
        draw((0..rows).map(example).collect(), split).into_iter().map(|row| row.text).collect()
    }

    proptest! {
        #[test]
        fn every_row_is_always_in_the_same_split(rows in 0_usize..500) {
            let mut all = Vec::new();
            for split in SPLITS {
                let part = drawn(rows, split);
                prop_assert_eq!(part.len(), share(rows, split));
                prop_assert_eq!(&part, &drawn(rows, split));
                all.extend(part.into_iter().map(|row| row.parse::<usize>().unwrap()));
            }
            all.sort_unstable();
            prop_assert_eq!(all, (0..rows).collect::<Vec<_>>());
        }
    }

    /// A changed split would change every published score.
    #[test]
    fn the_split_does_not_change() {
        assert_eq!(drawn(30, Split::Validation), ["1", "27", "28"]);
        assert_eq!(drawn(30, Split::Test), ["9", "12", "18"]);
    }
}
