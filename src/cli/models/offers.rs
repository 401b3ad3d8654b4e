//! The recommended models that are not here, for `models list`: how each would be on this machine.
//!
//! Invariant: speeds are predictions and called so; what is free is what the system says now.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::mib;
use crate::model_entry::{ModelEntry, Source};
use crate::models::machine::Machine;
use crate::models::recommended::{Offered, READABLE, offered};

/// A recommended model that is not here, and the entry that it would have.
pub(super) struct Offer {
    entry: ModelEntry,
    offered: Offered,
}

/// Those that have no entry yet, smallest first.
pub(super) fn of(machine: &Machine, entries: &[ModelEntry]) -> Vec<Offer> {
    let items = offered(machine, entries).into_iter();
    items.filter_map(|item| Some(Offer { entry: item.entry, offered: *item.offered? })).collect()
}

impl Offer {
    /// What `models pull` takes.
    fn address(&self) -> &str {
        match &self.entry.source {
            Source::Hf(address) | Source::Url(address) => address,
            _ => &self.entry.name,
        }
    }

    /// Why one would take it, or not.
    fn verdict(&self) -> &'static str {
        match self.offered.fits() {
            Some(false) => "too large for the memory that is free",
            _ if self.offered.recommended => "recommended: the largest that fits and can be read along",
            _ if self.offered.speed < READABLE => "slower than one reads",
            Some(true) => "fits",
            None => "how much memory is free is not known",
        }
    }

    fn terms(&self) -> &'static str {
        let asks = self.entry.licence.as_ref().is_some_and(|licence| licence.terms.is_some());
        if asks { ", its terms are asked about first" } else { "" }
    }

    fn row(&self) -> String {
        let Offered { model, needs, speed, .. } = &self.offered;
        let quant = self.offered.quantisation();
        let mark = if self.offered.recommended { "*" } else { " " };
        let (title, size, needs) = (&model.title, mib(model.bytes), mib(*needs));
        let speed = if *speed < 10.0 { format!("{speed:.1}") } else { format!("{speed:.0}") };
        format!(
            "{mark} {title:<24} {quant:<8} {size:>9} {needs:>9} {speed:>8}  {}\n    {}, {}{}\n    glassbox models pull {}",
            self.verdict(),
            model.good_at,
            model.licence,
            self.terms(),
            self.address(),
        )
    }
}

/// As a table below that of the models on disk; nothing where there are none.
pub(super) fn table(machine: &Machine, offers: &[Offer]) -> String {
    if offers.is_empty() {
        return String::new();
    }
    let free = machine.free.map_or_else(|| "memory unknown".to_owned(), |free| format!("{} free", mib(free)));
    let speed = machine.bandwidth / 1e9;
    let speed = if speed < 10.0 { format!("{speed:.1}") } else { format!("{speed:.0}") };
    let mut table = format!("Not here, and how they would do on this machine ({free}, read at {speed} GB/s)");
    let _ = write!(
        table,
        "\n  {:<24} {:<8} {:>9} {:>9} {:>8}  tokens a second are predicted",
        "model", "quant", "file", "memory", "tokens/s"
    );
    for offer in offers {
        let _ = write!(table, "\n{}", offer.row());
    }
    crate::sanitize::for_copy(&table)
}

/// The same as JSON.
pub(super) fn json(offers: &[Offer]) -> Value {
    let rows = offers.iter().map(|offer| {
        let Offered { model, needs, free, speed, recommended } = &offer.offered;
        json!({
            "title": model.title,
            "source": offer.address(),
            "quantisation": offer.offered.quantisation(),
            "parameters": model.parameters,
            "file_size": model.bytes,
            "memory_needed": needs,
            "memory_free": free,
            "fits": offer.offered.fits(),
            "predicted_tokens_per_second": (speed * 10.0).round() / 10.0,
            "licence": model.licence,
            "terms_to_accept": !offer.terms().is_empty(),
            "good_at": model.good_at,
            "recommended": recommended,
            "reason": offer.verdict(),
        })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_here_is_listed_with_its_reasons() {
        let machine = Machine { free: Some(6 << 30), bandwidth: 40e9 };
        let offers = of(&machine, &[]);
        let table = table(&machine, &offers);
        for said in [
            "(6.0 GiB free, read at 40 GB/s)",
            "* Qwen3 4B ",
            "recommended: the largest that fits and can be read along",
            "too large for the memory that is free",
            "Gemma, its terms are asked about first",
            "glassbox models pull Qwen/Qwen3-0.6B-GGUF:Qwen3-0.6B-Q8_0.gguf",
        ] {
            assert!(table.contains(said), "{said}: {table}");
        }
        let rows = json(&offers);
        let rows = rows.as_array().unwrap();
        let best: Vec<&Value> = rows.iter().filter(|row| row["recommended"] == true).collect();
        assert_eq!((best.len(), &best[0]["title"], &best[0]["fits"]), (1, &json!("Qwen3 4B"), &json!(true)));
        assert!(rows.iter().all(|row| row["licence"].is_string() && row["memory_needed"].as_u64() > Some(0)));
        // One that is here is not offered.
        let fewer = of(&machine, std::slice::from_ref(&offers[0].entry));
        assert_eq!(fewer.len(), offers.len() - 1);
        assert_eq!(super::table(&machine, &[]), "");
    }

    #[test]
    fn a_slow_machine_and_one_that_says_nothing_are_told() {
        let slow = Machine { free: Some(64 << 30), bandwidth: 1e9 };
        assert!(table(&slow, &of(&slow, &[])).contains("slower than one reads"));
        let mute = Machine { free: None, bandwidth: 40e9 };
        assert!(table(&mute, &of(&mute, &[])).contains("how much memory is free is not known"));
    }
}
