//! Who asks a busy cluster for what.

use std::sync::Arc;

use kubetell::demo::event::{Client, Concern, Object, Request, Stages};
use kubetell::demo::random::Random;
use kubetell::demo::request::{
    certificate, core_object, exec, groups, kubectl_query, lease, path_request, request,
    service_account,
};
use kubetell::demo::story;

use super::bodies;
use crate::corpus;

const BUILD: &str = "v1.34.2 (linux/amd64) kubernetes/8cc511e";
const NODES: usize = 60;
const NAMESPACES: usize = 80;
/// Clients that read a Secret again and again.
const USUAL_CLIENTS: usize = 400;
const PEOPLE: usize = 12;

pub struct Cast {
    nodes: Vec<(String, Arc<Client>)>,
    controllers: Vec<Arc<Client>>,
    operators: Vec<Arc<Client>>,
    people: Vec<Arc<Client>>,
    namespaces: Vec<String>,
    pods: Vec<(String, String)>,
    /// Clients of Secrets, each with the namespace and the Secret that it reads.
    readers: Vec<(Arc<Client>, String, String)>,
    /// Commands as they are run all day, none of which is sensitive.
    harmless: Vec<Vec<String>>,
}

impl Cast {
    pub fn new(seed: u64) -> Cast {
        let random = &mut Random::new(seed ^ 3);
        let namespaces: Vec<String> =
            (0..NAMESPACES).map(|number| format!("team-{number}-{}", random.suffix(4))).collect();
        let pods = (0..1_000)
            .map(|number| {
                let name = format!("app-{number}-{}-{}", random.suffix(9), random.suffix(5));
                (random.pick(&namespaces).clone(), name)
            })
            .collect();
        let controllers = [
            "deployment-controller",
            "replicaset-controller",
            "endpointslice-controller",
            "generic-garbage-collector",
            "resourcequota-controller",
            "horizontal-pod-autoscaler",
        ]
        .map(|name| {
            let agent =
                format!("kube-controller-manager/{BUILD}/system:serviceaccount:kube-system:{name}");
            workload(random, "kube-system", name, "10.0.0.10", &agent)
        });
        let operators = (0..40)
            .map(|number| {
                let (namespace, name) =
                    (random.pick(&namespaces).clone(), format!("operator-{number}"));
                let ip = format!("10.244.{}.{}", number % 60, 10 + number);
                workload(
                    random,
                    &namespace,
                    &name,
                    &ip,
                    &format!(
                        "operator-{number}/v0.{number}.2 (linux/amd64) operator/{:07x}",
                        number * 7919
                    ),
                )
            })
            .collect();
        let readers = (0..USUAL_CLIENTS)
            .map(|number| {
                let namespace = random.pick(&namespaces).clone();
                let ip = format!("10.245.{}.{}", number / 200, 10 + number % 200);
                let agent = format!(
                    "worker/v1.{}.0 (linux/amd64) kubernetes/{:07x}",
                    number % 30,
                    number * 104_729
                );
                let client = workload(random, &namespace, &format!("worker-{number}"), &ip, &agent);
                (client, namespace, format!("credentials-{}", random.suffix(4)))
            })
            .collect();
        Cast {
            nodes: (0..NODES).map(node).collect(),
            controllers: controllers.to_vec(),
            operators,
            people: (0..PEOPLE).map(person).collect(),
            namespaces,
            pods,
            readers,
            harmless: corpus::harmless_argvs(),
        }
    }

    /// What concerns no rule.
    pub fn routine(&self, random: &mut Random) -> Request {
        match random.below(100) {
            0..12 => self.node_lease(random),
            12..18 => self.node_status(random),
            18..34 => self.pod_status(random),
            34..42 => self.leader_election(random),
            42..52 => self.watch(random),
            52..62 => self.list(random),
            62..67 => path_request(random, &self.people[0], "/readyz?verbose"),
            67..74 => self.recorded_event(random),
            74..82 => self.review(random),
            82..90 => self.config_map(random),
            90..97 => self.pod_write(random),
            97 | 98 => self.not_found(random),
            _ => self.near_miss(random),
        }
    }

