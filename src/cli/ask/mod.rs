//! `glassbox ask`: one reply to standard output, streamed as text or as one JSON object a line, and kept as a chat if
//! wanted.
//!
//! Invariant: probabilities are over the whole vocabulary and before the samplers, in natural logarithms.

pub(super) mod kept;
mod output;
pub(super) mod parts;
mod question;

use std::collections::VecDeque;

use anyhow::bail;
use serde_json::json;

pub(super) use output::{rounded, token_line, write};

use self::kept::{Kept, Which};
use self::output::{Output, Wish};
use super::adapter_args::usable;
use super::args::AskArgs;
use super::ending::{CtrlC, pressed};
use super::session::Session;
use super::setup::Setup;
use super::tokenize::doubt;
use crate::app::without_oldest;
use crate::attachment::Attachment;
use crate::chat::{ChatSettings, Intervention, Role, Run, RunId, StopReason, Timings, Usage};
use crate::config::{Markdown, Overflow};
use crate::engine::protocol::{
    Event, FailureKind, Generate, Immediate, Job, Loaded, Message, Prompt, Request, RequestId, Runner,
    TemplateSetting,
};
use crate::grammar::{Form, schema_of};
use crate::model_entry::ModelEntry;
use crate::runtime;
use crate::sampling::Sampling;
use crate::store::random_id;
use crate::token::{BLANK_SIGN, Step, TokenId, Vocabulary};

/// Runs the command; gives the exit code.
///
/// # Errors
/// With a sentence for the user.
pub async fn run(args: AskArgs, engine: &str) -> anyhow::Result<u8> {
    let grammar = args.grammar()?;
    let question = question::question(args.prompt.as_deref(), &args.files)?;
    let of_line = args.common.model.as_deref();
    let mut setup = Setup::read(args.common.config.as_deref(), of_line, None)?;
    setup.print_warnings();
    let mut kept = args.kept().map(|which| Kept::open(&setup, which)).transpose()?;
    let settings = kept.as_mut().map(|kept| args.settings(kept, &mut setup)).unwrap_or_default();
    let mut entry = setup.entry()?;
    args.adapters.apply(&mut entry);
    setup.fetch_if_missing(&entry, engine).await?;
    let entry = setup.advised(entry);
    let mut sampling = setup.config.sampling_for(&entry, &settings);
    args.sampler.apply(&setup.config, &mut sampling)?;
    args.sampler.doubts(&sampling).iter().for_each(|doubt| super::note(doubt));
    if let Some(grammar) = grammar {
        sampling.grammar = grammar;
    }
    let system = args.system.clone().unwrap_or_else(|| setup.config.system_for(&entry, &settings));

    let mut session = Session::start(&entry, engine, &setup.config)?;
    let loaded = session.load(&entry, &setup.config.load_params_for(&entry)).await?;
    args.adapters.check(&loaded)?;
    loaded.notes_for(!args.raw).for_each(super::note);
    let interventions = usable(setup.config.interventions_for(Some(&entry), &settings), &loaded);
    let wish = args.wish(&setup, &sampling);
    // What was said in a chat before may hold control tokens, whose names the template wants. Nothing else of the prompt
    // needs the vocabulary, which takes a while to come.
    let goes_on = kept.is_some() && args.kept() != Some(Which::New);
    let vocabulary = if goes_on { Some(session.vocabulary().await?) } else { None };
    let now_ms = super::wall_ms();
    let setting = TemplateSetting {
        clock_ms: now_ms,
        offset_minutes: super::offset_minutes(),
        values: setup.config.template_values_for(&entry, &settings),
    };
    let prompt = match &mut kept {
        _ if args.raw => raw(&mut session, question, args.special).await?,
        None => chat(vec![Message::new(Role::User, question)], &system, setting.clone()),
        Some(kept) => {
            kept.ask(&question, now_ms);
            chat(
                kept.messages(vocabulary.as_ref().unwrap_or(&Vocabulary::default())),
                &system,
                setting.clone(),
            )
        }
    };
    let top_logprobs = match &kept {
        _ if args.json => args.top_logprobs,
        Some(_) => setup.config.inspector.candidates,
        None => 0,
    };
    if let Some(kept) = &mut kept {
        let run = run_of(&entry, &loaded, &sampling, &setting);
        kept.begin(Run { interventions: interventions.clone(), ..run }, now_ms);
    }
    if let Some(kept) = &kept {
        session.reads_for(&loaded, kept.chat()).await?;
    }
    let out = Output::new(wish);
    let names = match vocabulary {
        Some(vocabulary) => Names::Here(Box::new(vocabulary)),
        None if out.has_names() || kept.is_some() => {
            Names::Asked(session.begin(Request::Immediate(Immediate::Vocabulary)).await?)
        }
        None => Names::None,
    };
    let mut asking = Asking {
        session,
        names,
        held: VecDeque::new(),
        out,
        kept,
        drop_oldest: setup.config.engine.overflow == Overflow::DropOldest,
        show_prompt: args.show_prompt,
        load_ms: loaded.load_ms,
        interventions,
        wants_json: schema_of(&sampling.grammar).is_some() && matches!(loaded.runner, Runner::Server { .. }),
    };
    asking.reply(prompt, &sampling, top_logprobs).await
}

