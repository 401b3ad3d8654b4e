//! `glassbox inspect`: one forward pass over a raw prompt, opened as far as asked.
//!
//! Invariant: everything is of the pass at one position, over the whole vocabulary and before any sampler; with parts
//! switched off it is the changed model's, with the distance to the unchanged one.

mod json;
mod table;

use anyhow::{Context as _, bail};

use super::LastLineEnd;
use super::adapter_args::of_entry;
use super::args::{InspectArgs, What};
use super::session::Session;
use super::setup::Setup;
use crate::chat::Intervention;
use crate::engine::protocol::{
    Embed, Event, Inspect, Inspected, Inspection, Job, Request, Score, Want, switched_off,
};
use crate::inspect::trace::{Component, EmbeddingFacts};
use crate::model_entry::LoadParams;
use crate::token::{TokenId, Vocabulary};

/// Neurons shown of a block.
const NEURONS: u32 = 8;
/// Neighbours shown of a token.
const NEIGHBOURS: u32 = 12;

/// All that was found out.
struct Found {
    args: InspectArgs,
    prompt: String,
    vocabulary: Vocabulary,
    /// The tokens up to the pass.
    ids: Vec<TokenId>,
    /// ln p of each but the first; empty if not asked for.
    prompt_logprobs: Vec<f32>,
    inspected: Inspected,
    embedding: Option<EmbeddingFacts>,
    /// Whether the weights were dequantised first.
    exact: bool,
}

impl Found {
    fn wants(&self, what: What) -> bool {
        self.args.what.contains(&what)
    }

    /// What the figures were computed with.
    fn arithmetic(&self) -> &'static str {
        if self.exact { "dequantised" } else { "as it runs" }
    }

    fn bytes(&self, id: TokenId) -> &[u8] {
        self.vocabulary.bytes(id).unwrap_or_default()
    }
}

/// Runs the command; gives the exit code.
///
/// # Errors
/// With a sentence for the user.
pub async fn run(args: InspectArgs, engine: &str) -> anyhow::Result<u8> {
    let prompt = super::text_or_stdin(&args.prompt, LastLineEnd::Dropped)?;
    if args.what.contains(&What::Attention) && args.layers.is_empty() {
        bail!("attention needs the layer to open: add --layer L (0 is the first)");
    }
    let ablations = changes(&args.ablations)?;
    let setup = Setup::read(args.common.config.as_deref(), args.common.model.as_deref(), None)?;
    setup.print_warnings();
    let mut entry = setup.entry()?;
    args.adapters.apply(&mut entry);
    setup.fetch_if_missing(&entry, engine).await?;
    let mut session = Session::start(&entry, engine, &setup.config)?;
    let params = LoadParams { exact: !args.as_it_runs, ..setup.config.load_params_for(&entry) };
    let loaded = session.load(&entry, &params).await?;
    args.adapters.check(&loaded)?;
    loaded.notes_for(args.reading.as_message).for_each(super::note);
    let adapters = of_entry(&entry, &loaded);
    let vocabulary = session.vocabulary().await?;
    let read = super::reading::read(&mut session, &vocabulary, &prompt, args.reading).await?;
    let mut ids: Vec<TokenId> = read.tokens.into_iter().map(|(id, _)| id).collect();
    if ids.is_empty() {
        bail!("the prompt is empty: there is no pass to open");
    }
    ids.truncate(position(args.at, ids.len())? + 1);
    let inspected = open(&mut session, &args, &vocabulary, &ids, (&adapters, &ablations)).await?;
    let prompt_logprobs = if args.what.contains(&What::Logprobs) && ids.len() > 1 {
        score(&mut session, &ids, &[adapters, ablations].concat()).await?
    } else {
        Vec::new()
    };
    let embedding = if args.what.contains(&What::Embedding) {
        let token = ids[ids.len() - 1];
        let embed = Embed { sum: vec![(token, 1.0)], neighbours: NEIGHBOURS, ..Embed::default() };
        match session.call(Request::Inspection(Inspection::Embed(Box::new(embed))), |_| {}).await? {
            Event::Embedded(facts) => Some(*facts),
            other => bail!("the engine answered with {other:?}"),
        }
    } else {
        None
    };
    let found = Found {
        args,
        prompt: read.text,
        vocabulary,
        ids,
        prompt_logprobs,
        inspected,
        embedding,
        exact: loaded.dequantized,
    };
    super::print(&if found.args.json { json::object(&found).to_string() } else { table::page(&found) });
    for missing in &found.inspected.trace.missing {
        super::note(missing);
    }
    Ok(0)
}

