//! Notices to the user: a question, a parked run, a run that is over.
//!
//! A notice contains names and figures, and no prompt, result or key. A program or an address that
//! fails causes one warning; it never fails a run, and the end of a run waits for it no longer than
//! its timeout.

use crate::settings::{Notify, Occasion};
use divisi_core::RunId;
use divisi_engine::process::{Limits, Program};
use divisi_providers::{redact, webhook};
use serde::Serialize;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest timeout, whatever the settings say: a project may set it, and the end of a run waits.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// Output kept of a program, which is not shown.
const OUTPUT_BYTES_MAX: usize = 1_024;

/// A notice.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notice {
    /// What it tells.
    pub occasion: Occasion,
    /// The run.
    pub run: RunId,
    /// The name of its flow.
    pub name: String,
    /// Its folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The name of the task that asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The stage of the run in a word: `running`, `parked`, `ok`, `partial`, `failed`, `cancelled`.
    pub status: &'static str,
    /// The whole notice in one line.
    pub text: String,
}

impl Notify {
    /// Whether a notice of this kind goes anywhere outside of the terminal.
    pub fn tells(&self, occasion: Occasion) -> bool {
        let somewhere =
            !self.command.is_empty() || self.webhook.is_some() || self.webhook_env.is_some();
        somewhere && self.on.contains(&occasion)
    }

    /// Sends a notice to the program and the address of the settings. Returns what went wrong.
    pub async fn send(&self, notice: &Notice) -> Vec<String> {
        let json = match serde_json::to_string(notice) {
            Ok(json) => redact(&json).into_owned(),
            Err(error) => return vec![error.to_string()],
        };
        let timeout = Duration::from_millis(self.timeout.0.0).min(TIMEOUT_MAX);
        let (command, webhook) =
            tokio::join!(self.run(notice, &json, timeout), self.post(&json, timeout),);
        command.into_iter().chain(webhook).collect()
    }

    async fn run(&self, notice: &Notice, json: &str, timeout: Duration) -> Option<String> {
        let (program, args) = self.command.split_first()?;
        let text = redact(&notice.text);
        let args = args.iter().map(|arg| arg.replace("{text}", &text));
        let limits = Limits {
            timeout: Some(timeout),
            output_bytes_max: OUTPUT_BYTES_MAX,
            ..Limits::default()
        };
        let ended = Program::new(program)
            .args(args)
            .without_secrets()
            .stdin(json)
            .limits(limits)
            .run(&CancellationToken::new())
            .await;
        match ended {
            Ok(exit) if exit.status.is_ok() => None,
            Ok(exit) => Some(match exit.status.code() {
                Some(code) => format!("`{program}` ended with {code}"),
                None => format!("`{program}` was ended by a signal"),
            }),
            Err(error) => Some(error.to_string()),
        }
    }

    async fn post(&self, json: &str, timeout: Duration) -> Option<String> {
        let named = self.webhook_env.as_ref();
        let address = match (&self.webhook, named) {
            (Some(address), _) => address.clone(),
            (None, None) => return None,
            (None, Some(name)) => match std::env::var(name) {
                Ok(address) => address,
                Err(_) => return Some(format!("the variable {name} has no address")),
            },
        };
        let sent = webhook::post(&address, json.to_owned(), timeout).await;
        sent.err().map(|error| error.to_string())
    }
}
