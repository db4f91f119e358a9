//! Injects faults on one edge between two services, by the HTTP API of a TCP proxy that stands on
//! it: `loadgen proxy`, or Toxiproxy, whose API both speak.
//!
//! A toxic's name says whose it is. With `loadgen proxy` it also has a lease, and ends by itself
//! when nobody renews it; Toxiproxy keeps it until it is taken away.

use std::collections::BTreeMap;

use async_trait::async_trait;
use loadgen_scenario::plan::{Fault, Parameters};
use loadgen_scenario::{CatalogueFault, FaultCatalogue, Parameter, ParameterKind};
use reqwest::{Client, Method, RequestBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::LEASE_MS;
use crate::http::{answer, read};
use crate::{ActiveFault, Cleared, Confirmation, FaultDriver, FaultError, Injection};

/// Name of the driver.
pub(super) const NAME: &str = "proxy";
/// Where Toxiproxy and `loadgen proxy` listen where nothing else is said.
pub(super) const DEFAULT_URL: &str = "http://127.0.0.1:8474";
/// The proxy takes no connections.
const DOWN: &str = "down";
/// What the names of our toxics begin with.
const PREFIX: &str = "loadgen-";
/// Holds the token of a proxy that asks for one.
const TOKEN: &str = "LOADGEN_PROXY_TOKEN";

/// Driver `proxy`.
#[derive(Debug)]
pub struct ProxyDriver {
    client: Client,
    url: String,
    token: Option<String>,
}

/// How a toxic's attribute follows from a fault's parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    /// The parameter times the intensity.
    Up,
    /// The parameter divided by the intensity: less is stronger.
    Down,
    /// The parameter itself.
    Fixed,
}

/// An attribute of a toxic.
struct Attribute {
    name: &'static str,
    kind: ParameterKind,
    /// Whether it must be given; else it is 0.
    required: bool,
    scale: Scale,
    summary: &'static str,
}

/// A type of toxic that is a fault.
struct Toxic {
    name: &'static str,
    summary: &'static str,
    attributes: &'static [Attribute],
}

const fn attribute(
    name: &'static str,
    kind: ParameterKind,
    required: bool,
    scale: Scale,
    summary: &'static str,
) -> Attribute {
    Attribute {
        name,
        kind,
        required,
        scale,
        summary,
    }
}

/// As Toxiproxy has them. Times are milliseconds there, too.
const TOXICS: &[Toxic] = &[
    Toxic {
        name: "latency",
        summary: "All data is delayed.",
        attributes: &[
            attribute(
                "latency",
                ParameterKind::Duration,
                true,
                Scale::Up,
                "The delay, times the intensity.",
            ),
            attribute(
                "jitter",
                ParameterKind::Duration,
                false,
                Scale::Up,
                "The delay varies by so much to either side, times the intensity: 0 by default.",
            ),
        ],
    },
    Toxic {
        name: "bandwidth",
        summary: "Data passes at a limited rate.",
        attributes: &[attribute(
            "rate",
            ParameterKind::Integer,
            true,
            Scale::Down,
            "The rate in KB/s, divided by the intensity.",
        )],
    },
    Toxic {
        name: "slow_close",
        summary: "Connections are closed late.",
        attributes: &[attribute(
            "delay",
            ParameterKind::Duration,
            true,
            Scale::Up,
            "How late, times the intensity.",
        )],
    },
    Toxic {
        name: "timeout",
        summary: "Data is swallowed, and the connection closed after a time.",
        attributes: &[attribute(
            "timeout",
            ParameterKind::Duration,
            false,
            Scale::Fixed,
            "When it is closed; 0, the default: when the fault is cleared.",
        )],
    },
    Toxic {
        name: "reset_peer",
        summary: "Connections are reset after a time.",
        attributes: &[attribute(
            "timeout",
            ParameterKind::Duration,
            false,
            Scale::Fixed,
            "When they are reset: at once by default.",
        )],
    },
    Toxic {
        name: "limit_data",
        summary: "Connections are closed after so much data.",
        attributes: &[attribute(
            "bytes",
            ParameterKind::Integer,
            true,
            Scale::Down,
            "So many bytes, divided by the intensity.",
        )],
    },
];

