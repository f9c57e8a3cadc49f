//! Messages without secrets.
//!
//! Replies, tool results and output of programs are redacted where they arrive. Here texts of
//! scripts and results of custom executors are redacted.

use super::message::{FlowNews, Message};
use crate::attempt::AttemptResult;
use crate::executor::AttemptNews;
use divisi_core::Failure;
use divisi_core::content::Content;
use divisi_providers::redact::{Known, known};

impl Message {
    /// The message without the secrets known to this process.
    pub(super) fn redacted(self) -> Self {
        let known = known();
        match self {
            Self::Flow(FlowNews::Phase { title, cap }) => Self::Flow(FlowNews::Phase {
                title: known.shared(title),
                cap,
            }),
            Self::Flow(FlowNews::Log(line)) => Self::Flow(FlowNews::Log(known.shared(line))),
            Self::Flow(FlowNews::Ended(result)) => {
                let result = result.map(|json| known.json(json));
                Self::Flow(FlowNews::Ended(
                    result.map_err(|failed| failure(&known, failed)),
                ))
            }
            Self::Ended { attempt, result } => {
                let AttemptResult {
                    result: value,
                    findings,
                    suspended,
                    ..
                } = *result;
                let value = value
                    .map(|json| known.json(json))
                    .map_err(|failed| failure(&known, failed));
                let findings = findings.map(|findings| known.shared(findings));
                let suspended = suspended.map(|mut suspended| {
                    suspended.handle = suspended.handle.map(|handle| known.json(handle));
                    suspended.default = suspended.default.map(|default| known.json(default));
                    suspended.question = suspended.question.map(|question| known.shared(question));
                    suspended
                });
                let result = Box::new(AttemptResult {
                    result: value,
                    findings,
                    suspended,
                    ..*result
                });
                Self::Ended { attempt, result }
            }
            Self::Attempt(AttemptNews::Log(line)) => {
                Self::Attempt(AttemptNews::Log(known.shared(line)))
            }
            Self::Attempt(AttemptNews::Reports {
                attempt,
                model,
                usage,
                bill,
                handle,
            }) => {
                let handle = handle.map(|handle| known.json(handle));
                Self::Attempt(AttemptNews::Reports {
                    attempt,
                    model,
                    usage,
                    bill,
                    handle,
                })
            }
            other => other,
        }
    }
}

fn failure(known: &Known, failure: Failure) -> Failure {
    let partial = failure.partial.map(|partial| match partial {
        Content::Inline(json) => Content::Inline(known.json(json)),
        stored @ Content::Stored { .. } => stored,
    });
    Failure {
        message: known.text(&failure.message).into_owned(),
        hint: failure.hint.map(|hint| known.text(&hint).into_owned()),
        partial,
        ..failure
    }
}
