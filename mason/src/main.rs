//! The mason.

use std::process::ExitCode;

use boskos_client::{Clock, frame::Frame};
use boskos_mason::{ConfigSource, MAX_JOBS, Mason, flags::Flags};

fn main() -> ExitCode {
    let flags: Flags = boskos_runtime::flags::parse();
    boskos_runtime::exit::run("boskos-mason", || mason(flags))
}

async fn mason(flags: Flags) -> anyhow::Result<ExitCode> {
    // What is of no use ends it before anything begins.
    let clock = Clock::system();
    let source = match flags.config.as_deref().filter(|path| !path.is_empty()) {
        Some(path) => ConfigSource::file(path.as_ref(), &clock)?,
        None => ConfigSource::Server,
    };
    let timeout = flags.timeout.to_std_or_zero();
    let made = flags.converters.iter().map(|converter| converter.converter(timeout, &clock));
    let made = made.collect::<Result<Vec<_>, _>>()?;

    let frame = Frame::start("boskos-mason", "mason", &flags.daemon).await?;
    let mut mason = Mason::new(frame.client.clone(), frame.work.clone(), source, flags.cleaner_count.get());
    for (converter, made) in flags.converters.iter().zip(made) {
        if mason.register_config_converter(&converter.config_type, made).is_some() {
            tracing::warn!(config_type = converter.config_type, "two converters: the last one counts");
        }
    }
    if !mason.has_converters() {
        tracing::warn!("no --converter: nothing will be made");
    }
    frame.run(mason, MAX_JOBS).await
}
