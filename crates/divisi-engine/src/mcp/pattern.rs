//! Names and globs by which tasks select tools of MCP servers.

use crate::globs;
use globset::GlobMatcher;

/// What the names of all such tools begin with.
const PREFIX: &str = "mcp__";

/// What separates the name of a server from that of its tool.
const SEPARATOR: &str = "__";

/// One entry of a list of tools: `mcp__SERVER__TOOL`, with globs in both parts, or `mcp__SERVER`
/// for all tools of a server.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: String,
    server: GlobMatcher,
    tool: GlobMatcher,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl Pattern {
    /// Parses an entry; `None` if it is none of such tools, or its globs are not valid.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?;
        let (server, tool) = match rest.split_once(SEPARATOR) {
            Some((server, tool)) => (server, tool),
            None => (rest, "*"),
        };
        if server.is_empty() || tool.is_empty() {
            return None;
        }
        Some(Self {
            text: text.to_owned(),
            server: globs::compile(server, false).ok()?,
            tool: globs::compile(tool, false).ok()?,
        })
    }

    /// The entry as written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it may select a tool of this server.
    pub(crate) fn may_select(&self, server: &str) -> bool {
        self.server.is_match(server)
    }

    /// Whether it selects this tool of this server, by the name that models see.
    pub(super) fn selects(&self, server: &str, tool: &str) -> bool {
        self.may_select(server) && self.tool.is_match(tool)
    }
}

/// The name of a tool for models: other characters than letters, digits, `_` and `-` become `_`.
/// `None` if it is too long for some vendors.
pub(super) fn full_name(server: &str, tool: &str) -> Option<String> {
    /// The shortest limit of a vendor.
    const BYTES_MAX: usize = 64;
    let name = format!("{PREFIX}{server}{SEPARATOR}{}", plain(tool));
    (name.len() <= BYTES_MAX && !tool.is_empty()).then_some(name)
}

/// A name with other characters than letters, digits, `_` and `-` replaced by `_`.
pub(super) fn plain(name: &str) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() || c == '-' {
        true => c,
        false => '_',
    };
    name.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_select_servers_and_tools() {
        let selects = |pattern: &str, server: &str, tool: &str| {
            Pattern::parse(pattern).is_some_and(|pattern| pattern.selects(server, tool))
        };
        for pattern in [
            "mcp__git__log",
            "mcp__git__*",
            "mcp__git",
            "mcp__*",
            "mcp__g*__l?g",
            "mcp__{git,hub}__log",
        ] {
            assert!(selects(pattern, "git", "log"), "{pattern}");
            assert!(
                !selects(pattern, "other_", "log_x") || pattern == "mcp__*",
                "{pattern}"
            );
        }
        assert!(!selects("mcp__git__log", "git", "log_all"));
        assert!(!selects("mcp__git", "github", "log"), "not a prefix");
        assert!(
            selects("mcp__a__b__c", "a", "b__c"),
            "a tool may have a separator"
        );
        for other in [
            "Read",
            "mcp__",
            "mcp____x",
            "mcp__x__",
            "mcp__x__[",
            "MCP__git__log",
        ] {
            assert!(Pattern::parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn names_are_such_as_every_vendor_takes() {
        assert_eq!(full_name("x", "a.b/c d").unwrap(), "mcp__x__a_b_c_d");
        assert_eq!(full_name("x", &"t".repeat(56)).unwrap().len(), 64);
        assert_eq!(full_name("x", &"t".repeat(57)), None);
    }
}
