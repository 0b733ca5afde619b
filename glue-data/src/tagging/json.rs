//! Tagged words as objects of JSON: one object a line, or one list of objects.
//!
//! An object has a list of words and a list of their tags, or a text and a list of spans of its characters
//! ([`spans`](super::spans)); the first object decides for the file.

use std::ops::Range;
use std::path::Path;

use serde_json::Value;

use super::columns::TagColumns;
use super::error::TaggingError;
use super::spans::{self, Annotation};
use super::tag_file::{FileTags, FileText, TagFile};
use super::words::words;
use crate::error::{DataError, TableError};
use crate::jsonl::{Object, kind, missing_key, objects_or_list};
use crate::lines::Lines;

const TOKENS: &str = "tokens";
const TEXT: &str = "text";
/// The names of a list of tags; the second is that of `datasets`.
const TAGS: [&str; 2] = ["tags", "ner_tags"];

/// Reads the texts of a file, with their tags if `is_tagged`.
pub(super) fn parse(
    path: &Path,
    text: &str,
    columns: &TagColumns,
    is_tagged: bool,
) -> Result<TagFile, DataError> {
    parse_like(path, text, columns, is_tagged, None)
}

/// As [`parse`], where a text with spans has the words of the same text in another file.
pub(super) fn parse_like(
    path: &Path,
    text: &str,
    columns: &TagColumns,
    is_tagged: bool,
    gold: Option<&TagFile>,
) -> Result<TagFile, DataError> {
    let mut reader = Reader {
        path,
        columns,
        is_tagged,
        gold,
        layout: None,
        tags: FileTags::default(),
        file: TagFile {
            path: path.to_owned(),
            tags: Vec::new(),
            texts: Vec::new(),
            columns: None,
            rejected: Lines::default(),
            misaligned: Lines::default(),
        },
    };
    for object in objects_or_list(path, text) {
        let (line, object) = object?;
        reader.add(line, &object)?;
    }
    Ok(TagFile { tags: reader.tags.into_tags(), ..reader.file })
}

/// What the objects of a file have.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Layout {
    /// Lists of words and of tags, by their keys.
    Words { tokens: String, tags: Option<String> },
    /// A text and a list of spans, by their keys.
    Spans { text: String, entities: Option<String> },
}

impl Layout {
    /// The layout of a file by its first object.
    fn of(
        path: &Path,
        line: usize,
        first: &Object,
        columns: &TagColumns,
        is_tagged: bool,
    ) -> Result<Self, DataError> {
        let named = |column: &Option<String>, known: &[&str]| {
            let known = known.iter().find(|key| first.get(key).is_some()).copied();
            column.clone().or_else(|| known.map(ToString::to_string))
        };
        let is_named = columns.tokens.is_some() || columns.tags.is_some();
        // Prodigy has tokens too, but as objects beside the text.
        let has_words = is_list_of_texts(first.get(TOKENS)) && !columns.names_spans();
        if is_named || has_words {
            columns.refuse_spans(path, "words with tags")?;
            let tags = named(&columns.tags, &TAGS);
            if is_tagged && tags.is_none() {
                return Err(missing_key(path, line, first, TAGS[0]));
            }
            let tokens = columns.tokens.clone().unwrap_or_else(|| TOKENS.to_owned());
            return Ok(Self::Words { tokens, tags });
        }
        columns.refuse_words(path, "texts with spans")?;
        let entities = named(&columns.entities, &spans::KEYS);
        if is_tagged && entities.is_none() {
            return Err(missing_key(path, line, first, spans::KEYS[0]));
        }
        let text = columns.text.clone().unwrap_or_else(|| TEXT.to_owned());
        Ok(Self::Spans { text, entities })
    }
}

struct Reader<'a> {
    path: &'a Path,
    columns: &'a TagColumns,
    is_tagged: bool,
    /// The file whose words the texts have.
    gold: Option<&'a TagFile>,
    layout: Option<Layout>,
    tags: FileTags,
    file: TagFile,
}

