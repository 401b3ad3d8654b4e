//! The select loop, and what it owns: the app, the screen, the engine, the store.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use crossterm::event::{Event, EventStream, KeyEvent};
use futures_util::stream::{SelectAll, select_all};
use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::clipboard::Clipboard;
use super::config_file::ConfigFile;
use super::input::{LateAnswers, is_press, is_rest_of_answer};
use super::links::Links;
use super::look::Look;
use super::open_file::{self, Editing, OpenFile};
use super::signals::{Asked, Signals};
use super::typing::{AT_ONCE_MS, Typed, Typing, text_of};
use super::{Options, faults, native, output, terminal};
use crate::app::{App, Effect, EngineId, Msg, Now};
use crate::chat::ConversationId;
use crate::config::keymap::Keymap;
use crate::config::{ColorDepth, Folders, Motion};
use crate::engine::Engine;
use crate::models::ModelsFolder;
use crate::store::{STILL_SAVING, Store};
use crate::theme::Theme;
use crate::{command, ui};

/// How long the end waits for the disk before it says so.
const LAST_WRITE: Duration = Duration::from_secs(1);
/// How often it looks then whether all is written.
const LOOK: Duration = Duration::from_millis(50);
/// Keys after a pause this long look whether the configuration changed.
const PAUSE: Duration = Duration::from_secs(2);

/// How many times as often the screen answers keys and the mouse as it shows what comes by itself.
const ANSWERS: u32 = 8;

/// Messages taken in one go before the screen gets its turn.
const BURST: usize = 512;

/// Everything the loop owns.
pub(super) struct Shell {
    pub(super) app: App,
    pub(super) theme: Theme,
    pub(super) look: Look,
    pub(super) screen: terminal::Screen,
    pub(super) cache: ui::cache::Cache,
    pub(super) input: Option<Input>,
    pub(super) messages: UnboundedSender<Msg>,
    pub(super) store: Store,
    pub(super) engine: Option<(EngineId, Box<dyn Engine>)>,
    pub(super) engine_choice: String,
    /// How each fetch is stopped, and its task, by the model's name.
    pub(super) fetches: HashMap<String, (CancellationToken, tokio::task::JoinHandle<()>)>,
    pub(super) folders: Folders,
    pub(super) models: ModelsFolder,
    pub(super) config_file: ConfigFile,
    pub(super) clipboard: Clipboard,
    pub(super) ended: bool,
    pub(super) fault: Option<String>,
    started: Instant,
    drawn_at: Option<Instant>,
    /// A key or the mouse was heard since the last frame.
    hand_waits: bool,
    last_key: Instant,
    late: LateAnswers,
    typing: Typing,
    /// The window's title, to be set again when the terminal is taken again.
    pub(super) title: String,
    /// The editor that has the terminal.
    pub(super) editing: Option<Editing>,
    pub(super) open_file: Option<OpenFile>,
    pub(super) links: Links,
    /// Whether the terminal shows nothing but the chat's text.
    laid_aside: bool,
}

