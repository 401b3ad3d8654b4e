//! What real servers answered, replayed: each request has to be one that was recorded, to the letter
//! (`tests/data/servers/README.md`). With `GLASSBOX_TEST_VLLM` and the like, such as `http://127.0.0.1:8000`, the same is
//! asked of a server that runs.
//!
//! Invariant: figures are held against transformers on the same weights, never against what was recorded.

use super::*;
use crate::chat::StopReason;
use crate::engine::protocol::{Capability, CapturePlan, FailureKind, Rescore, Score};
use crate::token::{Step, TokenKind};

/// An exchange with a server.
#[derive(serde::Deserialize)]
struct Exchange {
    /// Method and path.
    asked: String,
    body: Value,
    status: u16,
    /// The content type.
    kind: String,
    answer: String,
}

/// Where the server is, or what stands for it.
fn server(name: &str) -> String {
    std::env::var(format!("GLASSBOX_TEST_{}", name.to_uppercase().replace('-', "_")))
        .unwrap_or_else(|_| replay(name).address)
}

fn replay(name: &str) -> Stand {
    let file = format!("{}/tests/data/servers/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(file).unwrap();
    let all: Vec<Exchange> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Stand::start(move |asked| {
        let line = asked.head.split(" HTTP/").next().unwrap();
        let same = |exchange: &&Exchange| exchange.asked == line && exchange.body == asked.body;
        let Some(exchange) = all.iter().find(same) else {
            return status("500 Not Recorded", &format!("this was not recorded: {line} {}", asked.body));
        };
        let status = match exchange.status {
            200 => "200 OK",
            400 => "400 Bad Request",
            401 => "401 Unauthorized",
            404 => "404 Not Found",
            other => panic!("{other}"),
        };
        Reply { status, ..reply(&exchange.kind, exchange.answer.clone()) }
    })
}

fn loaded(name: &str, api: Api) -> (Bench, Loaded) {
    let mut bench = Bench::new(Limits::default());
    let loaded = bench.try_load(entry(&format!("{}/v1", server(name)), api)).unwrap();
    (bench, loaded)
}

fn short(generate: Generate, most: u32) -> Generate {
    let sampling = Sampling { max_tokens: most, temperature: 0.0, seed: Some(7), ..Sampling::default() };
    Generate { sampling, ..generate }
}

/// That figures are those of transformers.
#[track_caller]
fn close(told: impl IntoIterator<Item = f32>, expected: &[f32]) {
    let told: Vec<f32> = told.into_iter().collect();
    let near = |(told, expected): (&f32, &f32)| (told - expected).abs() < 0.002;
    assert!(told.len() == expected.len() && told.iter().zip(expected).all(near), "{told:?} {expected:?}");
}

fn steps_of(events: Vec<Event>) -> Vec<Step> {
    let steps = events.into_iter().map(|event| match event {
        Event::Scores { steps, .. } => steps,
        Event::Failed(failure) => panic!("{failure:?}"),
        _ => Vec::new(),
    });
    steps.flatten().collect()
}

const QUESTION: &str = "What is the capital of France?";
/// The likeliest three at each token of the answer.
const ANSWER: [(&str, [f32; 3]); 7] = [
    ("The", [-1.8827, -1.9648, -2.2657]),
    (" capital", [-0.0197, -4.6813, -6.6505]),
    (" of", [-0.0115, -4.7598, -6.9411]),
    (" France", [-0.0109, -5.0555, -6.785]),
    (" is", [-0.0388, -3.4122, -6.4253]),
    (" Paris", [-0.05, -4.703, -5.413]),
    (".", [-0.5656, -0.8632, -6.0684]),
];
/// ` Paris` and ` London`, whose odds are watched.
const WATCHED: [TokenId; 2] = [TokenId(7042), TokenId(4528)];

#[test]
fn vllm_answers_with_the_odds_of_transformers_and_branches_by_ids() {
    let (mut bench, loaded) = loaded("vllm", Api::Auto);
    assert!(loaded.device.starts_with("vLLM at ") && loaded.context == 2048, "{loaded:?}");
    assert!(loaded.capabilities.has(Capability::Watches) && loaded.capabilities.has(Capability::Scores));
    let answer = bench.generate(short(chat(QUESTION), 20));
    let texts: Vec<&str> = ANSWER.iter().map(|(text, _)| *text).collect();
    assert_eq!(answer.text(), texts.concat());
    assert!(matches!(answer.end, Event::Done { stop: StopReason::Eos, .. }), "{:?}", answer.end);
    for (written, (text, top)) in answer.written.iter().zip(ANSWER) {
        let step = &written.step;
        assert_eq!((step.bytes.as_slice(), step.rank), (text.as_bytes(), 1));
        close(step.candidates.iter().map(|candidate| candidate.logprob), &top);
        close([step.logprob], &top[..1]);
    }
    assert!(
        answer
            .prompt
            .text
            .ends_with(&format!("<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"))
    );
    assert_eq!(answer.prompt.ids.len(), 37);

    // What the prompt is made of was told: marks as marks.
    let Event::Vocabulary(vocabulary) = bench.ask(Immediate::Vocabulary) else { panic!() };
    assert_eq!(vocabulary.spelt(&answer.prompt.ids), answer.prompt.text);
    let marks = answer.prompt.ids.iter().filter(|id| vocabulary.kind(**id) == TokenKind::Control);
    assert_eq!(marks.map(|id| id.0).collect::<Vec<_>>(), [1, 2, 1, 2, 1]);

    let ids: Vec<i32> = answer.prompt.ids.iter().chain(&written_ids(&answer)[..5]).map(|id| id.0).collect();
    let branch = bench.generate(short(go_on(&ids, &[4528]), 3));
    assert_eq!((branch.written[0].index, branch.prompt.ids.len()), (1, 42));
    assert!(matches!(branch.end, Event::Done { stop: StopReason::Length, .. }), "{:?}", branch.end);
}

fn written_ids(answer: &Answer) -> Vec<TokenId> {
    answer.written.iter().filter_map(|written| written.step.id).collect()
}

#[test]
fn vllm_tells_the_odds_of_watched_tokens_beside_the_likeliest() {
    let (mut bench, _) = loaded("vllm", Api::Vllm);
    bench.ask(Immediate::SetCapture(CapturePlan { watch: WATCHED.to_vec(), ..CapturePlan::default() }));
    let answer = bench.generate(short(chat(QUESTION), 20));
    let watched = |id: TokenId| {
        let of = move |written: &Written| {
            written
                .watched
                .iter()
                .find(|(candidate, _)| candidate.id == id)
                .map(|(candidate, _)| candidate.logprob)
        };
        answer.written.iter().filter_map(of).collect::<Vec<f32>>()
    };
    close(watched(WATCHED[0]), &[-9.7829, -9.2504, -10.3698, -10.4758, -13.2186, -0.05, -10.5164]);
    close(watched(WATCHED[1]), &[-15.719, -13.479, -16.07, -14.6637, -16.8379, -5.413, -16.8924]);
    assert!(answer.written.iter().all(|written| written.recording_ms.is_some()), "what it costs is told");
    assert_eq!(answer.written[0].step.candidates.len(), 3);
}

#[test]
fn vllm_scores_a_text_and_tells_the_bytes_of_halves_of_characters() {
    let (mut bench, _) = loaded("vllm", Api::Vllm);
    let text = "Hi €, 你好!";
    let asked = bench.ask(Immediate::Tokenize { text: text.into(), special: false, begin: false });
    let Event::Tokenized { tokens } = asked else { panic!("{asked:?}") };
    let spelt: Vec<&[u8]> = tokens.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    assert_eq!(
        (spelt.concat(), spelt[4], spelt[5]),
        (text.as_bytes().to_vec(), &b"\xe4\xbd"[..], &b"\xa0"[..])
    );
    let ids: Vec<TokenId> = tokens.iter().map(|(id, _)| *id).collect();
    let score = Score { ids, from: 1, top_logprobs: 2, interventions: Vec::new() };
    let id = bench.send(Request::Job(Job::Score(Box::new(score))));
    let steps = steps_of(bench.all(id));
    close(
        steps.iter().map(|step| step.logprob),
        &[-20.3203, -5.793, -1.6745, -12.7666, -1.5114, -3.5081, -1.0527, -4.3947],
    );
    close(steps[4].candidates.iter().map(|candidate| candidate.logprob), &[-1.5016, -1.5114]);
    assert_eq!((steps[2].rank, steps[4].rank, steps[4].bytes.as_slice()), (1, 2, &b"\xa0"[..]));
}

#[test]
fn vllm_reads_a_reply_after_another_prompt() {
    let (mut bench, _) = loaded("vllm", Api::Vllm);
    let reply = [504, 3575, 282, 4649, 314, 7042, 30].map(TokenId).to_vec();
    let rescore =
        Rescore { prompt: chat(QUESTION).prompt, reply, top_logprobs: 1, interventions: Vec::new() };
    let id = bench.send(Request::Job(Job::Rescore(Box::new(rescore))));
    let Some(Event::Rescored(read)) = bench.all(id).pop() else { panic!() };
    close(read.steps.iter().map(|step| step.logprob), &ANSWER.map(|(_, top)| top[0]));
}

#[test]
fn vllm_asked_as_any_other_server_gives_the_same_odds_without_ids() {
    let (mut bench, loaded) = loaded("vllm", Api::OpenAi);
    assert!(loaded.device.starts_with("OpenAI-compatible server at ") && loaded.context == 2048);
    let answer = bench.generate(short(chat(QUESTION), 20));
    assert_eq!(answer.text(), ANSWER.map(|(text, _)| text).concat());
    close(answer.written.iter().map(|written| written.step.logprob), &ANSWER.map(|(_, top)| top[0]));
    assert!(written_ids(&answer).iter().all(|id| id.is_stand_in()));
    let Event::Done { stop, usage, .. } = answer.end else { panic!() };
    assert_eq!((stop, usage.prompt_tokens), (StopReason::Eos, 37));
}

#[test]
fn vllm_has_no_other_model() {
    let address = format!("{}/v1", server("vllm"));
    let mut wrong = entry(&address, Api::Auto);
    let Source::Server(server) = wrong.source else { panic!() };
    wrong.source = Source::Server(Server { id: Some("smollm2-135n".into()), ..server });
    let said = Bench::new(Limits::default()).try_load(wrong).unwrap_err();
    assert!(said.contains("Did you mean smollm2-135m?"), "{said}");
}

#[test]
fn a_small_vllm_gives_as_many_candidates_as_it_allows_and_says_so_once() {
    let (mut bench, loaded) = loaded("vllm-small", Api::Auto);
    assert_eq!(loaded.context, 64);
    let answer = bench.generate(short(chat(QUESTION), 2));
    assert_eq!(answer.text(), "The capital");
    close(answer.written[0].step.candidates.iter().map(|candidate| candidate.logprob), &ANSWER[0].1[..2]);
    let says = |answer: &Answer| answer.prompt.notes.iter().any(|note| note.contains("2 likeliest"));
    assert!(says(&answer), "{:?}", answer.prompt.notes);
    assert!(!says(&bench.generate(short(chat(QUESTION), 2))));

    let ids: Vec<TokenId> = answer.prompt.ids[..8].to_vec();
    let (mut bench, _) = self::loaded("vllm-small", Api::Vllm);
    let score = Score { ids, from: 1, top_logprobs: 20, interventions: Vec::new() };
    let id = bench.send(Request::Job(Job::Score(Box::new(score))));
    assert_eq!(steps_of(bench.all(id))[6].candidates.len(), 2);
}

#[test]
fn the_end_of_vllms_context_is_told_as_that() {
    let (mut bench, _) = loaded("vllm-small", Api::Auto);
    let ids: Vec<i32> = (300..360).collect();
    let without_end = |most| {
        let mut generate = short(go_on(&ids, &[]), most);
        generate.top_logprobs = 1;
        generate
    };
    assert_eq!(stop_of(bench.generate(without_end(0))), (StopReason::Context, 4));
    assert_eq!(stop_of(bench.generate(without_end(9))), (StopReason::Context, 4));
    assert_eq!(stop_of(bench.generate(without_end(4))), (StopReason::Length, 4));
    let full: Vec<i32> = (300..364).collect();
    let Event::Failed(failure) = bench.generate(go_on(&full, &[])).end else { panic!() };
    assert_eq!(failure.kind, FailureKind::ContextFull);
    assert!(failure.message.contains("64 tokens long, 1 more than the context of 64"), "{}", failure.message);

    // The last token of a text that fills it has its figure all the same, as it has where there is room.
    let last = |bench: &mut Bench, ids: Vec<i32>| {
        let ids = ids.into_iter().map(TokenId).collect();
        let score = Score { ids, from: 1, top_logprobs: 2, interventions: Vec::new() };
        let id = bench.send(Request::Job(Job::Score(Box::new(score))));
        steps_of(bench.all(id)).pop().unwrap()
    };
    let (mut roomy, _) = loaded("vllm", Api::Vllm);
    let (here, there) = (last(&mut bench, full.clone()), last(&mut roomy, full));
    close([here.logprob, here.candidates[0].logprob], &[there.logprob, there.candidates[0].logprob]);
    assert_eq!((here.id, here.bytes, here.candidates.len()), (there.id, there.bytes, 2));
}

#[test]
fn vllm_wants_its_key() {
    let said = Bench::new(Limits::default()).try_load(entry(&server("vllm-key"), Api::Auto)).unwrap_err();
    assert!(said.contains("wants a key (HTTP 401)"), "{said}");
}

/// Why a reply ended, and with how many tokens.
fn stop_of(answer: Answer) -> (StopReason, usize) {
    match answer.end {
        Event::Done { stop, .. } => (stop, answer.written.len()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn sglang_answers_with_the_odds_of_transformers_and_branches_by_ids() {
    let (mut bench, loaded) = loaded("sglang", Api::Auto);
    assert!(loaded.device.starts_with("SGLang at ") && loaded.context == 2041, "{loaded:?}");
    for capability in [Capability::Ids, Capability::Continues, Capability::Scores, Capability::Watches] {
        assert!(loaded.capabilities.has(capability), "{capability:?}");
    }
    bench.ask(Immediate::SetCapture(CapturePlan { watch: WATCHED.to_vec(), ..CapturePlan::default() }));
    let answer = bench.generate(short(chat(QUESTION), 20));
    assert_eq!(answer.text(), ANSWER.map(|(text, _)| text).concat());
    assert!(matches!(answer.end, Event::Done { stop: StopReason::Eos, .. }), "{:?}", answer.end);
    for (written, (text, top)) in answer.written.iter().zip(ANSWER) {
        let step = &written.step;
        assert_eq!((step.bytes.as_slice(), step.rank), (text.as_bytes(), 1));
        close(step.candidates.iter().map(|candidate| candidate.logprob), &top);
    }
    let watched = |which: usize| answer.written.iter().map(move |written| written.watched[which].0.logprob);
    close(watched(0), &[-9.7829, -9.2504, -10.3698, -10.4758, -13.2186, -0.05, -10.5164]);
    close(watched(1), &[-15.719, -13.479, -16.07, -14.6637, -16.8379, -5.413, -16.8924]);

    let Event::Vocabulary(vocabulary) = bench.ask(Immediate::Vocabulary) else { panic!() };
    assert_eq!(vocabulary.spelt(&answer.prompt.ids), answer.prompt.text);
    let marks = answer.prompt.ids.iter().filter(|id| vocabulary.kind(**id) == TokenKind::Control);
    assert_eq!(marks.map(|id| id.0).collect::<Vec<_>>(), [1, 2, 1, 2, 1]);

    let ids: Vec<i32> = answer.prompt.ids.iter().chain(&written_ids(&answer)[..5]).map(|id| id.0).collect();
    let branch = bench.generate(short(go_on(&ids, &[4528]), 3));
    assert_eq!((branch.written[0].index, branch.prompt.ids.len()), (1, 42));
    assert_eq!(stop_of(branch), (StopReason::Length, 2));
}

#[test]
fn that_sglangs_odds_are_those_after_the_temperature_is_found_out_and_said() {
    let (mut bench, loaded) = loaded("sglang", Api::Auto);
    assert_eq!(loaded.odds, crate::token::Odds::TopAfterSampling(20));
    assert!(loaded.notes.iter().any(|note| note.contains("SGLANG_RETURN_ORIGINAL_LOGPROB=1")), "{loaded:?}");
    let mut asked = short(chat(QUESTION), 1);
    asked.sampling.temperature = 0.5;
    let answer = bench.generate(asked);
    let gap = |figures: &[f32]| figures[0] - figures[1];
    let told: Vec<f32> = answer.written[0].step.candidates.iter().map(|choice| choice.logprob).collect();
    close([gap(&told)], &[gap(&ANSWER[0].1) / 0.5]);
}

#[test]
fn sglang_scores_a_text_and_a_reply_and_tells_the_bytes_of_halves_of_characters() {
    let (mut bench, _) = loaded("sglang", Api::SgLang);
    let text = "Hi €, 你好!";
    let asked = bench.ask(Immediate::Tokenize { text: text.into(), special: false, begin: false });
    let Event::Tokenized { tokens } = asked else { panic!("{asked:?}") };
    let spelt: Vec<&[u8]> = tokens.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    assert_eq!(
        (spelt.concat(), spelt[4], spelt[5]),
        (text.as_bytes().to_vec(), &b"\xe4\xbd"[..], &b"\xa0"[..])
    );
    let ids: Vec<TokenId> = tokens.iter().map(|(id, _)| *id).collect();
    let score = Score { ids, from: 1, top_logprobs: 2, interventions: Vec::new() };
    let id = bench.send(Request::Job(Job::Score(Box::new(score))));
    let steps = steps_of(bench.all(id));
    close(
        steps.iter().map(|step| step.logprob),
        &[-20.3203, -5.793, -1.6745, -12.7666, -1.5114, -3.5081, -1.0527, -4.3947],
    );
    // It says no ranks, and the last of those that came may stand there only because it was read.
    assert_eq!((steps[2].rank, steps[4].rank, steps[4].bytes.as_slice()), (1, 0, &b"\xa0"[..]));

    let reply = [504, 3575, 282, 4649, 314, 7042, 30].map(TokenId).to_vec();
    let rescore =
        Rescore { prompt: chat(QUESTION).prompt, reply, top_logprobs: 1, interventions: Vec::new() };
    let id = bench.send(Request::Job(Job::Rescore(Box::new(rescore))));
    let Some(Event::Rescored(read)) = bench.all(id).pop() else { panic!() };
    close(read.steps.iter().map(|step| step.logprob), &ANSWER.map(|(_, top)| top[0]));
}

#[test]
fn sglang_goes_on_with_a_message_and_with_a_half_of_a_character() {
    let (mut bench, _) = loaded("sglang", Api::SgLang);
    let mut asked = short(chat(QUESTION), 20);
    let Prompt::Chat { messages, continue_last, .. } = &mut asked.prompt else { panic!() };
    messages.push(Message::new(crate::chat::Role::Assistant, "The capital"));
    *continue_last = true;
    let answer = bench.generate(asked);
    assert_eq!(answer.text(), ANSWER[2..].iter().map(|(text, _)| *text).collect::<String>());
    for (written, (_, top)) in answer.written.iter().zip(&ANSWER[2..]) {
        close([written.step.logprob], &top[..1]);
    }
    // The prompt ends with the first two of a character's three tokens, and the reply within the next one.
    let whole = [10813, 232, 227];
    let ids: Vec<i32> = std::iter::repeat_n(whole, 8).flatten().chain([10813, 232]).collect();
    let answer = bench.generate(short(go_on(&ids, &[]), 5));
    let bytes: Vec<&[u8]> = answer.written.iter().map(|written| written.step.bytes.as_slice()).collect();
    assert_eq!(bytes, [&b"\x89"[..], b"\xF0\x9F", b"\x8E", b"\x89", b"\xF0\x9F"]);
}

#[test]
fn what_sglang_refuses_in_a_stream_is_a_sentence_and_no_token() {
    let (mut bench, _) = loaded("sglang", Api::SgLang);
    let mut asked = short(chat(QUESTION), 4);
    asked.sampling.grammar = "root ::= \"a\" foo".into();
    let answer = bench.generate(asked);
    assert!(answer.written.is_empty(), "{:?}", answer.written);
    let Event::Failed(failure) = answer.end else { panic!("{:?}", answer.end) };
    assert!(failure.message.contains("Failed to compile ebnf grammar: EBNF parser error"), "{failure:?}");
}

#[test]
fn the_end_of_sglangs_context_is_told_as_that() {
    let (mut bench, loaded) = loaded("sglang-small", Api::Auto);
    assert_eq!(loaded.context, 57);
    let ids: Vec<i32> = (300..350).collect();
    for (most, expected) in
        [(0, (StopReason::Context, 7)), (30, (StopReason::Context, 7)), (7, (StopReason::Length, 7))]
    {
        let mut asked = short(go_on(&ids, &[]), most);
        asked.top_logprobs = 1;
        assert_eq!(stop_of(bench.generate(asked)), expected, "{most}");
    }
    let Event::Failed(failure) = bench.generate(go_on(&(300..357).collect::<Vec<_>>(), &[])).end else {
        panic!()
    };
    assert_eq!(failure.kind, FailureKind::ContextFull);
    // A text that fills it has all its figures.
    let ids: Vec<TokenId> = (300..357).map(TokenId).collect();
    let score = Score { ids, from: 1, top_logprobs: 1, interventions: Vec::new() };
    let id = bench.send(Request::Job(Job::Score(Box::new(score))));
    assert_eq!(steps_of(bench.all(id)).len(), 56);
}

/// The same in llama.cpp, which rounds activations to 8 bits before it multiplies.
#[track_caller]
fn rounded(told: impl IntoIterator<Item = f32>, expected: &[f32]) {
    let told: Vec<f32> = told.into_iter().collect();
    let near = |(told, expected): (&f32, &f32)| (told - expected).abs() < 0.25;
    assert!(told.len() == expected.len() && told.iter().zip(expected).all(near), "{told:?} {expected:?}");
}

#[test]
fn llama_cpps_server_answers_with_the_odds_of_transformers_and_branches_by_ids() {
    let (mut bench, loaded) = loaded("llama", Api::Auto);
    assert!(loaded.device.starts_with("llama.cpp server at ") && loaded.context == 2048, "{loaded:?}");
    assert_eq!((loaded.facts.vocabulary_size, loaded.facts.context_length), (49_152, 8192));
    let answer = bench.generate(short(chat(QUESTION), 1));
    let step = &answer.written[0].step;
    // `L` and `The` are nearly as likely as each other.
    rounded(step.candidates.iter().map(|candidate| candidate.logprob), &ANSWER[0].1);
    assert_eq!((step.rank, answer.prompt.ids.len()), (1, 37));
    assert!(matches!(answer.end, Event::Done { stop: StopReason::Length, .. }), "{:?}", answer.end);
    let Event::Vocabulary(vocabulary) = bench.ask(Immediate::Vocabulary) else { panic!() };
    assert_eq!(vocabulary.spelt(&answer.prompt.ids), answer.prompt.text);
    let marks = answer.prompt.ids.iter().filter(|id| vocabulary.kind(**id) == TokenKind::Control);
    assert_eq!(marks.map(|id| id.0).collect::<Vec<_>>(), [1, 2, 1, 2, 1]);

    let ids: Vec<i32> = answer.prompt.ids.iter().map(|id| id.0).collect();
    let branch = bench.generate(short(go_on(&ids, &[504]), 20));
    assert_eq!(
        (branch.text(), branch.written[0].index),
        (ANSWER[1..].iter().map(|(text, _)| *text).collect(), 1)
    );
    assert!(matches!(branch.end, Event::Done { stop: StopReason::Eos, .. }), "{:?}", branch.end);
    for (written, (text, top)) in branch.written.iter().zip(&ANSWER[1..]) {
        assert_eq!((written.step.bytes.as_slice(), written.step.rank), (text.as_bytes(), 1));
        rounded([written.step.logprob], &top[..1]);
    }
}

#[test]
fn llama_cpps_server_tells_the_bytes_of_halves_of_characters() {
    let (mut bench, _) = loaded("llama", Api::Llama);
    let asked =
        bench.ask(Immediate::Tokenize { text: "Hi €, 你好!".into(), special: false, begin: false });
    let Event::Tokenized { tokens } = asked else { panic!("{asked:?}") };
    assert_eq!(
        (tokens.len(), tokens[4].1.as_slice(), tokens[5].1.as_slice()),
        (9, &b"\xe4\xbd"[..], &b"\xa0"[..])
    );
}

#[test]
fn the_end_of_llama_cpps_context_is_told_as_that() {
    let (mut bench, loaded) = loaded("llama-small", Api::Auto);
    let context = loaded.context.cast_signed();
    let ids: Vec<i32> = (300..300 + context - 4).collect();
    let answer = bench.generate(short(go_on(&ids, &[]), 0));
    let Event::Done { stop, .. } = answer.end else { panic!("{answer:?}") };
    assert_eq!((stop, answer.written.len() <= 5), (StopReason::Context, true), "{}", answer.written.len());
    let Event::Failed(failure) = bench.generate(go_on(&[ids, vec![7; 4]].concat(), &[])).end else {
        panic!()
    };
    assert_eq!(failure.kind, FailureKind::ContextFull);
}
