//! The position station's own state.
//!
//! Invariant: `None` follows the pass on display.

/// Choices of the position station.
#[derive(Debug, Default)]
pub struct PositionView {
    /// Angles of the position station in degrees rather than as hands.
    pub degrees: bool,
    /// Whether the position station's arrows choose the head and the token that is read.
    pub picking_head: bool,
    /// The distance that the position station tells of; `None` for the real one.
    pub apart: Option<u32>,
    /// The frequency pair that the position station tells of, counted from the strongest.
    pub pair: usize,
    /// The position that the position station holds the pass against; `None` is the head's strongest.
    pub other: Option<u32>,
}
