//! OpenAI: a threshold that raises output by half, cache writes of two lifetimes, service tiers.

use super::{Case, case, thinking, tokens, usd};
use divisi_core::price::Service::{Batch, Fast, Flex, Priority, Ultrafast};

const O: &str = "openai";
const LUNA: &str = "gpt-6-luna";
const TERRA: &str = "gpt-6.1-terra";
const SOL: &str = "gpt-6.1-sol";
const ASTRA: &str = "gpt-6-astra";

pub(super) fn cases() -> Vec<Case> {
    [luna(), terra(), sol(), astra(), newest(), older()]
        .into_iter()
        .flatten()
        .collect()
}

fn luna() -> Vec<Case> {
    vec![
        case(
            "input and output",
            O,
            LUNA,
            tokens(1_000, 0, 0, 0, 100),
            1_000 * usd("0.10") + 100 * usd("0.50"),
        ),
        case(
            "cached at a tenth",
            O,
            LUNA,
            tokens(0, 0, 0, 1_000, 0),
            1_000 * usd("0.01"),
        ),
        case(
            "writes for thirty minutes",
            O,
            LUNA,
            tokens(0, 1_000, 0, 0, 0),
            1_000 * usd("0.125"),
        ),
        case(
            "writes for twelve hours",
            O,
            LUNA,
            tokens(0, 0, 1_000, 0, 0),
            1_000 * usd("0.25"),
        ),
        case(
            "at the threshold",
            O,
            LUNA,
            tokens(200_000, 2_000, 0, 70_000, 1_000),
            200_000 * usd("0.10")
                + 2_000 * usd("0.125")
                + 70_000 * usd("0.01")
                + 1_000 * usd("0.50"),
        ),
        case(
            "one token over it",
            O,
            LUNA,
            tokens(200_001, 2_000, 0, 70_000, 1_000),
            200_001 * usd("0.20")
                + 2_000 * usd("0.25")
                + 70_000 * usd("0.02")
                + 1_000 * usd("0.75"),
        ),
        case(
            "over it with a long write",
            O,
            LUNA,
            tokens(1, 0, 272_000, 0, 1),
            usd("0.20") + 272_000 * usd("0.50") + usd("0.75"),
        ),
        case(
            "flex",
            O,
            LUNA,
            tokens(10, 0, 0, 10, 10),
            10 * usd("0.05") + 10 * usd("0.005") + 10 * usd("0.25"),
        )
        .served(Flex),
        case(
            "priority",
            O,
            LUNA,
            tokens(10, 0, 0, 10, 10),
            10 * usd("0.20") + 10 * usd("0.02") + 10 * usd("1"),
        )
        .served(Priority),
        case(
            "fast over the threshold",
            O,
            LUNA,
            tokens(272_001, 0, 0, 0, 10),
            272_001 * usd("0.40") + 10 * usd("1.50"),
        )
        .served(Fast),
        case(
            "batch",
            O,
            LUNA,
            tokens(9, 9, 0, 0, 9),
            9 * usd("0.05") + 9 * usd("0.0625") + 9 * usd("0.25"),
        )
        .served(Batch),
    ]
}

fn terra() -> Vec<Case> {
    vec![
        case(
            "every class",
            O,
            TERRA,
            tokens(1, 2, 3, 4, 5),
            usd("1") + 2 * usd("1.25") + 3 * usd("2.50") + 4 * usd("0.05") + 5 * usd("5"),
        ),
        case(
            "over the threshold",
            O,
            TERRA,
            tokens(272_000, 1, 0, 0, 5),
            272_000 * usd("2") + usd("2.50") + 5 * usd("7.50"),
        ),
        case(
            "flex",
            O,
            TERRA,
            tokens(3, 0, 0, 1, 1),
            3 * usd("0.5") + usd("0.025") + usd("2.5"),
        )
        .served(Flex),
    ]
}

