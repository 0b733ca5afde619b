//! The script of a Slurm array whose jobs run the shards of a sweep.

use std::path::{Path, absolute};

use anyhow::{Context, Result};

use crate::cli::SweepArgs;

/// The script for a sweep with this number of cells: `program` is this program, `here` the current directory.
///
/// # Errors
/// A path that is not UTF-8 or cannot be quoted for a shell.
pub(super) fn script(
    program: &Path,
    here: &Path,
    args: &SweepArgs,
    cells: usize,
) -> Result<String> {
    // All arguments are listed, so that a new one cannot be forgotten here.
    let SweepArgs {
        file,
        preset,
        base,
        data,
        device,
        sweeps,
        name,
        shard: _,
        dry_run: _,
        slurm: _,
        slurm_shards,
        retry_failed,
        keep_all,
        submission: _,
        checkpoint_every,
        json,
        train: _,
    } = args;
    let mut words = vec![text(&absolute(program)?)?, "sweep".to_owned()];
    if let Some(file) = file {
        words.push(text(&absolute(here.join(file))?)?);
    }
    let mut flag = |name: &str, value: String| words.extend([format!("--{name}"), value]);
    if let Some(preset) = preset {
        flag("preset", preset.clone());
    }
    // The base keeps its name as given, on which the ids of the cells depend.
    flag("base", base.clone());
    if let Some(data) = data {
        flag("data", text(&absolute(here.join(data))?)?);
    }
    flag("device", device.clone());
    flag("sweeps", text(&absolute(here.join(sweeps))?)?);
    if let Some(name) = name {
        flag("name", name.clone());
    }
    flag("checkpoint-every", checkpoint_every.to_string());
    for (name, is_set) in
        [("--retry-failed", retry_failed), ("--keep-all", keep_all), ("--json", json)]
    {
        if *is_set {
            words.push(name.to_owned());
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let command = shlex::try_join(words).context("quoting the command for a shell")?;
    let here = text(&absolute(here)?)?;
    let here = shlex::try_quote(&here).context("quoting the directory for a shell")?;
    let shards = cells.min(*slurm_shards).max(1);
    Ok(format!(
        "#!/bin/bash\n\
         #SBATCH --job-name=trainer-sweep\n\
         #SBATCH --array=1-{shards}\n\
         #SBATCH --cpus-per-task=8\n\
         #SBATCH --requeue\n\
         # A killed job resumes when it is queued again; all ledgers are read together.\n\
         cd {here} || exit 1\n\
         exec {command} --shard \"$SLURM_ARRAY_TASK_ID/{shards}\"\n"
    ))
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str();
    Ok(text.with_context(|| format!("{} is not UTF-8", path.display()))?.to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command as Job};

    fn args(line: &[&str]) -> SweepArgs {
        let line = ["trainer", "sweep"].iter().chain(line);
        match Cli::parse_from(line).command {
            Job::Sweep(args) => args,
            other => panic!("{other:?}"),
        }
    }

    /// The arguments with which bash starts a stub instead of the trainer, and its directory.
    #[cfg(unix)]
    fn started_with(line: &[&str]) -> (String, Vec<String>) {
        use std::os::unix::fs::PermissionsExt as _;

        let directory = tempfile::tempdir().unwrap();
        let here = directory.path().join("it's here");
        std::fs::create_dir(&here).unwrap();
        let stub = here.join("stub $HOME");
        std::fs::write(&stub, "#!/bin/bash\npwd\nprintf '%s\\n' \"$@\"\n").unwrap();
        std::fs::set_permissions(&stub, std::fs::Permissions::from_mode(0o755)).unwrap();
        let script = script(&stub, &here, &args(line), 7).unwrap();
        let path = directory.path().join("sweep.sh");
        std::fs::write(&path, script).unwrap();
        let output = Command::new("bash")
            .arg(&path)
            .current_dir("/")
            .env("SLURM_ARRAY_TASK_ID", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        let root = here.to_str().unwrap().to_owned();
        let mut lines = said.lines().map(|line| line.replace(&root, "HERE"));
        (lines.next().unwrap(), lines.collect())
    }

    #[cfg(unix)]
    #[test]
    fn bash_runs_the_script_with_the_flags_of_the_sweep_and_none_of_the_scripts() {
        for own in [&["--slurm", "--slurm-shards", "4"][..], &["--slurm-shards=4", "--slurm"][..]] {
            let typed = ["my grid.toml", "--data", "../glue", "--base", "base", "--keep-all"];
            let (place, words) = started_with(&[&typed[..], own].concat());
            assert_eq!(place, "HERE");
            let expected = [
                "sweep",
                "HERE/my grid.toml",
                "--base",
                "base",
                "--data",
                "HERE/../glue",
                "--device",
                "auto",
                "--sweeps",
                "HERE/sweeps",
                "--checkpoint-every",
                "300",
                "--keep-all",
                "--shard",
                "1/4",
            ];
            assert_eq!(words, expected);
            // The trainer accepts these arguments.
            let words: Vec<&str> = words[1..].iter().map(String::as_str).collect();
            assert_eq!(args(&words).shard.of, 4);
        }
    }

    #[cfg(unix)]
    #[test]
    fn there_are_no_more_jobs_than_cells() {
        let (_, words) = started_with(&["--preset", "glue", "--name", "a'b", "--slurm", "--json"]);
        assert_eq!(words.last().unwrap(), "1/7");
        assert!(words.contains(&"a'b".to_owned()), "{words:?}");
    }
}
