//! Several labels a text, and the options for one label a text, from training to predictions.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::desk::{Desk, TRAIN};

const OF_SETS: &str = "train --base base --device cpu --json --size 4 --epochs 12 --batch-size 8 --lr 3e-3 \
                       --max-length 16 --text body";
const SCORES: [&str; 4] =
    ["label-ranking-average-precision", "macro-f1", "micro-f1", "subset-accuracy"];

/// Rows with the labels `red` and `blue`, each of which a word decides, in every form.
fn write_sets(desk: &Desk, rows: usize) {
    let words = std::fs::read_to_string(desk.path("base").join("vocab.txt")).unwrap();
    let words: Vec<&str> = words.lines().filter(|word| !word.starts_with(['#', '['])).collect();
    let mut table = String::from("body,colors,red,blue\n");
    let mut lines = String::new();
    for row in 0..rows {
        let filler = words[2 + row % (words.len() - 2)];
        let (is_red, is_blue) = (row % 2 == 1, row / 2 % 2 == 1);
        let body = [(is_red, words[0]), (is_blue, words[1])]
            .map(|(is, word)| if is { word } else { filler });
        let body = body.join(" ");
        let labels: Vec<&str> = [(is_red, "red"), (is_blue, "blue")]
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, name)| *name)
            .collect();
        let (red, blue) = (u8::from(is_red), u8::from(is_blue));
        writeln!(table, "{body},{},{red},{blue}", labels.join("; ")).unwrap();
        writeln!(lines, "{}", json!({ "body": body, "colors": labels })).unwrap();
    }
    std::fs::write(desk.path("sets.csv"), table).unwrap();
    std::fs::write(desk.path("sets.jsonl"), lines).unwrap();
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

fn last(said: &str) -> Value {
    parsed(said.lines().last().unwrap())
}