fn sol() -> Vec<Case> {
    vec![
        case(
            "cached at a twentieth",
            O,
            SOL,
            tokens(1_000, 0, 0, 9_000, 500),
            1_000 * usd("2") + 9_000 * usd("0.10") + 500 * usd("10"),
        ),
        case(
            "reasoning within output",
            O,
            SOL,
            thinking(tokens(10, 0, 0, 0, 5_000), 4_900),
            10 * usd("2") + 5_000 * usd("10"),
        ),
        case(
            "over the threshold by cached tokens",
            O,
            SOL,
            tokens(1, 0, 0, 272_000, 100),
            usd("4") + 272_000 * usd("0.20") + 100 * usd("15"),
        ),
        case(
            "priority",
            O,
            SOL,
            tokens(100, 0, 0, 0, 10),
            100 * usd("4") + 10 * usd("20"),
        )
        .served(Priority),
        case(
            "an edition by its date",
            O,
            "gpt-6.1-sol-2026-09-29",
            tokens(5, 0, 0, 0, 5),
            5 * usd("2") + 5 * usd("10"),
        ),
        case(
            "by OpenRouter",
            "openrouter",
            "openai/gpt-6.1-sol",
            tokens(5, 5, 0, 5, 5),
            5 * usd("2") + 5 * usd("2.50") + 5 * usd("0.10") + 5 * usd("10"),
        ),
    ]
}

fn astra() -> Vec<Case> {
    vec![
        case(
            "every class",
            O,
            ASTRA,
            tokens(10, 10, 0, 10, 10),
            10 * usd("10") + 10 * usd("12.50") + 10 * usd("1") + 10 * usd("50"),
        ),
        case(
            "over the threshold",
            O,
            ASTRA,
            tokens(300_000, 0, 0, 0, 100),
            300_000 * usd("20") + 100 * usd("75"),
        ),
        case(
            "batch",
            O,
            ASTRA,
            tokens(10, 0, 0, 10, 10),
            10 * usd("5") + 10 * usd("0.5") + 10 * usd("25"),
        )
        .served(Batch),
    ]
}

fn newest() -> Vec<Case> {
    vec![
        case(
            "astra 6.2",
            O,
            "gpt-6.2-astra",
            tokens(10, 20, 30, 40, 50),
            10 * usd("8") + 20 * usd("10") + 30 * usd("20") + 40 * usd("0.40") + 50 * usd("40"),
        ),
        case(
            "astra 6.2 over the threshold",
            O,
            "gpt-6.2-astra",
            tokens(1, 0, 0, 272_000, 50),
            usd("16") + 272_000 * usd("0.80") + 50 * usd("60"),
        ),
        case(
            "astra 6.2, fast",
            O,
            "gpt-6.2-astra",
            tokens(10, 0, 0, 0, 10),
            10 * usd("16") + 10 * usd("80"),
        )
        .served(Fast),
        case(
            "sol 6.2",
            O,
            "gpt-6.2-sol",
            tokens(10, 20, 0, 40, 50),
            10 * usd("2") + 20 * usd("2.50") + 40 * usd("0.10") + 50 * usd("10"),
        ),
        case(
            "ultrafast",
            O,
            SOL,
            tokens(10, 2, 0, 4, 5),
            10 * usd("12") + 2 * usd("15") + 4 * usd("0.60") + 5 * usd("60"),
        )
        .served(Ultrafast),
        case(
            "ultrafast over the threshold",
            O,
            ASTRA,
            tokens(272_001, 0, 0, 0, 1),
            272_001 * usd("120") + usd("450"),
        )
        .served(Ultrafast),
        case(
            "cyber",
            O,
            "gpt-6-cyber",
            tokens(10, 1, 0, 2, 3),
            10 * usd("20") + usd("25") + 2 * usd("2") + 3 * usd("100"),
        ),
    ]
}

/// Models whose services have other factors.
fn older() -> Vec<Case> {
    vec![
        case(
            "priority at 1.75",
            O,
            "gpt-4.1",
            tokens(100, 0, 0, 40, 10),
            100 * usd("3.50") + 40 * usd("0.875") + 10 * usd("14"),
        )
        .served(Priority),
        case(
            "priority at 1.75",
            O,
            "o3",
            tokens(100, 0, 0, 40, 10),
            100 * usd("3.50") + 40 * usd("0.875") + 10 * usd("14"),
        )
        .served(Priority),
        case(
            "priority at 1.8",
            O,
            "gpt-5-mini",
            tokens(100, 0, 0, 0, 10),
            100 * usd("0.45") + 10 * usd("3.60"),
        )
        .served(Priority),
        case(
            "priority at 2.5",
            O,
            "gpt-5.5",
            tokens(100, 0, 0, 0, 10),
            100 * usd("12.50") + 10 * usd("75"),
        )
        .served(Priority),
        case(
            "a batch that reads the cache at the usual price",
            O,
            "gpt-4.1",
            tokens(100, 0, 0, 40, 10),
            100 * usd("1") + 40 * usd("0.50") + 10 * usd("4"),
        )
        .served(Batch),
    ]
}
