//! What the proxy tells the person in front of it, on standard error.

use std::fmt::Arguments;
use std::io::Write as _;

/// Prints a line. When standard error is closed there is nobody to tell, and the work goes on.
pub(crate) fn tell(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "proxy: {text}");
}
