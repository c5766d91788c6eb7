//! From a finding or an observation to the ECS document.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value};

use super::*;
use crate::alert::{FirstSeen, Origin, message};
use crate::audit::event::{self, Stage, Text};
use crate::detect::finding::{Finding, RequestFinding};
use crate::limits::SECOND_MS;
use crate::rules::format::{AttackName, RuleInfo, Severity};
use crate::terms::observation::Observation;

/// The document of a stateless rule's alert.
pub fn from_finding(id: &str, finding: &Finding, origin: &Origin) -> Document {
    let exec = &finding.exec;
    let mut document = common(&Common {
        id,
        rule: &finding.rule,
        severity: finding.severity,
        risk_score: finding.risk_score,
        cluster: &finding.cluster,
        event: &finding.event,
        event_time_ms: finding.event_time_ms,
        position: &finding.position,
        revision: finding.event.stage_rank() as u8,
        origin,
    });
    document.message = message::exec(finding);
    document.event.category = strings(&["intrusion_detection", "process"]);
    document.event.types = strings(match outcome_detail(&finding.event) {
        OutcomeDetail::Success => &["allowed", "start"],
        OutcomeDetail::Denied => &["denied", "info"],
        OutcomeDetail::Failed | OutcomeDetail::Unknown => &["info"],
    });
    // For a node's proxy `objectRef` names the node; what was acted on is the pod behind it.
    if let Some(namespace) = nonempty(exec.namespace.as_deref()) {
        document.orchestrator.namespace = Some(namespace);
    }
    if let Some(pod) = nonempty(exec.pod.as_deref()) {
        document.orchestrator.resource =
            Some(Resource { kind: Some("pods".to_owned()), name: Some(pod) });
    }
    document.container = nonempty(exec.container.as_deref()).map(|name| Container { name });
    if !exec.argv.is_empty() {
        document.process = Some(Process {
            command_line: nonempty(Some(&exec.text)),
            args: exec.argv.clone(),
            args_count: exec.argv.len(),
            interactive: exec.stdin && exec.tty,
        });
    }
    let ours = &mut document.kubetell;
    ours.view = finding.matches.first().map(|first| first.view);
    ours.confidence = finding.confidence;
    ours.matches = finding.matches.clone();
    ours.via = Some(exec.via);
    ours.node = message::node(finding).map(str::to_owned);
    label(&mut document, &finding.access_types);
    document
}

/// The document of a query rule's alert.
pub fn from_request(id: &str, finding: &RequestFinding, origin: &Origin) -> Document {
    let mut document = common(&Common {
        id,
        rule: &finding.rule,
        severity: finding.rule.severity,
        risk_score: finding.rule.risk_score,
        cluster: &finding.cluster,
        event: &finding.event,
        event_time_ms: finding.event_time_ms,
        position: &finding.position,
        revision: finding.event.stage_rank() as u8,
        origin,
    });
    document.message = message::request(finding);
    document.event.category = strings(&["api", "intrusion_detection"]);
    document.event.types = request_types(&finding.event);
    label(&mut document, &finding.access_types);
    document
}

fn label(document: &mut Document, labels: &[String]) {
    document.kubetell.access_type = labels.first().cloned();
    document.kubetell.access_types = labels.to_vec();
}

/// `event.type` of a request that is told of for itself.
fn request_types(event: &Event<'_>) -> Vec<String> {
    strings(match outcome_detail(event) {
        OutcomeDetail::Success => match event.verb.as_deref() {
            Some("get" | "list" | "watch") => &["access", "allowed"],
            Some("create") => &["allowed", "creation"],
            Some("update" | "patch") => &["allowed", "change"],
            Some("delete" | "deletecollection") => &["allowed", "deletion"],
            _ => &["allowed"],
        },
        OutcomeDetail::Denied => &["denied"],
        OutcomeDetail::Failed | OutcomeDetail::Unknown => &["info"],
    })
}

