//! The kinds of task: the built-in ones, with the user's changes.

use super::words::{Lexicon, Role};
use crate::nearest;
use crate::tier::Tier;
use crate::usage::Usage;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// Names suggested for a mistyped one.
const NEAREST_MAX: usize = 3;

/// The kind of tasks that fit no other.
pub(super) const GENERAL: &str = "general";

/// A sort of work.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// Its name.
    #[serde(skip)]
    pub name: Arc<str>,
    /// The tier that suffices in most cases.
    pub tier: Tier,
    /// One line of description.
    pub about: String,
    /// Whether words that indicate it keep a task from the cheapest tier.
    #[serde(default)]
    pub hard: bool,
    /// Tools it cannot do without.
    #[serde(default)]
    pub needs: Needs,
    /// Verbs of the instructions in such a prompt.
    #[serde(default)]
    pub asks: Vec<String>,
    /// Words found in such a prompt.
    #[serde(default)]
    pub phrases: Vec<String>,
    /// Words that are not found in such a prompt.
    #[serde(default)]
    pub against: Vec<String>,
    /// Objects with which an instruction is not of this kind.
    #[serde(default)]
    pub except: Vec<String>,
    /// Whether a user has set its tier. The vote is trained for the built-in tiers only.
    #[serde(skip)]
    pub(super) is_said: bool,
    /// Kinds whose instructions make a task this kind, if the prompt also has phrases of it.
    #[serde(default)]
    pub takes: Vec<String>,
    /// Prefixes of the names of agent definitions for it.
    #[serde(default)]
    pub agents: Vec<String>,
    /// What one such task uses.
    pub tokens: TokenPrior,
}

/// The most that a set of tools can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Needs {
    /// Nothing: there are no tools.
    #[default]
    None,
    /// Read files.
    Read,
    /// Change files, or run commands.
    Write,
}

impl Needs {
    /// The most that these tools can do. An unknown tool may change things.
    pub fn of_tools<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        const READING: [&str; 10] = [
            "list_files",
            "search_files",
            "read_file",
            "Read",
            "Grep",
            "Glob",
            "LS",
            "WebFetch",
            "WebSearch",
            "NotebookRead",
        ];
        let reach = |name: &str| {
            let name = name.split('(').next().unwrap_or(name).trim();
            if READING.contains(&name) {
                Self::Read
            } else {
                Self::Write
            }
        };
        names.into_iter().map(reach).max().unwrap_or_default()
    }
}

/// Usage of one task of a kind, while no history is known: medians.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TokenPrior {
    /// Prompt tokens of all turns together.
    pub input: u64,
    /// Reply tokens of all turns together.
    pub output: u64,
    /// Requests.
    pub turns: u32,
    /// The p90 of its cost divided by the p10.
    pub spread: f64,
}

impl TokenPrior {
    /// The token usage that corresponds to it.
    ///
    /// The prompt of a conversation grows evenly from turn to turn, and each turn reads from the
    /// cache what the turn before it wrote: only the last prompt is written, the rest is read. A
    /// single request caches nothing.
    pub fn usage(&self) -> Usage {
        let last = (2 * self.input / (u64::from(self.turns) + 1)).min(self.input);
        match self.turns {
            0 | 1 => Usage {
                input: self.input,
                output: self.output,
                ..Usage::default()
            },
            _ => Usage {
                cache_write_5m: last,
                cache_read: self.input - last,
                output: self.output,
                ..Usage::default()
            },
        }
    }
}

/// A user's change to a built-in kind, or a new kind.
///
/// Lists are added to the built-in ones; other values replace them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct KindChange {
    /// The tier; a new kind must have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// One line of description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Whether its words keep a task from the cheapest tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hard: Option<bool>,
    /// Tools it cannot do without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<Needs>,
    /// Verbs of the instructions in such a prompt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asks: Vec<String>,
    /// Words found in such a prompt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phrases: Vec<String>,
    /// Words that are not found in such a prompt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub against: Vec<String>,
    /// Objects with which an instruction is not of this kind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// Kinds whose instructions make a task this kind, if the prompt also has phrases of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub takes: Vec<String>,
    /// Prefixes of the names of agent definitions for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<String>,
    /// What one such task uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenPrior>,
}

