//! Grids: lists of values, each combination of which is a run.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use burn_adapters::{Layers, Method};
use glue_data::tasks::{self, squad};
use glue_data::{Split, tabular};
use serde::Deserialize;
use toml::{Table, Value};

use super::cell::Cell;
use crate::run_config::RunConfig;
use crate::toml_file;

/// The layout of a sweep's file.
const VERSION: u32 = 1;

/// A file of a few lines can have more combinations than any machine can run or hold in memory.
const MAX_CELLS: usize = 100_000;

/// The presets, by name: the paper's experiments, and smaller ones of the same shape.
const PRESETS: [(&str, &str); 8] = [
    ("glue", include_str!("presets/glue.toml")),
    ("extra", include_str!("presets/extra.toml")),
    ("squad", include_str!("presets/squad.toml")),
    ("figure-3", include_str!("presets/figure-3.toml")),
    ("figure-4", include_str!("presets/figure-4.toml")),
    ("init-scale", include_str!("presets/init-scale.toml")),
    ("learning-rate", include_str!("presets/learning-rate.toml")),
    ("minilm", include_str!("presets/minilm.toml")),
];

/// The names of the presets.
pub fn preset_names() -> String {
    PRESETS.map(|(name, _)| name).join(", ")
}

/// A sweep's file: grids one after the other.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SweepFile {
    version: u32,
    grid: Vec<Grid>,
}

/// A grid: tasks, methods and settings. What is left out has the default of `trainer train`.
///
/// A setting of [`AXES`] is a list of values. Any other setting of a run is one value for all runs of the grid.
#[derive(Debug, Deserialize)]
struct Grid {
    // Not required here: a misspelled name is reported as unknown, and not as missing.
    #[serde(default)]
    tasks: Vec<String>,
    #[serde(default)]
    methods: Vec<Method>,
    #[serde(flatten)]
    settings: Table,
}

/// A list of values of a setting.
struct Axis {
    /// Name of the list.
    list: &'static str,
    /// Name of the setting in a `config.toml`.
    setting: &'static str,
    /// Whether a run uses the setting.
    applies: fn(&RunConfig) -> bool,
    /// What decides that: `methods` or `tasks`.
    decided_by: &'static str,
}

impl Axis {
    const fn new(
        list: &'static str,
        setting: &'static str,
        applies: fn(&RunConfig) -> bool,
    ) -> Self {
        Self { list, setting, applies, decided_by: "methods" }
    }
}

/// The lists of a grid besides `tasks` and `methods`, the one that varies fastest last.
const AXES: [Axis; 7] = [
    Axis::new("sizes", "size", |config| config.model.method.has_size()),
    Axis::new("adapt_layers", "adapt_layers", |config| config.model.method.has_adapters()),
    Axis::new("init_stds", "init_std", |config| config.plan().bottleneck.is_some()),
    Axis {
        decided_by: "tasks",
        ..Axis::new("poolings", "pooling", |config| !config.task.reads_tokens())
    },
    Axis::new("learning_rates", "learning_rate", |_| true),
    Axis::new("epochs", "epochs", |_| true),
    Axis::new("seeds", "seed", |_| true),
];

/// Settings that are the same in all cells of a sweep, or follow from the cell.
const FIXED: [&str; 3] = ["base", "method", "fuse"];

/// The text of a preset.
///
/// # Errors
/// An unknown name.
pub fn preset(name: &str) -> Result<&'static str> {
    let found = PRESETS.iter().find(|(known, _)| *known == name);
    found
        .map(|(_, text)| *text)
        .with_context(|| format!("there is no preset `{name}`; choose one of {}", preset_names()))
}

/// The cells of a sweep's file, in its order and without duplicates; `common` gives base, data, device and all that no
/// grid sets.
///
/// # Errors
/// An unknown key, another version, an empty grid, an unknown task, a value out of its range, a list that no method or
/// task of its grid uses, or too many combinations.
pub fn cells(text: &str, common: impl Fn(Method) -> RunConfig) -> Result<Vec<Cell>> {
    let file: SweepFile = toml_file::parse(text)?;
    ensure!(
        file.version == VERSION,
        "the file has version {}, this program reads version {VERSION}",
        file.version
    );
    ensure!(
        !file.grid.is_empty(),
        "the file has no grid, expected [[grid]] with tasks and methods"
    );
    let combinations = file.grid.iter().map(Grid::combinations).fold(0, usize::saturating_add);
    ensure!(
        combinations <= MAX_CELLS,
        "the grids have {combinations} combinations, expected at most {MAX_CELLS}"
    );
    let mut cells: Vec<Cell> = Vec::new();
    let mut known = HashSet::new();
    for (number, grid) in file.grid.iter().enumerate() {
        let context = || format!("in the grid number {}", number + 1);
        grid.check(&common).with_context(context)?;
        for cell in grid.cells(&common).with_context(context)? {
            if known.insert(cell.id.clone()) {
                cells.push(cell);
            }
        }
    }
    Ok(cells)
}

