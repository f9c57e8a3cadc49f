//! Flags of everything that runs tasks.

use super::text_of;
use crate::problem::Problem;
use crate::providers::Stand;
use crate::settings::{Dollars, Grant, Leaf, Origin, Span};
use anyhow::Context as _;
use clap::{Args, value_parser};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf, absolute};

/// Flags of everything that runs tasks.
///
/// They are kept with the run, so that a resume from any shell goes on under
/// the same ones.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RunFlags {
    /// Model of tasks that name none: haiku, sonnet, opus, fable, auto, a model id, or PROVIDER:MODEL
    #[arg(long, value_name = "MODEL", help_heading = "Models")]
    pub(crate) model: Option<String>,
    /// Who answers: anthropic, openai, openrouter, a local server, or a name from the settings
    #[arg(long, value_name = "NAME", help_heading = "Models")]
    pub(crate) provider: Option<String>,
    /// Run on scripted answers, without any model
    #[arg(long, help_heading = "Models", conflicts_with = "provider")]
    pub(crate) demo: bool,
    /// Append every reply to FILE, and take from it what it has
    #[arg(long, value_name = "FILE", help_heading = "Models", conflicts_with = "replay")]
    #[serde(skip)]
    pub(crate) record: Option<PathBuf>,
    /// Take every reply from FILE, and ask nobody
    #[arg(long, value_name = "FILE", help_heading = "Models")]
    pub(crate) replay: Option<PathBuf>,
    /// Most the run may cost, in dollars; at it the run parks
    #[arg(long, value_name = "DOLLARS", help_heading = "Limits")]
    pub(crate) max_cost: Option<Dollars>,
    /// Output tokens after which a script gets no more agents: its `budget.total`
    #[arg(long, value_name = "N", help_heading = "Limits", value_parser = value_parser!(u64).range(1..))]
    pub(crate) token_budget: Option<u64>,
    /// Tasks in flight at once
    #[arg(short, long, value_name = "N", help_heading = "Limits", value_parser = value_parser!(u32).range(1..))]
    pub(crate) jobs: Option<u32>,
    /// Longest time of one attempt, like 90s, 10m or 1h
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    pub(crate) timeout: Option<Span>,
    /// How often a failed attempt is tried again
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) retries: Option<u32>,
    /// How long a task waits for an overloaded provider before that uses up retries
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    pub(crate) overload_wait: Option<Span>,
    /// Try every task, even when the first ones of a sort have all failed alike
    #[arg(long, help_heading = "Limits", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) keep_going: Option<bool>,
    /// Send a request that takes far longer than others a second time; both are paid for
    #[arg(long, help_heading = "Limits", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) hedge: Option<bool>,
    /// When the account's quota is used up, wait until there is some again and go on
    #[arg(long, help_heading = "Limits")]
    #[serde(skip)]
    pub(crate) wait: bool,
    /// What agents may do besides reading files: write (in the workspace), run (commands, as you)
    #[arg(
        long,
        value_name = "WHAT",
        help_heading = "Agents",
        value_delimiter = ',',
        hide_possible_values = true
    )]
    pub(crate) allow: Option<Vec<Grant>>,
    /// Run although the project's divisi.toml is not trusted, without what of it needs trust
    #[arg(long, help_heading = "Agents", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) untrusted: Option<bool>,
    /// The folder that agents see; the current one by default
    #[arg(long, value_name = "DIR", help_heading = "Agents")]
    pub(crate) workspace: Option<PathBuf>,
}

impl RunFlags {
    /// These, and where they say nothing, `others`.
    pub(crate) fn or(self, others: Self) -> Self {
        Self {
            demo: self.demo || others.demo,
            record: self.record,
            replay: self.replay.or(others.replay),
            model: self.model.or(others.model),
            provider: self.provider.or(others.provider),
            max_cost: self.max_cost.or(others.max_cost),
            token_budget: self.token_budget.or(others.token_budget),
            jobs: self.jobs.or(others.jobs),
            timeout: self.timeout.or(others.timeout),
            retries: self.retries.or(others.retries),
            overload_wait: self.overload_wait.or(others.overload_wait),
            keep_going: self.keep_going.or(others.keep_going),
            hedge: self.hedge.or(others.hedge),
            wait: self.wait,
            allow: self.allow.or(others.allow),
            untrusted: self.untrusted.or(others.untrusted),
            workspace: self.workspace.or(others.workspace),
        }
    }

