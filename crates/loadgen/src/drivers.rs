//! Sets the fault drivers of a plan up.

use std::path::PathBuf;
use std::sync::Arc;

use loadgen_engine::BaseUrl;
use loadgen_fault::journal::{Header, Journal};
use loadgen_fault::{Drivers, FaultError, FlagReader, Made, Settings};
use loadgen_scenario::Plan;
use loadgen_scenario::plan::FlagSource;

use crate::allow::{self, Stands};
use crate::commands::{client, undo_leftovers};
use crate::exit::{Exit, Failure};

/// The driver of the demo shop.
const SHOP: &str = "shop";

/// What a plan's drivers are told. `admin_url`: of a demo shop.
pub(crate) fn settings(plan: &Plan, admin_url: Option<&str>) -> Settings {
    let mut settings = loadgen_fault::settings(plan);
    if let (Some(shop), Some(url)) = (settings.get_mut(SHOP), admin_url) {
        shop.insert("admin_url".to_owned(), url.into());
    }
    settings
}

/// A fault that nobody can inject is told before the run: 15 minutes of load with labels that
/// nothing backs help nobody.
pub(crate) fn check(settings: &Settings, plan: &Plan, base: &BaseUrl) -> Result<(), Failure> {
    let made = make(settings, false)?;
    let is_missing = |driver: &str| made.iter().all(|made| made.driver.name() != driver);
    let mut missing = String::new();
    for scenario in &plan.scenarios {
        if let Some(fault) = scenario.fault.as_ref().filter(|f| is_missing(&f.driver)) {
            let name = &scenario.name;
            missing += &format!("  {name}: {} in {}\n", fault.fault, fault.service);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::NotReachable,
        format!(
            "nothing here can inject faults into {}:\n{missing}\
             For a shop that `loadgen shop` started, give the admin URL that it printed: \
             --admin-url URL. For other targets, faults name a driver such as `proxy`, `host` or \
             `exec`. To send the load without faults: --no-faults.",
            base.url
        ),
    ))
}

/// Refuses the address of a demo shop that was typed, where its host is not allowed.
pub(crate) async fn check_admin_url(url: Option<&str>, allowed: &[String]) -> Result<(), Failure> {
    match url {
        Some(url) => {
            allow::check("the address of the demo shop,", url, Stands::Typed, allowed).await
        }
        None => Ok(()),
    }
}

/// What drivers are wanted for.
pub(crate) struct Asked<'a> {
    pub(crate) settings: Settings,
    /// The demo shop ends with the run.
    pub(crate) has_embedded_shop: bool,
    /// Hosts that may be reached although they are public.
    pub(crate) allowed: &'a [String],
    pub(crate) run_id: &'a str,
    pub(crate) timeline: PathBuf,
}

/// The drivers, ready, after what earlier runs have left behind is undone.
pub(crate) async fn start(asked: Asked<'_>) -> Result<Drivers, Failure> {
    undo_leftovers(&client()?).await?;
    for (driver, told) in &asked.settings {
        for url in told.values().filter_map(|value| value.as_str()) {
            let what = format!("the address of the driver `{driver}`,");
            allow::check(&what, url, Stands::InInput, asked.allowed).await?;
        }
    }
    let made = make(&asked.settings, asked.has_embedded_shop)?;
    let mut settings = asked.settings;
    if asked.has_embedded_shop {
        settings.remove(SHOP);
    }
    let cannot = |error: FaultError| {
        Failure::new(
            Exit::NotReachable,
            format!("faults can't be injected: {error}"),
        )
    };
    let journal = match settings.is_empty() {
        true => None,
        false => {
            let timeline = asked.timeline;
            let header = Header {
                run_id: asked.run_id.to_owned(),
                timeline: std::path::absolute(&timeline).unwrap_or(timeline),
                settings,
            };
            Some(Arc::new(Journal::create(&header).map_err(cannot)?))
        }
    };
    Drivers::start(made, journal, asked.run_id)
        .await
        .map_err(cannot)
}

/// Who reads the plan's flags while the run goes on.
pub(crate) async fn flag_readers(
    plan: &Plan,
    allowed: &[String],
) -> Result<Vec<FlagReader>, Failure> {
    let client = checked_client()?;
    let mut readers = Vec::with_capacity(plan.flags.len());
    for flag in &plan.flags {
        if let FlagSource::OfrepUrl(url) = &flag.source {
            let what = format!("the address of the flag `{}`", flag.name);
            allow::check(&what, url, Stands::InInput, allowed).await?;
        }
        readers.push(FlagReader::new(client.clone(), flag.clone()));
    }
    Ok(readers)
}

/// Drivers that are told enough to be used.
fn make(settings: &Settings, has_embedded_shop: bool) -> Result<Vec<Made>, Failure> {
    let client = checked_client()?;
    let mut made = Vec::new();
    for (name, told) in settings {
        let driver = loadgen_fault::make(name, told, &client);
        let driver = driver.map_err(|e| Failure::new(Exit::BadInput, e))?;
        made.extend(driver.map(|driver| Made {
            driver,
            ends_with_the_run: has_embedded_shop && name == SHOP,
        }));
    }
    Ok(made)
}

/// The client of drivers and flags, whose addresses are checked.
fn checked_client() -> Result<reqwest::Client, Failure> {
    let client = allow::client().build();
    client.map_err(|e| Failure::new(Exit::Failed, format!("can't set up the HTTP client: {e}")))
}