impl AskArgs {
    /// How the reply is to be shown. What follows a grammar is for programs, and what only goes on with a text is no
    /// Markdown.
    fn wish(&self, setup: &Setup, sampling: &Sampling) -> Wish {
        let as_written = self.json || self.plain || self.raw || !sampling.grammar.trim().is_empty();
        let wanted = !as_written && setup.config.ui.markdown != Markdown::Off;
        let theme = if wanted { Wish::theme_of(setup) } else { None };
        let links = setup.config.ui.links && runtime::knows_links(|name| std::env::var(name).ok());
        Wish { json: self.json, theme, thinking: self.show_thinking, links, raw: self.raw }
    }

    /// The grammar that the reply is to follow, where one is given.
    fn grammar(&self) -> anyhow::Result<Option<String>> {
        let given = match (&self.schema, &self.grammar) {
            (Some(path), _) => Some((path, Form::Schema)),
            (None, path) => path.as_ref().map(|path| (path, Form::Grammar)),
        };
        let Some((path, form)) = given else { return Ok(None) };
        let (grammar, notes) = crate::attachment::grammar(Attachment::read_given(path), Some(form))
            .map_err(anyhow::Error::msg)?;
        for note in &notes {
            super::note(note);
        }
        Ok(Some(grammar))
    }

    /// The chat that question and reply are kept in.
    fn kept(&self) -> Option<Which<'_>> {
        match &self.chat {
            Some(id) => Some(Which::Id(id)),
            None if self.continue_last => Some(Which::Last),
            None => self.keep.then_some(Which::New),
        }
    }

    /// What a chat sets for itself. A new one takes what the command line says; in one that goes on, that counts for
    /// this reply alone.
    fn settings(&self, kept: &mut Kept, setup: &mut Setup) -> ChatSettings {
        let settings = kept.settings();
        if self.kept() == Some(Which::New) {
            settings.model.clone_from(&self.common.model);
            settings.system.clone_from(&self.system);
            settings.preset.clone_from(&self.sampler.preset);
            settings.sampling = self.sampler.layer.clone();
            let adapters = self.adapters.given().into_iter().map(Intervention::Adapter);
            settings.interventions.extend(adapters);
        } else if let (None, Some(model)) = (&self.common.model, &settings.model) {
            setup.flags.model = Some(model.clone());
        }
        settings.clone()
    }
}

/// A text that the model goes on with as it is.
async fn raw(session: &mut Session, text: String, special: bool) -> anyhow::Result<Prompt> {
    if !special {
        // A server may have no tokenizer to ask; it reads the text all the same.
        if text.contains(BLANK_SIGN)
            && let Ok(tokens) = session.tokenize(&text, false, true).await
        {
            doubt(&tokens, &text).into_iter().for_each(super::note);
        }
        return Ok(Prompt::Raw { text });
    }
    let tokens = session.tokenize(&text, true, true).await?;
    doubt(&tokens, &text).into_iter().for_each(super::note);
    let ids: Vec<TokenId> = tokens.into_iter().map(|(id, _)| id).collect();
    Ok(Prompt::Ids { ids, taken: Vec::new(), chat: false })
}

/// Messages under the template, below a system message if there is one.
pub(super) fn chat(mut messages: Vec<Message>, system: &str, setting: TemplateSetting) -> Prompt {
    if !system.is_empty() {
        messages.insert(0, Message::new(Role::System, system));
    }
    Prompt::Chat { messages, continue_last: false, setting }
}

