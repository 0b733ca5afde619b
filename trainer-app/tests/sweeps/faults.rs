//! Faults of the machine, of settings and of what was typed are not results.

use trainer_app::system::lock::Lock;

use crate::desk::{Desk, GRID, SWEEP};

#[test]
fn a_sweep_that_cannot_be_is_refused_and_leaves_nothing() {
    let desk = Desk::new("version = 1\nspeed = 9\ngrid = []");
    assert!(desk.ends_with(1, SWEEP).contains("unknown field `speed`"));
    desk.write("tiny.toml", "version = 1\n[[grid]]\ntasks = []\nmethods = ['full']");
    assert!(desk.ends_with(1, SWEEP).contains("is empty"));
    assert!(desk.ends_with(2, "sweep --preset nosuch").contains("figure-3"));
    assert!(desk.ends_with(2, "sweep").contains("no sweep was given"));
    assert_eq!(desk.names("."), ["base", "tiny.toml"]);
}

#[test]
fn a_ledger_of_another_version_is_refused() {
    let desk = Desk::new(GRID);
    desk.write("sweeps/tiny/ledger.jsonl", "{\"ledger\":7}\n");
    let said = desk.ends_with(1, SWEEP);
    assert!(said.contains("has version 7, this program reads version 1"), "{said}");
}

#[test]
fn rows_or_a_base_that_are_not_there_are_no_result_of_a_cell() {
    let desk = Desk::new(&GRID.replace("'helpdesk'", "'helpdesk', 'cola'"));
    let said = desk.ends_with(2, SWEEP);
    assert!(said.contains("reading the rows of cola (no cell was started)"), "{said}");
    let said = desk.ends_with(2, "sweep tiny.toml --base ./nowhere --device cpu");
    assert!(said.contains("cola") || said.contains("nowhere"), "{said}");
    assert_eq!(desk.names("."), ["base", "tiny.toml"]);
    desk.write("tiny.toml", GRID);
    let said = desk.ends_with(1, "sweep tiny.toml --base ./nowhere --device cpu");
    assert!(said.contains("./nowhere"), "{said}");
    assert_eq!(desk.names("."), ["base", "tiny.toml"]);
}

#[test]
fn a_directory_that_cannot_be_written_stops_the_sweep_without_an_entry() {
    let desk = Desk::new(GRID);
    // Where the runs of the task should be is a file.
    desk.write("sweeps/tiny/runs/helpdesk", "");
    let said = desk.ends_with(1, SWEEP);
    assert!(said.contains("the sweep stopped at the cell"), "{said}");
    assert!(said.contains("which is not recorded"), "{said}");
    assert!(said.contains("run the same command again to continue"), "{said}");
    assert!(desk.entries("ledger.jsonl").is_empty());

    std::fs::remove_file(desk.path("sweeps/tiny/runs/helpdesk")).unwrap();
    assert_eq!(desk.json(SWEEP)["cells"]["done"], 6);
    assert_eq!(desk.entries("ledger.jsonl").len(), 6);
}

#[test]
fn a_checkpoint_that_cannot_be_read_stops_the_sweep_without_an_entry() {
    let desk = Desk::new(GRID);
    desk.says(&format!("{SWEEP} --name elsewhere"));
    let cell = desk.cells("elsewhere").remove(0);
    let run = format!("sweeps/tiny/runs/helpdesk/{cell}");
    let config = desk.read(&format!("sweeps/elsewhere/runs/helpdesk/{cell}/config.toml"));
    desk.write(&format!("{run}/config.toml"), &config);
    for file in ["progress.json", "trained.bpk", "optimizer.bpk"] {
        desk.write(&format!("{run}/checkpoint/step-000000001/{file}"), "damaged");
    }
    let said = desk.ends_with(1, SWEEP);
    assert!(said.contains("the sweep stopped at the cell"), "{said}");
    assert!(said.contains("remove that directory to train the run from its beginning"), "{said}");
    let recorded = desk.entries("ledger.jsonl");
    assert!(recorded.iter().all(|entry| entry["cell"] != cell.as_str()));

    std::fs::remove_dir_all(desk.path(&format!("{run}/checkpoint"))).unwrap();
    assert_eq!(desk.json(SWEEP)["cells"]["done"], 6);
}

