//! The shop by itself: `shop [LISTEN [OTLP_ENDPOINT [DATA_DIR [RECORD]]]]`, an empty OTLP_ENDPOINT being
//! none. Ends with its standard input, or on ^C.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use loadgen_shop::{SERVICE_COMMAND, SERVICE_CONFIG, ShopOptions, run_service, supervise};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let [SERVICE_COMMAND, SERVICE_CONFIG, json] = arguments[..] {
        return Ok(run_service(serde_json::from_str(json)?)?);
    }
    let mut options = ShopOptions {
        stop_with_stdin: true,
        ..ShopOptions::default()
    };
    if let Some(listen) = arguments.first() {
        options.listen = listen.parse()?;
    }
    options.otlp_endpoint = arguments
        .get(1)
        .filter(|endpoint| !endpoint.is_empty())
        .map(|endpoint| (*endpoint).to_owned());
    options.data_dir = arguments.get(2).map(PathBuf::from);
    options.record_faults = arguments.get(3).map(PathBuf::from);
    tokio::runtime::Runtime::new()?.block_on(supervise(options))?;
    Ok(())
}
