//! An unmodified kube-apiserver with etcd under it, RBAC on, on free ports of 127.0.0.1.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use base64::Engine as _;
use boskos_kube::{Access, Client};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{guarded::Guarded, tools::tools};

/// It is up within seconds, on a machine under load later.
const PATIENCE: Duration = Duration::from_secs(120);

const ADMIN: &str = "administrator";

/// What comes before the point in the DER form of a public key on P-256.
const P256_PUBLIC_KEY: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// One API server.
pub(crate) struct ApiServer {
    dir: TempDir,
    port: u16,
    etcd_port: u16,
    api: Option<Guarded>,
    etcd: Option<Guarded>,
    etcd_args: Vec<String>,
    kubeconfig: PathBuf,
}

/// The one that all tests of this binary share, with our types installed.
pub(crate) fn shared() -> &'static ApiServer {
    static SHARED: OnceLock<ApiServer> = OnceLock::new();
    SHARED.get_or_init(ApiServer::start)
}

/// What asynchronous things of tests run on.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

/// A name that was not used before in this process.
pub(crate) fn new_name(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

// === impl ApiServer ===

impl ApiServer {
    /// Starts one with our types installed.
    pub(crate) fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("kube-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let (port, etcd_port, peer_port) = (free_port(), free_port(), free_port());
        let (client, peer) = (format!("http://127.0.0.1:{etcd_port}"), format!("http://127.0.0.1:{peer_port}"));
        let data = dir.path().join("etcd").display().to_string();
        let etcd_args = [
            format!("--data-dir={data}"),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
        ];
        let etcd_args = etcd_args.to_vec();
        let kubeconfig = dir.path().join("admin.kubeconfig");
        let mut server = Self { port, etcd_port, api: None, etcd: None, etcd_args, kubeconfig, dir };
        server.write_keys();
        server.start_etcd();
        server.start_api();
        server.kubectl(&["apply", "-f", &deploy("base/crd.yaml")]);
        server.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
        server
    }

    fn start_etcd(&mut self) {
        self.etcd = Some(Guarded::start(&tools().etcd, &self.etcd_args, &self.dir.path().join("etcd.log")));
    }

    /// Copies what etcd has; all is away for a moment.
    pub(crate) fn back_up(&mut self) {
        self.away_while("cp -r etcd backup");
    }

    /// Puts back what was copied, as if nothing had happened since; all is away for a moment.
    pub(crate) fn restore(&mut self) {
        self.away_while("rm -r etcd && mv backup etcd");
    }

    fn away_while(&mut self, command: &str) {
        drop((self.api.take(), self.etcd.take()));
        let status = Command::new("sh").args(["-c", command]).current_dir(self.dir.path()).status().unwrap();
        assert!(status.success(), "{command}");
        self.start_etcd();
        self.start_api();
    }

    fn write_keys(&self) {
        use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING as ALGORITHM, EcdsaKeyPair, KeyPair as _};
        let random = ring::rand::SystemRandom::new();
        let private = EcdsaKeyPair::generate_pkcs8(&ALGORITHM, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ALGORITHM, private.as_ref(), &random).unwrap();
        let public = [P256_PUBLIC_KEY.as_slice(), pair.public_key().as_ref()].concat();
        for (file, label, der) in
            [("service-account.key", "PRIVATE KEY", private.as_ref()), ("service-account.pub", "PUBLIC KEY", &public)]
        {
            let text = base64::engine::general_purpose::STANDARD.encode(der);
            let pem = format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
            fs::write(self.dir.path().join(file), pem).unwrap();
        }
        fs::write(self.dir.path().join("tokens.csv"), format!("{ADMIN},admin,admin,system:masters\n")).unwrap();
    }

    /// Starts the API server, which must not run, and waits until it is ready.
    pub(crate) fn start_api(&mut self) {
        let file = |name: &str| self.dir.path().join(name).display().to_string();
        let args = [
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.port),
            format!("--cert-dir={}", file("certs")),
            "--authorization-mode=RBAC".to_owned(),
            format!("--token-auth-file={}", file("tokens.csv")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", file("service-account.pub")),
            format!("--service-account-signing-key-file={}", file("service-account.key")),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            // Nobody is there who would make a service account for each namespace.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            "--profiling=false".to_owned(),
        ];
        self.api = Some(Guarded::start(&tools().api_server, &args, &self.dir.path().join("kube-apiserver.log")));
        let deadline = Instant::now() + PATIENCE;
        let certificate = self.dir.path().join("certs/apiserver.crt");
        loop {
            if certificate.exists() {
                fs::write(&self.kubeconfig, self.kubeconfig_for(ADMIN)).unwrap();
                if self.try_kubectl(&["get", "--raw=/readyz"], None).status.success() {
                    return;
                }
            }
            assert!(Instant::now() < deadline, "kube-apiserver does not get ready:\n{}", self.log_end());
            sleep(Duration::from_millis(100));
        }
    }

    fn log_end(&self) -> String {
        let mut text = String::new();
        for name in ["etcd.log", "kube-apiserver.log"] {
            let log = fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            text.push_str(&lines[lines.len().saturating_sub(15)..].join("\n"));
        }
        text
    }

    /// Kills the API server; etcd stays.
    pub(crate) fn kill_api(&mut self) {
        self.api.take().expect("it runs").kill();
    }

    fn kubeconfig_for(&self, token: &str) -> String {
        let authority = fs::read(self.dir.path().join("certs/apiserver.crt")).unwrap();
        let authority = base64::engine::general_purpose::STANDARD.encode(authority);
        serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {
                "server": format!("https://127.0.0.1:{}", self.port),
                "certificate-authority-data": authority,
            }}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        })
        .to_string()
    }

    /// The administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A kubeconfig for a service account that exists.
    pub(crate) fn kubeconfig_of(&self, namespace: &str, account: &str) -> PathBuf {
        let token = self.kubectl(&["-n", namespace, "create", "token", account]);
        let path = self.dir.path().join(format!("{namespace}-{account}.kubeconfig"));
        fs::write(&path, self.kubeconfig_for(token.trim())).unwrap();
        path
    }

    /// A kubeconfig that says nothing of who asks, and a file with a token of a service account.
    pub(crate) fn token_file_of(&self, namespace: &str, account: &str) -> (PathBuf, PathBuf) {
        let token = self.kubectl(&["-n", namespace, "create", "token", account]);
        let path = |kind: &str| self.dir.path().join(format!("{namespace}-{account}.{kind}"));
        fs::write(path("token"), token.trim()).unwrap();
        fs::write(path("nobody"), self.kubeconfig_for("of-nobody")).unwrap();
        (path("nobody"), path("token"))
    }

    /// What containers of pods find in their environment.
    pub(crate) fn env_of_pods(&self) -> [(&'static str, String); 2] {
        [("KUBERNETES_SERVICE_HOST", "127.0.0.1".to_owned()), ("KUBERNETES_SERVICE_PORT", self.port.to_string())]
    }

    /// Writes what proves this API server, as pods find it.
    pub(crate) fn write_authority(&self, path: &Path) {
        fs::copy(self.dir.path().join("certs/apiserver.crt"), path).unwrap();
    }

    /// A client with an administrator's rights.
    pub(crate) fn client(&self) -> Client {
        let access = Access { kubeconfig: Some(self.kubeconfig.clone()), ..Access::default() };
        runtime().block_on(access.client()).unwrap()
    }

    /// A new namespace.
    pub(crate) fn namespace(&self, prefix: &str) -> String {
        let name = new_name(prefix);
        self.kubectl(&["create", "namespace", &name]);
        name
    }

    /// Runs kubectl as the administrator: what it prints.
    #[track_caller]
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        self.kubectl_with(args, None)
    }

    /// The same with input.
    #[track_caller]
    pub(crate) fn kubectl_with(&self, args: &[&str], input: Option<&str>) -> String {
        let Output { status, stdout, stderr } = self.try_kubectl(args, input);
        assert!(status.success(), "kubectl {args:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    /// The same where it may fail.
    pub(crate) fn try_kubectl(&self, args: &[&str], input: Option<&str>) -> Output {
        let mut command = Command::new(&tools().kubectl);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(args);
        command.env("KUBECTL_KUBERC", "false").env("HOME", self.dir.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.unwrap_or_default().as_bytes()).unwrap();
        drop(stdin);
        child.wait_with_output().unwrap()
    }

    /// An object as it is now.
    #[track_caller]
    pub(crate) fn object(&self, namespace: &str, kind: &str, name: &str) -> Value {
        serde_json::from_str(&self.kubectl(&["-n", namespace, "get", kind, name, "-o", "json"])).unwrap()
    }

    /// All objects of a kind.
    #[track_caller]
    pub(crate) fn objects(&self, namespace: &str, kind: &str) -> Vec<Value> {
        let list: Value = serde_json::from_str(&self.kubectl(&["-n", namespace, "get", kind, "-o", "json"])).unwrap();
        list["items"].as_array().unwrap().clone()
    }
}

/// A file or folder of `deploy/`.
pub(crate) fn deploy(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path).display().to_string()
}
