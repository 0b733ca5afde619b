//! The published JSON files of SQuAD.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::encoding::decode;
use crate::error::DataError;
use crate::rows::Split;

/// The task's name, and its folder in a data directory.
pub const NAME: &str = "squad";

/// The files: the split, the name in the task's folder, and the number of published questions.
pub const FILES: [(Split, &str, usize); 2] =
    [(Split::Train, "train-v1.1.json", 87_599), (Split::Validation, "dev-v1.1.json", 10_570)];

/// The layout of a file, for the error about another one.
const LAYOUT: &str = r#"{"data": [{"paragraphs": [{"context", "qas": [{"id", "question", "answers": [{"text", "answer_start"}]}]}]}]}"#;

/// A file of questions, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Squad {
    /// What the questions are about.
    pub paragraphs: Vec<Paragraph>,
    /// Those of one paragraph stand together.
    pub questions: Vec<Question>,
}

/// A stretch of an article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paragraph {
    /// Title of the article.
    pub title: String,
    /// Its text.
    pub context: String,
}

/// A question about a paragraph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What a prediction refers to it by.
    pub id: String,
    /// Its text.
    pub text: String,
    /// Index of its paragraph.
    pub paragraph: usize,
    /// What people answered: one in the training file, three or more in the other; none where it is not known.
    pub answers: Vec<Answer>,
}

/// What somebody answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The answer.
    pub text: String,
    /// Where it stands in the context, in bytes; none where the context has another text at the published place.
    /// Such an answer is judged by, and not learned from.
    pub place: Option<Range<usize>>,
}

impl Squad {
    /// Reads a published file.
    ///
    /// # Errors
    /// A file that cannot be read, that is cut short, of another layout, of version 2, without questions or with two of
    /// one id.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let bytes = std::fs::read(path)
            .map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &bytes)
    }

    /// Reads the bytes of a published file.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for a file that cannot be read.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, DataError> {
        let published: Published = parse_json(bytes, path, LAYOUT)?;
        // Version 2 has questions without an answer, of which nothing here knows.
        if let Some(found) = published.version.filter(|version| version.starts_with("v2")) {
            return Err(DataError::SquadVersion { path: path.to_owned(), found });
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
            return Err(DataError::QuestionTwice { path: path.to_owned(), id });
        }
        Ok(squad)
    }

    /// Reads a part from a data directory: `squad/train-v1.1.json`, or `squad/dev-v1.1.json` for every other part.
    /// Test questions were never published.
    ///
    /// # Errors
    /// As [`read`](Self::read), and a file that is not there.
    pub fn read_part(data: Option<&Path>, split: Split) -> Result<Self, DataError> {
        let [(_, train, _), (_, validation, _)] = FILES;
        let file = if split == Split::Train { train } else { validation };
        let data = data.unwrap_or(Path::new("."));
        let (below, here) = (data.join(NAME).join(file), data.join(file));
        let path = if !below.is_file() && here.is_file() { here } else { below };
        if !path.is_file() {
            return Err(DataError::MissingSquad { path, relative: format!("{NAME}/{file}") });
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
                                place: place(&context, answer.answer_start, &answer.text),
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

    /// The text a question is about.
    pub fn context(&self, question: &Question) -> &str {
        &self.paragraphs[question.paragraph].context
    }

    /// Answers that the context does not have where the file says.
    pub fn misplaced_answers(&self) -> usize {
        let answers = self.questions.iter().flat_map(|question| &question.answers);
        answers.filter(|answer| answer.place.is_none()).count()
    }
}

/// Where `text` stands if it begins at the character `start` (a code point, as Python counts).
fn place(context: &str, start: usize, text: &str) -> Option<Range<usize>> {
    let (begin, _) = context.char_indices().nth(start)?;
    context[begin..].starts_with(text).then(|| begin..begin + text.len())
}

/// Parses the JSON of a file, and says what is wrong with it and where.
pub(super) fn parse_json<T: DeserializeOwned>(
    bytes: &[u8],
    path: &Path,
    expected: &'static str,
) -> Result<T, DataError> {
    serde_json::from_str(decode(path, bytes)?).map_err(|source| {
        let path = path.to_owned();
        if source.is_eof() {
            DataError::CutShort { path, source }
        } else {
            DataError::Json { path, expected, source }
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
    /// Those who keep the answers to themselves leave the field out.
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
    fn places_are_counted_in_characters_and_kept_in_bytes() {
        let squad = read(WHOLE).unwrap();
        let [pots, who] = squad.questions.as_slice() else { panic!("there are two questions") };
        let found: Vec<_> = pots
            .answers
            .iter()
            .map(|answer| answer.place.clone().map(|place| &squad.context(pots)[place]))
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
        assert_eq!(place("tea", 3, "tea"), None);
        assert_eq!(place("tea", 1, "eat"), None);
        assert_eq!(place("tea", 1, "ea"), Some(1..3));
    }

    #[test]
    fn a_file_that_is_no_squad_says_what_it_lacks() {
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
