//! Every user intent in one table: name, keys, help. It feeds the keymap, the palette, `/commands`, the help
//! pages and the README.
//!
//! Invariant: a command's name is what `/name` and `[keys]` use; the table is in the order of the help.

/// Where a key is looked up, innermost first: overlay, focused pane, everywhere.
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
    /// The inspector has the focus.
    Inspector,
    /// An overlay is open.
    Overlay,
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
}

macro_rules! commands {
    ($( $(#[doc = $doc:literal])+ $variant:ident $name:literal $group:ident $context:ident [$($key:literal),*] ; )+) => {
        /// A user's intent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Command { $( $(#[doc = $doc])+ $variant, )+ }

        /// The table.
        pub const TABLE: &[Entry] = &[
            $( Entry {
                command: Command::$variant,
                name: $name,
                group: Group::$group,
                context: Context::$context,
                keys: &[$($key),*],
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
    /// Where its keys count.
    pub context: Context,
    /// Default keys.
    pub keys: &'static [&'static str],
    /// One line of help (begins with a blank, from the doc comment; see [`Entry::help`]).
    help: &'static str,
}

impl Entry {
    /// One line of help.
    #[must_use]
    pub fn help(&self) -> &'static str {
        self.help.trim()
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
    /// Undo in the message
    Undo "undo" Writing Composer ["ctrl+z"];
    /// Redo in the message
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
    /// Copy this message
    Copy "copy" Replies Transcript ["y"];
    /// Copy this message's first code block
    CopyCode "copy-code" Replies Transcript ["Y"];
    /// Table of this message's tokens
    Ledger "ledger" Replies Transcript ["#"];
    /// Write this chat to a file: HTML, Markdown, JSON or JSON Lines
    Export "export" Chats Global [];
    /// Alternatives of this token: take one as a branch, ban or boost it
    Alternatives "alternatives" Replies Transcript ["enter"];
    /// Tree of this reply's branches
    Tree "tree" Replies Transcript ["t"];
    /// Compare this reply with another version, token by token
    Compare "compare" Replies Transcript ["="];
    /// Look ahead: the likeliest continuations here
    LookAhead "look-ahead" Replies Transcript ["L"];
    /// What if this message were another: the replies after it, read again behind an edit
    WhatIf "what-if" Inspector Transcript ["E"];
    /// What each sentence of the prompt weighs for this reply
    Weights "weights" Inspector Transcript ["W"];
    /// Replies token by token: accept, choose or ban each
    Step "step" Replies Global ["f6"];
    /// Slow motion: tokens a second, e.g. /slow 2
    Slow "slow" Replies Global [];
    /// Message below
    MessageDown "message-down" Replies Transcript ["j", "down"];
    /// Message above
    MessageUp "message-up" Replies Transcript ["k", "up"];
    /// Next token
    TokenNext "token-next" Inspector Transcript ["l"];
    /// Token before
    TokenPrevious "token-previous" Inspector Transcript ["h"];
    /// First token of the message
    TokenFirst "token-first" Inspector Transcript ["home"];
    /// Last token of the message
    TokenLast "token-last" Inspector Transcript ["end"];
    /// Next word
    WordNext "word-next" Inspector Transcript ["w"];
    /// Word before
    WordPrevious "word-previous" Inspector Transcript ["b"];
    /// Next token that the model was not sure of
    UncertainNext "uncertain-next" Inspector Transcript ["n"];
    /// Token before that the model was not sure of
    UncertainPrevious "uncertain-previous" Inspector Transcript ["N"];
    /// Colour the text by surprise, probability, rank, uncertainty or layer of decision
    Colour "colour" Inspector Transcript ["m"];
    /// Show special tokens and the system prompt
    Special "special" Inspector Transcript ["s"];
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
    /// System prompt of this chat
    System "system" Chats Global [];
    /// Show or hide the inspector
    ToggleInspector "inspector" Inspector Global ["f2"];
    /// Inspector alone, at full width
    Zoom "zoom" Inspector Inspector ["z"];
    /// Open the tokens station
    StationTokens "tokens" Inspector Global ["alt+1"];
    /// Open the embedding station
    StationEmbedding "embedding" Inspector Global ["alt+2"];
    /// Open the position station
    StationPosition "position" Inspector Global ["alt+3"];
    /// Open the attention station
    StationAttention "attention" Inspector Global ["alt+4"];
    /// Open the feed-forward station
    StationFfn "ffn" Inspector Global ["alt+5"];
    /// Open the layers station
    StationLayers "layers" Inspector Global ["alt+6"];
    /// Open the softmax station
    StationSoftmax "softmax" Inspector Global ["alt+7"];
    /// Open the sampler station
    StationSampler "sampler" Inspector Global ["alt+8"];
    /// Open the why station
    StationWhy "why" Inspector Global ["alt+9"];
    /// Open the station of that name or number
    Station "station" Inspector Global [];
    /// Hold the shown step
    Hold "hold" Inspector Inspector ["space"];
    /// The other unit: logits, raw weights, ranks; in sampler, try settings; in tokens, try a word
    Logits "logits" Inspector Inspector ["t"];
    /// In tokens, everything that was read, the template too
    All "all" Inspector Inspector ["a"];
    /// Copy the ids of the listed tokens
    CopyIds "copy-ids" Inspector Inspector ["y"];
    /// Layers over the last tokens, as a grid
    Grid "grid" Inspector Inspector [];
    /// Bars on a logarithmic scale; in layers, the grid over tokens; in embedding, the other map; in attention, one head at all tokens, and the rollout
    LogScale "log-scale" Inspector Inspector ["g"];
    /// Uncertainty instead of surprise in the strip; in attention, who reads this token
    Flip "flip" Inspector Inspector ["f"];
    /// One head's attention at all tokens, as a matrix
    Matrix "matrix" Inspector Inspector [];
    /// Attention of all layers multiplied: how tokens are mixed
    Rollout "rollout" Inspector Inspector [];
    /// Attention: who reads this token, or what it reads
    ReadBy "read-by" Inspector Inspector [];
    /// Attention colours the text: this head, its layer, all layers, or off
    Ink "ink" Inspector Inspector ["i"];
    /// Leave token 0 out of attention's colours, or take it in
    FirstToken "first-token" Inspector Inspector ["0"];
    /// Attention's colours by token, word or sentence
    Grain "grain" Inspector Inspector ["G"];
    /// Lift small shares in attention's colours
    Contrast "contrast" Inspector Inspector ["v"];
    /// Words to add and take away in the embedding station: king - man + woman
    Arithmetic "arithmetic" Inspector Inspector ["="];
    /// Begin or end the span that the embedding station compares (v there)
    Span "span" Inspector Inspector [];
    /// In the position station, choose another head and another token to read (p there)
    Pick "pick" Inspector Inspector [];
    /// Sort: the sampler by its last column, why by heads or neurons, feed-forward by push
    Sort "sort" Inspector Inspector ["s"];
    /// Switch the selected part of the network off at this position, or on again
    SwitchOff "switch-off" Inspector Transcript ["x"];
    /// Switch the selected part of the network off at every position, or on again
    SwitchOffEverywhere "switch-off-everywhere" Inspector Transcript ["X"];
    /// Keep what is switched off so in this chat's replies, or end that
    KeepOff "keep-off" Inspector Transcript ["K"];
    /// Patch the selected part: what it gave at another position, or in another version's text
    Patch "patch" Inspector Inspector ["p"];
    /// Take back what was switched off or patched last
    UndoChange "undo-change" Inspector Inspector ["u"];
    /// In the why station, switch each listed part off alone and fill the off column
    AskOff "ask-off" Inspector Inspector [];
    /// In the why station, pin the card, or take its pin away
    Pin "pin" Inspector Inspector [];
    /// Steer replies along the direction from one text to another
    Steer "steer" Replies Global [];
    /// End steering in this chat
    SteerOff "steer-off" Replies Global [];
    /// The pass at this token, or the one that chose it
    OtherPass "other-pass" Inspector Transcript ["."];
    /// Filter the list of tokens by text
    Filter "filter" Inspector Inspector ["/"];
    /// Watch the token, or stop; in layers, ffn and why, the next rival; in tokens, next word
    Watch "watch" Inspector Inspector ["w"];
    /// Open station to a file: SVG, text or JSON
    ExportStation "export-station" Inspector Inspector ["O"];
    /// Guided tour through the nine stations
    Tour "tour" Inspector Transcript ["T"];
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
    Help "help" App Global ["f1"];
    /// Next pane
    FocusNext "focus-next" App Global ["tab"];
    /// Pane before
    FocusPrevious "focus-previous" App Global ["backtab"];
    /// Page up in the transcript
    PageUp "page-up" App Global ["pageup"];
    /// Page down in the transcript
    PageDown "page-down" App Global ["pagedown"];
    /// Top of the transcript
    Top "top" App Global ["ctrl+home"];
    /// End of the transcript
    Bottom "bottom" App Global ["ctrl+end"];
    /// Draw the screen anew
    Redraw "redraw" App Global [];
    /// Put the app in the background (Ctrl+Z is undo while typing)
    Suspend "suspend" App Global [];
    /// Quit
    Quit "quit" App Global ["ctrl+q"];
}

/// The rows in the order of the help: for the completion, the help and the README.
pub fn offered() -> impl Iterator<Item = &'static Entry> {
    TABLE.iter()
}

impl Command {
    /// What may follow the command's name when it is typed, in words; empty for none.
    #[must_use]
    pub fn argument(self) -> &'static str {
        match self {
            Self::Model => "the name of a model",
            Self::Preset => "the name of a preset, or none",
            Self::Set => "a setting and its value, e.g. temperature 0.5",
            Self::Themes => "the name of a theme",
            Self::System => "the text, or nothing to edit it",
            Self::Rename => "the new title",
            Self::Slow => "tokens a second, from 0.1 to 50, or off",
            Self::Export => "a file's name ending in .html, .md, .json or .jsonl",
            Self::ExportStation => "a file's name ending in .svg, .txt or .json, and a size such as 67x36",
            Self::Station => "the name of a station, or its number",
            Self::Arithmetic => "words with + and -, or nothing for the token itself",
            Self::Find | Self::Search => "what to look for",
            Self::Colour => "surprise, probability, rank, uncertainty, layer or off",
            _ => "",
        }
    }

    /// Whether the command is about the token under the cursor and its pass: it works from the inspector too.
    #[must_use]
    pub fn moves_token(self) -> bool {
        matches!(
            self,
            Self::TokenNext
                | Self::TokenPrevious
                | Self::TokenFirst
                | Self::TokenLast
                | Self::WordNext
                | Self::WordPrevious
                | Self::UncertainNext
                | Self::UncertainPrevious
                | Self::OtherPass
                | Self::SwitchOff
                | Self::SwitchOffEverywhere
                | Self::KeepOff
                | Self::Tour
        )
    }

    /// Whether something may follow the command's name.
    #[must_use]
    pub fn takes_argument(self) -> bool {
        !self.argument().is_empty()
    }

    /// Whether something must follow the command's name.
    #[must_use]
    pub fn needs_argument(self) -> bool {
        matches!(self, Self::Model | Self::Preset | Self::Set | Self::Station)
    }
}
