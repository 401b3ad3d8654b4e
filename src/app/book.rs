//! Bookkeeping of `update` that no pane shows: what is kept back for a moment.
//!
//! Invariant: nothing here is drawn but in the help.

use crate::config::Warning;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Whether something was wrong with the configuration when it was read last.
    pub config_warned: bool,
    /// What was wrong with the keys of it.
    pub key_warnings: Vec<Warning>,
    /// Whether the user asked for the configuration to be read.
    pub config_asked: bool,
    /// Whether it was said what to set where Option types characters.
    pub option_said: bool,
    /// What the changes made in the open settings overlay replaced, the newest last.
    pub settings_before: Vec<super::settings::Before>,
}

impl Book {
    /// Keeps those warnings that are about keys.
    pub fn keep_of_keys(&mut self, warnings: &[Warning]) {
        self.key_warnings =
            warnings.iter().filter(|warning| warning.key.starts_with("keys.")).cloned().collect();
    }
}
