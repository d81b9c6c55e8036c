//! Clients whose `:authority` is the socket's path: gRPC's own library, and with it Python's.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::harness::{MINUTE, Setup};

const HEADERS: u8 = 1;

/// A literal with this name and value, neither of them in Huffman's code, that goes into the table of headers.
fn field(name: &str, value: &str) -> Vec<u8> {
    let string = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0x40], string(name), string(value)].concat()
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// The kind of the first frame that answers a request with this authority.
fn answer(path: &Path, authority: &str) -> u8 {
    let block = [
        field(":method", "POST"),
        field(":scheme", "http"),
        field(":path", "/SpiffeWorkloadAPI/FetchX509SVID"),
        field(":authority", authority),
        field("content-type", "application/grpc"),
        field("te", "trailers"),
    ];
    let (settings, end) = (frame(4, 0, 0, &[]), 0x4 | 0x1);
    let request = frame(HEADERS, end, 1, &block.concat());
    let mut stream = UnixStream::connect(path).unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    stream.write_all(&[settings, request].concat()).unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length.try_into().unwrap()];
        stream.read_exact(&mut payload).unwrap();
        if head[8] == 1 {
            return head[3];
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_for_an_authority_is_served() {
    let setup = Setup::new(60 * MINUTE);
    let _agent = setup.start();
    for authority in ["localhost", "%2Ftmp%2Fagent.sock", "/tmp/agent.sock"] {
        let path: PathBuf = setup.path("s");
        let answer = tokio::task::spawn_blocking(move || answer(&path, authority));
        assert_eq!(answer.await.unwrap(), HEADERS, "{authority}");
    }
}
