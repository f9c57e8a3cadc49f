use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

fn choose(evidence: Evidence<'_>) -> Choice {
    Kinds::built_in().choose(&evidence).unwrap()
}

fn of(prompt: &str) -> Choice {
    choose(Evidence {
        prompt,
        ..Evidence::default()
    })
}

struct Labelled {
    is_held_out: bool,
    tier: Tier,
    kind: &'static str,
    prompt: String,
}

fn corpus() -> Vec<Labelled> {
    let lines = include_str!("../../tests/data/prompts.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let [set, tier, kind, prompt] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let prompt = prompt.replace("\\n", "\n");
            Labelled {
                is_held_out: set == "held",
                tier: tier.parse().unwrap(),
                kind,
                prompt,
            }
        })
        .collect()
}

/// Numbers of right tiers, right kinds and all prompts, and the wrong tiers.
fn right<'a>(corpus: impl Iterator<Item = &'a Labelled>) -> ((usize, usize, usize), String) {
    corpus.fold(
        ((0, 0, 0), String::new()),
        |((tiers, kinds, all), mut wrong), labelled| {
            let Labelled {
                tier, kind, prompt, ..
            } = labelled;
            let choice = of(prompt);
            assert!(choice.tier > Tier::Haiku || *tier < Tier::Opus, "{prompt}");
            if choice.tier != *tier {
                wrong += &format!("{} for {tier}: {prompt} ({})\n", choice.tier, choice.why());
            }
            let (is_tier, is_kind) = (choice.tier == *tier, *choice.kind == **kind);
            (
                (
                    tiers + usize::from(is_tier),
                    kinds + usize::from(is_kind),
                    all + 1,
                ),
                wrong,
            )
        },
    )
}

#[test]
fn the_object_decides_over_the_verb_and_the_main_clause_over_the_others() {
    let expected = [
        ("grep the architecture document", Tier::Haiku),
        ("Print the names of all design documents", Tier::Haiku),
        (
            "Find a polynomial-time algorithm or show that none exists",
            Tier::Opus,
        ),
        (
            "simple question: prove this algorithm is optimal",
            Tier::Opus,
        ),
        (
            "Save this as notes.md, create the folder if needed",
            Tier::Haiku,
        ),
        (
            "Read CLAUDE.md first. Then find security holes in the upload handler.",
            Tier::Sonnet,
        ),
        ("Run the linter", Tier::Haiku),
        ("Identify top 5 critical modules", Tier::Opus),
        (
            "# Design\n\nList the files.\n```\nprove(theorem)\n```",
            Tier::Haiku,
        ),
        ("Entwirf die Architektur des Bestellsystems", Tier::Opus),
        ("请把变量重命名为 index", Tier::Haiku),
        ("この設計書のファイル一覧を出して", Tier::Haiku),
        ("ИСПРАВЬ ОШИБКУ: страница падает", Tier::Sonnet),
    ];
    for (prompt, tier) in expected {
        let choice = of(prompt);
        assert_eq!(choice.tier, tier, "{prompt}: {choice:#?}");
    }
    for small in [
        "design a button label",
        "Design a logo",
        "Plan a birthday party",
        "diseña un botón",
    ] {
        assert!(of(small).tier < Tier::Opus, "{small}");
    }
}

#[test]
fn who_verifies_hunts_or_judges_does_not_search() {
    let prompts = [
        "You are an adversarial finding verifier. Read the cited file, then say whether the finding is real",
        "You are an adversarial finding verifier. Read the cited file, then refute: {\"id\": 1}",
        "Read CLAUDE.md first. Then hunt for concurrency bugs in src/.",
        "You are a skeptic. Read the code and decide: real or not. Return true or false.",
        "Judge which of the findings below are real. Extract the evidence.",
        "Du bist Skeptiker. Lies den Code und widerlege den Befund.",
        "Ты скептик. Прочитай код и реши, реальна ли находка",
        "코드를 읽고 이 발견이 사실인지 검증해줘",
    ];
    for prompt in prompts {
        let choice = of(prompt);
        assert_eq!(
            (&*choice.kind, choice.tier),
            ("review", Tier::Sonnet),
            "{prompt}: {choice:#?}"
        );
    }
}

#[test]
fn most_of_our_prompts_get_their_tier() {
    let corpus = corpus();
    let (fit, wrong_fit) = right(corpus.iter().filter(|labelled| !labelled.is_held_out));
    let (held, wrong_held) = right(corpus.iter().filter(|labelled| labelled.is_held_out));
    // The vote was trained on these texts, so this tests only that nothing is lost.
    let ((fit_tiers, fit_kinds, _), (held_tiers, held_kinds, _)) = (fit, held);
    assert!(
        fit_tiers >= 130 && fit_kinds >= 128 && held_tiers >= 65 && held_kinds >= 63,
        "{fit:?} {held:?}\n{wrong_fit}{wrong_held}"
    );
}

