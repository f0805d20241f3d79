//! Bodies of requests: read with limits in bytes and memory, decompressed with a limit too.

use std::io::Read;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;
use crate::{App, ServerOptions};

/// Largest body of a request that is not ingest.
const JSON_BYTES_MAX: usize = 1 << 20;
/// Bytes decompressed between two looks at the limits.
const STEP_BYTES: usize = 256 << 10;
/// Room that a body gets at once; a longer one grows as it comes.
const ROOM_BYTES_MAX: usize = 4 << 20;

/// The body of a request as JSON, whatever its content type says. Deeper than 128 levels is
/// refused.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let limited = Limited::new(request.into_body(), JSON_BYTES_MAX);
        let bytes = limited.collect().await.map_err(broken_body)?.to_bytes();
        serde_json::from_slice(&bytes).map(Json).map_err(|error| {
            ApiError::new(StatusCode::BAD_REQUEST, "bad_json", error.to_string())
                .hint("GET /api/v1/openapi.json says what this request looks like")
        })
    }
}

fn broken_body(error: Box<dyn std::error::Error + Send + Sync>) -> ApiError {
    if error.is::<http_body_util::LengthLimitError>() {
        return ApiError::too_large("the body has more than 1 MiB");
    }
    ApiError::bad_request(format!("the body ended early: {error}"))
}

/// A decompressed body, and the share of memory that it holds.
pub(crate) struct Unpacked {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lease: Lease,
}

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(value) = headers.get(header::CONTENT_ENCODING) else {
            return Ok(Encoding::Identity);
        };
        match value.as_bytes().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Ok(Encoding::Identity),
            b"gzip" | b"x-gzip" => Ok(Encoding::Gzip),
            b"zstd" => Ok(Encoding::Zstd),
            _ => {
                let message = "the body is packed in a way that is not known";
                Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_encoding", message)
                    .hint("send Content-Encoding gzip, zstd or none"))
            }
        }
    }
}

/// Reads the body of an ingest request whole. Nothing of it is stored when a limit is passed.
pub(crate) async fn read(app: &App, headers: &HeaderMap, body: Body) -> Result<Unpacked, ApiError> {
    let encoding = Encoding::of(headers)?;
    let mut lease = Lease::new(app.ingest_memory.clone());
    let packed = read_packed(&app.options, headers, body, &mut lease).await?;
    if encoding == Encoding::Identity {
        return Ok(Unpacked { bytes: packed, lease });
    }
    let max = app.options.ingest_unpacked_bytes_max;
    let work = move || {
        let bytes = unpack(encoding, &packed, max, &mut lease)?;
        drop(packed);
        Ok(Unpacked { bytes, lease })
    };
    tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)?
}

async fn read_packed(
    options: &ServerOptions,
    headers: &HeaderMap,
    mut body: Body,
    lease: &mut Lease,
) -> Result<Vec<u8>, ApiError> {
    let max = options.ingest_bytes_max;
    let too_large = || {
        ApiError::too_large(format!("the body has more than {}", mebibytes(max)))
            .hint("send it in several requests; nothing of this one was stored")
    };
    let told = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if told.is_some_and(|length: u64| length > max as u64) {
        return Err(too_large());
    }
    // Room for what is announced, within reason: memory is used only when bytes come.
    let room = told.map_or(0, |length| usize::try_from(length).unwrap_or(max));
    let mut bytes = Vec::with_capacity(room.min(ROOM_BYTES_MAX));
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| ApiError::bad_request(format!("the body ended early: {error}")))?;
        let Ok(data): Result<Bytes, _> = frame.into_data() else { continue };
        if bytes.len() + data.len() > max {
            return Err(too_large());
        }
        lease.hold(bytes.len() + data.len())?;
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn unpack(
    encoding: Encoding,
    packed: &[u8],
    max: usize,
    lease: &mut Lease,
) -> Result<Vec<u8>, ApiError> {
    let broken = |error: std::io::Error| {
        ApiError::new(StatusCode::BAD_REQUEST, "bad_encoding", format!("cannot unpack: {error}"))
            .hint("nothing of this request was stored; pack it again and send it again")
    };
    let mut reader: Box<dyn Read + '_> = match encoding {
        Encoding::Zstd => Box::new(zstd::stream::read::Decoder::new(packed).map_err(broken)?),
        _ => Box::new(flate2::read::MultiGzDecoder::new(packed)),
    };
    let mut bytes = Vec::new();
    loop {
        let got = reader.by_ref().take(STEP_BYTES as u64).read_to_end(&mut bytes);
        if got.map_err(broken)? == 0 {
            return Ok(bytes);
        }
        if bytes.len() > max {
            return Err(ApiError::too_large(format!(
                "the body unpacks to more than {}",
                mebibytes(max)
            ))
            .hint("send it in several requests; nothing of this one was stored"));
        }
        lease.hold(packed.len() + bytes.len())?;
    }
}

fn mebibytes(bytes: usize) -> String {
    match bytes >> 20 {
        0 => format!("{bytes} bytes"),
        mebibytes => format!("{mebibytes} MiB"),
    }
}

/// A share of the memory that all ingest bodies have together. Given back when dropped.
pub(crate) struct Lease {
    memory: Arc<Semaphore>,
    held: Vec<OwnedSemaphorePermit>,
    held_kib: usize,
}

impl Lease {
    fn new(memory: Arc<Semaphore>) -> Self {
        Self { memory, held: Vec::new(), held_kib: 0 }
    }

    /// Holds memory for `bytes` in all. Never waits: who waits while holding some could wait for
    /// ever.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), ApiError> {
        let needed_kib = bytes.div_ceil(1024);
        if needed_kib <= self.held_kib {
            return Ok(());
        }
        // A little more than needed, so that large bodies do not hold thousands of permits.
        let more = (needed_kib - self.held_kib).max(64);
        let permit = self.memory.clone().try_acquire_many_owned(more as u32).map_err(|_| {
            let message = "other senders use all the memory for bodies";
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "full", message)
                .hint("nothing of this request was stored; send it again")
                .retry_after(1)
        })?;
        self.held.push(permit);
        self.held_kib += more;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lease(kib: usize) -> Lease {
        Lease::new(Arc::new(Semaphore::new(kib)))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn status(result: Result<Vec<u8>, ApiError>) -> u16 {
        result.map_or_else(|error| error.response(None).status().as_u16(), |_| 200)
    }

    #[test]
    fn packed_bodies_come_out_whole_or_not_at_all() {
        let two = [gzip(b"one\n"), gzip(b"two\n")].concat();
        let out = unpack(Encoding::Gzip, &two, 1 << 20, &mut lease(1024)).unwrap();
        assert_eq!(out, b"one\ntwo\n");
        let packed = zstd::encode_all(&b"one\n"[..], 1).unwrap();
        assert_eq!(unpack(Encoding::Zstd, &packed, 100, &mut lease(1024)).unwrap(), b"one\n");
        for broken in [&two[..two.len() - 4], b"not packed", &packed] {
            let got = unpack(Encoding::Gzip, broken, 1 << 20, &mut lease(1024));
            assert_eq!(status(got), 400);
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        assert_eq!(status(unpack(Encoding::Gzip, &bomb, 1 << 20, &mut lease(1 << 20))), 413);
        assert_eq!(status(unpack(Encoding::Gzip, &bomb, 1 << 30, &mut lease(1024))), 429);
    }
}
