//! One connection: who it is, then statements and their answers, in both forms of the protocol.

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use datafusion::common::ScalarValue;
use datafusion::prelude::DataFrame;
use datafusion::sql::sqlparser::ast::Statement;
use futures::StreamExt;
use futures::stream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::encode::Rows;
use super::fault::{
    BAD_PASSWORD, BAD_PROTOCOL, BAD_SYNTAX, CANCELED, FAILED_TRANSACTION, Fault, NO_CURSOR,
    NO_STATEMENT, NO_TRANSACTION, NOT_ALLOWED, NOT_THERE, OUT_OF_RANGE, STOPPING, TOO_LONG,
    TOO_MANY,
};
use super::parameters;
use super::plan::{self, Batches};
use super::rewrite;
use super::statement::{self, Command};
use super::variables::{REPORTED, Variables};
use super::wire::{Ended, Format, Message, Named, SENT_BYTES, Start, Values, Wire, format_at};
use super::{Guest, Refusal, Registered, Server, Turn, decode, types, wire};

/// Time to say who one is.
const LOGIN_TIME: Duration = Duration::from_secs(15);
/// Time to be told that there is no place.
const REFUSAL_TIME: Duration = Duration::from_secs(2);
/// How long an answer waits for the client to ask for its next rows.
const SUSPENDED_TIME: Duration = Duration::from_secs(60);
/// How long a connection may say nothing. Pools of clients keep theirs for about half an hour.
const IDLE_TIME: Duration = Duration::from_secs(2 * 3600);
/// Prepared statements of one connection.
const STATEMENTS_MAX: usize = 512;
/// Bytes of their SQL.
const PREPARED_BYTES_MAX: usize = 1 << 20;
/// Bytes of the name of a statement or a portal.
const NAME_BYTES_MAX: usize = 256;
/// Portals of one connection.
const PORTALS_MAX: usize = 32;

/// Where a connection is in what clients believe to be a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transaction {
    None,
    Open,
    Failed,
}

/// A statement with a name.
struct Prepared {
    command: Option<Command>,
    types: Vec<u32>,
    columns: Vec<Column>,
    /// Length of its SQL.
    bytes: usize,
}

/// A column as a client is told of it.
#[derive(Debug, Clone)]
struct Column {
    name: String,
    oid: u32,
}

/// A statement with its values, before, while and after it runs.
struct Portal {
    columns: Vec<Column>,
    formats: Vec<Format>,
    work: Work,
    /// What stops it: the same from before it is planned until its last row.
    cancel: CancellationToken,
}

impl Portal {
    /// Until when an answer that is half sent is kept; `None` of any other work.
    fn kept(&self) -> Option<Instant> {
        match &self.work {
            Work::Run(run) => Some(run.kept),
            _ => None,
        }
    }
}

enum Work {
    /// Nothing was asked at all.
    Empty,
    Do(Command),
    Ask(Box<DataFrame>),
    Show(RecordBatch),
    Run(Box<Run>),
    Done,
}

/// A statement that runs.
struct Run {
    batches: Batches,
    /// What was made and not sent yet, and its next row.
    waiting: Option<(Rows, usize, usize)>,
    sent: usize,
    wanted: Wanted,
    /// Until when the client may ask for the next rows.
    kept: Instant,
}

/// How long an answer is wanted.
#[derive(Clone)]
struct Wanted {
    deadline: Instant,
    cancel: CancellationToken,
}

/// A connection of somebody.
struct Session<'a> {
    server: &'a Server,
    wire: Wire,
    guest: Arc<dyn Guest>,
    user: String,
    registered: Registered<'a>,
    variables: Variables,
    statements: HashMap<String, Arc<Prepared>>,
    portals: HashMap<String, Portal>,
    /// The place among the questions while one is answered, or an answer is half sent: one for
    /// the whole connection, which does one thing at a time.
    turn: Option<Turn>,
    transaction: Transaction,
    /// After an error all is passed over up to the next Sync.
    skipping: bool,
}

