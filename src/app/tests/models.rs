//! Starting, fetching, switching, unloading.

use super::*;
use crate::app::Licence;
use crate::models::{FetchEvent, FetchStage};

fn nothing_on_disk(bench: &Bench) -> Vec<CatalogueItem> {
    let items = catalogue(&bench.app.config).into_iter();
    items.map(|item| CatalogueItem { path: None, ..item }).collect()
}

#[test]
fn a_model_on_disk_is_started_and_loaded() {
    let mut bench = Bench::bare();
    let effects = bench.send(Msg::Catalogue(catalogue(&bench.app.config)));
    assert_eq!(brief(&effects), ["start 1 small"]);
    let effects = bench.event(0, Event::Ready { version: VERSION });
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
fn the_first_run_fetches_the_default_model_and_then_loads_it() {
    let mut bench = Bench::bare();
    let items = nothing_on_disk(&bench);
    assert_eq!(brief(&bench.send(Msg::Catalogue(items))), ["fetch small"]);
    let progress =
        |done| FetchEvent::Progress { name: "small".into(), stage: FetchStage::Download, done, total: 100 };
    bench.send(Msg::Fetch(progress(10)));
    bench.now.mono_ms += 1000;
    bench.send(Msg::Fetch(progress(60)));
    let fetch = bench.app.model.fetch.as_ref().unwrap();
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
    assert_eq!(brief(&bench.event(0, Event::Ready { version: VERSION + 1 })), ["stop 1"]);
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
    use crate::models::hub::{HubFile, Offer, Repository};
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
