//! Measures the choice of a task's kind and tier.
//!
//! `cargo bench -p divisi-core --bench choice`. It should stay below a millisecond for a prompt of
//! any length.

use divisi_core::choice::{Evidence, Kinds};

fn main() {
    divan::main();
}

const PARAGRAPH: &str = "The importer reads the orders of a day from the warehouse, checks that every line has \
a price and a currency, and writes what is wrong to a report that the finance team reads in the morning. \
Find all places where a missing price is replaced by zero, and list them with file and line.\n";

/// Prompts of so many bytes.
#[divan::bench(args = [200, 1_000, 4_000, 8_000, 100_000])]
fn choose(bencher: divan::Bencher<'_, '_>, bytes: usize) {
    let kinds = Kinds::built_in();
    let prompt: String = PARAGRAPH.chars().cycle().take(bytes).collect();
    let evidence = Evidence {
        prompt: &prompt,
        agent: Some("Explore"),
        ..Evidence::default()
    };
    bencher.bench_local(|| kinds.choose(divan::black_box(&evidence)));
}
