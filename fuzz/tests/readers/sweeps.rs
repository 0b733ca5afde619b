//! Files of sweeps: ledgers, grids, results of runs.

use burn_adapters::Method;
use fuzz::Harness;
use trainer_app::run::RunResult;
use trainer_app::run_config::RunConfig;
use trainer_app::sweep::cell::Cell;
use trainer_app::sweep::entry::{CellEnd, Entry};
use trainer_app::sweep::ledger::Ledger;
use trainer_app::sweep::shard::Shard;
use trainer_app::sweep::{entries, grid};

use crate::files::JSON;

const RESULT: &str = r#"{"task":"rte","method":"houlsby","metric":"accuracy","score":0.71,"scores":{"accuracy":0.71},
    "judged":{"test":{"accuracy":0.7}},"majority":0.53,"bag_of_words":0.55,"best_epoch":2,"epochs":3,"steps":99,
    "collapsed":false,"trained_parameters":1686,"share_of_base":0.0017,"seconds_per_step":0.0077,"seconds":2.9,
    "memory_mib":35,"device":"cpu","seed":0,"adapter":"runs/rte/a/adapter.safetensors"}"#;

fn result() -> RunResult {
    serde_json::from_str(RESULT).unwrap()
}

#[test]
fn result_json() {
    Harness { name: "result_json", seeds: &[RESULT.as_bytes().to_vec()], memory: JSON }
        .run(|bytes| serde_json::from_slice::<RunResult>(bytes).is_ok());
}

#[test]
fn ledger() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.jsonl");
    let mut ledger = Ledger::open(directory.path(), Shard::WHOLE).unwrap();
    let ends = [
        CellEnd::Done { result: result() },
        CellEnd::Collapsed { why: "one answer".to_owned(), result: Some(result()) },
        CellEnd::Failed { why: "max_length is 9999".to_owned() },
    ];
    let mut plain = String::from("{\"ledger\":1}\n");
    for (seed, end) in (0..).zip(ends) {
        let config = RunConfig { seed, ..RunConfig::defaults(Method::Houlsby) };
        let Cell { id, config } = Cell::new(config);
        let entry = Entry { cell: id, end, config, finished_at: Some(1_700_000_000) };
        // As version 0.1.0 writes them, which has no checksums: more of these survive being damaged.
        plain += &(serde_json::to_string(&entry).unwrap() + "\n");
        ledger.add(entry).unwrap();
    }
    let seeds = [std::fs::read(&path).unwrap(), plain.into_bytes()];
    Harness { name: "ledger", seeds: &seeds, memory: JSON }
        .run(|bytes| entries::parse(&path, bytes).is_ok());
}

#[test]
fn sweep_toml() {
    let small = "version = 1\n# Comments are kept out.\n[[grid]]\ntasks = [\"rte\"]\nmethods = [\"houlsby\", \"full\"]\n\
                 sizes = [64]\nlearning_rates = [3e-4]\n\n[[grid]]\ntasks = [\"rte\"]\nmethods = [\"layer-norm\"]\n";
    let everything = "version = 1\n[[grid]]\ntasks = ['cola', 'squad']\nmethods = ['houlsby', 'top-2']\nsizes = [8]\n\
                      learning_rates = [3e-4]\nepochs = [3]\ninit_stds = [1e-2]\nadapt_layers = ['3..', 'all']\n\
                      poolings = ['mean']\nseeds = [0, 1]\noptimizer = 'adam-w'\nbatch_size = 8\nmax_length = 64\n\
                      limit = 100\npatience = 2\ncache = 'off'\n";
    let seeds = [small.as_bytes().to_vec(), everything.as_bytes().to_vec()];
    // As many combinations as are allowed, each with its configuration.
    Harness { name: "sweep_toml", seeds: &seeds, memory: 256 << 20 }.run(|bytes| {
        std::str::from_utf8(bytes).is_ok_and(|text| grid::cells(text, RunConfig::defaults).is_ok())
    });
}
