//! CoNLL: a word a line with its columns, and blank lines between texts.
//!
//! Columns are separated by tabs alone, or by runs of spaces; the first row decides. A line of white space is blank. The
//! line of `-DOCSTART-` is skipped, and so are comments: lines that begin with `# ` or are one word that begins with
//! `#`. A line that begins with `#` is a word if it has the columns of the others, the last of them a tag.
//! The comment `# global.columns = …` of CoNLL-U Plus names the columns; in such a file, ranges of words (`1-2`) and
//! empty nodes (`1.1`) are skipped. If columns are named and there is no such comment, the first row has the names.

use std::borrow::Cow;
use std::path::Path;

use super::columns::TagColumns;
use super::error::TaggingError;
use super::scheme::{TagFault, parse_tag};
use super::tag_file::{FileTags, FileText, TagFile};
use crate::encoding::TextLines;
use crate::error::{DataError, TextError};
use crate::lines::Lines;
use crate::tabular::column_index;

const DOCUMENT: &str = "-DOCSTART-";
const MAX_LINE: usize = TextLines::<&[u8]>::MAX_LINE;

/// Reads the texts of a file, with their tags if `is_tagged`.
pub(super) fn parse(
    path: &Path,
    text: &str,
    columns: &TagColumns,
    is_tagged: bool,
) -> Result<TagFile, DataError> {
    columns.refuse_spans(path, "a word on each line")?;
    if let Some((line, _)) = lines(text).find(|(_, content)| content.len() > MAX_LINE) {
        let path = path.to_owned();
        return Err(TextError::LongLine { path, line, at_most: MAX_LINE }.into());
    }
    let Some(layout) = Layout::find(path, text, columns, is_tagged)? else {
        return Err(DataError::Empty { path: path.to_owned() });
    };
    let mut tags = FileTags::default();
    let mut texts: Vec<FileText> = Vec::new();
    let mut is_open = false;
    for (line, content) in lines(text).skip(layout.skipped) {
        if is_blank(content) || layout.is_document(content) {
            is_open = false;
            continue;
        }
        let Some(fields) = layout.fields(path, line, content)? else { continue };
        let word = fields[layout.word];
        if word.is_empty() {
            return Err(TaggingError::EmptyWord { path: path.to_owned(), line }.into());
        }
        if !is_open {
            texts.push(FileText::on_line(line));
            is_open = true;
        }
        // A text was pushed when it was opened.
        let Some(open) = texts.last_mut() else { continue };
        open.push_word(word, line);
        if let Some(column) = layout.tag {
            let tag = tags.index(fields[column], line).map_err(|fault| TaggingError::Tag {
                path: path.to_owned(),
                line,
                tag: fields[column].to_owned(),
                fault,
                hint: layout.hint(line, fault),
            })?;
            open.tags.push(tag);
        }
    }
    let (rejected, misaligned) = (Lines::default(), Lines::default());
    Ok(TagFile {
        path: path.to_owned(),
        tags: tags.into_tags(),
        texts,
        columns: Some(layout.columns),
        rejected,
        misaligned,
    })
}

/// A word as a column of a line: tabs, line breaks and other control characters are spaces, and a word in which nothing
/// is visible is `_`.
pub fn conll_word(word: &str) -> Cow<'_, str> {
    let is_separator =
        |character: char| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
    if word.chars().all(|character| character.is_whitespace() || is_separator(character)) {
        Cow::Borrowed("_")
    } else if word.contains(is_separator) {
        Cow::Owned(word.replace(is_separator, " "))
    } else {
        Cow::Borrowed(word)
    }
}

/// The lines of a text, counted from 1; they end with `\n`, `\r\n` or `\r`.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = Some(text);
    let mut number = 0;
    std::iter::from_fn(move || {
        let text = rest?;
        number += 1;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some((number, text));
        };
        let after = &text[end..];
        rest = after.strip_prefix("\r\n").or(after.get(1..));
        Some((number, &text[..end]))
    })
}

fn is_blank(line: &str) -> bool {
    line.trim().is_empty()
}

