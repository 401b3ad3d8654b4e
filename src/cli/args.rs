//! The command line, as clap sees it. The help, the completions and the manual pages are generated from nothing else.

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand};

use super::adapter_args::AdapterArgs;
use super::sampler_args::SamplerArgs;
use crate::export::Format;
use crate::inspect::trace::Component;

/// A terminal chat with a local transformer in which every word can be opened.
#[derive(Debug, Parser)]
#[command(name = "glassbox", version, about, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; nothing opens the chat.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How the chat opens.
    #[command(flatten)]
    pub chat: ChatArgs,
}

/// `glassbox`.
#[derive(Debug, Default, Args)]
pub struct ChatArgs {
    /// Model: a name of the configuration, the path of a GGUF file, or the address of a server
    #[arg(short, long, value_name = "NAME")]
    pub model: Option<String>,
    /// The model of a server without an entry of its own: `http://127.0.0.1:8080`, or with its name there after a #
    #[arg(long, value_name = "ADDRESS", conflicts_with = "model")]
    pub server: Option<String>,
    /// Configuration file instead of the usual one
    #[arg(long, value_name = "FILE", env = "GLASSBOX_CONFIG")]
    pub config: Option<PathBuf>,
    /// Theme: auto, one that comes with glassbox, or one of your own
    #[arg(long, value_name = "NAME")]
    pub theme: Option<String>,
    /// Speak to this persona: a file of the folder personas beside the configuration
    #[arg(long, value_name = "NAME")]
    pub persona: Option<String>,
    /// The chat by lines, without a screen: for screen readers, plain terminals and scripts
    #[arg(long)]
    pub plain: bool,
    /// Open the chat looked at last, or the one of that id
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "last")]
    pub resume: Option<String>,
    /// Load a model that is larger than the free memory all the same; it is slow
    #[arg(long, global = true)]
    pub larger_than_memory: bool,
    /// Which engine runs: `llama`, or `scripted` with its options (for tests and the pictures)
    #[arg(long, hide = true, default_value = "llama", global = true)]
    pub engine: String,
    /// A fault to provoke (for tests)
    #[cfg(feature = "testing")]
    #[arg(long, hide = true)]
    pub fault: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A guided tour: one sentence through the nine stations, on your own model
    Tour(TourArgs),
    /// One reply to standard output, streamed
    Ask(Box<AskArgs>),
    /// The tokens of a text: ids, pieces, bytes
    Tokenize(TokenizeArgs),
    /// A chat as Markdown, JSON, JSON Lines or a web page with every token's odds
    Export(ExportArgs),
    /// Chats of ChatGPT, Open WebUI, LM Studio and llama.cpp's web UI, and exports of glassbox, as chats here
    Import(ImportArgs),
    /// How likely a text is: the log-probability of each token, and perplexity
    Score(ScoreArgs),
    /// Two models, or two files of one, on the same text: where they part, token by token
    Compare(CompareArgs),
    /// One forward pass over a raw prompt, opened: lens, attention, neurons, attribution
    Inspect(InspectArgs),
    /// The models: what is here, what can be fetched, what a file says of itself
    Models(ModelsArgs),
    /// Measure speed and memory on this machine
    Bench(BenchArgs),
    /// This machine's devices for a model on another one, by llama.cpp's RPC (`rpc` in the model's entry)
    RpcWorker(RpcWorkerArgs),
    /// What this build and this machine can do
    Doctor(DoctorArgs),
    /// The configuration file: where it is, edit it, check it
    Config(ConfigArgs),
    /// Completions for a shell, to standard output
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// The manual pages, one file a command, into a folder
    Man {
        /// The folder, which is made if it is not there
        folder: PathBuf,
    },
    /// The engine's own process
    #[command(hide = true)]
    Engine(EngineArgs),
}

/// `glassbox rpc-worker`.
#[derive(Debug, Args)]
pub struct RpcWorkerArgs {
    /// The IPv4 address to listen on: there is no authentication, so leave it and use a tunnel
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub host: String,
    /// The port
    #[arg(long, value_name = "N", default_value_t = 50052, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Threads where there is no GPU, instead of one a core
    #[arg(long, value_name = "N")]
    pub threads: Option<u32>,
}

