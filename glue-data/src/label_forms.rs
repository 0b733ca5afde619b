//! Labels that look alike: they differ only in spaces, Unicode normalization, case, quotes or number format.
//!
//! Each spelling would be a class of its own. A file that mixes spellings is an error, and nothing is changed silently.

use std::collections::BTreeMap;
use std::path::Path;

use tokenizers::NormalizedString;

use crate::error::{DataError, LabelError};
use crate::invisible::has_no_width;

/// Maximum number of labels of one form in an error, and of forms.
const NAMED: usize = 3;

/// The first line of a label, and the number of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) line: usize,
    pub(crate) rows: usize,
}

/// Counts the labels of rows.
pub(crate) fn count<'a>(
    labels: impl IntoIterator<Item = (&'a str, usize)>,
) -> BTreeMap<&'a str, Seen> {
    let mut counts = BTreeMap::new();
    for (label, line) in labels {
        counts.entry(label).or_insert(Seen { line, rows: 0 }).rows += 1;
    }
    counts
}

/// Checks that no two labels differ only in their form.
pub(crate) fn check_confusable(
    path: &Path,
    labels: &BTreeMap<&str, Seen>,
) -> Result<(), DataError> {
    let mut forms: BTreeMap<String, Vec<(&str, Seen)>> = BTreeMap::new();
    for (label, seen) in labels {
        forms.entry(form(label)).or_default().push((label, *seen));
    }
    let alike: Vec<_> = forms.into_values().filter(|labels| labels.len() > 1).collect();
    if alike.is_empty() {
        return Ok(());
    }
    let mut found: Vec<String> = alike.iter().take(NAMED).map(|labels| sentence(labels)).collect();
    if alike.len() > NAMED {
        found.push(format!("and so on, {} in all", alike.len()));
    }
    Err(LabelError::Alike { path: path.to_owned(), found: found.join("; ") }.into())
}

/// The class with the form of a label, and their difference.
pub(crate) fn near<'a>(classes: &'a [String], label: &str) -> Option<(&'a str, &'static str)> {
    let form_of_label = form(label);
    let class = classes.iter().find(|class| form(class) == form_of_label)?;
    Some((class, difference(class, label)))
}

fn sentence(labels: &[(&str, Seen)]) -> String {
    let named = labels.iter().take(NAMED).map(|(label, Seen { line, rows })| {
        let rows = if *rows == 1 { "1 row".to_owned() } else { format!("{rows} rows, first") };
        format!("`{label}` ({rows} in line {line})")
    });
    let named = named.collect::<Vec<_>>().join(" and ");
    format!("{named} differ in {} alone", difference(labels[0].0, labels[1].0))
}

fn difference(a: &str, b: &str) -> &'static str {
    if spaced(a) == spaced(b) {
        "spaces"
    } else if unicode(a) == unicode(b) {
        "their Unicode form"
    } else if unicode(a).to_lowercase() == unicode(b).to_lowercase() {
        "upper and lower case"
    } else if unquoted(&unicode(a)).to_lowercase() == unquoted(&unicode(b)).to_lowercase() {
        "quotes"
    } else {
        "number format"
    }
}

/// The normalized form of a label.
fn form(label: &str) -> String {
    let text = unquoted(&unicode(label)).to_lowercase();
    // `1.0`, as pandas writes a column of integers that has a gap; `01` is a code and not the number `1`.
    match text.split_once('.') {
        Some((whole, fraction))
            if text.parse::<f64>().is_ok()
                && fraction.bytes().all(|digit| digit.is_ascii_digit()) =>
        {
            let number = format!("{whole}.{fraction}");
            number.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => text,
    }
}

/// A label without the quotes around it: a tab-separated file that was written with quotes has them as text.
fn unquoted(label: &str) -> &str {
    let pairs = [('"', '"'), ('\'', '\''), ('\u{201c}', '\u{201d}'), ('\u{2018}', '\u{2019}')];
    let strip = |(open, close)| label.strip_prefix(open)?.strip_suffix(close);
    pairs.into_iter().find_map(strip).unwrap_or(label).trim()
}

fn unicode(label: &str) -> String {
    // ASCII needs no normalization.
    if label.is_ascii() {
        return spaced(label);
    }
    let mut text = NormalizedString::from(label);
    text.nfkc();
    spaced(text.get())
}

/// Collapses runs of white space, and removes it at both ends; characters without width are removed.
fn spaced(label: &str) -> String {
    let visible: String = label.chars().filter(|letter| !has_no_width(*letter)).collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_confusable_labels(labels: &[&str], sentence: &str) {
        let counts = count(labels.iter().zip(2..).map(|(label, line)| (*label, line)));
        let error = check_confusable(Path::new("a.csv"), &counts).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "a.csv: the labels {sentence}; write them alike, or each is a class of its own"
            )
        );
    }

    #[test]
    fn labels_that_look_the_same_are_named_with_their_lines() {
        check_confusable_labels(
            &["warm", "cool", "warm", "warm "],
            "`warm` (2 rows, first in line 2) and `warm ` (1 row in line 5) differ in spaces alone",
        );
        check_confusable_labels(
            &["New\u{a0}York", "New  York"],
            "`New  York` (1 row in line 3) and `New\u{a0}York` (1 row in line 2) differ in spaces alone",
        );
        check_confusable_labels(
            &["caf\u{e9}", "cafe\u{301}"],
            "`cafe\u{301}` (1 row in line 3) and `caf\u{e9}` (1 row in line 2) differ in their Unicode form alone",
        );
        check_confusable_labels(
            &["cat", "CAT", "dog"],
            "`CAT` (1 row in line 3) and `cat` (1 row in line 2) differ in upper and lower case alone",
        );
        check_confusable_labels(
            &["\"cat\"", "cat", "dog"],
            "`\"cat\"` (1 row in line 2) and `cat` (1 row in line 3) differ in quotes alone",
        );
        check_confusable_labels(
            &["1", "1.0", "2", "2.00"],
            "`1` (1 row in line 2) and `1.0` (1 row in line 3) differ in number format alone; \
             `2` (1 row in line 4) and `2.00` (1 row in line 5) differ in number format alone",
        );
    }

    #[test]
    fn labels_that_differ_in_more_are_classes_of_their_own() {
        let labels =
            ["1", "01", "1.5", "10", "100", "1.0.0", "v1", "v1.0", "warm", "\"", "'s", "e", "é"];
        let counts = count(labels.map(|label| (label, 1)));
        assert!(check_confusable(Path::new("a.csv"), &counts).is_ok());
    }

    #[test]
    fn the_nearest_class_is_found_by_its_form() {
        let classes = ["1", "warm"].map(str::to_owned);
        assert_eq!(near(&classes, " warm"), Some(("warm", "spaces")));
        assert_eq!(near(&classes, "Warm"), Some(("warm", "upper and lower case")));
        assert_eq!(near(&classes, "1.0"), Some(("1", "number format")));
        assert_eq!(near(&classes, "\u{ff11}"), Some(("1", "their Unicode form")));
        assert_eq!(near(&classes, "warmer"), None);
    }
}
