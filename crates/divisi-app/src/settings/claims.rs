//! Settings of a project's file that need the user's trust.
//!
//! A project may choose models, limits and labels. Where secrets and prompts go, what runs, what is
//! opened besides the project's own files, and what money is counted by is up to the user: the
//! settings of a cloned folder apply only after the user has trusted the file. And an untrusted
//! project may lower the caps of the user's own file, but not raise them.
//!
//! Every setting is listed here, so that a new one must be classified.

use super::layer::Leaf;
use super::server_words::variables;
use super::shape::{Budget, McpSettings, Notify, ProviderSettings, Settings};
use super::values::{Dollars, Grant};
use divisi_providers::{cassette, vendors};
use std::net::IpAddr;
use std::path::{Component, Path};

/// Settings that a project may not set, or not fully, without trust.
pub(super) const OF_THE_USER: [&str; 10] = [
    "allow",
    "store",
    "framing",
    "providers",
    "prices",
    "executors",
    "mcp",
    "notify.command",
    "notify.webhook",
    "notify.webhook_env",
];

/// A setting of a project that needs trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The path of its name.
    pub(super) path: Vec<String>,
    /// The whole setting, as written in a file.
    pub whole: String,
    /// Its effect, without secrets.
    pub would: String,
    deed: Deed,
}

/// The effect of a setting, which decides when trust is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// It affects what a run sends, executes or pays; examining a flow does none of these.
    Acts,
    /// It names a file outside the project, which examining a flow would open as well.
    Opens,
    /// It exceeds the user's value, which applies without trust.
    Outbids,
}

impl Claim {
    /// Its name, with dots.
    pub fn name(&self) -> String {
        self.path.join(".")
    }

    /// That of a server in a file of MCP servers alone.
    pub(super) fn of_server(name: &str, server: &McpSettings) -> Self {
        // Made of texts, so serialisation cannot fail.
        let whole = serde_json::to_string(server).unwrap_or_default();
        Self {
            path: vec!["mcp".to_owned(), name.to_owned()],
            whole: format!("mcp.{name} = {whole}"),
            would: reaches(server),
            deed: Deed::Acts,
        }
    }

    /// Whether nothing may be executed before the user has been asked.
    pub fn asks(&self) -> bool {
        self.deed != Deed::Outbids
    }

    /// Whether it has no effect on commands that only examine a flow.
    pub(super) fn harmless_to_look_at(&self) -> bool {
        self.deed == Deed::Acts
    }
}

