//! `glassbox --plain`: the chat by lines, for screen readers, for terminals that only print, and for scripts.
//!
//! Invariants: nothing moves the cursor, colours anything or is written over; a reply goes out sentence by sentence. Every
//! exchange is kept as in the chat, and a message is with the store before its reply is asked for.

mod lines;
mod odds;

use anyhow::Context as _;
use tokio::sync::mpsc::UnboundedReceiver;

use self::lines::{Sentences, read_lines, write};
use super::adapter_args::usable;
use super::args::ChatArgs;
use super::ask::kept::{Kept, Which};
use super::ask::parts::{Parts, Stretch};
use super::ask::{asked, chat, has_more, is_full, run_of, shortened};
use super::ending::{CtrlC, pressed};
use super::session::Session;
use super::setup::Setup;
use crate::attachment::Attachment;
use crate::chat::{Role, Run, StopReason};
use crate::config::{self, NO_PERSONA, Overflow, Persona};
use crate::engine::protocol::{Event, Loaded, RequestId, TemplateSetting};
use crate::model_entry::ModelEntry;
use crate::reasoning::Form;
use crate::sanitize;
use crate::token::{Step, Vocabulary};

const HELP: &str = "Type a message and Enter. A line that ends with \\ goes on in the next. Commands:
/odds        how likely each word of the last reply was; /odds 3 what else word 3 could have been
/again       another version of the last reply
/new         a new chat
/chats       the chats; /open 2 opens the second
/attach FILE a text file for the next message
/model       the models; /model NAME goes on with another
/thoughts    what was thought for the last reply, by a model that thinks
/set NAME VALUE  a sampler setting of this chat, such as /set temperature 0.5
/system TEXT the system prompt of this chat
/persona     the personas; /persona NAME speaks to one in this chat, /persona none to nobody in particular
/help        these lines
/quit        ends; so does the end of input. Ctrl+C stops a reply
//text       sends /text as a message";

/// Runs the chat by lines; gives the exit code.
///
/// # Errors
/// With a sentence for the user.
pub async fn run(args: &ChatArgs) -> anyhow::Result<u8> {
    let mut setup = Setup::read(args.config.as_deref(), args.model.as_deref(), args.theme.as_deref())?;
    setup.print_warnings();
    let which = match args.resume.as_deref() {
        None => Which::New,
        Some("last") => Which::Looked,
        Some(id) => Which::Id(id),
    };
    let named = |name: &String| Ok((name.clone(), setup.config.persona_named(name)?.clone()));
    let persona = args.persona.as_ref().map(named).transpose().map_err(|why: String| anyhow::anyhow!(why))?;
    let mut kept = Kept::open(&setup, which)?;
    kept.looked_at();
    if let Some((name, persona)) = persona
        && let Some(model) = put_on(&setup, &name, &persona, &mut kept)
    {
        kept.settings().model = Some(model);
    }
    if let (None, Some(model)) = (&args.model, &kept.settings().model) {
        setup.flags.model = Some(model.clone());
    }
    let entry = setup.entry()?;
    setup.fetch_if_missing(&entry, &args.engine).await?;
    let entry = setup.advised(entry);
    write(&format!("glassbox, by lines. Loading {} …\n", entry.name))?;
    let mut session = Session::start(&entry, &args.engine, &setup.config)?;
    let loaded = session.load(&entry, &setup.config.load_params_for(&entry)).await?;
    loaded.notes_for(true).for_each(super::note);
    let vocabulary = session.vocabulary().await?;
    write("Ready. /help lists the commands.\n")?;
    let (listed, files, thoughts) = (Vec::new(), String::new(), String::new());
    let engine = args.engine.clone();
    let mut plain =
        Plain { setup, engine, entry, session, loaded, vocabulary, kept, listed, files, thoughts };
    let mut input = read_lines();
    while let Some(message) = next_message(&mut input).await? {
        if !plain.take(&message).await? {
            break;
        }
    }
    let (saved, _) = plain.kept.close();
    saved.map_err(anyhow::Error::msg)?;
    Ok(0)
}

/// Gives the chat a persona; tells the model that it speaks by, or says that there is none of that name.
fn put_on(setup: &Setup, name: &str, persona: &Persona, kept: &mut Kept) -> Option<String> {
    setup.config.put_on(name, persona, kept.settings()).unwrap_or_else(|why| {
        super::note(&why);
        None
    })
}

