//! What rules with a query cost beside the built-in rules: processor time for a record, over the
//! same log, with 0, 1, 10, 50 and 200 generated rules.
//!
//! `cargo bench --bench rules -- [--events N] [--rounds R]` makes a log as `kubetell demo` does,
//! takes the way of `run` and `scan` from a record's bytes to detections (prefilter, wrapper,
//! event, rules) on one thread, all sets alternately, and prints for each set the fastest round:
//! time for a record, its ratio to the built-in rules alone, and which share of the records passed
//! the prefilter.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;

use kubetell::clock;
use kubetell::demo::scenario::generated;
use kubetell::detect::matcher::{Context, Matcher};
use kubetell::ingest::envelope::{self, Outcome};
use kubetell::ingest::prefilter::{Prefilter, Verdict};
use kubetell::position::Position;
use kubetell::rules::set::RuleSet;

#[derive(Debug, Parser)]
struct Args {
    #[arg(long, default_value_t = 50_000)]
    events: u64,
    /// Only with this many generated rules: for a count of instructions, e.g. by
    /// `valgrind --tool=callgrind --toggle-collect='*Measured*round*'`.
    #[arg(long)]
    only: Option<usize>,
    /// How often every set goes over the log.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Appends what is measured to this file, one line of JSON for each set.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Given by `cargo bench`.
    #[arg(long)]
    bench: bool,
}

const COUNTS: [usize; 5] = [0, 1, 10, 50, 200];
/// Nothing is certain of the bytes of what it matches: every record is parsed and asked.
const WITHOUT_NEEDLES: &str = "not user.name:* and not kubernetes.audit.verb:*";

/// What published rules for audit logs ask about.
const RESOURCES: [&str; 24] = [
    "rolebindings",
    "clusterrolebindings",
    "roles",
    "clusterroles",
    "serviceaccounts",
    "certificatesigningrequests",
    "validatingwebhookconfigurations",
    "mutatingwebhookconfigurations",
    "daemonsets",
    "cronjobs",
    "jobs",
    "deployments",
    "namespaces",
    "networkpolicies",
    "persistentvolumes",
    "secrets",
    "configmaps",
    "pods",
    "nodes",
    "selfsubjectaccessreviews",
    "selfsubjectrulesreviews",
    "tokenreviews",
    "customresourcedefinitions",
    "podsecuritypolicies",
];
const VERBS: [&str; 6] = ["create", "delete", "patch", "update", "list", "(create or patch)"];
/// Published rules leave out what the cluster itself does, and ask for something more.
const CONDITIONS: [&str; 7] = [
    "kubernetes.audit.objectRef.namespace:(kube-system or kube-public)",
    "kubernetes.audit.user.groups:system\\:serviceaccounts*",
    "not user_agent.original:(kubectl* or Helm*)",
    "kubernetes.audit.annotations.authorization_k8s_io/decision:forbid",
    "source.ip:(10.0.0.0/8 or 192.168.0.0/16)",
    "kubernetes.audit.responseStatus.code >= 400",
    "kubernetes.audit.objectRef.name:(*admin* or *root* or *debug*)",
];

fn query(number: usize) -> String {
    let resource = RESOURCES[number % RESOURCES.len()];
    let verb = VERBS[number / 3 % VERBS.len()];
    let condition = CONDITIONS[number / 5 % CONDITIONS.len()];
    match number % 20 {
        // Some are about commands, and some about who asks for what part of an object.
        7 => format!("exec.command:*tool-{number}* and {condition}"),
        13 => format!(
            "kubernetes.audit.objectRef.subresource:(portforward or attach or ephemeralcontainers) \
             and {condition}"
        ),
        _ => format!(
            "kubernetes.audit.objectRef.resource:{resource} and event.action:{verb} \
             and {condition} and not user.name:system\\:*"
        ),
    }
}

fn rule(number: usize, query: &str) -> String {
    format!(
        "id = \"generated-{number}\"\nuuid = \"6f3c27a8-31a4-4b7e-8f51-0f6d1c2b9e77\"\n\
         name = \"Generated\"\nversion = \"1.0.0\"\nlicense = \"Apache-2.0\"\nseverity = \"low\"\n\
         risk_score = 21\ndescription = \"Generated.\"\ntype = \"query\"\nquery = '''{query}'''\n"
    )
}

