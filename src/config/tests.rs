//! Loading: the example file against the built-in defaults, every kind of mistake, the layers.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use super::keymap::Keymap;
use super::*;
use crate::chat::ChatSettings;
use crate::command::{Entry, RENAMED, TABLE};
use crate::model_entry::{Api, FlashAttention, Key, Licence, RopeMethod, Source};
use crate::sampling::{LogitBias, SAMPLING, SAMPLING_KEYS, Sampling, Stage};

const EXAMPLE: &str = include_str!("../../config.example.toml");

fn builtin() -> ModelEntry {
    Config::default()
        .model_named("/built/in.gguf")
        .map(|model| ModelEntry { name: DEFAULT_MODEL.into(), ..model })
        .unwrap()
}

fn sources(text: &str) -> Sources {
    let file = Some(("config.toml".to_owned(), text.to_owned()));
    Sources { builtin_models: vec![builtin()], file, ..Sources::default() }
}

fn read(text: &str) -> (Config, Vec<String>) {
    let (config, warnings) = load(&sources(text));
    (config, warnings.iter().map(ToString::to_string).collect())
}

fn defaults() -> Config {
    Config::default_with(vec![builtin()])
}

/// One wrong line: everything else stays as built in, and the warning reads as given.
fn check(text: &str, expected: &str) {
    let (config, warnings) = read(text);
    assert_eq!(warnings, [expected], "{text}");
    assert_eq!(config, defaults(), "{text}");
}

