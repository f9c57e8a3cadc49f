//! The forms of JSON output: which commands print which.

use super::resume::explain::Explained;
use super::{answer, cap, diff, doctor, export, gc, import, init, merge, park, rm, search, trust};
use crate::display::Told;
use crate::display::cost::Bill;
use crate::display::imported::Report;
use crate::display::json::schema::{Part, schema};
use crate::display::models::Listing;
use crate::display::pick::Pick;
use crate::display::plan::json::PlanForm;
use crate::display::show::{RunForm, TaskPageForm};
use crate::display::worktrees::{ChangesForm, RemovalForm, WorktreeForm};
use crate::result::LastLine;
use crate::results::form::Row;
use divisi_core::preflight::Checklist;
use divisi_engine::store::RunSummary;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

/// A form of JSON output.
pub(crate) struct Form {
    /// Its name, which is that of its schema.
    pub(crate) name: &'static str,
    /// The command lines that print it, without `divisi` and `--json`.
    pub(crate) printed_by: &'static [&'static str],
    /// What it is, in one line.
    pub(crate) about: &'static str,
    parts: &'static [Part],
}

impl Form {
    /// Its JSON schema.
    pub(crate) fn schema(&self) -> Value {
        let commands = self.printed_by.iter();
        let commands: Vec<String> = commands
            .map(|words| format!("divisi {words} --json"))
            .collect();
        schema(self.name, &commands.join(", "), self.about, self.parts)
    }
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Commands that write a text for people or for another program, and no JSON output.
#[cfg(test)]
const TEXTS: [&str; 5] = ["settings", "types", "completions", "man", "schema"];

/// All forms, in the order of the commands in the help.
pub(crate) const FORMS: [Form; 27] = [
    Form {
        name: "run",
        printed_by: &[
            "run",
            "ask",
            "map",
            "pipe",
            "decompose",
            "resume",
            "rerun",
            "watch",
        ],
        about: "One line of a run: an event of its journal, or, last, how it ended (`run_result`).",
        parts: &[of::<LastLine<'static>>, of::<Told<'static>>],
    },
    Form {
        name: "plan",
        printed_by: &[
            "plan",
            "ask --plan",
            "map --plan",
            "pipe --plan",
            "decompose --plan",
        ],
        about: "What a flow would run.",
        parts: &[of::<PlanForm<'static>>],
    },
    Form {
        name: "check",
        printed_by: &[
            "check",
            "ask --check",
            "map --check",
            "pipe --check",
            "decompose --check",
        ],
        about: "Six questions about a flow, with their answers.",
        parts: &[of::<Checklist>],
    },
    Form {
        name: "pick",
        printed_by: &["pick"],
        about: "The model that suffices for a task, and why.",
        parts: &[of::<Pick>],
    },
    Form {
        name: "explain",
        printed_by: &["resume --explain", "rerun --explain"],
        about: "What would run, task by task, and why.",
        parts: &[of::<Explained<'static>>],
    },
    Form {
        name: "answer",
        printed_by: &["answer"],
        about: "The answer that was given.",
        parts: &[of::<answer::Answered<'static>>],
    },
    Form {
        name: "cap",
        printed_by: &["cap"],
        about: "The cap that was set.",
        parts: &[of::<cap::Capped<'static>>],
    },
    Form {
        name: "park",
        printed_by: &["park"],
        about: "The run that was asked to park.",
        parts: &[of::<park::Parked<'static>>],
    },
    Form {
        name: "runs",
        printed_by: &["runs"],
        about: "The runs, those of this folder first, each latest first.",
        parts: &[of::<Vec<RunSummary>>],
    },
    Form {
        name: "search",
        printed_by: &["search"],
        about: "The places where a text was found.",
        parts: &[of::<Vec<search::Hit>>],
    },
    Form {
        name: "results",
        printed_by: &["results"],
        about: "The tasks of a run with what they have answered.",
        parts: &[of::<Vec<Row>>],
    },
    Form {
        name: "show",
        printed_by: &["show"],
        about: "A run with all its tasks.",
        parts: &[of::<RunForm<'static>>],
    },
    Form {
        name: "show-task",
        printed_by: &["show RUN TASK"],
        about: "One task with its request, its attempts and its result.",
        parts: &[of::<TaskPageForm<'static>>],
    },
    Form {
        name: "diff",
        printed_by: &["diff"],
        about: "Two runs, task by task.",
        parts: &[of::<diff::Diff>],
    },
    Form {
        name: "cost",
        printed_by: &["cost"],
        about: "The bill of a run.",
        parts: &[of::<Bill>],
    },
    Form {
        name: "worktrees",
        printed_by: &["worktrees", "worktrees --remove"],
        about: "Worktrees of tasks; with `--remove` those that were removed, and those that stay.",
        parts: &[of::<Vec<WorktreeForm>>, of::<RemovalForm>],
    },
    Form {
        name: "changes",
        printed_by: &["changes"],
        about: "What the tasks of a run have changed in their worktrees.",
        parts: &[of::<ChangesForm>],
    },
    Form {
        name: "merge",
        printed_by: &["merge", "merge --abort"],
        about: "What became of the work of the tasks of a run; with `--abort` where the branch is again.",
        parts: &[
            of::<merge::MergeForm<'static>>,
            of::<merge::AbortForm<'static>>,
        ],
    },
    Form {
        name: "export",
        printed_by: &["export --out FILE"],
        about: "The run that was written into a file. The file itself is described in docs/export.md.",
        parts: &[of::<export::Exported<'static>>],
    },
    Form {
        name: "import",
        printed_by: &["import"],
        about: "The run that was imported.",
        parts: &[of::<import::Imported<'static>>],
    },
    Form {
        name: "import-sessions",
        printed_by: &["import PROGRAM"],
        about: "What an agent program has done, as runs, with what would have sufficed.",
        parts: &[of::<Report<'static>>],
    },
    Form {
        name: "rm",
        printed_by: &["rm"],
        about: "The runs that were removed.",
        parts: &[of::<rm::Removed<'static>>],
    },
    Form {
        name: "gc",
        printed_by: &["gc"],
        about: "What the store takes, and what is removed from it.",
        parts: &[of::<gc::Report>],
    },
    Form {
        name: "init",
        printed_by: &["init"],
        about: "The files that were written.",
        parts: &[of::<init::Written>],
    },
    Form {
        name: "doctor",
        printed_by: &["doctor"],
        about: "What was found, and what to do about what is missing.",
        parts: &[of::<doctor::report::Report>],
    },
    Form {
        name: "trust",
        printed_by: &["trust", "trust --revoke", "trust --list"],
        about: "The state of a project's settings file; with `--list` that of all that were trusted.",
        parts: &[
            of::<trust::Trusted<'static>>,
            of::<trust::Revoked<'static>>,
            of::<Vec<trust::Listed<'static>>>,
        ],
    },
    Form {
        name: "models",
        printed_by: &["models"],
        about: "Models with their prices: dollars for one token.",
        parts: &[of::<Listing>],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    fn docs() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
    }

    #[test]
    fn every_command_that_takes_json_has_a_form() {
        let forms = FORMS.iter().flat_map(|form| form.printed_by);
        let first = |words: &&'static str| words.split(' ').next().unwrap_or_default();
        let known: BTreeSet<&str> = forms.map(first).chain(TEXTS).collect();
        let line = crate::cli::command();
        let all: BTreeSet<&str> = line
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        assert_eq!(known, all);
    }

    #[test]
    fn the_published_schemas_are_what_the_code_says() {
        let folder = docs().join("json");
        let path = |name: &str| folder.join(format!("{name}.schema.json"));
        let writes = std::env::var_os("DIVISI_WRITE_DOCS").is_some();
        for form in &FORMS {
            let made = format!("{:#}\n", form.schema());
            if writes {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(path(form.name), &made).unwrap();
            }
            let kept = std::fs::read_to_string(path(form.name)).unwrap_or_default();
            let name = form.name;
            assert!(
                kept == made,
                "docs/json/{name}.schema.json is stale: `just docs` writes it anew"
            );
        }
        let files = std::fs::read_dir(&folder).unwrap();
        let files: BTreeSet<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        assert_eq!(files, FORMS.iter().map(|form| path(form.name)).collect());
    }

    #[test]
    fn the_page_says_which_command_prints_which() {
        let page = std::fs::read_to_string(docs().join("json.md")).unwrap();
        for Form {
            name,
            printed_by,
            about,
            ..
        } in &FORMS
        {
            let commands: Vec<String> = printed_by
                .iter()
                .map(|words| format!("`{words}`"))
                .collect();
            let row = format!(
                "| {} | [{name}](json/{name}.schema.json) | {about} |\n",
                commands.join(", ")
            );
            assert!(page.contains(&row), "docs/json.md lacks\n{row}");
        }
    }

    #[test]
    fn every_field_says_what_it_is() {
        fn silent(path: &str, schema: &Value, found: &mut Vec<String>) {
            let inner = schema.as_object().into_iter().flatten();
            for (name, inner) in inner {
                if name == "properties" {
                    for (field, schema) in inner.as_object().into_iter().flatten() {
                        // The tag of a form, and the only content of one.
                        let is_plain = schema.get("description").is_none()
                            && schema.get("const").is_none()
                            && !path.contains("oneOf");
                        if is_plain {
                            found.push(format!("{path}.{field}"));
                        }
                    }
                }
                silent(&format!("{path}.{name}"), inner, found);
            }
            for (place, inner) in schema.as_array().into_iter().flatten().enumerate() {
                silent(&format!("{path}.{place}"), inner, found);
            }
        }
        let mut found = vec![];
        for form in &FORMS {
            silent(form.name, &form.schema(), &mut found);
        }
        assert_eq!(found, [""; 0]);
    }
}
