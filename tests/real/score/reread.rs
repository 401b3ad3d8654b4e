//! Replies scored after edited prompts: against fresh scores of the same text, and what they leave of the chat.

use glassbox::chat::Role;
use glassbox::engine::protocol::{Message, Replay, Replayed, Rescore, Rescored, TemplateSetting};

use super::*;

const FACTS: &str =
    "Anna lives in Lisbon. Her dog is called Rex. She was born in the year 1990. The sky was grey.";
const QUESTION: &str = "What is the name of Anna's dog?";

fn chat(system: &str, user: &str) -> Prompt {
    let message = |role, text: &str| Message::new(role, text);
    Prompt::Chat {
        messages: vec![message(Role::System, system), message(Role::User, user)],
        continue_last: false,
        setting: TemplateSetting::default(),
    }
}

impl Fixture {
    fn reread(&mut self, prompt: Prompt, reply: &[TokenId]) -> Result<Rescored, Failure> {
        self.reread_as(prompt, reply, &[])
    }

    fn reread_as(
        &mut self,
        prompt: Prompt,
        reply: &[TokenId],
        interventions: &[Intervention],
    ) -> Result<Rescored, Failure> {
        let (reply, interventions) = (reply.to_vec(), interventions.to_vec());
        let request = Rescore { prompt, reply, top_logprobs: 5, interventions };
        match self.handle(Request::Job(Job::Rescore(Box::new(request)))).pop().unwrap() {
            Event::Rescored(scored) => Ok(*scored),
            Event::Failed(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    /// The ids of a prompt, and a greedy reply to it.
    fn answered(&mut self, prompt: Prompt) -> (Vec<TokenId>, Vec<TokenId>) {
        let request = Generate {
            prompt,
            sampling: Sampling { temperature: 0.0, max_tokens: 24, ..Sampling::default() },
            top_logprobs: 0,
            begun: 0,
            interventions: Vec::new(),
            allow: None,
        };
        let (mut ids, mut reply) = (Vec::new(), Vec::new());
        for event in self.handle(Request::Job(Job::Generate(Box::new(request)))) {
            match event {
                Event::Prompt(facts) => ids = facts.ids,
                Event::Token(written) => reply.extend(written.step.id),
                _ => {}
            }
        }
        (ids, reply)
    }
}

/// Mean and largest difference of ln p, nats.
fn differences(ours: &[Step], theirs: &[Step]) -> (f32, f32) {
    assert_eq!(ours.len(), theirs.len());
    let all: Vec<f32> = ours.iter().zip(theirs).map(|(a, b)| (a.logprob - b.logprob).abs()).collect();
    (all.iter().sum::<f32>() / all.len() as f32, all.iter().copied().fold(0.0, f32::max))
}

fn as_a_fresh_score(fixture: &mut Fixture) {
    fixture.forget();
    let (ids, reply) = fixture.answered(chat(FACTS, QUESTION));
    let edited = chat(&FACTS.replace("Rex", "Bello"), QUESTION);
    let ours = fixture.reread(edited, &reply).unwrap();
    assert_ne!(ours.prompt, ids);
    assert_eq!(ours.displaced, 0, "the chat stays");
    let all: Vec<TokenId> = ours.prompt.iter().chain(&reply).copied().collect();
    fixture.forget();
    let fresh = fixture.score(&all, ours.prompt.len() as u32).unwrap();
    let (mean, most) = differences(&ours.steps, &fresh.steps);
    println!("edited, beside the chat, against fresh: mean {mean:.6} nats, at most {most:.6}");
    assert!(mean < ORDER.nats() / 2.0 && most < ORDER.nats(), "{mean} {most}");
}

#[test]
fn a_reply_behind_an_edited_prompt_scores_as_that_text_read_afresh() {
    as_a_fresh_score(&mut exact_smollm());
    as_a_fresh_score(&mut exact_gemma());
}

#[test]
fn read_again_twice_in_the_same_way_nothing_moves() {
    let mut fixture = exact_smollm();
    let (_, reply) = fixture.answered(chat(FACTS, QUESTION));
    let first = fixture.reread(chat(FACTS, QUESTION), &reply).unwrap();
    let again = fixture.reread(chat(FACTS, QUESTION), &reply).unwrap();
    let (_, most) = differences(&first.steps, &again.steps);
    assert!(most < ORDER.nats(), "{most}");
}

#[test]
fn without_the_sentence_that_answers_the_reply_is_far_less_likely_and_without_another_hardly() {
    let mut fixture = smollm();
    fixture.forget();
    let (_, reply) = fixture.answered(chat(FACTS, QUESTION));
    let whole = fixture.reread(chat(FACTS, QUESTION), &reply).unwrap();
    let mut weight = |sentence: &str| {
        let without = FACTS.replace(sentence, "");
        assert_ne!(without, FACTS);
        let scored = fixture.reread(chat(&without, QUESTION), &reply).unwrap();
        assert_eq!(scored.displaced, 0);
        (whole.logprob() - scored.logprob()) / std::f64::consts::LN_2
    };
    let key = weight(" Her dog is called Rex.");
    let other = weight(" The sky was grey.");
    println!("the sentence that answers {key:+.2} bit, another {other:+.2} bit");
    assert!(key > 5.0, "{key}");
    assert!(other.abs() < key / 3.0, "{other} against {key}");
}

#[test]
fn a_chat_goes_on_as_if_nothing_had_been_read_again() {
    let mut fixture = smollm();
    fixture.forget();
    let (ids, reply) = fixture.answered(chat(FACTS, QUESTION));
    let all: Vec<TokenId> = ids.iter().chain(&reply).copied().collect();
    let (before, _) = fixture.reply(&all, 12);
    fixture.reread(chat("Anna has no dog.", QUESTION), &reply).unwrap();
    let (after, usage) = fixture.reply(&all, 12);
    assert_eq!(usage.reused_tokens as usize, all.len() - 1, "nothing of the chat is read again");
    let ids = |steps: &[Step]| steps.iter().map(|step| step.id).collect::<Vec<_>>();
    assert_eq!(ids(&before), ids(&after));
}

#[test]
fn a_long_edit_goes_on_beside_the_chat_while_there_is_room_and_says_so_where_there_is_none() {
    let mut fixture = exact_smollm();
    let long = text("english.txt");
    fixture.forget();
    let (ids, reply) = fixture.answered(chat(&long, "Go on."));
    assert!(ids.len() > 520, "longer than the scratch cells: {}", ids.len());
    let edited = fixture.reread(chat(&format!("Now: {long}"), "Go on."), &reply).unwrap();
    assert!(edited.decoded > 512 && edited.displaced == 0, "{} {}", edited.decoded, edited.displaced);
    let all: Vec<TokenId> = ids.iter().chain(&reply).copied().collect();
    let (_, usage) = fixture.reply(&all, 1);
    assert_eq!(usage.reused_tokens as usize, all.len() - 1);

    let longer = [long.as_str(); 3].join("\n\n");
    let (ids, reply) = fixture.answered(chat(&longer, "Go on."));
    let edited = fixture.reread(chat(&format!("Now: {longer}"), "Go on."), &reply).unwrap();
    assert!(edited.displaced > 0, "{} tokens beside {}", edited.decoded, ids.len());
    let (mean, most) = differences(
        &edited.steps,
        &fixture.reread(chat(&format!("Now: {longer}"), "Go on."), &reply).unwrap().steps,
    );
    assert!(mean < ORDER.nats() / 2.0 && most < ORDER.nats(), "{mean} {most}");
}

#[test]
fn what_is_switched_off_counts_and_is_on_again_afterwards() {
    let mut fixture = smollm();
    let (_, reply) = fixture.answered(chat(FACTS, QUESTION));
    let plain = fixture.reread(chat(FACTS, QUESTION), &reply).unwrap();
    let off = [Intervention::ZeroAttention { layer: 0 }];
    let changed = fixture.reread_as(chat(FACTS, QUESTION), &reply, &off).unwrap();
    assert!((changed.logprob() - plain.logprob()).abs() > 0.5);
    let again = fixture.reread(chat(FACTS, QUESTION), &reply).unwrap();
    assert!(differences(&plain.steps, &again.steps).1 < 0.01);
}

#[test]
fn what_cannot_be_read_is_refused_in_a_sentence() {
    let mut fixture = smollm();
    let refused = |answer: Result<Rescored, Failure>| answer.unwrap_err().message;
    assert!(refused(fixture.reread(chat(FACTS, QUESTION), &[])).contains("no tokens"));
    let unknown = refused(fixture.reread(chat(FACTS, QUESTION), &[TokenId(99_999)]));
    assert!(unknown.contains("no token 99999"), "{unknown}");
    let long = vec![TokenId(5); 3000];
    assert!(refused(fixture.reread(chat(FACTS, QUESTION), &long)).contains("context"));
}

#[test]
fn a_cancelled_reread_leaves_the_chat_as_it_was() {
    let mut fixture = smollm();
    let long = text("english.txt");
    fixture.forget();
    let (ids, reply) = fixture.answered(chat(&long, "Go on."));
    let all: Vec<TokenId> = ids.iter().chain(&reply).copied().collect();
    let reading = |event: &Event| matches!(event, Event::PromptProgress { .. });
    let edited = chat(&format!("Now: {long}"), "Go on.");
    let (answer, _) = fixture.cancelled(reading, |fixture| fixture.reread(edited, &reply));
    assert_eq!(answer.unwrap_err().kind, FailureKind::Cancelled);
    let (_, usage) = fixture.reply(&all, 1);
    assert_eq!(usage.reused_tokens as usize, all.len() - 1);
}

/// Tokens decoded to look at the pass at the last of these.
fn looked(fixture: &mut Fixture, ids: &[TokenId]) -> Replayed {
    let look = Replay { ids: ids.to_vec(), interventions: Vec::new(), logits: true, chain: None };
    match fixture.handle(Request::Job(Job::Replay(Box::new(look)))).pop().unwrap() {
        Event::Replayed(looked) => *looked,
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_branch_is_read_once_beside_the_chat_however_long_it_is() {
    let mut fixture = smollm();
    fixture.forget();
    let chat = fixture.ids(&text("english.txt"));
    fixture.reply(&chat, 1);
    let other: Vec<TokenId> = chat[..20].iter().chain(&chat[21..]).chain(&chat[20..200]).copied().collect();
    assert!(other.len() > 650, "longer than the scratch cells: {}", other.len());
    let first = looked(&mut fixture, &other);
    assert_eq!(first.decoded as usize, other.len() - 20, "what the branches share is not read");
    let again = looked(&mut fixture, &other);
    assert_eq!(again.decoded, 1);
    assert_eq!(looked(&mut fixture, &other[..300]).decoded, 1, "any token before it");
    let largest = |looked: &Replayed| {
        let logits = looked.unpack();
        (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]))
    };
    assert_eq!(largest(&first), largest(&again));
    let (_, usage) = fixture.reply(&chat, 1);
    assert_eq!(usage.reused_tokens as usize, chat.len() - 1, "the chat goes on where it was");
    assert_eq!(looked(&mut fixture, &other).decoded as usize, other.len() - 20, "a reply has all the room");
}