#[test]
fn what_was_weighed_is_told() {
    let told = |evidence: Evidence<'_>| {
        let choice = choose(evidence);
        let reasons = choice
            .reasons
            .iter()
            .map(|reason| format!("{:+} {}: {reason}\n", reason.weight, reason.kind));
        format!(
            "{} {} {:.2}\n{}",
            choice.kind,
            choice.tier,
            choice.confidence,
            reasons.collect::<String>()
        )
    };
    let prompt = |prompt| Evidence {
        prompt,
        ..Evidence::default()
    };
    insta::assert_snapshot!(told(prompt("Find all usages of `Pool`, then fix the crash in it.")), @r#"
    bug sonnet 0.30
    +0.1 vote: texts like this go to haiku: "usages", "find"
    +2 bug: asks to "fix"
    +1.5 bug: speaks of "crash"
    +5 search: first asks to "find"
    +1.5 search: speaks of "all usages"
    "#);
    insta::assert_snapshot!(told(prompt("Read the architecture document and list its headings.")), @r#"
    read haiku 0.79
    +5.2 vote: texts like this go to haiku: "headings", "list", "read"
    +5 read: first asks to "read"
    +2 search: asks to "list"
    +0.5 architecture: speaks of "architecture"
    +0.5 docs: speaks of "document"
    "#);
    insta::assert_snapshot!(told(prompt("Hello")), @r#"
    general sonnet 0.72
    +3.4 vote: texts like this go to sonnet: "hello"
    "#);
    let agent = Evidence {
        agent: Some("Explore"),
        agent_about: Some("Answers, citing all usages"),
        ..prompt("The pool?")
    };
    insta::assert_snapshot!(told(agent), @r#"
    search haiku 0.51
    +0.5 vote: texts like this go to sonnet
    +4 search: agent `Explore`
    +1 search: its agent's description speaks of "all usages"
    "#);
}

#[test]
fn surroundings_count() {
    let kind = |evidence: Evidence<'_>| choose(evidence).kind.to_string();
    let prompt = Evidence {
        prompt: "Ticket 12: the login button is grey.",
        ..Evidence::default()
    };
    let small = json!({"type": "object", "properties": {"category": {"type": "string"}}});
    assert_eq!(kind(prompt), "feature");
    assert_eq!(
        kind(Evidence {
            agent: Some("my-triage-bot"),
            schema: Some(&small),
            ..prompt
        }),
        "classify"
    );
    // Nothing can be built with tools that only read.
    let vague = Evidence {
        prompt: "The import crashes; bug. Findings?",
        ..Evidence::default()
    };
    assert_eq!(kind(vague), "bug");
    assert_eq!(
        kind(Evidence {
            tools: Some(Needs::of_tools(["Read", "Grep"])),
            ..vague
        }),
        "review"
    );
    let easy = Evidence {
        prompt: "List the modules.",
        ..Evidence::default()
    };
    assert_eq!(choose(easy).tier, Tier::Haiku);
    assert_eq!(
        choose(Evidence {
            effort: Some(Effort::Low),
            ..easy
        })
        .tier,
        Tier::Haiku
    );
    // The greatest effort is evidence for a harder task, but alone makes none hard.
    let effort = choose(Evidence {
        effort: Some(Effort::Max),
        ..easy
    });
    assert!(effort.confidence <= choose(easy).confidence && effort.tier <= Tier::Sonnet);
}

#[test]
fn tools_that_nobody_knows_may_write() {
    assert_eq!(Needs::of_tools([]), Needs::None);
    assert_eq!(
        Needs::of_tools(["read_file", "WebFetch(domain:x.org)"]),
        Needs::Read
    );
    assert_eq!(
        Needs::of_tools(["read_file", "mcp__db__query"]),
        Needs::Write
    );
}

#[test]
fn a_declared_kind_settles_it() {
    let declared = |name| {
        Kinds::built_in().choose(&Evidence {
            prompt: "Design the architecture.",
            declared: Some(name),
            ..Evidence::default()
        })
    };
    let choice = declared("search").unwrap();
    assert_eq!(
        (&*choice.kind, choice.tier, choice.declared),
        ("search", Tier::Haiku, true)
    );
    assert_eq!(choice.why(), "search, as the task says");
    let hint = |name| declared(name).unwrap_err().hint();
    insta::assert_snapshot!(declared("serach").unwrap_err(), @"there is no kind of task `serach`");
    insta::assert_snapshot!(hint("serach"), @"did you mean `search` or `research`?");
    insta::assert_snapshot!(hint("security"), @"did you mean `security-design` or `security-review`?");
    insta::assert_snapshot!(hint("xyz"), @"there are algorithm, architecture, bug, classify, data, docs, explain, extract, feature, format, general, migration, planning, read, refactor, research, review, search, security-design, security-review, simple-edit, summarise, synthesis, test, translate; add others as [kinds.NAME] in divisi.toml");
}

#[test]
fn settings_change_and_add_kinds() {
    let changes: BTreeMap<String, KindChange> = toml::from_str(
        "search = { tier = 'sonnet' }\n\
         ledger = { tier = 'opus', asks = ['reconcile the ledger'] }",
    )
    .unwrap();
    let corp = BTreeMap::from([("search".to_owned(), Tier::Opus)]);
    let kinds = Kinds::new(&changes, BTreeMap::from([("corp".to_owned(), corp)])).unwrap();
    let tier = |prompt, provider| {
        kinds
            .choose(&Evidence {
                prompt,
                provider,
                ..Evidence::default()
            })
            .unwrap()
            .tier
    };
    assert_eq!(tier("Find the callers.", None), Tier::Sonnet);
    assert_eq!(tier("Find the callers.", Some("corp")), Tier::Opus);
    assert_eq!(tier("Reconcile the ledger.", None), Tier::Opus);
    let wrong = |changes: &str, per_provider| {
        Kinds::new(&toml::from_str(changes).unwrap(), per_provider)
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(wrong("ledger = { about = 'x' }", BTreeMap::new()), @"the kind `ledger` of the settings is new and has no tier");
    let corp = BTreeMap::from([("serach".to_owned(), Tier::Opus)]);
    insta::assert_snapshot!(
        wrong("", BTreeMap::from([("corp".to_owned(), corp)])),
        @"the tiers of provider `corp` by kind: there is no kind of task `serach`"
    );
}

#[test]
fn who_says_that_a_hard_kind_is_easy_is_believed() {
    let changes = toml::from_str("algorithm = { tier = 'haiku' }").unwrap();
    let kinds = Kinds::new(&changes, BTreeMap::new()).unwrap();
    let prompt = "Prove the bound.";
    let tier = |kinds: &Kinds| {
        kinds
            .choose(&Evidence {
                prompt,
                ..Evidence::default()
            })
            .unwrap()
            .tier
    };
    assert_eq!(
        (tier(&kinds), tier(Kinds::built_in())),
        (Tier::Haiku, Tier::Opus)
    );
}

#[test]
fn the_data_is_sound() {
    let kinds = Kinds::built_in();
    for kind in kinds.iter() {
        let TokenPrior {
            input,
            output,
            turns,
            spread,
        } = kind.tokens;
        assert!(
            input > 0 && output > 0 && turns > 0 && spread >= 1.0,
            "{}",
            kind.name
        );
        let usage = kind.tokens.usage();
        assert_eq!(
            usage.input + usage.cache_write_5m + usage.cache_read,
            input,
            "{}",
            kind.name
        );
        assert!(!kind.hard || kind.tier == Tier::Opus, "{}", kind.name);
        for name in &kind.takes {
            kinds.get(name).unwrap();
        }
        // Words are written as they are compared.
        for words in kind.asks.iter().chain(&kind.phrases).chain(&kind.against) {
            assert_eq!(*words, words.to_lowercase().trim(), "{}", kind.name);
        }
    }
    assert_eq!(kinds.get("general").unwrap().tier, Tier::Sonnet);
}

proptest! {
    #[test]
    fn who_asks_for_hard_work_never_gets_the_cheapest_tier(
        hard in proptest::sample::select(hard_asks()),
        before in proptest::collection::vec(proptest::sample::select(easy_words()), 0..8),
        after in proptest::collection::vec(proptest::sample::select(easy_words()), 0..30),
        agent in proptest::sample::select(vec![None, Some("Explore"), Some("search")]),
        tools in proptest::sample::select(vec![None, Some(Needs::None), Some(Needs::Read)]),
    ) {
        let prompt = format!("{}.\n{hard} it.\n{}.", before.join(", "), after.join(", "));
        let effort = Some(Effort::Low);
        let choice = choose(Evidence { prompt: &prompt, agent, tools, effort, ..Evidence::default() });
        prop_assert!(choice.tier > Tier::Haiku, "{prompt}: {choice:?}");
    }

    #[test]
    fn any_prompt_gets_an_answer(prompt in ".{0,300}", repeat in 1..60_usize) {
        let choice = of(&prompt.repeat(repeat));
        prop_assert!((0.0..=1.0).contains(&choice.confidence));
    }
}

fn hard_asks() -> Vec<String> {
    let kinds = Kinds::built_in();
    let hard = kinds.iter().filter(|kind| kind.hard);
    hard.flat_map(|kind| &kind.asks)
        .map(|words| words.trim_end_matches('*').to_owned())
        .collect()
}

fn easy_words() -> Vec<String> {
    let kinds = Kinds::built_in();
    let easy = kinds.iter().filter(|kind| kind.tier == Tier::Haiku);
    easy.flat_map(|kind| kind.asks.iter().chain(&kind.phrases).chain(&kind.against))
        .map(|words| words.replace('*', ""))
        .collect()
}
