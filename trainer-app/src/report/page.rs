//! A self-contained HTML page with tables, figures and heat maps.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;

use super::paper::{self, PaperScore};
use super::{charts, heat_map, score_tables};
use crate::report::ablation::Ablation;
use crate::sweep::summary::{self, Setting};

/// The style of every page, by which a report is recognized.
pub const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
    table{border-collapse:collapse;margin:1rem 0}th,td{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:right}\
    th:first-child,td:first-child,th:nth-child(2),td:nth-child(2){text-align:left}\
    figure{margin:2rem 0}figcaption{color:#555}svg{max-width:100%;height:auto}";

/// The page of a sweep.
///
/// # Errors
/// A figure that cannot be drawn.
pub fn html(name: &str, settings: &[Setting], ablations: &[Ablation]) -> Result<String> {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>{name}</title><style>{STYLE}</style></head><body>\n<h1>{name}</h1>\n",
        name = escaped(name),
    );
    let mut bases: Vec<&str> = settings.iter().map(|setting| setting.base.as_str()).collect();
    bases.dedup(); // settings are sorted by base
    if bases.len() > 1 {
        let _ = writeln!(
            page,
            "<p>The cells were trained on {} bases, whose scores are not comparable: {}.</p>",
            bases.len(),
            escaped(&bases.join(", "))
        );
    }
    for base in bases {
        let settings: Vec<Setting> =
            settings.iter().filter(|setting| setting.base == base).cloned().collect();
        let _ = writeln!(page, "<p>Base: {}.</p>", escaped(base));
        page.push_str(&method_table(&settings));
        page.push_str(&compared_with_paper(base, &settings));
        page.push_str(&score_tables_of(&settings));
        for figure in charts::figures(&settings)? {
            let _ = writeln!(
                page,
                "<figure>{}<figcaption>{}</figcaption></figure>",
                figure.svg,
                escaped(&figure.caption)
            );
        }
    }
    for ablation in ablations {
        let _ = writeln!(
            page,
            "<figure>{}<figcaption>{} on {} rows without the adapter in a span of layers; {:.1} with all layers{}\
             </figcaption></figure>",
            heat_map::svg(ablation)?,
            escaped(&ablation.task),
            ablation.rows,
            100.0 * ablation.whole,
            charts::as_in_the_paper("figure 6, left", [ablation.task.as_str()])
        );
    }
    page.push_str("</body></html>\n");
    Ok(page)
}

/// The best setting of each task and method.
fn method_table(settings: &[Setting]) -> String {
    let mut table = "<h2>Best setting of each task and method</h2>\n<table><tr><th>task</th><th>method</th><th>rate</th>\
                     <th>epochs</th><th>seeds</th><th>score</th><th>validation</th><th>test</th><th>majority</th>\
                     <th>trainable</th><th>collapsed</th></tr>\n"
        .to_owned();
    for setting in summary::best(settings) {
        let _ = writeln!(
            table,
            "<tr><td>{}</td><td>{}</td><td>{:e}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&setting.task),
            escaped(&setting.method),
            setting.learning_rate,
            setting.epochs,
            setting.seeds.len(),
            escaped(&setting.metric),
            summary::percent_with_deviation(&setting.scores),
            summary::percent_with_deviation(&setting.test_scores),
            setting.majority.map(|score| format!("{:.1}", 100.0 * score)).unwrap_or_default(),
            setting
                .share_of_base
                .map(|share| format!("{:.2} %", 100.0 * share))
                .unwrap_or_default(),
            if setting.collapsed == 0 { String::new() } else { setting.collapsed.to_string() }
        );
    }
    table + "</table>\n"
}

/// The scores of each label, and the confusion matrix, of the best setting of each task.
fn score_tables_of(settings: &[Setting]) -> String {
    let mut best: BTreeMap<&str, &Setting> = BTreeMap::new();
    for setting in summary::best(settings) {
        let known = best.entry(&setting.task).or_insert(setting);
        if setting.expected() > known.expected() {
            *known = setting;
        }
    }
    let with_details = best.into_values().filter_map(|best| Some((best, best.details.as_ref()?)));
    let tables = with_details.map(|(Setting { task, method, .. }, details)| {
        let heading = format!("{task}: {method}, validation rows of the best seed");
        format!("<h3>{}</h3>\n{}", escaped(&heading), score_tables::html(details))
    });
    let tables: String = tables.collect();
    if tables.is_empty() { tables } else { format!("<h2>Scores of each label</h2>\n{tables}") }
}

/// Tables 1 and 2: adapters and full fine-tuning, ours and the paper's. Since the bases may differ, only the differences
/// are comparable.
fn compared_with_paper(base: &str, settings: &[Setting]) -> String {
    let base = escaped(base);
    let glue =
        comparison_table(settings, &paper::GLUE, |setting| 100.0 * summary::mean(&setting.scores));
    let extra = comparison_table(settings, &paper::EXTRA, |setting| {
        // The paper uses test rows there, which most of our tasks have too.
        let test = &setting.test_scores;
        100.0 * summary::mean(if test.is_empty() { &setting.scores } else { test })
    });
    let mut tables = String::new();
    for (table, heading, ours, papers) in [
        (glue, "Table 1: GLUE", "validation rows", "BERT-large on GLUE's test server"),
        (extra, "Table 2: more classification tasks", "test rows", "BERT-base on test rows"),
    ] {
        if let Some(table) = table {
            let _ = writeln!(
                tables,
                "<h2>{heading}, compared with the paper</h2>\n<p>Ours: {base}, {ours}. The paper: {papers}.</p>\n{table}"
            );
        }
    }
    tables
}

