//! Records before and after.

use proptest::prelude::*;

use super::*;

const KEY: &[u8] = b"a key for tests only";

fn all(treatment: Treatment) -> Masker {
    let policy = || Policy { treatment, ..Policy::default() };
    let rules = vec![Rule {
        name: "badge".into(),
        pattern: r"badge (\d{5})".into(),
        treatment,
        fields: BTreeMap::new(),
    }];
    let config = MaskConfig {
        card: policy(),
        key: policy(),
        token: policy(),
        secret: policy(),
        email: policy(),
        rules,
    };
    Masker::new(&config, KEY).expect("a configuration")
}

fn masked(masker: &Masker, record: &str) -> String {
    let bytes = masker.mask(record.as_bytes(), &mut Counts::new());
    bytes.map_or(record.to_owned(), |bytes| String::from_utf8(bytes).expect("UTF-8"))
}

#[track_caller]
fn check(record: &str, expected: &str) {
    assert_eq!(masked(&all(Treatment::Mask), record), expected, "{record}");
}

/// Records in which nothing is to be found.
#[track_caller]
fn check_clean(record: &str) {
    check(record, record);
}

/// A made-up secret: the prefix and so many letters and digits, put together here so that no
/// scanner takes this file for a leak.
fn made(prefix: &str, length: usize) -> String {
    let letters = b"a1B2c3D4e5F6g7H8i9J0kLmN";
    let body = (0..length).map(|i| char::from(letters[i * 7 % letters.len()]));
    prefix.chars().chain(body).collect()
}

