//! Starting, fetching, switching, unloading.

use super::*;
use crate::app::{Confirm, FetchState, Licence, Models, Served};
use crate::engine::protocol::{Containment, VERSION};
use crate::models::hub::{HubFile, Offer, Repository};
use crate::models::machine::Machine;
use crate::models::{FetchEvent, FetchStage, Unfinished};

fn nothing_on_disk(bench: &Bench) -> Vec<CatalogueItem> {
    let items = catalogue(&bench.app.config).into_iter();
    items.map(|item| CatalogueItem { path: None, ..item }).collect()
}

#[test]
fn a_model_on_disk_is_started_and_loaded() {
    let mut bench = Bench::bare();
    let effects = bench.send(Msg::Catalogue(catalogue(&bench.app.config)));
    assert_eq!(brief(&effects), ["start 1 small"]);
    let effects = bench.event(0, Event::ready());
    assert_eq!(brief(&effects), ["ask Load"]);
    let request = bench.app.out.requests.of(Asker::Load).unwrap().0;
    bench.event(request, Event::LoadProgress(0.5));
    assert_eq!(bench.app.model.status, ModelStatus::Loading(0.5));
    let effects = bench.event(request, Event::Loaded(Box::new(loaded())));
    assert_eq!(brief(&effects), ["HashModel", "ask Vocabulary"]);
    let request = bench.app.out.requests.of(Asker::Vocabulary).unwrap().0;
    let effects = bench.event(request, Event::Vocabulary(Box::new(vocabulary())));
    assert_eq!(brief(&effects), ["store PutVocabulary"]);
    assert!(bench.app.talk.vocabularies.contains_key("words"));
}

#[test]
fn a_stored_vocabulary_learns_what_is_the_loaded_models_alone() {
    let mut bench = Bench::bare();
    bench.app.talk.vocabulary_read("words".into(), vocabulary());
    let load = |bench: &mut Bench, marks: Vec<TokenId>, suppressed: Vec<TokenId>| {
        bench.app.start_engine(bench.app.config.models[0].clone());
        bench.event(0, Event::ready());
        let request = bench.app.out.requests.of(Asker::Load).unwrap().0;
        bench.event(request, Event::Loaded(Box::new(Loaded { marks, suppressed, ..loaded() })));
        assert!(bench.app.out.requests.of(Asker::Vocabulary).is_none(), "it is known");
        let known = &bench.app.talk.vocabularies["words"];
        (known.marks.clone(), known.suppressed.clone(), known.len())
    };
    assert_eq!(load(&mut bench, vec![TokenId(1)], vec![TokenId(2)]), (vec![TokenId(1)], vec![TokenId(2)], 3));
    assert_eq!(
        load(&mut bench, Vec::new(), Vec::new()),
        (Vec::new(), Vec::new(), 3),
        "another of the same entries"
    );
}

#[test]
fn the_first_run_fetches_the_default_model_and_then_loads_it() {
    let mut bench = Bench::bare();
    let items = nothing_on_disk(&bench);
    assert_eq!(brief(&bench.send(Msg::Catalogue(items))), ["fetch small", "MeasureMachine"]);
    let progress =
        |done| FetchEvent::Progress { name: "small".into(), stage: FetchStage::Download, done, total: 100 };
    bench.send(Msg::Fetch(progress(10)));
    bench.now.mono_ms += 1000;
    bench.send(Msg::Fetch(progress(60)));
    let fetch = bench.app.model.fetch().unwrap();
    assert_eq!((fetch.stages[0], fetch.speed), ((FetchStage::Download, 60, 100), 50.0));
    let finished = FetchEvent::Finished { name: "small".into(), path: "/m/small.gguf".into() };
    assert_eq!(brief(&bench.send(Msg::Fetch(finished))), ["ReadCatalogue", "start 1 small"]);
}

#[test]
fn a_fetch_that_fails_says_why() {
    let mut bench = Bench::bare();
    let items = nothing_on_disk(&bench);
    bench.send(Msg::Catalogue(items));
    let failed = FetchEvent::Failed { name: "small".into(), message: "no network".into(), cancelled: false };
    bench.send(Msg::Fetch(failed));
    assert_eq!(bench.notice(), "no network");
    assert!(
        matches!(&bench.app.model.status, ModelStatus::Failed { message, .. } if message == "no network")
    );
    assert_eq!(brief(&bench.press(&["f5"])), ["fetch small"]);
}

#[test]
fn terms_are_accepted_before_anything_is_fetched() {
    let mut bench = Bench::asked("/model gemma");
    assert!(bench.app.overlays.top::<Licence>().is_some());
    assert_eq!(brief(&bench.press(&["y"])), ["fetch gemma"]);
    assert!(bench.app.overlays.is_empty());
}

