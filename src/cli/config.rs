//! `glassbox config`: where the configuration file is, editing it, checking it.
//!
//! Invariant: a file that is there is never written by anything but the editor.

mod fits;
mod named;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use super::args::{ConfigArgs, ConfigCommand};
use super::setup::Setup;
use crate::config::{self, Folders, Warning};

/// All settings with their defaults, as the repository has them.
const EXAMPLE: &str = include_str!("../../config.example.toml");

/// Runs the command; gives the exit code.
///
/// # Errors
/// With a sentence for the user.
pub fn run(args: &ConfigArgs) -> anyhow::Result<u8> {
    let folders = Folders::find().context("there is no home folder; set GLASSBOX_HOME to a folder")?;
    let file = args.config.clone().unwrap_or_else(|| folders.config_file());
    match args.command {
        ConfigCommand::Path => {
            super::print(&file.display().to_string());
            Ok(0)
        }
        ConfigCommand::Edit => {
            if !file.exists() {
                config::write_atomically(&file, &commented_out(EXAMPLE))
                    .with_context(|| format!("{} cannot be written", file.display()))?;
            }
            edit(&file)?;
            Ok(check(&file))
        }
        ConfigCommand::Check if !file.exists() => {
            if args.config.is_some() {
                bail!("the configuration file {} is not there", file.display());
            }
            super::print(&format!("{} is not there; the defaults are used", file.display()));
            Ok(0)
        }
        ConfigCommand::Check => Ok(check(&file)),
    }
}

/// The example with every line that sets something as a comment, so that it changes nothing.
fn commented_out(example: &str) -> String {
    let line = |line: &str| match line.trim_start() {
        "" => String::new(),
        text if text.starts_with('#') => line.to_owned(),
        _ => format!("# {line}"),
    };
    example.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

/// Opens the file in the user's editor and waits for it.
fn edit(file: &Path) -> anyhow::Result<()> {
    let named = |variable| std::env::var(variable).ok().filter(|value| !value.trim().is_empty());
    let editor = named("VISUAL").or_else(|| named("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let status = Command::new(program).args(words).arg(file).status().with_context(|| {
        format!("the editor {program} cannot be started; set EDITOR to one that is there")
    })?;
    if !status.success() {
        bail!("the editor {program} ended with {status}");
    }
    Ok(())
}

/// Says what is wrong with the file; the exit code.
fn check(file: &Path) -> u8 {
    let found = Setup::read(Some(file), None, None);
    let warnings: Vec<Warning> = match found {
        Ok(setup) => {
            // What cannot be read at all is among the warnings.
            let text = config::read_file(file).ok().flatten().map(|(_, text)| text).unwrap_or_default();
            let more = [named::warnings(&setup, &text), fits::warnings(&setup, &text)].concat();
            setup.warnings.into_iter().chain(more).collect()
        }
        Err(error) => {
            super::note(&error.to_string());
            return 1;
        }
    };
    if warnings.is_empty() {
        super::print(&format!("{} is right", file.display()));
        return 0;
    }
    for warning in &warnings {
        super::note(&warning.to_string());
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_commented_out_sets_nothing() {
        let text = commented_out(EXAMPLE);
        let table: toml::Table = toml::from_str(&text).unwrap();
        assert!(table.is_empty(), "{table}");
        assert_eq!(text.lines().count(), EXAMPLE.lines().count());
    }

    #[test]
    fn a_file_is_right_or_its_faults_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, "[ui]\nmouse = true\n").unwrap();
        assert_eq!(check(&file), 0);
        std::fs::write(&file, "[ui]\nmouse = 3\n").unwrap();
        assert_eq!(check(&file), 1);
    }

    #[test]
    fn what_a_file_names_and_is_not_there_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(folder.path().join("there.gguf"), "").unwrap();
        std::fs::write(folder.path().join("bad.jinja"), "Hello").unwrap();
        let there = folder.path().join("there.gguf").display().to_string();
        let entry = format!("[[models]]\nname = \"a\"\npath = \"{there}\"\n");
        let check = |text: &str, expected: i32| {
            std::fs::write(&file, text).unwrap();
            assert_eq!(i32::from(check(&file)), expected, "{text}");
        };
        check(&entry, 0);
        check(&format!("model_folders = [\"{}\"]\n", folder.path().display()), 0);
        for wrong in [
            "[ui]\ntheme = \"drak\"\n",
            "model = \"/nowhere.gguf\"\n",
            "model_folders = [\"/nowhere\"]\n",
            "[[models]]\nname = \"b\"\npath = \"/nowhere.gguf\"\n",
            "[[models]]\nname = \"b\"\nserver = \"http://127.0.0.1:1\"\nkey_file = \"/nowhere\"\n",
        ] {
            check(wrong, 1);
        }
        for wrong in [
            "template = \"none.jinja\"",
            "template = \"bad.jinja\"",
            "lora = [\"none.gguf\"]",
            "control_vectors = [\"none.gguf\"]",
            "draft_model = \"nope\"",
            "draft_model = \"a\"",
            "draft_model = \"there.gguf\"",
        ] {
            check(&format!("{entry}{wrong}\n"), 1);
        }
        // A file that was fetched, or lies on another machine, is not looked for here.
        check("[[models]]\nname = \"b\"\nhf = \"o/r:b.gguf\"\n", 0);
        check(
            &format!(
                "{entry}engine = [\"ssh\", \"box\", \"glassbox\", \"engine\"]\ntemplate = \"none.jinja\"\n"
            ),
            0,
        );
    }

    #[test]
    fn a_folder_in_place_of_the_file_is_called_one() {
        let folder = tempfile::tempdir().unwrap();
        let said = Setup::read(Some(folder.path()), None, None).err().map(|error| error.to_string());
        assert!(said.as_ref().is_some_and(|said| said.contains("is a folder")), "{said:?}");
    }
}