/// What a proxy can do to an edge.
pub(super) fn catalogue() -> FaultCatalogue {
    let edge = || {
        Parameter::required(
            "proxy",
            ParameterKind::Text,
            "The name of the proxy that stands on the edge.",
        )
    };
    let mut faults: Vec<CatalogueFault> = TOXICS
        .iter()
        .map(|toxic| {
            let mut parameters = vec![edge()];
            parameters.extend(toxic.attributes.iter().map(|attribute| Parameter {
                name: attribute.name.to_owned(),
                kind: attribute.kind.clone(),
                required: attribute.required,
                summary: attribute.summary.to_owned(),
            }));
            parameters.push(Parameter::optional(
                "stream",
                ParameterKind::OneOf(vec!["downstream".to_owned(), "upstream".to_owned()]),
                "`downstream`, towards the client and the default, or `upstream`.",
            ));
            parameters.push(Parameter::optional(
                "toxicity",
                ParameterKind::Number,
                "The share of connections that have the fault, 0 to 1: all by default. It is drawn \
                 once for each connection.",
            ));
            CatalogueFault {
                name: toxic.name.to_owned(),
                services: vec![],
                summary: toxic.summary.to_owned(),
                parameters,
                harmless: false,
                by_client: false,
            }
        })
        .collect();
    faults.push(CatalogueFault {
        name: DOWN.to_owned(),
        services: vec![],
        summary: "The proxy takes no connections, and those that are open are closed.".to_owned(),
        parameters: vec![edge()],
        harmless: false,
        by_client: false,
    });
    FaultCatalogue {
        driver: NAME.to_owned(),
        services: vec![],
        faults,
        settings: vec![Parameter::optional(
            "url",
            ParameterKind::Text,
            "Address of the proxy's HTTP API: http://127.0.0.1:8474 by default.",
        )],
    }
}

/// A toxic as the API has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ToxicBody {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    stream: String,
    toxicity: f64,
    attributes: Map<String, Value>,
    /// Only `loadgen proxy` knows the owner and the lease; others leave them out of the answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    owner: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease_ms: Option<u64>,
}

/// A proxy as the API has it, as far as it matters here.
#[derive(Debug, Clone, Deserialize)]
struct ProxyBody {
    name: String,
    enabled: bool,
    #[serde(default)]
    toxics: Vec<ToxicBody>,
    /// Who has disabled it, with `loadgen proxy`.
    #[serde(default)]
    owner: String,
}

#[derive(Debug, Deserialize)]
struct VersionBody {
    version: String,
    #[serde(default)]
    name: String,
}

impl ProxyDriver {
    /// A driver for the API at a URL.
    pub fn new(client: Client, url: &str) -> Self {
        let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        Self {
            client,
            url: url.trim_end_matches('/').to_owned(),
            token,
        }
    }

    fn call(&self, method: Method, path: &str) -> (RequestBuilder, String) {
        let url = format!("{}{path}", self.url);
        let request = self.client.request(method, &url);
        let request = match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        (request, url)
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, FaultError> {
        let (request, url) = self.call(Method::GET, path);
        read(request, &url).await
    }

    async fn proxies(&self) -> Result<BTreeMap<String, ProxyBody>, FaultError> {
        self.get("/proxies").await
    }

    /// The proxy that a fault names.
    async fn proxy(&self, fault: &Fault) -> Result<ProxyBody, FaultError> {
        let name = proxy_of(fault);
        let mut proxies = self.proxies().await?;
        let names: Vec<String> = proxies.keys().cloned().collect();
        proxies.remove(name).ok_or_else(|| {
            let there = match names.is_empty() {
                true => "it has none".to_owned(),
                false => format!("it has {}", names.join(", ")),
            };
            FaultError::Impossible(format!("{} has no proxy `{name}`: {there}", self.url))
        })
    }

    /// Says whether a proxy takes connections, and sees that it is so.
    async fn enable(&self, injection: &Injection, enabled: bool) -> Result<Value, FaultError> {
        let name = proxy_of(&injection.fault);
        let (request, url) = self.call(Method::POST, &format!("/proxies/{name}"));
        let body = match enabled {
            true => json!({ "enabled": true, "owner": injection.owner }),
            false => {
                json!({ "enabled": false, "owner": injection.owner, "lease_ms": LEASE_MS })
            }
        };
        let answered: Value = read(request.json(&body), &url).await?;
        if answered.get("enabled").and_then(Value::as_bool) == Some(enabled) {
            return Ok(answered);
        }
        Err(FaultError::NotConfirmed(format!(
            "{url} was told `enabled: {enabled}`, and answered {answered}"
        )))
    }

    async fn add(&self, injection: &Injection, toxic: ToxicBody) -> Result<Value, FaultError> {
        let path = format!("/proxies/{}/toxics", proxy_of(&injection.fault));
        let (request, url) = self.call(Method::POST, &path);
        let answered: ToxicBody = match read(request.json(&toxic), &url).await {
            // The answer to an earlier attempt may have been lost.
            Err(FaultError::Refused { status: 409, .. }) => {
                self.get(&format!("{path}/{}", toxic.name)).await?
            }
            answered => answered?,
        };
        // Toxiproxy takes no notice of attributes that it doesn't know.
        if is_as_asked(&answered, &toxic) {
            return Ok(serde_json::to_value(answered).unwrap_or_default());
        }
        Err(FaultError::NotConfirmed(format!(
            "{url} was told {}, and has {}",
            Value::Object(toxic.attributes),
            Value::Object(answered.attributes)
        )))
    }
}

#[async_trait]
impl FaultDriver for ProxyDriver {
    fn name(&self) -> &str {
        NAME
    }

