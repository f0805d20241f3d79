//! How a segment file is laid out: format versions, and which columns stand for what.
//!
//! **Format 1** has the columns of the field registry as they are in memory.
//!
//! **Format 2** keeps each byte once. `event_original` is null where the column `template` says how
//! the record is put together from the other columns ([`crate::codec`]); `variable_*` hold what no
//! field holds. Frequent attributes have columns of their own, `attributes_NAME`; the map
//! `attributes` has the rest. Between the last row group and the Parquet footer lie the filters and
//! the index ([`super::index`]); other readers do not see them. The footer's key `pugmark` says
//! where, as JSON.
//!
//! **Format 3** is format 2 with one more thing in the index: whether a column had more different
//! values than its list of words holds. The footer also names attributes that many rows have in the
//! map, so that a merge need not count them.
//!
//! **Format 4** is format 3 where texts may be stored as GUIDs and as numbers in hex digits too
//! ([`Stored`]), and texts of fields as whole numbers. Later files of it also say in the footer
//! in how many events each column without statistics has a value ([`super::counted`]).

use std::collections::HashMap;

use parquet::file::metadata::ParquetMetaData;
use pugmark_event::fields::{self, ATTRIBUTES, FieldId, ORIGINAL, ORIGINAL_BYTES, TRACE_ID};
use pugmark_event::{Field, Kind};

use super::assemble::COMPOSITES;
use super::counted::Counted;
use crate::codec::stored::Stored;
use crate::codec::template::Piece;

/// The format that is written.
pub(crate) const FORMAT: u32 = 4;
/// The oldest format whose rows can be merged as they are stored.
pub(crate) const MERGED_FORMAT_MIN: u32 = 2;
/// Column with the templates of records.
pub(crate) const TEMPLATE: &str = "template";
/// Key of our entry in a Parquet footer.
pub(crate) const FOOTER_KEY: &str = "pugmark";
/// What a question calls an attribute's column: this and the attribute's name.
pub(crate) const ATTRIBUTE_PREFIX: &str = "attributes.";

/// An attribute with a column of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Promoted {
    /// Column in the file.
    pub(crate) column: String,
    /// Name of the attribute.
    pub(crate) name: String,
    /// Kind letter of all values in the column; others stay in the map.
    pub(crate) kind: u8,
    /// How the column holds them.
    pub(crate) stored: Stored,
}

/// An attribute that many rows have in the map.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Frequent {
    pub(crate) name: String,
    /// Kind letter of the values that were counted.
    pub(crate) kind: char,
    /// Letter of how a column would hold them.
    pub(crate) stored: char,
    /// Rows that have it.
    pub(crate) rows: u64,
}

/// What the footer says beyond Parquet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) format: u32,
    pub(crate) promoted: Vec<Promoted>,
    by_name: HashMap<String, usize>,
    pub(crate) frequent: Vec<Frequent>,
    /// Events with a value, of columns without statistics; older files do not say.
    pub(crate) counted: Option<Counted>,
    /// Offset and length of filters and of index in the file.
    pub(crate) filters: Option<(u64, u64)>,
    pub(crate) index: Option<(u64, u64)>,
    /// CRC-32 of filters and index, one after the other.
    pub(crate) checksum: u32,
}

impl Layout {
    pub(crate) fn new(promoted: Vec<Promoted>) -> Self {
        let by_name = promoted.iter().enumerate().map(|(i, p)| (p.name.clone(), i)).collect();
        Self { format: FORMAT, promoted, by_name, ..Self::default() }
    }

    /// The column that an attribute was promoted to.
    pub(crate) fn promoted(&self, name: &str) -> Option<&Promoted> {
        self.by_name.get(name).map(|i| &self.promoted[*i])
    }

    /// Reads it from a footer; a file without our entry is of format 1. `None` when the entry is
    /// not what this version can read.
    pub(crate) fn of(metadata: &ParquetMetaData) -> Option<Self> {
        let entries = metadata.file_metadata().key_value_metadata();
        let entry = entries.and_then(|all| all.iter().find(|entry| entry.key == FOOTER_KEY));
        let Some(text) = entry.and_then(|entry| entry.value.as_deref()) else {
            return Some(Self { format: 1, ..Self::default() });
        };
        let said: Said = serde_json::from_str(text).ok()?;
        let promoted =
            said.attributes.into_iter().map(SaidAttribute::read).collect::<Option<_>>()?;
        let mut layout = Self::new(promoted);
        layout.format = said.format;
        (layout.filters, layout.index) = (said.filters, said.index);
        (layout.checksum, layout.frequent) = (said.checksum, said.in_map);
        layout.counted = said.counted;
        (said.format <= FORMAT).then_some(layout)
    }

