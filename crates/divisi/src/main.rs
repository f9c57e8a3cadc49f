//! Orchestrates many LLM agents as one job: parallel, durable, capped in dollars.
fn main() {}