/// Serves a connection to its end.
pub(super) async fn run(server: &Server, mut wire: Wire, from: IpAddr) {
    let entered = match timeout(LOGIN_TIME, enter(server, &mut wire, from)).await {
        Ok(Ok(Some(entered))) => entered,
        Ok(Ok(None) | Err(Ended::Gone)) | Err(_) => return,
        Ok(Err(Ended::Fault(fault))) => return end(&mut wire, &fault).await,
    };
    let Entered { user, guest, variables, warnings } = entered;
    let mut session = Session {
        server,
        wire,
        guest,
        user,
        registered: server.register(),
        variables,
        statements: HashMap::new(),
        portals: HashMap::new(),
        turn: None,
        transaction: Transaction::None,
        skipping: false,
    };
    if let Err(Ended::Fault(fault)) = session.talk(&warnings).await {
        end(&mut session.wire, &fault).await;
    }
}

/// Says no to whoever wants in. Statements can be stopped also when there is no place.
pub(super) async fn refuse(server: &Server, wire: &mut Wire, fault: &Fault) {
    let said = async {
        if startup(server, wire).await?.is_some() {
            wire.put_fault("FATAL", fault);
            wire.send().await?;
        }
        Ok::<(), Ended>(())
    };
    let _ = timeout(REFUSAL_TIME, said).await;
}

/// The last word.
async fn end(wire: &mut Wire, fault: &Fault) {
    wire.put_fault("FATAL", fault);
    let _ = timeout(LOGIN_TIME, wire.send()).await;
}

/// Somebody who was let in.
struct Entered {
    user: String,
    guest: Arc<dyn Guest>,
    variables: Variables,
    /// What was wished for and is not so.
    warnings: Vec<Fault>,
}

/// Minor version and parameters that a client begins with.
type Startup = (u16, Vec<(String, String)>);

/// The message that begins a session. `None` when the connection was for something else, and is
/// done.
async fn startup(server: &Server, wire: &mut Wire) -> Result<Option<Startup>, Ended> {
    loop {
        match wire.start().await? {
            Start::Encryption => wire.refuse_encryption().await?,
            Start::Cancel { process, secret } => {
                server.cancel(process, secret);
                return Ok(None);
            }
            Start::Startup { minor, parameters } => return Ok(Some((minor, parameters))),
        }
    }
}

/// The first messages. `None` when there is no session.
async fn enter(server: &Server, wire: &mut Wire, from: IpAddr) -> Result<Option<Entered>, Ended> {
    let Some((minor, parameters)) = startup(server, wire).await? else { return Ok(None) };
    negotiate(wire, minor, &parameters);
    let user = match parameters.iter().find(|(name, _)| name == "user") {
        Some((_, user)) => user.clone(),
        None => return Err(Fault::new(BAD_PROTOCOL, "the client did not name a user").into()),
    };
    let (variables, warnings) = variables(&parameters)?;
    wire.put(b'R', |out| out.extend(3i32.to_be_bytes()));
    wire.send().await?;
    let Message::Password(password) = wire.next().await? else {
        return Err(Fault::new(BAD_PROTOCOL, "a password was expected").into());
    };
    let guest = server.door.login(from, &user, &password).await.map_err(Fault::from)?;
    Ok(Some(Entered { user, guest, variables, warnings }))
}

/// Says which minor version and which options of it are spoken: none.
fn negotiate(wire: &mut Wire, minor: u16, parameters: &[(String, String)]) {
    let unknown: Vec<_> = parameters.iter().filter(|(name, _)| name.starts_with("_pq_.")).collect();
    if minor == 0 && unknown.is_empty() {
        return;
    }
    wire.put(b'v', |out| {
        out.extend((3i32 << 16).to_be_bytes());
        out.extend(i32::try_from(unknown.len()).unwrap_or(0).to_be_bytes());
        unknown.iter().for_each(|(name, _)| wire::put_text(out, name));
    });
}

/// The settings of a first message: by name, and in `options` as `-c name=value`. With what is to
/// be said of them.
fn variables(parameters: &[(String, String)]) -> Result<(Variables, Vec<Fault>), Fault> {
    const OTHERS: [&str; 4] = ["user", "database", "replication", "options"];
    let (mut variables, mut warnings) = (Variables::default(), Vec::new());
    for (name, value) in parameters {
        if name == "options" {
            for option in value.replace("-c ", "-c").split_ascii_whitespace() {
                let option = option.strip_prefix("-c").or_else(|| option.strip_prefix("--"));
                if let Some((name, value)) = option.and_then(|option| option.split_once('=')) {
                    warnings.extend(variables.set(name, Some(value))?);
                }
            }
        } else if !OTHERS.contains(&name.as_str()) && !name.starts_with("_pq_.") {
            warnings.extend(variables.set(name, Some(value))?);
        }
    }
    Ok((variables, warnings))
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::BadPassword(_) => BAD_PASSWORD,
            Refusal::NotAllowed(_) => NOT_ALLOWED,
            Refusal::Busy(_) => TOO_MANY,
        };
        Fault::new(code, refusal.to_string())
    }
}

