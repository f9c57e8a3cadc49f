//! What every command receives: the application in the current folder, and the global flags.

use crate::display::json;
use crate::flags::GlobalFlags;
use crate::terminal::Terminal;
use anyhow::Context as _;
use divisi_app::settings::Environment;
use divisi_app::{App, Problem};

/// What every command receives.
pub(crate) struct Context {
    pub(crate) global: GlobalFlags,
    pub(crate) app: App,
}

impl Context {
    /// The context of this process.
    pub(crate) fn new(mut global: GlobalFlags) -> Result<Self, Problem> {
        if let Some(code) = &global.jq {
            json::filter(code).map_err(|bad| Problem::usage(bad.to_string()))?;
            global.json = true;
        }
        let folder = std::env::current_dir().context("cannot tell which folder this is")?;
        let terminal = Terminal {
            notes: !global.quiet,
            asks: !global.quiet && !global.json,
        };
        let app = App::new(
            Environment::of_process(),
            folder,
            global.leaves()?,
            terminal,
        );
        Ok(Self { global, app })
    }
}
