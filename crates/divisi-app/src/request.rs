//! The options of a run.

use crate::Problem;
use crate::providers::AnswerMode;
use crate::settings::{Dollars, Grant, Leaf, Span};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf, absolute};

/// The options of a run. Missing ones come from the settings.
///
/// They are recorded with the run, so that a resume from anywhere uses the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunRequest {
    /// The model of tasks that name none: a tier, an id, `provider:model`, or `auto`.
    pub model: Option<String>,
    /// The default provider.
    pub provider: Option<String>,
    /// The executor of tasks that name none.
    pub executor: Option<String>,
    /// Whether answers are scripted, without any model.
    pub demo: bool,
    /// A file to record replies in, and to replay those it has.
    #[serde(skip)]
    pub record: Option<PathBuf>,
    /// A file to replay replies from; nothing is sent.
    pub replay: Option<PathBuf>,
    /// Most the run may cost; at it the run parks.
    pub max_cost: Option<Dollars>,
    /// Output tokens after which a script gets no more agents: its `budget.total`.
    pub token_budget: Option<u64>,
    /// Tasks in flight at once.
    pub jobs: Option<u32>,
    /// Longest time of one attempt.
    pub timeout: Option<Span>,
    /// How often a failed attempt is tried again.
    pub retries: Option<u32>,
    /// How long a task waits for an overloaded provider before that uses up retries.
    pub overload_wait: Option<Span>,
    /// Whether tasks are started even if the first ones of a cohort all failed alike. `Some(false)`
    /// resets this in a resume.
    pub keep_going: Option<bool>,
    /// Whether slow requests are hedged.
    pub hedge: Option<bool>,
    /// Whether to wait for the account's quota, and then continue.
    #[serde(skip)]
    pub wait: bool,
    /// What agents may do besides reading files.
    pub allow: Option<Vec<Grant>>,
    /// Whether the run ignores settings of an untrusted project instead of failing.
    pub untrusted: Option<bool>,
    /// The folder of agents; by default the current one.
    pub workspace: Option<PathBuf>,
}

impl RunRequest {
    /// This request, with `other` for missing options.
    pub fn or(self, other: Self) -> Self {
        Self {
            demo: self.demo || other.demo,
            record: self.record,
            replay: self.replay.or(other.replay),
            model: self.model.or(other.model),
            provider: self.provider.or(other.provider),
            executor: self.executor.or(other.executor),
            max_cost: self.max_cost.or(other.max_cost),
            token_budget: self.token_budget.or(other.token_budget),
            jobs: self.jobs.or(other.jobs),
            timeout: self.timeout.or(other.timeout),
            retries: self.retries.or(other.retries),
            overload_wait: self.overload_wait.or(other.overload_wait),
            keep_going: self.keep_going.or(other.keep_going),
            hedge: self.hedge.or(other.hedge),
            wait: self.wait,
            allow: self.allow.or(other.allow),
            untrusted: self.untrusted.or(other.untrusted),
            workspace: self.workspace.or(other.workspace),
        }
    }

    /// Makes its paths absolute.
    ///
    /// They are recorded as text, so each must be UTF-8.
    pub(crate) fn anchored(mut self) -> Result<Self, Problem> {
        let anchored = |flag, path: &Path| {
            let path = absolute(path).context("cannot tell which folder is meant")?;
            utf8_path(flag, &path)?;
            Ok::<_, Problem>(path)
        };
        let workspace = self.workspace.as_deref().unwrap_or(Path::new("."));
        self.workspace = Some(anchored("the workspace", workspace)?);
        self.replay = self
            .replay
            .as_deref()
            .map(|path| anchored("--replay", path))
            .transpose()?;
        Ok(self)
    }

    /// Whether no request may be sent to a model.
    pub(crate) fn is_scripted(&self) -> bool {
        self.demo || self.replay.is_some()
    }

