//! `loadgen collect`.

use loadgen_collector::{CollectOptions, Rotation};

use crate::args::CollectArgs;
use crate::exit::{Exit, Failure};

pub(super) async fn collect(args: CollectArgs) -> Result<Exit, Failure> {
    let mut options = CollectOptions::new(args.output);
    options.grpc = args.grpc;
    options.http = args.http;
    options.stop_with_stdin = args.stop_with_stdin;
    options.rotation = args.max_megabytes.map(|max_megabytes| Rotation {
        max_megabytes,
        max_backups: args.max_backups,
    });
    loadgen_collector::collect(options)
        .await
        .map(|_| Exit::Success)
        .map_err(|e| Failure::new(Exit::Failed, e))
}