/// How the rows of a file are separated, and which columns are read.
struct Layout {
    is_tabs: bool,
    columns: usize,
    /// The line of the first row.
    first: usize,
    /// Lines at the start that hold no rows: those up to a header.
    skipped: usize,
    word: usize,
    tag: Option<usize>,
    /// The column of the number of a word in CoNLL-U Plus.
    id: Option<usize>,
}

impl Layout {
    /// The layout of a file; none if it has no rows.
    fn find(
        path: &Path,
        text: &str,
        columns: &TagColumns,
        is_tagged: bool,
    ) -> Result<Option<Self>, DataError> {
        let rows =
            || lines(text).filter(|(_, line)| !is_blank(line) && !line.starts_with(DOCUMENT));
        let is_row =
            |line: &str| parse_tag(split(line, line.contains('\t')).last().unwrap_or(&"")).is_ok();
        let first = rows()
            .find(|(_, line)| !line.starts_with('#'))
            .or_else(|| rows().find(|(_, line)| is_row(line) || !is_tagged));
        let Some((first, row)) = first else { return Ok(None) };
        let is_tabs = row.contains('\t');
        let fields = split(row, is_tabs);
        let declared = rows().take_while(|(line, _)| *line < first).find_map(|(_, line)| {
            let names = line.strip_prefix('#')?.trim_start().strip_prefix("global.columns")?;
            Some(names.trim_start().strip_prefix('=')?.split_whitespace().collect::<Vec<_>>())
        });
        let is_named = |column: &Option<String>| {
            column.as_ref().is_some_and(|column| column.parse::<usize>().is_err())
        };
        let has_header = declared.is_none()
            && (is_named(&columns.tokens) || is_named(&columns.tags) && is_tagged);
        let names = declared.clone().or_else(|| has_header.then(|| fields.clone()));
        let count = declared.as_ref().map_or(fields.len(), Vec::len);
        let find = |column: &str| match (column.parse::<usize>(), &names) {
            (Ok(number), _) if (1..=count).contains(&number) => Ok(number - 1),
            (Ok(column), _) => Err(DataError::from(TaggingError::NoColumn {
                path: path.to_owned(),
                line: first,
                column,
                columns: count,
            })),
            (Err(_), names) => {
                column_index(path, names.as_deref().unwrap_or_default(), column, String::new)
            }
        };
        let named = |name: &str| declared.as_ref()?.iter().position(|column| *column == name);
        let word = match &columns.tokens {
            Some(column) => find(column)?,
            None => named("FORM").unwrap_or(0),
        };
        if is_tagged && count < 2 {
            return Err(TaggingError::OneColumn { path: path.to_owned(), line: first }.into());
        }
        let tag = is_tagged
            .then(|| columns.tags.as_ref().map_or(Ok(count - 1), |column| find(column)))
            .transpose()?;
        if tag == Some(word) {
            return Err(TaggingError::SameColumn { path: path.to_owned(), column: word + 1 }.into());
        }
        let skipped = if has_header { first } else { 0 };
        Ok(Some(Self { is_tabs, columns: count, first, skipped, word, tag, id: named("ID") }))
    }

