//! The folder: names, what is there, removal, terms.

use super::folder::{ModelsFolder, RemoveError, ResolveError};
use super::gguf::craft::Craft;
use crate::model_entry::{Licence, ModelEntry, Source};

/// An entry that is nothing but a name and a source.
pub(crate) fn entry(name: &str, source: Source) -> ModelEntry {
    ModelEntry::new(name, source)
}

fn folder() -> (tempfile::TempDir, ModelsFolder) {
    let temporary = tempfile::tempdir().unwrap();
    let folder = ModelsFolder::new(temporary.path().join("models"));
    (temporary, folder)
}

#[test]
fn file_names_are_safe_and_follow_the_source() {
    let (_keep, folder) = folder();
    let name = |name: &str, source: &str| {
        let path = folder.path_of(&entry(name, Source::Hf(source.to_owned())));
        assert_eq!(path.parent(), Some(folder.path()));
        path.file_name().unwrap().to_str().unwrap().to_owned()
    };
    let odd = name("../../etc/pass wd\u{1b}", "a/b:c.gguf");
    assert!(odd.starts_with("_.._etc_pass_wd_-"), "{odd}");
    assert_ne!(name("m", "a/b:q4.gguf"), name("m", "a/b:q8.gguf"));
    assert!(name("m", "a/b:sub/q4-00001-of-00003.gguf").ends_with("-00001-of-00003.gguf"));
    assert_eq!(folder.path_of(&super::built_in()[0]).file_name().unwrap(), "smollm2-135m-instruct.gguf");
}

#[test]
fn a_path_source_is_found_and_never_removed() {
    let (keep, folder) = folder();
    let file = keep.path().join("own.gguf");
    let own = entry("own", Source::Path(file.clone()));
    assert!(matches!(folder.resolve(&own), Err(ResolveError::Bad(_))));
    std::fs::write(&file, Craft::new().bytes()).unwrap();
    let (path, facts) = folder.resolve(&own).unwrap();
    assert_eq!((path, facts.name.as_str()), (file.clone(), "Tiny"));
    assert!(matches!(folder.remove(&own), Err(RemoveError::Own { .. })));
    assert!(file.exists());
}

#[test]
fn a_model_that_was_not_fetched_says_how_to() {
    let (_keep, folder) = folder();
    let error = folder.resolve(&super::built_in()[0]).unwrap_err();
    assert!(error.to_string().contains("glassbox models pull smollm2-135m-instruct"), "{error}");
}

#[test]
fn a_file_without_weights_is_refused() {
    let (keep, folder) = folder();
    let file = keep.path().join("vocabulary.gguf");
    std::fs::write(&file, Craft { tensors: Vec::new(), ..Craft::new() }.bytes()).unwrap();
    let result = folder.resolve(&entry("v", Source::Path(file)));
    assert!(matches!(result, Err(ResolveError::NoWeights(_))));
}

#[test]
fn the_catalogue_tells_absent_sound_and_broken_apart() {
    let (keep, folder) = folder();
    let (sound, broken) = (keep.path().join("a.gguf"), keep.path().join("b.gguf"));
    std::fs::write(&sound, Craft::new().bytes()).unwrap();
    std::fs::write(&broken, "text").unwrap();
    let absent = entry("c", Source::Url("https://example.org/c.gguf".to_owned()));
    let entries = [entry("a", Source::Path(sound.clone())), entry("b", Source::Path(broken)), absent];
    let items = folder.catalogue(&entries);
    assert_eq!(items[0].path, Some(sound));
    assert_eq!(items[0].facts.as_ref().unwrap().as_ref().unwrap().name, "Tiny");
    assert!(items[1].facts.as_ref().unwrap_err().contains("not a GGUF file"));
    assert_eq!((&items[2].path, &items[2].facts), (&None, &Ok(None)));
}

#[test]
fn removing_takes_every_part_and_what_is_unfinished() {
    let (_keep, folder) = folder();
    let split = entry("m", Source::Hf("a/b:m-00001-of-00002.gguf".to_owned()));
    let first = folder.path_of(&split);
    let second = super::gguf::part_paths(&first)[1].clone();
    let unfinished = super::unfinished::with_suffix(&second, ".part");
    std::fs::create_dir_all(folder.path()).unwrap();
    std::fs::write(&first, "12").unwrap();
    std::fs::write(&unfinished, "345").unwrap();
    assert_eq!(folder.locate(&split), None);
    assert_eq!(folder.remove(&split).unwrap(), 5);
    assert!(!first.exists() && !unfinished.exists());
    assert!(matches!(folder.remove(&split), Err(RemoveError::NotThere(_))));
}

#[test]
fn changed_terms_are_asked_about_again() {
    let (_keep, folder) = folder();
    let terms = |text: &str| ModelEntry {
        licence: Some(Licence { name: "X".to_owned(), terms: Some(text.to_owned()) }),
        ..entry("m", Source::Hf("a/b:c.gguf".to_owned()))
    };
    assert!(!folder.licence_accepted(&terms("old")));
    folder.accept_licence(&terms("old")).unwrap();
    assert!(folder.licence_accepted(&terms("old")));
    assert!(!folder.licence_accepted(&terms("new")));
    assert!(folder.licence_accepted(&super::built_in()[0]));
}

#[test]
fn a_hash_is_computed_once() {
    let (keep, folder) = folder();
    let files = vec![keep.path().join("a")];
    std::fs::write(&files[0], "abc").unwrap();
    let first = folder.hash_cached(&files, |_| Ok(())).unwrap();
    let again = folder.hash_cached(&files, |_| panic!("read again")).unwrap();
    assert_eq!(first, again);
}
