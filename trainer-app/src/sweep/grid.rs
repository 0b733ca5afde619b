//! Grids: lists of values, of which every combination is a run.

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};
use burn_adapters::{Layers, Method, Pooling};
use glue_data::Split;
use glue_data::tasks::{self, squad};
use serde::Deserialize;

use super::cell::Cell;
use crate::run_config::{OptimizerKind, RunConfig, StateCache};

/// The layout of a sweep's file.
const VERSION: u32 = 1;

/// A file of a few lines can name more combinations than any machine runs or remembers.
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

/// Lists of values; what is left out is the default of `trainer train`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Grid {
    tasks: Vec<String>,
    methods: Vec<Method>,
    sizes: Option<Vec<usize>>,
    learning_rates: Option<Vec<f64>>,
    epochs: Option<Vec<usize>>,
    init_stds: Option<Vec<f64>>,
    adapt_layers: Option<Vec<String>>,
    poolings: Option<Vec<Pooling>>,
    seeds: Option<Vec<u64>>,
    optimizer: Option<OptimizerKind>,
    batch_size: Option<usize>,
    max_length: Option<usize>,
    limit: Option<usize>,
    patience: Option<usize>,
    cache: Option<StateCache>,
}

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

/// The cells of a sweep's file, in its order and each once; `common` decides base, data, device and all that no grid
/// names.
///
/// # Errors
/// An unknown key, another version, an empty grid, an unknown task, a value out of its range, a list that no method or
/// task of its grid uses, or too many combinations.
pub fn cells(text: &str, common: impl Fn(Method) -> RunConfig) -> Result<Vec<Cell>> {
    let file: SweepFile = toml::from_str(text)?;
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
        grid.check().with_context(context)?;
        for cell in grid.cells(&common).with_context(context)? {
            if known.insert(cell.id.clone()) {
                cells.push(cell);
            }
        }
    }
    Ok(cells)
}

/// The values of an axis, or one that leaves the default.
fn axis<T: Clone>(values: Option<&Vec<T>>) -> Vec<Option<T>> {
    values.map_or_else(|| vec![None], |values| values.iter().cloned().map(Some).collect())
}

impl Grid {
    /// How many combinations the lists have, whether or not a method uses them.
    fn combinations(&self) -> usize {
        let lengths = [
            Some(self.tasks.len()),
            Some(self.methods.len()),
            self.sizes.as_ref().map(Vec::len),
            self.learning_rates.as_ref().map(Vec::len),
            self.epochs.as_ref().map(Vec::len),
            self.init_stds.as_ref().map(Vec::len),
            self.adapt_layers.as_ref().map(Vec::len),
            self.poolings.as_ref().map(Vec::len),
            self.seeds.as_ref().map(Vec::len),
        ];
        lengths.into_iter().flatten().fold(1, usize::saturating_mul)
    }

    /// Refuses what would be ignored: empty lists, and lists that nothing in the grid varies with.
    fn check(&self) -> Result<()> {
        ensure!(
            !self.tasks.is_empty() && !self.methods.is_empty(),
            "it is empty: it names no tasks or no methods"
        );
        for task in self.tasks.iter().filter(|task| *task != squad::NAME) {
            let spec = tasks::lookup(task)?;
            ensure!(spec.has(Split::Train), "the task {task} has no training rows");
        }
        let any = |uses: fn(Method) -> bool| self.methods.iter().any(|method| uses(*method));
        let only_questions = self.tasks.iter().all(|task| task == squad::NAME);
        for (name, length, is_used, what) in [
            ("sizes", self.sizes.as_ref().map(Vec::len), any(Method::has_size), "methods"),
            (
                "adapt_layers",
                self.adapt_layers.as_ref().map(Vec::len),
                any(Method::has_adapters),
                "methods",
            ),
            ("init_stds", self.init_stds.as_ref().map(Vec::len), any(has_bottlenecks), "methods"),
            ("poolings", self.poolings.as_ref().map(Vec::len), !only_questions, "tasks"),
            ("learning_rates", self.learning_rates.as_ref().map(Vec::len), true, "methods"),
            ("epochs", self.epochs.as_ref().map(Vec::len), true, "methods"),
            ("seeds", self.seeds.as_ref().map(Vec::len), true, "methods"),
        ] {
            ensure!(
                length != Some(0),
                "the list `{name}` is empty; leave it out for the default, or name values"
            );
            ensure!(
                length.is_none() || is_used,
                "none of the grid's {what} has a use for `{name}`; leave it out"
            );
        }
        Ok(())
    }

