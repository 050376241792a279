//! `boskos-janitor`: has a command clean what is dirty.

use std::process::ExitCode;

use boskos_client::frame::Frame;
use boskos_janitor::{Flags, Janitor, OWNER};

fn main() -> ExitCode {
    let flags: Flags = boskos_runtime::flags::parse();
    boskos_runtime::exit::run("boskos-janitor", || async move {
        // Before anything else: the words that manifests' authors know.
        anyhow::ensure!(flags.types.is_given(), "--resource-type or --resource-type-from-config must be set");
        let options = flags.options()?;
        let frame = Frame::start("boskos-janitor", OWNER, &flags.daemon).await?;
        let types = flags.types.select(frame.client.clock())?;
        let janitor = Janitor::new(frame.client.clone(), frame.work.clone(), &frame.registry, types, options)?;
        frame.run(janitor, flags.pool_size.get()).await
    })
}
