//! Providers that may be available.

use crate::Problem;
use crate::settings::{Environment, ProviderSettings, RateLimits, Settings};
use divisi_core::{Digest, Tier};
use divisi_engine::ProviderModels;
use divisi_providers::discover::ServerKind;
use divisi_providers::endpoint::EndpointPart;
use divisi_providers::{
    Dialect, Endpoint, LocalServer, Provider, Secret, Vendor, WireFormat, redact, vendors,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A provider, whether or not it has what it needs.
#[derive(Clone)]
pub struct Candidate {
    /// Its name, as in `provider:model`.
    pub name: String,
    /// Why it is a candidate.
    pub found: Found,
    /// Its wire format.
    pub wire_format: WireFormat,
    base_url: String,
    /// The variable that its address comes from, if any.
    base_url_env: Option<String>,
    /// The variable with its key; `None` if it needs no key.
    pub key_env: Option<String>,
    key: Option<Secret>,
    /// Patterns of its model ids.
    pub models: Vec<String>,
    /// Model ids by tier.
    pub tiers: BTreeMap<Tier, String>,
    /// Its rate limits in the settings.
    rate: RateLimits,
    /// Its dialect in the settings.
    pub dialect: Dialect,
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Candidate({} at {})", self.name, self.shown_url())
    }
}

/// Why a provider is a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is in the settings.
    Settings,
    /// It is a known vendor.
    Known,
    /// It was found on this machine.
    Local,
}

/// The providers of the settings at addresses of their own, then all known vendors in order of
/// preference.
pub fn candidates(settings: &Settings, environment: &Environment) -> Vec<Candidate> {
    let vendors = vendors();
    let of_settings = |name: &String, provider: &ProviderSettings| {
        // Providers of unknown kind have been refused when the settings were read.
        let format = provider.kind(name)?;
        // Many servers use Chat Completions, so only the name identifies a vendor among them.
        let by_format =
            |vendor: &&Vendor| vendor.wire_format == format && format != WireFormat::OpenaiChat;
        let named = vendors.iter().find(|vendor| vendor.name == *name);
        let vendor = named.or_else(|| vendors.iter().find(by_format));
        Some(Candidate::of_settings(
            name,
            format,
            provider,
            vendor,
            environment,
        ))
    };
    // A provider that only changes options of a vendor is not preferred to others.
    let says_more = |name: &str| {
        let provider = settings.providers.get_key_value(name);
        provider.filter(|(_, provider)| provider.base_url.is_none())
    };
    let is_vendor = |name: &str| vendors.iter().any(|vendor| vendor.name == name);
    let elsewhere = settings
        .providers
        .iter()
        .filter(|(name, _)| !is_vendor(name) || says_more(name).is_none());
    let mut candidates: Vec<_> = elsewhere
        .filter_map(|(name, provider)| of_settings(name, provider))
        .collect();
    for vendor in &vendors {
        match says_more(&vendor.name) {
            Some((name, provider)) => candidates.extend(of_settings(name, provider)),
            None if settings.providers.contains_key(&vendor.name) => {}
            None => candidates.push(Candidate::of_vendor(vendor.clone(), environment)),
        }
    }
    candidates
        .iter_mut()
        .for_each(|candidate| candidate.begin_with(settings));
    candidates
}

/// The model servers found on this machine.
pub fn local_candidates(servers: &[LocalServer], settings: &Settings) -> Vec<Candidate> {
    let mut candidates: Vec<_> = servers.iter().filter_map(Candidate::of_server).collect();
    candidates
        .iter_mut()
        .for_each(|candidate| candidate.begin_with(settings));
    candidates
}

/// The kinds of servers that are searched for on this machine.
pub(super) const LOCAL: [ServerKind; 4] = [
    ServerKind::Ollama,
    ServerKind::LlamaServer,
    ServerKind::LmStudio,
    ServerKind::Vllm,
];

/// The name of a local server, as in `provider:model`.
pub(super) fn local_name(kind: ServerKind) -> &'static str {
    match kind {
        ServerKind::Ollama => "ollama",
        ServerKind::LlamaServer => "llama-server",
        ServerKind::LmStudio => "lm-studio",
        ServerKind::Vllm => "vllm",
    }
}

/// The address of a vendor.
fn url<'a>(vendor: &'a Vendor, environment: &'a Environment) -> &'a str {
    environment
        .get(&vendor.base_url_env)
        .unwrap_or(&vendor.base_url)
}

