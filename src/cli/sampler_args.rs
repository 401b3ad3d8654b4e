//! A flag for each sampler setting, made from the table of settings; beside them `--set` and `--preset`.
//!
//! Invariant: a setting that joins the table has its flag, with the table's own words and checks.

use std::sync::LazyLock;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::{Config, sampler_setting};
use crate::sampling::{SAMPLING, SAMPLING_KEYS, Sampling, SamplingOverrides, SamplingSetting};

/// The settings that are lists, and the grammar: `stop` has a flag that may be repeated, `--grammar` takes a file, the
/// others are given by `--set`.
const LISTS: &[&str] = &["dry_sequence_breakers", "grammar", "logit_bias", "order", "stop"];

/// What the command line says of the sampler.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct SamplerArgs {
    /// A preset of the configuration.
    pub preset: Option<String>,
    /// The settings given, `--set` below the flags.
    pub layer: SamplingOverrides,
}

impl SamplerArgs {
    /// Puts what was given over the settings in use.
    ///
    /// # Errors
    /// When there is no preset of that name; names those there are.
    pub fn apply(&self, config: &Config, sampling: &mut Sampling) -> anyhow::Result<()> {
        if let Some(name) = &self.preset {
            let Some(preset) = config.presets.get(name) else {
                let names: Vec<&str> = config.presets.keys().map(String::as_str).collect();
                let there = if names.is_empty() { "none is configured".into() } else { names.join(", ") };
                anyhow::bail!("there is no preset {name}; there are: {there}");
            };
            preset.apply(sampling);
        }
        self.layer.apply(sampling);
        Ok(())
    }

    /// What of the settings given does nothing in the end, or spoils the reply, a sentence each.
    pub fn doubts(&self, sampling: &Sampling) -> Vec<String> {
        let layer = serde_json::to_value(&self.layer).unwrap_or_default();
        let given = SAMPLING_KEYS.iter().filter(|key| layer.get(**key).is_some());
        given.filter_map(|key| Some(format!("{key}: {}", sampling.misfit(key)?))).collect()
    }
}

/// The settings with a flag of their own, and its name.
static PLAIN: LazyLock<Vec<(&SamplingSetting, String)>> = LazyLock::new(|| {
    let plain = SAMPLING.iter().filter(|setting| !LISTS.contains(&setting.name));
    plain.map(|setting| (setting, setting.name.replace('_', "-"))).collect()
});

fn flag(setting: &'static SamplingSetting, name: &'static str) -> Arg {
    let help = setting.help.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
    Arg::new(setting.name)
        .long(name)
        .value_name("VALUE")
        .help(help.trim_end_matches('.').to_owned())
        .help_heading("Sampler")
        .hide_short_help(!setting.about.is_first && setting.name != "max_tokens")
        .allow_negative_numbers(true)
        .value_parser(move |value: &str| sampler_setting(setting.name, value))
}

impl Args for SamplerArgs {
    fn augment_args(command: Command) -> Command {
        let command = command.args(PLAIN.iter().map(|(setting, name)| flag(setting, name)));
        let setting = |pair: &str| match pair.split_once('=') {
            Some((key, value)) => sampler_setting(key, value),
            None => Err(format!("{pair} is not KEY=VALUE")),
        };
        command
            .arg(
                Arg::new("stop")
                    .long("stop")
                    .value_name("TEXT")
                    .action(ArgAction::Append)
                    .help("End before this text; may be given several times")
                    .help_heading("Sampler")
                    .value_parser(clap::builder::NonEmptyStringValueParser::new()),
            )
            .arg(
                Arg::new("set")
                    .long("set")
                    .value_name("KEY=VALUE")
                    .action(ArgAction::Append)
                    .help("Any setting of [sampling], as the configuration file has it; may be given several times")
                    .help_heading("Sampler")
                    .value_parser(setting),
            )
            .arg(
                Arg::new("preset")
                    .long("preset")
                    .value_name("NAME")
                    .help("A preset of the configuration, below the other flags")
                    .help_heading("Sampler"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SamplerArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut layer = SamplingOverrides::default();
        for given in matches.get_many::<SamplingOverrides>("set").into_iter().flatten() {
            layer.merge(given);
        }
        for (setting, _) in PLAIN.iter() {
            if let Some(given) = matches.get_one::<SamplingOverrides>(setting.name) {
                layer.merge(given);
            }
        }
        if let Some(texts) = matches.get_many::<String>("stop") {
            layer.stop = Some(texts.cloned().collect());
        }
        Ok(Self { preset: matches.get_one::<String>("preset").cloned(), layer })
    }

    fn update_from_arg_matches(&mut self, _: &ArgMatches) -> Result<(), clap::Error> {
        Err(clap::Error::raw(ErrorKind::InvalidValue, "arguments are read once"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        sampler: SamplerArgs,
    }

    fn layer(arguments: &[&str]) -> SamplingOverrides {
        Cli::try_parse_from(["glassbox"].iter().chain(arguments)).unwrap().sampler.layer
    }

    #[test]
    fn flags_lie_over_set_and_take_what_a_file_takes() {
        let read = layer(&["--set", "top-k=3", "--top-k", "7", "--penalty-last-n", "-1"]);
        let expected =
            SamplingOverrides { top_k: Some(7), penalty_last_n: Some(-1), ..SamplingOverrides::default() };
        assert_eq!(read, expected);
        let read = layer(&["--stop", "a", "--stop=-b"]);
        assert_eq!(read.stop, Some(vec!["a".to_owned(), "-b".to_owned()]));
        assert_eq!(layer(&["--seed", "5"]).seed, Some(Some(5)));
    }

    #[test]
    fn what_no_sampler_can_use_is_refused_with_its_reason() {
        for (arguments, said) in [
            (["--top-p", "1.5"], "top_p must be from 0 to 1"),
            (["--min-p", "-1"], "min_p must be from 0 to 1"),
            (["--temperature", "nan"], "temperature must be a finite number"),
            (["--set", "temp=1"], "did you mean \"temperature\"?"),
            (["--set", "order=[\"top_k\"]"], "order must hold every stage once"),
            (["--set", "top_k"], "top_k is not KEY=VALUE"),
        ] {
            let error = Cli::try_parse_from(["glassbox"].iter().chain(&arguments)).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_setting_that_does_nothing_in_the_end_is_told() {
        let said = |arguments: &[&str]| {
            let args = Cli::try_parse_from(["glassbox"].iter().chain(arguments)).unwrap().sampler;
            let mut sampling = Sampling::default();
            args.apply(&Config::default_with(Vec::new()), &mut sampling).unwrap();
            args.doubts(&sampling)
        };
        assert_eq!(said(&["--dry-base", "2"]), ["dry_base: does nothing while dry_multiplier is 0"]);
        assert_eq!(said(&["--set", "top_p=0.0"]), ["top_p: 0 leaves the likeliest token alone; 1 is off"]);
        assert_eq!(said(&["--dry-base", "2", "--dry-multiplier", "0.8"]), [""; 0]);
        assert_eq!(said(&["--temperature", "0", "--seed", "7", "--top-k", "1"]), [""; 0]);
    }

    #[test]
    fn an_unknown_preset_is_named_with_those_there_are() {
        let config = Config::default_with(Vec::new());
        let args = SamplerArgs { preset: Some("wild".into()), ..SamplerArgs::default() };
        let error = args.apply(&config, &mut Sampling::default()).unwrap_err().to_string();
        assert!(error.starts_with("there is no preset wild; there are: "), "{error}");
    }
}
