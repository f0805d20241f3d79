//! Saved searches on the command line, one that is asked by itself, and answers as Parquet files.

use serde_json::Value;

use crate::harness::{Server, failure, pugmark, stdout};

struct Saved {
    server: Server,
    data: String,
    url: String,
    token: String,
    dir: tempfile::TempDir,
}

impl Saved {
    /// A server with three logins of a minute and a half ago.
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
        let (data, token) = (path("data"), path("token"));
        let server = Server::start(dir.path().join("data").as_path());
        std::fs::write(&token, &server.token).unwrap();
        let at = chrono::Utc::now() - chrono::TimeDelta::seconds(90);
        let login = |user: &str| {
            format!("{{\"@timestamp\":\"{}\",\"user.name\":\"{user}\"}}\n", at.to_rfc3339())
        };
        server.ingest("app", ["ann", "bob", "ann"].map(login).concat());
        server.wait_until("the events", |s| s.search("*").len() == 3);
        let url = format!("http://{}", server.address);
        Self { server, data, url, token, dir }
    }

    fn of_server(&self) -> [&str; 4] {
        ["--server", &self.url, "--token-file", &self.token]
    }

    /// What a command prints over the server.
    #[track_caller]
    fn asked(&self, args: &[&str]) -> String {
        stdout(&[args, &self.of_server()[..]].concat())
    }

    /// What a command prints over folder and server, which must be the same.
    #[track_caller]
    fn both(&self, args: &[&str]) -> String {
        let from_folder = stdout(&[args, &["--data", &self.data]].concat());
        assert_eq!(from_folder, self.asked(args), "{args:?}");
        from_folder
    }
}

const QUERY: &str = "* | stats count() as n by user.name | sort user.name";

#[test]
fn searches_are_saved_run_and_deleted() {
    let saved = Saved::start();
    let save = ["saved", "save", "logins by user", QUERY, "--from", "now-1h"];
    assert_eq!(saved.asked(&save), "Saved logins by user.\n");
    let list = saved.both(&["saved", "list", "--format", "csv"]);
    assert!(list.contains(&format!("logins by user,{QUERY},now-1h,,,,\n")), "{list}");
    let shown: Value =
        serde_json::from_str(&saved.both(&["saved", "show", "logins by user"])).unwrap();
    assert_eq!((&shown["query"], &shown["schedule"]), (&Value::from(QUERY), &Value::Null));
    let run = ["saved", "run", "logins by user", "--format", "csv"];
    assert_eq!(saved.both(&run), "user.name,n\nann,2\nbob,1\n");
    // Another range is a whole one.
    let other = [&run[..], &["--to", "now-1d"]].concat();
    assert_eq!(saved.both(&other), "");

    assert!(saved.asked(&["saved", "delete", "logins by user"]).contains("is deleted"));
    for place in [&["--data", saved.data.as_str()][..], &saved.of_server()[..]] {
        let (code, said) = failure(&[&["saved", "run", "logins by user"], place].concat());
        assert!(code == 1 && said.contains("there is no saved search with this name"), "{said}");
    }
    let (code, said) = failure(&["saved", "save", "a", "*", "--data", &saved.data]);
    assert!(code == 2 && said.contains("--server"), "{said}");
    let (code, said) = failure(&[&["saved", "save", "a", "("], &saved.of_server()[..]].concat());
    assert_eq!(code, 2, "{said}");
}

#[test]
fn a_row_of_a_scheduled_search_becomes_an_alert_once() {
    let saved = Saved::start();
    let save = ["saved", "save", "who", QUERY, "--every", "1m", "--level", "critical"];
    assert_eq!(saved.asked(&save), "Saved who; it is asked every 1m.\n");
    // What is not named stays.
    assert_eq!(saved.asked(&save[..4]), "Saved who; it is asked every 1m.\n");
    let never = ["saved", "save", "idle", QUERY, "--level", "low"];
    let (code, said) = failure(&[&never[..], &saved.of_server()[..]].concat());
    assert!(code == 2 && said.contains("--every"), "{said}");
    let alerts = |server: &Server| {
        let found = server.json("/api/v1/alerts?rule=saved-search:who");
        found["alerts"].as_array().unwrap().clone()
    };
    saved.server.wait_until("the alerts", |server| alerts(server).len() == 2);
    for alert in alerts(&saved.server) {
        assert_eq!(
            (&alert["severity"], &alert["count"]),
            (&Value::from("critical"), &Value::from(1))
        );
        assert_eq!(alert["why"][0]["value"], QUERY);
    }
    // Another process goes on where this one was, and says nothing twice.
    let Saved { server, data, .. } = saved;
    server.stop();
    let server = Server::start(std::path::Path::new(&data));
    let done = |server: &Server| server.json("/api/v1/searches/who")["run"]["last_run"].clone();
    assert!(done(&server).is_string());
    assert!(alerts(&server).iter().all(|alert| alert["count"] == 1));
}

#[test]
fn answers_become_parquet_files() {
    let saved = Saved::start();
    let sql = "SELECT user_name, count(*) AS n FROM events GROUP BY 1";
    for (n, question) in [["search", "*"], ["search", QUERY], ["sql", sql]].iter().enumerate() {
        for place in [&["--data", saved.data.as_str()][..], &saved.of_server()[..]] {
            let file = saved.dir.path().join(format!("{n}.parquet"));
            let output = ["--format", "parquet", "--output", file.to_str().unwrap()];
            let printed = stdout(&[&question[..], &output, place].concat());
            let bytes = std::fs::read(&file).unwrap();
            assert_eq!(printed, "", "{question:?}");
            assert!(
                bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"),
                "{question:?} {place:?}"
            );
            // Without a file it goes where the output goes.
            let piped = [&question[..], &["--format", "parquet"], place].concat();
            let piped = pugmark(&piped).output().unwrap();
            assert!(piped.status.success() && piped.stdout.ends_with(b"PAR1"), "{question:?}");
        }
    }
    let file = saved.dir.path().join("logins.csv");
    let csv = ["search", QUERY, "--format", "csv", "--output", file.to_str().unwrap()];
    assert_eq!(saved.both(&csv), "");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "user.name,n\nann,2\nbob,1\n");
    // What is there stays until an answer is whole.
    for place in [&["--data", saved.data.as_str()][..], &saved.of_server()[..]] {
        for format in ["csv", "parquet"] {
            let question = ["search", "(", "--format", format, "--output", file.to_str().unwrap()];
            failure(&[&question[..], place].concat());
            let kept = std::fs::read_to_string(&file).unwrap();
            assert_eq!(kept, "user.name,n\nann,2\nbob,1\n", "{format} {place:?}");
        }
    }
    let refused = ["search", "*", "--explain", "--format", "parquet", "--data", &saved.data];
    let (code, said) = failure(&refused);
    assert!(code == 2 && said.contains("Parquet"), "{said}");
}