impl Reader<'_> {
    fn add(&mut self, line: usize, object: &Object) -> Result<(), DataError> {
        let layout = match &self.layout {
            Some(layout) => layout.clone(),
            None => Layout::of(self.path, line, object, self.columns, self.is_tagged)?,
        };
        self.layout = Some(layout.clone());
        match layout {
            Layout::Words { tokens, tags } => {
                self.add_words(line, object, &tokens, tags.filter(|_| self.is_tagged).as_deref())
            }
            Layout::Spans { text, entities } => {
                self.add_text(line, object, &text, entities.filter(|_| self.is_tagged).as_deref())
            }
        }
    }

    fn add_words(
        &mut self,
        line: usize,
        object: &Object,
        tokens: &str,
        tags: Option<&str>,
    ) -> Result<(), DataError> {
        let mut text = FileText::on_line(line);
        let list = self.list(line, object, tokens)?;
        for word in list {
            let word = word.as_str().ok_or_else(|| self.unexpected(line, tokens, word))?;
            text.push_word(word, line);
        }
        if let Some(key) = tags {
            let tags = self.list(line, object, key)?;
            if tags.len() != list.len() {
                return Err(TaggingError::Lengths {
                    path: self.path.to_owned(),
                    line,
                    words: list.len(),
                    tags: tags.len(),
                }
                .into());
            }
            for tag in tags {
                let name = match tag {
                    Value::String(name) => name,
                    Value::Number(_) => {
                        let path = self.path.to_owned();
                        let (key, tag) = (key.to_owned(), tag.to_string());
                        return Err(TaggingError::NumberedTag { path, line, key, tag }.into());
                    }
                    other => return Err(self.unexpected(line, key, other)),
                };
                let index = self.tags.index(name, line).map_err(|fault| TaggingError::Tag {
                    path: self.path.to_owned(),
                    line,
                    tag: name.clone(),
                    fault,
                    hint: "",
                })?;
                text.tags.push(index);
            }
        }
        self.file.texts.push(text);
        Ok(())
    }

    fn add_text(
        &mut self,
        line: usize,
        object: &Object,
        key: &str,
        entities: Option<&str>,
    ) -> Result<(), DataError> {
        // Label Studio has the text below `data`.
        let data = object.get("data").and_then(|data| data.get(key));
        let text = match object.get(key).or(data) {
            Some(Value::String(text)) => text,
            Some(other) => {
                return Err(
                    self.reason(line, format!("`{key}` is {}, expected a text", kind(other)))
                );
            }
            None => return Err(missing_key(self.path, line, object, key)),
        };
        let mut row = FileText::on_line(line);
        row.text.clone_from(text);
        row.words = match self.gold {
            Some(gold) => self.words_of(gold, line, text)?,
            None => words(text),
        };
        row.lines_below = vec![0; row.words.len()];
        if let Some(key) = entities {
            let found = object.get(key).ok_or_else(|| missing_key(self.path, line, object, key))?;
            let list = match spans::annotation(object, key, found) {
                Ok(Annotation::Spans(list)) => list,
                Ok(Annotation::Rejected) => {
                    self.file.rejected.add(line);
                    return Ok(());
                }
                Err(reason) => return Err(self.reason(line, reason)),
            };
            let names = self.span_tags(line, &row, &list)?;
            for name in &names {
                let index = self.tags.index(name, line).map_err(|fault| TaggingError::Tag {
                    path: self.path.to_owned(),
                    line,
                    tag: name.clone(),
                    fault,
                    hint: "",
                })?;
                row.tags.push(index);
            }
        }
        self.file.texts.push(row);
        Ok(())
    }

    /// The words that the next text has in another file.
    fn words_of(
        &self,
        gold: &TagFile,
        line: usize,
        text: &str,
    ) -> Result<Vec<Range<usize>>, DataError> {
        let index = self.file.texts.len();
        match gold.texts.get(index) {
            Some(same) if same.text == text => Ok(same.words.clone()),
            other => {
                let last = gold.texts.last();
                Err(TaggingError::OtherText {
                    path: self.path.to_owned(),
                    line,
                    gold: gold.path.clone(),
                    gold_line: other.or(last).map_or(1, |text| text.line),
                }
                .into())
            }
        }
    }

    /// The tags of the words of a text with spans.
    fn span_tags(
        &mut self,
        line: usize,
        row: &FileText,
        list: &[Value],
    ) -> Result<Vec<String>, DataError> {
        let parsed = list.iter().map(spans::Span::parse).collect::<Result<Vec<_>, _>>();
        let parsed = parsed.map_err(|reason| self.reason(line, reason))?;
        let parsed = parsed.into_iter().flatten().collect();
        let tagged = spans::tags(&row.text, &row.words, parsed, self.columns.skip_misaligned);
        let (tags, misaligned) = tagged.map_err(|(span, fault)| TaggingError::Span {
            path: self.path.to_owned(),
            line,
            span: span.to_string(),
            fault,
        })?;
        (0..misaligned).for_each(|_| self.file.misaligned.add(line));
        Ok(tags)
    }

    fn list<'o>(
        &self,
        line: usize,
        object: &'o Object,
        key: &str,
    ) -> Result<&'o [Value], DataError> {
        match object.get(key) {
            Some(Value::Array(list)) => Ok(list),
            Some(other) => {
                Err(self
                    .reason(line, format!("`{key}` is {}, expected a list of texts", kind(other))))
            }
            None => Err(missing_key(self.path, line, object, key)),
        }
    }

    fn unexpected(&self, line: usize, key: &str, found: &Value) -> DataError {
        self.reason(line, format!("`{key}` contains {}, expected a list of texts", kind(found)))
    }

    fn reason(&self, line: usize, reason: String) -> DataError {
        TableError::JsonLine { path: self.path.to_owned(), line, reason }.into()
    }
}