#[test]
fn refused_terms_leave_the_chat_as_it_is() {
    let mut bench = Bench::asked("/model gemma");
    assert_eq!(bench.press(&["esc"]), []);
    assert_eq!(bench.notice(), "the terms of gemma were not accepted; Ctrl+L chooses");
}

#[test]
fn the_chat_goes_on_with_another_model() {
    let mut bench = Bench::answered("Hi", "one");
    let effects = bench.say("/model large");
    assert_eq!(brief(&effects), ["put chat Hi", "start 2 large"]);
    assert_eq!(bench.app.talk.chat.settings.model.as_deref(), Some("large"));
    bench.loaded();
    let effects = bench.say("More");
    assert_eq!(messages(&effects).len(), 3);
    assert_eq!(bench.app.talk.chat.turns.last().unwrap().model.as_deref(), Some("large"));
}

#[test]
fn switching_ends_the_reply_and_keeps_what_was_written() {
    let mut bench = Bench::asked("Hi");
    bench.write("half");
    let effects = brief(&bench.say("/model large"));
    assert!(effects.contains(&"finish Interrupted stopped: the model was switched".to_owned()));
    assert_eq!(bench.branch(), ["User: Hi", "Assistant: half"]);
}

#[test]
fn a_model_name_that_fits_several_is_refused() {
    let mut bench = Bench::ready();
    bench.type_text("/model a");
    bench.app.composer.completion = None;
    bench.press(&["enter"]);
    assert_eq!(bench.draft(), "/model a");
    assert!(bench.notice().starts_with("a could be"));
}

#[test]
fn an_idle_model_is_unloaded_and_loads_again_for_the_next_message() {
    let mut bench = Bench::ready();
    bench.app.config.engine.unload_after_minutes = 1;
    assert_eq!(bench.app.wakes_at(), Some(61_000));
    assert_eq!(brief(&bench.wait(60_000)), ["stop 1"]);
    assert_eq!(bench.app.model.status, ModelStatus::Unloaded);
    let effects = brief(&bench.say("Hi"));
    assert_eq!(effects.last().unwrap(), "start 3 small");
    bench.loaded();
    assert!(bench.app.talk.run.is_some());
}

#[test]
fn an_engine_of_another_version_is_refused() {
    let mut bench = Bench::bare();
    bench.send(Msg::Catalogue(catalogue(&bench.app.config)));
    assert_eq!(
        brief(&bench.event(0, Event::Ready { version: VERSION + 1, containment: Containment::default() })),
        ["stop 1"]
    );
    assert!(matches!(bench.app.model.status, ModelStatus::Failed { .. }));
}

#[test]
fn a_model_that_is_not_configured_is_said() {
    let mut bench = Bench::with(Config { model: "other".into(), ..config() });
    bench.send(Msg::Catalogue(catalogue(&bench.app.config)));
    assert_eq!(bench.notice(), "there is no model other in the configuration; Ctrl+L chooses another");
}

#[test]
fn the_hash_of_the_file_is_recorded_with_the_run() {
    let mut bench = Bench::asked("Hi");
    bench.event(0, Event::ModelHash("abc".into()));
    bench.done(StopReason::Eos);
    assert_eq!(bench.app.talk.runs.values().next().unwrap().model_hash.as_deref(), Some("abc"));
}

#[test]
fn a_repository_typed_into_the_picker_lists_its_files_and_the_chosen_one_is_fetched() {
    let mut bench = Bench::ready();
    bench.press(&["ctrl+l"]);
    bench.type_text("owner/tiny-GGUF");
    assert_eq!(bench.press(&["tab"]), [Effect::ReadHub("owner/tiny-GGUF".into())]);
    let file = |path: &str, bytes| HubFile { path: path.into(), bytes, sha256: None };
    let repository = Repository {
        name: "owner/tiny-GGUF".into(),
        files: vec![file("tiny-Q4_K_M.gguf", 1 << 20), file("tiny-Q8_0.gguf", 2 << 20)],
        ..Repository::default()
    };
    let offer = Offer { repository, free: Some(8 << 30), bandwidth: 1e10 };
    // An answer about another repository is not shown.
    bench.send(Msg::Hub("owner/other".into(), Err("no".into())));
    bench.send(Msg::Hub("owner/tiny-GGUF".into(), Ok(Box::new(offer))));
    let effects = bench.press(&["down", "enter"]);
    let Effect::AddModel(entry) = &effects[0] else { panic!("{effects:?}") };
    assert_eq!(entry.name, "tiny-q8_0");
    assert_eq!(entry.source, Source::Hf("owner/tiny-GGUF:tiny-Q8_0.gguf".into()));
    assert_eq!(effects[1..], [Effect::ReadCatalogue, Effect::Fetch(entry.clone())]);
    assert!(bench.app.config.model_named("tiny-q8_0").is_some());
}

