//! Layout of text. The viewer chooses the font, so widths are estimates, too wide rather than too narrow.

use super::scale::Tick;

/// The width of a text in this font size.
pub fn width(text: &str, size: f64) -> f64 {
    let of = |character: char| match character {
        'i' | 'j' | 'l' | 't' | 'f' | 'r' | '.' | ',' | ':' | ';' | '\'' | '|' | '(' | ')' | ' ' => 0.42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 1.0,
        'A'..='Z' => 0.74,
        ' '..='~' => 0.62,
        '\u{80}'..='\u{5ff}' => 0.8,
        _ => 1.1,
    };
    size * text.chars().map(of).sum::<f64>()
}

/// Shortened if it is too wide.
pub fn cut(text: &str, space: f64, size: f64) -> String {
    if width(text, size) <= space {
        return text.to_owned();
    }
    let mut cut = text.to_owned();
    while cut.pop().is_some() && width(&cut, size) + size > space {}
    cut + "…"
}

/// Broken into lines.
pub fn wrap(text: &str, space: f64, size: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width(line, size) + width(word, size) + 0.4 * size <= space => *line += &format!(" {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The ticks, from the left, whose text does not touch the previous text.
pub fn fitting(ticks: &[Tick], at: impl Fn(f64) -> f64) -> impl Iterator<Item = &Tick> {
    let mut free = f64::NEG_INFINITY;
    ticks.iter().filter(move |tick| {
        let half = width(&tick.text, 12.0) / 2.0 + 3.0;
        let fits = at(tick.value) - half >= free;
        if fits {
            free = at(tick.value) + half;
        }
        fits
    })
}

/// The rectangle of a text or a mark.
#[derive(Clone, Copy)]
pub struct Bounds {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Bounds {
    pub fn meets(&self, other: &Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    pub fn is_within(&self, other: &Self) -> bool {
        self.left >= other.left && self.right <= other.right && self.top >= other.top && self.bottom <= other.bottom
    }
}
