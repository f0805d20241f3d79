//! The field registry.

use axum::Json as Answer;
use pugmark_event::fields::FIELDS;

use crate::auth::Reader;
use crate::wire::{Field, Fields};

/// Every field that has a column.
#[utoipa::path(
    get, path = "/api/v1/fields", tag = "questions", operation_id = "fields",
    responses((status = 200, body = Fields)), security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn fields(_: Reader) -> Answer<Fields> {
    let fields = FIELDS.iter().map(|field| Field {
        name: field.name,
        column: field.column,
        kind: field.kind.name(),
        role: field.role.map(|role| role.name()),
        doc: field.doc,
    });
    Answer(Fields { fields: fields.collect() })
}
