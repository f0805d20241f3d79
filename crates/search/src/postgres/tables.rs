//! The tables of `pg_catalog` and `information_schema`: their columns, types and usual values.

use arrow::datatypes::DataType;

use super::types;

/// A table of the catalog.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// True when it never has a row.
    pub(super) empty: bool,
    /// Its columns as `name:type`, or `name:type=value` where rows usually have that value.
    columns: &'static str,
}

/// A column of the catalog.
pub(super) struct Column {
    pub(super) name: &'static str,
    kind: &'static str,
    pub(super) default: Option<&'static str>,
}

impl Table {
    pub(super) fn columns(&self) -> impl Iterator<Item = Column> {
        self.columns.split_ascii_whitespace().map(|column| {
            let (name, kind) = column.split_once(':').unwrap_or((column, "text"));
            let (kind, default) = match kind.split_once('=') {
                Some((kind, default)) => (kind, Some(default)),
                None => (kind, None),
            };
            Column { name, kind, default }
        })
    }
}

impl Column {
    pub(super) fn kind(&self) -> DataType {
        let kind = |name| types::by_name(name).map_or(DataType::Utf8, |t| types::to_arrow(t.oid));
        match self.kind.strip_suffix("[]") {
            Some(item) => DataType::new_list(kind(item), true),
            None => kind(self.kind),
        }
    }
}

macro_rules! tables {
    ($($name:literal $columns:literal;)* empty $($none:literal $none_columns:literal;)*) => {
        &[
            $(Table { name: $name, empty: false, columns: $columns },)*
            $(Table { name: $none, empty: true, columns: $none_columns },)*
        ]
    };
}

