//! HTTP: the API, sessions and tokens, server-sent events, the embedded web app.
