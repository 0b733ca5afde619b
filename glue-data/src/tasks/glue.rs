//! The nine tasks of GLUE and its diagnostics, in their published format.
//!
//! Wang et al. 2019, <https://gluebenchmark.com>; row counts as published, and as counted by
//! <https://huggingface.co/datasets/nyu-mll/glue>.

use crate::metric::Metric;
use crate::published_task::Source;
use crate::rows::Split;
use crate::task_spec::{Part, TaskSpec};

/// A part with a header and without special cases, which the functions below add.
const fn part(
    split: Split,
    file: &'static str,
    columns: &'static [&'static str],
    texts: (&'static str, Option<&'static str>),
    label: Option<&'static str>,
    rows: usize,
) -> Part {
    Part {
        split,
        file,
        embedded: None,
        header: true,
        columns,
        text: texts.0,
        text2: texts.1,
        label,
        label_numbers: false,
        rows,
        skip_short_rows: false,
        submission: None,
        corpus: None,
    }
}

const fn without_header(part: Part) -> Part {
    Part { header: false, ..part }
}

const fn skipping_short_rows(part: Part) -> Part {
    Part { skip_short_rows: true, ..part }
}

const fn submitted(part: Part, file: &'static str) -> Part {
    Part { submission: Some(file), ..part }
}

const PAIR: (&str, Option<&str>) = ("sentence1", Some("sentence2"));
const INDEXED_PAIR: &[&str] = &["index", "sentence1", "sentence2"];
const LABELED_PAIR: &[&str] = &["index", "sentence1", "sentence2", "label"];
const MNLI_TRAIN: &[&str] = &[
    "index",
    "promptID",
    "pairID",
    "genre",
    "sentence1_binary_parse",
    "sentence2_binary_parse",
    "sentence1_parse",
    "sentence2_parse",
    "sentence1",
    "sentence2",
    "label1",
    "gold_label",
];
const MNLI_VALIDATION: &[&str] = &[
    "index",
    "promptID",
    "pairID",
    "genre",
    "sentence1_binary_parse",
    "sentence2_binary_parse",
    "sentence1_parse",
    "sentence2_parse",
    "sentence1",
    "sentence2",
    "label1",
    "label2",
    "label3",
    "label4",
    "label5",
    "gold_label",
];
const MNLI_TEST: &[&str] = &[
    "index",
    "promptID",
    "pairID",
    "genre",
    "sentence1_binary_parse",
    "sentence2_binary_parse",
    "sentence1_parse",
    "sentence2_parse",
    "sentence1",
    "sentence2",
];
const INFERENCE: &[&str] = &["entailment", "neutral", "contradiction"];
const ENTAILMENT: &[&str] = &["entailment", "not_entailment"];

macro_rules! published {
    ($name:literal) => {
        Some(Source::Zip {
            url: concat!("https://dl.fbaipublicfiles.com/glue/data/", $name, ".zip"),
        })
    };
}

