//! JSON Lines: one object per line.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use crate::error::{DataError, TableError};
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

/// The keys of the first object.
pub(crate) fn keys(path: &Path, text: &str) -> Result<Vec<String>, DataError> {
    match objects(path, text).next() {
        Some(first) => Ok(first?.1.0.into_keys().collect()),
        None => Err(DataError::Empty { path: path.to_owned() }),
    }
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
        Some(Value::String(text)) => Ok(text.clone()),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value.to_string()),
        Some(other) => Err(TableError::JsonLine {
            path: path.to_owned(),
            line,
            reason: format!(
                "`{key}` is {}, expected a text, a number or a truth value",
                kind(other)
            ),
        }
        .into()),
        None => Err(TableError::MissingKey {
            path: path.to_owned(),
            line,
            key: key.to_owned(),
            found: object.0.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        }
        .into()),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
        _ => "null",
    }
}

/// A JSON object without duplicate keys.
struct Object(BTreeMap<String, Value>);

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
