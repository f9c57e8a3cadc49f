//! A run keeps its vendors, whatever the environment says later.

use crate::home::Home;
use divisi_mock::{Config, MockThread};

/// Two tasks of one provider and one of another, and a word of the flow's own.
const FLOW: &str = "\
export const meta = { name: 'two', description: 'Two vendors' };
const parts = await parallel(['a', 'b'].map((part) => () => agent(`Look at ${part}`, { tools: [] })));
parts.push(await agent('Look at c', { model: 'other:m9', tools: [] }));
return parts.length + ' parts';
";

fn settings(lab: &str, tier: &str, other: Option<&str>) -> String {
    let provider = |name: &str, url: &str, more: &str| {
        format!("[providers.{name}]\nkind = 'openai-chat'\nbase_url = '{url}'\n{more}")
    };
    let prices = ["m1", "m2", "m9"].map(|id| format!("[prices.{id}]\ninput = 1.0\noutput = 1.0\n"));
    let lab = provider(
        "lab",
        lab,
        &format!("tiers = {{ sonnet = '{tier}', haiku = 'm1' }}\n"),
    );
    let other = other
        .map(|url| provider("other", url, "models = ['m9']\n"))
        .unwrap_or_default();
    format!("provider = 'lab'\n{lab}{other}{}", prices.concat())
}

struct Scene {
    home: Home,
    lab: MockThread,
    other: MockThread,
}

impl Scene {
    /// After a run that all have answered.
    fn new() -> Self {
        let scene = Self {
            home: Home::with("flow.js", FLOW),
            lab: MockThread::start(Config::default()),
            other: MockThread::start(Config::default()),
        };
        scene.set("m1", true);
        scene.home.ends(0, &["run", "flow.js"]);
        assert_eq!(
            (scene.lab.requests().len(), scene.other.requests().len()),
            (2, 1)
        );
        scene
    }

    fn set(&self, tier: &str, has_other: bool) {
        let url = |mock: &MockThread| format!("{}/v1", mock.url());
        let other = url(&self.other);
        let text = settings(&url(&self.lab), tier, has_other.then_some(other.as_str()));
        self.write(&text);
    }

    /// Writes settings that the folder is trusted with.
    fn write(&self, text: &str) {
        self.home.write("divisi.toml", text);
        self.home.ends(0, &["trust"]);
    }

    /// Adds a task to the flow.
    fn edit(&self, call: &str) {
        self.home.write(
            "flow.js",
            &FLOW.replace("return", &format!("parts.push(await {call});\nreturn")),
        );
    }

    fn requests(&self) -> (usize, usize) {
        (self.lab.requests().len(), self.other.requests().len())
    }

    /// What a resume says that has to end with `code`.
    fn resumes(&self, code: i32, args: &[&str]) -> String {
        let said = self.home.ends(code, &[&["resume"], args].concat()).stderr;
        said.replace(&self.home.last(), "ID")
            .replace(&self.lab.url(), "LAB")
            .replace(&self.other.url(), "OTHER")
    }
}

const ONE_MORE: &str = "agent('Look at d', { tools: [] })";