/// The example with its commented settings in force: `# name = …` and `# [table]`.
fn uncommented() -> String {
    let is_setting = |line: &str| {
        let name = line.split(" = ").next().unwrap_or_default();
        let named = line.contains(" = ")
            && name.chars().all(|c| c.is_ascii_lowercase() || "_-0123456789".contains(c));
        named || line.starts_with('[')
    };
    let lines = EXAMPLE.lines().map(|line| match line.strip_prefix("# ") {
        Some(setting) if is_setting(setting) => setting,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Dotted names of everything in a value, tables and leaves; lists count as one.
fn names(value: &Value, path: &str, out: &mut BTreeSet<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        names(value, &path, out);
        out.insert(path);
    }
}

#[test]
fn the_example_is_the_built_in_configuration() {
    let (config, warnings) = read(EXAMPLE);
    assert_eq!(warnings, [""; 0]);
    assert_eq!(config, defaults());
}

#[test]
fn the_example_holds_every_key() {
    let mut expected = BTreeSet::new();
    names(&serde_json::to_value(Config::default()).unwrap(), "", &mut expected);
    expected.extend(SAMPLING_KEYS.iter().map(|key| format!("sampling.{key}")));
    let mut found = BTreeSet::new();
    let text = uncommented();
    names(&serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap(), "", &mut found);
    let missing: Vec<_> = expected.difference(&found).collect();
    assert!(missing.is_empty(), "not in config.example.toml: {missing:?}");
    // What a model entry says of itself but cannot be configured, and what holds its sources and its adapters.
    let internal = ["source", "size", "built_in", "adapters"];
    let entry = serde_json::to_value(builtin()).unwrap();
    let of_entry = entry.as_object().unwrap().keys().map(String::as_str).chain(["lora", "control_vectors"]);
    for key in of_entry.filter(|key| !internal.contains(key)) {
        let shown = text.contains(&format!("\n{key} = ")) || text.contains(&format!("\n[models.{key}]"));
        assert!(shown, "models.{key} is not in config.example.toml");
    }
}

#[test]
fn the_example_with_its_comments_in_force_is_right_too() {
    let (config, warnings) = read(&uncommented());
    assert_eq!(warnings, [""; 0]);
    assert_eq!(config.sampling.seed, Some(42));
    assert_eq!((config.engine.load.gpu_layers, config.engine.load.threads), (Some(20), Some(4)));
    assert_eq!(config.presets.len(), 2);
    assert_eq!(config.models.len(), 7);
    assert_eq!(config.models[0].load.context, Some(32768));
    assert_eq!(config.models[1].licence.as_ref().map(|licence| licence.name.as_str()), Some("Gemma"));
}

#[test]
fn the_example_lists_every_command_with_its_default_keys() {
    let (config, _) = read(&uncommented());
    for entry in TABLE {
        let keys: Vec<_> = entry.keys().map(ToString::to_string).collect();
        assert_eq!(config.keys.get(entry.name), Some(&keys), "config.example.toml, {}", entry.name);
    }
    assert_eq!(Keymap::build(TABLE, &config.keys), (Keymap::defaults(), vec![]));
}

/// A value of a sampler setting as the example holds it.
fn example_value(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => format!("{:?}", number.as_f64().unwrap() as f32),
        other => other.to_string().replace("\",\"", "\", \""),
    }
}

/// The sampler settings as the example lists them.
fn sampling_listed() -> String {
    let defaults = serde_json::to_value(Sampling::default()).unwrap();
    let mut text = String::new();
    for setting in SAMPLING {
        for line in setting.help {
            text.extend(["#", line, "\n"]);
        }
        let line = match &defaults[setting.name] {
            Value::Null => format!("# {} = 42\n", setting.name),
            value => format!("{} = {}\n", setting.name, example_value(value)),
        };
        text += &line;
    }
    text
}

/// The commands as the example lists them.
fn keys_listed() -> String {
    let quoted = |key: &str| format!("\"{key}\"");
    let row = |entry: &Entry| {
        let keys: Vec<String> = entry.keys().map(quoted).collect();
        format!("# {}.\n# {} = [{}]\n", entry.help(), entry.name, keys.join(", "))
    };
    TABLE.iter().map(row).collect()
}

/// With `GLASSBOX_DOCS=write` they are written, which `make tables` does.
#[test]
fn the_examples_lists_are_those_of_the_tables() {
    let mut text = EXAMPLE.to_owned();
    for (head, list) in [("[sampling]\n", sampling_listed()), ("[keys]\n", keys_listed())] {
        let begin = text.find(head).unwrap() + head.len();
        let end = begin + text[begin..].find("\n\n").unwrap() + 1;
        text.replace_range(begin..end, &list);
    }
    if std::env::var("GLASSBOX_DOCS").as_deref() == Ok("write") {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
        std::fs::write(path, text).unwrap();
    } else {
        assert!(text == EXAMPLE, "run `make tables`");
    }
}

#[test]
fn keys_of_0_1_0_go_on_working_and_old_names_are_told() {
    let (config, warnings) = read(include_str!("fixtures/keys_0_1_0.toml"));
    assert_eq!(config.keys.len(), 119);
    assert_eq!(Keymap::build(TABLE, &config.keys), (Keymap::defaults(), vec![]));
    assert_eq!(warnings.len(), RENAMED.len(), "{warnings:#?}");
    let expected = "config.toml:74: keys.flip: is called \"softmax-strip\" and \"attention-readers\" now; the old \
                    name still works";
    assert!(warnings.iter().any(|warning| warning == expected), "{warnings:#?}");
}

#[test]
fn an_empty_file_and_none_are_the_defaults() {
    assert_eq!(read(""), (defaults(), vec![]));
    assert_eq!(load(&Sources { file: None, ..sources("") }), (defaults(), vec![]));
}

#[test]
fn the_environment_may_ask_for_less_motion_and_the_file_has_the_last_word() {
    let motion = |text: &str, env: &[(&str, &str)]| {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        load(&Sources { env, ..sources(text) }).0.ui.motion
    };
    assert_eq!(motion("", &[]), Motion::Auto);
    assert_eq!(motion("", &[("REDUCE_MOTION", "1")]), Motion::Reduced);
    assert_eq!(motion("", &[("NO_MOTION", "1")]), Motion::Reduced);
    assert_eq!(motion("", &[("REDUCE_MOTION", "0")]), Motion::Auto);
    assert_eq!(motion("[ui]\nmotion = \"full\"\n", &[("REDUCE_MOTION", "1")]), Motion::Full);
    let calm = UiConfig { motion: Motion::Reduced, ..UiConfig::default() };
    assert_eq!((UiConfig::default().frames(), calm.frames()), (30, 2));
}

#[test]
fn what_is_wrong_with_keys_is_told_with_the_rest() {
    let (_, warnings) = read("[keys]\nquit = []\nmodels = [\"ctrl+i\"]\n");
    assert_eq!(
        warnings,
        [
            "config.toml:3: keys.models: many terminals send Ctrl+I as Tab, which is \"focus-next\"",
            "config.toml:2: keys.quit: \"quit\" has no key any more; the palette and /quit still do it",
        ]
    );
}

#[test]
fn wrong_keys_name_line_key_problem_and_default() {
    check(
        "[sampling]\ntemprature = 1\n",
        "config.toml:2: sampling.temprature: no setting has this name (did you mean \"temperature\"?); it is left out",
    );
    check(
        "[sampling]\n\ntemperature = -1\n",
        "config.toml:3: sampling.temperature: must be 0 or more, not -1; 0.8 is used",
    );
    check(
        "[sampling]\ntop_p = 1.5",
        "config.toml:2: sampling.top_p: must be from 0 to 1, not 1.5; 0.95 is used",
    );
    check(
        "[sampling]\nmin_p = nan",
        "config.toml:2: sampling.min_p: must be a finite number, not nan; 0.05 is used",
    );
    check(
        "[sampling]\ntop_n_sigma = inf",
        "config.toml:2: sampling.top_n_sigma: must be a finite number, not inf; -1.0 is used",
    );
    check(
        "[sampling]\ntop_k = \"20\"",
        "config.toml:2: sampling.top_k: must be a whole number from 0 to 4294967295, not \"20\"; 40 is used",
    );
    check(
        "[sampling]\nmirostat = 1",
        "config.toml:2: sampling.mirostat: must be 0 (off) or 2, not 1; 0 is used",
    );
    check(
        "sampling.seed = -3",
        "config.toml:1: sampling.seed: must be a whole number from 0 to 4294967295, not -3; a random seed is used",
    );
    check("sampling = 3", "config.toml:1: sampling: must be a table, not 3; it is left out");
    check(
        "[engine]\nflash_attention = \"onn\"",
        "config.toml:2: engine.flash_attention: must be one of \"auto\", \"on\", \"off\" (did you mean \"on\"?), \
         not \"onn\"; \"auto\" is used",
    );
    check(
        "[engine]\nrope = { method = \"model\", factor = 2 }",
        "config.toml:2: engine.rope.factor: no setting has this name; it is left out",
    );
    check(
        "[ui]\nmouse = \"yes\"",
        "config.toml:2: ui.mouse: must be true or false, not \"yes\"; false is used",
    );
    check("[uii]\n", "config.toml:1: uii: no setting has this name (did you mean \"ui\"?); it is left out");
    check("[ui]\nframe_rate = 0", "config.toml:2: ui.frame_rate: must be from 1 to 60, not 0; 30 is used");
    check(
        "[keys]\nregnerate = [\"ctrl+r\"]",
        "config.toml:2: keys.regnerate: no command has this name (did you mean \"regenerate\"?); it is left out",
    );
    check(
        "[keys]\nquit = [\"ctlr+q\"]",
        "config.toml:2: keys.quit: \"ctlr+q\" is not a key (before the last + stand ctrl, alt and shift); \
         the command keeps its own keys",
    );
    check(
        "model = \"smolm2-135m-instruct\"",
        "config.toml:1: model: no model is named \"smolm2-135m-instruct\" (did you mean \
         \"smollm2-135m-instruct\"?); \"smollm2-135m-instruct\" is used",
    );
}

#[test]
fn the_order_holds_every_stage_once() {
    let (config, warnings) = read("[sampling]\norder = [\"top_k\", \"top_k\"]");
    assert_eq!(config, defaults());
    assert!(warnings[0].contains("\"logit_bias\", \"penalties\""), "{warnings:?}");
    let order: Vec<Stage> = Stage::DEFAULT_ORDER.iter().rev().copied().collect();
    let names: Vec<String> = order.iter().map(|stage| format!("\"{}\"", stage.about().name)).collect();
    let (config, warnings) = read(&format!("sampling.order = [{}]", names.join(", ")));
    assert_eq!((config.sampling.order, warnings), (order, vec![]));
}

#[test]
fn one_wrong_key_leaves_the_others() {
    let (config, warnings) =
        read("[sampling]\ntemperature = 2\ntop_k = -1\ntop_p = 0.5\n[ui]\ncolor = 256\n");
    assert_eq!(warnings.len(), 1);
    let sampling = Sampling { temperature: 2.0, top_p: 0.5, ..Sampling::default() };
    assert_eq!((config.sampling, config.ui.color), (sampling, ColorDepth::C256));
}

#[test]
fn a_worker_without_a_port_is_refused_once() {
    let (config, warnings) = read("[[models]]\nname = \"x\"\npath = \"/x.gguf\"\nrpc = [\"127.0.0.1\"]\n");
    let expected = "config.toml:4: models.rpc: must be a list of \"host:port\", not [\"127.0.0.1\"]; the model runs on \
                    this machine alone";
    assert_eq!(warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
    assert_eq!(config.model_named("x").unwrap().rpc, [""; 0]);
}

#[test]
fn warnings_come_in_the_order_of_the_file() {
    let (_, warnings) = read("modle = 1\n[ui]\nthem = 1\n[engine]\nbatch = 0\n");
    let lines: Vec<_> = warnings.iter().map(|warning| &warning[..13]).collect();
    assert_eq!(lines, ["config.toml:1", "config.toml:3", "config.toml:5"]);
}

#[test]
fn a_file_that_is_not_toml_is_one_warning_with_line_and_column() {
    let (config, warnings) = read("model = \"x\"\nthis is no toml\n");
    assert_eq!(config, defaults());
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("config.toml:2: column "), "{warnings:?}");
}

#[test]
fn a_file_too_large_is_not_read() {
    let (config, warnings) = read(&format!("model = \"x\"\n#{}", "x".repeat(FILE_LIMIT)));
    assert_eq!(
        (config, warnings),
        (defaults(), vec!["config.toml: is larger than 1 MiB; nothing of it is used".into()])
    );
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    assert_eq!(read_file(&path), Ok(None));
    std::fs::write(&path, "a = 1\n\u{e9}").unwrap();
    assert_eq!(read_file(&path).unwrap().unwrap().1, "a = 1\n\u{e9}");
    std::fs::write(&path, b"a = 1\n\xff").unwrap();
    assert_eq!(read_file(&path).unwrap_err().line, 2);
    std::fs::write(&path, vec![b'#'; FILE_LIMIT + 1]).unwrap();
    assert!(read_file(&path).unwrap_err().message.contains("1 MiB"));
    assert!(read_file(folder.path()).unwrap_err().message.contains("not a plain file"));
}

#[test]
fn logit_bias_takes_texts_ids_and_bans() {
    let (config, warnings) = read(
        "[sampling]\nlogit_bias = [{ text = \" a\", bias = -5 }, { id = 12, ban = true }, { id = 3 }, { bias = 1 }]\n",
    );
    let bias = |text: Option<&str>, id, bias| LogitBias { text: text.map(String::from), id, bias };
    assert_eq!(
        config.sampling.logit_bias,
        [bias(Some(" a"), None, -5.0), bias(None, Some(12), f32::NEG_INFINITY)]
    );
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].contains("either bias or ban"), "{warnings:?}");
    assert!(warnings[1].contains("either text or id"), "{warnings:?}");
}

