//! Canaries in passwords, headers, URLs, proxies and user data: none is ever heard. One that a sub-janitor prints is
//! heard where its output goes, and nowhere else.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use boskos_client::{Resource, UserDataPatch};
use boskos_testkit::{Daemon, command, eventually, free_port};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::fleet::{Fleet, becomes, binary, ended};

/// In every secret.
const CANARY: &str = "c4n4ry";
const IN_URL: &str = "ci:c4n4ry-url";
const PROXY_USER: &str = "px:c4n4ry-proxy";
const PASSWORD: &str = "c4n4ry-password";
/// What a sub-janitor prints; behind it `out` or `err`, where to.
const SAID: &str = "c4n4ry-said";

const DAEMONS: [&str; 5] = ["reaper", "janitor", "mason", "cleaner", "metrics"];

const RESOURCES: &str = "- {type: thing, state: free, names: [t1]}
- {type: account, state: free, names: [a1]}
- {type: broken, state: dirty, names: [b1]}
- {type: cluster, state: dirty, min-count: 1, max-count: 1, lifespan: 2s, needs: {account: 1}, config: {type: Maker}}
";

/// What `boskosctl` is asked to do where nothing can be done.
const VERBS: [&[&str]; 6] = [
    &["acquire", "--type=thing", "--state=free", "--target-state=busy"],
    &["acquire", "--type=thing", "--state=free", "--target-state=busy", "--exec", "true"],
    &["release", "--name=t1", "--target-state=free"],
    &[
        "heartbeat",
        "--resource={\"type\":\"thing\",\"name\":\"t1\",\"state\":\"busy\",\"userdata\":{\"k\":\"c4n4ry-data\"}}",
        "--period=10ms",
        "--retries=0",
    ],
    &["metrics", "--type=thing"],
    &["get"],
];

/// Everything that was said, and where.
#[derive(Default)]
struct Heard(Vec<(String, String)>);

impl Heard {
    fn add(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.0.push((place.into(), text.into()));
    }

    fn log_of(&mut self, place: &str, daemon: &Daemon) {
        assert!(!daemon.log().is_empty(), "{place} says nothing at all");
        self.add(format!("the log of {place}"), daemon.log().join("\n"));
    }

    /// The janitor's log, without what its command printed: that is returned, a line each.
    fn log_of_janitor(&mut self, janitor: &Daemon) -> String {
        let (mut log, mut output) = (String::new(), String::new());
        for line in janitor.log() {
            let mut line: Value = serde_json::from_str(&line).unwrap();
            if line["msg"] == "the command says" {
                output += &format!("{}\n", line["output"].take().as_str().unwrap());
            }
            log += &format!("{line}\n");
        }
        self.add("the log of janitor", log);
        output
    }

    /// None of it holds a secret, plain or as a header has it.
    fn is_clean(&self) {
        let header = |user: &str| BASE64_STANDARD.encode(user);
        let forms = [CANARY.to_owned(), header(IN_URL), header(PROXY_USER), header(&format!("ci:{PASSWORD}"))];
        for (place, text) in &self.0 {
            for form in &forms {
                let line = text.lines().find(|line| line.contains(form));
                assert!(line.is_none(), "{form} in {place}: {}", line.unwrap());
            }
        }
    }
}

/// The flags that name the file with the password.
fn credentials(fleet: &Fleet) -> [String; 2] {
    ["--username=ci".to_owned(), format!("--password-file={}", fleet.path("password"))]
}

/// What each daemon is started with besides server and credentials.
fn own_args(fleet: &Fleet, name: &str) -> Vec<String> {
    let args = match name {
        "reaper" => "--interval=100ms --expire-type=thing=2s".to_owned(),
        "janitor" => {
            let clean = fleet.path("clean");
            let types = "--resource-type=thing,account,broken --quarantine-after=2";
            format!("{types} --janitor-path={clean} --update-frequency=200ms --backoff=100ms")
        }
        "mason" => format!("--converter=Maker={}", fleet.path("make")),
        "metrics" => "--port=0".to_owned(),
        _ => String::new(),
    };
    args.split_whitespace().map(str::to_owned).collect()
}

