//! Gemini: prices that double on a day, a threshold, thoughts billed as output.

use super::{Case, case, tokens, usd};
use divisi_core::Usage;
use divisi_core::price::Service::{Batch, Flex, Priority};

const G: &str = "google";
const LITE: &str = "gemini-3.5-flash-lite";
const FLASH: &str = "gemini-3.8-flash";
const PRO: &str = "gemini-3.1-pro-preview";
const ARGON: &str = "gemini-4-argon";

/// Usage from Gemini's counts: the prompt count includes cached tokens, and thoughts are counted
/// separately from candidates.
fn counted(prompt: u64, cached: u64, candidates: u64, thoughts: u64) -> Usage {
    let usage = tokens(prompt - cached, 0, 0, cached, candidates + thoughts);
    Usage {
        thinking: thoughts,
        ..usage
    }
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "input and output",
            G,
            LITE,
            counted(1_000, 0, 100, 0),
            1_000 * usd("0.30") + 100 * usd("2.50"),
        ),
        case(
            "cached at a tenth",
            G,
            LITE,
            counted(10_000, 9_000, 1, 0),
            1_000 * usd("0.30") + 9_000 * usd("0.03") + usd("2.50"),
        ),
        case(
            "thoughts",
            G,
            LITE,
            counted(10, 0, 20, 30),
            10 * usd("0.30") + 50 * usd("2.50"),
        ),
        case(
            "before it doubles",
            G,
            FLASH,
            counted(100, 0, 10, 0),
            100 * usd("0.75") + 10 * usd("3.75"),
        )
        .on("2026-12-31"),
        case(
            "on the day",
            G,
            FLASH,
            counted(100, 0, 10, 0),
            100 * usd("1.50") + 10 * usd("7.50"),
        )
        .on("2027-01-01"),
        case(
            "cached before it doubles",
            G,
            FLASH,
            counted(100, 90, 0, 0),
            10 * usd("0.75") + 90 * usd("0.075"),
        ),
        case(
            "cached after",
            G,
            FLASH,
            counted(100, 90, 0, 0),
            10 * usd("1.50") + 90 * usd("0.15"),
        )
        .on("2027-06-01"),
        case(
            "batch",
            G,
            FLASH,
            counted(100, 40, 10, 5),
            60 * usd("0.375") + 40 * usd("0.0375") + 15 * usd("1.875"),
        )
        .served(Batch),
        case(
            "at the threshold",
            G,
            PRO,
            counted(200_000, 0, 10, 0),
            200_000 * usd("2") + 10 * usd("12"),
        ),
        case(
            "one token over it",
            G,
            PRO,
            counted(200_001, 0, 10, 0),
            200_001 * usd("4") + 10 * usd("18"),
        ),
        case(
            "over it by cached tokens",
            G,
            PRO,
            counted(200_001, 200_000, 10, 10),
            usd("4") + 200_000 * usd("0.40") + 20 * usd("18"),
        ),
        case(
            "before it doubles",
            G,
            ARGON,
            counted(10, 0, 1, 0),
            10 * usd("2") + usd("10"),
        )
        .on("2026-11-30"),
        case(
            "on the day",
            G,
            ARGON,
            counted(10, 0, 1, 0),
            10 * usd("4") + usd("20"),
        )
        .on("2026-12-01"),
        case(
            "cached at a twentieth",
            G,
            ARGON,
            counted(1_000, 900, 0, 0),
            100 * usd("2") + 900 * usd("0.10"),
        ),
        case(
            "flex",
            G,
            ARGON,
            counted(10, 0, 1, 1),
            10 * usd("1") + 2 * usd("5"),
        )
        .served(Flex),
        case(
            "priority at 1.8",
            G,
            ARGON,
            counted(100, 40, 10, 5),
            60 * usd("3.60") + 40 * usd("0.18") + 15 * usd("18"),
        )
        .served(Priority),
        case(
            "priority over the threshold",
            G,
            PRO,
            counted(200_001, 1, 10, 0),
            200_000 * usd("7.20") + usd("0.72") + 10 * usd("32.40"),
        )
        .served(Priority),
        case(
            "a batch that reads the cache at the usual price",
            G,
            PRO,
            counted(100, 40, 10, 0),
            60 * usd("1") + 40 * usd("0.20") + 10 * usd("6"),
        )
        .served(Batch),
        case(
            "flex that reads the cache at the usual price",
            G,
            "gemini-2.5-flash",
            counted(100, 40, 10, 0),
            60 * usd("0.15") + 40 * usd("0.03") + 10 * usd("1.25"),
        )
        .served(Flex),
        case(
            "a batch with a cache of its own price",
            G,
            LITE,
            counted(100, 40, 10, 0),
            60 * usd("0.15") + 40 * usd("0.02") + 10 * usd("1.25"),
        )
        .served(Batch),
        case(
            "carbon on its last cheap day",
            G,
            "gemini-4-carbon",
            counted(100, 40, 10, 5),
            60 * usd("2") + 40 * usd("0.10") + 15 * usd("10"),
        ),
        case(
            "neon",
            G,
            "gemini-4-neon",
            counted(100, 40, 10, 5),
            60 * usd("3") + 40 * usd("0.15") + 15 * usd("15"),
        ),
        case(
            "hydrogen, by another name of the vendor",
            "gemini",
            "models/gemini-4-hydrogen",
            counted(100, 40, 10, 5),
            60 * usd("1.50") + 40 * usd("0.075") + 15 * usd("7.50"),
        ),
        case(
            "web searches",
            G,
            ARGON,
            counted(10, 0, 1, 0),
            10 * usd("2") + usd("10") + 3 * usd("14000"),
        )
        .searched(3),
    ]
}
