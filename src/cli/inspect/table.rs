//! A pass as a page for people.
//!
//! Invariant: a figure stands under a head that says what it is, with its unit.

use std::fmt::Write as _;

use super::{Found, What};
use crate::cli::tokenize::piece;
use crate::inspect::trace::{Attention, Attribution, AttributionPart, EmbeddingFacts, FeedForward, Lens};
use crate::token::TokenId;

/// Neighbours, candidates and parts that are listed.
const LISTED: usize = 12;

/// The page.
pub(super) fn page(found: &Found) -> String {
    let trace = &found.inspected.trace;
    let mut page = String::new();
    let last = found.ids.last().map_or_else(String::new, |id| name(found, *id));
    line(
        &mut page,
        &format!("pass at position {} (reading {last}), weights {}", trace.position, found.arithmetic()),
    );
    if found.wants(What::Tokens) {
        line(&mut page, "\ntokens");
        for (at, id) in found.ids.iter().enumerate() {
            line(&mut page, &format!("{at:>5} {:>7}  {}", id.0, name(found, *id)));
        }
    }
    if found.wants(What::Logprobs) {
        logprobs(found, &mut page);
    }
    if let Some(kl) = trace.kl_from_original {
        let parts: Vec<String> = found.args.ablations.iter().map(ToString::to_string).collect();
        let off = parts.join(", ");
        line(
            &mut page,
            &format!("\nwith {off} off at every position: KL from the model as it is {kl:.4} nat"),
        );
    }
    if let Some(lens) = &trace.lens {
        logit_lens(found, lens, &mut page);
    }
    if let Some(attention) = trace.attention.as_ref().filter(|_| found.wants(What::Attention)) {
        heads(found, attention, &mut page);
    }
    if found.wants(What::Ffn) {
        found.inspected.ffns.iter().for_each(|ffn| neurons(found, ffn, &mut page));
    }
    if let Some(facts) = &found.embedding {
        neighbours(found, facts, &last, &mut page);
    }
    if let Some(attribution) = &trace.attribution {
        pushes(found, attribution, &mut page);
    }
    page.truncate(page.trim_end().len());
    page
}

fn line(page: &mut String, text: &str) {
    page.push_str(text);
    page.push('\n');
}

fn name(found: &Found, id: TokenId) -> String {
    piece(found.bytes(id))
}

fn logprobs(found: &Found, page: &mut String) {
    let trace = &found.inspected.trace;
    line(page, "\nnext token                   %     ln p");
    for candidate in trace.next.iter().take(LISTED) {
        let (token, share) = (name(found, candidate.id), 100.0 * candidate.logprob.exp());
        line(page, &format!("  {token:<20} {share:>8.3} {:>8.3}", candidate.logprob));
    }
    line(
        page,
        &format!(
            "uncertainty H {:.3} nat ({:.2} bit)",
            trace.entropy,
            trace.entropy / std::f32::consts::LN_2
        ),
    );
    if !found.prompt_logprobs.is_empty() {
        let mean = -found.prompt_logprobs.iter().sum::<f32>() / found.prompt_logprobs.len() as f32;
        line(page, "\nthe prompt's own tokens     ln p");
        for (id, logprob) in found.ids.iter().skip(1).zip(&found.prompt_logprobs) {
            line(page, &format!("  {:<20} {logprob:>10.3}", name(found, *id)));
        }
        line(page, &format!("perplexity {:.2}", mean.exp()));
    }
}

fn logit_lens(found: &Found, lens: &Lens, page: &mut String) {
    line(
        page,
        "\nlayer  best here               %   KL to final     ‖h‖   ‖attn‖    ‖ffn‖   ln p of the final best",
    );
    for row in &lens.rows {
        let layer = row.layer.map_or_else(|| "emb".to_owned(), |layer| layer.to_string());
        let (token, share) = row
            .top
            .first()
            .map_or_else(Default::default, |top| (name(found, top.id), 100.0 * top.logprob.exp()));
        line(
            page,
            &format!(
                "{layer:>5}  {token:<18} {share:>7.2} {:>13.3} {:>7.1} {:>8.1} {:>8.1} {:>10.3}",
                row.kl, row.norm, row.attention_norm, row.ffn_norm, row.final_best
            ),
        );
    }
    if let Some(layer) = lens.decided {
        line(page, &format!("decided at layer {layer}: the final token is the likeliest from there on"));
    }
}

fn heads(found: &Found, attention: &Attention, page: &mut String) {
    for layer in &attention.layers {
        let window = layer.window.map_or_else(String::new, |window| format!(", window of {window} tokens"));
        line(page, &format!("\nattention of layer {}{window}: what this position reads", layer.layer));
        for (head, row) in layer.heads.iter().enumerate() {
            if !found.args.heads.is_empty() && !found.args.heads.contains(&(head as u32)) {
                continue;
            }
            let mut order: Vec<usize> = (0..row.weights.len()).collect();
            order.sort_by(|a, b| row.weights[*b].total_cmp(&row.weights[*a]));
            let mut text = format!("  head {head:>2}");
            for at in order.into_iter().take(5).filter(|at| row.weights[*at] >= 0.01) {
                // Writing to a string cannot fail.
                let _ = write!(text, "   {:.2} {} ({at})", row.weights[at], name(found, found.ids[at]));
            }
            line(page, &text);
        }
    }
}

fn neurons(found: &Found, ffn: &FeedForward, page: &mut String) {
    line(page, &format!("\nfeed-forward of layer {}: strongest of {} neurons", ffn.layer, ffn.width));
    for (expert, weight) in &ffn.experts {
        line(page, &format!("  expert {expert:>3}  weight {weight:.3}"));
    }
    let list = |tokens: &[(TokenId, f32)]| -> String {
        tokens.iter().take(4).map(|(id, _)| name(found, *id)).collect::<Vec<_>>().join(" ")
    };
    for neuron in &ffn.neurons {
        let expert = neuron.expert.map_or_else(String::new, |expert| format!("{expert}:"));
        let (up, down) = (list(&neuron.promotes), list(&neuron.suppresses));
        line(page, &format!("  {expert}{:<6} {:>9.3}   + {up}   − {down}", neuron.index, neuron.activation));
    }
}

fn neighbours(found: &Found, facts: &EmbeddingFacts, last: &str, page: &mut String) {
    line(page, &format!("\nembedding of {last}: norm {:.3}; nearest rows by cosine", facts.norm));
    for (id, cosine) in facts.neighbours.iter().take(LISTED) {
        line(page, &format!("  {:<20} {cosine:>7.3}", name(found, *id)));
    }
}

fn pushes(found: &Found, attribution: &Attribution, page: &mut String) {
    let (token, rival) = (name(found, attribution.token), name(found, attribution.rival));
    line(page, &format!("\nwho pushed {token} above {rival} (logits)"));
    let mut list = |title: &str, parts: &[AttributionPart]| {
        let mut parts = parts.to_vec();
        parts.sort_by(|a, b| b.logit_difference.abs().total_cmp(&a.logit_difference.abs()));
        line(page, &format!("  {title}"));
        for part in parts.iter().take(LISTED) {
            line(page, &format!("    {:<12} {:>+8.3}", part.part.to_string(), part.logit_difference));
        }
    };
    list("by blocks", &attribution.parts);
    list("by heads", &attribution.heads);
    let sum = attribution.difference;
    line(
        page,
        &format!(
            "  sum {sum:+.3} = logit {token} − logit {rival}, closure error {:.4}",
            attribution.closure_error
        ),
    );
}