    /// Memory that the counts of its columns take, about.
    pub(crate) fn bytes(&self) -> usize {
        self.counted.iter().flatten().map(|(name, _)| name.len() + 48).sum()
    }

    /// The text of our entry.
    pub(crate) fn text(&self) -> String {
        let attributes = self.promoted.iter().map(|p| SaidAttribute {
            column: p.column.clone(),
            name: p.name.clone(),
            kind: (p.kind as char).to_string(),
            stored: p.stored.letter().to_string(),
        });
        let said = Said {
            format: self.format,
            filters: self.filters,
            index: self.index,
            checksum: self.checksum,
            attributes: attributes.collect(),
            in_map: self.frequent.clone(),
            counted: self.counted.clone(),
        };
        serde_json::to_string(&said).unwrap_or_default()
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Said {
    format: u32,
    filters: Option<(u64, u64)>,
    index: Option<(u64, u64)>,
    checksum: u32,
    attributes: Vec<SaidAttribute>,
    /// Absent in format 2.
    #[serde(default)]
    in_map: Vec<Frequent>,
    #[serde(default)]
    counted: Option<Counted>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct SaidAttribute {
    column: String,
    name: String,
    kind: String,
    stored: String,
}

impl SaidAttribute {
    fn read(self) -> Option<Promoted> {
        let stored = Stored::of_letter(self.stored.chars().next()?)?;
        let kind = *self.kind.as_bytes().first()?;
        Some(Promoted { column: self.column, name: self.name, kind, stored })
    }
}

/// Names for columns of attributes: letters, digits and underscores, no two the same.
pub(crate) fn column_names(names: &[&str]) -> Vec<String> {
    let mut taken: HashMap<String, usize> = HashMap::new();
    names
        .iter()
        .map(|name| {
            let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            let base: String = name.chars().take(100).map(plain).collect();
            let base = format!("{ATTRIBUTES}_{base}");
            // Names of columns are compared without case by other readers.
            let count = taken.entry(base.to_ascii_lowercase()).or_default();
            *count += 1;
            if *count == 1 { base } else { format!("{base}__{count}") }
        })
        .collect()
}

/// True for a column of whose values the index keeps whole: people look for one of them.
pub(crate) fn is_entity(id: FieldId) -> bool {
    let field = id.field();
    matches!(field.kind, Kind::Text | Kind::Ip) && field.role.is_some()
        || [TRACE_ID, fields::SESSION_ID].contains(&id)
}

/// True for a column whose statistics are worth a look.
pub(crate) fn has_bounds(field: &Field) -> bool {
    // Fields that may be made up of pieces are null in their column though they have a value.
    let made_up = [ORIGINAL, ORIGINAL_BYTES].into_iter().chain(COMPOSITES);
    !matches!(field.kind, Kind::Bytes) && !made_up.into_iter().any(|id| id.column() == field.column)
}

impl Piece {
    /// The column that has the value of this piece; `None` for text, marks and times.
    pub(crate) fn column(&self) -> Option<String> {
        match self {
            Piece::Field(id, _) => Some(id.column().to_string()),
            Piece::Attribute(name, _) => Some(format!("{ATTRIBUTE_PREFIX}{name}")),
            Piece::Variable(variable) => Some(variable.column()),
            Piece::Text(_)
            | Piece::Open(_)
            | Piece::Close(_)
            | Piece::OpenAttribute(..)
            | Piece::CloseAttribute(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_attributes_become_names_of_columns() {
        let names = column_names(&["http.id", "http_id", "HTTP.ID", "é", "a b"]);
        let expected = ["http_id", "http_id__2", "HTTP_ID__3", "_", "a_b"];
        assert_eq!(names, expected.map(|name| format!("attributes_{name}")));
    }

    #[test]
    fn a_layout_comes_back_from_its_text() {
        let promoted = Promoted {
            column: "attributes_x".into(),
            name: "x".into(),
            kind: b'n',
            stored: Stored::Integer,
        };
        let mut layout = Layout::new(vec![promoted]);
        layout.index = Some((7, 9));
        let said: Said = serde_json::from_str(&layout.text()).unwrap();
        assert_eq!((said.format, said.index, said.attributes.len()), (FORMAT, Some((7, 9)), 1));
    }
}
