//! On which addresses the stack is published.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use appforge_testing::http;

use crate::stack::Up;

fn answers(address: &str, port: u16) -> bool {
    let address = SocketAddr::new(address.parse().unwrap(), port);
    TcpStream::connect(address).is_ok() && http::exchange(address, "GET /health", "", "").0 == 200
}

/// An address of this machine beside those of the loopback interface.
fn outer() -> Option<IpAddr> {
    // Connecting a datagram socket sends nothing; 192.0.2.0/24 is for documentation.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback())
}

fn publish(up: &Up, service: &str) {
    up.project.write(
        "appforge.yaml",
        &format!("service: {{port: {}, {service}}}\nrate_limit: {{requests: 100000}}\n", up.port),
    );
}

#[test]
fn stack_is_published_on_both_loopback_addresses_and_no_other() {
    let up = Up::new("rate_limit: {requests: 100000}\n");
    up.done(&["up", "--replicas", "2"]);
    for address in ["127.0.0.1", "::1"] {
        assert!((0..20).all(|_| answers(address, up.port)), "{address}");
    }
    if let Some(outer) = outer() {
        assert!(!answers(&outer.to_string(), up.port));
    }
    up.done(&["restart"]);
    assert!(answers("::1", up.port));
    up.done(&["scale", "--replicas", "1"]);
    assert!(answers("::1", up.port) && answers("127.0.0.1", up.port));
}

#[test]
fn address_of_the_service_is_changed_and_given_back() {
    let up = Up::new("");
    up.done(&["up"]);
    publish(&up, "address: 127.0.0.2");
    let plan = up.run(&["diff"]);
    assert!(plan.stdout.contains("service.address: 127.0.0.1 and ::1 -> 127.0.0.2"), "{plan:#?}");
    let status = up.json(&["up"]);
    assert_eq!(status["status"]["url"], format!("http://127.0.0.2:{}", up.port));
    assert!(answers("127.0.0.2", up.port) && !answers("127.0.0.1", up.port) && !answers("::1", up.port));

    publish(&up, "address: 0.0.0.0");
    let status = up.json(&["up"]);
    assert_eq!(status["status"]["url"], format!("http://127.0.0.1:{}", up.port));
    assert!(answers("127.0.0.1", up.port) && answers("127.0.0.2", up.port));
    up.done(&["verify", "--check", "service-health"]);

    // What cannot be opened leaves the stack as it was.
    publish(&up, "address: 192.0.2.1");
    let run = up.run(&["up"]);
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.stderr.contains("error: the address 192.0.2.1 is not on this machine\n"), "{run:#?}");
    assert!(answers("127.0.0.2", up.port));

    publish(&up, "address: null");
    up.done(&["up"]);
    assert!(answers("::1", up.port) && !answers("127.0.0.2", up.port));
}

#[test]
fn port_that_is_taken_on_one_address_is_refused() {
    for address in ["127.0.0.1", "::1"] {
        let up = Up::new("");
        let address: IpAddr = address.parse().unwrap();
        let _taken = TcpListener::bind((address, up.port)).unwrap();
        let run = up.run(&["up"]);
        assert_eq!(run.code, Some(1), "{run:#?}");
        assert!(run.stderr.contains(&format!("port {} is taken by another program", up.port)), "{run:#?}");
    }
    // Another stack of this user has it on ::1 alone.
    let (one, other) = (Up::new(""), Up::new(""));
    publish(&one, "address: '::1'");
    one.done(&["up"]);
    assert_eq!(one.json(&["status"])["url"], format!("http://[::1]:{}", one.port));
    other.project.write("appforge.yaml", &format!("service: {{port: {}}}\n", one.port));
    let run = other.run(&["up"]);
    let folder = one.project.path().canonicalize().unwrap();
    let said = format!("port {} is taken by the stack in `{}`", one.port, folder.display());
    assert!(run.stderr.contains(&said), "{run:#?}");
}