#[test]
fn every_form_of_several_labels_is_learned_alike() {
    let desk = Desk::new();
    write_sets(&desk, 160);
    let separated = format!("{OF_SETS} --train sets.csv --label colors --label-separator ;");
    let result = last(&desk.says(&format!("{separated} --name separated")));
    assert_eq!(result["metric"], "micro-f1");
    assert!(result["score"].as_f64().unwrap() > 0.9, "{result}");
    assert!(result["bag_of_words"].as_f64().unwrap() > 0.0, "{result}");
    for name in SCORES {
        assert!(result["scores"][name].is_number(), "{name}: {result}");
    }
    let labels: Vec<&Value> = result["details"]["by_label"].as_array().unwrap().iter().collect();
    assert_eq!(labels.iter().map(|label| &label["label"]).collect::<Vec<_>>(), ["blue", "red"]);
    let columns = format!("{OF_SETS} --train sets.csv --labels blue,red --name columns");
    let lists = format!("{OF_SETS} --train sets.jsonl --label colors --name lists");
    for line in [columns, lists] {
        assert_eq!(last(&desk.says(&line))["scores"], result["scores"], "{line}");
    }

    let adapter = "runs/sets/separated --base base --device cpu";
    let mut scores = Vec::new();
    for rows in [
        "--input sets.csv --text body --label colors --label-separator ;",
        "--input sets.csv --text body --labels red,blue",
        "--input sets.jsonl --text body --label colors",
    ] {
        let said = desk.says(&format!("evaluate {adapter} {rows} --json"));
        scores.push(parsed(&said)["scores"].clone());
    }
    assert!(scores.iter().all(|found| *found == scores[0]), "{scores:?}");
    let said =
        desk.says(&format!("evaluate {adapter} --input sets.csv --text body --labels red,blue"));
    assert!(said.contains("micro-f1") && said.contains("label  precision  recall"), "{said}");
    let said =
        desk.refuses(&format!("evaluate {adapter} --input sets.csv --text body --label colors"));
    assert!(said.contains("sets.csv line 2") && said.contains("--label-separator"), "{said}");
    let said =
        desk.refuses(&format!("evaluate {adapter} --input sets.csv --text body --labels red"));
    assert!(said.contains("blue are none of the columns"), "{said}");

    let predict = format!("predict {adapter} --input sets.csv --text body");
    let lines = desk.says(&format!("{predict} --json"));
    let lines: Vec<Value> = lines.lines().map(parsed).collect();
    assert_eq!(lines.len(), 160);
    for line in &lines {
        let shares = line["probabilities"].as_object().unwrap();
        let predicted: Vec<&String> = shares
            .iter()
            .filter(|(_, share)| share.as_f64() >= Some(0.5))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(line["labels"], json!(predicted));
    }
    let plain = desk.says(&predict);
    for (line, json) in plain.lines().zip(&lines) {
        let labels: Vec<&str> = json["labels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|label| label.as_str().unwrap())
            .collect();
        assert_eq!(line.split('\t').next(), Some(labels.join(";").as_str()));
    }
    let said = desk.says("adapter inspect runs/sets/separated");
    assert!(said.contains("any of blue, red"), "{said}");
}

#[test]
fn tuned_thresholds_and_weights_are_kept_with_the_adapter() {
    let desk = Desk::new();
    write_sets(&desk, 160);
    let train = format!("{OF_SETS} --train sets.csv --labels red,blue --epochs 3");
    let train = train.replace("--epochs 12 ", "");
    let plain = last(&desk.says(&format!("{train} --name plain")));
    let tuned = last(&desk.says(&format!("{train} --thresholds tuned --name tuned")));
    // The weights are the same, and thresholds are chosen for the highest F1 of each label.
    let f1 = |result: &Value, label: usize| result["details"]["by_label"][label]["f1"].as_f64();
    let is_same_epoch = plain["best_epoch"] == tuned["best_epoch"];
    assert!(!is_same_epoch || (0..2).all(|label| f1(&tuned, label) >= f1(&plain, label)));
    let threshold = &tuned["details"]["by_label"][0]["threshold"];
    assert!(threshold.is_number() && plain["details"]["by_label"][0].get("threshold").is_none());
    let inspected = parsed(&desk.says("adapter inspect runs/sets/tuned --json"));
    assert_eq!(inspected["metadata"]["calibration"]["thresholds"][0], *threshold);
    // `evaluate` uses them.
    let rows = "--input sets.csv --text body --labels red,blue --json";
    let said = desk.says(&format!("evaluate runs/sets/tuned --base base --device cpu {rows}"));
    assert_eq!(parsed(&said)["details"]["by_label"][0]["threshold"], *threshold);
    // An average has none, and says so.
    let output = desk
        .run("adapter average runs/sets/tuned runs/sets/plain --base base --out mean.safetensors");
    assert!(output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("those of the mean are 0.5"));
    let weighted = desk.says(&format!("{train} --positive-weight balanced --name weighted"));
    let loss = |name: &str| {
        let lines = std::fs::read_to_string(desk.path(&format!("runs/sets/{name}/metrics.jsonl")));
        parsed(lines.unwrap().lines().next().unwrap())["loss"].as_f64().unwrap()
    };
    assert!(last(&weighted)["score"].is_number());
    assert!((loss("weighted") - loss("plain")).abs() > 1e-6);
    assert!((loss("tuned") - loss("plain")).abs() < 1e-12);
}

#[test]
fn one_label_a_text_is_weighted_smoothed_and_calibrated() {
    let desk = Desk::new();
    let loss = |name: &str| {
        let lines = std::fs::read_to_string(desk.path(&format!("runs/rows/{name}/metrics.jsonl")));
        parsed(lines.unwrap().lines().next().unwrap())["loss"].as_f64().unwrap()
    };
    let plain = last(&desk.says(&format!("{TRAIN} --name plain")));
    let details = &plain["details"];
    assert!(plain["scores"]["balanced-accuracy"].is_number(), "{plain}");
    assert_eq!(details["confusion"].as_array().map(Vec::len), Some(2), "{details}");
    assert!(details["calibration"]["error"].is_number(), "{details}");
    for (flags, name) in
        [("--label-smoothing 0.2", "smooth"), ("--class-weights balanced --calibrate", "cal")]
    {
        desk.says(&format!("{TRAIN} {flags} --name {name}"));
    }
    assert!((loss("smooth") - loss("plain")).abs() > 1e-6);
    let config = std::fs::read_to_string(desk.path("runs/rows/cal/config.toml")).unwrap();
    assert!(
        config.contains("class_weights = \"balanced\"") && config.contains("calibrate = true"),
        "{config}"
    );
    let config = std::fs::read_to_string(desk.path("runs/rows/plain/config.toml")).unwrap();
    assert!(!config.contains("class_weights") && !config.contains("label_smoothing"), "{config}");
    let rows = "--base base --device cpu --input rows.csv --text body --label team";
    let said = parsed(&desk.says(&format!("evaluate runs/rows/cal {rows} --json")));
    let calibration = &said["details"]["calibration"];
    for field in ["temperature", "error", "error_without"] {
        assert!(calibration[field].is_number(), "{said}");
    }
    let said = desk.says(&format!("evaluate runs/rows/cal {rows}"));
    assert!(said.contains("expected calibration error") && said.contains("predicted"), "{said}");
}

#[test]
fn what_is_wrong_with_several_labels_is_said_with_its_line() {
    let desk = Desk::new();
    let check = |name: &str, content: &str, flags: &str, sentence: &str| {
        std::fs::write(desk.path(name), content).unwrap();
        let line = format!(
            "train --base base --device cpu --max-length 16 --train {name} --text body {flags}"
        );
        let said = desk.refuses(&line);
        assert!(said.contains(sentence), "{line}: {said}");
        assert!(!desk.path("runs").exists());
    };
    let separated = "--label tags --label-separator ;";
    check("a.csv", "body,tags\na,\nb,\n", separated, "a.csv line 2: none of the 2 rows");
    check(
        "a.csv",
        "body,tags\na,x\nb,x;y;x\n",
        separated,
        "a.csv line 3: the label `x` is there twice",
    );
    check("a.csv", "body,tags\na,x\nb,x;;y\n", separated, "a.csv line 3: a label between");
    check(
        "a.csv",
        "body,tags\na,x;y\nb,X\nc,y\n",
        separated,
        "differ in upper and lower case alone",
    );
    check(
        "a.csv",
        "body,x,y\na,1,0\nb,0,2\n",
        "--labels x,y",
        "a.csv line 3: the column `y` has `2`",
    );
    check("a.csv", "body,x,y\na,0,0\n", "--labels x,y", "a.csv line 2: none of the 1 rows");
    let lists = "{\"body\":\"a\",\"tags\":[\"x\"]}\n{\"body\":\"b\",\"tags\":\"x\"}\n";
    check(
        "a.jsonl",
        lists,
        "--label tags",
        "a.jsonl line 2: `tags` is no list, but a list in line 1",
    );
    let nested = "{\"body\":\"a\",\"tags\":[[\"x\"]]}\n";
    check("a.jsonl", nested, "--label tags", "a.jsonl line 1: `tags` contains a list");
    let row = "{\"body\":\"a\",\"tags\":[\"x\"]}\n";
    let lists = row.repeat(3);
    check(
        "a.jsonl",
        &lists,
        "--label tags --calibrate",
        "--calibrate is for tasks with one class a row",
    );
    std::fs::write(desk.path("b.csv"), "body,tags\na,x\nb,z\n").unwrap();
    let flags = format!("{separated} --validation b.csv");
    check("a.csv", "body,tags\na,x\nb,y\n", &flags, "b.csv line 3: the label `z` is none of x, y");
}
