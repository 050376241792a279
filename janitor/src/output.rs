//! What a command says, as lines of our log.

use boskos_client::{ResourceName, ResourceType};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes of one line; what is longer is cut into several.
const MAX_LINE: usize = 4096;

/// Lines of one run that are logged; further ones are read and counted.
const MAX_LINES: u64 = 10_000;

/// Logs `stream` line by line until it ends.
pub(crate) async fn log(mut stream: impl AsyncRead + Unpin, r#type: ResourceType, name: ResourceName) {
    let (mut line, mut lines) = (Vec::with_capacity(MAX_LINE), 0);
    let mut say = |line: &mut Vec<u8>| {
        lines += 1;
        if lines <= MAX_LINES {
            let text = String::from_utf8_lossy(line);
            tracing::info!(%r#type, %name, output = text.trim_end_matches('\r'), "the command says");
        }
        line.clear();
    };
    let mut chunk = [0; MAX_LINE];
    loop {
        let read = match stream.read(&mut chunk).await {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(%name, %error, "the command's output cannot be read");
                break;
            }
        };
        for byte in &chunk[..read] {
            match byte {
                b'\n' => say(&mut line),
                byte => line.push(*byte),
            }
            if line.len() == MAX_LINE {
                say(&mut line);
            }
        }
    }
    if !line.is_empty() {
        say(&mut line);
    }
    if lines > MAX_LINES {
        tracing::warn!(%name, left_out = lines - MAX_LINES, "the command says more than is logged");
    }
}
