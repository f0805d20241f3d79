//! Real object storage: S3 and what speaks like it, Google Cloud, Azure, or a folder.
//!
//! The calls wait on threads of their own, so that they may be made from any thread, also from one
//! that drives other tasks.

use std::future::Future;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig,
};
use tokio::runtime::Runtime;

use super::objects::{ObjectError, Objects};
use crate::disk::DiskRead;

/// Bytes of a part of an upload. S3 wants at least 5 MiB, and takes 10,000 parts at most.
const PART_BYTES: u64 = 8 << 20;
/// Parts on their way at once: enough to hide the round trip, little enough to hold in memory.
const PARTS_AT_ONCE: usize = 2;
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Tries after the first that failed.
const RETRIES_MAX: usize = 3;
/// Beyond this much time no further try is begun.
const RETRY_TIMEOUT: Duration = Duration::from_secs(15);
/// Threads that drive requests: they only move bytes.
const THREADS: usize = 2;

/// Which object storage, and how it is reached. Keys and tokens come from the environment, under
/// the names that each cloud's own tools use (`AWS_ACCESS_KEY_ID` and so on).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageSettings {
    /// `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, or `file:///folder`.
    pub url: String,
    /// Address of a server that speaks like S3 or Azure, such as `http://127.0.0.1:8333`. Empty:
    /// that of the cloud.
    pub endpoint: String,
    /// Allow `http://` in `endpoint`.
    pub allow_http: bool,
    /// Region of the bucket. Empty: from the environment.
    pub region: String,
    /// How long a request may take.
    pub request_timeout: Duration,
}

impl Default for StorageSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            endpoint: String::new(),
            allow_http: false,
            region: String::new(),
            request_timeout: Duration::from_secs(30),
        }
    }
}

/// Why object storage cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The address is none.
    #[error(
        "{0:?} is no address of object storage: write s3://bucket/prefix, gs://bucket/prefix, \
         az://container/prefix or file:///folder"
    )]
    Url(String),
    /// The settings or the environment lack something.
    #[error("object storage {url} cannot be used: {message}")]
    Setup {
        /// The address.
        url: String,
        /// What is wrong.
        message: String,
    },
}

/// Object storage behind an address.
pub struct ObjectStorage {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    url: String,
    /// A folder that stands for object storage: what is written there must be synced.
    folder: Option<PathBuf>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl std::fmt::Debug for ObjectStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // No more than the address: settings may hold keys.
        f.debug_struct("ObjectStorage").field("url", &self.url).finish_non_exhaustive()
    }
}

impl ObjectStorage {
    /// Makes ready what `settings` say. Nothing is sent yet.
    ///
    /// # Errors
    /// When the address is none, or something is missing, such as a region.
    pub fn new(settings: &StorageSettings) -> Result<Self, StorageError> {
        let address = Address::parse(&settings.url)?;
        let setup = |message: String| StorageError::Setup { url: settings.url.clone(), message };
        let (store, prefix, folder) = match &address {
            Address::Folder(folder) => {
                std::fs::create_dir_all(folder).map_err(|e| setup(e.to_string()))?;
                let store =
                    LocalFileSystem::new_with_prefix(folder).map_err(|e| setup(e.to_string()))?;
                (Arc::new(store) as Arc<dyn ObjectStore>, String::new(), Some(folder.clone()))
            }
            Address::Cloud { cloud, bucket, prefix } => {
                let store = connect(*cloud, bucket, settings).map_err(|e| setup(e.to_string()))?;
                (store, prefix.clone(), None)
            }
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("object-storage")
            .enable_all()
            .build()
            .map_err(|e| setup(e.to_string()))?;
        let url = settings.url.trim_end_matches('/').to_string();
        Ok(Self { store, prefix, url, folder, runtime: Some(runtime) })
    }

    fn key(&self, key: &str) -> Key {
        match self.prefix.as_str() {
            "" => Key::from(key),
            prefix => Key::from(format!("{prefix}/{key}")),
        }
    }

    /// Runs a request to its end on the threads made for it.
    fn wait<T: Send + 'static>(
        &self,
        request: impl Future<Output = Result<T, ObjectError>> + Send + 'static,
    ) -> Result<T, ObjectError> {
        let closed = || ObjectError::Failed("the store is closing".to_string());
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let runtime = self.runtime.as_ref().ok_or_else(closed)?;
        runtime.spawn(async move {
            // The one who asked waits below.
            let _ = sender.send(request.await);
        });
        receiver.recv().map_err(|_| closed())?
    }

