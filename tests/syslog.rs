//! Syslog over UDP and TCP into the same store.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};

use crate::harness::Server;

#[test]
fn syslog_arrives_over_both_transports() {
    let dir = tempfile::tempdir().unwrap();
    let environment =
        [("PUGMARK_SYSLOG_UDP", "127.0.0.1:0"), ("PUGMARK_SYSLOG_TCP", "127.0.0.1:0")];
    let server = Server::start_with(&dir.path().join("data"), &[], &environment);
    let listen = server.json("/api/v1/status")["listen"].clone();
    let (udp, tcp) =
        (listen["syslog_udp"].as_str().unwrap(), listen["syslog_tcp"].as_str().unwrap());

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"<34>Nov 23 10:00:00 fw1 su: over udp", udp).unwrap();
    let mut stream = TcpStream::connect(tcp).unwrap();
    let modern = "<165>1 2026-11-23T10:00:00.003Z host2 evntslog - ID47 - octet counted";
    write!(stream, "{} {modern}", modern.len()).unwrap();
    stream.write_all(b"<34>Nov 23 10:00:01 host3 su: by lines\n").unwrap();
    drop(stream);

    server.wait_until("three events", |s| s.search("event.source:syslog").len() == 3);
    for (query, host) in
        [("\"over udp\"", "fw1"), ("\"octet counted\"", "host2"), ("\"by lines\"", "host3")]
    {
        let events = server.search(query);
        assert_eq!(events.len(), 1, "{query}");
        assert_eq!(events[0]["host.name"], host, "{query}");
    }
    assert_eq!(server.json("/api/v1/ledger")["balanced"], true);
}
