/// A setting of a loss, changed by name.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum Setting<'a> {
    /// A number.
    Number(&'a mut f64),
    /// A number, or none.
    Optional(&'a mut Option<f64>),
    /// A non-negative integer.
    Count(&'a mut usize),
    /// On or off.
    Switch(&'a mut bool),
    /// A number for each label, or none.
    PerLabel(&'a mut Option<Vec<f64>>),
}

/// A loss whose settings have names, for command lines and configuration files.
///
/// ```
/// use masked_loss_core::losses::{Setting, Settings, SigmoidFocal};
///
/// let mut focal = SigmoidFocal::default();
/// for (name, setting) in focal.settings() {
///     if let ("gamma", Setting::Number(gamma)) = (name, setting) {
///         *gamma = 1.5;
///     }
/// }
/// assert_eq!(focal, SigmoidFocal::default().with_gamma(1.5));
/// ```
pub trait Settings: Default {
    /// Each setting under the name of its field.
    fn settings(&mut self) -> Vec<(&'static str, Setting<'_>)>;
}

/// Writes a builder method for each setting of a struct, and [`Settings`](crate::losses::Settings). Mark such a struct
/// `#[non_exhaustive]`: then a new setting breaks no caller.
///
/// Each setting is a field, its variant of [`Setting`](crate::losses::Setting), and the type that the method takes.
///
/// ```
/// /// A loss with one setting.
/// #[derive(Default)]
/// #[non_exhaustive]
/// struct Scaled {
///     scale: f64,
/// }
///
/// masked_loss_core::settings!(Scaled { scale: Number(f64), with_scale });
/// assert_eq!(Scaled::default().with_scale(2.0).scale, 2.0);
/// ```
#[macro_export]
macro_rules! settings {
    ($loss:ident { $($field:ident: $kind:ident($type:ty), $with:ident);* $(;)? }) => {
        $(
            impl $loss {
                #[doc = concat!("Sets `", stringify!($field), "`.")]
                #[must_use]
                pub fn $with(self, $field: $type) -> Self {
                    Self { $field: $field.into(), ..self }
                }
            }
        )*

        impl $crate::losses::Settings for $loss {
            fn settings(&mut self) -> Vec<(&'static str, $crate::losses::Setting<'_>)> {
                vec![$((stringify!($field), $crate::losses::Setting::$kind(&mut self.$field))),*]
            }
        }
    };
}
