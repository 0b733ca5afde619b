//! What a sweep runs, prints and leaves.

use std::collections::BTreeSet;

use crate::desk::{Desk, GRID, SWEEP};

#[test]
fn a_dry_run_prints_the_cells_and_writes_nothing() {
    let desk = Desk::new(GRID);
    let plan = desk.says(&format!("{SWEEP} --dry-run"));
    assert!(plan.contains("helpdesk houlsby-2 1e-3 1 epoch seed 0"), "{plan}");
    assert!(plan.contains("6 of 6 cells to run"), "{plan}");
    assert_eq!(desk.names("."), ["base", "tiny.toml"]);
}

#[test]
fn a_sweep_runs_every_cell_once_and_prints_the_best() {
    let desk = Desk::new(GRID);
    // One machine of three, then all of it: nothing is run twice.
    let part = desk.json(&format!("{SWEEP} --shard 1/3"));
    assert_eq!(part["cells"]["done"], 2);
    assert_eq!(desk.entries("ledger-1-of-3.jsonl").len(), 2);
    let output = desk.json(SWEEP);
    assert_eq!(desk.entries("ledger.jsonl").len(), 4);
    assert_eq!(output["status"], "done");
    assert_eq!(output["cells"]["all"], 6);
    let settings = output["settings"].as_array().unwrap();
    assert_eq!(settings.len(), 3);
    assert!(settings.iter().all(|setting| setting["scores"].as_array().unwrap().len() == 2));
    assert!(desk.path(output["adapters"]["helpdesk"].as_str().unwrap()).is_file());

    let before = desk.read("sweeps/tiny/ledger.jsonl");
    let (table, next) = desk.says_both(SWEEP);
    assert_eq!(desk.read("sweeps/tiny/ledger.jsonl"), before);
    assert!(table.contains("helpdesk"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert!(next.contains("trainer report sweeps/tiny\n"), "{next}");
    assert!(next.contains("adapter.safetensors"), "{next}");
    assert!(desk.says(&format!("{SWEEP} --dry-run")).contains("0 of 6 cells to run"));
}

#[test]
fn a_finished_run_that_is_not_in_the_ledger_is_recorded_and_its_large_adapter_removed() {
    let desk = Desk::new(
        &GRID.replace("['houlsby', 'layer-norm']", "['full']").replace("sizes = [2, 4]\n", ""),
    );
    desk.says(SWEEP);
    let before = desk.entries("ledger.jsonl");
    let cell = before[0]["cell"].as_str().unwrap();
    let adapter = format!("sweeps/tiny/runs/helpdesk/{cell}/adapter.safetensors");
    assert!(!desk.path(&adapter).exists());
    // As if the process had been killed between the result and the rest.
    desk.write(&adapter, "trained");
    let run = format!("sweeps/tiny/runs/helpdesk/{cell}");
    let names = desk.names(&run);
    desk.write(&format!("{run}/checkpoint/step-000000001/progress.json"), "{}");
    desk.write(&format!("{run}/.result.json.Ab3dEf.part"), "{");
    desk.write("sweeps/tiny/ledger.jsonl", "{\"ledger\":1}\n");
    desk.says(SWEEP);
    let results = |entries: Vec<serde_json::Value>| -> Vec<String> {
        entries.iter().map(|entry| entry["end"].to_string()).collect()
    };
    assert_eq!(results(desk.entries("ledger.jsonl")), results(before), "nothing was run again");
    assert!(!desk.path(&adapter).exists());
    let left = desk.names(&run);
    assert!(left.iter().all(|name| names.contains(name)), "{left:?}, where there were {names:?}");
}

#[test]
fn a_finished_run_of_another_cell_is_not_taken_for_the_result() {
    let desk = Desk::new(GRID);
    desk.says(SWEEP);
    let cells: Vec<String> = desk
        .entries("ledger.jsonl")
        .iter()
        .map(|entry| entry["cell"].as_str().unwrap().to_owned())
        .collect();
    let run = |cell: &str| format!("sweeps/tiny/runs/helpdesk/{cell}");
    let other = desk.read(&format!("{}/config.toml", run(&cells[1])));
    desk.write(&format!("{}/config.toml", run(&cells[0])), &other);
    desk.write("sweeps/tiny/ledger.jsonl", "{\"ledger\":1}\n");
    let said = desk.ends_with(1, SWEEP);
    assert!(said.contains("has the run of another cell"), "{said}");
    assert!(desk.entries("ledger.jsonl").is_empty());
}

#[test]
fn a_sweep_ends_with_the_submission_files_of_its_best_adapters() {
    let desk = Desk::new(&GRID.replace("'helpdesk'", "'cola'").replace("limit = 32\n", ""));
    desk.write_cola("glue", "another sentence");
    desk.says(&format!("{SWEEP} --data glue --json --submission out"));
    let file = desk.read("out/CoLA.tsv");
    assert_eq!(file.lines().count(), 4, "{file}");
    assert!(file.starts_with("index\tprediction\n0\t"), "{file}");
}

#[test]
fn failed_cells_are_named_and_keep_no_other_task_from_its_submission() {
    let rte = "\n[[grid]]\ntasks = ['rte']\nmethods = ['houlsby']\nmax_length = 1000\n";
    let desk = Desk::new(&(GRID.replace("'helpdesk'", "'cola'") + rte));
    desk.write_cola("glue", "another sentence");
    let row =
        "index\tsentence1\tsentence2\tlabel\n0\tone\ttwo\tentailment\n1\ta\tb\tnot_entailment\n";
    for part in ["train", "dev"] {
        desk.write(&format!("glue/RTE/{part}.tsv"), row);
    }
    let said = desk.ends_with(1, &format!("{SWEEP} --data glue --submission out"));
    assert!(said.contains("1 of 7 cells failed:"), "{said}");
    assert!(said.contains("rte houlsby-64 3e-4 10 epochs seed 42: max_length is 1000"), "{said}");
    assert!(said.contains("no submission for rte"), "{said}");
    assert!(said.contains("--retry-failed runs them again"), "{said}");
    assert_eq!(desk.read("out/CoLA.tsv").lines().count(), 4);

    let output = desk.run(&format!("{SWEEP} --data glue --json"));
    let lines = String::from_utf8(output.stdout).unwrap();
    let mut lines = lines.lines().map(|line| serde_json::from_str(line).unwrap());
    let json: serde_json::Value = lines.next().unwrap();
    assert_eq!((output.status.code(), &json["status"]), (Some(1), &"failed".into()));
    assert_eq!(lines.next().unwrap()["status"], "error");
    assert!(json["failed"][0]["why"].as_str().unwrap().contains("max_length is 1000"));
}

#[cfg(unix)]
#[test]
fn the_script_of_a_slurm_array_runs_its_shard() {
    let desk = Desk::new(GRID);
    for flags in ["--slurm --slurm-shards 2", "--slurm-shards=2 --slurm"] {
        let script = desk.says(&format!("{SWEEP} {flags} --name from-slurm"));
        assert!(script.contains("#SBATCH --array=1-2"), "{script}");
        desk.write("job.sh", &script);
        let output = std::process::Command::new("bash")
            .arg(desk.path("job.sh"))
            .current_dir("/")
            .env("SLURM_ARRAY_TASK_ID", "1")
            .env("TRAINER_CACHE", desk.path("cache"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let text = desk.read("sweeps/from-slurm/ledger-1-of-2.jsonl");
    let cells: BTreeSet<&str> = text.lines().skip(1).collect();
    assert_eq!(cells.len(), 3, "half of the cells, each once");
}