    /// The fields of a line; none for a comment, and for a row of CoNLL-U that is no word.
    fn fields<'a>(
        &self,
        path: &Path,
        line: usize,
        content: &'a str,
    ) -> Result<Option<Vec<&'a str>>, DataError> {
        let fields = split(content, self.is_tabs);
        if content.starts_with('#') && !self.is_row(&fields) {
            let is_comment = content.starts_with("# ") || fields.len() == 1;
            if is_comment {
                return Ok(None);
            }
        }
        if !self.is_tabs && content.contains('\t') {
            let path = path.to_owned();
            return Err(TaggingError::Separators { path, line, first: self.first }.into());
        }
        if fields.len() != self.columns {
            let is_of_spaces = self.is_tabs && !content.contains('\t') && content.contains(' ');
            let hint = if is_of_spaces {
                "; the first row is separated by tabs, and this one by spaces"
            } else {
                ""
            };
            return Err(TaggingError::Columns {
                path: path.to_owned(),
                line,
                found: fields.len(),
                expected: self.columns,
                first: self.first,
                hint,
            }
            .into());
        }
        let is_word = self.id.is_none_or(|id| !fields[id].contains(['-', '.']));
        Ok(is_word.then_some(fields))
    }

    /// Whether the fields of a line that begins with `#` are those of a word.
    fn is_row(&self, fields: &[&str]) -> bool {
        let last = (self.columns > 1).then_some(self.columns - 1);
        let is_tag = |column: usize| fields.get(column).is_some_and(|tag| parse_tag(tag).is_ok());
        fields.len() == self.columns && self.tag.or(last).is_none_or(is_tag)
    }

    fn is_document(&self, line: &str) -> bool {
        split(line, self.is_tabs).first() == Some(&DOCUMENT)
    }

    /// A suggestion for a malformed tag: the first row may have the names of the columns.
    fn hint(&self, line: usize, fault: TagFault) -> &'static str {
        let is_first = line == self.first && fault != TagFault::Empty;
        if is_first && self.skipped == 0 {
            "; if this line names the columns, choose two of them by name with --tokens and --tags"
        } else {
            "; choose the column of the tags with --tags"
        }
    }
}