    fn cells(&self, common: &impl Fn(Method) -> RunConfig) -> Result<Vec<Cell>> {
        let mut cells = Vec::new();
        for task in &self.tasks {
            for &method in &self.methods {
                for config in self.configs(common(method), task)? {
                    config.check()?;
                    cells.push(Cell::new(config));
                }
            }
        }
        Ok(cells)
    }

    fn configs(&self, common: RunConfig, task: &str) -> Result<Vec<RunConfig>> {
        let mut common = common;
        task.clone_into(&mut common.task.name);
        common.task.limit = self.limit.or(common.task.limit);
        common.model.max_length = self.max_length.unwrap_or(common.model.max_length);
        common.training.optimizer = self.optimizer.unwrap_or(common.training.optimizer);
        common.training.batch_size = self.batch_size.unwrap_or(common.training.batch_size);
        common.training.patience = self.patience.or(common.training.patience);
        common.training.cache = self.cache.unwrap_or(common.training.cache);
        let layers = self
            .adapt_layers
            .as_ref()
            .map(|texts| texts.iter().map(|text| text.parse()).collect::<Result<Vec<Layers>, _>>());
        let layers = layers.transpose()?;

        let method = common.model.method;
        let mut configs = vec![common];
        // A method without these has nothing to vary.
        if method.has_size() {
            vary(&mut configs, &axis(self.sizes.as_ref()), |config, size| config.model.size = size);
        }
        if method.has_adapters() {
            vary(&mut configs, &axis(layers.as_ref()), |config, layers| {
                config.model.adapt_layers = (layers != Layers::All).then_some(layers);
            });
        }
        if has_bottlenecks(method) {
            vary(&mut configs, &axis(self.init_stds.as_ref()), |config, std| {
                config.model.init_std = Some(std);
            });
        }
        vary(&mut configs, &axis(self.poolings.as_ref()), |config, pooling| {
            config.model.pooling = pooling;
        });
        vary(&mut configs, &axis(self.learning_rates.as_ref()), |config, rate| {
            config.training.learning_rate = rate;
        });
        vary(&mut configs, &axis(self.epochs.as_ref()), |config, epochs| {
            config.training.epochs = epochs;
        });
        vary(&mut configs, &axis(self.seeds.as_ref()), |config, seed| config.seed = seed);
        for config in &mut configs {
            config.fit_to_task_data(self.max_length.is_some());
        }
        Ok(configs)
    }
}

fn has_bottlenecks(method: Method) -> bool {
    method.plan(method.default_size()).bottleneck.is_some()
}

/// Each configuration once for each value.
fn vary<T: Clone>(
    configs: &mut Vec<RunConfig>,
    values: &[Option<T>],
    set: impl Fn(&mut RunConfig, T),
) {
    *configs = configs
        .iter()
        .flat_map(|config| {
            values.iter().map(|value| {
                let mut config = config.clone();
                if let Some(value) = value {
                    set(&mut config, value.clone());
                }
                config
            })
        })
        .collect();
}

#[cfg(test)]
mod tests {
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
            assert!(said.contains("none of the grid's methods has a use for"), "{said}");
            assert!(said.contains(name), "{said}");
        }
        let said = sentence("tasks = ['squad']\nmethods = ['full']\npoolings = ['mean']");
        assert!(said.contains("none of the grid's tasks has a use for `poolings`"), "{said}");
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
    }

    #[test]
    fn what_is_wrong_is_said() {
        let sentence = |text: &str| format!("{:#}", read(text).unwrap_err());
        assert!(sentence("version = 1\nspeed = 3\ngrid = []").contains("unknown field `speed`"));
        assert!(sentence("version = 1\ngrid = []").contains("the file has no grid"));
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
