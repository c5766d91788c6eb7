//! Objects as requests carry them at the level `RequestResponse`: pods with their managed fields,
//! and what else makes audit events long.

use std::fmt::Write;

use kubetell::demo::random::Random;

/// How long a body is to be, in bytes, or that there is none. Drawn so that the events have the
/// sizes of real logs: of the requests that can have one, few have a long one.
pub fn draw_size(random: &mut Random) -> Option<u64> {
    match random.below(1_000) {
        0..550 => None,
        550..740 => Some(random.within(500..2_500)),
        740..890 => Some(random.within(2_500..7_000)),
        890..970 => Some(random.within(7_000..16_000)),
        970..995 => Some(random.within(16_000..36_000)),
        _ => Some(random.within(36_000..62_000)),
    }
}

/// A pod of about `size` bytes.
pub fn pod(random: &mut Random, namespace: &str, name: &str, size: u64) -> String {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut json = String::with_capacity(size + 2_048);
    let (uid, version) = (random.uuid(), random.within(80_000_000..90_000_000));
    write!(
        json,
        r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{name}","namespace":"{namespace}","uid":"{uid}","resourceVersion":"{version}","creationTimestamp":"2026-02-03T04:05:01Z","labels":{{"app.kubernetes.io/name":"{name}","pod-template-hash":"{}"}},"managedFields":["#,
        random.suffix(10)
    )
    .unwrap();
    let mut first = true;
    while first || json.len() < size / 2 {
        separate(&mut json, &mut first);
        managed_fields(random, &mut json);
    }
    json.push_str(r#"]},"spec":{"containers":["#);
    let mut first = true;
    while first || json.len() + 400 < size {
        separate(&mut json, &mut first);
        container(random, &mut json);
    }
    json.push_str(r#"],"restartPolicy":"Always","serviceAccountName":"default"},"status":{"phase":"Running","qosClass":"Burstable"}}"#);
    json
}

fn separate(json: &mut String, first: &mut bool) {
    if !*first {
        json.push(',');
    }
    *first = false;
}

fn managed_fields(random: &mut Random, json: &mut String) {
    let manager =
        *random.pick(&["kubelet", "kube-controller-manager", "argocd-controller", "helm"]);
    let (address, second) = (random.below(250), random.below(60));
    write!(
        json,
        r#"{{"manager":"{manager}","operation":"Update","apiVersion":"v1","time":"2026-02-03T04:05:{second:02}Z","fieldsType":"FieldsV1","fieldsV1":{{"f:status":{{"f:conditions":{{"k:{{\"type\":\"Ready\"}}":{{".":{{}},"f:lastTransitionTime":{{}},"f:status":{{}}}},"k:{{\"type\":\"ContainersReady\"}}":{{".":{{}},"f:lastProbeTime":{{}}}}}},"f:podIPs":{{"k:{{\"ip\":\"10.244.3.{address}\"}}":{{".":{{}},"f:ip":{{}}}}}},"f:phase":{{}},"f:startTime":{{}}}}}},"subresource":"status"}}"#
    )
    .unwrap();
}

fn container(random: &mut Random, json: &mut String) {
    let (name, tag) = (random.suffix(5), random.within(100..999));
    let digest = format!("{:016x}{:016x}", random.draw(), random.draw());
    // A probe by a command has the word that execs are known by: such an event is looked at.
    let probe = match random.below(50) {
        0 => r#"{"exec":{"command":["pg_isready","-U","postgres"]},"periodSeconds":10}"#,
        _ => {
            r#"{"httpGet":{"path":"/healthz?full=1\u0026quiet=1","port":8080,"scheme":"HTTP"},"periodSeconds":10}"#
        }
    };
    write!(
        json,
        r#"{{"name":"app-{name}","image":"registry.example.com/shop/app:1.{tag}@sha256:{digest}","args":["--listen=0.0.0.0:8080","--log-level=info"],"env":[{{"name":"GOMAXPROCS","valueFrom":{{"resourceFieldRef":{{"resource":"limits.cpu","divisor":"0"}}}}}},{{"name":"BUILD","value":"{}"}}],"resources":{{"limits":{{"cpu":"1","memory":"{}Mi"}}}},"readinessProbe":{probe},"terminationMessagePath":"/dev/termination-log","imagePullPolicy":"IfNotPresent"}}"#,
        random.uuid(),
        random.within(64..4_096)
    )
    .unwrap();
}

/// What a mutating webhook notes of its change.
pub fn patch_annotation(random: &mut Random) -> (String, String) {
    let mut patch = String::from(
        r#"{"configuration":"sidecar-injector","webhook":"injector.mesh.example.com","patch":["#,
    );
    let mut first = true;
    for number in 0..random.within(2..12) {
        separate(&mut patch, &mut first);
        write!(
            patch,
            r#"{{"op":"add","path":"/spec/containers/0/env/{number}","value":{{"name":"MESH_{}","value":"{}"}}}}"#,
            random.suffix(6).to_uppercase(),
            random.uuid()
        )
        .unwrap();
    }
    patch.push_str(r#"],"patchType":"JSONPatch"}"#);
    ("patch.webhook.admission.k8s.io/round_0_index_1".to_owned(), patch)
}
