//! Every pair of flags of every command: used together, or refused by name.
#![expect(clippy::unwrap_used, reason = "a test may fail at any line")]

mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn_adapters::Method;
use clap::{CommandFactory, Parser};
use tables::{TABLES, Table};
use trainer_app::cli::{Cli, Command, TrainJob};
use trainer_app::run_config::{ActivationCacheMode, OptimizerKind, RunConfig};

/// A flag of a table with what it needs, as words.
struct Flag {
    name: &'static str,
    words: Vec<&'static str>,
    /// Each of the flags that it needs, with its value.
    needs: Vec<Vec<&'static str>>,
}

impl Flag {
    /// The flag of a row, once for each of the ways to give it what it needs, which are separated by `|`.
    fn ways((typed, needs): (&'static str, &'static str)) -> Vec<Self> {
        needs.split('|').map(|needs| Self::new(typed, needs)).collect()
    }

    fn new(typed: &'static str, needs: &'static str) -> Self {
        let words: Vec<_> = typed.split(' ').collect();
        let words = if words == ["FILE"] { vec!["mine.toml"] } else { words };
        let name = typed.split(' ').next().unwrap();
        let mut needed: Vec<Vec<&str>> = Vec::new();
        for word in needs.split_whitespace() {
            match needed.last_mut() {
                Some(last) if !word.starts_with('-') => last.push(word),
                _ => needed.push(vec![word]),
            }
        }
        Self { name, words, needs: needed }
    }
}

/// The words of some flags and all that they need, the flags first.
fn command_line(command: &str, flags: &[&Flag], needs_of: &[&Flag]) -> Vec<String> {
    let mut parts: Vec<&[&str]> = flags.iter().map(|flag| flag.words.as_slice()).collect();
    for need in needs_of.iter().flat_map(|flag| &flag.needs) {
        let is_there = |part: &&[&str]| part[0] == need[0];
        // A flag that was left out of `flags` may be needed by another.
        if !parts.iter().any(is_there) {
            parts.push(need);
        }
    }
    let words = parts.concat();
    command.split(' ').chain(words).map(str::to_owned).collect()
}

/// What a command line comes to, or the message that refuses it.
fn resolved(words: &[String], directory: &Path) -> Result<String, String> {
    let words = words.iter().map(|word| match word.as_str() {
        word if word.ends_with(".toml") => directory.join(word).to_str().unwrap().to_owned(),
        word => word.to_owned(),
    });
    let cli = Cli::try_parse_from(["trainer".to_owned()].into_iter().chain(words))
        .map_err(|error| error.to_string())?;
    cli.command.check().map_err(|error| format!("{error:#}"))?;
    Ok(match &cli.command {
        Command::Train(args) => {
            let job = TrainJob::of(args).unwrap();
            let shown = (args.plain || args.json, args.json, args.checkpoint_every);
            format!("{job:?} {:?} {:?} {shown:?}", args.runs, args.name)
        }
        command => format!("{command:?}"),
    })
}

/// A directory with a configuration file; two of its settings are not the defaults, so that each other flag leaves one.
fn directory_with_a_config() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut config = RunConfig { seed: 3, ..RunConfig::defaults(Method::Houlsby) };
    config.training.patience = Some(9);
    config.write(&directory.path().join("config.toml")).unwrap();
    directory
}

fn is_listed(list: &[(&str, &str)], a: &str, b: &str) -> bool {
    let has = |first: &str, second: &str| {
        list.iter().any(|(flag, others)| *flag == first && others.split(' ').any(|o| o == second))
    };
    has(a, b) || has(b, a)
}

/// The commands that can be run, by their words.
fn leaves(command: &clap::Command, words: &str) -> Vec<(String, clap::Command)> {
    let below = command.get_subcommands().filter(|below| below.get_name() != "help");
    let below =
        below.flat_map(|below| leaves(below, format!("{words} {}", below.get_name()).trim()));
    let runs = !command.is_subcommand_required_set();
    runs.then(|| (words.to_owned(), command.clone())).into_iter().chain(below).collect()
}

fn table_of(words: &str) -> &'static Table {
    let found = TABLES
        .iter()
        .find(|table| table.command == words || table.command.starts_with(&format!("{words} ")));
    found.unwrap_or_else(|| panic!("`trainer {words}` has no table in this file"))
}

#[test]
fn every_command_and_every_flag_is_in_a_table() {
    for (words, command) in leaves(&Cli::command(), "") {
        let table = table_of(&words);
        let known: BTreeSet<&str> =
            table.flags.iter().map(|flag| Flag::ways(*flag)[0].name).collect();
        let flags: BTreeSet<String> = command
            .get_arguments()
            .filter(|argument| !argument.is_hide_set())
            .filter_map(|argument| argument.get_long())
            .filter(|long| !["help", "version"].contains(long))
            .map(|long| format!("--{long}"))
            .collect();
        let known_flags = known.iter().filter(|name| name.starts_with("--"));
        let known_flags: BTreeSet<String> = known_flags.map(|name| (*name).to_owned()).collect();
        assert_eq!(flags, known_flags, "the flags of `trainer {words}` and those of its table");
        for (flag, others) in table.refused.iter().chain(table.included) {
            for name in others.split(' ').chain([*flag]) {
                assert!(known.contains(name), "`trainer {words}` has no {name}");
            }
        }
    }
}