/// Runs the chat; gives the exit code.
pub(super) async fn run(options: Options) -> anyhow::Result<u8> {
    let started = Instant::now();
    let (messages, mut incoming) = unbounded_channel();
    // What is wrong with the keys was said when the configuration was read.
    let (keymap, _) = Keymap::build(command::TABLE, &options.config.keys);
    let mut warnings = options.warnings;

    let mut look = Look::find(&options.config.ui, options.folders.themes());
    let (theme, theme_warnings) = look.resolve(&options.config.ui).context("no theme")?;
    warnings.extend(theme_warnings);

    let to_app = messages.clone();
    let to_cache = messages.clone();
    let store = Store::open(
        &options.folders.database(),
        Box::new(move |event| {
            let _ = to_app.send(Msg::Store(event)); // the app may have ended
        }),
    );
    let mut signals = Signals::listen().context("signals cannot be listened to")?;
    let mut screen = terminal::take(options.config.ui.mouse).context("the terminal cannot be used")?;
    let size = screen.size().map_or((80, 24), |size| (size.width, size.height));
    screen.hide_cursor().ok();

    let (app, mut first) = App::new(options.config, keymap, seed(), size);
    let models = ModelsFolder::new(options.folders.models());
    let mut shell = Shell {
        app,
        theme,
        look,
        screen,
        cache: ui::cache::Cache::coloured_aside(move || {
            let _ = to_cache.send(Msg::Coloured); // the app may have ended
        }),
        input: Some(listen()),
        messages,
        store,
        engine: None,
        engine_choice: options.engine,
        fetches: HashMap::new(),
        folders: options.folders,
        models,
        config_file: ConfigFile::new(options.config_file, options.read_config),
        clipboard: Clipboard::default(),
        ended: false,
        fault: options.fault,
        started,
        drawn_at: None,
        hand_waits: false,
        last_key: started,
        late: LateAnswers::default(),
        typing: Typing::default(),
        title: String::new(),
        editing: None,
        open_file: None,
        links: Links::find(|name| std::env::var(name).ok()),
        laid_aside: false,
    };
    shell.app.themes = shell.look.names();
    shell.app.folder = std::env::current_dir().map_or_else(|_| String::new(), |at| at.display().to_string());
    shell.app.tell_config(&warnings);
    first.extend(resume(&mut shell.app, options.resume.as_deref(), options.model_named));
    if let Some(name) = &options.persona {
        first.extend(shell.app.begin_as(name));
    }
    if options.tour {
        first.extend(shell.app.open_tour());
    }
    shell.draw()?;
    tracing::info!(ms = started.elapsed().as_millis(), "first frame");
    for effect in first {
        shell.perform(effect)?;
    }
    // What is not sent to the store yet is saved whatever ended the loop; a panic has said itself what it was.
    let ended = AssertUnwindSafe(shell.turn(&mut incoming, &mut signals)).catch_unwind().await;
    if !matches!(ended, Ok(Ok(_))) {
        shell.save();
    }
    // Only who quits can be asked to wait for a slow disk.
    let saved = close(shell.into_store(), matches!(ended, Ok(Ok(0))).then_some(&mut signals)).await;
    let code = ended.unwrap_or(Ok(faults::EXIT))?;
    match saved {
        Err(why) if code == 0 => Err(anyhow::anyhow!(why)),
        Err(why) => {
            tell(&why);
            Ok(code)
        }
        Ok(()) => Ok(code),
    }
}

/// A line beside the terminal that was given back; there may be none any more.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "glassbox: {}", crate::sanitize::for_copy(line));
}

impl Shell {
    async fn turn(
        &mut self,
        incoming: &mut UnboundedReceiver<Msg>,
        signals: &mut Signals,
    ) -> anyhow::Result<u8> {
        while !self.ended {
            let deadline = self.deadline();
            tokio::select! {
                event = next_event(&mut self.input) => match event {
                    Some(Ok(event)) => self.terminal_events(event).await?,
                    // The terminal is gone: save and end without drawing.
                    Some(Err(_)) | None => return self.end(1, true),
                },
                Some(message) = incoming.recv() => {
                    self.update(message)?;
                    for _ in 0..BURST {
                        let Ok(message) = incoming.try_recv() else { break };
                        self.update(message)?;
                    }
                }
                asked = signals.next() => match asked {
                    Asked::End { number, hung_up } => return self.end(number, hung_up),
                    // The terminal is the editor's; only this process stops.
                    Asked::Stop if self.editing.is_some() => native::stop_self(),
                    Asked::Stop => self.suspend()?,
                },
                ended = open_file::ended(&mut self.editing) => self.editor_ended(ended)?,
                () = output::emptied() => {
                    if output::is_gone() {
                        return self.end(1, true);
                    }
                }
                () = faults::noted() => {
                    self.save();
                    return Ok(faults::EXIT);
                }
                () = sleep_until(deadline) => self.tick()?,
            }
            if self.app.out.dirty && self.can_draw() && self.frame_is_due() {
                self.draw()?;
            }
        }
        Ok(0)
    }

