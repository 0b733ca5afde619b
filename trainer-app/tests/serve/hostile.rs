//! Clients that are slow, broken, or hostile, beside one that is not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use burn_adapters::Method;
use serde_json::json;

use super::desk::{Desk, Server};

const HEAD: &str = "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";

fn desk() -> Desk {
    let desk = Desk::new();
    desk.add("one", Method::Houlsby, 2);
    desk
}

fn post(body: &[u8]) -> Vec<u8> {
    let mut request = format!("{HEAD}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    request.extend_from_slice(body);
    request
}

fn text(text: &str) -> Vec<u8> {
    json!({ "inputs": [{ "task": "one", "text": text }] }).to_string().into_bytes()
}

/// Whether the server still answers.
fn check_answers(server: &Server) {
    assert_eq!(server.get("/healthz").0, 200);
    assert_eq!(server.predicts(&json!([{ "task": "one", "text": "a" }])).len(), 1);
}

/// Reads until the server closes the connection; what it sends before is the result.
fn read_to_end(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection that is reset is closed, too.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

/// The peak of a process's memory, in bytes.
#[cfg(target_os = "linux")]
fn peak(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn bodies_that_cannot_be_read_are_refused() {
    let desk = desk();
    let server = desk.serve("");
    let deep = [b"{\"inputs\": ".to_vec(), vec![b'['; 100_000]].concat();
    let deep_value = [br#"{"inputs": [{"task": "one", "text": "#.to_vec(), vec![b'['; 900_000]];
    for body in [
        deep,
        deep_value.concat(),
        br#"{"inputs": [{"task": "one", "text": "\ud800"}]}"#.to_vec(),
        br#"{"inputs": [{"task": "one", "text": "\udc00\ud800"}]}"#.to_vec(),
        b"{\"inputs\": [{\"task\": \"one\", \"text\": \"\xff\xfe\"}]}".to_vec(),
        br#"{"inputs": [{"task": "one", "task": "one", "text": "a"}]}"#.to_vec(),
        br#"{"inputs": [], "inputs": []}"#.to_vec(),
        br#"{"inputs": [{"task": "one", "text": 1e999}]}"#.to_vec(),
        b"{\"inputs\": [{\"task\": \"one\", \"text\": \"a\nb\"}]}".to_vec(),
        vec![0; 1000],
        Vec::new(),
    ] {
        let answer = server.answer(&post(&body));
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.contains("the body is not"), "{answer}");
        assert!(answer.len() < 1000, "{} bytes", answer.len());
    }
    let answer = server.answer(&post(&text("a\0")));
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("NUL"), "{answer}");
    // As in `predict`, there is no label for these.
    for blank in ["", " \n", "\u{200b}"] {
        let answer = server.answer(&post(&text(blank)));
        assert!(
            answer.contains(
                r#"{"predictions":[{"task":"one","kind":"classification","label":null}]}"#
            ),
            "{answer}"
        );
    }
    // These are texts.
    for good in ["\u{202e}\u{0301}", "🙂", &"a".repeat(65_536), &". ".repeat(32_000)] {
        let answer = server.answer(&post(&text(good)));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let answer = server.answer(&post(&text(&"a".repeat(65_537))));
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("text 0 has 65537 bytes, expected at most 65536"), "{answer}");
    let name = json!({ "inputs": [{ "task": "x".repeat(1_000_000), "text": "a" }] });
    let answer = server.answer(&post(name.to_string().as_bytes()));
    assert!(answer.starts_with("HTTP/1.1 404") && answer.len() < 1000, "{} bytes", answer.len());
    check_answers(&server);
}

#[test]
fn heads_that_cannot_be_read_are_refused() {
    let desk = desk();
    let server = desk.serve("");
    let start = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    for more in [format!("X-Long: {}\r\n", "a".repeat(1 << 20)), "X-Many: a\r\n".repeat(5_000)] {
        let answer = server.answer(format!("{start}{more}\r\n").as_bytes());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    for wrong in [
        "\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\r\n\r\n \r\n\r\n",
    ] {
        let answer = server.answer(wrong.as_bytes());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let both = format!(
        "{HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    );
    let answer = server.answer(both.as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    check_answers(&server);
}

#[test]
fn requests_that_are_valid_only_in_part_are_refused() {
    let desk = desk();
    let server = desk.serve("--token secret");
    let body = text("a");
    let send = |headers: &str, length: &str| {
        let mut request = format!("{HEAD}{headers}Content-Length: {length}\r\n\r\n").into_bytes();
        request.extend_from_slice(&body);
        let stream = server.send(&request);
        // The client closes its side, as `nc -N` does.
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        read_to_end(stream)
    };
    let (token, length) = ("Authorization: bearer secret\r\n", body.len().to_string());
    for (headers, length, status) in [
        ("", &*length, 200),
        ("Content-Encoding: identity\r\n", &*length, 200),
        ("Content-Encoding: gzip\r\n", &*length, 415),
        ("Transfer-Encoding: gzip, chunked\r\n", &*length, 501),
        ("Host: evil.example\r\n", &*length, 400),
        ("", "10000000000000000000", 413),
    ] {
        let answer = send(&format!("{token}{headers}"), length);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{headers}: {answer}");
    }
    for wrong in ["Authorization: Bearer other\r\n", "Authorization: secret\r\n", ""] {
        assert!(send(wrong, &length).starts_with("HTTP/1.1 401"), "{wrong}");
    }
    for wrong in ["--token=", "--allow-host=", "--allow-host http://x"] {
        let error = desk.refuses(&format!("serve --bank tasks.bank {wrong}"));
        assert!(error.contains("expected"), "{error}");
    }
}

#[test]
fn a_body_of_100_megabytes_is_refused_and_not_kept() {
    let desk = desk();
    let server = desk.serve("");
    for encoding in ["Content-Length: 100000000", "Transfer-Encoding: chunked"] {
        let mut stream = server.send(format!("{HEAD}{encoding}\r\n\r\n").as_bytes());
        let is_chunked = encoding.contains("chunked");
        let piece = vec![b' '; 1_000_000];
        for _ in 0..100 {
            if is_chunked {
                stream.write_all(b"f4240\r\n").unwrap();
            }
            stream.write_all(&piece).unwrap();
            if is_chunked {
                stream.write_all(b"\r\n").unwrap();
            }
        }
        if is_chunked {
            stream.write_all(b"0\r\n\r\n").unwrap();
        }
        let answer = read_to_end(stream);
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(answer.contains("longer than 1048576 bytes"), "{answer}");
    }
    #[cfg(target_os = "linux")]
    assert!(peak(&server) < 200 << 20, "{} bytes", peak(&server));
    check_answers(&server);
}

/// Before, 40 texts of a million dots took 8 GB.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_follow_what_is_sent() {
    let desk = desk();
    let server = desk.serve("");
    check_answers(&server);
    let before = peak(&server);
    let million = post(&text(&".".repeat(1_000_000)));
    let inputs = vec![json!({ "task": "one", "text": ".".repeat(65_000) }); 15];
    let longest = post(json!({ "inputs": inputs }).to_string().as_bytes());
    std::thread::scope(|scope| {
        for number in 0..40 {
            let (server, million, longest) = (&server, &million, &longest);
            scope.spawn(move || {
                let answer = server.answer(million);
                assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
                if number % 20 == 0 {
                    let answer = server.answer(longest);
                    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                }
            });
        }
    });
    let grown = peak(&server) - before;
    assert!(grown < 400 << 20, "{} MiB more", grown >> 20);
    check_answers(&server);
}

#[test]
fn clients_that_stop_in_the_middle_are_closed() {
    let desk = desk();
    let server = desk.serve("--timeout 1");
    let idle = server.send(b"");
    let half_head = server.send(b"POST /v1/predict HTTP/1.1\r\nHo");
    let half_body = server.send(format!("{HEAD}Content-Length: 50\r\n\r\n{{").as_bytes());
    let kept = server.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(read_to_end(idle), "");
    assert_eq!(read_to_end(half_head), "");
    let answer = read_to_end(half_body);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("did not arrive within 1 seconds"), "{answer}");
    assert!(read_to_end(kept).ends_with("ok\n"));
    check_answers(&server);
}

#[test]
fn idle_connections_make_room_for_new_ones() {
    let desk = desk();
    let server = desk.serve("--connections 8 --timeout 600");
    let idle: Vec<TcpStream> =
        (0..40).map(|_| server.send(b"POST /v1/predict HTTP/1.1\r\nHo")).collect();
    check_answers(&server);
    // The first of them were idle for longest.
    idle.into_iter().take(20).for_each(|stream| assert_eq!(read_to_end(stream), ""));
    assert!(server.written().contains("there are 8 connections; idle ones are closed"));
}

/// Runs out of file descriptors: before, there were no answers until idle clients went away.
#[cfg(target_os = "linux")]
#[test]
fn few_file_descriptors_are_enough() {
    let desk = desk();
    let mut command = Command::new("sh");
    command.current_dir(desk.path("")).args([
        "-c",
        "ulimit -n 64; exec \"$0\" serve --bank tasks.bank --device cpu --listen 127.0.0.1:0 --timeout 600",
        env!("CARGO_BIN_EXE_trainer"),
    ]);
    let server = Server::start(command);
    let idle: Vec<TcpStream> = (0..200).map(|_| server.send(b"G")).collect();
    check_answers(&server);
    drop(idle);
    check_answers(&server);
}

#[cfg(unix)]
#[test]
fn idle_clients_do_not_hold_the_end() {
    let desk = desk();
    let mut server = desk.serve("--timeout 600");
    let clients = [
        server.send(b""),
        server.send(b"POST /v1/predict HTTP/1.1\r\nHo"),
        server.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ];
    check_answers(&server);
    let start = Instant::now();
    let kill =
        Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert!(server.child.wait().unwrap().success());
    // Far from the minute that it once took, and far above what a busy machine needs.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    drop(clients);
}

#[test]
fn other_sites_are_refused() {
    let desk = desk();
    let server = desk.serve("--allow-host models.example");
    let port = server.address.rsplit(':').next().unwrap().to_owned();
    let get = |headers: &str| {
        server.answer(
            format!("GET /v1/tasks HTTP/1.1\r\nConnection: close\r\n{headers}\r\n").as_bytes(),
        )
    };
    let own = format!("Host: localhost:{port}\r\n");
    for good in [
        own.clone(),
        format!("Host: 127.0.0.1:{port}\r\n"),
        "Host: models.example\r\nOrigin: https://models.example\r\n".to_owned(),
        format!("{own}Origin: http://localhost:{port}\r\n"),
    ] {
        assert!(get(&good).starts_with("HTTP/1.1 200"), "{good}");
    }
    for bad in [
        "Host: evil.example\r\n".to_owned(),
        String::new(),
        format!("{own}Origin: https://evil.example\r\n"),
        format!("{own}Origin: null\r\n"),
    ] {
        let answer = get(&bad);
        assert!(answer.starts_with("HTTP/1.1 403"), "{bad}: {answer}");
        assert!(!answer.contains("\"tasks\""), "{answer}");
    }
    assert!(get("Host: evil.example\r\n").contains("--allow-host evil.example"));
}

#[test]
fn a_name_can_be_listened_at() {
    let desk = desk();
    let server = desk.serve_at("localhost:0", "");
    check_answers(&server);
    let error = desk.refuses("serve --bank tasks.bank --listen nowhere.invalid:80");
    assert!(error.contains("expected an address or name with a port"), "{error}");
    let error = desk.refuses("serve --bank tasks.bank --listen 8080");
    assert!(error.contains("expected an address or name with a port"), "{error}");
}

#[test]
fn a_bank_that_becomes_unreadable_does_not_take_down_what_is_in_memory() {
    let desk = desk();
    let server = desk.serve("");
    let (bank, good) = (desk.path("tasks.bank"), desk.path("good.bank"));
    std::fs::copy(&bank, &good).unwrap();
    for damage in 0..4 {
        match damage {
            // The slot of the last change: without it, the bank is as it was before the task was added.
            3 => {
                let mut bytes = std::fs::read(&good).unwrap();
                let generation = |slot: &usize| {
                    u64::from_le_bytes(bytes[64 * slot + 16..64 * slot + 24].try_into().unwrap())
                };
                let last = (0..2).max_by_key(generation).unwrap();
                bytes[64 * last + 60] ^= 1;
                std::fs::write(desk.path("damaged.bank"), bytes).unwrap();
                std::fs::rename(desk.path("damaged.bank"), &bank).unwrap();
            }
            0 => std::fs::write(&bank, vec![7; 100_000]).unwrap(),
            1 => std::fs::remove_file(&bank).unwrap(),
            // A bank of another base.
            _ => {
                let other = desk.path("other.bank");
                let base = burn_adapters::file::native::BaseIdentity::new("other", "0".repeat(64));
                burn_adapters::file::bank::Bank::create(&other, base, 1).unwrap();
                std::fs::rename(other, &bank).unwrap();
            }
        }
        for _ in 0..3 {
            check_answers(&server);
        }
        let (_, health) = server.get("/healthz");
        assert!(health.starts_with("degraded: the bank cannot be read"), "{health}");
        assert!(server.count("trainer_degraded") > 0.5);
        let aside = desk.path("aside.bank");
        std::fs::copy(&good, &aside).unwrap();
        std::fs::rename(&aside, &bank).unwrap();
        assert_eq!(server.get("/healthz"), (200, "ok\n".to_owned()));
    }
    let written = server.written();
    assert_eq!(written.matches("the bank cannot be read; the tasks").count(), 4, "{written}");
    assert!(written.contains(" GMT: "), "{written}");
}