/// The variable that changes the address, if it is set.
fn url_env<'a>(vendor: &'a Vendor, environment: &Environment) -> Option<&'a str> {
    environment
        .get(&vendor.base_url_env)
        .map(|_| vendor.base_url_env.as_str())
}

impl Candidate {
    /// Options missing in the settings are those of the API's vendor. At another address they are
    /// so only under the vendor's own name, as for a gateway in front of it: that is where the user
    /// sends the vendor's key. Under any other name the key is never sent elsewhere.
    fn of_settings(
        name: &str,
        wire_format: WireFormat,
        provider: &ProviderSettings,
        vendor: Option<&Vendor>,
        environment: &Environment,
    ) -> Self {
        let is_elsewhere = provider.base_url.is_some();
        let vendor = vendor.filter(|vendor| !is_elsewhere || vendor.name == name);
        // A gateway may need no key: the vendor's is sent if it is set, and not missed otherwise.
        let of_vendor = vendor
            .map(|vendor| vendor.key_env.clone())
            .filter(|key_env| !is_elsewhere || environment.get(key_env).is_some());
        let key_env = provider.key_env.clone().or(of_vendor);
        let mut tiers = vendor
            .map(|vendor| vendor.tiers.clone())
            .unwrap_or_default();
        tiers.extend(provider.tiers.clone());
        Self {
            name: name.to_owned(),
            found: Found::Settings,
            wire_format,
            base_url_env: vendor
                .filter(|_| !is_elsewhere)
                .and_then(|vendor| url_env(vendor, environment))
                .map(str::to_owned),
            base_url: provider
                .base_url
                .clone()
                .or_else(|| Some(url(vendor?, environment).to_owned()))
                .unwrap_or_default(),
            key: key_env
                .as_deref()
                .and_then(|name| environment.get(name))
                .map(Secret::new),
            key_env,
            models: provider
                .models
                .clone()
                .or_else(|| Some(vendor?.models.clone()))
                .unwrap_or_else(|| vec!["*".to_owned()]),
            tiers,
            rate: provider.rate.unwrap_or_default(),
            dialect: provider.dialect.clone(),
        }
    }

    fn of_vendor(vendor: Vendor, environment: &Environment) -> Self {
        Self {
            found: Found::Known,
            wire_format: vendor.wire_format,
            base_url: url(&vendor, environment).to_owned(),
            base_url_env: url_env(&vendor, environment).map(str::to_owned),
            key: environment.get(&vendor.key_env).map(Secret::new),
            key_env: Some(vendor.key_env),
            models: vendor.models,
            tiers: vendor.tiers,
            rate: RateLimits::default(),
            dialect: Dialect::default(),
            name: vendor.name,
        }
    }

    /// All tiers are its first model, because nothing shows which of several is better.
    fn of_server(server: &LocalServer) -> Option<Self> {
        let first = server.models.first()?;
        Some(Self {
            name: local_name(server.kind).to_owned(),
            found: Found::Local,
            wire_format: WireFormat::OpenaiChat,
            base_url: server.base_url.clone(),
            base_url_env: None,
            key_env: None,
            key: None,
            models: server.models.iter().map(|id| globset::escape(id)).collect(),
            tiers: Tier::ALL.map(|tier| (tier, first.clone())).into(),
            rate: RateLimits::default(),
            dialect: Dialect::default(),
        })
    }

    /// Whether it has the key it needs.
    pub fn is_ready(&self) -> bool {
        self.key_env.is_none() || self.key.is_some()
    }

    /// Its address without secrets.
    pub fn shown_url(&self) -> String {
        let (scheme, rest) = self
            .base_url
            .split_once("://")
            .unwrap_or(("", &self.base_url));
        let (authority, path) = rest
            .split_once('/')
            .map_or((rest, String::new()), |(a, p)| (a, format!("/{p}")));
        let host = authority.rsplit('@').next().unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let url = format!("{scheme}://{host}{path}");
        let url = redact(&url).into_owned();
        match &self.key {
            Some(key) => key.redact(&url),
            None => url,
        }
    }

    /// Sets the number of requests under way from the settings, if they have one.
    fn begin_with(&mut self, settings: &Settings) {
        self.rate.in_flight = self.rate.in_flight.or(settings.in_flight_said);
    }

