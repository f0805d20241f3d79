//! The HTTP client: how the command line talks to a running Pugmark.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why a server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers.
    #[error("cannot reach {server}: {cause}")]
    Unreachable {
        /// The address asked.
        server: String,
        /// Why.
        cause: String,
    },
    /// The token is missing, wrong, or for another purpose.
    #[error("{server} refuses the token: {message}")]
    Unauthorized {
        /// The address asked.
        server: String,
        /// What the server says.
        message: String,
    },
    /// The server has no room now.
    #[error("{server} is full; it asks to wait {retry_after_seconds} s")]
    Full {
        /// The address asked.
        server: String,
        /// Seconds to wait.
        retry_after_seconds: u64,
    },
    /// The server says no.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What the server says.
        message: String,
        /// What the server advises.
        hint: Option<String>,
    },
}

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Client {
    server: String,
    token: String,
    http: reqwest::Client,
}

impl Client {
    /// A client for `server`, such as `http://127.0.0.1:7700`, with a bearer token.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(server: &str, token: &str) -> anyhow::Result<Client> {
        // Two clients in one process install it twice; the first one holds.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(300))
            .build()?;
        let server = server.trim_end_matches('/').to_string();
        Ok(Client { server, token: token.trim().to_string(), http })
    }

    /// Sends records in a body; `encoding` is `gzip`, `zstd` or nothing.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn ingest(
        &self,
        source: &str,
        body: Vec<u8>,
        encoding: Option<&str>,
    ) -> Result<Value, ClientError> {
        let url = format!("{}/api/v1/ingest/{source}", self.server);
        let mut request = self.http.post(url).body(body);
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        self.json(request).await
    }

    /// Asks at `path`, such as `/api/v1/search`: rows as NDJSON bytes, and the columns of a table.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn answer(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<(BoxStream<'static, Result<Vec<u8>, ClientError>>, Vec<String>), ClientError> {
        let url = format!("{}{path}", self.server);
        let response = self.send(self.http.post(url).json(body)).await?;
        let columns = response
            .headers()
            .get("x-pugmark-columns")
            .and_then(|v| v.to_str().ok())
            .map(|v| v.split(',').map(decode_percent).collect())
            .unwrap_or_default();
        Ok((self.bytes(response), columns))
    }

    /// Asks for a file at `/api/v1/export`: its bytes, and the rows that it has at most.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn export(
        &self,
        body: &Value,
    ) -> Result<(BoxStream<'static, Result<Vec<u8>, ClientError>>, Option<usize>), ClientError>
    {
        let url = format!("{}/api/v1/export", self.server);
        let response = self.send(self.http.post(url).json(body)).await?;
        let cap = response.headers().get("x-pugmark-cap").and_then(|v| v.to_str().ok());
        let cap = cap.and_then(|text| text.parse().ok());
        Ok((self.bytes(response), cap))
    }

    /// Asks a resource for server-sent events and reads them for as long as they come.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn listen(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<BoxStream<'static, Result<Vec<u8>, ClientError>>, ClientError> {
        let request = self.http.post(format!("{}{path}", self.server)).json(body);
        let events = request.header(reqwest::header::ACCEPT, "text/event-stream");
        Ok(self.bytes(self.send(events).await?))
    }

    /// Sends JSON to a resource whose answer streams as NDJSON bytes.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn stream(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<BoxStream<'static, Result<Vec<u8>, ClientError>>, ClientError> {
        Ok(self.answer(path, body).await?.0)
    }

    fn bytes(
        &self,
        response: reqwest::Response,
    ) -> BoxStream<'static, Result<Vec<u8>, ClientError>> {
        let server = self.server.clone();
        let bytes = response.bytes_stream().map(move |chunk| match chunk {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(error) => Err(ClientError::Unreachable {
                server: server.clone(),
                cause: format!("the answer broke off: {error}"),
            }),
        });
        bytes.boxed()
    }

    /// Reads a JSON resource, such as `/api/v1/alerts`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json(self.http.get(format!("{}{path}", self.server))).await
    }

    /// Sends JSON to a resource and reads its answer.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<T, ClientError> {
        self.json(self.http.post(format!("{}{path}", self.server)).json(body)).await
    }

    /// Puts JSON in the place of a resource and reads its answer.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<T, ClientError> {
        self.json(self.http.put(format!("{}{path}", self.server)).json(body)).await
    }

    /// Deletes a resource.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.send(self.http.delete(format!("{}{path}", self.server))).await.map(drop)
    }

    async fn json<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, ClientError> {
        let response = self.send(request).await?;
        let status = response.status().as_u16();
        response.json().await.map_err(|error| ClientError::Refused {
            status,
            message: format!(
                "{} answered something that is no Pugmark answer: {error}",
                self.server
            ),
            hint: Some("check that the address is a Pugmark server".into()),
        })
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, ClientError> {
        let server = self.server.clone();
        let response = request.bearer_auth(&self.token).send().await.map_err(|error| {
            ClientError::Unreachable { server: server.clone(), cause: root_cause(&error) }
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.parse().ok());
        let body: Value = response.json().await.unwrap_or_default();
        let said = |key: &str| body["error"][key].as_str().map(str::to_string);
        let message = said("message").unwrap_or_else(|| format!("{server} answered {status}"));
        Err(match status.as_u16() {
            401 | 403 => ClientError::Unauthorized { server, message },
            // Too many questions: that is about who asks, and the message says which limit.
            429 if said("code").as_deref() != Some("busy") => {
                ClientError::Full { server, retry_after_seconds: retry_after.unwrap_or(1) }
            }
            status => ClientError::Refused { status, message, hint: said("hint") },
        })
    }
}

/// The innermost error says what happened; the outer ones repeat the address.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn decode_percent(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded() {
        for (text, expected) in
            [("a%2Cb", "a,b"), ("%", "%"), ("%zz", "%zz"), ("count()", "count()")]
        {
            assert_eq!(decode_percent(text), expected);
        }
    }
}