/// The outcomes of command lines that were tried.
type Seen = BTreeMap<Vec<String>, Result<String, String>>;

/// What is wrong with a pair of flags.
fn wrong_with(
    table: &Table,
    (first, second): (&Flag, &Flag),
    directory: &Path,
    seen: &mut Seen,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let both = command_line(table.command, &[first, second], &[first, second]);
    let outcome = resolved(&both, directory);
    let typed = both.join(" ");
    if is_listed(table.refused, first.name, second.name) {
        match outcome {
            Ok(_) => wrong.push(format!("`{typed}` is not refused")),
            Err(message) => {
                for flag in [first, second] {
                    let name = if flag.name == "FILE" { "[FILE]" } else { flag.name };
                    if !message.contains(name) {
                        wrong.push(format!("`{typed}` names no {name}: {message}"));
                    }
                }
            }
        }
        return wrong;
    }
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(message) => return vec![format!("`{typed}` is refused: {message}")],
    };
    if is_listed(table.included, first.name, second.name) {
        return wrong;
    }
    // Each of the two has an effect beside the other.
    for (left_out, kept) in [(first, second), (second, first)] {
        if kept.needs.iter().any(|need| need[0] == left_out.name) {
            continue;
        }
        let one = command_line(table.command, &[kept], &[first, second]);
        let needed = one.iter().any(|word| word == left_out.name);
        let alone = seen.entry(one).or_insert_with_key(|words| resolved(words, directory));
        if !needed && alone.as_ref() == Ok(&outcome) {
            wrong.push(format!("`{typed}`: {} changes nothing", left_out.name));
        }
    }
    wrong
}

