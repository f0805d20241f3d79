//! Queries that are wrong: each is answered with a place, what is wrong, and what to write.

use pugmark_query::parse;

/// Wrong queries, one a line.
const WRONG: &str = r#"
(
)
((a)
(a))
a)
()
a or
or a
a and
and a
not
a not
a or or b
and
or
not or
"open
a "open
user:
user: root
user:"open
user:(
user:(root
user:()
user:(root bob)
user:(root or)
source.port:>
source.port:>=
source.port:[1 TO
source.port:[1 TO 5
source.port:[1 5]
source.port:[TO 5]
source.port:{1 TO 5
source.bytes:>x
source.ip:10.0.0.0/99
source.ip:10.0.0/8
source.ip:>x
@timestamp:yesterday
@timestamp:*2026*
@timestamp:/x/
a:/(/
a:/[z-a]/
a:/x{5000}{5000}{5000}/
a:/*/
a:/(?<n/
a:/\p{Nothing}/
|
* |
* | |
* | | head
* || head
* | 5
* | "head"
* | headd
* | limitt 5
* | stat count()
* | take 5
* | project a
* | summarize count()
* | rex x
* | mvexpand x
* | fillnull x
* | logreduce
* | search x
* | head x
* | head 0
* | head -1
* | head 99999999999
* | head 5 5
* | head 1.5
* | tail x
* | tail 0
* | limit x
* | where
* | where |
* | where (
* | where )
* | where a >
* | where > 5
* | where a = 
* | where a == == b
* | where a in
* | where a in 5
* | where a in (
* | where a in (5
* | where a in (5,)
* | where a like
* | where a like 5
* | where a like b
* | where a matches
* | where a matches /(/
* | where a not in
* | where lowr(a) = 5
* | where lower() = 5
* | where lower(a, b, c) = 5
* | where cidr(a, "x") = true
* | where cidr(a)
* | where a > 5 and
* | where (a > 5
* | where a > 5)
* | where a > 5 b >
* | where 'open > 5
* | where '' > 5
* | eval
* | eval x
* | eval x =
* | eval = 5
* | eval x = 5 5
* | eval x = 5,
* | eval x = (5
* | eval x = 5)
* | eval x = y +
* | eval x = * y
* | eval x = lowr(y)
* | eval x = lower(
* | eval x = lower(y
* | eval x = substr(y)
* | eval x = if(y)
* | eval x = replace(a, b)
* | eval x = 5x
* | eval x = 1.2.3
* | eval x = "open
* | eval x = /a/
* | eval x = lower(/a/)
* | eval x = regex_extract(y, "a")
* | eval x = regex_extract(y, /a/, 5)
* | eval x = regex_replace(y, /(/, "")
* | eval x = capture(y, "no star", 1)
* | eval x = capture(y, "*", 2)
* | eval x = hour(y, "Nowhere/City")
* | eval x = format_time(y, "%Q")
* | eval x = span(y, "wide")
* | eval x = span(y, 0)
* | eval x = json(y)
* | eval x == 5
* | fields
* | fields ,
* | fields a,
* | fields a b
* | fields - a
* | fields a as
* | fields a, a
* | stats count() | fields - x
* | stats count() | fields x
* | rename
* | rename a
* | rename a as
* | rename a b
* | rename a as b,
* | cast
* | cast a
* | cast a as
* | cast a as colour
* | cast a, b
* | stats foo()
* | stats count(
* | stats count(a
* | stats sum()
* | stats sum
* | stats sum(a,b)
* | stats percentile(a, 0)
* | stats percentile(a, x)
* | stats p0(a)
* | stats p100(a)
* | stats count() as
* | stats count() by
* | stats count() by ,
* | stats count() by a,
* | stats count() by a b
* | stats count(), count()
* | stats count() as a by a
* | stats count() by lowr(a)
* | stats count() by span(a, x)
* | timechart span=
* | timechart span=x count()
* | timechart span=0m count()
* | timechart span=-5m count()
* | timechart count() by
* | timechart count() by a, b
* | stats count() | timechart count()
* | top
* | top 0 a
* | top a b
* | top 5
* | rare
* | sort
* | sort -
* | sort a,
* | sort a b
* | stats count() | sort x
* | dedup
* | dedup 0 a
* | sample
* | sample 0
* | sample 200%
* | sample x
* | sample -5%
* | parse
* | parse a
* | parse "x"
* | parse "a*" 
* | parse "a*" as
* | parse "a*b*" as x
* | parse "a**b" as x, y
* | parse "a*" as x from
* | stats count() | parse "a*" as x
* | extract
* | extract x
* | extract /(/
* | extract /a/
* | extract /(?<n>a)
* | extract json
* | extract kv
* | extract json a as
* | expand
* | expand a b
* | stats count() | expand x
* | lookup
* | lookup t
* | lookup t a
* | lookup t a output
* | lookup t a output b,
* | join
* | join a
* | join a [
* | join a [ b
* | join a [ b ]
* | join a [ * | stats count() ]
* | join a [ * | stats count() by a
* | join a = [ * | stats count() by a ]
* | join a [ * | foo ]
* | union
* | union [
* | union [ a
* | union [ a ]
* | union [ * | stats count() ]
* | stats count() | union [ a ]
* | transaction by
* | transaction by a pause=x
* | transaction by a pause=
* | transaction by a span=0
* | transaction by a colour=5
* | transaction foo() by a
* | stats count() | transaction by count
* | sequence
* | sequence by a
* | sequence by a within=5m
* | sequence by a within=5m [ x ]
* | sequence by a within=x [ x ] [ y ]
* | sequence by a within=5m [ x ] [ y
* | sequence by a within=5m [ x ] [ user: ]
* | stats count() | patterns
* | patterns 0
* | patterns a b
* | compare 1d
* | stats count() | compare x
* | stats count() | compare 1d 2d
* | baseline a
* | stats count() | baseline
* | stats count() | baseline x
* | stats count() | baseline count window=1
* | outlier a
* | stats count() | outlier count threshold=0
* | stats count() | outlier count threshold=x
* | stats count() | where root
* | stats count() | where x > 5
"#;

/// What is not as it should be in the answer to a wrong query.
fn check(query: &str) -> Option<String> {
    let Err(faults) = parse(query) else { return Some(format!("{query:?} is understood")) };
    let bad = faults.iter().find(|fault| {
        let inside = fault.from <= fault.to && fault.to <= query.len();
        let whole = |at| query.is_char_boundary(at);
        let marked = fault.from < fault.to || fault.from == query.len();
        let said = (10..300).contains(&fault.message.len());
        let hinted = fault.hint.as_ref().is_some_and(|hint| hint.len() > 3);
        !(inside && whole(fault.from) && whole(fault.to) && marked && said && hinted)
    });
    bad.map(|fault| format!("{query:?}: {fault:?}"))
}

#[test]
fn each_is_answered_with_a_place_and_a_hint() {
    let wrong: Vec<&str> = WRONG.lines().filter(|line| !line.is_empty()).collect();
    assert!(wrong.len() >= 200, "there are {}", wrong.len());
    let bad: Vec<String> = wrong.into_iter().filter_map(check).collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn what_is_built_to_blow_up_is_refused() {
    for query in [
        "(".repeat(100_000),
        "(".repeat(30_000) + &")".repeat(30_000),
        "not ".repeat(10_000) + "a",
        "-".repeat(10_000) + "a",
        format!("* | where {}a > 5{}", "(".repeat(20_000), ")".repeat(20_000)),
        format!("* | where {}x", "(".repeat(20_000)),
        format!("* | eval x = {}1", "-".repeat(20_000)),
        format!("* | eval x = {}1", "not ".repeat(10_000)),
        format!("* | eval x = {}", "lower(".repeat(10_000)),
        format!("* | eval x = {}", vec!["1"; 20_000].join("+")),
        format!("a:/{}a{}/", "(".repeat(1000), ")".repeat(1000)),
        "a:/a{1000}{1000}{1000}/".to_string(),
        vec!["a:/b+/"; 1000].join(" or "),
        vec!["a"; 30_000].join(" or "),
        "* | head 5".to_string() + &" | head 5".repeat(1000),
        format!("* | fields {}", (0..5000).map(|i| format!("a{i}")).collect::<Vec<_>>().join(",")),
        "* | join a [ ".repeat(5000),
        "x ".repeat(100_000),
    ] {
        let Err(faults) = parse(&query) else { panic!("{} is understood", &query[..40]) };
        for fault in faults {
            let start = &query[..query.len().min(40)];
            assert!(fault.message.len() < 300, "{start}: {fault:?}");
            assert!(fault.hint.is_some(), "{start}: {fault:?}");
        }
    }
}