/// Opens the pass; the attribution needs the likeliest tokens, so it takes a second look.
async fn open(
    session: &mut Session,
    args: &InspectArgs,
    vocabulary: &Vocabulary,
    ids: &[TokenId],
    (adapters, ablations): (&[Intervention], &[Intervention]),
) -> anyhow::Result<Inspected> {
    let has = |what| args.what.contains(&what);
    let want = Want {
        lens: has(What::Lens),
        attention: if has(What::Attention) { args.layers.clone() } else { Vec::new() },
        ffn: if has(What::Ffn) { args.layers.clone() } else { Vec::new() },
        neurons: NEURONS,
        words: true,
        ..Want::default()
    };
    let mut request = Inspect {
        ids: ids.to_vec(),
        interventions: adapters.to_vec(),
        ablations: ablations.to_vec(),
        everywhere: true,
        want,
        ..Inspect::default()
    };
    let mut first = call(session, &request).await?;
    if has(What::Ffn) && args.layers.is_empty() {
        request.want.ffn = (0..first.trace.layers).collect();
        first = call(session, &request).await?;
    }
    if has(What::Attribution) {
        let next = &first.trace.next;
        let token = next.first().context("the model gave no tokens")?.id;
        let rival = match &args.rival {
            Some(text) => rival(session, text, vocabulary).await?,
            None => next.get(1).context("the model gave only one token")?.id,
        };
        if rival == token {
            bail!("--rival names the likeliest token itself; name another one");
        }
        request.want = Want { attribution: Some((token, rival)), ..Want::default() };
        let second = call(session, &request).await?;
        first.trace.attribution = second.trace.attribution;
        first.trace.missing.extend(second.trace.missing);
    }
    Ok(first)
}

async fn call(session: &mut Session, request: &Inspect) -> anyhow::Result<Inspected> {
    match session.call(Request::Inspection(Inspection::Inspect(Box::new(request.clone()))), |_| {}).await? {
        Event::Inspected(inspected) => Ok(*inspected),
        other => bail!("the engine answered with {other:?}"),
    }
}

/// The single token that a text is.
async fn rival(session: &mut Session, text: &str, vocabulary: &Vocabulary) -> anyhow::Result<TokenId> {
    // As it stands in a text: a tokenizer may put a blank before what it takes for the beginning of one.
    let ids = (0..i32::try_from(vocabulary.len()).unwrap_or(i32::MAX)).map(TokenId);
    let mut same = ids.filter(|id| vocabulary.bytes(*id) == Some(text.as_bytes()));
    if let Some(id) = same.next() {
        return Ok(id);
    }
    let tokens = session.tokenize(text, false, false).await?;
    match tokens.as_slice() {
        [(id, _)] => Ok(*id),
        several => {
            let count = several.len();
            bail!("--rival {text:?} is {count} tokens in this model; name a single one, its blank included")
        }
    }
}

/// ln p of each token but the first.
async fn score(
    session: &mut Session,
    ids: &[TokenId],
    interventions: &[Intervention],
) -> anyhow::Result<Vec<f32>> {
    let score = Score { ids: ids.to_vec(), from: 1, top_logprobs: 1, interventions: interventions.to_vec() };
    let id = session.begin(Request::Job(Job::Score(Box::new(score)))).await?;
    let mut logprobs = Vec::with_capacity(ids.len());
    loop {
        match session.next(id).await? {
            Event::Scores { steps, .. } => logprobs.extend(steps.iter().map(|step| step.logprob)),
            Event::Scored { .. } => return Ok(logprobs),
            _ => {}
        }
    }
}

/// What switches the named parts off.
fn changes(parts: &[Component]) -> anyhow::Result<Vec<Intervention>> {
    let off = |part: &Component| {
        switched_off(*part).with_context(|| match part {
            Component::Stream(layer) => format!(
                "{part}: the residual stream cannot be switched off, nothing would reach the layers above; \
                 switch off what layer {layer} adds to it with attn:{layer} and ffn:{layer}"
            ),
            _ => format!("{part} cannot be switched off: nothing would be read"),
        })
    };
    parts.iter().map(off).collect()
}

/// Which of so many positions; negative ones count from the end.
fn position(at: Option<i64>, count: usize) -> anyhow::Result<usize> {
    let last = count - 1;
    let Some(at) = at else { return Ok(last) };
    let from_end = usize::try_from(at.unsigned_abs()).ok().and_then(|back| count.checked_sub(back));
    let place = if at < 0 { from_end } else { usize::try_from(at).ok() };
    match place.filter(|place| *place <= last) {
        Some(place) => Ok(place),
        None if count == 1 => bail!("--at {at}: the prompt has one token, at position 0"),
        None => bail!("--at {at}: the prompt has {count} tokens, positions 0 to {last}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_either_end() {
        assert_eq!(position(None, 5).unwrap(), 4);
        assert_eq!(position(Some(0), 5).unwrap(), 0);
        assert_eq!(position(Some(-2), 5).unwrap(), 3);
        for beyond in [5, -6] {
            let said = position(Some(beyond), 5).unwrap_err().to_string();
            assert!(said.contains("positions 0 to 4"), "{said}");
        }
        let said = position(Some(99), 1).unwrap_err().to_string();
        assert_eq!(said, "--at 99: the prompt has one token, at position 0");
    }

    #[test]
    fn the_embedding_is_not_switched_off() {
        assert!(changes(&[Component::Embedding]).unwrap_err().to_string().contains("embedding cannot"));
        let said = changes(&[Component::Stream(3)]).unwrap_err().to_string();
        assert!(said.contains("residual stream") && said.contains("ffn:3"), "{said}");
        assert_eq!(changes(&[Component::Ffn(2)]).unwrap(), vec![Intervention::ZeroFfn { layer: 2 }]);
    }
}
