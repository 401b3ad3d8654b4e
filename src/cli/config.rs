//! `glassbox config`: where the configuration file is, editing it, checking it.
//!
//! Invariant: a file that is there is never written by anything but the editor.

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
        Ok(setup) => setup.warnings,
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
}