pub(super) fn run_of(
    entry: &ModelEntry,
    loaded: &Loaded,
    sampling: &Sampling,
    setting: &TemplateSetting,
) -> Run {
    Run {
        vocabulary: Some(loaded.vocabulary.clone()),
        template_hash: loaded.template_hash.clone(),
        told_by: loaded.teller(),
        template_clock_ms: Some(setting.clock_ms),
        template_offset_minutes: setting.offset_minutes,
        template_values: setting.values.clone(),
        ..Run::new(
            RunId(random_id()),
            entry.name.clone(),
            sampling.clone(),
            sampling.seed.unwrap_or_default(),
        )
    }
}

/// The names of tokens. They come beside the reading of the prompt, so that no reply begins later for them.
enum Names {
    /// Nothing needs them.
    None,
    /// On their way.
    Asked(RequestId),
    /// The model's vocabulary.
    Here(Box<Vocabulary>),
}

impl Names {
    fn vocabulary(&self) -> Option<&Vocabulary> {
        match self {
            Self::Here(vocabulary) => Some(vocabulary),
            Self::None | Self::Asked(_) => None,
        }
    }
}

/// One question on its way.
struct Asking {
    session: Session,
    names: Names,
    /// Tokens that are not written yet, since the vocabulary has not come.
    held: VecDeque<Step>,
    out: Output,
    kept: Option<Kept>,
    /// Whether the oldest messages are left out where the chat does not fit.
    drop_oldest: bool,
    show_prompt: bool,
    load_ms: f32,
    interventions: Vec<Intervention>,
    /// Whether a server was told to hold the reply to a schema: whether it did is looked at.
    wants_json: bool,
}

impl Asking {
    /// Asks, and again with less where it does not fit; gives the exit code.
    async fn reply(&mut self, whole: Prompt, sampling: &Sampling, top_logprobs: u32) -> anyhow::Result<u8> {
        let mut left_out = 0;
        loop {
            let prompt = shortened(&whole, left_out);
            let id = self.session.begin(asked(prompt, sampling, top_logprobs, &self.interventions)).await?;
            match self.events(id).await {
                Ok(ending) => {
                    let is_cut = !sampling.grammar.trim().is_empty() && ending.stop != StopReason::Eos;
                    let stop = ending.stop;
                    self.named().await?;
                    let code = self.done(ending)?;
                    return Ok(match code {
                        0 if is_cut => cut(stop),
                        0 if self.wants_json && !is_json(self.out.answer()) => {
                            super::note("the server did not hold the reply to the schema: it is no JSON");
                            1
                        }
                        code => {
                            why_ended(stop).into_iter().for_each(super::note);
                            code
                        }
                    });
                }
                Err(error) if self.drop_oldest && is_full(&error) && has_more(&whole, left_out) => {
                    left_out += 2;
                    super::note(&format!("context is full: the {left_out} oldest messages are left out"));
                }
                Err(error) => {
                    self.write_held(true)?;
                    self.out.broken();
                    if let Some(kept) = self.kept.take() {
                        let (saved, _) = kept.end(|_| {}, self.names.vocabulary(), super::wall_ms());
                        saved.unwrap_or_else(|why| super::note(&why));
                    }
                    return Err(error);
                }
            }
        }
    }

    /// What comes of it, until it has ended.
    async fn events(&mut self, id: RequestId) -> anyhow::Result<Ending> {
        // Pressed once, it stops the reply; once more, and the command ends.
        let mut ctrl_c = Some(CtrlC::take());
        loop {
            let ids = match self.names {
                Names::Asked(names) => vec![id, names],
                Names::None | Names::Here(_) => vec![id],
            };
            let event = tokio::select! {
                event = self.session.next_of(&ids) => event?,
                () = pressed(&mut ctrl_c) => {
                    self.session.cancel(id);
                    continue;
                }
            };
            if let Names::Here(vocabulary) = &mut self.names {
                self.session.teach(vocabulary);
            }
            match event {
                Event::Prompt(facts) => {
                    facts.notes.iter().for_each(|note| super::note(note));
                    if self.show_prompt {
                        super::print_error(&facts.text);
                    }
                    self.out.prompt(&facts.text);
                    if let Some(kept) = &mut self.kept {
                        kept.prompt(&facts);
                    }
                }
                Event::Token(written) => {
                    if let Some(kept) = &mut self.kept {
                        kept.token(&written.step);
                    }
                    self.held.push_back(written.step);
                    self.write_held(false)?;
                }
                Event::Vocabulary(mut vocabulary) => {
                    self.session.teach(&mut vocabulary);
                    self.names = Names::Here(vocabulary);
                    self.write_held(false)?;
                }
                Event::Done { stop, usage, timings } => return Ok(Ending { stop, usage, timings }),
                _ => {}
            }
        }
    }

