//! The field registry: every column of an event, once.
//!
//! A field has an ECS name (`source.ip`). In SQL and in Parquet the dots become underscores
//! (`source_ip`), so nobody needs quotes; the two times are the only exceptions, since ECS calls
//! them `@timestamp` and `event.ingested`. Completion, aliases for rules and the OCSF export all
//! come from this table. Everything that is not here lives in the attributes tail under the name
//! that its producer gave it.
//!
//! Sources: ECS 9 for names, OCSF 1.8 for the `ocsf` paths, Sigma 2.1 taxonomy and the Windows
//! event manifests for the native names.

use std::sync::LazyLock;

use arrow::datatypes::{DataType, Field as ArrowField, TimeUnit};
use hashbrown::HashMap;

/// What a column holds. Arrow types are chosen so that other readers understand them unaided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// A signed 64-bit integer.
    Long,
    /// An IPv4 or IPv6 address as canonical text (RFC 5952); CIDR tests parse it.
    Ip,
    /// Microseconds since the Unix epoch, UTC.
    Time,
    /// Raw bytes.
    Bytes,
}

impl Kind {
    /// The Arrow type that a column of this kind has.
    pub fn data_type(self) -> DataType {
        match self {
            Kind::Text | Kind::Ip => DataType::Utf8,
            Kind::Long => DataType::Int64,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Bytes => DataType::Binary,
        }
    }

    /// The name that the API and the docs use.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Long => "long",
            Kind::Ip => "ip",
            Kind::Time => "time",
            Kind::Bytes => "bytes",
        }
    }
}

/// The sort of entity that a field names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
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
}

impl Role {
    /// The lower-case word used in JSON and on screens.
    pub fn name(self) -> &'static str {
        match self {
            Role::User => "user",
            Role::Host => "host",
            Role::Address => "address",
            Role::Process => "process",
            Role::Resource => "resource",
        }
    }
}

/// One registered field.
#[derive(Debug)]
pub struct Field {
    /// ECS name, as queries, rules and JSON use it: `source.ip`.
    pub name: &'static str,
    /// Column name in SQL and Parquet: `source_ip`.
    pub column: &'static str,
    /// What the column holds.
    pub kind: Kind,
    /// The entity that a value of this field names, if any.
    pub role: Option<Role>,
    /// Path in an OCSF event; empty where OCSF has none.
    pub ocsf: &'static str,
    /// Names that products and Sigma rules use, as `product:name`; `*` stands for any product.
    pub aliases: &'static [&'static str],
    /// One line of meaning.
    pub doc: &'static str,
}

impl Field {
    /// The Arrow field of this column. Every column may be null except the id and the times.
    pub fn arrow(&self) -> ArrowField {
        ArrowField::new(self.column, self.kind.data_type(), true)
    }
}

/// Position of a field in [`FIELDS`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldId(pub u16);

impl FieldId {
    /// The registry entry.
    pub fn field(self) -> &'static Field {
        &FIELDS[self.0 as usize]
    }

    /// The ECS name.
    pub fn name(self) -> &'static str {
        self.field().name
    }

    /// The column name.
    pub fn column(self) -> &'static str {
        self.field().column
    }
}

