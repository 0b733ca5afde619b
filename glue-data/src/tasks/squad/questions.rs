//! The published JSON files of SQuAD.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::encoding::decode;
use crate::error::{DataError, SquadError};
use crate::rows::Split;

/// The task's name, and its folder in a data directory.
pub const NAME: &str = "squad";

/// The files: the split, the name in the task's folder, and the number of published questions.
pub const FILES: [(Split, &str, usize); 2] =
    [(Split::Train, "train-v1.1.json", 87_599), (Split::Validation, "dev-v1.1.json", 10_570)];

/// The layout of a file, for the error about another one.
const LAYOUT: &str = r#"{"data": [{"paragraphs": [{"context", "qas": [{"id", "question", "answers": [{"text", "answer_start"}]}]}]}]}"#;

/// The questions of a file, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Squad {
    /// The paragraphs.
    pub paragraphs: Vec<Paragraph>,
    /// The questions; those of one paragraph are consecutive.
    pub questions: Vec<Question>,
}

/// A paragraph of an article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paragraph {
    /// The title of the article.
    pub title: String,
    /// The text of the paragraph.
    pub context: String,
}

/// A question about a paragraph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The id, by which predictions refer to the question.
    pub id: String,
    /// The text of the question.
    pub text: String,
    /// The index of the paragraph.
    pub paragraph: usize,
    /// The reference answers: one in the training file, three or more in the other; none if they are unknown.
    pub answers: Vec<Answer>,
}

/// A reference answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// The bytes of the context; none if the context has another text at the published position. Such an answer is used for
    /// scores, but not for training.
    pub span: Option<Range<usize>>,
}

impl Squad {
    /// Reads a published file.
    ///
    /// # Errors
    /// If the file cannot be read, is truncated, has another layout or version, has no questions, or has two questions with
    /// the same id.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let bytes = std::fs::read(path)
            .map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &bytes)
    }

    /// Parses the bytes of a published file.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, DataError> {
        let published: Published = parse_json(bytes, path, LAYOUT)?;
        // Version 2 has questions without an answer, which are not supported.
        if let Some(found) = published.version.filter(|version| version.starts_with("v2")) {
            return Err(SquadError::Version { path: path.to_owned(), found }.into());
        }
        let squad = Self::from_published(published.data);
        if squad.questions.is_empty() {
            return Err(DataError::Empty { path: path.to_owned() });
        }
        let twice = {
            let mut ids = HashSet::new();
            squad.questions.iter().find(|question| !ids.insert(&question.id))
        };
        if let Some(question) = twice {
            let id = question.id.clone();
            return Err(SquadError::QuestionTwice { path: path.to_owned(), id }.into());
        }
        Ok(squad)
    }

    /// Reads a split from a data directory: `squad/train-v1.1.json`, or `squad/dev-v1.1.json` for every other split.
    /// The test questions are not published.
    ///
    /// # Errors
    /// As [`read`](Self::read), and if the file is missing.
    pub fn read_split(data: Option<&Path>, split: Split) -> Result<Self, DataError> {
        let [(_, train, _), (_, validation, _)] = FILES;
        let file = if split == Split::Train { train } else { validation };
        let data = data.unwrap_or(Path::new("."));
        let (below, here) = (data.join(NAME).join(file), data.join(file));
        let path = if !below.is_file() && here.is_file() { here } else { below };
        if !path.is_file() {
            return Err(SquadError::MissingFile { path, relative: format!("{NAME}/{file}") }.into());
        }
        Self::read(&path)
    }

    fn from_published(articles: Vec<PublishedArticle>) -> Self {
        let (mut paragraphs, mut questions) = (Vec::new(), Vec::new());
        for article in articles {
            for PublishedParagraph { context, qas } in article.paragraphs {
                questions.extend(qas.into_iter().map(|question| {
                    Question {
                        id: question.id,
                        text: question.question,
                        paragraph: paragraphs.len(),
                        answers: question
                            .answers
                            .into_iter()
                            .map(|answer| Answer {
                                span: span(&context, answer.answer_start, &answer.text),
                                text: answer.text,
                            })
                            .collect(),
                    }
                }));
                paragraphs.push(Paragraph { title: article.title.clone(), context });
            }
        }
        Self { paragraphs, questions }
    }

    /// The paragraph of a question.
    pub fn context(&self, question: &Question) -> &str {
        &self.paragraphs[question.paragraph].context
    }

    /// The number of answers that are not at their published position.
    pub fn misplaced_answers(&self) -> usize {
        let answers = self.questions.iter().flat_map(|question| &question.answers);
        answers.filter(|answer| answer.span.is_none()).count()
    }
}

