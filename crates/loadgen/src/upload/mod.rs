//! A folder to an object store, `s3://`, `gs://` or `az://`, or to another folder, `file://`.
//!
//! What is there already is not sent again, so that the same call goes on where one broke off, and one
//! that is complete sends nothing.

mod objects;
mod pending;

use std::fmt;
use std::path::{Path, PathBuf};

use futures::TryStreamExt;
use reqwest::Url;
use serde::Serialize;

use self::objects::Objects;
use self::pending::{LocalFile, There, files_of, pending};
use crate::exit::{Exit, Failure};

/// Files that are on their way at the same time.
const FILES_AT_ONCE: usize = 4;

/// Where a folder can be sent to.
#[derive(Debug)]
pub(crate) struct Place {
    url: String,
    store: Store,
}

#[derive(Debug)]
enum Store {
    Folder(PathBuf),
    Objects(Objects),
}

/// What was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Uploaded {
    /// Where to.
    pub(crate) url: String,
    /// Files that were sent.
    pub(crate) files: usize,
    /// Their size.
    pub(crate) bytes: u64,
    /// Files that were there already.
    pub(crate) skipped: usize,
}

impl fmt::Display for Uploaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = self.bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "uploaded {} files, {mebibytes:.1} MiB, to {}; {} were there already",
            self.files, self.url, self.skipped
        )
    }
}

/// Why a file did not arrive.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("{0}")]
    Store(String),
    #[error("{0}")]
    File(#[from] std::io::Error),
    #[error("ended by a signal")]
    Stopped,
}

impl Place {
    /// Looks whether the place can be reached, so that nobody learns after a long run that it can't.
    pub(crate) async fn open(url: &str) -> Result<Self, Failure> {
        let bad = |why: String| {
            Failure::new(
                Exit::Usage,
                format!(
                    "can't upload to {url}: {why}\n\
                     Give s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or \
                     file:///FOLDER."
                ),
            )
        };
        let parsed = Url::parse(url).map_err(|e| bad(e.to_string()))?;
        let store = match parsed.scheme() {
            "file" => {
                let folder = parsed.to_file_path();
                let wrong = |()| bad("a file URL has three slashes".to_owned());
                Store::Folder(folder.map_err(wrong)?)
            }
            "s3" | "gs" | "az" => {
                // The client of the stores takes the process's provider of cryptography.
                let _ = crate::commands::client()?;
                Store::Objects(Objects::new(&parsed).map_err(bad)?)
            }
            other => return Err(bad(format!("`{other}` is no store"))),
        };
        let url = url.trim_end_matches('/').to_owned();
        let place = Self { url, store };
        if let Store::Objects(objects) = &place.store {
            let looked = objects.look().await;
            looked.map_err(|why| place.unreachable(&why))?;
        }
        Ok(place)
    }

    fn unreachable(&self, why: &str) -> Failure {
        let text = format!(
            "can't reach {}: {why}\n\
             Credentials, region and endpoint are taken from the variables AWS_*, GOOGLE_* and AZURE_*, \
             else from the machine's identity; the right to list is needed as well.",
            self.url,
        );
        Failure::new(Exit::NotReachable, text)
    }

    /// Sends the files of a folder that are not there yet. `stop` is asked again and again, and ends
    /// it.
    pub(crate) async fn upload(
        &self,
        folder: &Path,
        stop: impl Fn() -> bool,
    ) -> Result<Uploaded, Failure> {
        let local = files_of(folder).map_err(|e| {
            let text = format!("can't read {}: {e}", folder.display());
            Failure::new(Exit::BadInput, text)
        })?;
        let there = match &self.store {
            Store::Folder(target) => there_in(target),
            Store::Objects(objects) => objects.there().await,
        };
        let there = there.map_err(|why| self.unreachable(&why))?;
        let count = local.len();
        let pending = pending(local, &there);
        let uploaded = Uploaded {
            url: self.url.clone(),
            files: pending.len(),
            bytes: pending.iter().map(|file| file.size).sum(),
            skipped: count - pending.len(),
        };
        futures::stream::iter(pending.iter().map(Ok))
            .try_for_each_concurrent(FILES_AT_ONCE, |file| async {
                let sent = match &self.store {
                    Store::Folder(target) => copy(folder, target, &file.name, &stop),
                    Store::Objects(objects) => objects.send(folder, file, &stop).await,
                };
                sent.map_err(|broken| self.broken(folder, file, &broken))
            })
            .await?;
        Ok(uploaded)
    }

    fn broken(&self, folder: &Path, file: &LocalFile, broken: &Broken) -> Failure {
        let code = match broken {
            Broken::Stopped => Exit::Interrupted,
            _ => Exit::Failed,
        };
        let text = format!(
            "can't upload {} to {}: {broken}\n\
             What has arrived stays. To go on: loadgen upload {} {}",
            folder.join(&file.name).display(),
            self.url,
            folder.display(),
            self.url
        );
        Failure::new(code, text)
    }
}

/// What is in a folder; nothing, while it is not there.
fn there_in(target: &Path) -> Result<There, String> {
    if !target.exists() {
        return Ok(There::new());
    }
    let files = files_of(target).map_err(|e| e.to_string())?;
    let known = files.into_iter().map(|f| (f.name, (f.size, f.modified)));
    Ok(known.collect())
}

/// A copy has its name when it is whole.
fn copy(folder: &Path, target: &Path, name: &str, stop: &impl Fn() -> bool) -> Result<(), Broken> {
    if stop() {
        return Err(Broken::Stopped);
    }
    let place = target.join(name);
    let parent = place.parent().unwrap_or(target);
    std::fs::create_dir_all(parent)?;
    let mut unfinished = tempfile::NamedTempFile::new_in(parent)?;
    let mut source = std::fs::File::open(folder.join(name))?;
    std::io::copy(&mut source, &mut unfinished)?;
    unfinished
        .as_file()
        .set_permissions(source.metadata()?.permissions())?;
    unfinished
        .persist(place)
        .map_err(|e| Broken::File(e.error))?;
    Ok(())
}
