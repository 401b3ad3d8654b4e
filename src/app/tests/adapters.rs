//! LoRA adapters and control vectors in the app: the model's, the chat's, those that cannot be used, and a push written
//! to a file.

use super::*;
use crate::chat::{Adapter, AdapterKind, Intervention, Steering};
use crate::models::gguf::{Header, Value};
use crate::ui::testing::drawn;

fn adapter(kind: AdapterKind, path: &str, scale: f32) -> Adapter {
    Adapter { kind, path: path.into(), scale }
}

/// A bench whose model's entry names an adapter.
fn bench() -> Bench {
    let mut bench = Bench::ready();
    let name = bench.app.model.name.clone();
    let entry = bench.app.config.models.iter_mut().find(|entry| entry.name == name).unwrap();
    entry.adapters = vec![adapter(AdapterKind::Lora, "/models/pirate.gguf", 0.5)];
    bench
}

fn asked(effects: &[Effect]) -> Vec<Adapter> {
    generated(effects).interventions.iter().filter_map(Intervention::adapter).cloned().collect()
}

fn header(bench: &Bench) -> String {
    drawn(crate::ui::header::draw, &bench.app, &crate::ui::testing::design::theme(), (160, 1)).remove(0)
}

#[test]
fn a_reply_is_asked_for_with_the_model_s_adapters_as_the_chat_changes_them() {
    let mut bench = bench();
    assert!(header(&bench).contains("+lora pirate ×0.5"), "{}", header(&bench));
    let pirate = adapter(AdapterKind::Lora, "/models/pirate.gguf", 0.5);
    assert_eq!(asked(&bench.say("Hi")), std::slice::from_ref(&pirate));
    bench.done(StopReason::Eos);

    bench.say("/lora pirate -1");
    bench.say("/control-vector /models/calm.gguf 2");
    let calm = adapter(AdapterKind::ControlVector, "/models/calm.gguf", 2.0);
    assert!(header(&bench).contains("+lora pirate ×−1  +vector calm ×2"), "{}", header(&bench));
    assert_eq!(asked(&bench.say("Hi")), [Adapter { scale: -1.0, ..pirate.clone() }, calm.clone()]);
    let run = bench.app.talk.run.as_ref().unwrap().run;
    assert_eq!(bench.app.talk.runs[&run].interventions.len(), 2, "the run says what it was made with");
    bench.done(StopReason::Eos);

    bench.say("/lora off");
    assert_eq!(asked(&bench.say("Hi")), [calm]);
    bench.done(StopReason::Eos);
    bench.say("/control-vector /models/calm.gguf 0");
    bench.say("/lora default");
    assert_eq!(asked(&bench.say("Hi")), [pirate]);
}

#[test]
fn what_the_engine_cannot_use_is_none_of_the_run_and_the_header_says_so() {
    let mut bench = bench();
    bench.say("Hi");
    let facts = PromptFacts {
        ids: vec![TokenId(0)],
        notes: vec!["The LoRA adapter /models/pirate.gguf cannot be used: there is no such file.".into()],
        left_out: vec![adapter(AdapterKind::Lora, "/models/pirate.gguf", 0.5)],
        ..PromptFacts::default()
    };
    bench.reply(Event::Prompt(facts));
    assert!(bench.notice().contains("no such file"));
    let run = bench.app.talk.run.as_ref().unwrap().run;
    assert!(bench.app.talk.runs[&run].interventions.is_empty());
    assert!(header(&bench).contains("!lora pirate"), "{}", header(&bench));
    bench.write("Hi");
    bench.done(StopReason::Eos);
    // Found again, it is in use again.
    bench.say("again");
    bench.reply(Event::Prompt(PromptFacts { ids: vec![TokenId(0)], ..PromptFacts::default() }));
    assert!(header(&bench).contains("+lora pirate"), "{}", header(&bench));
}

#[test]
fn parts_that_are_off_come_and_go_and_adapters_stay() {
    let mut bench = Bench::ready();
    let calm = Intervention::Adapter(adapter(AdapterKind::ControlVector, "/models/calm.gguf", 1.0));
    let settings = &mut bench.app.talk.chat.settings;
    settings.interventions = vec![calm.clone(), Intervention::ZeroFfn { layer: 0 }];
    bench.app.inspector.keep_off(&mut bench.app.talk, with!(bench.app), &mut bench.app.out);
    assert_eq!(bench.app.talk.chat.settings.interventions, [calm]);
    assert!(!header(&bench).contains("off"), "{}", header(&bench));
}

#[test]
fn a_push_is_written_as_it_is_long_where_the_stream_is_as_in_the_texts() {
    let mut bench = Bench::ready();
    let push = Steering {
        name: "warm − cold".into(),
        layers: vec![3],
        strength: -0.5,
        direction: vec![0.6, 0.8],
        first_position: false,
        stream: 20.0,
    };
    let keep = |bench: &mut Bench, push: &Steering| {
        bench.app.talk.chat.settings.interventions = vec![Intervention::Steer(push.clone())];
        let ModelStatus::Ready(loaded) = &mut bench.app.model.status else { panic!("it is ready") };
        loaded.facts.layers = 8;
        bench.app.open_steer();
    };
    keep(&mut bench, &push);
    bench.press(&["alt+s"]);
    let effects = bench.press(&["enter"]);
    let [Effect::WriteVector { name, bytes, said }] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(name.ends_with("warm-cold.gguf"), "{name}");
    assert!(said.contains("a vector of length 10.0") && said.contains("added as it is"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.gguf");
    std::fs::write(&path, bytes).unwrap();
    let read = Header::read(&path).unwrap();
    assert_eq!(read.metadata("general.name").unwrap(), Some(Value::Text("warm − cold".into())));
    let place = read.tensor("direction.3").unwrap();
    let values: Vec<f32> = bytes[place.offset as usize..][..8]
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    assert_eq!(values, [-6.0, -8.0]);

    bench.press(&["esc"]);
    keep(&mut bench, &Steering { stream: 0.0, ..push.clone() });
    bench.press(&["alt+s"]);
    assert!(bench.notice().contains("type the two texts again"), "{}", bench.notice());
    bench.press(&["esc"]);
    keep(&mut bench, &Steering { layers: vec![0], ..push });
    bench.press(&["alt+s"]);
    assert!(bench.notice().contains("choose a later layer"), "{}", bench.notice());
}

#[test]
fn the_panel_takes_a_control_vector_from_a_file() {
    let mut bench = Bench::ready();
    bench.app.open_steer();
    bench.press(&["ctrl+r"]);
    bench.type_text("/models/calm.gguf 1.5");
    bench.press(&["enter"]);
    let calm = adapter(AdapterKind::ControlVector, "/models/calm.gguf", 1.5);
    assert_eq!(bench.app.view().adapters(), [(calm, true)]);
}