    /// Makes an object in a folder durable: a cloud does so before it answers.
    fn sync(&self, key: &str) -> Result<(), ObjectError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let path = folder.join(key);
        let sync = |path: &std::path::Path| std::fs::File::open(path)?.sync_all();
        let mut synced = sync(&path);
        for dir in path.ancestors().skip(1).take_while(|dir| dir.starts_with(folder)) {
            synced = synced.and_then(|()| sync(dir));
        }
        synced.map_err(|e| ObjectError::Failed(format!("cannot sync {}: {e}", path.display())))
    }
}

impl Drop for ObjectStorage {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not a plain drop: that would wait, which a thread that drives tasks must not.
            runtime.shutdown_background();
        }
    }
}

impl Objects for ObjectStorage {
    fn place(&self) -> &str {
        &self.url
    }

    fn put(&self, key: &str, file: &Arc<dyn DiskRead>) -> Result<(), ObjectError> {
        let (store, to, file) = (self.store.clone(), self.key(key), file.clone());
        self.wait(async move {
            if file.len() <= PART_BYTES {
                let payload = PutPayload::from_bytes(part(&file, 0)?);
                return store.put(&to, payload).await.map(drop).map_err(failed);
            }
            put_in_parts(&*store, &to, &file).await
        })?;
        self.sync(key)
    }

    fn get(&self, key: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let (store, from) = (self.store.clone(), self.key(key));
        self.wait(async move {
            let wanted = range.end.saturating_sub(range.start);
            let bytes = store.get_range(&from, range).await.map_err(failed)?;
            match bytes.len() as u64 == wanted {
                true => Ok(bytes),
                false => Err(ObjectError::Wrong(format!(
                    "{} bytes came where {wanted} were asked for",
                    bytes.len()
                ))),
            }
        })
    }

    fn size(&self, key: &str) -> Result<u64, ObjectError> {
        let (store, of) = (self.store.clone(), self.key(key));
        self.wait(async move { Ok(store.head(&of).await.map_err(failed)?.size) })
    }

    fn remove(&self, key: &str) -> Result<(), ObjectError> {
        let (store, of) = (self.store.clone(), self.key(key));
        self.wait(async move {
            match store.delete(&of).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(failed(error)),
            }
        })
    }
}

fn part(file: &Arc<dyn DiskRead>, offset: u64) -> Result<Bytes, ObjectError> {
    let len = PART_BYTES.min(file.len() - offset) as usize;
    let read = file.read_at(offset, len);
    read.map_err(|e| ObjectError::Failed(format!("the local file cannot be read: {e}")))
}

/// Uploads a large file part by part. An upload that fails is taken back.
async fn put_in_parts(
    store: &dyn ObjectStore,
    to: &Key,
    file: &Arc<dyn DiskRead>,
) -> Result<(), ObjectError> {
    let mut upload = store.put_multipart(to).await.map_err(failed)?;
    let sent = async {
        let mut under_way = std::collections::VecDeque::new();
        for offset in (0..file.len()).step_by(PART_BYTES as usize) {
            if under_way.len() == PARTS_AT_ONCE
                && let Some(first) = under_way.pop_front()
            {
                done(first).await?;
            }
            let bytes = part(file, offset)?;
            under_way.push_back(tokio::spawn(upload.put_part(bytes.into())));
        }
        for part in under_way {
            done(part).await?;
        }
        upload.complete().await.map(drop).map_err(failed)
    }
    .await;
    if sent.is_err() {
        // Parts without an end cost money and are no object; the storage may be away, though.
        let _ = upload.abort().await;
    }
    sent
}

