//! A log of records in an object store, one object per record, appended by a conditional put.
//!
//! Two writers never both win one number. A record says which format wrote it and what its checksum
//! is, so that a damaged or newer one is told from a good one. Which records there are is read from a listing of the
//! folder, which shows gaps: a number that was used is never used again.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use watershed_core::error::{Error, Result, SqlState};
use watershed_core::store::StoreRoot;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::from_object_store;

/// Grows when records can no longer be read by older versions.
const FORMAT: u32 = 1;
/// Records that [`SequencedLog::read_from`] asks for at once when it has found that there are some.
const READ_AHEAD: usize = 8;
/// Requests of [`SequencedLog::read_all`] and [`SequencedLog::remove`] at once.
const AT_ONCE: usize = 64;
/// The format of the object that takes the place of the first record when that is removed. Versions that do not know of
/// removed records would take a log without a first record for an empty one.
const REMOVED_FORMAT: u32 = 2;
/// Where the number of the newest record stands. It may lag behind, as it is written after the record.
const NEWEST: &str = "newest.json";
/// Below it are objects that a repair has replaced.
const DAMAGED: &str = "damaged";

/// Whether an append took its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Append {
    Appended,
    /// Another record has that number.
    Conflict,
}

/// A record as a listing shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    pub number: u64,
    pub written_at: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct Newest {
    newest: u64,
}

/// A log in one folder of the store.
#[derive(Debug, Clone)]
pub struct SequencedLog {
    store: Arc<dyn ObjectStore>,
    /// For errors: where the folder lies.
    location: String,
}

/// What stands before the record within the object's one JSON value.
#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    /// Of the record's text as it stands in the object.
    checksum: String,
    /// Tells a writer that lost the store's reply whether the record is its own.
    id: Uuid,
}

/// What is read before the rest is trusted.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Ends the header: none of its values can hold this text.
const RECORD: &str = ",\"record\":";

impl SequencedLog {
    /// The log in a folder below the root. Nothing is written until the first append.
    pub fn new(root: &StoreRoot, folder: &str) -> Self {
        Self::over(root.folder(folder), format!("{}{folder}", root.url()))
    }

    /// The log at the root of `store`; `location` names it in errors.
    pub fn over(store: Arc<dyn ObjectStore>, location: impl Into<String>) -> Self {
        Self {
            store,
            location: location.into(),
        }
    }

    /// Appends `record` under the number `sequence`, unless there is one of that number. Numbers
    /// start at 1 and have no gaps: `sequence` is the one after the last that was read.
    pub async fn append_if_next<T: Serialize>(&self, sequence: u64, record: &T) -> Result<Append> {
        let id = Uuid::now_v7();
        let body = encode(id, record)?;
        let path = key(sequence);
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        match self.store.put_opts(&path, PutPayload::from(body), options).await {
            Ok(_) => Ok(Append::Appended),
            Err(error) => {
                // Whatever the store says, the record may be there: its reply may have been lost,
                // and a try of its own may have met the first one.
                let clear = matches!(
                    error,
                    object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }
                );
                match self.get(&path).await {
                    Ok(Some(found)) if self.open(&path, &found).is_ok_and(|(found, _)| found == id) => {
                        Ok(Append::Appended)
                    }
                    Ok(Some(_)) => Ok(Append::Conflict),
                    Ok(None) | Err(_) if !clear => Err(self.failed("write", &path, &error)),
                    Ok(None) => Err(self.failed("write", &path, &error)),
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// The record of that number, if there is one.
    pub async fn read<T: DeserializeOwned>(&self, sequence: u64) -> Result<Option<T>> {
        let path = key(sequence);
        match self.get(&path).await? {
            Some(body) => self.decode(&path, &body).map(Some),
            None => Ok(None),
        }
    }

    /// The records from that number on, in order, each with its number. One request when there are
    /// none.
    pub fn read_from<T: DeserializeOwned + Send + 'static>(
        &self,
        sequence: u64,
    ) -> impl Stream<Item = Result<(u64, T)>> + Send + use<'_, T> {
        // The first alone, as mostly there is nothing new; then several at once.
        let first = stream::once(self.fetch(sequence));
        let rest = stream::iter(sequence.saturating_add(1)..).map(|next| self.fetch(next));
        let rest = rest.buffered(READ_AHEAD);
        let mut ended = false;
        first
            .chain(rest)
            .map(move |fetched| match fetched {
                Ok((_, None)) => None,
                Ok((number, Some(body))) => {
                    Some(self.decode(&key(number), &body).map(|record| (number, record)))
                }
                Err(error) => Some(Err(error)),
            })
            .take_while(move |item| {
                // An error is given once, and nothing after it.
                let go_on = item.is_some() && !ended;
                ended = ended || matches!(item, Some(Err(_)));
                std::future::ready(go_on)
            })
            .filter_map(std::future::ready)
    }

    /// The records above a number, in order, as a listing shows them.
    pub async fn list(&self, above: u64) -> Result<Vec<Listed>> {
        let listed = self.store.list_with_offset(None, &key(above));
        let found = listed.try_filter_map(|object| {
            let number = number(&object.location);
            let listed = number.map(|number| Listed {
                number,
                written_at: object.last_modified,
            });
            std::future::ready(Ok(listed))
        });
        let found: Vec<Listed> = match found.try_collect().await {
            Ok(found) => found,
            // A folder that is not there has no records.
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(self.failed("list the folder of", &key(above), &error)),
        };
        let mut found: Vec<Listed> = found.into_iter().filter(|listed| listed.number > above).collect();
        found.sort_unstable_by_key(|listed| listed.number);
        Ok(found)
    }

    /// The records of these numbers, which exist, in order.
    pub fn read_all<T: DeserializeOwned + Send + 'static>(
        &self,
        numbers: impl Iterator<Item = u64> + Send,
    ) -> impl Stream<Item = Result<(u64, T)>> + Send {
        stream::iter(numbers)
            .map(move |number| async move {
                match self.read(number).await? {
                    Some(record) => Ok((number, record)),
                    None => Err(self.missing(number)),
                }
            })
            .buffered(AT_ONCE)
    }