/// The next message: a line, or several that end with `\`. Nothing at the end of input, and after Ctrl+C.
async fn next_message(input: &mut UnboundedReceiver<String>) -> anyhow::Result<Option<String>> {
    let mut message = String::new();
    lines::prompt("You: ")?;
    let mut ctrl_c = CtrlC::take();
    loop {
        let line = tokio::select! {
            line = input.recv() => line,
            () = ctrl_c.pressed() => None,
        };
        let Some(line) = line else { return Ok((!message.is_empty()).then_some(message)) };
        match line.strip_suffix('\\') {
            Some(more) => {
                message.push_str(more);
                message.push('\n');
            }
            None => return Ok(Some(message + &line)),
        }
    }
}

struct Plain {
    setup: Setup,
    /// Which engine runs.
    engine: String,
    entry: ModelEntry,
    session: Session,
    loaded: Loaded,
    vocabulary: Vocabulary,
    kept: Kept,
    /// The chats as they were listed last.
    listed: Vec<i64>,
    /// Files that go with the next message.
    files: String,
    /// What was thought for the last reply.
    thoughts: String,
}

impl Plain {
    /// Does what a line says; whether the chat goes on.
    async fn take(&mut self, line: &str) -> anyhow::Result<bool> {
        let text = line.trim();
        if let Some(command) =
            text.strip_prefix('/').filter(|rest| !rest.starts_with('/') && !rest.contains('\n'))
        {
            let (word, argument) = command.split_once(' ').unwrap_or((command, ""));
            return self.command(word, argument.trim()).await;
        }
        let text = text.strip_prefix('/').filter(|_| text.starts_with("//")).unwrap_or(text);
        if text.is_empty() && self.files.is_empty() {
            return Ok(true);
        }
        let message = format!("{text}{}", std::mem::take(&mut self.files));
        self.kept.ask(&message, super::wall_ms());
        self.reply().await?;
        Ok(true)
    }

    async fn command(&mut self, word: &str, argument: &str) -> anyhow::Result<bool> {
        match word {
            "quit" | "exit" => return Ok(false),
            "help" => write(&format!("{HELP}\n"))?,
            "odds" => write(&odds::said(&self.kept.last_steps(), argument, &self.vocabulary))?,
            "again" if self.kept.again() => self.reply().await?,
            "again" => write("There is no reply yet.\n")?,
            "new" => {
                self.kept.renew();
                write("A new chat.\n")?;
            }
            "chats" => self.list()?,
            "open" => self.open(argument)?,
            "attach" => self.attach(argument)?,
            "set" => self.set(argument)?,
            "model" if argument.is_empty() => self.models()?,
            "model" => self.switch(argument).await?,
            "thoughts" if self.thoughts.is_empty() => write("Nothing was thought.\n")?,
            "thoughts" => write(&format!("{}\n", sanitize::for_copy(&self.thoughts)))?,
            "persona" => self.persona(argument).await?,
            "system" => {
                self.kept.settings().system = Some(argument.to_owned());
                write(if argument.is_empty() {
                    "No system prompt in this chat.\n"
                } else {
                    "System prompt set.\n"
                })?;
            }
            unknown => {
                let unknown = sanitize::for_display(unknown);
                write(&format!(
                    "There is no command /{unknown}; /help lists them. //{unknown} sends it as text.\n"
                ))?;
            }
        }
        Ok(true)
    }

    fn list(&mut self) -> anyhow::Result<()> {
        let heads = self.kept.heads()?;
        self.listed = heads.iter().map(|head| head.id.0).collect();
        let line = |(at, head): (usize, &crate::chat::ConversationHead)| {
            format!("{}. {}\n", at + 1, sanitize::for_display(&head.title))
        };
        let lines: String = heads.iter().enumerate().map(line).collect();
        write(if lines.is_empty() { "There is no chat yet.\n" } else { &lines })
    }

