//! `trainer bank` and `trainer serve` as they are used: over the command line and a real socket, on a tiny BERT.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod desk;
mod hostile;
#[path = "../tiny_adapter/mod.rs"]
mod tiny_adapter;
#[path = "../tiny_base/mod.rs"]
mod tiny_base;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use burn_adapters::Method;
use serde_json::{Value, json};

use desk::{Desk, Server};

fn check_same(served: &Value, predicted: &Value) {
    if let Some(score) = predicted["score"].as_f64() {
        assert!((served["score"].as_f64().unwrap() - score).abs() < 1e-4);
        return;
    }
    for (label, share) in predicted["probabilities"].as_object().unwrap() {
        let found = served["probabilities"][label].as_f64().unwrap();
        assert!((found - share.as_f64().unwrap()).abs() < 1e-5, "{served} {predicted}");
    }
}

#[test]
fn a_bank_is_made_listed_verified_and_emptied() {
    let desk = Desk::new();
    let files = [desk.write("one", Method::Houlsby, 2), desk.write("two", Method::Lora, 3)];
    let shown = desk.says(&format!("bank add tasks.bank {}", files.join(" ")));
    assert_eq!(shown.lines().count(), 2);
    assert!(shown.contains("% of base"), "{shown}");
    let listed = desk.says("bank list tasks.bank --json");
    let listed: Vec<Value> =
        listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(listed[0]["task"], "one");
    assert_eq!(listed[1]["bytes"], std::fs::metadata(desk.path("two.safetensors")).unwrap().len());
    assert!(desk.says("bank list tasks.bank").contains("2 tasks on"));
    assert_eq!(desk.says("bank verify tasks.bank --device cpu").matches(" ok\n").count(), 2);

    desk.says(&format!("bank add tasks.bank {} --name again", files[0]));
    assert!(
        desk.refuses(&format!("bank add tasks.bank {}", files[0]))
            .contains("has a task `one` already")
    );
    desk.says("bank remove tasks.bank one again");
    assert!(desk.refuses("bank remove tasks.bank one").contains("it has two"));
    let bytes = || std::fs::metadata(desk.path("tasks.bank")).unwrap().len();
    let before = bytes();
    let freed = desk.says("bank compact tasks.bank");
    assert_eq!(freed, format!("{} bytes freed\n", before - bytes()));

    // A damaged weight is found, and named.
    let mut bytes = std::fs::read(desk.path("tasks.bank")).unwrap();
    let weights = std::fs::read(desk.path("two.safetensors")).unwrap();
    let at = bytes.windows(weights.len()).position(|window| window == weights).unwrap();
    bytes[at + weights.len() - 30] ^= 0x55;
    std::fs::write(desk.path("tasks.bank"), bytes).unwrap();
    let error = desk.refuses("bank verify tasks.bank --device cpu");
    assert!(error.contains("1 of 1 tasks in tasks.bank are damaged"), "{error}");
}

#[test]
fn one_request_mixes_one_label_several_labels_and_scores() {
    let desk = Desk::new();
    desk.add("one", Method::Houlsby, 2);
    desk.add("score", Method::Lora, 1);
    desk.add_sets("sets", Method::Pfeiffer);
    let text = desk.words[3].clone();
    let server = desk.serve("");
    let inputs: Vec<Value> = ["one", "sets", "score"]
        .map(|task| json!({ "task": task, "text": text }))
        .into_iter()
        .chain([json!({ "task": "sets", "text": " " })])
        .collect();
    let served = server.predicts(&json!(inputs));
    let kinds: Vec<&Value> = served.iter().map(|prediction| &prediction["kind"]).collect();
    assert_eq!(kinds, ["classification", "multi-label", "regression", "multi-label"]);
    for (task, served) in ["one", "sets", "score"].into_iter().zip(&served) {
        let predicted = desk.predicts(task, &text);
        check_same(served, &predicted);
        assert_eq!(served["labels"], predicted["labels"]);
    }
    assert!(served[1]["labels"].is_array() && served[3]["labels"].is_null(), "{served:?}");
}