#[test]
fn an_address_typed_into_the_picker_is_fetched() {
    let mut bench = Bench::ready();
    bench.press(&["ctrl+l"]);
    bench.type_text("https://example.org/My-Model.gguf?x=1");
    let effects = bench.press(&["tab"]);
    let Effect::AddModel(entry) = &effects[0] else { panic!("{effects:?}") };
    assert_eq!(entry.name, "my-model");
    assert_eq!(brief(&effects)[1..], ["ReadCatalogue", "fetch my-model"]);
}

/// Six models of addresses, none of them here.
fn many() -> Bench {
    let mut bench = Bench::ready();
    let entry =
        |number| ModelEntry::new(format!("m{number}"), Source::Url(format!("https://x/m{number}.gguf")));
    bench.app.config.models.extend((0..6).map(entry));
    let items = catalogue(&bench.app.config);
    bench.send(Msg::Catalogue(items));
    bench.press(&["ctrl+l"]);
    bench
}

/// Presses a key on the row of a model.
fn on(bench: &mut Bench, name: &str, key: &str) -> Vec<Effect> {
    let row = bench.app.model.catalogue.iter().position(|item| item.entry.name == name);
    crate::app::select_model(&mut bench.app, row);
    bench.press(&[key])
}

fn arrived(bench: &mut Bench, name: &str, done: u64) {
    let event =
        FetchEvent::Progress { name: name.into(), stage: FetchStage::Download, done, total: 100 << 20 };
    bench.send(Msg::Fetch(event));
}

fn ended(bench: &mut Bench, name: &str, cancelled: bool) -> Vec<Effect> {
    let event = FetchEvent::Failed { name: name.into(), message: "no network".into(), cancelled };
    bench.send(Msg::Fetch(event))
}

#[test]
fn three_models_are_fetched_at_once_and_the_rest_wait() {
    let mut bench = many();
    for name in ["m0", "m1", "m2"] {
        assert_eq!(brief(&on(&mut bench, name, "tab")), [format!("fetch {name}")]);
    }
    assert_eq!(on(&mut bench, "m3", "tab"), []);
    assert_eq!(bench.notice(), "m3 waits: 3 models are fetched at a time");
    // The chat goes on meanwhile, and one that is done makes room for the next.
    let finished = FetchEvent::Finished { name: "m1".into(), path: "/m/m1.gguf".into() };
    assert_eq!(brief(&bench.send(Msg::Fetch(finished))), ["ReadCatalogue", "fetch m3"]);
    assert_eq!(bench.notice(), "m1 is here; Ctrl+L switches to it");
    assert_eq!(brief(&ended(&mut bench, "m0", false)), [""; 0]);
    assert_eq!(bench.app.model.fetch_of("m0").unwrap().failed(), Some("no network"));
    bench.press(&["esc"]);
    assert!(!bench.say("Hi").is_empty());
}

#[test]
fn a_fetch_is_paused_and_goes_on_by_the_same_key() {
    let mut bench = many();
    on(&mut bench, "m0", "tab");
    arrived(&mut bench, "m0", 40 << 20);
    assert_eq!(on(&mut bench, "m0", "tab"), [Effect::StopFetch("m0".into())]);
    assert_eq!(
        bench.app.model.fetch_of("m0").unwrap().state,
        FetchState::Stopping(crate::app::AfterStop::Keep)
    );
    assert_eq!(brief(&ended(&mut bench, "m0", true)), ["ReadCatalogue"]);
    let said = "fetching m0 is paused, 40 MiB are kept; Ctrl+L, Tab goes on, also after a restart";
    assert_eq!(bench.notice(), said);
    let left =
        |bench: &Bench| bench.app.model.catalogue.iter().find(|i| i.entry.name == "m0").unwrap().unfinished;
    assert_eq!(left(&bench), Some(Unfinished { done: 40 << 20, total: 100 << 20 }));
    assert_eq!(brief(&on(&mut bench, "m0", "tab")), ["fetch m0"]);
    // Pressed again before it has stopped, it goes on.
    on(&mut bench, "m0", "tab");
    assert_eq!(on(&mut bench, "m0", "tab"), []);
    assert_eq!(brief(&ended(&mut bench, "m0", true)), ["fetch m0"]);
}