/// The table.
pub static GLUE: [TaskSpec; 10] = [
    TaskSpec {
        name: "cola",
        title: "Is the sentence good English?",
        directory: "CoLA",
        classes: &["0", "1"],
        metrics: &[Metric::Matthews, Metric::Accuracy],
        parts: &[
            without_header(part(
                Split::Train,
                "train.tsv",
                &["source", "label", "mark", "sentence"],
                ("sentence", None),
                Some("label"),
                8551,
            )),
            without_header(part(
                Split::Validation,
                "dev.tsv",
                &["source", "label", "mark", "sentence"],
                ("sentence", None),
                Some("label"),
                1043,
            )),
            submitted(
                part(
                    Split::Test,
                    "test.tsv",
                    &["index", "sentence"],
                    ("sentence", None),
                    None,
                    1063,
                ),
                "CoLA.tsv",
            ),
        ],
        source: published!("CoLA"),
    },
    TaskSpec {
        name: "sst2",
        title: "Is the film review's tone positive?",
        directory: "SST-2",
        classes: &["0", "1"],
        metrics: &[Metric::Accuracy],
        parts: &[
            part(
                Split::Train,
                "train.tsv",
                &["sentence", "label"],
                ("sentence", None),
                Some("label"),
                67349,
            ),
            part(
                Split::Validation,
                "dev.tsv",
                &["sentence", "label"],
                ("sentence", None),
                Some("label"),
                872,
            ),
            submitted(
                part(
                    Split::Test,
                    "test.tsv",
                    &["index", "sentence"],
                    ("sentence", None),
                    None,
                    1821,
                ),
                "SST-2.tsv",
            ),
        ],
        source: published!("SST-2"),
    },
    TaskSpec {
        name: "mrpc",
        title: "Do the two sentences say the same?",
        directory: "MRPC",
        classes: &["0", "1"],
        metrics: &[Metric::F1, Metric::Accuracy],
        parts: &[
            part(
                Split::Train,
                "train.tsv",
                &["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"],
                ("#1 String", Some("#2 String")),
                Some("Quality"),
                3668,
            ),
            part(
                Split::Validation,
                "dev.tsv",
                &["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"],
                ("#1 String", Some("#2 String")),
                Some("Quality"),
                408,
            ),
            submitted(
                part(
                    Split::Test,
                    "test.tsv",
                    &["index", "#1 ID", "#2 ID", "#1 String", "#2 String"],
                    ("#1 String", Some("#2 String")),
                    None,
                    1725,
                ),
                "MRPC.tsv",
            ),
        ],
        // Its publisher has another split, from which GLUE's is made with a list of ids.
        source: Some(Source::ByHand {
            how: "MRPC may not be redistributed in GLUE's split: download msr_paraphrase_train.txt and \
                  msr_paraphrase_test.txt from https://dl.fbaipublicfiles.com/senteval/senteval_data/ and split the \
                  training rows with mrpc_dev_ids.tsv of https://dl.fbaipublicfiles.com/glue/data/, as GLUE's \
                  download script does",
        }),
    },
    TaskSpec {
        name: "stsb",
        title: "How alike are the two sentences, from 0 to 5?",
        directory: "STS-B",
        classes: &[],
        metrics: &[Metric::Spearman, Metric::Pearson],
        parts: &[
            part(
                Split::Train,
                "train.tsv",
                &[
                    "index",
                    "genre",
                    "filename",
                    "year",
                    "old_index",
                    "source1",
                    "source2",
                    "sentence1",
                    "sentence2",
                    "score",
                ],
                PAIR,
                Some("score"),
                5749,
            ),
            part(
                Split::Validation,
                "dev.tsv",
                &[
                    "index",
                    "genre",
                    "filename",
                    "year",
                    "old_index",
                    "source1",
                    "source2",
                    "sentence1",
                    "sentence2",
                    "score",
                ],
                PAIR,
                Some("score"),
                1500,
            ),
            submitted(
                part(
                    Split::Test,
                    "test.tsv",
                    &[
                        "index",
                        "genre",
                        "filename",
                        "year",
                        "old_index",
                        "source1",
                        "source2",
                        "sentence1",
                        "sentence2",
                    ],
                    PAIR,
                    None,
                    1379,
                ),
                "STS-B.tsv",
            ),
        ],
        source: published!("STS-B"),
    },
    TaskSpec {
        name: "qqp",
        title: "Do the two questions ask the same?",
        directory: "QQP",
        classes: &["0", "1"],
        metrics: &[Metric::F1, Metric::Accuracy],
        parts: &[
            skipping_short_rows(part(
                Split::Train,
                "train.tsv",
                &["id", "qid1", "qid2", "question1", "question2", "is_duplicate"],
                ("question1", Some("question2")),
                Some("is_duplicate"),
                363_846,
            )),
            skipping_short_rows(part(
                Split::Validation,
                "dev.tsv",
                &["id", "qid1", "qid2", "question1", "question2", "is_duplicate"],
                ("question1", Some("question2")),
                Some("is_duplicate"),
                40_430,
            )),
            submitted(
                part(
                    Split::Test,
                    "test.tsv",
                    &["id", "question1", "question2"],
                    ("question1", Some("question2")),
                    None,
                    390_965,
                ),
                "QQP.tsv",
            ),
        ],
        source: published!("QQP-clean"),
    },
    TaskSpec {
        name: "mnli",
        title: "Does the first sentence entail the second, contradict it, or neither?",
        directory: "MNLI",
        classes: INFERENCE,
        metrics: &[Metric::Accuracy],
        parts: &[
            part(Split::Train, "train.tsv", MNLI_TRAIN, PAIR, Some("gold_label"), 392_702),
            part(
                Split::Validation,
                "dev_matched.tsv",
                MNLI_VALIDATION,
                PAIR,
                Some("gold_label"),
                9815,
            ),
            part(
                Split::ValidationMismatched,
                "dev_mismatched.tsv",
                MNLI_VALIDATION,
                PAIR,
                Some("gold_label"),
                9832,
            ),
            submitted(
                part(Split::Test, "test_matched.tsv", MNLI_TEST, PAIR, None, 9796),
                "MNLI-m.tsv",
            ),
            submitted(
                part(Split::TestMismatched, "test_mismatched.tsv", MNLI_TEST, PAIR, None, 9847),
                "MNLI-mm.tsv",
            ),
        ],
        source: published!("MNLI"),
    },
    TaskSpec {
        name: "qnli",
        title: "Does the sentence answer the question?",
        directory: "QNLI",
        classes: ENTAILMENT,
        metrics: &[Metric::Accuracy],
        parts: &[
            part(
                Split::Train,
                "train.tsv",
                &["index", "question", "sentence", "label"],
                ("question", Some("sentence")),
                Some("label"),
                104_743,
            ),
            part(
                Split::Validation,
                "dev.tsv",
                &["index", "question", "sentence", "label"],
                ("question", Some("sentence")),
                Some("label"),
                5463,
            ),
            submitted(
                part(
                    Split::Test,
                    "test.tsv",
                    &["index", "question", "sentence"],
                    ("question", Some("sentence")),
                    None,
                    5463,
                ),
                "QNLI.tsv",
            ),
        ],
        source: published!("QNLIv2"),
    },
    TaskSpec {
        name: "rte",
        title: "Does the first text entail the second?",
        directory: "RTE",
        classes: ENTAILMENT,
        metrics: &[Metric::Accuracy],
        parts: &[
            part(Split::Train, "train.tsv", LABELED_PAIR, PAIR, Some("label"), 2490),
            part(Split::Validation, "dev.tsv", LABELED_PAIR, PAIR, Some("label"), 277),
            submitted(part(Split::Test, "test.tsv", INDEXED_PAIR, PAIR, None, 3000), "RTE.tsv"),
        ],
        source: published!("RTE"),
    },
    TaskSpec {
        name: "wnli",
        title: "Is the pronoun resolved rightly?",
        directory: "WNLI",
        classes: &["0", "1"],
        metrics: &[Metric::Accuracy],
        parts: &[
            part(Split::Train, "train.tsv", LABELED_PAIR, PAIR, Some("label"), 635),
            part(Split::Validation, "dev.tsv", LABELED_PAIR, PAIR, Some("label"), 71),
            submitted(part(Split::Test, "test.tsv", INDEXED_PAIR, PAIR, None, 146), "WNLI.tsv"),
        ],
        source: published!("WNLI"),
    },
    TaskSpec {
        name: "ax",
        title: "GLUE's diagnostics, answered by a model of MNLI",
        directory: "diagnostic",
        classes: INFERENCE,
        metrics: &[Metric::Matthews],
        parts: &[submitted(
            part(Split::Test, "diagnostic.tsv", INDEXED_PAIR, PAIR, None, 1104),
            "AX.tsv",
        )],
        source: Some(Source::ByHand {
            how: "save https://dl.fbaipublicfiles.com/glue/data/AX.tsv as diagnostic/diagnostic.tsv",
        }),
    },
];