    fn catalogue(&self) -> FaultCatalogue {
        catalogue()
    }

    async fn version(&self) -> Result<String, FaultError> {
        let (request, url) = self.call(Method::GET, "/version");
        let said = answer(request, &url).await?;
        // Toxiproxy before 2.6 says it in plain text.
        let body = serde_json::from_str(&said).unwrap_or_else(|_| VersionBody {
            version: said.trim().trim_start_matches('v').to_owned(),
            name: String::new(),
        });
        Ok(match body.name.as_str() {
            "" => format!("toxiproxy {}", body.version),
            name => format!("{name} proxy {}", body.version),
        })
    }

    async fn reset(&self, owner: &str) -> Result<(), FaultError> {
        for proxy in self.proxies().await?.into_values() {
            for toxic in &proxy.toxics {
                if owner_of(&toxic.name) == owner {
                    let path = format!("/proxies/{}/toxics/{}", proxy.name, toxic.name);
                    let (request, url) = self.call(Method::DELETE, &path);
                    answer(request, &url).await?;
                }
            }
        }
        Ok(())
    }

    /// What is down already is so by somebody else's hand.
    async fn prepare(&self, fault: &Fault, _owner: &str) -> Result<Value, FaultError> {
        let proxy = self.proxy(fault).await?;
        match proxy.enabled {
            true => Ok(Value::Null),
            false => Err(FaultError::Impossible(format!(
                "the proxy `{}` is down already, and not by this run",
                proxy.name
            ))),
        }
    }

    async fn inject(&self, injection: &Injection) -> Result<Confirmation, FaultError> {
        if injection.fault.fault == DOWN {
            return Ok(Confirmation {
                how: "the proxy's answer: it is not enabled".to_owned(),
                read_back: self.enable(injection, false).await?,
            });
        }
        let read_back = self.add(injection, toxic(injection)?).await?;
        Ok(Confirmation {
            how: "the proxy's answer: the toxic has the attributes that were asked for".to_owned(),
            read_back,
        })
    }

    async fn clear(&self, injection: &Injection) -> Result<Cleared, FaultError> {
        if injection.fault.fault == DOWN {
            let was_in_force = !self.proxy(&injection.fault).await?.enabled;
            let read_back = self.enable(injection, true).await?;
            return Ok(Cleared {
                was_in_force,
                confirmation: Confirmation {
                    how: "the proxy's answer: it is enabled".to_owned(),
                    read_back,
                },
            });
        }
        let (proxy, name) = (proxy_of(&injection.fault), toxic(injection)?.name);
        let path = format!("/proxies/{proxy}/toxics/{name}");
        let (request, url) = self.call(Method::DELETE, &path);
        let was_in_force = match answer(request, &url).await {
            Ok(_) => true,
            Err(FaultError::Refused { status: 404, .. }) => false,
            Err(error) => return Err(error),
        };
        Ok(Cleared {
            was_in_force,
            confirmation: Confirmation {
                how: "the proxy's answer: the toxic is gone".to_owned(),
                read_back: Value::Null,
            },
        })
    }

    async fn state(&self, held: &[Injection]) -> Result<Vec<ActiveFault>, FaultError> {
        let proxies = self.proxies().await?;
        Ok(proxies
            .values()
            .flat_map(|proxy| active(proxy, held))
            .collect())
    }

