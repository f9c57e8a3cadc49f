//! Which variables of the environment hold a secret, as far as names tell.

/// Words that make a variable a secret, as in `ANTHROPIC_API_KEY`.
const WORDS: [&str; 9] =
    ["KEY", "APIKEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "CREDENTIALS"];

pub(super) fn is_secret(variable: &str) -> bool {
    variable.split('_').any(|word| WORDS.iter().any(|secret| word.eq_ignore_ascii_case(secret)))
}

#[cfg(test)]
mod tests {
    use super::is_secret;

    #[test]
    fn names_tell_secrets_from_the_rest() {
        for name in ["ANTHROPIC_API_KEY", "AWS_ACCESS_KEY_ID", "GITHUB_TOKEN", "npm_token", "PASSWORD"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["PATH", "HOME", "KEYBOARD", "SSH_AUTH_SOCK", "TOKENIZERS_PARALLELISM", "CARGO_HOME"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
