//! glassbox: parse the arguments, run, map the error to text and an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    glassbox::cli::main()
}
