//! `boskos-cleaner`: takes apart the composite resources that are to be deleted.

use std::process::ExitCode;

use boskos_cleaner::{Cleaner, Flags, OWNER};
use boskos_client::frame::Frame;

fn main() -> ExitCode {
    let flags: Flags = boskos_runtime::flags::parse();
    boskos_runtime::exit::run("boskos-cleaner", || async move {
        let frame = Frame::start("boskos-cleaner", OWNER, &flags.daemon).await?;
        let types = flags.types.select(frame.client.clock())?;
        let cleaner = Cleaner::new(frame.client.clone(), frame.work.clone(), types);
        frame.run(cleaner, flags.cleaner_count.get()).await
    })
}