    /// Notes the number of the newest record, which is there.
    pub async fn note_newest(&self, newest: u64) -> Result<()> {
        let path = Path::from(NEWEST);
        let text = serde_json::to_string(&Newest { newest })
            .map_err(|error| Error::internal(format!("a number has no JSON form: {error}")))?;
        let put = self.store.put(&path, PutPayload::from(text)).await;
        put.map(drop).map_err(|error| self.failed("write", &path, &error))
    }

    /// A number that the newest record had once; 0 if none was noted.
    pub async fn noted_newest(&self) -> Result<u64> {
        let Some(body) = self.get(&Path::from(NEWEST)).await? else {
            return Ok(0);
        };
        match serde_json::from_slice::<Newest>(&body) {
            Ok(noted) => Ok(noted.newest),
            Err(error) => {
                tracing::warn!(location = %self.location, %error, "the number of the newest record cannot be read");
                Ok(0)
            }
        }
    }

    /// Removes records that nobody reads any more. What takes the place of the first keeps its number taken.
    pub async fn remove(&self, numbers: impl Iterator<Item = u64>) -> Result<()> {
        let removed = stream::iter(numbers).map(|number| async move {
            let path = key(number);
            let done = match number {
                1 => self
                    .store
                    .put(&path, PutPayload::from(removed_first()?))
                    .await
                    .map(drop),
                _ => self.store.delete(&path).await,
            };
            match done {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(self.failed("remove", &path, &error)),
            }
        });
        removed.buffered(AT_ONCE).try_collect::<()>().await
    }

    /// Puts a record in the place of one that is missing or damaged. What was there is left below `damaged`.
    pub async fn replace<T: Serialize>(&self, number: u64, record: &T) -> Result<()> {
        let path = key(number);
        if let Some(found) = self.get(&path).await? {
            let aside = Path::from(format!("{DAMAGED}/{number:020}.json"));
            let put = self.store.put(&aside, PutPayload::from(found)).await;
            put.map_err(|error| self.failed("write", &aside, &error))?;
        }
        let body = encode(Uuid::now_v7(), record)?;
        let put = self.store.put(&path, PutPayload::from(body)).await;
        put.map(drop).map_err(|error| self.failed("write", &path, &error))
    }

    /// Says that a record is missing that was there once.
    pub fn missing(&self, number: u64) -> Error {
        Error::new(
            SqlState::DataCorrupted,
            format!("record {}/{} is missing", self.location, key(number)),
        )
        .with_detail("It was written once: later ones are there, or its number was noted.")
        .with_hint(REPAIR)
    }

