//! Tasks whose publisher has all rows in one place: how they are read, and the parts that are drawn from them.
//!
//! The sizes of the parts are those of Houlsby et al. 2019, Table 3; which row is in which part was not published, so
//! that here it follows from a seed of its own that no run changes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::delimited::Delimited;
use crate::encoding::refuse_wide;
use crate::error::DataError;
use crate::seed::derive_seed;
use crate::tabular::{self, Row};
use crate::task::{Example, Label, Labels, Part, Split};

/// Rows that their publisher did not divide; every part of the task is drawn from them.
#[derive(Debug)]
pub struct UnsplitCorpus {
    /// How the rows lie in their file.
    pub layout: Layout,
    /// Labels that stand for a class of another name, with that name.
    pub renamed: &'static [(&'static str, &'static str)],
    /// Labels whose rows are left out.
    pub left_out: &'static [&'static str],
    /// Where the task lists no classes: how many there are. They are the labels of the file, sorted.
    pub open_classes: usize,
}

/// How rows lie in their file.
#[derive(Debug, Clone, Copy)]
pub enum Layout {
    /// Delimited by commas, quotes as usual; the first line names the columns, of which some are read.
    Csv,
    /// Delimited by tabs alone, quotes are text; no line names the columns.
    Tabs,
    /// A folder for each class that holds a file for each row.
    Folders {
        /// The folder that holds more of the same, beside the part's.
        beside: &'static str,
    },
}

impl UnsplitCorpus {
    /// Reads every row, in the order of the file, with the classes in the order of the logits.
    ///
    /// # Errors
    /// A file that cannot be read or is malformed, a missing column, a label never seen, no rows, a single class.
    pub(crate) fn read(
        &self,
        part: &Part,
        classes: &[&str],
        path: &Path,
    ) -> Result<(Labels, Vec<Example>), DataError> {
        let rows = match self.layout {
            Layout::Csv => {
                let text = decoded(path)?;
                let columns: Vec<&str> = [part.text].into_iter().chain(part.label).collect();
                tabular::read_separated(path, &text, &columns, Delimited::Csv)?
            }
            Layout::Tabs => tabular::read_tabs(part, decoded(path)?.as_bytes(), path)?,
            Layout::Folders { beside } => {
                let mut rows = read_folders(path, classes)?;
                rows.extend(read_folders(&path.with_file_name(beside), classes)?);
                rows
            }
        };

        let classes = if classes.is_empty() {
            self.found_classes(&rows)
        } else {
            classes.iter().map(|class| (*class).to_owned()).collect()
        };
        let mut examples = Vec::with_capacity(rows.len());
        let mut seen = BTreeSet::new();
        for row in rows {
            let mut fields = row.fields.into_iter();
            let (text, label) =
                (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
            if self.left_out.contains(&label.as_str()) {
                continue;
            }
            let class = self.class(&classes, &label).ok_or_else(|| DataError::UnknownLabel {
                path: path.to_owned(),
                line: row.line,
                found: label.clone(),
                expected: self.known(&classes),
                hint: String::new(),
            })?;
            seen.insert(class);
            examples.push(Example { text, text2: None, label: Some(Label::Class(class)) });
        }

        let mut seen = seen.into_iter();
        match (seen.next(), seen.next()) {
            (None, _) => Err(DataError::Empty { path: path.to_owned() }),
            (Some(only), None) => Err(DataError::OneClassPublished {
                path: path.to_owned(),
                label: classes[only].clone(),
                expected: classes.len().max(self.open_classes),
            }),
            _ => Ok((Labels::Classes(classes), examples)),
        }
    }

    fn found_classes(&self, rows: &[Row]) -> Vec<String> {
        let labels = rows.iter().filter_map(|row| row.fields.get(1));
        let kept = labels.filter(|label| !self.left_out.contains(&label.as_str()));
        let mut classes: Vec<String> = kept.cloned().collect();
        classes.sort();
        classes.dedup();
        classes
    }

    fn class(&self, classes: &[String], label: &str) -> Option<usize> {
        let renamed = self.renamed.iter().find(|(from, _)| *from == label);
        let name = renamed.map_or(label, |(_, class)| class);
        classes.iter().position(|class| class == name)
    }

    /// Every label that the file may have, for the one who found another.
    fn known(&self, classes: &[String]) -> String {
        let renamed = self.renamed.iter().map(|(label, _)| *label);
        let own = classes.iter().map(String::as_str);
        let own = own.filter(|name| self.renamed.iter().all(|(_, class)| class != name));
        let left_out = self.left_out.iter().copied().filter(|label| !label.is_empty());
        renamed.chain(own).chain(left_out).collect::<Vec<_>>().join(", ")
    }
}

/// How many of `rows` rows are in a part: four fifths, and half of the rest each, as in Houlsby et al. 2019, Table 3.
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

/// The rows of a part, in the order of the file.
///
/// The seed is nobody's choice: two people who train the same task have the same rows in each part, whatever their
/// runs' seeds are, and tasks of the same file share their split.
pub(crate) fn draw(examples: Vec<Example>, split: Split) -> Vec<Example> {
    let mut part_of = vec![Split::Train; examples.len()];
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(derive_seed(0, "split")));
    let (train, validation) =
        (share(examples.len(), Split::Train), share(examples.len(), Split::Validation));
    let (validation, test) = order[train..].split_at(validation);
    for index in validation {
        part_of[*index] = Split::Validation;
    }
    for index in test {
        part_of[*index] = Split::Test;
    }
    let drawn = examples.into_iter().zip(part_of).filter(|(_, part)| *part == split);
    drawn.map(|(example, _)| example).collect()
}

/// The text of a file in UTF-8, or else in Latin-1: Crowdflower published in both, and both are passed around.
fn decoded(path: &Path) -> Result<String, DataError> {
    let bytes =
        std::fs::read(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    refuse_wide(path, &bytes)?;
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| error.as_bytes().iter().map(|byte| char::from(*byte)).collect());
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Reads a folder of folders: text and label, in the order of their names, which is the same on every machine.
fn read_folders(path: &Path, classes: &[&str]) -> Result<Vec<Row>, DataError> {
    let mut rows = Vec::new();
    for folder in entries(path)? {
        let label = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !classes.contains(&label.as_str()) {
            return Err(DataError::UnknownFolder { path: folder, expected: classes.join(", ") });
        }
        for file in entries(&folder)? {
            rows.push(Row { fields: vec![decoded(&file)?, label.clone()], line: 1 });
        }
    }
    Ok(rows)
}

/// What is in a folder, sorted, without what an operating system hides there.
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

    const PARTS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

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
        fn every_row_is_in_one_part_and_stays_there(rows in 0_usize..500) {
            let mut all = Vec::new();
            for split in PARTS {
                let part = drawn(rows, split);
                prop_assert_eq!(part.len(), share(rows, split));
                prop_assert_eq!(&part, &drawn(rows, split));
                all.extend(part.into_iter().map(|row| row.parse::<usize>().unwrap()));
            }
            all.sort_unstable();
            prop_assert_eq!(all, (0..rows).collect::<Vec<_>>());
        }
    }

    /// Whoever changes the split changes every published score: this holds it where it is.
    #[test]
    fn the_split_is_the_one_everybody_has() {
        assert_eq!(drawn(30, Split::Validation), ["1", "27", "28"]);
        assert_eq!(drawn(30, Split::Test), ["9", "12", "18"]);
    }
}
