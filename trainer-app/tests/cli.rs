//! `trainer` as a user types it, on a tiny BERT with rows of one's own.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod compose;
mod tiny_base;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tiny_base::lay_tiny_base;

/// A directory with a tiny base and rows that a single word decides.
struct Desk {
    directory: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let words = lay_tiny_base(directory.path());
        let mut rows = String::from("id,body,team\n");
        for row in 0..160 {
            let (class, decides) = [("x", &words[0]), ("y", &words[1])][row % 2];
            let filler = &words[2 + row % (words.len() - 2)];
            writeln!(rows, "{row},{filler} {decides} {filler},{class}").unwrap();
        }
        std::fs::write(directory.path().join("rows.csv"), rows).unwrap();
        Self { directory }
    }

    /// The losses of every step of a run on the rows.
    fn losses(&self, line: &str, name: &str) -> Vec<f64> {
        self.says(&format!("{line} --name {name}"));
        let lines = std::fs::read_to_string(self.path(&format!("runs/rows/{name}/metrics.jsonl")));
        let lines = lines.unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .filter(|line| line["kind"] == "step")
            .map(|line| line["loss"].as_f64().unwrap())
            .collect()
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
        command.env("TRAINER_CACHE", self.path("cache"));
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
fn every_kind_of_method_learns_and_tells_what_it_inserts() {
    let desk = Desk::new();
    // Where the rank or the width is the method's own, `--size` is left out; at this rate all of them learn with every
    // seed.
    let train =
        TRAIN.replace("--size 4 --epochs 3", "--epochs 8").replace("--lr 1e-2", "--lr 1e-3");
    for (method, name, told) in [
        (
            "lora",
            "lora-8-seed42",
            "low rank  rank 8, alpha 16\n          query, value, layers all\n",
        ),
        ("ia3", "ia3-seed42", "scales    results of key, value, feed-forward-in, layers all\n"),
        (
            "prefix --size 2",
            "prefix-2-seed42",
            "prefix    length 2, by a network of width 512\n          layers all\n",
        ),
        (
            "scaled-parallel",
            "scaled-parallel-64-seed42",
            "adapters  size 64, relu\n          feed-forward in a layer, layers all\n          \
             depth 1, inner norm none, add\n          scaling learned\n",
        ),
    ] {
        let result = desk.says(&format!("{train} --method {method}"));
        let result: Value = serde_json::from_str(&result).unwrap();
        let score = result["score"].as_f64().unwrap();
        assert!(score > result["majority"].as_f64().unwrap() + 0.3, "{method}: {result}");
        let adapter = result["adapter"].as_str().unwrap();
        assert!(adapter.contains(name), "{adapter}");
        let inspected = desk.says(&format!("adapter inspect {adapter}"));
        assert!(inspected.contains(told), "{inspected}");
        let columns = "--text body --label team --base base --device cpu --json";
        let scores = desk.says(&format!("evaluate {adapter} --input rows.csv {columns}"));
        let scores: Value = serde_json::from_str(&scores).unwrap();
        assert!(scores["scores"]["accuracy"].as_f64().unwrap() > 0.8, "{method}: {scores}");
    }

    let train = train.replace("--epochs 8", "--epochs 1 --adapt-layers 1..");
    let result: Value =
        serde_json::from_str(&desk.says(&format!("{train} --method lora --size 2 --name high")))
            .unwrap();
    let inspected = desk.says(&format!("adapter inspect {}", result["adapter"].as_str().unwrap()));
    assert!(inspected.contains("rank 2") && inspected.contains("layers 1.."), "{inspected}");
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
fn two_devices_learn_as_one_does() {
    let desk = Desk::new();
    let losses = |name: &str, devices: &str, method: &str| {
        let line = TRAIN
            .replace("--device cpu", devices)
            .replace("--size 4", method)
            .replace("--lr 1e-2", "--lr 1e-3");
        // Seven rows, so that the two shares are not equal.
        let line = line.replace("--batch-size 8", "--batch-size 7");
        desk.losses(&format!("{line} --dropout 0"), name)
    };
    for (method, switches) in [("adapters", "--size 4"), ("full", "--method full")] {
        let one = losses(&format!("{method}-one"), "--device cpu", switches);
        let two = losses(&format!("{method}-two"), "--devices cpu,cpu", switches);
        assert_eq!(one.len(), two.len());
        assert!(one.len() > 40, "{} steps", one.len());
        for (step, (one, two)) in one.iter().zip(&two).enumerate() {
            assert!((one - two).abs() <= 1e-5 * one.abs(), "{method} {step}: {one} and {two}");
        }
    }
    let refused = desk.refuses(&format!("{TRAIN} --devices cpu,cpu"));
    assert!(refused.contains("cannot be used with"), "{refused}");
}

#[test]
fn layers_that_run_again_learn_as_layers_that_are_kept() {
    let desk = Desk::new();
    let line = format!("{} --dropout 0", TRAIN.replace("--lr 1e-2", "--lr 1e-3"));
    let kept = desk.losses(&line, "kept");
    let again = desk.losses(&format!("{line} --gradient-checkpointing"), "again");
    assert_eq!(kept.len(), again.len());
    for (step, (kept, again)) in kept.iter().zip(&again).enumerate() {
        assert!((kept - again).abs() <= 1e-5 * kept.abs(), "{step}: {kept} and {again}");
    }
    let refused = desk.refuses(&format!("{line} --gradient-checkpointing --inner-norm batch"));
    assert!(refused.contains("batch norms would count every batch twice"), "{refused}");
}

#[test]
fn half_a_base_teaches_nearly_the_same() {
    let desk = Desk::new();
    let line = format!("{TRAIN} --dropout 0");
    let whole = desk.losses(&line, "whole");
    for half in ["bf16", "f16"] {
        let losses = desk.losses(&format!("{line} --precision {half}"), half);
        for (step, (whole, half)) in whole.iter().zip(&losses).enumerate().take(20) {
            assert!((whole - half).abs() < 0.05, "{step}: {whole} and {half}");
        }
        assert_ne!(losses, whole);
        let adapter = format!("runs/rows/{half}/adapter.safetensors");
        desk.says(&format!(
            "evaluate {adapter} --input rows.csv --text body --label team --base base --device cpu --precision {half}"
        ));
    }
    let full = line.replace("--size 4", "--method full");
    let refused = desk.refuses(&format!("{full} --precision bf16"));
    assert!(refused.contains("full trains the base itself"), "{refused}");
    let refused = desk.refuses(&format!("{line} --precision f8"));
    assert!(refused.contains("choose f32, bf16 or f16"), "{refused}");
}

/// A graph that outlives its step is some 0.5 MiB here, so that 450 of them would be far above the margin.
#[test]
fn a_long_run_holds_no_more_memory_than_a_short_one() {
    let desk = Desk::new();
    let held = |epochs: usize| {
        let line = TRAIN.replace("--epochs 3", &format!("--epochs {epochs} --name e{epochs}"));
        let result: Value = serde_json::from_str(&desk.says(&line)).unwrap();
        let steps =
            std::fs::read_to_string(desk.path(&format!("runs/rows/e{epochs}/metrics.jsonl")));
        let steps = steps.unwrap().lines().filter(|line| line.contains(r#""kind":"step""#)).count();
        (steps, result["memory_mib"].as_u64().unwrap())
    };
    // The allocator has its arenas after a few epochs; validation and checkpoints come with every one.
    let ((few, short), (many, long)) = (held(4), held(30));
    assert!(many >= few + 400, "{few} and {many} steps");
    assert!(long <= short + 16, "{short} MiB after {few} steps, {long} MiB after {many}");
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
fn the_papers_extensions_are_switches_that_the_adapter_file_keeps() {
    let desk = Desk::new();
    let switches = "--activation tanh --sites attention --adapt-layers 1.. --depth 2 --inner-norm batch \
                    --combine multiply";
    let result = desk.says(&format!("{TRAIN} {switches}"));
    let result: Value = serde_json::from_str(&result).unwrap();
    assert!(
        result["score"].as_f64().unwrap() > result["majority"].as_f64().unwrap() + 0.3,
        "{result}"
    );
    let adapter = result["adapter"].as_str().unwrap();
    let told = desk.says(&format!("adapter inspect {adapter}"));
    assert!(
        told.contains(
            "adapters  size 4, tanh\n          attention in a layer, layers 1..\n          \
             depth 2, inner norm batch, multiply"
        ),
        "{told}"
    );
    // The running statistics came along.
    let score = desk.says(&format!(
        "evaluate {adapter} --input rows.csv --text body --label team --base base --device cpu --json"
    ));
    let score: Value = serde_json::from_str(&score).unwrap();
    assert!(score["scores"]["accuracy"].as_f64().unwrap() > 0.8, "{score}");

    // What was typed is in the configuration, and enough to run it again.
    let config = "runs/rows/houlsby-4-seed42/config.toml";
    let text = std::fs::read_to_string(desk.path(config)).unwrap();
    for line in [
        "activation = \"tanh\"",
        "sites = \"attention\"",
        "adapt_layers = \"1..\"",
        "depth = 2",
        "inner_norm = \"batch\"",
        "combine = \"multiply\"",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    desk.says(&format!("train --config {config} --name again --json"));
    let bytes = |name: &str| {
        std::fs::read(desk.path(&format!("runs/rows/{name}/adapter.safetensors"))).unwrap()
    };
    assert!(bytes("again") == bytes("houlsby-4-seed42"));
}

#[test]
fn kept_states_train_as_layers_that_run_again_do() {
    let desk = Desk::new();
    let losses = |name: &str| -> Vec<f64> {
        desk.says(&format!("{TRAIN} --adapt-layers 1.. --dropout 0 --cache {name} --name {name}"));
        let metrics =
            std::fs::read_to_string(desk.path(&format!("runs/rows/{name}/metrics.jsonl")));
        let lines = metrics.unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| line["loss"].as_f64()).collect()
    };
    let close = |a: &[f64], b: &[f64], tolerance: f64| {
        assert!(a.len() == b.len() && a.len() > 30, "{} and {} losses", a.len(), b.len());
        let largest = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(largest < tolerance, "the losses differ by {largest}");
    };
    let anew = losses("off");
    close(&anew, &losses("memory"), 1e-4);
    // Half precision.
    close(&anew, &losses("disk"), 2e-2);
    let files = desk.path("cache/states").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let states = files.filter(|path| path.extension().is_some_and(|name| name == "states"));
    assert_eq!(states.count(), 2, "train and validation");

    let told = desk.says("adapter inspect runs/rows/memory/adapter.safetensors --json");
    assert!(!told.contains("embeddings_norm") && !told.contains("layers.0."), "{told}");
    let said = desk.refuses(&format!("{TRAIN} --cache memory"));
    assert!(said.contains("--adapt-layers 3.."), "{said}");
}

#[test]
fn a_killed_run_with_kept_states_goes_on_to_the_same_bits() {
    check_killed_run("--adapt-layers 1..");
}

#[test]
fn a_killed_run_goes_on_to_the_same_bits() {
    check_killed_run("");
}

#[test]
fn a_killed_run_with_running_statistics_goes_on_to_the_same_bits() {
    check_killed_run("--inner-norm batch");
}

fn check_killed_run(switches: &str) {
    check_killed(&Desk::new(), &format!("--size 4 {switches}"));
}

fn check_killed(desk: &Desk, switches: &str) {
    let line = TRAIN.replace("--size 4", switches);
    desk.says(&format!("{line} --name whole"));
    let mut child =
        desk.command(&format!("{line} --name killed --checkpoint-every 0")).spawn().unwrap();
    let checkpoints = desk.path("runs/rows/killed/checkpoint");
    let steps = || {
        let entries = std::fs::read_dir(&checkpoints).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                name.strip_prefix("step-")?.split('-').next()?.parse().ok()
            })
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
        "train --method lora --init-std 1e-3",
        "--init-std has no effect with --method lora, which has no bottlenecks; leave out --init-std",
    );
    check(
        "train --train rows.csv --text body --label colour",
        "has no column `colour`; its columns are id, body, team",
    );
    check("train --device cuda", "this build does not support cuda; build with the feature");
    check("train --method lora2", "lora2");
    check(
        "train --inner-norm group",
        "'--inner-norm <NORM>': unknown variant `group`, expected one of `none`, `layer`, `batch`",
    );
    check(
        "train --sites none",
        "unknown variant `none`, expected one of `both`, `attention`, `feed-forward`",
    );
    check("train --combine divide", "unknown variant `divide`, expected `add` or `multiply`");
    check(
        "train --adapt-layers 4..2",
        "`4..2` names no layers; expected `all`, a range such as `3..`",
    );
    let own =
        "train --train rows.csv --text body --label team --base base --device cpu --max-length 16";
    check(&format!("{own} --depth 0"), "'--depth <N>': expected a whole number from 1 to 64");
    check(
        &format!("{own} --adapt-layers 0,2"),
        "an adapter into layer 2, but the base has 2 layers",
    );
    check("train --base ./nowhere", "is not a directory");
    check("train --lr 0", "'--learning-rate <RATE>': expected a number above 0");
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
    assert!(said.contains("predicts answer spans"), "{said}");
    let inspected = desk.says("adapter inspect runs/squad/questions/adapter.safetensors");
    assert!(inspected.contains("answer spans"), "{inspected}");
    std::fs::remove_file(desk.path("squad/train-v1.1.json")).unwrap();
    let said = desk.refuses("train --task squad --data . --base base --device cpu");
    assert!(said.contains("squad/train-v1.1.json") && said.contains("SQuAD-explorer"), "{said}");
}

#[test]
fn an_adapter_goes_to_other_packages_and_comes_back() {
    let desk = Desk::new();
    let scores = |adapter: &str| {
        let rows = "--input rows.csv --text body --label team --base base --device cpu --json";
        let said = desk.says(&format!("evaluate {adapter} {rows}"));
        serde_json::from_str::<Value>(&said).unwrap()["scores"]["accuracy"].clone()
    };
    for (method, format) in [("pfeiffer", "adapter-hub"), ("lora", "peft")] {
        let line = TRAIN.replace("--size 4", &format!("--method {method} --size 4"));
        desk.says(&format!("{line} --pooling pooler --name {method}"));
        let adapter = format!("runs/rows/{method}/adapter.safetensors");
        desk.says(&format!(
            "adapter export {adapter} --base base --format {format} --out {format}"
        ));
        assert!(desk.path(format).join("adapter_config.json").is_file());
        let back = format!("{format}.safetensors");
        desk.says(&format!("adapter import {format} --base base --labels x,y --out {back}"));
        assert_eq!(scores(&back), scores(&adapter), "{format}");
    }
    desk.says(&format!("{TRAIN} --name mean --pooling mean"));
    let said = desk.refuses(
        "adapter export runs/rows/mean/adapter.safetensors --base base --format peft --out no",
    );
    assert!(said.contains("PEFT"), "{said}");
}

#[test]
fn questions_are_swept_like_any_other_task() {
    let desk = Desk::new();
    desk.write_questions();
    let grid = "version = 1\n[[grid]]\ntasks = ['squad']\nmethods = ['houlsby']\nsizes = [2, 4]\n\
                epochs = [1]\nseeds = [0]\nbatch_size = 8\nmax_length = 24\n";
    std::fs::write(desk.path("questions.toml"), grid).unwrap();
    let said = desk.says("sweep questions.toml --data . --base base --device cpu --json");
    let output: Value = serde_json::from_str(&said).unwrap();
    let settings = output["settings"].as_array().unwrap();
    assert_eq!(settings.len(), 2);
    assert!(settings.iter().all(|setting| setting["metric"] == "f1"), "{said}");
    desk.says("report sweeps/questions");
    let page = std::fs::read_to_string(desk.path("sweeps/questions/report.html")).unwrap();
    assert!(page.contains("(as in figure 5 of the paper)"), "the sizes on questions are drawn");
}
