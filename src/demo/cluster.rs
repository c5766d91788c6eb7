//! A cluster at work: who lives in it and what they ask of its API server all day.
//!
//! Nothing here alerts, once the usual clients are known: [`Concern::Exec`] and
//! [`Concern::UnusualClient`] belong to the `story`.

use std::sync::Arc;

use super::event::{Client, Concern, Object, Request, Stages};
use super::random::Random;
use super::request::{
    certificate, core_object, exec, groups, kubectl_query, lease, path_request, request,
    service_account,
};

/// The version that the cluster's own programs send as their user agent.
const BUILD: &str = "v1.34.2 (linux/amd64) kubernetes/8cc511e";

pub struct Cluster {
    nodes: Vec<Node>,
    controller_manager: Arc<Client>,
    /// The same process under the accounts of single controllers.
    controllers: Vec<Arc<Client>>,
    scheduler: Arc<Client>,
    apiserver: Arc<Client>,
    prober: Arc<Client>,
    prometheus: Arc<Client>,
    coredns: Arc<Client>,
    argocd: Arc<Client>,
    admin: Arc<Client>,
    developer: Arc<Client>,
    pipeline: Arc<Client>,
    secret_readers: Vec<SecretReader>,
}

struct Node {
    name: String,
    kubelet: Arc<Client>,
}

/// A usual client of the secrets, and the read that it repeats.
struct SecretReader {
    client: Arc<Client>,
    verb: &'static str,
    namespace: &'static str,
    /// Empty for a list.
    name: &'static str,
    query: &'static str,
}

/// The pods that people and probes run commands in.
const PODS: [(&str, &str, &str); 5] = [
    ("shop", "web-6d9f7c4b85-x2kqz", "nginx"),
    ("shop", "cart-79c5b6d4f8-lw9tp", "app"),
    ("payments", "payments-5f7d8c9b6-hq4mn", "app"),
    ("payments", "postgres-0", "postgres"),
    ("monitoring", "grafana-7c8d9f6b5-zv2jd", "grafana"),
];

/// Commands as they are run all day. None is sensitive, though the last ones look it at a glance.
const HARMLESS_COMMANDS: [&[&str]; 9] = [
    &["ls", "-la", "/app"],
    &["nginx", "-t"],
    &["pg_isready", "-U", "postgres"],
    &["redis-cli", "ping"],
    &["sh", "-c", "wget -qO- http://127.0.0.1:8080/healthz && echo ok"],
    &["tar", "cf", "-", "/app/logs"],
    &["php", "artisan", "migrate", "--force"],
    &["env"],
    &["cat", "/etc/resolv.conf"],
];