/// All kinds, with the index that finds their words.
#[derive(Clone)]
pub struct Kinds {
    kinds: Vec<Kind>,
    /// Tiers by provider and kind that differ from the kind's own.
    per_provider: BTreeMap<String, BTreeMap<String, Tier>>,
    pub(super) lexicon: Lexicon,
}

impl Kinds {
    /// The built-in kinds alone.
    ///
    /// They are read at the first call, which takes some milliseconds.
    pub fn built_in() -> &'static Self {
        static BUILT_IN: LazyLock<Kinds> = LazyLock::new(|| {
            Kinds::new(&BTreeMap::new(), BTreeMap::new()).expect("a test reads the same file")
        });
        &BUILT_IN
    }

    /// The built-in kinds with `changes` by name, and tiers that differ by provider and kind.
    ///
    /// Fails if a new kind has no tier, or if `per_provider` names an unknown kind.
    pub fn new(
        changes: &BTreeMap<String, KindChange>,
        per_provider: BTreeMap<String, BTreeMap<String, Tier>>,
    ) -> Result<Self, BadKinds> {
        let mut kinds: BTreeMap<String, Kind> = toml::from_str(include_str!("kinds.toml"))
            .map_err(|error| BadKinds::Data(error.to_string()))?;
        let languages: BTreeMap<String, BTreeMap<String, KindChange>> =
            toml::from_str(include_str!("languages.toml"))
                .map_err(|error| BadKinds::Data(error.to_string()))?;
        let words = languages
            .iter()
            .flat_map(|(name, words)| words.values().map(move |words| (name, words)));
        for (name, change) in words.chain(changes) {
            change.apply(name, &mut kinds)?;
        }
        let kinds: Vec<Kind> = kinds
            .into_iter()
            .map(|(name, kind)| Kind {
                name: name.into(),
                ..kind
            })
            .collect();
        let words = kinds.iter().enumerate().flat_map(|(index, kind)| {
            let lists = [
                (Role::Ask, &kind.asks),
                (Role::Phrase, &kind.phrases),
                (Role::Against, &kind.against),
                (Role::Except, &kind.except),
            ];
            lists
                .into_iter()
                .flat_map(move |(role, list)| list.iter().map(move |text| (text, index, role)))
        });
        let lexicon = Lexicon::new(words).map_err(BadKinds::Words)?;
        let made = Self {
            kinds,
            per_provider,
            lexicon,
        };
        for (provider, tiers) in &made.per_provider {
            for name in tiers.keys() {
                made.get(name).map_err(|unknown| BadKinds::Provider {
                    provider: provider.clone(),
                    unknown,
                })?;
            }
        }
        Ok(made)
    }

    /// Iterates over the kinds by name.
    pub fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.iter()
    }

    /// Returns the kind of this name; fails with the nearest names.
    pub fn get(&self, name: &str) -> Result<&Kind, UnknownKind> {
        self.kinds
            .iter()
            .find(|kind| &*kind.name == name)
            .ok_or_else(|| self.unknown(name))
    }

    /// The tier that suffices for a kind at this provider.
    pub fn tier(&self, kind: &Kind, provider: Option<&str>) -> Tier {
        let set = provider.and_then(|provider| self.per_provider.get(provider)?.get(&*kind.name));
        set.copied().unwrap_or(kind.tier)
    }

    /// Whether the user has set the tier of a kind at a provider.
    pub(super) fn is_said(&self, kind: &Kind, provider: Option<&str>) -> bool {
        let tiers = provider.and_then(|provider| self.per_provider.get(provider));
        kind.is_said || tiers.is_some_and(|tiers| tiers.contains_key(&*kind.name))
    }

    pub(super) fn all(&self) -> &[Kind] {
        &self.kinds
    }

    fn unknown(&self, name: &str) -> UnknownKind {
        let alike = nearest::alike(name, self.kinds.iter().map(|kind| &*kind.name));
        UnknownKind {
            name: name.to_owned(),
            nearest: alike.into_iter().take(NEAREST_MAX).map(Arc::from).collect(),
            all: self.kinds.iter().map(|kind| kind.name.clone()).collect(),
        }
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tiers: BTreeMap<_, _> = self
            .kinds
            .iter()
            .map(|kind| (&kind.name, kind.tier))
            .collect();
        f.debug_struct("Kinds")
            .field("tiers", &tiers)
            .field("per_provider", &self.per_provider)
            .finish()
    }
}

