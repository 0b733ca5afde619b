//! `trainer` as a user types it, on a tiny BERT with rows of one's own.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// A directory with a tiny base and rows that a single word decides.
struct Desk {
    directory: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let base = directory.path().join("base");
        std::fs::create_dir(&base).unwrap();
        for file in ["config.json", "model.safetensors"] {
            let fixture = crates.join("burn-adapters/tests/fixtures/base").join(file);
            std::fs::copy(fixture, base.join(file)).unwrap();
        }
        let vocabulary = crates.join("glue-data/tests/fixtures/vocab.txt");
        std::fs::copy(&vocabulary, base.join("vocab.txt")).unwrap();

        let words = std::fs::read_to_string(vocabulary).unwrap();
        let whole = |word: &&str| !word.starts_with('#') && !word.starts_with('[');
        let words: Vec<&str> = words.lines().filter(whole).collect();
        let mut rows = String::from("id,body,team\n");
        for row in 0..160 {
            let (class, decides) = [("x", words[0]), ("y", words[1])][row % 2];
            let filler = words[2 + row % (words.len() - 2)];
            writeln!(rows, "{row},{filler} {decides} {filler},{class}").unwrap();
        }
        std::fs::write(directory.path().join("rows.csv"), rows).unwrap();
        Self { directory }
    }

    /// Puts questions there in SQuAD's layout: the answer is the word after the one that is asked for.
    fn write_questions(&self) {
        let words = std::fs::read_to_string(self.path("base").join("vocab.txt")).unwrap();
        let whole = |word: &&str| !word.starts_with('#') && !word.starts_with('[');
        let words: Vec<&str> = words.lines().filter(whole).collect();
        let file = |paragraphs: usize| {
            let paragraphs = (0..paragraphs).map(|index| {
                // 24 words in an order of its own, so that a row of 24 tokens needs several windows.
                let context: Vec<&str> =
                    (0..24).map(|place| words[(index * 5 + place * 7) % words.len()]).collect();
                let answer_start = context[..9].iter().map(|word| word.len() + 1).sum::<usize>();
                json!({ "context": context.join(" "), "qas": [{
                    "id": format!("q{index}"),
                    "question": context[8],
                    "answers": [{ "text": context[9], "answer_start": answer_start }],
                }] })
            });
            let paragraphs: Vec<Value> = paragraphs.collect();
            json!({ "version": "1.1", "data": [{ "title": "Words", "paragraphs": paragraphs }] })
        };
        let squad = self.path("squad");
        std::fs::create_dir(&squad).unwrap();
        for (name, paragraphs) in [("train-v1.1.json", 40), ("dev-v1.1.json", 12)] {
            std::fs::write(squad.join(name), file(paragraphs).to_string()).unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        command.current_dir(self.directory.path()).args(line.split_whitespace());
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Standard output of a command that has to succeed.
    fn says(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Standard error of a command that has to fail, and not by a panic.
    fn refuses(&self, line: &str) -> String {
        let output = self.run(line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{line} succeeded");
        assert!(!said.contains("panicked"), "{line}: {said}");
        said
    }
}

const TRAIN: &str = "train --train rows.csv --text body --label team --base base --device cpu \
                     --json --size 4 --epochs 3 --batch-size 8 --lr 1e-2 --max-length 16";

#[test]
fn a_run_ends_with_a_score_and_an_adapter_that_answers() {
    let desk = Desk::new();
    let result: Value = serde_json::from_str(&desk.says(TRAIN)).unwrap();
    let score = result["score"].as_f64().unwrap();
    assert!(score > result["majority"].as_f64().unwrap() + 0.3, "{result}");
    let adapter = result["adapter"].as_str().unwrap();
    assert!(!desk.path("runs/rows/houlsby-4-seed42/checkpoint").exists());

    let columns = "--text body --label team --base base --device cpu --json";
    let scores = desk.says(&format!("evaluate {adapter} --input rows.csv {columns}"));
    let scores: Value = serde_json::from_str(&scores).unwrap();
    assert!(scores["scores"]["accuracy"].as_f64().unwrap() > 0.8, "{scores}");

    let line =
        format!("predict {adapter} --input rows.csv --text body --base base --device cpu --json");
    let answers = desk.says(&line);
    assert_eq!(answers.lines().count(), 160);
    let first: Value = serde_json::from_str(answers.lines().next().unwrap()).unwrap();
    assert!(first["label"] == "x" || first["label"] == "y");
    let sum: f64 = first["probabilities"]
        .as_object()
        .unwrap()
        .values()
        .map(|value| value.as_f64().unwrap())
        .sum();
    assert!((sum - 1.0).abs() < 1e-6);
    let told = desk.says(&format!("adapter inspect {adapter}"));
    assert!(told.contains("labels    x, y") && told.contains("method    houlsby"), "{told}");
}

#[test]
fn mnli_is_judged_by_both_of_its_validation_sets() {
    let desk = Desk::new();
    let folder = desk.path("glue/MNLI");
    std::fs::create_dir_all(&folder).unwrap();
    let parses = "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t\
                  sentence1_parse\tsentence2_parse\tsentence1\tsentence2";
    let validation_labels = "label1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label";
    for (file, labels, rows) in [
        ("train.tsv", "label1\tgold_label", 24),
        ("dev_matched.tsv", validation_labels, 9),
        ("dev_mismatched.tsv", validation_labels, 6),
    ] {
        let mut table = format!("{parses}\t{labels}\n");
        for row in 0..rows {
            let label = ["entailment", "neutral", "contradiction"][row % 3];
            let between = "-\t".repeat(labels.split('\t').count() - 1);
            let texts = format!("a man {row}\tsomeone");
            writeln!(table, "{row}\t1\t1\tfiction\t-\t-\t-\t-\t{texts}\t{between}{label}").unwrap();
        }
        std::fs::write(folder.join(file), table).unwrap();
    }
    let line = "train --task mnli --data glue --base base --device cpu --json --size 2 --epochs 1 \
                --batch-size 8 --max-length 16";
    let result: Value = serde_json::from_str(&desk.says(line)).unwrap();
    assert!(result["score"].as_f64().is_some(), "{result}");
    assert!(result["judged"]["validation-mismatched"]["accuracy"].as_f64().is_some(), "{result}");
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_does_not() {
    let desk = Desk::new();
    let adapter = |name: &str| {
        std::fs::read(desk.path(&format!("runs/rows/{name}/adapter.safetensors"))).unwrap()
    };
    for (name, seed) in [("a", 1), ("b", 1), ("c", 2)] {
        desk.says(
            &format!("{TRAIN} --epochs 1 --name {name} --seed {seed}").replace("--epochs 3 ", ""),
        );
    }
    assert_eq!(adapter("a"), adapter("b"));
    assert_ne!(adapter("a"), adapter("c"));
}

#[test]
fn a_killed_run_goes_on_to_the_same_bits() {
    let desk = Desk::new();
    desk.says(&format!("{TRAIN} --name whole"));
    let mut child =
        desk.command(&format!("{TRAIN} --name killed --checkpoint-every 0")).spawn().unwrap();
    let checkpoints = desk.path("runs/rows/killed/checkpoint");
    let steps = || {
        let entries = std::fs::read_dir(&checkpoints).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("step-")?.parse().ok())
            .max()
    };
    // In the middle of the second epoch, if the child has not ended before.
    while steps() < Some(25_usize) && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        !desk.path("runs/rows/killed/result.json").exists(),
        "the run ended before it was killed"
    );
    desk.says("train --resume runs/rows/killed --json --device cpu");
    let file = |name: &str, file: &str| {
        std::fs::read(desk.path(&format!("runs/rows/{name}/{file}"))).unwrap()
    };
    assert!(file("killed", "adapter.safetensors") == file("whole", "adapter.safetensors"));
    let losses = |name: &str| -> Vec<Value> {
        let text = String::from_utf8(file(name, "metrics.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["loss"].clone())
            .collect()
    };
    assert_eq!(losses("killed"), losses("whole"));
}

#[test]
fn what_is_wrong_is_said_and_leaves_nothing_behind() {
    let desk = Desk::new();
    let check = |line: &str, sentence: &str| {
        let said = desk.refuses(line);
        assert!(said.contains(sentence), "{line}: {said}");
    };
    check("train --task nosuch", "there is no task `nosuch`; the tasks are helpdesk, cola");
    check("train --task cola", "name the directory that holds CoLA/train.tsv with --data");
    check(
        "train --train rows.csv --text body --label colour",
        "has no column `colour`; its columns are id, body, team",
    );
    check("train --device cuda", "this build has no cuda; build one that has it");
    check("train --method lora2", "lora2");
    check("train --base ./nowhere", "is not a directory");
    check("train --lr 0", "learning_rate is 0, expected a number above 0");
    check("train --resume", "no unfinished run is below runs");
    check("train --config missing.toml", "reading the configuration missing.toml");
    check("predict rows.csv --device cpu", "rows.csv");
    std::fs::write(desk.path("odd.toml"), "version = 1\ncolour = 2\n").unwrap();
    check("train --config odd.toml", "odd.toml");
    assert!(!desk.path("runs").exists());
}

#[test]
fn an_adapter_is_refused_by_another_base() {
    let desk = Desk::new();
    let result: Value =
        serde_json::from_str(&desk.says(&format!("{TRAIN} --epochs 1").replace("--epochs 3 ", "")))
            .unwrap();
    let adapter = result["adapter"].as_str().unwrap();
    let other = desk.path("other");
    std::fs::create_dir(&other).unwrap();
    for file in ["config.json", "vocab.txt", "model.safetensors"] {
        std::fs::copy(desk.path("base").join(file), other.join(file)).unwrap();
    }
    let weights = other.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let line = format!("evaluate {adapter} --input rows.csv --text body --label team --device cpu");
    let said = desk.refuses(&format!("{line} --base other"));
    assert!(said.contains("base"), "{said}");
    let length = std::fs::metadata(&weights).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&weights).unwrap().set_len(length / 2).unwrap();
    let said = desk.refuses(&format!("{line} --base other"));
    assert!(said.contains("model.safetensors"), "{said}");
}

#[test]
fn questions_are_answered_with_words_of_their_paragraphs() {
    let desk = Desk::new();
    desk.write_questions();
    let result: Value = serde_json::from_str(&desk.says(
        "train --task squad --data . --base base --device cpu --json --size 4 --epochs 2 \
         --batch-size 8 --lr 1e-2 --max-length 24 --name questions",
    ))
    .unwrap();
    assert_eq!(result["metric"], "f1");
    let (f1, exact) = (&result["scores"]["f1"], &result["scores"]["exact-match"]);
    assert_eq!(f1, &result["score"]);
    assert!((0.0..=1.0).contains(&f1.as_f64().unwrap()) && exact.as_f64() <= f1.as_f64());
    assert!(result.get("majority").is_none());

    let run = desk.path("runs/squad/questions");
    let read =
        |path: PathBuf| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let predictions = read(run.join("predictions.json"));
    let published = read(desk.path("squad/dev-v1.1.json"));
    let paragraphs = published["data"][0]["paragraphs"].as_array().unwrap();
    assert_eq!(predictions.as_object().unwrap().len(), paragraphs.len());
    for paragraph in paragraphs {
        let answer = predictions[paragraph["qas"][0]["id"].as_str().unwrap()].as_str().unwrap();
        assert!(!answer.is_empty() && paragraph["context"].as_str().unwrap().contains(answer));
    }
    assert!(read(run.join("nbest_predictions.json"))["q3"].as_array().unwrap().len() > 1);

    let said = desk.refuses("evaluate runs/squad/questions/adapter.safetensors");
    assert!(said.contains("finds answers in paragraphs"), "{said}");
    let inspected = desk.says("adapter inspect runs/squad/questions/adapter.safetensors");
    assert!(inspected.contains("where the answer starts and ends"), "{inspected}");
    std::fs::remove_file(desk.path("squad/train-v1.1.json")).unwrap();
    let said = desk.refuses("train --task squad --data . --base base --device cpu");
    assert!(said.contains("squad/train-v1.1.json") && said.contains("SQuAD-explorer"), "{said}");
}
