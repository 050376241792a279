//! A command that runs, and what it says.

use std::{ffi::OsString, io, path::Path, process::ExitStatus, process::Stdio, time::Duration};

use boskos_client::{Clock, ResourceName, ResourceType, process::Group};
use tokio::{process::Command, task::JoinSet};

use crate::output;

/// How long the rest of the output is waited for once everybody is gone: somebody who left the group may hold it open.
const OUTPUT_WAIT: Duration = Duration::from_secs(1);

/// A command that runs, whose output is logged. Dropped while it runs, it is killed.
pub(crate) struct Run {
    group: Group,
    output: JoinSet<()>,
}

// === impl Run ===

impl Run {
    pub(crate) async fn start(
        program: &Path,
        arguments: &[OsString],
        r#type: &ResourceType,
        name: &ResourceName,
        clock: &Clock,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut group = Group::start(&mut command, clock).await?;
        let mut output = JoinSet::new();
        if let Some(stream) = group.child().stdout.take() {
            output.spawn(output::log(stream, r#type.clone(), name.clone()));
        }
        if let Some(stream) = group.child().stderr.take() {
            output.spawn(output::log(stream, r#type.clone(), name.clone()));
        }
        Ok(Self { group, output })
    }

    /// Waits for the command itself. Safe to cancel.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.group.wait().await
    }

    /// Ends all that is left of it; returns when nobody is.
    pub(crate) async fn end(&mut self) {
        self.group.end().await;
        let drained = async { while self.output.join_next().await.is_some() {} };
        tokio::time::timeout(OUTPUT_WAIT, drained).await.ok();
        self.output.abort_all();
    }
}
