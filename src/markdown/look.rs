//! How a cell of laid-out Markdown is meant, apart from any colour.
//!
//! Invariant: a look is two bytes; what it is drawn with is the theme's business.

/// What a cell is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tone {
    /// Running text.
    #[default]
    Text,
    /// A heading.
    Heading,
    /// Marks, addresses, raw HTML: what is read past.
    Muted,
    /// The language named by a code block.
    Label,
    /// The bar of a quote, the lines of a table, a rule.
    Line,
    /// A bullet, a number, a box to tick.
    Bullet,
    /// Text that links.
    Link,
    /// Code, in a line or in a block.
    Code,
    /// The title and the bar of a note, a tip or something important.
    Note,
    /// The title and the bar of a warning or a caution.
    Caution,
    /// Code: a word of the language.
    Keyword,
    /// Code: a text.
    Quoted,
    /// Code: a number or another constant.
    Number,
    /// Code: a comment.
    Comment,
    /// Code: a function.
    Function,
    /// Code: a type.
    Type,
}

/// A cell's look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Look {
    /// What it is.
    pub tone: Tone,
    /// The faces on top: see the constants.
    pub faces: u8,
}

impl Look {
    /// Strong emphasis.
    pub const STRONG: u8 = 1;
    /// Emphasis.
    pub const EMPHASIS: u8 = 2;
    /// Struck through.
    pub const STRUCK: u8 = 4;
    /// Underlined: the first heading.
    pub const UNDERLINED: u8 = 8;
    /// Code inside a line of text.
    pub const IN_LINE: u8 = 16;

    /// A look without faces.
    #[must_use]
    pub const fn of(tone: Tone) -> Self {
        Self { tone, faces: 0 }
    }

    /// The same with a face more.
    #[must_use]
    pub const fn with(self, face: u8) -> Self {
        Self { faces: self.faces | face, ..self }
    }

    /// The same as another tone, unless it is code or a link already.
    #[must_use]
    pub fn toned(self, tone: Tone) -> Self {
        match self.tone {
            Tone::Link | Tone::Code => self,
            _ => Self { tone, ..self },
        }
    }

    /// Whether it has a face.
    #[must_use]
    pub const fn has(self, face: u8) -> bool {
        self.faces & face != 0
    }

    /// Whether it is code, coloured or not.
    #[must_use]
    pub const fn is_code(self) -> bool {
        matches!(
            self.tone,
            Tone::Code
                | Tone::Label
                | Tone::Keyword
                | Tone::Quoted
                | Tone::Number
                | Tone::Comment
                | Tone::Function
                | Tone::Type
        )
    }
}
