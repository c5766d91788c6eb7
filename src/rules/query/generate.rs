//! Random queries and events from a seed, made so that they meet. Only for tests.

use serde_json::{Map, Value as Json, json};

/// A small generator of numbers, the same on every machine.
pub(super) struct Random {
    state: u64,
    /// A name that comes up often, so that queries have something in common.
    focus: &'static str,
}

impl Random {
    pub fn new(seed: u64) -> Random {
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Random { state, focus: NAMES[seed as usize % NAMES.len()] }
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'p, T: ?Sized>(&mut self, from: &[&'p T]) -> &'p T {
        from[self.below(from.len())]
    }
}

const VERBS: [&str; 6] = ["get", "list", "create", "watch", "delete", ""];
const RESOURCES: [&str; 6] = ["pods", "secrets", "configmaps", "nodes", "podsx", ""];
const USERS: [&str; 8] = [
    "alice",
    "system:serviceaccount:kube-system:default",
    "system:serviceaccount:prod:app",
    "system:anonymous",
    "a*b",
    "multi\nline user",
    "say \"hi\" & <bye> é/ü",
    "",
];
const ADDRESSES: [&str; 9] = [
    "10.1.2.3",
    "::ffff:10.1.2.3",
    "10.9.9.9",
    "127.0.0.1",
    "2001:db8::1",
    "192.168.0.1",
    "nowhere",
    "",
    "::1",
];
const NETWORKS: [&str; 6] =
    ["10.0.0.0/8", "10.1.2.3/32", "2001:db8::/32", "0.0.0.0/0", "::ffff:10.0.0.0/104", "::/0"];
const TIMES: [&str; 7] = [
    "2026-11-23T07:16:11.206180Z",
    "2026-11-23T07:16:11Z",
    "2026-11-22T23:59:59.999999Z",
    "2026-12-01T00:00:00.000000Z",
    "",
    "yesterday",
    "1795418171206",
];
const ASKED_TIMES: [&str; 6] =
    ["2026-11-23", "2026-11", "2026", "2026-11-23T07:16:11Z", "2026-11-23T07:16:11.206Z", "2025"];
const NUMBERS: [&str; 7] = ["200", "403", "404", "0", "5", "-1", "404.5"];
const WORDS: [&str; 14] = [
    "nginx",
    "web",
    "prod",
    "true",
    "false",
    "x-1",
    "allow",
    "forbid",
    "success",
    "failure",
    "3",
    "a/b",
    "and",
    "kubernetes",
];

const NAMES: [&str; 44] = [
    "kubernetes.audit.verb",
    "kubernetes.audit.objectRef.resource",
    "kubernetes.audit.objectRef.namespace",
    "kubernetes.audit.objectRef.name",
    "kubernetes.audit.user.username",
    "kubernetes.audit.user.groups",
    "kubernetes.audit.user.extra.authentication.kubernetes.io/pod-name",
    "kubernetes.audit.impersonatedUser.username",
    "kubernetes.audit.sourceIPs",
    "kubernetes.audit.userAgent",
    "kubernetes.audit.responseStatus.code",
    "kubernetes.audit.requestReceivedTimestamp",
    "kubernetes.audit.annotations.authorization_k8s_io/decision",
    "kubernetes.audit.annotations.authorization.k8s.io/decision",
    "kubernetes.audit.requestObject.spec.hostPID",
    "kubernetes.audit.requestObject.spec.replicas",
    "kubernetes.audit.requestObject.spec.containers.name",
    "kubernetes.audit.requestObject.spec.containers.image",
    "kubernetes.audit.requestObject.spec.containers.securityContext.privileged",
    "kubernetes.audit.requestObject.spec.containers.ports.containerPort",
    "kubernetes.audit.requestObject.metadata.labels.app.kubernetes.io/name",
    "kubernetes.audit.requestObject.metadata",
    "kubernetes.audit.requestObject",
    "kubernetes.audit.responseObject.kind",
    "kubernetes.audit.user",
    "@timestamp",
    "event.action",
    "event.outcome",
    "event.dataset",
    "user.name",
    "user.id",
    "source.ip",
    "client.ip",
    "orchestrator.namespace",
    "orchestrator.resource.type",
    "exec.command",
    "exec.args",
    "exec.interactive",
    "container.name",
    "kubernetes.audit.*",
    "user*",
    "*.name",
    "kubernetes.audit.annotations.*io/*",
    "kubernetes.audit.requestObject.*.name",
];

