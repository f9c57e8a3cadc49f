use super::*;
use divisi_core::PicoUsd;
use divisi_providers::WireFormat;
use std::fs;

/// A repository with a package in it.
struct Project(tempfile::TempDir);

impl Project {
    fn new(files: &[(&str, &str)]) -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(project.0.path().join(".git")).unwrap();
        fs::create_dir_all(project.package()).unwrap();
        for (path, text) in files {
            fs::write(project.0.path().join(path), text).unwrap();
        }
        project
    }

    fn package(&self) -> PathBuf {
        self.0.path().join("package")
    }

    fn load<const N: usize>(&self, variables: [(&str, &str); N]) -> Result<Loaded, String> {
        let flags = vec![Leaf::new(
            &["limits", "in_flight_max"],
            9,
            Origin::Flag("--jobs"),
        )];
        let files = Files {
            of_user: None,
            trusted: None,
        };
        load_with(
            &files,
            &variables.into(),
            &self.package(),
            flags,
            Untrusted::LookedAt,
        )
        .map_err(|error| {
            let hints: String = error
                .hints()
                .iter()
                .map(|hint| format!("\nhint: {hint}"))
                .collect();
            format!("{error}{hints}").replace(&self.0.path().display().to_string(), "")
        })
    }

    fn complaint(text: &str) -> String {
        Self::new(&[("divisi.toml", text)]).load([]).unwrap_err()
    }
}

#[test]
fn the_nearer_layer_wins_and_origins_are_kept() {
    let project = Project::new(&[(
        "divisi.toml",
        "model = 'haiku'\ncost_max = 5\n[limits]\nin_flight_max = 3",
    )]);
    let loaded = project
        .load([("DIVISI_MODEL", "opus"), ("DIVISI_ALLOW", "write, run")])
        .unwrap();
    assert_eq!(loaded.settings.model, "opus");
    assert_eq!(loaded.settings.limits.in_flight_max, 9);
    assert_eq!(loaded.settings.allow, [Grant::Write, Grant::Run]);
    assert_eq!(loaded.settings.cost_max, Some("5.00".parse().unwrap()));
    let origin = |name: &str| {
        loaded
            .leaves
            .iter()
            .find(|leaf| leaf.name() == name)
            .unwrap()
            .origin
            .clone()
    };
    assert_eq!(origin("model"), Origin::Variable("DIVISI_MODEL"));
    assert_eq!(
        origin("cost_max"),
        Origin::File(project.0.path().join("divisi.toml"))
    );
    assert_eq!(origin("limits.in_flight_max"), Origin::Flag("--jobs"));
    assert_eq!(origin("limits.tasks_max"), Origin::Default);
}

#[test]
fn the_nearest_project_file_counts_and_no_other() {
    let project = Project::new(&[
        ("divisi.toml", "model = 'far'"),
        ("package/divisi.toml", "provider = 'near'"),
    ]);
    let settings = project.load([]).unwrap().settings;
    assert_eq!((&*settings.model, &*settings.provider), ("sonnet", "near"));
}

#[test]
fn paths_are_meant_from_where_the_file_is() {
    let project = Project::new(&[("divisi.toml", "framing = 'frame.txt'")]);
    assert_eq!(
        project.load([]).unwrap().settings.framing,
        Some(project.0.path().join("frame.txt"))
    );
}

#[test]
fn a_provider_comes_whole_from_one_layer() {
    let project = Project::new(&[(
        "divisi.toml",
        "[providers.corp]\nkind = 'openai-chat'\nbase_url = 'http://x/v1'",
    )]);
    let loaded = project.load([]).unwrap();
    assert_eq!(
        loaded.settings.providers["corp"].kind,
        Some(WireFormat::OpenaiChat)
    );
    assert!(
        loaded
            .leaves
            .iter()
            .any(|leaf| leaf.name() == "providers.corp")
    );
}

#[test]
fn prices_are_read_exactly_and_by_pattern() {
    let text = "[prices.'my-model']\ninput = 1.0\noutput = '2.50'\ncache_read = 0.1\n[prices.'corp:*']\ninput = 0\noutput = 0";
    let loaded = Project::new(&[("divisi.toml", text)]).load([]).unwrap();
    let price = divisi_core::ModelPrice::from(loaded.settings.prices["my-model"]);
    let rates = [
        price.base.input,
        price.base.cache_read,
        price.base.cache_write_1h,
        price.base.output,
    ];
    assert_eq!(
        rates.map(|rate| rate.0),
        [1_000_000, 100_000, 1_000_000, 2_500_000]
    );
    assert!(
        loaded
            .leaves
            .iter()
            .any(|leaf| leaf.name() == "prices.corp:*")
    );
}

