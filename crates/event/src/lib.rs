//! Events as columns: the batch, the field registry, values, time, severity, entities.
//!
//! Floor 0: knows Arrow arrays and schemas, and nothing of clocks, files or networks.

pub mod batch;
pub mod build;
pub mod conflict;
pub mod csv;
pub mod entity;
pub mod fields;
pub mod json;
pub mod marks;
pub mod printable;
pub mod records;
pub mod severity;
pub mod time;
pub mod value;

pub use batch::Batch;
pub use build::BatchBuilder;
pub use entity::Entity;
pub use fields::{Field, FieldId, Kind, Role};
pub use marks::NameMarks;
pub use records::Records;
pub use severity::Severity;
pub use value::Value;
