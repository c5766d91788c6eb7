//! Examples that stand at the end of each command's help. A test runs every line through the
//! parser, so that none can go stale.

pub(super) const KUBETELL: &str = "\
Examples:
  kubetell demo
  kubetell scan /var/log/kubernetes/audit.log
  kubetell run --config kubetell.toml

Exit codes: 0 done, 1 alerts or errors found, 2 some input could not be read, 64 usage, 69 brokers
unreachable, 70 internal error, 78 configuration.";

pub(super) const DEMO: &str = "\
Examples:
  kubetell demo
  kubetell demo --format ecs
  kubetell demo --events 1000000
  kubetell demo --serve
  kubetell demo --bootstrap localhost:9092

With --serve it goes on until SIGINT (Ctrl-C) or SIGTERM.";

pub(super) const RUN: &str = "\
Examples:
  kubetell run --config kubetell.toml
  kubetell run --set kafka.bootstrap_servers=kafka:9092 --set new_terms.learning=0s
  kubetell run --config kubetell.toml --role detect

It ends with SIGTERM or SIGINT, drained and committed.";

pub(super) const SCAN: &str = "\
Examples:
  kubetell scan audit.log audit-archive/
  zcat audit.log.gz | kubetell scan --format ecs -
  kubetell scan --learning 1d --only secret-access-unusual-client audit/
  kubetell scan --since 2026-01-31 --until 2026-02-01T12:00:00Z --stats audit.log
  kubetell scan --rules rules/ --exceptions exceptions/ audit.log
  kubetell scan --state state/ --output alerts.ndjson --unreadable rest.ndjson audit.log

Exit codes: 0 nothing found, 1 alerts found, 2 some input could not be read.";

pub(super) const BACKTEST: &str = "\
Examples:
  kubetell backtest --config kubetell.toml --last 24h
  kubetell backtest --config kubetell.toml --from 2026-01-31 --to 2026-02-01T12:00:00Z
  kubetell backtest --config kubetell.toml --last 7d --candidate rules-next/
  kubetell backtest --config kubetell.toml --last 1h --only pod-exec-sensitive-path --examples 3
  kubetell backtest --config kubetell.toml --last 24h --format json > backtest.json

A record belongs to the range by its timestamp in Kafka; hours are those of the events.

Exit codes: 0 done, 2 something could not be read or a signal ended it early, 69 brokers
unreachable, 78 a topic or a right is missing.";

pub(super) const DOCTOR: &str = "\
Examples:
  kubetell doctor --config kubetell.toml
  kubetell doctor --set kafka.bootstrap_servers=kafka:9092 --last 5m
  kubetell doctor --config kubetell.toml --sample 200000 --format json > doctor.json
  kubetell doctor /var/log/kubernetes/audit.log
  head -1000 audit.log | kubetell doctor -

What each finding means, and what to do about it, stands with it and in docs/doctor.md.

Exit codes: 0 nothing graver than a warning (`--strict`: than a note), 1 something graver, 2 some
input could not be read or a signal ended it early, 69 brokers unreachable, 78 a topic or a right is
missing.";

pub(super) const RULES: &str = "\
Examples:
  kubetell rules list
  kubetell rules show pod-exec-sensitive-path
  kubetell rules check rules/ exceptions/
  kubetell rules test rules/
  kubetell rules except pod-exec-sensitive-path --from-alert alert.json --reason 'nightly backup'
  kubetell rules try 'event.action:delete and user.name:alice' audit.log";

pub(super) const RULES_LIST: &str = "\
Examples:
  kubetell rules list
  kubetell rules list --config kubetell.toml
  kubetell rules list --rules rules/ --exceptions exceptions/
  kubetell rules list --format json";

pub(super) const RULES_SHOW: &str = "\
Examples:
  kubetell rules show secret-access-unusual-client
  kubetell rules show --format json pod-exec-sensitive-path";