#[test]
fn mistakes_are_named_with_their_place() {
    insta::assert_snapshot!(Project::complaint("provider = 'x'\n  modl = 'haiku'"), @r#"
    /divisi.toml, line 2, column 3: there is no setting `modl`
    hint: did you mean `model`?
    "#);
    insta::assert_snapshot!(Project::complaint("[limits]\nin_flight = 3"), @r#"
    /divisi.toml, line 2, column 1: there is no setting `in_flight`
    hint: did you mean `in_flight_max`?
    "#);
    insta::assert_snapshot!(Project::complaint("[providers.x]\nkind = 'openai'\nkey = 'sk-1'"), @r#"
    /divisi.toml, line 3, column 1: there is no setting `key`
    hint: did you mean `key_env`?
    "#);
    insta::assert_snapshot!(Project::complaint("[providers.x]\nkind = 'openai'\nkey_env = 'sk-1'"), @"/divisi.toml, line 3, column 11: `key_env` is the name of an environment variable, not the key itself");
    insta::assert_snapshot!(Project::complaint("model = 'x'\n[providers.corp.rate]\nburst = 3"), @"/divisi.toml, line 2, column 2: the provider `corp` has no `kind`, the API that it speaks: say one of `anthropic`, `openai`, `openai-chat`");
    insta::assert_snapshot!(Project::complaint("[kinds.search]\nteir = 'opus'"), @r"
    /divisi.toml, line 2, column 1: there is no setting `teir`
    hint: did you mean `tier`?
    ");
    insta::assert_snapshot!(Project::complaint("[kinds.search]\ntier = 'large'"), @"/divisi.toml, line 2, column 8: `large` is none of `haiku`, `sonnet`, `opus`, `fable`");
    insta::assert_snapshot!(Project::complaint("[providers.x]\nkind = 'openai'\nkinds = { search = 'large' }"), @"/divisi.toml, line 3, column 20: `large` is none of `haiku`, `sonnet`, `opus`, `fable`");
    insta::assert_snapshot!(Project::complaint("timeout = 10"), @r#"/divisi.toml, line 1, column 11: invalid type: integer `10`, expected a span of time with its unit, like "90s", "10m" or "1h30m""#);
    insta::assert_snapshot!(Project::complaint("timeout = '10'"), @"/divisi.toml, line 1, column 11: `10` is no span of time: write it with its unit, like 90s, 10m or 1h30m");
    insta::assert_snapshot!(Project::complaint("cost_max = 'a lot'"), @r#"/divisi.toml, line 1, column 12: invalid value: string "a lot", expected an amount of dollars, like 5 or 0.35"#);
    insta::assert_snapshot!(Project::complaint("[prices.x]\ninput = 1"), @"/divisi.toml, line 1, column 1: missing field `output`");
    insta::assert_snapshot!(Project::complaint("[prices.x]\ninput = 1\noutput = 1\ncache_reed = 1"), @"
    /divisi.toml, line 4, column 1: there is no setting `cache_reed`
    hint: did you mean `cache_read`?
    ");
    insta::assert_snapshot!(Project::complaint("allow = ['everything']"), @"/divisi.toml, line 1, column 10: `everything` is none of `write`, `run`, `mcp`, `mcp:SERVER`");
    insta::assert_snapshot!(Project::complaint("model = "), @"/divisi.toml, line 1, column 9: string values must be quoted, expected literal string");
    insta::assert_snapshot!(Project::new(&[]).load([("DIVISI_LOCAL", "perhaps")]).unwrap_err(), @r#"the environment variable DIVISI_LOCAL: invalid type: string "perhaps", expected a boolean"#);
}

#[test]
fn what_was_mistyped_is_named_at_every_depth() {
    let mistyped = [
        "[provider.corp]\nkind = 'openai'",
        "provider.corp.kind = 'openai'",
        "providers = 'openai'",
        "[price.'x']\ninput = 1\noutput = 1",
        "[executors.x]\ncomand = ['x']",
        "[providers.corp]\nkind = 'openai-caht'",
        "[providers.corp]\nkind = 'openai'\n[providers.corp.rate]\nbrust = 3",
        "[providers.corp]\nkind = 'openai'\ndialect = { omit = ['shcema'] }",
        "[budget]\nphase = { A = 1 }",
        "[kinds.search]\ntier = 'hiaku'",
        "allow = ['wirte']",
        "[tiers]\nhiaku = 'x'",
        "[providers.corp]\nkind = 'openai'\ntiers = { sonet = 'x' }",
    ];
    insta::assert_snapshot!(mistyped.map(Project::complaint).join("\n"), @r#"
    /divisi.toml, line 1, column 2: invalid type: map, expected a string
    hint: did you mean `[providers]`? `provider` is a single value
    /divisi.toml, line 1, column 1: invalid type: map, expected a string
    hint: did you mean `[providers]`? `provider` is a single value
    /divisi.toml, line 1, column 13: invalid type: string "openai", expected a map
    hint: did you mean `provider`? `[providers]` is a table
    /divisi.toml, line 1, column 2: there is no setting `price`
    hint: did you mean `prices`?
    /divisi.toml, line 2, column 1: there is no setting `comand`
    hint: did you mean `command`?
    /divisi.toml, line 2, column 8: `openai-caht` is none of `anthropic`, `openai`, `openai-chat`
    hint: did you mean `openai-chat`?
    /divisi.toml, line 4, column 1: there is no setting `brust`
    hint: did you mean `burst`?
    /divisi.toml, line 3, column 21: `shcema` is none of `stream_options`, `schema`, `strict`, `schema_with_tools`, `tools`, `effort`, `cache_control`, `system_role`, `include`, `store`, `max_output_tokens`
    hint: did you mean `schema`?
    /divisi.toml, line 2, column 1: there is no setting `phase`
    hint: did you mean `phases`?
    /divisi.toml, line 2, column 8: `hiaku` is none of `haiku`, `sonnet`, `opus`, `fable`
    hint: did you mean `haiku`?
    /divisi.toml, line 1, column 10: `wirte` is none of `write`, `run`, `mcp`, `mcp:SERVER`
    hint: did you mean `write`?
    /divisi.toml, line 2, column 1: `hiaku` is none of `haiku`, `sonnet`, `opus`, `fable`
    hint: did you mean `haiku`?
    /divisi.toml, line 3, column 11: `sonet` is none of `haiku`, `sonnet`, `opus`, `fable`
    hint: did you mean `sonnet`?
    "#);
    let variables = [("DIVISI_ALLOW", "wirte")];
    insta::assert_snapshot!(Project::new(&[]).load(variables).unwrap_err(), @"
    the environment variable DIVISI_ALLOW: `wirte` is none of `write`, `run`, `mcp`, `mcp:SERVER`
    hint: did you mean `write`?
    ");
}

#[test]
fn a_setting_is_read_by_the_name_that_it_had() {
    let old = "max_cost = 5\nmax_turns = 6\nmax_reply_tokens = 7\n[budget]\ntask = 1";
    let Loaded {
        settings, leaves, ..
    } = Project::new(&[("divisi.toml", old)]).load([]).unwrap();
    assert_eq!((settings.turns_max, settings.reply_tokens_max), (6, 7));
    let dollars =
        [settings.cost_max, settings.budget.task_cost_max].map(|most| most.map(|most| most.0));
    assert_eq!(
        dollars,
        [
            Some(PicoUsd(5_000_000_000_000)),
            Some(PicoUsd(1_000_000_000_000))
        ]
    );
    let is_of_file = |leaf: &&Leaf| matches!(leaf.origin, Origin::File(_));
    let names: Vec<_> = leaves.iter().filter(is_of_file).map(Leaf::name).collect();
    assert_eq!(
        names,
        [
            "budget.task_cost_max",
            "cost_max",
            "reply_tokens_max",
            "turns_max"
        ]
    );
}

#[test]
fn patterns_are_no_larger_than_any_that_is_meant() {
    let nested = format!("{}x{}", "{".repeat(15_000), "}".repeat(15_000));
    let prices = format!("[prices.'{nested}']\ninput = 1\noutput = 1");
    insta::assert_snapshot!(Project::complaint(&prices), @"/divisi.toml, line 1, column 2: a pattern of model ids may have 1000 bytes and 32 braces; this one has 30001 and 15000");
    let models = format!("[providers.anthropic]\nmodels = ['{nested}']");
    insta::assert_snapshot!(Project::complaint(&models), @"/divisi.toml, line 1, column 2: a pattern of model ids may have 1000 bytes and 32 braces; this one has 30001 and 15000");
}

#[test]
fn variables_that_are_none_of_ours_are_found() {
    let environment: Environment =
        [("DIVISI_MODLE", "x"), ("DIVISI_MODEL", "y"), ("HOME", "/")].into();
    assert_eq!(environment.unknown().collect::<Vec<_>>(), ["DIVISI_MODLE"]);
}

#[test]
fn a_variable_that_is_empty_is_not_set() {
    assert_eq!(
        Project::new(&[])
            .load([("DIVISI_MODEL", "  ")])
            .unwrap()
            .settings
            .model,
        "sonnet"
    );
}

#[test]
fn kinds_are_changed_layer_by_layer() {
    let project = Project::new(&[(
        "divisi.toml",
        "[kinds.ledger]\ntier = 'opus'\n[providers.corp]\nkind = 'openai-chat'\nkinds = { search = 'opus' }",
    )]);
    let kinds = project.load([]).unwrap().settings.kinds().unwrap();
    let tier = |name, provider| kinds.tier(kinds.get(name).unwrap(), provider).as_str();
    assert_eq!(tier("ledger", None), "opus");
    assert_eq!(
        (tier("search", None), tier("search", Some("corp"))),
        ("haiku", "opus")
    );
    let project = Project::new(&[("divisi.toml", "[kinds.serach]\nabout = 'x'")]);
    let wrong = project.load([]).unwrap().settings.kinds().unwrap_err();
    insta::assert_snapshot!(format!("{wrong}\n{}", wrong.hint().unwrap_or_default()), @r#"
    the kind `serach` of the settings is new and has no tier
    say `tier = "sonnet"` under [kinds.serach], or check how its name is written
    "#);
}
