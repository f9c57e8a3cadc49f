//! Decides which parts of a value are secret, as far as the value shows.

use super::variables;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use serde_json::Value;

/// How certain it is that a value is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    /// A key in use.
    Sure,
    /// A password by its name, which may be an ordinary word.
    Password,
    /// A secret by its name, if it looks as random as keys do.
    Likely,
    /// Only the value is known.
    None,
}

/// Shortest key in use that is searched for. Shorter ones occur in ordinary words and numbers.
const SURE_CHARS_MIN: usize = 6;

/// Shortest value of a variable that is searched for.
const CHARS_MIN: usize = 8;

/// A longer value without digits is not an ordinary word.
const WORD_CHARS_MAX: usize = 20;

/// Shortest number searched for: shorter ones count tokens, cents and milliseconds.
const NUMBER_DIGITS_MIN: usize = 16;

/// Placeholders where a key is required but not used, and other words that occur in every text.
/// Redacting them would hide nothing.
const PLACEHOLDERS: [&str; 35] = [
    "administrator",
    "anything",
    "api-key",
    "apikey",
    "change-me",
    "changeme",
    "default",
    "development",
    "disabled",
    "example",
    "lm-studio",
    "lmstudio",
    "localhost",
    "llama.cpp",
    "minioadmin",
    "mongodb",
    "no-key",
    "none-needed",
    "not-needed",
    "not-used",
    "ollama",
    "passw0rd",
    "password",
    "password1",
    "placeholder",
    "postgres",
    "postgresql",
    "production",
    "rabbitmq",
    "secret",
    "sk-no-key-required",
    "test1234",
    "undefined",
    "unused",
    "username",
];

/// Prefixes of keys, with their shortest length.
const FORMATS: [(&str, usize); 24] = [
    ("sk-", 20),
    ("sk_live_", 20),
    ("sk_test_", 20),
    ("rk_live_", 20),
    ("whsec_", 20),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 20),
    ("AKIA", 20),
    ("ASIA", 20),
    ("AIza", 30),
    ("ya29.", 20),
    ("xoxb-", 15),
    ("xoxp-", 15),
    ("xoxa-", 15),
    ("xoxs-", 15),
    ("hf_", 20),
    ("npm_", 20),
    ("pypi-", 20),
    ("eyJ", 40),
];

/// Shortest run of letters and digits in a key.
const KEY_RUN_MIN: usize = 10;

/// Levels of JSON that are searched: service accounts have two.
const JSON_DEPTH_MAX: usize = 4;

/// The secrets in a value. Keys of a known format, private keys, and passwords in addresses are
/// found whatever the certainty.
pub(super) fn parts(value: &str, certainty: Certainty) -> Vec<String> {
    let value = value.trim();
    let mut found = in_address(value, Certainty::Password);
    if let Ok(json @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(value) {
        in_json(&json, certainty, JSON_DEPTH_MAX, &mut found);
        return found;
    }
    if is_private_key(value) {
        // Line by line, because a program may print something before each line.
        let lines = value
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with("-----"));
        found.extend(
            lines
                .filter(|line| line.len() >= SURE_CHARS_MIN)
                .map(str::to_owned),
        );
        return found;
    }
    let words = value
        .split(|c| !is_of_key(c))
        .filter(|word| has_key_format(word));
    for word in words.map(str::to_owned) {
        if !found.contains(&word) {
            found.push(word);
        }
    }
    // In `Bearer abc` the second word is the secret.
    let scheme = value
        .split_once(' ')
        .filter(|(scheme, rest)| is_scheme(scheme) && !rest.contains(' '));
    let whole = scheme.map_or(value, |(_, rest)| rest);
    if is_secret(whole, certainty) && !found.iter().any(|found| found == whole) {
        found.push(whole.to_owned());
    }
    found
}

