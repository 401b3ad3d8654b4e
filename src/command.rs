//! Every user intent in one table: name, keys, help. It feeds the keymap, the palette, `/commands`, the help
//! pages and the README.
//!
//! Invariant: a command's name is what `/name` and `[keys]` use; the table is in the order of the help.

/// Where a key is looked up, innermost first: overlay, open station, focused pane, everywhere. Those from
/// [`Context::StepMode`] on are in force only while something is open that takes the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Context {
    /// Anywhere.
    Global,
    /// The composer has the focus.
    Composer,
    /// The transcript has the focus.
    Transcript,
    /// The chats pane has the focus.
    Chats,
    /// The inspector has the focus, whatever station is open.
    Inspector,
    /// The tokens station is open and has the focus.
    Tokens,
    /// The embedding station.
    Embedding,
    /// The position station.
    Position,
    /// The attention station.
    Attention,
    /// The feed-forward station.
    Ffn,
    /// The layers station.
    Layers,
    /// The softmax station.
    Softmax,
    /// The sampler station.
    Sampler,
    /// The why station.
    Why,
    /// In the why station, while the source of a patch is chosen.
    Patching,
    /// The reply waits after each token, in step mode.
    StepMode,
    /// The tour is under way.
    Tour,
    /// An overlay is open, whichever.
    Overlay,
    /// A list with a filter: commands, models, themes, settings.
    Picker,
    /// A text to be read: help and terms.
    Reader,
    /// A question with yes and no.
    Question,
    /// The help.
    Help,
    /// The model picker.
    Models,
    /// The settings.
    Settings,
    /// The table of a message's tokens.
    Ledger,
    /// The alternatives of a token.
    Alternatives,
    /// The tree of branches.
    Tree,
    /// A message changed on trial.
    WhatIf,
    /// What each sentence weighs.
    Weights,
    /// Another model held against the loaded one.
    Microscope,
    /// The steering panel.
    Steer,
}

impl Context {
    /// The inspector's own, and those of its stations, which are asked before it.
    pub const INSPECTOR: [Self; 11] = [
        Self::Inspector,
        Self::Tokens,
        Self::Embedding,
        Self::Position,
        Self::Attention,
        Self::Ffn,
        Self::Layers,
        Self::Softmax,
        Self::Sampler,
        Self::Why,
        Self::Patching,
    ];

    /// Where its keys work, in words.
    #[must_use]
    pub fn said(self) -> &'static str {
        match self {
            Self::Global => "works everywhere",
            Self::Composer => "its key works in the message",
            Self::Transcript => "its key works in the transcript",
            Self::Chats => "its key works in the list of chats",
            Self::Inspector => "its key works in the inspector",
            Self::Tokens => "its key works in the tokens station",
            Self::Embedding => "its key works in the embedding station",
            Self::Position => "its key works in the position station",
            Self::Attention => "its key works in the attention station",
            Self::Ffn => "its key works in the feed-forward station",
            Self::Layers => "its key works in the layers station",
            Self::Softmax => "its key works in the softmax station",
            Self::Sampler => "its key works in the sampler station",
            Self::Why => "its key works in the why station",
            Self::Patching => "its key works while a patch is chosen in the why station",
            Self::StepMode => "its key works while a reply goes token by token",
            Self::Tour => "its key works in the tour",
            Self::Overlay => "its key works in an open list",
            Self::Picker => "its key works in a list with a filter",
            Self::Reader => "its key works in the help and in terms",
            Self::Question => "its key works where yes or no is asked",
            Self::Help => "its key works in the help",
            Self::Models => "its key works in the list of models",
            Self::Settings => "its key works in the settings",
            Self::Ledger => "its key works in the table of tokens",
            Self::Alternatives => "its key works in the alternatives of a token",
            Self::Tree => "its key works in the tree of branches",
            Self::Microscope => "its key works in the microscope",
            Self::WhatIf => "its key works while a message is changed on trial",
            Self::Weights => "its key works where sentences are weighed",
            Self::Steer => "its key works in the steering panel",
        }
    }

    /// Where that is, in words: `in the transcript`, `everywhere`.
    #[must_use]
    pub fn place(self) -> &'static str {
        let said = self.said();
        said.strip_prefix("its key works ").or(said.strip_prefix("works ")).unwrap_or(said)
    }

    /// Whether it is in force only while something is open that takes the keys.
    #[must_use]
    pub fn is_inner(self) -> bool {
        self as usize >= Self::StepMode as usize
    }
}