    /// The same with paths that mean the same from everywhere.
    ///
    /// They are kept with the run, which is text, so each has to be UTF-8.
    pub(crate) fn anchored(mut self) -> Result<Self, Problem> {
        let anchored = |flag, path: &Path| {
            let path = absolute(path).context("cannot tell which folder is meant")?;
            text_of(flag, &path)?;
            Ok::<_, Problem>(path)
        };
        let workspace = self.workspace.as_deref().unwrap_or(Path::new("."));
        self.workspace = Some(anchored("the workspace", workspace)?);
        self.replay = self.replay.as_deref().map(|path| anchored("--replay", path)).transpose()?;
        Ok(self)
    }

    /// What stands between divisi and the vendors.
    pub(crate) fn stand(&self) -> Stand<'_> {
        Stand { demo: self.demo, record: self.record.as_deref(), replay: self.replay.as_deref() }
    }

    /// The settings that stand in them.
    pub(crate) fn leaves(&self) -> Vec<Leaf> {
        let leaf = |path: &[&str], value: Option<toml::Value>, flag| {
            Some(Leaf::new(path, value?, Origin::Flag(flag)))
        };
        let text = |value: Option<String>| value.map(toml::Value::from);
        let number = |value: Option<u32>| value.map(|number| i64::from(number).into());
        // Grants are words, which TOML can write.
        let allow = self.allow.as_ref().and_then(|grants| toml::Value::try_from(grants).ok());
        // Taken back, the number of the settings holds.
        let keep_going = self.keep_going == Some(true);
        [
            leaf(&["model"], text(self.model.clone()), "--model"),
            leaf(&["provider"], text(self.provider.clone()), "--provider"),
            leaf(&["max_cost"], text(self.max_cost.map(String::from)), "--max-cost"),
            leaf(&["limits", "in_flight_max"], number(self.jobs), "--jobs"),
            leaf(&["timeout"], text(self.timeout.map(String::from)), "--timeout"),
            leaf(&["retry", "retries_max"], number(self.retries), "--retries"),
            leaf(
                &["retry", "overload_wait_max"],
                text(self.overload_wait.map(String::from)),
                "--overload-wait",
            ),
            leaf(&["limits", "hopeless_after"], keep_going.then_some(0.into()), "--keep-going"),
            leaf(&["hedge"], self.hedge.map(toml::Value::from), "--hedge"),
            leaf(&["allow"], allow, "--allow"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Untrusted;
    use clap::Parser as _;

    #[test]
    fn what_is_kept_fills_in_what_is_not_said() {
        let kept = RunFlags {
            model: Some("haiku".into()),
            demo: true,
            max_cost: Some("0.35".parse().unwrap()),
            token_budget: Some(9_000),
            timeout: Some("90s".parse().unwrap()),
            allow: Some(vec![Grant::Write]),
            ..RunFlags::default()
        };
        let kept: RunFlags = serde_json::from_value(serde_json::to_value(&kept).unwrap()).unwrap();
        let said = RunFlags { model: Some("opus".into()), ..RunFlags::default() };
        let both = said.or(kept.clone());
        assert_eq!(both, RunFlags { model: Some("opus".into()), ..kept });
    }

    #[test]
    fn what_is_kept_can_be_taken_back() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            flags: RunFlags,
        }
        let line = |words: &[&str]| Line::parse_from([&["x"], words].concat()).flags;
        let kept = line(&["--hedge", "--keep-going"]);
        assert_eq!((kept.hedge, kept.keep_going), (Some(true), Some(true)));
        assert_eq!(line(&[]).or(kept.clone()), kept);
        let flags = line(&["--hedge=false", "--keep-going=false"]).or(kept);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("divisi.toml"), "hedge = true").unwrap();
        let load = |flags: &RunFlags| {
            crate::settings::load(&[].into(), folder.path(), flags.leaves(), Untrusted::Refused)
                .unwrap()
                .settings
        };
        let (with, without) = (load(&flags), load(&RunFlags::default()));
        assert_eq!((with.hedge, without.hedge), (false, true));
        assert_eq!(with.limits.hopeless_after, without.limits.hopeless_after);
        assert_ne!(with.limits.hopeless_after, 0);
    }

    #[test]
    fn every_value_is_one_its_setting_may_have() {
        let flags = RunFlags {
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
            ..RunFlags::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let settings = crate::settings::load(&[].into(), folder.path(), flags.leaves(), Untrusted::Refused)
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
