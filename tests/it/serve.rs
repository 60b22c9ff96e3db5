//! `serve --upstream`: the program as a front.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use appforge_testing::wait::eventually;
use appforge_testing::{port, tcp};

fn serve(upstream: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_appforge"));
    command.args(["serve", "--upstream", upstream]).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    command
}

#[test]
fn front_forwards_what_passes_to_the_app_of_the_flag() {
    let app = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = format!("http://{}", app.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in app.incoming() {
            let mut stream = stream.unwrap();
            let mut seen = [0; 4096];
            // A look at its health sends nothing.
            if stream.read(&mut seen).is_ok_and(|count| count > 0) {
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\nthe app");
            }
        }
    });
    let (public, admin) = (port::reserve(), port::reserve());
    let mut command = serve(&upstream);
    command.env("PORT", public.to_string()).env("ADMIN_PORT", admin.to_string()).env("BIND", "127.0.0.1");
    // The flag wins, and nothing of MongoDB is read.
    command.env("UPSTREAM_URL", "http://127.0.0.1:1").env("MONGODB_URI_FILE", "/missing");
    command.env("REDIS_URL", format!("redis://{}", port::closed())).env("RATE_LIMIT_REQUESTS", "2");
    let mut front = command.stderr(Stdio::null()).spawn().unwrap();
    let ready = || {
        let mut check = Command::new(env!("CARGO_BIN_EXE_appforge"));
        check.args(["healthcheck", "--port", &admin.to_string()]).stderr(Stdio::null());
        check.status().unwrap().success()
    };
    eventually("the front is ready", ready);
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answers = [(); 3].map(|()| tcp::exchange(("127.0.0.1", public), request).unwrap());
    assert!(answers[0].starts_with("HTTP/1.1 200 ") && answers[0].ends_with("the app"), "{}", answers[0]);
    assert!(answers[2].starts_with("HTTP/1.1 429 "), "{}", answers[2]);
    front.kill().unwrap();
    front.wait().unwrap();
}

#[test]
fn wrong_url_of_an_app_is_a_problem_of_the_settings() {
    for url in ["https://app:3000", "http://app:3000/path", "127.0.0.1:3000"] {
        let output = serve(url).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{stderr}");
        assert!(stderr.contains("UPSTREAM_URL: expected `http://HOST:PORT`, without a path"), "{stderr}");
    }
}
