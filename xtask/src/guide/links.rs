//! Links between the documents of the workspace.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Follows every link and `{{#include}}` in the root's documents and below `docs`.
///
/// # Errors
/// A target that does not exist, each with its file.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut files = markdown_files(&root.join("docs"))?;
    files.extend(["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(|name| root.join(name)));
    let guide = root.join("docs/guide/src");
    let mut broken = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let directory = file.parent().unwrap_or(root);
        for target in targets(&text) {
            // mdBook publishes nothing outside of its source directory.
            let leaves_book = file.starts_with(&guide) && target.starts_with("..");
            if leaves_book || !directory.join(&target).exists() {
                broken.push(format!("{}: {target}", file.display()));
            }
        }
        for target in between(&text, "{{#include ", "}}") {
            let path = target.split(':').next().unwrap_or_default();
            if !directory.join(path).exists() {
                broken.push(format!("{}: {target}", file.display()));
            }
        }
    }
    if !broken.is_empty() {
        bail!("links to files that do not exist, or that leave the book:\n{}", broken.join("\n"));
    }
    Ok(())
}

/// The files that a document links to, without anchors; links to other sites and code blocks are left out.
pub(crate) fn targets(text: &str) -> Vec<String> {
    let mut in_code = false;
    let prose = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    });
    prose
        .flat_map(|line| between(line, "](", ")"))
        .filter(|target| !target.contains("://"))
        .map(|target| target.split('#').next().unwrap_or_default().to_owned())
        .filter(|path| !path.is_empty())
        .collect()
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    text.split(start).skip(1).filter_map(|rest| Some(rest.split_once(end)?.0)).collect()
}

/// The Markdown files below a directory, sorted.
pub(crate) fn markdown_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(markdown_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_other_sites_are_not_followed() {
        let text = "[a](a.md#part) [b](https://b)\n```\n[c](c.md)\n```\n[d](#d) ![e](e.svg)";
        assert_eq!(targets(text), ["a.md", "e.svg"]);
    }
}
