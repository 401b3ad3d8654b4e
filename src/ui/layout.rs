//! Where everything is on the screen, as pure geometry.
//!
//! Invariants: rectangles never overlap and never leave the screen; from 60 × 16 on the transcript has at
//! least one row, and the composer is there unless a station is open over it at full width.

use ratatui::layout::Rect;

use crate::app::Focus;

/// Least width and height that the whole screen needs.
pub const LEAST: (u16, u16) = (60, 16);

/// Widths of the inspector: its full and its narrow form.
pub const INSPECTOR: (u16, u16) = (67, 46);

/// Rows of the rail.
const RAIL: u16 = 3;

/// What the layout follows, besides the size.
#[derive(Clone, Copy, Debug)]
pub struct Wants {
    /// The chats pane is wanted.
    pub chats: bool,
    /// The inspector is wanted.
    pub inspector: bool,
    /// The inspector is wanted alone.
    pub zoomed: bool,
    /// The pane with the focus.
    pub focus: Focus,
    /// The tour is on: its words take the composer's place, also under a station that is alone.
    pub tour: bool,
}

impl Wants {
    /// The same with room beside the transcript for an overlay that is about its words.
    pub fn docked(self, screen: Rect) -> Self {
        let chats = self.chats && screen.width >= 150;
        Self { chats, inspector: true, zoomed: false, focus: Focus::Transcript, ..self }
    }
}

/// The screen's parts. What is not there is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// "glassbox needs 60 × 16".
    pub too_small: Option<Rect>,
    /// The header.
    pub header: Option<Rect>,
    /// The rule with the panes' titles.
    pub titles: Option<Rect>,
    /// The list of chats.
    pub chats: Option<Rect>,
    /// The transcript.
    pub transcript: Option<Rect>,
    /// The composer, its rule included.
    pub composer: Option<Rect>,
    /// The three rows over the composer of a narrow screen.
    pub rail: Option<Rect>,
    /// The open station, without its title.
    pub station: Option<Rect>,
    /// The station's own title rule, where it is open at full width.
    pub station_title: Option<Rect>,
    /// Lines between panes, one column each.
    pub separators: [Option<Rect>; 2],
    /// Notices.
    pub notice: Option<Rect>,
    /// Keys.
    pub hints: Option<Rect>,
}

impl Layout {
    /// Makes room for an overlay that is about the transcript's words and gives its place: that of the station with
    /// the edges around it, or on narrow screens all below the upper part of the transcript.
    pub fn dock(&mut self, screen: Rect) -> Rect {
        let Some(transcript) = self.transcript else { return screen };
        if let Some(station) = self.station {
            let (left, above) = (station.x.saturating_sub(1), u16::from(self.titles.is_some()));
            let width = station.right() - left;
            return Rect { x: left, y: station.y - above, width, height: station.height + above };
        }
        let end = self.notice.map_or(screen.bottom(), |notice| notice.y);
        let kept = ((end - transcript.y) * 2 / 5).max(4).min(transcript.height);
        self.transcript = Some(Rect { height: kept, ..transcript });
        (self.rail, self.composer) = (None, None);
        let top = transcript.y + kept;
        Rect { x: transcript.x, y: top, width: transcript.width, height: end - top }
    }
}

/// Lays the screen out. `composer` gives the rows that the composer wants, its rule included, from its
/// width and the most it may have.
pub fn compute(screen: Rect, wants: Wants, composer: impl FnOnce(u16, u16) -> u16) -> Layout {
    if screen.width < LEAST.0 || screen.height < LEAST.1 {
        return too_small(screen);
    }
    let station_alone =
        wants.inspector && wants.focus == Focus::Inspector && (wants.zoomed || screen.width < 110);
    if station_alone {
        let layout = station_over_one_row(screen);
        if wants.tour { with_tour(layout, composer) } else { layout }
    } else if screen.width < 110 {
        narrow(screen, wants, composer)
    } else {
        wide(screen, wants, composer)
    }
}

fn line(screen: Rect, row: u16) -> Rect {
    Rect::new(screen.x, screen.y + row, screen.width, 1)
}

fn too_small(screen: Rect) -> Layout {
    if screen.is_empty() {
        return Layout::default();
    }
    let rest = Rect { y: screen.y + 1, height: screen.height - 1, ..screen };
    Layout {
        too_small: Some(line(screen, 0)),
        composer: (rest.height > 0).then_some(rest),
        ..Layout::default()
    }
}

