//! How clients word their requests: the pieces of which the `cluster` and the `story` are made.

use std::sync::Arc;

use super::event::{Client, Concern, Object, Request, Stages};
use super::random::Random;

pub fn service_account(namespace: &str, name: &str, ip: &str, agent: &str) -> Client {
    Client {
        user: format!("system:serviceaccount:{namespace}:{name}"),
        uid: Random::new(
            name.bytes().fold(0, |seed, byte| seed.wrapping_mul(31) ^ u64::from(byte)),
        )
        .uuid(),
        groups: vec![
            "system:serviceaccounts".into(),
            format!("system:serviceaccounts:{namespace}"),
            "system:authenticated".into(),
        ],
        extra: Vec::new(),
        ips: vec![ip.into()],
        agent: Some(agent.into()),
    }
}

pub fn groups(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A resource of the core group.
pub fn core_object(resource: &'static str, namespace: &str) -> Object {
    Object { resource, namespace: namespace.into(), api_version: "v1", ..Object::default() }
}

pub fn lease(namespace: &str, name: &str) -> Object {
    Object {
        resource: "leases",
        namespace: namespace.into(),
        name: name.into(),
        api_group: "coordination.k8s.io",
        api_version: "v1",
        subresource: "",
    }
}

/// What a node names the certificate by that it shows.
pub fn certificate(number: u128) -> (String, String) {
    let id = format!("X509SHA256={:064x}", number * 0x9d3c_51aa_7be0_44f1);
    ("authentication.kubernetes.io/credential-id".into(), id)
}

/// A request for a path that is no resource.
pub fn path_request(random: &mut Random, client: &Arc<Client>, path: &str) -> Request {
    let mut request = request(random, client, "get", Object::default(), "");
    request.object = None;
    request.uri = path.into();
    request
}

/// A request that is granted and quickly answered; the path is that of the object.
pub fn request(
    random: &mut Random,
    client: &Arc<Client>,
    verb: &'static str,
    object: Object,
    query: &str,
) -> Request {
    let mut uri = match object.api_group {
        "" => format!("/api/{}", object.api_version),
        group => format!("/apis/{group}/{}", object.api_version),
    };
    if !object.namespace.is_empty() {
        uri.push_str(&format!("/namespaces/{}", object.namespace));
    }
    for part in [object.resource, &object.name, object.subresource] {
        if !part.is_empty() {
            uri.push('/');
            uri.push_str(part);
        }
    }
    uri.push_str(query);
    let started_us = random.within(400..4_000);
    Request {
        audit_id: random.uuid(),
        client: Arc::clone(client),
        impersonated: None,
        verb,
        uri,
        object: Some(object),
        stages: Stages::Short,
        code: 200,
        reason: reason(client),
        annotations: Vec::new(),
        started_us,
        duration_us: started_us + random.within(100..40_000),
        request_body: None,
        response_body: None,
        concern: Concern::Neither,
    }
}

/// An exec into a pod. With WebSockets its verb is `get`, with SPDY `create`.
pub fn exec(
    random: &mut Random,
    client: &Arc<Client>,
    verb: &'static str,
    namespace: &str,
    pod: &str,
    query: &str,
) -> Request {
    let object = Object { name: pod.into(), subresource: "exec", ..core_object("pods", namespace) };
    let mut request = request(random, client, verb, object, query);
    request.stages = Stages::LongRunning;
    request.code = 101;
    request.duration_us += random.within(50_000..800_000);
    request
}

/// The parameters of an exec in kubectl's order.
pub fn kubectl_query(command: &[&str], container: &str) -> String {
    let mut query = String::from("?");
    for argument in command {
        query.push_str(&format!("command={}&", encoded(argument)));
    }
    query.push_str(&format!("container={container}&stderr=true&stdout=true"));
    query
}

/// As Go's `url.QueryEscape` writes it.
pub fn encoded(text: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~')
        .remove(b' ');
    percent_encoding::utf8_percent_encode(text, KEPT).to_string().replace(' ', "+")
}

/// How the authorizer explains that it granted a request.
fn reason(client: &Client) -> String {
    let user = &client.user;
    if user.starts_with("system:node:") || client.groups.iter().any(|g| g == "system:masters") {
        return String::new();
    }
    if let Some(account) = user.strip_prefix("system:serviceaccount:")
        && let Some((namespace, name)) = account.split_once(':')
    {
        let role = match name.strip_suffix("-controller") {
            Some(_) if namespace == "kube-system" => format!("system:controller:{name}"),
            _ => name.to_owned(),
        };
        return format!(
            "RBAC: allowed by ClusterRoleBinding \"{role}\" of ClusterRole \"{role}\" to ServiceAccount \"{name}/{namespace}\""
        );
    }
    match client.groups.first() {
        Some(group) if group != "system:authenticated" => format!(
            "RBAC: allowed by ClusterRoleBinding \"{group}\" of ClusterRole \"{group}\" to Group \"{group}\""
        ),
        _ => format!(
            "RBAC: allowed by ClusterRoleBinding \"{user}\" of ClusterRole \"{user}\" to User \"{user}\""
        ),
    }
}
