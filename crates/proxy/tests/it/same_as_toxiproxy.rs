//! What our proxy and the genuine Toxiproxy have in common: each case runs against ours and,
//! where `LOADGEN_REAL_TOXIPROXY` names its binary (`toxiproxy/` builds it), against that one.

use crate::common;
use std::process::Stdio;

use crate::common::Api;
use loadgen_program::{Child, Input};
use loadgen_proxy::{ProxyOptions, ProxyServer};
use tokio::process::Command;

/// A genuine Toxiproxy, killed when it is dropped.
struct Real {
    _child: Child,
    api: Api,
}

impl Real {
    /// None where there is no binary of it.
    async fn start() -> Option<Self> {
        let Ok(binary) = std::env::var("LOADGEN_REAL_TOXIPROXY") else {
            eprintln!("LOADGEN_REAL_TOXIPROXY is not set: not compared with the genuine one");
            return None;
        };
        // It does not say which port it has chosen, so one is chosen for it that was free just now.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut command = Command::new(binary);
        command.args(["-host", "127.0.0.1", "-port", &address.port().to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.kill_on_drop(true);
        let real = Self {
            _child: Child::start(command, Input::Empty).unwrap(),
            api: Api { address },
        };
        common::until("Toxiproxy listens", async || {
            !common::is_refused(address).await
        })
        .await;
        Some(real)
    }
}

async fn ours() -> (ProxyServer, Api) {
    let mut options = ProxyOptions::default();
    options.listen.set_port(0);
    let server = ProxyServer::start(options).await.unwrap();
    let address = server.address();
    (server, Api { address })
}

macro_rules! compare {
    ($($group:ident { $($case:ident)* })*) => {
        mod ours {
            $($(
                #[tokio::test]
                async fn $case() {
                    let (server, api) = super::ours().await;
                    crate::cases::$group::$case(&api).await;
                    server.stop().await;
                }
            )*)*
        }

        mod genuine {
            $($(
                #[tokio::test]
                async fn $case() {
                    if let Some(real) = super::Real::start().await {
                        crate::cases::$group::$case(&real.api).await;
                    }
                }
            )*)*
        }
    };
}

compare! {
    api {
        the_version_is_told
        proxies_are_created_shown_and_deleted
        errors_are_told_alike
        browsers_are_turned_away
        toxics_are_shown_as_they_were_made
        an_update_leaves_the_other_attributes_as_they_are
    }
    proxies {
        much_data_arrives_whole_in_both_directions
        the_server_sees_that_a_client_has_gone
        without_a_server_connections_are_closed
        a_proxy_goes_down_and_up_again
        another_server_drops_the_connections
        reset_takes_everything_away
        populate_makes_proxies_and_keeps_those_that_are_right
    }
    toxics {
        latency_delays
        latency_with_jitter_delays_and_keeps_the_order
        latency_does_not_add_up
        several_latencies_add_up
        bandwidth_limits_the_rate
        slow_close_delays_the_end
        timeout_swallows_and_its_removal_closes
        timeout_closes_after_its_time
        reset_peer_ends_connections
        slicer_cuts_data_into_pieces
        limit_data_ends_a_connection_after_so_much
        toxicity_spares_connections
    }
}