/// The secrets in an address: its password, a token in place of a user, and parameters with a key.
/// As written and decoded.
pub(super) fn in_address(value: &str, certainty: Certainty) -> Vec<String> {
    let Some((scheme, rest)) = value.split_once("://") else {
        return vec![];
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let written = match authority
        .rsplit_once('@')
        .map(|(user, _)| (user, user.split_once(':')))
    {
        None => None,
        // A default password of a local database.
        Some((_, Some((user, password)))) if password == user || scheme.starts_with(password) => {
            None
        }
        Some((_, Some((_, password)))) => Some((password, certainty)),
        // A user's name or a token; names look like words.
        Some((user, None)) => Some((user, Certainty::Likely)),
    };
    let meant = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let mut found: Vec<String> = written
        .into_iter()
        .flat_map(|(text, certainty)| [(text.to_owned(), certainty), (meant(text), certainty)])
        .filter(|(text, certainty)| is_secret(text, *certainty))
        .map(|(text, _)| text)
        .collect();
    if let Ok(url) = Url::parse(value) {
        let parameters = url
            .query_pairs()
            .filter(|(name, _)| variables::is_secret(name));
        found.extend(
            parameters
                .map(|(_, value)| value.into_owned())
                .filter(|text| is_secret(text, certainty)),
        );
    }
    found.sort();
    found.dedup();
    found
}

/// The secrets in the value of a variable, setting, header or parameter with this name.
pub(super) fn in_named(name: &str, value: &str) -> Vec<String> {
    let certainty = match variables::is_secret(name) {
        false => Certainty::None,
        true if variables::is_password(name) => Certainty::Password,
        true => Certainty::Likely,
    };
    parts(value, certainty)
}

fn in_json(value: &Value, certainty: Certainty, depth: usize, found: &mut Vec<String>) {
    match value {
        _ if depth == 0 => {}
        Value::String(text) => found.extend(parts(text, certainty)),
        Value::Array(items) => items
            .iter()
            .for_each(|item| in_json(item, certainty, depth - 1, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) => found.extend(in_named(name, text)),
                    value => in_json(value, Certainty::None, depth - 1, found),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_secret(value: &str, certainty: Certainty) -> bool {
    let chars = value.chars().count();
    let is_number = value
        .bytes()
        .all(|b| b.is_ascii_digit() || b".,-_ ".contains(&b));
    let is_placeholder = PLACEHOLDERS
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word));
    if is_placeholder || (is_number && chars < NUMBER_DIGITS_MIN) || is_path(value) {
        return false;
    }
    match certainty {
        Certainty::Sure => chars >= SURE_CHARS_MIN,
        Certainty::Password => chars >= CHARS_MIN,
        Certainty::Likely => chars >= CHARS_MIN && !value.contains("://") && looks_random(value),
        Certainty::None => false,
    }
}

/// Whether it is neither a word nor several words with dashes.
fn looks_random(value: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| value.bytes().any(|byte| kind(&byte));
    let letters = has(u8::is_ascii_alphabetic);
    let mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    (letters && has(u8::is_ascii_digit)) || mixed || value.len() > WORD_CHARS_MAX
}

/// Whether it is a path: the path of a key is not a key.
fn is_path(value: &str) -> bool {
    let is_rooted = ["/", "~/", "./", "../"]
        .iter()
        .any(|root| value.starts_with(root));
    is_rooted && (value.starts_with("~/") || std::path::Path::new(value).exists())
}

fn is_private_key(value: &str) -> bool {
    value.contains("-----BEGIN") && value.contains("PRIVATE KEY")
}

fn is_of_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn has_key_format(word: &str) -> bool {
    let begins = FORMATS
        .iter()
        .any(|(begin, chars_min)| word.starts_with(begin) && word.len() >= *chars_min);
    // Folder names may begin like keys; they are words with dashes.
    begins
        && word
            .split(['-', '_', '.'])
            .any(|run| run.len() >= KEY_RUN_MIN && looks_random(run))
}

fn is_scheme(word: &str) -> bool {
    ["bearer", "basic", "token", "apikey"]
        .iter()
        .any(|scheme| word.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_paths_and_numbers_are_no_secrets() {
        for value in [
            "ollama",
            "EMPTY",
            "x",
            "none",
            "true",
            "1234567890",
            "1.5",
            "/usr/bin",
            "~/.ssh/id",
            "Password",
        ] {
            assert_eq!(parts(value, Certainty::Sure), [""; 0], "{value}");
        }
        assert_eq!(parts("plasmawayland", Certainty::Likely), [""; 0]);
        assert_eq!(
            parts("https://vault.example.com/v1", Certainty::Likely),
            [""; 0]
        );
        for value in [
            "AKIA",
            "/home/me/sk-learn-experiments-2026/x",
            "postgres://postgres:postgres@localhost/db",
        ] {
            assert_eq!(parts(value, Certainty::None), [""; 0], "{value}");
        }
        assert_eq!(
            parts("https://somebody@dev.example.com/x", Certainty::None),
            [""; 0]
        );
    }

    #[test]
    fn what_is_secret_in_a_value_is_found() {
        let found = |value: &str, certainty| parts(value, certainty).join(" | ");
        assert_eq!(found("hunter2", Certainty::Sure), "hunter2");
        assert_eq!(found("correcthorse", Certainty::Password), "correcthorse");
        assert_eq!(
            found("Bearer abc-123-def", Certainty::Likely),
            "abc-123-def"
        );
        assert_eq!(
            found("a AKIA0123456789ABCDEF b", Certainty::None),
            "AKIA0123456789ABCDEF"
        );
        assert_eq!(
            found("redis://:p%40ss-w0rd@h:1", Certainty::None),
            "p%40ss-w0rd | p@ss-w0rd"
        );
        assert_eq!(
            found(
                "https://gate.example/v1?x=1&api-key=q-012345",
                Certainty::None
            ),
            "q-012345"
        );
        let pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0B\n-----END RSA PRIVATE KEY-----";
        assert_eq!(found(pem, Certainty::None), "MIIEvQIBADAN | BgkqhkiG9w0B");
        let account = r#"{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\n"}"#;
        assert_eq!(found(account, Certainty::Likely), "MIIEvQIBADAN");
    }

    #[test]
    fn values_tell_what_names_do_not() {
        let found = in_named;
        assert_eq!(
            found("OPENAI_BASE_URL", "https://me:PLANTED5@gate.example"),
            ["PLANTED5"]
        );
        assert_eq!(
            found("DATABASE_URL", "postgres://u:PLANTED2@h/d"),
            ["PLANTED2"]
        );
        assert_eq!(
            found("REMOTE", "https://ghp_0123456789abcdefghij@github.com/a/b"),
            ["ghp_0123456789abcdefghij"]
        );
        assert_eq!(
            found("CONFIG", r#"{"k": "sk-ant-api03-0123456789abcdef"}"#),
            ["sk-ant-api03-0123456789abcdef"]
        );
        assert_eq!(found("A_PASSWORD", "hunter hunter"), ["hunter hunter"]);
        assert_eq!(found("LANG", "en_US.UTF-8"), [""; 0]);
        assert_eq!(found("SORT_KEY", "created_at"), [""; 0]);
        assert_eq!(found("APP_KEY", "true"), [""; 0]);
        assert_eq!(found("AUTH", "disabled"), [""; 0]);
    }
}
