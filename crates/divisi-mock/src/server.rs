//! The mock as an HTTP server on the loopback interface.

use crate::anthropic::{Anthropic, Messages, count_tokens};
use crate::config::Config;
use crate::dialect::Dialect;
use crate::encryption::Encryption;
use crate::exchange::{self, REQUEST_BYTES_MAX, authenticate, failure_response};
use crate::fault::Failure;
use crate::kept::Received;
use crate::models;
use crate::openai_chat::Chat;
use crate::openai_responses::Responses;
use crate::session::Memory;
use crate::stats::Stats;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A running mock. Dropping it closes its port and its connections.
pub struct Mock {
    address: SocketAddr,
    memory: Arc<Memory>,
    encryption: Option<Arc<Encryption>>,
    task: JoinHandle<()>,
}

impl Mock {
    /// Starts a mock on a free port, within the caller's tokio runtime.
    ///
    /// # Panics
    ///
    /// If the loopback interface has no free port.
    pub async fn start(config: Config) -> Self {
        Self::bind(0, config)
            .await
            .expect("the loopback interface has a free port")
    }

    /// Starts a mock on `port`; zero takes a free one.
    pub async fn bind(port: u16, config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let encryption = if config.encrypted {
            Some(Arc::new(Encryption::new()?))
        } else {
            None
        };
        let memory = Arc::new(Memory::new(config));
        let task = tokio::spawn(accept(
            listener,
            router(Arc::clone(&memory)),
            encryption.clone(),
        ));
        Ok(Self {
            address,
            memory,
            encryption,
            task,
        })
    }

    /// The HTTPS address; `None` if it is not encrypted.
    pub fn encrypted_url(&self) -> Option<String> {
        self.encryption
            .as_ref()
            .map(|_| format!("https://{}", self.address))
    }

    /// The certificate that clients must trust, in PEM.
    pub fn certificate(&self) -> Option<&str> {
        self.encryption
            .as_ref()
            .map(|encryption| encryption.certificate())
    }

    /// The address without a path: `http://127.0.0.1:40000`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The counters since the start or the last reset.
    pub fn stats(&self) -> Stats {
        self.memory.session().stats()
    }

    /// The last requests, oldest first.
    pub fn requests(&self) -> Vec<Received> {
        self.memory.session().requests()
    }

    /// Drops everything but the configuration. Requests in flight no longer count.
    pub fn reset(&self) {
        self.memory.reset();
    }

    /// Opens the quota for good, or closes it at once.
    pub fn set_quota(&self, open: bool) {
        self.memory.session().set_quota(open);
    }

    /// Keeps serving; the returned future ends only with its runtime.
    pub async fn serve(mut self) {
        // The task does not end by itself; if it panics, that was printed.
        (&mut self.task).await.ok();
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn router(memory: Arc<Memory>) -> Router {
    Router::new()
        .route(Messages::ENDPOINT, post(exchange::serve::<Messages>))
        .route("/v1/messages/count_tokens", post(count))
        .route(Chat::ENDPOINT, post(exchange::serve::<Chat>))
        .route(Responses::ENDPOINT, post(exchange::serve::<Responses>))
        .route("/v1/models", get(list_models))
        .route("/stats", get(stats))
        .route("/requests", get(requests))
        .route("/reset", post(reset))
        .route("/control/quota", post(quota))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(memory)
}

/// Serves every connection in a task of one set, so that dropping the set ends them all.
async fn accept(listener: TcpListener, router: Router, encryption: Option<Arc<Encryption>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                // Without it small events wait for one another; if it cannot be set, they are only
                // late.
                stream.set_nodelay(true).ok();
                connections.spawn(serve(stream, router.clone(), encryption.clone()));
            }
            Some(_) = connections.join_next() => {}
            else => tokio::task::yield_now().await,
        }
    }
}

/// Serves one connection; an error of the client ends it.
async fn serve(stream: TcpStream, router: Router, encryption: Option<Arc<Encryption>>) {
    /// The first byte of a client that wants TLS.
    const HANDSHAKE: u8 = 0x16;
    let service = TowerToHyperService::new(router);
    let mut first = [0];
    let served = match encryption {
        Some(encryption) if stream.peek(&mut first).await.is_ok() && first == [HANDSHAKE] => {
            let Ok(stream) = encryption.accept(stream).await else {
                return;
            };
            auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await
        }
        _ => http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await
            .map_err(Into::into),
    };
    served.ok();
}

async fn count(State(memory): State<Arc<Memory>>, headers: HeaderMap, body: Bytes) -> Response {
    let session = memory.session();
    session.count_request("/v1/messages/count_tokens");
    let counted = authenticate(&session.config, &headers)
        .and_then(|()| {
            serde_json::from_slice(&body)
                .map_err(|_| Failure::bad_request("the request body is not valid JSON"))
        })
        .and_then(|body| count_tokens(&headers, &body));
    match counted {
        Ok(count) => Json(count).into_response(),
        Err(failure) => failure_response::<Anthropic>(&failure, "req_count_tokens", None),
    }
}

async fn list_models(State(memory): State<Arc<Memory>>, headers: HeaderMap) -> Response {
    let session = memory.session();
    session.count_request("/v1/models");
    models::list(&session.config, &headers)
}

async fn stats(State(memory): State<Arc<Memory>>) -> Json<Stats> {
    Json(memory.session().stats())
}

async fn requests(State(memory): State<Arc<Memory>>) -> Json<Vec<Received>> {
    Json(memory.session().requests())
}

async fn reset(State(memory): State<Arc<Memory>>) -> StatusCode {
    memory.reset();
    StatusCode::NO_CONTENT
}

/// The body of `POST /control/quota`.
#[derive(Deserialize)]
struct QuotaControl {
    open: bool,
}

async fn quota(State(memory): State<Arc<Memory>>, Json(control): Json<QuotaControl>) -> StatusCode {
    memory.session().set_quota(control.open);
    StatusCode::NO_CONTENT
}
