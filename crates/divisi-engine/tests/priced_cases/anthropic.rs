//! Anthropic: tiers by prompt length, two cache lifetimes, batch, fast mode, region.

use super::{Case, case, thinking, tokens, usd};
use divisi_core::price::Service::{Batch, Fast};

const A: &str = "anthropic";
const HAIKU: &str = "claude-haiku-5-5";
const SONNET: &str = "claude-sonnet-5-5";
const OPUS: &str = "claude-opus-5-5";
const FABLE: &str = "claude-fable-5-2";

pub(super) fn cases() -> Vec<Case> {
    [haiku(), sonnet(), opus(), fable(), older()]
        .into_iter()
        .flatten()
        .collect()
}

fn haiku() -> Vec<Case> {
    vec![
        case(
            "fresh input",
            A,
            HAIKU,
            tokens(1_000, 0, 0, 0, 0),
            1_000 * usd("0.10"),
        ),
        case(
            "output",
            A,
            HAIKU,
            tokens(0, 0, 0, 0, 1_000),
            1_000 * usd("0.50"),
        ),
        case(
            "reads at a tenth",
            A,
            HAIKU,
            tokens(0, 0, 0, 7, 0),
            7 * usd("0.01"),
        ),
        case(
            "short writes",
            A,
            HAIKU,
            tokens(0, 3, 0, 0, 0),
            3 * usd("0.125"),
        ),
        case(
            "long writes",
            A,
            HAIKU,
            tokens(0, 0, 3, 0, 0),
            3 * usd("0.20"),
        ),
        case(
            "50 k prompt, mostly read",
            A,
            HAIKU,
            tokens(5_000, 5_000, 0, 40_000, 1_000),
            5_000 * usd("0.10") + 5_000 * usd("0.125") + 40_000 * usd("0.01") + 1_000 * usd("0.50"),
        ),
        case(
            "both lives in one request",
            A,
            HAIKU,
            tokens(10, 2_000, 3_000, 500, 70),
            10 * usd("0.10")
                + 2_000 * usd("0.125")
                + 3_000 * usd("0.20")
                + 500 * usd("0.01")
                + 70 * usd("0.50"),
        ),
        case(
            "at the threshold",
            A,
            HAIKU,
            tokens(100_000, 0, 0, 0, 10),
            100_000 * usd("0.10") + 10 * usd("0.50"),
        ),
        case(
            "one token over it",
            A,
            HAIKU,
            tokens(100_001, 0, 0, 0, 10),
            100_001 * usd("0.50") + 10 * usd("2.50"),
        ),
        case(
            "over it by reads",
            A,
            HAIKU,
            tokens(1_001, 0, 0, 99_000, 10),
            1_001 * usd("0.50") + 99_000 * usd("0.05") + 10 * usd("2.50"),
        ),
        case(
            "at it by reads",
            A,
            HAIKU,
            tokens(1_000, 0, 0, 99_000, 10),
            1_000 * usd("0.10") + 99_000 * usd("0.01") + 10 * usd("0.50"),
        ),
        case(
            "over it by writes of both lives",
            A,
            HAIKU,
            tokens(1, 60_000, 40_000, 0, 10),
            usd("0.50") + 60_000 * usd("0.625") + 40_000 * usd("1.00") + 10 * usd("2.50"),
        ),
        case(
            "150 k prompt",
            A,
            HAIKU,
            tokens(5_000, 5_000, 0, 140_000, 1_000),
            5_000 * usd("0.50")
                + 5_000 * usd("0.625")
                + 140_000 * usd("0.05")
                + 1_000 * usd("2.50"),
        ),
        case(
            "thinking is output, not more than it",
            A,
            HAIKU,
            thinking(tokens(100, 0, 0, 0, 900), 800),
            100 * usd("0.10") + 900 * usd("0.50"),
        ),
        case(
            "batch",
            A,
            HAIKU,
            tokens(1_000, 0, 2_000, 4_000, 100),
            1_000 * usd("0.05") + 2_000 * usd("0.10") + 4_000 * usd("0.005") + 100 * usd("0.25"),
        )
        .served(Batch),
        case(
            "batch over the threshold",
            A,
            HAIKU,
            tokens(100_001, 0, 0, 0, 10),
            100_001 * usd("0.25") + 10 * usd("1.25"),
        )
        .served(Batch),
        case(
            "in the United States",
            A,
            HAIKU,
            tokens(1_000, 0, 0, 0, 100),
            1_000 * usd("0.11") + 100 * usd("0.55"),
        )
        .us_only(),
        case(
            "batch in the United States",
            A,
            HAIKU,
            tokens(1_000, 0, 0, 0, 100),
            1_000 * usd("0.055") + 100 * usd("0.275"),
        )
        .served(Batch)
        .us_only(),
        case(
            "an edition by its date",
            A,
            "claude-haiku-5-5-20261007",
            tokens(9, 0, 0, 0, 0),
            9 * usd("0.10"),
        ),
        case(
            "by OpenRouter",
            "openrouter",
            "anthropic/claude-haiku-5.5",
            tokens(9, 8, 7, 6, 5),
            9 * usd("0.10")
                + 8 * usd("0.125")
                + 7 * usd("0.20")
                + 6 * usd("0.01")
                + 5 * usd("0.50"),
        ),
        case(
            "by OpenRouter, over the threshold",
            "openrouter",
            "anthropic/claude-haiku-5.5-20261007",
            tokens(200_000, 0, 0, 0, 5),
            200_000 * usd("0.50") + 5 * usd("2.50"),
        ),
    ]
}