#[test]
fn cards_keep_their_last_digits() {
    check("paid with 4111111111111111.", "paid with [card:****1111].");
    check("3782 822463 10005", "[card:***0005]");
    check(r#"{"pan":4111111111111111,"n":1}"#, r#"{"pan":"[card:****1111]","n":1}"#);
    check(r#"{"pans":[4111111111111111]}"#, r#"{"pans":["[card:****1111]"]}"#);
    check(r#"{"m":"{\"pan\":4111111111111111}"}"#, r#"{"m":"{\"pan\":\"[card:****1111]\"}"}"#);
    check(r#"{"m":"pan 4111111111111111"}"#, r#"{"m":"pan [card:****1111]"}"#);
}

#[test]
fn tokens_are_known_by_their_prefixes() {
    for (prefix, length) in [
        ("ghp_", 36),
        ("github_pat_", 82),
        ("glpat-", 20),
        ("xoxb-1234567890-", 24),
        ("xapp-1-", 40),
        ("npm_", 36),
        ("pypi-AgEIcHlwaS5vcmc", 60),
        ("dckr_pat_", 27),
        ("ya29.", 60),
        ("hooks.slack.com/services/T000/B000/", 24),
    ] {
        let value = made(prefix, length);
        let stars = "*".repeat(value.len().ilog2() as usize);
        check(&format!("got {value} here"), &format!("got [token:{stars}] here"));
        check_clean(&format!("got {prefix} here"));
        check_clean(&format!("got x{value} here"));
    }
    for (prefix, length) in [
        ("AIza", 35),
        ("sk_live_", 24),
        ("rk_test_", 24),
        ("whsec_", 32),
        ("GOCSPX-", 28),
        ("abc8Q~", 34),
    ] {
        let value = made(prefix, length);
        let stars = "*".repeat(value.len().ilog2() as usize);
        check(&format!("got '{value}'"), &format!("got '[key:{stars}]'"));
    }
    let aws = format!("AKIA{}", "IOSFODNN7EXAMPLE".replace('0', "2"));
    check(&format!("id {aws}\\n{aws}"), "id [key:****]\\n[key:****]");
    check_clean(&format!("id {aws}X"));
}

#[test]
fn tokens_are_known_by_their_form() {
    let part = made("eyJ", 20);
    let jwt = format!("{part}.{part}.{}", made("", 43));
    check(&format!("jwt={jwt}&x=1"), "jwt=[token:******]&x=1");
    check(&format!("%3D{part}.{part}"), "%3D[token:*****]");
    check_clean("eyJ.eyJ.eyJ and eyJhbGciOiJIUzI1NiJ9 alone");
    let bearer = made("", 32);
    check(&format!("Authorization: Bearer {bearer}"), "Authorization: Bearer [token:*****]");
    check(&format!("sent Bearer {bearer}, ok"), "sent Bearer [token:*****], ok");
    check("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [token:***]");
    check(
        r#"{"authorization":["Basic dXNlcjpwYXNz"],"b":1}"#,
        r#"{"authorization":["Basic [token:***]"],"b":1}"#,
    );
    check(&format!("proxy-authorization={bearer}"), "proxy-authorization=[token:*****]");
    check_clean("Bearer authentication failed; Authorization: failed");
    check_clean("Authorization: AWS4-HMAC-SHA256 SignedHeaders=host, Signature=0a1b2c");
}

#[test]
fn private_keys_go_whole() {
    let pem = "-----BEGIN RSA PRIVATE KEY-----\\nMIIE\\n-----END RSA PRIVATE KEY-----";
    check(&format!("k=\"{pem}\" x"), "k=\"[key:******]\" x");
    check("-----BEGIN PRIVATE KEY-----\nMIIE", "[key:*****]");
    check_clean("-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----");
    let body = made("", 64);
    let lines = ["a", "-----BEGIN PRIVATE KEY-----", &body, "-----END PRIVATE KEY-----", &body];
    let records: Records = lines.iter().map(|line| line.as_bytes()).collect();
    let mut counts = Counts::new();
    let masked = all(Treatment::Mask).mask_all(&records, &mut counts).expect("a key");
    let masked: Vec<_> = masked.iter().map(|r| String::from_utf8_lossy(r).into_owned()).collect();
    let end = "-----END PRIVATE KEY-----";
    assert_eq!(masked, ["a", "[key:****]", "[key:******]", end, body.as_str()]);
    assert_eq!(counts, Counts::from([("key".into(), 1)]));
}

#[test]
fn names_say_what_is_secret() {
    check("user=ann password=hunter2 ok", "user=ann password=[secret:**] ok");
    check("db_pass=y1 DB_PASSWORD='a b c'", "db_pass=[secret:*] DB_PASSWORD='[secret:**]'");
    check("/login?pwd=s3cret&next=/", "/login?pwd=[secret:**]&next=/");
    check("/x?a=password%3Dhunter2&b", "/x?a=password%3D[secret:**]&b");
    check(r#"{"password":"a\"b","x":1}"#, r#"{"password":"[secret:**]","x":1}"#);
    check(r#"{"password" : 12345678}"#, r#"{"password" : "[secret:***]"}"#);
    check(
        r#"{"m":"{\"userPassword\":\"hunter2\"}"}"#,
        r#"{"m":"{\"userPassword\":\"[secret:**]\"}"}"#,
    );
    check("mysql --password hunter2 -u a", "mysql --password [secret:**] -u a");
    check("a -Password Summer2026! b", "a -Password [secret:***] b");
    check("<password>hunter2</password>", "<password>[secret:**]</password>");
    check("password: hunter2", "password: [secret:**]");
    check("client_secret=a1b2c3d4e5", "client_secret=[secret:***]");
    let random = made("", 40);
    check(&format!("api_key={random};"), "api_key=[secret:*****];");
    check(&format!("apiKey: {random}"), "apiKey: [secret:*****]");
    check(&format!("x-auth-token: {random}"), "x-auth-token: [secret:*****]");
    check(&format!("AWS_SECRET_ACCESS_KEY={random}"), "AWS_SECRET_ACCESS_KEY=[secret:*****]");
    check(&format!("?sv=1&sig={random}"), "?sv=1&sig=[secret:*****]");
    check("postgres://ann:hunter2@db.example.org/x", "postgres://ann:[secret:**]@db.example.org/x");
    check("https://a:p@ss@example.org/", "https://a:[secret:**]@example.org/");
}

#[test]
fn long_values_go_to_their_end_and_hostile_ones_take_linear_time() {
    let long = made("", 5000);
    check(&format!("api_key={long} x"), "api_key=[secret:************] x");
    for piece in ["token=", "authorization=", "password=$", "\"pwd\">$", "eyJ", "://a@"] {
        // Nothing is found, and time shows whether all of it is looked at again and again.
        check_clean(&piece.repeat((1 << 18) / piece.len()));
    }
}

#[test]
fn ordinary_records_stay() {
    check_clean("Failed password for root from 203.0.113.7 port 4022 ssh2");
    check_clean("ann : TTY=pts/0 ; PWD=/home/ann ; USER=root ; COMMAND=/bin/ls");
    check_clean("password: incorrect; Invalid password: user unknown");
    check_clean("password= user=ann password=null token=*** secret=${SECRET} passwd=[REDACTED]");
    check_clean("token_type=bearer tokens=512 token=42 next_token=page-two-of-the-list");
    check_clean(
        r#"{"PasswordLastSet":"2026-11-23","secretName":"x","Keywords":"0x8020000000000000"}"#,
    );
    check_clean("type=SYSCALL key=\"access\" compass=north monkey=a1b2c3d4e5f6a7b8c9d0");
    check_clean("secret=default");
    check_clean("sshd@0-10.0.0.1:22.service user@1000.service lodash@4.17.21 /logo@2x.png @ a@b");
    check_clean("git@github.com:a/b https://ann@example.org/ HTTP/web.x@EXAMPLE.ORG");
    check_clean("message-id=<20261123.1@mail.example.org> Message-ID: <1@mail.example.org>");
    check_clean("");
}

#[test]
fn addresses_are_found() {
    check("from=<ann@example.org>, to=b.c+d@x.co.uk.", "from=<[email:***]>, to=[email:***].");
    check("/u?m=ann%40example.org&x", "/u?m=[email:****]&x");
    check(
        r#""\u003cann@example.org\u003e\nbob@example.org""#,
        r#""\u003c[email:***]\u003e\n[email:***]""#,
    );
    check("jürgen@müller.example x", "[email:****] x");
    check("%3Cann%40example.org%3E", "%3C[email:****]%3E");
    check("ann@example.org-----x ann@xn--e1afmkfd.xn--p1ai", "[email:***]-----x [email:****]");
    check("smtp:ann@EXAMPLE.ORG", "smtp:[email:***]");
}

#[test]
fn rules_of_ones_own_mask_their_group() {
    check("badge 12345 at door", "badge [badge:**] at door");
}

#[test]
fn a_hash_is_the_same_for_the_same_value() {
    let masker = all(Treatment::Hash);
    let one = masked(&masker, "from=ann@example.org");
    assert_eq!(one.len(), "from=[email:0123456789abcdef]".len(), "{one}");
    assert_eq!(masked(&masker, "from=Ann@Example.org"), one);
    assert_ne!(masked(&masker, "from=bob@example.org"), one);
    let cards = masked(&masker, "4111111111111111, 4111-1111-1111-1111");
    assert_eq!(cards.split_once(", ").map(|(a, b)| a == b), Some(true), "{cards}");
    // HMAC-SHA256 of "email", a zero byte and the address, as any other tool computes it.
    assert_eq!(one, "from=[email:a5a7646429b180dc]");
}

#[test]
fn fields_have_treatments_of_their_own() {
    let email = Policy {
        treatment: Treatment::Mask,
        fields: BTreeMap::from([("From".into(), Treatment::Off), ("to".into(), Treatment::Hash)]),
    };
    let card = Policy {
        treatment: Treatment::Off,
        fields: BTreeMap::from([("pan".into(), Treatment::Mask)]),
    };
    let masker =
        Masker::new(&MaskConfig { email, card, ..MaskConfig::default() }, KEY).expect("ok");
    let text = masked(&masker, r#"{"from":"a@x.org","To":"a@x.org","cc":"a@x.org"}"#);
    assert!(text.starts_with(r#"{"from":"a@x.org","To":"[email:"#), "{text}");
    assert!(text.ends_with(r#"]","cc":"[email:**]"}"#), "{text}");
    let card = "4111111111111111";
    assert_eq!(
        masked(&masker, &format!("pan={card} id={card}")),
        format!("pan=[card:****1111] id={card}")
    );
}

#[test]
fn configurations_are_checked() {
    let parse = |text: &str| yaml_serde::from_str::<MaskConfig>(text);
    let config = parse("email: {treatment: hash}\n").expect("a configuration");
    assert!(matches!(Masker::new(&config, b"short"), Err(MaskError::Key)));
    assert!(parse("emial: {treatment: hash}\n").is_err());
    assert!(parse("email: {treatment: hide}\n").is_err());
    let rule = |name: &str, pattern: &str| {
        let text = format!("rules: [{{name: '{name}', pattern: '{pattern}', treatment: mask}}]");
        Masker::new(&parse(&text).expect("a configuration"), b"").map(|masker| masker.is_on())
    };
    assert_eq!(rule("badge", "a+").ok(), Some(true));
    assert!(matches!(rule("email", "a"), Err(MaskError::Name(_))));
    assert!(matches!(rule("A b", "a"), Err(MaskError::Name(_))));
    assert!(matches!(rule("a", "("), Err(MaskError::Pattern { .. })));
    let off = Masker::new(&MaskConfig::default(), b"").expect("nothing to do");
    assert!(!off.is_on() && off.find(b"password=hunter2 a@example.org").is_empty());
    assert!(!format!("{:?}", all(Treatment::Hash)).contains("tests only"));
}

#[test]
fn other_encodings_hide_nothing() {
    let masker = all(Treatment::Mask);
    let wide: Vec<u8> = "password=hunter2 x".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut counts = Counts::new();
    assert_eq!(masker.mask(&wide, &mut counts).as_deref(), Some(&b"password=[secret:**] x"[..]));
    assert_eq!(counts, Counts::from([("secret".into(), 1)]));
    let odd = masker.mask(b"\xff password=hunter2", &mut counts);
    assert_eq!(odd.as_deref(), Some(&b"\xff password=[secret:**]"[..]));
}

/// Pieces that meet in odd ways.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ -~é漢\\n]{0,6}",
        prop::sample::select(vec![
            "password",
            "=",
            ":",
            "\"",
            "\\\"",
            "token",
            "api_key",
            "ann@example.org",
            "://a:b@",
            "4111111111111111",
            "eyJhbGciOiJI.eyJhbGciOiJI",
            "-----BEGIN PRIVATE KEY-----",
            "%40",
            "Authorization: Basic ",
            "Bearer ",
            "a1b2c3d4e5f6a7b8",
            "{",
            "[",
            ",",
            " ",
            "\\n",
            "[email:****]",
            "[card:****1111]",
            "[secret:0123456789abcdef]",
            "<",
            ">",
            "--",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn spans_lie_in_order_and_between_characters(text in text()) {
        let spans = all(Treatment::Mask).find(text.as_bytes());
        prop_assert!(spans.is_sorted_by(|a, b| a.range.end <= b.range.start));
        prop_assert!(spans.iter().all(|span| text.get(span.range.clone()).is_some()));
    }

    #[test]
    fn masking_twice_is_masking_once(text in text()) {
        for treatment in [Treatment::Mask, Treatment::Hash] {
            let masker = all(treatment);
            let once = masked(&masker, &text);
            prop_assert_eq!(masked(&masker, &once), once.clone(), "{}", text);
        }
    }

    #[test]
    fn json_stays_json(name in "[a-z_]{1,8}|password|api_key|pan", value in text(), number: u64) {
        let card = 4_111_111_111_111_111u64;
        let object = serde_json::json!({"a": value, name: value, "b": [number, value, card]});
        let text = masked(&all(Treatment::Mask), &object.to_string());
        let read: Result<serde_json::Value, _> = serde_json::from_str(&text);
        prop_assert!(read.is_ok(), "{}\n{}", object, text);
    }

    #[test]
    fn a_password_is_never_left(value in "[!#-~]{4,20}", before in "[a-z ,]{0,5}") {
        prop_assume!(!is_mark(value.as_bytes(), &(0..value.len())));
        let record = serde_json::json!({"m": before, "password": value.clone()}).to_string();
        let text = masked(&all(Treatment::Mask), &record);
        let nothing = value.starts_with(['$', '%', '{', '[', '<', '*', '.', '-', 'x', 'X', '#']);
        prop_assert!(nothing || !text.contains(&format!("\"{value}\"")), "{}", text);
    }
}