/// `glassbox engine`.
#[derive(Debug, Default, Args)]
pub struct EngineArgs {
    /// Give up nothing
    #[arg(long)]
    pub free: bool,
    /// Speak over a network
    #[arg(long)]
    pub network: bool,
    /// A file or folder to read, beside the system, and nothing else; without one, everything
    #[arg(long, value_name = "PATH")]
    pub read: Vec<PathBuf>,
    /// Read what lies openly too, in the home and beside it: a chat may name an adapter there
    #[arg(long, requires = "read")]
    pub read_openly: bool,
}

/// `glassbox tour`.
#[derive(Debug, Args)]
pub struct TourArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
    /// Theme: auto, one that comes with glassbox, or one of your own
    #[arg(long, value_name = "NAME")]
    pub theme: Option<String>,
}

impl TourArgs {
    /// The same as arguments of the chat.
    pub fn into_chat(self, engine: String) -> ChatArgs {
        let Common { model, config } = self.common;
        ChatArgs { model, config, theme: self.theme, engine, ..ChatArgs::default() }
    }
}

/// What every headless command takes.
#[derive(Debug, Default, Args)]
pub struct Common {
    /// Model: a name of the configuration, the path of a GGUF file, or, where one of a server will do, its address
    #[arg(short, long, value_name = "NAME")]
    pub model: Option<String>,
    /// Configuration file instead of the usual one
    #[arg(long, value_name = "FILE", env = "GLASSBOX_CONFIG")]
    pub config: Option<PathBuf>,
}

/// `glassbox ask`.
#[derive(Debug, Args)]
pub struct AskArgs {
    /// The question, or `-` for standard input; text that is piped in is put below the question
    pub prompt: Option<String>,
    /// A text file put below the question; may be given several times
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
    /// The model of a server without an entry of its own: `http://127.0.0.1:8080`, or with its name there after a #
    #[arg(long, value_name = "ADDRESS", conflicts_with = "model")]
    pub server: Option<String>,
    /// No chat template: the model goes on with the text as it is
    #[arg(long, conflicts_with_all = ["keep", "continue_last", "chat"])]
    pub raw: bool,
    /// With --raw, marks such as `<|im_end|>` in the text become control tokens
    #[arg(long, requires = "raw")]
    pub special: bool,
    /// System prompt
    #[arg(long, value_name = "TEXT", conflicts_with = "raw")]
    pub system: Option<String>,
    /// Keep the question and the reply as a chat
    #[arg(long)]
    pub keep: bool,
    /// Go on with the last chat, and keep what is added
    #[arg(long = "continue", conflicts_with = "chat")]
    pub continue_last: bool,
    /// Go on with the chat of that id, and keep what is added
    #[arg(long, value_name = "ID")]
    pub chat: Option<String>,
    /// A JSON schema that the reply follows; exits 1 if the reply is cut before its end
    #[arg(long, value_name = "FILE", conflicts_with = "grammar")]
    pub schema: Option<PathBuf>,
    /// A grammar (GBNF, as llama.cpp reads it) that the reply follows; exits 1 likewise
    #[arg(long, value_name = "FILE")]
    pub grammar: Option<PathBuf>,
    /// The reply as it was written; without this, it is laid out as Markdown on a terminal
    #[arg(long)]
    pub plain: bool,
    /// What a thinking model thought goes to standard output too; otherwise it is only shown on a terminal
    #[arg(long, conflicts_with = "raw")]
    pub show_thinking: bool,
    /// The exact prompt, template and control tokens included, to standard error before the reply
    #[arg(long)]
    pub show_prompt: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub sampler: SamplerArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub adapters: AdapterArgs,
    /// Candidates listed per token (with --json)
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub top_logprobs: u32,
    /// One JSON object a line: every token with its numbers, then how it ended
    #[arg(long)]
    pub json: bool,
}

/// `glassbox config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What to do
    #[command(subcommand)]
    pub command: ConfigCommand,
    /// Configuration file instead of the usual one
    #[arg(long, value_name = "FILE", env = "GLASSBOX_CONFIG", global = true)]
    pub config: Option<PathBuf>,
}

/// `glassbox config …`.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print where the configuration file is, or would be
    Path,
    /// Open it in $VISUAL or $EDITOR (else vi), then check it; a new one begins as the example, commented out
    Edit,
    /// Say what is wrong with it, line by line; exits 1 if anything is
    Check,
}