/// The document of a new-terms alert.
pub fn from_observation(
    id: &str,
    observation: &Observation,
    first_seen: &FirstSeen,
    origin: &Origin,
) -> Document {
    let stage = observation.event.stage_rank();
    // A revision has a higher rank than what it revises, also when its stage is not named.
    let stage = if first_seen.is_revision { stage.max(Stage::Started) } else { stage };
    let mut document = common(&Common {
        id,
        rule: &observation.rule,
        severity: observation.rule.severity,
        risk_score: observation.rule.risk_score,
        cluster: &observation.cluster,
        event: &observation.event,
        event_time_ms: observation.event_time_ms,
        position: &observation.position,
        revision: stage as u8,
        origin,
    });
    document.message = message::new_terms(observation);
    document.event.category = strings(&["api", "intrusion_detection"]);
    document.event.types = request_types(&observation.event);
    let ours = &mut document.kubetell;
    ours.reduced = observation.reduced;
    ours.new_terms = observation.terms.clone();
    ours.new_terms_fields = observation.fields.clone();
    ours.new_terms_window_seconds = Some(observation.window_ms / SECOND_MS);
    label(&mut document, &observation.access_types);
    document
}

/// What became of the request, as far as an analyst tells cases apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeDetail {
    Success,
    /// Authentication or authorization refused it.
    Denied,
    /// Anything else refused it or went wrong.
    Failed,
    Unknown,
}

/// Reads [`Event::outcome`] more finely.
pub fn outcome_detail(event: &Event<'_>) -> OutcomeDetail {
    let code = event.response_status.as_ref().and_then(|status| status.code);
    match event.outcome() {
        EventOutcome::Success => OutcomeDetail::Success,
        EventOutcome::Unknown => OutcomeDetail::Unknown,
        EventOutcome::Failure => {
            let forbidden = event.annotation("authorization.k8s.io/decision") == Some("forbid");
            if forbidden || matches!(code, Some(401 | 403)) {
                OutcomeDetail::Denied
            } else {
                OutcomeDetail::Failed
            }
        }
    }
}

struct Common<'a> {
    id: &'a str,
    rule: &'a RuleInfo,
    severity: Severity,
    risk_score: u8,
    cluster: &'a str,
    event: &'a Event<'static>,
    event_time_ms: Option<i64>,
    position: &'a Position,
    revision: u8,
    origin: &'a Origin,
}

fn common(from: &Common<'_>) -> Document {
    let event = from.event;
    let created = timestamp(from.origin.created_ms).unwrap_or_else(|| EPOCH.to_owned());
    let object = event.object_ref.as_ref();
    let resource = Resource {
        kind: object.and_then(|object| text(&object.resource)),
        name: object.and_then(|object| text(&object.name)),
    };
    let user = user(event);
    let source_ips = source_ips(event);
    Document {
        timestamp: from.event_time_ms.and_then(timestamp).unwrap_or_else(|| created.clone()),
        message: String::new(),
        ecs: Ecs { version: ECS_VERSION.to_owned() },
        event: EventFields {
            kind: "alert".to_owned(),
            category: Vec::new(),
            types: Vec::new(),
            action: text(&event.verb),
            outcome: event.outcome(),
            id: from.id.to_owned(),
            ingested: created.clone(),
            created,
            severity: severity_number(from.severity),
            risk_score: from.risk_score.min(100),
            module: "kubetell".to_owned(),
            dataset: "kubetell.alerts".to_owned(),
        },
        rule: rule(from.rule),
        threat: threat(from.rule),
        related: related(user.as_ref(), &source_ips),
        user,
        source: (!source_ips.is_empty()).then_some(Source { ip: source_ips }),
        user_agent: text(&event.user_agent).map(|original| UserAgent { original }),
        orchestrator: Orchestrator {
            kind: "kubernetes".to_owned(),
            cluster: nonempty(Some(from.cluster)).map(|name| Cluster { name }),
            namespace: object.and_then(|object| text(&object.namespace)),
            api_version: text(&event.api_version),
            resource: (resource.kind.is_some() || resource.name.is_some()).then_some(resource),
        },
        container: None,
        process: None,
        kubernetes: Kubernetes { audit: indexable(event) },
        kubetell: Kubetell {
            schema_version: SCHEMA_VERSION.to_owned(),
            revision: from.revision,
            instance: from.origin.instance.clone(),
            position: from.position.clone(),
            detection_latency_ms: from.origin.latency_ms,
            access_type: None,
            access_types: Vec::new(),
            view: None,
            confidence: None,
            matches: Vec::new(),
            via: None,
            node: None,
            new_terms: Vec::new(),
            new_terms_fields: Vec::new(),
            new_terms_window_seconds: None,
            rule_references: if from.rule.references.len() > 1 {
                from.rule.references.clone()
            } else {
                Vec::new()
            },
            reduced: false,
        },
    }
}

