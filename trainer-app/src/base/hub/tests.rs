//! Bases from a hub on this machine.

use super::*;
use crate::download::http::test_server::{Fault, TestServer, impatient};
use crate::tiny_base::lay_tiny_base;

/// A hub that has the tiny base as `some/base`, and a cache.
struct Case {
    server: TestServer,
    directory: tempfile::TempDir,
}

const FILES: [&str; 3] = ["config.json", "model.safetensors", "vocab.txt"];

impl Case {
    fn new() -> Self {
        let case = Self { server: TestServer::start(), directory: tempfile::tempdir().unwrap() };
        lay_tiny_base(case.directory.path());
        for file in FILES {
            let bytes = fs::read(case.directory.path().join("base").join(file)).unwrap();
            case.server.put(&path(file), &bytes, "one");
        }
        case
    }

    fn own(&self) -> PathBuf {
        self.directory.path().join("cache/some--base")
    }

    fn fetch(&self, again: bool) -> Result<()> {
        self.hub().fetch("some/base", &self.own(), again)
    }

    fn hub(&self) -> Hub {
        Hub { endpoint: self.server.address.clone(), token: None, downloader: impatient() }
    }

    /// Serves the files of a tokenizer of another class instead of `vocab.txt`.
    fn serve_tokenizer(&self, kind: &str, files: &[&str]) {
        self.server.remove(&path("vocab.txt"));
        let fixtures = Path::new("../glue-data/tests/fixtures/tokenizers").join(kind);
        for file in files {
            self.server.put(&path(file), &fs::read(fixtures.join(file)).unwrap(), "one");
        }
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path().join(directory)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn path(file: &str) -> String {
    format!("/some/base/resolve/main/{file}")
}

#[test]
fn a_base_is_fetched_whole_and_leaves_nothing_beside_it() {
    let case = Case::new();
    case.fetch(false).unwrap();
    assert_eq!(case.names("cache/some--base"), FILES);
    assert_eq!(case.names("cache"), [".some--base.lock", "some--base"]);
}

#[test]
fn a_name_that_is_not_there_leaves_nothing() {
    let case = Case::new();
    case.server.remove(&path("config.json"));
    let error = format!("{:#}", case.fetch(false).unwrap_err());
    assert!(error.contains("could not be downloaded") && error.contains("404"), "{error}");
    case.server.fail(&path("config.json"), [Fault::Status(401, "")]);
    let error = format!("{:#}", case.fetch(false).unwrap_err());
    assert!(error.contains("set HF_TOKEN"), "{error}");
    assert_eq!(case.names(""), ["base"]);
}

/// Before, a cased BERT was lower-cased when the answer for its settings was a 503.
#[test]
fn a_fault_of_the_hub_is_not_an_absent_file() {
    let case = Case::new();
    case.server.put(&path("tokenizer_config.json"), b"{\"do_lower_case\": false}", "one");
    case.server.fail(&path("tokenizer_config.json"), vec![Fault::Status(503, ""); 2]);
    case.fetch(false).unwrap();
    assert!(case.own().join("tokenizer_config.json").exists());

    let case = Case::new();
    case.server.fail(&path("tokenizer_config.json"), vec![Fault::Status(503, ""); 9]);
    let error = format!("{:#}", case.fetch(false).unwrap_err());
    assert!(error.contains("status 503"), "{error}");
    assert!(!case.own().exists());
}

#[test]
fn what_is_no_encoder_is_refused_before_its_weights_are_fetched() {
    let case = Case::new();
    case.server.put(&path("config.json"), b"{\"model_type\": \"gpt2\", \"n_embd\": 8}", "two");
    let error = format!("{:#}", case.fetch(false).unwrap_err());
    assert!(error.contains("some/base is not a supported encoder"), "{error}");
    assert!(case.server.requests(&path("model.safetensors")).is_empty());
}

#[test]
fn a_tokenizer_of_every_kind_is_fetched() {
    let kinds: [(&str, &[&str]); 5] = [
        ("roberta", &["merges.txt", "vocab.json"]),
        ("xlm-roberta", &["sentencepiece.bpe.model"]),
        ("deberta-v3", &["added_tokens.json", "spm.model", "tokenizer_config.json"]),
        ("mpnet", &["tokenizer_config.json", "vocab.txt"]),
        ("modernbert", &["tokenizer.json", "tokenizer_config.json"]),
    ];
    for (kind, files) in kinds {
        let case = Case::new();
        case.serve_tokenizer(kind, files);
        case.fetch(false).unwrap();
        let mut expected = [files, &["config.json", "model.safetensors"]].concat();
        expected.sort_unstable();
        assert_eq!(case.names("cache/some--base"), expected, "{kind}");
        // A second call finds it.
        case.fetch(false).unwrap();
        assert_eq!(case.server.requests(&path("model.safetensors")).len(), 1, "{kind}");
    }
}

#[test]
fn a_base_without_a_tokenizer_is_refused_before_its_weights_are_fetched() {
    let case = Case::new();
    case.serve_tokenizer("roberta", &["vocab.json"]);
    let error = format!("{:#}", case.fetch(false).unwrap_err());
    assert!(error.contains("some/base has no tokenizer that is supported"), "{error}");
    assert!(case.server.requests(&path("model.safetensors")).is_empty());
    // Only a 404 means that a file is not there.
    case.server.fail(&path("merges.txt"), vec![Fault::Status(503, ""); 9]);
    let error = format!("{:#}", case.fetch(false).unwrap_err());
    assert!(error.contains("status 503"), "{error}");
}

#[test]
fn weights_in_shards_are_fetched_by_their_index() {
    let case = Case::new();
    let whole = fs::read(case.directory.path().join("base/model.safetensors")).unwrap();
    case.server.remove(&path("model.safetensors"));
    let index = |shard: &str| {
        format!("{{\"weight_map\": {{\"a\": \"{shard}\", \"b\": \"2.safetensors\"}}}}")
    };
    // The version is the index itself.
    let put = |index: String| {
        case.server.put(&path("model.safetensors.index.json"), index.as_bytes(), &index);
    };
    for shard in ["1.safetensors", "2.safetensors"] {
        case.server.put(&path(shard), &whole, "one");
    }
    for shard in ["../1.safetensors", "config.json"] {
        put(index(shard));
        let error = format!("{:#}", case.fetch(false).unwrap_err());
        assert!(error.contains(shard), "{error}");
    }
    put(index("1.safetensors"));
    case.fetch(false).unwrap();
    let names = ["1.safetensors", "2.safetensors", "config.json", "model.safetensors.index.json"];
    assert_eq!(case.names("cache/some--base")[..4], names);
}

#[test]
fn pickled_weights_in_shards_are_fetched_where_there_are_no_others() {
    let case = Case::new();
    case.server.remove(&path("model.safetensors"));
    let index = r#"{"weight_map": {"a": "1.bin", "b": "2.bin"}}"#;
    case.server.put(&path("pytorch_model.bin.index.json"), index.as_bytes(), "one");
    for shard in ["1.bin", "2.bin"] {
        case.server.put(&path(shard), b"a shard", "one");
    }
    case.fetch(false).unwrap();
    let names = case.names("cache/some--base");
    for file in ["1.bin", "2.bin", "pytorch_model.bin.index.json"] {
        assert!(names.contains(&file.to_owned()), "{file}: {names:?}");
    }
}

#[test]
fn a_short_name_is_that_of_its_repository() {
    let case = Case::new();
    for file in FILES {
        let bytes = fs::read(case.directory.path().join("base").join(file)).unwrap();
        let path = format!("/FacebookAI/roberta-base/resolve/main/{file}");
        case.server.put(&path, &bytes, "one");
    }
    case.hub().fetch("roberta-base", &case.own(), false).unwrap();
    assert_eq!(case.names("cache/some--base"), FILES);
}

#[test]
fn a_fetch_that_broke_off_is_continued_with_the_versions_of_now() {
    let case = Case::new();
    case.server.fail(&path("model.safetensors"), [Fault::Cut(1000), Fault::Status(410, "")]);
    case.fetch(false).unwrap_err();
    assert_eq!(case.names("cache"), [".some--base.lock", ".some--base.part"]);
    // Meanwhile the model changed, vocabulary and weights.
    let weights = fs::read(case.directory.path().join("base/model.safetensors")).unwrap();
    case.server.put(&path("model.safetensors"), &weights, "two");
    case.server.put(&path("vocab.txt"), b"[PAD]\n[UNK]\n", "two");
    case.fetch(false).unwrap();
    assert_eq!(fs::read(case.own().join("model.safetensors")).unwrap(), weights);
    assert_eq!(fs::read(case.own().join("vocab.txt")).unwrap(), b"[PAD]\n[UNK]\n");
    assert_eq!(case.names("cache/some--base"), FILES);
}

#[test]
fn all_files_are_of_the_commit_of_the_first() {
    let case = Case::new();
    for file in FILES {
        let bytes = fs::read(case.directory.path().join("base").join(file)).unwrap();
        case.server.put(&format!("/some/base/resolve/0a1b/{file}"), &bytes, "one");
    }
    let config = fs::read(case.directory.path().join("base/config.json")).unwrap();
    case.server.serve(
        &path("config.json"),
        crate::download::http::test_server::Served {
            bytes: config,
            etag: "one".to_owned(),
            headers: vec![("X-Repo-Commit".to_owned(), "0a1b".to_owned())],
            ..Default::default()
        },
    );
    let weights = "/some/base/resolve/0a1b/model.safetensors";
    case.server.fail(weights, [Fault::Cut(1000), Fault::Status(410, "")]);
    case.fetch(false).unwrap_err();
    case.fetch(false).unwrap();
    assert!(case.server.requests(&path("model.safetensors")).is_empty());
    let last = case.server.requests(weights).pop().unwrap();
    assert!(last.contains("range: bytes=1000-"), "{last}");
}

#[test]
fn two_at_once_fetch_a_base_once() {
    let case = Case::new();
    std::thread::scope(|scope| {
        let fetches = [(); 3].map(|()| scope.spawn(|| case.fetch(false)));
        fetches.into_iter().for_each(|fetch| fetch.join().unwrap().unwrap());
    });
    assert_eq!(case.server.requests(&path("model.safetensors")).len(), 1);
    assert_eq!(case.names("cache/some--base"), FILES);
}

#[test]
fn a_base_is_replaced_only_by_a_whole_one() {
    let case = Case::new();
    case.fetch(false).unwrap();
    fs::write(case.own().join("vocab.txt"), "damaged").unwrap();
    case.server.fail(&path("model.safetensors"), [Fault::Status(403, "")]);
    case.fetch(true).unwrap_err();
    assert_eq!(fs::read(case.own().join("vocab.txt")).unwrap(), b"damaged");
    case.fetch(true).unwrap();
    assert_ne!(fs::read(case.own().join("vocab.txt")).unwrap(), b"damaged");
    assert_eq!(case.names("cache"), [".some--base.lock", "some--base"]);
}

#[test]
fn a_replacement_that_was_interrupted_is_completed() {
    let case = Case::new();
    case.fetch(false).unwrap();
    let old = beside(&case.own(), "old").unwrap();
    // Killed between the two renames: the old base comes back, without the hub.
    fs::rename(case.own(), &old).unwrap();
    recover(&case.own()).unwrap();
    assert_eq!(case.names("cache"), [".some--base.lock", "some--base"]);
    // Killed before the old one was removed.
    fs::create_dir(&old).unwrap();
    recover(&case.own()).unwrap();
    assert_eq!(case.names("cache"), [".some--base.lock", "some--base"]);
}

#[test]
fn files_of_a_pinned_base_are_compared_with_their_hashes() {
    let directory = tempfile::tempdir().unwrap();
    for file in &MINILM_FILES {
        fs::write(directory.path().join(file.name), "{}").unwrap();
    }
    let error = check_pinned("minilm", directory.path()).unwrap_err().to_string();
    assert!(error.contains("config.json has the size 2, expected 612"), "{error}");
    check_pinned("some/base", directory.path()).unwrap();
}