/// A daemon that hears of every secret there is: in its URL or a file, and in its environment.
fn start(fleet: &Fleet, name: &str, address: &str, has_file: bool, variables: &[(&str, &str)]) -> Daemon {
    let mut args = vec![format!("--boskos-url=http://{IN_URL}@{address}"), "--log-level=trace".to_owned()];
    args.extend(own_args(fleet, name));
    if has_file {
        args.extend(credentials(fleet));
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Daemon::start_with(&binary(&format!("boskos-{name}")), &args, variables)
}

/// What the flags name: a password and commands.
fn files(fleet: &Fleet) {
    fs::write(fleet.path("password"), format!("{PASSWORD}\n")).unwrap();
    // Who they are called as: their own command lines, and those of all above them.
    let called = "tr '\\0' ' ' < /proc/$$/cmdline >> $D/called; echo >> $D/called\n";
    let clean = "[ $N != b1 ] && echo $N >> $D/cleaned && [ $(wc -l < $D/cleaned) -ge 2 ]";
    fleet.script("clean", &format!("{called}echo {SAID}-out $N; echo {SAID}-err $N >&2; {clean}\n"));
    let make = "cat > $D/input; echo run >> $D/runs
case $(wc -l < $D/runs) in
1) cat $D/input >&2; echo '{\"token\":\"c4n4ry-made\"}' | tee /dev/stderr; exit 1 ;;
2) cat $D/input ;;
*) echo '{\"token\":\"c4n4ry-made\"}' ;;
esac
";
    fleet.script("make", &format!("{called}{make}"));
}

