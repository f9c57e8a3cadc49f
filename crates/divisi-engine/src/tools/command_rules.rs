//! Which commands an agent may run.

/// Characters that make several commands of one line, or redirect output. Quoting is ignored: a
/// rule that is sometimes too strict is better than one that can be circumvented.
const OPERATORS: [char; 13] = [
    ';', '&', '|', '<', '>', '`', '$', '(', ')', '{', '}', '\n', '\r',
];

/// Patterns of allowed and denied commands. The default allows all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CommandRules {
    /// One of these must match; without any, every command may run.
    allowed: Option<Vec<String>>,
    /// None of these may match. This prevents mistakes, not malice: the same command can be written
    /// in other ways.
    denied: Vec<String>,
}

impl CommandRules {
    pub(super) fn allow_only(&mut self, patterns: Vec<String>) {
        self.allowed = Some(patterns);
    }

    pub(super) fn deny(&mut self, pattern: String) {
        self.denied.push(pattern);
    }

    /// The patterns of allowed commands, if not all are, and of denied ones.
    pub(super) fn patterns(&self) -> (Option<&[String]>, &[String]) {
        (self.allowed.as_deref(), &self.denied)
    }

    /// Describes the rules for the model; `None` if there are none.
    pub(super) fn describe(&self) -> Option<String> {
        let list = |patterns: &[String]| {
            patterns
                .iter()
                .map(|p| format!("`{p}`"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let rule = match (&self.allowed, self.denied.is_empty()) {
            (None, true) => return None,
            (Some(allowed), true) => format!("Only these may run: {}.", list(allowed)),
            (None, false) => format!("These may not run: {}.", list(&self.denied)),
            (Some(allowed), false) => {
                format!(
                    "Only these may run: {}; but not {}.",
                    list(allowed),
                    list(&self.denied)
                )
            }
        };
        Some(format!(
            "{rule} One plain command at a time, without shell operators."
        ))
    }

    /// Checks one command; the error is for the model.
    pub(super) fn check(&self, command: &str) -> Result<(), String> {
        let Some(rules) = self.describe() else {
            return Ok(());
        };
        let command = command.trim();
        let is_plain = !command.contains(OPERATORS);
        let is_allowed = self
            .allowed
            .as_ref()
            .is_none_or(|allowed| allowed.iter().any(|p| fits(p, command)));
        let is_denied = self.denied.iter().any(|p| fits(p, command));
        match is_plain && is_allowed && !is_denied {
            true => Ok(()),
            false => Err(format!("this command is not allowed. {rules}")),
        }
    }
}

/// Whether `command` matches `pattern`, in which `*` matches anything. `git log *` and `git log:*`
/// also match `git log` alone.
fn fits(pattern: &str, command: &str) -> bool {
    match pattern
        .strip_suffix(":*")
        .or_else(|| pattern.strip_suffix(" *"))
    {
        Some(start) => fits_exactly(start, command) || fits_exactly(&format!("{start} *"), command),
        None => fits_exactly(pattern, command),
    }
}

/// Finds each part between stars at its first place after the part before: if the rest matches
/// anywhere, it matches after that.
fn fits_exactly(pattern: &str, command: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == command;
    };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let inner = command
        .strip_prefix(start)
        .and_then(|command| command.strip_suffix(end));
    let after = |left: &mut &str, part: &str| {
        let at = left.find(part)?;
        *left = &left[at + part.len()..];
        Some(())
    };
    inner.is_some_and(|mut left| {
        middle
            .split('*')
            .all(|part| after(&mut left, part).is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowing(patterns: &[&str]) -> CommandRules {
        let mut rules = CommandRules::default();
        rules.allow_only(patterns.iter().map(|&p| p.to_owned()).collect());
        rules
    }

    #[test]
    fn patterns_fit_their_commands_only() {
        let rules = allowing(&["git log *", "npm:*", "git status", "cargo * --locked"]);
        for command in [
            "git log",
            "git log -5 --stat",
            "npm",
            "npm test",
            " git status ",
            "cargo test --locked",
        ] {
            assert_eq!(rules.check(command), Ok(()), "{command}");
        }
        for command in [
            "git logs",
            "git push",
            "npmx",
            "git status -s",
            "cargo test",
            "",
            "env git log",
        ] {
            assert!(rules.check(command).is_err(), "{command}");
        }
    }

    #[test]
    fn many_stars_take_no_more_time_than_one() {
        let rules = allowing(&[&"*a".repeat(60), "x*yz*z"]);
        assert!(rules.check(&"a".repeat(100_000)).is_ok());
        assert!(rules.check(&format!("{}b", "a".repeat(100_000))).is_err());
        for (command, fits) in [
            ("xyzz", true),
            ("xyz", false),
            ("x1yz2z", true),
            ("xyyzz", true),
            ("xzyz", false),
        ] {
            assert_eq!(rules.check(command).is_ok(), fits, "{command}");
        }
    }

    #[test]
    fn an_allowed_beginning_does_not_carry_another_command() {
        let rules = allowing(&["git log *"]);
        for tail in [
            "; rm x", "&& rm x", "& rm x", "| sh", "> x", "< x", "`rm x`", "$(rm x)", "${X}",
            "\nrm x", "\r\nrm x", "<(rm x)", "-5 {a,b}",
        ] {
            let command = format!("git log {tail}");
            assert!(rules.check(&command).is_err(), "{command:?}");
        }
    }

    #[test]
    fn what_is_denied_is_denied_even_if_it_is_allowed() {
        let mut rules = allowing(&["git *"]);
        rules.deny("git push:*".to_owned());
        assert_eq!(rules.check("git log"), Ok(()));
        assert_eq!(
            rules.check("git push origin").unwrap_err(),
            "this command is not allowed. Only these may run: `git *`; but not `git push:*`. \
             One plain command at a time, without shell operators."
        );
    }

    #[test]
    fn without_rules_everything_may_run() {
        assert_eq!(CommandRules::default().check("a | b; c"), Ok(()));
    }
}