    /// Its models, with `provider` for requests.
    pub fn models_of(&self, provider: Arc<dyn Provider>) -> ProviderModels {
        let tiers: Vec<(&str, &str)> = self
            .tiers
            .iter()
            .map(|(tier, id)| (tier.as_str(), id.as_str()))
            .collect();
        let models: Vec<&str> = self.models.iter().map(String::as_str).collect();
        let models = ProviderModels::new(provider, &tiers, &models)
            .limited(self.rate.settings(self.wire_format));
        if self.found == Found::Local {
            models.free()
        } else {
            models
        }
    }

    /// Identifies the account; `None` without a key.
    pub fn account(&self) -> Option<Digest> {
        self.endpoint().account()
    }

    /// Creates the provider. Nothing is sent yet.
    pub fn connect(&self) -> Result<Arc<dyn Provider>, Problem> {
        if self.base_url.is_empty() {
            return Err(Problem::usage(format!("provider `{}` has no `base_url`", self.name)).hint(
                "say in the settings where it is reached, like base_url = \"https://models.example.com/v1\"",
            ));
        }
        self.wire_format.connect(self.endpoint()).map_err(|error| {
            let place = match &self.base_url_env {
                Some(variable) => format!("the variable {variable}"),
                None => format!("`base_url` under [providers.{}]", self.name),
            };
            let is_ours = self.found == Found::Known && self.base_url_env.is_none();
            let hint = (error.part == EndpointPart::Address && !is_ours).then(|| {
                format!("it comes from {place}: write it whole, like http://127.0.0.1:8080")
            });
            Problem::usage(error.to_string()).with_hints(hint)
        })
    }

