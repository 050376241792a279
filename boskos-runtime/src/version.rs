//! Which build this is.

/// The version of the workspace, such as `0.1.0`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The first digits of the git commit that was built, the build's `BOSKOS_COMMIT`, or `unknown`.
pub const COMMIT: &str = env!("BOSKOS_BUILD_COMMIT");

/// Version and commit as `--version` shows them after the name: `0.1.0 (0123456789ab)`.
pub const TEXT: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("BOSKOS_BUILD_COMMIT"), ")");
