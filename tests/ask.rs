//! Commands that ask, over a folder and over a server: each answers both in the same words.

use std::io::Read;
use std::process::Stdio;

use serde_json::Value;

use crate::harness::{Server, failure, json_lines, pugmark, stdout};

/// A server with six logins of two users, three each, and the flags that lead to it.
struct Asked {
    server: Server,
    data: String,
    url: String,
    token: String,
    _dir: tempfile::TempDir,
}

impl Asked {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (data, token) = (dir.path().join("data"), dir.path().join("token"));
        let server = Server::start(&data);
        std::fs::write(&token, &server.token).unwrap();
        server.ingest("app", logins(&["ann", "bob", "ann", "bob", "ann", "bob"]));
        server.wait_until("the events", |s| s.search("*").len() == 6);
        let (url, path) = (format!("http://{}", server.address), |p: std::path::PathBuf| {
            p.to_str().unwrap().to_string()
        });
        Self { server, data: path(data), url, token: path(token), _dir: dir }
    }

    fn of_server(&self) -> [&str; 4] {
        ["--server", &self.url, "--token-file", &self.token]
    }

    /// What both print, which must be the same.
    #[track_caller]
    fn both(&self, args: &[&str]) -> String {
        let from_folder = stdout(&[args, &["--data", &self.data]].concat());
        let from_server = stdout(&[args, &self.of_server()[..]].concat());
        assert_eq!(from_folder, from_server, "{args:?}");
        from_folder
    }

    #[track_caller]
    fn check(&self, args: &[&str], expected: &str) {
        assert_eq!(self.both(&[args, &["--format", "csv"]].concat()), expected, "{args:?}");
    }

    /// Both say no with this exit code and these words.
    #[track_caller]
    fn refused(&self, args: &[&str], code: i32, words: &str) {
        for place in [&["--data", self.data.as_str()][..], &self.of_server()[..]] {
            let (found, said) = failure(&[args, place].concat());
            assert!(found == code && said.contains(words), "{args:?}: {found}, {said}");
        }
    }
}

fn logins(users: &[&str]) -> String {
    let line = |(n, user): (usize, &&str)| {
        format!(
            "{{\"user.name\":\"{user}\",\"message\":\"login {n} of {user} from 192.0.2.{n}\"}}\n"
        )
    };
    users.iter().enumerate().map(line).collect()
}

#[test]
fn folder_and_server_answer_alike() {
    let asked = Asked::start();
    let count = "SELECT user_name, count(*) AS n FROM events GROUP BY 1 ORDER BY 1";
    asked.check(&["sql", count], "user.name,n\nann,3\nbob,3\n");
    let patterns = asked.both(&["patterns", "user.name:ann", "--format", "json"]);
    let patterns = json_lines(&patterns);
    assert_eq!((patterns.len(), &patterns[0]["count"]), (1, &Value::from(3)), "{patterns:?}");
    asked.check(
        &["compare", "* | stats count() as n by user.name | sort user.name", "--with", "1h"],
        "user.name,n,n_before,n_change\nann,3,0,\nbob,3,0,\n",
    );
    let new = asked.both(&["compare", "user.name:bob", "--format", "json"]);
    assert!(new.contains("\"count\":3") && new.contains("count_before"), "{new}");
    for place in [&["--data", asked.data.as_str()][..], &asked.of_server()[..]] {
        let args = ["search", "* | stats count()", "--explain", "--format", "csv"];
        let steps = stdout(&[&args, place].concat());
        assert!(steps.starts_with("step,rows,ms,detail\nread and group events,1,"), "{steps}");
    }

    let fields = asked.both(&["fields", "--format", "csv"]);
    assert!(fields.starts_with("name,type,events,percent\n"), "{fields}");
    assert!(fields.contains("\nuser.name,text,6,100.0\n"), "{fields}");
    asked.check(&["fields", "--to", "2000-01-01"], "");
    asked.refused(&["fields", "--from", "soon"], 2, "no time");

    asked.refused(&["sql", "DELETE FROM events"], 2, "only");
    asked.refused(&["sql", "SELECT nothing FROM events"], 2, "nothing");
    asked.refused(&["patterns", "(("], 2, "");
    asked.refused(&["compare", "*", "--with", "soon"], 2, "");
}

#[test]
fn a_tail_prints_what_arrives() {
    let asked = Asked::start();
    let args =
        [&["tail", "user.name:zoe", "--count", "2", "--format", "json"], &asked.of_server()[..]];
    let mut tail = pugmark(&args.concat()).stdout(Stdio::piped()).spawn().unwrap();
    // It ends by itself once two have come; those that came before it listened are not shown.
    while tail.try_wait().unwrap().is_none() {
        asked.server.ingest("app", logins(&["zoe", "ann"]));
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let mut printed = String::new();
    tail.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    let events = json_lines(&printed);
    assert_eq!(events.len(), 2, "{printed}");
    assert!(events.iter().all(|event| event["user.name"] == "zoe"), "{printed}");

    let (code, said) = failure(&["tail", "--data", &asked.data]);
    assert!(code == 2 && said.contains("--server"), "{said}");
    let counted = [&["tail", "* | stats count()"], &asked.of_server()[..]].concat();
    let (code, said) = failure(&counted);
    assert!(code == 2 && said.contains("pugmark search"), "{said}");
}