    /// Lets the app change its state and performs what it asks for.
    pub(super) fn update(&mut self, message: Msg) -> anyhow::Result<()> {
        let now = self.now();
        let effects = self.app.update(now, message);
        for effect in effects {
            self.perform(effect)?;
        }
        if let Some(theme) = self.look.follow(&mut self.app) {
            self.theme = theme;
        }
        Ok(())
    }

    /// Time passed: keys that waited for what follows are keys, and the app does what it is time for.
    fn tick(&mut self) -> anyhow::Result<()> {
        for key in self.typing.waited(self.since_start()) {
            self.update(Msg::Key(key))?;
        }
        self.update(Msg::Tick)
    }

    /// An event and the keys that come at once with it, which are a paste where no hand types them.
    async fn terminal_events(&mut self, first: Event) -> anyhow::Result<()> {
        if self.laid_aside {
            return if leads_back(&first) { self.come_back() } else { Ok(()) };
        }
        let now = self.since_start();
        let mut next = Some(first);
        let mut keys: Vec<KeyEvent> = Vec::new();
        while let Some(event) = next.take() {
            if self.late.swallow(&event, now) {
                next = self.at_once(false).await?;
                continue;
            }
            match event {
                Event::Key(key) if is_press(&key) && text_of(&key).is_some() => {
                    let waits = !keys.is_empty() || self.typing.may_go_on(&key, self.app.letter(key), now);
                    keys.push(key);
                    next = self.at_once(waits).await?;
                }
                other if is_rest_of_answer(&keys, &other, now) => return Ok(()),
                other => {
                    self.text_keys(std::mem::take(&mut keys))?;
                    for key in self.typing.give_up_waiting() {
                        self.update(Msg::Key(key))?;
                    }
                    return self.terminal_event(other);
                }
            }
        }
        self.text_keys(keys)
    }

    /// The event that is there already, or comes within the time in which no hand types two keys.
    async fn at_once(&mut self, waits: bool) -> anyhow::Result<Option<Event>> {
        let Some(input) = &mut self.input else { return Ok(None) };
        let next = if waits {
            tokio::time::timeout(Duration::from_millis(AT_ONCE_MS), input.next()).await.ok()
        } else {
            // With this task's own waker: the stream keeps the first it is given.
            poll_fn(|context| match input.poll_next_unpin(context) {
                Poll::Ready(event) => Poll::Ready(Some(event)),
                Poll::Pending => Poll::Ready(None),
            })
            .await
        };
        Ok(next.flatten().transpose()?)
    }

    /// Keys that type something, as keys or as a paste.
    fn text_keys(&mut self, keys: Vec<KeyEvent>) -> anyhow::Result<()> {
        let Some(first) = keys.first() else { return Ok(()) };
        let (letter, now) = (self.app.letter(*first), self.since_start());
        self.note_key()?;
        match self.typing.keys(keys, letter, now) {
            Typed::Paste(text) => self.update(Msg::Burst(text)),
            Typed::Keys(keys) => {
                for key in keys {
                    match self.typing.key(key, self.app.letter(key), now) {
                        Typed::Paste(text) => self.update(Msg::Burst(text))?,
                        Typed::Keys(keys) => {
                            for key in keys {
                                self.update(Msg::Key(key))?;
                            }
                        }
                    }
                }
                Ok(())
            }
        }
    }

    /// A key came: after a pause the configuration may be another.
    fn note_key(&mut self) -> anyhow::Result<()> {
        if self.last_key.elapsed() > PAUSE {
            self.reread_config()?;
        }
        self.last_key = Instant::now();
        self.hand_waits = true;
        Ok(())
    }