#[test]
fn giving_a_fetch_up_asks_and_drops_what_has_arrived() {
    let mut bench = many();
    on(&mut bench, "m0", "tab");
    arrived(&mut bench, "m0", 40 << 20);
    assert_eq!(on(&mut bench, "m0", "delete"), []);
    let question = bench.app.overlays.top::<Confirm>().unwrap().question.clone();
    assert_eq!(question, "Give up fetching m0, and drop the 40 MiB that are here?");
    assert_eq!(bench.press(&["y"]), [Effect::StopFetch("m0".into())]);
    assert_eq!(brief(&ended(&mut bench, "m0", true)), ["DiscardFetch", "ReadCatalogue"]);
    assert!(bench.app.model.fetch_of("m0").is_none());
    // One that is left from before is dropped at once.
    bench.app.model.catalogue.iter_mut().for_each(|item| {
        item.unfinished = (item.entry.name == "m1").then_some(Unfinished { done: 1 << 20, total: 0 });
    });
    on(&mut bench, "m1", "delete");
    assert_eq!(brief(&bench.press(&["y"])), ["DiscardFetch", "ReadCatalogue"]);
}

#[test]
fn a_recommended_model_is_fetched_beside_the_chat_with_what_the_hub_knows_of_it() {
    let mut bench = Bench::ready();
    bench.press(&["ctrl+l"]);
    bench.send(Msg::Machine(Machine { free: Some(6 << 30), bandwidth: 40e9 }));
    let is = |item: &CatalogueItem| item.offered.as_ref().is_some_and(|offer| offer.recommended);
    let row = bench.app.model.catalogue.iter().position(is).unwrap();
    let name = bench.app.model.catalogue[row].entry.name.clone();
    assert_eq!(on(&mut bench, &name, "enter"), [Effect::ReadHub("Qwen/Qwen3-4B-GGUF".into())]);
    assert!(bench.app.overlays.top::<Models>().is_some());
    let file = HubFile { path: "Qwen3-4B-Q4_K_M.gguf".into(), bytes: 5, sha256: Some("ab".repeat(32)) };
    let mut repository =
        Repository { name: "Qwen/Qwen3-4B-GGUF".into(), files: vec![file], ..Repository::default() };
    repository.sampling.top_k = Some(20);
    let offer = Offer { repository, ..Offer::default() };
    let effects = bench.send(Msg::Hub("Qwen/Qwen3-4B-GGUF".into(), Ok(Box::new(offer))));
    assert_eq!(brief(&effects), ["AddModel", "ReadCatalogue", "fetch qwen3-4b-q4_k_m"]);
    let entry = bench.app.config.model_named("qwen3-4b-q4_k_m").unwrap();
    assert_eq!((entry.makers.top_k, entry.sha256), (Some(20), Some("ab".repeat(32))));
    assert_eq!(entry.licence.unwrap().name, "Apache-2.0");
    // It is an entry like all others now, and the chat has its model as before.
    let items = catalogue(&bench.app.config);
    bench.send(Msg::Catalogue(items));
    assert!(!bench.app.model.catalogue.iter().any(is));
    assert_eq!(bench.app.model.name, "small");
}

#[test]
fn enter_looks_up_what_is_typed_where_no_model_here_has_that_name() {
    let mut bench = Bench::ready();
    bench.press(&["ctrl+l"]);
    bench.type_text("owner/tiny-GGUF");
    assert_eq!(bench.press(&["enter"]), [Effect::ReadHub("owner/tiny-GGUF".into())]);
    let mut bench = Bench::ready();
    bench.press(&["ctrl+l"]);
    bench.type_text("https://example.org/My-Model.gguf?x=1");
    assert_eq!(brief(&bench.press(&["enter"]))[1..], ["ReadCatalogue", "fetch my-model"]);
    let mut bench = Bench::ready();
    bench.press(&["ctrl+l"]);
    bench.type_text("nothing of that name");
    assert_eq!(bench.press(&["enter"]), []);
}

#[test]
fn a_file_is_removed_by_a_yes_and_not_by_an_enter() {
    let mut bench = many();
    bench.app.overlays.push(crate::app::Confirm {
        question: "Remove the file?".into(),
        action: crate::app::ConfirmAction::RemoveModel(0),
    });
    assert_eq!(bench.press(&["enter"]), []);
    assert!(bench.app.overlays.top::<crate::app::Confirm>().is_some());
    assert!(brief(&bench.press(&["y"])).contains(&"RemoveModel".to_owned()));
}

