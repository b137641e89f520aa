//! Scales, from numbers to coordinates, and their ticks.

/// Linear or logarithmic, from an interval to another.
#[derive(Clone, Copy)]
pub struct Scale {
    pub from: (f64, f64),
    pub to: (f64, f64),
    pub log: bool,
}

pub struct Tick {
    pub value: f64,
    pub text: String,
}

impl Scale {
    pub fn linear(from: (f64, f64), to: (f64, f64)) -> Self {
        Self { from, to, log: false }
    }

    /// For numbers above 0.
    pub fn log(from: (f64, f64), to: (f64, f64)) -> Self {
        Self { from, to, log: true }
    }

    pub fn at(&self, value: f64) -> f64 {
        let of = |value: f64| if self.log { value.ln() } else { value };
        let (low, high) = (of(self.from.0), of(self.from.1));
        self.to.0 + (of(value) - low) / (high - low) * (self.to.1 - self.to.0)
    }
}

/// An interval that holds the values and has some length.
pub fn interval(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .into_iter()
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        (0.0, 1.0)
    } else if low == high {
        let some = if low == 0.0 { 1.0 } else { 0.1 * low.abs() };
        (low - some, high + some)
    } else {
        (low, high)
    }
}

/// Widened to whole steps of its ticks, about `count` of them.
pub fn whole((low, high): (f64, f64), count: usize) -> (f64, f64) {
    let step = step(low, high, count);
    ((low / step).floor() * step, (high / step).ceil() * step)
}

/// Multiples of 1, 2 or 5 times a power of ten.
pub fn ticks((low, high): (f64, f64), count: usize) -> Vec<Tick> {
    let step = step(low, high, count);
    let digits = (-step.log10().floor()).max(0.0) as usize;
    let text =
        |value: f64| if (1e-4..1e6).contains(&step) { format!("{value:.digits$}") } else { format!("{value:.1e}") };
    // Tolerates rounding.
    let (first, last) = ((low / step - 1e-6).ceil(), (high / step + 1e-6).floor());
    (0..=(last - first).clamp(0.0, 100.0) as u32)
        .map(|number| (first + f64::from(number)) * step)
        .map(|value| Tick { value, text: text(value) })
        .collect()
}

/// Of whole numbers.
pub fn whole_ticks((low, high): (f64, f64), count: usize) -> Vec<Tick> {
    let mut ticks = ticks((low, high), count);
    ticks.retain(|tick| (tick.value - tick.value.round()).abs() < 1e-6);
    ticks.iter_mut().for_each(|tick| tick.text = thousands(tick.value.round() as u64));
    ticks
}

/// Powers of ten; in a shorter interval also 2 and 5 times these, in a short one the ticks of a linear axis.
pub fn log_ticks((low, high): (f64, f64)) -> Vec<Tick> {
    if high / low < 10.0 {
        return whole_ticks((low, high), 5);
    }
    let factors: &[u64] = if high / low < 1000.0 { &[1, 2, 5] } else { &[1] };
    (0..19)
        .flat_map(|power| factors.iter().map(move |factor| factor * 10u64.pow(power)))
        .map(|count| Tick { value: count as f64, text: thousands(count) })
        .filter(|tick| (low..=high).contains(&tick.value))
        .collect()
}

fn step(low: f64, high: f64, count: usize) -> f64 {
    let rough = ((high - low) / count as f64).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0].map(|factor| factor * power).into_iter().find(|step| *step >= 0.999 * rough).unwrap_or(10.0 * power)
}

/// `23,871`
pub fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    groups.join(",")
}