    fn open(&mut self, argument: &str) -> anyhow::Result<()> {
        let number = argument.parse().ok().and_then(|number: usize| number.checked_sub(1));
        let Some(id) = number.and_then(|at| self.listed.get(at)) else {
            return write("Give a number of the list that /chats shows.\n");
        };
        if let Err(error) = self.kept.reopen(&id.to_string()) {
            return write(&format!("{}\n", super::sentence(&error)));
        }
        self.kept.looked_at();
        let (title, messages) = (self.kept.title().to_owned(), self.kept.messages(&self.vocabulary));
        write(&format!("Chat: {}\n", sanitize::for_display(&title)))?;
        for message in messages {
            write(&format!("{}: {}\n", named(message.role), sanitize::for_copy(&message.text)))?;
        }
        Ok(())
    }

    fn attach(&mut self, argument: &str) -> anyhow::Result<()> {
        match Attachment::read(std::path::Path::new(argument)) {
            Ok(file) => {
                self.files.push_str("\n\n");
                self.files.push_str(&file.block());
                write(&format!("{argument}: {} lines go with the next message.\n", file.text.lines().count()))
            }
            Err(refused) => write(&format!("{refused}\n")),
        }
    }

    fn set(&mut self, argument: &str) -> anyhow::Result<()> {
        let (key, value) = argument.split_once([' ', '=']).unwrap_or((argument, ""));
        match config::sampler_setting(key, value) {
            Ok(layer) => {
                self.kept.settings().sampling.merge(&layer);
                write(&format!("{key} is {} in this chat.\n", value.trim()))
            }
            Err(why) => write(&format!("{why}\n")),
        }
    }

    /// Lists the personas, or puts one on this chat.
    async fn persona(&mut self, name: &str) -> anyhow::Result<()> {
        let config = &self.setup.config;
        if name.is_empty() {
            let line = |(name, persona): (&String, &Persona)| {
                let about = if persona.about.is_empty() { "" } else { ": " };
                format!("{}\n", sanitize::for_display(&format!("{name}{about}{}", persona.about)))
            };
            let lines: String = config.personas.iter().map(line).collect();
            return write(&if lines.is_empty() { format!("{NO_PERSONA}\n") } else { lines });
        }
        let persona = match config.persona_or_none(name) {
            Ok(persona) => persona,
            Err(why) => return write(&format!("{}\n", sanitize::for_display(&why))),
        };
        let model = put_on(&self.setup, name, &persona, &mut self.kept);
        write(&match name {
            "none" => "No persona in this chat.\n".to_owned(),
            _ => format!("{name} in this chat.\n"),
        })?;
        match model {
            Some(model) if model != self.entry.name => self.switch(&model).await,
            _ => Ok(()),
        }
    }

    fn models(&self) -> anyhow::Result<()> {
        let folder = self.setup.models();
        let line = |entry: &ModelEntry| {
            let here = self.engine != "llama"
                || entry.engine.is_some()
                || entry.server().is_some()
                || folder.locate(entry).is_some();
            let state = match (entry.name == self.entry.name, here) {
                (true, _) => ", in use",
                (false, true) => "",
                (false, false) => ", not here yet",
            };
            format!("{}{state}\n", sanitize::for_display(&entry.name))
        };
        write(&self.setup.config.models.iter().map(line).collect::<String>())
    }

    /// Goes on with another model; with the one in use where that one cannot be had.
    async fn switch(&mut self, name: &str) -> anyhow::Result<()> {
        match self.load(name).await {
            Ok(()) => {
                self.kept.settings().model = Some(self.entry.name.clone());
                write(&format!("{} answers now.\n", self.entry.name))
            }
            Err(error) => write(&format!("{}. {} stays.\n", super::sentence(&error), self.entry.name)),
        }
    }

    async fn load(&mut self, name: &str) -> anyhow::Result<()> {
        let entry = self.setup.entry_named(name)?;
        self.setup.fetch_if_missing(&entry, &self.engine).await?;
        write(&format!("Loading {} …\n", entry.name))?;
        let mut session = Session::start(&entry, &self.engine, &self.setup.config)?;
        let loaded = session.load(&entry, &self.setup.config.load_params_for(&entry)).await?;
        loaded.notes_for(true).for_each(super::note);
        self.vocabulary = session.vocabulary().await?;
        (self.entry, self.session, self.loaded) = (entry, session, loaded);
        Ok(())
    }

