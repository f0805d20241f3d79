//! Tokens for programs.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use pugmark_event::time;

use crate::App;
use crate::auth::{self, Admin, Purpose};
use crate::body::Json;
use crate::error::ApiError;
use crate::wire::{ErrorBody, Token, TokenMade, TokenRequest, Tokens, moment};

/// All tokens, without their text.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "tokens", operation_id = "tokens_list",
    responses((status = 200, body = Tokens)), security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn list(_: Admin, State(app): State<App>) -> Result<Answer<Tokens>, ApiError> {
    let rows = auth::list_tokens(&app.engine).await?;
    let tokens = rows.into_iter().map(|row| Token {
        id: row.id,
        name: row.name,
        purpose: row.purpose,
        created: time::format(row.created),
        last_used: moment(row.last_used),
    });
    Ok(Answer(Tokens { tokens: tokens.collect() }))
}

/// Make a token for ingest or for reading. Its text is shown only in this answer.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "tokens", operation_id = "tokens_create",
    request_body = TokenRequest,
    responses((status = 200, body = TokenMade), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn create(
    _: Admin,
    State(app): State<App>,
    Json(request): Json<TokenRequest>,
) -> Result<Answer<TokenMade>, ApiError> {
    if request.purpose == Purpose::Admin {
        return Err(ApiError::bad_request("a token is for ingest or for read")
            .hint("pugmark serve --setup-token-file writes an admin token for scripts"));
    }
    let name = request.name.trim();
    if name.is_empty() || name.len() > auth::TOKEN_NAME_BYTES_MAX {
        let max = auth::TOKEN_NAME_BYTES_MAX;
        return Err(ApiError::bad_request(format!("a token's name has 1 to {max} bytes")));
    }
    let auth::NewToken { id, name, purpose, token } =
        auth::create_token(&app.engine, name, request.purpose).await?;
    Ok(Answer(TokenMade { id, name, purpose, token }))
}

/// Delete a token: it stops working at once.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", tag = "tokens", operation_id = "tokens_delete",
    params(("id" = String, Path)),
    responses((status = 204), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn delete(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    match auth::delete_token(&app.engine, &id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found("token with this id")),
    }
}