#[test]
fn words_that_a_server_tells_are_stored_before_the_tokens_that_name_them() {
    let mut bench = Bench::ready();
    bench.say("hi");
    let word = |id: i32, text: &str| {
        (TokenId(id), crate::token::Entry { bytes: text.into(), kind: crate::token::TokenKind::Normal })
    };
    let told = Event::Words { vocabulary: "words".into(), entries: vec![word(-5, "so"), word(-6, "unused")] };
    assert_eq!(brief(&bench.event(0, told)), [""; 0]);
    assert_eq!(bench.app.talk.vocabularies["words"].bytes(TokenId(-5)), Some(&b"so"[..]));
    let told = Step { id: Some(TokenId(-5)), ..step("so", f32::NAN) };
    bench.reply(Event::Token(Box::new(told.clone().into())));
    let effects = brief(&bench.wait(300));
    let put = effects.iter().position(|effect| effect == "store PutWords");
    let steps = effects.iter().position(|effect| effect == "append 1");
    assert!(put.is_some() && put < steps, "{effects:?}");
    let words = |effects: &[Effect]| {
        let words = effects.iter().filter_map(|effect| match effect {
            Effect::Store(crate::store::Command::PutWords(_, words)) => Some(words.clone()),
            _ => None,
        });
        words.flatten().map(|(id, _)| id).collect::<Vec<_>>()
    };
    // The next reply has them again, since this chat may be removed for good meanwhile; what none names is not stored.
    bench.done(crate::chat::StopReason::Eos);
    bench.say("again");
    bench.reply(Event::Token(Box::new(told.into())));
    assert_eq!(words(&bench.wait(300)), [TokenId(-5)]);
}

/// A list of models with that of a server, open on its row.
fn with_server() -> Bench {
    let mut bench = many();
    let server = crate::model_entry::Server::at("http://box:8000/v1").unwrap();
    bench.app.config.models.push(ModelEntry::new("box", Source::Server(server)));
    let items = catalogue(&bench.app.config);
    bench.send(Msg::Catalogue(items));
    bench
}

#[test]
fn a_server_is_asked_for_its_models_and_one_of_them_is_chatted_with() {
    let mut bench = with_server();
    let asked = on(&mut bench, "box", "tab");
    assert!(matches!(asked.as_slice(), [Effect::ReadServed(entry)] if entry.name == "box"), "{asked:?}");
    let state = |bench: &Bench| bench.app.overlays.top::<Served>().map(|open| open.models.clone());
    assert_eq!(state(&bench), Some(None), "it is open, and nothing has come");
    assert_eq!(bench.press(&["enter"]), [], "there is nothing to choose yet");
    // An answer about another server is not shown.
    bench.send(Msg::Served("other".into(), Err("no".into())));
    assert_eq!(state(&bench), Some(None));
    bench.send(Msg::Served("box".into(), Ok(vec!["org/a".into(), "b#2".into()])));
    bench.press(&["down", "enter"]);
    assert!(bench.app.overlays.is_empty());
    assert_eq!(bench.app.model.name, "box#b#2");
    let entry = bench.app.config.model_named("box#b#2").unwrap();
    assert_eq!(entry.server().unwrap().id.as_deref(), Some("b#2"));
    assert_eq!(bench.app.config.model_title("box#b#2"), "b#2");

    // The list begins at the model in use; another one of the same server takes its place.
    bench.press(&["ctrl+l"]);
    on(&mut bench, "box", "tab");
    bench.send(Msg::Served("box".into(), Ok(vec!["org/a".into(), "b#2".into()])));
    assert_eq!(bench.app.overlays.top::<Served>().unwrap().picker.selected, 1);
    bench.press(&["up", "enter"]);
    assert_eq!(bench.app.model.name, "box#org/a");
}

#[test]
fn why_a_server_does_not_tell_its_models_is_said_in_its_list() {
    let mut bench = with_server();
    on(&mut bench, "box", "tab");
    bench.send(Msg::Served("box".into(), Err("box:8000 cannot be reached".into())));
    let open = bench.app.overlays.top::<Served>().unwrap();
    assert_eq!(open.models, Some(Err("box:8000 cannot be reached".into())));
    bench.press(&["esc"]);
    assert!(bench.app.overlays.top::<Models>().is_some());
}

#[test]
fn an_address_or_a_model_of_a_server_can_be_typed() {
    let mut bench = with_server();
    bench.press(&["esc"]);
    for name in ["box#org/a", "http://127.0.0.1:9/v1#x"] {
        assert!(bench.app.model_named(name), "{name}");
        assert_eq!(bench.app.model.name, name);
    }
    assert!(!bench.app.model_named("small#x"), "not a server's");
}