impl std::fmt::Debug for FieldId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! fields {
    ($($id:ident $name:literal $column:literal $kind:ident $role:tt $ocsf:literal
        [$($alias:literal)*] $doc:literal;)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[repr(u16)]
        enum Position { $($id),* }
        $(#[doc = $doc] pub const $id: FieldId = FieldId(Position::$id as u16);)*
        /// All registered fields, in the order of the columns.
        pub static FIELDS: &[Field] = &[$(Field {
            name: $name, column: $column, kind: Kind::$kind, role: role!($role), ocsf: $ocsf,
            aliases: &[$($alias),*], doc: $doc,
        }),*];
    };
}
macro_rules! role {
    (_) => {
        None
    };
    ($role:ident) => {
        Some(Role::$role)
    };
}

fields! {
    EVENT_TIME "@timestamp" "event_time" Time _ "time" [] "When it happened.";
    RECEIVED_TIME "event.ingested" "received_time" Time _ "metadata.logged_time" [] "When we got it.";
    EVENT_ID "event.id" "event_id" Long _ "metadata.uid" [] "Number of the event, unique and never reused.";
    EVENT_SOURCE "event.source" "event_source" Text _ "metadata.log_provider" [] "The source it came from.";
    PRODUCT "logsource.product" "logsource_product" Text _ "metadata.product.name" [] "Sigma's product: windows, linux, aws.";
    CATEGORY "logsource.category" "logsource_category" Text _ "metadata.log_name" [] "Sigma's category: process_creation, webserver.";
    SERVICE "logsource.service" "logsource_service" Text _ "metadata.log_name" [] "Sigma's service: sshd, security, sysmon.";
    ISSUES "event.issues" "event_issues" Text _ "" [] "What went wrong while parsing, separated by commas.";
    SEVERITY "event.severity" "event_severity" Long _ "severity_id" [] "OCSF severity: 1 informational to 6 fatal.";
    LOG_LEVEL "log.level" "log_level" Text _ "severity" [] "The level as the producer wrote it.";
    MESSAGE "message" "message" Text _ "message" ["windows:Message"] "The text of the record without its envelope.";
    EVENT_MODULE "event.module" "event_module" Text _ "metadata.product.feature.name" [] "The parser pack that understood the record: vendor/product.";
    EVENT_CODE "event.code" "event_code" Text _ "metadata.event_code" ["windows:EventID" "windows:EventId" "windows:event_id"] "The producer's number or name for this kind of event.";
    EVENT_PROVIDER "event.provider" "event_provider" Text _ "api.service.name" ["windows:Provider_Name" "windows:ProviderName" "windows:SourceName" "aws:eventSource"] "The software that wrote the record.";
    EVENT_CHANNEL "winlog.channel" "winlog_channel" Text _ "metadata.log_name" ["windows:Channel"] "Windows event log channel.";
    EVENT_ACTION "event.action" "event_action" Text _ "activity_name" ["*:action" "aws:eventName"] "What was done.";
    EVENT_OUTCOME "event.outcome" "event_outcome" Text _ "status" [] "success, failure or unknown.";
    EVENT_CATEGORY "event.category" "event_category" Text _ "category_name" [] "ECS category: authentication, process, network, web, file.";
    HOST_NAME "host.name" "host_name" Text Host "device.hostname" ["windows:Computer" "windows:ComputerName" "windows:Hostname" "*:hostname"] "The machine that it happened on.";
    HOST_IP "host.ip" "host_ip" Ip Host "device.ip" [] "Address of that machine.";
    USER_NAME "user.name" "user_name" Text User "actor.user.name" ["windows:User" "windows:SubjectUserName" "windows:AccountName" "linux:user" "*:cs-username" "*:username"] "Who acted.";
    USER_DOMAIN "user.domain" "user_domain" Text _ "actor.user.domain" ["windows:SubjectDomainName"] "Domain of who acted.";
    USER_ID "user.id" "user_id" Text User "actor.user.uid" ["windows:SubjectUserSid" "linux:auid" "aws:userIdentity.arn"] "Id of who acted.";
    USER_TARGET_NAME "user.target.name" "user_target_name" Text User "user.name" ["windows:TargetUserName"] "Who was acted on.";
    USER_TARGET_DOMAIN "user.target.domain" "user_target_domain" Text _ "user.domain" ["windows:TargetDomainName"] "Domain of who was acted on.";
    USER_TARGET_ID "user.target.id" "user_target_id" Text User "user.uid" ["windows:TargetUserSid" "windows:TargetSid"] "Id of who was acted on.";
    SESSION_ID "session.id" "session_id" Text _ "actor.session.uid" ["windows:SubjectLogonId" "windows:LogonId" "linux:ses"] "The logon session.";
    LOGON_TYPE "winlog.logon.type" "winlog_logon_type" Long _ "logon_type_id" ["windows:LogonType"] "Windows logon type: 2 interactive, 3 network, 10 remote desktop.";
    PROCESS_EXECUTABLE "process.executable" "process_executable" Text Process "process.file.path" ["windows:Image" "windows:NewProcessName" "windows:ProcessName" "linux:Image" "linux:exe" "macos:Image"] "Full path of the program.";
    PROCESS_NAME "process.name" "process_name" Text Process "process.name" ["linux:comm"] "Name of the program.";
    PROCESS_COMMAND_LINE "process.command_line" "process_command_line" Text _ "process.cmd_line" ["windows:CommandLine" "windows:ProcessCommandLine" "linux:CommandLine" "macos:CommandLine"] "The command line.";
    PROCESS_PID "process.pid" "process_pid" Long _ "process.pid" ["windows:ProcessId" "linux:ProcessId" "linux:pid"] "Process id.";
    PROCESS_ENTITY_ID "process.entity_id" "process_entity_id" Text Process "process.uid" ["windows:ProcessGuid"] "Id of the process that is never reused.";
    PROCESS_WORKING_DIRECTORY "process.working_directory" "process_working_directory" Text _ "process.working_directory" ["windows:CurrentDirectory" "linux:CurrentDirectory" "linux:cwd"] "Folder it ran in.";
    PROCESS_ORIGINAL_FILE_NAME "process.pe.original_file_name" "process_pe_original_file_name" Text _ "process.file.internal_name" ["windows:OriginalFileName"] "File name compiled into the program.";
    PROCESS_INTEGRITY_LEVEL "process.integrity_level" "process_integrity_level" Text _ "process.integrity" ["windows:IntegrityLevel"] "Windows integrity level.";
    PROCESS_PARENT_EXECUTABLE "process.parent.executable" "process_parent_executable" Text Process "process.parent_process.file.path" ["windows:ParentImage" "windows:ParentProcessName" "linux:ParentImage" "macos:ParentImage"] "Full path of the parent program.";
    PROCESS_PARENT_COMMAND_LINE "process.parent.command_line" "process_parent_command_line" Text _ "process.parent_process.cmd_line" ["windows:ParentCommandLine" "linux:ParentCommandLine" "macos:ParentCommandLine"] "The parent's command line.";
    PROCESS_PARENT_PID "process.parent.pid" "process_parent_pid" Long _ "process.parent_process.pid" ["windows:ParentProcessId" "linux:ppid"] "The parent's process id.";
    PROCESS_TARGET_EXECUTABLE "process.target.executable" "process_target_executable" Text Process "process.file.path" ["windows:TargetImage"] "The program that was acted on.";
    FILE_PATH "file.path" "file_path" Text Resource "file.path" ["windows:TargetFilename" "windows:ImageLoaded" "linux:TargetFilename" "macos:TargetFilename" "linux:name"] "The file.";
    FILE_HASHES "file.hashes" "file_hashes" Text _ "file.hashes" ["windows:Hashes"] "Hashes as the producer listed them.";
    REGISTRY_PATH "registry.path" "registry_path" Text Resource "reg_key.path" ["windows:TargetObject"] "Windows registry key or value.";
    REGISTRY_DATA "registry.data.strings" "registry_data_strings" Text _ "reg_value.data" ["windows:Details"] "Data written to the registry.";
    SCRIPT_TEXT "powershell.script_block_text" "powershell_script_block_text" Text _ "script.script_content" ["windows:ScriptBlockText"] "Text of the script.";
    SERVICE_NAME "service.name" "service_name" Text Resource "service.name" ["windows:ServiceName"] "The service.";
    SOURCE_IP "source.ip" "source_ip" Ip Address "src_endpoint.ip" ["windows:SourceIp" "windows:IpAddress" "windows:SourceAddress" "*:c-ip" "*:src_ip" "*:srcip" "*:SRC" "aws:sourceIPAddress" "*:client_ip" "*:remote_addr" "zeek:id.orig_h"] "Address that it came from.";
    SOURCE_PORT "source.port" "source_port" Long _ "src_endpoint.port" ["windows:SourcePort" "windows:IpPort" "*:src_port" "*:srcport" "*:SPT" "zeek:id.orig_p"] "Port that it came from.";
    SOURCE_HOST "source.domain" "source_domain" Text Host "src_endpoint.hostname" ["windows:WorkstationName" "windows:SourceHostname"] "Name of the machine that it came from.";
    SOURCE_BYTES "source.bytes" "source_bytes" Long _ "traffic.bytes_out" ["*:cs-bytes" "*:sentbyte" "zeek:orig_bytes"] "Bytes sent by the source.";
    SOURCE_COUNTRY "source.geo.country_iso_code" "source_geo_country_iso_code" Text _ "src_endpoint.location.country" [] "Country of the address that it came from (ISO 3166-1 alpha-2).";
    SOURCE_NETWORK "source.as.number" "source_as_number" Long _ "src_endpoint.autonomous_system.number" [] "Autonomous system of the address that it came from.";
    DESTINATION_IP "destination.ip" "destination_ip" Ip Address "dst_endpoint.ip" ["windows:DestinationIp" "windows:DestAddress" "*:dst_ip" "*:dstip" "*:DST" "zeek:id.resp_h"] "Address that it went to.";
    DESTINATION_PORT "destination.port" "destination_port" Long _ "dst_endpoint.port" ["windows:DestinationPort" "windows:DestPort" "*:dst_port" "*:dstport" "*:DPT" "zeek:id.resp_p"] "Port that it went to.";
    DESTINATION_HOST "destination.domain" "destination_domain" Text Host "dst_endpoint.hostname" ["windows:DestinationHostname" "*:cs-host" "*:r-dns"] "Name of the machine that it went to.";
    DESTINATION_BYTES "destination.bytes" "destination_bytes" Long _ "traffic.bytes_in" ["*:rcvdbyte" "zeek:resp_bytes"] "Bytes sent by the destination.";
    DESTINATION_COUNTRY "destination.geo.country_iso_code" "destination_geo_country_iso_code" Text _ "dst_endpoint.location.country" [] "Country of the address that it went to (ISO 3166-1 alpha-2).";
    NETWORK_TRANSPORT "network.transport" "network_transport" Text _ "connection_info.protocol_name" ["windows:Protocol" "*:proto" "*:PROTO"] "tcp, udp, icmp.";
    HTTP_METHOD "http.request.method" "http_request_method" Text _ "http_request.http_method" ["*:cs-method" "*:request_method"] "HTTP method.";
    HTTP_STATUS "http.response.status_code" "http_response_status_code" Long _ "http_response.code" ["*:sc-status" "*:status" "*:status_code"] "HTTP status.";
    HTTP_BYTES "http.response.body.bytes" "http_response_body_bytes" Long _ "http_response.length" ["*:sc-bytes" "*:body_bytes_sent" "*:bytes_sent"] "Size of the answer's body in bytes.";
    HTTP_REFERRER "http.request.referrer" "http_request_referrer" Text _ "http_request.referrer" ["*:cs-referer" "*:http_referer"] "The page that linked here.";
    URL_ORIGINAL "url.original" "url_original" Text Resource "http_request.url.url_string" ["*:c-uri" "*:cs-uri" "*:request_uri"] "The URL as it was asked for.";
    URL_PATH "url.path" "url_path" Text Resource "http_request.url.path" ["*:cs-uri-stem"] "Path of the URL.";
    URL_QUERY "url.query" "url_query" Text _ "http_request.url.query_string" ["*:cs-uri-query" "*:c-uri-query"] "Query string of the URL.";
    USER_AGENT "user_agent.original" "user_agent_original" Text _ "http_request.user_agent" ["*:cs-user-agent" "*:c-useragent" "*:http_user_agent" "*:user_agent" "aws:userAgent"] "User agent.";
    USER_AGENT_NAME "user_agent.name" "user_agent_name" Text _ "http_request.user_agent" [] "The program behind the user agent.";
    DNS_QUESTION "dns.question.name" "dns_question_name" Text Resource "query.hostname" ["windows:QueryName" "*:query" "*:qname"] "The name asked for.";
    DNS_REGISTERED_DOMAIN "dns.question.registered_domain" "dns_question_registered_domain" Text Resource "query.hostname" [] "The registered domain of the name asked for.";
    DNS_TYPE "dns.question.type" "dns_question_type" Text _ "query.type" ["*:record_type" "*:qtype" "*:qtype_name"] "Record type asked for.";
    DNS_ANSWERS "dns.answers.data" "dns_answers_data" Text _ "answers.rdata" ["windows:QueryResults" "*:answer" "*:answers"] "What was answered.";
    DNS_RESPONSE_CODE "dns.response_code" "dns_response_code" Text _ "rcode" ["windows:QueryStatus" "*:rcode" "*:rcode_name"] "Answer code.";
    CLOUD_ACCOUNT "cloud.account.id" "cloud_account_id" Text Resource "cloud.account.uid" ["aws:recipientAccountId"] "Cloud account.";
    CLOUD_REGION "cloud.region" "cloud_region" Text _ "cloud.region" ["aws:awsRegion"] "Cloud region.";
    ERROR_CODE "error.code" "error_code" Text _ "status_code" ["aws:errorCode" "windows:Status"] "Why it failed.";
    TRACE_ID "trace.id" "trace_id" Text _ "metadata.correlation_uid" ["*:trace_id" "*:traceId"] "Trace that it belongs to.";
    RULE_NAME "rule.name" "rule_name" Text _ "finding_info.title" ["windows:RuleName"] "Rule of the producer that matched.";
    FILE_LINE "log.file.path" "log_file_path" Text _ "metadata.log_name" [] "The file that the record was read from.";
    ATTRIBUTE_KINDS "event.attribute_kinds" "attribute_kinds" Text _ "" [] "One letter per attribute: s text, n number, b boolean, z null, j JSON.";
    ORIGINAL "event.original" "event_original" Text _ "raw_data" [] "The record as it came; bytes that are not UTF-8 show as U+FFFD.";
    ORIGINAL_BYTES "event.original_bytes" "event_original_bytes" Bytes _ "raw_data" [] "The exact bytes, only where the record is not UTF-8.";
}

/// Name of the map column that holds every key without a column.
pub const ATTRIBUTES: &str = "attributes";

/// Columns that Pugmark itself writes; a record cannot set them by naming them.
pub const SYSTEM: &[FieldId] = &[
    EVENT_TIME,
    RECEIVED_TIME,
    EVENT_ID,
    EVENT_SOURCE,
    PRODUCT,
    CATEGORY,
    SERVICE,
    ISSUES,
    ATTRIBUTE_KINDS,
    ORIGINAL,
    ORIGINAL_BYTES,
];

type Names = HashMap<&'static str, FieldId>;

struct Index {
    by_ecs_name: Names,
    by_name: Names,
    by_alias: HashMap<&'static str, Names>,
    /// What [`resolve`] answers, per product that has aliases of its own.
    by_product: HashMap<&'static str, Names>,
    /// And for all others.
    by_other: Names,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut by_ecs_name = Names::new();
    let mut by_name = Names::new();
    let mut by_alias: HashMap<&'static str, Names> = HashMap::new();
    for (i, field) in FIELDS.iter().enumerate() {
        let id = FieldId(i as u16);
        by_ecs_name.insert(field.name, id);
        by_name.insert(field.name, id);
        by_name.insert(field.column, id);
        for alias in field.aliases {
            if let Some((product, native)) = alias.split_once(':') {
                by_alias.entry(product).or_default().insert(native, id);
            }
        }
    }
    // Short forms for people who type queries.
    by_name.insert("source", EVENT_SOURCE);
    by_name.insert("host", HOST_NAME);
    by_name.insert("user", USER_NAME);
    by_name.insert("level", LOG_LEVEL);
    by_name.insert("time", EVENT_TIME);
    by_name.insert("raw", ORIGINAL);
    let over = |below: &Names, product| {
        let mut names = below.clone();
        names.extend(by_alias.get(product).into_iter().flatten());
        names
    };
    let by_other = over(&by_ecs_name, "*");
    let by_product = by_alias.keys().map(|product| (*product, over(&by_other, product))).collect();
    Index { by_ecs_name, by_name, by_alias, by_product, by_other }
});

