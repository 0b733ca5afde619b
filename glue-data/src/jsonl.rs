//! JSON Lines: one object per line; and the objects of one JSON list.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use crate::encoding::line_ends;
use crate::error::{DataError, TableError};
use crate::listed::listed;
use crate::rows::Row;

/// Reads keys of every object.
pub(crate) fn read(path: &Path, text: &str, keys: &[&str]) -> Result<Vec<Row>, DataError> {
    let rows = objects(path, text).map(|object| {
        let (line, object) = object?;
        let fields = keys.iter().map(|key| field(path, line, &object, key));
        Ok(Row { fields: fields.collect::<Result<_, _>>()?, line })
    });
    rows.collect()
}

/// A row whose first field may be a list: its items, or else the field.
type ListedRow = (Result<Vec<String>, String>, Row);

/// Reads keys of every object, and before them a key whose value may be a list.
pub(crate) fn read_with_list(
    path: &Path,
    text: &str,
    list: &str,
    keys: &[&str],
) -> Result<Vec<ListedRow>, DataError> {
    let rows = objects(path, text).map(|object| {
        let (line, object) = object?;
        let listed = match object.0.get(list) {
            Some(Value::Array(items)) => {
                let items = items.iter().map(|item| label_in_list(path, line, list, item));
                Ok(items.collect::<Result<_, _>>()?)
            }
            _ => Err(field(path, line, &object, list)?),
        };
        let fields = keys.iter().map(|key| field(path, line, &object, key));
        Ok((listed, Row { fields: fields.collect::<Result<_, _>>()?, line }))
    });
    rows.collect()
}

/// The keys of the first object.
pub(crate) fn keys(path: &Path, text: &str) -> Result<Vec<String>, DataError> {
    match objects(path, text).next() {
        Some(first) => Ok(first?.1.0.into_keys().collect()),
        None => Err(DataError::Empty { path: path.to_owned() }),
    }
}

/// The objects of a text, one on each line or all in one list, with the line on which each begins, counted from 1.
pub(crate) fn objects_or_list<'a>(
    path: &'a Path,
    text: &'a str,
) -> Box<dyn Iterator<Item = Result<(usize, Object), DataError>> + 'a> {
    match text.trim_start().strip_prefix('[') {
        Some(rest) => Box::new(elements(path, text, text.len() - rest.len())),
        None => Box::new(objects(path, text)),
    }
}

/// The objects of a list, of which `start` is the index of the byte after its bracket. The iterator ends after an error.
fn elements<'a>(
    path: &'a Path,
    text: &'a str,
    start: usize,
) -> impl Iterator<Item = Result<(usize, Object), DataError>> + 'a {
    let mut at = start;
    let mut line = 1 + line_ends(&text.as_bytes()[..start]);
    let mut is_first = true;
    let mut has_ended = false;
    std::iter::from_fn(move || {
        if has_ended {
            return None;
        }
        let mut skip = |at: &mut usize| {
            let rest = &text[*at..];
            let space = rest.len() - rest.trim_start().len();
            line += line_ends(&rest.as_bytes()[..space]);
            *at += space;
            (line, text[*at..].chars().next())
        };
        let (here, next) = skip(&mut at);
        let refused = |line: usize, reason: String| {
            Some(Err(TableError::JsonLine { path: path.to_owned(), line, reason }.into()))
        };
        let here = match next {
            Some(']') => {
                has_ended = true;
                at += 1;
                return match skip(&mut at) {
                    (_, None) => None,
                    (line, Some(_)) => refused(line, "text follows the list".to_owned()),
                };
            }
            Some(',') if !is_first => {
                at += 1;
                skip(&mut at).0
            }
            Some(_) if is_first => here,
            _ => {
                has_ended = true;
                return refused(here, "expected `,` or `]` after an object of the list".to_owned());
            }
        };
        is_first = false;
        let mut objects = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Object>();
        match objects.next() {
            Some(Ok(object)) => {
                let length = objects.byte_offset();
                line += line_ends(&text.as_bytes()[at..at + length]);
                at += length;
                Some(Ok((here, object)))
            }
            Some(Err(error)) => {
                has_ended = true;
                refused(here + error.line().saturating_sub(1), error.to_string())
            }
            None => {
                has_ended = true;
                refused(here, "the list is cut short".to_owned())
            }
        }
    })
}

/// The object of each line that is not blank, with the line's number, counted from 1.
fn objects<'a>(
    path: &'a Path,
    text: &'a str,
) -> impl Iterator<Item = Result<(usize, Object), DataError>> {
    let lines = text.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(index, line)| {
        let number = index + 1;
        let object = serde_json::from_str(line).map_err(|error| {
            DataError::from(TableError::JsonLine {
                path: path.to_owned(),
                line: number,
                reason: in_line(&error),
            })
        })?;
        Ok((number, object))
    })
}

/// The message of an error with its column; serde's own message says line 1.
fn in_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(reason) => format!("{reason} at column {}", error.column()),
        None => text,
    }
}

fn field(path: &Path, line: usize, object: &Object, key: &str) -> Result<String, DataError> {
    match object.0.get(key) {
        Some(value) => scalar(path, line, key, value),
        None => Err(missing_key(path, line, object, key)),
    }
}

