//! A configuration file to start from, rendered from the table of keys.

use super::keys::{self, KEYS};

const HEAD: &str = "\
# Configuration of kubetell. Keys that are commented out stand here with their defaults.
#
# Each key can also be set by an environment variable, KUBETELL_ and the key in capitals, levels
# joined by two underscores (KUBETELL_KAFKA__GROUP_ID), or by --set (--set kafka.group_id=NAME).
# --set overrides the environment, the environment this file. `kubetell config check` says
# whether all is well, `kubetell config show` what is in force and why.
";

const PROPERTIES: &str = "
# Any property of librdkafka: TLS, SASL, tuning. Those that correctness rests on are refused.
# A password is better kept out of this file: \"sasl.password_file\" names the file that holds it,
# and ${FILE:/path} or ${ENV:NAME} within the value of any property stands for what is there.
[kafka.properties]
#\"security.protocol\" = \"SASL_SSL\"
#\"sasl.mechanism\" = \"SCRAM-SHA-512\"
#\"sasl.username\" = \"kubetell\"
#\"ssl.ca.location\" = \"/etc/kubetell/ca.pem\"
";

/// The file's text. It is valid as it is, and with every `#key = value` in it made active.
pub fn template() -> String {
    let mut out = HEAD.to_owned();
    let mut table = "";
    for key in KEYS {
        let (in_table, name) = keys::split(key.path);
        if in_table != table {
            if table == "kafka" {
                out.push_str(PROPERTIES);
            }
            out.push_str(&format!("\n[{in_table}]\n"));
            table = in_table;
        } else if table.is_empty() {
            out.push('\n');
        }
        for line in key.about {
            out.push_str(&format!("# {line}\n"));
        }
        let comment = if key.in_template { "" } else { "#" };
        out.push_str(&format!("{comment}{name} = {}\n", key.default));
    }
    out
}