/// Under an open station of a low screen, notices share the row of the keys.
fn station_over_one_row(screen: Rect) -> Layout {
    let last = screen.height - 1;
    let notice = (screen.height > 24).then(|| line(screen, last - 1));
    let end = notice.map_or(last, |_| last - 1);
    Layout {
        header: Some(line(screen, 0)),
        transcript: Some(line(screen, 1)),
        station_title: Some(line(screen, 2)),
        station: Some(Rect { y: screen.y + 3, height: end - 3, ..screen }),
        notice,
        hints: Some(line(screen, last)),
        ..Layout::default()
    }
}

/// Takes the rows that the tour's words need from the end of the station.
fn with_tour(layout: Layout, rows: impl FnOnce(u16, u16) -> u16) -> Layout {
    let Some(station) = layout.station else { return layout };
    let taken = rows(station.width, station.height / 2).clamp(1, (station.height / 2).max(1));
    let left = station.height - taken;
    Layout {
        station: (left > 0).then_some(Rect { height: left, ..station }),
        composer: Some(Rect { y: station.y + left, height: taken, ..station }),
        ..layout
    }
}

fn narrow(screen: Rect, wants: Wants, composer: impl FnOnce(u16, u16) -> u16) -> Layout {
    let mut body = Rect { y: screen.y + 1, height: screen.height - 3, ..screen };
    let mut layout = framed(screen);
    if wants.focus == Focus::Chats {
        let (chats, separator, rest) = split_left(body, 24);
        layout.chats = Some(chats);
        layout.separators[0] = Some(separator);
        body = rest;
    }
    let rows = composer_rows(body, composer);
    let over = body.height - rows;
    let rail = if wants.inspector && screen.height >= 18 && over >= RAIL + 5 { RAIL } else { 0 };
    layout.transcript = Some(Rect { height: over - rail, ..body });
    layout.rail = (rail > 0).then_some(Rect { y: body.y + over - rail, height: rail, ..body });
    layout.composer = Some(Rect { y: body.y + over, height: rows, ..body });
    layout
}

fn wide(screen: Rect, wants: Wants, composer: impl FnOnce(u16, u16) -> u16) -> Layout {
    let mut layout = Layout { titles: Some(line(screen, 1)), ..framed(screen) };
    let mut middle = Rect { y: screen.y + 2, height: screen.height - 4, ..screen };
    let roomy = screen.width >= 150;
    let inspector_first = wants.inspector && wants.focus == Focus::Inspector && !roomy;
    let chats = (wants.chats || wants.focus == Focus::Chats) && !inspector_first;
    if wants.inspector {
        let width = if chats && !roomy { INSPECTOR.1 } else { INSPECTOR.0 };
        let left = Rect { width: middle.width - width - 1, ..middle };
        layout.separators[1] = Some(Rect { x: left.right(), width: 1, ..middle });
        layout.station = Some(Rect { x: left.right() + 1, width, ..middle });
        middle = left;
    }
    if chats {
        let (chats, separator, rest) = split_left(middle, if roomy { 24 } else { 20 });
        layout.chats = Some(chats);
        layout.separators[0] = Some(separator);
        middle = rest;
    }
    let rows = composer_rows(middle, composer);
    let over = middle.height - rows;
    layout.transcript = Some(Rect { height: over, ..middle });
    layout.composer = Some(Rect { y: middle.y + over, height: rows, ..middle });
    layout
}

fn framed(screen: Rect) -> Layout {
    Layout {
        header: Some(line(screen, 0)),
        notice: Some(line(screen, screen.height - 2)),
        hints: Some(line(screen, screen.height - 1)),
        ..Layout::default()
    }
}

fn split_left(area: Rect, width: u16) -> (Rect, Rect, Rect) {
    let left = Rect { width, ..area };
    let separator = Rect { x: left.right(), width: 1, ..area };
    let rest = Rect { x: separator.right(), width: area.width - width - 1, ..area };
    (left, separator, rest)
}