    /// Replacements for vendors.
    pub(crate) fn answer_mode(&self) -> AnswerMode<'_> {
        AnswerMode {
            demo: self.demo,
            record: self.record.as_deref(),
            replay: self.replay.as_deref(),
        }
    }

    /// The settings in it.
    pub(crate) fn leaves(&self) -> Vec<Leaf> {
        let text = |value: Option<String>| value.map(toml::Value::from);
        let number = |value: Option<u32>| value.map(|number| i64::from(number).into());
        // Grants are words, so serialisation cannot fail.
        let allow = self
            .allow
            .as_ref()
            .and_then(|grants| toml::Value::try_from(grants).ok());
        // If reset, the number of the settings applies.
        let keep_going = self.keep_going == Some(true);
        [
            ("--model", text(self.model.clone())),
            ("--provider", text(self.provider.clone())),
            ("--executor", text(self.executor.clone())),
            ("--max-cost", text(self.max_cost.map(String::from))),
            ("--jobs", number(self.jobs)),
            ("--timeout", text(self.timeout.map(String::from))),
            ("--retries", number(self.retries)),
            (
                "--overload-wait",
                text(self.overload_wait.map(String::from)),
            ),
            ("--keep-going", keep_going.then_some(0.into())),
            ("--hedge", self.hedge.map(toml::Value::from)),
            ("--allow", allow),
        ]
        .into_iter()
        .filter_map(|(flag, value)| Leaf::of_flag(flag, value?))
        .collect()
    }
}

/// A path as text, unchanged. `what` names its flag in the error.
pub fn utf8_path<'a>(what: &str, path: &'a Path) -> Result<&'a str, Problem> {
    path.to_str().ok_or_else(|| {
        Problem::usage(format!("{what}: the path {} is not UTF-8", path.display()))
            .hint("rename it, or reach it by a link with another name")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Untrusted;

    #[test]
    fn what_is_kept_fills_in_what_is_not_said() {
        let kept = RunRequest {
            model: Some("haiku".into()),
            demo: true,
            max_cost: Some("0.35".parse().unwrap()),
            token_budget: Some(9_000),
            timeout: Some("90s".parse().unwrap()),
            allow: Some(vec![Grant::Write]),
            ..RunRequest::default()
        };
        let kept: RunRequest =
            serde_json::from_value(serde_json::to_value(&kept).unwrap()).unwrap();
        let said = RunRequest {
            model: Some("opus".into()),
            ..RunRequest::default()
        };
        let both = said.or(kept.clone());
        assert_eq!(
            both,
            RunRequest {
                model: Some("opus".into()),
                ..kept
            }
        );
    }

    #[test]
    fn what_is_kept_can_be_taken_back() {
        let both = |value| RunRequest {
            hedge: value,
            keep_going: value,
            ..RunRequest::default()
        };
        let kept = both(Some(true));
        assert_eq!(both(None).or(kept.clone()), kept);
        let request = both(Some(false)).or(kept);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("divisi.toml"), "hedge = true").unwrap();
        let load = |request: &RunRequest| {
            crate::settings::load(
                &[].into(),
                folder.path(),
                request.leaves(),
                Untrusted::Refused,
            )
            .unwrap()
            .settings
        };
        let (with, without) = (load(&request), load(&RunRequest::default()));
        assert_eq!((with.hedge, without.hedge), (false, true));
        assert_eq!(with.limits.hopeless_after, without.limits.hopeless_after);
        assert_ne!(with.limits.hopeless_after, 0);
    }

    #[test]
    fn every_value_is_one_its_setting_may_have() {
        let request = RunRequest {
            model: Some("haiku".into()),
            provider: Some("openai".into()),
            max_cost: Some("0.35".parse().unwrap()),
            jobs: Some(3),
            timeout: Some("90s".parse().unwrap()),
            retries: Some(0),
            overload_wait: Some("8h".parse().unwrap()),
            keep_going: Some(true),
            hedge: Some(true),
            allow: Some(vec![Grant::Write, Grant::Run]),
            ..RunRequest::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let settings = crate::settings::load(
            &[].into(),
            folder.path(),
            request.leaves(),
            Untrusted::Refused,
        )
        .unwrap()
        .settings;
        assert_eq!(settings.limits.in_flight_max, 3);
        assert_eq!(settings.retry.retries_max, 0);
        assert_eq!(settings.retry.overload_wait_max, "8h".parse().unwrap());
        assert_eq!(settings.limits.hopeless_after, 0);
        assert!(settings.hedge);
        assert_eq!(settings.timeout, "90s".parse().unwrap());
        assert_eq!(settings.allow, [Grant::Write, Grant::Run]);
    }
}
