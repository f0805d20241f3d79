//! What clients ask to find their way: the tables of `pg_catalog` and `information_schema`, made
//! from the views whenever they are asked for.
//!
//! Of what PostgreSQL has and we do not (indexes, constraints, triggers, roles, ...) the tables are
//! there and empty.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use pugmark_event::fields::FIELDS;

use super::tables::{INFORMATION_SCHEMA, PG_CATALOG, Table};
use super::types::{self, TYPES};
use super::variables::Variables;
use crate::views::{VIEWS, Views};

/// The one database.
pub(super) const DATABASE: &str = "pugmark";
/// Who owns everything.
pub(super) const OWNER: &str = "pugmark";
const OWNER_OID: u32 = 10;
const DATABASE_OID: u32 = 5;
const TABLESPACE_OID: u32 = 1663;
/// Numbers of relations begin here; PostgreSQL's own first one of a user is 16384.
const VIEWS_OID: u32 = 16_384;
const PG_CATALOG_OID: u32 = 1000;
const INFORMATION_SCHEMA_OID: u32 = 13_000;

/// Numbers of relations that are found with the name of their schema alone.
pub(super) const HIDDEN: std::ops::RangeInclusive<u32> = 13_000..=13_999;

/// A schema: its number and name, and the number of its first relation.
struct Space {
    oid: u32,
    name: &'static str,
}

const PUBLIC: Space = Space { oid: 2200, name: "public" };
const CATALOG: Space = Space { oid: 11, name: "pg_catalog" };
const INFORMATION: Space = Space { oid: 13_000, name: "information_schema" };

/// Something with columns.
struct Relation {
    oid: u32,
    space: &'static Space,
    name: &'static str,
    kind: &'static str,
    schema: SchemaRef,
}

/// The relations that there are, and what the session has set.
#[derive(Debug, Clone)]
pub(super) struct Catalog {
    views: Views,
    variables: Variables,
    user: Arc<str>,
}

/// One of the two schemas of the catalog.
#[derive(Debug)]
pub(super) struct CatalogSchema {
    pub(super) catalog: Catalog,
    pub(super) tables: &'static [Table],
}

#[async_trait]
impl SchemaProvider for CatalogSchema {
    fn table_names(&self) -> Vec<String> {
        self.tables.iter().map(|table| table.name.to_string()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let table = self.tables.iter().find(|table| table.name == name);
        table.map(|table| self.catalog.provider(table)).transpose()
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.iter().any(|table| table.name == name)
    }
}

/// The schema in which names without a schema are looked for: the views, then `pg_catalog`.
#[derive(Debug)]
pub(super) struct PublicSchema(pub(super) Catalog);

#[async_trait]
impl SchemaProvider for PublicSchema {
    fn table_names(&self) -> Vec<String> {
        self.0.views.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        match self.0.views.table(name).await? {
            Some(view) => Ok(Some(view)),
            None => self.0.pg_catalog().table(name).await,
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.0.views.table_exist(name) || self.0.pg_catalog().table_exist(name)
    }
}

/// One row: the columns that are not as their defaults say.
type Row = Vec<(&'static str, String)>;

macro_rules! row {
    ($($column:ident: $value:expr),* $(,)?) => {
        vec![$((stringify!($column), $value.to_string())),*]
    };
}

/// The table of the catalog with this name. Without a schema those of `pg_catalog` are found, as
/// in PostgreSQL.
pub(super) fn table(space: Option<&str>, name: &str) -> Option<&'static Table> {
    let tables = match space {
        None | Some("pg_catalog") => PG_CATALOG,
        Some("information_schema") => INFORMATION_SCHEMA,
        Some(_) => return None,
    };
    tables.iter().find(|table| table.name == name)
}

/// The number of the relation that a text names, such as `public.events`.
pub(super) fn relation_oid(name: &str) -> Option<u32> {
    let name = name.replace('"', "");
    let (space, name) = name.split_once('.').unwrap_or(("", &name));
    let place = |names: &mut dyn Iterator<Item = &'static str>, first: u32| {
        (first..).zip(names).find(|(_, known)| *known == name).map(|(oid, _)| oid)
    };
    let public = || place(&mut VIEWS.into_iter(), VIEWS_OID);
    let catalog = || place(&mut PG_CATALOG.iter().map(|table| table.name), PG_CATALOG_OID);
    match space {
        "public" => public(),
        "pg_catalog" => catalog(),
        "" => public().or_else(catalog),
        _ => None,
    }
}

/// The name of the relation with this number.
pub(super) fn relation_name(oid: u32) -> Option<&'static str> {
    let at = |first: u32| usize::try_from(oid.checked_sub(first)?).ok();
    let view = at(VIEWS_OID).and_then(|at| VIEWS.get(at).copied());
    view.or_else(|| at(PG_CATALOG_OID).and_then(|at| Some(PG_CATALOG.get(at)?.name)))
}

