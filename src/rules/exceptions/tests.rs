use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Vec<Exception>, Vec<String>> {
    read_file("e.toml", text).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// What a single exception is, with these keys beside `rule` and `reason`.
fn one(keys: &str) -> Result<Exception, Vec<String>> {
    let text = format!("[[exception]]\nrule = \"r\"\nreason = \"Because.\"\n{keys}\n");
    read(&text).map(|mut found| found.pop().unwrap())
}

#[track_caller]
fn refused(keys: &str, message: &str, line: usize, hint: &str) {
    let errors = one(keys).unwrap_err();
    let [error] = &errors[..] else { panic!("{keys}: {errors:#?}") };
    assert!(error.starts_with(&format!("`e.toml`: {message}")), "{keys}\n{error}");
    assert!(error.contains(&format!("at line {line}, column ")), "{keys}\n{error}");
    assert!(error.contains('^'), "{keys}\n{error}");
    let (_, told) = error.split_once("\n\nhint: ").unwrap_or((error, ""));
    assert!(told.contains(hint) && told.is_empty() == hint.is_empty(), "{keys}\n{error}");
}

#[test]
fn a_file_is_read_with_every_key() {
    let found = read(
        r#"
# Beside each other.
[[exception]]
id = "vault"
rules = ["a", "b"]
user = "system:serviceaccount:vault:*"
source = ["10.0.0.0/8", "2001:db8::/32"]
reason = " Agents of the vault. "
expires = 2027-01-31

[[exception]]
rule = "*"
query = '''
event.action:get
'''
cluster = "c"
impersonated_user = ["x", "y"]
user_agent = "a"
verb = "get"
namespace = "n"
resource = "pods/exec"
name = "m"
pod = "p"
container = "c"
command = "ls *"
reason = "r"
"#,
    )
    .unwrap();
    let shown: Vec<Shown> = found.iter().map(|exception| exception.shown(0)).collect();
    assert_eq!((shown[0].name.as_str(), shown[0].place.as_str()), ("vault", "e.toml:3"));
    assert_eq!(shown[0].rules, ["a", "b"]);
    assert_eq!(shown[0].reason, "Agents of the vault.");
    assert_eq!(shown[0].expires.as_deref(), Some("2027-01-31"));
    let conditions: Vec<String> = shown[0].conditions.iter().map(ToString::to_string).collect();
    assert!(conditions.contains(&"source: 10.0.0.0/8 or 2001:db8::/32".to_owned()));
    assert_eq!((shown[1].name.as_str(), shown[1].place.as_str()), ("e.toml:11", "e.toml:11"));
    assert_eq!(shown[1].rules, ["*"]);
    assert_eq!(shown[1].conditions.len(), 11);
    assert!(found[0].concerns("b") && !found[0].concerns("c") && found[1].concerns("c"));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    refused("usr = \"a\"", "there is no key \"usr\"", 4, "did you mean `user`?");
    refused("zzz = \"a\"\nuser = \"b\"", "there is no key \"zzz\"", 4, "`impersonated_user`");
    refused("", "an exception without a condition would hold of every event", 1, "`namespace`");
    refused("user = \"*\"", "an exception whose conditions hold of every event", 1, "`pod`");
    refused("source = \"0.0.0.0/0\"", "an exception whose conditions hold of every", 1, "`pod`");
    refused("source = \"::/0\"", "an exception whose conditions hold of every", 1, "`pod`");
    refused("user = [\"a\", \"*\"]", "an exception whose conditions hold of every", 1, "`pod`");
    refused("user = 7", "`user` is no text and no list of texts", 4, "");
    refused("user = []", "`user` is an empty list", 4, "");
    refused("user = \"\"", "`user` must be 1 to 65536 bytes long", 4, "");
    refused("user = 'a\\b'", "`user` holds a backslash", 4, "");
    refused(
        "source = \"10.0.0.0/33\"",
        "`source` is \"10.0.0.0/33\", which is no",
        4,
        "10.0.0.0/8",
    );
    let beyond = |text: &str| format!("`source` is \"{text}\", whose address has bits beyond");
    for (text, meant) in [
        ("10.1.2.3/8", "\"10.0.0.0/8\" or \"10.1.2.3\""),
        ("0.0.0.1/0", "\"0.0.0.0/0\""),
        ("2001:db8::1/32", "\"2001:db8::/32\""),
        ("::ffff:10.1.2.3/104", "\"::ffff:10.0.0.0/104\""),
        ("::ffff:10.0.0.0/8", "\"10.0.0.0/8\" or \"::ffff:10.0.0.0/104\""),
        ("::ffff:10.0.0.0/24", "\"10.0.0.0/24\""),
    ] {
        refused(&format!("source = \"{text}\""), &beyond(text), 4, meant);
    }
    for text in ["10.0.0.0/8", "::ffff:10.0.0.0/104", "2001:db8::/32", "192.0.2.7", "192.0.2.7/32"]
    {
        assert!(one(&format!("source = \"{text}\"")).is_ok(), "{text}");
    }
    refused("source = \"host\"", "`source` is \"host\", which is no address", 4, "192.0.2.7");
    refused("user = \"a\"\nid = \"A b\"", "`id` must be lower-case letters", 5, "");
    refused("user = \"a\"\nrules = [\"r\"]", "`rule", 5, "");
    refused("user = \"a\"\nexpires = \"2027-01-31\"", "`expires` is no date", 5, "without quotes");
    refused("user = \"a\"\nexpires = 2027-01-31T10:00:00", "`expires` is 2027", 5, "offset");
    refused("user = \"a\"\nexpires = 10:00:00", "`expires` is 10:00:00", 5, "a date");
    refused("query = 'user.nam:x'", "no event has a field", 4, "user.name");
    refused("query = 'user.name:'", "", 4, "");
    refused("query = '*'", "the query holds of every event", 4, "");
    refused("query = 7", "`query` is no text", 4, "");
}

#[test]
fn what_has_to_be_there_is_asked_for() {
    let errors = read("[[exception]]\nuser = \"a\"\n").unwrap_err();
    assert!(errors[0].contains("an exception without `rule`"), "{errors:?}");
    assert!(errors[1].contains("an exception without `reason`"), "{errors:?}");
    let errors = read("[[exception]]\nrule = \"r\"\nreason = \" \"\nuser = \"a\"\n").unwrap_err();
    assert!(errors[0].contains("`reason` must be a text"), "{errors:?}");
    assert!(read("").unwrap_err()[0].contains("there is no exception in it"));
    assert!(read("exception = 7").unwrap_err()[0].contains("no list of exceptions"));
    assert!(read("exception = [7]").unwrap_err()[0].contains("no table of an exception"));
    let errors = read("[[exceptions]]\nuser = \"a\"\n").unwrap_err();
    assert!(errors[0].contains("`[[exception]]`"), "{errors:?}");
    assert!(read("a = [").unwrap_err()[0].contains("is no valid file of exceptions"));
    assert!(read("id = \"x\"\ntype = \"query\"").unwrap_err()[0].contains("holds a rule"));
}

#[test]
fn problems_are_told_in_the_order_of_the_file() {
    let text = "[[exception]]\nzzz = 1\nrule = \"r\"\nuser = 7\nreason = \"\"\nid = \"A\"\n";
    let errors = read(text).unwrap_err();
    let lines: Vec<bool> = errors
        .iter()
        .zip([2, 4, 5, 6])
        .map(|(it, line)| it.contains(&format!("line {line},")))
        .collect();
    assert_eq!(lines, [true; 4], "{errors:#?}");
}

#[test]
fn all_problems_are_told_up_to_a_bound() {
    let text = "[[exception]]\nrule = \"r\"\nreason = \"r\"\nusr = \"a\"\n".repeat(60);
    let errors = read(&text).unwrap_err();
    assert_eq!(errors.len(), limits::CONFIG_PROBLEMS_MAX + 1);
    assert!(errors.last().unwrap().contains("more than 50 problems"), "{errors:?}");
}

#[test]
fn a_date_ends_with_its_day_and_a_time_at_once() {
    let check = |text: &str, last: &str, first: &str| {
        let ms = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let exception = one(&format!("user = \"a\"\nexpires = {text}")).unwrap();
        assert!(!exception.is_expired(ms(last)), "{text} at {last}");
        assert!(exception.is_expired(ms(first)), "{text} at {first}");
        assert!(exception.expiry_warning(ms(last)).is_none());
        assert!(exception.expiry_warning(ms(first)).unwrap().contains(text));
    };
    check("2027-01-31", "2027-01-31T23:59:59.999Z", "2027-02-01T00:00:00Z");
    check("2024-02-29", "2024-02-29T23:59:59.999Z", "2024-03-01T00:00:00Z");
    check("2027-01-31T18:00:00Z", "2027-01-31T17:59:59.999Z", "2027-01-31T18:00:00Z");
    check("2027-01-31T18:00:00+02:00", "2027-01-31T15:59:59.999Z", "2027-01-31T16:00:00Z");
    assert!(!one("user = \"a\"").unwrap().is_expired(i64::MAX));
}

#[test]
fn the_rule_of_a_file_is_the_only_one_its_exceptions_are_of() {
    let own = "[[exceptions]]\nuser = \"a\"\nreason = \"r\"\n";
    let found = read_of_rule("r.toml", own, "mine").unwrap();
    assert!(found[0].concerns("mine") && !found[0].concerns("other"));
    for key in ["rule = \"*\"", "rules = [\"other\"]"] {
        let error = read_of_rule("r.toml", &format!("{own}{key}\n"), "mine").unwrap_err();
        assert!(error.to_string().contains("does not belong here"), "{error}");
    }
    assert!(read_of_rule("r.toml", "id = \"r\"", "r").unwrap().is_empty());
}

#[test]
fn two_of_one_id_are_refused_and_order_is_kept() {
    let text =
        |id: &str| format!("[[exception]]\n{id}rule = \"r\"\nuser = \"a\"\nreason = \"r\"\n");
    let of = |texts: &[String]| Exceptions::of(read(&texts.concat()).unwrap());
    let error = of(&[text("id = \"x\"\n"), text("id = \"x\"\n")]).unwrap_err().to_string();
    assert_eq!(error, "`e.toml:6`: there is another exception with the id `x`, `e.toml:1`");
    let both = of(&[text(""), text("id = \"x\"\n"), text("")]).unwrap();
    let names: Vec<&str> = both.of_rule("r").map(|(it, _)| it.name.as_str()).collect();
    assert_eq!(names, ["e.toml:1", "x", "e.toml:10"]);
    assert_eq!(both.of_rule("q").count(), 0);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), keys in "[a-z_]{0,8} = (\"[a-z*?\\\\]{0,5}\"|[0-9:-]{0,10})") {
        let _ = read(&text);
        let _ = one(&keys);
    }

    /// Whatever an attacker wrote into a request: what is written is one exception of these values.
    #[test]
    fn what_is_written_is_read_back(
        values in proptest::collection::vec("\\PC{1,20}|[\\x00-\\x1f\"'\\\\*?#\\]]{1,20}|.{1,5}", 1..4),
        reason in "[^\\s].{0,20}",
    ) {
        let draft = Draft {
            rule: "r".to_owned(),
            conditions: vec![(Key::User, vec!["u".to_owned()]), (Key::Command, values.clone())],
            sources: vec!["192.0.2.7".to_owned()],
            queries: vec!["source.ip:\"192.0.2.7\"".to_owned(), "not exec.args:*".to_owned()],
            reason: reason.clone(),
            expires: Some(Expiry::parse("2027-01-31").unwrap()),
        };
        let text = entry_text(&draft);
        prop_assert!(text.lines().all(|line| !line.chars().any(char::is_control)), "{text}");
        let found = read(&text).map_err(|error| TestCaseError::fail(format!("{text}\n{error:?}")))?;
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(&found[0].reason, reason.trim());
        prop_assert_eq!(found[0].expires.as_ref(), draft.expires.as_ref());
        let command = found[0].conditions.iter().find_map(|condition| match condition {
            Condition::Like(Key::Command, wildcards) => Some(wildcards),
            _ => None,
        });
        let command = command.unwrap();
        for value in &values {
            prop_assert!(command.iter().any(|it| it.matches(value)));
            let other = format!("{value}x");
            prop_assert!(values.contains(&other) || !command.iter().any(|it| it.matches(&other)));
        }
    }
}