pub(super) const PG_CATALOG: &[Table] = tables! {
    "pg_class" "oid:oid relname:text relnamespace:oid reltype:oid=0 reloftype:oid=0 relowner:oid
        relam:oid=0 relfilenode:oid=0 reltablespace:oid=0 relpages:int4=0 reltuples:float4=-1
        relallvisible:int4=0 reltoastrelid:oid=0 relhasindex:bool=f relisshared:bool=f
        relpersistence:text=p relkind:text=r relnatts:int2=0 relchecks:int2=0 relhasrules:bool=f
        relhastriggers:bool=f relhassubclass:bool=f relrowsecurity:bool=f
        relforcerowsecurity:bool=f relispopulated:bool=t relreplident:text=n
        relispartition:bool=f relrewrite:oid=0 relacl:text[] reloptions:text[]
        relpartbound:text";
    "pg_namespace" "oid:oid nspname:text nspowner:oid nspacl:text[]";
    "pg_attribute" "attrelid:oid attname:text atttypid:oid attlen:int2 attnum:int2
        attcacheoff:int4=-1 atttypmod:int4=-1 attndims:int2=0 attbyval:bool=f attalign:text=i
        attstorage:text=p attcompression:text attnotnull:bool atthasdef:bool=f
        atthasmissing:bool=f attidentity:text= attgenerated:text= attisdropped:bool=f
        attislocal:bool=t attinhcount:int2=0 attcollation:oid=0 attstattarget:int2=-1
        attacl:text[] attoptions:text[] attfdwoptions:text[]";
    "pg_type" "oid:oid typname:text typnamespace:oid=11 typowner:oid=10 typlen:int2
        typbyval:bool=f typtype:text=b typcategory:text typispreferred:bool=f typisdefined:bool=t
        typdelim:text=, typrelid:oid=0 typsubscript:text typelem:oid=0 typarray:oid=0
        typinput:text typoutput:text typreceive:text typsend:text typmodin:text typmodout:text
        typanalyze:text typalign:text=i typstorage:text=p typnotnull:bool=f typbasetype:oid=0
        typtypmod:int4=-1 typndims:int4=0 typcollation:oid=0 typdefault:text typacl:text[]";
    "pg_database" "oid:oid datname:text datdba:oid encoding:int4=6 datlocprovider:text=c
        datistemplate:bool=f datallowconn:bool=t datconnlimit:int4=-1 datlastsysoid:oid=0
        datfrozenxid:int8=0 datminmxid:int8=0 dattablespace:oid=1663 datcollate:text=C
        datctype:text=C daticulocale:text datlocale:text daticurules:text datcollversion:text
        datacl:text[]";
    "pg_roles" "oid:oid rolname:text rolsuper:bool=f rolinherit:bool=t rolcreaterole:bool=f
        rolcreatedb:bool=f rolcanlogin:bool=t rolreplication:bool=f rolconnlimit:int4=-1
        rolpassword:text rolvaliduntil:timestamptz rolbypassrls:bool=f rolconfig:text[]";
    "pg_authid" "oid:oid rolname:text rolsuper:bool=f rolcanlogin:bool=t";
    "pg_user" "usename:text usesysid:oid usecreatedb:bool=f usesuper:bool=f userepl:bool=f
        usebypassrls:bool=f passwd:text valuntil:timestamptz useconfig:text[]";
    "pg_settings" "name:text setting:text unit:text category:text=Session short_desc:text=
        extra_desc:text context:text=user vartype:text=string source:text=session min_val:text
        max_val:text enumvals:text[] boot_val:text reset_val:text sourcefile:text
        sourceline:int4 pending_restart:bool=f";
    "pg_am" "oid:oid amname:text amhandler:text amtype:text";
    "pg_tablespace" "oid:oid spcname:text spcowner:oid spcacl:text[] spcoptions:text[]";
    "pg_tables" "schemaname:text tablename:text tableowner:text tablespace:text hasindexes:bool=f
        hasrules:bool=f hastriggers:bool=f rowsecurity:bool=f";
    "pg_description" "objoid:oid classoid:oid objsubid:int4 description:text";
    empty
    "pg_attrdef" "oid:oid adrelid:oid adnum:int2 adbin:text";
    "pg_auth_members" "oid:oid roleid:oid member:oid grantor:oid admin_option:bool";
    "pg_cast" "oid:oid castsource:oid casttarget:oid castfunc:oid castcontext:text";
    "pg_collation" "oid:oid collname:text collnamespace:oid collowner:oid collprovider:text";
    "pg_constraint" "oid:oid conname:text connamespace:oid contype:text condeferrable:bool
        condeferred:bool convalidated:bool conrelid:oid contypid:oid conindid:oid conparentid:oid
        confrelid:oid confupdtype:text confdeltype:text confmatchtype:text conislocal:bool
        coninhcount:int2 connoinherit:bool conkey:int2[] confkey:int2[] conbin:text";
    "pg_depend" "classid:oid objid:oid objsubid:int4 refclassid:oid refobjid:oid refobjsubid:int4
        deptype:text";
    "pg_enum" "oid:oid enumtypid:oid enumsortorder:float4 enumlabel:text";
    "pg_event_trigger" "oid:oid evtname:text evtevent:text evtowner:oid";
    "pg_extension" "oid:oid extname:text extowner:oid extnamespace:oid extversion:text";
    "pg_foreign_data_wrapper" "oid:oid fdwname:text fdwowner:oid";
    "pg_foreign_server" "oid:oid srvname:text srvowner:oid srvfdw:oid srvoptions:text[]";
    "pg_foreign_table" "ftrelid:oid ftserver:oid ftoptions:text[]";
    "pg_get_keywords" "word:text catcode:text barelabel:bool catdesc:text baredesc:text";
    "pg_index" "indexrelid:oid indrelid:oid indnatts:int2 indnkeyatts:int2 indisunique:bool
        indisprimary:bool indisexclusion:bool indimmediate:bool indisclustered:bool
        indisvalid:bool indcheckxmin:bool indisready:bool indislive:bool indisreplident:bool
        indkey:int2[] indcollation:int2[] indclass:int2[] indoption:int2[] indexprs:text
        indpred:text";
    "pg_indexes" "schemaname:text tablename:text indexname:text tablespace:text indexdef:text";
    "pg_inherits" "inhrelid:oid inhparent:oid inhseqno:int4 inhdetachpending:bool";
    "pg_language" "oid:oid lanname:text lanowner:oid";
    "pg_locks" "locktype:text database:oid relation:oid pid:int4 mode:text granted:bool";
    "pg_matviews" "schemaname:text matviewname:text matviewowner:text definition:text";
    "pg_opclass" "oid:oid opcname:text opcnamespace:oid opcmethod:oid";
    "pg_operator" "oid:oid oprname:text oprnamespace:oid oprleft:oid oprright:oid";
    "pg_partitioned_table" "partrelid:oid partstrat:text partnatts:int2";
    "pg_policy" "oid:oid polname:text polrelid:oid polcmd:text polpermissive:bool";
    "pg_proc" "oid:oid proname:text pronamespace:oid proowner:oid prolang:oid prokind:text
        proretset:bool provolatile:text pronargs:int2 prorettype:oid proargnames:text[]
        prosrc:text proacl:text[]";
    "pg_publication" "oid:oid pubname:text puballtables:bool";
    "pg_publication_namespace" "oid:oid pnpubid:oid pnnspid:oid";
    "pg_publication_rel" "oid:oid prpubid:oid prrelid:oid";
    "pg_range" "rngtypid:oid rngsubtype:oid rngmultitypid:oid rngcollation:oid rngsubopc:oid";
    "pg_replication_slots" "slot_name:text plugin:text slot_type:text database:text active:bool";
    "pg_rewrite" "oid:oid rulename:text ev_class:oid ev_type:text ev_enabled:text";
    "pg_sequence" "seqrelid:oid seqtypid:oid seqstart:int8 seqincrement:int8";
    "pg_shdescription" "objoid:oid classoid:oid description:text";
    "pg_stat_activity" "datid:oid datname:text pid:int4 usename:text application_name:text
        state:text query:text";
    "pg_stat_gssapi" "pid:int4 gss_authenticated:bool principal:text encrypted:bool";
    "pg_stat_user_tables" "relid:oid schemaname:text relname:text seq_scan:int8 n_live_tup:int8";
    "pg_statistic_ext" "oid:oid stxrelid:oid stxname:text stxnamespace:oid stxkind:text[]";
    "pg_trigger" "oid:oid tgrelid:oid tgname:text tgfoid:oid tgenabled:text tgisinternal:bool
        tgconstraint:oid";
    "pg_user_mapping" "oid:oid umuser:oid umserver:oid";
    "pg_views" "schemaname:text viewname:text viewowner:text definition:text";
};

