//! Findings and observations for tests, one for each kind of alert.

use std::sync::Arc;

use crate::alert::{FirstSeen, Origin};
use crate::audit::event::Event;
use crate::detect::finding::{Confidence, ExecCommand, ExecVia, Finding, Match, View};
use crate::limits::DAY_MS;
use crate::position::Position;
use crate::rules::format::{AttackName, RuleInfo, Severity, Technique, Threat};
use crate::terms::observation::Observation;

fn attack(id: &str, name: &str) -> AttackName {
    AttackName { id: id.to_owned(), name: name.to_owned() }
}

fn credential_access() -> Threat {
    Threat {
        tactic: attack("TA0006", "Credential Access"),
        techniques: vec![Technique {
            id: "T1552".to_owned(),
            name: "Unsecured Credentials".to_owned(),
            subtechniques: vec![
                attack("T1552.001", "Credentials In Files"),
                attack("T1552.007", "Container API"),
            ],
        }],
    }
}

pub fn exec_rule() -> Arc<RuleInfo> {
    Arc::new(RuleInfo {
        id: "pod-exec-sensitive-path".to_owned(),
        uuid: "b2c3d4e5-f6a7-4890-b1c2-d3e4f5a60789".to_owned(),
        name: "Exec into a pod touches credentials".to_owned(),
        description: "A command run in a pod names a credential.".to_owned(),
        version: "1.0.0".to_owned(),
        license: "Apache-2.0".to_owned(),
        severity: Severity::High,
        risk_score: 73,
        references: vec![
            "https://kubernetes.io/docs/tasks/debug/debug-application/get-shell-running-container/"
                .to_owned(),
            "https://attack.mitre.org/techniques/T1609/".to_owned(),
        ],
        threat: vec![
            credential_access(),
            Threat {
                tactic: attack("TA0002", "Execution"),
                techniques: vec![Technique {
                    id: "T1609".to_owned(),
                    name: "Container Administration Command".to_owned(),
                    subtechniques: Vec::new(),
                }],
            },
        ],
        ruleset: "5f0e2a91c47b83d6".to_owned(),
    })
}

pub fn secret_rule() -> Arc<RuleInfo> {
    Arc::new(RuleInfo {
        id: "secret-access-unusual-client".to_owned(),
        uuid: "cbda9a0e-2be4-4eaa-9571-8d6a503e9828".to_owned(),
        name: "Secret read by an unusual client".to_owned(),
        description: "A user reads secrets from an address and with a client not seen before."
            .to_owned(),
        version: "1.0.0".to_owned(),
        license: "Apache-2.0".to_owned(),
        severity: Severity::Low,
        risk_score: 21,
        references: vec!["https://kubernetes.io/docs/concepts/configuration/secret/".to_owned()],
        threat: vec![credential_access()],
        ruleset: "5f0e2a91c47b83d6".to_owned(),
    })
}

pub fn event(json: &str) -> Event<'static> {
    serde_json::from_str::<Event<'_>>(json).expect("the fixture is an event").into_owned()
}

pub fn origin() -> Origin {
    Origin {
        instance: "kubetell-0".to_owned(),
        created_ms: 1_772_630_400_042,
        latency_ms: Some(42),
    }
}

fn finding(event: Event<'static>, exec: ExecCommand) -> Finding {
    let rule = exec_rule();
    Finding {
        cluster: "prod-eu-1".to_owned(),
        event_id: event.audit_id.as_deref().unwrap_or("0").to_owned(),
        event_time_ms: event.time().map(|time| time.as_millisecond()),
        position: Position::Kafka {
            topic: "kubernetes-audit".to_owned(),
            partition: 3,
            offset: 81_234,
            item: 0,
        },
        severity: rule.severity,
        risk_score: rule.risk_score,
        rule,
        event,
        exec,
        matches: Vec::new(),
        access_types: Vec::new(),
        suppression: None,
        confidence: None,
    }
}

fn exec_of(argv: &[&str]) -> ExecCommand {
    ExecCommand {
        via: ExecVia::PodsExec,
        argv: argv.iter().map(|arg| (*arg).to_owned()).collect(),
        text: argv.join(" "),
        container: Some("app".to_owned()),
        namespace: Some("shop".to_owned()),
        pod: Some("checkout-7c9f".to_owned()),
        stdin: false,
        tty: false,
    }
}

/// The span of `part` in the command as written.
fn matched(exec: &ExecCommand, pattern: &str, part: &str) -> Match {
    let start = exec.text.find(part).expect("the part stands in the command");
    Match::as_written(pattern, start..start + part.len())
}

