use super::*;

#[test]
fn times_stand_for_all_that_they_may_be() {
    const DAY: i64 = 86_400_000;
    // 2026-01-01T00:00:00Z
    const NEW_YEAR: i64 = 1_767_225_600_000;
    for (text, first, last) in [
        ("2026", NEW_YEAR, NEW_YEAR + 365 * DAY - 1),
        ("2026-02", NEW_YEAR + 31 * DAY, NEW_YEAR + 59 * DAY - 1),
        ("2024-02", 1_706_745_600_000, 1_706_745_600_000 + 29 * DAY - 1),
        ("2026-12", NEW_YEAR + 334 * DAY, NEW_YEAR + 365 * DAY - 1),
        ("2026-01-01", NEW_YEAR, NEW_YEAR + DAY - 1),
        ("2026-01-01T", NEW_YEAR, NEW_YEAR + DAY - 1),
        ("2026-01-01T01", NEW_YEAR + 3_600_000, NEW_YEAR + 7_200_000 - 1),
        ("2026-01-01T00:01", NEW_YEAR + 60_000, NEW_YEAR + 120_000 - 1),
        ("2026-01-01T00:00:01Z", NEW_YEAR + 1_000, NEW_YEAR + 1_999),
        ("2026-01-01T00:00:01.5Z", NEW_YEAR + 1_500, NEW_YEAR + 1_500),
        ("2026-01-01T00:00:01,25", NEW_YEAR + 1_250, NEW_YEAR + 1_250),
        ("2026-01-01T00:00:01.123456789Z", NEW_YEAR + 1_123, NEW_YEAR + 1_123),
        ("2026-01-01T01:00:00+01:00", NEW_YEAR, NEW_YEAR + 999),
        ("2026-01-01T01:00:00+0100", NEW_YEAR, NEW_YEAR + 999),
        ("2026-01-01T01+01", NEW_YEAR, NEW_YEAR + 3_600_000 - 1),
        ("2025-12-31T23:30:00-00:30", NEW_YEAR, NEW_YEAR + 999),
        ("1767225600000", NEW_YEAR, NEW_YEAR),
        ("-1", -1, -1),
        ("12345", 12_345, 12_345),
    ] {
        let expected = Instant { first_ms: first, last_ms: last };
        assert_eq!(Instant::parse(text), Some(expected), "{text}");
    }
    for text in [
        "",
        "now",
        "yesterday",
        "26-01-01",
        "2026-13",
        "2026-1",
        "2026-02-30",
        "2026-01-01T24",
        "2026-01-01T00:60",
        "2026-01-01T00:00:00.",
        "2026-01-01T00:00:00.1234567890",
        "2026-01-01 ",
        "2026-01-01 00:00:00",
        "2026-01-01T00:00:00+25:00",
        "2026-01-01T00:00:00X",
        "2026-",
        "-",
        "2026-01-01T00:00:00ZZ",
        "é026-01-01",
        "2026-0é",
        "99999999999999999999",
        "+2026-01-01",
    ] {
        assert_eq!(Instant::parse(text), None, "{text}");
    }
}

#[test]
fn networks_are_ranges_of_addresses() {
    let holds = |network: &str, address: &str| {
        let network = Network::parse(network).unwrap();
        (network.first..=network.last).contains(&parse_address(address).unwrap())
    };
    for (network, address, expected) in [
        ("10.0.0.0/8", "10.255.255.255", true),
        ("10.0.0.0/8", "11.0.0.0", false),
        ("10.1.2.3/32", "10.1.2.3", true),
        ("10.1.2.3", "::ffff:10.1.2.3", true),
        ("0.0.0.0/0", "255.255.255.255", true),
        ("0.0.0.0/0", "::1", false),
        ("::/0", "1.2.3.4", true),
        ("::1/128", "::1", true),
        ("::1/128", "::2", false),
        ("2001:db8::/33", "2001:db8:8000::", false),
        ("::ffff:10.0.0.0/104", "10.9.9.9", true),
    ] {
        assert_eq!(holds(network, address), expected, "{network} {address}");
    }
    for text in [
        "",
        "/",
        "10.0.0.0/",
        "10.0.0.0/33",
        "::/129",
        "10.0.0/8",
        "10.0.0.0/8/8",
        "10.0.0.0/+8",
        "010.0.0.1",
        "fe80::1%eth0",
        "[::1]",
        "10.0.0.1:80",
        "x",
        "10.0.0.0/99999999999",
    ] {
        assert_eq!(Network::parse(text), None, "{text}");
    }
}

#[test]
fn numbers_are_decimal() {
    for (text, expected) in [
        ("0", Some(Number::Integer(0))),
        ("-7", Some(Number::Integer(-7))),
        ("+7", Some(Number::Integer(7))),
        ("007", Some(Number::Integer(7))),
        ("1.5", Some(Number::Float(1.5))),
        ("2e3", Some(Number::Float(2_000.0))),
        (".5", Some(Number::Float(0.5))),
        ("9223372036854775808", Some(Number::Float(9_223_372_036_854_775_808.0))),
        ("", None),
        ("e", None),
        ("-", None),
        ("inf", None),
        ("NaN", None),
        ("1e999", None),
        ("0x10", None),
        ("1_000", None),
        (" 1", None),
        ("1-2", None),
    ] {
        assert_eq!(Number::parse(text), expected, "{text}");
    }
    let order = |a: &str, b: &str| Number::parse(a).unwrap().compare(Number::parse(b).unwrap());
    assert_eq!(order("9007199254740993", "9007199254740992"), Ordering::Greater);
    assert_eq!(order("404", "404.0"), Ordering::Equal);
    assert_eq!(order("404", "404.5"), Ordering::Less);
}