impl Grid {
    /// The values of an axis.
    fn values(&self, axis: &Axis) -> Result<Option<&Vec<Value>>> {
        let Some(values) = self.settings.get(axis.list) else { return Ok(None) };
        let values = values.as_array();
        Ok(Some(values.with_context(|| format!("`{}` is not a list of values", axis.list))?))
    }

    /// The number of combinations of all lists, whether or not a method uses them.
    fn combinations(&self) -> usize {
        let lists = AXES.iter().filter_map(|axis| self.settings.get(axis.list)?.as_array());
        let lengths = lists.map(Vec::len).chain([self.tasks.len(), self.methods.len()]);
        lengths.fold(1, usize::saturating_mul)
    }

    /// Refuses what would have no effect: empty lists, lists that no run of the grid uses, and unknown fields.
    fn check(&self, common: &impl Fn(Method) -> RunConfig) -> Result<()> {
        for name in self.settings.keys() {
            let is_list = AXES.iter().any(|axis| axis.list == name);
            let is_value = RunConfig::has_field(name)
                && !FIXED.contains(&name.as_str())
                && !AXES.iter().any(|axis| axis.setting == name);
            let lists = AXES.iter().map(|axis| (axis.setting, axis.list));
            let lists = lists.chain([("task", "tasks"), ("method", "methods")]);
            let list = lists.into_iter().find(|(setting, _)| setting == name);
            let hint = list.map(|(_, list)| format!("; expected the list `{list}`"));
            ensure!(is_list || is_value, "unknown field `{name}`{}", hint.unwrap_or_default());
        }
        ensure!(
            !self.tasks.is_empty() && !self.methods.is_empty(),
            "it is empty: it names no tasks or no methods"
        );
        if let Some(task) = self.tasks.iter().find(|task| tabular::has_columns(Path::new(task))) {
            bail!(
                "{task} is a file, and a sweep trains published tasks only; `trainer train --train {task}` trains on your \
                 own rows"
            );
        }
        for task in self.tasks.iter().filter(|task| *task != squad::NAME) {
            let published = tasks::find(task)?;
            ensure!(published.rows(Split::Train).is_some(), "the task {task} has no training rows");
        }
        for axis in &AXES {
            let Some(values) = self.values(axis)? else { continue };
            let name = axis.list;
            ensure!(
                !values.is_empty(),
                "the list `{name}` is empty; leave it out for the default, or name values"
            );
            let is_used = self.methods.iter().any(|method| {
                self.tasks.iter().any(|task| (axis.applies)(&for_task(common(*method), task)))
            });
            ensure!(is_used, "none of the grid's {} uses `{name}`; leave it out", axis.decided_by);
        }
        Ok(())
    }

    fn cells(&self, common: &impl Fn(Method) -> RunConfig) -> Result<Vec<Cell>> {
        let mut cells = Vec::new();
        for task in &self.tasks {
            for &method in &self.methods {
                for config in self.configs(for_task(common(method), task))? {
                    config.check()?;
                    cells.push(Cell::new(config));
                }
            }
        }
        Ok(cells)
    }

    /// All combinations for one task and method.
    fn configs(&self, mut common: RunConfig) -> Result<Vec<RunConfig>> {
        for (name, value) in &self.settings {
            if !AXES.iter().any(|axis| axis.list == name) {
                common.set(name, value).with_context(|| format!("in `{name}`"))?;
            }
        }
        let pooling = common.model.pooling;
        let mut configs = vec![common];
        for axis in &AXES {
            let Some(values) = self.values(axis)? else { continue };
            if !(axis.applies)(&configs[0]) {
                continue;
            }
            let mut varied = Vec::with_capacity(configs.len() * values.len());
            for config in &configs {
                for value in values {
                    let mut config = config.clone();
                    let set = config.set(axis.setting, value);
                    set.with_context(|| format!("in `{}`", axis.list))?;
                    varied.push(config);
                }
            }
            configs = varied;
        }
        for config in &mut configs {
            // A hidden layer that is the default belongs to the default pooling.
            if config.model.pooling != pooling && !self.settings.contains_key("head_hidden") {
                config.model.leave_layers_out();
            }
            config.fit_to_task(self.settings.contains_key("max_length"));
            // All layers are the default.
            config.model.adapt_layers.take_if(|layers| *layers == Layers::All);
        }
        Ok(configs)
    }
}

