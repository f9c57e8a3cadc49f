//! TLS with a self-signed certificate.

use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

/// Chooses the TLS implementation of this process if none is chosen yet; to be called by users of
/// `reqwest`.
pub fn choose_encryption() {
    // Fails if one was chosen before, which serves as well.
    let _ = ring::default_provider().install_default();
}

/// TLS with a self-signed certificate.
pub(crate) struct Encryption {
    acceptor: TlsAcceptor,
    certificate: String,
}

impl Encryption {
    /// A new certificate for this machine, and HTTP/2 for clients that support it.
    pub(crate) fn new() -> io::Result<Self> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(names).map_err(io::Error::other)?;
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let config = config.with_no_client_auth();
        let mut config = config
            .with_single_cert(vec![cert.der().clone()], key)
            .map_err(io::Error::other)?;
        config.alpn_protocols = [&b"h2"[..], b"http/1.1"].map(<[u8]>::to_vec).to_vec();
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate: cert.pem(),
        })
    }

    /// The certificate in PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }
}
