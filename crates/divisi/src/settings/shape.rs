//! Every setting there is, with its default.

use super::values::{Dollars, Grant, Span};
use divisi_core::choice::{BadKinds, KindChange, Kinds};
use divisi_core::{Limits, Millis, RetryPolicy, Tier};
use divisi_engine::executor::CommandLine;
use etcetera::BaseStrategy;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Every setting there is. The same names stand in `divisi.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// The model of tasks that name none: a tier, an id, `provider:model`, or `auto`.
    pub(crate) model: String,
    /// Who answers what names no provider; `auto` takes the first that can.
    pub(crate) provider: String,
    /// Most a run may cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_cost: Option<Dollars>,
    /// What agents may do besides reading.
    pub(crate) allow: Vec<Grant>,
    /// The file in which runs are kept.
    pub(crate) store: PathBuf,
    /// Whether model servers on this machine are looked for.
    pub(crate) local: bool,
    /// Longest time of one attempt.
    pub(crate) timeout: Span,
    /// Longest time of one attempt without any sign of progress.
    pub(crate) idle_timeout: Span,
    /// Requests one attempt may send.
    pub(crate) max_turns: u32,
    /// Longest reply in tokens.
    pub(crate) max_reply_tokens: u32,
    /// A file whose text replaces the one that frames every agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) framing: Option<PathBuf>,
    pub(crate) limits: Limits,
    pub(crate) retry: Retry,
    /// Model ids by tier, before those of the default provider.
    pub(crate) tiers: BTreeMap<String, String>,
    pub(crate) providers: BTreeMap<String, ProviderSettings>,
    /// Sorts of work: changes to ours, and new ones.
    pub(crate) kinds: BTreeMap<String, KindChange>,
    /// Programs that carry out tasks.
    pub(crate) executors: BTreeMap<String, CommandLine>,
}

/// How often and how soon a task is tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Retry {
    pub(crate) retries_max: u32,
    pub(crate) rest_first: Span,
    pub(crate) rest_max: Span,
    pub(crate) waits_max: u32,
}

/// A provider besides those that divisi knows, or one of them reached otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderSettings {
    pub(crate) kind: Kind,
    /// What the paths of the API are appended to; the vendor's own by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base_url: Option<String>,
    /// The environment variable that holds the key. The key itself never
    /// stands in a file.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "variable")]
    pub(crate) key_env: Option<String>,
    /// Patterns of the model ids it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) models: Option<Vec<String>>,
    /// Its model ids by tier.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tiers: BTreeMap<String, String>,
    /// Tiers that suffice for kinds of task here, where they differ.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) kinds: BTreeMap<String, Tier>,
}

/// The APIs that divisi speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Anthropic's Messages.
    Anthropic,
    /// OpenAI's Responses.
    Openai,
    /// OpenAI's Chat Completions, which most other servers speak.
    OpenaiChat,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: "sonnet".into(),
            provider: "auto".into(),
            max_cost: None,
            allow: vec![],
            store: default_store(),
            local: true,
            timeout: Span(Millis::from_secs(30 * 60)),
            idle_timeout: Span(Millis::from_secs(3 * 60)),
            max_turns: 50,
            max_reply_tokens: 16_384,
            framing: None,
            limits: Limits::default(),
            retry: Retry::default(),
            tiers: BTreeMap::new(),
            providers: BTreeMap::new(),
            kinds: BTreeMap::new(),
            executors: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// The sorts of work there are.
    pub(crate) fn kinds(&self) -> Result<Arc<Kinds>, BadKinds> {
        if self.kinds.is_empty() && self.providers.values().all(|provider| provider.kinds.is_empty()) {
            return Ok(Kinds::built_in());
        }
        let per_provider =
            self.providers.iter().map(|(name, provider)| (name.clone(), provider.kinds.clone()));
        Kinds::new(&self.kinds, per_provider.collect()).map(Arc::new)
    }
}

impl Default for Retry {
    fn default() -> Self {
        let RetryPolicy { retries_max, rest_first, rest_max, waits_max } = RetryPolicy::default();
        Self { retries_max, rest_first: Span(rest_first), rest_max: Span(rest_max), waits_max }
    }
}

impl From<&Retry> for RetryPolicy {
    fn from(retry: &Retry) -> Self {
        let Retry { retries_max, rest_first: Span(rest_first), rest_max: Span(rest_max), waits_max } = *retry;
        Self { retries_max, rest_first, rest_max, waits_max }
    }
}

/// Reads the name of a variable. What is none may be a key by mistake, so the
/// complaint does not repeat it.
fn variable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    match name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        true => Ok(Some(name)),
        false => {
            Err(D::Error::custom("`key_env` is the name of an environment variable, not the key itself"))
        }
    }
}

/// One store for all of a person's runs, so that they are found from any folder.
fn default_store() -> PathBuf {
    match etcetera::choose_base_strategy() {
        Ok(folders) => folders.data_dir().join("divisi").join("runs.db"),
        // Someone without a home still has the folder they are in.
        Err(_) => PathBuf::from(".divisi").join("runs.db"),
    }
}
