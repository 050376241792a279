//! kube-apiserver, etcd and kubectl.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Where the tools are.
pub(crate) struct Tools {
    pub(crate) api_server: PathBuf,
    pub(crate) etcd: PathBuf,
    pub(crate) kubectl: PathBuf,
}

const WAY_OUT: &str = "point KUBEBUILDER_ASSETS at a folder with kube-apiserver, etcd and kubectl";

/// The tools: those of `KUBEBUILDER_ASSETS`, or else kube-apiserver and kubectl built from
/// `deploy/kube-apiserver` and the machine's etcd.
pub(crate) fn tools() -> &'static Tools {
    static TOOLS: OnceLock<Tools> = OnceLock::new();
    TOOLS.get_or_init(|| match std::env::var_os("KUBEBUILDER_ASSETS") {
        Some(folder) => {
            let folder = PathBuf::from(folder);
            let tool = |name: &str| {
                let path = folder.join(name);
                assert!(path.exists(), "KUBEBUILDER_ASSETS has no {name}: {}", path.display());
                path
            };
            Tools { api_server: tool("kube-apiserver"), etcd: tool("etcd"), kubectl: tool("kubectl") }
        }
        None => {
            let folder = built();
            Tools {
                api_server: folder.join("kube-apiserver"),
                kubectl: folder.join("kubectl"),
                etcd: on_path("etcd").unwrap_or_else(|| {
                    panic!("etcd is missing: install it (Debian: apt-get install etcd-server), or {WAY_OUT}")
                }),
            }
        }
    })
}

fn built() -> PathBuf {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kube-apiserver");
    // CARGO_TARGET_TMPDIR is `tmp` in the target folder.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("kube");
    let status = Command::new(module.join("build")).arg(&folder).status().unwrap();
    assert!(status.success(), "kube-apiserver cannot be built (see above): mend that, or {WAY_OUT}");
    folder
}

fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.exists())
}