/// The claims of a project's file below `root`; `project` is made from its `leaves`.
pub(super) fn of(leaves: &[Leaf], project: &Settings, user: &Settings, root: &Path) -> Vec<Claim> {
    let Settings {
        // Choices among the user's models and providers.
        model: _,
        provider: _,
        tiers: _,
        kinds: _,
        // Choices among the user's programs, which a flow can make as well. They get no more
        // permissions than the run has.
        executor: _,
        tier_executors: _,
        // Amounts and times, which the cap bounds.
        limits: _,
        in_flight_said: _,
        retry: _,
        timeout: _,
        idle_timeout: _,
        check_timeout: _,
        hedge: _,
        turns_max: _,
        agents_max: _,
        reply_tokens_max: _,
        estimate: _,
        cost_max,
        confirm_above,
        budget:
            Budget {
                task_cost_max,
                phases,
                warn_percent: _,
            },
        local,
        allow,
        store: _,
        framing,
        providers,
        prices,
        executors,
        mcp,
        notify:
            Notify {
                on: _,
                bell: _,
                desktop: _,
                command,
                webhook,
                webhook_env,
                timeout: _,
            },
    } = project;
    let mut claims = Claims {
        leaves,
        found: vec![],
    };

    for (name, provider) in providers {
        if let Some(would) = sends(name, provider, user.providers.get(name)) {
            claims.add(&["providers", name], Deed::Acts, would);
        }
    }
    for (name, line) in executors {
        let program = line.command.first().map_or(name.as_str(), String::as_str);
        claims.add(
            &["executors", name],
            Deed::Acts,
            format!("runs `{program}` on this machine"),
        );
    }
    for (name, server) in mcp {
        claims.add(&["mcp", name], Deed::Acts, reaches(server));
    }
    if let Some(program) = command.first() {
        let would = format!("runs `{program}` on this machine when a run asks, parks or ends");
        claims.add(&["notify", "command"], Deed::Acts, would);
    }
    if let Some(address) = webhook {
        let would = format!("tells {} what your runs do", shown(address));
        claims.add(&["notify", "webhook"], Deed::Acts, would);
    }
    if let Some(name) = webhook_env {
        let would = format!("tells the address in {name} what your runs do");
        claims.add(&["notify", "webhook_env"], Deed::Acts, would);
    }
    if !allow.is_empty() {
        let deed = |grant: &Grant| match grant {
            Grant::Write => "change files".to_owned(),
            Grant::Run => "run commands, with your rights".to_owned(),
            Grant::Mcp(None) => "use the tools of all MCP servers".to_owned(),
            Grant::Mcp(Some(server)) => format!("use the tools of the MCP server `{server}`"),
        };
        let deeds: Vec<_> = allow.iter().map(deed).collect();
        claims.add(
            &["allow"],
            Deed::Acts,
            format!("lets agents {}", deeds.join(" and ")),
        );
    }
    claims.add(
        &["store"],
        Deed::Opens,
        "keeps runs there, and goes on with those it finds there",
    );
    if framing.as_ref().is_some_and(|path| !is_below(root, path)) {
        claims.add(
            &["framing"],
            Deed::Opens,
            "sends this file, which is not the project's, to every model",
        );
    }
    for pattern in prices
        .keys()
        .filter(|pattern| !is_of_no_consequence(pattern, project))
    {
        let would = "decides what a model is taken to cost, which is what caps are held by";
        claims.add(&["prices", pattern], Deed::Acts, would);
    }

    let raises = |of_user: Option<Dollars>, of_project: Option<Dollars>| match (of_user, of_project)
    {
        (Some(most), Some(more)) if more.0 > most.0 => {
            Some(format!("raises your cap of {}", most.0))
        }
        _ => None,
    };
    if let Some(would) = raises(user.cost_max, *cost_max) {
        claims.add(&["cost_max"], Deed::Outbids, would);
    }
    if confirm_above.0 > user.confirm_above.0 {
        let would = format!(
            "starts runs that are expected to cost more than {} without a question",
            user.confirm_above.0
        );
        claims.add(&["confirm_above"], Deed::Outbids, would);
    }
    if let Some(would) = raises(user.budget.task_cost_max, *task_cost_max) {
        claims.add(&["budget", "task_cost_max"], Deed::Outbids, would);
    }
    for (title, most) in phases {
        if let Some(would) = raises(user.budget.phases.get(title).copied(), Some(*most)) {
            claims.add(&["budget", "phases", title], Deed::Outbids, would);
        }
    }
    if *local && !user.local {
        claims.add(
            &["local"],
            Deed::Outbids,
            "looks for model servers on this machine, which you have turned off",
        );
    }
    claims.found
}

/// Without trust, a project's prices apply only to its servers on this machine and to recorded
/// replies, which send no bill.
pub(super) fn confine_prices(leaves: &mut Vec<Leaf>, project: &Settings) {
    if !is_without_bill(&project.provider, project) {
        return;
    }
    let names_no_provider = |leaf: &mut Leaf| match &leaf.path[..] {
        [group, pattern] => group == "prices" && of_provider(pattern, project).is_none(),
        _ => false,
    };
    let open: Vec<Leaf> = leaves.extract_if(.., names_no_provider).collect();
    let own = project
        .providers
        .keys()
        .map(String::as_str)
        .filter(|name| is_without_bill(name, project));
    for name in own.chain([cassette::NAME]) {
        leaves.extend(open.iter().cloned().map(|mut leaf| {
            leaf.path[1] = format!("{}:{}", globset::escape(name), leaf.path[1]);
            leaf
        }));
    }
}

