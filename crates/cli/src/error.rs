//! Errors for the person at the terminal: what happened, then what to do. And the exit codes.

use std::process::ExitCode;

use pugmark_connect::ClientError;

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done.
    Done,
    /// 1: done, and the answer is no (a rule test failed, the ledger does not balance).
    No,
    /// 3: findings at or above `--fail-on`.
    Findings,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => ExitCode::SUCCESS,
            Exit::No => ExitCode::from(1),
            Exit::Findings => ExitCode::from(3),
        }
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct CliError {
    kind: Kind,
    error: anyhow::Error,
    hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Exit code 1.
    Failure,
    /// Exit code 2: what was typed makes no sense.
    Usage,
    /// Exit code 5: the server cannot be reached or refuses.
    Server,
    /// The reader of our output went away; that is no failure.
    BrokenPipe,
}

impl CliError {
    /// What was typed makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        let error = anyhow::Error::msg(message.into());
        CliError { kind: Kind::Usage, error, hint: None }
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Prints the error and says the exit code.
    #[allow(clippy::print_stderr, reason = "the one place that reports errors")]
    pub(crate) fn report(self) -> ExitCode {
        let code = match self.kind {
            Kind::Failure => 1,
            Kind::Usage => 2,
            Kind::Server => 5,
            Kind::BrokenPipe => return ExitCode::SUCCESS,
        };
        let message = crate::output::printable(&format!("{:#}", self.error)).into_owned();
        eprintln!("error: {message}");
        if let Some(hint) = self.hint {
            eprintln!("\nhint: {hint}");
        }
        ExitCode::from(code)
    }
}

impl From<anyhow::Error> for CliError {
    fn from(error: anyhow::Error) -> Self {
        let broken = error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
            .any(|io| io.kind() == std::io::ErrorKind::BrokenPipe);
        let kind = if broken { Kind::BrokenPipe } else { Kind::Failure };
        CliError { kind, error, hint: None }
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let (kind, hint) = match &error {
            ClientError::Unreachable { .. } => (
                Kind::Server,
                Some("check --server, and that `pugmark serve` runs there".to_string()),
            ),
            ClientError::Unauthorized { .. } => (
                Kind::Server,
                Some("make a token under Settings and pass it with --token-file".into()),
            ),
            ClientError::Full { .. } => (Kind::Server, None),
            ClientError::Refused { hint, status, .. } => {
                let kind = match status {
                    // What was asked for makes no sense, as when this machine is asked.
                    400 => Kind::Usage,
                    500.. => Kind::Server,
                    _ => Kind::Failure,
                };
                (kind, hint.clone())
            }
        };
        CliError { kind, error: error.into(), hint }
    }
}