impl Session<'_> {
    /// Greets, then answers until the client or the server wants to end.
    async fn talk(&mut self, warnings: &[Fault]) -> Result<(), Ended> {
        self.greet(warnings).await?;
        loop {
            let server = self.server;
            let next = tokio::select! {
                next = timeout_at(self.patience(), self.wire.next()) => next,
                () = server.stopping.cancelled() => return Err(stopping().into()),
            };
            let message = match next {
                Ok(message) => message?,
                Err(_) if self.forget_suspended() => continue,
                Err(_) => return Err(Fault::new("57P05", "the connection was idle").into()),
            };
            if message == Message::Terminate {
                return Ok(());
            }
            self.forget_suspended();
            self.hear(message).await?;
        }
    }

    async fn greet(&mut self, warnings: &[Fault]) -> Result<(), Ended> {
        self.wire.put(b'R', |out| out.extend(0i32.to_be_bytes()));
        for name in REPORTED {
            let value = self.variables.get(name)?;
            self.report(name, &value);
        }
        self.report("session_authorization", &self.user.clone());
        self.report("TimeZone", "UTC");
        warnings.iter().for_each(|warning| self.wire.put_fault("WARNING", warning));
        let Registered { process, secret, .. } = self.registered;
        self.wire.put(b'K', |out| {
            out.extend(process.to_be_bytes());
            out.extend(secret.to_be_bytes());
        });
        self.ready().await
    }

    fn report(&mut self, name: &str, value: &str) {
        self.wire.put(b'S', |out| {
            wire::put_text(out, name);
            wire::put_text(out, value);
        });
    }

    async fn ready(&mut self) -> Result<(), Ended> {
        let state = match self.transaction {
            Transaction::None => b'I',
            Transaction::Open => b'T',
            Transaction::Failed => b'E',
        };
        self.wire.put(b'Z', |out| out.push(state));
        self.wire.send().await
    }

    /// Until when something must be heard: an answer that is half sent does not wait for long.
    fn patience(&self) -> Instant {
        self.portals
            .values()
            .filter_map(Portal::kept)
            .min()
            .unwrap_or_else(|| Instant::now() + IDLE_TIME)
    }

    /// Gives up answers whose time is over. False when there was none.
    fn forget_suspended(&mut self) -> bool {
        let (before, now) = (self.portals.len(), Instant::now());
        self.portals.retain(|_, portal| portal.kept().is_none_or(|kept| kept > now));
        self.rest();
        self.portals.len() < before
    }

    /// Gives the place among the questions back, unless an answer is half sent.
    fn rest(&mut self) {
        if self.portals.values().all(|portal| portal.kept().is_none()) {
            self.turn = None;
        }
    }

    /// Answers a message.
    async fn hear(&mut self, message: Message) -> Result<(), Ended> {
        match message {
            _ if self.skipping && message != Message::Sync => Ok(()),
            Message::Query(sql) => {
                let said = self.simple(&sql).await;
                self.rest();
                self.settle(said)?;
                self.ready().await
            }
            Message::Sync => {
                self.skipping = false;
                if self.transaction == Transaction::None {
                    self.portals.clear();
                }
                self.rest();
                self.ready().await
            }
            Message::Unread { fault, extended: false } => {
                self.settle(Err(fault.into()))?;
                self.ready().await
            }
            message => {
                let said = self.extended(message).await;
                self.rest();
                self.skipping = self.settle(said)?;
                // Some clients ask for no Flush behind what went wrong.
                if self.skipping { self.wire.send().await } else { Ok(()) }
            }
        }
    }

    /// Tells what went wrong; true when something did.
    fn settle(&mut self, said: Result<(), Ended>) -> Result<bool, Ended> {
        match said {
            Ok(()) => Ok(false),
            Err(Ended::Fault(fault)) if fault.code != STOPPING => {
                self.wire.put_fault("ERROR", &fault);
                if self.transaction == Transaction::Open {
                    self.transaction = Transaction::Failed;
                }
                Ok(true)
            }
            Err(ended) => Err(ended),
        }
    }

    /// One text, all of its statements, and their answers as text.
    async fn simple(&mut self, sql: &str) -> Result<(), Ended> {
        self.portals.remove("");
        let commands = statement::parse(sql)?;
        if commands.is_empty() {
            self.wire.put(b'I', |_| {});
        }
        for command in commands {
            let mut portal = self.bind(Some(&command), &[], None, Vec::new()).await?;
            if !portal.columns.is_empty() {
                self.describe(&portal.columns, &[]);
            }
            self.execute(&mut portal, 0).await?;
        }
        Ok(())
    }

    async fn extended(&mut self, message: Message) -> Result<(), Ended> {
        match message {
            Message::Parse { name, sql, types } => self.parse(name, &sql, &types).await,
            Message::Bind { portal, statement, values, formats } => {
                check_name(&portal)?;
                let prepared = self.prepared(&statement)?.clone();
                let Prepared { command, types, .. } = &*prepared;
                let values = read_values(types, &values)?;
                let bound = self.bind(command.as_ref(), types, Some(values), formats).await?;
                self.portals.remove(&portal);
                if self.portals.len() >= PORTALS_MAX {
                    let text = format!("a connection has at most {PORTALS_MAX} portals");
                    return Err(Fault::new(TOO_LONG, text).into());
                }
                self.portals.insert(portal, bound);
                self.wire.put(b'2', |_| {});
                Ok(())
            }
            Message::Describe(Named::Statement(name)) => {
                let prepared = self.prepared(&name)?.clone();
                let Prepared { types, columns, .. } = &*prepared;
                self.wire.put(b't', |out| {
                    out.extend(u16::try_from(types.len()).unwrap_or(u16::MAX).to_be_bytes());
                    types.iter().for_each(|oid| out.extend(oid.to_be_bytes()));
                });
                self.describe(columns, &[]);
                Ok(())
            }
            Message::Describe(Named::Portal(name)) => {
                let portal = self.portals.get(&name).ok_or_else(|| no_portal(&name))?;
                let (columns, formats) = (portal.columns.clone(), portal.formats.clone());
                self.describe(&columns, &formats);
                Ok(())
            }
            Message::Execute { portal: name, rows_max } => {
                let mut portal = self.portals.remove(&name).ok_or_else(|| no_portal(&name))?;
                self.execute(&mut portal, rows_max).await?;
                self.portals.insert(name, portal);
                Ok(())
            }
            Message::Close(named) => {
                match named {
                    Named::Statement(name) => drop(self.statements.remove(&name)),
                    Named::Portal(name) => drop(self.portals.remove(&name)),
                }
                self.wire.put(b'3', |_| {});
                Ok(())
            }
            Message::Flush => self.wire.send().await,
            Message::Unread { fault, .. } => Err(fault.into()),
            _ => Err(Fault::new(BAD_PROTOCOL, "a message came that does not belong here").into()),
        }
    }

    async fn parse(&mut self, name: String, sql: &str, declared: &[u32]) -> Result<(), Ended> {
        check_name(&name)?;
        parameters::check_count(declared.len())?;
        let mut commands = statement::parse(sql)?;
        if commands.len() > 1 {
            let text = "a prepared statement is one statement";
            return Err(Fault::new(BAD_SYNTAX, text).into());
        }
        self.statements.remove(&name);
        if self.statements.len() >= STATEMENTS_MAX {
            let text = format!("a connection has at most {STATEMENTS_MAX} prepared statements");
            return Err(Fault::new(TOO_LONG, text).hint("DEALLOCATE some").into());
        }
        let bytes: usize = self.statements.values().map(|known| known.bytes).sum();
        if bytes + sql.len() > PREPARED_BYTES_MAX {
            let text = format!(
                "the prepared statements of a connection have at most {PREPARED_BYTES_MAX} bytes"
            );
            return Err(Fault::new(TOO_LONG, text).hint("DEALLOCATE some").into());
        }
        let command = commands.pop();
        let mut types = declared.to_vec();
        let columns = match &command {
            Some(Command::Ask { statement, names }) => {
                let said = parameters::said(statement, declared)?;
                let frame = self.plan(statement, &said, None, &self.stoppable()).await?;
                let used = frame.logical_plan().get_parameter_types();
                types = parameters::complete(&said, &used.map_err(|e| plan::fault(&e))?);
                columns(frame.schema().as_arrow(), names.as_deref())
            }
            Some(Command::Show(name)) => columns(show(&self.variables, name)?.schema_ref(), None),
            _ => Vec::new(),
        };
        let prepared = Prepared { command, types, columns, bytes: sql.len() };
        self.statements.insert(name, Arc::new(prepared));
        self.wire.put(b'1', |_| {});
        Ok(())
    }

    fn prepared(&self, name: &str) -> Result<&Arc<Prepared>, Fault> {
        let missing = || Fault::new(NO_STATEMENT, format!("there is no statement {name:?}"));
        self.statements.get(name).ok_or_else(missing)
    }

    /// Plans a statement in a turn, since planning may be work too.
    async fn plan(
        &mut self,
        statement: &Statement,
        types: &[u32],
        values: Option<Vec<ScalarValue>>,
        cancel: &CancellationToken,
    ) -> Result<DataFrame, Ended> {
        let wanted = Wanted { deadline: self.deadline(), cancel: cancel.clone() };
        self.turn(&wanted).await?;
        let Self { server, wire, user, registered, variables, .. } = self;
        let session = rewrite::Session { user, process: registered.process, variables, types };
        let planned = server.planner.plan(statement, &session, values);
        Ok(within(server, wire, &wanted, planned).await??)
    }

    /// What stops the next statement.
    fn stoppable(&self) -> CancellationToken {
        let cancel = CancellationToken::new();
        self.registered.runs(&cancel);
        cancel
    }

    /// Waits for a place among the questions, which the guest must still be allowed to ask.
    async fn turn(&mut self, wanted: &Wanted) -> Result<(), Ended> {
        // Whoever waits for a place has none, or they could wait for themselves.
        self.turn = None;
        let turn = within(self.server, &mut self.wire, wanted, self.guest.turn()).await?;
        self.turn = Some(turn.map_err(Fault::from)?);
        Ok(())
    }

    /// A statement with its values, ready to run.
    async fn bind(
        &mut self,
        command: Option<&Command>,
        types: &[u32],
        values: Option<Vec<ScalarValue>>,
        formats: Vec<Format>,
    ) -> Result<Portal, Ended> {
        let ends =
            matches!(command, Some(Command::Commit | Command::Rollback | Command::RollbackTo));
        if self.transaction == Transaction::Failed && !ends {
            let text = "the transaction has failed: nothing is done until it ends";
            return Err(Fault::new(FAILED_TRANSACTION, text).hint("say ROLLBACK").into());
        }
        let cancel = self.stoppable();
        let (columns, work) = match command {
            None => (Vec::new(), Work::Empty),
            Some(Command::Ask { statement, names }) => {
                let frame = self.plan(statement, types, values, &cancel).await?;
                let columns = columns(frame.schema().as_arrow(), names.as_deref());
                (columns, Work::Ask(Box::new(frame)))
            }
            Some(Command::Show(name)) => {
                let batch = show(&self.variables, name)?;
                (columns(batch.schema_ref(), None), Work::Show(batch))
            }
            Some(command) => (Vec::new(), Work::Do(command.clone())),
        };
        Ok(Portal { columns, formats, work, cancel })
    }

    fn describe(&mut self, columns: &[Column], formats: &[Format]) {
        if columns.is_empty() {
            return self.wire.put(b'n', |_| {});
        }
        self.wire.put(b'T', |out| {
            out.extend(u16::try_from(columns.len()).unwrap_or(u16::MAX).to_be_bytes());
            for (index, column) in columns.iter().enumerate() {
                wire::put_text(out, &column.name);
                out.extend([0; 6]);
                out.extend(column.oid.to_be_bytes());
                let length = types::by_oid(column.oid).map_or(-1, |known| known.length);
                out.extend(length.to_be_bytes());
                out.extend((-1i32).to_be_bytes());
                let binary = format_at(formats, index) == Format::Binary;
                out.extend(i16::from(binary).to_be_bytes());
            }
        });
    }

    /// Runs a portal, up to `rows_max` rows of its answer; 0 is all.
    async fn execute(&mut self, portal: &mut Portal, rows_max: usize) -> Result<(), Ended> {
        let mut run = match std::mem::replace(&mut portal.work, Work::Done) {
            Work::Empty => {
                self.wire.put(b'I', |_| {});
                return Ok(());
            }
            Work::Done => {
                self.complete("SELECT 0");
                return Ok(());
            }
            Work::Do(command) => {
                let tag = self.carry_out(command)?;
                self.complete(tag);
                return Ok(());
            }
            Work::Show(batch) => {
                let batches = stream::iter([Ok(batch)]).boxed();
                Box::new(self.start(batches, &portal.cancel))
            }
            Work::Ask(frame) => {
                let mut run = self.start(stream::empty().boxed(), &portal.cancel);
                self.turn(&run.wanted).await?;
                run.batches = self.server.planner.rows(*frame);
                Box::new(run)
            }
            Work::Run(run) => {
                self.registered.runs(&portal.cancel);
                self.turn(&run.wanted).await?;
                run
            }
        };
        let before = run.sent;
        match self.pass_on(&mut run, &portal.formats, rows_max).await? {
            true => self.complete(&format!("SELECT {}", run.sent - before)),
            false => {
                run.kept = run.wanted.deadline.min(Instant::now() + SUSPENDED_TIME);
                portal.work = Work::Run(run);
                self.wire.put(b's', |_| {});
            }
        }
        Ok(())
    }

    fn complete(&mut self, tag: &str) {
        self.wire.put(b'C', |out| wire::put_text(out, tag));
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.variables.statement_timeout(self.server.limits.statement_time)
    }

    /// An answer from its beginning.
    fn start(&self, batches: Batches, cancel: &CancellationToken) -> Run {
        self.registered.runs(cancel);
        let wanted = Wanted { deadline: self.deadline(), cancel: cancel.clone() };
        Run { batches, waiting: None, sent: 0, kept: wanted.deadline, wanted }
    }

    /// Sends rows as they are found; true when there are no more.
    async fn pass_on(
        &mut self,
        run: &mut Run,
        formats: &[Format],
        rows_max: usize,
    ) -> Result<bool, Ended> {
        let stop = match rows_max {
            0 => usize::MAX,
            rows_max => run.sent.saturating_add(rows_max),
        };
        loop {
            let (rows, mut next, count) = match run.waiting.take() {
                Some(waiting) => waiting,
                None => {
                    let next = run.batches.next();
                    match within(self.server, &mut self.wire, &run.wanted, next).await? {
                        None => return Ok(true),
                        Some(batch) => {
                            let batch = batch?;
                            let rows = Rows::new(&batch, formats).map_err(unfit)?;
                            (rows, 0, batch.num_rows())
                        }
                    }
                }
            };
            while next < count && run.sent < stop {
                self.check_rows(run.sent)?;
                self.wire.put(b'D', |out| rows.write(next, out));
                (next, run.sent) = (next + 1, run.sent + 1);
                if self.wire.waiting() >= SENT_BYTES {
                    // Who does not take the rows in time is not told so: it does not listen.
                    let sent = timeout_at(run.wanted.deadline, self.wire.send());
                    sent.await.map_err(|_| Ended::Gone)??;
                }
            }
            if next < count {
                run.waiting = Some((rows, next, count));
                return Ok(false);
            }
        }
    }

    fn check_rows(&self, sent: usize) -> Result<(), Fault> {
        let most = self.server.limits.rows_max;
        match sent < most {
            true => Ok(()),
            false => Err(Fault::new(TOO_LONG, format!("the answer has more than {most} rows"))
                .hint("ask for fewer with LIMIT or a shorter time, or raise postgres.rows_max")),
        }
    }

    /// Does what is no question, and says what it did.
    fn carry_out(&mut self, command: Command) -> Result<&'static str, Fault> {
        match command {
            Command::Set(name, value) => {
                if let Some(warning) = self.variables.set(&name, value.as_deref())? {
                    self.wire.put_fault("WARNING", &warning);
                }
                if name.eq_ignore_ascii_case("application_name") {
                    let value = self.variables.get(&name)?;
                    self.report("application_name", &value);
                }
                Ok("SET")
            }
            Command::Reset => {
                self.variables.reset();
                Ok("RESET")
            }
            Command::Begin => {
                self.transaction = Transaction::Open;
                Ok("BEGIN")
            }
            Command::RollbackTo if self.transaction == Transaction::None => {
                let text = "there is no transaction to roll back within";
                Err(Fault::new(NO_TRANSACTION, text).hint("say BEGIN first"))
            }
            Command::RollbackTo => {
                self.transaction = Transaction::Open;
                Ok("ROLLBACK")
            }
            Command::Commit | Command::Rollback => {
                let failed = self.transaction == Transaction::Failed;
                self.transaction = Transaction::None;
                self.portals.clear();
                let undone = failed || matches!(command, Command::Rollback);
                Ok(if undone { "ROLLBACK" } else { "COMMIT" })
            }
            Command::Deallocate(Some(name)) => {
                self.prepared(&name)?;
                self.statements.remove(&name);
                Ok("DEALLOCATE")
            }
            Command::Deallocate(None) => {
                self.statements.clear();
                Ok("DEALLOCATE ALL")
            }
            Command::Discard => {
                self.statements.clear();
                self.portals.clear();
                self.variables.reset();
                Ok("DISCARD ALL")
            }
            Command::Nothing(tag) => Ok(tag),
            Command::Ask { .. } | Command::Show(_) => Ok("SELECT 0"),
        }
    }
}