impl Cluster {
    pub fn new() -> Self {
        let nodes = (1..=3).map(node).collect::<Vec<_>>();
        let controllers = [
            "deployment-controller",
            "replicaset-controller",
            "endpointslice-controller",
            "generic-garbage-collector",
            "resourcequota-controller",
        ]
        .map(|name| {
            let agent =
                format!("kube-controller-manager/{BUILD}/system:serviceaccount:kube-system:{name}");
            Arc::new(service_account("kube-system", name, "10.0.0.10", &agent))
        })
        .to_vec();
        let admin = Arc::new(Client {
            user: "maria@example.com".into(),
            groups: groups(&["platform-admins", "system:authenticated"]),
            ips: vec!["10.0.40.7".into()],
            agent: Some("kubectl/v1.34.1 (darwin/arm64) kubernetes/93248f9".into()),
            ..Client::default()
        });
        let pipeline = Arc::new(service_account("ci", "deployer", "10.0.40.12", "Helm/3.19.0"));
        let mut secret_readers: Vec<_> = nodes
            .iter()
            .map(|node| SecretReader {
                client: Arc::clone(&node.kubelet),
                verb: "list",
                namespace: "shop",
                name: "",
                query: "?fieldSelector=metadata.name%3Dweb-tls&limit=500&resourceVersion=0",
            })
            .collect();
        let reader = |client: Client, verb, namespace, name, query| SecretReader {
            client: Arc::new(client),
            verb,
            namespace,
            name,
            query,
        };
        secret_readers.extend([
            reader(
                service_account(
                    "cert-manager",
                    "cert-manager",
                    "10.244.1.18",
                    "cert-manager-controller/v1.19.1 (linux/amd64) cert-manager/9f2e1a7",
                ),
                "get",
                "shop",
                "web-tls",
                "",
            ),
            reader(
                service_account(
                    "ingress-nginx",
                    "ingress-nginx",
                    "10.244.2.9",
                    "nginx-ingress-controller/v1.13.3 (linux/amd64) ingress-nginx/93851f0",
                ),
                "list",
                "",
                "",
                "?limit=500&resourceVersion=0",
            ),
            reader(
                service_account(
                    "external-secrets",
                    "external-secrets",
                    "10.244.1.23",
                    "external-secrets/v0.20.4 (linux/amd64) external-secrets/5c1d0be",
                ),
                "get",
                "payments",
                "payments-db",
                "",
            ),
            SecretReader {
                client: Arc::clone(&pipeline),
                verb: "list",
                namespace: "shop",
                name: "",
                query: "?labelSelector=name%3Dshop%2Cowner%3Dhelm",
            },
            SecretReader {
                client: Arc::clone(&admin),
                verb: "get",
                namespace: "shop",
                name: "web-tls",
                query: "",
            },
        ]);
        let mut controller_manager = user("system:kube-controller-manager", "10.0.0.10");
        controller_manager.agent = Some(format!("kube-controller-manager/{BUILD}/leader-election"));
        let mut scheduler = user("system:kube-scheduler", "10.0.0.10");
        scheduler.agent = Some(format!("kube-scheduler/{BUILD}/leader-election"));
        let mut apiserver = user("system:apiserver", "::1");
        apiserver.uid = "6f1c9f0e-4b0a-4c55-9a39-0b8a5e7d2c11".into();
        apiserver.groups.push("system:masters".into());
        apiserver.agent = Some(format!("kube-apiserver/{BUILD}"));
        Self {
            nodes,
            controllers,
            controller_manager: Arc::new(controller_manager),
            scheduler: Arc::new(scheduler),
            apiserver: Arc::new(apiserver),
            prober: Arc::new(Client {
                user: "system:anonymous".into(),
                groups: groups(&["system:unauthenticated"]),
                ips: vec!["10.0.0.10".into()],
                agent: Some("kube-probe/1.34".into()),
                ..Client::default()
            }),
            prometheus: Arc::new(service_account(
                "monitoring",
                "prometheus",
                "10.244.3.31",
                "Prometheus/3.7.3",
            )),
            coredns: Arc::new(service_account(
                "kube-system",
                "coredns",
                "10.244.1.2",
                "coredns/v0.0.0 (linux/amd64) kubernetes/$Format",
            )),
            argocd: Arc::new(service_account(
                "argocd",
                "argocd-application-controller",
                "10.244.2.40",
                "argocd-application-controller/v0.0.0 (linux/amd64) kubernetes/$Format",
            )),
            developer: Arc::new(Client {
                user: "tomas@example.com".into(),
                groups: groups(&["developers", "system:authenticated"]),
                ips: vec!["10.0.40.31".into()],
                agent: Some("kubectl/v1.34.1 (linux/amd64) kubernetes/93248f9".into()),
                ..Client::default()
            }),
            admin,
            pipeline,
            secret_readers,
        }
    }

    /// How many usual clients of the secrets there are.
    pub fn secret_readers(&self) -> usize {
        self.secret_readers.len()
    }

    /// The read that usual client `index` repeats.
    pub fn secret_read(&self, random: &mut Random, index: usize) -> Request {
        let reader = &self.secret_readers[index % self.secret_readers.len()];
        let object =
            Object { name: reader.name.into(), ..core_object("secrets", reader.namespace) };
        let mut request = request(random, &reader.client, reader.verb, object, reader.query);
        request.concern = Concern::UsualClient;
        request
    }

    /// Whatever comes next in the life of the cluster.
    pub fn routine(&self, random: &mut Random) -> Request {
        match random.below(100) {
            0..16 => self.node_lease(random),
            16..20 => self.node_status(random),
            20..27 => self.pod_status(random),
            27..36 => self.leader_election(random),
            36..48 => self.watch(random),
            48..56 => self.list(random),
            56..61 => self.apiserver_itself(random),
            61..67 => self.probe(random),
            67..72 => self.scrape(random),
            72..77 => self.recorded_event(random),
            77..82 => self.review(random),
            82..84 => self.pod_token(random),
            84..87 => self.config_map(random),
            87..91 => self.deploy(random),
            91..94 => self.person(random),
            94..97 => self.not_found(random),
            97 => self.unstamped_client(random),
            98 => self.harmless_exec(random),
            _ => {
                let index = random.below(self.secret_readers.len() as u64);
                self.secret_read(random, usize::try_from(index).unwrap_or(0))
            }
        }
    }

