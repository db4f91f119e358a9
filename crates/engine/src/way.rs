//! What a worker sends its requests by.

use reqwest::Client;

use crate::cookies::Cookies;
use crate::exchange::{Answered, Outgoing, exchange};

/// A worker's way to the target.
#[derive(Debug)]
pub(crate) enum Way {
    /// HTTP, with a client for each scenario, or with one for all.
    Http(Vec<Client>),
    /// Answers that take simulated time.
    #[cfg(test)]
    Simulated,
}

impl Way {
    /// Sends a step's request and reads the answer to its end.
    pub(crate) async fn exchange(
        &self,
        scenario: usize,
        cookies: &mut Cookies,
        out: Outgoing<'_>,
    ) -> Answered {
        match self {
            Self::Http(clients) => {
                let client = clients.get(scenario).unwrap_or(&clients[0]);
                exchange(client, cookies, out).await
            }
            #[cfg(test)]
            Self::Simulated => crate::simulated::answer(&out).await,
        }
    }
}
