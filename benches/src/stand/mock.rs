//! The mock as a separate process, so that its processor time and memory are not counted.

use crate::bench::this_program;
use anyhow::{Context, Result, ensure};
use divisi_mock::{Config, Mock, Stats};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// A mock as a separate process. Dropping it ends it.
pub(crate) struct MockProcess {
    child: Child,
    address: SocketAddr,
    certificate: Option<String>,
}

impl MockProcess {
    pub(crate) fn start(config: &Config) -> Result<Self> {
        let mut command = Command::new(this_program()?);
        command
            .arg("mock")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the mock")?;
        let stdin = child.stdin.as_mut().context("the mock has no stdin")?;
        writeln!(stdin, "{}", serde_json::to_string(config)?)?;
        let stdout = child.stdout.take().context("the mock has no stdout")?;
        let mut told = String::new();
        BufReader::new(stdout).read_line(&mut told)?;
        let (address, certificate) =
            serde_json::from_str(&told).context("the mock did not say where it is")?;
        Ok(Self {
            child,
            address,
            certificate,
        })
    }

    /// The HTTPS address, for HTTP/2.
    pub(crate) fn encrypted_url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The certificate that clients must trust for that, in PEM.
    pub(crate) fn certificate(&self) -> &str {
        self.certificate.as_deref().unwrap_or_default()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The counters since the start or the last reset.
    pub(crate) fn stats(&self) -> Result<Stats> {
        Ok(serde_json::from_slice(&self.exchange("GET /stats")?)?)
    }

    /// Drops everything but the configuration.
    pub(crate) fn reset(&self) -> Result<()> {
        self.exchange("POST /reset").map(drop)
    }

    /// Waits until no request of a killed process is being answered.
    pub(crate) fn wait_until_idle(&self) -> Result<Stats> {
        let mut stats = self.stats()?;
        crate::bench::wait_until("the end of all answers", Duration::from_secs(10), || {
            stats = self.stats()?;
            Ok(stats.in_flight == 0)
        })?;
        Ok(stats)
    }

    /// Sends a request without a body on a new connection; returns the body of the response.
    fn exchange(&self, request: &str) -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address)?;
        write!(
            stream,
            "{request} HTTP/1.1\r\nhost: mock\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        )?;
        let mut response = vec![];
        stream.read_to_end(&mut response)?;
        ensure!(
            response.starts_with(b"HTTP/1.1 2"),
            "the mock refused {request}"
        );
        let head = response.windows(4).position(|window| window == b"\r\n\r\n");
        Ok(response.split_off(head.context("the mock answered with half a response")? + 4))
    }
}

impl Drop for MockProcess {
    fn drop(&mut self) {
        // It may have ended already; a failure needs no report.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves as a mock until stdin closes, so that it does not outlive its parent process.
pub(crate) fn serve() -> Result<()> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let config: Config = serde_json::from_str(&line)?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let mock = Mock::start(config).await;
        let url = mock.url();
        let told = (url.trim_start_matches("http://"), mock.certificate());
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&told)?)?;
        let mut rest = vec![];
        tokio::io::stdin().read_to_end(&mut rest).await?;
        Ok(())
    })
}