/// `glassbox tokenize`.
#[derive(Debug, Args)]
pub struct TokenizeArgs {
    /// The text, or `-` to read it from standard input as it is, its last line end included
    pub text: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
    /// Let marks such as `<|im_end|>` become control tokens, and add the begin-of-sequence token if the model wants one
    #[arg(long)]
    pub special: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `glassbox export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The chat's id, or `last`; without it, the list of chats and their ids
    pub id: Option<String>,
    /// md, json, jsonl (one object a line) or html; the default goes by the output's ending, else md
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    pub format: Option<Format>,
    /// The file to write, or `-` for standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// With what a thinking model thought, in md and html too; json and jsonl always hold it
    #[arg(long)]
    pub show_thinking: bool,
    /// Write over a file that is there
    #[arg(long)]
    pub force: bool,
}

/// `glassbox import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The files, as the programs export them; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// How a text is read that is not a chat.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Reading {
    /// Marks such as `<|im_end|>` in the text become control tokens
    #[arg(long)]
    pub special: bool,
    /// The text is read as a user's message under the chat template; what follows it is the model's answer
    #[arg(long, conflicts_with = "special")]
    pub as_message: bool,
}

/// `glassbox score`.
#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// Text files (UTF-8), each scored by itself, as it is; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub reading: Reading,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub adapters: AdapterArgs,
    /// The model of a server without an entry of its own: `http://127.0.0.1:8080`, or with its name there after a #
    #[arg(long, value_name = "ADDRESS", conflicts_with = "model")]
    pub server: Option<String>,
    /// Candidates listed per token (with --json)
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub top_logprobs: u32,
    /// For a text longer than the context: how many new tokens each window scores [default: half the context]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub stride: Option<u32>,
    /// One JSON object a line: every token with its numbers, then those of the whole text
    #[arg(long)]
    pub json: bool,
}

/// `glassbox compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The reference: a name of the configuration, or the path of a GGUF file
    #[arg(value_name = "A")]
    pub reference: String,
    /// The model that is held against it
    #[arg(value_name = "B")]
    pub other: String,
    /// Text files (UTF-8), each read by itself; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<String>,
    /// A chat, by its id; `last` is the newest
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "last")]
    pub chat: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub reading: Reading,
    /// Read windows of so many tokens that do not overlap and count the second half of each, as llama-perplexity does
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(8..))]
    pub window: Option<u32>,
    /// Configuration file instead of the usual one
    #[arg(long, value_name = "FILE", env = "GLASSBOX_CONFIG")]
    pub config: Option<PathBuf>,
    /// One JSON object a line: every token (or stretch) with its numbers, then those of the whole text
    #[arg(long)]
    pub json: bool,
}

/// `glassbox inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The prompt, read as it is unless --special or --as-message says otherwise; `-` reads standard input
    #[arg(value_name = "PROMPT")]
    pub prompt: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub reading: Reading,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub adapters: AdapterArgs,
    /// Position of the pass, from 0; negative ones count from the end [default: the last]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub at: Option<i64>,
    /// What to show, separated by commas
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',', default_value = "logprobs")]
    pub what: Vec<What>,
    /// Layer to open, from 0; may be given several times (attention needs one)
    #[arg(long = "layer", value_name = "L")]
    pub layers: Vec<u32>,
    /// Head to show, from 0; may be given several times [default: all]
    #[arg(long = "head", value_name = "H")]
    pub heads: Vec<u32>,
    /// Switch a part off at every position: head:LAYER.HEAD, attn:LAYER or ffn:LAYER; may be given several times. With
    /// all heads of a block off, the bias of its output projection, where the model has one, is still added
    #[arg(long = "ablate", value_name = "PART")]
    pub ablations: Vec<Component>,
    /// Token that the likeliest one is held against in the attribution, as text [default: the second likeliest]
    #[arg(long, value_name = "TOKEN")]
    pub rival: Option<String>,
    /// The arithmetic of a chat, quantised weights times 8-bit activations, instead of dequantised weights
    #[arg(long)]
    pub as_it_runs: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// What `glassbox inspect` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// The prompt's tokens
    Tokens,
    /// The next token and the prompt's own
    Logprobs,
    /// The logit lens
    Lens,
    /// What the position reads (needs --layer)
    Attention,
    /// The strongest neurons
    Ffn,
    /// The nearest rows of the embedding table
    Embedding,
    /// Which parts pushed the likeliest token above its rival
    Attribution,
}

