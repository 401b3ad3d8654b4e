//! Screens in a row as one moving picture: an SVG that any browser plays, again and again, without a script.
//!
//! Invariant: a row that stays as it is from one screen to the next is in the file once; who asked their system for less
//! motion sees the last screen and nothing else.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use termlens::{Key, Screen, Terminal};

/// Cells of a picture, pixels.
const ROW: u32 = 18;

/// A film being made.
#[derive(Default)]
pub struct Film {
    /// Of each screen its rows as drawn, and how long it is shown, ms.
    frames: Vec<(BTreeMap<u32, String>, u32)>,
    /// What all have in common: the first lines of the picture.
    head: String,
}

impl Film {
    /// Adds a screen, shown for so long; one that looks as the last adds to its time.
    pub fn show(&mut self, screen: &Screen, ms: u32) {
        let (head, rows) = rows(&picture(screen));
        match self.frames.last_mut() {
            Some((last, shown)) if *last == rows => *shown += ms,
            _ => self.frames.push((rows, ms)),
        }
        self.head = head;
    }

    /// The whole film, which is called so for those who cannot see it.
    pub fn svg(&self, name: &str) -> String {
        let (parts, ends) = (self.parts(), self.ends());
        let whole = ends.last().copied().unwrap_or(1);
        let mut svg = self.head.clone();
        let title = (svg.find("<title>"), svg.find("</title>"));
        if let (Some(from), Some(to)) = title {
            svg.replace_range(from + 7..to, name);
        }
        let mut rules = String::new();
        let mut spans: Vec<(usize, usize)> = parts.iter().map(|(_, from, to)| (*from, *to)).collect();
        spans.sort_unstable();
        spans.dedup();
        for (at, (from, to)) in spans.iter().enumerate() {
            let begins = if *from == 0 { 0 } else { ends[from - 1] };
            let percent = |ms: u32| f64::from(ms) * 100.0 / f64::from(whole);
            let shown = |yes| if yes { "visible" } else { "hidden" };
            let _ = writeln!(
                rules,
                "@keyframes k{at}{{0%{{visibility:{}}}{:.3}%{{visibility:visible}}{:.3}%{{visibility:{}}}}}.k{at}{{animation:k{at} {whole}ms step-end infinite}}",
                shown(*from == 0),
                percent(begins),
                percent(ends[*to]),
                shown(*to + 1 == ends.len()),
            );
        }
        let last = self.frames.len().saturating_sub(1);
        let mut still = String::new();
        for (at, _) in spans.iter().enumerate().filter(|(_, (_, to))| *to != last) {
            let _ = write!(still, ".k{at}{{visibility:hidden}}");
        }
        let _ = writeln!(
            svg,
            "<style>\n{rules}@media (prefers-reduced-motion:reduce){{g{{animation:none!important}}{still}}}\n</style>"
        );
        for (row, from, to) in &parts {
            let at = spans.binary_search(&(*from, *to)).unwrap_or_default();
            let _ = writeln!(svg, "<g class=\"k{at}\">\n{row}</g>");
        }
        svg + "</svg>\n"
    }

    /// Rows as drawn, each with the first and the last screen of a stretch that shows it.
    fn parts(&self) -> Vec<(&str, usize, usize)> {
        let mut parts: Vec<(&str, usize, usize)> = Vec::new();
        let mut open: BTreeMap<u32, usize> = BTreeMap::new();
        for (at, (rows, _)) in self.frames.iter().enumerate() {
            for (row, drawn) in rows {
                let goes_on =
                    open.get(row).filter(|part| parts[**part].0 == drawn && parts[**part].2 + 1 == at);
                if let Some(part) = goes_on {
                    parts[*part].2 = at;
                } else {
                    open.insert(*row, parts.len());
                    parts.push((drawn, at, at));
                }
            }
        }
        parts
    }

    /// When each screen ends, ms.
    fn ends(&self) -> Vec<u32> {
        let mut end = 0;
        self.frames
            .iter()
            .map(|(_, ms)| {
                end += ms;
                end
            })
            .collect()
    }
}

/// A screen as a picture. Cells are 9 px wide, glyphs of size 14 a little narrower: 15 keeps rows from drifting.
pub fn picture(screen: &Screen) -> String {
    screen.to_svg().replace("font-size=\"14\"", "font-size=\"15\"")
}

/// A picture taken apart: what comes before its rows, and what is drawn in each.
fn rows(svg: &str) -> (String, BTreeMap<u32, String>) {
    let (mut head, mut rows) = (String::new(), BTreeMap::<u32, String>::new());
    for line in svg.lines().filter(|line| *line != "</svg>") {
        let y = line.split(" y=\"").nth(1).and_then(|rest| rest.split('"').next()?.parse::<u32>().ok());
        let part = y.map_or(&mut head, |y| rows.entry(y / ROW).or_default());
        part.push_str(line);
        part.push('\n');
    }
    (head, rows)
}

/// The README's film: a question is asked, the reply is written with its odds beside it, a word of it is opened, then two
/// stations. The text is coloured by surprise.
pub fn demo(app: &mut Terminal, question: &str, answered: impl Fn(&Screen) -> bool) -> Film {
    let mut film = Film::default();
    film.show(&app.screen(), 900);
    for letter in question.chars() {
        app.send(Key::Char(letter)).unwrap();
        film.show(&settled(app), 45);
    }
    film.show(&settled(app), 500);
    std::thread::sleep(Duration::from_millis(30));
    app.send(Key::Enter).unwrap();
    let begun = Instant::now();
    while !answered(&app.screen()) && begun.elapsed() < Duration::from_mins(1) {
        std::thread::sleep(Duration::from_millis(110));
        film.show(&app.screen(), 130);
    }
    film.show(&settled(app), 1800);
    // Into the reply, and back from its end word by word; what else could have come there.
    for (key, ms) in [(Key::Tab, 700), (Key::End, 500), (Key::Char('b'), 500), (Key::Char('b'), 1200)] {
        film.show(&pressed(app, key), ms);
    }
    film.show(&pressed(app, Key::Enter), 2600);
    film.show(&pressed(app, Key::Esc), 500);
    for station in ['8', '6', '4'] {
        film.show(&pressed(app, Key::Alt(station)), 400);
        // What a station shows is read first, which takes its time.
        std::thread::sleep(Duration::from_millis(1200));
        film.show(&settled(app), 2600);
    }
    film
}

fn pressed(app: &mut Terminal, key: Key) -> Screen {
    std::thread::sleep(Duration::from_millis(200));
    app.send(key).unwrap();
    // A screen that has not changed yet is still, too.
    std::thread::sleep(Duration::from_millis(400));
    settled(app)
}

fn settled(app: &mut Terminal) -> Screen {
    app.wait_stable(Duration::from_millis(40)).unwrap_or_else(|_| app.screen())
}