pub(super) const RULES_CHECK: &str = "\
Examples:
  kubetell rules check rules/ exceptions/
  kubetell rules check --strict --format json published/*.toml

Exit codes: 0 all are valid, 78 some are not.";

pub(super) const RULES_TEST: &str = "\
Examples:
  kubetell rules test
  kubetell rules test --strict --junit results.xml rules/
  kubetell rules test --filter secret-deleted rules/
  kubetell rules test --config kubetell.toml --format json

Exit codes: 0 all cases pass, 1 some do not, 78 a rule or a case is not valid.";

pub(super) const RULES_EXCEPT: &str = "\
Examples:
  kubetell rules except pod-exec-sensitive-path --from-alert alert.json --reason 'nightly backup'
  head -1 alerts.ndjson | kubetell rules except my-rule --from-alert - --reason CI --expires 30d
  kubetell rules except my-rule --from-alert a.json --reason CI --by user,namespace --output e.toml

Exit codes: 0 written, 2 the alert could not be read, 64 it can make no such exception, 78 the file
of `--output` is not valid.";

pub(super) const RULES_TRY: &str = "\
Examples:
  kubetell rules try 'event.action:delete and kubernetes.audit.objectRef.resource:secrets' audit.log
  kubetell rules try 'user.name:system\\:anonymous and event.outcome:success' logs/ --format ecs
  zcat audit.log.gz | kubetell rules try 'kubernetes.audit.requestObject.spec.hostPID:true'

Exit codes: 0 nothing matches, 1 something does, 2 some input could not be read.";

pub(super) const CONFIG: &str = "\
Examples:
  kubetell config template > kubetell.toml
  kubetell config check --config kubetell.toml
  kubetell config show --config kubetell.toml
  kubetell config schema > kubetell.schema.json";

pub(super) const CONFIG_CHECK: &str = "\
Examples:
  kubetell config check --config kubetell.toml
  kubetell config check --offline --config kubetell.toml
  kubetell config check --timeout 30s --config kubetell.toml
  kubetell config check --set kafka.bootstrap_servers=kafka:9092

Exit codes: 0 all is well, 69 brokers unreachable, 78 invalid.";

pub(super) const CONFIG_SHOW: &str = "\
Examples:
  kubetell config show --config kubetell.toml
  kubetell config show --format json --set cluster=prod-eu-1";

pub(super) const CONFIG_SCHEMA: &str = "\
Examples:
  kubetell config schema > kubetell.schema.json";

pub(super) const CONFIG_TEMPLATE: &str = "\
Examples:
  kubetell config template > kubetell.toml";

pub(super) const TOPICS: &str = "\
Examples:
  kubetell topics check --config kubetell.toml
  kubetell topics create --config kubetell.toml";

pub(super) const TOPICS_CHECK: &str = "\
Examples:
  kubetell topics check --config kubetell.toml
  kubetell topics check --set kafka.bootstrap_servers=kafka:9092

Exit codes: 0 all is well, 69 brokers unreachable, 78 a topic is missing or has wrong settings.";

pub(super) const TOPICS_CREATE: &str = "\
Examples:
  kubetell topics create --config kubetell.toml
  kubetell topics create --config kubetell.toml --set observations.partitions=24

Topics that are there already are left as they are; source topics are never created.";

pub(super) const EXPLAIN: &str = "\
Examples:
  kubetell explain --command 'cd /etc; cat sha*w'
  kubetell explain --uri '/api/v1/namespaces/shop/pods/cart-0/exec?command=cat&command=%2Fetc%2Fshadow'
  kubetell explain --event audit.log
  cat commands.txt | kubetell explain --format json --command -

What --command gives is read as `sh -c` would read it.

Exit codes: 0 explained, whatever the verdict; 2 some input could not be read.";

pub(super) const STATE: &str = "\
Examples:
  kubetell state show --config kubetell.toml
  kubetell state export --config kubetell.toml --output terms.ndjson
  kubetell state import --config kubetell.toml audit-archive/
  kubetell state rebuild --config kubetell.toml";

pub(super) const STATE_SHOW: &str = "\
Examples:
  kubetell state show --config kubetell.toml
  kubetell state show --config kubetell.toml --user system:serviceaccount:ci:deployer
  kubetell state show --config kubetell.toml --terms --format json > terms.json

Exit codes: 0 done, 2 a record of the topic could not be read, 69 brokers unreachable, 78 a topic
or a right is missing.";

pub(super) const STATE_REBUILD: &str = "\
Examples:
  kubetell state rebuild --config kubetell.toml
  kubetell state rebuild --yes --set state.directory=/var/lib/kubetell

Exit codes: 0 done, 78 an instance uses the directory, or it can't be written.";

pub(super) const STATE_EXPORT: &str = "\
Examples:
  kubetell state export --config kubetell.toml --output terms.ndjson
  kubetell state export --config kubetell.toml > terms.ndjson

Exit codes: 0 done, 2 a record of the topic could not be read, 69 brokers unreachable, 78 a topic
or a right is missing.";

pub(super) const STATE_IMPORT: &str = "\
Examples:
  kubetell state import --config kubetell.toml terms.ndjson
  kubetell state import --config kubetell.toml --dry-run /var/log/kubernetes/
  zcat audit.log.gz | kubetell state import --config kubetell.toml --learned -

Exit codes: 0 done, 2 some input could not be read (the rest is imported), 69 brokers unreachable,
78 the topic or a right is missing, or the topic has wrong settings.";

pub(super) const SCHEMA: &str = "\
Examples:
  kubetell schema ecs > alert-ecs.schema.json
  kubetell schema rule > rule.schema.json
  kubetell schema config > config.schema.json";

pub(super) const COMPLETIONS: &str = "\
Examples:
  kubetell completions bash > /etc/bash_completion.d/kubetell
  kubetell completions zsh > /usr/local/share/zsh/site-functions/_kubetell
  kubetell completions fish > ~/.config/fish/completions/kubetell.fish";
