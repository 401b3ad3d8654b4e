//! `models list --server`: the models that a server has, each by the name that chats with it.

use anyhow::bail;
use serde_json::json;

use crate::cli::session::Session;
use crate::cli::setup::Setup;
use crate::engine::protocol::{Event, Immediate, Request};

/// Asks the server of an entry, or at an address, and prints what it has.
///
/// # Errors
/// With a sentence: there is no such entry, it is no server's, or the server does not say.
pub(super) async fn list(
    setup: &Setup,
    name: &str,
    as_json: bool,
    engine_choice: &str,
) -> anyhow::Result<()> {
    let entry = setup.entry_named(name)?;
    if entry.server().is_none() {
        bail!("{name} is not a server's: its entry has no server = \"https://…\"");
    }
    let mut session = Session::start(&entry, engine_choice, &setup.config)?;
    let asked = Immediate::Served { entry: Box::new(entry) };
    let (ids, left_out) = match session.call(Request::Immediate(asked), |_| {}).await? {
        Event::Served { ids, left_out } => (ids, left_out),
        other => bail!("the engine answered with {other:?} instead of models"),
    };
    if left_out > 0 {
        crate::cli::note(&format!(
            "only the first {} models are listed; there are {left_out} more",
            ids.len()
        ));
    }
    let rows = ids.iter().map(|id| (setup.config.served_name(name, id), id));
    if as_json {
        let rows: Vec<_> = rows.map(|(name, id)| json!({ "name": name, "id": id })).collect();
        crate::cli::print(&json!({ "models": rows }).to_string());
        return Ok(());
    }
    let lines: Vec<String> = rows
        .map(|(name, _)| {
            let mark = if name == setup.config.model { "*" } else { " " };
            format!("{mark} {}", crate::sanitize::for_display(&name))
        })
        .collect();
    crate::cli::print(&lines.join("\n"));
    Ok(())
}
