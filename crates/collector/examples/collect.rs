//! The collector by itself: `collect --output DIR [--grpc ADDR] [--http ADDR] [--stop-with-stdin]
//! [--raw] [--rotate MEGABYTES]`. The same as `loadgen collect`, without the rest of loadgen;
//! `--raw` leaves the spans' attributes alone.

use loadgen_collector::{CollectOptions, Rotation, collect};
use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut options = CollectOptions::new("");
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--output" => options.output = value()?.into(),
            "--grpc" => options.grpc = value()?.parse()?,
            "--http" => options.http = value()?.parse()?,
            "--stop-with-stdin" => options.stop_with_stdin = true,
            "--raw" => options.map_anomaly_headers = false,
            "--rotate" => {
                options.rotation = Some(Rotation {
                    max_megabytes: value()?.parse()?,
                    max_backups: 0,
                });
            }
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    if options.output.as_os_str().is_empty() {
        return Err("--output DIR is missing".into());
    }
    collect(options).await?;
    Ok(())
}
