//! Scripts in another language, which are told apart only after they could not be read.

/// What to write instead, if the text seems to be in a known other language.
pub(super) fn hint(name: &str, text: &str) -> Option<&'static str> {
    let is_named = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let mut lines = text.lines().map(str::trim);
    if is_named(&[".py"]) || lines.clone().any(is_python) {
        return Some(
            "this looks like Python, and scripts are JavaScript: `Task(\"Find files\", \
             model=\"haiku\")` is written `await agent(\"Find files\", { model: \"haiku\" })`",
        );
    }
    if is_named(&[".ts", ".mts", ".tsx"]) || lines.any(is_typescript) {
        return Some(
            "this looks like TypeScript, and scripts are JavaScript: leave the types out, or \
             compile it first, for example with `esbuild --format=esm`",
        );
    }
    None
}

fn is_python(line: &str) -> bool {
    let is_block = line.ends_with(':')
        && ["def ", "async def ", "class ", "for ", "if ", "with "]
            .iter()
            .any(|word| line.starts_with(word))
        && !["for (", "if ("].iter().any(|word| line.starts_with(word));
    let quotes = ['"', '\'', '`', ';'];
    let is_import = line.starts_with("from ") && line.contains(" import ")
        || line.starts_with("import ") && !line.contains(quotes);
    let is_keyword_argument =
        ["Task(", "print("].iter().any(|call| line.contains(call)) && line.contains("model=");
    is_block || is_import || is_keyword_argument
}

fn is_typescript(line: &str) -> bool {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let declared = ["const ", "let ", "var "]
        .iter()
        .find_map(|word| line.strip_prefix(word));
    let is_annotated = declared.is_some_and(|rest| {
        let after =
            rest.trim_start_matches(|c: char| c.is_alphanumeric() || matches!(c, '_' | '$'));
        after.len() < rest.len() && after.trim_start().starts_with(':')
    });
    let is_type = line.starts_with("interface ")
        || line.starts_with("enum ")
        || line.starts_with("type ") && line.contains('=');
    let is_function = line.contains("): ") && (line.contains("function") || line.contains("=>"));
    is_annotated || is_type || is_function
}

#[cfg(test)]
mod tests {
    use super::*;

    fn language(text: &str) -> &'static str {
        match hint("flow.js", text) {
            None => "none",
            Some(hint) if hint.contains("Python") => "Python",
            Some(_) => "TypeScript",
        }
    }

    #[test]
    fn other_languages_are_told_by_their_lines() {
        let texts = [
            ("Python", "from divisi import Task"),
            ("Python", "import os"),
            ("Python", "x = [Task(f'{m}', model='haiku')]"),
            ("Python", "def audit(module):\n    pass"),
            ("Python", "for m in modules:\n    pass"),
            ("TypeScript", "const x: string = 'a'"),
            (
                "TypeScript",
                "export let all: Map<string, number> = new Map()",
            ),
            ("TypeScript", "interface Finding { line: number }"),
            ("TypeScript", "type Id = string"),
            ("TypeScript", "const f = (a): Promise<void> => {}"),
            ("none", "const x = { a: 1 }"),
            ("none", "for (const m of modules) {"),
            ("none", "import x from 'y'"),
            ("none", "const a = b ? c : d"),
            ("none", "if (x) label:"),
            ("none", "return agent('from a import b')"),
        ];
        for (expected, text) in texts {
            assert_eq!(language(text), expected, "{text}");
        }
        assert!(hint("flow.py", "x").is_some() && hint("flow.ts", "x").is_some());
    }
}