    /// Asks for a reply to the last message, and says it.
    async fn reply(&mut self) -> anyhow::Result<()> {
        let now_ms = super::wall_ms();
        let settings = self.kept.settings().clone();
        let sampling = self.setup.config.sampling_for(&self.entry, &settings);
        let system = self.setup.config.system_for(&self.entry, &settings);
        let messages = self.kept.messages(&self.vocabulary);
        let setting = TemplateSetting {
            clock_ms: now_ms,
            offset_minutes: super::offset_minutes(),
            values: self.setup.config.template_values_for(&self.entry, &settings),
        };
        let drops = self.setup.config.engine.overflow == Overflow::DropOldest;
        let interventions = self.setup.config.interventions_for(Some(&self.entry), &settings);
        let interventions = usable(interventions, &self.loaded);
        let run = run_of(&self.entry, &self.loaded, &sampling, &setting);
        self.kept.begin(Run { interventions: interventions.clone(), ..run }, now_ms);
        self.session.reads_for(&self.loaded, self.kept.chat()).await?;
        let whole = chat(messages, &system, setting);
        lines::prompt(&format!("{}: ", self.entry.name))?;
        let mut left_out = 0;
        let ended = loop {
            let prompt = shortened(&whole, left_out);
            let candidates = self.setup.config.inspector.candidates;
            let id = self.session.begin(asked(prompt, &sampling, candidates, &interventions)).await?;
            match self.say(id).await {
                Err(error) if drops && is_full(&error) && has_more(&whole, left_out) => left_out += 2,
                ended => break ended,
            }
        };
        let (stop, why) = match ended {
            Ok(stop) => (Some(stop), None),
            Err(error) => (None, Some(error)),
        };
        let change = |run: &mut Run| run.stop = stop;
        self.kept.finish(change, Some(&self.vocabulary), super::wall_ms());
        match (why, stop.and_then(|stop| crate::app::stop_note(stop, &sampling))) {
            (Some(error), _) => write(&format!("\nNo reply: {}\n", super::sentence(&error))),
            (None, Some(note)) => write(&format!("\n({note})\n")),
            (None, None) => write("\n"),
        }
    }

    /// Says what comes, sentence by sentence, until it has ended.
    async fn say(&mut self, id: RequestId) -> anyhow::Result<StopReason> {
        let mut sentences = Sentences::default();
        let mut parts = Parts::of_reply(None);
        let mut ctrl_c = Some(CtrlC::take());
        self.thoughts.clear();
        loop {
            let event = tokio::select! {
                event = self.session.next(id) => event,
                () = pressed(&mut ctrl_c) => {
                    self.session.cancel(id);
                    continue;
                }
            };
            self.session.teach(&mut self.vocabulary);
            match event {
                Ok(Event::Prompt(facts)) => {
                    facts.notes.iter().for_each(|note| super::note(note));
                    parts = Parts::of_reply(Form::opened_by(&facts.text));
                    self.kept.prompt(&facts);
                }
                Ok(Event::Token(written)) => {
                    let step: &Step = &written.step;
                    self.kept.token(step);
                    let name = step.id.filter(|_| step.bytes.is_empty());
                    let name = name.and_then(|id| self.vocabulary.bytes(id));
                    let stretches = parts.push(&step.bytes, name);
                    self.hear(stretches, &mut sentences)?;
                }
                Ok(Event::Done { stop, .. }) => {
                    self.hear(parts.finish(), &mut sentences)?;
                    write(&sentences.rest())?;
                    return Ok(stop);
                }
                Err(_) if ctrl_c.is_none() => {
                    self.hear(parts.finish(), &mut sentences)?;
                    write(&sentences.rest())?;
                    return Ok(StopReason::Cancelled);
                }
                Err(error) => return Err(error).context("the reply failed"),
                Ok(_) => {}
            }
        }
    }
}

impl Plain {
    /// The answer is said, what was thought is kept to be asked for.
    fn hear(&mut self, stretches: Vec<Stretch>, sentences: &mut Sentences) -> anyhow::Result<()> {
        for stretch in stretches {
            if !stretch.thought {
                write(&sentences.push(stretch.text.as_bytes()))?;
                continue;
            }
            if self.thoughts.is_empty() {
                write("(thinking; /thoughts tells it afterwards) ")?;
            }
            self.thoughts.push_str(&stretch.text);
        }
        Ok(())
    }
}

fn named(role: Role) -> &'static str {
    match role {
        Role::System => "System",
        Role::User => "You",
        Role::Assistant => "Reply",
    }
}
