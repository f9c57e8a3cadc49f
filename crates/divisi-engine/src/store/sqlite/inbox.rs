//! Messages to runs, in the table `inbox`.

use super::error::failure;
use super::reader::Journals;
use super::redacted;
use crate::store::{ControlMessage, INBOX_MAX, Receipt, Sent, StoreError};
use divisi_core::RunId;
use divisi_providers::redact;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Receipts of a run that are kept although their senders do not fetch them: they have died.
const RECEIPTS_KEPT_MAX: i64 = 100;

/// A message or a receipt as JSON text.
pub(super) fn written(value: &impl Serialize) -> rusqlite::Result<String> {
    let json = serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    Ok(redacted(&redact::known(), &json).into_owned())
}

fn read<T: DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    let failed = |error: serde_json::Error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into())
    };
    serde_json::from_str(text).map_err(failed)
}

pub(super) fn send(
    connection: &mut Connection,
    path: &Path,
    run: &RunId,
    message: &ControlMessage,
) -> Result<u64, StoreError> {
    let failed = |source| failure(path, source);
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let waiting: i64 = transaction
        .query_row(
            "SELECT count(*) FROM inbox WHERE run = ?1 AND receipt IS NULL",
            [run.as_str()],
            |row| row.get(0),
        )
        .map_err(failed)?;
    if waiting >= INBOX_MAX as i64 {
        return Err(StoreError::InboxFull(run.clone()));
    }
    let text = written(message).map_err(failed)?;
    transaction
        .execute(
            "INSERT INTO inbox (run, message) VALUES (?1, ?2)",
            params![run.as_str(), text],
        )
        .map_err(failed)?;
    let number = transaction.last_insert_rowid();
    transaction
        .execute(
            "DELETE FROM inbox WHERE run = ?1 AND receipt IS NOT NULL AND number NOT IN (
                 SELECT number FROM inbox WHERE run = ?1 AND receipt IS NOT NULL
                 ORDER BY number DESC LIMIT ?2)",
            params![run.as_str(), RECEIPTS_KEPT_MAX],
        )
        .map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(number as u64)
}

pub(super) fn withdraw(
    connection: &mut Connection,
    path: &Path,
    number: u64,
) -> Result<Option<Receipt>, StoreError> {
    let deleted = connection
        .query_row(
            "DELETE FROM inbox WHERE number = ?1 RETURNING receipt",
            [number as i64],
            |row| row.get::<_, Option<String>>(0),
        )
        .optional()
        .and_then(|text| text.flatten().map(|text| read(&text)).transpose());
    deleted.map_err(|source| failure(path, source))
}

impl Journals {
    pub(super) fn inbox(&self, run: &RunId) -> Result<Vec<Sent>, StoreError> {
        self.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT number, message FROM inbox WHERE run = ?1 AND receipt IS NULL ORDER BY number",
            )?;
            let sent = query.query_map([run.as_str()], |row| {
                Ok(Sent {
                    number: row.get::<_, i64>(0)? as u64,
                    message: read(&row.get::<_, String>(1)?)?,
                })
            })?;
            sent.collect()
        })
    }

    pub(super) fn receipt(&self, number: u64) -> Result<Option<Receipt>, StoreError> {
        self.read(|connection| {
            let mut query =
                connection.prepare_cached("SELECT receipt FROM inbox WHERE number = ?1")?;
            let text = query
                .query_row([number as i64], |row| row.get::<_, Option<String>>(0))
                .optional()?;
            text.flatten().map(|text| read(&text)).transpose()
        })
    }
}