#[test]
fn models_are_read_whole() {
    let text = "[[models]]\nname = \"a\"\npip = [\"p==1:x/y.gguf\", \"q==1:z\"]\nsha256 = \"ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789\"\n\
        licence = { name = \"Gemma\", terms = \"Long.\" }\nengine = [\"ssh\", \"box\"]\n\
        [models.load]\nflash_attention = \"on\"\nrope = { method = \"yarn\", scale = 0.25 }\n[models.sampling]\nseed = 7\n";
    let (config, warnings) = read(text);
    assert_eq!(warnings, [""; 0]);
    assert_eq!(
        config.models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>(),
        ["a", DEFAULT_MODEL]
    );
    let model = &config.models[0];
    assert_eq!(model.source, Source::Pip(vec!["p==1:x/y.gguf".into(), "q==1:z".into()]));
    assert!(model.sha256.as_ref().is_some_and(|sum| sum.starts_with("abcdef")));
    assert_eq!(model.licence, Some(Licence { name: "Gemma".into(), terms: Some("Long.".into()) }));
    assert_eq!(model.engine, Some(vec!["ssh".into(), "box".into()]));
    let load = config.load_params_for(model);
    assert_eq!((load.flash_attention, load.rope.method), (FlashAttention::On, RopeMethod::Yarn));
    assert_eq!(config.sampling_for(model, &ChatSettings::default()).seed, Some(7));
}