/// `glassbox models`.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// What to do
    #[command(subcommand)]
    pub command: ModelsCommand,
    /// Configuration file instead of the usual one
    #[arg(long, value_name = "FILE", env = "GLASSBOX_CONFIG", global = true)]
    pub config: Option<PathBuf>,
}

/// `glassbox models …`.
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// All models, whether they are here, and those that suit this machine
    List {
        /// The models of a server instead: of the entry of that name, or at an address
        #[arg(long, value_name = "NAME")]
        server: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Fetch models, several at once; one that was broken off goes on where it stopped
    Pull {
        /// A model's name; or owner/repo[:FILE] of Hugging Face, or an address, which then also gets an entry in the
        /// configuration. Without FILE the repository's files are listed
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// What the entry of owner/repo:FILE or of an address is called, instead of after its file
        #[arg(long = "as", value_name = "NAME")]
        called: Option<String>,
        /// Accept the model's terms of use
        #[arg(long, visible_alias = "accept-license")]
        accept_licence: bool,
    },
    /// Remove a fetched model's file
    Rm {
        /// Its name
        name: String,
    },
    /// What a model's file says about itself
    Info {
        /// Its name, or the path of a GGUF file
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// `glassbox bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
    /// Tokens written per round
    #[arg(long, default_value_t = 64)]
    pub tokens: u32,
    /// Measure only the resident memory of `bare` or `full`, in this process (for the command itself)
    #[arg(long, hide = true)]
    pub memory_of: Option<String>,
    /// Rounds, each of which measures everything once, side by side
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Tokens of the long chat
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(64..))]
    pub long: u32,
    /// A llama.cpp server with the same model, to compare with: `127.0.0.1:8080`. For the same computation on a CPU, start
    /// it with `--flash-attn off`, unless `flash_attention` is on here
    #[arg(long, value_name = "ADDRESS")]
    pub server: Option<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `glassbox doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Give the terminal back after a crash left it in a bad state
    #[arg(long)]
    pub reset_terminal: bool,
    /// Configuration file instead of the usual one
    #[arg(long, value_name = "FILE", env = "GLASSBOX_CONFIG")]
    pub config: Option<PathBuf>,
}

fn format(text: &str) -> Result<Format, String> {
    Format::named(text).ok_or_else(|| "must be md, json, jsonl or html".to_owned())
}

/// What a newcomer may have meant, beside what was wrong with the arguments.
pub fn hint(error: &clap::Error, mut arguments: impl Iterator<Item = String>) -> Option<String> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    match error.kind() {
        ErrorKind::InvalidSubcommand => Some(format!("for a reply: glassbox ask {word:?}")),
        ErrorKind::ArgumentConflict => {
            let option = arguments.find(|argument| argument.starts_with("--"))?;
            Some(format!("options of {word} stand behind it: glassbox {word} {option} …"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn impossible_sampler_values_are_refused() {
        for arguments in [["--top-p", "1.5"], ["--min-p", "-1"], ["--temperature", "nan"]] {
            let all = ["glassbox", "ask", "hi"].into_iter().chain(arguments);
            assert!(Cli::try_parse_from(all).is_err(), "{arguments:?}");
        }
    }
    #[test]
    fn a_question_without_a_command_and_options_before_one_are_put_right() {
        let hint = |arguments: &[&str]| {
            let error = Cli::try_parse_from(["glassbox"].iter().chain(arguments)).unwrap_err();
            hint(&error, arguments.iter().map(ToString::to_string))
        };
        let asked = hint(&["why is the sky blue"]);
        assert_eq!(asked.as_deref(), Some("for a reply: glassbox ask \"why is the sky blue\""));
        let before = hint(&["--model", "x.gguf", "ask", "hi"]);
        assert_eq!(before.as_deref(), Some("options of ask stand behind it: glassbox ask --model …"));
        assert_eq!(hint(&["ask", "hi", "--nonsense"]), None);
    }
}