#[test]
fn every_pair_of_flags_is_used_or_refused_by_name() {
    let directory = directory_with_a_config();
    let mut wrong = Vec::new();
    let mut seen = Seen::new();
    for table in TABLES {
        let flags: Vec<Vec<Flag>> = table.flags.iter().map(|flag| Flag::ways(*flag)).collect();
        for (index, first) in flags.iter().enumerate() {
            for second in &flags[index + 1..] {
                let ways = first.iter().flat_map(|one| second.iter().map(move |two| (one, two)));
                let of_ways: Vec<Vec<String>> =
                    ways.map(|pair| wrong_with(table, pair, directory.path(), &mut seen)).collect();
                // One way in which nothing is wrong is enough.
                if !of_ways.iter().any(Vec::is_empty) {
                    wrong.extend(of_ways.into_iter().next().unwrap());
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} pairs:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_depends_on_a_value_is_refused_by_name() {
    let directory = directory_with_a_config();
    let squad = directory.path().join("squad.toml");
    let mut config = RunConfig::defaults(Method::Houlsby);
    config.task.name = "squad".to_owned();
    config.model.max_length = 384;
    config.model.pooling = burn_adapters::Pooling::FirstToken;
    config.write(&squad).unwrap();
    let mut without_effect = RunConfig::defaults(Method::Ia3);
    without_effect.model.size = 8;
    without_effect.write(&directory.path().join("size.toml")).unwrap();
    let mut without_effect = RunConfig::defaults(Method::Lora);
    without_effect.training.optimizer = OptimizerKind::Adam;
    without_effect.training.weight_decay = 0.1;
    without_effect.write(&directory.path().join("decay.toml")).unwrap();
    let mut without_effect = RunConfig::defaults(Method::Full);
    without_effect.training.cache = ActivationCacheMode::Disk;
    without_effect.write(&directory.path().join("cache.toml")).unwrap();
    let cases: &[(&str, &[&str])] = &[
        ("train --method layer-norm --size 8", &["--size", "layer-norm"]),
        ("train --method ia3 --size 8", &["--size", "ia3"]),
        ("train --method full --adapt-layers 1..", &["--adapt-layers", "full"]),
        ("train --method lora --activation relu", &["--activation", "lora"]),
        ("train --method full --precision bf16", &["--precision", "full"]),
        ("train --method top-2 --precision bf16", &["--precision", "top-2"]),
        ("train --method fusion", &["fusion", "--fuse"]),
        ("train --method other", &["--method", "`other`"]),
        ("train --optimizer adam --weight-decay 0.1", &["--optimizer adam", "--weight-decay"]),
        ("train --task squad --data d --pooling mean", &["--task squad", "--pooling"]),
        ("train --head-hidden other", &["--head-hidden", "`other`", "none, relu"]),
        ("train --data glue", &["--data", "helpdesk"]),
        ("train --task helpdesk --data glue", &["--data", "helpdesk"]),
        ("train --task nosuch", &["nosuch", "cola"]),
        ("train --cache disk", &["--cache", "houlsby"]),
        ("train --method full --cache disk", &["--cache", "full"]),
        (
            "train --gradient-checkpointing --inner-norm batch",
            &["--gradient-checkpointing", "--inner-norm"],
        ),
        ("train --resume r/x --runs r", &["--resume r/x", "--runs"]),
        (
            "train --config config.toml --method lora",
            &["--config", "--method", "--learning-rate", "--size"],
        ),
        (
            "train --config config.toml --method full --epochs 3",
            &["--config", "--method", "--learning-rate"],
        ),
        ("train --config config.toml --method houlsby-code", &["--config", "--method", "--decay"]),
        (
            "train --config config.toml --task squad --data d",
            &["--config", "--task", "--max-length", "--pooling"],
        ),
        (
            "train --config squad.toml --task cola",
            &["--config", "--task", "--max-length", "--pooling"],
        ),
        ("train --config size.toml", &["size = 8 in", "size.toml", "ia3", "size = 64"]),
        ("train --config decay.toml", &["weight_decay = 0.1 in", "adam has no weight decay"]),
        ("train --config cache.toml", &["cache in", "cache.toml", "full trains the lowest layer"]),
        ("train --positive-weight balanced", &["--positive-weight", "--task helpdesk"]),
        ("train --thresholds tuned", &["--thresholds", "--task helpdesk", "one class a row"]),
        ("train --task stsb --data d --class-weights balanced", &["--class-weights", "stsb"]),
        ("train --task squad --data d --calibrate", &["--calibrate", "--task squad"]),
        (
            "train --train a.csv --text a --label b --label-separator=",
            &["--label-separator", "such as ;"],
        ),
        ("train --train a.csv --text a --labels b,c,b", &["`b` is named twice"]),
        ("evaluate a --input a.csv --text a", &["--label COL", "--labels"]),
        ("train --fuse a,b,a", &["--fuse", "the file a twice"]),
        ("train --train ...csv --text a --label b", &["--train", "`..`"]),
        ("adapter export a --format peft --out d --name x", &["--name", "--format"]),
        (
            "adapter export a --format merged --out d --with-layer-norms",
            &["--with-layer-norms", "--format"],
        ),
        ("bank add t.bank a b --name x", &["--name"]),
    ];
    for (line, names) in cases {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let message = resolved(&words, directory.path()).expect_err(line);
        for name in *names {
            assert!(message.contains(name), "`{line}` names no {name}: {message}");
        }
    }
    for line in [
        "train --config config.toml --method lora --size 8 --learning-rate 5e-4",
        "train --config config.toml --base bert-base-uncased --pooling pooler",
        "train --config config.toml --base minilm",
        "train --config config.toml --method houlsby",
        "train --task squad --data d --pooling first-token",
        "train --method top-2 --cache memory",
        "train --train a.jsonl --text a --label b --positive-weight balanced",
        "train --train a.jsonl --text a --label b --class-weights balanced",
        "train --train a.csv --text a --labels b,c --thresholds tuned",
    ] {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert_eq!(resolved(&words, directory.path()).err(), None, "{line}");
    }
}

#[test]
fn a_value_out_of_its_range_is_refused_with_flag_value_and_range() {
    let numbers = [
        ("train --epochs 0", "a whole number from 1 to"),
        ("train --patience 0", "a whole number from 1 to"),
        ("train --accumulate 0", "a whole number from 1 to"),
        ("train --batch-size 0", "a whole number from 1 to"),
        ("train --batch-size 1152921504606846976", "a whole number from 1 to"),
        ("train --limit 0", "a whole number from 1"),
        ("train --size 10000000", "a whole number from 1 to"),
        ("train --method lora --size 10000000000", "a whole number from 1 to"),
        ("train --depth 0", "a whole number from 1 to"),
        ("train --max-length 3", "a whole number from 4 to"),
        ("train --seed -1", ""),
        ("train --learning-rate -1", "a number above 0"),
        ("train --lr nan", "a number above 0"),
        ("train --clip inf", "a number above 0"),
        ("train --init-std 0", "a number above 0"),
        ("train --weight-decay inf", "a number from 0"),
        ("train --warmup 2", "from 0 to 1"),
        ("train --label-smoothing 1", "from 0 to below 1"),
        ("train --dropout 1.5", "from 0 to below 1"),
        ("train --name ../../x", "the name of a directory"),
        ("train --name .", "the name of a directory"),
        ("train --name a/b", "the name of a directory"),
        ("sweep --name ..", "the name of a directory"),
        ("sweep --slurm --slurm-shards 0", "a whole number from 1 to"),
        ("evaluate a.safetensors --batch-size 0", "a whole number from 1 to"),
        ("ablate a.safetensors --limit 0", "a whole number from 1"),
        ("bench --threads 0", "a whole number from 1 to"),
    ];
    for (line, expected) in numbers {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let message = resolved(&words, Path::new("")).expect_err(line);
        let (value, flag) = (words.last().unwrap(), &words[words.len() - 2]);
        let flag = if flag == "--lr" { "--learning-rate" } else { flag };
        for part in [flag, value, expected] {
            assert!(message.contains(part), "`{line}` names no `{part}`: {message}");
        }
    }
    let words = ["train", "--name", ""].map(str::to_owned);
    assert!(resolved(&words, Path::new("")).unwrap_err().contains("--name"));
}
