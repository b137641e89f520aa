//! An error in place of the panic of a library that trusts a file to be intact.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use anyhow::{Result, anyhow};

thread_local! {
    /// Whether a panic of this thread becomes an error, and is not printed.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Reads a file; a panic means that the file is damaged.
pub fn caught<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CAUGHT.get() {
                print(info);
            }
        }));
    });
    let before = CAUGHT.replace(true);
    // What a panic leaves half done is dropped.
    let result = panic::catch_unwind(AssertUnwindSafe(read));
    CAUGHT.set(before);
    result.unwrap_or_else(|panic| Err(anyhow!("it is damaged: {}", message(&*panic))))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref().copied()).unwrap_or("its reader gave up")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(caught(|| Ok(caught(|| Ok(1))? + 1)).unwrap(), 2);
        assert!(!CAUGHT.get());
        let error = |read: fn() -> Result<()>| caught(read).unwrap_err().to_string();
        assert_eq!(error(|| panic!("offset {} out of bounds", 7)), "it is damaged: offset 7 out of bounds");
        assert_eq!(error(|| panic!("no page")), "it is damaged: no page");
        assert_eq!(error(|| panic::panic_any(7)), "it is damaged: its reader gave up");
        assert_eq!(error(|| Err(anyhow!("no column"))), "no column");
        assert!(!CAUGHT.get());
    }
}