/// Low, medium, high and critical on the scale of 0 to 100 that SIEMs built on ECS use for the
/// severity and the default risk score of their own rules.
pub fn severity_number(severity: Severity) -> u8 {
    match severity {
        Severity::Low => 21,
        Severity::Medium => 47,
        Severity::High => 73,
        Severity::Critical => 99,
    }
}

const EPOCH: &str = "1970-01-01T00:00:00.000Z";

/// RFC 3339 in UTC with milliseconds. None before 1970 and after the year 9999: such a time (Go's
/// zero time is of the year 1) is a mistake of its producer, and sinks refuse or misplace it.
fn timestamp(ms: i64) -> Option<String> {
    let time = jiff::Timestamp::from_millisecond(ms).ok().filter(|_| ms >= 0)?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

fn nonempty(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

fn text(text: &Option<Text<'_>>) -> Option<String> {
    Event::nonempty(text).map(str::to_owned)
}

fn rule(rule: &RuleInfo) -> Rule {
    let some = |text: &str| nonempty(Some(text));
    Rule {
        id: rule.id.clone(),
        uuid: some(&rule.uuid),
        name: some(&rule.name),
        description: some(&rule.description),
        version: some(&rule.version),
        category: rule.threat.first().and_then(|threat| some(&threat.tactic.name)),
        license: some(&rule.license),
        reference: rule.references.first().and_then(|reference| some(reference)),
        ruleset: some(&rule.ruleset),
    }
}

fn threat(rule: &RuleInfo) -> Option<Threat> {
    let mut tactics = AttackNames::default();
    let mut techniques = AttackNames::default();
    let mut subtechniques = AttackNames::default();
    for threat in &rule.threat {
        push(&mut tactics, "tactics", &threat.tactic.id, &threat.tactic.name);
        for technique in &threat.techniques {
            push(&mut techniques, "techniques", &technique.id, &technique.name);
            for AttackName { id, name } in &technique.subtechniques {
                push(&mut subtechniques, "techniques", id, name);
            }
        }
    }
    if tactics.id.is_empty() {
        return None;
    }
    let subtechnique = (!subtechniques.id.is_empty()).then_some(subtechniques);
    let technique =
        (!techniques.id.is_empty()).then_some(Technique { names: techniques, subtechnique });
    Some(Threat { framework: "MITRE ATT&CK".to_owned(), tactic: tactics, technique })
}

/// A technique can stand under several tactics: each id is listed once.
fn push(names: &mut AttackNames, page: &str, id: &str, name: &str) {
    if id.is_empty() || name.is_empty() || names.id.iter().any(|known| known == id) {
        return;
    }
    names.id.push(id.to_owned());
    names.name.push(name.to_owned());
    // Rule files are written by people: an id of another form has no page there.
    if id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.') {
        // `T1552.001` has its page at `T1552/001`.
        let page_id = id.replace('.', "/");
        names.reference.push(format!("https://attack.mitre.org/{page}/{page_id}/"));
    }
}

fn user(event: &Event<'_>) -> Option<User> {
    fn fields(user: &event::User<'_>) -> User {
        User {
            name: text(&user.username),
            id: text(&user.uid),
            roles: user
                .groups
                .iter()
                .flatten()
                .filter(|group| !group.is_empty())
                .map(|group| group.as_str().to_owned())
                .collect(),
            effective: None,
        }
    }
    let mut user = event.user.as_ref().map(fields).unwrap_or_default();
    user.effective = event
        .impersonated_user
        .as_ref()
        .map(fields)
        .filter(|effective| *effective != User::default())
        .map(Box::new);
    (user != User::default()).then_some(user)
}

/// The addresses that are some, in their order; what is none would make a sink refuse the alert,
/// and stays readable in `kubernetes.audit.sourceIPs`.
fn source_ips(event: &Event<'_>) -> Vec<String> {
    event
        .source_ips
        .iter()
        .flatten()
        .filter(|ip| ip.parse::<IpAddr>().is_ok())
        .map(|ip| ip.as_str().to_owned())
        .collect()
}

fn related(user: Option<&User>, source_ips: &[String]) -> Option<Related> {
    let names = user.into_iter().flat_map(|user| {
        [user.name.clone(), user.effective.as_ref().and_then(|effective| effective.name.clone())]
    });
    let related =
        Related { user: distinct(names.flatten()), ip: distinct(source_ips.iter().cloned()) };
    (!related.user.is_empty() || !related.ip.is_empty()).then_some(related)
}

fn distinct(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    items.filter(|item| seen.insert(item.clone())).collect()
}

/// The event with keys that an index accepts.
///
/// Annotation keys hold dots, which an index would read as levels: they become underscores, and
/// the slash stays, as in Elastic's Kubernetes integration. The keys of a user's `extra` keep
/// their dots (levels, there too), unless they would be no valid path. Whoever may impersonate
/// chooses those keys, and one bad key would make a sink refuse the whole alert.
fn indexable(event: &Event<'static>) -> Event<'static> {
    let mut event = event.clone();
    event.annotations = event.annotations.filter(|all| !all.is_empty()).map(|annotations| {
        let mut renamed = BTreeMap::new();
        for (key, value) in annotations {
            // Two keys can meet in one name. The one with dots comes first in the map's order
            // and is the real one.
            renamed.entry(Text::from(flat_key(&key))).or_insert(value);
        }
        renamed
    });
    for user in [&mut event.user, &mut event.impersonated_user].into_iter().flatten() {
        user.extra = user.extra.take().filter(|extra| !extra.is_empty()).map(safe_keys);
    }
    event
}

fn flat_key(key: &str) -> String {
    let flat = key.replace(['.', '\0'], "_");
    if flat.trim().is_empty() { "_".to_owned() } else { flat }
}

fn safe_keys(map: Map<String, Value>) -> Map<String, Value> {
    let mut safe = Map::new();
    let renamed: Vec<String> = map.keys().map(|key| safe_key(key, &map)).collect();
    for (key, (_, value)) in renamed.into_iter().zip(map) {
        let value = safe_values(value);
        safe.entry(key).or_insert(value);
    }
    safe
}

/// JSON that was parsed is at most `limits::JSON_MAX_DEPTH` deep, and so is this recursion.
fn safe_values(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(safe_keys(map)),
        Value::Array(items) => Value::Array(items.into_iter().map(safe_values).collect()),
        other => other,
    }
}

/// Most levels that the dots of a key may make. Elasticsearch refuses a document of more than 20
/// by default; the key itself stands five deep.
const KEY_LEVELS_MAX: usize = 12;

fn safe_key(key: &str, siblings: &Map<String, Value>) -> String {
    let bad_segment = key.contains('\0')
        || key.split('.').any(|part| part.trim().is_empty())
        || key.split('.').count() > KEY_LEVELS_MAX;
    if bad_segment {
        return flat_key(key);
    }
    // `a` beside `a.b` would be a value and an object at once.
    let clash = key.match_indices('.').any(|(at, _)| siblings.contains_key(&key[..at]));
    if clash { flat_key(key) } else { key.to_owned() }
}
