//! Filters of jq over JSON output.

use super::harmless;
use crate::text;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data, unwrap_valr};
use jaq_json::{Val, read};

/// Values that a filter may give for one value: an endless one (`repeat(1)`) has to stop.
const OUTPUTS_MAX: usize = 1_000_000;

/// A compiled filter.
pub(crate) struct Filter(jaq_core::Filter<data::JustLut<Val>>);

/// A text that is no filter.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no filter of jq: {1}")]
pub(crate) struct BadFilter(String, String);

impl Filter {
    /// Compiles a filter.
    pub(super) fn new(code: &str) -> Result<Self, BadFilter> {
        let bad = |why: &str| BadFilter(code.to_owned(), why.to_owned());
        let defs = jaq_core::defs()
            .chain(jaq_std::defs())
            .chain(jaq_json::defs());
        let funs = jaq_core::funs()
            .chain(jaq_std::funs())
            .chain(jaq_json::funs());
        let arena = Arena::default();
        let file = File { code, path: () };
        let modules = Loader::new(defs)
            .load(&arena, file)
            .map_err(|_| bad("it cannot be parsed"))?;
        let compiled = Compiler::default().with_funs(funs).compile(modules);
        compiled.map(Self).map_err(|errors| {
            let unknown = errors.into_iter().flat_map(|(_, undefined)| undefined);
            let names: Vec<String> = unknown.map(|(name, _)| format!("`{name}`")).collect();
            bad(&format!(
                "it names {}, which is not defined",
                names.join(", ")
            ))
        })
    }

    /// What it makes of a value, one a line: texts as they are, anything else as JSON.
    pub(super) fn apply(&self, json: &str) -> anyhow::Result<String> {
        let input = read::parse_single(json.as_bytes())
            .map_err(|error| anyhow::anyhow!("the output is no JSON: {error}"))?;
        let context = Ctx::<data::JustLut<Val>>::new(&self.0.lut, Vars::new([]));
        let mut lines = vec![];
        for (number, output) in self.0.id.run((context, input)).map(unwrap_valr).enumerate() {
            if number == OUTPUTS_MAX {
                anyhow::bail!("the filter gives more than {OUTPUTS_MAX} values");
            }
            let value = output.map_err(|error| anyhow::anyhow!("the filter failed: {error}"))?;
            lines.push(match &value {
                Val::TStr(text) => text::block(&String::from_utf8_lossy(text)),
                value => harmless(&value.to_string()),
            });
        }
        Ok(lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(code: &str) -> Result<String, String> {
        let json = r#"[{"id": "a", "cost": 0.5, "tags": []}, {"id": "b", "cost": 2}]"#;
        let filter = Filter::new(code).map_err(|error| error.to_string())?;
        filter.apply(json).map_err(|error| error.to_string())
    }

    #[test]
    fn texts_are_plain_and_values_are_json() {
        assert_eq!(filtered(".[].id").as_deref(), Ok("a\nb"));
        assert_eq!(filtered("map(.cost) | add").as_deref(), Ok("2.5"));
        assert_eq!(
            filtered(".[0] | {id, tags}").as_deref(),
            Ok(r#"{"id":"a","tags":[]}"#)
        );
        assert_eq!(filtered(".[] | select(.cost > 9)").as_deref(), Ok(""));
        assert_eq!(
            filtered(r#""a\u001b[2J""#)
                .as_deref()
                .map(|t| t.contains('\u{1b}')),
            Ok(false)
        );
    }

    #[test]
    fn what_is_wrong_with_a_filter_is_said() {
        for (code, expected) in [
            (".[", "cannot be parsed"),
            (".[] | nonesuch", "`nonesuch`, which is not defined"),
            (".[].id + 1", "the filter failed"),
            ("repeat(1)", "more than 1000000 values"),
        ] {
            let said = filtered(code).unwrap_err();
            assert!(said.contains(expected), "{code}: {said}");
        }
    }
}
