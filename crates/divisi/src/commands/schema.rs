//! Schemas from files.

use anyhow::Context as _;
use divisi_app::Problem;
use serde_json::Value;
use std::path::Path;

/// Longest schema; vendors take only shorter ones.
const SCHEMA_BYTES_MAX: u64 = 4 << 20;

/// The schema in a file, if a result can satisfy it.
pub(super) fn schema(path: &Path) -> Result<Value, Problem> {
    let text = divisi_files::read_typed(path, SCHEMA_BYTES_MAX)
        .and_then(divisi_files::text)
        .with_context(|| format!("cannot read the schema {}", path.display()))?;
    let schema = serde_json::from_str(&text).map_err(|error| {
        Problem::usage(format!("the schema {} is no JSON: {error}", path.display()))
    })?;
    divisi_script::check_schema(&schema)
        .map_err(|wrong| Problem::usage(format!("the schema {}: {wrong}", path.display())))?;
    Ok(schema)
}
