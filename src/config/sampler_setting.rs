//! One sampler setting given as text, by `/set`, `--set` or a sampler's own flag.
//!
//! Invariant: what is taken here is what a configuration file may hold under `[sampling]`.

use super::document::{Report, Section, did_you_mean};
use super::near::called_here;
use super::sections;
use crate::sampling::{SAMPLING_KEYS, SamplingOverrides, setting};

/// The layer that holds one setting, its value given as TOML or, where it is a text, as it stands.
///
/// # Errors
/// What is wrong: no setting of that name, with the nearest one, or what its value must be, with its range.
pub fn sampler_setting(key: &str, value: &str) -> Result<SamplingOverrides, String> {
    let key = key.trim().replace('-', "_");
    if !SAMPLING_KEYS.contains(&key.as_str()) {
        let meant = called_here(&key).unwrap_or(&key);
        let hint = did_you_mean(meant, SAMPLING_KEYS.iter().copied());
        return Err(format!("there is no setting {key}{hint}"));
    }
    let value = value.trim();
    read(&format!("{key} = {value}")).or_else(|problem| {
        let quoted = toml_edit::Value::from(value);
        read(&format!("{key} = {quoted}"))
            .map_err(|quoted| described(&key, value, problem.or(quoted).as_deref()))
    })
}

/// Reads one line of TOML; the error is what the value must be, if it is TOML at all.
fn read(line: &str) -> Result<SamplingOverrides, Option<String>> {
    let mut report = Report::without_lines("", line);
    let Some(table) = report.parse() else { return Err(None) };
    let mut section = Section::new(&table, "", &mut report);
    let layer = sections::sampling(&mut section, None);
    match report.warnings.first() {
        None => Ok(layer),
        Some(warning) => Err(Some(warning.message.clone())),
    }
}

fn described(key: &str, value: &str, problem: Option<&str>) -> String {
    let range = setting(key).and_then(|setting| setting.about.range);
    // More than that is taken too, and is in doubt.
    let range = range.map_or_else(String::new, |(_, least, most)| format!("; {least} to {most} is usual"));
    // What a file falls back to is of no use here.
    let must = problem.map(|problem| problem.rsplit_once("; ").map_or(problem, |(must, _)| must));
    match must {
        // Any other check names its limits itself.
        Some(must) if must.starts_with("must be a finite number") => format!("{key} {must}{range}"),
        Some(must) => format!("{key} {must}"),
        None => format!("{value} is not a value for {key}{range}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::Sampling;

    #[test]
    fn a_setting_is_read_as_a_file_would_hold_it() {
        let all = |pairs: &[(&str, &str)]| {
            let mut sampling = Sampling::default();
            for (key, value) in pairs {
                sampler_setting(key, value).unwrap().apply(&mut sampling);
            }
            sampling
        };
        let read = all(&[
            ("top-k", "7"),
            ("temperature", "0"),
            ("seed", "5"),
            ("stop", "[\"a\", \"b\"]"),
            ("logit_bias", "[{ id = 3, ban = true }]"),
        ]);
        assert_eq!((read.top_k, read.temperature, read.seed), (7, 0.0, Some(5)));
        assert_eq!((read.stop.len(), read.logit_bias.len()), (2, 1));
    }

    #[test]
    fn the_ends_of_every_range_are_values_that_a_file_may_hold() {
        for setting in crate::sampling::SAMPLING {
            let Some((_, least, most)) = setting.about.range else { continue };
            for end in [least, most] {
                assert_eq!(sampler_setting(setting.name, &end.to_string()).err(), None, "{}", setting.name);
            }
        }
    }

    #[test]
    fn what_is_only_unwise_is_taken() {
        for (key, value) in [("temperature", "80"), ("frequency_penalty", "50"), ("dry_multiplier", "100")] {
            assert_eq!(sampler_setting(key, value).err(), None, "{key}");
        }
    }

    #[test]
    fn what_cannot_be_used_says_what_it_must_be() {
        for (key, value, said) in [
            ("temp", "1", "there is no setting temp (did you mean \"temperature\"?)"),
            ("n-predict", "1", "there is no setting n_predict (did you mean \"max_tokens\"?)"),
            ("temperature", "hot", "temperature must be a finite number, not \"hot\"; 0 to 5 is usual"),
            ("temperature", "0,5", "temperature must be a finite number, not \"0,5\"; 0 to 5 is usual"),
            ("temperature", "-1", "temperature must be 0 or more, not -1"),
            ("top_p", "1.5", "top_p must be from 0 to 1, not 1.5"),
            ("seed", "-1", "seed must be a whole number from 0 to 4294967295, not -1"),
            ("mirostat", "1", "mirostat must be 0 (off) or 2, not 1"),
        ] {
            assert_eq!(sampler_setting(key, value).unwrap_err(), said);
        }
    }
}
