//! Files as objects of a store.

use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as Key;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, WriteMultipart};
use reqwest::Url;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::Broken;
use super::pending::{LocalFile, There};

/// Files larger than this are sent in parts.
const PART: u64 = 8 << 20;
/// Amazon's limit is 10,000.
const MOST_PARTS: u64 = 9_000;
/// Parts of a file that are on their way at the same time.
const PARTS_AT_ONCE: usize = 4;
/// Variables with what a store must be told: credentials, region, endpoint.
const VARIABLES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// The objects of a store whose names begin with a prefix.
#[derive(Debug)]
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Key,
}

impl Objects {
    pub(super) fn new(url: &Url) -> Result<Self, String> {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let is_known = VARIABLES.iter().any(|prefix| name.starts_with(prefix));
            Some((name, value.into_string().ok()?)).filter(|_| is_known)
        });
        let made = object_store::parse_url_opts(url, variables);
        let (store, prefix) = made.map_err(|error| cause(&error))?;
        Ok(Self {
            store: store.into(),
            prefix,
        })
    }

    /// Whether the store answers, knows the bucket, and lets its objects be listed.
    pub(super) async fn look(&self) -> Result<(), String> {
        match self.store.list(Some(&self.prefix)).next().await {
            Some(Err(error)) => Err(cause(&error)),
            _ => Ok(()),
        }
    }

    /// What is there, by the names that the files have in the folder.
    pub(super) async fn there(&self) -> Result<There, String> {
        let listed: Vec<ObjectMeta> = self
            .store
            .list(Some(&self.prefix))
            .try_collect()
            .await
            .map_err(|error| cause(&error))?;
        let known = listed.into_iter().filter_map(|object| {
            let name = object.location.prefix_match(&self.prefix)?;
            let name = Key::from_iter(name).to_string();
            Some((name, (object.size, object.last_modified)))
        });
        Ok(known.collect())
    }

    pub(super) async fn send(
        &self,
        folder: &Path,
        file: &LocalFile,
        stop: &impl Fn() -> bool,
    ) -> Result<(), Broken> {
        let mut source = File::open(folder.join(&file.name)).await?;
        let key = Key::parse(format!("{}/{}", self.prefix, file.name));
        let key = key.map_err(|e| Broken::Store(e.to_string()))?;
        if file.size <= PART {
            if stop() {
                return Err(Broken::Stopped);
            }
            let mut whole = Vec::new();
            source.read_to_end(&mut whole).await?;
            self.store.put(&key, whole.into()).await?;
            return Ok(());
        }
        let size = PART.max(file.size.div_ceil(MOST_PARTS));
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let upload = self.store.put_multipart(&key).await?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, size);
        match read_into(&mut writer, &mut source, size, stop).await {
            Ok(()) => {
                writer.finish().await?;
                Ok(())
            }
            Err(broken) => {
                // Parts that nobody completes are stored, and paid for, all the same.
                let _ = writer.abort().await;
                Err(broken)
            }
        }
    }
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Store(cause(&error))
    }
}

/// Reads a file into the parts of an upload.
async fn read_into(
    writer: &mut WriteMultipart,
    source: &mut File,
    size: usize,
    stop: &impl Fn() -> bool,
) -> Result<(), Broken> {
    loop {
        if stop() {
            return Err(Broken::Stopped);
        }
        writer.wait_for_capacity(PARTS_AT_ONCE).await?;
        let mut part = BytesMut::with_capacity(size);
        let mut limited = source.take(size as u64);
        while limited.read_buf(&mut part).await? > 0 {}
        if part.is_empty() {
            return Ok(());
        }
        writer.put(part.freeze());
    }
}

/// What went wrong, with what is at the bottom of it.
fn cause(error: &Error) -> String {
    let mut bottom: &dyn std::error::Error = error;
    while let Some(source) = bottom.source() {
        bottom = source;
    }
    let (whole, bottom) = (error.to_string(), bottom.to_string());
    match whole.contains(&bottom) {
        true => whole,
        false => format!("{whole}: {bottom}"),
    }
}
