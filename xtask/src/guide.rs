//! Checks the guide in `docs/guide` and the README: chapters and links are there, and commands do what is shown.

mod commands;
mod links;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use xshell::{Shell, cmd};

use crate::device::Backend;
use crate::train;

const MDBOOK: &str = "mdbook@0.5.4";

#[derive(Args, Default)]
pub(crate) struct GuideArgs {
    /// Only the chapters, or the README, whose file name contains this
    #[arg(long, value_name = "NAME")]
    chapter: Option<String>,
    /// Directory of a `trainer` to run, instead of building one
    #[arg(long, value_name = "DIR")]
    trainer: Option<PathBuf>,
    /// Also build the book as HTML, in target/guide; installs mdBook below the target folder, once
    #[arg(long)]
    book: bool,
}

impl GuideArgs {
    /// Every chapter, and the book.
    pub(crate) fn with_book() -> Self {
        Self { book: true, ..Self::default() }
    }
}

pub(crate) fn run(shell: &Shell, args: &GuideArgs) -> Result<()> {
    let guide = train::workspace().join("docs/guide");
    links::check(&train::workspace())?;
    if args.book {
        build_book(shell, &guide)?;
    }
    let programs = if let Some(directory) = &args.trainer {
        std::path::absolute(directory)?
    } else {
        let trainer = train::build(shell, Backend::Cpu)?;
        trainer.parent().context("a program lies in a directory")?.to_owned()
    };
    let mut documents = vec![train::workspace().join("README.md")];
    documents.extend(chapters(&guide.join("src"))?);
    for chapter in documents {
        let name = chapter.file_name().unwrap_or_default().to_string_lossy();
        if args.chapter.as_ref().is_none_or(|part| name.contains(part.as_str())) {
            commands::run(shell, &chapter, &programs)?;
        }
    }
    Ok(())
}

/// The chapters, in the order of `SUMMARY.md`; mdBook leaves out a file that is not listed there.
fn chapters(source: &Path) -> Result<Vec<PathBuf>> {
    let summary = fs::read_to_string(source.join("SUMMARY.md"))?;
    let listed: Vec<PathBuf> =
        links::targets(&summary).into_iter().map(|link| source.join(link)).collect();
    for file in links::markdown_files(source)? {
        ensure!(
            listed.contains(&file) || file.ends_with("SUMMARY.md"),
            "{} is not in SUMMARY.md",
            file.display()
        );
    }
    Ok(listed)
}

fn build_book(shell: &Shell, guide: &Path) -> Result<()> {
    let root = train::tools().join(MDBOOK);
    let mdbook = root.join("bin/mdbook");
    if !mdbook.is_file() {
        // Its server and its search are not used here.
        cmd!(shell, "cargo install --quiet --locked --no-default-features --root {root} {MDBOOK}")
            .run()?;
    }
    let out = train::target().join("guide");
    cmd!(shell, "{mdbook} build {guide} --dest-dir {out}").run()?;
    Ok(())
}