#[test]
fn a_sweep_that_is_running_is_not_run_twice() {
    let desk = Desk::new(GRID);
    let held = Lock::beside(&desk.path("sweeps/tiny/ledger.jsonl")).unwrap();
    let said = desk.ends_with(1, SWEEP);
    assert!(said.contains("another process is running this sweep in sweeps/tiny"), "{said}");
    drop(held);
    desk.says(SWEEP);
}

#[test]
fn a_cell_that_another_process_trains_is_left_to_it() {
    let desk = Desk::new(GRID);
    desk.says(&format!("{SWEEP} --name elsewhere"));
    let cell = desk.cells("elsewhere").remove(0);
    let run = desk.path(&format!("sweeps/tiny/runs/helpdesk/{cell}"));
    std::fs::create_dir_all(&run).unwrap();
    let held = Lock::directory(&run).unwrap();
    let said = desk.ends_with(1, SWEEP);
    assert!(said.contains("another process is training it"), "{said}");
    assert!(said.contains("other processes are training 1 of the cells"), "{said}");
    assert_eq!(desk.entries("ledger.jsonl").len(), 5);
    drop(held);
    desk.says(SWEEP);
    assert_eq!(desk.entries("ledger.jsonl").len(), 6);
}

#[test]
fn other_rows_or_another_base_under_the_same_name_are_refused_by_name() {
    let grid = GRID.replace("'helpdesk'", "'cola'").replace("limit = 32\n", "");
    let desk = Desk::new(&grid);
    desk.write_cola("glue", "another sentence");
    desk.write_cola("moved", "another sentence");
    desk.write_cola("changed", "a third sentence");
    desk.says(&format!("{SWEEP} --data glue --shard 1/2"));
    // The same rows in another place are the same rows.
    assert!(desk.says(&format!("{SWEEP} --data moved --dry-run")).contains("3 of 6 cells"));
    let said = desk.ends_with(1, &format!("{SWEEP} --data changed"));
    assert!(said.contains("the rows of cola differ from those on which the cell"), "{said}");
    assert!(said.contains("--data") && said.contains("--name"), "{said}");

    let weights = desk.path("base/model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let said = desk.ends_with(1, &format!("{SWEEP} --data moved"));
    assert!(said.contains("the base base differs from the one on which the cell"), "{said}");
    assert!(said.contains("its weights changed"), "{said}");
    assert!(!desk.path("sweeps/tiny/ledger.jsonl").exists());
}

#[test]
fn a_finished_sweep_is_compared_with_the_base_and_the_rows_that_are_there() {
    let grid =
        GRID.replace("'helpdesk'", "'cola'").replace("['houlsby', 'layer-norm']", "['layer-norm']");
    let grid = grid.replace("sizes = [2, 4]\n", "").replace("limit = 32\n", "");
    let desk = Desk::new(&grid);
    desk.write_cola("glue", "another sentence");
    desk.write_cola("changed", "a third sentence");
    let line = format!("{SWEEP} --data glue");
    desk.says(&line);
    desk.says(&line);
    let said = desk.ends_with(1, &format!("{SWEEP} --data changed"));
    assert!(said.contains("the rows of cola differ from those on which the cell"), "{said}");
    let (_, said) = desk.says_both(&format!("{SWEEP} --data nowhere"));
    assert!(said.contains("note: the rows of cola cannot be compared"), "{said}");

    // Both with every cell finished and with a new seed.
    let more = grid.replace("seeds = [0, 1]", "seeds = [0, 1, 2]");
    let refuses = |sentence: &str| {
        for grid in [&more, &grid] {
            desk.write("tiny.toml", grid);
            let said = desk.ends_with(1, &line);
            assert!(
                said.contains("the base base differs from the one on which the cell"),
                "{said}"
            );
            assert!(said.contains(sentence) && said.contains("--name"), "{said}");
        }
    };
    let config = desk.read("base/config.json");
    desk.write("base/config.json", &config.replace("\"gelu\"", "\"relu\""));
    refuses("its hidden_act was gelu, is relu");
    desk.write("base/config.json", &config);
    desk.write("base/tokenizer_config.json", "{\"do_lower_case\": false}");
    refuses("its tokenizer changed");
    std::fs::remove_file(desk.path("base/tokenizer_config.json")).unwrap();
    desk.says(&line);
    std::fs::rename(desk.path("base"), desk.path("moved")).unwrap();
    let (_, said) = desk.says_both(&line);
    assert!(said.contains("note: the base cannot be compared"), "{said}");
}
