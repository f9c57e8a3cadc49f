//! Registers the secrets in settings for redaction, before the settings are used.

use super::Settings;
use divisi_providers::{redact, vendors};

/// Registers the keys that any provider may use, whether it is asked or not, passwords in
/// addresses, and variables of programs.
pub(super) fn make_known(settings: &Settings) {
    for vendor in vendors() {
        redact::add_variable(&vendor.key_env);
    }
    for provider in settings.providers.values() {
        provider
            .key_env
            .iter()
            .for_each(|name| redact::add_variable(name));
        provider
            .base_url
            .iter()
            .for_each(|url| redact::add_address(url));
    }
    for server in settings.mcp.values() {
        let values = server.env.iter().chain(&server.headers);
        values.for_each(|(name, value)| redact::add_setting(name, value));
        server.url.iter().for_each(|url| redact::add_address(url));
    }
    for executor in settings.executors.values() {
        executor
            .env
            .iter()
            .for_each(|(name, value)| redact::add_setting(name, value));
    }
}

/// Registers what looks like a key in a settings file, because errors quote the file.
pub(super) fn make_known_in(text: &str) {
    redact::add_setting("", text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_settings_is_known() {
        let settings: Settings = toml::from_str(
            "[providers.x]\nkind = 'openai'\nbase_url = 'https://me:gate-4811x@example.com/?token=query-4812x'\n\
             [executors.y]\ncommand = ['y']\nenv = { Y_TOKEN = 'given-4813x', Y_MODE = 'fast' }",
        )
        .unwrap();
        make_known(&settings);
        make_known_in("[x]\nkey = 'sk-ant-api03-0123456789abcdef'");
        let text = "gate-4811x query-4812x given-4813x fast sk-ant-api03-0123456789abcdef";
        assert_eq!(redact::redact(text), "*** *** *** fast ***");
        let shown = format!("{settings:?}");
        assert!(!shown.contains("481"), "{shown}");
    }
}
