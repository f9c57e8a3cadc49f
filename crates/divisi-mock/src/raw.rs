//! A server that answers as a test says, byte by byte: what no vendor's API would send.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Starts a server that answers each request with the bytes that `answer` makes of its body;
/// returns its address. It ends with the process.
///
/// # Panics
///
/// Panics if this machine has no free port.
pub fn serve_raw(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for peer in listener.incoming().flatten() {
            let answer = answer.clone();
            // Fails only if the client has gone.
            thread::spawn(move || _ = serve(&peer, &*answer));
        }
    });
    url
}

/// An HTTP response with this status line, such as `200 OK`, after which the connection closes.
pub fn http(status: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

fn serve(mut peer: &TcpStream, answer: &dyn Fn(&str) -> String) -> std::io::Result<()> {
    let mut reader = BufReader::new(peer);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    peer.write_all(answer(&String::from_utf8_lossy(&body)).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_by_its_body() {
        let url = serve_raw(|body| http("200 OK", "text/plain", &body.to_uppercase()));
        let mut peer = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
        let request = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
        peer.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        peer.read_to_string(&mut response).unwrap();
        assert_eq!(response, http("200 OK", "text/plain", "HELLO"));
    }
}
