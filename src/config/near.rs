//! The name that was meant: of those that exist, the one nearest to what was written.
//!
//! Invariant: a name that is far from all others has no nearest one.

/// `, did you mean "x"?` for the candidate nearest to `name`, or nothing if none is near.
pub(crate) fn did_you_mean<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    nearest(name, candidates).map_or_else(String::new, |near| format!(" (did you mean \"{near}\"?)"))
}

/// The candidate nearest to `name` by edits, counting a swap of neighbours as one; or one that it abbreviates.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let wanted: String = plain(name).chars().take(80).collect();
    let allowed = 1 + wanted.chars().count() / 4;
    candidates
        .filter_map(|candidate| {
            let other = plain(candidate);
            let distance = strsim::damerau_levenshtein(&wanted, &other);
            let abbreviates = wanted.len() >= 3 && other.starts_with(&wanted);
            (distance <= allowed || abbreviates).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