/// The bytes of `text` if it begins at the character `start` (a code point, as in Python).
fn span(context: &str, start: usize, text: &str) -> Option<Range<usize>> {
    let (begin, _) = context.char_indices().nth(start)?;
    context[begin..].starts_with(text).then(|| begin..begin + text.len())
}

/// Parses the JSON of a file; errors have the position and the expected layout.
pub(super) fn parse_json<T: DeserializeOwned>(
    bytes: &[u8],
    path: &Path,
    expected: &'static str,
) -> Result<T, DataError> {
    serde_json::from_str(decode(path, bytes)?).map_err(|source| {
        let path = path.to_owned();
        if source.is_eof() {
            DataError::from(SquadError::CutShort { path, source })
        } else {
            DataError::from(SquadError::Json { path, expected, source })
        }
    })
}

#[derive(Deserialize)]
struct Published {
    version: Option<String>,
    data: Vec<PublishedArticle>,
}

#[derive(Deserialize)]
struct PublishedArticle {
    #[serde(default)]
    title: String,
    paragraphs: Vec<PublishedParagraph>,
}

#[derive(Deserialize)]
struct PublishedParagraph {
    context: String,
    qas: Vec<PublishedQuestion>,
}

#[derive(Deserialize)]
struct PublishedQuestion {
    id: String,
    question: String,
    /// Files with secret answers do not have the field.
    #[serde(default)]
    answers: Vec<PublishedAnswer>,
}

#[derive(Deserialize)]
struct PublishedAnswer {
    text: String,
    answer_start: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{"version": "1.1", "data": [{"title": "Tea", "paragraphs": [
        {"context": "Naïve brewers — both of them — use 3 pots.", "qas": [
            {"id": "a", "question": "How many pots?", "answers": [
                {"text": "3 pots", "answer_start": 35}, {"text": "3", "answer_start": 35}, {"text": "three", "answer_start": 35}]},
            {"id": "b", "question": "Who?"}]}]}]}"#;

    fn read(content: &str) -> Result<Squad, DataError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dev.json");
        std::fs::write(&path, content).unwrap();
        Squad::read(&path)
    }

    #[track_caller]
    fn check_error(content: &str, parts: &[&str]) {
        let error = read(content).unwrap_err();
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let error = format!("{error}: {}", cause.unwrap_or_default());
        for part in ["dev.json"].iter().chain(parts) {
            assert!(error.contains(part), "`{error}` lacks `{part}`");
        }
    }

    #[test]
    fn positions_are_published_in_characters_and_stored_in_bytes() {
        let squad = read(WHOLE).unwrap();
        let [pots, who] = squad.questions.as_slice() else { panic!("there are two questions") };
        let found: Vec<_> = pots
            .answers
            .iter()
            .map(|answer| answer.span.clone().map(|span| &squad.context(pots)[span]))
            .collect();
        assert_eq!(found, [Some("3 pots"), Some("3"), None]);
        assert_eq!(squad.misplaced_answers(), 1);
        assert!(who.answers.is_empty());
        assert_eq!(squad.paragraphs[0].title, "Tea");
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(read(&format!("\u{feff}{WHOLE}")).unwrap(), read(WHOLE).unwrap());
    }

    #[test]
    fn an_answer_beyond_the_context_is_misplaced() {
        assert_eq!(span("tea", 3, "tea"), None);
        assert_eq!(span("tea", 1, "eat"), None);
        assert_eq!(span("tea", 1, "ea"), Some(1..3));
    }

    #[test]
    fn the_error_of_a_malformed_file_names_the_problem() {
        check_error(&WHOLE[..WHOLE.len() / 2], &["cut short", "line 3"]);
        check_error(
            &WHOLE.replace("\"context\"", "\"text\""),
            &["missing field `context`", "line 5", "answer_start"],
        );
        check_error(&WHOLE.replace("\"1.1\"", "\"v2.0\""), &["v2.0", "v1.1"]);
        check_error(r#"{"data": []}"#, &["holds no rows"]);
        check_error(&WHOLE.replace("\"b\"", "\"a\""), &["two questions of the id `a`"]);
        let missing = Squad::read(Path::new("no/such.json")).unwrap_err().to_string();
        assert!(missing.starts_with("no/such.json cannot be read"), "{missing}");
    }
}