    async fn fetch(&self, sequence: u64) -> Result<(u64, Option<Bytes>)> {
        Ok((sequence, self.get(&key(sequence)).await?))
    }

    async fn get(&self, path: &Path) -> Result<Option<Bytes>> {
        let result = match self.store.get(path).await {
            Ok(result) => result.bytes().await,
            Err(error) => Err(error),
        };
        match result {
            Ok(body) => Ok(Some(body)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", path, &error)),
        }
    }

    fn decode<T: DeserializeOwned>(&self, path: &Path, body: &[u8]) -> Result<T> {
        let (_, record) = self.open(path, body)?;
        serde_json::from_str(record).map_err(|error| self.damaged(path, error))
    }

    /// Checks format and checksum, and gives the record's id and text.
    fn open<'a>(&self, path: &Path, body: &'a [u8]) -> Result<(Uuid, &'a str)> {
        let damaged = |why: &dyn std::fmt::Display| self.damaged(path, why);
        let text = std::str::from_utf8(body).map_err(|error| damaged(&error))?;
        let (header, rest) = text
            .split_once(RECORD)
            .ok_or_else(|| damaged(&"it ends too early"))?;
        let header = format!("{header}}}");
        let Format { format } = serde_json::from_str(&header).map_err(|error| damaged(&error))?;
        if format > FORMAT {
            return Err(Error::new(
                SqlState::FeatureNotSupported,
                format!("record {}/{path} was written by a newer version", self.location),
            )
            .with_detail(format!(
                "its format is {format}, this version reads up to {FORMAT}"
            ))
            .with_hint("Run at least the version of Watershed that wrote it."));
        }
        let header: Header = serde_json::from_str(&header).map_err(|error| damaged(&error))?;
        let record = rest
            .strip_suffix('}')
            .ok_or_else(|| damaged(&"it ends too early"))?;
        if header.checksum != checksum(record) {
            return Err(damaged(&"its checksum differs"));
        }
        Ok((header.id, record))
    }

    fn damaged(&self, path: &Path, why: impl std::fmt::Display) -> Error {
        Error::new(
            SqlState::DataCorrupted,
            format!("record {}/{path} is damaged", self.location),
        )
        .with_detail(why.to_string())
        .with_hint(REPAIR)
    }

    fn failed(&self, what: &str, path: &Path, error: &object_store::Error) -> Error {
        let translated = from_object_store(error);
        let mut failed = Error::new(
            translated.code(),
            format!("cannot {what} record {}/{path}", self.location),
        );
        if let Some(detail) = translated.detail() {
            failed = failed.with_detail(detail);
        }
        match translated.hint() {
            Some(hint) => failed.with_hint(hint),
            None => failed,
        }
    }
}

/// What helps against damage.
const REPAIR: &str = "Restore the object from a backup of the store. Without one, stop all schedulers and run `watershed \
                      doctor --store LOCATION --repair`, which gives up the changes of that record alone.";

fn removed_first() -> Result<Vec<u8>> {
    let none = "null";
    let header = Header {
        format: REMOVED_FORMAT,
        checksum: checksum(none),
        id: Uuid::now_v7(),
    };
    framed(&header, none)
}

/// The number of a record by its object's name; none of what is no record.
fn number(path: &Path) -> Option<u64> {
    let digits = path.as_ref().strip_suffix(".json")?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

fn key(sequence: u64) -> Path {
    Path::from(format!("{sequence:020}.json"))
}

fn encode<T: Serialize>(id: Uuid, record: &T) -> Result<Vec<u8>> {
    let unwritable = |error| Error::internal(format!("a record has no JSON form: {error}"));
    let record = serde_json::to_string(record).map_err(unwritable)?;
    let header = Header {
        format: FORMAT,
        checksum: checksum(&record),
        id,
    };
    framed(&header, &record)
}

fn framed(header: &Header, record: &str) -> Result<Vec<u8>> {
    let mut text = serde_json::to_string(header)
        .map_err(|error| Error::internal(format!("a record has no JSON form: {error}")))?;
    text.pop();
    text.push_str(RECORD);
    text.push_str(record);
    text.push('}');
    Ok(text.into_bytes())
}

fn checksum(text: &str) -> String {
    format!("xxh3:{:016x}", xxh3_64(text.as_bytes()))
}