    /// Of Secrets, and no read: a watch of a controller, or a release that is recorded.
    fn near_miss(&self, random: &mut Random) -> Request {
        let namespace = random.pick(&self.namespaces).clone();
        if random.below(2) == 0 {
            let client = random.pick(&self.controllers);
            let query = watch_query(random);
            let mut request = request(random, client, "watch", core_object("secrets", ""), &query);
            request.stages = Stages::Open;
            return request;
        }
        let client = random.pick(&self.operators);
        let mut request = request(
            random,
            client,
            "create",
            core_object("secrets", &namespace),
            "?fieldManager=helm",
        );
        request.code = 201;
        request
    }

    pub fn harmless_exec(&self, random: &mut Random) -> Request {
        let (namespace, pod) = random.pick(&self.pods);
        let argv: Vec<&str> = random.pick(&self.harmless).iter().map(String::as_str).collect();
        let query = kubectl_query(&argv, "app");
        let client = if random.below(3) == 0 {
            random.pick(&self.people)
        } else {
            random.pick(&self.operators)
        };
        exec(random, client, "get", namespace, pod, &query)
    }

    pub fn usual_read(&self, random: &mut Random) -> Request {
        let (client, namespace, name) = random.pick(&self.readers);
        let (verb, name, query) = match random.below(3) {
            0 => ("list", "", "?limit=500&resourceVersion=0"),
            _ => ("get", name.as_str(), ""),
        };
        let object = Object { name: name.into(), ..core_object("secrets", namespace) };
        let mut request = request(random, client, verb, object, query);
        request.concern = Concern::UsualClient;
        request
    }

    fn node_lease(&self, random: &mut Random) -> Request {
        let (name, kubelet) = random.pick(&self.nodes);
        let object = lease("kube-node-lease", name);
        request(random, kubelet, "update", object, "?timeout=10s")
    }

    fn leader_election(&self, random: &mut Random) -> Request {
        let client = random.pick(&self.operators);
        let verb = *random.pick(&["get", "update"]);
        let namespace = random.pick(&self.namespaces);
        request(random, client, verb, lease(namespace, "leader"), "?timeout=5s")
    }

    fn node_status(&self, random: &mut Random) -> Request {
        let (name, kubelet) = random.pick(&self.nodes);
        let object =
            Object { name: name.clone(), subresource: "status", ..core_object("nodes", "") };
        request(random, kubelet, "patch", object, "?timeout=10s")
    }

    fn pod_status(&self, random: &mut Random) -> Request {
        let (_, kubelet) = random.pick(&self.nodes);
        let (namespace, pod) = random.pick(&self.pods);
        let object =
            Object { name: pod.clone(), subresource: "status", ..core_object("pods", namespace) };
        let mut request = request(random, kubelet, "patch", object, "");
        if let Some(size) = bodies::draw_size(random) {
            request.request_body = Some(
                r#"{"metadata":{"uid":"5c1d0be2-93f1-4a0f-8a57-0c9f3d8e7a11"},"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#.into(),
            );
            request.response_body = Some(bodies::pod(random, namespace, pod, size));
        }
        request
    }

    /// A pod is made or changed, with what webhooks note of it.
    fn pod_write(&self, random: &mut Random) -> Request {
        let (namespace, pod) = random.pick(&self.pods);
        let client = random.pick(&self.controllers);
        let verb = *random.pick(&["create", "update"]);
        let object = Object { name: pod.clone(), ..core_object("pods", namespace) };
        let mut request = request(random, client, verb, object, "?fieldManager=kube&force=false");
        if let Some(size) = bodies::draw_size(random) {
            request.response_body = Some(bodies::pod(random, namespace, pod, size));
        }
        request.annotations.extend([
            bodies::patch_annotation(random),
            ("pod-security.kubernetes.io/enforce-policy".into(), "baseline:latest".into()),
        ]);
        request
    }

    fn watch(&self, random: &mut Random) -> Request {
        let resource = *random.pick(&["pods", "endpointslices", "configmaps", "nodes", "services"]);
        let client = random.pick(&self.operators);
        let query = watch_query(random);
        let mut request = request(random, client, "watch", core_object(resource, ""), &query);
        request.stages = Stages::Open;
        request
    }