/// Names below `containers` and `rules` of a request.
const NESTED: [&str; 7] = [
    "name",
    "image",
    "securityContext.privileged",
    "ports.containerPort",
    "verbs",
    "resources",
    "*name",
];

fn text(random: &mut Random) -> &'static str {
    match random.below(9) {
        0 => random.pick(&VERBS),
        1 => random.pick(&RESOURCES),
        2 | 3 => random.pick(&USERS),
        4 => random.pick(&ADDRESSES),
        5 => random.pick(&TIMES),
        6 => random.pick(&NUMBERS),
        _ => random.pick(&WORDS),
    }
}

/// A value that the field of this name may well have.
fn text_for(random: &mut Random, name: &str) -> &'static str {
    if random.one_in(12) {
        return text(random);
    }
    match name.rsplit('.').next().unwrap_or(name) {
        "verb" | "action" => random.pick(&VERBS),
        "resource" | "type" | "resources" => random.pick(&RESOURCES),
        "username" | "name" if name.contains("user") => random.pick(&USERS),
        "ip" if random.one_in(2) => random.pick(&NETWORKS),
        "ip" | "sourceIPs" => random.pick(&ADDRESSES),
        "code" | "replicas" | "containerPort" => random.pick(&NUMBERS),
        "hostPID" | "privileged" | "interactive" => random.pick(&["true", "false"]),
        "@timestamp" | "requestReceivedTimestamp" => {
            if random.one_in(2) {
                random.pick(&ASKED_TIMES)
            } else {
                random.pick(&TIMES)
            }
        }
        _ => random.pick(&WORDS),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn unquoted(text: &str) -> String {
    let mut written = String::new();
    for c in text.chars() {
        match c {
            ':' | '*' | '"' | '<' | '>' | '(' | ')' | '{' | '}' | '\\' => {
                written.push('\\');
                written.push(c);
            }
            ' ' => written.push_str("\\u0020"),
            '\n' => written.push_str("\\n"),
            _ => written.push(c),
        }
    }
    if ["and", "or", "not"].contains(&text) { format!("\\{written}") } else { written }
}

fn value(random: &mut Random, name: &str) -> String {
    let text = text_for(random, name);
    let chars: Vec<char> = text.chars().collect();
    let part = |from: usize, to: usize| unquoted(&chars[from..to].iter().collect::<String>());
    match random.below(10) {
        0 => "*".to_owned(),
        _ if chars.is_empty() => "\"\"".to_owned(),
        1 => format!("{}*", part(0, random.below(chars.len() + 1))),
        2 => format!("*{}", part(random.below(chars.len()), chars.len())),
        3 => {
            let middle = random.below(chars.len());
            format!("*{}*", part(middle, (middle + 3).min(chars.len())))
        }
        4 => format!("{}*{}", part(0, 1), part(chars.len() - 1, chars.len())),
        5..=7 => quoted(text),
        _ => unquoted(text),
    }
}

fn word(random: &mut Random, word: &str) -> String {
    let case = match random.below(3) {
        0 => word.to_uppercase(),
        _ => word.to_owned(),
    };
    let blank = random.pick(&[" ", " ", "\n", "  "]);
    format!("{blank}{case}{blank}")
}

fn list(random: &mut Random, name: &str, depth: usize) -> String {
    match random.below(if depth == 0 { 2 } else { 5 }) {
        0 | 1 => value(random, name),
        2 => format!("not {}", list_in_brackets(random, name, depth - 1)),
        3 => {
            let (left, right) = (list(random, name, depth - 1), list(random, name, depth - 1));
            format!("{left}{}{right}", word(random, "or"))
        }
        _ => {
            let left = list_in_brackets(random, name, depth - 1);
            format!("{left}{}{}", word(random, "and"), list_in_brackets(random, name, depth - 1))
        }
    }
}

fn list_in_brackets(random: &mut Random, name: &str, depth: usize) -> String {
    format!("({})", list(random, name, depth))
}

fn condition(random: &mut Random, nested: bool) -> String {
    let name = match nested {
        true => random.pick(&NESTED),
        false if random.one_in(4) => random.focus,
        false => random.pick(&NAMES),
    };
    let colon = random.pick(&[":", ": ", " : ", ":\n"]);
    match random.below(12) {
        0 => value(random, "labels"),
        1 | 2 => format!("{name}{colon}({})", list(random, name, 2)),
        3 | 4 => {
            let sign = random.pick(&[">", ">=", "<", "<="]);
            format!("{name} {sign} {}", quoted(text_for(random, name)))
        }
        5 if !nested => {
            let path = random.pick(&[
                "kubernetes.audit.requestObject.spec.containers",
                "kubernetes.audit.requestObject.spec.containers",
                "kubernetes.audit.requestObject.rules",
                "kubernetes.audit.requestObject.spec",
            ]);
            format!("{path}{colon}{{ {} }}", query(random, 1, true))
        }
        5 => format!("ports:{{ containerPort: {} }}", random.pick(&NUMBERS)),
        _ => format!("{name}{colon}{}", value(random, name)),
    }
}

pub(super) fn query(random: &mut Random, depth: usize, nested: bool) -> String {
    if depth == 0 {
        return condition(random, nested);
    }
    let part = |random: &mut Random| {
        let inner = query(random, depth - 1, nested);
        if random.one_in(2) { format!("({inner})") } else { inner }
    };
    match random.below(5) {
        0 => format!("not ({})", part(random)),
        1 | 2 => format!("{}{}{}", part(random), word(random, "and"), part(random)),
        3 => format!("{}{}{}", part(random), word(random, "or"), part(random)),
        _ => part(random),
    }
}

/// What a field may hold instead of a text.
fn odd(random: &mut Random, usual: Json) -> Json {
    if !random.one_in(8) {
        return usual;
    }
    match random.below(9) {
        0 => Json::Null,
        1 => json!([]),
        2 => json!(""),
        3 => json!([usual, Json::Null]),
        4 => json!([[usual], ["x-1", 3]]),
        5 => json!(404),
        6 => json!(true),
        7 => json!({}),
        _ => json!("404"),
    }
}

fn put(random: &mut Random, into: &mut Map<String, Json>, key: &str, value: Json) {
    if !random.one_in(5) {
        let value = odd(random, value);
        into.insert(key.to_owned(), value);
    }
}

fn container(random: &mut Random) -> Json {
    let mut object = Map::new();
    let name = random.pick(&WORDS);
    put(random, &mut object, "name", json!(name));
    let image = random.pick(&WORDS);
    put(random, &mut object, "image", json!(image));
    let privileged = [json!(true), json!(false), json!("true")][random.below(3)].clone();
    put(random, &mut object, "securityContext", json!({ "privileged": privileged }));
    let ports: Vec<Json> =
        (0..random.below(3)).map(|_| json!({ "containerPort": random.below(6) })).collect();
    put(random, &mut object, "ports", json!(ports));
    Json::Object(object)
}

pub(super) fn event(random: &mut Random) -> Json {
    let mut event = Map::new();
    let texts = |random: &mut Random, from: &[&str]| -> Vec<String> {
        (0..random.below(3)).map(|_| random.pick(from).to_owned()).collect()
    };
    for (key, from) in [
        ("verb", &VERBS[..]),
        ("userAgent", &WORDS[..]),
        ("apiVersion", &WORDS[..]),
        ("requestReceivedTimestamp", &TIMES[..]),
        ("stageTimestamp", &TIMES[..]),
        ("unknownField", &WORDS[..]),
    ] {
        let value = random.pick(from);
        put(random, &mut event, key, json!(value));
    }
    let kinds = if random.one_in(3) { 9 } else { 6 };
    let sources = texts(random, &ADDRESSES[..kinds]);
    put(random, &mut event, "sourceIPs", json!(sources));
    for key in ["user", "impersonatedUser"] {
        let mut user = Map::new();
        let name = random.pick(&USERS);
        put(random, &mut user, "username", json!(name));
        let uid = random.pick(&WORDS);
        put(random, &mut user, "uid", json!(uid));
        let groups = texts(random, &USERS);
        put(random, &mut user, "groups", json!(groups));
        let pods = texts(random, &WORDS);
        let extra = json!({ "authentication.kubernetes.io/pod-name": pods, "other": ["web"] });
        put(random, &mut user, "extra", extra);
        put(random, &mut event, key, Json::Object(user));
    }
    let mut object = Map::new();
    for (key, from) in [("resource", &RESOURCES[..]), ("namespace", &WORDS), ("name", &WORDS)] {
        let value = random.pick(from);
        put(random, &mut object, key, json!(value));
    }
    put(random, &mut event, "objectRef", Json::Object(object));
    let code =
        [json!(200), json!(403), json!(404), json!("404"), json!(404.7)][random.below(5)].clone();
    put(random, &mut event, "responseStatus", json!({ "code": code, "metadata": {} }));
    let decision = random.pick(&["allow", "forbid", "", "other"]);
    let key =
        random.pick(&["authorization.k8s.io/decision", "authorization_k8s_io/decision", "x.y"]);
    put(random, &mut event, "annotations", json!({ key: decision, "z": "a/b" }));
    let mut spec = Map::new();
    let replicas = [json!(3), json!(3.5), json!("3"), json!(0)][random.below(4)].clone();
    put(random, &mut spec, "replicas", replicas);
    let shared = [json!(true), json!("true"), json!(false), json!("yes")][random.below(4)].clone();
    put(random, &mut spec, "hostPID", shared);
    let containers: Vec<Json> = (0..random.below(4)).map(|_| container(random)).collect();
    put(random, &mut spec, "containers", json!(containers));
    let rules = json!([
        { "verbs": texts(random, &VERBS), "resources": texts(random, &RESOURCES) },
        { "verbs": ["get"], "resources": texts(random, &RESOURCES) },
    ]);
    let label = random.pick(&WORDS);
    let mut request = Map::new();
    let metadata = json!({ "name": label, "labels": { "app.kubernetes.io/name": label } });
    put(random, &mut request, "metadata", metadata);
    put(random, &mut request, "spec", Json::Object(spec));
    put(random, &mut request, "rules", rules);
    put(random, &mut event, "requestObject", Json::Object(request));
    put(random, &mut event, "responseObject", json!({ "kind": label }));
    Json::Object(event)
}

/// The values that are not in the event, if it is an exec.
pub(super) fn derived(random: &mut Random) -> Vec<(&'static str, Json)> {
    if random.one_in(2) {
        return Vec::new();
    }
    let args = [text(random), text(random)];
    vec![
        ("exec.command", json!(args.join(" "))),
        ("exec.args", json!(args[0])),
        ("exec.args", json!(args[1])),
        ("exec.interactive", json!(random.one_in(2))),
        ("container.name", json!(random.pick(&WORDS))),
    ]
}

/// JSON as encoders write it: plainly, as Go does, with escaped slashes, or in ASCII alone.
pub(super) fn encode(random: &mut Random, value: &Json) -> String {
    let style = random.below(4);
    if style == 3 {
        return serde_json::to_string_pretty(value).unwrap();
    }
    let plain = value.to_string();
    let mut written = String::new();
    for c in plain.chars() {
        match c {
            '&' | '<' | '>' if style == 1 => written.push_str(&format!("\\u{:04x}", c as u32)),
            '/' if style == 2 => written.push_str("\\/"),
            _ if style == 2 && !c.is_ascii() => written.push_str(&format!("\\u{:04x}", c as u32)),
            _ => written.push(c),
        }
    }
    written
}
