//! The formats of values in settings and flags.

use super::server_words;
use divisi_core::time::BadSpan;
use divisi_core::{Millis, PicoUsd, price};
use divisi_engine::Permissions;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A time span: `90s`, `10m`, `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Span(pub Millis);

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|bad: BadSpan| bad.to_string())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a span of time with its unit, like \"90s\", \"10m\" or \"1h30m\"")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "span of time".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "span",
            "pattern": "[0-9].*[A-Za-zµ]",
            "examples": ["90s", "10m", "1h30m"],
        })
    }
}

/// A dollar amount: `5`, `0.35`, `$12.50`; in a file also a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Dollars(pub PicoUsd);

impl FromStr for Dollars {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        PicoUsd::parse_dollars(text)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no amount of dollars: write it like 5 or 0.35"))
    }
}

/// With all digits, so that parsing gives the same amount.
impl From<Dollars> for String {
    fn from(Dollars(PicoUsd(pico)): Dollars) -> Self {
        let (whole, fraction) = (pico / PicoUsd::DOLLAR.0, pico % PicoUsd::DOLLAR.0);
        let fraction = format!("{fraction:012}");
        format!("{whole}.{:0<2}", fraction.trim_end_matches('0'))
    }
}

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Amount;
        impl Visitor<'_> for Amount {
            type Value = Dollars;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of dollars, like 5 or 0.35")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Dollars, E> {
                text.parse()
                    .map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
            fn visit_i64<E: Error>(self, dollars: i64) -> Result<Dollars, E> {
                self.visit_str(&dollars.to_string())
            }
            fn visit_u64<E: Error>(self, dollars: u64) -> Result<Dollars, E> {
                self.visit_str(&dollars.to_string())
            }
            fn visit_f64<E: Error>(self, dollars: f64) -> Result<Dollars, E> {
                // The shortest text for this number is what the author wrote.
                self.visit_str(&dollars.to_string())
            }
        }
        deserializer.deserialize_any(Amount)
    }
}

impl JsonSchema for Dollars {
    fn schema_name() -> Cow<'static, str> {
        "dollars".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["number", "string"],
            "format": "dollars",
            "minimum": 0,
            "pattern": r"^\$?[0-9]*\.?[0-9]*$",
            "examples": [5, 0.35],
        })
    }
}

/// The bound of one attempt of a program: a dollar amount, or `free`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum AttemptPrice {
    /// Free of cost.
    Free,
    /// At most this.
    UpTo(Dollars),
}

impl From<AttemptPrice> for String {
    fn from(price: AttemptPrice) -> Self {
        match price {
            AttemptPrice::Free => "free".to_owned(),
            AttemptPrice::UpTo(most) => most.into(),
        }
    }
}

impl<'de> Deserialize<'de> for AttemptPrice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Price;
        impl Visitor<'_> for Price {
            type Value = AttemptPrice;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "the most that one attempt costs in dollars, like \"$0.50\", or \"free\"",
                )
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<AttemptPrice, E> {
                match text {
                    "free" => Ok(AttemptPrice::Free),
                    _ => text
                        .parse()
                        .map(AttemptPrice::UpTo)
                        .map_err(|_| E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
            fn visit_i64<E: Error>(self, dollars: i64) -> Result<AttemptPrice, E> {
                self.visit_str(&dollars.to_string())
            }
            fn visit_f64<E: Error>(self, dollars: f64) -> Result<AttemptPrice, E> {
                // The shortest text for this number is what the author wrote.
                self.visit_str(&dollars.to_string())
            }
        }
        deserializer.deserialize_any(Price)
    }
}

impl JsonSchema for AttemptPrice {
    fn schema_name() -> Cow<'static, str> {
        "attempt_price".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["number", "string"],
            "format": "dollars, or \"free\"",
            "minimum": 0,
            "pattern": r"^(free|\$?[0-9]*\.?[0-9]*)$",
            "examples": ["$0.50", "free"],
        })
    }
}

/// The price of a million tokens, written like any amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Dollars", into = "Dollars")]
pub struct PerMillion(Dollars);

impl PerMillion {
    /// The price of one token.
    pub fn per_token(self) -> PicoUsd {
        // Checked when it was parsed.
        price::per_token(self.0.0).unwrap_or_default()
    }
}

impl JsonSchema for PerMillion {
    fn schema_name() -> Cow<'static, str> {
        "dollars per million tokens".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Dollars::json_schema(generator)
    }
}

impl TryFrom<Dollars> for PerMillion {
    type Error = String;
    fn try_from(dollars: Dollars) -> Result<Self, String> {
        match price::per_token(dollars.0) {
            Some(_) => Ok(Self(dollars)),
            None => Err(format!(
                "a price of {} has more than six decimals",
                String::from(dollars)
            )),
        }
    }
}

impl From<PerMillion> for Dollars {
    fn from(price: PerMillion) -> Self {
        price.0
    }
}

/// A permission of agents besides reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum Grant {
    /// Change files of the workspace.
    Write,
    /// Run commands, with the rights of the user.
    Run,
    /// Use tools of MCP servers: of this one, or of all in the settings.
    Mcp(Option<String>),
}

impl Grant {
    /// All words for them, with what they permit.
    pub const WORDS: [(&str, &str); 4] = [
        ("write", "Change files of the workspace"),
        ("run", "Run commands, with the rights of the user"),
        ("mcp", "Use tools of all MCP servers of the settings"),
        ("mcp:SERVER", "Use tools of this MCP server"),
    ];
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write => f.write_str("write"),
            Self::Run => f.write_str("run"),
            Self::Mcp(None) => f.write_str("mcp"),
            Self::Mcp(Some(server)) => write!(f, "mcp:{server}"),
        }
    }
}

impl FromStr for Grant {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        match (word, word.strip_prefix("mcp:")) {
            ("write", _) => Ok(Self::Write),
            ("run", _) => Ok(Self::Run),
            ("mcp", _) => Ok(Self::Mcp(None)),
            (_, Some(server)) if server_words::is_name(server) => {
                Ok(Self::Mcp(Some(server.to_owned())))
            }
            (_, Some(_)) => Err(format!("`{word}` names no MCP server")),
            (_, None) => Err(format!(
                "`{word}` is none of `write`, `run`, `mcp` and `mcp:SERVER`"
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Grant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// As those of an enum, whose errors name them.
        const WORDS: [&str; 4] = ["write", "run", "mcp", "mcp:SERVER"];
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Grant;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a permission")
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<Grant, E> {
                word.parse().map_err(|_| E::unknown_variant(word, &WORDS))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl From<Grant> for String {
    fn from(grant: Grant) -> Self {
        grant.to_string()
    }
}

impl JsonSchema for Grant {
    fn schema_name() -> Cow<'static, str> {
        "grant".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let forms = Self::WORDS.map(|(word, about)| match word.ends_with(":SERVER") {
            false => serde_json::json!({"const": word, "type": "string", "description": about}),
            true => serde_json::json!({
                "title": word,
                "type": "string",
                "pattern": "^mcp:[A-Za-z0-9_-]+$",
                "description": about,
            }),
        });
        json_schema!({ "oneOf": forms })
    }
}

/// Longest pattern of model ids, several times the longest id.
const PATTERN_BYTES_MAX: usize = 1_000;

/// Most braces of a pattern. Its compiler is recursive for each, and a settings file may come from
/// outside.
const PATTERN_BRACES_MAX: usize = 32;

/// Refuses a pattern of model ids that is larger than any useful one.
pub(super) fn check_pattern(pattern: &str) -> Result<(), String> {
    let braces = pattern.matches('{').count();
    match pattern.len() > PATTERN_BYTES_MAX || braces > PATTERN_BRACES_MAX {
        false => Ok(()),
        true => Err(format!(
            "a pattern of model ids may have {PATTERN_BYTES_MAX} bytes and {PATTERN_BRACES_MAX} braces; this one has {} and {braces}",
            pattern.len()
        )),
    }
}

/// The permissions of these grants.
pub(crate) fn permissions(grants: &[Grant]) -> Permissions {
    Permissions {
        write: grants.contains(&Grant::Write),
        run: grants.contains(&Grant::Run),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_shown_alike() {
        for (text, millis) in [
            ("90s", 90_000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
        ] {
            assert_eq!(text.parse::<Span>().unwrap().0, Millis(millis), "{text}");
        }
        assert_eq!("600s".parse::<Span>().unwrap().to_string(), "10m");
        insta::assert_snapshot!("10".parse::<Span>().unwrap_err(), @"`10` is no span of time: write it with its unit, like 90s, 10m or 1h30m");
        insta::assert_snapshot!("0s".parse::<Span>().unwrap_err(), @"`0s` is no span of time: it must be a millisecond or more");
        assert!("-5m".parse::<Span>().is_err());
    }

    #[test]
    fn amounts_are_the_same_after_writing_and_reading() {
        for text in ["5.00", "0.35", "12.50", "0.000000000001"] {
            let amount: Dollars = text.parse().unwrap();
            assert_eq!(String::from(amount), text);
            assert_eq!(
                serde_json::from_str::<Dollars>(&format!("\"{text}\"")).unwrap(),
                amount
            );
        }
        assert_eq!(
            serde_json::from_str::<Dollars>("0.35").unwrap(),
            "0.35".parse().unwrap()
        );
        assert!(serde_json::from_str::<Dollars>("-1").is_err());
    }

    #[test]
    fn prices_of_a_million_tokens_are_exact() {
        let price =
            |json: &str| serde_json::from_str::<PerMillion>(json).map(PerMillion::per_token);
        assert_eq!(price("0.1").unwrap(), PicoUsd(100_000));
        assert_eq!(price("\"0.000001\"").unwrap(), PicoUsd(1));
        assert_eq!(price("3").unwrap(), PicoUsd(3_000_000));
        assert_eq!(price("0").unwrap(), PicoUsd::ZERO);
        let error = price("0.0000001").unwrap_err();
        insta::assert_snapshot!(error, @"a price of 0.0000001 has more than six decimals");
    }
}