    fn list(&self, random: &mut Random) -> Request {
        let client = random.pick(&self.operators);
        let resource = *random.pick(&["deployments", "replicasets", "statefulsets", "daemonsets"]);
        let namespace = random.pick(&self.namespaces).clone();
        let object = Object {
            resource,
            api_group: "apps",
            api_version: "v1",
            namespace,
            ..Object::default()
        };
        let query =
            "?labelSelector=app.kubernetes.io%2Fmanaged-by%3Doperator&limit=500&resourceVersion=0";
        request(random, client, "list", object, query)
    }

    fn recorded_event(&self, random: &mut Random) -> Request {
        let (_, kubelet) = random.pick(&self.nodes);
        let (namespace, pod) = random.pick(&self.pods);
        let name = format!("{pod}.{:016x}", random.draw());
        let object = Object { name, ..core_object("events", namespace) };
        let mut request = request(random, kubelet, "create", object, "");
        request.code = 201;
        request
    }

    fn review(&self, random: &mut Random) -> Request {
        let client = random.pick(&self.operators);
        let (resource, api_group) = *random.pick(&[
            ("tokenreviews", "authentication.k8s.io"),
            ("subjectaccessreviews", "authorization.k8s.io"),
        ]);
        let object = Object { resource, api_group, api_version: "v1", ..Object::default() };
        let mut request = request(random, client, "create", object, "");
        request.code = 201;
        request
    }

    fn config_map(&self, random: &mut Random) -> Request {
        let client = random.pick(&self.operators);
        let namespace = random.pick(&self.namespaces);
        let object = Object { name: "settings".into(), ..core_object("configmaps", namespace) };
        request(random, client, "get", object, "")
    }

    fn not_found(&self, random: &mut Random) -> Request {
        let object = Object { name: random.suffix(10), ..core_object("configmaps", "kube-system") };
        let client = random.pick(&self.controllers);
        let mut request = request(random, client, "get", object, "");
        request.code = 404;
        request
    }
}

/// A command that alerts, in one of its disguises.
pub fn sensitive_exec(random: &mut Random) -> Request {
    let index = random.below(story::SENSITIVE_EXECS);
    story::sensitive_exec(random, index)
}

/// A read by a client that nobody else in the log is.
pub fn unusual_read(random: &mut Random, serial: u64) -> Request {
    story::unusual_read(random, serial)
}

/// A command that alerts, always the same one.
pub fn sentinel(random: &mut Random) -> Request {
    story::sensitive_exec(random, 1)
}

/// A service account as its pod's token names it.
fn workload(
    random: &mut Random,
    namespace: &str,
    name: &str,
    ip: &str,
    agent: &str,
) -> Arc<Client> {
    let mut client = service_account(namespace, name, ip, agent);
    let about = |key: &str| format!("authentication.kubernetes.io/{key}");
    client.extra = vec![
        (about("credential-id"), format!("JTI={}", random.uuid())),
        (about("node-name"), format!("worker-{}", random.below(NODES as u64))),
        (about("node-uid"), random.uuid()),
        (about("pod-name"), format!("{name}-{}-{}", random.suffix(9), random.suffix(5))),
        (about("pod-uid"), random.uuid()),
    ];
    Arc::new(client)
}

fn node(number: usize) -> (String, Arc<Client>) {
    let name = format!("worker-{number}");
    let client = Client {
        user: format!("system:node:{name}"),
        groups: groups(&["system:nodes", "system:authenticated"]),
        extra: vec![certificate(number as u128 + 1)],
        ips: vec![format!("10.0.1.{}", 10 + number)],
        agent: Some(format!("kubelet/{BUILD}")),
        ..Client::default()
    };
    (name, Arc::new(client))
}

fn person(number: usize) -> Arc<Client> {
    Arc::new(Client {
        user: format!("person-{number}@example.com"),
        groups: groups(&["developers", "system:authenticated"]),
        ips: vec![format!("10.0.40.{}", 10 + number)],
        agent: Some("kubectl/v1.34.1 (linux/amd64) kubernetes/93248f9".into()),
        ..Client::default()
    })
}

fn watch_query(random: &mut Random) -> String {
    let seconds = random.within(300..600);
    format!(
        "?allowWatchBookmarks=true&resourceVersion={}&timeout={}m{}s&timeoutSeconds={seconds}&watch=true",
        random.within(80_000_000..90_000_000),
        seconds / 60,
        seconds % 60,
    )
}