impl Catalog {
    pub(super) fn new(views: Views, variables: Variables, user: Arc<str>) -> Self {
        Self { views, variables, user }
    }

    pub(super) fn pg_catalog(&self) -> CatalogSchema {
        CatalogSchema { catalog: self.clone(), tables: PG_CATALOG }
    }

    pub(super) fn information_schema(&self) -> CatalogSchema {
        CatalogSchema { catalog: self.clone(), tables: INFORMATION_SCHEMA }
    }

    fn provider(&self, table: &Table) -> Result<Arc<dyn TableProvider>> {
        let rows = self.rows(table.name)?;
        let columns: Vec<_> = table.columns().collect();
        let fields = columns.iter().map(|column| Field::new(column.name, column.kind(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let arrays = columns.iter().map(|column| {
            let given = rows.iter().map(|row| {
                let given = row.iter().find(|(name, _)| *name == column.name);
                given.map(|(_, value)| value.as_str()).or(column.default)
            });
            typed(given.collect(), &column.kind())
        });
        let arrays = arrays.collect::<Result<_>>()?;
        let batch = RecordBatch::try_new(schema.clone(), arrays)?;
        Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
    }

    fn rows(&self, table: &str) -> Result<Vec<Row>> {
        Ok(match table {
            "pg_namespace" => spaces(|space| {
                row! { oid: space.oid, nspname: space.name, nspowner: OWNER_OID }
            }),
            "pg_class" => self.relations()?.iter().map(class).collect(),
            "pg_attribute" => self.columns(attribute)?,
            "pg_type" => types(),
            "pg_description" => self.descriptions(),
            "pg_database" => vec![row! {
                oid: DATABASE_OID, datname: DATABASE, datdba: OWNER_OID,
            }],
            "pg_roles" | "pg_user" | "pg_authid" => vec![row! {
                oid: OWNER_OID, rolname: self.user, usesysid: OWNER_OID, usename: self.user,
            }],
            "pg_settings" => self.settings(),
            "pg_am" => vec![row! { oid: 2, amname: "heap", amtype: "t" }],
            "pg_tablespace" => vec![row! {
                oid: TABLESPACE_OID, spcname: "pg_default", spcowner: OWNER_OID,
            }],
            "pg_tables" => self.per_relation(|relation| {
                row! {
                    schemaname: relation.space.name, tablename: relation.name, tableowner: OWNER,
                }
            })?,
            "tables" => self.per_relation(|relation| {
                row! {
                    table_schema: relation.space.name, table_name: relation.name,
                    table_type: if relation.kind == "r" { "BASE TABLE" } else { "VIEW" },
                }
            })?,
            "columns" => self.columns(information_column)?,
            "schemata" => spaces(|space| row! { schema_name: space.name }),
            _ => Vec::new(),
        })
    }

    fn relations(&self) -> Result<Vec<Relation>> {
        let mut relations = Vec::new();
        for (oid, name) in (VIEWS_OID..).zip(VIEWS) {
            let schema = self.views.schema_of(name)?;
            relations.push(Relation { oid, space: &PUBLIC, name, kind: "r", schema });
        }
        for (space, tables, first) in [
            (&CATALOG, PG_CATALOG, PG_CATALOG_OID),
            (&INFORMATION, INFORMATION_SCHEMA, INFORMATION_SCHEMA_OID),
        ] {
            for (oid, table) in (first..).zip(tables) {
                let fields = table.columns().map(|c| Field::new(c.name, c.kind(), true));
                let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
                relations.push(Relation { oid, space, name: table.name, kind: "v", schema });
            }
        }
        Ok(relations)
    }

    fn per_relation(&self, row: impl Fn(&Relation) -> Row) -> Result<Vec<Row>> {
        Ok(self.relations()?.iter().map(row).collect())
    }

    fn columns(&self, row: impl Fn(&Relation, usize, &Field) -> Row) -> Result<Vec<Row>> {
        let relations = self.relations()?;
        let of = |relation: &Relation| -> Vec<Row> {
            let fields = relation.schema.fields().iter().enumerate();
            fields.map(|(index, field)| row(relation, index + 1, field)).collect()
        };
        Ok(relations.iter().flat_map(of).collect())
    }

    /// What the fields of events mean.
    fn descriptions(&self) -> Vec<Row> {
        let (events, classes) = (relation_oid("public.events"), relation_oid("pg_class"));
        let row = |(number, doc): (usize, &str)| {
            row! {
                objoid: events.unwrap_or(0), classoid: classes.unwrap_or(0),
                objsubid: number, description: doc,
            }
        };
        (1..).zip(FIELDS.iter().map(|field| field.doc)).map(row).collect()
    }

    fn settings(&self) -> Vec<Row> {
        let row = |(name, value): (&str, String)| row! { name: name, setting: value };
        self.variables.all().map(row).collect()
    }
}

fn spaces(row: impl Fn(&Space) -> Row) -> Vec<Row> {
    [CATALOG, INFORMATION, PUBLIC].iter().map(row).collect()
}

fn class(relation: &Relation) -> Row {
    row! {
        oid: relation.oid, relname: relation.name, relnamespace: relation.space.oid,
        relowner: OWNER_OID, relkind: relation.kind, relnatts: relation.schema.fields().len(),
    }
}

fn attribute(relation: &Relation, number: usize, field: &Field) -> Row {
    let oid = types::of_arrow(field.data_type());
    let length = types::by_oid(oid).map_or(-1, |known| known.length);
    row! {
        attrelid: relation.oid, attname: field.name(), atttypid: oid, attlen: length,
        attnum: number, attnotnull: !field.is_nullable(),
    }
}

fn information_column(relation: &Relation, number: usize, field: &Field) -> Row {
    let oid = types::of_arrow(field.data_type());
    let sql = types::sql_name(oid);
    let array = types::element_of(oid);
    let name = match array {
        Some(element) => format!("_{}", element.name),
        None => types::by_oid(oid).map_or("text", |known| known.name).to_string(),
    };
    row! {
        table_schema: relation.space.name, table_name: relation.name,
        column_name: field.name(), ordinal_position: number,
        is_nullable: if field.is_nullable() { "YES" } else { "NO" },
        data_type: if array.is_some() { "ARRAY".to_string() } else { sql }, udt_name: name,
    }
}

fn types() -> Vec<Row> {
    let plain = TYPES.iter().map(|known| {
        row! {
            oid: known.oid, typname: known.name, typlen: known.length,
            typcategory: known.category, typarray: known.array,
            typinput: format!("{}in", known.name),
        }
    });
    let arrays = TYPES.iter().filter(|known| known.array != 0).map(|known| {
        row! {
            oid: known.array, typname: format!("_{}", known.name), typlen: -1,
            typcategory: 'A', typelem: known.oid, typinput: "array_in",
        }
    });
    plain.chain(arrays).collect()
}

fn typed(values: Vec<Option<&str>>, kind: &DataType) -> Result<ArrayRef> {
    match kind {
        // Lists are there for their type alone.
        DataType::List(_) => Ok(arrow::array::new_null_array(kind, values.len())),
        kind => Ok(cast(&StringArray::from(values), kind)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_have_numbers_and_numbers_have_relations() {
        for (name, expected) in [
            ("events", Some("events")),
            ("public.events", Some("events")),
            ("\"public\".\"spans\"", Some("spans")),
            ("pg_catalog.pg_class", Some("pg_class")),
            ("pg_class", Some("pg_class")),
            ("public.pg_class", None),
            ("nothing", None),
        ] {
            assert_eq!(relation_oid(name).and_then(relation_name), expected, "{name}");
        }
    }

    #[test]
    fn every_catalog_table_has_columns_that_are_understood() {
        for table in PG_CATALOG.iter().chain(INFORMATION_SCHEMA) {
            assert!(table.columns().count() > 0, "{}", table.name);
            for column in table.columns() {
                let values = typed(vec![column.default], &column.kind());
                let array =
                    values.unwrap_or_else(|e| panic!("{} {}: {e}", table.name, column.name));
                let kept = array.null_count() == usize::from(column.default.is_none());
                assert!(kept || array.data_type().is_nested(), "{} {}", table.name, column.name);
            }
        }
    }
}