    /// Writes the tokens that wait for nothing; with `all` also those whose names will never come.
    fn write_held(&mut self, all: bool) -> anyhow::Result<()> {
        let waits = matches!(self.names, Names::Asked(_)) && !all;
        while let Some(step) = self.held.pop_front_if(|step| !(waits && self.out.waits_for_names(step))) {
            self.out.token(&step, self.names.vocabulary())?;
        }
        Ok(())
    }

    /// The reply has ended: what still waits for the vocabulary is written, and what is kept gets it.
    async fn named(&mut self) -> anyhow::Result<()> {
        let Names::Asked(id) = self.names else { return Ok(()) };
        if self.kept.is_none() && self.held.is_empty() {
            return Ok(());
        }
        if let Event::Vocabulary(mut vocabulary) = self.session.next(id).await? {
            self.session.teach(&mut vocabulary);
            self.names = Names::Here(vocabulary);
        }
        self.write_held(true)
    }

    fn done(&mut self, Ending { stop, usage, mut timings }: Ending) -> anyhow::Result<u8> {
        timings.load_ms = self.load_ms;
        let saved = self.kept.take().map(|kept| {
            let hash = self.session.model_hash().map(str::to_owned);
            let change = |run: &mut Run| {
                (run.stop, run.usage, run.timings) = (Some(stop), usage, timings);
                run.model_hash = hash;
            };
            kept.end(change, self.names.vocabulary(), super::wall_ms())
        });
        let mut end = json!({
            "type": "done",
            "stop_reason": stop,
            "usage": usage,
            "timings": {
                "load_ms": rounded(timings.load_ms),
                "prompt_ms": rounded(timings.prompt_ms),
                "decode_ms": rounded(timings.decode_ms),
                "tokens_per_second": rounded(timings.tokens_per_second),
                "threads": timings.threads,
            },
        });
        if let Some((_, chat)) = saved {
            end["chat"] = json!(chat);
        }
        self.out.done(end)?;
        if let Some((Err(why), _)) = saved {
            bail!("{why}");
        }
        Ok(match stop {
            StopReason::Cancelled => 130,
            StopReason::Error => 1,
            _ => 0,
        })
    }
}

/// Says that a reply under a grammar has not come to its end.
fn cut(stop: StopReason) -> u8 {
    let by = match stop {
        StopReason::Length => "max_tokens",
        StopReason::Context => "the context's end",
        StopReason::ContentFilter => "the server's content filter",
        StopReason::ToolCalls => "a call of a tool",
        _ => "a stop text",
    };
    super::note(&format!("the reply was cut by {by} before the grammar's end: it is not whole"));
    1
}

/// What is said of a reply that a server ended in its own way.
fn why_ended(stop: StopReason) -> Option<&'static str> {
    match stop {
        StopReason::ContentFilter => Some("the server's content filter cut the reply"),
        StopReason::ToolCalls => Some("the reply ended with a call of a tool, and there are none here"),
        _ => None,
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// How a reply ended.
struct Ending {
    stop: StopReason,
    usage: Usage,
    timings: Timings,
}

/// The request for a whole reply.
pub(super) fn asked(
    prompt: Prompt,
    sampling: &Sampling,
    top_logprobs: u32,
    interventions: &[Intervention],
) -> Request {
    Request::Job(Job::Generate(Box::new(Generate {
        prompt,
        sampling: sampling.clone(),
        top_logprobs,
        begun: 0,
        interventions: interventions.to_vec(),
        allow: None,
    })))
}

/// The prompt without so many of its oldest messages.
pub(super) fn shortened(prompt: &Prompt, left_out: usize) -> Prompt {
    match prompt {
        Prompt::Chat { messages, continue_last, setting } => Prompt::Chat {
            messages: without_oldest(messages.clone(), left_out),
            continue_last: *continue_last,
            setting: setting.clone(),
        },
        other => other.clone(),
    }
}

/// Whether two more messages can be left out and the question stays.
pub(super) fn has_more(prompt: &Prompt, left_out: usize) -> bool {
    let Prompt::Chat { messages, .. } = prompt else { return false };
    let all = messages.iter().filter(|message| message.role != Role::System).count();
    left_out + 2 < all
}

pub(super) fn is_full(error: &anyhow::Error) -> bool {
    let failure = error.downcast_ref::<crate::engine::protocol::Failure>();
    failure.is_some_and(|failure| failure.kind == FailureKind::ContextFull)
}
