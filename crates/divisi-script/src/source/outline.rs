//! What the text of a script says about itself, before it runs: the phases it names, the lines that
//! request tasks, and the words with which it compares fields.

use super::literal::unquote;
use super::tokens::{self, Token, TokenKind};
use std::collections::{BTreeMap, BTreeSet};

/// What the text of a script says about itself.
///
/// It is found without a parser, so that it may miss what is written in unusual ways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The phases that its code names, with the first line that does.
    pub phases: BTreeMap<String, u32>,
    /// Those of them in which the code seems to request tasks: a task names them in its options, or
    /// a request follows the `phase()` that begins them.
    pub of_tasks: BTreeSet<String>,
    /// The texts with which it compares a field, by the name of the field.
    pub compared: BTreeMap<String, Vec<String>>,
    /// Its short texts of one word, such as names and ids, in order.
    pub names: Vec<String>,
    /// Whether it uses `args`.
    pub has_args: bool,
}

/// Longest text that may be a name.
const NAME_BYTES_MAX: usize = 40;

/// Reads the text of a script. `announced` are the phases of its `meta`.
pub(super) fn read(source: &str, announced: &[String]) -> Outline {
    let tokens = tokens::read(source).list;
    let reader = Reader {
        source,
        tokens: &tokens,
    };
    let mut outline = Outline::default();
    let mut known = BTreeSet::new();
    for at in reader.after_meta()..tokens.len() {
        reader.phase(at, announced, &mut outline);
        reader.comparison(at, &mut outline.compared);
        outline
            .names
            .extend(reader.name(at).filter(|name| known.insert(name.clone())));
        outline.has_args |= reader.text(at) == "args" && reader.text_before(at, 1) != ".";
    }
    outline
}

struct Reader<'s> {
    source: &'s str,
    tokens: &'s [Token],
}

