//! `trainer bench`: time and memory of a step on this machine, each case in its own process so that its peak memory can
//! be measured. The cases and their measurement are in `bench.rs`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use burn_bert::Precision;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use sysinfo::System;

use crate::base::Base;
use crate::bench::{self, BenchJob, BenchSetting, Measurement, Workload};
use crate::cli::BenchArgs;
use crate::system::devices;

/// The program that measures the peers.
const PEERS: &str = include_str!("../bench_peers.py");

/// Processes per case; with peers, ours and theirs alternate.
const ROUNDS: usize = 3;

/// A row of the table: the medians of all rounds of a case.
#[derive(Debug, Serialize)]
struct Row {
    workload: &'static str,
    method: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ours: Option<Measurement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<Measurement>,
}

/// Runs `trainer bench`.
///
/// # Errors
/// A base that cannot be found, or a case or a peer that fails.
pub fn run(args: &BenchArgs) -> Result<()> {
    let available = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = args.threads.unwrap_or(available);
    ensure!(threads > 0, "--threads is 0, expected at least 1");
    if let Some(case) = &args.case {
        let measurement = bench::measure(&serde_json::from_str(case).context("reading --case")?)?;
        outln!("{}", serde_json::to_string(&measurement)?);
        return Ok(());
    }
    let setting = BenchSetting {
        device: args.device.clone(),
        precision: args.precision,
        compile: args.compile,
    };
    let on_cpu = devices::is_cpu(&devices::resolve(&setting.device)?);
    let workloads = match (args.workload.as_slice(), on_cpu) {
        ([], true) => Workload::ON_CPUS.to_vec(),
        ([], false) => Workload::ON_GPUS.to_vec(),
        (chosen, _) => chosen.to_vec(),
    };
    let methods = if args.method.is_empty() {
        let measured = |method: &&str| setting.precision == Precision::F32 || *method != "full";
        bench::METHODS.into_iter().filter(measured).map(str::to_owned).collect()
    } else {
        args.method.clone()
    };
    for method in &methods {
        ensure!(
            bench::is_ours(method),
            "there is no benchmark `{method}`; choose one of {} or a method of `trainer train`",
            bench::METHODS.join(", ")
        );
    }
    // Downloaded before anything is timed.
    let minilm = if workloads.iter().any(|workload| workload.is_minilm()) {
        Base::locate("minilm")?.directory().to_owned()
    } else {
        PathBuf::new()
    };
    let rounds = if args.quick { 1 } else { ROUNDS };
    let mut rows = Vec::new();
    for workload in workloads {
        for method in &methods {
            let job = BenchJob::new(workload, method, args.quick, setting.clone());
            noteln!("{}, {method}", workload.name());
            let (mut ours, mut peers) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                ours.push(own_process(&job, threads)?);
                if let Some(python) = &args.python
                    && workload.has_peer(method)
                {
                    peers.push(peer_process(python, &job, &minilm, threads)?);
                }
            }
            rows.push(Row {
                workload: workload.name(),
                method: method.clone(),
                ours: Measurement::median(&ours),
                peer: Measurement::median(&peers),
            });
        }
    }
    let versions = args.python.as_deref().map(peer_versions).transpose()?;
    if args.json {
        for row in &rows {
            outln!("{}", serde_json::to_string(row)?);
        }
        return Ok(());
    }
    outln!("{}", table(&rows, args.python.is_some()));
    let cpus = System::new_with_specifics(
        sysinfo::RefreshKind::nothing().with_cpu(sysinfo::CpuRefreshKind::nothing()),
    );
    let brand = cpus.cpus().first().map_or("unknown CPU", |cpu| cpu.brand().trim());
    outln!(
        "\n{brand}, {threads} of {available} threads, device {}; trainer {}; medians of {rounds} processes, {}, dropout 0.1",
        setting.device,
        env!("CARGO_PKG_VERSION"),
        setting.precision
    );
    for (package, version) in versions.iter().flatten() {
        outln!("{package} {version}");
    }
    Ok(())
}

fn own_process(job: &BenchJob, threads: usize) -> Result<Measurement> {
    let program = std::env::current_exe().context("finding this program")?;
    let mut command = Command::new(program);
    command.args(["bench", "--case"]).arg(serde_json::to_string(job)?);
    command.env("RAYON_NUM_THREADS", threads.to_string());
    measurement_of(&mut command)
}

fn peer_process(python: &Path, job: &BenchJob, base: &Path, threads: usize) -> Result<Measurement> {
    let job = BenchJob { batches: job.workload.peers_batches(), ..job.clone() };
    let mut command = Command::new(python);
    command.args(["-c", PEERS]).arg(serde_json::to_string(&job)?).arg(base);
    command.arg(threads.to_string()).env("OMP_NUM_THREADS", threads.to_string());
    measurement_of(&mut command)
}

/// Versions of the peers' packages.
fn peer_versions(python: &Path) -> Result<BTreeMap<String, String>> {
    output_of(Command::new(python).args(["-c", PEERS, "--versions"]))
}

fn measurement_of(command: &mut Command) -> Result<Measurement> {
    output_of(command)
}

/// The last line that a program prints, as JSON.
fn output_of<T: serde::de::DeserializeOwned>(command: &mut Command) -> Result<T> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("running {program}"))?;
    ensure!(output.status.success(), "{program} exited with {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().with_context(|| format!("{program} printed nothing"))?;
    serde_json::from_str(line).with_context(|| format!("reading what {program} printed: {line}"))
}

fn table(rows: &[Row], with_peers: bool) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let mut header = vec!["", "", "s/step", "tokens/s", "MiB"];
    if with_peers {
        header.extend(["peer s/step", "tokens/s", "MiB", "speed-up", "memory ratio"]);
    }
    table.set_header(header);
    let columns = |measurement: &Option<Measurement>| match measurement {
        Some(measurement) => [
            format!("{:.3}", measurement.seconds),
            format!("{:.0}", measurement.tokens_per_second()),
            measurement.peak_mib.map_or_else(String::new, |mib| mib.to_string()),
        ],
        None => Default::default(),
    };
    for row in rows {
        let mut cells = vec![row.workload.to_owned(), row.method.clone()];
        cells.extend(columns(&row.ours));
        if with_peers {
            cells.extend(columns(&row.peer));
            if let (Some(ours), Some(peer)) = (&row.ours, &row.peer) {
                cells.push(format!("{:.2}", peer.seconds / ours.seconds));
                let share = ours
                    .peak_mib
                    .zip(peer.peak_mib)
                    .map(|(ours, peer)| format!("{:.2}", ours as f64 / peer as f64));
                cells.push(share.unwrap_or_default());
            }
        }
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
