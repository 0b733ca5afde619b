//! Spans of characters as programs for annotation export them, and the tags of the words in them.
//!
//! | program | list of spans | a span |
//! | --- | --- | --- |
//! | spaCy | `entities` | `[start, end, "person"]` |
//! | Doccano | `label`, or `entities` | `[start, end, "person"]`, or an object with `start_offset`, `end_offset` and `label` |
//! | Prodigy | `spans` | an object with `start`, `end` and `label` |
//! | Label Studio | `annotations` with a `result` each, or `label` (JSON-MIN) | an object with `start`, `end` and `labels`, in a `value` or not |
//!
//! Offsets count Unicode characters from 0, and the end is the character after the last.

use std::fmt;
use std::ops::Range;

use serde_json::Value;

use super::error::SpanFault;
use super::scheme::OUTSIDE;
use crate::jsonl::{Object, kind};

/// The keys under which a list of spans is looked for.
pub(super) const KEYS: [&str; 5] = ["entities", "label", "labels", "spans", "annotations"];

/// The annotation of a text.
pub(super) enum Annotation {
    /// Its spans.
    Spans(Vec<Value>),
    /// It was rejected or cancelled, or there is none.
    Rejected,
}

/// The list of spans of an object, which is the value of a key or in it.
pub(super) fn annotation(object: &Object, key: &str, value: &Value) -> Result<Annotation, String> {
    // Prodigy's answer is `accept`, `reject` or `ignore`.
    if object.get("answer").and_then(Value::as_str).is_some_and(|answer| answer != "accept") {
        return Ok(Annotation::Rejected);
    }
    let list = match value {
        Value::Array(list) => list,
        // What Label Studio and Prodigy write for no span.
        Value::Null => return Ok(Annotation::Spans(Vec::new())),
        other => return Err(format!("`{key}` is {}, expected a list of spans", kind(other))),
    };
    // Label Studio: one annotation for each annotator, of which each has its spans.
    let is_of_annotators =
        key == "annotations" && !list.iter().any(|one| one.get("result").is_none());
    if !is_of_annotators {
        return Ok(Annotation::Spans(list.clone()));
    }
    let is_cancelled =
        |one: &&Value| one.get("was_cancelled").and_then(Value::as_bool).unwrap_or(false);
    let mut finished = list.iter().filter(|one| !is_cancelled(one));
    match (finished.next(), finished.count()) {
        (None, _) => Ok(Annotation::Rejected),
        (Some(one), 0) => match &one["result"] {
            Value::Array(result) => Ok(Annotation::Spans(result.clone())),
            other => Err(format!("`result` is {}, expected a list of spans", kind(other))),
        },
        (Some(_), more) => {
            Err(format!("`{key}` has {} annotations of one text; keep one of them", more + 1))
        }
    }
}

/// A span of characters with its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) characters: Range<usize>,
    pub(super) label: String,
    /// The text that the file has for the span.
    pub(super) text: Option<String>,
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{} ({})", self.characters.start, self.characters.end, self.label)
    }
}

impl Span {
    /// Parses a span; none for what is beside the spans of Label Studio, such as a choice for the whole text.
    pub(super) fn parse(value: &Value) -> Result<Option<Self>, String> {
        let malformed = || {
            format!(
                "the span {} is not understood; expected [start, end, \"label\"], or an object with start, end and label",
                shortened(value)
            )
        };
        let offset = |value: Option<&Value>| {
            let offset = value?.as_u64()?;
            usize::try_from(offset).ok()
        };
        let (start, end, label, text) = match value {
            Value::Array(parts) => {
                let [start, end, label] = parts.as_slice() else { return Err(malformed()) };
                (offset(Some(start)), offset(Some(end)), label.as_str(), None)
            }
            Value::Object(object) => {
                if object.get("type").is_some_and(|kind| kind != "labels")
                    && object.contains_key("from_name")
                {
                    return Ok(None);
                }
                let value = object.get("value").unwrap_or(value);
                let label = match value.get("labels").and_then(Value::as_array) {
                    Some(labels) => match labels.as_slice() {
                        [label] => label.as_str(),
                        _ => None,
                    },
                    None => value.get("label").and_then(Value::as_str),
                };
                let start = value.get("start").or_else(|| value.get("start_offset"));
                let end = value.get("end").or_else(|| value.get("end_offset"));
                (offset(start), offset(end), label, value.get("text").and_then(Value::as_str))
            }
            _ => return Err(malformed()),
        };
        let (Some(start), Some(end), Some(label)) = (start, end, label) else {
            return Err(malformed());
        };
        if label.trim().is_empty() {
            return Err(format!("the span {} has an empty label", shortened(value)));
        }
        let text = text.map(str::to_owned);
        Ok(Some(Self { characters: start..end, label: label.to_owned(), text }))
    }
}