    fn since_start(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn terminal_event(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Key(key) if is_press(&key) => {
                self.note_key()?;
                self.update(Msg::Key(key))
            }
            Event::Key(_) => Ok(()),
            Event::Paste(text) => self.update(Msg::Paste(text)),
            Event::Mouse(mouse) => {
                self.hand_waits = true;
                self.update(Msg::Mouse(mouse))
            }
            Event::Resize(width, height) => self.update(Msg::Resize(width, height)),
            Event::FocusGained => {
                self.reread_config()?;
                self.update(Msg::Focus(true))
            }
            Event::FocusLost => {
                self.fault.as_deref().into_iter().for_each(faults::provoke);
                self.update(Msg::Focus(false))
            }
        }
    }

    /// What may have changed while nobody looked here: the configuration, a file that an editor has open.
    fn reread_config(&mut self) -> anyhow::Result<()> {
        if let Some(saved) = self.saved_later() {
            self.edited(Ok(saved));
        }
        match self.config_file.read_if_changed(&self.app.config) {
            Some((config, warnings)) => {
                self.look.forget();
                self.update(Msg::Config(Box::new(config), warnings))
            }
            None => Ok(()),
        }
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            mono_ms: self.since_start(),
            wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX),
            offset_minutes: TimeZone::system().to_offset(Timestamp::now()).seconds() / 60,
        }
    }

    /// How far frames are apart. What answers a hand does not wait its whole turn after a reply's tokens, which
    /// would fill every turn.
    fn frame_time(&self) -> Duration {
        let ui = &self.app.config.ui;
        let rate = if self.hand_waits { ANSWERS * ui.frame_rate } else { ui.frames() };
        Duration::from_micros(1_000_000 / u64::from(rate.clamp(1, 240)))
    }

    /// Whether the screen is the app's, and takes what is drawn on it.
    fn can_draw(&self) -> bool {
        !self.laid_aside && self.editing.is_none() && output::is_empty()
    }

    fn frame_is_due(&self) -> bool {
        self.drawn_at.is_none_or(|at| at.elapsed() >= self.frame_time())
    }

    /// When the loop must wake: the next frame, or what the app asked for.
    fn deadline(&self) -> Option<Instant> {
        let frame =
            self.drawn_at.filter(|_| self.app.out.dirty && self.can_draw()).map(|at| at + self.frame_time());
        let asked = self.app.wakes_at().into_iter().chain(self.typing.wakes_at());
        let asked = asked.map(|ms| self.started + Duration::from_millis(ms));
        frame.into_iter().chain(asked).min()
    }

    pub(super) fn draw(&mut self) -> anyhow::Result<()> {
        let faulty = self.fault.as_deref() == Some("panic:draw") && self.drawn_at.is_some();
        assert!(!faulty, "asked for by --fault panic:draw");
        let (app, theme, cache) = (&self.app, &self.theme, &mut self.cache);
        let mut geometry = None;
        terminal::steady_cursor(app.config.ui.motion == Motion::Reduced);
        terminal::draw(&mut self.screen, &mut self.links, |frame| {
            let mut drawn = ui::draw(frame, app, theme, cache);
            let links = std::mem::take(&mut drawn.links);
            geometry = Some(drawn);
            links
        })?;
        self.drawn_at = Some(Instant::now());
        self.hand_waits = false;
        self.app.out.dirty = false;
        if let Some(geometry) = geometry {
            self.app.absorb(geometry);
        }
        Ok(())
    }

    /// Leaves the terminal to the shell until the app is continued.
    pub(super) fn suspend(&mut self) -> anyhow::Result<()> {
        self.leave();
        native::stop_self();
        self.come_back()
    }

    /// Gives the terminal away for a while; nothing reads its keys meanwhile.
    pub(super) fn leave(&mut self) {
        self.input = None;
        terminal::restore();
    }

    /// Shows nothing but these messages, outside of the alternate screen, until a key comes; the app goes on meanwhile.
    pub(super) fn show_text(&mut self, messages: &[(String, String)]) -> anyhow::Result<()> {
        let plain = self.theme.depth == ColorDepth::None;
        let (bold, end) = if plain { ("", "") } else { ("\x1b[1m", "\x1b[0m") };
        let texts = messages.iter().map(|(speaker, text)| format!("{bold}{speaker}{end}\n{text}\n\n"));
        terminal::show_text(&(texts.collect::<String>() + "(any key leads back to glassbox)\n"))?;
        self.laid_aside = true;
        Ok(())
    }

    /// Takes it back.
    pub(super) fn come_back(&mut self) -> anyhow::Result<()> {
        native::flush_input();
        self.links.forget();
        self.laid_aside = false;
        let taken = terminal::retake(&mut self.screen, self.app.config.ui.mouse);
        self.input = Some(listen());
        taken?;
        terminal::set_title(&self.title);
        if let Ok(size) = self.screen.size() {
            self.app.size = (size.width, size.height);
        }
        self.draw()
    }

    fn end(&mut self, number: u8, hung_up: bool) -> anyhow::Result<u8> {
        let now = self.now();
        for effect in self.app.update(now, Msg::Terminate) {
            self.perform(effect)?;
        }
        if hung_up {
            tracing::info!("the terminal is gone");
        }
        Ok(128 + number)
    }

    /// Sends the store what the app holds back, where the loop has ended by a fault: drafts, the last words of a reply.
    fn save(&mut self) {
        let now = self.now();
        let app = &mut self.app;
        let effects = std::panic::catch_unwind(AssertUnwindSafe(|| app.update(now, Msg::Terminate)));
        for effect in effects.unwrap_or_default() {
            if let Effect::Store(command) = effect {
                self.store.send(command);
            }
        }
    }

    /// Gives the terminal back and ends the engine; what is left is to be written.
    fn into_store(mut self) -> Store {
        if self.ended {
            terminal::restore_at_leisure();
        }
        terminal::restore();
        self.leave_editor();
        self.forget_file();
        for (cancel, _) in self.fetches.values() {
            cancel.cancel();
        }
        drop(self.engine);
        self.store
    }
}