#[test]
fn another_provider_of_the_settings_is_named_and_not_taken() {
    let scene = Scene::new();
    scene.edit(ONE_MORE);
    let text = scene
        .home
        .read("divisi.toml")
        .replace("provider = 'lab'", "provider = 'other'\nmodel = 'opus'");
    scene.write(&text);
    let said = scene.resumes(0, &[]);
    for part in [
        "note: the run stays with provider `lab`, though the settings now name `other`; `--provider` changes it",
        "note: the run stays with model `sonnet`, though the settings now name `opus`; `--model` changes it",
        "3 reused ($",
        ", at least 1 to run",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    assert_eq!(scene.requests(), (3, 1));
    // The record is carried on.
    assert!(scene.resumes(0, &["--again"]).contains("0 to run"));
}

#[test]
fn a_tier_stays_the_model_that_it_was() {
    let scene = Scene::new();
    scene.edit(ONE_MORE);
    scene.set("m2", true);
    let said = scene.resumes(0, &[]);
    let note = "note: the run stays with the models that it began with: sonnet stays m1, not m2; `--provider lab` takes those of now";
    assert!(
        said.contains(note) && said.contains("3 reused") && said.contains("1 to run"),
        "{said}"
    );
    let said = scene.resumes(0, &["--again", "--provider", "lab"]);
    assert!(said.contains("4 ok · 1 reused"), "{said}");
}

#[test]
fn a_provider_that_is_gone_is_an_error_and_the_run_stays_as_it_is() {
    let scene = Scene::new();
    let before = scene.home.ends(0, &["show", "--json"]).stdout;
    let text = scene
        .home
        .read("divisi.toml")
        .replace("provider = 'lab'\n", "")
        .replace("[providers.lab]", "[providers.new]");
    scene.write(&text);
    // Finished and unchanged: no vendor is needed.
    assert!(scene.resumes(0, &[]).contains("nothing to run"));
    insta::assert_snapshot!(scene.resumes(1, &["--again"]), @"
    error: run ID is answered by `lab` at LAB/v1, and only by it
      caused by: there is no provider `lab` any more
      hint: add it again as [providers.lab] in divisi.toml
      hint: or name another one: `divisi resume ID --provider NAME`; its models are others, so most tasks run again
    ");
    scene.edit(ONE_MORE);
    scene.resumes(1, &[]);
    assert_eq!(scene.home.ends(0, &["show", "--json"]).stdout, before);
    assert_eq!(scene.requests(), (2, 1));
    let said = scene.resumes(0, &["--provider", "new"]);
    assert!(
        said.contains(
            "note: ID was answered by `lab` at LAB/v1 so far; from here on `new` answers"
        ),
        "{said}"
    );
}

#[test]
fn a_key_that_is_gone_is_named_and_another_vendor_not_asked() {
    let mock = MockThread::start(Config::default());
    let home = Home::with("flow.js", &FLOW.replace("other:m9", "haiku"));
    let with = |key: &'static str, code: i32, args: &[&str]| {
        let mut command = home.divisi(args);
        command
            .env(key, "sk-hush")
            .env("ANTHROPIC_BASE_URL", mock.url());
        let output = command
            .env("OPENAI_BASE_URL", mock.url() + "/v1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        said
    };
    with("ANTHROPIC_API_KEY", 0, &["run", "flow.js"]);
    home.write(
        "flow.js",
        &FLOW
            .replace("other:m9", "haiku")
            .replace("Look at ${", "See ${"),
    );
    let asked = mock.requests().len();
    let said = with("OPENAI_API_KEY", 1, &["resume"]);
    let said = said
        .replace(&home.last(), "ID")
        .replace(&mock.url(), "MOCK");
    insta::assert_snapshot!(said.trim_end().replace(&home.folder().display().to_string(), "~/work"), @"
    note: ~/work/flow.js differs from the flow that run ID knows
    error: run ID is answered by `anthropic` at MOCK, and only by it
      caused by: provider `anthropic` has no key
      hint: set ANTHROPIC_API_KEY
      hint: or name another one: `divisi resume ID --provider NAME`; its models are others, so most tasks run again
    ");
    assert_eq!(mock.requests().len(), asked);
}

#[test]
fn an_address_at_another_host_is_refused_and_another_port_of_this_machine_said() {
    let scene = Scene::new();
    scene.edit(ONE_MORE);
    let text = scene.home.read("divisi.toml");
    scene.write(&text.replace(&scene.lab.url(), "https://models.example.com"));
    insta::assert_snapshot!(scene.resumes(1, &[]), @"
    note: ~/work/flow.js differs from the flow that run ID knows
    error: run ID is answered by `lab` at LAB/v1, and only by it
      caused by: `lab` was at LAB/v1 and is now at https://models.example.com/v1
      hint: lead it there again: by `base_url`, or the variable that holds its address
      hint: or name another one: `divisi resume ID --provider NAME`; its models are others, so most tasks run again
    ");
    let moved = MockThread::start(Config::default());
    scene.write(&text.replace(&scene.lab.url(), &moved.url()));
    let said = scene.resumes(0, &[]).replace(&moved.url(), "MOVED");
    assert!(
        said.contains("note: `lab` is now at MOVED/v1; it was at LAB/v1"),
        "{said}"
    );
    assert_eq!((scene.requests(), moved.requests().len()), ((2, 1), 1));
}

#[test]
fn a_provider_of_one_task_that_is_gone_keeps_its_results_and_answers_nothing_new() {
    let scene = Scene::new();
    scene.edit("agent('Look at d', { model: 'other:m9', tools: [] })");
    scene.set("m1", false);
    let said = scene.resumes(3, &[]);
    assert!(
        said.contains("3 reused") && said.contains("1 to run"),
        "{said}"
    );
    assert!(
        said.contains("there is no provider `other` any more"),
        "{said}"
    );
    assert!(
        said.contains("hint: add it again as [providers.other] in divisi.toml"),
        "{said}"
    );
    assert_eq!(scene.requests(), (2, 1));
}

#[test]
fn a_recording_keeps_its_models_where_nobody_can_be_asked() {
    let scene = Scene::new();
    scene
        .home
        .ends(0, &["run", "flow.js", "--record", "tape.jsonl"]);
    scene
        .home
        .ends(0, &["run", "flow.js", "--replay", "tape.jsonl"]);
    let asked = scene.requests();
    // Nothing is left of the providers but what their models cost.
    let text = scene.home.read("divisi.toml");
    scene.write(&text[text.find("[prices").unwrap()..]);
    let said = scene.resumes(0, &["--again"]);
    assert!(
        said.contains("3 reused") && said.contains("0 to run"),
        "{said}"
    );
    assert_eq!(scene.requests(), asked);
}