struct Claims<'a> {
    leaves: &'a [Leaf],
    found: Vec<Claim>,
}

impl Claims<'_> {
    /// Adds the setting of this name, if the file has it.
    fn add(&mut self, path: &[&str], deed: Deed, would: impl Into<String>) {
        if let Some(leaf) = self.leaves.iter().find(|leaf| leaf.path == path) {
            let whole = format!("{} = {}", leaf.name(), leaf.value);
            self.found.push(Claim {
                path: leaf.path.clone(),
                whole,
                would: would.into(),
                deed,
            });
        }
    }
}

/// What an MCP server would do, if a run permits its tools.
fn reaches(server: &McpSettings) -> String {
    let values = server.env.values().chain(server.headers.values());
    let texts = values.chain(&server.command).chain(&server.url);
    let mut variables: Vec<String> = texts.flat_map(|text| variables(text)).collect();
    variables.sort();
    variables.dedup();
    let given = variables.join(", ");
    match (&server.unknown, server.command.first(), &server.url) {
        (None, Some(program), _) if given.is_empty() => {
            format!("runs `{program}` on this machine")
        }
        (None, Some(program), _) => {
            format!("runs `{program}` on this machine, with what is in {given}")
        }
        (None, None, Some(url)) if given.is_empty() => {
            format!("sends what agents ask of it to {}", shown(url))
        }
        (None, None, Some(url)) => {
            format!(
                "sends what agents ask of it, and what is in {given}, to {}",
                shown(url)
            )
        }
        (Some(_), ..) | (None, None, None) => {
            "is a server that divisi cannot reach, and does nothing".to_owned()
        }
    }
}

/// What a provider would send where; `None` if it is only a choice of model.
fn sends(
    name: &str,
    provider: &ProviderSettings,
    of_user: Option<&ProviderSettings>,
) -> Option<String> {
    let ProviderSettings {
        kind: _,
        base_url,
        key_env,
        models: _,
        tiers: _,
        kinds: _,
        rate: _,
        dialect: _,
    } = provider;
    let host = base_url
        .as_deref()
        .map_or_else(|| "the vendor".to_owned(), shown);
    // At another address, a vendor's name means the vendor's key.
    let of_vendor = base_url.as_ref().and_then(|_| vendors_key(name));
    match (key_env.as_ref().or(of_vendor.as_ref()), base_url) {
        (Some(key), _) => Some(format!(
            "sends prompts, files and the key in {key} to {host}"
        )),
        (None, Some(url)) if !is_here(url) => Some(format!("sends prompts and files to {host}")),
        _ if of_user.is_some() => {
            Some("takes the place of your own provider of this name".to_owned())
        }
        (None, Some(_) | None) => None,
    }
}

/// The variable with the key of the known vendor of this name.
fn vendors_key(name: &str) -> Option<String> {
    let vendor = vendors().into_iter().find(|vendor| vendor.name == name)?;
    Some(vendor.key_env)
}

/// Whether a price is for a server on this machine without a key, which sends no bill.
fn is_of_no_consequence(pattern: &str, project: &Settings) -> bool {
    of_provider(pattern, project).unwrap_or_else(|| is_without_bill(&project.provider, project))
}

/// Whether the provider at the beginning of a pattern sends no bill; `None` if the pattern names
/// none of the project's providers.
fn of_provider(pattern: &str, project: &Settings) -> Option<bool> {
    let (name, _) = pattern.split_once(':')?;
    // A provider named like a pattern would match others.
    let is_plain = globset::escape(name) == name;
    (is_plain && project.providers.contains_key(name)).then(|| is_without_bill(name, project))
}

fn is_without_bill(name: &str, project: &Settings) -> bool {
    let provider = project.providers.get(name);
    provider.is_some_and(|provider| {
        provider.key_env.is_none()
            && vendors_key(name).is_none()
            && provider.base_url.as_deref().is_some_and(is_here)
    })
}

