//! Errors that name their cause and leave nothing behind.

use serde_json::Value;

use crate::desk::{Desk, TRAIN};

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
    let refuses = |arguments: &str, sentence: &str| {
        let said = desk.refuses_usage(&format!("{own} {arguments}"));
        assert!(said.contains(sentence), "{arguments}: {said}");
    };
    refuses("--adapt-layers 0,2", "layer 2, but the base has 2 layers");
    refuses("--method top-3", "3 layers");
    refuses(
        "--method top-2 --cache memory",
        "there is nothing to cache: top-2 trains the lowest layer",
    );
    for line in [
        "train --train rows.csv --text body --label body",
        "train --train rows.csv --text body --text2 body --label team",
        "predict any.safetensors --input rows.csv --text body --text2 body",
        "evaluate any.safetensors --input rows.csv --text body --label body",
    ] {
        let said = desk.refuses_usage(line);
        assert!(said.contains("the column `body` is named twice"), "{line}: {said}");
    }
    assert_eq!(desk.run("train --task cola").status.code(), Some(2));
    let name = "predict rows.csv --device cpu";
    assert_eq!(desk.run(name).status.code(), Some(1), "{name}");
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
