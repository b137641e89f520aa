//! What the charts share: a title, plots with two axes, a caption.

use maud::{Markup, PreEscaped, html};

use super::scale::{Scale, Tick};
use super::text;

/// Colours, light and dark. Without variables: not every viewer of SVG knows them.
pub const STYLE: &str = include_str!("chart.css");
/// For a chart in its own file: the window may be wider or narrower.
const ALONE: &str = "svg { max-width: 100%; height: auto; background: #ffffff; }
@media (prefers-color-scheme: dark) { svg { background: #0f1419; } }
";
/// The font size is 13 in these units: narrow, so that text stays legible on a phone.
pub const WIDTH: f64 = 480.0;
/// Where the text begins and the plots end.
pub const MARGIN: f64 = 12.0;
/// The height of a line of text.
pub const LINE: f64 = 17.0;
/// Where the first plot or legend may begin.
pub const TOP: f64 = 36.0;

pub struct Chart {
    pub file: &'static str,
    pub title: String,
    /// Down to the caption.
    pub height: f64,
    pub body: Markup,
    pub caption: String,
}

impl Chart {
    /// As its own file.
    pub fn alone(&self) -> String {
        self.svg(true).into_string() + "\n"
    }

    /// As a part of a page that has [`STYLE`].
    pub fn part(&self) -> Markup {
        self.svg(false)
    }

    fn svg(&self, alone: bool) -> Markup {
        let lines = text::wrap(&self.caption, WIDTH - 2.0 * MARGIN, 12.0);
        let height = self.height + LINE * lines.len() as f64 + MARGIN;
        html! {
            svg.chart xmlns=[alone.then_some("http://www.w3.org/2000/svg")] role="img" aria-label=(self.title)
                viewBox={ "0 0 " (WIDTH) " " (px(height)) }
                width=[alone.then_some(1.5 * WIDTH)] height=[alone.then_some(px(1.5 * height))] {
                @if alone {
                    style { (PreEscaped(STYLE)) (PreEscaped(ALONE)) }
                }
                rect.surface width=(WIDTH) height=(px(height)) {}
                text.title x=(MARGIN) y="22" { (self.title) }
                (self.body)
                @for (number, line) in (1..).zip(&lines) {
                    text.quiet.small x=(MARGIN) y=(px(self.height + LINE * f64::from(number) - 4.0)) { (line) }
                }
            }
        }
    }
}

/// A plot's place and its scales.
pub struct Plot {
    pub left: f64,
    /// May begin right of the left edge.
    pub x: Scale,
    pub y: Scale,
}

impl Plot {
    pub fn right(&self) -> f64 {
        self.x.to.1
    }

    pub fn top(&self) -> f64 {
        self.y.to.1
    }

    pub fn bottom(&self) -> f64 {
        self.y.to.0
    }

    /// Grid lines with numbers at the left, and a title.
    pub fn y_axis(&self, ticks: &[Tick], title: &str) -> Markup {
        let middle = (self.top() + self.bottom()) / 2.0;
        html! {
            @for tick in ticks {
                @let y = px(self.y.at(tick.value));
                line.grid x1=(px(self.left)) x2=(px(self.right())) y1=(y) y2=(y) {}
                text.quiet.small.end x=(px(self.left - 6.0)) y=(px(y + 4.0)) { (tick.text) }
            }
            line.axis x1=(px(self.left)) x2=(px(self.left)) y1=(px(self.top())) y2=(px(self.bottom())) {}
            text.middle transform={ "translate(" (MARGIN + 5.0) " " (px(middle)) ") rotate(-90)" } { (title) }
        }
    }

    /// The line below.
    pub fn foot(&self) -> Markup {
        let y = px(self.bottom());
        html! { line.axis x1=(px(self.left)) x2=(px(self.right())) y1=(y) y2=(y) {} }
    }

    /// The line below, with the ticks that fit, and a title.
    pub fn x_axis(&self, ticks: &[Tick], title: &str) -> Markup {
        let y = px(self.bottom());
        html! {
            (self.foot())
            @for tick in text::fitting(ticks, |value| self.x.at(value)) {
                @let x = px(self.x.at(tick.value));
                line.axis x1=(x) x2=(x) y1=(y) y2=(y + 4.0) {}
                text.quiet.small.middle x=(x) y=(px(y + 18.0)) { (tick.text) }
            }
            text.middle x=(px((self.left + self.right()) / 2.0)) y=(px(y + 36.0)) { (title) }
        }
    }
}

/// A text in the middle of an empty plot.
pub fn nothing(plot: &Plot, why: &str) -> Markup {
    let (x, y) = ((plot.left + plot.right()) / 2.0, (plot.top() + plot.bottom()) / 2.0);
    html! { text.quiet.middle.name x=(px(x)) y=(px(y)) { (why) } }
}

/// A coordinate, rounded to a tenth.
pub fn px(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