/// A table of the tasks with both adapters and full fine-tuning, with the mean and the total number of parameters; `None`
/// without such a task.
fn comparison_table(
    settings: &[Setting],
    paper: &[PaperScore],
    score: impl Fn(&Setting) -> f64,
) -> Option<String> {
    let best = summary::best(settings);
    // The best setting is chosen by validation score, also if test scores are shown.
    let chosen = |task: &str, family: &str| {
        let of_family = best.iter().filter(|s| s.task == task && s.is_whole(family));
        let scored = of_family.filter_map(|setting| Some((setting.expected()?, *setting)));
        scored.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, setting)| setting)
    };
    let rows: Vec<(&PaperScore, &Setting, &Setting)> = paper
        .iter()
        .filter_map(|paper| {
            Some((paper, chosen(paper.task, "houlsby")?, chosen(paper.task, "full")?))
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    let mut table =
        "<table><tr><th>task</th><th>method</th><th>adapters</th><th>full</th><th>difference</th>\
                     <th>paper: adapters</th><th>full</th><th>difference</th></tr>\n"
            .to_owned();
    let mut line = |task: &str, method: &str, scores: [f64; 4]| {
        let [adapters, full, paper_adapters, paper_full] = scores;
        let _ = writeln!(
            table,
            "<tr><td>{task}</td><td>{}</td><td>{adapters:.1}</td><td>{full:.1}</td><td>{:+.1}</td>\
             <td>{paper_adapters:.1}</td><td>{paper_full:.1}</td><td>{:+.1}</td></tr>",
            escaped(method),
            adapters - full,
            paper_adapters - paper_full
        );
    };
    let mut sums = [0.0; 4];
    for (paper, adapters, full) in &rows {
        let scores = [score(adapters), score(full), paper.adapters, paper.full];
        line(paper.task, &adapters.method, scores);
        for (sum, score) in sums.iter_mut().zip(scores) {
            *sum += score;
        }
    }
    let count = rows.len() as f64;
    line("mean", "", sums.map(|sum| sum / count));
    let trained: f64 = rows.iter().filter_map(|(_, adapters, _)| adapters.share_of_base).sum();
    let _ = writeln!(
        table,
        "</table>\n<p>Total parameters for {} tasks: {:.2} times the base with adapters ({:.2} % per task), {} times the \
         base with full fine-tuning.</p>",
        rows.len(),
        1.0 + trained,
        100.0 * trained / count,
        rows.len()
    );
    Some(table)
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::charts::tests::setting;
    use super::*;

    #[test]
    fn the_papers_other_tasks_are_compared_by_test_rows_with_a_mean() {
        let settings = [
            setting("sms-spam", "full", 1e-4, 1000, 0.98),
            Setting { test_scores: vec![0.96], ..setting("sms-spam", "houlsby-8", 1e-3, 10, 0.99) },
            setting("airline", "full", 1e-4, 1000, 0.80),
            setting("airline", "houlsby-8", 1e-3, 10, 0.82),
        ];
        let page = html("extra", &settings, &[]).unwrap();
        assert!(page.contains("<td>96.0</td><td>98.0</td><td>-2.0</td><td>95.1</td>"), "{page}");
        assert!(
            page.contains("<td>mean</td><td></td><td>89.0</td><td>89.0</td><td>+0.0</td>"),
            "{page}"
        );
        assert!(page.contains("Total parameters for 2 tasks: 1.02 times the base"), "{page}");
    }

    #[test]
    fn a_page_has_its_tables_and_figures_and_loads_nothing() {
        let settings = [
            setting("cola", "full", 1e-4, 1000, 0.50),
            setting("cola", "houlsby-8", 1e-3, 10, 0.48),
            setting("cola", "houlsby-64", 1e-3, 80, 0.49),
        ];
        let page = html("a <sweep>", &settings, &[]).unwrap();
        assert!(page.contains("<h1>a &lt;sweep&gt;</h1>"));
        assert!(page.contains("<td>49.0</td><td>50.0</td><td>-1.0</td><td>59.5</td>"), "{page}");
        assert!(page.contains("Table 1: GLUE") && !page.contains("Table 2"), "{page}");
        assert!(page.contains("Total parameters for 1 tasks: 1.01 times the base"), "{page}");
        assert!(page.contains("<svg") && page.ends_with("</body></html>\n"));
        assert!(!page.contains("src=") && !page.contains("<link"), "everything is in the page");
    }

    #[test]
    fn bases_are_separate_and_collapsed_cells_are_shown() {
        let small = setting("cola", "full", 1e-4, 1000, 0.42);
        let large = Setting {
            base: "bert-large-uncased".to_owned(),
            seeds: vec![0, 1, 2],
            collapsed: 2,
            ..setting("cola", "houlsby-8", 1e-3, 10, 0.9)
        };
        let page = html("two", &[large, small], &[]).unwrap();
        assert!(page.contains("trained on 2 bases, whose scores are not comparable"), "{page}");
        let (first, second) = page.split_once("<p>Base: minilm.</p>").unwrap();
        assert!(first.contains("<p>Base: bert-large-uncased.</p>"), "{first}");
        assert!(first.contains("<td>90.0</td>") && !first.contains("<td>42.0</td>"), "{first}");
        assert!(second.contains("<td>42.0</td>") && !second.contains("<td>90.0</td>"), "{second}");
        assert!(first.contains("<td>3</td>") && first.contains("<td>2</td></tr>"), "{first}");
        assert!(
            !page.contains("compared with the paper"),
            "adapters and full tuning of different bases"
        );
    }
}