impl KindChange {
    fn apply(&self, name: &str, kinds: &mut BTreeMap<String, Kind>) -> Result<(), BadKinds> {
        // Without figures of its own, a kind has those of the general kind.
        let general = kinds[GENERAL].tokens;
        let kind = match kinds.get_mut(name) {
            Some(kind) => kind,
            None => {
                let tier = self.tier.ok_or_else(|| BadKinds::NoTier(name.to_owned()))?;
                let about = "a kind of the settings".to_owned();
                kinds
                    .entry(name.to_owned())
                    .or_insert(Kind::new(tier, about, general))
            }
        };
        kind.tier = self.tier.unwrap_or(kind.tier);
        kind.is_said |= self.tier.is_some();
        kind.about = self.about.clone().unwrap_or_else(|| kind.about.clone());
        kind.hard = self.hard.unwrap_or(kind.hard);
        kind.needs = self.needs.unwrap_or(kind.needs);
        kind.tokens = self.tokens.unwrap_or(kind.tokens);
        for (list, added) in [
            (&mut kind.asks, &self.asks),
            (&mut kind.phrases, &self.phrases),
            (&mut kind.against, &self.against),
            (&mut kind.except, &self.except),
            (&mut kind.takes, &self.takes),
            (&mut kind.agents, &self.agents),
        ] {
            list.extend(added.iter().cloned());
        }
        Ok(())
    }
}

impl Kind {
    fn new(tier: Tier, about: String, tokens: TokenPrior) -> Self {
        Self {
            name: "".into(),
            tier,
            about,
            hard: false,
            needs: Needs::None,
            asks: vec![],
            phrases: vec![],
            against: vec![],
            except: vec![],
            is_said: false,
            takes: vec![],
            agents: vec![],
            tokens,
        }
    }
}

/// A name that matches no kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no kind of task `{name}`")]
pub struct UnknownKind {
    /// The name.
    pub name: String,
    /// Kinds with similar names.
    pub nearest: Vec<Arc<str>>,
    /// Every kind there is.
    pub all: Vec<Arc<str>>,
}

impl UnknownKind {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        match &self.nearest[..] {
            [] => format!(
                "there are {}; add others as [kinds.NAME] in divisi.toml",
                self.all.join(", ")
            ),
            nearest => format!("did you mean `{}`?", nearest.join("` or `")),
        }
    }
}

/// Why the kinds of the settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKinds {
    /// A new kind without a tier.
    #[error("the kind `{0}` of the settings is new and has no tier")]
    NoTier(String),
    /// A tier for an unknown kind.
    #[error("the tiers of provider `{provider}` by kind: {unknown}")]
    Provider {
        /// The provider.
        provider: String,
        /// The kind.
        unknown: UnknownKind,
    },
    /// Too many words for the search index.
    #[error("the words of the kinds cannot be searched for: {0}")]
    Words(String),
    /// The built-in data is broken.
    #[error("the built-in kinds cannot be read: {0}")]
    Data(String),
}

impl BadKinds {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoTier(name) => Some(format!(
                "say `tier = \"sonnet\"` under [kinds.{name}], or check how its name is written"
            )),
            Self::Provider { unknown, .. } => Some(unknown.hint()),
            Self::Words(_) | Self::Data(_) => None,
        }
    }
}
