//! What a server is found to be: while it loads, behind a guarded door, and where the entry says otherwise.

use super::*;
use crate::engine::protocol::Runner;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const LOADING: &str = r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#;
const PROPS: &str = r#"{"default_generation_settings":{"n_ctx":4096},"chat_template":"x"}"#;
const MODELS: &str = r#"{"data":[{"id":"m"}]}"#;

/// llama.cpp's server, which loads for so many questions.
fn loads_for(questions: usize) -> Stand {
    let asked_so_far = AtomicUsize::new(0);
    Stand::start(move |asked| match asked.path.as_str() {
        _ if asked_so_far.fetch_add(1, Ordering::Relaxed) < questions => {
            status("503 Service Unavailable", LOADING)
        }
        "/props" => json(PROPS),
        "/v1/models" => json(MODELS),
        _ => not_found(),
    })
}

fn api_of(loaded: &Loaded) -> Api {
    let Runner::Server { api, .. } = &loaded.runner else { panic!("{:?}", loaded.runner) };
    *api
}

#[test]
fn a_server_that_is_loading_is_waited_for_and_found_to_be_what_it_is() {
    for api in [Api::Auto, Api::Llama] {
        let stand = loads_for(3);
        let loaded = Bench::new(quick()).try_load(entry(&stand.address, api)).unwrap();
        assert_eq!(api_of(&loaded), Api::Llama);
        assert_eq!(stand.asked("/props").len(), 4);
    }
}

#[test]
fn a_server_that_loads_without_end_is_left_and_a_cancel_ends_the_wait() {
    let stand = loads_for(usize::MAX);
    let said = Bench::new(quick()).try_load(entry(&stand.address, Api::Auto)).unwrap_err();
    assert!(said.contains("is still loading its model") && said.contains("second"), "{said}");

    let mut bench = Bench::new(Limits::default());
    let load = Job::Load { entry: Box::new(entry(&stand.address, Api::Auto)), params: LoadParams::default() };
    let id = bench.send(Request::Job(load));
    let before = stand.asked("/props").len();
    while stand.asked("/props").len() == before {
        thread::yield_now();
    }
    let begun = Instant::now();
    bench.send(Request::Immediate(Immediate::Cancel { target: id }));
    assert!(matches!(bench.all(id).pop(), Some(Event::Failed(_))));
    assert!(begun.elapsed() < Duration::from_millis(400), "{:?}", begun.elapsed());
}

/// A server whose paths are closed but for those of `OpenAI`'s.
fn guarded(closed: impl Fn() -> Reply + Send + Sync + 'static) -> Stand {
    Stand::start(move |asked| match asked.path.as_str() {
        "/v1/models" => json(MODELS),
        _ => closed(),
    })
}

#[test]
fn a_guarded_root_is_no_refusal_of_the_server() {
    let login = || Reply { headers: "Location: /login\r\n".into(), ..status("302 Found", "") };
    let closed: [fn() -> Reply; 5] = [
        || status("403 Forbidden", r#"{"error":"x"}"#),
        || status("401 Unauthorized", "{}"),
        login,
        || status("500 Internal Server Error", ""),
        || reply("text/html", "<html>"),
    ];
    for closed in closed {
        let stand = guarded(closed);
        let loaded = Bench::new(quick()).try_load(entry(&stand.address, Api::Auto)).unwrap();
        assert_eq!((api_of(&loaded), loaded.facts.name.as_str()), (Api::OpenAi, "m"));
    }
    // Of its own server it is one: llama.cpp's lists its models to all.
    let stand = Stand::start(|asked| match asked.path.as_str() {
        "/v1/models" => json(r#"{"data":[{"id":"m","owned_by":"llamacpp"}]}"#),
        _ => status("401 Unauthorized", r#"{"error":{"message":"Invalid API Key"}}"#),
    });
    let said = Bench::new(quick()).try_load(entry(&stand.address, Api::Auto)).unwrap_err();
    assert!(said.contains("wants a key (HTTP 401)") && said.contains("Invalid API Key"), "{said}");
}

#[test]
fn where_a_redirect_goes_is_told_with_its_path() {
    let stand = Stand::start(|_| Reply {
        headers: "Location: /login?next=secret\r\n".into(),
        ..status("302 Found", "")
    });
    let said = Bench::new(quick()).try_load(entry(&stand.address, Api::OpenAi)).unwrap_err();
    assert!(said.contains(&format!("sends on to {}/login,", stand.address)), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn a_list_of_models_that_is_refused_is_a_note_where_the_entry_names_api_and_model() {
    let refuses = |api, id: Option<&str>, kind: &'static str| {
        let stand = Stand::start(move |_| status(kind, r#"{"error":{"message":"no list for you"}}"#));
        let mut entry = entry(&stand.address, api);
        let Source::Server(server) = &mut entry.source else { panic!() };
        server.id = id.map(str::to_owned);
        Bench::new(quick()).try_load(entry)
    };
    for kind in ["403 Forbidden", "500 Internal Server Error"] {
        let loaded = refuses(Api::OpenAi, Some("m"), kind).unwrap();
        assert_eq!(loaded.facts.name, "m");
        let note = loaded.notes.join("\n");
        assert!(note.contains("no list for you"), "{note}");
        for (api, id) in [(Api::Auto, Some("m")), (Api::OpenAi, None)] {
            let said = refuses(api, id, kind).unwrap_err();
            assert!(said.contains("no list for you") && said.contains("HTTP"), "{said}");
        }
    }
}

#[test]
fn a_server_that_the_entry_takes_for_another_is_named_as_what_it_seems_to_be() {
    let kinds = [
        (Api::Llama, "/props", PROPS),
        (Api::Vllm, "/version", r#"{"version":"0.21.0"}"#),
        (Api::SgLang, "/server_info", r#"{"max_req_input_len":1000}"#),
        (Api::Ollama, "/api/version", r#"{"version":"0.12.11"}"#),
    ];
    for (is, path, answer) in kinds {
        let stand = Stand::start(move |asked| match asked.path.as_str() {
            "/v1/models" => json(MODELS),
            asked if asked == path => json(answer),
            _ => not_found(),
        });
        for (wanted, ..) in kinds {
            let loaded = Bench::new(quick()).try_load(entry(&stand.address, wanted));
            if wanted == is {
                assert_eq!(api_of(&loaded.unwrap()), is);
                continue;
            }
            let said = loaded.unwrap_err();
            assert!(said.contains(&format!("is no {}", wanted.title())), "{said}");
            assert!(said.contains(&format!("It seems to be {}", is.title())), "{said}");
            assert!(said.contains(&format!("api = \"{}\"", is.key())), "{said}");
        }
    }
    let stand = guarded(not_found);
    let said = Bench::new(quick()).try_load(entry(&stand.address, Api::Vllm)).unwrap_err();
    assert!(said.contains("It seems to be an OpenAI-compatible server"), "{said}");
}

#[test]
fn https_to_a_server_that_speaks_http_is_told_as_that() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}/v1", listener.local_addr().unwrap());
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let _ = connection.read(&mut [0; 4096]);
            let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        }
    });
    let said = Bench::new(quick()).try_load(entry(&address, Api::Auto)).unwrap_err();
    assert!(said.contains("speaks http, not https") && said.contains("127.0.0.1:"), "{said}");
}