#[test]
fn a_draft_model_is_another_entry_or_a_file() {
    let entry =
        |name: &str, more: &str| format!("[[models]]\nname = \"{name}\"\npath = \"{name}.gguf\"\n{more}\n");
    let text = [
        entry("large", "draft_model = \"small\""),
        entry("other", "draft_model = \"/m/tiny.gguf\""),
        entry("small", ""),
    ];
    let (config, warnings) = read(&text.concat());
    assert_eq!(warnings, [""; 0]);
    let drafted_by =
        |index: usize| config.models[index].draft_model.as_deref().map(|draft| draft.source.clone());
    assert_eq!(drafted_by(0), Some(config.models[2].source.clone()));
    assert_eq!(drafted_by(1), Some(Source::Path("/m/tiny.gguf".into())));
    let (_, warnings) = read(&entry("large", "draft_model = 3"));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn a_model_s_adapters_have_a_file_and_a_scale() {
    use crate::chat::{Adapter, AdapterKind, Intervention};
    let of = |lines: &str| read(&format!("[[models]]\nname = \"a\"\npath = \"a.gguf\"\n{lines}\n"));
    let (config, warnings) = of("lora = [{ path = \"/l/x.gguf\", scale = 0.5 }, \"/l/y.gguf\"]\n\
        control_vectors = [{ path = \"~/v.gguf\", scale = -2 }]");
    assert_eq!(warnings, [""; 0]);
    let adapter = |kind, path: &str, scale| Adapter { kind, path: path.into(), scale };
    let expected = [
        adapter(AdapterKind::Lora, "/l/x.gguf", 0.5),
        adapter(AdapterKind::Lora, "/l/y.gguf", 1.0),
        adapter(AdapterKind::ControlVector, "~/v.gguf", -2.0),
    ];
    assert_eq!(config.models[0].adapters, expected);
    let chat = vec![Intervention::Adapter(adapter(AdapterKind::Lora, "/l/y.gguf", 0.0))];
    let chat = ChatSettings { interventions: chat, ..ChatSettings::default() };
    let used = config.interventions_for(config.models.first(), &chat);
    assert_eq!(used, [&expected[0], &expected[2]].map(|adapter| Intervention::Adapter(adapter.clone())));
    for (lines, said) in [
        ("lora = \"x.gguf\"", "must be a list"),
        ("lora = [{ scale = 1.0 }]", "needs a path"),
        ("lora = [3]", "a file's name or { path, scale }"),
        ("lora = [{ path = \"x\", scales = 1.0 }]", "did you mean \"scale\""),
        ("control_vectors = [{ path = \"x\", scale = \"much\" }]", "1 is used"),
    ] {
        let (config, warnings) = of(lines);
        assert_eq!(config.models.len(), 2, "the model stays");
        assert!(warnings.len() == 1 && warnings[0].contains(said), "{lines}: {warnings:?}");
    }
}

#[test]
fn a_configured_model_replaces_the_built_in_one_of_its_name() {
    let (config, warnings) =
        read(&format!("[[models]]\nname = \"{DEFAULT_MODEL}\"\nurl = \"https://x.org/m.gguf\"\n"));
    assert_eq!(warnings, [""; 0]);
    assert_eq!(config.models.len(), 1);
    assert_eq!(config.models[0].source, Source::Url("https://x.org/m.gguf".into()));
}

#[test]
fn models_with_a_doubtful_source_are_left_out() {
    let check = |body: &str, part: &str| {
        let (config, warnings) = read(&format!("[[models]]\n{body}\n"));
        assert_eq!(config, defaults(), "{body}");
        assert!(warnings.iter().any(|warning| warning.contains(part)), "{body}: {warnings:?}");
        assert!(warnings.iter().all(|warning| warning.starts_with("config.toml:")), "{warnings:?}");
    };
    check("name = \"a\"", "exactly one of path, hf, pip, url, server, not none");
    check("name = \"a\"\npath = \"x\"\nurl = \"https://x\"", "not path and url");
    check("path = \"x.gguf\"", "needs a name");
    check("name = \"a\"\nhf = \"owner/repo\"", "owner/repo:file.gguf");
    check("name = \"a\"\nurl = \"http://x.org/m\"", "https://");
    check("name = \"a\"\nurl = \"http://localhost.x.org/m\"", "https://");
    check("name = \"a\"\npip = \"--index-url=x==1:y\"", "package==version");
    check("name = \"a\"\npath = \"x\"\nsha256 = \"abc\"", "64 hexadecimal digits");
    check("name = \"a\"\npath = \"x\"\nengine = []", "begin with a program");
    check(
        "name = \"a\"\npth = \"x\"",
        "config.toml:3: models.pth: no setting has this name (did you mean \"path\"?)",
    );
}

#[test]
fn a_server_has_an_address_and_says_where_its_key_is() {
    let text = "[[models]]\nname = \"a\"\nserver = \"https://x.org/v1/\"\nid = \"org/big\"\napi = \"vllm\"\n\
        key_env = \"X_KEY\"\n[[models]]\nname = \"b\"\nserver = \"http://192.168.0.2:8080\"\nkey_file = \"~/k\"\n";
    let (config, warnings) = read(text);
    assert_eq!(warnings, [""; 0]);
    let server = config.models[0].server().unwrap();
    assert_eq!((server.address.as_str(), server.id.as_deref()), ("https://x.org/v1", Some("org/big")));
    assert_eq!((server.api, &server.key), (Api::Vllm, &Some(Key::Env("X_KEY".into()))));
    let server = config.models[1].server().unwrap();
    assert_eq!((server.api, &server.key), (Api::Auto, &Some(Key::File("~/k".into()))));
    let (config, warnings) = read("[[models]]\nname = \"a\"\nserver = \"http://example.org/v1\"\n");
    assert!(config.models[0].server().is_some(), "it is warned of, and used");
    assert!(
        warnings.len() == 1 && warnings[0].contains("config.toml:3: models.server: http://"),
        "{warnings:?}"
    );
}

#[test]
fn a_doubtful_server_is_left_out_and_no_secret_is_repeated() {
    let check = |body: &str, part: &str| {
        let (config, warnings) = read(&format!("[[models]]\nname = \"a\"\n{body}\n"));
        assert_eq!(config, defaults(), "{body}");
        assert!(warnings.iter().any(|warning| warning.contains(part)), "{body}: {warnings:?}");
        assert!(warnings.iter().all(|warning| !warning.contains("s3cret")), "{warnings:?}");
    };
    let at = "server = \"https://x.org/v1\"";
    check("server = \"x.org/v1\"", "must begin with https:// or http://");
    check("server = 3", "text in quotes");
    check("server = \"https://me:s3cret@x.org/v1\"", "key_env or key_file say where the key is");
    check("server = \"https://x.org/v1?key=s3cret\"", "key_env or key_file say where the key is");
    check(&format!("{at}\npath = \"x\""), "not path and server");
    check(&format!("{at}\nkey = \"s3cret\""), "key_env = \"NAME\"");
    check(&format!("{at}\napi_key = \"s3cret\""), "key_file = \"path\"");
    check(&format!("{at}\nkey_env = \"sk-s3cret\""), "name of a variable");
    check(&format!("{at}\nkey_env = \"A\"\nkey_file = \"b\""), "a key is in one place");
    check(&format!("{at}\napi = \"vlm\""), "did you mean \"vllm\"");
    check("path = \"x\"\nid = \"y\"", "belongs to a model with server");
    check("path = \"x\"\nkey = \"s3cret\"", "a key is not written here");
}

#[test]
fn an_address_in_place_of_a_name_is_a_server() {
    let config = defaults();
    let entry = config.model_named("http://127.0.0.1:8080#big").unwrap();
    assert_eq!((entry.name.as_str(), entry.server().unwrap().title()), ("http://127.0.0.1:8080#big", "big"));
    assert_eq!(config.model_title("http://127.0.0.1:8080"), "127.0.0.1:8080");
    assert_eq!(config.model_named("http://me:secret@x"), None);
    let mut all = sources("");
    all.flags.model = Some("http://example.org".into());
    let (config, warnings) = load(&all);
    assert_eq!(config.model, "http://example.org");
    assert!(
        warnings.iter().any(|warning| warning.message.contains("can be read on the way")),
        "{warnings:?}"
    );
}

#[test]
fn a_name_is_used_once_and_presets_must_exist() {
    let text = "[presets.calm]\ntemperature = 0.1\n[[models]]\nname = \"a\"\npath = \"x\"\npreset = \"clam\"\n\
        [[models]]\nname = \"a\"\npath = \"y\"\n";
    let (config, warnings) = read(text);
    assert_eq!(config.models.len(), 2);
    assert_eq!(config.models[0].source, Source::Path("x".into()));
    assert_eq!(config.models[0].preset, None);
    assert!(warnings[0].contains("\"a\" is there already"), "{warnings:?}");
    assert!(warnings[1].starts_with("config.toml:6: models.preset:"), "{warnings:?}");
    assert!(warnings[1].contains("did you mean \"calm\""), "{warnings:?}");
}

#[test]
fn environment_goes_over_the_file_and_flags_over_both() {
    let mut all =
        sources("model = \"a.gguf\"\n[ui]\ntheme = \"light\"\n[sampling]\ntop_k = 3\ntop_p = 0.1\n");
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    all.env = vec![
        set("GLASSBOX_MODEL", "b.gguf"),
        set("GLASSBOX__SAMPLING__TOP_K", "20"),
        set("GLASSBOX__UI__COLOR", "256"),
        set("GLASSBOX__SYSTEM", "Be brief."),
        set("GLASSBOX__INSPECTOR__WATCH", "[\"a\"]"),
        set("GLASSBOX_HOME", "/x"),
        set("PATH", "/bin"),
    ];
    all.flags = Flags { theme: Some("dark".into()), ..Flags::default() };
    let (config, warnings) = load(&all);
    assert_eq!(warnings, []);
    assert_eq!((config.model.as_str(), config.ui.theme.as_str()), ("b.gguf", "dark"));
    assert_eq!((config.sampling.top_k, config.sampling.top_p), (20, 0.1));
    assert_eq!((config.ui.color, config.system.as_str()), (ColorDepth::C256, "Be brief."));
    assert_eq!(config.inspector.watch, ["a"]);
}

#[test]
fn wrong_variables_name_themselves() {
    let mut all = sources("");
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    all.env = vec![
        set("GLASSBOX__SAMPLING__TOPK", "20"),
        set("GLASSBOX__SAMPLING__TOP_P", "x"),
        set("GLASSBOX_MODEL", "zz"),
    ];
    let shown: Vec<_> = load(&all).1.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "GLASSBOX__SAMPLING__TOPK: sampling.\"topk\": no setting has this name (did you mean \"top_k\"?); it is left out",
            "GLASSBOX__SAMPLING__TOP_P: sampling.top_p: must be a finite number, not \"x\"; 0.95 is used",
            "GLASSBOX_MODEL: model: no model is named \"zz\"; \"smollm2-135m-instruct\" is used",
        ]
    );
}