#[test]
fn a_program_that_is_killed_while_it_adds_leaves_a_bank() {
    let desk = Desk::new();
    desk.add("one", Method::Houlsby, 2);
    let file = desk.write("two", Method::Houlsby, 3);
    let mut added = 0;
    for round in 0..6_u64 {
        let mut child = desk
            .command(&format!("bank add tasks.bank {file} --name two-{round}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Each round a little later; `kill` is SIGKILL.
        for _ in 0..round * 40 {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let listed = desk.says("bank list tasks.bank --json");
        assert!(listed.lines().next().unwrap().contains("\"one\""), "{listed}");
        assert!(listed.lines().count() > added);
        added = listed.lines().count() - 1;
    }
    desk.says(&format!("bank add tasks.bank {file}"));
    assert_eq!(
        desk.says("bank verify tasks.bank --device cpu").matches(" ok\n").count(),
        added + 2
    );
}

#[test]
fn mixed_tasks_answer_as_predict_does() {
    let desk = Desk::new();
    desk.add("serial", Method::Houlsby, 2);
    desk.add("low-rank", Method::Lora, 3);
    desk.add("score", Method::Pfeiffer, 1);
    // This one does not mix, and is run in batches of its own.
    desk.add("prefix", Method::PrefixFlat, 4);
    let server = desk.serve("");
    let text = |number: usize| format!("{} {}", desk.words[number], desk.words[number + 5]);
    let tasks = ["serial", "score", "prefix", "low-rank", "serial"];
    let inputs: Vec<Value> = tasks
        .iter()
        .enumerate()
        .map(|(number, task)| json!({ "task": task, "text": text(number) }))
        .collect();
    let answered = server.predicts(&json!(inputs));
    for (number, task) in tasks.iter().enumerate() {
        assert_eq!(answered[number]["task"], *task);
        check_same(&answered[number], &desk.predicts(task, &text(number)));
    }
    let (status, listed) = server.get("/v1/tasks");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((status, listed["tasks"].as_array().unwrap().len()), (200, 4));
    assert_eq!(server.get("/healthz"), (200, "ok\n".to_owned()));
    let (_, page) = server.get("/");
    assert!(
        page.contains("<title>") && !page.contains("https://"),
        "the page needs nothing from elsewhere"
    );
    // Three of the four tasks share a batch.
    assert!(server.count("trainer_batched_texts_total") >= 5.0);
    assert!(server.count("trainer_batches_total") <= 3.0);
}

/// A long text of words is several rows, which share batches with texts of other kinds.
#[test]
fn one_request_mixes_texts_words_and_scores() {
    let desk = Desk::new();
    desk.add("classes", Method::Houlsby, 3);
    desk.add("score", Method::Lora, 1);
    desk.add_tagger("names", Method::Pfeiffer);
    // This one does not mix.
    desk.add_tagger("alone", Method::PrefixFlat);
    let server = desk.serve("--queue 30");
    let long = desk.words.iter().take(40).cloned().collect::<Vec<_>>().join("  ");
    let tasks = [
        ("names", long.as_str(), "token-classification"),
        ("classes", "a", "classification"),
        ("names", "", "token-classification"),
        ("score", &desk.words[3], "regression"),
        ("alone", &long, "token-classification"),
    ];
    let inputs = tasks.iter().map(|(task, text, _)| json!({ "task": task, "text": text }));
    let answered = server.predicts(&json!(inputs.collect::<Vec<_>>()));
    for (answer, (task, text, kind)) in answered.iter().zip(tasks) {
        assert_eq!((&answer["task"], &answer["kind"]), (&json!(task), &json!(kind)));
        if text.is_empty() {
            assert_eq!(answer["entities"], json!([]));
            continue;
        }
        let predicted = desk.predicts(task, text);
        if kind != "token-classification" {
            check_same(answer, &predicted);
            continue;
        }
        let expected = predicted["entities"].as_array().unwrap();
        assert_eq!(answer["entities"].as_array().unwrap().len(), expected.len());
        assert!(!expected.is_empty(), "a fresh head finds something in 40 words");
        for (found, expected) in answer["entities"].as_array().unwrap().iter().zip(expected) {
            for key in ["start", "end", "label", "text"] {
                assert_eq!(found[key], expected[key], "{task}");
            }
            let share = |entity: &Value| entity["probability"].as_f64().unwrap();
            assert!((share(found) - share(expected)).abs() < 1e-5, "{found} {expected}");
        }
    }
    let (_, listed) = server.get("/v1/tasks");
    assert!(listed.contains("\"kind\":\"token-classification\""), "{listed}");

    // A window counts as a text of the queue.
    let many = desk.words.iter().cycle().take(2_000).cloned().collect::<Vec<_>>().join(" ");
    let (status, answer) =
        server.post(&json!({ "inputs": [{ "task": "names", "text": many }] }).to_string());
    let sentence = answer["error"].as_str().unwrap();
    assert!(status == 413 && sentence.contains("windows of long texts"), "{status}: {sentence}");
}

#[test]
fn requests_at_the_same_time_share_batches() {
    let desk = Desk::new();
    desk.add("one", Method::Houlsby, 2);
    desk.add("two", Method::Parallel, 3);
    let server = desk.serve("");
    let body = |task: &str| json!([{ "task": task, "text": desk.words[3] }]);
    let rounds = 40;
    // Each thread asks again when it has its answer, so that two requests are under way most of the time.
    std::thread::scope(|scope| {
        for task in ["one", "two"] {
            let (server, body) = (&server, body(task));
            scope.spawn(move || (0..rounds).for_each(|_| drop(server.predicts(&body))));
        }
    });
    let (batches, texts) =
        (server.count("trainer_batches_total"), server.count("trainer_batched_texts_total"));
    assert!((texts - f64::from(2 * rounds)).abs() < 0.5);
    assert!(batches < texts, "{batches} batches for {texts} texts");
}

#[test]
fn what_cannot_be_answered_is_a_sentence() {
    let desk = Desk::new();
    desk.add("one", Method::Houlsby, 2);
    let server = desk.serve("");
    let refused = |body: &str, expected: u16, part: &str| {
        let (status, answer) = server.post(body);
        let sentence = answer["error"].as_str().unwrap();
        assert!(status == expected && sentence.contains(part), "{status}: {sentence}");
    };
    refused(
        r#"{"inputs": [{"task": "none", "text": "a"}]}"#,
        404,
        "there is no task `none`; the tasks are one",
    );
    refused("{", 400, "the body is not");
    refused(r#"{"inputs": [{"task": "one"}]}"#, 400, "missing field `text`");
    refused(
        r#"{"inputs": [{"task": "one", "text": "a", "txet2": "b"}]}"#,
        400,
        "unknown field `txet2`",
    );
    let many = vec![json!({ "task": "one", "text": "a" }); 257];
    refused(
        &json!({ "inputs": many }).to_string(),
        413,
        "the request has 257 texts, expected at most 256",
    );
    let long = json!({ "inputs": [{ "task": "one", "text": "a ".repeat(600_000) }] });
    refused(&long.to_string(), 413, "longer than 1048576 bytes");
    assert_eq!(server.get("/v2").0, 404);
    assert_eq!(server.get("/v1/predict").0, 405);
    // And it goes on.
    assert_eq!(server.predicts(&json!([{ "task": "one", "text": "a" }])).len(), 1);
    assert_eq!(server.predicts(&json!([])).len(), 0);
}

#[test]
fn more_texts_than_may_wait_are_refused_for_good() {
    let desk = Desk::new();
    desk.add("one", Method::Houlsby, 2);
    let server = desk.serve("--queue 3");
    let inputs = |count| json!({ "inputs": vec![json!({ "task": "one", "text": "a" }); count] });
    let (status, answer) = server.post(&inputs(4).to_string());
    assert_eq!(status, 413);
    let sentence = answer["error"].as_str().unwrap();
    assert!(
        sentence
            .contains("the request has 4 texts or windows of long texts, more than the queue of 3"),
        "{sentence}"
    );
    assert_eq!(server.post(&inputs(3).to_string()).0, 200);
    let error = desk.refuses("serve --bank tasks.bank --queue 0");
    assert!(error.contains("--queue"), "{error}");
}

/// As load generators ask that keep their connections in HTTP 1.0's way.
#[test]
fn a_connection_in_the_old_way_is_kept() {
    let desk = Desk::new();
    let server = desk.serve("");
    let mut stream = TcpStream::connect(&server.address).unwrap();
    for _ in 0..3 {
        write!(stream, "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap();
        let mut answer = String::new();
        while !answer.ends_with("ok\n") {
            let mut some = [0; 512];
            let read = stream.read(&mut some).unwrap();
            assert!(read > 0, "the connection was closed after {answer}");
            answer.push_str(std::str::from_utf8(&some[..read]).unwrap());
        }
    }
}

#[test]
fn other_machines_need_a_token() {
    let desk = Desk::new();
    desk.add("one", Method::Houlsby, 2);
    let error = desk.refuses("serve --bank tasks.bank --device cpu --listen 0.0.0.0:0");
    assert!(
        error.contains("0.0.0.0:0 can be reached from other machines; set a --token"),
        "{error}"
    );
    let server = desk.serve("--token secret");
    assert_eq!(server.get("/v1/tasks").0, 401);
    assert_eq!(server.get("/healthz").0, 200);
    let url = format!("http://{}/v1/tasks", server.address);
    for (token, status) in [("secret", 200), ("secreT", 401)] {
        let request = Server::agent().get(&url).header("Authorization", format!("Bearer {token}"));
        assert_eq!(request.call().unwrap().status().as_u16(), status);
    }
}

#[test]
fn a_task_that_is_added_is_served_and_one_that_is_removed_is_not() {
    let desk = Desk::new();
    desk.add("one", Method::Houlsby, 2);
    let server = desk.serve("");
    let two = json!([{ "task": "two", "text": "a" }, { "task": "one", "text": "a" }]);
    assert_eq!(server.post(&json!({ "inputs": two }).to_string()).0, 404);
    desk.add("two", Method::Lora, 3);
    let answered = server.predicts(&two);
    check_same(&answered[0], &desk.predicts("two", "a"));
    check_same(&answered[1], &desk.predicts("one", "a"));
    desk.says("bank remove tasks.bank two");
    assert_eq!(server.post(&json!({ "inputs": two }).to_string()).0, 404);
}

#[cfg(unix)]
#[test]
fn who_asked_before_the_end_is_answered() {
    let desk = Desk::new();
    desk.add("one", Method::Houlsby, 2);
    let mut server = desk.serve("");
    let body =
        json!({ "inputs": vec![json!({ "task": "one", "text": "a b c" }); 200] }).to_string();
    let mut stream = TcpStream::connect(&server.address).unwrap();
    // The head and a part of the body are there when the signal comes; the rest comes after it.
    write!(stream, "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len()).unwrap();
    stream.write_all(&body.as_bytes()[..100]).unwrap();
    stream.flush().unwrap();
    // An answer to somebody else, so that the thread of the first has its request by now.
    while server.get("/healthz").0 != 200 {}
    let kill =
        Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    stream.write_all(&body.as_bytes()[100..]).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(answer.matches("\"label\"").count(), 200);
    assert!(server.child.wait().unwrap().success());
    assert!(TcpStream::connect(&server.address).is_err());
}
