//! Configs of many names.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// The name of the resource with this number, as long as names in the field.
pub(crate) fn name(number: usize) -> String {
    format!("project-{number:07}")
}

/// Writes a config of `count` resources, at once for who reads it.
pub(crate) fn write(folder: &Path, count: usize) -> anyhow::Result<PathBuf> {
    let mut text = String::with_capacity(count * 20 + 100);
    text.push_str("resources:\n- type: gce-project\n  state: free\n  names:\n");
    for number in 0..count {
        writeln!(text, "  - {}", name(number))?;
    }
    let served = folder.join("config");
    fs::create_dir_all(&served)?;
    let (written, path) = (folder.join("config.new"), served.join("boskos.yaml"));
    fs::write(&written, text)?;
    fs::rename(&written, &path)?;
    Ok(path)
}