/// An interactive shell, by someone who acts as someone else, with matches in both views.
pub fn shell_exec() -> Finding {
    let exec = ExecCommand {
        stdin: true,
        tty: true,
        ..exec_of(&["sh", "-c", "cat /etc/shadow; cat /etc/pass''wd"])
    };
    let matches = vec![
        matched(&exec, "/etc/shadow", "/etc/shadow"),
        Match {
            view: View::NormalForm,
            reads: Some("/etc/passwd".to_owned()),
            steps: vec!["quotes removed".to_owned()],
            ..matched(&exec, "/etc/passwd", "cat /etc/pass''wd")
        },
    ];
    let event = event(
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata",
        "auditID":"0d9f6c1e-70a8-4b57-8a44-5f0f3c8f1a01","stage":"ResponseStarted",
        "requestURI":"/api/v1/namespaces/shop/pods/checkout-7c9f/exec?command=sh&command=-c&command=cat+%2Fetc%2Fshadow%3B+cat+%2Fetc%2Fpass%27%27wd&container=app&stdin=true&stdout=true&tty=true",
        "verb":"get",
        "user":{"username":"jane@example.com","uid":"4711","groups":["developers","system:authenticated"],
                "extra":{"authentication.kubernetes.io/credential-id":["X509SHA256=00"]}},
        "impersonatedUser":{"username":"system:admin","groups":["system:masters"]},
        "sourceIPs":["198.51.100.17","10.0.0.4"],
        "userAgent":"kubectl/v1.34.1 (linux/amd64) kubernetes/93248f9",
        "objectRef":{"resource":"pods","namespace":"shop","name":"checkout-7c9f","apiVersion":"v1","subresource":"exec"},
        "responseStatus":{"metadata":{},"code":101},
        "requestReceivedTimestamp":"2026-03-04T13:20:00.000123Z",
        "stageTimestamp":"2026-03-04T13:20:00.010000Z",
        "annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}}"#,
    );
    Finding {
        matches,
        access_types: vec!["HOST_CREDENTIALS".to_owned(), "USER_ENUMERATION".to_owned()],
        suppression: None,
        confidence: Some(Confidence::Certain),
        ..finding(event, exec)
    }
}

/// A run through a kubelet whose command the audit log does not show.
pub fn nodes_proxy_run() -> Finding {
    let exec = ExecCommand { via: ExecVia::NodesProxyRun, ..exec_of(&[]) };
    let event = event(
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata",
        "auditID":"0d9f6c1e-70a8-4b57-8a44-5f0f3c8f1a02","stage":"ResponseComplete",
        "requestURI":"/api/v1/nodes/https:worker-1:10250/proxy/run/shop/checkout-7c9f/app",
        "verb":"create","user":{"username":"system:serviceaccount:ci:runner","uid":"77"},
        "sourceIPs":["10.4.0.9"],
        "objectRef":{"resource":"nodes","name":"https:worker-1:10250","apiVersion":"v1","subresource":"proxy"},
        "responseStatus":{"code":200},
        "requestReceivedTimestamp":"2026-03-04T13:21:00.000000Z",
        "stageTimestamp":"2026-03-04T13:21:00.100000Z",
        "annotations":{"authorization.k8s.io/decision":"allow"}}"#,
    );
    Finding {
        access_types: vec!["NODE_PROXY_RUN_UNSEEN_COMMAND".to_owned()],
        suppression: None,
        severity: Severity::Low,
        risk_score: 21,
        ..finding(event, exec)
    }
}

/// An exec that the authorizer refused.
pub fn denied_exec() -> Finding {
    let exec = exec_of(&["cat", "/var/run/secrets/kubernetes.io/serviceaccount/token"]);
    let part = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    let matches =
        vec![matched(&exec, "/var/run/secrets/kubernetes\\.io/serviceaccount/token", part)];
    let event = event(
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata",
        "auditID":"0d9f6c1e-70a8-4b57-8a44-5f0f3c8f1a03","stage":"ResponseComplete",
        "requestURI":"/api/v1/namespaces/shop/pods/checkout-7c9f/exec?command=cat&command=%2Fvar%2Frun%2Fsecrets%2Fkubernetes.io%2Fserviceaccount%2Ftoken&container=app&stdout=true",
        "verb":"create","user":{"username":"mallory","groups":["system:authenticated"]},
        "sourceIPs":["203.0.113.66"],"userAgent":"kubectl/v1.28.0 (darwin/arm64) kubernetes/abcdef0",
        "objectRef":{"resource":"pods","namespace":"shop","name":"checkout-7c9f","apiVersion":"v1","subresource":"exec"},
        "responseStatus":{"status":"Failure","reason":"Forbidden","message":"pods \"checkout-7c9f\" is forbidden","code":403},
        "requestReceivedTimestamp":"2026-03-04T13:22:00.000000Z",
        "stageTimestamp":"2026-03-04T13:22:00.001000Z",
        "annotations":{"authorization.k8s.io/decision":"forbid","authorization.k8s.io/reason":"no RBAC policy matched"}}"#,
    );
    Finding {
        matches,
        access_types: vec!["K8S_SA_TOKEN".to_owned()],
        suppression: None,
        confidence: Some(Confidence::Certain),
        ..finding(event, exec)
    }
}

