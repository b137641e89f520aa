use super::settings::Setting;
use crate::{Error, Result};

/// A name with settings, as on a command line: `focal`, or `focal:gamma=1.5:alpha=none`.
#[derive(Clone, Debug, PartialEq)]
pub struct Described<'a> {
    name: &'a str,
    settings: Vec<(&'a str, &'a str)>,
}

impl<'a> Described<'a> {
    /// Parses a text.
    ///
    /// # Errors
    /// [`Error::Text`] for a setting without a value, or one that is there twice.
    pub fn new(text: &'a str) -> Result<Self> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let setting = |part: &'a str| {
            let pair = part.split_once('=').map(|(setting, value)| (setting.trim(), value.trim()));
            pair.ok_or_else(|| Error::text(name, "settings as in `name:setting=value`", part))
        };
        let settings: Vec<_> = parts.map(setting).collect::<Result<_>>()?;
        match settings.iter().enumerate().find(|&(i, &(name, _))| settings[..i].iter().any(|&(other, _)| other == name))
        {
            Some((_, &(twice, _))) => Err(Error::text(name, "each setting once", twice)),
            None => Ok(Self { name: name.trim(), settings }),
        }
    }

    /// The name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Changes the settings that the text names. If a setting has one number per label, the number is repeated for all
    /// `labels`.
    ///
    /// # Errors
    /// [`Error::Text`] for a setting that is not among `all`, or a value of another type.
    pub fn apply(&self, mut all: Vec<(&'static str, Setting<'_>)>, labels: usize) -> Result<()> {
        for &(name, value) in &self.settings {
            let Some((_, setting)) = all.iter_mut().find(|(known, _)| *known == name) else {
                let known: Vec<_> = all.iter().map(|(known, _)| *known).collect();
                let expected = match &known[..] {
                    [] => "no settings".into(),
                    known => format!("one of the settings {}", known.join(", ")),
                };
                return Err(Error::text(self.name, &expected, name));
            };
            let fault = |expected| Error::text(&format!("{}:{name}", self.name), expected, value);
            let number = || value.parse::<f64>().map_err(|_| fault("a number"));
            match setting {
                Setting::Number(held) => **held = number()?,
                Setting::Count(held) => **held = value.parse().map_err(|_| fault("an integer from 0 on"))?,
                Setting::Switch(held) => **held = value.parse().map_err(|_| fault("true or false"))?,
                Setting::Optional(held) if value == "none" => **held = None,
                Setting::Optional(held) => **held = Some(value.parse().map_err(|_| fault("a number or none"))?),
                Setting::PerLabel(held) => **held = Some(vec![number()?; labels]),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Asymmetric, BceWithLogits, Settings, SigmoidFocal, SquaredError};
    use super::*;

    fn read<L: Settings>(text: &str) -> Result<L> {
        let mut loss = L::default();
        Described::new(text)?.apply(loss.settings(), 3)?;
        Ok(loss)
    }

    #[test]
    fn settings_of_every_type_are_read() {
        assert_eq!(read("focal"), Ok(SigmoidFocal::default()));
        assert_eq!(read("focal:gamma=1.5: alpha = none"), Ok(SigmoidFocal { alpha: None, gamma: 1.5 }));
        assert_eq!(read("focal:alpha=0.5"), Ok(SigmoidFocal::default().with_alpha(0.5)));
        assert_eq!(read("x:detach_weights=true"), Ok(Asymmetric::default().with_detach_weights(true)));
        assert_eq!(read("x:pos_weight=2"), Ok(BceWithLogits::default().with_pos_weight(vec![2.0; 3])));
    }

    #[test]
    fn a_text_that_describes_nothing_is_an_error_that_says_why() {
        let message = |text| read::<SigmoidFocal>(text).unwrap_err().to_string();
        assert_eq!(message("focal:gama=2"), "focal: expected one of the settings alpha, gamma, found `gama`");
        assert_eq!(message("focal:gamma=two"), "focal:gamma: expected a number, found `two`");
        assert_eq!(message("focal:gamma"), "focal: expected settings as in `name:setting=value`, found `gamma`");
        assert_eq!(message("focal:gamma=1:alpha=1:gamma=2"), "focal: expected each setting once, found `gamma`");
        assert_eq!(message("focal:alpha=x"), "focal:alpha: expected a number or none, found `x`");
        let none = read::<SquaredError>("squared:delta=1").unwrap_err().to_string();
        assert_eq!(none, "squared: expected no settings, found `delta`");
        let switch = read::<Asymmetric>("asl:detach_weights=1").unwrap_err().to_string();
        assert_eq!(switch, "asl:detach_weights: expected true or false, found `1`");
    }
}