pub(super) const INFORMATION_SCHEMA: &[Table] = tables! {
    "tables" "table_catalog:text=pugmark table_schema:text table_name:text table_type:text
        self_referencing_column_name:text reference_generation:text
        user_defined_type_catalog:text user_defined_type_schema:text user_defined_type_name:text
        is_insertable_into:text=NO is_typed:text=NO commit_action:text";
    "columns" "table_catalog:text=pugmark table_schema:text table_name:text column_name:text
        ordinal_position:int4 column_default:text is_nullable:text data_type:text
        character_maximum_length:int4 character_octet_length:int4 numeric_precision:int4
        numeric_precision_radix:int4 numeric_scale:int4 datetime_precision:int4
        interval_type:text character_set_name:text collation_name:text domain_name:text
        udt_catalog:text=pugmark udt_schema:text=pg_catalog udt_name:text is_identity:text=NO
        identity_generation:text is_generated:text=NEVER generation_expression:text
        is_updatable:text=NO";
    "schemata" "catalog_name:text=pugmark schema_name:text schema_owner:text=pugmark
        default_character_set_catalog:text default_character_set_schema:text
        default_character_set_name:text sql_path:text";
    empty
    "check_constraints" "constraint_catalog:text constraint_schema:text constraint_name:text
        check_clause:text";
    "column_privileges" "grantor:text grantee:text table_catalog:text table_schema:text
        table_name:text column_name:text privilege_type:text is_grantable:text";
    "constraint_column_usage" "table_catalog:text table_schema:text table_name:text
        column_name:text constraint_catalog:text constraint_schema:text constraint_name:text";
    "key_column_usage" "constraint_catalog:text constraint_schema:text constraint_name:text
        table_catalog:text table_schema:text table_name:text column_name:text
        ordinal_position:int4 position_in_unique_constraint:int4";
    "parameters" "specific_catalog:text specific_schema:text specific_name:text
        ordinal_position:int4 parameter_name:text data_type:text";
    "referential_constraints" "constraint_catalog:text constraint_schema:text
        constraint_name:text unique_constraint_catalog:text unique_constraint_schema:text
        unique_constraint_name:text match_option:text update_rule:text delete_rule:text";
    "role_table_grants" "grantor:text grantee:text table_catalog:text table_schema:text
        table_name:text privilege_type:text is_grantable:text with_hierarchy:text";
    "routines" "specific_catalog:text specific_schema:text specific_name:text
        routine_catalog:text routine_schema:text routine_name:text routine_type:text
        data_type:text";
    "sequences" "sequence_catalog:text sequence_schema:text sequence_name:text data_type:text";
    "table_constraints" "constraint_catalog:text constraint_schema:text constraint_name:text
        table_catalog:text table_schema:text table_name:text constraint_type:text
        is_deferrable:text initially_deferred:text";
    "table_privileges" "grantor:text grantee:text table_catalog:text table_schema:text
        table_name:text privilege_type:text is_grantable:text with_hierarchy:text";
    "triggers" "trigger_catalog:text trigger_schema:text trigger_name:text
        event_object_schema:text event_object_table:text";
    "views" "table_catalog:text table_schema:text table_name:text view_definition:text";
};