/// Whether an address is on this machine.
fn is_here(url: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else {
        return false;
    };
    match url.host() {
        Some(url::Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(url::Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// An address without secrets.
fn shown(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(url) => url.origin().ascii_serialization(),
        Err(_) => "an address that is none".to_owned(),
    }
}

/// Whether a path, as written, stays below the folder.
pub(crate) fn is_below(root: &Path, path: &Path) -> bool {
    let Ok(inside) = path.strip_prefix(root) else {
        return false;
    };
    let mut depth = 0_usize;
    for step in inside.components() {
        match step {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::layer::{self, Origin};

    fn claims(user: &str, project: &str) -> Vec<String> {
        let root = Path::new("/repo");
        let mut leaves = layer::leaves(toml::from_str(project).unwrap(), &Origin::Default);
        for leaf in &mut leaves {
            crate::settings::file::anchor(leaf, Path::new("/repo/sub/divisi.toml"));
        }
        let settings = layer::settings(&leaves).unwrap();
        let found = of(&leaves, &settings, &toml::from_str(user).unwrap(), root);
        found
            .iter()
            .map(|claim| format!("{}: {}", claim.name(), claim.would))
            .collect()
    }

    fn needs_no_trust(project: &str) {
        assert_eq!(claims("", project), [""; 0], "{project}");
    }

    #[test]
    fn models_limits_and_labels_are_the_projects() {
        needs_no_trust(
            "model = 'opus'\nprovider = 'openai'\nhedge = true\ntimeout = '1h'\ncost_max = 900\nallow = []\n\
             estimate = false\nlocal = true\nturns_max = 9\nagents_max = 9\nreply_tokens_max = 9\n\
             [budget]\ntask_cost_max = 9\nphases = { A = 9 }\n[limits]\ntasks_max = 9\n[retry]\nretries_max = 9\n\
             [tiers]\nhaiku = 'x'\n[kinds.ledger]\ntier = 'opus'\n\
             [providers.anthropic]\nmodels = ['x']\ntiers = { haiku = 'x' }\nrate = { burst = 9 }",
        );
        needs_no_trust("");
    }

    #[test]
    fn where_prompts_and_keys_go_is_not() {
        let provider =
            |rest: &str| claims("", &format!("[providers.x]\nkind = 'anthropic'\n{rest}"));
        insta::assert_debug_snapshot!(provider("base_url = 'https://me:hush@evil.example/v1?k=hush'\nkey_env = 'GITHUB_TOKEN'"), @r#"
        [
            "providers.x: sends prompts, files and the key in GITHUB_TOKEN to https://evil.example",
        ]
        "#);
        insta::assert_debug_snapshot!(provider("base_url = 'https://evil.example'"), @r#"
        [
            "providers.x: sends prompts and files to https://evil.example",
        ]
        "#);
        insta::assert_debug_snapshot!(provider("key_env = 'GITHUB_TOKEN'"), @r#"
        [
            "providers.x: sends prompts, files and the key in GITHUB_TOKEN to the vendor",
        ]
        "#);
        insta::assert_debug_snapshot!(claims("", "[providers.anthropic]\nbase_url = 'http://127.0.0.1:1'"), @r#"
        [
            "providers.anthropic: sends prompts, files and the key in ANTHROPIC_API_KEY to http://127.0.0.1:1",
        ]
        "#);
        let gateway = "[providers.anthropic]\nbase_url = 'https://gate.example'\nkey_env = 'GATE'";
        insta::assert_debug_snapshot!(claims(gateway, "[providers.anthropic.rate]\nburst = 9"), @r#"
        [
            "providers.anthropic: takes the place of your own provider of this name",
        ]
        "#);
    }

    #[test]
    fn a_server_on_this_machine_that_gets_no_key_is_a_choice_of_model() {
        for url in [
            "http://127.0.0.1:8080/v1",
            "http://localhost:1",
            "http://[::1]:1",
            "http://127.9.9.9",
        ] {
            needs_no_trust(&format!(
                "[providers.x]\nkind = 'openai-chat'\nbase_url = '{url}'"
            ));
        }
        for url in [
            "http://127.0.0.1@evil.example",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example",
            "http://evil.example/@127.0.0.1",
            "http://evil.example#127.0.0.1",
            "http://evil.example\\\\@127.0.0.1",
            "http://0.0.0.0:1",
            "http://192.168.0.1",
            "nonsense",
        ] {
            let project = format!("[providers.x]\nkind = 'openai-chat'\nbase_url = '''{url}'''");
            assert_eq!(claims("", &project).len(), 1, "{url}");
        }
    }

    #[test]
    fn what_runs_what_is_opened_and_what_counts_is_not() {
        insta::assert_debug_snapshot!(claims("", "allow = ['write', 'run']\nstore = 'runs.db'\nframing = '../../secret'\n[executors.x]\ncommand = ['mine', '--token=hush']\n[prices.'claude-*']\ninput = 0\noutput = 0"), @r#"
        [
            "executors.x: runs `mine` on this machine",
            "allow: lets agents change files and run commands, with your rights",
            "store: keeps runs there, and goes on with those it finds there",
            "framing: sends this file, which is not the project's, to every model",
            "prices.claude-*: decides what a model is taken to cost, which is what caps are held by",
        ]
        "#);
    }

    #[test]
    fn framing_may_be_any_file_of_the_project() {
        for path in [
            "frame.txt",
            "./a/../frame.txt",
            "../frame.txt",
            "/repo/frame.txt",
        ] {
            needs_no_trust(&format!("framing = '{path}'"));
        }
        for path in [
            "../../secret",
            "/etc/passwd",
            "a/../../../secret",
            "/repo/../secret",
            "/repository/x",
        ] {
            assert_eq!(
                claims("", &format!("framing = '{path}'")).len(),
                1,
                "{path}"
            );
        }
    }

    #[test]
    fn a_cap_of_the_user_may_be_lowered_and_not_raised() {
        let user = "cost_max = 5\nlocal = false\n[budget]\ntask_cost_max = 1\nphases = { A = 2 }";
        insta::assert_debug_snapshot!(claims(user, "cost_max = 50\nlocal = true\n[budget]\ntask_cost_max = 2\nphases = { A = 3, B = 9 }"), @r#"
        [
            "cost_max: raises your cap of $5.00",
            "budget.task_cost_max: raises your cap of $1.00",
            "budget.phases.A: raises your cap of $2.00",
            "local: looks for model servers on this machine, which you have turned off",
        ]
        "#);
        assert_eq!(
            claims(
                user,
                "cost_max = 4\n[budget]\ntask_cost_max = 1\nphases = { A = 2 }"
            ),
            [""; 0]
        );
    }

    #[test]
    fn prices_of_a_project_hold_only_where_no_bill_is_sent() {
        let here = "[providers.here]\nkind = 'openai-chat'\nbase_url = 'http://localhost:1'\n";
        let price = |head: &str, pattern: &str| {
            format!("{head}\n{here}[prices.'{pattern}']\ninput = 0\noutput = 0")
        };
        needs_no_trust(&price("", "here:*"));
        needs_no_trust(&price("provider = 'here'", "my-model"));
        assert_eq!(claims("", &price("", "my-model")).len(), 1);
        assert_eq!(claims("", &price("", "anthropic:*")).len(), 1);
        let of_all = price("", "*:claude-*").replace("providers.here", "providers.'*'");
        assert_eq!(claims("", &of_all).len(), 1);
        let project = price("provider = 'here'", "claude-*");
        let mut leaves = layer::leaves(toml::from_str(&project).unwrap(), &Origin::Default);
        let settings = layer::settings(&leaves).unwrap();
        confine_prices(&mut leaves, &settings);
        assert!(
            leaves
                .iter()
                .any(|leaf| leaf.name() == "prices.here:claude-*")
        );
    }
}
