//! A proxy that records the time of the first request.

use anyhow::Result;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// A proxy in front of a server, or without one.
pub(crate) struct Doorbell {
    address: SocketAddr,
    rings: mpsc::Receiver<Instant>,
    _runtime: Runtime,
}

impl Doorbell {
    /// Without a server nothing is answered.
    pub(crate) fn before(server: Option<SocketAddr>) -> Result<Self> {
        let runtime = Runtime::new()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let (ring, rings) = mpsc::channel();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, server, ring.clone()));
            }
        });
        Ok(Self {
            address,
            rings,
            _runtime: runtime,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The time of the first request.
    pub(crate) fn first(&self) -> Result<Instant> {
        const LONGEST: Duration = Duration::from_secs(30);
        Ok(self.rings.recv_timeout(LONGEST)?)
    }
}

async fn pass(mut client: TcpStream, server: Option<SocketAddr>, ring: mpsc::Sender<Instant>) {
    const REQUEST: &[u8] = b"POST /v1/messages ";
    let mut begin = [0; REQUEST.len()];
    // On the loopback interface a small write arrives whole.
    let Ok(_) = client.peek(&mut begin).await else {
        return;
    };
    if begin == REQUEST {
        // After the first request the receiver may be dropped.
        let _ = ring.send(Instant::now());
    }
    let Some(server) = server else {
        return std::future::pending().await;
    };
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    // Without it small events wait for one another; if it cannot be set, they are only late.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    // An error ends the connection as any other end does.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}
