//! `boskos-reaper`: takes back what nobody has kept alive for too long.

use std::process::ExitCode;

use boskos_client::frame::Frame;
use boskos_reaper::{Flags, OWNER, Reaper};

/// The reaper asks for one thing at a time.
const POOL_SIZE: usize = 1;

fn main() -> ExitCode {
    let flags: Flags = boskos_runtime::flags::parse();
    boskos_runtime::exit::run("boskos-reaper", || async move {
        let frame = Frame::start("boskos-reaper", OWNER, &flags.daemon).await?;
        let types = flags.types.select(frame.client.clock())?;
        let reaper = Reaper::new(frame.client.clone(), frame.work.clone(), &frame.registry, types, &flags)?;
        frame.run(reaper, POOL_SIZE).await
    })
}