/// Finds a field by its ECS name alone, as records name it.
pub fn by_ecs_name(name: &str) -> Option<FieldId> {
    INDEX.by_ecs_name.get(name).copied()
}

/// The fields that some product may mean by a name: the one that is called so, and those with this
/// native name.
pub fn meanings(name: &str) -> Vec<FieldId> {
    let native = |alias: &&str| alias.split_once(':').is_some_and(|(_, native)| native == name);
    let means = |field: &Field| field.name == name || field.aliases.iter().any(native);
    (0u16..).map(FieldId).zip(FIELDS).filter(|(_, f)| means(f)).map(|(id, _)| id).collect()
}

/// Finds a field as people name it in a query: ECS name, column name, or a short
/// form (`source`, `host`, `user`).
pub fn by_name(name: &str) -> Option<FieldId> {
    INDEX.by_name.get(name).copied()
}

/// Finds the field that a product's own name stands for: `("windows", "CommandLine")` is
/// `process.command_line`. Names listed for any product are tried second.
pub fn by_alias(product: &str, native: &str) -> Option<FieldId> {
    let of = |p: &str| INDEX.by_alias.get(p).and_then(|names| names.get(native)).copied();
    of(product).or_else(|| of("*"))
}

/// What a rule or a parser means by `name` in records of `product`: an alias, else an ECS name.
/// `None` means the attributes tail, under that same name.
pub fn resolve(product: &str, name: &str) -> Option<FieldId> {
    INDEX.by_product.get(product).unwrap_or(&INDEX.by_other).get(name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn columns_are_names_with_underscores() {
        for field in FIELDS {
            let expected = match field.name {
                "@timestamp" => "event_time".to_string(),
                "event.ingested" => "received_time".to_string(),
                "event.attribute_kinds" => "attribute_kinds".to_string(),
                name => name.replace('.', "_"),
            };
            assert_eq!(field.column, expected, "{}", field.name);
        }
    }

    #[test]
    fn names_and_columns_are_one_to_one() {
        let names: HashSet<_> = FIELDS.iter().map(|f| f.name).collect();
        let columns: HashSet<_> = FIELDS.iter().map(|f| f.column).collect();
        assert_eq!((names.len(), columns.len()), (FIELDS.len(), FIELDS.len()));
    }

    #[test]
    fn an_alias_stands_for_one_field() {
        let mut seen = HashSet::new();
        for alias in FIELDS.iter().flat_map(|f| f.aliases) {
            assert!(seen.insert(alias), "{alias} is listed twice");
            assert!(alias.contains(':'), "{alias} has no product");
        }
    }

    #[test]
    fn aliases_resolve_by_product() {
        for (product, name, expected) in [
            ("windows", "CommandLine", Some(PROCESS_COMMAND_LINE)),
            ("windows", "source.ip", Some(SOURCE_IP)),
            ("nginx", "c-ip", Some(SOURCE_IP)),
            ("linux", "EventID", None),
            ("", "user.name", Some(USER_NAME)),
        ] {
            assert_eq!(resolve(product, name), expected, "{product} {name}");
        }
    }

    #[test]
    fn an_alias_of_the_product_goes_before_one_of_all_and_that_before_an_ecs_name() {
        let aliases = FIELDS.iter().flat_map(|f| f.aliases).filter_map(|a| a.split_once(':'));
        let names: Vec<&str> = FIELDS.iter().map(|f| f.name).chain(aliases.map(|a| a.1)).collect();
        for product in ["windows", "linux", "aws", "zeek", "macos", "nginx", "*", ""] {
            for name in &names {
                let expected = by_alias(product, name).or_else(|| by_ecs_name(name));
                assert_eq!(resolve(product, name), expected, "{product} {name}");
            }
        }
    }
}