    fn node_lease(&self, random: &mut Random) -> Request {
        let node = random.pick(&self.nodes);
        let object = lease("kube-node-lease", &node.name);
        request(random, &node.kubelet, "update", object, "?timeout=10s")
    }

    fn leader_election(&self, random: &mut Random) -> Request {
        let (client, name) = *random.pick(&[
            (&self.controller_manager, "kube-controller-manager"),
            (&self.scheduler, "kube-scheduler"),
        ]);
        let verb = *random.pick(&["get", "update"]);
        request(random, client, verb, lease("kube-system", name), "?timeout=5s")
    }

    fn node_status(&self, random: &mut Random) -> Request {
        let node = random.pick(&self.nodes);
        let object =
            Object { name: node.name.clone(), subresource: "status", ..core_object("nodes", "") };
        let mut request = request(random, &node.kubelet, "patch", object, "?timeout=10s");
        let images = (0..random.within(8..40))
            .map(|_| {
                let digest: String = (0..4).map(|_| format!("{:016x}", random.draw())).collect();
                format!(
                    r#"{{"names":["registry.example.com/shop/app@sha256:{digest}"],"sizeBytes":{}}}"#,
                    random.within(5_000_000..400_000_000)
                )
            })
            .collect::<Vec<_>>()
            .join(",");
        request.request_body = Some(
            r#"{"status":{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady","message":"kubelet is posting ready status"}]}}"#
                .into(),
        );
        request.response_body = Some(format!(
            r#"{{"kind":"Node","apiVersion":"v1","metadata":{{"name":"{}"}},"status":{{"images":[{images}]}}}}"#,
            node.name
        ));
        request
    }

    fn pod_status(&self, random: &mut Random) -> Request {
        let node = random.pick(&self.nodes);
        let (namespace, pod, _) = *random.pick(&PODS);
        let object =
            Object { name: pod.into(), subresource: "status", ..core_object("pods", namespace) };
        request(random, &node.kubelet, "patch", object, "")
    }

    fn watch(&self, random: &mut Random) -> Request {
        // Secrets are watched too; a watch is neither a get nor a list.
        let resource = match random.below(10) {
            0 => "secrets",
            1..5 => "pods",
            5..8 => "endpointslices",
            _ => "configmaps",
        };
        let client = random.pick(&self.controllers);
        let seconds = random.within(300..600);
        let query = format!(
            "?allowWatchBookmarks=true&resourceVersion={}&timeout={}m{}s&timeoutSeconds={seconds}&watch=true",
            random.within(800_000..900_000),
            seconds / 60,
            seconds % 60,
        );
        let mut object = core_object(resource, "");
        if resource == "endpointslices" {
            object.api_group = "discovery.k8s.io";
        }
        let mut request = request(random, client, "watch", object, &query);
        request.stages = Stages::Open;
        request
    }

    fn list(&self, random: &mut Random) -> Request {
        let client = random.pick(&self.controllers);
        let resource = *random.pick(&["deployments", "replicasets", "statefulsets"]);
        let object = Object { resource, api_group: "apps", api_version: "v1", ..Object::default() };
        request(random, client, "list", object, "?limit=500&resourceVersion=0")
    }

    fn apiserver_itself(&self, random: &mut Random) -> Request {
        let object = Object { name: "kubernetes".into(), ..core_object("endpoints", "default") };
        request(random, &self.apiserver, "get", object, "")
    }

    fn probe(&self, random: &mut Random) -> Request {
        let path = *random.pick(&["/livez", "/readyz", "/readyz?verbose"]);
        path_request(random, &self.prober, path)
    }

    fn scrape(&self, random: &mut Random) -> Request {
        if random.below(2) == 0 {
            return path_request(random, &self.prometheus, "/metrics");
        }
        let node = random.pick(&self.nodes);
        let object =
            Object { name: node.name.clone(), subresource: "proxy", ..core_object("nodes", "") };
        let mut request = request(random, &self.prometheus, "get", object, "");
        request.uri.push_str("/metrics/cadvisor");
        request.stages = Stages::LongRunning;
        request
    }

    fn recorded_event(&self, random: &mut Random) -> Request {
        let node = random.pick(&self.nodes);
        let (namespace, pod, _) = *random.pick(&PODS);
        let mut object = core_object("events", namespace);
        object.name = format!("{pod}.{:016x}", random.draw());
        let mut request = request(random, &node.kubelet, "create", object, "");
        request.uri = format!("/api/v1/namespaces/{namespace}/events");
        request.code = 201;
        request
    }

