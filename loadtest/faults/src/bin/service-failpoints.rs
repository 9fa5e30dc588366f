//! Any service, which `loadtest faults` can break on purpose from within: the first argument says which.

use std::ffi::OsString;
use std::process::ExitCode;

use coupon_cli::terminal;
use coupon_strategies::REGISTER;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let named = arguments.first().and_then(|name| REGISTER.program(name.to_str()?));
    let Some(program) = named else {
        let names: Vec<&str> = REGISTER.programs().collect();
        terminal::note(format!("the first argument must be one of {}", names.join(", ")));
        return ExitCode::FAILURE;
    };
    // From there on they are the service's own, of which the first is its name.
    program.run(arguments)
}
