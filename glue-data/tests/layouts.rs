//! GLUE's files in the layouts they are published in, with rows of our own: which columns are read, and how.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::path::Path;

use glue_data::{Example, Label, Split, tasks};

/// What a file of a task is read as, `[data]` for its directory in an error.
fn read(task: &str, split: Split, content: &[u8]) -> Result<Vec<Example>, String> {
    let directory = tempfile::tempdir().unwrap();
    let spec = tasks::lookup(task).unwrap();
    let path = directory.path().join(spec.directory).join(spec.part(split).unwrap().file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    spec.read(Some(directory.path()), split).map_err(|error| {
        error.to_string().replace(&directory.path().display().to_string(), "[data]")
    })
}

fn row(text: &str, text2: Option<&str>, label: Option<Label>) -> Example {
    Example { text: text.to_owned(), text2: text2.map(str::to_owned), label }
}

#[track_caller]
fn check(
    task: &str,
    split: Split,
    content: &str,
    expected: &[(&str, Option<&str>, Option<Label>)],
) {
    let expected: Vec<Example> =
        expected.iter().map(|(text, text2, label)| row(text, *text2, label.clone())).collect();
    assert_eq!(read(task, split, content.as_bytes()), Ok(expected));
}

#[track_caller]
fn check_refused(task: &str, split: Split, content: &[u8], sentence: &str) {
    assert_eq!(read(task, split, content), Err(format!("[data]/{sentence}")));
}

const CLASS: fn(usize) -> Option<Label> = |class| Some(Label::Class(class));

#[test]
fn single_sentences_are_read_from_their_columns() {
    // CoLA's labeled files name no columns; a quote is text, and so is all that is between tabs.
    check(
        "cola",
        Split::Train,
        "gj04\t1\t\tThe \"mill\" grinds.\nks08\t0\t*\tMill the \"grinds.\n",
        &[("The \"mill\" grinds.", None, CLASS(1)), ("Mill the \"grinds.", None, CLASS(0))],
    );
    check("cola", Split::Validation, "gj04\t1\t\tIt grinds.\n", &[("It grinds.", None, CLASS(1))]);
    check("cola", Split::Test, "index\tsentence\n0\tIt grinds.\n", &[("It grinds.", None, None)]);
    check(
        "sst2",
        Split::Train,
        "sentence\tlabel\na dull , gray film \t0\na joy \t1",
        &[("a dull , gray film ", None, CLASS(0)), ("a joy ", None, CLASS(1))],
    );
    check("sst2", Split::Test, "index\tsentence\n0\ta joy .\n", &[("a joy .", None, None)]);
}

#[test]
fn pairs_are_read_from_their_columns() {
    check(
        "mrpc",
        Split::Train,
        "\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t70\t71\tHe said \" no \" .\tHe declined .\r\n",
        &[("He said \" no \" .", Some("He declined ."), CLASS(1))],
    );
    check(
        "mrpc",
        Split::Test,
        "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t70\t71\tOne .\tTwo .\n",
        &[("One .", Some("Two ."), None)],
    );
    check(
        "qnli",
        Split::Validation,
        "index\tquestion\tsentence\tlabel\n0\tWhat?\tThis.\tentailment\n1\tWho?\tThat.\tnot_entailment\n",
        &[("What?", Some("This."), CLASS(0)), ("Who?", Some("That."), CLASS(1))],
    );
    check(
        "rte",
        Split::Train,
        "index\tsentence1\tsentence2\tlabel\n0\tIt rains.\tIt is wet.\tentailment\n",
        &[("It rains.", Some("It is wet."), CLASS(0))],
    );
    check(
        "wnli",
        Split::Train,
        "index\tsentence1\tsentence2\tlabel\n0\tThe pin made a hole in it.\tIt has a hole.\t1\n",
        &[("The pin made a hole in it.", Some("It has a hole."), CLASS(1))],
    );
    check(
        "ax",
        Split::Test,
        "index\tsentence1\tsentence2\n0\tIt rains.\tIt does not.\n",
        &[("It rains.", Some("It does not."), None)],
    );
}

#[test]
fn scores_are_read_as_numbers() {
    check(
        "stsb",
        Split::Train,
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n\
         0\tmain-captions\tMSRvid\t2012test\t0001\tnone\tnone\tA kite.\tA red kite.\t3.800\n",
        &[("A kite.", Some("A red kite."), Some(Label::Score(3.8)))],
    );
    check_refused(
        "stsb",
        Split::Train,
        b"index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n\
         0\tg\tf\ty\t1\tn\tn\tA.\tB.\tnan\n",
        "STS-B/train.tsv line 2: the score `nan` is not a finite number",
    );
}

#[test]
fn the_gold_label_of_many_is_read() {
    let shared = "0\t1\t1e\tfiction\t(b1)\t(b2)\t(p1)\t(p2)\tIt rains.\tIt is wet.";
    let names = "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\t\
                 sentence2_parse\tsentence1\tsentence2";
    let texts = ("It rains.", Some("It is wet."));
    check(
        "mnli",
        Split::Train,
        &format!("{names}\tlabel1\tgold_label\n{shared}\tneutral\tcontradiction\n"),
        &[(texts.0, texts.1, CLASS(2))],
    );
    let five = "label1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label";
    for split in [Split::Validation, Split::ValidationMismatched] {
        let labels = "neutral\tneutral\tneutral\tneutral\tneutral\tentailment";
        check(
            "mnli",
            split,
            &format!("{names}\t{five}\n{shared}\t{labels}\n"),
            &[(texts.0, texts.1, CLASS(0))],
        );
    }
    for split in [Split::Test, Split::TestMismatched] {
        check("mnli", split, &format!("{names}\n{shared}\n"), &[(texts.0, texts.1, None)]);
    }
}

#[test]
fn short_rows_are_left_out_of_qqp_alone() {
    check(
        "qqp",
        Split::Train,
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tWhy?\tHow come?\t1\n4\t5\t6\tcut short\n",
        &[("Why?", Some("How come?"), CLASS(1))],
    );
    check_refused(
        "qqp",
        Split::Test,
        b"id\tquestion1\tquestion2\n0\tWhy?\n",
        "QQP/test.tsv line 2: 2 columns, expected 3 (id, question1, question2)",
    );
    check_refused(
        "rte",
        Split::Train,
        b"index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\n",
        "RTE/train.tsv line 2: 3 columns, expected 4 (index, sentence1, sentence2, label)",
    );
}

#[test]
fn rows_of_a_submission_are_numbered_in_their_order() {
    let refused = |content, sentence| check_refused("cola", Split::Test, content, sentence);
    refused(
        b"index\tsentence\n0\tone\n0\ttwo\n",
        "CoLA/test.tsv line 3: the index is 0, expected 1; a submission numbers the rows in the order of the published file, so restore that order, or fetch the file again",
    );
    refused(
        b"index\tsentence\n1\tone\n0\ttwo\n",
        "CoLA/test.tsv line 2: the index is 1, expected 0; a submission numbers the rows in the order of the published file, so restore that order, or fetch the file again",
    );
    assert_eq!(read("cola", Split::Test, b"index\tsentence\n0\tone\n1\ttwo\n").unwrap().len(), 2);
}

#[test]
fn a_broken_file_is_refused_with_its_line() {
    let cola = |content: &[u8], sentence: &str| {
        check_refused("cola", Split::Train, content, &format!("CoLA/train.tsv {sentence}"));
    };
    cola(
        b"gj04\t1\t\tFine.\ngj04\t1\tshort\n",
        "line 2: 3 columns, expected 4 (source, label, mark, sentence)",
    );
    cola(b"gj04\t2\t\tFine.\n", "line 1: the label `2` is none of 0, 1");
    cola(
        b"gj04\t1\t\tFine.\r\n\r\ngj04\t1.0\t\tFine.\r\n",
        "line 3: the label `1.0` is none of 0, 1; it differs from `1` in number format alone: write it alike",
    );
    cola(b"", "holds no rows");
    cola(
        b"gj04\t1\t\tcaf\xe9\n",
        "line 1: these bytes are not UTF-8, and look like Latin-1 (Windows-1252); save the file as UTF-8",
    );
    let wide: Vec<u8> = "gj04\t1\t\tFine.\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    cola(&wide, "looks like UTF-16; save it as UTF-8");
}

#[test]
fn columns_in_another_order_are_refused() {
    check_refused(
        "rte",
        Split::Train,
        b"index\tsentence2\tsentence1\tlabel\n0\tA.\tB.\tentailment\n",
        "RTE/train.tsv names the columns index, sentence2, sentence1, label; expected index, sentence1, sentence2, label",
    );
    check_refused(
        "sst2",
        Split::Train,
        b"a joy \t1\n",
        "SST-2/train.tsv names the columns a joy , 1; expected sentence, label",
    );
}

#[test]
fn a_missing_file_says_how_to_get_it() {
    let directory = tempfile::tempdir().unwrap();
    let rte = tasks::lookup("rte").unwrap();
    let missing = rte.read(Some(directory.path()), Split::Train).unwrap_err().to_string();
    assert!(
        missing.contains("trainer data fetch rte")
            && missing.contains(&Path::new("RTE").join("train.tsv").display().to_string()),
        "{missing}"
    );
}