    fn endpoint(&self) -> Endpoint {
        let mut endpoint = Endpoint::new(self.name.as_str(), &self.base_url);
        endpoint.dialect = self.dialect.clone();
        match &self.key_env {
            Some(name) => endpoint.key(self.key.clone(), name.as_str()),
            None => endpoint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<const N: usize>(settings: &str, variables: [(&str, &str); N]) -> Vec<Candidate> {
        candidates(&toml::from_str(settings).unwrap(), &variables.into())
    }

    #[test]
    fn a_vendor_is_ready_when_its_key_is_set() {
        let ready = |candidates: Vec<Candidate>| -> Vec<String> {
            candidates
                .into_iter()
                .filter(Candidate::is_ready)
                .map(|candidate| candidate.name)
                .collect()
        };
        assert_eq!(ready(all("", [])), [""; 0]);
        assert_eq!(
            ready(all(
                "",
                [("OPENAI_API_KEY", "k"), ("ANTHROPIC_API_KEY", "k")]
            )),
            ["anthropic", "openai"]
        );
    }

    #[test]
    fn a_vendors_key_is_sent_to_nobody_else() {
        let settings = "[providers.corp]\nkind = 'anthropic'\nbase_url = 'https://corp.example'";
        let candidates = all(settings, [("ANTHROPIC_API_KEY", "k")]);
        assert_eq!(
            (candidates[0].name.as_str(), &candidates[0].key_env),
            ("corp", &None)
        );
        assert!(candidates[0].key.is_none());
    }

    #[test]
    fn a_gateway_under_a_vendors_name_keeps_all_but_the_address() {
        let gateway = "[providers.anthropic]\nbase_url = 'https://gate.example'";
        let keyed = all(gateway, [("ANTHROPIC_API_KEY", "k")]);
        assert_eq!(keyed[0].name, "anthropic");
        assert_eq!(keyed[0].base_url, "https://gate.example");
        assert_eq!(keyed[0].tiers[&Tier::Opus], "claude-opus-5-5");
        assert_eq!(keyed[0].models, ["claude-*"]);
        assert_eq!(keyed[0].key_env.as_deref(), Some("ANTHROPIC_API_KEY"));
        assert!(keyed[0].key.is_some());
        let without_key = all(gateway, []);
        assert!(without_key[0].is_ready() && without_key[0].key_env.is_none());
        assert_eq!(without_key[0].tiers[&Tier::Opus], "claude-opus-5-5");
        let chat = all(
            "[providers.openai]\nkind = 'openai-chat'\nbase_url = 'https://gate.example'",
            [],
        );
        assert_eq!(chat[0].wire_format, WireFormat::OpenaiChat);
        assert_eq!(chat[0].tiers[&Tier::Haiku], "gpt-6-luna");
        let own_key = all(
            "[providers.anthropic]\nbase_url = 'https://gate.example'\nkey_env = 'GATE'",
            [("ANTHROPIC_API_KEY", "k")],
        );
        assert_eq!(own_key[0].key_env.as_deref(), Some("GATE"));
        assert!(own_key[0].key.is_none());
    }

    #[test]
    fn a_known_vendor_may_be_changed_in_part() {
        let candidates = all(
            "[providers.anthropic]\nkind = 'anthropic'\ntiers = { haiku = 'claude-old' }",
            [],
        );
        assert_eq!(
            candidates.iter().filter(|c| c.name == "anthropic").count(),
            1
        );
        assert_eq!(candidates[0].tiers[&Tier::Haiku], "claude-old");
        assert_eq!(candidates[0].tiers[&Tier::Opus], "claude-opus-5-5");
        assert_eq!(candidates[0].key_env.as_deref(), Some("ANTHROPIC_API_KEY"));
    }

    #[test]
    fn a_vendor_of_which_only_a_rate_is_said_stays_what_and_where_it_is() {
        let settings = "[providers.openai.rate]\nrequests_per_minute = 60\n[providers.corp]\nkind = 'openai-chat'";
        let candidates = all(
            settings,
            [("OPENAI_BASE_URL", "https://gateway.example/v1")],
        );
        let names: Vec<&str> = candidates
            .iter()
            .map(|candidate| candidate.name.as_str())
            .collect();
        assert_eq!(names, ["corp", "anthropic", "openai", "openrouter"]);
        assert_eq!(candidates[2].wire_format, WireFormat::Openai);
        assert_eq!(candidates[2].base_url, "https://gateway.example/v1");
        assert_eq!(
            candidates[2].rate.requests_per_minute.map(u32::from),
            Some(60)
        );
    }

    #[test]
    fn limits_are_per_provider_and_the_narrower_holds() {
        let rate = |settings: &str| {
            let settings = format!(
                "[providers.anthropic]\nkind = 'anthropic'\n[providers.anthropic.rate]\n{settings}"
            );
            let candidates = all(&settings, []);
            candidates[0].rate.settings(candidates[0].wire_format)
        };
        let settings = rate("requests_per_second = 50\nrequests_per_minute = 600\nburst = 20");
        assert_eq!(
            (settings.requests_per_minute, settings.burst),
            (Some(600), Some(20))
        );
        assert_eq!(
            rate("requests_per_second = 50").requests_per_minute,
            Some(3_000)
        );
        assert!(!rate("output_tokens_per_minute = 1").count_cached);
        let refused = |text: &str| toml::from_str::<Settings>(text).is_err();
        assert!(refused(
            "[providers.x]\nkind = 'openai'\n[providers.x.rate]\nrequests = 5"
        ));
        assert!(refused(
            "[providers.x]\nkind = 'openai'\n[providers.x.rate]\nburst = 0"
        ));
    }

    #[test]
    fn the_settings_say_how_a_server_wants_to_be_asked() {
        let settings = "[providers.corp]\nkind = 'openai-chat'\nbase_url = 'https://corp.example/v1'\n[providers.corp.dialect]\n";
        let dialect = |more: &str| all(&format!("{settings}{more}"), [])[0].endpoint().dialect;
        assert_eq!(dialect(""), Dialect::default());
        let told =
            dialect("omit = ['stream_options', 'tools']\nmax_tokens = 'max_completion_tokens'");
        assert_eq!(
            told.omit
                .iter()
                .map(|part| part.as_str())
                .collect::<Vec<_>>(),
            ["stream_options", "tools"]
        );
        let refused = |more: &str| {
            toml::from_str::<Settings>(&format!("{settings}{more}"))
                .unwrap_err()
                .to_string()
        };
        assert!(refused("omit = ['temperature']").contains("unknown variant `temperature`"));
        assert!(refused("tools = false").contains("unknown field `tools`"));
        let known = all("[providers.openai.dialect]\nomit = ['include']", []);
        assert_eq!(
            (known[0].name.as_str(), known[0].dialect.omit.len()),
            ("anthropic", 0)
        );
        assert_eq!(
            (known[1].name.as_str(), known[1].dialect.omit.len()),
            ("openai", 1)
        );
    }

    #[test]
    fn addresses_are_shown_without_passwords() {
        let variables = [
            (
                "ANTHROPIC_BASE_URL",
                "https://me:hush@gate.example/k1/v1?token=hush",
            ),
            ("ANTHROPIC_API_KEY", "k1"),
        ];
        assert_eq!(
            all("", variables)[0].shown_url(),
            "https://gate.example/***/v1"
        );
    }
}
