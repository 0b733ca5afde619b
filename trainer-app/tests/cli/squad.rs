//! Question answering.

use std::path::PathBuf;

use serde_json::Value;

use crate::desk::Desk;

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