/// A value in at most 80 characters.
fn shortened(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 80 {
        return text;
    }
    text.chars().take(79).chain(['…']).collect()
}

/// The tags of the words of a text in BIO, and how many spans were left out since they begin or end inside of a word.
///
/// White space at the ends of a span does not count.
///
/// # Errors
/// The first span that is not one of words, with what is wrong with it.
pub(super) fn tags(
    text: &str,
    words: &[Range<usize>],
    spans: Vec<Span>,
    skip_misaligned: bool,
) -> Result<(Vec<String>, usize), (Span, SpanFault)> {
    // The byte at which each character begins, and the end.
    let bytes: Vec<usize> = text.char_indices().map(|(byte, _)| byte).chain([text.len()]).collect();
    let mut tags = vec![OUTSIDE.to_owned(); words.len()];
    // The index of the span to which a word belongs.
    let mut owners: Vec<Option<usize>> = vec![None; words.len()];
    let mut misaligned = 0;
    for (index, span) in spans.iter().enumerate() {
        let refused = |fault| Err((span.clone(), fault));
        let Range { start, end } = span.characters;
        if end >= bytes.len() || start >= bytes.len() {
            return refused(SpanFault::Outside { characters: bytes.len() - 1 });
        }
        let range = bytes[start]..bytes[end].max(bytes[start]);
        if let Some(expected) = &span.text
            && text[range.clone()] != **expected
        {
            let found = text[range].to_owned();
            return refused(SpanFault::Text { found, expected: expected.clone() });
        }
        let first = words.partition_point(|word| word.end <= range.start);
        let last = words.partition_point(|word| word.start < range.end);
        if start >= end || first >= last {
            return refused(SpanFault::Empty);
        }
        let cut = [first, last - 1]
            .map(|word| words[word].clone())
            .into_iter()
            .find(|word| word.start < range.start || word.end > range.end);
        if let Some(word) = cut {
            if skip_misaligned {
                misaligned += 1;
                continue;
            }
            return refused(SpanFault::Misaligned { word: text[word].to_owned() });
        }
        if let Some(other) = owners[first..last].iter().flatten().next() {
            return refused(SpanFault::Overlap { other: spans[*other].to_string() });
        }
        for word in first..last {
            let prefix = if word == first { 'B' } else { 'I' };
            tags[word] = format!("{prefix}-{}", span.label);
            owners[word] = Some(index);
        }
    }
    Ok((tags, misaligned))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::words;
    use super::*;

    fn span(characters: Range<usize>, label: &str) -> Span {
        Span { characters, label: label.to_owned(), text: None }
    }

    fn tagged(text: &str, spans: Vec<Span>, skip: bool) -> Result<(String, usize), String> {
        let tagged = tags(text, &words(text), spans, skip);
        let tagged = tagged.map_err(|(span, fault)| format!("{span} {fault}"))?;
        Ok((tagged.0.join(" "), tagged.1))
    }

    #[test]
    fn spans_of_characters_become_tags_of_words() {
        let text = "Zoë Å. naïve in Málaga";
        let spans = vec![span(16..22, "city"), span(0..6, "person")];
        let tags = "B-person I-person I-person O O B-city".to_owned();
        assert_eq!(tagged(text, spans.clone(), false), Ok((tags, 0)));
        // White space at the ends does not count.
        let spans = vec![span(15..22, "city"), span(0..4, "person")];
        let tags = "B-person O O O O B-city".to_owned();
        assert_eq!(tagged(text, spans, false), Ok((tags, 0)));
    }

    #[test]
    fn spans_that_are_not_of_words_are_refused() {
        let text = "Zoë in Málaga 😀";
        let refused = |spans: Vec<Span>| tagged(text, spans, true).unwrap_err();
        assert_eq!(
            refused(vec![span(7..16, "x")]),
            "7-16 (x) is outside of the text, which has 15 characters"
        );
        assert_eq!(
            refused(vec![span(900..901, "x")]),
            "900-901 (x) is outside of the text, which has 15 characters"
        );
        for (start, end) in [(3, 3), (3, 4), (7, 4)] {
            let sentence = format!("{start}-{end} (x) is empty: it contains no word");
            assert_eq!(refused(vec![span(start..end, "x")]), sentence);
        }
        assert_eq!(
            refused(vec![span(0..3, "x"), span(4..13, "y"), span(0..6, "z")]),
            "0-6 (z) overlaps the span 0-3 (x); a word has one tag, so keep one of the two"
        );
        let with_text = Span { text: Some("Malaga".to_owned()), ..span(7..13, "x") };
        assert_eq!(
            refused(vec![with_text]),
            "7-13 (x) is `Málaga`, but the file says `Malaga`; its offsets have to count Unicode characters from 0"
        );
        assert_eq!(
            tagged(text, vec![span(4..9, "x")], false).unwrap_err(),
            "4-9 (x) cuts the word `Málaga` in two; move its border to that of the word, or skip such spans with \
             --skip-misaligned"
        );
        // A span that is left out overlaps nothing.
        let spans = vec![span(4..9, "x"), span(4..13, "y"), span(1..6, "x")];
        assert_eq!(tagged(text, spans, true), Ok(("O B-y I-y O".to_owned(), 2)));
    }

    #[test]
    fn spans_of_every_program_are_understood() {
        let parse = |json: &str| Span::parse(&serde_json::from_str(json).unwrap());
        let expected = Ok(Some(span(2..5, "per")));
        for json in [
            r#"[2, 5, "per"]"#,
            r#"{"start": 2, "end": 5, "label": "per", "token_start": 0}"#,
            r#"{"id": 7, "start_offset": 2, "end_offset": 5, "label": "per"}"#,
            r#"{"start": 2, "end": 5, "labels": ["per"]}"#,
            r#"{"value": {"start": 2, "end": 5, "labels": ["per"]}, "from_name": "l", "type": "labels"}"#,
        ] {
            assert_eq!(parse(json), expected, "{json}");
        }
        let choice = r#"{"value": {"choices": ["a"]}, "from_name": "c", "type": "choices"}"#;
        assert_eq!(parse(choice), Ok(None));
        for json in [
            "[2, 5]",
            "[2, -5, \"per\"]",
            "[2, 5.0, \"per\"]",
            "\"per\"",
            r#"{"start": 2, "end": 5}"#,
            r#"{"start": 2, "end": 5, "labels": ["per", "loc"]}"#,
        ] {
            assert!(parse(json).unwrap_err().contains("is not understood"), "{json}");
        }
        assert_eq!(
            parse("[2, 5, \" \"]"),
            Err("the span [2,5,\" \"] has an empty label".to_owned())
        );
    }

    proptest! {
        #[test]
        fn any_spans_give_a_tag_for_each_word_or_an_error(
            text in "[ab é,\u{301}]{0,12}",
            spans in prop::collection::vec((0_usize..14, 0_usize..14), 0..4),
            skip: bool,
        ) {
            let words = words(&text);
            let spans = spans.into_iter().map(|(start, end)| span(start..end, "x")).collect();
            if let Ok((tags, misaligned)) = tags(&text, &words, spans, skip) {
                prop_assert_eq!(tags.len(), words.len());
                prop_assert!(skip || misaligned == 0);
            }
        }
    }
}
