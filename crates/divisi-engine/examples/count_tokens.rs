//! Counts texts for `scripts/measure-tokens`: a JSON string on each line of
//! stdin, its features and counts on each line of stdout.

#![allow(clippy::print_stdout, reason = "a program that writes to stdout")]

use divisi_engine::tokens::{Features, count};
use serde_json::json;
use std::io::BufRead;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for line in std::io::stdin().lock().lines() {
        let text: String = serde_json::from_str(&line?)?;
        let counts = ["claude-opus-4-5", "claude-opus-5-5", "gpt-6-luna"].map(|model| {
            let count = count(model, &text);
            [count.tokens, count.upper]
        });
        println!(
            "{}",
            json!({"features": Features::of(&text).0, "counts": counts})
        );
    }
    Ok(())
}
