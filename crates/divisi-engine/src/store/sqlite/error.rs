//! Maps SQLite's errors to those of a store.

use crate::private;
use crate::store::{BackendError, StoreError};
use std::path::Path;

/// Maps an error of the store at `path`.
pub(super) fn failure(path: &Path, source: rusqlite::Error) -> StoreError {
    // The shared memory is a file, too, which cannot grow on a full disk.
    let shared_is_full = matches!(
        &source,
        rusqlite::Error::SqliteFailure(code, _) if code.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
    );
    if shared_is_full {
        return StoreError::Full(path.display().to_string());
    }
    match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy) => StoreError::Busy(path.display().to_string()),
        Some(rusqlite::ErrorCode::DiskFull) => StoreError::Full(path.display().to_string()),
        Some(rusqlite::ErrorCode::NotADatabase) => StoreError::Foreign(path.display().to_string()),
        Some(rusqlite::ErrorCode::CannotOpen) => cannot_open(path, why_not_opened(path)),
        _ => BackendError::new(format!("the store {} failed", path.display()), source)
            .with_hint(
                "see whether its disk is sound, then resume the run: what was written is kept",
            )
            .into(),
    }
}

/// The store, or one of its files, could not be created or opened.
pub(super) fn cannot_open(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Open {
        path: path.display().to_string(),
        source: source.into(),
    }
}

/// The same for a borrowed error, which several waiting drivers get.
pub(super) fn failure_from(path: &Path, source: &rusqlite::Error) -> StoreError {
    let copy = match source {
        rusqlite::Error::SqliteFailure(code, message) => {
            rusqlite::Error::SqliteFailure(*code, message.clone())
        }
        other => rusqlite::Error::ToSqlConversionFailure(other.to_string().into()),
    };
    failure(path, copy)
}

/// Whether another process keeps the store locked.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
}

/// The system's reason, which SQLite does not give.
fn why_not_opened(path: &Path) -> std::io::Error {
    let opened = private::options()
        .read(true)
        .append(true)
        .create(true)
        .open(path);
    opened
        .err()
        .unwrap_or_else(|| std::io::Error::other("SQLite cannot open it"))
}