/// A label in the list of those of a text.
fn label_in_list(path: &Path, line: usize, key: &str, value: &Value) -> Result<String, DataError> {
    if value.is_array() || value.is_object() {
        let reason = format!(
            "`{key}` contains {}, expected labels; spans of characters are read with --entities {key}",
            kind(value)
        );
        return Err(TableError::JsonLine { path: path.to_owned(), line, reason }.into());
    }
    scalar(path, line, key, value)
}

/// A text, a number or a truth value; `key` is where it is.
fn scalar(path: &Path, line: usize, key: &str, value: &Value) -> Result<String, DataError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        other => Err(TableError::JsonLine {
            path: path.to_owned(),
            line,
            reason: format!(
                "`{key}` is {}, expected a text, a number or a truth value",
                kind(other)
            ),
        }
        .into()),
    }
}

/// The error for a key that an object does not have.
pub(crate) fn missing_key(path: &Path, line: usize, object: &Object, key: &str) -> DataError {
    let path = path.to_owned();
    TableError::MissingKey { path, line, key: key.to_owned(), found: object.keys() }.into()
}

/// What a value of JSON is, in words.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A JSON object without duplicate keys.
pub(crate) struct Object(BTreeMap<String, Value>);

impl Object {
    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// The keys, for an error.
    pub(crate) fn keys(&self) -> String {
        listed(&self.0.keys().collect::<Vec<_>>())
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Object;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut object = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    if object.contains_key(&key) {
                        return Err(A::Error::custom(format!("the key `{key}` is there twice")));
                    }
                    object.insert(key, map.next_value()?);
                }
                Ok(Object(object))
            }
        }

        deserializer.deserialize_map(Keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<Vec<Row>, String> {
        read(Path::new("a.jsonl"), text, &["text", "label"]).map_err(|error| error.to_string())
    }

    #[test]
    fn texts_numbers_and_truth_values_are_read() {
        let text = "\r\n{\"text\": \"a\\nb\", \"label\": 1.50, \"id\": null}\r\n \n{\"label\": true, \"text\": \"c\"}";
        let row =
            |fields: [&str; 2], line| Row { fields: fields.map(str::to_owned).to_vec(), line };
        assert_eq!(rows(text), Ok(vec![row(["a\nb", "1.5"], 2), row(["c", "true"], 4)]));
        let keys = keys(Path::new("a.jsonl"), text).map_err(|error| error.to_string());
        assert_eq!(keys, Ok(vec!["id".to_owned(), "label".to_owned(), "text".to_owned()]));
    }

    #[track_caller]
    fn check_refused(second: &str, sentence: &str) {
        let text = format!("{{\"text\": \"a\", \"label\": \"x\"}}\n{second}\n");
        assert_eq!(rows(&text), Err(format!("a.jsonl line 2: {sentence}")));
    }

    fn elements(text: &str) -> Result<Vec<(usize, String)>, String> {
        let objects = objects_or_list(Path::new("a.json"), text).map(|object| {
            let (line, object) = object.map_err(|error| error.to_string())?;
            Ok((line, object.keys()))
        });
        objects.collect()
    }

    #[test]
    fn a_list_of_objects_is_read_like_lines() {
        let expected = Ok(vec![(2, "a".to_owned()), (3, "b".to_owned())]);
        assert_eq!(elements("[\n{\"a\": 1},\n{\n\"b\":\n2\n}\n]\n"), expected);
        assert_eq!(elements("\n{\"a\": 1}\n{\"b\": 2}"), expected);
        assert_eq!(elements("[ ]"), Ok(Vec::new()));
        for (text, line, sentence) in [
            ("[{\"a\": 1}\n{\"b\": 2}]", 2, "expected `,` or `]`"),
            ("[{\"a\": 1},\n", 2, "the list is cut short"),
            ("[{\"a\": 1},\n\n{\"b\": ", 3, "EOF while parsing"),
            ("[{\"a\": 1}]\n]", 2, "text follows the list"),
            ("[\n,{\"a\": 1}]", 2, "expected"),
            ("[\n1]", 2, "expected a JSON object"),
        ] {
            let refused = elements(text).unwrap_err();
            assert!(refused.starts_with(&format!("a.json line {line}: ")), "{text}: {refused}");
            assert!(refused.contains(sentence), "{text}: {refused}");
        }
    }

    #[test]
    fn a_broken_line_is_refused_with_its_number() {
        check_refused(
            r#"{"text": "a", "tag": "x"}"#,
            "the key `label` is missing; the keys there are tag, text",
        );
        check_refused(
            r#"{"text": "a", "label": null}"#,
            "`label` is null, expected a text, a number or a truth value",
        );
        check_refused(
            r#"{"text": ["a"], "label": "x"}"#,
            "`text` is a list, expected a text, a number or a truth value",
        );
        check_refused(
            r#"{"text": "a", "label": "x", "text": "b"}"#,
            "the key `text` is there twice at column 34",
        );
        check_refused(
            r#"["a", "x"]"#,
            "invalid type: sequence, expected a JSON object at column 0",
        );
        check_refused(r#"{"text": "a", "#, "EOF while parsing a value at column 14");
    }
}
