//! Bookkeeping of `update` that no pane shows: what is kept back for a moment.
//!
//! Invariant: nothing here is drawn.

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Whether something was wrong with the configuration when it was read last.
    pub config_warned: bool,
    /// Whether the user asked for the configuration to be read.
    pub config_asked: bool,
    /// Whether it was said what to set where Option types characters.
    pub option_said: bool,
    /// What the changes made in the open settings overlay replaced, the newest last.
    pub settings_before: Vec<super::settings::Before>,
}
