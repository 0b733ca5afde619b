//! Token classification: texts whose words have tags, from training to entities.

use std::fmt::Write as _;

use serde_json::Value;

use crate::desk::Desk;

const TRAIN: &str = "train --train names.conll --base base --device cpu --json --size 4 --epochs 6 --batch-size 8 \
                     --lr 1e-2 --max-length 16";

/// Writes texts in which one word is an entity and two words another; the last text is longer than a row.
fn write_texts(desk: &Desk) -> Vec<String> {
    let words = std::fs::read_to_string(desk.path("base/vocab.txt")).unwrap();
    let whole = |word: &&str| !word.starts_with('#') && !word.starts_with('[');
    let words: Vec<String> = words.lines().filter(whole).map(str::to_owned).collect();
    let (person, first, second) = (&words[0], &words[1], &words[2]);
    let mut texts = String::new();
    for text in 0..80 {
        let filler = &words[3 + text % (words.len() - 3)];
        let repeated = if text % 40 == 39 { 12 } else { 1 };
        for _ in 0..repeated {
            write!(texts, "{filler}\tO\n{person}\tB-person\n{filler}\tO\n").unwrap();
            write!(texts, "{first}\tB-place\n{second}\tI-place\n").unwrap();
        }
        texts.push('\n');
    }
    std::fs::write(desk.path("names.conll"), texts).unwrap();
    words
}

#[test]
fn entities_are_learned_scored_and_found() {
    let desk = Desk::new();
    let words = write_texts(&desk);
    let result: Value = serde_json::from_str(&desk.says(TRAIN)).unwrap();
    assert_eq!((&result["metric"], &result["majority"]), (&"f1".into(), &0.0.into()), "{result}");
    assert!(result["score"].as_f64().unwrap() > 0.8, "{result}");
    assert_eq!(result["word_tags"], 1.0, "{result}");
    assert_eq!(result["details"]["by_label"][1]["label"], "place", "{result}");
    assert_eq!(result["details"]["without_label"], "no entity", "{result}");
    let adapter = result["adapter"].as_str().unwrap();
    let predictions = desk.path("runs/names/houlsby-4-seed42/predictions.conll");
    let predictions = std::fs::read_to_string(predictions).unwrap();
    assert!(predictions.contains(&format!("{}\tB-person\tB-person\n", words[0])), "{predictions}");

    let rows = "--input names.conll --base base --device cpu --json";
    let scored: Value =
        serde_json::from_str(&desk.says(&format!("evaluate {adapter} {rows}"))).unwrap();
    assert!(scored["scores"]["f1"].as_f64().unwrap() > 0.8, "{scored}");
    let places = &scored["details"]["by_label"][1];
    assert_eq!((&scored["rows"], &places["support"]), (&80.into(), &102.into()));
    let strict: Value =
        serde_json::from_str(&desk.says(&format!("evaluate {adapter} {rows} --strict"))).unwrap();
    let recall = |scored: &Value| scored["scores"]["recall"].as_f64().unwrap();
    assert!(recall(&strict) <= recall(&scored), "{strict}");
    let heat = desk.says(&format!("ablate {adapter} {rows} --limit 8 --out heat"));
    assert_eq!(serde_json::from_str::<Value>(&heat).unwrap()["metric"], "f1");

    // A word on each line comes back with its tag, and every text ends with an empty line.
    let conll =
        desk.says(&format!("predict {adapter} --input names.conll --base base --device cpu"));
    let given = std::fs::read_to_string(desk.path("names.conll")).unwrap();
    let word = |line: &str| line.split('\t').next().unwrap().to_owned();
    let of = |text: &str| text.lines().map(word).collect::<Vec<_>>();
    assert_eq!(of(&conll), of(&given));
    let text = format!("{},  {} {}!\n\n", words[0], words[1], words[2]);
    std::fs::write(desk.path("texts"), &text).unwrap();
    let lines =
        desk.says(&format!("predict {adapter} --input texts --base base --device cpu --json"));
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[1]["entities"]), (2, &Value::Array(Vec::new())));
    for entity in lines[0]["entities"].as_array().unwrap() {
        let at = |key: &str| usize::try_from(entity[key].as_u64().unwrap()).unwrap();
        assert_eq!(entity["text"], text[at("start")..at("end")]);
        assert!(entity["probability"].as_f64().unwrap() > 0.0);
    }

    let shown = desk.says(&format!("adapter inspect {adapter}"));
    assert!(shown.contains("labels    B-person, B-place, I-person, I-place, O"), "{shown}");
    assert!(
        shown.contains("length    16 tokens at most; longer texts are read in windows"),
        "{shown}"
    );
    assert!(!shown.contains("pooling"), "{shown}");

    // Words that no column can hold are scored in the form that they were written in.
    let odd = format!("{{\"tokens\": [\"{}\", \"a\\tb\", \"c\\nd\", \"\\n\"], ", words[0]);
    let odd = odd + "\"tags\": [\"B-person\", \"O\", \"O\", \"O\"]}\n";
    std::fs::write(desk.path("odd.jsonl"), odd).unwrap();
    let tags = "--input odd.jsonl --tokens tokens --base base --device cpu";
    let conll = desk.says(&format!("predict {adapter} {tags}"));
    let lines: Vec<&str> = conll.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(lines, [words[0].as_str(), "a b", "c d", "_", ""], "{conll}");
    std::fs::write(desk.path("odd.conll"), conll).unwrap();
    let shown = desk.says("score --gold odd.jsonl --predictions odd.conll");
    assert!(shown.starts_with("1 text, 4 words, 1 entity; mode default"), "{shown}");
}

