//! Who or what a detection is about.
//!
//! - A correlation is about the value that it grouped by: the first field of `group-by` that names
//!   an entity, else the first field, as a resource.
//! - An event rule is about, where the event comes over the network (category authentication, web
//!   or network; rules for web servers, proxies, firewalls and name servers): the source address,
//!   else the user, else the host.
//! - Any other event rule is about: the user, else the host, else the source address.
//! - Accounts of the system itself (`SYSTEM`, `HOST$`, `-`) and loopback addresses name nobody and
//!   are passed over. When nothing is left, the target user, the target host, the cloud account
//!   and the program are tried, and then the detection is about no entity.

use arrow::array::Array;
use pugmark_event::entity::EntityKind;
use pugmark_event::fields::{self, FieldId};
use pugmark_event::{Batch, Entity};

use crate::detection::RuleInfo;
use crate::hit::KeyPart;

/// Longest name of an entity, in bytes.
const ENTITY_BYTES_MAX: usize = 256;

const NETWORK_FIRST: &[FieldId] = &[
    fields::SOURCE_IP,
    fields::USER_NAME,
    fields::USER_TARGET_NAME,
    fields::HOST_NAME,
    fields::USER_ID,
    fields::CLOUD_ACCOUNT,
    fields::PROCESS_EXECUTABLE,
];
const USER_FIRST: &[FieldId] = &[
    fields::USER_NAME,
    fields::HOST_NAME,
    fields::SOURCE_IP,
    fields::USER_TARGET_NAME,
    fields::USER_ID,
    fields::CLOUD_ACCOUNT,
    fields::PROCESS_EXECUTABLE,
];
const NETWORK_CATEGORIES: &[&str] =
    &["webserver", "proxy", "firewall", "dns", "authentication", "web", "network"];
const SYSTEM_ACCOUNTS: &[&str] = &[
    "system",
    "local service",
    "network service",
    "anonymous logon",
    "window manager",
    "dwm-1",
    "umfd-0",
    "n/a",
    "(unknown user)",
    "unknown",
];

/// The fields in which an entity is looked for.
pub(crate) fn fields() -> impl Iterator<Item = FieldId> {
    NETWORK_FIRST.iter().chain(USER_FIRST).copied()
}

/// The entity of an event rule's detection.
pub(crate) fn of_event(rule: &RuleInfo, batch: &Batch, row: usize) -> Entity {
    let text = |field| text(batch, field, row);
    let over_network = [rule.category.as_deref(), text(fields::EVENT_CATEGORY)]
        .into_iter()
        .flatten()
        .any(|category| NETWORK_CATEGORIES.contains(&category));
    let order = if over_network { NETWORK_FIRST } else { USER_FIRST };
    order
        .iter()
        .find_map(|&field| {
            let role = field.field().role?;
            let value = text(field).filter(|value| names_someone(role.into(), value))?;
            Some(entity(role.into(), value))
        })
        .unwrap_or_else(Entity::none)
}

/// The entity of a correlation that grouped by these values.
pub(crate) fn of_group(key: &[KeyPart]) -> Option<Entity> {
    let named = key.iter().find_map(|part| Some((part.kind?, &part.value)));
    match named {
        Some((kind, value)) => Some(entity(kind, value)),
        None => key.first().map(|part| entity(EntityKind::Resource, &part.value)),
    }
}

fn entity(kind: EntityKind, value: &str) -> Entity {
    let room = value.len().min(ENTITY_BYTES_MAX);
    let end = (0..=room).rev().find(|&i| value.is_char_boundary(i)).unwrap_or(0);
    Entity { kind, value: value[..end].to_string() }
}

fn text(batch: &Batch, field: FieldId, row: usize) -> Option<&str> {
    batch.text(field).filter(|column| column.is_valid(row)).map(|column| column.value(row))
}

fn names_someone(kind: EntityKind, value: &str) -> bool {
    if value.is_empty() || value == "-" {
        return false;
    }
    match kind {
        EntityKind::User => {
            let account = value.rsplit('\\').next().unwrap_or(value);
            !account.ends_with('$')
                && !SYSTEM_ACCOUNTS.contains(&account.to_ascii_lowercase().as_str())
        }
        EntityKind::Address => value
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| !ip.is_loopback() && !ip.is_unspecified()),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use pugmark_event::{BatchBuilder, Value, time};

    use super::*;

    #[track_caller]
    fn check(category: &str, values: &[(FieldId, &str)], expected: &str) {
        let mut builder = BatchBuilder::new("test", time::DAY);
        builder.begin(1, b"raw");
        for (field, value) in values {
            builder.set(*field, Value::Text(value));
        }
        builder.end(None);
        let batch = builder.finish().unwrap();
        let rule = crate::tests::info(category);
        let entity = of_event(&rule, &batch, 0);
        assert_eq!(format!("{} {}", entity.kind.name(), entity.value), expected);
    }

    #[test]
    fn the_most_telling_entity_is_chosen() {
        use fields::{EVENT_CATEGORY, HOST_NAME, SOURCE_IP, USER_NAME};
        let all = [(SOURCE_IP, "192.0.2.1"), (USER_NAME, "alice"), (HOST_NAME, "ws1")];
        check("process_creation", &all, "user alice");
        check("webserver", &all, "address 192.0.2.1");
        let login = [(EVENT_CATEGORY, "authentication"), (SOURCE_IP, "192.0.2.1")];
        check("", &login, "address 192.0.2.1");
        check("", &[(USER_NAME, "NT AUTHORITY\\SYSTEM"), (HOST_NAME, "ws1")], "host ws1");
        check("", &[(USER_NAME, "WS1$"), (SOURCE_IP, "127.0.0.1")], "none ");
        check("", &[], "none ");
    }
}
