//! Each kind of server, its recorded answers replayed.

use super::*;
use crate::chat::StopReason;
use crate::engine::protocol::{Capability, Odds, Runner, Score};
use crate::token::TokenKind;

/// A chat completion as most servers stream it, with what makes it hard to read.
const OPENAI: &str = concat!(
    ": keep-alive\r\n\r\n",
    r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}"#,
    "\r\n\r\n",
    r#"data: {"choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":{"content":[{"token":"Hi","logprob":-0.25,"bytes":[72,105],"#,
    r#""top_logprobs":[{"token":"Hi","logprob":-0.25,"bytes":[72,105]},{"token":"Yo","logprob":-2.0,"bytes":[89,111]},"#,
    r#"{"token":"So","logprob":-3.0,"bytes":[83,111]}]}]},"finish_reason":null}]}"#,
    "\n\n",
    // A character in two tokens, which comes with the second.
    r#"data: {"choices":[{"index":0,"delta":{"content":"€"},"logprobs":{"content":[{"token":"\\xe2\\x82","logprob":-1.0,"bytes":[226,130],"top_logprobs":[]},"#,
    r#"{"token":"\\xac","logprob":-0.5,"bytes":[172],"top_logprobs":[{"token":"\\xac","logprob":-0.5,"bytes":[172]},{"token":"!","logprob":-4.0,"bytes":[33]}]}]}}]}"#,
    "\n\n",
    r#"data: {"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}"#,
    "\n\n",
    r#"data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":5}}}"#,
    "\n\ndata: [DONE]\n\n"
);

const MODELS: &str = r#"{"object":"list","data":[{"id":"first"},{"id":"second"}]}"#;

