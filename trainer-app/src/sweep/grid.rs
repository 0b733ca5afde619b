//! Grids: lists of values, of which every combination is a run.

use anyhow::{Context, Result, bail, ensure};
use burn_adapters::{Layers, Method, Pooling};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::run_config::{OptimizerKind, RunConfig, StateCache};

/// The layout of a sweep's file.
const VERSION: u32 = 1;

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
    #[serde(default)]
    sizes: Vec<usize>,
    #[serde(default)]
    learning_rates: Vec<f64>,
    #[serde(default)]
    epochs: Vec<usize>,
    #[serde(default)]
    init_stds: Vec<f64>,
    #[serde(default)]
    adapt_layers: Vec<String>,
    #[serde(default)]
    poolings: Vec<Pooling>,
    #[serde(default)]
    seeds: Vec<u64>,
    optimizer: Option<OptimizerKind>,
    batch_size: Option<usize>,
    max_length: Option<usize>,
    limit: Option<usize>,
    patience: Option<usize>,
    cache: Option<StateCache>,
}

/// One run of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Names the cell by what it computes: sixteen hexadecimal digits.
    pub id: String,
    /// The run.
    pub config: RunConfig,
}

impl Cell {
    /// The cell of a run. Where it runs and where the data lies is not part of its name.
    pub fn new(config: RunConfig) -> Self {
        let mut named = config.clone();
        "auto".clone_into(&mut named.device);
        named.task.data = None;
        let bytes = serde_json::to_vec(&named).expect("a configuration has no keys but strings");
        let digest = Sha256::digest(bytes);
        let first = digest.first_chunk::<8>().expect("a SHA-256 has 32 bytes");
        Self { id: format!("{:016x}", u64::from_be_bytes(*first)), config }
    }

    /// What tells the cell from its neighbours: `cola houlsby-64 3e-4 3 epochs seed 0`.
    pub fn describe(&self) -> String {
        let RunConfig { task, model, training, seed, .. } = &self.config;
        let size = if model.method.has_size() { format!("-{}", model.size) } else { String::new() };
        let init = model.init_std.map(|std| format!(" σ {std:e}")).unwrap_or_default();
        let layers = model
            .adapt_layers
            .as_ref()
            .map(|layers| format!(" layers {layers}"))
            .unwrap_or_default();
        format!(
            "{} {}{size}{layers}{init} {:e} {} epochs seed {seed}",
            task.name, model.method, training.learning_rate, training.epochs
        )
    }
}

/// The text of a preset.
///
/// # Errors
/// A name nobody knows.
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
/// A key nobody knows, another version, an empty grid, a value out of its range.
pub fn cells(text: &str, common: impl Fn(Method) -> RunConfig) -> Result<Vec<Cell>> {
    let file: SweepFile = toml::from_str(text)?;
    ensure!(
        file.version == VERSION,
        "the file has version {}, this program reads version {VERSION}",
        file.version
    );
    let mut cells: Vec<Cell> = Vec::new();
    for (number, grid) in file.grid.iter().enumerate() {
        let before = cells.len();
        grid.add_cells(&common, &mut cells)
            .with_context(|| format!("in the grid number {}", number + 1))?;
        if cells.len() == before && (grid.tasks.is_empty() || grid.methods.is_empty()) {
            bail!("the grid number {} is empty: it names no tasks or no methods", number + 1);
        }
    }
    ensure!(!cells.is_empty(), "the file has no grid, expected [[grid]] with tasks and methods");
    Ok(cells)
}

/// The values of an axis, or one that leaves the default.
fn axis<T: Clone>(values: &[T]) -> Vec<Option<T>> {
    if values.is_empty() { vec![None] } else { values.iter().cloned().map(Some).collect() }
}

impl Grid {
    fn add_cells(
        &self,
        common: &impl Fn(Method) -> RunConfig,
        cells: &mut Vec<Cell>,
    ) -> Result<()> {
        for task in &self.tasks {
            for &method in &self.methods {
                for config in self.configs(common(method), task)? {
                    config.check()?;
                    let cell = Cell::new(config);
                    if !cells.iter().any(|known| known.id == cell.id) {
                        cells.push(cell);
                    }
                }
            }
        }
        Ok(())
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
        let layers: Vec<Layers> =
            self.adapt_layers.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;

        let method = common.model.method;
        let mut configs = vec![common];
        // A method without these has nothing to vary.
        if method.has_size() {
            vary(&mut configs, &axis(&self.sizes), |config, size| config.model.size = size);
        }
        if method.has_adapters() {
            vary(&mut configs, &axis(&layers), |config, layers| {
                config.model.adapt_layers = (layers != Layers::All).then_some(layers);
            });
        }
        if method.plan(method.default_size()).bottleneck.is_some() {
            vary(&mut configs, &axis(&self.init_stds), |config, std| {
                config.model.init_std = Some(std);
            });
        }
        vary(&mut configs, &axis(&self.poolings), |config, pooling| config.model.pooling = pooling);
        vary(&mut configs, &axis(&self.learning_rates), |config, rate| {
            config.training.learning_rate = rate;
        });
        vary(&mut configs, &axis(&self.epochs), |config, epochs| config.training.epochs = epochs);
        vary(&mut configs, &axis(&self.seeds), |config, seed| config.seed = seed);
        for config in &mut configs {
            config.fit_to_subject(self.max_length.is_some());
        }
        Ok(configs)
    }
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
        let grid = "version = 1\n[[grid]]\ntasks = ['squad']\nmethods = ['full']\npoolings = ['mean', 'pooler']\n";
        let lengths = |text: &str| -> Vec<usize> {
            read(text).unwrap().iter().map(|cell| cell.config.model.max_length).collect()
        };
        assert_eq!(lengths(grid), [384]);
        assert_eq!(lengths(&format!("{grid}max_length = 200")), [200]);
    }

    #[test]
    fn a_cell_is_named_by_what_it_computes() {
        let config = RunConfig::defaults(Method::Houlsby);
        let here = Cell::new(config.clone());
        let elsewhere = Cell::new(RunConfig { device: "cuda:3".to_owned(), ..config.clone() });
        assert_eq!(here.id, elsewhere.id);
        assert_ne!(here.id, Cell::new(RunConfig { seed: 7, ..config }).id);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let sentence = |text: &str| format!("{:#}", read(text).unwrap_err());
        assert!(sentence("version = 1\nspeed = 3\ngrid = []").contains("unknown field `speed`"));
        assert!(sentence("version = 1\ngrid = []").contains("the file has no grid"));
        assert!(
            sentence("version = 1\n[[grid]]\ntasks = []\nmethods = ['full']")
                .contains("the grid number 1 is empty")
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
