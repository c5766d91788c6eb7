//! The intruder: commands that reach for credentials, each in another disguise, and a stolen
//! kubeconfig with which secrets are read from elsewhere.

use std::sync::Arc;

use super::event::{Client, Concern, Object, Request, Stages};
use super::random::Random;
use super::request::{core_object, encoded, exec, groups, kubectl_query, request, service_account};

/// The number of different execs that [`sensitive_exec`] knows.
pub const SENSITIVE_EXECS: u64 = 12;

const MILLI_US: u64 = 1_000;

/// What the intruder does, with the milliseconds after the start at which it happens.
pub fn story(random: &mut Random) -> Vec<(u64, Request)> {
    let mut acts = Vec::new();
    // A look around with a hijacked session: nothing to see yet.
    let session = Arc::new(developer(Some("kubectl/v1.34.1 (linux/amd64) kubernetes/93248f9")));
    for (at_ms, command) in
        [(13_200, &["id"][..]), (14_100, &["ls", "-la", "/"]), (14_900, &["cat", "/etc/hosts"])]
    {
        let query = kubectl_query(command, "nginx");
        acts.push((at_ms, exec(random, &session, "get", "shop", "web-6d9f7c4b85-x2kqz", &query)));
    }
    for index in 0..SENSITIVE_EXECS {
        let at_ms = 16_000 + index * 1_900 + random.below(700);
        acts.push((at_ms, sensitive_exec(random, index)));
    }
    acts.extend(secret_reads(random));
    acts.into_iter().map(|(at_ms, request)| (at_ms * MILLI_US, request)).collect()
}

/// Exec number `index` of [`SENSITIVE_EXECS`]: a command that alerts when read as it is written,
/// once the request is taken apart as a server does it.
pub fn sensitive_exec(random: &mut Random, index: u64) -> Request {
    let kubectl = Arc::new(developer(Some("kubectl/v1.34.1 (linux/amd64) kubernetes/93248f9")));
    let old_kubectl = Arc::new(developer(Some("kubectl/v1.27.4 (linux/amd64) kubernetes/fa3d799")));
    let curl = Arc::new(developer(Some("curl/8.5.0")));
    // Several client libraries send no user agent with an exec.
    let silent = Arc::new(developer(None));
    const WEB: &str = "web-6d9f7c4b85-x2kqz";
    const PAYMENTS: &str = "payments-5f7d8c9b6-hq4mn";
    let mut request = match index % SENSITIVE_EXECS {
        // The order of dashboards: everything else first, the command last.
        0 => {
            let query = "?container=nginx&stdin=1&stdout=1&stderr=1&tty=1\
                         &command=cat&command=%2Fetc%2Fpasswd";
            exec(random, &silent, "get", "shop", WEB, query)
        }
        // A script of several lines.
        1 => {
            let script = "id\nuname -a\ncat /etc/shadow";
            let query = kubectl_query(&["sh", "-c", script], "nginx");
            exec(random, &kubectl, "get", "shop", WEB, &query)
        }
        // The name of the parameter is encoded itself.
        2 => {
            let query = "?%63ommand=cat&%63ommand=/etc/shadow&stdout=true&stderr=true";
            exec(random, &curl, "create", "shop", WEB, query)
        }
        // A harmless file as a decoy for whoever makes an exception of it.
        3 => {
            let query = kubectl_query(&["sh", "-c", "cat /etc/resolv.conf /etc/shadow"], "nginx");
            exec(random, &kubectl, "get", "shop", WEB, &query)
        }
        // The real directory behind /var/run.
        4 => {
            let token = "/run/secrets/kubernetes.io/serviceaccount/token";
            let query = kubectl_query(&["cat", token], "app");
            exec(random, &kubectl, "get", "payments", PAYMENTS, &query)
        }
        // The pod's identity at the cloud provider, over SPDY.
        5 => {
            let token = "/var/run/secrets/eks.amazonaws.com/serviceaccount/token";
            let query = kubectl_query(&["cat", token], "app");
            exec(random, &old_kubectl, "create", "payments", PAYMENTS, &query)
        }
        // The order of kube-rs, whose first pair is empty.
        6 => {
            let query = "?&stdout=true&stderr=true&container=bastion\
                         &command=cat&command=%2Fhome%2Fdeploy%2F.ssh%2Fid_ed25519";
            exec(random, &silent, "get", "ops", "bastion-0", query)
        }
        // Other parameters between the commands.
        7 => {
            let query = format!(
                "?command=sh&stdin=true&command=-c&stdout=true&command={}&container=bastion",
                encoded("tar cz /root/.kube | base64")
            );
            exec(random, &curl, "get", "ops", "bastion-0", &query)
        }
        // An argument that holds what looks like a parameter, and a malformed escape elsewhere.
        8 => {
            let script = "echo a&stdin=1; cat /proc/1/environ";
            let query = format!(
                "?command=sh&command=-c&command={}&container=app&junk=%zz&stdout=true",
                encoded(script)
            );
            exec(random, &curl, "create", "payments", PAYMENTS, &query)
        }
        // Refused, and worth an alert all the same.
        9 => {
            let query = kubectl_query(&["cat", "/etc/kubernetes/admin.conf"], "etcd");
            let pod = "etcd-control-plane-1";
            let mut request = exec(random, &kubectl, "get", "kube-system", pod, &query);
            refuse(&mut request);
            request
        }
        // Around the exec of the API server, through the kubelet.
        10 => node_proxy(
            random,
            "create",
            "/run/payments/payments-5f7d8c9b6-hq4mn/app?cmd=cat+%2Fetc%2Fkubernetes%2Fkubelet.conf",
            200,
        ),
        _ => node_proxy(
            random,
            "get",
            "/exec/payments/payments-5f7d8c9b6-hq4mn/app\
             ?command=cat&command=%2Fvar%2Flib%2Fkubelet%2Fkubeconfig&output=1&error=1",
            101,
        ),
    };
    request.concern = Concern::Exec;
    request
}