#[test]
fn narrower_settings_win() {
    let text = "system = \"all\"\n[sampling]\ntop_k = 1\n[presets.model]\ntop_k = 2\ntop_p = 0.2\nmin_p = 0.2\n\
        [presets.chat]\nmin_p = 0.4\ntypical_p = 0.4\n[[models]]\nname = \"m\"\npath = \"m\"\npreset = \"model\"\n\
        system = \"model\"\nsampling.top_p = 0.3\nmakers = { top_k = 9, top_p = 0.9, xtc_probability = 0.1 }\n";
    let (config, warnings) = read(text);
    assert_eq!(warnings, [""; 0]);
    let model = config.model_named("m").unwrap();
    let mut chat = ChatSettings { preset: Some("chat".into()), ..ChatSettings::default() };
    chat.sampling.typical_p = Some(0.5);
    let sampling = config.sampling_for(&model, &chat);
    assert_eq!((sampling.top_k, sampling.top_p, sampling.min_p, sampling.typical_p), (2, 0.3, 0.4, 0.5));
    // What the makers recommend goes over [sampling] alone.
    assert!((sampling.xtc_probability - 0.1).abs() < 1e-6);
    assert_eq!(config.system_for(&model, &chat), "model");
    assert_eq!(config.system_for(&builtin(), &chat), "all");
    chat.system = Some(String::new());
    assert_eq!(config.system_for(&model, &chat), "");
}

