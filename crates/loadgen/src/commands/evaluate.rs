//! `loadgen evaluate`: the exam of a dataset or of a detector, which the Python package holds.
//!
//! It stands on NumPy and scikit-learn, so it is a program of Python (design/0112). This command finds
//! an interpreter that has the package, and becomes it: output, signals and exit code are its own.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::args::EvaluateArgs;
use crate::exit::{Exit, Failure};

/// Ends with 0 where all that an exam needs is there, without the seconds that importing it takes.
const IS_THERE: &str = "import importlib.util as u, sys
names = ('loadgen', 'loadgen.exam', 'numpy', 'sklearn')
sys.exit(0 if all(u.find_spec(name) for name in names) else 1)";

pub(super) fn evaluate(args: &EvaluateArgs) -> Result<Exit, Failure> {
    let python = interpreter(
        args.python.as_deref(),
        std::env::current_exe().ok().as_deref(),
    );
    let shown = python.display();
    let asked = Command::new(&python)
        .args(["-c", IS_THERE])
        .stderr(Stdio::null())
        .status()
        .map_err(|error| {
            let message = format!(
                "can't start {shown}: {error}. Exams are held by Python 3.10 or newer: name one with \
                 --python or the variable LOADGEN_PYTHON"
            );
            Failure::new(Exit::NotReachable, message)
        })?;
    if !asked.success() {
        let message = format!(
            "{shown} does not have the Python package loadgen with what exams need. In a clone this \
             installs it: {shown} -m pip install './python[exam]'. Another interpreter is named with \
             --python or LOADGEN_PYTHON"
        );
        return Err(Failure::new(Exit::NotReachable, message));
    }
    let error = Command::new(&python).args(arguments(args)).exec();
    Err(Failure::new(
        Exit::NotReachable,
        format!("can't start {shown}: {error}"),
    ))
}

/// The interpreter that is named, else one beside the program, as in an environment that both were
/// installed into, else that on the PATH.
fn interpreter(named: Option<&Path>, program: Option<&Path>) -> PathBuf {
    let beside = || {
        let python = program?.parent()?.join("python3");
        python.is_file().then_some(python)
    };
    named
        .map(Path::to_owned)
        .or_else(beside)
        .unwrap_or_else(|| PathBuf::from("python3"))
}

/// What the package is called with.
fn arguments(args: &EvaluateArgs) -> Vec<OsString> {
    let mut said: Vec<OsString> = ["-m", "loadgen", "evaluate"].map(OsString::from).to_vec();
    let mut option = |name: &str, value: Option<OsString>| {
        if let Some(value) = value {
            said.extend([name.into(), value]);
        }
    };
    option("--scores", args.scores.clone().map(Into::into));
    option("--split", args.split.clone().map(Into::into));
    option("--only", args.only.clone().map(Into::into));
    option("--window", args.window.clone().map(Into::into));
    option("--seed", args.seed.map(|seed| seed.to_string().into()));
    option("--out", args.out.clone().map(Into::into));
    if args.quiet {
        said.push("--quiet".into());
    }
    // A name that begins with a hyphen is no option.
    said.extend(["--".into(), args.dir.clone().into()]);
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_beside_the_program_comes_before_that_on_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("loadgen");
        assert_eq!(interpreter(None, Some(&program)), Path::new("python3"));
        let beside = folder.path().join("python3");
        std::fs::write(&beside, "").unwrap();
        assert_eq!(interpreter(None, Some(&program)), beside);
        let named = Path::new("/opt/python");
        assert_eq!(interpreter(Some(named), Some(&program)), named);
    }

    #[test]
    fn only_what_was_asked_for_is_passed_on() {
        let mut args = EvaluateArgs {
            dir: "-set".into(),
            ..EvaluateArgs::default()
        };
        let plain = ["-m", "loadgen", "evaluate", "--", "-set"];
        assert_eq!(arguments(&args), plain.map(OsString::from));
        args.scores = Some("mine.csv".into());
        args.seed = Some(7);
        args.quiet = true;
        let more = [
            "-m", "loadgen", "evaluate", "--scores", "mine.csv", "--seed", "7", "--quiet", "--",
            "-set",
        ];
        assert_eq!(arguments(&args), more.map(OsString::from));
    }
}