    fn review(&self, random: &mut Random) -> Request {
        let node = random.pick(&self.nodes);
        let (resource, api_group) = *random.pick(&[
            ("tokenreviews", "authentication.k8s.io"),
            ("subjectaccessreviews", "authorization.k8s.io"),
        ]);
        let object = Object { resource, api_group, api_version: "v1", ..Object::default() };
        let mut request = request(random, &node.kubelet, "create", object, "");
        request.code = 201;
        request
    }

    fn pod_token(&self, random: &mut Random) -> Request {
        let node = random.pick(&self.nodes);
        let (namespace, _, _) = *random.pick(&PODS);
        let object = Object {
            name: "default".into(),
            subresource: "token",
            ..core_object("serviceaccounts", namespace)
        };
        let mut request = request(random, &node.kubelet, "create", object, "");
        request.code = 201;
        request
    }

    fn config_map(&self, random: &mut Random) -> Request {
        let object = Object { name: "coredns".into(), ..core_object("configmaps", "kube-system") };
        request(random, &self.coredns, "get", object, "")
    }

    /// The pipeline looks at a deployment and then changes it, and records that in a secret.
    fn deploy(&self, random: &mut Random) -> Request {
        let (verb, resource, api_group, code) = *random.pick(&[
            ("get", "deployments", "apps", 200),
            ("patch", "deployments", "apps", 200),
            ("create", "secrets", "", 201),
        ]);
        let name = match verb {
            "create" => format!("sh.helm.release.v1.shop.v{}", random.within(40..90)),
            _ => (*random.pick(&["web", "cart"])).to_owned(),
        };
        let object = Object {
            resource,
            api_group,
            api_version: "v1",
            namespace: "shop".into(),
            name,
            ..Object::default()
        };
        let query = if verb == "get" { "" } else { "?fieldManager=helm" };
        let mut request = request(random, &self.pipeline, verb, object, query);
        request.code = code;
        if verb == "create" {
            request.uri = "/api/v1/namespaces/shop/secrets?fieldManager=helm".into();
        }
        if verb == "patch" {
            let tag = random.within(100..999);
            let image = format!(
                r#"{{"spec":{{"template":{{"spec":{{"containers":[{{"name":"app","image":"registry.example.com/shop/app:1.{tag}"}}]}}}}}}}}"#
            );
            request.response_body = Some(image.clone());
            request.request_body = Some(image);
        }
        request
    }

    fn person(&self, random: &mut Random) -> Request {
        let (namespace, _, _) = *random.pick(&PODS);
        let mut request =
            request(random, &self.admin, "list", core_object("pods", namespace), "?limit=500");
        if random.below(4) == 0 {
            request.impersonated =
                Some(("support@example.com".into(), groups(&["support", "system:authenticated"])));
        }
        request
    }

    /// Programs that nobody stamped with a version read secrets as well.
    fn unstamped_client(&self, random: &mut Random) -> Request {
        let query = "?limit=500&resourceVersion=0";
        request(random, &self.argocd, "list", core_object("secrets", "argocd"), query)
    }

    fn not_found(&self, random: &mut Random) -> Request {
        let object = Object { name: random.suffix(10), ..core_object("configmaps", "kube-system") };
        let client = random.pick(&self.controllers);
        let mut request = request(random, client, "get", object, "");
        request.code = 404;
        request
    }

    fn harmless_exec(&self, random: &mut Random) -> Request {
        let (namespace, pod, container) = *random.pick(&PODS);
        let command = *random.pick(&HARMLESS_COMMANDS);
        let client = *random.pick(&[&self.developer, &self.admin, &self.pipeline]);
        let query = kubectl_query(command, container);
        exec(random, client, "get", namespace, pod, &query)
    }
}

fn node(number: u32) -> Node {
    let name = format!("worker-{number}");
    let mut kubelet = user(&format!("system:node:{name}"), &format!("10.0.1.{}", 10 + number));
    kubelet.groups.insert(0, "system:nodes".into());
    kubelet.agent = Some(format!("kubelet/{BUILD}"));
    kubelet.extra.push(certificate(number.into()));
    Node { name, kubelet: Arc::new(kubelet) }
}

fn user(name: &str, ip: &str) -> Client {
    Client {
        user: name.into(),
        groups: groups(&["system:authenticated"]),
        ips: vec![ip.into()],
        ..Client::default()
    }
}
