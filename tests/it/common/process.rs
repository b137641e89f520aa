use std::process::Command;

/// Runs tests of this program in a separate process, with an environment variable set.
pub fn run_again(arguments: &[&str], variable: &str, value: &str) {
    let mut again = Command::new(std::env::current_exe().unwrap());
    let done = again.args(arguments).env(variable, value).output().unwrap();
    let said = [done.stdout, done.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(done.status.success() && !said.contains(" 0 passed"), "{variable}={value}: {said}");
}
