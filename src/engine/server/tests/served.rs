//! The models that a server has, told without one being loaded.

use super::*;

fn served(models: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Result<Vec<String>, String> {
    let stand = Stand::start(models);
    let mut bench = Bench::new(quick());
    match bench.ask(Immediate::Served { entry: Box::new(entry(&stand.address, Api::Auto)) }) {
        Event::Served { ids, left_out } => {
            assert_eq!(left_out, 0);
            assert!(stand.log.lock().unwrap().len() == 1, "nothing else is asked");
            Ok(ids)
        }
        Event::Failed(failure) => Err(failure.message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_tells_its_models_in_its_order() {
    let ids = served(|asked| {
        assert_eq!(asked.path, "/v1/models");
        json(
            r#"{"object":"list","models":[{"name":"m"}],"data":[{"id":"b","meta":{"n_vocab":1}},{"id":"a:latest"},{"x":1}]}"#,
        )
    });
    assert_eq!(ids.unwrap(), ["b", "a:latest"]);
}

#[test]
fn why_a_server_tells_no_models_is_a_sentence() {
    let none = "names no models: is the address right?";
    for (answer, sentence) in [
        (json as fn(&'static str) -> Reply, none),
        (|_| not_found(), none),
        (|_| reply("text/html", "<html>"), none),
        (|_| status("401 Unauthorized", "{}"), "wants a key (HTTP 401)"),
        (
            |_| Reply { headers: "Location: http://x/\r\n".into(), ..status("302 Found", "") },
            "sends on to http://x/",
        ),
        (
            |_| status("500 Internal Server Error", r#"{"error":{"message":"boom"}}"#),
            "failed (HTTP 500): boom.",
        ),
        (|_| status("503 Service Unavailable", "{}"), "failed (HTTP 503)."),
    ] {
        let said = served(move |_| answer(r#"{"data":[]}"#)).unwrap_err();
        assert!(said.contains(sentence) && said.contains("127.0.0.1:"), "{said}");
    }
}

#[test]
fn of_very_many_models_it_is_told_how_many_are_left_out() {
    let all: Vec<Value> = (0..10_003).map(|n| serde_json::json!({"id": n.to_string()})).collect();
    let body = serde_json::json!({ "data": all }).to_string();
    let stand = Stand::start(move |_| json(body.clone()));
    let mut bench = Bench::new(quick());
    let event = bench.ask(Immediate::Served { entry: Box::new(entry(&stand.address, Api::Auto)) });
    let Event::Served { ids, left_out } = event else { panic!() };
    assert_eq!((ids.len(), left_out, ids[9_999].as_str()), (10_000, 3, "9999"));
}
