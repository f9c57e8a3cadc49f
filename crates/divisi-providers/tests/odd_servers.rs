//! What happens at addresses behind which no vendor is.

#![allow(clippy::unwrap_used)]

use divisi_core::FailureClass;
use divisi_providers::{Endpoint, OpenAiChat, Provider, ProviderError, Request, Secret};
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
    provider.send(&Request::new("m", "p", 10), &|_| {}).await.unwrap_err()
}

#[tokio::test]
async fn a_web_page_is_no_reply() {
    let error =
        answered("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>").await;
    assert_eq!(error.class, FailureClass::BadRequest);
    assert_eq!(error.message, "provider `main` answered with text/html instead of a stream of events");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let moved =
        "HTTP/1.1 308 Permanent Redirect\r\nlocation: https://example.com/\r\ncontent-length: 0\r\n\r\n";
    let error = answered(moved).await;
    assert_eq!((error.class, error.status), (FailureClass::BadRequest, Some(308)));
    assert!(error.hint.unwrap().contains("redirects"));
}

#[tokio::test]
async fn a_connection_that_closes_without_an_answer_may_have_been_billed() {
    let error = answered("").await;
    assert_eq!((error.class, error.maybe_billed), (FailureClass::Network, true));
    assert!(
        error.message.starts_with("provider `main` closed the connection without an answer: "),
        "{error}"
    );
}

/// A kept connection that is closed just when it is used again: nothing has read
/// the request, so nobody charges for it.
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
        connection.write_all(format!("{head}{reply}").as_bytes()).await.unwrap();
        let _ = connection.read(&mut request).await.unwrap();
    });
    let provider = OpenAiChat::new(Endpoint::new("main", url)).unwrap();
    let request = Request::new("m", "p", 10);
    assert_eq!(provider.send(&request, &|_| {}).await.unwrap().text(), "fine");
    let error = provider.send(&request, &|_| {}).await.unwrap_err();
    assert_eq!((error.class, error.maybe_billed), (FailureClass::Network, false), "{error}");
}

#[tokio::test]
async fn a_key_that_comes_back_is_cut_out() {
    let echo =
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: 37\r\n\r\nno such key: sk-secret (Bearer sk-sec)";
    let error = answered(echo).await;
    assert_eq!(error.message, "provider `main` answered 401: no such key: *** (Bearer sk-sec");
}

#[test]
fn an_endpoint_that_cannot_be_one_is_refused_at_once() {
    let refused = |endpoint: Endpoint| OpenAiChat::new(endpoint).err().map(|error| error.to_string());
    assert_eq!(
        refused(Endpoint::new("main", "api.example.com")).as_deref(),
        Some("provider `main` cannot be set up: its address is wrong: relative URL without a base")
    );
    let endpoint = Endpoint::new("main", "http://localhost").key(Some(Secret::new("a\nb")), "MAIN_API_KEY");
    assert_eq!(
        refused(endpoint).as_deref(),
        Some(
            "provider `main` cannot be set up: the key in MAIN_API_KEY has a line break in it: copy it again"
        )
    );
}