/// A read of a secret by a client that nobody else in the log is: its address is made of `serial`.
pub fn unusual_read(random: &mut Random, serial: u64) -> Request {
    // 198.18.0.0/15 is set aside for benchmarks (RFC 2544): nobody's address.
    let (high, low) = (serial / 256 % 512, serial % 256);
    let ip = format!("198.{}.{}.{low}", 18 + high / 256, high % 256);
    // Beyond the 131,072 addresses the version goes on.
    let agent = format!("python-requests/2.32.{}", serial / 131_072);
    let client = Arc::new(service_account("ci", "deployer", &ip, &agent));
    secret(random, &client, "get", "payments", "payments-db")
}

/// The stolen kubeconfig of the pipeline: same user, other addresses, other programs.
fn secret_reads(random: &mut Random) -> Vec<(u64, Request)> {
    const KUBECTL: &str = "kubectl/v1.29.3 (darwin/arm64) kubernetes/6813625";
    let thief = |ips: &[&str], agent: &str| {
        let mut client = service_account("ci", "deployer", "", agent);
        client.ips = groups(ips);
        Arc::new(client)
    };
    let laptop = thief(&["198.51.100.23"], KUBECTL);
    let script = thief(&["198.51.100.23", "10.0.0.9"], "python-requests/2.32.3");
    let server = thief(&["198.51.100.87"], "curl/8.5.0");

    let mut reads = vec![
        (42_000, secret(random, &laptop, "list", "ci", "")),
        (43_300, secret(random, &laptop, "list", "payments", "")),
        (44_100, secret(random, &laptop, "get", "payments", "payments-db")),
        (45_600, secret(random, &laptop, "list", "kube-system", "")),
        (46_900, secret(random, &laptop, "list", "", "")),
        (49_200, secret(random, &script, "get", "payments", "payments-db")),
        (49_700, secret(random, &script, "get", "shop", "web-tls")),
        (53_500, secret(random, &server, "get", "shop", "web-tls")),
        (54_800, secret(random, &server, "get", "kube-system", "bootstrap-token-a1b2c3")),
    ];
    for (_, request) in &mut reads {
        let namespace = request.object.as_ref().map_or("", |object| object.namespace.as_str());
        if matches!(namespace, "kube-system" | "") {
            refuse(request);
        }
    }
    reads
}

fn secret(
    random: &mut Random,
    client: &Arc<Client>,
    verb: &'static str,
    namespace: &str,
    name: &str,
) -> Request {
    let object = Object { name: name.into(), ..core_object("secrets", namespace) };
    let query = if verb == "list" { "?limit=500" } else { "" };
    let mut request = request(random, client, verb, object, query);
    request.concern = Concern::UnusualClient;
    request
}

/// A command through `nodes/NAME/proxy`, under the account of an agent with too many rights.
fn node_proxy(random: &mut Random, verb: &'static str, path: &str, code: u16) -> Request {
    let agent = "Go-http-client/1.1";
    let client = Arc::new(service_account("monitoring", "node-agent", "10.244.2.77", agent));
    let object =
        Object { name: "worker-2".into(), subresource: "proxy", ..core_object("nodes", "") };
    let mut request = request(random, &client, verb, object, path);
    request.stages = Stages::LongRunning;
    request.code = code;
    request
}

fn refuse(request: &mut Request) {
    request.code = 403;
    request.reason.clear();
    request.duration_us = request.started_us + 300;
}

fn developer(agent: Option<&str>) -> Client {
    Client {
        user: "tomas@example.com".into(),
        groups: groups(&["developers", "system:authenticated"]),
        ips: vec!["203.0.113.77".into()],
        agent: agent.map(str::to_owned),
        ..Client::default()
    }
}