#[test]
fn a_path_is_a_model_by_itself() {
    let config = defaults();
    for name in ["/x/y.gguf", "~/y.gguf", "./y", "y.GGUF"] {
        let model = config.model_named(name).unwrap();
        assert_eq!((model.name.as_str(), model.source), (name, Source::Path(name.into())));
    }
    assert_eq!(config.model_named("y"), None);
}

#[test]
fn what_set_key_writes_is_read_back() {
    let text = set_key(EXAMPLE, "ui.theme", "\"light\"").unwrap();
    let (config, warnings) = read(&text);
    assert_eq!((config.ui.theme.as_str(), warnings), ("light", vec![]));
    assert_eq!(text.lines().count(), EXAMPLE.lines().count());
}

proptest! {
    #[test]
    fn no_text_stops_the_start(text in "(\\PC|\n){0,200}") {
        let _ = load(&sources(&text));
    }

    #[test]
    fn a_damaged_example_is_still_read(at in 0..EXAMPLE.len(), insert in "[\\[\\]{}=\"'#.,\n0-9a-z-]{0,6}") {
        let at = (0..=at).rev().find(|at| EXAMPLE.is_char_boundary(*at)).unwrap();
        let _ = load(&sources(&format!("{}{insert}{}", &EXAMPLE[..at], &EXAMPLE[at..])));
    }

    #[test]
    fn numbers_survive_being_shown(temperature in 0.0f32..5.0, top_k: u32, watch in proptest::collection::vec(".+", 0..4)) {
        use super::setting::Setting as _;
        let text = format!(
            "[sampling]\ntemperature = {}\ntop_k = {}\n[inspector]\nwatch = {}\n",
            temperature.show(), top_k.show(), watch.show()
        );
        let (config, warnings) = read(&text);
        prop_assert_eq!(warnings, Vec::<String>::new());
        prop_assert_eq!((config.sampling.temperature, config.sampling.top_k), (temperature, top_k));
        prop_assert_eq!(config.inspector.watch, watch);
    }
}

