//! The field registry, and which fields events have.

use axum::Json as Answer;
use axum::extract::{Query, State};
use pugmark_event::fields::{self, FIELDS};
use pugmark_query::{FieldPresence, FieldRef, Presence, Target};
use serde::Deserialize;

use crate::App;
use crate::auth::{Caller, Reader};
use crate::error::ApiError;
use crate::questions::Range;
use crate::turns::Class;
use crate::wire::{ErrorBody, Field, FieldPresent, Fields, Moment};

/// Of which events.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Earliest event time. Empty: no bound.
    from: Option<String>,
    /// Event time before which events count. Empty: no bound.
    to: Option<String>,
}

/// Every field that has a column.
///
/// With `from` or `to` also the attributes that events of that range have, and how many events have
/// each. Nothing is read for it but what files say of themselves, so at the ends of the range the
/// numbers may be estimates.
#[utoipa::path(
    get, path = "/api/v1/fields", tag = "questions", operation_id = "fields", params(Which),
    responses((status = 200, body = Fields), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn fields(
    _: Reader,
    who: Caller,
    State(app): State<App>,
    Query(which): Query<Which>,
) -> Result<Answer<Fields>, ApiError> {
    if which.from.is_none() && which.to.is_none() {
        let fields = FIELDS.iter().map(|field| registered(field, None)).collect();
        return Ok(Answer(Fields { events: None, exact: None, fields }));
    }
    let [from, to] = [which.from, which.to].map(|bound| bound.map(Moment::Text));
    let range = Range::read(from.as_ref(), to.as_ref(), app.engine.now())?;
    let (turn, search) = (app.turn(&who, Class::Small).await?, app.engine.search());
    // A caller that goes away gives up its turn no sooner than the work ends.
    let asked = tokio::spawn(async move {
        let _turn = turn;
        search.fields(range.from, range.to).await
    });
    Ok(Answer(Fields::of(&asked.await.map_err(ApiError::internal)??)))
}

impl Fields {
    fn of(presence: &Presence) -> Self {
        let mut absent: Vec<&fields::Field> = FIELDS.iter().collect();
        let mut listed = Vec::with_capacity(presence.fields.len() + absent.len());
        for found in &presence.fields {
            let FieldPresence { name, events, exact, .. } = found;
            let coverage = presence.coverage(found);
            let present = Some(FieldPresent { events: *events, coverage, exact: *exact });
            listed.push(match FieldRef::new(name).target {
                Target::Column(id) => {
                    absent.retain(|field| field.name != id.name());
                    registered(id.field(), present)
                }
                Target::Attribute(attribute) => Field {
                    name: name.clone(),
                    column: format!("attributes['{}']", attribute.replace('\'', "''")),
                    kind: found.kind.name(),
                    role: None,
                    doc: "An attribute: a key of records that has no column.",
                    present,
                },
            });
        }
        let none = || FieldPresent { events: 0, coverage: 0.0, exact: true };
        listed.extend(absent.into_iter().map(|field| registered(field, Some(none()))));
        Self { events: Some(presence.events), exact: Some(presence.exact), fields: listed }
    }
}

fn registered(field: &fields::Field, present: Option<FieldPresent>) -> Field {
    Field {
        name: field.name.to_string(),
        column: field.column.to_string(),
        kind: field.kind.name(),
        role: field.role.map(|role| role.name()),
        doc: field.doc,
        present,
    }
}
