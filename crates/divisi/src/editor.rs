//! The user's editor.

use crate::output::KEYBOARD;
use anyhow::{Context as _, bail};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::process::{Command, Stdio};

/// What opens a text: the line of a shell that gets the path of a file.
const VARIABLES: [&str; 2] = ["VISUAL", "EDITOR"];

/// Lets the user edit `text`, in a file whose name ends with `ending`; returns it once the editor is
/// closed. Blocks until then.
pub(crate) fn edit(text: &str, ending: &str) -> anyhow::Result<String> {
    let named = VARIABLES
        .iter()
        .find_map(|name| std::env::var_os(name).filter(|line| !line.is_empty()));
    let Some(editor) = named else {
        bail!("no editor is named: set VISUAL or EDITOR");
    };
    let mut file = tempfile::Builder::new()
        .prefix("divisi-")
        .suffix(ending)
        .tempfile()
        .context("cannot write a file to edit")?;
    file.write_all(text.as_bytes())
        .context("cannot write a file to edit")?;
    // It may have arguments, as in `code --wait`.
    let mut line = editor.clone();
    line.push(" \"$1\"");
    let status = Command::new("sh")
        .arg("-c")
        .arg(line)
        .arg("divisi")
        .arg(file.path())
        .stdin(terminal(&io::stdin()))
        .stdout(terminal(&io::stdout()))
        .status()
        .context("cannot start a shell for the editor")?;
    if !status.success() {
        bail!("the editor `{}` ended with {status}", editor.display());
    }
    // Read by its path: some editors write a new file.
    std::fs::read_to_string(file.path()).context("cannot read what was edited")
}

/// The terminal, where this process reads a list or writes its results elsewhere.
fn terminal(stream: &impl IsTerminal) -> Stdio {
    let open = || File::options().read(true).write(true).open(KEYBOARD);
    match stream.is_terminal() {
        true => Stdio::inherit(),
        // Not every editor needs one.
        false => open().map_or_else(|_| Stdio::inherit(), Stdio::from),
    }
}