/// At least a rule and a line, at most half of the body.
fn composer_rows(body: Rect, wanted: impl FnOnce(u16, u16) -> u16) -> u16 {
    let most = (body.height / 2).max(2);
    wanted(body.width, most).clamp(2, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Wants =
        Wants { chats: true, inspector: true, zoomed: false, focus: Focus::Composer, tour: false };

    fn at(width: u16, height: u16, wants: Wants) -> Layout {
        compute(Rect::new(0, 0, width, height), wants, |_, most| most.min(2))
    }

    fn parts(layout: &Layout) -> Vec<Rect> {
        [
            layout.too_small,
            layout.header,
            layout.titles,
            layout.chats,
            layout.transcript,
            layout.composer,
            layout.rail,
            layout.station,
            layout.station_title,
            layout.separators[0],
            layout.separators[1],
            layout.notice,
            layout.hints,
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn every_want() -> Vec<Wants> {
        let mut all = Vec::new();
        for focus in [Focus::Composer, Focus::Transcript, Focus::Chats, Focus::Inspector] {
            for bits in 0..8 {
                let (chats, inspector, zoomed) = (bits & 1 > 0, bits & 2 > 0, bits & 4 > 0);
                for tour in [false, true] {
                    all.push(Wants { chats, inspector, zoomed, focus, tour });
                }
            }
        }
        all
    }

    #[test]
    fn at_every_size_parts_lie_inside_the_screen_and_never_overlap() {
        for width in (1..=300).step_by(7).chain([59, 60, 66, 67, 109, 110, 149, 150]) {
            for height in (1..=80).step_by(3).chain([15, 16, 17, 18, 24, 25]) {
                let screen = Rect::new(0, 0, width, height);
                for wants in every_want() {
                    for rows in [0, 2, 5, 99] {
                        let layout = compute(screen, wants, |_, _| rows);
                        let parts = parts(&layout);
                        for (index, part) in parts.iter().enumerate() {
                            assert_eq!(part.intersection(screen), *part, "{width}×{height} {wants:?}");
                            assert!(!part.is_empty(), "{width}×{height} {wants:?} {layout:?}");
                            for other in &parts[index + 1..] {
                                assert!(part.intersection(*other).is_empty(), "{width}×{height} {layout:?}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn transcript_and_composer_never_vanish() {
        for (width, height) in [(60, 16), (80, 24), (109, 19), (110, 16), (120, 40), (150, 16), (300, 80)] {
            for wants in every_want() {
                let layout = at(width, height, wants);
                assert!(layout.transcript.is_some(), "{width}×{height} {wants:?}");
                assert_eq!(layout.composer.is_none(), layout.station_title.is_some() && !wants.tour);
            }
        }
    }

    #[test]
    fn widths_follow_the_table() {
        let check = |width, wants, chats: Option<u16>, transcript: u16, inspector: Option<u16>| {
            let layout = at(width, 40, wants);
            let seen = (layout.chats, layout.transcript, layout.station);
            let seen = (seen.0.map(|r| r.width), seen.1.unwrap().width, seen.2.map(|r| r.width));
            assert_eq!(seen, (chats, transcript, inspector), "{width}");
        };
        let inspecting = Wants { focus: Focus::Inspector, ..ALL };
        check(120, ALL, Some(20), 52, Some(46));
        check(120, inspecting, None, 52, Some(67));
        check(120, Wants { chats: false, ..ALL }, None, 52, Some(67));
        check(120, Wants { inspector: false, ..ALL }, Some(20), 99, None);
        check(150, inspecting, Some(24), 57, Some(67));
        check(181, ALL, Some(24), 88, Some(67));
        check(80, ALL, None, 80, None);
        check(80, Wants { focus: Focus::Chats, ..ALL }, Some(24), 55, None);
    }

    #[test]
    fn eighty_columns_have_a_rail_over_the_composer() {
        let layout = at(80, 24, ALL);
        assert_eq!(layout.transcript, Some(Rect::new(0, 1, 80, 16)));
        assert_eq!(layout.rail, Some(Rect::new(0, 17, 80, 3)));
        assert_eq!(layout.composer, Some(Rect::new(0, 20, 80, 2)));
        assert_eq!(layout.notice, Some(Rect::new(0, 22, 80, 1)));
        assert_eq!(at(80, 17, ALL).rail, None);
    }

    #[test]
    fn a_station_at_full_width_leaves_one_row_of_text() {
        let layout = at(80, 24, Wants { focus: Focus::Inspector, ..ALL });
        assert_eq!(layout.transcript, Some(Rect::new(0, 1, 80, 1)));
        assert_eq!(layout.station, Some(Rect::new(0, 3, 80, 20)));
        assert_eq!((layout.notice, layout.composer), (None, None));
        let zoomed = at(200, 40, Wants { focus: Focus::Inspector, zoomed: true, ..ALL });
        assert_eq!(zoomed.station, Some(Rect::new(0, 3, 200, 35)));
    }
}
