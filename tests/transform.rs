//! Users' programs: tried first, then live; a program that fails leaves events whole.

use serde_json::json;

use crate::harness::{Server, failure, json_lines, stdout};

const SHOP: &str = "sources: [shop-*]\nprogram: |\n  .shop.total = to_int!(.total)\ntests:\n  \
                    - input: 'order=17 total=5'\n    expected: {shop.total: 5, order: '17', none: null}\n";

#[test]
fn a_transform_is_tried_goes_live_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = dir.path().join("shop.yaml");
    std::fs::write(&file, SHOP).unwrap();
    let (data_arg, file) = (data.display().to_string(), file.display().to_string());
    let samples = dir.path().join("samples.log");
    std::fs::write(&samples, "order=18 total=7\norder=19 total=none\n").unwrap();
    let samples = samples.display().to_string();
    let tried = stdout(&["transform", "test", &file, &samples]);
    assert!(tried.contains("shop.total: - -> 7") && tried.contains("1 passed"), "{tried}");
    assert!(tried.contains("-> time_missing,transform_failed"), "{tried}");
    let parsed = stdout(&["parse", &samples, "--transform", &file, "--format", "json"]);
    assert_eq!(json_lines(&parsed)[0]["shop.total"], 7, "{parsed}");

    std::fs::create_dir_all(data.join("transforms")).unwrap();
    std::fs::copy(&file, data.join("transforms/shop.yaml")).unwrap();
    std::fs::write(data.join("transforms/broken.yaml"), "sources: [a]\nprogram: .a = now()")
        .unwrap();
    let (code, listed) =
        failure(&["transform", "list", &data.join("transforms").to_string_lossy()]);
    assert_eq!(code, 1, "{listed}");

    let server = Server::start(&data);
    server.ingest("shop-1", "order=1 total=5\norder=2 total=none");
    server.ingest("other", "order=3 total=5");
    server.wait_until("the records", |s| s.search("order:*").len() == 3);
    let check = |server: &Server| {
        let good = server.search("shop.total:5");
        assert_eq!(good.len(), 1, "{good:?}");
        assert_eq!(good[0]["order"], "1");
        let failed = server.search("event.issues:*transform_failed*");
        assert_eq!(failed.len(), 1, "{failed:?}");
        let row = (&failed[0]["order"], &failed[0]["total"], &failed[0]["event.original"]);
        assert_eq!(row, (&json!("2"), &json!("none"), &json!("order=2 total=none")));
    };
    check(&server);
    let status = server.json("/api/v1/status");
    let trouble = status["transforms"].as_array().unwrap();
    assert_eq!(trouble.len(), 2, "{status}");
    assert_eq!((&trouble[1]["name"], &trouble[1]["failed"]), (&json!("shop"), &json!(1)));
    // The same bytes give the same event.
    let before = server.search("order:*");
    server.stop();
    stdout(&["reparse", "--source", "shop-1", "--data", &data_arg]);
    let server = Server::start(&data);
    check(&server);
    assert_eq!(server.search("order:*"), before);

    // Without its transform, the past can be read again too.
    std::fs::remove_file(data.join("transforms/shop.yaml")).unwrap();
    server.wait_until("the folder to be read", |s| {
        s.json("/api/v1/transforms")["transforms"].as_array().unwrap().len() == 1
    });
    let state = server.json("/api/v1/transforms");
    assert_eq!(state["problems"][0]["name"], "broken", "{state}");
    assert!(state["problems"][0]["hint"].as_str().unwrap().contains("clock"), "{state}");
}