/// The configuration for a task.
fn for_task(mut config: RunConfig, task: &str) -> RunConfig {
    task.clone_into(&mut config.task.name);
    config
}

#[cfg(test)]
mod tests {
    use burn_adapters::Pooling;

    use super::*;

    fn read(text: &str) -> Result<Vec<Cell>> {
        cells(text, RunConfig::defaults)
    }

    #[test]
    fn every_preset_is_a_sweep() {
        for (name, text) in PRESETS {
            let cells = read(text).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            assert!(cells.len() > 1, "{name}");
        }
    }

    #[test]
    fn the_papers_search_space_for_glue_has_its_size() {
        let cells = read(preset("glue").unwrap()).unwrap();
        // 8 tasks × 3 sizes × 3 rates × 2 epochs × 5 seeds, and the full fine-tuning beside it.
        let adapters = cells.iter().filter(|cell| cell.config.model.method == Method::Houlsby);
        assert_eq!(adapters.count(), 8 * 3 * 3 * 2 * 5);
    }

    #[test]
    fn what_a_grid_leaves_out_is_the_default_and_sizes_are_for_adapters() {
        let cells = read(
            "version = 1\n[[grid]]\ntasks = ['cola']\nmethods = ['houlsby', 'full']\nsizes = [8, 64]\nseeds = [0, 1]",
        )
        .unwrap();
        assert_eq!(cells.len(), 4 + 2);
        assert!(cells.iter().all(|cell| cell.config.training.batch_size == 32));
        let names: Vec<_> = cells.iter().map(Cell::describe).collect();
        assert!(names[0].starts_with("cola houlsby-8 "), "{names:?}");
        assert!(names[4].starts_with("cola full "), "{names:?}");
    }

    #[test]
    fn layers_are_an_axis_for_adapters() {
        let cells = read(
            "version = 1\n[[grid]]\ntasks = ['cola']\nmethods = ['houlsby', 'full']\nadapt_layers = ['all', '3..']",
        )
        .unwrap();
        let names: Vec<_> = cells.iter().map(Cell::describe).collect();
        assert_eq!(names.len(), 3);
        assert!(names[0].starts_with("cola houlsby-64 3e-4"), "{names:?}");
        assert!(names[1].starts_with("cola houlsby-64 layers 3.. 3e-4"), "{names:?}");
        let plain = read("version = 1\n[[grid]]\ntasks = ['cola']\nmethods = ['houlsby']").unwrap();
        assert_eq!(plain[0].id, cells[0].id, "all layers are no other run than none named");
        let wrong = "version = 1\n[[grid]]\ntasks = ['cola']\nmethods = ['houlsby']\nadapt_layers = ['top']";
        assert!(format!("{:#}", read(wrong).unwrap_err()).contains("`top` names no layers"));
    }

    #[test]
    fn questions_are_read_in_longer_windows_and_once_whatever_the_pooling() {
        let grid = "version = 1\n[[grid]]\ntasks = ['squad', 'cola']\nmethods = ['full']\npoolings = ['mean', 'pooler']\n";
        let lengths = |text: &str| -> Vec<usize> {
            read(text).unwrap().iter().map(|cell| cell.config.model.max_length).collect()
        };
        assert_eq!(lengths(grid), [384, 128, 128]);
        assert_eq!(lengths(&format!("{grid}max_length = 200")), [200; 3]);
    }

    #[test]
    fn a_cell_has_the_name_that_version_0_1_0_gave_it() {
        // `trainer sweep --dry-run` of that version, for the cells below and the base `base`.
        let text = "version = 1\n[[grid]]\ntasks = ['helpdesk']\nmethods = ['houlsby', 'layer-norm']\nsizes = [4]\n\
                    epochs = [1]\nseeds = [0, 1]\nlimit = 16\nmax_length = 16\n";
        let common = |method| {
            let mut config = RunConfig::defaults(method);
            "base".clone_into(&mut config.model.base);
            config.model.pooling = Pooling::Pooler;
            config
        };
        let names: Vec<String> = cells(text, common).unwrap().into_iter().map(|c| c.id).collect();
        assert_eq!(
            names,
            ["f43eb0ce2185166e", "98dbc9e62f77d778", "a63544936e00bba6", "0dc0b8cac7ae1d38"]
        );
    }

