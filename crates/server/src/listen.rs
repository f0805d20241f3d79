//! Connections: accepting them, bounding how many and how slow they may be, and ending them.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;

use crate::App;

/// Connections at once; the system queues a few more.
const CONNECTIONS_MAX: usize = 1024;
/// Longest time for the head of a request, and for an idle connection.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// Largest head of a request in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Time that open requests have to finish when the server stops.
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// Pause after the system could not give a connection, such as with no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown` is done, then lets open requests finish.
///
/// # Errors
/// When the listener has no address.
pub async fn serve<F>(listener: TcpListener, mut app: App, shutdown: F) -> std::io::Result<()>
where
    F: Future<Output = ()> + Send,
{
    Arc::make_mut(&mut app.options).listen = listener.local_addr()?;
    let stopping = app.stopping.clone();
    let connections = Connections::new(crate::router(app));
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            (accepted, permit) = connections.accept(&listener) => match accepted {
                Ok((stream, peer)) => connections.start(stream, peer, permit),
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    stopping.cancel();
    connections.drain().await;
    Ok(())
}

struct Connections {
    router: Router,
    builder: Builder<TokioExecutor>,
    graceful: GracefulShutdown,
    permits: Arc<Semaphore>,
}

impl Connections {
    fn new(router: Router) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(HEAD_BYTES_MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(HEAD_TIME)
            .max_concurrent_streams(100)
            .max_header_list_size(HEAD_BYTES_MAX as u32);
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Self { router, builder, graceful: GracefulShutdown::new(), permits }
    }

    async fn accept(
        &self,
        listener: &TcpListener,
    ) -> (std::io::Result<(TcpStream, SocketAddr)>, Option<OwnedSemaphorePermit>) {
        // The semaphore is never closed, so there is always a permit in the end.
        let permit = self.permits.clone().acquire_owned().await.ok();
        (listener.accept().await, permit)
    }

    fn start(&self, stream: TcpStream, peer: SocketAddr, permit: Option<OwnedSemaphorePermit>) {
        // Answers are written whole, so waiting for more to send only adds delay.
        let _ = stream.set_nodelay(true);
        let router = self.router.clone();
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let router = router.clone();
            async move { Ok::<_, Infallible>(answer(router, request).await) }
        });
        let connection = self.builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let watched = self.graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(%peer, %error, "a connection ended early");
            }
            drop(permit);
        });
    }

    async fn drain(self) {
        if tokio::time::timeout(DRAIN_TIME, self.graceful.shutdown()).await.is_err() {
            tracing::warn!("some requests did not finish in {} s", DRAIN_TIME.as_secs());
        }
    }
}

async fn answer(router: Router, request: axum::extract::Request) -> axum::response::Response {
    match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