    async fn renew(&self, owner: &str) -> Result<(), FaultError> {
        let (request, url) = self.call(Method::POST, &format!("/leases/{owner}"));
        match answer(request, &url).await {
            // Toxiproxy has no leases.
            Ok(_) | Err(FaultError::Refused { status: 404, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn proxy_of(fault: &Fault) -> &str {
    let name = fault.parameters.get("proxy").and_then(Value::as_str);
    name.unwrap_or_default()
}

/// The owner that a toxic's name says; nothing: it is not ours.
fn owner_of(toxic: &str) -> &str {
    let rest = toxic.strip_prefix(PREFIX);
    rest.and_then(|rest| rest.split('-').next())
        .unwrap_or_default()
}

/// The toxic of a fault.
fn toxic(injection: &Injection) -> Result<ToxicBody, FaultError> {
    let Injection { fault, owner, .. } = injection;
    let Some(known) = TOXICS.iter().find(|known| known.name == fault.fault) else {
        return Err(FaultError::Impossible(format!(
            "a proxy has no fault `{}`",
            fault.fault
        )));
    };
    let text = |name: &str| fault.parameters.get(name).and_then(Value::as_str);
    let stream = text("stream").unwrap_or("downstream");
    let share = fault.parameters.get("toxicity").and_then(Value::as_f64);
    // A fault without an attribute to scale is weaker where fewer connections have it.
    let is_scaled = known.attributes.iter().any(|a| a.scale != Scale::Fixed);
    let weakened = if is_scaled { 1.0 } else { fault.intensity };
    Ok(ToxicBody {
        name: format!("{PREFIX}{owner}-{}-{stream}", fault.fault),
        kind: fault.fault.clone(),
        stream: stream.to_owned(),
        toxicity: share.unwrap_or(1.0) * weakened,
        attributes: attributes(known, fault),
        owner: owner.clone(),
        lease_ms: Some(LEASE_MS),
    })
}

fn attributes(known: &Toxic, fault: &Fault) -> Map<String, Value> {
    let value = |attribute: &Attribute| {
        let plan_name = match attribute.kind {
            ParameterKind::Duration => format!("{}_ms", attribute.name),
            _ => attribute.name.to_owned(),
        };
        let given = fault.parameters.get(&plan_name).and_then(Value::as_u64);
        let given = given.unwrap_or(0) as f64;
        let scaled = match attribute.scale {
            Scale::Up => given * fault.intensity,
            Scale::Down => given / fault.intensity,
            Scale::Fixed => given,
        };
        (
            attribute.name.to_owned(),
            Value::from(scaled.round() as u64),
        )
    };
    known.attributes.iter().map(value).collect()
}

/// Whether a toxic is what was asked for: of its attributes those that were named.
fn is_as_asked(found: &ToxicBody, asked: &ToxicBody) -> bool {
    let same = |(name, value): (&String, &Value)| {
        let number = |value: &Value| value.as_f64();
        found.attributes.get(name).and_then(number) == number(value)
    };
    found.kind == asked.kind
        && found.stream == asked.stream
        // Toxiproxy keeps it in 32 bits.
        && (found.toxicity - asked.toxicity).abs() < 1e-6
        && asked.attributes.iter().all(same)
}

/// The faults of a proxy. One of `held` that is not as it was injected is nobody's.
fn active(proxy: &ProxyBody, held: &[Injection]) -> Vec<ActiveFault> {
    let of_proxy = |i: &&Injection| proxy_of(&i.fault) == proxy.name;
    let mut all = Vec::new();
    if !proxy.enabled {
        let ours = held.iter().filter(of_proxy).find(|i| i.fault.fault == DOWN);
        all.push(match ours {
            // Toxiproxy can't say whose it is.
            Some(i) if proxy.owner.is_empty() || proxy.owner == i.owner => ours_as_injected(i),
            _ => stranger(proxy, DOWN, Parameters::new(), &proxy.owner),
        });
    }
    for found in &proxy.toxics {
        let is_it = |i: &&Injection| toxic(i).is_ok_and(|asked| asked.name == found.name);
        let ours = held.iter().filter(of_proxy).find(is_it);
        all.push(match ours {
            Some(i) if toxic(i).is_ok_and(|asked| is_as_asked(found, &asked)) => {
                ours_as_injected(i)
            }
            _ => {
                let mut parameters = found.attributes.clone();
                parameters.insert("stream".to_owned(), Value::from(found.stream.clone()));
                stranger(proxy, &found.kind, parameters, owner_of(&found.name))
            }
        });
    }
    all
}

fn ours_as_injected(injection: &Injection) -> ActiveFault {
    ActiveFault {
        fault: injection.fault.clone(),
        owner: injection.owner.clone(),
    }
}

/// A fault that this run has not injected, or not so. The proxy knows no services.
fn stranger(
    proxy: &ProxyBody,
    fault: &str,
    mut parameters: Parameters,
    owner: &str,
) -> ActiveFault {
    parameters.insert("proxy".to_owned(), Value::from(proxy.name.clone()));
    ActiveFault {
        fault: Fault {
            driver: NAME.to_owned(),
            fault: fault.to_owned(),
            service: proxy.name.clone(),
            intensity: 1.0,
            sham: false,
            harmless: false,
            clients: None,
            parameters,
        },
        owner: owner.to_owned(),
    }
}