struct Measured {
    matcher: Matcher,
    prefilter: Prefilter,
    best: Duration,
    passed: usize,
    found: usize,
}

impl Measured {
    fn new(queries: &[String]) -> Measured {
        let texts = queries.iter().enumerate().map(|(number, query)| rule(number, query));
        let texts: Vec<String> = texts.collect();
        let own = texts.iter().map(|text| ("generated.toml", text.as_str()));
        let set = RuleSet::builtin().unwrap().merged(RuleSet::from_sources(own).unwrap()).unwrap();
        Measured {
            prefilter: Prefilter::new(&set),
            matcher: Matcher::new(Arc::new(set), 0),
            best: Duration::MAX,
            passed: 0,
            found: 0,
        }
    }

    fn round(&mut self, records: &[Vec<u8>]) {
        let position = Position::Kafka { topic: "audit".into(), partition: 0, offset: 0, item: 0 };
        let (mut passed, mut found) = (0, Vec::new());
        let mut detections = 0;
        let begun = clock::monotonic();
        for record in records {
            if self.prefilter.verdict(record) == Verdict::Drop {
                continue;
            }
            passed += 1;
            envelope::read_asking(record, None, self.matcher.bodies(), &mut |_, outcome| {
                if let Outcome::Event(read) = outcome {
                    let context = Context {
                        cluster: "bench",
                        position: position.clone(),
                        wrapper_id: None,
                        wrapper_time_ms: None,
                    };
                    self.matcher.examine(read.event, context, &mut found);
                }
            });
            detections += black_box(&mut found).drain(..).count();
        }
        self.best = self.best.min(clock::monotonic() - begun);
        (self.passed, self.found) = (passed, detections);
    }
}

fn main() {
    let args = Args::parse();
    let start = "2026-02-03T04:05:06Z".parse().unwrap();
    let records: Vec<Vec<u8>> = generated(args.events, 7, start).collect();
    println!("All records, in the wrappers of the demo:");
    measure("all", &records, &args);
    if args.only.is_some() {
        return;
    }
    let bare = records.into_iter().filter(|record| record.starts_with(b"{\"kind\":\"Event\","));
    println!("\nThose of them that are bare events, as API servers write them:");
    measure("bare", &bare.collect::<Vec<_>>(), &args);
}

fn measure(what: &str, records: &[Vec<u8>], args: &Args) {
    let bytes: usize = records.iter().map(Vec::len).sum();
    println!("{} records, {} MB", records.len(), bytes / 1_000_000);
    let counts = COUNTS.into_iter().filter(|count| args.only.is_none_or(|only| only == *count));
    let counted =
        counts.map(|count| (count.to_string(), (0..count).map(query).collect::<Vec<String>>()));
    let without = ("1 without needles".to_owned(), vec![WITHOUT_NEEDLES.to_owned()]);
    let without = [without].into_iter().filter(|_| args.only.is_none());
    let (names, queries): (Vec<String>, Vec<Vec<String>>) = counted.chain(without).unzip();
    let mut sets: Vec<Measured> = queries.iter().map(|queries| Measured::new(queries)).collect();
    for _ in 0..args.rounds {
        for set in &mut sets {
            set.round(records);
        }
    }
    println!("  generated rules  ns a record  ratio  passed  detections");
    let builtin = sets[0].best.as_secs_f64();
    let mut json = args
        .json
        .as_ref()
        .map(|file| File::options().create(true).append(true).open(file).unwrap());
    for (rules, set) in names.iter().zip(&sets) {
        let seconds = set.best.as_secs_f64();
        println!(
            "{rules:>17}  {:>11.0}  {:>5.2}  {:>5.1}%  {:>10}",
            seconds * 1e9 / records.len() as f64,
            seconds / builtin,
            100.0 * set.passed as f64 / records.len() as f64,
            set.found
        );
        if let Some(file) = &mut json {
            let line = serde_json::json!({
                "bench": "rules",
                "records_of": what,
                "records": records.len(),
                "bytes": bytes,
                "generated_rules": rules,
                "rules": set.matcher.rules().rules().len(),
                "ns_a_record": seconds * 1e9 / records.len() as f64,
                "ratio": seconds / builtin,
                "passed": set.passed as f64 / records.len() as f64,
                "detections": set.found,
            });
            writeln!(file, "{line}").unwrap();
        }
    }
}
