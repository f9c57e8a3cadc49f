//! Flags of every command that runs tasks.

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Args, value_parser};
use divisi_app::RunRequest;
use divisi_app::settings::{Dollars, Grant, Span};
use std::ffi::OsStr;
use std::path::PathBuf;

/// Flags of every command that runs tasks.
#[derive(Debug, Args)]
pub(crate) struct RunFlags {
    /// Model of tasks that name none: haiku, sonnet, opus, fable, auto, a model id, or
    /// PROVIDER:MODEL
    #[arg(long, value_name = "MODEL", help_heading = "Models")]
    model: Option<String>,
    /// The provider: anthropic, openai, openrouter, a local server, or a name from the settings
    #[arg(long, value_name = "NAME", help_heading = "Models")]
    provider: Option<String>,
    /// Run on scripted answers, without any model
    #[arg(long, help_heading = "Models", conflicts_with = "provider")]
    pub(crate) demo: bool,
    /// Append every reply to FILE, and reuse the replies it has
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Models",
        conflicts_with = "replay"
    )]
    record: Option<PathBuf>,
    /// Take every reply from FILE, and send no request
    #[arg(long, value_name = "FILE", help_heading = "Models")]
    replay: Option<PathBuf>,
    /// Most the run may cost, in dollars; at it the run parks
    #[arg(long, value_name = "DOLLARS", help_heading = "Limits")]
    max_cost: Option<Dollars>,
    /// Output tokens after which a script gets no more agents: its `budget.total`
    #[arg(long, value_name = "N", help_heading = "Limits", value_parser = value_parser!(u64).range(1..))]
    token_budget: Option<u64>,
    /// Tasks in flight at once; without it as many as providers take, and 64 programs
    #[arg(short, long, value_name = "N", help_heading = "Limits", value_parser = value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// Longest time of one attempt, like 90s, 10m or 1h
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    timeout: Option<Span>,
    /// How often a failed attempt is tried again
    #[arg(long, value_name = "N", help_heading = "Limits")]
    retries: Option<u32>,
    /// How long a task waits for an overloaded provider before that uses up retries
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    overload_wait: Option<Span>,
    /// Try every task, even if the first ones of a kind have all failed in the same way
    #[arg(long, help_heading = "Limits", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    keep_going: Option<bool>,
    /// Send a request a second time when it takes far longer than usual; both are paid for
    #[arg(long, help_heading = "Limits", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    hedge: Option<bool>,
    /// When the account's quota is used up, wait until there is some again and go on
    #[arg(long, help_heading = "Limits")]
    wait: bool,
    /// What carries out tasks that name no executor: api (asks models itself), claude (Claude Code),
    /// codex, acp:gemini or another agent (acp:claude, acp:codex, acp:opencode, acp:goose), with
    /// their own logins, or a name from the settings
    #[arg(long, value_name = "NAME", help_heading = "Agents")]
    executor: Option<String>,
    /// What agents may do besides reading files: write (in the workspace), run (commands, as you),
    /// mcp (tools of MCP servers) or mcp:SERVER (of this one)
    #[arg(
        long,
        value_name = "WHAT",
        help_heading = "Agents",
        value_delimiter = ',',
        value_parser = Grants,
        hide_possible_values = true
    )]
    allow: Option<Vec<Grant>>,
    /// Run although the project's divisi.toml is not trusted, without what of it needs trust
    #[arg(long, help_heading = "Agents", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    untrusted: Option<bool>,
    /// The folder that agents see; the current one by default
    #[arg(long, value_name = "DIR", help_heading = "Agents")]
    workspace: Option<PathBuf>,
}

impl RunFlags {
    /// Whether they give a model for tasks without one.
    pub(crate) fn names_model(&self) -> bool {
        self.model.is_some()
    }
}

/// Parses what agents may do.
#[derive(Clone)]
struct Grants;

impl TypedValueParser for Grants {
    type Value = Grant;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Grant, clap::Error> {
        let parse = |word: String| word.parse::<Grant>();
        StringValueParser::new()
            .try_map(parse)
            .parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let words = Grant::WORDS.map(|(word, about)| PossibleValue::new(word).help(about));
        Some(Box::new(words.into_iter()))
    }
}

impl From<RunFlags> for RunRequest {
    fn from(flags: RunFlags) -> Self {
        let RunFlags {
            model,
            provider,
            demo,
            record,
            replay,
            max_cost,
            token_budget,
            jobs,
            timeout,
            retries,
            overload_wait,
            keep_going,
            hedge,
            wait,
            executor,
            allow,
            untrusted,
            workspace,
        } = flags;
        Self {
            model,
            provider,
            demo,
            record,
            replay,
            max_cost,
            token_budget,
            jobs,
            timeout,
            retries,
            overload_wait,
            keep_going,
            hedge,
            wait,
            executor,
            allow,
            untrusted,
            workspace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    fn a_switch_can_be_set_and_taken_back() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            flags: RunFlags,
        }
        let request = |words: &[&str]| -> RunRequest {
            Line::parse_from([&["x"], words].concat()).flags.into()
        };
        let switches = |words: &[&str]| (request(words).hedge, request(words).keep_going);
        assert_eq!(
            switches(&["--hedge", "--keep-going"]),
            (Some(true), Some(true))
        );
        assert_eq!(
            switches(&["--hedge=false", "--keep-going=false"]),
            (Some(false), Some(false))
        );
        assert_eq!(request(&[]), RunRequest::default());
        assert_eq!(
            request(&["--allow", "write,run"]).allow,
            Some(vec![Grant::Write, Grant::Run])
        );
    }
}