/// Waits for `work` as long as anybody wants it.
async fn within<T>(
    server: &Server,
    wire: &mut Wire,
    wanted: &Wanted,
    work: impl Future<Output = T>,
) -> Result<T, Ended> {
    // Work that is always ready would leave no moment in which the time is found to be over.
    if Instant::now() >= wanted.deadline {
        return Err(late().into());
    }
    tokio::select! {
        biased;
        () = wanted.cancel.cancelled() => {
            Err(Fault::new(CANCELED, "the client canceled the statement").into())
        }
        () = server.stopping.cancelled() => Err(stopping().into()),
        done = work => Ok(done),
        () = wire.gone() => Err(Ended::Gone),
        () = sleep_until(wanted.deadline) => Err(late().into()),
    }
}

fn late() -> Fault {
    Fault::new(CANCELED, "the statement took longer than statement_timeout")
        .hint("ask for a shorter time range")
}

/// What is wrong with rows that cannot be written.
fn unfit(error: ArrowError) -> Fault {
    match error {
        ArrowError::CastError(text) | ArrowError::ArithmeticOverflow(text) => {
            Fault::new(OUT_OF_RANGE, text).hint("cast the column to text")
        }
        error => Fault::new(NOT_THERE, error.to_string()),
    }
}

fn check_name(name: &str) -> Result<(), Fault> {
    if name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    let text = format!("the name of a statement or a portal has at most {NAME_BYTES_MAX} bytes");
    Err(Fault::new(TOO_LONG, text))
}

