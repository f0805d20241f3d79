//! Entities: who or what acts or is acted on.

use serde::{Deserialize, Serialize};

use crate::fields::Role;

/// A user, host, address, process or resource, by the value that names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entity {
    /// What sort of thing it is; `None` where a detection names no entity.
    pub kind: EntityKind,
    /// Its name: `root`, `203.0.113.7`.
    pub value: String,
}

/// The sort of entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntityKind {
    /// A person or a service account.
    User,
    /// A machine.
    Host,
    /// A network address.
    Address,
    /// A running program.
    Process,
    /// A file, an object, a database, an API.
    Resource,
    /// Nothing that can be named.
    None,
}

impl From<Role> for EntityKind {
    fn from(role: Role) -> Self {
        match role {
            Role::User => EntityKind::User,
            Role::Host => EntityKind::Host,
            Role::Address => EntityKind::Address,
            Role::Process => EntityKind::Process,
            Role::Resource => EntityKind::Resource,
        }
    }
}

impl EntityKind {
    /// The lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            EntityKind::User => "user",
            EntityKind::Host => "host",
            EntityKind::Address => "address",
            EntityKind::Process => "process",
            EntityKind::Resource => "resource",
            EntityKind::None => "none",
        }
    }
}

impl Entity {
    /// An entity without a name.
    pub fn none() -> Self {
        Self { kind: EntityKind::None, value: String::new() }
    }
}
