//! Decides which environment variables hold a secret, as far as names show.

/// Words in a name that make its value a secret, as in `GITHUB_PAT`.
const WORDS: [&str; 36] = [
    "HEADERS",
    "NETRC",
    "KUBECONFIG_DATA",
    "KEY",
    "KEYS",
    "APIKEYS",
    "TOKEN",
    "SECRET",
    "SECRETS",
    "PASSWORD",
    "PASSWORDS",
    "PASSWD",
    "PASSPHRASE",
    "PASS",
    "PWD",
    "PW",
    "CREDENTIAL",
    "CREDENTIALS",
    "CRED",
    "CREDS",
    "AUTH",
    "OAUTH",
    "AUTHORIZATION",
    "PAT",
    "COOKIE",
    "COOKIES",
    "SESSION",
    "BEARER",
    "SIGNING",
    "PRIVATE",
    "DSN",
    "JWT",
    "HMAC",
    "MNEMONIC",
    "WEBHOOK",
    "CONNSTR",
];

/// Such words at the end of a compound: `STRIPEKEY`, `PGPASSWORD`.
const ENDINGS: [&str; 8] = [
    "KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASS", "PWD", "AUTH",
];

/// Words with such an ending and another meaning.
const OTHER_WORDS: [&str; 8] = [
    "MONKEY", "TURKEY", "HOTKEY", "DONKEY", "BYPASS", "COMPASS", "TRESPASS", "OLDPWD",
];

/// Names whose values usually are addresses with a password.
const ADDRESSES: [&str; 8] = [
    "DATABASE_URL",
    "DB_URL",
    "REDIS_URL",
    "MONGO_URL",
    "MONGODB_URI",
    "AMQP_URL",
    "CONNECTION_STRING",
    "CONN_STR",
];

/// Names with such a word that hold no secret, such as paths and session types. Programs fail
/// without them. The ssh agent never reveals its keys, and builds fetch with it.
const HARMLESS: [&str; 17] = [
    "PWD",
    "OLDPWD",
    "SSH_AUTH_SOCK",
    "DESKTOP_SESSION",
    "GDMSESSION",
    "SESSION_MANAGER",
    "WT_SESSION",
    "STARSHIP_SESSION_KEY",
    "XDG_SESSION_",
    "DBUS_SESSION_BUS_",
    "KONSOLE_DBUS_SESSION",
    "TERM_SESSION_ID",
    "ITERM_SESSION_ID",
    "ZELLIJ_SESSION_NAME",
    "GNOME_DESKTOP_SESSION_ID",
    "CODE_SIGNING_ALLOWED",
    "CODE_SIGNING_REQUIRED",
];

/// Words for passwords, whose values may be ordinary words.
const PASSWORDS: [&str; 7] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PASS",
    "PWD",
    "PW",
    "SECRET",
];

/// Variables that every program needs, whatever a setting says.
const NEEDED: [&str; 12] = [
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "TMPDIR", "PWD", "TZ", "HOSTNAME",
    "LC_ALL",
];

/// Whether this variable's value is a secret by its name.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    if HARMLESS
        .iter()
        .any(|known| name == *known || (known.ends_with('_') && name.starts_with(known)))
    {
        return false;
    }
    words(&name).any(is_telling) || ADDRESSES.iter().any(|address| name.ends_with(address))
}

pub(super) fn is_needed(name: &str) -> bool {
    NEEDED.contains(&name)
}

/// Whether the name is that of a password, whose value may look like any word.
pub(super) fn is_password(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let ends_so = |word: &str| PASSWORDS.iter().any(|end| word.ends_with(end));
    words(&name).any(ends_so)
}

/// The words of a name, without trailing digits: `TOKEN2` is a token.
fn words(name: &str) -> impl Iterator<Item = &str> {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    words.map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()))
}

fn is_telling(word: &str) -> bool {
    let ends = || ENDINGS.iter().any(|ending| word.ends_with(ending));
    WORDS.contains(&word) || (ends() && !OTHER_WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_secrets_from_the_rest() {
        let secret = [
            "ANTHROPIC_API_KEY",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "GITHUB_TOKEN",
            "npm_token",
            "NPM_AUTH",
            "npm_config__auth",
            "PASSWORD",
            "MYPASS",
            "PGPASSWORD",
            "DB_PASS",
            "DB_PW",
            "MYSQL_PWD",
            "GITHUB_PAT",
            "AZURE_DEVOPS_EXT_PAT",
            "STRIPEKEY",
            "CORP_LLM_AUTH",
            "OAUTH_CODE",
            "SERVICE_CREDS",
            "DB_CRED",
            "LOGIN_COOKIE",
            "BW_SESSION",
            "OP_SESSION_home",
            "BEARER",
            "CODE_SIGNING_SECRET",
            "TLS_PRIVATE",
            "SENTRY_DSN",
            "AZURE_STORAGE_CONNECTION_STRING",
            "DATABASE_URL",
            "TEST_DATABASE_URL",
            "SLACK_WEBHOOK",
            "API_KEYS",
            "TOKEN2",
            "clientsecret",
            "apiToken",
            "JWT",
            "GIT_ASKPASS",
        ];
        for name in secret {
            assert!(is_secret(name), "{name}");
        }
        let plain = [
            "PATH",
            "HOME",
            "PWD",
            "OLDPWD",
            "INIT_CWD",
            "KEYBOARD",
            "KEYMAP",
            "XKB_DEFAULT_LAYOUT",
            "SSH_AUTH_SOCK",
            "XAUTHORITY",
            "GIT_AUTHOR_NAME",
            "GIT_AUTHOR_EMAIL",
            "AUTHOR",
            "TOKENIZERS_PARALLELISM",
            "MAX_TOKENS",
            "CARGO_HOME",
            "GOPRIVATE",
            "PATTERN",
            "COMPASS",
            "BYPASS",
            "MONKEY",
            "XDG_SESSION_TYPE",
            "XDG_SESSION_ID",
            "DESKTOP_SESSION",
            "SESSION_MANAGER",
            "DBUS_SESSION_BUS_ADDRESS",
            "TERM_SESSION_ID",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "NIX_SSL_CERT_FILE",
            "CERTIFICATES",
            "CODE_SIGNING_ALLOWED",
            "SPAWN",
            "PASSENGER_BASE",
            "OPENAI_BASE_URL",
            "DISPLAY",
        ];
        for name in plain {
            assert!(!is_secret(name), "{name}");
        }
    }
}