impl<'s> Reader<'s> {
    fn text(&self, at: usize) -> &'s str {
        self.tokens
            .get(at)
            .map_or("", |token| token.text(self.source))
    }

    fn text_before(&self, at: usize, steps: usize) -> &'s str {
        at.checked_sub(steps).map_or("", |at| self.text(at))
    }

    /// The text of a literal without holes.
    fn literal(&self, at: usize) -> Option<String> {
        let token = self.tokens.get(at)?;
        let text = token.text(self.source);
        let is_whole = token.is_string()
            || (token.kind == TokenKind::Template && text.starts_with('`') && text.ends_with('`'));
        is_whole
            .then(|| unquote(text))
            .filter(|text| !text.is_empty())
    }

    /// The first token after `meta`: its texts are no code.
    fn after_meta(&self) -> usize {
        let words = ["export", "const", "meta", "="];
        let begins = |at: &usize| (0..4).all(|step| self.text(at + step) == words[step]);
        let Some(start) = (0..self.tokens.len()).find(begins) else {
            return 0;
        };
        let mut depth = 0;
        for at in start + 4..self.tokens.len() {
            match self.text(at) {
                "{" | "[" => depth += 1,
                "}" | "]" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return at + 1;
            }
        }
        0
    }

    /// Notes the phase that the text at `at` names: `phase('x')`, `phase: 'x'`, or one that `meta`
    /// announces, wherever it stands.
    fn phase(&self, at: usize, announced: &[String], outline: &mut Outline) {
        let Some(title) = self.literal(at) else {
            return;
        };
        let before = (self.text_before(at, 2), self.text_before(at, 1));
        let is_begun = before == ("phase", "(");
        let is_announced = announced.contains(&title);
        let is_of_task = before == ("phase", ":") || (is_announced && !is_begun);
        if is_of_task || (is_begun && self.is_followed_by_request(at)) {
            outline.of_tasks.insert(title.clone());
        }
        if is_begun || before == ("phase", ":") || is_announced {
            let line = self.tokens[at].line;
            outline.phases.entry(title).or_insert(line);
        }
    }

    /// Whether a task is requested between here and the next `phase()`.
    fn is_followed_by_request(&self, at: usize) -> bool {
        let requests = [
            "agent",
            "parallel",
            "pipeline",
            "decompose",
            "shell",
            "approve",
            "workflow",
        ];
        let calls = (at..self.tokens.len()).filter(|at| self.text(at + 1) == "(");
        let mut calls = calls.filter(|at| self.text_before(*at, 1) != ".");
        let first =
            calls.find(|at| self.text(*at) == "phase" || requests.contains(&self.text(*at)));
        first.is_some_and(|at| self.text(at) != "phase")
    }

    /// The text at `at`, if it is one word.
    fn name(&self, at: usize) -> Option<String> {
        let is_name = |text: &String| {
            text.len() <= NAME_BYTES_MAX
                && text
                    .chars()
                    .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
        };
        self.literal(at).filter(is_name)
    }

    /// Notes a comparison with the text at `at`: `.field === 'x'`, `'x' === a.field`, or the case of
    /// a `switch` over a field.
    fn comparison(&self, at: usize, compared: &mut BTreeMap<String, Vec<String>>) {
        let Some(text) = self.literal(at) else {
            return;
        };
        let field = if self.text_before(at, 1) == "=" && self.text_before(at, 2) == "=" {
            let steps = 3 + usize::from(matches!(self.text_before(at, 3), "=" | "!"));
            self.field(at.checked_sub(steps))
        } else if self.text(at + 1) == "=" && self.text(at + 2) == "=" {
            let first = at + 3 + usize::from(self.text(at + 3) == "=");
            self.field(Some(self.end_of_path(first)))
        } else if self.text_before(at, 1) == "case" {
            self.switched(at)
        } else {
            None
        };
        if let Some(field) = field {
            let known = compared.entry(field).or_default();
            if !known.contains(&text) {
                known.push(text);
            }
        }
    }

    /// The last name of a path such as `a?.b.c` that begins at `at`.
    fn end_of_path(&self, mut at: usize) -> usize {
        let is_between = |at: usize| matches!(self.text(at), "." | "?");
        while is_between(at + 1) {
            at += 1;
            while is_between(at) {
                at += 1;
            }
        }
        at
    }

    /// The name at `at`.
    fn field(&self, at: Option<usize>) -> Option<String> {
        let token = self.tokens.get(at?)?;
        let name = token.text(self.source);
        (token.kind == TokenKind::Word).then(|| name.to_owned())
    }

    /// The field of the `switch` around a `case` at `at`.
    fn switched(&self, at: usize) -> Option<String> {
        let switch = (0..at).rev().find(|at| self.text(*at) == "switch")?;
        let end = (switch..at).find(|at| self.text(*at) == "{")?;
        self.field(end.checked_sub(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(source: &str) -> Outline {
        read(source, &["Fix".to_owned(), "Idle".to_owned()])
    }

    #[test]
    fn phases_are_those_that_the_code_names() {
        let source = "export const meta = { phases: [{ title: 'Fix' }, { title: 'Idle' }] }\nphase('Sum')\nphase('Find')\nawait agent('a', { phase: 'Check' })\nconst last = 'Fix'";
        let found = outline(source);
        let lines = [("Check", 4), ("Find", 3), ("Fix", 5), ("Sum", 2)];
        let lines = lines.map(|(title, line)| (title.to_owned(), line));
        assert_eq!(found.phases, lines.into());
        assert_eq!(
            found.of_tasks,
            ["Check", "Find", "Fix"].map(str::to_owned).into()
        );
        assert_eq!(found.names, ["Sum", "Find", "a", "Check", "Fix"]);
        assert!(!found.has_args && outline("args.a").has_args && !outline("a.args").has_args);
    }

    #[test]
    fn comparisons_are_found_in_either_order_and_in_a_switch() {
        let source = "if (r.verdict === 'PASS' || 'FAIL' == a?.verdict || kind !== `x`) {}\nswitch (v.state) {\n  case 'open': break\n}";
        let texts = |list: &[&str]| {
            list.iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        let expected = [
            ("kind".to_owned(), texts(&["x"])),
            ("state".to_owned(), texts(&["open"])),
            ("verdict".to_owned(), texts(&["PASS", "FAIL"])),
        ];
        assert_eq!(outline(source).compared, expected.into());
    }
}
