# Lists what can be done.
default:
    @just --list

# All tests; CI adds cargo-deny (.ci/run).
test:
    ./test

# Writes the pages that are generated from the code: docs/settings.md, and the schemas of divisi.toml
# and of JSON output.
docs:
    DIVISI_WRITE_DOCS=1 cargo test -p divisi-app --lib the_files_of_the_repository
    DIVISI_WRITE_DOCS=1 cargo test -p divisi --bin divisi the_published_schemas

# Formats and lints.
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- -D warnings
    cargo clippy -p divisi-engine --no-default-features -- -D warnings

# Packs every published crate in its order, as `cargo publish` would; nothing is sent.
pack:
    cargo publish --workspace --dry-run --no-verify --allow-dirty

# The demo: reviews this repository, on a model if there is a key.
demo *ARGS:
    ./demo {{ARGS}}

# Simulates N seeds of the core under faults.
sim N="10000":
    cargo run --release -p divisi-sim -- --seeds {{N}}

# Lets a thousand tasks at once use up a budget, for N seeds.
sim-budget N="10000":
    cargo run --release -p divisi-sim -- --budget --seeds {{N}}

# Fuzzes the three readers of replies for SECONDS each, and prints the number of executions.
fuzz-replies SECONDS="900":
    DIVISI_FUZZ_SECONDS={{SECONDS}} cargo test --release -p divisi-providers --lib -- --nocapture fuzz

# All benchmarks; see docs/benchmarks.md.
bench:
    cargo bench -p divisi-core -p divisi-script
    cargo build --profile dist -p divisi -p divisi-bench
    target/dist/divisi-bench
