//! The mason.

use std::process::ExitCode;

use boskos_client::frame::Frame;
use mason::{ConfigSource, MAX_JOBS, Mason, flags::Flags};

fn main() -> ExitCode {
    let flags: Flags = boskos_runtime::flags::parse();
    boskos_runtime::exit::run("boskos-mason", || mason(flags))
}

async fn mason(flags: Flags) -> anyhow::Result<ExitCode> {
    let frame = Frame::start("boskos-mason", "mason", &flags.daemon).await?;
    let clock = frame.client.clock();
    let source = match flags.config.filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => ConfigSource::file(&path, clock)?,
        None => ConfigSource::Server,
    };
    let mut mason = Mason::new(frame.client.clone(), frame.work.clone(), source, flags.cleaner_count);
    for converter in flags.converters {
        let made = converter.converter(flags.timeout.to_std_or_zero(), clock)?;
        if mason.register_config_converter(&converter.config_type, made).is_some() {
            tracing::warn!(config_type = converter.config_type, "two converters: the last one counts");
        }
    }
    if !mason.has_converters() {
        tracing::warn!("no --converter: nothing will be made");
    }
    frame.run(mason, MAX_JOBS).await
}