#[test]
fn what_does_nothing_as_it_is_set_is_a_warning_with_its_line() {
    let said = |text: &str| read(text).1;
    assert_eq!(
        said("[sampling]\nxtc_probability = 0.5\nxtc_threshold = 0.6\n")[0],
        "config.toml:3: sampling.xtc_threshold: XTC does nothing above one half: no two tokens can both be likelier"
    );
    for (rope, begins) in [
        ("scale = 4.0", "config.toml:2: engine.rope: the scale is 1 / factor"),
        ("method = \"yarn\"", "config.toml:2: engine.rope: a method without a scale"),
    ] {
        let said = said(&format!("[engine.rope]\n{rope}\n"));
        assert!(said[0].starts_with(begins), "{said:?}");
    }
    assert!(said("[engine.rope]\nmethod = \"yarn\"\nscale = 0.25\n").is_empty());
}

#[test]
fn a_model_of_a_server_is_named_behind_its_entry_and_keeps_the_rest_of_it() {
    let text = "[[models]]\nname = \"box\"\nserver = \"http://box:8000/v1\"\nid = \"first\"\nkey_env = \"KEY\"\n\
                system = \"short\"\n[[models]]\nname = \"file\"\npath = \"/x.gguf\"\n";
    let (config, warnings) =
        load(&Sources { file: Some(("c.toml".into(), text.into())), ..Sources::default() });
    assert!(warnings.iter().all(|warning| warning.key == "model"), "{warnings:?}");
    let entry = config.model_named("box#org/b").unwrap();
    let first = config.model_named("box").unwrap();
    assert_eq!((entry.name.as_str(), entry.system.as_deref()), ("box#org/b", Some("short")));
    let server = entry.server().unwrap();
    assert_eq!((server.id.as_deref(), &server.key), (Some("org/b"), &first.server().unwrap().key));
    assert_eq!(
        (config.model_title("box#org/b").as_str(), config.model_title("box").as_str()),
        ("org/b", "box")
    );
    for none in ["box#", "file#x", "other#x", "boxer#x"] {
        assert_eq!(config.model_named(none), None, "{none}");
    }
    let name = |of: &str, id: &str| config.served_name(of, id);
    assert_eq!([name("box", "c"), name("box#org/b", "c#1")], ["box#c", "box#c#1"]);
    assert_eq!(name("http://a:1/v1#x", "y"), "http://a:1/v1#y");
}