/// Waits for what is left to be written: two seconds, and where somebody waits for it until all is written or a signal
/// comes. An error says what was not saved.
async fn close(store: Store, patient: Option<&mut Signals>) -> Result<(), String> {
    let closing = store.closing();
    let mut saved = closing.wait(LAST_WRITE);
    if let Some(signals) = patient.filter(|_| saved.is_none()) {
        tell(&format!("{STILL_SAVING} (Ctrl+C ends without that)"));
        while saved.is_none() {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::End { .. } => break,
                    Asked::Stop => native::stop_self(),
                },
                () = tokio::time::sleep(LOOK) => saved = closing.wait(Duration::ZERO),
            }
        }
    }
    saved.unwrap_or_else(|| closing.give_up()).inspect_err(|why| tracing::warn!(why, "at the end"))
}

/// Whether an event ends the view of nothing but text.
fn leads_back(event: &Event) -> bool {
    matches!(event, Event::Key(key) if is_press(key)) || matches!(event, Event::Paste(_))
}

/// Events of the terminal, looked for only once there are some. Asked itself, crossterm's stream gives up its turn some
/// seven times before it says that there is nothing, because a thread of its own waits with the lock in its hand; and it
/// is asked with every token.
pub(super) type Input = SelectAll<EventStream>;

fn listen() -> Input {
    select_all([EventStream::new()])
}

/// Events of the terminal; never ready while it is given away.
async fn next_event(input: &mut Option<Input>) -> Option<std::io::Result<Event>> {
    match input {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Opens the chat that `--resume` names.
fn resume(app: &mut App, which: Option<&str>, model_named: bool) -> Vec<Effect> {
    if which.is_some() {
        app.talk.opening.resume(model_named);
    }
    match which.map(str::parse) {
        None => Vec::new(),
        Some(Ok(id)) => app.open(ConversationId(id)),
        Some(Err(_)) => {
            app.talk.opening.open_last();
            Vec::new()
        }
    }
}

/// A seed for ids, unlike any other process's.
fn seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
