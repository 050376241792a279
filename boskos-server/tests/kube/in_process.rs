//! A server in this process, over a wire that tests steer.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use boskos_core::ranch::Limits as RanchLimits;
use boskos_kube::PodLabels;
use boskos_server::{
    http::Limits as HttpLimits,
    replica::{self, Replica, Shared},
    server::{Options, Ports},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime};

use crate::{
    api_server::{new_name, shared},
    harness::client::{Client, Response},
    replica::{eventually, standby_objects},
    wire::Wire,
};

/// One server, alone on its namespace.
pub(crate) struct Server {
    pub(crate) http: SocketAddr,
    metrics: SocketAddr,
    pub(crate) wire: Arc<Wire>,
    pub(crate) dir: TempDir,
    replica: Option<Replica>,
    runtime: Option<Runtime>,
}

impl Server {
    /// Starts one; it serves when this returns.
    pub(crate) fn start(namespace: &str, config: &str) -> Self {
        let server = Self::begin(namespace, config, None, Arc::new(Wire::default()));
        server.serves();
        server
    }

    /// Waits until it serves.
    #[track_caller]
    pub(crate) fn serves(&self) {
        eventually("it serves", || (self.post("/nothing").status == 200).then_some(()));
    }

    /// Starts one of perhaps several, called as its pod is.
    pub(crate) fn begin(namespace: &str, config: &str, pod: Option<&str>, wire: Arc<Wire>) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("config.yaml");
        std::fs::write(&path, config).unwrap();
        let options = Options {
            config: path,
            update_period: Duration::from_secs(600),
            max_wait: Duration::from_secs(50),
            ranch: RanchLimits::default(),
            http: HttpLimits::default(),
            data_dir: None,
        };
        let runtime = Runtime::new().unwrap();
        let replica = runtime.block_on(async {
            // A client's own tasks are on the runtime where it is made: they end with the server.
            let access = boskos_kube::Access {
                kubeconfig: Some(shared().kubeconfig().into()),
                ..boskos_kube::Access::default()
            };
            let client = wire.client(access.client().await.unwrap());
            let labels = pod.map(|pod| {
                let (own, key) = (pod.to_owned(), "boskos-leader".to_owned());
                PodLabels::new(client.clone(), namespace, own, key, Some("app=boskos".to_owned()))
            });
            let identity = pod.map(|pod| format!("{pod}_{}", new_name("identity")));
            let shared = Shared { client, namespace: namespace.to_owned(), identity, labels };
            let listen = || TcpListener::bind("127.0.0.1:0");
            let ports = Ports {
                http: listen().await.unwrap(),
                health: listen().await.unwrap(),
                metrics: listen().await.unwrap(),
            };
            replica::start(options, shared, ports).await.unwrap()
        });
        Self { http: replica.http, metrics: replica.metrics, wire, dir, replica: Some(replica), runtime: Some(runtime) }
    }

    /// Stops it in order.
    pub(crate) fn stop(mut self) {
        let replica = self.replica.take().unwrap();
        self.runtime.as_ref().unwrap().block_on(replica.stop());
    }

    /// How many objects it holds while it stands by.
    pub(crate) fn standby_objects(&self) -> u64 {
        standby_objects(self.metrics)
    }

    pub(crate) fn post(&self, target: &str) -> Response {
        Client::connect(self.http).request("POST", target)
    }

    /// Calls from a thread of its own; `None` if the server ends before it answers.
    pub(crate) fn post_aside(&self, target: &str) -> std::thread::JoinHandle<Option<Response>> {
        let (http, target) = (self.http, target.to_owned());
        std::thread::spawn(move || {
            let mut client = Client::connect(http);
            client.send_request("POST", &target);
            client.response_or_end()
        })
    }

    pub(crate) fn resource(&self, name: &str) -> Option<Value> {
        let answer = Client::connect(self.http).request("GET", &format!("/api/v1/resources/{name}"));
        (answer.status == 200).then(|| answer.json())
    }

    /// Changes the config file.
    pub(crate) fn write_config(&self, config: &str) {
        std::fs::write(self.dir.path().join("config.yaml"), config).unwrap();
    }

    /// Has the config, now this, read again.
    pub(crate) fn configure(&self, config: &str) {
        self.write_config(config);
        self.replica.as_ref().unwrap().reread_config();
    }

    /// Ends it as a kill does: nothing more is sent.
    pub(crate) fn kill(mut self) {
        drop(self.replica.take());
        self.runtime.take().unwrap().shutdown_timeout(Duration::from_secs(10));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.replica.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