async fn done(part: tokio::task::JoinHandle<object_store::Result<()>>) -> Result<(), ObjectError> {
    match part.await {
        Ok(sent) => sent.map_err(failed),
        Err(error) => Err(ObjectError::Failed(error.to_string())),
    }
}

fn failed(error: object_store::Error) -> ObjectError {
    match error {
        object_store::Error::NotFound { .. } => ObjectError::Missing,
        error => ObjectError::Failed(causes(&error)),
    }
}

/// The message of an error and of what caused it: the cause is what a person can act on.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let message = inner.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = inner.source();
    }
    text
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cloud {
    S3,
    Google,
    Azure,
}

/// An address taken apart.
#[derive(Debug, PartialEq, Eq)]
enum Address {
    Cloud { cloud: Cloud, bucket: String, prefix: String },
    Folder(PathBuf),
}

impl Address {
    fn parse(url: &str) -> Result<Self, StorageError> {
        let wrong = || StorageError::Url(url.to_string());
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let cloud = match scheme {
            "s3" => Cloud::S3,
            "gs" => Cloud::Google,
            "az" => Cloud::Azure,
            "file" if rest.starts_with('/') => return Ok(Self::Folder(rest.into())),
            _ => return Err(wrong()),
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || bucket.contains(['?', '#', '@', ':']) {
            return Err(wrong());
        }
        Ok(Self::Cloud {
            cloud,
            bucket: bucket.to_string(),
            prefix: prefix.trim_matches('/').to_string(),
        })
    }
}

fn connect(
    cloud: Cloud,
    bucket: &str,
    settings: &StorageSettings,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    let client = ClientOptions::new()
        .with_timeout(settings.request_timeout)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_allow_http(settings.allow_http);
    let retry = RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY_TIMEOUT,
    };
    let endpoint = Some(&settings.endpoint).filter(|endpoint| !endpoint.is_empty());
    Ok(match cloud {
        Cloud::S3 => {
            let mut builder = AmazonS3Builder::from_env()
                .with_bucket_name(bucket)
                .with_client_options(client)
                .with_retry(retry);
            if let Some(endpoint) = endpoint {
                builder = builder.with_endpoint(endpoint);
            }
            if !settings.region.is_empty() {
                builder = builder.with_region(&settings.region);
            }
            Arc::new(builder.build()?)
        }
        Cloud::Google => Arc::new(
            GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(bucket)
                .with_client_options(client)
                .with_retry(retry)
                .build()?,
        ),
        Cloud::Azure => {
            let mut builder = MicrosoftAzureBuilder::from_env()
                .with_container_name(bucket)
                .with_client_options(client)
                .with_retry(retry);
            if let Some(endpoint) = endpoint {
                builder = builder.with_endpoint(endpoint.clone());
            }
            Arc::new(builder.build()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: Option<Address>) {
        assert_eq!(Address::parse(url).ok(), expected, "{url}");
    }

    #[test]
    fn addresses_name_a_bucket_or_a_folder() {
        let cloud = |cloud, bucket: &str, prefix: &str| {
            Some(Address::Cloud { cloud, bucket: bucket.into(), prefix: prefix.into() })
        };
        check("s3://logs", cloud(Cloud::S3, "logs", ""));
        check("s3://logs/a/b/", cloud(Cloud::S3, "logs", "a/b"));
        check("gs://logs/a", cloud(Cloud::Google, "logs", "a"));
        check("az://logs/a", cloud(Cloud::Azure, "logs", "a"));
        check("file:///mnt/cold", Some(Address::Folder("/mnt/cold".into())));
        check("file://mnt", None);
        check("s3://", None);
        check("s3://key:secret@logs/a", None);
        check("http://logs", None);
        check("logs", None);
    }
}