fn sonnet() -> Vec<Case> {
    vec![
        case(
            "fresh input and output",
            A,
            SONNET,
            tokens(1_234, 0, 0, 0, 567),
            1_234 * usd("2") + 567 * usd("10"),
        ),
        case(
            "reads at a twentieth",
            A,
            SONNET,
            tokens(0, 0, 0, 10_000, 0),
            10_000 * usd("0.10"),
        ),
        case(
            "reads before the cut",
            A,
            SONNET,
            tokens(0, 0, 0, 10_000, 0),
            10_000 * usd("0.20"),
        )
        .on("2026-10-06"),
        case(
            "reads on the day of the cut",
            A,
            SONNET,
            tokens(0, 0, 0, 10_000, 0),
            10_000 * usd("0.10"),
        )
        .on("2026-10-07"),
        case(
            "only reads were cut",
            A,
            SONNET,
            tokens(10, 20, 30, 0, 40),
            10 * usd("2") + 20 * usd("2.50") + 30 * usd("4") + 40 * usd("10"),
        )
        .on("2026-10-06"),
        case(
            "both lives",
            A,
            SONNET,
            tokens(100, 30_000, 20_000, 1_000, 800),
            100 * usd("2")
                + 30_000 * usd("2.50")
                + 20_000 * usd("4")
                + 1_000 * usd("0.10")
                + 800 * usd("10"),
        ),
        case(
            "no surcharge for a long prompt",
            A,
            SONNET,
            tokens(300_000, 0, 0, 600_000, 10),
            300_000 * usd("2") + 600_000 * usd("0.10") + 10 * usd("10"),
        ),
        case(
            "batch",
            A,
            SONNET,
            tokens(7, 0, 0, 3, 1),
            7 * usd("1") + 3 * usd("0.05") + usd("5"),
        )
        .served(Batch),
        case(
            "in the United States",
            A,
            SONNET,
            tokens(10, 0, 0, 10, 10),
            10 * usd("2.2") + 10 * usd("0.11") + 10 * usd("11"),
        )
        .us_only(),
        case(
            "thinking within output",
            A,
            SONNET,
            thinking(tokens(50, 0, 0, 0, 4_000), 3_999),
            50 * usd("2") + 4_000 * usd("10"),
        ),
        case(
            "by OpenRouter",
            "openrouter",
            "anthropic/claude-sonnet-5.5",
            tokens(10, 0, 5, 100, 2),
            10 * usd("2") + 5 * usd("4") + 100 * usd("0.10") + 2 * usd("10"),
        ),
        case(
            "by a gateway without prices of its own",
            "corp",
            SONNET,
            tokens(10, 0, 0, 0, 2),
            10 * usd("2") + 2 * usd("10"),
        ),
    ]
}