/// A group of the help pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Writing and sending.
    Writing,
    /// Replies.
    Replies,
    /// Chats.
    Chats,
    /// The inspector.
    Inspector,
    /// Models.
    Models,
    /// Looks and the app.
    App,
    /// What is inside lists and windows.
    Lists,
}

/// Keys that count in some contexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The contexts.
    pub contexts: &'static [Context],
    /// Default keys there.
    pub keys: &'static [&'static str],
}

macro_rules! commands {
    ($( $(#[doc = $doc:literal])+ $variant:ident $name:literal $group:ident
        $( $context:ident $(| $more:ident)* [$($key:literal),*] ),+ ; )+) => {
        /// A user's intent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Command { $( $(#[doc = $doc])+ $variant, )+ }

        /// The table.
        pub const TABLE: &[Entry] = &[
            $( Entry {
                command: Command::$variant,
                name: $name,
                group: Group::$group,
                places: &[
                    $( Place { contexts: &[Context::$context $(, Context::$more)*], keys: &[$($key),*] }, )+
                ],
                help: concat!($($doc),+),
            }, )+
        ];
    };
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The intent.
    pub command: Command,
    /// Its name in `/name` and `[keys]`.
    pub name: &'static str,
    /// Its group in the help.
    pub group: Group,
    /// Where its keys count, with the default ones.
    pub places: &'static [Place],
    /// One line of help (begins with a blank, from the doc comment; see [`Entry::help`]).
    help: &'static str,
}

impl Entry {
    /// One line of help.
    #[must_use]
    pub fn help(&self) -> &'static str {
        self.help.trim()
    }

    /// All contexts in which its keys count.
    pub fn contexts(&self) -> impl Iterator<Item = Context> + use<> {
        self.places.iter().flat_map(|place| place.contexts.iter().copied())
    }

    /// Whether it can be run from anywhere: from the palette, and typed.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        self.contexts().any(|context| !context.is_inner())
    }

    /// Where its keys work, in words.
    pub fn said(&self) -> &'static str {
        self.contexts().next().map_or("", Context::said)
    }

    /// All its default keys, those that count everywhere first.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.places.iter().flat_map(|place| place.keys.iter().copied())
    }
}

/// A name that `[keys]` had in 0.1.0 and what it has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// The old name.
    pub old: &'static str,
    /// The commands that do what it did, one for each station where it did something.
    pub now: &'static [Command],
    /// Whether it had no key of its own beside one that could not be changed: what a user gives it comes on top.
    pub adds: bool,
}

/// The old names. A file that uses them goes on working.
pub const RENAMED: &[Renamed] = &[
    renamed(
        "logits",
        &[
            Command::SoftmaxLogits,
            Command::SamplerTry,
            Command::TokensTry,
            Command::AttentionRaw,
            Command::EmbeddingCentred,
            Command::PositionDegrees,
            Command::LayersRanks,
        ],
    ),
    renamed("all", &[Command::TokensAll]),
    renamed(
        "log-scale",
        &[Command::SoftmaxLogScale, Command::LayersGrid, Command::AttentionPicture, Command::EmbeddingMap],
    ),
    renamed("flip", &[Command::SoftmaxStrip, Command::AttentionReaders]),
    renamed("ink", &[Command::AttentionInk]),
    renamed("first-token", &[Command::AttentionFirstToken]),
    renamed("grain", &[Command::AttentionGrain]),
    renamed("contrast", &[Command::AttentionContrast]),
    renamed("sort", &[Command::SortCandidates, Command::SortParts, Command::SortNeurons]),
    renamed("filter", &[Command::SoftmaxFilter]),
    renamed("watch", &[Command::WatchToken, Command::NextRival]),
    renamed("arithmetic", &[Command::EmbeddingArithmetic]),
    added("grid", &[Command::LayersGrid]),
    added("matrix", &[Command::AttentionMatrix]),
    added("rollout", &[Command::AttentionRollout]),
    added("read-by", &[Command::AttentionReaders]),
    added("span", &[Command::EmbeddingSpan]),
    added("pick", &[Command::PositionPick]),
    added("ask-off", &[Command::WhyAskOff]),
    added("pin", &[Command::WhyPin]),
];

const fn renamed(old: &'static str, now: &'static [Command]) -> Renamed {
    Renamed { old, now, adds: false }
}

const fn added(old: &'static str, now: &'static [Command]) -> Renamed {
    Renamed { old, now, adds: true }
}

impl Renamed {
    /// The old name's row.
    #[must_use]
    pub fn of(name: &str) -> Option<&'static Self> {
        RENAMED.iter().find(|renamed| renamed.old == name)
    }

    /// The new names, for a message: `"a", "b" and "c"`.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<String> =
            self.now.iter().map(|command| format!("\"{}\"", command.entry().name)).collect();
        match names.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => String::new(),
        }
    }
}