#[test]
fn a_resumed_run_of_tagged_words_is_the_same_bit_for_bit() {
    let desk = Desk::new();
    write_texts(&desk);
    let more = "--gradient-checkpointing --accumulate 2";
    desk.says(&format!("{TRAIN} {more} --name whole"));
    let run = desk.path("runs/names/stopped");
    let mut child = desk
        .command(&format!("{TRAIN} {more} --name stopped --checkpoint-every 0"))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !run.join("checkpoint").exists() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let _ = child.kill();
    child.wait().unwrap();
    desk.says("train --resume runs/names/stopped --device cpu --json");
    let adapter = |name: &str| {
        std::fs::read(desk.path(&format!("runs/names/{name}/adapter.safetensors"))).unwrap()
    };
    assert!(adapter("stopped") == adapter("whole"));
}

#[test]
fn flags_and_files_of_another_kind_of_task_are_refused() {
    let desk = Desk::new();
    write_texts(&desk);
    let said = desk.refuses_usage("train --train names.conll --label team --base base");
    assert!(said.contains("--label has no effect with --train names.conll"), "{said}");
    let said = desk.refuses_usage("train --train names.conll --pooling mean --base base");
    assert!(said.contains("--pooling has no effect with --train names.conll"), "{said}");
    std::fs::write(desk.path("wrong.conll"), "a\tB-x\n\nb\tI-z\n").unwrap();
    let said = desk.refuses(&format!("{TRAIN} --validation wrong.conll"));
    assert!(said.contains("wrong.conll line 1: the label `B-x` is none of"), "{said}");
    std::fs::write(desk.path("mixed.conll"), "a\tB-x\nb\tL-x\nc\tE-x\n").unwrap();
    let said = desk.refuses("train --train mixed.conll --base base");
    assert_eq!(said.matches("which no scheme has together").count(), 1, "{said}");
    std::fs::write(desk.path("studio.json"), "[]").unwrap();
    let said = desk.refuses_usage("train --train studio.json --base base");
    assert!(said.contains("or words with tags, which --tags COL or --entities KEY name"), "{said}");
    std::fs::write(desk.path("spans.jsonl"), "{\"text\": \"a b\", \"label\": [[0, 1, \"x\"]]}\n")
        .unwrap();
    let said = desk.refuses("train --train spans.jsonl --text text --label label --base base");
    assert!(
        said.contains("spans.jsonl line 1: `label` contains a list, expected labels"),
        "{said}"
    );
    assert!(said.contains("--entities label"), "{said}");
    assert!(!desk.path("runs").exists());

    let texts = desk.says(&crate::desk::TRAIN.replace("--epochs 3", "--epochs 1"));
    let texts: Value = serde_json::from_str(&texts).unwrap();
    let texts = texts["adapter"].as_str().unwrap();
    let said = desk.refuses_usage(&format!("evaluate {texts} --input names.conll"));
    assert!(said.contains("names.conll has a tag for each word"), "{said}");
    let said = desk.refuses_usage(&format!("predict {texts} --input names.conll"));
    assert!(said.contains("names.conll has a word on each line"), "{said}");
    let said = desk.refuses_usage(&format!(
        "evaluate {texts} --input rows.csv --text body --label team --strict"
    ));
    assert!(said.contains("--strict has no effect"), "{said}");

    let words: Value =
        serde_json::from_str(&desk.says(&TRAIN.replace("--epochs 6", "--epochs 1"))).unwrap();
    let words = words["adapter"].as_str().unwrap();
    let said = desk.refuses_usage(&format!("evaluate {words}"));
    assert!(said.contains("--input FILE"), "{said}");
    let said = desk.refuses_usage(&format!("evaluate {words} --input names.conll --label x"));
    assert!(said.contains("--label has no effect: the adapter labels words"), "{said}");
    let said = desk.refuses_usage(&format!("predict {words} --pairs"));
    assert!(said.contains("--pairs has no effect"), "{said}");
    let said = desk.refuses_usage(&format!("predict {words} --submission out"));
    assert!(said.contains("rows of your own"), "{said}");
}

#[test]
fn the_embedded_task_is_trained_and_its_test_texts_are_scored() {
    let desk = Desk::new();
    let train = "train --task helpdesk-entities --base base --device cpu --json --size 4 --epochs 1 --limit 40 \
                 --batch-size 8 --max-length 16";
    let result: Value = serde_json::from_str(&desk.says(train)).unwrap();
    assert_eq!(result["task"], "helpdesk-entities");
    assert!(result["judged"]["test"]["f1"].is_number(), "{result}");
    assert!(result["rows_fingerprint"].is_string() && result["word_tags"].is_number(), "{result}");
    let adapter = result["adapter"].as_str().unwrap();
    let scored = format!("evaluate {adapter} --split test --base base --device cpu");
    let shown = desk.says(&scored);
    assert!(shown.contains("helpdesk-entities: ") && shown.contains("no entity"), "{shown}");
    let said = desk.refuses_usage(&format!("{scored} --task wnut17 --data d"));
    assert!(said.contains("the published task wnut17 has B-corporation"), "{said}");
    let said = desk.refuses_usage(&format!("{scored} --data d"));
    assert!(said.contains("--data has no effect"), "{said}");
}