fn opus() -> Vec<Case> {
    vec![
        case(
            "every class",
            A,
            OPUS,
            tokens(1, 2, 3, 4, 5),
            usd("4") + 2 * usd("5") + 3 * usd("8") + 4 * usd("0.20") + 5 * usd("20"),
        ),
        case(
            "fast",
            A,
            OPUS,
            tokens(1_000, 0, 0, 500, 100),
            1_000 * usd("8") + 500 * usd("0.40") + 100 * usd("40"),
        )
        .served(Fast),
        case(
            "fast in the United States",
            A,
            OPUS,
            tokens(1_000, 0, 0, 0, 100),
            1_000 * usd("8.8") + 100 * usd("44"),
        )
        .served(Fast)
        .us_only(),
        case(
            "batch",
            A,
            OPUS,
            tokens(0, 10, 10, 0, 10),
            10 * usd("2.5") + 10 * usd("4") + 10 * usd("10"),
        )
        .served(Batch),
        case(
            "batch in the United States",
            A,
            OPUS,
            tokens(3, 0, 0, 1, 0),
            3 * usd("2.2") + usd("0.11"),
        )
        .served(Batch)
        .us_only(),
        case(
            "a whole window",
            A,
            OPUS,
            tokens(0, 0, 1_000_000, 0, 128_000),
            1_000_000 * usd("8") + 128_000 * usd("20"),
        ),
        case(
            "by OpenRouter with a long write",
            "openrouter",
            "anthropic/claude-opus-5.5",
            tokens(0, 0, 1_000, 0, 1),
            1_000 * usd("8") + usd("20"),
        ),
    ]
}

fn fable() -> Vec<Case> {
    vec![
        case(
            "reads at a fortieth",
            A,
            FABLE,
            tokens(0, 0, 0, 40_000, 0),
            40_000 * usd("0.20"),
        ),
        case(
            "both lives",
            A,
            FABLE,
            tokens(5, 600, 700, 0, 80),
            5 * usd("8") + 600 * usd("10") + 700 * usd("16") + 80 * usd("40"),
        ),
        case(
            "in the United States",
            A,
            FABLE,
            tokens(10, 0, 0, 10, 0),
            10 * usd("8.8") + 10 * usd("0.22"),
        )
        .us_only(),
        case(
            "batch",
            A,
            FABLE,
            tokens(10, 0, 0, 10, 1),
            10 * usd("4") + 10 * usd("0.10") + usd("20"),
        )
        .served(Batch),
        case(
            "thinking within output",
            A,
            FABLE,
            thinking(tokens(1, 0, 0, 0, 2_000), 1_500),
            usd("8") + 2_000 * usd("40"),
        ),
    ]
}

fn older() -> Vec<Case> {
    vec![
        case(
            "haiku 4.5",
            A,
            "claude-haiku-4-5-20251001",
            tokens(100, 10, 20, 30, 40),
            100 * usd("1") + 10 * usd("1.25") + 20 * usd("2") + 30 * usd("0.10") + 40 * usd("5"),
        ),
        case(
            "sonnet 4.6",
            A,
            "claude-sonnet-4-6",
            tokens(100, 10, 20, 30, 40),
            100 * usd("3") + 10 * usd("3.75") + 20 * usd("6") + 30 * usd("0.30") + 40 * usd("15"),
        ),
        case(
            "sonnet 5 reads at a tenth",
            A,
            "claude-sonnet-5",
            tokens(0, 0, 0, 1_000, 10),
            1_000 * usd("0.20") + 10 * usd("10"),
        ),
        case(
            "opus 5",
            A,
            "claude-opus-5",
            tokens(10, 10, 10, 10, 10),
            10 * usd("5") + 10 * usd("6.25") + 10 * usd("10") + 10 * usd("0.50") + 10 * usd("25"),
        ),
        case(
            "opus 4.8",
            A,
            "claude-opus-4-8",
            tokens(10, 0, 0, 10, 10),
            10 * usd("5") + 10 * usd("0.50") + 10 * usd("25"),
        ),
    ]
}