fn split(line: &str, is_tabs: bool) -> Vec<&str> {
    if is_tabs {
        line.split('\t').collect()
    } else {
        line.split(' ').filter(|field| !field.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(tokens: Option<&str>, tags: Option<&str>) -> TagColumns {
        let owned = |name: &str| name.to_owned();
        TagColumns { tokens: tokens.map(owned), tags: tags.map(owned), ..TagColumns::default() }
    }

    fn read_with(text: &str, columns: &TagColumns) -> Result<Vec<String>, String> {
        let file =
            parse(Path::new("a.conll"), text, columns, true).map_err(|error| error.to_string())?;
        let texts = (0..file.len()).map(|text| {
            let words = file.words(text).zip(file.tags(text)).enumerate();
            let words =
                words.map(|(word, (name, tag))| format!("{}:{name}/{tag}", file.line(text, word)));
            words.collect::<Vec<_>>().join(" ")
        });
        Ok(texts.collect())
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let expected = expected.iter().map(ToString::to_string).collect();
        assert_eq!(read_with(text, &TagColumns::default()), Ok(expected));
    }

    #[track_caller]
    fn check_refused(text: &str, sentence: &str) {
        assert_eq!(read_with(text, &TagColumns::default()), Err(format!("a.conll {sentence}")));
    }

    #[test]
    fn texts_end_at_blank_lines() {
        check("a\tO\nb\tB-x\n\nc\tO\n", &["1:a/O 2:b/B-x", "4:c/O"]);
        check("\n \t\r\na\tO\r\nb\tB-x\r\n\t\r\n\r\nc\tO", &["3:a/O 4:b/B-x", "7:c/O"]);
        check("a\tO\rb\tO\r\rc\tO\r", &["1:a/O 2:b/O", "4:c/O"]);
        check(
            "-DOCSTART- -X- -X- O\n\na NN O O\n-DOCSTART- -X- O O\nb  NN O B-x \n",
            &["3:a/O", "5:b/B-x"],
        );
        // In a file of tabs, a space is a part of a word.
        check("a b\tO\n\u{3000}\tO\n", &["1:a b/O 2:\u{3000}/O"]);
    }

    #[test]
    fn a_comment_is_not_a_word_and_a_hashtag_is_none() {
        check("# id = 1\n#x\n#NFL\tB-x\n#\tO\n# a\nb\tO\n", &["3:#NFL/B-x 4:#/O 6:b/O"]);
        check("# a b c\n#NFL O\n# O\n# text = a O\nb O\n", &["2:#NFL/O 3:#/O 5:b/O"]);
        check("#a O\n#b O\n", &["1:#a/O 2:#b/O"]);
        check_refused("a O\n#b O X\n", "line 2: 3 columns, expected 2 as in line 1");
    }

    #[test]
    fn every_word_has_a_form_that_is_one_column() {
        for (word, form) in [
            ("a b", "a b"),
            ("\\", "\\"),
            ("a\tb\u{2028}c", "a b c"),
            ("c\r\nd", "c  d"),
            ("", "_"),
            ("\n", "_"),
            ("\u{3000}", "_"),
        ] {
            assert_eq!(conll_word(word), form, "{word:?}");
            check(&format!("{form}\tO\n"), &[&format!("1:{form}/O")]);
        }
    }

    #[test]
    fn columns_are_chosen_by_number_or_by_name() {
        let file = "id word ner pos\n1 a O NN\n2 b B-x NN\n";
        let expected = Ok(vec!["2:a/O 3:b/B-x".to_owned()]);
        assert_eq!(read_with(file, &columns(Some("word"), Some("ner"))), expected);
        assert_eq!(read_with(file, &columns(Some("2"), Some("ner"))), expected);
        let without = file.split_once('\n').unwrap().1;
        assert_eq!(
            read_with(without, &columns(Some("2"), Some("3"))),
            Ok(vec!["1:a/O 2:b/B-x".to_owned()])
        );
        let plus = "# global.columns = ID FORM NER\n# text = ab c\n1-2\tab\t_\n1\ta\tO\n2\tb\tB-x\n2.1\tz\t_\n";
        let expected = Ok(vec!["4:a/O 5:b/B-x".to_owned()]);
        assert_eq!(read_with(plus, &TagColumns::default()), expected);
        assert_eq!(read_with(plus, &columns(None, Some("NER"))), expected);
        for (tokens, tags, sentence) in [
            (None, Some("3"), "line 1: there is no column 3; expected a number from 1 to 2"),
            (None, Some("0"), "line 1: there is no column 0; expected a number from 1 to 2"),
            (
                Some("2"),
                None,
                ": column 2 is named for the words and for the tags; name two columns",
            ),
            (Some("word"), None, "has no column `word`; its columns are a, O"),
        ] {
            let refused = read_with("a O\nb O\n", &columns(tokens, tags)).unwrap_err();
            assert_eq!(refused.trim_start_matches("a.conll").trim_start(), sentence);
        }
    }

    #[test]
    fn malformed_rows_are_refused_with_their_lines() {
        check_refused("a\tO\nb\n", "line 2: 1 columns, expected 2 as in line 1");
        check_refused(
            "a\tO\nb O\n",
            "line 2: 1 columns, expected 2 as in line 1; the first row is separated by tabs, and this one by spaces",
        );
        check_refused(
            "a O\nb\tO\n",
            "line 2 has a tab, but line 1 is separated by spaces; separate all columns by tabs, or all by spaces",
        );
        check_refused(
            "\na\nb\n",
            "line 2: one column, expected two or more: a word and its tag (words without tags are for `predict`)",
        );
        check_refused("a\tO\n\tO\n", "line 2: the word is empty");
        let tags = "; choose the column of the tags with --tags";
        let refused = format!(
            "line 2: the tag ``: the tag is empty; a word outside of every entity has the tag `O`{tags}"
        );
        check_refused("a\tO\nb\t\n", &refused);
        let expected = "expected `O`, or a prefix and a type, such as `B-person`";
        check_refused(
            "a\tO\nb\tB\n",
            &format!("line 2: the tag `B`: it has no type; {expected}{tags}"),
        );
        let refused = read_with("word\ttag\na\tO\n", &TagColumns::default()).unwrap_err();
        assert!(refused.starts_with("a.conll line 1: the tag `tag`: expected"), "{refused}");
        assert!(
            refused.ends_with("choose two of them by name with --tokens and --tags"),
            "{refused}"
        );
        check_refused("\n# nothing\n", "holds no rows");
    }

    #[test]
    fn words_without_tags_are_read() {
        let read = |text: &str| {
            let file = parse(Path::new("a.conll"), text, &TagColumns::default(), false).unwrap();
            file.texts.into_iter().map(|text| text.text).collect::<Vec<_>>()
        };
        assert_eq!(read("a\n#b\n# c d\n\ne\n"), ["a #b", "e"]);
        assert_eq!(read("a\tO\nb\tnone\n"), ["a b"]);
    }
}
