//! PostgreSQL's types: their numbers (oid), names and sizes, and the Arrow types that they are.

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};

/// A type as clients know it.
#[derive(Debug)]
pub(super) struct PgType {
    pub(super) oid: u32,
    /// Its name in pg_type.
    pub(super) name: &'static str,
    /// Its name in SQL.
    pub(super) sql: &'static str,
    /// Bytes of a value, -1 when they differ.
    pub(super) length: i16,
    /// Arrays of it, 0 when there is no such type.
    pub(super) array: u32,
    /// PostgreSQL's letter for what kind of type it is.
    pub(super) category: char,
}

pub(super) const BOOL: u32 = 16;
pub(super) const BYTEA: u32 = 17;
pub(super) const INT8: u32 = 20;
pub(super) const INT2: u32 = 21;
pub(super) const INT4: u32 = 23;
pub(super) const TEXT: u32 = 25;
pub(super) const OID: u32 = 26;
pub(super) const JSON: u32 = 114;
pub(super) const FLOAT4: u32 = 700;
pub(super) const FLOAT8: u32 = 701;
pub(super) const DATE: u32 = 1082;
pub(super) const TIME: u32 = 1083;
pub(super) const TIMESTAMP: u32 = 1114;
pub(super) const TIMESTAMPTZ: u32 = 1184;
pub(super) const INTERVAL: u32 = 1186;
pub(super) const NUMERIC: u32 = 1700;

macro_rules! types {
    ($(
        $oid:literal $name:literal $sql:literal $length:literal $array:literal $category:literal;
    )*) => {
        /// All types that are spoken of.
        pub(super) const TYPES: &[PgType] = &[$(PgType {
            oid: $oid, name: $name, sql: $sql, length: $length, array: $array, category: $category,
        }),*];
    };
}

types! {
    16 "bool" "boolean" 1 1000 'B';
    17 "bytea" "bytea" -1 1001 'U';
    18 "char" "\"char\"" 1 1002 'Z';
    19 "name" "name" 64 1003 'S';
    20 "int8" "bigint" 8 1016 'N';
    21 "int2" "smallint" 2 1005 'N';
    23 "int4" "integer" 4 1007 'N';
    25 "text" "text" -1 1009 'S';
    26 "oid" "oid" 4 1028 'N';
    114 "json" "json" -1 199 'U';
    700 "float4" "real" 4 1021 'N';
    701 "float8" "double precision" 8 1022 'N';
    705 "unknown" "unknown" -2 0 'X';
    869 "inet" "inet" -1 1041 'I';
    1042 "bpchar" "character" -1 1014 'S';
    1043 "varchar" "character varying" -1 1015 'S';
    1082 "date" "date" 4 1182 'D';
    1083 "time" "time without time zone" 8 1183 'D';
    1114 "timestamp" "timestamp without time zone" 8 1115 'D';
    1184 "timestamptz" "timestamp with time zone" 8 1185 'D';
    1186 "interval" "interval" 16 1187 'T';
    1700 "numeric" "numeric" -1 1231 'N';
    2205 "regclass" "regclass" 4 2210 'N';
    2206 "regtype" "regtype" 4 2211 'N';
    2950 "uuid" "uuid" 16 2951 'U';
    3802 "jsonb" "jsonb" -1 3807 'U';
}

/// The type with this number.
pub(super) fn by_oid(oid: u32) -> Option<&'static PgType> {
    TYPES.iter().find(|known| known.oid == oid)
}

/// The type whose arrays have this number.
pub(super) fn element_of(oid: u32) -> Option<&'static PgType> {
    TYPES.iter().find(|known| known.array == oid && oid != 0)
}

/// The type with this name, in pg_type or in SQL.
pub(super) fn by_name(name: &str) -> Option<&'static PgType> {
    TYPES.iter().find(|known| known.name == name || known.sql == name)
}

/// The number of the type that is written so in a cast.
pub(super) fn by_sql(written: &str) -> Option<u32> {
    let lower = written.to_ascii_lowercase();
    if let Some(item) = lower.strip_suffix("[]") {
        return by_name(plain(item)).map(|known| known.array).filter(|oid| *oid != 0);
    }
    by_name(plain(&lower)).map(|known| known.oid)
}

/// One name for each type, without how long or how precise.
fn plain(written: &str) -> &str {
    let name = written.split('(').next().unwrap_or_default().trim();
    match name.strip_prefix("pg_catalog.").unwrap_or(name) {
        "int" => "int4",
        "decimal" => "numeric",
        "float" | "double" => "float8",
        "char" | "character" => "bpchar",
        name => name,
    }
}

/// True for types whose binary form is their text.
pub(super) fn is_text(oid: u32) -> bool {
    let name = by_oid(oid).map(|known| known.name);
    matches!(name, Some("char" | "name" | "text" | "json" | "unknown" | "bpchar" | "varchar"))
}

/// How a type is written in SQL.
pub(super) fn sql_name(oid: u32) -> String {
    match (by_oid(oid), element_of(oid)) {
        (Some(known), _) => known.sql.to_string(),
        (None, Some(element)) => format!("{}[]", element.sql),
        (None, None) => "???".to_string(),
    }
}

/// What clients see a column as.
pub(super) fn of_arrow(kind: &DataType) -> u32 {
    match kind {
        DataType::Boolean => BOOL,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => INT2,
        DataType::Int32 | DataType::UInt16 => INT4,
        DataType::UInt32 => OID,
        DataType::Int64 | DataType::UInt64 => INT8,
        DataType::Float16 | DataType::Float32 => FLOAT4,
        DataType::Float64 => FLOAT8,
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => BYTEA,
        DataType::Timestamp(_, Some(_)) => TIMESTAMPTZ,
        DataType::Timestamp(_, None) => TIMESTAMP,
        DataType::Date32 | DataType::Date64 => DATE,
        DataType::Time32(_) | DataType::Time64(_) => TIME,
        DataType::Interval(_) | DataType::Duration(_) => INTERVAL,
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => NUMERIC,
        DataType::Dictionary(_, value) => of_arrow(value),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            by_oid(of_arrow(item.data_type())).map_or(JSON, |element| match element.oid {
                JSON => JSON,
                _ => element.array,
            })
        }
        DataType::Map(..) | DataType::Struct(_) => JSON,
        _ => TEXT,
    }
}

/// What a parameter of this type is for us.
pub(super) fn to_arrow(oid: u32) -> DataType {
    match oid {
        BOOL => DataType::Boolean,
        INT2 => DataType::Int16,
        INT4 => DataType::Int32,
        INT8 => DataType::Int64,
        OID => DataType::UInt32,
        FLOAT4 => DataType::Float32,
        FLOAT8 | NUMERIC => DataType::Float64,
        BYTEA => DataType::Binary,
        DATE => DataType::Date32,
        TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        INTERVAL => DataType::Interval(IntervalUnit::MonthDayNano),
        TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ => match element_of(oid) {
            Some(element) => DataType::new_list(to_arrow(element.oid), true),
            None => DataType::Utf8,
        },
    }
}