impl Command {
    /// This command's row.
    #[must_use]
    pub fn entry(self) -> &'static Entry {
        TABLE.iter().find(|entry| entry.command == self).expect("every command has a row")
    }

    /// The command of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TABLE.iter().find(|entry| entry.name == name).map(|entry| entry.command)
    }

    /// The command of a name that is typed: by its name, or by an old one that has a single meaning where `here` are
    /// the contexts in force.
    #[must_use]
    pub fn typed(name: &str, here: &[Context]) -> Option<Self> {
        let renamed = || {
            let now = Renamed::of(name)?.now;
            let fits = |command: &&Self| command.entry().contexts().any(|context| here.contains(&context));
            now.iter().find(fits).or(now.first()).copied()
        };
        Self::named(name).or_else(renamed)
    }
}

commands! {
    /// Send the message
    Send "send" Writing Composer ["enter"];
    /// New line in the message
    Newline "newline" Writing Composer ["alt+enter", "ctrl+j", "shift+enter"];
    /// Stop the reply, or close the innermost open thing
    Escape "escape" Replies Global ["esc"];
    /// Stop, then clear the draft, then quit (asks first)
    Interrupt "interrupt" App Global ["ctrl+c"];
    /// Write the message in $EDITOR
    Editor "editor" Writing Global ["ctrl+o"];
    /// Attach a text file (or @ and its name)
    Attach "attach" Writing Global [];
    /// Undo in the message
    Undo "undo" Writing Composer | Settings ["ctrl+z"];
    /// Redo in the message, or put back what was cut
    Redo "redo" Writing Composer ["ctrl+y"];
    /// Earlier message of the prompt history
    HistoryBack "history-back" Writing Composer ["up"];
    /// Later message of the prompt history
    HistoryForward "history-forward" Writing Composer ["down"];
    /// Stop the reply that is being written
    Stop "stop" Replies Global [];
    /// Write the last reply again, as another version
    Regenerate "regenerate" Replies Global ["ctrl+r"];
    /// Write this reply again, as another version
    RegenerateHere "regenerate-here" Replies Transcript ["r"];
    /// Edit this message and send it as another version
    Edit "edit" Replies Transcript ["e"];
    /// Go on with this reply
    Continue "continue" Replies Transcript ["c"];
    /// Earlier version of this message
    VersionBack "version-back" Replies Transcript ["left"];
    /// Later version of this message
    VersionForward "version-forward" Replies Transcript ["right"];
    /// Delete this message and what answers it
    DeleteTurn "delete" Replies Transcript ["d"];
    /// Take the last deletion back
    Restore "restore" Replies Transcript ["u"];
    /// Copy this message, or what is marked of it
    Copy "copy" Replies Transcript ["y"];
    /// Mark text from this token on, up to where the cursor goes
    Mark "mark" Replies Transcript ["space"];
    /// Copy this message's code block: the one under the cursor, or the next each time
    CopyCode "copy-code" Replies Transcript ["Y"];
    /// Copy this whole chat, as Markdown
    CopyChat "copy-chat" Replies Global [];
    /// Table of this message's tokens
    Ledger "ledger" Replies Transcript ["#"];
    /// Write this chat to a file: HTML, Markdown, JSON or JSON Lines
    Export "export" Chats Global [];
    /// Alternatives of this token: take one as a branch, ban or boost it
    Alternatives "alternatives" Replies Transcript ["enter"];
    /// Tree of this reply's branches
    Tree "tree" Replies Transcript ["t"];
    /// Compare this reply with another version, token by token
    Compare "compare" Replies Transcript | Tree ["="];
    /// Look ahead: the likeliest continuations here
    LookAhead "look-ahead" Replies Transcript | Alternatives | Tree ["L"];
    /// What if this message were another: the replies after it, read again after an edit
    WhatIf "what-if" Inspector Transcript | WhatIf | Weights ["E"];
    /// What each sentence of the prompt weighs for this reply
    Weights "weights" Inspector Transcript ["W"];
    /// Another model held against this one: both read this chat, token by token
    Microscope "microscope" Inspector Global [];
    /// Replies token by token: accept, choose or ban each
    Step "step" Replies Global ["f6"];
    /// Step mode: take the token that was written
    AcceptToken "accept-token" Replies StepMode ["space", "l", "enter"];
    /// Step mode: ban the token, and draw another in its place
    BanAndDraw "ban-and-draw" Replies StepMode ["b"];
    /// Step mode: let the reply run
    LetRun "let-run" Replies StepMode ["g", "esc"];
    /// Slow motion: tokens a second, e.g. /slow 2
    Slow "slow" Replies Global [];
    /// Message below
    MessageDown "message-down" Replies Transcript ["j", "down"];
    /// Message above
    MessageUp "message-up" Replies Transcript ["k", "up"];
    /// Next token
    TokenNext "token-next" Inspector Transcript | Inspector | Weights ["l"];
    /// Token before
    TokenPrevious "token-previous" Inspector Transcript | Inspector | Weights ["h"];
    /// First token of the message
    TokenFirst "token-first" Inspector Transcript | Inspector ["home"];
    /// Last token of the message
    TokenLast "token-last" Inspector Transcript | Inspector ["end"];
    /// Next word
    WordNext "word-next" Inspector Transcript | Inspector | Weights ["w"];
    /// Word before
    WordPrevious "word-previous" Inspector Transcript | Inspector | Weights ["b"];
    /// Next token that the model was not sure of
    UncertainNext "uncertain-next" Inspector Transcript | Inspector ["n"];
    /// Token before that the model was not sure of
    UncertainPrevious "uncertain-previous" Inspector Transcript | Inspector ["N"];
    /// Colour the text by surprise, probability, rank, uncertainty or layer of decision
    Colour "colour" Inspector Transcript ["m"];
    /// Show special tokens and the system prompt
    Special "special" Inspector Transcript ["s"];
    /// This message as it was written, or as Markdown again
    Raw "raw" Replies Transcript ["v"];
    /// All messages as they were written, or as Markdown again
    RawAll "raw-all" Replies Transcript ["V"];
    /// Nothing but the chat's text, for the terminal's own selection; any key leads back
    BareText "text" Replies Global ["f8"];
    /// Show or fold what was thought before a reply, files and long pastes in a message
    Thoughts "thoughts" Replies Global ["ctrl+t"];
    /// Thinking on, off or how much, where the model's template has a switch, e.g. /thinking off
    Thinking "thinking" Replies Global [];
    /// A value for the model's chat template, e.g. /template-value reasoning false
    TemplateValue "template-value" Replies Global [];
    /// A LoRA adapter for this chat's replies and its scale, e.g. /lora pirate.gguf 0.5
    Lora "lora" Replies Global [];
    /// A control vector for this chat's replies and its scale, e.g. /control-vector calm.gguf -1
    ControlVector "control-vector" Replies Global [];
    /// Long lines of code: more of their beginning
    CodeLeft "code-left" Replies Transcript ["<"];
    /// Long lines of code: more of their end
    CodeRight "code-right" Replies Transcript [">"];
    /// Find in this chat
    Find "find" Replies Global ["ctrl+f"];
    /// New chat
    NewChat "new" Chats Global ["ctrl+n"];
    /// Search all chats
    Search "search" Chats Global ["ctrl+g"];
    /// Show or hide the list of chats
    ToggleChats "chats" Chats Global ["f3"];
    /// Open the selected chat
    OpenChat "open" Chats Chats ["enter"];
    /// Chat below
    ChatDown "chat-down" Chats Chats ["down", "j"];
    /// Chat above
    ChatUp "chat-up" Chats Chats ["up", "k"];
    /// Rename the chat
    Rename "rename" Chats Chats ["r"];
    /// Delete the chat
    DeleteChat "delete-chat" Chats Chats ["d", "delete"];
    /// Take the deletion of a chat back
    RestoreChat "restore-chat" Chats Chats ["u"];
    /// Pin the chat before the others, or no longer
    PinChat "pin-chat" Chats Chats ["p"];
    /// Tags of the chat, to find it by
    TagChat "tag-chat" Chats Chats ["t"];
    /// Archive the chat, or bring it back into the list
    ArchiveChat "archive-chat" Chats Chats ["a"];
    /// A copy of the chat, and go on in that
    DuplicateChat "duplicate-chat" Chats Chats ["c"];
    /// Find a chat in the list by its title or its tags
    FilterChats "filter-chats" Chats Chats ["/"];
    /// The archived chats in the list's place, or the list again
    Archive "archive" Chats Chats ["A"];
    /// The deleted chats, which stay for 30 days, or the list again
    Bin "bin" Chats Chats ["B"];
    /// A temporary chat, of which nothing is stored; there, keep it after all
    Temporary "temporary" Chats Global [];
    /// The model sums older messages up; what that costs is said first, and it can be taken back
    Compact "compact" Chats Global [];
    /// What this chat took: messages, tokens, time
    Usage "usage" Chats Global [];
    /// System prompt of this chat
    System "system" Chats Global [];
    /// Show or hide the inspector
    ToggleInspector "inspector" Inspector Global ["f2"];
    /// Inspector alone, at full width
    Zoom "zoom" Inspector Inspector ["z"];
    /// Open the tokens station
    StationTokens "tokens" Inspector Global ["alt+1"], Inspector ["1"];
    /// Open the embedding station
    StationEmbedding "embedding" Inspector Global ["alt+2"], Inspector ["2"];
    /// Open the position station
    StationPosition "position" Inspector Global ["alt+3"], Inspector ["3"];
    /// Open the attention station
    StationAttention "attention" Inspector Global ["alt+4"], Inspector ["4"];
    /// Open the feed-forward station
    StationFfn "ffn" Inspector Global ["alt+5"], Inspector ["5"];
    /// Open the layers station
    StationLayers "layers" Inspector Global ["alt+6"], Inspector ["6"];
    /// Open the softmax station
    StationSoftmax "softmax" Inspector Global ["alt+7"], Inspector ["7"];
    /// Open the sampler station
    StationSampler "sampler" Inspector Global ["alt+8"], Inspector ["8"];
    /// Open the why station
    StationWhy "why" Inspector Global ["alt+9"], Inspector ["9"];
    /// Open the station of that name or number
    Station "station" Inspector Global [];
    /// Hold the shown step
    Hold "hold" Inspector Inspector ["space"];
    /// Up in the open station: a row, a block, a head or a token above
    SelectUp "select-up" Inspector Inspector ["up"];
    /// Down in the open station
    SelectDown "select-down" Inspector Inspector ["down"];
    /// Left in the open station: a head, a pair or a token before
    SelectLeft "select-left" Inspector Inspector | Weights ["left"];
    /// Right in the open station
    SelectRight "select-right" Inspector Inspector | Weights ["right"];
    /// What is selected alone, where there is no room for all
    OpenSelected "open-selected" Inspector Tokens | Position | Attention | Ffn | Layers ["enter"];
    /// Copy the ids of the listed tokens
    CopyIds "copy-ids" Inspector Inspector ["y"];
    /// Tokens: try a word
    TokensTry "tokens-try" Inspector Tokens ["t"];
    /// Tokens: everything that was read, the template too
    TokensAll "tokens-all" Inspector Tokens ["a"];
    /// Embedding: words to add and take away, such as king - man + woman
    EmbeddingArithmetic "embedding-arithmetic" Inspector Inspector ["="];
    /// Embedding: begin or end the span of the matrix
    EmbeddingSpan "embedding-span" Inspector Embedding ["v"];
    /// Embedding: put the selected neighbour onto the map, or take it off
    EmbeddingAdd "embedding-add" Inspector Embedding ["enter"];
    /// Embedding: the other map
    EmbeddingMap "embedding-map" Inspector Embedding ["g"];
    /// Embedding: cosines with the mean of the table taken off
    EmbeddingCentred "embedding-centred" Inspector Embedding ["t"];
    /// Position: choose another head and another token to read
    PositionPick "position-pick" Inspector Position ["p"];
    /// Position: angles in degrees, or as hands
    PositionDegrees "position-degrees" Inspector Position ["t"];
    /// Attention: all heads, one head at all tokens, the rollout
    AttentionPicture "attention-picture" Inspector Attention ["g"];
    /// Attention: one head at all tokens, as a matrix
    AttentionMatrix "attention-matrix" Inspector Attention [];
    /// Attention: all layers multiplied, which tells how tokens are mixed
    AttentionRollout "attention-rollout" Inspector Attention [];
    /// Attention: who reads this token, or what it reads
    AttentionReaders "attention-readers" Inspector Attention ["f"];
    /// Attention: raw weights, or weighted by what the values write
    AttentionRaw "attention-raw" Inspector Attention ["t"];
    /// Attention colours the text: this head, its layer, all layers, or off
    AttentionInk "attention-ink" Inspector Inspector ["i"];
    /// Attention: leave token 0 out of the colours, or take it in
    AttentionFirstToken "attention-first-token" Inspector Attention ["0"];
    /// Attention: colours by token, word or sentence
    AttentionGrain "attention-grain" Inspector Attention ["G"];
    /// Attention: lift small shares in the colours
    AttentionContrast "attention-contrast" Inspector Attention ["v"];
    /// Feed-forward: neurons by push, or by what they write
    SortNeurons "sort-neurons" Inspector Ffn ["s"];
    /// Feed-forward: the arrows move in the other list
    FfnList "ffn-list" Inspector Ffn ["tab"];
    /// Layers over the last tokens, as a grid
    LayersGrid "layers-grid" Inspector Layers ["g"];
    /// Layers: ranks instead of probabilities
    LayersRanks "layers-ranks" Inspector Layers ["t"];
    /// Attention of the selected layer or part
    OpenHeads "open-heads" Inspector Layers | Why ["4"];
    /// Feed-forward of the selected layer or part
    OpenNeurons "open-neurons" Inspector Layers | Why ["5"];
    /// Layers, feed-forward, why: hold the chosen token against the next rival
    NextRival "next-rival" Inspector Layers | Ffn | Why ["w"];
    /// Softmax: logits instead of percent
    SoftmaxLogits "softmax-logits" Inspector Softmax ["t"];
    /// Softmax: bars on a logarithmic scale
    SoftmaxLogScale "softmax-log-scale" Inspector Softmax ["g"];
    /// Softmax: uncertainty instead of surprise in the strip
    SoftmaxStrip "softmax-strip" Inspector Softmax ["f"];
    /// Softmax: filter the list of tokens by text
    SoftmaxFilter "softmax-filter" Inspector Softmax ["/"];
    /// Softmax: a page up in the list
    SoftmaxPageUp "softmax-page-up" Inspector Softmax ["pageup"];
    /// Softmax: a page down in the list
    SoftmaxPageDown "softmax-page-down" Inspector Softmax ["pagedown"];
    /// Watch the token, or stop
    WatchToken "watch-token" Inspector Softmax | Sampler | Embedding | Position | Attention ["w"];
    /// Sampler: try other settings on this token
    SamplerTry "sampler-try" Inspector Sampler ["t"];
    /// Sampler: candidates in the order of the last column
    SortCandidates "sort-candidates" Inspector Sampler ["s"];
    /// Why: list blocks, heads or neurons
    SortParts "sort-parts" Inspector Why ["s"];
    /// Why: switch each listed part off alone and fill the off column
    WhyAskOff "why-ask-off" Inspector Why ["a"];
    /// Why: pin the card, or take its pin away
    WhyPin "why-pin" Inspector Why ["enter"];
    /// Switch the selected part of the network off at this position, or on again
    SwitchOff "switch-off" Inspector Transcript | Inspector ["x"];
    /// Switch the selected part of the network off at every position, or on again
    SwitchOffEverywhere "switch-off-everywhere" Inspector Transcript | Inspector ["X"];
    /// Keep what is switched off so in this chat's replies, or end that
    KeepOff "keep-off" Inspector Transcript | Inspector ["K"];
    /// Patch the selected part: what it gave at another position, or in another version's text
    Patch "patch" Inspector Inspector ["p"];
    /// Take back what was switched off or patched last
    UndoChange "undo-change" Inspector Inspector ["u"];
    /// Patching: patch from the chosen position
    PatchApply "patch-apply" Inspector Patching ["enter", "p"];
    /// Patching: from another version's text, or from this one again
    PatchText "patch-text" Inspector Patching ["v"];
    /// Patching: the part, or the residual stream after its block
    PatchStream "patch-stream" Inspector Patching ["s"];
    /// Patching: from the first position
    PatchFirst "patch-first" Inspector Patching ["home"];
    /// Patching: from the last position
    PatchLast "patch-last" Inspector Patching ["end"];
    /// Steer replies along the direction from one text to another
    Steer "steer" Replies Global [];
    /// End steering in this chat
    SteerOff "steer-off" Replies Global [];
    /// The pass at this token, or the one that chose it
    OtherPass "other-pass" Inspector Transcript | Inspector ["."];
    /// Open station to a file: SVG, text or JSON
    ExportStation "export-station" Inspector Inspector ["O"];
    /// Guided tour through the nine stations
    Tour "tour" Inspector Transcript | Inspector ["T"];
    /// Tour: the next step
    TourNext "tour-next" App Tour ["enter", "space"];
    /// Tour: the step before
    TourPrevious "tour-previous" App Tour ["backspace"];
    /// Tour: end it
    TourEnd "tour-end" App Tour ["esc"];
    /// Explain this station
    Explain "explain" Inspector Inspector ["?"];
    /// Choose a model
    Models "models" Models Global ["ctrl+l"];
    /// Switch to the model of that name
    Model "model" Models Global [];
    /// Load the model again
    Reload "reload" Models Global ["f5"];
    /// Unload the model
    Unload "unload" Models Global [];
    /// Sampler preset of that name for this chat
    Preset "preset" Models Global [];
    /// Replies here follow a grammar or a schema
    Grammar "grammar" Models Global [];
    /// Persona of this chat: system prompt, settings and model in one
    Persona "persona" Models Global [];
    /// Keep this chat's sampler settings as a preset of that name
    SavePreset "save-preset" Models Global [];
    /// Set a sampler value for this chat, e.g. /set temperature 0.5
    Set "set" Models Global [];
    /// Commands
    Palette "palette" App Global ["ctrl+p"];
    /// Choose a theme
    Themes "theme" App Global [];
    /// Settings in use and where they come from
    Settings "settings" App Global ["f4"];
    /// Read the configuration again
    ReloadConfig "reload-config" App Global [];
    /// Mouse on or off
    Mouse "mouse" App Global [];
    /// Help
    Help "help" App Global ["f1"], Composer | Transcript | Chats ["?"];
    /// To the transcript, and back to the message
    FocusNext "focus-next" App Global ["tab"];
    /// To the panes at the sides
    FocusPrevious "focus-previous" App Global ["backtab"];
    /// Page up in the transcript
    PageUp "page-up" App Global ["pageup"];
    /// Page down in the transcript
    PageDown "page-down" App Global ["pagedown"];
    /// Top of the transcript
    Top "top" App Global ["ctrl+home"];
    /// End of the transcript
    Bottom "bottom" App Global ["ctrl+end"];
    /// Redraw the screen
    Redraw "redraw" App Global [];
    /// Put the app in the background (Ctrl+Z is undo while typing)
    Suspend "suspend" App Global [];
    /// Up in a list
    ListUp "list-up" Lists Overlay ["up"];
    /// Down in a list
    ListDown "list-down" Lists Overlay ["down"];
    /// A page up in a list
    ListPageUp "list-page-up" Lists Picker | Reader | Ledger | Alternatives | Tree | Microscope ["pageup"];
    /// A page down in a list
    ListPageDown "list-page-down" Lists Picker | Reader | Ledger | Alternatives | Tree | Microscope ["pagedown"];
    /// To the top of a list
    ListFirst "list-first" Lists Reader | Ledger | WhatIf | Microscope ["home"];
    /// To the end of a list
    ListLast "list-last" Lists Reader | Ledger | WhatIf | Microscope ["end"];
    /// Choose the selected row
    Choose "choose" Lists Overlay ["enter"];
    /// Help, terms: a row up
    ScrollUp "scroll-up" Lists Reader ["up", "k"];
    /// Help, terms: a row down
    ScrollDown "scroll-down" Lists Reader ["down", "j"];
    /// Yes, or accept the terms
    Accept "accept" Lists Question ["y"];
    /// No, or refuse the terms
    Decline "decline" Lists Question ["n"];
    /// Help: the next page
    HelpNext "help-next" Lists Help ["right", "tab"];
    /// Help: the page before
    HelpPrevious "help-previous" Lists Help ["left", "backtab"];
    /// Models: fetch the selected one; pause it and go on; of a server, list what it has
    FetchModel "fetch-model" Lists Models ["tab"];
    /// Models: remove the file of the selected one, or give its fetch up
    RemoveModel "remove-model" Lists Models ["delete"];
    /// Settings, steering: the value before
    ValueLess "value-less" Lists Settings | Steer ["left"];
    /// Settings, steering: the next value
    ValueMore "value-more" Lists Settings | Steer ["right"];
    /// Settings: back to the default
    ValueDefault "value-default" Lists Settings ["backspace"];
    /// Settings: write the value into the configuration file, for all chats
    SaveSetting "save-setting" Lists Settings ["ctrl+k"];
    /// Table of tokens: the next order
    LedgerOrderNext "ledger-order-next" Lists Ledger ["right"];
    /// Table of tokens: the order before
    LedgerOrderPrevious "ledger-order-previous" Lists Ledger ["left"];
    /// Table of tokens: copy it
    LedgerCopy "ledger-copy" Lists Ledger ["ctrl+y"];
    /// Alternatives: type to filter the vocabulary, or back to the list
    AlternativesFilter "alternatives-filter" Lists Alternatives ["/", "tab"];
    /// Alternatives: ban the token, or allow it again
    BanToken "ban-token" Lists Alternatives ["b"];
    /// Alternatives: raise the token's logit
    BoostToken "boost-token" Lists Alternatives ["+"];
    /// Alternatives: lower the token's logit
    DampToken "damp-token" Lists Alternatives ["-"];
    /// Tree: where the branch parts again
    TreeDown "tree-down" Lists Tree ["right"];
    /// Tree: where the versions parted before
    TreeUp "tree-up" Lists Tree ["left"];
    /// Tree: the comparison instead of the tree, where there is room for one
    TreeSide "tree-side" Lists Tree ["tab"];
    /// Tree: bars relative to the largest, or absolute
    TreeScale "tree-scale" Lists Tree ["z"];
    /// Tree: delete the selected branch
    DeleteBranch "delete-branch" Lists Tree ["d"];
    /// Tree: take the last deletion back
    RestoreBranch "restore-branch" Lists Tree ["u"];
    /// What if: send the edit as a version
    WhatIfSend "what-if-send" Lists WhatIf ["e"];
    /// Weights: by sentence or by message, before they are read
    WeightsGrain "weights-grain" Lists Weights ["tab"];
    /// Weights: for the whole reply again
    WeightsWhole "weights-whole" Lists Weights ["backspace"];
    /// Weights: stop reading and drop them
    WeightsDrop "weights-drop" Lists Weights ["d"];
    /// Steering: the next field
    SteerNext "steer-next" Lists Steer ["tab"];
    /// Steering: the field before
    SteerPrevious "steer-previous" Lists Steer ["backtab"];
    /// Steering: swap the two texts
    SteerSwap "steer-swap" Lists Steer ["ctrl+x", "alt+x"];
    /// Steering: a twin reads along, or no longer
    SteerTwin "steer-twin" Lists Steer ["ctrl+t", "alt+t"];
    /// Steering: end it in this chat
    SteerEnd "steer-end" Lists Steer ["ctrl+o", "alt+o"];
    /// Steering: write the push as a control vector that llama.cpp reads (GGUF)
    SteerWrite "steer-write" Lists Steer ["alt+s"];
    /// Steering: a control vector from a file
    SteerRead "steer-read" Lists Steer ["ctrl+r", "alt+r"];
    /// Quit
    Quit "quit" App Global ["ctrl+q"];
}