fn stopping() -> Fault {
    Fault::new(STOPPING, "the server stops")
}

fn no_portal(name: &str) -> Fault {
    Fault::new(NO_CURSOR, format!("there is no portal {name:?}"))
}

fn read_values(types: &[u32], given: &Values) -> Result<Vec<ScalarValue>, Fault> {
    if given.values.len() != types.len() {
        let (has, wants) = (given.values.len(), types.len());
        let text = format!("the statement has {wants} parameters, and there are {has} values");
        return Err(Fault::new(BAD_PROTOCOL, text));
    }
    let pairs = types.iter().zip(&given.values).enumerate();
    pairs
        .map(|(index, (oid, value))| {
            decode::value(*oid, format_at(&given.formats, index), value.as_deref())
        })
        .collect()
}

/// Columns as the client is told of them: with PostgreSQL's names where the statement lists them.
fn columns(schema: &Schema, names: Option<&[String]>) -> Vec<Column> {
    let names = names.filter(|names| names.len() == schema.fields().len());
    let fields = schema.fields().iter().enumerate();
    fields
        .map(|(index, field)| Column {
            name: match names {
                Some(names) => names[index].clone(),
                None => field.name().split(rewrite::TWIN).next().unwrap_or_default().to_string(),
            },
            oid: types::of_arrow(field.data_type()),
        })
        .collect()
}

/// The answer to SHOW.
fn show(variables: &Variables, name: &str) -> Result<RecordBatch, Fault> {
    let texts = |texts: Vec<String>| Arc::new(StringArray::from(texts)) as ArrayRef;
    let name = name.to_ascii_lowercase();
    let columns = match name.as_str() {
        "all" => {
            let (names, values): (Vec<_>, Vec<_>) =
                variables.all().map(|(name, value)| (name.to_string(), value)).unzip();
            vec![("name", texts(names)), ("setting", texts(values))]
        }
        name => vec![(name, texts(vec![variables.get(name)?]))],
    };
    RecordBatch::try_from_iter(columns).map_err(|e| Fault::new(NOT_THERE, e.to_string()))
}
