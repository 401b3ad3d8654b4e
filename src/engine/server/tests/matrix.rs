//! What a server is said to be able to do is done, one capability after the other: nothing is offered that fails.

use super::*;
use crate::engine::protocol::{Capability, CapturePlan, Rescore, Score};

/// A reply of SGLang's own, and the log-probabilities of a text of any length.
fn generated(asked: &Asked) -> Reply {
    let ids = asked.body["input_ids"].as_array().cloned().unwrap_or_default();
    let figure = |id: &Value| serde_json::json!([-0.5, id, "x"]);
    if asked.body["stream"] == true {
        let watched: Vec<Value> =
            asked.body["token_ids_logprob"].as_array().into_iter().flatten().map(figure).collect();
        let event = serde_json::json!({"text": "x", "meta_info": {
            "output_token_logprobs": [figure(&8.into())],
            "output_top_logprobs": [[figure(&8.into())]],
            "output_token_ids_logprobs": [watched],
            "prompt_tokens": ids.len(), "completion_tokens": 1, "finish_reason": {"type": "length"},
        }});
        return stream(format!("data: {event}\n\ndata: [DONE]\n\n"));
    }
    // What is tried at loading has no such place, and goes unanswered here.
    let Some(from) = asked.body["logprob_start_len"].as_u64() else { return not_found() };
    let from = from as usize;
    let figures: Vec<Value> = ids[from..].iter().map(figure).collect();
    json(serde_json::json!({"text": "", "meta_info": {"input_token_logprobs": figures}}).to_string())
}

/// An SGLang that tells the tokens of texts, of chats too, or of neither.
fn sglang(texts: bool, chats: bool) -> Stand {
    Stand::start(move |asked| match asked.path.as_str() {
        "/get_server_info" => json(r#"{"max_req_input_len":1000}"#),
        "/v1/models" => json(r#"{"data":[{"id":"m"}]}"#),
        "/generate" => generated(asked),
        "/tokenize" if asked.body["prompt"].is_string() && texts => json(r#"{"tokens":[1,2],"count":2}"#),
        "/tokenize" if asked.body["messages"].is_array() && chats => json(r#"{"tokens":[1,2,3],"count":3}"#),
        "/tokenize" if texts => status("422 Unprocessable Entity", r#"{"detail":"prompt"}"#),
        "/detokenize" if texts => {
            assert_eq!(asked.body["skip_special_tokens"], false);
            json(r#"{"text":"x"}"#)
        }
        "/v1/chat/completions" => stream(
            "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
        ),
        _ => not_found(),
    })
}

/// Does what a capability stands for; what went wrong, where it did.
fn use_it(bench: &mut Bench, capability: Capability) -> Result<(), String> {
    let wrong = |event: Event| match event {
        Event::Failed(failure) => Err(failure.message),
        _ => Ok(()),
    };
    let ids = |bench: &mut Bench| {
        let answer = bench.generate(chat("Hello"));
        let written = answer.written.iter().map(|written| written.step.id.map(|id| id.0));
        let ids: Option<Vec<i32>> = answer.prompt.ids.iter().map(|id| Some(id.0)).chain(written).collect();
        ids.filter(|ids| ids.len() > 1).ok_or_else(|| "a chat's ids are not told".to_owned())
    };
    match capability {
        Capability::Ids => {
            let ids = ids(bench)?;
            wrong(bench.generate(go_on(&ids[..ids.len() - 1], &ids[ids.len() - 1..])).end)
        }
        Capability::Continues => {
            let mut begun = chat("Hello");
            let Prompt::Chat { messages, continue_last, .. } = &mut begun.prompt else { panic!() };
            messages.push(Message::new(Role::Assistant, "Hi"));
            *continue_last = true;
            wrong(bench.generate(begun).end)
        }
        Capability::Tokenizes => {
            wrong(bench.ask(Immediate::Tokenize { text: "a".into(), special: false, begin: false }))
        }
        Capability::Renders => wrong(bench.ask(Immediate::Render(Box::new(chat("a").prompt)))),
        Capability::Scores => {
            let asked = bench.ask(Immediate::Tokenize { text: "a".into(), special: false, begin: true });
            let Event::Tokenized { tokens } = asked else { return wrong(asked) };
            let ids = tokens.iter().map(|(id, _)| *id).collect();
            let score = Score { ids, from: 1, top_logprobs: 2, interventions: Vec::new() };
            wrong(bench.last_of(Request::Job(Job::Score(Box::new(score)))))
        }
        Capability::Watches => {
            bench.ask(Immediate::SetCapture(CapturePlan {
                watch: vec![TokenId(99)],
                ..CapturePlan::default()
            }));
            let answer = bench.generate(chat("Hello"));
            let watched = answer.written.iter().all(|written| written.watched.len() == 1);
            if watched { wrong(answer.end) } else { Err("a chat's tokens are not watched".to_owned()) }
        }
        other => Err(format!("no server has {other:?}")),
    }
}

#[test]
fn all_that_an_sglang_offers_it_does_and_it_offers_what_it_can() {
    use Capability::{Ids, Renders, Scores, Tokenizes, Watches};
    for (texts, chats, expected) in [
        (false, false, &[][..]),
        (true, false, &[Scores, Tokenizes]),
        (true, true, &[Scores, Ids, Tokenizes, Renders, Watches]),
    ] {
        let stand = sglang(texts, chats);
        let mut bench = Bench::new(quick());
        let loaded = bench.try_load(entry(&stand.address, Api::Auto)).unwrap();
        let offered: Vec<Capability> =
            Capability::ALL.into_iter().filter(|one| loaded.capabilities.has(*one)).collect();
        for capability in &offered {
            let done = use_it(&mut bench, *capability);
            assert_eq!(done, Ok(()), "{capability:?}, texts {texts}, chats {chats}");
        }
        assert_eq!(offered, expected);
        assert_eq!(bench.generate(chat("Hello")).text(), "x", "a chat goes on in any case");
        let by_ids = stand
            .asked("/generate")
            .iter()
            .any(|asked| asked.body["input_ids"] == serde_json::json!([1, 2, 3]));
        assert_eq!(by_ids, chats);
        if loaded.capabilities.has(Scores) && loaded.capabilities.has(Renders) {
            let rescore = Rescore {
                prompt: chat("Hello").prompt,
                reply: vec![TokenId(8)],
                top_logprobs: 1,
                interventions: Vec::new(),
            };
            let event = bench.last_of(Request::Job(Job::Rescore(Box::new(rescore))));
            assert!(matches!(event, Event::Rescored(_)), "{event:?}");
        }
    }
}