/// The commands that can be run from anywhere, in the order of the help: for the palette and the completion.
pub fn offered() -> impl Iterator<Item = &'static Entry> {
    TABLE.iter().filter(|entry| entry.is_offered())
}

impl Command {
    /// What may follow the command's name when it is typed, in words; empty for none.
    #[must_use]
    pub fn argument(self) -> &'static str {
        match self {
            Self::Attach => "the name of a text file",
            Self::Model | Self::Microscope => "the name of a model",
            Self::Preset => "the name of a preset, or none",
            Self::Grammar => "a file with a grammar (GBNF) or a JSON schema, or off",
            Self::Persona => "the name of a persona, or none",
            Self::SavePreset => "the name of the new preset",
            Self::Set => "a setting and its value, e.g. temperature 0.5",
            Self::Thinking => "on, off, default, or low, medium, high",
            Self::TemplateValue => "a name and its value, e.g. enable_thinking false",
            Self::Lora | Self::ControlVector => "a GGUF file and its scale, or off or default",
            Self::Themes => "the name of a theme",
            Self::System => "the text, or nothing to edit it",
            Self::Rename => "the new title",
            Self::TagChat => "words, in place of the tags it has",
            Self::Slow => "tokens a second, from 0.1 to 50, or off",
            Self::Export => "a file's name ending in .html, .md, .json or .jsonl",
            Self::ExportStation => "a file's name ending in .svg, .txt or .json, and a size such as 67x36",
            Self::Station => "the name of a station, or its number",
            Self::EmbeddingArithmetic => "words with + and -, or nothing for the token itself",
            Self::Find => "what to look for",
            Self::Search => {
                "what to look for; role:user, model:NAME, after:2026-01-01, before: and tag: narrow it"
            }
            Self::Colour => "surprise, probability, rank, uncertainty, layer or off",
            _ => "",
        }
    }

    /// Whether something may follow the command's name.
    #[must_use]
    pub fn takes_argument(self) -> bool {
        !self.argument().is_empty()
    }

    /// Whether it takes something away: it is run only by its whole name, and no scattered match finds it.
    #[must_use]
    pub fn destroys(self) -> bool {
        matches!(self, Self::DeleteTurn | Self::DeleteChat | Self::DeleteBranch | Self::RemoveModel)
    }

    /// Whether something must follow the command's name.
    #[must_use]
    pub fn needs_argument(self) -> bool {
        matches!(
            self,
            Self::Attach
                | Self::Model
                | Self::Preset
                | Self::Grammar
                | Self::SavePreset
                | Self::Set
                | Self::Station
        )
    }
}