    #[test]
    fn a_list_that_nothing_uses_is_refused_and_so_is_an_empty_one() {
        let sentence = |grid: &str| {
            let text = format!("version = 1\n[[grid]]\n{grid}");
            format!("{:#}", read(&text).unwrap_err())
        };
        let full = "tasks = ['cola']\nmethods = ['full', 'layer-norm']\n";
        for list in ["sizes = [8]", "init_stds = [1e-2]"] {
            let said = sentence(&format!("{full}{list}"));
            let name = list.split(' ').next().unwrap();
            assert!(said.contains("none of the grid's methods uses"), "{said}");
            assert!(said.contains(name), "{said}");
        }
        let said = sentence("tasks = ['squad']\nmethods = ['full']\npoolings = ['mean']");
        assert!(said.contains("none of the grid's tasks uses `poolings`"), "{said}");
        let said = sentence("tasks = ['cola']\nmethods = ['houlsby']\nseeds = []");
        assert!(said.contains("the list `seeds` is empty"), "{said}");
    }

    #[test]
    fn a_small_file_with_too_many_combinations_is_refused_before_they_are_made() {
        let seeds: Vec<String> = (0..1000).map(|seed| seed.to_string()).collect();
        let rates = vec!["1e-3"; 101].join(", ");
        let grid = "version = 1\n[[grid]]\ntasks = ['cola']\nmethods = ['full']\n";
        let text = format!("{grid}seeds = [{}]\nlearning_rates = [{rates}]", seeds.join(", "));
        let said = format!("{:#}", read(&text).unwrap_err());
        assert!(said.contains("101000 combinations, expected at most 100000"), "{said}");
    }

    #[test]
    fn a_task_that_cannot_be_trained_is_refused() {
        let sentence = |task: &str| {
            let text = format!("version = 1\n[[grid]]\ntasks = ['{task}']\nmethods = ['full']");
            format!("{:#}", read(&text).unwrap_err())
        };
        assert!(sentence("nosuch").contains("in the grid number 1: there is no task `nosuch`"));
        assert!(sentence("ax").contains("the task ax has no training rows"));
        assert!(sentence("a.csv").contains("a.csv is a file, and a sweep trains published tasks"));
    }

    #[test]
    fn a_setting_of_all_runs_is_named_as_in_a_config_and_has_its_type() {
        let grid = "version = 1\n[[grid]]\ntasks = ['cola']\nmethods = ['houlsby']\n";
        let cells = read(&format!("{grid}dropout = 0.2\noptimizer = 'adam-w'")).unwrap();
        assert_eq!(cells[0].config.model.dropout, Some(0.2));
        for (line, reason) in [
            ("colour = 3", "unknown field `colour`"),
            ("base = 'minilm'", "unknown field `base`"),
            ("size = 3", "unknown field `size`"),
            ("sizes = 3", "`sizes` is not a list of values"),
            ("sizes = ['a']", "in `sizes`: invalid type: string"),
            ("batch_size = 'a'", "in `batch_size`: invalid type: string"),
        ] {
            let error = format!("{:#}", read(&format!("{grid}{line}")).unwrap_err());
            assert!(error.contains(reason), "{line}: {error}");
        }
    }

    #[test]
    fn errors_name_the_cause() {
        let sentence = |text: &str| format!("{:#}", read(text).unwrap_err());
        assert!(sentence("version = 1\nspeed = 3\ngrid = []").contains("unknown field `speed`"));
        assert!(sentence("version = 1\ngrid = []").contains("the file has no grid"));
        assert!(
            sentence("version = 1\n[[grid]]\ntask = ['cola']\nmethods = ['full']")
                .contains("unknown field `task`; expected the list `tasks`")
        );
        assert!(
            sentence("version = 1\n[[grid]]\ntasks = []\nmethods = ['full']")
                .contains("in the grid number 1: it is empty")
        );
        assert!(sentence("version = 2\ngrid = []").contains("version 2"));
        assert!(
            sentence("version = 1\n[[grid]]\ntasks = ['cola']\nmethods = ['full']\nepochs = [0]")
                .contains("epochs is 0")
        );
        assert!(
            sentence("version = 1\n[[grid]]\ntasks = ['cola']\nmethods = ['magic']")
                .contains("magic")
        );
        assert!(preset("nosuch").unwrap_err().to_string().contains("figure-3"));
    }
}
