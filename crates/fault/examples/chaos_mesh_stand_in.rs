//! A real API server with the kinds of Chaos Mesh and a stand-in for its controllers, for trying
//! the driver chaos-mesh where there is no cluster. No pod has any fault.
//!
//! `LOADGEN_REAL_APISERVER` names the server's program; .ci/control-plane/README.md says how it is
//! built. When all is ready a line on standard output says where the kubeconfig is. The program
//! ends at a signal, or with its standard input.

#[path = "../tests/chaos_mesh/controllers.rs"]
mod controllers;
#[path = "../tests/chaos_mesh/server.rs"]
mod server;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use kube::Client;
use kube::api::{Api, ListParams};
use kube::core::DynamicObject;
use loadgen_program::{Shutdown, say_ready};
use serde_json::json;

use server::{KINDS, PROGRAM, Server, api_resource, crd, create, wait_for_kinds};

/// Pause before the controllers look again. At each look they do one thing about each object:
/// injecting takes two looks, and so do recovering and letting go.
const EVERY: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let program = std::env::var_os(PROGRAM)
        .ok_or_else(|| format!("{PROGRAM} names no API server, see .ci/control-plane/README.md"))?;
    let folder = tempfile::tempdir()?;
    let server = Server::start(Path::new(&program), folder.path());
    let client = server.client().await;
    for kind in KINDS {
        create(&client, crd(kind)).await;
    }
    wait_for_kinds(&client, KINDS.len()).await;
    let mut stop = Shutdown::listen(true)?;
    say_ready(&json!({ "kubeconfig": server.kubeconfig }))?;
    tokio::select! {
        () = stop.asked() => Ok(()),
        ended = control(&client) => Ok(ended?),
    }
}

/// Does what the controllers do, until the API server no longer answers.
async fn control(client: &Client) -> kube::Result<()> {
    loop {
        for kind in KINDS {
            let of = api_resource(kind);
            let all: Api<DynamicObject> = Api::all_with(client.clone(), &of);
            for object in all.list(&ListParams::default()).await? {
                let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
                let api = Api::namespaced_with(client.clone(), namespace, &of);
                controllers::act(&api, &object).await;
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}
