//! Hidden states that are kept between epochs and runs are those that would be computed.

use crate::desk::{Desk, TRAIN};

fn numbers(losses: &[String]) -> Vec<f64> {
    losses.iter().map(|loss| loss.parse().unwrap()).collect()
}

fn largest_difference(a: &[String], b: &[String]) -> f64 {
    assert_eq!(a.len(), b.len());
    assert!(a.len() > 4, "{} losses", a.len());
    numbers(a).iter().zip(numbers(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn questions_have_the_same_losses_with_kept_states() {
    let desk = Desk::new();
    desk.write_questions();
    let losses = |cache: &str| {
        desk.says(&format!(
            "train --task squad --data . --base base --device cpu --json --size 4 --epochs 2 --batch-size 8 --lr 1e-2 \
             --max-length 24 --adapt-layers 1.. --dropout 0 --cache {cache} --name {cache}"
        ));
        let run = format!("runs/squad/{cache}");
        let metrics = desk.metrics(&run);
        let validation = metrics.iter().filter(|line| line["kind"] == "epoch");
        let validation = validation.map(|line| line["validation_loss"].to_string());
        desk.losses(&run).into_iter().chain(validation).collect::<Vec<_>>()
    };
    let anew = losses("off");
    let difference = largest_difference(&anew, &losses("memory"));
    assert!(difference < 1e-4, "{difference}");
    let difference = largest_difference(&anew, &losses("disk"));
    assert!(difference < 2e-2, "{difference}");
}

#[test]
fn states_on_the_disk_are_of_one_precision_and_one_configuration() {
    let desk = Desk::new();
    let losses = |name: &str, switches: &str| {
        let line = format!("{TRAIN} --adapt-layers 1.. --dropout 0 --name {name} {switches}");
        desk.says(&line.replace("--epochs 3", "--epochs 1"));
        desk.losses(&format!("runs/rows/{name}"))
    };
    let files = || {
        let entries = desk.path("cache/states").read_dir().unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "states")).count()
    };
    let single = losses("single", "--cache disk");
    assert_eq!(files(), 2, "train and validation");
    assert_eq!(losses("again", "--cache disk"), single);
    assert_eq!(files(), 2);
    let half = losses("half", "--cache disk --precision f16");
    assert_eq!(files(), 4);
    assert_ne!(half, single);

    let config = desk.path("base/config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replacen("\"gelu\"", "\"relu\"", 1)).unwrap();
    let other = losses("other", "--cache disk");
    assert_eq!(files(), 6);
    let difference = largest_difference(&other, &losses("anew", "--cache off"));
    assert!(difference < 2e-2, "{difference}");
}
