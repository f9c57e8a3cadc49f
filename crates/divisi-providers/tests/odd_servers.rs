//! What happens at addresses behind which no vendor is.

#![allow(clippy::unwrap_used)]

use divisi_core::FailureClass;
use divisi_providers::{Endpoint, OpenAiChat, Provider, ProviderError, Request, Secret};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use std::io::Write;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The failure of a request that a server answers with exactly these bytes.
async fn answered(response: &'static str) -> ProviderError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0; 4_096];
        let _ = connection.read(&mut request).await.unwrap();
        connection.write_all(response.as_bytes()).await.unwrap();
    });
    let endpoint = Endpoint::new("main", url).key(Some(Secret::new("sk-secret")), "MAIN_API_KEY");
    let provider = OpenAiChat::new(endpoint).unwrap();
    provider
        .send(&Request::new("m", "p", 10), &|_| {})
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_web_page_is_no_reply() {
    let error =
        answered("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>")
            .await;
    assert_eq!(error.class, FailureClass::BadRequest);
    assert_eq!(
        error.message,
        "provider `main` answered with text/html instead of a stream of events"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let moved = "HTTP/1.1 308 Permanent Redirect\r\nlocation: https://example.com/\r\ncontent-length: 0\r\n\r\n";
    let error = answered(moved).await;
    assert_eq!(
        (error.class, error.status),
        (FailureClass::BadRequest, Some(308))
    );
    assert!(error.hint.unwrap().contains("redirects"));
}

#[tokio::test]
async fn a_connection_that_closes_without_an_answer_may_have_been_billed() {
    let error = answered("").await;
    assert_eq!(
        (error.class, error.maybe_billed),
        (FailureClass::Network, true)
    );
    assert!(
        error
            .message
            .starts_with("provider `main` closed the connection without an answer: "),
        "{error}"
    );
}

/// A kept connection that is closed just when it is used again: the server has not read the
/// request, so it is not billed.
#[tokio::test]
async fn a_kept_connection_that_is_dead_costs_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0; 4_096];
        let _ = connection.read(&mut request).await.unwrap();
        let reply = r#"{"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}], "object": "chat.completion"}"#;
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            reply.len()
        );
        connection
            .write_all(format!("{head}{reply}").as_bytes())
            .await
            .unwrap();
        let _ = connection.read(&mut request).await.unwrap();
    });
    let provider = OpenAiChat::new(Endpoint::new("main", url)).unwrap();
    let request = Request::new("m", "p", 10);
    assert_eq!(
        provider.send(&request, &|_| {}).await.unwrap().text(),
        "fine"
    );
    let error = provider.send(&request, &|_| {}).await.unwrap_err();
    assert_eq!(
        (error.class, error.maybe_billed),
        (FailureClass::Network, false),
        "{error}"
    );
}

#[tokio::test]
async fn a_key_that_comes_back_is_cut_out() {
    let echo = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 37\r\n\r\nno such key: sk-secret (Bearer sk-sec)";
    let error = answered(echo).await;
    assert_eq!(
        error.message,
        "provider `main` answered 401: no such key: *** (Bearer sk-sec"
    );
}

#[test]
fn an_endpoint_that_cannot_be_one_is_refused_at_once() {
    let refused = |endpoint: Endpoint| {
        OpenAiChat::new(endpoint)
            .err()
            .map(|error| error.to_string())
    };
    assert_eq!(
        refused(Endpoint::new("main", "api.example.com")).as_deref(),
        Some(
            "provider `main` cannot be set up: its address does not begin with http:// or https://"
        )
    );
    let endpoint =
        Endpoint::new("main", "http://localhost").key(Some(Secret::new("a\nb")), "MAIN_API_KEY");
    assert_eq!(
        refused(endpoint).as_deref(),
        Some(
            "provider `main` cannot be set up: the key in MAIN_API_KEY has a line break in it: copy it again"
        )
    );
}

/// `text` in each encoding of a body. Brotli and zstd have a form that stores bytes as they are.
fn encoded(text: &str) -> [(&'static str, Vec<u8>); 4] {
    let len = u32::try_from(text.len()).unwrap();
    assert!((1..=255).contains(&len));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(text.as_bytes()).unwrap();
    let brotli = [
        &((len - 1) << 4 | 1 << 20).to_le_bytes()[..3],
        text.as_bytes(),
        &[3],
    ]
    .concat();
    let block = (len << 3 | 1).to_le_bytes();
    let zstd = [
        &[0x28, 0xb5, 0x2f, 0xfd, 0x20, len.to_le_bytes()[0]],
        &block[..3],
        text.as_bytes(),
    ]
    .concat();
    [
        ("gzip", gzip.finish().unwrap()),
        ("deflate", zlib.finish().unwrap()),
        ("br", brotli),
        ("zstd", zstd),
    ]
}

/// What comes of a compressed body that arrives byte by byte and then stops.
async fn in_bytes(status: &str, encoding: &str, body: Vec<u8>) -> Result<String, ProviderError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-encoding: {encoding}\r\nconnection: close\r\n\r\n");
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        connection.set_nodelay(true).unwrap();
        let _ = connection.read(&mut [0; 4_096]).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        for byte in body {
            let _ = connection.write_all(&[byte]).await;
            tokio::task::yield_now().await;
        }
    });
    let provider = OpenAiChat::new(Endpoint::new("main", url)).unwrap();
    provider
        .send(&Request::new("m", "p", 10), &|_| {})
        .await
        .map(|reply| reply.text())
}

#[tokio::test]
async fn compressed_bodies_are_read_in_any_pieces() {
    let reply = "data: {\"choices\":[{\"delta\":{\"content\":\"fine\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    for (encoding, body) in encoded(reply) {
        let half = body[..body.len() / 2].to_vec();
        assert_eq!(
            in_bytes("200 OK", encoding, body).await.unwrap(),
            "fine",
            "{encoding}"
        );
        let error = in_bytes("200 OK", encoding, half).await.unwrap_err();
        assert_eq!(
            (error.class, error.maybe_billed),
            (FailureClass::Network, true),
            "{encoding}: {error}"
        );
    }
    for (encoding, body) in encoded("{\"error\":{\"message\":\"no such thing\"}}") {
        let error = in_bytes("400 Bad Request", encoding, body)
            .await
            .unwrap_err();
        assert_eq!(error.class, FailureClass::BadRequest, "{encoding}");
        assert!(
            error.message.contains("no such thing"),
            "{encoding}: {error}"
        );
    }
}
