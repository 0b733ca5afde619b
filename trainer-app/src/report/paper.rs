//! The paper's scores, for comparison with ours.
//!
//! Houlsby et al. 2019, table 1 (GLUE test server, BERT-large) and table 2 (test accuracy, BERT-base).

/// The scores of a task in percent: full fine-tuning, and adapters (table 1: the best of sizes 8, 64, 256).
#[derive(Debug, Clone, Copy)]
pub struct PaperScore {
    /// Name of the task on the command line.
    pub task: &'static str,
    /// Full fine-tuning.
    pub full: f64,
    /// Adapters.
    pub adapters: f64,
}

const fn score(task: &'static str, full: f64, adapters: f64) -> PaperScore {
    PaperScore { task, full, adapters }
}

/// Table 1.
pub const GLUE: [PaperScore; 8] = [
    score("cola", 60.5, 59.5),
    score("sst2", 94.9, 94.0),
    score("mrpc", 89.3, 89.5),
    score("stsb", 87.6, 86.9),
    score("qqp", 72.1, 71.8),
    score("mnli", 86.7, 84.9),
    score("qnli", 91.1, 90.7),
    score("rte", 70.1, 71.5),
];

/// Table 2.
pub const EXTRA: [PaperScore; 17] = [
    score("20-newsgroups", 92.8, 91.7),
    score("airline", 83.6, 84.5),
    score("corporate-messaging", 92.5, 92.9),
    score("disasters", 85.3, 84.1),
    score("economic-news-relevance", 82.1, 82.5),
    score("emotion", 38.4, 38.7),
    score("global-warming", 84.2, 82.7),
    score("political-audience", 80.9, 79.0),
    score("political-bias", 75.2, 75.9),
    score("political-message", 38.9, 44.1),
    score("primary-emotions", 36.9, 33.9),
    score("progressive-opinion", 71.6, 71.7),
    score("progressive-stance", 63.8, 60.6),
    score("us-economic-performance", 75.3, 77.3),
    score("customer-complaints", 55.9, 55.4),
    score("news-aggregator", 96.3, 96.2),
    score("sms-spam", 99.3, 95.1),
];

/// The paper's scores of a task.
pub fn of(task: &str) -> Option<PaperScore> {
    GLUE.into_iter().chain(EXTRA).find(|score| score.task == task)
}