/// One call as it is on the wire: what comes back, whatever it is.
fn call(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = "Host: x\r\nConnection: close\r\nAuthorization: Bearer c4n4ry-header";
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Calls that fail, with secrets in them.
fn errors_of_the_server(fleet: &Fleet, heard: &mut Heard) {
    let address = SocketAddr::from(([127, 0, 0, 1], fleet.port));
    let update = "/update?name=t1&owner=nobody&state=free";
    for (path, body) in [
        (update, r#"{"key":"c4n4ry-body"}"#),
        (update, r#"{"key":"c4n4ry-body""#),
        (update, r#"{"c4n4ry":1}"#),
        (update, r#""c4n4ry-body""#),
        (update, r#"{"key":["c4n4ry-body"]}"#),
        (update, "c4n4ry-body"),
        ("/update?name=&owner=x&state=x", r#"{"key":"c4n4ry-body"}"#),
        ("/acquire?type=none&state=free&dest=busy&owner=me", ""),
        ("/release?name=t1&owner=nobody&dest=x", ""),
        ("/api/v1/config/diff", r#"{"key":"c4n4ry-body"}"#),
        ("/api/v1/nothing", ""),
    ] {
        let answer = call(address, "POST", path, body);
        assert!(!answer.starts_with("HTTP/1.1 200"), "{path} {body}: {answer}");
        heard.add(format!("the answer to {path} {body}"), answer);
    }
    for path in ["/api/v1/resources/none", "/api/v1/resources?limit=x", "/api/v1/nothing"] {
        heard.add(path, call(address, "GET", path, ""));
    }
}

/// What anybody may read of it. User data is what callers wrote: only what no caller did is looked for there.
fn answers_of_the_server(fleet: &Fleet, heard: &mut Heard) {
    let address = SocketAddr::from(([127, 0, 0, 1], fleet.port));
    let get = |path: &str| {
        let answer = call(address, "GET", path, "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        answer
    };
    for path in ["types", "lifecycles", "queue", "info", "resources/t1/history", "resources/b1/history"] {
        heard.add(path, get(&format!("/api/v1/{path}")));
    }
    heard.add("/metric", get("/metric?type=broken"));
    let resources = get("/api/v1/resources");
    assert!(resources.contains("b1") && !resources.contains(SAID), "{resources}");
}

/// The metrics of a process: of its ports, all that have some.
fn metrics_of(place: &str, daemon: &Daemon, heard: &mut Heard) {
    let pages: String = daemon.ports().into_iter().map(|port| call(port, "GET", "/metrics", "")).collect();
    assert!(pages.contains("boskos_"), "{place}: {pages}");
    heard.add(format!("the metrics of {place}"), pages);
}

/// The password is in no command line; userinfo only where an operator put it into a URL.
fn command_line_of(place: &str, id: u32, heard: &mut Heard) {
    let line = fs::read(format!("/proc/{id}/cmdline")).unwrap();
    let line = String::from_utf8(line).unwrap().replace('\0', " ");
    assert!(line.contains(place), "{line}");
    heard.add(format!("the command line of {place}"), line.replace(&format!("{IN_URL}@"), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_and_its_failures_tell_no_secret() {
    let mut heard = Heard::default();
    let mut fleet = Fleet::prepare(RESOURCES);
    files(&fleet);
    let proxy = format!("http://{PROXY_USER}@127.0.0.1:9");
    let variables = [("HTTP_PROXY", &*proxy), ("http_proxy", &proxy), ("ALL_PROXY", &proxy), ("NO_PROXY", "127.0.0.1")];
    fleet.serve_with(&["--log-level=trace"], &variables).await;
    let me = fleet.client("me");
    let secret: UserDataPatch = [("secret-access-key".to_owned(), Some("c4n4ry-data \"x\"\nline".to_owned()))].into();
    for (r#type, name) in [("thing", "t1"), ("account", "a1")] {
        me.acquire(r#type, "free", "busy").await.unwrap();
        me.update(name, "busy", &secret).await.unwrap();
        me.release(name, "free").await.unwrap();
    }
    let address = format!("127.0.0.1:{}", fleet.port);
    let daemons = DAEMONS.map(|name| (name, start(&fleet, name, &address, true, &variables)));

    // A job that dies, whose resource fails to be cleaned at first.
    let url = format!("http://{IN_URL}@{address}");
    let [username, file] = credentials(&fleet);
    let server = ["--server-url", &*url, "--owner-name=job", &*username, &*file];
    let ctl = |args: &[&str]| -> Command {
        let mut ctl = command(&binary("boskosctl"), &[&server, args].concat());
        ctl.envs(variables);
        ctl
    };
    let acquire = ["acquire", "--type=thing", "--state=free", "--target-state=busy", "--timeout=60s", "--period=200ms"];
    let script = format!("cd {}; tr '\\0' ' ' < /proc/$$/cmdline >> called; touch began; sleep 600", fleet.path(""));
    let mut job = ctl(&[&acquire[..], &["--exec", "sh", "-c", &*script]].concat()).spawn().unwrap();
    eventually("the job works", async || fleet.exists("began")).await;
    command_line_of("boskosctl", job.id(), &mut heard);
    rustix::process::kill_process(rustix::process::Pid::from_child(&job), rustix::process::Signal::TERM).unwrap();
    job.wait().unwrap();
    becomes(&me, "t1", "free").await;
    assert_eq!(me.resource("t1").await.unwrap().user_data.get("secret-access-key").unwrap(), "c4n4ry-data \"x\"\nline");

    // A dead one's, and a heartbeat for it that is too late.
    let dead = me.acquire("thing", "free", "busy").await.unwrap().to_json();
    becomes(&me, "t1", "free").await;
    let late = ["heartbeat", "--resource", &*dead, "--period=10ms", "--retries=1"];
    let (well, output, errors) = ended(ctl(&late).spawn().unwrap()).await;
    assert!(!well && !errors.is_empty(), "{errors}");
    heard.add("a late heartbeat", output + &errors);

    // A cluster, made after two failures, and torn down when its time is over.
    let acquire = ["acquire", "--type=cluster", "--state=free", "--target-state=leased", "--timeout=60s"];
    let (well, output, errors) = ended(ctl(&acquire).spawn().unwrap()).await;
    assert!(well, "{errors}");
    let cluster: Resource = serde_json::from_str(&output).unwrap();
    assert_eq!(cluster.user_data.get("token").as_deref(), Some("c4n4ry-made"));
    assert!(fs::read_to_string(fleet.path("input")).unwrap().contains("c4n4ry-data"));
    for name in ["t1", "a1", "b1", cluster.name.as_str()] {
        heard.add("history", serde_json::to_string(&me.history(name, 1_000).await.unwrap()).unwrap());
        for args in [&["history", name][..], &["get", name], &["queue"], &["get", "none"], &["metrics", "--type=none"]]
        {
            let (_, output, errors) = ended(ctl(args).spawn().unwrap()).await;
            heard.add(format!("boskosctl {args:?}"), output + &errors);
        }
    }
    let release = ["release", "--name", cluster.name.as_str(), "--target-state=free"];
    assert!(ended(ctl(&release).spawn().unwrap()).await.0);
    eventually("torn down", async || me.resource(cluster.name.as_str()).await.is_err()).await;

    // One that is never cleaned: the reason is there for all to see, what the command printed is not.
    becomes(&me, "b1", "quarantined").await;
    let broken = me.resource("b1").await.unwrap().user_data.as_json().to_owned();
    assert!(broken.contains("exit status: 1"), "{broken}");
    heard.add("user data of what was not cleaned", broken);

    errors_of_the_server(&fleet, &mut heard);
    answers_of_the_server(&fleet, &mut heard);
    let server = fleet.server.as_ref().unwrap();
    for (name, daemon) in daemons.iter().map(|(name, daemon)| (*name, daemon)).chain([("server", server)]) {
        if name != "janitor" {
            heard.log_of(name, daemon);
        }
        metrics_of(name, daemon, &mut heard);
        command_line_of(&format!("boskos-{name}"), daemon.id(), &mut heard);
    }
    let janitor = &daemons[1].1;
    janitor.logged(r#""state":"quarantined""#).await;
    let printed = heard.log_of_janitor(janitor);
    for name in ["t1", "a1", "b1"] {
        for stream in ["out", "err"] {
            assert!(printed.contains(&format!("{SAID}-{stream} {name}\n")), "{stream} of {name}: {printed}");
        }
    }
    let called = fs::read_to_string(fleet.path("called")).unwrap();
    assert!(called.contains("/clean --thing=t1") && called.contains("/make") && called.contains("sh -c"), "{called}");
    heard.add("the command lines of commands", called);
    let page = call(daemons[4].1.ports()[0], "GET", "/", "");
    heard.add("the page of metrics", page);
    for said in ["not made", "not cleaned", "taken back", "taken apart"] {
        assert!(heard.0.iter().any(|(_, text)| text.contains(said)), "{said} was not part of it");
    }
    heard.is_clean();
}

/// Answers every request with `status`, and with the request itself; counts those that carry what they should not say.
async fn echo(status: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let text = String::from_utf8_lossy(&head).into_owned();
                let has_secret = text.to_lowercase().contains("authorization: basic ");
                count.fetch_add(has_secret.into(), Ordering::SeqCst);
                let length = text.len();
                let answer =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}");
                stream.write_all(answer.as_bytes()).await.ok();
            });
        }
    });
    (address, told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_a_server_that_is_away_and_a_bad_proxy_tell_no_secret() {
    let mut heard = Heard::default();
    let fleet = Fleet::prepare(RESOURCES);
    files(&fleet);
    let ((refusing, told), (proxy, told_proxy)) = (echo("401 No").await, echo("407 No").await);
    let proxy = format!("http://{PROXY_USER}@{proxy}");
    let closed = format!("http://{PROXY_USER}@127.0.0.1:{}", free_port());
    let (direct, closed_port) = ([("NO_PROXY", "*")], free_port());
    let (through, through_closed) = ([("http_proxy", &*proxy)], [("http_proxy", &*closed)]);
    let cases = [
        (refusing.to_string(), &direct, true),
        (refusing.to_string(), &direct, false),
        (format!("127.0.0.1:{closed_port}"), &direct, true),
        ("boskos.example".to_owned(), &through, true),
        ("boskos.example".to_owned(), &through_closed, false),
    ];
    // All at once: each tries for a while before it says anything.
    let (mut daemons, mut jobs) = (Vec::new(), Vec::new());
    for (address, variables, has_file) in &cases {
        let case = format!("{address}, {}, a file: {has_file}", variables[0].0);
        for name in DAEMONS {
            daemons.push((format!("{name} with {case}"), start(&fleet, name, address, *has_file, *variables)));
        }
        let url = format!("http://{IN_URL}@{address}");
        let mut server = vec!["--server-url", &*url, "--owner-name=me"];
        let flags = credentials(&fleet);
        server.extend(flags.iter().map(String::as_str).filter(|_| *has_file));
        for verb in VERBS {
            let mut ctl = command(&binary("boskosctl"), &[&server, verb].concat());
            jobs.push((
                format!("boskosctl {verb:?} with {case}"),
                ctl.envs(variables.iter().copied()).spawn().unwrap(),
            ));
        }
    }
    for (place, daemon) in &daemons {
        daemon.logged("the server is away").await;
        heard.log_of(place, daemon);
        metrics_of(place, daemon, &mut heard);
        let health: String = daemon.ports().into_iter().map(|port| call(port, "GET", "/healthz/ready", "")).collect();
        assert!(health.contains("away"), "{place}: {health}");
        heard.add(format!("the health of {place}"), health);
    }
    for (place, job) in jobs {
        let (well, output, errors) = ended(job).await;
        assert!(!well && !errors.is_empty(), "{place}: {output}");
        heard.add(place, output + &errors);
    }
    assert!(told.load(Ordering::SeqCst) > 10 && told_proxy.load(Ordering::SeqCst) > 10, "secrets were sent");
    for name in DAEMONS {
        for url in ["http://ci:c4n4ry-url@", "ci:c4n4ry-url@boskos", "http://ci:c4n4ry-url@bo skos"] {
            let args = [&[format!("--boskos-url={url}")][..], &own_args(&fleet, name)].concat();
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let mut daemon = command(&binary(&format!("boskos-{name}")), &args);
            let (well, output, errors) = ended(daemon.spawn().unwrap()).await;
            assert!(!well && !errors.is_empty(), "{name} {url}");
            heard.add(format!("{name} {url}"), output + &errors);
        }
    }
    heard.is_clean();
}
