//! One HTML page with everything in it: tables, figures, maps. It loads nothing from anywhere.

use std::fmt::Write as _;

use anyhow::Result;

use super::{charts, heat_map, paper};
use crate::recipes::ablate::Ablation;
use crate::sweep::summary::{self, Setting};

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
    table{border-collapse:collapse;margin:1rem 0}th,td{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:right}\
    th:first-child,td:first-child,th:nth-child(2),td:nth-child(2){text-align:left}\
    figure{margin:2rem 0}figcaption{color:#555}svg{max-width:100%;height:auto}";

/// The page of a sweep.
///
/// # Errors
/// If a figure cannot be drawn.
pub fn html(
    name: &str,
    base: &str,
    settings: &[Setting],
    ablations: &[Ablation],
) -> Result<String> {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>{name}</title><style>{STYLE}</style></head><body>\n<h1>{name}</h1>\n<p>Base: {base}.</p>\n",
        name = escaped(name),
        base = escaped(base)
    );
    page.push_str(&method_table(settings));
    page.push_str(&beside_the_paper(base, settings));
    for figure in charts::figures(settings)? {
        let _ = writeln!(
            page,
            "<figure>{}<figcaption>{}</figcaption></figure>",
            figure.svg,
            escaped(&figure.caption)
        );
    }
    for ablation in ablations {
        let _ = writeln!(
            page,
            "<figure>{}<figcaption>Figure 6, left, of the paper: {} on {} rows without the adapters of a span of \
             layers; {:.1} with all of them</figcaption></figure>",
            heat_map::svg(ablation)?,
            escaped(&ablation.task),
            ablation.rows,
            100.0 * ablation.whole
        );
    }
    page.push_str("</body></html>\n");
    Ok(page)
}

/// The best setting of each task and method.
fn method_table(settings: &[Setting]) -> String {
    let mut table = "<h2>The best of each task and method</h2>\n<table><tr><th>task</th><th>method</th><th>rate</th>\
                     <th>epochs</th><th>seeds</th><th>score</th><th>validation</th><th>test</th><th>majority</th>\
                     <th>trained</th></tr>\n"
        .to_owned();
    for setting in summary::best(settings) {
        let _ = writeln!(
            table,
            "<tr><td>{}</td><td>{}</td><td>{:e}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td><td>{:.2} %</td></tr>",
            escaped(&setting.task),
            escaped(&setting.method),
            setting.learning_rate,
            setting.epochs,
            setting.scores.len(),
            escaped(&setting.metric),
            summary::percent_with_deviation(&setting.scores),
            summary::percent_with_deviation(&setting.test_scores),
            setting.majority.map(|score| format!("{:.1}", 100.0 * score)).unwrap_or_default(),
            100.0 * setting.share_of_base
        );
    }
    table + "</table>\n"
}

/// Tables 1 and 2: adapters and full fine-tuning, ours and the paper's. The paper's base is another than ours may be,
/// and its scores are of test rows; so the differences are what can be compared.
fn beside_the_paper(base: &str, settings: &[Setting]) -> String {
    let best = summary::best(settings);
    let score = |task: &str, method: &str| {
        best.iter()
            .filter(|s| s.task == task && s.is_whole(method))
            .map(|s| 100.0 * s.mean())
            .max_by(f64::total_cmp)
    };
    let mut rows = String::new();
    for paper in paper::GLUE.into_iter().chain(paper::EXTRA) {
        let (Some(adapters), Some(full)) =
            (score(paper.task, "houlsby"), score(paper.task, "full"))
        else {
            continue;
        };
        let _ = writeln!(
            rows,
            "<tr><td>{}</td><td></td><td>{adapters:.1}</td><td>{full:.1}</td><td>{:+.1}</td><td>{:.1}</td>\
             <td>{:.1}</td><td>{:+.1}</td></tr>",
            paper.task,
            adapters - full,
            paper.adapters,
            paper.full,
            paper.adapters - paper.full
        );
    }
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "<h2>Beside the paper</h2>\n<p>Ours: {}, validation rows. The paper: BERT-large on GLUE's test server, BERT-base \
         on the other tasks' test rows.</p>\n<table><tr><th>task</th><th></th><th>adapters</th><th>full</th>\
         <th>difference</th><th>paper: adapters</th><th>full</th><th>difference</th></tr>\n{rows}</table>\n",
        escaped(base)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::charts::tests::setting;
    use super::*;

    #[test]
    fn a_page_has_its_tables_and_figures_and_loads_nothing() {
        let settings = [
            setting("cola", "full", 1e-4, 1000, 0.50),
            setting("cola", "houlsby-8", 1e-3, 10, 0.48),
            setting("cola", "houlsby-64", 1e-3, 80, 0.49),
        ];
        let page = html("a <sweep>", "minilm", &settings, &[]).unwrap();
        assert!(page.contains("<h1>a &lt;sweep&gt;</h1>"));
        assert!(page.contains("<td>49.0</td><td>50.0</td><td>-1.0</td><td>59.5</td>"), "{page}");
        assert!(page.contains("<svg") && page.ends_with("</body></html>\n"));
        assert!(!page.contains("src=") && !page.contains("<link"), "everything is in the page");
    }
}