/// An exec as a GKE log entry tells it: no response code, no stage, the command in a label.
pub fn gke_exec() -> Finding {
    let exec = ExecCommand {
        via: ExecVia::GkeLabel,
        container: None,
        ..exec_of(&["cat", "/root/.kube/config"])
    };
    let matches = vec![matched(
        &exec,
        r"(/root|/home/[^/]+)/\.(ssh|aws|azure|kube|config/gcloud)",
        "/root/.kube",
    )];
    let event = event(
        r#"{"auditID":"b10a904a-faa4-4e0d-9ec3-7bc6a180196a","verb":"create",
        "user":{"username":"jane@example.com"},"sourceIPs":["203.0.113.7"],
        "userAgent":"kubectl/v1.34.1",
        "objectRef":{"resource":"pods","namespace":"shop","name":"checkout-7c9f","apiVersion":"v1","subresource":"exec"},
        "annotations":{"authorization.k8s.io/decision":"allow","command.gke.io/command":"cat /root/.kube/config"}}"#,
    );
    Finding {
        matches,
        access_types: vec!["USER_CREDENTIALS".to_owned()],
        suppression: None,
        confidence: Some(Confidence::Certain),
        event_time_ms: Some(1_772_630_399_000),
        position: Position::File { path: "gke.json".to_owned(), line: 7, item: 2 },
        ..finding(event, exec)
    }
}

/// A secret read from an unusual client; `stage` is the event's.
pub fn secret_read(stage: &str) -> Observation {
    let mut event = event(
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata",
        "auditID":"0d9f6c1e-70a8-4b57-8a44-5f0f3c8f1a05",
        "requestURI":"/api/v1/namespaces/shop/secrets/db-password","verb":"get",
        "user":{"username":"system:serviceaccount:shop:checkout","uid":"88","groups":["system:serviceaccounts"]},
        "sourceIPs":["203.0.113.9","10.0.0.4"],"userAgent":"curl/8.4.0",
        "objectRef":{"resource":"secrets","namespace":"shop","name":"db-password","apiVersion":"v1"},
        "requestReceivedTimestamp":"2026-03-04T13:23:00.500000Z",
        "stageTimestamp":"2026-03-04T13:23:00.500000Z"}"#,
    );
    event.stage = Some(stage.to_owned().into());
    if stage == "ResponseComplete" {
        event.response_status = serde_json::from_str(r#"{"code":200}"#).expect("a status");
    }
    Observation {
        rule: secret_rule(),
        terms_version: "1".to_owned(),
        cluster: "prod-eu-1".to_owned(),
        fields: ["source.ip", "user.name", "user_agent.original"].map(str::to_owned).into(),
        access_types: Vec::new(),
        terms: ["203.0.113.9", "system:serviceaccount:shop:checkout", "curl/8.4.0"]
            .map(str::to_owned)
            .into(),
        shard_key: "system:serviceaccount:shop:checkout".to_owned(),
        window_ms: 7 * DAY_MS,
        learning_ms: 0,
        event_id: "0d9f6c1e-70a8-4b57-8a44-5f0f3c8f1a05".to_owned(),
        event_time_ms: event.time().map(|time| time.as_millisecond()),
        position: Position::Kafka {
            topic: "kubernetes-audit".to_owned(),
            partition: 0,
            offset: 12,
            item: 5,
        },
        event,
        history: false,
        reduced: false,
    }
}

pub fn first_seen(is_revision: bool) -> FirstSeen {
    FirstSeen { first_event_id: "0d9f6c1e-70a8-4b57-8a44-5f0f3c8f1a05".to_owned(), is_revision }
}