fn openai(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Stand {
    Stand::start(move |asked| match asked.path.as_str() {
        "/v1/models" => json(MODELS),
        "/v1/chat/completions" => answer(asked),
        _ => not_found(),
    })
}

#[test]
fn a_chat_completion_gives_texts_odds_and_nothing_that_was_not_said() {
    let stand = openai(|_| stream(OPENAI));
    let mut bench = Bench::new(quick());
    let loaded = bench.try_load(entry(&stand.address, Api::Auto)).unwrap();
    let host = stand.address.trim_start_matches("http://").to_owned();
    assert_eq!(loaded.runner, Runner::Server { api: Api::OpenAi, host: host.clone() });
    assert_eq!((loaded.odds, loaded.facts.name.as_str()), (Odds::Top(20), "first"));
    assert_eq!(loaded.device, format!("OpenAI-compatible server at {host}"));
    assert!(!loaded.capabilities.has(Capability::Ids) && loaded.notes.is_empty(), "{:?}", loaded.notes);

    let answer = bench.generate(chat("Hello"));
    let texts = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    let of = |text: &str, lp, rank, all: &[&str]| (text.to_owned(), Some(lp), rank, texts(all));
    let half = |text: &[u8], lp, rank, all: &[&str]| of(&String::from_utf8_lossy(text), lp, rank, all);
    assert_eq!(
        answer.figures(),
        [
            of("Hi", -25, 1, &["Hi", "Yo", "So"]),
            half(b"\xe2\x82", -100, 0, &[]),
            half(b"\xac", -50, 1, &["\u{fffd}", "!"]),
        ]
    );
    assert!(answer.written.iter().all(|written| written.step.id.unwrap().is_stand_in()));
    assert_eq!(answer.written.iter().map(|written| written.index).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!((answer.text().as_str(), answer.prompt.seed), ("Hi€", 7));
    let Event::Done { stop, usage, .. } = &answer.end else { panic!("{answer:?}") };
    assert_eq!(
        (*stop, usage.prompt_tokens, usage.completion_tokens, usage.reused_tokens),
        (StopReason::Eos, 9, 3, 5)
    );

    let asked = &stand.asked("/v1/chat/completions")[0].body;
    assert_eq!(asked["model"], "first");
    assert_eq!(asked["messages"], serde_json::json!([{"role": "user", "content": "Hello"}]));
    assert_eq!((&asked["logprobs"], &asked["top_logprobs"]), (&true.into(), &3.into()));
    assert_eq!(asked["stream_options"]["include_usage"], true);
    let note = &answer.prompt.notes[0];
    assert!(note.contains("top_k, min_p"), "{note}");
    assert_eq!(bench.generate(chat("Again")).prompt.notes, [""; 0], "said once");
}

#[test]
fn stand_ins_are_the_same_in_another_session() {
    let ids = || {
        let stand = openai(|_| stream(OPENAI));
        let mut bench = Bench::new(quick());
        bench.try_load(entry(&stand.address, Api::OpenAi)).unwrap();
        let answer = bench.generate(chat("Hello"));
        let Event::Vocabulary(vocabulary) = bench.ask(Immediate::Vocabulary) else { panic!() };
        assert_eq!(vocabulary.hash, "texts");
        assert_eq!(vocabulary.bytes(answer.written[0].step.id.unwrap()), Some(&b"Hi"[..]));
        answer.written.iter().map(|written| written.step.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(), ids());
}

#[test]
fn what_is_thought_apart_is_marked_and_said() {
    let delta = |delta: &str| format!("data: {{\"choices\":[{{\"delta\":{{{delta}}}}}]}}\n\n");
    let body = [
        delta(r#""reasoning_content":"Hm""#),
        delta(r#""reasoning_content":"m.","content":null"#),
        delta(r#""content":"Yes.""#),
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n".into(),
    ];
    let stand = openai(move |_| stream(body.concat()));
    let mut bench = Bench::new(quick());
    bench.try_load(entry(&stand.address, Api::OpenAi)).unwrap();
    let answer = bench.generate(chat("Think"));
    assert_eq!(answer.text(), "<think>\nHmm.\n</think>\n\nYes.");
    assert!(
        answer.prompt.notes.iter().any(|note| note.contains("apart from the answer")),
        "{:?}",
        answer.prompt
    );
    assert!(answer.written.iter().all(|written| written.step.id.is_none() && written.step.logprob.is_nan()));
}

#[test]
fn thoughts_between_parts_of_an_answer_are_none_of_it() {
    use crate::reasoning::{Kind, Split};

    for (order, answer, thoughts) in [("tata", "BD", "AC"), ("ata", "AC", "B")] {
        let delta = |(place, what): (usize, char)| {
            let name = if what == 't' { "reasoning" } else { "content" };
            let text = ["A", "B", "C", "D"][place];
            format!("data: {{\"choices\":[{{\"delta\":{{\"{name}\":\"{text}\"}}}}]}}\n\n")
        };
        let body: String = order.chars().enumerate().map(delta).collect();
        let stand = openai(move |_| stream(format!("{body}data: [DONE]\n\n")));
        let mut bench = Bench::new(quick());
        bench.try_load(entry(&stand.address, Api::OpenAi)).unwrap();
        let reply = bench.generate(chat("Think"));
        let Event::Vocabulary(vocabulary) = bench.ask(Immediate::Vocabulary) else { panic!() };
        let pieces = reply.written.iter().map(|written| {
            let step = &written.step;
            let name = step.id.filter(|_| step.bytes.is_empty()).and_then(|id| vocabulary.bytes(id));
            (step.bytes.as_slice(), name)
        });
        let split = Split::of(None, pieces);
        let whole = reply.text().into_bytes();
        let text = |kind| String::from_utf8(split.text(&whole, kind)).unwrap();
        assert_eq!(
            (text(Kind::Answer).as_str(), text(Kind::Thought).as_str()),
            (answer, thoughts),
            "{order}"
        );
    }
}

#[test]
fn missing_log_probabilities_are_noticed_and_said_once() {
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"length\"}]}\n\n";
    let stand = openai(move |_| stream(body));
    let mut bench = Bench::new(quick());
    bench.try_load(entry(&stand.address, Api::OpenAi)).unwrap();
    let says = |answer: &Answer| answer.prompt.notes.iter().any(|note| note.contains("no log-probabilities"));
    let first = bench.generate(chat("a"));
    assert!(says(&first), "{first:?}");
    assert!(matches!(first.end, Event::Done { stop: StopReason::Length, .. }));
    assert!(!says(&bench.generate(chat("b"))));
}

#[test]
fn a_stop_text_ends_the_reply_before_it() {
    let stand = openai(|_| stream(OPENAI));
    let mut bench = Bench::new(quick());
    bench.try_load(entry(&stand.address, Api::OpenAi)).unwrap();
    let mut generate = chat("a");
    generate.sampling.stop = vec!["€".into()];
    let answer = bench.generate(generate);
    assert_eq!(answer.text(), "Hi");
    assert!(matches!(answer.end, Event::Done { stop: StopReason::Stop, .. }));
}

#[test]
fn step_mode_gives_a_token_at_a_time() {
    let stand = openai(|_| stream(OPENAI));
    let mut bench = Bench::new(quick());
    bench.try_load(entry(&stand.address, Api::OpenAi)).unwrap();
    let id = bench.send(Request::Job(Job::Generate(Box::new(Generate { allow: Some(1), ..chat("a") }))));
    let until_pause = |bench: &Bench| {
        let mut tokens = 0;
        loop {
            match bench.next(id) {
                Event::Token(_) => tokens += 1,
                Event::Paused => return tokens,
                _ => {}
            }
        }
    };
    assert_eq!(until_pause(&bench), 1);
    bench.send(Request::Immediate(Immediate::Pace { target: id, allow: Some(1) }));
    assert_eq!(until_pause(&bench), 1);
    bench.send(Request::Immediate(Immediate::Cancel { target: id }));
    assert!(matches!(bench.all(id).pop(), Some(Event::Done { stop: StopReason::Cancelled, .. })));
}

/// As version 9743 of llama.cpp's server answers.
mod llama {
    pub(super) const PROPS: &str = r#"{"default_generation_settings":{"n_ctx":4096},"total_slots":1,"chat_template":"x","build_info":"b9743"}"#;
    pub(super) const MODELS: &str = r#"{"data":[{"id":"smollm2.gguf","meta":{"n_vocab":49152,"n_ctx_train":8192,"n_params":134515008,"size":91726848}}]}"#;
    pub(super) const TOKENS: &str =
        r#"{"tokens":[{"id":1,"piece":"<|im_start|>"},{"id":4093,"piece":"user"},{"id":198,"piece":[10]}]}"#;
    pub(super) const COMPLETION: &str = concat!(
        r#"data: {"index":0,"content":"","tokens":[],"stop":false,"id_slot":-1,"tokens_predicted":0,"tokens_evaluated":3,"prompt_progress":{"total":3,"cache":1,"processed":3,"time_ms":8}}"#,
        "\n\n",
        r#"data: {"index":0,"content":"Hi","tokens":[25],"stop":false,"id_slot":0,"tokens_predicted":1,"tokens_evaluated":3,"completion_probabilities":[{"id":25,"token":"Hi","bytes":[72,105],"logprob":-0.5,"#,
        r#""top_logprobs":[{"id":25,"token":"Hi","bytes":[72,105],"logprob":-0.5},{"id":2,"token":"","bytes":[],"logprob":-1.5},{"id":9,"token":"\u00e2","bytes":[226],"logprob":-2.5}]}]}"#,
        "\n\n",
        // Two tokens of one character: only the second is sent, with the text of both.
        r#"data: {"index":0,"content":"€","tokens":[30],"stop":false,"id_slot":0,"tokens_predicted":3,"tokens_evaluated":3,"completion_probabilities":[{"id":30,"token":"€","bytes":[226,130,172],"logprob":-0.1,"#,
        r#""top_logprobs":[{"id":30,"token":"","bytes":[172],"logprob":-0.1}]}]}"#,
        "\n\n",
        r#"data: {"index":0,"content":"","tokens":[2],"stop":false,"id_slot":0,"tokens_predicted":4,"tokens_evaluated":3,"completion_probabilities":[{"id":2,"token":"","bytes":[],"logprob":-0.2,"top_logprobs":[]}]}"#,
        "\n\n",
        r#"data: {"index":0,"content":"","tokens":[],"id_slot":0,"stop":true,"tokens_predicted":4,"tokens_evaluated":3,"truncated":false,"stop_type":"eos","timings":{"cache_n":1,"prompt_n":2}}"#,
        "\n\n"
    );
}

fn llama_server() -> Stand {
    Stand::start(|asked| match asked.path.as_str() {
        "/props" => json(llama::PROPS),
        "/v1/models" => json(llama::MODELS),
        "/apply-template" => json(r#"{"prompt":"<|im_start|>user\n"}"#),
        "/tokenize" if asked.body["parse_special"] == false => json(r#"{"tokens":[{"id":44,"piece":"<"}]}"#),
        "/tokenize" => json(llama::TOKENS),
        "/detokenize" => json(r#"{"content":"<|im_end|>"}"#),
        "/completion" => stream(llama::COMPLETION),
        _ => not_found(),
    })
}

#[test]
fn llama_cpps_server_is_asked_by_ids_and_tells_them() {
    let stand = llama_server();
    let mut bench = Bench::new(quick());
    let loaded = bench.try_load(entry(&format!("{}/v1", stand.address), Api::Auto)).unwrap();
    assert!(loaded.device.starts_with("llama.cpp server at 127.0.0.1:"), "{}", loaded.device);
    assert_eq!(
        (loaded.context, loaded.facts.vocabulary_size, loaded.facts.context_length),
        (4096, 49152, 8192)
    );
    assert!(loaded.capabilities.has(Capability::Ids) && !loaded.capabilities.has(Capability::Scores));

    let answer = bench.generate(chat("Hello"));
    let ids = |ids: &[i32]| ids.iter().map(|id| TokenId(*id)).collect::<Vec<_>>();
    assert_eq!((answer.prompt.ids.clone(), answer.prompt.reused), (ids(&[1, 4093, 198]), 1));
    assert_eq!(answer.prompt.text, "<|im_start|>user\n");
    let of =
        |written: &Written| (written.step.id.map(|id| id.0), written.step.bytes.clone(), written.step.rank);
    let written: Vec<_> = answer.written.iter().map(of).collect();
    // What was not sent stays unknown; the token that ended the reply is not part of it.
    assert_eq!(
        written,
        [(Some(25), b"Hi".to_vec(), 1), (None, b"\xe2\x82".to_vec(), 0), (Some(30), b"\xac".to_vec(), 1)]
    );
    let Event::Done { stop, usage, .. } = answer.end else { panic!() };
    assert_eq!((stop, usage.prompt_tokens, usage.reused_tokens), (StopReason::Eos, 3, 1));

    let Event::Vocabulary(vocabulary) = bench.ask(Immediate::Vocabulary) else { panic!() };
    assert_eq!(
        (vocabulary.bytes(TokenId(9)), vocabulary.bytes(TokenId(30))),
        (Some(&[226][..]), Some(&[172][..]))
    );
    let marks = [TokenId(1), TokenId(2)].map(|id| (vocabulary.kind(id), vocabulary.spelt(&[id])));
    assert_eq!(
        marks,
        [(TokenKind::Control, "<|im_start|>".into()), (TokenKind::Control, "<|im_end|>".into())]
    );

    let asked = &stand.asked("/completion")[0].body;
    assert_eq!((&asked["prompt"], &asked["n_probs"]), (&serde_json::json!([1, 4093, 198]), &3.into()));
    assert_eq!((&asked["post_sampling_probs"], &asked["cache_prompt"]), (&false.into(), &true.into()));
    assert_eq!(asked["samplers"][0], "penalties");
}

#[test]
fn a_branch_is_taken_by_ids() {
    let stand = llama_server();
    let mut bench = Bench::new(quick());
    bench.try_load(entry(&stand.address, Api::Llama)).unwrap();
    let answer = bench.generate(go_on(&[1, 4093], &[25]));
    assert_eq!(stand.asked("/completion")[0].body["prompt"], serde_json::json!([1, 4093, 25]));
    assert_eq!(answer.prompt.ids, [TokenId(1), TokenId(4093)]);
    assert_eq!(answer.written[0].index, 1, "the taken one was the first");
    let refused = bench.generate(go_on(&[1, -5], &[]));
    assert!(refused.failure().contains("not known"), "{}", refused.failure());
}

#[test]
fn llama_cpps_server_shows_prompts_and_counts_tokens() {
    let stand = llama_server();
    let mut bench = Bench::new(quick());
    bench.try_load(entry(&stand.address, Api::Llama)).unwrap();
    let Event::Rendered(rendered) = bench.ask(Immediate::Render(Box::new(chat("Hello").prompt))) else {
        panic!()
    };
    assert_eq!((rendered.ids.len(), rendered.text.as_str()), (3, "<|im_start|>user\n"));
    let tokenize = Immediate::Tokenize { text: "x".into(), special: true, begin: false };
    let Event::Tokenized { tokens } = bench.ask(tokenize) else { panic!() };
    assert_eq!((tokens[1].0, tokens[2].1.as_slice()), (TokenId(4093), &b"\n"[..]));
}

/// As vLLM answers.
mod vllm {
    pub(super) const COMPLETION: &str = concat!(
        r#"data: {"id":"c","object":"text_completion","choices":[{"index":0,"text":"Hi","token_ids":[25],"prompt_token_ids":[7,8],"logprobs":{"text_offset":[0],"token_logprobs":[-0.5],"#,
        r#""tokens":["token_id:25"],"top_logprobs":[{"token_id:25":-0.5,"token_id:26":-1.5,"token_id:27":-9999.0}]},"finish_reason":null,"stop_reason":null}]}"#,
        "\n\n",
        r#"data: {"id":"c","choices":[{"index":0,"text":"","logprobs":{"tokens":["token_id:2"],"token_logprobs":[-0.1],"top_logprobs":[{"token_id:2":-0.1}]},"finish_reason":"stop","stop_reason":null}]}"#,
        "\n\n",
        r#"data: {"id":"c","choices":[],"usage":{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4}}"#,
        "\n\ndata: [DONE]\n\n"
    );
    pub(super) const SCORE: &str = concat!(
        r#"{"choices":[{"index":0,"text":"!","prompt_logprobs":[null,{"8":{"logprob":-2.0,"rank":4,"decoded_token":" b"},"#,
        r#""9":{"logprob":-0.3,"rank":1,"decoded_token":" c"}},{"7":{"logprob":-9999.0,"rank":3,"decoded_token":"a"}}]}],"usage":{"prompt_tokens":3}}"#
    );
}

fn vllm_server() -> Stand {
    Stand::start(|asked| match asked.path.as_str() {
        "/version" => json(r#"{"version":"0.21.0"}"#),
        "/v1/models" => json(r#"{"data":[{"id":"org/m","max_model_len":512}]}"#),
        "/tokenize" if asked.body["messages"].is_array() => {
            json(r#"{"count":2,"max_model_len":512,"tokens":[7,8]}"#)
        }
        "/tokenize" => json(r#"{"count":1,"tokens":[64]}"#),
        "/detokenize" => {
            // A decoder that drops a blank at the beginning.
            let ids: Vec<i64> =
                asked.body["tokens"].as_array().unwrap().iter().filter_map(Value::as_i64).collect();
            let text: String =
                ids.iter().map(|id| if *id == 64 { "a".into() } else { format!(" t{id}") }).collect();
            json(serde_json::json!({"prompt": text.trim_start()}).to_string())
        }
        "/v1/completions" if asked.body["prompt_logprobs"].is_number() => json(vllm::SCORE),
        "/v1/completions" => stream(vllm::COMPLETION),
        _ => not_found(),
    })
}

#[test]
fn vllm_is_asked_by_ids_and_its_sentinel_is_no_figure() {
    let stand = vllm_server();
    let mut bench = Bench::new(quick());
    let loaded = bench.try_load(entry(&stand.address, Api::Auto)).unwrap();
    assert!(loaded.device.starts_with("vLLM at "), "{}", loaded.device);
    assert!(loaded.capabilities.has(Capability::Scores) && loaded.context == 512);
    let answer = bench.generate(chat("Hello"));
    assert_eq!(answer.figures(), [("Hi".into(), Some(-50), 1, vec![" t25".into(), " t26".into()])]);
    assert_eq!((answer.prompt.ids.len(), answer.written[0].step.id), (2, Some(TokenId(25))));
    assert!(matches!(answer.end, Event::Done { stop: StopReason::Eos, .. }));
    let asked = &stand.asked("/v1/completions")[0].body;
    assert_eq!((&asked["prompt"], &asked["max_tokens"]), (&serde_json::json!([7, 8]), &510.into()));
    assert_eq!(asked["return_tokens_as_token_ids"], true);
}

#[test]
fn vllm_scores_a_given_text() {
    let stand = vllm_server();
    let mut bench = Bench::new(quick());
    bench.try_load(entry(&stand.address, Api::Vllm)).unwrap();
    let score =
        Score { ids: [1, 8, 7].map(TokenId).to_vec(), from: 1, top_logprobs: 2, interventions: Vec::new() };
    let id = bench.send(Request::Job(Job::Score(Box::new(score))));
    let events = bench.all(id);
    let Some(Event::Scores { first: 1, steps }) =
        events.iter().find(|event| matches!(event, Event::Scores { .. })).cloned()
    else {
        panic!("{events:?}")
    };
    assert_eq!((steps[0].bytes.as_slice(), steps[0].logprob, steps[0].rank), (&b" b"[..], -2.0, 4));
    assert_eq!(steps[0].candidates.iter().map(|c| c.id.0).collect::<Vec<_>>(), [9, 8]);
    assert!(steps[1].logprob.is_nan() && steps[1].candidates.is_empty(), "{:?}", steps[1]);
    assert!(matches!(events.last(), Some(Event::Scored { decoded: 3, .. })));
}

/// As SGLang answers: each event has the whole reply so far.
mod sglang {
    pub(super) const GENERATE: &str = concat!(
        r#"data: {"text":" Hi","output_ids":[25],"meta_info":{"id":"x","finish_reason":null,"prompt_tokens":2,"completion_tokens":1,"cached_tokens":1,"input_token_logprobs":[],"#,
        r#""output_token_logprobs":[[-0.5,25," Hi"]],"output_top_logprobs":[[[-0.5,25," Hi"],[-1.5,26," Yo"]]],"output_token_ids_logprobs":[[[-7.0,99," x"]]]}}"#,
        "\n\n",
        r#"data: {"text":" Hi you","output_ids":[25,30,2],"meta_info":{"id":"x","finish_reason":{"type":"stop","matched":2},"prompt_tokens":2,"completion_tokens":3,"cached_tokens":1,"#,
        r#""output_token_logprobs":[[-0.5,25," Hi"],[-0.25,30," you"],[-0.1,2,null]],"output_top_logprobs":[[[-0.5,25," Hi"]],[[-0.25,30," you"],[-3.0,31,"?"]],[]],"output_token_ids_logprobs":[[],[],[]]}}"#,
        "\n\ndata: [DONE]\n\n"
    );
    pub(super) const SCORE: &str = r#"{"text":"","meta_info":{"input_token_logprobs":[[null,8," b"],[-2.0,7,"a"]],"input_top_logprobs":[null,[[-0.5,9," c"],[-2.0,7,"a"]]]}}"#;
}

#[test]
fn sglang_is_asked_by_ids_watches_tokens_and_scores() {
    let stand = Stand::start(|asked| match asked.path.as_str() {
        "/get_server_info" => json(r#"{"max_req_input_len":1000,"model_path":"m"}"#),
        "/v1/models" => json(r#"{"data":[{"id":"m","max_model_len":1024}]}"#),
        "/generate" if asked.body["stream"] == true => stream(sglang::GENERATE),
        "/generate" => json(sglang::SCORE),
        "/v1/chat/completions" => stream(OPENAI),
        _ => not_found(),
    });
    let mut bench = Bench::new(quick());
    let loaded = bench.try_load(entry(&stand.address, Api::Auto)).unwrap();
    assert!(loaded.device.starts_with("SGLang at "), "{}", loaded.device);
    // This one does not tell the ids that a chat or a text becomes; what is asked by ids is answered all the same.
    assert_eq!(loaded.capabilities, crate::engine::protocol::Capabilities::default());
    let plan = crate::engine::protocol::CapturePlan { watch: vec![TokenId(99)], ..Default::default() };
    bench.ask(Immediate::SetCapture(plan));
    let answer = bench.generate(go_on(&[7, 8], &[]));
    assert_eq!(
        answer.figures(),
        [
            (" Hi".into(), Some(-50), 1, vec![" Hi".into(), " Yo".into()]),
            (" you".into(), Some(-25), 1, vec![" you".into(), "?".into()]),
        ]
    );
    let watched = &answer.written[0].watched[0];
    assert_eq!((watched.0.id, watched.0.logprob, watched.1), (TokenId(99), -7.0, 0));
    let all = stand.asked("/generate");
    let asked = &all.iter().find(|asked| asked.body["stream"] == true).unwrap().body;
    assert_eq!(
        (&asked["input_ids"], &asked["token_ids_logprob"]),
        (&serde_json::json!([7, 8]), &serde_json::json!([99]))
    );
    assert_eq!(bench.generate(chat("Hello")).text(), "Hi€", "chats have its other form");

    let score =
        Score { ids: [1, 8, 7].map(TokenId).to_vec(), from: 2, top_logprobs: 2, interventions: Vec::new() };
    let id = bench.send(Request::Job(Job::Score(Box::new(score))));
    let steps = bench.all(id).into_iter().find_map(|event| match event {
        Event::Scores { first: 2, steps } => Some(steps),
        _ => None,
    });
    let steps = steps.unwrap();
    assert_eq!((steps.len(), steps[0].logprob, steps[0].bytes.as_slice()), (1, -2.0, &b"a"[..]));
}

#[test]
fn texts_without_their_blank_are_not_asked_for_and_tokens_are_named_together() {
    let stand = Stand::start(|asked| match asked.path.as_str() {
        "/get_server_info" => json(r#"{"max_req_input_len":1000}"#),
        "/v1/models" => json(r#"{"data":[{"id":"m"}]}"#),
        "/tokenize" if asked.body["prompt"] == "a" => json(r#"{"tokens":[5]}"#),
        "/tokenize" if asked.body["prompt"] == "a a" => json(r#"{"tokens":[5,6]}"#),
        "/tokenize" => json(r#"{"tokens":[1,6]}"#),
        "/detokenize" if asked.body["tokens"][0].is_array() => {
            let without_marks = asked.body["skip_special_tokens"] == true;
            let text = |list: &Value| match list[1].as_i64() {
                Some(6) => "a a",
                Some(7) => "a the",
                Some(1) if !without_marks => "a<s>",
                _ => "a",
            };
            let texts: Vec<&str> = asked.body["tokens"].as_array().unwrap().iter().map(text).collect();
            json(serde_json::json!({"text": texts}).to_string())
        }
        "/detokenize" if asked.body["tokens"] == serde_json::json!([5, 6]) => json(r#"{"text":"a a"}"#),
        "/detokenize" => json(r#"{"text":"a"}"#),
        "/generate" if asked.body["stream"] == true => stream(concat!(
            r#"data: {"text":"the","meta_info":{"finish_reason":{"type":"length"},"prompt_tokens":2,"completion_tokens":1,"#,
            r#""output_token_logprobs":[[-0.5,7,null]],"output_top_logprobs":[[[-0.5,7,null],[-1.5,6,null]]]}}"#,
            "\n\ndata: [DONE]\n\n"
        )),
        _ => not_found(),
    });
    let mut bench = Bench::new(quick());
    bench.try_load(entry(&stand.address, Api::SgLang)).unwrap();
    let answer = bench.generate(chat("Hello"));
    let all = stand.asked("/generate");
    let asked = &all.iter().find(|asked| asked.body["stream"] == true).unwrap().body;
    assert_eq!(asked["return_text_in_logprobs"], false);
    let Event::Vocabulary(vocabulary) = bench.ask(Immediate::Vocabulary) else { panic!() };
    let named = |id: i32| (vocabulary.bytes(TokenId(id)).unwrap(), vocabulary.kind(TokenId(id)));
    assert_eq!(named(7), (&b" the"[..], TokenKind::Normal));
    assert_eq!(named(1), (&b"<s>"[..], TokenKind::Control));
    assert_eq!(answer.text(), "the", "what the server shows is what was written");
}

#[test]
fn ollama_is_known_by_its_version() {
    let stand = Stand::start(|asked| match asked.path.as_str() {
        "/api/version" => json(r#"{"version":"0.12.11"}"#),
        "/v1/models" => json(r#"{"object":"list","data":[{"id":"llama3.2:latest"}]}"#),
        "/v1/chat/completions" => stream(OPENAI),
        _ => not_found(),
    });
    let mut bench = Bench::new(quick());
    let loaded = bench.try_load(entry(&stand.address, Api::Auto)).unwrap();
    assert!(loaded.device.starts_with("Ollama at ") && loaded.facts.name == "llama3.2:latest");
    assert_eq!(bench.generate(chat("Hello")).text(), "Hi€");
}