fn is_list_of_texts(value: Option<&Value>) -> bool {
    value.and_then(Value::as_array).is_some_and(|list| list.iter().all(Value::is_string))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(text: &str, columns: &TagColumns) -> Result<Vec<String>, String> {
        let file =
            parse(Path::new("a.jsonl"), text, columns, true).map_err(|error| error.to_string())?;
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
    fn check_refused(second: &str, sentence: &str) {
        let text = format!("{{\"tokens\": [\"a\"], \"tags\": [\"O\"]}}\n{second}\n");
        let refused = read_with(&text, &TagColumns::default());
        assert_eq!(refused, Err(format!("a.jsonl line 2: {sentence}")));
    }

    #[test]
    fn lists_of_words_and_tags_are_read() {
        check(
            "{\"tokens\": [\"a b\", \"c\"], \"tags\": [\"B-x\", \"O\"]}\n\n{\"tags\": [], \"tokens\": []}\n",
            &["1:a b/B-x 1:c/O", ""],
        );
        check("{\"tokens\": [\"a\"], \"ner_tags\": [\"O\"], \"id\": 7}", &["1:a/O"]);
        let columns = TagColumns {
            tokens: Some("w".to_owned()),
            tags: Some("t".to_owned()),
            ..TagColumns::default()
        };
        let read = read_with("{\"w\": [\"a\"], \"t\": [\"O\"], \"tokens\": 1}", &columns);
        assert_eq!(read, Ok(vec!["1:a/O".to_owned()]));
    }

    #[test]
    fn malformed_lists_are_refused_with_their_lines() {
        check_refused(
            r#"{"tokens": ["a", "b"], "tags": ["O"]}"#,
            "2 words and 1 tags, expected a tag for each word",
        );
        check_refused(
            r#"{"tokens": ["a"], "tags": [3]}"#,
            "`tags` has the number 3 for a tag, whose name is not in this file; write names, such as `B-person`",
        );
        check_refused(
            r#"{"tokens": "a", "tags": ["O"]}"#,
            "`tokens` is a text, expected a list of texts",
        );
        check_refused(
            r#"{"tokens": [["a"]], "tags": ["O"]}"#,
            "`tokens` contains a list, expected a list of texts",
        );
        check_refused(
            r#"{"tokens": ["a"]}"#,
            "the key `tags` is missing; the keys there are tokens",
        );
        check_refused(
            r#"{"tokens": ["a"], "tags": ["per"]}"#,
            "the tag `per`: expected `O`, or a prefix (B-, I-, E-, S-, L-, U-) and a type, such as `B-person`",
        );
    }

    #[test]
    fn exports_of_programs_for_annotation_are_recognized() {
        let expected = ["1:Ana/B-per 1:is/O 1:in/O 1:Rome/B-loc", "2:Hi/O"];
        let spacy = r#"{"text": "Ana is in Rome", "entities": [[0, 3, "per"], [10, 14, "loc"]]}"#;
        check(&format!("{spacy}\n{{\"text\": \"Hi\", \"entities\": []}}"), &expected);
        let doccano = r#"{"id": 1, "text": "Ana is in Rome", "label": [[10, 14, "loc"], [0, 3, "per"]], "Comments": []}"#;
        check(&format!("{doccano}\n{{\"text\": \"Hi\", \"label\": []}}"), &expected);
        let prodigy = r#"{"text": "Ana is in Rome", "tokens": [{"text": "Ana", "start": 0, "end": 3, "id": 0}],
            "spans": [{"start": 0, "end": 3, "label": "per"}, {"start": 10, "end": 14, "label": "loc"}], "answer": "accept"}"#
            .replace('\n', " ");
        check(
            &format!("{prodigy}\n{{\"text\": \"Hi\", \"spans\": null, \"answer\": \"accept\"}}"),
            &expected,
        );
        let studio = r#"[{"id": 1, "data": {"text": "Ana is in Rome"}, "annotations": [{"was_cancelled": true, "result": []},
            {"was_cancelled": false, "result": [
                {"value": {"start": 0, "end": 3, "text": "Ana", "labels": ["per"]}, "from_name": "label", "type": "labels"},
                {"value": {"start": 10, "end": 14, "text": "Rome", "labels": ["loc"]}, "from_name": "label", "type": "labels"},
                {"value": {"choices": ["fine"]}, "from_name": "c", "type": "choices"}]}]}]"#;
        check(studio, &expected[..1]);
        let minimal = r#"[{"text": "Ana is in Rome", "id": 1, "label": [{"start": 0, "end": 3, "text": "Ana", "labels": ["per"]},
            {"start": 10, "end": 14, "text": "Rome", "labels": ["loc"]}]},
            {"text": "Hi", "id": 2, "label": []}]"#;
        check(minimal, &[expected[0], "3:Hi/O"]);
    }

    #[test]
    fn texts_that_were_not_accepted_are_left_out() {
        let text = "{\"text\": \"a\", \"spans\": [], \"answer\": \"reject\"}\n{\"text\": \"b\", \"spans\": []}\n";
        let file = parse(Path::new("a.jsonl"), text, &TagColumns::default(), true).unwrap();
        assert_eq!((file.len(), file.rejected.to_string()), (1, "line 1".to_owned()));
        let two = r#"{"text": "a", "annotations": [{"result": []}, {"result": []}]}"#;
        let refused = read_with(two, &TagColumns::default()).unwrap_err();
        assert!(refused.contains("has 2 annotations of one text; keep one of them"), "{refused}");
    }

    #[test]
    fn malformed_spans_are_refused_with_their_lines() {
        let refused = |second: &str| {
            let text = format!("{{\"text\": \"a\", \"entities\": []}}\n{second}");
            read_with(&text, &TagColumns::default()).unwrap_err()
        };
        let cut = refused(r#"{"text": "abc", "entities": [[0, 2, "x"]]}"#);
        assert!(
            cut.starts_with("a.jsonl line 2: the span 0-2 (x) cuts the word `abc` in two"),
            "{cut}"
        );
        let odd = refused(r#"{"text": "abc", "entities": [["x"]]}"#);
        assert!(odd.starts_with("a.jsonl line 2: the span [\"x\"] is not understood"), "{odd}");
        assert!(
            refused(r#"{"text": 3, "entities": []}"#)
                .ends_with("`text` is a number, expected a text")
        );
        assert!(refused(r#"{"body": "", "entities": []}"#).contains("the key `text` is missing"));
        assert!(
            refused(r#"{"text": "", "entities": "x"}"#)
                .ends_with("`entities` is a text, expected a list of spans")
        );
    }

    #[test]
    fn settings_of_another_kind_of_file_are_refused() {
        let spans = TagColumns {
            entities: Some("e".to_owned()),
            tags: Some("t".to_owned()),
            ..TagColumns::default()
        };
        let refused = read_with("{\"t\": []}", &spans).unwrap_err();
        assert_eq!(
            refused,
            "a.jsonl: --entities is for texts with spans, and this file has words with tags; leave it out"
        );
    }

    #[test]
    fn a_text_without_tags_is_split_into_words() {
        let read = |text: &str| {
            let file = parse(Path::new("a.jsonl"), text, &TagColumns::default(), false).unwrap();
            (0..file.len())
                .map(|text| file.words(text).collect::<Vec<_>>().join("|"))
                .collect::<Vec<_>>()
        };
        assert_eq!(read("{\"text\": \"It's me\", \"id\": 1}"), ["It|'|s|me"]);
        assert_eq!(read("{\"tokens\": [\"It's\", \"me\"]}"), ["It's|me"]);
    }
}
